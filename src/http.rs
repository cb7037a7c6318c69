//! The way to reach an endpoint of the cluster, whether it is a real one or a model in this process.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
pub use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

/// One request to an endpoint, addressed as the cluster itself does: `pd0:2379`, `tikv2:20180`.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What is asked for.
    pub method: Method,
    /// Host and port as the members of the cluster know them.
    pub authority: String,
    /// Path and query, starting with `/`.
    pub path: String,
    /// Headers beside those that every request has, by their names.
    pub headers: Vec<(String, String)>,
    /// The body, if there is one.
    pub body: Option<serde_json::Value>,
    /// How long to wait for the whole answer.
    pub timeout: Duration,
}

impl Request {
    /// A request without a body.
    #[must_use]
    pub fn new(method: Method, authority: impl Into<String>, path: impl Into<String>, timeout: Duration) -> Self {
        Self { method, authority: authority.into(), path: path.into(), headers: Vec::new(), body: None, timeout }
    }

    /// A GET.
    #[must_use]
    pub fn get(authority: impl Into<String>, path: impl Into<String>, timeout: Duration) -> Self {
        Self::new(Method::GET, authority, path, timeout)
    }

    /// A POST with a JSON body.
    #[must_use]
    pub fn post(
        authority: impl Into<String>,
        path: impl Into<String>,
        body: serde_json::Value,
        timeout: Duration,
    ) -> Self {
        Self { body: Some(body), ..Self::new(Method::POST, authority, path, timeout) }
    }

    /// A DELETE.
    #[must_use]
    pub fn delete(authority: impl Into<String>, path: impl Into<String>, timeout: Duration) -> Self {
        Self::new(Method::DELETE, authority, path, timeout)
    }

    /// Host and path, as errors show them.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.authority, self.path)
    }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The `Content-Type`; empty if there was none.
    pub content_type: String,
    /// The body.
    pub body: String,
}

impl Response {
    /// Reads the body as JSON if the status is 200.
    pub fn json<T: DeserializeOwned>(&self, request: &Request) -> Result<T, HttpError> {
        self.ok(request)?;
        serde_json::from_str(&self.body)
            .map_err(|error| HttpError::Malformed { url: request.url(), reason: error.to_string() })
    }

    /// Refuses every status but 200.
    pub fn ok(&self, request: &Request) -> Result<(), HttpError> {
        if self.status == 200 {
            return Ok(());
        }
        let body = self.body.trim().chars().take(200).collect();
        Err(HttpError::Status { url: request.url(), status: self.status, body })
    }
}

/// Why a request had no usable answer. Which of these it was is itself evidence: a dead process refuses, a hung or
/// cut-off one times out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Nothing listens there: the connection was refused, or the machine says that the process has ended.
    #[error("{url}: connection refused")]
    Refused {
        /// What was asked.
        url: String,
    },
    /// No whole answer came in time.
    #[error("{url}: no answer within {after:?}")]
    TimedOut {
        /// What was asked.
        url: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The connection ended before the answer did.
    #[error("{url}: connection lost: {reason}")]
    Lost {
        /// What was asked.
        url: String,
        /// What the transport said.
        reason: String,
    },
    /// The cluster has no such endpoint.
    #[error("{url}: no node of the cluster has this address")]
    NoSuchAddress {
        /// What was asked.
        url: String,
    },
    /// An answer with another status than 200.
    #[error("{url}: HTTP {status}: {body}")]
    Status {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The first 200 characters of the body.
        body: String,
    },
    /// An answer that is not what the endpoint is known to say.
    #[error("{url}: cannot read the answer: {reason}")]
    Malformed {
        /// What was asked.
        url: String,
        /// What was wrong with it.
        reason: String,
    },
}

impl HttpError {
    /// One word for a table of readings: `refused`, `timed_out`, `lost`, `http_503`, …
    #[must_use]
    pub fn word(&self) -> String {
        match self {
            Self::Refused { .. } => "refused".to_owned(),
            Self::TimedOut { .. } => "timed_out".to_owned(),
            Self::Lost { .. } => "lost".to_owned(),
            Self::NoSuchAddress { .. } => "no_such_address".to_owned(),
            Self::Status { status, .. } => format!("http_{status}"),
            Self::Malformed { .. } => "malformed".to_owned(),
        }
    }
}

/// Sends requests to the cluster's endpoints.
#[async_trait]
pub trait Http: Send + Sync {
    /// Sends one request and waits for the whole answer. Any status is an answer, not an error.
    async fn send(&self, request: &Request) -> Result<Response, HttpError>;
}

/// Sends requests to addresses of a network, in plain HTTP.
#[derive(Debug, Clone)]
pub struct Client(reqwest::Client);

impl Client {
    /// A client without proxy and certificates: plain HTTP in a cluster's own network needs neither, and a machine may have
    /// none.
    pub fn new() -> reqwest::Result<Self> {
        client(reqwest::Client::builder().no_proxy().tls_certs_only([])).map(Self)
    }

    /// Sends a request to where its endpoint is reached: host and port.
    pub async fn send(&self, address: &str, request: &Request) -> Result<Response, HttpError> {
        let url = format!("http://{address}{}", request.path);
        self.exchange(url, request).await.map_err(|error| transport_error(request, &error))
    }

    async fn exchange(&self, url: String, request: &Request) -> reqwest::Result<Response> {
        let mut builder = self.0.request(request.method.clone(), url);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        let response = builder.timeout(request.timeout).send().await?;
        let status = response.status().as_u16();
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        Ok(Response { status, content_type, body: response.text().await? })
    }
}

fn transport_error(request: &Request, error: &reqwest::Error) -> HttpError {
    let url = request.url();
    if error.is_timeout() {
        return HttpError::TimedOut { url, after: request.timeout };
    }
    let mut source = error.source();
    let mut reason = error.to_string();
    while let Some(cause) = source {
        if cause.downcast_ref::<io::Error>().is_some_and(|cause| cause.kind() == io::ErrorKind::ConnectionRefused) {
            return HttpError::Refused { url };
        }
        reason = cause.to_string();
        source = cause.source();
    }
    HttpError::Lost { url, reason }
}

/// Builds a reqwest client on the TLS provider that the project uses.
pub fn client(builder: reqwest::ClientBuilder) -> reqwest::Result<reqwest::Client> {
    // It is installed once per process; a second time is no error.
    let _ = rustls::crypto::ring::default_provider().install_default();
    builder.build()
}
