//! The log, written so that it does not tear the progress on the same terminal.

use std::io::{self, IsTerminal, Write};

use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Says what is logged.
const LOG_VARIABLE: &str = "OPERATOR_RUN_LOG";

/// Starts logging to standard error.
pub(super) fn start_log(screen: &MultiProgress) {
    let filter = EnvFilter::builder()
        .with_env_var(LOG_VARIABLE)
        .with_default_directive(tracing::Level::WARN.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Screen(screen.clone()))
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .init();
}

/// Standard error, with the progress out of the way while it is written to.
#[derive(Clone)]
struct Screen(MultiProgress);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
