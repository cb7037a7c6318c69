//! What PD does by itself: its schedulers look at the stores, its checkers at the regions, and what they want becomes
//! operators (`pd:pkg/schedule`).

mod balance;
mod checker;
pub(super) mod controller;
mod evict;
mod hot_region;
mod limits;
mod lines;
mod merge;
pub(super) mod operator;
mod slow_store;

use std::time::Duration;

pub(super) use balance::balanced;
pub(super) use limits::Limits;
pub(super) use slow_store::{SLOW, release as release_slow_store};

use self::checker::Patrol;
use self::controller::{Operators, Order};
use self::operator::{At, Kind, Step};
use self::slow_store::SlowStore;
use super::bodies::APPROXIMATE_SIZE;
use super::bodies::stores::region_score;
use super::model::Model;
use super::schedulers::SchedulerKind;

/// A scheduler looks again after this long, and after a little longer each time there is nothing to do
/// (`pd:pkg/schedule/schedulers/base_scheduler.go`, `MinScheduleInterval`, `ScheduleIntervalFactor`,
/// `MaxScheduleInterval`).
const INTERVAL: (Duration, f64, Duration) = (Duration::from_millis(10), 1.3, Duration::from_secs(5));
/// A new PD leader schedules nothing until so large a part of the regions has reported, or this time has passed
/// (`pd:pkg/schedule/prepare_checker.go`).
const PREPARED: (f64, Duration) = (0.9, Duration::from_mins(5));
/// How often the regions are counted for that; a figure of the model.
const COUNT_REPORTS: Duration = Duration::from_secs(1);

/// A look of a scheduler. It returns whether it found something to do.
type Scheduler = fn(&mut Model, Duration) -> bool;

/// When a scheduler looks, and how long it waits between two looks.
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    next: Duration,
    interval: Duration,
}

/// What PD's leader knows of what it does. A new one knows nothing of it but the store that is evicted for its slowness,
/// which is in etcd.
#[derive(Debug, Clone, Default)]
pub(super) struct Schedule {
    pub(super) operators: Operators,
    pub(super) slow_store: SlowStore,
    pub(super) limits: Limits,
    patrol: Patrol,
    merges: Look,
    looks: [Look; SchedulerKind::COUNT],
    prepared: Prepared,
}

/// Whether PD's leader knows enough of the regions to schedule.
#[derive(Debug, Clone, Copy)]
enum Prepared {
    Yes,
    /// When the regions are counted next.
    No {
        next_count: Duration,
    },
}

impl Default for Prepared {
    fn default() -> Self {
        Self::No { next_count: Duration::ZERO }
    }
}

impl Schedule {
    /// Another PD leader takes over.
    pub(super) fn reload(&mut self) {
        *self = Self { slow_store: std::mem::take(&mut self.slow_store), ..Self::default() };
    }
}

/// Does what is due.
pub(super) fn step(model: &mut Model, leader_since: Duration, now: Duration) {
    controller::step(model, now);
    if model.config.schedule.halt_scheduling || model.recovery.is_running() || !prepared(model, leader_since, now) {
        return;
    }
    checker::step(model, now);
    merge::step(model, leader_since, now);
    if runs(model, SchedulerKind::EvictStoppingStore, now) {
        // When it looks, each stopping store knows.
        evict::stopping_stores(model, now);
    }
    let schedulers: [(SchedulerKind, Scheduler); 5] = [
        (SchedulerKind::BalanceHotRegion, hot_region::look),
        (SchedulerKind::EvictLeader, evict::given_stores),
        (SchedulerKind::EvictSlowStore, slow_store::look),
        (SchedulerKind::BalanceLeader, balance::leaders),
        (SchedulerKind::BalanceRegion, balance::regions),
    ];
    for (kind, look) in schedulers {
        if runs(model, kind, now) && now >= model.schedule.looks[kind as usize].next {
            let found = look(model, now);
            looked(&mut model.schedule.looks[kind as usize], found, now);
        }
    }
}

