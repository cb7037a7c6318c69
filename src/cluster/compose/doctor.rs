//! What this machine can do: the engine, Compose, images, and what faults are done with. Each is tried, not guessed, and
//! nothing is pulled.

mod means;

use std::path::Path;
use std::time::Duration;

use bollard::errors::Error as DockerError;
use bollard::models::{SystemInfo, SystemVersion};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::future::join_all;
use rustix::fs::statvfs;
use serde::Serialize;

use super::super::ClusterError;
use super::cli::find_command;
use super::engine::{HOST_VARIABLE, engine_error};
use super::{agent, connect};

pub(super) use means::check;

/// The Compose files that come with the program: their images are looked for.
const COMPOSE_FILES: [&str; 2] =
    [include_str!("../../../compose/etcd.yaml"), include_str!("../../../compose/tikv.yaml")];
/// Where Podman listens for Docker's API, for root; for others it is in `XDG_RUNTIME_DIR`.
const PODMAN_SOCKET: &str = "/run/podman/podman.sock";
/// In seconds.
const ANSWERS_WITHIN: u64 = 10;
/// Three stores with small files and their images take less.
const ENOUGH_SPACE: u64 = 5 << 30;
/// How long a registry may take to say that it has an image.
const REGISTRY_ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// The image that no run needs.
const ONLY_TO_LOOK_AT: &str = "GRAFANA_IMAGE";

/// What was found of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is there.
    Ok,
    /// It is not there, and everything goes without it.
    NotNeeded,
    /// It could not be told.
    Unknown,
    /// It is not there, and something does not go without it.
    Missing,
}

/// One line of what the doctor says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// Whether it is there.
    pub state: State,
    /// What was seen.
    pub seen: String,
    /// What to do; empty if nothing is to be done.
    pub advice: String,
}

impl Finding {
    /// What was found of something.
    #[must_use]
    pub fn new(what: &str, state: State, seen: impl Into<String>, advice: &str) -> Self {
        Self { what: what.to_owned(), state, seen: seen.into(), advice: advice.to_owned() }
    }
}

/// Looks at everything that runs on real containers need.
pub async fn examine() -> Vec<Finding> {
    let (engine, mut findings) = examine_engine().await;
    findings.push(examine_compose().await);
    let Some(docker) = engine else {
        findings.push(Finding::new("images, network", State::Unknown, "there is no engine to ask", ""));
        return findings;
    };
    match docker.info().await {
        Ok(info) => findings.extend(examine_machine(&info)),
        Err(error) => findings.push(Finding::new("machine", State::Unknown, error.to_string(), "")),
    }
    let mut images = shipped_images();
    images.push(agent::image());
    findings.extend(join_all(images.iter().map(|(variable, image)| examine_image(&docker, variable, image))).await);
    findings.extend(means::examine(docker).await);
    findings
}

/// The engine that the environment names or the usual one, and what is to be said of it.
async fn examine_engine() -> (Option<Docker>, Vec<Finding>) {
    let failed = match ask_version(connect()).await {
        Ok((docker, seen)) => return (Some(docker), vec![Finding::new("engine", State::Ok, seen, "")]),
        Err(error) => error,
    };
    let advice = "start Docker, or name its socket in DOCKER_HOST; scenarios on the embedded backend need none";
    let mut findings = vec![Finding::new("engine", State::Missing, failed, advice)];
    if std::env::var(HOST_VARIABLE).is_ok_and(|host| !host.is_empty()) {
        return (None, findings);
    }
    let of_user = std::env::var("XDG_RUNTIME_DIR").ok().map(|folder| format!("{folder}/podman/podman.sock"));
    for socket in of_user.into_iter().chain([PODMAN_SOCKET.to_owned()]).filter(|path| Path::new(path).exists()) {
        let podman = Docker::connect_with_unix(&socket, ANSWERS_WITHIN, API_DEFAULT_VERSION);
        if let Ok((_, seen)) = ask_version(podman.map_err(|error| engine_error("connecting to Podman", &error))).await {
            let advice = format!("set {HOST_VARIABLE}=unix://{socket} to use it, and call this again");
            findings.push(Finding::new("Podman", State::NotNeeded, seen, &advice));
        }
    }
    (None, findings)
}

async fn ask_version(docker: Result<Docker, ClusterError>) -> Result<(Docker, String), String> {
    let docker = docker.map_err(|error| error.to_string())?;
    let version = docker.version().await.map_err(|error| error.to_string())?;
    Ok((docker, describe(version)))
}

/// Podman answers as Docker does, but calls its parts by their names.
fn describe(version: SystemVersion) -> String {
    let podman = version.components.iter().flatten().any(|part| part.name.contains("Podman"));
    let text = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
    let product = if podman { "Podman" } else { "Docker Engine" };
    format!("{product} {}, API {}", text(version.version), text(version.api_version))
}

