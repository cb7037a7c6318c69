//! What a store's own log tells of it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::cluster::{Cluster, LogLine, Node};
use crate::reading::{NodeName, Observation, Unit, Value};

/// How far back it is looked. A store that waits for a connection says so every 5 s (TiKV: `src/server/raft_client.rs`).
const WINDOW: Duration = Duration::from_secs(15);
/// What a store writes when it loses a connection to another, and while it cannot get one.
const COMPLAINTS: [&str; 2] = ["[\"connection abort\"]", "[\"wait connect timeout\"]"];

/// Reads how many other stores each store says that it cannot reach.
pub(super) async fn observe_complaints(cluster: &dyn Cluster, observation: &mut Observation, stores: &[&Node]) {
    let since = observation.at.checked_sub(WINDOW).unwrap_or(Timestamp::MIN);
    let lines = cluster.logs(since).await;
    for node in stores {
        let value = match &lines {
            Ok(lines) => Value::from(unreachable_stores(lines, &node.name)),
            Err(error) => Value::unknown(error),
        };
        observation.push("log", &node.name, "unreachable_stores", value, Unit::Count);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of stores is far below 2^52")]
fn unreachable_stores(lines: &[LogLine], node: &NodeName) -> f64 {
    let complaints = lines.iter().filter(|line| line.node == *node);
    let complaints = complaints.filter(|line| COMPLAINTS.iter().any(|message| line.text.contains(message)));
    complaints.filter_map(|line| field(&line.text, "store_id")).collect::<BTreeSet<&str>>().len() as f64
}

/// The value of a field of a line in the unified log format, if it needs no quotes.
fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let (_, rest) = line.split_once(&format!(" [{name}="))?;
    rest.split_once(']').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unreachable_store_counts_once() {
        // fixtures/recordings/store-partition.log.gz
        let text = [
            r#"[2026/11/23 13:46:33.260 +00:00] [WARN] [raft_client.rs:942] ["connection abort"] [addr=tikv0:20160] [store_id=4] [thread_id=53]"#,
            r#"[2026/11/23 13:46:33.261 +00:00] [WARN] [raft_client.rs:942] ["connection abort"] [addr=tikv1:20160] [store_id=1] [thread_id=53]"#,
            r#"[2026/11/23 13:46:38.486 +00:00] [WARN] [raft_client.rs:887] ["wait connect timeout"] [addr=tikv0:20160] [store_id=4] [thread_id=53]"#,
            r#"[2026/11/23 13:46:33.484 +00:00] [INFO] [store.rs:3297] ["broadcasting unreachable"] [unreachable_store_id=7] [store_id=5] [thread_id=81]"#,
        ];
        let line = |text: &&str| LogLine { at: Timestamp::UNIX_EPOCH, node: "tikv2".into(), text: (*text).to_owned() };
        let lines: Vec<LogLine> = text.iter().map(line).collect();
        assert!((unreachable_stores(&lines, &"tikv2".into()) - 2.0).abs() < f64::EPSILON);
        assert!(unreachable_stores(&lines, &"tikv1".into()).abs() < f64::EPSILON);
    }
}
