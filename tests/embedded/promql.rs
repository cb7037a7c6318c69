//! The evaluator of PromQL against what a real Prometheus 2.42 answered.

mod properties;
pub(crate) mod samples;

use std::collections::BTreeMap;

use operator_run::cluster::embedded::promql::{Curve, Labels, METRIC_NAME, Point, Query, QueryError, Storage, number};
use serde_json::Value;

use self::samples::{RANGE, Series, fixture, near};

fn storage(series: Vec<Series>) -> Storage {
    let mut storage = Storage::default();
    for (labels, points) in series {
        let id = storage.series(&labels);
        for point in points {
            storage.append(id, point);
        }
    }
    storage
}

/// How many values were compared, and how many of them are not the same to the last digit.
#[derive(Default)]
struct Tally {
    queries: usize,
    values: usize,
    rounded: usize,
}

impl Tally {
    /// The same labels, the same times, the same values.
    #[track_caller]
    fn compare(&mut self, query: &str, curves: &[Curve], result: &Value) {
        let recorded: BTreeMap<Labels, Vec<Point>> = result
            .as_array()
            .unwrap()
            .iter()
            .map(|curve| (samples::labels(&curve["metric"]), samples::points(&curve["values"])))
            .collect();
        let own: Vec<&Labels> = curves.iter().map(|curve| &curve.labels).collect();
        assert_eq!(own, recorded.keys().collect::<Vec<_>>(), "{query}");
        self.queries += 1;
        for Curve { labels, points } in curves {
            let expected = &recorded[labels];
            let times = |points: &[Point]| points.iter().map(|point| point.at).collect::<Vec<_>>();
            assert_eq!(times(points), times(expected), "{query}: {labels}");
            for (own, expected) in points.iter().zip(expected) {
                self.values += 1;
                self.rounded += usize::from(number::value(own.value) != number::value(expected.value));
                assert!(near(own.value, expected.value), "{query}: {labels}: {own:?}, recorded {expected:?}");
            }
        }
    }
}

#[test]
#[expect(clippy::cast_possible_truncation, reason = "milliseconds since the epoch")]
fn a_recorded_fault_is_answered_as_recorded() {
    let recorded = samples::recorded();
    let families: Vec<String> = recorded.iter().map(|(labels, _)| labels.get(METRIC_NAME).to_owned()).collect();
    let samples = storage(recorded);
    let recording: Value = serde_json::from_str(&fixture("recordings/prometheus-ranges.json.gz")).unwrap();
    let window = &recording["store-kill"];
    let [start, end] = ["start", "end"].map(|key| (window[key].as_f64().unwrap() * 1000.0).round() as i64);
    let mut tally = Tally::default();
    for answer in window["results"].as_object().unwrap().values() {
        let text = answer["query"].as_str().unwrap();
        let query = Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        if families.iter().any(|family| text.contains(family)) {
            tally.compare(text, &query.range(&samples, start, end, 5_000).unwrap(), &answer["data"]["result"]);
        }
    }
    let Tally { queries, values, rounded } = tally;
    // 13 queries, 2,587 values.
    assert!(queries >= 12 && values > 2_000, "{queries} queries, {values} values");
    assert_eq!(rounded, 0, "values that are not the same to the last digit");
}

/// What an HTTP answer says of an error: status, type and text.
fn error(error: &QueryError) -> (u64, &'static str, String) {
    match error {
        QueryError::Execution(reason) => (422, "execution", reason.clone()),
        other => (400, "bad_data", other.to_string()),
    }
}

#[test]
fn each_query_is_answered_as_by_prometheus() {
    let samples = storage([samples::recorded(), samples::handmade()].concat());
    let recorded: Value = serde_json::from_str(&fixture("promql/answers.json.gz")).unwrap();
    let recorded = recorded.as_array().unwrap();
    let asked: Vec<&str> = recorded.iter().map(|one| one["query"].as_str().unwrap()).collect();
    assert_eq!(asked, samples::queries(), "tests/docker/promql.rs records the answers");
    let (start, end, step) = RANGE;
    let mut tally = Tally::default();
    let (mut refused, mut other_words) = (0, Vec::new());
    for (text, answer) in asked.into_iter().zip(recorded) {
        let (status, body) = (answer["answer"]["http"].as_u64().unwrap(), &answer["answer"]["body"]);
        let own =
            Query::parse(text).map_err(QueryError::from).and_then(|query| query.range(&samples, start, end, step));
        match own {
            Ok(curves) => {
                assert_eq!(status, 200, "{text}: Prometheus says {body}");
                tally.compare(text, &curves, &body["data"]["result"]);
            }
            Err(own) => {
                let own = error(&own);
                assert_eq!((own.0, own.1), (status, body["errorType"].as_str().unwrap_or("none")), "{text}: {own:?}");
                refused += 1;
                let recorded = body["error"].as_str().unwrap();
                if own.2 != recorded {
                    other_words.push(format!("{text}\n    own {}\n    rec {recorded}", own.2));
                }
            }
        }
    }
    let Tally { queries, values, rounded } = tally;
    // 147 queries, 14,542 values, of which 65 are rounded otherwise; 58 errors.
    assert!(queries >= 140 && values > 14_000 && refused >= 55, "{queries} queries, {values} values, {refused} errors");
    assert!(rounded < 100, "{rounded} of {values} are not the same to the last digit");
    // The library for patterns has words of its own.
    assert_eq!(other_words.len(), 1, "{}", other_words.join("\n"));
    assert!(other_words[0].starts_with("up{job=~"), "{}", other_words[0]);
}
