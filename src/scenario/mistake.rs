//! What is wrong in a scenario file, and where.

use std::path::{Path, PathBuf};

use miette::{Diagnostic, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

/// A stretch of a file, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Where it starts.
    pub offset: usize,
    /// How long it is.
    pub length: usize,
}

/// One thing that is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// What is wrong, and what was expected.
    pub message: String,
    /// What would be right; empty if it can't be told.
    pub help: String,
}

impl Mistake {
    pub(super) fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), help: String::new() }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// A name that is not known. The nearest known one is proposed.
    pub(super) fn unknown_name<'a>(
        place: Place,
        message: impl Into<String>,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let nearest = known
            .iter()
            .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
            .filter(|(likeness, _)| *likeness > 0.75)
            .max_by(|one, other| one.0.total_cmp(&other.0));
        let help = match nearest {
            Some((_, nearest)) => format!("did you mean `{nearest}`? known: {}", known.join(", ")),
            None => format!("known: {}", known.join(", ")),
        };
        Self::new(place, message).help(help)
    }
}

/// Why a scenario could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file has mistakes: all of them.
    #[error("{} has {} mistake{}", .path.display(), .mistakes.len(), if .mistakes.len() == 1 { "" } else { "s" })]
    Mistakes {
        /// The file.
        path: PathBuf,
        /// Its text.
        text: String,
        /// What is wrong in it, in the order of the file.
        mistakes: Vec<Mistake>,
    },
}

impl ScenarioError {
    pub(super) fn mistakes(path: &Path, text: &str, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.place.offset);
        Self::Mistakes { path: path.to_owned(), text: text.to_owned(), mistakes }
    }

    /// One report for a terminal for each mistake, with the offending text underlined. A file that could not be read has
    /// none: the error itself says all.
    #[must_use]
    pub fn reports(self) -> Vec<miette::Report> {
        match self {
            Self::Unreadable { .. } => Vec::new(),
            Self::Mistakes { path, text, mistakes } => {
                let name = path.display().to_string();
                mistakes
                    .into_iter()
                    .map(|mistake| {
                        let source = File { name: name.clone(), text: text.clone() };
                        miette::Report::new(MistakeReport { mistake }).with_source_code(source)
                    })
                    .collect()
            }
        }
    }
}

/// A mistake as miette draws it.
#[derive(Debug, thiserror::Error)]
#[error("{}", .mistake.message)]
struct MistakeReport {
    mistake: Mistake,
}

impl Diagnostic for MistakeReport {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        (!self.mistake.help.is_empty()).then(|| Box::new(&self.mistake.help) as Box<dyn std::fmt::Display>)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = SourceSpan::new(self.mistake.place.offset.into(), self.mistake.place.length.max(1));
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, span))))
    }
}

/// A file whose columns are counted in characters, as editors do; miette itself counts bytes.
#[derive(Debug)]
struct File {
    name: String,
    text: String,
}

impl SourceCode for File {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = self.text.read_span(span, lines_before, lines_after)?;
        let before = self.text.get(..found.span().offset()).unwrap_or_default();
        let column = before.rsplit('\n').next().unwrap_or_default().trim_start_matches('\u{feff}').chars().count();
        let (data, line, lines) = (found.data(), found.line(), found.line_count());
        Ok(Box::new(MietteSpanContents::new_named(self.name.clone(), data, *found.span(), line, column, lines)))
    }
}
