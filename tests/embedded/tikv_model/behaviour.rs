//! What holds of the model whatever the seed and whatever is done to it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use operator_run::clock::span_between;
use operator_run::cluster::embedded::go_format::{byte_size, duration};
use operator_run::cluster::embedded::{EmbeddedCluster, Topology};
use operator_run::cluster::{Cluster, ClusterError, Fault, FaultKind, ProcessState};
use operator_run::http::{HttpError, Request, Response};
use operator_run::reading::NodeName;
use operator_run::units::Shift;
use proptest::prelude::*;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{check, get, kill, most_leaders, node_of, pd, recorded_polls, stores, up, wait};

const ENDPOINTS: [&str; 6] = [
    "/stores",
    "/members",
    "/health",
    "/regions/check/miss-peer",
    "/regions/check/down-peer",
    "/regions/check/pending-peer",
];

/// Every answer of every node through a minute and a half, and all logs.
async fn transcript(cluster: &EmbeddedCluster) -> String {
    let mut text = String::new();
    for _ in 0..45 {
        wait(cluster, 2.0).await;
        for node in cluster.nodes() {
            let (port, paths) =
                if node.role == "pd" { (2379, ENDPOINTS.as_slice()) } else { (20180, ["/status"].as_slice()) };
            for path in paths {
                let path = if node.role == "pd" { format!("/pd/api/v1{path}") } else { (*path).to_owned() };
                writeln!(text, "{:?}", get(cluster, &format!("{}:{port}", node.name), &path).await).unwrap();
            }
        }
    }
    for line in cluster.logs(Timestamp::MIN).await.unwrap() {
        writeln!(text, "{}: {}", line.node, line.text).unwrap();
    }
    text
}

#[tokio::test]
async fn the_same_seed_gives_the_same_future() {
    let run = async |seed| {
        let cluster = up(seed).await;
        cluster.inject(&kill("tikv2")).await.unwrap();
        cluster.inject(&kill("pd1")).await.unwrap();
        transcript(&cluster).await
    };
    let first = run(1).await;
    assert!(first == run(1).await, "the same seed gave another future");
    assert!(first != run(2).await, "another seed gave the same future");
}

#[tokio::test]
async fn a_fork_has_a_future_of_its_own() {
    let cluster = up(5).await;
    let (now, before) = (cluster.clock().now(), pd(&cluster, "/stores").await);
    let fork = cluster.fork();
    fork.inject(&kill("tikv0")).await.unwrap();
    let forked = transcript(&fork).await;
    assert_eq!((cluster.clock().now(), pd(&cluster, "/stores").await), (now, before));
    assert_eq!(cluster.process(&"tikv0".into()).await.unwrap(), ProcessState::Running);

    cluster.inject(&kill("tikv0")).await.unwrap();
    assert!(transcript(&cluster).await == forked, "the same acts gave another future");
}

#[tokio::test]
async fn spans_that_are_no_multiple_of_a_step_add_up() {
    let (whole, parts) = (up(3).await, up(3).await);
    wait(&whole, 30.0).await;
    for _ in 0..3000 {
        parts.clock().sleep(Duration::from_millis(7)).await;
        parts.clock().sleep(Duration::from_millis(3)).await;
    }
    assert_eq!(whole.clock().now(), parts.clock().now());
    assert_eq!(pd(&whole, "/stores").await, pd(&parts, "/stores").await);
}

/// What one of the other members says of the stores while PD's leader is dead.
fn words(answer: &Result<Response, HttpError>) -> Vec<String> {
    match answer {
        Ok(answer) if answer.status == 200 => {
            let body: Value = serde_json::from_str(&answer.body).unwrap();
            let mut states: Vec<&Value> = body["stores"].as_array().unwrap().iter().collect();
            states.sort_by_key(|store| node_of(store));
            states.iter().map(|store| store["store"]["state_name"].as_str().unwrap().to_owned()).collect()
        }
        Ok(answer) => vec![format!("{} {}", answer.status, answer.body)],
        Err(error) => vec![error.word()],
    }
}

