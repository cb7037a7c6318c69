//! How each invariant is told from one observation.

use super::super::Finding;
use crate::reading::{NodeName, Observation, Value};

/// Changes of the leader within 15 minutes (etcd: contrib/mixin, `etcdHighNumberOfLeaderChanges`).
const LEADER_CHANGES: f64 = 4.0;
/// Seconds (etcd: contrib/mixin, `etcdHighFsyncDurations`).
const FSYNC: f64 = 0.5;
/// Seconds (etcd: contrib/mixin, `etcdHighCommitDurations`).
const COMMIT: f64 = 0.25;
/// Seconds: an operator's own.
const CLIENT_LATENCY: f64 = 0.4;
/// The share of its quota that the database may take (etcd: contrib/mixin, `etcdDatabaseQuotaLowSpace`).
const QUOTA_SHARE: f64 = 0.95;
/// Log entries: a member with more to apply refuses proposals (`etcd:server/etcdserver/v3_server.go`,
/// `maxGapBetweenApplyAndCommitIndex`), and one that is further behind needs a snapshot
/// (`etcd:server/etcdserver/server.go`, `DefaultSnapshotCatchUpEntries`).
const LAG: f64 = 5000.0;

/// Checks that a reading is at most a bound.
fn at_most(observation: &Observation, node: &NodeName, name: &str, bound: f64, unit: &str) -> Finding {
    match observation.value(node, name) {
        Value::Number(number) if number > bound => {
            Finding::Violated(format!("{name} is {}{unit}, above {bound}{unit}", Value::from(number)))
        }
        Value::Number(_) => Finding::Holds,
        value => Finding::Unknown(value.to_string()),
    }
}

pub(super) fn fsync(observation: &Observation, node: &NodeName) -> Finding {
    at_most(observation, node, "fsync_p99", FSYNC, " s")
}

pub(super) fn commit(observation: &Observation, node: &NodeName) -> Finding {
    at_most(observation, node, "commit_p99", COMMIT, " s")
}

pub(super) fn client_latency(observation: &Observation, node: &NodeName) -> Finding {
    at_most(observation, node, "write_latency", CLIENT_LATENCY, " s")
}

pub(super) fn raft_lag(observation: &Observation, node: &NodeName) -> Finding {
    at_most(observation, node, "raft_lag", LAG, " entries")
}

pub(super) fn quorum(observation: &Observation, node: &NodeName) -> Finding {
    match observation.value(node, "quorum") {
        Value::Text(word) if word == "held" => Finding::Holds,
        Value::Text(_) => Finding::Violated("no write is committed, and no majority follows one leader".to_owned()),
        value => Finding::Unknown(value.to_string()),
    }
}

/// The member that has seen most changes tells: one that was down has missed some.
pub(super) fn leader_flapping(observation: &Observation, _: &NodeName) -> Finding {
    let seen = observation.readings.iter().filter(|reading| reading.name == "leader_changes");
    match seen.filter_map(|reading| reading.value.number()).reduce(f64::max) {
        None => Finding::Unknown("no member's count of leader changes is known".to_owned()),
        Some(changes) if changes >= LEADER_CHANGES => {
            Finding::Violated(format!("the leader changed {changes:.0} times within 15 minutes"))
        }
        Some(_) => Finding::Holds,
    }
}

/// An alarm that any member has raised, or one that is near. The alarm is known without Prometheus, what is near not.
pub(super) fn space(observation: &Observation, node: &NodeName) -> Finding {
    let alarms = observation.value(node, "alarms");
    match alarms.text() {
        None => return Finding::Unknown(alarms.to_string()),
        Some(alarms) if alarms.contains("NOSPACE") => {
            return Finding::Violated("the alarm NOSPACE is raised: writes are refused".to_owned());
        }
        Some(_) => {}
    }
    let number = |name: &str| observation.value(node, name).number();
    match (number("db_size"), number("db_quota")) {
        (Some(size), Some(quota)) if size > QUOTA_SHARE * quota => {
            Finding::Violated(format!("the database has {size} B of the {quota} B of its quota"))
        }
        (Some(_), Some(_)) => Finding::Holds,
        _ => Finding::Unknown("the database's size or its quota is not known".to_owned()),
    }
}

/// A member that answers serves clients. Of one that does not, `member_down` speaks.
pub(super) fn client_errors(observation: &Observation, node: &NodeName) -> Finding {
    if observation.value(node, "status_api").text() != Some("answers") {
        return Finding::Unknown("the member does not answer its status API".to_owned());
    }
    let failed: Vec<String> = ["write", "read"]
        .into_iter()
        .map(|name| (name, observation.value(node, name)))
        .filter(|(_, value)| value.text() != Some("ok"))
        .map(|(name, value)| format!("a client's {name}: {value}"))
        .collect();
    if failed.is_empty() { Finding::Holds } else { Finding::Violated(failed.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Unit;

    fn observation(readings: &[(&str, Value)]) -> (Observation, NodeName) {
        let node = NodeName::from("etcd0");
        let mut observation = Observation::new(jiff::Timestamp::UNIX_EPOCH);
        for (name, value) in readings {
            observation.push("test", &node, name, value.clone(), Unit::None);
        }
        (observation, node)
    }

    /// `+` it holds, `-` it is violated, `?` it cannot be told.
    fn find(check: fn(&Observation, &NodeName) -> Finding, readings: &[(&str, Value)]) -> char {
        let (observation, node) = observation(readings);
        match check(&observation, &node) {
            Finding::Holds => '+',
            Finding::Violated(_) => '-',
            Finding::Unknown(_) => '?',
        }
    }

    #[test]
    fn bounds_are_exceeded_by_what_is_above_them() {
        type Check = fn(&Observation, &NodeName) -> Finding;
        let cases: [(Check, &str, f64); 5] = [
            (fsync, "fsync_p99", 0.5),
            (commit, "commit_p99", 0.25),
            (client_latency, "write_latency", 0.4),
            (raft_lag, "raft_lag", 5000.0),
            (leader_flapping, "leader_changes", 3.9),
        ];
        for (check, name, bound) in cases {
            assert_eq!(find(check, &[(name, bound.into())]), '+', "{name}");
            assert_eq!(find(check, &[(name, (bound * 1.1).into())]), '-', "{name}");
            assert_eq!(find(check, &[(name, Value::unknown("no sample"))]), '?', "{name}");
        }
    }

    #[test]
    fn a_quota_that_is_nearly_used_up_counts_as_an_alarm() {
        let size = |bytes: f64| [("alarms", "none".into()), ("db_size", bytes.into()), ("db_quota", 100.0.into())];
        assert_eq!((find(space, &size(95.0)), find(space, &size(96.0))), ('+', '-'));
        assert_eq!(find(space, &[("alarms", "NOSPACE".into())]), '-');
        assert_eq!(find(space, &[("alarms", "none".into())]), '?');
        assert_eq!(find(space, &[]), '?');
    }

    #[test]
    fn clients_are_served_by_who_answers() {
        let member = |api: &str, write: &str| {
            find(client_errors, &[("status_api", api.into()), ("write", write.into()), ("read", "ok".into())])
        };
        assert_eq!(
            [member("answers", "ok"), member("answers", "timed_out"), member("refused", "refused")],
            ['+', '-', '?']
        );
    }
}
