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
use crate::cluster::{ClusterError, Fault, FaultKind, Signal, Undo};
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

/// How soon what ends by itself must have ended when its fault is undone.
const ENDS_BY_ITSELF_WITHIN: Duration = Duration::from_secs(5);

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
        if let Some(reason) = self.cluster.ended_fault().await {
            return Err(RunError::Ended(reason));
        }
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
        let aimed = self.aim(&kind, target)?;
        if self.record.targets.is_empty() {
            self.record.targets = aimed.iter().filter_map(|(fault, _)| fault.node().cloned()).collect();
        }
        let first = self.record.injections.len();
        for (fault, picked) in aimed {
            self.do_fault(fault, picked, entry.until).await?;
        }
        // All are done before the effect of any is waited for.
        for record in first..self.record.injections.len() {
            self.see_effect(record).await?;
        }
        Ok(())
    }

    async fn do_fault(&mut self, fault: Fault, picked: String, until: Until) -> Result<(), RunError> {
        let undo = self.cluster.undo(&fault).await?;
        let journal = self.context.store.write_injection(&self.record.wall.run, &fault, &undo, self.now())?;
        // From here on it counts as done: an interruption in the middle must undo it.
        self.active.push(ActiveFault { journal, record: None, undo, heal_at: None, until });
        let begun = Some(self.now());
        match self.cluster.inject(&fault).await {
            Err(ClusterError::NoEffect(seen)) => {
                return Err(RunError::DidNotBite { fault: fault.to_string(), within: Duration::ZERO, seen });
            }
            outcome => outcome?,
        }
        let done = self.now();
        if let Some(active) = self.active.last_mut() {
            active.record = Some(self.record.injections.len());
        }
        self.record.injections.push(InjectionRecord { fault, picked, begun, done, bit: None, healed: None });
        Ok(())
    }

    async fn see_effect(&mut self, record: usize) -> Result<(), RunError> {
        let InjectionRecord { fault, picked, done, .. } = self.record.injections[record].clone();
        self.wait_for_effect(&fault, done).await?;
        let bit = self.now();
        self.record.injections[record].bit = Some(bit);
        if let Some(active) = self.active.iter_mut().find(|active| active.record == Some(record))
            && let Until::After(span) = active.until
        {
            active.heal_at = Some(after(bit, span.0));
        }
        self.context.events.send(Event::Injected { fault, target: picked });
        Ok(())
    }

    /// The fault on each of its nodes, if it is done to nodes, and how that was picked.
    fn aim(&self, kind: &FaultKind, target: Option<&Target>) -> Result<Vec<(Fault, String)>, RunError> {
        let Some(target) = target else {
            return Ok(vec![(Fault::of_cluster(kind.clone()), "the whole cluster".to_owned())]);
        };
        let nodes = self.cluster.nodes();
        let picked = self.latest.as_ref().and_then(|latest| pick(target, nodes, latest, self.plan.cluster.seed));
        let picked = picked.ok_or_else(|| RunError::NoTarget(format!("{target:?}")))?;
        let mut kind = kind.clone();
        if let FaultKind::Partition { from, .. } | FaultKind::Reset { from } = &mut kind
            && !from.is_empty()
        {
            let targets: Vec<NodeName> = picked.iter().map(|(node, _)| node.clone()).collect();
            *from = others(from, &targets, nodes);
            if from.is_empty() {
                return Err(RunError::NoTarget("nobody is left to be cut off from".to_owned()));
            }
        }
        Ok(picked.into_iter().map(|(node, how)| (Fault::new(kind.clone(), node), how)).collect())
    }

    async fn wait_for_effect(&self, fault: &Fault, done: Timestamp) -> Result<(), RunError> {
        let within = match fault.kind() {
            FaultKind::Kill { signal: Signal::Kill } => BITES_WITHIN,
            // By another signal it is asked to end.
            FaultKind::Kill { .. } | FaultKind::Stop | FaultKind::Restart => ENDS_WITHIN,
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

    /// Proves that the cluster is as it was before the faults, which are all undone.
    pub(crate) async fn audit(&mut self) -> Result<(), RunError> {
        let Some(before) = self.fingerprint.take() else { return Ok(()) };
        let deadline = after(self.now(), ENDS_BY_ITSELF_WITHIN);
        loop {
            let leaks = before.leaks(&self.cluster.fingerprint().await?);
            if leaks.is_empty() {
                return Ok(());
            }
            if self.now() >= deadline {
                self.record.leaks.clone_from(&leaks);
                return Err(RunError::LeftOnCluster(leaks));
            }
            self.cluster.clock().sleep(PROBE_EVERY).await;
        }
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
