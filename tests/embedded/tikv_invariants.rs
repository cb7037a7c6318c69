//! The invariants of the subject `tikv` over observations that are made by hand, for what was not recorded.

use operator_run::reading::{Observation, Unit, Value};
use operator_run::subject::tikv::TiKv;
use operator_run::subject::{CLUSTER, Finding, Subject};

/// Three stores that are well, with what is given for `tikv1` or for the cluster.
fn observation(changes: &[(&str, &str, Value)]) -> Observation {
    let mut observation = Observation::new(jiff::Timestamp::UNIX_EPOCH);
    for (node, name, value) in changes {
        observation.push("test", &(*node).into(), name, value.clone(), Unit::None);
    }
    for node in ["tikv0", "tikv1", "tikv2"] {
        let readings: [(&str, Value); 10] = [
            ("store_state", "Up".into()),
            ("status_port", "answers".into()),
            ("heard", "yes".into()),
            ("heartbeat_age", 4.0.into()),
            ("leaders", 8.0.into()),
            ("regions", 24.0.into()),
            ("slow_score", 1.0.into()),
            ("available", "19.74GiB".into()),
            ("available_share", 0.987.into()),
            ("hot_region_share", 0.0.into()),
        ];
        for (name, value) in readings {
            // The first value of a name is the one that counts.
            observation.push("test", &node.into(), name, value, Unit::None);
        }
    }
    let cluster: [(&str, Value); 10] = [
        ("pd_leader", "pd0".into()),
        ("miss_peer_regions", 0.0.into()),
        ("down_peer_regions", 0.0.into()),
        ("max_replicas", 3.0.into()),
        ("scheduling", "on".into()),
        ("switched_off", "nothing".into()),
        ("operators", 0.0.into()),
        ("leaders_moved_on_purpose", false.into()),
        ("empty_regions", 24.0.into()),
        ("merge_limit", 0.0.into()),
    ];
    for (name, value) in cluster {
        observation.push("test", &CLUSTER.into(), name, value, Unit::None);
    }
    observation
}

/// `holds`, `violated` or `unknown`.
fn finding(invariant: &str, node: &str, changes: &[(&str, &str, Value)]) -> &'static str {
    let invariant = TiKv.manual().invariants.iter().find(|known| known.name == invariant).unwrap();
    match (invariant.check)(&observation(changes), &node.into()) {
        Finding::Holds => "holds",
        Finding::Violated(_) => "violated",
        Finding::Unknown(_) => "unknown",
    }
}

#[track_caller]
fn on_a_store(invariant: &str, changes: &[(&str, Value)], expected: &str) {
    let changes: Vec<_> = changes.iter().map(|(name, value)| ("tikv1", *name, value.clone())).collect();
    assert_eq!(finding(invariant, "tikv1", &changes), expected, "{invariant}: {changes:?}");
}

#[track_caller]
fn on_the_cluster(invariant: &str, changes: &[(&str, &str, Value)], expected: &str) {
    assert_eq!(finding(invariant, CLUSTER, changes), expected, "{invariant}: {changes:?}");
}

fn text(word: &str) -> Value {
    word.into()
}

#[test]
fn a_store_that_pd_does_not_hear_is_down_even_if_it_answers() {
    let down = |heard: &str, age: f64| {
        vec![("store_state", text("Disconnected")), ("heard", text(heard)), ("heartbeat_age", age.into())]
    };
    on_a_store("store_down", &[], "holds");
    on_a_store("store_down", &down("yes", 21.0), "violated");
    // It is by PD's clock alone that its heartbeat is old.
    on_a_store("store_down", &down("yes", 4.0), "unknown");
    on_a_store("store_down", &down("not_since_start", 25.0), "unknown");
    // A new leader of PD: the heartbeat that it knows of is from its predecessor's time, but not for ever.
    on_a_store("store_down", &down("not_by_this_leader", 290.0), "holds");
    on_a_store("store_down", &down("not_by_this_leader", 340.0), "violated");
    on_a_store("store_down", &[("store_state", text("Up")), ("status_port", text("timed_out"))], "unknown");
    for state in ["Offline", "Tombstone"] {
        on_a_store("store_down", &[("store_state", text(state)), ("status_port", text("refused"))], "holds");
    }
    let silent = ("tikv1", "store_state", Value::unknown("503"));
    let none = (CLUSTER, "pd_leader", text("none"));
    assert_eq!(finding("store_down", "tikv1", &[silent.clone(), none]), "holds");
    assert_eq!(finding("store_down", "tikv1", &[silent]), "unknown");
}

