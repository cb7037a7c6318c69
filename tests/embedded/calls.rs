//! What a call has cost is on record whatever it came to, and is counted against the limit; it is kept and replayed.

use operator_run::diagnosis::Exchange;
use operator_run::diagnosis::claude::Effort;
use operator_run::run::{RunRecord, Verdict};
use serde_json::{Value, json};

use super::ask_claude::{record, run_with, text, word};
use super::bench::{Bench, STORE_DOWN};
use super::scripted::{self, KEY, Scripted};

/// What is no diagnosis, though the API has answered, and what of it costs.
const UNUSABLE: [(&str, fn(Value) -> Value, Option<f64>); 5] = [
    ("refused to answer (bio): no explanation", refused, Some(0.034)),
    ("longer than the 16000 tokens", |message| stopped(message, "max_tokens"), Some(0.034)),
    ("do not fit the model's context window", |message| stopped(message, "model_context_window_exceeded"), Some(0.034)),
    ("is not valid: it is not JSON", |message| text(message, "It was the butler."), Some(0.034)),
    ("refused to answer (bio): no explanation", refused_at_once, Some(0.0)),
];

fn stopped(mut message: Value, stop_reason: &str) -> Value {
    message["stop_reason"] = stop_reason.into();
    message
}

fn refused(mut message: Value) -> Value {
    message["stop_details"] = json!({ "type": "refusal", "category": "bio", "explanation": null });
    stopped(message, "refusal")
}

/// Such a refusal is free.
fn refused_at_once(mut message: Value) -> Value {
    message["content"] = json!([]);
    message["usage"]["output_tokens"] = 0.into();
    refused(message)
}

fn call(record: &RunRecord) -> &Exchange {
    record.diagnoser.exchange.as_ref().unwrap_or_else(|| panic!("no call: {:?}", record.reasons))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_diagnosis_has_cost_what_it_has_and_is_replayed_as_the_same_error() {
    for (expected, manner, cost) in UNUSABLE {
        let bench = Bench::empty();
        let options = ["--record", "tapes", "--effort", "low", "--record-observations"];
        let (outcome, recorded, _) = run_with(&bench, manner, &options).await;
        assert_eq!((outcome.exit, recorded.verdict), (3, Verdict::Error), "{expected}");
        assert!(recorded.reasons[0].contains(expected), "{:?}", recorded.reasons);
        let made = call(&recorded);
        assert_eq!((made.cost_usd, made.attempts, made.max_tokens), (cost, 1, 16_000), "{expected}");
        assert_eq!((made.model.as_str(), made.request_id.as_deref()), ("claude-opus-5-5", Some("req_42")));
        assert_eq!((made.input_tokens, made.effort), (4000, Some(Effort::Low)));

        let replay = ["--json", "--diagnoser", "replay", "--cassettes", "tapes"];
        let (exit, replayed) = record(&bench, &[&["s.yaml", "--accept"], &replay[..]].concat());
        assert_eq!((exit, &replayed.reasons, call(&replayed)), (3, &recorded.reasons, made));
        // Nor does the diagnosis that a run may have had before hide that there is none now.
        let (exit, again) = record(&bench, &[&["diagnose", &recorded.wall.run], &replay[..]].concat());
        assert_eq!((exit, &again.reasons, call(&again)), (3, &recorded.reasons, made));
        assert_eq!((again.verdict, again.diagnosis, again.grade), (Verdict::Error, None, None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_knows_the_file_has_cost_something_too() {
    let manner: fn(Value) -> Value = |message| {
        let canary = STORE_DOWN.split_once("canary: ").unwrap().1.split(' ').next().unwrap();
        word(message, "It was killed.", canary)
    };
    let (_, record, _) = run_with(&Bench::empty(), manner, &[]).await;
    assert!(record.reasons[0].starts_with("remembered: "), "{:?}", record.reasons);
    assert_eq!((call(&record).cost_usd, record.diagnosis), (Some(0.034), None));
}

/// Runs two scenarios with the same question on one budget, each refused by the model; returns the reasons.
async fn two_refusals(max_cost: f64) -> Vec<String> {
    let body = json!({ "type": "message", "model": "claude-opus-5-5", "content": [], "stop_reason": "refusal",
        "usage": { "input_tokens": 4000, "output_tokens": 900 } });
    let (address, _) = scripted::serve([(); 2].map(|()| Scripted::new(200, &body))).await;
    let bench = Bench::empty();
    bench.write("one.yaml", STORE_DOWN);
    bench.write("two.yaml", STORE_DOWN.replace("name: store-down", "name: store-gone"));
    let outcome = tokio::task::block_in_place(|| {
        let environment = [("ANTHROPIC_API_KEY", KEY), ("ANTHROPIC_BASE_URL", address.as_str())];
        bench.run_with(&["one.yaml", "two.yaml", "--json", "--max-cost", &max_cost.to_string()], &environment)
    });
    let reason = |line: &str| serde_json::from_str::<RunRecord>(line).unwrap().reasons.remove(0);
    outcome.stdout.lines().map(reason).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_counted_against_the_limit() {
    let [first, second] = two_refusals(0.0).await.try_into().unwrap();
    assert_eq!(first, second, "neither was asked");
    let most: f64 =
        first.split_once("the next call could cost ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    // A call that is refused here costs 0.034 USD.
    let [first, second] = two_refusals(most + 0.02).await.try_into().unwrap();
    assert!(first.contains("refused to answer") && second.contains("0.0340 USD are spent"), "{first} {second}");
    let [first, second] = two_refusals(most + 0.04).await.try_into().unwrap();
    assert!(first.contains("refused to answer") && second.contains("refused to answer"), "{first} {second}");
}
