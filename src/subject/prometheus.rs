//! What Prometheus tells: a query for each figure, with one answer for all nodes (Prometheus: web/api/v1/api.go).

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde::Deserialize;

use super::{ENDPOINT_TIMEOUT, ask};
use crate::cluster::Cluster;
use crate::http::{HttpError, Request};
use crate::reading::{NodeName, Observation, Unit, Value};

/// Where it is reached, on every backend.
const AUTHORITY: &str = "prometheus:9090";

/// A figure that is asked for by a query, whose answer has one value for each `instance`.
#[derive(Debug)]
pub(super) struct Figure {
    /// The name of the reading.
    pub(super) name: &'static str,
    /// What it is measured in.
    pub(super) unit: Unit,
    /// In PromQL.
    pub(super) query: &'static str,
}

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

    const FIGURE: Figure = Figure { name: "figure", unit: Unit::Seconds, query: "figure" };

    fn observed(answer: Result<&str, HttpError>) -> Value {
        let answer = answer.map(|body| serde_json::from_str(body).unwrap());
        let mut observation = Observation::new(jiff::Timestamp::UNIX_EPOCH);
        let node: NodeName = "tikv1".into();
        observe(&mut observation, &[(&node, "tikv1:20180".to_owned())], &[FIGURE], &[answer]);
        observation.value(&node, FIGURE.name)
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
}
