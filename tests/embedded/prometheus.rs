//! The model's `/metrics` against the recorded ones, and what its Prometheus makes of them.

mod recorded_faults;
mod recorded_load;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use operator_run::cluster::embedded::{EmbeddedCluster, Topology};
use operator_run::cluster::{Cluster, Fault, FaultKind};
use operator_run::http::{Request, Response};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::promql::samples::fixture;

async fn up() -> EmbeddedCluster {
    let cluster = EmbeddedCluster::new(Topology { seed: 7, ..Topology::default() });
    cluster.up(&CancellationToken::new()).await.unwrap();
    cluster.clock().sleep(Duration::from_mins(1)).await;
    cluster
}

async fn get(cluster: &EmbeddedCluster, authority: &str, path: &str) -> Response {
    cluster.http().send(&Request::get(authority, path, Duration::from_secs(5))).await.unwrap()
}

/// What a node shows: each family's type and help, and each sample's labels with its value.
#[derive(Default)]
struct Shown {
    help: BTreeMap<String, String>,
    kind: BTreeMap<String, String>,
    samples: BTreeMap<String, BTreeMap<String, f64>>,
}

fn read(text: &str) -> Shown {
    let mut shown = Shown::default();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            shown.help.insert(name.to_owned(), help.to_owned());
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            shown.kind.insert(name.to_owned(), kind.to_owned());
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            shown.samples.entry(name.to_owned()).or_default().insert(labels.to_owned(), value.parse().unwrap());
        }
    }
    shown
}

/// The recorded answers by node.
fn recorded() -> BTreeMap<String, Shown> {
    let text = fixture("recordings/baseline-metrics.prom.gz");
    let parts = text.split("# ---- ").skip(1).map(|part| part.split_once('\n').unwrap());
    parts.map(|(node, text)| (node.to_owned(), read(text))).collect()
}

/// Labels whose values are of one cluster alone: ids, addresses, builds.
fn blotted(labels: &str) -> String {
    let own = ["store", "address", "server_id", "name", "hash", "version"];
    let blot = |label: &str| match label.split_once('=') {
        Some((name, _)) if own.contains(&name) => format!("{name}=…"),
        Some((name, value)) if name == "type" && value.starts_with("\"cluster") => "type=cluster…".to_owned(),
        _ => label.to_owned(),
    };
    labels.trim_end_matches('}').split(',').map(blot).collect::<Vec<_>>().join(",")
}

fn label_sets(shown: &Shown, family: &str) -> BTreeSet<String> {
    shown.samples[family].keys().map(|labels| blotted(labels)).collect()
}

async fn pd_leader(cluster: &EmbeddedCluster) -> (String, Vec<String>) {
    let body: Value = serde_json::from_str(&get(cluster, "pd0:2379", "/pd/api/v1/leader").await.body).unwrap();
    let leader = body["name"].as_str().unwrap().to_owned();
    let others = ["pd0", "pd1", "pd2"].into_iter().filter(|name| *name != leader).map(str::to_owned).collect();
    (leader, others)
}

#[tokio::test]
async fn metrics_are_named_typed_and_labelled_as_recorded() {
    let cluster = up().await;
    let recorded = recorded();
    let (leader, followers) = pd_leader(&cluster).await;
    let nodes = [
        (format!("{leader}:2379"), "pd0", 13),
        (format!("{}:2379", followers[0]), "pd1", 8),
        ("tikv0:20180".to_owned(), "tikv0", 6),
    ];
    for (authority, like, families) in nodes {
        let answer = get(&cluster, &authority, "/metrics").await;
        let (own, like) = (read(&answer.body), &recorded[like]);
        assert!(own.samples.len() >= families, "{authority}: {:?}", own.samples.keys());
        assert!(answer.content_type.starts_with("text/plain; version=0.0.4"));
        let names: Vec<&str> = answer.body.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert!(names.is_sorted(), "{authority}: {names:?}");
        for family in own.samples.keys() {
            let mut parts = ["_bucket", "_sum", "_count"].into_iter().filter_map(|part| family.strip_suffix(part));
            let base = parts.find(|base| own.kind.contains_key(*base)).unwrap_or(family);
            assert_eq!(own.kind[base], like.kind[base], "{family}");
            assert_eq!(own.help[base], like.help[base], "{family}");
            let (own, like) = (label_sets(&own, family), label_sets(like, family));
            assert!(own.is_subset(&like), "{authority}: {family}: {:?}", own.difference(&like).collect::<Vec<_>>());
        }
        for family in [
            "pd_cluster_status",
            "pd_hotcache_status",
            "pd_regions_status",
            "pd_cluster_health_status",
            "pd_scheduler_store_status",
            "process_cpu_seconds_total",
            "service_member_role",
            "tikv_raftstore_log_lag_bucket",
        ] {
            assert_eq!(own.samples.contains_key(family), like.samples.contains_key(family), "{authority}: {family}");
            if own.samples.contains_key(family) {
                assert_eq!(label_sets(&own, family), label_sets(like, family), "{authority}");
            }
        }
    }
}

