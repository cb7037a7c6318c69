//! The recommended action on the cluster itself: it is carried out while the faults act, and the cluster must get well by it.

use serde::{Deserialize, Serialize};

use super::class::Class;
use super::error::RunError;
use super::pipeline::Pipeline;
use super::record::Phase;
use super::watch::seconds;
use crate::clock::{after, span_between};
use crate::subject::{Action, NotDone, Remedy, actions};

/// What became of the recommended action on the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// The action.
    pub action: String,
    /// The node that it was to be done to, or `cluster`.
    pub target: String,
    /// Why it was not carried out; none if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Whether it cannot be undone: then it was not carried out.
    pub irreversible: bool,
    /// Seconds until every invariant held again, without the runner having undone anything; none if that was not so in time.
    pub well_after: Option<f64>,
}

impl Applied {
    /// What it says of the recommendation; none if that was good, or was not tried for want of a way to.
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        match (&self.refused, self.well_after) {
            (Some(_), _) if self.irreversible => Some(Class::HarmfulRemedy),
            (None, None) => Some(Class::NotRecovered),
            _ => None,
        }
    }
}

/// Why an action is not carried out on a cluster that somebody runs; none if it is. The allow-list is every action that can
/// be undone, but for those that need a machine which the run does not have.
fn refusal(action: &Action) -> Option<String> {
    match action {
        Action { name, reversible: false, .. } => Some(format!("{name} cannot be undone")),
        Action { name: name @ "add_store", .. } => Some(format!("{name} needs a machine that the run does not have")),
        _ => None,
    }
}

impl Pipeline<'_> {
    /// Carries out the recommended action if it is allowed, and watches whether the cluster gets well by it.
    pub(super) async fn apply_recommendation(&mut self) -> Result<(), RunError> {
        let asked = self.plan.extras.apply_recommendation;
        let Some(diagnosis) = self.record.diagnosis.as_ref().filter(|_| asked) else { return Ok(()) };
        let (action, target) = (diagnosis.recommendation.action.0.clone(), diagnosis.recommendation.target.0.clone());
        self.begin(Phase::Apply);
        let known = actions(self.plan.loaded.subject).find(|known| known.name == action);
        let irreversible = known.is_some_and(|known| !known.reversible);
        let refused = match known.map(refusal) {
            None => Some(format!("{action} is no action of {}", self.plan.loaded.subject.name())),
            Some(Some(reason)) => Some(reason),
            Some(None) => self.carry_out(&action, &target).await?,
        };
        let mut applied = Applied { action, target, refused, irreversible, well_after: None };
        if applied.refused.is_none() {
            applied.well_after = self.watch_remedy().await?;
        }
        self.conclude_remedy(applied);
        Ok(())
    }

    /// Carries an action out. Says why not if it cannot be.
    async fn carry_out(&mut self, action: &str, target: &str) -> Result<Option<String>, RunError> {
        let faults = self.acting_faults();
        let (context, subject) = (self.context, self.plan.loaded.subject);
        let remedy = Remedy { action, target, faults: &faults };
        let outcome = context.unless_interrupted(subject.carry_out(self.cluster, &remedy)).await?;
        Ok(outcome.err().map(|NotDone(reason)| reason))
    }

    async fn watch_remedy(&mut self) -> Result<Option<f64>, RunError> {
        let (begun, within) = (self.now(), self.plan.loaded.scenario.recover.within.0);
        let fresh = |run: &Self| run.latest.as_ref().is_some_and(|latest| latest.at > begun);
        let well = self.watch_until(after(begun, within), |run| fresh(run) && run.monitor.healthy()).await?;
        Ok(well.then(|| seconds(span_between(begun, self.now()))))
    }

    fn conclude_remedy(&mut self, applied: Applied) {
        let what = format!("{} on {}", applied.action, applied.target);
        let (outcome, reason) = match (&applied.refused, applied.well_after) {
            (Some(reason), _) if applied.irreversible => {
                (format!("{what} not carried out: {reason}"), Some(format!("harmful remedy: {what}: {reason}")))
            }
            (Some(reason), _) => (format!("{what} not carried out: {reason}"), None),
            (None, Some(after)) => (format!("{what}: every invariant holds again after {after:.1} s"), None),
            (None, None) => {
                let within = self.plan.loaded.scenario.recover.within;
                let reason = format!("{what} did not help within {within}: {}", self.what_does_not_hold());
                (format!("{what} did not help"), Some(reason))
            }
        };
        self.note_class(applied.class());
        self.record.reasons.extend(reason);
        self.record.applied = Some(applied);
        self.end(outcome);
    }
}
