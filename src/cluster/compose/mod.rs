//! Real containers, by Docker Compose. The only room that talks to Docker.
//!
//! The Compose CLI brings the cluster up; everything else goes through the Engine's API. Containers, networks and volumes
//! are found by the run's label, never by name, and nothing without that label is ever touched.

mod cli;
mod endpoint;
mod faults;
mod project;
pub mod sweep;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum};
use bollard::query_parameters::{EventsOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Cluster, ClusterError, Fault, FaultKind, LogLine, Node, ProcessState, Undo};
use crate::clock::{Clock, Interrupted, SystemClock};
use crate::http::{Http, Request};
use crate::reading::NodeName;

use cli::{Compose, UpError};
use endpoint::ComposeHttp;
pub use project::{Addition, Project};
use project::{ProjectFolder, Service};

/// The label that all a run creates carries; its value is the run's id.
pub const RUN_LABEL: &str = "operator-run.run";
/// Names the engine, for the Compose CLI and for us.
const HOST_VARIABLE: &str = "DOCKER_HOST";
/// The engine where nothing is said.
const USUAL_HOST: &str = "unix:///var/run/docker.sock";
/// The label with a container's node name.
const NODE_LABEL: &str = "operator-run.node";
/// The label with a container's role.
const ROLE_LABEL: &str = "operator-run.role";

/// The label with what answers with 200 when a node is well: a port and a path.
const READY_LABEL: &str = "operator-run.ready";

/// How often a node without a health check of its own is asked whether it is well. No event tells.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long the Compose CLI may take to create the containers, a pull of images included.
const UP_WITHIN: Duration = Duration::from_mins(10);

/// How long the engine may take to make what a CLI asked for that is gone by now. No event tells that there is no more.
const LATE_CREATION: Duration = Duration::from_millis(500);

/// A cluster of containers.
#[derive(Debug)]
pub struct ComposeCluster {
    docker: Docker,
    run: String,
    folder: ProjectFolder,
    nodes: Vec<Node>,
    /// What to ask the nodes whose containers have no health check of their own.
    ready: BTreeMap<NodeName, Request>,
    /// How long the nodes may take to become well.
    well_within: Duration,
    /// What is started when they are.
    addition: Option<Addition>,
    clock: SystemClock,
    http: ComposeHttp,
    /// Whether the CLI was begun and did not end well: what it has asked for may still be made.
    half_made: AtomicBool,
}

/// Whether an engine's address is that of another machine.
fn is_remote(host: &str) -> bool {
    let Some((scheme, rest)) = host.split_once("://") else { return false };
    let local = ["localhost", "127.", "[::1]"].iter().any(|name| rest.starts_with(name));
    matches!(scheme, "tcp" | "http" | "https" | "ssh") && !local
}

/// Connects to the engine that the environment names (`DOCKER_HOST`), else to the local one.
pub fn connect() -> Result<Docker, ClusterError> {
    if let Some(host) = std::env::var(HOST_VARIABLE).ok().filter(|host| is_remote(host)) {
        let reason = format!("{HOST_VARIABLE} is {host}, and ports are published on loopback there, not here");
        return Err(ClusterError::environment(
            "connecting to Docker",
            reason,
            "run on that machine, or on a local engine",
        ));
    }
    Docker::connect_with_defaults().map_err(|error| engine_error("connecting to Docker", &error))
}

impl ComposeCluster {
    /// A cluster of a project, not yet up, for the run with this id.
    pub fn new(project: &'static Project, run: &str) -> Result<Self, ClusterError> {
        let docker = connect()?;
        let services = project.services()?;
        let ready = services.iter().filter_map(|service| Some((service.node.name.clone(), service.ready.clone()?)));
        let http = ComposeHttp::new(docker.clone(), run)?;
        let folder = ProjectFolder::create(project, run)?;
        Ok(Self {
            docker,
            run: run.to_owned(),
            folder,
            ready: ready.collect(),
            nodes: services.into_iter().map(|service: Service| service.node).collect(),
            well_within: project.well_within,
            addition: None,
            clock: SystemClock::start(),
            http,
            half_made: AtomicBool::new(false),
        })
    }

    /// The same cluster with what is started when it is well.
    #[must_use]
    pub fn with(self, addition: Option<Addition>) -> Self {
        Self { addition, ..self }
    }

