//! Heals and removes what runs have left behind whose process is gone: by the journal, by the labels on the engine and by
//! the folders among the temporary files. Any of the three is enough to find a run, so that one of another database is
//! found as well. What belongs to a run that goes on, or may go on, is left alone.

use std::collections::BTreeMap;
use std::fs;

use bollard::Docker;
use jiff::Timestamp;

use super::error::RunError;
use crate::cluster::compose::sweep::{self, Leftovers};
use crate::cluster::compose::{self, RunFolder};
use crate::cluster::{Backend, ClusterError, Undo};
use crate::runner::{Life, Runner};
use crate::store::{Store, Unfinished};

/// What to clean up, and how.
#[derive(Debug, Clone, Default)]
pub struct CleanOptions {
    /// The only run to clean up; then it is enough that it is not known to go on.
    pub only: Option<String>,
    /// Says what would be done, and does nothing.
    pub dry_run: bool,
    /// Asks the engine only if the journal has a run on it whose process is gone.
    pub engine_if_needed: bool,
}

/// What became of the remains of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Cleaned {
    /// The run's id.
    pub run: String,
    /// The scenario's name, if the database knows the run.
    pub scenario: Option<String>,
    /// What became of them.
    pub outcome: Outcome,
}

/// What became of the remains of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// They are gone, or would be.
    Removed(Removed),
    /// The run goes on: its process has this number.
    GoesOn(u32),
    /// It can't be told whether it goes on, with the reason. They are left alone.
    Unknown(String),
    /// Something could not be removed, with the reason.
    Failed(String),
}

/// What was done about the remains of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Removed {
    /// What was undone, the latest fault first.
    pub healed: Vec<Undo>,
    /// What was on the engine.
    pub engine: Leftovers,
    /// Whether there was a folder among the temporary files.
    pub folder: bool,
}

/// What is known of a run.
#[derive(Debug, Default)]
struct Remains {
    journal: Option<Unfinished>,
    engine: Leftovers,
    folder: Option<RunFolder>,
}

impl Remains {
    /// The process that runs it, by the first that tells.
    fn runner(&self) -> Option<&Runner> {
        let of_journal = self.journal.as_ref().and_then(|run| run.runner.as_ref());
        let of_folder = self.folder.as_ref().and_then(|folder| folder.runner.as_ref());
        of_journal.or(self.engine.runner.as_ref()).or(of_folder)
    }

    fn life(&self) -> Life {
        self.runner().map_or_else(|| Life::Unknown("nothing says which process runs it".to_owned()), Runner::life)
    }

    fn is_on_compose(&self) -> bool {
        self.journal.as_ref().is_some_and(|run| run.backend == Backend::Compose.to_string())
    }
}

/// Cleans up. It is safe to call it twice, at the same time as another one, and beside runs that go on.
pub async fn clean(store: Option<&Store>, options: &CleanOptions) -> Result<Vec<Cleaned>, RunError> {
    let mut found = by_journal_and_folder(store)?;
    let needed = || found.values().any(|remains| remains.is_on_compose() && remains.life() == Life::Gone);
    let docker = if options.engine_if_needed && !needed() { None } else { Some(compose::connect()?) };
    if let Some(docker) = &docker {
        for (run, engine) in sweep::all_leftovers(docker).await? {
            found.entry(run).or_default().engine = engine;
        }
    }
    // What neither a database, the engine nor the folder itself says of a run may be anybody's.
    found.retain(|run, remains| {
        let asked = options.only.as_ref().is_none_or(|only| only == run);
        asked && (remains.journal.is_some() || !remains.engine.is_empty() || remains.runner().is_some())
    });
    let mut cleaned = Vec::new();
    for (run, remains) in found {
        let scenario = remains.journal.as_ref().map(|run| run.scenario.clone());
        let outcome = match remains.life() {
            Life::Alive => Outcome::GoesOn(remains.runner().map_or(0, |runner| runner.process)),
            Life::Unknown(reason) if options.only.is_none() => Outcome::Unknown(reason),
            Life::Unknown(_) | Life::Gone => {
                let removed = remove(store, docker.as_ref(), &run, remains, options.dry_run).await;
                removed.map_or_else(|error| Outcome::Failed(error.to_string()), Outcome::Removed)
            }
        };
        cleaned.push(Cleaned { run, scenario, outcome });
    }
    Ok(cleaned)
}

fn by_journal_and_folder(store: Option<&Store>) -> Result<BTreeMap<String, Remains>, RunError> {
    let mut found: BTreeMap<String, Remains> = BTreeMap::new();
    for unfinished in store.map(Store::unfinished).transpose()?.unwrap_or_default() {
        let run = unfinished.run.clone();
        found.entry(run).or_default().journal = Some(unfinished);
    }
    let folders = compose::run_folders().map_err(|error| {
        ClusterError::environment("looking through the temporary files", error, "TMPDIR names another place")
    })?;
    for (run, folder) in folders {
        found.entry(run).or_default().folder = Some(folder);
    }
    Ok(found)
}

/// Heals and removes what is left of one run, and closes it in the database.
async fn remove(
    store: Option<&Store>,
    docker: Option<&Docker>,
    run: &str,
    remains: Remains,
    dry_run: bool,
) -> Result<Removed, RunError> {
    let unhealed = store.map(|store| store.unhealed(run)).transpose()?.unwrap_or_default();
    let removed = Removed {
        healed: unhealed.into_iter().map(|(_, undo)| undo).collect(),
        engine: remains.engine.clone(),
        folder: remains.folder.is_some(),
    };
    if dry_run {
        return Ok(removed);
    }
    if let Some(docker) = docker {
        for undo in removed.healed.iter().filter(|_| !removed.engine.is_empty()) {
            // A container that is removed takes what was done to it along: removing is what counts.
            if let Err(error) = compose::heal(docker, run, undo).await {
                tracing::info!("run {run}: {error}");
            }
        }
        sweep::sweep_twice(docker, run).await?;
    }
    if let Some(folder) = remains.folder {
        match fs::remove_dir_all(&folder.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let step = format!("removing {}", folder.path.display());
                return Err(ClusterError::environment(step, error, "remove it by hand").into());
            }
            _ => {}
        }
    }
    if let Some(store) = store {
        store.close_run(run, Timestamp::now())?;
    }
    Ok(removed)
}
