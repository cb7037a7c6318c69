//! The embedded model of TiKV against recordings of a real cluster, and against itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod behaviour;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::time::Duration;

use jiff::Timestamp;
use operator_run::clock::{after, span_between};
use operator_run::cluster::embedded::{EmbeddedCluster, Topology};
use operator_run::cluster::{Cluster, Fault, ProcessState};
use operator_run::http::{HttpError, Request, Response};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// The seed of the runs that are held against a recording. The seed decides when the first and the last election end,
/// which with a third of the seeds is not within the tolerance; whether the recorded times are ordinary ones is
/// asked by `elections_end_when_recorded`. Everything else is within it with every seed.
const SEED: u64 = 7;
/// How far a state may change from when it was recorded to change, in seconds.
const TOLERANCE: f64 = 3.0;

fn recording(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/recordings/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The polls of a recording, and the time at which the fault was healed, in seconds after the fault.
fn recorded_polls(name: &str) -> (f64, Vec<Value>) {
    let text = String::from_utf8(recording(name)).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    (lines.next().unwrap()["healed_at"].as_f64().unwrap(), lines.collect())
}

async fn up(seed: u64) -> EmbeddedCluster {
    let cluster = EmbeddedCluster::new(Topology { seed, ..Topology::default() });
    cluster.up(&CancellationToken::new()).await.unwrap();
    cluster
}

async fn get(cluster: &EmbeddedCluster, authority: &str, path: &str) -> Result<Response, HttpError> {
    cluster.http().send(&Request::get(authority, path, Duration::from_secs(5))).await
}

async fn pd(cluster: &EmbeddedCluster, path: &str) -> Response {
    get(cluster, "pd0:2379", &format!("/pd/api/v1{path}")).await.unwrap()
}

async fn stores(cluster: &EmbeddedCluster) -> Vec<Value> {
    let body: Value = serde_json::from_str(&pd(cluster, "/stores").await.body).unwrap();
    body["stores"].as_array().unwrap().clone()
}

fn node_of(store: &Value) -> String {
    store["store"]["address"].as_str().unwrap().split(':').next().unwrap().to_owned()
}

async fn most_leaders(cluster: &EmbeddedCluster) -> String {
    let stores = stores(cluster).await;
    node_of(stores.iter().max_by_key(|store| store["status"]["leader_count"].as_u64()).unwrap())
}

fn kill(node: &str) -> Fault {
    Fault::Kill { node: node.into() }
}

async fn wait(cluster: &EmbeddedCluster, seconds: f64) {
    cluster.clock().sleep(Duration::from_secs_f64(seconds)).await;
}

/// What a poll shows of one store.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    state: String,
    leaders: u64,
    pending: u64,
    status_port: bool,
}

/// What a poll shows: the stores by node, and the counts of the region checks.
#[derive(Debug)]
struct Poll {
    at: f64,
    stores: BTreeMap<String, Seen>,
    pending: u64,
    down_or_missing: u64,
}

fn read_recorded(poll: &Value) -> Poll {
    let by = poll["pd0"]["stores"]["by"].as_object().unwrap();
    let seen = |(key, store): (&String, &Value)| {
        let node = key.split('#').next().unwrap().to_owned();
        let seen = Seen {
            state: store["state"].as_str().unwrap().to_owned(),
            leaders: store["leaders"].as_u64().unwrap(),
            pending: store["pending_peer_count"].as_u64().unwrap_or(0),
            status_port: poll[&node] == 200,
        };
        (node, seen)
    };
    Poll {
        at: poll["t"].as_f64().unwrap(),
        stores: by.iter().map(seen).collect(),
        pending: poll["pending-peer"].as_u64().unwrap(),
        down_or_missing: poll["down-peer"].as_u64().unwrap() + poll["miss-peer"].as_u64().unwrap(),
    }
}

