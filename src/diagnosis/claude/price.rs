//! What an answer costs, by the price table in `prices.json`.

use std::sync::LazyLock;

use serde::Deserialize;

use super::Usage;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    serde_json::from_str(include_str!("prices.json"))
        .expect("the price table is part of the program, and a test reads it")
});

/// The prices that are known, and when they were valid.
#[derive(Debug, Deserialize)]
struct Table {
    as_of: jiff::civil::Date,
    models: Vec<Price>,
}

/// What a model costs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Price {
    /// The model's id, without a date.
    model: String,
    #[serde(flatten)]
    rates: Rates,
    /// What a long question costs, if that is something else.
    long: Option<Long>,
}

/// What a question costs that is longer than this.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Long {
    above_input_tokens: u64,
    #[serde(flatten)]
    rates: Rates,
}

/// US dollars for a million tokens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Rates {
    /// Input neither read from the cache nor written to it.
    input: f64,
    /// Output, thinking included.
    output: f64,
    /// Input written to the cache for five minutes.
    cache_write: f64,
    /// Input read from the cache.
    cache_read: f64,
}

/// The day on which the prices were read.
#[must_use]
pub fn as_of() -> jiff::civil::Date {
    TABLE.as_of
}

/// The price of a model, also by its id with a date; none if it is not in the table.
#[must_use]
pub fn of(model: &str) -> Option<&'static Price> {
    let dated = |id: &str| {
        let date = model.strip_prefix(id).and_then(|rest| rest.strip_prefix('-'));
        date.is_some_and(|date| date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()))
    };
    TABLE.models.iter().find(|price| price.model == model || dated(&price.model))
}

impl Price {
    /// What an answer cost, in US dollars.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> f64 {
        let long = self.long.as_ref().filter(|long| usage.whole_input() > long.above_input_tokens);
        let rates = long.map_or(&self.rates, |long| &long.rates);
        let parts = [
            (usage.input_tokens, rates.input),
            (usage.output_tokens, rates.output),
            (usage.cache_creation_input_tokens, rates.cache_write),
            (usage.cache_read_input_tokens, rates.cache_read),
        ];
        #[expect(clippy::cast_precision_loss, reason = "counts of tokens are far below 2^52")]
        let micros: f64 = parts.iter().map(|(tokens, price)| *tokens as f64 * price).sum();
        micros.round() / 1e6
    }

    /// What an answer to a request of so many bytes can cost at most, in US dollars. A token is a byte at least, so that
    /// the bytes leave more than enough room for what the API adds for the form of the answer; all may be written to the
    /// cache.
    #[must_use]
    pub fn most(&self, request_bytes: usize, max_tokens: u32) -> f64 {
        let cache_creation_input_tokens = u64::try_from(request_bytes).unwrap_or(u64::MAX);
        self.cost(&Usage { cache_creation_input_tokens, output_tokens: max_tokens.into(), ..Usage::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_price_is_sound() {
        assert!(as_of().year() >= 2026);
        for price in &TABLE.models {
            assert_eq!(of(&price.model), Some(price), "two prices of {}", price.model);
            for rates in std::iter::once(&price.rates).chain(price.long.as_ref().map(|long| &long.rates)) {
                assert!(0.0 < rates.cache_read && rates.cache_read < rates.input, "{price:?}");
                assert!(rates.input < rates.cache_write && rates.cache_write < rates.output, "{price:?}");
            }
        }
    }

    #[test]
    fn a_model_is_known_with_and_without_a_date() {
        assert_eq!(of("claude-haiku-4-5-20251001"), of("claude-haiku-4-5"));
        assert_eq!(of("claude-opus-4-5-1"), None);
        assert_eq!(of("another"), None);
    }

    #[test]
    fn each_kind_of_token_has_its_price() {
        let usage = Usage {
            input_tokens: 1_000,
            output_tokens: 100,
            cache_creation_input_tokens: 2_000,
            cache_read_input_tokens: 10_000,
        };
        // 1000 × 4 + 100 × 20 + 2000 × 5 + 10000 × 0.2 millionths
        assert!((of("claude-opus-5-5").unwrap().cost(&usage) - 0.018).abs() < 1e-9);
    }

    #[test]
    fn a_long_question_costs_more_from_its_first_token_on() {
        let cost = |input_tokens| {
            let usage = Usage { input_tokens, output_tokens: 1_000, ..Usage::default() };
            of("claude-haiku-5-5").unwrap().cost(&usage)
        };
        // 100000 × 0.1 + 1000 × 0.5 millionths, and 100010 × 0.5 + 1000 × 2.5
        assert_eq!((cost(100_000), cost(100_010)), (0.010_5, 0.052_505));
    }
}
