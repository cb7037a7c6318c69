//! What carrying out an action does on the model: where it belongs, and where it does not.

use std::time::Duration;

use operator_run::cluster::embedded::EmbeddedCluster;
use operator_run::cluster::{Cluster, Direction, Fault, FaultKind, ProcessState};
use operator_run::subject::tikv::TiKv;
use operator_run::subject::{ActingFault, Done, NotDone, Remedy, Subject};
use operator_run::units::{Size, Span};
use serde_json::Value;

use super::super::tikv_model::{get, kill, stores, up, wait};

const WEAK: FaultKind = FaultKind::LimitCpu { cores: 0.3 };

/// Does a fault.
async fn hit(cluster: &EmbeddedCluster, kind: FaultKind, node: &str) -> ActingFault {
    let fault = Fault::new(kind, node.into());
    cluster.inject(&fault).await.unwrap();
    ActingFault { undo: fault.undo(), fault }
}

async fn carry_out(
    cluster: &mut EmbeddedCluster,
    action: &str,
    target: &str,
    faults: &[ActingFault],
) -> Result<Done, String> {
    let remedy = Remedy { action, target, faults };
    TiKv.carry_out(cluster, &remedy).await.map_err(|NotDone(reason)| reason)
}

async fn read(cluster: &EmbeddedCluster, path: &str) -> Value {
    serde_json::from_str(&get(cluster, "pd0:2379", &format!("/pd/api/v1{path}")).await.unwrap().body).unwrap()
}

async fn leaders(cluster: &EmbeddedCluster) -> Vec<(String, u64)> {
    let of = |store: &Value| {
        let node = store["store"]["address"].as_str().unwrap().split(':').next().unwrap().to_owned();
        (node, store["status"]["leader_count"].as_u64().unwrap())
    };
    stores(cluster).await.iter().map(of).collect()
}

#[tokio::test]
async fn what_is_done_outside_the_system_undoes_its_own_faults_on_its_own_node_alone() {
    let partition = |from: &[&str]| FaultKind::Partition {
        from: from.iter().map(|name| (*name).into()).collect(),
        direction: Direction::Both,
    };
    let late = FaultKind::Delay { by: Span(Duration::from_millis(300)), jitter: None };
    let slow = FaultKind::SlowDisk { by: Span(Duration::from_millis(300)) };
    for (kind, action) in [
        (FaultKind::Pause, "resume_process"),
        (FaultKind::Freeze, "resume_process"),
        (FaultKind::CUT_OFF, "repair_network"),
        (late, "repair_network"),
        (FaultKind::Loss { percent: 50 }, "repair_network"),
        (FaultKind::FillDisk { leave: Size(300 << 20) }, "free_disk_space"),
        (WEAK, "raise_resource_limit"),
        (slow, "replace_disk"),
    ] {
        let mut cluster = up(1).await;
        let faults = [hit(&cluster, kind.clone(), "tikv1").await, hit(&cluster, WEAK, "tikv2").await];
        for (other, node) in [(action, "tikv0"), ("fix_clock", "tikv1"), ("gather_evidence", "tikv1")] {
            assert_eq!(
                carry_out(&mut cluster, other, node, &faults).await,
                Ok(Done::Nothing),
                "{kind}: {other} on {node}"
            );
            assert_eq!(cluster.missing_effect(&faults[0].fault).await.unwrap(), None, "{kind}: {other} on {node}");
        }
        assert_eq!(carry_out(&mut cluster, action, "tikv1", &faults).await, Ok(Done::Acted), "{kind}");
        assert!(cluster.missing_effect(&faults[0].fault).await.unwrap().is_some(), "{kind}");
        assert_eq!(cluster.missing_effect(&faults[1].fault).await.unwrap(), None, "{kind}: the other node's fault");
        cluster.heal(&faults[0].undo).await.unwrap();
    }
    // A link has two ends.
    for (others, node, done) in [
        (&["tikv1"][..], "tikv1", Done::Acted),
        (&["tikv1", "tikv2"], "tikv1", Done::Nothing),
        (&["tikv1"], "tikv2", Done::Nothing),
    ] {
        let mut cluster = up(1).await;
        let faults = [hit(&cluster, partition(others), "tikv0").await];
        assert_eq!(carry_out(&mut cluster, "repair_network", node, &faults).await, Ok(done), "{others:?} on {node}");
    }
}

