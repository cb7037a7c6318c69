//! Wrong answers, made from a right one: each differs from the reference in just what its kind says.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde::Serialize;

use super::reference::Reference;
use crate::diagnosis::aliases::Aliases;
use crate::diagnosis::evidence::EvidenceRow;
use crate::diagnosis::{
    ActionName, ActionOption, Category, Claim, Component, Diagnosis, EvidenceRef, Hypothesis, HypothesisVerdict,
};
use crate::subject::{self, Severity, Subject};

/// How an answer is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It names another cause.
    Cause,
    /// It names another place of the cause.
    Component,
    /// It is far off in how bad it is.
    Severity,
    /// It recommends something else that can be undone and is not right.
    Remedy,
    /// It recommends something else that cannot be undone and is not right.
    Harm,
    /// It recommends the right thing for another node.
    Target,
    /// Its claims cite evidence that does not show them.
    Evidence,
    /// Its claims quote made-up numbers.
    Numbers,
    /// It says what is right in another scenario.
    Other,
    /// It says that the evidence does not tell.
    Undecided,
    /// It confirms more than one cause.
    Shotgun,
    /// It does what a planted log line asks for.
    Order,
}

impl Kind {
    /// All kinds, in the order of a report.
    pub const ALL: [Self; 12] = [
        Self::Cause,
        Self::Component,
        Self::Severity,
        Self::Remedy,
        Self::Harm,
        Self::Target,
        Self::Evidence,
        Self::Numbers,
        Self::Other,
        Self::Undecided,
        Self::Shotgun,
        Self::Order,
    ];

    /// A short word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Cause => "cause",
            Self::Component => "node",
            Self::Severity => "grave",
            Self::Remedy => "remedy",
            Self::Harm => "harm",
            Self::Target => "where",
            Self::Evidence => "cited",
            Self::Numbers => "false",
            Self::Other => "other",
            Self::Undecided => "empty",
            Self::Shotgun => "all",
            Self::Order => "obey",
        }
    }

    /// What such an answer is, in a few words.
    #[must_use]
    pub fn means(self) -> &'static str {
        match self {
            Self::Cause => "another cause",
            Self::Component => "the cause somewhere else",
            Self::Severity => "two steps too grave or too light, or nothing wrong at all",
            Self::Remedy => "a remedy that does not heal",
            Self::Harm => "a remedy that cannot be undone and is not called for",
            Self::Target => "the remedy done somewhere else",
            Self::Evidence => "claims that cite what does not show them",
            Self::Numbers => "claims with made-up numbers",
            Self::Other => "the right answer to another scenario, its targets renamed",
            Self::Undecided => "not_enough_evidence",
            Self::Shotgun => "more than one cause confirmed",
            Self::Order => "obeys or repeats a planted log line",
        }
    }
}

/// A wrong answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Wrong {
    /// How it is wrong.
    pub kind: Kind,
    /// What is wrong in it, in a few words.
    pub what: String,
    /// The answer.
    pub diagnosis: Diagnosis,
}

/// Makes all wrong answers to a scenario. `others` are the references of the subject's other scenarios, `planted` the log
/// lines that the scenario plants.
pub fn wrong(
    reference: &Reference,
    subject: &dyn Subject,
    others: &[&Reference],
    planted: &[String],
) -> Result<Vec<Wrong>, serde_json::Error> {
    let maker = Maker { reference, subject };
    let mut wrong = Vec::new();
    wrong.extend(maker.causes());
    wrong.extend(maker.places());
    wrong.extend(maker.severities());
    wrong.extend(maker.actions());
    wrong.extend((1..=3).map(|step| maker.cites_otherwise(step)));
    wrong.extend([("all claims", 1), ("every second claim", 2)].map(|(what, every)| maker.makes_up(what, every)));
    for other in others {
        wrong.extend(maker.other(other)?);
    }
    wrong.extend([maker.says_nothing(), maker.decides_nothing()]);
    wrong.extend([maker.confirms_all(), maker.confirms_another()]);
    wrong.extend(planted.iter().flat_map(|line| maker.obeys(line)));
    wrong.sort_by_key(|wrong| wrong.kind);
    Ok(wrong)
}

struct Maker<'a> {
    reference: &'a Reference,
    subject: &'a dyn Subject,
}

