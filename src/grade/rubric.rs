//! The rubric: checks on paths of a diagnosis, with weights.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::diagnosis::{Diagnosis, HypothesisVerdict};
use crate::reading::NodeName;

/// What stands in a check for any of the nodes that the first fault is done to.
pub const TARGET: &str = "target";
/// The path of the share of the claims that are grounded, beside those of the diagnosis.
pub const GROUNDED: &str = "grounded";
/// The path of the whole diagnosis.
pub const WHOLE: &str = "diagnosis";
/// The paths of the causes of the hypotheses with a verdict, beside those of the diagnosis, and the verdict's word.
pub const BY_VERDICT: [(&str, HypothesisVerdict); 3] = [
    ("confirmed", HypothesisVerdict::Confirmed),
    ("rejected", HypothesisVerdict::Rejected),
    ("open", HypothesisVerdict::Open),
];

/// How a diagnosis is graded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rubric {
    /// The share of the weight that must be met.
    pub pass: f64,
    /// What is checked.
    pub checks: Vec<Check>,
}

/// One check: a path into the diagnosis, and exactly one of `is`, `any_of`, `none_of`, `contains`, `lacks`, `matches`,
/// `at_least`, `at_most`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Its name in reports.
    pub id: String,
    /// How much it counts.
    #[serde(default = "one")]
    pub weight: f64,
    /// Whether the run fails if it is not met, whatever the score is.
    #[serde(default)]
    pub required: bool,
    /// The place in the diagnosis, such as `root_cause.category`; `diagnosis` for the whole of it, `grounded` for the share
    /// of the claims that the evidence shows, `confirmed`, `rejected` and `open` for the causes of the hypotheses that
    /// came out so.
    pub path: String,
    /// The value must be this; `target` stands for any node that the fault was done to.
    #[serde(default)]
    pub is: Option<Scalar>,
    /// The value must be one of these.
    #[serde(default)]
    pub any_of: Option<Vec<Scalar>>,
    /// The value must be none of these.
    #[serde(default)]
    pub none_of: Option<Vec<Scalar>>,
    /// The text or the list must contain this.
    #[serde(default)]
    pub contains: Option<Scalar>,
    /// Neither the text nor any text below the path may contain this.
    #[serde(default)]
    pub lacks: Option<Scalar>,
    /// This regular expression must match somewhere in the text, in the form that the crate regex takes.
    #[serde(default)]
    pub matches: Option<String>,
    /// The number, or the length of the list, must be at least this.
    #[serde(default)]
    pub at_least: Option<f64>,
    /// The number, or the length of the list, must be at most this.
    #[serde(default)]
    pub at_most: Option<f64>,
}

/// A word, a number or a truth value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("type" = ["string", "number", "boolean"]))]
pub struct Scalar(pub serde_json::Value);

fn one() -> f64 {
    1.0
}

/// What came of one check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The check's name.
    pub id: String,
    /// How much it counts.
    pub weight: f64,
    /// Whether the run fails without it.
    pub required: bool,
    /// Whether it was met.
    pub met: bool,
    /// What was asked, such as `root_cause.category is process_crash`.
    pub asked: String,
    /// What the diagnosis has there.
    pub found: String,
}

impl CheckResult {
    /// Whether it is on this path or below it.
    #[must_use]
    pub fn is_on(&self, path: &str) -> bool {
        self.asked.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', ' ']))
    }
}

/// What came of a rubric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grade {
    /// The share of the weight that was met, from 0 to 1.
    pub score: f64,
    /// The share that is needed.
    pub needed: f64,
    /// What came of each check.
    pub checks: Vec<CheckResult>,
}

impl Grade {
    /// Whether the score suffices and every required check was met.
    #[must_use]
    pub fn passed(&self) -> bool {
        // The weights are small numbers written by hand: a score that misses by less than this is a rounding.
        self.score + 1e-9 >= self.needed && self.checks.iter().all(|check| check.met || !check.required)
    }

    /// Why it was not passed; none if it was.
    #[must_use]
    pub fn shortfall(&self) -> Option<String> {
        let missed: Vec<&str> = self.checks.iter().filter(|check| !check.met).map(|check| check.id.as_str()).collect();
        let (score, needed) = (self.score, self.needed);
        let reason = || format!("rubric: {score:.2} of {needed:.2} needed; not met: {}", missed.join(", "));
        (!self.passed()).then(reason)
    }
}

/// Grades a diagnosis. `targets` are the nodes that the fault was done to, `grounded` the share of the claims that are.
pub fn grade(
    rubric: &Rubric,
    diagnosis: &Diagnosis,
    grounded: f64,
    targets: &[NodeName],
) -> Result<Grade, serde_json::Error> {
    let mut graded = serde_json::to_value(diagnosis)?;
    let whole = graded.clone();
    graded[WHOLE] = whole;
    graded[GROUNDED] = grounded.into();
    for (path, verdict) in BY_VERDICT {
        let causes = diagnosis.hypotheses.iter().filter(|one| one.verdict == verdict).map(|one| &one.category.0);
        graded[path] = causes.cloned().collect();
    }
    let checks: Vec<CheckResult> = rubric.checks.iter().map(|check| apply(check, &graded, targets)).collect();
    let weight = |checks: &mut dyn Iterator<Item = &CheckResult>| {
        checks.map(|check| check.weight).fold(0.0, |sum, weight| sum + weight)
    };
    let all = weight(&mut checks.iter());
    let met = weight(&mut checks.iter().filter(|check| check.met));
    Ok(Grade { score: if all > 0.0 { met / all } else { 0.0 }, needed: rubric.pass, checks })
}

fn apply(check: &Check, diagnosis: &Json, targets: &[NodeName]) -> CheckResult {
    let pointer = format!("/{}", check.path.replace('.', "/"));
    let found = diagnosis.pointer(&pointer).unwrap_or(&Json::Null);
    let means = |scalar: &Scalar| match &scalar.0 {
        Json::String(word) if word == TARGET && !targets.is_empty() => {
            targets.iter().map(|target| Json::String(target.0.clone())).collect()
        }
        value => vec![value.clone()],
    };
    let equals = |scalar: &Scalar| means(scalar).iter().any(|value| same(value, found));
    let list = |scalars: &[Scalar]| scalars.iter().map(|scalar| plain(&scalar.0)).collect::<Vec<_>>().join(", ");
    let (met, test) = if let Some(scalar) = &check.is {
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
    };
    CheckResult {
        id: check.id.clone(),
        weight: check.weight,
        required: check.required,
        met,
        asked: format!("{} {test}", check.path),
        found: match found {
            _ if check.path == WHOLE => "mentioned".to_owned(),
            Json::Array(causes) if BY_VERDICT.iter().any(|(path, _)| *path == check.path) && !causes.is_empty() => {
                causes.iter().map(plain).collect::<Vec<_>>().join(", ")
            }
            found => plain(found),
        },
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
