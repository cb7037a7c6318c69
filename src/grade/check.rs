//! One check of a rubric: what it asks, and whether what is there is that.

use serde_json::Value as Json;

use super::rubric::{
    BY_VERDICT, CALIBRATION, CONTRADICTIONS, COST, DANGEROUS_COMMANDS, LATENCY, REGRET, TARGET, WHOLE,
};
use super::rubric::{Check, CheckResult, Facts, Outcome, Scalar};

/// Checks what is graded: the diagnosis as JSON, with the values of the paths that are no fields of it.
pub(super) fn apply(check: &Check, graded: &Json, facts: &Facts) -> CheckResult {
    let result = |outcome, asked, found| CheckResult {
        id: check.id.clone(),
        weight: check.weight,
        required: check.required,
        advisory: check.judge.is_some() && !check.required,
        outcome,
        asked,
        found,
    };
    if let Some(statement) = &check.judge {
        let judged = facts.judged.get(&check.id).cloned();
        let (outcome, found) =
            judged.map_or_else(|| (Outcome::Skipped, "not judged".to_owned()), |judged| (judged.outcome, judged.found));
        return result(outcome, format!("judge: {statement}"), found);
    }
    let pointer = format!("/{}", check.path.replace('.', "/"));
    let found = graded.pointer(&pointer).unwrap_or(&Json::Null);
    let (met, test) = test(check, found, facts);
    let outcome = match met {
        _ if found.is_null() && absent(&check.path).is_some() => Outcome::Skipped,
        true => Outcome::Met,
        false => Outcome::Missed,
    };
    let found = match found {
        Json::Null if let Some(reason) = absent(&check.path) => reason.to_owned(),
        _ if check.path == WHOLE => "mentioned".to_owned(),
        Json::Array(texts) if made_of_texts(&check.path) && !texts.is_empty() => {
            texts.iter().map(plain).collect::<Vec<_>>().join(", ")
        }
        found => plain(found),
    };
    result(outcome, format!("{} {test}", check.path), found)
}

/// Whether a list at a path is shown text by text, and not by its length.
fn made_of_texts(path: &str) -> bool {
    [CONTRADICTIONS, DANGEROUS_COMMANDS].contains(&path) || BY_VERDICT.iter().any(|(known, _)| *known == path)
}

/// Why there may be nothing at a path that leads beside the diagnosis; none if there always is something.
fn absent(path: &str) -> Option<&'static str> {
    match path {
        COST => Some("not known: no model was asked, or its price is not in the table"),
        LATENCY => Some("not there: no model was asked"),
        REGRET => Some("not there: the remedies were not tried"),
        CALIBRATION => Some("not there: no check asks for the root cause"),
        _ => None,
    }
}

/// Whether a check's one test is met, and the test in words.
fn test(check: &Check, found: &Json, facts: &Facts) -> (bool, String) {
    let means = |scalar: &Scalar| match &scalar.0 {
        Json::String(word) if word == TARGET && !facts.targets.is_empty() => {
            facts.targets.iter().map(|target| Json::String(target.0.clone())).collect()
        }
        value => vec![value.clone()],
    };
    let equals = |scalar: &Scalar| means(scalar).iter().any(|value| same(value, found));
    let list = |scalars: &[Scalar]| scalars.iter().map(|scalar| plain(&scalar.0)).collect::<Vec<_>>().join(", ");
    if let Some(scalar) = &check.is {
        (equals(scalar), format!("is {}", plain(&scalar.0)))
    } else if let Some(scalars) = &check.any_of {
        (scalars.iter().any(equals), format!("is any of {}", list(scalars)))
    } else if let Some(scalars) = &check.none_of {
        // What is not there at all is not known to be harmless.
        (!found.is_null() && !scalars.iter().any(equals), format!("is none of {}", list(scalars)))
    } else if let Some(scalar) = &check.contains {
        (means(scalar).iter().any(|value| contains(found, value)), format!("contains {}", plain(&scalar.0)))
    } else if let Some(scalar) = &check.lacks {
        let mentioned = means(scalar).iter().any(|value| mentions(found, &plain(value)));
        (!found.is_null() && !mentioned, format!("lacks {}", plain(&scalar.0)))
    } else if let Some(pattern) = &check.matches {
        let expression = regex::Regex::new(pattern).ok();
        let met = expression.zip(found.as_str()).is_some_and(|(expression, text)| expression.is_match(text));
        (met, format!("matches {pattern}"))
    } else if let Some(least) = check.at_least {
        (size(found).is_some_and(|size| size >= least), format!("is at least {least}"))
    } else if let Some(most) = check.at_most {
        (size(found).is_some_and(|size| size <= most), format!("is at most {most}"))
    } else {
        (false, "asks nothing".to_owned())
    }
}

/// Equal in meaning: 1 and 1.0 are the same number.
fn same(one: &Json, other: &Json) -> bool {
    one == other || one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| (one - other).abs() < f64::EPSILON)
}

fn contains(found: &Json, wanted: &Json) -> bool {
    match found {
        Json::Array(items) => items.iter().any(|item| same(item, wanted)),
        Json::String(text) => text.to_lowercase().contains(&plain(wanted).to_lowercase()),
        _ => false,
    }
}

/// Whether any text in it contains this, in any letter case.
fn mentions(found: &Json, text: &str) -> bool {
    match found {
        Json::Array(items) => items.iter().any(|item| mentions(item, text)),
        Json::Object(fields) => fields.values().any(|field| mentions(field, text)),
        one => plain(one).to_lowercase().contains(&text.to_lowercase()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a list in a diagnosis is short")]
fn size(found: &Json) -> Option<f64> {
    found.as_array().map(|items| items.len() as f64).or_else(|| found.as_f64())
}

fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => format!("{} items", items.len()),
        other => other.to_string(),
    }
}
