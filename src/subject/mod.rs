//! The kinds of system under test: how to observe each, what must hold, and what an operator of it knows. A new subject
//! is one folder here and one line in [`all`].

mod common;
pub mod etcd;
mod prometheus;
pub mod tikv;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::cluster::{Backend, Cluster, ClusterError, FaultKind, LoadSpec, Node};
use crate::http::{HttpError, Request};
use crate::reading::{NodeName, Observation, Unit, Value};
use crate::units::Size;

pub use common::{ACTIONS, CATEGORIES, TOOLS, actions, categories, tools};

/// The node that a reading or an invariant is about when it is about no single one.
pub const CLUSTER: &str = "cluster";

/// How long an endpoint may take to answer before its reading is unknown.
pub const ENDPOINT_TIMEOUT: Duration = Duration::from_secs(2);

/// A role of a subject's nodes, and how many of them a cluster can have.
#[derive(Debug, Clone)]
pub struct Role {
    /// Its name, which the nodes' names start with.
    pub name: &'static str,
    /// How many nodes of it there are if the scenario does not say.
    pub usual: usize,
    /// How many there may be.
    pub allowed: RangeInclusive<usize>,
    /// How many its Compose file has.
    pub in_containers: usize,
    /// What there is to lead in it.
    pub leads: Leads,
}

/// What the nodes of a role lead, by which a scenario picks its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leads {
    /// Their own group: one of them has the reading `is_leader` true.
    OneGroup,
    /// Many groups: each has the number of them in the reading `leaders`.
    ManyGroups,
}

/// What was found of an invariant on a node at one poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It holds.
    Holds,
    /// It does not, with what was seen.
    Violated(String),
    /// It can't be told, with the reason.
    Unknown(String),
}

/// What must hold of a subject.
#[derive(Debug, Clone)]
pub struct Invariant {
    /// Its name in scenarios and tickets: what is wrong when it is violated.
    pub name: &'static str,
    /// What must hold, in a sentence.
    pub demands: &'static str,
    /// The roles whose nodes it is checked on; [`CLUSTER`] for the cluster as a whole.
    pub roles: &'static [&'static str],
    /// How long it may be violated before that is a violation.
    pub grace: Duration,
    /// Whether it must be known to hold for a node to be well. What is made from metrics or logs need not be: there is
    /// none of it in the first minute, without traffic, or where nothing gathers it.
    pub required: bool,
    /// Checks it on one node.
    pub check: fn(&Observation, &NodeName) -> Finding,
}

/// How soon and how late after a fault an invariant can be violated: what the system itself decides, whoever watches it.
#[derive(Debug, Clone, Copy)]
pub struct Onset {
    /// The invariant.
    pub invariant: &'static str,
    /// The faults that it holds for, each alone and done to a cluster that is well.
    pub of: fn(&FaultKind) -> bool,
    /// How soon after the fault at the earliest.
    pub earliest: Duration,
    /// How late after it at the latest.
    pub latest: Duration,
    /// Where both come from.
    pub source: &'static str,
}

/// A word of a closed list, and what it means.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Term {
    /// The word, as a diagnosis uses it.
    pub name: &'static str,
    /// What it means.
    pub means: &'static str,
}

/// Something an operator can do.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Action {
    /// The word, as a diagnosis uses it.
    pub name: &'static str,
    /// What it does.
    pub does: &'static str,
    /// What it risks.
    pub risk: &'static str,
    /// Whether what it does can be undone.
    pub reversible: bool,
    /// The first command to type; `{node}` stands for the node's name.
    pub command: &'static str,
}

/// One thing to look for on the suspected node, or on the others of its role.
#[derive(Debug, Clone, Copy)]
pub struct Sign {
    /// Which nodes to look at.
    pub on: Scope,
    /// The name of the reading.
    pub reading: &'static str,
    /// What it must be.
    pub expected: Expected,
    /// How much it tells.
    pub weight: f64,
}

