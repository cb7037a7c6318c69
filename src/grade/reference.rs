//! The reference answers that a rubric is proved with: for each scenario what a careful expert says of its evidence, and
//! what such an expert would call right as well. What a rubric accepts does not come into it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::diagnosis::{ActionName, ActionOption, Bundle, Component, Diagnosis, form};
use crate::reading::NodeName;
use crate::subject::{self, CLUSTER, Severity, Subject};

/// Where a reference comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It was written by hand for the proof, with the fault known: no diagnoser was asked.
    WrittenByHand,
}

/// What else is right: the words, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlsoRight {
    /// Other places of the root cause.
    pub components: BTreeMap<String, String>,
    /// Other actions to recommend.
    pub actions: BTreeMap<String, String>,
    /// Other targets of the recommended action.
    pub targets: BTreeMap<String, String>,
}

/// A right answer, and the evidence that it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The scenario's name.
    pub scenario: String,
    /// Who wrote it.
    pub author: String,
    /// That it is no answer of a model.
    pub origin: Origin,
    /// The nodes that the first fault was done to.
    pub targets: Vec<NodeName>,
    /// What else is right.
    #[serde(default)]
    pub also_right: AlsoRight,
    /// The answer.
    pub diagnosis: Diagnosis,
    /// What it was written from: the evidence of a run of the scenario.
    pub evidence: Bundle,
}

/// Why a reference can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// It can't be read.
    #[error("it is no reference: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// Nobody knows its subject.
    #[error("its evidence is of the subject `{0}`, which there is not")]
    NoSuchSubject(String),
    /// Its answer is none.
    #[error("{what} does not fit the form of an answer: {reason}")]
    Misfit {
        /// Which answer.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It says of itself what is not so.
    #[error("{0}")]
    Untrue(String),
}

impl Reference {
    /// Reads a reference and checks that its answers fit the form that is asked of a model.
    pub fn read(text: &str) -> Result<Self, ReferenceError> {
        let reference: Self = serde_json::from_str(text)?;
        if reference.author.trim().is_empty() {
            return Err(ReferenceError::Untrue("`author` is empty: say who wrote it".to_owned()));
        }
        let known = |name: &NodeName| reference.evidence.nodes.iter().any(|node| node.name == *name);
        if let Some(stranger) = reference.targets.iter().find(|name| !known(name)) {
            return Err(ReferenceError::Untrue(format!("the target {stranger} is no node of its evidence")));
        }
        let schema: Json = form::schema(reference.subject()?, &reference.evidence.nodes);
        for (what, diagnosis) in reference.right() {
            form::check(&diagnosis, &schema).map_err(|reason| ReferenceError::Misfit { what, reason })?;
        }
        Ok(reference)
    }

    /// The subject of its evidence.
    pub fn subject(&self) -> Result<&'static dyn Subject, ReferenceError> {
        let name = &self.evidence.subject;
        let mut subjects = subject::all().into_iter();
        subjects.find(|subject| subject.name() == name).ok_or_else(|| ReferenceError::NoSuchSubject(name.clone()))
    }

    /// All answers that must pass, and what each is: the reference, and each thing that is right as well in its place.
    #[must_use]
    pub fn right(&self) -> Vec<(String, Diagnosis)> {
        let mut right = vec![("the reference".to_owned(), self.diagnosis.clone())];
        for name in self.also_right.components.keys() {
            right.push((format!("the cause on {name}"), self.with_component(name)));
        }
        for name in self.also_right.actions.keys() {
            right.push((format!("{name} recommended"), self.with_action(name)));
        }
        for name in self.also_right.targets.keys() {
            right.push((format!("the remedy on {name}"), self.with_target(name)));
        }
        right
    }

    /// The reference with its cause somewhere else.
    pub(super) fn with_component(&self, name: &str) -> Diagnosis {
        let mut diagnosis = self.diagnosis.clone();
        let component = Component(name.to_owned());
        let right = std::mem::replace(&mut diagnosis.root_cause.component, component.clone());
        let blamed = diagnosis.hypotheses.iter_mut().filter(|one| one.component == right);
        blamed.for_each(|one| one.component = component.clone());
        diagnosis
    }

    /// The reference with another action recommended.
    pub(super) fn with_action(&self, name: &str) -> Diagnosis {
        let mut diagnosis = self.diagnosis.clone();
        diagnosis.recommendation.action = ActionName(name.to_owned());
        // What is recommended is one of the options, or that alone would give it away.
        if !diagnosis.options.iter().any(|option| option.action.0 == name) {
            let reversible = self.subject().ok().is_some_and(|subject| {
                subject::actions(subject).any(|action| action.name == name && action.reversible)
            });
            let (action, target) = (ActionName(name.to_owned()), diagnosis.recommendation.target.clone());
            let (benefit, risk) = (String::new(), String::new());
            diagnosis.options.push(ActionOption { action, target, benefit, risk, reversible });
        }
        diagnosis
    }

    /// The reference with its remedy somewhere else.
    pub(super) fn with_target(&self, name: &str) -> Diagnosis {
        let mut diagnosis = self.diagnosis.clone();
        diagnosis.recommendation.target = Component(name.to_owned());
        diagnosis
    }

    /// Where a cause or a remedy can be: at each node, and at the cluster as a whole.
    pub(super) fn places(&self) -> impl Iterator<Item = &str> {
        self.evidence.nodes.iter().map(|node| node.name.as_str()).chain([CLUSTER])
    }

    pub(super) fn component_is_right(&self, name: &str) -> bool {
        self.diagnosis.root_cause.component.0 == name || self.also_right.components.contains_key(name)
    }

    pub(super) fn action_is_right(&self, name: &str) -> bool {
        self.diagnosis.recommendation.action.0 == name || self.also_right.actions.contains_key(name)
    }

    pub(super) fn target_is_right(&self, name: &str) -> bool {
        self.diagnosis.recommendation.target.0 == name || self.also_right.targets.contains_key(name)
    }

    /// Whether a severity is far off: two steps or more away, or `none`, since something is violated.
    pub(super) fn is_far_off(&self, severity: Severity) -> bool {
        let right = self.diagnosis.impact.severity;
        severity != right && (severity == Severity::None || (severity as u8).abs_diff(right as u8) >= 2)
    }

    /// Whether another diagnosis says the same in other words: the same cause in a right place, a right action on a right
    /// target, and a severity that is not far off.
    pub(super) fn says_the_same(&self, other: &Diagnosis) -> bool {
        self.diagnosis.root_cause.category == other.root_cause.category
            && self.component_is_right(&other.root_cause.component.0)
            && self.action_is_right(&other.recommendation.action.0)
            && self.target_is_right(&other.recommendation.target.0)
            && !self.is_far_off(other.impact.severity)
    }
}