#[tokio::test]
async fn a_new_pd_leader_comes_as_recorded() {
    let cluster = up(11).await;
    wait(&cluster, 60.0).await;
    let leaders = async || -> Vec<Value> {
        let asked = get(&cluster, "pd1:2379", "/pd/api/v1/stores").await.unwrap();
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        body["stores"].as_array().unwrap().iter().map(|store| store["status"]["leader_count"].clone()).collect()
    };
    let members: Value = serde_json::from_str(&pd(&cluster, "/members").await.body).unwrap();
    let old = members["leader"]["name"].as_str().unwrap().to_owned();
    let asked = if old == "pd1" { "pd2:2379" } else { "pd1:2379" };
    let before = leaders().await;
    cluster.inject(&kill(&old)).await.unwrap();
    let killed = cluster.clock().now();

    let (_, recorded) = recorded_polls("pd-leader-kill.jsonl");
    let recorded = recorded.iter().filter(|poll| poll["t"].as_f64().unwrap() > 0.0).map(|poll| &poll["pd1"]["stores"]);
    let refusal = recorded.clone().find(|answer| answer["status"] == 500).unwrap()["body"].as_str().unwrap();
    let first_states = recorded.clone().find(|answer| answer["status"] == 200).unwrap();
    assert!(first_states["by"].as_object().unwrap().values().all(|store| store["state"] == "Disconnected"));

    let mut seen: Vec<(Duration, Vec<String>)> = Vec::new();
    for _ in 0..400 {
        let said = words(&get(&cluster, asked, "/pd/api/v1/stores").await);
        if seen.last().is_none_or(|(_, last)| *last != said) {
            seen.push((span_between(killed, cluster.clock().now()), said));
        }
        wait(&cluster, 0.1).await;
    }
    assert_eq!(seen[0].1, [format!("500 {refusal}")]);
    let (served, states) = &seen[1];
    assert_eq!(states, &["Disconnected"; 3], "{seen:?}");
    // 10.9 s by the recorded logs, 14.8 s by the recorded polls, which were held up.
    assert!((10.0..15.0).contains(&served.as_secs_f64()), "{seen:?}");
    let (recovered, states) = seen.last().unwrap();
    assert_eq!(states, &["Up"; 3], "{seen:?}");
    assert!(recovered.saturating_sub(*served) <= Duration::from_secs(14), "{seen:?}");
    let up: Vec<usize> =
        seen[1..].iter().map(|(_, states)| states.iter().filter(|state| *state == "Up").count()).collect();
    assert!(up.is_sorted(), "{seen:?}");

    let members: Value = serde_json::from_str(&get(&cluster, asked, "/pd/api/v1/members").await.unwrap().body).unwrap();
    assert_ne!(members["leader"]["name"], old.as_str());
    cluster.heal(&kill(&old).undo()).await.unwrap();
    wait(&cluster, 2.0).await;
    assert_eq!(leaders().await, before);
}