#[test]
fn bounds_on_a_store() {
    on_a_store("store_slow", &[("slow_score", 79.0.into())], "holds");
    on_a_store("store_slow", &[("slow_score", 80.0.into())], "violated");
    let stale = [("store_state", text("Disconnected")), ("slow_score", 100.0.into())];
    on_a_store("store_slow", &stale, "unknown");
    let removed = [("store_state", text("Tombstone")), ("slow_score", 100.0.into())];
    on_a_store("store_slow", &removed, "holds");
    for (invariant, reading, good, bad) in [
        ("high_latency", "p99_latency", 0.099, 0.1),
        ("raft_log_lag", "raft_log_lag", 4999.0, 5120.0),
        ("restart_loop", "restarts", 2.0, 3.0),
        ("hot_region", "hot_region_share", 0.49, 0.5),
        ("clock_skew", "clock_error", 4.9, 5.0),
    ] {
        on_a_store(invariant, &[(reading, good.into())], "holds");
        on_a_store(invariant, &[(reading, bad.into())], "violated");
        on_a_store(invariant, &[(reading, Value::from(f64::NAN))], "unknown");
    }
    assert_eq!(finding("clock_skew", "pd0", &[("pd0", "clock_jumps", 1.0.into())]), "violated");
    let few = ["tikv0", "tikv1", "tikv2"].map(|node| (node, "regions", Value::from(5.0)));
    let hot = [&few[..], &[("tikv1", "hot_region_share", 1.0.into())]].concat();
    assert_eq!(finding("hot_region", "tikv1", &hot), "unknown");
}

#[test]
fn a_link_is_down_when_two_stores_that_are_heard_miss_each_other() {
    let misses = |node: &'static str, names: &str| (node, "cannot_reach", text(names));
    let both = [misses("tikv0", "tikv1"), misses("tikv1", "tikv0"), misses("tikv2", "none")];
    let found = |node: &str, more: &[(&str, &str, Value)]| finding("store_link_down", node, &[more, &both].concat());
    for (node, expected) in [("tikv0", "violated"), ("tikv1", "violated"), ("tikv2", "holds")] {
        assert_eq!(found(node, &[]), expected, "{node}");
    }
    // One that is gone is missed, and does not miss the others while it is heard.
    assert_eq!(found("tikv0", &[misses("tikv1", "none")]), "holds");
    for (reading, value) in [("store_state", "Disconnected"), ("status_port", "timed_out")] {
        let gone = ("tikv1", reading, text(value));
        assert_eq!(
            (found("tikv0", std::slice::from_ref(&gone)), found("tikv1", &[gone])),
            ("holds", "unknown"),
            "{reading}"
        );
    }
    let unread = ("tikv0", "cannot_reach", Value::unknown("no log"));
    assert_eq!((found("tikv0", std::slice::from_ref(&unread)), found("tikv1", &[unread])), ("unknown", "holds"));
}

#[test]
fn space_is_low_as_pd_says_it_is() {
    let space = |share: f64, available: &str| [("available_share", Value::from(share)), ("available", text(available))];
    on_a_store("low_disk_space", &space(0.21, "4.2GiB"), "holds");
    on_a_store("low_disk_space", &space(0.19, "3.8GiB"), "violated");
    on_a_store("low_disk_space", &space(0.0, "0B"), "violated");
    // With few regions 8 GiB are enough.
    on_a_store("low_disk_space", &space(0.1, "10GiB"), "holds");
    let many = [&space(0.1, "10GiB")[..], &[("regions", 100.0.into())]].concat();
    on_a_store("low_disk_space", &many, "violated");
    on_a_store("low_disk_space", &[("available_share", Value::unknown("not heard"))], "unknown");
}

