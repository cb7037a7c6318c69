//! The run record: the one JSON document that every report is made from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::class::Class;
use super::control::ControlRecord;
use super::snapshot::SnapshotOutcome;
use super::timing::Possible;
use crate::cluster::{Fault, Node};
use crate::diagnosis::evidence::Observations;
use crate::diagnosis::{Bundle, Diagnoser, Diagnosis, Exchange, QuestionHashes};
use crate::grade::grounding::Grounding;
use crate::grade::rubric::{Facts, Grade};
use crate::reading::NodeName;
use crate::subject::ClusterSpec;

/// The format of the record. It is raised when a field changes its meaning or goes.
pub(super) const FORMAT: u32 = 1;

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All that was expected was seen, and the diagnosis is good enough.
    Pass,
    /// Something was not as expected, or the diagnosis is not good enough.
    Fail,
    /// The harness or the environment broke: it says nothing of the diagnosis.
    Error,
    /// It was not run, since the one before it was interrupted.
    Skipped,
}

impl Verdict {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Skipped => "skipped",
        }
    }
}

/// What a run goes through, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The cluster is brought up.
    Up,
    /// Every invariant is waited for to hold.
    Steady,
    /// The faults are done, and what they do is watched.
    Detect,
    /// The diagnosis is asked for.
    Diagnose,
    /// It is graded.
    Grade,
    /// The faults are undone, and the cluster is waited for to be well.
    Recover,
    /// The cluster is taken down.
    Down,
}

impl Phase {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Steady => "steady",
            Self::Detect => "detect",
            Self::Diagnose => "diagnose",
            Self::Grade => "grade",
            Self::Recover => "recover",
            Self::Down => "down",
        }
    }
}

/// A phase, and when it was in the cluster's time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseRecord {
    /// Which.
    pub phase: Phase,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
}

/// One done fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InjectionRecord {
    /// What was done.
    pub fault: Fault,
    /// How its node was picked.
    pub picked: String,
    /// When it was begun to be done: nothing that it does is earlier. None in records of before this was kept.
    #[serde(default)]
    pub begun: Option<Timestamp>,
    /// When it was done.
    pub done: Timestamp,
    /// When its effect was seen: the clock of detection starts here.
    pub bit: Option<Timestamp>,
    /// When it was undone.
    pub healed: Option<Timestamp>,
}

/// How a violation stands to what the scenario expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// It had to be detected.
    Expected,
    /// It may be.
    Allowed,
    /// It should not have been.
    Unexpected,
}

/// One detected violation; it has a ticket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViolationRecord {
    /// The invariant.
    pub invariant: String,
    /// Where.
    pub node: NodeName,
    /// What was seen.
    pub because: String,
    /// When it was detected.
    pub detected: Timestamp,
    /// Seconds from the effect of the first fault; none if there was no fault.
    pub after_fault: Option<f64>,
    /// When it can be detected at all; none if nothing is known of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub possible: Option<Possible>,
    /// How it stands to what the scenario expects.
    pub expectation: Expectation,
    /// When the invariant held again.
    pub resolved: Option<Timestamp>,
}

/// Who wrote the diagnosis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiagnoserRecord {
    /// `claude`, `replay` or `rules`.
    pub name: String,
    /// The same as a person is told it.
    pub label: String,
    /// The call to a model; none if none was asked.
    pub exchange: Option<Exchange>,
}

impl DiagnoserRecord {
    /// Of a diagnoser that has not been asked yet.
    pub(super) fn of(diagnoser: &dyn Diagnoser) -> Self {
        Self { name: diagnoser.name().to_owned(), label: diagnoser.label(), exchange: None }
    }
}

/// What the baseline makes of the same evidence: a scenario that it solves is an easy one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// What it said.
    pub diagnosis: Diagnosis,
    /// How it was graded.
    pub grade: Grade,
    /// How its claims are grounded.
    pub grounding: Grounding,
}

/// What differs between two runs that are the same otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wall {
    /// The run's id.
    pub run: String,
    /// The id of its twin without the faults, which the twin's tickets have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// When it started.
    pub started: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// How long each phase took, in milliseconds.
    pub phases_ms: BTreeMap<String, u64>,
}

/// All that is known of one run. On the embedded backend, two runs of the same scenario with the same seed have the same
/// record to the byte, but for [`Wall`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The format of this document.
    pub format: u32,
    /// The scenario's name.
    pub scenario: String,
    /// Its title.
    pub title: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its file.
    pub path: String,
    /// The subject.
    pub subject: String,
    /// The cluster that was asked for.
    pub cluster: ClusterSpec,
    /// Its members.
    pub nodes: Vec<Node>,
    /// Who wrote the diagnosis.
    pub diagnoser: DiagnoserRecord,
    /// What became of it.
    pub verdict: Verdict,
    /// The kind of the verdict.
    pub class: Class,
    /// Why, if it is no pass.
    pub reasons: Vec<String>,
    /// Whether every fault is healed and nothing of the cluster is left.
    pub clean: bool,
    /// What the faults have left on the cluster though they were undone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaks: Vec<String>,
    /// What it went through.
    pub phases: Vec<PhaseRecord>,
    /// The nodes that the first fault was done to: `target` in the scenario.
    #[serde(default)]
    pub targets: Vec<NodeName>,
    /// What was done to the cluster.
    pub injections: Vec<InjectionRecord>,
    /// What was detected.
    pub violations: Vec<ViolationRecord>,
    /// What was observed around the violation, if it was to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observations: Option<Observations>,
    /// What the question was; none if nothing was asked.
    #[serde(default)]
    pub question: Option<QuestionHashes>,
    /// What the diagnoser was shown, under the nodes' real names.
    pub evidence: Option<Bundle>,
    /// What it said.
    pub diagnosis: Option<Diagnosis>,
    /// The same for people, as Markdown.
    pub diagnosis_markdown: Option<String>,
    /// How its claims are grounded.
    pub grounding: Option<Grounding>,
    /// How it was graded.
    pub grade: Option<Grade>,
    /// What the baseline says, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// How it compares with its snapshot.
    pub snapshot: Option<SnapshotOutcome>,
    /// What became of the same cluster without the faults, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<ControlRecord>,
    /// What differs between two runs that are the same otherwise.
    pub wall: Wall,
}

impl RunRecord {
    /// What a rubric may ask for beside the diagnosis, but for how its claims are grounded.
    pub(super) fn facts(&self) -> Facts {
        let call = self.diagnoser.exchange.as_ref();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a call are far below 2^52")]
        let seconds = |exchange: &Exchange| exchange.took_ms as f64 / 1000.0;
        Facts {
            targets: self.targets.clone(),
            cost: call.and_then(|exchange| exchange.cost_usd),
            latency: call.map(seconds),
            ..Facts::default()
        }
    }
}
