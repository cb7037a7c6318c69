//! What an operator of TiKV knows: causes, actions with their risks, and how causes show.

use super::super::Expected::{AtLeast, AtMost, OneOf};
use super::super::Scope::{Cluster, Peers, SomePeer, Suspect};
use super::super::{Action, Availability, CRASHED, Severity, Sign, Signature, SignatureImpact, Term};

pub(super) const CATEGORIES: &[Term] = &[
    Term {
        name: "region_quorum_loss",
        means: "a majority of the replicas of some regions is gone: they have no leader",
    },
    Term { name: "pd_quorum_loss", means: "a majority of the PD members is gone: no store state can be read" },
    Term { name: "hot_region", means: "one region gets so much traffic that its leader's store is the bottleneck" },
    Term { name: "scheduling_disabled", means: "PD is configured not to move or repair replicas" },
];

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "restart_store",
        does: "starts the store's process again on its own data directory",
        risk: "none if the process is gone; a cold cache for some minutes",
        reversible: true,
        command: "docker start {node}",
    },
    Action {
        name: "restart_pd",
        does: "starts the PD member's process again on its own data directory",
        risk: "none if the process is gone; an election if it was the leader",
        reversible: true,
        command: "docker start {node}",
    },
    Action {
        name: "evict_leaders",
        does: "moves all region leaders off a store by PD's evict-leader-scheduler",
        risk: "the other stores carry the load until the scheduler is removed again",
        reversible: true,
        command: "pd-ctl scheduler add evict-leader-scheduler STORE_ID",
    },
    Action {
        name: "split_hot_region",
        does: "splits a region and scatters the parts",
        risk: "little: more regions",
        reversible: true,
        command: "pd-ctl operator add split-region REGION_ID",
    },
    Action {
        name: "add_store",
        does: "adds a store, so that PD can make the missing replicas there",
        risk: "the copying of replicas loads disks and network",
        reversible: true,
        command: "pd-ctl store",
    },
    Action {
        name: "delete_store",
        does: "tells PD to remove a store for good and to move its replicas elsewhere",
        risk: "with three stores there is nowhere to move them; by force the store can never come back",
        reversible: false,
        command: "pd-ctl store delete STORE_ID",
    },
    Action {
        name: "unsafe_recover",
        does: "makes the remaining replicas leaders without a majority",
        risk: "loses acknowledged writes; the removed stores can never rejoin with their data",
        reversible: false,
        command: "pd-ctl unsafe remove-failed-stores STORE_ID",
    },
];

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

pub(super) const SIGNATURES: &[Signature] = &[
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
];

pub(super) const KNOWLEDGE: &str = "\
TiKV is a distributed key-value store. Its keys are cut into regions; each region has three replicas on three stores \
(role tikv) that form a Raft group with one leader. The Placement Driver (role pd, three members with a leader of their \
own) keeps the stores' states and moves replicas.
- Each store sends PD a heartbeat every 10 s. PD calls a store Disconnected when its last heartbeat is older than 20 s \
and Down after 30 minutes. PD moves no replica before that, and with three stores there is nowhere to move one.
- When a store dies, its regions elect new leaders one by one, between 2 and 20 s later; its leader count at PD falls \
to 0. When a majority of a region's replicas is gone there is no election: leader counts then stay as they were.
- A killed process refuses connections on its status port. A paused or cut-off one lets them time out.
- unreachable_stores is how many other stores a store has said in its own log that it cannot connect to, within the last 15 s. A store that is cut off writes of all the others; one that is paused writes nothing.
- A dead store's replicas count as pending while they are behind, as down after 10 minutes, and never as missing.
- For up to 10 s after PD changes its leader, PD calls all stores Disconnected: that alone is no fault of the stores.";