#[tokio::test]
async fn the_values_at_rest_are_the_recorded_ones() {
    let cluster = up().await;
    let recorded = &recorded()["pd0"];
    let (leader, _) = pd_leader(&cluster).await;
    let own = read(&get(&cluster, &format!("{leader}:2379"), "/metrics").await.body);
    for family in ["pd_regions_status", "etcd_server_is_leader", "etcd_server_has_leader", "pd_tso_role"] {
        assert_eq!(own.samples[family], recorded.samples[family], "{family}");
    }
    let total = |shown: &Shown, kind: &str| -> f64 {
        let of_kind = shown.samples["pd_cluster_status"].iter().filter(|(labels, _)| labels.contains(kind));
        of_kind.map(|(_, value)| value).sum()
    };
    for kind in ["leader_count", "region_count", "store_up_count", "store_low_space_count", "storage_capacity"] {
        let kind = format!("\"{kind}\"");
        assert!((total(&own, &kind) - total(recorded, &kind)).abs() < 0.5, "{kind}");
    }
}

/// What Prometheus answers to a query now: the values by a label.
async fn query(cluster: &EmbeddedCluster, query: &str, label: &str) -> BTreeMap<String, String> {
    let encoded = query.bytes().fold(String::new(), |encoded, byte| format!("{encoded}%{byte:02X}"));
    let answer = get(cluster, "prometheus:9090", &format!("/api/v1/query?query={encoded}")).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"), "{}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let value = |element: &Value| {
        let name = element["metric"][label].as_str().unwrap_or_default().to_owned();
        (name, element["value"][1].as_str().unwrap().to_owned())
    };
    body["data"]["result"].as_array().unwrap().iter().map(value).collect()
}

#[tokio::test]
async fn a_killed_store_ends_its_series_and_shows_in_the_alerts() {
    let cluster = up().await;
    let ups = query(&cluster, "up", "instance").await;
    assert_eq!(ups.len(), 6);
    assert!(ups.values().all(|value| value == "1"), "{ups:?}");
    assert_eq!(query(&cluster, "sum(tikv_raftstore_region_count{type='leader'})", "").await[""], "24");

    cluster.inject(&Fault::new(FaultKind::KILL, "tikv1".into())).await.unwrap();
    cluster.clock().sleep(Duration::from_secs(45)).await;
    let ups = query(&cluster, "up{job='tikv'}", "instance").await;
    assert_eq!(ups["tikv1:20180"], "0");
    assert_eq!(ups["tikv0:20180"], "1");
    let started = query(&cluster, "process_start_time_seconds{job='tikv'}", "instance").await;
    assert!(!started.contains_key("tikv1:20180"), "a series that has ended: {started:?}");
    let alert = "(sum(pd_cluster_status{type=\"store_disconnected_count\"}) by (instance) > 0) \
                 and (sum(etcd_server_is_leader) by (instance) > 0)";
    let (leader, _) = pd_leader(&cluster).await;
    let lost = query(&cluster, alert, "instance").await;
    assert_eq!(lost, BTreeMap::from([(format!("{leader}:2379"), "1".to_owned())]));
    let body: Value = serde_json::from_str(&get(&cluster, "prometheus:9090", "/api/v1/targets").await.body).unwrap();
    let down =
        body["data"]["activeTargets"].as_array().unwrap().iter().find(|target| target["health"] == "down").unwrap();
    assert_eq!(down["labels"]["instance"], "tikv1:20180");
    assert!(down["lastError"].as_str().unwrap().contains("connection refused"), "{down}");

    cluster.inject(&Fault::new(FaultKind::Pause, "tikv2".into())).await.unwrap();
    cluster.clock().sleep(Duration::from_secs(30)).await;
    assert_eq!(query(&cluster, "up{instance='tikv2:20180'}", "instance").await["tikv2:20180"], "0");
}

