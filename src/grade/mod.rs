//! Is the diagnosis right? The rubric, the grounding of its claims, whether the question told the answer, and what of it
//! is kept as a snapshot. And is the rubric right? Its proof.
//!
//! It does no IO: it sees values and returns values.

pub mod blindness;
mod check;
pub mod grounding;
pub mod mutate;
mod numbers;
pub mod proof;
pub mod reference;
pub mod rubric;
pub mod stable;
