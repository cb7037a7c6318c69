//! Reads an etcd cluster once: what every member says, a client's write and read through each, what Prometheus has of
//! them, and their logs.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;

use super::super::prometheus::{ask_for, observe as observe_figures};
use super::super::{CLUSTER, observe_processes, reachability};
use super::gateway::{Member, MemberList, Probe, Status, address, ask_member};
use super::prometheus::MEMBER_FIGURES;
use crate::cluster::{Cluster, ClusterError, LogLine};
use crate::http::HttpError;
use crate::reading::{NodeName, Observation, Unit, Value};

/// How far back log lines are counted.
const LOG_WINDOW: Duration = Duration::from_secs(30);

/// What is counted in the logs: the kernel's words for ENOSPC, what a leader says that gets to its heartbeats late (etcd:
/// server/etcdserver/raft.go), and what a member says that hears from no leader (etcd: raft/raft.go).
/// Elections are counted over a shorter time: that of the cluster's start is not to be among them.
const LOG_COUNTS: &[(&str, &str, Duration)] = &[
    ("no_space_errors", "no space left on device", LOG_WINDOW),
    ("overload_warnings", "leader is overloaded", LOG_WINDOW),
    ("elections_begun", "is starting a new election", Duration::from_secs(8)),
];

pub(super) async fn observe(cluster: &dyn Cluster) -> Observation {
    let mut observation = Observation::new(cluster.clock().now());
    let nodes = cluster.nodes().iter().filter(|node| node.role == "etcd");
    let since = observation.at.checked_sub(LOG_WINDOW).unwrap_or(Timestamp::MIN);
    let (members, figures, lines) = tokio::join!(
        join_all(nodes.map(|node| ask_member(cluster, node))),
        ask_for(cluster, MEMBER_FIGURES),
        cluster.logs(since),
    );
    let newest = newest_index(&members);
    for member in &members {
        observe_member(&mut observation, member, newest);
        observe_probe(&mut observation, &member.node.name, "write", &member.write);
        observe_probe(&mut observation, &member.node.name, "read", &member.read);
        observe_log(&mut observation, &member.node.name, &lines);
    }
    let instances: Vec<(&NodeName, String)> =
        members.iter().map(|member| (&member.node.name, address(&member.node))).collect();
    observe_figures(&mut observation, &instances, MEMBER_FIGURES, &figures);
    observation.push("etcd", &CLUSTER.into(), "leader", leader(&members), Unit::None);
    observation.push("etcd", &CLUSTER.into(), "quorum", quorum(&members), Unit::None);
    observe_processes(cluster, &mut observation).await;
    observation
}

fn observe_member(observation: &mut Observation, member: &Member, newest: Option<f64>) {
    let Member { node, status, list, health, .. } = member;
    observation.push("etcd", &node.name, "status_api", reachability(status), Unit::None);
    let mut from_status = |name: &str, unit: Unit, value: &dyn Fn(&Status) -> Value| {
        observation.push("etcd", &node.name, name, status.as_ref().map_or_else(Value::unknown, value), unit);
    };
    from_status("is_leader", Unit::None, &|status| Value::Flag(status.leader() == Some(&status.header.member_id)));
    from_status("knows_leader", Unit::None, &|status| Value::Flag(status.leader().is_some()));
    from_status("raft_term", Unit::Count, &|status| number(&status.raft_term));
    from_status("raft_index", Unit::Count, &|status| number(&status.raft_index));
    from_status("raft_lag", Unit::Count, &|status| lag(status, newest));
    from_status("db_size", Unit::Bytes, &|status| number(&status.db_size));
    from_status("db_size_in_use", Unit::Bytes, &|status| number(&status.db_size_in_use));
    from_status("alarms", Unit::None, &|status| Value::Text(status.alarms()));
    let healthy = health.as_ref().map_or_else(Value::unknown, |healthy| Value::Flag(*healthy));
    observation.push("etcd", &node.name, "healthy", healthy, Unit::None);
    observation.push("etcd", &node.name, "members", member_count(list), Unit::Count);
}

