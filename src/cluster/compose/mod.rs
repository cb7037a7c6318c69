//! Real containers, by Docker Compose. The only room that talks to Docker.
//!
//! The Compose CLI brings the cluster up; everything else goes through the Engine's API. Containers, networks and volumes
//! are found by the run's label, never by name, and nothing without that label is ever touched.

mod agent;
mod cli;
pub mod doctor;
mod endpoint;
mod engine;
mod faults;
mod fingerprint;
mod project;
pub mod sweep;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::models::ContainerStateStatusEnum;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Cluster, ClusterError, Fault, FaultKind, Fingerprint, LogLine, Node, ProcessState, Undo};
use crate::clock::{Clock, Interrupted, SystemClock};
use crate::http::{Http, Request};
use crate::reading::NodeName;
use crate::runner::Runner;
use crate::units::Size;

use cli::{Compose, UpError};
use endpoint::ComposeHttp;
pub use engine::connect;
use engine::{Engine, HOST_VARIABLE, engine_error, run_filter};
use faults::Faults;
pub use project::{Addition, Disks, Project};
use project::{ProjectFolder, Service};
pub use project::{RunFolder, run_folders};

/// The label that all a run creates carries; its value is the run's id.
pub const RUN_LABEL: &str = "operator-run.run";
/// The label with the process that runs it: a [`Runner`] as JSON.
pub const RUNNER_LABEL: &str = "operator-run.runner";
/// The engine where nothing is said.
const USUAL_HOST: &str = "unix:///var/run/docker.sock";
/// The label with a container's node name.
const NODE_LABEL: &str = "operator-run.node";
/// The label with a container's role.
const ROLE_LABEL: &str = "operator-run.role";

/// The label with what answers with 200 when a node is well: a port and a path.
const READY_LABEL: &str = "operator-run.ready";

/// How often a node is asked whether it is well. No event tells.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// How long the Compose CLI may take to create the containers, a pull of images included.
const UP_WITHIN: Duration = Duration::from_mins(10);

/// How long the engine may take to make what a CLI asked for that is gone by now. No event tells that there is no more.
const LATE_CREATION: Duration = Duration::from_millis(500);

/// A cluster of containers.
#[derive(Debug)]
pub struct ComposeCluster {
    engine: Engine,
    faults: Faults,
    project: &'static Project,
    folder: ProjectFolder,
    nodes: Vec<Node>,
    /// What each node answers with 200 when it is well.
    ready: BTreeMap<NodeName, Request>,
    /// How long the nodes may take to become well.
    well_within: Duration,
    /// What is started when they are.
    addition: Option<Addition>,
    /// The size of the disks, if they have one of their own.
    disk: Option<Size>,
    clock: SystemClock,
    http: ComposeHttp,
    images: BTreeSet<String>,
    /// Whether the CLI was begun and did not end well: what it has asked for may still be made.
    half_made: AtomicBool,
}

impl ComposeCluster {
    /// A cluster of a project, not yet up, for the run with this id.
    pub fn new(project: &'static Project, run: &str) -> Result<Self, ClusterError> {
        let engine = Engine { docker: connect()?, run: run.to_owned() };
        let services = project.services()?;
        let ready = services.iter().map(|service| (service.node.name.clone(), service.ready.clone()));
        let http = ComposeHttp::new(engine.clone())?;
        let folder = ProjectFolder::create(project, run)?;
        let names = services.iter().map(|service| service.node.name.clone()).collect();
        Ok(Self {
            faults: Faults::new(engine.clone(), names),
            engine,
            project,
            folder,
            ready: ready.collect(),
            nodes: services.into_iter().map(|service: Service| service.node).collect(),
            well_within: project.well_within,
            addition: None,
            disk: None,
            clock: SystemClock::start(),
            http,
            images: project.images(None)?,
            half_made: AtomicBool::new(false),
        })
    }

    /// The same cluster with what is started when it is well.
    #[must_use]
    pub fn with(self, addition: Option<Addition>) -> Self {
        Self { addition, ..self }
    }

    /// The same cluster with disks of a size, if one is given.
    #[must_use]
    pub fn with_disks(self, size: Option<Size>) -> Self {
        Self { disk: size, ..self }
    }

    /// The services that are begun with: the nodes, of the same names, and who holds their disks.
    fn services(&self) -> impl Iterator<Item = &str> {
        let keeper = self.disk.map(|_| self.project.disks.keeper);
        self.nodes.iter().map(|node| node.name.as_str()).chain(keeper)
    }

