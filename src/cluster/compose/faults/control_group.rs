//! Faults of the control group of a container: a limit that the engine has no word for, and tasks that run beside the node's
//! own. An agent sets them there, and proves them by a process that it moves there for a moment.

use std::time::Duration;

use super::super::Engine;
use super::super::agent::{self, Agent, Post};
use super::{Container, not_here};
use crate::cluster::{ClusterError, Fault, FaultKind, ProcessState};

/// How many synced writes are tried at least.
const FEWEST_WRITES: u32 = 3;

/// A fault of a control group, which an agent keeps in force.
#[derive(Debug)]
pub(super) struct Held {
    fault: Fault,
    means: Means,
    agent: Agent,
}

/// How a fault is done and seen.
#[derive(Debug)]
enum Means {
    /// The disk on which the container has this folder takes so many writes in a second.
    Disk { container: String, folder: String, writes: u32 },
    /// So many tasks for each processor.
    Tasks { container: String, tasks: u32 },
}

impl Means {
    async fn of(fault: &Fault, container: &Container<'_>) -> Result<Self, ClusterError> {
        let id = container.id.clone();
        match fault.kind() {
            FaultKind::LimitDisk { writes } => {
                Ok(Self::Disk { container: id, folder: data_folder(container).await?, writes: writes.0 })
            }
            FaultKind::BurnCpu { tasks } => Ok(Self::Tasks { container: id, tasks: *tasks }),
            _ => Err(not_here(fault)),
        }
    }

    fn set(&self) -> String {
        match self {
            Self::Disk { container, folder, writes } => format!("limit_writes {container} {folder} {writes}"),
            Self::Tasks { container, tasks } => format!("burn {container} {tasks}"),
        }
    }

    /// Sets it again where the container has a new group; fails if it does not act any more.
    fn renew(&self) -> String {
        match self {
            Self::Disk { container, folder, writes } => format!("keep_writes_limited {container} {folder} {writes}"),
            Self::Tasks { container, .. } => format!("keep_burning {container}"),
        }
    }

    /// Undoes it, whether it is there or not.
    fn remove(&self) -> String {
        match self {
            Self::Disk { container, folder, .. } => format!("end_writes_limited {container} {folder}"),
            Self::Tasks { .. } => "end_burning".to_owned(),
        }
    }

    /// Whether a process in the group has it as hard as the fault makes it, and what was seen of that.
    async fn look(&self, agent: &Agent) -> Result<(bool, String), ClusterError> {
        match self {
            Self::Disk { container, folder, writes } => {
                // More than the kernel lets through at once after a rest.
                let count = (writes / 2).max(FEWEST_WRITES);
                let took: u64 = ask(agent, &format!("write {container} {folder} {count}")).await?;
                let took = Duration::from_micros(took);
                // Half of what the limit makes of it: what is not asked of it for a moment may be saved up.
                let hard = took >= Duration::from_secs(u64::from(count)) / *writes / 2;
                Ok((hard, format!("{count} synced writes took {} ms", took.as_millis())))
            }
            Self::Tasks { container, tasks } => {
                let share: u32 = ask(agent, &format!("share_of_processor {container}")).await?;
                let seen = format!("one more process got {}.{} % of a processor", share / 10, share % 10);
                Ok((share_is_short(share, *tasks), seen))
            }
        }
    }
}

/// Whether a share, in thousandths, is nearer (as a ratio) to that of one among so many tasks than to a whole processor.
fn share_is_short(share: u32, tasks: u32) -> bool {
    u64::from(share).pow(2) * u64::from(tasks + 1) < 1_000_000
}

impl Held {
    /// Sets a fault and keeps it in force.
    pub(super) async fn set(engine: &Engine, fault: &Fault, container: &Container<'_>) -> Result<Self, ClusterError> {
        let means = Means::of(fault, container).await?;
        let agent = start_agent(engine, fault, container).await?;
        agent.undo_by(&means.remove()).await?;
        agent.run(&means.set()).await?;
        agent.renew_by(&means.renew()).await?;
        Ok(Self { fault: fault.clone(), means, agent })
    }

    /// What is seen instead of the fault's effect, if that does not show.
    pub(super) async fn missing_effect(&self) -> Result<Option<String>, ClusterError> {
        let (hard, seen) = self.means.look(&self.agent).await?;
        Ok((!hard).then_some(seen))
    }

    /// Why the fault does not act any more, if it does not.
    pub(super) async fn ended(&self) -> Option<String> {
        let error = self.agent.renew().await.err()?;
        Some(format!("{} is not kept in force any more: {error}", self.fault))
    }
}

/// Whether a fault is done in the control group of its target.
pub(super) fn is_of_control_group(fault: &Fault) -> bool {
    matches!(fault.kind(), FaultKind::LimitDisk { .. } | FaultKind::BurnCpu { .. })
}

/// Takes away what a fault has set, whoever has set it, and proves that a process in the group has it easier.
pub(super) async fn lift(engine: &Engine, fault: &Fault, container: &Container<'_>) -> Result<(), ClusterError> {
    agent::dismiss(engine, &name(fault, container)).await?;
    // The group ends with the process, and what was set with the group.
    if matches!(engine.process(container.node).await?, ProcessState::Exited { .. }) {
        return Ok(());
    }
    let means = Means::of(fault, container).await?;
    let agent = start_agent(engine, fault, container).await?;
    let proved = async {
        agent.run(&means.remove()).await?;
        // A limit that another fault has set would look the same.
        if matches!(means, Means::Tasks { .. }) && super::limits::limits_cpu(container).await? {
            return Ok(());
        }
        let still_hard = || async {
            let (hard, seen) = means.look(&agent).await?;
            Ok(hard.then_some(seen))
        };
        container.wait_healed(&format!("undoing {} of", fault.kind()), still_hard).await
    }
    .await;
    agent.end().await?;
    proved
}

/// Where the node keeps its data: the first of its volumes.
async fn data_folder(container: &Container<'_>) -> Result<String, ClusterError> {
    let inspected = container.inspect().await?;
    // Only a volume has a name.
    let folder = inspected.mounts.into_iter().flatten().find_map(|mount| mount.name.and(mount.destination));
    folder.ok_or_else(|| {
        let step = format!("looking for the disk of {}", container.node);
        ClusterError::environment(step, "it has no volume", "keep its data in one")
    })
}

/// What an agent says to an order that is answered by a number.
async fn ask<N: std::str::FromStr>(agent: &Agent, order: &str) -> Result<N, ClusterError> {
    let said = agent.run(order).await?;
    said.parse().map_err(|_| ClusterError::environment(format!("telling an agent: {order}"), said, ""))
}

/// The same for any process that knows the fault, and for two that cannot be done to a node at once.
pub(super) fn name(fault: &Fault, container: &Container<'_>) -> String {
    format!("{}_{}", fault.kind(), container.node)
}

async fn start_agent(engine: &Engine, fault: &Fault, container: &Container<'_>) -> Result<Agent, ClusterError> {
    let post = Post {
        container: &container.id,
        purpose: &name(fault, container),
        volumes: true,
        control_groups: true,
        ..Post::default()
    };
    Agent::start(engine, &post).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_short_if_it_is_nearer_to_that_among_the_tasks() {
        // One task beside it leaves a half, 24 leave a twenty-fifth.
        for (tasks, short, enough) in [(1, 700, 710), (24, 199, 201)] {
            assert!(share_is_short(short, tasks), "{tasks}");
            assert!(!share_is_short(enough, tasks), "{tasks}");
        }
    }
}
