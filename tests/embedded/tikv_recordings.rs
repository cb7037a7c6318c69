//! The subject `tikv` and the monitor over the recordings of a real cluster: what was recorded is answered poll by poll,
//! and what must fire fires at the first poll that could tell.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use operator_run::clock::{Clock, after};
use operator_run::cluster::{Cluster, ClusterError, Fault, LogLine, Node, ProcessState, Undo};
use operator_run::http::{Http, HttpError, Request, Response};
use operator_run::monitor::{Change, Monitor};
use operator_run::reading::NodeName;
use operator_run::subject::Subject;
use operator_run::subject::tikv::TiKv;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// A cluster that answers what was recorded at one poll.
#[derive(Debug)]
struct Recording {
    nodes: Vec<Node>,
    poll: Mutex<Value>,
}

impl Recording {
    fn new() -> Self {
        let node = |role: &str, index: usize| Node { name: NodeName(format!("{role}{index}")), role: role.to_owned() };
        let nodes = ["pd", "tikv"].into_iter().flat_map(|role| (0..3).map(move |index| node(role, index))).collect();
        Self { nodes, poll: Mutex::new(Value::Null) }
    }

    /// What was recorded of a node.
    fn recorded(&self, node: &str) -> Value {
        self.poll.lock().unwrap()[node].clone()
    }

    /// PD answers for itself whenever it can be reached, and finds those well that can be: what it pings is no leader.
    fn health(&self) -> Value {
        let healthy = |node: &Node| !is_gone(&self.recorded(node.name.as_str())["stores"]);
        let pds = self.nodes.iter().filter(|node| node.role == "pd");
        pds.map(|node| json!({ "name": node.name, "health": healthy(node) })).collect()
    }

    fn stores(&self, by: &Value) -> Value {
        let now = self.now();
        let store = |(key, store): (&String, &Value)| {
            let age = Duration::from_secs_f64(store["hb_age_s"].as_f64().unwrap());
            let mut status = json!({
                "leader_count": store["leaders"],
                "region_count": store["regions"],
                "pending_peer_count": store["pending_peer_count"].as_u64().unwrap_or(0),
                "available": store["avail"],
            });
            if !store["slow"].is_null() {
                status["slow_score"] = store["slow"].clone();
            }
            json!({
                "store": {
                    "address": format!("{}:20160", key.split('#').next().unwrap()),
                    "state_name": store["state"],
                    "last_heartbeat": i64::try_from((now - age).as_nanosecond()).unwrap(),
                    "start_timestamp": 1,
                },
                "status": status,
            })
        };
        json!({ "stores": by.as_object().unwrap().iter().map(store).collect::<Vec<_>>() })
    }
}

/// Whether nothing listened.
fn is_gone(answer: &Value) -> bool {
    answer["error"].as_str().is_some_and(|error| !error.contains("Timeout"))
}

/// The failure that a word of the recorder stands for.
fn failure(request: &Request, word: &str) -> HttpError {
    let url = request.url();
    match word {
        word if word.contains("Timeout") => HttpError::TimedOut { url, after: request.timeout },
        word if word.contains("refused") || word == "URLError" => HttpError::Refused { url },
        word => HttpError::Lost { url, reason: word.to_owned() },
    }
}

#[async_trait]
impl Http for Recording {
    async fn send(&self, request: &Request) -> Result<Response, HttpError> {
        let host = request.authority.split(':').next().unwrap();
        let recorded = self.recorded(host);
        let answer = |status: u64, body: String| {
            Ok(Response { status: u16::try_from(status).unwrap(), content_type: String::new(), body })
        };
        if host.starts_with("tikv") {
            return recorded.as_u64().map_or_else(
                || Err(failure(request, recorded.as_str().unwrap())),
                |status| answer(status, String::new()),
            );
        }
        let path = request.path.strip_prefix("/pd/api/v1").unwrap();
        let of = |name: &str| {
            let part = &recorded[name];
            match (part["error"].as_str(), part["body"].as_str()) {
                (Some(error), _) => Err(failure(request, error)),
                (None, Some(body)) => answer(part["status"].as_u64().unwrap(), body.to_owned()),
                (None, None) if name == "members" => {
                    answer(200, json!({ "leader": { "name": part["leader"] } }).to_string())
                }
                (None, None) => answer(200, self.stores(&part["by"]).to_string()),
            }
        };
        match path {
            "/stores" => of("stores"),
            "/members" => of("members"),
            _ if is_gone(&recorded["stores"]) => of("stores"),
            "/health" => answer(200, self.health().to_string()),
            check => match self.recorded(check.rsplit('/').next().unwrap()) {
                Value::Number(status) if status.as_u64().unwrap() >= 500 => {
                    answer(status.as_u64().unwrap(), String::new())
                }
                Value::Number(count) => answer(200, json!({ "count": count }).to_string()),
                word => Err(failure(request, word.as_str().unwrap())),
            },
        }
    }
}

