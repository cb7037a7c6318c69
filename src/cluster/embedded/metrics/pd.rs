//! `/metrics` of a member of PD, and of the etcd in it.

use std::time::Duration;

use super::super::bodies::stores::region_score;
use super::super::bodies::{APPROXIMATE_SIZE, known_regions};
use super::super::load::{Flow, HotRegions};
use super::super::model::Model;
use super::super::pd_config::ScheduleConfig;
use super::super::region::{self, Region, Role};
use super::super::schedule::SLOW;
use super::super::store::{DISCONNECTED_AFTER, NodeState, Stats, Store};
use super::families::{
    CHECKER_EVENTS, CLUSTER_HEALTH, CLUSTER_METADATA, CLUSTER_STATUS, CPU_SECONDS, ETCD_HAS_LEADER, ETCD_ID,
    ETCD_IS_LEADER, ETCD_LEADER_CHANGES, EVICTED_SLOW_STORE, HOT_CACHE, MEMBER_ROLE, OPERATORS, REGION_HEARTBEAT,
    REGIONS_STATUS, START_TIME, STORE_STATUS, TIME_JUMPS, TSO_EVENTS, TSO_ROLE,
};
use super::gauges::MemberMetrics;
use super::{Take, epoch_seconds, flag, number};

/// A store silent for longer is unhealthy, which only the metric knows (`pd:pkg/core/store.go`, `storeUnhealthyDuration`).
const UNHEALTHY_AFTER: Duration = Duration::from_mins(10);

/// Cores that a member takes, and its leader in addition (fixtures/recordings/prometheus-ranges.json.gz).
const CPU_MEMBER: f64 = 0.018;
const CPU_LEADER: f64 = 0.030;

