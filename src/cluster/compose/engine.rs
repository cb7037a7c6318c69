//! The engine as a run uses it: its nodes' containers are found by the run's label.

use std::collections::HashMap;

use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum};
use bollard::query_parameters::ListContainersOptionsBuilder;

use super::{ClusterError, NODE_LABEL, NodeName, ProcessState, RUN_LABEL};

/// Names the engine, for the Compose CLI and for us.
pub(super) const HOST_VARIABLE: &str = "DOCKER_HOST";

/// The engine, and the run whose containers are meant.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    pub(super) docker: Docker,
    /// The run's id.
    pub(super) run: String,
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

impl Engine {
    /// The id of a node's container.
    pub(super) async fn container_id(&self, node: &NodeName) -> Result<String, ClusterError> {
        let labels = vec![run_filter(&self.run), format!("{NODE_LABEL}={node}")];
        let options =
            ListContainersOptionsBuilder::default().all(true).filters(&HashMap::from([("label", labels)])).build();
        let step = format!("looking for the container of {node}");
        let containers =
            self.docker.list_containers(Some(options)).await.map_err(|error| engine_error(&step, &error))?;
        let id = containers.into_iter().next().and_then(|container| container.id);
        id.ok_or_else(|| ClusterError::environment(step, "there is none", "was it removed by someone else?"))
    }

    /// All that the engine says of a node's container.
    pub(super) async fn inspect(&self, node: &NodeName) -> Result<ContainerInspectResponse, ClusterError> {
        let container = self.container_id(node).await?;
        let inspected = self.docker.inspect_container(&container, None).await;
        inspected.map_err(|error| engine_error(&format!("inspecting {node}"), &error))
    }

    /// What the engine says of a node's process.
    pub(super) async fn process(&self, node: &NodeName) -> Result<ProcessState, ClusterError> {
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
}

/// The filter for all that a run has made.
pub(super) fn run_filter(run: &str) -> String {
    format!("{RUN_LABEL}={run}")
}

/// An error of the engine, with what to do about it.
pub(super) fn engine_error(step: &str, error: &DockerError) -> ClusterError {
    let advice = match error {
        DockerError::DockerResponseServerError { .. } => "",
        _ => "is Docker running, and may this user use it? `docker version` tells; DOCKER_HOST names another engine",
    };
    // Podman ends its words with a new line.
    ClusterError::environment(step, error.to_string().trim_end(), advice)
}
