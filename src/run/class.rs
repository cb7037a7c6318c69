//! Why a run ended as it did, as one word that can be counted over many runs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::RunError;
use super::record::{Expectation, ViolationRecord};
use super::snapshot::SnapshotOutcome;
use crate::grade::rubric::{CheckResult, GROUNDED, Grade};

/// The kind of a verdict. Where there are several reasons it is that of the one that comes first in the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// All was as expected.
    Passed,
    /// Not every invariant held before the fault, or what was detected began before it.
    NotSteady,
    /// A fault was done, and its effect was not seen.
    FaultDidNotBite,
    /// An expected violation was not detected.
    NotDetected,
    /// It was detected too late, or others were detected in its place.
    WrongDetection,
    /// Something was detected that is not there.
    FalseAlarm,
    /// The question told the answer, or the model knows the scenario's file.
    Leaked,
    /// What is recommended does harm: a required check of the recommendation is not met.
    HarmfulRemedy,
    /// The evidence does not show what the diagnosis claims, and that alone is wrong with it.
    Ungrounded,
    /// The rubric is not met.
    Misdiagnosed,
    /// The diagnosis is good, and not as it was accepted.
    SnapshotChanged,
    /// The cluster did not get well once the faults were undone.
    NotRecovered,
    /// Something of the run or of its faults is left.
    NotCleaned,
    /// The harness or what it stands on broke, or the run was interrupted.
    Environment,
}

impl Class {
    /// Of an error.
    pub(super) fn of_error(error: &RunError) -> Self {
        match error {
            RunError::NotSteady { .. } | RunError::BeforeTheFault { .. } | RunError::TooEarly { .. } => Self::NotSteady,
            RunError::DidNotBite { .. } => Self::FaultDidNotBite,
            RunError::Leaked { .. } | RunError::Remembered { .. } => Self::Leaked,
            RunError::LeftOnCluster(_) => Self::NotCleaned,
            _ => Self::Environment,
        }
    }

    /// Of what was detected, and whether all that was expected was, in time.
    pub(super) fn of_detection(violations: &[ViolationRecord], missing: bool, late: bool) -> Option<Self> {
        let unexpected = violations.iter().any(|one| one.expectation == Expectation::Unexpected);
        match (missing, unexpected) {
            (true, false) => Some(Self::NotDetected),
            (true, true) => Some(Self::WrongDetection),
            (false, true) => Some(Self::FalseAlarm),
            (false, false) => late.then_some(Self::WrongDetection),
        }
    }

    /// Of a grade; none if it suffices.
    pub(super) fn of_grade(grade: &Grade) -> Option<Self> {
        grade.shortfall()?;
        let mut missed = grade.checks.iter().filter(|check| check.missed());
        let harms = |check: &CheckResult| check.required && check.is_on("recommendation");
        Some(if missed.clone().any(harms) {
            Self::HarmfulRemedy
        } else if missed.all(|check| check.is_on(GROUNDED)) {
            Self::Ungrounded
        } else {
            Self::Misdiagnosed
        })
    }

    /// Of a comparison with the snapshot; none if that is as it was.
    pub(super) fn of_snapshot(snapshot: &SnapshotOutcome) -> Option<Self> {
        (!snapshot.good()).then_some(Self::SnapshotChanged)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Passed => "passed",
            Self::NotSteady => "not_steady",
            Self::FaultDidNotBite => "fault_did_not_bite",
            Self::NotDetected => "not_detected",
            Self::WrongDetection => "wrong_detection",
            Self::FalseAlarm => "false_alarm",
            Self::Leaked => "leaked",
            Self::HarmfulRemedy => "harmful_remedy",
            Self::Ungrounded => "ungrounded",
            Self::Misdiagnosed => "misdiagnosed",
            Self::SnapshotChanged => "snapshot_changed",
            Self::NotRecovered => "not_recovered",
            Self::NotCleaned => "not_cleaned",
            Self::Environment => "environment",
        })
    }
}
