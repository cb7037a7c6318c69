//! A cluster that answers what a real one did: the recordings, poll by poll.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use operator_run::clock::{Clock, after};
use operator_run::cluster::embedded::promql::{self, Element, Query, Storage, number};
use operator_run::cluster::{Cluster, ClusterError, Fault, Fingerprint, LogLine, Node, ProcessState, Undo};
use operator_run::http::{Http, HttpError, Request, Response};
use operator_run::reading::NodeName;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::promql::samples::{self, fixture};

/// A cluster that answers what was recorded at one poll.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) nodes: Vec<Node>,
    name: &'static str,
    /// Seconds since the epoch at which the fault was done; none if nothing that was recorded beside the polls tells.
    epoch: Option<f64>,
    pub(crate) poll: Mutex<Value>,
    log: Vec<LogLine>,
    /// What PD answers at rest.
    rest: Value,
    hot: Vec<Value>,
    samples: Storage,
}

impl Recording {
    pub(crate) fn new(name: &'static str) -> Self {
        let node = |role: &str, index: usize| Node { name: NodeName(format!("{role}{index}")), role: role.to_owned() };
        let nodes = ["pd", "tikv"].into_iter().flat_map(|role| (0..3).map(move |index| node(role, index))).collect();
        let ranges: Value = serde_json::from_str(&fixture("recordings/prometheus-ranges.json.gz")).unwrap();
        // The queries were asked from 12 s before the fault on.
        let epoch = ranges[name]["start"].as_f64().map(|start| start + 12.0);
        let log = if epoch.is_some() { log(name) } else { Vec::new() };
        let rest = serde_json::from_str(&fixture("recordings/baseline-pd-api.json")).unwrap();
        let hot =
            if name == "hot-region" { lines(&fixture("recordings/hot-region.hotspot.jsonl")) } else { Vec::new() };
        let mut samples = Storage::default();
        // There are none around the other faults.
        for (labels, points) in if name == "store-kill" { samples::recorded() } else { Vec::new() } {
            let series = samples.series(&labels);
            for point in points {
                samples.append(series, point);
            }
        }
        Self { nodes, name, epoch, poll: Mutex::new(Value::Null), log, rest, hot, samples }
    }

