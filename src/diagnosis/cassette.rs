//! Cassettes: what was asked of a model and what it said, kept as files, so that a run can be repeated without it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use similar::TextDiff;

use super::QuestionHashes;
use super::claude::{Question, Response};

/// The format of the files. It is raised when a field changes its meaning or goes.
const FORMAT: u32 = 1;
/// How many lines of a difference are shown.
const DIFF_LINES: usize = 40;

/// Why there is no recorded answer.
#[derive(Debug, thiserror::Error)]
pub enum CassetteError {
    /// A file or folder could not be written or read.
    #[error("cannot {what} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is no cassette.
    #[error("{} is no cassette: {reason}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Nothing was recorded of the scenario.
    #[error("there is no cassette of {scenario}{} in {}: record one by --diagnoser claude --record", of_model(.model.as_deref()), .folder.display())]
    None {
        /// The scenario.
        scenario: String,
        /// The model that was asked for.
        model: Option<String>,
        /// The folder that was looked through.
        folder: PathBuf,
    },
    /// Several models have answered the question.
    #[error("several models have answered this question ({}): choose one by --model", .models.join(", "))]
    Ambiguous {
        /// Their ids.
        models: Vec<String>,
    },
    /// The question has changed since it was recorded.
    #[error("{} is stale: {} since it was recorded; record it anew by --diagnoser claude --record\n{difference}", .path.display(), .changed.join(" and "))]
    Stale {
        /// The cassette that comes nearest.
        path: PathBuf,
        /// What has changed: `the evidence has changed`, …
        changed: Vec<&'static str>,
        /// The difference, line by line.
        difference: String,
    },
}

fn of_model(model: Option<&str>) -> String {
    model.map(|model| format!(" by {model}")).unwrap_or_default()
}

/// What a model was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A diagnosis.
    #[default]
    Diagnosis,
    /// Whether a statement on a diagnosis holds.
    Judgement,
}

/// One recorded call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cassette {
    /// The format of this document.
    pub format: u32,
    /// The scenario that the question came from. It is no part of the question.
    pub scenario: String,
    /// What was asked for.
    #[serde(default)]
    pub purpose: Purpose,
    /// What the question is found again by.
    pub hashes: QuestionHashes,
    /// How long the answer took, in milliseconds, waits for further attempts included.
    pub took_ms: u64,
    /// The body that was sent.
    pub request: Json,
    /// What came back.
    pub response: Response,
}

impl Cassette {
    /// The model that was asked.
    #[must_use]
    pub fn model(&self) -> &str {
        self.request["model"].as_str().unwrap_or_default()
    }

    /// Reads a file.
    fn read(path: &Path) -> Result<Self, CassetteError> {
        let bytes =
            std::fs::read(path).map_err(|source| CassetteError::Io { what: "read", path: path.to_owned(), source })?;
        let unreadable = |reason| CassetteError::Unreadable { path: path.to_owned(), reason };
        let cassette: Self = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        if cassette.format != FORMAT {
            return Err(unreadable(format!("its format is {}, and this version reads {FORMAT}", cassette.format)));
        }
        Ok(cassette)
    }

    /// What of a question is not as it was recorded: in words, and line by line.
    fn changes(&self, question: &Question<'_>, now: &QuestionHashes) -> (Vec<&'static str>, String) {
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let pretty = |value: &Json| serde_json::to_string_pretty(value).unwrap_or_default();
        let request = &self.request;
        let mut changed = Vec::new();
        let mut difference = String::new();
        let mut part = |same: bool, what: &'static str, before: String, after: &str| {
            if !same {
                changed.push(what);
                difference.push_str(&diff(&before, after));
            }
        };
        let (system, evidence) = (text(&request["system"][0]["text"]), text(&request["messages"][0]["content"]));
        part(self.hashes.system == now.system, "the prompt has changed", system, question.system);
        part(self.hashes.evidence == now.evidence, "the evidence has changed", evidence, question.user);
        let schema = pretty(&request["output_config"]["format"]["schema"]);
        part(self.hashes.schema == now.schema, "the form of the answer has changed", schema, &pretty(question.schema));
        (changed, difference)
    }
}

/// The lines that differ, with one around them.
fn diff(before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let text = diff.unified_diff().context_radius(1).header("recorded", "now").to_string();
    let all = text.lines().count();
    let mut shown: String = text.lines().take(DIFF_LINES).flat_map(|line| [line, "\n"]).collect();
    if all > DIFF_LINES {
        // Writing to a string cannot fail.
        let _ = writeln!(shown, "… and {} more lines", all - DIFF_LINES);
    }
    shown
}

