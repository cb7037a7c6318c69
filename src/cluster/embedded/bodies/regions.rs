//! Regions: `/regions…`, `/region/…`. Their sizes and keys are those of small ones.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use super::super::model::Model;
use super::super::region::{Peer, Region, Role};
use super::super::store::NodeState;
use super::{APPROXIMATE_SIZE, is_zero, known_regions, whole};

/// The keys of a small region, as it is reported (fixtures/recordings/baseline-pd-api.json).
const APPROXIMATE_KEYS: u64 = 0;
/// A region of this size, in MiB, or less is empty (`pd:pkg/core/region.go`, `EmptyRegionApproximateSize`).
pub(super) const EMPTY_SIZE: u64 = 1;
/// A region of this size, in MiB, or more is too large: TiKV's `region-max-size`.
const OVERSIZE: u64 = 384;

#[derive(Serialize)]
pub(in super::super) struct Regions<'a> {
    count: usize,
    regions: Vec<RegionBody<'a>>,
}

/// One region.
#[derive(Serialize)]
pub(in super::super) struct RegionBody<'a> {
    id: u64,
    start_key: &'a str,
    end_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<Epoch>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
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
    /// As the enum of protobuf has it; 0 is left out.
    #[serde(skip_serializing_if = "is_zero")]
    role: u64,
    role_name: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_learner: bool,
    #[serde(skip_serializing_if = "is_zero")]
    id: u64,
    #[serde(skip_serializing_if = "is_zero")]
    store_id: u64,
}

#[derive(Serialize)]
struct DownPeer {
    peer: PeerBody,
    down_seconds: u64,
}

/// Regions with something to look at (`pd:pkg/statistics/region_collection.go`), as their leaders report it; none before
/// a region was reported to this PD leader. None for a kind that PD does not know.
pub(in super::super) fn check<'a>(model: &'a Model, kind: &str) -> Option<Regions<'a>> {
    let replicas = usize::try_from(model.config.replication.max_replicas).unwrap_or(usize::MAX);
    let is: &dyn Fn(&Region) -> bool = match kind {
        "miss-peer" => &|region| region.peers.len() < replicas,
        "extra-peer" => &|region| region.peers.len() > replicas,
        "pending-peer" => &|region| region.peers.iter().any(|peer| peer.pending),
        "down-peer" => &|region| region.peers.iter().any(|peer| peer.down_seconds.is_some()),
        "empty-region" => &|_| APPROXIMATE_SIZE <= EMPTY_SIZE,
        // It has no more keys than PD would merge, either.
        "undersized-region" => &|_| APPROXIMATE_SIZE <= model.config.schedule.max_merge_region_size,
        "oversized-region" => &|_| APPROXIMATE_SIZE >= OVERSIZE,
        "offline-peer" => {
            &|region| region.peers.iter().any(|peer| model.stores[peer.store].view.node_state == NodeState::Removing)
        }
        "learner-peer" => &|region| region.peers.iter().any(|peer| peer.role == Role::Learner),
        _ => return None,
    };
    Some(bodies(model, model.regions.iter().filter(|region| region.reported && is(region))))
}

/// All regions.
pub(in super::super) fn all(model: &Model) -> Regions<'_> {
    bodies(model, known_regions(model))
}

/// The regions with a peer on a store, by the store's id.
pub(in super::super) fn of_store(model: &Model, store: u64) -> Regions<'_> {
    let has_peer = |region: &&Region| region.peers.iter().any(|peer| model.stores[peer.store].id == store);
    bodies(model, known_regions(model).filter(has_peer))
}

/// How the regions are ranked by `/regions/{order}`; none if PD does not rank them so.
pub(in super::super) fn order(name: &str) -> Option<fn(&Region) -> u64> {
    Some(match name {
        "writeflow" => |region| whole(region.flow.written_bytes),
        "readflow" => |region| whole(region.flow.read_bytes),
        // A raw write counts as no query (fixtures/recordings/hot-region.hotspot.jsonl).
        "writequery" | "cpu" => |_| 0,
        "readquery" => |region| whole(region.flow.read_queries),
        "confver" => |region| region.conf_ver,
        "version" => |region| region.version,
        "size" => |_| APPROXIMATE_SIZE,
        "keys" => |_| APPROXIMATE_KEYS,
        _ => return None,
    })
}

/// The first regions of an order, the largest first.
pub(in super::super) fn top(model: &Model, order: fn(&Region) -> u64, limit: usize) -> Regions<'_> {
    let mut ranked: Vec<&Region> = known_regions(model).collect();
    ranked.sort_by_key(|region| Reverse(order(region)));
    bodies(model, ranked.into_iter().take(limit))
}

/// The regions of a range of keys in hex; an empty end is the end of all keys. They are in the order of their keys.
pub(in super::super) fn range<'a>(model: &'a Model, start: &str, end: &str, limit: usize) -> Regions<'a> {
    bodies(model, in_range(model, start, end).into_iter().take(limit))
}