    /// The nodes are services of the same names.
    fn services(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.name.as_str())
    }

    /// Creates and starts the containers of the nodes: with the limits that the Compose file asks for, or with lower ones
    /// if the engine may not raise them.
    async fn create(&self, compose: &mut Compose<'_>, cancel: &CancellationToken) -> Result<(), ClusterError> {
        let mut outcome = compose.up(self.services(), UP_WITHIN, cancel).await;
        if let (Err(UpError::Limits(error)), Some(file)) = (&outcome, self.folder.low_limits()) {
            tracing::info!("{error}; once more with low limits");
            // Compose v1 cannot recreate containers on newer engines.
            sweep::sweep(&self.docker, &self.run).await?;
            compose.add_file(file);
            outcome = compose.up(self.services(), UP_WITHIN, cancel).await;
        }
        match outcome {
            Ok(()) => Ok(()),
            Err(UpError::Limits(error) | UpError::Other(error)) => Err(self.explain(error, compose).await),
        }
    }

    async fn inspect(&self, node: &NodeName) -> Result<ContainerInspectResponse, ClusterError> {
        inspect(&self.docker, &self.run, node).await
    }

    /// Says of a failed start that an image is missing, if one is: the CLI's own words for it differ.
    async fn explain(&self, error: ClusterError, compose: &Compose<'_>) -> ClusterError {
        let ClusterError::Environment { step, reason, .. } = &error else { return error };
        for image in compose.images(self.services()).await {
            if let Err(DockerError::DockerResponseServerError { status_code: 404, .. }) =
                self.docker.inspect_image(&image).await
            {
                let reason = format!("the image {image} is missing and was not pulled: {reason}");
                let advice = "name another in the variables of the Compose file (compose/README.md), or make stand-ins by \
                              compose/images/build";
                return ClusterError::environment(step, reason, advice);
            }
        }
        error
    }

    /// Waits until every node is healthy, woken by the engine's events or to ask again.
    async fn wait_healthy(&self, since: Timestamp) -> Result<(), ClusterError> {
        let options = EventsOptionsBuilder::default()
            .since(&since.as_second().to_string())
            .filters(&HashMap::from([("label", vec![run_filter(&self.run)])]))
            .build();
        let mut events = Box::pin(self.docker.events(Some(options)));
        let ask_again = if self.ready.is_empty() { Duration::MAX } else { ASK_EVERY };
        loop {
            let waiting = self.not_healthy().await?;
            if waiting.is_empty() {
                return Ok(());
            }
            match tokio::time::timeout(ask_again, events.next()).await {
                Err(_) | Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => return Err(engine_error("waiting for healthy containers", &error)),
                Ok(None) => {
                    let reason = "the engine closed its stream of events";
                    return Err(ClusterError::environment(
                        "waiting for healthy containers",
                        reason,
                        "is Docker still running?",
                    ));
                }
            }
        }
    }

    /// The nodes that are not healthy yet, with their state. A container that has ended is an error at once.
    async fn not_healthy(&self) -> Result<Vec<String>, ClusterError> {
        let states = try_join_all(self.nodes.iter().map(|node| self.why_not_healthy(&node.name))).await?;
        Ok(states.into_iter().flatten().collect())
    }

    /// Why a node is not healthy: by its own health check, or by what it answers. None if it is.
    async fn why_not_healthy(&self, node: &NodeName) -> Result<Option<String>, ClusterError> {
        let state = self.inspect(node).await?.state.unwrap_or_default();
        if state.status == Some(ContainerStateStatusEnum::EXITED) {
            let code = state.exit_code.unwrap_or(-1);
            let reason = format!("{node} ended with exit code {code}: {}", self.last_words(node).await);
            return Err(ClusterError::environment("waiting for healthy containers", reason, "see its log"));
        }
        if let Some(request) = self.ready.get(node) {
            let answer = self.http.send(request).await.and_then(|response| response.ok(request));
            return Ok(answer.err().map(|error| error.to_string()));
        }
        let health = state.health.and_then(|health| health.status);
        Ok((health != Some(HealthStatusEnum::HEALTHY))
            .then(|| format!("{node} is {}", health.map_or("not checked".to_owned(), |health| health.to_string()))))
    }

    /// The last lines of a node's log, for an error.
    async fn last_words(&self, node: &NodeName) -> String {
        let lines = self.node_logs(node, Timestamp::UNIX_EPOCH).await.unwrap_or_default();
        let start = lines.len().saturating_sub(3);
        lines[start..].iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join(" | ")
    }

    async fn node_logs(&self, node: &NodeName, since: Timestamp) -> Result<Vec<LogLine>, ClusterError> {
        let container = container_id(&self.docker, &self.run, node).await?;
        let second = i32::try_from(since.as_second()).unwrap_or(0);
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true).since(second).build();
        let mut stream = Box::pin(self.docker.logs(&container, Some(options)));
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

    async fn up(&self, cancel: &CancellationToken) -> Result<(), ClusterError> {
        let since = self.clock.now();
        let ready = async {
            self.docker.ping().await.map_err(|error| engine_error("asking Docker whether it runs", &error))?;
            Compose::find(&self.folder, &self.run).await
        };
        let mut compose = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Interrupted.into()),
            compose = ready => compose?,
        };
        self.half_made.store(true, Ordering::Relaxed);
        self.create(&mut compose, cancel).await?;
        self.half_made.store(false, Ordering::Relaxed);
        let healthy = tokio::time::timeout(self.well_within, self.wait_healthy(since));
        let outcome = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Interrupted.into()),
            outcome = healthy => outcome,
        };
        let Ok(outcome) = outcome else {
            let waiting = self.not_healthy().await?.join(", ");
            let step = format!("waiting {} s for healthy containers", self.well_within.as_secs());
            return Err(ClusterError::environment(step, waiting, "see the health checks in the Compose file"));
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

    async fn process(&self, node: &NodeName) -> Result<ProcessState, ClusterError> {
        let state = self.inspect(node).await?.state.unwrap_or_default();
        match state.status {
            Some(ContainerStateStatusEnum::RUNNING) => Ok(ProcessState::Running),
            Some(ContainerStateStatusEnum::PAUSED) => Ok(ProcessState::Paused),
            Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD) => Ok(ProcessState::Exited {
                code: state.exit_code.unwrap_or(-1),
                out_of_memory: state.oom_killed.unwrap_or(false),
            }),
            other => {
                let status = other.map_or("none".to_owned(), |status| status.to_string());
                Err(ClusterError::environment(
                    format!("reading the state of {node}"),
                    format!("its state is {status}"),
                    "",
                ))
            }
        }
    }

    async fn inject(&self, fault: &Fault) -> Result<(), ClusterError> {
        faults::inject(&self.docker, &self.run, fault).await
    }

    async fn missing_effect(&self, fault: &Fault) -> Result<Option<String>, ClusterError> {
        let Some(node) = fault.node() else { return Err(faults::not_here(fault)) };
        let state = self.process(node).await?;
        match (fault.kind(), &state) {
            // The engine answers when a container has ended and runs again.
            (FaultKind::Kill | FaultKind::Stop, ProcessState::Exited { .. })
            | (FaultKind::Pause, ProcessState::Paused)
            | (FaultKind::Restart, ProcessState::Running) => Ok(None),
            _ => Ok(Some(format!("the process of {node} is {state}"))),
        }
    }

    async fn heal(&self, undo: &Undo) -> Result<(), ClusterError> {
        faults::heal(&self.docker, &self.run, undo).await
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
        let mut swept = sweep::sweep(&self.docker, &self.run).await;
        if swept.is_ok() && self.half_made.load(Ordering::Relaxed) {
            tokio::time::sleep(LATE_CREATION).await;
            swept = sweep::sweep(&self.docker, &self.run).await;
        }
        self.folder.remove();
        swept
    }
}

