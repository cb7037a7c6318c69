//! `operator-run cluster up`: a modelled cluster on ports of this machine, to look at.

use std::fmt::Write as _;
use std::sync::Arc;

use clap::{Args, Subcommand};
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, complain, print};
use super::signals;
use crate::cluster::embedded::serve::{self, Options, Served};
use crate::cluster::embedded::{EmbeddedCluster, Topology};
use crate::cluster::{Backend, Cluster, LoadSpec, Workload};

#[derive(Debug, Args)]
pub(super) struct ClusterArgs {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Starts a cluster, serves its nodes on loopback, and runs until Ctrl-C.
    Up(UpArgs),
}

#[derive(Debug, Args)]
struct UpArgs {
    /// Where the cluster runs; only a modelled one is served.
    #[arg(long, value_enum, default_value_t = Backend::Embedded)]
    backend: Backend,

    /// What the cluster is of.
    #[arg(long, value_parser = ["tikv"], default_value = "tikv")]
    subject: String,

    /// How many members PD has.
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    pd: u16,

    /// How many stores there are.
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=999))]
    tikv: u16,

    /// How many regions there are.
    #[arg(long, value_name = "COUNT", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    regions: u32,

    /// The load on it, as go-ycsb's workload of this letter; without it clients ask for nothing.
    #[arg(long, value_enum)]
    workload: Option<Workload>,

    /// How many operations a second the clients begin.
    #[arg(long, value_name = "COUNT", default_value_t = 100, requires = "workload")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,

    /// The seed of everything that is drawn by lot.
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// The port of the first node, the others following; 0 for any that are free.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port_base: u16,

    /// How many seconds pass in the cluster in each second here.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = speed)]
    speed: f64,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.01..=1000.0).contains(&speed) { Ok(speed) } else { Err("it must be from 0.01 to 1000".to_owned()) }
}

pub(super) async fn run(arguments: &ClusterArgs) -> Exit {
    let Act::Up(arguments) = &arguments.act;
    if arguments.backend != Backend::Embedded {
        return complain(Exit::Usage, "only a cluster on the backend embedded is served: leave --backend out");
    }
    let signal = match signals::next() {
        Ok(signal) => signal,
        Err(error) => return complain(Exit::Environment, &format!("cannot listen for signals: {error}")),
    };
    let topology = Topology {
        pd: arguments.pd.into(),
        tikv: arguments.tikv.into(),
        regions: usize::try_from(arguments.regions).unwrap_or(usize::MAX),
        load: arguments.workload.map(|workload| LoadSpec::new(workload, arguments.rate)),
        seed: arguments.seed,
    };
    let cluster = Arc::new(EmbeddedCluster::new(topology));
    if let Err(error) = cluster.up(&CancellationToken::new()).await {
        return complain(Exit::Environment, &format!("{error}\n{}", error.advice()));
    }
    let options = Options { port_base: arguments.port_base, speed: arguments.speed };
    let served = match serve::serve(&cluster, options).await {
        Ok(served) => served,
        Err(error) => return complain(Exit::Environment, &format!("cannot serve the cluster: {error}")),
    };
    let exit = print(&table(&served, cluster.clock().now(), arguments.speed));
    if exit == Exit::Pass {
        signal.await;
    }
    exit
}

fn table(served: &Served, now: jiff::Timestamp, speed: f64) -> String {
    let mut table = format!("{:<18}{}\n", "NODE", "HERE");
    for endpoint in &served.endpoints {
        let _ = writeln!(table, "{:<18}http://{}", endpoint.authority, endpoint.address);
    }
    let _ = writeln!(table, "\nIn the cluster it is {now}, and time runs at {speed} × the machine's. Ctrl-C ends it.");
    table
}
