//! What is done to containers, and how that is undone.

use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::query_parameters::{
    KillContainerOptionsBuilder, RestartContainerOptionsBuilder, StopContainerOptionsBuilder,
};

use super::super::{ClusterError, Fault, FaultKind, Undo};
use super::{container_id, engine_error};

/// How long a container has from SIGTERM to its end before the engine kills it. TiKV moves its leaders away for up to
/// 20 s first (`tikv:src/server/config.rs`, `graceful-shutdown-timeout`).
const STOP_WITHIN_SECONDS: i32 = 40;

/// Does a fault.
pub(super) async fn inject(docker: &Docker, run: &str, fault: &Fault) -> Result<(), ClusterError> {
    let Some(node) = fault.node() else { return Err(not_here(fault)) };
    let container = container_id(docker, run, node).await?;
    match fault.kind() {
        FaultKind::Kill => {
            let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
            let killed = docker.kill_container(&container, Some(options)).await;
            killed.map_err(|error| engine_error(&format!("killing {node}"), &error))
        }
        FaultKind::Stop => {
            let options = StopContainerOptionsBuilder::default().t(STOP_WITHIN_SECONDS).build();
            let stopped = docker.stop_container(&container, Some(options)).await;
            stopped.map_err(|error| engine_error(&format!("stopping {node}"), &error))
        }
        FaultKind::Pause => unless_done(docker.pause_container(&container).await, &format!("pausing {node}")),
        FaultKind::Restart => {
            let options = RestartContainerOptionsBuilder::default().t(STOP_WITHIN_SECONDS).build();
            let restarted = docker.restart_container(&container, Some(options)).await;
            restarted.map_err(|error| engine_error(&format!("restarting {node}"), &error))
        }
        _ => Err(not_here(fault)),
    }
}

/// Undoes a fault. What is undone already is left alone.
pub(super) async fn heal(docker: &Docker, run: &str, undo: &Undo) -> Result<(), ClusterError> {
    match undo {
        Undo::Start { node } => {
            let container = container_id(docker, run, node).await?;
            // If it runs already, the engine says so, which is no error.
            let started = docker.start_container(&container, None).await;
            started.map_err(|error| engine_error(&format!("starting {node} again"), &error))
        }
        Undo::Resume { node } => {
            let container = container_id(docker, run, node).await?;
            unless_done(docker.unpause_container(&container).await, &format!("letting {node} go on"))
        }
        Undo::Lift { fault } => Err(not_here(fault)),
    }
}

/// What came of pausing or its opposite. Unlike with a start, the engine refuses what is so already.
fn unless_done(outcome: Result<(), DockerError>, step: &str) -> Result<(), ClusterError> {
    match outcome {
        Err(DockerError::DockerResponseServerError { status_code: 409, .. }) => Ok(()),
        outcome => outcome.map_err(|error| engine_error(step, &error)),
    }
}

/// A plan with such a fault is refused before it gets here: [`FaultKind::backends`].
pub(super) fn not_here(fault: &Fault) -> ClusterError {
    let advice = "run the scenario with --backend embedded";
    ClusterError::environment(fault.to_string(), "the backend compose cannot do that", advice)
}
