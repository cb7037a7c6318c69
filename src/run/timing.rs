//! When a violation was detected against when it can be at all, as far as the subject knows that.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::RunError;
use super::pipeline::Pipeline;
use super::watch::seconds;
use crate::clock::span_between;
use crate::monitor::Violation;
use crate::reading::NodeName;
use crate::subject::CLUSTER;

/// How late a timer of a real system may be, and with it what it does: the ticks of TiKV's stores are 1 s apart
/// (`tikv:components/raftstore/src/store/config.rs`).
const LATE_TIMER: Duration = Duration::from_secs(1);

/// When a violation can be detected: what the system itself decides, then the grace and the time between polls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Possible {
    /// Seconds after the fault, at the earliest.
    pub earliest: f64,
    /// Seconds after the effect of the fault, at the latest.
    pub latest: f64,
    /// Where the part of the system comes from.
    pub source: String,
}

impl Possible {
    /// Whether so many seconds after the effect of the fault are more than it can take.
    #[must_use]
    pub fn is_late(&self, after_fault: f64) -> bool {
        after_fault > self.latest
    }
}

impl fmt::Display for Possible {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} to {} s", self.earliest, self.latest)
    }
}

impl Pipeline<'_> {
    /// Takes in that there was a poll. What it took to do the fault is no gap.
    pub(super) fn note_gap(&mut self, poll: Timestamp) {
        let since = self.latest.as_ref().map(|latest| latest.at).max(self.first_effect());
        let gap = since.filter(|_| self.first_effect().is_some()).map(|since| span_between(since, poll));
        self.widest_gap = self.widest_gap.max(gap.unwrap_or_default());
    }

    /// When a violation can be detected; none if no source says so, or if several faults could have led to it.
    pub(super) fn possible(&self, invariant: &str, node: &NodeName) -> Option<Possible> {
        let manual = self.plan.loaded.subject.manual();
        let [_] = self.plan.loaded.scenario.faults.as_slice() else { return None };
        let mut injections = self.record.injections.iter();
        let injection = injections.find(|one| node.as_str() == CLUSTER || one.fault.node() == Some(node))?;
        let onset = manual.onsets.iter().find(|one| one.invariant == invariant && (one.of)(injection.fault.kind()))?;
        let grace = manual.invariants.iter().find(|one| one.name == invariant)?.grace;
        let gap = self.widest_gap;
        // The first poll that sees it comes up to a gap later, and so does the first one after the grace.
        let polls = if grace.is_zero() { gap } else { gap * 2 };
        Some(Possible {
            earliest: seconds(onset.earliest + grace),
            latest: seconds(onset.latest + grace + polls),
            source: onset.source.to_owned(),
        })
    }

    /// Why the run says nothing, now that this was detected: the fault cannot have led to it. In a control it is a false
    /// alarm all the same.
    pub(super) fn invalid(
        &self,
        violation: &Violation,
        after_fault: Option<f64>,
        possible: Option<&Possible>,
    ) -> Option<RunError> {
        let scenario = &self.plan.loaded.scenario;
        if scenario.expect.quiet.is_some() || scenario.faults.is_empty() {
            return None;
        }
        let Violation { invariant, node, because, since, .. } = violation.clone();
        let begun = self.record.injections.first().and_then(|injection| injection.begun);
        let Some(begun) = begun.filter(|begun| *begun <= since) else {
            return Some(RunError::BeforeTheFault { invariant, node, because });
        };
        let (possible, after) = possible.zip(after_fault)?;
        // By now all that was read has been read, wherever in the poll that was.
        let took = (span_between(begun, self.now()) + LATE_TIMER).as_secs_f64();
        (took < possible.earliest).then(|| RunError::TooEarly {
            invariant,
            node,
            after,
            earliest: possible.earliest,
            source_of_bound: possible.source.clone(),
        })
    }
}
