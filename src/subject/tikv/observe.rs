//! Reads a TiKV cluster once: every PD member, PD's view of the stores, each store's status port.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde::Deserialize;

use super::super::{CLUSTER, ENDPOINT_TIMEOUT, ask, observe_processes, reachability};
use super::logs;
use crate::cluster::{Cluster, Node};
use crate::http::{HttpError, Request};
use crate::reading::{NodeName, Observation, Unit, Value};

/// PD's client port (PD: server/config/config.go, `defaultClientUrls`).
pub(super) const PD_PORT: u16 = 2379;
/// TiKV's status port (TiKV: src/server/config.rs, `DEFAULT_STATUS_ADDR`).
const STATUS_PORT: u16 = 20180;

/// PD pings its members before it says how they are, and waits 3 s for one that hangs (PD: server/api/health.go).
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// `GET /pd/api/v1/stores` (PD: pkg/response/store.go).
#[derive(Debug, Deserialize)]
struct Stores {
    stores: Vec<StoreInfo>,
}

#[derive(Debug, Deserialize)]
struct StoreInfo {
    store: StoreMeta,
    status: StoreStatus,
}

#[derive(Debug, Deserialize)]
struct StoreMeta {
    address: String,
    state_name: String,
    /// Nanoseconds since the epoch, by PD's clock.
    last_heartbeat: i64,
    /// Seconds since the epoch, by the store's clock.
    start_timestamp: i64,
}

#[derive(Debug, Deserialize)]
struct StoreStatus {
    leader_count: u64,
    region_count: u64,
    #[serde(default)]
    pending_peer_count: u64,
    #[serde(default)]
    slow_score: Option<f64>,
    available: String,
}

/// `GET /pd/api/v1/members` (PD: server/api/member.go).
#[derive(Debug, Deserialize)]
struct Members {
    leader: Option<Member>,
}

#[derive(Debug, Deserialize)]
struct Member {
    name: String,
}

/// One entry of `GET /pd/api/v1/health`, and which member it is about (PD: server/api/health.go).
#[derive(Debug, Deserialize)]
struct Health {
    name: String,
    health: bool,
}

#[derive(Debug, Deserialize)]
struct RegionCheck {
    count: u64,
}

pub(super) async fn observe(cluster: &dyn Cluster) -> Observation {
    let mut observation = Observation::new(cluster.clock().now());
    let of_role = |role: &str| cluster.nodes().iter().filter(|node| node.role == role).collect::<Vec<&Node>>();
    let (pds, stores) = (of_role("pd"), of_role("tikv"));

    // Every member is asked: one that is dead or hung must not blind the observer.
    let members = ask_each::<Members>(cluster, &pds, "/members").await;
    let health = ask_each_for::<Vec<Health>>(cluster, &pds, "/health", HEALTH_TIMEOUT).await;
    observe_members(&mut observation, &pds, &members, &health);

    let answers = ask_each::<Stores>(cluster, &pds, "/stores").await;
    observe_stores(&mut observation, &stores, first_answer(answers));
    observe_status_ports(cluster, &mut observation, &stores).await;
    logs::observe_complaints(cluster, &mut observation, &stores).await;
    for check in ["pending-peer", "down-peer", "miss-peer"] {
        let answers = ask_each::<RegionCheck>(cluster, &pds, &format!("/regions/check/{check}")).await;
        #[expect(clippy::cast_precision_loss, reason = "a count of regions is far below 2^52")]
        let value = first_answer(answers).map_or_else(Value::unknown, |check| Value::from(check.count as f64));
        let name = format!("{}_regions", check.replace('-', "_"));
        observation.push("pd", &CLUSTER.into(), &name, value, Unit::Count);
    }
    observe_processes(cluster, &mut observation).await;
    observation
}

/// Asks every PD member the same question at once.
pub(super) async fn ask_each<T: serde::de::DeserializeOwned>(
    cluster: &dyn Cluster,
    pds: &[&Node],
    path: &str,
) -> Vec<Result<T, HttpError>> {
    ask_each_for(cluster, pds, path, ENDPOINT_TIMEOUT).await
}

