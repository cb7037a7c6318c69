//! Checks that a second model makes: statements on the diagnosis.

use std::future::IntoFuture as _;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::{Json, Router};
use operator_run::grade::rubric::{CheckResult, Outcome};
use operator_run::run::{Class, RunRecord, Verdict};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::ask_claude::diagnosis;
use super::bench::{Bench, STORE_DOWN};

const STATEMENT: &str = "says that two replicas live";

/// What the judge says to a question.
type Manner = fn(&str) -> Value;

#[derive(Clone)]
struct Server {
    manner: Manner,
    judged: Arc<Mutex<Vec<Value>>>,
}

/// Claude writes the diagnosis, and judges it when it is asked to.
async fn answer(State(server): State<Server>, Json(body): Json<Value>) -> Json<Value> {
    let question = body["messages"][0]["content"].as_str().unwrap();
    let judges = body["system"][0]["text"].as_str().unwrap().starts_with("You judge");
    let text = if judges { (server.manner)(question) } else { diagnosis(question) };
    let model = body["model"].clone();
    if judges {
        server.judged.lock().unwrap().push(body);
    }
    Json(json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "stop_reason": "end_turn",
        "content": [{ "type": "text", "text": text.to_string() }],
        "usage": { "input_tokens": 1000, "output_tokens": 100 },
    }))
}

fn said(quote: &str, ruling: &str) -> Value {
    json!({ "quote": quote, "reason": "it says so", "ruling": ruling })
}

fn holds(_: &str) -> Value {
    said("Two live.", "holds")
}

fn scenario(check: &str) -> String {
    let first = "  checks:\n";
    STORE_DOWN.replacen(first, &format!("{first}    - {{ id: quorum, {check} }}\n"), 1)
}

fn advisory() -> String {
    scenario(&format!("judge: {STATEMENT}"))
}

