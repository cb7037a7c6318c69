//! Many elements into few: `sum`, `avg`, `min`, `max`, `count`, `group`, and quantiles of histograms.

use std::collections::BTreeMap;

use super::ast::Grouping;
use super::eval::Element;
use super::labels::{Labels, METRIC_NAME};
use super::over_time::stays_infinite;

/// How the elements of a group become one (Prometheus: promql/engine.go, `aggregation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregator {
    Sum,
    Average,
    Minimum,
    Maximum,
    Count,
    Group,
}

const AGGREGATORS: [(&str, Aggregator); 6] = [
    ("sum", Aggregator::Sum),
    ("avg", Aggregator::Average),
    ("min", Aggregator::Minimum),
    ("max", Aggregator::Maximum),
    ("count", Aggregator::Count),
    ("group", Aggregator::Group),
];

impl Aggregator {
    pub(super) fn of(name: &str) -> Option<Self> {
        AGGREGATORS.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, aggregator)| *aggregator)
    }

    pub(super) fn name(self) -> &'static str {
        AGGREGATORS.iter().find(|(_, aggregator)| *aggregator == self).map_or("", |(name, _)| name)
    }

    /// What a group is after one more value; `count` is how many it has with it.
    fn take(self, so_far: f64, value: f64, count: f64) -> f64 {
        match self {
            Self::Sum => so_far + value,
            Self::Average if stays_infinite(so_far, value) => so_far,
            Self::Average => so_far + (value / count - so_far / count),
            Self::Minimum if value < so_far || so_far.is_nan() => value,
            Self::Maximum if value > so_far || so_far.is_nan() => value,
            Self::Minimum | Self::Maximum => so_far,
            Self::Count => count,
            Self::Group => 1.0,
        }
    }

    fn first(self, value: f64) -> f64 {
        match self {
            Self::Count | Self::Group => 1.0,
            _ => value,
        }
    }
}

/// One element a group, in the order in which the groups are first met.
pub(super) fn aggregate(aggregator: Aggregator, grouping: Option<&Grouping>, elements: &[Element]) -> Vec<Element> {
    let mut groups: Vec<(Element, f64)> = Vec::new();
    let mut places: BTreeMap<Labels, usize> = BTreeMap::new();
    for element in elements {
        let labels = grouping.map(|grouping| grouping.of(&element.labels)).unwrap_or_default();
        if let Some(place) = places.get(&labels) {
            let (group, count) = &mut groups[*place];
            *count += 1.0;
            group.value = aggregator.take(group.value, element.value, *count);
        } else {
            places.insert(labels.clone(), groups.len());
            groups.push((Element { labels, value: aggregator.first(element.value) }, 1.0));
        }
    }
    groups.into_iter().map(|(element, _)| element).collect()
}

/// The label that holds a bucket's upper bound.
const BOUND: &str = "le";

struct Bucket {
    bound: f64,
    count: f64,
}

/// The quantile of each histogram whose buckets are among the elements (Prometheus: promql/functions.go,
/// `funcHistogramQuantile`). An element without a bound is no bucket.
pub(super) fn histogram_quantile(quantile: f64, elements: &[Element]) -> Vec<Element> {
    let mut histograms: Vec<(Labels, Vec<Bucket>)> = Vec::new();
    let mut places: BTreeMap<Labels, usize> = BTreeMap::new();
    for element in elements {
        let Ok(bound) = element.labels.get(BOUND).parse::<f64>() else { continue };
        let labels = element.labels.filtered(|name| name != METRIC_NAME && name != BOUND);
        let place = *places.entry(labels.clone()).or_insert(histograms.len());
        if place == histograms.len() {
            histograms.push((labels, Vec::new()));
        }
        histograms[place].1.push(Bucket { bound, count: element.value });
    }
    let quantiles = histograms.into_iter();
    quantiles.map(|(labels, buckets)| Element { labels, value: bucket_quantile(quantile, buckets) }).collect()
}

/// Within a bucket, observations count as evenly spread (Prometheus: promql/quantile.go, `bucketQuantile`).
fn bucket_quantile(quantile: f64, buckets: Vec<Bucket>) -> f64 {
    if quantile.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&quantile) {
        return if quantile < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let buckets = in_order(buckets);
    let [.., before_last, last] = buckets.as_slice() else { return f64::NAN };
    if last.bound != f64::INFINITY || last.count == 0.0 {
        return f64::NAN;
    }
    let rank = quantile * last.count;
    let all_but_last = &buckets[..buckets.len() - 1];
    let enough = |bucket: &Bucket| bucket.count >= rank;
    let place = all_but_last.partition_point(|bucket| !enough(bucket));
    match all_but_last.get(place) {
        None => before_last.bound,
        Some(bucket) if place == 0 && bucket.bound <= 0.0 => bucket.bound,
        Some(bucket) => {
            let below = place.checked_sub(1).map(|below| &buckets[below]);
            let (start, passed) = below.map_or((0.0, 0.0), |below| (below.bound, below.count));
            start + (bucket.bound - start) * ((rank - passed) / (bucket.count - passed))
        }
    }
}

/// By their bounds, those with the same bound as one, and none with a smaller count than the one below: the scrapes of
/// one histogram's parts may be some moments apart.
fn in_order(mut buckets: Vec<Bucket>) -> Vec<Bucket> {
    buckets.sort_by(|left, right| left.bound.total_cmp(&right.bound));
    let mut merged: Vec<Bucket> = Vec::new();
    for bucket in buckets {
        match merged.last_mut() {
            Some(last) if last.bound.to_bits() == bucket.bound.to_bits() => last.count += bucket.count,
            _ => merged.push(bucket),
        }
    }
    let mut most = merged.first().map_or(f64::NAN, |bucket| bucket.count);
    for bucket in &mut merged {
        if bucket.count < most {
            bucket.count = most;
        } else if bucket.count > most {
            most = bucket.count;
        }
    }
    merged
}
