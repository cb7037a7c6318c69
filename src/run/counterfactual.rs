//! What would come of each remedy: at the moment of the diagnosis each is carried out on a copy of the cluster, which is then
//! followed for a while. The cluster itself goes on as if there had been no copies.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::error::RunError;
use super::event::Event;
use super::pipeline::Pipeline;
use super::watch::seconds;
use crate::clock::{self, after, span_between};
use crate::cluster::{Fork, Toll, Undo};
use crate::diagnosis::Diagnosis;
use crate::grade::regret::{Counterfactual, Outcome, Trial};
use crate::grade::rubric::REGRET;
use crate::monitor::Monitor;
use crate::subject::{self, Action, CLUSTER, Done, NotDone, Remedy};
use crate::units::Span;

/// The shortest horizon if nothing is said: PD calls a replica down, and a slow disk well again, within ten minutes.
const SHORTEST: Duration = Duration::from_mins(10);
/// How many times the time for recovery the horizon is at least, if nothing is said: what ends the fault is well by then, and
/// what does not has as long again to do its harm.
const RECOVERIES: u32 = 2;
/// A copy is looked at when this part of the time has gone by again that it has been followed, and this often at first: so
/// that no time is off by more than this part.
const LOOK_AGAIN: u32 = 5;
const FIRST_LOOK: Duration = Duration::from_secs(2);

impl Pipeline<'_> {
    /// Tries the options of the diagnosis and every action of the subject, if that was asked for and there can be copies.
    pub(super) async fn try_remedies(&mut self, diagnosis: &Diagnosis) -> Result<(), RunError> {
        let Some(rubric) = &self.plan.loaded.scenario.rubric else { return Ok(()) };
        let asked = self.plan.extras.counterfactual || rubric.checks.iter().any(|check| check.path == REGRET);
        if !asked || self.cluster.fork().is_none() {
            return Ok(());
        }
        let mut trials = Vec::new();
        let mut waited = None;
        for (action, target) in self.remedies(diagnosis) {
            // Where nothing is done, all comes as it comes without it.
            let (not_done, outcome) = match (self.attempt(action, &target).await?, waited) {
                (Attempt::Followed(outcome), _) => (None, outcome),
                (Attempt::Unchanged(not_done), Some(outcome)) => (not_done, outcome),
                (Attempt::Unchanged(not_done), None) => {
                    let outcome = *waited.insert(self.follow_unchanged().await?);
                    (not_done, outcome)
                }
            };
            let cost = outcome.cost(self.horizon().as_secs_f64());
            trials.push(Trial { action: action.name.to_owned(), target, not_done, outcome, cost });
        }
        let tried = Counterfactual::new(self.horizon().as_secs_f64(), trials);
        self.record.counterfactual = Some(tried.clone());
        let recommendation = diagnosis.recommendation.clone();
        self.context.events.send(Event::Tried { tried, recommendation });
        Ok(())
    }

    /// How long a copy is followed.
    fn horizon(&self) -> Duration {
        let scenario = &self.plan.loaded.scenario;
        let usual = SHORTEST.max(scenario.recover.within.0 * RECOVERIES);
        scenario.counterfactual.horizon.map_or(usual, |Span(horizon)| horizon)
    }

    /// What is tried: the recommendation, the other options, and every action of the subject on the node that the first fault
    /// was done to, or where that is of another role or the fault was done to none, on the first node of the right one.
    fn remedies(&self, diagnosis: &Diagnosis) -> Vec<(&'static Action, String)> {
        let all: Vec<&'static Action> = subject::actions(self.plan.loaded.subject).collect();
        let recommendation = &diagnosis.recommendation;
        let named = std::iter::once((&recommendation.action, &recommendation.target))
            .chain(diagnosis.options.iter().map(|option| (&option.action, &option.target)))
            .filter_map(|(action, target)| {
                let action = all.iter().copied().find(|known| known.name == action.0)?;
                Some((action, target.0.clone()))
            });
        let of_catalogue = all.iter().map(|action| (*action, self.usual_target(action.name)));
        let mut seen = BTreeSet::new();
        named.chain(of_catalogue).filter(|(action, target)| seen.insert((action.name, target.clone()))).collect()
    }

    fn usual_target(&self, action: &str) -> String {
        let (nodes, faulted) = (self.cluster.nodes(), self.record.targets.first());
        let node = match self.plan.loaded.subject.role_of(action) {
            None => faulted.or_else(|| nodes.first().map(|node| &node.name)),
            Some(role) => {
                let of_role = || nodes.iter().filter(|node| node.role == role).map(|node| &node.name);
                of_role().find(|node| Some(*node) == faulted).or_else(|| of_role().next())
            }
        };
        node.map_or_else(|| CLUSTER.to_owned(), |node| node.0.clone())
    }

    async fn attempt(&self, action: &Action, target: &str) -> Result<Attempt, RunError> {
        let Some(mut copy) = self.copy() else { return Ok(Attempt::Unchanged(None)) };
        let faults = self.acting_faults();
        let remedy = Remedy { action: action.name, target, faults: &faults };
        let subject = self.plan.loaded.subject;
        let begun = copy.begun();
        match self.context.unless_interrupted(subject.carry_out(copy.cluster.as_mut(), &remedy)).await? {
            Ok(Done::Acted) => {}
            Ok(Done::Nothing) => {
                let waits = matches!(action.name, "wait_and_watch" | "gather_evidence");
                return Ok(Attempt::Unchanged((!waits).then(|| "nothing of the kind is wrong there".to_owned())));
            }
            Err(NotDone(reason)) => return Ok(Attempt::Unchanged(Some(reason))),
        }
        let outcome = self.follow(copy, begun).await?;
        Ok(Attempt::Followed(Outcome { irreversible: !action.reversible, ..outcome }))
    }

    /// What comes of it if nobody does anything.
    async fn follow_unchanged(&self) -> Result<Outcome, RunError> {
        let Some(copy) = self.copy() else { return Ok(Outcome::default()) };
        let begun = copy.begun();
        self.follow(copy, begun).await
    }

    fn copy(&self) -> Option<Copy> {
        let ends = self.active.iter().filter_map(|active| Some((active.heal_at?, active.undo.clone()))).collect();
        Some(Copy { cluster: self.cluster.fork()?, monitor: self.monitor.clone(), ends })
    }

    /// Watches a copy until the horizon, and undoes on it the faults that would have ended by then.
    async fn follow(&self, mut copy: Copy, (began, before): (Timestamp, Toll)) -> Result<Outcome, RunError> {
        let (horizon, subject) = (self.horizon(), self.plan.loaded.subject);
        let deadline = after(began, horizon);
        copy.monitor.watch(copy.cluster.nodes());
        let mut well_since = None;
        loop {
            let now = copy.cluster.clock().now();
            copy.end_faults(now).await?;
            let observation = self.context.unless_interrupted(subject.observe(copy.cluster.as_ref())).await?;
            copy.monitor.poll(&observation);
            well_since = copy.monitor.healthy().then(|| well_since.unwrap_or(now));
            let now = copy.cluster.clock().now();
            if now >= deadline {
                break;
            }
            let look = FIRST_LOOK.max(span_between(began, now) / LOOK_AGAIN);
            let next =
                copy.ends.iter().map(|(at, _)| *at).chain([after(now, look), deadline]).min().unwrap_or(deadline);
            clock::sleep(copy.cluster.clock(), span_between(now, next), self.context.cancel).await?;
        }
        let toll = copy.cluster.toll();
        Ok(outcome(
            before,
            toll,
            span_between(began, copy.cluster.clock().now()),
            well_since.map(|at| span_between(began, at)),
        ))
    }
}

