//! The JSON of PD's answers, field by field as its structs have them (`pd:pkg/response`, `pd:server/api`): same order,
//! same omissions. It reads the model and decides nothing.

use std::time::Duration;

use serde::Serialize;

use super::go_format::{byte_size, duration, float};
use super::model::Model;
use super::pd::Member;
use super::region::{Peer, Region};
use super::store::Store;
use super::{PD_GIT_HASH, PD_VERSION, TIKV_GIT_HASH, TIKV_VERSION, instant};

#[derive(Serialize)]
pub(super) struct VersionBody {
    version: &'static str,
    build_time: &'static str,
    hash: &'static str,
    branch: &'static str,
}

pub(super) fn version() -> VersionBody {
    VersionBody { version: PD_VERSION, build_time: "", hash: "", branch: "" }
}

#[derive(Serialize)]
pub(super) struct MemberHealth {
    name: String,
    member_id: u64,
    client_urls: [String; 1],
    health: bool,
}

/// Each member as the asked one finds it by pinging it, in the order of their ids.
pub(super) fn health(model: &Model) -> Vec<MemberHealth> {
    let health = |member: &Member| MemberHealth {
        name: member.name.to_string(),
        member_id: member.id,
        client_urls: [url(member, 2379)],
        health: member.serves(model.now),
    };
    by_id(model).into_iter().map(health).collect()
}

fn by_id(model: &Model) -> Vec<&Member> {
    let mut members: Vec<&Member> = model.members.iter().collect();
    members.sort_by_key(|member| member.id);
    members
}

fn url(member: &Member, port: u16) -> String {
    format!("http://{}:{port}", member.name)
}

#[derive(Serialize)]
pub(super) struct MembersBody {
    header: Header,
    members: Vec<MemberBody>,
    leader: MemberBody,
    etcd_leader: MemberBody,
}

#[derive(Serialize)]
struct Header {
    cluster_id: u64,
}

#[derive(Serialize)]
pub(super) struct MemberBody {
    name: String,
    member_id: u64,
    peer_urls: [String; 1],
    client_urls: [String; 1],
    #[serde(flatten)]
    build: Option<Build>,
}

#[derive(Serialize)]
struct Build {
    deploy_path: &'static str,
    binary_version: &'static str,
    git_hash: &'static str,
}

fn member(member: &Member, build: Option<Build>) -> MemberBody {
    MemberBody {
        name: member.name.to_string(),
        member_id: member.id,
        peer_urls: [url(member, 2380)],
        client_urls: [url(member, 2379)],
        build,
    }
}

fn full_member(of: &Member) -> MemberBody {
    member(of, Some(Build { deploy_path: "/", binary_version: PD_VERSION, git_hash: PD_GIT_HASH }))
}

pub(super) fn members(model: &Model, leader: usize) -> MembersBody {
    MembersBody {
        header: Header { cluster_id: model.cluster_id },
        members: by_id(model).into_iter().map(full_member).collect(),
        leader: full_member(&model.members[leader]),
        // PD campaigns only where etcd leads.
        etcd_leader: full_member(&model.members[leader]),
    }
}

pub(super) fn leader(model: &Model, leader: usize) -> MemberBody {
    member(&model.members[leader], None)
}

#[derive(Serialize)]
pub(super) struct Stores {
    count: usize,
    stores: Vec<StoreBody>,
}

#[derive(Serialize)]
struct StoreBody {
    store: Meta,
    status: Status,
}

#[derive(Serialize)]
struct Meta {
    id: u64,
    address: String,
    version: &'static str,
    peer_address: String,
    status_address: String,
    git_hash: &'static str,
    start_timestamp: i64,
    deploy_path: &'static str,
    #[serde(skip_serializing_if = "is_zero")]
    last_heartbeat: u64,
    node_state: u8,
    state_name: &'static str,
}

