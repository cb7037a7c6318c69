//! A model of a TiKV cluster, in this process and in virtual time: what PD and TiKV would answer, log and do, at the
//! times at which they would. It does nothing outside itself, and reads neither the machine's clock nor its chance:
//! the same seed and the same acts give the same future, to the byte.
//!
//! Its figures come from the sources of PD and TiKV 8.5.5 (`pd:…` and `tikv:…` name their files) and from
//! `fixtures/recordings`, which it is tested against.

mod acts;
mod agenda;
mod api;
mod bodies;
mod disk;
mod faults;
pub mod go_format;
mod layout;
mod lifecycle;
mod lines;
mod load;
mod log;
mod merge;
mod metrics;
mod model;
mod network;
mod parameters;
mod pd;
mod pd_config;
mod process;
mod prometheus;
pub mod promql;
mod region;
mod resources;
mod schedule;
mod schedulers;
pub mod serve;
mod shutdown;
mod split;
mod store;
mod unsafe_recovery;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use self::api::Answer;
pub use self::load::ClientSecond;
use self::model::{Model, Place, STEP};
use self::pd::Phase;
use self::region::Region;
use super::{Cluster, ClusterError, Fault, Fingerprint, Fork, LoadSpec, LogLine, Node, ProcessState, Toll, Undo};
use crate::clock::{self, Clock, Interrupted};
use crate::http::{Http, HttpError, Request, Response};
use crate::reading::NodeName;

/// The version that TiKV tells PD.
const TIKV_VERSION: &str = "8.5.5";
/// The commit that TiKV was built from.
const TIKV_GIT_HASH: &str = "a0234aad114258b60e0ec23c17486c79845299be";
/// The version of PD.
const PD_VERSION: &str = "v8.5.5";
/// The commit that PD was built from.
const PD_GIT_HASH: &str = "9c9a8c8a25684b3516e11bc92922df99302c9c46";
/// When virtual time begins: 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp::constant(1_767_225_600, 0);
/// How long a cluster may take to become ready; it takes about half a minute.
const READY_TIMEOUT: Duration = Duration::from_mins(5);

/// The time that is so long after the beginning of virtual time.
fn instant(since_start: Duration) -> Timestamp {
    clock::after(START, since_start)
}

/// What a modelled cluster consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topology {
    /// How many members PD has.
    pub pd: usize,
    /// How many stores there are; a region has replicas on three of them, or on all if there are fewer.
    pub tikv: usize,
    /// How many regions there are; never fewer than the 5 of an empty cluster.
    pub regions: usize,
    /// What clients ask of the table; without them all regions hibernate.
    pub load: Option<LoadSpec>,
    /// What decides everything that chance decides.
    pub seed: u64,
}

impl Default for Topology {
    fn default() -> Self {
        Self { pd: 3, tikv: 3, regions: 24, load: Some(LoadSpec::RECORDED), seed: 0 }
    }
}

/// What a region has suffered, by faults and by what was done about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// The id of the region.
    pub region: u64,
    /// How long it had no leader, since it first had one: so long no client could read or write in it.
    pub without_leader: Duration,
    /// The writes of so long a time were acknowledged and are lost; zero if none are.
    pub lost_writes: Duration,
}

/// A modelled cluster.
#[derive(Debug)]
pub struct EmbeddedCluster {
    nodes: Vec<Node>,
    model: Mutex<Model>,
}

impl EmbeddedCluster {
    /// A cluster whose processes were not started yet, at the beginning of virtual time.
    #[must_use]
    pub fn new(topology: Topology) -> Self {
        let model = Model::new(&topology);
        let node = |name: &NodeName, role: &str| Node { name: name.clone(), role: role.to_owned() };
        let members = model.members.iter().map(|member| node(&member.name, "pd"));
        let nodes = members.chain(model.stores.iter().map(|store| node(&store.name, "tikv"))).collect();
        Self { nodes, model: Mutex::new(model) }
    }

    /// A copy with a future of its own. Whatever happens to the one does not touch the other; what happens to both
    /// alike comes out alike.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { nodes: self.nodes.clone(), model: Mutex::new(self.model().clone()) }
    }

    /// Adds a store beside those that there are, on a machine of its own, and starts it. Returns its node.
    pub fn add_store(&mut self) -> NodeName {
        let mut model = self.model();
        let index = lifecycle::add_store(&mut model);
        let name = model.stores[index].name.clone();
        drop(model);
        self.nodes.push(Node { name: name.clone(), role: "tikv".to_owned() });
        name
    }

    /// What every region has suffered since the beginning, in the order of their ids.
    #[must_use]
    pub fn damage(&self) -> Vec<Damage> {
        let model = self.model();
        let damage = |region: &Region| Damage {
            region: region.id,
            without_leader: region.harm.without_leader(model.now),
            lost_writes: region.harm.lost_writes(),
        };
        let mut damages: Vec<Damage> = model.regions.iter().map(damage).collect();
        damages.sort_by_key(|damage| damage.region);
        damages
    }

    /// What the clients saw since they began, as far as it is kept: an hour and more. They begin when every region has
    /// a leader.
    #[must_use]
    pub fn client(&self) -> Vec<ClientSecond> {
        self.model().load.rows()
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, node: &NodeName) -> Result<Place, ClusterError> {
        self.model().place(node.as_str()).ok_or_else(|| ClusterError::NoSuchNode(node.clone()))
    }
}

