//! `/members…` and `/leader…` (`pd:server/api/member.go`), and what PD hands on to Prometheus
//! (`pd:server/api/metric.go`).

use super::super::bodies;
use super::super::model::Model;
use super::super::prometheus;
use super::pd::Call;
use super::reply::{Reply, TEXT, json, plain, refusal};
use crate::http::{Request, Response};

pub(super) fn all(model: &Model, call: &Call) -> Reply {
    json(&bodies::members::members(model, leader(model, call)))
}

pub(super) fn one(model: &Model, call: &Call) -> Reply {
    json(&bodies::members::leader(model, leader(model, call)))
}

/// PD's leader; a follower that answers by itself knows it from etcd.
fn leader(model: &Model, call: &Call) -> usize {
    model.leadership.leader().unwrap_or(call.member)
}

pub(super) fn set_priority(model: &mut Model, call: &Call) -> Reply {
    let name = call.part(2);
    let member = model.members.iter().position(|member| member.name.as_str() == name);
    let member = member.ok_or_else(|| refusal(404, &format!("not found, pd: {name}")))?;
    if let Some(priority) = call.object()?.get("leader-priority") {
        #[expect(clippy::cast_possible_truncation, reason = "PD converts it so, too")]
        let priority = priority.as_f64().ok_or_else(|| refusal(400, "bad format leader priority"))? as i32;
        model.members[member].leader_priority = priority;
    }
    json(&"success")
}

/// Leadership goes to any other member.
pub(super) fn resign(model: &mut Model, call: &Call) -> Reply {
    hand_over(model, call.member, None)?;
    json(&"The resign command is submitted.")
}

/// Leadership goes to the member of a name.
pub(super) fn transfer(model: &mut Model, call: &Call) -> Reply {
    let name = call.part(2);
    let to = model.members.iter().position(|member| member.name.as_str() == name).filter(|to| *to != call.member);
    hand_over(model, call.member, Some(to.ok_or_else(nobody)?))?;
    json(&"The transfer command is submitted.")
}

fn hand_over(model: &mut Model, from: usize, to: Option<usize>) -> Result<(), Response> {
    if model.hand_pd_over(from, to, model.now) { Ok(()) } else { Err(nobody()) }
}

fn nobody() -> Response {
    refusal(500, "no valid pd to transfer etcd leader")
}

/// Hands a query on to the Prometheus of `metric-storage`.
pub(super) fn query_metric(model: &Model, call: &Call) -> Reply {
    let storage = &model.config.pd_server.metric_storage;
    if storage.is_empty() {
        return Err(plain(500, TEXT, "metric storage doesn't set\n"));
    }
    let Some(authority) = storage.strip_prefix("http://").filter(|authority| *authority == prometheus::AUTHORITY)
    else {
        return Err(plain(500, TEXT, "[PD:apiutil:ErrRedirect]redirect failed\n"));
    };
    let path = format!("/api/v1/{}?{}", call.part(1), call.query);
    let request = Request { body: call.body.cloned(), ..Request::get(authority, path, std::time::Duration::MAX) };
    Ok(prometheus::answer(model, &request))
}
