//! Watches a cluster that somebody else runs, as an operator on call does: a ticket and a diagnosis for what is violated.
//! Nothing is done to the cluster, nothing is expected of it, and nothing is graded.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::error::RunError;
use super::event::{ChangedReadings, Event};
use super::{Context, new_id};
use crate::clock::{self, after, span_between};
use crate::cluster::{Cluster, Node};
use crate::diagnosis::evidence::{Observations, TicketFacts};
use crate::diagnosis::past::{self, PastTicket};
use crate::diagnosis::{Bundle, Diagnosis, Prompt, Question, form};
use crate::monitor::{Change, Monitor, Violation};
use crate::reading::{NodeName, Observation};
use crate::store::{Solved, TicketState};
use crate::subject::{CLUSTER, Subject};
use crate::units::Span;

/// The verdict of a watch in the database: there is none on a diagnosis.
const WATCHED: &str = "watched";
/// How long a violation is watched until it is diagnosed: what follows from it shows by then.
const SETTLE: Duration = Duration::from_secs(10);

/// What is watched, and how often.
pub struct OnCall<'a> {
    /// What kind of system it is.
    pub subject: &'static dyn Subject,
    /// It.
    pub cluster: &'a dyn Cluster,
    /// The time from one poll to the next.
    pub every: Duration,
}

/// A watch under way.
struct Watch<'a> {
    plan: &'a OnCall<'a>,
    context: Context<'a>,
    run: String,
    monitor: Monitor,
    /// The last observation in which every invariant held; at first the first one.
    before: Option<Observation>,
    /// The observation that found the first violation that is not diagnosed.
    at: Option<Observation>,
    /// The violations that are not diagnosed, with their tickets.
    undiagnosed: Vec<(i64, Violation)>,
    /// The open tickets.
    open: BTreeMap<(String, NodeName), i64>,
}

/// Watches until it is interrupted, which is how it ends well.
pub async fn watch(plan: &OnCall<'_>, context: Context<'_>) -> Result<(), RunError> {
    let run = new_id();
    context.store.start_run(&run, plan.subject.name(), WATCHED)?;
    let nodes = plan.cluster.nodes();
    let roles: Vec<String> = plan.subject.manual().roles.iter().map(|role| count(nodes, role.name)).collect();
    context.events.send(Event::Started {
        scenario: plan.subject.name().to_owned(),
        title: format!("watched, run {run}"),
        cluster: roles.join(" + "),
        diagnoser: context.diagnoser.label(),
        headline: plan.subject.manual().headline,
    });
    let monitor = Monitor::new(plan.subject.manual().invariants, nodes);
    let (undiagnosed, open) = (Vec::new(), BTreeMap::new());
    let mut watch = Watch { plan, context, run, monitor, before: None, at: None, undiagnosed, open };
    let outcome = watch.go_on().await;
    context.store.end_run(&watch.run, WATCHED, &())?;
    match outcome {
        Err(RunError::Interrupted) => Ok(()),
        outcome => outcome,
    }
}

fn count(nodes: &[Node], role: &str) -> String {
    format!("{} {role}", nodes.iter().filter(|node| node.role == role).count())
}

