//! What the logs tell: of each node by its own log, and of the clients by that of the load.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::super::CLUSTER;
use super::load;
use super::log_line::{Event, Line};
use super::stores::Infos;
use crate::cluster::{Cluster, ClusterError, LogLine, Node};
use crate::reading::{NodeName, Observation, Unit, Value};

/// How far back events are counted. A store that waits for a connection says so every 5 s (TiKV: `src/server/raft_client.rs`).
const WINDOW: Duration = Duration::from_secs(15);

/// The readings that count the events of a store's log.
const COUNTS: &[(&str, Event)] = &[
    ("elections", Event::Election),
    ("step_downs", Event::StepDown),
    ("snapshots", Event::Snapshot),
    ("slow_operations", Event::SlowOperation),
    ("disk_warnings", Event::DiskSpace),
];

/// What a node's lines, each with when it was taken, tell.
type Tell<'a> = &'a dyn Fn(&[(Timestamp, Line)]) -> Value;

/// The log lines that [`observe`] needs.
pub(super) async fn ask(cluster: &dyn Cluster, now: Timestamp) -> Result<Vec<LogLine>, ClusterError> {
    let longest = WINDOW.max(load::WINDOW);
    cluster.logs(now.checked_sub(longest).unwrap_or(Timestamp::MIN)).await
}

/// Reads the logs of PD and of the stores, and that of the load.
pub(super) fn observe(
    observation: &mut Observation,
    pds: &[&Node],
    stores: &[&Node],
    infos: &Infos,
    lines: &Result<Vec<LogLine>, ClusterError>,
) {
    let since = observation.at.checked_sub(WINDOW).unwrap_or(Timestamp::MIN);
    for (node, is_store) in pds.iter().map(|node| (node, false)).chain(stores.iter().map(|node| (node, true))) {
        let own = lines.as_ref().map(|lines| own_lines(lines, &node.name, since));
        let mut push = |name: &str, unit: Unit, value: Tell| {
            let value = own.as_ref().map_or_else(Value::unknown, |lines| value(lines));
            observation.push("log", &node.name, name, value, unit);
        };
        push("clock_error", Unit::Seconds, &|lines| clock_error(lines));
        if is_store {
            push("unreachable_stores", Unit::Count, &|lines| count(unreachable_stores(lines).len()));
            push("cannot_reach", Unit::None, &|lines| names(&unreachable_stores(lines), infos));
            for (name, event) in COUNTS {
                let told =
                    |lines: &[(Timestamp, Line)]| lines.iter().filter(|(_, line)| line.event() == Some(*event)).count();
                push(name, Unit::Count, &|lines| count(told(lines)));
            }
        }
    }
    let told = lines.as_ref().map_err(ToString::to_string).and_then(|lines| load::last_interval(lines));
    let errors = told.as_ref().map_or_else(Value::unknown, |told| Value::from(told.error_share()));
    observation.push("load", &CLUSTER.into(), "client_error_share", errors, Unit::None);
    let rate = told.as_ref().map_or_else(Value::unknown, |told| Value::from(told.rate()));
    observation.push("load", &CLUSTER.into(), "client_operations_per_second", rate, Unit::None);
}

/// A node's lines since a time, with when the machine that runs it took each.
fn own_lines<'l>(lines: &'l [LogLine], node: &NodeName, since: Timestamp) -> Vec<(Timestamp, Line<'l>)> {
    let own = lines.iter().filter(|line| line.node == *node && line.at >= since);
    own.filter_map(|line| Some((line.at, Line::parse(&line.text)?))).collect()
}

/// How many seconds a node's clock is off: between the time that it writes into its log and the one at which the line was
/// taken. A line may be taken late, but never before it was written, so that the line that was on its way for the
/// shortest time tells best.
fn clock_error(lines: &[(Timestamp, Line)]) -> Value {
    let ahead = lines.iter().map(|(taken, line)| line.at.duration_since(*taken).as_secs_f64());
    ahead.max_by(f64::total_cmp).map_or_else(
        || Value::unknown("the node has logged nothing lately"),
        |ahead| Value::from((ahead.abs() * 10.0).round() / 10.0),
    )
}

/// The ids of the stores that a store says it cannot reach.
fn unreachable_stores<'l>(lines: &'l [(Timestamp, Line)]) -> BTreeSet<&'l str> {
    let complaints = lines.iter().filter(|(_, line)| line.event() == Some(Event::Unreachable));
    complaints.filter_map(|(_, line)| line.field("store_id")).collect()
}

