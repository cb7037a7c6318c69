//! What the client says of itself each 10 s, in the form of `go-ycsb` (`go-ycsb:pkg/measurement`): one row for each kind of
//! operation, cumulative since it began.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::super::log::Log;
use super::client::{Client, Done};
use super::history::Completed;
use super::spread::Spread;

/// The node that the rows come from. Nothing is done to it.
pub(super) const NODE: &str = "load";
/// How often it says it (`go-ycsb:pkg/prop/prop.go`, `measurement.interval`).
const INTERVAL: Duration = Duration::from_secs(10);

/// All operations of one kind.
#[derive(Debug, Clone)]
struct Row {
    spread: Spread,
    /// Seconds.
    min: f64,
    max: f64,
}

impl Default for Row {
    fn default() -> Self {
        Self { spread: Spread::EMPTY, min: f64::MAX, max: 0.0 }
    }
}

/// All rows, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    rows: BTreeMap<&'static str, Row>,
    next: Duration,
}

/// The kinds of operations, with what they are called when they fail, and whether they write.
const KINDS: [(&str, &str, bool); 5] = [
    ("READ", "READ_ERROR", false),
    ("SCAN", "SCAN_ERROR", false),
    ("UPDATE", "UPDATE_ERROR", true),
    ("INSERT", "INSERT_ERROR", true),
    ("READ_MODIFY_WRITE", "READ_MODIFY_WRITE_ERROR", true),
];

impl Report {
    /// Takes what a client got done in bulk.
    pub(super) fn take_bulk(&mut self, done: &Done, client: &Client) {
        for (name, _, write, part) in kinds(client) {
            let kind = usize::from(write);
            let latency = &client.outlook.latency[kind];
            if done.bulk[kind] > 0.0 && latency.weight() > 0.0 && part > 0.0 {
                for name in [name, "TOTAL"] {
                    self.rows.entry(name).or_default().spread.merge(latency, part * done.bulk[kind] / latency.weight());
                }
            }
        }
    }

    /// Takes the operations of a client that were followed to their end.
    pub(super) fn take_followed(&mut self, completed: &[Completed], client: &Client) {
        for completed in completed {
            let mut own = kinds(client).filter(|(_, _, write, part)| *write == completed.write && *part > 0.0);
            let Some((name, error, ..)) = own.next() else { continue };
            let names: &[&'static str] = if completed.error.is_some() { &[error] } else { &[name, "TOTAL"] };
            for name in names {
                let row = self.rows.entry(name).or_default();
                row.spread.push(completed.latency);
                row.max = row.max.max(completed.latency);
                row.min = row.min.min(completed.latency);
            }
        }
    }

    /// Says it if it is time.
    pub(super) fn step(&mut self, began: Duration, now: Duration, log: &mut Log) {
        self.next = self.next.max(began + INTERVAL);
        if now < self.next {
            return;
        }
        self.next += INTERVAL;
        for (name, row) in &mut self.rows {
            let seconds = now.saturating_sub(began).as_secs_f64();
            log.write_text(now, &NODE.into(), format!("{name:<6} - {}", row.text(seconds)));
        }
    }
}

/// The kinds that a client asks for: name, name of the failures, whether it writes, and its part of all that do as much.
fn kinds(client: &Client) -> impl Iterator<Item = (&'static str, &'static str, bool, f64)> {
    let mix = client.spec.workload.mix();
    let parts = client.parts();
    let own = [mix.read, mix.scan, mix.update, mix.insert, mix.read_modify_write];
    KINDS.into_iter().zip(own).map(move |((name, error, write), own)| {
        let all = parts[usize::from(write)];
        (name, error, write, if all > 0.0 { own / all } else { 0.0 })
    })
}

impl Row {
    fn text(&mut self, seconds: f64) -> String {
        let count = self.spread.weight().floor().max(1.0);
        // No more than half an operation is expected beyond either.
        self.min = self.min.min(self.spread.quantile(0.5 / count));
        self.max = self.max.max(self.spread.quantile(1.0 - 0.5 / count));
        let micros = |seconds: f64| (seconds * 1e6).round();
        let ops = count / seconds.max(1e-3);
        let mut text = format!(
            "Takes(s): {seconds:.1}, Count: {count}, OPS: {ops:.1}, Avg(us): {}, Min(us): {}, Max(us): {}",
            micros(self.spread.mean()),
            micros(self.min),
            micros(self.max)
        );
        for part in ["50", "90", "95", "99", "99.9", "99.99"] {
            let latency = part.parse().map_or(0.0, |percent: f64| self.spread.quantile(percent / 100.0));
            let written = write!(text, ", {part}th(us): {}", micros(latency.clamp(self.min, self.max)));
            debug_assert!(written.is_ok(), "a String takes every write");
        }
        text
    }
}
