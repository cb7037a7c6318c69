//! Whether PD may move and repair replicas, and what has to be: its configuration, schedulers, operators and region checks.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::super::CLUSTER;
use super::pd::{Checker, RegionCheck, RegionStats, ReplicationConfig, SlowStores, ask_in_turn};
use crate::cluster::{Cluster, Node};
use crate::reading::{Observation, Unit, Value};

/// The settings by which PD moves or repairs nothing, and the value that does so (PD: pkg/schedule/config/config.go). The
/// limits for merges and for hot regions are not among them: without those, no replica is missing for longer.
const SWITCHES: &[(&str, &str)] = &[
    ("halt-scheduling", "true"),
    ("leader-schedule-limit", "0"),
    ("region-schedule-limit", "0"),
    ("replica-schedule-limit", "0"),
    ("enable-make-up-replica", "false"),
    ("enable-replace-offline-replica", "false"),
    ("enable-remove-down-replica", "false"),
];

/// The schedulers that keep leaders and replicas even (PD: pkg/schedule/schedulers).
const BALANCERS: [&str; 2] = ["balance-leader-scheduler", "balance-region-scheduler"];

/// What PD answers on its scheduling, each or why it does not.
pub(super) struct Answers {
    config: Result<Json, String>,
    replication: Result<ReplicationConfig, String>,
    schedulers: Result<Vec<String>, String>,
    slow_stores: Result<SlowStores, String>,
    paused: Result<Vec<String>, String>,
    rule_checker: Result<Checker, String>,
    operators: Result<Vec<String>, String>,
    checks: [(&'static str, Result<RegionCheck, String>); 3],
    regions: Result<RegionStats, String>,
}

/// Asks the members in their order.
pub(super) async fn ask(cluster: &dyn Cluster, pds: &[&Node]) -> Answers {
    async fn turn<T: DeserializeOwned>(cluster: &dyn Cluster, pds: &[&Node], path: &str) -> Result<T, String> {
        ask_in_turn(cluster, pds, path).await
    }
    let (config, replication, schedulers, slow_stores, paused, rule_checker, operators, pending, down, miss, regions) = tokio::join!(
        turn(cluster, pds, "/config/schedule"),
        turn(cluster, pds, "/config/replicate"),
        turn(cluster, pds, "/schedulers"),
        turn(cluster, pds, "/scheduler-config/evict-slow-store-scheduler/list"),
        turn(cluster, pds, "/schedulers?status=paused"),
        turn(cluster, pds, "/checker/rule"),
        turn(cluster, pds, "/operators"),
        turn(cluster, pds, "/regions/check/pending-peer"),
        turn(cluster, pds, "/regions/check/down-peer"),
        turn(cluster, pds, "/regions/check/miss-peer"),
        turn(cluster, pds, "/stats/region"),
    );
    let checks = [("pending_peer_regions", pending), ("down_peer_regions", down), ("miss_peer_regions", miss)];
    Answers { config, replication, schedulers, slow_stores, paused, rule_checker, operators, checks, regions }
}

/// Reads what the answers say of the cluster.
pub(super) fn observe(observation: &mut Observation, answers: &Answers) {
    let mut push = |name: &str, value: Value, unit: Unit| observation.push("pd", &CLUSTER.into(), name, value, unit);
    for (name, check) in &answers.checks {
        push(name, check.as_ref().map_or_else(Value::unknown, |check| number(check.count)), Unit::Count);
    }
    let replicas = answers.replication.as_ref().map(|config| config.max_replicas);
    push("max_replicas", replicas.map_or_else(Value::unknown, Value::from), Unit::Count);
    let off = answers.switched_off();
    let word = |off: &Vec<String>| Value::from(if off.is_empty() { "on" } else { "off" });
    push("scheduling", off.as_ref().map_or_else(Value::unknown, word), Unit::None);
    let list = |off: &Vec<String>| Value::Text(if off.is_empty() { "nothing".to_owned() } else { off.join(", ") });
    push("switched_off", off.as_ref().map_or_else(Value::unknown, list), Unit::None);
    let operators = answers.operators.as_ref().map(|operators| number(operators.len() as u64));
    push("operators", operators.unwrap_or_else(Value::unknown), Unit::Count);
    let regions = |of: fn(&RegionStats) -> u64| {
        answers.regions.as_ref().map_or_else(Value::unknown, |regions| number(of(regions)))
    };
    push("regions", regions(|regions| regions.count), Unit::Count);
    push("empty_regions", regions(|regions| regions.empty_count), Unit::Count);
    push("merge_limit", answers.merge_limit(), Unit::Count);
    let evicting = answers.leaders_moved_on_purpose().map(Value::Flag);
    push("leaders_moved_on_purpose", evicting.unwrap_or_else(Value::unknown), Unit::None);
}

impl Answers {
    /// Whether an operator, or PD itself for a slow disk, keeps leaders off a store. PD gives them back half an hour after
    /// the disk is well (PD: `pkg/schedule/schedulers/evict_slow_store.go`).
    fn leaders_moved_on_purpose(&self) -> Result<bool, &String> {
        let evicts =
            |name: &String| name.starts_with("evict-leader-scheduler") || name.starts_with("grant-leader-scheduler");
        Ok(self.schedulers.as_ref()?.iter().any(evicts) || !self.slow_stores.as_ref()?.evict_stores.is_empty())
    }

    /// How many operators PD has at most to merge regions, of which a merge takes two; with 0 it merges none.
    fn merge_limit(&self) -> Value {
        match &self.config {
            Ok(config) => config
                .get("merge-schedule-limit")
                .and_then(Json::as_f64)
                .map_or_else(|| Value::unknown("PD's configuration has no merge-schedule-limit"), Value::from),
            Err(reason) => Value::unknown(reason),
        }
    }

    /// What is switched off of PD's scheduling.
    fn switched_off(&self) -> Result<Vec<String>, &String> {
        let config = self.config.as_ref()?;
        let setting =
            |name: &str| config.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let mut off: Vec<String> = SWITCHES
            .iter()
            .filter(|(name, off)| setting(name).as_deref() == Some(off))
            .map(|(name, off)| format!("{name} is {off}"))
            .collect();
        off.extend(self.paused.iter().flatten().map(|name| format!("{name} is paused")));
        // For some time after a change of PD's leader there are no schedulers at all (PD: server/cluster/coordinator).
        if let Some(schedulers) = self.schedulers.as_ref().ok().filter(|schedulers| !schedulers.is_empty()) {
            let missing = BALANCERS.iter().filter(|name| !schedulers.iter().any(|own| own == *name));
            off.extend(missing.map(|name| format!("{name} is removed")));
        }
        if self.rule_checker.as_ref().is_ok_and(|checker| checker.paused) {
            off.push("the rule checker is paused".to_owned());
        }
        Ok(off)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of regions and operators are far below 2^52")]
fn number(count: u64) -> Value {
    Value::from(count as f64)
}
