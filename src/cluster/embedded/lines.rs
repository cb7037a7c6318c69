//! What the processes write to their logs at the events of the model, worded as in
//! `fixtures/recordings/store-kill.log.gz` and, for PD's elections, as its version 8.5.5 does.

pub(super) mod disk;
pub(super) mod network;
pub(super) mod pd;

use std::time::Duration;

use super::log::{Fields, Log, Origin};
use super::pd::Member;
use super::region::Region;
use super::store::Store;
use super::{PD_VERSION, TIKV_GIT_HASH, TIKV_VERSION};
use crate::reading::NodeName;

/// The thread of raftstore in every TiKV of the recordings.
const RAFTSTORE: u32 = 78;
/// The thread of the Raft client.
const RAFT_CLIENT: u32 = 50;

/// A store notices that its connection to another is reset.
pub(super) fn connection_lost(log: &mut Log, at: Duration, here: &Store, lost: &Store) {
    let (address, reset) =
        (lost.address(), "RpcStatus { code: 14-UNAVAILABLE, message: \"Socket closed\", details: [] }");
    log.write(
        at,
        &here.name,
        Origin("WARN", "raft_client.rs:606"),
        "connection aborted",
        &[
            ("addr", &address),
            ("receiver_err", &format!("Some(RpcFailure({reset}))")),
            ("sink_error", &format!("Some(RpcFinished(Some({reset})))")),
            ("store_id", &lost.id),
            ("thread_id", &7),
        ],
    );
    let fields: Fields = &[("addr", &address), ("store_id", &lost.id), ("thread_id", &RAFT_CLIENT)];
    log.write(at, &here.name, Origin("WARN", "raft_client.rs:942"), "connection abort", fields);
    log.write(
        at,
        &here.name,
        Origin("INFO", "store.rs:3297"),
        "broadcasting unreachable",
        &[("unreachable_store_id", &lost.id), ("store_id", &here.id), ("thread_id", &RAFTSTORE)],
    );
}

/// A store has waited for a connection in vain.
pub(super) fn connect_timeout(log: &mut Log, at: Duration, here: &Store, lost: &Store) {
    log.write(
        at,
        &here.name,
        Origin("WARN", "raft_client.rs:887"),
        "wait connect timeout",
        &[("addr", &lost.address()), ("store_id", &lost.id), ("thread_id", &RAFT_CLIENT)],
    );
}

/// A store has its connection to another again.
pub(super) fn connected(log: &mut Log, at: Duration, here: &Store, back: &Store) {
    log.write(
        at,
        &here.name,
        Origin("INFO", "raft_client.rs:900"),
        "connection established",
        &[("addr", &back.address()), ("store_id", &back.id), ("thread_id", &RAFT_CLIENT)],
    );
}

/// A peer is elected in the term that the region has now.
pub(super) fn elected(log: &mut Log, at: Duration, here: &Store, region: &Region, peer: u64) {
    let (before, term) = (region.term - 1, region.term);
    let mut raft = |source, message: &str, term: u64| {
        let fields: Fields =
            &[("term", &term), ("raft_id", &peer), ("region_id", &region.id), ("thread_id", &RAFTSTORE)];
        log.write(at, &here.name, Origin("INFO", source), message, fields);
    };
    raft("raft.rs:1569", "starting a new election", before);
    raft("raft.rs:1213", &format!("became pre-candidate at term {before}"), before);
    raft("raft.rs:1187", &format!("became candidate at term {term}"), term);
    raft("raft.rs:1271", &format!("became leader at term {term}"), term);
}

/// A peer asks whether it would be elected, and hears nothing.
pub(super) fn campaign(log: &mut Log, at: Duration, here: &Store, region: &Region, index: usize) {
    let (peer, term) = (region.peers[index].id, region.term);
    let others: Vec<String> =
        region.peers.iter().filter(|other| other.id != peer).map(|other| other.id.to_string()).collect();
    let to = format!("[{}]", others.join(", "));
    let mut raft = |source, message: &str, more: Fields| {
        let base: Fields = &[("term", &term), ("raft_id", &peer), ("region_id", &region.id), ("thread_id", &RAFTSTORE)];
        log.write(at, &here.name, Origin("INFO", source), message, &[more, base].concat());
    };
    raft("raft.rs:1569", "starting a new election", &[]);
    raft("raft.rs:1213", &format!("became pre-candidate at term {term}"), &[]);
    raft("raft.rs:1333", "broadcasting vote request", &[("to", &to), ("type", &"MsgRequestPreVote")]);
}

