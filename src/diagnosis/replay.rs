//! The diagnoser `replay`, which is a judge as well: answers as a model has answered before, from cassettes.

use async_trait::async_trait;

use super::ask_claude::Settings;
use super::cassette::Shelf;
use super::judge::{Judge, JudgeQuestion, Opinion};
use super::{Answer, Diagnoser, DiagnoserError, Exchange, Question, QuestionHashes, claude, form};

/// Diagnoses and judges by recorded answers.
pub struct Replay {
    shelf: Shelf,
}

impl Replay {
    /// Answers from these cassettes.
    #[must_use]
    pub fn new(shelf: Shelf) -> Self {
        Self { shelf }
    }

    fn say<T>(
        &self,
        asked: &claude::Question<'_>,
        hashes: &QuestionHashes,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<(T, Exchange), DiagnoserError> {
        let cassette = self.shelf.find(asked, hashes)?;
        let request = &cassette.request;
        let settings = Settings {
            model: cassette.model().to_owned(),
            effort: serde_json::from_value(request["output_config"]["effort"].clone()).ok(),
            max_tokens: request["max_tokens"].as_u64().and_then(|most| most.try_into().ok()).unwrap_or(0),
        };
        let outcome = settings.read(&cassette.response, read);
        settings.exchange(&cassette.response, cassette.took_ms).come_to(outcome)
    }
}

#[async_trait]
impl Diagnoser for Replay {
    fn name(&self) -> &'static str {
        "replay"
    }

    fn label(&self) -> String {
        "replay (a recorded answer)".to_owned()
    }

    async fn diagnose(&self, question: &Question<'_>) -> Result<Answer, DiagnoserError> {
        let read = |text: &str| form::read(text, question.schema);
        let (diagnosis, exchange) = self.say(&question.asked(), &question.hashes(), read)?;
        Ok(Answer { diagnosis, exchange: Some(exchange) })
    }
}

#[async_trait]
impl Judge for Replay {
    async fn judge(&self, question: &JudgeQuestion) -> Result<Opinion, DiagnoserError> {
        let read = |text: &str| question.read(text);
        let (judgement, exchange) = self.say(&question.asked(), &question.hashes(), read)?;
        Ok(Opinion { judgement, exchange })
    }
}
