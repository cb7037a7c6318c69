//! The model's Prometheus through recorded faults, curve by curve against what the real one showed.

use super::{Value, get, pd_leader, query, up};

use std::time::Duration;

use operator_run::clock::{after, span_between};
use operator_run::cluster::embedded::EmbeddedCluster;
use operator_run::cluster::{Cluster, Fault, FaultKind, Undo};

use crate::promql::samples::fixture;

/// How far a change may be from the recorded one, in seconds: a scrape apart, and a flush of the gauges, and what the
/// recordings are held to elsewhere.
const TOLERANCE: f64 = 15.0 + 10.0 + 3.0;
const STEP: f64 = 5.0;

/// When a curve changed, in seconds after the fault, and to what; none where it has an end.
type Changes = Vec<(f64, Option<String>)>;

fn changes(values: &Value, fault_at: f64) -> Changes {
    let mut changes = Changes::new();
    let mut last = f64::NEG_INFINITY;
    for pair in values.as_array().unwrap() {
        let (at, value) = (pair[0].as_f64().unwrap() - fault_at, Some(pair[1].as_str().unwrap().to_owned()));
        if at - last > STEP * 1.5 && !changes.is_empty() {
            changes.push((last + STEP, None));
        }
        if changes.last().is_none_or(|(_, before)| *before != value) {
            changes.push((at, value));
        }
        last = at;
    }
    changes
}

/// The curve of a query's answer whose labels are these.
fn curve(result: &Value, labels: &[(&str, &str)], fault_at: f64) -> Changes {
    let wanted = |curve: &&Value| labels.iter().all(|(name, value)| curve["metric"][*name] == *value);
    let found: Vec<&Value> = result.as_array().unwrap().iter().filter(wanted).collect();
    assert!(found.len() <= 1, "{labels:?}: {found:?}");
    found.first().map(|curve| changes(&curve["values"], fault_at)).unwrap_or_default()
}

struct Run {
    window: Value,
    cluster: EmbeddedCluster,
    fault_at: f64,
}

/// Does on the model what was recorded: a node is killed, and started when it was.
async fn run(fault: &str, cluster: EmbeddedCluster, victim: &str) -> Run {
    let recording: Value = serde_json::from_str(&fixture("recordings/prometheus-ranges.json.gz")).unwrap();
    let window = recording[fault].clone();
    let first = fixture(&format!("recordings/{fault}.jsonl"));
    let first: Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    let start = cluster.clock().now();
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch")]
    let fault_at = start.as_millisecond() as f64 / 1000.0;
    cluster.inject(&Fault::new(FaultKind::KILL, victim.into())).await.unwrap();
    let until = async |seconds: f64| {
        let until = after(start, Duration::from_secs_f64(seconds));
        cluster.clock().sleep(span_between(cluster.clock().now(), until)).await;
    };
    until(first["healed_at"].as_f64().unwrap()).await;
    cluster.heal(&Undo::Start { node: victim.into() }).await.unwrap();
    until(window["end"].as_f64().unwrap() - window["fault_at"].as_f64().unwrap()).await;
    Run { window, cluster, fault_at }
}

impl Run {
    /// Asks the recorded query of the model, and holds a curve of it against the recorded one with the same part.
    async fn assert_follows(&self, name: &str, own: &[(&str, &str)], recorded: &[(&str, &str)]) {
        let [start, end, fault_at] = ["start", "end", "fault_at"].map(|key| self.window[key].as_f64().unwrap());
        let answer = &self.window["results"][name];
        let text = answer["query"].as_str().unwrap();
        let encoded = text.bytes().fold(String::new(), |encoded, byte| format!("{encoded}%{byte:02X}"));
        let (from, to) = (start - fault_at + self.fault_at, end - fault_at + self.fault_at);
        let path = format!("/api/v1/query_range?query={encoded}&start={from}&end={to}&step={STEP}");
        let body: Value = serde_json::from_str(&get(&self.cluster, "prometheus:9090", &path).await.body).unwrap();
        let own = curve(&body["data"]["result"], own, self.fault_at);
        let expected = curve(&answer["data"]["result"], recorded, fault_at);
        let values = |changes: &Changes| changes.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>();
        assert!(!expected.is_empty(), "{name} {recorded:?}");
        assert_eq!(values(&own), values(&expected), "{name} {recorded:?}: {own:?}, recorded {expected:?}");
        for (own, expected) in own.iter().zip(&expected) {
            assert!((own.0 - expected.0).abs() <= TOLERANCE, "{name} {recorded:?}: {own:?}, recorded {expected:?}");
        }
    }
}

#[tokio::test]
async fn a_store_kill_shows_as_recorded() {
    let cluster = up().await;
    let leaders = query(&cluster, "tikv_raftstore_region_count{type='leader'}", "instance").await;
    let victim = leaders.iter().max_by_key(|(_, leaders)| leaders.parse::<u64>().unwrap()).unwrap().0.clone();
    let node = victim.split(':').next().unwrap().to_owned();
    let address = format!("{node}:20160");
    let of_victim = format!("pd_scheduler_store_status{{address='{address}', type='region_count'}}");
    let store = query(&cluster, &of_victim, "store").await.into_keys().next().unwrap();
    let run = run("store-kill", cluster, &node).await;
    for instance in ["pd0:2379", "pd1:2379", "pd2:2379"] {
        for name in ["up", "has_leader", "leader_changes"] {
            run.assert_follows(name, &[("instance", instance)], &[("instance", instance)]).await;
        }
    }
    for name in ["up", "slow_score"] {
        run.assert_follows(name, &[("instance", &victim)], &[("instance", "tikv1:20180")]).await;
    }
    for kind in
        ["store_disconnected_count", "store_up_count", "store_down_count", "store_low_space_count", "region_count"]
    {
        run.assert_follows("store_status", &[("store", &store), ("type", kind)], &[("store", "1"), ("type", kind)])
            .await;
    }
}

#[tokio::test]
async fn a_kill_of_pds_leader_shows_as_recorded() {
    let cluster = up().await;
    let (victim, others) = pd_leader(&cluster).await;
    let run = run("pd-leader-kill", cluster, &victim).await;
    let (victim, recorded_victim) = (format!("{victim}:2379"), "pd0:2379");
    for name in ["up", "has_leader", "is_leader", "leader_changes", "member_role"] {
        run.assert_follows(name, &[("instance", &victim)], &[("instance", recorded_victim)]).await;
    }
    let leads = query(&run.cluster, "service_member_role == 1", "instance").await;
    let winner = leads.into_keys().next().unwrap();
    let follower = others.iter().map(|name| format!("{name}:2379")).find(|name| *name != winner).unwrap();
    for name in ["up", "has_leader", "is_leader", "leader_changes"] {
        run.assert_follows(name, &[("instance", &winner)], &[("instance", "pd2:2379")]).await;
        run.assert_follows(name, &[("instance", &follower)], &[("instance", "pd1:2379")]).await;
    }
    run.assert_follows("member_role", &[("instance", &winner)], &[("instance", "pd2:2379")]).await;
    let tikv0 =
        query(&run.cluster, "pd_scheduler_store_status{address='tikv0:20160', type='region_count'}", "store").await;
    let store = tikv0.into_keys().next().unwrap();
    for kind in ["store_down_count", "store_low_space_count", "region_count"] {
        let own = [("instance", winner.as_str()), ("store", &store), ("type", kind)];
        run.assert_follows("store_status", &own, &[("instance", "pd2:2379"), ("store", "4"), ("type", kind)]).await;
    }
}
