//! The watch loop: a poll each interval, tickets for what fires, and between the polls the faults that are due.

use std::time::Duration;

use jiff::Timestamp;

use super::error::RunError;
use super::event::{ChangedReadings, Event};
use super::pipeline::Pipeline;
use super::record::{Expectation, ViolationRecord};
use crate::clock::{self, after, span_between};
use crate::monitor::{Change, Violation};
use crate::reading::{NodeName, Observation};
use crate::scenario::TARGET;
use crate::store::TicketState;

impl Pipeline<'_> {
    /// Watches until `done` says so, but not past the deadline, at which it looks a last time. Says whether it was done.
    pub(super) async fn watch_until(
        &mut self,
        deadline: Timestamp,
        done: impl Fn(&Self) -> bool,
    ) -> Result<bool, RunError> {
        loop {
            self.do_due_faults().await?;
            if done(self) {
                return Ok(true);
            }
            let now = self.now();
            if now >= deadline {
                return Ok(false);
            }
            let wake =
                [Some(self.next_poll), self.next_due(), Some(deadline)].into_iter().flatten().min().unwrap_or(deadline);
            clock::sleep(self.cluster.clock(), span_between(now, wake), self.context.cancel).await?;
            if self.now() >= self.next_poll.min(deadline) {
                self.poll().await?;
            }
        }
    }

    /// Observes the cluster without the watch: for the time before it.
    pub(super) async fn observe(&mut self) -> Result<Observation, RunError> {
        let begun = self.now();
        let observation = self.context.unless_interrupted(self.plan.loaded.subject.observe(self.cluster)).await?;
        self.next_poll = after(begun, self.plan.loaded.scenario.monitor.every.0);
        self.context.events.send(Event::Observed(Box::new(observation.clone())));
        Ok(observation)
    }

    async fn poll(&mut self) -> Result<(), RunError> {
        let observation = self.observe().await?;
        self.note_gap(observation.at);
        let changes = self.monitor.poll(&observation);
        if self.first_detection.is_none() && changes.iter().any(|change| matches!(change, Change::Violated(_))) {
            self.first_detection = Some(observation.clone());
        }
        self.latest = Some(observation);
        for change in changes {
            match change {
                Change::Violated(violation) => self.open_ticket(violation)?,
                Change::Resolved { invariant, node } => self.resolve_ticket(&invariant, &node)?,
            }
        }
        Ok(())
    }

    fn open_ticket(&mut self, violation: Violation) -> Result<(), RunError> {
        let at = self.latest.as_ref().map_or_else(|| self.now(), |observation| observation.at);
        let ticket = self.context.store.open_ticket(
            &self.record.wall.run,
            &violation.invariant,
            &violation.node,
            &violation.because,
            at,
        )?;
        self.tickets.insert((violation.invariant.clone(), violation.node.clone()), ticket);
        self.all_tickets.push(ticket);
        let after_fault = self.first_effect().map(|effect| seconds(span_between(effect, at)));
        let possible = self.possible(&violation.invariant, &violation.node);
        let expectation = self.expectation(&violation.invariant, &violation.node);
        self.record.violations.push(ViolationRecord {
            invariant: violation.invariant.clone(),
            node: violation.node.clone(),
            because: violation.because.clone(),
            detected: at,
            after_fault,
            possible: possible.clone(),
            expectation,
            resolved: None,
        });
        let changed = self.changed_readings(&violation.node);
        self.fired.push((violation.clone(), expectation));
        let faults = self.record.injections.len();
        let invalid = self.invalid(&violation, after_fault, possible.as_ref());
        self.context.events.send(Event::Detected { violation, after_fault, possible, faults, expectation, changed });
        invalid.map_or(Ok(()), Err)
    }

    fn resolve_ticket(&mut self, invariant: &str, node: &NodeName) -> Result<(), RunError> {
        let at = self.latest.as_ref().map_or_else(|| self.now(), |observation| observation.at);
        if let Some(ticket) = self.tickets.remove(&(invariant.to_owned(), node.clone())) {
            self.context.store.move_ticket(ticket, TicketState::Resolved, at)?;
        }
        let live = |record: &&mut ViolationRecord| {
            record.invariant == invariant && record.node == *node && record.resolved.is_none()
        };
        if let Some(record) = self.record.violations.iter_mut().find(live) {
            record.resolved = Some(at);
        }
        self.context.events.send(Event::Resolved { invariant: invariant.to_owned(), node: node.clone(), at });
        Ok(())
    }

    /// How a violation stands to what the scenario expects. One from before the fault is not the fault's.
    fn expectation(&self, invariant: &str, node: &NodeName) -> Expectation {
        let expect = &self.plan.loaded.scenario.expect;
        let too_early = self.first_effect().is_none() && !self.plan.loaded.scenario.faults.is_empty();
        if too_early {
            Expectation::Unexpected
        } else if expect
            .violations
            .iter()
            .any(|expected| expected.invariant == invariant && self.is_at(&expected.on, node))
        {
            Expectation::Expected
        } else if expect.allow.iter().any(|allowed| allowed == invariant) {
            Expectation::Allowed
        } else {
            Expectation::Unexpected
        }
    }

    /// Whether a place that the scenario names is this node.
    pub(super) fn is_at(&self, place: &NodeName, node: &NodeName) -> bool {
        if place.as_str() == TARGET { self.record.targets.contains(node) } else { place == node }
    }

    /// What is not as it was in the steady time, on one node.
    fn changed_readings(&self, node: &NodeName) -> ChangedReadings {
        let (Some(before), Some(now)) = (&self.steady, &self.latest) else { return ChangedReadings::default() };
        ChangedReadings::between(before, now, node)
    }
}

/// Seconds, to a tenth.
pub(super) fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 10.0).round() / 10.0
}
