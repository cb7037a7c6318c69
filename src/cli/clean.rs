//! `operator-run clean`: heals and removes what runs have left behind whose process is gone.

use std::fmt::Write as _;
use std::path::Path;

use clap::Args;

use super::exit::{Exit, complain, print};
use crate::run::{self, CleanOptions, Cleaned, Outcome, Removed};
use crate::store::Store;

#[derive(Debug, Args)]
pub(super) struct CleanArgs {
    /// Only this run, also if it can't be told whether its process is gone; never one that is known to go on.
    #[arg(long, value_name = "ID")]
    run: Option<String>,

    /// Says what would be done, and does nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(arguments: &CleanArgs, database: &Path) -> Exit {
    let options = CleanOptions { only: arguments.run.clone(), dry_run: arguments.dry_run, engine_if_needed: false };
    // Without a database there are the labels.
    let store = match database.exists().then(|| Store::open(database)).transpose() {
        Ok(store) => store,
        Err(error) => return complain(Exit::Environment, &error.to_string()),
    };
    match run::clean(store.as_ref(), &options).await {
        Ok(cleaned) => print(&report(&cleaned, arguments.dry_run)).max(exit(&cleaned, arguments.run.is_some())),
        Err(error) => complain(Exit::Environment, &error.to_string()),
    }
}

/// Before a run: quiet, unless something was done. What goes wrong does not keep the run from its own work.
pub(super) async fn before_runs(store: &Store, on_engine: bool) {
    let options = CleanOptions { engine_if_needed: !on_engine, ..CleanOptions::default() };
    match run::clean(Some(store), &options).await {
        Ok(mut cleaned) => {
            cleaned.retain(|one| matches!(one.outcome, Outcome::Removed(_) | Outcome::Failed(_)));
            if !cleaned.is_empty() {
                complain(Exit::Pass, &format!("cleaned up first:\n{}", report(&cleaned, false).trim_end()));
            }
        }
        Err(error) => tracing::warn!("what earlier runs have left was not looked for: {error}"),
    }
}

fn exit(cleaned: &[Cleaned], asked_for_one: bool) -> Exit {
    let exit = |one: &Cleaned| match one.outcome {
        Outcome::Failed(_) => Exit::Environment,
        Outcome::GoesOn(_) if asked_for_one => Exit::Usage,
        _ => Exit::Pass,
    };
    cleaned.iter().map(exit).max().unwrap_or(Exit::Pass)
}

/// What was done, a paragraph for each run.
fn report(cleaned: &[Cleaned], dry_run: bool) -> String {
    let mut text = String::new();
    for Cleaned { run, scenario, outcome } in cleaned {
        let scenario = scenario.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        let _ = match outcome {
            Outcome::Removed(removed) => write!(text, "run {run}{scenario}: {}", done(removed, dry_run)),
            Outcome::GoesOn(process) => writeln!(text, "run {run}{scenario} goes on in process {process}: left alone"),
            Outcome::Unknown(reason) => writeln!(
                text,
                "run {run}{scenario} may go on, {reason}: left alone; `operator-run clean --run {run}` removes it"
            ),
            Outcome::Failed(reason) => writeln!(text, "run {run}{scenario}: not cleaned up: {reason}"),
        };
    }
    if !cleaned.iter().any(|one| matches!(one.outcome, Outcome::Removed(_) | Outcome::Failed(_))) {
        text.push_str("Nothing to clean up.\n");
    }
    text
}

fn done(removed: &Removed, dry_run: bool) -> String {
    let count = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        many => Some(format!("{many} {what}s")),
    };
    let parts = [
        count(removed.healed.len(), "fault"),
        count(removed.engine.containers.len(), "container"),
        count(removed.engine.networks.len(), "network"),
        count(removed.engine.volumes.len(), "volume"),
        count(usize::from(removed.folder), "temporary folder"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let mut text = match (parts.is_empty(), dry_run) {
        (true, _) => "its process is gone, and it has left nothing\n".to_owned(),
        (false, true) => format!("would heal and remove {}\n", parts.join(", ")),
        (false, false) => format!("healed and removed {}\n", parts.join(", ")),
    };
    for undo in &removed.healed {
        let _ = writeln!(text, "  {undo}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Undo;
    use crate::cluster::compose::sweep::Leftovers;

    fn cleaned(run: &str, outcome: Outcome) -> Cleaned {
        Cleaned { run: run.to_owned(), scenario: Some("etcd-member-down".to_owned()), outcome }
    }

    #[test]
    fn each_run_has_its_line_and_nothing_is_said_to_be_nothing() {
        let engine =
            Leftovers { containers: vec![String::new(); 4], networks: vec![String::new()], ..Leftovers::default() };
        let removed = Removed { healed: vec![Undo::Start { node: "etcd1".into() }], engine, folder: true };
        let all = [
            cleaned("r1", Outcome::Removed(removed.clone())),
            cleaned(
                "r2",
                Outcome::Removed(Removed { healed: Vec::new(), engine: Leftovers::default(), folder: false }),
            ),
            cleaned("r3", Outcome::GoesOn(17)),
            cleaned("r4", Outcome::Unknown("its process ran on a, and this is b".to_owned())),
            cleaned("r5", Outcome::Failed("removing a volume: it is in use".to_owned())),
        ];
        insta::assert_snapshot!(report(&all, false), @r"
        run r1 (etcd-member-down): healed and removed 1 fault, 4 containers, 1 network, 1 temporary folder
          etcd1 was started again
        run r2 (etcd-member-down): its process is gone, and it has left nothing
        run r3 (etcd-member-down) goes on in process 17: left alone
        run r4 (etcd-member-down) may go on, its process ran on a, and this is b: left alone; `operator-run clean --run r4` removes it
        run r5 (etcd-member-down): not cleaned up: removing a volume: it is in use
        ");
        insta::assert_snapshot!(report(&[cleaned("r1", Outcome::Removed(removed))], true), @r"
        run r1 (etcd-member-down): would heal and remove 1 fault, 4 containers, 1 network, 1 temporary folder
          etcd1 was started again
        ");
        assert_eq!(report(&[], false), "Nothing to clean up.\n");
        assert_eq!(exit(&all, false), Exit::Environment);
        assert_eq!((exit(&all[2..3], false), exit(&all[2..3], true)), (Exit::Pass, Exit::Usage));
    }
}
