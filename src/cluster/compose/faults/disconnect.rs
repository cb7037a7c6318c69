//! A container without networks, and how it gets them back.

use std::collections::BTreeMap;

use bollard::models::{
    ContainerInspectResponse, EndpointIpamConfig, EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest,
};

use super::super::super::{ClusterError, Connection, Undo};
use super::super::Engine;
use super::super::agent::{Agent, Post};
use super::Container;

/// What will connect the container again.
pub(super) async fn undo(container: &Container<'_>) -> Result<Undo, ClusterError> {
    Ok(Undo::Reconnect { node: container.node.clone(), before: connections(&container.inspect().await?) })
}

/// Takes the container out of all its networks.
pub(super) async fn disconnect(container: &Container<'_>) -> Result<(), ClusterError> {
    for network in connections(&container.inspect().await?).into_keys() {
        let request = NetworkDisconnectRequest { container: container.id.clone(), force: None };
        let disconnected = container.docker.disconnect_network(&network, request).await;
        disconnected.map_err(|error| container.failed(&format!("taking out of {network}:"), &error))?;
    }
    Ok(())
}

/// What is seen instead of a container without a link.
pub(super) async fn missing_effect(engine: &Engine, container: &Container<'_>) -> Result<Option<String>, ClusterError> {
    let links = ask(engine, container, "links").await?;
    Ok((!links.is_empty()).then(|| format!("{} has the links {links}", container.node)))
}

/// What a process in the container's network is told.
async fn ask(engine: &Engine, container: &Container<'_>, command: &str) -> Result<String, ClusterError> {
    let purpose = format!("operator_run_disconnect_{}", container.node);
    let post = Post { container: &container.id, purpose: &purpose, network: true, ..Post::default() };
    let agent = Agent::start(engine, &post).await?;
    let said = agent.run(command).await;
    agent.end().await?;
    said
}

/// Puts the container back into its networks, with its addresses and names, and proves that it has them.
pub(super) async fn reconnect(
    engine: &Engine,
    container: &Container<'_>,
    before: &BTreeMap<String, Connection>,
) -> Result<(), ClusterError> {
    let doing = "connecting again";
    let now = connections(&container.inspect().await?);
    for (network, connection) in before.iter().filter(|(network, _)| !now.contains_key(*network)) {
        let connected = connect(container, network, connection, Some(connection.address.clone())).await;
        let connected = match connected {
            // A network without a subnet of the user's own takes no wishes: the engine gives the lowest free address.
            Err(_) => connect(container, network, connection, None).await,
            outcome => outcome,
        };
        connected.map_err(|error| container.failed(doing, &error))?;
    }
    let missing = || async {
        let now = connections(&container.inspect().await?);
        let lacks = |(network, connection): (&String, &Connection)| {
            let aliases = now.get(network).map(|now| &now.aliases);
            (aliases != Some(&connection.aliases)).then(|| format!("in {network}, its names are {aliases:?}"))
        };
        Ok(before.iter().find_map(lacks))
    };
    container.wait_healed(doing, missing).await?;
    if container.inspect().await?.state.and_then(|state| state.running) != Some(true) {
        return Ok(());
    }
    let nameless = || async {
        let found = ask(engine, container, &format!("find_name {}", container.node)).await?;
        Ok(found.trim().is_empty().then(|| "it does not find its own name".to_owned()))
    };
    container.wait_healed(doing, nameless).await
}

async fn connect(
    container: &Container<'_>,
    network: &str,
    connection: &Connection,
    address: Option<String>,
) -> Result<(), bollard::errors::Error> {
    let ipam_config = address.map(|address| EndpointIpamConfig { ipv4_address: Some(address), ..Default::default() });
    let endpoint = EndpointSettings { ipam_config, aliases: Some(connection.aliases.clone()), ..Default::default() };
    let request = NetworkConnectRequest { container: container.id.clone(), endpoint_config: Some(endpoint) };
    container.docker.connect_network(network, request).await
}

/// The networks of a container.
fn connections(container: &ContainerInspectResponse) -> BTreeMap<String, Connection> {
    let networks = container.network_settings.as_ref().and_then(|settings| settings.networks.clone());
    let connection = |(network, endpoint): (String, EndpointSettings)| {
        let mut aliases = endpoint.aliases.unwrap_or_default();
        aliases.sort();
        aliases.dedup();
        (network, Connection { address: endpoint.ip_address.unwrap_or_default(), aliases })
    };
    networks.unwrap_or_default().into_iter().map(connection).collect()
}
