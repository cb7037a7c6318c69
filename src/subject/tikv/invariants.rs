//! What must hold of a TiKV cluster, each with where its bound comes from.

use std::time::Duration;

use super::super::{CLUSTER, Invariant, Onset, check_leader, check_word};
use super::checks;
use crate::cluster::FaultKind;

const STORE: &[&str] = &["tikv"];
const PD: &[&str] = &["pd"];
const PROCESS: &[&str] = &["pd", "tikv"];
const WHOLE: &[&str] = &[CLUSTER];

pub(super) const INVARIANTS: &[Invariant] = &[
    // PD calls a store Disconnected 20 s after its last heartbeat (PD: pkg/core/store.go, `storeDisconnectDuration`).
    Invariant {
        name: "store_down",
        demands: "PD hears from the store: it calls it neither Disconnected nor Down, unless PD's leader is too new to \
                  know and the store answers",
        roles: STORE,
        grace: Duration::ZERO,
        required: true,
        check: checks::store_down,
    },
    // A complaint counts for 15 s: within the grace it was made again.
    Invariant {
        name: "store_link_down",
        demands: "of the stores that PD hears from and that answer, no two say of each other that they cannot connect",
        roles: STORE,
        grace: Duration::from_secs(20),
        required: false,
        check: checks::store_link_down,
    },
    // PD's own bound for a slow store (PD: pkg/core/store.go, `slowStoreThreshold`); the score takes 21 s to get there.
    Invariant {
        name: "store_slow",
        demands: "the store's disk answers in time: its slow score at PD is below 80 of 100",
        roles: STORE,
        grace: Duration::ZERO,
        required: true,
        check: checks::store_slow,
    },
    // A bound of ours. A minute is the window that the official rules of TiKV use, and their `for`.
    Invariant {
        name: "high_latency",
        demands: "99 of 100 requests to the store are answered within 100 ms",
        roles: STORE,
        grace: Duration::from_mins(1),
        required: false,
        check: checks::high_latency,
    },
    // PD's own bound (PD: pkg/core/store.go, `IsLowSpace`; `low-space-ratio` is 0.8).
    Invariant {
        name: "low_disk_space",
        demands: "at least a fifth of the store's disk is available, or 8 GiB of it as long as the store has few regions",
        roles: STORE,
        grace: Duration::ZERO,
        required: true,
        check: checks::low_disk_space,
    },
    Invariant {
        name: "region_unavailable",
        demands: "every region has a leader",
        roles: WHOLE,
        grace: Duration::ZERO,
        required: true,
        check: checks::region_unavailable,
    },
    // PD adds a replica before it takes one away, so that a missing one is never on its way elsewhere. A dead store's
    // replicas are down after 10 min (`tikv:components/raftstore/src/store/config.rs`, `max_peer_down_duration`).
    Invariant {
        name: "replica_missing",
        demands: "every region has all its replicas, on stores that PD knows, and none is down",
        roles: WHOLE,
        grace: Duration::ZERO,
        required: true,
        check: checks::replica_missing,
    },
    Invariant {
        name: "pd_member_down",
        demands: "the PD member answers its API, and the others can reach it",
        roles: PD,
        grace: Duration::ZERO,
        required: true,
        check: |observation, node| check_word(observation, node, "pd_health", &["healthy"]),
    },
    // An election takes 11 to 15 s when PD's leader dies (etcd election and the old lease).
    Invariant {
        name: "pd_no_leader",
        demands: "PD has a leader, so that stores can report and clients can find regions",
        roles: WHOLE,
        grace: Duration::from_secs(20),
        required: true,
        check: |observation, node| check_leader(observation, node, "pd_leader"),
    },
    // The rule TiKV_raft_log_lag (`tikv:metrics/alertmanager/tikv.rules.yml`), with its `for`.
    Invariant {
        name: "raft_log_lag",
        demands: "the followers of the store's regions are at most 5000 log entries behind",
        roles: STORE,
        grace: Duration::from_mins(1),
        required: false,
        check: checks::raft_log_lag,
    },
    // Two stores may differ by 10 leaders for ever (PD: pkg/schedule/schedulers/utils.go, `leaderTolerantSizeRatio`, 5 on
    // either side; recorded: 11, 11 and 2). PD moves tens of leaders a second, once a store that starts is no longer
    // busy: 20 s in fixtures/recordings/store-kill.jsonl. The grace is ours.
    Invariant {
        name: "leader_imbalance",
        demands: "the leaders are spread over the stores as evenly as PD keeps them",
        roles: WHOLE,
        grace: Duration::from_mins(5),
        required: false,
        check: checks::leader_imbalance,
    },
    // PD lists a region when it has been hot for 3 minutes. The share is ours; recorded: 0.85.
    Invariant {
        name: "hot_region",
        demands: "no region that the store leads gets half of what all regions get",
        roles: STORE,
        grace: Duration::ZERO,
        required: false,
        check: checks::hot_region,
    },
    // The grace is ours: a person or a backup may halt scheduling for moments.
    Invariant {
        name: "scheduling_stuck",
        demands: "PD may move and repair replicas, and does so when one is missing",
        roles: WHOLE,
        grace: Duration::from_secs(30),
        required: false,
        check: checks::scheduling_stuck,
    },
    // Each region costs its stores heartbeats and memory, an empty one for nothing. The bound and the grace are ours: PD has
    // none, and a bulk load switches merging off while it lasts.
    Invariant {
        name: "empty_regions",
        demands: "PD merges small regions, or there are at most 100 that are empty",
        roles: WHOLE,
        grace: Duration::from_mins(2),
        required: false,
        check: checks::empty_regions,
    },
    // The rule PD_system_time_slow (PD: metrics/alertmanager/pd.rules.yml) and a bound of ours for what logs say.
    Invariant {
        name: "clock_skew",
        demands: "the node's clock does not jump, and is right to 5 s",
        roles: PROCESS,
        grace: Duration::ZERO,
        required: false,
        check: checks::clock_skew,
    },
    // One restart in turn is maintenance; the bound is ours.
    Invariant {
        name: "restart_loop",
        demands: "the process was started again less than three times within 15 minutes",
        roles: PROCESS,
        grace: Duration::ZERO,
        required: false,
        check: checks::restart_loop,
    },
    // A bound of ours, over the 10 s between two reports of the load.
    Invariant {
        name: "client_errors",
        demands: "at most one of 100 operations of the clients fails",
        roles: WHOLE,
        grace: Duration::ZERO,
        required: false,
        check: checks::client_errors,
    },
];

