//! PD's API: who answers a request, and the routes.

use std::time::Duration;

use serde_json::{Map, Value};

use super::super::bodies;
use super::super::model::{Model, Place};
use super::super::parameters::{Parameters, hex};
use super::reply::{Reply, TEXT, json, plain, refusal};
use super::{Answer, members, placement, regions, scheduling, stores};
use crate::http::{Method, Request, Response};

/// A follower without a leader looks for one so long before it gives up
/// (`pd:pkg/utils/apiutil/serverapi/middleware.go`).
const LEADER_WAIT: Duration = Duration::from_secs(3);
/// A member that is asked for the health of all pings one after the other, and waits so long for each
/// (`pd:server/api/health.go`).
const PING_WAIT: Duration = Duration::from_secs(3);
const PREFIX: &str = "/pd/api/v1/";
const READY: &str = "/pd/api/v2/ready";
const NOT_BOOTSTRAPPED: &str = "[PD:cluster:ErrNotBootstrapped]TiKV cluster not bootstrapped, please start TiKV first";
/// With this header a follower answers by itself.
const FOLLOWER_HANDLE: &str = "PD-Allow-follower-handle";

/// A request that a member answers.
pub(super) struct Call<'a> {
    /// The index of the member.
    pub(super) member: usize,
    /// The parts of the path behind the prefix.
    path: &'a [&'a str],
    /// What follows the `?`, as it came.
    pub(super) query: &'a str,
    pub(super) parameters: Parameters,
    pub(super) body: Option<&'a Value>,
}

impl<'a> Call<'a> {
    /// A part of the path, by its number; empty if there are not so many.
    pub(super) fn part(&self, number: usize) -> &'a str {
        self.path.get(number).copied().unwrap_or_default()
    }

    /// A part of the path that is an id.
    pub(super) fn number(&self, number: usize) -> Result<u64, Response> {
        stores::parsed(self.part(number))
    }

    /// The fields of the body.
    pub(super) fn object(&self) -> Result<&'a Map<String, Value>, Response> {
        match self.body {
            Some(Value::Object(fields)) => Ok(fields),
            Some(_) => {
                Err(refusal(400, "json: cannot unmarshal the body into Go value of type map[string]interface {}"))
            }
            None => Err(refusal(400, "unexpected end of JSON input")),
        }
    }
}

/// What a route does.
enum Handler {
    /// It reads.
    Reads(Reads),
    /// It changes something.
    Changes(Changes),
}

