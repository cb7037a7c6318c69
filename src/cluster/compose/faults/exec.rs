//! A command in the container of a node, and the command that undoes it.

use std::time::Duration;

use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures_util::StreamExt;

use super::super::super::ClusterError;
use super::{Container, process};

/// How long a command may take.
const ENDS_WITHIN: Duration = Duration::from_mins(1);

/// What the engine prints, in place of the command, that it could not begin.
const NOT_BEGUN: &str = "OCI runtime exec failed";
/// Why, if the image has not the program: runc's words, and those for a whole path.
const NO_SUCH_PROGRAM: [&str; 2] = ["executable file not found", "no such file or directory"];

/// Runs the command. One that fails has had no effect.
pub(super) async fn inject(container: &Container<'_>, command: &[String]) -> Result<(), ClusterError> {
    let (code, output) = run(container, command).await?;
    if code == 0 {
        return Ok(());
    }
    Err(ClusterError::NoEffect(format!("`{}` ended with exit code {code}: {output}", command.join(" "))))
}

/// Runs what undoes it. In a container that has ended nothing can be run: it is started first.
pub(super) async fn heal(container: &Container<'_>, undo: &[String]) -> Result<(), ClusterError> {
    process::start(container).await?;
    if undo.is_empty() {
        return Ok(());
    }
    let (code, output) = run(container, undo).await?;
    if code == 0 {
        return Ok(());
    }
    let reason = format!("`{}` ended with exit code {code}: {output}", undo.join(" "));
    Err(ClusterError::environment(format!("undoing a command on {}", container.node), reason, ""))
}

/// The exit code of a command, and what it printed.
async fn run(container: &Container<'_>, command: &[String]) -> Result<(i64, String), ClusterError> {
    let doing = format!("running `{}` on", command.join(" "));
    let ended = tokio::time::timeout(ENDS_WITHIN, run_to_its_end(container, command, &doing)).await;
    ended.unwrap_or_else(|_| {
        let reason = format!("it has not ended after {} s", ENDS_WITHIN.as_secs());
        Err(ClusterError::environment(format!("{doing} {}", container.node), reason, "let it go on in the background"))
    })
}

async fn run_to_its_end(
    container: &Container<'_>,
    command: &[String],
    doing: &str,
) -> Result<(i64, String), ClusterError> {
    let (docker, failed) = (container.docker, |error| container.failed(doing, &error));
    let config = ExecConfig {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(command.to_vec()),
        ..ExecConfig::default()
    };
    let exec = docker.create_exec(&container.id, config).await.map_err(failed)?.id;
    let mut printed = String::new();
    let started = docker.start_exec(&exec, None::<StartExecOptions>).await.map_err(failed)?;
    if let StartExecResults::Attached { mut output, .. } = started {
        while let Some(chunk) = output.next().await {
            printed.push_str(&String::from_utf8_lossy(&chunk.map_err(failed)?.into_bytes()));
        }
    }
    let printed = printed.trim().replace('\n', " | ");
    if NO_SUCH_PROGRAM.iter().any(|words| printed.starts_with(NOT_BEGUN) && printed.contains(words)) {
        let advice = "an image may have nothing but its server: name a program that it has, or do another fault";
        return Err(ClusterError::environment(
            format!("{doing} {}", container.node),
            "its image has no such program",
            advice,
        ));
    }
    let code = docker.inspect_exec(&exec).await.map_err(failed)?.exit_code;
    let code = code.ok_or_else(|| {
        ClusterError::environment(format!("{doing} {}", container.node), "the engine does not tell its exit code", "")
    })?;
    Ok((code, printed))
}
