//! How each invariant is told from one observation.

use super::super::{CLUSTER, Finding};
use super::pd::bytes;
use crate::reading::{NodeName, Observation, Value};

/// How often a store sends PD a heartbeat, in seconds (`tikv:components/raftstore/src/store/config.rs`).
const HEARTBEAT: f64 = 10.0;
/// How often a region tells PD of itself if nothing changes, in seconds (`tikv:components/raftstore/src/store/config.rs`).
const REGION_HEARTBEAT: f64 = 60.0;
/// How old the heartbeat can be that a new leader of PD finds of a store that is well: it is kept on disk every 5 minutes
/// (PD: pkg/core/store.go, `storePersistInterval`), and the next one comes within 10 s and what it takes to connect.
const HEARTBEAT_KEPT: f64 = 330.0;
/// When the slowest regions of a dead store have a new leader, in seconds after its last heartbeat: 10 s until it dies,
/// and 25 s for those that nobody uses (derived from raftstore's time-outs; recorded with traffic: 23 s), and 5 s to spare.
const ELECTED: f64 = 40.0;
/// From here on PD calls a store slow (PD: pkg/core/store.go, `slowStoreThreshold`).
const SLOW_SCORE: f64 = 80.0;
/// Seconds.
const LATENCY: f64 = 0.1;
/// PD calls a store low on space when less than this share of it is available (PD: server/config/config.go, `low-space-ratio`).
const SPACE_SHARE: f64 = 0.2;
/// As long as a store has fewer regions than this, it is not low on space if it has the bytes of [`SPACE_BYTES`]
/// (PD: pkg/core/store.go, `initialMaxRegionCounts`, `initialMinSpace`).
const FEW_REGIONS: f64 = 100.0;
const SPACE_BYTES: f64 = 8.0 * 1024.0 * 1024.0 * 1024.0;
/// Log entries (`tikv:metrics/alertmanager/tikv.rules.yml`).
const LOG_LAG: f64 = 5000.0;
/// Leaders that PD lets two stores differ by, and what share of the average it may be besides while PD is at work.
const LEADER_DIFFERENCE: f64 = 10.0;
const LEADER_SHARE: f64 = 0.2;
const HOT_SHARE: f64 = 0.5;
/// A cluster with fewer regions than this has no hot one: there is nothing to compare it with.
const COMPARABLE_REGIONS: f64 = 10.0;
/// Seconds.
const CLOCK_ERROR: f64 = 5.0;
const RESTARTS: f64 = 3.0;
const CLIENT_ERRORS: f64 = 0.01;

pub(super) fn store_down(observation: &Observation, node: &NodeName) -> Finding {
    let port = observation.value(node, "status_port");
    let answers = port.text() == Some("answers");
    let state = match observation.value(node, "store_state") {
        Value::Text(state) => state,
        // Without a leader PD says nothing of any store.
        _ if answers && observation.value(&CLUSTER.into(), "pd_leader").text() == Some("none") => {
            return Finding::Holds;
        }
        value => return Finding::Unknown(value.to_string()),
    };
    match state.as_str() {
        "Offline" | "Tombstone" => Finding::Holds,
        "Up" if answers => Finding::Holds,
        "Up" => Finding::Unknown(format!("PD still says Up, status port: {port}")),
        "Disconnected" | "Down" if answers => match is_cut_off(observation, node) {
            Ok(true) => Finding::Violated(format!("PD says {state}, although the store answers")),
            Ok(false) => Finding::Holds,
            Err(reason) => Finding::Unknown(reason),
        },
        "Disconnected" | "Down" => Finding::Violated(format!("PD says {state}, status port: {port}")),
        other => Finding::Unknown(format!("PD names a state that is not known here: {other}")),
    }
}

