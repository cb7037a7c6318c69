//! The scenario file: its types, how it is found, read and checked, and its JSON Schema. The only room that reads YAML
//! that a user wrote.

mod check;
mod entry;
mod find;
mod mistake;
mod model;
mod shape;
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cluster::{Backend, FaultKind, Node};
use crate::subject::{self, Subject};

pub use entry::{
    BurnCpu, Exec, FaultEntry, FillDisk, Flap, HaltScheduling, HotKey, Kill, LimitCpu, LimitDisk, LimitMemory, Loss,
    Partition, Pick, ShiftClock, Slower, SplitRegions, Target, ToNode, WrittenLine,
};
pub use find::{FindError, find};
pub use mistake::{Mistake, Place, ScenarioError};
pub use model::{ClusterPart, Expect, ExpectedViolation, LoadPart, MonitorPart, Recover, Scenario, Steady, Until};
use shape::Shaped;
use tree::Tree;

pub use crate::grade::rubric::{Check, Rubric, Scalar, TARGET};
pub use crate::units::Span;

/// A scenario that was read and found right.
#[derive(Clone)]
pub struct Loaded {
    /// The file.
    pub path: PathBuf,
    /// What it says.
    pub scenario: Scenario,
    /// The subject that it names.
    pub subject: &'static dyn Subject,
    /// The line of each check of the rubric in the file, counted from 1.
    pub check_lines: Vec<usize>,
    /// The text of the file.
    text: String,
    /// The place of each fault in the file.
    fault_places: Vec<Place>,
    /// The place of each count of nodes in the file, by its role.
    count_places: BTreeMap<String, Place>,
    /// The place of the size of the disks in the file.
    disk_place: Option<Place>,
}

impl Loaded {
    /// The nodes of the cluster that it wants.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        subject::nodes(self.subject, &self.scenario.cluster.nodes)
    }

    /// Refuses faults that a backend cannot do, and counts of nodes that it does not have.
    pub fn check_backend(&self, backend: Backend) -> Result<(), ScenarioError> {
        let faults = self.scenario.faults.iter().zip(&self.fault_places);
        let mut mistakes: Vec<Mistake> = faults
            .flat_map(|(entry, place)| entry.acts().map(|(kind, _)| (kind, *place)))
            .filter(|(kind, _)| !kind.backends().contains(&backend))
            .map(|(kind, place)| {
                let can: Vec<String> = kind.backends().iter().map(ToString::to_string).collect();
                let why = kind.why_not(backend);
                let message = format!("the backend {backend} cannot do `{}`", kind.key());
                let help = format!("it can be done on {}", can.join(" and "));
                Mistake::new(place, message).help(why.map_or(help.clone(), |why| format!("{help}: {why}")))
            })
            .collect();
        if backend == Backend::Compose {
            mistakes.extend(self.counts_not_in_containers());
        }
        mistakes.extend(self.disks_not_there(backend));
        if mistakes.is_empty() { Ok(()) } else { Err(ScenarioError::mistakes(&self.path, &self.text, mistakes)) }
    }

    /// In containers a disk must have a size to be filled up: the machine's own is not. Those that have one are in memory.
    fn disks_not_there(&self, backend: Backend) -> Vec<Mistake> {
        if backend != Backend::Compose {
            let message = format!("the backend {backend} cannot give disks a size");
            return self.disk_place.map(|place| Mistake::new(place, message)).into_iter().collect();
        }
        if self.disk_place.is_some() {
            let help = "the kernel limits writes to a device only: leave out `cluster.disk`";
            let mistake = |place| Mistake::new(place, "`limit_disk` cannot limit a disk that is in memory").help(help);
            return self.places_of(|kind| matches!(kind, FaultKind::LimitDisk { .. })).map(mistake).collect();
        }
        let help = "give the nodes disks of their own, in memory: `cluster: { disk: 1GiB }`";
        let mistake = |place| Mistake::new(place, "`fill_disk` would fill up the disk of this machine").help(help);
        self.places_of(|kind| matches!(kind, FaultKind::FillDisk { .. })).map(mistake).collect()
    }

    /// Where faults of some kind are.
    fn places_of(&self, wanted: impl Fn(&FaultKind) -> bool) -> impl Iterator<Item = Place> {
        let faults = self.scenario.faults.iter().zip(&self.fault_places);
        faults.filter(move |(entry, _)| entry.acts().any(|(kind, _)| wanted(&kind))).map(|(_, place)| *place)
    }

    fn counts_not_in_containers(&self) -> impl Iterator<Item = Mistake> {
        let counts = self.scenario.cluster.nodes.iter().zip(self.count_places.values());
        counts.filter_map(|((name, count), place)| {
            let has = self.subject.manual().roles.iter().find(|role| role.name == name)?.in_containers;
            let message = format!("the backend compose has {has} nodes of role {name}, not {count}");
            (*count != has).then(|| Mistake::new(*place, message).help("other counts are for the backend embedded"))
        })
    }
}

