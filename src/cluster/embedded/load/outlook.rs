//! What the clients find: which regions serve, and how fast. It is worked out anew when leaders, stores or resources
//! have changed.

use std::time::Duration;

use super::super::model::Model;
use super::super::region::{Region, StoreLink};
use super::super::store::Store;
use super::Load;
use super::client::{Client, Obstacle, Outlook, Wanted};
use super::flow::{Flow, RegionFlow, StoreFlow};
use super::service::{Demand, Pace, SCAN_RECORDS, quorum_time, round_trip};
use super::spread::Spread;

/// A leader that hears no quorum serves reads for so long (`tikv:components/raftstore/src/store/config.rs`,
/// `raft-store-max-leader-lease`).
const LEASE: Duration = Duration::from_secs(9);
/// How often the span in which the clients' pace lies is halved.
const HALVINGS: usize = 12;
/// Less than this part of the operations beyond the clients' patience is none.
const FEW: f64 = 1e-3;

/// What stands in the way of an operation.
pub(super) fn obstacle(
    (region, flow): (&Region, &RegionFlow),
    stores: &[Store],
    flows: &[StoreFlow],
    links: &[StoreLink],
    write: bool,
    now: Duration,
) -> Option<Obstacle> {
    // Clients go on asking the store that led last until they hear of another.
    let store = region.leader_store().or(flow.leader)?;
    let unreachable = |store: usize| {
        if stores[store].process.hangs() {
            Some(Obstacle::Hangs)
        } else if stores[store].serves() {
            flows[store].connection.obstacle()
        } else {
            Some(Obstacle::Refused)
        }
    };
    if region.leader.is_none() {
        return unreachable(store).or(Some(Obstacle::Refused));
    }
    if let Some(obstacle) = unreachable(store) {
        return Some(obstacle);
    }
    let leased = flow.alone_since.is_none_or(|since| now < since + LEASE);
    match write {
        _ if flow.alone_since.is_none() && region.has_quorum(links) => {}
        false if leased => {}
        _ => return Some(Obstacle::Hangs),
    }
    (write && stores[store].resources.disk_full).then_some(Obstacle::DiskFull)
}

/// Looks at all regions and stores. Returns how many leaders have moved from one store that serves to another.
pub(super) fn look_over(model: &mut Model, now: Duration) -> usize {
    watch_connections(model, now);
    let Model { load, regions, stores, links, metrics, .. } = model;
    metrics.settle_load(stores, load);
    for flow in &mut load.stores {
        flow.settle(&load.clients);
    }
    load.stale = false;
    load.looked_over = now;
    load.regions.resize_with(regions.len(), RegionFlow::default);
    let mut moved = 0;
    for (index, region) in regions.iter().enumerate() {
        load.regions[index].settle(&load.clients);
        if load.regions[index].version != region.version || load.regions[index].shares.len() != load.clients.len() {
            let shares = (0..load.clients.len()).map(|client| load.share(client, region)).collect();
            load.regions[index].set_shares(shares, &load.clients);
            load.regions[index].version = region.version;
        }
        let alone = region.leader.is_some() && !region.has_quorum(links);
        let flow = &mut load.regions[index];
        flow.alone_since = alone.then(|| flow.alone_since.unwrap_or(now));
        let before = flow.leader;
        flow.leader = region.leader_store().or(before).filter(|_| !region.is_merged());
        if before != flow.leader && before.is_some_and(|store| stores[store].serves()) {
            moved += 1;
        }
        let flow = &load.regions[index];
        let found = [false, true].map(|write| obstacle((region, flow), stores, &load.stores, links, write, now));
        load.regions[index].obstacles = found;
    }
    spread_over_stores(load, regions);
    find_paces(load, regions, stores, links);
    // The end of a lease is nobody's act.
    let leases = load.regions.iter().filter_map(|flow| flow.alone_since).map(|since| since + LEASE);
    load.leases_end = leases.filter(|end| *end > now).min();
    moved
}