/// The nodes that have these ids.
fn names(ids: &BTreeSet<&str>, infos: &Infos) -> Value {
    let infos = match infos {
        _ if ids.is_empty() => return Value::from("none"),
        Ok(infos) => infos,
        Err(reason) => return Value::unknown(reason),
    };
    let own = infos.iter().filter(|(_, info)| ids.contains(info.store.id.to_string().as_str()));
    let names: Vec<&str> = own.map(|(node, _)| node.as_str()).collect();
    if names.is_empty() {
        Value::unknown("PD knows none of the stores that it cannot reach")
    } else {
        names.join(", ").as_str().into()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of log lines is far below 2^52")]
fn count(number: usize) -> Value {
    Value::from(number as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(lines: &[LogLine]) -> Observation {
        let mut observation = Observation::new(Timestamp::from_second(1_795_455_999).unwrap());
        let [pd, tikv1, tikv2] = [("pd0", "pd"), ("tikv1", "tikv"), ("tikv2", "tikv")]
            .map(|(name, role)| Node { name: name.into(), role: role.to_owned() });
        let store = |(node, id): (&str, u64)| {
            let meta = serde_json::json!({
                "id": id, "address": format!("{node}:20160"), "state_name": "Up", "last_heartbeat": 0, "start_timestamp": 0,
            });
            let status = serde_json::json!({ "leader_count": 0, "region_count": 0, "available": "1GiB" });
            let info = serde_json::json!({ "store": meta, "status": status });
            (NodeName::from(node), serde_json::from_value(info).unwrap())
        };
        let infos = Ok([("tikv0", 4), ("tikv1", 1), ("tikv2", 5)].map(store).into());
        observe(&mut observation, &[&pd], &[&tikv1, &tikv2], &infos, &Ok(lines.to_vec()));
        observation
    }

    fn line(node: &str, taken: i64, text: &str) -> LogLine {
        LogLine { at: Timestamp::from_second(taken).unwrap(), node: node.into(), text: text.to_owned() }
    }

    #[test]
    fn each_unreachable_store_counts_once() {
        // fixtures/recordings/store-partition.log.gz
        let lines = [
            r#"[2026/11/23 17:46:33.260 +00:00] [WARN] [raft_client.rs:942] ["connection abort"] [addr=tikv0:20160] [store_id=4] [thread_id=53]"#,
            r#"[2026/11/23 17:46:33.261 +00:00] [WARN] [raft_client.rs:942] ["connection abort"] [addr=tikv1:20160] [store_id=1] [thread_id=53]"#,
            r#"[2026/11/23 17:46:38.486 +00:00] [WARN] [raft_client.rs:887] ["wait connect timeout"] [addr=tikv0:20160] [store_id=4] [thread_id=53]"#,
            r#"[2026/11/23 17:46:33.484 +00:00] [INFO] [store.rs:3297] ["broadcasting unreachable"] [unreachable_store_id=7] [store_id=5] [thread_id=81]"#,
        ]
        .map(|text| line("tikv2", 1_795_455_998, text));
        let observation = observed(&lines);
        assert_eq!(observation.value(&"tikv2".into(), "unreachable_stores").number(), Some(2.0));
        assert_eq!(observation.value(&"tikv1".into(), "unreachable_stores").number(), Some(0.0));
        assert_eq!(observation.value(&"tikv2".into(), "cannot_reach").text(), Some("tikv0, tikv1"));
        assert_eq!(observation.value(&"tikv1".into(), "cannot_reach").text(), Some("none"));
        // Too long ago.
        let old = lines.map(|line| LogLine { at: Timestamp::from_second(1_795_455_980).unwrap(), ..line });
        assert_eq!(observed(&old).value(&"tikv2".into(), "unreachable_stores").number(), Some(0.0));
    }

    #[test]
    fn a_clock_is_off_by_what_its_last_lines_say() {
        let text = "[2026/11/23 17:46:39.000 +00:00] [INFO] [raft.rs:1] [word]";
        let written = Line::parse(text).unwrap().at.as_second();
        let error = |taken: &[i64]| {
            let lines: Vec<LogLine> = taken.iter().map(|late| line("pd0", written + late, text)).collect();
            observed(&lines).value(&"pd0".into(), "clock_error")
        };
        assert_eq!(error(&[0]).number(), Some(0.0));
        // One that was taken late says nothing if another was not.
        assert_eq!(error(&[9, 1]).number(), Some(1.0));
        assert_eq!(error(&[-12]).number(), Some(12.0));
        assert!(error(&[]).unknown_reason().is_some());
    }
}
