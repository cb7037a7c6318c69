//! What an operator of etcd knows: causes, actions with their risks, and how causes show.

use super::super::Expected::{AtLeast, OneOf};
use super::super::Scope::{Peers, SomePeer, Suspect};
use super::super::{Action, Availability, CRASHED, Severity, Sign, Signature, SignatureImpact, Term};

pub(super) const CATEGORIES: &[Term] = &[
    Term { name: "quorum_loss", means: "a majority of the members is gone: nothing can be written" },
    Term {
        name: "space_quota_exceeded",
        means: "the database has reached its quota and refuses writes (NOSPACE alarm)",
    },
];

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "restart_member",
        does: "starts the member's process again on its own data directory",
        risk: "none if the process is gone",
        reversible: true,
        command: "docker start {node}",
    },
    Action {
        name: "move_leader",
        does: "hands the leadership to another member",
        risk: "a pause of some milliseconds",
        reversible: true,
        command: "etcdctl move-leader MEMBER_ID",
    },
    Action {
        name: "compact_and_defragment",
        does: "drops old revisions and gives their space back",
        risk: "a member does not serve while it is defragmented",
        reversible: false,
        command: "etcdctl compact REVISION",
    },
    Action {
        name: "replace_member",
        does: "removes the member for good and adds an empty one that copies the data",
        risk: "the member's data is given up; with a quorum of two, one more loss stops the cluster",
        reversible: false,
        command: "etcdctl member remove MEMBER_ID",
    },
    Action {
        name: "force_new_cluster",
        does: "makes a one-member cluster out of one member's data",
        risk: "loses what only the others had acknowledged; the others can never rejoin with their data",
        reversible: false,
        command: "etcd --force-new-cluster",
    },
];

const QUORUM_HOLDS: SignatureImpact = SignatureImpact {
    severity: Severity::Major,
    availability: Availability::Degraded,
    data_at_risk: false,
    explanation: "Two of three members are a quorum, so reads and writes go on, after an election if the leader was \
                  lost; one more loss would stop them.",
};

pub(super) const SIGNATURES: &[Signature] = &[
    Signature {
        role: "etcd",
        category: "process_crash",
        explanation: "The member's process ended without being asked to; the others kept the quorum.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(CRASHED), weight: 3.0 },
            Sign { on: Suspect, reading: "status_api", expected: OneOf(&["refused"]), weight: 2.0 },
            Sign { on: Suspect, reading: "prometheus_up", expected: OneOf(&["false"]), weight: 0.5 },
            Sign { on: Peers, reading: "status_api", expected: OneOf(&["answers"]), weight: 1.0 },
            Sign { on: Peers, reading: "knows_leader", expected: OneOf(&["true"]), weight: 0.5 },
        ],
        actions: &["restart_member", "wait_and_watch", "replace_member"],
        impact: QUORUM_HOLDS,
    },
    Signature {
        role: "etcd",
        category: "memory_exhaustion",
        explanation: "The kernel ended the member's process for want of memory.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(&["exited(137, out of memory)"]), weight: 4.0 },
            Sign { on: Suspect, reading: "status_api", expected: OneOf(&["refused"]), weight: 1.0 },
        ],
        actions: &["raise_resource_limit", "restart_member", "wait_and_watch"],
        impact: QUORUM_HOLDS,
    },
    Signature {
        role: "etcd",
        category: "planned_restart",
        explanation: "The member was stopped in order and ended with code 0.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(&["exited(0)", "exited(143)"]), weight: 3.0 },
            Sign { on: Suspect, reading: "status_api", expected: OneOf(&["refused"]), weight: 1.0 },
            Sign { on: Peers, reading: "status_api", expected: OneOf(&["answers"]), weight: 1.0 },
        ],
        actions: &["wait_and_watch", "restart_member"],
        impact: QUORUM_HOLDS,
    },
    Signature {
        role: "etcd",
        category: "process_hang",
        explanation: "The member's process exists, takes connections and does not answer.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(&["running", "paused"]), weight: 2.0 },
            Sign { on: Suspect, reading: "status_api", expected: OneOf(&["timed_out"]), weight: 3.0 },
            Sign { on: Peers, reading: "status_api", expected: OneOf(&["answers"]), weight: 1.0 },
        ],
        actions: &["resume_process", "restart_member", "gather_evidence"],
        impact: QUORUM_HOLDS,
    },
    Signature {
        role: "etcd",
        category: "quorum_loss",
        explanation: "A majority of the members is gone, so no leader can be elected and nothing can be written.",
        signs: &[
            Sign { on: SomePeer, reading: "knows_leader", expected: OneOf(&["false"]), weight: 2.0 },
            Sign { on: SomePeer, reading: "status_api", expected: OneOf(&["refused", "timed_out"]), weight: 2.0 },
            Sign { on: Suspect, reading: "leader_changes", expected: AtLeast(1.0), weight: 0.5 },
        ],
        actions: &["restart_member", "wait_and_watch", "force_new_cluster"],
        impact: SignatureImpact {
            severity: Severity::Critical,
            availability: Availability::Lost,
            data_at_risk: true,
            explanation: "Without a quorum nothing can be written or read linearizably; the data is safe as long as \
                          the disks are.",
        },
    },
];

pub(super) const KNOWLEDGE: &str = "\
etcd is a replicated key-value store: three members (role etcd) form one Raft group with one leader; a write needs two \
of them.
- When the leader dies, the others elect a new one within 1 to 2 s; each such election raises the Raft term by at least \
one and leader_changes by one. When a follower dies, the term does not change.
- A killed process refuses connections. A paused or cut-off one lets them time out.
- A member that comes back with its data directory rejoins by itself and catches up from the leader's log.
- Prometheus (role prometheus) scrapes every member: prometheus_up is false for one that it cannot scrape.";
