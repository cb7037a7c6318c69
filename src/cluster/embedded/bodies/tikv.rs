//! TiKV's status port: `/config` and `/region/{id}` (`tikv:src/server/status_server`).

use serde::Serialize;
use serde_json::{Map, Value};

use super::super::model::Model;
use super::super::region::{Peer, Region, Role};

/// The recorded configuration (fixtures/recordings/baseline-tikv-config.json), of TiKV 9.0.0-beta.2 and small limits;
/// only the addresses are another node's.
const CONFIG: &str = include_str!("tikv_config.json");

/// `/config` of one store, by its index.
pub(in super::super) fn config(model: &Model, store: usize) -> serde_json::Result<String> {
    let mut config: Map<String, Value> = serde_json::from_str(CONFIG)?;
    let store = &model.stores[store];
    config["server"]["advertise-addr"] = store.address().into();
    config["server"]["advertise-status-addr"] = format!("{}:20180", store.name).into();
    let endpoints = model.members.iter().map(|member| Value::from(format!("{}:2379", member.name)));
    config["pd"]["endpoints"] = endpoints.collect();
    serde_json::to_string(&config)
}

#[derive(Serialize)]
pub(in super::super) struct RegionMeta {
    group_state: &'static str,
    raft_status: RaftStatus,
    raft_apply: RaftApply,
    region_state: RegionState,
    bucket_keys: [Value; 0],
}

#[derive(Serialize)]
struct RaftStatus {
    id: u64,
    hard_state: HardState,
    soft_state: SoftState,
    applied: u64,
    /// What the leader knows of the voters; empty on a follower.
    voters: Map<String, Value>,
    learners: Map<String, Value>,
    last_index: u64,
    persisted_index: u64,
}

#[derive(Serialize)]
struct HardState {
    term: u64,
    vote: u64,
    commit: u64,
}

#[derive(Serialize)]
struct SoftState {
    leader_id: u64,
    raft_state: &'static str,
}

#[derive(Serialize)]
struct Progress {
    matched: u64,
    next_idx: u64,
    state: &'static str,
    paused: bool,
    pending_snapshot: u64,
    pending_request_snapshot: u64,
    recent_active: bool,
}

#[derive(Serialize)]
struct RaftApply {
    applied_index: u64,
    commit_index: u64,
    commit_term: u64,
    truncated_state: TruncatedState,
}

#[derive(Serialize)]
struct TruncatedState {
    index: u64,
    term: u64,
}

#[derive(Serialize)]
struct RegionState {
    id: u64,
    start_key: Vec<u8>,
    end_key: Vec<u8>,
    epoch: Epoch,
    peers: Vec<PeerState>,
    merge_state: Option<Value>,
    tablet_index: u64,
}

#[derive(Serialize)]
struct Epoch {
    conf_ver: u64,
    version: u64,
}

#[derive(Serialize)]
struct PeerState {
    id: u64,
    store_id: u64,
    role: &'static str,
    is_witness: bool,
}

/// What a store knows of a region by its id; none if it has no peer of it.
pub(in super::super) fn region(model: &Model, store: usize, id: u64) -> Option<RegionMeta> {
    let region = model.regions.iter().find(|region| region.id == id)?;
    let own = region.peer_on(store)?;
    let peer = &region.peers[own];
    let index = last_index(region);
    let soft_state = soft_state(region, own);
    let leads = soft_state.raft_state == "Leader";
    let of = |votes: bool| -> Map<String, Value> {
        let members = region.peers.iter().filter(|member| leads && member.votes() == votes);
        members.map(|member| (member.id.to_string(), progress(model, region, member, leads))).collect()
    };
    let state = |peer: &Peer| PeerState {
        id: peer.id,
        store_id: model.stores[peer.store].id,
        role: match peer.role {
            Role::Voter => "Voter",
            Role::Learner => "Learner",
            Role::IncomingVoter => "IncomingVoter",
            Role::DemotingVoter => "DemotingVoter",
        },
        is_witness: false,
    };
    Some(RegionMeta {
        group_state: match (region.active, soft_state.leader_id) {
            (true, _) => "Ordered",
            (false, 0) => "Chaos",
            (false, _) => "Idle",
        },
        raft_status: RaftStatus {
            id: peer.id,
            hard_state: HardState { term: region.term, vote: soft_state.leader_id, commit: index },
            soft_state,
            applied: index,
            voters: of(true),
            learners: of(false),
            last_index: index,
            persisted_index: index,
        },
        raft_apply: RaftApply {
            applied_index: index,
            commit_index: index,
            commit_term: region.term,
            truncated_state: TruncatedState { index: index - 2, term: region.term },
        },
        region_state: RegionState {
            id,
            start_key: bytes(&region.start_key),
            end_key: bytes(&region.end_key),
            epoch: Epoch { conf_ver: region.conf_ver, version: region.version },
            peers: region.peers.iter().map(state).collect(),
            merge_state: None,
            tablet_index: 0,
        },
        bucket_keys: [],
    })
}

/// The index of the last entry of a region's log, of which the model knows only those that leaders begin with: 18 in the
/// recorded term 6 (fixtures/recordings/baseline-tikv-region.json).
fn last_index(region: &Region) -> u64 {
    12 + region.term
}

fn soft_state(region: &Region, own: usize) -> SoftState {
    let leader_id = region.leader.map_or(0, |leader| region.peers[leader].id);
    let peer = &region.peers[own];
    if region.takes_itself_for_leader(own) {
        SoftState { leader_id: peer.id, raft_state: "Leader" }
    } else if peer.campaign.is_some() {
        SoftState { leader_id: 0, raft_state: "PreCandidate" }
    } else {
        SoftState { leader_id, raft_state: "Follower" }
    }
}

fn progress(model: &Model, region: &Region, voter: &Peer, leads: bool) -> Value {
    let active = leads && !voter.lagging && model.stores[voter.store].serves();
    let index = last_index(region);
    let matched = if voter.lagging { index - 1 } else { index };
    let progress = Progress {
        matched,
        next_idx: matched + 1,
        state: if active { "Replicate" } else { "Probe" },
        paused: !active,
        pending_snapshot: 0,
        pending_request_snapshot: 0,
        recent_active: active,
    };
    serde_json::json!(progress)
}

/// The bytes of a key in hex.
fn bytes(hex: &str) -> Vec<u8> {
    let digit = |place: usize| hex.get(place..place + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..hex.len()).step_by(2).filter_map(digit).collect()
}
