//! What faults are done with that not every kernel has, or not every engine may do.

use std::collections::HashMap;

use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::models::{ContainerUpdateBody, VolumeCreateRequest};
use bollard::query_parameters::RemoveVolumeOptions;

use super::super::super::{ClusterError, FaultKind};
use super::super::RUN_LABEL;
use super::super::agent::{self, Agent, Post};
use super::super::engine::{Engine, engine_error};
use super::{Finding, State, is_unknown_request};

/// What a fault is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    /// The engine changes the limits of a container that runs.
    Limits,
    /// The engine makes volumes in memory that have a size.
    Disks,
    /// An agent may change a network.
    Capability,
    Nft,
    Netem,
    Queue,
    Bandwidth,
    /// The control groups of the machine, and their limits for disks.
    DiskGroups,
    /// The control groups of the machine, and their share of the processors.
    CpuGroups,
}

/// How a means is tried.
#[derive(Debug, Clone, Copy)]
enum Trial {
    /// The engine is asked to change the limits of a container that there is not.
    Limits,
    /// A volume is made, and removed.
    Disks,
    /// What an agent does in a network of its own, and takes away again.
    Command(&'static str),
}

impl Means {
    const ALL: [Self; 9] = [
        Self::Limits,
        Self::Disks,
        Self::Capability,
        Self::Nft,
        Self::Netem,
        Self::Queue,
        Self::Bandwidth,
        Self::DiskGroups,
        Self::CpuGroups,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Limits => "limits",
            Self::Disks => "sized disks",
            Self::Capability => "NET_ADMIN",
            Self::Nft => "nft",
            Self::Netem => "netem",
            Self::Queue => "NFQUEUE",
            Self::Bandwidth => "tbf",
            Self::DiskGroups => "disk cgroups",
            Self::CpuGroups => "CPU cgroups",
        }
    }

    fn trial(self) -> Trial {
        Trial::Command(match self {
            Self::Limits => return Trial::Limits,
            Self::Disks => return Trial::Disks,
            // Its number is 12 (capabilities(7)).
            Self::Capability => {
                "[[ $(</proc/self/status) =~ CapEff:[[:space:]]*([0-9a-f]+) ]] && ((0x${BASH_REMATCH[1]} >> 12 & 1)) || \
                 { echo 'the engine does not give it' && false; }"
            }
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
        })
    }

    /// The faults that need it.
    fn needed_by(self) -> &'static str {
        match self {
            Self::Limits => "limit_cpu, limit_memory",
            Self::Disks => "fill_disk",
            Self::Capability => "all faults of the network but disconnect",
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
            FaultKind::LimitCpu { .. } | FaultKind::LimitMemory { .. } => &[Self::Limits],
            FaultKind::FillDisk { .. } => &[Self::Disks],
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

/// Trials on an engine, by one agent if there is need of any.
struct Trials<'a> {
    engine: &'a Engine,
    /// Whether the agent has the control groups of the machine.
    control_groups: bool,
    agent: Option<Agent>,
}

impl Trials<'_> {
    async fn try_out(&mut self, means: Means) -> Result<(), ClusterError> {
        match means.trial() {
            Trial::Limits => try_limits(self.engine).await,
            Trial::Disks => try_disks(self.engine).await,
            Trial::Command(command) => self.agent().await?.run(command).await.map(drop),
        }
    }

    async fn agent(&mut self) -> Result<&Agent, ClusterError> {
        let agent = if let Some(agent) = self.agent.take() {
            agent
        } else {
            let (capabilities, control_groups) = (&["NET_ADMIN"], self.control_groups);
            let post = Post { purpose: "trial", capabilities, control_groups, ..Post::default() };
            Agent::start(self.engine, &post).await?
        };
        Ok(self.agent.insert(agent))
    }

    async fn end(self) -> Result<(), ClusterError> {
        match self.agent {
            Some(agent) => agent.end().await,
            None => Ok(()),
        }
    }
}

/// An engine that can do it says that there is no such container.
async fn try_limits(engine: &Engine) -> Result<(), ClusterError> {
    let updated =
        engine.docker.update_container("operator-run-no-such-container", ContainerUpdateBody::default()).await;
    updated
        .err()
        .filter(is_unknown_request)
        .map_or(Ok(()), |error| Err(engine_error("changing the limits of a container that runs", &error)))
}

