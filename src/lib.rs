//! Finds out whether an AI operator can really diagnose a failing distributed system: a scenario declares a fault, the
//! invariant that it must violate and a rubric for the diagnosis; a run does the one and grades the other.
//!
//! The rooms of the house, lowest floor first. A room uses those below it, never those above.

pub mod clock;
pub mod http;
pub mod reading;
pub mod runner;
pub mod units;

pub mod cluster;

pub mod store;
pub mod subject;

pub mod diagnosis;
pub mod monitor;

pub mod grade;

pub mod scenario;

pub mod run;

pub mod report;

pub mod cli;
