//! Arguments become a plan here, and the plan's end an exit code: one file a subcommand.

mod clean;
mod cluster;
mod diagnose;
mod diagnoser;
mod doctor;
mod exit;
mod grade;
mod prove;
mod run;
mod schema;
mod screen;
mod signals;
mod snapshots;
mod tickets;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use indicatif::MultiProgress;

pub use exit::Exit;

const EXAMPLES: &str = "\
Examples:
  operator-run scenarios/store-down.yaml            one scenario, on the backend that its subject has
  operator-run scenarios/ --junit report.xml        all below a folder, in turn
  operator-run 'scenarios/store-*.yaml' --json      run records, one JSON document a line
  operator-run scenarios/store-down.yaml --accept   accept the diagnosis as the new snapshot
  operator-run tickets 3                            a ticket and its diagnosis, as Markdown
  operator-run doctor                               what this machine can do, and what it lacks
  operator-run clean --dry-run                      what runs that were killed have left behind; without it, removes it
  operator-run scenarios/ --record cassettes --max-cost 2 --with-baseline   Claude, its answers kept, 2 USD at most
  operator-run scenarios/ --diagnoser replay --cassettes cassettes          the same answers, without a key
  operator-run scenarios/store-down.yaml --counterfactual                   what every remedy would come to, on copies
  operator-run scenarios/etcd-member-down.yaml --apply-recommendation       whether the recommended one really helps
  operator-run scenarios/store-down.yaml --record-observations              then, with the id of the run:
  operator-run diagnose 20261123-182203-wke0 --model claude-sonnet-5-5      another model on the same evidence
  operator-run grade 20261123-182203-wke0           the same diagnosis by the rubric as it is now
  operator-run prove scenarios/store-down.yaml      whether its rubric can tell wrong answers from right ones
  operator-run snapshots review                     what waits for a review: accept, reject or skip it
  operator-run cluster up --port-base 12000         a modelled cluster for curl, a browser or Prometheus
  operator-run watch --subject tikv                 a cluster of your own: tickets and diagnoses until Ctrl-C

Exit codes:
    0  every scenario passed
    1  a scenario failed: not_detected, wrong_detection, false_alarm, harmful_remedy, ungrounded, misdiagnosed,
       snapshot_changed or not_recovered, as the verdict's line and the record say; or a rubric is not proved
    2  wrong usage, or a mistake in a scenario: nothing was started
    3  no verdict on the diagnosis: not_steady, fault_did_not_bite, leaked, not_cleaned or environment
  130  interrupted: what was done is healed, and the cluster is down, unless a second signal came

Environment:
  ANTHROPIC_API_KEY             lets Claude write the diagnosis; else ANTHROPIC_AUTH_TOKEN does
  ANTHROPIC_BASE_URL            another server that speaks the Messages API
  ANTHROPIC_CUSTOM_HEADERS      headers for a gateway, one `Name: value` a line
  ANTHROPIC_MODEL               the model, as --model
  INSTA_UPDATE, CI              what becomes of a new snapshot, as with insta
  OPERATOR_RUN_COMPOSE          the Compose command, such as 'docker compose'
  OPERATOR_RUN_DB               the database, as --db
  OPERATOR_RUN_ETCD_IMAGE, OPERATOR_RUN_PROMETHEUS_IMAGE   other images than the official ones
  OPERATOR_RUN_NETTOOLS_IMAGE   the image from which faults of network, disk and control group are done
  OPERATOR_RUN_LOG              what is logged to standard error, such as debug or operator_run=trace";

/// Finds out whether an AI operator can really diagnose a failing distributed system.
///
/// A scenario declares a fault, the invariant that it must violate, and a rubric. The cluster is brought up, the fault is
/// done, its violation waited for, a diagnosis asked for and graded; then the fault is healed and the cluster taken down.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_precedence_over_arg = true, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    run: run::RunArgs,

    #[command(subcommand)]
    command: Option<Command>,

    /// The database of runs, tickets and injections.
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        env = "OPERATOR_RUN_DB",
        default_value = ".operator-run/operator-run.db"
    )]
    db: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists tickets, or shows one with its diagnosis as Markdown.
    Tickets(tickets::TicketsArgs),
    /// Diagnoses again what a run has observed, without a cluster.
    Diagnose(diagnose::DiagnoseArgs),
    /// Grades kept runs by a rubric that has changed, without a cluster and without a model.
    Grade(grade::GradeArgs),
    /// Proves rubrics: each must pass the reference answer to its scenario, and fail wrong ones that are made from it.
    Prove(prove::ProveArgs),
    /// Lists the snapshots: accepted ones, those that wait for a review, and those that no scenario refers to.
    Snapshots(snapshots::SnapshotsArgs),
    /// Serves a modelled cluster on ports of this machine.
    Cluster(cluster::ClusterArgs),
    /// Watches a cluster that is there already, and diagnoses what it finds, until Ctrl-C.
    Watch(watch::WatchArgs),
    /// Heals and removes what runs have left behind whose process is gone.
    Clean(clean::CleanArgs),
    /// Says what this machine can do: engine, Compose, images, what faults of the network need, a key.
    Doctor(doctor::DoctorArgs),
    /// Prints the JSON Schema of scenario files, for editors.
    Schema,
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let screen = MultiProgress::new();
    screen::start_log(&screen);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::complain(Exit::Environment, &format!("cannot start: {error}")).into(),
    };
    let database = &arguments.db;
    let exit = runtime.block_on(async {
        match &arguments.command {
            None => {
                let cancel = signals::listen(&screen, "healing and taking the cluster down");
                run::run(&arguments.run, database, &screen, &cancel).await
            }
            Some(Command::Watch(watch)) => {
                let cancel = signals::listen(&screen, "the watch ends");
                watch::run(watch, database, &screen, &cancel).await
            }
            Some(Command::Diagnose(arguments)) => diagnose::diagnose(arguments, database, &screen).await,
            Some(Command::Grade(arguments)) => grade::run(arguments, database),
            Some(Command::Prove(arguments)) => prove::run(arguments),
            Some(Command::Snapshots(arguments)) => snapshots::run(arguments),
            Some(Command::Tickets(tickets)) => tickets::show(tickets, database),
            Some(Command::Cluster(arguments)) => cluster::run(arguments).await,
            Some(Command::Clean(clean)) => clean::run(clean, database).await,
            Some(Command::Doctor(doctor)) => doctor::run(doctor).await,
            Some(Command::Schema) => schema::print_schema(),
        }
    });
    exit.into()
}
