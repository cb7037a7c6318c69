//! How the actions of [`super::knowledge`] are carried out.

use serde::de::IgnoredAny;
use serde_json::json;

use super::super::remedy::{Done, NotDone, Remedy};
use super::super::{ENDPOINT_TIMEOUT, ask};
use super::gateway::{Status, address};
use crate::cluster::{Cluster, Node};
use crate::http::Request;

/// Carries out an action of the catalogue. Those that cannot be undone are not among them: nothing is tried on a copy of a
/// real cluster.
pub(super) async fn carry_out(cluster: &dyn Cluster, remedy: &Remedy<'_>) -> Result<Done, NotDone> {
    if let Some(outcome) = remedy.carry_out_common(cluster).await {
        return outcome;
    }
    match remedy.action {
        "restart_member" => remedy.restart("etcd", cluster).await,
        "move_leader" => move_leader(cluster).await,
        action => Err(NotDone(format!("{action} cannot be undone and is not carried out"))),
    }
}

/// Hands the leadership to the first of the other members that knows the leader. Only the leader itself can do that
/// (etcd: server/etcdserver/api/v3rpc/maintenance.go, `MoveLeader`).
async fn move_leader(cluster: &dyn Cluster) -> Result<Done, NotDone> {
    let (mut leader, mut successor): (Option<&Node>, Option<String>) = (None, None);
    for node in cluster.nodes().iter().filter(|node| node.role == "etcd") {
        let request = Request::post(address(node), "/v3/maintenance/status", json!({}), ENDPOINT_TIMEOUT);
        let Ok(status) = ask::<Status>(cluster, request).await else { continue };
        match status.leader() {
            Some(id) if id == status.header.member_id => leader = Some(node),
            Some(_) => successor = successor.or(Some(status.header.member_id)),
            None => {}
        }
    }
    let (Some(leader), Some(successor)) = (leader, successor) else {
        return Err(NotDone("there is no leader that answers, or nobody who could follow it".to_owned()));
    };
    let body = json!({ "targetID": successor });
    let request = Request::post(address(leader), "/v3/maintenance/transfer-leadership", body, ENDPOINT_TIMEOUT);
    let moved = ask::<IgnoredAny>(cluster, request).await;
    moved.map(|_| Done::Acted).map_err(|error| NotDone(error.to_string()))
}