/// Answers a request to a member of PD.
pub(super) fn answer(model: &mut Model, member: usize, request: &Request, path: &str, query: &str) -> Answer {
    if path == READY {
        return Answer::Now(ready(&Parameters::read(query)));
    }
    let Some(path) = path.strip_prefix(PREFIX) else { return Answer::Now(not_found()) };
    let parts: Vec<&str> = path.split('/').collect();
    let follower_handle = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(FOLLOWER_HANDLE));
    let member = match model.leadership.leader() {
        _ if is_local(&request.method, &parts) || follower_handle => member,
        _ if model.members[member].isolated.is_some()
            && !model.leadership.leads_on(member, model.members.as_slice(), model.now) =>
        {
            return no_leader();
        }
        _ if model.members[member].isolated.is_some() => member,
        Some(leader) if !model.talk(Place::Pd(member), Place::Pd(leader)) => return Answer::Later(None),
        Some(leader) => leader,
        None => return without_leader(model),
    };
    let body = request.body.as_ref();
    let call = Call { member, path: &parts, query, parameters: Parameters::read(query), body };
    let reply = match handler(&request.method, &parts) {
        None if [Method::GET, Method::POST, Method::DELETE].iter().any(|other| handler(other, &parts).is_some()) => {
            Ok(plain(405, "", ""))
        }
        None => Ok(not_found()),
        Some(_) if !has_cluster(model, member) && !needs_no_cluster(&parts) => Err(refusal(500, NOT_BOOTSTRAPPED)),
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

/// Whether a member could lead: it has the regions from its storage or from the leader
/// (`pd:server/apiv2/handlers/ready.go`). It has them as soon as it serves.
fn ready(parameters: &Parameters) -> Response {
    if parameters.has("verbose") {
        plain(200, "application/json; charset=utf-8", "{\n    \"region_loaded\": true\n}")
    } else {
        plain(200, "", "")
    }
}

/// What every member answers by itself (`middleware.go`).
fn is_local(method: &Method, path: &[&str]) -> bool {
    match path {
        ["config"] => method == Method::GET,
        ["admin", "log"] | ["debug", "pprof", ..] | ["status" | "health" | "ping" | "version"] => true,
        _ => false,
    }
}

/// What has an answer though no store has made a cluster yet (`pd:server/api/router.go`: without `clusterMiddleware`).
fn needs_no_cluster(path: &[&str]) -> bool {
    matches!(
        path,
        ["config" | "status" | "health" | "ping" | "version"]
            | ["config", "schedule" | "replicate" | "pd-server" | "cluster-version"]
            | ["admin", "log"]
            | ["members" | "leader" | "cluster" | "metric", ..]
    )
}

/// Only the leader knows the cluster, and only once a store has made one.
fn has_cluster(model: &Model, member: usize) -> bool {
    model.leadership.leader() == Some(member) && model.stores.iter().any(|store| store.view.registered)
}

/// What a follower answers that finds no leader to hand the request on to.
fn without_leader(model: &Model) -> Answer {
    if model.leadership.believes_in_the_hung(&model.members, model.now) {
        return Answer::Later(None);
    }
    if model.leadership.believes_in_the_dead(model.now) {
        return Answer::Now(plain(500, TEXT, "[PD:apiutil:ErrRedirect]redirect failed\n"));
    }
    no_leader()
}

fn no_leader() -> Answer {
    let body = "[PD:apiutil:ErrRedirectNoLeader]redirect finds no leader\n";
    Answer::Later(Some((LEADER_WAIT, plain(503, TEXT, body))))
}

pub(super) fn not_found() -> Response {
    plain(404, TEXT, "404 page not found\n")
}

fn handler(method: &Method, path: &[&str]) -> Option<Handler> {
    match *method {
        Method::GET => reads(path).map(Handler::Reads),
        Method::POST => posts(path),
        Method::DELETE => deletes(path).map(Handler::Changes),
        _ => None,
    }
}

type Reads = fn(&Model, &Call) -> Reply;
type Changes = fn(&mut Model, &Call) -> Reply;

fn reads(path: &[&str]) -> Option<Reads> {
    Some(match path {
        ["ping"] => |_, _| Ok(plain(200, "", "")),
        ["version"] => |_, _| json(&bodies::members::version()),
        ["status"] => |model, call| json(&bodies::members::status(model, call.member)),
        ["health"] => |model, _| json(&bodies::members::health(model)),
        ["members"] => members::all,
        ["leader"] => members::one,
        ["stores"] => stores::all,
        ["stores", "check"] => stores::by_state,
        ["stores", "limit"] => stores::limits,
        ["stores", "progress"] => placement::progress,
        ["store", _] => stores::one,
        ["region" | "regions", ..] => return region_reads(path),
        ["stats", "region"] => region_stats,
        ["hotspot", "regions", "write" | "read"] => hot_regions,
        ["hotspot", "stores"] => |model, _| json(&bodies::hotspot::stores(model)),
        ["hotspot", "buckets"] => |_, _| json(&Map::new()),
        ["cluster"] => |model, _| json(&bodies::cluster::cluster(model)),
        ["cluster", "status"] => |model, _| json(&bodies::cluster::status(model)),
        ["min-resolved-ts"] => |model, _| json(&bodies::cluster::min_resolved_ts(model)),
        ["gc", "safepoint"] => |_, _| json(&bodies::cluster::safe_points()),
        ["replication_mode", "status"] => |_, _| json(&bodies::cluster::replication_mode()),
        ["trend"] => trend,
        ["metric", "query" | "query_range"] => members::query_metric,
        ["admin", "unsafe", "remove-failed-stores", "show"] => placement::failed_stores,
        _ => return scheduling_reads(path),
    })
}

fn region_reads(path: &[&str]) -> Option<Reads> {
    Some(match path {
        ["region", "id", _] => regions::by_id,
        ["region", "key", _] => regions::by_key,
        ["regions"] => regions::all,
        ["regions", "count"] => regions::count,
        ["regions", "key"] => regions::by_range,
        ["regions", "store", _] => regions::of_store,
        ["regions", "sibling", _] => regions::siblings,
        ["regions", "range-holes"] => regions::holes,
        ["regions", "replicated"] => regions::replicated,
        ["regions", "check", "hist-size" | "hist-keys"] => regions::histogram,
        ["regions", "check", _] => regions::check,
        ["regions", name] if bodies::regions::order(name).is_some() => regions::top,
        _ => return None,
    })
}

fn scheduling_reads(path: &[&str]) -> Option<Reads> {
    Some(match path {
        ["config"] => scheduling::config,
        ["config", "schedule"] => scheduling::schedule_config,
        ["config", "replicate"] => |model, _| json(&model.config.replication),
        ["config", "pd-server"] => |model, _| json(&model.config.pd_server),
        ["config", "cluster-version"] => |model, _| json(&bodies::config::cluster_version(model)),
        ["config", "rules"] => |model, _| json(&bodies::config::rules(model)),
        ["config", "region-label", "rules"] => |_, _| json(&bodies::config::label_rules()),
        ["schedulers"] => scheduling::schedulers,
        ["schedulers", "diagnostic", _] => scheduling::diagnosis,
        ["scheduler-config", _, "list"] => scheduling::scheduler_config,
        ["checker", _] => scheduling::checker,
        ["operators"] => placement::operators,
        ["operators", "records"] => placement::records,
        ["operators", _] => placement::operator,
        _ => return None,
    })
}

fn posts(path: &[&str]) -> Option<Handler> {
    let change: Changes = match path {
        // A form is too long for the path; nothing changes.
        ["metric", "query" | "query_range"] => return Some(Handler::Reads(members::query_metric)),
        ["config"] => scheduling::set_config,
        ["config", "schedule" | "replicate"] => scheduling::set_part,
        ["schedulers"] => scheduling::add_scheduler,
        ["schedulers", _] => scheduling::pause_scheduler,
        ["scheduler-config", "evict-leader-scheduler", "config"] => scheduling::set_evict_leader,
        ["checker", _] => scheduling::pause_checker,
        ["store", _, "limit"] => stores::set_limit,
        ["store", _, "weight"] => stores::set_weight,
        ["store", _, "label"] => stores::set_labels,
        ["stores", "limit"] => stores::set_all_limits,
        ["members", "name", _] => members::set_priority,
        ["leader", "resign"] => members::resign,
        ["leader", "transfer", _] => members::transfer,
        ["admin", "log"] => scheduling::set_log_level,
        ["operators"] => placement::create,
        ["store", _, "state"] => placement::set_state,
        ["regions", "split"] => placement::split_regions,
        ["regions", "scatter"] => placement::scatter_regions,
        ["admin", "unsafe", "remove-failed-stores"] => placement::remove_failed_stores,
        _ => return None,
    };
    Some(Handler::Changes(change))
}

fn deletes(path: &[&str]) -> Option<Changes> {
    Some(match path {
        ["schedulers", _] => scheduling::remove_scheduler,
        ["scheduler-config", "evict-leader-scheduler", "delete", _] => scheduling::cease_evicting,
        ["operators", _] => placement::cancel,
        ["store", _] => placement::remove_store,
        ["stores", "remove-tombstone"] => placement::remove_tombstones,
        _ => return None,
    })
}

fn region_stats(model: &Model, call: &Call) -> Reply {
    let key = |name| hex(call.parameters.get(name));
    let only_count = call.parameters.has("count");
    json(&bodies::cluster::region_stats(model, &key("start_key"), &key("end_key"), only_count))
}

fn hot_regions(model: &Model, call: &Call) -> Reply {
    let mut ids = Vec::new();
    for text in call.parameters.all("store_id") {
        let id = text.parse().map_err(|_| refusal(400, &format!("invalid store id: {text}")))?;
        if !model.stores.iter().any(|store| store.id == id && store.view.registered) {
            return Err(refusal(404, &format!("[PD:core:ErrStoreNotFound]store {id} not found")));
        }
        ids.push(id);
    }
    let write = call.path.last() == Some(&"write");
    json(&bodies::hotspot::regions(model, write, &ids))
}

fn trend(model: &Model, call: &Call) -> Reply {
    let from = match call.parameters.get("from") {
        "" => None,
        text => Some(text.parse().map_err(|_| refusal(400, &stores::invalid_number("ParseInt", text)))?),
    };
    json(&bodies::stores::trend(model, from))
}
