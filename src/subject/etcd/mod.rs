//! etcd, version 3.4 or later. The only room that knows etcd's field names.

mod checks;
mod gateway;
mod invariants;
mod knowledge;
mod observe;
mod prometheus;

use std::time::Duration;

use async_trait::async_trait;

use super::{ClusterSpec, Leads, Manual, Role, Subject};
use crate::cluster::compose::{ComposeCluster, Disks, Project};
use crate::cluster::{Backend, Cluster, ClusterError};
use crate::reading::Observation;

/// The subject `etcd`.
#[derive(Debug, Clone, Copy)]
pub struct Etcd;

/// The Compose file and what it mounts, so that the binary needs no folder beside it.
const PROJECT: Project = Project {
    file: include_str!("../../../compose/etcd.yaml"),
    low_limits: None,
    disks: Some(Disks { file: include_str!("../../../compose/etcd-disk.yaml"), keeper: "writer" }),
    mounted: &[("etcd-prometheus.yml", include_str!("../../../compose/etcd-prometheus.yml"))],
    well_within: Duration::from_secs(90),
};

static MANUAL: Manual = Manual {
    name: "etcd",
    backends: &[Backend::Compose],
    roles: &[Role { name: "etcd", usual: 3, allowed: 3..=3, in_containers: 3, leads: Leads::OneGroup }],
    takes_load: false,
    sizes_disks: true,
    invariants: invariants::INVARIANTS,
    onsets: invariants::ONSETS,
    headline: &["status_api"],
    categories: knowledge::CATEGORIES,
    actions: knowledge::ACTIONS,
    tools: &["etcd", "etcdctl", "etcdutl"],
    signatures: knowledge::SIGNATURES,
    knowledge: knowledge::KNOWLEDGE,
};

#[async_trait]
impl Subject for Etcd {
    fn manual(&self) -> &'static Manual {
        &MANUAL
    }

    fn cluster(&self, spec: &ClusterSpec, run: &str) -> Result<Box<dyn Cluster>, ClusterError> {
        Ok(Box::new(ComposeCluster::new(&PROJECT, run)?.with_disks(spec.disk)))
    }

    async fn observe(&self, cluster: &dyn Cluster) -> Observation {
        observe::observe(cluster).await
    }
}
