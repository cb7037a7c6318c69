//! How much faster than the real thing the embedded model is: virtual time over wall time, in one run.
//!
//! `cargo bench --bench embedded`

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use operator_run::cluster::embedded::{EmbeddedCluster, Topology};
use operator_run::cluster::{Cluster, ClusterError, Fault, FaultKind};
use operator_run::reading::NodeName;
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
    Ok(())
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
