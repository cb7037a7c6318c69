//! A running instance of a subject, on a backend; what can be done to it, and how that is undone.
//!
//! A cluster knows nodes and processes. It knows nothing of what they mean: that is the subject's.

pub mod attached;
pub mod compose;
pub mod embedded;
mod fault;
mod fingerprint;
mod fork;
mod load;
mod signal;

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

pub use self::load::{Distribution, LoadSpec, Mix, Workload};
use crate::clock::{Clock, Interrupted};
use crate::http::Http;
use crate::reading::NodeName;

pub use fault::{Connection, CpuLimits, Direction, Fault, FaultKind, MemoryLimits, Undo};
pub use fingerprint::Fingerprint;
pub use fork::{Fork, Toll};
pub use signal::Signal;

/// Where a cluster runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// A model of it, in this process, in virtual time.
    Embedded,
    /// Real containers, by Docker Compose.
    Compose,
}

impl fmt::Display for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Embedded => "embedded",
            Self::Compose => "compose",
        })
    }
}

/// One member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name, which is also its host name inside the cluster.
    pub name: NodeName,
    /// What it is: `pd`, `tikv`, `etcd`, `prometheus`.
    pub role: String,
}

/// What the machine that runs a node says of its process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessState {
    /// It runs.
    Running,
    /// It exists and does nothing: its container is frozen, or the model has stopped it. What SIGSTOP has stopped in a
    /// container counts as running, since that is what the engine says.
    Paused,
    /// It has ended.
    Exited {
        /// The exit code; 128 + n if signal n ended it.
        code: i64,
        /// The kernel ended it for want of memory.
        out_of_memory: bool,
    },
}

impl fmt::Display for ProcessState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => write!(formatter, "running"),
            Self::Paused => write!(formatter, "paused"),
            Self::Exited { code, out_of_memory: false } => write!(formatter, "exited({code})"),
            Self::Exited { code, out_of_memory: true } => write!(formatter, "exited({code}, out of memory)"),
        }
    }
}

/// A line of a node's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// Who wrote it.
    pub node: NodeName,
    /// The line, without its end.
    pub text: String,
}

/// Why something could not be done to or with a cluster. Never a verdict on the diagnosis.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The run was asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The environment did not do what was asked of it.
    #[error("{step}: {reason}")]
    Environment {
        /// What was being done.
        step: String,
        /// What went wrong.
        reason: String,
        /// What a person can do about it.
        advice: String,
    },
    /// The cluster has no such node.
    #[error("the cluster has no node {0}")]
    NoSuchNode(NodeName),
    /// A fault was done and had no effect, as was seen at once.
    #[error("no effect: {0}")]
    NoEffect(String),
}

impl ClusterError {
    /// An error of the environment, with what to do about it.
    pub fn environment(step: impl Into<String>, reason: impl fmt::Display, advice: impl Into<String>) -> Self {
        Self::Environment { step: step.into(), reason: reason.to_string(), advice: advice.into() }
    }

    /// What a person can do about it; empty if there is nothing to say.
    #[must_use]
    pub fn advice(&self) -> &str {
        if let Self::Environment { advice, .. } = self { advice } else { "" }
    }
}

/// A running instance of a subject.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Its members, in a fixed order.
    fn nodes(&self) -> &[Node];

    /// Its time.
    fn clock(&self) -> &dyn Clock;

    /// The way to its endpoints.
    fn http(&self) -> &dyn Http;

    /// Starts every node and waits until each is healthy by its own measure.
    async fn up(&self, cancel: &CancellationToken) -> Result<(), ClusterError>;

    /// Whether this machine can do such faults: an error if not, before the cluster is brought up for nothing.
    async fn check_means(&self, _kinds: &[&FaultKind]) -> Result<(), ClusterError> {
        Ok(())
    }

    /// What the machine says of a node's process.
    async fn process(&self, node: &NodeName) -> Result<ProcessState, ClusterError>;

    /// What will undo a fault, as things are now. It is asked for before the fault is done.
    async fn undo(&self, fault: &Fault) -> Result<Undo, ClusterError> {
        Ok(fault.undo())
    }

    /// Does a fault, and returns when it was done.
    async fn inject(&self, fault: &Fault) -> Result<(), ClusterError>;

    /// Whether the fault shows: none if it does, else what was seen instead.
    async fn missing_effect(&self, fault: &Fault) -> Result<Option<String>, ClusterError>;

    /// Why a fault does not act any more though nobody undid it, if there is one.
    async fn ended_fault(&self) -> Option<String> {
        None
    }

    /// Undoes a fault, and returns when its end was seen. Undoing what is undone already is no error.
    async fn heal(&self, undo: &Undo) -> Result<(), ClusterError>;

    /// Adds a node of a role beside those that there are, on a machine of its own, and starts it. Returns its name.
    fn add_node(&mut self, role: &str) -> Result<NodeName, ClusterError> {
        let advice = "run the scenario on the backend embedded";
        Err(ClusterError::environment(format!("adding a {role} node"), "the backend has no machine for it", advice))
    }

    /// A copy with a future of its own: whatever happens to the one does not touch the other. None if there can be none.
    fn fork(&self) -> Option<Box<dyn Fork>> {
        None
    }

    /// How its nodes are, as far as faults change that: taken before and after them, the two are the same.
    async fn fingerprint(&self) -> Result<Fingerprint, ClusterError>;

    /// The log lines of all nodes written since a time, oldest first.
    async fn logs(&self, since: Timestamp) -> Result<Vec<LogLine>, ClusterError>;

    /// Takes the cluster down and proves that nothing of it is left. Taking down what is down already is no error.
    async fn down(&self) -> Result<(), ClusterError>;
}
