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
use super::{not_here, rules};
use crate::cluster::{ClusterError, Fault, FaultKind, ProcessState};
use crate::reading::NodeName;

/// How often it is looked whether the target or a peer has another network than when the rules were set.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a connection may take before it counts as lost: less than the kernel waits before it sends a lost packet
/// again (`TCP_TIMEOUT_INIT`, 1 s), so that one lost packet is seen.
const CONNECTS_WITHIN: &str = "0.9";
/// How many connections are tried at a time to see that some packets are lost.
const TRIES_OF_LOSS: usize = 20;
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
    /// What answered from within the network before the fault.
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
        let all_lost = matches!(fault.kind(), FaultKind::Partition { .. });
        let tried = if all_lost { self.witnesses.clone() } else { vec![self.witnesses[0].clone(); TRIES_OF_LOSS] };
        let answered = answering(&self.agent, &tried).await?;
        let shows = if all_lost { answered.is_empty() } else { answered.len() < tried.len() };
        Ok((!shows).then(|| format!("{} answered each time", answered.join(", "))))
    }
}

async fn set(engine: &Engine, fault: &Fault, peers: &[NodeName]) -> Result<Setting, ClusterError> {
    let Some(node) = fault.node() else { return Err(not_here(fault)) };
    let container = engine.inspect(node).await?;
    let (mut addresses, mut endpoints) = (Vec::new(), Vec::new());
    for peer in peers {
        let peer = engine.inspect(peer).await?;
        let of_peer = addresses_of(&peer);
        endpoints.extend(endpoints_of(&peer, &of_peer));
        addresses.extend(of_peer);
    }
    let meant = if meets_all(fault) { &[][..] } else { &addresses[..] };
    let Some(rules) = rules::set(fault, meant) else { return Err(not_here(fault)) };
    let table = rules::table(fault);
    let agent = start_agent(engine, fault, &container).await?;
    // What an agent that was killed has left behind would spoil what is seen before the fault.
    agent.run(&rules::remove(&table)).await?;
    let witnesses = wait_for_answers(&agent, &endpoints).await?;
    if witnesses.is_empty() {
        let reason = format!("none of {} answers {node}, so the effect could not be seen", endpoints.join(", "));
        return Err(ClusterError::environment(format!("doing {fault}"), reason, "let one of its peers run"));
    }
    agent.undo_by(&rules::remove(&table)).await?;
    agent.run(&rules).await?;
    agent.renew_by(&rules::renew(&table)).await?;
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

/// Takes away what a fault has set, whoever has set it, and proves that packets pass again: unless `others_act`, other
/// faults that may be why they do not.
pub(super) async fn lift(
    engine: &Engine,
    fault: &Fault,
    peers: &[NodeName],
    others_act: bool,
) -> Result<(), ClusterError> {
    let Some(node) = fault.node() else { return Err(not_here(fault)) };
    let table = rules::table(fault);
    agent::dismiss(engine, &table).await?;
    // The network ends with the process, and the rules with the network.
    if matches!(engine.process(node).await?, ProcessState::Exited { .. }) {
        return Ok(());
    }
    let mut endpoints = Vec::new();
    for peer in peers {
        let peer = engine.inspect(peer).await?;
        endpoints.extend(endpoints_of(&peer, &addresses_of(&peer)));
    }
    let agent = start_agent(engine, fault, &engine.inspect(node).await?).await?;
    let proved = async {
        agent.run(&rules::remove(&table)).await?;
        if others_act || endpoints.is_empty() || !wait_for_answers(&agent, &endpoints).await?.is_empty() {
            return Ok(());
        }
        let reason = format!("{node} has no such rules any more, and still none of {} answers", endpoints.join(", "));
        Err(ClusterError::environment(format!("healing {fault}"), reason, "do its peers run?"))
    }
    .await;
    agent.end().await?;
    proved
}

/// Whether a fault is between its target and everybody.
fn meets_all(fault: &Fault) -> bool {
    !matches!(fault.kind(), FaultKind::Partition { from, .. } if !from.is_empty())
}

async fn start_agent(
    engine: &Engine,
    fault: &Fault,
    container: &ContainerInspectResponse,
) -> Result<Agent, ClusterError> {
    let purpose = rules::table(fault);
    let container = container.id.as_deref().unwrap_or_default();
    let capabilities = &["NET_ADMIN"];
    Agent::start(engine, &Post { container, purpose: &purpose, capabilities, network: true, volumes: false }).await
}

/// Those of some endpoints that answer a connection, if only by refusing it.
async fn answering(agent: &Agent, endpoints: &[String]) -> Result<Vec<String>, ClusterError> {
    let command = format!(
        "for at in {}; do (said=$(timeout {CONNECTS_WITHIN} bash -c \"exec 3<>/dev/tcp/$at\" 2>&1); \
         case $?$said in 0* | *refused*) echo \"$at\" ;; esac) & done; wait",
        endpoints.join(" ")
    );
    let said = agent.run(&command).await?;
    Ok(said.split(" | ").filter(|at| !at.is_empty()).map(str::to_owned).collect())
}

/// The endpoints that answer, as soon as there is one; none if there is none in time.
async fn wait_for_answers(agent: &Agent, endpoints: &[String]) -> Result<Vec<String>, ClusterError> {
    let deadline = tokio::time::Instant::now() + WORKS_WITHIN;
    loop {
        let answered = answering(agent, endpoints).await?;
        if !answered.is_empty() || tokio::time::Instant::now() >= deadline {
            return Ok(answered);
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

/// What can be connected to at a container, as bash writes it: each address with its lowest port, or with a port that
/// nobody serves, which answers as well, by a refusal.
fn endpoints_of(container: &ContainerInspectResponse, addresses: &[IpAddr]) -> Vec<String> {
    const NOBODY_SERVES: u16 = 9;
    let ports = container.config.as_ref().and_then(|config| config.exposed_ports.as_ref());
    let numbers = ports.into_iter().flatten().filter_map(|port| port.strip_suffix("/tcp")?.parse().ok());
    let port = numbers.min().unwrap_or(NOBODY_SERVES);
    addresses.iter().map(|address| format!("{address}/{port}")).collect()
}
