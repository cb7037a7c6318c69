//! How long it took to detect what was expected, over several runs.

use std::collections::BTreeMap;

use crate::run::{Expectation, RunRecord};

/// A line for each invariant that was expected and detected, in the order of their names: the median and the range.
pub(super) fn lines(records: &[RunRecord]) -> Vec<String> {
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for violation in records.iter().flat_map(|record| &record.violations) {
        if violation.expectation == Expectation::Expected
            && let Some(after) = violation.after_fault
        {
            times.entry(&violation.invariant).or_default().push(after);
        }
    }
    let width = times.keys().map(|name| name.len()).max().unwrap_or(0);
    let line = |(name, mut times): (&str, Vec<f64>)| {
        times.sort_by(f64::total_cmp);
        let (count, first, last) = (times.len(), times[0], times[times.len() - 1]);
        let median = f64::midpoint(times[(count - 1) / 2], times[count / 2]);
        let range =
            if count == 1 { String::new() } else { format!(", {first:.1} to {last:.1} s in {count} detections") };
        format!("detected {name:<width$}  after {median:.1} s{range}")
    };
    times.into_iter().map(line).collect()
}