/// Reads and checks a file.
pub fn load(path: &Path) -> Result<Loaded, ScenarioError> {
    let unreadable = |source| ScenarioError::Unreadable { path: path.to_owned(), source };
    String::from_utf8(fs::read(path).map_err(unreadable)?).map_or_else(
        |error| {
            let place = Place { offset: error.utf8_error().valid_up_to(), length: 1 };
            let text = String::from_utf8_lossy(error.as_bytes());
            Err(ScenarioError::mistakes(path, &text, vec![Mistake::new(place, "the file is not UTF-8")]))
        },
        |text| parse(path, &text),
    )
}

/// Reads and checks the text of a file; `path` names it in errors.
pub fn parse(path: &Path, text: &str) -> Result<Loaded, ScenarioError> {
    let fail = |mistakes| Err(ScenarioError::mistakes(path, text, mistakes));
    let tree = match Tree::read(text) {
        Ok(tree) => tree,
        Err(mistake) => return fail(vec![mistake]),
    };
    let Shaped { json, mut mistakes, doubtful } = shape::check(&tree, &json_schema());
    let scenario: Scenario = match serde_json::from_value(json) {
        Ok(scenario) => scenario,
        Err(error) => {
            mistakes.push(Mistake::new(tree.place(&[]), error.to_string()));
            return fail(mistakes);
        }
    };
    mistakes.extend(check::check(&tree, &scenario).into_iter().filter(|mistake| !doubtful.contains(&mistake.place)));
    match find_subject(&scenario.subject) {
        Some(subject) if mistakes.is_empty() => {
            let checks = scenario.rubric.as_ref().map_or(0, |rubric| rubric.checks.len());
            let place = |index: usize| tree.place(&["rubric".into(), "checks".into(), index.into()]);
            let check_lines = (0..checks).map(|index| line_at(text, place(index).offset)).collect();
            let fault_places =
                (0..scenario.faults.len()).map(|index| tree.place(&["faults".into(), index.into()])).collect();
            let count_place = |role: &String| tree.place(&["cluster".into(), "nodes".into(), role.as_str().into()]);
            let count_places = scenario.cluster.nodes.keys().map(|role| (role.clone(), count_place(role))).collect();
            let disk = tree.place(&["cluster".into(), "disk".into()]);
            let disk_place = scenario.cluster.disk.map(|_| disk);
            let (path, text) = (path.to_owned(), text.to_owned());
            Ok(Loaded { path, scenario, subject, check_lines, text, fault_places, count_places, disk_place })
        }
        _ => fail(mistakes),
    }
}

/// The JSON Schema of a scenario file, for editors.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Scenario).to_value()
}

fn find_subject(name: &str) -> Option<&'static dyn Subject> {
    subject::all().into_iter().find(|subject| subject.name() == name)
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