/// Where a sign is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The node of the ticket.
    Suspect,
    /// Every other node of the same role.
    Peers,
    /// At least one other node of the same role.
    SomePeer,
    /// The cluster as a whole.
    Cluster,
}

/// What a reading must be for a sign to be there.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// One of these words; a truth value is `true` or `false`.
    OneOf(&'static [&'static str]),
    /// Another word than this.
    Not(&'static str),
    /// At least this number.
    AtLeast(f64),
    /// At most this number.
    AtMost(f64),
}

/// How a cause shows, and what a careful operator then does: what the `rules` diagnoser knows.
#[derive(Debug, Clone, Copy)]
pub struct Signature {
    /// The role of the nodes that it can be found on.
    pub role: &'static str,
    /// The cause.
    pub category: &'static str,
    /// How the cause leads to what is seen, in a sentence.
    pub explanation: &'static str,
    /// What it looks like.
    pub signs: &'static [Sign],
    /// The actions worth weighing, the best first.
    pub actions: &'static [&'static str],
    /// What a cluster in this state can still do for its clients.
    pub impact: SignatureImpact,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The service is gone or data is being lost.
    Critical,
    /// The service goes on without the reserve that it needs.
    Major,
    /// The service goes on, and little is missing.
    Minor,
    /// Nothing is wrong.
    None,
}

/// What the clients can still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// Everything.
    Full,
    /// Some requests fail or are slow, or there is no reserve left.
    Degraded,
    /// Nothing, or nothing that matters.
    Lost,
}

/// What a cause means for the clients, as far as a rule can know.
#[derive(Debug, Clone, Copy)]
pub struct SignatureImpact {
    /// How bad it is.
    pub severity: Severity,
    /// What the clients can still do.
    pub availability: Availability,
    /// Whether acknowledged writes may be lost.
    pub data_at_risk: bool,
    /// Why, in a sentence.
    pub explanation: &'static str,
}

/// What a scenario asks for in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSpec {
    /// Where it runs.
    pub backend: Backend,
    /// How many nodes of each role.
    pub nodes: BTreeMap<String, usize>,
    /// The seed of everything that is drawn by lot.
    pub seed: u64,
    /// What clients ask of it, if the scenario says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadSpec>,
    /// How large the disk of each node is that keeps data; the machine's own if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Size>,
}

/// What is known of a subject.
#[derive(Debug)]
pub struct Manual {
    /// Its name in scenarios.
    pub name: &'static str,
    /// Where it can run; the first is used if nothing is said.
    pub backends: &'static [Backend],
    /// The roles of its nodes.
    pub roles: &'static [Role],
    /// Whether a scenario can say what clients ask of it.
    pub takes_load: bool,
    /// Whether its disks in containers can be given a size.
    pub sizes_disks: bool,
    /// What must hold.
    pub invariants: &'static [Invariant],
    /// When they can be violated after a fault, as far as a source says so.
    pub onsets: &'static [Onset],
    /// The readings that say in a word how a node is.
    pub headline: &'static [&'static str],
    /// The causes that only this subject has, beside [`CATEGORIES`].
    pub categories: &'static [Term],
    /// What its operator can do, beside [`ACTIONS`].
    pub actions: &'static [Action],
    /// The programs that its operator works with, beside [`TOOLS`].
    pub tools: &'static [&'static str],
    /// How causes show.
    pub signatures: &'static [Signature],
    /// What an operator of it knows, for the prompt.
    pub knowledge: &'static str,
}

/// A kind of system under test.
#[async_trait]
pub trait Subject: Send + Sync {
    /// What is known of it.
    fn manual(&self) -> &'static Manual;

    /// Makes a cluster, not yet up. `run` is the id that all it creates is labelled with.
    fn cluster(&self, spec: &ClusterSpec, run: &str) -> Result<Box<dyn Cluster>, ClusterError>;

