//! The client of the Messages API against a real HTTP server on loopback that answers by a script.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use operator_run::diagnosis::claude::{ClaudeError, Client, Config, Failure, Question, Reply, StatusKind, Usage};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::scripted::{self, KEY, QUOTED_HEADER, Script, Scripted};

fn client(base_url: String) -> Client {
    let first_wait = Duration::from_millis(1);
    Client::new(Config { base_url, first_wait, max_tokens: 4096, ..Config::new(KEY.into()) }).unwrap()
}

async fn ask(client: &Client) -> Result<Reply, ClaudeError> {
    let schema = json!({ "type": "object" });
    let body = client.request_body(&Question { system: "Be brief.", user: "Why?", schema: &schema });
    client.ask(&body).await?.read(4096)
}

async fn serve(answers: impl IntoIterator<Item = Scripted>) -> (Client, Script) {
    let (address, script) = scripted::serve(answers).await;
    (client(address), script)
}

/// The reply to a script that is played to its end.
async fn reply(answers: impl IntoIterator<Item = Scripted>) -> Reply {
    let (client, script) = serve(answers).await;
    let reply = ask(&client).await.unwrap();
    assert_eq!(script.seen.lock().unwrap().len(), reply.attempts as usize);
    assert!(script.answers.lock().unwrap().is_empty());
    reply
}

/// The error that a script ends with; none may show the key, though the server quotes it.
async fn error(answers: impl IntoIterator<Item = Scripted>) -> ClaudeError {
    let (client, script) = serve(answers).await;
    let error = ask(&client).await.unwrap_err();
    assert_eq!(script.seen.lock().unwrap().len(), error.attempts as usize);
    assert_eq!(error.request_id.as_deref(), Some("req_header"), "{error}");
    assert!(error.to_string().contains("req_header"), "{error}");
    assert_keyless(&error);
    error
}

fn assert_keyless(error: &ClaudeError) {
    let text = format!("{error} {error:?}");
    assert!(!text.contains(KEY), "{text}");
}

#[track_caller]
fn assert_status(error: &ClaudeError, expected: (StatusKind, u16, u32)) {
    let Failure::Status { kind, status, .. } = error.failure else { panic!("{error:?}") };
    assert_eq!((kind, status, error.attempts), expected, "{error}");
}

#[tokio::test]
async fn the_request_is_the_one_that_the_official_sdk_sends() {
    let golden: Value = serde_json::from_str(include_str!("../../fixtures/claude/golden-request.json")).unwrap();
    let (client, script) = serve([Scripted::answer()]).await;
    let question = Question {
        system: golden["system"][0]["text"].as_str().unwrap(),
        user: golden["messages"][0]["content"].as_str().unwrap(),
        schema: &golden["output_config"]["format"]["schema"],
    };
    client.ask(&client.request_body(&question)).await.unwrap();

    let seen = script.seen.lock().unwrap();
    let [seen] = seen.as_slice() else { panic!("{} requests", seen.len()) };
    assert_eq!(seen.body, golden);
    assert_eq!(client.request_body(&question), golden);
    assert_eq!(seen.line, "POST /v1/messages");
    for (name, value) in [
        ("anthropic-version", "2026-10-21"),
        ("authorization", "Bearer sk-ant-test-000"),
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("user-agent", concat!("operator-run/", env!("CARGO_PKG_VERSION"))),
    ] {
        let values: Vec<_> = seen.headers.get_all(name).iter().collect();
        assert_eq!(values, [value], "{name}");
    }
    for absent in ["x-api-key", "anthropic-beta"] {
        assert!(!seen.headers.contains_key(absent), "{absent}");
    }
}

#[tokio::test]
async fn the_reply_is_the_first_text_after_any_thinking() {
    let content = json!([
        { "type": "thinking", "thinking": "", "signature": "abc" },
        { "type": "block_of_the_future", "text": { "not": "text" } },
        { "type": "text", "text": "{\"cause\":1}", "citations": null },
        { "type": "text", "text": "and more" },
    ]);
    let reply = reply([Scripted::message(&content, &json!("end_turn"))]).await;
    assert_eq!(
        reply,
        Reply {
            text: "{\"cause\":1}".to_owned(),
            model: "claude-opus-5-5".to_owned(),
            request_id: Some("req_header".to_owned()),
            stop_reason: "end_turn".to_owned(),
            usage: Usage {
                input_tokens: 7,
                output_tokens: 3,
                cache_creation_input_tokens: 0,
                cache_read_input_tokens: 512,
            },
            attempts: 1,
        }
    );
}