async fn ask_each_for<T: serde::de::DeserializeOwned>(
    cluster: &dyn Cluster,
    pds: &[&Node],
    path: &str,
    timeout: Duration,
) -> Vec<Result<T, HttpError>> {
    join_all(pds.iter().map(|node| {
        let request = Request::get(format!("{}:{PD_PORT}", node.name), format!("/pd/api/v1{path}"), timeout);
        ask(cluster, request)
    }))
    .await
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

fn observe_members(
    observation: &mut Observation,
    pds: &[&Node],
    members: &[Result<Members, HttpError>],
    health: &[Result<Vec<Health>, HttpError>],
) {
    let leader = members.iter().flatten().find_map(|members| members.leader.as_ref()).map(|leader| &leader.name);
    let someone_answers = health.iter().any(Result::is_ok);
    let seen_by_others: BTreeMap<&str, bool> =
        health.iter().flatten().flatten().map(|entry| (entry.name.as_str(), entry.health)).collect();
    for ((node, members), own_health) in pds.iter().zip(members).zip(health) {
        observation.push("pd", &node.name, "pd_api", reachability(members), Unit::None);
        let is_leader = leader
            .map_or(Value::unknown("no PD member knows a leader"), |leader| Value::Flag(leader == node.name.as_str()));
        observation.push("pd", &node.name, "is_leader", is_leader, Unit::None);
        let healthy = match (own_health, seen_by_others.get(node.name.as_str())) {
            (Ok(_), Some(true)) => Value::from("healthy"),
            (Ok(_), _) => Value::from("answers, but the others cannot reach it"),
            (Err(error), Some(true)) => Value::unknown(error),
            (Err(_), _) if someone_answers => Value::from("unreachable"),
            (Err(error), _) => Value::unknown(format!("no PD member answers; this one: {error}")),
        };
        observation.push("pd", &node.name, "pd_health", healthy, Unit::None);
    }
    let leader = match leader {
        Some(name) => Value::from(name.as_str()),
        None if someone_answers => Value::from("none"),
        None => Value::unknown("no PD member answers"),
    };
    observation.push("pd", &CLUSTER.into(), "pd_leader", leader, Unit::None);
}

fn observe_stores(observation: &mut Observation, nodes: &[&Node], answer: Result<Stores, String>) {
    let answer = answer.map(|stores| {
        let by_node = stores.stores.into_iter().map(|info| {
            let host = info.store.address.rsplit_once(':').map_or(info.store.address.as_str(), |(host, _)| host);
            (NodeName(host.to_owned()), info)
        });
        by_node.collect::<BTreeMap<NodeName, StoreInfo>>()
    });
    for node in nodes {
        let info = match &answer {
            Ok(stores) => stores.get(&node.name).ok_or_else(|| "PD knows no store with this address".to_owned()),
            Err(reason) => Err(reason.clone()),
        };
        observe_store(observation, &node.name, &info);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts, and seconds since the epoch, are far below 2^52")]
fn observe_store(observation: &mut Observation, node: &NodeName, info: &Result<&StoreInfo, String>) {
    let now = observation.at;
    let mut read = |name: &str, unit: Unit, value: &dyn Fn(&StoreInfo) -> Value| {
        let value = info.as_ref().map_or_else(Value::unknown, |info| value(info));
        observation.push("pd", node, name, value, unit);
    };
    read("store_state", Unit::None, &|info| Value::from(info.store.state_name.as_str()));
    read("heartbeat_age", Unit::Seconds, &|info| heartbeat_age(now, info.store.last_heartbeat));
    read("leaders", Unit::Count, &|info| Value::from(info.status.leader_count as f64));
    read("regions", Unit::Count, &|info| Value::from(info.status.region_count as f64));
    read("pending_peers", Unit::Count, &|info| Value::from(info.status.pending_peer_count as f64));
    read("available", Unit::None, &|info| Value::from(info.status.available.as_str()));
    read("slow_score", Unit::Count, &|info| {
        info.status.slow_score.map_or_else(|| Value::unknown("PD has none yet"), Value::from)
    });
    read("started", Unit::None, &|info| {
        Timestamp::from_second(info.store.start_timestamp).map_or_else(Value::unknown, |at| Value::Text(at.to_string()))
    });
}

/// Seconds since PD last heard from a store, by PD's time of receipt, to a tenth.
fn heartbeat_age(now: Timestamp, last_heartbeat: i64) -> Value {
    if last_heartbeat == 0 {
        return Value::unknown("the store has never sent a heartbeat");
    }
    match Timestamp::from_nanosecond(i128::from(last_heartbeat)) {
        Ok(last) => Value::from((now.duration_since(last).as_secs_f64() * 10.0).round() / 10.0),
        Err(error) => Value::unknown(error),
    }
}

async fn observe_status_ports(cluster: &dyn Cluster, observation: &mut Observation, stores: &[&Node]) {
    let answers = join_all(stores.iter().map(|node| async {
        let request = Request::get(format!("{}:{STATUS_PORT}", node.name), "/status", ENDPOINT_TIMEOUT);
        cluster.http().send(&request).await.and_then(|response| response.ok(&request))
    }))
    .await;
    for (node, answer) in stores.iter().zip(&answers) {
        observation.push("tikv", &node.name, "status_port", reachability(answer), Unit::None);
    }
}
