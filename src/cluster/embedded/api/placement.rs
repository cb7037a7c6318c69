//! The part of PD's API that moves things: operators, the removal of stores, splits, scattering and unsafe recovery
//! (`pd:server/api/operator.go`, `store.go`, `region.go`, `unsafe_operation.go`).

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::super::go_format::{self, float};
use super::super::lifecycle::{self, StateError};
use super::super::model::Model;
use super::super::schedule::controller::{self, Order};
use super::super::schedule::operator::{Kind, Operator, Status, Step};
use super::super::schedule::{self, at};
use super::super::unsafe_recovery;
use super::super::{START, split};
use super::pd::Call;
use super::reply::{Reply, json, refusal};
use crate::http::Response;

const NO_OPERATOR: &str = "[PD:operator:ErrOperatorNotFound]operator not found";

/// An operator with `?object`.
#[derive(Serialize)]
struct OperatorBody<'a> {
    desc: &'a str,
    brief: &'a str,
    region_id: u64,
    region_epoch: Epoch,
    kind: u32,
    timeout: String,
    status: u8,
}

#[derive(Serialize)]
struct Epoch {
    conf_ver: u64,
    version: u64,
}

fn body(operator: &Operator) -> OperatorBody<'_> {
    let (version, conf_ver) = operator.epoch;
    OperatorBody {
        desc: operator.desc,
        brief: &operator.brief,
        region_id: operator.region_id,
        region_epoch: Epoch { conf_ver, version },
        kind: operator.kind.0,
        timeout: go_format::duration(operator.timeout()),
        status: operator.status as u8,
    }
}

