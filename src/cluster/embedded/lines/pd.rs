//! What is logged when PD has no leader, or its clock is wrong. What TiKV writes is worded as in
//! `fixtures/recordings/pd-leader-kill.log.gz`; what PD writes as in its version 8.5.5: it was not recorded.

use std::time::Duration;

use super::super::log::{Fields, Log, Origin};
use super::super::pd::Member;
use crate::reading::NodeName;

/// A store's heartbeat did not reach PD.
pub(in super::super) fn heartbeat_failed(log: &mut Log, at: Duration, node: &NodeName, code: &str, reason: &str) {
    let error = format!("Grpc(RpcFailure(RpcStatus {{ code: {code}, message: \"{reason}\", details: [] }}))");
    let fields: Fields = &[("err", &error), ("thread_id", &26)];
    log.write(at, node, Origin("WARN", "pd.rs:1712"), "store heartbeat failed", fields);
}

/// etcd has neither a leader nor a quorum: the leader of this term, if it is the one that writes, steps down.
pub(in super::super) fn quorum_lost(log: &mut Log, at: Duration, here: &Member, leader: Option<&Member>, term: u64) {
    let name = &here.name;
    let mut raft = |level, message: &str| log.write(at, name, Origin(level, "raft] [zap_raft.go:77"), message, &[]);
    let Some(leader) = leader else {
        raft("INFO", &format!("{:x} is starting a new election at term {term}", here.id));
        return log.write(at, name, Origin("WARN", "member.go:219"), "getting pd leader meets error", &[]);
    };
    if leader.id == here.id {
        raft("WARN", &format!("{:x} stepped down to follower since quorum is not active", here.id));
    }
    raft("INFO", &format!("raft.node: {:x} lost leader {:x} at term {term}", here.id, leader.id));
    if leader.id == here.id {
        let message = "no longer a leader because lease has expired, pd leader will step down";
        log.write(at, name, Origin("INFO", "server.go:1795"), message, &[]);
    }
}

/// A member's clock was set back.
pub(in super::super) fn clock_set_back(log: &mut Log, at: Duration, here: &Member, last_nanosecond: i128) {
    let fields: Fields = &[("last", &last_nanosecond)];
    log.write(at, &here.name, Origin("ERROR", "systimemon.go:37"), "system time jump backward", fields);
    let fields: Fields = &[("error", &"[PD:server:ErrIncorrectSystemTime]incorrect system time")];
    log.write(at, &here.name, Origin("ERROR", "server.go:621"), "system time jumps backward", fields);
}

/// PD's leader finds its clock far ahead of the last timestamp that it gave.
pub(in super::super) fn clock_ahead(log: &mut Log, at: Duration, here: &Member, jet_lag: Duration) {
    let jet_lag = format!("{jet_lag:?}");
    log.write(at, &here.name, Origin("WARN", "tso.go:378"), "clock offset", &[("jet-lag", &jet_lag)]);
}
