//! The way to the containers' endpoints: by the ports that the engine has published for them on loopback.

use std::error::Error as _;
use std::io;

use async_trait::async_trait;
use bollard::Docker;
use bollard::models::ContainerInspectResponse;

use super::{ClusterError, inspect};
use crate::http::{Http, HttpError, Request, Response};
use crate::reading::NodeName;

/// Sends requests to published ports.
#[derive(Debug)]
pub(super) struct ComposeHttp {
    docker: Docker,
    run: String,
    client: reqwest::Client,
}

impl ComposeHttp {
    pub(super) fn new(docker: Docker, run: &str) -> Result<Self, ClusterError> {
        // Loopback needs no proxy, and no certificates: a machine may have none.
        let builder = reqwest::Client::builder().no_proxy().tls_certs_only([]);
        let client = crate::http::client(builder)
            .map_err(|error| ClusterError::environment("making an HTTP client", format!("{error:?}"), ""))?;
        Ok(Self { docker, run: run.to_owned(), client })
    }

    /// Where a node's port is published now. It is asked each time: the engine gives a container another port when it
    /// starts again, and the old one may be another run's by then.
    async fn published(&self, request: &Request) -> Result<String, HttpError> {
        let nowhere = || HttpError::NoSuchAddress { url: request.url() };
        let (host, port) = request.authority.rsplit_once(':').ok_or_else(nowhere)?;
        let container = inspect(&self.docker, &self.run, &NodeName::from(host)).await.map_err(|error| {
            tracing::debug!("{}: {error}", request.url());
            nowhere()
        })?;
        if !container.state.as_ref().and_then(|state| state.running).unwrap_or(false) {
            return Err(HttpError::Refused { url: request.url() });
        }
        host_port(container, port).ok_or_else(nowhere)
    }

    async fn exchange(&self, url: String, request: &Request) -> reqwest::Result<Response> {
        let mut builder = self.client.request(request.method.clone(), url);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        let response = builder.timeout(request.timeout).send().await?;
        let status = response.status().as_u16();
        let content_type = response.headers().get(reqwest::header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        Ok(Response { status, content_type, body: response.text().await? })
    }
}

#[async_trait]
impl Http for ComposeHttp {
    async fn send(&self, request: &Request) -> Result<Response, HttpError> {
        let address = self.published(request).await?;
        let url = format!("http://127.0.0.1:{address}{}", request.path);
        self.exchange(url, request).await.map_err(|error| transport_error(request, &error))
    }
}

fn host_port(container: ContainerInspectResponse, port: &str) -> Option<String> {
    let mut ports = container.network_settings?.ports?;
    ports.remove(&format!("{port}/tcp"))??.into_iter().find_map(|binding| binding.host_port)
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
