//! Samples in memory: what a Prometheus has scraped, kept for a bounded time.

use std::collections::{BTreeMap, VecDeque};

use super::ast::Selector;
use super::labels::{Labels, METRIC_NAME};

/// What marks the end of a series: a NaN with bits of its own (Prometheus: model/value/value.go, `StaleNaN`).
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Whether a value is the mark of a series' end.
pub(super) fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE.to_bits()
}

/// A value and when it was taken, in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When.
    pub at: i64,
    /// The value.
    pub value: f64,
}

/// One series.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) labels: Labels,
    points: VecDeque<Point>,
}

impl Series {
    /// The points from one time to another, both included, without marks of the series' end.
    pub(super) fn window(&self, start: i64, end: i64) -> Vec<Point> {
        let first = self.points.partition_point(|point| point.at < start);
        let last = self.points.partition_point(|point| point.at <= end);
        let points = self.points.range(first..last.max(first));
        points.filter(|point| !is_stale(point.value)).copied().collect()
    }

    /// The last point at a time or before it, if it is not older than the lookback and the series has not ended.
    pub(super) fn at(&self, time: i64, lookback: i64) -> Option<Point> {
        let after = self.points.partition_point(|point| point.at <= time);
        let point = *self.points.get(after.checked_sub(1)?)?;
        (point.at >= time.saturating_sub(lookback) && !is_stale(point.value)).then_some(point)
    }
}

/// The place of a series in a [`Storage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesId(usize);

/// All series. A copy is independent of its original.
#[derive(Debug, Clone, Default)]
pub struct Storage {
    series: Vec<Series>,
    by_labels: BTreeMap<Labels, usize>,
    by_name: BTreeMap<String, Vec<usize>>,
}

impl Storage {
    /// The series of these labels, which is made if there is none.
    pub fn series(&mut self, labels: &Labels) -> SeriesId {
        if let Some(index) = self.by_labels.get(labels) {
            return SeriesId(*index);
        }
        let index = self.series.len();
        self.series.push(Series { labels: labels.clone(), points: VecDeque::new() });
        self.by_labels.insert(labels.clone(), index);
        self.by_name.entry(labels.get(METRIC_NAME).to_owned()).or_default().push(index);
        SeriesId(index)
    }

    /// The labels of a series.
    #[must_use]
    pub fn labels(&self, id: SeriesId) -> &Labels {
        &self.series[id.0].labels
    }

    /// Appends a point. One that is not later than the last of its series is dropped, as Prometheus does with a sample
    /// out of order.
    pub fn append(&mut self, id: SeriesId, point: Point) {
        let points = &mut self.series[id.0].points;
        if points.back().is_none_or(|last| last.at < point.at) {
            points.push_back(point);
        }
    }

    /// Forgets all points before a time.
    pub fn forget(&mut self, before: i64) {
        for series in &mut self.series {
            while series.points.front().is_some_and(|point| point.at < before) {
                series.points.pop_front();
            }
        }
    }

    /// The series that a selector asks for, oldest first.
    pub(super) fn select(&self, selector: &Selector) -> Vec<&Series> {
        let matching = |index: &&usize| selector.matches(&self.series[**index].labels);
        match selector.exact_name() {
            Some(name) => self
                .by_name
                .get(name)
                .into_iter()
                .flatten()
                .filter(matching)
                .map(|index| &self.series[*index])
                .collect(),
            None => self.series.iter().filter(|series| selector.matches(&series.labels)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(values: &[(i64, f64)]) -> (Storage, SeriesId) {
        let mut storage = Storage::default();
        let id = storage.series(&[(METRIC_NAME, "up")].into_iter().collect());
        for &(at, value) in values {
            storage.append(id, Point { at, value });
        }
        (storage, id)
    }

    #[test]
    fn a_point_is_found_until_the_lookback_ends_or_the_series_does() {
        let (mut storage, id) = storage(&[(1_000, 1.0), (2_000, 2.0)]);
        let at = |storage: &Storage, time| storage.series[0].at(time, 5_000).map(|point| point.value);
        assert_eq!(at(&storage, 999), None);
        assert_eq!(at(&storage, 1_999), Some(1.0));
        assert_eq!(at(&storage, 7_000), Some(2.0));
        assert_eq!(at(&storage, 7_001), None);
        storage.append(id, Point { at: 3_000, value: STALE });
        assert_eq!(at(&storage, 3_000), None);
        assert_eq!(storage.series[0].window(1_000, 3_000).len(), 2);
    }

    #[test]
    fn points_out_of_order_and_old_ones_are_dropped() {
        let (mut storage, id) = storage(&[(1_000, 1.0), (2_000, 2.0), (1_500, 9.0), (2_000, 9.0)]);
        assert_eq!(storage.series[0].window(0, 9_000).len(), 2);
        storage.forget(1_001);
        assert_eq!(storage.series[0].window(0, 9_000), [Point { at: 2_000, value: 2.0 }]);
        assert_eq!(storage.labels(id).to_string(), r#"{__name__="up"}"#);
    }
}
