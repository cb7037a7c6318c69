//! The diagnoser `replay`: answers as a model has answered before, from cassettes.

use async_trait::async_trait;

use super::ask_claude::Settings;
use super::cassette::Shelf;
use super::{Answer, Diagnoser, DiagnoserError, Question};

/// Diagnoses by recorded answers.
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
        let cassette = self.shelf.find(question)?;
        let request = &cassette.request;
        let settings = Settings {
            model: cassette.model().to_owned(),
            effort: serde_json::from_value(request["output_config"]["effort"].clone()).ok(),
            max_tokens: request["max_tokens"].as_u64().and_then(|most| most.try_into().ok()).unwrap_or(0),
        };
        let outcome = settings.read(&cassette.response, question.schema);
        settings.exchange(&cassette.response, cassette.took_ms).come_to(outcome)
    }
}
