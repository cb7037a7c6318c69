//! What must hold of a TiKV cluster.

use std::time::Duration;

use super::super::{CLUSTER, Finding, Invariant, check_leader, check_word};
use crate::reading::{NodeName, Observation, Value};

pub(super) const INVARIANTS: &[Invariant] = &[
    Invariant {
        name: "store_down",
        demands: "PD hears from the store: it calls it neither Disconnected nor Down",
        role: "tikv",
        grace: Duration::ZERO,
        check: store_down,
    },
    Invariant {
        name: "pd_member_down",
        demands: "the PD member answers its API",
        role: "pd",
        grace: Duration::ZERO,
        check: |observation, node| check_word(observation, node, "pd_health", &["healthy"]),
    },
    Invariant {
        name: "pd_no_leader",
        demands: "PD has a leader, so that stores can report and clients can find regions",
        role: CLUSTER,
        // An election takes 11 to 15 s when PD's leader dies (etcd election and the old lease).
        grace: Duration::from_secs(20),
        check: |observation, node| check_leader(observation, node, "pd_leader"),
    },
];

/// PD's word alone does not tell: for up to 10 s after a change of PD's leader it calls every store Disconnected, since
/// the new leader has only the heartbeats that were kept on disk (every 5 minutes; PD: pkg/core/store.go), and a store
/// that was just started is Disconnected until its first heartbeat.
fn store_down(observation: &Observation, node: &NodeName) -> Finding {
    let state = match observation.value(node, "store_state") {
        Value::Text(state) => state,
        value => return Finding::Unknown(value.to_string()),
    };
    let port = observation.value(node, "status_port");
    let answers = port.text() == Some("answers");
    match state.as_str() {
        "Offline" | "Tombstone" => Finding::Holds,
        "Up" if answers => Finding::Holds,
        "Up" => Finding::Unknown(format!("PD still says Up, status port: {port}")),
        "Disconnected" | "Down" if answers => Finding::Unknown(format!("PD says {state}, but the store answers")),
        "Disconnected" | "Down" => Finding::Violated(format!("PD says {state}, status port: {port}")),
        other => Finding::Unknown(format!("PD names a state that is not known here: {other}")),
    }
}
