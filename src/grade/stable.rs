//! The stable part of a diagnosis: what a snapshot keeps. What becomes of each field is declared in `FIELDS`, in the
//! words of insta's redactions. insta itself redacts only what it asserts, and its assertions panic and print.

use std::collections::BTreeSet;

use serde_yaml::{Mapping, Value};

use crate::cluster::Node;
use crate::diagnosis::{Bundle, Diagnosis, EvidenceRef};

/// What becomes of a field. The word in it is the place in the snapshot.
#[derive(Debug, Clone, Copy)]
enum Redaction {
    /// It is kept as it is.
    Keep(&'static str),
    /// A node's name is replaced by its role.
    Role(&'static str),
    /// A list is sorted, each value once.
    Sorted(&'static str),
    /// The same, of the hypotheses that are confirmed.
    Confirmed(&'static str),
    /// The number of a piece of evidence is replaced by the role and the reading that it is about; sorted, each once.
    Signals(&'static str),
    /// It is left out.
    Drop,
}

use Redaction::{Confirmed, Drop, Keep, Role, Signals, Sorted};

/// Every field of a diagnosis, by insta's selectors, and what becomes of it. What is kept is in the order of the snapshot.
const FIELDS: &[(&str, Redaction)] = &[
    (".root_cause.category", Keep("root_cause.category")),
    (".root_cause.component", Role("root_cause.role")),
    (".impact.severity", Keep("severity")),
    (".impact.availability", Keep("availability")),
    (".impact.data_at_risk", Keep("data_at_risk")),
    (".hypotheses[].category", Confirmed("confirmed")),
    (".recommendation.action", Keep("recommendation.action")),
    (".recommendation.target", Role("recommendation.role")),
    (".options[].action", Sorted("options")),
    (".evidence[].ref", Signals("signals")),
    // Prose: another word is no other diagnosis.
    (".timeline[].event", Drop),
    (".evidence[].claim", Drop),
    (".root_cause.explanation", Drop),
    (".impact.explanation", Drop),
    (".options[].benefit", Drop),
    (".options[].risk", Drop),
    (".recommendation.rationale", Drop),
    (".recommendation.first_commands[]", Drop),
    (".recommendation.verify_by[]", Drop),
    (".unknowns[]", Drop),
    // Numbers, which are others in each run.
    (".timeline[].at", Drop),
    (".confidence", Drop),
    // Which other causes were weighed hangs on what little speaks for each of them: on a real cluster that is not the same
    // each time.
    (VERDICT, Drop),
    (".hypotheses[].component", Drop),
    (".hypotheses[].supporting[]", Drop),
    (".hypotheses[].contradicting[]", Drop),
    // The catalogue of actions says as much.
    (".options[].target", Drop),
    (".options[].reversible", Drop),
];

/// What came of each hypothesis.
const VERDICT: &str = ".hypotheses[].verdict";

/// Writes the stable part as YAML.
pub fn write(diagnosis: &Diagnosis, bundle: &Bundle) -> Result<String, serde_yaml::Error> {
    let whole = serde_yaml::to_value(diagnosis)?;
    let mut kept = Mapping::new();
    for (selector, redaction) in FIELDS {
        let found = select(&whole, selector);
        let names = || found.iter().filter_map(|value| value.as_str());
        match redaction {
            Keep(place) => put(&mut kept, place, found.first().copied().cloned().unwrap_or_default()),
            Role(place) => put(&mut kept, place, role(names().next().unwrap_or_default(), &bundle.nodes).into()),
            Sorted(place) => put(&mut kept, place, list(names().map(str::to_owned))),
            Confirmed(place) => {
                let verdicts = select(&whole, VERDICT);
                let confirmed = names().zip(verdicts).filter(|(_, verdict)| verdict.as_str() == Some("confirmed"));
                put(&mut kept, place, list(confirmed.map(|(category, _)| category.to_owned())));
            }
            Signals(place) => {
                let signals = names().map(|number| signal(&EvidenceRef(number.to_owned()), bundle));
                put(&mut kept, place, list(signals));
            }
            Drop => {}
        }
    }
    serde_yaml::to_string(&kept)
}

/// The values that a selector stands for: `[]` for each value of a list.
fn select<'v>(whole: &'v Value, selector: &str) -> Vec<&'v Value> {
    selector.split('.').skip(1).fold(vec![whole], |found, step| {
        let inner = |key: &str| found.iter().filter_map(|value| value.get(key)).collect::<Vec<&Value>>();
        match step.strip_suffix("[]") {
            Some(key) => inner(key).into_iter().filter_map(Value::as_sequence).flatten().collect(),
            None => inner(step),
        }
    })
}

/// Puts a value in its place in the snapshot, such as `root_cause.role`.
fn put(kept: &mut Mapping, place: &str, value: Value) {
    match place.split_once('.') {
        None => drop(kept.insert(place.into(), value)),
        Some((outer, inner)) => {
            if let Value::Mapping(part) = kept.entry(outer.into()).or_insert_with(|| Mapping::new().into()) {
                put(part, inner, value);
            }
        }
    }
}

fn list(names: impl Iterator<Item = String>) -> Value {
    names.collect::<BTreeSet<String>>().into_iter().map(Value::from).collect()
}

/// What a piece of evidence is about, without its number.
fn signal(reference: &EvidenceRef, bundle: &Bundle) -> String {
    if let Some(row) = bundle.row(reference) {
        format!("{} {}", role(row.node.as_str(), &bundle.nodes), row.name)
    } else if let Some(log) = bundle.log(reference) {
        format!("{} log", role(log.node.as_str(), &bundle.nodes))
    } else {
        "nothing".to_owned()
    }
}

fn role<'n>(name: &str, nodes: &'n [Node]) -> &'n str {
    nodes.iter().find(|node| node.name.as_str() == name).map_or(crate::subject::CLUSTER, |node| node.role.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;

    /// The selectors of all that a schema has at its ends.
    fn ends(schema: &Json, part: &Json, selector: &str) -> Vec<String> {
        let part = part["$ref"].as_str().map_or(part, |name| schema.pointer(name.trim_start_matches('#')).unwrap());
        match (part["properties"].as_object(), part.get("items")) {
            (Some(fields), _) => {
                fields.iter().flat_map(|(name, field)| ends(schema, field, &format!("{selector}.{name}"))).collect()
            }
            (None, Some(items)) => ends(schema, items, &format!("{selector}[]")),
            (None, None) => vec![selector.to_owned()],
        }
    }

    #[test]
    fn every_field_of_a_diagnosis_is_declared_once() {
        let schema = schemars::schema_for!(Diagnosis).to_value();
        let mut fields = ends(&schema, &schema, "");
        let mut declared: Vec<&str> = FIELDS.iter().map(|(selector, _)| *selector).collect();
        fields.sort();
        declared.sort_unstable();
        assert_eq!(declared, fields, "declare in FIELDS what becomes of a new field in a snapshot");
    }
}
