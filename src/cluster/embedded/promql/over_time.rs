//! What a series did in a window of time (Prometheus: promql/functions.go). Windows include both ends, as they do in
//! Prometheus 2.

#![expect(clippy::unnecessary_wraps, reason = "one signature for all, of which some want two points")]

use super::series::Point;

/// The points of one series in a window of time. Times in milliseconds.
pub(super) struct Window<'a> {
    /// At least one.
    pub(super) points: &'a [Point],
    pub(super) start: i64,
    pub(super) end: i64,
}

#[expect(clippy::cast_precision_loss, reason = "spans of a query are far below 2^53 ms")]
fn seconds(span: i64) -> f64 {
    span as f64 / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "points in memory are far fewer than 2^53")]
fn number(count: usize) -> f64 {
    count as f64
}

pub(super) fn rate(window: &Window) -> Option<f64> {
    extrapolated(window, true, true)
}

pub(super) fn increase(window: &Window) -> Option<f64> {
    extrapolated(window, true, false)
}

pub(super) fn delta(window: &Window) -> Option<f64> {
    extrapolated(window, false, false)
}

/// The change over the window, carried on to its ends: to an end that is not much farther than the points are apart,
/// else half that far; and for a counter no farther back than where it was zero (`extrapolatedRate`).
fn extrapolated(window: &Window, counter: bool, per_second: bool) -> Option<f64> {
    let [first, .., last] = window.points else { return None };
    let mut change = last.value - first.value;
    if counter {
        let resets = window.points.windows(2).filter(|pair| pair[1].value < pair[0].value);
        change = resets.fold(change, |change, pair| change + pair[0].value);
    }
    let mut to_start = seconds(first.at - window.start);
    let to_end = seconds(window.end - last.at);
    let sampled = seconds(last.at - first.at);
    let apart = sampled / number(window.points.len() - 1);
    if counter && change > 0.0 && first.value >= 0.0 {
        to_start = to_start.min(sampled * (first.value / change));
    }
    let threshold = apart * 1.1;
    let carried = |span: f64| if span < threshold { span } else { apart / 2.0 };
    let mut factor = (sampled + carried(to_start) + carried(to_end)) / sampled;
    if per_second {
        factor /= seconds(window.end - window.start);
    }
    Some(change * factor)
}

pub(super) fn irate(window: &Window) -> Option<f64> {
    let [.., before, last] = window.points else { return None };
    // A counter that fell has begun anew.
    let change = if last.value < before.value { last.value } else { last.value - before.value };
    (last.at > before.at).then(|| change / seconds(last.at - before.at))
}

pub(super) fn idelta(window: &Window) -> Option<f64> {
    let [.., before, last] = window.points else { return None };
    (last.at > before.at).then_some(last.value - before.value)
}

#[expect(clippy::float_cmp, reason = "any difference is a change")]
pub(super) fn changes(window: &Window) -> Option<f64> {
    let differ = |before: f64, after: f64| before != after && !(before.is_nan() && after.is_nan());
    Some(number(window.points.windows(2).filter(|pair| differ(pair[0].value, pair[1].value)).count()))
}

pub(super) fn resets(window: &Window) -> Option<f64> {
    Some(number(window.points.windows(2).filter(|pair| pair[1].value < pair[0].value).count()))
}

/// The slope of the line of least squares (`linearRegression`).
pub(super) fn deriv(window: &Window) -> Option<f64> {
    let [first, _, ..] = window.points else { return None };
    let origin = *first;
    if window.points.iter().all(|point| point.value.to_bits() == origin.value.to_bits()) {
        return Some(if origin.value.is_infinite() { f64::NAN } else { 0.0 });
    }
    let count = number(window.points.len());
    let mut sums = [Compensated::default(); 4];
    for point in window.points {
        let x = seconds(point.at - origin.at);
        for (sum, term) in sums.iter_mut().zip([x, point.value, x * point.value, x * x]) {
            sum.add(term);
        }
    }
    let [x, y, xy, xx] = sums.map(Compensated::total);
    Some((xy - x * y / count) / (xx - x * x / count))
}