async fn examine_compose() -> Finding {
    match find_command().await {
        Ok((words, version)) => Finding::new("Compose", State::Ok, format!("{} {version}", words.join(" ")), ""),
        Err(error) => Finding::new("Compose", State::Missing, error.to_string(), error.advice()),
    }
}

fn examine_machine(info: &SystemInfo) -> Vec<Finding> {
    let rootless = info.security_options.iter().flatten().any(|option| option.contains("rootless"));
    let root = if rootless {
        let advice = "limits of processors and memory need cgroup v2 with delegation";
        Finding::new("root", State::Unknown, "the engine is rootless", advice)
    } else {
        Finding::new("root", State::Ok, "the engine has root", "")
    };
    let cgroup = info.cgroup_version.map_or_else(|| "unknown".to_owned(), |version| format!("v{version}"));
    let mut findings = vec![root, Finding::new("cgroups", State::Ok, cgroup, "")];
    let folder = info.docker_root_dir.clone().unwrap_or_default();
    findings.push(match statvfs(&folder) {
        Ok(disk) => {
            let free = disk.f_bavail * disk.f_frsize;
            let seen = format!("{} GiB free below {folder}", free >> 30);
            if free < ENOUGH_SPACE {
                Finding::new("disk", State::Missing, seen, "`docker system prune` frees what nobody uses")
            } else {
                Finding::new("disk", State::Ok, seen, "")
            }
        }
        Err(error) => Finding::new("disk", State::Unknown, format!("{folder}: {error}"), ""),
    });
    findings
}

/// The images of the Compose files: the variable that names another, and the image that is used as things are.
fn shipped_images() -> Vec<(String, String)> {
    let mut images: Vec<(String, String)> = Vec::new();
    for line in COMPOSE_FILES.iter().flat_map(|file| file.lines()) {
        let Some((variable, usual)) = line.trim().strip_prefix("image: ${").and_then(|rest| rest.split_once(":-"))
        else {
            continue;
        };
        // The operator's own image is for those who let it run in the cluster.
        if variable == "OPERATOR_IMAGE" || images.iter().any(|(known, _)| known == variable) {
            continue;
        }
        let named = std::env::var(variable).ok().filter(|image| !image.is_empty());
        images.push((variable.to_owned(), named.unwrap_or_else(|| usual.trim_end_matches('}').to_owned())));
    }
    images
}

async fn examine_image(docker: &Docker, variable: &str, image: &str) -> Finding {
    match docker.inspect_image(image).await {
        Ok(_) => return Finding::new("image", State::Ok, image, ""),
        Err(DockerError::DockerResponseServerError { status_code: 404, .. }) => {}
        Err(error) => return Finding::new("image", State::Unknown, format!("{image}: {error}"), ""),
    }
    let asked = tokio::time::timeout(REGISTRY_ANSWERS_WITHIN, docker.inspect_registry_image(image, None)).await;
    let (state, seen) = match asked {
        Ok(Ok(_)) => return Finding::new("image", State::Ok, format!("{image} is not here, and can be pulled"), ""),
        Ok(Err(error)) if is_unknown_request(&error) => {
            (State::Unknown, format!("{image} is not here; this engine does not say whether it can be pulled"))
        }
        Ok(Err(error)) => (State::Missing, format!("{image} is not here, and cannot be pulled: {error}")),
        Err(_) => {
            let seconds = REGISTRY_ANSWERS_WITHIN.as_secs();
            (State::Missing, format!("{image} is not here, and its registry does not answer within {seconds} s"))
        }
    };
    if variable == ONLY_TO_LOOK_AT {
        return Finding::new("image", State::NotNeeded, seen, "it is for who calls Compose by hand");
    }
    let advice = format!("name another in {variable}, or make a stand-in by compose/images/build");
    Finding::new("image", state, seen, &advice)
}

/// Whether the engine knows no such request: Podman answers only some of Docker's.
fn is_unknown_request(error: &DockerError) -> bool {
    matches!(error, DockerError::DockerResponseServerError { status_code: 404, message }
        if ["Not Found", "page not found"].contains(&message.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn podman_is_told_from_docker() {
        let seen = |json| describe(serde_json::from_str(json).unwrap());
        // As both answer, but for what is not looked at.
        let podman = r#"{"Version": "4.3.1", "ApiVersion": "1.41", "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]}"#;
        assert_eq!(seen(podman), "Podman 4.3.1, API 1.41");
        let docker = r#"{"Version": "20.10.24", "ApiVersion": "1.41", "Components": [{"Name": "Engine", "Version": "20.10.24"}]}"#;
        assert_eq!(seen(docker), "Docker Engine 20.10.24, API 1.41");
    }

    #[test]
    fn the_images_are_those_of_the_compose_files() {
        let variables: Vec<String> = shipped_images().into_iter().map(|(variable, _)| variable).collect();
        assert_eq!(variables.len(), 7, "{variables:?}");
        assert!(variables.contains(&"OPERATOR_RUN_ETCD_IMAGE".to_owned()), "{variables:?}");
    }
}