/// Whether everything runs, is known to PD and is in its place.
fn ready(model: &Model) -> bool {
    matches!(model.leadership.phase, Phase::Serving { .. })
        && model.members.iter().all(|member| member.serves(model.now))
        && model.stores.iter().all(|store| store.serves() && store.view.is_target(model.now))
        && model.live_regions().all(|region| region.reported && region.leader == region.known_leader)
        && schedule::balanced(model)
}

#[async_trait]
impl Clock for EmbeddedCluster {
    fn now(&self) -> Timestamp {
        instant(self.model().now)
    }

    async fn sleep(&self, span: Duration) {
        self.model().advance(span);
        // A loop of virtual waits would otherwise never let another task of the same thread run.
        tokio::task::yield_now().await;
    }
}

#[async_trait]
impl Http for EmbeddedCluster {
    /// Costs virtual time only where the real cluster would let the caller wait. Requests that are sent together wait
    /// together.
    async fn send(&self, request: &Request) -> Result<Response, HttpError> {
        let began = self.model().now;
        let deadline = began + request.timeout;
        loop {
            {
                let mut model = self.model();
                let now = model.now;
                match api::answer(&mut model, request)? {
                    Answer::Now(response) => return Ok(response),
                    Answer::Later(Some((patience, response))) if now >= began + patience => return Ok(response),
                    Answer::Later(_) if now >= deadline => {
                        return Err(HttpError::TimedOut { url: request.url(), after: request.timeout });
                    }
                    Answer::Later(_) => {}
                }
            }
            let seen = self.model().now;
            // Whoever asks at the same time begins to wait now, too.
            tokio::task::yield_now().await;
            let mut model = self.model();
            if model.now == seen {
                let span = STEP.min(deadline.saturating_sub(seen));
                model.advance(span);
            }
        }
    }
}

#[async_trait]
impl Cluster for EmbeddedCluster {
    fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    fn clock(&self) -> &dyn Clock {
        self
    }

    fn http(&self) -> &dyn Http {
        self
    }

    async fn up(&self, cancel: &CancellationToken) -> Result<(), ClusterError> {
        let mut model = self.model();
        for node in &self.nodes {
            if let Some(place) = model.place(node.name.as_str()) {
                model.start(place);
            }
        }
        let deadline = model.now + READY_TIMEOUT;
        while !ready(&model) {
            if cancel.is_cancelled() {
                return Err(Interrupted.into());
            }
            if model.now >= deadline {
                let reason = format!("not ready after {READY_TIMEOUT:?} of virtual time");
                return Err(ClusterError::environment(
                    "start the modelled cluster",
                    reason,
                    "Give it at least one PD and one TiKV.",
                ));
            }
            model.advance(STEP);
        }
        Ok(())
    }

    async fn process(&self, node: &NodeName) -> Result<ProcessState, ClusterError> {
        let place = self.place(node)?;
        Ok(self.model().process(place).state())
    }

    async fn inject(&self, fault: &Fault) -> Result<(), ClusterError> {
        faults::inject(&mut self.model(), fault)
    }

    async fn missing_effect(&self, fault: &Fault) -> Result<Option<String>, ClusterError> {
        faults::missing_effect(&self.model(), fault)
    }

    async fn heal(&self, undo: &Undo) -> Result<(), ClusterError> {
        faults::heal(&mut self.model(), undo)
    }

    fn add_node(&mut self, role: &str) -> Result<NodeName, ClusterError> {
        match role {
            "tikv" => Ok(self.add_store()),
            _ => Err(ClusterError::environment(format!("adding a {role} node"), "the model adds stores only", "")),
        }
    }

    fn fork(&self) -> Option<Box<dyn Fork>> {
        Some(Box::new(Self::fork(self)))
    }

    async fn fingerprint(&self) -> Result<Fingerprint, ClusterError> {
        Ok(faults::fingerprint(&self.model(), &self.nodes))
    }

    async fn logs(&self, since: Timestamp) -> Result<Vec<LogLine>, ClusterError> {
        Ok(self.model().log.since(since))
    }

    async fn down(&self) -> Result<(), ClusterError> {
        let mut model = self.model();
        for node in &self.nodes {
            if let Some(place) = model.place(node.name.as_str()) {
                model.kill(place, 0);
            }
        }
        Ok(())
    }
}

impl Fork for EmbeddedCluster {
    fn toll(&self) -> Toll {
        let model = self.model();
        let mean = |spans: Vec<Duration>| {
            let count = u32::try_from(spans.len()).unwrap_or(u32::MAX).max(1);
            spans.into_iter().sum::<Duration>() / count
        };
        let without_leader = model.live_regions().map(|region| region.harm.without_leader(model.now)).collect();
        let used = model.live_regions().filter(|region| region.active);
        Toll {
            without_leader: mean(without_leader),
            without_placement: model.leadership.without_leader(),
            lost_writes: mean(used.map(|region| region.harm.lost_writes()).collect()),
            ..model.load.toll()
        }
    }
}