/// How long the disk of a store that is well may take for a write (`tikv:components/health_controller/src/slow_score.rs`).
const PROBE_TIMEOUT: Duration = Duration::from_millis(100);

/// From one moment on PD hears nothing of the store. What is lost one way only is left out: packets that are never
/// acknowledged may go on for a while.
fn silences(kind: &FaultKind) -> bool {
    use FaultKind::{Disconnect, Freeze, Kill, Pause, Stop};
    matches!(kind, Kill { .. } | Stop | Pause | Freeze | Disconnect) || *kind == FaultKind::CUT_OFF
}

pub(super) const ONSETS: &[Onset] = &[
    Onset {
        invariant: "store_down",
        of: silences,
        earliest: Duration::from_secs(10),
        latest: Duration::from_secs(20),
        source: "PD calls a store Disconnected 20 s after its last heartbeat (PD: pkg/core/store.go, \
                 `storeDisconnectDuration`), which was at most 10 s before the fault \
                 (tikv:components/raftstore/src/store/config.rs, `pd_store_heartbeat_tick_interval`)",
    },
    // Other causes of the same invariant have no bound: a store that is removed takes its replicas along at once.
    Onset {
        invariant: "replica_missing",
        of: silences,
        earliest: Duration::from_mins(10),
        latest: Duration::from_mins(11),
        source: "a leader calls a peer down that it has not heard of for 10 min \
                 (tikv:components/raftstore/src/store/config.rs, `max_peer_down_duration`), and tells PD with the region's \
                 next heartbeat, within 60 s",
    },
    Onset {
        invariant: "store_slow",
        of: |kind| matches!(kind, FaultKind::SlowDisk { by } if by.0 >= PROBE_TIMEOUT),
        earliest: Duration::from_secs(18),
        latest: Duration::from_secs(31),
        source: "the score of a disk whose probes all take longer than 100 ms doubles every 3 s, from 1 to 64 in 6 steps and \
                 to 100 with the 7th, the first of which may be about to end \
                 (tikv:components/health_controller/src/slow_score.rs); PD hears it with the next heartbeat, within 10 s",
    },
    Onset {
        invariant: "hot_region",
        of: |kind| matches!(kind, FaultKind::HotKey { .. }),
        earliest: Duration::from_mins(2),
        latest: Duration::from_mins(3),
        source: "PD lists a region with its third heartbeat that is hot, one each 60 s (PD: \
                 pkg/statistics/hot_regions_stat.go)",
    },
    Onset {
        invariant: "pd_member_down",
        of: |kind| matches!(kind, FaultKind::Kill { .. } | FaultKind::Stop),
        earliest: Duration::ZERO,
        latest: Duration::ZERO,
        source: "a port that no process listens on refuses at once (RFC 9293, 3.10.7.1)",
    },
];