#[tokio::test]
async fn a_pd_leader_that_ends_in_order_hands_over_as_recorded() {
    let (_, recorded) = recorded_polls("remedy-pd-leader-resign.jsonl");
    let recorded = recorded.iter().filter(|poll| poll["t"].as_f64().unwrap() > 0.0);
    let of = |poll: &Value| -> Vec<String> {
        let stores = poll["pd1"]["stores"]["by"].as_object().unwrap().values();
        stores.map(|store| store["state"].as_str().unwrap().to_owned()).collect()
    };
    let recorded: Vec<(f64, Vec<String>)> = recorded.map(|poll| (poll["t"].as_f64().unwrap(), of(poll))).collect();
    for seed in 0..10 {
        let cluster = up(seed).await;
        wait(&cluster, 60.0).await;
        let members: Value = serde_json::from_str(&pd(&cluster, "/members").await.body).unwrap();
        let old = members["leader"]["name"].as_str().unwrap().to_owned();
        let asked = if old == "pd1" { "pd2:2379" } else { "pd1:2379" };
        cluster.inject(&Fault::new(FaultKind::Stop, old.as_str().into())).await.unwrap();
        let mut since = 0.0;
        let mut seen = Vec::new();
        for (at, _) in &recorded {
            wait(&cluster, at - since).await;
            since = *at;
            seen.push(words(&get(&cluster, asked, "/pd/api/v1/stores").await));
        }
        // At the first poll a new leader serves, who has not heard of any store; at the last it has heard of all.
        assert_eq!(recorded[0].1, ["Disconnected"; 3]);
        assert_eq!(seen[0], ["Disconnected"; 3], "seed {seed}");
        assert_eq!(
            (seen.last(), &recorded.last().unwrap().1),
            (Some(&vec!["Up".to_owned(); 3]), &vec!["Up".to_owned(); 3])
        );
        let up = |states: &Vec<String>| states.iter().filter(|state| *state == "Up").count();
        assert!(seen.iter().map(up).is_sorted(), "seed {seed}: {seen:?}");
    }
}

#[tokio::test]
async fn pd_without_a_quorum_answers_for_itself_only() {
    let cluster = up(4).await;
    cluster.inject(&kill("pd1")).await.unwrap();
    cluster.inject(&kill("pd2")).await.unwrap();
    wait(&cluster, 20.0).await;
    let start = cluster.clock().now();
    let stores = pd(&cluster, "/stores").await;
    assert_eq!(
        (stores.status, stores.body.as_str()),
        (503, "[PD:apiutil:ErrRedirectNoLeader]redirect finds no leader\n")
    );
    assert_eq!(span_between(start, cluster.clock().now()), Duration::from_secs(3));
    let impatient = Request::get("pd0:2379", "/pd/api/v1/stores", Duration::from_millis(1250));
    let timed_out = cluster.http().send(&impatient).await.unwrap_err();
    assert_eq!(timed_out.word(), "timed_out");
    assert_eq!(span_between(start, cluster.clock().now()), Duration::from_millis(4250));

    let health: Value = serde_json::from_str(&pd(&cluster, "/health").await.body).unwrap();
    let healthy = health.as_array().unwrap().iter().filter(|member| member["health"] == true);
    assert_eq!(healthy.map(|member| member["name"].as_str().unwrap()).collect::<Vec<_>>(), ["pd0"]);
    cluster.up(&CancellationToken::new()).await.unwrap();
    assert_eq!(pd(&cluster, "/stores").await.status, 200);
}

#[tokio::test]
async fn without_a_quorum_of_stores_leader_counts_freeze() {
    let cluster = up(6).await;
    let counts = async || -> Vec<Value> {
        stores(&cluster).await.iter().map(|store| store["status"]["leader_count"].clone()).collect()
    };
    let before = counts().await;
    for node in ["tikv0", "tikv1"] {
        cluster.inject(&kill(node)).await.unwrap();
    }
    for _ in 0..60 {
        wait(&cluster, 1.0).await;
        assert_eq!((counts().await, check(&cluster, "pending-peer").await), (before.clone(), 0));
    }
    let states: Vec<(String, Value)> =
        stores(&cluster).await.iter().map(|store| (node_of(store), store["store"]["state_name"].clone())).collect();
    assert!(states.iter().all(|(node, state)| *state == if node == "tikv2" { "Up" } else { "Disconnected" }));
    let lines = cluster.logs(Timestamp::MIN).await.unwrap();
    assert!(lines.iter().any(|line| line.node.as_str() == "tikv2" && line.text.contains("quorum is not active")));

    cluster.up(&CancellationToken::new()).await.unwrap();
    assert!(stores(&cluster).await.iter().all(|store| store["store"]["state_name"] == "Up"));
}