#[async_trait]
impl Clock for Recording {
    fn now(&self) -> Timestamp {
        let seconds = self.recorded("t").as_f64().unwrap() + 1000.0;
        after(Timestamp::UNIX_EPOCH, Duration::from_secs_f64(seconds))
    }

    async fn sleep(&self, _: Duration) {}
}

#[async_trait]
impl Cluster for Recording {
    fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    fn clock(&self) -> &dyn Clock {
        self
    }

    fn http(&self) -> &dyn Http {
        self
    }

    async fn up(&self, _: &CancellationToken) -> Result<(), ClusterError> {
        Ok(())
    }

    async fn process(&self, node: &NodeName) -> Result<ProcessState, ClusterError> {
        Err(not_recorded(&format!("the process of {node}")))
    }

    async fn inject(&self, fault: &Fault) -> Result<(), ClusterError> {
        Err(not_recorded(fault.kind().key()))
    }

    async fn missing_effect(&self, fault: &Fault) -> Result<Option<String>, ClusterError> {
        Err(not_recorded(fault.kind().key()))
    }

    async fn heal(&self, undo: &Undo) -> Result<(), ClusterError> {
        Err(not_recorded(&undo.to_string()))
    }

    async fn logs(&self, _: Timestamp) -> Result<Vec<LogLine>, ClusterError> {
        Err(not_recorded("logs"))
    }

    async fn down(&self) -> Result<(), ClusterError> {
        Ok(())
    }
}

fn not_recorded(what: &str) -> ClusterError {
    ClusterError::environment(what, "not recorded", "")
}

/// What fires and ends over a recording, with the time of the poll.
async fn watch(name: &str) -> Vec<(f64, String)> {
    let path = format!("{}/fixtures/recordings/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let cluster = Recording::new();
    let mut monitor = Monitor::new(TiKv.manual().invariants, &cluster.nodes);
    let mut seen = Vec::new();
    for line in text.lines().skip(1) {
        let poll: Value = serde_json::from_str(line).unwrap();
        let at = poll["t"].as_f64().unwrap();
        *cluster.poll.lock().unwrap() = poll;
        for change in monitor.poll(&TiKv.observe(&cluster).await) {
            seen.push((
                at,
                match change {
                    Change::Violated(violation) => format!("{} on {}", violation.invariant, violation.node),
                    Change::Resolved { invariant, node } => format!("{invariant} on {node} is over"),
                },
            ));
        }
    }
    seen
}

/// Each recording with all that must fire and end, and nothing else.
const EXPECTED: &[(&str, &[(f64, &str)])] = &[
    // PD calls the store Disconnected from the first of each pair on, and Up again from the second.
    ("store-kill", &[(12.02, "store_down on tikv1"), (81.05, "store_down on tikv1 is over")]),
    ("store-partition", &[(17.01, "store_down on tikv2"), (74.03, "store_down on tikv2 is over")]),
    (
        "store-quorum-loss",
        &[
            (18.04, "store_down on tikv1"),
            (19.03, "store_down on tikv2"),
            (81.02, "store_down on tikv1 is over"),
            (81.02, "store_down on tikv2 is over"),
        ],
    ),
    // It was down for 30 s.
    ("store-graceful-restart", &[(25.03, "store_down on tikv1"), (41.03, "store_down on tikv1 is over")]),
    ("quiet-then-rolling-restart", &[]),
    ("pd-leader-kill", &[(0.26, "pd_member_down on pd0"), (51.04, "pd_member_down on pd0 is over")]),
    ("remedy-pd-leader-resign", &[]),
];

#[tokio::test]
async fn what_was_recorded_fires_at_the_first_poll_that_could_tell() {
    for (name, expected) in EXPECTED {
        let expected: Vec<(f64, String)> = expected.iter().map(|(at, what)| (*at, (*what).to_owned())).collect();
        assert_eq!(watch(name).await, expected, "{name}");
    }
}
