//! `/regions…` and `/region/…` (`pd:server/api/region.go`).

use super::super::bodies::regions::{self as bodies, order};
use super::super::model::Model;
use super::super::parameters::{decoded, hex};
use super::super::region::Region;
use super::pd::Call;
use super::reply::{Reply, compact, json, refusal};
use super::stores::{invalid_number, parsed};
use crate::http::Response;

/// `limit` without a word about it, and at most (`pd:pkg/schedule/handler/handler.go`).
const LIMIT: (i64, i64) = (16, 10_240);

fn limit(call: &Call) -> Result<i64, Response> {
    let text = call.parameters.get("limit");
    let (default, most) = LIMIT;
    if text.is_empty() {
        return Ok(default);
    }
    text.parse::<i64>().map(|limit| limit.min(most)).map_err(|_| refusal(400, &invalid_number("Atoi", text)))
}

/// A key of a request in hex; it comes as it is, or in hex with `?format=hex`.
fn hex_key(call: &Call, key: &str) -> Result<String, Response> {
    if call.parameters.get("format") != "hex" {
        return Ok(hex(key));
    }
    checked_hex(key)
}

/// Hex as PD shows it.
fn checked_hex(key: &str) -> Result<String, Response> {
    if let Some(wrong) = key.chars().find(|digit| !digit.is_ascii_hexdigit()) {
        return Err(refusal(400, &format!("encoding/hex: invalid byte: U+{:04X} {wrong:?}", u32::from(wrong))));
    }
    if key.len() % 2 == 1 {
        return Err(refusal(400, "encoding/hex: odd length hex string"));
    }
    Ok(key.to_uppercase())
}

fn known(model: &Model, id: u64) -> Option<&Region> {
    super::super::bodies::known_regions(model).find(|region| region.id == id)
}

pub(super) fn all(model: &Model, _: &Call) -> Reply {
    compact(&bodies::all(model))
}

pub(super) fn count(model: &Model, _: &Call) -> Reply {
    json(&bodies::count(model))
}

pub(super) fn by_id(model: &Model, call: &Call) -> Reply {
    let id = call.number(2)?;
    compact(&bodies::one(model, known(model, id)))
}

pub(super) fn by_key(model: &Model, call: &Call) -> Reply {
    let key = hex_key(call, &decoded(call.part(2)))?;
    let region = bodies::in_range(model, &key, "").into_iter().next().filter(|region| region.start_key <= key);
    compact(&bodies::one(model, region))
}

pub(super) fn by_range(model: &Model, call: &Call) -> Reply {
    let (start, end) = (call.parameters.get("key"), call.parameters.get("end_key"));
    let limit = usize::try_from(limit(call)?).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    compact(&bodies::range(model, &hex_key(call, start)?, &hex_key(call, end)?, limit))
}

pub(super) fn of_store(model: &Model, call: &Call) -> Reply {
    let text = call.part(2);
    let id = text.parse().map_err(|_| refusal(400, &invalid_number("Atoi", text)))?;
    compact(&bodies::of_store(model, id))
}

pub(super) fn top(model: &Model, call: &Call) -> Reply {
    let order = order(call.part(1)).ok_or_else(super::pd::not_found)?;
    compact(&bodies::top(model, order, usize::try_from(limit(call)?).unwrap_or(0)))
}

pub(super) fn siblings(model: &Model, call: &Call) -> Reply {
    let id = call.number(2)?;
    let unknown = || refusal(404, &format!("[PD:region:ErrRegionNotFound]region {id} not found"));
    compact(&bodies::siblings(model, known(model, id).ok_or_else(unknown)?))
}

pub(super) fn holes(model: &Model, _: &Call) -> Reply {
    json(&bodies::holes(model))
}

pub(super) fn check(model: &Model, call: &Call) -> Reply {
    compact(&bodies::check(model, call.part(2)).ok_or_else(super::pd::not_found)?)
}

/// The width of a bar is at least 1 MiB or 1000 keys.
pub(super) fn histogram(model: &Model, call: &Call) -> Reply {
    let (name, least) = if call.part(2) == "hist-size" { ("size", 1) } else { ("keys", 1000) };
    let order = order(name).ok_or_else(super::pd::not_found)?;
    let bound = match call.parameters.get("bound") {
        "" => least,
        text => parsed(text).map_err(|_| refusal(400, &invalid_number("Atoi", text)))?.max(least),
    };
    json(&bodies::histogram(model, order, bound))
}

/// Whether all regions of a range have the peers that they should have, and all of them well.
pub(super) fn replicated(model: &Model, call: &Call) -> Reply {
    let (start, end) = (checked_hex(call.parameters.get("startKey"))?, checked_hex(call.parameters.get("endKey"))?);
    let replicas = usize::try_from(model.config.replication.max_replicas).unwrap_or(usize::MAX);
    let whole = |region: &&Region| {
        region.peers.len() == replicas && region.peers.iter().all(|peer| !peer.pending && peer.down_seconds.is_none())
    };
    let all = bodies::in_range(model, &start, &end).iter().all(whole);
    json(&if all { "REPLICATED" } else { "INPROGRESS" })
}
