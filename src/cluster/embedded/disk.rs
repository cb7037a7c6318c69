//! A store's disk as TiKV watches it: how much space is left, and how slow it is.

use std::time::Duration;

use super::lines;
use super::model::{Model, Place};
use super::store::Store;

/// TiKV looks this often how much space is left (`tikv:components/server/src/server.rs`,
/// `DEFAULT_STORAGE_STATS_INTERVAL`).
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// The part of the capacity that TiKV keeps in reserve at least (`tikv:components/server/src/common.rs`).
const RESERVE: f64 = 0.05;
/// A probe of the disk that takes longer has timed out (`tikv:components/raftstore/src/store/config.rs`,
/// `inspect-interval`). This is the default of 8.5.5, and what users run; `/config` does not show it. The recorded cluster
/// had 500 ms, and no slow disk was recorded.
const SLOW_PROBE: Duration = Duration::from_millis(100);
/// The score is reckoned every 30 probes, one each 100 ms
/// (`tikv:components/health_controller/src/slow_score.rs`, `round_ticks`).
pub(super) const SCORE_EVERY: Duration = Duration::from_secs(3);
/// The highest score.
const HIGHEST: f64 = 100.0;
/// How long the score takes from the highest to the lowest (`slow_score.rs`, `min_ttr`).
const RECOVERS_IN: Duration = Duration::from_mins(5);
/// Of clients' writes that are refused for want of space the first comes to each region within about this long, and
/// makes its leader look for a store with space. Guessed from the recorded load.
const FIRST_REFUSAL: Duration = Duration::from_secs(3);

/// How full a disk is, to TiKV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    Normal,
    AlmostFull,
    AlreadyFull,
}

/// What a store knows of its disk.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    /// Bytes left, as of its last look.
    available: u64,
    usage: Usage,
    next_look: Duration,
    score: f64,
    next_score: Duration,
    /// When its leaders have moved to stores with space.
    leaves: Option<Duration>,
}

impl Disk {
    pub(super) fn new(available: u64) -> Self {
        Self {
            available,
            usage: Usage::Normal,
            next_look: Duration::ZERO,
            score: 1.0,
            next_score: Duration::ZERO,
            leaves: None,
        }
    }

    /// Bytes left, as of the last look.
    pub(super) fn available(&self) -> u64 {
        self.available
    }

    /// How full it is, as of the last look.
    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// 1 for a disk that is never slow, up to 100.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 1 and 100")]
    pub(super) fn slow_score(&self) -> u64 {
        self.score as u64
    }

    /// The process begins anew.
    pub(super) fn restart(&mut self, now: Duration) {
        *self = Self { next_look: now, next_score: now + SCORE_EVERY, ..Self::new(self.available) };
    }

    /// The score after another round: doubled if so many probes timed out, else a little lower
    /// (`slow_score.rs`, `update_impl`).
    fn reckon(&mut self, timed_out: bool) {
        self.score = if timed_out {
            (self.score * 2.0).min(HIGHEST)
        } else {
            (self.score - HIGHEST * SCORE_EVERY.as_secs_f64() / RECOVERS_IN.as_secs_f64()).max(1.0)
        };
    }
}

impl Store {
    /// Bytes left on its disk.
    pub(super) fn space(&self) -> u64 {
        self.capacity.saturating_sub(self.used).saturating_sub(self.resources.foreign_bytes)
    }
}

/// The exit code of a TiKV that panics (`tikv:components/tikv_util/src/lib.rs`, `set_panic_hook`).
const PANICKED: i64 = 1;

/// A store looks after its disk.
pub(super) fn step(model: &mut Model, index: usize, now: Duration) {
    let store = &mut model.stores[index];
    if store.space() == 0 {
        // The next entry of the Raft log cannot be written.
        lines::disk::no_space(&mut model.log, now, store);
        return model.kill(Place::Tikv(index), PANICKED);
    }
    if now >= store.disk.next_score {
        store.disk.next_score += SCORE_EVERY;
        let slow = store.resources.fsync >= SLOW_PROBE;
        store.disk.reckon(slow);
    }
    if now >= store.disk.next_look {
        store.disk.next_look += LOOK_EVERY;
        look(model, index, now);
    }
    if model.stores[index].disk.leaves.is_some_and(|at| now >= at) {
        model.stores[index].disk.leaves = None;
        leave(model, index, now);
    }
    // Leaders that PD has moved to it since go the same way.
    let store = &model.stores[index];
    if store.resources.disk_full && store.disk.leaves.is_none() && leads_what_is_written(model, index) {
        model.stores[index].disk.leaves = Some(now + FIRST_REFUSAL.mul_f64(model.random.f64()));
    }
}