/// What came of carrying something out on a copy.
enum Attempt {
    /// It was done, and this came of it.
    Followed(Outcome),
    /// Nothing was done, for a reason if it could not be.
    Unchanged(Option<String>),
}

/// A copy of the cluster, its watch, and when faults end on it by themselves.
struct Copy {
    cluster: Box<dyn Fork>,
    monitor: Monitor,
    ends: Vec<(Timestamp, Undo)>,
}

impl Copy {
    fn begun(&self) -> (Timestamp, Toll) {
        (self.cluster.clock().now(), self.cluster.toll())
    }

    async fn end_faults(&mut self, now: Timestamp) -> Result<(), RunError> {
        let (due, later) = std::mem::take(&mut self.ends).into_iter().partition(|(at, _)| *at <= now);
        self.ends = later;
        let due: Vec<(Timestamp, Undo)> = due;
        for (_, undo) in due {
            self.cluster.heal(&undo).await?;
        }
        Ok(())
    }
}

/// The difference of two tolls, so long apart.
fn outcome(before: Toll, now: Toll, span: Duration, well_after: Option<Duration>) -> Outcome {
    #[expect(clippy::cast_precision_loss, reason = "counts of operations are far below 2^52")]
    let succeeded = (now.succeeded - before.succeeded) as f64;
    let wanted = f64::from(now.wanted);
    let served = if wanted > 0.0 { succeeded / wanted } else { span.as_secs_f64() };
    Outcome {
        well_after: well_after.map(seconds),
        failed: now.failed - before.failed,
        not_served: ((span.as_secs_f64() - served).max(0.0) * 10.0).round() / 10.0,
        // However few they are, they are not none.
        lost_writes: (now.lost_writes.saturating_sub(before.lost_writes).as_secs_f64() * 10.0).ceil() / 10.0,
        without_leader: seconds(now.without_leader.saturating_sub(before.without_leader)),
        without_placement: seconds(now.without_placement.saturating_sub(before.without_placement)),
        irreversible: false,
    }
}
