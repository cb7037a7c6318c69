//! A Compose project: its files as they are in the binary, and the folder that a run writes them to.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_yaml::Value as Yaml;

use super::{ClusterError, NODE_LABEL, Node, READY_LABEL, ROLE_LABEL};
use crate::http::Request;
use crate::reading::NodeName;

/// How long a node may take to say that it is well. PD waits up to 3 s for a leader before it says that there is none
/// (`pd:pkg/utils/apiutil/serverapi/middleware.go`).
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// A Compose file and what belongs to it.
#[derive(Debug)]
pub struct Project {
    /// The Compose file.
    pub file: &'static str,
    /// A file to put on top of it where the engine may not raise the limits that it asks for.
    pub low_limits: Option<&'static str>,
    /// The files that it mounts from its own folder, by name.
    pub mounted: &'static [(&'static str, &'static str)],
    /// How long its nodes may take to become well once their containers run.
    pub well_within: Duration,
}

/// What a profile of the Compose file adds to a cluster that is well: a load generator.
#[derive(Debug)]
pub struct Addition {
    /// The profile.
    pub profile: &'static str,
    /// The service to start; what it depends on is started before it.
    pub service: &'static str,
    /// What the service's label calls it; its log is among those of the nodes by this name.
    pub node: &'static str,
    /// What the Compose file reads from the environment for it.
    pub variables: Vec<(&'static str, String)>,
}

/// A service that is a node of the cluster. The others are left to who wants them.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) node: Node,
    /// What answers with 200 when the node is well. None if the container has a health check of its own.
    pub(super) ready: Option<Request>,
}

impl Project {
    /// The services whose labels give them a role, in the order of the file.
    pub(super) fn services(&self) -> Result<Vec<Service>, ClusterError> {
        let broken = |reason: String| ClusterError::environment("reading the Compose file", reason, "");
        let mut file: Yaml = serde_yaml::from_str(self.file).map_err(|error| broken(error.to_string()))?;
        file.apply_merge().map_err(|error| broken(error.to_string()))?;
        let services = file["services"].as_mapping().ok_or_else(|| broken("it has no services".to_owned()))?;
        let nodes = services.values().filter(|service| service["labels"][ROLE_LABEL].is_string()).map(|service| {
            let label = |name: &str| service["labels"][name].as_str();
            let (name, role) = (label(NODE_LABEL)?.to_owned(), label(ROLE_LABEL)?.to_owned());
            let ready = match label(READY_LABEL) {
                Some(label) => Some(ready_request(&name, label)?),
                None => None,
            };
            Some(Service { node: Node { name: NodeName(name), role }, ready })
        });
        nodes.collect::<Option<Vec<Service>>>().ok_or_else(|| {
            broken(format!("a service has a {ROLE_LABEL} and no {NODE_LABEL}, or a {READY_LABEL} without a path"))
        })
    }
}

/// What a label such as `:20180/status` asks of a node.
fn ready_request(node: &str, label: &str) -> Option<Request> {
    let (port, path) = label.split_at(label.find('/')?);
    Some(Request::get(format!("{node}{port}"), path, READY_TIMEOUT))
}

/// The name of the Compose file in its folder.
const FILE: &str = "compose.yaml";
/// The name of what is put on top of it.
const LOW_LIMITS: &str = "low-limits.yaml";

/// The folder with a run's Compose file.
#[derive(Debug)]
pub(super) struct ProjectFolder {
    path: PathBuf,
}

impl ProjectFolder {
    /// Writes the project's files to a new folder.
    pub(super) fn create(project: &Project, run: &str) -> Result<Self, ClusterError> {
        let path = std::env::temp_dir().join(format!("operator-run-{run}"));
        write(project, &path).map_err(|error| {
            let step = format!("writing the Compose file to {}", path.display());
            ClusterError::environment(
                step,
                error,
                "is there space left, and may this user write there? TMPDIR names another place",
            )
        })?;
        Ok(Self { path })
    }

    /// The Compose file.
    pub(super) fn file(&self) -> PathBuf {
        self.path.join(FILE)
    }

    /// What is put on top of it for low limits, if the project has it.
    pub(super) fn low_limits(&self) -> Option<PathBuf> {
        Some(self.path.join(LOW_LIMITS)).filter(|path| path.exists())
    }

    /// Removes the folder. It is in the system's temporary folder: if it stays, it is no more than litter.
    pub(super) fn remove(&self) {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("cannot remove {}: {error}", self.path.display());
            }
            _ => {}
        }
    }
}

/// The files must be readable for the user that a container runs as, whatever the umask is.
fn write(project: &Project, folder: &Path) -> io::Result<()> {
    fs::create_dir(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    let low_limits = project.low_limits.map(|text| (LOW_LIMITS, text));
    for (name, text) in project.mounted.iter().copied().chain([(FILE, project.file)]).chain(low_limits) {
        let path = folder.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    }
    Ok(())
}
