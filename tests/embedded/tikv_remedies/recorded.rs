//! Remedies that were recorded on a real cluster.

use std::collections::BTreeSet;

use operator_run::clock::span_between;

use super::*;
use crate::tikv_model::{recorded_polls, recording};

/// What a recorded poll says of a store: its state, its leaders and its regions; none if PD did not list it.
fn recorded(poll: &Value, node: &str) -> Option<(String, u64, u64)> {
    let by = poll["pd0"]["stores"]["by"].as_object().unwrap();
    let (_, store) = by.iter().find(|(key, _)| key.starts_with(node))?;
    let count = |of: &str| store[of].as_u64().unwrap();
    Some((store["state"].as_str().unwrap().to_owned(), count("leaders"), count("regions")))
}

/// When a recorded poll first shows something, in seconds.
fn first(polls: &[Value], from: f64, shows: impl Fn(&Value) -> bool) -> f64 {
    let at = |poll: &Value| poll["t"].as_f64().unwrap();
    polls.iter().find(|poll| at(poll) >= from && shows(poll)).map(at).unwrap()
}

#[tokio::test]
async fn refusals_are_worded_as_recorded() {
    let text = String::from_utf8(recording("remedies-refused.txt")).unwrap();
    let words = |line: &str| line.split_once(": ").unwrap().1.split_once(' ').unwrap().1.trim().to_owned();
    let recorded: Vec<String> = text.lines().map(words).collect();

    let cluster = up(1).await;
    let id = id_of(&stores(&cluster).await[1]);
    let answers = [
        (400, delete(&cluster, &format!("/store/{id}")).await),
        (500, post(&cluster, "/admin/unsafe/remove-failed-stores", json!({ "stores": [id], "timeout": 600 })).await),
    ];
    for ((status, answer), recorded) in answers.into_iter().zip(recorded) {
        assert_eq!(
            (answer.status, answer.body.trim()),
            (status, &*recorded.replace("store 4", &format!("store {id}")))
        );
    }
}

