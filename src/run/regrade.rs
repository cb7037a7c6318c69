//! A run that is graded once more, by a rubric that has changed since: without its cluster and without a model.

use super::class::Class;
use super::control::ControlRecord;
use super::error::RunError;
use super::fail_as_error;
use super::record::{Expectation, RunRecord, Verdict};
use crate::grade::grounding;
use crate::grade::rubric::{Facts, Grade, grade};
use crate::scenario::Loaded;

/// Grades the kept diagnosis by the scenario's rubric as it is now. What was said of detection, snapshot and recovery stays,
/// and so does the whole record of a run that was an error or has no diagnosis.
pub fn grade_again(loaded: &Loaded, record: &RunRecord) -> Result<RunRecord, RunError> {
    let mut again = record.clone();
    let (Some(rubric), Some(diagnosis), Some(evidence)) =
        (&loaded.scenario.rubric, &record.diagnosis, &record.evidence)
    else {
        return Ok(again);
    };
    if matches!(record.verdict, Verdict::Error | Verdict::Skipped) {
        return Ok(again);
    }
    let grounding = grounding::check(diagnosis, evidence, loaded.subject);
    let new = grade(rubric, diagnosis, &Facts { grounded: grounding.share, ..record.facts() })?;
    let of = |grade: &Grade| {
        let snapshot = record.snapshot.as_ref().and_then(|snapshot| snapshot.reason(grade.passed()));
        [grade.shortfall(), snapshot].into_iter().flatten()
    };
    let before: Vec<String> = record.grade.iter().flat_map(of).collect();
    again.reasons.retain(|reason| !before.contains(reason));
    again.reasons.extend(of(&new));
    again.verdict = if again.reasons.is_empty() { Verdict::Pass } else { Verdict::Fail };
    again.class = class(record, Class::of_grade(&new), again.reasons.is_empty());
    if let Some(error) = RunError::of_grade(&new) {
        fail_as_error(&mut again, &error);
    }
    (again.grade, again.grounding) = (Some(new), Some(grounding));
    Ok(again)
}

/// The class that comes first in the run: of detection, of the new grade, of the snapshot, of recovery, of the twin.
fn class(record: &RunRecord, grade: Option<Class>, passed: bool) -> Class {
    let snapshot = record.snapshot.as_ref().and_then(Class::of_snapshot);
    let control = record.control.as_ref().and_then(ControlRecord::class);
    let alarmed = record.violations.iter().any(|violation| violation.expectation == Expectation::Unexpected);
    match record.class {
        _ if passed => Class::Passed,
        detection @ (Class::NotDetected | Class::WrongDetection) => detection,
        Class::FalseAlarm if alarmed => Class::FalseAlarm,
        Class::NotRecovered => grade.or(snapshot).unwrap_or(Class::NotRecovered),
        // What is left when neither the grade nor the snapshot nor the twin is why.
        _ => grade.or(snapshot).or(control).unwrap_or(Class::NotRecovered),
    }
}
