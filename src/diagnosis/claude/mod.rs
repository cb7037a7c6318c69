//! The Messages API of Claude: one question, one answer in the form that was asked for.
//!
//! There is no official SDK for Rust, so this is a client of one endpoint which sends what the official ones send and
//! retries as they do. It must not know what a diagnosis is: what a question says and what becomes of the answer is its
//! callers' business.

mod config;
mod error;
pub mod price;
mod reply;
mod retry;

use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;
use serde_json::{Value, json};

pub use self::config::{Config, DEFAULT_BASE_URL, DEFAULT_MAX_TOKENS, DEFAULT_MODEL, Effort, MOST_MAX_TOKENS};
pub use self::error::{ClaudeError, Failure, StatusKind};
pub use self::reply::{Reply, Response, Usage};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const WHOLE_TIMEOUT: Duration = Duration::from_mins(10);

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
    secrets: Vec<SecretString>,
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
            .default_headers(config.headers()?)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(WHOLE_TIMEOUT)
            .tcp_keepalive(Duration::from_mins(1))
            // The API redirects nobody, and the key is for nobody else.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        let http = crate::http::client(builder).map_err(|error| Failure::Setup { reason: error::chain(&error) })?;
        Ok(Self { secrets: config.secrets(), config, url, http })
    }

    /// The body that [`ask`](Self::ask) sends.
    #[must_use]
    pub fn request_body(&self, question: &Question<'_>) -> Value {
        let mut body = json!({
            "model": self.config.model,
            "max_tokens": self.config.max_tokens,
            "system": [{ "type": "text", "text": question.system, "cache_control": { "type": "ephemeral" } }],
            "messages": [{ "role": "user", "content": question.user }],
            "output_config": { "format": { "type": "json_schema", "schema": question.schema } },
        });
        if let Some(effort) = self.config.effort {
            body["output_config"]["effort"] = json!(effort);
        }
        body
    }

    /// Asks, and asks again where that may help: after a lost connection and after the statuses 408, 409, 429 and 500
    /// and above, twice at most. `body` is a [`request_body`](Self::request_body).
    pub async fn ask(&self, body: &Value) -> Result<Response, ClaudeError> {
        let mut attempts = 1;
        loop {
            let (failure, request_id, hints) = match self.send(body).await {
                Err(failure) => (failure, None, retry::Hints::default()),
                Ok(answer) => match answer.message() {
                    Ok(body) => return Ok(Response { request_id: answer.request_id(), attempts, body }),
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
        let body = reply::redact(response.text().await.map_err(lost)?, &self.secrets);
        Ok(reply::Answer { status, headers, body, secrets: &self.secrets })
    }
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
