//! The merge checker: neighbours that are small enough become one region (`pd:pkg/schedule/checker/merge_checker.go`).

use std::time::Duration;

use super::super::merge::{self, fit};
use super::super::model::Model;
use super::super::region::Region;
use super::super::schedulers::CheckerKind;
use super::controller::{self, Order, region_size};
use super::operator::{Kind, Step};

/// Looks for regions to merge, if it is time for that. PD looks at each region in its turn; the model looks at all, and more
/// rarely while there is nothing to do.
pub(super) fn step(model: &mut Model, leader_since: Duration, now: Duration) {
    let config = &model.config.schedule;
    // A new leader of PD does not know what was split lately.
    let knows = now >= leader_since + config.split_merge_interval;
    if config.merge_schedule_limit == 0
        || !knows
        || now < model.schedule.merges.next
        || model.schedulers.is_checker_paused(CheckerKind::Merge, now)
    {
        return;
    }
    let found = look(model, now);
    super::looked(&mut model.schedule.merges, found, now);
}

/// Orders as many merges as the limit allows. Returns whether there was one.
fn look(model: &mut Model, now: Duration) -> bool {
    let mut found = false;
    let order = merge::in_order(model);
    for place in 0..order.len() {
        // Both regions of a merge have an operator, and both count.
        if model.schedule.operators.count(Kind::MERGE) >= model.config.schedule.merge_schedule_limit {
            break;
        }
        let source = order[place];
        let next = order.get(place + 1).copied().filter(|next| joins(model, source, *next, now));
        let one_way = model.config.schedule.enable_one_way_merge;
        let before = place.checked_sub(1).map(|before| order[before]).filter(|_| !one_way);
        if let Some(target) = next.or_else(|| before.filter(|before| joins(model, *before, source, now))) {
            found |= order_merge(model, "merge-region", Kind::MERGE, source, target, now);
        }
    }
    found
}

/// Whether a region and the one behind it may become one now.
fn joins(model: &Model, left: usize, right: usize, now: Duration) -> bool {
    may_merge(model, left, now) && may_merge(model, right, now) && fit(&model.regions[left], &model.regions[right])
}

/// Whether a region is small, whole and left alone.
fn may_merge(model: &Model, index: usize, now: Duration) -> bool {
    let (region, config) = (&model.regions[index], &model.config.schedule);
    let hot = [false, true].into_iter().any(|write| model.load.hot.listed(write).any(|(hot, _)| hot == index));
    let whole = region.peers.len() as u64 == model.config.replication.max_replicas;
    region.reported
        && region.known_leader.is_some()
        && region.split_at.is_none_or(|at| now >= at + config.split_merge_interval)
        && region_size(region) <= config.max_merge_region_size
        && is_healthy(region)
        && whole
        && !hot
        && model.schedule.operators.of_region(index).is_none()
}

/// `pd:pkg/schedule/filter/healthy.go`.
fn is_healthy(region: &Region) -> bool {
    region.peers.iter().all(|peer| peer.votes() && !peer.pending && peer.down_seconds.is_none())
}

/// Orders that a region becomes part of a neighbour. Both get an operator, so that nobody else orders something of them.
pub(in super::super) fn order_merge(
    model: &mut Model,
    desc: &'static str,
    kind: Kind,
    source: usize,
    target: usize,
    now: Duration,
) -> bool {
    let id = |index: usize| (index, model.regions[index].id);
    let step = Step::Merge { source: id(source), target: id(target) };
    let brief = format!("merge: region {} to {}", model.regions[source].id, model.regions[target].id);
    [source, target].into_iter().all(|region| {
        let (brief, steps) = (brief.clone(), vec![step.clone()]);
        controller::add(model, Order { desc, brief, region, kind: kind.and(Kind::MERGE), steps }, now)
    })
}
