//! The proof of a rubric: it passes the right answers to its scenario and fails wrong ones.

use std::collections::BTreeMap;

use serde::Serialize;

use super::assess;
use super::mutate::{Kind, wrong};
use super::reference::Reference;
use super::rubric::{COST, Check, CheckResult, Facts, Grade, LATENCY, REGRET, Rubric};
use crate::diagnosis::Diagnosis;
use crate::subject::Subject;

/// The share of the wrong answers to a scenario that its rubric must catch.
pub const NEEDED: f64 = 0.95;

/// How many wrong answers of a kind there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// How many the rubric failed.
    pub caught: usize,
    /// How many there were.
    pub tried: usize,
}

impl Tally {
    fn count(&mut self, caught: bool) {
        self.tried += 1;
        self.caught += usize::from(caught);
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { caught: self.caught + other.caught, tried: self.tried + other.tried }
    }

    /// The share that was caught; 0 of none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "some thousand answers at most")]
    pub fn share(self) -> f64 {
        if self.tried == 0 { 0.0 } else { self.caught as f64 / self.tried as f64 }
    }
}

/// A wrong answer that the rubric passes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Uncaught {
    /// How it is wrong.
    pub kind: Kind,
    /// What is wrong in it.
    pub what: String,
    /// Its score.
    pub score: f64,
    /// The checks that it meets.
    pub met: Vec<String>,
    /// Those that it does not meet.
    pub missed: Vec<String>,
}

/// A right answer that the rubric fails.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refused {
    /// Which.
    pub what: String,
    /// Why.
    pub why: String,
}

/// What came of the proof of one rubric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proof {
    /// The scenario.
    pub scenario: String,
    /// How many right answers were tried, the reference first.
    pub right: usize,
    /// Those of them that do not pass.
    pub refused: Vec<Refused>,
    /// The wrong answers, by kind.
    pub wrong: BTreeMap<Kind, Tally>,
    /// Those that pass.
    pub uncaught: Vec<Uncaught>,
    /// The checks that only a run can answer: they took no part.
    pub left_out: Vec<String>,
}

impl Proof {
    /// All wrong answers.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.wrong.values().fold(Tally::default(), |sum, tally| sum.and(*tally))
    }

    /// Whether the right answers pass and enough of the wrong ones are caught.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.refused.is_empty() && self.tally().share() >= NEEDED
    }
}

/// Proves a rubric. `others` are the references of the subject's other scenarios, `planted` the log lines that the scenario
/// plants.
pub fn prove(
    rubric: &Rubric,
    reference: &Reference,
    subject: &dyn Subject,
    others: &[&Reference],
    planted: &[String],
) -> Result<Proof, serde_json::Error> {
    let (kept, left_out): (Vec<Check>, Vec<Check>) = rubric.checks.iter().cloned().partition(can_be_proved);
    let rubric = Rubric { checks: kept, ..rubric.clone() };
    let graded = |diagnosis: &Diagnosis| -> Result<Grade, serde_json::Error> {
        let facts = Facts { targets: reference.targets.clone(), ..Facts::default() };
        Ok(assess(subject, &rubric, diagnosis, &reference.evidence, facts)?.0)
    };
    let mut proof = Proof {
        scenario: reference.scenario.clone(),
        right: 0,
        refused: Vec::new(),
        wrong: BTreeMap::new(),
        uncaught: Vec::new(),
        left_out: left_out.into_iter().map(|check| check.id).collect(),
    };
    for (what, diagnosis) in reference.right() {
        proof.right += 1;
        proof.refused.extend(graded(&diagnosis)?.shortfall().map(|why| Refused { what, why }));
    }
    for wrong in wrong(reference, subject, others, planted)? {
        let grade = graded(&wrong.diagnosis)?;
        proof.wrong.entry(wrong.kind).or_default().count(!grade.passed());
        if grade.passed() {
            let [met, missed] = [CheckResult::met, CheckResult::missed].map(|wanted| ids(&grade, wanted));
            proof.uncaught.push(Uncaught { kind: wrong.kind, what: wrong.what, score: grade.score, met, missed });
        }
    }
    Ok(proof)
}

/// Whether a check can be answered from a diagnosis and its evidence alone.
fn can_be_proved(check: &Check) -> bool {
    check.judge.is_none() && ![COST, LATENCY, REGRET].contains(&check.path.as_str())
}

fn ids(grade: &Grade, wanted: fn(&CheckResult) -> bool) -> Vec<String> {
    grade.checks.iter().filter(|check| wanted(check)).map(|check| check.id.clone()).collect()
}
