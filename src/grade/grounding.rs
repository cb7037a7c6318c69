//! Does the evidence show what the claims say? Each reference must exist, each number that a claim quotes must be within
//! rounding of one that its evidence shows, in whatever unit, each node must be one of the cluster's, and each command one
//! of a program that the subject's operator has.

use serde::{Deserialize, Serialize};

use super::numbers::{Dimension, Quoted, Shown, numbers};
use crate::diagnosis::evidence::EvidenceRow;
use crate::diagnosis::{Bundle, Claim, Diagnosis, EvidenceRef};
use crate::reading::{Unit, Value};
use crate::subject::{self, Subject};

/// How much of a diagnosis is grounded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grounding {
    /// The share of the claims that are, from 0 to 1; 0 if there are no claims.
    pub share: f64,
    /// Those that are not, with the reason and what the evidence shows.
    pub ungrounded: Vec<String>,
}

/// Checks every claim. What a hypothesis cites and does not exist counts as one more that is not grounded, and so does a
/// command of a program that the subject's operator does not have.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a diagnosis has few claims")]
pub fn check(diagnosis: &Diagnosis, bundle: &Bundle, subject: &dyn Subject) -> Grounding {
    let mut ungrounded: Vec<String> = diagnosis.evidence.iter().filter_map(|claim| fault(claim, bundle)).collect();
    let grounded = diagnosis.evidence.len() - ungrounded.len();
    for hypothesis in &diagnosis.hypotheses {
        let cited = hypothesis.supporting.iter().chain(&hypothesis.contradicting);
        let made_up = cited.filter(|reference| !bundle.has(reference));
        ungrounded.extend(made_up.map(|reference| missing(reference, &hypothesis.category.0)));
    }
    let commands = diagnosis.recommendation.first_commands.iter();
    let foreign = commands.filter(|command| !subject::tools(subject).any(|tool| program(command) == Some(tool)));
    ungrounded.extend(foreign.map(|command| format!("no tool of a {} operator: {command}", subject.name())));
    let all = grounded + ungrounded.len();
    Grounding { share: if all == 0 { 0.0 } else { grounded as f64 / all as f64 }, ungrounded }
}

/// The program that a command starts, without its folder.
fn program(command: &str) -> Option<&str> {
    let words = command.split_whitespace().map(|word| word.trim_matches('`'));
    let mut words = words.skip_while(|word| matches!(*word, "sudo" | "$") || word.contains('='));
    words.next().and_then(|word| word.rsplit('/').next())
}

fn missing(reference: &EvidenceRef, cited_for: &str) -> String {
    format!("{reference} does not exist: {cited_for}")
}

/// Why a claim is not grounded. What else it names by its number it may quote from as well.
fn fault(claim: &Claim, bundle: &Bundle) -> Option<String> {
    let words = claim.claim.split(|letter: char| !letter.is_alphanumeric());
    let number = |word: &&str| word.strip_prefix('E').is_some_and(|rest| rest.parse::<usize>().is_ok());
    let mut named = words.filter(number).map(EvidenceRef::from).peekable();
    let alone = named.peek().is_none();
    let mut seen = Vec::new();
    for reference in std::iter::once(claim.reference.clone()).chain(named) {
        match shown(&reference, bundle) {
            Some(numbers) => seen.extend(numbers),
            None => return Some(missing(&reference, &claim.claim)),
        }
    }
    let reference = &claim.reference;
    let beside = || format!("{} ({reference}: {})", claim.claim, bundle.describe(reference));
    if let Some(node) = stranger(&claim.claim, bundle) {
        return Some(format!("there is no node {node}: {}", beside()));
    }
    if let Some(node) = elsewhere(claim, bundle).filter(|_| alone) {
        return Some(format!("it is about {node}: {}", beside()));
    }
    let not_shown = |quoted: &Quoted| !seen.iter().any(|number| quoted.matches(number));
    let missing = numbers(&claim.claim).into_iter().find(not_shown)?;
    Some(format!("{reference} does not show {}: {}", missing.text, beside()))
}

/// The numbers that a piece of evidence shows; none if there is no such evidence.
fn shown(reference: &EvidenceRef, bundle: &Bundle) -> Option<Vec<Shown>> {
    let seconds = |offset: f64| Shown { value: offset, dimension: Some(Dimension::Time), size: 1.0 };
    if let Some(row) = bundle.row(reference) {
        let values = row.values().into_iter().flat_map(|value| of_value(row, value));
        return Some(values.chain(bundle.columns.map(seconds)).collect());
    }
    let log = bundle.log(reference)?;
    let quoted = numbers(&log.text).into_iter().map(|number| number.as_shown());
    Some(quoted.chain([seconds(log.offset)]).collect())
}

/// A number as it is shown: what was read more exactly nobody can quote. Of a text, the numbers in it.
fn of_value(row: &EvidenceRow, value: &Value) -> Vec<Shown> {
    let numbers = numbers(&value.to_string()).into_iter().map(|number| number.as_shown());
    if value.number().is_none() {
        return numbers.collect();
    }
    let dimension = Some(match row.unit {
        Unit::Seconds => Dimension::Time,
        Unit::Bytes => Dimension::Size,
        Unit::None | Unit::Count => Dimension::Count,
    });
    numbers.map(|number| Shown { dimension, ..number }).collect()
}

/// A word of a claim that names a node as the cluster names its nodes, and is none.
fn stranger<'c>(claim: &'c str, bundle: &Bundle) -> Option<&'c str> {
    claim.split(|letter: char| !letter.is_alphanumeric()).find(|word| {
        let role = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let of_role = role.len() < word.len() && bundle.nodes.iter().any(|node| node.role == role);
        of_role && !bundle.nodes.iter().any(|node| node.name.as_str() == *word)
    })
}

/// The node that a reading is about, if the claim names only others and the reading none of them.
fn elsewhere<'b>(claim: &Claim, bundle: &'b Bundle) -> Option<&'b str> {
    let row = bundle.row(&claim.reference)?;
    let text = row.values().map(ToString::to_string).join(" ");
    let mentions = |text: &str, node: &str| {
        text.split(|letter: char| !letter.is_alphanumeric()).any(|word| word.eq_ignore_ascii_case(node))
    };
    let node = bundle.nodes.iter().find(|node| node.name == row.node)?.name.as_str();
    // A name without a number is that of a program as well, such as Prometheus.
    let numbered = |name: &&str| name.ends_with(|letter: char| letter.is_ascii_digit());
    let nodes = bundle.nodes.iter().map(|node| node.name.as_str()).filter(numbered);
    let mut claimed = nodes.filter(|node| mentions(&claim.claim, node)).peekable();
    claimed.peek()?;
    claimed.all(|other| other != node && !mentions(&text, other)).then_some(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_a_command_is_found() {
        for (command, expected) in [
            ("docker start tikv1", Some("docker")),
            ("sudo /usr/bin/docker start tikv1", Some("docker")),
            ("$ ETCDCTL_API=3 etcdctl endpoint health", Some("etcdctl")),
            ("`pd-ctl store`", Some("pd-ctl")),
            ("", None),
        ] {
            assert_eq!(program(command), expected, "{command}");
        }
    }
}
