//! The folder of the snapshots: what is accepted, what waits for a review, and what no scenario refers to any more.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use insta::internals::Content;

use super::snapshot::{Header, SnapshotError, diff, load, remove, write};
use crate::scenario;

/// Who writes diagnoses: what a snapshot is named by, behind the scenario.
const DIAGNOSERS: [&str; 3] = ["claude", "replay", "rules"];

/// The snapshot of a scenario and a diagnoser: one file that is accepted, one that waits for a review, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSnapshot {
    /// Its name: that of the scenario, a dot, that of the diagnoser.
    pub name: String,
    /// The file of what is accepted.
    pub path: PathBuf,
    /// The scenario's file, when it was written.
    pub source: String,
    /// The scenario's title.
    pub title: String,
    /// Who wrote the diagnosis.
    diagnoser: String,
    /// What is accepted, if anything is.
    pub accepted: Option<String>,
    /// What waits for a review, if anything does.
    pub pending: Option<String>,
    /// Why nothing refers to it, if nothing does.
    pub unreferenced: Option<String>,
}

impl KeptSnapshot {
    /// What a review is about: the difference from what is accepted.
    #[must_use]
    pub fn diff(&self) -> String {
        diff(self.accepted.as_deref().unwrap_or_default(), self.pending.as_deref().unwrap_or_default(), "pending")
    }

    /// Accepts what waits for a review.
    pub fn accept(&self) -> Result<(), SnapshotError> {
        let Some(pending) = &self.pending else { return Ok(()) };
        let header = Header { source: &self.source, description: &self.title, diagnoser: &self.diagnoser };
        write(&self.path, &header, pending, None)?;
        self.reject()
    }

    /// Removes what waits for a review.
    pub fn reject(&self) -> Result<(), SnapshotError> {
        remove(&self.path.with_extension("snap.new"))
    }

    /// Removes both.
    pub fn remove(&self) -> Result<(), SnapshotError> {
        self.reject()?;
        remove(&self.path)
    }
}

/// Reads a folder, in the order of the names. One that is not there has no snapshots; what this program did not write is
/// left out. A snapshot is referred to by one of the scenarios, or by the file that it names if that is still there.
pub fn kept_snapshots(folder: &Path, scenarios: &[&str]) -> Result<Vec<KeptSnapshot>, SnapshotError> {
    let unreadable =
        |error: io::Error| SnapshotError::Unreadable { path: folder.to_owned(), reason: error.to_string() };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let file = entry.map_err(unreadable)?.file_name();
        let name = file.to_str().and_then(|file| file.strip_suffix(".snap.new").or_else(|| file.strip_suffix(".snap")));
        names.extend(name.map(str::to_owned));
    }
    let read = |name| read(folder, name, scenarios).transpose();
    names.into_iter().filter_map(read).collect()
}

/// Reads one snapshot; none if it is not of a diagnosis.
fn read(folder: &Path, name: String, scenarios: &[&str]) -> Result<Option<KeptSnapshot>, SnapshotError> {
    let path = folder.join(format!("{name}.snap"));
    let files = [path.with_extension("snap.new"), path.clone()];
    let mut found = Vec::new();
    for file in &files {
        found.push(file.exists().then(|| load(file)).transpose()?);
    }
    let Some(about) = found.iter().flatten().map(|(about, _)| about.clone()).next() else { return Ok(None) };
    let Some(diagnoser) = about.private_info().and_then(diagnoser) else { return Ok(None) };
    let mut texts = found.into_iter().map(|one| one.map(|(_, text)| text));
    let (pending, accepted) = (texts.next().flatten(), texts.next().flatten());
    let source = about.source().unwrap_or_default().to_owned();
    let unreferenced = why_unreferenced(&name, &source, scenarios);
    let title = about.description().unwrap_or_default().to_owned();
    Ok(Some(KeptSnapshot { name, path, source, title, diagnoser, accepted, pending, unreferenced }))
}

/// The diagnoser that a snapshot names, as only those of this program do.
fn diagnoser(info: &Content) -> Option<String> {
    let Content::Map(entries) = info.resolve_inner() else { return None };
    let named = entries.iter().find(|(key, _)| key.as_str() == Some("diagnoser"));
    named.and_then(|(_, name)| name.as_str()).map(str::to_owned)
}

fn why_unreferenced(name: &str, source: &str, scenarios: &[&str]) -> Option<String> {
    let (scenario, diagnoser) = name.rsplit_once('.').unwrap_or((name, ""));
    if !DIAGNOSERS.contains(&diagnoser) {
        return Some(format!("there is no diagnoser `{diagnoser}`"));
    }
    let there = || scenario::load(Path::new(source)).is_ok_and(|loaded| loaded.scenario.name == scenario);
    let referred_to = scenarios.contains(&scenario) || there();
    (!referred_to).then(|| format!("there is no scenario `{scenario}`"))
}
