//! The form of the answer: its JSON Schema for a subject and a cluster, and the check of an answer against the same.

use serde_json::{Value as Json, json};

use crate::cluster::Node;
use crate::subject::{self, CLUSTER, Subject};

use super::Diagnosis;
use super::schema::{for_api, normalise_case};

/// The JSON Schema of a diagnosis of this subject on these nodes, within the subset that the Messages API takes.
#[must_use]
pub fn schema(subject: &dyn Subject, nodes: &[Node]) -> Json {
    let mut schema = schemars::schema_for!(Diagnosis).to_value();
    let definitions = &mut schema["$defs"];
    let mut close = |word: &str, allowed: Vec<&str>| definitions[word]["enum"] = json!(allowed);
    close("Category", subject::categories(subject).map(|term| term.name).collect());
    close("ActionName", subject::actions(subject).map(|action| action.name).collect());
    close("Component", nodes.iter().map(|node| node.name.as_str()).chain([CLUSTER]).collect());
    definitions["EvidenceRef"]["pattern"] = json!("^E[0-9]+$");
    for_api(schema)
}

/// Reads an answer, and checks what a schema can't or what the API does not promise: closed lists (in any letter case),
/// the range of the confidence, and that something is said at all. Whether the evidence shows what is claimed is graded.
pub fn read(text: &str, schema: &Json) -> Result<Diagnosis, String> {
    let mut answer: Json = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    normalise_case(&mut answer, schema);
    let diagnosis: Diagnosis = serde_json::from_value(answer).map_err(|error| error.to_string())?;
    check(&diagnosis, schema)?;
    Ok(diagnosis)
}

/// Checks a diagnosis against the closed lists and ranges.
pub fn check(diagnosis: &Diagnosis, schema: &Json) -> Result<(), String> {
    let closed = |word: &str, value: &str, place: &str| {
        let allowed = schema["$defs"][word]["enum"].as_array().map(Vec::as_slice).unwrap_or_default();
        if allowed.iter().any(|one| one == value) {
            return Ok(());
        }
        let list: Vec<&str> = allowed.iter().filter_map(Json::as_str).collect();
        Err(format!("{place} is `{value}`; it must be one of {}", list.join(", ")))
    };
    closed("Category", &diagnosis.root_cause.category.0, "root_cause.category")?;
    closed("Component", &diagnosis.root_cause.component.0, "root_cause.component")?;
    closed("ActionName", &diagnosis.recommendation.action.0, "recommendation.action")?;
    closed("Component", &diagnosis.recommendation.target.0, "recommendation.target")?;
    for hypothesis in &diagnosis.hypotheses {
        closed("Category", &hypothesis.category.0, "hypotheses[].category")?;
        closed("Component", &hypothesis.component.0, "hypotheses[].component")?;
    }
    for option in &diagnosis.options {
        closed("ActionName", &option.action.0, "options[].action")?;
        closed("Component", &option.target.0, "options[].target")?;
    }
    if !(0.0..=1.0).contains(&diagnosis.confidence) {
        return Err(format!("confidence is {}; it must lie between 0 and 1", diagnosis.confidence));
    }
    let empty = |list: bool, place: &str| if list { Err(format!("{place} is empty")) } else { Ok(()) };
    empty(diagnosis.hypotheses.is_empty(), "hypotheses")?;
    empty(diagnosis.root_cause.explanation.trim().is_empty(), "root_cause.explanation")
}