/// Whether a store has more or less to work with than when that was last looked at.
pub(super) fn resources_changed(model: &mut Model) -> bool {
    let mut changed = false;
    for (store, flow) in model.stores.iter().zip(&mut model.load.stores) {
        if flow.resources.as_ref() != Some(&store.resources) {
            flow.resources = Some(store.resources.clone());
            changed = true;
        }
    }
    changed
}

/// Watches the clients' connections. Returns whether one was lost or came back.
pub(super) fn watch_connections(model: &mut Model, now: Duration) -> bool {
    let Model { load, stores, .. } = model;
    load.stores.resize_with(stores.len(), StoreFlow::default);
    if stores.iter().zip(&load.stores).all(|(store, flow)| store.serves() && !flow.connection.is_troubled()) {
        return false;
    }
    let mut asked = vec![false; stores.len()];
    for store in load.regions.iter().filter_map(|flow| flow.leader) {
        asked[store] = true;
    }
    let mut changed = false;
    for ((store, flow), asked) in stores.iter().zip(&mut load.stores).zip(asked) {
        changed |= flow.connection.watch(store, asked, now, &mut load.random);
    }
    changed
}

/// Works out which part of each client's operations each store serves and replicates.
fn spread_over_stores(load: &mut Load, regions: &[Region]) {
    let clients = load.clients.len();
    for flow in &mut load.stores {
        flow.leads.clear();
        flow.leads.resize(clients, [0.0; 2]);
        flow.replicates.clear();
        flow.replicates.resize(clients, 0.0);
    }
    for (region, flow) in regions.iter().zip(&load.regions) {
        for (client, share) in flow.shares.iter().enumerate() {
            if let Some(store) = region.leader_store() {
                for kind in 0..2 {
                    load.stores[store].leads[client][kind] += if flow.obstacles[kind].is_none() { *share } else { 0.0 };
                }
            }
            if flow.obstacles[1].is_none() {
                for peer in region.peers.iter().filter(|peer| !peer.lagging) {
                    load.stores[peer.store].replicates[client] += share;
                }
            }
        }
    }
}

/// Works out how fast the stores are and what the clients find, each depending on the other: the clients begin as much
/// as they want to, or, if the stores are too slow for that, what their threads can do at the latency that this makes.
fn find_paces(load: &mut Load, regions: &[Region], stores: &[Store], links: &[StoreLink]) {
    if try_pace(load, 1.0, regions, stores, links) {
        return;
    }
    let (mut possible, mut impossible) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(possible, impossible);
        if try_pace(load, middle, regions, stores, links) {
            possible = middle;
        } else {
            impossible = middle;
        }
    }
    try_pace(load, possible, regions, stores, links);
}

/// Sets everything for this part of what the clients want. Returns whether their threads can do that.
fn try_pace(load: &mut Load, part: f64, regions: &[Region], stores: &[Store], links: &[StoreLink]) -> bool {
    for client in &mut load.clients {
        client.outlook.pace = part * client.wanted_pace();
    }
    for (flow, store) in load.stores.iter_mut().zip(stores) {
        flow.pace = Some(Pace::of(&store.resources, demand(flow, &load.clients)));
    }
    set_commits(load, regions, stores, links);
    let mut possible = true;
    for client in 0..load.clients.len() {
        let outlook = outlook(load, client, regions);
        possible &= outlook.pace * outlook.mixed.mean() <= 1.0;
        load.clients[client].outlook = outlook;
    }
    possible
}

fn demand(flow: &StoreFlow, clients: &[Client]) -> Demand {
    let mut demand = Demand::default();
    for (client, (leads, replicates)) in clients.iter().zip(flow.leads.iter().zip(&flow.replicates)) {
        let [reading, writing] = client.parts().map(|part| part * client.outlook.pace * f64::from(client.spec.threads));
        let written = Flow::of(client, [0.0, writing * replicates]).written_bytes;
        let [reads, writes] = client.requests([reading * leads[0], writing * leads[1]]);
        demand.reads += reads;
        demand.writes += writes;
        demand.replicated += writing * replicates;
        demand.bytes += written;
    }
    demand
}

