//! The modelled clients against the recorded one, and against themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use operator_run::cluster::embedded::{ClientSecond, EmbeddedCluster, Topology};
use operator_run::cluster::{Cluster, Distribution, Fault, FaultKind, LoadSpec, Workload};
use operator_run::http::Request;
use operator_run::reading::NodeName;
use operator_run::units::Rate;
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
            let second = row.t as f64;
            moments.extend([second, second + row.max / 1_000.0]);
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
    faults: |stores| vec![Fault::new(FaultKind::KILL, stores[0].clone())],
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
    faults: |stores| stores[..2].iter().map(|node| Fault::new(FaultKind::KILL, node.clone())).collect(),
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
    for row in &mut rows {
        row.t -= start;
    }
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
        let begin = median(runs.iter().map(|run| run.begin));
        assert!((begin - recorded.begin).abs() <= 3.0, "{}: begins at {begin}, recorded {recorded:?}", row.name);
        let ends: Vec<f64> = runs.iter().map(|run| run.end).collect();
        if row.name == QUORUM_LOST.name {
            // It ends with the client's next attempt to connect, whose time is drawn.
            let (first, last) =
                (ends.iter().copied().fold(f64::MAX, f64::min), ends.iter().copied().fold(0.0, f64::max));
            assert!((first..last).contains(&recorded.end), "{}: ends at {ends:?}, recorded {recorded:?}", row.name);
            continue;
        }
        let end = median(ends);
        assert!((end - recorded.end).abs() <= 3.0, "{}: ends at {end}, recorded {recorded:?}", row.name);
    }
}

/// A level of the client's curves at rest: the medians over seconds of p50 and p99, and the operations a second.
fn level(rows: &[ClientSecond]) -> [f64; 3] {
    #[expect(clippy::cast_precision_loss, reason = "operations")]
    [
        median(rows.iter().map(|row| row.p50)),
        median(rows.iter().map(|row| row.p99)),
        rows.iter().map(|row| row.ops as f64).sum::<f64>() / rows.len() as f64,
    ]
}

#[tokio::test]
async fn the_level_at_rest_is_the_recorded_one() {
    let modelled = level(&up(3, LoadSpec::RECORDED).await.client()[5..]);
    for name in ["pd-leader-kill", "quiet-then-rolling-restart", "remedy-evict-leaders", "store-graceful-restart"] {
        let rows = recorded(name);
        let recorded = level(&rows[1..rows.len() - 1]);
        for (modelled, recorded) in modelled.into_iter().zip(recorded) {
            assert!((0.5..2.0).contains(&(modelled / recorded)), "{name}: {modelled} against {recorded}");
        }
    }
}

#[tokio::test]
async fn clients_feel_nothing_of_what_is_done_in_order() {
    for (seed, fault) in [(1, FaultKind::KILL), (2, FaultKind::Stop)] {
        let cluster = up(seed, LoadSpec::RECORDED).await;
        let start = now(&cluster);
        // PD's leader is killed; a store is stopped in order.
        let node =
            if fault == FaultKind::KILL { pd_leader(&cluster).await } else { by_leaders(&cluster).await[0].clone() };
        let fault = Fault::new(fault, node);
        cluster.inject(&fault).await.unwrap();
        sleep(&cluster, 15.0).await;
        cluster.heal(&fault.undo()).await.unwrap();
        sleep(&cluster, 30.0).await;
        let rows = cluster.client();
        let after = start..now(&cluster);
        assert!(rows.iter().any(|row| after.contains(&row.t)));
        assert_eq!(trouble(&rows, 60, after), None, "{fault}");
    }
}

async fn pd_leader(cluster: &EmbeddedCluster) -> NodeName {
    let request = Request::get("pd0:2379", "/pd/api/v1/leader", Duration::from_secs(5));
    let body: Value = serde_json::from_str(&cluster.http().send(&request).await.unwrap().body).unwrap();
    body["name"].as_str().unwrap().into()
}

