//! Reads a TiKV cluster once: every PD member, PD's view of the stores, each store's status port, Prometheus, the logs.

use futures_util::future::join_all;

use super::super::prometheus::{ask_for, observe as observe_figures};
use super::super::{CLUSTER, ENDPOINT_TIMEOUT, observe_processes, reachability};
use super::pd::{self, Health, Heard};
use super::{checks, logs, prometheus, scheduling, stores, traffic};
use crate::cluster::{Cluster, Node};
use crate::http::{HttpError, Request};
use crate::reading::{NodeName, Observation, Unit, Value};

pub(super) async fn observe(cluster: &dyn Cluster) -> Observation {
    let mut observation = Observation::new(cluster.clock().now());
    let of_role = |role: &str| cluster.nodes().iter().filter(|node| node.role == role).collect::<Vec<&Node>>();
    let (pds, nodes) = (of_role("pd"), of_role("tikv"));

    let (heard, store_figures, pd_figures, lines) = tokio::join!(
        pd::hear(cluster, &pds),
        ask_for(cluster, prometheus::STORE_FIGURES),
        ask_for(cluster, prometheus::PD_FIGURES),
        logs::ask(cluster, observation.at),
    );
    // The rest is asked of those members that can say how the stores are: the others would only be waited for.
    let able: Vec<&Node> =
        pds.iter().zip(&heard.stores).filter(|(_, answer)| answer.is_ok()).map(|(node, _)| *node).collect();
    observe_members(&mut observation, &pds, &heard);
    let infos = stores::by_node(cluster, &able, &nodes, pd::first_answer(heard.stores)).await;
    let addresses: Vec<String> = nodes.iter().map(|node| stores::status_address(&infos, node)).collect();
    let (ports, scheduling, traffic) = tokio::join!(
        ask_status_ports(cluster, &addresses),
        scheduling::ask(cluster, &able),
        traffic::ask(cluster, &able),
    );

    stores::observe(&mut observation, &nodes, &infos);
    for (node, answer) in nodes.iter().zip(&ports) {
        observation.push("tikv", &node.name, "status_port", reachability(answer), Unit::None);
        let cut_off = checks::is_cut_off(&observation, &node.name).map_or_else(Value::unknown, Value::Flag);
        observation.push("tikv", &node.name, "cut_off_from_pd", cut_off, Unit::None);
    }
    logs::observe(&mut observation, &pds, &nodes, &infos, &lines);
    let instances: Vec<(&NodeName, String)> = nodes.iter().map(|node| &node.name).zip(addresses).collect();
    observe_figures(&mut observation, &instances, prometheus::STORE_FIGURES, &store_figures);
    let instances: Vec<(&NodeName, String)> = pds.iter().map(|node| (&node.name, pd::address(node))).collect();
    observe_figures(&mut observation, &instances, prometheus::PD_FIGURES, &pd_figures);
    scheduling::observe(&mut observation, &scheduling);
    traffic::observe(&mut observation, &nodes, &infos, &traffic);
    observe_processes(cluster, &mut observation).await;
    observation
}

fn observe_members(observation: &mut Observation, pds: &[&Node], heard: &Heard) {
    let Heard { members, health, .. } = heard;
    let leader = members.iter().flatten().find_map(|members| members.leader.as_ref()).map(|leader| &leader.name);
    let someone_answers = health.iter().any(Result::is_ok);
    for (index, (node, members)) in pds.iter().zip(members).enumerate() {
        observation.push("pd", &node.name, "pd_api", reachability(members), Unit::None);
        let is_leader = leader
            .map_or(Value::unknown("no PD member knows a leader"), |leader| Value::Flag(leader == node.name.as_str()));
        observation.push("pd", &node.name, "is_leader", is_leader, Unit::None);
        observation.push("pd", &node.name, "pd_health", member_health(&node.name, index, health), Unit::None);
    }
    let leader = match leader {
        Some(name) => Value::from(name.as_str()),
        None if someone_answers => Value::from("none"),
        None => Value::unknown("no PD member answers"),
    };
    observation.push("pd", &CLUSTER.into(), "pd_leader", leader, Unit::None);
}

/// How a member is, by whether it answers itself and by whether any other that answers can reach it.
fn member_health(node: &NodeName, index: usize, health: &[Result<Vec<Health>, HttpError>]) -> Value {
    let others: Vec<&Vec<Health>> = health
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != index)
        .filter_map(|(_, answer)| answer.as_ref().ok())
        .collect();
    let seen = others.iter().any(|entries| entries.iter().any(|entry| entry.name == node.as_str() && entry.health));
    match &health[index] {
        Ok(_) if seen || others.is_empty() => Value::from("healthy"),
        Ok(_) => Value::from("answers, but the others cannot reach it"),
        Err(error) if seen => Value::unknown(error),
        Err(HttpError::Refused { .. }) => Value::from("unreachable"),
        Err(_) if !others.is_empty() => Value::from("unreachable"),
        Err(error) => Value::unknown(format!("no PD member answers; this one: {error}")),
    }
}

async fn ask_status_ports(cluster: &dyn Cluster, addresses: &[String]) -> Vec<Result<(), HttpError>> {
    join_all(addresses.iter().map(|address| async move {
        let request = Request::get(address, "/status", ENDPOINT_TIMEOUT);
        cluster.http().send(&request).await.and_then(|response| response.ok(&request))
    }))
    .await
}
