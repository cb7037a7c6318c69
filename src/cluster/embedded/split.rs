//! Splitting regions at keys and scattering their peers, as an operator asks PD for it
//! (`pd:pkg/schedule/splitter/region_splitter.go`, `pkg/schedule/scatter/region_scatterer.go`).

use std::time::Duration;

use super::layout;
use super::model::Model;
use super::region::Region;
use super::schedule::controller::{self, Order};
use super::schedule::operator::{Kind, Step};
use super::schedule::{self, at, peer_counts, takes_leaders, takes_regions};

/// Asks for splits at these keys, in upper-case hex, and has them done. Returns the ids of the new regions.
pub(super) fn split_at(model: &mut Model, keys: &[String], now: Duration) -> Vec<u64> {
    let known: usize = model.regions.len();
    for index in 0..known {
        let region = &model.regions[index];
        let inside = |key: &&String| region.start_key < **key && (region.end_key.is_empty() || **key < region.end_key);
        let mut inside: Vec<String> = keys.iter().filter(inside).cloned().collect();
        if inside.is_empty() {
            continue;
        }
        inside.sort();
        inside.dedup();
        let brief = format!("split: region {} use policy USEKEY and keys [{}]", region.id, inside.join(" "));
        let steps = vec![Step::Split { keys: inside }];
        let order = Order { desc: "region-splitter", brief, region: index, kind: Kind::SPLIT, steps };
        if controller::add(model, order, now) {
            controller::rush(model, index, now);
        }
    }
    model.regions[known..].iter().map(|region| region.id).collect()
}

/// The key in the middle of the records of a region, where its leader splits it if it is left to choose; none if it has no
/// two records.
pub(super) fn middle(model: &Model, index: usize) -> Vec<String> {
    model.load.middle(&model.regions[index]).into_iter().collect()
}

/// The leader of a region splits it.
pub(super) fn carry_out(model: &mut Model, index: usize, keys: &[String], now: Duration) {
    let ids = &mut model.ids;
    let parts = model.regions[index].split(keys, || ids.next(), now);
    for part in parts {
        model.regions.push(part);
        let new = model.regions.len() - 1;
        model.report_region(new, now);
        model.agenda.set(new, now);
    }
    model.report_region(index, now);
    model.agenda.set(index, now);
}

/// A client makes a new table of so many regions before it writes anything there, as a bulk load does. Returns the indices
/// of the new regions; none if nobody leads the region that the table lies in.
pub(super) fn presplit(model: &mut Model, count: u32, now: Duration) -> Vec<usize> {
    let keys: Vec<String> = (1..=count).map(layout::new_table_key).collect();
    let known = model.regions.len();
    let inside = |region: &Region| region.start_key < keys[0] && keys[keys.len() - 1] < region.end_key;
    let Some(index) = model.regions.iter().position(|region| inside(region) && region.leader.is_some()) else {
        return Vec::new();
    };
    carry_out(model, index, &keys, now);
    // Whatever clients used is in front of the first of these keys.
    for empty in (known + 1..model.regions.len()).chain([index]) {
        model.regions[empty].active = false;
    }
    (known..model.regions.len()).collect()
}

/// Spreads the peers and leaders of these regions over the stores: each goes, if it goes, to the store that has the
/// fewest of this group. Returns for how many nothing could be ordered.
pub(super) fn scatter(model: &mut Model, regions: &[usize], now: Duration) -> usize {
    let mut peers = vec![0_usize; model.stores.len()];
    let mut leaders = vec![0_usize; model.stores.len()];
    let mut failed = 0;
    for &index in regions {
        let region = &model.regions[index];
        let healthy = region.peers.iter().all(|peer| !peer.pending && peer.down_seconds.is_none() && peer.votes());
        if region.known_leader.is_none() || !healthy || model.schedule.operators.of_region(index).is_some() {
            failed += 1;
            continue;
        }
        scatter_one(model, index, &mut peers, &mut leaders, now);
    }
    failed
}

fn scatter_one(model: &mut Model, index: usize, peers: &mut [usize], leaders: &mut [usize], now: Duration) {
    let Some(leader) = model.regions[index].known_leader_store() else { return };
    let totals = peer_counts(model);
    let own: Vec<usize> = model.regions[index].peers.iter().map(|peer| peer.store).collect();
    let rank = |store: usize, peers: &[usize]| (peers[store], totals[store], store);
    // A follower moves if a store without a peer has fewer of the group than its own.
    let free = (0..totals.len()).filter(|store| !own.contains(store) && takes_regions(model, *store, now));
    let emptiest = free.min_by_key(|store| rank(*store, peers));
    let fullest = own.iter().copied().filter(|store| *store != leader).max_by_key(|store| rank(*store, peers));
    let mut stores = own.clone();
    if let (Some(from), Some(to)) = (fullest, emptiest)
        && (peers[to], totals[to] + 1) < (peers[from], totals[from])
        && schedule::order_move(model, "scatter-region", Kind::ADMIN, index, [from, to], now)
    {
        stores.retain(|store| *store != from);
        stores.push(to);
    }
    for store in &stores {
        peers[*store] += 1;
    }
    let moved = stores != own;
    let can_lead = |store: &usize| own.contains(store) && takes_leaders(model, *store, now);
    let target =
        stores.iter().copied().filter(can_lead).min_by_key(|store| (leaders[*store], *store != leader, *store));
    let target = target.filter(|_| !moved).unwrap_or(leader);
    leaders[target] += 1;
    if target != leader {
        let (from, to) = (at(model, leader), at(model, target));
        let steps = vec![Step::TransferLeader { from, to: vec![to] }];
        let brief = format!("scatter region: leader {} to {}", from.id, to.id);
        let kind = Kind::ADMIN.and(Kind::LEADER);
        controller::add(model, Order { desc: "scatter-region", brief, region: index, kind, steps }, now);
    }
}