#[tokio::test]
async fn every_workload_asks_for_its_mix() {
    let rows: [(Workload, &[(&str, f64)]); 6] = [
        (Workload::A, &[("READ", 0.5), ("UPDATE", 0.5)]),
        (Workload::B, &[("READ", 0.95), ("UPDATE", 0.05)]),
        (Workload::C, &[("READ", 1.0)]),
        (Workload::D, &[("INSERT", 0.05), ("READ", 0.95)]),
        (Workload::E, &[("INSERT", 0.05), ("SCAN", 0.95)]),
        (Workload::F, &[("READ", 0.5), ("READ_MODIFY_WRITE", 0.5)]),
    ];
    for (workload, mix) in rows {
        let cluster = up(4, LoadSpec::new(workload, 500)).await;
        let since = cluster.clock().now() - Duration::from_secs(10);
        let lines = cluster.logs(since).await.unwrap();
        let shown: BTreeMap<String, f64> =
            lines.iter().filter(|line| line.node.as_str() == "load").map(|line| read_row(&line.text)).collect();
        let total = shown["TOTAL"];
        assert!((total / 500.0 - 1.0).abs() < 0.03, "{workload}: {total}");
        let names: Vec<&str> = shown.keys().map(String::as_str).filter(|name| *name != "TOTAL").collect();
        assert_eq!(names, mix.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "{workload}");
        for (name, part) in mix {
            assert!((shown[*name] / total - part).abs() < 0.02, "{workload}: {name} {}", shown[*name]);
        }
    }
}

/// The kind of operation and the operations a second of a row of `go-ycsb`.
fn read_row(text: &str) -> (String, f64) {
    let (name, rest) = text.split_once(" - ").unwrap();
    let fields: BTreeMap<&str, f64> = rest
        .split(", ")
        .map(|field| field.split_once(": ").unwrap())
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect();
    let names = "Takes(s), Count, OPS, Avg(us), Min(us), Max(us), 50th(us), 90th(us), 95th(us), 99th(us), 99.9th(us), 99.99th(us)";
    assert_eq!(rest.split(", ").map(|field| field.split(':').next().unwrap()).collect::<Vec<_>>().join(", "), names);
    assert!(fields["Min(us)"] <= fields["50th(us)"] && fields["99.99th(us)"] <= fields["Max(us)"], "{text}");
    (name.trim().to_owned(), fields["OPS"])
}

#[tokio::test]
async fn operations_are_neither_lost_nor_made_up() {
    for (seed, rate) in [(5, 1), (6, 60), (7, 900)] {
        let spec = LoadSpec::new(Workload::A, rate);
        let cluster = up(seed, spec).await;
        cluster.inject(&Fault::new(FaultKind::KILL, by_leaders(&cluster).await[0].clone())).await.unwrap();
        sleep(&cluster, 90.0).await;
        let rows = cluster.client();
        let mut begun: BTreeMap<i64, u64> = BTreeMap::new();
        for row in &rows {
            assert!(row.p50 <= row.p99 && row.p99 <= row.max, "{row:?}");
            assert!(row.errors.values().sum::<u64>() <= row.ops, "{row:?}");
            assert!(row.max <= 11_000.0, "{row:?}");
            *begun.entry(row.t).or_default() += row.ops;
        }
        for (second, ops) in &begun {
            assert!(*ops <= u64::from(rate + spec.threads), "{rate}: {ops} in second {second}");
        }
        let last = begun.keys().next_back().unwrap();
        let calm = begun.range(last - 30..*last).map(|(_, ops)| ops).sum::<u64>();
        assert!(calm.abs_diff(30 * u64::from(rate)) <= 30, "{rate}: {calm}");
    }
}