/// Gives each store what its commits take: the mean over the regions that it leads, by how much they are written.
fn set_commits(load: &mut Load, regions: &[Region], stores: &[Store], links: &[StoreLink]) {
    let mut sums = vec![(0.0, 0.0); stores.len()];
    let appends: Vec<f64> = load.stores.iter().map(|flow| flow.pace.map_or(0.0, Pace::append)).collect();
    let mut times = Vec::new();
    for (region, flow) in regions.iter().zip(&load.regions) {
        let weight: f64 = flow.shares.iter().sum();
        let Some(leader) = region.leader_store().filter(|_| flow.obstacles[1].is_none() && weight > 0.0) else {
            continue;
        };
        times.clear();
        for peer in region.peers.iter().filter(|peer| links[peer.store].serves.is_ok()) {
            let way = if peer.store == leader {
                0.0
            } else {
                round_trip(&stores[leader].resources, &stores[peer.store].resources, peer.store, leader)
            };
            times.push(way + appends[peer.store]);
        }
        let quorum = quorum_time(&mut times, region.peers.len() / 2 + 1);
        sums[leader].0 += weight * quorum;
        sums[leader].1 += weight;
    }
    for (flow, (sum, weight)) in load.stores.iter_mut().zip(sums) {
        if let Some(pace) = &mut flow.pace {
            pace.set_commit(if weight > 0.0 { sum / weight } else { pace.append() });
        }
    }
}

/// What a client finds at the stores' paces.
fn outlook(load: &Load, client: usize, regions: &[Region]) -> Outlook {
    let own = &load.clients[client];
    let patience = own.spec.timeout.as_secs_f64();
    let scans = own.spec.workload.mix().scan;
    let mut outlook = Outlook { pace: own.outlook.pace, ..Outlook::default() };
    let mut overdue = vec![[0.0; 2]; load.stores.len()];
    for (store, flow) in load.stores.iter().enumerate() {
        let (Some(pace), Some(leads)) = (flow.pace, flow.leads.get(client)) else { continue };
        for kind in 0..2 {
            let mut of_store = Spread::EMPTY;
            let bells = if kind == 0 {
                pace.client_read(scans * SCAN_RECORDS)
            } else {
                pace.client_write(own.reads_of_write())
            };
            for (bell, part) in bells {
                of_store.add(bell, part);
                overdue[store][kind] += part * (1.0 - bell.below(patience));
            }
            outlook.latency[kind].merge(&of_store, leads[kind]);
        }
    }
    for (index, (region, flow)) in regions.iter().zip(&load.regions).enumerate() {
        let share = flow.shares[client];
        let mut bad = [0.0; 2];
        for kind in 0..2 {
            let late = region.leader_store().map_or(0.0, |store| overdue[store][kind]);
            bad[kind] = match flow.obstacles[kind] {
                Some(_) => share,
                None if late > FEW => share * late,
                None => 0.0,
            };
            outlook.good[kind] += share - bad[kind];
        }
        if bad[0] + bad[1] > 0.0 {
            outlook.bad.push((index, bad));
        }
    }
    let [reads, writes] = own.parts();
    for (kind, part) in [reads, writes].into_iter().enumerate() {
        let weight = outlook.latency[kind].weight();
        if weight > 0.0 {
            let times = part / weight * outlook.good[kind];
            let (latency, mixed) = (&outlook.latency[kind], &mut outlook.mixed);
            mixed.merge(latency, times);
        }
    }
    outlook
}

/// What stands in the way of an operation that is tried now. One that is followed from its beginning because of a
/// region that serves is one that the store answers too late.
pub(super) fn found(regions: &[RegionFlow], wanted: Wanted, first: bool) -> Option<Obstacle> {
    regions[wanted.region].obstacles[usize::from(wanted.write)].or(first.then_some(Obstacle::Overdue))
}