#[tokio::test]
async fn what_cannot_pass_is_asked_once() {
    for (status, error_type, kind, advice) in [
        (400, "invalid_request_error", StatusKind::InvalidRequest, "setting"),
        (401, "authentication_error", StatusKind::Authentication, "ANTHROPIC_API_KEY"),
        (402, "billing_error", StatusKind::Billing, "payment"),
        (403, "permission_error", StatusKind::Permission, "workspace"),
        (404, "not_found_error", StatusKind::NotFound, "model's name"),
        (413, "request_too_large", StatusKind::TooLarge, "less evidence"),
        (418, "teapot_error", StatusKind::Other, "ANTHROPIC_BASE_URL"),
    ] {
        let error = error([Scripted::error(status, error_type)]).await;
        assert_status(&error, (kind, status, 1));
        let text = error.to_string();
        for part in [&status.to_string(), error_type, advice, "sent Bearer [REDACTED], sorry"] {
            assert!(text.contains(part), "`{part}` is not in `{text}`");
        }
    }
}

#[tokio::test]
async fn what_may_pass_is_asked_three_times() {
    for (status, error_type, kind) in [
        (408, "timeout_error", StatusKind::TimedOut),
        (409, "conflict_error", StatusKind::Conflict),
        (429, "rate_limit_error", StatusKind::RateLimited),
        (500, "api_error", StatusKind::Server),
        (503, "api_error", StatusKind::Server),
        (504, "timeout_error", StatusKind::TimedOut),
        (529, "overloaded_error", StatusKind::Overloaded),
    ] {
        let error = error([(); 3].map(|()| Scripted::error(status, error_type))).await;
        assert_status(&error, (kind, status, 3));
        assert!(error.to_string().contains("after 3 attempts"), "{error}");
    }
}

#[tokio::test]
async fn the_third_attempt_may_succeed() {
    let reply = reply([Scripted::error(429, "rate_limit_error"), Scripted::error(529, "x"), Scripted::answer()]).await;
    assert_eq!((reply.attempts, reply.text.as_str()), (3, "{\"cause\":1}"));
}

#[tokio::test]
async fn the_last_of_three_errors_is_the_one_reported() {
    let error =
        error([Scripted::error(500, "api_error"), Scripted::error(504, "x"), Scripted::error(529, "overloaded_error")])
            .await;
    assert_status(&error, (StatusKind::Overloaded, 529, 3));
}

#[tokio::test]
async fn without_a_hint_the_client_waits_by_itself() {
    let reply = reply([Scripted::error(529, "overloaded_error").with("retry-after-ms", ""), Scripted::answer()]).await;
    assert_eq!(reply.attempts, 2);
}

#[tokio::test]
async fn the_server_decides_whether_to_try_again() {
    let final_error = error([Scripted::error(529, "overloaded_error").with("x-should-retry", "false")]).await;
    assert_status(&final_error, (StatusKind::Overloaded, 529, 1));
    let reply = reply([Scripted::error(400, "x").with("x-should-retry", "true"), Scripted::answer()]).await;
    assert_eq!(reply.attempts, 2);
}

#[tokio::test]
async fn a_wait_of_more_than_a_minute_ends_the_attempts() {
    let patient = Scripted::error(429, "rate_limit_error").with("retry-after-ms", "").with("retry-after", "300");
    let error = error([patient]).await;
    assert_status(&error, (StatusKind::RateLimited, 429, 1));
    assert_eq!(error.asked_wait, Some(Duration::from_mins(5)));
    assert!(error.to_string().contains("asks to wait 300 s"), "{error}");
}

#[tokio::test]
async fn a_spending_limit_is_final() {
    for (status, error_code) in [
        (429, "enforced_spend_limit_reached"),
        (429, "contract_spend_limit_reached"),
        (400, "user_spend_limit_reached"),
    ] {
        let body = json!({ "type": "error", "error": { "type": "rate_limit_error", "message": "monthly cap",
            "details": { "error_code": error_code } } });
        let error = error([Scripted::new(status, &body)]).await;
        assert_status(&error, (StatusKind::SpendLimit, status, 1));
        assert!(error.to_string().contains("raise the spending limit"), "{error}");
    }
}

#[tokio::test]
async fn the_request_id_comes_from_the_body_where_no_header_has_it() {
    let (client, _script) = serve([Scripted::error(401, "authentication_error").with("request-id", "")]).await;
    let error = ask(&client).await.unwrap_err();
    assert_eq!(error.request_id.as_deref(), Some("req_body"));
}

