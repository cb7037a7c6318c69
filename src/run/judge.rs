//! Asks the judge what it makes of the statements of a rubric. A judge that fails is no error of the run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Plan;
use super::error::RunError;
use super::record::RunRecord;
use crate::diagnosis::judge::{Judge, JudgeQuestion, Opinion, Ruling};
use crate::grade::rubric::{Check, Judged, Outcome, Rubric};

/// What one reader made of a statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vote {
    /// It judged.
    Opinion(Opinion),
    /// It failed, with the reason.
    Failed(String),
}

/// What a judge made of the statement of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgementRecord {
    /// The check's name.
    pub check: String,
    /// The statement.
    pub statement: String,
    /// What each reader made of it.
    pub votes: Vec<Vote>,
}

/// Asks for each check that states something, and puts what is said into the record.
pub(super) async fn judge(plan: &Plan, judge: Option<&dyn Judge>, record: &mut RunRecord) -> Result<(), RunError> {
    let (Some(judge), Some(diagnosis), Some(rubric)) = (judge, &record.diagnosis, &plan.loaded.scenario.rubric) else {
        return Ok(());
    };
    for Check { id, judge: statement, votes, .. } in &rubric.checks {
        let Some(statement) = statement else { continue };
        let mut said = Vec::new();
        for reader in 1..=votes.unwrap_or(1) {
            let question = JudgeQuestion::new(statement, diagnosis, reader)?;
            let opinion = judge.judge(&question).await;
            said.push(opinion.map_or_else(|error| Vote::Failed(error.to_string()), Vote::Opinion));
        }
        let (check, statement) = (id.clone(), statement.clone());
        record.judgements.push(JudgementRecord { check, statement, votes: said });
    }
    Ok(())
}

/// What was made of the statements that a rubric has.
pub(super) fn judged(rubric: &Rubric, judgements: &[JudgementRecord]) -> BTreeMap<String, Judged> {
    let stated = |record: &&JudgementRecord| {
        let same = |check: &Check| check.id == record.check && check.judge.as_ref() == Some(&record.statement);
        rubric.checks.iter().any(same)
    };
    judgements.iter().filter(stated).map(|record| (record.check.clone(), outcome(&record.votes))).collect()
}

/// What most readers say. Where too many have failed for that, the judge has.
fn outcome(votes: &[Vote]) -> Judged {
    let opinions =
        || votes.iter().filter_map(|vote| if let Vote::Opinion(opinion) = vote { Some(opinion) } else { None });
    let holds = |opinion: &&Opinion| opinion.judgement.ruling == Ruling::Holds;
    let (met, judged) = (opinions().filter(holds).count(), opinions().count());
    let most = votes.len() / 2 + 1;
    let outcome = match () {
        () if met >= most => Outcome::Met,
        () if judged - met >= most => Outcome::Missed,
        () => Outcome::Error,
    };
    let decides = |opinion: &&Opinion| holds(opinion) == (outcome == Outcome::Met);
    let failure =
        votes.iter().find_map(|vote| if let Vote::Failed(reason) = vote { Some(reason.clone()) } else { None });
    let found = match opinions().find(decides) {
        Some(Opinion { judgement, .. }) if outcome != Outcome::Error => {
            let quote =
                if judgement.quote.is_empty() { String::new() } else { format!(" (“{}”)", judgement.quote) };
            let agree = if outcome == Outcome::Met { met } else { judged - met };
            let count = if votes.len() > 1 { format!(", {agree} of {}", votes.len()) } else { String::new() };
            format!("{}{count}: {}{quote}", judgement.ruling.words(), judgement.reason)
        }
        _ => failure.unwrap_or_else(|| "the judge was not asked".to_owned()),
    };
    Judged { outcome, found }
}
