//! Is the diagnosis right? The rubric, the grounding of its claims, whether the question told the answer, what its
//! recommendation would come to, and what of it is kept as a snapshot. And is the rubric right? Its proof.
//!
//! It does no IO: it sees values and returns values.

pub mod blindness;
mod check;
pub mod consistency;
pub mod grounding;
pub mod mutate;
mod numbers;
pub mod proof;
pub mod reference;
pub mod regret;
pub mod rubric;
pub mod stable;

use self::grounding::Grounding;
use self::rubric::{Facts, Grade, Rubric};
use crate::diagnosis::{Bundle, Diagnosis};
use crate::subject::Subject;

/// Grades a diagnosis by the rubric: by what it says, how the evidence shows that, whether it agrees with itself and would
/// do harm, and by what else is known of it.
pub fn assess(
    subject: &dyn Subject,
    rubric: &Rubric,
    diagnosis: &Diagnosis,
    evidence: &Bundle,
    facts: Facts,
) -> Result<(Grade, Grounding), serde_json::Error> {
    let grounding = grounding::check(diagnosis, evidence, subject);
    let facts = Facts {
        grounded: grounding.share,
        contradictions: consistency::contradictions(diagnosis, subject),
        dangerous_commands: consistency::dangerous_commands(diagnosis, subject, &evidence.nodes),
        ..facts
    };
    Ok((rubric::grade(rubric, diagnosis, &facts)?, grounding))
}
