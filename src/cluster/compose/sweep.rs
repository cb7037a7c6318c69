//! Removes all that a run has made on the engine, and proves that nothing of it is left.

use std::collections::HashMap;

use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveVolumeOptions,
};
use futures_util::future::join_all;

use super::{ClusterError, engine_error, run_filter};

/// How often removing is tried.
const ROUNDS: usize = 3;

/// What carries a run's label.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Ids of containers, in any state.
    pub containers: Vec<String>,
    /// Ids of networks.
    pub networks: Vec<String>,
    /// Names of volumes.
    pub volumes: Vec<String>,
}

impl Leftovers {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Lists what carries the label of a run.
pub async fn leftovers(docker: &Docker, run: &str) -> Result<Leftovers, ClusterError> {
    let filters = HashMap::from([("label", vec![run_filter(run)])]);
    let failed = |error: DockerError| engine_error("listing what the run has made", &error);
    let containers = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let networks = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let volumes = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let containers = docker.list_containers(Some(containers)).await.map_err(failed)?;
    let networks = docker.list_networks(Some(networks)).await.map_err(failed)?;
    let volumes = docker.list_volumes(Some(volumes)).await.map_err(failed)?;
    Ok(Leftovers {
        containers: containers.into_iter().filter_map(|container| container.id).collect(),
        networks: networks.into_iter().filter_map(|network| network.id).collect(),
        volumes: volumes.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect(),
    })
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

/// Containers first: they hold the networks and volumes.
async fn remove(docker: &Docker, found: &Leftovers) -> Vec<String> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    let containers =
        join_all(found.containers.iter().map(|id| docker.remove_container(id, Some(options.clone())))).await;
    let networks = join_all(found.networks.iter().map(|id| docker.remove_network(id))).await;
    let volumes =
        join_all(found.volumes.iter().map(|name| docker.remove_volume(name, None::<RemoveVolumeOptions>))).await;
    let outcomes = containers.into_iter().chain(networks).chain(volumes);
    outcomes.filter_map(Result::err).map(|error| error.to_string()).collect()
}
