//! What the engine says of the containers of a run that a fault can change.

use bollard::models::{ContainerInspectResponse, HostConfig};

use super::super::{ClusterError, Fingerprint, Node};
use super::{Engine, sweep};
use crate::reading::NodeName;

/// What is of no single node is listed under this name.
const CLUSTER: &str = "cluster";
/// A limit of memory from here on is none: there is no way back to none but a very large one.
const NO_LIMIT_FROM: i64 = 1 << 40;

/// Takes down the state, limits, networks and restarts of the nodes, and what the run has on the engine. Every call goes to
/// a container that was found by the run's label, so nothing else can have changed.
pub(super) async fn take(engine: &Engine, nodes: &[Node]) -> Result<Fingerprint, ClusterError> {
    let mut all = Fingerprint::default();
    let there = sweep::leftovers(&engine.docker, &engine.run).await?;
    for (kind, names) in [("container", there.containers), ("network", there.networks), ("volume", there.volumes)] {
        for name in names {
            all.add(&CLUSTER.into(), format!("{kind} {name}"), "there");
        }
    }
    for Node { name, .. } in nodes {
        add_node(&mut all, name, engine.inspect(name).await?);
    }
    Ok(all)
}

fn add_node(all: &mut Fingerprint, node: &NodeName, container: ContainerInspectResponse) {
    let state = container.state.unwrap_or_default();
    all.add(node, "process", state.status.map_or_else(String::new, |status| status.to_string()));
    all.add(node, "restarts by the engine", container.restart_count.unwrap_or(0).to_string());
    for (name, limit) in limits(&container.host_config.unwrap_or_default()) {
        all.add(node, name, limit.unwrap_or_else(|| "none".to_owned()));
    }
    let started = state.started_at.unwrap_or_default();
    for (network, endpoint) in container.network_settings.and_then(|settings| settings.networks).unwrap_or_default() {
        let mut aliases = endpoint.aliases.unwrap_or_default();
        aliases.sort();
        all.add(node, format!("names in {network}"), aliases.join(", "));
        let address = endpoint.ip_address.unwrap_or_default();
        all.add_until_restart(node, &started, format!("address in {network}"), address);
    }
}

/// The limits that can be changed while a container runs, in one way of writing each; none where there is none.
fn limits(config: &HostConfig) -> [(&'static str, Option<String>); 5] {
    let set = |value: Option<i64>| value.filter(|value| *value > 0);
    let bytes = |value: Option<i64>| set(value).filter(|bytes| *bytes < NO_LIMIT_FROM).map(|bytes| bytes.to_string());
    let cores = match config.cpu_quota.unwrap_or(0) {
        0 => set(config.nano_cpus).map(|nano| format!("{nano} billionths of a core")),
        quota => set(Some(quota)).map(|quota| format!("{quota} of {} µs", set(config.cpu_period).unwrap_or(100_000))),
    };
    [
        ("memory limit", bytes(config.memory)),
        ("limit of memory and swap", bytes(config.memory_swap)),
        ("processor limit", cores),
        ("processor shares", set(config.cpu_shares).map(|shares| shares.to_string())),
        ("limit of processes", set(config.pids_limit).map(|processes| processes.to_string())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_has_one_name_however_it_is_written() {
        let none = limits(&HostConfig::default());
        assert!(none.iter().all(|(_, limit)| limit.is_none()), "{none:?}");
        let lifted = HostConfig {
            memory: Some(NO_LIMIT_FROM),
            memory_swap: Some(-1),
            cpu_quota: Some(-1),
            nano_cpus: Some(200_000_000),
            pids_limit: Some(0),
            ..HostConfig::default()
        };
        assert_eq!(limits(&lifted), none);
        let limited = HostConfig { cpu_quota: Some(20_000), memory: Some(300 << 20), ..HostConfig::default() };
        assert_eq!(limits(&limited)[2].1.as_deref(), Some("20000 of 100000 µs"));
        assert_ne!(limits(&limited)[0], none[0]);
    }
}
