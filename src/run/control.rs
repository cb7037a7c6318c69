//! The twin of a run: the same cluster, load and seed without the faults. It must stay quiet, and whoever is asked of it
//! must say that nothing is wrong.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::class::Class;
use super::diagnose::note;
use super::error::RunError;
use super::event::Event;
use super::inquiry::{Inquiry, secrets};
use super::pipeline::Pipeline;
use super::record::{InjectionRecord, Phase, RunRecord, Verdict, ViolationRecord};
use super::watch::seconds;
use super::{Context, Plan, end_well, fail_as_error, guarded, new_id, new_record};
use crate::clock::{after, span_between};
use crate::diagnosis::{Bundle, Diagnosis, Exchange, QuestionHashes};
use crate::store::TicketState;

/// The causes that a diagnosis of a quiet cluster may name: that nothing is wrong, or that the evidence does not tell.
const NO_FAULT: &str = "no_fault";
const NOT_ENOUGH: &str = "not_enough_evidence";
/// The actions that change nothing.
const HARMLESS: [&str; 2] = ["wait_and_watch", "gather_evidence"];

/// What a diagnosis says of a cluster in which nothing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// That nothing is wrong, and nothing is to be changed.
    NoFault,
    /// That the evidence does not tell, and nothing is to be changed. That is half right: it blames nobody, so that it is no
    /// false alarm, and whoever always says so fails where there is a fault.
    Undecided,
    /// That something is wrong, or is to be changed.
    Wrong,
}

/// What became of the twin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ControlRecord {
    /// How many seconds it was watched: as long as the run was from when its faults could begin to its diagnosis.
    pub watched: f64,
    /// What was detected: each is a false alarm, also one that is allowed where there is a fault.
    pub violations: Vec<ViolationRecord>,
    /// What the question was; none if it came to none.
    pub question: Option<QuestionHashes>,
    /// What the diagnoser was shown, under the nodes' real names.
    pub evidence: Option<Bundle>,
    /// What it said; of false alarms, if there are any.
    pub diagnosis: Option<Diagnosis>,
    /// The same for people, as Markdown.
    pub diagnosis_markdown: Option<String>,
    /// The call to a model; none if none was asked.
    pub exchange: Option<Exchange>,
    /// How right that is; none if something was detected: then it is no quiet cluster that was asked about.
    pub said: Option<Said>,
}

impl ControlRecord {
    fn of(twin: RunRecord, watched: Duration) -> Self {
        let RunRecord { violations, question, evidence, diagnosis, diagnosis_markdown, diagnoser, .. } = twin;
        let said = diagnosis.as_ref().filter(|_| violations.is_empty()).map(said);
        let (watched, exchange) = (seconds(watched), diagnoser.exchange);
        Self { watched, violations, question, evidence, diagnosis, diagnosis_markdown, exchange, said }
    }

    /// Why the run does not pass for it.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let alarm = |one: &ViolationRecord| {
            format!("control: false alarm without the fault: {} on {}: {}", one.invariant, one.node, one.because)
        };
        let mut reasons: Vec<String> = self.violations.iter().map(alarm).collect();
        if let (Some(Said::Wrong), Some(diagnosis)) = (self.said, &self.diagnosis) {
            let (cause, remedy) = (&diagnosis.root_cause, &diagnosis.recommendation);
            reasons.push(format!(
                "control: nothing is wrong without the fault, and the diagnosis says {} on {} and recommends {} on {}",
                cause.category, cause.component, remedy.action, remedy.target
            ));
        }
        reasons
    }

    /// The kind of the verdict that these make; none if there are none.
    pub(super) fn class(&self) -> Option<Class> {
        let wrong = (self.said == Some(Said::Wrong)).then_some(Class::Misdiagnosed);
        if self.violations.is_empty() { wrong } else { Some(Class::FalseAlarm) }
    }
}

fn said(diagnosis: &Diagnosis) -> Said {
    let harmless = HARMLESS.contains(&diagnosis.recommendation.action.0.as_str());
    match diagnosis.root_cause.category.0.as_str() {
        NO_FAULT if harmless => Said::NoFault,
        NOT_ENOUGH if harmless => Said::Undecided,
        _ => Said::Wrong,
    }
}

/// How long the twin is watched.
#[derive(Debug, Clone, Copy)]
struct Spans {
    /// Until the moment at which the run detected something, or half of the time.
    noticed: Duration,
    /// Until the diagnosis is asked for.
    watched: Duration,
}

