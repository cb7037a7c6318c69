//! Stores: `/stores`, `/store/{id}`, `/trend`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::super::go_format::{byte_size, duration, float};
use super::super::model::Model;
use super::super::schedule::operator::{Status as OperatorStatus, Step};
use super::super::store::{Label, NodeState, Store};
use super::super::{TIKV_GIT_HASH, TIKV_VERSION, instant};
use super::{APPROXIMATE_SIZE, is_zero, known_regions, known_stores};

#[derive(Serialize)]
pub(in super::super) struct Stores {
    count: usize,
    stores: Vec<StoreBody>,
}

#[derive(Serialize)]
pub(in super::super) struct StoreBody {
    store: Meta,
    status: Status,
}

#[derive(Serialize)]
struct Meta {
    id: u64,
    address: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<Label>,
    #[serde(skip_serializing_if = "is_zero")]
    state: u64,
    version: &'static str,
    peer_address: String,
    status_address: String,
    git_hash: &'static str,
    start_timestamp: i64,
    deploy_path: &'static str,
    #[serde(skip_serializing_if = "is_zero")]
    last_heartbeat: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    physically_destroyed: bool,
    #[serde(skip_serializing_if = "is_zero")]
    node_state: u64,
    state_name: &'static str,
}

#[derive(Serialize)]
struct Status {
    capacity: String,
    available: String,
    used_size: String,
    leader_count: usize,
    #[serde(serialize_with = "float")]
    leader_weight: f64,
    #[serde(serialize_with = "float")]
    leader_score: f64,
    leader_size: u64,
    region_count: usize,
    #[serde(serialize_with = "float")]
    region_weight: f64,
    #[serde(serialize_with = "float")]
    region_score: f64,
    region_size: u64,
    #[serde(skip_serializing_if = "is_zero")]
    learner_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pending_peer_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_score: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_trend: Option<SlowTrend>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_busy: bool,
    start_ts: String,
    last_heartbeat_ts: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime: Option<String>,
}

#[derive(Serialize)]
struct SlowTrend {
    #[serde(serialize_with = "float")]
    cause_value: f64,
    cause_rate: u8,
    result_value: u8,
    result_rate: u8,
}

/// The stores of which `wanted` is true, asked by their indices.
pub(in super::super) fn stores(model: &Model, wanted: impl Fn(usize) -> bool) -> Stores {
    let indices = known_stores(model).into_iter().filter(|index| wanted(*index));
    let stores: Vec<StoreBody> = indices.map(|index| store(model, index)).collect();
    Stores { count: stores.len(), stores }
}

/// One store, by its index.
pub(in super::super) fn store(model: &Model, index: usize) -> StoreBody {
    let store = &model.stores[index];
    let heard = store.view.last_heartbeat.map(|at| instant(at) + store.view.heartbeat_clock).unwrap_or_default();
    let meta = Meta {
        id: store.id,
        address: store.address(),
        labels: store.view.labels.clone(),
        state: state(model, index),
        version: TIKV_VERSION,
        peer_address: store.address(),
        status_address: format!("{}:20180", store.name),
        git_hash: TIKV_GIT_HASH,
        start_timestamp: store.view.start_timestamp,
        deploy_path: "/",
        last_heartbeat: u64::try_from(heard.as_nanosecond()).unwrap_or_default(),
        physically_destroyed: store.view.physically_destroyed,
        node_state: store.view.node_state as u64,
        state_name: state_name(model, index),
    };
    StoreBody { store: meta, status: status(model, index, store, heard) }
}

/// A store's state in the cluster, by its index: 0 up, 1 offline, 2 tombstone (`kvproto:proto/metapb.proto`).
pub(in super::super) fn state(model: &Model, index: usize) -> u64 {
    match model.stores[index].view.node_state {
        NodeState::Preparing | NodeState::Serving => 0,
        NodeState::Removing => 1,
        NodeState::Removed => 2,
    }
}

