//! `operator-run diagnose RUN`: another diagnosis of what a run has observed, without a cluster.

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::MultiProgress;
use tokio::sync::mpsc;

use super::diagnoser::{DiagnoserArgs, Diagnosers};
use super::exit::{Exit, Refusal, complain};
use super::run::{complaint, draw, print_record};
use crate::report::terminal::{Stream, Terminal};
use crate::run::{self, Events, Extras, Plan, RunRecord, SnapshotPolicy, Update};
use crate::scenario;
use crate::store::{Store, StoreError};

#[derive(Debug, Args)]
pub(super) struct DiagnoseArgs {
    /// The id of the run, as its last line says; it was made with --record-observations.
    run: String,

    /// The scenario's file, if it is not where it was.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,

    #[command(flatten)]
    diagnoser: DiagnoserArgs,

    /// Grades the baseline `rules` on the same evidence as well.
    #[arg(long)]
    with_baseline: bool,

    /// Prints the run record with the new diagnosis alone on standard output.
    #[arg(long)]
    json: bool,
}

pub(super) async fn diagnose(arguments: &DiagnoseArgs, database: &Path, screen: &MultiProgress) -> Exit {
    match again(arguments, database, screen).await {
        Ok(record) if arguments.json => print_record(&record).max(Exit::after(&[record])),
        Ok(record) => Exit::after(&[record]),
        Err(Refusal(exit, message)) => complain(exit, &message),
    }
}

async fn again(arguments: &DiagnoseArgs, database: &Path, screen: &MultiProgress) -> Result<RunRecord, Refusal> {
    let kept = |error: StoreError| match error {
        error @ StoreError::NoSuchRun(_) => Refusal(Exit::Usage, error.to_string()),
        error => Refusal(Exit::Environment, error.to_string()),
    };
    let record: RunRecord = Store::open(database).and_then(|store| store.record(&arguments.run)).map_err(kept)?;
    let path = arguments.scenario.clone().unwrap_or_else(|| PathBuf::from(&record.path));
    let loaded = scenario::load(&path).map_err(|error| Refusal(Exit::Usage, complaint(error)))?;
    if loaded.scenario.name != record.scenario {
        let message = format!("{} is not the scenario of the run, {}", path.display(), record.scenario);
        return Err(Refusal(Exit::Usage, message));
    }
    let diagnosers = Diagnosers::new(&arguments.diagnoser, |name| std::env::var(name).ok())?;
    let diagnoser = diagnosers.of(loaded.subject, &loaded.scenario.name)?;
    let judge = diagnosers.judge_of(&loaded.scenario.name)?;
    let plan = Plan {
        loaded,
        cluster: record.cluster.clone(),
        snapshots: SnapshotPolicy { folder: PathBuf::new(), update: Update::No },
        extras: Extras { with_baseline: arguments.with_baseline, ..Extras::default() },
    };
    let stream = if arguments.json { Stream::Stderr } else { Stream::Stdout };
    let (sender, receiver) = mpsc::unbounded_channel();
    let terminal = tokio::spawn(draw(Terminal::new(stream, screen), receiver));
    let events = Events::new(sender);
    let outcome = run::diagnose_again(&plan, &record, (diagnoser.as_ref(), judge.as_deref()), &events).await;
    drop(events);
    if let Ok(terminal) = terminal.await {
        terminal.close();
    }
    outcome.map_err(|error| Refusal(Exit::Environment, error.to_string()))
}
