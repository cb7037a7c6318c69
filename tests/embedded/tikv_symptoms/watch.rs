//! A cluster that is watched: polled each second, as an operator with curl would.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use operator_run::clock::{Clock, span_between};
use operator_run::cluster::embedded::{EmbeddedCluster, Topology};
use operator_run::cluster::{Cluster, Fault, FaultKind};
use operator_run::http::{HttpError, Request};
use operator_run::reading::NodeName;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Part, Sign, When};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// What one poll shows.
struct Poll {
    at: f64,
    /// By node: an HTTP status, 0 for a refusal, -1 for silence.
    answers: BTreeMap<String, i32>,
    processes: BTreeMap<String, String>,
    metrics: BTreeMap<String, String>,
    /// By node, as some member of PD shows it, if one does.
    stores: BTreeMap<String, Value>,
    down_peers: Option<u64>,
    hot_writes: bool,
}

pub(super) struct Watch {
    cluster: EmbeddedCluster,
    victim: String,
    others: Vec<String>,
    pd_leader: String,
    pd_followers: Vec<String>,
    done: Vec<Fault>,
    /// When the watch began, by the clock.
    since: Timestamp,
    polls: Vec<Poll>,
}

impl Watch {
    pub(super) async fn begin(seed: u64) -> Self {
        let cluster = EmbeddedCluster::new(Topology { seed, ..Topology::default() });
        cluster.up(&CancellationToken::new()).await.unwrap();
        // The seed shifts the phases of heartbeats and looks against the fault.
        cluster.clock().sleep(Duration::from_mins(1) + Duration::from_millis(3_700 * seed)).await;
        let leader = json(&cluster, "pd0:2379", "/pd/api/v1/leader").await.unwrap();
        let pd_leader = leader["name"].as_str().unwrap().to_owned();
        let stores = stores(&cluster, "pd0").await.unwrap();
        let leaders = |node: &String| stores[node]["status"]["leader_count"].as_u64().unwrap();
        let victim = stores.keys().max_by_key(|node| leaders(node)).unwrap().clone();
        let others = stores.keys().filter(|node| **node != victim).cloned().collect();
        let names = ["pd0", "pd1", "pd2"];
        let pd_followers = names.into_iter().filter(|node| *node != pd_leader).map(str::to_owned).collect();
        let since = cluster.now();
        Self { cluster, victim, others, pd_leader, pd_followers, done: Vec::new(), since, polls: Vec::new() }
    }

    fn node(&self, part: Part) -> &str {
        match part {
            Part::Victim => &self.victim,
            Part::Store(index) => &self.others[index],
            Part::PdLeader => &self.pd_leader,
            Part::PdFollower(index) => &self.pd_followers[index],
        }
    }

    pub(super) async fn inject(&mut self, faults: Vec<(FaultKind, Part)>) {
        for (kind, part) in faults {
            let fault = match kind {
                FaultKind::HaltScheduling | FaultKind::SplitRegions { .. } => Fault::of_cluster(kind),
                // Rows name the parts of the others: 1 is a store, pd all of PD, leader and follower members of it.
                FaultKind::Partition { from, direction } => {
                    let from = from.iter().flat_map(|name| self.named(name.as_str())).collect();
                    Fault::new(FaultKind::Partition { from, direction }, self.node(part).into())
                }
                kind => Fault::new(kind, self.node(part).into()),
            };
            self.cluster.inject(&fault).await.unwrap();
            self.done.push(fault);
        }
        self.since = self.cluster.now();
        for fault in &self.done {
            let waits = matches!(fault.kind(), FaultKind::LimitMemory { .. } | FaultKind::Restart | FaultKind::Stop);
            if !waits {
                assert_eq!(self.cluster.missing_effect(fault).await.unwrap(), None, "{fault}");
            }
        }
    }