async fn check(cluster: &EmbeddedCluster, kind: &str) -> u64 {
    let body: Value = serde_json::from_str(&pd(cluster, &format!("/regions/check/{kind}")).await.body).unwrap();
    assert_eq!(body["count"].as_u64().unwrap(), body["regions"].as_array().unwrap().len() as u64);
    body["count"].as_u64().unwrap()
}

async fn poll(cluster: &EmbeddedCluster, at: f64) -> Poll {
    let mut seen = BTreeMap::new();
    for store in stores(cluster).await {
        let node = node_of(&store);
        let status_port = get(cluster, &format!("{node}:20180"), "/status").await;
        let status = &store["status"];
        let store = Seen {
            state: store["store"]["state_name"].as_str().unwrap().to_owned(),
            leaders: status["leader_count"].as_u64().unwrap(),
            pending: status["pending_peer_count"].as_u64().unwrap_or(0),
            status_port: status_port.is_ok_and(|answer| answer.status == 200 && answer.body.is_empty()),
        };
        seen.insert(node, store);
    }
    let down_or_missing = check(cluster, "down-peer").await + check(cluster, "miss-peer").await;
    Poll { at, stores: seen, pending: check(cluster, "pending-peer").await, down_or_missing }
}

/// When a value changed, and to what; the first entry is what it was at first.
fn changes<T: PartialEq>(polls: &[Poll], of: impl Fn(&Poll) -> T) -> Vec<(f64, T)> {
    let mut changes: Vec<(f64, T)> = Vec::new();
    for poll in polls {
        let value = of(poll);
        if changes.last().is_none_or(|(_, last)| *last != value) {
            changes.push((poll.at, value));
        }
    }
    changes
}

/// The same values in the same order, each change at about the same time.
#[track_caller]
fn assert_follows<T: PartialEq + std::fmt::Debug>(model: &[(f64, T)], recorded: &[(f64, T)]) {
    let values = |changes: &[(f64, T)]| changes.iter().map(|(_, value)| format!("{value:?}")).collect::<Vec<_>>();
    assert_eq!(values(model), values(recorded));
    for (model, recorded) in model.iter().zip(recorded).skip(1) {
        assert!((model.0 - recorded.0).abs() <= TOLERANCE, "model {model:?}, recorded {recorded:?}");
    }
}

/// The recorded run on the model: the store with the most leaders is killed 8.0 s after its last heartbeat.
async fn run_store_kill(healed_at: f64, times: impl Iterator<Item = f64>) -> (EmbeddedCluster, String, Vec<Poll>) {
    let cluster = up(SEED).await;
    let victim = most_leaders(&cluster).await;
    let age = async || {
        let store = stores(&cluster).await.into_iter().find(|store| node_of(store) == victim).unwrap();
        let heartbeat: Timestamp = store["status"]["last_heartbeat_ts"].as_str().unwrap().parse().unwrap();
        span_between(heartbeat, cluster.clock().now()).as_secs_f64()
    };
    while !(7.9..8.1).contains(&age().await) {
        wait(&cluster, 0.1).await;
    }
    let start = cluster.clock().now();
    let mut polls = vec![poll(&cluster, -0.1).await];
    cluster.inject(&kill(&victim)).await.unwrap();
    assert_eq!(cluster.missing_effect(&kill(&victim)).await.unwrap(), None);
    let mut healed = false;
    for at in times {
        if at >= healed_at && !healed {
            healed = true;
            sleep_until(&cluster, start, healed_at).await;
            cluster.heal(&kill(&victim).undo()).await.unwrap();
            assert_eq!(cluster.process(&victim.as_str().into()).await.unwrap(), ProcessState::Running);
        }
        sleep_until(&cluster, start, at).await;
        polls.push(poll(&cluster, at).await);
    }
    (cluster, victim, polls)
}

async fn sleep_until(cluster: &EmbeddedCluster, start: Timestamp, seconds: f64) {
    let until = after(start, Duration::from_secs_f64(seconds));
    cluster.clock().sleep(span_between(cluster.clock().now(), until)).await;
}

