//! How causes show on a TiKV cluster, and what a careful operator then does.

use super::super::super::Expected::{AtLeast, AtMost, Not, OneOf};
use super::super::super::Scope::{Cluster, Peers, SomePeer, Suspect};
use super::super::super::{Availability, CLUSTER, CRASHED, Severity, Sign, Signature, SignatureImpact};

/// One replica of three is gone; two still agree.
const QUORUM_HOLDS: SignatureImpact = SignatureImpact {
    severity: Severity::Major,
    availability: Availability::Degraded,
    data_at_risk: false,
    explanation: "Two of the three replicas of each region are left, so writes and reads go on after an election; \
                  one more loss would stop them.",
};

/// One PD member is gone; two still agree.
const PD_QUORUM_HOLDS: SignatureImpact = SignatureImpact {
    severity: Severity::Minor,
    availability: Availability::Full,
    data_at_risk: false,
    explanation: "Clients with a warm region cache feel nothing; two of three PD members are left.",
};

/// All replicas are there, but some answer late or refuse.
const SERVES_SLOWLY: SignatureImpact = SignatureImpact {
    severity: Severity::Major,
    availability: Availability::Degraded,
    data_at_risk: false,
    explanation: "Every region has its majority; requests to the regions that this store leads are late or refused.",
};

/// Nothing that clients ask for is touched yet.
const NOTHING_FELT: SignatureImpact = SignatureImpact {
    severity: Severity::Minor,
    availability: Availability::Full,
    data_at_risk: false,
    explanation: "Clients feel nothing of it by itself; the next fault may last longer or be harder to tell.",
};

