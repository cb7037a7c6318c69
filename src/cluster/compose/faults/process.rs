//! Faults of a node's process: it is ended, started again, frozen.

use bollard::errors::Error as DockerError;
use bollard::models::{ContainerState, ContainerStateStatusEnum};
use bollard::query_parameters::{
    KillContainerOptionsBuilder, RestartContainerOptionsBuilder, StopContainerOptionsBuilder, TopOptionsBuilder,
};

use super::super::super::{ClusterError, Fault, FaultKind, Signal};
use super::{Container, not_here};

/// How long a container has from SIGTERM to its end before the engine kills it. TiKV moves its leaders away for up to
/// 20 s first (`tikv:src/server/config.rs`, `graceful-shutdown-timeout`).
const STOP_WITHIN_SECONDS: i32 = 40;

/// Does a fault.
pub(super) async fn inject(container: &Container<'_>, fault: &Fault) -> Result<(), ClusterError> {
    let (docker, id) = (container.docker, container.id.as_str());
    match fault.kind() {
        FaultKind::Kill { signal } => kill(container, *signal).await,
        FaultKind::Stop => {
            let options = StopContainerOptionsBuilder::default().t(STOP_WITHIN_SECONDS).build();
            let stopped = docker.stop_container(id, Some(options)).await;
            stopped.map_err(|error| container.failed("stopping", &error))
        }
        FaultKind::Pause => unless_done(container, docker.pause_container(id).await, "pausing"),
        FaultKind::Freeze => signal(container, "SIGSTOP", "freezing").await,
        FaultKind::Restart => {
            let options = RestartContainerOptionsBuilder::default().t(STOP_WITHIN_SECONDS).build();
            let restarted = docker.restart_container(id, Some(options)).await;
            restarted.map_err(|error| container.failed("restarting", &error))
        }
        _ => Err(not_here(fault)),
    }
}

/// Sends a signal that ends the process.
pub(super) async fn kill(container: &Container<'_>, by: Signal) -> Result<(), ClusterError> {
    signal(container, &by.to_string(), "killing").await
}

async fn signal(container: &Container<'_>, name: &str, doing: &str) -> Result<(), ClusterError> {
    let options = KillContainerOptionsBuilder::default().signal(name).build();
    let sent = container.docker.kill_container(&container.id, Some(options)).await;
    sent.map_err(|error| container.failed(doing, &error))
}

/// What is seen instead of the effect.
pub(super) async fn missing_effect(container: &Container<'_>, fault: &Fault) -> Result<Option<String>, ClusterError> {
    use ContainerStateStatusEnum::{DEAD, EXITED, PAUSED, RUNNING};
    let status = state(container).await?.status;
    let shows = match fault.kind() {
        FaultKind::Kill { .. } | FaultKind::Stop => matches!(status, Some(EXITED | DEAD)),
        FaultKind::Pause => status == Some(PAUSED),
        // The engine answers when a container has ended and runs again.
        FaultKind::Restart => status == Some(RUNNING),
        FaultKind::Freeze => {
            let state = process_state(container).await?;
            return Ok(
                (!state.starts_with('T')).then(|| format!("the process of {} is in state {state}", container.node))
            );
        }
        _ => return Err(not_here(fault)),
    };
    let word = status.map_or("unknown".to_owned(), |status| status.to_string());
    Ok((!shows).then(|| format!("the process of {} is {word}", container.node)))
}

/// Starts the container again.
pub(super) async fn start(container: &Container<'_>) -> Result<(), ClusterError> {
    // If it runs already, the engine says so, which is no error.
    let started = container.docker.start_container(&container.id, None).await;
    started.map_err(|error| container.failed("starting again", &error))?;
    container.wait_healed("starting again", || not_running(container)).await
}

/// Lets a paused container go on. Of one that is not, older engines say with status 500 that it is not paused.
pub(super) async fn resume(container: &Container<'_>) -> Result<(), ClusterError> {
    if state(container).await?.status != Some(ContainerStateStatusEnum::PAUSED) {
        return Ok(());
    }
    unless_done(container, container.docker.unpause_container(&container.id).await, "resuming")?;
    let paused = || async {
        let status = state(container).await?.status;
        Ok((status == Some(ContainerStateStatusEnum::PAUSED)).then(|| "it is paused".to_owned()))
    };
    container.wait_healed("resuming", paused).await
}

/// Lets a process go on that SIGSTOP has stopped. One that has ended in the meantime is left alone.
pub(super) async fn thaw(container: &Container<'_>) -> Result<(), ClusterError> {
    unless_done(container, continued(container).await, "thawing")?;
    let frozen = || async {
        if not_running(container).await?.is_some() {
            return Ok(None);
        }
        let state = process_state(container).await?;
        Ok(state.starts_with('T').then(|| format!("its process is in state {state}")))
    };
    container.wait_healed("thawing", frozen).await
}

async fn continued(container: &Container<'_>) -> Result<(), DockerError> {
    let options = KillContainerOptionsBuilder::default().signal("SIGCONT").build();
    container.docker.kill_container(&container.id, Some(options)).await
}

/// Why the container does not run; none if it does.
pub(super) async fn not_running(container: &Container<'_>) -> Result<Option<String>, ClusterError> {
    let status = state(container).await?.status;
    let word = status.map_or("unknown".to_owned(), |status| status.to_string());
    Ok((status != Some(ContainerStateStatusEnum::RUNNING)).then(|| format!("it is {word}")))
}

pub(super) async fn state(container: &Container<'_>) -> Result<ContainerState, ClusterError> {
    Ok(container.inspect().await?.state.unwrap_or_default())
}

/// The state of the container's first process as `ps` writes it: `T` if it was stopped by a signal.
async fn process_state(container: &Container<'_>) -> Result<String, ClusterError> {
    let options = TopOptionsBuilder::default().ps_args("-o pid,stat").build();
    let top = container.docker.top_processes(&container.id, Some(options)).await;
    let rows = top.map_err(|error| container.failed("looking at the processes of", &error))?.processes;
    let pid = state(container).await?.pid.unwrap_or_default().to_string();
    let first = rows.unwrap_or_default().into_iter().find(|row| row.first() == Some(&pid));
    first.and_then(|row| row.into_iter().nth(1)).ok_or_else(|| {
        ClusterError::environment(format!("looking at the processes of {}", container.node), "the first is missing", "")
    })
}

/// What came of pausing or its opposite. Unlike with a start, the engine refuses what is so already.
fn unless_done(container: &Container<'_>, outcome: Result<(), DockerError>, doing: &str) -> Result<(), ClusterError> {
    match outcome {
        Err(DockerError::DockerResponseServerError { status_code: 409, .. }) => Ok(()),
        outcome => outcome.map_err(|error| container.failed(doing, &error)),
    }
}
