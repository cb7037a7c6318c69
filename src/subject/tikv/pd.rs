//! PD's HTTP API: what it is asked, whom, and what it answers (PD: server/api/router.go).

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::{ENDPOINT_TIMEOUT, ask};
use crate::cluster::{Cluster, Node};
use crate::http::{HttpError, Request};

/// PD's client port (PD: server/config/config.go, `defaultClientUrls`).
const PORT: u16 = 2379;

/// PD pings its members before it says how they are, and waits 3 s for one that hangs (PD: server/api/health.go).
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// `GET /stores` (PD: pkg/response/store.go).
#[derive(Debug, Deserialize)]
pub(super) struct Stores {
    pub(super) stores: Vec<StoreInfo>,
}

#[derive(Debug, Deserialize)]
pub(super) struct StoreInfo {
    pub(super) store: StoreMeta,
    pub(super) status: StoreStatus,
}

#[derive(Debug, Deserialize)]
pub(super) struct StoreMeta {
    #[serde(default)]
    pub(super) id: u64,
    pub(super) address: String,
    #[serde(default)]
    pub(super) status_address: Option<String>,
    pub(super) state_name: String,
    /// Nanoseconds since the epoch, by PD's clock.
    pub(super) last_heartbeat: i64,
    /// Seconds since the epoch, by the store's clock.
    pub(super) start_timestamp: i64,
}

/// What of it is zero is left out.
#[derive(Debug, Deserialize)]
pub(super) struct StoreStatus {
    pub(super) leader_count: u64,
    pub(super) region_count: u64,
    #[serde(default)]
    pub(super) pending_peer_count: u64,
    #[serde(default)]
    pub(super) slow_score: Option<f64>,
    #[serde(default)]
    pub(super) capacity: Option<String>,
    pub(super) available: String,
}

/// `GET /members` (PD: server/api/member.go).
#[derive(Debug, Deserialize)]
pub(super) struct Members {
    pub(super) leader: Option<Member>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Member {
    pub(super) name: String,
}

/// One entry of `GET /health`, and which member it is about (PD: server/api/health.go).
#[derive(Debug, Deserialize)]
pub(super) struct Health {
    pub(super) name: String,
    pub(super) health: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct RegionCheck {
    pub(super) count: u64,
}

/// `GET /stats/region` (PD: pkg/statistics/region.go).
#[derive(Debug, Deserialize)]
pub(super) struct RegionStats {
    pub(super) count: u64,
    /// Those of at most 1 MiB.
    pub(super) empty_count: u64,
}

/// `GET /config/replicate` (PD: pkg/schedule/config/config.go).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ReplicationConfig {
    pub(super) max_replicas: f64,
}

/// `GET /checker/{name}` (PD: server/api/checker.go).
#[derive(Debug, Deserialize)]
pub(super) struct Checker {
    pub(super) paused: bool,
}

/// `GET /scheduler-config/evict-slow-store-scheduler/list` (PD: `pkg/schedule/schedulers/evict_slow_store.go`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct SlowStores {
    /// The ids of the stores that PD keeps leaders off.
    pub(super) evict_stores: Vec<u64>,
}

/// `GET /hotspot/regions/write` and `…/read` (PD: `pkg/statistics/hot_regions_stat.go`).
#[derive(Debug, Deserialize)]
pub(super) struct HotRegions {
    #[serde(default)]
    pub(super) as_peer: BTreeMap<String, HotPeers>,
    #[serde(default)]
    pub(super) as_leader: BTreeMap<String, HotPeers>,
}

/// The hot peers of a store.
#[derive(Debug, Deserialize)]
pub(super) struct HotPeers {
    /// Keys a second of the store: of every peer under `as_peer`.
    #[serde(default)]
    pub(super) store_keys: f64,
    #[serde(default)]
    pub(super) statistics: Vec<HotPeer>,
}

#[derive(Debug, Deserialize)]
pub(super) struct HotPeer {
    pub(super) store_id: u64,
    /// The stores that have a replica of the region.
    #[serde(default)]
    pub(super) stores: Vec<u64>,
    pub(super) region_id: u64,
    /// Keys a second.
    pub(super) flow_keys: f64,
}