    /// Brings a cluster whose nodes are up to where a scenario can begin, if that takes more than their being up.
    async fn prepare(
        &self,
        _cluster: &dyn Cluster,
        _spec: &ClusterSpec,
        _cancel: &CancellationToken,
    ) -> Result<(), ClusterError> {
        Ok(())
    }

    /// Reads everything once. What can't be read is in the observation as unknown.
    async fn observe(&self, cluster: &dyn Cluster) -> Observation;

    /// Its name in scenarios.
    fn name(&self) -> &'static str {
        self.manual().name
    }
}

/// The invariant that the monitor keeps by itself for every subject: what must hold can be told.
pub const UNREACHABLE: &str = "subject_unreachable";

/// The nodes of a cluster with so many of each role, in the order of the roles.
#[must_use]
pub fn nodes(subject: &dyn Subject, counts: &BTreeMap<String, usize>) -> Vec<Node> {
    let of_role = |role: &Role| {
        let count = counts.get(role.name).copied().unwrap_or(role.usual);
        let name = role.name;
        (0..count).map(move |index| Node { name: NodeName(format!("{name}{index}")), role: name.to_owned() })
    };
    subject.manual().roles.iter().flat_map(of_role).collect()
}

/// The subjects, by name.
#[must_use]
pub fn all() -> Vec<&'static dyn Subject> {
    vec![&tikv::TiKv, &etcd::Etcd]
}

/// What the `process` reading says of a process that ended by a signal that nobody sends in order, or by an error:
/// exit codes 1 and 2, SIGABRT, SIGKILL, SIGSEGV.
const CRASHED: &[&str] = &["exited(1)", "exited(2)", "exited(134)", "exited(137)", "exited(139)"];

/// The nodes that an invariant is checked on.
#[must_use]
pub fn nodes_of(invariant: &Invariant, nodes: &[Node]) -> Vec<NodeName> {
    if invariant.roles == [CLUSTER] {
        return vec![CLUSTER.into()];
    }
    nodes.iter().filter(|node| invariant.roles.contains(&node.role.as_str())).map(|node| node.name.clone()).collect()
}

/// Reads the state of every node's process. It is what `docker ps` would show.
async fn observe_processes(cluster: &dyn Cluster, observation: &mut Observation) {
    let states = cluster.nodes().iter().map(|node| async { (&node.name, cluster.process(&node.name).await) });
    for (node, state) in join_all(states).await {
        let state = state.map_or_else(Value::unknown, |state| Value::Text(state.to_string()));
        observation.push("process", node, "process", state, Unit::None);
    }
}

/// Asks an endpoint for JSON.
async fn ask<T: serde::de::DeserializeOwned>(cluster: &dyn Cluster, request: Request) -> Result<T, HttpError> {
    cluster.http().send(&request).await?.json(&request)
}

/// What an endpoint's answer says of itself: `answers`, or in a word why it does not.
fn reachability<T>(answer: &Result<T, HttpError>) -> Value {
    Value::Text(answer.as_ref().map_or_else(HttpError::word, |_| "answers".to_owned()))
}

/// Checks that a reading on a node is one of the words given.
fn check_word(observation: &Observation, node: &NodeName, name: &str, good: &[&str]) -> Finding {
    match observation.value(node, name) {
        Value::Text(word) if good.contains(&word.as_str()) => Finding::Holds,
        Value::Unknown { unknown } => Finding::Unknown(unknown),
        value => Finding::Violated(format!("{name} is {value}")),
    }
}

/// Checks that the cluster has a leader: the name of one, or `none`.
fn check_leader(observation: &Observation, node: &NodeName, name: &str) -> Finding {
    match observation.value(node, name) {
        Value::Text(leader) if leader == "none" => Finding::Violated("no member knows a leader".to_owned()),
        Value::Text(_) => Finding::Holds,
        value => Finding::Unknown(value.to_string()),
    }
}
