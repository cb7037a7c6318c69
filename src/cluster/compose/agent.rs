//! An agent: a helper container beside the container of a node, in its network, on its volumes or in its control group. It is told what
//! to do line by line, and undoes everything when nobody speaks to it any more: when the runner is killed, the engine
//! closes the agent's standard input. What it runs is `agent.sh`; nothing is ever started inside a node's own image.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as DockerError;
use bollard::models::{ContainerCreateBody, ContainerSummary, HostConfig, HostConfigCgroupnsModeEnum};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateImageOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use super::{ClusterError, Engine, RUN_LABEL, engine_error, run_filter};

/// Names the image of the agents.
const IMAGE_VARIABLE: &str = "OPERATOR_RUN_NETTOOLS_IMAGE";
/// The image where nothing is said: it has bash, ip, tc, nft, iptables, ps, nsenter and Python.
const USUAL_IMAGE: &str = "nicolaka/netshoot:v0.13";
/// The label of an agent, with what it is for.
const AGENT_LABEL: &str = "operator-run.agent";
const SCRIPT: &str = concat!(include_str!("network.sh"), include_str!("control_group.sh"), include_str!("agent.sh"));
/// The programs that the script calls by these names.
const PROGRAMS: [&str; 3] = [
    concat!("DELAYER=", include_str!("delayer.py")),
    concat!("SENDER=", include_str!("sender.py")),
    concat!("WRITER=", include_str!("writer.py")),
];
/// Where the control groups of the machine are mounted, there and for an agent that works in them.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup:/cgroup";

/// How long an agent, and what it has set in the kernel, outlives the last sign of life.
pub(super) const LEASE: Duration = Duration::from_secs(10);
/// How often it gets a sign of life.
const ALIVE_EVERY: Duration = Duration::from_secs(2);
/// How long it may take to answer. What it is told to do must take less.
const ANSWERS_WITHIN: Duration = Duration::from_secs(15);
/// How long it has to undo everything before the engine kills it.
const STOPS_WITHIN_SECONDS: i32 = 10;

/// What an agent is, and where it runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Post<'a> {
    /// The id of the node's container; empty if the agent is beside none.
    pub(super) container: &'a str,
    /// What the agent is for; another process finds it by this, see [`dismiss`].
    pub(super) purpose: &'a str,
    /// What it may do, such as `NET_ADMIN`.
    pub(super) capabilities: &'a [&'a str],
    /// Whether it is in the container's network.
    pub(super) network: bool,
    /// Whether it has the container's volumes.
    pub(super) volumes: bool,
    /// Whether it has the control groups of the machine.
    pub(super) control_groups: bool,
}

/// An agent at its post.
pub(super) struct Agent {
    docker: Docker,
    id: String,
    link: Arc<Mutex<Link>>,
    keep_alive: AbortHandle,
}

/// What is said to the agent, and what it says.
struct Link {
    input: Pin<Box<dyn AsyncWrite + Send>>,
    output: Pin<Box<dyn Stream<Item = Result<LogOutput, DockerError>> + Send>>,
    /// What came after the last whole line.
    rest: String,
    /// Why it cannot be spoken to any more.
    broken: Option<String>,
}

