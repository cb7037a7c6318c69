//! Is the diagnosis right? The rubric, the grounding of its claims, whether the question told the answer, what its
//! recommendation would come to, and what of it is kept as a snapshot.
//!
//! It does no IO: it sees values and returns values.

pub mod blindness;
mod check;
pub mod grounding;
mod numbers;
pub mod regret;
pub mod rubric;
pub mod stable;
