//! The types of a scenario file. Their JSON Schema, which editors read, is made from them, and a file is checked against
//! it before it is read into them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::entry::FaultEntry;
use crate::cluster::{Distribution, LoadSpec, Workload};
use crate::grade::rubric::Rubric;
use crate::reading::NodeName;
use crate::units::{Rate, Size, Span, written_as_word};

/// When a fault ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Until {
    /// When the diagnosis is graded.
    #[default]
    Graded,
    /// When the expected violations are detected.
    Detected,
    /// This long after its effect was seen.
    After(Span),
}

impl Until {
    /// The name of the format in the JSON Schema.
    pub(super) const FORMAT: &str = "until";
    /// What is expected where one is to stand.
    pub(super) const EXPECTED: &str = "`graded`, `detected` or a span such as 30s";

    /// Reads an end of a fault.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "graded" => Ok(Self::Graded),
            "detected" => Ok(Self::Detected),
            text => Span::parse(text).map(Self::After).map_err(|_| format!("expected {}", Self::EXPECTED)),
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Graded => formatter.write_str("graded"),
            Self::Detected => formatter.write_str("detected"),
            Self::After(span) => span.fmt(formatter),
        }
    }
}

written_as_word!(Until);

/// A scenario: a cluster, what is done to it, what must be seen, and how the diagnosis is graded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name: the name of its snapshots. Letters, digits, `-` and `_`.
    pub name: String,
    /// What happens, in a few words.
    pub title: String,
    /// A text that stands nowhere else. If it shows up in a question, the question tells the answer; if it does in an
    /// answer, the model has learned this file.
    #[serde(default)]
    pub canary: Option<String>,
    /// Words to choose scenarios by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The kind of system under test: `tikv` or `etcd`.
    pub subject: String,
    /// The cluster.
    #[serde(default)]
    pub cluster: ClusterPart,
    /// When the cluster is steady enough to begin.
    #[serde(default)]
    pub steady: Steady,
    /// How often the cluster is observed.
    #[serde(default)]
    pub monitor: MonitorPart,
    /// What is done to the cluster. None makes a control.
    #[serde(default)]
    pub faults: Vec<FaultEntry>,
    /// What must be seen.
    pub expect: Expect,
    /// How the diagnosis is graded. A control has none.
    #[serde(default)]
    pub rubric: Option<Rubric>,
    /// When the cluster must be well again.
    #[serde(default)]
    pub recover: Recover,
    /// How the remedies are tried on copies of the cluster, if a check asks for the `regret`.
    #[serde(default)]
    pub counterfactual: CounterfactualPart,
}

/// The cluster that a scenario wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterPart {
    /// How many nodes of each role; what is not named is as usual for the subject.
    pub nodes: BTreeMap<String, usize>,
    /// The seed of everything that is drawn by lot.
    pub seed: u64,
    /// What clients ask of it; if nothing is said, a little.
    pub load: Option<LoadPart>,
    /// The size of each data disk in containers, which `fill_disk` needs there; it is in memory.
    pub disk: Option<Size>,
}

/// What clients ask of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadPart {
    /// The workload of YCSB.
    pub workload: Workload,
    /// How many operations begin each second while none has to wait.
    pub rate: Rate,
    /// How many records there are; 10,000 if nothing is said.
    #[serde(default)]
    pub records: Option<u32>,
    /// How many operations can be under way at a time; if nothing is said, a tenth of the rate, at least 4.
    #[serde(default)]
    pub threads: Option<u32>,
    /// Which records are asked for; as usual for the workload if nothing is said.
    #[serde(default)]
    pub distribution: Option<Distribution>,
}

impl LoadPart {
    /// The whole load.
    #[must_use]
    pub fn spec(self) -> LoadSpec {
        let usual = LoadSpec::new(self.workload, self.rate.0);
        LoadSpec {
            records: self.records.unwrap_or(usual.records),
            threads: self.threads.unwrap_or(usual.threads),
            distribution: self.distribution.unwrap_or(usual.distribution),
            ..usual
        }
    }
}

/// When the cluster is steady.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Steady {
    /// How long every invariant must have held without a break.
    #[serde(rename = "for")]
    pub hold: Span,
    /// How long that may take.
    pub timeout: Span,
}

impl Default for Steady {
    fn default() -> Self {
        Self { hold: seconds(10), timeout: seconds(120) }
    }
}

/// How the cluster is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MonitorPart {
    /// The time from one poll to the next.
    pub every: Span,
}

impl Default for MonitorPart {
    fn default() -> Self {
        Self { every: seconds(2) }
    }
}

/// What must be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The violations that must be detected.
    #[serde(default)]
    pub violations: Vec<ExpectedViolation>,
    /// Invariants that may be violated as well; anything else that fires fails the run.
    #[serde(default)]
    pub allow: Vec<String>,
    /// How long the watch goes on after the expected violations are detected.
    #[serde(default = "ten_seconds")]
    pub watch: Span,
    /// For a control: how long nothing may fire.
    #[serde(default)]
    pub quiet: Option<Span>,
}

/// A violation that must be detected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedViolation {
    /// The invariant.
    pub invariant: String,
    /// Where: a node's name, `cluster`, or `target` for the node that the fault was done to.
    pub on: NodeName,
    /// How soon after the fault.
    pub within: Span,
}

/// When the cluster must be well again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Recover {
    /// How soon after the faults have ended every invariant must hold again.
    pub within: Span,
}

impl Default for Recover {
    fn default() -> Self {
        Self { within: seconds(120) }
    }
}

/// How the remedies are tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub struct CounterfactualPart {
    /// How long each copy is followed; twice as long as the cluster may take to recover if nothing is said, and at least ten
    /// minutes.
    pub horizon: Option<Span>,
}

fn seconds(seconds: u64) -> Span {
    Span(Duration::from_secs(seconds))
}

fn ten_seconds() -> Span {
    seconds(10)
}
