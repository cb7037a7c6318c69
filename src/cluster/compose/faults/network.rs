//! Faults of the network: rules in the network of the target, which an agent sets there, and what processes in that
//! network experience.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use super::super::Engine;
use super::super::agent::{self, Agent, Post};
use super::{not_here, rules, sight};
use crate::cluster::{ClusterError, Fault, FaultKind, ProcessState};
use crate::reading::NodeName;

/// How often it is looked whether the target or a peer has another network than when the rules were set.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a network may take to work before a fault and after it, and a fault that is set again to show.
const WORKS_WITHIN: Duration = Duration::from_secs(10);
/// How often that is looked for.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// A fault of the network that this process keeps in force.
#[derive(Debug)]
pub(super) struct Kept {
    setting: Arc<Mutex<Setting>>,
    keeper: AbortHandle,
}

/// How a fault is set.
#[derive(Debug)]
struct Setting {
    agent: Agent,
    /// The network of the target's container; the container gets another one when it starts again.
    sandbox: String,
    /// The peers' addresses that the rules name.
    peers: Vec<IpAddr>,
    /// By what the fault is seen from within the network.
    witnesses: Vec<String>,
    /// Why the fault does not act any more.
    ended: Option<String>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Kept {
    /// Sets a fault and keeps it in force. `peers` are those whose packets are meant, or who see it if all are.
    pub(super) async fn set(engine: &Engine, fault: &Fault, peers: Vec<NodeName>) -> Result<Self, ClusterError> {
        let setting = Arc::new(Mutex::new(set(engine, fault, &peers).await?));
        let keeper = tokio::spawn(keep(engine.clone(), fault.clone(), peers, Arc::clone(&setting)));
        Ok(Self { setting, keeper: keeper.abort_handle() })
    }

    /// Ends this process' part in it, when nothing is being set any more.
    pub(super) async fn end(self) {
        let _not_being_set = self.setting.lock().await;
        self.keeper.abort();
    }

    /// What is seen instead of the fault's effect, if that does not show.
    pub(super) async fn missing_effect(&self, fault: &Fault) -> Result<Option<String>, ClusterError> {
        let setting = self.setting.lock().await;
        match &setting.ended {
            Some(reason) => Ok(Some(reason.clone())),
            None => setting.missing_effect(fault).await,
        }
    }

    /// Why the fault does not act any more, if it is known not to.
    pub(super) async fn ended(&self) -> Option<String> {
        self.setting.lock().await.ended.clone()
    }
}

impl Setting {
    async fn missing_effect(&self, fault: &Fault) -> Result<Option<String>, ClusterError> {
        sight::missing_effect(&self.agent, fault, &self.witnesses).await
    }
}

async fn set(engine: &Engine, fault: &Fault, peers: &[NodeName]) -> Result<Setting, ClusterError> {
    let Some(node) = fault.node() else { return Err(not_here(fault)) };
    let container = engine.inspect(node).await?;
    let (mut addresses, mut endpoints) = (Vec::new(), Vec::new());
    for peer in peers {
        let peer = engine.inspect(peer).await?;
        let of_peer = addresses_of(&peer);
        endpoints.extend(sight::endpoints_of(&peer, &of_peer));
        addresses.extend(of_peer);
    }
    let whom = if meets_all(fault) { &[][..] } else { &addresses[..] };
    let Some(means) = rules::means(fault, whom) else { return Err(not_here(fault)) };
    let agent = start_agent(engine, fault, &container).await?;
    // What an agent that was killed has left behind would spoil what is seen before the fault.
    agent.run(&means.remove).await?;
    let witnesses = wait_for_witnesses(&agent, fault, &endpoints).await?;
    if witnesses.is_empty() {
        let reason = format!("from {node}, {}, so the effect could not be seen", sight::no_witness(fault, &endpoints));
        return Err(ClusterError::environment(format!("doing {fault}"), reason, "let one of its peers run"));
    }
    agent.undo_by(&means.remove).await?;
    agent.run(&means.set).await?;
    agent.renew_by(&means.renew).await?;
    Ok(Setting { agent, sandbox: sandbox(&container), peers: addresses, witnesses, ended: None })
}

/// Keeps a fault in force: when the target or a peer has another network, it is set again, and its effect looked for.
async fn keep(engine: Engine, fault: Fault, peers: Vec<NodeName>, setting: Arc<Mutex<Setting>>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let mut setting = setting.lock().await;
        setting.ended = match look_after(&engine, &fault, &peers, &mut setting).await {
            Ok(missing) => missing.map(|seen| format!("{fault} was set again and does not act: {seen}")),
            Err(error) => Some(format!("{fault} could not be kept in force: {error}")),
        };
    }
}