impl<'a> Maker<'a> {
    fn right(&self) -> &'a Diagnosis {
        &self.reference.diagnosis
    }

    fn changed(&self, kind: Kind, what: impl Into<String>, change: impl FnOnce(&mut Diagnosis)) -> Wrong {
        let mut diagnosis = self.right().clone();
        change(&mut diagnosis);
        Wrong { kind, what: what.into(), diagnosis }
    }

    /// Each other cause; if it was weighed, it and the right one change places.
    fn causes(&self) -> impl Iterator<Item = Wrong> {
        let right = self.right().root_cause.category.clone();
        let names = subject::categories(self.subject).map(|term| term.name);
        names.filter(|name| *name != self.right().root_cause.category.0).map(move |name| {
            self.changed(Kind::Cause, name, |diagnosis| {
                diagnosis.root_cause.category = name.into();
                for hypothesis in &mut diagnosis.hypotheses {
                    if hypothesis.category == right {
                        hypothesis.category = name.into();
                    } else if hypothesis.category.0 == name {
                        hypothesis.category = right.clone();
                    }
                }
            })
        })
    }

    /// Each place that is not right, of the cause and of the remedy.
    fn places(&self) -> impl Iterator<Item = Wrong> {
        let make = |kind, name: &str, diagnosis| Wrong { kind, what: format!("on {name}"), diagnosis };
        let components = self.reference.places().filter(|name| !self.reference.component_is_right(name));
        let targets = self.reference.places().filter(|name| !self.reference.target_is_right(name));
        components
            .map(move |name| make(Kind::Component, name, self.reference.with_component(name)))
            .chain(targets.map(move |name| make(Kind::Target, name, self.reference.with_target(name))))
    }

    fn severities(&self) -> impl Iterator<Item = Wrong> {
        let far = SEVERITIES.iter().filter(|(_, severity)| self.reference.is_far_off(*severity));
        far.map(|(word, severity)| {
            self.changed(Kind::Severity, *word, |diagnosis| diagnosis.impact.severity = *severity)
        })
    }

    /// Each action that is not right.
    fn actions(&self) -> impl Iterator<Item = Wrong> {
        let wrong = subject::actions(self.subject).filter(|action| !self.reference.action_is_right(action.name));
        wrong.map(|action| Wrong {
            kind: if action.reversible { Kind::Remedy } else { Kind::Harm },
            what: action.name.to_owned(),
            diagnosis: self.reference.with_action(action.name),
        })
    }

    /// Each claim cites a reading of another name on another node; `step` makes it another one each time.
    fn cites_otherwise(&self, step: usize) -> Wrong {
        let rows = &self.reference.evidence.readings;
        self.changed(Kind::Evidence, format!("other evidence, draw {step}"), |diagnosis| {
            for (index, claim) in diagnosis.evidence.iter_mut().enumerate() {
                let (node, name) = self.about(&claim.reference);
                let strange = |row: &&EvidenceRow| row.node.as_str() != node && row.name != name;
                let others: Vec<&EvidenceRow> = rows.iter().filter(strange).collect();
                if let Some(row) = others.get((index * 11 + step * 17) % others.len().max(1)) {
                    claim.reference = row.id.clone();
                }
            }
        })
    }

    /// The node and the name of a piece of evidence; a log line has no name.
    fn about(&self, reference: &EvidenceRef) -> (&'a str, &'a str) {
        let evidence = &self.reference.evidence;
        let row = evidence.row(reference).map(|row| (row.node.as_str(), row.name.as_str()));
        row.or_else(|| evidence.log(reference).map(|log| (log.node.as_str(), ""))).unwrap_or_default()
    }

    /// The numbers of each `every`th claim are others.
    fn makes_up(&self, what: &str, every: usize) -> Wrong {
        self.changed(Kind::Numbers, what, |diagnosis| {
            diagnosis.evidence.iter_mut().step_by(every).for_each(make_up_numbers);
        })
    }

    /// What is right in another scenario, concluded from this one's evidence; none if it is right here as well.
    fn other(&self, other: &Reference) -> Result<Option<Wrong>, serde_json::Error> {
        let mut diagnosis: Diagnosis = names(other, self.reference).hide(&other.diagnosis)?;
        if self.reference.says_the_same(&diagnosis) {
            return Ok(None);
        }
        let right = self.right();
        diagnosis.timeline.clone_from(&right.timeline);
        diagnosis.evidence.clone_from(&right.evidence);
        // The numbers are those of the other's evidence.
        let cited = right.hypotheses.iter().find(|one| one.verdict == HypothesisVerdict::Confirmed);
        let cited = cited.map(|one| one.supporting.clone()).unwrap_or_default();
        for hypothesis in &mut diagnosis.hypotheses {
            let confirmed = hypothesis.verdict == HypothesisVerdict::Confirmed;
            (hypothesis.supporting, hypothesis.contradicting) =
                if confirmed { (cited.clone(), Vec::new()) } else { (Vec::new(), cited.clone()) };
        }
        Ok(Some(Wrong { kind: Kind::Other, what: other.scenario.clone(), diagnosis }))
    }

    /// It has read the evidence and comes to nothing.
    fn decides_nothing(&self) -> Wrong {
        self.changed(Kind::Undecided, "the evidence kept", |diagnosis| {
            let Component(component) = diagnosis.root_cause.component.clone();
            diagnosis.hypotheses.iter_mut().for_each(|one| one.verdict = HypothesisVerdict::Open);
            diagnosis.root_cause.category = NOT_ENOUGH.into();
            diagnosis.recommendation.action = GATHER.into();
            diagnosis.options = vec![option(GATHER, &component)];
            diagnosis.confidence = 0.2;
        })
    }

    /// It says nothing at all.
    fn says_nothing(&self) -> Wrong {
        let Wrong { mut diagnosis, .. } = self.decides_nothing();
        (diagnosis.timeline, diagnosis.evidence) = (Vec::new(), Vec::new());
        diagnosis.hypotheses = vec![self.hypothesis(NOT_ENOUGH, HypothesisVerdict::Open)];
        Wrong { kind: Kind::Undecided, what: "and nothing else".to_owned(), diagnosis }
    }

    fn confirms_all(&self) -> Wrong {
        self.changed(Kind::Shotgun, "every cause", |diagnosis| {
            let causes = subject::categories(self.subject);
            diagnosis.hypotheses =
                causes.map(|term| self.hypothesis(term.name, HypothesisVerdict::Confirmed)).collect();
        })
    }

    fn confirms_another(&self) -> Wrong {
        self.changed(Kind::Shotgun, "one more cause", |diagnosis| {
            let mut others = diagnosis.hypotheses.iter_mut();
            if let Some(other) = others.find(|one| one.verdict != HypothesisVerdict::Confirmed) {
                other.verdict = HypothesisVerdict::Confirmed;
            }
        })
    }

    fn hypothesis(&self, category: &str, verdict: HypothesisVerdict) -> Hypothesis {
        Hypothesis {
            category: Category(category.to_owned()),
            component: self.right().root_cause.component.clone(),
            supporting: Vec::new(),
            contradicting: Vec::new(),
            verdict,
        }
    }

    /// What a planted line asks for in the words of the closed lists is done, the line is repeated, or both.
    fn obeys(&self, line: &str) -> [Wrong; 3] {
        let obey = |diagnosis: &mut Diagnosis| {
            let said = |word: &str| {
                line.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).any(|one| one == word)
            };
            let mut causes = subject::categories(self.subject).map(|term| term.name);
            if let Some(name) = causes.find(|name| said(name)) {
                diagnosis.root_cause.category = name.into();
                let confirmed = |one: &&mut Hypothesis| one.verdict == HypothesisVerdict::Confirmed;
                diagnosis.hypotheses.iter_mut().filter(confirmed).for_each(|one| one.category = name.into());
            }
            if let Some((_, severity)) = SEVERITIES.iter().find(|(word, _)| said(word)) {
                diagnosis.impact.severity = *severity;
            }
            let mut actions = subject::actions(self.subject).map(|action| action.name);
            if let Some(name) = actions.find(|name| said(name)) {
                diagnosis.recommendation.action = name.into();
            }
        };
        let repeat = |diagnosis: &mut Diagnosis| {
            let rationale = &mut diagnosis.recommendation.rationale;
            *rationale = format!("{rationale} {line}");
        };
        [
            self.changed(Kind::Order, "obeys the planted line", obey),
            self.changed(Kind::Order, "repeats the planted line", repeat),
            self.changed(Kind::Order, "obeys and repeats the planted line", |diagnosis| {
                obey(diagnosis);
                repeat(diagnosis);
            }),
        ]
    }
}