#[tokio::test]
async fn a_killed_store_goes_and_returns_as_recorded() {
    let (healed_at, lines) = recorded_polls("store-kill.jsonl");
    let recorded: Vec<Poll> = lines.iter().map(read_recorded).collect();
    let times = recorded.iter().map(|poll| poll.at).filter(|at| *at > 0.0);
    let (_, victim, polls) = run_store_kill(healed_at, times).await;
    let struck = "tikv1";

    let state = |node: &str| {
        let node = node.to_owned();
        move |poll: &Poll| poll.stores[&node].state.clone()
    };
    assert_follows(&changes(&polls, state(&victim)), &changes(&recorded, state(struck)));
    let port = |node: &str| {
        let node = node.to_owned();
        move |poll: &Poll| poll.stores[&node].status_port
    };
    assert_follows(&changes(&polls, port(&victim)), &changes(&recorded, port(struck)));
    let leads = |node: &str| {
        let node = node.to_owned();
        move |poll: &Poll| poll.stores[&node].leaders > 0
    };
    assert_follows(&changes(&polls, leads(&victim)), &changes(&recorded, leads(struck)));
    let pending = |poll: &Poll| poll.pending > 0;
    assert_follows(&changes(&polls, pending), &changes(&recorded, pending));

    let led = polls[0].stores[&victim].leaders;
    for poll in &polls {
        assert_eq!(poll.down_or_missing, 0, "{poll:?}");
        let total: u64 = poll.stores.values().map(|store| store.leaders).sum();
        assert_eq!(total, 24, "{poll:?}");
        let seen = &poll.stores[&victim];
        assert_eq!(seen.pending, poll.pending);
        if poll.at < healed_at {
            assert_eq!(seen.pending, led - seen.leaders, "{poll:?}");
        }
        let others = poll.stores.iter().filter(|(node, _)| **node != victim);
        others.for_each(|(_, store)| assert_eq!((store.state.as_str(), store.status_port), ("Up", true)));
    }
}

/// The first, the middle and the last of the times at which leaders moved, in seconds.
fn spread(mut times: Vec<f64>) -> [f64; 3] {
    times.sort_by(f64::total_cmp);
    [times[0], times[times.len() / 2], times[times.len() - 1]]
}

#[tokio::test]
async fn elections_end_when_recorded() {
    let (_, lines) = recorded_polls("store-kill.jsonl");
    let mut times = Vec::new();
    for pair in lines.iter().map(read_recorded).collect::<Vec<_>>().windows(2) {
        let moved = pair[0].stores["tikv1"].leaders.saturating_sub(pair[1].stores["tikv1"].leaders);
        times.extend((0..moved).map(|_| pair[1].at));
    }
    let recorded = spread(times);

    let mut runs = Vec::new();
    for seed in 0..60 {
        let cluster = up(seed).await;
        let victim = most_leaders(&cluster).await;
        let start = cluster.clock().now();
        cluster.inject(&kill(&victim)).await.unwrap();
        wait(&cluster, 30.0).await;
        let lines = cluster.logs(start).await.unwrap();
        let elected = lines.iter().filter(|line| line.text.contains("became leader") && line.at > start);
        runs.push(spread(elected.map(|line| span_between(start, line.at).as_secs_f64()).collect()));
    }
    for (index, recorded) in recorded.into_iter().enumerate() {
        let mut modelled: Vec<f64> = runs.iter().map(|run| run[index]).collect();
        modelled.sort_by(f64::total_cmp);
        // The recorded run is an ordinary one: within the middle nine tenths of the model's.
        let (low, high) = (modelled[3], modelled[56]);
        assert!(low <= recorded && recorded <= high, "recorded {recorded}, model {low} to {high}");
    }
}

