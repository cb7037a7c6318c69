//! Reads an etcd cluster once: health, metrics and maintenance status of every member, and what Prometheus sees of it.

use futures_util::future::{join, join_all};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::super::{CLUSTER, ENDPOINT_TIMEOUT, ask, observe_processes, reachability};
use crate::cluster::{Cluster, Node};
use crate::http::{HttpError, Request, Response};
use crate::reading::{NodeName, Observation, Unit, Value};

/// etcd's client port, which also serves `/health`, `/metrics` and the JSON gateway
/// (etcd: server/embed/config.go, `DefaultListenClientURLs`).
const CLIENT_PORT: u16 = 2379;
/// Prometheus' port.
const PROMETHEUS_PORT: u16 = 9090;

/// `POST /v3/maintenance/status` (etcd: api/etcdserverpb/rpc.proto, `StatusResponse`). The gateway writes 64-bit numbers
/// as strings and leaves zeros out.
#[derive(Debug, Deserialize)]
struct Status {
    header: Header,
    #[serde(default)]
    leader: String,
    #[serde(default, rename = "raftTerm")]
    raft_term: String,
    #[serde(default, rename = "raftIndex")]
    raft_index: String,
    #[serde(default, rename = "dbSize")]
    db_size: String,
}

#[derive(Debug, Deserialize)]
struct Header {
    member_id: String,
}

/// All that was asked of one member.
struct Member {
    name: NodeName,
    health: Result<bool, HttpError>,
    status: Result<Status, HttpError>,
    metrics: Result<Response, HttpError>,
}

/// `GET /health` (etcd: server/etcdserver/api/etcdhttp/health.go).
#[derive(Debug, Deserialize)]
struct Health {
    health: String,
}

pub(super) async fn observe(cluster: &dyn Cluster) -> Observation {
    let mut observation = Observation::new(cluster.clock().now());
    let nodes = cluster.nodes().iter().filter(|node| node.role == "etcd");
    let (members, scraped) = join(join_all(nodes.map(|node| ask_member(cluster, node))), ask_prometheus(cluster)).await;
    for member in &members {
        observe_member(&mut observation, member);
        let up = scraped.as_ref().map_or_else(Value::unknown, |scraped| up_of(scraped, &member.name));
        observation.push("prometheus", &member.name, "prometheus_up", up, Unit::None);
    }
    observation.push("etcd", &CLUSTER.into(), "leader", leader(&members), Unit::None);
    observe_processes(cluster, &mut observation).await;
    observation
}

async fn ask_member(cluster: &dyn Cluster, node: &Node) -> Member {
    let authority = format!("{}:{CLIENT_PORT}", node.name);
    let health = Request::get(&authority, "/health", ENDPOINT_TIMEOUT);
    let status = Request::post(&authority, "/v3/maintenance/status", json!({}), ENDPOINT_TIMEOUT);
    let metrics = Request::get(&authority, "/metrics", ENDPOINT_TIMEOUT);
    let (status, (health, metrics)) =
        join(ask(cluster, status), join(ask_health(cluster, health), cluster.http().send(&metrics))).await;
    Member { name: node.name.clone(), health, status, metrics }
}

/// Unlike other endpoints, this one has an answer in the body also when the status is 503.
async fn ask_health(cluster: &dyn Cluster, request: Request) -> Result<bool, HttpError> {
    let mut response = cluster.http().send(&request).await?;
    if response.status == 503 {
        response.status = 200;
    }
    response.json(&request).map(|health: Health| health.health == "true")
}

