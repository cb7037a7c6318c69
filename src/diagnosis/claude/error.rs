//! What can go wrong with a question, and what to do about it. Nothing here may hold the key.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::time::Duration;

use super::retry::LONGEST_WAIT;

/// A question that was not answered. What a server said comes without the key, even where it quoted it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{failure}{}", footnote(.request_id.as_deref(), *.attempts, *.asked_wait))]
pub struct ClaudeError {
    /// What went wrong.
    pub failure: Failure,
    /// The id under which Anthropic's support finds the last attempt; a request that never arrived has none.
    pub request_id: Option<String>,
    /// How often it was asked; zero if it could not be asked at all.
    pub attempts: u32,
    /// How long the server asked to wait before the next attempt.
    pub asked_wait: Option<Duration>,
}

impl From<Failure> for ClaudeError {
    /// A failure before anything was sent.
    fn from(failure: Failure) -> Self {
        Self { failure, request_id: None, attempts: 0, asked_wait: None }
    }
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// There is no key.
    #[error("there is no key for the Claude API: set ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN)")]
    NoKey,
    /// The key cannot stand in a header.
    #[error(
        "the key for the Claude API is blank or holds characters that no key has: check ANTHROPIC_API_KEY and ANTHROPIC_AUTH_TOKEN"
    )]
    BadKey,
    /// A line of `ANTHROPIC_CUSTOM_HEADERS` is no header. It is not quoted, as it may hold a credential.
    #[error("line {line} of ANTHROPIC_CUSTOM_HEADERS is no `Name: value`")]
    BadHeader {
        /// The line, from 1.
        line: usize,
    },
    /// The API's root is not one.
    #[error("the base URL of the Claude API is wrong: {reason}; check ANTHROPIC_BASE_URL")]
    BadBaseUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// No answer may be that long, or that short.
    #[error("an answer may have 1 to {most} tokens, not {max_tokens}: change --max-tokens", most = super::MOST_MAX_TOKENS)]
    BadMaxTokens {
        /// What was configured.
        max_tokens: u32,
    },
    /// The HTTP client cannot be set up.
    #[error("cannot set up HTTPS: {reason}; are the system's CA certificates installed?")]
    Setup {
        /// What it said.
        reason: String,
    },
    /// No whole answer came.
    #[error("Claude API: {what} {host}: {reason}; check the network, HTTPS_PROXY and ANTHROPIC_BASE_URL")]
    Transport {
        /// How far it came: `cannot connect to`, `no answer in time from`, `lost the connection to`.
        what: &'static str,
        /// Who was asked.
        host: String,
        /// What the transport said.
        reason: String,
    },
    /// The answer is not the JSON that the API sends: a proxy or a portal wrote it.
    #[error("HTTP {status} is no answer of the Claude API: `{excerpt}`; check proxies and ANTHROPIC_BASE_URL")]
    NotJson {
        /// The HTTP status.
        status: u16,
        /// How the body begins.
        excerpt: String,
    },
    /// The API refused the request or failed. Claude API docs: "Errors".
    #[error("Claude API: HTTP {status} {error_type}: {message}; {advice}", advice = .kind.advice())]
    Status {
        /// What sort of error it is.
        kind: StatusKind,
        /// The HTTP status.
        status: u16,
        /// The API's own word for it: `rate_limit_error`, …
        error_type: String,
        /// What the API says about it.
        message: String,
    },
    /// The answer was cut off. Claude API docs: "Handling stop reasons", as the four below.
    #[error(
        "the answer is longer than the {max_tokens} tokens of max_tokens, thinking included: raise --max-tokens, or lower --effort"
    )]
    Truncated {
        /// How many tokens it was allowed.
        max_tokens: u32,
    },
    /// The question leaves the model no room to answer.
    #[error("the question and its answer do not fit the model's context window: hand it less evidence")]
    ContextWindowExceeded,
    /// The model declines to answer.
    #[error("the model refused to answer ({}): {}; the same model will refuse again, so reword or choose another",
        .category.as_deref().unwrap_or("no category"), .explanation.as_deref().unwrap_or("no explanation"))]
    Refusal {
        /// Which policy it names.
        category: Option<String>,
        /// Why, if it says so.
        explanation: Option<String>,
    },
    /// The model ended its turn and wrote nothing.
    #[error("the model ended its answer without a word: run it again")]
    EmptyAnswer,
    /// The answer ended in a way that a plain question does not lead to.
    #[error("the answer ended with the stop reason {stop_reason}, which nothing here asked for")]
    UnexpectedStop {
        /// The stop reason as JSON.
        stop_reason: String,
    },
}

