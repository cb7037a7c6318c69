//! Unsafe recovery: PD gives up the stores that it is told to, and has the regions that lost their quorum led by what is
//! left of them (`pd:server/cluster/unsafe_recovery_controller.go`; fixtures/recordings/remedy-unsafe-recovery.show.json).

mod actions;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;

use super::lifecycle;
use super::lines;
use super::model::Model;
use super::region::Role;
use super::schedule::controller;
use super::store::DISCONNECTED_AFTER;
use super::{instant, region::Region};

/// How long PD tries unless it is told otherwise.
const TIMEOUT: Duration = Duration::from_mins(10);
/// From a store's receiving the plan to a region's having its leader, in seconds: an election time-out
/// (fixtures/recordings/remedy-unsafe-recovery.log.gz: 9.3 to 9.9).
const FORCE_LEADER: Range<f64> = 9.3..9.95;
/// From the demotion's beginning to its joint state and from there to its end (the same: 15 to 20 ms each).
const DEMOTION: Duration = Duration::from_millis(18);

/// Why PD does not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecoveryError {
    #[error("[PD:unsaferecovery:ErrUnsafeRecoveryIsRunning]unsafe recovery is running")]
    Running,
    #[error("[PD:unsaferecovery:ErrUnsafeRecoveryInvalidInput]invalid input no store specified")]
    NoStore,
    #[error("[PD:unsaferecovery:ErrUnsafeRecoveryInvalidInput]invalid input store {0} doesn't exist")]
    Unknown(u64),
    #[error("[PD:unsaferecovery:ErrUnsafeRecoveryInvalidInput]invalid input store {0} is up and connected")]
    Connected(u64),
}

/// One entry of the history that PD shows.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry {
    info: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    time: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    actions: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<String>,
}

impl Entry {
    fn new(info: &str, now: Duration) -> Self {
        let time = instant(now).strftime("%Y-%m-%d %H:%M:%S.%3f").to_string();
        Self { info: info.to_owned(), time, actions: BTreeMap::new(), details: Vec::new() }
    }
}

/// What is done to the regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Idle,
    /// Each store that is left reports its peers with its next heartbeat.
    Collect,
    /// What is left of the regions without a quorum takes the lead.
    ForceLeader,
    /// The voters on the failed stores become learners.
    Demote,
    Finished,
    Failed,
}

/// A recovery, as PD's leader knows it.
#[derive(Debug, Clone, Default)]
pub(super) struct Recovery {
    stage: Stage,
    /// When the stage began.
    since: Duration,
    /// When PD gives up.
    deadline: Duration,
    /// By the index of a store that is left: when it got its plan of this stage, if it has.
    told: BTreeMap<usize, Option<Duration>>,
    /// The regions without a quorum: their index, the store that goes on with them, and when that has done its part.
    regions: Vec<(usize, usize, Option<Duration>)>,
    history: Vec<Entry>,
}

impl Recovery {
    /// Whether PD schedules nothing because of it.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Collect | Stage::ForceLeader | Stage::Demote)
    }

    /// What PD shows of it.
    pub(super) fn history(&self) -> Vec<Entry> {
        if self.history.is_empty() {
            let info = "No on-going recovery.".to_owned();
            return vec![Entry { info, time: String::new(), actions: BTreeMap::new(), details: Vec::new() }];
        }
        self.history.clone()
    }
}

/// Gives up these stores; those that PD does not hear if they are not named.
pub(super) fn begin(
    model: &mut Model,
    named: Option<&[u64]>,
    timeout: Option<Duration>,
    now: Duration,
) -> Result<(), RecoveryError> {
    if model.recovery.is_running() {
        return Err(RecoveryError::Running);
    }
    let mut failed = BTreeSet::new();
    for id in named.unwrap_or_default() {
        let index = lifecycle::find(model, *id).map_err(|_| RecoveryError::Unknown(*id))?;
        let view = &model.stores[index].view;
        if view.node_state.is_up() && view.silence(now).is_some_and(|silence| silence <= DISCONNECTED_AFTER) {
            return Err(RecoveryError::Connected(*id));
        }
        failed.insert(index);
    }
    if failed.is_empty() && named.is_some() {
        return Err(RecoveryError::NoStore);
    }
    for &index in &failed {
        if !model.stores[index].view.node_state.is_removed() {
            lifecycle::bury(model, index, now);
        }
    }
    let left = |index: &usize| {
        let view = &model.stores[*index].view;
        let heard = named.is_some() || view.is_connected(now);
        view.registered && !view.node_state.is_removed() && heard && !failed.contains(index)
    };
    let told = (0..model.stores.len()).filter(left).map(|store| (store, None)).collect();
    let mut entry = Entry::new("Unsafe recovery enters collect report stage", now);
    entry.details = vec![match named {
        Some(ids) => {
            let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
            format!("Failed stores {}", ids.join(", "))
        }
        None => "auto detect mode with no specified Failed stores".to_owned(),
    }];
    model.recovery = Recovery {
        stage: Stage::Collect,
        since: now,
        deadline: now + timeout.unwrap_or(TIMEOUT),
        told,
        ..Recovery::default()
    };
    enter(model, entry, now);
    Ok(())
}