/// The known regions of a range of keys in hex, in the order of their keys.
pub(in super::super) fn in_range<'a>(model: &'a Model, start: &str, end: &str) -> Vec<&'a Region> {
    let within = |region: &&Region| {
        (region.end_key.is_empty() || region.end_key.as_str() > start)
            && (end.is_empty() || region.start_key.as_str() < end)
    };
    let mut found: Vec<&Region> = known_regions(model).filter(within).collect();
    found.sort_by(|left, right| left.start_key.cmp(&right.start_key));
    found
}

/// One region, or what PD says of one that it does not know.
pub(in super::super) fn one<'a>(model: &'a Model, region: Option<&'a Region>) -> RegionBody<'a> {
    region.map_or_else(RegionBody::unknown, |region| body(model, region))
}

/// A region and its known neighbours: the one before it and the one behind it, either of which may be unknown.
pub(in super::super) fn siblings<'a>(model: &'a Model, region: &Region) -> Regions<'a> {
    let before = known_regions(model).find(|other| !other.end_key.is_empty() && other.end_key == region.start_key);
    let behind = known_regions(model).find(|other| !other.start_key.is_empty() && other.start_key == region.end_key);
    Regions { count: 2, regions: vec![one(model, before), one(model, behind)] }
}

/// The ranges of keys of which PD knows no region.
pub(in super::super) fn holes(model: &Model) -> Vec<[String; 2]> {
    let (mut holes, mut reached) = (Vec::new(), Some(String::new()));
    for region in in_range(model, "", "") {
        if let Some(last) = reached.filter(|last| *last < region.start_key) {
            holes.push([last, region.start_key.clone()]);
        }
        reached = Some(region.end_key.clone()).filter(|end| !end.is_empty());
    }
    holes.extend(reached.map(|last| [last, String::new()]));
    holes
}

/// How many regions there are, without the regions.
#[derive(Serialize)]
pub(in super::super) struct Count {
    count: usize,
    regions: (),
}

pub(in super::super) fn count(model: &Model) -> Count {
    Count { count: known_regions(model).count(), regions: () }
}

/// A bar of a histogram, from its start to its end, both within.
#[derive(Serialize)]
pub(in super::super) struct Bar {
    start: u64,
    end: u64,
    count: usize,
}

/// The sizes of the regions, in MiB, or the numbers of their keys.
pub(in super::super) fn histogram(model: &Model, order: fn(&Region) -> u64, bound: u64) -> Vec<Bar> {
    let mut bars: BTreeMap<u64, usize> = BTreeMap::new();
    for region in known_regions(model) {
        *bars.entry(order(region) / bound).or_default() += 1;
    }
    bars.into_iter().map(|(bar, count)| Bar { start: bar * bound, end: (bar + 1) * bound - 1, count }).collect()
}

fn bodies<'a>(model: &'a Model, regions: impl Iterator<Item = &'a Region>) -> Regions<'a> {
    let regions: Vec<RegionBody> = regions.map(|region| body(model, region)).collect();
    Regions { count: regions.len(), regions }
}

impl RegionBody<'_> {
    /// PD shows a region that it does not know with all of its fields at nothing.
    fn unknown() -> Self {
        Self {
            id: 0,
            start_key: "",
            end_key: "",
            epoch: None,
            peers: Vec::new(),
            leader: Some(PeerBody { role: 0, role_name: "", is_learner: false, id: 0, store_id: 0 }),
            down_peers: Vec::new(),
            pending_peers: Vec::new(),
            cpu_usage: 0,
            written_bytes: 0,
            read_bytes: 0,
            written_keys: 0,
            read_keys: 0,
            approximate_size: 0,
            approximate_keys: 0,
        }
    }
}

fn peer_body(model: &Model, peer: &Peer) -> PeerBody {
    let (role, role_name) = match peer.role {
        Role::Voter => (0, "Voter"),
        Role::Learner => (1, "Learner"),
        Role::IncomingVoter => (2, "IncomingVoter"),
        Role::DemotingVoter => (3, "DemotingVoter"),
    };
    PeerBody { role, role_name, is_learner: role == 1, id: peer.id, store_id: model.stores[peer.store].id }
}

fn body<'a>(model: &Model, region: &'a Region) -> RegionBody<'a> {
    let body = |peer: &Peer| peer_body(model, peer);
    let down = |peer: &Peer| peer.down_seconds.map(|down_seconds| DownPeer { peer: body(peer), down_seconds });
    RegionBody {
        id: region.id,
        start_key: &region.start_key,
        end_key: &region.end_key,
        epoch: Some(Epoch { conf_ver: region.conf_ver, version: region.version }),
        peers: region.peers.iter().map(body).collect(),
        leader: region.known_leader.or(region.leader).map(|leader| body(&region.peers[leader])),
        down_peers: region.peers.iter().filter_map(down).collect(),
        pending_peers: region.peers.iter().filter(|peer| peer.pending).map(body).collect(),
        cpu_usage: 0,
        written_bytes: whole(region.flow.written_bytes),
        read_bytes: whole(region.flow.read_bytes),
        written_keys: whole(region.flow.written_keys),
        read_keys: whole(region.flow.read_keys),
        approximate_size: APPROXIMATE_SIZE,
        approximate_keys: APPROXIMATE_KEYS,
    }
}
