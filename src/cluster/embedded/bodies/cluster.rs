//! The cluster as a whole: `/cluster`, `/cluster/status`, `/stats/region`, `/min-resolved-ts`, `/gc/safepoint`,
//! `/replication_mode/status`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::super::go_format::by_id;
use super::super::instant;
use super::super::model::Model;
use super::super::region::Region;
use super::regions::{EMPTY_SIZE, in_range};
use super::{APPROXIMATE_SIZE, known_regions};

#[derive(Serialize)]
pub(in super::super) struct Cluster {
    id: u64,
    max_peer_count: u64,
}

pub(in super::super) fn cluster(model: &Model) -> Cluster {
    Cluster { id: model.cluster_id, max_peer_count: model.config.replication.max_replicas }
}

#[derive(Serialize)]
pub(in super::super) struct ClusterStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    raft_bootstrap_time: Option<String>,
    is_initialized: bool,
    replication_status: &'static str,
}

/// A cluster of more than one region is initialized, and one whose only region has all of its replicas
/// (`pd:server/cluster/cluster.go`, `isInitialized`).
pub(in super::super) fn status(model: &Model) -> ClusterStatus {
    let whole = |region: &Region| {
        region.peers.len() as u64 >= model.config.replication.max_replicas
            && region.peers.iter().all(|peer| !peer.pending)
    };
    ClusterStatus {
        raft_bootstrap_time: model.bootstrapped.map(|at| instant(at).to_string()),
        is_initialized: known_regions(model).count() > 1 || known_regions(model).any(whole),
        replication_status: "",
    }
}

type Counts = BTreeMap<u64, u64>;

#[derive(Serialize)]
struct CountsById(#[serde(serialize_with = "by_id")] Counts);

/// Sizes in MiB; maps by the ids of the stores, null if nobody made them.
#[derive(Serialize)]
pub(in super::super) struct RegionStats {
    count: u64,
    empty_count: u64,
    storage_size: u64,
    user_storage_size: u64,
    storage_keys: u64,
    store_leader_count: Option<CountsById>,
    store_peer_count: Option<CountsById>,
    store_leader_size: Option<CountsById>,
    store_leader_keys: Option<CountsById>,
    store_peer_size: Option<CountsById>,
    store_peer_keys: Option<CountsById>,
}

/// Of the regions of a range of keys in hex; only their number if the rest is not wanted.
pub(in super::super) fn region_stats(model: &Model, start: &str, end: &str, only_count: bool) -> RegionStats {
    let regions = in_range(model, start, end);
    let count = regions.len() as u64;
    let (mut leaders, mut peers) = (Counts::new(), Counts::new());
    for region in regions {
        if let Some(store) = region.known_leader_store() {
            *leaders.entry(model.stores[store].id).or_default() += 1;
        }
        for peer in &region.peers {
            *peers.entry(model.stores[peer.store].id).or_default() += 1;
        }
    }
    let times = |counts: &Counts, each: u64| {
        (!only_count).then(|| CountsById(counts.iter().map(|(id, count)| (*id, count * each)).collect()))
    };
    let empty = if APPROXIMATE_SIZE <= EMPTY_SIZE { count } else { 0 };
    let wanted = |number: u64| if only_count { 0 } else { number };
    RegionStats {
        count,
        empty_count: wanted(empty),
        storage_size: wanted(count * APPROXIMATE_SIZE),
        user_storage_size: 0,
        storage_keys: 0,
        store_leader_count: times(&leaders, 1),
        store_peer_count: times(&peers, 1),
        store_leader_size: times(&leaders, APPROXIMATE_SIZE),
        store_leader_keys: times(&leaders, 0),
        store_peer_size: times(&peers, APPROXIMATE_SIZE),
        store_peer_keys: times(&peers, 0),
    }
}

/// TiKV advances its resolved timestamp so often (`tikv:components/resolved_ts`, `advance-ts-interval`), and PD hears of
/// it as much later (fixtures/recordings/baseline-pd-api.json: 26 s old).
const ADVANCE: Duration = Duration::from_secs(20);

#[derive(Serialize)]
pub(in super::super) struct Timestamps {
    is_real_time: bool,
    min_resolved_ts: u64,
    persist_interval: String,
    /// The whole cluster was asked for.
    stores_min_resolved_ts: Option<Value>,
}

pub(in super::super) fn min_resolved_ts(model: &Model) -> Timestamps {
    let interval = model.config.pd_server.min_resolved_ts_persistence_interval;
    let since = model.now.saturating_sub(model.bootstrapped.unwrap_or_default()).as_secs() / ADVANCE.as_secs();
    let at = model.bootstrapped.unwrap_or_default() + ADVANCE * u32::try_from(since.saturating_sub(1)).unwrap_or(0);
    // A timestamp is milliseconds and an 18-bit counter.
    let physical = u64::try_from(instant(at).as_millisecond()).unwrap_or_default();
    Timestamps {
        is_real_time: !interval.is_zero(),
        min_resolved_ts: physical << 18 | 1,
        persist_interval: super::super::go_format::duration(interval),
        stores_min_resolved_ts: None,
    }
}

#[derive(Serialize)]
pub(in super::super) struct SafePoints {
    service_gc_safe_points: [Value; 0],
    gc_safe_point: u64,
}

/// None: nobody collects garbage of raw keys.
pub(in super::super) fn safe_points() -> SafePoints {
    SafePoints { service_gc_safe_points: [], gc_safe_point: 0 }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) struct ReplicationMode {
    mode: &'static str,
    dr_auto_sync: DrAutoSync,
}

#[derive(Serialize)]
struct DrAutoSync {
    label_key: &'static str,
    state: &'static str,
}

pub(in super::super) fn replication_mode() -> ReplicationMode {
    ReplicationMode { mode: "majority", dr_auto_sync: DrAutoSync { label_key: "", state: "" } }
}