/// A peer that took itself for the leader hears of a newer one.
pub(super) fn deposed(log: &mut Log, at: Duration, here: &Store, region: &Region, index: usize) {
    let (peer, term) = (region.peers[index].id, region.term);
    let leader = region.leader.map_or(0, |leader| region.peers[leader].id);
    let fields: Fields = &[
        ("msg type", &"MsgHeartbeat"),
        ("message_term", &term),
        ("term", &(term - 1)),
        ("from", &leader),
        ("raft_id", &peer),
        ("region_id", &region.id),
        ("thread_id", &RAFTSTORE),
    ];
    let message = format!("received a message with higher term from {leader}");
    log.write(at, &here.name, Origin("INFO", "raft.rs:1399"), &message, fields);
    let fields: Fields = &[
        ("from_role", &"Leader"),
        ("term", &term),
        ("raft_id", &peer),
        ("region_id", &region.id),
        ("thread_id", &RAFTSTORE),
    ];
    log.write(at, &here.name, Origin("INFO", "raft.rs:1162"), &format!("became follower at term {term}"), fields);
}

/// A leader hands its region over because PD asked for it.
pub(super) fn transferring(log: &mut Log, at: Duration, here: &Store, region: &Region, from: u64, to: (u64, u64)) {
    log.write(
        at,
        &here.name,
        Origin("INFO", "peer.rs:4092"),
        "transfer leader",
        &[
            ("peer", &format!("id: {} store_id: {}", to.0, to.1)),
            ("peer_id", &from),
            ("region_id", &region.id),
            ("thread_id", &RAFTSTORE),
        ],
    );
}

/// A leader has heard no quorum for an election time-out.
pub(super) fn stepped_down(log: &mut Log, at: Duration, here: &Store, region: &Region, peer: u64) {
    log.write(
        at,
        &here.name,
        Origin("WARN", "raft.rs:2054"),
        "stepped down to follower since quorum is not active",
        &[("raft_id", &peer), ("region_id", &region.id), ("thread_id", &RAFTSTORE)],
    );
}

/// A store is asked to end.
pub(super) fn shutdown_begins(log: &mut Log, at: Duration, node: &NodeName) {
    let message = "receive signal 15, starting graceful shutdown...";
    log.write(at, node, Origin("INFO", "signal_handler.rs:44"), message, &[("thread_id", &119)]);
    shutdown_state(log, at, node, true);
}

fn shutdown_state(log: &mut Log, at: Duration, node: &NodeName, state: bool) {
    let fields: Fields = &[("state", &state), ("thread_id", &27)];
    log.write(at, node, Origin("INFO", "pd.rs:2030"), "handle graceful shutdown", fields);
}

/// A store that is to end still has leaders.
pub(super) fn shutdown_waits(log: &mut Log, at: Duration, node: &NodeName, elapsed: Duration, leaders: usize) {
    let elapsed = format!("{elapsed:?}");
    let fields: Fields = &[("elapsed", &elapsed), ("leaders_count", &leaders), ("thread_id", &1)];
    log.write(at, node, Origin("INFO", "server.rs:1753"), "Waiting for leader eviction", fields);
}

/// A store ends: without a leader, or because it has waited long enough.
pub(super) fn shutdown_ends(log: &mut Log, at: Duration, node: &NodeName, leaders: usize) {
    let (origin, message) = if leaders == 0 {
        (Origin("INFO", "server.rs:1741"), "All leaders evicted, completing graceful shutdown".to_owned())
    } else {
        // Not recorded; the message is TiKV 8.5.5's (`tikv:components/server/src/server.rs`).
        let message = format!("Graceful shutdown timeout reached with {leaders} leaders remaining");
        (Origin("WARN", "server.rs:1745"), message)
    };
    log.write(at, node, origin, &message, &[("thread_id", &1)]);
    shutdown_state(log, at, node, false);
}

/// PD's leader begins to move leaders off a store that is stopping.
pub(super) fn eviction_begins(log: &mut Log, at: Duration, pd: &NodeName, store: u64) {
    let message = "detected stopping store, start to evict leaders";
    log.write(at, pd, Origin("INFO", "evict_stopping_store.go:319"), message, &[("store-id", &store)]);
}

/// A store says that it is no longer stopping.
pub(super) fn eviction_ends(log: &mut Log, at: Duration, pd: &NodeName, store: u64) {
    let message = "stopping store has been recovered";
    log.write(at, pd, Origin("INFO", "evict_stopping_store.go:290"), message, &[("store-id", &store)]);
}

/// The first lines of a TiKV process.
pub(super) fn tikv_starts(log: &mut Log, at: Duration, node: &NodeName) {
    let version = format!("Release Version:   {TIKV_VERSION}");
    let hash = format!("Git Commit Hash:   {TIKV_GIT_HASH}");
    log.write(at, node, Origin("INFO", "lib.rs:84"), "Welcome to TiKV", &[("thread_id", &1)]);
    for message in [version, "Edition:           Community".to_owned(), hash] {
        log.write(at, node, Origin("INFO", "lib.rs:89"), &message, &[("thread_id", &1)]);
    }
}