/// The filter for all that a run has made.
fn run_filter(run: &str) -> String {
    format!("{RUN_LABEL}={run}")
}

/// The id of a node's container.
async fn container_id(docker: &Docker, run: &str, node: &NodeName) -> Result<String, ClusterError> {
    let labels = vec![run_filter(run), format!("{NODE_LABEL}={node}")];
    let options =
        ListContainersOptionsBuilder::default().all(true).filters(&HashMap::from([("label", labels)])).build();
    let step = format!("looking for the container of {node}");
    let containers = docker.list_containers(Some(options)).await.map_err(|error| engine_error(&step, &error))?;
    let id = containers.into_iter().next().and_then(|container| container.id);
    id.ok_or_else(|| ClusterError::environment(step, "there is none", "was it removed by someone else?"))
}

async fn inspect(docker: &Docker, run: &str, node: &NodeName) -> Result<ContainerInspectResponse, ClusterError> {
    let container = container_id(docker, run, node).await?;
    let inspected = docker.inspect_container(&container, None).await;
    inspected.map_err(|error| engine_error(&format!("inspecting {node}"), &error))
}

/// An error of the engine, with what to do about it.
fn engine_error(step: &str, error: &DockerError) -> ClusterError {
    let advice = match error {
        DockerError::DockerResponseServerError { .. } => "",
        _ => "is Docker running, and may this user use it? `docker version` tells; DOCKER_HOST names another engine",
    };
    ClusterError::environment(step, error, advice)
}

/// A line as the engine gives it: its time, a space, its text.
fn log_line(node: &NodeName, line: &str) -> Option<LogLine> {
    let (at, text) = line.split_once(' ')?;
    Some(LogLine { at: at.parse().ok()?, node: node.clone(), text: text.trim_end().to_owned() })
}
