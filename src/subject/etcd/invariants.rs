//! What must hold of an etcd cluster, each with where its bound comes from. The official alerts
//! (etcd: contrib/mixin/alerts/alerts.libsonnet) wait for minutes; the graces here are ours, as short as a start, an
//! election or one late answer on a busy machine allows.

use std::time::Duration;

use super::super::{CLUSTER, Invariant, Onset, check_leader, check_word};
use super::checks;
use crate::cluster::FaultKind;

const MEMBER: &[&str] = &["etcd"];
const WHOLE: &[&str] = &[CLUSTER];

/// An election takes 1 to 2 s with the usual election timeout of 1 s, and is held again if the votes are split.
const ELECTION: Duration = Duration::from_secs(5);

pub(super) const INVARIANTS: &[Invariant] = &[
    // A member that is restarted in order is back within 4 s.
    Invariant {
        name: "member_down",
        demands: "the member answers its status API",
        roles: MEMBER,
        required: true,
        grace: Duration::from_secs(5),
        check: |observation, node| check_word(observation, node, "status_api", &["answers"]),
    },
    Invariant {
        name: "no_leader",
        demands: "at least one member knows a leader",
        roles: WHOLE,
        required: true,
        grace: ELECTION,
        check: |observation, node| check_leader(observation, node, "leader"),
    },
    Invariant {
        name: "quorum_lost",
        demands: "a majority of the members works together: a write is committed, or they follow one leader",
        roles: WHOLE,
        required: true,
        grace: ELECTION,
        check: checks::quorum,
    },
    // The alert etcdHighNumberOfLeaderChanges.
    Invariant {
        name: "leader_flapping",
        demands: "the leader changes less than four times within 15 minutes",
        roles: WHOLE,
        required: false,
        grace: Duration::ZERO,
        check: checks::leader_flapping,
    },
    // The alert etcdHighFsyncDurations. One late fsync stays in its window for 10 s.
    Invariant {
        name: "high_fsync_latency",
        demands: "99 of 100 fsyncs of the member's log take at most 0.5 s",
        roles: MEMBER,
        required: false,
        grace: Duration::from_secs(15),
        check: checks::fsync,
    },
    // The alert etcdHighCommitDurations, likewise.
    Invariant {
        name: "high_commit_latency",
        demands: "99 of 100 commits of the member's database take at most 0.25 s",
        roles: MEMBER,
        required: false,
        grace: Duration::from_secs(15),
        check: checks::commit,
    },
    // The alarm of etcd itself, and the alert etcdDatabaseQuotaLowSpace.
    Invariant {
        name: "space_alarm",
        demands: "no alarm NOSPACE is raised, and the database takes at most 95 % of its quota",
        roles: MEMBER,
        required: false,
        grace: Duration::ZERO,
        check: checks::space,
    },
    Invariant {
        name: "raft_lag",
        demands: "the member has applied all but 5000 of the entries that are committed",
        roles: MEMBER,
        required: false,
        grace: ELECTION,
        check: checks::raft_lag,
    },
    // The alert etcdGRPCRequestsSlow has 0.15 s, which a busy machine exceeds without a fault.
    Invariant {
        name: "high_client_latency",
        demands: "a client's write through the member takes at most 0.4 s",
        roles: MEMBER,
        required: false,
        grace: Duration::from_secs(10),
        check: checks::client_latency,
    },
    Invariant {
        name: "client_errors",
        demands: "a member that answers its status API serves a client's write and read",
        roles: MEMBER,
        required: true,
        grace: ELECTION,
        check: checks::client_errors,
    },
];

pub(super) const ONSETS: &[Onset] = &[Onset {
    invariant: "member_down",
    of: |kind| matches!(kind, FaultKind::Kill { .. } | FaultKind::Stop),
    earliest: Duration::ZERO,
    latest: Duration::ZERO,
    source: "a port that no process listens on refuses at once (RFC 9293, 3.10.7.1)",
}];
