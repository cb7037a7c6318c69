//! What is logged of cuts between single nodes, worded as in `fixtures/recordings/store-partition.log.gz`.

use std::time::Duration;

use super::super::log::{Fields, Log, Origin};
use super::super::region::Region;
use super::super::store::Store;
use super::RAFTSTORE;

/// A peer that hears its leader is asked for a vote by one that does not: both by their index.
pub(in super::super) fn vote_ignored(
    log: &mut Log,
    at: Duration,
    here: &Store,
    region: &Region,
    (peer, candidate): (usize, usize),
    remaining: u32,
) {
    let (term, index) = (region.term, region.last_index());
    let (id, from) = (region.peers[peer].id, region.peers[candidate].id);
    let leader = region.leader.map_or(0, |leader| region.peers[leader].id);
    let message = format!(
        "[logterm: {term}, index: {index}, vote: {leader}] ignored vote from {from} [logterm: {term}, index: {index}]: \
         lease is not expired"
    );
    let fields: Fields = &[
        ("leader_id", &leader),
        ("msg type", &"MsgRequestPreVote"),
        ("remaining ticks", &remaining),
        ("term", &term),
        ("msg_index", &index),
        ("msg_term", &term),
        ("from", &from),
        ("vote", &leader),
        ("log_index", &index),
        ("log_term", &term),
        ("raft_id", &id),
        ("region_id", &region.id),
        ("thread_id", &RAFTSTORE),
    ];
    log.write(at, &here.name, Origin("INFO", "raft.rs:1366"), &message, fields);
}