/// Takes note of a stage.
fn enter(model: &mut Model, entry: Entry, now: Duration) {
    if let (Some(leader), Ok(text)) = (model.leadership.leader(), serde_json::to_string(&entry)) {
        lines::recovery_stage(&mut model.log, now, &model.members[leader].name, &text);
    }
    model.recovery.history.push(entry);
}

/// Moves the recovery on.
pub(super) fn step(model: &mut Model, now: Duration) {
    if !model.recovery.is_running() {
        return;
    }
    if now >= model.recovery.deadline {
        model.recovery.stage = Stage::Failed;
        let mut entry = Entry::new("Unsafe recovery Failed: Exceeds timeout", now);
        entry.details = vec!["Exceeds timeout, please check whether all stores are alive".to_owned()];
        return enter(model, entry, now);
    }
    tell_stores(model);
    match model.recovery.stage {
        Stage::Collect => {
            if let Some(last) = all_told(&model.recovery) {
                plan(model, last);
            }
        }
        Stage::ForceLeader => actions::force_leaders(model, now),
        Stage::Demote => actions::demote(model, now),
        Stage::Idle | Stage::Finished | Stage::Failed => {}
    }
}

/// Each store that is left gets its plan in the answer to its next heartbeat.
fn tell_stores(model: &mut Model) {
    let Recovery { since, told, .. } = &mut model.recovery;
    for (store, told) in told.iter_mut().filter(|(_, told)| told.is_none()) {
        *told = model.stores[*store].view.last_heartbeat.filter(|heartbeat| *heartbeat > *since);
        if told.is_some() {
            lines::recovery_plan(&mut model.log, told.unwrap_or_default(), &model.stores[*store].name);
        }
    }
}

/// When the last of the stores got its plan, if all have.
fn all_told(recovery: &Recovery) -> Option<Duration> {
    recovery.told.values().try_fold(recovery.since, |last, told| told.map(|at| last.max(at)))
}

/// Finds who goes on with the regions that have lost their quorum.
fn plan(model: &mut Model, now: Duration) {
    let mut lost: Vec<(usize, usize)> = Vec::new();
    for (index, region) in model.regions.iter().enumerate() {
        // One that has become part of another has no peers, hence no heir.
        if let Some(store) = heir(model, region) {
            lost.push((index, store));
        }
    }
    if lost.is_empty() {
        return finish(model, now, false);
    }
    lost.sort_by(|left, right| model.regions[left.0].start_key.cmp(&model.regions[right.0].start_key));
    let mut entry = Entry::new("Unsafe recovery enters force leader stage", now);
    for &(index, store) in &lost {
        let key = format!("store {}", model.stores[store].id);
        let ids = entry.actions.entry(key).or_insert_with(|| vec!["force leader on regions: ".to_owned()]);
        let comma = if ids[0].ends_with(": ") { "" } else { ", " };
        ids[0] += comma;
        ids[0] += &model.regions[index].id.to_string();
    }
    model.recovery.regions = lost.into_iter().map(|(region, store)| (region, store, None)).collect();
    next_stage(model, Stage::ForceLeader, entry, now);
}

/// Begins a stage: the store whose report ended the last one is told at once, the others with their next heartbeats.
fn next_stage(model: &mut Model, stage: Stage, entry: Entry, now: Duration) {
    let recovery = &mut model.recovery;
    (recovery.stage, recovery.since) = (stage, now);
    for told in recovery.told.values_mut() {
        *told = if *told == Some(now) || recovery.regions.iter().any(|(_, _, done)| *done == Some(now)) {
            Some(now)
        } else {
            None
        };
    }
    for (_, _, done) in &mut recovery.regions {
        *done = None;
    }
    enter(model, entry, now);
}

/// The store that goes on with a region that has lost its quorum: of those that are left the one that has most of it.
fn heir(model: &Model, region: &Region) -> Option<usize> {
    let alive = |store: usize| model.recovery.told.contains_key(&store);
    let voters = || region.peers.iter().filter(|peer| peer.votes());
    let left: Vec<_> = voters().filter(|peer| alive(peer.store)).collect();
    if left.len() * 2 > voters().count() {
        return None;
    }
    let newest = left.into_iter().max_by_key(|peer| (peer.behind.is_none(), peer.behind, peer.store))?;
    Some(newest.store)
}

/// The recovery is over. PD forgets what it knew of the regions, and learns it anew from their heartbeats; that of the
/// last region comes just after (recorded: 1 region of 24 until the next round of heartbeats).
fn finish(model: &mut Model, now: Duration, acted: bool) {
    model.recovery.stage = Stage::Finished;
    let mut entry = Entry::new("Unsafe recovery Finished", now);
    entry.details = vec!["no newly created empty regions".to_owned()];
    enter(model, entry, now);
    if acted {
        let last = model.recovery.regions.last().map(|(region, _, _)| *region);
        for (_, region) in model.regions.iter_mut().enumerate().filter(|(index, _)| Some(*index) != last) {
            region.known_leader = None;
        }
    }
}