/// Whether a store leads a region that clients write.
fn leads_what_is_written(model: &Model, store: usize) -> bool {
    model.regions.iter().any(|region| region.active && region.leader_store() == Some(store))
}

fn look(model: &mut Model, index: usize, now: Duration) {
    let store = &mut model.stores[index];
    let space = store.space();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a size")]
    let reserve = store.resources.reserve.max((store.capacity as f64 * RESERVE) as u64);
    let usage = match space {
        space if space <= reserve / 2 => Usage::AlreadyFull,
        space if space <= reserve => Usage::AlmostFull,
        _ => Usage::Normal,
    };
    let before = std::mem::replace(&mut store.disk.usage, usage);
    store.disk.available = space;
    store.resources.disk_full = usage != Usage::Normal;
    model.load.touch();
    if usage == before {
        return;
    }
    store.disk.leaves = (usage != Usage::Normal).then(|| now + FIRST_REFUSAL.mul_f64(model.random.f64()));
    lines::disk::usage_changed(&mut model.log, now, &model.stores[index], before);
    for region in &model.regions {
        let Some(peer) = region.peer_on(index) else { continue };
        if let Some(leader) = region.leader_store().filter(|leader| *leader != index) {
            let peer = region.peers[peer].id;
            lines::disk::usage_reported(&mut model.log, now, &model.stores[leader], region.id, peer, (before, usage));
        }
    }
}

/// The leaders whose writes are refused hand over to peers on stores with space, where there are any.
fn leave(model: &mut Model, index: usize, now: Duration) {
    for region in 0..model.regions.len() {
        if model.regions[region].leader_store() != Some(index) || !model.regions[region].active {
            continue;
        }
        let fits = |peer: &usize| {
            let peer = &model.regions[region].peers[*peer];
            let store = &model.stores[peer.store];
            !peer.lagging
                && store.serves()
                && store.connected
                && store.disk.usage == Usage::Normal
                && model.talk(Place::Tikv(index), Place::Tikv(peer.store))
        };
        let fitting: Vec<usize> = (0..model.regions[region].peers.len()).filter(fits).collect();
        if let Some(winner) = model.random.choice(fitting) {
            model.regions[region].lead(winner, now, &model.links);
            let peer = &model.regions[region].peers[winner];
            lines::elected(&mut model.log, now, &model.stores[peer.store], &model.regions[region], peer.id);
            model.agenda.set(region, now);
        }
    }
}

/// PD learns from a heartbeat how much space is left.
pub(super) fn tell_pd(model: &mut Model, index: usize, now: Duration) {
    let (Some(leader), Some(stats)) = (model.leadership.leader(), model.stores[index].view.stats) else { return };
    if !stats.is_scarce(model.config.schedule.low_space_ratio) {
        return;
    }
    let regions = model.regions.iter().filter(|region| region.peer_on(index).is_some()).count();
    if !stats.is_plenty_for(regions) {
        let (pd, store) = (&model.members[leader].name, model.stores[index].id);
        lines::disk::low_space(&mut model.log, now, pd, store, stats.capacity, stats.available);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_doubles_each_round_and_falls_from_the_highest_to_the_lowest_in_five_minutes() {
        let mut disk = Disk::new(0);
        let rounds = |disk: &mut Disk, slow, goal| {
            let mut rounds = 0;
            while disk.slow_score() != goal {
                disk.reckon(slow);
                rounds += 1;
            }
            rounds
        };
        assert_eq!(rounds(&mut disk, true, 100), 7);
        assert_eq!(rounds(&mut disk, false, 1), 99);
    }
}
