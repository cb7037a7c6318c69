//! PD's schedulers: `/schedulers…`, `/scheduler-config/…`, `/checker/…`.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::instant;
use super::super::model::Model;
use super::super::schedule;
use super::super::schedulers::{CheckerKind, Scheduler, SchedulerKind};

/// A scheduler that is paused, from when and until when in Unix seconds.
#[derive(Serialize)]
struct PausedScheduler {
    name: &'static str,
    paused_at: i64,
    resume_at: i64,
}

/// The schedulers of a status: `paused`, `disabled`, or all that exist; with the times of the pauses if they are wanted.
pub(in super::super) fn list(model: &Model, status: &str, timestamps: bool) -> Value {
    let existing = || model.schedulers.existing();
    match status {
        "paused" if timestamps => {
            let paused = existing().filter_map(|scheduler| {
                let pause = scheduler.pause(model.now)?;
                let (paused_at, resume_at) = (instant(pause.at).as_second(), instant(pause.until).as_second());
                Some(json!(PausedScheduler { name: scheduler.kind.name(), paused_at, resume_at }))
            });
            paused.collect()
        }
        "paused" => names(existing().filter(|scheduler| scheduler.pause(model.now).is_some())),
        // PD looks for the removed ones among those that exist.
        "disabled" => names(existing().filter(|scheduler| scheduler.disabled)),
        _ => names(existing()),
    }
}

fn names<'a>(schedulers: impl Iterator<Item = &'a Scheduler>) -> Value {
    schedulers.map(|scheduler| Value::from(scheduler.kind.name())).collect()
}

/// What a scheduler does.
#[derive(Serialize)]
pub(in super::super) struct Diagnosis {
    name: &'static str,
    status: &'static str,
    summary: &'static str,
    /// Unix seconds.
    timestamp: i64,
}

/// Of the schedulers, PD can diagnose these (`pd:pkg/schedule/schedulers/diagnostic_recorder.go`).
pub(in super::super) fn is_diagnosable(kind: SchedulerKind) -> bool {
    matches!(kind, SchedulerKind::BalanceRegion | SchedulerKind::BalanceLeader)
}

pub(in super::super) fn diagnosis(model: &Model, kind: SchedulerKind) -> Diagnosis {
    let config = &model.config.schedule;
    let limit = match kind {
        SchedulerKind::BalanceLeader => config.leader_schedule_limit,
        _ => config.region_schedule_limit,
    };
    let busy = kind == SchedulerKind::BalanceLeader && !schedule::balanced(model);
    let status = match model.schedulers.get(kind) {
        None => "disabled",
        _ if limit == 0 => "pending",
        _ if config.halt_scheduling => "halted",
        Some(scheduler) if scheduler.pause(model.now).is_some() => "paused",
        _ if busy => "scheduling",
        _ => "normal",
    };
    Diagnosis { name: kind.name(), status, summary: "", timestamp: instant(model.now).as_second() }
}

/// A range of all keys.
fn all_keys() -> Value {
    json!([{ "start-key": "", "end-key": "" }])
}

/// The configuration of a scheduler that shows one (`pd:pkg/schedule/schedulers`).
pub(in super::super) fn config(model: &Model, kind: SchedulerKind) -> Option<Value> {
    Some(match kind {
        SchedulerKind::BalanceLeader => json!({ "ranges": all_keys(), "batch": 4 }),
        SchedulerKind::EvictSlowStore => json!({
            "disabled": false,
            "recovery-duration": 1800,
            "evict-stores": model.schedule.slow_store.evicted().into_iter().collect::<Vec<u64>>(),
            "enable-network-slow-store": false,
            "paused-network-slow-stores": [],
            "evicted-network-slow-stores": [],
            "batch": 3,
        }),
        SchedulerKind::EvictLeader => {
            let mut stores: Vec<String> = model.schedulers.evicted().iter().map(u64::to_string).collect();
            stores.sort();
            let ranges: Map<String, Value> = stores.into_iter().map(|store| (store, all_keys())).collect();
            json!({ "store-id-ranges": ranges, "batch": 3 })
        }
        SchedulerKind::BalanceRegion | SchedulerKind::BalanceHotRegion | SchedulerKind::EvictStoppingStore => {
            return None;
        }
    })
}

/// Whether a checker is paused.
#[derive(Serialize)]
pub(in super::super) struct CheckerStatus {
    paused: bool,
}

pub(in super::super) fn checker(model: &Model, kind: CheckerKind) -> CheckerStatus {
    CheckerStatus { paused: model.schedulers.is_checker_paused(kind, model.now) }
}