/// The name of a store's state, by its index.
pub(in super::super) fn state_name(model: &Model, index: usize) -> &'static str {
    model.stores[index].view.state_name(model.now, model.config.schedule.max_store_down_time)
}

#[expect(clippy::cast_precision_loss, reason = "counts of regions are small")]
fn status(model: &Model, index: usize, store: &Store, heard: jiff::Timestamp) -> Status {
    let (led, count) = store.view.counts_at_removal.unwrap_or_else(|| model.known_counts(index));
    let peers = || known_regions(model).filter_map(|region| region.peer_on(index).map(|peer| &region.peers[peer]));
    let size = count as u64 * APPROXIMATE_SIZE;
    let stats = store.view.stats;
    let (capacity, available, used) = stats.map_or((0, 0, 0), |stats| (stats.capacity, stats.available, stats.used));
    let (start_ts, last_heartbeat_ts, uptime) = times(store, heard);
    let by_space = region_score(capacity, available, size, model.config.schedule.low_space_ratio);
    Status {
        capacity: byte_size(capacity),
        available: byte_size(available),
        used_size: byte_size(used),
        leader_count: led,
        leader_weight: store.view.weight.leader,
        leader_score: led as f64 / store.view.weight.leader.max(LEAST_WEIGHT),
        leader_size: led as u64 * APPROXIMATE_SIZE,
        region_count: count,
        region_weight: store.view.weight.region,
        region_score: by_space / store.view.weight.region.max(LEAST_WEIGHT),
        region_size: size,
        learner_count: peers().filter(|peer| !peer.votes()).count() as u64,
        pending_peer_count: peers().filter(|peer| peer.pending).count() as u64,
        slow_score: stats.map(|_| store.view.slow_score.max(1)),
        slow_trend: stats.map(|stats| SlowTrend {
            cause_value: stats.cause_value,
            cause_rate: 0,
            result_value: 0,
            result_rate: 0,
        }),
        is_busy: stats.is_some_and(|stats| stats.busy),
        start_ts,
        last_heartbeat_ts,
        uptime,
    }
}

/// A store of no weight counts as one of so little (`pd:pkg/core/store.go`, `minWeight`).
const LEAST_WEIGHT: f64 = 1e-6;

/// When a store started, when it was last heard, and how long it ran until then; that is left out if it is not above
/// zero.
fn times(store: &Store, heard: jiff::Timestamp) -> (String, String, Option<String>) {
    let started = jiff::Timestamp::from_second(store.view.start_timestamp).unwrap_or_default();
    let uptime = Duration::try_from(heard.duration_since(started)).ok().filter(|uptime| !uptime.is_zero());
    (started.to_string(), heard.to_string(), uptime.map(duration))
}

