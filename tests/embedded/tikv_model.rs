//! The embedded model of TiKV against recordings of a real cluster, and against itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod behaviour;
mod conformance;
mod hangs;
mod recorded_faults;

use std::collections::BTreeMap;
use std::time::Duration;

use operator_run::clock::span_between;
use operator_run::cluster::embedded::{EmbeddedCluster, Topology};
use operator_run::cluster::{Cluster, Fault, FaultKind};
use operator_run::http::{HttpError, Request, Response};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub(crate) fn recording(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/recordings/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The polls of a recording, and the time at which the fault was healed, in seconds after the fault.
pub(crate) fn recorded_polls(name: &str) -> (f64, Vec<Value>) {
    let text = String::from_utf8(recording(name)).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    (lines.next().unwrap()["healed_at"].as_f64().unwrap(), lines.collect())
}

pub(crate) async fn up(seed: u64) -> EmbeddedCluster {
    let cluster = EmbeddedCluster::new(Topology { seed, ..Topology::default() });
    cluster.up(&CancellationToken::new()).await.unwrap();
    cluster
}

pub(crate) async fn get(cluster: &EmbeddedCluster, authority: &str, path: &str) -> Result<Response, HttpError> {
    cluster.http().send(&Request::get(authority, path, Duration::from_secs(5))).await
}

pub(crate) async fn pd(cluster: &EmbeddedCluster, path: &str) -> Response {
    get(cluster, "pd0:2379", &format!("/pd/api/v1{path}")).await.unwrap()
}

pub(crate) async fn stores(cluster: &EmbeddedCluster) -> Vec<Value> {
    let body: Value = serde_json::from_str(&pd(cluster, "/stores").await.body).unwrap();
    body["stores"].as_array().unwrap().clone()
}

pub(crate) fn node_of(store: &Value) -> String {
    store["store"]["address"].as_str().unwrap().split(':').next().unwrap().to_owned()
}

pub(crate) async fn most_leaders(cluster: &EmbeddedCluster) -> String {
    let stores = stores(cluster).await;
    node_of(stores.iter().max_by_key(|store| store["status"]["leader_count"].as_u64()).unwrap())
}

pub(crate) fn kill(node: &str) -> Fault {
    Fault::new(FaultKind::KILL, node.into())
}

pub(crate) async fn wait(cluster: &EmbeddedCluster, seconds: f64) {
    cluster.clock().sleep(Duration::from_secs_f64(seconds)).await;
}

/// What a poll shows of one store.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    state: String,
    leaders: u64,
    pending: u64,
    status_port: bool,
}

/// What a poll shows: the stores by node, and the counts of the region checks.
#[derive(Debug)]
struct Poll {
    at: f64,
    stores: BTreeMap<String, Seen>,
    pending: u64,
    down_or_missing: u64,
}

fn read_recorded(poll: &Value) -> Poll {
    let by = poll["pd0"]["stores"]["by"].as_object().unwrap();
    let seen = |(key, store): (&String, &Value)| {
        let node = key.split('#').next().unwrap().to_owned();
        let seen = Seen {
            state: store["state"].as_str().unwrap().to_owned(),
            leaders: store["leaders"].as_u64().unwrap(),
            pending: store["pending_peer_count"].as_u64().unwrap_or(0),
            status_port: poll[&node] == 200,
        };
        (node, seen)
    };
    Poll {
        at: poll["t"].as_f64().unwrap(),
        stores: by.iter().map(seen).collect(),
        pending: poll["pending-peer"].as_u64().unwrap(),
        down_or_missing: poll["down-peer"].as_u64().unwrap() + poll["miss-peer"].as_u64().unwrap(),
    }
}

pub(crate) async fn check(cluster: &EmbeddedCluster, kind: &str) -> u64 {
    let body: Value = serde_json::from_str(&pd(cluster, &format!("/regions/check/{kind}")).await.body).unwrap();
    assert_eq!(body["count"].as_u64().unwrap(), body["regions"].as_array().unwrap().len() as u64);
    body["count"].as_u64().unwrap()
}

/// Polls as the recorder did, but for its patience with a port that does not answer, which cost it up to 2 s.
async fn poll(cluster: &EmbeddedCluster, at: f64) -> Poll {
    let mut seen = BTreeMap::new();
    for store in stores(cluster).await {
        let node = node_of(&store);
        let request = Request::get(format!("{node}:20180"), "/status", Duration::from_millis(10));
        let status_port = cluster.http().send(&request).await;
        let status = &store["status"];
        let store = Seen {
            state: store["store"]["state_name"].as_str().unwrap().to_owned(),
            leaders: status["leader_count"].as_u64().unwrap(),
            pending: status["pending_peer_count"].as_u64().unwrap_or(0),
            status_port: status_port.is_ok_and(|answer| answer.status == 200 && answer.body.is_empty()),
        };
        seen.insert(node, store);
    }
    let down_or_missing = check(cluster, "down-peer").await + check(cluster, "miss-peer").await;
    Poll { at, stores: seen, pending: check(cluster, "pending-peer").await, down_or_missing }
}

/// The first, the middle and the last of the times at which leaders moved, in seconds.
fn spread(mut times: Vec<f64>) -> [f64; 3] {
    times.sort_by(f64::total_cmp);
    [times[0], times[times.len() / 2], times[times.len() - 1]]
}

#[tokio::test]
async fn elections_end_when_recorded() {
    let (_, lines) = recorded_polls("store-kill.jsonl");
    let mut times = Vec::new();
    for pair in lines.iter().map(read_recorded).collect::<Vec<_>>().windows(2) {
        let moved = pair[0].stores["tikv1"].leaders.saturating_sub(pair[1].stores["tikv1"].leaders);
        times.extend((0..moved).map(|_| pair[1].at));
    }
    let recorded = spread(times);

    let mut runs = Vec::new();
    for seed in 0..60 {
        let cluster = up(seed).await;
        let victim = most_leaders(&cluster).await;
        let start = cluster.clock().now();
        cluster.inject(&kill(&victim)).await.unwrap();
        wait(&cluster, 30.0).await;
        let lines = cluster.logs(start).await.unwrap();
        let elected = lines.iter().filter(|line| line.text.contains("became leader") && line.at > start);
        runs.push(spread(elected.map(|line| span_between(start, line.at).as_secs_f64()).collect()));
    }
    for (index, recorded) in recorded.into_iter().enumerate() {
        let mut modelled: Vec<f64> = runs.iter().map(|run| run[index]).collect();
        modelled.sort_by(f64::total_cmp);
        // The recorded run is an ordinary one: within the middle nine tenths of the model's.
        let (low, high) = (modelled[3], modelled[56]);
        assert!(low <= recorded && recorded <= high, "recorded {recorded}, model {low} to {high}");
    }
}
