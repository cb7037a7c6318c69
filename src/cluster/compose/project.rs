//! A Compose project: its files as they are in the binary, and the folder that a run writes them to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use regex::{Captures, Regex};
use serde_yaml::Value as Yaml;

use super::{ClusterError, NODE_LABEL, Node, READY_LABEL, ROLE_LABEL, runner_label};
use crate::http::Request;
use crate::reading::NodeName;
use crate::runner::Runner;

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
    /// What is put on top of it where the disks are to have a size.
    pub disks: Disks,
    /// The files that it mounts from its own folder, by name.
    pub mounted: &'static [(&'static str, &'static str)],
    /// How long its nodes may take to become well once their containers run.
    pub well_within: Duration,
}

/// How a project gets disks of a size.
#[derive(Debug)]
pub struct Disks {
    /// The file to put on top of the Compose file.
    pub file: &'static str,
    /// The service in it that holds the disks while a node is down.
    pub keeper: &'static str,
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
    /// What answers with 200 when the node is well.
    pub(super) ready: Request,
}

impl Project {
    /// The images of the nodes, and of what a profile adds, with the variables of the environment filled in.
    pub fn images(&self, profile: Option<&str>) -> Result<BTreeSet<String>, ClusterError> {
        let wanted = |service: &Yaml| {
            let profiles = service["profiles"].as_sequence();
            let of_profile = profiles.is_some_and(|profiles| profiles.iter().any(|name| name.as_str() == profile));
            service["labels"][ROLE_LABEL].is_string() || (profile.is_some() && of_profile)
        };
        let file = self.read()?;
        let services = file["services"].as_mapping().into_iter().flat_map(|services| services.values());
        let images = services.filter(|service| wanted(service)).filter_map(|service| service["image"].as_str());
        Ok(images.map(expand).collect())
    }

    /// The Compose file, with its aliases and merges in place.
    fn read(&self) -> Result<Yaml, ClusterError> {
        let broken = |error: serde_yaml::Error| ClusterError::environment("reading the Compose file", error, "");
        let mut file: Yaml = serde_yaml::from_str(self.file).map_err(broken)?;
        file.apply_merge().map_err(broken)?;
        Ok(file)
    }

    /// The services whose labels give them a role, in the order of the file.
    pub(super) fn services(&self) -> Result<Vec<Service>, ClusterError> {
        let broken = |reason: String| ClusterError::environment("reading the Compose file", reason, "");
        let file = self.read()?;
        let services = file["services"].as_mapping().ok_or_else(|| broken("it has no services".to_owned()))?;
        let nodes = services.values().filter(|service| service["labels"][ROLE_LABEL].is_string()).map(|service| {
            let label = |name: &str| service["labels"][name].as_str();
            let (name, role) = (label(NODE_LABEL)?.to_owned(), label(ROLE_LABEL)?.to_owned());
            let ready = ready_request(&name, label(READY_LABEL)?)?;
            Some(Service { node: Node { name: NodeName(name), role }, ready })
        });
        nodes.collect::<Option<Vec<Service>>>().ok_or_else(|| {
            broken(format!(
                "a service with a {ROLE_LABEL} needs a {NODE_LABEL}, and a {READY_LABEL} with a port and a path"
            ))
        })
    }
}

/// Fills in `${VARIABLE:-default}` as Compose does, the one form that our files have for images.
fn expand(text: &str) -> String {
    static VARIABLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\$\{(\w+):-([^}]*)\}").ok());
    let value = |found: &Captures<'_>| {
        let set = std::env::var(&found[1]).ok().filter(|value| !value.is_empty());
        set.unwrap_or_else(|| found[2].to_owned())
    };
    VARIABLE.as_ref().map_or_else(|| text.to_owned(), |variable| variable.replace_all(text, value).into_owned())
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
/// The name of what is put on top of it for disks of a size.
const DISKS: &str = "disks.yaml";

/// The name of the file that says whose folder it is.
const RUNNER: &str = "runner.json";
/// What the name of a run's folder begins with; the run's id follows.
const PREFIX: &str = "operator-run-";

/// A run's folder among the temporary ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    /// Where it is.
    pub path: PathBuf,
    /// Whose it is; none if it does not say.
    pub runner: Option<Runner>,
}

/// The folders of all runs among the temporary ones, by the run's id.
pub fn run_folders() -> io::Result<BTreeMap<String, RunFolder>> {
    let mut folders = BTreeMap::new();
    for entry in fs::read_dir(std::env::temp_dir())? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(run) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        if entry.file_type()?.is_dir() {
            let text = fs::read(entry.path().join(RUNNER)).ok();
            let runner = text.and_then(|text| serde_json::from_slice(&text).ok());
            folders.insert(run.to_owned(), RunFolder { path: entry.path(), runner });
        }
    }
    Ok(folders)
}

/// The folder with a run's Compose file.
#[derive(Debug)]
pub(super) struct ProjectFolder {
    path: PathBuf,
}

impl ProjectFolder {
    /// Writes the project's files to a new folder.
    pub(super) fn create(project: &Project, run: &str) -> Result<Self, ClusterError> {
        let path = std::env::temp_dir().join(format!("{PREFIX}{run}"));
        let runner = runner_label()?;
        write(project, &path, &runner).map_err(|error| {
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

    /// What is put on top of it for disks of a size.
    pub(super) fn disks(&self) -> PathBuf {
        self.path.join(DISKS)
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
fn write(project: &Project, folder: &Path, runner: &str) -> io::Result<()> {
    fs::create_dir(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    let low_limits = project.low_limits.map(|text| (LOW_LIMITS, text));
    let own = [(RUNNER, runner), (FILE, project.file), (DISKS, project.disks.file)];
    for (name, text) in own.into_iter().chain(project.mounted.iter().copied()).chain(low_limits) {
        let path = folder.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    }
    Ok(())
}