fn observe_member(observation: &mut Observation, member: &Member) {
    observation.push("etcd", &member.name, "status_api", reachability(&member.status), Unit::None);
    let mut from_status = |name: &str, unit: Unit, value: &dyn Fn(&Status) -> Value| {
        let value = member.status.as_ref().map_or_else(Value::unknown, value);
        observation.push("etcd", &member.name, name, value, unit);
    };
    from_status("is_leader", Unit::None, &|status| Value::Flag(status.leader == status.header.member_id));
    from_status("knows_leader", Unit::None, &|status| Value::Flag(knows_leader(status)));
    from_status("raft_term", Unit::Count, &|status| number(&status.raft_term));
    from_status("raft_index", Unit::Count, &|status| number(&status.raft_index));
    from_status("db_size", Unit::Bytes, &|status| number(&status.db_size));

    let health = member.health.as_ref().map_or_else(Value::unknown, |healthy| Value::Flag(*healthy));
    observation.push("etcd", &member.name, "healthy", health, Unit::None);
    for (metric, name) in [
        ("etcd_server_leader_changes_seen_total", "leader_changes"),
        ("etcd_server_proposals_failed_total", "failed_proposals"),
    ] {
        let value = match &member.metrics {
            Ok(response) => {
                sample(&response.body, metric).map_or_else(|| Value::unknown("no such metric"), Value::from)
            }
            Err(error) => Value::unknown(error),
        };
        observation.push("etcd", &member.name, name, value, Unit::Count);
    }
}

fn knows_leader(status: &Status) -> bool {
    !matches!(status.leader.as_str(), "" | "0")
}

/// A 64-bit number that the gateway wrote as a string. An empty one is a zero that was left out.
fn number(text: &str) -> Value {
    if text.is_empty() { Value::from(0.0) } else { text.parse::<f64>().map_or_else(Value::unknown, Value::from) }
}

/// The name of the leader: the member that says of itself what others say of it.
fn leader(members: &[Member]) -> Value {
    let mut answers = members.iter().filter_map(|member| Some((&member.name, member.status.as_ref().ok()?))).peekable();
    if answers.peek().is_none() {
        return Value::unknown("no member answers its status API");
    }
    match answers.find(|(_, status)| knows_leader(status)) {
        None => Value::from("none"),
        Some((_, found)) => members
            .iter()
            .find(|member| member.status.as_ref().is_ok_and(|status| status.header.member_id == found.leader))
            .map_or_else(
                || Value::Text(format!("member {}, which does not answer", found.leader)),
                |member| Value::from(member.name.as_str()),
            ),
    }
}

/// The value of a metric without labels in Prometheus' text format.
fn sample(exposition: &str, metric: &str) -> Option<f64> {
    exposition.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Asks Prometheus which members it could scrape.
async fn ask_prometheus(cluster: &dyn Cluster) -> Result<Json, HttpError> {
    let path = "/api/v1/query?query=up%7Bjob%3D%22etcd%22%7D";
    ask(cluster, Request::get(format!("prometheus:{PROMETHEUS_PORT}"), path, ENDPOINT_TIMEOUT)).await
}

/// A member's `up` in Prometheus' answer. An empty vector is unknown, not down.
fn up_of(answer: &Json, node: &NodeName) -> Value {
    let series = answer["data"]["result"].as_array().into_iter().flatten();
    let instance = format!("{node}:{CLIENT_PORT}");
    series
        .filter(|series| series["metric"]["instance"] == instance.as_str())
        .find_map(|series| series["value"][1].as_str())
        .map_or_else(|| Value::unknown("Prometheus has no sample"), |up| Value::Flag(up == "1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let text = "# TYPE etcd_x counter\netcd_x_total 9\netcd_x{a=\"b\"} 8\netcd_x 7.5\n";
        assert_eq!(sample(text, "etcd_x"), Some(7.5));
        assert_eq!(sample(text, "etcd_y"), None);
    }

    #[test]
    fn an_empty_vector_is_unknown() {
        let node = NodeName::from("etcd0");
        let empty = json!({"data": {"result": []}});
        assert!(up_of(&empty, &node).unknown_reason().is_some());
        let down = json!({"data": {"result": [{"metric": {"instance": "etcd0:2379"}, "value": [1.0, "0"]}]}});
        assert_eq!(up_of(&down, &node), Value::Flag(false));
    }
}
