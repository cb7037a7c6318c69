//! The rubric: checks on paths of a diagnosis and on what is known beside it, with weights.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::check::apply;
use crate::diagnosis::{Diagnosis, HypothesisVerdict};
use crate::reading::NodeName;

/// What stands in a check for any of the nodes that the first fault is done to.
pub const TARGET: &str = "target";
/// The path of the share of the claims that are grounded, beside those of the diagnosis.
pub const GROUNDED: &str = "grounded";
/// The path of what the call to the model cost, in US dollars.
pub const COST: &str = "cost";
/// The path of how long the answer took, in seconds.
pub const LATENCY: &str = "latency";
/// The path of the regret, from 0 to 1.
pub const REGRET: &str = "regret";
/// The path of the squared distance between the confidence and whether the cause is right: 0 is best, 1 is worst
/// (Brier, "Verification of forecasts expressed in terms of probability", 1950).
pub const CALIBRATION: &str = "calibration";
/// The path of what in the diagnosis cannot be meant together.
pub const CONTRADICTIONS: &str = "contradictions";
/// The path of the first commands that would do harm.
pub const DANGEROUS_COMMANDS: &str = "dangerous_commands";
/// The path of the root cause.
const ROOT_CAUSE: &str = "root_cause";
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
/// `at_least`, `at_most`; or a statement that a second model judges.
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
    /// The place in the diagnosis, such as `root_cause.category`; `diagnosis` for the whole of it; `confirmed`, `rejected`
    /// and `open` for the causes of the hypotheses that came out so; `grounded` for the share of the claims that the
    /// evidence shows, `calibration` for the squared distance between the confidence and whether the cause is right, `cost`
    /// (in US dollars) and `latency` (in seconds) of the call to the model, `regret` for what the recommended action costs
    /// more than the best one; these five are from 0 to 1 but for cost and latency. `contradictions` is a list of what in
    /// the diagnosis cannot be meant together, `dangerous_commands` one of the first commands that would do harm.
    #[serde(default)]
    pub path: String,
    /// A statement on the diagnosis, which a second model judges: such as `says that no data is lost`. What it finds is
    /// shown and decides nothing, unless the check is `required`.
    #[serde(default)]
    pub judge: Option<String>,
    /// How many times the judge is asked, an odd number; most of them decide. Once if nothing is said.
    #[serde(default)]
    pub votes: Option<u8>,
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

/// What is known of a diagnosis beside what it says.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The nodes that the fault was done to.
    pub targets: Vec<NodeName>,
    /// The share of the claims that are grounded, from 0 to 1.
    pub grounded: f64,
    /// What in the diagnosis cannot be meant together.
    pub contradictions: Vec<String>,
    /// The first commands that would do harm.
    pub dangerous_commands: Vec<String>,
    /// What the call to the model cost in US dollars; none if no model was asked or its price is not known.
    pub cost: Option<f64>,
    /// How long the answer took, in seconds; none if no model was asked.
    pub latency: Option<f64>,
    /// What the recommended action costs more than the best one, from 0 to 1; none if the remedies were not tried.
    pub regret: Option<f64>,
    /// What a judge made of the statements, by the ids of their checks.
    pub judged: BTreeMap<String, Judged>,
}

/// What a judge made of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Whether the statement holds; an error if the judge failed.
    pub outcome: Outcome,
    /// What it rests on.
    pub found: String,
}

/// What came of a check, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was met.
    Met,
    /// It was not.
    Missed,
    /// What it asks for is not there: it counts neither for nor against.
    Skipped,
    /// The judge failed or its answer can't be read: it counts neither for nor against.
    Error,
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
    /// Whether it is shown and decides nothing, as what a judge says does unless it is required.
    #[serde(default)]
    pub advisory: bool,
    /// What came of it.
    pub outcome: Outcome,
    /// What was asked, such as `root_cause.category is process_crash`.
    pub asked: String,
    /// What the diagnosis has there.
    pub found: String,
}

impl CheckResult {
    /// Whether it was met.
    #[must_use]
    pub fn met(&self) -> bool {
        self.outcome == Outcome::Met
    }

    /// Whether it counts against the diagnosis.
    #[must_use]
    pub fn missed(&self) -> bool {
        self.outcome == Outcome::Missed && !self.advisory
    }

    /// Whether it forbids words and asks for none.
    #[must_use]
    pub fn forbids(&self) -> bool {
        self.asked.contains(" is none of ")
    }

