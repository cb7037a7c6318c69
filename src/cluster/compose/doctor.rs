//! What this machine can do: the engine, Compose, images, and what the kernel has for faults of the network. Each is
//! tried, not guessed, and nothing is pulled.

use std::path::Path;

use bollard::errors::Error as DockerError;
use bollard::models::SystemInfo;
use bollard::{API_DEFAULT_VERSION, Docker};
use rustix::fs::statvfs;
use serde::Serialize;

use super::super::{ClusterError, FaultKind};
use super::agent::{Agent, Post};
use super::cli::find_command;
use super::engine::{Engine, HOST_VARIABLE, engine_error};
use super::{agent, connect};

/// The Compose files that come with the program: their images are looked for.
const COMPOSE_FILES: [&str; 2] =
    [include_str!("../../../compose/etcd.yaml"), include_str!("../../../compose/tikv.yaml")];
/// Where Podman listens for Docker's API, for root; for others it is in `XDG_RUNTIME_DIR`.
const PODMAN_SOCKET: &str = "/run/podman/podman.sock";
/// In seconds.
const ANSWERS_WITHIN: u64 = 10;
/// Three stores with small files and their images take less.
const ENOUGH_SPACE: u64 = 5 << 30;

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

/// What a fault is done with that not every kernel has, or not every engine may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Nft,
    Netem,
    Queue,
    Bandwidth,
    /// The control groups of the machine, and their limits for disks.
    DiskGroups,
    /// The control groups of the machine, and their share of the processors.
    CpuGroups,
}

impl Means {
    const ALL: [Self; 6] = [Self::Nft, Self::Netem, Self::Queue, Self::Bandwidth, Self::DiskGroups, Self::CpuGroups];

    fn name(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::Netem => "netem",
            Self::Queue => "NFQUEUE",
            Self::Bandwidth => "tbf",
            Self::DiskGroups => "disk cgroups",
            Self::CpuGroups => "CPU cgroups",
        }
    }

    /// Does it in a network of its own, and takes it away again.
    fn trial(self) -> &'static str {
        match self {
            Self::Nft => "nft add table inet operator_run && nft delete table inet operator_run",
            Self::Netem => "tc qdisc add dev lo root netem delay 1ms && tc qdisc del dev lo root",
            Self::Queue => {
                "rule='! -o lo -j NFQUEUE --queue-num 57 --queue-bypass'; python3 -c 0 && \
                 iptables -w -t mangle -A OUTPUT $rule && iptables -w -t mangle -D OUTPUT $rule"
            }
            Self::Bandwidth => {
                "tc qdisc add dev lo root tbf rate 1mbit burst 10kb latency 400ms && tc qdisc del dev lo root"
            }
            // A container's own group, and the name of its host is the beginning of its id.
            Self::DiskGroups => {
                "folder=$(group blkio \"$HOSTNAME\") && files=(\"$folder\"/{io.max,blkio.throttle.write_iops_device}) && \
                 { [[ -w ${files[0]} || -w ${files[1]} ]] || { echo \"no limit of writes is in $folder\" && false; }; }"
            }
            Self::CpuGroups => "folder=$(group cpu \"$HOSTNAME\") && (echo $BASHPID >\"$folder/cgroup.procs\")",
        }
    }

    /// The faults that need it.
    fn needed_by(self) -> &'static str {
        match self {
            Self::Nft => "partition, loss, reset, dns_failure",
            Self::Netem | Self::Queue => "delay",
            Self::Bandwidth => "limit_bandwidth",
            Self::DiskGroups => "limit_disk",
            Self::CpuGroups => "burn_cpu",
        }
    }

    /// What a fault can be done with: any of these. None is needed for other faults.
    fn of(kind: &FaultKind) -> &'static [Self] {
        match kind {
            FaultKind::Partition { .. } | FaultKind::Loss { .. } | FaultKind::Reset { .. } | FaultKind::DnsFailure => {
                &[Self::Nft]
            }
            FaultKind::Delay { .. } => &[Self::Netem, Self::Queue],
            FaultKind::LimitBandwidth { .. } => &[Self::Bandwidth],
            FaultKind::LimitDisk { .. } => &[Self::DiskGroups],
            FaultKind::BurnCpu { .. } => &[Self::CpuGroups],
            _ => &[],
        }
    }
}

/// Tries whether this machine can do some faults, before a cluster is brought up for them.
pub(super) async fn check(engine: &Engine, kinds: &[&FaultKind]) -> Result<(), ClusterError> {
    if kinds.iter().all(|kind| Means::of(kind).is_empty()) {
        return Ok(());
    }
    let groups = kinds.iter().any(|kind| matches!(Means::of(kind), [Means::DiskGroups | Means::CpuGroups]));
    let agent = start_agent(engine, groups).await?;
    let checked = async {
        for kind in kinds {
            let mut refused = Vec::new();
            for means in Means::of(kind) {
                match agent.run(means.trial()).await {
                    Ok(_) => {
                        refused.clear();
                        break;
                    }
                    Err(error) => refused.push(format!("{}: {error}", means.name())),
                }
            }
            if !refused.is_empty() {
                let advice = "`operator-run doctor` shows what this machine can do";
                return Err(ClusterError::environment(format!("trying {kind}"), refused.join("; "), advice));
            }
        }
        Ok(())
    };
    let outcome = checked.await;
    agent.end().await?;
    outcome
}