#[tokio::test]
async fn a_dead_store_grows_old() {
    let cluster = up(8).await;
    let victim = most_leaders(&cluster).await;
    let meta = async || stores(&cluster).await.into_iter().find(|store| node_of(store) == victim).unwrap();
    let started = meta().await["store"]["start_timestamp"].clone();
    cluster.inject(&kill(&victim)).await.unwrap();
    wait(&cluster, 60.0).await;
    let uptime = meta().await["status"]["uptime"].clone();
    wait(&cluster, 8.0 * 60.0).await;
    assert_eq!(check(&cluster, "down-peer").await, 0);
    wait(&cluster, 3.0 * 60.0).await;
    assert_eq!(check(&cluster, "down-peer").await, 24);
    assert_eq!(check(&cluster, "miss-peer").await, 0);
    assert_eq!(meta().await["store"]["state_name"], "Disconnected");
    wait(&cluster, 19.0 * 60.0).await;
    assert_eq!(meta().await["store"]["state_name"], "Down");
    assert_eq!(meta().await["status"]["uptime"], uptime);
    cluster.heal(&kill(&victim).undo()).await.unwrap();
    cluster.heal(&kill(&victim).undo()).await.unwrap();
    wait(&cluster, 15.0).await;
    assert_eq!(meta().await["store"]["state_name"], "Up");
    assert_ne!(meta().await["store"]["start_timestamp"], started);
    assert_eq!(check(&cluster, "down-peer").await, 0);
}

#[tokio::test]
async fn a_store_with_a_wrong_clock_logs_and_starts_in_the_past() {
    let cluster = up(8).await;
    let victim = most_leaders(&cluster).await;
    let node = NodeName::from(victim.as_str());
    let an_hour = FaultKind::ShiftClock { by: Shift(SignedDuration::from_hours(-1)) };
    cluster.inject(&Fault::new(an_hour, node.clone())).await.unwrap();
    let before = stores(&cluster).await;
    let restart = Fault::new(FaultKind::KILL, node.clone());
    cluster.inject(&restart).await.unwrap();
    cluster.heal(&restart.undo()).await.unwrap();
    wait(&cluster, 15.0).await;
    let meta = |stores: &[Value]| stores.iter().find(|store| node_of(store) == victim).unwrap()["store"].clone();
    let (before, now) = (meta(&before), meta(&stores(&cluster).await));
    let hours = before["start_timestamp"].as_i64().unwrap() - now["start_timestamp"].as_i64().unwrap();
    assert!((3_400..3_600).contains(&hours), "it started {hours} s before it had started first");
    assert_eq!(now["state_name"], "Up");
    let lines = cluster.logs(Timestamp::MIN).await.unwrap();
    let welcome = lines.iter().rfind(|line| line.node == node && line.text.contains("Welcome to TiKV")).unwrap();
    assert!(welcome.text.starts_with("[2025/12/31 23:"), "{}", welcome.text);
}

#[tokio::test]
async fn a_cluster_can_be_of_any_size() {
    for (pd, tikv, regions) in [(1, 1, 0), (3, 2, 5), (5, 4, 24), (3, 7, 100)] {
        let cluster = EmbeddedCluster::new(Topology { pd, tikv, regions, seed: 2, ..Topology::default() });
        assert_eq!(get(&cluster, "pd0:2379", "/pd/api/v1/ping").await.unwrap_err().word(), "refused");
        cluster.up(&CancellationToken::new()).await.unwrap();
        let stores = stores(&cluster).await;
        assert_eq!(stores.len(), tikv);
        let leaders: u64 = stores.iter().map(|store| store["status"]["leader_count"].as_u64().unwrap()).sum();
        assert_eq!(leaders, regions.max(5) as u64);
        cluster.down().await.unwrap();
        cluster.down().await.unwrap();
        for node in cluster.nodes() {
            let gone = ProcessState::Exited { code: 0, out_of_memory: false };
            assert_eq!(cluster.process(&node.name).await.unwrap(), gone);
        }
    }
}

