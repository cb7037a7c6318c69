//! PD's API: who answers a request, and the routes.

use std::time::Duration;

use serde_json::Value;

use super::super::bodies;
use super::super::model::Model;
use super::super::parameters::Parameters;
use super::Answer;
use super::reply::{Reply, TEXT, compact, json, plain, refusal};
use crate::http::{Method, Request, Response};

/// A follower without a leader looks for one so long before it gives up
/// (`pd:pkg/utils/apiutil/serverapi/middleware.go`).
const LEADER_WAIT: Duration = Duration::from_secs(3);
/// A member that is asked for the health of all pings one after the other, and waits so long for each
/// (`pd:server/api/health.go`).
const PING_WAIT: Duration = Duration::from_secs(3);
const PREFIX: &str = "/pd/api/v1/";
/// What every member answers by itself (`middleware.go`); of `config` only a GET.
const LOCAL: [&str; 7] = ["admin/log", "status", "health", "ping", "version", "debug/pprof", "config"];
/// What a member answers though no store has made a cluster yet (`pd:server/api/router.go`: without
/// `clusterMiddleware`).
const WITHOUT_CLUSTER: [&str; 7] = ["admin/log", "status", "health", "ping", "version", "members", "leader"];
const NOT_BOOTSTRAPPED: &str = "[PD:cluster:ErrNotBootstrapped]TiKV cluster not bootstrapped, please start TiKV first";
/// With this header a follower answers by itself.
const FOLLOWER_HANDLE: &str = "PD-Allow-follower-handle";

/// A request that a member answers.
pub(super) struct Call<'a> {
    /// The index of the member.
    pub(super) member: usize,
    /// The parts of the path behind the prefix.
    path: &'a [&'a str],
    pub(super) parameters: Parameters,
    pub(super) body: Option<&'a Value>,
}

/// What a route does.
enum Handler {
    /// It reads.
    Reads(fn(&Model, &Call) -> Reply),
    /// It changes something.
    #[expect(dead_code, reason = "the next commit has the first")]
    Changes(fn(&mut Model, &Call) -> Reply),
}

/// Answers a request to a member of PD.
pub(super) fn answer(model: &mut Model, member: usize, request: &Request, path: &str, query: &str) -> Answer {
    let Some(path) = path.strip_prefix(PREFIX) else { return Answer::Now(not_found()) };
    let leader = model.leadership.leader();
    let follower_handle = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(FOLLOWER_HANDLE));
    let member = match leader {
        _ if is_local(&request.method, path) || follower_handle => member,
        Some(leader) => leader,
        None => return without_leader(model),
    };
    let parts: Vec<&str> = path.split('/').collect();
    let body = request.body.as_ref();
    let call = Call { member, path: &parts, parameters: Parameters::read(query), body };
    let reply = match handler(&request.method, &parts) {
        None if [Method::GET, Method::POST, Method::DELETE].iter().any(|other| handler(other, &parts).is_some()) => {
            Ok(plain(405, "", ""))
        }
        None => Ok(not_found()),
        Some(_) if !has_cluster(model, member) && !starts_with_any(path, &WITHOUT_CLUSTER) => {
            Err(refusal(500, NOT_BOOTSTRAPPED))
        }
        Some(Handler::Reads(read)) => read(model, &call),
        Some(Handler::Changes(change)) => change(model, &call),
    };
    let response = reply.unwrap_or_else(|refusal| refusal);
    let hung = model.members.iter().filter(|member| member.process.hangs()).count();
    match path {
        "health" if hung > 0 => Answer::Later(Some((PING_WAIT * u32::try_from(hung).unwrap_or(u32::MAX), response))),
        _ => Answer::Now(response),
    }
}

fn starts_with_any(path: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

fn is_local(method: &Method, path: &str) -> bool {
    if path == "config" {
        method == Method::GET
    } else {
        path.split('/').next() != Some("config") && starts_with_any(path, &LOCAL)
    }
}

/// Only the leader knows the cluster, and only once a store has made one.
fn has_cluster(model: &Model, member: usize) -> bool {
    model.leadership.leader() == Some(member) && model.stores.iter().any(|store| store.view.registered)
}

/// What a follower answers that finds no leader to hand the request on to.
fn without_leader(model: &Model) -> Answer {
    if model.leadership.believes_in_the_hung(&model.members) {
        return Answer::Later(None);
    }
    if model.leadership.believes_in_the_dead() {
        return Answer::Now(plain(500, TEXT, "[PD:apiutil:ErrRedirect]redirect failed\n"));
    }
    let body = "[PD:apiutil:ErrRedirectNoLeader]redirect finds no leader\n";
    Answer::Later(Some((LEADER_WAIT, plain(503, TEXT, body))))
}

fn not_found() -> Response {
    plain(404, TEXT, "404 page not found\n")
}

fn handler(method: &Method, path: &[&str]) -> Option<Handler> {
    match *method {
        Method::GET => get(path),
        _ => None,
    }
}

fn get(path: &[&str]) -> Option<Handler> {
    Some(Handler::Reads(match path {
        ["ping"] => |_, _| Ok(plain(200, "", "")),
        ["version"] => |_, _| json(&bodies::version()),
        ["health"] => |model, _| json(&bodies::health(model)),
        ["members"] => |model, call| json(&bodies::members(model, call.member)),
        ["leader"] => |model, call| json(&bodies::leader(model, call.member)),
        ["stores"] => stores,
        ["regions", "check", "miss-peer"] => |model, _| compact(&bodies::miss_peer(model)),
        ["regions", "check", "down-peer"] => |model, _| compact(&bodies::down_peer(model)),
        ["regions", "check", "pending-peer"] => |model, _| compact(&bodies::pending_peer(model)),
        _ => return None,
    }))
}

/// `?state=` asks for stores by their state in the cluster, 0 to 2; without it they are those that are not removed.
fn stores(model: &Model, call: &Call) -> Reply {
    let in_cluster = !call.parameters.has("state") || call.parameters.all("state").any(|state| state == "0");
    json(&bodies::stores(model, in_cluster))
}
