//! A Compose project: its file as it is in the binary, and the folder that a run writes it to.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_yaml::Value as Yaml;

use super::{ClusterError, NODE_LABEL, Node, ROLE_LABEL};
use crate::reading::NodeName;

/// A Compose file and the files that it mounts.
#[derive(Debug)]
pub struct Project {
    /// The Compose file.
    pub file: &'static str,
    /// The files that it mounts from its own folder, by name.
    pub mounted: &'static [(&'static str, &'static str)],
}

impl Project {
    /// The nodes that the services' labels name, in the order of the file.
    pub(super) fn nodes(&self) -> Result<Vec<Node>, ClusterError> {
        let broken = |reason: String| ClusterError::environment("reading the Compose file", reason, "");
        let mut file: Yaml = serde_yaml::from_str(self.file).map_err(|error| broken(error.to_string()))?;
        file.apply_merge().map_err(|error| broken(error.to_string()))?;
        let services = file["services"].as_mapping().ok_or_else(|| broken("it has no services".to_owned()))?;
        let nodes = services.values().map(|service| {
            let label = |name: &str| service["labels"][name].as_str().map(str::to_owned);
            Some(Node { name: NodeName(label(NODE_LABEL)?), role: label(ROLE_LABEL)? })
        });
        nodes
            .collect::<Option<Vec<Node>>>()
            .ok_or_else(|| broken(format!("a service has no {NODE_LABEL} and {ROLE_LABEL}")))
    }
}

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
        self.path.join("compose.yaml")
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
    for (name, text) in project.mounted.iter().chain([&("compose.yaml", project.file)]) {
        let path = folder.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    }
    Ok(())
}
