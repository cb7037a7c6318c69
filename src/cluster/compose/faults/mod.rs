//! What is done to containers, how that shows, and how it is undone. A kind of fault is a few functions in a file of this
//! folder: one that does it, one that says what is seen instead of its effect, and one that undoes it and returns when its
//! end was seen. Those are named in [`Faults`]. The effect and its end are proved by what processes experience, never by a
//! setting that is there. What must be done inside a container's network is done by an [`Agent`](super::agent::Agent), which
//! undoes it when the runner is gone.

mod control_group;
mod disconnect;
mod disk;
mod exec;
mod flap;
mod limits;
mod network;
mod process;
mod rules;
mod sight;

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::errors::Error as DockerError;
use bollard::models::ContainerInspectResponse;
use tokio::sync::Mutex;

use super::super::{ClusterError, Fault, FaultKind, Fingerprint, Undo};
use super::{Engine, engine_error};
use crate::reading::NodeName;
use control_group::Held;
use disk::Filler;
use flap::{Flapping, Rhythm};
use network::Kept;

/// How soon the end of a fault must show.
const HEALS_WITHIN: Duration = Duration::from_secs(20);
/// How often it is looked for. No event of the engine tells.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The container of a node.
struct Container<'a> {
    docker: &'a bollard::Docker,
    node: &'a NodeName,
    id: String,
}

impl<'a> Container<'a> {
    async fn find(engine: &'a Engine, node: &'a NodeName) -> Result<Self, ClusterError> {
        Ok(Self { docker: &engine.docker, node, id: engine.container_id(node).await? })
    }

    async fn inspect(&self) -> Result<ContainerInspectResponse, ClusterError> {
        let inspected = self.docker.inspect_container(&self.id, None).await;
        inspected.map_err(|error| self.failed("inspecting", &error))
    }

    /// An error of the engine in the middle of doing something with the node.
    fn failed(&self, doing: &str, error: &DockerError) -> ClusterError {
        engine_error(&format!("{doing} {}", self.node), error)
    }

