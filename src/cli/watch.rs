//! `operator-run watch`: a cluster that is there already, watched until a signal comes.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use clap::builder::PossibleValuesParser;
use indicatif::MultiProgress;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::diagnoser::{DiagnoserArgs, Diagnosers};
use super::exit::{Exit, Refusal, complain};
use super::run::draw;
use crate::cluster::attached::AttachedCluster;
use crate::report::terminal::{Stream, Terminal};
use crate::run::{Context, Events, OnCall, watch};
use crate::store::Store;
use crate::subject::{self, Subject};
use crate::units::Span;

const EXAMPLES: &str = "\
Examples:
  operator-run watch                                where pd0:2379, tikv0:20180, prometheus:9090 … have addresses
  operator-run watch --nodes pd=1,tikv=4 --every 5s
  operator-run watch --address pd0:2379=127.0.0.1:12000 --address prometheus:9090=127.0.0.1:12012

What the machines say of processes and logs is not seen from outside, and is unknown.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WatchArgs {
    /// What kind of system it is.
    #[arg(long, default_value = "tikv", value_parser = names())]
    subject: String,

    /// How many nodes of each role there are, such as pd=3,tikv=3 [default: as usual for the subject]
    #[arg(long, value_name = "ROLE=COUNT", value_delimiter = ',', value_parser = count)]
    nodes: Vec<(String, usize)>,

    /// Where an endpoint is reached if not by its own name.
    #[arg(long, value_name = "ENDPOINT=HOST:PORT", value_parser = address)]
    address: Vec<(String, String)>,

    /// The time from one poll to the next.
    #[arg(long, default_value = "2s", value_parser = Span::parse)]
    every: Span,

    #[command(flatten)]
    diagnoser: DiagnoserArgs,
}

fn names() -> PossibleValuesParser {
    subject::all().into_iter().map(Subject::name).collect::<Vec<_>>().into()
}

fn count(text: &str) -> Result<(String, usize), String> {
    let (role, count) = text.split_once('=').ok_or("expected such as tikv=3")?;
    Ok((role.to_owned(), count.parse().map_err(|error| format!("`{count}`: {error}"))?))
}

fn address(text: &str) -> Result<(String, String), String> {
    let (endpoint, address) = text.split_once('=').ok_or("expected such as pd0:2379=127.0.0.1:12000")?;
    Ok((endpoint.to_owned(), address.to_owned()))
}

pub(super) async fn run(
    arguments: &WatchArgs,
    database: &Path,
    screen: &MultiProgress,
    cancel: &CancellationToken,
) -> Exit {
    match attend(arguments, database, screen, cancel).await {
        Ok(()) => Exit::Pass,
        Err(Refusal(exit, message)) => complain(exit, &message),
    }
}

async fn attend(
    arguments: &WatchArgs,
    database: &Path,
    screen: &MultiProgress,
    cancel: &CancellationToken,
) -> Result<(), Refusal> {
    let environment = |error: &dyn std::fmt::Display| Refusal(Exit::Environment, error.to_string());
    let subject = subject::all().into_iter().find(|known| known.name() == arguments.subject);
    let subject = subject.ok_or_else(|| Refusal(Exit::Usage, format!("unknown subject {}", arguments.subject)))?;
    let nodes = subject::nodes(subject, &counts(arguments, subject)?);
    let addresses = arguments.address.iter().cloned().collect();
    let cluster = AttachedCluster::new(nodes, addresses).map_err(|error| environment(&error))?;
    let diagnosers = Diagnosers::new(&arguments.diagnoser, |name| std::env::var(name).ok())?;
    let diagnoser = diagnosers.of(subject, "watch")?;
    let store = Store::open(database).map_err(|error| environment(&error))?;
    let (sender, receiver) = mpsc::unbounded_channel();
    let terminal = tokio::spawn(draw(Terminal::new(Stream::Stdout, screen), receiver));
    let events = Events::new(sender);
    let context = Context { diagnoser: diagnoser.as_ref(), judge: None, store: &store, events: &events, cancel };
    let plan = OnCall { subject, cluster: &cluster, every: arguments.every.0 };
    let outcome = watch(&plan, context).await;
    drop(events);
    if let Ok(terminal) = terminal.await {
        terminal.close();
    }
    outcome.map_err(|error| environment(&error))
}

/// The counts of nodes that were asked for, if the subject can have them.
fn counts(arguments: &WatchArgs, subject: &dyn Subject) -> Result<BTreeMap<String, usize>, Refusal> {
    let roles = subject.manual().roles;
    for (role, count) in &arguments.nodes {
        let names: Vec<&str> = roles.iter().map(|role| role.name).collect();
        let usage = |message: String| Err(Refusal(Exit::Usage, format!("--nodes: {message}")));
        match roles.iter().find(|known| known.name == role) {
            None => return usage(format!("unknown role `{role}`; there are {}", names.join(" and "))),
            Some(known) if !known.allowed.contains(count) => {
                let (least, most) = (known.allowed.start(), known.allowed.end());
                return usage(format!("there can be {least} to {most} {role}, not {count}"));
            }
            Some(_) => {}
        }
    }
    if arguments.every.0.is_zero() {
        return Err(Refusal(Exit::Usage, "--every: the time from one poll to the next cannot be zero".to_owned()));
    }
    Ok(arguments.nodes.iter().cloned().collect())
}