fn looked(look: &mut Look, found: bool, now: Duration) {
    let (shortest, factor, longest) = INTERVAL;
    look.interval = if found { shortest } else { look.interval.mul_f64(factor).clamp(shortest, longest) };
    look.next = now + look.interval;
}

/// A scheduler that was added, or given something else to do, looks at once.
pub(super) fn look_at_once(model: &mut Model, kind: SchedulerKind) {
    model.schedule.looks[kind as usize] = Look::default();
}

/// evict-leader-scheduler was given a store.
pub(super) fn evict_leader_added(model: &mut Model, store: u64) {
    let now = model.now;
    if let Some(pd) = model.leadership.leader() {
        lines::evict_leader_added(&mut model.log, now, &model.members[pd].name, store);
    }
    look_at_once(model, SchedulerKind::EvictLeader);
}

/// A store was taken from evict-leader-scheduler.
pub(super) fn evict_leader_removed(model: &mut Model, store: u64) {
    let now = model.now;
    if let Some(pd) = model.leadership.leader() {
        let stopped = model.schedulers.evicted().is_empty();
        lines::evict_leader_removed(&mut model.log, now, &model.members[pd].name, store, stopped);
    }
}

/// Whether a scheduler may do anything now.
pub(super) fn runs(model: &Model, kind: SchedulerKind, now: Duration) -> bool {
    !model.config.schedule.halt_scheduling && model.schedulers.runs(kind, now)
}

#[expect(clippy::cast_precision_loss, reason = "counts of regions are small")]
fn prepared(model: &mut Model, leader_since: Duration, now: Duration) -> bool {
    let Prepared::No { next_count } = model.schedule.prepared else { return true };
    if now < next_count {
        return false;
    }
    let reported = model.regions.iter().filter(|region| region.reported).count();
    let (part, patience) = PREPARED;
    let enough = reported as f64 >= part * model.live_regions().count() as f64 || now >= leader_since + patience;
    model.schedule.prepared = if enough { Prepared::Yes } else { Prepared::No { next_count: now + COUNT_REPORTS } };
    enough
}

/// Something has changed that the checkers may mind.
pub(super) fn check_again(model: &mut Model) {
    model.schedule.patrol.look_again();
}

/// A store as a step names it.
pub(super) fn at(model: &Model, store: usize) -> At {
    At { store, id: model.stores[store].id }
}

/// Whether PD moves leaders to a store.
pub(super) fn takes_leaders(model: &Model, store: usize, now: Duration) -> bool {
    let store = &model.stores[store];
    let evicted = runs(model, SchedulerKind::EvictLeader, now) && model.schedulers.evicted().contains(&store.id);
    store.view.is_target(now)
        && store.view.node_state.is_up()
        && !evicted
        && model.schedule.slow_store.evicted() != Some(store.id)
}

/// Whether PD moves regions to a store (`pd:pkg/schedule/filter/filters.go`, `StoreStateFilter`,
/// `StorageThresholdFilter`).
pub(super) fn takes_regions(model: &Model, store: usize, now: Duration) -> bool {
    let view = &model.stores[store].view;
    let roomy = view.stats.is_some_and(|stats| !is_low_on_space(model, store, stats.capacity, stats.used));
    view.is_target(now) && view.node_state.is_up() && roomy
}

/// `pd:pkg/core/store.go`, `IsLowSpace`: less than a fifth is free, in a cluster that is not small and empty.
#[expect(clippy::cast_precision_loss, reason = "PD computes in float64 too")]
fn is_low_on_space(model: &Model, store: usize, capacity: u64, used: u64) -> bool {
    const ENOUGH: u64 = 8 << 30;
    const SMALL_CLUSTER: usize = 100;
    let available = capacity.saturating_sub(used);
    let scarce = (available as f64) < capacity as f64 * (1.0 - model.config.schedule.low_space_ratio);
    let is_plenty = || available > ENOUGH && peer_counts(model)[store] < SMALL_CLUSTER;
    scarce && !is_plenty()
}