    /// Whether it is on this path or below it.
    #[must_use]
    pub fn is_on(&self, path: &str) -> bool {
        self.asked.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', ' ']))
    }
}

/// What came of a rubric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grade {
    /// The share of the weight that was met, from 0 to 1, of the checks that were met or missed and are not advisory.
    pub score: f64,
    /// The share that is needed.
    pub needed: f64,
    /// The squared distance between the confidence and whether the cause is right, from 0 to 1; none if no check asks for
    /// the root cause.
    #[serde(default)]
    pub calibration: Option<f64>,
    /// What came of each check.
    pub checks: Vec<CheckResult>,
}

impl Grade {
    /// Whether the score suffices and every required check was met.
    #[must_use]
    pub fn passed(&self) -> bool {
        // The weights are small numbers written by hand: a score that misses by less than this is a rounding.
        self.score + 1e-9 >= self.needed && self.checks.iter().all(|check| check.met() || !check.required)
    }

    /// Why it was not passed; none if it was.
    #[must_use]
    pub fn shortfall(&self) -> Option<String> {
        if !self.undecided().is_empty() {
            return None;
        }
        let missed: Vec<&str> =
            self.checks.iter().filter(|check| check.missed()).map(|check| check.id.as_str()).collect();
        let (score, needed) = (self.score, self.needed);
        let reason = || format!("rubric: {score:.2} of {needed:.2} needed; not met: {}", missed.join(", "));
        (!self.passed()).then(reason)
    }

    /// The required checks that were neither met nor missed, if it is they that decide: then there is no verdict.
    #[must_use]
    pub fn undecided(&self) -> Vec<&CheckResult> {
        let mut required = self.checks.iter().filter(|check| check.required);
        let failed = self.score + 1e-9 < self.needed || required.any(CheckResult::missed);
        let open = |check: &&CheckResult| check.required && !check.met();
        if failed { Vec::new() } else { self.checks.iter().filter(open).collect() }
    }
}

/// Grades a diagnosis.
pub fn grade(rubric: &Rubric, diagnosis: &Diagnosis, facts: &Facts) -> Result<Grade, serde_json::Error> {
    let mut graded = serde_json::to_value(diagnosis)?;
    let whole = graded.clone();
    graded[WHOLE] = whole;
    graded[GROUNDED] = facts.grounded.into();
    for (path, fact) in [(COST, facts.cost), (LATENCY, facts.latency), (REGRET, facts.regret)] {
        graded[path] = fact.into();
    }
    graded[CONTRADICTIONS] = facts.contradictions.iter().cloned().collect();
    graded[DANGEROUS_COMMANDS] = facts.dangerous_commands.iter().cloned().collect();
    for (path, verdict) in BY_VERDICT {
        let causes = diagnosis.hypotheses.iter().filter(|one| one.verdict == verdict).map(|one| &one.category.0);
        // The same on several nodes is one cause.
        graded[path] = causes.cloned().collect::<BTreeSet<_>>().into_iter().collect();
    }
    let calibration = calibration(rubric, diagnosis.confidence, &graded, facts);
    graded[CALIBRATION] = calibration.into();
    let checks: Vec<CheckResult> = rubric.checks.iter().map(|check| apply(check, &graded, facts)).collect();
    let weight = |wanted: fn(&CheckResult) -> bool| {
        let counted = checks.iter().filter(|check| !check.advisory && wanted(check));
        counted.map(|check| check.weight).fold(0.0, |sum, weight| sum + weight)
    };
    let (met, missed) = (weight(CheckResult::met), weight(CheckResult::missed));
    let score = if met > 0.0 { met / (met + missed) } else { 0.0 };
    Ok(Grade { score, needed: rubric.pass, calibration, checks })
}

/// How far the confidence is from whether the cause is right: all checks of the root cause say that together.
fn calibration(rubric: &Rubric, confidence: f64, graded: &Json, facts: &Facts) -> Option<f64> {
    let results = rubric.checks.iter().map(|check| apply(check, graded, facts));
    let of_cause: Vec<CheckResult> = results.filter(|result| result.is_on(ROOT_CAUSE)).collect();
    let right = if of_cause.iter().all(CheckResult::met) { 1.0 } else { 0.0 };
    (!of_cause.is_empty()).then(|| (confidence - right).powi(2))
}
