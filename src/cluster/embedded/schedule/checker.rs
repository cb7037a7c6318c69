//! The rule checker: it patrols the regions and mends the groups that are not as the rules want them, which is
//! `max-replicas` voters on stores that last (`pd:pkg/schedule/checker/rule_checker.go`).

use std::time::Duration;

use super::super::model::Model;
use super::super::schedulers::CheckerKind;
use super::super::store::NodeState;
use super::controller::{self, Order};
use super::operator::{Kind, Step};
use super::{order_move, peer_counts, score, takes_regions};

/// How many regions PD looks at each `patrol-region-interval` (`checker_controller.go`, `patrolScanRegionMinLimit`).
const PATROL_BATCH: usize = 128;
/// A patrol goes on each step of the model.
const STEP: Duration = Duration::from_millis(100);

/// How far PD has come with looking at the regions.
#[derive(Debug, Clone)]
pub(super) struct Patrol {
    next: usize,
    /// A region may not be as it should: nothing is looked at while all are.
    needed: bool,
    /// This round found one that was not.
    found: bool,
    /// `max-replicas` at the last look.
    replicas: u64,
}

impl Default for Patrol {
    fn default() -> Self {
        Self { next: 0, needed: true, found: false, replicas: 0 }
    }
}

impl Patrol {
    /// Something has changed that the checkers may mind.
    pub(super) fn look_again(&mut self) {
        (self.needed, self.found) = (true, true);
    }
}

/// Patrols the regions that are due.
pub(super) fn step(model: &mut Model, now: Duration) {
    let replicas = model.config.replication.max_replicas;
    if std::mem::replace(&mut model.schedule.patrol.replicas, replicas) != replicas
        || (0..model.stores.len()).any(|store| is_leaving(model, store, now))
    {
        model.schedule.patrol.look_again();
    }
    if !model.schedule.patrol.needed || model.schedulers.is_checker_paused(CheckerKind::Rule, now) {
        return;
    }
    let interval = model.config.schedule.patrol_region_interval.max(Duration::from_millis(1));
    let looks = (STEP.as_micros() / interval.as_micros()).max(1);
    let total = model.regions.len();
    let due = usize::try_from(looks).unwrap_or(1).saturating_mul(PATROL_BATCH).min(total);
    // A small cluster is patrolled several times in a step; nothing comes of looking twice but PD's count.
    let rounds = if total <= PATROL_BATCH { u64::try_from(looks).unwrap_or(1) } else { 1 };
    let mut counts = None;
    for _ in 0..due {
        let index = model.schedule.patrol.next;
        let verdict = check(model, index, &mut counts, now);
        if let Some(event) = verdict {
            model.schedule.patrol.found = true;
            count(model, event, rounds);
        }
        model.schedule.patrol.next = (index + 1) % total;
        if model.schedule.patrol.next == 0 {
            let patrol = &mut model.schedule.patrol;
            patrol.needed = std::mem::take(&mut patrol.found);
        }
    }
}

/// What was found of a region, by the names of `pd_checker_event_count`.
type Event = &'static [&'static str];

/// Counts for `pd_checker_event_count`.
fn count(model: &mut Model, events: Event, rounds: u64) {
    if let Some(leader) = model.leadership.leader() {
        for event in events {
            *model.metrics.members[leader].rule_checker.entry(event).or_default() += rounds;
        }
    }
}

/// Whether a store's peers are to be elsewhere.
fn is_leaving(model: &Model, store: usize, now: Duration) -> bool {
    let view = &model.stores[store].view;
    view.registered && (view.node_state == NodeState::Removing || is_down(model, store, now))
}

fn is_down(model: &Model, store: usize, now: Duration) -> bool {
    let view = &model.stores[store].view;
    !view.node_state.is_removed()
        && view.silence(now).is_none_or(|silence| silence > model.config.schedule.max_store_down_time)
}

/// Looks at one region, and orders what it needs first. None if it needs nothing.
fn check(model: &mut Model, index: usize, counts: &mut Option<Vec<usize>>, now: Duration) -> Option<Event> {
    let region = &model.regions[index];
    if region.known_leader.is_none() {
        return None;
    }
    if model.schedule.operators.of_region(index).is_some() {
        return Some(&[]);
    }
    let config = &model.config.schedule;
    let wanted = usize::try_from(model.config.replication.max_replicas).unwrap_or(usize::MAX);
    let down = |store: usize, reported: bool| reported && is_down(model, store, now);
    let gone = region.peers.iter().find_map(|peer| {
        let state = model.stores[peer.store].view.node_state;
        let replaceable = [NodeState::Removing, NodeState::Removed].contains(&state);
        match () {
            () if down(peer.store, peer.down_seconds.is_some()) => Some((peer.store, Gone::Down)),
            () if replaceable => Some((peer.store, Gone::Offline)),
            () => None,
        }
    });
    if region.peers.len() < wanted {
        return Some(if config.enable_make_up_replica { add_peer(model, index, counts, now) } else { &[] });
    }
    if let Some((store, gone)) = gone {
        // One too many is simply removed.
        let enabled = match gone {
            Gone::Down => config.enable_remove_down_replica,
            Gone::Offline => config.enable_replace_offline_replica,
        };
        return Some(match enabled {
            false => &[],
            true if region.peers.len() > wanted => remove_orphan(model, index, store, now),
            true => replace(model, index, store, gone, counts, now),
        });
    }
    if region.peers.len() > wanted {
        let extra = extra_peer(model, index);
        return Some(if model.config.schedule.enable_remove_extra_replica {
            remove_orphan(model, index, extra, now)
        } else {
            &[]
        });
    }
    let learner = region.peers.iter().find(|peer| !peer.votes() && !peer.pending).map(|peer| (peer.id, peer.store));
    if let Some((peer, store)) = learner {
        let on = super::at(model, store);
        let brief = format!("promote peer: store [{}]", on.id);
        let steps = vec![Step::PromoteLearner { peer, on }];
        let kind = Kind::REPLICA.and(Kind::REGION);
        controller::add(model, Order { desc: "fix-peer-role", brief, region: index, kind, steps }, now);
        return Some(&["fix-peer-role"]);
    }
    (region.peers.iter().any(|peer| !peer.votes())).then_some(&[])
}

