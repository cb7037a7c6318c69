//! TiKV's status port (`tikv:src/server/status_server/mod.rs`).

use super::reply::plain;
use crate::http::{Method, Request, Response};

pub(super) fn answer(request: &Request, path: &str) -> Response {
    match (&request.method, path) {
        (&Method::GET, "/status") => plain(200, "", ""),
        _ => plain(404, "", "path not found"),
    }
}
