//! `operator-run prove SCENARIO…`: whether the rubrics tell right answers from wrong ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::{Exit, Refusal, complain, print};
use super::run::load_all;
use crate::cluster::FaultKind;
use crate::grade::proof::{Proof, prove};
use crate::grade::reference::Reference;
use crate::report::proof::{Proofs, json, text};
use crate::scenario::{FaultEntry, Loaded};

#[derive(Debug, Args)]
pub(super) struct ProveArgs {
    /// Scenario files, folders with some, or patterns.
    #[arg(value_name = "SCENARIO", default_value = "scenarios")]
    scenarios: Vec<String>,

    /// The folder of the reference answers, one for each scenario: NAME.json.
    #[arg(long, value_name = "FOLDER", default_value = "fixtures/references")]
    references: PathBuf,

    /// Prints the proofs alone on standard output, as one JSON document.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &ProveArgs) -> Exit {
    let proofs = match proofs(arguments) {
        Ok(proofs) => proofs,
        Err(Refusal(exit, message)) => return complain(exit, &message),
    };
    let printed = if arguments.json { print(&format!("{}\n", json(&proofs))) } else { print(&text(&proofs)) };
    printed.max(if proofs.hold() { Exit::Pass } else { Exit::Fail })
}

fn proofs(arguments: &ProveArgs) -> Result<Proofs, Refusal> {
    let (graded, controls): (Vec<Loaded>, Vec<Loaded>) =
        load_all(&arguments.scenarios)?.into_iter().partition(|loaded| loaded.scenario.rubric.is_some());
    if graded.is_empty() {
        return Err(Refusal(Exit::Usage, "there is no rubric to prove: a control has none".to_owned()));
    }
    let references = references(&arguments.references)?;
    let controls = controls.into_iter().map(|control| control.scenario.name).collect();
    let proofs = graded.iter().map(|loaded| proof(loaded, &references, &arguments.references));
    Ok(Proofs { scenarios: proofs.collect::<Result<_, _>>()?, controls })
}

/// All references of a folder, by their scenarios' names.
fn references(folder: &Path) -> Result<BTreeMap<String, Reference>, Refusal> {
    let unreadable =
        |path: &Path, error| Refusal(Exit::Environment, format!("cannot read references: {}: {error}", path.display()));
    let mut references = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
        let path = entry.map_err(|error| unreadable(folder, error))?.path();
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
        let wrong = |why: String| Refusal(Exit::Usage, format!("the reference {}: {why}", path.display()));
        let reference = Reference::read(&text).map_err(|error| wrong(error.to_string()))?;
        if path.file_stem().is_none_or(|stem| stem != reference.scenario.as_str()) {
            return Err(wrong(format!("it is of the scenario {0}: call it {0}.json", reference.scenario)));
        }
        references.insert(reference.scenario.clone(), reference);
    }
    Ok(references)
}

fn proof(loaded: &Loaded, references: &BTreeMap<String, Reference>, folder: &Path) -> Result<Proof, Refusal> {
    let scenario = &loaded.scenario;
    let path = folder.join(format!("{}.json", scenario.name));
    let wrong = |why: &str| Refusal(Exit::Usage, format!("the reference {}: {why}", path.display()));
    let reference = references.get(&scenario.name).ok_or_else(|| wrong("there is none: the rubric is not proved"))?;
    let known = &reference.evidence.nodes;
    if reference.evidence.subject != scenario.subject || loaded.nodes().iter().any(|node| !known.contains(node)) {
        return Err(wrong("its evidence is not of the scenario's subject and nodes: take it from a new run"));
    }
    let rubric = scenario.rubric.as_ref().ok_or_else(|| wrong("the scenario has no rubric"))?;
    let others: Vec<&Reference> = references
        .values()
        .filter(|other| other.scenario != scenario.name && other.evidence.subject == scenario.subject)
        .collect();
    let planted: Vec<String> =
        scenario.faults.iter().flat_map(FaultEntry::acts).filter_map(|(kind, _)| planted(kind)).collect();
    let proof = prove(rubric, reference, loaded.subject, &others, &planted);
    proof.map_err(|error| Refusal(Exit::Environment, format!("cannot prove the rubric of {}: {error}", scenario.name)))
}

/// The words that a fault puts into a log.
fn planted(kind: FaultKind) -> Option<String> {
    match kind {
        FaultKind::LogLine { text } => Some(text),
        _ => None,
    }
}