/// Why a peer is to be replaced.
#[derive(Debug, Clone, Copy)]
enum Gone {
    Down,
    Offline,
}

/// The store without a peer of the region that takes regions and has the lowest score.
fn draw_target(model: &Model, region: usize, counts: &mut Option<Vec<usize>>, now: Duration) -> Option<usize> {
    let free = |store: &usize| model.regions[region].peer_on(*store).is_none() && takes_regions(model, *store, now);
    let free: Vec<usize> = (0..model.stores.len()).filter(free).collect();
    if free.is_empty() {
        return None;
    }
    let counts = counts.get_or_insert_with(|| peer_counts(model));
    let score = |store: &usize| score(model, *store, counts[*store], 0);
    let target = free.into_iter().min_by(|left, right| score(left).total_cmp(&score(right)))?;
    counts[target] += 1;
    Some(target)
}

fn allowed(model: &Model) -> bool {
    model.schedule.operators.count(Kind::REPLICA) < model.config.schedule.replica_schedule_limit
}

fn add_peer(model: &mut Model, region: usize, counts: &mut Option<Vec<usize>>, now: Duration) -> Event {
    if !allowed(model) {
        return &["add-rule-peer"];
    }
    let Some(target) = draw_target(model, region, counts, now) else { return &["add-rule-peer", "no-store-add"] };
    let (peer, to) = (model.ids.next(), super::at(model, target));
    let brief = format!("add peer: store [{}]", to.id);
    let steps = vec![Step::AddLearner { peer, to }, Step::PromoteLearner { peer, on: to }];
    let kind = Kind::REPLICA.and(Kind::REGION);
    controller::add(model, Order { desc: "add-rule-peer", brief, region, kind, steps }, now);
    &["add-rule-peer"]
}

fn replace(
    model: &mut Model,
    region: usize,
    store: usize,
    gone: Gone,
    counts: &mut Option<Vec<usize>>,
    now: Duration,
) -> Event {
    let found: Event = match gone {
        Gone::Down => &["replace-down"],
        Gone::Offline => &["replace-offline"],
    };
    if !allowed(model) {
        return found;
    }
    let Some(target) = draw_target(model, region, counts, now) else {
        return match gone {
            Gone::Down => &["replace-down", "no-store-replace"],
            Gone::Offline => &["replace-offline", "no-store-replace"],
        };
    };
    let leads = model.regions[region].known_leader_store() == Some(store);
    let desc = match (gone, leads) {
        (Gone::Down, false) => "replace-rule-down-peer",
        (Gone::Down, true) => "replace-rule-down-leader-peer",
        (Gone::Offline, false) => "replace-rule-offline-peer",
        (Gone::Offline, true) => "replace-rule-offline-leader-peer",
    };
    let votes = model.regions[region].peer_on(store).is_some_and(|peer| model.regions[region].peers[peer].votes());
    if votes {
        order_move(model, desc, Kind::REPLICA, region, [store, target], now);
    } else {
        // A learner, as unsafe recovery leaves it, has no vote to hand on.
        let (peer, to, from) = (model.ids.next(), super::at(model, target), super::at(model, store));
        let brief = super::move_brief(model, store, target);
        let steps =
            vec![Step::AddLearner { peer, to }, Step::PromoteLearner { peer, on: to }, Step::RemovePeer { from }];
        let kind = Kind::REPLICA.and(Kind::REGION);
        controller::add(model, Order { desc, brief, region, kind, steps }, now);
    }
    found
}

fn remove_orphan(model: &mut Model, region: usize, store: usize, now: Duration) -> Event {
    if allowed(model) {
        let brief = format!("rm peer: store [{}]", model.stores[store].id);
        let Some(steps) = super::remove_voter(model, region, store, now) else { return &["remove-orphan-peer"] };
        let kind = Kind::REPLICA.and(Kind::REGION);
        let kind = if steps.len() > 1 { kind.and(Kind::LEADER) } else { kind };
        controller::add(model, Order { desc: "remove-orphan-peer", brief, region, kind, steps }, now);
    }
    &["remove-orphan-peer"]
}

/// Of the peers of a region that has too many, the one to go: a learner, else a follower on the fullest store.
fn extra_peer(model: &Model, region: usize) -> usize {
    let region = &model.regions[region];
    let leader = region.known_leader_store();
    let counts = peer_counts(model);
    let rank = |store: usize| {
        let learner = region.peer_on(store).is_some_and(|peer| !region.peers[peer].votes());
        (learner, Some(store) != leader, counts[store], store)
    };
    region.peers.iter().map(|peer| peer.store).max_by_key(|store| rank(*store)).unwrap_or_default()
}
