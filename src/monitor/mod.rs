//! Watches the invariants: three-valued, each with its grace period. An unknown neither opens nor resolves anything; a
//! node of which nothing can be told for too long is a violation of its own.
//!
//! It sees observations, and never the cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::span_between;
use crate::cluster::Node;
use crate::reading::{NodeName, Observation};
use crate::subject::{self, Finding, Invariant, UNREACHABLE};

/// How long every required invariant on a node may be unknown until that is a violation of its own.
pub const UNKNOWN_GRACE: Duration = Duration::from_secs(30);

/// An invariant that has not held on a node for longer than its grace period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The invariant.
    pub invariant: String,
    /// What it demands.
    pub demands: String,
    /// Where.
    pub node: NodeName,
    /// What was seen.
    pub because: String,
    /// When it was first seen, its grace before the detection.
    pub since: Timestamp,
}

/// What a poll has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A violation began.
    Violated(Violation),
    /// A violation ended: the invariant holds again.
    Resolved {
        /// The invariant.
        invariant: String,
        /// Where.
        node: NodeName,
    },
}

/// What is known of one invariant on one node.
#[derive(Debug, Clone, Default)]
struct Watched {
    violated_since: Option<Timestamp>,
    fired: bool,
}

/// The state of the watch.
pub struct Monitor {
    invariants: &'static [Invariant],
    nodes: Vec<Node>,
    watched: BTreeMap<(&'static str, NodeName), Watched>,
    /// The nodes of which nothing can be told.
    unreachable: BTreeMap<NodeName, Watched>,
    healthy: bool,
}

impl Monitor {
    /// A watch over the invariants on these nodes.
    #[must_use]
    pub fn new(invariants: &'static [Invariant], nodes: &[Node]) -> Self {
        Self {
            invariants,
            nodes: nodes.to_vec(),
            watched: BTreeMap::new(),
            unreachable: BTreeMap::new(),
            healthy: false,
        }
    }

    /// Whether every invariant held on every node at the last poll: none violated, not even within its grace period, none
    /// unknown that is required, and none unknown that was violated when it was last known.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.healthy
    }

    /// Evaluates every invariant on an observation, and returns what it changes.
    pub fn poll(&mut self, observation: &Observation) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut unknown: BTreeMap<NodeName, Option<String>> = BTreeMap::new();
        self.healthy = true;
        for invariant in self.invariants {
            for node in subject::nodes_of(invariant, &self.nodes) {
                let finding = (invariant.check)(observation, &node);
                match &finding {
                    _ if !invariant.required => {}
                    Finding::Unknown(reason) => {
                        unknown.entry(node.clone()).or_insert_with(|| Some(reason.clone()));
                    }
                    Finding::Holds | Finding::Violated(_) => {
                        unknown.insert(node.clone(), None);
                    }
                }
                let watched = self.watched.entry((invariant.name, node.clone())).or_default();
                self.healthy &= match &finding {
                    Finding::Holds => true,
                    Finding::Violated(_) => false,
                    Finding::Unknown(_) => !invariant.required && watched.violated_since.is_none(),
                };
                let what = (invariant.name, invariant.demands, invariant.grace);
                changes.extend(watched.advance(what, node, finding, observation.at));
            }
        }
        for (node, reason) in unknown {
            changes.extend(self.advance_unreachable(node, reason, observation.at));
        }
        changes
    }

    /// The violation of not being able to tell: `reason` says why nothing can be told of the node.
    fn advance_unreachable(&mut self, node: NodeName, reason: Option<String>, now: Timestamp) -> Option<Change> {
        let finding = reason.map_or(Finding::Holds, Finding::Violated);
        let watched = self.unreachable.entry(node.clone()).or_default();
        watched.advance((UNREACHABLE, "whether the invariants hold can be told", UNKNOWN_GRACE), node, finding, now)
    }
}

impl Watched {
    /// Takes in what one poll has found of an invariant, given by its name, its demand and its grace.
    fn advance(
        &mut self,
        (invariant, demands, grace): (&str, &str, Duration),
        node: NodeName,
        finding: Finding,
        now: Timestamp,
    ) -> Option<Change> {
        match finding {
            Finding::Unknown(_) => None,
            Finding::Holds => {
                self.violated_since = None;
                std::mem::take(&mut self.fired).then(|| Change::Resolved { invariant: invariant.to_owned(), node })
            }
            Finding::Violated(because) => {
                let since = *self.violated_since.get_or_insert(now);
                if self.fired || span_between(since, now) < grace {
                    return None;
                }
                self.fired = true;
                let (invariant, demands) = (invariant.to_owned(), demands.to_owned());
                Some(Change::Violated(Violation { invariant, demands, node, because, since }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{Unit, Value};

    const WELL: &[Invariant] = &[Invariant {
        name: "unwell",
        demands: "the node is well",
        roles: &["n"],
        grace: Duration::from_secs(4),
        required: true,
        check: |observation, node| match observation.value(node, "state") {
            Value::Text(state) if state == "well" => Finding::Holds,
            Value::Text(state) => Finding::Violated(state),
            value => Finding::Unknown(value.to_string()),
        },
    }];

    /// Polls at the given seconds with the given states, and returns what fired when.
    fn watch(states: &[(i64, Option<&str>)]) -> Vec<(i64, String)> {
        let node = Node { name: "n0".into(), role: "n".to_owned() };
        let mut monitor = Monitor::new(WELL, std::slice::from_ref(&node));
        let mut fired = Vec::new();
        for (second, state) in states {
            let mut observation = Observation::new(Timestamp::from_second(*second).unwrap());
            let value = state.map_or_else(|| Value::unknown("no answer"), Value::from);
            observation.push("test", &node.name, "state", value, Unit::None);
            for change in monitor.poll(&observation) {
                fired.push((
                    *second,
                    match change {
                        Change::Violated(violation) => format!("+{}", violation.invariant),
                        Change::Resolved { invariant, .. } => format!("-{invariant}"),
                    },
                ));
            }
            assert_eq!(monitor.healthy(), *state == Some("well"));
        }
        fired
    }

    #[test]
    fn a_violation_fires_once_after_its_grace_and_resolves_once() {
        let states = [
            (0, Some("well")),
            (2, Some("ill")),
            (4, Some("ill")),
            (6, Some("ill")),
            (8, Some("ill")),
            (10, Some("well")),
        ];
        assert_eq!(watch(&states), [(6, "+unwell".to_owned()), (10, "-unwell".to_owned())]);
    }

    #[test]
    fn a_good_poll_starts_the_grace_anew() {
        let states = [(0, Some("ill")), (2, Some("ill")), (3, Some("well")), (4, Some("ill")), (6, Some("ill"))];
        assert_eq!(watch(&states), []);
    }

    #[test]
    fn unknown_neither_fires_nor_resolves_but_is_a_violation_of_its_own_in_time() {
        let fire = [(0, Some("ill")), (4, Some("ill"))];
        let unknown: Vec<(i64, Option<&str>)> = (3..20).map(|step| (step * 2, None)).collect();
        let states: Vec<_> = fire.into_iter().chain(unknown).chain([(60, Some("well"))]).collect();
        let expected = [(4, "+unwell"), (36, "+subject_unreachable"), (60, "-unwell"), (60, "-subject_unreachable")];
        assert_eq!(watch(&states), expected.map(|(second, text)| (second, text.to_owned())));
    }
}
