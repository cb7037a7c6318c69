//! The Messages API of Claude: one question, one answer in the form that was asked for.
//!
//! There is no official SDK for Rust, so this is a client of one endpoint which sends what the official ones send and
//! retries as they do. It must not know what a diagnosis is: what a question says and what becomes of the answer is its
//! callers' business.

mod error;
mod reply;
mod retry;

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

pub use self::error::{ClaudeError, Failure, StatusKind};
pub use self::reply::{Reply, Usage};

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

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const WHOLE_TIMEOUT: Duration = Duration::from_mins(10);

/// Who asks which model, and where.
#[derive(Debug, Clone)]
pub struct Config {
    /// The key, sent as a bearer token.
    pub api_key: SecretString,
    /// The API's root, without `/v1`.
    pub base_url: String,
    /// The model's id.
    pub model: String,
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
            model: DEFAULT_MODEL.to_owned(),
            max_tokens: DEFAULT_MAX_TOKENS,
            first_wait: Duration::from_millis(500),
        }
    }

    /// The key from `ANTHROPIC_API_KEY`, the API's root from `ANTHROPIC_BASE_URL`; an empty variable is an absent one.
    /// Without a key the failure is [`Failure::NoKey`].
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ClaudeError> {
        let read = |name| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let mut config = Self::new(read("ANTHROPIC_API_KEY").ok_or(Failure::NoKey)?.into());
        if let Some(base_url) = read("ANTHROPIC_BASE_URL") {
            config.base_url = base_url;
        }
        Ok(config)
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who the model is to be and how it is to answer: the same from question to question, so it is cached.
    pub system: &'a str,
    /// The matter at hand.
    pub user: &'a str,
    /// The form of the answer, as [`for_api`](crate::diagnosis::schema::for_api) made it.
    pub schema: &'a Value,
}

/// A client of the Messages API.
#[derive(Debug, Clone)]
pub struct Client {
    config: Config,
    url: Url,
    http: reqwest::Client,
}

impl Client {
    /// Checks the configuration and sets up TLS; sends nothing.
    pub fn new(config: Config) -> Result<Self, ClaudeError> {
        if config.max_tokens == 0 || config.max_tokens > MOST_MAX_TOKENS {
            return Err(Failure::BadMaxTokens { max_tokens: config.max_tokens }.into());
        }
        let url = messages_url(&config)?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers(&config)?)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(WHOLE_TIMEOUT)
            .tcp_keepalive(Duration::from_mins(1))
            // The API redirects nobody, and the key is for nobody else.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        let http = crate::http::client(builder).map_err(|error| Failure::Setup { reason: error::chain(&error) })?;
        Ok(Self { config, url, http })
    }

    /// The body that [`ask`](Self::ask) sends.
    #[must_use]
    pub fn request_body(&self, question: &Question<'_>) -> Value {
        json!({
            "model": self.config.model,
            "max_tokens": self.config.max_tokens,
            "system": [{ "type": "text", "text": question.system, "cache_control": { "type": "ephemeral" } }],
            "messages": [{ "role": "user", "content": question.user }],
            "output_config": { "format": { "type": "json_schema", "schema": question.schema } },
        })
    }

    /// Asks, and asks again where that may help: after a lost connection and after the statuses 408, 409, 429 and 500
    /// and above, twice at most.
    pub async fn ask(&self, question: &Question<'_>) -> Result<Reply, ClaudeError> {
        let body = self.request_body(question);
        let mut attempts = 1;
        loop {
            let (failure, request_id, hints) = match self.send(&body).await {
                Err(failure) => (failure, None, retry::Hints::default()),
                Ok(answer) => match answer.read(self.config.max_tokens) {
                    Ok(reply) => return Ok(Reply { attempts, ..reply }),
                    Err(failure) => (failure, answer.request_id(), retry::Hints::read(&answer.headers)),
                },
            };
            let error = ClaudeError { failure, request_id, attempts, asked_wait: hints.wait };
            let Some(wait) = retry::wait(&error, &hints, self.config.first_wait) else { return Err(error) };
            tracing::warn!(request_id = error.request_id.as_deref(), attempts, ?wait, "asking Claude again: {error}");
            tokio::time::sleep(wait).await;
            attempts += 1;
        }
    }

    async fn send(&self, body: &Value) -> Result<reply::Answer<'_>, Failure> {
        let lost = |error: reqwest::Error| Failure::transport(self.url.host_str().unwrap_or_default(), error);
        let response = self.http.post(self.url.clone()).json(body).send().await.map_err(lost)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await.map_err(lost)?;
        Ok(reply::Answer { status, headers, body, key: &self.config.api_key })
    }
}

