//! Asks for the diagnosis, and grades it.

use super::error::RunError;
use super::event::Event;
use super::pipeline::Pipeline;
use super::record::{Expectation, Phase};
use super::snapshot::{Header, compare};
use crate::cluster::compose::RUN_LABEL;
use crate::diagnosis::evidence::{Sources, TicketFacts};
use crate::diagnosis::{Bundle, Diagnosis, Prompt, Question, form, markdown};
use crate::grade::blindness::{Secret, leak};
use crate::grade::{grounding, rubric, stable};
use crate::scenario::Loaded;
use crate::store::TicketState;

impl Pipeline<'_> {
    pub(super) async fn diagnose_and_grade(&mut self) -> Result<(), RunError> {
        self.begin(Phase::Diagnose);
        let bundle = self.gather().await?;
        self.move_tickets(TicketState::Acknowledged)?;
        let diagnosis = self.ask(&bundle).await?;
        self.end(format!("{} claims, {} options", diagnosis.evidence.len(), diagnosis.options.len()));
        self.begin(Phase::Grade);
        self.grade(&bundle, &diagnosis)?;
        let checks = self.record.grade.as_ref().map(|grade| grade.checks.as_slice()).unwrap_or_default();
        self.end(format!("{} of {} checks met", checks.iter().filter(|check| check.met).count(), checks.len()));
        Ok(())
    }

    /// The evidence around the first violation.
    async fn gather(&self) -> Result<Bundle, RunError> {
        let (Some(before), Some(at), Some(after)) = (&self.steady, &self.first_detection, &self.latest) else {
            return Err(RunError::NothingObserved);
        };
        // An expected violation first: an allowed one may have fired before it.
        let mut tickets: Vec<_> = self.fired.iter().collect();
        tickets.sort_by_key(|(_, expectation)| *expectation != Expectation::Expected);
        let tickets = tickets.into_iter().map(|(violation, _)| TicketFacts {
            invariant: violation.invariant.clone(),
            demands: violation.demands.clone(),
            node: violation.node.clone(),
            because: violation.because.clone(),
        });
        let logs = self.unless_interrupted(self.cluster.logs(before.at)).await??;
        let sources = Sources { tickets: tickets.collect(), before, at, after, logs: &logs };
        Ok(Bundle::gather(self.plan.loaded.subject, &self.record.nodes, sources))
    }

    async fn ask(&mut self, bundle: &Bundle) -> Result<Diagnosis, RunError> {
        let subject = self.plan.loaded.subject;
        let prompt = Prompt::write(subject, bundle);
        if let Some(Secret { what, text, .. }) = leak(&prompt, bundle, &self.secrets()) {
            return Err(RunError::Leaked { what, text: text.clone() });
        }
        let schema = form::schema(subject, &self.record.nodes);
        let question = Question { bundle, prompt: &prompt, schema: &schema };
        let answer = self.unless_interrupted(self.context.diagnoser.diagnose(&question)).await??;
        self.keep(bundle, &answer.diagnosis)?;
        self.record.diagnoser.exchange = answer.exchange;
        let (diagnosis, evidence) = (Box::new(answer.diagnosis.clone()), Box::new(bundle.clone()));
        self.context.events.send(Event::Diagnosed { diagnosis, evidence });
        Ok(answer.diagnosis)
    }

    /// Puts the diagnosis on the tickets and into the record.
    fn keep(&mut self, bundle: &Bundle, diagnosis: &Diagnosis) -> Result<(), RunError> {
        let (now, store) = (self.now(), self.context.store);
        for ticket in &self.all_tickets {
            store.write_diagnosis(*ticket, self.context.diagnoser.name(), diagnosis, bundle, now)?;
        }
        self.record.evidence = Some(bundle.clone());
        self.record.diagnosis = Some(diagnosis.clone());
        self.record.diagnosis_markdown = Some(markdown::write(diagnosis, bundle));
        Ok(())
    }

    fn grade(&mut self, bundle: &Bundle, diagnosis: &Diagnosis) -> Result<(), RunError> {
        let Loaded { scenario, check_lines, .. } = &self.plan.loaded;
        let Some(rubric) = &scenario.rubric else { return Ok(()) };
        let target = self.target().cloned();
        let grounding = grounding::check(diagnosis, bundle);
        let grade = rubric::grade(rubric, diagnosis, target.as_ref())?;
        self.record.grounding = Some(grounding.clone());
        self.record.grade = Some(grade.clone());
        self.context.events.send(Event::Graded { grade, grounding, lines: check_lines.clone() });
        let name = format!("{}.{}", scenario.name, self.context.diagnoser.name());
        let header =
            Header { source: &self.record.path, description: &scenario.title, diagnoser: &self.record.diagnoser.name };
        let contents = stable::write(diagnosis, bundle)?;
        let snapshot = compare(&self.plan.snapshots, &name, &header, &contents)?;
        self.record.snapshot = Some(snapshot.clone());
        self.context.events.send(Event::Compared(snapshot));
        Ok(())
    }

    fn move_tickets(&self, state: TicketState) -> Result<(), RunError> {
        let now = self.now();
        self.tickets.values().try_for_each(|ticket| Ok(self.context.store.move_ticket(*ticket, state, now)?))
    }

    /// What a question must not contain.
    fn secrets(&self) -> Vec<Secret> {
        let scenario = &self.plan.loaded.scenario;
        let secret = |what, text: &str| Secret { what, text: text.to_owned(), common: false };
        let common = |what, text: &str| Secret { common: true, ..secret(what, text) };
        let mut secrets = vec![
            secret("the scenario's name", &scenario.name),
            secret("the scenario's title", &scenario.title),
            secret("the run's id", &self.record.wall.run),
            secret("a container's label", RUN_LABEL),
        ];
        secrets.extend(scenario.tags.iter().map(|tag| common("a tag of the scenario", tag)));
        let injections = self.record.injections.iter();
        secrets.extend(injections.map(|injection| common("the fault's kind", injection.fault.kind().key())));
        secrets
    }
}
