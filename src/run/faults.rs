//! Does the faults when they are due, proves that they bite, and undoes them. Each is in the journal, with its undo,
//! before it is done.

use std::time::Duration;

use jiff::Timestamp;

use super::error::RunError;
use super::event::Event;
use super::pipeline::Pipeline;
use super::record::InjectionRecord;
use super::target::{others, pick};
use crate::clock::{self, after, span_between};
use crate::cluster::{Fault, FaultKind, Undo};
use crate::reading::NodeName;
use crate::scenario::{FaultEntry, Target, Until};

/// How soon the effect of a fault must show.
const BITES_WITHIN: Duration = Duration::from_secs(10);
/// How soon a process that was asked to stop must have ended: as long as the engine waits before it kills it.
const ENDS_WITHIN: Duration = Duration::from_secs(40);
/// How soon a process whose memory is limited must have grown beyond that.
const FILLS_WITHIN: Duration = Duration::from_mins(5);
/// How often the effect is looked for.
const PROBE_EVERY: Duration = Duration::from_millis(50);

/// A fault that was written to the journal and is not healed.
#[derive(Debug, Clone)]
pub(super) struct ActiveFault {
    /// Its number in the journal.
    journal: i64,
    /// Its place in the record; none until it was done.
    record: Option<usize>,
    undo: Undo,
    heal_at: Option<Timestamp>,
    until: Until,
}

impl Pipeline<'_> {
    /// The node that the first fault was done to that is done to a node.
    pub(super) fn target(&self) -> Option<&NodeName> {
        self.record.injections.iter().find_map(|injection| injection.fault.node())
    }

    /// When the effect of the first fault was seen.
    pub(super) fn first_effect(&self) -> Option<Timestamp> {
        self.record.injections.first().and_then(|injection| injection.bit)
    }

    /// When the next fault is to be done or undone.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let pending = self.pending.iter().map(|(at, _)| *at);
        pending.chain(self.active.iter().filter_map(|active| active.heal_at)).min()
    }

    /// Does and undoes what is due now.
    pub(super) async fn do_due_faults(&mut self) -> Result<(), RunError> {
        let now = self.now();
        self.heal_where(|active| active.heal_at.is_some_and(|at| at <= now)).await?;
        while let Some(index) = self.pending.iter().position(|(at, _)| *at <= now) {
            let (_, entry) = self.pending.remove(index);
            self.inject(&entry).await?;
        }
        Ok(())
    }

    async fn inject(&mut self, entry: &FaultEntry) -> Result<(), RunError> {
        // The scenario was checked: an entry names what is done.
        let Some((kind, target)) = entry.acts().next() else { return Ok(()) };
        let (fault, how) = self.aim(kind, target)?;
        let undo = fault.undo();
        let journal = self.context.store.write_injection(&self.record.wall.run, &fault, &undo, self.now())?;
        // From here on it counts as done: an interruption in the middle must undo it.
        self.active.push(ActiveFault { journal, record: None, undo, heal_at: None, until: entry.until });
        self.cluster.inject(&fault).await?;
        let done = self.now();
        self.record.injections.push(InjectionRecord { fault: fault.clone(), done, bit: None, healed: None });
        let record = self.record.injections.len() - 1;
        if let Some(active) = self.active.last_mut() {
            active.record = Some(record);
        }
        self.wait_for_effect(&fault, done).await?;
        let bit = self.now();
        self.record.injections[record].bit = Some(bit);
        if let (Some(active), Until::After(span)) = (self.active.last_mut(), entry.until) {
            active.heal_at = Some(after(bit, span.0));
        }
        self.context.events.send(Event::Injected { fault, target: how });
        Ok(())
    }

    /// The fault with its node, if it is done to one, and how that was picked.
    fn aim(&self, kind: FaultKind, target: Option<&Target>) -> Result<(Fault, String), RunError> {
        let Some(target) = target else {
            return Ok((Fault::of_cluster(kind), "the whole cluster".to_owned()));
        };
        let nodes = self.cluster.nodes();
        let picked = self.latest.as_ref().and_then(|latest| pick(target, nodes, latest, self.plan.cluster.seed));
        let (node, how) = picked.ok_or_else(|| RunError::NoTarget(format!("{target:?}")))?;
        let kind = match kind {
            FaultKind::Partition { from, direction } if !from.is_empty() => {
                let others = others(&from, &node, nodes);
                if others.is_empty() {
                    return Err(RunError::NoTarget(format!("{node} cannot be cut off from itself")));
                }
                FaultKind::Partition { from: others, direction }
            }
            kind => kind,
        };
        Ok((Fault::new(kind, node), how))
    }

    async fn wait_for_effect(&self, fault: &Fault, done: Timestamp) -> Result<(), RunError> {
        let within = match fault.kind() {
            FaultKind::Stop | FaultKind::Restart => ENDS_WITHIN,
            FaultKind::LimitMemory { .. } => FILLS_WITHIN,
            _ => BITES_WITHIN,
        };
        while let Some(seen) = self.cluster.missing_effect(fault).await? {
            if span_between(done, self.now()) >= within {
                return Err(RunError::DidNotBite { fault: fault.to_string(), within, seen });
            }
            clock::sleep(self.cluster.clock(), PROBE_EVERY, self.context.cancel).await?;
        }
        Ok(())
    }

    /// Undoes the faults that end when the expected violations are detected.
    pub(super) async fn heal_detected(&mut self) -> Result<(), RunError> {
        self.heal_where(|active| active.until == Until::Detected).await
    }

    /// Undoes every fault that is not undone, and those that were never done. It goes on when one cannot be undone.
    pub(crate) async fn heal_all(&mut self) -> Result<(), RunError> {
        self.pending.clear();
        self.heal_where(|_| true).await
    }

    async fn heal_where(&mut self, due: impl Fn(&ActiveFault) -> bool) -> Result<(), RunError> {
        let mut outcome = Ok(());
        // The latest first: a fault may stand on an earlier one.
        for index in (0..self.active.len()).rev() {
            if !due(&self.active[index]) {
                continue;
            }
            // What could not be undone stays in the list: it is tried again at the end of the run.
            let active = self.active[index].clone();
            match self.heal(&active).await {
                Ok(()) => drop(self.active.remove(index)),
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }

    async fn heal(&mut self, active: &ActiveFault) -> Result<(), RunError> {
        self.cluster.heal(&active.undo).await?;
        let healed = self.now();
        self.context.store.mark_healed(active.journal, healed)?;
        if let Some(record) = active.record {
            self.record.injections[record].healed = Some(healed);
        }
        self.context.events.send(Event::Healed(active.undo.clone()));
        Ok(())
    }
}