/// A sum that carries along what rounding lost (`kahanSumInc`).
#[derive(Debug, Clone, Copy, Default)]
struct Compensated {
    sum: f64,
    lost: f64,
}

impl Compensated {
    fn add(&mut self, term: f64) {
        let next = self.sum + term;
        self.lost += if self.sum.abs() >= term.abs() { (self.sum - next) + term } else { (term - next) + self.sum };
        self.sum = next;
    }

    fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.lost }
    }
}

pub(super) fn sum(window: &Window) -> Option<f64> {
    let mut sum = Compensated::default();
    window.points.iter().for_each(|point| sum.add(point.value));
    Some(sum.total())
}

pub(super) fn avg(window: &Window) -> Option<f64> {
    let mut mean = Compensated::default();
    for (index, point) in window.points.iter().enumerate() {
        if !stays_infinite(mean.sum, point.value) {
            let count = number(index + 1);
            mean.add(point.value / count - mean.sum / count);
        }
    }
    Some(mean.total())
}

/// Whether a mean that is infinite is left as it is by a further value, where to compute it would give NaN.
pub(super) fn stays_infinite(mean: f64, value: f64) -> bool {
    let alike = value.is_infinite() && (mean > 0.0) == (value > 0.0);
    mean.is_infinite() && (alike || value.is_finite())
}

pub(super) fn min(window: &Window) -> Option<f64> {
    window.points.iter().map(|point| point.value).reduce(
        |least, value| {
            if value < least || least.is_nan() { value } else { least }
        },
    )
}

pub(super) fn max(window: &Window) -> Option<f64> {
    window.points.iter().map(|point| point.value).reduce(
        |most, value| {
            if value > most || most.is_nan() { value } else { most }
        },
    )
}

pub(super) fn count(window: &Window) -> Option<f64> {
    Some(number(window.points.len()))
}

pub(super) fn present(_: &Window) -> Option<f64> {
    Some(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(function: fn(&Window) -> Option<f64>, values: &[(i64, f64)]) -> Option<f64> {
        let points: Vec<Point> = values.iter().map(|&(at, value)| Point { at: at * 1000, value }).collect();
        function(&Window { points: &points, start: 0, end: 60_000 })
    }

    #[test]
    fn a_rate_is_carried_on_to_the_ends_of_its_window() {
        // 15 s to each end, 30 s sampled: the whole minute at one a second.
        assert_eq!(over(increase, &[(15, 100.0), (30, 115.0), (45, 130.0)]), Some(60.0));
        assert_eq!(over(rate, &[(15, 100.0), (30, 115.0), (45, 130.0)]), Some(1.0));
        // It was zero 5 s before its first point, so it is carried back no farther.
        assert_eq!(over(increase, &[(15, 5.0), (30, 20.0), (45, 35.0)]), Some(50.0));
        // Too far from the ends: half of what the points are apart, at each end.
        assert_eq!(over(delta, &[(20, 0.0), (25, 5.0), (30, 10.0)]), Some(15.0));
        assert_eq!(over(rate, &[(15, 100.0)]), None);
    }

    #[test]
    fn a_counter_that_falls_has_begun_anew() {
        assert_eq!(over(increase, &[(0, 100.0), (30, 10.0), (60, 20.0)]), Some(20.0));
        assert_eq!(over(irate, &[(0, 100.0), (30, 10.0)]), Some(10.0 / 30.0));
        assert_eq!(over(resets, &[(0, 100.0), (30, 10.0), (60, 20.0)]), Some(1.0));
    }

    #[test]
    fn what_is_no_number_does_not_hide_the_others() {
        let values = [(0, f64::NAN), (15, 3.0), (30, f64::NAN), (45, 1.0)];
        assert_eq!(over(max, &values), Some(3.0));
        assert_eq!(over(min, &values), Some(1.0));
        assert_eq!(over(changes, &[(0, f64::NAN), (15, f64::NAN), (30, 1.0)]), Some(1.0));
        assert_eq!(over(avg, &[(0, f64::INFINITY), (15, 1.0)]), Some(f64::INFINITY));
    }
}
