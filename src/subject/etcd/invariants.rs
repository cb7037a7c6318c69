//! What must hold of an etcd cluster.

use std::time::Duration;

use super::super::{CLUSTER, Finding, Invariant, check_leader, check_word};
use crate::reading::Value;

pub(super) const INVARIANTS: &[Invariant] = &[
    Invariant {
        name: "member_down",
        demands: "the member answers its status API",
        roles: &["etcd"],
        required: true,
        // One late answer on a busy machine is not a dead member.
        grace: Duration::from_secs(2),
        check: |observation, node| check_word(observation, node, "status_api", &["answers"]),
    },
    Invariant {
        name: "member_unhealthy",
        demands: "the member calls itself healthy",
        roles: &["etcd"],
        required: true,
        // Without a leader no member does, and an election takes 1 to 2 s with the usual election timeout of 1 s.
        grace: Duration::from_secs(5),
        check: |observation, node| match observation.value(node, "healthy") {
            Value::Flag(true) => Finding::Holds,
            Value::Flag(false) => Finding::Violated("its /health says false".to_owned()),
            value => Finding::Unknown(value.to_string()),
        },
    },
    Invariant {
        name: "no_leader",
        demands: "at least one member knows a leader",
        roles: &[CLUSTER],
        required: true,
        grace: Duration::from_secs(5),
        check: |observation, node| check_leader(observation, node, "leader"),
    },
];