    /// All polls of a recording.
    pub(crate) fn polls(&self) -> Vec<Value> {
        lines(&fixture(&format!("recordings/{}.jsonl", self.name))).split_off(1)
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
            let (name, id) = key.split_once('#').unwrap();
            let mut status = json!({
                // As all stores were started (README.md of the recordings).
                "capacity": "20GiB",
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
                    "id": id.parse::<u64>().unwrap(),
                    "address": format!("{name}:20160"),
                    "status_address": format!("{name}:20180"),
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

/// The lines of a text of JSON.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A recorded log, in the order of time. When a line was taken is not recorded: it is the time that it bears.
fn log(name: &str) -> Vec<LogLine> {
    let line = |line: &str| {
        let (node, text) = line.split_once(": ").unwrap();
        let at = Timestamp::strptime("[%Y/%m/%d %H:%M:%S%.f %:z", text.split(']').next().unwrap()).unwrap();
        LogLine { at, node: node.into(), text: text.to_owned() }
    };
    let mut lines: Vec<LogLine> = fixture(&format!("recordings/{name}.log.gz")).lines().map(line).collect();
    lines.sort_by_key(|line| line.at);
    lines
}

impl Recording {
    /// What PD answers on its configuration, its schedulers and hot regions: what it does at rest, unless more was recorded.
    fn rest(&self, path: &str) -> Option<String> {
        let at = self.recorded("t").as_f64().unwrap();
        let hot = self.hot.iter().rfind(|hot| hot["t"].as_f64().is_none_or(|t| t <= at));
        match (path, hot) {
            ("/hotspot/regions/write", Some(hot)) => Some(hot["hotspot/regions/write"].to_string()),
            ("/hotspot/stores", Some(hot)) => Some(hot["hotspot/stores"].to_string()),
            ("/regions/writeflow?limit=1", Some(hot)) => Some(hot["regions/writeflow?limit=2"].to_string()),
            // Only of writes was it asked.
            ("/hotspot/regions/read", Some(_)) => None,
            // Once they are removed by force; what PD then said of the stores was recorded at the end.
            ("/stores?state=2", _) if self.name == "remedy-unsafe-recovery" && at >= 0.0 => {
                let mut stores: Value =
                    serde_json::from_str(&fixture("recordings/remedy-unsafe-recovery.stores.json")).unwrap();
                stores["stores"].as_array_mut().unwrap().retain(|info| info["store"]["state"] == 2);
                Some(stores.to_string())
            }
            ("/stores?state=2", _) => Some(json!({ "stores": [] }).to_string()),
            ("/regions/writeflow?limit=1", None) => {
                Some(self.rest["/regions/writeflow?limit=2"]["body"].as_str().unwrap().to_owned())
            }
            ("/checker/rule", _) => Some(self.rest["/checker/replica"]["body"].as_str().unwrap().to_owned()),
            _ => self.rest[path]["body"].as_str().map(str::to_owned),
        }
    }

    fn prometheus(&self, path: &str) -> Value {
        let query = decoded(path.strip_prefix("/api/v1/query?query=").unwrap());
        let result = Query::parse(&query).unwrap().instant(&self.samples, self.now().as_millisecond()).unwrap();
        let promql::Value::Vector(elements) = result else { panic!("{query}") };
        let element =
            |element: &Element| json!({ "metric": element.labels, "value": [1.0, number::value(element.value)] });
        let elements: Vec<Value> = elements.iter().map(element).collect();
        json!({ "status": "success", "data": { "resultType": "vector", "result": elements } })
    }
}

fn decoded(query: &str) -> String {
    let (first, rest) = query.split_once('%').unwrap_or((query, ""));
    let byte = |part: &str| format!("{}{}", char::from(u8::from_str_radix(&part[..2], 16).unwrap()), &part[2..]);
    first.to_owned() + &rest.split('%').filter(|part| !part.is_empty()).map(byte).collect::<String>()
}

#[async_trait]
impl Http for Recording {
    async fn send(&self, request: &Request) -> Result<Response, HttpError> {
        let host = request.authority.split(':').next().unwrap();
        let answer = |status: u64, body: String| {
            Ok(Response { status: u16::try_from(status).unwrap(), content_type: String::new(), body })
        };
        if host == "prometheus" {
            return answer(200, self.prometheus(&request.path).to_string());
        }
        let recorded = self.recorded(host);
        if host.starts_with("tikv") {
            return recorded.as_u64().map_or_else(
                || Err(failure(request, recorded.as_str().unwrap())),
                |status| answer(status, String::new()),
            );
        }
        let of = |name: &str, body: &dyn Fn(&Value) -> Option<String>| {
            let part = &recorded[name];
            match (part["error"].as_str(), part["body"].as_str()) {
                (Some(error), _) => Err(failure(request, error)),
                (None, Some(body)) => answer(part["status"].as_u64().unwrap(), body.to_owned()),
                (None, None) => body(part).map_or_else(|| answer(404, String::new()), |body| answer(200, body)),
            }
        };
        match request.path.strip_prefix("/pd/api/v1").unwrap() {
            "/stores" => of("stores", &|part| Some(self.stores(&part["by"]).to_string())),
            "/members" => of("members", &|part| Some(json!({ "leader": { "name": part["leader"] } }).to_string())),
            "/health" if is_gone(&recorded["stores"]) => of("stores", &|_| None),
            "/health" => answer(200, self.health().to_string()),
            path => match path.strip_prefix("/regions/check/").map(|check| self.recorded(check)) {
                Some(Value::Number(status)) if status.as_u64().unwrap() >= 500 => {
                    answer(status.as_u64().unwrap(), String::new())
                }
                Some(Value::Number(count)) => answer(200, json!({ "count": count }).to_string()),
                Some(word) => Err(failure(request, word.as_str().unwrap())),
                None => of("stores", &|_| self.rest(path)),
            },
        }
    }
}

#[async_trait]
impl Clock for Recording {
    fn now(&self) -> Timestamp {
        let seconds = self.recorded("t").as_f64().unwrap() + self.epoch.unwrap_or(1000.0);
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

    async fn fingerprint(&self) -> Result<Fingerprint, ClusterError> {
        Err(not_recorded("the state of the containers"))
    }

    async fn logs(&self, since: Timestamp) -> Result<Vec<LogLine>, ClusterError> {
        if self.epoch.is_none() {
            return Err(not_recorded("when the lines were written"));
        }
        Ok(self.log.iter().filter(|line| line.at >= since && line.at <= self.now()).cloned().collect())
    }

    async fn down(&self) -> Result<(), ClusterError> {
        Ok(())
    }
}

fn not_recorded(what: &str) -> ClusterError {
    ClusterError::environment(what, "not recorded", "")
}
