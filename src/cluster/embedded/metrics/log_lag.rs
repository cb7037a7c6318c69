//! How many entries of the Raft log the slowest follower of each region lacks: `tikv_raftstore_log_lag`.

use std::time::Duration;

use super::super::disk::Usage;
use super::super::model::Model;
use super::super::promql::number;
use super::super::region::Region;
use super::families::LOG_LAG;
use super::{Take, flag};

/// The leader of a region looks this often how much of its log can go, and notes then how far the last follower is behind
/// (`tikv:components/raftstore/src/store/config.rs`, `raft-log-gc-tick-interval`; `fsm/peer.rs`, `on_raft_gc_log_tick`).
const LOOK_EVERY: Duration = Duration::from_secs(3);
const BUCKETS: usize = 12;

/// What a store's process has noted of the regions that it leads.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LogLag {
    below: [f64; BUCKETS],
    count: f64,
    sum: f64,
}

/// What a region has been written, and what of that its last follower lacks, in entries.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Behind {
    written: f64,
    lacks: f64,
}

/// Brings every leader's notes up to date, so long after the last time.
pub(super) fn step(model: &mut Model, span: Duration) {
    let mut behind = std::mem::take(&mut model.metrics.behind);
    behind.resize(model.regions.len(), Behind::default());
    let looks = span.div_duration_f64(LOOK_EVERY);
    for (index, (region, behind)) in model.regions.iter().zip(&mut behind).enumerate() {
        let written = model.load.written(index);
        let more = written - std::mem::replace(&mut behind.written, written);
        behind.lacks = if lacks_something(model, region) { behind.lacks + more } else { 0.0 };
        if let Some(store) = region.leader_store().filter(|store| region.active && model.stores[*store].acts()) {
            model.metrics.stores[store].log_lag.note(behind.lacks.floor(), looks);
        }
    }
    model.metrics.behind = behind;
}

/// Whether a follower gets nothing of what its leader writes: its store is gone, cut off from the leader's, or so full that
/// the leader sends it nothing more (`tikv:components/raftstore/src/store/peer.rs`, `refill_disk_full_peers`).
fn lacks_something(model: &Model, region: &Region) -> bool {
    let Some(leader) = region.leader_store() else { return false };
    let cut = |store: usize| model.links[leader].cut_from.iter().any(|(other, _)| *other == store);
    region.peers.iter().map(|peer| peer.store).filter(|store| *store != leader).any(|store| {
        model.links[store].serves.is_err() || cut(store) || model.stores[store].disk.usage() == Usage::AlreadyFull
    })
}

impl LogLag {
    fn note(&mut self, lag: f64, times: f64) {
        self.count += times;
        self.sum += lag * times;
        let below = self.below.iter_mut().zip(LOG_LAG.bounds());
        below.for_each(|(below, bound)| *below += times * flag(lag <= bound));
    }

    pub(super) fn collect(&self, take: &mut Take) {
        for (bound, below) in LOG_LAG.bounds().zip(self.below) {
            take(&LOG_LAG.bucket, &[("le", &number::value(bound))], below.floor());
        }
        take(&LOG_LAG.bucket, &[("le", "+Inf")], self.count.floor());
        take(&LOG_LAG.sum, &[], self.sum.floor());
        take(&LOG_LAG.count, &[], self.count.floor());
    }
}
