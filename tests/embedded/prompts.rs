//! The question as a model is sent it, read by a person.

use std::sync::Mutex;

use async_trait::async_trait;
use insta::assert_snapshot;
use operator_run::diagnosis::rules::diagnose;
use operator_run::diagnosis::{Answer, Diagnoser, DiagnoserError, Prompt, Question};
use operator_run::run::Verdict;
use operator_run::subject::tikv::TiKv;
use tokio_util::sync::CancellationToken;

use super::bench::{STORE_DOWN, changed};
use super::spy::{Broken, run};

/// Answers as the baseline does, and keeps the prompt.
struct Keeps(Mutex<Option<Prompt>>);

#[async_trait]
impl Diagnoser for Keeps {
    fn name(&self) -> &'static str {
        "test"
    }

    fn label(&self) -> String {
        "a test".to_owned()
    }

    async fn diagnose(&self, question: &Question<'_>) -> Result<Answer, DiagnoserError> {
        *self.0.lock().unwrap() = Some(question.prompt.clone());
        Ok(Answer { diagnosis: diagnose(&TiKv, question.bundle), exchange: None })
    }
}

pub(crate) async fn prompt(scenario: &str) -> Prompt {
    let keeps = Keeps(Mutex::new(None));
    let observed = run(scenario, &keeps, Broken::Nothing, &CancellationToken::new()).await;
    assert_eq!(observed.record.verdict, Verdict::Pass, "{:?}", observed.record.reasons);
    keeps.0.into_inner().unwrap().unwrap()
}

#[tokio::test]
async fn the_question_about_a_killed_store() {
    let prompt = prompt(STORE_DOWN).await;
    assert_snapshot!("system", prompt.system);
    assert_snapshot!("killed_store", prompt.user);
}

#[tokio::test]
async fn the_question_about_a_slow_disk() {
    assert_snapshot!("slow_disk", prompt(include_str!("../../scenarios/store-slow-disk.yaml")).await.user);
}

#[tokio::test]
async fn the_share_of_grounded_claims_and_the_whole_diagnosis_can_be_checked() {
    let last = "- { id: no-harm,";
    let more =
        "- { id: all, path: grounded, at_least: 1 }\n    - { id: quiet, path: diagnosis, lacks: gremlins }\n    ";
    let scenario = changed(&[(last, &format!("{more}{last}"))]);
    let observed = run(&scenario, &Keeps(Mutex::new(None)), Broken::Nothing, &CancellationToken::new()).await;
    assert_eq!(observed.record.verdict, Verdict::Pass, "{:?}", observed.record.reasons);
    let repeats = scenario.replace("lacks: gremlins", "lacks: Cold Cache");
    let observed = run(&repeats, &Keeps(Mutex::new(None)), Broken::Nothing, &CancellationToken::new()).await;
    let grade = observed.record.grade.unwrap();
    let missed: Vec<&str> = grade.checks.iter().filter(|check| !check.met()).map(|check| check.id.as_str()).collect();
    assert_eq!(missed, ["quiet"]);
}

#[tokio::test]
async fn sets_of_causes_patterns_and_upper_bounds_can_be_checked() {
    let checks = [
        ("path: confirmed, contains: process_crash", true),
        ("path: confirmed, contains: disk_slow", false),
        ("path: confirmed, at_most: 1", true),
        ("path: confirmed, at_most: 0", false),
        ("path: rejected, contains: network_partition", true),
        ("path: rejected, contains: process_crash", false),
        ("path: open, at_most: 9", true),
        ("path: confidence, at_most: 0.1", false),
        ("path: impact.explanation, matches: '(?i)^[a-z].* [a-z]+'", true),
        ("path: impact.explanation, matches: '^gremlins$'", false),
    ];
    let last = "- { id: no-harm,";
    let lines = checks.iter().enumerate().map(|(index, (check, _))| format!("- {{ id: c{index}, {check} }}\n    "));
    let scenario = changed(&[(last, &format!("{}{last}", lines.collect::<String>()))]);
    let observed = run(&scenario, &Keeps(Mutex::new(None)), Broken::Nothing, &CancellationToken::new()).await;
    let grade = observed.record.grade.unwrap();
    for (index, (check, met)) in checks.iter().enumerate() {
        let result = grade.checks.iter().find(|result| result.id == format!("c{index}")).unwrap();
        assert_eq!(result.met(), *met, "{check}: {} (found {})", result.asked, result.found);
    }
    let confirmed = grade.checks.iter().find(|result| result.id == "c1").unwrap();
    assert_eq!(confirmed.found, "process_crash", "a set is shown by its causes");
}