    /// Creates and starts the containers of the nodes: with the limits that the Compose file asks for, or with lower ones
    /// if the engine may not raise them.
    async fn create(&self, compose: &mut Compose<'_>, cancel: &CancellationToken) -> Result<(), ClusterError> {
        let mut outcome = compose.up(self.services(), UP_WITHIN, cancel).await;
        if let (Err(UpError::Limits(error)), Some(file)) = (&outcome, self.folder.low_limits()) {
            tracing::info!("{error}; once more with low limits");
            // Compose v1 cannot recreate containers on newer engines.
            sweep::sweep(&self.engine.docker, &self.engine.run).await?;
            compose.add_file(file);
            outcome = compose.up(self.services(), UP_WITHIN, cancel).await;
        }
        match outcome {
            Ok(()) => Ok(()),
            Err(UpError::Limits(error) | UpError::Other(error)) => Err(self.explain(error).await),
        }
    }

    /// Says of a failed start that an image is missing, if one is: the CLI's own words for it differ.
    async fn explain(&self, error: ClusterError) -> ClusterError {
        let ClusterError::Environment { step, reason, .. } = &error else { return error };
        for image in &self.images {
            if let Err(DockerError::DockerResponseServerError { status_code: 404, .. }) =
                self.engine.docker.inspect_image(image).await
            {
                let reason = format!("the image {image} is missing and was not pulled: {reason}");
                let advice = "name another in the variables of the Compose file (compose/README.md), or make stand-ins by \
                              compose/images/build";
                return ClusterError::environment(step, reason, advice);
            }
        }
        error
    }

    /// Waits until every node is healthy.
    async fn wait_healthy(&self) -> Result<(), ClusterError> {
        while !self.not_healthy().await?.is_empty() {
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok(())
    }

    /// The nodes that are not healthy yet, with their state. A container that has ended is an error at once.
    async fn not_healthy(&self) -> Result<Vec<String>, ClusterError> {
        let states = try_join_all(self.ready.iter().map(|(node, ready)| self.why_not_healthy(node, ready))).await?;
        Ok(states.into_iter().flatten().collect())
    }

    /// Why a node is not healthy, by what it answers. None if it is.
    async fn why_not_healthy(&self, node: &NodeName, ready: &Request) -> Result<Option<String>, ClusterError> {
        let state = self.engine.inspect(node).await?.state.unwrap_or_default();
        if state.status == Some(ContainerStateStatusEnum::EXITED) {
            let code = state.exit_code.unwrap_or(-1);
            let reason = format!("{node} ended with exit code {code}: {}", self.last_words(node).await);
            return Err(ClusterError::environment("waiting for healthy containers", reason, "see its log"));
        }
        let answer = self.http.send(ready).await.and_then(|response| response.ok(ready));
        Ok(answer.err().map(|error| error.to_string()))
    }

    /// The last lines of a node's log, for an error.
    async fn last_words(&self, node: &NodeName) -> String {
        let lines = self.node_logs(node, Timestamp::UNIX_EPOCH).await.unwrap_or_default();
        let start = lines.len().saturating_sub(3);
        lines[start..].iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join(" | ")
    }

    async fn node_logs(&self, node: &NodeName, since: Timestamp) -> Result<Vec<LogLine>, ClusterError> {
        let container = self.engine.container_id(node).await?;
        let second = i32::try_from(since.as_second()).unwrap_or(0);
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true).since(second).build();
        let mut stream = Box::pin(self.engine.docker.logs(&container, Some(options)));
        let mut text = Vec::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| engine_error(&format!("reading the log of {node}"), &error))?;
            text.extend_from_slice(&chunk.into_bytes());
        }
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().filter_map(|line| log_line(node, line)).filter(|line| line.at >= since).collect())
    }
}

#[async_trait]
impl Cluster for ComposeCluster {
    fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    fn clock(&self) -> &dyn Clock {
        &self.clock
    }

    fn http(&self) -> &dyn Http {
        &self.http
    }

    async fn check_means(&self, kinds: &[&FaultKind]) -> Result<(), ClusterError> {
        doctor::check(&self.engine, kinds).await
    }

