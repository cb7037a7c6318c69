//! Each error of a call is forced through the program, with all that it can write, and the key is looked for everywhere.

use std::path::Path;

use operator_run::run::RunRecord;
use serde_json::{Value, json};

use super::bench::{Bench, STORE_DOWN};
use super::scripted::{self, KEY, QUOTED_HEADER, QUOTED_HEADERS, Scripted};

/// A key of a gateway, sent in a header of its own.
const GATEWAY_KEY: &str = "gateway-key-0123456789";

/// A case: its name, what the server answers, and what the reason of the error must say.
type Case = (&'static str, Vec<Scripted>, &'static str);

/// Every text and file that a run of the program leaves, the database and its journal included.
fn all_that_is_written(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all_that_is_written(&path));
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

#[track_caller]
fn assert_keyless(name: &str, place: &str, bytes: &[u8]) {
    for key in [KEY, GATEWAY_KEY] {
        let found = bytes.windows(key.len()).any(|window| window == key.as_bytes());
        assert!(!found, "{name}: the key {key} is in {place}");
    }
}

/// Runs the scenario with all that writes something, looks for the keys, and returns the record.
fn run(name: &str, bench: &Bench, base_url: &str, options: &[&str]) -> RunRecord {
    bench.write("s.yaml", STORE_DOWN);
    let headers = format!("X-Gateway-Key: {GATEWAY_KEY}");
    let environment = [
        ("ANTHROPIC_API_KEY", KEY),
        ("ANTHROPIC_BASE_URL", base_url),
        ("ANTHROPIC_CUSTOM_HEADERS", headers.as_str()),
        ("OPERATOR_RUN_LOG", "trace"),
    ];
    let writes = ["--json", "--junit", "report.xml", "--record", "tapes", "--record-observations", "--with-baseline"];
    let outcome =
        tokio::task::block_in_place(|| bench.run_with(&[&["s.yaml"], &writes[..], options].concat(), &environment));
    let mut written = all_that_is_written(&bench.path(""));
    for must in ["report.xml", "operator-run.db"] {
        assert!(written.iter().any(|(path, bytes)| path.contains(must) && !bytes.is_empty()), "{name}: no {must}");
    }
    written.push(("stdout".to_owned(), outcome.stdout.clone().into_bytes()));
    written.push(("stderr".to_owned(), outcome.stderr.into_bytes()));
    for (place, bytes) in &written {
        assert_keyless(name, place, bytes);
    }
    let record: RunRecord = serde_json::from_str(&outcome.stdout).unwrap();
    let logged = String::from_utf8_lossy(&written[written.len() - 1].1).contains("TRACE");
    assert_eq!(logged, record.diagnoser.exchange.is_some(), "{name}: a call is logged in all detail");
    record
}

/// An answer of the API that says what it was sent.
fn quoting(stop_reason: &str, details: &Value) -> Scripted {
    let body = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5-5", "stop_reason": stop_reason,
        "stop_details": details, "content": [{ "type": "text", "text": format!("{{ {QUOTED_HEADERS}") }],
        "usage": { "input_tokens": 9, "output_tokens": 3 }, "echo": QUOTED_HEADERS,
    });
    Scripted::new(200, &body)
}

fn statuses() -> Vec<Case> {
    let thrice = |status, error_type| [(); 3].map(|()| Scripted::error(status, error_type)).into();
    vec![
        (
            "400",
            vec![Scripted::error(400, "invalid_request_error")],
            "HTTP 400 invalid_request_error: sent Bearer [RED",
        ),
        ("401", vec![Scripted::error(401, "authentication_error")], "HTTP 401 authentication_error: sent Bearer [RED"),
        ("402", vec![Scripted::error(402, "billing_error")], "HTTP 402 billing_error: sent Bearer [RED"),
        ("403", vec![Scripted::error(403, "permission_error")], "HTTP 403 permission_error: sent Bearer [RED"),
        ("404", vec![Scripted::error(404, "not_found_error")], "HTTP 404 not_found_error: sent Bearer [RED"),
        ("408", thrice(408, "timeout_error"), "HTTP 408 timeout_error: sent Bearer [RED"),
        ("409", thrice(409, "conflict_error"), "HTTP 409 conflict_error: sent Bearer [RED"),
        ("413", vec![Scripted::error(413, "request_too_large")], "HTTP 413 request_too_large: sent Bearer [RED"),
        ("429", thrice(429, "rate_limit_error"), "HTTP 429 rate_limit_error: sent Bearer [RED"),
        ("500", thrice(500, "api_error"), "HTTP 500 api_error: sent Bearer [RED"),
        ("504", thrice(504, "timeout_error"), "HTTP 504 timeout_error: sent Bearer [RED"),
        ("529", thrice(529, "overloaded_error"), "HTTP 529 overloaded_error: sent Bearer [RED"),
    ]
}

