//! evict-slow-store-scheduler: it moves the leaders off the one store whose disk is slow, and gives them back when it has
//! long been fast again (`pd:pkg/schedule/schedulers/evict_slow_store.go`).

use std::time::Duration;

use super::super::model::Model;
use super::super::schedulers::SchedulerKind;
use super::{evict, lines};

/// From this score on a store is slow (`pd:pkg/core/store.go`, `slowStoreThreshold`).
pub(in super::super) const SLOW: u64 = 80;
/// At this score the only slow store is evicted.
const EVICT: u64 = 100;
/// At this score it has recovered.
const RECOVERED: u64 = 1;
/// If it keeps it so long (`recovery-duration`).
const RECOVERY: Duration = Duration::from_mins(30);

/// The store that is evicted. PD keeps it in etcd.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct SlowStore {
    /// Its id.
    evicted: Option<u64>,
    /// Since when its score is low again.
    fast_since: Option<Duration>,
}

impl SlowStore {
    /// The id of the store that is evicted.
    pub(in super::super) fn evicted(&self) -> Option<u64> {
        self.evicted
    }
}

/// The scheduler was removed: it gives back what it holds.
pub(in super::super) fn release(model: &mut Model) {
    model.schedule.slow_store = SlowStore::default();
}

pub(super) fn look(model: &mut Model, now: Duration) -> bool {
    let Some(pd) = model.leadership.leader() else { return false };
    if let Some(id) = model.schedule.slow_store.evicted {
        let evicted = model.stores.iter().position(|store| store.id == id && !store.view.node_state.is_removed());
        let Some(index) = evicted else {
            release(model);
            return false;
        };
        let fast = model.stores[index].view.slow_score <= RECOVERED;
        let since = &mut model.schedule.slow_store.fast_since;
        *since = if fast { Some(since.unwrap_or(now)) } else { None };
        if since.is_some_and(|since| now >= since + RECOVERY) {
            lines::slow_store_recovered(&mut model.log, now, &model.members[pd].name, id);
            release(model);
            return false;
        }
        return evict::leaders_of(model, index, SchedulerKind::EvictSlowStore, now);
    }
    let is_slow = |index: &usize| {
        let view = &model.stores[*index].view;
        view.node_state.is_up() && view.slow_score >= SLOW
    };
    let slow: Vec<usize> = (0..model.stores.len()).filter(is_slow).collect();
    // With two slow stores there is nowhere to go.
    let [index] = slow[..] else { return false };
    if model.stores[index].view.slow_score < EVICT {
        return false;
    }
    let id = model.stores[index].id;
    lines::slow_store_detected(&mut model.log, now, &model.members[pd].name, id);
    model.schedule.slow_store = SlowStore { evicted: Some(id), fast_since: None };
    evict::leaders_of(model, index, SchedulerKind::EvictSlowStore, now)
}
