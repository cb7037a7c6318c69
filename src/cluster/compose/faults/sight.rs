//! How faults of the network are seen: by what a process in that network experiences.

use std::net::IpAddr;
use std::time::Duration;

use bollard::models::ContainerInspectResponse;

use super::super::agent::Agent;
use super::rules::burst;
use crate::cluster::{ClusterError, Fault, FaultKind};

/// How long a connection may take before it counts as lost, in seconds: less than the kernel waits before it sends a lost
/// packet again (`TCP_TIMEOUT_INIT`, 1 s), so that one lost packet is seen.
const CONNECTS_WITHIN: &str = "0.9";
/// The same where packets come late, in seconds: shorter than an agent may take to answer.
const CONNECTS_LATE_WITHIN: u64 = 10;
/// How many connections are tried at a time to see that some packets are lost.
const TRIES_OF_LOSS: usize = 20;
/// How many connections are timed at a time.
const TRIES_OF_DELAY: usize = 9;

/// An endpoint that answered a connection.
struct Answer {
    endpoint: String,
    /// Whether it took the connection; else it refused.
    open: bool,
    took: Duration,
}

/// Those of some endpoints by which a fault will be seen, since nothing of it is seen there now.
pub(super) async fn witnesses(agent: &Agent, fault: &Fault, endpoints: &[String]) -> Result<Vec<String>, ClusterError> {
    let Some(first) = endpoints.first() else { return Ok(Vec::new()) };
    let only_first = |well: bool| if well { vec![first.clone()] } else { Vec::new() };
    Ok(match fault.kind() {
        FaultKind::Reset { .. } => {
            let answers = dial(agent, endpoints, CONNECTS_WITHIN).await?.into_iter();
            answers.filter(|answer| answer.open).map(|answer| answer.endpoint).collect()
        }
        FaultKind::Delay { by, .. } => {
            let mut near = Vec::new();
            for endpoint in endpoints {
                if round_trip(agent, endpoint).await?.is_some_and(|took| took < by.0 / 2) {
                    near.push(endpoint.clone());
                    break;
                }
            }
            near
        }
        FaultKind::LimitBandwidth { to } => only_first(sent_a_second(agent, first, to.0).await? >= 2 * to.0),
        FaultKind::DnsFailure => only_first(finds_itself(agent, fault).await?),
        _ => dial(agent, endpoints, CONNECTS_WITHIN).await?.into_iter().map(|answer| answer.endpoint).collect(),
    })
}

/// What it means that there is no witness.
pub(super) fn no_witness(fault: &Fault, endpoints: &[String]) -> String {
    let tried = endpoints.join(", ");
    match fault.kind() {
        FaultKind::Reset { .. } => format!("none of {tried} takes a connection"),
        FaultKind::Delay { by, .. } => format!("none of {tried} answers within half of {by}"),
        FaultKind::LimitBandwidth { to } => format!("not even twice {to} can be sent in a second"),
        FaultKind::DnsFailure => "not even its own name is found".to_owned(),
        _ => format!("none of {tried} answers"),
    }
}

