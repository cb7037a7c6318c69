//! A real HTTP server on loopback that stands for the Messages API and answers by a script.

use std::collections::VecDeque;
use std::future::IntoFuture as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

pub(crate) const KEY: &str = "sk-ant-test-000";

/// Stands for the `Authorization` header of the request in a scripted body, as a careless gateway would quote it.
pub(crate) const QUOTED_HEADER: &str = "{authorization}";

/// The same of all headers.
pub(crate) const QUOTED_HEADERS: &str = "{headers}";

/// One answer.
pub(crate) struct Scripted {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
}

impl Scripted {
    pub(crate) fn new(status: u16, body: &impl ToString) -> Self {
        let headers = vec![("request-id", "req_header"), ("retry-after-ms", "1")];
        Self { status, headers, body: body.to_string() }
    }

    pub(crate) fn error(status: u16, error_type: &str) -> Self {
        let error = json!({ "type": error_type, "message": format!("sent {QUOTED_HEADER}, sorry"), "new": [1] });
        Self::new(status, &json!({ "type": "error", "error": error, "request_id": "req_body" }))
    }

    pub(crate) fn message(content: &Value, stop_reason: &Value) -> Self {
        Self::new(
            200,
            &json!({
                "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5-5",
                "content": content, "stop_reason": stop_reason, "stop_sequence": null,
                "usage": { "input_tokens": 7, "output_tokens": 3, "cache_creation_input_tokens": null,
                    "cache_read_input_tokens": 512, "new": { "x": 1 } },
                "new_field": { "x": [1, 2] },
            }),
        )
    }

    pub(crate) fn answer() -> Self {
        Self::message(&json!([{ "type": "text", "text": "{\"cause\":1}" }]), &json!("end_turn"))
    }

    /// Also takes a header away that has no value.
    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.extend((!value.is_empty()).then_some((name, value)));
        self
    }
}

/// A request that came.
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// The answers that are still to come, and the requests that came.
#[derive(Clone, Default)]
pub(crate) struct Script {
    pub(crate) answers: Arc<Mutex<VecDeque<Scripted>>>,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

async fn play(State(script): State<Script>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap();
    let line = format!("{} {}", parts.method, parts.uri);
    let quoted = |text: String| {
        let all: Vec<_> = parts.headers.values().map(|value| value.to_str().unwrap()).collect();
        let bearer = parts.headers["authorization"].to_str().unwrap();
        text.replace(QUOTED_HEADER, bearer).replace(QUOTED_HEADERS, &all.join("; "))
    };
    let scripted = script.answers.lock().unwrap().pop_front().unwrap_or_else(|| Scripted::new(500, &"script is over"));
    let mut response = Response::builder().status(scripted.status);
    for (name, value) in scripted.headers {
        response = response.header(name, value);
    }
    let response = response.body(quoted(scripted.body).into()).unwrap();
    script.seen.lock().unwrap().push(Seen { line, headers: parts.headers, body });
    response
}

/// Serves a script; says where.
pub(crate) async fn serve(answers: impl IntoIterator<Item = Scripted>) -> (String, Script) {
    let script = Script { answers: Arc::new(Mutex::new(answers.into_iter().collect())), ..Script::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().fallback(play).with_state(script.clone())).into_future());
    (address, script)
}

/// Takes connections, reads a request, writes the beginning of an answer and hangs up; says where, and how many came.
pub(crate) async fn hang_up_after(beginning: &'static str) -> (String, Arc<Mutex<u32>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            *counter.lock().unwrap() += 1;
            let _ = stream.read(&mut vec![0; 65536]).await;
            let _ = stream.write_all(beginning.as_bytes()).await;
        }
    });
    (address, connections)
}
