//! Claude as a diagnoser and as a judge: sends the question to the Messages API and reads the answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use serde_json::Value as Json;

use super::cassette::Recorder;
use super::claude::{self, ClaudeError, Client, Config, Effort, Failure, Response, price};
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

    /// Asks in any form, reads the answer, and keeps the call if there is a recorder.
    async fn say<T>(
        &self,
        asked: &claude::Question<'_>,
        hashes: QuestionHashes,
        read: impl Fn(&str) -> Result<T, String> + Send,
    ) -> Result<(T, Exchange), DiagnoserError> {
        let body = self.client.request_body(asked);
        let begun = Instant::now();
        let outcome = self.ask(&body).await;
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let response = match outcome {
            Ok(response) => response,
            Err(DiagnoserError::Claude(error)) => {
                return self.settings.failed(&error, took_ms).come_to(Err(error.into()));
            }
            Err(error) => return Err(error),
        };
        let write = |recorder: &Recorder| recorder.write(hashes, body, &response, took_ms);
        let kept = self.recorder.as_ref().map_or(Ok(()), write).map_err(DiagnoserError::from);
        let outcome = kept.and_then(|()| self.settings.read(&response, read));
        self.settings.exchange(&response, took_ms).come_to(outcome)
    }

    /// Asks within the budget. A call whose connection was lost may have been paid for: what was set aside stays so.
    async fn ask(&self, body: &Json) -> Result<Response, DiagnoserError> {
        let Some(budget) = &self.budget else { return Ok(self.client.ask(body).await?) };
        let price = price::of(&self.settings.model).ok_or_else(|| self.settings.no_price())?;
        let most = price.most(body.to_string().len(), self.settings.max_tokens);
        budget.reserve(most)?;
        match self.client.ask(body).await {
            Ok(response) => {
                budget.settle(most, price.cost(&response.billed()));
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

    /// The call that this came back from.
    pub(super) fn exchange(&self, response: &Response, took_ms: u64) -> Exchange {
        let usage = response.usage();
        Exchange {
            model: response.model().to_owned(),
            request_id: response.request_id.clone(),
            input_tokens: usage.whole_input(),
            cached_tokens: usage.cache_read_input_tokens,
            cache_written_tokens: usage.cache_creation_input_tokens,
            output_tokens: usage.output_tokens,
            cost_usd: price::of(&self.model).map(|price| price.cost(&response.billed())),
            ..self.unanswered(response.attempts, took_ms)
        }
    }

    /// A call that nothing came back from.
    fn failed(&self, error: &ClaudeError, took_ms: u64) -> Exchange {
        let lost = matches!(error.failure, Failure::Transport { .. });
        let request_id = error.request_id.clone();
        Exchange { request_id, cost_usd: (!lost).then_some(0.0), ..self.unanswered(error.attempts, took_ms) }
    }

    fn unanswered(&self, attempts: u32, took_ms: u64) -> Exchange {
        Exchange {
            model: self.model.clone(),
            effort: self.effort,
            max_tokens: self.max_tokens,
            request_id: None,
            input_tokens: 0,
            cached_tokens: 0,
            cache_written_tokens: 0,
            output_tokens: 0,
            cost_usd: None,
            attempts,
            took_ms,
        }
    }

    /// Reads what the API said.
    pub(super) fn read<T>(
        &self,
        response: &Response,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, DiagnoserError> {
        let reply = response.read(self.max_tokens)?;
        read(&reply.text).map_err(|reason| DiagnoserError::Invalid { request_id: reply.request_id, reason })
    }
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
        let read = |text: &str| form::read(text, question.schema);
        let (diagnosis, exchange) = self.say(&question.asked(), question.hashes(), read).await?;
        Ok(Answer { diagnosis, exchange: Some(exchange) })
    }
}

#[async_trait]
impl Judge for AskClaude {
    async fn judge(&self, question: &JudgeQuestion) -> Result<Opinion, DiagnoserError> {
        let read = |text: &str| question.read(text);
        let (judgement, exchange) = self.say(&question.asked(), question.hashes(), read).await?;
        Ok(Opinion { judgement, exchange })
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
