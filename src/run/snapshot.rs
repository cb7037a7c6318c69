//! Compares the stable part of a diagnosis with the snapshot that was accepted for it, in insta's file format, so that
//! `cargo insta review` shows and accepts what is new.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use insta::Snapshot;
use insta::internals::MetaData;
use serde::{Deserialize, Serialize};
use similar::TextDiff;

/// What is written when the stable part is not as accepted (insta: `INSTA_UPDATE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// Nothing.
    No,
    /// A `.snap.new` beside the accepted one.
    New,
    /// The accepted one itself.
    Accept,
    /// The accepted one where there is none yet, else a `.snap.new`.
    AcceptUnseen,
}

impl Update {
    /// What the environment and `--accept` ask for. As with insta, a CI writes nothing unless told.
    pub fn resolve(accept: bool, variable: &impl Fn(&str) -> Option<String>) -> Result<Self, SnapshotError> {
        if accept {
            return Ok(Self::Accept);
        }
        match variable("INSTA_UPDATE").as_deref() {
            None | Some("" | "auto") => {
                let set = |name| variable(name).is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
                let ci = set("CI") || set("TF_BUILD");
                Ok(if ci { Self::No } else { Self::New })
            }
            Some("new") => Ok(Self::New),
            Some("always" | "force") => Ok(Self::Accept),
            Some("unseen") => Ok(Self::AcceptUnseen),
            Some("no") => Ok(Self::No),
            Some(other) => Err(SnapshotError::Variable(other.to_owned())),
        }
    }
}

/// Where snapshots are, and what is written.
#[derive(Debug, Clone)]
pub struct SnapshotPolicy {
    /// The folder.
    pub folder: PathBuf,
    /// What is written.
    pub update: Update,
}

/// Why a snapshot could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A word that insta does not know.
    #[error("INSTA_UPDATE is `{0}`: it must be auto, new, always, unseen, force or no")]
    Variable(String),
    /// The snapshot is no snapshot.
    #[error("cannot read the snapshot {}: {reason}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It could not be written.
    #[error("cannot write {}: {source}", .path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// How the stable part compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotStatus {
    /// It is as accepted.
    Same,
    /// It was accepted just now.
    Accepted,
    /// Nothing was accepted yet.
    New,
    /// It is not as accepted.
    Different,
}

/// How the stable part compares with the accepted one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotOutcome {
    /// How.
    pub status: SnapshotStatus,
    /// The accepted snapshot's file.
    pub path: String,
    /// The difference, line by line; empty if there is none.
    pub diff: String,
    /// It was to be accepted and was not, since the rubric is not met.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

impl SnapshotOutcome {
    /// Whether the run may pass.
    #[must_use]
    pub fn good(&self) -> bool {
        matches!(self.status, SnapshotStatus::Same | SnapshotStatus::Accepted)
    }

    /// Why the run does not pass for it, with what to do; none if it may. A drift is told apart from a wrong diagnosis:
    /// where the rubric is not met that is why, and no more is said than that nothing was accepted.
    pub(super) fn reason(&self, rubric_met: bool) -> Option<String> {
        let path = &self.path;
        if !rubric_met {
            return self.refused.then(|| format!("snapshot {path} is not accepted: the rubric is not met"));
        }
        let what = match self.status {
            SnapshotStatus::Same | SnapshotStatus::Accepted => return None,
            SnapshotStatus::New => "is new",
            SnapshotStatus::Different => "differs",
        };
        Some(format!(
            "snapshot {path} {what}, and the rubric is met: a drift is no wrong diagnosis; review it by `operator-run \
             snapshots review` or `cargo insta review`, or accept it by --accept"
        ))
    }
}

/// What a snapshot says of itself to its reviewer.
#[derive(Debug, Clone)]
pub(super) struct Header<'a> {
    /// The scenario's file.
    pub source: &'a str,
    /// The scenario's title.
    pub description: &'a str,
    /// Who wrote the diagnosis.
    pub diagnoser: &'a str,
}

