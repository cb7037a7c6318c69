//! The subject `tikv` and the monitor over the recordings of a real cluster: what was recorded is answered poll by poll,
//! and what must fire fires at the first poll that could tell.

use operator_run::monitor::{Change, Monitor};
use operator_run::subject::Subject;
use operator_run::subject::tikv::TiKv;

use crate::recording::Recording;

/// What fires and ends over a recording, with the time of the poll.
async fn watch(name: &'static str) -> Vec<(f64, String)> {
    let cluster = Recording::new(name);
    let mut monitor = Monitor::new(TiKv.manual().invariants, &cluster.nodes);
    let mut seen = Vec::new();
    for poll in cluster.polls() {
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
            (19.03, "region_unavailable on cluster"),
            (81.02, "store_down on tikv1 is over"),
            (81.02, "store_down on tikv2 is over"),
            (81.02, "region_unavailable on cluster is over"),
        ],
    ),
    // It was down for 30 s.
    ("store-graceful-restart", &[(25.03, "store_down on tikv1"), (41.03, "store_down on tikv1 is over")]),
    ("quiet-then-rolling-restart", &[]),
    ("pd-leader-kill", &[(0.26, "pd_member_down on pd0"), (51.04, "pd_member_down on pd0 is over")]),
    ("remedy-pd-leader-resign", &[]),
    ("remedy-evict-leaders", &[]),
    // Two of three stores have been dead for longer than the recording goes back. They are removed at 0 s, and at 17 s the
    // last one leads every region alone.
    (
        "remedy-unsafe-recovery",
        &[
            (-5.95, "store_down on tikv1"),
            (-5.95, "store_down on tikv2"),
            (-5.95, "region_unavailable on cluster"),
            (0.04, "store_down on tikv1 is over"),
            (0.04, "store_down on tikv2 is over"),
            (0.04, "replica_missing on cluster"),
            (17.02, "region_unavailable on cluster is over"),
        ],
    ),
    // PD was asked for hot regions each 10 s. The client stopped at 195 s, of which PD knows nothing yet at the end.
    ("hot-region", &[(172.05, "hot_region on tikv0")]),
];

#[tokio::test]
async fn what_was_recorded_fires_at_the_first_poll_that_could_tell() {
    for (name, expected) in EXPECTED {
        let expected: Vec<(f64, String)> = expected.iter().map(|(at, what)| (*at, (*what).to_owned())).collect();
        assert_eq!(watch(name).await, expected, "{name}");
    }
}

/// The readings of a node over a recording, with the time of the poll.
async fn readings(name: &'static str, node: &str, reading: &str) -> Vec<(f64, Option<f64>)> {
    let cluster = Recording::new(name);
    let mut read = Vec::new();
    for poll in cluster.polls() {
        let at = poll["t"].as_f64().unwrap();
        *cluster.poll.lock().unwrap() = poll;
        read.push((at, TiKv.observe(&cluster).await.value(&node.into(), reading).number()));
    }
    read
}

/// The largest value within a span of time.
fn most(read: &[(f64, Option<f64>)], from: f64, to: f64) -> Option<f64> {
    let within = read.iter().filter(|(at, _)| (from..to).contains(at));
    within.filter_map(|(_, value)| *value).max_by(f64::total_cmp)
}

#[tokio::test]
async fn metrics_tell_of_a_kill() {
    let latency = readings("store-kill", "tikv0", "p99_latency").await;
    assert!(most(&latency, 40.0, 110.0).is_some_and(|most| most > 0.005 && most < 0.03), "{latency:?}");
    // The dead store has no sample any more, until two scrapes after its start.
    let latency = readings("store-kill", "tikv1", "p99_latency").await;
    assert_eq!(most(&latency, 60.0, 75.0), None);
    let restarts = readings("store-kill", "tikv1", "restarts").await;
    assert_eq!((most(&restarts, 0.0, 75.0), most(&restarts, 100.0, 110.0)), (Some(0.0), Some(1.0)));
}

#[tokio::test]
async fn logs_tell_of_elections_and_of_lost_majorities() {
    let unreachable = readings("store-quorum-loss", "tikv0", "unreachable_stores").await;
    assert_eq!((most(&unreachable, -12.0, -1.0), most(&unreachable, 1.0, 60.0)), (Some(0.0), Some(2.0)));
    let step_downs = readings("store-quorum-loss", "tikv0", "step_downs").await;
    assert_eq!(most(&step_downs, -12.0, -1.0), Some(0.0));
    assert!(most(&step_downs, 5.0, 25.0).is_some_and(|most| most >= 4.0), "{step_downs:?}");
    let elections = readings("store-quorum-loss", "tikv0", "elections").await;
    assert!(most(&elections, 30.0, 60.0).is_some_and(|most| most >= 20.0), "{elections:?}");
}

/// Two minutes before PD lists the region as hot.
#[tokio::test]
async fn the_flow_of_a_hot_region_shows_with_its_next_heartbeat() {
    let share = readings("hot-region", "tikv0", "written_share").await;
    assert!(most(&share, -10.0, 52.0).is_some_and(|most| most < 0.1), "{share:?}");
    let shown = share.iter().find(|(_, share)| share.is_some_and(|share| share >= 0.5)).unwrap();
    assert_eq!(*shown, (52.03, Some(0.69)));
    assert_eq!(most(&readings("hot-region", "tikv1", "written_share").await, 52.0, 200.0), Some(0.0));
}
