//! Past tickets that a scenario declares: how they are shown, and that they tell nothing that a question must not tell.

use insta::assert_snapshot;
use operator_run::diagnosis::{Diagnosis, HypothesisVerdict, Question};
use operator_run::run::Verdict;
use tokio_util::sync::CancellationToken;

use super::as_baseline::AsBaseline;
use super::bench::Bench;
use super::diagnosers::Manner;
use super::prompts::prompt;
use super::spy::{Broken, run};

const CRASHED_BEFORE: &str = include_str!("../../scenarios/store-paused-crashed-before.yaml");

fn changed(from: &str, to: &str) -> String {
    assert!(CRASHED_BEFORE.contains(from), "`{from}` is not in the scenario");
    CRASHED_BEFORE.replacen(from, to, 1)
}

#[tokio::test]
async fn they_stand_behind_the_evidence_under_other_names() {
    let prompt = prompt(CRASHED_BEFORE).await.user;
    let (evidence, past) = prompt.split_once("# Similar tickets of the past").unwrap();
    assert_snapshot!(past);
    let suspect = evidence.split_once("- store_down on ").unwrap().1.split(',').next().unwrap();
    assert!(past.contains(&format!("store_down on {suspect}, ")), "{past}");
}

#[tokio::test]
async fn who_follows_them_fails() {
    let follows = AsBaseline(|_: &Question<'_>, diagnosis: &mut Diagnosis| {
        diagnosis.root_cause.category = "process_crash".into();
        diagnosis.recommendation.action = "restart_store".into();
        for one in &mut diagnosis.hypotheses {
            let confirmed = one.category.0 == "process_crash";
            one.verdict = if confirmed { HypothesisVerdict::Confirmed } else { HypothesisVerdict::Rejected };
        }
    });
    let observed = run(CRASHED_BEFORE, &follows, Broken::Nothing, &CancellationToken::new()).await;
    assert_eq!(observed.record.verdict, Verdict::Fail);
    assert!(observed.record.reasons[0].contains("not met: cause, not-as-before"), "{:?}", observed.record.reasons);
}

#[tokio::test]
async fn a_secret_in_them_is_found() {
    let named = changed("name: store-paused-crashed-before", "name: 26h");
    let observed = run(&named, &Manner::Panics, Broken::Nothing, &CancellationToken::new()).await;
    assert_eq!(observed.record.reasons, ["leaked: the question to the diagnoser contains the scenario's name (`26h`)"]);
}

#[test]
fn they_are_checked() {
    let four = "past_tickets:\n  - { invariant: store_down, on: pd, ago: 1h, cause: disk_ful, action: restart, resolved_after: 2h }";
    let no_rubric = CRASHED_BEFORE.split_once("expect:").unwrap().0.to_owned() + "expect: { quiet: 1m }\n";
    let text = [
        ("four, and one with mistakes in it", changed("past_tickets:", four)),
        (
            "an unknown invariant on an unknown node",
            changed("store_down, on: tikv2, ago: 26h", "store_dwn, on: tikv9, ago: 0s"),
        ),
        ("a cause that is missing", changed("cause: process_crash, ", "")),
        ("an unknown key", changed("ago: 26h", "age: 26h")),
        ("nobody is asked", no_rubric),
    ]
    .map(|(name, contents)| {
        let bench = Bench::empty();
        bench.write("s.yaml", contents);
        let outcome = bench.run(&["s.yaml"]);
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""), "{name}: {}", outcome.stderr);
        format!("# {name}\n{}\n", outcome.stderr)
    })
    .concat();
    assert_snapshot!(text);
}
