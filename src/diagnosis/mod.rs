//! Who writes the diagnosis, from what, and in which form.
//!
//! The fields stand in the order in which they are to be written, so that a model reasons before it concludes.

pub mod aliases;
pub mod ask_claude;
pub mod cassette;
pub mod claude;
pub mod evidence;
pub mod form;
pub mod judge;
pub mod markdown;
pub mod past;
pub mod prompt;
pub mod replay;
pub mod rules;
pub mod schema;

use std::fmt;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use crate::subject::{Availability, Severity};
pub use evidence::Bundle;
pub use prompt::Prompt;

/// Names a word type: a string whose allowed values are a closed list of the subject or the cluster, set in the schema
/// when it is made for a question.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                Self(word.to_owned())
            }
        }
    };
}

word!(
    /// A cause, from the subject's closed list.
    Category
);
word!(
    /// An action, from the subject's closed list.
    ActionName
);
word!(
    /// A node's name, or `cluster`.
    Component
);
word!(
    /// The number of a piece of evidence, such as `E7`.
    EvidenceRef
);

/// The structured answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosis {
    /// What happened, oldest first.
    pub timeline: Vec<TimelineEntry>,
    /// The claims that the diagnosis rests on, each with the evidence that shows it.
    pub evidence: Vec<Claim>,
    /// The causes that were considered, also those that were rejected.
    #[schemars(length(min = 1))]
    pub hypotheses: Vec<Hypothesis>,
    /// The cause.
    pub root_cause: RootCause,
    /// What it means for the clients and the data.
    pub impact: Impact,
    /// What could be done.
    pub options: Vec<ActionOption>,
    /// What should be done.
    pub recommendation: Recommendation,
    /// How sure the root cause is, from 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub confidence: f64,
    /// What is not known and would matter.
    pub unknowns: Vec<String>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineEntry {
    /// Seconds from the detection, with a sign, such as `-12.0 s`.
    pub at: String,
    /// What happened.
    pub event: String,
}

/// One claim, and the evidence for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// The evidence that shows it.
    #[serde(rename = "ref")]
    pub reference: EvidenceRef,
    /// What it shows. Numbers are quoted as the evidence has them.
    pub claim: String,
}

/// What came of a hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HypothesisVerdict {
    /// It explains the evidence best.
    Confirmed,
    /// The evidence speaks against it.
    Rejected,
    /// The evidence does not decide.
    Open,
}

/// One cause that was considered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hypothesis {
    /// The cause.
    pub category: Category,
    /// Where.
    pub component: Component,
    /// The evidence for it.
    pub supporting: Vec<EvidenceRef>,
    /// The evidence against it.
    pub contradicting: Vec<EvidenceRef>,
    /// What came of it.
    pub verdict: HypothesisVerdict,
}

/// The cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RootCause {
    /// Which.
    pub category: Category,
    /// Where.
    pub component: Component,
    /// How it leads to what is seen.
    pub explanation: String,
}

/// What the cause means for clients and data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Impact {
    /// How bad it is.
    pub severity: Severity,
    /// What the clients can still do.
    pub availability: Availability,
    /// Whether acknowledged writes may be lost.
    pub data_at_risk: bool,
    /// Why.
    pub explanation: String,
}

/// One thing that could be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActionOption {
    /// What.
    pub action: ActionName,
    /// To which node.
    pub target: Component,
    /// What it brings.
    pub benefit: String,
    /// What it risks.
    pub risk: String,
    /// Whether it can be undone.
    pub reversible: bool,
}

/// What should be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recommendation {
    /// What.
    pub action: ActionName,
    /// To which node.
    pub target: Component,
    /// Why this and not another option.
    pub rationale: String,
    /// The first commands to type.
    pub first_commands: Vec<String>,
    /// What shows that it has worked.
    pub verify_by: Vec<String>,
}

/// A diagnosis, and how it was come by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The diagnosis.
    pub diagnosis: Diagnosis,
    /// The call to a model that it came from; none if no model was asked.
    pub exchange: Option<Exchange>,
}

/// What is known of a call to a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// The model that answered.
    pub model: String,
    /// How much it was asked to think; its own default if nothing was said.
    pub effort: Option<claude::Effort>,
    /// How many tokens it could write.
    pub max_tokens: u32,
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// Tokens read, those from a cache included.
    pub input_tokens: u64,
    /// Those of them that were read from a cache.
    pub cached_tokens: u64,
    /// Those of them that were written to a cache.
    #[serde(default)]
    pub cache_written_tokens: u64,
    /// Tokens written, thinking included.
    pub output_tokens: u64,
    /// What it cost in US dollars, by the built-in price table; none if the model is not in it, or if the connection was
    /// lost, since nobody knows then what was paid for.
    pub cost_usd: Option<f64>,
    /// How many times it was asked until it answered, or was given up.
    pub attempts: u32,
    /// How long the answer took, in milliseconds, waits for further attempts included.
    pub took_ms: u64,
}

