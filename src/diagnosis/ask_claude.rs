//! Claude as a diagnoser and as a judge: sends the question to the Messages API and reads the answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use serde_json::Value as Json;

use super::cassette::Recorder;
use super::claude::{self, Client, Config, Effort, Failure, Response, Usage, price};
use super::judge::{Judge, JudgeQuestion, Opinion};
use super::{Answer, Diagnoser, DiagnoserError, Exchange, Question, QuestionHashes, form};

/// What may be spent on calls, in US dollars, by all who share it.
#[derive(Debug)]
pub struct Budget {
    limit: f64,
    /// What was spent, and what calls under way can cost at most.
    spent: Mutex<f64>,
}

impl Budget {
    /// So much may be spent.
    #[must_use]
    pub fn new(limit: f64) -> Self {
        Self { limit, spent: Mutex::new(0.0) }
    }

    /// Sets aside what a call can cost at most, unless that could pass the limit.
    fn reserve(&self, most: f64) -> Result<(), DiagnoserError> {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if *spent + most > self.limit {
            return Err(DiagnoserError::TooExpensive { limit: self.limit, spent: *spent, most });
        }
        *spent += most;
        Ok(())
    }

    /// Gives back what was set aside and not spent.
    fn settle(&self, most: f64, cost: f64) {
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner) += cost - most;
    }
}

/// Diagnoses and judges by asking Claude.
pub struct AskClaude {
    client: Client,
    settings: Settings,
    budget: Option<Arc<Budget>>,
    recorder: Option<Recorder>,
}

/// How a model is asked, as far as the record tells it.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) model: String,
    pub(super) effort: Option<Effort>,
    pub(super) max_tokens: u32,
}

impl AskClaude {
    /// Checks the configuration; sends nothing yet. With a budget, no call is made that could pass it; with a recorder,
    /// what the API says is kept.
    pub fn new(
        config: Config,
        budget: Option<Arc<Budget>>,
        recorder: Option<Recorder>,
    ) -> Result<Self, DiagnoserError> {
        let settings = Settings { model: config.model.clone(), effort: config.effort, max_tokens: config.max_tokens };
        if budget.is_some() && price::of(&settings.model).is_none() {
            return Err(settings.no_price());
        }
        Ok(Self { settings, client: Client::new(config)?, budget, recorder })
    }

    /// Asks in any form, and keeps the call if there is a recorder.
    async fn say(
        &self,
        asked: &claude::Question<'_>,
        hashes: QuestionHashes,
    ) -> Result<(String, Exchange), DiagnoserError> {
        let body = self.client.request_body(asked);
        let begun = Instant::now();
        let response = self.ask(&body).await?;
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(recorder) = &self.recorder {
            recorder.write(hashes, body, &response, took_ms)?;
        }
        self.settings.said(&response, took_ms)
    }

    /// Asks within the budget. A call whose connection was lost may have been paid for: what was set aside stays so.
    async fn ask(&self, body: &Json) -> Result<Response, DiagnoserError> {
        let Some(budget) = &self.budget else { return Ok(self.client.ask(body).await?) };
        let price = price::of(&self.settings.model).ok_or_else(|| self.settings.no_price())?;
        let most = price.most(body.to_string().len(), self.settings.max_tokens);
        let most = most.ok_or_else(|| self.settings.no_price())?;
        budget.reserve(most)?;
        match self.client.ask(body).await {
            Ok(response) => {
                budget.settle(most, price.cost(&response.usage()).unwrap_or(most));
                Ok(response)
            }
            Err(error) => {
                if !matches!(error.failure, Failure::Transport { .. }) {
                    budget.settle(most, 0.0);
                }
                Err(error.into())
            }
        }
    }
}

impl Settings {
    fn no_price(&self) -> DiagnoserError {
        DiagnoserError::NoPrice { model: self.model.clone(), as_of: price::as_of() }
    }

    /// Reads what the API said: the text, and what is known of the call.
    pub(super) fn said(&self, response: &Response, took_ms: u64) -> Result<(String, Exchange), DiagnoserError> {
        let reply = response.read(self.max_tokens)?;
        let Usage { cache_read_input_tokens, output_tokens, .. } = reply.usage;
        let exchange = Exchange {
            cost_usd: price::of(&self.model).and_then(|price| price.cost(&reply.usage)),
            input_tokens: reply.usage.whole_input(),
            cached_tokens: cache_read_input_tokens,
            output_tokens,
            effort: self.effort,
            max_tokens: self.max_tokens,
            model: reply.model,
            request_id: reply.request_id,
            attempts: reply.attempts,
            took_ms,
        };
        Ok((reply.text, exchange))
    }
}

/// Reads a text as a diagnosis.
pub(super) fn diagnosis((text, exchange): (String, Exchange), schema: &Json) -> Result<Answer, DiagnoserError> {
    let request_id = exchange.request_id.clone();
    let diagnosis = form::read(&text, schema).map_err(|reason| DiagnoserError::Invalid { request_id, reason })?;
    Ok(Answer { diagnosis, exchange: Some(exchange) })
}

#[async_trait]
impl Diagnoser for AskClaude {
    fn name(&self) -> &'static str {
        "claude"
    }

    fn label(&self) -> String {
        let effort = self.settings.effort.map(|effort| format!(", effort {}", effort.word())).unwrap_or_default();
        format!("claude ({}{effort})", self.settings.model)
    }

    async fn diagnose(&self, question: &Question<'_>) -> Result<Answer, DiagnoserError> {
        diagnosis(self.say(&question.asked(), question.hashes()).await?, question.schema)
    }
}

#[async_trait]
impl Judge for AskClaude {
    async fn judge(&self, question: &JudgeQuestion) -> Result<Opinion, DiagnoserError> {
        question.read(self.say(&question.asked(), question.hashes()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_could_pass_the_limit_is_not_made() {
        let budget = Budget::new(1.0);
        budget.reserve(0.6).unwrap();
        let error = budget.reserve(0.6).unwrap_err().to_string();
        assert_eq!(
            error,
            "--max-cost is 1 USD: 0.6000 USD are spent or set aside, and the next call could cost 0.6000 USD"
        );
        budget.settle(0.6, 0.1);
        budget.reserve(0.6).unwrap();
    }
}
