//! The life of a modelled process. It knows nothing of what the process does.

use std::time::Duration;

use crate::cluster::ProcessState;

/// A process that runs, or that has ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Process {
    /// It runs.
    Running {
        /// Since when.
        since: Duration,
    },
    /// It has ended, or was never started.
    Exited {
        /// When.
        at: Duration,
        /// Its exit code: 0 if it was never started or was stopped in order, 137 after SIGKILL.
        code: i64,
    },
}

impl Process {
    /// A process that was not started yet.
    pub(super) const NEW: Self = Self::Exited { at: Duration::ZERO, code: 0 };

    /// Whether it runs.
    pub(super) fn runs(self) -> bool {
        matches!(self, Self::Running { .. })
    }

    /// What the machine says of it.
    pub(super) fn state(self) -> ProcessState {
        match self {
            Self::Running { .. } => ProcessState::Running,
            Self::Exited { code, .. } => ProcessState::Exited { code, out_of_memory: false },
        }
    }
}
