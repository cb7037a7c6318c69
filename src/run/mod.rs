//! One scenario through its phases, and many in turn. What happens goes out as events; what came of it is the record.

mod class;
mod clean;
mod control;
mod diagnose;
mod error;
mod event;
mod faults;
mod inquiry;
mod on_call;
mod pipeline;
mod record;
mod regrade;
mod snapshot;
mod snapshot_folder;
mod target;
mod timing;
mod watch;

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::diagnosis::Diagnoser;
use crate::scenario::Loaded;
use crate::store::Store;
use crate::subject::ClusterSpec;

pub use class::Class;
pub use clean::{CleanOptions, Cleaned, Outcome, Removed, clean};
pub use control::{ControlRecord, Said};
pub use diagnose::diagnose_again;
pub use error::RunError;
pub use event::{ChangedReadings, Event, Events};
pub use on_call::{OnCall, watch};
pub use record::{
    Baseline, DiagnoserRecord, Expectation, InjectionRecord, Phase, PhaseRecord, RunRecord, Verdict, ViolationRecord,
    Wall,
};
pub use regrade::grade_again;
pub use snapshot::{SnapshotError, SnapshotOutcome, SnapshotPolicy, SnapshotStatus, Update};
pub use snapshot_folder::{KeptSnapshot, kept_snapshots};
pub use timing::Possible;

use pipeline::Pipeline;

/// One scenario, and all that its file leaves open.
#[derive(Clone)]
pub struct Plan {
    /// The scenario.
    pub loaded: Loaded,
    /// The cluster to run it on.
    pub cluster: ClusterSpec,
    /// Where its snapshot is, and what is written.
    pub snapshots: SnapshotPolicy,
    /// What is done beyond what it takes for a verdict.
    pub extras: Extras,
}

/// What is done beyond what it takes for a verdict.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extras {
    /// What was observed is kept in the record, so that it can be diagnosed again.
    pub keep_observations: bool,
    /// The baseline is graded as well.
    pub with_baseline: bool,
    /// The same cluster is watched without the faults as well.
    pub with_control: bool,
}

/// What a run needs of the world around it.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Who writes the diagnosis.
    pub diagnoser: &'a dyn Diagnoser,
    /// The database.
    pub store: &'a Store,
    /// Where events go.
    pub events: &'a Events,
    /// Asks the run to stop: it then heals, takes the cluster down and ends as an error.
    pub cancel: &'a CancellationToken,
}

impl Context<'_> {
    /// Waits for something, unless the run is asked to stop first.
    async fn unless_interrupted<T>(&self, work: impl Future<Output = T>) -> Result<T, RunError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(RunError::Interrupted),
            outcome = work => Ok(outcome),
        }
    }
}

/// Runs one scenario. Whatever happens in it, an error and a panic included, its faults are healed and its cluster is
/// taken down before this returns.
pub async fn run(plan: &Plan, context: Context<'_>) -> RunRecord {
    let clock = Instant::now();
    let mut record = new_record(plan, context.diagnoser, new_id());
    if let Err(error) = run_in(plan, context, &mut record).await {
        fail_as_error(&mut record, &error);
    }
    record.wall.took_ms = milliseconds(clock);
    let id = record.wall.run.clone();
    if let Err(error) = context.store.end_run(&id, record.verdict.word(), &record) {
        fail_as_error(&mut record, &error.into());
    }
    context.events.send(Event::Ended(Box::new(record.clone())));
    record
}

fn fail_as_error(record: &mut RunRecord, error: &RunError) {
    (record.verdict, record.class) = (Verdict::Error, Class::of_error(error));
    record.reasons.push(error.to_string());
}

/// The record of a scenario that is not run any more.
#[must_use]
pub fn skipped(plan: &Plan, diagnoser: &dyn Diagnoser, reason: &str) -> RunRecord {
    let mut record = new_record(plan, diagnoser, String::new());
    record.verdict = Verdict::Skipped;
    record.clean = true;
    record.reasons.push(reason.to_owned());
    record
}

