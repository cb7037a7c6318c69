//! Finds scenario files: named ones, those below a folder, those that match a pattern.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use globset::GlobBuilder;
use ignore::WalkBuilder;

/// Why no scenarios were found. Finding none is an error, never a pass.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Nothing matches.
    #[error(
        "no scenario matches `{0}`: name a .yaml file, a folder with some, or a pattern such as 'scenarios/store-*.yaml'"
    )]
    NoMatch(String),
    /// The pattern can't be read.
    #[error("`{pattern}` is no pattern: {source}")]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: globset::Error,
    },
    /// A folder could not be read.
    #[error("cannot look for scenarios: {0}")]
    Unreadable(#[from] ignore::Error),
}

/// Finds the files that the arguments name, in their order, each once.
pub fn find(arguments: &[String]) -> Result<Vec<PathBuf>, FindError> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut known = BTreeSet::new();
    for argument in arguments {
        let path = Path::new(argument);
        let files = if path.is_file() {
            vec![path.to_owned()]
        } else if path.is_dir() {
            below(path, |file| matches!(file.extension().and_then(|end| end.to_str()), Some("yaml" | "yml")))?
        } else {
            matching(argument)?
        };
        if files.is_empty() {
            return Err(FindError::NoMatch(argument.clone()));
        }
        for file in files {
            // `one.yaml` and `./one.yaml` are the same.
            if known.insert(file.canonicalize().unwrap_or_else(|_| file.clone())) {
                found.push(file);
            }
        }
    }
    Ok(found)
}

fn matching(pattern: &str) -> Result<Vec<PathBuf>, FindError> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    let glob = glob.map_err(|source| FindError::BadPattern { pattern: pattern.to_owned(), source })?.compile_matcher();
    let fixed = pattern.split(['*', '?', '[', '{']).next().unwrap_or_default();
    let folder = fixed
        .rsplit_once('/')
        .map_or(Path::new("."), |(folder, _)| Path::new(if folder.is_empty() { "/" } else { folder }));
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    below(folder, |file| glob.is_match(file.strip_prefix(".").unwrap_or(file)) || glob.is_match(file))
}

fn below(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, FindError> {
    let mut files = Vec::new();
    for entry in WalkBuilder::new(folder).sort_by_file_name(std::cmp::Ord::cmp).build() {
        let entry = entry?;
        if entry.file_type().is_some_and(|kind| kind.is_file()) && wanted(entry.path()) {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}
