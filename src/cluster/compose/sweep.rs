//! Finds what runs have made on the engine, removes it, and proves that nothing of it is left.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveVolumeOptions, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;
use futures_util::future::join_all;

use super::{ClusterError, LATE_CREATION, RUN_LABEL, RUNNER_LABEL, engine_error, run_filter};
use crate::runner::Runner;

/// How often removing is tried.
const ROUNDS: usize = 3;
/// How long a container that somebody else is removing may take to be gone.
const REMOVED_WITHIN: Duration = Duration::from_secs(20);

/// What carries a run's label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Ids of containers, in any state.
    pub containers: Vec<String>,
    /// Ids of networks.
    pub networks: Vec<String>,
    /// Names of volumes.
    pub volumes: Vec<String>,
    /// The process that runs it, as a label says.
    pub runner: Option<Runner>,
}

impl Leftovers {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty()
    }
}

/// Lists what carries the label of a run.
pub async fn leftovers(docker: &Docker, run: &str) -> Result<Leftovers, ClusterError> {
    Ok(list(docker, run_filter(run)).await?.remove(run).unwrap_or_default())
}

/// Lists what carries the label of any run, by the run's id.
pub async fn all_leftovers(docker: &Docker) -> Result<BTreeMap<String, Leftovers>, ClusterError> {
    list(docker, RUN_LABEL.to_owned()).await
}

async fn list(docker: &Docker, label: String) -> Result<BTreeMap<String, Leftovers>, ClusterError> {
    let filters = HashMap::from([("label", vec![label])]);
    let failed = |error: DockerError| engine_error("listing what runs have made", &error);
    let containers = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let networks = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let volumes = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let mut found = BTreeMap::new();
    for container in docker.list_containers(Some(containers)).await.map_err(failed)? {
        of_run(&mut found, container.labels).containers.extend(container.id);
    }
    for network in docker.list_networks(Some(networks)).await.map_err(failed)? {
        of_run(&mut found, network.labels).networks.extend(network.id);
    }
    for volume in docker.list_volumes(Some(volumes)).await.map_err(failed)?.volumes.unwrap_or_default() {
        of_run(&mut found, Some(volume.labels)).volumes.push(volume.name);
    }
    Ok(found)
}

/// The entry of the run that these labels name. A helper container may not say who runs it: any of the others does.
fn of_run(found: &mut BTreeMap<String, Leftovers>, labels: Option<HashMap<String, String>>) -> &mut Leftovers {
    let labels = labels.unwrap_or_default();
    let entry = found.entry(labels.get(RUN_LABEL).cloned().unwrap_or_default()).or_default();
    let runner = labels.get(RUNNER_LABEL).and_then(|text| serde_json::from_str(text).ok());
    entry.runner = entry.runner.take().or(runner);
    entry
}

/// Removes what carries the label of a run. Nothing left to remove is no error; something that stays is.
pub async fn sweep(docker: &Docker, run: &str) -> Result<(), ClusterError> {
    let mut errors = Vec::new();
    for _ in 0..ROUNDS {
        let found = leftovers(docker, run).await?;
        if found.is_empty() {
            return Ok(());
        }
        errors = remove(docker, &found).await;
    }
    let left = leftovers(docker, run).await?;
    if left.is_empty() {
        return Ok(());
    }
    let advice = format!("remove by hand what carries the label {}", run_filter(run));
    Err(ClusterError::environment(
        "taking the cluster down",
        format!("{left:?} is left: {}", errors.join("; ")),
        advice,
    ))
}

/// The same, once more when the engine has made what somebody asked it for who is gone by now.
pub async fn sweep_twice(docker: &Docker, run: &str) -> Result<(), ClusterError> {
    sweep(docker, run).await?;
    tokio::time::sleep(LATE_CREATION).await;
    sweep(docker, run).await
}

/// Containers first: they hold the networks and volumes.
async fn remove(docker: &Docker, found: &Leftovers) -> Vec<String> {
    let containers = join_all(found.containers.iter().map(|id| remove_container(docker, id))).await;
    let networks = join_all(found.networks.iter().map(|id| docker.remove_network(id))).await;
    let volumes =
        join_all(found.volumes.iter().map(|name| docker.remove_volume(name, None::<RemoveVolumeOptions>))).await;
    let outcomes = containers.into_iter().chain(networks).chain(volumes);
    outcomes.filter_map(Result::err).filter(|error| !has_status(error, 404)).map(|error| error.to_string()).collect()
}

/// Removes a container, or waits until it is gone if somebody else removes it: another clean-up, or the engine itself.
async fn remove_container(docker: &Docker, id: &str) -> Result<(), DockerError> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    let outcome = docker.remove_container(id, Some(options)).await;
    if !outcome.as_ref().is_err_and(|error| has_status(error, 409)) {
        return outcome;
    }
    let condition = WaitContainerOptionsBuilder::default().condition("removed").build();
    let mut removed = Box::pin(docker.wait_container(id, Some(condition)));
    match tokio::time::timeout(REMOVED_WITHIN, removed.next()).await {
        Ok(_) => Ok(()),
        Err(_) => outcome,
    }
}

fn has_status(error: &DockerError, status: u16) -> bool {
    matches!(error, DockerError::DockerResponseServerError { status_code, .. } if *status_code == status)
}