/// Writes the cassettes of a scenario.
#[derive(Debug, Clone)]
pub struct Recorder {
    folder: PathBuf,
    scenario: String,
    purpose: Purpose,
}

impl Recorder {
    /// Writes to a folder, which is made if need be.
    pub fn new(folder: &Path, scenario: &str, purpose: Purpose) -> Result<Self, CassetteError> {
        std::fs::create_dir_all(folder).map_err(|source| CassetteError::Io {
            what: "make",
            path: folder.to_owned(),
            source,
        })?;
        Ok(Self { folder: folder.to_owned(), scenario: scenario.to_owned(), purpose })
    }

    /// Keeps one exchange. Another answer of the same model to the same question is replaced.
    pub(super) fn write(
        &self,
        hashes: QuestionHashes,
        request: Json,
        response: &Response,
        took_ms: u64,
    ) -> Result<(), CassetteError> {
        let cassette = Cassette {
            format: FORMAT,
            scenario: self.scenario.clone(),
            purpose: self.purpose,
            hashes,
            took_ms,
            request,
            response: response.clone(),
        };
        let harmless = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        let model = cassette.model().replace(|letter| !harmless(letter), "_");
        let hash = cassette.hashes.evidence.get(..12).unwrap_or_default();
        let scenario = match self.purpose {
            Purpose::Diagnosis => self.scenario.clone(),
            Purpose::Judgement => format!("{}.judge", self.scenario),
        };
        let path = self.folder.join(format!("{scenario}.{model}.{hash}.json"));
        let json = serde_json::to_string_pretty(&cassette)
            .map_err(|error| CassetteError::Unreadable { path: path.clone(), reason: error.to_string() })?;
        std::fs::write(&path, json + "\n").map_err(|source| CassetteError::Io { what: "write", path, source })
    }
}

/// The cassettes of a scenario.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    scenario: String,
    model: Option<String>,
    cassettes: Vec<(PathBuf, Cassette)>,
}

impl Shelf {
    /// Reads the cassettes of a scenario for a purpose from a folder, those of one model if one is named.
    pub fn open(folder: &Path, scenario: &str, purpose: Purpose, model: Option<&str>) -> Result<Self, CassetteError> {
        let io = |source| CassetteError::Io { what: "read", path: folder.to_owned(), source };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut cassettes = Vec::new();
        for path in paths {
            let cassette = Cassette::read(&path)?;
            let wanted = cassette.scenario == scenario && cassette.purpose == purpose;
            if wanted && model.is_none_or(|model| cassette.model() == model) {
                cassettes.push((path, cassette));
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            scenario: scenario.to_owned(),
            model: model.map(str::to_owned),
            cassettes,
        })
    }

    /// The recorded answer to a question.
    pub(super) fn find(&self, question: &Question<'_>, hashes: &QuestionHashes) -> Result<&Cassette, CassetteError> {
        // The templates are in the system part and the evidence: they alone change nothing that is sent.
        let same = |cassette: &Cassette| {
            QuestionHashes { templates: hashes.templates.clone(), ..cassette.hashes.clone() } == *hashes
        };
        let found: Vec<&Cassette> =
            self.cassettes.iter().map(|(_, cassette)| cassette).filter(|one| same(one)).collect();
        match found.as_slice() {
            [cassette] => Ok(cassette),
            [] => Err(self.miss(question, hashes)),
            several => {
                let models = several.iter().map(|cassette| cassette.model().to_owned()).collect();
                Err(CassetteError::Ambiguous { models })
            }
        }
    }

    /// What has changed since the cassette that comes nearest was recorded.
    fn miss(&self, question: &Question<'_>, hashes: &QuestionHashes) -> CassetteError {
        let compared = self.cassettes.iter().map(|(path, cassette)| (path, cassette.changes(question, hashes)));
        match compared.min_by_key(|(_, (changed, difference))| (changed.len(), difference.len())) {
            Some((path, (changed, difference))) => CassetteError::Stale { path: path.clone(), changed, difference },
            None => CassetteError::None {
                scenario: self.scenario.clone(),
                model: self.model.clone(),
                folder: self.folder.clone(),
            },
        }
    }
}
