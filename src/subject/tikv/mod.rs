//! TiKV with its Placement Driver (PD). The only room but the embedded model that knows TiKV's field names.

mod checks;
mod invariants;
mod knowledge;
mod load;
mod log_line;
mod logs;
mod observe;
mod pd;
mod prometheus;
mod scheduling;
mod stores;

use async_trait::async_trait;

use super::{ClusterSpec, Leads, Manual, Role, Subject};
use crate::cluster::embedded::{EmbeddedCluster, Topology};
use crate::cluster::{Backend, Cluster, ClusterError};
use crate::reading::Observation;

/// The subject `tikv`.
#[derive(Debug, Clone, Copy)]
pub struct TiKv;

static MANUAL: Manual = Manual {
    name: "tikv",
    backends: &[Backend::Embedded],
    roles: &[
        Role { name: "pd", usual: 3, allowed: 1..=7, leads: Leads::OneGroup },
        Role { name: "tikv", usual: 3, allowed: 3..=50, leads: Leads::ManyGroups },
    ],
    invariants: invariants::INVARIANTS,
    headline: &["pd_health", "store_state"],
    categories: knowledge::CATEGORIES,
    actions: knowledge::ACTIONS,
    signatures: knowledge::SIGNATURES,
    knowledge: knowledge::KNOWLEDGE,
};

#[async_trait]
impl Subject for TiKv {
    fn manual(&self) -> &'static Manual {
        &MANUAL
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
