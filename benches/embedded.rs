//! How much faster than the real thing the embedded model is: virtual time over wall time, in one run; and how long it
//! takes to try all remedies.
//!
//! `cargo bench --bench embedded`

use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use operator_run::cluster::embedded::{EmbeddedCluster, Topology};
use operator_run::cluster::{Backend, Cluster, ClusterError, Fault, FaultKind};
use operator_run::diagnosis::rules::Rules;
use operator_run::reading::NodeName;
use operator_run::run::{self, Context, Events, Extras, Plan, SnapshotPolicy, Update};
use operator_run::scenario;
use operator_run::store::Store;
use operator_run::subject::ClusterSpec;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const SPAN: Duration = Duration::from_mins(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = io::stdout().lock();
    let small = Topology::default();
    let large = Topology { pd: 7, tikv: 50, regions: 10_000, ..small };
    writeln!(out, "{SPAN:?} of virtual time, the median of some rounds")?;
    for (name, topology, killed, rounds) in [
        ("3 stores", small, None, 20),
        ("3 stores, no load", Topology { load: None, ..small }, None, 20),
        ("3 stores, one dead", small, Some(NodeName::from("tikv1")), 20),
        ("50 stores", large, None, 3),
    ] {
        let mut times = Vec::new();
        for seed in 0..rounds {
            times.push(round(Topology { seed, ..topology }, killed.as_ref()).await?);
        }
        times.sort();
        let median = times[times.len() / 2];
        let factor = SPAN.as_secs_f64() / median.as_secs_f64();
        writeln!(out, "{name:<20} {median:>10.2?}   {factor:>10.0} times as fast as the real thing")?;
    }
    let experiment = experiment().await?;
    writeln!(out, "every remedy tried for ten minutes each: {experiment:.2?}")?;
    Ok(())
}

/// The wall time that it takes to try all remedies in a scenario.
async fn experiment() -> Result<Duration, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/store-down.yaml");
    let loaded = scenario::load(&scenario)?;
    let cluster = ClusterSpec {
        backend: Backend::Embedded,
        nodes: loaded.scenario.cluster.nodes.clone(),
        seed: loaded.scenario.cluster.seed,
        load: None,
        disk: None,
    };
    let snapshots = SnapshotPolicy { folder: folder.path().join("snapshots"), update: Update::Accept };
    let store = Store::open(&folder.path().join("bench.db"))?;
    let diagnoser = Rules::new(loaded.subject, "in a benchmark");
    let (sender, _receiver) = mpsc::unbounded_channel();
    let (events, cancel) = (Events::new(sender), CancellationToken::new());
    let context = Context { diagnoser: &diagnoser, judge: None, store: &store, events: &events, cancel: &cancel };
    let mut took = [Duration::ZERO; 2];
    for (counterfactual, took) in [false, true].into_iter().zip(&mut took) {
        let extras = Extras { counterfactual, ..Extras::default() };
        let plan = Plan { loaded: loaded.clone(), cluster: cluster.clone(), snapshots: snapshots.clone(), extras };
        let start = Instant::now();
        run::run(&plan, context).await;
        *took = start.elapsed();
    }
    Ok(took[1].saturating_sub(took[0]))
}

/// The wall time of one span.
async fn round(topology: Topology, killed: Option<&NodeName>) -> Result<Duration, ClusterError> {
    let cluster = EmbeddedCluster::new(topology);
    cluster.up(&CancellationToken::new()).await?;
    if let Some(node) = killed {
        cluster.inject(&Fault::new(FaultKind::KILL, node.clone())).await?;
    }
    let start = Instant::now();
    cluster.clock().sleep(SPAN).await;
    Ok(start.elapsed())
}
