//! `/stores…` and `/store/…` (`pd:server/api/store.go`).

use serde_json::Value;

use super::super::bodies;
use super::super::model::Model;
use super::super::pd_config::StoreLimit;
use super::super::store::{Label, Weight};
use super::pd::Call;
use super::reply::{Reply, json, refusal};
use crate::http::Response;

/// The states that `?state=` of `/stores/check` knows, in lower case.
const STATES: [&str; 5] = ["up", "offline", "tombstone", "disconnected", "down"];

/// The index of the store whose id is the part of the path with this number; if PD knows none, an answer of this status.
fn known(model: &Model, call: &Call, part: usize, unknown: u16) -> Result<usize, Response> {
    let id = call.number(part)?;
    let index = model.stores.iter().position(|store| store.id == id && store.view.registered);
    index.ok_or_else(|| not_found(id, unknown))
}

fn not_found(id: u64, status: u16) -> Response {
    refusal(status, &format!("[PD:core:ErrStoreNotFound]store {id} not found"))
}

/// `?state=` asks for stores by their state in the cluster, 0 to 2; without it they are those that are not removed.
pub(super) fn all(model: &Model, call: &Call) -> Reply {
    let mut states = Vec::new();
    for state in call.parameters.all("state") {
        let number: u64 = state.parse().map_err(|_| refusal(500, &invalid_number("Atoi", state)))?;
        if number > 2 {
            return Err(refusal(500, &format!("unknown StoreState: {number}")));
        }
        states.push(number);
    }
    if states.is_empty() {
        states = vec![0, 1];
    }
    json(&bodies::stores::stores(model, |index| states.contains(&bodies::stores::state(model, index))))
}

/// The stores whose state has one of the names of `?state=`; all without it.
pub(super) fn by_state(model: &Model, call: &Call) -> Reply {
    let named: Vec<String> =
        call.parameters.all("state").map(str::to_lowercase).filter(|state| !state.is_empty()).collect();
    if let Some(wrong) = call.parameters.all("state").find(|state| !known_state(state)) {
        return Err(refusal(400, &format!("unknown StoreState: {wrong}")));
    }
    let wanted = |index| {
        let name = bodies::stores::state_name(model, index).to_lowercase();
        named.is_empty() || named.contains(&name)
    };
    json(&bodies::stores::stores(model, wanted))
}

fn known_state(state: &str) -> bool {
    state.is_empty() || STATES.contains(&state.to_lowercase().as_str())
}

pub(super) fn one(model: &Model, call: &Call) -> Reply {
    json(&bodies::stores::store(model, known(model, call, 1, 404)?))
}

pub(super) fn limits(model: &Model, _: &Call) -> Reply {
    let limits = model.config.schedule.store_limit.iter().map(|(id, limit)| (id.to_string(), limit));
    json(&limits.collect::<std::collections::BTreeMap<_, _>>())
}

/// An id as Go reads it.
pub(super) fn parsed(text: &str) -> Result<u64, Response> {
    text.parse().map_err(|_| refusal(400, &invalid_number("ParseUint", text)))
}

/// Go's words for a number that is none.
pub(super) fn invalid_number(function: &str, text: &str) -> String {
    format!("strconv.{function}: parsing {text:?}: invalid syntax")
}

/// The rate and the kinds of operators of a limit for a store.
fn limit_of(call: &Call) -> Result<impl Fn(&mut StoreLimit) + use<>, Response> {
    let fields = call.object()?;
    let rate = fields.get("rate").ok_or_else(|| refusal(400, "rate unset"))?;
    let rate = rate.as_f64().filter(|rate| *rate > 0.0);
    let rate = rate.ok_or_else(|| refusal(400, "invalid rate which should be larger than 0"))?;
    let (add, remove) = match fields.get("type").map(Value::as_str) {
        None => (true, true),
        Some(Some("add-peer" | "")) => (true, false),
        Some(Some("remove-peer")) => (false, true),
        Some(Some(_)) => return Err(refusal(400, "unknown type")),
        Some(None) => return Err(refusal(400, "bad format type")),
    };
    Ok(move |limit: &mut StoreLimit| {
        if add {
            limit.add_peer = rate;
        }
        if remove {
            limit.remove_peer = rate;
        }
    })
}

pub(super) fn set_limit(model: &mut Model, call: &Call) -> Reply {
    let index = known(model, call, 1, 500)?;
    let change = limit_of(call)?;
    change(model.config.schedule.store_limit.entry(model.stores[index].id).or_default());
    json(&"The store's limit is updated.")
}

pub(super) fn set_all_limits(model: &mut Model, call: &Call) -> Reply {
    let change = limit_of(call)?;
    model.config.schedule.store_limit.values_mut().for_each(change);
    json(&"Set store limit successfully.")
}

pub(super) fn set_weight(model: &mut Model, call: &Call) -> Reply {
    let id = call.number(1)?;
    let fields = call.object()?;
    let weight = |kind: &str| {
        let weight = fields.get(kind).ok_or_else(|| refusal(400, &format!("{kind} weight unset")))?;
        let weight = weight.as_f64().filter(|weight| *weight >= 0.0);
        weight.ok_or_else(|| refusal(400, &format!("bad format {kind} weight")))
    };
    let weight = Weight { leader: weight("leader")?, region: weight("region")? };
    let index = known(model, call, 1, 500).map_err(|_| not_found(id, 500))?;
    model.stores[index].view.weight = weight;
    json(&"The store's weight is updated.")
}

/// Sets labels beside those that the store has; with `?force` in place of them.
pub(super) fn set_labels(model: &mut Model, call: &Call) -> Reply {
    let index = known(model, call, 1, 500)?;
    let mut labels = Vec::new();
    for (key, value) in call.object()? {
        if key == "engine" {
            return Err(refusal(400, "label key \"engine\" is reserved"));
        }
        let Some(value) = value.as_str() else {
            return Err(refusal(400, "json: cannot unmarshal into Go value of type string"));
        };
        labels.push(Label { key: key.clone(), value: value.to_owned() });
    }
    let own = &mut model.stores[index].view.labels;
    if call.parameters.has("force") {
        own.clear();
    }
    own.retain(|label| labels.iter().all(|new| new.key != label.key));
    own.extend(labels);
    own.retain(|label| !label.value.is_empty());
    json(&"The store's label is updated.")
}