/// Whether a store answers although PD calls it gone, and PD's word rests on heartbeats: then none of them reach PD. Of one
/// that does not answer it is not known.
pub(super) fn is_cut_off(observation: &Observation, node: &NodeName) -> Result<bool, String> {
    let state = observation.value(node, "store_state");
    if let Some(reason) = state.unknown_reason() {
        return Err(reason.to_owned());
    }
    if observation.value(node, "status_port").text() != Some("answers") {
        return Err("the store itself does not answer".to_owned());
    }
    if !matches!(state.text(), Some("Disconnected" | "Down")) {
        return Ok(false);
    }
    let age = observation.value(node, "heartbeat_age").number();
    match observation.value(node, "heard").text() {
        Some("not_by_this_leader") if age.is_some_and(|age| age <= HEARTBEAT_KEPT) => Ok(false),
        Some("yes" | "not_by_this_leader") if age.is_some_and(|age| age > HEARTBEAT) => Ok(true),
        // PD's own clock has jumped, or the store has just started.
        _ => Err(format!("PD says {state}, but the store answers")),
    }
}

/// Whether both PD and the observer hear from a store.
fn is_heard(observation: &Observation, node: &NodeName) -> bool {
    observation.value(node, "store_state").text() == Some("Up")
        && observation.value(node, "status_port").text() == Some("answers")
}

/// A store that is gone is missed by the others, too; but it does not miss them while it is heard.
pub(super) fn store_link_down(observation: &Observation, node: &NodeName) -> Finding {
    let misses = |store: &NodeName, other: &NodeName| {
        let names = observation.value(store, "cannot_reach");
        names.text().is_some_and(|names| names.split(", ").any(|name| name == other.as_str()))
    };
    match observation.value(node, "cannot_reach") {
        Value::Unknown { unknown } => return Finding::Unknown(unknown),
        Value::Text(names) if names == "none" => return Finding::Holds,
        _ if !is_heard(observation, node) => return Finding::Unknown("the store itself is not heard".to_owned()),
        _ => {}
    }
    let mutual = |other: &&NodeName| is_heard(observation, other) && misses(node, other) && misses(other, node);
    match stores(observation).find(mutual) {
        Some(other) => Finding::Violated(format!("it and {other} cannot reach each other, and PD hears from both")),
        None => Finding::Holds,
    }
}

/// Whether a store is gone: PD believes it to be, and it does not answer.
fn is_gone(observation: &Observation, node: &NodeName) -> bool {
    let down = matches!(observation.value(node, "store_state").text(), Some("Disconnected" | "Down"));
    down && observation.value(node, "status_port").text().is_some_and(|port| port != "answers")
}

/// What PD says of a store is from its last heartbeat: it counts only as long as these come.
fn reported(observation: &Observation, node: &NodeName, name: &str) -> Result<f64, Finding> {
    match observation.value(node, "store_state") {
        Value::Text(state) if state == "Up" || state == "Offline" => known(observation, node, name),
        Value::Text(state) if state == "Tombstone" => Err(Finding::Holds),
        value => Err(Finding::Unknown(format!("PD has no new figures of the store: it is {value}"))),
    }
}

fn known(observation: &Observation, node: &NodeName, name: &str) -> Result<f64, Finding> {
    let value = observation.value(node, name);
    value.number().ok_or_else(|| Finding::Unknown(value.to_string()))
}

/// Holds while a number is below a bound.
fn below(value: Result<f64, Finding>, bound: f64, what: &str) -> Finding {
    match value {
        Ok(value) if value < bound => Finding::Holds,
        Ok(value) => Finding::Violated(format!("{what} is {}", Value::from(value))),
        Err(finding) => finding,
    }
}

pub(super) fn store_slow(observation: &Observation, node: &NodeName) -> Finding {
    below(reported(observation, node, "slow_score"), SLOW_SCORE, "the slow score")
}

pub(super) fn high_latency(observation: &Observation, node: &NodeName) -> Finding {
    below(known(observation, node, "p99_latency"), LATENCY, "the p99 of the requests in seconds")
}

pub(super) fn raft_log_lag(observation: &Observation, node: &NodeName) -> Finding {
    below(known(observation, node, "raft_log_lag"), LOG_LAG, "the p99 of the entries that followers lack")
}

pub(super) fn hot_region(observation: &Observation, node: &NodeName) -> Finding {
    let regions = stores(observation).filter_map(|store| observation.value(store, "regions").number());
    if regions.fold(0.0, f64::max) < COMPARABLE_REGIONS {
        return Finding::Unknown("there are too few regions to compare one with".to_owned());
    }
    below(known(observation, node, "hot_region_share"), HOT_SHARE, "the share of the hottest region that it leads")
}

