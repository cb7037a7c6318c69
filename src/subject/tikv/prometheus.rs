//! What Prometheus tells: a query for each figure, with one answer for all nodes (Prometheus: web/api/v1/api.go).

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde::Deserialize;

use super::super::{ENDPOINT_TIMEOUT, ask};
use crate::cluster::Cluster;
use crate::http::{HttpError, Request};
use crate::reading::{NodeName, Observation, Unit, Value};

/// Where it is reached, on every backend.
const AUTHORITY: &str = "prometheus:9090";

/// A figure that is asked for by a query, whose answer has one value for each `instance`.
#[derive(Debug)]
pub(super) struct Figure {
    /// The name of the reading.
    name: &'static str,
    unit: Unit,
    query: &'static str,
}

/// The figures of the stores. A rate over a minute has at least two of the scrapes, which come each 15 s.
pub(super) const STORE_FIGURES: &[Figure] = &[
    // All that clients ask for; without what stores ask of each other.
    Figure {
        name: "p99_latency",
        unit: Unit::Seconds,
        query: r#"histogram_quantile(0.99, sum by (le, instance) (rate(tikv_grpc_msg_duration_seconds_bucket{type=~"raw_.*|kv_.*|coprocessor"}[1m])))"#,
    },
    // Slow here is the disk; slow in the next one alone is the way to a follower.
    Figure {
        name: "append_log_p99",
        unit: Unit::Seconds,
        query: "histogram_quantile(0.99, sum by (le, instance) (rate(tikv_raftstore_append_log_duration_seconds_bucket[1m])))",
    },
    Figure {
        name: "commit_log_p99",
        unit: Unit::Seconds,
        query: "histogram_quantile(0.99, sum by (le, instance) (rate(tikv_raftstore_commit_log_duration_seconds_bucket[1m])))",
    },
    Figure {
        name: "raft_log_lag",
        unit: Unit::Count,
        query: "histogram_quantile(0.99, sum by (le, instance) (rate(tikv_raftstore_log_lag_bucket[1m])))",
    },
    Figure {
        name: "cpu_share",
        unit: Unit::None,
        query: "sum by (instance) (rate(process_cpu_seconds_total[1m])) / on (instance) tikv_server_cpu_cores_quota",
    },
    Figure {
        name: "memory_share",
        unit: Unit::None,
        query: "process_resident_memory_bytes / on (instance) tikv_server_memory_quota_bytes",
    },
    Figure { name: "restarts", unit: Unit::Count, query: r#"changes(process_start_time_seconds{job="tikv"}[15m])"# },
];

/// The figures of the PD members.
pub(super) const PD_FIGURES: &[Figure] = &[
    Figure { name: "restarts", unit: Unit::Count, query: r#"changes(process_start_time_seconds{job="pd"}[15m])"# },
    Figure {
        name: "clock_jumps",
        unit: Unit::Count,
        query: r#"sum by (instance) (changes(pd_tso_events{type="system_time_slow"}[10m])) + on (instance) sum by (instance) (changes(pd_monitor_time_jump_back_total[10m]))"#,
    },
];

/// Prometheus' answer to an instant query.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    result: Vec<Sample>,
}

#[derive(Debug, Deserialize)]
struct Sample {
    metric: BTreeMap<String, String>,
    /// A time, and a number as text.
    value: (f64, String),
}

/// Asks for all figures at once.
pub(super) async fn ask_for(cluster: &dyn Cluster, figures: &[Figure]) -> Vec<Result<Answer, HttpError>> {
    join_all(figures.iter().map(|figure| {
        let path = format!("/api/v1/query?query={}", encoded(figure.query));
        ask(cluster, Request::get(AUTHORITY, path, ENDPOINT_TIMEOUT))
    }))
    .await
}

/// A query as a part of an address: all but letters and digits as `%` and two digits.
fn encoded(query: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    query.bytes().map(byte).collect()
}

/// Reads the figures of nodes, each by the address at which Prometheus scrapes it, which is its label `instance`. What has
/// no sample, or one that is not a number, is unknown.
pub(super) fn observe(
    observation: &mut Observation,
    nodes: &[(&NodeName, String)],
    figures: &[Figure],
    answers: &[Result<Answer, HttpError>],
) {
    for (node, instance) in nodes {
        for (figure, answer) in figures.iter().zip(answers) {
            let value = answer.as_ref().map_or_else(Value::unknown, |answer| answer.value(instance));
            observation.push("prometheus", node, figure.name, value, figure.unit);
        }
    }
}

impl Answer {
    fn value(&self, instance: &str) -> Value {
        let own = |sample: &&Sample| sample.metric.get("instance").is_some_and(|own| own == instance);
        match self.data.result.iter().find(own).map(|sample| sample.value.1.parse::<f64>()) {
            None => Value::unknown("Prometheus has no sample"),
            Some(Ok(number)) => Value::from(number),
            Some(Err(error)) => Value::unknown(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(answer: Result<&str, HttpError>) -> Value {
        let answer = answer.map(|body| serde_json::from_str(body).unwrap());
        let mut observation = Observation::new(jiff::Timestamp::UNIX_EPOCH);
        let node: NodeName = "tikv1".into();
        observe(&mut observation, &[(&node, "tikv1:20180".to_owned())], &STORE_FIGURES[..1], &[answer]);
        observation.value(&node, STORE_FIGURES[0].name)
    }

    fn answered(instance: &str, value: &str) -> Value {
        let sample = serde_json::json!({ "metric": { "instance": instance }, "value": [1.5, value] });
        let body = serde_json::json!({ "status": "success", "data": { "resultType": "vector", "result": [sample] } });
        observed(Ok(&body.to_string()))
    }

    #[test]
    fn empty_and_not_a_number_and_an_error_are_unknown() {
        assert_eq!(answered("tikv1:20180", "0.25").number(), Some(0.25));
        assert_eq!(answered("tikv2:20180", "0.25").unknown_reason(), Some("Prometheus has no sample"));
        assert_eq!(answered("tikv1:20180", "NaN").unknown_reason(), Some("the value is NaN"));
        assert_eq!(answered("tikv1:20180", "+Inf").unknown_reason(), Some("the value is inf"));
        let refused = HttpError::Refused { url: "http://prometheus:9090/".to_owned() };
        assert!(observed(Err(refused)).unknown_reason().is_some());
    }

    #[test]
    fn every_query_was_put_to_a_real_prometheus() {
        let path = format!("{}/fixtures/promql/queries.txt", env!("CARGO_MANIFEST_DIR"));
        let asked = std::fs::read_to_string(path).unwrap();
        let asked: Vec<&str> = asked.lines().collect();
        for figure in STORE_FIGURES.iter().chain(PD_FIGURES) {
            assert!(asked.contains(&figure.query), "{} is not in fixtures/promql/queries.txt", figure.query);
        }
    }
}