async fn try_disks(engine: &Engine) -> Result<(), ClusterError> {
    let failed = |error: DockerError| engine_error("making a volume in memory that has a size", &error);
    let options = [("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1048576")];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let request = VolumeCreateRequest {
        driver_opts: Some(options.map(owned).into()),
        labels: Some(HashMap::from([owned((RUN_LABEL, &engine.run))])),
        ..VolumeCreateRequest::default()
    };
    let volume = engine.docker.create_volume(request).await.map_err(failed)?;
    engine.docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await.map_err(failed)
}

/// Tries whether this machine can do some faults, before a cluster is brought up for them.
pub(in super::super) async fn check(engine: &Engine, kinds: &[&FaultKind]) -> Result<(), ClusterError> {
    let control_groups = kinds.iter().any(|kind| matches!(Means::of(kind), [Means::DiskGroups | Means::CpuGroups]));
    let mut trials = Trials { engine, control_groups, agent: None };
    if kinds.iter().flat_map(|kind| Means::of(kind)).any(|means| matches!(means.trial(), Trial::Command(_))) {
        trials.agent().await?;
    }
    let mut outcome = Ok(());
    for kind in kinds {
        outcome = outcome.and(try_any(&mut trials, kind).await);
    }
    trials.end().await?;
    outcome
}

/// Tries what a fault can be done with, until something works.
async fn try_any(trials: &mut Trials<'_>, kind: &FaultKind) -> Result<(), ClusterError> {
    let mut refused = Vec::new();
    for means in Means::of(kind) {
        match trials.try_out(*means).await {
            Ok(()) => return Ok(()),
            Err(error) => refused.push(format!("{}: {error}", means.name())),
        }
    }
    if refused.is_empty() {
        return Ok(());
    }
    let advice = "`operator-run doctor` shows what this machine can do";
    Err(ClusterError::environment(format!("trying {kind}"), refused.join("; "), advice))
}

/// Tries all there is. Nothing is pulled for it.
pub(super) async fn examine(docker: Docker) -> Vec<Finding> {
    let (_, image) = agent::image();
    let agents_image_is_here = docker.inspect_image(&image).await.is_ok();
    let engine = Engine { docker, run: format!("doctor-{}", std::process::id()) };
    let mut trials = Trials { engine: &engine, control_groups: true, agent: None };
    let no_agent = if agents_image_is_here {
        trials.agent().await.err().map(|error| error.to_string())
    } else {
        Some(format!("they are tried with {image}, which is not here"))
    };
    let mut outcomes = Vec::new();
    for means in Means::ALL {
        if no_agent.is_none() || !matches!(means.trial(), Trial::Command(_)) {
            outcomes.push((means, trials.try_out(means).await.map_err(|error| error.to_string())));
        }
    }
    let mut findings = findings_of(&outcomes);
    let not_tried = no_agent.or(trials.end().await.err().map(|error| error.to_string()));
    findings.extend(not_tried.map(|reason| Finding::new("other faults", State::Unknown, reason, "")));
    findings
}

fn findings_of(outcomes: &[(Means, Result<(), String>)]) -> Vec<Finding> {
    let works = |means: Means| outcomes.iter().any(|(one, outcome)| *one == means && outcome.is_ok());
    let of = |(means, outcome): &(Means, Result<(), String>)| {
        let other = match means {
            Means::Netem => works(Means::Queue),
            Means::Queue => works(Means::Netem),
            _ => false,
        };
        let purpose = format!("for {}", means.needed_by());
        match outcome {
            Ok(()) => Finding::new(means.name(), State::Ok, purpose, ""),
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
        let outcome = |works| if works { Ok(()) } else { Err("not here".to_owned()) };
        let states = |netem, queue| {
            let outcomes = [(Means::Netem, outcome(netem)), (Means::Queue, outcome(queue))];
            findings_of(&outcomes).iter().map(|finding| finding.state).collect::<Vec<_>>()
        };
        assert_eq!(states(true, true), [State::Ok, State::Ok]);
        assert_eq!(states(false, true), [State::NotNeeded, State::Ok]);
        assert_eq!(states(true, false), [State::Ok, State::NotNeeded]);
        assert_eq!(states(false, false), [State::Missing, State::Missing]);
    }
}
