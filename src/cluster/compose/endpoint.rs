//! The way to the containers' endpoints: by the ports that the engine has published for them on loopback.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use bollard::models::PortMap;
use tokio::sync::OnceCell;

use super::{ClusterError, Engine};
use crate::http::{Client, Http, HttpError, Request, Response};
use crate::reading::NodeName;

/// A node's ports and where they are published; none if it does not run.
type Lookup = OnceCell<Result<Option<PortMap>, ClusterError>>;

/// Sends requests to published ports.
#[derive(Debug)]
pub(super) struct ComposeHttp {
    engine: Engine,
    client: Client,
    /// The lookups that somebody waits for.
    lookups: Mutex<HashMap<NodeName, Weak<Lookup>>>,
}

impl ComposeHttp {
    pub(super) fn new(engine: Engine) -> Result<Self, ClusterError> {
        let client = Client::new().map_err(|error| ClusterError::environment("making an HTTP client", error, ""))?;
        Ok(Self { engine, client, lookups: Mutex::default() })
    }

    /// Where a node's port is published now. It is never remembered: the engine gives a container another port when it
    /// starts again, and the old one may be another run's by then. Requests that want to know it at the same time, as those
    /// of one poll do, share one lookup.
    async fn published(&self, request: &Request) -> Result<String, HttpError> {
        let nowhere = || HttpError::NoSuchAddress { url: request.url() };
        let (host, port) = request.authority.rsplit_once(':').ok_or_else(nowhere)?;
        let node = NodeName::from(host);
        let lookup = self.lookup(&node);
        match lookup.get_or_init(|| self.ports(&node)).await {
            Ok(Some(ports)) => host_port(ports, port).ok_or_else(nowhere),
            Ok(None) => Err(HttpError::Refused { url: request.url() }),
            Err(error) => {
                tracing::debug!("{}: {error}", request.url());
                Err(nowhere())
            }
        }
    }

    /// The lookup that goes on for a node, or a new one. It ends with the last who holds it.
    fn lookup(&self, node: &NodeName) -> Arc<Lookup> {
        let mut lookups = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        lookups.get(node).and_then(Weak::upgrade).unwrap_or_else(|| {
            let lookup = Arc::default();
            lookups.insert(node.clone(), Arc::downgrade(&lookup));
            lookup
        })
    }

    async fn ports(&self, node: &NodeName) -> Result<Option<PortMap>, ClusterError> {
        let container = self.engine.inspect(node).await?;
        let runs = container.state.as_ref().and_then(|state| state.running).unwrap_or(false);
        Ok(runs.then(|| container.network_settings.and_then(|settings| settings.ports).unwrap_or_default()))
    }
}

#[async_trait]
impl Http for ComposeHttp {
    async fn send(&self, request: &Request) -> Result<Response, HttpError> {
        let port = self.published(request).await?;
        self.client.send(&format!("127.0.0.1:{port}"), request).await
    }
}

fn host_port(ports: &PortMap, port: &str) -> Option<String> {
    ports.get(&format!("{port}/tcp"))?.iter().flatten().find_map(|binding| binding.host_port.clone())
}
