//! What hangs, in the model: paused processes, nodes that are cut off, and those who wait for them.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use operator_run::clock::span_between;
use operator_run::cluster::embedded::EmbeddedCluster;
use operator_run::cluster::{Cluster, Fault, FaultKind, ProcessState};
use operator_run::http::{HttpError, Request, Response};
use serde_json::Value;

use super::{get, kill, most_leaders, node_of, pd, stores, up, wait};

fn pause(node: &str) -> Fault {
    Fault::new(FaultKind::Pause, node.into())
}

/// Asks for a path, and how long the answer took.
async fn timed(
    cluster: &EmbeddedCluster,
    host: &str,
    path: &str,
    timeout: u64,
) -> (Duration, Result<Response, HttpError>) {
    let start = cluster.clock().now();
    let answer = cluster.http().send(&Request::get(host, path, Duration::from_secs(timeout))).await;
    (span_between(start, cluster.clock().now()), answer)
}

async fn store_of(cluster: &EmbeddedCluster, node: &str) -> Value {
    stores(cluster).await.into_iter().find(|store| node_of(store) == node).unwrap()
}

/// How many lines with this text there are since a time, of one node or of all others.
async fn said(cluster: &EmbeddedCluster, since: Timestamp, node: &str, by_it: bool, text: &str) -> usize {
    let lines = cluster.logs(since).await.unwrap();
    lines.iter().filter(|line| (line.node.as_str() == node) == by_it && line.text.contains(text)).count()
}

#[tokio::test]
async fn who_asks_a_paused_store_waits_in_vain() {
    let cluster = up(1).await;
    cluster.inject(&pause("tikv0")).await.unwrap();
    assert_eq!(cluster.process(&"tikv0".into()).await.unwrap(), ProcessState::Paused);
    let (took, answer) = timed(&cluster, "tikv0:20180", "/status", 2).await;
    assert_eq!((took, answer.unwrap_err().word().as_str()), (Duration::from_secs(2), "timed_out"));

    let start = cluster.clock().now();
    let answers = join_all([1, 2, 2].map(|seconds| timed(&cluster, "tikv0:20180", "/status", seconds))).await;
    assert_eq!(span_between(start, cluster.clock().now()), Duration::from_secs(2), "they wait together");
    assert!(answers.iter().all(|(_, answer)| answer.is_err()));
}

#[tokio::test]
async fn a_paused_store_goes_on_as_it_was() {
    let cluster = up(1).await;
    let victim = most_leaders(&cluster).await;
    let before = store_of(&cluster, &victim).await;
    let paused = cluster.clock().now();
    cluster.inject(&pause(&victim)).await.unwrap();
    wait(&cluster, 40.0).await;
    let during = store_of(&cluster, &victim).await;
    assert_eq!(during["store"]["state_name"], "Disconnected");
    assert_eq!(during["status"]["leader_count"], 0);
    assert_eq!(said(&cluster, paused + Duration::from_millis(1), &victim, true, "").await, 0, "it wrote in its sleep");
    assert_eq!(said(&cluster, paused, &victim, false, "[\"connection abort\"]").await, 2);
    let resumed = cluster.clock().now();
    cluster.heal(&pause(&victim).undo()).await.unwrap();
    wait(&cluster, 0.2).await;
    let after = store_of(&cluster, &victim).await;
    assert_eq!(after["store"]["state_name"], "Up");
    assert_eq!(after["store"]["start_timestamp"], before["store"]["start_timestamp"]);
    // The regions that it led hear of their new leaders.
    let led = usize::try_from(before["status"]["leader_count"].as_u64().unwrap()).unwrap();
    assert_eq!(said(&cluster, resumed, &victim, true, "received a message with higher term").await, led);
}

#[tokio::test]
async fn a_short_pause_changes_nothing() {
    for kind in [FaultKind::Pause, FaultKind::CUT_OFF] {
        let cluster = up(2).await;
        let (store, leader) = (most_leaders(&cluster).await, pd_leader(&cluster).await);
        let before = store_of(&cluster, &store).await["status"]["leader_count"].clone();
        let start = cluster.clock().now();
        for node in [&store, &leader] {
            cluster.inject(&Fault::new(kind.clone(), node.as_str().into())).await.unwrap();
        }
        wait(&cluster, 2.5).await;
        for node in [&store, &leader] {
            cluster.heal(&Fault::new(kind.clone(), node.as_str().into()).undo()).await.unwrap();
        }
        wait(&cluster, 30.0).await;
        assert_eq!(pd_leader(&cluster).await, leader);
        let after = store_of(&cluster, &store).await;
        assert_eq!((&after["status"]["leader_count"], &after["store"]["state_name"]), (&before, &Value::from("Up")));
        for text in ["connection", "election", "leader"] {
            assert_eq!(said(&cluster, start, "nobody", false, text).await, 0, "{kind:?}: {text}");
        }
    }
}

async fn pd_leader(cluster: &EmbeddedCluster) -> String {
    let members: Value = serde_json::from_str(&pd(cluster, "/members").await.body).unwrap();
    members["leader"]["name"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_paused_pd_leader_makes_the_others_hang() {
    let cluster = up(3).await;
    let leader = pd_leader(&cluster).await;
    let other = if leader == "pd1" { "pd2:2379" } else { "pd1:2379" };
    cluster.inject(&pause(&leader)).await.unwrap();
    let (took, answer) = timed(&cluster, other, "/pd/api/v1/stores", 2).await;
    assert_eq!((took, answer.unwrap_err().word().as_str()), (Duration::from_secs(2), "timed_out"));
    let (took, health) = timed(&cluster, other, "/pd/api/v1/health", 5).await;
    assert_eq!(took, Duration::from_secs(3), "it pings the one that is paused");
    let health: Vec<Value> = serde_json::from_str(&health.unwrap().body).unwrap();
    for member in &health {
        assert_eq!(member["health"], member["name"] != leader.as_str());
    }
    wait(&cluster, 15.0).await;
    assert_eq!(get(&cluster, other, "/pd/api/v1/stores").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_store_that_cannot_hand_its_leaders_over_ends_after_20_s() {
    let cluster = up(4).await;
    for node in ["tikv0", "tikv1"] {
        cluster.inject(&kill(node)).await.unwrap();
    }
    let stop = Fault::new(FaultKind::Stop, "tikv2".into());
    let start = cluster.clock().now();
    cluster.inject(&stop).await.unwrap();
    assert!(cluster.missing_effect(&stop).await.unwrap().is_some());
    let mut took = 0;
    while cluster.missing_effect(&stop).await.unwrap().is_some() {
        wait(&cluster, 1.0).await;
        took += 1;
    }
    let gone = ProcessState::Exited { code: 0, out_of_memory: false };
    assert_eq!(cluster.process(&"tikv2".into()).await.unwrap(), gone);
    let waited = said(&cluster, start, "tikv2", true, "Waiting for leader eviction").await;
    assert!((10..=21).contains(&took) && waited >= took - 2, "{took} s, said {waited} times");
}
