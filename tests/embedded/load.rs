//! The modelled clients against the recorded one, and against themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use operator_run::cluster::embedded::{ClientSecond, EmbeddedCluster, Topology};
use operator_run::cluster::{Cluster, Fault, FaultKind, LoadSpec};
use operator_run::http::Request;
use operator_run::reading::NodeName;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// The beginning of virtual time, in Unix seconds.
const START: i64 = 1_767_225_600;

async fn up(seed: u64, load: LoadSpec) -> EmbeddedCluster {
    let cluster = EmbeddedCluster::new(Topology { seed, load: Some(load), ..Topology::default() });
    cluster.up(&CancellationToken::new()).await.unwrap();
    sleep(&cluster, 60.0).await;
    cluster
}

async fn sleep(cluster: &EmbeddedCluster, seconds: f64) {
    cluster.clock().sleep(Duration::from_secs_f64(seconds)).await;
}

fn now(cluster: &EmbeddedCluster) -> i64 {
    cluster.clock().now().as_second() - START
}

fn recorded(name: &str) -> Vec<ClientSecond> {
    let path = format!("{}/fixtures/recordings/{name}.load.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The client's trouble: operations that fail or take more than a second, and seconds in which fewer than half begin.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Trouble {
    begin: f64,
    end: f64,
    errors: u64,
}

/// The trouble that begins in a span of seconds, if there is any; but for the first and the last second of all, which
/// were not recorded whole.
fn trouble(rows: &[ClientSecond], rate: u64, span: std::ops::Range<i64>) -> Option<Trouble> {
    let last = rows.iter().map(|row| row.t).max().unwrap();
    let mut begun: BTreeMap<i64, u64> = (span.start..span.end.min(last)).map(|second| (second, 0)).collect();
    let mut moments = Vec::new();
    let mut errors = 0;
    for row in rows.iter().filter(|row| span.contains(&row.t)) {
        begun.entry(row.t).and_modify(|ops| *ops += row.ops);
        errors += row.errors.values().sum::<u64>();
        if !row.errors.is_empty() || row.max > 1_000.0 {
            #[expect(clippy::cast_precision_loss, reason = "seconds")]
            let begin = row.t as f64;
            moments.extend([begin, begin + row.max / 1_000.0]);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    moments.extend(begun.into_iter().filter(|(_, ops)| 2 * ops < rate).map(|(second, _)| second as f64));
    moments.sort_by(f64::total_cmp);
    Some(Trouble { begin: *moments.first()?, end: *moments.last()?, errors })
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn stores(cluster: &EmbeddedCluster) -> Vec<Value> {
    let request = Request::get("pd0:2379", "/pd/api/v1/stores", Duration::from_secs(5));
    let body: Value = serde_json::from_str(&cluster.http().send(&request).await.unwrap().body).unwrap();
    body["stores"].as_array().unwrap().clone()
}

/// The stores, those with most leaders first.
async fn by_leaders(cluster: &EmbeddedCluster) -> Vec<NodeName> {
    let mut stores = stores(cluster).await;
    stores.sort_by_key(|store| std::cmp::Reverse(store["status"]["leader_count"].as_u64()));
    stores.iter().map(|store| store["store"]["address"].as_str().unwrap().split(':').next().unwrap().into()).collect()
}

/// A recorded fault, done to the model.
struct Row {
    name: &'static str,
    faults: fn(&[NodeName]) -> Vec<Fault>,
    healed_at: f64,
    /// The seconds that are compared.
    span: std::ops::Range<i64>,
}

const KILLED: Row = Row {
    name: "store-kill",
    faults: |stores| vec![Fault::new(FaultKind::Kill, stores[0].clone())],
    healed_at: 70.0,
    span: 0..60,
};
const CUT: Row = Row {
    name: "store-partition",
    faults: |stores| vec![Fault::new(FaultKind::CUT_OFF, stores[0].clone())],
    healed_at: 66.0,
    span: 0..60,
};
const QUORUM_LOST: Row = Row {
    name: "store-quorum-loss",
    faults: |stores| stores[..2].iter().map(|node| Fault::new(FaultKind::Kill, node.clone())).collect(),
    healed_at: 70.0,
    span: 0..115,
};

/// What the clients saw of a fault, in seconds after it.
async fn run(seed: u64, row: &Row) -> Vec<ClientSecond> {
    let cluster = up(seed, LoadSpec::RECORDED).await;
    let start = now(&cluster);
    let faults = (row.faults)(&by_leaders(&cluster).await);
    for fault in &faults {
        cluster.inject(fault).await.unwrap();
    }
    sleep(&cluster, row.healed_at).await;
    for fault in &faults {
        cluster.heal(&fault.undo()).await.unwrap();
    }
    sleep(&cluster, 60.0).await;
    let mut rows = cluster.client();
    rows.iter_mut().for_each(|row| row.t -= start);
    rows
}

#[tokio::test]
async fn trouble_begins_and_ends_when_recorded() {
    for row in [KILLED, CUT, QUORUM_LOST] {
        let recorded = trouble(&recorded(row.name), 60, row.span.clone()).unwrap();
        let mut runs = Vec::new();
        for seed in 0..15 {
            runs.push(trouble(&run(seed, &row).await, 60, row.span.clone()).unwrap());
        }
        println!("{} {recorded:?}\n{runs:?}", row.name);
        let begin = median(runs.iter().map(|run| run.begin));
        assert!((begin - recorded.begin).abs() <= 3.0, "{}: begins at {begin}, recorded {recorded:?}", row.name);
        let near = runs.iter().filter(|run| (run.end - recorded.end).abs() <= 3.0).count();
        let end = median(runs.iter().map(|run| run.end));
        assert!(
            (end - recorded.end).abs() <= 3.0,
            "{}: ends at {end}, {near} of 15 near, recorded {recorded:?}",
            row.name
        );
    }
}