#[tokio::test]
async fn an_error_of_another_shape_is_quoted() {
    let error = error([Scripted::new(401, &json!({ "detail": format!("no {QUOTED_HEADER}") }))]).await;
    assert_status(&error, (StatusKind::Authentication, 401, 1));
    assert!(error.to_string().contains(r#"{"detail":"no Bearer [REDACTED]"}"#), "{error}");
}

#[tokio::test]
async fn a_key_that_is_quoted_in_escapes_is_not_shown_either() {
    let escaped = KEY.chars().map(|letter| format!("\\u{:04x}", u32::from(letter))).collect::<Vec<_>>().concat();
    for body in [
        format!(r#"{{ "error": {{ "type": "{escaped}", "message": "no {escaped}" }}, "request_id": "{escaped}" }}"#),
        format!(r#"{{ "{escaped}": [{{ "detail": "no {escaped}" }}] }}"#),
    ] {
        let error = error([Scripted::new(401, &body)]).await;
        assert!(error.to_string().contains("no [REDACTED]") && !error.to_string().contains(&escaped), "{error}");
    }
}

#[tokio::test]
async fn a_page_of_a_proxy_is_told_from_an_answer() {
    let page = format!("<html>\n  <h1>Bad Gateway</h1> {QUOTED_HEADER}</html>");
    for (status, attempts) in [(502, 3), (200, 1), (403, 1)] {
        let error = error([(); 3].map(|()| Scripted::new(status, &page)).into_iter().take(attempts)).await;
        let Failure::NotJson { status: reported, excerpt } = &error.failure else { panic!("{error:?}") };
        assert_eq!((*reported, error.attempts as usize), (status, attempts));
        assert_eq!(excerpt, "<html> <h1>Bad Gateway</h1> Bearer [REDACTED]</html>");
    }
}

#[tokio::test]
async fn nobody_is_followed_elsewhere() {
    let error = error([Scripted::new(307, &"moved").with("location", "/v1/elsewhere")]).await;
    assert!(matches!(error.failure, Failure::NotJson { status: 307, .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_cut_off_or_refused_is_not_read() {
    let text = json!([{ "type": "text", "text": "{\"cause\":" }]);
    for (stop_reason, expected) in [
        (json!("max_tokens"), Failure::Truncated { max_tokens: 4096 }),
        (json!("model_context_window_exceeded"), Failure::ContextWindowExceeded),
        (json!("refusal"), Failure::Refusal { category: None, explanation: None }),
        (json!("pause_turn"), Failure::UnexpectedStop { stop_reason: "\"pause_turn\"".to_owned() }),
        (json!("of_the_future"), Failure::UnexpectedStop { stop_reason: "\"of_the_future\"".to_owned() }),
        (json!(null), Failure::UnexpectedStop { stop_reason: "null".to_owned() }),
    ] {
        // Even a server that asks for another attempt does not get one.
        let error = error([Scripted::message(&text, &stop_reason).with("x-should-retry", "true")]).await;
        assert_eq!((error.failure, error.attempts), (expected, 1));
    }
}

#[tokio::test]
async fn a_refusal_says_why() {
    let details = json!({ "type": "refusal", "category": "cyber", "explanation": format!("no {QUOTED_HEADER}") });
    let body = json!({ "type": "message", "content": [], "stop_reason": "refusal", "stop_details": details });
    let error = error([Scripted::new(200, &body)]).await;
    let text = error.to_string();
    assert!(text.contains("(cyber): no Bearer [REDACTED];"), "{text}");
}

#[tokio::test]
async fn an_answer_without_text_is_empty() {
    for content in [
        json!([]),
        json!(null),
        json!([{ "type": "thinking", "thinking": "" }]),
        json!([{ "type": "text", "text": " " }]),
    ] {
        let error = error([Scripted::message(&content, &json!("end_turn"))]).await;
        assert_eq!((error.failure, error.attempts), (Failure::EmptyAnswer, 1));
    }
}

#[tokio::test]
async fn a_lost_connection_is_made_again_twice() {
    for beginning in ["", "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"] {
        let (address, connections) = scripted::hang_up_after(beginning).await;
        let error = ask(&client(address)).await.unwrap_err();
        assert_keyless(&error);
        let Failure::Transport { what, host, .. } = &error.failure else { panic!("{error:?}") };
        assert_eq!((*what, host.as_str(), error.attempts), ("lost the connection to", "127.0.0.1", 3), "{error}");
        assert_eq!(*connections.lock().unwrap(), 3);
    }
}

#[tokio::test]
async fn where_nobody_listens_nobody_can_be_asked() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = ask(&client(format!("http://{address}"))).await.unwrap_err();
    assert_keyless(&error);
    let Failure::Transport { what, .. } = error.failure else { panic!("{error:?}") };
    assert_eq!((what, error.attempts, error.request_id), ("cannot connect to", 3, None));
}

#[tokio::test]
async fn each_retry_is_logged_with_its_request_id_and_without_the_key() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(Arc::new(log.reopen().unwrap()))
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    reply([Scripted::error(429, "rate_limit_error"), Scripted::error(529, "x"), Scripted::answer()]).await;
    let log = std::fs::read_to_string(log.path()).unwrap();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 2, "{log}");
    assert!(warnings.iter().all(|line| line.contains("request_id=\"req_header\"")), "{log}");
    assert!(!log.contains(KEY), "{log}");
}
