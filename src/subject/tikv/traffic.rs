//! Which regions and stores the traffic goes to, as PD has heard of it.

use std::collections::BTreeMap;

use super::super::CLUSTER;
use super::pd::{FlowRegions, HotPeer, HotRegions, StoreRates, ask_in_turn};
use super::stores::Infos;
use crate::cluster::{Cluster, Node};
use crate::reading::{Observation, Unit, Value};

/// How often a region tells PD what it was asked for, in seconds (`tikv:components/raftstore/src/store/config.rs`,
/// `pd-heartbeat-tick-interval`).
const REGION_HEARTBEAT: f64 = 60.0;

/// What PD answers, each or why it does not.
pub(super) struct Answers {
    /// The regions that are hot for their writes and for their reads.
    hot: [Result<HotRegions, String>; 2],
    /// The region that was written most between its last two heartbeats.
    most_written: Result<FlowRegions, String>,
    rates: Result<StoreRates, String>,
}

/// Asks the members in their order.
pub(super) async fn ask(cluster: &dyn Cluster, pds: &[&Node]) -> Answers {
    let (write, read, most_written, rates) = tokio::join!(
        ask_in_turn(cluster, pds, "/hotspot/regions/write"),
        ask_in_turn(cluster, pds, "/hotspot/regions/read"),
        ask_in_turn(cluster, pds, "/regions/writeflow?limit=1"),
        ask_in_turn(cluster, pds, "/hotspot/stores"),
    );
    Answers { hot: [write, read], most_written, rates }
}

/// Reads what the answers say of the stores that lead the busiest regions.
pub(super) fn observe(observation: &mut Observation, nodes: &[&Node], infos: &Infos, answers: &Answers) {
    observe_hot_regions(observation, nodes, infos, &answers.hot);
    let most_written = answers.most_written();
    for node in nodes {
        let id = infos.as_ref().ok().and_then(|infos| infos.get(&node.name)).map(|info| info.store.id);
        let share = match &most_written {
            Ok((leader, share)) => Value::from(if *leader == id { *share } else { 0.0 }),
            Err(reason) => Value::unknown(reason),
        };
        observation.push("pd", &node.name, "written_share", share, Unit::None);
    }
}

impl Answers {
    /// The store that leads the region that is written most, and which share of all written keys goes there, to a
    /// hundredth. It shows with the region's next heartbeat, two minutes before PD calls the region hot; one that a new
    /// leader sends sooner than a minute after the last counts for less than it is.
    fn most_written(&self) -> Result<(Option<u64>, f64), String> {
        let (regions, rates) = (self.most_written.as_ref()?, self.rates.as_ref()?);
        let region = regions.regions.first().ok_or("PD knows no region")?;
        // Each replica tells of a write (fixtures/recordings/hot-region.hotspot.jsonl).
        let replicas = u32::try_from(region.peers.len().max(1)).unwrap_or(1);
        let all = rates.keys_write_rate.values().sum::<f64>() / f64::from(replicas);
        // For some time after the writing has ended the region's figures are older than the stores'.
        let share = if all > 0.0 { (region.written_keys / REGION_HEARTBEAT / all).min(1.0) } else { 0.0 };
        Ok((region.leader.as_ref().map(|leader| leader.store_id), (share * 100.0).round() / 100.0))
    }
}

/// A region that PD counts as hot has been so for 3 minutes (PD: pkg/statistics/utils/constant.go): how much of what all
/// regions get goes to the hottest one of each store, to a hundredth.
fn observe_hot_regions(
    observation: &mut Observation,
    nodes: &[&Node],
    infos: &Infos,
    [write, read]: &[Result<HotRegions, String>; 2],
) {
    let mut hottest: BTreeMap<u64, (f64, u64)> = BTreeMap::new();
    for (hot, is_write) in [(write, true), (read, false)] {
        let Ok(hot) = hot else { continue };
        let all: f64 = hot.as_peer.values().map(|peers| peers.store_keys).sum();
        for peer in hot.as_leader.values().flat_map(|peers| &peers.statistics) {
            let share = (peer.flow_keys / total(all, peer, is_write) * 100.0).round() / 100.0;
            let entry = hottest.entry(peer.store_id).or_insert((share, peer.region_id));
            if share > entry.0 {
                *entry = (share, peer.region_id);
            }
        }
    }
    let unread = [write, read].into_iter().find_map(|hot| hot.as_ref().err());
    for node in nodes {
        let id = infos.as_ref().ok().and_then(|infos| infos.get(&node.name)).map(|info| info.store.id);
        let own = id.and_then(|id| hottest.get(&id));
        let share = match (own, unread) {
            (Some((share, _)), _) => Value::from(*share),
            (None, Some(reason)) => Value::unknown(reason),
            (None, None) => Value::from(0.0),
        };
        observation.push("pd", &node.name, "hot_region_share", share, Unit::None);
    }
    let region = hottest.values().max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, region)| region);
    let region = match (region, unread) {
        (Some(region), _) => Value::Text(format!("region {region}")),
        (None, Some(reason)) => Value::unknown(reason),
        (None, None) => Value::from("none"),
    };
    observation.push("pd", &CLUSTER.into(), "hottest_region", region, Unit::None);
}

/// Keys a second that all regions get. Of a write each replica tells, of a read only the leader
/// (fixtures/recordings/hot-region.hotspot.jsonl).
fn total(all_peers: f64, peer: &HotPeer, is_write: bool) -> f64 {
    let replicas = u32::try_from(peer.stores.len().max(1)).unwrap_or(1);
    if is_write { all_peers / f64::from(replicas) } else { all_peers }
}