    /// Waits until nothing of a fault is seen any more.
    async fn wait_healed<F>(&self, doing: &str, still_seen: impl Fn() -> F) -> Result<(), ClusterError>
    where
        F: Future<Output = Result<Option<String>, ClusterError>>,
    {
        let deadline = tokio::time::Instant::now() + HEALS_WITHIN;
        while let Some(seen) = still_seen().await? {
            if tokio::time::Instant::now() >= deadline {
                let reason = format!("after {} s, {seen}", HEALS_WITHIN.as_secs());
                return Err(ClusterError::environment(format!("{doing} {}", self.node), reason, ""));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

/// The faults of a cluster of containers.
#[derive(Debug)]
pub(super) struct Faults {
    engine: Engine,
    nodes: Vec<NodeName>,
    /// The faults that this process keeps in force, by the names of what they have set.
    kept: Mutex<BTreeMap<String, Kept>>,
    /// The nodes that this process lets come and go.
    flapping: Mutex<BTreeMap<NodeName, Flapping>>,
    /// What was in the nodes' networks before the first fault of each: rules and disciplines.
    marks: Mutex<BTreeMap<NodeName, String>>,
    /// The nodes whose disks this process keeps full.
    fillers: Mutex<BTreeMap<NodeName, Filler>>,
    /// The faults of control groups that this process keeps in force, by their names.
    held: Mutex<BTreeMap<String, Held>>,
}

impl Faults {
    /// None yet, of a cluster with these nodes.
    pub(super) fn new(engine: Engine, nodes: Vec<NodeName>) -> Self {
        Self {
            engine,
            nodes,
            kept: Mutex::default(),
            flapping: Mutex::default(),
            marks: Mutex::default(),
            fillers: Mutex::default(),
            held: Mutex::default(),
        }
    }

    /// What will undo a fault, with what is to be put back.
    pub(super) async fn undo(&self, fault: &Fault) -> Result<Undo, ClusterError> {
        let container = self.container(fault).await?;
        match fault.kind() {
            FaultKind::LimitCpu { .. } => limits::undo_of_cpu(&container).await,
            FaultKind::LimitMemory { .. } => limits::undo_of_memory(&container).await,
            FaultKind::Disconnect => disconnect::undo(&container).await,
            _ if network::is_of_network(fault) => {
                let mut marks = self.marks.lock().await;
                if !marks.contains_key(container.node) {
                    let before = network::marks(&self.engine, container.node).await?;
                    marks.insert(container.node.clone(), before);
                }
                Ok(fault.undo())
            }
            _ => Ok(fault.undo()),
        }
    }

    /// Does a fault.
    pub(super) async fn inject(&self, fault: &Fault) -> Result<(), ClusterError> {
        let container = self.container(fault).await?;
        let node = container.node;
        match fault.kind() {
            _ if network::is_of_network(fault) => {
                let (mut kept, name) = (self.kept.lock().await, rules::name(fault));
                if kept.contains_key(&name) {
                    return Err(acts_already(fault));
                }
                kept.insert(name, Kept::set(&self.engine, fault, self.peers(fault, node)).await?);
                Ok(())
            }
            _ if control_group::is_of_control_group(fault) => {
                let (mut held, name) = (self.held.lock().await, control_group::name(fault, &container));
                if held.contains_key(&name) {
                    return Err(acts_already(fault));
                }
                held.insert(name, Held::set(&self.engine, fault, &container).await?);
                Ok(())
            }
            FaultKind::Flap { up, down, count } => {
                let rhythm = Rhythm { up: *up, down: *down, count: *count };
                let flapping = Flapping::begin(self.engine.clone(), node.clone(), rhythm);
                self.flapping.lock().await.insert(node.clone(), flapping);
                Ok(())
            }
            FaultKind::FillDisk { leave } => {
                let mut fillers = self.fillers.lock().await;
                if fillers.contains_key(node) {
                    return Err(acts_already(fault));
                }
                fillers.insert(node.clone(), Filler::begin(&self.engine, node, *leave).await?);
                Ok(())
            }
            FaultKind::LimitCpu { cores } => limits::limit_cpu(&container, *cores).await,
            FaultKind::LimitMemory { to } => limits::limit_memory(&container, to.0).await,
            FaultKind::Disconnect => disconnect::disconnect(&container).await,
            FaultKind::Exec { command, .. } => exec::inject(&container, command).await,
            _ => process::inject(&container, fault).await,
        }
    }

    /// What is seen instead of the effect of a fault, if that does not show.
    pub(super) async fn missing_effect(&self, fault: &Fault) -> Result<Option<String>, ClusterError> {
        let container = self.container(fault).await?;
        let not_done = || Some("it was not done".to_owned());
        match fault.kind() {
            _ if network::is_of_network(fault) => match self.kept.lock().await.get(&rules::name(fault)) {
                Some(kept) => kept.missing_effect(fault).await,
                None => Ok(not_done()),
            },
            _ if control_group::is_of_control_group(fault) => {
                match self.held.lock().await.get(&control_group::name(fault, &container)) {
                    Some(held) => held.missing_effect().await,
                    None => Ok(not_done()),
                }
            }
            FaultKind::Disconnect => disconnect::missing_effect(&self.engine, &container).await,
            FaultKind::Flap { .. } => {
                let flapping = self.flapping.lock().await;
                Ok(flapping.get(container.node).map_or_else(not_done, Flapping::missing_effect))
            }
            FaultKind::FillDisk { .. } => match self.fillers.lock().await.get(container.node) {
                Some(filler) => filler.missing_effect().await,
                None => Ok(not_done()),
            },
            FaultKind::LimitCpu { cores } => limits::missing_shortage_of_cpu(&container, *cores).await,
            FaultKind::LimitMemory { to } => limits::missing_end_for_want_of_memory(&container, to.0).await,
            // Its exit code was seen when it was done.
            FaultKind::Exec { .. } => Ok(None),
            _ => process::missing_effect(&container, fault).await,
        }
    }

    /// Adds what is in the networks in which a fault was done and was not there before.
    pub(super) async fn add_marks(&self, fingerprint: &mut Fingerprint) -> Result<(), ClusterError> {
        for (node, before) in &*self.marks.lock().await {
            let now = network::marks(&self.engine, node).await?;
            let new: Vec<&str> = now.split(" | ").filter(|mark| !before.split(" | ").any(|old| old == *mark)).collect();
            if !new.concat().is_empty() {
                fingerprint.add(node, "what faults leave in its network", new.join(", "));
            }
        }
        Ok(())
    }

    /// Why a fault does not act any more that should, if there is one.
    pub(super) async fn ended(&self) -> Option<String> {
        for kept in self.kept.lock().await.values() {
            if let Some(reason) = kept.ended().await {
                return Some(reason);
            }
        }
        for held in self.held.lock().await.values() {
            if let Some(reason) = held.ended().await {
                return Some(reason);
            }
        }
        for filler in self.fillers.lock().await.values() {
            if let Some(reason) = filler.ended().await {
                return Some(reason);
            }
        }
        None
    }

    /// Undoes a fault, also one that another process has done, and returns when its end was seen. What is undone already is
    /// left alone.
    pub(super) async fn heal(&self, undo: &Undo) -> Result<(), ClusterError> {
        let find = |node| Container::find(&self.engine, node);
        match undo {
            Undo::Start { node } => {
                let flapping = self.flapping.lock().await.remove(node);
                let ended = match flapping {
                    Some(flapping) => flapping.end().await,
                    None => Ok(()),
                };
                // Whatever went wrong with the fault, it is undone.
                process::start(&find(node).await?).await?;
                ended
            }
            Undo::Resume { node } => process::resume(&find(node).await?).await,
            Undo::Reconnect { node, before } => disconnect::reconnect(&self.engine, &find(node).await?, before).await,
            Undo::RestoreCpu { node, before } => limits::restore_cpu(&find(node).await?, before).await,
            Undo::RestoreMemory { node, before } => limits::restore_memory(&find(node).await?, before).await,
            Undo::Lift { fault } => self.lift(fault).await,
        }
    }

    async fn lift(&self, fault: &Fault) -> Result<(), ClusterError> {
        let container = self.container(fault).await?;
        match fault.kind() {
            _ if network::is_of_network(fault) => {
                let kept = self.kept.lock().await.remove(&rules::name(fault));
                if let Some(kept) = kept {
                    kept.end().await;
                }
                network::lift(&self.engine, fault, &self.peers(fault, container.node)).await
            }
            _ if control_group::is_of_control_group(fault) => {
                self.held.lock().await.remove(&control_group::name(fault, &container));
                control_group::lift(&self.engine, fault, &container).await
            }
            FaultKind::FillDisk { leave } => {
                self.fillers.lock().await.remove(container.node);
                disk::free_up(&self.engine, &container, *leave).await
            }
            FaultKind::Freeze => process::thaw(&container).await,
            FaultKind::Exec { undo, .. } => exec::heal(&container, undo).await,
            _ => Err(not_here(fault)),
        }
    }

    async fn container<'a>(&'a self, fault: &'a Fault) -> Result<Container<'a>, ClusterError> {
        Container::find(&self.engine, fault.node().ok_or_else(|| not_here(fault))?).await
    }

    /// Those between whom and the node a fault is: those that it names, or all others.
    fn peers(&self, fault: &Fault, node: &NodeName) -> Vec<NodeName> {
        match fault.kind() {
            FaultKind::Partition { from, .. } | FaultKind::Reset { from } if !from.is_empty() => from.clone(),
            _ => self.nodes.iter().filter(|other| *other != node).cloned().collect(),
        }
    }
}

fn acts_already(fault: &Fault) -> ClusterError {
    ClusterError::environment(fault.to_string(), "it acts already", "name it only once")
}

/// A plan with such a fault is refused before it gets here: [`FaultKind::backends`].
fn not_here(fault: &Fault) -> ClusterError {
    let advice = "run the scenario with --backend embedded";
    ClusterError::environment(fault.to_string(), "the backend compose cannot do that", advice)
}