/// An agent in a network of its own, with the control groups of the machine if they are needed.
async fn start_agent(engine: &Engine, control_groups: bool) -> Result<Agent, ClusterError> {
    let capabilities = &["NET_ADMIN"];
    let post = Post { purpose: "trial", capabilities, control_groups, ..Post::default() };
    Agent::start(engine, &post).await
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
    for (variable, image) in images {
        findings.push(examine_image(&docker, &variable, &image).await);
    }
    findings.extend(examine_network(docker).await);
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
            let advice = format!("set {HOST_VARIABLE}=unix://{socket} to try it; it was never verified");
            findings.push(Finding::new("Podman", State::Unknown, seen, &advice));
        }
    }
    (None, findings)
}

async fn ask_version(docker: Result<Docker, ClusterError>) -> Result<(Docker, String), String> {
    let docker = docker.map_err(|error| error.to_string())?;
    let version = docker.version().await.map_err(|error| error.to_string())?;
    let text = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
    let seen = format!("{}, API {}", text(version.version), text(version.api_version));
    Ok((docker, seen))
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
        Ok(_) => Finding::new("image", State::Ok, image, ""),
        Err(DockerError::DockerResponseServerError { status_code: 404, .. }) => {
            let advice = format!("it is pulled when it is first needed; name another in {variable}");
            Finding::new("image", State::Unknown, format!("{image} is not here"), &advice)
        }
        Err(error) => Finding::new("image", State::Unknown, format!("{image}: {error}"), ""),
    }
}

/// Tries what faults of the network are done with, in a network of its own. Nothing is pulled for it.
async fn examine_network(docker: Docker) -> Vec<Finding> {
    let (_, image) = agent::image();
    let unknown = |seen: String| vec![Finding::new("network faults", State::Unknown, seen, "")];
    if docker.inspect_image(&image).await.is_err() {
        return unknown(format!("they are tried with {image}, which is not here"));
    }
    let engine = Engine { docker, run: format!("doctor-{}", std::process::id()) };
    let agent = match start_agent(&engine, true).await {
        Ok(agent) => agent,
        Err(error) => return unknown(error.to_string()),
    };
    let mut outcomes = Vec::new();
    for means in Means::ALL {
        outcomes.push((means, agent.run(means.trial()).await.map_err(|error| error.to_string())));
    }
    if let Err(error) = agent.end().await {
        return unknown(error.to_string());
    }
    findings_of(&outcomes)
}

fn findings_of(outcomes: &[(Means, Result<String, String>)]) -> Vec<Finding> {
    let works = |means: Means| outcomes.iter().any(|(one, outcome)| *one == means && outcome.is_ok());
    let of = |(means, outcome): &(Means, Result<String, String>)| {
        let other = match means {
            Means::Netem => works(Means::Queue),
            Means::Queue => works(Means::Netem),
            _ => false,
        };
        let purpose = format!("for {}", means.needed_by());
        match outcome {
            Ok(_) => Finding::new(means.name(), State::Ok, purpose, ""),
            Err(error) if other => {
                Finding::new(means.name(), State::NotNeeded, error.clone(), "delay has another means here")
            }
            Err(error) => Finding::new(means.name(), State::Missing, error.clone(), &format!("it is {purpose}")),
        }
    };
    outcomes.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_means_of_delay_is_enough() {
        let outcome = |works| if works { Ok(String::new()) } else { Err("not here".to_owned()) };
        let states = |netem, queue| {
            let outcomes = [(Means::Netem, outcome(netem)), (Means::Queue, outcome(queue))];
            findings_of(&outcomes).iter().map(|finding| finding.state).collect::<Vec<_>>()
        };
        assert_eq!(states(true, true), [State::Ok, State::Ok]);
        assert_eq!(states(false, true), [State::NotNeeded, State::Ok]);
        assert_eq!(states(true, false), [State::Ok, State::NotNeeded]);
        assert_eq!(states(false, false), [State::Missing, State::Missing]);
    }

    #[test]
    fn the_images_are_those_of_the_compose_files() {
        let variables: Vec<String> = shipped_images().into_iter().map(|(variable, _)| variable).collect();
        assert_eq!(variables.len(), 7, "{variables:?}");
        assert!(variables.contains(&"OPERATOR_RUN_ETCD_IMAGE".to_owned()), "{variables:?}");
    }
}
