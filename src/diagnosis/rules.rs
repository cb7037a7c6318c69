//! The built-in baseline. It compares the evidence with the signatures that the subject knows and names the one that
//! fits best, or says that none does. It is the floor that a model has to beat.
//!
//! It sees the evidence bundle that a model is sent, and nothing of the scenario.

mod routine;

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::reading::{NodeName, Value};
use crate::subject::{self, Action, CLUSTER, Expected, Scope, Sign, Signature, Subject};

use super::evidence::EvidenceRow;
use super::{
    ActionOption, Answer, Availability, Bundle, Category, Claim, Component, Diagnoser, DiagnoserError, Diagnosis,
    EvidenceRef, Hypothesis, HypothesisVerdict, Impact, Question, Recommendation, RootCause, Severity, TimelineEntry,
};

/// The share of a signature's weight that must be there for it to be the answer.
const ENOUGH: f64 = 0.7;
/// How far the best signature must be ahead of the next.
const AHEAD: f64 = 0.1;

/// The baseline for a subject.
pub struct Rules {
    subject: &'static dyn Subject,
    why: &'static str,
}

impl Rules {
    /// The baseline; `why` is the reason that a person is given for its use.
    #[must_use]
    pub fn new(subject: &'static dyn Subject, why: &'static str) -> Self {
        Self { subject, why }
    }
}

#[async_trait]
impl Diagnoser for Rules {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn label(&self) -> String {
        format!("rules (baseline; {})", self.why)
    }

    async fn diagnose(&self, question: &Question<'_>) -> Result<Answer, DiagnoserError> {
        Ok(Answer { diagnosis: diagnose(self.subject, question.bundle), exchange: None })
    }
}

/// How well a signature fits the evidence.
struct Fit<'a> {
    signature: &'static Signature,
    /// The share of the weight of its signs that is there.
    share: f64,
    /// What speaks for it, with the value that does.
    supporting: Vec<(&'a EvidenceRow, &'a Value)>,
    contradicting: Vec<&'a EvidenceRow>,
}

/// Diagnoses from the evidence alone.
#[must_use]
pub fn diagnose(subject: &dyn Subject, bundle: &Bundle) -> Diagnosis {
    let Some(suspect) = bundle.suspect() else { return routine::look(subject, bundle) };
    let role = role(bundle, suspect);
    let fits = ranked(subject, bundle, suspect, |signature| role.is_none_or(|role| signature.role == role));
    match clear(&fits) {
        Some(best) => confirmed(subject, bundle, suspect, best, &fits),
        None => undecided(subject, bundle, suspect, &fits),
    }
}

/// How well each cause fits, the best first. A cause may show in more than one way: the one that fits best speaks for it.
fn ranked<'a>(
    subject: &dyn Subject,
    bundle: &'a Bundle,
    suspect: &NodeName,
    wanted: impl Fn(&Signature) -> bool,
) -> Vec<Fit<'a>> {
    let signatures = subject.manual().signatures.iter().filter(|signature| wanted(signature));
    let mut fits: Vec<Fit<'_>> = signatures.map(|signature| fit(signature, bundle, suspect)).collect();
    fits.sort_by(|one, other| other.share.total_cmp(&one.share));
    let mut seen = BTreeSet::new();
    fits.retain(|fit| seen.insert(fit.signature.category));
    fits
}

/// The cause that fits well enough, and far better than the next.
fn clear<'f, 'a>(fits: &'f [Fit<'a>]) -> Option<&'f Fit<'a>> {
    let runner_up = fits.get(1).map_or(0.0, |fit| fit.share);
    fits.first().filter(|best| best.share >= ENOUGH && best.share - runner_up >= AHEAD)
}