/// `GET /regions/writeflow` (PD: `pkg/response/region.go`): what was written is the sum between two heartbeats.
#[derive(Debug, Deserialize)]
pub(super) struct FlowRegions {
    #[serde(default)]
    pub(super) regions: Vec<FlowRegion>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FlowRegion {
    #[serde(default)]
    pub(super) peers: Vec<RegionPeer>,
    pub(super) leader: Option<RegionPeer>,
    #[serde(default)]
    pub(super) written_keys: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct RegionPeer {
    #[serde(default)]
    pub(super) store_id: u64,
}

/// `GET /hotspot/stores` (PD: `server/api/hot_status.go`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct StoreRates {
    /// Keys a second, by the store's id.
    #[serde(default)]
    pub(super) keys_write_rate: BTreeMap<String, f64>,
}

/// What the members say of themselves and of each other, in their order, and PD's view of the stores.
pub(super) struct Heard {
    pub(super) members: Vec<Result<Members, HttpError>>,
    pub(super) health: Vec<Result<Vec<Health>, HttpError>>,
    pub(super) stores: Vec<Result<Stores, HttpError>>,
}

/// Asks every member what matters most: one that is dead or hung must not blind the observer, and must not make it wait
/// more than once.
pub(super) async fn hear(cluster: &dyn Cluster, pds: &[&Node]) -> Heard {
    let (members, health, stores) = tokio::join!(
        ask_each(cluster, pds, "/members", ENDPOINT_TIMEOUT),
        ask_each(cluster, pds, "/health", HEALTH_TIMEOUT),
        ask_each(cluster, pds, "/stores", ENDPOINT_TIMEOUT),
    );
    Heard { members, health, stores }
}

/// Asks every member the same question at once.
pub(super) async fn ask_each<T: DeserializeOwned>(
    cluster: &dyn Cluster,
    pds: &[&Node],
    path: &str,
    timeout: Duration,
) -> Vec<Result<T, HttpError>> {
    join_all(pds.iter().map(|node| ask(cluster, request(node, path, timeout)))).await
}

fn request(node: &Node, path: &str, timeout: Duration) -> Request {
    Request::get(address(node), format!("/pd/api/v1{path}"), timeout)
}

/// Where a member answers, which is also what Prometheus calls it.
pub(super) fn address(node: &Node) -> String {
    format!("{}:{PORT}", node.name)
}

/// Asks one member after the other until one answers.
pub(super) async fn ask_in_turn<T: DeserializeOwned>(
    cluster: &dyn Cluster,
    pds: &[&Node],
    path: &str,
) -> Result<T, String> {
    let mut reason = "no PD member can say how the stores are".to_owned();
    for node in pds {
        match ask(cluster, request(node, path, ENDPOINT_TIMEOUT)).await {
            Ok(answer) => return Ok(answer),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(reason)
}

/// The first usable answer, else why the last member gave none.
pub(super) fn first_answer<T>(answers: Vec<Result<T, HttpError>>) -> Result<T, String> {
    let mut reason = "the cluster has no PD".to_owned();
    for answer in answers {
        match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(format!("no PD member answers; the last one said: {reason}"))
}

/// Reads a number of bytes as PD writes it, such as `19.74GiB` (PD: pkg/utils/typeutil/size.go).
pub(super) fn bytes(text: &str) -> Result<f64, String> {
    const UNITS: &[(&str, i32)] = &[("PiB", 5), ("TiB", 4), ("GiB", 3), ("MiB", 2), ("KiB", 1), ("B", 0)];
    let unknown = || format!("{text} is no number of bytes");
    let (unit, power) = UNITS.iter().find(|(unit, _)| text.ends_with(unit)).ok_or_else(unknown)?;
    let number: f64 = text[..text.len() - unit.len()].parse().map_err(|_| unknown())?;
    Ok(number * 1024_f64.powi(*power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_pd_writes_them() {
        let read = |text: &str| bytes(text).ok();
        assert_eq!(read("0B"), Some(0.0));
        assert_eq!(read("1.5GiB"), Some(1_610_612_736.0));
        assert_eq!(read("270.8MiB"), Some(270.8 * 1_048_576.0));
        assert_eq!((read(""), read("GiB"), read("5")), (None, None, None));
    }
}
