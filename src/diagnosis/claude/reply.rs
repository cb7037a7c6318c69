//! What came back, read. Fields, blocks and words that are not known here are let through: the API grows.

use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{Failure, StatusKind};

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

/// An HTTP answer with any status.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    pub(super) key: &'a SecretString,
}

impl Answer<'_> {
    /// From the header, else from the body of an error.
    pub(super) fn request_id(&self) -> Option<String> {
        let header = self.headers.get("request-id").and_then(|id| id.to_str().ok());
        header.map(|id| self.quote(id)).or_else(|| self.quoted(&self.json()?["request_id"]))
    }

    /// The model's answer; only the number of attempts is left to whoever counts them.
    pub(super) fn read(&self, max_tokens: u32) -> Result<Reply, Failure> {
        let Some(body) = self.json() else {
            return Err(Failure::NotJson { status: self.status, excerpt: self.quote(&self.body) });
        };
        if !(200..300).contains(&self.status) {
            return Err(self.refused(&body));
        }
        self.check_stop_reason(&body, max_tokens)?;
        Ok(Reply {
            text: text(&body).ok_or(Failure::EmptyAnswer)?.to_owned(),
            model: body["model"].as_str().unwrap_or_default().to_owned(),
            request_id: self.request_id(),
            stop_reason: body["stop_reason"].as_str().unwrap_or_default().to_owned(),
            usage: usage(&body["usage"]),
            attempts: 1,
        })
    }

    fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok().filter(Value::is_object)
    }

    fn refused(&self, body: &Value) -> Failure {
        let error = &body["error"];
        Failure::Status {
            kind: StatusKind::of(self.status, error["details"]["error_code"].as_str().unwrap_or_default()),
            status: self.status,
            error_type: self.quoted(&error["type"]).unwrap_or_else(|| "error".to_owned()),
            message: self.quoted(&error["message"]).unwrap_or_else(|| self.quote(&self.body)),
        }
    }

    /// Before the text is read: what was cut off or refused is no answer.
    fn check_stop_reason(&self, message: &Value, max_tokens: u32) -> Result<(), Failure> {
        match message["stop_reason"].as_str() {
            Some("end_turn") => Ok(()),
            Some("max_tokens") => Err(Failure::Truncated { max_tokens }),
            Some("model_context_window_exceeded") => Err(Failure::ContextWindowExceeded),
            Some("refusal") => {
                let details = &message["stop_details"];
                let (category, explanation) = (self.quoted(&details["category"]), self.quoted(&details["explanation"]));
                Err(Failure::Refusal { category, explanation })
            }
            _ => Err(Failure::UnexpectedStop { stop_reason: self.quote(&message["stop_reason"].to_string()) }),
        }
    }

    fn quoted(&self, value: &Value) -> Option<String> {
        value.as_str().map(|text| self.quote(text))
    }

    /// The server's words as an error may show them: the beginning, in one line, and without the key, since a gateway
    /// may quote what it was sent.
    fn quote(&self, text: &str) -> String {
        let text = text.replace(self.key.expose_secret(), "[REDACTED]");
        let words: Vec<_> = text.split_whitespace().collect();
        words.join(" ").chars().take(LONGEST_QUOTE).collect()
    }
}

/// The first text; blocks of thinking come before it.
fn text(message: &Value) -> Option<&str> {
    let text = message["content"].as_array()?.iter().find(|block| block["type"] == "text")?["text"].as_str()?;
    (!text.trim().is_empty()).then_some(text)
}

fn usage(usage: &Value) -> Usage {
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    Usage {
        input_tokens: count("input_tokens"),
        output_tokens: count("output_tokens"),
        cache_creation_input_tokens: count("cache_creation_input_tokens"),
        cache_read_input_tokens: count("cache_read_input_tokens"),
    }
}
