//! Asks for the diagnosis, and grades it.

use super::class::Class;
use super::error::RunError;
use super::event::{Event, Events};
use super::inquiry::{Inquiry, secrets};
use super::judge;
use super::pipeline::Pipeline;
use super::record::{DiagnoserRecord, Expectation, Phase, RunRecord, Verdict};
use super::snapshot::{Header, compare};
use super::{Plan, fail_as_error};
use crate::diagnosis::evidence::{Observations, TicketFacts};
use crate::diagnosis::judge::Judge;
use crate::diagnosis::{Answer, Bundle, Diagnoser, Diagnosis, markdown};
use crate::grade::rubric::Grade;
use crate::grade::stable;
use crate::scenario::Loaded;
use crate::store::TicketState;

impl Pipeline<'_> {
    pub(super) async fn diagnose_and_grade(&mut self) -> Result<(), RunError> {
        let (plan, context) = (self.plan, self.context);
        self.begin(Phase::Diagnose);
        let observations = self.gather().await?;
        self.move_tickets(TicketState::Acknowledged)?;
        let secrets = secrets(&plan.loaded, &self.record.wall.run, &self.record.injections);
        let inquiry = Inquiry::new(&plan.loaded, &self.record.nodes, plan.cluster.seed, &observations, &secrets)?;
        self.record.question = Some(inquiry.question().hashes());
        if plan.extras.keep_observations {
            self.record.observations = Some(observations);
        }
        let answer = context.unless_interrupted(inquiry.ask(context.diagnoser)).await?;
        let (diagnosis, evidence) = note(&inquiry, answer, self.record, context.events)?;
        self.keep(&evidence, &diagnosis)?;
        self.end(format!("{} claims, {} options", diagnosis.evidence.len(), diagnosis.options.len()));
        self.try_remedies(&diagnosis).await?;
        self.begin(Phase::Grade);
        context.unless_interrupted(judge::judge(plan, context.judge, self.record)).await??;
        grade(&inquiry, plan, self.record, context.events).await?;
        self.compare(&diagnosis, &evidence)?;
        let checks = self.record.grade.as_ref().map(|grade| grade.checks.as_slice()).unwrap_or_default();
        self.end(format!("{} of {} checks met", checks.iter().filter(|check| check.met()).count(), checks.len()));
        Ok(())
    }

    /// What was seen around the first violation.
    pub(super) async fn gather(&self) -> Result<Observations, RunError> {
        let (Some(before), Some(at), Some(after)) = (&self.steady, &self.first_detection, &self.latest) else {
            return Err(RunError::NothingObserved);
        };
        // An expected violation first: an allowed one may have fired before it.
        let mut tickets: Vec<_> = self.fired.iter().collect();
        tickets.sort_by_key(|(_, expectation)| *expectation != Expectation::Expected);
        let tickets = tickets.into_iter().map(|(violation, _)| TicketFacts::of(violation, at.at)).collect();
        let logs = self.context.unless_interrupted(self.cluster.logs(before.at)).await??;
        let (before, at, after) = (before.clone(), at.clone(), after.clone());
        // What the database knows of earlier runs would tell the answer.
        let past = self.plan.loaded.scenario.past_tickets.clone();
        Ok(Observations { tickets, before, at, after, logs, past })
    }

    /// Puts the diagnosis on the tickets.
    pub(super) fn keep(&self, evidence: &Bundle, diagnosis: &Diagnosis) -> Result<(), RunError> {
        let (now, store) = (self.now(), self.context.store);
        self.all_tickets.iter().try_for_each(|ticket| {
            Ok(store.write_diagnosis(*ticket, self.context.diagnoser.name(), diagnosis, evidence, now)?)
        })
    }

    fn compare(&mut self, diagnosis: &Diagnosis, evidence: &Bundle) -> Result<(), RunError> {
        let Loaded { scenario, .. } = &self.plan.loaded;
        let name = format!("{}.{}", scenario.name, self.context.diagnoser.name());
        let header =
            Header { source: &self.record.path, description: &scenario.title, diagnoser: &self.record.diagnoser.name };
        let contents = stable::write(diagnosis, evidence)?;
        let met = self.record.grade.as_ref().is_none_or(Grade::passed);
        let snapshot = compare(&self.plan.snapshots, &name, &header, &contents, met)?;
        self.record.snapshot = Some(snapshot.clone());
        self.context.events.send(Event::Compared(snapshot));
        Ok(())
    }

    pub(super) fn move_tickets(&self, state: TicketState) -> Result<(), RunError> {
        let now = self.now();
        self.tickets.values().try_for_each(|ticket| Ok(self.context.store.move_ticket(*ticket, state, now)?))
    }
}

