//! Time. Everything that waits for a cluster waits through the [`Clock`] that the cluster provides, so that a modelled one
//! can run in virtual time. The system's time is read for what a run itself took and when it was, and nothing else.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

/// A source of time, and the way to wait for it.
#[async_trait]
pub trait Clock: Send + Sync + Debug {
    /// The time now. It never goes backwards.
    fn now(&self) -> Timestamp;

    /// Waits. On a virtual clock this moves the model forward and returns at once.
    async fn sleep(&self, span: Duration);
}

/// A wait was cut short because the run was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Waits on `clock` unless the run is asked to stop first.
pub async fn sleep(clock: &dyn Clock, span: Duration, cancel: &CancellationToken) -> Result<(), Interrupted> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Interrupted),
        () = clock.sleep(span) => Ok(()),
    }
}

/// The span from `earlier` to `later`; zero if they are the other way round.
#[must_use]
pub fn span_between(earlier: Timestamp, later: Timestamp) -> Duration {
    later.duration_since(earlier).try_into().unwrap_or(Duration::ZERO)
}

/// Adds a span to a time, and stays at the end of time if it would pass it.
#[must_use]
pub fn after(time: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span).ok().and_then(|span| time.checked_add(span).ok()).unwrap_or(Timestamp::MAX)
}

/// The machine's time: read once, and carried on by the monotonic clock, so that a step of the system's clock in the
/// middle of a run changes no measured span.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Timestamp,
    origin: Instant,
}

impl SystemClock {
    /// A clock that starts at the system's time now.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Timestamp::now(), origin: Instant::now() }
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        after(self.started, self.origin.elapsed())
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}
