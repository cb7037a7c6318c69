//! Remedies that change who belongs to the cluster, and where regions and leaders are.

use operator_run::cluster::embedded::Topology;
use tokio_util::sync::CancellationToken;

use super::*;

async fn up_with(tikv: usize, regions: usize, seed: u64) -> EmbeddedCluster {
    let cluster = EmbeddedCluster::new(Topology { tikv, regions, seed, ..Topology::default() });
    cluster.up(&CancellationToken::new()).await.unwrap();
    cluster
}

#[tokio::test]
async fn one_of_three_stores_is_removed_only_by_force_and_stays_without_a_fourth() {
    let cluster = up(1).await;
    let victim = by_leaders(&cluster).await.remove(0);
    let id = id_of(&store(&cluster, &victim).await);
    inject(&cluster, kill(&victim)).await;
    wait(&cluster, 60.0).await;
    assert_eq!(delete(&cluster, &format!("/store/{id}")).await.status, 400);
    // Only whether the key is there counts.
    assert_eq!(delete(&cluster, &format!("/store/{id}?force=false")).await.status, 200);
    assert_eq!(state(&cluster, &victim).await, "Offline");
    assert_eq!(store(&cluster, &victim).await["store"]["physically_destroyed"], true);
    wait(&cluster, 600.0).await;
    assert_eq!((state(&cluster, &victim).await, regions(&cluster, &victim).await), ("Offline".to_owned(), 24));
    assert_eq!(check(&cluster, "offline-peer").await, 24);
    let answer = ask(&cluster, Method::POST, &format!("/store/{id}/state?state=Up"), None).await;
    assert_eq!(answer.status, 400, "what was destroyed cannot be taken back: {answer:?}");
    let progress = read(&cluster, "/stores/progress?action=removing").await;
    assert_eq!((&progress["action"], &progress["progress"]), (&json!("removing"), &json!(0)));
}

#[tokio::test]
async fn a_fourth_store_lets_another_be_removed() {
    for seed in SEEDS {
        let mut cluster = up(seed).await;
        let name = cluster.add_store();
        assert!(cluster.nodes().iter().any(|node| node.name == name));
        wait(&cluster, 2.0).await;
        until(&cluster, 30.0, "serves", async |cluster| {
            let new = store(cluster, name.as_str()).await;
            new["store"]["state_name"] == "Up" && new["store"]["node_state"] == 1
        })
        .await;
        let victim = by_leaders(&cluster).await.remove(0);
        let id = id_of(&store(&cluster, &victim).await);
        let before = cluster.fork();
        assert_eq!(delete(&cluster, &format!("/store/{id}")).await.status, 200);
        assert_eq!(state(&cluster, &victim).await, "Offline");
        until(&cluster, 120.0, "tombstone", async |cluster| state(cluster, &victim).await == "Tombstone").await;
        assert_eq!(stores(&cluster).await.len(), 3);
        assert_eq!(without_leader(&before, &cluster, 0.1), 0, "the client feels nothing");
        until(&cluster, 30.0, "sound", async |cluster| all_sound(cluster).await).await;
        assert_eq!(regions(&cluster, name.as_str()).await, 24, "three stores have all regions");
        assert_eq!(ask(&cluster, Method::DELETE, &format!("/store/{id}"), None).await.status, 410);
        assert_eq!(delete(&cluster, "/stores/remove-tombstone").await.status, 200);
        let all = read(&cluster, "/stores?state=2").await;
        assert_eq!(all["count"], 0);
    }
}

