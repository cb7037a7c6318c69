//! The diagnoser `claude`: sends the question to the Messages API and reads the answer as a diagnosis.

use async_trait::async_trait;

use super::claude::{self, Client, Config};
use super::{Answer, Diagnoser, DiagnoserError, Exchange, Question, form};

/// Diagnoses by asking Claude.
pub struct AskClaude {
    client: Client,
    model: String,
}

impl AskClaude {
    /// Checks the configuration; sends nothing yet.
    pub fn new(config: Config) -> Result<Self, DiagnoserError> {
        Ok(Self { model: config.model.clone(), client: Client::new(config)? })
    }
}

#[async_trait]
impl Diagnoser for AskClaude {
    fn name(&self) -> &'static str {
        "claude"
    }

    fn label(&self) -> String {
        format!("claude ({})", self.model)
    }

    async fn diagnose(&self, question: &Question<'_>) -> Result<Answer, DiagnoserError> {
        let Question { prompt, schema, .. } = *question;
        let asked = claude::Question { system: &prompt.system, user: &prompt.user, schema };
        let reply = self.client.ask(&asked).await?;
        let diagnosis = form::read(&reply.text, schema)
            .map_err(|reason| DiagnoserError::Invalid { request_id: reply.request_id.clone(), reason })?;
        let usage = &reply.usage;
        let exchange = Exchange {
            input_tokens: usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens,
            output_tokens: usage.output_tokens,
            model: reply.model,
            request_id: reply.request_id,
            attempts: reply.attempts,
        };
        Ok(Answer { diagnosis, exchange: Some(exchange) })
    }
}