pub(super) fn restart_loop(observation: &Observation, node: &NodeName) -> Finding {
    below(known(observation, node, "restarts"), RESTARTS, "the number of restarts within 15 minutes")
}

pub(super) fn client_errors(observation: &Observation, node: &NodeName) -> Finding {
    below(known(observation, node, "client_error_share"), CLIENT_ERRORS, "the share of operations that fail")
}

pub(super) fn low_disk_space(observation: &Observation, node: &NodeName) -> Finding {
    let share = match reported(observation, node, "available_share") {
        Ok(share) => share,
        Err(finding) => return finding,
    };
    let few_regions = observation.value(node, "regions").number().is_some_and(|regions| regions < FEW_REGIONS);
    let available = observation.value(node, "available").text().and_then(|text| bytes(text).ok());
    if share >= SPACE_SHARE || few_regions && available.is_some_and(|available| available > SPACE_BYTES) {
        return Finding::Holds;
    }
    Finding::Violated(format!("{} of the disk is available", Value::from(share)))
}

pub(super) fn clock_skew(observation: &Observation, node: &NodeName) -> Finding {
    let jumps = below(known(observation, node, "clock_jumps"), 1.0, "the number of jumps within 10 minutes");
    let error = below(known(observation, node, "clock_error"), CLOCK_ERROR, "how many seconds the clock is off");
    match (error, jumps) {
        (Finding::Violated(because), _) | (_, Finding::Violated(because)) => Finding::Violated(because),
        (Finding::Holds, _) | (_, Finding::Holds) => Finding::Holds,
        (unknown, _) => unknown,
    }
}

/// The stores that PD knows or that there should be.
fn stores(observation: &Observation) -> impl Iterator<Item = &NodeName> {
    observation.readings.iter().filter(|reading| reading.name == "store_state").map(|reading| &reading.node)
}

/// How old a dead store's last heartbeat must be for its regions to have a new leader, and PD to know. A leader of PD that
/// has come since hears of those that were elected before only with the regions' next heartbeats.
fn elected(observation: &Observation, store: &NodeName) -> f64 {
    if observation.value(store, "heard").text() == Some("yes") { ELECTED } else { HEARTBEAT_KEPT + REGION_HEARTBEAT }
}

/// Without a leader a region does not report, so that PD keeps the leader it had: dead stores keep their leaders. Where no
/// more than one store is left of three or more, no majority is anywhere, and nothing has to be waited for.
pub(super) fn region_unavailable(observation: &Observation, _: &NodeName) -> Finding {
    let number = |store: &NodeName, name: &str| observation.value(store, name).number();
    let state = |store: &NodeName| observation.value(store, "store_state");
    let stores: Vec<&NodeName> = stores(observation).filter(|store| state(store).text() != Some("Tombstone")).collect();
    let gone: Vec<&NodeName> = stores.iter().copied().filter(|store| is_gone(observation, store)).collect();
    if gone.len() >= 2 && stores.len() - gone.len() < 2 {
        return Finding::Violated(format!("{} of {} stores are gone", gone.len(), stores.len()));
    }
    let left_behind = |store: &&&NodeName| {
        let old = number(store, "heartbeat_age").is_some_and(|age| age > elected(observation, store));
        old && number(store, "leaders").is_some_and(|leaders| leaders > 0.0)
    };
    if let Some(store) = gone.iter().find(left_behind) {
        return Finding::Violated(format!("regions that {store} led have no new leader"));
    }
    if let Some(unknown) = stores.iter().map(|store| state(store)).find(|state| state.unknown_reason().is_some()) {
        return Finding::Unknown(unknown.to_string());
    }
    let silent = |store: &&&NodeName| {
        let down = matches!(state(store).text(), Some("Disconnected" | "Down"));
        down && !gone.contains(store) && number(store, "leaders").is_some_and(|leaders| leaders > 0.0)
    };
    if let Some(store) = stores.iter().find(silent) {
        return Finding::Unknown(format!("PD does not hear whether {store} still leads its regions"));
    }
    let leaders: f64 = stores.iter().filter_map(|store| number(store, "leaders")).sum();
    let regions = stores.iter().filter_map(|store| number(store, "regions")).fold(0.0, f64::max);
    if leaders < regions {
        return Finding::Unknown(format!("PD knows {leaders} leaders, and a store has replicas of {regions} regions"));
    }
    Finding::Holds
}

