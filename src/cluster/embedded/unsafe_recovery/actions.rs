//! What the stores that are left do to their regions.

use std::time::Duration;

use super::super::lines;
use super::super::model::Model;
use super::{DEMOTION, Entry, FORCE_LEADER, Role, Stage, controller, finish, next_stage};

/// The peers that were chosen take the lead, an election time-out after their store was told.
pub(super) fn force_leaders(model: &mut Model, now: Duration) {
    for slot in 0..model.recovery.regions.len() {
        let (index, store, done) = model.recovery.regions[slot];
        let Some(told) = model.recovery.told.get(&store).copied().flatten() else { continue };
        match done {
            None => {
                let wait = FORCE_LEADER.start + (FORCE_LEADER.end - FORCE_LEADER.start) * model.random.f64();
                model.recovery.regions[slot].2 = Some(told + Duration::from_secs_f64(wait));
                let peer = model.regions[index].peer_on(store).map_or(0, |peer| model.regions[index].peers[peer].id);
                lines::recovery_awaits_leader(
                    &mut model.log,
                    told,
                    &model.stores[store].name,
                    &model.regions[index],
                    peer,
                );
            }
            Some(at) if at <= now && model.regions[index].leader_store() != Some(store) => {
                let Some(peer) = model.regions[index].peer_on(store) else { continue };
                model.regions[index].force_leader(peer, at, &model.links);
                let (region, node) = (&model.regions[index], &model.stores[store].name);
                lines::recovery_forces_leader(&mut model.log, at, node, region, region.peers[peer].id);
                model.report_region(index, at);
            }
            Some(_) => {}
        }
    }
    let done = |(index, store, done): &(usize, usize, Option<Duration>)| {
        done.filter(|_| model.regions[*index].leader_store() == Some(*store))
    };
    let last =
        model.recovery.regions.iter().map(done).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
    if let Some(last) = last {
        plan_demotion(model, last);
    }
}

fn plan_demotion(model: &mut Model, now: Duration) {
    let mut entry = Entry::new("Unsafe recovery enters demote Failed voter stage", now);
    for &(index, store, _) in &model.recovery.regions {
        let region = &model.regions[index];
        let failed = region.peers.iter().filter(|peer| peer.votes() && !model.recovery.told.contains_key(&peer.store));
        let text: Vec<String> =
            failed.map(|peer| format!("{{ id:{} store_id:{} }}", peer.id, model.stores[peer.store].id)).collect();
        let action = format!("region {} demotes peers {}", region.id, text.join(", "));
        entry.actions.entry(format!("store {}", model.stores[store].id)).or_default().push(action);
    }
    next_stage(model, Stage::Demote, entry, now);
}

/// The voters on the failed stores become learners, by way of a joint state.
pub(super) fn demote(model: &mut Model, now: Duration) {
    for slot in 0..model.recovery.regions.len() {
        let (index, store, done) = model.recovery.regions[slot];
        let told = model.recovery.told.get(&store).copied().flatten();
        let Some(told) = told.filter(|told| done.is_none() && now >= *told + 2 * DEMOTION) else { continue };
        let told_stores = model.recovery.told.clone();
        let failed: Vec<usize> = model.regions[index]
            .peers
            .iter()
            .filter(|peer| peer.votes() && !told_stores.contains_key(&peer.store))
            .map(|peer| peer.store)
            .collect();
        let name = model.stores[store].name.clone();
        lines::recovery_demotes(&mut model.log, told, &name, &model.regions[index]);
        for (at, role) in [(told + DEMOTION, Role::DemotingVoter), (told + 2 * DEMOTION, Role::Learner)] {
            controller::change_peers(model, index, at, |region| {
                for store in &failed {
                    region.set_role(*store, role);
                }
            });
        }
        model.recovery.regions[slot].2 = Some(told + 2 * DEMOTION);
        // It leads on as an ordinary leader, elected anew by those that are left.
        let region = &mut model.regions[index];
        region.term += 1;
    }
    let done = model.recovery.regions.iter().map(|(_, _, done)| *done);
    if let Some(last) = done.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max()) {
        finish(model, last, true);
    }
}
