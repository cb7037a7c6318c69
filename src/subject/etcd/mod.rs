//! etcd, version 3.4 or later. The only room that knows etcd's field names.

mod invariants;
mod knowledge;
mod observe;

use async_trait::async_trait;

use super::{Action, ClusterSpec, Invariant, Leads, Role, Signature, Subject, Term};
use crate::cluster::compose::{ComposeCluster, Project};
use crate::cluster::{Backend, Cluster, ClusterError};
use crate::reading::Observation;

/// The subject `etcd`.
#[derive(Debug, Clone, Copy)]
pub struct Etcd;

/// The Compose file and what it mounts, so that the binary needs no folder beside it.
const PROJECT: Project = Project {
    file: include_str!("../../../compose/etcd.yaml"),
    mounted: &[("etcd-prometheus.yml", include_str!("../../../compose/etcd-prometheus.yml"))],
};

#[async_trait]
impl Subject for Etcd {
    fn name(&self) -> &'static str {
        "etcd"
    }

    fn backends(&self) -> &'static [Backend] {
        &[Backend::Compose]
    }

    fn roles(&self) -> &'static [Role] {
        const ROLES: &[Role] = &[Role { name: "etcd", usual: 3, allowed: 3..=3, leads: Leads::OneGroup }];
        ROLES
    }

    fn invariants(&self) -> &'static [Invariant] {
        invariants::INVARIANTS
    }

    fn categories(&self) -> &'static [Term] {
        knowledge::CATEGORIES
    }

    fn actions(&self) -> &'static [Action] {
        knowledge::ACTIONS
    }

    fn signatures(&self) -> &'static [Signature] {
        knowledge::SIGNATURES
    }

    fn knowledge(&self) -> &'static str {
        knowledge::KNOWLEDGE
    }

    fn cluster(&self, _spec: &ClusterSpec, run: &str) -> Result<Box<dyn Cluster>, ClusterError> {
        Ok(Box::new(ComposeCluster::new(&PROJECT, run)?))
    }

    async fn observe(&self, cluster: &dyn Cluster) -> Observation {
        observe::observe(cluster).await
    }
}
