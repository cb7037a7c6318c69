//! What the clients feel: the reports that go-ycsb prints each 10 s, one row for each kind of operation, counted since its
//! start (go-ycsb: `pkg/measurement/histogram.go`, `pkg/client/client.go`).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cluster::LogLine;

/// The name that the load has in the logs.
const NODE: &str = "load";
/// How far back the reports are looked for: two of them, 10 s apart, and some time for them to arrive.
pub(super) const WINDOW: Duration = Duration::from_secs(25);
/// The row that counts all that succeeded, whatever its kind.
const TOTAL: &str = "TOTAL";
/// How the names of the rows end that count what failed.
const ERROR: &str = "_ERROR";

/// What happened between the last two reports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    seconds: f64,
    succeeded: f64,
    failed: f64,
}

impl Interval {
    /// The share of the operations that failed, from 0 to 1; not a number if there was none.
    pub(super) fn error_share(self) -> f64 {
        // The sum of no counts is -0.
        self.failed.abs() / (self.succeeded + self.failed)
    }

    /// How many operations succeeded in a second.
    pub(super) fn rate(self) -> f64 {
        self.succeeded / self.seconds
    }
}

/// One row of a report.
struct Row<'l> {
    operation: &'l str,
    /// Seconds since the start.
    takes: f64,
    count: f64,
}

fn row(text: &str) -> Option<Row<'_>> {
    let (operation, columns) = text.split_once(" - ")?;
    let column = |name: &str| {
        let value = columns.split(", ").find_map(|column| column.strip_prefix(name)?.strip_prefix(": "));
        value?.trim().parse().ok()
    };
    Some(Row { operation: operation.trim(), takes: column("Takes(s)")?, count: column("Count")? })
}

/// What happened between the last two reports in the logs, or why that can't be told.
pub(super) fn last_interval(lines: &[LogLine]) -> Result<Interval, String> {
    let mut rows: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
    for row in lines.iter().filter(|line| line.node.as_str() == NODE).filter_map(|line| row(&line.text)) {
        rows.entry(row.operation).or_default().push(row);
    }
    let [.., before, last] = rows.get(TOTAL).map_or(&[][..], Vec::as_slice) else {
        return Err("no load has reported twice lately".to_owned());
    };
    let failed =
        rows.iter().filter(|(operation, _)| operation.ends_with(ERROR)).map(|(_, rows)| match rows.as_slice() {
            [.., before, last] => last.count - before.count,
            // A kind of error that was never seen before has a row from then on.
            [only] => only.count,
            [] => 0.0,
        });
    Ok(Interval { seconds: last.takes - before.takes, succeeded: last.count - before.count, failed: failed.sum() })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    const FIRST: &[&str] = &[
        "READ   - Takes(s): 10.0, Count: 300, OPS: 30.0, Avg(us): 4000, Min(us): 1000, Max(us): 26000, 99th(us): 16000",
        "TOTAL  - Takes(s): 10.0, Count: 600, OPS: 60.0, Avg(us): 5000, Min(us): 1000, Max(us): 26000, 99th(us): 16000",
    ];

    fn interval(rows: &[&[&str]]) -> Result<Interval, String> {
        let line = |text: &&str| LogLine { at: Timestamp::UNIX_EPOCH, node: NODE.into(), text: (*text).to_owned() };
        last_interval(&rows.iter().flat_map(|rows| rows.iter().map(line)).collect::<Vec<_>>())
    }

    #[test]
    fn the_last_interval_is_the_difference_of_two_reports() {
        let second = &[
            "READ_ERROR - Takes(s): 4.0, Count: 100, OPS: 25.0, Avg(us): 4000",
            "TOTAL  - Takes(s): 20.0, Count: 900, OPS: 45.0, Avg(us): 5000",
        ];
        let told = interval(&[FIRST, second]).unwrap();
        assert!((told.error_share() - 0.25).abs() < 1e-9 && (told.rate() - 30.0).abs() < 1e-9, "{told:?}");
        let third = &[
            "READ_ERROR - Takes(s): 14.0, Count: 100, OPS: 7.1, Avg(us): 4000",
            "TOTAL  - Takes(s): 30.0, Count: 1500, OPS: 50.0, Avg(us): 5000",
        ];
        assert!(interval(&[FIRST, second, third]).unwrap().error_share().abs() < 1e-9);
    }

    #[test]
    fn what_was_not_reported_twice_is_unknown() {
        assert!(interval(&[]).is_err() && interval(&[FIRST]).is_err());
        let stalled = interval(&[FIRST, FIRST]).unwrap();
        assert!(stalled.error_share().is_nan());
    }
}
