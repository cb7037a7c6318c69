//! Empty regions that a client has made: they stay while PD merges none, and go when it may.

use operator_run::cluster::FaultKind;

use super::*;

/// A cluster on which a client has made 200 regions, the cluster as it was before, and what undoes it.
async fn split(seed: u64) -> (EmbeddedCluster, EmbeddedCluster, Undo) {
    let cluster = up(seed).await;
    // The load begins.
    wait(&cluster, 5.0).await;
    let before = cluster.fork();
    let fault = Fault::of_cluster(FaultKind::SplitRegions { count: 200 });
    inject(&cluster, fault.clone()).await;
    (cluster, before, fault.undo())
}

async fn count(cluster: &EmbeddedCluster) -> u64 {
    read(cluster, "/stats/region").await["empty_count"].as_u64().unwrap()
}

async fn set(cluster: &EmbeddedCluster, setting: Value) {
    assert_eq!(post(cluster, "/config", setting).await.status, 200);
}

/// The ids, keys and leaderships of all regions.
async fn layout(cluster: &EmbeddedCluster) -> Vec<(Value, Value, Value)> {
    let all = read(cluster, "/regions/key").await;
    let one = |region: &Value| (region["id"].clone(), region["start_key"].clone(), region["end_key"].clone());
    all["regions"].as_array().unwrap().iter().map(one).collect()
}

async fn check_sound(cluster: &EmbeddedCluster) {
    assert_eq!(read(cluster, "/regions/range-holes").await, json!([]));
    assert!(all_sound(cluster).await);
    let errors: u64 = cluster.client().iter().map(|second| second.errors.values().sum::<u64>()).sum();
    assert_eq!(errors, 0, "clients feel nothing");
}

#[tokio::test]
async fn pd_merges_regions_an_hour_after_the_split_once_it_may() {
    for seed in 0..3 {
        let (cluster, ..) = split(seed).await;
        assert_eq!(count(&cluster).await, 224);
        wait(&cluster, 7_200.0).await;
        assert_eq!(count(&cluster).await, 224, "the limit is 0");

        // In an hour PD would forget that it was a split.
        let split_again = post(&cluster, "/regions/split", json!({ "split_keys": ["7669736974733A39"] })).await;
        assert_eq!(split_again.status, 200);
        set(&cluster, json!({ "merge-schedule-limit": 8 })).await;
        let mut most = 0;
        until(&cluster, 60.0, "merged", async |cluster| {
            most = most.max(read(cluster, "/operators?kind=merge").await.as_array().unwrap().len());
            // The five ranges of the keyspaces stay apart, and so do the two parts that were split just now.
            count(cluster).await == 7
        })
        .await;
        assert!((1..=8).contains(&most), "{most} operators");
        wait(&cluster, 3_400.0).await;
        assert_eq!(count(&cluster).await, 7, "seed {seed}");
        wait(&cluster, 300.0).await;
        // The region that has all the load is hot: PD leaves it alone (`merge_checker.go`).
        assert_eq!(count(&cluster).await, 6, "seed {seed}");
        check_sound(&cluster).await;
    }
}

#[tokio::test]
async fn a_shorter_interval_merges_at_once_and_a_paused_checker_never() {
    let (cluster, before, _) = split(1).await;
    set(&cluster, json!({ "merge-schedule-limit": 8, "split-merge-interval": "1s" })).await;
    assert_eq!(post(&cluster, "/checker/merge", json!({ "delay": 600 })).await.status, 200);
    wait(&cluster, 60.0).await;
    assert_eq!(count(&cluster).await, 224);
    assert_eq!(post(&cluster, "/checker/merge", json!({ "delay": 0 })).await.status, 200);
    until(&cluster, 60.0, "merged", async |cluster| count(cluster).await == 5).await;
    check_sound(&cluster).await;

    let old = layout(&before).await;
    let left = layout(&cluster).await;
    for (id, ..) in old.iter().filter(|(id, ..)| !left.iter().any(|(other, ..)| other == id)) {
        assert_eq!(read(&cluster, &format!("/region/id/{id}")).await["id"], 0, "PD does not know it any more");
    }
    let records = read(&cluster, "/operators/records").await;
    let records: Vec<&str> = records.as_array().unwrap().iter().map(|record| record.as_str().unwrap()).collect();
    let finished = records.iter().filter(|record| {
        record.starts_with("merge-region {merge: region ") && record.contains(") finished (finishAt:")
    });
    assert_eq!(finished.count(), 219, "one for each that has become part of another");
    let log = log(&cluster).await;
    assert_eq!(said(&log, "remove operator because region disappeared"), 219);
}

#[tokio::test]
async fn merging_by_hand_brings_the_regions_back_that_there_were() {
    let (cluster, before, undo) = split(2).await;
    assert_eq!(count(&cluster).await, 224);
    cluster.heal(&undo).await.unwrap();
    assert_eq!(layout(&cluster).await, layout(&before).await);
    wait(&cluster, 120.0).await;
    check_sound(&cluster).await;

    // Nor is it in the way that PD has merged some.
    let (cluster, _, undo) = split(2).await;
    set(&cluster, json!({ "merge-schedule-limit": 8, "split-merge-interval": "1s" })).await;
    until(&cluster, 60.0, "half", async |cluster| count(cluster).await < 100).await;
    cluster.heal(&undo).await.unwrap();
    // PD drops the operators of the regions that are gone at its next look.
    until(&cluster, 60.0, "merged", async |cluster| count(cluster).await == 5 && all_sound(cluster).await).await;
    check_sound(&cluster).await;
}

#[tokio::test]
async fn merged_regions_are_in_nobodys_way_when_stores_fail() {
    let (cluster, ..) = split(3).await;
    set(&cluster, json!({ "merge-schedule-limit": 8, "split-merge-interval": "1s" })).await;
    until(&cluster, 60.0, "merged", async |cluster| count(cluster).await == 5).await;
    let nodes = by_leaders(&cluster).await;
    inject(&cluster, kill(&nodes[0])).await;
    wait(&cluster, 40.0).await;
    assert_eq!(leaders(&cluster, &nodes[0]).await, 0);
    start(&cluster, &nodes[0]).await;
    until(&cluster, 60.0, "sound", async |cluster| all_sound(cluster).await).await;
    // A new leader of PD knows all regions that there are, and schedules.
    let leader = read(&cluster, "/leader").await["name"].as_str().unwrap().to_owned();
    inject(&cluster, kill(&leader)).await;
    let other = if leader == "pd1" { "pd2" } else { "pd1" };
    let asks = async |path: &str| {
        let timeout = std::time::Duration::from_secs(5);
        let request = Request::get(format!("{other}:2379"), format!("/pd/api/v1{path}"), timeout);
        let answer = cluster.http().send(&request).await.ok()?;
        serde_json::from_str::<Value>(&answer.body).ok()
    };
    wait(&cluster, 120.0).await;
    assert_eq!(asks("/stats/region").await.unwrap()["count"], 5);
    assert_eq!(asks("/schedulers").await.unwrap().as_array().unwrap().len(), 5);
}