#[tokio::test]
async fn an_offline_store_can_be_taken_back_until_it_is_empty() {
    let mut cluster = up(6).await;
    cluster.add_store();
    wait(&cluster, 30.0).await;
    let victim = by_leaders(&cluster).await.remove(0);
    let id = id_of(&store(&cluster, &victim).await);
    delete(&cluster, &format!("/store/{id}")).await;
    let answer = ask(&cluster, Method::POST, &format!("/store/{id}/state?state=Up"), None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(state(&cluster, &victim).await, "Up");
    until(&cluster, 60.0, "sound", async |cluster| all_sound(cluster).await).await;
    assert!(regions(&cluster, &victim).await > 0);
}

#[tokio::test]
async fn a_down_store_is_replaced_where_a_fourth_exists() {
    for seed in [0, 5] {
        let cluster = up_with(4, 40, seed).await;
        let victim = by_leaders(&cluster).await.remove(0);
        let had = regions(&cluster, &victim).await;
        assert!(had > 0);
        inject(&cluster, kill(&victim)).await;
        wait(&cluster, 1700.0).await;
        assert_eq!(regions(&cluster, &victim).await, had, "before half an hour nothing is moved");
        assert_eq!(check(&cluster, "down-peer").await, had);
        wait(&cluster, 300.0).await;
        assert_eq!(state(&cluster, &victim).await, "Down");
        assert_eq!(regions(&cluster, &victim).await, 0, "then all of it");
        assert_eq!(check(&cluster, "down-peer").await + check(&cluster, "miss-peer").await, 0);
        let records: Vec<String> = serde_json::from_value(read(&cluster, "/operators/records?from=1").await).unwrap();
        let replaced = records.iter().filter(|record| record.starts_with("replace-rule-down-peer {mv peer: store ["));
        assert_eq!(replaced.count() as u64, had, "{records:#?}");
        assert!(records[0].contains("use joint consensus, promote learner peer"), "{}", records[0]);
    }
}

#[tokio::test]
async fn halted_scheduling_leaves_things_as_they_are() {
    let cluster = up_with(4, 40, 3).await;
    let victim = by_leaders(&cluster).await.remove(0);
    let id = id_of(&store(&cluster, &victim).await);
    let set = async |value: &str| post(&cluster, "/config", json!({ "halt-scheduling": value })).await;
    assert_eq!(set("true").await.status, 200);
    delete(&cluster, &format!("/store/{id}")).await;
    let before = regions(&cluster, &victim).await;
    wait(&cluster, 120.0).await;
    assert_eq!((regions(&cluster, &victim).await, state(&cluster, &victim).await), (before, "Offline".to_owned()));
    assert_eq!(set("false").await.status, 200);
    until(&cluster, 120.0, "removed", async |cluster| state(cluster, &victim).await == "Tombstone").await;
}

#[tokio::test]
async fn leaders_are_transferred_as_asked_and_operators_are_shown_while_they_run() {
    let cluster = up(2).await;
    let region = read(&cluster, "/regions").await["regions"][5].clone();
    let (id, leader) = (region["id"].as_u64().unwrap(), region["leader"]["store_id"].as_u64().unwrap());
    let peers = region["peers"].as_array().unwrap();
    let to = peers.iter().map(|peer| peer["store_id"].as_u64().unwrap()).find(|store| *store != leader).unwrap();
    let body = json!({ "name": "transfer-leader", "region_id": id, "to_store_id": to });
    let answer = post(&cluster, "/operators", body).await;
    assert_eq!((answer.status, answer.body.trim()), (200, "\"The operator is created.\""));
    let running = read(&cluster, "/operators?object").await;
    assert_eq!(running[0]["desc"], "admin-transfer-leader");
    assert_eq!(running[0]["brief"], format!("transfer leader: store {leader} to {to}"));
    let shown = read(&cluster, &format!("/operators/{id}")).await;
    assert!(shown.as_str().unwrap().starts_with("status: RUNNING, operator: admin-transfer-leader {"), "{shown}");
    assert_eq!(read(&cluster, "/operators?kind=region").await, json!([]));
    wait(&cluster, 1.0).await;
    assert_eq!(read(&cluster, &format!("/region/id/{id}")).await["leader"]["store_id"], to);
    let shown = read(&cluster, &format!("/operators/{id}")).await;
    assert!(shown.as_str().unwrap().starts_with("status: SUCCESS"), "{shown}");
}

#[tokio::test]
async fn a_split_region_is_scattered_over_the_stores() {
    for seed in SEEDS {
        let cluster = up(seed).await;
        let region = read(&cluster, "/regions/key?key=usertable&limit=1").await["regions"][0].clone();
        let (start, version) = (region["start_key"].as_str().unwrap(), region["epoch"]["version"].as_u64().unwrap());
        let keys: Vec<String> = (1..=5).map(|digit| format!("{start}3{digit}")).collect();
        let answer = post(&cluster, "/regions/split", json!({ "split_keys": keys, "retry_limit": 5 })).await;
        let split: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(split["processed-percentage"], 100);
        let new = split["regions-id"].as_array().unwrap().clone();
        assert_eq!(new.len(), 5);
        assert_eq!(read(&cluster, "/regions/count").await["count"], 29);
        assert_eq!(read(&cluster, "/regions/range-holes").await, json!([]));
        let mut leaders = std::collections::BTreeMap::<u64, usize>::new();
        let mut ids: Vec<Value> = new.clone();
        ids.push(region["id"].clone());
        for id in &ids {
            assert_eq!(read(&cluster, &format!("/region/id/{id}")).await["epoch"]["version"], version + 5);
        }
        let answer = post(&cluster, "/regions/scatter", json!({ "regions_id": ids })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        wait(&cluster, 5.0).await;
        for id in &ids {
            let region = read(&cluster, &format!("/region/id/{id}")).await;
            *leaders.entry(region["leader"]["store_id"].as_u64().unwrap()).or_default() += 1;
        }
        assert_eq!(leaders.into_values().collect::<Vec<_>>(), [2, 2, 2], "seed {seed}");
    }
}

#[tokio::test]
async fn unsafe_recovery_with_a_quorum_alive_removes_the_store_and_nothing_else() {
    let cluster = up(5).await;
    let victim = by_leaders(&cluster).await.remove(0);
    let id = id_of(&store(&cluster, &victim).await);
    inject(&cluster, kill(&victim)).await;
    wait(&cluster, 15.0).await;
    let before = cluster.fork();
    let body = json!({ "stores": [id] });
    until(&cluster, 20.0, "silent long enough", async |cluster| state(cluster, &victim).await == "Disconnected").await;
    assert_eq!(post(&cluster, "/admin/unsafe/remove-failed-stores", body.clone()).await.status, 200);
    assert_eq!(state(&cluster, &victim).await, "Tombstone");
    assert_eq!(post(&cluster, "/admin/unsafe/remove-failed-stores", body).await.status, 500, "one is running");
    wait(&cluster, 15.0).await;
    let show = read(&cluster, "/admin/unsafe/remove-failed-stores/show").await;
    assert_eq!(show.as_array().unwrap().last().unwrap()["info"], "Unsafe recovery Finished");
    assert!(without_leader(&before, &cluster, 5.0) <= 24);
    start(&cluster, &victim).await;
    wait(&cluster, 5.0).await;
    assert_eq!(exit_code(&cluster, &victim).await, Some(1), "the healthy disk is lost");
}

#[tokio::test]
async fn unsafe_recovery_from_a_replica_that_was_behind_loses_acknowledged_writes() {
    let cluster = up(3).await;
    let nodes = by_leaders(&cluster).await;
    inject(&cluster, kill(&nodes[0])).await;
    wait(&cluster, 120.0).await;
    inject(&cluster, kill(&nodes[1])).await;
    inject(&cluster, kill(&nodes[2])).await;
    wait(&cluster, 5.0).await;
    start(&cluster, &nodes[0]).await;
    wait(&cluster, 40.0).await;
    let ids: Vec<u64> = [id_of(&store(&cluster, &nodes[1]).await), id_of(&store(&cluster, &nodes[2]).await)].into();
    assert_eq!(post(&cluster, "/admin/unsafe/remove-failed-stores", json!({ "stores": ids })).await.status, 200);
    wait(&cluster, 100.0).await;
    assert_eq!(leaders(&cluster, &nodes[0]).await, 24);
    let lost = cluster.damage().into_iter().filter(|damage| !damage.lost_writes.is_zero());
    let lost: Vec<u64> = lost.map(|damage| damage.lost_writes.as_secs()).collect();
    assert_eq!(lost.len(), 20, "the regions that were written to: {lost:?}");
    assert!(lost.iter().all(|seconds| seconds.abs_diff(120) <= 1), "{lost:?}");
}

#[tokio::test]
async fn after_a_change_of_the_leader_of_pd_ids_go_on_at_the_next_thousand() {
    let mut cluster = up(1).await;
    assert_eq!(ask(&cluster, Method::POST, "/leader/resign", None).await.status, 200);
    wait(&cluster, 30.0).await;
    let name = cluster.add_store();
    wait(&cluster, 5.0).await;
    assert_eq!(id_of(&store(&cluster, name.as_str()).await), 1001);
}

#[tokio::test]
async fn a_store_of_a_larger_cluster_is_drained() {
    let cluster = up_with(7, 700, 2).await;
    let victim = by_leaders(&cluster).await.remove(0);
    let id = id_of(&store(&cluster, &victim).await);
    delete(&cluster, &format!("/store/{id}")).await;
    let took = until(&cluster, 120.0, "removed", async |cluster| state(cluster, &victim).await == "Tombstone").await;
    assert!(took > 1.0, "snapshots take their time: {took} s");
    until(&cluster, 60.0, "sound", async |cluster| all_sound(cluster).await).await;
}
