//! A disk that others fill up: an agent on the node's volume holds a file that has no name any more. What it takes is free
//! again as soon as the agent ends, in whatever way.

use bollard::models::ContainerInspectResponse;

use super::super::agent::{self, Agent, Post};
use super::super::{Engine, engine_error};
use super::{Container, process};
use crate::cluster::ClusterError;
use crate::reading::NodeName;
use crate::units::Size;

/// What is written to see that nothing can be: a page, the least that a file takes.
const PAGE: u64 = 4096;

/// A file that fills a node's disk up, and keeps it full.
#[derive(Debug)]
pub(super) struct Filler {
    node: NodeName,
    /// Where the disk is.
    path: String,
    leave: Size,
    agent: Agent,
}

impl Filler {
    /// Fills the disk of a node up but for so much.
    pub(super) async fn begin(engine: &Engine, node: &NodeName, leave: Size) -> Result<Self, ClusterError> {
        let container = engine.inspect(node).await?;
        let path = disk(engine, node, &container).await?;
        let agent = start_agent(engine, node, &container).await?;
        let file = format!("{path}/.operator-run-filler");
        let hold = "sleep infinity </dev/null >/dev/null 2>&1";
        let holder = agent.run(&format!("exec 9<>{file} && rm {file} && {{ {hold} & echo $!; }}")).await?;
        // A part of what is written stays if there is no space for all of it.
        let fill_up = format!(
            "more=$(({} - {})); ((more <= 0)) || head -c $more /dev/zero 2>/dev/null >>/proc/{holder}/fd/9 || true",
            free(&path),
            leave.0
        );
        agent.run(&fill_up).await?;
        // What the node gives back is taken as well.
        agent.renew_by(&fill_up).await?;
        Ok(Self { node: node.clone(), path, leave, agent })
    }

    /// What is seen instead of a full disk.
    pub(super) async fn missing_effect(&self) -> Result<Option<String>, ClusterError> {
        let free = free_bytes(&self.agent, &self.path).await?;
        if free > self.leave.0 {
            return Ok(Some(format!("{free} bytes of the disk of {} are free", self.node)));
        }
        if self.leave.0 >= PAGE {
            return Ok(None);
        }
        let file = format!("{}/.operator-run-probe", self.path);
        let write = format!("head -c {PAGE} /dev/zero 2>/dev/null >{file} && echo written; rm -f {file}");
        let written = self.agent.run(&write).await? == "written";
        Ok(written.then(|| format!("{PAGE} bytes could be written to the disk of {}", self.node)))
    }

    /// Why the disk is not kept full any more, if it is not.
    pub(super) async fn ended(&self) -> Option<String> {
        let error = self.agent.renew().await.err()?;
        Some(format!("the disk of {} is not kept full any more: {error}", self.node))
    }
}

/// Ends what fills a node's disk up, whoever has begun it, starts the node again if it has ended for want of space, and
/// proves that there is space.
pub(super) async fn free_up(engine: &Engine, container: &Container<'_>, leave: Size) -> Result<(), ClusterError> {
    agent::dismiss(engine, &purpose(container.node)).await?;
    process::start(container).await?;
    let inspected = container.inspect().await?;
    let path = disk(engine, container.node, &inspected).await?;
    let agent = start_agent(engine, container.node, &inspected).await?;
    let still_full = || async {
        let free = free_bytes(&agent, &path).await?;
        Ok((free <= leave.0).then(|| format!("only {free} bytes of it are free")))
    };
    let proved = container.wait_healed("freeing the disk of", still_full).await;
    agent.end().await?;
    proved
}

/// Where a node's disk is. One without a size of its own is the machine's, which must not be filled up.
async fn disk(engine: &Engine, node: &NodeName, container: &ContainerInspectResponse) -> Result<String, ClusterError> {
    let step = format!("looking for the disk of {node}");
    for mount in container.mounts.iter().flatten() {
        // Only a volume has a name.
        let (Some(name), Some(path)) = (&mount.name, &mount.destination) else { continue };
        let volume = engine.docker.inspect_volume(name).await.map_err(|error| engine_error(&step, &error))?;
        if volume.options.get("o").is_some_and(|options| options.contains("size=")) {
            return Ok(path.clone());
        }
    }
    let reason = "none of its volumes has a size: they are on the machine's own disk";
    Err(ClusterError::environment(step, reason, "give it a size by `cluster.disk`"))
}

/// The bytes of a disk that are free, as the shell reckons them.
fn free(path: &str) -> String {
    format!("$(stat -f -c '%a*%S' {path})")
}

async fn free_bytes(agent: &Agent, path: &str) -> Result<u64, ClusterError> {
    let said = agent.run(&format!("echo $(({}))", free(path))).await?;
    said.parse().map_err(|_| ClusterError::environment(format!("asking how much of {path} is free"), said, ""))
}

fn purpose(node: &NodeName) -> String {
    format!("fill_disk_{node}")
}

async fn start_agent(
    engine: &Engine,
    node: &NodeName,
    container: &ContainerInspectResponse,
) -> Result<Agent, ClusterError> {
    let (container, purpose) = (container.id.as_deref().unwrap_or_default(), purpose(node));
    let post = Post { container, purpose: &purpose, volumes: true, ..Post::default() };
    Agent::start(engine, &post).await
}