#[tokio::test]
async fn what_is_no_node_is_refused() {
    let cluster = EmbeddedCluster::new(Topology::default());
    let error = cluster.inject(&kill("tikv3")).await.unwrap_err();
    assert!(matches!(error, ClusterError::NoSuchNode(node) if node.as_str() == "tikv3"));
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    assert!(matches!(cluster.up(&cancelled).await, Err(ClusterError::Interrupted(_))));
}

/// The bytes that a size says.
fn parse_size(text: &str) -> f64 {
    let digits = text.find(|character: char| character.is_ascii_alphabetic()).unwrap();
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let power = units.iter().position(|unit| *unit == &text[digits..]).unwrap();
    text[..digits].parse::<f64>().unwrap() * 1024_f64.powi(i32::try_from(power).unwrap())
}

/// The nanoseconds that a span says.
fn parse_duration(text: &str) -> u128 {
    let units = [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000)];
    let units: BTreeMap<&str, u128> = units.into_iter().chain([("µs", 1_000), ("ns", 1)]).collect();
    let mut rest = text;
    let mut total = 0;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap());
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let unit = units[&tail[..end]];
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        total += whole.parse::<u128>().unwrap() * unit
            + format!("{fraction:0<12}").parse::<u128>().unwrap() * unit / 10_u128.pow(12);
        rest = &tail[end..];
    }
    total
}

proptest! {
    #[test]
    fn a_size_says_four_digits_of_the_bytes(bytes in prop_oneof![0_u64..100_000, any::<u64>()]) {
        let shown = byte_size(bytes);
        #[expect(clippy::cast_precision_loss, reason = "four digits are compared")]
        let bytes = bytes as f64;
        let error = (parse_size(&shown) - bytes).abs();
        prop_assert!(error <= bytes * 5.01e-4, "{bytes} is shown as {shown}");
    }

    #[test]
    fn a_span_says_every_nanosecond(nanos in prop_oneof![0_u64..10_000_000, 0..10_000_000_000_000_u64]) {
        let shown = duration(Duration::from_nanos(nanos));
        prop_assert_eq!(parse_duration(&shown), u128::from(nanos), "shown as {}", shown);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_is_done_and_undone_a_cluster_comes_back(
        seed in any::<u64>(),
        acts in prop::collection::vec((0_usize..6, 0_usize..4, any::<bool>(), 0_u64..60_000), 0..25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let cluster = up(seed).await;
            let mut done = Vec::new();
            for (node, kind, undo, millis) in acts {
                let kind = [FaultKind::KILL, FaultKind::Stop, FaultKind::Pause, FaultKind::CUT_OFF][kind].clone();
                let fault = Fault::new(kind.clone(), cluster.nodes()[node].name.clone());
                if undo {
                    cluster.heal(&fault.undo()).await.unwrap();
                } else {
                    cluster.inject(&fault).await.unwrap();
                    // A process takes its time to end in order, and cannot be paused any more once it has ended.
                    let shows = cluster.missing_effect(&fault).await.unwrap().is_none();
                    assert!(shows || matches!(kind, FaultKind::Stop | FaultKind::Pause));
                    done.push(fault);
                }
                cluster.clock().sleep(Duration::from_millis(millis)).await;
                for path in ENDPOINTS {
                    let _ = get(&cluster, "pd0:2379", &format!("/pd/api/v1{path}")).await;
                }
            }
            for fault in done.iter().rev() {
                cluster.heal(&fault.undo()).await.unwrap();
            }
            // What was asked to end does so first.
            wait(&cluster, 30.0).await;
            cluster.up(&CancellationToken::new()).await.unwrap();
            for store in stores(&cluster).await {
                assert_eq!(store["store"]["state_name"], "Up");
            }
            assert_eq!(check(&cluster, "down-peer").await + check(&cluster, "miss-peer").await, 0);
        });
    }
}