/// What one store's gauges say.
#[derive(Debug, Clone)]
struct StoreGauges {
    id: String,
    address: String,
    /// `pd_cluster_status`, by type.
    cluster: [(&'static str, f64); 18],
    /// `pd_scheduler_store_status`, by type.
    scheduler: [(&'static str, f64); 34],
    /// How many regions PD watches for their reads and for their writes.
    hot: [u64; 2],
}

/// What the gauges of PD's leader say of the cluster.
#[derive(Debug, Clone)]
pub(super) struct ClusterGauges {
    /// In the order of their addresses.
    stores: Vec<StoreGauges>,
    /// `pd_regions_status`, by type.
    regions: [(&'static str, f64); 10],
    /// `pd_cluster_health_status`, by member.
    health: Vec<(String, f64)>,
}

impl ClusterGauges {
    pub(super) fn of(model: &Model, now: Duration) -> Self {
        let mut holdings = vec![Holding::default(); model.stores.len()];
        for region in known_regions(model) {
            for peer in &region.peers {
                holdings[peer.store].regions += 1;
                holdings[peer.store].written += region.flow.rate(region::REGION_HEARTBEAT);
            }
            if let Some(store) = region.known_leader_store() {
                holdings[store].leaders += 1;
            }
        }
        for region in model.load.hot.watched(true).filter_map(|region| model.regions.get(region)) {
            region.peers.iter().for_each(|peer| holdings[peer.store].hot[1] += 1);
        }
        for store in model.load.hot.watched(false).filter_map(|region| model.regions.get(region)?.known_leader_store())
        {
            holdings[store].hot[0] += 1;
        }
        for (index, holding) in holdings.iter_mut().enumerate() {
            holding.rates = model.load.hot.store(index).map(|rates| [rates.rates(), rates.last()]).unwrap_or_default();
        }
        let known = model.stores.iter().zip(holdings).filter(|(store, _)| store.view.registered);
        let mut stores: Vec<StoreGauges> =
            known.map(|(store, holding)| store_gauges(store, holding, &model.config.schedule, now)).collect();
        stores.sort_by(|left, right| left.address.cmp(&right.address));
        let health = model.members.iter().map(|member| (member.name.to_string(), flag(member.serves(now))));
        Self { stores, regions: region_gauges(model), health: health.collect() }
    }
}

/// What PD knows of a store beside its heartbeats.
#[derive(Debug, Clone, Copy, Default)]
struct Holding {
    regions: u64,
    leaders: u64,
    /// What was written a second, by the last heartbeats of the regions.
    written: Flow,
    /// The rates by its own heartbeats: their median, and the last one.
    rates: [Flow; 2],
    hot: [u64; 2],
}

/// One of them, as `pd:pkg/statistics/store_collection.go` tells them apart.
fn store_gauges(store: &Store, holding: Holding, config: &ScheduleConfig, now: Duration) -> StoreGauges {
    let Holding { regions, leaders, written, rates: [rates, last], hot } = holding;
    let age = store.view.silence(now).unwrap_or(Duration::MAX);
    let down = age >= config.max_store_down_time;
    let unhealthy = !down && age > UNHEALTHY_AFTER;
    let disconnected = !down && !unhealthy && age > DISCONNECTED_AFTER;
    let node_state = store.view.node_state;
    let (up, removing, removed) = (node_state.is_up(), node_state == NodeState::Removing, node_state.is_removed());
    let slow = !down && !unhealthy && !disconnected && store.view.slow_score >= SLOW;
    let stats = store.view.stats.filter(|_| !removed);
    let (capacity, available, used) = stats.map_or((0, 0, 0), |stats| (stats.capacity, stats.available, stats.used));
    let count = usize::try_from(regions).unwrap_or(usize::MAX);
    let short_of_space = |stats: Stats| stats.is_scarce(config.low_space_ratio) && !stats.is_plenty_for(count);
    let size = regions * APPROXIMATE_SIZE;
    StoreGauges {
        id: store.id.to_string(),
        address: store.address(),
        cluster: [
            ("leader_count", number(leaders)),
            ("learner_count", 0.0),
            ("region_count", number(regions)),
            ("storage_capacity", number(capacity)),
            ("storage_size", number(used)),
            ("store_disconnected_count", flag(up && disconnected)),
            ("store_down_count", flag(up && down)),
            ("store_low_space_count", flag(!down && stats.is_some_and(short_of_space))),
            ("store_offline_count", flag(removing)),
            ("store_preparing_count", flag(node_state == NodeState::Preparing)),
            ("store_removed_count", flag(removed)),
            ("store_removing_count", flag(removing)),
            ("store_serving_count", flag(node_state == NodeState::Serving)),
            ("store_slow_count", flag(up && slow)),
            ("store_tombstone_count", flag(removed)),
            ("store_unhealth_count", flag(up && unhealthy)),
            ("store_up_count", flag(up && !down && !unhealthy && !disconnected && !slow)),
            ("witness_count", 0.0),
        ],
        scheduler: [
            ("leader_count", number(leaders)),
            ("leader_score", number(leaders)),
            ("leader_size", number(leaders * APPROXIMATE_SIZE)),
            ("learner_count", 0.0),
            ("region_count", number(regions)),
            ("region_score", region_score(capacity, available, size, config.low_space_ratio)),
            ("region_size", number(size)),
            ("store_available", number(available)),
            ("store_capacity", number(capacity)),
            // TiKV's own figures of these are 0 as recorded, and so are the queries of raw writes.
            ("store_cpu_usage", 0.0),
            ("store_disk_read_rate", 0.0),
            ("store_disk_write_rate", 0.0),
            ("store_read_query_rate", rates.read_queries),
            ("store_read_query_rate_instant", last.read_queries),
            ("store_read_rate_bytes", rates.read_bytes),
            ("store_read_rate_bytes_instant", last.read_bytes),
            ("store_read_rate_keys", rates.read_keys),
            ("store_read_rate_keys_instant", last.read_keys),
            ("store_regions_write_rate_bytes", written.written_bytes),
            ("store_regions_write_rate_bytes_instant", written.written_bytes),
            ("store_regions_write_rate_keys", written.written_keys),
            ("store_regions_write_rate_keys_instant", written.written_keys),
            ("store_slow_trend_cause_rate", 0.0),
            ("store_slow_trend_cause_value", stats.map_or(0.0, |stats| stats.cause_value)),
            ("store_slow_trend_result_rate", 0.0),
            ("store_slow_trend_result_value", 0.0),
            ("store_used", number(used)),
            ("store_write_query_rate", 0.0),
            ("store_write_query_rate_instant", 0.0),
            ("store_write_rate_bytes", rates.written_bytes),
            ("store_write_rate_bytes_instant", last.written_bytes),
            ("store_write_rate_keys", rates.written_keys),
            ("store_write_rate_keys_instant", last.written_keys),
            ("witness_count", 0.0),
        ],
        hot,
    }
}

/// By type. All regions of the model are as small as an empty one.
fn region_gauges(model: &Model) -> [(&'static str, f64); 10] {
    let wanted = usize::try_from(model.config.replication.max_replicas).unwrap_or(usize::MAX);
    let mut gauges = [0_u64; 7];
    for region in model.regions.iter().filter(|region| region.reported) {
        let is = |of: bool| u64::from(of);
        gauges[0] += is(region.peers.iter().any(|peer| peer.down_seconds.is_some()));
        gauges[1] += 1;
        gauges[2] += is(region.peers.len() < wanted);
        gauges[3] += is(pending(region));
        gauges[4] += is(region.peers.len() > wanted);
        gauges[5] += is(region.peers.iter().any(|peer| peer.role == Role::Learner));
        let leaving = |store: usize| model.stores[store].view.node_state == NodeState::Removing;
        gauges[6] += is(region.peers.iter().any(|peer| leaving(peer.store)));
    }
    region_types(gauges.map(number))
}

fn pending(region: &Region) -> bool {
    region.peers.iter().any(|peer| peer.pending)
}

fn region_types([down, empty, miss, pending, extra, learner, offline]: [f64; 7]) -> [(&'static str, f64); 10] {
    [
        ("down-peer-region-count", down),
        ("empty-region-count", empty),
        ("extra-peer-region-count", extra),
        ("learner-peer-region-count", learner),
        ("miss-peer-region-count", miss),
        ("offline-peer-region-count", offline),
        ("oversized-region-count", 0.0),
        ("pending-peer-region-count", pending),
        ("undersized-region-count", empty),
        ("witness-leader-region-count", 0.0),
    ]
}

/// Families in the order of their names, as the registry writes them.
pub(super) fn collect(model: &Model, index: usize, take: &mut Take) {
    let (member, metrics) = (&model.members[index], &model.metrics.members[index]);
    let gauges = model.metrics.cluster.as_ref().filter(|(leader, _)| *leader == index).map(|(_, gauges)| gauges);
    let leads = model.leadership.leader() == Some(index);
    let etcd_leader = metrics.etcd_leader();

    take(&ETCD_HAS_LEADER, &[], flag(etcd_leader.is_some()));
    take(&ETCD_ID, &[("server_id", &format!("{:x}", member.id))], 1.0);
    take(&ETCD_IS_LEADER, &[], flag(etcd_leader == Some(index)));
    take(&ETCD_LEADER_CHANGES, &[], number(metrics.leader_changes));
    for (event, count) in &metrics.rule_checker {
        take(&CHECKER_EVENTS, &[("name", event), ("type", "rule_checker")], number(*count));
    }
    for (name, health) in gauges.iter().flat_map(|gauges| &gauges.health) {
        take(&CLUSTER_HEALTH, &[("name", name)], *health);
    }
    take(&CLUSTER_METADATA, &[("type", &format!("cluster{}", model.cluster_id))], 0.0);
    collect_stores(gauges, take);
    collect_hot_cache(gauges, take);
    take(&TIME_JUMPS, &[], number(metrics.time_jumps));
    // Set to zero when the process starts, hence also on a follower.
    let regions = gauges.map_or_else(|| region_types([0.0; 7]), |gauges| gauges.regions);
    for (kind, value) in regions {
        take(&REGIONS_STATUS, &[("type", kind)], value);
    }
    collect_operators(metrics, take);
    if let Some(store) = model.schedule.slow_store.evicted().filter(|_| leads) {
        let address = model.stores.iter().find(|other| other.id == store).map(Store::address).unwrap_or_default();
        take(&EVICTED_SLOW_STORE, &[("address", &address), ("store", &store.to_string())], 1.0);
    }
    collect_heartbeats(model, &metrics.region_heartbeats, take);
    for StoreGauges { id, address, scheduler, .. } in gauges.iter().flat_map(|gauges| &gauges.stores) {
        for (kind, value) in scheduler {
            take(&STORE_STATUS, &[("address", address), ("store", id), ("type", kind)], *value);
        }
    }
    if metrics.has_led {
        let labels = [("dc", "global"), ("group", "0"), ("type", "system_time_slow")];
        take(&TSO_EVENTS, &labels, number(metrics.slow_timestamps(model.now)));
    }
    take(&TSO_ROLE, &[("dc", "global"), ("group", "0")], flag(leads));
    if let Some(since) = member.process.running_since() {
        // The kernel counts in hundredths of a second.
        let (up, led) = (model.now.saturating_sub(since), metrics.led_for(model.now));
        let seconds = CPU_MEMBER * up.as_secs_f64() + CPU_LEADER * led.as_secs_f64();
        take(&CPU_SECONDS, &[], (seconds * 100.0).floor() / 100.0);
        take(&START_TIME, &[], (epoch_seconds(since) * 100.0).floor() / 100.0);
    }
    if metrics.has_led {
        take(&MEMBER_ROLE, &[("service", "PD")], flag(leads));
    }
}

fn collect_stores(gauges: Option<&ClusterGauges>, take: &mut Take) {
    let mut stores: Vec<&StoreGauges> = gauges.iter().flat_map(|gauges| &gauges.stores).collect();
    stores.sort_by(|left, right| left.id.cmp(&right.id));
    for StoreGauges { id, cluster, .. } in stores {
        for (kind, value) in cluster {
            take(&CLUSTER_STATUS, &[("engine", "tikv"), ("store", id), ("type", kind)], *value);
        }
    }
}

/// The thresholds are those of a cluster with few hot regions.
fn collect_hot_cache(gauges: Option<&ClusterGauges>, take: &mut Take) {
    let mut stores: Vec<&StoreGauges> = gauges.iter().flat_map(|gauges| &gauges.stores).collect();
    stores.sort_by(|left, right| left.id.cmp(&right.id));
    for store in stores {
        let id = format!("store-{}", store.id);
        // Of reads nothing is shown before a region was hot by them.
        for (kind, write) in
            [("read", false), ("write", true)].into_iter().filter(|(_, write)| *write || store.hot[0] > 0)
        {
            let (bytes, keys) = HotRegions::thresholds(write);
            for (name, value) in [
                ("byte-rate-threshold", bytes),
                ("key-rate-threshold", keys),
                // A query is counted as a key (`pd:pkg/statistics/utils/constant.go`).
                ("query-rate-threshold", keys),
                ("total_length", number(store.hot[usize::from(write)])),
            ] {
                take(&HOT_CACHE, &[("name", name), ("store", &id), ("type", kind)], value);
            }
        }
    }
}

fn collect_operators(metrics: &MemberMetrics, take: &mut Take) {
    for ((event, kind), count) in &metrics.operators {
        take(&OPERATORS, &[("event", event), ("type", kind)], number(*count));
    }
}

fn collect_heartbeats(model: &Model, taken: &[u64], take: &mut Take) {
    for (store, count) in model.stores.iter().zip(taken).filter(|(_, count)| **count > 0) {
        let (address, id) = (store.address(), store.id.to_string());
        for status in ["ok", "recv"] {
            let labels = [("address", address.as_str()), ("status", status), ("store", &id), ("type", "report")];
            take(&REGION_HEARTBEAT, &labels, number(*count));
        }
    }
}
