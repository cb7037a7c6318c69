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
/// A client begins to connect anew to a store that is cut off about this long after the cut, and gives each attempt this
/// long, the default of gRPC; its first packet is sent again at these seconds (Linux' SYN retransmissions). In the
/// recorded partition, healed after 66 s, the client had its connection again at 76.5 s.
const CONNECT_ATTEMPTS: (Duration, Duration, [u64; 6]) =
    (Duration::from_millis(1_500), Duration::from_secs(20), [0, 1, 3, 7, 15, 20]);
/// A connection survives a cut that is no longer.
const CONNECTION_SURVIVES: Duration = Duration::from_secs(3);
/// How often the closed loop of clients and stores is gone round until it is steady.
const ROUNDS: usize = 12;
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
        if stores[store].process.hangs() || flows[store].reconnects.is_some_and(|at| now < at) {
            Some(Obstacle::Hangs)
        } else {
            (!stores[store].serves()).then_some(Obstacle::Refused)
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
    let Model { load, regions, stores, links, metrics, .. } = model;
    load.stores.resize_with(stores.len(), StoreFlow::default);
    for (store, flow) in stores.iter().zip(&mut load.stores) {
        watch_connection(store, flow, now);
    }
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
        flow.leader = region.leader_store().or(before);
        if before != flow.leader && before.is_some_and(|store| stores[store].serves()) {
            moved += 1;
        }
        let flow = &load.regions[index];
        let found = [false, true].map(|write| obstacle((region, flow), stores, &load.stores, links, write, now));
        load.regions[index].obstacles = found;
    }
    spread_over_stores(load, regions);
    find_paces(load, regions, stores, links);
    // A lease that ends, or a connection that comes back, is nobody's act.
    let waits = load.regions.iter().any(|flow| flow.alone_since.is_some())
        || load.stores.iter().any(|flow| flow.reconnects.is_some());
    load.stale = waits;
    moved
}

/// Notes since when a store is cut off, and when the clients are connected to it again once it is not.
fn watch_connection(store: &Store, flow: &mut StoreFlow, now: Duration) {
    if store.process.is_cut() {
        flow.cut_since.get_or_insert(now);
        return;
    }
    flow.reconnects.take_if(|at| now >= *at);
    let Some(cut) = flow.cut_since.take().filter(|cut| now >= *cut + CONNECTION_SURVIVES) else { return };
    let (first, attempt, packets) = CONNECT_ATTEMPTS;
    let since = now.saturating_sub(cut + first);
    let into = Duration::from_secs_f64(since.as_secs_f64() % attempt.as_secs_f64());
    let next = packets.into_iter().map(Duration::from_secs).find(|packet| *packet >= into).unwrap_or(attempt);
    flow.reconnects = Some(now + (next - into));
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

/// Works out how fast the stores are and what the clients find, each depending on the other.
fn find_paces(load: &mut Load, regions: &[Region], stores: &[Store], links: &[StoreLink]) {
    for client in &mut load.clients {
        client.outlook.pace = client.wanted_pace();
    }
    for round in 0..ROUNDS {
        for (flow, store) in load.stores.iter_mut().zip(stores) {
            flow.pace = Some(Pace::of(&store.resources, demand(flow, &load.clients)));
        }
        set_commits(load, regions, stores, links);
        let mut steady = true;
        for client in 0..load.clients.len() {
            let outlook = outlook(load, client, regions);
            let client = &mut load.clients[client];
            let possible = 1.0 / outlook.mixed.mean().max(1e-6);
            let pace = client.wanted_pace().min(possible);
            // The old and the new pace are averaged geometrically, or the loop would swing about what it looks for.
            let pace = if round == 0 { pace } else { (pace * client.outlook.pace).sqrt() };
            steady &= (pace / client.outlook.pace.max(1e-9) - 1.0).abs() < 0.01;
            client.outlook = Outlook { pace, ..outlook };
        }
        if steady {
            return;
        }
    }
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