impl fmt::Debug for Agent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Agent").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Agent {
    /// Starts an agent, and keeps it alive until it ends or this is dropped.
    pub(super) async fn start(engine: &Engine, post: &Post<'_>) -> Result<Self, ClusterError> {
        let failed = |error: DockerError| engine_error(&format!("starting an agent for {}", post.purpose), &error);
        let docker = &engine.docker;
        let (_, image) = image();
        ensure_image(docker, &image).await?;
        let body = create_body(&engine.run, image, post);
        let id = docker.create_container(None, body).await.map_err(failed)?.id;
        let options = AttachContainerOptionsBuilder::default().stream(true).stdin(true).stdout(true).build();
        let attached = docker.attach_container(&id, Some(options)).await;
        let started = match attached {
            Ok(attached) => docker.start_container(&id, None).await.map(|()| attached),
            Err(error) => Err(error),
        };
        let attached = match started {
            Ok(attached) => attached,
            Err(error) => {
                remove(docker, &id).await?;
                return Err(failed(error));
            }
        };
        let link = Link { input: attached.input, output: attached.output, rest: String::new(), broken: None };
        let link = Arc::new(Mutex::new(link));
        let keep_alive = tokio::spawn(keep_alive(Arc::clone(&link))).abort_handle();
        let agent = Self { docker: docker.clone(), id, link, keep_alive };
        agent.say("alive").await?;
        Ok(agent)
    }

    /// Runs a shell command, and returns what it printed; an error if it failed.
    pub(super) async fn run(&self, command: &str) -> Result<String, ClusterError> {
        self.say(&format!("do {command}")).await
    }

    /// A shell command to run when the agent ends, in whatever way. It is to be said before what it undoes is done.
    pub(super) async fn undo_by(&self, command: &str) -> Result<(), ClusterError> {
        self.say(&format!("undo {command}")).await.map(drop)
    }

    /// A shell command to run at each sign of life.
    pub(super) async fn renew_by(&self, command: &str) -> Result<(), ClusterError> {
        self.say(&format!("renew {command}")).await.map(drop)
    }

    /// Gives it a sign of life: what it has set lasts for a whole [`LEASE`] from now. An error if it is gone, or if it
    /// cannot renew what it has set.
    pub(super) async fn renew(&self) -> Result<(), ClusterError> {
        self.say("alive").await.map(drop)
    }

    /// Lets it undo everything and end; it is gone then.
    pub(super) async fn end(self) -> Result<(), ClusterError> {
        let undone = self.say("end").await;
        wait_until_removed(&self.docker, &self.id).await?;
        undone.map(drop)
    }

    async fn say(&self, line: &str) -> Result<String, ClusterError> {
        let answer = self.link.lock().await.ask(line).await;
        answer.map_err(|reason| ClusterError::environment(format!("telling an agent: {line}"), reason, ""))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.keep_alive.abort();
    }
}

impl Link {
    /// Says a line and waits for the answer. After a failure of the link itself an answer could be to another line: it
    /// is not used any more.
    async fn ask(&mut self, line: &str) -> Result<String, String> {
        if let Some(reason) = &self.broken {
            return Err(reason.clone());
        }
        // A caller that is dropped in the middle leaves an answer behind that nobody has read.
        self.broken = Some("an earlier order was not waited for".to_owned());
        let answer = match tokio::time::timeout(ANSWERS_WITHIN, self.exchange(line)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(reason)) => return Err(self.broken.insert(reason).clone()),
            Err(_) => {
                let reason = format!("it did not answer within {} s", ANSWERS_WITHIN.as_secs());
                return Err(self.broken.insert(reason).clone());
            }
        };
        self.broken = None;
        match answer.split_once(' ') {
            Some(("ok", output)) => Ok(output.to_owned()),
            Some(("failed", output)) => Err(output.to_owned()),
            _ => Err(format!("it answered {answer:?}")),
        }
    }

    async fn exchange(&mut self, line: &str) -> Result<String, String> {
        let lost = |error: std::io::Error| format!("it cannot be spoken to: {error}");
        self.input.write_all(format!("{line}\n").as_bytes()).await.map_err(lost)?;
        self.input.flush().await.map_err(lost)?;
        loop {
            if let Some((answer, rest)) = self.rest.split_once('\n') {
                let (answer, rest) = (answer.to_owned(), rest.to_owned());
                self.rest = rest;
                return Ok(answer);
            }
            match self.output.next().await {
                Some(Ok(chunk)) => self.rest.push_str(&String::from_utf8_lossy(&chunk.into_bytes())),
                Some(Err(error)) => return Err(format!("it cannot be heard: {error}")),
                None => return Err("it has ended".to_owned()),
            }
        }
    }
}

/// Signs of life, until the agent cannot be spoken to.
async fn keep_alive(link: Arc<Mutex<Link>>) {
    loop {
        tokio::time::sleep(ALIVE_EVERY).await;
        let mut link = link.lock().await;
        if let Err(reason) = link.ask("alive").await {
            tracing::debug!("an agent got no sign of life: {reason}");
        }
        if link.broken.is_some() {
            return;
        }
    }
}

/// The variable that names the image of the agents, and the image that is used as things are.
pub(super) fn image() -> (String, String) {
    let named = std::env::var(IMAGE_VARIABLE).ok().filter(|image| !image.is_empty());
    (IMAGE_VARIABLE.to_owned(), named.unwrap_or_else(|| USUAL_IMAGE.to_owned()))
}

