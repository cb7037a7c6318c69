//! How stores come into the cluster and leave it: the states that PD keeps of them in etcd, apart from whether they can
//! be heard (`pd:server/cluster/cluster.go`, `RemoveStore`, `BuryStore`, `UpStore`, `checkStores`).

use std::collections::BTreeMap;
use std::time::Duration;

use super::layout;
use super::log::Log;
use super::model::{Model, Place};
use super::schedule;
use super::store::NodeState;
use super::{lines, region::Region};
use crate::reading::NodeName;

/// How often PD looks whether stores have become ready or empty (`cluster.go`, `nodeStateCheckJobInterval`).
const CHECK: Duration = Duration::from_secs(10);
/// In a cluster with fewer regions a new store serves at once (`pd:pkg/core/region.go`, `InitClusterRegionThreshold`).
const SMALL_CLUSTER: usize = 100;
/// In a larger one it serves when it has this part of its share of the regions (`cluster.go`, `getThreshold`).
const SHARE: f64 = 0.9;

/// What a store without regions uses, in bytes: two files of Raft log of 128 MiB each, which are made when it starts, and
/// a little more. Derived: the recorded stores used 270.8 MiB, 14.5 of them in `RocksDB`.
const FRESH: u64 = 257 << 20;

/// Why PD does not change a store's state, in its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum StateError {
    #[error("[PD:core:ErrStoreNotFound]store {0} not found")]
    NotFound(u64),
    #[error("[PD:core:ErrStoreRemoved]store {0} has been removed")]
    Removed(u64),
    #[error("[PD:core:ErrStoreDestroyed]store {0} has been physically destroyed")]
    Destroyed(u64),
    #[error(
        "[PD:core:ErrStoresNotEnough]can not remove store {store} since the number of up stores would be {left} while \
         need {needed}"
    )]
    NotEnough { store: u64, left: usize, needed: u64 },
}

/// The removal of a store, as PD follows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Removal {
    since: Duration,
    /// How many regions it had.
    regions: usize,
}

/// What PD's leader knows of the stores' coming and going.
#[derive(Debug, Clone, Default)]
pub(super) struct Lifecycle {
    next_check: Duration,
    /// By the index of the store.
    removals: BTreeMap<usize, Removal>,
}

/// How far the removal of a store has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Progress {
    pub(super) store: u64,
    /// From 0 to 1.
    pub(super) done: f64,
    /// MiB a second.
    pub(super) speed: f64,
    /// Seconds; as large as a float64 gets if nothing moves.
    pub(super) left: f64,
}

/// The index of a store that PD knows.
pub(super) fn find(model: &Model, id: u64) -> Result<usize, StateError> {
    let known = model.stores.iter().position(|store| store.id == id && store.view.registered);
    known.ok_or(StateError::NotFound(id))
}

/// A new store joins the cluster: its process starts, and PD gives it the next id. Returns its index.
pub(super) fn add_store(model: &mut Model) -> usize {
    let index = model.stores.len();
    let mut store = layout::store(index, &mut model.random);
    store.id = model.ids.next();
    store.used = FRESH;
    store.view.node_state = NodeState::Preparing;
    model.stores.push(store);
    model.metrics.add_store();
    model.prometheus.add_store(index, model.now);
    model.refresh_links();
    model.start(Place::Tikv(index));
    schedule::check_again(model);
    index
}

/// Removes a store: PD moves its peers away, if they have somewhere to go. With `destroyed` it does not ask whether they
/// have, and the store cannot be taken back.
pub(super) fn remove(model: &mut Model, id: u64, destroyed: bool, now: Duration) -> Result<(), StateError> {
    let index = find(model, id)?;
    let view = &model.stores[index].view;
    if view.node_state.is_removed() {
        return Err(StateError::Removed(id));
    }
    if view.node_state == NodeState::Removing && view.physically_destroyed == destroyed {
        return Ok(());
    }
    if view.physically_destroyed {
        return Err(StateError::Destroyed(id));
    }
    let needed = model.config.replication.max_replicas;
    if view.node_state.is_up() && !destroyed {
        // Stores that are silent count as up, too.
        let up = model.stores.iter().filter(|store| store.view.registered && store.view.node_state.is_up()).count();
        let left = up - 1;
        if (left as u64) < needed {
            return Err(StateError::NotEnough { store: id, left, needed });
        }
    }
    let regions = peers_on(&model.regions, index);
    let view = &mut model.stores[index].view;
    view.node_state = NodeState::Removing;
    view.physically_destroyed = destroyed;
    model.lifecycle.removals.insert(index, Removal { since: now, regions });
    write(model, index, now, |log, at, pd, store| {
        lines::store_offline(log, at, pd, store, destroyed);
    });
    schedule::check_again(model);
    Ok(())
}