/// Runs a scenario with Claude, and returns also what the judge was sent.
async fn run(bench: &Bench, scenario: &str, manner: Manner, options: &[&str]) -> (i32, RunRecord, Vec<Value>) {
    let server = Server { manner, judged: Arc::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serving =
        tokio::spawn(axum::serve(listener, Router::new().fallback(answer).with_state(server.clone())).into_future());
    bench.write("s.yaml", scenario);
    let outcome = tokio::task::block_in_place(|| {
        let environment = [("ANTHROPIC_API_KEY", "sk-ant-test-000"), ("ANTHROPIC_BASE_URL", &address)];
        bench.run_with(&[&["s.yaml", "--json", "--accept"], options].concat(), &environment)
    });
    serving.abort();
    let record = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {}", outcome.stderr));
    let judged = server.judged.lock().unwrap().clone();
    (outcome.exit, record, judged)
}

fn quorum(record: &RunRecord) -> &CheckResult {
    record.grade.as_ref().unwrap().checks.iter().find(|check| check.id == "quorum").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_judge_finds_is_shown_and_decides_nothing() {
    let bench = Bench::empty();
    let (exit, record, judged) = run(&bench, &advisory(), holds, &[]).await;
    let check = quorum(&record);
    assert_eq!((exit, check.outcome, check.advisory), (0, Outcome::Met, true));
    assert_eq!(check.found, "holds: it says so (“Two live.”)");
    let [request] = judged.as_slice() else { panic!("{judged:#?}") };
    assert_eq!(request["model"], "claude-haiku-5-5", "another model than the author");
    let sent = request["messages"][0]["content"].as_str().unwrap();
    assert!(sent.contains(&format!("The diagnosis {STATEMENT}.")), "{sent}");
    assert!(!sent.contains("store-down"), "{sent}");

    let not: Manner = |_| said("", "does_not_hold");
    let (exit, record, _) = run(&bench, &advisory(), not, &[]).await;
    let score = record.grade.as_ref().unwrap().score;
    assert_eq!((exit, quorum(&record).outcome, score), (0, Outcome::Missed, 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_statement_fails_the_run_if_it_does_not_hold_or_cannot_be_told() {
    let required = scenario(&format!("required: true, judge: {STATEMENT}"));
    let answers: [Manner; 2] = [|_| said("", "does_not_hold"), |_| said("Two live.", "cant_tell")];
    for manner in answers {
        let (exit, record, _) = run(&Bench::empty(), &required, manner, &[]).await;
        assert_eq!((exit, record.verdict, record.class), (1, Verdict::Fail, Class::Misdiagnosed));
        assert!(record.reasons[0].ends_with("not met: quorum"), "{:?}", record.reasons);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_judge_that_makes_its_quote_up_is_neither_for_nor_against() {
    let made_up: Manner = |_| said("Three live.", "holds");
    let (exit, record, _) = run(&Bench::empty(), &advisory(), made_up, &[]).await;
    assert_eq!((exit, quorum(&record).outcome), (0, Outcome::Error));
    let required = scenario(&format!("required: true, judge: {STATEMENT}"));
    let (exit, record, _) = run(&Bench::empty(), &required, made_up, &[]).await;
    assert_eq!((exit, record.verdict, record.class), (3, Verdict::Error, Class::Environment));
    let undecided = |reason: &String| reason.starts_with("undecided: the required check quorum is");
    assert!(record.reasons.iter().any(undecided), "{:?}", record.reasons);
}

#[tokio::test(flavor = "multi_thread")]
async fn most_readers_decide() {
    let split: Manner = |question| match question {
        question if question.contains("You are reader 1.") => json!("nonsense"),
        question if question.contains("You are reader 4.") => said("", "cant_tell"),
        _ => said("Two live.", "holds"),
    };
    for (votes, expected) in [(5, Outcome::Met), (1, Outcome::Error)] {
        let scenario = scenario(&format!("votes: {votes}, judge: {STATEMENT}"));
        let (_, record, judged) = run(&Bench::empty(), &scenario, split, &[]).await;
        assert_eq!((quorum(&record).outcome, judged.len()), (expected, votes), "{}", quorum(&record).found);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_judges_what_is_his_own_unless_he_is_told_to() {
    for (options, expected) in [
        (["--model", "claude-haiku-5-5"].as_slice(), "claude-sonnet-5-5"),
        (&["--judge-model", "claude-opus-5-5"], "claude-opus-5-5"),
    ] {
        let (_, _, judged) = run(&Bench::empty(), &advisory(), holds, options).await;
        assert_eq!(judged[0]["model"], expected);
    }
}

#[test]
fn without_a_key_a_statement_is_skipped_and_counted_as_such() {
    let bench = Bench::new();
    bench.write("s.yaml", advisory());
    let outcome = bench.run(&["s.yaml"]);
    assert_eq!(outcome.exit, 0, "{}", outcome.stdout);
    assert!(outcome.stdout.contains("PASS store-down  1 check skipped  "), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("judge: says that two replicas live; skipped: not judged"), "{}", outcome.stdout);

    let (exit, record) = bench.record(&scenario(&format!("required: true, judge: {STATEMENT}")), &[]);
    assert_eq!((exit, record.verdict), (3, Verdict::Error));
    assert_eq!(record.reasons, ["undecided: the required check quorum is not judged"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_judgement_is_recorded_replayed_and_kept_for_the_statement_that_it_is_about() {
    let bench = Bench::empty();
    let votes = scenario(&format!("votes: 3, judge: {STATEMENT}"));
    let (exit, recorded, _) = run(&bench, &votes, holds, &["--record", "tapes"]).await;
    assert_eq!(exit, 0);
    let tapes = std::fs::read_dir(bench.path("tapes")).unwrap();
    let names: Vec<String> = tapes.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.iter().filter(|name| name.starts_with("store-down.judge.claude-haiku-5-5.")).count(), 3);

    let replay = ["s.yaml", "--json", "--accept", "--diagnoser", "replay", "--cassettes", "tapes"];
    let outcome = bench.run(&replay);
    let replayed: RunRecord = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(replayed.judgements, recorded.judgements);
    assert_eq!(quorum(&replayed).outcome, Outcome::Met);

    let run = recorded.wall.run.as_str();
    let again =
        |bench: &Bench| -> RunRecord { serde_json::from_str(&bench.run(&["grade", run, "--json"]).stdout).unwrap() };
    assert_eq!(quorum(&again(&bench)).outcome, Outcome::Met);
    bench.write("s.yaml", votes.replace(STATEMENT, "says that one replica lives"));
    assert_eq!(quorum(&again(&bench)).outcome, Outcome::Skipped);
}

#[test]
fn the_confidence_is_graded_against_whether_the_cause_is_right() {
    let confidence = "{ id: sure, weight: 1, path: calibration, at_most: 0.1 }";
    let scenario = STORE_DOWN.replacen("  checks:\n", &format!("  checks:\n    - {confidence}\n"), 1);
    let bench = Bench::new();
    let (exit, record) = bench.record(&scenario, &[]);
    let grade = record.grade.unwrap();
    let off = (record.diagnosis.unwrap().confidence - 1.0).powi(2);
    assert_eq!((exit, grade.calibration, grade.checks[0].met()), (0, Some(off), true));

    let (exit, record) = bench.record(&scenario.replacen("is: process_crash", "is: disk_full", 1), &[]);
    let grade = record.grade.unwrap();
    let off = record.diagnosis.unwrap().confidence.powi(2);
    assert_eq!((exit, grade.calibration, grade.checks[0].met()), (1, Some(off), false));
}

#[test]
fn what_no_model_was_asked_for_costs_nothing_and_is_not_counted() {
    let checks = "    - { id: cheap, path: cost, at_most: 0.1 }\n    - { id: soon, path: latency, at_most: 60 }\n";
    let scenario = STORE_DOWN.replacen("  checks:\n", &format!("  checks:\n{checks}"), 1);
    let (exit, record) = Bench::new().record(&scenario, &[]);
    let grade = record.grade.unwrap();
    assert_eq!((exit, grade.score), (0, 1.0));
    assert!(grade.checks[..2].iter().all(|check| check.outcome == Outcome::Skipped), "{grade:?}");
}
