//! Signals: the first one heals and takes down, the second one leaves at once.

use indicatif::MultiProgress;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, complain};

/// Listens for SIGINT, SIGTERM and SIGHUP from now on. The first of them cancels what is returned and says what is done
/// then.
pub(super) fn listen(screen: &MultiProgress, then: &'static str) -> CancellationToken {
    let cancel = CancellationToken::new();
    match all() {
        Ok(signals) => {
            tokio::spawn(count(signals, cancel.clone(), screen.clone(), then));
        }
        Err(error) => tracing::warn!("cannot listen for signals, so an interruption will not heal: {error}"),
    }
    cancel
}

/// Listens from now on, and waits for the first of them.
pub(super) fn next() -> Result<impl Future<Output = ()>, std::io::Error> {
    let mut signals = all()?;
    Ok(async move { any(&mut signals).await })
}

fn all() -> Result<Vec<Signal>, std::io::Error> {
    [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].into_iter().map(signal).collect()
}

async fn count(mut signals: Vec<Signal>, cancel: CancellationToken, screen: MultiProgress, then: &str) {
    any(&mut signals).await;
    cancel.cancel();
    screen.suspend(|| complain(Exit::Interrupted, &format!("interrupted: {then}; once more leaves at once")));
    any(&mut signals).await;
    let advice = "left at once: `operator-run clean` heals what was not healed and removes what is left in Docker, which \
                  carries the label operator-run.run";
    std::process::exit(complain(Exit::Interrupted, advice) as i32);
}

async fn any(signals: &mut [Signal]) {
    futures_util::future::select_all(signals.iter_mut().map(|signal| Box::pin(signal.recv()))).await;
}