impl Spans {
    /// Those of a run that came to its end; none if it never watched.
    fn of(record: &RunRecord) -> Option<Self> {
        let phase = |wanted| record.phases.iter().find(|phase| phase.phase == wanted);
        let detect = phase(Phase::Detect)?;
        let asked = phase(Phase::Diagnose).map_or(detect.ended, |diagnose| diagnose.began);
        let watched = span_between(detect.began, asked);
        let first = record.violations.first().map(|violation| span_between(detect.began, violation.detected));
        Some(Self { noticed: first.unwrap_or(watched / 2).min(watched), watched })
    }
}

/// Runs the twin of a run that has ended, and adds what became of it to the run's record.
pub(super) async fn add(plan: &Plan, context: Context<'_>, record: &mut RunRecord) {
    let no_control = |reason: &str| context.events.send(Event::NoControl { reason: reason.to_owned() });
    if plan.loaded.scenario.expect.quiet.is_some() {
        return no_control("none: the scenario is one itself");
    }
    let Some(spans) = Spans::of(record).filter(|_| record.verdict != Verdict::Error) else {
        return no_control("not run: the run itself is an error");
    };
    let twin = twin_of(plan);
    let mut of_twin = new_record(&twin, context.diagnoser, new_id());
    of_twin.verdict = Verdict::Pass;
    let quiet = context.events.of_progress();
    if let Err(error) = run(&twin, Context { events: &quiet, ..context }, &mut of_twin, spans, &record.injections).await
    {
        fail_as_error(&mut of_twin, &error);
    }
    record.wall.control = Some(of_twin.wall.run.clone());
    record.clean &= of_twin.clean;
    if of_twin.verdict == Verdict::Error {
        (record.verdict, record.class) = (Verdict::Error, of_twin.class);
        record.reasons.extend(of_twin.reasons.iter().map(|reason| format!("control: {reason}")));
        return no_control("not finished");
    }
    let control = ControlRecord::of(of_twin, spans.watched);
    record.reasons.extend(control.reasons());
    if let Some(class) = control.class()
        && record.verdict == Verdict::Pass
    {
        (record.verdict, record.class) = (Verdict::Fail, class);
    }
    context.events.send(Event::Controlled(Box::new(control.clone())));
    record.control = Some(control);
}

/// The same without the faults, and with nothing that may be violated.
fn twin_of(plan: &Plan) -> Plan {
    let mut twin = plan.clone();
    let scenario = &mut twin.loaded.scenario;
    scenario.faults.clear();
    scenario.expect.violations.clear();
    scenario.expect.allow.clear();
    twin
}

/// Brings the twin up, watches it, asks, and takes it down. What goes wrong with it is in its record.
async fn run(
    twin: &Plan,
    context: Context<'_>,
    record: &mut RunRecord,
    spans: Spans,
    injections: &[InjectionRecord],
) -> Result<(), RunError> {
    let id = record.wall.run.clone();
    record.clean = true;
    context.store.start_run(&id, &record.scenario, &twin.cluster.backend.to_string())?;
    let cluster = twin.loaded.subject.cluster(&twin.cluster, &id);
    if let Ok(cluster) = &cluster {
        record.clean = false;
        let mut pipeline = Pipeline::new(twin, context, cluster.as_ref(), record);
        if let Err(error) = guarded(pipeline.watch_twin(spans, injections)).await {
            pipeline.add_error(&error);
        }
        end_well(&mut pipeline, cluster.as_ref()).await;
    }
    context.store.end_twin(&id, record.verdict.word())?;
    cluster.map(|_| ()).map_err(RunError::from)
}

impl Pipeline<'_> {
    async fn watch_twin(&mut self, spans: Spans, injections: &[InjectionRecord]) -> Result<(), RunError> {
        self.bring_up().await?;
        self.reach_steady().await?;
        self.begin(Phase::Detect);
        let start = self.now();
        self.watch_until(after(start, spans.noticed), |_| false).await?;
        let noticed = self.latest.clone();
        self.watch_until(after(start, spans.watched), |_| false).await?;
        // A false alarm is what it was detected from.
        self.first_detection = self.first_detection.take().or(noticed);
        self.begin(Phase::Diagnose);
        let observations = self.gather().await?;
        self.move_tickets(TicketState::Acknowledged)?;
        let secrets = secrets(&self.plan.loaded, &self.record.wall.run, injections);
        let (loaded, seed) = (&self.plan.loaded, self.plan.cluster.seed);
        let inquiry = Inquiry::new(loaded, &self.record.nodes, seed, &observations, &secrets)?;
        self.record.question = Some(inquiry.question().hashes());
        let context = self.context;
        let answer = context.unless_interrupted(inquiry.ask(context.diagnoser)).await??;
        let (diagnosis, evidence) = note(&inquiry, answer, self.record, context.events)?;
        self.keep(&evidence, &diagnosis)
    }
}