/// What came of a client's request, and how long it took if it was served.
fn observe_probe(observation: &mut Observation, node: &NodeName, name: &str, probe: &Probe) {
    let word = probe.outcome.as_ref().map_or_else(HttpError::word, |()| "ok".to_owned());
    observation.push("client", node, name, Value::Text(word), Unit::None);
    let latency = probe.outcome.as_ref().map_or_else(Value::unknown, |()| Value::from(probe.seconds));
    observation.push("client", node, &format!("{name}_latency"), latency, Unit::Seconds);
}

fn observe_log(observation: &mut Observation, node: &NodeName, lines: &Result<Vec<LogLine>, ClusterError>) {
    for (name, words, window) in LOG_COUNTS {
        let since = observation.at.checked_sub(*window).unwrap_or(Timestamp::MIN);
        let count = |lines: &Vec<LogLine>| {
            let tells = |line: &&LogLine| line.node == *node && line.at >= since && line.text.contains(words);
            let told = lines.iter().filter(tells).count();
            u32::try_from(told).map_or_else(Value::unknown, |told| Value::from(f64::from(told)))
        };
        observation.push("log", node, name, lines.as_ref().map_or_else(Value::unknown, count), Unit::Count);
    }
}

/// A 64-bit number that the gateway wrote as a string. An empty one is a zero that was left out.
fn number(text: &str) -> Value {
    if text.is_empty() { Value::from(0.0) } else { text.parse::<f64>().map_or_else(Value::unknown, Value::from) }
}

fn member_count(list: &Result<MemberList, HttpError>) -> Value {
    let count = |list: &MemberList| u32::try_from(list.members.len()).map(f64::from);
    list.as_ref().map_or_else(Value::unknown, |list| count(list).map_or_else(Value::unknown, Value::from))
}

fn answers(members: &[Member]) -> impl Iterator<Item = (&Member, &Status)> {
    members.iter().filter_map(|member| Some((member, member.status.as_ref().ok()?)))
}

/// The last committed entry that any member knows of.
fn newest_index(members: &[Member]) -> Option<f64> {
    answers(members).filter_map(|(_, status)| number(&status.raft_index).number()).reduce(f64::max)
}

/// How many committed entries a member has not applied.
fn lag(status: &Status, newest: Option<f64>) -> Value {
    match (newest, number(&status.raft_applied_index)) {
        (Some(newest), Value::Number(applied)) => Value::from((newest - applied).max(0.0)),
        (_, applied) => applied,
    }
}

/// The name of the leader, by the member with the highest term that knows one: an old leader that was cut off may not
/// have noticed yet.
fn leader(members: &[Member]) -> Value {
    if answers(members).next().is_none() {
        return Value::unknown("no member answers its status API");
    }
    let term = |status: &Status| status.raft_term.parse::<u64>().unwrap_or(0);
    let known = answers(members).filter_map(|(_, status)| Some((term(status), status.leader()?)));
    let Some((_, leader)) = known.max_by_key(|(term, _)| *term) else { return Value::from("none") };
    answers(members).find(|(_, status)| status.header.member_id == leader).map_or_else(
        || Value::Text(format!("member {leader}, which does not answer")),
        |(member, _)| Value::from(member.node.name.as_str()),
    )
}