pub(in super::super) const SIGNATURES: &[Signature] = &[
    Signature {
        role: "tikv",
        category: "process_crash",
        explanation: "The store's process ended; its peers elected new leaders for its regions, and PD called it \
                      Disconnected once its last heartbeat was older than 20 s.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(CRASHED), weight: 3.0 },
            Sign { on: Suspect, reading: "status_port", expected: OneOf(&["refused"]), weight: 2.0 },
            Sign { on: Suspect, reading: "store_state", expected: OneOf(&["Disconnected", "Down"]), weight: 1.0 },
            Sign { on: Suspect, reading: "heartbeat_age", expected: AtLeast(20.0), weight: 1.0 },
            Sign { on: Peers, reading: "store_state", expected: OneOf(&["Up"]), weight: 2.0 },
            Sign { on: Cluster, reading: "miss_peer_regions", expected: AtMost(0.0), weight: 0.5 },
        ],
        actions: &["restart_store", "wait_and_watch", "delete_store"],
        impact: QUORUM_HOLDS,
    },
    Signature {
        role: "tikv",
        category: "memory_exhaustion",
        explanation: "The kernel ended the store's process for want of memory.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(&["exited(137, out of memory)"]), weight: 4.0 },
            Sign { on: Suspect, reading: "status_port", expected: OneOf(&["refused"]), weight: 1.0 },
            Sign { on: Suspect, reading: "store_state", expected: OneOf(&["Disconnected", "Down"]), weight: 1.0 },
        ],
        actions: &["raise_resource_limit", "restart_store", "wait_and_watch"],
        impact: QUORUM_HOLDS,
    },
    Signature {
        role: "tikv",
        category: "planned_restart",
        explanation: "The store was stopped in order: it moved its leaders away first and ended with code 0.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(&["exited(0)", "exited(143)"]), weight: 3.0 },
            Sign { on: Suspect, reading: "status_port", expected: OneOf(&["refused"]), weight: 1.0 },
            Sign { on: Suspect, reading: "leaders", expected: AtMost(0.0), weight: 1.0 },
            Sign { on: Peers, reading: "store_state", expected: OneOf(&["Up"]), weight: 1.0 },
        ],
        actions: &["wait_and_watch", "restart_store"],
        impact: QUORUM_HOLDS,
    },
    Signature {
        role: "tikv",
        category: "process_hang",
        explanation: "The store's process exists, takes connections and does not answer.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(&["running", "paused"]), weight: 2.0 },
            Sign { on: Suspect, reading: "status_port", expected: OneOf(&["timed_out"]), weight: 3.0 },
            Sign { on: Suspect, reading: "unreachable_stores", expected: AtMost(0.0), weight: 2.0 },
            Sign { on: Suspect, reading: "store_state", expected: OneOf(&["Disconnected", "Down"]), weight: 1.0 },
            Sign { on: Peers, reading: "store_state", expected: OneOf(&["Up"]), weight: 1.0 },
        ],
        actions: &["resume_process", "restart_store", "gather_evidence"],
        impact: QUORUM_HOLDS,
    },
    Signature {
        role: "tikv",
        category: "network_partition",
        explanation: "The store's process runs and says that it cannot reach any other store; neither they nor PD nor \
                      the observer hear of it.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(&["running"]), weight: 2.0 },
            Sign { on: Suspect, reading: "status_port", expected: OneOf(&["timed_out"]), weight: 3.0 },
            Sign { on: Suspect, reading: "unreachable_stores", expected: AtLeast(2.0), weight: 2.0 },
            Sign { on: Suspect, reading: "store_state", expected: OneOf(&["Disconnected", "Down"]), weight: 1.0 },
            Sign { on: Peers, reading: "store_state", expected: OneOf(&["Up"]), weight: 1.0 },
        ],
        actions: &["repair_network", "wait_and_watch", "restart_store"],
        impact: QUORUM_HOLDS,
    },
    Signature {
        role: "tikv",
        category: "region_quorum_loss",
        explanation: "More than one store is gone at the same time, so regions with two of their three replicas there \
                      have no leader; leader counts stay as they were, since no leader reports.",
        signs: &[
            Sign { on: Suspect, reading: "store_state", expected: OneOf(&["Disconnected", "Down"]), weight: 1.0 },
            Sign { on: Suspect, reading: "leaders", expected: AtLeast(1.0), weight: 0.5 },
            Sign { on: SomePeer, reading: "store_state", expected: OneOf(&["Disconnected", "Down"]), weight: 2.0 },
            // PD alone may be wrong: right after a change of its leader it calls every store Disconnected.
            Sign { on: SomePeer, reading: "status_port", expected: OneOf(&["refused", "timed_out"]), weight: 2.0 },
        ],
        actions: &["restart_store", "wait_and_watch", "unsafe_recover"],
        impact: SignatureImpact {
            severity: Severity::Critical,
            availability: Availability::Lost,
            data_at_risk: true,
            explanation: "Without a majority of replicas no region can serve; the data is safe as long as the disks are.",
        },
    },
    Signature {
        role: "tikv",
        category: "process_crash",
        explanation: "The store's process ends again and again soon after it was started.",
        signs: &[
            Sign { on: Suspect, reading: "restarts", expected: AtLeast(3.0), weight: 5.0 },
            Sign { on: Peers, reading: "store_state", expected: OneOf(&["Up"]), weight: 1.0 },
        ],
        actions: &["evict_leaders", "gather_evidence", "restart_store"],
        impact: QUORUM_HOLDS,
    },
    Signature {
        role: "tikv",
        category: "network_partition",
        explanation: "The store's process runs and answers the observer, but its heartbeats do not reach PD.",
        signs: &[
            Sign { on: Suspect, reading: "cut_off_from_pd", expected: OneOf(&["true"]), weight: 6.0 },
            // A store that gets no processor time sends its heartbeats late.
            Sign { on: Suspect, reading: "cpu_share", expected: AtMost(0.8), weight: 1.5 },
            Sign { on: Suspect, reading: "process", expected: OneOf(&["running"]), weight: 1.0 },
            Sign { on: Peers, reading: "store_state", expected: OneOf(&["Up"]), weight: 1.0 },
        ],
        actions: &["repair_network", "wait_and_watch", "restart_store"],
        impact: QUORUM_HOLDS,
    },
    Signature {
        role: "tikv",
        category: "network_partition",
        explanation: "Two stores cannot reach each other, as both say in their logs, while PD hears from both of them.",
        signs: &[
            Sign { on: Suspect, reading: "cannot_reach", expected: Not("none"), weight: 2.0 },
            Sign { on: SomePeer, reading: "cannot_reach", expected: Not("none"), weight: 2.0 },
            Sign { on: Suspect, reading: "store_state", expected: OneOf(&["Up"]), weight: 2.0 },
            Sign { on: Peers, reading: "store_state", expected: OneOf(&["Up"]), weight: 2.0 },
        ],
        actions: &["repair_network", "wait_and_watch", "gather_evidence"],
        impact: SERVES_SLOWLY,
    },
    Signature {
        role: "tikv",
        category: "network_slow",
        explanation: "The store writes its own log in time, but waits long for those of its followers.",
        signs: &[
            Sign { on: Suspect, reading: "commit_log_p99", expected: AtLeast(0.1), weight: 3.0 },
            Sign { on: Suspect, reading: "append_log_p99", expected: AtMost(0.05), weight: 3.0 },
            Sign { on: Suspect, reading: "cpu_share", expected: AtMost(0.8), weight: 1.0 },
        ],
        actions: &["repair_network", "evict_leaders", "wait_and_watch"],
        impact: SERVES_SLOWLY,
    },
    Signature {
        role: "tikv",
        category: "disk_slow",
        explanation: "The store's disk takes so long that its slow score rose, upon which PD moves its leaders away.",
        signs: &[
            Sign { on: Suspect, reading: "slow_score", expected: AtLeast(80.0), weight: 4.0 },
            Sign { on: Suspect, reading: "append_log_p99", expected: AtLeast(0.1), weight: 1.0 },
            Sign { on: Suspect, reading: "status_port", expected: OneOf(&["answers"]), weight: 1.0 },
        ],
        actions: &["replace_disk", "evict_leaders", "wait_and_watch"],
        impact: SERVES_SLOWLY,
    },
    Signature {
        role: "tikv",
        category: "disk_full",
        explanation: "The store has little disk space left; without any it refuses writes, and at last ends.",
        signs: &[
            Sign { on: Suspect, reading: "available_share", expected: AtMost(0.2), weight: 4.0 },
            Sign { on: Suspect, reading: "disk_warnings", expected: AtLeast(1.0), weight: 1.0 },
            Sign { on: Suspect, reading: "status_port", expected: OneOf(&["answers"]), weight: 1.0 },
        ],
        actions: &["free_disk_space", "add_store", "evict_leaders"],
        impact: SERVES_SLOWLY,
    },
    Signature {
        role: "tikv",
        category: "cpu_starvation",
        explanation: "The store uses all the processor time that it may.",
        signs: &[
            Sign { on: Suspect, reading: "cpu_share", expected: AtLeast(0.8), weight: 4.0 },
            Sign { on: Suspect, reading: "slow_score", expected: AtMost(79.0), weight: 1.0 },
            Sign { on: Suspect, reading: "hot_region_share", expected: AtMost(0.49), weight: 1.0 },
            Sign { on: Suspect, reading: "written_share", expected: AtMost(0.49), weight: 1.0 },
        ],
        actions: &["raise_resource_limit", "evict_leaders", "wait_and_watch"],
        impact: SERVES_SLOWLY,
    },
    Signature {
        role: "tikv",
        category: "hot_region",
        explanation: "One region gets most of the traffic, and its leader is on this store.",
        signs: &[
            Sign { on: Suspect, reading: "hot_region_share", expected: AtLeast(0.5), weight: 4.0 },
            Sign { on: Suspect, reading: "store_state", expected: OneOf(&["Up"]), weight: 1.0 },
            Sign { on: Suspect, reading: "slow_score", expected: AtMost(79.0), weight: 1.0 },
        ],
        actions: &["split_hot_region", "wait_and_watch", "raise_resource_limit"],
        impact: SERVES_SLOWLY,
    },
    Signature {
        role: "tikv",
        category: "hot_region",
        explanation: "One region gets most of what is written, and its leader is on this store; PD does not call it hot \
                      yet.",
        signs: &[
            Sign { on: Suspect, reading: "written_share", expected: AtLeast(0.5), weight: 4.0 },
            Sign { on: Suspect, reading: "store_state", expected: OneOf(&["Up"]), weight: 1.0 },
            Sign { on: Suspect, reading: "slow_score", expected: AtMost(79.0), weight: 1.0 },
        ],
        actions: &["split_hot_region", "wait_and_watch", "raise_resource_limit"],
        impact: SERVES_SLOWLY,
    },
    Signature {
        role: "tikv",
        category: "clock_skew",
        explanation: "The times in the store's own log are not those at which the lines were written.",
        signs: &[
            Sign { on: Suspect, reading: "clock_error", expected: AtLeast(5.0), weight: 5.0 },
            Sign { on: Suspect, reading: "store_state", expected: OneOf(&["Up"]), weight: 1.0 },
        ],
        actions: &["fix_clock", "wait_and_watch"],
        impact: NOTHING_FELT,
    },
    Signature {
        role: CLUSTER,
        category: "scheduling_disabled",
        explanation: "PD is configured not to move or repair replicas.",
        signs: &[
            Sign { on: Cluster, reading: "scheduling", expected: OneOf(&["off"]), weight: 5.0 },
            Sign { on: Cluster, reading: "operators", expected: AtMost(0.0), weight: 1.0 },
        ],
        actions: &["enable_scheduling", "gather_evidence", "wait_and_watch"],
        impact: NOTHING_FELT,
    },
    Signature {
        role: CLUSTER,
        category: "merge_disabled",
        explanation: "PD is configured to merge no regions, and there are far more empty ones than a young cluster has: a \
                      client has split a table and not filled it.",
        signs: &[
            Sign { on: Cluster, reading: "empty_regions", expected: AtLeast(101.0), weight: 5.0 },
            Sign { on: Cluster, reading: "merge_limit", expected: AtMost(0.0), weight: 1.0 },
            Sign { on: Cluster, reading: "scheduling", expected: OneOf(&["on"]), weight: 1.0 },
        ],
        actions: &["enable_merging", "wait_and_watch", "gather_evidence"],
        impact: NOTHING_FELT,
    },
    Signature {
        role: "pd",
        category: "process_crash",
        explanation: "The PD member's process ended; the others keep the quorum and go on, after an election if it \
                      was the leader.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(CRASHED), weight: 3.0 },
            Sign { on: Suspect, reading: "pd_api", expected: OneOf(&["refused"]), weight: 2.0 },
            Sign { on: Suspect, reading: "pd_health", expected: OneOf(&["unreachable"]), weight: 1.0 },
            Sign { on: Peers, reading: "pd_health", expected: OneOf(&["healthy"]), weight: 1.0 },
        ],
        actions: &["restart_pd", "wait_and_watch"],
        impact: PD_QUORUM_HOLDS,
    },
    Signature {
        role: "pd",
        category: "planned_restart",
        explanation: "The PD member was stopped in order: it handed over if it was the leader, and ended with code 0.",
        signs: &[
            Sign { on: Suspect, reading: "process", expected: OneOf(&["exited(0)", "exited(143)"]), weight: 3.0 },
            Sign { on: Suspect, reading: "pd_api", expected: OneOf(&["refused"]), weight: 1.0 },
            Sign { on: Peers, reading: "pd_health", expected: OneOf(&["healthy"]), weight: 1.0 },
        ],
        actions: &["wait_and_watch", "restart_pd"],
        impact: PD_QUORUM_HOLDS,
    },
    Signature {
        role: "pd",
        category: "process_hang",
        explanation: "The PD member's process is stopped: it exists and does not answer; the others keep the quorum.",
        signs: &[
            // One that runs and does not answer may as well be cut off: nothing that is read tells them apart.
            Sign { on: Suspect, reading: "process", expected: OneOf(&["paused"]), weight: 3.0 },
            Sign { on: Suspect, reading: "pd_api", expected: OneOf(&["timed_out"]), weight: 3.0 },
            Sign { on: Peers, reading: "pd_health", expected: OneOf(&["healthy"]), weight: 1.0 },
        ],
        actions: &["resume_process", "restart_pd", "gather_evidence"],
        impact: PD_QUORUM_HOLDS,
    },
    Signature {
        role: "pd",
        category: "pd_quorum_loss",
        explanation: "More than one PD member is gone at the same time: the rest cannot elect a leader.",
        signs: &[
            Sign { on: Suspect, reading: "pd_health", expected: OneOf(&["unreachable"]), weight: 1.0 },
            Sign { on: SomePeer, reading: "pd_health", expected: OneOf(&["unreachable"]), weight: 3.0 },
            Sign { on: Cluster, reading: "pd_leader", expected: OneOf(&["none"]), weight: 3.0 },
        ],
        actions: &["restart_pd", "repair_network", "wait_and_watch"],
        impact: SignatureImpact {
            severity: Severity::Critical,
            availability: Availability::Degraded,
            data_at_risk: false,
            explanation: "Clients that know where their regions are go on; new ones and every change of a region fail.",
        },
    },
    Signature {
        role: "pd",
        category: "network_partition",
        explanation: "The PD member runs and answers the observer, but no other member can reach it.",
        signs: &[
            Sign {
                on: Suspect,
                reading: "pd_health",
                expected: OneOf(&["answers, but the others cannot reach it"]),
                weight: 4.0,
            },
            Sign { on: Suspect, reading: "process", expected: OneOf(&["running"]), weight: 1.0 },
            Sign { on: Peers, reading: "pd_health", expected: OneOf(&["healthy"]), weight: 1.0 },
        ],
        actions: &["repair_network", "wait_and_watch"],
        impact: PD_QUORUM_HOLDS,
    },
    Signature {
        role: "pd",
        category: "clock_skew",
        explanation: "The times in the PD member's own log are not those at which the lines were written.",
        signs: &[
            Sign { on: Suspect, reading: "clock_error", expected: AtLeast(5.0), weight: 5.0 },
            Sign { on: Suspect, reading: "pd_health", expected: OneOf(&["healthy"]), weight: 1.0 },
        ],
        actions: &["fix_clock", "transfer_pd_leader", "wait_and_watch"],
        impact: NOTHING_FELT,
    },
    Signature {
        role: "pd",
        category: "clock_skew",
        explanation: "The PD member's clock went back behind the timestamps that it had given out.",
        signs: &[
            Sign { on: Suspect, reading: "clock_jumps", expected: AtLeast(1.0), weight: 5.0 },
            Sign { on: Suspect, reading: "pd_health", expected: OneOf(&["healthy"]), weight: 1.0 },
        ],
        actions: &["fix_clock", "transfer_pd_leader", "wait_and_watch"],
        impact: NOTHING_FELT,
    },
];
