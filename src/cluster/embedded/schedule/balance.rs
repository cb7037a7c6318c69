//! The schedulers that spread leaders and regions (`pd:pkg/schedule/schedulers/balance_leader.go`,
//! `balance_region.go`, `utils.go`).

use std::cmp::Reverse;
use std::time::Duration;

use super::super::model::Model;
use super::super::region::Region;
use super::super::schedulers::SchedulerKind;
use super::controller::{self, Order};
use super::operator::{Kind, Step};
use super::{order_move, peer_counts, score, takes_leaders, takes_regions};

/// Leaders are moved only from a store that has more than this many above the average of two stores
/// (`utils.go`, `leaderTolerantSizeRatio`). It is what leaves the restarted store of
/// fixtures/recordings/store-kill.jsonl with 2 leaders of 24.
const TOLERANCE: usize = 5;
/// How many regions a scheduler orders at most while a step of the model goes on: it looks every 10 ms.
const LOOKS_IN_A_STEP: u64 = 10;
/// The tolerance in sizes of regions is this part of the regions of the largest store, or 1 (`utils.go`,
/// `adjustRatio`, `minTolerantSizeRatio`).
const ADJUST_RATIO: f64 = 0.005;

/// Whether PD finds the leaders evenly spread and moves none.
pub(in super::super) fn balanced(model: &Model) -> bool {
    model.schedule.operators.running().next().is_none() && imbalance(model, model.now).is_none()
}

/// Orders transfers from the store with the most leaders to the one with the fewest.
pub(super) fn leaders(model: &mut Model, now: Duration) -> bool {
    let mut found = false;
    while model.schedule.operators.count(Kind::LEADER) < model.config.schedule.leader_schedule_limit
        && next_transfer(model, now)
    {
        found = true;
    }
    found
}

/// The store that should give a leader and the one that should get it, if the scheduler finds any. What was ordered
/// already counts as done.
fn imbalance(model: &Model, now: Duration) -> Option<(usize, usize)> {
    let mut counts = vec![0_usize; model.stores.len()];
    for store in model.regions.iter().filter_map(Region::known_leader_store) {
        counts[store] += 1;
    }
    for step in model.schedule.operators.running().flat_map(|operator| &operator.steps[operator.current..]) {
        if let Step::TransferLeader { from, to } = step {
            counts[from.store] = counts[from.store].saturating_sub(1);
            counts[to[0].store] += 1;
        }
    }
    // A store that gives leaders may be one that is not to get any.
    let gives = |store: &usize| model.stores[*store].view.is_target(now);
    let source = (0..counts.len()).filter(gives).max_by_key(|store| counts[*store])?;
    let takes = |store: &usize| takes_leaders(model, *store, now) && has_followers(model, *store, counts[*store]);
    let target = (0..counts.len()).filter(takes).min_by_key(|store| counts[*store])?;
    (counts[source] > counts[target] + 2 * TOLERANCE).then_some((source, target))
}

/// Whether a store has peers that do not lead: one without any cannot get leaders.
fn has_followers(model: &Model, store: usize, leaders: usize) -> bool {
    leaders > 0 || model.regions.iter().any(|region| region.peer_on(store).is_some())
}

/// Orders that a region of the source is led by the target; which one is drawn.
fn next_transfer(model: &mut Model, now: Duration) -> bool {
    let Some((from, to)) = imbalance(model, now) else { return false };
    let fits = |(index, region): &(usize, &Region)| {
        let healthy = |peer: usize| region.peers[peer].votes() && !region.peers[peer].pending;
        region.known_leader_store() == Some(from)
            && model.schedule.operators.of_region(*index).is_none()
            && region.peer_on(to).is_some_and(healthy)
    };
    let candidates: Vec<usize> = model.regions.iter().enumerate().filter(fits).map(|(index, _)| index).collect();
    let Some(region) = model.random.choice(candidates) else { return false };
    let (from, to) = (super::at(model, from), super::at(model, to));
    let brief = format!("transfer leader: store {} to {}", from.id, to.id);
    let steps = vec![Step::TransferLeader { from, to: vec![to] }];
    let desc = SchedulerKind::BalanceLeader.name();
    controller::add(model, Order { desc, brief, region, kind: Kind::LEADER, steps }, now)
}

