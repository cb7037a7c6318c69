//! What the nodes answer over HTTP: routes and who may answer. The bodies are made in [`super::bodies`].

use std::time::Duration;

use serde::Serialize;

use super::model::{Model, Place};
use super::{bodies, metrics, prometheus};
use crate::http::{HttpError, Request, Response};

/// A follower without a leader looks for one so long before it gives up
/// (`pd:pkg/utils/apiutil/serverapi/middleware.go`).
const LEADER_WAIT: Duration = Duration::from_secs(3);
/// A member that is asked for the health of all pings one after the other, and waits so long for each
/// (`pd:server/api/health.go`).
const PING_WAIT: Duration = Duration::from_secs(3);
const PREFIX: &str = "/pd/api/v1";
const METRICS: &str = "/metrics";
const JSON: &str = "application/json; charset=UTF-8";
const TEXT: &str = "text/plain; charset=utf-8";
/// What Go's server says of a body whose type the handler did not set and that does not look like text.
const BINARY: &str = "application/octet-stream";

/// What came of a request.
pub(super) enum Answer {
    /// The answer.
    Now(Response),
    /// There is none yet: how long the node tries before it gives up, and the answer that it then gives. None if it
    /// never does.
    Later(Option<(Duration, Response)>),
}

/// Answers a request as the model is now.
pub(super) fn answer(model: &Model, request: &Request) -> Result<Answer, HttpError> {
    if request.authority == prometheus::AUTHORITY {
        return Ok(Answer::Now(prometheus::answer(model, request)));
    }
    let place = request.authority.split_once(':').and_then(|(host, port)| match (model.place(host)?, port) {
        (place @ Place::Pd(_), "2379") | (place @ Place::Tikv(_), "20180") => Some(place),
        _ => None,
    });
    let Some(place) = place else { return Err(HttpError::NoSuchAddress { url: request.url() }) };
    if model.process(place).hangs() {
        return Ok(Answer::Later(None));
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    match place {
        Place::Pd(index) if model.members[index].serves(model.now) => Ok(match path {
            METRICS => Answer::Now(metrics(model, place)),
            _ => pd(model, request, path, query),
        }),
        Place::Tikv(index) if model.stores[index].serves() => Ok(Answer::Now(match path {
            METRICS => metrics(model, place),
            _ => tikv(request, path),
        })),
        _ => Err(HttpError::Refused { url: request.url() }),
    }
}

fn metrics(model: &Model, place: Place) -> Response {
    let [go, rust] = metrics::CONTENT_TYPES;
    let content_type = if matches!(place, Place::Pd(_)) { go } else { rust };
    response(200, content_type, &metrics::exposition(model, place))
}

/// TiKV's status port (`tikv:src/server/status_server/mod.rs`).
fn tikv(request: &Request, path: &str) -> Response {
    match (path, &request.body) {
        ("/status", None) => response(200, "", ""),
        _ => response(404, "", "path not found"),
    }
}

fn pd(model: &Model, request: &Request, path: &str, query: &str) -> Answer {
    let Some(route) = path.strip_prefix(PREFIX) else { return Answer::Now(not_found()) };
    let Some(handler) = handler(route) else { return Answer::Now(not_found()) };
    if request.body.is_some() {
        return Answer::Now(response(405, "", ""));
    }
    match handler {
        Handler::Local(body) => Answer::Now(body(model)),
        Handler::Pings(body) => match model.members.iter().filter(|member| member.process.hangs()).count() {
            0 => Answer::Now(body(model)),
            hung => Answer::Later(Some((PING_WAIT * u32::try_from(hung).unwrap_or(u32::MAX), body(model)))),
        },
        Handler::Leader(body) => match model.leadership.leader() {
            Some(leader) => Answer::Now(body(model, leader, query)),
            None if model.leadership.believes_in_the_hung(&model.members) => Answer::Later(None),
            None if model.leadership.believes_in_the_dead() => {
                Answer::Now(response(500, TEXT, "[PD:apiutil:ErrRedirect]redirect failed\n"))
            }
            None => {
                let body = "[PD:apiutil:ErrRedirectNoLeader]redirect finds no leader\n";
                Answer::Later(Some((LEADER_WAIT, response(503, TEXT, body))))
            }
        },
    }
}

/// Who answers a route, and with what.
enum Handler {
    /// The member that is asked.
    Local(fn(&Model) -> Response),
    /// The member that is asked, after it has pinged the others.
    Pings(fn(&Model) -> Response),
    /// PD's leader, to whom every other member hands the request on; by its index, and with the query.
    Leader(fn(&Model, usize, &str) -> Response),
}

fn handler(route: &str) -> Option<Handler> {
    Some(match route {
        "/ping" => Handler::Local(|_| response(200, "", "")),
        "/version" => Handler::Local(|_| json(&bodies::version())),
        "/health" => Handler::Pings(|model| json(&bodies::health(model))),
        "/members" => Handler::Leader(|model, leader, _| json(&bodies::members(model, leader))),
        "/leader" => Handler::Leader(|model, leader, _| json(&bodies::leader(model, leader))),
        "/stores" => Handler::Leader(stores),
        "/regions/check/miss-peer" => Handler::Leader(|model, _, _| compact(&bodies::miss_peer(model))),
        "/regions/check/down-peer" => Handler::Leader(|model, _, _| compact(&bodies::down_peer(model))),
        "/regions/check/pending-peer" => Handler::Leader(|model, _, _| compact(&bodies::pending_peer(model))),
        _ => return None,
    })
}

/// `?state=` asks for stores by their state in the cluster, 0 to 2; without it they are those that are not removed.
fn stores(model: &Model, _: usize, query: &str) -> Response {
    if !model.stores.iter().any(|store| store.view.registered) {
        let body = "\"[PD:cluster:ErrNotBootstrapped]TiKV cluster not bootstrapped, please start TiKV first\"\n";
        return response(500, JSON, body);
    }
    let mut states = query.split('&').filter_map(|pair| pair.strip_prefix("state=")).peekable();
    let in_cluster = states.peek().is_none() || states.any(|state| state == "0");
    json(&bodies::stores(model, in_cluster))
}

fn not_found() -> Response {
    response(404, TEXT, "404 page not found\n")
}

fn response(status: u16, content_type: &str, body: &str) -> Response {
    Response { status, content_type: content_type.to_owned(), body: body.to_owned() }
}

/// Indented JSON and a newline, as PD's `render` writes it.
fn json(body: &impl Serialize) -> Response {
    rendered(serde_json::to_string_pretty(body).map(|body| body + "\n"), JSON)
}

/// JSON without spaces, as the endpoints for regions write it.
fn compact(body: &impl Serialize) -> Response {
    rendered(serde_json::to_string(body), BINARY)
}

fn rendered(body: serde_json::Result<String>, content_type: &str) -> Response {
    match body {
        Ok(body) => response(200, content_type, &body),
        Err(error) => response(500, TEXT, &format!("{error}\n")),
    }
}
