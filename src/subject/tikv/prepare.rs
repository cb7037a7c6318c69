//! Brings a real cluster whose nodes are up to where the model begins: each region has its replicas, and the load's table
//! is split, with its leaders on all stores.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

use super::pd::{self, Stores, ask_in_turn, first_answer};
use crate::clock::{self, after};
use crate::cluster::{Cluster, ClusterError, Node};
use crate::http::Request;

/// How long the stores may take to join and to make the replicas of the first regions, once they answer.
const READY_WITHIN: Duration = Duration::from_mins(5);
/// How often is asked whether it is so.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long PD may take to split: it tries up to five times.
const SPLIT_TIMEOUT: Duration = Duration::from_secs(30);

/// PD's limit of replicas (pd.toml, `max-replicas`).
const REPLICAS: usize = 3;
/// The load's table has so many regions, as in the model.
const TABLE_REGIONS: u64 = 20;

/// `GET /pd/api/v1/regions` (PD: pkg/response/region.go).
#[derive(Debug, Deserialize)]
struct Regions {
    regions: Vec<Region>,
}

#[derive(Debug, Deserialize)]
struct Region {
    id: u64,
    start_key: String,
    #[serde(default)]
    peers: Vec<IgnoredAny>,
    leader: Option<IgnoredAny>,
    #[serde(default)]
    pending_peers: Vec<IgnoredAny>,
}

/// Waits until every store is up and every region has its replicas and a leader, then splits the table. A table that is
/// not split is no reason to end a run, and is said in the log.
pub(super) async fn prepare(
    cluster: &dyn Cluster,
    records: u32,
    cancel: &CancellationToken,
) -> Result<(), ClusterError> {
    let of_role = |role: &str| cluster.nodes().iter().filter(|node| node.role == role).collect::<Vec<&Node>>();
    let (pds, stores) = (of_role("pd"), of_role("tikv"));
    let deadline = after(cluster.clock().now(), READY_WITHIN);
    while let Err(missing) = ready(cluster, &pds, &stores).await {
        if cluster.clock().now() >= deadline {
            let step = format!("waiting {} s until the cluster can serve", READY_WITHIN.as_secs());
            return Err(ClusterError::environment(step, missing, "see the logs of its nodes"));
        }
        clock::sleep(cluster.clock(), ASK_EVERY, cancel).await?;
    }
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(clock::Interrupted.into()),
        outcome = split(cluster, &pds, records) => {
            if let Err(reason) = outcome {
                tracing::warn!("the load's table is not split: {reason}");
            }
            Ok(())
        }
    }
}

/// Whether the cluster can serve, else what is missing.
async fn ready(cluster: &dyn Cluster, pds: &[&Node], stores: &[&Node]) -> Result<(), String> {
    let known = ask_in_turn::<Stores>(cluster, pds, "/stores").await?;
    for node in stores {
        let is_it = |info: &&pd::StoreInfo| info.store.address.split(':').next() == Some(node.name.as_str());
        match known.stores.iter().find(is_it).map(|info| info.store.state_name.as_str()) {
            Some("Up") => {}
            Some(state) => return Err(format!("PD says that {} is {state}", node.name)),
            None => return Err(format!("PD knows no store {}", node.name)),
        }
    }
    let regions = regions(cluster, pds).await?;
    let whole =
        |region: &Region| region.peers.len() == REPLICAS && region.pending_peers.is_empty() && region.leader.is_some();
    match regions.iter().find(|region| !whole(region)) {
        None if regions.is_empty() => Err("PD knows no region".to_owned()),
        None => Ok(()),
        Some(region) => Err(format!("region {} has not all its replicas, or no leader", region.id)),
    }
}

async fn regions(cluster: &dyn Cluster, pds: &[&Node]) -> Result<Vec<Region>, String> {
    Ok(ask_in_turn::<Regions>(cluster, pds, "/regions").await?.regions)
}

/// Splits the load's table, and spreads the leaders of its regions over the stores.
async fn split(cluster: &dyn Cluster, pds: &[&Node], records: u32) -> Result<(), String> {
    let keys = split_keys(records);
    tell(cluster, pds, "/regions/split", json!({ "split_keys": keys, "retry_limit": 5 })).await?;
    let regions = regions(cluster, pds).await?;
    let made: Vec<u64> =
        regions.iter().filter(|region| keys.contains(&region.start_key)).map(|region| region.id).collect();
    if made.len() < keys.len() {
        return Err(format!("{} of {} splits were done", made.len(), keys.len()));
    }
    tell(cluster, pds, "/regions/scatter", json!({ "regions_id": made })).await
}

/// Posts to the first PD member that takes it; each of them passes it on to the leader.
async fn tell(cluster: &dyn Cluster, pds: &[&Node], path: &str, body: Json) -> Result<(), String> {
    let mut answers = Vec::new();
    for node in pds {
        let request = Request::post(pd::address(node), format!("/pd/api/v1{path}"), body.clone(), SPLIT_TIMEOUT);
        let answer = cluster.http().send(&request).await.and_then(|response| response.ok(&request));
        let taken = answer.is_ok();
        answers.push(answer);
        if taken {
            break;
        }
    }
    first_answer::<()>(answers)
}

/// The keys that a table of so many records is split at, in hex as PD writes them.
fn split_keys(records: u32) -> Vec<String> {
    let key = |split: u64| format!("usertable:user{:012}", split * u64::from(records) / TABLE_REGIONS);
    let hex = |byte: u8| format!("{byte:02X}");
    (1..TABLE_REGIONS).map(|split| key(split).bytes().map(hex).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_splits_are_those_of_the_recorded_cluster() {
        let path = format!("{}/fixtures/recordings/baseline-pd-api.json", env!("CARGO_MANIFEST_DIR"));
        let recorded: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let regions: Regions = serde_json::from_str(recorded["/regions"]["body"].as_str().unwrap()).unwrap();
        let of_table = |region: &Region| region.start_key.starts_with("75736572");
        let mut starts: Vec<String> =
            regions.regions.into_iter().filter(of_table).map(|region| region.start_key).collect();
        starts.sort();
        assert_eq!(starts, split_keys(10_000));
    }
}
