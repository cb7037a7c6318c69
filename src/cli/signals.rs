//! Signals: the first one heals and takes down, the second one leaves at once.

use indicatif::MultiProgress;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, complain};

/// Listens for SIGINT, SIGTERM and SIGHUP from now on.
pub(super) fn listen(cancel: &CancellationToken, screen: &MultiProgress) {
    match all() {
        Ok(signals) => {
            tokio::spawn(count(signals, cancel.clone(), screen.clone()));
        }
        Err(error) => tracing::warn!("cannot listen for signals, so an interruption will not heal: {error}"),
    }
}

/// Listens from now on, and waits for the first of them.
pub(super) fn next() -> Result<impl Future<Output = ()>, std::io::Error> {
    let mut signals = all()?;
    Ok(async move { any(&mut signals).await })
}

fn all() -> Result<Vec<Signal>, std::io::Error> {
    [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].into_iter().map(signal).collect()
}

async fn count(mut signals: Vec<Signal>, cancel: CancellationToken, screen: MultiProgress) {
    any(&mut signals).await;
    cancel.cancel();
    let message = "interrupted: healing and taking the cluster down; once more leaves at once";
    screen.suspend(|| complain(Exit::Interrupted, message));
    any(&mut signals).await;
    let advice = "left at once: what was not healed is in the database, and what is left in Docker carries the label operator-run.run";
    std::process::exit(complain(Exit::Interrupted, advice) as i32);
}

async fn any(signals: &mut [Signal]) {
    futures_util::future::select_all(signals.iter_mut().map(|signal| Box::pin(signal.recv()))).await;
}
