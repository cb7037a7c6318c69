//! What came back, read. Fields, blocks and words that are not known here are let through: the API grows.

use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{ClaudeError, Failure, StatusKind};

/// How many characters of a server's words an error shows.
const LONGEST_QUOTE: usize = 400;

/// A whole answer of the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What it wrote: the first block of text.
    pub text: String,
    /// The model that answered.
    pub model: String,
    /// The id under which Anthropic's support finds the request.
    pub request_id: Option<String>,
    /// Why the answer ended: `end_turn`.
    pub stop_reason: String,
    /// What it took.
    pub usage: Usage,
    /// How often it was asked.
    pub attempts: u32,
}

/// The tokens that an answer took. The whole question is the sum of the three kinds of input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Input neither read from the cache nor written to it.
    pub input_tokens: u64,
    /// Output, thinking included.
    pub output_tokens: u64,
    /// Input written to the cache.
    pub cache_creation_input_tokens: u64,
    /// Input read from the cache.
    pub cache_read_input_tokens: u64,
}

impl Usage {
    /// The tokens of the whole question.
    #[must_use]
    pub fn whole_input(&self) -> u64 {
        self.input_tokens + self.cache_creation_input_tokens + self.cache_read_input_tokens
    }
}

/// What the API said to a question that it took, whatever the model made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// The id under which Anthropic's support finds the request.
    pub request_id: Option<String>,
    /// How often it was asked.
    pub attempts: u32,
    /// The message, as the API wrote it.
    pub body: Value,
}

impl Response {
    /// The model's answer. What was cut off or refused is none; `max_tokens` is how long it could be.
    pub fn read(&self, max_tokens: u32) -> Result<Reply, ClaudeError> {
        let error = |failure| ClaudeError { request_id: self.request_id.clone(), attempts: self.attempts, ..failure };
        self.check_stop_reason(max_tokens).map_err(|failure| error(failure.into()))?;
        Ok(Reply {
            text: text(&self.body).ok_or_else(|| error(Failure::EmptyAnswer.into()))?.to_owned(),
            model: self.model().to_owned(),
            request_id: self.request_id.clone(),
            stop_reason: self.body["stop_reason"].as_str().unwrap_or_default().to_owned(),
            usage: self.usage(),
            attempts: self.attempts,
        })
    }

    /// The model that answered.
    #[must_use]
    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }

    /// The tokens that are paid for: a refusal before the first word is free. Claude API docs: "Refusals".
    #[must_use]
    pub fn billed(&self) -> Usage {
        let usage = self.usage();
        let free = self.body["stop_reason"] == "refusal" && usage.output_tokens == 0;
        if free { Usage::default() } else { usage }
    }

    /// The tokens that it took, also where there is no answer.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let count = |name: &str| self.body["usage"][name].as_u64().unwrap_or(0);
        Usage {
            input_tokens: count("input_tokens"),
            output_tokens: count("output_tokens"),
            cache_creation_input_tokens: count("cache_creation_input_tokens"),
            cache_read_input_tokens: count("cache_read_input_tokens"),
        }
    }

    /// Before the text is read: what was cut off or refused is no answer.
    fn check_stop_reason(&self, max_tokens: u32) -> Result<(), Failure> {
        match self.body["stop_reason"].as_str() {
            Some("end_turn") => Ok(()),
            Some("max_tokens") => Err(Failure::Truncated { max_tokens }),
            Some("model_context_window_exceeded") => Err(Failure::ContextWindowExceeded),
            Some("refusal") => {
                let details = &self.body["stop_details"];
                let (category, explanation) = (quoted(&details["category"]), quoted(&details["explanation"]));
                Err(Failure::Refusal { category, explanation })
            }
            _ => Err(Failure::UnexpectedStop { stop_reason: quote(&self.body["stop_reason"].to_string()) }),
        }
    }
}

/// An HTTP answer with any status. Its body is redacted.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    pub(super) secrets: &'a [SecretString],
}

impl Answer<'_> {
    /// From the header, else from the body of an error.
    pub(super) fn request_id(&self) -> Option<String> {
        let header = self.headers.get("request-id").and_then(|id| id.to_str().ok());
        header.map(|id| quote(&redact(id.to_owned(), self.secrets))).or_else(|| quoted(&self.json()?["request_id"]))
    }

    /// The message, if the API took the question.
    pub(super) fn message(&self) -> Result<Value, Failure> {
        match self.json() {
            None => Err(Failure::NotJson { status: self.status, excerpt: quote(&self.body) }),
            Some(body) if !(200..300).contains(&self.status) => Err(self.refused(&body)),
            Some(body) => Ok(body),
        }
    }

    fn json(&self) -> Option<Value> {
        let mut body = serde_json::from_str(&self.body).ok().filter(Value::is_object)?;
        redact_texts(&mut body, self.secrets);
        Some(body)
    }

    fn refused(&self, body: &Value) -> Failure {
        let error = &body["error"];
        Failure::Status {
            kind: StatusKind::of(self.status, error["details"]["error_code"].as_str().unwrap_or_default()),
            status: self.status,
            error_type: quoted(&error["type"]).unwrap_or_else(|| "error".to_owned()),
            message: quoted(&error["message"]).unwrap_or_else(|| quote(&body.to_string())),
        }
    }
}

/// The server's words without the key: a gateway may quote what it was sent.
pub(super) fn redact(text: String, secrets: &[SecretString]) -> String {
    secrets.iter().fold(text, |text, secret| text.replace(secret.expose_secret(), "[REDACTED]"))
}

/// The same in each text of a JSON: JSON can write any letter as an escape, in which the key is not found.
fn redact_texts(json: &mut Value, secrets: &[SecretString]) {
    match json {
        Value::String(text) => *text = redact(std::mem::take(text), secrets),
        Value::Array(items) => items.iter_mut().for_each(|item| redact_texts(item, secrets)),
        Value::Object(fields) => {
            let redacted = std::mem::take(fields).into_iter().map(|(name, mut field)| {
                redact_texts(&mut field, secrets);
                (redact(name, secrets), field)
            });
            *fields = redacted.collect();
        }
        _ => {}
    }
}

fn quoted(value: &Value) -> Option<String> {
    value.as_str().map(quote)
}

/// The server's words as an error may show them: the beginning, in one line.
fn quote(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").chars().take(LONGEST_QUOTE).collect()
}

/// The first text; blocks of thinking come before it.
fn text(message: &Value) -> Option<&str> {
    let text = message["content"].as_array()?.iter().find(|block| block["type"] == "text")?["text"].as_str()?;
    (!text.trim().is_empty()).then_some(text)
}