fn others() -> Vec<Case> {
    let page = || Scripted::new(502, &format!("<html>Bad Gateway: {QUOTED_HEADERS}</html>"));
    let limit = json!({ "error": { "type": "rate_limit_error", "message": QUOTED_HEADERS,
        "details": { "error_code": "enforced_spend_limit_reached", "echo": QUOTED_HEADERS } } });
    let moved = Scripted::new(307, &QUOTED_HEADERS).with("location", "/v1/elsewhere");
    let refusal = json!({ "type": "refusal", "category": "cyber", "explanation": QUOTED_HEADERS });
    vec![
        ("HTML from a proxy", vec![page(), page(), page()], "HTTP 502 is no answer of the Claude API: `<html>"),
        ("all headers", vec![Scripted::new(400, &json!({ "echo": QUOTED_HEADERS }))], "HTTP 400 error: {\"echo\":"),
        ("its own id", vec![Scripted::error(401, "x").with("request-id", KEY)], "(request [REDACTED])"),
        ("a redirect", vec![moved], "HTTP 307 is no answer of the Claude API"),
        ("a spending limit", vec![Scripted::new(429, &limit)], "raise the spending limit"),
        ("a refusal", vec![quoting("refusal", &refusal)], "the model refused to answer (cyber): "),
        ("a truncation", vec![quoting("max_tokens", &Value::Null)], "longer than the 16000 tokens"),
        ("an unknown end", vec![quoting(QUOTED_HEADER, &Value::Null)], "the stop reason \"Bearer [REDACTED]\""),
        ("no JSON", vec![quoting("end_turn", &Value::Null)], "is not valid: it is not JSON"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_nowhere_whatever_goes_wrong() {
    for (name, answers, expected) in statuses().into_iter().chain(others()) {
        let (address, script) = scripted::serve(answers).await;
        let record = run(name, &Bench::empty(), &address, &[]);
        assert!(script.answers.lock().unwrap().is_empty(), "{name}: not all was asked for");
        let [reason] = record.reasons.as_slice() else { panic!("{name}: {:?}", record.reasons) };
        assert!(reason.starts_with("no diagnosis: ") && reason.contains(expected), "{name}: {reason}");
        let call = record.diagnoser.exchange.unwrap();
        assert_eq!(call.attempts as usize, script.seen.lock().unwrap().len(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_nowhere_when_no_answer_comes() {
    let (hangs_up, connections) = scripted::hang_up_after("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{").await;
    let record = run("a dropped connection", &Bench::empty(), &hangs_up, &[]);
    assert_eq!(*connections.lock().unwrap(), 3);
    assert!(record.reasons[0].contains("lost the connection to 127.0.0.1"), "{:?}", record.reasons);
    let call = record.diagnoser.exchange.unwrap();
    assert_eq!((call.attempts, call.cost_usd), (3, None), "nobody knows what was paid for");

    let (address, script) = scripted::serve([]).await;
    let record = run("too expensive", &Bench::empty(), &address, &["--max-cost", "0.01"]);
    assert!(record.reasons[0].contains("--max-cost is 0.01 USD"), "{:?}", record.reasons);
    assert_eq!((script.seen.lock().unwrap().len(), record.diagnoser.exchange), (0, None));
}
