//! `operator-run snapshots`: what is accepted, what waits for a review, and what no scenario refers to any more.

use std::io::{IsTerminal, stdin, stdout};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use console::Term;

use super::exit::{Exit, Refusal, complain, print};
use super::run::load_all;
use crate::run::{KeptSnapshot, SnapshotError, kept_snapshots};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct SnapshotsArgs {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    scenarios: Scenarios,

    /// The folder of the snapshots.
    #[arg(long, value_name = "FOLDER", default_value = "snapshots", global = true)]
    snapshots: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows what waits for a review, one after the other, and asks what becomes of it, as `cargo insta review` does.
    Review(ReviewArgs),
    /// Removes the snapshots that no scenario refers to.
    Prune(PruneArgs),
}

#[derive(Debug, Args)]
struct Scenarios {
    /// The scenarios that refer to snapshots: files, folders with some, or patterns.
    #[arg(value_name = "SCENARIO", default_value = "scenarios")]
    scenarios: Vec<String>,
}

#[derive(Debug, Args)]
struct ReviewArgs {
    /// Accepts all of them, without a question.
    #[arg(long, conflicts_with = "reject_all")]
    accept_all: bool,

    /// Rejects all of them, without a question.
    #[arg(long)]
    reject_all: bool,
}

#[derive(Debug, Args)]
struct PruneArgs {
    #[command(flatten)]
    scenarios: Scenarios,

    /// Says what would be removed, and removes nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(arguments: &SnapshotsArgs) -> Exit {
    let outcome = match &arguments.command {
        None => arguments.kept(&arguments.scenarios).map(|kept| print(&list(&kept))),
        Some(Command::Review(review)) => arguments.review(review),
        Some(Command::Prune(prune)) => arguments.prune(prune),
    };
    outcome.unwrap_or_else(|Refusal(exit, message)| complain(exit, &message))
}

fn broken(error: &SnapshotError) -> Refusal {
    Refusal(Exit::Environment, error.to_string())
}

impl SnapshotsArgs {
    /// What is in the folder, next to the scenarios.
    fn kept(&self, scenarios: &Scenarios) -> Result<Vec<KeptSnapshot>, Refusal> {
        let loaded = load_all(&scenarios.scenarios)?;
        let names: Vec<&str> = loaded.iter().map(|one| one.scenario.name.as_str()).collect();
        kept_snapshots(&self.snapshots, &names).map_err(|error| broken(&error))
    }

    fn review(&self, arguments: &ReviewArgs) -> Result<Exit, Refusal> {
        let mut pending = kept_snapshots(&self.snapshots, &[]).map_err(|error| broken(&error))?;
        pending.retain(|snapshot| snapshot.pending.is_some());
        let asks = !arguments.accept_all && !arguments.reject_all;
        if asks && !pending.is_empty() && !(stdin().is_terminal() && stdout().is_terminal()) {
            let message = "a review asks at a terminal, and there is none: use --accept-all or --reject-all";
            return Err(Refusal(Exit::Usage, message.to_owned()));
        }
        let count = pending.len();
        let mut exit = Exit::Pass;
        for (index, snapshot) in pending.iter().enumerate() {
            let KeptSnapshot { name, title, source, .. } = snapshot;
            exit =
                exit.max(print(&format!("{} of {count}  {name}: {title} ({source})\n{}", index + 1, snapshot.diff())));
            let choice = match arguments {
                ReviewArgs { accept_all: true, .. } => Choice::Accept,
                ReviewArgs { reject_all: true, .. } => Choice::Reject,
                _ => ask()?,
            };
            let (done, word) = match choice {
                Choice::Accept => (snapshot.accept(), "accepted"),
                Choice::Reject => (snapshot.reject(), "rejected"),
                Choice::Skip => (Ok(()), "skipped"),
            };
            done.map_err(|error| broken(&error))?;
            exit = exit.max(print(&format!("{word}\n\n")));
        }
        Ok(if count == 0 { print("No snapshot waits for a review.\n") } else { exit })
    }

    fn prune(&self, arguments: &PruneArgs) -> Result<Exit, Refusal> {
        let mut unreferenced = self.kept(&arguments.scenarios)?;
        unreferenced.retain(|snapshot| snapshot.unreferenced.is_some());
        let word = if arguments.dry_run { "would be removed" } else { "removed" };
        let mut exit = Exit::Pass;
        for snapshot in &unreferenced {
            if !arguments.dry_run {
                snapshot.remove().map_err(|error| broken(&error))?;
            }
            exit = exit.max(print(&format!("{word}  {}\n", unreferenced_line(snapshot))));
        }
        Ok(if unreferenced.is_empty() { print("Every snapshot is referred to.\n") } else { exit })
    }
}

enum Choice {
    Accept,
    Reject,
    Skip,
}

/// Asks until the answer is one.
fn ask() -> Result<Choice, Refusal> {
    let terminal = Term::stdout();
    let broken = |error: std::io::Error| Refusal(Exit::Environment, format!("cannot ask at the terminal: {error}"));
    loop {
        terminal.write_str("accept, reject or skip? [a/r/s] ").map_err(broken)?;
        let key = terminal.read_char().map_err(broken)?;
        terminal.write_line("").map_err(broken)?;
        match key {
            'a' => return Ok(Choice::Accept),
            'r' => return Ok(Choice::Reject),
            's' => return Ok(Choice::Skip),
            _ => {}
        }
    }
}

/// A line for each, and how many there are of each kind.
fn list(kept: &[KeptSnapshot]) -> String {
    let mut counts = [0; 3];
    let mut lines = Vec::new();
    for snapshot in kept {
        let states = [
            (snapshot.accepted.is_some(), "accepted"),
            (snapshot.pending.is_some(), "pending"),
            (snapshot.unreferenced.is_some(), "unreferenced"),
        ];
        let words = states.iter().zip(&mut counts).filter(|((is, _), _)| *is).map(|((_, word), count)| {
            *count += 1;
            *word
        });
        let words = words.collect::<Vec<_>>().join(", ");
        let line = if snapshot.unreferenced.is_some() { unreferenced_line(snapshot) } else { snapshot.name.clone() };
        lines.push((words, line));
    }
    let width = lines.iter().map(|(words, _)| words.len()).max().unwrap_or(0);
    let mut text: Vec<String> = lines.iter().map(|(words, line)| format!("{words:<width$}  {line}")).collect();
    let [accepted, pending, unreferenced] = counts;
    text.push(format!("{accepted} accepted, {pending} pending, {unreferenced} unreferenced\n"));
    text.join("\n")
}

/// The name of a snapshot that nothing refers to, and why.
pub(super) fn unreferenced_line(snapshot: &KeptSnapshot) -> String {
    format!("{}: {}", snapshot.name, snapshot.unreferenced.as_deref().unwrap_or_default())
}
