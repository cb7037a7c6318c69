//! How causes show on an etcd cluster.

use super::super::super::Expected::{AtLeast, AtMost, OneOf};
use super::super::super::Scope::{Cluster, Peers, SomePeer, Suspect};
use super::super::super::{Availability, CRASHED, Severity, Sign, Signature, SignatureImpact};

const QUORUM_HOLDS: SignatureImpact = SignatureImpact {
    severity: Severity::Major,
    availability: Availability::Degraded,
    data_at_risk: false,
    explanation: "Two of three members are a quorum, so reads and writes go on, after an election if the leader was \
                  lost; one more loss would stop them.",
};

const SERVES_SLOWLY: SignatureImpact = SignatureImpact {
    severity: Severity::Minor,
    availability: Availability::Degraded,
    data_at_risk: false,
    explanation: "Requests through the member are late; every write is safe once a majority has it, and clients of the \
                  other members are served as before unless it leads.",
};

pub(in crate::subject::etcd) const SIGNATURES: &[Signature] = &[
    Signature {
        role: "etcd",
        category: "process_crash",
        explanation: "The member's process ended without being asked to; the others kept the quorum.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(CRASHED), weight: 3.0 },
            Sign { on: Suspect, reading: "status_api", expected: OneOf(&["refused"]), weight: 2.0 },
            Sign { on: Suspect, reading: "no_space_errors", expected: AtMost(0.0), weight: 1.5 },
            Sign { on: Suspect, reading: "prometheus_up", expected: OneOf(&["0"]), weight: 0.5 },
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
        explanation: "The member's process is paused: it takes connections and does not answer.",
        signs: &[
            // Whatever it has logged before.
            Sign { on: Suspect, reading: "process", expected: OneOf(&["paused"]), weight: 4.0 },
            Sign { on: Suspect, reading: "status_api", expected: OneOf(&["timed_out"]), weight: 2.0 },
            Sign { on: Peers, reading: "status_api", expected: OneOf(&["answers"]), weight: 1.0 },
        ],
        actions: &["resume_process", "restart_member", "gather_evidence"],
        impact: QUORUM_HOLDS,
    },
    Signature {
        role: "etcd",
        category: "process_hang",
        explanation: "The member's process exists, takes connections and does not answer.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(&["running"]), weight: 2.0 },
            Sign { on: Suspect, reading: "status_api", expected: OneOf(&["timed_out"]), weight: 3.0 },
            // It does nothing at all.
            Sign { on: Suspect, reading: "elections_begun", expected: AtMost(0.0), weight: 1.5 },
            Sign { on: Suspect, reading: "overload_warnings", expected: AtMost(0.0), weight: 1.5 },
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
            Sign { on: Cluster, reading: "quorum", expected: OneOf(&["lost"]), weight: 2.0 },
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
    Signature {
        role: "etcd",
        category: "network_partition",
        explanation: "The member runs and answers the observer, but not the other members: it serves no client, while \
                      they have a leader.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(&["running"]), weight: 1.0 },
            Sign { on: Suspect, reading: "status_api", expected: OneOf(&["answers"]), weight: 1.0 },
            Sign {
                on: Suspect,
                reading: "write",
                expected: OneOf(&["timed_out", "http_500", "http_503"]),
                weight: 2.0,
            },
            Sign { on: Suspect, reading: "fsync_p99", expected: AtMost(0.5), weight: 2.0 },
            Sign { on: Suspect, reading: "overload_warnings", expected: AtMost(0.0), weight: 2.0 },
            Sign { on: Peers, reading: "write", expected: OneOf(&["ok"]), weight: 2.0 },
            Sign { on: Peers, reading: "knows_leader", expected: OneOf(&["true"]), weight: 1.0 },
        ],
        actions: &["repair_network", "wait_and_watch", "replace_member"],
        impact: QUORUM_HOLDS,
    },
    Signature {
        role: "etcd",
        category: "network_partition",
        explanation: "The member runs and tries to be elected, but nobody gets an answer from it, neither the other \
                      members, who have a leader, nor the observer.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(&["running"]), weight: 1.0 },
            Sign { on: Suspect, reading: "status_api", expected: OneOf(&["timed_out"]), weight: 1.0 },
            Sign { on: Suspect, reading: "elections_begun", expected: AtLeast(1.0), weight: 4.0 },
            Sign { on: Suspect, reading: "overload_warnings", expected: AtMost(0.0), weight: 2.0 },
            Sign { on: Peers, reading: "write", expected: OneOf(&["ok"]), weight: 1.0 },
            Sign { on: Peers, reading: "knows_leader", expected: OneOf(&["true"]), weight: 1.0 },
        ],
        actions: &["repair_network", "wait_and_watch", "replace_member"],
        impact: QUORUM_HOLDS,
    },
    Signature {
        role: "etcd",
        category: "network_slow",
        explanation: "Clients of this member wait long although its disk is fast and it has little to do; clients of the \
                      others do not.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(&["running"]), weight: 1.0 },
            Sign { on: Suspect, reading: "write_latency", expected: AtLeast(0.4), weight: 3.0 },
            Sign { on: Suspect, reading: "fsync_p99", expected: AtMost(0.1), weight: 2.0 },
            Sign { on: Peers, reading: "write", expected: OneOf(&["ok"]), weight: 1.0 },
        ],
        actions: &["repair_network", "wait_and_watch", "move_leader"],
        impact: SERVES_SLOWLY,
    },
    Signature {
        role: "etcd",
        category: "cpu_starvation",
        explanation: "All that the member does is late, also what needs neither disk nor network, and it sends its \
                      heartbeats late.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(&["running"]), weight: 1.0 },
            Sign { on: Suspect, reading: "write_latency", expected: AtLeast(0.4), weight: 2.0 },
            Sign { on: Suspect, reading: "fsync_p99", expected: AtMost(0.5), weight: 1.0 },
            Sign { on: Suspect, reading: "late_heartbeats", expected: AtLeast(1.0), weight: 4.0 },
        ],
        actions: &["raise_resource_limit", "move_leader", "wait_and_watch"],
        impact: SERVES_SLOWLY,
    },
    Signature {
        role: "etcd",
        category: "cpu_starvation",
        explanation: "The member logs that it gets to its heartbeats too late, and answers nobody in time.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(&["running"]), weight: 1.0 },
            Sign { on: Suspect, reading: "status_api", expected: OneOf(&["timed_out"]), weight: 1.0 },
            Sign { on: Suspect, reading: "overload_warnings", expected: AtLeast(1.0), weight: 5.0 },
            Sign { on: Peers, reading: "status_api", expected: OneOf(&["answers"]), weight: 1.0 },
        ],
        actions: &["raise_resource_limit", "restart_member", "wait_and_watch"],
        impact: QUORUM_HOLDS,
    },
    Signature {
        role: "etcd",
        category: "disk_slow",
        explanation: "The member's log takes long to reach the disk.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(&["running"]), weight: 1.0 },
            Sign { on: Suspect, reading: "fsync_p99", expected: AtLeast(0.5), weight: 4.0 },
            // It asks nobody and writes nothing, so that it answers all the same.
            Sign { on: Suspect, reading: "status_api", expected: OneOf(&["answers"]), weight: 1.0 },
        ],
        actions: &["replace_disk", "move_leader", "wait_and_watch"],
        impact: SERVES_SLOWLY,
    },
    Signature {
        role: "etcd",
        category: "disk_full",
        explanation: "The member could not write its log or its database for want of space and ended itself.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(CRASHED), weight: 1.0 },
            Sign { on: Suspect, reading: "no_space_errors", expected: AtLeast(1.0), weight: 5.0 },
            Sign { on: Peers, reading: "status_api", expected: OneOf(&["answers"]), weight: 1.0 },
        ],
        actions: &["free_disk_space", "restart_member", "replace_member"],
        impact: QUORUM_HOLDS,
    },
    Signature {
        role: "etcd",
        category: "space_quota_exceeded",
        explanation: "The database has reached its quota: writes are refused until space is given back.",
        signs: &[
            Sign { on: Suspect, reading: "alarms", expected: OneOf(&["NOSPACE"]), weight: 4.0 },
            Sign { on: Suspect, reading: "write", expected: OneOf(&["http_429"]), weight: 1.0 },
        ],
        actions: &["compact_and_defragment", "gather_evidence", "wait_and_watch"],
        impact: SignatureImpact {
            severity: Severity::Critical,
            availability: Availability::Degraded,
            data_at_risk: false,
            explanation: "Reads and deletes go on; every other write is refused by all members.",
        },
    },
];
