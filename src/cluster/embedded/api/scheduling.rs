//! `/config…`, `/schedulers…`, `/scheduler-config/…`, `/checker/…` (`pd:server/api`).

use serde_json::Value;

use super::super::bodies;
use super::super::model::Model;
use super::super::schedule;
use super::super::schedulers::{CheckerKind, SchedulerError, SchedulerKind};
use super::pd::{Call, not_found};
use super::reply::{Reply, json, refusal};
use super::stores::parsed;
use crate::http::Response;

const EVICT_LEADER: &str = "evict-leader-scheduler-";

pub(super) fn config(model: &Model, call: &Call) -> Reply {
    json(&bodies::config::all(model, call.member).map_err(|error| refusal(500, &error.to_string()))?)
}

pub(super) fn schedule_config(model: &Model, _: &Call) -> Reply {
    json(&bodies::config::schedule(model).map_err(|error| refusal(500, &error.to_string()))?)
}

/// Sets items by their whole names or by the last parts of them. Those before the first that is refused stay set.
pub(super) fn set_config(model: &mut Model, call: &Call) -> Reply {
    if call.parameters.has("ttlSecond") {
        return Err(refusal(400, "ttlSecond: the model knows no settings for a time"));
    }
    for (item, value) in call.object()? {
        match (item.as_str(), value) {
            ("log.level", Value::String(level)) => set_level(model, call.member, level)?,
            _ => model.config.set(item, value).map_err(|reason| refusal(400, &reason))?,
        }
    }
    json(&"The config is updated.")
}

/// `POST /config/schedule` and `/config/replicate` take the items of one part by their own names.
pub(super) fn set_part(model: &mut Model, call: &Call) -> Reply {
    let part = if call.part(1) == "schedule" { "schedule" } else { "replication" };
    for (item, value) in call.object()? {
        model.config.set(&format!("{part}.{item}"), value).map_err(|reason| refusal(400, &reason))?;
    }
    json(&"The config is updated.")
}

/// The level of the log of the member that is asked, as a JSON string.
pub(super) fn set_log_level(model: &mut Model, call: &Call) -> Reply {
    let level = call.body.and_then(Value::as_str).ok_or_else(|| refusal(400, "unexpected end of JSON input"))?;
    set_level(model, call.member, level)?;
    json(&"The log level is updated.")
}

fn set_level(model: &mut Model, member: usize, level: &str) -> Result<(), Response> {
    const LEVELS: [&str; 5] = ["debug", "info", "warn", "error", "fatal"];
    let known = LEVELS.into_iter().find(|known| *known == level.to_lowercase());
    model.members[member].log_level = known.ok_or_else(|| refusal(400, &format!("log level {level} is illegal")))?;
    Ok(())
}

pub(super) fn schedulers(model: &Model, call: &Call) -> Reply {
    json(&bodies::schedulers::list(model, call.parameters.get("status"), call.parameters.has("timestamp")))
}

pub(super) fn diagnosis(model: &Model, call: &Call) -> Reply {
    let name = call.part(2);
    let kind = SchedulerKind::of_name(name).filter(|kind| bodies::schedulers::is_diagnosable(*kind));
    let undiagnosable = || format!("[PD:scheduler:ErrSchedulerUndiagnosable]scheduler {name} cannot be diagnosed");
    json(&bodies::schedulers::diagnosis(model, kind.ok_or_else(|| refusal(404, &undiagnosable()))?))
}

pub(super) fn scheduler_config(model: &Model, call: &Call) -> Reply {
    let kind = SchedulerKind::of_name(call.part(1)).filter(|kind| model.schedulers.get(*kind).is_some());
    json(&kind.and_then(|kind| bodies::schedulers::config(model, kind)).ok_or_else(not_found)?)
}

/// The id of a store that the body names and that PD knows.
fn store_id(model: &Model, call: &Call) -> Result<u64, Response> {
    let id = call.object()?.get("store_id").and_then(Value::as_u64).ok_or_else(|| refusal(400, "missing store id"))?;
    let known = model.stores.iter().any(|store| store.id == id && store.view.registered);
    let unknown = || refusal(500, &format!("[PD:core:ErrStoreNotFound]store {id} not found"));
    known.then_some(id).ok_or_else(unknown)
}