/// Orders that peers move from stores with a high score to stores with a low one.
pub(super) fn regions(model: &mut Model, now: Duration) -> bool {
    let mut found = false;
    for _ in 0..LOOKS_IN_A_STEP {
        if model.schedule.operators.count(Kind::REGION) >= model.config.schedule.region_schedule_limit
            || !next_move(model, now)
        {
            break;
        }
        found = true;
    }
    found
}

/// The scores of a store as one that gives a region and as one that takes it.
#[derive(Debug, Clone, Copy)]
struct Scores {
    store: usize,
    gives: f64,
    takes: f64,
}

fn scores(model: &Model, now: Duration) -> Vec<Scores> {
    let counts = peer_counts(model);
    let mut influence = vec![0_i64; counts.len()];
    for step in model.schedule.operators.running().flat_map(|operator| &operator.steps[operator.current..]) {
        match step {
            Step::AddLearner { to, .. } => influence[to.store] += 1,
            Step::RemovePeer { from } => influence[from.store] -= 1,
            _ => {}
        }
    }
    let largest = counts.iter().copied().max().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "counts of regions are small")]
    let tolerance = (largest as f64 * ADJUST_RATIO).max(1.0) as i64;
    let connected = (0..counts.len()).filter(|store| {
        let view = &model.stores[*store].view;
        view.node_state.is_up() && view.is_connected(now)
    });
    let of = |store: usize| Scores {
        store,
        gives: score(model, store, counts[store], -influence[store].abs() - tolerance),
        takes: score(model, store, counts[store], influence[store].abs() + tolerance),
    };
    connected.map(of).collect()
}

fn next_move(model: &mut Model, now: Duration) -> bool {
    let mut sources = scores(model, now);
    sources.sort_by(|left, right| right.gives.total_cmp(&left.gives));
    let mut targets: Vec<Scores> =
        sources.iter().copied().filter(|scores| takes_regions(model, scores.store, now)).collect();
    targets.sort_by(|left, right| left.takes.total_cmp(&right.takes));
    let Some(lowest) = targets.first().copied() else { return false };
    for source in sources.into_iter().filter(|source| source.gives > lowest.takes) {
        let Some(region) = draw_region(model, source.store, lowest.store) else { continue };
        let target = targets.iter().find(|target| model.regions[region].peer_on(target.store).is_none());
        if let Some(target) = target.filter(|target| source.gives > target.takes) {
            let (desc, stores) = (SchedulerKind::BalanceRegion.name(), [source.store, target.store]);
            return order_move(model, desc, Kind(0), region, stores, now);
        }
    }
    false
}

/// A healthy region of the source that has no peer on the target, preferably one that the source does not lead.
fn draw_region(model: &mut Model, from: usize, to: usize) -> Option<usize> {
    let healthy = |region: &Region| region.peers.iter().all(|peer| !peer.pending && peer.down_seconds.is_none());
    let fits = |(index, region): &(usize, &Region)| {
        let voter = region.peer_on(from).is_some_and(|peer| region.peers[peer].votes());
        voter
            && region.known_leader.is_some()
            && region.peer_on(to).is_none()
            && healthy(region)
            && model.schedule.operators.of_region(*index).is_none()
    };
    let mut candidates: Vec<(usize, &Region)> = model.regions.iter().enumerate().filter(fits).collect();
    if candidates.iter().any(|(_, region)| region.known_leader_store() != Some(from)) {
        candidates.retain(|(_, region)| region.known_leader_store() != Some(from));
    }
    candidates.sort_by_key(|(index, _)| Reverse(*index));
    let indices: Vec<usize> = candidates.into_iter().map(|(index, _)| index).collect();
    model.random.choice(indices)
}