#[tokio::test]
async fn a_new_pd_leader_has_the_gauges() {
    let cluster = up().await;
    let (before, _) = pd_leader(&cluster).await;
    cluster.inject(&Fault::new(FaultKind::KILL, before.as_str().into())).await.unwrap();
    cluster.clock().sleep(Duration::from_mins(1)).await;
    let survivor = ["pd0", "pd1", "pd2"].into_iter().find(|name| *name != before).unwrap();
    let answer = get(&cluster, &format!("{survivor}:2379"), "/pd/api/v1/leader").await;
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let after = format!("{}:2379", body["name"].as_str().unwrap());
    let roles = query(&cluster, "service_member_role == 1", "instance").await;
    assert_eq!(roles.keys().collect::<Vec<_>>(), [&after]);
    let gauges = query(&cluster, "sum by (instance) (pd_cluster_status{type='region_count'})", "instance").await;
    assert_eq!(gauges, BTreeMap::from([(after.clone(), "72".to_owned())]));
    let changes = query(&cluster, "etcd_server_leader_changes_seen_total", "instance").await;
    assert_eq!(changes[&after], "2");
}

#[tokio::test]
async fn errors_are_those_of_prometheus() {
    let cluster = up().await;
    let cases = [
        (
            "/api/v1/query?query=up%7B",
            400,
            "bad_data",
            "invalid parameter \"query\": 1:4: parse error: unexpected end of input inside braces",
        ),
        (
            "/api/v1/query?query=nonsense(up)",
            400,
            "bad_data",
            "invalid parameter \"query\": 1:1: parse error: unknown function with name \"nonsense\"",
        ),
        (
            "/api/v1/query",
            400,
            "bad_data",
            "invalid parameter \"query\": 1:1: parse error: no expression found in input",
        ),
        (
            "/api/v1/query?query=up&time=x",
            400,
            "bad_data",
            "invalid parameter \"time\": Invalid time value for 'time': cannot parse \"x\" to a valid timestamp",
        ),
        (
            "/api/v1/query?query=1&timeout=x",
            400,
            "bad_data",
            "invalid parameter \"timeout\": cannot parse \"x\" to a valid duration",
        ),
        (
            "/api/v1/query_range?query=1&start=1&end=0&step=1",
            400,
            "bad_data",
            "invalid parameter \"end\": end timestamp must not be before start time",
        ),
        (
            "/api/v1/query_range?query=1&start=0&end=1e9&step=1",
            400,
            "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ),
        (
            "/api/v1/query_range?query=1&start=0&end=1&step=0",
            400,
            "bad_data",
            "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer",
        ),
        (
            "/api/v1/query_range?query=up%7B&start=0&end=1&step=1",
            400,
            "bad_data",
            "1:4: parse error: unexpected end of input inside braces",
        ),
        (
            "/api/v1/query?query=-%7Bjob=%22pd%22%7D",
            422,
            "execution",
            "vector cannot contain metrics with the same labelset",
        ),
    ];
    for (path, status, kind, error) in cases {
        let answer = get(&cluster, "prometheus:9090", path).await;
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, body["errorType"].as_str()), (status, Some(kind)), "{path}");
        assert_eq!(body["error"], error, "{path}");
    }
    let bodies = [
        (
            "/api/v1/query?query=vector(1)&time=12",
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[12,"1"]}]}}"#,
        ),
        (
            "/api/v1/query?query=%22x%22&time=3",
            r#"{"status":"success","data":{"resultType":"string","result":[3,"x"]}}"#,
        ),
        ("/api/v1/query?query=up[1m]&time=3", r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#),
        (
            "/api/v1/query_range?query=vector(1)&start=0&end=30&step=15s",
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[0,"1"],[15,"1"],[30,"1"]]}]}}"#,
        ),
        ("/-/healthy", "Prometheus Server is Healthy.\n"),
    ];
    for (path, body) in bodies {
        assert_eq!(get(&cluster, "prometheus:9090", path).await.body, body);
    }
}

#[tokio::test]
async fn scrapes_are_the_same_each_time_and_change_nothing() {
    let (left, right) = (up().await, up().await);
    let path = "/api/v1/query?query=%7Bjob!=%22%22%7D";
    assert_eq!(get(&left, "prometheus:9090", path).await, get(&right, "prometheus:9090", path).await);
    let fork = left.fork();
    left.inject(&Fault::new(FaultKind::KILL, "tikv1".into())).await.unwrap();
    left.clock().sleep(Duration::from_secs(30)).await;
    assert_eq!(get(&fork, "prometheus:9090", path).await, get(&right, "prometheus:9090", path).await);
}
