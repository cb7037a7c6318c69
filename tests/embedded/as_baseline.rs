//! A diagnoser that answers as the baseline does, but for a change.

use async_trait::async_trait;
use operator_run::diagnosis::rules::diagnose;
use operator_run::diagnosis::{Answer, Diagnoser, DiagnoserError, Diagnosis, Question};
use operator_run::subject::tikv::TiKv;

/// What it changes.
pub(crate) struct AsBaseline<C: Fn(&Question<'_>, &mut Diagnosis)>(pub(crate) C);

#[async_trait]
impl<C: Fn(&Question<'_>, &mut Diagnosis) + Send + Sync> Diagnoser for AsBaseline<C> {
    fn name(&self) -> &'static str {
        "test"
    }

    fn label(&self) -> String {
        "a test".to_owned()
    }

    async fn diagnose(&self, question: &Question<'_>) -> Result<Answer, DiagnoserError> {
        let mut diagnosis = diagnose(&TiKv, question.bundle);
        (self.0)(question, &mut diagnosis);
        Ok(Answer { diagnosis, exchange: None })
    }
}
