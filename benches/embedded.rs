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
const ROUNDS: u32 = 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = io::stdout().lock();
    writeln!(out, "{SPAN:?} of virtual time, the median of {ROUNDS} rounds")?;
    for (name, killed) in [("quiet", None), ("one store dead", Some(NodeName::from("tikv1")))] {
        let mut rounds = Vec::new();
        for seed in 0..ROUNDS {
            rounds.push(round(u64::from(seed), killed.as_ref()).await?);
        }
        rounds.sort();
        let median = rounds[rounds.len() / 2];
        let factor = SPAN.as_secs_f64() / median.as_secs_f64();
        writeln!(out, "{name:<16} {median:>10.2?}   {factor:>10.0} times as fast as the real thing")?;
    }
    Ok(())
}

/// The wall time of one span.
async fn round(seed: u64, killed: Option<&NodeName>) -> Result<Duration, ClusterError> {
    let cluster = EmbeddedCluster::new(Topology { seed, ..Topology::default() });
    cluster.up(&CancellationToken::new()).await?;
    if let Some(node) = killed {
        cluster.inject(&Fault::new(FaultKind::Kill, node.clone())).await?;
    }
    let start = Instant::now();
    cluster.clock().sleep(SPAN).await;
    Ok(start.elapsed())
}