    async fn up(&self, cancel: &CancellationToken) -> Result<(), ClusterError> {
        let ready = async {
            self.engine.docker.ping().await.map_err(|error| engine_error("asking Docker whether it runs", &error))?;
            Compose::find(&self.folder, &self.engine.run).await
        };
        let mut compose = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Interrupted.into()),
            compose = ready => compose?,
        };
        if let Some(size) = self.disk {
            compose.size_disks(self.folder.disks(), size);
        }
        self.half_made.store(true, Ordering::Relaxed);
        self.create(&mut compose, cancel).await?;
        self.half_made.store(false, Ordering::Relaxed);
        let healthy = tokio::time::timeout(self.well_within, self.wait_healthy());
        let outcome = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Interrupted.into()),
            outcome = healthy => outcome,
        };
        let Ok(outcome) = outcome else {
            let waiting = self.not_healthy().await?.join(", ");
            let step = format!("waiting {} s for healthy containers", self.well_within.as_secs());
            return Err(ClusterError::environment(step, waiting, "see what the containers log"));
        };
        outcome?;
        let Some(addition) = &self.addition else { return Ok(()) };
        self.half_made.store(true, Ordering::Relaxed);
        match compose.up_addition(addition, UP_WITHIN, cancel).await {
            Ok(()) => self.half_made.store(false, Ordering::Relaxed),
            Err(UpError::Limits(error) | UpError::Other(error)) => return Err(error),
        }
        Ok(())
    }

    async fn check_environment(&self) -> Result<(), ClusterError> {
        try_join_all(self.nodes.iter().map(|node| self.engine.container_id(&node.name))).await.map(drop)
    }

    async fn process(&self, node: &NodeName) -> Result<ProcessState, ClusterError> {
        self.engine.process(node).await
    }

    async fn undo(&self, fault: &Fault) -> Result<Undo, ClusterError> {
        self.faults.undo(fault).await
    }

    async fn inject(&self, fault: &Fault) -> Result<(), ClusterError> {
        self.faults.inject(fault).await
    }

    async fn missing_effect(&self, fault: &Fault) -> Result<Option<String>, ClusterError> {
        self.faults.missing_effect(fault).await
    }

    async fn ended_fault(&self) -> Option<String> {
        self.faults.ended().await
    }

    async fn heal(&self, undo: &Undo) -> Result<(), ClusterError> {
        self.faults.heal(undo).await
    }

    async fn fingerprint(&self) -> Result<Fingerprint, ClusterError> {
        let mut fingerprint = fingerprint::take(&self.engine, &self.nodes).await?;
        self.faults.add_marks(&mut fingerprint).await?;
        Ok(fingerprint)
    }

    async fn logs(&self, since: Timestamp) -> Result<Vec<LogLine>, ClusterError> {
        let load = self.addition.as_ref().map(|addition| NodeName::from(addition.node));
        let writers = self.nodes.iter().map(|node| &node.name).chain(&load);
        let logs = try_join_all(writers.map(|node| self.node_logs(node, since))).await?;
        let mut lines: Vec<LogLine> = logs.into_iter().flatten().collect();
        lines.sort_by_key(|line| line.at);
        Ok(lines)
    }

    async fn down(&self) -> Result<(), ClusterError> {
        let Engine { docker, run, .. } = &self.engine;
        let swept = if self.half_made.load(Ordering::Relaxed) {
            sweep::sweep_twice(docker, run).await
        } else {
            sweep::sweep(docker, run).await
        };
        self.folder.remove();
        swept
    }
}

/// Undoes a fault of a run without its Compose file: for who cleans up after a runner that is gone.
pub async fn heal(docker: &Docker, run: &str, undo: &Undo) -> Result<(), ClusterError> {
    // That all others can be reached again is not asked: of the run's containers some may be gone.
    Faults::new(Engine { docker: docker.clone(), run: run.to_owned() }, Vec::new()).heal(undo).await
}

/// This process, for the label [`RUNNER_LABEL`].
fn runner_label() -> Result<String, ClusterError> {
    let failed = |reason: String| ClusterError::environment("finding out which process this is", reason, "");
    let runner = Runner::current().map_err(|error| failed(error.to_string()))?;
    serde_json::to_string(&runner).map_err(|error| failed(error.to_string()))
}

/// A line as the engine gives it: its time, a space, its text.
fn log_line(node: &NodeName, line: &str) -> Option<LogLine> {
    let (at, text) = line.split_once(' ')?;
    Some(LogLine { at: at.parse().ok()?, node: node.clone(), text: text.trim_end().to_owned() })
}