impl Exchange {
    /// What the call has come to. If there is no answer, it has cost what it has all the same.
    fn come_to<T>(self, outcome: Result<T, DiagnoserError>) -> Result<(T, Self), DiagnoserError> {
        match outcome {
            Ok(answer) => Ok((answer, self)),
            Err(error) => Err(DiagnoserError::Called { error: Box::new(error), exchange: Box::new(self) }),
        }
    }
}

/// Why there is no diagnosis. It is an error of the run, never a fail of the reasoning.
#[derive(Debug, thiserror::Error)]
pub enum DiagnoserError {
    /// The call to Claude failed.
    #[error(transparent)]
    Claude(#[from] claude::ClaudeError),
    /// The call could cost more than may still be spent. Nothing was sent.
    #[error(
        "--max-cost is {limit} USD: {spent:.4} USD are spent or set aside, and the next call could cost {most:.4} USD"
    )]
    TooExpensive {
        /// What may be spent, in US dollars.
        limit: f64,
        /// What is spent already.
        spent: f64,
        /// What the next call can cost at most.
        most: f64,
    },
    /// What a call costs is not known, and there is a limit.
    #[error("--max-cost: the price of {model} is not known (prices of {as_of})")]
    NoPrice {
        /// The model's id.
        model: String,
        /// The day of the price table.
        as_of: jiff::civil::Date,
    },
    /// The cassettes.
    #[error(transparent)]
    Cassette(#[from] cassette::CassetteError),
    /// The answer is no diagnosis in the form that was asked for.
    #[error("the answer{} is not valid: {reason}", .request_id.as_ref().map(|id| format!(" to request {id}")).unwrap_or_default())]
    Invalid {
        /// The provider's id of the request.
        request_id: Option<String>,
        /// What is wrong with it.
        reason: String,
    },
    /// A model was called, and there is no diagnosis.
    #[error("{error}")]
    Called {
        /// Why not.
        error: Box<DiagnoserError>,
        /// The call.
        exchange: Box<Exchange>,
    },
}

impl DiagnoserError {
    /// The call to a model that came to nothing; none if no model was called.
    #[must_use]
    pub fn exchange(&self) -> Option<&Exchange> {
        if let Self::Called { exchange, .. } = self { Some(exchange) } else { None }
    }
}

/// What a diagnoser is asked.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The evidence.
    pub bundle: &'a Bundle,
    /// The same as text, as a model is sent it.
    pub prompt: &'a Prompt,
    /// The form of the answer.
    pub schema: &'a serde_json::Value,
}

/// The SHA-256 of each part of a question, in hexadecimal digits: two questions with the same hashes are the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionHashes {
    /// Of the templates that the prompt is written by.
    pub templates: String,
    /// Of the system part of the prompt.
    pub system: String,
    /// Of the part with the ticket and its evidence.
    pub evidence: String,
    /// Of the form of the answer.
    pub schema: String,
}

impl Question<'_> {
    /// What a model is sent.
    fn asked(&self) -> claude::Question<'_> {
        claude::Question { system: &self.prompt.system, user: &self.prompt.user, schema: self.schema }
    }

    /// Hashes its parts.
    #[must_use]
    pub fn hashes(&self) -> QuestionHashes {
        QuestionHashes::of(&self.asked(), prompt::templates_hash())
    }
}

impl QuestionHashes {
    fn of(asked: &claude::Question<'_>, templates: String) -> Self {
        let [system, evidence, schema] = [asked.system, asked.user, &asked.schema.to_string()].map(sha256);
        Self { templates, system, evidence, schema }
    }
}

/// The SHA-256 of a text, in hexadecimal digits.
fn sha256(text: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text).iter().fold(String::new(), |mut hash, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hash, "{byte:02x}");
        hash
    })
}

/// Writes diagnoses.
#[async_trait]
pub trait Diagnoser: Send + Sync {
    /// Its name: `claude`, `replay`, `rules`.
    fn name(&self) -> &'static str;

    /// What a person is told of it, such as `claude (claude-opus-5-5)`.
    fn label(&self) -> String;

    /// Writes one diagnosis.
    async fn diagnose(&self, question: &Question<'_>) -> Result<Answer, DiagnoserError>;
}