pub(super) fn add_scheduler(model: &mut Model, call: &Call) -> Reply {
    let name = call.object()?.get("name").and_then(Value::as_str);
    let name = name.ok_or_else(|| refusal(400, "missing scheduler name"))?;
    match SchedulerKind::of_name(name).ok_or_else(|| refusal(400, "unknown scheduler"))? {
        SchedulerKind::EvictLeader => {
            let store = store_id(model, call)?;
            model.schedulers.evict_leaders_of(store);
            schedule::evict_leader_added(model, store);
        }
        kind => {
            model.schedulers.add(kind).map_err(|error| refusal(500, &error.to_string()))?;
            schedule::look_at_once(model, kind);
        }
    }
    json(&"The scheduler is created.")
}

/// Gives evict-leader-scheduler another store.
pub(super) fn set_evict_leader(model: &mut Model, call: &Call) -> Reply {
    model.schedulers.get(SchedulerKind::EvictLeader).ok_or_else(not_found)?;
    let store = store_id(model, call)?;
    model.schedulers.evict_leaders_of(store);
    schedule::evict_leader_added(model, store);
    json(&"The scheduler has been applied to the store.")
}

/// Takes a store from evict-leader-scheduler.
pub(super) fn cease_evicting(model: &mut Model, call: &Call) -> Reply {
    model.schedulers.get(SchedulerKind::EvictLeader).ok_or_else(not_found)?;
    cease_evicting_store(model, call.part(3))
}

fn cease_evicting_store(model: &mut Model, id: &str) -> Reply {
    let unknown = "[PD:scheduler:ErrScheduleConfigNotExist]the config does not exist";
    let store = parsed(id)?;
    model.schedulers.cease_evicting(store).map_err(|_| refusal(404, unknown))?;
    schedule::evict_leader_removed(model, store);
    match model.schedulers.get(SchedulerKind::EvictLeader) {
        Some(_) => json(&Value::Null),
        None => json(&"The last store has been deleted"),
    }
}

/// `evict-leader-scheduler-4` is evict-leader-scheduler's part for store 4.
pub(super) fn remove_scheduler(model: &mut Model, call: &Call) -> Reply {
    let name = call.part(1);
    if let Some(store) = name.strip_prefix(EVICT_LEADER) {
        return cease_evicting_store(model, store).and_then(|_| json(&Value::Null));
    }
    let removed = SchedulerKind::of_name(name).ok_or(SchedulerError::NotFound);
    let kind = removed.map_err(|error| refusal(404, &error.to_string()))?;
    let evicted = model.schedulers.evicted().clone();
    model.schedulers.remove(kind).map_err(|error| refusal(404, &error.to_string()))?;
    match kind {
        SchedulerKind::EvictLeader => {
            for store in evicted {
                schedule::evict_leader_removed(model, store);
            }
        }
        SchedulerKind::EvictSlowStore => schedule::release_slow_store(model),
        _ => {}
    }
    json(&"The scheduler is removed.")
}

fn delay(call: &Call) -> Result<i64, Response> {
    call.object()?.get("delay").and_then(Value::as_i64).ok_or_else(|| refusal(400, "missing pause time"))
}

pub(super) fn pause_scheduler(model: &mut Model, call: &Call) -> Reply {
    let delay = delay(call)?;
    let kind = match call.part(1) {
        "all" => Ok(None),
        name => SchedulerKind::of_name(name).map(Some).ok_or(SchedulerError::NotFound),
    };
    let now = model.now;
    let paused = kind.and_then(|kind| model.schedulers.pause(kind, now, delay));
    paused.map_err(|error| refusal(500, &error.to_string()))?;
    json(&"Pause or resume the scheduler successfully.")
}

fn checker_kind(call: &Call) -> Result<CheckerKind, Response> {
    let unknown = || refusal(500, "[PD:checker:ErrCheckerNotFound]checker not found");
    CheckerKind::of_name(call.part(1)).ok_or_else(unknown)
}

pub(super) fn checker(model: &Model, call: &Call) -> Reply {
    json(&bodies::schedulers::checker(model, checker_kind(call)?))
}

pub(super) fn pause_checker(model: &mut Model, call: &Call) -> Reply {
    let (delay, kind) = (delay(call)?, checker_kind(call)?);
    model.schedulers.pause_checker(kind, model.now, delay);
    json(&if delay == 0 { "Resume the checker successfully." } else { "Pause the checker successfully." })
}
