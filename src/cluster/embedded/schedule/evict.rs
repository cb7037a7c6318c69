//! The schedulers that move all leaders off a store: because it was asked for, because the store is stopping, because
//! it is slow (`pd:pkg/schedule/schedulers/evict_leader.go`, `evict_stopping_store.go`, `evict_slow_store.go`).

use std::time::Duration;

use super::super::model::Model;
use super::super::schedulers::SchedulerKind;
use super::controller::{self, Order};
use super::operator::{Kind, Step};
use super::takes_leaders;

/// The stores of evict-leader-scheduler.
pub(super) fn given_stores(model: &mut Model, now: Duration) -> bool {
    let given = |index: &usize| model.schedulers.evicted().contains(&model.stores[*index].id);
    let stores: Vec<usize> = (0..model.stores.len()).filter(given).collect();
    let mut found = false;
    for store in stores {
        found |= leaders_of(model, store, SchedulerKind::EvictLeader, now);
    }
    found
}

/// The stores that have told PD that they are stopping.
pub(super) fn stopping_stores(model: &mut Model, now: Duration) {
    for index in 0..model.stores.len() {
        if model.stores[index].view.stopping.is_none_or(|looks| now < looks) {
            continue;
        }
        if !std::mem::replace(&mut model.stores[index].view.evicting, true)
            && let Some(pd) = model.leadership.leader()
        {
            let name = &model.members[pd].name;
            super::super::lines::eviction_begins(&mut model.log, now, name, model.stores[index].id);
        }
        leaders_of(model, index, SchedulerKind::EvictStoppingStore, now);
    }
}

/// Orders transfers off a store, as many as may be under way at a time. Returns whether there were any to order.
pub(super) fn leaders_of(model: &mut Model, store: usize, kind: SchedulerKind, now: Duration) -> bool {
    let limit =
        model.config.schedule.leader_schedule_limit.saturating_sub(model.schedule.operators.count(Kind::LEADER));
    let led = |index: &usize| {
        model.regions[*index].known_leader_store() == Some(store)
            && model.schedule.operators.of_region(*index).is_none()
    };
    if limit == 0 {
        return false;
    }
    let regions: Vec<usize> = (0..model.regions.len()).filter(led).collect();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let drawn = model.random.choose_multiple(regions, limit);
    let mut found = false;
    for region in drawn {
        found |= leader_of(model, region, store, kind, now);
    }
    found
}

fn leader_of(model: &mut Model, region: usize, store: usize, kind: SchedulerKind, now: Duration) -> bool {
    let mut others = followers(model, region, now);
    let from = super::at(model, store);
    others.retain(|other| *other != store);
    others.sort_unstable_by_key(|other| model.stores[*other].id);
    let Some(first) = model.random.choice(&others).copied() else { return false };
    let ids: Vec<String> = others.iter().map(|other| model.stores[*other].id.to_string()).collect();
    let brief = format!(
        "evict leader: from store {} to one in [{}], or to {} (for compatibility)",
        from.id,
        ids.join(" "),
        model.stores[first].id
    );
    others.sort_unstable_by_key(|other| *other != first);
    let to = others.into_iter().map(|other| super::at(model, other)).collect();
    let steps = vec![Step::TransferLeader { from, to }];
    controller::add(model, Order { desc: kind.name(), brief, region, kind: Kind::LEADER, steps }, now)
}

/// The stores of the voters that could lead a region instead of its leader, as PD sees it.
pub(super) fn followers(model: &Model, region: usize, now: Duration) -> Vec<usize> {
    let leader = model.regions[region].known_leader_store();
    let peers = model.regions[region].peers.iter();
    let healthy = peers.filter(|peer| peer.votes() && !peer.pending && peer.down_seconds.is_none());
    healthy.map(|peer| peer.store).filter(|store| Some(*store) != leader && takes_leaders(model, *store, now)).collect()
}
