//! What the baseline says when nobody has opened a ticket: of any node, whether a known cause shows on it; if none does,
//! and every node is as it was, that nothing is wrong.

use crate::reading::NodeName;
use crate::subject::{CLUSTER, Subject};

use super::super::evidence::EvidenceRow;
use super::super::{
    Availability, Bundle, Claim, Component, Diagnosis, Hypothesis, HypothesisVerdict, Impact, Recommendation,
    RootCause, Severity,
};
use super::{Fit, claim, clear, confirmed, find_action, hypotheses, option, ranked, role, undecided, unknowns};

pub(super) fn look(subject: &dyn Subject, bundle: &Bundle) -> Diagnosis {
    let whole = NodeName::from(CLUSTER);
    let suspects = bundle.nodes.iter().map(|node| &node.name).chain([&whole]);
    let mut looks: Vec<(&NodeName, Vec<Fit<'_>>)> = suspects
        .map(|suspect| {
            let role = role(bundle, suspect).unwrap_or(CLUSTER);
            (suspect, ranked(subject, bundle, suspect, |signature| signature.role == role))
        })
        .collect();
    let share = |fits: &[Fit<'_>]| fits.first().map_or(0.0, |fit| fit.share);
    looks.sort_by(|(_, one), (_, other)| share(other).total_cmp(&share(one)));
    // Nobody has seen anything: then what is as it always was proves no cause, and nothing may speak against it.
    let shows = |fit: &&Fit<'_>| fit.contradicting.is_empty() && fit.supporting.iter().any(|(row, _)| row.changed());
    for (suspect, fits) in &looks {
        if let Some(best) = clear(fits).filter(shows) {
            return confirmed(subject, bundle, suspect, best, fits);
        }
    }
    let nearest = looks.first().map_or((&whole, [].as_slice()), |(suspect, fits)| (*suspect, fits.as_slice()));
    let states: Vec<&EvidenceRow> =
        bundle.readings.iter().filter(|row| subject.manual().headline.contains(&row.name.as_str())).collect();
    let well = |row: &&EvidenceRow| !row.changed() && row.at.unknown_reason().is_none();
    if states.is_empty() || !states.iter().all(well) {
        return undecided(subject, bundle, nearest.0, nearest.1);
    }
    nothing_wrong(subject, bundle, states.iter().map(|row| claim(row, &row.after)).collect(), nearest)
}

/// Nothing is wrong: every node is as it was, and the cause that comes nearest does not fit.
fn nothing_wrong(
    subject: &dyn Subject,
    bundle: &Bundle,
    evidence: Vec<Claim>,
    (suspect, fits): (&NodeName, &[Fit<'_>]),
) -> Diagnosis {
    let component = Component(CLUSTER.to_owned());
    let mut weighed = vec![Hypothesis {
        category: "no_fault".into(),
        component: component.clone(),
        supporting: evidence.iter().map(|claim| claim.reference.clone()).collect(),
        contradicting: Vec::new(),
        verdict: HypothesisVerdict::Confirmed,
    }];
    weighed.extend(hypotheses(&fits[..fits.len().min(1)], suspect, None));
    let nearest = fits.first().map_or(0.0, |fit| fit.share);
    let options = ["wait_and_watch", "gather_evidence"].into_iter().filter_map(|name| find_action(subject, name));
    Diagnosis {
        timeline: Vec::new(),
        evidence,
        hypotheses: weighed,
        root_cause: RootCause {
            category: "no_fault".into(),
            component: component.clone(),
            explanation: "Every node is in the state that it was in, and no known cause fits the evidence.".to_owned(),
        },
        impact: Impact {
            severity: Severity::None,
            availability: Availability::Full,
            data_at_risk: false,
            explanation: "Nothing that clients ask for is touched.".to_owned(),
        },
        options: options.map(|action| option(action, &component)).collect(),
        recommendation: Recommendation {
            action: "wait_and_watch".into(),
            target: component,
            rationale: "There is nothing to heal.".to_owned(),
            first_commands: Vec::new(),
            verify_by: vec!["no ticket is opened".to_owned()],
        },
        confidence: ((1.0 - nearest) * 100.0).round() / 100.0,
        unknowns: unknowns(bundle),
    }
}
