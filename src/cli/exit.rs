//! How the program ends. The codes are listed in `--help`.

use std::io::Write;
use std::process::ExitCode;

use crate::run::{RunRecord, Verdict};

/// How the program ends; the worst of several is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All went well.
    Pass = 0,
    /// A scenario failed.
    Fail = 1,
    /// Wrong usage, or a mistake in a scenario.
    Usage = 2,
    /// The environment or the harness broke.
    Environment = 3,
    /// Interrupted.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// How the program ends after these runs. No run at all is an error, never a pass.
    #[must_use]
    pub fn after(records: &[RunRecord]) -> Self {
        let exit = |record: &RunRecord| match record.verdict {
            Verdict::Pass => Self::Pass,
            Verdict::Fail => Self::Fail,
            Verdict::Error | Verdict::Skipped => Self::Environment,
        };
        records.iter().map(exit).max().unwrap_or(Self::Environment)
    }
}

/// A reason to start nothing: how the program ends, and what it says.
pub(super) struct Refusal(pub(super) Exit, pub(super) String);

/// Says on standard error what is wrong, and how the program ends.
pub(super) fn complain(exit: Exit, message: &str) -> Exit {
    // If standard error is gone there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "operator-run: {message}");
    exit
}

/// Prints to standard output. A reader that has gone away, as `head` does, is no error.
pub(super) fn print(text: &str) -> Exit {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            complain(Exit::Environment, &format!("cannot write to standard output: {error}"))
        }
        _ => Exit::Pass,
    }
}
