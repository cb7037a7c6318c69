//! The Compose CLI in both dialects: the v2 plugin, `docker compose`, and v1, `docker-compose`.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::project::{Addition, ProjectFolder};
use super::{ClusterError, HOST_VARIABLE, Interrupted, USUAL_HOST, runner_label};
use crate::units::Size;

/// Names the command to use, such as `docker compose`.
const COMMAND_VARIABLE: &str = "OPERATOR_RUN_COMPOSE";
/// What the Compose file calls the run's id.
const RUN_VARIABLE: &str = "OPERATOR_RUN_ID";
/// What it calls the process that runs it.
const RUNNER_VARIABLE: &str = "OPERATOR_RUN_RUNNER";
/// What it calls the size of the disks.
const DISK_VARIABLE: &str = "OPERATOR_RUN_DISK";
/// Ends the CLI and all that it has started when this process ends, also by SIGKILL: the other end of its standard input
/// is then closed. It must not go on to make containers which nobody knows of any more.
const LEASH: &str = r#"exec 3<&0; { cat <&3; kill -KILL 0; } >/dev/null 2>&1 & exec "$@" 3<&- </dev/null"#;
/// How long an interrupted CLI may take to stop what it is doing.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// The CLI on the project of one run.
#[derive(Debug)]
pub(super) struct Compose<'a> {
    words: Vec<String>,
    files: Vec<PathBuf>,
    run: &'a str,
    runner: String,
    /// The size of the disks in bytes, if they have one.
    disk: Option<u64>,
}

/// Why containers were not created or started.
#[derive(Debug)]
pub(super) enum UpError {
    /// The engine may not raise a limit as the file asks.
    Limits(ClusterError),
    /// Anything else.
    Other(ClusterError),
}

impl From<ClusterError> for UpError {
    fn from(error: ClusterError) -> Self {
        Self::Other(error)
    }
}

/// The words of the command, and its version: what the environment names, else v2, else v1.
pub(super) async fn find_command() -> Result<(Vec<String>, String), ClusterError> {
    let named = std::env::var(COMMAND_VARIABLE).ok().filter(|command| !command.trim().is_empty());
    let candidates =
        named.map_or_else(|| vec!["docker compose".to_owned(), "docker-compose".to_owned()], |name| vec![name]);
    for candidate in &candidates {
        let words: Vec<String> = candidate.split_whitespace().map(str::to_owned).collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["version", "--short"]).stdin(Stdio::null()).kill_on_drop(true);
        if let Ok(output) = command.output().await
            && output.status.success()
        {
            return Ok((words, String::from_utf8_lossy(&output.stdout).trim().to_owned()));
        }
    }
    Err(ClusterError::environment(
        "looking for Docker Compose",
        format!("neither of these works: {}", candidates.join(", ")),
        format!("install the Compose plugin, or name the command in {COMMAND_VARIABLE}"),
    ))
}

impl<'a> Compose<'a> {
    /// Finds the CLI.
    pub(super) async fn find(folder: &ProjectFolder, run: &'a str) -> Result<Self, ClusterError> {
        let (words, version) = find_command().await?;
        tracing::info!("{} {version}", words.join(" "));
        Ok(Self { words, files: vec![folder.file()], run, runner: runner_label()?, disk: None })
    }

    /// Puts another Compose file on top.
    pub(super) fn add_file(&mut self, file: PathBuf) {
        self.files.push(file);
    }

    /// Gives the disks a size, as another Compose file has it.
    pub(super) fn size_disks(&mut self, file: PathBuf, size: Size) {
        self.files.push(file);
        self.disk = Some(size.0);
    }

    fn command(&self) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", LEASH, "sh"]).args(&self.words).args(["-p", &format!("operator-run-{}", self.run)]);
        command.args(self.files.iter().flat_map(|file| [OsStr::new("-f"), file.as_os_str()]));
        command.env(RUN_VARIABLE, self.run).env(RUNNER_VARIABLE, &self.runner);
        command.envs(self.disk.map(|size| (DISK_VARIABLE, size.to_string())));
        // The CLI could follow a context of its own to another engine than ours.
        let host = std::env::var(HOST_VARIABLE).ok().filter(|host| !host.is_empty());
        command.env(HOST_VARIABLE, host.unwrap_or_else(|| USUAL_HOST.to_owned())).env_remove("DOCKER_CONTEXT");
        // Its own process group: a Ctrl-C at the terminal is for the runner, which then takes everything down in order.
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Creates and starts the containers of some services, and of no other.
    pub(super) async fn up(
        &self,
        services: impl IntoIterator<Item = &str>,
        within: Duration,
        cancel: &CancellationToken,
    ) -> Result<(), UpError> {
        let mut command = self.command();
        command.args(["up", "-d"]).args(services);
        self.run_until_done(command, within, cancel).await
    }

    /// Starts what a profile of the Compose file adds, once what it waits for has ended.
    pub(super) async fn up_addition(
        &self,
        addition: &Addition,
        within: Duration,
        cancel: &CancellationToken,
    ) -> Result<(), UpError> {
        let mut command = self.command();
        command.args(["--profile", addition.profile, "up", "-d", "--no-recreate", addition.service]);
        command.envs(addition.variables.iter().map(|(name, value)| (name, value)));
        self.run_until_done(command, within, cancel).await
    }

    async fn run_until_done(
        &self,
        mut command: Command,
        within: Duration,
        cancel: &CancellationToken,
    ) -> Result<(), UpError> {
        let step = format!("{} up", self.words.join(" "));
        let failed = |error: std::io::Error| ClusterError::environment(&step, error, "");
        let mut child = command.spawn().map_err(failed)?;
        let group = child.id();
        let _leash = child.stdin.take();
        let mut output = Box::pin(child.wait_with_output());
        tokio::select! {
            biased;
            () = cancel.cancelled() => {
                stop(group, &mut output).await;
                Err(ClusterError::from(Interrupted).into())
            }
            output = &mut output => finished(&step, &output.map_err(failed)?),
            () = tokio::time::sleep(within) => {
                stop(group, &mut output).await;
                let reason = format!("not done after {} s", within.as_secs());
                Err(ClusterError::environment(step, reason, "pull the images beforehand").into())
            }
        }
    }
}

/// Asks the CLI to stop and waits until it has, so that it creates nothing more behind the back of the clean-up.
async fn stop(group: Option<u32>, output: &mut (impl Future<Output = std::io::Result<Output>> + Unpin)) {
    let group = group.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    for signal in [Signal::INT, Signal::KILL] {
        if let Some(group) = group {
            // It may have ended by itself in the meantime.
            let _ = kill_process_group(group, signal);
        }
        if tokio::time::timeout(STOP_WITHIN, &mut *output).await.is_ok() {
            return;
        }
    }
}

fn finished(step: &str, output: &Output) -> Result<(), UpError> {
    if output.status.success() {
        return Ok(());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = error.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = last[last.len().saturating_sub(3)..].join(" | ");
    let taken = ["port is already allocated", "address already in use"].iter().any(|words| error.contains(words));
    let advice = if taken { "a port is taken: end what holds it" } else { "" };
    let failed = ClusterError::environment(step, format!("{}: {last}", output.status), advice);
    // runc says `error setting rlimit type 7`, crun ``setrlimit `RLIMIT_NOFILE` ``.
    Err(if error.to_lowercase().contains("rlimit") { UpError::Limits(failed) } else { UpError::Other(failed) })
}