/// A TiKV process serves.
pub(super) fn tikv_ready(log: &mut Log, at: Duration, node: &NodeName) {
    log.write(at, node, Origin("INFO", "server.rs:422"), "TiKV is ready to serve", &[("thread_id", &1)]);
}

/// The first lines of a PD process.
pub(super) fn pd_starts(log: &mut Log, at: Duration, node: &NodeName) {
    log.write(at, node, Origin("INFO", "versioninfo.go:98"), "Welcome to Placement Driver (PD)", &[]);
    log.write(at, node, Origin("INFO", "versioninfo.go:99"), "PD", &[("release-version", &PD_VERSION)]);
}

/// PD's leader takes note of a store.
pub(super) fn store_put(log: &mut Log, at: Duration, pd: &NodeName, store: &Store) {
    let (id, address, name, start) = (store.id, store.address(), &store.name, store.view.start_timestamp);
    let text = format!(
        "id:{id} address:\"{address}\" version:\"{TIKV_VERSION}\" peer_address:\"{address}\" \
         status_address:\"{name}:20180\" git_hash:\"{TIKV_GIT_HASH}\" start_timestamp:{start} deploy_path:\"/\" "
    );
    log.write(at, pd, Origin("INFO", "grpc_service.go:899"), "put store ok", &[("store", &text)]);
}

/// PD's leader hears of another leader of a region, by ids of stores.
pub(super) fn leader_changed(log: &mut Log, at: Duration, pd: &NodeName, region: u64, from: u64, to: u64) {
    let fields: Fields = &[("region-id", &region), ("from", &from), ("to", &to)];
    log.write(at, pd, Origin("INFO", "region.go:784"), "leader changed", fields);
}

/// PD's leader cannot reach a store over its heartbeat stream.
pub(super) fn keepalive_failed(log: &mut Log, at: Duration, pd: &NodeName, store: u64) {
    let message = "send keepalive message fail, store maybe disconnected";
    let fields: Fields = &[("target-store-id", &store), ("error", &"EOF")];
    log.write(at, pd, Origin("WARN", "heartbeat_streams.go:168"), message, fields);
}

/// etcd, as a member sees it, elects a leader in place of another.
pub(super) fn etcd_elected(log: &mut Log, at: Duration, here: &Member, lost: Option<u64>, winner: u64, term: u64) {
    let mut raft = |message: &str| log.write(at, &here.name, Origin("INFO", "raft] [zap_raft.go:77"), message, &[]);
    if let Some(lost) = lost {
        raft(&format!("raft.node: {:x} lost leader {lost:x} at term {}", here.id, term - 1));
    }
    if here.id == winner {
        raft(&format!("{winner:x} became leader at term {term}"));
    }
    raft(&format!("raft.node: {:x} elected leader {winner:x} at term {term}", here.id));
}

/// A member sees that the old PD leader's key is gone.
pub(super) fn pd_key_expired(log: &mut Log, at: Duration, here: &Member, campaigns: bool) {
    let purpose: Fields = &[("purpose", &"leader election")];
    log.write(at, &here.name, Origin("INFO", "leadership.go:390"), "current leadership is deleted", purpose);
    let message = "pd leader has changed, try to re-campaign a pd leader";
    log.write(at, &here.name, Origin("INFO", "server.go:1659"), message, &[]);
    if campaigns {
        let name: Fields = &[("campaign-leader-name", &here.name)];
        log.write(at, &here.name, Origin("INFO", "server.go:1698"), "start to campaign PD leader", name);
    }
}

/// A member that leads hands over to another.
pub(super) fn pd_hands_over(log: &mut Log, at: Duration, here: &Member, winner: u64, term: u64) {
    let name = &here.name;
    let mut raft = |message: &str| log.write(at, name, Origin("INFO", "raft] [zap_raft.go:77"), message, &[]);
    raft(&format!("{:x} [term {}] starts to transfer leadership to {winner:x}", here.id, term - 1));
    raft(&format!("raft.node: {:x} elected leader {winner:x} at term {term}", here.id));
    let fields: Fields = &[("old-pd-leader-name", name)];
    let message = "etcd leader changed, resigns pd leadership";
    log.write(at, name, Origin("INFO", "server.go:1802"), message, fields);
}

