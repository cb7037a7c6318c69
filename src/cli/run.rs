//! `operator-run SCENARIO…`: from the arguments to a plan for each scenario, the runs in turn, and the reports.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::MultiProgress;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::clean;
use super::diagnoser::{DiagnoserArgs, Diagnosers};
use super::exit::{Exit, Refusal, complain, print};
use super::snapshots::unreferenced_line;
use crate::cluster::Backend;
use crate::diagnosis::Diagnoser;
use crate::report::junit;
use crate::report::terminal::{Stream, Terminal};
use crate::run::{self, Context, Event, Events, Extras, Plan, RunRecord, SnapshotPolicy, Update};
use crate::scenario::{self, LoadPart, Loaded, ScenarioError};
use crate::store::Store;
use crate::subject::{ClusterSpec, Subject};

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct RunArgs {
    /// Scenario files, folders with some, or patterns.
    #[arg(value_name = "SCENARIO", required = true)]
    scenarios: Vec<String>,

    /// Where the cluster runs; a subject that has only one backend needs no word.
    #[arg(long, value_enum)]
    backend: Option<Backend>,

    #[command(flatten)]
    diagnoser: DiagnoserArgs,

    /// Grades the baseline `rules` on the same evidence as well.
    #[arg(long)]
    with_baseline: bool,

    /// Watches the same cluster without the faults as well, for as long: it must stay quiet, and be diagnosed so.
    #[arg(long)]
    with_control: bool,

    /// Keeps what was observed in the run record, for `operator-run diagnose`.
    #[arg(long)]
    record_observations: bool,

    /// The seed of everything that is drawn by lot, instead of the scenario's.
    #[arg(long)]
    seed: Option<u64>,

    /// Accepts the diagnoses as snapshots.
    #[arg(long)]
    accept: bool,

    /// The folder of the snapshots.
    #[arg(long, value_name = "FOLDER", default_value = "snapshots")]
    snapshots: PathBuf,

    /// Prints the run records alone on standard output, one JSON document a line.
    #[arg(long)]
    json: bool,

    /// Writes a JUnit report.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// What the arguments mean.
struct Prepared {
    runs: Vec<(Plan, Box<dyn Diagnoser>)>,
    store: Store,
    /// Made before anything runs, so that a path that can't be written to costs no run.
    junit: Option<File>,
}

pub(super) async fn run(
    arguments: &RunArgs,
    database: &Path,
    screen: &MultiProgress,
    cancel: &CancellationToken,
) -> Exit {
    let prepared = match prepare(arguments, database) {
        Ok(prepared) => prepared,
        Err(Refusal(exit, message)) => return complain(exit, &message),
    };
    let on_engine = prepared.runs.iter().any(|(plan, _)| plan.cluster.backend == Backend::Compose);
    clean::before_runs(&prepared.store, on_engine).await;
    let stream = if arguments.json { Stream::Stderr } else { Stream::Stdout };
    let (sender, receiver) = mpsc::unbounded_channel();
    let terminal = tokio::spawn(draw(Terminal::new(stream, screen), receiver));
    let mut records = Vec::new();
    let mut exit = Exit::Pass;
    let events = Events::new(sender);
    for (plan, diagnoser) in &prepared.runs {
        let record = if cancel.is_cancelled() {
            run::skipped(plan, diagnoser.as_ref(), "not run: interrupted")
        } else {
            let context = Context { diagnoser: diagnoser.as_ref(), store: &prepared.store, events: &events, cancel };
            run::run(plan, context).await
        };
        if arguments.json {
            exit = exit.max(print_record(&record));
        }
        records.push(record);
    }
    drop(events);
    if let Ok(terminal) = terminal.await {
        terminal.close();
        if records.len() > 1 {
            terminal.summary(&records);
        }
        exit = exit.max(tell_unreferenced(&terminal, arguments, &prepared.runs));
    }
    exit = exit.max(Exit::after(&records));
    if let Some(file) = &prepared.junit {
        exit = exit.max(write_junit(file, &records));
    }
    let clean = records.iter().all(|record| record.clean);
    if cancel.is_cancelled() && clean { Exit::Interrupted } else { exit }
}

/// After the run of a whole folder it is known which snapshots no scenario refers to.
fn tell_unreferenced(terminal: &Terminal, arguments: &RunArgs, runs: &[(Plan, Box<dyn Diagnoser>)]) -> Exit {
    if !arguments.scenarios.iter().any(|argument| Path::new(argument).is_dir()) {
        return Exit::Pass;
    }
    let names: Vec<&str> = runs.iter().map(|(plan, _)| plan.loaded.scenario.name.as_str()).collect();
    match run::kept_snapshots(&arguments.snapshots, &names) {
        Ok(kept) => {
            let unreferenced = kept.iter().filter(|snapshot| snapshot.unreferenced.is_some()).map(unreferenced_line);
            terminal.say(&unreferenced.map(|line| format!("unreferenced snapshot {line}")).collect::<Vec<_>>());
            Exit::Pass
        }
        Err(error) => complain(Exit::Environment, &error.to_string()),
    }
}

pub(super) async fn draw(mut terminal: Terminal, mut events: mpsc::UnboundedReceiver<Event>) -> Terminal {
    while let Some(event) = events.recv().await {
        terminal.show(&event);
    }
    terminal
}

pub(super) fn print_record(record: &RunRecord) -> Exit {
    match serde_json::to_string(record) {
        Ok(json) => print(&(json + "\n")),
        Err(error) => complain(Exit::Environment, &format!("cannot write the run record: {error}")),
    }
}

fn write_junit(mut file: &File, records: &[RunRecord]) -> Exit {
    let written = junit::write(records).map_err(|error| error.to_string());
    match written.and_then(|xml| file.write_all(xml.as_bytes()).map_err(|error| error.to_string())) {
        Ok(()) => Exit::Pass,
        Err(error) => complain(Exit::Environment, &format!("cannot write the JUnit report: {error}")),
    }
}

/// Reads and checks everything. Nothing is started if anything is wrong.
fn prepare(arguments: &RunArgs, database: &Path) -> Result<Prepared, Refusal> {
    let loaded = load_all(&arguments.scenarios)?;
    let variable = |name: &str| std::env::var(name).ok();
    let update =
        Update::resolve(arguments.accept, &variable).map_err(|error| Refusal(Exit::Usage, error.to_string()))?;
    let snapshots = SnapshotPolicy { folder: arguments.snapshots.clone(), update };
    let diagnosers = Diagnosers::new(&arguments.diagnoser, variable)?;
    let extras = Extras {
        keep_observations: arguments.record_observations,
        with_baseline: arguments.with_baseline,
        with_control: arguments.with_control,
    };
    let mut runs = Vec::new();
    let mut complaints = Vec::new();
    for loaded in loaded {
        let subject = loaded.subject;
        let backend = backend(arguments.backend, subject)?;
        complaints.extend(loaded.check_backend(backend).err().map(complaint));
        let cluster = ClusterSpec {
            backend,
            nodes: loaded.scenario.cluster.nodes.clone(),
            seed: arguments.seed.unwrap_or(loaded.scenario.cluster.seed),
            load: loaded.scenario.cluster.load.map(LoadPart::spec),
            disk: loaded.scenario.cluster.disk,
        };
        let diagnoser = diagnosers.of(loaded.subject, &loaded.scenario.name)?;
        runs.push((Plan { loaded, cluster, snapshots: snapshots.clone(), extras }, diagnoser));
    }
    if !complaints.is_empty() {
        return Err(Refusal(Exit::Usage, complaints.join("\n")));
    }
    let store = Store::open(database).map_err(|error| Refusal(Exit::Environment, error.to_string()))?;
    let junit = arguments.junit.as_ref().map(|path| {
        File::create(path)
            .map_err(|error| Refusal(Exit::Environment, format!("cannot write {}: {error}", path.display())))
    });
    Ok(Prepared { runs, store, junit: junit.transpose()? })
}

/// Loads every scenario and reports the mistakes of all of them.
pub(super) fn load_all(arguments: &[String]) -> Result<Vec<Loaded>, Refusal> {
    let files = scenario::find(arguments).map_err(|error| Refusal(Exit::Usage, error.to_string()))?;
    let mut loaded: Vec<Loaded> = Vec::new();
    let mut complaints = Vec::new();
    for file in files {
        match scenario::load(&file) {
            Ok(one) => match loaded.iter().find(|other| other.scenario.name == one.scenario.name) {
                Some(other) => complaints.push(format!(
                    "{} and {} have the same name `{}`, which names their snapshots: change one",
                    other.path.display(),
                    one.path.display(),
                    one.scenario.name
                )),
                None => loaded.push(one),
            },
            Err(error) => complaints.push(complaint(error)),
        }
    }
    if complaints.is_empty() { Ok(loaded) } else { Err(Refusal(Exit::Usage, complaints.join("\n"))) }
}

/// What is wrong with a scenario, each mistake with its line.
pub(super) fn complaint(error: ScenarioError) -> String {
    let headline = error.to_string();
    let reports: Vec<String> = error.reports().iter().map(|report| format!("{report:?}")).collect();
    format!("{headline}\n{}", reports.join("\n"))
}

fn backend(asked: Option<Backend>, subject: &dyn Subject) -> Result<Backend, Refusal> {
    let has = subject.manual().backends;
    match asked {
        Some(asked) if has.contains(&asked) => Ok(asked),
        Some(asked) => {
            let has: Vec<String> = has.iter().map(ToString::to_string).collect();
            let message = format!("{} does not run on {asked}; it runs on {}", subject.name(), has.join(" and "));
            Err(Refusal(Exit::Usage, message))
        }
        None => {
            has.first().copied().ok_or_else(|| Refusal(Exit::Environment, format!("{} has no backend", subject.name())))
        }
    }
}
