//! What the faults of a scenario do to the model, how each shows, and how it is undone.

use super::model::{Model, Place};
use crate::cluster::{ClusterError, Fault, FaultKind, ProcessState, Undo};
use crate::reading::NodeName;

/// Does a fault.
pub(super) fn inject(model: &mut Model, fault: &Fault) -> Result<(), ClusterError> {
    let place = place(model, fault)?;
    match fault.kind() {
        FaultKind::Kill => model.kill(place, 128 + 9),
        FaultKind::Stop => model.terminate(place),
        FaultKind::Pause => model.pause(place),
        FaultKind::Partition { from, .. } if from.is_empty() => model.cut(place),
        _ => return Err(not_yet(fault)),
    }
    Ok(())
}

/// What is seen instead of the effect of a fault, if that does not show.
pub(super) fn missing_effect(model: &Model, fault: &Fault) -> Result<Option<String>, ClusterError> {
    let process = model.process(place(model, fault)?);
    let state = process.state();
    Ok(match (fault.kind(), &state) {
        (FaultKind::Kill | FaultKind::Stop, ProcessState::Exited { .. }) | (FaultKind::Pause, ProcessState::Paused) => {
            None
        }
        (FaultKind::Partition { .. }, _) if process.is_cut() => None,
        (FaultKind::Partition { .. }, _) => Some("it can be reached".to_owned()),
        _ => Some(format!("the process is {state}")),
    })
}

/// Undoes a fault.
pub(super) fn heal(model: &mut Model, undo: &Undo) -> Result<(), ClusterError> {
    match undo {
        Undo::Start { node } => {
            let place = known(model, node)?;
            model.start(place);
        }
        Undo::Resume { node } => {
            let place = known(model, node)?;
            model.resume(place);
        }
        Undo::Lift { fault } => {
            let place = place(model, fault)?;
            match fault.kind() {
                FaultKind::Partition { .. } => model.reconnect(place),
                _ => return Err(not_yet(fault)),
            }
        }
    }
    Ok(())
}

fn known(model: &Model, node: &NodeName) -> Result<Place, ClusterError> {
    model.place(node.as_str()).ok_or_else(|| ClusterError::NoSuchNode(node.clone()))
}

fn place(model: &Model, fault: &Fault) -> Result<Place, ClusterError> {
    fault.node().ok_or_else(|| not_yet(fault)).and_then(|node| known(model, node))
}

fn not_yet(fault: &Fault) -> ClusterError {
    ClusterError::environment(fault.to_string(), "the model cannot do that", "")
}