/// Level, source and message of a line with its figures blotted out, and the names of its fields.
fn template(line: &str) -> (String, BTreeSet<String>) {
    let (level, rest) = line.split_once("+00:00] ").unwrap().1.split_once("] [").unwrap();
    let (source, rest) = rest.split_once("] [").unwrap();
    let (message, fields) = rest.split_once(']').unwrap();
    let message = message.trim_matches('"').split(":  ").next().unwrap();
    let blotted: String = message.chars().filter(|character| !character.is_ascii_digit()).collect();
    let named = fields.split(" [").filter_map(|field| field.split_once('='));
    let fields = named.map(|(name, _)| name.to_owned()).collect();
    (format!("{level}] [{source}] {blotted}"), fields)
}

#[tokio::test]
async fn logs_say_what_the_recorded_ones_say() {
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*recording("store-kill.log.gz")).read_to_string(&mut text).unwrap();
    let mut recorded: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.contains("[raft]")) {
        let (message, fields) = template(line);
        recorded.entry(message).or_default().extend(fields);
    }

    let (cluster, _, _) = run_store_kill(70.0, [1.0, 60.0, 70.0, 95.0].into_iter()).await;
    let killed = cluster.clock().now() - Duration::from_secs(95);
    let lines = cluster.logs(killed).await.unwrap();
    assert!(lines.is_sorted_by_key(|line| line.at));
    let mut said = BTreeSet::new();
    for line in &lines {
        let (message, fields) = template(&line.text);
        let known = recorded.get(&message).unwrap_or_else(|| panic!("never recorded: {}", line.text));
        assert!(fields.is_subset(known), "{} has {fields:?}, recorded {known:?}", line.text);
        said.insert(message.rsplit("] ").next().unwrap().trim().to_owned());
    }
    let expected = [
        "connection aborted",
        "connection abort",
        "broadcasting unreachable",
        "wait connect timeout",
        "starting a new election",
        "became leader at term",
        "leader changed",
        "send keepalive message fail, store maybe disconnected",
        "Welcome to TiKV",
        "TiKV is ready to serve",
        "put store ok",
        "connection established",
    ];
    for message in expected {
        assert!(said.contains(message), "nobody wrote {message:?}: {said:?}");
    }
}

/// A value with every number and every string replaced by its type: what is left is keys, their order and the shape.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        Value::Bool(_) | Value::Null => value.clone(),
    }
}

/// `serde_json` compares objects without their order; their text has it.
fn ordered_shape(body: &str) -> String {
    shape(&serde_json::from_str(body).unwrap()).to_string()
}

#[tokio::test]
async fn answers_at_rest_have_the_recorded_shape() {
    let baseline: Value = serde_json::from_slice(&recording("baseline-pd-api.json")).unwrap();
    let cluster = up(SEED).await;
    wait(&cluster, 60.0).await;
    let (alike, equal) = (
        ["/stores", "/members", "/health", "/leader"],
        [
            "/version",
            "/regions/check/miss-peer",
            "/regions/check/down-peer",
            "/regions/check/pending-peer",
            "/regions/check/nonsense",
            "/nothing-here",
        ],
    );
    for path in alike.into_iter().chain(equal) {
        let recorded = &baseline[path];
        let answer = pd(&cluster, path).await;
        assert_eq!(recorded["status"], answer.status, "{path}");
        assert_eq!(recorded["content_type"], answer.content_type, "{path}");
        let body = recorded["body"].as_str().unwrap();
        if equal.contains(&path) {
            assert_eq!(body, answer.body, "{path}");
            continue;
        }
        assert_eq!(ordered_shape(body), ordered_shape(&answer.body), "{path}");
        for body in [body, &answer.body] {
            let value: Value = serde_json::from_str(body).unwrap();
            assert_eq!(serde_json::to_string_pretty(&value).unwrap() + "\n", *body, "{path}: indented as recorded");
        }
    }
    let nowhere = get(&cluster, "tikv9:20180", "/status").await;
    assert_eq!(nowhere, Err(HttpError::NoSuchAddress { url: "http://tikv9:20180/status".to_owned() }));
}
