//! What each fault shows on the model, in which order and when: a row for each fault that operators of TiKV know. Times
//! are in seconds since the fault, or since it was undone; what is seen by polling comes up to a poll later.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rows;
mod watch;

use rows::ROWS;
use watch::Watch;

use operator_run::cluster::{Direction, FaultKind};

/// A node by the part that it plays. The victim is the store that leads most; PD's leader is asked last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Victim,
    /// The other stores, in the order of their names.
    Store(usize),
    PdLeader,
    /// The other members of PD, in the order of their names.
    PdFollower(usize),
}

/// Something that is seen, or not.
#[derive(Debug, Clone, Copy)]
enum Sign {
    /// What PD calls a store.
    State(Part, &'static str),
    /// PD knows of so many leaders on a store, or fewer.
    LeadersAtMost(Part, u64),
    /// PD shows at least this slow score of a store.
    SlowScore(Part, u64),
    /// The process of a node, as the machine shows it.
    Process(Part, &'static str),
    /// The status port, or PD's `/stores`: an HTTP status, 0 for a refusal, -1 for silence.
    Answer(Part, i32),
    /// A line of a node's log that contains this.
    Line(Part, &'static str),
    /// A sample of a node's metrics is at least so high, or, if that is negative, as low as its amount or lower.
    Metric(Part, &'static str, f64),
    /// So many regions have a down peer.
    DownPeers(u64),
    /// PD lists a region as hot for its writes.
    HotWrites,
}

/// When it is first seen; never, if there is no such time.
type When = Option<(f64, f64)>;

/// What is done, how it shows, and how it ends.
struct Row {
    name: &'static str,
    faults: fn() -> Vec<(FaultKind, Part)>,
    /// One whose times begin later than those of the one above it is also seen later.
    signs: &'static [(Sign, When)],
    /// For how long they are watched.
    seconds: u32,
    /// What is seen when the faults are undone, in this order.
    recovery: &'static [(Sign, When)],
    recovery_seconds: u32,
}

#[tokio::test]
async fn each_fault_shows_in_its_order_and_at_its_times() {
    let mut missed = Vec::new();
    for row in ROWS.iter().filter(|row| std::env::var("ROW").map_or(true, |name| row.name.contains(&name))) {
        for seed in 0..3 {
            let mut watch = Watch::begin(seed).await;
            let name = format!("{} (seed {seed})", row.name);
            watch.inject((row.faults)()).await;
            watch.watch(row.seconds, row.signs).await;
            missed.extend(watch.missed(&name, row.signs).await);
            watch.undo().await;
            watch.watch(row.recovery_seconds, row.recovery).await;
            missed.extend(watch.missed(&format!("{name}, undone"), row.recovery).await);
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

fn cut(direction: Direction) -> FaultKind {
    FaultKind::Partition { from: Vec::new(), direction }
}