/// The moves that have come to their end, by their kinds and stores.
fn moves(model: &Model, from: Option<i64>) -> Vec<TrendEntry> {
    let from = from.map_or(0, |from| from.saturating_sub(instant(Duration::ZERO).as_second()));
    let from = Duration::from_secs(u64::try_from(from).unwrap_or_default());
    let since = model.now.saturating_sub(HISTORY).max(from);
    let mut moves: BTreeMap<(u64, u64, &'static str), usize> = BTreeMap::new();
    for operator in
        model.schedule.operators.records(since).filter(|operator| operator.status == OperatorStatus::Success)
    {
        for step in &operator.steps {
            if let Step::TransferLeader { from, to } = step
                && let Some(to) = to.first()
            {
                *moves.entry((from.id, to.id, "leader")).or_default() += 1;
            }
        }
        let added =
            operator.steps.iter().find_map(|step| if let Step::AddLearner { to, .. } = step { Some(to) } else { None });
        let removed =
            operator.steps.iter().find_map(|step| if let Step::RemovePeer { from } = step { Some(from) } else { None });
        if let (Some(from), Some(to)) = (removed, added) {
            *moves.entry((from.id, to.id, "region")).or_default() += 1;
        }
    }
    moves.into_iter().map(|((from, to, kind), count)| TrendEntry { from, to, kind, count }).collect()
}

/// PD's score of a store by its space, formula v2 (`pd:pkg/core/store.go`, `regionScoreV2`). Space in bytes, size in
/// MiB.
#[expect(clippy::cast_precision_loss, reason = "PD computes in float64 too")]
pub(in super::super) fn region_score(capacity: u64, available: u64, size: u64, low_space_ratio: f64) -> f64 {
    const GIB: f64 = (1_u64 << 30) as f64;
    let (capacity, available, size) = (capacity as f64 / GIB, available as f64 / GIB, size as f64);
    let floor = (capacity * (1.0 - low_space_ratio)).max(50.0);
    if capacity < 1.0 || available >= capacity {
        size
    } else if available > floor {
        let above = available - floor + 1.0;
        (1.0 + 256.0 * (capacity.ln() - above.ln()) / (capacity - above)) * size
    } else {
        (1.0 + 256.0 * capacity.ln() / capacity) * size + 1e10 * (floor - available) / floor
    }
}

#[derive(Serialize)]
pub(in super::super) struct Trend {
    stores: Vec<TrendStore>,
    history: TrendHistory,
}

#[derive(Serialize)]
struct TrendStore {
    id: u64,
    address: String,
    state_name: &'static str,
    capacity: u64,
    available: u64,
    region_count: usize,
    leader_count: usize,
    start_ts: String,
    last_heartbeat_ts: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime: Option<String>,
    hot_write_flow: u64,
    /// Null without hot regions.
    hot_write_region_flows: Option<Vec<u64>>,
    hot_read_flow: u64,
    hot_read_region_flows: Option<Vec<u64>>,
}

#[derive(Serialize)]
struct TrendHistory {
    /// Unix seconds.
    start: i64,
    end: i64,
    /// What operators moved.
    entries: Vec<TrendEntry>,
}

#[derive(Serialize)]
struct TrendEntry {
    from: u64,
    to: u64,
    kind: &'static str,
    count: usize,
}

/// PD remembers so long what operators moved (`pd:pkg/schedule/operator/operator_controller.go`, `historyKeepTime`).
const HISTORY: Duration = Duration::from_mins(5);

/// Go's zero time in Unix seconds, from which PD counts if nobody says from when.
const ZERO_TIME: i64 = -62_135_596_800;

/// What PD moved since a time in Unix seconds.
pub(in super::super) fn trend(model: &Model, from: Option<i64>) -> Trend {
    let store = |index: usize| {
        let StoreBody { store: meta, status } = store(model, index);
        let stats = model.stores[index].view.stats;
        let (capacity, used) = stats.map_or((0, 0), |stats| (stats.capacity, stats.used));
        TrendStore {
            id: meta.id,
            address: meta.address,
            state_name: meta.state_name,
            capacity,
            available: capacity.saturating_sub(used),
            region_count: status.region_count,
            leader_count: status.leader_count,
            start_ts: status.start_ts,
            last_heartbeat_ts: status.last_heartbeat_ts,
            uptime: status.uptime,
            hot_write_flow: 0,
            hot_write_region_flows: None,
            hot_read_flow: 0,
            hot_read_region_flows: None,
        }
    };
    Trend {
        stores: known_stores(model).into_iter().map(store).collect(),
        history: TrendHistory {
            start: from.unwrap_or(ZERO_TIME),
            end: instant(model.now).as_second(),
            entries: moves(model, from),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_score_is_the_recorded_one() {
        // fixtures/recordings/baseline-pd-api.json: 20 GiB, 270.8 MiB of them used, 24 regions of 1 MiB; PD smooths
        // what is available, hence not to the last digit.
        let capacity = 20 << 30;
        let score = region_score(capacity, capacity - 283_953_562, 24, 0.8);
        assert!((score / 6_052_767_491.827 - 1.0).abs() < 1e-3, "{score}");
        assert!((region_score(0, 0, 24, 0.8) - 24.0).abs() < 1e-9);
    }
}