pub(super) fn replica_missing(observation: &Observation, node: &NodeName) -> Finding {
    let counts =
        ["miss_peer_regions", "down_peer_regions"].map(|name| below(known(observation, node, name), 1.0, name));
    if let Some(violated) = counts.iter().find(|finding| matches!(finding, Finding::Violated(_))) {
        return violated.clone();
    }
    // A store that was removed by force takes its replicas along, whatever PD still counts
    // (fixtures/recordings/remedy-unsafe-recovery.jsonl).
    let in_cluster = stores(observation)
        .map(|store| observation.value(store, "store_state"))
        .filter(|state| state.text().is_some_and(|state| state != "Tombstone"));
    let (stores, replicas) = (in_cluster.count(), observation.value(node, "max_replicas").number());
    #[expect(clippy::cast_precision_loss, reason = "a count of stores is far below 2^52")]
    if let Some(replicas) = replicas.filter(|replicas| stores > 0 && *replicas > stores as f64) {
        return Finding::Violated(format!("there are {stores} stores for {replicas} replicas"));
    }
    counts.into_iter().find(|finding| *finding != Finding::Holds).unwrap_or(Finding::Holds)
}

pub(super) fn leader_imbalance(observation: &Observation, node: &NodeName) -> Finding {
    let up = |store: &&NodeName| observation.value(store, "store_state").text() == Some("Up");
    let leaders: Vec<f64> =
        stores(observation).filter(up).filter_map(|store| observation.value(store, "leaders").number()).collect();
    let (Some(most), Some(fewest)) =
        (leaders.iter().copied().reduce(f64::max), leaders.iter().copied().reduce(f64::min))
    else {
        return Finding::Unknown("PD says of no store that it is up".to_owned());
    };
    #[expect(clippy::cast_precision_loss, reason = "a count of stores is far below 2^52")]
    let average = leaders.iter().sum::<f64>() / leaders.len() as f64;
    let on_purpose = observation.value(node, "leaders_moved_on_purpose").flag() == Some(true);
    if on_purpose || most - fewest <= LEADER_DIFFERENCE.max(LEADER_SHARE * average) {
        return Finding::Holds;
    }
    Finding::Violated(format!("one store has {most} leaders, another {fewest}"))
}

/// A cluster that is small or young has some empty regions; so many come from splits that were never filled.
const MANY_EMPTY: f64 = 100.0;

pub(super) fn empty_regions(observation: &Observation, node: &NodeName) -> Finding {
    let numbers = (known(observation, node, "empty_regions"), known(observation, node, "merge_limit"));
    match numbers {
        (Ok(empty), _) if empty <= MANY_EMPTY => Finding::Holds,
        (_, Ok(limit)) if limit > 0.0 => Finding::Holds,
        (Ok(empty), Ok(_)) => {
            Finding::Violated(format!("{empty} regions are empty, and PD merges none: merge-schedule-limit is 0"))
        }
        (Err(finding), _) | (_, Err(finding)) => finding,
    }
}

pub(super) fn scheduling_stuck(observation: &Observation, node: &NodeName) -> Finding {
    let scheduling = match observation.value(node, "scheduling") {
        Value::Text(scheduling) => scheduling,
        value => return Finding::Unknown(value.to_string()),
    };
    if scheduling != "on" {
        return Finding::Violated(format!("switched off: {}", observation.value(node, "switched_off")));
    }
    // A replica that is to be made where there is a store for it has an operator.
    let number = |name: &str| observation.value(node, name).number();
    let (Some(missing), Some(operators), Some(replicas)) =
        (number("miss_peer_regions"), number("operators"), number("max_replicas"))
    else {
        return Finding::Unknown("PD does not say what it does".to_owned());
    };
    let up = stores(observation).filter(|store| observation.value(store, "store_state").text() == Some("Up")).count();
    #[expect(clippy::cast_precision_loss, reason = "a count of stores is far below 2^52")]
    let possible = up as f64 >= replicas;
    if missing > 0.0 && operators < 1.0 && possible {
        return Finding::Violated(format!("{missing} regions lack a replica, and PD does nothing about it"));
    }
    Finding::Holds
}
