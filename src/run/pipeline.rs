//! The phases of one run, in their order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::class::Class;
use super::error::RunError;
use super::event::Event;
use super::faults::ActiveFault;
use super::record::{Expectation, Phase, PhaseRecord, RunRecord, Verdict, ViolationRecord};
use super::watch::seconds;
use super::{Context, Plan, milliseconds};
use crate::clock::{self, after, span_between};
use crate::cluster::{Cluster, FaultKind, Fingerprint};
use crate::grade::rubric::Grade;
use crate::monitor::{Monitor, Violation};
use crate::reading::{NodeName, Observation};
use crate::scenario::{ExpectedViolation, FaultEntry, TARGET};
use crate::subject::Finding;

/// A run under way.
pub(crate) struct Pipeline<'a> {
    pub(super) plan: &'a Plan,
    pub(super) context: Context<'a>,
    pub(super) cluster: &'a dyn Cluster,
    pub(super) record: &'a mut RunRecord,
    pub(super) monitor: Monitor,
    pub(super) next_poll: Timestamp,
    /// The last observation of the steady time.
    pub(super) steady: Option<Observation>,
    /// The observation that found the first violation.
    pub(super) first_detection: Option<Observation>,
    /// The last observation.
    pub(super) latest: Option<Observation>,
    /// The longest time between two polls since the fault, and no less than what the scenario asks for.
    pub(super) widest_gap: Duration,
    /// The open tickets: their numbers by invariant and node.
    pub(super) tickets: BTreeMap<(String, NodeName), i64>,
    /// All tickets of the run, in order.
    pub(super) all_tickets: Vec<i64>,
    /// What fired, in order.
    pub(super) fired: Vec<(Violation, Expectation)>,
    /// The faults still to be done, with their time.
    pub(super) pending: Vec<(Timestamp, FaultEntry)>,
    /// The faults in the journal that are not healed.
    pub(super) active: Vec<ActiveFault>,
    /// How the nodes were before any fault; none before the steady time and after the audit.
    pub(super) fingerprint: Option<Fingerprint>,
    /// Why the run does not pass, in the order of the run; an error stands for itself.
    classes: Vec<Class>,
    /// It has become an error.
    errored: bool,
    /// The phase under way, and when it began.
    phase: Option<(Phase, Timestamp, Instant)>,
}

