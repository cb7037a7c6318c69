//! One question about what was observed: made without names that mean something, searched for what would tell the answer,
//! asked, and its answer graded. It needs no cluster.

use super::error::RunError;
use super::record::{Baseline, InjectionRecord, RunRecord};
use crate::cluster::compose::RUN_LABEL;
use crate::cluster::{FaultKind, Node};
use crate::diagnosis::aliases::Aliases;
use crate::diagnosis::evidence::Observations;
use crate::diagnosis::rules::Rules;
use crate::diagnosis::{Answer, Bundle, Diagnoser, Diagnosis, Prompt, Question, form};
use crate::grade::blindness::{Secret, leak};
use crate::grade::grounding::{self, Grounding};
use crate::grade::rubric::{self, Facts, Grade};
use crate::scenario::Loaded;

/// A question as a diagnoser is asked it: under the nodes' other names.
pub(super) struct Inquiry<'a> {
    loaded: &'a Loaded,
    aliases: Aliases,
    bundle: Bundle,
    prompt: Prompt,
    schema: serde_json::Value,
}

impl<'a> Inquiry<'a> {
    /// Makes the question. It is an error if it tells the answer.
    pub(super) fn new(
        loaded: &'a Loaded,
        nodes: &[Node],
        seed: u64,
        observations: &Observations,
        secrets: &[Secret],
    ) -> Result<Self, RunError> {
        let aliases = Aliases::draw(nodes, seed);
        let mut nodes = aliases.hide(&nodes.to_vec())?;
        // The order would tell what the names no longer do. Roles stay in theirs.
        let place = |role: &str| loaded.subject.manual().roles.iter().position(|known| known.name == role);
        nodes.sort_by_key(|node| (place(&node.role), node.name.as_str().len(), node.name.clone()));
        let bundle = Bundle::gather(loaded.subject, &nodes, &aliases.hide(observations)?);
        let prompt = Prompt::write(loaded.subject, &bundle)?;
        let ours = Prompt::write(loaded.subject, &bundle.without_words_of_the_cluster())?;
        if let Some(Secret { what, text, .. }) = leak(&prompt, &ours, &bundle, secrets) {
            return Err(RunError::Leaked { what, text: text.clone() });
        }
        let schema = form::schema(loaded.subject, &nodes);
        Ok(Self { loaded, aliases, bundle, prompt, schema })
    }

    pub(super) fn question(&self) -> Question<'_> {
        Question { bundle: &self.bundle, prompt: &self.prompt, schema: &self.schema }
    }

    /// The evidence, under the nodes' real names.
    pub(super) fn evidence(&self) -> Result<Bundle, RunError> {
        Ok(self.aliases.reveal(&self.bundle)?)
    }

    /// Asks, and gives the nodes their real names back. A model that knows the scenario's canary has read the file.
    pub(super) async fn ask(&self, diagnoser: &dyn Diagnoser) -> Result<Answer, RunError> {
        let answer = diagnoser.diagnose(&self.question()).await?;
        let diagnosis: Diagnosis = self.aliases.reveal(&answer.diagnosis)?;
        if let Some(canary) = &self.loaded.scenario.canary
            && serde_json::to_string(&diagnosis)?.contains(canary)
        {
            return Err(RunError::Remembered { canary: canary.clone() });
        }
        Ok(Answer { diagnosis, ..answer })
    }

    /// Grades a diagnosis that has real names; no grade without a rubric.
    pub(super) fn grade(
        &self,
        diagnosis: &Diagnosis,
        evidence: &Bundle,
        facts: Facts,
    ) -> Result<Option<(Grade, Grounding)>, RunError> {
        let Some(rubric) = &self.loaded.scenario.rubric else { return Ok(None) };
        let grounding = grounding::check(diagnosis, evidence, self.loaded.subject);
        let grade = rubric::grade(rubric, diagnosis, &Facts { grounded: grounding.share, ..facts })?;
        Ok(Some((grade, grounding)))
    }

    /// What the baseline makes of the same question.
    pub(super) async fn baseline(&self, record: &RunRecord) -> Result<Option<Baseline>, RunError> {
        let rules = Rules::new(self.loaded.subject, "beside the model");
        let diagnosis = self.ask(&rules).await?.diagnosis;
        let (targets, regret) = (record.targets.clone(), record.regret(&diagnosis));
        let facts = Facts { targets, regret, ..Facts::default() };
        let graded = self.grade(&diagnosis, &self.evidence()?, facts)?;
        Ok(graded.map(|(grade, grounding)| Baseline { diagnosis, grade, grounding }))
    }
}

/// What a question must not contain.
pub(super) fn secrets(loaded: &Loaded, run: &str, injections: &[InjectionRecord]) -> Vec<Secret> {
    let scenario = &loaded.scenario;
    let secret = |what, text: &str| Secret { what, text: text.to_owned(), common: false };
    let common = |what, text: &str| Secret { common: true, ..secret(what, text) };
    let mut secrets = vec![
        secret("the scenario's name", &scenario.name),
        secret("the scenario's title", &scenario.title),
        secret("the run's id", run),
        secret("a container's label", RUN_LABEL),
    ];
    secrets.extend(scenario.canary.iter().map(|canary| secret("the scenario's canary", canary)));
    secrets.extend(scenario.tags.iter().map(|tag| common("a tag of the scenario", tag)));
    let kinds = injections.iter().map(|injection| injection.fault.kind());
    secrets.extend(kinds.flat_map(words_for).map(|word| common("the fault's kind", &word)));
    secrets
}

/// What a fault is called, in the scenario and in plain words.
fn words_for(kind: &FaultKind) -> Vec<String> {
    let done = match kind {
        FaultKind::Kill { .. } => "killed",
        FaultKind::Stop => "stopped",
        FaultKind::Pause => "paused",
        FaultKind::Freeze => "frozen",
        FaultKind::Restart => "restarted",
        FaultKind::Flap { .. } => "flapping",
        FaultKind::Partition { .. } => "partitioned",
        FaultKind::Delay { .. } => "delayed",
        FaultKind::Disconnect => "disconnected",
        FaultKind::HaltScheduling => "halted",
        _ => "injected",
    };
    vec![kind.key().to_owned(), kind.key().replace('_', " "), done.to_owned()]
}