fn fit<'a>(signature: &'static Signature, bundle: &'a Bundle, suspect: &NodeName) -> Fit<'a> {
    let (mut there, mut all) = (0.0, 0.0);
    let (mut supporting, mut contradicting) = (Vec::new(), Vec::new());
    for sign in signature.signs {
        all += sign.weight;
        let rows = rows(bundle, sign, suspect);
        let shown = rows.iter().filter(|row| shows(sign, row).is_some()).count();
        let met = shown > 0 && (shown == rows.len() || sign.on == Scope::SomePeer);
        if met {
            there += sign.weight;
        }
        for row in rows {
            // What can't be read speaks neither for nor against.
            if let Some(value) = shows(sign, row) {
                supporting.push((row, value));
            } else if !met && row.values().iter().all(|value| value.unknown_reason().is_none()) {
                contradicting.push(row);
            }
        }
    }
    Fit { signature, share: if all > 0.0 { there / all } else { 0.0 }, supporting, contradicting }
}

/// The evidence that a sign is looked for in.
fn rows<'a>(bundle: &'a Bundle, sign: &Sign, suspect: &NodeName) -> Vec<&'a EvidenceRow> {
    let wanted = |row: &EvidenceRow| match sign.on {
        Scope::Suspect => row.node == *suspect,
        Scope::Peers | Scope::SomePeer => {
            let peers = role(bundle, &row.node).is_some() && role(bundle, &row.node) == role(bundle, suspect);
            peers && row.node != *suspect
        }
        Scope::Cluster => row.node.as_str() == CLUSTER,
    };
    bundle.readings.iter().filter(|row| row.name == sign.reading && wanted(row)).collect()
}

/// The role of a node; none of the cluster as a whole.
fn role<'a>(bundle: &'a Bundle, name: &NodeName) -> Option<&'a str> {
    bundle.nodes.iter().find(|node| node.name == *name).map(|node| node.role.as_str())
}

/// The value in which a sign shows, at the violation or after it, the later first. Of peers only the later one counts:
/// one may have followed the suspect by then, and at the violation they may still have been electing a new leader.
fn shows<'a>(sign: &Sign, row: &'a EvidenceRow) -> Option<&'a Value> {
    let shown = |value: &&Value| match (sign.expected, value) {
        (_, Value::Unknown { .. }) => false,
        (Expected::OneOf(words), value) => words.contains(&value.to_string().as_str()),
        (Expected::Not(word), value) => value.text().is_some_and(|own| own != word),
        (Expected::AtLeast(bound), value) => value.number().is_some_and(|number| number >= bound),
        (Expected::AtMost(bound), value) => value.number().is_some_and(|number| number <= bound),
    };
    let (at, after) = (Some(&row.at).filter(shown), Some(&row.after).filter(shown));
    if matches!(sign.on, Scope::Peers | Scope::SomePeer) { after } else { after.or(at) }
}