#[tokio::test]
async fn a_restart_starts_what_has_ended_and_restarts_what_runs() {
    let mut cluster = up(2).await;
    cluster.inject(&kill("tikv0")).await.unwrap();
    cluster.inject(&Fault::new(FaultKind::Pause, "tikv1".into())).await.unwrap();
    wait(&cluster, 1.0).await;
    for node in ["tikv0", "tikv1", "tikv2"] {
        let before = cluster.clock().now();
        assert_eq!(carry_out(&mut cluster, "restart_store", node, &[]).await, Ok(Done::Acted));
        wait(&cluster, 30.0).await;
        assert_eq!(cluster.process(&node.into()).await.unwrap(), ProcessState::Running, "{node}");
        let lines = cluster.logs(before).await.unwrap();
        let starts = lines.iter().filter(|line| line.node.as_str() == node && line.text.contains("Welcome to TiKV"));
        assert_eq!(starts.count(), 1, "{node}");
    }
    for (action, target, reason) in [
        ("restart_store", "pd0", "pd0 is no tikv node"),
        ("restart_pd", "tikv0", "tikv0 is no pd node"),
        ("restart_store", "tikv9", "tikv9 is no node"),
        ("restart_store", "cluster", "every tikv node runs: it is not said which one to start again"),
        ("pray", "tikv0", "nothing is known of how to carry out pray"),
    ] {
        assert_eq!(carry_out(&mut cluster, action, target, &[]).await, Err(reason.to_owned()));
    }
    cluster.inject(&kill("tikv0")).await.unwrap();
    cluster.inject(&kill("tikv1")).await.unwrap();
    assert_eq!(carry_out(&mut cluster, "restart_store", "cluster", &[]).await, Ok(Done::Acted));
    wait(&cluster, 1.0).await;
    for node in ["tikv0", "tikv1"] {
        assert_eq!(cluster.process(&node.into()).await.unwrap(), ProcessState::Running);
    }
}

#[tokio::test]
async fn a_restart_does_not_end_what_kills_a_store_again_and_again() {
    let mut cluster = up(3).await;
    let every = |seconds| Span(Duration::from_secs(seconds));
    let flap = hit(&cluster, FaultKind::Flap { up: every(40), down: every(5), count: None }, "tikv1").await;
    assert_eq!(carry_out(&mut cluster, "restart_store", "tikv1", std::slice::from_ref(&flap)).await, Ok(Done::Acted));
    assert_eq!(cluster.missing_effect(&flap.fault).await.unwrap(), None);
}

#[tokio::test]
async fn what_pd_is_told_is_what_it_does() {
    let mut cluster = up(4).await;
    assert_eq!(carry_out(&mut cluster, "evict_leaders", "tikv1", &[]).await, Ok(Done::Acted));
    wait(&cluster, 20.0).await;
    assert!(leaders(&cluster).await.iter().any(|(node, count)| node == "tikv1" && *count == 0));

    let regions = read(&cluster, "/regions/count").await["count"].as_u64().unwrap();
    wait(&cluster, 60.0).await;
    assert_eq!(carry_out(&mut cluster, "split_hot_region", "tikv0", &[]).await, Ok(Done::Acted));
    assert_eq!(read(&cluster, "/regions/count").await["count"].as_u64(), Some(regions + 1));
    assert_eq!(read(&cluster, "/regions/range-holes").await, serde_json::json!([]));

    let leader = read(&cluster, "/leader").await["name"].clone();
    assert_eq!(carry_out(&mut cluster, "transfer_pd_leader", "pd0", &[]).await, Ok(Done::Acted));
    wait(&cluster, 3.0).await;
    assert_ne!(read(&cluster, "/leader").await["name"], leader);

    let halt = Fault::of_cluster(FaultKind::HaltScheduling);
    cluster.inject(&halt).await.unwrap();
    assert_eq!(carry_out(&mut cluster, "enable_scheduling", "cluster", &[]).await, Ok(Done::Acted));
    assert_eq!(carry_out(&mut cluster, "enable_merging", "cluster", &[]).await, Ok(Done::Acted));
    assert_eq!(cluster.missing_effect(&halt).await.unwrap().as_deref(), Some("PD schedules"));
    assert_eq!(read(&cluster, "/config/schedule").await["merge-schedule-limit"], 8);

    // The new leader of PD has heard of each store by then.
    wait(&cluster, 15.0).await;
    let refused = carry_out(&mut cluster, "unsafe_recover", "tikv2", &[]).await.unwrap_err();
    assert!(refused.starts_with("PD refuses: ") && refused.ends_with("is up and connected"), "{refused}");

    // A store is added, and then one can go in order; of three one goes by force alone.
    assert_eq!(carry_out(&mut cluster, "add_store", "cluster", &[]).await, Ok(Done::Acted));
    assert!(cluster.nodes().iter().any(|node| node.name.as_str() == "tikv3"));
    wait(&cluster, 30.0).await;
    let forced = async |cluster: &EmbeddedCluster, node: &str| {
        let all = read(cluster, "/stores?state=1&state=2").await;
        let of_node = |store: &&Value| store["store"]["address"].as_str().unwrap().starts_with(node);
        let store = all["stores"].as_array().unwrap().iter().find(of_node).unwrap().clone();
        store["store"]["physically_destroyed"] == true
    };
    assert_eq!(carry_out(&mut cluster, "delete_store", "tikv0", &[]).await, Ok(Done::Acted));
    assert!(!forced(&cluster, "tikv0").await);
    assert_eq!(carry_out(&mut cluster, "delete_store", "tikv1", &[]).await, Ok(Done::Acted));
    assert!(forced(&cluster, "tikv1").await);
}
