//! TiKV's status port (`tikv:src/server/status_server/mod.rs`).

use super::super::bodies::tikv as bodies;
use super::super::model::Model;
use super::reply::plain;
use crate::http::{Method, Request, Response};

const JSON: &str = "application/json";

pub(super) fn answer(model: &Model, store: usize, request: &Request, path: &str) -> Response {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match (&request.method, parts.as_slice()) {
        (&Method::GET, ["status"]) => plain(200, "", ""),
        (&Method::GET, ["engine_type"]) => plain(200, "text/plain", "raft-kv"),
        (&Method::GET, ["config"]) => json(bodies::config(model, store)),
        (&Method::GET, ["region", id]) => region(model, store, path, id),
        _ => plain(404, "", "path not found"),
    }
}

fn region(model: &Model, store: usize, path: &str, id: &str) -> Response {
    if id.is_empty() || id.contains(|digit: char| !digit.is_ascii_digit()) {
        return plain(404, "", format!("path {path} not found"));
    }
    match id.parse() {
        Err(error) => plain(400, "", format!("invalid region id: {error}")),
        Ok(id) => match bodies::region(model, store, id) {
            Some(meta) => json(serde_json::to_string(&meta)),
            None => plain(404, "", format!("region({id}) not found")),
        },
    }
}

fn json(body: serde_json::Result<String>) -> Response {
    body.map_or_else(|_| plain(500, "", "Internal Server Error"), |body| plain(200, JSON, body))
}