/// Puts an answer and its evidence into the record, and tells of it. What the call has cost is put there whatever it came to.
pub(super) fn note(
    inquiry: &Inquiry<'_>,
    answer: Result<Answer, RunError>,
    record: &mut RunRecord,
    events: &Events,
) -> Result<(Diagnosis, Bundle), RunError> {
    let exchange = answer.as_ref().map_or_else(RunError::exchange, |answer| answer.exchange.as_ref());
    record.diagnoser.exchange = exchange.cloned();
    let (diagnosis, evidence) = (answer?.diagnosis, inquiry.evidence()?);
    inquiry.refuse_canary(&diagnosis)?;
    record.evidence = Some(evidence.clone());
    record.diagnosis = Some(diagnosis.clone());
    record.diagnosis_markdown = Some(markdown::write(&diagnosis, &evidence));
    events.send(Event::Diagnosed { diagnosis: Box::new(diagnosis.clone()), evidence: Box::new(evidence.clone()) });
    Ok((diagnosis, evidence))
}

/// Grades the diagnosis in the record, and that of the baseline if it is asked for.
async fn grade(inquiry: &Inquiry<'_>, plan: &Plan, record: &mut RunRecord, events: &Events) -> Result<(), RunError> {
    let (Some(diagnosis), Some(evidence)) = (&record.diagnosis, &record.evidence) else { return Ok(()) };
    let Some(rubric) = &plan.loaded.scenario.rubric else { return Ok(()) };
    let (grade, grounding) = inquiry.grade(rubric, diagnosis, evidence, record.facts(rubric))?;
    record.grounding = Some(grounding.clone());
    record.grade = Some(grade.clone());
    if plan.extras.with_baseline {
        record.baseline = inquiry.baseline(record).await?;
    }
    let (baseline, lines) = (record.baseline.clone().map(Box::new), plan.loaded.check_lines.clone());
    events.send(Event::Graded { grade, grounding, lines, baseline });
    Ok(())
}

/// Diagnoses what a run has kept of its observations once more. The record is that of the run with another diagnosis, its
/// grade and a verdict on that alone; an error if there is no diagnosis.
pub async fn diagnose_again(
    plan: &Plan,
    record: &RunRecord,
    (diagnoser, judge): (&dyn Diagnoser, Option<&dyn Judge>),
    events: &Events,
) -> Result<RunRecord, RunError> {
    let observations = record.observations.as_ref().ok_or(RunError::NoObservations)?;
    let secrets = secrets(&plan.loaded, &record.wall.run, &record.injections);
    let inquiry = Inquiry::new(&plan.loaded, &record.nodes, record.cluster.seed, observations, &secrets)?;
    let mut again = RunRecord {
        diagnoser: DiagnoserRecord::of(diagnoser),
        question: Some(inquiry.question().hashes()),
        diagnosis: None,
        diagnosis_markdown: None,
        grounding: None,
        grade: None,
        snapshot: None,
        control: None,
        baseline: None,
        judgements: Vec::new(),
        applied: None,
        reasons: Vec::new(),
        ..record.clone()
    };
    match ask_and_grade(&inquiry, plan, (diagnoser, judge), &mut again, events).await {
        Ok(()) => {
            again.reasons = again.grade.iter().filter_map(Grade::shortfall).collect();
            again.verdict = if again.reasons.is_empty() { Verdict::Pass } else { Verdict::Fail };
            again.class = again.grade.as_ref().and_then(Class::of_grade).unwrap_or(Class::Passed);
            if let Some(error) = again.grade.as_ref().and_then(RunError::of_grade) {
                fail_as_error(&mut again, &error);
            }
        }
        Err(error) => fail_as_error(&mut again, &error),
    }
    events.send(Event::Ended(Box::new(again.clone())));
    Ok(again)
}

/// Asks, has judged what is said, and grades it.
async fn ask_and_grade(
    inquiry: &Inquiry<'_>,
    plan: &Plan,
    (diagnoser, judge): (&dyn Diagnoser, Option<&dyn Judge>),
    record: &mut RunRecord,
    events: &Events,
) -> Result<(), RunError> {
    note(inquiry, inquiry.ask(diagnoser).await, record, events)?;
    judge::judge(plan, judge, record).await?;
    grade(inquiry, plan, record, events).await
}
