//! What PD's schedulers do by themselves: of them, the one that balances leaders.

use std::time::Duration;

use super::lines;
use super::model::Model;
use super::region::{Region, StoreLink};
use super::store::Store;

/// How often the scheduler looks; PD's own interval grows from 10 ms to 5 s while there is nothing to do
/// (`pd:pkg/schedule/schedulers/base_scheduler.go`).
const INTERVAL: Duration = Duration::from_secs(1);
/// Leaders are moved only from a store that has more than this many above the average of two stores
/// (`pd:pkg/schedule/schedulers/utils.go`, `leaderTolerantSizeRatio`). It is what leaves the restarted store of
/// fixtures/recordings/store-kill.jsonl with 2 leaders of 24.
const TOLERANCE: usize = 5;
/// How many leaders may move at a time (`leader-schedule-limit`).
const LIMIT: usize = 4;
/// A new PD leader schedules nothing until so large a part of the regions has reported, or this time has passed
/// (`pd:pkg/schedule/prepare_checker.go`).
const PREPARED: (f64, Duration) = (0.9, Duration::from_mins(5));

/// Moves leaders from the store with the most to the store with the fewest.
pub(super) fn balance_leaders(model: &mut Model, leader_since: Duration, now: Duration) {
    if now < model.next_schedule {
        return;
    }
    model.next_schedule = now + INTERVAL;
    if !prepared(model, leader_since, now) {
        return;
    }
    for _ in 0..LIMIT {
        let Some((region, winner)) = next_transfer(model, now) else { return };
        transfer(model, region, winner, now);
    }
}

/// Whether PD finds the leaders evenly spread.
pub(super) fn balanced(model: &Model) -> bool {
    imbalance(model, model.now).is_none()
}

#[expect(clippy::cast_precision_loss, reason = "counts of regions are small")]
fn prepared(model: &Model, leader_since: Duration, now: Duration) -> bool {
    let reported = model.regions.iter().filter(|region| region.reported).count();
    let (part, patience) = PREPARED;
    reported as f64 >= part * model.regions.len() as f64 || now >= leader_since + patience
}

/// The store that should give a leader and the one that should get it, if the scheduler finds any.
fn imbalance(model: &Model, now: Duration) -> Option<(usize, usize)> {
    let mut counts = vec![0_usize; model.stores.len()];
    for store in model.regions.iter().filter_map(Region::known_leader_store) {
        counts[store] += 1;
    }
    let usable: Vec<usize> = (0..counts.len()).filter(|store| model.stores[*store].view.is_target(now)).collect();
    let source = usable.iter().copied().max_by_key(|store| counts[*store])?;
    let target = usable.iter().copied().min_by_key(|store| counts[*store])?;
    (counts[source] > counts[target] + 2 * TOLERANCE).then_some((source, target))
}

/// A region of the source that the target can lead, and the peer that will; which one is drawn. PD may choose a store
/// whose death it has not noticed yet: such a transfer comes to nothing.
fn next_transfer(model: &mut Model, now: Duration) -> Option<(usize, usize)> {
    let (source, target) = imbalance(model, now).filter(|(_, target)| model.stores[*target].connected)?;
    let candidates: Vec<(usize, usize)> = model
        .regions
        .iter()
        .enumerate()
        .filter(|(_, region)| region.leader.is_some() && region.leader == region.known_leader)
        .filter(|(_, region)| region.known_leader_store() == Some(source))
        .filter_map(|(index, region)| region.peer_on(target).map(|peer| (index, peer)))
        .filter(|(index, peer)| !model.regions[*index].peers[*peer].lagging)
        .collect();
    model.random.choice(&candidates).copied()
}

fn transfer(model: &mut Model, index: usize, winner: usize, now: Duration) {
    let links: Vec<StoreLink> = model.stores.iter().map(Store::link).collect();
    let region = &mut model.regions[index];
    let Some(before) = region.leader.map(|leader| (region.peers[leader].store, region.peers[leader].id)) else {
        return;
    };
    let (peer, store) = (region.peers[winner].id, region.peers[winner].store);
    lines::transferring(&mut model.log, now, &model.stores[before.0], region, before.1, (peer, model.stores[store].id));
    region.lead(winner, now, &links);
    lines::elected(&mut model.log, now, &model.stores[store], region, peer);
    model.report_region(index, now);
}
