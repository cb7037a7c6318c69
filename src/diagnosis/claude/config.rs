//! Who asks which model, and where: from the environment as the official SDKs read it, and from the command line.

use clap::ValueEnum;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::error::{ClaudeError, Failure};

/// The model that is asked where no other is named.
pub const DEFAULT_MODEL: &str = "claude-opus-5-5";

/// Where the API is.
pub const DEFAULT_BASE_URL: &str = "https://api.anthropic.com";

/// How many tokens an answer may have where nothing else is said, the model's thinking included.
pub const DEFAULT_MAX_TOKENS: u32 = 16_000;

/// The most tokens that may be asked for without streaming: the official SDKs reckon with 128 000 tokens an hour and
/// give up after ten minutes.
pub const MOST_MAX_TOKENS: u32 = 21_333;

/// Claude API docs: "Versions". The successor of `2023-06-01`.
const API_VERSION: &str = "2026-10-21";

/// A key or a custom header's value that is at least so long may be a credential, and is kept out of all that is shown or
/// kept. What is shorter may stand in an answer by itself, as the `none` does that a server without keys is given.
const SHORTEST_SECRET: usize = 12;

/// How much a model thinks before it answers. Claude API docs: "Effort".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
#[expect(missing_docs, reason = "the API's own words")]
pub enum Effort {
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

impl Effort {
    /// The API's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }
}

/// Who asks which model, and where.
#[derive(Debug, Clone)]
pub struct Config {
    /// The key or the token, sent as a bearer token.
    pub api_key: SecretString,
    /// The API's root, without `/v1`.
    pub base_url: String,
    /// Headers that a gateway wants. One that is sent anyway is replaced.
    pub custom_headers: HeaderMap,
    /// The model's id.
    pub model: String,
    /// How much it thinks; the model's own default if nothing is said.
    pub effort: Option<Effort>,
    /// How many tokens the answer may have, the model's thinking included; at most [`MOST_MAX_TOKENS`].
    pub max_tokens: u32,
    /// The wait before the first retry where the server names none; it doubles with each further one.
    pub first_wait: Duration,
}

impl Config {
    /// The defaults, with this key.
    #[must_use]
    pub fn new(api_key: SecretString) -> Self {
        Self {
            api_key,
            base_url: DEFAULT_BASE_URL.to_owned(),
            custom_headers: HeaderMap::new(),
            model: DEFAULT_MODEL.to_owned(),
            effort: None,
            max_tokens: DEFAULT_MAX_TOKENS,
            first_wait: Duration::from_millis(500),
        }
    }

    /// The key from `ANTHROPIC_API_KEY`, else a token from `ANTHROPIC_AUTH_TOKEN`; the API's root from
    /// `ANTHROPIC_BASE_URL`, further headers from `ANTHROPIC_CUSTOM_HEADERS`, one `Name: value` a line. An empty variable
    /// is an absent one. Without a key and a token the failure is [`Failure::NoKey`].
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ClaudeError> {
        let read = |name| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let (key, token) = (read("ANTHROPIC_API_KEY"), read("ANTHROPIC_AUTH_TOKEN"));
        if key.is_some() && token.is_some() {
            tracing::warn!("ANTHROPIC_API_KEY and ANTHROPIC_AUTH_TOKEN are both set: the key is used");
        }
        let mut config = Self::new(key.or(token).ok_or(Failure::NoKey)?.into());
        if let Some(base_url) = read("ANTHROPIC_BASE_URL") {
            config.base_url = base_url;
        }
        if let Some(lines) = read("ANTHROPIC_CUSTOM_HEADERS") {
            config.custom_headers = custom_headers(&lines)?;
        }
        Ok(config)
    }

    /// What is sent with every request.
    pub(super) fn headers(&self) -> Result<HeaderMap, Failure> {
        let key = self.api_key.expose_secret();
        let mut bearer = HeaderValue::from_str(&format!("Bearer {key}"))
            .ok()
            .filter(|_| !key.trim().is_empty())
            .ok_or(Failure::BadKey)?;
        bearer.set_sensitive(true);
        let mut headers = HeaderMap::from_iter([
            (AUTHORIZATION, bearer),
            (ACCEPT, HeaderValue::from_static("application/json")),
            (HeaderName::from_static("anthropic-version"), HeaderValue::from_static(API_VERSION)),
        ]);
        headers.extend(self.custom_headers.clone());
        Ok(headers)
    }

