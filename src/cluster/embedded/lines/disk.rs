//! What is logged of disks: worded as in TiKV's and PD's version 8.5.5; none of it was recorded.

use std::time::Duration;

use super::super::disk::Usage;
use super::super::log::{Fields, Log, Origin};
use super::super::store::Store;
use super::RAFTSTORE;
use crate::reading::NodeName;

/// A store finds its disk fuller, or emptier, than before (`tikv:components/server/src/server.rs`).
pub(in super::super) fn usage_changed(log: &mut Log, at: Duration, here: &Store, before: Usage) {
    let (after, available, capacity) = (here.disk.usage(), here.disk.available(), here.capacity);
    let message = format!(
        "disk usage {before:?}->{after:?} (raft engine usage: Normal, kv engine usage: {after:?}), seperated raft \
         mount=false, kv available={available}, snap=0, kv={}, raft=0, capacity={capacity}",
        here.used
    );
    log.write(at, &here.name, Origin("WARN", "server.rs:1523"), &message, &[("thread_id", &27)]);
}

/// A store that cannot write its Raft log panics.
pub(in super::super) fn no_space(log: &mut Log, at: Duration, here: &Store) {
    let message = format!(
        "store {}: [region 0] failed to write to raft engine: Other(\"[components/raft_log_engine/src/engine.rs]: Engine \
         IO error: No space left on device (os error 28)\")",
        here.id
    );
    log.write(at, &here.name, Origin("FATAL", "lib.rs:479"), &message, &[("thread_id", &RAFTSTORE)]);
}

/// The leader of a region hears how full the disk of another peer is.
pub(in super::super) fn usage_reported(
    log: &mut Log,
    at: Duration,
    here: &Store,
    region: u64,
    peer: u64,
    (before, after): (Usage, Usage),
) {
    let told = |usage| if usage == Usage::Normal { "None".to_owned() } else { format!("Some({usage:?})") };
    let message = format!("reported disk usage changes {} -> {}", told(before), told(after));
    let fields: Fields = &[("peer_id", &peer), ("region_id", &region), ("thread_id", &RAFTSTORE)];
    log.write(at, &here.name, Origin("INFO", "peer.rs:2891"), &message, fields);
}

/// PD's leader hears of a store that has little space left (`pd:server/cluster/cluster.go`). Sizes in bytes.
pub(in super::super) fn low_space(
    log: &mut Log,
    at: Duration,
    pd: &NodeName,
    store: u64,
    capacity: u64,
    available: u64,
) {
    let fields: Fields = &[("store-id", &store), ("capacity", &capacity), ("available", &available)];
    log.write(at, pd, Origin("WARN", "cluster.go:1037"), "store does not have enough disk space", fields);
}