impl<'a> Pipeline<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        context: Context<'a>,
        cluster: &'a dyn Cluster,
        record: &'a mut RunRecord,
    ) -> Self {
        record.nodes = cluster.nodes().to_vec();
        Self {
            plan,
            context,
            cluster,
            monitor: Monitor::new(plan.loaded.subject.manual().invariants, &record.nodes),
            record,
            next_poll: cluster.clock().now(),
            steady: None,
            first_detection: None,
            latest: None,
            widest_gap: plan.loaded.scenario.monitor.every.0,
            tickets: BTreeMap::new(),
            all_tickets: Vec::new(),
            fired: Vec::new(),
            pending: Vec::new(),
            active: Vec::new(),
            fingerprint: None,
            classes: Vec::new(),
            errored: false,
            phase: None,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.cluster.clock().now()
    }

    /// Everything but the clean-up.
    pub(super) async fn phases(&mut self) -> Result<(), RunError> {
        self.bring_up().await?;
        self.reach_steady().await?;
        let detected = self.detect().await?;
        if detected && self.plan.loaded.scenario.rubric.is_some() {
            self.diagnose_and_grade().await?;
        }
        self.recover().await
    }

    pub(super) async fn bring_up(&mut self) -> Result<(), RunError> {
        self.begin(Phase::Up);
        let acts: Vec<_> = self.plan.loaded.scenario.faults.iter().flat_map(FaultEntry::acts).collect();
        let kinds: Vec<&FaultKind> = acts.iter().map(|(kind, _)| kind).collect();
        self.context.unless_interrupted(self.cluster.check_means(&kinds)).await??;
        self.cluster.up(self.context.cancel).await?;
        self.plan.loaded.subject.prepare(self.cluster, &self.plan.cluster, self.context.cancel).await?;
        self.end(format!("{} nodes healthy", self.record.nodes.len()));
        Ok(())
    }

    /// Waits until every invariant has held for long enough.
    pub(super) async fn reach_steady(&mut self) -> Result<(), RunError> {
        self.begin(Phase::Steady);
        let steady = self.plan.loaded.scenario.steady.clone();
        let deadline = after(self.now(), steady.timeout.0);
        // A watch of its own: what fires while the cluster is still starting is no ticket.
        let mut monitor = Monitor::new(self.plan.loaded.subject.manual().invariants, &self.record.nodes);
        let mut holds_since = None;
        loop {
            let observation = self.observe().await?;
            monitor.poll(&observation);
            holds_since = monitor.healthy().then(|| holds_since.unwrap_or(observation.at));
            let at = observation.at;
            self.latest = Some(observation);
            if holds_since.is_some_and(|since| span_between(since, at) >= steady.hold.0) {
                self.steady.clone_from(&self.latest);
                self.fingerprint = Some(self.cluster.fingerprint().await?);
                self.end(format!("every invariant held for {}", steady.hold));
                return Ok(());
            }
            if at >= deadline {
                return Err(RunError::NotSteady { timeout: steady.timeout.0, reason: self.what_does_not_hold() });
            }
            clock::sleep(self.cluster.clock(), span_between(self.now(), self.next_poll), self.context.cancel).await?;
        }
    }

    /// What does not hold in the last observation, in words; where nothing is violated, what would have to be known.
    fn what_does_not_hold(&self) -> String {
        let Some(latest) = &self.latest else { return "nothing was observed".to_owned() };
        let (mut violated, mut unknown) = (Vec::new(), Vec::new());
        for invariant in self.plan.loaded.subject.manual().invariants {
            for node in crate::subject::nodes_of(invariant, &self.record.nodes) {
                match (invariant.check)(latest, &node) {
                    Finding::Violated(because) => violated.push(format!("{} on {node}: {because}", invariant.name)),
                    Finding::Unknown(reason) if invariant.required => {
                        unknown.push(format!("{} on {node} is unknown: {reason}", invariant.name));
                    }
                    Finding::Unknown(_) | Finding::Holds => {}
                }
            }
        }
        match (violated.is_empty(), unknown.is_empty()) {
            (true, true) => "it held, but not for long enough".to_owned(),
            (true, false) => unknown.join("; "),
            (false, _) => violated.join("; "),
        }
    }

    /// Does the faults and watches for what the scenario expects. Says whether all of it was seen.
    async fn detect(&mut self) -> Result<bool, RunError> {
        self.begin(Phase::Detect);
        let scenario = &self.plan.loaded.scenario;
        let start = self.now();
        self.pending = scenario.faults.iter().map(|entry| (after(start, entry.at.0), entry.clone())).collect();
        if let Some(quiet) = scenario.expect.quiet {
            self.watch_until(after(start, quiet.0), |_| false).await?;
            self.end(format!("watched for {quiet}"));
            return Ok(true);
        }
        // The first fault is done at once or when it is due: the clock of detection starts with its effect.
        self.watch_until(Timestamp::MAX, |run| run.first_effect().is_some() || run.pending.is_empty()).await?;
        let clock_start = self.first_effect().unwrap_or(start);
        let expected = scenario.expect.violations.clone();
        let longest = expected.iter().map(|violation| violation.within.0).max().unwrap_or_default();
        let all_seen = |run: &Self| {
            let everywhere = |violation: &ExpectedViolation| {
                run.places(violation).iter().all(|node| run.seen(&violation.invariant, node).is_some())
            };
            expected.iter().all(everywhere)
        };
        let detected = self.watch_until(after(clock_start, longest), all_seen).await?;
        if detected {
            self.heal_detected().await?;
            // A fault that is due later is done all the same.
            let last = self.pending.iter().map(|(at, _)| *at).chain([self.now()]).max().unwrap_or(start);
            self.watch_until(after(last, scenario.expect.watch.0), |_| false).await?;
        }
        let fired = self.record.violations.len();
        self.end(format!("{fired} violation{} detected", if fired == 1 { "" } else { "s" }));
        Ok(detected)
    }

    /// Ends the faults and waits until every invariant holds again.
    async fn recover(&mut self) -> Result<(), RunError> {
        self.begin(Phase::Recover);
        self.heal_all().await?;
        let within = self.plan.loaded.scenario.recover.within;
        let healed = self.now();
        let fresh = |run: &Self| run.latest.as_ref().is_some_and(|latest| latest.at > healed);
        let well = self.watch_until(after(healed, within.0), |run| fresh(run) && run.monitor.healthy()).await?;
        if well {
            self.end("every invariant holds again".to_owned());
        } else {
            self.classes.push(Class::NotRecovered);
            self.record.reasons.push(format!("not recovered within {within}: {}", self.what_does_not_hold()));
            self.end("not recovered".to_owned());
        }
        Ok(())
    }

    /// Turns what the phases came to into the verdict.
    pub(super) fn conclude(&mut self, outcome: Result<(), RunError>) {
        self.phase = None;
        if let Err(error) = outcome {
            return self.add_error(&error);
        }
        let detection = self.judge_detection();
        let record = &mut *self.record;
        let grade = record.grade.as_ref().and_then(Class::of_grade);
        let snapshot = record.snapshot.as_ref().and_then(Class::of_snapshot);
        let classes = [detection, grade, snapshot].into_iter().flatten();
        self.classes.splice(0..0, classes);
        record.class = self.classes.first().copied().unwrap_or(Class::Passed);
        record.reasons.extend(record.grade.as_ref().and_then(Grade::shortfall));
        let met = record.grade.as_ref().is_none_or(Grade::passed);
        record.reasons.extend(record.snapshot.as_ref().and_then(|snapshot| snapshot.reason(met)));
        record.verdict = if record.reasons.is_empty() { Verdict::Pass } else { Verdict::Fail };
        if let Some(error) = record.grade.as_ref().and_then(RunError::of_grade) {
            self.add_error(&error);
        }
    }

    /// Where an expected violation must be detected: on each target, if it is expected there.
    fn places(&self, expected: &ExpectedViolation) -> Vec<NodeName> {
        let on_targets = expected.on.as_str() == TARGET && !self.record.targets.is_empty();
        if on_targets { self.record.targets.clone() } else { vec![expected.on.clone()] }
    }

    /// The expected violation that was detected on a node.
    fn seen(&self, invariant: &str, node: &NodeName) -> Option<&ViolationRecord> {
        let expected = |found: &&ViolationRecord| found.expectation == Expectation::Expected;
        let mut expected = self.record.violations.iter().filter(expected);
        expected.find(|found| found.invariant == invariant && found.node == *node)
    }

    /// What was detected against what was expected.
    fn judge_detection(&mut self) -> Option<Class> {
        let (mut reasons, mut missing, mut late) = (Vec::new(), false, false);
        let expected = self.plan.loaded.scenario.expect.violations.iter();
        for (expected, node) in expected.flat_map(|one| self.places(one).into_iter().map(move |node| (one, node))) {
            let ExpectedViolation { invariant, within, .. } = expected;
            match self.seen(invariant, &node).map(|violation| violation.after_fault) {
                None => {
                    missing = true;
                    reasons.push(format!("not detected: {invariant} on {node} within {within}"));
                }
                Some(Some(after)) if after > within.0.as_secs_f64() => {
                    late = true;
                    reasons.push(format!("detected late: {invariant} on {node} after {after} s, not within {within}"));
                }
                Some(_) => {}
            }
        }
        let unexpected =
            self.record.violations.iter().filter(|violation| violation.expectation == Expectation::Unexpected);
        reasons
            .extend(unexpected.map(|one| format!("false alarm: {} on {}: {}", one.invariant, one.node, one.because)));
        // Before what recovery has to say: this happened first.
        self.record.reasons.splice(0..0, reasons);
        Class::of_detection(&self.record.violations, missing, late)
    }

    /// Makes the run an error; the first decides of which class.
    pub(super) fn add_error(&mut self, error: &RunError) {
        if !std::mem::replace(&mut self.errored, true) {
            self.record.class = Class::of_error(error);
        }
        self.record.verdict = Verdict::Error;
        let reason = error.to_string();
        if !self.record.reasons.contains(&reason) {
            self.record.reasons.push(reason);
        }
    }

    pub(super) fn begin(&mut self, phase: Phase) {
        self.phase = Some((phase, self.now(), Instant::now()));
        self.context.events.send(Event::PhaseBegan { phase });
    }

    pub(super) fn end(&mut self, outcome: String) {
        let Some((phase, began, wall)) = self.phase.take() else { return };
        let ended = self.now();
        self.record.phases.push(PhaseRecord { phase, began, ended });
        self.record.wall.phases_ms.insert(phase.word().to_owned(), milliseconds(wall));
        self.context.events.send(Event::PhaseEnded { phase, outcome, seconds: seconds(span_between(began, ended)) });
    }
}
