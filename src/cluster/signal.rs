//! The signals that end a process.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A signal that ends a process unless that has other plans, by its number on Linux (signal(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Signal {
    /// The terminal is gone; to many servers, a request to end or to read their configuration again.
    #[serde(rename = "SIGHUP")]
    Hangup = 1,
    /// Ctrl-C.
    #[serde(rename = "SIGINT")]
    Interrupt = 2,
    /// As SIGINT, with a dump: a Go program writes down its goroutines.
    #[serde(rename = "SIGQUIT")]
    Quit = 3,
    /// What a failed assertion does.
    #[serde(rename = "SIGABRT")]
    Abort = 6,
    /// Ends the process at once; it is not asked.
    #[default]
    #[serde(rename = "SIGKILL")]
    Kill = 9,
    /// For the program's own use.
    #[serde(rename = "SIGUSR1")]
    User1 = 10,
    /// What a bad pointer does.
    #[serde(rename = "SIGSEGV")]
    Segfault = 11,
    /// For the program's own use.
    #[serde(rename = "SIGUSR2")]
    User2 = 12,
    /// A request to end in order.
    #[serde(rename = "SIGTERM")]
    Terminate = 15,
}

impl Signal {
    /// Its number.
    #[must_use]
    pub fn number(self) -> i64 {
        self as i64
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}
