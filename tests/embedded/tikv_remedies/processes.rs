//! Remedies that are done to processes: restarting, resuming, waiting; and restarting the wrong one.

use operator_run::cluster::FaultKind;
use operator_run::units::Size;

use super::*;

#[tokio::test]
async fn a_killed_store_that_is_started_again_is_as_before() {
    for seed in SEEDS {
        let cluster = up(seed).await;
        let victim = by_leaders(&cluster).await.remove(0);
        inject(&cluster, kill(&victim)).await;
        wait(&cluster, 60.0).await;
        start(&cluster, &victim).await;
        until(&cluster, 20.0, "up", async |cluster| state(cluster, &victim).await == "Up").await;
        until(&cluster, 40.0, "leads again", async |cluster| leaders(cluster, &victim).await > 0).await;
        until(&cluster, 30.0, "sound", async |cluster| all_sound(cluster).await).await;
    }
}

#[tokio::test]
async fn waiting_for_a_store_that_stays_away_loses_nothing_while_two_replicas_live() {
    let cluster = up(2).await;
    let victim = by_leaders(&cluster).await.remove(0);
    inject(&cluster, kill(&victim)).await;
    wait(&cluster, 30.0).await;
    let elected = cluster.fork();
    wait(&cluster, 2400.0).await;
    assert_eq!(state(&cluster, &victim).await, "Down");
    assert_eq!(without_leader(&elected, &cluster, 0.1), 0);
    assert_eq!(check(&cluster, "down-peer").await, 24);
    assert_eq!(read(&cluster, "/operators").await, json!([]), "there is nowhere to replace it");
    let metrics = crate::tikv_model::get(&cluster, "pd0:2379", "/metrics").await.unwrap();
    let leader = read(&cluster, "/leader").await["name"].as_str().unwrap().to_owned();
    let metrics = if leader == "pd0" {
        metrics
    } else {
        crate::tikv_model::get(&cluster, &format!("{leader}:2379"), "/metrics").await.unwrap()
    };
    for event in ["replace-down", "no-store-replace"] {
        let sample = format!("pd_checker_event_count{{name=\"{event}\",type=\"rule_checker\"}}");
        assert!(metrics.body.contains(&sample), "{sample}");
    }
}

#[tokio::test]
async fn restarting_a_healthy_store_while_another_is_dead_is_an_outage() {
    for seed in SEEDS {
        let cluster = up(seed).await;
        let nodes = by_leaders(&cluster).await;
        inject(&cluster, kill(&nodes[0])).await;
        wait(&cluster, 60.0).await;
        let before = cluster.fork();
        inject(&cluster, kill(&nodes[1])).await;
        wait(&cluster, 30.0).await;
        assert_eq!(without_leader(&before, &cluster, 1.0), 24, "no region has a quorum");
        start(&cluster, &nodes[1]).await;
        wait(&cluster, 30.0).await;
        let back = cluster.fork();
        wait(&cluster, 10.0).await;
        assert_eq!(without_leader(&back, &cluster, 0.1), 0, "one of the two is enough");
    }
}

#[tokio::test]
async fn restarting_a_healthy_pd_while_another_is_dead_leaves_pd_without_a_quorum() {
    let cluster = up(4).await;
    let leader = read(&cluster, "/leader").await["name"].as_str().unwrap().to_owned();
    let others: Vec<String> = (0..3).map(|index| format!("pd{index}")).filter(|pd| *pd != leader).collect();
    inject(&cluster, kill(&others[0])).await;
    wait(&cluster, 10.0).await;
    let answer = async |pd: &str| crate::tikv_model::get(&cluster, &format!("{pd}:2379"), "/pd/api/v1/stores").await;
    assert_eq!(answer(&leader).await.unwrap().status, 200);
    inject(&cluster, kill(&others[1])).await;
    wait(&cluster, 10.0).await;
    assert_eq!(answer(&leader).await.unwrap().status, 503);
    start(&cluster, &others[1]).await;
    wait(&cluster, 20.0).await;
    assert_eq!(answer(&leader).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_store_that_is_stopped_in_order_gives_its_leaders_away_first() {
    for seed in 0..40 {
        let cluster = up(seed).await;
        let victim = by_leaders(&cluster).await.remove(0);
        let before = cluster.fork();
        inject(&cluster, Fault::new(FaultKind::Stop, victim.as_str().into())).await;
        let took = until(&cluster, 12.0, "ended", async |cluster| exit_code(cluster, &victim).await.is_some()).await;
        assert_eq!(exit_code(&cluster, &victim).await, Some(0));
        assert!(took >= 0.5, "seed {seed}: {took} s");
        assert_eq!(without_leader(&before, &cluster, 0.1), 0, "the client feels nothing");
    }
}

#[tokio::test]
async fn a_store_without_space_ends_again_until_there_is_some() {
    let cluster = up(4).await;
    let victim = by_leaders(&cluster).await.remove(0);
    let full = Fault::new(FaultKind::FillDisk { leave: Size(0) }, victim.as_str().into());
    inject(&cluster, full.clone()).await;
    for panics in 1..=2 {
        wait(&cluster, 40.0).await;
        assert_eq!(said(&log(&cluster).await, "No space left on device"), panics);
        assert_eq!(state(&cluster, &victim).await, "Disconnected");
        start(&cluster, &victim).await;
    }
    cluster.heal(&full.undo()).await.unwrap();
    until(&cluster, 20.0, "up", async |cluster| state(cluster, &victim).await == "Up").await;
    until(&cluster, 30.0, "sound", async |cluster| all_sound(cluster).await).await;
}