    /// What must be shown nowhere.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        let custom = self.custom_headers.values().filter_map(|value| value.to_str().ok());
        let all = std::iter::once(self.api_key.expose_secret()).chain(custom);
        all.filter(|value| value.len() >= SHORTEST_SECRET).map(SecretString::from).collect()
    }
}

fn custom_headers(lines: &str) -> Result<HeaderMap, Failure> {
    let lines = lines.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    let header = |(index, line): (usize, &str)| {
        let parsed = line.split_once(':').and_then(|(name, value)| {
            let mut value: HeaderValue = value.trim().parse().ok()?;
            value.set_sensitive(true);
            Some((name.trim().parse::<HeaderName>().ok()?, value))
        });
        parsed.ok_or(Failure::BadHeader { line: index + 1 })
    };
    lines.map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-ant-test-000";

    fn read(variables: &[(&str, &str)]) -> Result<Config, ClaudeError> {
        Config::from_env(|name| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_environment_gives_key_and_base_url() {
        let config =
            read(&[("ANTHROPIC_API_KEY", " sk-ant-test-000\n"), ("ANTHROPIC_BASE_URL", "http://gateway:8080/claude")])
                .unwrap();
        assert_eq!(config.api_key.expose_secret(), KEY);
        assert_eq!(config.base_url, "http://gateway:8080/claude");
        assert_eq!((config.model.as_str(), config.max_tokens), ("claude-opus-5-5", 16_000));
    }

    #[test]
    fn the_key_goes_before_the_token() {
        let both = [("ANTHROPIC_AUTH_TOKEN", "token"), ("ANTHROPIC_API_KEY", KEY)];
        assert_eq!(read(&both[..1]).unwrap().api_key.expose_secret(), "token");
        assert_eq!(read(&both).unwrap().api_key.expose_secret(), KEY);
    }

    #[test]
    fn an_empty_variable_is_an_absent_one() {
        let empty = Config::from_env(|_| Some(" ".to_owned())).unwrap_err();
        assert_eq!(empty.failure, Failure::NoKey);
        let key_only = |name: &str| Some(if name == "ANTHROPIC_API_KEY" { KEY } else { "" }.to_owned());
        assert_eq!(Config::from_env(key_only).unwrap().base_url, DEFAULT_BASE_URL);
    }

    #[test]
    fn custom_headers_are_sent_and_replace_others() {
        let lines = "X-Team: infra\n\n Anthropic-Version : 2023-06-01\nX-Gateway-Key: 0123456789abcdef";
        let config = read(&[("ANTHROPIC_API_KEY", KEY), ("ANTHROPIC_CUSTOM_HEADERS", lines)]).unwrap();
        let headers = config.headers().unwrap();
        assert_eq!(
            (&headers["x-team"], &headers["anthropic-version"]),
            (&"infra".parse().unwrap(), &"2023-06-01".parse().unwrap())
        );
        assert!(!format!("{config:?} {headers:?}").contains("0123456789abcdef"));
        let secrets: Vec<String> = config.secrets().iter().map(|secret| secret.expose_secret().to_owned()).collect();
        assert_eq!(secrets, [KEY, "0123456789abcdef"]);
        assert!(Config::new("none".into()).secrets().is_empty(), "it is a word of the answer");
    }

    #[test]
    fn a_line_that_is_no_header_is_refused_and_not_quoted() {
        for lines in ["X-Team: infra\nhunter2", "X Team: hunter2", "X-Team: hunter2\u{1}"] {
            let error = read(&[("ANTHROPIC_API_KEY", KEY), ("ANTHROPIC_CUSTOM_HEADERS", lines)]).unwrap_err();
            let line = if lines.contains('\n') { 2 } else { 1 };
            assert_eq!(error.failure, Failure::BadHeader { line });
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
