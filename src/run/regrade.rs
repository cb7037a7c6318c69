//! A run that is graded once more, by a rubric that has changed since: without its cluster and without a model.

use super::apply::Applied;
use super::class::Class;
use super::error::RunError;
use super::fail_as_error;
use super::record::{RunRecord, Verdict};
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
    let before = record.grade.as_ref().and_then(Grade::shortfall);
    again.reasons.retain(|reason| Some(reason) != before.as_ref());
    again.reasons.extend(new.shortfall());
    again.verdict = if again.reasons.is_empty() { Verdict::Pass } else { Verdict::Fail };
    again.class = class(record, Class::of_grade(&new), again.reasons.is_empty());
    if let Some(error) = RunError::of_grade(&new) {
        fail_as_error(&mut again, &error);
    }
    (again.grade, again.grounding) = (Some(new), Some(grounding));
    Ok(again)
}

/// The class that comes first in the run: of detection, of the new grade, of the snapshot, of the recommended
/// action, of recovery.
fn class(record: &RunRecord, grade: Option<Class>, passed: bool) -> Class {
    let snapshot = record.snapshot.as_ref().and_then(Class::of_snapshot);
    let applied = record.applied.as_ref().and_then(Applied::class);
    match record.class {
        _ if passed => Class::Passed,
        detection @ (Class::NotDetected | Class::WrongDetection | Class::FalseAlarm) => detection,
        // What is left when neither the grade nor the snapshot is why.
        _ => grade.or(snapshot).or(applied).unwrap_or(Class::NotRecovered),
    }
}