impl Failure {
    pub(super) fn transport(host: &str, error: reqwest::Error) -> Self {
        let what = if error.is_connect() {
            "cannot connect to"
        } else if error.is_timeout() {
            "no answer in time from"
        } else {
            "lost the connection to"
        };
        Self::Transport { what, host: host.to_owned(), reason: chain(&error.without_url()) }
    }
}

/// What sort of error a status is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusKind {
    /// 400.
    InvalidRequest,
    /// 401.
    Authentication,
    /// 402.
    Billing,
    /// 403.
    Permission,
    /// 404: in practice, a model that does not exist.
    NotFound,
    /// 408 and 504.
    TimedOut,
    /// 409.
    Conflict,
    /// 413.
    TooLarge,
    /// 429.
    RateLimited,
    /// A limit on spending, whatever the status; waiting does not help.
    SpendLimit,
    /// 529.
    Overloaded,
    /// 500 and above.
    Server,
    /// Any other.
    Other,
}

impl StatusKind {
    /// `error_code` is the body's `error.details.error_code`.
    pub(super) fn of(status: u16, error_code: &str) -> Self {
        match status {
            // `enforced_spend_limit_reached`, `contract_spend_limit_reached`, …
            _ if error_code.ends_with("spend_limit_reached") => Self::SpendLimit,
            400 => Self::InvalidRequest,
            401 => Self::Authentication,
            402 => Self::Billing,
            403 => Self::Permission,
            404 => Self::NotFound,
            408 | 504 => Self::TimedOut,
            409 => Self::Conflict,
            413 => Self::TooLarge,
            429 => Self::RateLimited,
            529 => Self::Overloaded,
            500.. => Self::Server,
            _ => Self::Other,
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::InvalidRequest => "a setting that the message names is wrong, or operator-run has a bug",
            Self::Authentication => "check that ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN is valid",
            Self::Billing => "check the payment details of the organisation that the key belongs to",
            Self::Permission => "use a key whose workspace may use this model",
            Self::NotFound => "check the model's name (--model) and ANTHROPIC_BASE_URL",
            Self::TimedOut => "run it again, or ask for fewer tokens",
            Self::Conflict => "run it again",
            Self::TooLarge => "hand the model less evidence",
            Self::RateLimited => "wait a while, or run fewer scenarios at a time",
            Self::SpendLimit => "raise the spending limit of the key's organisation or workspace",
            Self::Overloaded => "run it again later, or choose another model",
            Self::Server => "run it again later",
            Self::Other => "check ANTHROPIC_BASE_URL",
        }
    }
}

fn footnote(request_id: Option<&str>, attempts: u32, asked_wait: Option<Duration>) -> impl fmt::Display {
    let mut notes = Vec::new();
    notes.extend(request_id.map(|request_id| format!("request {request_id}")));
    if attempts > 1 {
        notes.push(format!("after {attempts} attempts"));
    }
    if let Some(wait) = asked_wait.filter(|wait| *wait > LONGEST_WAIT) {
        notes.push(format!("not tried again, as it asks to wait {} s", wait.as_secs()));
    }
    if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) }
}

/// An error and all its causes in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
