//! The types of a scenario file. Their JSON Schema, which editors read, is made from them, and a file is checked against
//! it before it is read into them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cluster::{Distribution, FaultKind, LoadSpec, Workload};
use crate::grade::rubric::Rubric;
use crate::reading::NodeName;

/// The format name of a span in the JSON Schema.
pub(super) const SPAN_FORMAT: &str = "span";
/// The format name of a rate in the JSON Schema.
pub(super) const RATE_FORMAT: &str = "rate";
/// The format name of an end of a fault in the JSON Schema.
pub(super) const UNTIL_FORMAT: &str = "until";

/// A span of time with its unit: `500ms`, `10s`, `1m30s`, `5m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// Reads a span.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected a span with its unit, such as 500ms, 10s or 1m30s";
        let span: SignedDuration = text.parse().map_err(|_| expected.to_owned())?;
        Duration::try_from(span).map(Self).map_err(|_| format!("{expected}; it cannot be negative"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SignedDuration::try_from(self.0) {
            Ok(span) => write!(formatter, "{span:#}"),
            Err(_) => write!(formatter, "{:?}", self.0),
        }
    }
}

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
    /// Reads an end of a fault.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "graded" => Ok(Self::Graded),
            "detected" => Ok(Self::Detected),
            text => Span::parse(text)
                .map(Self::After)
                .map_err(|_| "expected `graded`, `detected` or a span such as 30s".to_owned()),
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

/// So many a second: `500/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub u32);

impl Rate {
    /// Reads a rate.
    pub fn parse(text: &str) -> Result<Self, String> {
        let count = text.strip_suffix("/s").and_then(|count| count.parse().ok());
        count.map(Self).ok_or_else(|| "expected so many a second, such as 500/s".to_owned())
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/s", self.0)
    }
}

/// Gives a type that is written as a word its serde and schema: its `parse` reads it, `Display` writes it.
macro_rules! written_as_word {
    ($type:ident, $format:expr, $description:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format, "description": $description })
            }
        }
    };
}

written_as_word!(Span, SPAN_FORMAT, "A span of time with its unit: 500ms, 10s, 1m30s, 5m.");
written_as_word!(Rate, RATE_FORMAT, "So many a second: 500/s.");
written_as_word!(Until, UNTIL_FORMAT, "graded, detected, or a span such as 30s.");

/// A scenario: a cluster, what is done to it, what must be seen, and how the diagnosis is graded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name: the name of its snapshots. Letters, digits, `-` and `_`.
    pub name: String,
    /// What happens, in a few words.
    pub title: String,
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

/// One fault: what is done, when, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultEntry {
    /// SIGKILL to the process of a node.
    #[serde(default)]
    pub kill: Option<ToNode>,
    /// SIGTERM to the process of a node: it ends in order. It counts as done when the process has ended.
    #[serde(default)]
    pub stop: Option<ToNode>,
    /// SIGSTOP to the process of a node: it exists and does nothing.
    #[serde(default)]
    pub pause: Option<ToNode>,
    /// A node is cut off from all others and from the observer.
    #[serde(default)]
    pub partition: Option<ToNode>,
    /// When, from the end of the steady time.
    #[serde(default = "immediately")]
    pub at: Span,
    /// Until when.
    #[serde(default)]
    pub until: Until,
}

impl FaultEntry {
    /// What is done and to which node: of an entry that was checked, exactly one.
    pub fn acts(&self) -> impl Iterator<Item = (FaultKind, &Target)> {
        let acts = [
            (FaultKind::Kill, &self.kill),
            (FaultKind::Stop, &self.stop),
            (FaultKind::Pause, &self.pause),
            (FaultKind::Partition, &self.partition),
        ];
        acts.into_iter().filter_map(|(kind, act)| act.as_ref().map(|act| (kind, &act.target)))
    }
}

/// What is done to one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToNode {
    /// Which node.
    pub target: Target,
}

/// Which node a fault is done to: one by name, or one of a role by a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The node's name.
    #[serde(default)]
    pub node: Option<NodeName>,
    /// The role to pick from.
    #[serde(default)]
    pub role: Option<String>,
    /// The rule to pick by.
    #[serde(default)]
    pub pick: Option<Pick>,
}

/// The rule that picks a node of a role when the fault is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pick {
    /// The leader of the role's own group.
    Leader,
    /// The node that leads most.
    MostLeaders,
    /// Any, by the seed.
    Random,
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

fn seconds(seconds: u64) -> Span {
    Span(Duration::from_secs(seconds))
}

fn immediately() -> Span {
    seconds(0)
}

fn ten_seconds() -> Span {
    seconds(10)
}