/// Compares, and writes what the policy asks for. Of a diagnosis that does not meet its rubric nothing is written: it
/// must not be accepted, now or in a review.
pub(super) fn compare(
    policy: &SnapshotPolicy,
    name: &str,
    header: &Header<'_>,
    contents: &str,
    rubric_met: bool,
) -> Result<SnapshotOutcome, SnapshotError> {
    let path = policy.folder.join(format!("{name}.snap"));
    let pending = path.with_extension("snap.new");
    note_reference(&path);
    let accepted = read(&path)?;
    let outcome = |status, diff| SnapshotOutcome { status, path: path.display().to_string(), diff, refused: false };
    if accepted.as_deref().is_some_and(|accepted| accepted.trim_end() == contents.trim_end()) {
        remove(&pending)?;
        return Ok(outcome(SnapshotStatus::Same, String::new()));
    }
    let diff = diff(accepted.as_deref().unwrap_or_default(), contents, "this run");
    let status = if accepted.is_some() { SnapshotStatus::Different } else { SnapshotStatus::New };
    match (policy.update, status) {
        (update, _) if !rubric_met => {
            let refused = update == Update::Accept || update == Update::AcceptUnseen && accepted.is_none();
            return Ok(SnapshotOutcome { refused, ..outcome(status, diff) });
        }
        (Update::Accept, _) | (Update::AcceptUnseen, SnapshotStatus::New) => {
            write(&path, header, contents, None)?;
            remove(&pending)?;
            return Ok(outcome(SnapshotStatus::Accepted, diff));
        }
        (Update::New | Update::AcceptUnseen, _) => write(&pending, header, contents, Some(1))?,
        (Update::No, _) => {}
    }
    Ok(outcome(status, diff))
}

fn read(path: &Path) -> Result<Option<String>, SnapshotError> {
    if path.exists() { load(path).map(|(_, text)| Some(text)) } else { Ok(None) }
}

/// Reads a snapshot: what it says of itself, and its contents.
pub(super) fn load(path: &Path) -> Result<(MetaData, String), SnapshotError> {
    let unreadable = |reason: String| SnapshotError::Unreadable { path: path.to_owned(), reason };
    let snapshot = Snapshot::from_file(path).map_err(|error| unreadable(error.to_string()))?;
    let text = snapshot.as_text().ok_or_else(|| unreadable("it is not text".to_owned()))?;
    Ok((snapshot.metadata().clone(), text.to_string()))
}

/// Writes insta's format. Its metadata is YAML, of which JSON strings are a part. Only a pending snapshot has a line.
pub(super) fn write(path: &Path, header: &Header<'_>, contents: &str, line: Option<u32>) -> Result<(), SnapshotError> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let line = line.map(|line| format!("assertion_line: {line}\n")).unwrap_or_default();
    let text = format!(
        "---\nsource: {}\n{line}description: {}\ninfo:\n  diagnoser: {}\n---\n{}\n",
        quoted(header.source),
        quoted(header.description),
        quoted(header.diagnoser),
        contents.trim_end()
    );
    let unwritable = |source| SnapshotError::Unwritable { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(unwritable)?;
    }
    fs::write(path, text).map_err(unwritable)
}

pub(super) fn remove(path: &Path) -> Result<(), SnapshotError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(SnapshotError::Unwritable { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Tells `cargo insta test --unreferenced` that the snapshot is in use.
fn note_reference(path: &Path) {
    let Some(list) = std::env::var_os("INSTA_SNAPSHOT_REFERENCES_FILE") else { return };
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let noted = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&list)
        .and_then(|mut file| writeln!(file, "{}", path.display()));
    if let Err(error) = noted {
        tracing::warn!("cannot note the snapshot in {}: {error}", list.display());
    }
}

/// The lines that differ, with three lines around them.
pub(super) fn diff(old: &str, new: &str, name_of_new: &str) -> String {
    let (old, new) = (old.trim_end().to_owned() + "\n", new.trim_end().to_owned() + "\n");
    let old = if old == "\n" { String::new() } else { old };
    TextDiff::from_lines(&old, &new).unified_diff().context_radius(3).header("accepted", name_of_new).to_string()
}