/// How many peers each store has, as PD knows it.
pub(super) fn peer_counts(model: &Model) -> Vec<usize> {
    let mut counts = vec![0; model.stores.len()];
    for peer in model.regions.iter().filter(|region| region.known_leader.is_some()).flat_map(|region| &region.peers) {
        counts[peer.store] += 1;
    }
    counts
}

/// PD's score of a store with so many peers, and so many MiB more than it has.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "PD computes in float64 and int64 too")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes, between 0 and the capacity")]
fn score(model: &Model, store: usize, peers: usize, delta: i64) -> f64 {
    let Some(stats) = model.stores[store].view.stats else { return 0.0 };
    let size = (peers as u64 * APPROXIMATE_SIZE) as i64;
    let mut used = stats.used as f64;
    if size != 0 {
        used += used * delta as f64 / size as f64;
    }
    let used = if used > 0.0 && used < stats.capacity as f64 { used as u64 } else { stats.used };
    let size = (size + delta).max(0) as u64;
    region_score(stats.capacity, stats.capacity.saturating_sub(used), size, model.config.schedule.low_space_ratio)
}

/// The brief of an operator that moves a peer.
fn move_brief(model: &Model, from: usize, to: usize) -> String {
    format!("mv peer: store [{}] to [{}]", model.stores[from].id, model.stores[to].id)
}

/// The steps that move the voter of a region from one store to another; the leader hands over first if it is the one
/// that goes (`pd:pkg/schedule/operator/builder.go`). None if no other peer can lead.
pub(super) fn move_voter(model: &mut Model, region: usize, from: usize, to: usize, now: Duration) -> Option<Vec<Step>> {
    let (from, to) = (at(model, from), at(model, to));
    let old = model.regions[region].peer_on(from.store).map(|peer| model.regions[region].peers[peer].id)?;
    let mut steps = Vec::new();
    let leads = model.regions[region].known_leader_store() == Some(from.store);
    if leads {
        let others = evict::followers(model, region, now);
        let heir = model.random.choice(others)?;
        steps.push(Step::TransferLeader { from, to: vec![at(model, heir)] });
    }
    let new = model.ids.next();
    let (promote, demote) = ((new, to), (old, from));
    steps.insert(0, Step::AddLearner { peer: new, to });
    steps.extend([
        Step::EnterJoint { promote, demote },
        Step::LeaveJoint { promote, demote },
        Step::RemovePeer { from },
    ]);
    Some(steps)
}

/// The steps that remove the voter of a region from a store; the leader hands over first. None if no other can lead.
pub(super) fn remove_voter(model: &mut Model, region: usize, store: usize, now: Duration) -> Option<Vec<Step>> {
    let from = at(model, store);
    let mut steps = Vec::new();
    if model.regions[region].known_leader_store() == Some(store) {
        let others = evict::followers(model, region, now);
        let heir = model.random.choice(others)?;
        steps.push(Step::TransferLeader { from, to: vec![at(model, heir)] });
    }
    steps.push(Step::RemovePeer { from });
    Some(steps)
}

/// Orders that the voter of a region moves.
pub(super) fn order_move(
    model: &mut Model,
    desc: &'static str,
    kind: Kind,
    region: usize,
    [from, to]: [usize; 2],
    now: Duration,
) -> bool {
    let Some(steps) = move_voter(model, region, from, to, now) else { return false };
    let leads = matches!(steps.get(1), Some(Step::TransferLeader { .. }));
    let kind = if leads { kind.and(Kind::LEADER) } else { kind };
    let brief = move_brief(model, from, to);
    controller::add(model, Order { desc, brief, region, kind: kind.and(Kind::REGION), steps }, now)
}