/// A member is PD's leader and serves.
pub(super) fn pd_leads(log: &mut Log, at: Duration, here: &Member) {
    let name = &here.name;
    log.write(at, name, Origin("INFO", "server.go:1724"), "campaign PD leader ok", &[("campaign-leader-name", name)]);
    log.write(at, name, Origin("INFO", "server.go:1778"), "PD leader is ready to serve", &[("leader-name", name)]);
}

fn store_state(log: &mut Log, at: Duration, pd: &NodeName, origin: Origin, message: &str, store: &Store, more: Fields) {
    let address = store.address();
    let base: Fields = &[("store-id", &store.id), ("store-address", &address)];
    log.write(at, pd, origin, message, &[base, more].concat());
}

/// A store is being removed.
pub(super) fn store_offline(log: &mut Log, at: Duration, pd: &NodeName, store: &Store, destroyed: bool) {
    let origin = Origin("WARN", "cluster.go:1552");
    store_state(log, at, pd, origin, "store has been offline", store, &[("physically-destroyed", &destroyed)]);
}

/// A store was removed, from the state of this name.
pub(super) fn store_tombstone(log: &mut Log, at: Duration, pd: &NodeName, store: &Store, state: &str) {
    let fields: Fields = &[("state", &state), ("physically-destroyed", &store.view.physically_destroyed)];
    store_state(log, at, pd, Origin("WARN", "cluster.go:1638"), "store has been Tombstone", store, fields);
    let id: Fields = &[("store-id", &store.id)];
    log.write(at, pd, Origin("INFO", "cluster.go:2426"), "store limit removed", id);
}

/// A store that was being removed is taken back.
pub(super) fn store_up(log: &mut Log, at: Duration, pd: &NodeName, store: &Store) {
    store_state(log, at, pd, Origin("WARN", "cluster.go:1725"), "store has been up", store, &[]);
}

/// A new store takes part.
pub(super) fn store_serves(log: &mut Log, at: Duration, pd: &NodeName, store: &Store) {
    store_state(log, at, pd, Origin("INFO", "cluster.go:1771"), "store has changed to serving", store, &[]);
}

/// The process of a store that PD has removed ends as soon as it hears so.
pub(super) fn tikv_is_tombstone(log: &mut Log, at: Duration, node: &NodeName) {
    let message = "failed to start raft_server: StoreTombstone(\"store is tombstone\")";
    log.write(at, node, Origin("FATAL", "server.rs:1118"), message, &[("thread_id", &1)]);
}

/// PD's leader enters a stage of an unsafe recovery, which it writes as JSON.
pub(super) fn recovery_stage(log: &mut Log, at: Duration, pd: &NodeName, entry: &str) {
    log.write(at, pd, Origin("INFO", "unsafe_recovery_controller.go:575"), entry, &[]);
}

/// A store gets its part of an unsafe recovery.
pub(super) fn recovery_plan(log: &mut Log, at: Duration, node: &NodeName) {
    let message = "Unsafe recovery, received a recovery plan";
    log.write(at, node, Origin("INFO", "pd.rs:1592"), message, &[("thread_id", &26)]);
}

fn recovery_of_peer(
    log: &mut Log,
    at: Duration,
    node: &NodeName,
    line: (&str, &'static str),
    peer: u64,
    region: &Region,
) {
    let (message, source) = line;
    let fields: Fields = &[("peer_id", &peer), ("region_id", &region.id), ("thread_id", &RAFTSTORE)];
    log.write(at, node, Origin("INFO", source), message, fields);
}

/// A peer is to lead without a quorum, and waits for the old one to be gone for certain.
pub(super) fn recovery_awaits_leader(log: &mut Log, at: Duration, node: &NodeName, region: &Region, peer: u64) {
    let message = "Unsafe recovery, enter pre force leader state";
    recovery_of_peer(log, at, node, (message, "peer.rs:1865"), peer, region);
}

/// A peer leads without a quorum.
pub(super) fn recovery_forces_leader(log: &mut Log, at: Duration, node: &NodeName, region: &Region, peer: u64) {
    recovery_of_peer(log, at, node, ("Unsafe recovery, enter force leader state", "peer.rs:1920"), peer, region);
    let (message, term) = (format!("became leader at term {}", region.term), region.term);
    let fields: Fields = &[("term", &term), ("raft_id", &peer), ("region_id", &region.id), ("thread_id", &RAFTSTORE)];
    log.write(at, node, Origin("INFO", "raft.rs:1271"), &message, fields);
}

/// The leader of a region makes learners of the voters that have failed.
pub(super) fn recovery_demotes(log: &mut Log, at: Duration, node: &NodeName, region: &Region) {
    let peer = region.leader.map_or(0, |leader| region.peers[leader].id);
    recovery_of_peer(log, at, node, ("Unsafe recovery, demoting failed voters", "peer.rs:973"), peer, region);
}
