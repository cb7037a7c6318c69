//! Why a run could not be brought to a verdict on the diagnosis.

use std::time::Duration;

use crate::clock::Interrupted;
use crate::cluster::ClusterError;
use crate::diagnosis::DiagnoserError;
use crate::diagnosis::prompt::PromptError;
use crate::grade::rubric::Grade;
use crate::reading::NodeName;
use crate::store::StoreError;

use super::snapshot::SnapshotError;

/// An error of the harness or the environment: never a pass, and never a fail of the reasoning.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The run was asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// The cluster.
    #[error("{}", with_advice(.0))]
    Cluster(ClusterError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The diagnoser.
    #[error("no diagnosis: {0}")]
    Diagnoser(#[from] DiagnoserError),
    /// The snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Something could not be written as JSON.
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Something could not be written as YAML.
    #[error("cannot write YAML: {0}")]
    Yaml(#[from] serde_yaml::Error),
    /// The cluster was never steady.
    #[error("the cluster was not steady within {timeout:?}: {reason}")]
    NotSteady {
        /// How long it was waited for.
        timeout: Duration,
        /// What did not hold.
        reason: String,
    },
    /// There is a violation and no observation of it.
    #[error("nothing was observed to diagnose from; this is a bug in operator-run")]
    NothingObserved,
    /// The scenario's rule did not find a node.
    #[error("no target: the readings do not tell which node to pick ({0})")]
    NoTarget(String),
    /// A fault was done and did nothing.
    #[error("fault did not bite: {fault}: after {within:?}, {seen}")]
    DidNotBite {
        /// What was done.
        fault: String,
        /// How long its effect was waited for.
        within: Duration,
        /// What was seen instead.
        seen: String,
    },
    /// Something was violated before any fault was done.
    #[error("invalid: {invariant} on {node} was violated before the fault: {because}")]
    BeforeTheFault {
        /// The invariant.
        invariant: String,
        /// Where.
        node: NodeName,
        /// What was seen.
        because: String,
    },
    /// A violation was detected before the fault can have led to it.
    #[error(
        "invalid: {invariant} on {node} was detected {after} s after the fault, which cannot lead to it before {earliest} s: \
         something else was detected ({source_of_bound})"
    )]
    TooEarly {
        /// The invariant.
        invariant: String,
        /// Where.
        node: NodeName,
        /// Seconds after the effect of the fault.
        after: f64,
        /// Seconds after the fault at the earliest.
        earliest: f64,
        /// Where that comes from.
        source_of_bound: String,
    },
    /// What a fault has changed is still there though it was undone.
    #[error("left on the cluster, though every fault was undone: {}", .0.join("; "))]
    LeftOnCluster(Vec<String>),
    /// A fault that was to act does not any more.
    #[error("a fault ended by itself: {0}")]
    Ended(String),
    /// The question would have told the answer.
    #[error("leaked: the question to the diagnoser contains {what} (`{text}`)")]
    Leaked {
        /// What it is.
        what: &'static str,
        /// Its text.
        text: String,
    },
    /// The prompt could not be written.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// The run's observations were not kept.
    #[error("nothing was kept of what this run observed: run the scenario again with --record-observations")]
    NoObservations,
    /// The model quotes what only the scenario's file says.
    #[error("remembered: the answer contains the scenario's canary (`{canary}`), so the model has learned the file")]
    Remembered {
        /// The canary.
        canary: String,
    },
    /// Required checks were neither met nor missed.
    #[error("undecided: {0}")]
    Undecided(String),
    /// A bug in this program or in what it was given.
    #[error("panic: {0}; this is a bug in operator-run")]
    Panicked(String),
}

impl From<ClusterError> for RunError {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::Interrupted(_) => Self::Interrupted,
            error => Self::Cluster(error),
        }
    }
}

impl From<Interrupted> for RunError {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}

impl RunError {
    /// Of a grade that required checks leave open; none if there are no such checks, or if it fails whatever they are.
    pub(super) fn of_grade(grade: &Grade) -> Option<Self> {
        let open = grade.undecided();
        let reasons = open.iter().map(|check| format!("the required check {} is {}", check.id, check.found));
        (!open.is_empty()).then(|| Self::Undecided(reasons.collect::<Vec<_>>().join("; ")))
    }
}

fn with_advice(error: &ClusterError) -> String {
    match error.advice() {
        "" => error.to_string(),
        advice => format!("{error} ({advice})"),
    }
}