    fn named(&self, name: &str) -> Vec<NodeName> {
        match name {
            "store" => vec![self.others[0].as_str().into()],
            "stores" => self.others.iter().map(|node| node.as_str().into()).collect(),
            "pd" => self.pd_followers.iter().chain([&self.pd_leader]).map(|node| node.as_str().into()).collect(),
            name => panic!("{name}"),
        }
    }

    pub(super) async fn undo(&mut self) {
        self.polls.clear();
        self.since = self.cluster.now();
        for fault in self.done.iter().rev() {
            self.cluster.heal(&fault.undo()).await.unwrap();
            // To undo what is undone is no error.
            self.cluster.heal(&fault.undo()).await.unwrap();
        }
        for fault in &self.done {
            assert!(self.cluster.missing_effect(fault).await.unwrap().is_some() || ends_itself(fault), "{fault}");
        }
    }

    /// Polls each second, and each fifth if that is for long; metrics only if a sign is in them.
    pub(super) async fn watch(&mut self, seconds: u32, signs: &[(Sign, When)]) {
        let every = Duration::from_secs(if seconds > 300 { 5 } else { 1 });
        let metrics = signs.iter().any(|(sign, _)| matches!(sign, Sign::Metric(..)));
        let end = self.since + Duration::from_secs(u64::from(seconds));
        while self.cluster.now() < end {
            let began = self.cluster.now();
            let poll = self.poll(metrics).await;
            self.polls.push(poll);
            let left = every.saturating_sub(span_between(began, self.cluster.now()));
            self.cluster.clock().sleep(left).await;
        }
    }

    async fn poll(&self, with_metrics: bool) -> Poll {
        let mut poll = Poll {
            at: span_between(self.since, self.cluster.now()).as_secs_f64(),
            answers: BTreeMap::new(),
            processes: BTreeMap::new(),
            metrics: BTreeMap::new(),
            stores: BTreeMap::new(),
            down_peers: None,
            hot_writes: false,
        };
        // All are asked at the same time.
        let nodes: Vec<String> = self.cluster.nodes().iter().map(|node| node.name.to_string()).collect();
        let asked = futures_util::future::join_all(nodes.iter().map(|node| async move {
            let (authority, path) = if node.starts_with("pd") {
                (format!("{node}:2379"), "/pd/api/v1/stores")
            } else {
                (format!("{node}:20180"), "/status")
            };
            let answer = send(&self.cluster, &authority, path).await;
            let metrics = if with_metrics { send(&self.cluster, &authority, "/metrics").await.ok() } else { None };
            (node, answer, metrics)
        }));
        for (node, answer, metrics) in asked.await {
            if let (true, Ok((200, body))) = (node.starts_with("pd"), &answer) {
                poll.stores = by_node(&serde_json::from_str(body).unwrap());
            }
            poll.answers.insert(node.clone(), answer.map_or_else(|status| status, |(status, _)| status));
            poll.metrics.extend(metrics.map(|(_, body)| (node.clone(), body)));
        }
        for node in &nodes {
            let state = self.cluster.process(&node.as_str().into()).await.unwrap();
            poll.processes.insert(node.clone(), state.to_string());
        }
        for pd in ["pd0", "pd1", "pd2"] {
            let path = "/pd/api/v1/regions/check/down-peer";
            if poll.answers[pd] == 200
                && let Some(body) = json(&self.cluster, &format!("{pd}:2379"), path).await
            {
                poll.down_peers = body["count"].as_u64();
                let hot = json(&self.cluster, &format!("{pd}:2379"), "/pd/api/v1/hotspot/regions/write").await;
                let leaders = hot.and_then(|hot| hot["as_leader"].as_object().cloned()).unwrap_or_default();
                poll.hot_writes = leaders.values().any(|store| store["regions_count"].as_u64() > Some(0));
                break;
            }
        }
        poll
    }