#[tokio::test]
async fn a_higher_rate_is_never_faster_and_no_faster_than_the_stores() {
    let mut before = [0.0; 2];
    for rate in [50, 500, 1_000, 1_500, 3_000, 20_000] {
        let cluster = up(8, LoadSpec { threads: 64, ..LoadSpec::new(Workload::A, rate) }).await;
        let rows = cluster.client();
        let [p50, p99, ops] = level(&rows[5..]);
        assert!(p50 >= 0.8 * before[0] && p99 >= 0.7 * before[1], "{rate}: {p50} {p99}");
        // Little's law: so many threads never do more than that at this latency.
        assert!(ops <= 1.05 * 64.0 / (p50 / 1_000.0), "{rate}: {ops} at {p50}");
        // Three stores of two cores; an operation takes 1 ms for reading, and 7 ms on three stores for writing.
        assert!(ops <= 6.0 / 0.004, "{rate}: {ops}");
        before = [p50, p99];
    }
}

#[tokio::test]
async fn skewed_loads_fall_on_few_regions() {
    let share = |distribution| async move {
        let cluster = up(9, LoadSpec { distribution, ..LoadSpec::new(Workload::A, 500) }).await;
        sleep(&cluster, 120.0).await;
        let request = Request::get("pd0:2379", "/pd/api/v1/regions", Duration::from_secs(5));
        let body: Value = serde_json::from_str(&cluster.http().send(&request).await.unwrap().body).unwrap();
        let written: Vec<f64> = body["regions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|region| region["written_bytes"].as_f64().unwrap())
            .collect();
        written.iter().copied().fold(0.0, f64::max) / written.iter().sum::<f64>()
    };
    let uniform = share(Distribution::Uniform).await;
    assert!(uniform < 0.07, "{uniform}");
    for distribution in [Distribution::Zipfian, Distribution::Latest, Distribution::Hotspot] {
        let skewed = share(distribution).await;
        assert!(skewed > 1.5 * uniform, "{distribution:?}: {skewed} against {uniform}");
    }
}

#[tokio::test]
async fn the_same_seed_sees_the_same() {
    let see = || async {
        let cluster = up(10, LoadSpec::RECORDED).await;
        cluster.inject(&Fault::new(FaultKind::KILL, "tikv0".into())).await.unwrap();
        let fork = cluster.fork();
        sleep(&cluster, 40.0).await;
        sleep(&fork, 40.0).await;
        assert_eq!(cluster.client(), fork.client());
        cluster.client()
    };
    assert_eq!(see().await, see().await);
}

#[tokio::test]
async fn a_hot_region_is_listed_with_its_third_report_as_recorded() {
    let cluster = up(11, LoadSpec::RECORDED).await;
    let store = by_leaders(&cluster).await[0].clone();
    let fault = Fault::new(FaultKind::HotKey { rate: Rate(250) }, store);
    cluster.inject(&fault).await.unwrap();
    let mut listed = None;
    for second in 1..=200 {
        sleep(&cluster, 1.0).await;
        let request = Request::get("pd0:2379", "/pd/api/v1/hotspot/regions/write", Duration::from_secs(5));
        let body: Value = serde_json::from_str(&cluster.http().send(&request).await.unwrap().body).unwrap();
        let hot: Vec<&Value> = body["as_leader"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|peers| peers["statistics"].as_array().unwrap())
            .collect();
        if let [peer] = hot.as_slice() {
            listed = Some((second, (*peer).clone()));
            break;
        }
        assert!(hot.is_empty(), "{hot:?}");
    }
    // The third report of the region's leader, which reports each 60 s; recorded at 172 s. The recorded client wrote 109
    // times a second, this one 250 times.
    let (second, peer) = listed.unwrap();
    assert!((120..=183).contains(&second), "{second}");
    assert_eq!((&peer["hot_degree"], &peer["anti_count"]), (&3.into(), &2.into()));
    let near = |value: &Value, recorded: f64| (value.as_f64().unwrap() / recorded - 1.0).abs() < 0.15;
    assert!(
        near(&peer["flow_bytes"], 117_658.0 * 250.0 / 109.0) && near(&peer["flow_keys"], 218.0 * 250.0 / 109.0),
        "{peer}"
    );
}
