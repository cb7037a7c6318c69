//! What is done to the cluster as a whole.

use super::super::model::Model;
use super::super::{merge, split};
use super::impossible;
use crate::cluster::{ClusterError, Fault, FaultKind};

pub(super) fn inject(model: &mut Model, fault: &Fault) -> Result<(), ClusterError> {
    match fault.kind() {
        FaultKind::HaltScheduling => model.config.schedule.halt_scheduling = true,
        FaultKind::SplitRegions { count } => {
            let made = split::presplit(model, *count, model.now);
            if made.is_empty() {
                let message = "the region in which the new ones are to lie has no leader, or is split there already";
                let help = "Split the regions once, before other faults.";
                return Err(ClusterError::environment(fault.to_string(), message, help));
            }
            model.ongoing.presplit.extend(made);
        }
        _ => return Err(impossible(fault)),
    }
    Ok(())
}

/// What is seen instead of the effect of a fault, if that does not show.
pub(super) fn missing_effect(model: &Model, fault: &Fault) -> Result<Option<String>, ClusterError> {
    let (shows, seen) = match fault.kind() {
        FaultKind::HaltScheduling => (model.config.schedule.halt_scheduling, "PD schedules"),
        FaultKind::SplitRegions { .. } => {
            let there = model.ongoing.presplit.iter().any(|region| !model.regions[*region].is_merged());
            (there, "no region is there that was made")
        }
        _ => return Err(impossible(fault)),
    };
    Ok((!shows).then(|| seen.to_owned()))
}

/// Undoes a fault.
pub(super) fn lift(model: &mut Model, fault: &Fault) -> Result<(), ClusterError> {
    match fault.kind() {
        FaultKind::HaltScheduling => model.config.schedule.halt_scheduling = false,
        // The regions that a client made are merged by hand, those that PD has left.
        FaultKind::SplitRegions { .. } => {
            while let Some(region) = model.ongoing.presplit.last().copied() {
                if !merge::into_next(model, region, model.now) {
                    let message = "a region that was made cannot be merged with the one behind it: one of them has no \
                                   leader, or they are on different stores";
                    return Err(ClusterError::environment(fault.to_string(), message, "Heal the stores first."));
                }
                model.ongoing.presplit.pop();
            }
        }
        _ => return Err(impossible(fault)),
    }
    Ok(())
}
