//! What PD's schedulers do by themselves: of them, the one that balances leaders and the one that moves them off a store
//! that is stopping.

use std::time::Duration;

use super::lines;
use super::model::Model;
use super::region::Region;

/// A scheduler looks again after this long, and after a little longer each time there is nothing to do
/// (`pd:pkg/schedule/schedulers/base_scheduler.go`, `MinScheduleInterval`, `ScheduleIntervalFactor`,
/// `MaxScheduleInterval`).
const INTERVAL: (Duration, f64, Duration) = (Duration::from_millis(10), 1.3, Duration::from_secs(5));
/// Leaders are moved only from a store that has more than this many above the average of two stores
/// (`pd:pkg/schedule/schedulers/utils.go`, `leaderTolerantSizeRatio`). It is what leaves the restarted store of
/// fixtures/recordings/store-kill.jsonl with 2 leaders of 24.
const TOLERANCE: usize = 5;
/// How many leaders may move at a time (`leader-schedule-limit`).
const LIMIT: usize = 4;
/// A transfer that has not happened after this long is given up (`pd:pkg/schedule/operator/step.go`, fast steps).
const STEP_TIMEOUT: Duration = Duration::from_mins(1);
/// A new PD leader schedules nothing until so large a part of the regions has reported, or this time has passed
/// (`pd:pkg/schedule/prepare_checker.go`).
const PREPARED: (f64, Duration) = (0.9, Duration::from_mins(5));

/// A transfer of a region's leadership that was ordered. Until PD knows that a store is dead it orders some to it, and
/// they happen as soon as the store is back (fixtures/recordings/store-graceful-restart.jsonl: 27 s later).
#[derive(Debug, Clone, Copy)]
struct Transfer {
    region: usize,
    from: usize,
    to: usize,
    ordered: Duration,
}

/// The state of the scheduler that balances leaders.
#[derive(Debug, Clone, Default)]
pub(super) struct Scheduler {
    next_look: Duration,
    interval: Duration,
    transfers: Vec<Transfer>,
}

/// Does what is due.
pub(super) fn step(model: &mut Model, leader_since: Duration, now: Duration) {
    evict_stopping(model, leader_since, now);
    carry_out(model, now);
    if now < model.scheduler.next_look || !prepared(model, leader_since, now) {
        return;
    }
    let before = model.scheduler.transfers.len();
    while model.scheduler.transfers.len() < LIMIT
        && let Some(transfer) = next_transfer(model, now)
    {
        model.scheduler.transfers.push(transfer);
    }
    let (shortest, factor, longest) = INTERVAL;
    let scheduler = &mut model.scheduler;
    let idle = scheduler.transfers.len() == before;
    scheduler.interval = if idle { scheduler.interval.mul_f64(factor).clamp(shortest, longest) } else { shortest };
    scheduler.next_look = now + scheduler.interval;
}

/// Whether PD finds the leaders evenly spread and moves none.
pub(super) fn balanced(model: &Model) -> bool {
    model.scheduler.transfers.is_empty() && imbalance(model, model.now).is_none()
}

#[expect(clippy::cast_precision_loss, reason = "counts of regions are small")]
fn prepared(model: &Model, leader_since: Duration, now: Duration) -> bool {
    let reported = model.regions.iter().filter(|region| region.reported).count();
    let (part, patience) = PREPARED;
    reported as f64 >= part * model.regions.len() as f64 || now >= leader_since + patience
}

/// The store that should give a leader and the one that should get it, if the scheduler finds any. What was ordered
/// already counts as done.
fn imbalance(model: &Model, now: Duration) -> Option<(usize, usize)> {
    let mut counts = vec![0_usize; model.stores.len()];
    for store in model.regions.iter().filter_map(Region::known_leader_store) {
        counts[store] += 1;
    }
    for transfer in &model.scheduler.transfers {
        counts[transfer.from] = counts[transfer.from].saturating_sub(1);
        counts[transfer.to] += 1;
    }
    let usable: Vec<usize> = (0..counts.len()).filter(|store| model.stores[*store].view.is_target(now)).collect();
    let source = usable.iter().copied().max_by_key(|store| counts[*store])?;
    let target = usable.iter().copied().min_by_key(|store| counts[*store])?;
    (counts[source] > counts[target] + 2 * TOLERANCE).then_some((source, target))
}