    /// Which signs were not first seen at their times or in their order.
    pub(super) async fn missed(&self, row: &str, signs: &[(Sign, When)]) -> Vec<String> {
        let mut missed = Vec::new();
        let lines = self.cluster.logs(self.since).await.unwrap();
        let mut above = (0.0, 0.0);
        for (sign, when) in signs {
            let at = match sign {
                Sign::Line(part, text) => {
                    let node = self.node(*part);
                    let line = lines.iter().find(|line| line.node.as_str() == node && line.text.contains(text));
                    line.map(|line| span_between(self.since, line.at).as_secs_f64())
                }
                sign => self.polls.iter().find(|poll| self.shows(poll, *sign)).map(|poll| poll.at),
            };
            match (at, when) {
                (Some(at), Some((from, to))) => {
                    if !(*from..=*to).contains(&at) {
                        missed.push(format!("{row}: {sign:?} at {at}, not from {from} to {to}"));
                    }
                    let (earliest, before) = above;
                    if *from > earliest && at < before {
                        missed.push(format!("{row}: {sign:?} at {at}, before the sign above it at {before}"));
                    }
                    above = (*from, at);
                }
                (None, None) => {}
                (at, when) => missed.push(format!("{row}: {sign:?} at {at:?}, expected {when:?}")),
            }
        }
        missed
    }

    fn shows(&self, poll: &Poll, sign: Sign) -> bool {
        let store = |part: Part| poll.stores.get(self.node(part));
        match sign {
            Sign::State(part, state) => store(part).is_some_and(|store| store["store"]["state_name"] == state),
            Sign::LeadersAtMost(part, most) => {
                store(part).is_some_and(|store| store["status"]["leader_count"].as_u64().unwrap() <= most)
            }
            Sign::SlowScore(part, least) => {
                store(part).is_some_and(|store| store["status"]["slow_score"].as_u64().is_some_and(|it| it >= least))
            }
            Sign::Process(part, state) => poll.processes[self.node(part)] == state,
            Sign::Answer(part, status) => poll.answers[self.node(part)] == status,
            Sign::Metric(part, series, bound) => {
                let text = poll.metrics.get(self.node(part));
                let values = text.into_iter().flat_map(|text| text.lines());
                let value = |line: &str| line.strip_prefix(series)?.trim().parse::<f64>().ok();
                values.filter_map(value).any(|value| if bound < 0.0 { value <= -bound } else { value >= bound })
            }
            Sign::DownPeers(least) => poll.down_peers.is_some_and(|count| count >= least),
            Sign::HotWrites => poll.hot_writes,
            Sign::Line(..) => false,
        }
    }
}

/// Whether nothing of a fault is left to undo, however long it is ago.
fn ends_itself(fault: &Fault) -> bool {
    matches!(fault.kind(), FaultKind::Restart)
}

async fn send(cluster: &EmbeddedCluster, authority: &str, path: &str) -> Result<(i32, String), i32> {
    match cluster.http().send(&Request::get(authority, path, PATIENCE)).await {
        Ok(response) => Ok((i32::from(response.status), response.body)),
        Err(HttpError::TimedOut { .. }) => Err(-1),
        Err(_) => Err(0),
    }
}

async fn json(cluster: &EmbeddedCluster, authority: &str, path: &str) -> Option<Value> {
    let (_, body) = send(cluster, authority, path).await.ok()?;
    serde_json::from_str(&body).ok()
}

async fn stores(cluster: &EmbeddedCluster, pd: &str) -> Option<BTreeMap<String, Value>> {
    json(cluster, &format!("{pd}:2379"), "/pd/api/v1/stores").await.map(|body| by_node(&body))
}

fn by_node(body: &Value) -> BTreeMap<String, Value> {
    let node = |store: &Value| store["store"]["address"].as_str().unwrap().split(':').next().unwrap().to_owned();
    body["stores"].as_array().unwrap().iter().map(|store| (node(store), store.clone())).collect()
}