/// `GET operators`. Nothing waits in this model: what PD wants is under way or not wanted.
pub(super) fn operators(model: &Model, call: &Call) -> Reply {
    let kinds: Vec<&str> = call.parameters.all("kind").collect();
    let of_kind = |operator: &&Operator| {
        kinds.is_empty() || kinds.iter().any(|kind| Kind::named(kind).is_some_and(|kind| operator.kind.has(kind)))
    };
    let found: Vec<&Operator> = model.schedule.operators.running().filter(of_kind).collect();
    if call.parameters.has("object") {
        return json(&found.into_iter().map(body).collect::<Vec<_>>());
    }
    json(&found.into_iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// `GET operators/records`.
pub(super) fn records(model: &Model, call: &Call) -> Reply {
    let from = match call.parameters.get("from") {
        "" => 0,
        from => from
            .parse::<i64>()
            .map_err(|_| refusal(400, &format!("strconv.ParseInt: parsing {from:?}: invalid syntax")))?,
    };
    let since = u64::try_from(from.saturating_sub(START.as_second())).unwrap_or_default();
    let records: Vec<String> =
        model.schedule.operators.records(Duration::from_secs(since)).map(Operator::record).collect();
    if records.is_empty() { Err(refusal(500, NO_OPERATOR)) } else { json(&records) }
}

/// `GET operators/{region}`: the one that runs, else the last that ran.
pub(super) fn operator(model: &Model, call: &Call) -> Reply {
    let region = region(model, call.number(1)?)?;
    let running = model.schedule.operators.of_region(region);
    let last = || model.schedule.operators.records(Duration::ZERO).filter(|operator| operator.region == region).last();
    let found = running.or_else(last).ok_or_else(|| refusal(500, NO_OPERATOR))?;
    let status = match found.status {
        Status::Started => "RUNNING",
        Status::Success => "SUCCESS",
        Status::Canceled => "CANCEL",
        Status::Timeout => "TIMEOUT",
    };
    json(&format!("status: {status}, operator: {found}"))
}

/// `DELETE operators/{region}`.
pub(super) fn cancel(model: &mut Model, call: &Call) -> Reply {
    let region = region(model, call.number(1)?)?;
    let now = model.now;
    if !controller::cancel(model, region, now) {
        return Err(refusal(500, NO_OPERATOR));
    }
    json(&"The pending operator is canceled.")
}

fn region(model: &Model, id: u64) -> Result<usize, Response> {
    let found = model.regions.iter().position(|region| region.id == id && region.known_leader.is_some());
    found.ok_or_else(|| refusal(500, NO_OPERATOR))
}

fn number(fields: &Map<String, Value>, name: &str, mistake: &str) -> Result<u64, Response> {
    fields.get(name).and_then(Value::as_u64).ok_or_else(|| refusal(400, mistake))
}

fn known_region(model: &Model, id: u64) -> Result<usize, Response> {
    let found = model.regions.iter().position(|region| region.id == id && region.known_leader.is_some());
    found.ok_or_else(|| refusal(500, &format!("[PD:core:ErrRegionNotFound]region {id} not found")))
}

/// `POST operators`.
pub(super) fn create(model: &mut Model, call: &Call) -> Reply {
    let fields = call.object()?;
    let now = model.now;
    let name = fields.get("name").and_then(Value::as_str).ok_or_else(|| refusal(400, "missing operator name"))?;
    let index = || -> Result<usize, Response> {
        known_region(model, number(fields, "region_id", "missing required parameter(s): region_id")?)
    };
    let store = |parameter: &str| -> Result<usize, Response> {
        let id = number(fields, parameter, "invalid store id to transfer")?;
        lifecycle::find(model, id).map_err(|error| refusal(500, &error.to_string()))
    };
    let peer_on = |index: usize, store: usize| -> Result<u64, Response> {
        let (region, id) = (&model.regions[index], model.stores[store].id);
        let peer = region.peer_on(store).map(|peer| region.peers[peer].id);
        peer.ok_or_else(|| refusal(500, &format!("region has no voter in store {id}")))
    };
    let order = match name {
        "transfer-leader" => {
            let (index, to) = (index()?, store("to_store_id")?);
            peer_on(index, to)?;
            let from = at(model, model.regions[index].known_leader_store().unwrap_or_default());
            let to = at(model, to);
            let brief = format!("transfer leader: store {} to {}", from.id, to.id);
            let steps = vec![Step::TransferLeader { from, to: vec![to] }];
            Order { desc: "admin-transfer-leader", brief, region: index, kind: Kind::ADMIN.and(Kind::LEADER), steps }
        }
        "add-peer" | "add-learner" => {
            let (index, to) = (index()?, store("store_id")?);
            if peer_on(index, to).is_ok() {
                let id = model.stores[to].id;
                return Err(refusal(500, &format!("cannot add peer, already have peer in store {id}")));
            }
            let (to, peer) = (at(model, to), model.ids.next());
            let mut steps = vec![Step::AddLearner { peer, to }];
            let learner = name == "add-learner";
            if !learner {
                steps.push(Step::PromoteLearner { peer, on: to });
            }
            let desc = if learner { "admin-add-learner" } else { "admin-add-peer" };
            let brief = format!("add {}: store [{}]", if learner { "learner" } else { "peer" }, to.id);
            Order { desc, brief, region: index, kind: Kind::ADMIN.and(Kind::REGION), steps }
        }
        "remove-peer" => {
            let (index, from) = (index()?, store("store_id")?);
            peer_on(index, from)?;
            let brief = format!("rm peer: store [{}]", model.stores[from].id);
            let steps = schedule::remove_voter(model, index, from, now)
                .ok_or_else(|| refusal(500, "cannot remove peer, no other peer can lead"))?;
            Order { desc: "admin-remove-peer", brief, region: index, kind: Kind::ADMIN.and(Kind::REGION), steps }
        }
        "transfer-peer" => {
            let (index, from, to) = (index()?, store("from_store_id")?, store("to_store_id")?);
            peer_on(index, from)?;
            if !schedule::order_move(model, "admin-move-peer", Kind::ADMIN, index, [from, to], now) {
                return Err(refusal(500, "[PD:schedule:ErrCreateOperator]unable to create operator"));
            }
            return json(&"The operator is created.");
        }
        "split-region" => {
            let index = index()?;
            let keys: Vec<String> =
                fields.get("keys").and_then(Value::as_array).into_iter().flatten().filter_map(hex_key).collect();
            let (policy, keys) = match fields.get("policy").and_then(Value::as_str) {
                Some("scan" | "approximate") if keys.is_empty() => ("SCAN", split::middle(model, index)),
                _ => ("USEKEY", keys),
            };
            if keys.is_empty() {
                return Err(refusal(400, "invalid split keys"));
            }
            let brief =
                format!("split: region {} use policy {policy} and keys [{}]", model.regions[index].id, keys.join(" "));
            let steps = vec![Step::Split { keys }];
            Order { desc: "admin-split-region", brief, region: index, kind: Kind::ADMIN.and(Kind::SPLIT), steps }
        }
        "scatter-region" => {
            let index = index()?;
            split::scatter(model, &[index], now);
            return json(&"The operator is created.");
        }
        _ => return Err(refusal(400, "unknown operator")),
    };
    if !controller::add(model, order, now) {
        return Err(refusal(500, "[PD:operator:ErrAddOperator]failed to add operator, maybe already have one"));
    }
    json(&"The operator is created.")
}

/// A key in hex, in upper case; none if it is not hex.
fn hex_key(value: &Value) -> Option<String> {
    let key = value.as_str()?.to_ascii_uppercase();
    (!key.is_empty() && key.len() % 2 == 0 && key.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(key)
}

fn state_refusal(error: StateError) -> Response {
    let status = match error {
        StateError::NotFound(_) => 404,
        StateError::Removed(_) => 410,
        StateError::NotEnough { .. } => 400,
        StateError::Destroyed(_) => 500,
    };
    refusal(status, &error.to_string())
}

/// `DELETE store/{id}`: only whether `force` is there counts, not what it says.
pub(super) fn remove_store(model: &mut Model, call: &Call) -> Reply {
    let now = model.now;
    lifecycle::remove(model, call.number(1)?, call.parameters.has("force"), now).map_err(state_refusal)?;
    json(&"The store is set as Offline.")
}

/// `POST store/{id}/state`.
pub(super) fn set_state(model: &mut Model, call: &Call) -> Reply {
    let (id, now) = (call.number(1)?, model.now);
    match call.parameters.get("state") {
        "Up" => lifecycle::take_back(model, id, now),
        "Offline" => lifecycle::remove(model, id, false, now),
        state => return Err(refusal(400, &format!("invalid state {state}"))),
    }
    .map_err(|error| {
        if matches!(error, StateError::NotFound(_)) { state_refusal(error) } else { refusal(400, &error.to_string()) }
    })?;
    json(&"The store's state is updated.")
}

/// `DELETE stores/remove-tombstone`.
pub(super) fn remove_tombstones(model: &mut Model, _: &Call) -> Reply {
    let kept: Vec<String> = lifecycle::forget_removed(model).iter().map(u64::to_string).collect();
    if !kept.is_empty() {
        return Err(refusal(500, &format!("failed stores: {}", kept.join(", "))));
    }
    json(&"Remove tombstone successfully.")
}

#[derive(Serialize)]
struct ProgressBody {
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    store_id: Option<u64>,
    #[serde(serialize_with = "float")]
    progress: f64,
    #[serde(serialize_with = "float")]
    current_speed: f64,
    #[serde(serialize_with = "float")]
    left_seconds: f64,
}

/// `GET stores/progress`: of one store, or the mean of all that do the same.
pub(super) fn progress(model: &Model, call: &Call) -> Reply {
    let all = lifecycle::progress(model, model.now);
    let (id, action) = (call.parameters.get("id"), call.parameters.get("action"));
    let missing =
        |what: String| refusal(404, &format!("[PD:progress:ErrProgressNotFound]no progress found for the {what}"));
    if !id.is_empty() {
        let progress = all.into_iter().find(|progress| progress.store.to_string() == id);
        let progress = progress.ok_or_else(|| missing(format!("given store ID: {id}")))?;
        return json(&ProgressBody {
            action: "removing",
            store_id: Some(progress.store),
            progress: progress.done,
            current_speed: progress.speed,
            left_seconds: progress.left,
        });
    }
    match action {
        "" => Err(refusal(400, "need query parameters")),
        "removing" if !all.is_empty() => {
            #[expect(clippy::cast_precision_loss, reason = "the number of stores is small")]
            let count = all.len() as f64;
            let mean = |of: fn(&lifecycle::Progress) -> f64| all.iter().map(of).sum::<f64>() / count;
            let left_seconds = all.iter().map(|progress| progress.left).fold(0.0, f64::max);
            json(&ProgressBody {
                action: "removing",
                store_id: None,
                progress: mean(|progress| progress.done),
                current_speed: mean(|progress| progress.speed),
                left_seconds,
            })
        }
        _ => Err(missing(format!("action: {action}"))),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct SplitBody {
    processed_percentage: u32,
    regions_id: Vec<u64>,
}

/// `POST regions/split`.
pub(super) fn split_regions(model: &mut Model, call: &Call) -> Reply {
    let Some(Value::Array(keys)) = call.object()?.get("split_keys") else {
        return Err(refusal(400, "split_keys should be provided."));
    };
    let wanted: Option<Vec<String>> = keys.iter().map(hex_key).collect();
    let wanted = wanted.filter(|keys| !keys.is_empty()).ok_or_else(|| refusal(400, "empty split keys."))?;
    let now = model.now;
    let regions_id = split::split_at(model, &wanted, now);
    let percentage = regions_id.len() * 100 / wanted.len();
    json(&SplitBody { processed_percentage: u32::try_from(percentage).unwrap_or(u32::MAX), regions_id })
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ScatterBody {
    processed_percentage: usize,
}

/// `POST regions/scatter`: the regions of these ids, or those between these keys in hex.
pub(super) fn scatter_regions(model: &mut Model, call: &Call) -> Reply {
    let fields = call.object()?;
    let regions: Vec<usize> = if let Some(ids) = fields.get("regions_id").and_then(Value::as_array) {
        let ids: Vec<u64> = ids.iter().filter_map(Value::as_u64).collect();
        (0..model.regions.len()).filter(|index| ids.contains(&model.regions[*index].id)).collect()
    } else {
        let key = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_ascii_uppercase);
        let (Some(start), Some(end)) = (key("start_key"), key("end_key")) else {
            return Err(refusal(400, "invalid region ids or key range"));
        };
        let inside = |index: &usize| {
            let region = &model.regions[*index];
            (end.is_empty() || region.start_key < end) && (region.end_key.is_empty() || region.end_key > start)
        };
        (0..model.regions.len()).filter(inside).collect()
    };
    let now = model.now;
    let failed = split::scatter(model, &regions, now);
    let processed_percentage = (regions.len() - failed) * 100 / regions.len().max(1);
    json(&ScatterBody { processed_percentage })
}

/// `POST admin/unsafe/remove-failed-stores`.
pub(super) fn remove_failed_stores(model: &mut Model, call: &Call) -> Reply {
    let fields = call.object()?;
    let auto_detect = fields.get("auto-detect").and_then(Value::as_bool).unwrap_or_default();
    let ids: Option<Vec<u64>> = match fields.get("stores") {
        _ if auto_detect => None,
        Some(Value::Array(stores)) => Some(stores.iter().filter_map(Value::as_u64).collect()),
        _ => return Err(refusal(400, "Store ids are invalid")),
    };
    let timeout = fields.get("timeout").and_then(Value::as_u64).map(Duration::from_secs);
    let now = model.now;
    unsafe_recovery::begin(model, ids.as_deref(), timeout, now).map_err(|error| refusal(500, &error.to_string()))?;
    json(&"Request has been accepted.")
}

/// `GET admin/unsafe/remove-failed-stores/show`.
pub(super) fn failed_stores(model: &Model, _: &Call) -> Reply {
    json(&model.recovery.history())
}
