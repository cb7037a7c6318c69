//! The stable part of a diagnosis: what a snapshot keeps, prose and numbers left out, nodes named by their role.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::cluster::Node;
use crate::diagnosis::{
    ActionName, Availability, Bundle, Category, Component, Diagnosis, EvidenceRef, HypothesisVerdict, Severity,
};

/// What a snapshot keeps. Which other causes were weighed and rejected is left out: it hangs on what little speaks for
/// each of them, and on a real cluster that is not the same each time.
#[derive(Debug, Serialize)]
struct Stable<'a> {
    root_cause: Place<'a>,
    severity: Severity,
    availability: Availability,
    data_at_risk: bool,
    confirmed: BTreeSet<&'a Category>,
    recommendation: Step<'a>,
    options: BTreeSet<&'a ActionName>,
    signals: BTreeSet<String>,
}

#[derive(Debug, Serialize)]
struct Place<'a> {
    category: &'a Category,
    role: &'a str,
}

#[derive(Debug, Serialize)]
struct Step<'a> {
    action: &'a ActionName,
    role: &'a str,
}

/// Writes the stable part as YAML.
pub fn write(diagnosis: &Diagnosis, bundle: &Bundle) -> Result<String, serde_yaml::Error> {
    let confirmed = diagnosis.hypotheses.iter().filter(|one| one.verdict == HypothesisVerdict::Confirmed);
    let recommendation = &diagnosis.recommendation;
    serde_yaml::to_string(&Stable {
        root_cause: Place {
            category: &diagnosis.root_cause.category,
            role: role(&diagnosis.root_cause.component, &bundle.nodes),
        },
        severity: diagnosis.impact.severity,
        availability: diagnosis.impact.availability,
        data_at_risk: diagnosis.impact.data_at_risk,
        confirmed: confirmed.map(|one| &one.category).collect(),
        recommendation: Step { action: &recommendation.action, role: role(&recommendation.target, &bundle.nodes) },
        options: diagnosis.options.iter().map(|option| &option.action).collect(),
        signals: diagnosis.evidence.iter().map(|claim| signal(&claim.reference, bundle)).collect(),
    })
}

/// What a piece of evidence is about, without its number.
fn signal(reference: &EvidenceRef, bundle: &Bundle) -> String {
    let role = |name: &str| role(&Component(name.to_owned()), &bundle.nodes).to_owned();
    if let Some(row) = bundle.row(reference) {
        format!("{} {}", role(row.node.as_str()), row.name)
    } else if let Some(log) = bundle.log(reference) {
        format!("{} log", role(log.node.as_str()))
    } else {
        "nothing".to_owned()
    }
}

fn role<'a>(component: &Component, nodes: &'a [Node]) -> &'a str {
    nodes.iter().find(|node| node.name.0 == component.0).map_or(crate::subject::CLUSTER, |node| node.role.as_str())
}
