//! Merging regions: the leader of one gives its range of keys to a neighbour and is no more
//! (`tikv:components/raftstore/src/store/fsm/apply.rs`, `exec_prepare_merge`, `exec_commit_merge`).

use std::time::Duration;

use super::layout;
use super::model::Model;
use super::region::Region;

/// Whether two regions that follow each other may become one: on the same stores, and of one keyspace. PD moves the peers
/// of the one that goes first where they are on other stores; the model leaves such neighbours alone, since with as many
/// stores as replicas there are none.
pub(super) fn fit(left: &Region, right: &Region) -> bool {
    let stores = |region: &Region| {
        let mut stores: Vec<usize> = region.peers.iter().map(|peer| peer.store).collect();
        stores.sort_unstable();
        stores
    };
    let adjacent = !left.end_key.is_empty() && left.end_key == right.start_key;
    adjacent && !layout::is_keyspace_bound(&left.end_key) && stores(left) == stores(right)
}

/// Two of the regions, if they may become one, whichever of them is the left one.
pub(super) fn fit_together(model: &Model, one: usize, other: usize) -> bool {
    let (one, other) = (&model.regions[one], &model.regions[other]);
    !one.is_merged() && !other.is_merged() && (fit(one, other) || fit(other, one))
}

/// The regions that there are, by index, in the order of their keys.
pub(super) fn in_order(model: &Model) -> Vec<usize> {
    let mut order: Vec<usize> = (0..model.regions.len()).filter(|index| !model.regions[*index].is_merged()).collect();
    order.sort_by(|left, right| model.regions[*left].start_key.cmp(&model.regions[*right].start_key));
    order
}

/// A region becomes part of the one behind it, unless it has become part of one already or ends its keyspace. Returns whether
/// nothing is in the way of that.
pub(super) fn into_next(model: &mut Model, source: usize, now: Duration) -> bool {
    let region = &model.regions[source];
    if region.is_merged() || layout::is_keyspace_bound(&region.end_key) {
        return true;
    }
    let is_next = |next: &Region| fit(region, next) && region.leader.is_some() && next.leader.is_some();
    let next = model.regions.iter().position(is_next);
    if let Some(next) = next {
        carry_out(model, source, next, now);
    }
    next.is_some()
}

/// A region becomes part of a neighbour, and PD hears of it at once.
pub(super) fn carry_out(model: &mut Model, source: usize, target: usize, now: Duration) {
    let (source_version, source_range) = model.regions[source].give_up();
    model.regions[target].absorb(source_version, source_range);
    model.load.hot.forget(source);
    model.load.touch();
    model.report_region(target, now);
    model.agenda.set(target, now);
}
