//! When to ask again, and after how long: as the official SDKs do, but for a limit on the wait that a server may ask for.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::HeaderMap;

use super::error::{ClaudeError, Failure, StatusKind};

/// The longest wait before a retry. Whoever asks for more is not asked again.
pub(super) const LONGEST_WAIT: Duration = Duration::from_mins(1);

const MAX_RETRIES: u32 = 2;
const LONGEST_OWN_WAIT: Duration = Duration::from_secs(8);

/// What the server says about another attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Hints {
    should_retry: Option<bool>,
    pub(super) wait: Option<Duration>,
}

impl Hints {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let should_retry = text("x-should-retry").and_then(|value| value.parse().ok());
        let milliseconds = text("retry-after-ms").and_then(|value| value.trim().parse::<f64>().ok());
        let seconds = milliseconds
            .map(|milliseconds| milliseconds / 1000.0)
            .or_else(|| seconds_until(text("retry-after")?.trim(), Timestamp::now()));
        let wait = seconds
            .filter(|seconds| *seconds > 0.0)
            .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        Self { should_retry, wait }
    }
}

/// `Retry-After` is a number of seconds or an HTTP date.
fn seconds_until(retry_after: &str, now: Timestamp) -> Option<f64> {
    let date = || DateTimeParser::new().parse_timestamp(retry_after).ok();
    retry_after.parse().ok().or_else(|| Some(date()?.duration_since(now).as_secs_f64()))
}

/// How long to wait before the next attempt; `None` if there is to be none.
pub(super) fn wait(error: &ClaudeError, hints: &Hints, first_wait: Duration) -> Option<Duration> {
    if error.attempts > MAX_RETRIES || !may_help(&error.failure, hints.should_retry) {
        return None;
    }
    let wait = hints.wait.unwrap_or_else(|| own_wait(error.attempts, first_wait, fastrand::f64()));
    (wait <= LONGEST_WAIT).then_some(wait)
}

/// Whether the failure may pass. An answer that is none to the model's mind is as final as a good one.
fn may_help(failure: &Failure, should_retry: Option<bool>) -> bool {
    match failure {
        Failure::Transport { .. } => true,
        Failure::Status { kind: StatusKind::SpendLimit, .. } => false,
        Failure::Status { status, .. } | Failure::NotJson { status, .. } if !(200..300).contains(status) => {
            should_retry.unwrap_or(matches!(status, 408 | 409 | 429 | 500..))
        }
        _ => false,
    }
}

/// Doubles from attempt to attempt, less up to a quarter, so that those who failed together do not return together.
fn own_wait(attempts: u32, first_wait: Duration, random: f64) -> Duration {
    let doubled = first_wait.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1)));
    doubled.min(LONGEST_OWN_WAIT).mul_f64(1.0 - 0.25 * random)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(headers: &[(&'static str, &str)]) -> Hints {
        let pair = |(name, value): &(&'static str, &str)| (name.parse().unwrap(), value.parse().unwrap());
        Hints::read(&headers.iter().map(pair).collect())
    }

    fn failed(status: u16, error_code: &str, attempts: u32) -> ClaudeError {
        let kind = StatusKind::of(status, error_code);
        let failure = Failure::Status { kind, status, error_type: String::new(), message: String::new() };
        ClaudeError { attempts, ..failure.into() }
    }

    #[test]
    fn the_wait_is_read_as_the_sdks_read_it() {
        let wait = |headers: &[_]| hints(headers).wait;
        assert_eq!(wait(&[("retry-after-ms", "1500"), ("retry-after", "7")]), Some(Duration::from_millis(1500)));
        assert_eq!(wait(&[("retry-after-ms", "soon"), ("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[("retry-after", "0.25")]), Some(Duration::from_millis(250)));
        assert_eq!(wait(&[("retry-after", "inf")]), Some(Duration::MAX));
        for none in ["0", "-3", "NaN", "soon", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(wait(&[("retry-after", none)]), None, "{none}");
        }
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn a_date_is_a_wait_from_now_on() {
        let now = "2015-10-21T07:27:30Z".parse().unwrap();
        assert_eq!(seconds_until("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(30.0));
    }

    #[test]
    fn the_own_wait_doubles_up_to_eight_seconds_less_a_quarter() {
        let half = Duration::from_millis(500);
        assert_eq!(own_wait(1, half, 0.0), half);
        assert_eq!(own_wait(2, half, 0.0), Duration::from_secs(1));
        assert_eq!(own_wait(2, half, 1.0), Duration::from_millis(750));
        assert_eq!(own_wait(40, half, 0.0), LONGEST_OWN_WAIT);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let tried = |status, hints| wait(&failed(status, "", 1), &hints, Duration::ZERO).is_some();
        let none = Hints::default();
        for status in [408, 409, 429, 500, 502, 504, 529] {
            assert!(tried(status, none), "{status}");
            assert!(!tried(status, Hints { should_retry: Some(false), ..none }), "{status}");
        }
        for status in [301, 400, 401, 402, 403, 404, 413] {
            assert!(!tried(status, none), "{status}");
            assert!(tried(status, Hints { should_retry: Some(true), ..none }), "{status}");
        }
    }

    #[test]
    fn the_third_attempt_is_the_last() {
        let tried = |attempts| wait(&failed(529, "", attempts), &Hints::default(), Duration::ZERO).is_some();
        assert!(tried(1) && tried(2) && !tried(3));
    }

    #[test]
    fn a_wait_of_more_than_a_minute_is_refused() {
        let waits = |seconds| {
            let wait_for = Hints { should_retry: Some(true), wait: Some(Duration::from_secs(seconds)) };
            wait(&failed(429, "", 1), &wait_for, Duration::ZERO)
        };
        assert_eq!(waits(60), Some(Duration::from_mins(1)));
        assert_eq!(waits(61), None);
    }

    #[test]
    fn a_limit_on_spending_does_not_pass_whatever_the_server_says() {
        let insists = Hints { should_retry: Some(true), wait: Some(Duration::from_millis(1)) };
        for error_code in ["enforced_spend_limit_reached", "contract_spend_limit_reached"] {
            assert_eq!(wait(&failed(429, error_code, 1), &insists, Duration::ZERO), None);
        }
    }

    #[test]
    fn an_answer_is_never_asked_for_again() {
        let insists = Hints { should_retry: Some(true), wait: None };
        for failure in [Failure::EmptyAnswer, Failure::NotJson { status: 200, excerpt: String::new() }] {
            let error = ClaudeError { attempts: 1, ..failure.into() };
            assert_eq!(wait(&error, &insists, Duration::ZERO), None, "{error}");
        }
    }
}