impl Watch<'_> {
    async fn go_on(&mut self) -> Result<(), RunError> {
        let clock = self.plan.cluster.clock();
        loop {
            let begun = clock.now();
            let observation = self.context.unless_interrupted(self.plan.subject.observe(self.plan.cluster)).await?;
            self.poll(&observation)?;
            if self.at.as_ref().is_some_and(|at| span_between(at.at, observation.at) >= SETTLE) {
                self.diagnose(&observation).await?;
            }
            self.context.events.send(Event::Observed(Box::new(observation)));
            let next = after(begun, self.plan.every);
            clock::sleep(clock, span_between(clock.now(), next), self.context.cancel).await?;
        }
    }

    fn poll(&mut self, observation: &Observation) -> Result<(), RunError> {
        for change in self.monitor.poll(observation) {
            match change {
                Change::Violated(violation) => self.open_ticket(violation, observation)?,
                Change::Resolved { invariant, node } => self.resolve_ticket(invariant, node, observation.at)?,
            }
        }
        if self.monitor.healthy() || self.before.is_none() {
            self.before = Some(observation.clone());
        }
        Ok(())
    }

    fn open_ticket(&mut self, violation: Violation, observation: &Observation) -> Result<(), RunError> {
        let Violation { invariant, node, because, .. } = &violation;
        let ticket = self.context.store.open_ticket(&self.run, invariant, node, because, observation.at)?;
        self.open.insert((invariant.clone(), node.clone()), ticket);
        let changed = self
            .before
            .as_ref()
            .map_or_else(ChangedReadings::default, |before| ChangedReadings::between(before, observation, node));
        self.context.events.send(Event::Ticket { ticket, violation: violation.clone(), changed });
        self.undiagnosed.push((ticket, violation));
        self.at.get_or_insert_with(|| observation.clone());
        Ok(())
    }

    fn resolve_ticket(&mut self, invariant: String, node: NodeName, at: Timestamp) -> Result<(), RunError> {
        if let Some(ticket) = self.open.remove(&(invariant.clone(), node.clone())) {
            self.context.store.move_ticket(ticket, TicketState::Resolved, at)?;
        }
        self.context.events.send(Event::Resolved { invariant, node, at });
        Ok(())
    }

    /// What earlier watches have found.
    fn past(&self, invariant: &str, now: Timestamp) -> Result<Vec<PastTicket>, RunError> {
        let (store, subject) = (self.context.store, self.plan.subject.name());
        let solved: Vec<Solved<Diagnosis>> = store.solved(subject, WATCHED, invariant, past::MOST)?;
        let ticket = |solved: Solved<Diagnosis>| PastTicket {
            invariant: solved.invariant,
            on: solved.node.0,
            ago: Span(span_between(solved.opened_at, now)),
            cause: solved.diagnosis.root_cause.category,
            action: solved.diagnosis.recommendation.action,
            resolved_after: Some(Span(span_between(solved.opened_at, solved.resolved_at))),
        };
        Ok(solved.into_iter().map(ticket).collect())
    }

    /// Asks for one diagnosis of all that is violated since the last one. That it fails does not end the watch.
    async fn diagnose(&mut self, now: &Observation) -> Result<(), RunError> {
        let (Some(at), Some(before)) = (self.at.take(), &self.before) else { return Ok(()) };
        let mut violations = std::mem::take(&mut self.undiagnosed);
        // A node's violation tells more than what clients feel of it, which is often seen first.
        violations.sort_by_key(|(_, violation)| violation.node.as_str() == CLUSTER);
        let facts = violations.iter().map(|(_, violation)| TicketFacts::of(violation, at.at));
        let logs = self.plan.cluster.logs(before.at).await.unwrap_or_else(|error| {
            tracing::debug!("{error}");
            Vec::new()
        });
        let past = violations.first().map_or(Ok(Vec::new()), |(_, first)| self.past(&first.invariant, at.at))?;
        let (before, after) = (before.clone(), now.clone());
        let observations = Observations { tickets: facts.collect(), before, at, after, logs, past };
        let (subject, nodes) = (self.plan.subject, self.plan.cluster.nodes());
        let bundle = Bundle::gather(subject, nodes, &observations);
        let (prompt, schema) = (Prompt::write(subject, &bundle)?, form::schema(subject, nodes));
        let question = Question { bundle: &bundle, prompt: &prompt, schema: &schema };
        let diagnosis = match self.context.unless_interrupted(self.context.diagnoser.diagnose(&question)).await? {
            Ok(answer) => answer.diagnosis,
            Err(error) => {
                self.context.events.send(Event::NotDiagnosed { reason: error.to_string() });
                return Ok(());
            }
        };
        for (ticket, _) in &violations {
            let Context { store, diagnoser, .. } = self.context;
            store.write_diagnosis(*ticket, diagnoser.name(), &diagnosis, &bundle, now.at)?;
        }
        self.context.events.send(Event::Diagnosed { diagnosis: Box::new(diagnosis), evidence: Box::new(bundle) });
        Ok(())
    }
}