/// What is seen instead of the effect, if the fault had to be set again and does not show.
async fn look_after(
    engine: &Engine,
    fault: &Fault,
    peers: &[NodeName],
    setting: &mut Setting,
) -> Result<Option<String>, ClusterError> {
    let Some(node) = fault.node() else { return Err(not_here(fault)) };
    // Without a process it has no network. When it runs again, it has a new one.
    if matches!(engine.process(node).await?, ProcessState::Exited { .. }) {
        return Ok(setting.ended.clone());
    }
    let mut moved = sandbox(&engine.inspect(node).await?) != setting.sandbox;
    for peer in peers {
        let addresses = addresses_of(&engine.inspect(peer).await?);
        moved |= addresses.iter().any(|address| !setting.peers.contains(address));
    }
    if !moved && setting.agent.renew().await.is_ok() {
        return Ok(setting.ended.clone());
    }
    // An agent that is still there would take away, at its end, what the next one has set in the same network.
    agent::dismiss(engine, &rules::name(fault)).await?;
    *setting = set(engine, fault, peers).await?;
    let deadline = tokio::time::Instant::now() + WORKS_WITHIN;
    loop {
        let missing = setting.missing_effect(fault).await?;
        if missing.is_none() || tokio::time::Instant::now() >= deadline {
            return Ok(missing);
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
}

/// Takes away what a fault has set, whoever has set it, and proves that the network is as before: unless other faults act,
/// of whatever process, which may be why it is not.
pub(super) async fn lift(engine: &Engine, fault: &Fault, peers: &[NodeName]) -> Result<(), ClusterError> {
    let Some(node) = fault.node() else { return Err(not_here(fault)) };
    let Some(means) = rules::means(fault, &[]) else { return Err(not_here(fault)) };
    agent::dismiss(engine, &rules::name(fault)).await?;
    // The network ends with the process, and the rules with the network.
    if matches!(engine.process(node).await?, ProcessState::Exited { .. }) {
        return Ok(());
    }
    let mut endpoints = Vec::new();
    for peer in peers {
        let peer = engine.inspect(peer).await?;
        endpoints.extend(sight::endpoints_of(&peer, &addresses_of(&peer)));
    }
    let others_act = agent::any_in_network(engine).await?;
    let agent = start_agent(engine, fault, &engine.inspect(node).await?).await?;
    let proved = async {
        agent.run(&means.remove).await?;
        if others_act || endpoints.is_empty() || !wait_for_witnesses(&agent, fault, &endpoints).await?.is_empty() {
            return Ok(());
        }
        let reason = format!("it was taken away, and from {node} still {}", sight::no_witness(fault, &endpoints));
        Err(ClusterError::environment(format!("healing {fault}"), reason, "do its peers run?"))
    }
    .await;
    agent.end().await?;
    proved
}

/// What faults change of a node's network, as it is now; nothing if there is none, since the process has ended.
pub(super) async fn marks(engine: &Engine, node: &NodeName) -> Result<String, ClusterError> {
    if matches!(engine.process(node).await?, ProcessState::Exited { .. }) {
        return Ok(String::new());
    }
    let container = engine.container_id(node).await?;
    let purpose = format!("operator_run_marks_{node}");
    let capabilities = &["NET_ADMIN"];
    let post = Post { container: &container, purpose: &purpose, capabilities, network: true, ..Post::default() };
    let agent = Agent::start(engine, &post).await?;
    let marks = agent.run("marks").await;
    agent.end().await?;
    marks
}

/// Whether a fault is done in the network of its target.
pub(super) fn is_of_network(fault: &Fault) -> bool {
    rules::means(fault, &[]).is_some()
}

/// Whether a fault is between its target and everybody.
fn meets_all(fault: &Fault) -> bool {
    !matches!(fault.kind(), FaultKind::Partition { from, .. } | FaultKind::Reset { from } if !from.is_empty())
}

async fn start_agent(
    engine: &Engine,
    fault: &Fault,
    container: &ContainerInspectResponse,
) -> Result<Agent, ClusterError> {
    let purpose = rules::name(fault);
    let container = container.id.as_deref().unwrap_or_default();
    let capabilities = &["NET_ADMIN"];
    Agent::start(engine, &Post { container, purpose: &purpose, capabilities, network: true, ..Post::default() }).await
}

/// By what a fault can be seen, as soon as there is something; nothing if there is none in time.
async fn wait_for_witnesses(agent: &Agent, fault: &Fault, endpoints: &[String]) -> Result<Vec<String>, ClusterError> {
    let deadline = tokio::time::Instant::now() + WORKS_WITHIN;
    loop {
        let witnesses = sight::witnesses(agent, fault, endpoints).await?;
        if !witnesses.is_empty() || tokio::time::Instant::now() >= deadline {
            return Ok(witnesses);
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
}

fn sandbox(container: &ContainerInspectResponse) -> String {
    container.network_settings.as_ref().and_then(|settings| settings.sandbox_id.clone()).unwrap_or_default()
}

/// A container's addresses in all its networks; none while it does not run.
fn addresses_of(container: &ContainerInspectResponse) -> Vec<IpAddr> {
    let networks = container.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let networks = networks.into_iter().flat_map(|networks| networks.values());
    let texts = networks.flat_map(|network| [&network.ip_address, &network.global_ipv6_address]);
    texts.flatten().filter_map(|text| text.parse().ok()).collect()
}