/// Takes a store back that was being removed.
pub(super) fn take_back(model: &mut Model, id: u64, now: Duration) -> Result<(), StateError> {
    let index = find(model, id)?;
    let view = &mut model.stores[index].view;
    match view.node_state {
        NodeState::Removed => return Err(StateError::Removed(id)),
        _ if view.physically_destroyed => return Err(StateError::Destroyed(id)),
        NodeState::Serving | NodeState::Preparing => return Ok(()),
        NodeState::Removing => view.node_state = NodeState::Serving,
    }
    model.lifecycle.removals.remove(&index);
    write(model, index, now, lines::store_up);
    Ok(())
}

/// A store is out of the cluster for good: whoever still has its data cannot come back with it.
pub(super) fn bury(model: &mut Model, index: usize, now: Duration) {
    let state = if model.stores[index].view.node_state == NodeState::Removing { "Offline" } else { "Up" };
    let (leaders, regions) = model.known_counts(index);
    let view = &mut model.stores[index].view;
    view.node_state = NodeState::Removed;
    view.counts_at_removal = Some((leaders, regions));
    view.stream = false;
    model.lifecycle.removals.remove(&index);
    write(model, index, now, |log, at, pd, store| lines::store_tombstone(log, at, pd, store, state));
    let id = model.stores[index].id;
    model.config.schedule.store_limit.remove(&id);
    model.refresh_links();
    schedule::check_again(model);
}

/// Forgets the stores that were removed. Those that regions still have peers on stay.
pub(super) fn forget_removed(model: &mut Model) -> Vec<u64> {
    let mut kept = Vec::new();
    for index in 0..model.stores.len() {
        let view = &model.stores[index].view;
        if !view.registered || !view.node_state.is_removed() {
            continue;
        }
        if peers_on(&model.regions, index) > 0 {
            kept.push(model.stores[index].id);
        } else {
            model.stores[index].view.registered = false;
        }
    }
    kept
}

/// How far the removals have come, by the ids of the stores.
pub(super) fn progress(model: &Model, now: Duration) -> Vec<Progress> {
    #[expect(clippy::cast_precision_loss, reason = "counts of regions are small")]
    let of = |(index, removal): (&usize, &Removal)| {
        let left = peers_on(&model.regions, *index) as f64;
        let moved = (removal.regions as f64 - left).max(0.0);
        let speed = moved / now.saturating_sub(removal.since).as_secs_f64().max(1.0);
        let done = if removal.regions == 0 { 0.0 } else { moved / removal.regions as f64 };
        let left = if speed > 0.0 { left / speed } else { f64::MAX };
        Progress { store: model.stores[*index].id, done, speed, left }
    };
    model.lifecycle.removals.iter().map(of).collect()
}

/// Looks after the stores when it is time.
pub(super) fn step(model: &mut Model, now: Duration) {
    if now < model.lifecycle.next_check {
        return;
    }
    model.lifecycle.next_check = now + CHECK;
    for index in 0..model.stores.len() {
        let view = &model.stores[index].view;
        match view.node_state {
            NodeState::Removing if view.registered && peers_on(&model.regions, index) == 0 => bury(model, index, now),
            NodeState::Preparing if view.registered && is_prepared(model, index) => {
                model.stores[index].view.node_state = NodeState::Serving;
                write(model, index, now, lines::store_serves);
            }
            _ => {}
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of regions are small")]
fn is_prepared(model: &Model, index: usize) -> bool {
    let total = model.live_regions().count();
    let up = model.stores.iter().filter(|store| store.view.registered && store.view.node_state.is_up()).count();
    let share = (total as u64 * model.config.replication.max_replicas) as f64 / up.max(1) as f64;
    total < SMALL_CLUSTER || peers_on(&model.regions, index) as f64 >= SHARE * share
}

fn peers_on(regions: &[Region], store: usize) -> usize {
    regions.iter().filter(|region| region.peer_on(store).is_some()).count()
}

fn write(
    model: &mut Model,
    index: usize,
    now: Duration,
    line: impl Fn(&mut Log, Duration, &NodeName, &super::store::Store),
) {
    if let Some(pd) = model.leadership.leader() {
        line(&mut model.log, now, &model.members[pd].name, &model.stores[index]);
    }
}