fn confirmed(
    subject: &dyn Subject,
    bundle: &Bundle,
    suspect: &NodeName,
    best: &Fit<'_>,
    fits: &[Fit<'_>],
) -> Diagnosis {
    let signature = best.signature;
    let component = Component(suspect.0.clone());
    let actions: Vec<&Action> = signature.actions.iter().filter_map(|name| find_action(subject, name)).collect();
    let first = actions.first().copied();
    let claims = best.supporting.iter().map(|(row, value)| claim(row, value)).collect();
    Diagnosis {
        timeline: timeline(bundle, suspect),
        evidence: claims,
        hypotheses: hypotheses(fits, suspect, Some(signature)),
        root_cause: RootCause {
            category: signature.category.into(),
            component: component.clone(),
            explanation: signature.explanation.to_owned(),
        },
        impact: impact(signature),
        options: actions.iter().map(|action| option(action, &component)).collect(),
        recommendation: Recommendation {
            action: first.map_or("gather_evidence", |action| action.name).into(),
            target: component,
            rationale: first.map_or_else(String::new, |action| format!("It {}; risk: {}.", action.does, action.risk)),
            first_commands: first
                .map(|action| command(action, suspect))
                .into_iter()
                .filter(|line| !line.is_empty())
                .collect(),
            verify_by: bundle
                .tickets
                .iter()
                .map(|ticket| format!("{} on {} is over", ticket.invariant, ticket.node))
                .collect(),
        },
        confidence: (best.share * 100.0).round() / 100.0,
        unknowns: unknowns(bundle),
    }
}

fn undecided(subject: &dyn Subject, bundle: &Bundle, suspect: &NodeName, fits: &[Fit<'_>]) -> Diagnosis {
    let component = Component(suspect.0.clone());
    let options = ["gather_evidence", "wait_and_watch"].into_iter().filter_map(|name| find_action(subject, name));
    Diagnosis {
        timeline: timeline(bundle, suspect),
        evidence: bundle
            .readings
            .iter()
            .filter(|row| row.node == *suspect && row.changed())
            .map(|row| claim(row, &row.at))
            .collect(),
        hypotheses: hypotheses(fits, suspect, None),
        root_cause: RootCause {
            category: "not_enough_evidence".into(),
            component: component.clone(),
            explanation: "No known cause fits the evidence well enough, or two fit it alike.".to_owned(),
        },
        impact: Impact {
            severity: Severity::Major,
            availability: Availability::Degraded,
            data_at_risk: false,
            explanation: "An invariant is violated; how far it reaches is not known.".to_owned(),
        },
        options: options.map(|action| option(action, &component)).collect(),
        recommendation: Recommendation {
            action: "gather_evidence".into(),
            target: component,
            rationale: "What would tell the causes apart was not read.".to_owned(),
            first_commands: find_action(subject, "gather_evidence")
                .map(|action| command(action, suspect))
                .into_iter()
                .collect(),
            verify_by: vec!["one cause fits the evidence and the others do not".to_owned()],
        },
        confidence: 0.2,
        unknowns: unknowns(bundle),
    }
}

fn find_action(subject: &dyn Subject, name: &str) -> Option<&'static Action> {
    subject::actions(subject).find(|action| action.name == name)
}

fn command(action: &Action, node: &NodeName) -> String {
    action.command.replace("{node}", node.as_str())
}

fn option(action: &Action, target: &Component) -> ActionOption {
    ActionOption {
        action: action.name.into(),
        target: target.clone(),
        benefit: action.does.to_owned(),
        risk: action.risk.to_owned(),
        reversible: action.reversible,
    }
}

/// What a value shows.
fn claim(row: &EvidenceRow, value: &Value) -> Claim {
    let before = row.before.with_unit(row.unit);
    let before = if row.before == *value { "as before".to_owned() } else { format!("before it was {before}") };
    let claim = format!("{} {} is {}, {before}", row.node, row.name, value.with_unit(row.unit));
    Claim { reference: row.id.clone(), claim }
}

/// What changed on the suspected node, and when it was first seen.
fn timeline(bundle: &Bundle, suspect: &NodeName) -> Vec<TimelineEntry> {
    let [_, at, after] = bundle.columns;
    let changed = bundle.readings.iter().filter(|row| row.node == *suspect && row.changed());
    let mut entries: Vec<(f64, TimelineEntry)> = changed
        .map(|row| {
            let (when, old, new) =
                if row.before == row.at { (after, &row.at, &row.after) } else { (at, &row.before, &row.at) };
            let (old, new) = (old.with_unit(row.unit), new.with_unit(row.unit));
            let event = format!("{} {}: {old} → {new}", row.node, row.name);
            (when, TimelineEntry { at: format!("{when:+.1} s"), event })
        })
        .collect();
    entries.sort_by(|one, other| one.0.total_cmp(&other.0));
    entries.into_iter().map(|(_, entry)| entry).collect()
}

fn hypotheses(fits: &[Fit<'_>], suspect: &NodeName, confirmed: Option<&'static Signature>) -> Vec<Hypothesis> {
    let numbers =
        |rows: &mut dyn Iterator<Item = &EvidenceRow>| rows.map(|row| row.id.clone()).collect::<Vec<EvidenceRef>>();
    let weighed = fits.iter().filter(|fit| !fit.supporting.is_empty());
    weighed
        .map(|fit| Hypothesis {
            category: Category(fit.signature.category.to_owned()),
            component: Component(suspect.0.clone()),
            supporting: numbers(&mut fit.supporting.iter().map(|(row, _)| *row)),
            contradicting: numbers(&mut fit.contradicting.iter().copied()),
            verdict: match confirmed {
                Some(signature) if std::ptr::eq(signature, fit.signature) => HypothesisVerdict::Confirmed,
                None if fit.share >= ENOUGH => HypothesisVerdict::Open,
                _ if fit.contradicting.is_empty() => HypothesisVerdict::Open,
                _ => HypothesisVerdict::Rejected,
            },
        })
        .collect()
}

fn impact(signature: &Signature) -> Impact {
    let impact = signature.impact;
    Impact {
        severity: impact.severity,
        availability: impact.availability,
        data_at_risk: impact.data_at_risk,
        explanation: impact.explanation.to_owned(),
    }
}

fn unknowns(bundle: &Bundle) -> Vec<String> {
    let unread = bundle.readings.iter().filter_map(|row| {
        row.at.unknown_reason().map(|reason| format!("{} {} ({}): {reason}", row.node, row.name, row.id))
    });
    unread.collect()
}

#[cfg(test)]
mod tests {
    use super::super::evidence::TicketFacts;
    use super::*;
    use crate::cluster::Node;
    use crate::reading::Unit;
    use crate::subject::etcd::Etcd;

    /// The leader `etcd0` is killed; what its peers know of a leader at the violation, and after it.
    fn leader_killed(at: bool, after: bool) -> Bundle {
        let text = |word: &str| Value::Text(word.to_owned());
        let mut readings = vec![
            ("etcd0", "process", text("running"), text("exited(137)"), text("exited(137)")),
            ("etcd0", "status_api", text("answers"), text("refused"), text("refused")),
        ];
        for peer in ["etcd1", "etcd2"] {
            readings.push((peer, "status_api", text("answers"), text("answers"), text("answers")));
            readings.push((peer, "knows_leader", Value::Flag(true), Value::Flag(at), Value::Flag(after)));
        }
        let row = |(index, (node, name, before, at, after)): (usize, (&str, &str, Value, Value, Value))| EvidenceRow {
            id: EvidenceRef(format!("E{}", index + 1)),
            source: "etcd".to_owned(),
            node: node.into(),
            name: name.to_owned(),
            unit: Unit::None,
            before,
            at,
            after,
        };
        Bundle {
            subject: "etcd".to_owned(),
            nodes: ["etcd0", "etcd1", "etcd2"].map(|name| Node { name: name.into(), role: "etcd".to_owned() }).into(),
            tickets: vec![TicketFacts {
                invariant: "member_down".to_owned(),
                demands: String::new(),
                node: "etcd0".into(),
                because: String::new(),
                since: 0.0,
            }],
            columns: [-3.0, 0.0, 3.0],
            readings: readings.into_iter().enumerate().map(row).collect(),
            ..Bundle::default()
        }
    }

    #[test]
    fn an_election_that_ends_in_time_changes_nothing() {
        let [quick, slow] = [true, false].map(|at| diagnose(&Etcd, &leader_killed(at, true)));
        assert_eq!(quick.root_cause.category.0, "process_crash");
        assert_eq!(slow.hypotheses, quick.hypotheses);
        assert_eq!(
            slow.evidence.iter().map(|claim| &claim.reference).collect::<Vec<_>>(),
            quick.evidence.iter().map(|claim| &claim.reference).collect::<Vec<_>>()
        );
    }

    #[test]
    fn peers_that_lose_their_leader_are_not_well() {
        let diagnosis = diagnose(&Etcd, &leader_killed(true, false));
        assert!(diagnosis.hypotheses.iter().any(|one| one.category.0 == "quorum_loss"), "{diagnosis:?}");
    }
}
