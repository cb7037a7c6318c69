//! `operator-run grade RUN…`: kept runs by a rubric that has changed, and which verdicts change with it.

use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::{Exit, Refusal, complain, print};
use super::run::{complaint, print_record};
use crate::run::{RunRecord, grade_again};
use crate::scenario;
use crate::store::{Store, StoreError};

#[derive(Debug, Args)]
pub(super) struct GradeArgs {
    /// The ids of the runs, as their last lines say.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<String>,

    /// The scenario's file with the rubric to grade by; without it the file that was run, as it is now.
    #[arg(long, value_name = "FILE")]
    rubric: Option<PathBuf>,

    /// Prints the run records with their new grades alone on standard output, one JSON document a line.
    #[arg(long)]
    json: bool,
}

/// The database keeps the verdicts that were given at the time.
pub(super) fn run(arguments: &GradeArgs, database: &Path) -> Exit {
    let mut exit = Exit::Pass;
    let (mut again, mut changed) = (Vec::new(), 0);
    for run in &arguments.runs {
        match graded(run, arguments.rubric.as_deref(), database) {
            Ok((before, now)) => {
                changed += usize::from(before.class != now.class);
                let shown = if arguments.json { print_record(&now) } else { print(&lines(&before, &now)) };
                exit = exit.max(shown);
                again.push(now);
            }
            Err(Refusal(code, message)) => exit = exit.max(complain(code, &message)),
        }
    }
    if again.is_empty() {
        return exit;
    }
    if !arguments.json {
        exit = exit.max(print(&format!("{changed} of {} verdicts changed\n", again.len())));
    }
    exit.max(Exit::after(&again))
}

fn graded(run: &str, rubric: Option<&Path>, database: &Path) -> Result<(RunRecord, RunRecord), Refusal> {
    let kept = |error: StoreError| match error {
        error @ StoreError::NoSuchRun(_) => Refusal(Exit::Usage, error.to_string()),
        error => Refusal(Exit::Environment, error.to_string()),
    };
    let record: RunRecord = Store::open(database).and_then(|store| store.record(run)).map_err(kept)?;
    let path = rubric.unwrap_or(Path::new(&record.path));
    let loaded = scenario::load(path).map_err(|error| Refusal(Exit::Usage, complaint(error)))?;
    if loaded.scenario.name != record.scenario {
        let message = format!("{} is not the scenario of run {run}, {}", path.display(), record.scenario);
        return Err(Refusal(Exit::Usage, message));
    }
    let again = grade_again(&loaded, &record).map_err(|error| Refusal(Exit::Environment, error.to_string()))?;
    Ok((record, again))
}

/// What became of a verdict, and why it is none to be glad of.
fn lines(before: &RunRecord, now: &RunRecord) -> String {
    let change = if before.class == now.class {
        format!("{} as before", now.class)
    } else {
        format!("{} → {}", before.class, now.class)
    };
    let reasons = now.reasons.iter().flat_map(|reason| ["     ", reason, "\n"]).collect::<String>();
    format!("{}  {}  {change}\n{reasons}", now.wall.run, now.scenario)
}
