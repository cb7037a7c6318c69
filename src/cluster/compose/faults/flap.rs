//! A node that is killed and started again and again. The engine has nothing for that: a task of this process does it. If
//! that dies, the container stays as it is, and starting it undoes the fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bollard::query_parameters::WaitContainerOptionsBuilder;
use futures_util::StreamExt;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::super::{ClusterError, Signal};
use super::super::Engine;
use super::{Container, process};
use crate::reading::NodeName;
use crate::units::Span;

/// A task under way.
#[derive(Debug)]
pub(in super::super) struct Flapping {
    stop: CancellationToken,
    task: JoinHandle<Result<(), ClusterError>>,
    /// How often the engine has said that the process has ended.
    ends: Arc<AtomicU32>,
}

/// How a node comes and goes.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Rhythm {
    pub(in super::super) up: Span,
    pub(in super::super) down: Span,
    pub(in super::super) count: Option<u32>,
}

impl Flapping {
    /// Begins to kill the node and to start it again.
    pub(in super::super) fn begin(engine: Engine, node: NodeName, rhythm: Rhythm) -> Self {
        let (stop, ends) = (CancellationToken::new(), Arc::new(AtomicU32::new(0)));
        let task = flap(engine, node, rhythm, stop.clone(), Arc::clone(&ends));
        Self { stop, ends, task: tokio::spawn(task) }
    }

    /// What is seen instead of the effect.
    pub(in super::super) fn missing_effect(&self) -> Option<String> {
        (self.ends.load(Ordering::Relaxed) == 0).then(|| "the process has not ended yet".to_owned())
    }

    /// Ends it, in whatever state the node is. An error if it could not go on to its end.
    pub(in super::super) async fn end(self) -> Result<(), ClusterError> {
        self.stop.cancel();
        self.task.await.unwrap_or_else(|error| Err(ClusterError::environment("flapping", error, "")))
    }
}

async fn flap(
    engine: Engine,
    node: NodeName,
    rhythm: Rhythm,
    stop: CancellationToken,
    ends: Arc<AtomicU32>,
) -> Result<(), ClusterError> {
    let container = Container::find(&engine, &node).await?;
    while rhythm.count.is_none_or(|count| ends.load(Ordering::Relaxed) < count) {
        process::kill(&container, Signal::Kill).await?;
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        // The code with which it ended comes as an error; it ended in any case.
        let _ = Box::pin(engine.docker.wait_container(&container.id, Some(options))).next().await;
        ends.fetch_add(1, Ordering::Relaxed);
        if wait(rhythm.down, &stop).await {
            return Ok(());
        }
        process::start(&container).await?;
        if wait(rhythm.up, &stop).await {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether it was to stop before the time was over.
async fn wait(span: Span, stop: &CancellationToken) -> bool {
    tokio::time::timeout(span.0, stop.cancelled()).await.is_ok()
}