#[test]
fn regions_without_a_majority_are_told_by_the_leaders_that_stay() {
    let gone = |node: &'static str, age: f64, leaders: f64| {
        [
            (node, "store_state", text("Disconnected")),
            (node, "status_port", text("timed_out")),
            (node, "heartbeat_age", age.into()),
            (node, "leaders", leaders.into()),
        ]
    };
    let took_over = [("tikv0", "leaders", Value::from(12.0)), ("tikv2", "leaders", Value::from(12.0))];
    on_the_cluster("region_unavailable", &[], "holds");
    on_the_cluster("region_unavailable", &[&gone("tikv1", 50.0, 0.0)[..], &took_over].concat(), "holds");
    on_the_cluster("region_unavailable", &gone("tikv1", 39.0, 8.0), "holds");
    on_the_cluster("region_unavailable", &gone("tikv1", 41.0, 8.0), "violated");
    on_the_cluster("region_unavailable", &[gone("tikv1", 21.0, 8.0), gone("tikv2", 21.0, 8.0)].concat(), "violated");
    // PD's leader changed while its regions elected: what it knows of them is old.
    let changed = [&[("tikv1", "heard", text("not_by_this_leader"))], &gone("tikv1", 200.0, 8.0)[..]].concat();
    on_the_cluster("region_unavailable", &changed, "holds");
    // One that answers may still lead its regions.
    let answers = [("tikv1", "store_state", text("Disconnected")), ("tikv1", "heartbeat_age", 60.0.into())];
    on_the_cluster("region_unavailable", &answers, "unknown");
    on_the_cluster("region_unavailable", &[("tikv0", "leaders", 0.0.into())], "unknown");
}

#[test]
fn what_pd_keeps_in_order() {
    on_the_cluster("replica_missing", &[], "holds");
    on_the_cluster("replica_missing", &[(CLUSTER, "miss_peer_regions", 1.0.into())], "violated");
    on_the_cluster("replica_missing", &[(CLUSTER, "down_peer_regions", 1.0.into())], "violated");
    on_the_cluster("replica_missing", &[("tikv1", "store_state", text("Tombstone"))], "violated");
    on_the_cluster("replica_missing", &[(CLUSTER, "miss_peer_regions", Value::unknown("503"))], "unknown");

    let leaders = |counts: [f64; 3]| {
        let nodes = ["tikv0", "tikv1", "tikv2"].into_iter().zip(counts);
        nodes.map(|(node, count)| (node, "leaders", Value::from(count))).collect::<Vec<_>>()
    };
    // As recorded for minutes.
    on_the_cluster("leader_imbalance", &leaders([11.0, 2.0, 11.0]), "holds");
    on_the_cluster("leader_imbalance", &leaders([12.0, 0.0, 12.0]), "violated");
    let on_purpose = [leaders([12.0, 0.0, 12.0]), vec![(CLUSTER, "leaders_moved_on_purpose", true.into())]].concat();
    on_the_cluster("leader_imbalance", &on_purpose, "holds");
    let dead = [leaders([12.0, 0.0, 12.0]), vec![("tikv1", "store_state", text("Down"))]].concat();
    on_the_cluster("leader_imbalance", &dead, "holds");

    on_the_cluster("scheduling_stuck", &[], "holds");
    on_the_cluster("scheduling_stuck", &[(CLUSTER, "scheduling", text("off"))], "violated");
    let idle = [(CLUSTER, "miss_peer_regions", Value::from(3.0))];
    on_the_cluster("scheduling_stuck", &idle, "violated");
    on_the_cluster("scheduling_stuck", &[&idle[..], &[(CLUSTER, "operators", 1.0.into())]].concat(), "holds");
    on_the_cluster("scheduling_stuck", &[&idle[..], &[("tikv1", "store_state", text("Down"))]].concat(), "holds");

    on_the_cluster("empty_regions", &[], "holds");
    let many = [(CLUSTER, "empty_regions", Value::from(101.0))];
    on_the_cluster("empty_regions", &many, "violated");
    on_the_cluster("empty_regions", &[&many[..], &[(CLUSTER, "merge_limit", 8.0.into())]].concat(), "holds");
    let silent = (CLUSTER, "merge_limit", Value::unknown("no answer"));
    on_the_cluster("empty_regions", &[&many[..], &[silent]].concat(), "unknown");
    on_the_cluster("empty_regions", &[(CLUSTER, "empty_regions", Value::unknown("no answer"))], "unknown");

    on_the_cluster("client_errors", &[(CLUSTER, "client_error_share", 0.009.into())], "holds");
    on_the_cluster("client_errors", &[(CLUSTER, "client_error_share", 0.02.into())], "violated");
    on_the_cluster("client_errors", &[], "unknown");
}