/// A region of the source that the target can lead; which one is drawn.
fn next_transfer(model: &mut Model, now: Duration) -> Option<Transfer> {
    let (from, to) = imbalance(model, now)?;
    let ordered = |index: usize| model.scheduler.transfers.iter().any(|transfer| transfer.region == index);
    let candidates: Vec<usize> = model
        .regions
        .iter()
        .enumerate()
        .filter(|(_, region)| region.known_leader_store() == Some(from))
        .filter(|(index, region)| {
            !ordered(*index) && region.peer_on(to).is_some_and(|peer| !region.peers[peer].pending)
        })
        .map(|(index, _)| index)
        .collect();
    model.random.choice(candidates).map(|region| Transfer { region, from, to, ordered: now })
}

/// Makes the transfers happen whose target can take them, and drops those that came to nothing.
fn carry_out(model: &mut Model, now: Duration) {
    for transfer in std::mem::take(&mut model.scheduler.transfers) {
        let region = &model.regions[transfer.region];
        if region.known_leader_store() != Some(transfer.from) || now >= transfer.ordered + STEP_TIMEOUT {
            continue;
        }
        let leads = region.leader_store() == Some(transfer.from);
        let target = region.peer_on(transfer.to).filter(|peer| !region.peers[*peer].lagging);
        match target.filter(|_| leads && model.stores[transfer.to].connected) {
            Some(peer) => hand_over(model, transfer.region, peer, now),
            None => model.scheduler.transfers.push(transfer),
        }
    }
}

/// Moves the leaders off stores that are stopping, as far as there is another store that can lead.
fn evict_stopping(model: &mut Model, leader_since: Duration, now: Duration) {
    for index in 0..model.stores.len() {
        let due = model.stores[index].view.stopping.is_some_and(|looks| now >= looks);
        if !due || !prepared(model, leader_since, now) {
            continue;
        }
        if !std::mem::replace(&mut model.stores[index].view.evicting, true)
            && let Some(pd) = model.leadership.leader()
        {
            lines::eviction_begins(&mut model.log, now, &model.members[pd].name, model.stores[index].id);
        }
        for region in 0..model.regions.len() {
            if model.regions[region].leader_store() == Some(index)
                && let Some(peer) = draw_other_leader(model, region, index, now)
            {
                hand_over(model, region, peer, now);
            }
        }
    }
}

/// A peer on another store that PD would let lead and that can.
fn draw_other_leader(model: &mut Model, region: usize, stopping: usize, now: Duration) -> Option<usize> {
    let peers = &model.regions[region].peers;
    let fits = |index: &usize| {
        let (peer, store) = (&peers[*index], &model.stores[peers[*index].store]);
        peer.store != stopping && !peer.lagging && store.connected && store.view.is_target(now)
    };
    let fitting: Vec<usize> = (0..peers.len()).filter(fits).collect();
    model.random.choice(fitting)
}

fn hand_over(model: &mut Model, index: usize, winner: usize, now: Duration) {
    let region = &mut model.regions[index];
    let Some(before) = region.leader.map(|leader| (region.peers[leader].store, region.peers[leader].id)) else {
        return;
    };
    let (peer, store) = (region.peers[winner].id, region.peers[winner].store);
    lines::transferring(&mut model.log, now, &model.stores[before.0], region, before.1, (peer, model.stores[store].id));
    model.load.touch();
    region.lead(winner, now, &model.links);
    lines::elected(&mut model.log, now, &model.stores[store], region, peer);
    model.report_region(index, now);
    model.agenda.set(index, model.regions[index].next_heartbeat);
}
