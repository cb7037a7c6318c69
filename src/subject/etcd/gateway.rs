//! What is asked of a member: its JSON gateway and `/health`. The gateway writes 64-bit numbers as strings and leaves
//! zeros out.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value as Json, json};

use super::super::{ENDPOINT_TIMEOUT, ask};
use crate::clock::span_between;
use crate::cluster::{Cluster, Node};
use crate::http::{HttpError, Request};

/// etcd's client port, which also serves `/health`, `/metrics` and the JSON gateway
/// (etcd: server/embed/config.go, `DefaultListenClientURLs`).
const CLIENT_PORT: u16 = 2379;

/// The key of the probe, `monitor/probe`, in Base64. There is never such a key. It shows up in the members' logs, so that it
/// must not say who asks.
const PROBE_KEY: &str = "bW9uaXRvci9wcm9iZQ==";

/// `POST /v3/maintenance/status`: a member's own view, without asking the others (etcd: api/etcdserverpb/rpc.proto,
/// `StatusResponse`).
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub(super) header: Header,
    /// The id of the leader that it follows, or its own.
    #[serde(default)]
    leader: String,
    #[serde(default, rename = "raftTerm")]
    pub(super) raft_term: String,
    /// The last entry that it knows to be committed.
    #[serde(default, rename = "raftIndex")]
    pub(super) raft_index: String,
    #[serde(default, rename = "raftAppliedIndex")]
    pub(super) raft_applied_index: String,
    #[serde(default, rename = "dbSize")]
    pub(super) db_size: String,
    #[serde(default, rename = "dbSizeInUse")]
    pub(super) db_size_in_use: String,
    /// That there is no leader, and the alarms that are raised.
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub(super) member_id: String,
}

impl Status {
    /// The id of the leader that the member knows.
    pub(super) fn leader(&self) -> Option<&str> {
        Some(self.leader.as_str()).filter(|leader| !matches!(*leader, "" | "0"))
    }

    /// The alarms, `none` or `NOSPACE` or `CORRUPT`, of any member
    /// (etcd: server/etcdserver/api/v3rpc/maintenance.go, `Status`).
    pub(super) fn alarms(&self) -> String {
        let mut alarms: Vec<&str> =
            self.errors.iter().filter_map(|error| error.split_once("alarm:")).map(|(_, alarm)| alarm.trim()).collect();
        alarms.sort_unstable();
        alarms.dedup();
        if alarms.is_empty() { "none".to_owned() } else { alarms.join(", ") }
    }
}

/// `POST /v3/cluster/member/list`. Each member answers from what it has applied itself.
#[derive(Debug, Deserialize)]
pub(super) struct MemberList {
    #[serde(default)]
    pub(super) members: Vec<IgnoredAny>,
}

/// `GET /health` (etcd: server/etcdserver/api/etcdhttp/health.go).
#[derive(Debug, Deserialize)]
struct Health {
    health: String,
}

/// What came of a client's request through a member, and how long it took in seconds, the way to the member included.
pub(super) struct Probe {
    pub(super) outcome: Result<(), HttpError>,
    pub(super) seconds: f64,
}

/// All that was asked of one member.
pub(super) struct Member {
    pub(super) node: Node,
    pub(super) status: Result<Status, HttpError>,
    pub(super) list: Result<MemberList, HttpError>,
    pub(super) health: Result<bool, HttpError>,
    pub(super) write: Probe,
    pub(super) read: Probe,
}

/// The address by which the others and Prometheus know a member.
pub(super) fn address(node: &Node) -> String {
    format!("{}:{CLIENT_PORT}", node.name)
}

/// Asks a member for everything at once.
pub(super) async fn ask_member(cluster: &dyn Cluster, node: &Node) -> Member {
    let post = |path: &str, body: Json| Request::post(address(node), path, body, ENDPOINT_TIMEOUT);
    let (status, list, health, write, read) = tokio::join!(
        ask(cluster, post("/v3/maintenance/status", json!({}))),
        ask(cluster, post("/v3/cluster/member/list", json!({}))),
        ask_health(cluster, Request::get(address(node), "/health", ENDPOINT_TIMEOUT)),
        probe(cluster, post("/v3/kv/txn", write_request())),
        probe(cluster, post("/v3/kv/range", json!({ "key": PROBE_KEY }))),
    );
    Member { node: node.clone(), status, list, health, write, read }
}

/// A write that goes the whole way of one, through the leader, the log of a majority and the member's own state, and
/// leaves nothing: it puts the key if its version is below 0, which no version is. There is no new revision, so that
/// the database does not grow. An exhausted quota refuses it like any other write.
fn write_request() -> Json {
    json!({
        "compare": [{ "target": "VERSION", "result": "LESS", "key": PROBE_KEY, "version": "0" }],
        "success": [{ "requestPut": { "key": PROBE_KEY } }],
    })
}

async fn probe(cluster: &dyn Cluster, request: Request) -> Probe {
    let now = || -> Timestamp { cluster.clock().now() };
    let begun = now();
    let outcome = ask::<IgnoredAny>(cluster, request).await.map(|_| ());
    Probe { outcome, seconds: span_between(begun, now()).as_secs_f64() }
}

/// Unlike other endpoints, this one has an answer in the body also when the status is 503.
async fn ask_health(cluster: &dyn Cluster, request: Request) -> Result<bool, HttpError> {
    let mut response = cluster.http().send(&request).await?;
    if response.status == 503 {
        response.status = 200;
    }
    response.json(&request).map(|health: Health| health.health == "true")
}
