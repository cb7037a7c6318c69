//! PD's members and the members themselves: `/members`, `/leader`, `/health`, `/version`, `/status`.

use serde::Serialize;

use super::super::model::Model;
use super::super::pd::Member;
use super::super::{PD_GIT_HASH, PD_VERSION, instant};

#[derive(Serialize)]
pub(in super::super) struct VersionBody {
    version: &'static str,
    build_time: &'static str,
    hash: &'static str,
    branch: &'static str,
}

pub(in super::super) fn version() -> VersionBody {
    VersionBody { version: PD_VERSION, build_time: "", hash: "", branch: "" }
}

#[derive(Serialize)]
pub(in super::super) struct MemberHealth {
    name: String,
    member_id: u64,
    client_urls: [String; 1],
    health: bool,
}

/// Each member as the asked one finds it by pinging it, in the order of their ids.
pub(in super::super) fn health(model: &Model) -> Vec<MemberHealth> {
    let health = |member: &Member| MemberHealth {
        name: member.name.to_string(),
        member_id: member.id,
        client_urls: [url(member, 2379)],
        health: member.serves(model.now),
    };
    by_id(model).into_iter().map(health).collect()
}

fn by_id(model: &Model) -> Vec<&Member> {
    let mut members: Vec<&Member> = model.members.iter().collect();
    members.sort_by_key(|member| member.id);
    members
}

fn url(member: &Member, port: u16) -> String {
    format!("http://{}:{port}", member.name)
}

#[derive(Serialize)]
pub(in super::super) struct MembersBody {
    header: Header,
    members: Vec<MemberBody>,
    leader: MemberBody,
    etcd_leader: MemberBody,
}

#[derive(Serialize)]
struct Header {
    cluster_id: u64,
}

#[derive(Serialize)]
pub(in super::super) struct MemberBody {
    name: String,
    member_id: u64,
    peer_urls: [String; 1],
    client_urls: [String; 1],
    #[serde(skip_serializing_if = "is_zero_priority")]
    leader_priority: i32,
    #[serde(flatten)]
    build: Option<Build>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero_priority(priority: &i32) -> bool {
    *priority == 0
}

#[derive(Serialize)]
struct Build {
    deploy_path: &'static str,
    binary_version: &'static str,
    git_hash: &'static str,
}

fn member(member: &Member, build: Option<Build>) -> MemberBody {
    MemberBody {
        name: member.name.to_string(),
        member_id: member.id,
        peer_urls: [url(member, 2380)],
        client_urls: [url(member, 2379)],
        // The key of the leader in etcd knows as little of the priority as of the build.
        leader_priority: if build.is_some() { member.leader_priority } else { 0 },
        build,
    }
}

fn full_member(of: &Member) -> MemberBody {
    member(of, Some(Build { deploy_path: "/", binary_version: PD_VERSION, git_hash: PD_GIT_HASH }))
}

pub(in super::super) fn members(model: &Model, leader: usize) -> MembersBody {
    MembersBody {
        header: Header { cluster_id: model.cluster_id },
        members: by_id(model).into_iter().map(full_member).collect(),
        leader: full_member(&model.members[leader]),
        // PD campaigns only where etcd leads.
        etcd_leader: full_member(&model.members[leader]),
    }
}

pub(in super::super) fn leader(model: &Model, leader: usize) -> MemberBody {
    member(&model.members[leader], None)
}

#[derive(Serialize)]
pub(in super::super) struct StatusBody {
    build_ts: &'static str,
    version: &'static str,
    git_hash: &'static str,
    /// Unix seconds.
    start_timestamp: i64,
}

/// The day of the commit that PD was built from; builds of it show the time of the build.
const BUILD_TS: &str = "2025-12-23 00:00:00";

/// The status of one member, by its index.
pub(in super::super) fn status(model: &Model, member: usize) -> StatusBody {
    let since = model.members[member].process.running_since().unwrap_or_default();
    StatusBody {
        build_ts: BUILD_TS,
        version: PD_VERSION,
        git_hash: PD_GIT_HASH,
        start_timestamp: instant(since).as_second(),
    }
}
