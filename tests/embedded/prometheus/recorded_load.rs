//! What the load makes of the model's metrics, against what the real Prometheus answered to the same queries.

use std::collections::BTreeMap;

use operator_run::cluster::embedded::{EmbeddedCluster, Topology};
use operator_run::cluster::{Cluster, Direction, Fault, FaultKind, LoadSpec};
use operator_run::subject::tikv::TiKv;
use operator_run::subject::{Finding, Subject};
use operator_run::units::Rate;

use super::{Duration, Value, fixture, get, query, read, up};

/// The numbers of a query's answer whose labels are these, but for those that are not finite.
fn numbers(result: &Value, labels: &[(&str, &str)]) -> Vec<f64> {
    let wanted = |curve: &&Value| labels.iter().all(|(name, value)| curve["metric"][*name] == *value);
    let values = result.as_array().unwrap().iter().filter(wanted).flat_map(|curve| curve["values"].as_array().unwrap());
    values.filter_map(|pair| pair[1].as_str().unwrap().parse().ok()).filter(|value: &f64| value.is_finite()).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// All stores together do what all recorded ones did: which of them led how much differs.
#[tokio::test]
async fn the_load_shows_as_recorded() {
    let recording: Value = serde_json::from_str(&fixture("recordings/prometheus-ranges.json.gz")).unwrap();
    // Before its fault this one had the full load for some time.
    let window = &recording["pd-leader-kill"];
    let [start, end] = ["start", "end"].map(|key| window[key].as_f64().unwrap());
    let cluster = EmbeddedCluster::new(Topology { load: Some(LoadSpec::RECORDED), seed: 7, ..Topology::default() });
    cluster.up(&tokio_util::sync::CancellationToken::new()).await.unwrap();
    cluster.clock().sleep(Duration::from_mins(5)).await;
    // A query, labels that its curves have, and how many times more or less than recorded the median may be. Quantiles
    // lie between bounds that double; processors differ with the build, which was not optimised.
    let cases: [(&str, &[(&str, &str)], f64); 9] = [
        ("grpc_qps_raw", &[("type", "raw_get")], 1.3),
        ("grpc_qps_raw", &[("type", "raw_put")], 1.3),
        ("grpc_p99_raw", &[("type", "raw_get")], 2.0),
        ("grpc_p99_raw", &[("type", "raw_put")], 2.0),
        ("append_p99", &[], 2.0),
        ("commit_p99", &[], 2.0),
        ("async_write_p99", &[("type", "write")], 2.0),
        ("cpu", &[("job", "tikv")], 1.5),
        ("cpu", &[("job", "pd")], 1.5),
    ];
    for (name, labels, bound) in cases {
        let answer = &window["results"][name];
        let text = answer["query"].as_str().unwrap();
        let encoded = text.bytes().fold(String::new(), |encoded, byte| format!("{encoded}%{byte:02X}"));
        let until = cluster.clock().now().as_second();
        #[expect(clippy::cast_possible_truncation, reason = "a window of minutes")]
        let from = until - (end - start) as i64;
        let path = format!("/api/v1/query_range?query={encoded}&start={from}&end={until}&step=5");
        let body: Value = serde_json::from_str(&get(&cluster, "prometheus:9090", &path).await.body).unwrap();
        let (own, recorded) = (numbers(&body["data"]["result"], labels), numbers(&answer["data"]["result"], labels));
        let (own, recorded) = (median(own), median(recorded));
        let ratio = own / recorded;
        assert!((1.0 / bound..bound).contains(&ratio), "{name} {labels:?}: {own}, recorded {recorded}");
    }
}

#[tokio::test]
async fn threads_share_the_processor_time_of_their_store() {
    let cluster = up().await;
    for store in 0..3 {
        let shown = read(&get(&cluster, &format!("tikv{store}:20180"), "/metrics").await.body);
        let threads = &shown.samples["tikv_thread_cpu_seconds_total"];
        let whole = shown.samples["process_cpu_seconds_total"][""];
        let all: f64 = threads.values().sum();
        assert!(all > whole - 0.2 && all < whole + 1.0, "{all} of {whole}");
        assert!(threads.iter().any(|(labels, seconds)| labels.contains("raftstore_") && *seconds > 0.0), "{threads:?}");
    }
}

/// A follower that hears nothing while its leader writes: the lag is that of what was written meanwhile.
#[tokio::test]
async fn a_follower_that_is_cut_off_lags_behind() {
    let lag = TiKv.manual().invariants.iter().find(|invariant| invariant.name == "raft_log_lag").unwrap();
    let cluster = up().await;
    let leaders = query(&cluster, "tikv_raftstore_region_count{type='leader'}", "instance").await;
    let leaders: BTreeMap<u64, &str> =
        leaders.iter().map(|(store, count)| (count.parse().unwrap(), store.split(':').next().unwrap())).collect();
    let (writer, follower) = (*leaders.last_key_value().unwrap().1, *leaders.first_key_value().unwrap().1);
    let found = async || (lag.check)(&TiKv.observe(&cluster).await, &writer.into());
    assert_eq!(found().await, Finding::Holds, "nobody lags");
    let rate = FaultKind::HotKey { rate: Rate(400) };
    cluster.inject(&Fault::new(rate, writer.into())).await.unwrap();
    cluster.clock().sleep(Duration::from_mins(2)).await;
    assert_eq!(found().await, Finding::Holds, "everybody hears the leader");
    let cut = FaultKind::Partition { from: vec![follower.into()], direction: Direction::Both };
    let cut = Fault::new(cut, writer.into());
    let undo = cut.undo();
    cluster.inject(&cut).await.unwrap();
    cluster.clock().sleep(Duration::from_mins(3)).await;
    assert!(matches!(found().await, Finding::Violated(_)), "{:?}", found().await);
    cluster.heal(&undo).await.unwrap();
    cluster.clock().sleep(Duration::from_mins(2)).await;
    assert_eq!(found().await, Finding::Holds, "it has caught up");
}
