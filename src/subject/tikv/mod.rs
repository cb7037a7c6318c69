//! TiKV with its Placement Driver (PD). The only room but the embedded model that knows TiKV's field names.

mod invariants;
mod knowledge;
mod logs;
mod observe;

use async_trait::async_trait;

use super::{Action, ClusterSpec, Invariant, Leads, Role, Signature, Subject, Term};
use crate::cluster::embedded::{EmbeddedCluster, Topology};
use crate::cluster::{Backend, Cluster, ClusterError};
use crate::reading::Observation;

/// The subject `tikv`.
#[derive(Debug, Clone, Copy)]
pub struct TiKv;

#[async_trait]
impl Subject for TiKv {
    fn name(&self) -> &'static str {
        "tikv"
    }

    fn backends(&self) -> &'static [Backend] {
        &[Backend::Embedded]
    }

    fn roles(&self) -> &'static [Role] {
        const ROLES: &[Role] = &[
            Role { name: "pd", usual: 3, allowed: 1..=7, leads: Leads::OneGroup },
            Role { name: "tikv", usual: 3, allowed: 3..=50, leads: Leads::ManyGroups },
        ];
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

    fn cluster(&self, spec: &ClusterSpec, _run: &str) -> Result<Box<dyn Cluster>, ClusterError> {
        let count = |role: &str| spec.nodes.get(role).copied().unwrap_or(3);
        let topology = Topology { pd: count("pd"), tikv: count("tikv"), seed: spec.seed, ..Topology::default() };
        Ok(Box::new(EmbeddedCluster::new(topology)))
    }

    async fn observe(&self, cluster: &dyn Cluster) -> Observation {
        observe::observe(cluster).await
    }
}