fn create_body(run: &str, image: String, post: &Post<'_>) -> ContainerCreateBody {
    let command = ["bash", "-c", SCRIPT, "agent", &LEASE.as_secs().to_string()].map(str::to_owned);
    let labels = [(RUN_LABEL, run), (AGENT_LABEL, post.purpose)];
    let host = HostConfig {
        auto_remove: Some(true),
        network_mode: Some(if post.network { format!("container:{}", post.container) } else { "none".to_owned() }),
        binds: post.control_groups.then(|| vec![CONTROL_GROUPS.to_owned()]),
        // With one of its own it could not move a process into another's.
        cgroupns_mode: post.control_groups.then_some(HostConfigCgroupnsModeEnum::HOST),
        volumes_from: post.volumes.then(|| vec![post.container.to_owned()]),
        cap_add: Some(post.capabilities.iter().map(|name| (*name).to_owned()).collect()),
        ..HostConfig::default()
    };
    ContainerCreateBody {
        image: Some(image),
        entrypoint: Some(Vec::new()),
        cmd: Some(command.to_vec()),
        env: Some(PROGRAMS.map(str::to_owned).to_vec()),
        labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        user: Some("0:0".to_owned()),
        open_stdin: Some(true),
        stdin_once: Some(true),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

/// Pulls the image if the engine has it not.
async fn ensure_image(docker: &Docker, image: &str) -> Result<(), ClusterError> {
    match docker.inspect_image(image).await {
        Err(DockerError::DockerResponseServerError { status_code: 404, .. }) => {}
        outcome => {
            return outcome.map(drop).map_err(|error| engine_error(&format!("looking for the image {image}"), &error));
        }
    }
    let options = CreateImageOptionsBuilder::default().from_image(image).build();
    let pulled: Result<Vec<_>, DockerError> = docker.create_image(Some(options), None, None).try_collect().await;
    pulled.map(drop).map_err(|error| {
        let advice = format!("name another in {IMAGE_VARIABLE}, or make a stand-in by compose/images/build");
        ClusterError::environment(format!("pulling {image}, in which network and disk faults are done"), error, advice)
    })
}

/// Ends the agents of a purpose, also those that another process has started: each undoes what it did.
pub(super) async fn dismiss(engine: &Engine, purpose: &str) -> Result<(), ClusterError> {
    let docker = &engine.docker;
    let failed = |error: DockerError| engine_error(&format!("ending the agents of {purpose}"), &error);
    for id in list(engine, &format!("{AGENT_LABEL}={purpose}")).await?.into_iter().filter_map(|one| one.id) {
        let options = StopContainerOptionsBuilder::default().t(STOPS_WITHIN_SECONDS).build();
        unless_gone(docker.stop_container(&id, Some(options)).await).map_err(failed)?;
        wait_until_removed(docker, &id).await?;
    }
    Ok(())
}

/// Whether agents are at work in the network of some container of the run.
pub(super) async fn any_in_network(engine: &Engine) -> Result<bool, ClusterError> {
    let in_network = |agent: ContainerSummary| {
        let mode = agent.host_config.and_then(|config| config.network_mode);
        mode.is_some_and(|mode| mode.starts_with("container:"))
    };
    Ok(list(engine, AGENT_LABEL).await?.into_iter().any(in_network))
}

/// The agents of a run that carry a label.
async fn list(engine: &Engine, label: &str) -> Result<Vec<ContainerSummary>, ClusterError> {
    let filters = HashMap::from([("label", vec![run_filter(&engine.run), label.to_owned()])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let listed = engine.docker.list_containers(Some(options)).await;
    listed.map_err(|error| engine_error("looking for agents", &error))
}

/// Waits for the engine to remove an agent that ends, and removes it if that does not happen.
async fn wait_until_removed(docker: &Docker, id: &str) -> Result<(), ClusterError> {
    let options = WaitContainerOptionsBuilder::default().condition("removed").build();
    // It says with what code the container ended, or that there is none any more: either will do.
    let removed = docker.wait_container(id, Some(options)).for_each(|_| async {});
    match tokio::time::timeout(ANSWERS_WITHIN, removed).await {
        Ok(()) => Ok(()),
        Err(_) => remove(docker, id).await,
    }
}

async fn remove(docker: &Docker, id: &str) -> Result<(), ClusterError> {
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    unless_gone(docker.remove_container(id, Some(options)).await)
        .map_err(|error| engine_error("removing an agent", &error))
}

/// What came of ending a container: that it is gone, or about to go, is well.
fn unless_gone(outcome: Result<(), DockerError>) -> Result<(), DockerError> {
    match outcome {
        Err(DockerError::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
        outcome => outcome,
    }
}