async fn run_in(plan: &Plan, context: Context<'_>, record: &mut RunRecord) -> Result<(), RunError> {
    let id = record.wall.run.clone();
    // Until there is a cluster there is nothing to leave behind.
    record.clean = true;
    context.store.start_run(&id, &record.scenario, &plan.cluster.backend.to_string())?;
    context.events.send(Event::Started {
        scenario: record.scenario.clone(),
        title: record.title.clone(),
        cluster: describe(plan),
        diagnoser: record.diagnoser.label.clone(),
        headline: plan.loaded.subject.manual().headline,
    });
    let cluster = plan.loaded.subject.cluster(&plan.cluster, &id)?;
    record.clean = false;
    let mut pipeline = Pipeline::new(plan, context, cluster.as_ref(), record);
    let outcome = guarded(pipeline.phases()).await;
    pipeline.conclude(outcome);
    end_well(&mut pipeline, cluster.as_ref()).await;
    drop(cluster);
    if plan.extras.with_control {
        control::add(plan, context, record).await;
    }
    Ok(())
}

/// Turns a panic into an error, so that what comes after is done all the same.
async fn guarded(work: impl Future<Output = Result<(), RunError>>) -> Result<(), RunError> {
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    outcome.unwrap_or_else(|panic| Err(RunError::Panicked(panic_message(panic.as_ref()))))
}

/// Heals what is not healed and takes the cluster down. What goes wrong here is added to what went wrong before.
async fn end_well(pipeline: &mut Pipeline<'_>, cluster: &dyn Cluster) {
    let mut healed = guarded(pipeline.heal_all()).await;
    if healed.is_ok() {
        healed = guarded(pipeline.audit()).await;
    }
    pipeline.begin(Phase::Down);
    let down = guarded(async { Ok(cluster.down().await?) }).await;
    if down.is_ok() {
        pipeline.end("nothing left behind".to_owned());
    }
    pipeline.record.clean = healed.is_ok() && down.is_ok();
    for error in [healed, down].into_iter().filter_map(Result::err) {
        pipeline.add_error(&error);
    }
    // Whatever else went wrong, this is what somebody has to see to.
    if !pipeline.record.clean {
        pipeline.record.class = Class::NotCleaned;
    }
}

fn new_record(plan: &Plan, diagnoser: &dyn Diagnoser, run: String) -> RunRecord {
    let scenario = &plan.loaded.scenario;
    RunRecord {
        format: record::FORMAT,
        scenario: scenario.name.clone(),
        title: scenario.title.clone(),
        tags: scenario.tags.clone(),
        path: plan.loaded.path.display().to_string(),
        subject: plan.loaded.subject.name().to_owned(),
        cluster: plan.cluster.clone(),
        nodes: plan.loaded.nodes(),
        diagnoser: DiagnoserRecord::of(diagnoser),
        verdict: Verdict::Error,
        class: Class::Environment,
        reasons: Vec::new(),
        clean: false,
        leaks: Vec::new(),
        phases: Vec::new(),
        targets: Vec::new(),
        injections: Vec::new(),
        violations: Vec::new(),
        observations: None,
        question: None,
        evidence: None,
        diagnosis: None,
        diagnosis_markdown: None,
        grounding: None,
        grade: None,
        baseline: None,
        snapshot: None,
        control: None,
        wall: Wall {
            run,
            control: None,
            started: Timestamp::now(),
            took_ms: 0,
            phases_ms: std::collections::BTreeMap::new(),
        },
    }
}

/// A new run's id: when it started, and four random letters. It says nothing of the scenario, since it may show up in what
/// a cluster logs.
fn new_id() -> String {
    let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(4).collect();
    format!("{}-{}", Timestamp::now().strftime("%Y%m%d-%H%M%S"), random.to_lowercase())
}

fn describe(plan: &Plan) -> String {
    let subject = plan.loaded.subject;
    let nodes: Vec<String> = subject
        .manual()
        .roles
        .iter()
        .map(|role| format!("{} {}", plan.cluster.nodes.get(role.name).copied().unwrap_or(role.usual), role.name))
        .collect();
    format!("{} on {}: {}, seed {}", subject.name(), plan.cluster.backend, nodes.join(" + "), plan.cluster.seed)
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a message").to_owned()
}
