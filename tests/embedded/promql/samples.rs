//! The samples that a real Prometheus and the evaluator are asked about, and what they are asked.

use std::collections::BTreeMap;
use std::io::Read;

use operator_run::cluster::embedded::promql::{Labels, METRIC_NAME, Point, STALE};
use serde_json::Value;

/// How a gzip file begins.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A series and its points.
pub(crate) type Series = (Labels, Vec<Point>);

pub(crate) fn fixture(path: &str) -> String {
    let bytes = std::fs::read(format!("{}/fixtures/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    if bytes.starts_with(&GZIP_MAGIC) {
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap();
        return text;
    }
    String::from_utf8(bytes).unwrap()
}

pub(crate) fn labels(metric: &Value) -> Labels {
    metric.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "milliseconds since the epoch")]
pub(crate) fn points(values: &Value) -> Vec<Point> {
    let point = |pair: &Value| Point {
        at: (pair[0].as_f64().unwrap() * 1000.0).round() as i64,
        value: pair[1].as_str().unwrap().parse().unwrap(),
    };
    values.as_array().unwrap().iter().map(point).collect()
}

/// The recorded samples, with the marks that Prometheus sets where a scrape has a series no more and that a recording
/// made by queries cannot show: `up` of the same target tells when it was scraped.
pub(crate) fn recorded() -> Vec<Series> {
    let recording: Value = serde_json::from_str(&fixture("recordings/prometheus-samples.json.gz")).unwrap();
    let series = recording["series"].as_array().unwrap();
    let instance = |series: &Value| series["metric"]["instance"].as_str().unwrap().to_owned();
    let scrapes: BTreeMap<String, Vec<Point>> = series
        .iter()
        .filter(|series| series["metric"][METRIC_NAME] == "up")
        .map(|series| (instance(series), points(&series["values"])))
        .collect();
    series
        .iter()
        .map(|series| (labels(&series["metric"]), marked(&points(&series["values"]), &scrapes[&instance(series)])))
        .collect()
}

fn marked(points: &[Point], scrapes: &[Point]) -> Vec<Point> {
    let mut points = points.iter().copied().peekable();
    let mut marked: Vec<Point> = Vec::new();
    for scrape in scrapes {
        let point = points.next_if(|point| point.at == scrape.at);
        let there = marked.last().is_some_and(|last| last.value.to_bits() != STALE.to_bits());
        if point.is_some() || there {
            marked.push(point.unwrap_or(Point { at: scrape.at, value: STALE }));
        }
    }
    assert_eq!(points.next(), None, "a sample without a scrape");
    marked
}

/// Samples made by hand for what the recorded ones do not have: `_` is a time without one, `stale` the series' end.
pub(crate) fn handmade() -> Vec<Series> {
    let made: Value = serde_json::from_str(&fixture("promql/samples.json")).unwrap();
    let [start, interval] = ["start", "interval"].map(|key| made[key].as_i64().unwrap());
    let value = |text: &str| if text == "stale" { STALE } else { text.parse().unwrap() };
    let series = |series: &Value| {
        let values = series["values"].as_str().unwrap().split(' ');
        let times = (0_i64..).map(|index| start + index * interval);
        let given = times.zip(values).filter(|(_, value)| *value != "_");
        (labels(&series["metric"]), given.map(|(at, text)| Point { at, value: value(text) }).collect())
    };
    made["series"].as_array().unwrap().iter().map(series).collect()
}

/// From when to when each query is asked, and each how many milliseconds. It passes the end of all samples by more
/// than the lookback, and meets the handmade ones and the ends of windows over them to the millisecond.
pub(crate) const RANGE: (i64, i64, i64) = (1_795_440_865_000, 1_795_441_400_000, 12_500);

pub(crate) fn queries() -> Vec<String> {
    let text = fixture("promql/queries.txt");
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// Whether an answer's value is the expected one, but for the rounding of sums, which Prometheus computes in the order
/// in which its storage happens to give the series.
pub(crate) fn near(value: f64, expected: f64) -> bool {
    value.to_bits() == expected.to_bits()
        || (value.is_nan() && expected.is_nan())
        || (value - expected).abs() <= 1e-12 * expected.abs()
}