/// What is seen instead of a fault's effect, if that does not show.
pub(super) async fn missing_effect(
    agent: &Agent,
    fault: &Fault,
    witnesses: &[String],
) -> Result<Option<String>, ClusterError> {
    let Some(first) = witnesses.first() else { return Ok(Some("there is nothing to see it by".to_owned())) };
    let named = |answers: Vec<Answer>| answers.into_iter().map(|answer| answer.endpoint).collect::<Vec<_>>().join(", ");
    Ok(match fault.kind() {
        FaultKind::Loss { .. } => {
            let answers = dial(agent, &vec![first.clone(); TRIES_OF_LOSS], CONNECTS_WITHIN).await?;
            (answers.len() == TRIES_OF_LOSS).then(|| format!("{first} answered each time"))
        }
        FaultKind::Reset { .. } => {
            let answers = dial(agent, witnesses, CONNECTS_WITHIN).await?;
            let refused = answers.iter().filter(|answer| !answer.open).count();
            (refused < witnesses.len()).then(|| format!("{refused} of {} refuse a connection", witnesses.len()))
        }
        FaultKind::Delay { by, .. } => match round_trip(agent, first).await? {
            Some(took) if took < by.0 * 3 / 4 => Some(format!("{first} answered within {took:?}")),
            None if by.0.as_secs() < CONNECTS_LATE_WITHIN => Some(format!("{first} does not answer at all")),
            _ => None,
        },
        FaultKind::LimitBandwidth { to } => {
            let sent = sent_a_second(agent, first, to.0).await?;
            (sent > to.0 * 3 / 2).then(|| format!("{sent} bytes were sent in a second"))
        }
        FaultKind::DnsFailure => finds_itself(agent, fault).await?.then(|| "it finds its own name".to_owned()),
        _ => {
            let answers = dial(agent, witnesses, CONNECTS_WITHIN).await?;
            (!answers.is_empty()).then(|| format!("{} answered", named(answers)))
        }
    })
}

/// Those of some endpoints that answer a connection, if only by refusing it.
async fn dial(agent: &Agent, endpoints: &[String], within: &str) -> Result<Vec<Answer>, ClusterError> {
    let said = agent.run(&format!("dial {within} {}", endpoints.join(" "))).await?;
    let answer = |line: &str| {
        let mut words = line.split(' ');
        let (endpoint, outcome) = (words.next()?.to_owned(), words.next()?);
        let took = Duration::from_micros(words.next()?.parse().ok()?);
        Some(Answer { endpoint, open: outcome == "open", took })
    };
    Ok(said.split(" | ").filter_map(answer).collect())
}

/// How long a connection to an endpoint takes, the median of some; none if most are not there in time.
async fn round_trip(agent: &Agent, endpoint: &str) -> Result<Option<Duration>, ClusterError> {
    let answers = dial(agent, &vec![endpoint.to_owned(); TRIES_OF_DELAY], &CONNECTS_LATE_WITHIN.to_string()).await?;
    let mut took: Vec<Duration> = answers.into_iter().filter(|answer| answer.open).map(|answer| answer.took).collect();
    took.sort();
    Ok(took.get(TRIES_OF_DELAY / 2).copied())
}

/// How many bytes can be sent to an endpoint in a second, looked for up to four times a limit.
async fn sent_a_second(agent: &Agent, endpoint: &str, limit: u64) -> Result<u64, ClusterError> {
    let address = endpoint.rsplit_once('/').map_or(endpoint, |(address, _)| address);
    let said = agent.run(&format!("send {address} {} {}", 2 * burst(limit), 4 * limit)).await?;
    said.trim().parse().map_err(|_| ClusterError::environment("measuring what a network carries", said, ""))
}

/// Whether the node's own name, which the resolver of its network has, is found.
async fn finds_itself(agent: &Agent, fault: &Fault) -> Result<bool, ClusterError> {
    let name = fault.node().map_or("", |node| node.as_str());
    Ok(!agent.run(&format!("find_name {name}")).await?.trim().is_empty())
}

/// What can be connected to at a container, as bash writes it: each address with its lowest port, or with a port that
/// nobody serves, which answers as well, by a refusal.
pub(super) fn endpoints_of(container: &ContainerInspectResponse, addresses: &[IpAddr]) -> Vec<String> {
    const NOBODY_SERVES: u16 = 9;
    let ports = container.config.as_ref().and_then(|config| config.exposed_ports.as_ref());
    let numbers = ports.into_iter().flatten().filter_map(|port| port.strip_suffix("/tcp")?.parse().ok());
    let port = numbers.min().unwrap_or(NOBODY_SERVES);
    addresses.iter().map(|address| format!("{address}/{port}")).collect()
}
