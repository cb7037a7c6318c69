//! The stores as PD sees them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::pd::{StoreInfo, Stores, ask_in_turn, bytes};
use crate::cluster::{Cluster, Node};
use crate::reading::{NodeName, Observation, Unit, Value};

/// TiKV's status port (TiKV: src/server/config.rs, `DEFAULT_STATUS_ADDR`), unless the store tells PD another.
const STATUS_PORT: u16 = 20180;

/// PD's view of each store, or why there is none.
pub(super) type Infos = Result<BTreeMap<NodeName, StoreInfo>, String>;

/// Finds out which node each store is. Stores that were removed are not listed unless they are asked for.
pub(super) async fn by_node(
    cluster: &dyn Cluster,
    pds: &[&Node],
    nodes: &[&Node],
    stores: Result<Stores, String>,
) -> Infos {
    let mut infos: BTreeMap<NodeName, StoreInfo> = stores?.stores.into_iter().map(with_node).collect();
    if nodes.iter().any(|node| !infos.contains_key(&node.name))
        && let Ok(removed) = ask_in_turn::<Stores>(cluster, pds, "/stores?state=2").await
    {
        for (node, info) in removed.stores.into_iter().map(with_node) {
            // Another store may have taken its place.
            infos.entry(node).or_insert(info);
        }
    }
    Ok(infos)
}

fn with_node(info: StoreInfo) -> (NodeName, StoreInfo) {
    let address = &info.store.address;
    let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
    (NodeName(host.to_owned()), info)
}

/// Where a store answers requests on its status, which is also what Prometheus calls it.
pub(super) fn status_address(infos: &Infos, node: &Node) -> String {
    let told = infos.as_ref().ok().and_then(|infos| infos.get(&node.name)?.store.status_address.clone());
    told.unwrap_or_else(|| format!("{}:{STATUS_PORT}", node.name))
}

/// Reads what PD says of each store.
pub(super) fn observe(observation: &mut Observation, nodes: &[&Node], infos: &Infos) {
    for node in nodes {
        let info = match infos {
            Ok(infos) => infos.get(&node.name).ok_or_else(|| "PD knows no store with this address".to_owned()),
            Err(reason) => Err(reason.clone()),
        };
        observe_store(observation, &node.name, &info);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts, and seconds since the epoch, are far below 2^52")]
fn observe_store(observation: &mut Observation, node: &NodeName, info: &Result<&StoreInfo, String>) {
    let now = observation.at;
    let mut read = |name: &str, unit: Unit, value: &dyn Fn(&StoreInfo) -> Value| {
        let value = info.as_ref().map_or_else(Value::unknown, |info| value(info));
        observation.push("pd", node, name, value, unit);
    };
    read("store_id", Unit::None, &|info| Value::Text(info.store.id.to_string()));
    read("store_state", Unit::None, &|info| Value::from(info.store.state_name.as_str()));
    read("heartbeat_age", Unit::Seconds, &|info| heartbeat_age(now, info.store.last_heartbeat));
    read("leaders", Unit::Count, &|info| Value::from(info.status.leader_count as f64));
    read("regions", Unit::Count, &|info| Value::from(info.status.region_count as f64));
    read("pending_peers", Unit::Count, &|info| Value::from(info.status.pending_peer_count as f64));
    read("available", Unit::None, &|info| info.available().map_or_else(Value::unknown, Value::from));
    read("available_share", Unit::None, &|info| info.available_share().map_or_else(Value::unknown, Value::from));
    read("slow_score", Unit::Count, &|info| {
        info.status.slow_score.map_or_else(|| Value::unknown("PD has none yet"), Value::from)
    });
    read("started", Unit::None, &|info| {
        Timestamp::from_second(info.store.start_timestamp).map_or_else(Value::unknown, |at| Value::Text(at.to_string()))
    });
    read("heard", Unit::None, &|info| Value::from(info.heard()));
}

impl StoreInfo {
    /// Whether PD's word on the store rests on its heartbeats: `yes`; `not_by_this_leader` if PD's leader is new and has
    /// had none from it, so that it has its state from before and none of its figures (PD: pkg/core/store.go;
    /// fixtures/recordings/pd-leader-kill.jsonl); or `not_since_start` if it has started again since, of which it tells PD
    /// at once, and sends its first heartbeat within 10 s.
    fn heard(&self) -> &'static str {
        if self.status.slow_score.is_none() && self.status.available == "0B" {
            "not_by_this_leader"
        } else if self.store.start_timestamp > self.store.last_heartbeat / 1_000_000_000 {
            "not_since_start"
        } else {
            "yes"
        }
    }

    /// The available space as PD writes it.
    fn available(&self) -> Result<&str, &'static str> {
        if self.heard() == "not_by_this_leader" {
            return Err("PD's leader has not heard from the store yet");
        }
        Ok(&self.status.available)
    }

    /// The share of the capacity that is available, to a thousandth.
    fn available_share(&self) -> Result<f64, String> {
        let capacity = bytes(self.status.capacity.as_deref().ok_or("PD does not say the capacity")?)?;
        Ok((bytes(self.available()?)? / capacity * 1000.0).round() / 1000.0)
    }
}

/// Seconds since PD last heard from a store, by PD's time of receipt, to a tenth.
fn heartbeat_age(now: Timestamp, last_heartbeat: i64) -> Value {
    if last_heartbeat == 0 {
        return Value::unknown("the store has never sent a heartbeat");
    }
    match Timestamp::from_nanosecond(i128::from(last_heartbeat)) {
        Ok(last) => Value::from((now.duration_since(last).as_secs_f64() * 10.0).round() / 10.0),
        Err(error) => Value::unknown(error),
    }
}
