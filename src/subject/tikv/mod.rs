//! TiKV with its Placement Driver (PD). The only room but the embedded model that knows TiKV's field names.

mod checks;
mod invariants;
mod knowledge;
mod load;
mod log_line;
mod logs;
mod observe;
mod pd;
mod prepare;
mod prometheus;
mod scheduling;
mod stores;
mod traffic;

use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::{ClusterSpec, Leads, Manual, Role, Subject};
use crate::cluster::compose::{Addition, ComposeCluster, Project};
use crate::cluster::embedded::{EmbeddedCluster, Topology};
use crate::cluster::{Backend, Cluster, ClusterError, Distribution, LoadSpec};
use crate::reading::Observation;

/// The subject `tikv`.
#[derive(Debug, Clone, Copy)]
pub struct TiKv;

/// The Compose file and what its nodes mount. What Grafana mounts is for who calls Compose by hand.
const PROJECT: Project = Project {
    file: include_str!("../../../compose/tikv.yaml"),
    low_limits: Some(include_str!("../../../compose/tikv-low-nofile.yaml")),
    disks: None,
    mounted: &[
        ("pd.toml", include_str!("../../../compose/pd.toml")),
        ("tikv.toml", include_str!("../../../compose/tikv.toml")),
        ("tikv-prometheus.yml", include_str!("../../../compose/tikv-prometheus.yml")),
    ],
    // A TiKV that was built without optimisation takes a minute or two on a small machine.
    well_within: Duration::from_mins(5),
};

static MANUAL: Manual = Manual {
    name: "tikv",
    backends: &[Backend::Embedded, Backend::Compose],
    roles: &[
        Role { name: "pd", usual: 3, allowed: 1..=7, in_containers: 3, leads: Leads::OneGroup },
        Role { name: "tikv", usual: 3, allowed: 3..=50, in_containers: 3, leads: Leads::ManyGroups },
    ],
    takes_load: true,
    sizes_disks: false,
    invariants: invariants::INVARIANTS,
    onsets: invariants::ONSETS,
    headline: &["pd_health", "store_state"],
    categories: knowledge::CATEGORIES,
    actions: knowledge::ACTIONS,
    tools: &["pd-ctl", "tikv-ctl", "tiup", "go-ycsb"],
    signatures: knowledge::SIGNATURES,
    knowledge: knowledge::KNOWLEDGE,
};

/// go-ycsb as the Compose file has it.
fn load_generator(load: LoadSpec) -> Addition {
    let distribution = match load.distribution {
        Distribution::Uniform => "uniform",
        Distribution::Zipfian => "zipfian",
        Distribution::Latest => "latest",
        Distribution::Hotspot => "hotspot",
    };
    Addition {
        profile: "load",
        service: "ycsb-run",
        node: "load",
        variables: vec![
            ("YCSB_WORKLOAD", load.workload.to_string()),
            ("YCSB_TARGET", load.rate.to_string()),
            ("YCSB_RECORDS", load.records.to_string()),
            ("YCSB_THREADS", load.threads.to_string()),
            ("YCSB_DISTRIBUTION", distribution.to_owned()),
            ("YCSB_VALUE_SIZE", load.value_size.to_string()),
        ],
    }
}

#[async_trait]
impl Subject for TiKv {
    fn manual(&self) -> &'static Manual {
        &MANUAL
    }

    fn cluster(&self, spec: &ClusterSpec, run: &str) -> Result<Box<dyn Cluster>, ClusterError> {
        if spec.backend == Backend::Compose {
            return Ok(Box::new(ComposeCluster::new(&PROJECT, run)?.with(spec.load.map(load_generator))));
        }
        let count = |role: &str| spec.nodes.get(role).copied().unwrap_or(3);
        let usual = Topology::default();
        let load = spec.load.or(usual.load);
        let topology = Topology { pd: count("pd"), tikv: count("tikv"), load, seed: spec.seed, ..usual };
        Ok(Box::new(EmbeddedCluster::new(topology)))
    }

    async fn prepare(
        &self,
        cluster: &dyn Cluster,
        spec: &ClusterSpec,
        cancel: &CancellationToken,
    ) -> Result<(), ClusterError> {
        match spec.backend {
            Backend::Embedded => Ok(()),
            Backend::Compose => {
                prepare::prepare(cluster, spec.load.unwrap_or(LoadSpec::RECORDED).records, cancel).await
            }
        }
    }

    async fn observe(&self, cluster: &dyn Cluster) -> Observation {
        observe::observe(cluster).await
    }
}