fn headers(config: &Config) -> Result<HeaderMap, Failure> {
    let mut key = HeaderValue::from_str(&format!("Bearer {}", config.api_key.expose_secret()))
        .ok()
        .filter(|_| !config.api_key.expose_secret().trim().is_empty())
        .ok_or(Failure::BadKey)?;
    key.set_sensitive(true);
    Ok(HeaderMap::from_iter([
        (AUTHORIZATION, key),
        (ACCEPT, HeaderValue::from_static("application/json")),
        (HeaderName::from_static("anthropic-version"), HeaderValue::from_static(API_VERSION)),
    ]))
}

fn messages_url(config: &Config) -> Result<Url, Failure> {
    let bad = |reason: &str| Failure::BadBaseUrl { reason: reason.to_owned() };
    let url = Url::parse(&format!("{}/v1/messages", config.base_url.trim_end_matches('/')))
        .map_err(|error| bad(&error.to_string()))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(bad("it is to start with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it holds a user name or a password, which would be sent instead of the key"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it ends with a query or a fragment"));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-ant-test-000";

    fn refusal(config: Config) -> String {
        let error = Client::new(config).unwrap_err();
        assert_eq!((error.attempts, &error.request_id), (0, &None));
        let text = format!("{error} {error:?}");
        assert!(!text.contains(KEY), "{text}");
        error.to_string()
    }

    fn config() -> Config {
        Config::new(KEY.into())
    }

    #[test]
    fn the_environment_gives_key_and_base_url() {
        let config = Config::from_env(|name| match name {
            "ANTHROPIC_API_KEY" => Some(format!(" {KEY}\n")),
            "ANTHROPIC_BASE_URL" => Some("http://gateway:8080/claude".to_owned()),
            _ => None,
        })
        .unwrap();
        assert_eq!(config.api_key.expose_secret(), KEY);
        assert_eq!(config.base_url, "http://gateway:8080/claude");
        assert_eq!((config.model.as_str(), config.max_tokens), ("claude-opus-5-5", 16_000));
    }

    #[test]
    fn an_empty_variable_is_an_absent_one() {
        let empty = Config::from_env(|_| Some(" ".to_owned())).unwrap_err();
        assert_eq!(empty.failure, Failure::NoKey);
        let key_only = |name: &str| Some(if name == "ANTHROPIC_API_KEY" { KEY } else { "" }.to_owned());
        assert_eq!(Config::from_env(key_only).unwrap().base_url, DEFAULT_BASE_URL);
    }

    #[test]
    fn the_base_url_may_hold_a_path_and_end_with_a_slash() {
        for (base_url, expected) in [
            (DEFAULT_BASE_URL, "https://api.anthropic.com/v1/messages"),
            ("http://gateway:8080/claude/", "http://gateway:8080/claude/v1/messages"),
        ] {
            let url = messages_url(&Config { base_url: base_url.to_owned(), ..config() }).unwrap();
            assert_eq!(url.as_str(), expected);
        }
    }

    #[test]
    fn a_base_url_that_leads_nowhere_is_refused_and_not_quoted() {
        for base_url in [
            KEY.to_owned(),
            "ftp://api.example".to_owned(),
            format!("https://user:{KEY}@api.example"),
            format!("https://api.example?key={KEY}"),
        ] {
            let error = refusal(Config { base_url, ..config() });
            assert!(error.contains("ANTHROPIC_BASE_URL"), "{error}");
        }
    }

    #[test]
    fn a_key_that_no_header_can_carry_is_refused() {
        for key in [" ".to_owned(), format!("{KEY}\n{KEY}")] {
            let error = refusal(Config::new(key.into()));
            assert!(error.contains("ANTHROPIC_API_KEY"), "{error}");
        }
    }

    #[test]
    fn an_answer_must_be_short_enough_to_come_in_one_piece() {
        for max_tokens in [0, MOST_MAX_TOKENS + 1] {
            let error = refusal(Config { max_tokens, ..config() });
            assert!(error.contains(&format!("not {max_tokens}")), "{error}");
        }
    }

    #[test]
    fn the_client_does_not_show_its_key() {
        let client = Client::new(config()).unwrap();
        assert!(!format!("{client:?} {:?}", config()).contains(KEY));
    }

    #[test]
    fn loopback_is_told_from_the_network() {
        for (url, expected) in [
            ("http://127.0.0.1:80", true),
            ("http://127.8.0.1", true),
            ("http://[::1]:9", true),
            ("http://localhost", true),
            ("https://api.anthropic.com", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
