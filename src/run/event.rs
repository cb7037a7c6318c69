//! What a run tells while it goes on. Every report on a terminal is made from this one stream.

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;

use super::control::ControlRecord;
use super::record::{Baseline, Expectation, Phase, RunRecord};
use super::snapshot::SnapshotOutcome;
use super::timing::Possible;
use crate::cluster::{Fault, Undo};
use crate::diagnosis::{Bundle, Diagnosis};
use crate::grade::grounding::Grounding;
use crate::grade::rubric::Grade;
use crate::monitor::Violation;
use crate::reading::{NodeName, Observation, Reading, Value};

/// What changed in the readings of a node.
#[derive(Debug, Clone, Default)]
pub struct ChangedReadings {
    /// Name, value before, value now.
    pub known: Vec<(String, String, String)>,
    /// How many can't be read any more.
    pub lost: usize,
}

impl ChangedReadings {
    /// What is not in one observation as it was in another, on one node, as far as it would show.
    #[must_use]
    pub fn between(before: &Observation, now: &Observation, node: &NodeName) -> Self {
        let changed = now
            .readings
            .iter()
            .filter(|reading| reading.node == *node)
            .map(|reading| (reading, before.value(node, &reading.name)))
            .filter(|(reading, before)| reading.value != *before);
        let (lost, known): (Vec<_>, Vec<_>) =
            changed.partition(|(reading, _)| reading.value.unknown_reason().is_some());
        let line = |(reading, before): (&Reading, Value)| {
            (reading.name.clone(), before.with_unit(reading.unit), reading.value.with_unit(reading.unit))
        };
        let shows = |(_, before, now): &(String, String, String)| before != now;
        Self { known: known.into_iter().map(line).filter(shows).collect(), lost: lost.len() }
    }
}

/// One thing that happened in a run.
#[derive(Debug, Clone)]
pub enum Event {
    /// A run begins.
    Started {
        /// The scenario's name.
        scenario: String,
        /// Its title.
        title: String,
        /// Subject, backend, nodes and seed, in words.
        cluster: String,
        /// Who will write the diagnosis.
        diagnoser: String,
        /// The readings that say in a word how a node is.
        headline: &'static [&'static str],
    },
    /// A phase begins.
    PhaseBegan {
        /// Which.
        phase: Phase,
    },
    /// A phase has ended well.
    PhaseEnded {
        /// Which.
        phase: Phase,
        /// What came of it.
        outcome: String,
        /// How long it took in the cluster's time, in seconds.
        seconds: f64,
    },
    /// The cluster was observed.
    Observed(Box<Observation>),
    /// A fault was done, and its effect seen.
    Injected {
        /// What.
        fault: Fault,
        /// How the node was picked.
        target: String,
    },
    /// A violation was detected.
    Detected {
        /// Which.
        violation: Violation,
        /// Seconds from the effect of the first fault.
        after_fault: Option<f64>,
        /// When it can be detected at all, if that is known.
        possible: Option<Possible>,
        /// How many faults were done so far.
        faults: usize,
        /// How it stands to what the scenario expects.
        expectation: Expectation,
        /// What changed in the readings of the node since the steady time.
        changed: ChangedReadings,
    },
    /// A watch opened a ticket.
    Ticket {
        /// Its number.
        ticket: i64,
        /// What is violated.
        violation: Violation,
        /// What changed in the readings of the node since all held.
        changed: ChangedReadings,
    },
    /// There is no diagnosis of what a watch found.
    NotDiagnosed {
        /// Why.
        reason: String,
    },
    /// An invariant holds again.
    Resolved {
        /// The invariant.
        invariant: String,
        /// Where.
        node: NodeName,
        /// When.
        at: Timestamp,
    },
    /// There is a diagnosis.
    Diagnosed {
        /// It.
        diagnosis: Box<Diagnosis>,
        /// What it rests on.
        evidence: Box<Bundle>,
    },
    /// The diagnosis was graded.
    Graded {
        /// By the rubric.
        grade: Grade,
        /// How its claims are grounded.
        grounding: Grounding,
        /// The line of each check in the scenario's file.
        lines: Vec<usize>,
        /// What the baseline makes of the same, if it was asked for.
        baseline: Option<Box<Baseline>>,
    },
    /// The diagnosis was compared with its snapshot.
    Compared(SnapshotOutcome),
    /// A fault was undone.
    Healed(Undo),
    /// The same cluster was watched without the faults.
    Controlled(Box<ControlRecord>),
    /// It was to be, and was not.
    NoControl {
        /// Why.
        reason: String,
    },
    /// The run has ended. The record is whole.
    Ended(Box<RunRecord>),
}

/// Where a run sends what happens.
#[derive(Debug, Clone)]
pub struct Events {
    sender: UnboundedSender<Event>,
    /// Nothing is sent but what goes on now.
    only_progress: bool,
}

impl Events {
    /// Sends to this channel.
    #[must_use]
    pub fn new(sender: UnboundedSender<Event>) -> Self {
        Self { sender, only_progress: false }
    }

    /// Sends to the same channel, but nothing that would make a line.
    pub(super) fn of_progress(&self) -> Self {
        Self { only_progress: true, ..self.clone() }
    }

    /// Sends. If nobody listens any more, the run goes on all the same.
    pub fn send(&self, event: Event) {
        if !self.only_progress || matches!(event, Event::PhaseBegan { .. } | Event::Observed(_)) {
            let _ = self.sender.send(event);
        }
    }
}