#[tokio::test]
async fn evicted_leaders_go_and_come_back_when_recorded() {
    let (healed_at, polls) = recorded_polls("remedy-evict-leaders.jsonl");
    let gone = first(&polls, 0.0, |poll| recorded(poll, "tikv0").unwrap().1 == 0);
    let back = first(&polls, healed_at, |poll| recorded(poll, "tikv0").unwrap().1 > 0) - healed_at;
    let given_back = recorded(polls.last().unwrap(), "tikv0").unwrap().1;

    for seed in SEEDS {
        let cluster = up(seed).await;
        let victim = by_leaders(&cluster).await.remove(0);
        let id = id_of(&store(&cluster, &victim).await);
        let before = cluster.fork();
        let answer = post(&cluster, "/schedulers", json!({ "name": "evict-leader-scheduler", "store_id": id })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let drained = until(&cluster, 30.0, "drained", async |cluster| leaders(cluster, &victim).await == 0).await;
        assert!((drained - gone).abs() < 3.0, "seed {seed}: {drained} s, recorded {gone} s");
        wait(&cluster, 20.0).await;
        assert_eq!(leaders(&cluster, &victim).await, 0, "none comes back");
        assert_eq!(without_leader(&before, &cluster, 0.1), 0, "the client feels nothing");

        let answer = delete(&cluster, &format!("/schedulers/evict-leader-scheduler-{id}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let returned = until(&cluster, 30.0, "returned", async |cluster| leaders(cluster, &victim).await > 0).await;
        assert!((returned - back).abs() <= 5.0, "seed {seed}: {returned} s, recorded {back} s");
        wait(&cluster, 10.0).await;
        let count = leaders(&cluster, &victim).await;
        assert!(count.abs_diff(given_back) <= 2, "seed {seed}: {count} leaders, recorded {given_back}");
        let log = log(&cluster).await;
        for words in ["add operator", "send schedule command", "operator finish", "pause store leader transfer"] {
            assert!(said(&log, words) > 0, "{words}");
        }
    }
}

/// A recorded operator with its numbers blotted out, so that only its words are left.
fn blotted(operator: &str) -> String {
    let mut text = String::new();
    for character in operator.chars() {
        let digit = character.is_ascii_digit();
        if !digit || !text.ends_with('#') {
            text.push(if digit { '#' } else { character });
        }
    }
    text
}

#[tokio::test]
async fn records_have_the_recorded_form() {
    let baseline: Value = serde_json::from_slice(&recording("baseline-pd-api.json")).unwrap();
    let body = baseline["/operators/records?from=1"]["body"].as_str().unwrap();
    let recorded: Vec<String> = serde_json::from_str(body).unwrap();
    let known: BTreeSet<String> = recorded.iter().map(|record| blotted(record).replace(".#", "")).collect();

    let mut cluster = up(3).await;
    cluster.add_store();
    wait(&cluster, 60.0).await;
    let region = read(&cluster, "/regions/key?key=usertable&limit=1").await["regions"][0].clone();
    let key = format!("{}35", region["start_key"].as_str().unwrap());
    let answer = post(&cluster, "/regions/split", json!({ "split_keys": [key], "retry_limit": 3 })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let victim = by_leaders(&cluster).await.remove(0);
    let id = id_of(&store(&cluster, &victim).await);
    post(&cluster, "/schedulers", json!({ "name": "evict-leader-scheduler", "store_id": id })).await;
    wait(&cluster, 5.0).await;
    delete(&cluster, &format!("/schedulers/evict-leader-scheduler-{id}")).await;
    wait(&cluster, 20.0).await;

    let records: Vec<String> = serde_json::from_value(read(&cluster, "/operators/records?from=1").await).unwrap();
    for desc in ["balance-leader-scheduler", "region-splitter"] {
        let own: Vec<String> =
            records.iter().filter(|record| record.starts_with(desc)).map(|own| blotted(own)).collect();
        assert!(!own.is_empty(), "{desc}: {records:#?}");
        for own in own {
            let own = own.replace(".#", "");
            let same = |record: &String| words(record) == words(&own);
            assert!(known.iter().any(same), "{own}\nis none of {known:#?}");
        }
    }
}

/// The words of a record without its keys, of which there may be any number, and the unit of its duration.
fn words(record: &str) -> String {
    let (head, tail) = record.split_once(" (kind").unwrap();
    let head = head.split_once("keys [").map_or(head, |(head, _)| head);
    let tail = tail.split_once("duration:").map_or(tail, |(tail, _)| tail);
    format!("{head}{tail}")
}

#[tokio::test]
async fn unsafe_recovery_goes_as_recorded() {
    let (_, polls) = recorded_polls("remedy-unsafe-recovery.jsonl");
    let forgotten = first(&polls, 0.0, |poll| recorded(poll, "tikv0").is_some_and(|(_, _, regions)| regions == 1));
    let show: Vec<Value> = serde_json::from_slice(&recording("remedy-unsafe-recovery.show.json")).unwrap();
    let stages = |show: &[Value]| -> Vec<String> {
        show.iter().map(|entry| entry["info"].as_str().unwrap().to_owned()).collect()
    };

    for seed in SEEDS {
        let cluster = up(seed).await;
        let nodes = by_leaders(&cluster).await;
        let (dead, survivor) = (&nodes[..2], &nodes[2]);
        for node in dead {
            inject(&cluster, kill(node)).await;
        }
        wait(&cluster, 38.0).await;
        let frozen = store(&cluster, &dead[0]).await["status"]["leader_count"].as_u64();
        let mut ids = Vec::new();
        for node in dead {
            assert_eq!(state(&cluster, node).await, "Disconnected");
            ids.push(id_of(&store(&cluster, node).await));
        }
        let begun = cluster.clock().now();
        let answer =
            post(&cluster, "/admin/unsafe/remove-failed-stores", json!({ "stores": ids, "timeout": 300 })).await;
        assert_eq!((answer.status, answer.body.trim()), (200, "\"Request has been accepted.\""));
        for node in dead {
            assert_eq!(state(&cluster, node).await, "Tombstone", "at once");
        }
        assert_eq!(stores(&cluster).await.len(), 1, "PD lists only those that are left");

        // The survivor reports with its next heartbeat, up to 10 s later: recorded 7.0 s.
        let phase = 10.0 - recorded_age(&cluster, survivor).await;
        let took = until(&cluster, 40.0, "recovered", async |cluster| regions(cluster, survivor).await == 1).await;
        assert!((took - phase - (forgotten - 7.0)).abs() < 3.0, "seed {seed}: {took} s after {phase} s");
        let own: Vec<Value> =
            serde_json::from_value(read(&cluster, "/admin/unsafe/remove-failed-stores/show").await).unwrap();
        assert_eq!(stages(&own), stages(&show));
        assert_eq!(own[2]["actions"].as_object().unwrap().len(), 1);
        assert_eq!(check(&cluster, "pending-peer").await, 24, "recorded: the learners on the dead stores");
        assert_eq!(store(&cluster, &dead[0]).await["status"]["leader_count"].as_u64(), frozen, "recorded: for good");

        // The dead ones cannot come back.
        for node in dead {
            start(&cluster, node).await;
        }
        wait(&cluster, 2.0).await;
        for node in dead {
            assert_eq!(exit_code(&cluster, node).await, Some(1));
        }
        let log = log(&cluster).await;
        assert_eq!(said(&log, "failed to start raft_server: StoreTombstone"), 2);
        for words in ["received a recovery plan", "enter force leader state", "demoting failed voters"] {
            assert!(said(&log, words) > 0, "{words}");
        }

        // PD hears of all regions again with their next heartbeats; the survivor leads them alone.
        wait(&cluster, 61.0).await;
        assert_eq!((leaders(&cluster, survivor).await, regions(&cluster, survivor).await), (24, 24));
        assert!(cluster.damage().iter().all(|damage| damage.lost_writes.is_zero()), "both died at the same moment");
        assert!(span_between(begun, cluster.clock().now()).as_secs() < 120);
    }
}

async fn recorded_age(cluster: &EmbeddedCluster, node: &str) -> f64 {
    let heard = store(cluster, node).await["store"]["last_heartbeat"].as_i64().unwrap();
    let now = i64::try_from(cluster.clock().now().as_nanosecond()).unwrap();
    Duration::from_nanos(u64::try_from(now - heard).unwrap()).as_secs_f64()
}
