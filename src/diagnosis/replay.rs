//! The diagnoser `replay`, which is a judge as well: answers as a model has answered before, from cassettes.

use async_trait::async_trait;

use super::ask_claude::{Settings, diagnosis};
use super::cassette::Shelf;
use super::judge::{Judge, JudgeQuestion, Opinion};
use super::{Answer, Diagnoser, DiagnoserError, Exchange, Question, QuestionHashes, claude};

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
        diagnosis(self.say(&question.asked(), &question.hashes())?, question.schema)
    }
}

#[async_trait]
impl Judge for Replay {
    async fn judge(&self, question: &JudgeQuestion) -> Result<Opinion, DiagnoserError> {
        question.read(self.say(&question.asked(), &question.hashes())?)
    }
}

impl Replay {
    fn say(&self, asked: &claude::Question<'_>, hashes: &QuestionHashes) -> Result<(String, Exchange), DiagnoserError> {
        let cassette = self.shelf.find(asked, hashes)?;
        let request = &cassette.request;
        let settings = Settings {
            model: cassette.model().to_owned(),
            effort: serde_json::from_value(request["output_config"]["effort"].clone()).ok(),
            max_tokens: request["max_tokens"].as_u64().and_then(|most| most.try_into().ok()).unwrap_or(0),
        };
        settings.said(&cassette.response, cassette.took_ms)
    }
}