#[derive(Serialize)]
struct Status {
    capacity: String,
    available: String,
    used_size: String,
    leader_count: usize,
    leader_weight: u8,
    leader_score: usize,
    leader_size: u64,
    region_count: usize,
    region_weight: u8,
    #[serde(serialize_with = "float")]
    region_score: f64,
    region_size: u64,
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The stores in the order of their ids; none if those in the cluster are not wanted, as no others exist.
pub(super) fn stores(model: &Model, in_cluster: bool) -> Stores {
    let registered = |index: &usize| in_cluster && model.stores[*index].view.registered;
    let mut indices: Vec<usize> = (0..model.stores.len()).filter(registered).collect();
    indices.sort_by_key(|index| model.stores[*index].id);
    let stores: Vec<StoreBody> = indices.into_iter().map(|index| store(model, index)).collect();
    Stores { count: stores.len(), stores }
}

fn store(model: &Model, index: usize) -> StoreBody {
    let store = &model.stores[index];
    let heard = store.view.last_heartbeat.map(instant).unwrap_or_default();
    let meta = Meta {
        id: store.id,
        address: store.address(),
        version: TIKV_VERSION,
        peer_address: store.address(),
        status_address: format!("{}:20180", store.name),
        git_hash: TIKV_GIT_HASH,
        start_timestamp: store.view.start_timestamp,
        deploy_path: "/",
        last_heartbeat: u64::try_from(heard.as_nanosecond()).unwrap_or_default(),
        node_state: 1,
        state_name: store.view.state_name(model.now, model.config.schedule.max_store_down_time),
    };
    StoreBody { store: meta, status: status(model, index, store, heard) }
}

fn status(model: &Model, index: usize, store: &Store, heard: jiff::Timestamp) -> Status {
    let led = model.regions.iter().filter(|region| region.known_leader_store() == Some(index)).count();
    let peers = || known_regions(model).filter_map(|region| region.peer_on(index).map(|peer| &region.peers[peer]));
    let count = peers().count();
    let stats = store.view.stats;
    let (capacity, used) = stats.map_or((0, 0), |stats| (stats.capacity, stats.used));
    let available = capacity.saturating_sub(used);
    let started = jiff::Timestamp::from_second(store.view.start_timestamp).unwrap_or_default();
    let uptime = Duration::try_from(heard.duration_since(started)).ok().filter(|uptime| !uptime.is_zero());
    Status {
        capacity: byte_size(capacity),
        available: byte_size(available),
        used_size: byte_size(used),
        leader_count: led,
        leader_weight: 1,
        leader_score: led,
        leader_size: led as u64 * APPROXIMATE_SIZE,
        region_count: count,
        region_weight: 1,
        region_score: region_score(
            capacity,
            available,
            count as u64 * APPROXIMATE_SIZE,
            model.config.schedule.low_space_ratio,
        ),
        region_size: count as u64 * APPROXIMATE_SIZE,
        pending_peer_count: peers().filter(|peer| peer.pending).count() as u64,
        slow_score: stats.map(|_| 1),
        slow_trend: stats.map(|stats| SlowTrend {
            cause_value: stats.cause_value,
            cause_rate: 0,
            result_value: 0,
            result_rate: 0,
        }),
        is_busy: stats.is_some_and(|stats| stats.busy),
        start_ts: started.to_string(),
        last_heartbeat_ts: heard.to_string(),
        uptime: uptime.map(duration),
    }
}

/// The size of a small region, in MiB: PD never shows less than 1.
pub(super) const APPROXIMATE_SIZE: u64 = 1;

/// PD's score of a store by its space, formula v2 (`pd:pkg/core/store.go`, `regionScoreV2`). Space in bytes, size in
/// MiB.
#[expect(clippy::cast_precision_loss, reason = "PD computes in float64 too")]
pub(super) fn region_score(capacity: u64, available: u64, size: u64, low_space_ratio: f64) -> f64 {
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

pub(super) fn known_regions(model: &Model) -> impl Iterator<Item = &Region> {
    model.regions.iter().filter(|region| region.known_leader.is_some())
}

#[derive(Serialize)]
pub(super) struct Regions<'a> {
    count: usize,
    regions: Vec<RegionBody<'a>>,
}

#[derive(Serialize)]
struct RegionBody<'a> {
    id: u64,
    start_key: &'a str,
    end_key: &'a str,
    epoch: Epoch,
    peers: Vec<PeerBody>,
    leader: Option<PeerBody>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    down_peers: Vec<DownPeer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pending_peers: Vec<PeerBody>,
    cpu_usage: u64,
    written_bytes: u64,
    read_bytes: u64,
    written_keys: u64,
    read_keys: u64,
    approximate_size: u64,
    approximate_keys: u64,
}

#[derive(Serialize)]
struct Epoch {
    conf_ver: u64,
    version: u64,
}

#[derive(Serialize)]
struct PeerBody {
    role_name: &'static str,
    id: u64,
    store_id: u64,
}

#[derive(Serialize)]
struct DownPeer {
    peer: PeerBody,
    down_seconds: u64,
}

/// Regions with fewer peers than the rules ask for: none, as a dead store's peers stay in their regions.
pub(super) fn miss_peer(model: &Model) -> Regions<'_> {
    let wanted = model.regions.iter().map(|region| region.peers.len()).max().unwrap_or_default();
    check(model, |region| region.peers.len() < wanted)
}

/// Regions with a peer that its leader reports down.
pub(super) fn down_peer(model: &Model) -> Regions<'_> {
    check(model, |region| region.peers.iter().any(|peer| peer.down_seconds.is_some()))
}

/// Regions with a peer that its leader reports pending.
pub(super) fn pending_peer(model: &Model) -> Regions<'_> {
    check(model, |region| region.peers.iter().any(|peer| peer.pending))
}

fn check(model: &Model, wanted: impl Fn(&Region) -> bool) -> Regions<'_> {
    let found = known_regions(model).filter(|region| region.reported && wanted(region));
    let regions: Vec<RegionBody> = found.map(|region| region_body(model, region)).collect();
    Regions { count: regions.len(), regions }
}

fn region_body<'a>(model: &Model, region: &'a Region) -> RegionBody<'a> {
    let body = |peer: &Peer| PeerBody { role_name: "Voter", id: peer.id, store_id: model.stores[peer.store].id };
    let down = |peer: &Peer| peer.down_seconds.map(|down_seconds| DownPeer { peer: body(peer), down_seconds });
    RegionBody {
        id: region.id,
        start_key: &region.start_key,
        end_key: &region.end_key,
        epoch: Epoch { conf_ver: region.conf_ver, version: region.version },
        peers: region.peers.iter().map(body).collect(),
        leader: region.known_leader.map(|leader| body(&region.peers[leader])),
        down_peers: region.peers.iter().filter_map(down).collect(),
        pending_peers: region.peers.iter().filter(|peer| peer.pending).map(body).collect(),
        cpu_usage: 0,
        written_bytes: 0,
        read_bytes: 0,
        written_keys: 0,
        read_keys: 0,
        approximate_size: APPROXIMATE_SIZE,
        approximate_keys: 0,
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
