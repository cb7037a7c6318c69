//! Finds out whether an AI operator can really diagnose a failing distributed system: a scenario declares a fault, the
//! invariant that it must violate and a rubric for the diagnosis; a run does the one and grades the other.
//!
//! The rooms of the house, lowest first: a room uses those before it in this list, never those after it.

pub mod clock;
pub mod http;
pub mod reading;

pub mod cluster;
