//! What a client saw, second by second, in the form of `fixtures/recordings/*.load.jsonl`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::client::Obstacle;
use super::spread::Spread;

/// How many rows are kept; the oldest go first. An hour without trouble has 3,600.
const KEPT_ROWS: usize = 7_200;

/// The operations that began in one second and ended in one second: a second stands in several rows if operations that
/// began in it ended later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientSecond {
    /// The operations.
    pub ops: u64,
    /// Those of them that failed, by kind.
    #[serde(rename = "err")]
    pub errors: BTreeMap<String, u64>,
    /// The median latency, in milliseconds.
    pub p50: f64,
    /// The latency that one in a hundred exceeds, in milliseconds.
    pub p99: f64,
    /// The longest latency, in milliseconds.
    pub max: f64,
    /// When they began, in seconds since the beginning of virtual time.
    pub t: i64,
}

/// An operation that ended later than others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Completed {
    pub(super) began: Duration,
    /// Seconds.
    pub(super) latency: f64,
    pub(super) write: bool,
    pub(super) error: Option<Obstacle>,
}

impl Completed {
    /// Its error's name: that of the exception of the recorded client.
    fn error_name(&self) -> Option<&'static str> {
        self.error.map(|met| if met == Obstacle::DiskFull { "DiskFull" } else { "TimeoutError" })
    }
}

/// What has ended since a second began.
#[derive(Debug, Clone, Default)]
pub(super) struct Second {
    /// So many operations found at once what they needed.
    pub(super) bulk: f64,
    /// The others.
    pub(super) completed: Vec<Completed>,
}

impl Second {
    pub(super) fn complete(&mut self, completed: Completed) {
        self.completed.push(completed);
    }
}

/// All rows.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    pub(super) rows: VecDeque<ClientSecond>,
    /// How many operations succeeded and failed since the beginning.
    pub(super) succeeded: u64,
    pub(super) failed: u64,
}

impl History {
    /// Writes the rows of a second that began at `start`, and empties it.
    pub(super) fn close(&mut self, start: Duration, second: &mut Second, mixed: &Spread, random: &mut Rng) {
        second.completed.sort_by(|left, right| {
            right.began.as_secs().cmp(&left.began.as_secs()).then(left.latency.total_cmp(&right.latency))
        });
        let own = second.completed.partition_point(|completed| completed.began >= start);
        if let Some(row) = bulk_row(start, second.bulk, &second.completed[..own], mixed, random) {
            self.push(row);
        }
        for late in second.completed[own..].chunk_by(|left, right| left.began.as_secs() == right.began.as_secs()) {
            let latency = |part: f64| late[rank(late.len(), part)].latency;
            let latencies = [latency(0.5), latency(0.99), late[late.len() - 1].latency];
            self.push(row(late[0].began, late.len() as u64, late, latencies));
        }
        second.completed.clear();
        second.bulk = 0.0;
    }

    fn push(&mut self, row: ClientSecond) {
        let failed = row.errors.values().sum();
        self.succeeded += row.ops.saturating_sub(failed);
        self.failed += failed;
        if self.rows.len() == KEPT_ROWS {
            self.rows.pop_front();
        }
        self.rows.push_back(row);
    }
}

/// The row of what began and ended in the same second, if there is any.
fn bulk_row(start: Duration, bulk: f64, own: &[Completed], mixed: &Spread, random: &mut Rng) -> Option<ClientSecond> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of operations")]
    let bulk = bulk as usize;
    let ops = bulk + own.len();
    if ops == 0 {
        return None;
    }
    let slow = |index: usize| own[index.min(own.len() - 1)].latency;
    let [mut p50, mut p99, mut max] =
        if bulk == 0 { [0.0; 3] } else { draw_order(bulk, random).map(|part| mixed.quantile(part)) };
    // Those that had to try again are slower than the others, as a rule.
    if let Some(index) = rank(ops, 0.5).checked_sub(bulk) {
        p50 = slow(index);
    }
    if let Some(index) = rank(ops, 0.99).checked_sub(bulk) {
        p99 = slow(index);
    }
    max = own.last().map_or(max, |last| last.latency.max(max));
    p99 = p99.max(p50);
    Some(row(start, ops as u64, own, [p50, p99, max.max(p99)]))
}

fn row(began: Duration, ops: u64, followed: &[Completed], latencies: [f64; 3]) -> ClientSecond {
    let mut errors = BTreeMap::new();
    for name in followed.iter().filter_map(Completed::error_name) {
        *errors.entry(name.to_owned()).or_insert(0) += 1;
    }
    let [p50, p99, max] = latencies.map(|seconds| (seconds * 10_000.0).round() / 10.0);
    ClientSecond { ops, errors, p50, p99, max, t: i64::try_from(began.as_secs()).unwrap_or(i64::MAX) }
}

/// The place of a quantile among so many, as the recorder took it.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
fn rank(count: usize, part: f64) -> usize {
    ((count as f64 * part) as usize).min(count.saturating_sub(1))
}

/// Where in their distribution the median, the 99th percentile and the greatest of so many draws lie, drawn.
#[expect(clippy::cast_precision_loss, reason = "counts of operations")]
fn draw_order(count: usize, random: &mut Rng) -> [f64; 3] {
    let many = count as f64;
    let greatest = random.f64().powf(1.0 / many);
    let mut at_rank = |part: f64| {
        let mean = (rank(count, part) as f64 + 1.0) / (many + 1.0);
        // A sum of three even draws is near enough to normal.
        let normal = 2.0 * (random.f64() + random.f64() + random.f64() - 1.5);
        (mean + normal * (mean * (1.0 - mean) / (many + 2.0)).sqrt()).clamp(0.5 / many, 1.0 - 0.1 / many)
    };
    let median = at_rank(0.5).min(greatest);
    let high = if rank(count, 0.99) == count - 1 { greatest } else { at_rank(0.99).clamp(median, greatest) };
    [median, high, greatest]
}

#[cfg(test)]
mod tests {
    use super::super::spread::Bell;
    use super::*;

    #[test]
    fn a_second_is_written_as_the_recorder_wrote_it() {
        let mut mixed = Spread::EMPTY;
        mixed.add(Bell { median: 0.003, slope: 3.0 }, 1.0);
        let at = |seconds: f64| Duration::from_secs_f64(seconds);
        let timed_out = |began: f64, latency: f64| Completed {
            began: at(began),
            latency,
            write: false,
            error: Some(Obstacle::Refused),
        };
        let completed = vec![timed_out(11.2, 8.5), timed_out(11.9, 8.4), timed_out(10.1, 9.9)];
        let mut second = Second { bulk: 3.0, completed };
        let mut history = History::default();
        history.close(at(20.0), &mut second, &mixed, &mut Rng::with_seed(1));
        let rows: Vec<(i64, u64, u64)> =
            history.rows.iter().map(|row| (row.t, row.ops, row.errors.values().sum())).collect();
        assert_eq!(rows, [(20, 3, 0), (11, 2, 2), (10, 1, 1)]);
        // As in fixtures/recordings/store-kill.load.jsonl: of two, the median is the second.
        assert_eq!((history.rows[1].p50, history.rows[1].max), (8_500.0, 8_500.0));
        let text = serde_json::to_string(&history.rows[2]).unwrap();
        assert_eq!(text, r#"{"ops":1,"err":{"TimeoutError":1},"p50":9900.0,"p99":9900.0,"max":9900.0,"t":10}"#);
        assert!(second.completed.is_empty());
    }
}
