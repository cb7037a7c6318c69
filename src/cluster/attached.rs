//! A cluster that is there already and that somebody else runs: it is looked at, and nothing is done to it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Cluster, ClusterError, Fault, Fingerprint, LogLine, Node, ProcessState, Undo};
use crate::clock::{Clock, SystemClock};
use crate::http::{Client, Http, HttpError, Request, Response};
use crate::reading::NodeName;

/// Such a cluster.
pub struct AttachedCluster {
    nodes: Vec<Node>,
    clock: SystemClock,
    http: AttachedHttp,
}

struct AttachedHttp {
    client: Client,
    /// Where an endpoint is reached if not by its own name: `127.0.0.1:12000` for `pd0:2379`.
    addresses: BTreeMap<String, String>,
}

impl AttachedCluster {
    /// A cluster of these nodes. An endpoint that `addresses` does not name is reached by the name that the cluster itself
    /// uses.
    pub fn new(nodes: Vec<Node>, addresses: BTreeMap<String, String>) -> Result<Self, ClusterError> {
        let client = Client::new().map_err(|error| ClusterError::environment("making an HTTP client", error, ""))?;
        Ok(Self { nodes, clock: SystemClock::start(), http: AttachedHttp { client, addresses } })
    }
}

#[async_trait]
impl Http for AttachedHttp {
    async fn send(&self, request: &Request) -> Result<Response, HttpError> {
        let address = self.addresses.get(&request.authority).unwrap_or(&request.authority);
        self.client.send(address, request).await
    }
}

/// Why something can't be done from outside.
fn from_outside(step: impl Into<String>) -> ClusterError {
    ClusterError::environment(step, "this cluster is looked at from outside", "")
}

#[async_trait]
impl Cluster for AttachedCluster {
    fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    fn clock(&self) -> &dyn Clock {
        &self.clock
    }

    fn http(&self) -> &dyn Http {
        &self.http
    }

    async fn up(&self, _cancel: &CancellationToken) -> Result<(), ClusterError> {
        Ok(())
    }

    async fn process(&self, node: &NodeName) -> Result<ProcessState, ClusterError> {
        Err(from_outside(format!("reading the state of {node}")))
    }

    async fn inject(&self, fault: &Fault) -> Result<(), ClusterError> {
        Err(from_outside(fault.to_string()))
    }

    async fn missing_effect(&self, fault: &Fault) -> Result<Option<String>, ClusterError> {
        Err(from_outside(fault.to_string()))
    }

    async fn heal(&self, undo: &Undo) -> Result<(), ClusterError> {
        Err(from_outside(undo.to_string()))
    }

    async fn fingerprint(&self) -> Result<Fingerprint, ClusterError> {
        Ok(Fingerprint::default())
    }

    async fn logs(&self, _since: Timestamp) -> Result<Vec<LogLine>, ClusterError> {
        Err(from_outside("reading the logs"))
    }

    async fn down(&self) -> Result<(), ClusterError> {
        Ok(())
    }
}