/// Whether a majority of the members works together: `held` if a write was committed, or if a majority follows one leader
/// in one term, else `lost`.
fn quorum(members: &[Member]) -> Value {
    if members.iter().any(|member| member.write.outcome.is_ok()) {
        return Value::from("held");
    }
    if answers(members).next().is_none() {
        return Value::unknown("no member answers its status API");
    }
    let following = |term: &str, leader: &str| {
        answers(members).filter(|(_, status)| status.raft_term == term && status.leader() == Some(leader)).count()
    };
    let most = answers(members)
        .filter_map(|(_, status)| Some(following(&status.raft_term, status.leader()?)))
        .max()
        .unwrap_or(0);
    Value::from(if most > members.len() / 2 { "held" } else { "lost" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Node;

    /// A member that answered with the recorded status, or refused.
    fn member(name: &str, status: Option<&str>, write: bool) -> Member {
        let refused = || HttpError::Refused { url: format!("http://{name}:2379/") };
        let outcome = if write { Ok(()) } else { Err(refused()) };
        Member {
            node: Node { name: name.into(), role: "etcd".to_owned() },
            status: status.map(|text| serde_json::from_str(text).unwrap()).ok_or_else(refused),
            list: serde_json::from_str(include_str!("../../../fixtures/etcd/member-list.json")).map_err(|_| refused()),
            health: Ok(true),
            write: Probe { outcome, seconds: 0.25 },
            read: Probe { outcome: Err(refused()), seconds: 0.0 },
        }
    }

    const WELL: &str = include_str!("../../../fixtures/etcd/status.json");
    const NO_SPACE: &str = include_str!("../../../fixtures/etcd/status-nospace.json");
    const NO_LEADER: &str = include_str!("../../../fixtures/etcd/status-no-leader.json");

    #[test]
    fn recorded_answers_are_read() {
        let mut observation = Observation::new(Timestamp::UNIX_EPOCH);
        let member = member("etcd0", Some(NO_SPACE), true);
        observe_member(&mut observation, &member, Some(18.0));
        observe_probe(&mut observation, &member.node.name, "write", &member.write);
        observe_probe(&mut observation, &member.node.name, "read", &member.read);
        let shown: Vec<String> = observation.readings.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        etcd0 status_api = answers
        etcd0 is_leader = false
        etcd0 knows_leader = true
        etcd0 raft_term = 2
        etcd0 raft_index = 16
        etcd0 raft_lag = 2
        etcd0 db_size = 20480 B
        etcd0 db_size_in_use = 16384 B
        etcd0 alarms = NOSPACE
        etcd0 healthy = true
        etcd0 members = 3
        etcd0 write = ok
        etcd0 write_latency = 0.25 s
        etcd0 read = refused
        etcd0 read_latency = unknown (http://etcd0:2379/: connection refused)
        ");
    }

    #[test]
    fn quorum_and_leader_are_told_from_those_that_answer() {
        let tell = |members: &[Member]| (quorum(members).to_string(), leader(members).to_string());
        let follower = |name| member(name, Some(WELL), false);
        let cut_off = "member 15304224982042851878, which does not answer";
        // Two that follow the same leader are a majority, whether it answers the observer or not.
        let two = [follower("etcd0"), follower("etcd1"), member("etcd2", None, false)];
        assert_eq!(tell(&two), ("held".to_owned(), cut_off.to_owned()));
        let alone =
            [member("etcd0", Some(NO_LEADER), false), member("etcd1", None, false), member("etcd2", None, false)];
        assert_eq!(tell(&alone), ("lost".to_owned(), "none".to_owned()));
        // Who commits a write has a quorum, whatever else is seen.
        let seen_alone =
            [member("etcd0", Some(WELL), true), member("etcd1", None, false), member("etcd2", None, false)];
        assert_eq!(tell(&seen_alone).0, "held");
        let none = [member("etcd0", None, false)];
        assert!(quorum(&none).unknown_reason().is_some() && leader(&none).unknown_reason().is_some());
    }

    #[test]
    fn a_leader_of_an_older_term_is_not_believed() {
        let old = WELL
            .replace(r#""raftTerm":"2""#, r#""raftTerm":"1""#)
            .replace("15304224982042851878", "15232079137908900848");
        let new = WELL.replace("15232079137908900848", "15304224982042851878");
        let members = [member("etcd0", Some(&old), false), member("etcd2", Some(&new), false)];
        assert_eq!(leader(&members), Value::from("etcd2"));
    }
}
