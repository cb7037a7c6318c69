//! The modelled clients against the recorded one, and against themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use operator_run::cluster::embedded::{ClientSecond, EmbeddedCluster, Topology};
use operator_run::cluster::{Cluster, Fault, FaultKind, LoadSpec, Undo};
use operator_run::reading::NodeName;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

async fn up(seed: u64, load: LoadSpec) -> EmbeddedCluster {
    let cluster = EmbeddedCluster::new(Topology { seed, load: Some(load), ..Topology::default() });
    cluster.up(&CancellationToken::new()).await.unwrap();
    cluster.clock().sleep(Duration::from_secs(20)).await;
    cluster
}

fn seconds_of(cluster: &EmbeddedCluster) -> i64 {
    cluster.clock().now().as_second() - 1_767_225_600
}

fn recorded(name: &str) -> Vec<ClientSecond> {
    let path = format!("{}/fixtures/recordings/{name}.load.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn dump() {
    for seed in 0..2 {
        let cluster = up(seed, LoadSpec::RECORDED).await;
        let start = seconds_of(&cluster);
        cluster.inject(&Fault::Kill { node: "tikv1".into() }).await.unwrap();
        cluster.clock().sleep(Duration::from_secs(40)).await;
        for row in cluster.client() {
            if row.t - start > -10 {
                println!("{} {:?}", row.t - start, row);
            }
        }
    }
    let cluster = up(2, LoadSpec::RECORDED).await;
    for line in cluster.logs(cluster.clock().now() - jiff::SignedDuration::from_secs(60)).await.unwrap() {
        if line.node.as_str() == "load" {
            println!("{}", line.text);
        }
    }
}
