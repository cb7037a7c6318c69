//! What operators do about a fault, on the model: each remedy does what it should, and what is dangerous does harm.

mod membership;
mod merging;
mod processes;
mod recorded;

use std::time::Duration;

use operator_run::cluster::embedded::EmbeddedCluster;
use operator_run::cluster::{Cluster, Fault, ProcessState, Undo};
use operator_run::http::{Method, Request, Response};
use serde_json::{Value, json};

use crate::tikv_model::{check, kill, node_of, stores, up, wait};

/// What holds for one seed is luck; these stand for all.
const SEEDS: std::ops::Range<u64> = 0..8;

async fn ask(cluster: &EmbeddedCluster, method: Method, path: &str, body: Option<Value>) -> Response {
    let path = format!("/pd/api/v1{path}");
    let request = Request { body, ..Request::new(method, "pd0:2379", path, Duration::from_secs(5)) };
    cluster.http().send(&request).await.unwrap()
}

async fn post(cluster: &EmbeddedCluster, path: &str, body: Value) -> Response {
    ask(cluster, Method::POST, path, Some(body)).await
}

async fn delete(cluster: &EmbeddedCluster, path: &str) -> Response {
    ask(cluster, Method::DELETE, path, None).await
}

async fn read(cluster: &EmbeddedCluster, path: &str) -> Value {
    serde_json::from_str(&ask(cluster, Method::GET, path, None).await.body).unwrap()
}

fn id_of(store: &Value) -> u64 {
    store["store"]["id"].as_u64().unwrap()
}

/// PD's view of a store.
async fn store(cluster: &EmbeddedCluster, node: &str) -> Value {
    let all = read(cluster, "/stores?state=0&state=1&state=2").await;
    let found = all["stores"].as_array().unwrap().iter().find(|store| node_of(store) == node);
    found.unwrap_or_else(|| panic!("PD does not know {node}")).clone()
}

async fn state(cluster: &EmbeddedCluster, node: &str) -> String {
    store(cluster, node).await["store"]["state_name"].as_str().unwrap().to_owned()
}

async fn leaders(cluster: &EmbeddedCluster, node: &str) -> u64 {
    store(cluster, node).await["status"]["leader_count"].as_u64().unwrap()
}

async fn regions(cluster: &EmbeddedCluster, node: &str) -> u64 {
    store(cluster, node).await["status"]["region_count"].as_u64().unwrap()
}

async fn inject(cluster: &EmbeddedCluster, fault: Fault) {
    cluster.inject(&fault).await.unwrap();
}

async fn start(cluster: &EmbeddedCluster, node: &str) {
    cluster.heal(&Undo::Start { node: node.into() }).await.unwrap();
}

async fn exit_code(cluster: &EmbeddedCluster, node: &str) -> Option<i64> {
    match cluster.process(&node.into()).await.unwrap() {
        ProcessState::Exited { code, .. } => Some(code),
        _ => None,
    }
}

/// Waits until something holds, looking each half second. Returns how long that took.
async fn until(
    cluster: &EmbeddedCluster,
    within: f64,
    what: &str,
    mut holds: impl AsyncFnMut(&EmbeddedCluster) -> bool,
) -> f64 {
    let mut waited = 0.0;
    while !holds(cluster).await {
        assert!(waited < within, "{what}: not within {within} s");
        wait(cluster, 0.5).await;
        waited += 0.5;
    }
    waited
}

/// The regions that cannot be read or written now.
fn without_leader(before: &EmbeddedCluster, now: &EmbeddedCluster, for_at_least: f64) -> usize {
    let longer =
        before.damage().into_iter().zip(now.damage()).filter(|(before, now)| {
            now.without_leader.saturating_sub(before.without_leader).as_secs_f64() >= for_at_least
        });
    longer.count()
}

/// The nodes of the stores, the one with the most leaders first.
async fn by_leaders(cluster: &EmbeddedCluster) -> Vec<String> {
    let mut stores = stores(cluster).await;
    stores.sort_by_key(|store| std::cmp::Reverse(store["status"]["leader_count"].as_u64()));
    stores.iter().map(node_of).collect()
}

async fn log(cluster: &EmbeddedCluster) -> Vec<String> {
    cluster.logs(jiff::Timestamp::MIN).await.unwrap().into_iter().map(|line| line.text).collect()
}

fn said(log: &[String], words: &str) -> usize {
    log.iter().filter(|line| line.contains(words)).count()
}

async fn all_sound(cluster: &EmbeddedCluster) -> bool {
    for kind in ["miss-peer", "extra-peer", "down-peer", "pending-peer", "offline-peer", "learner-peer"] {
        if check(cluster, kind).await > 0 {
            return false;
        }
    }
    stores(cluster).await.iter().all(|store| store["store"]["state_name"] == "Up")
        && read(cluster, "/operators").await == json!([])
}