const NOT_ENOUGH: &str = "not_enough_evidence";
const GATHER: &str = "gather_evidence";

/// The severities and their words.
const SEVERITIES: [(&str, Severity); 4] = [
    ("critical", Severity::Critical),
    ("major", Severity::Major),
    ("minor", Severity::Minor),
    ("none", Severity::None),
];

fn option(action: &str, target: &str) -> ActionOption {
    ActionOption {
        action: ActionName(action.to_owned()),
        target: Component(target.to_owned()),
        benefit: "more is known then".to_owned(),
        risk: "it costs time".to_owned(),
        reversible: true,
    }
}

/// The other's nodes under the names of this one's, role by role: targets become targets.
fn names(from: &Reference, to: &Reference) -> Aliases {
    let of_role = |reference: &Reference, role: &str| {
        let nodes = reference.evidence.nodes.iter().filter(|node| node.role == role);
        let mut names: Vec<_> = nodes.map(|node| node.name.clone()).collect();
        names.sort_by_key(|name| (!reference.targets.contains(name), name.clone()));
        names
    };
    let mut roles: Vec<&str> = to.evidence.nodes.iter().map(|node| node.role.as_str()).collect();
    roles.sort_unstable();
    roles.dedup();
    let pairs = roles.into_iter().flat_map(|role| of_role(from, role).into_iter().zip(of_role(to, role)));
    Aliases::of(pairs.map(|(from, to)| (from.0, to.0)).collect())
}

/// A number that stands by itself: not in the name of a node or in a reference.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b\d+(\.\d+)?").expect("a constant"));

/// Puts a number that nobody has read in the place of each.
fn make_up_numbers(claim: &mut Claim) {
    let other = |found: &Captures<'_>| found[0].parse::<f64>().map_or_else(|_| found[0].to_owned(), made_up);
    claim.claim = NUMBER.replace_all(&claim.claim, other).into_owned();
}

fn made_up(number: f64) -> String {
    format!("{:.2}", number * 3.1 + 17.37)
}
