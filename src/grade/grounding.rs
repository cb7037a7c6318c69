//! Does the evidence show what the claims say? Each reference must exist, and each number that a claim quotes must be
//! within rounding of one that its evidence shows.

use serde::{Deserialize, Serialize};

use crate::diagnosis::{Bundle, Claim, Diagnosis, EvidenceRef};

/// How much of a diagnosis is grounded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grounding {
    /// The share of the claims that are, from 0 to 1; 0 if there are no claims.
    pub share: f64,
    /// Those that are not, with the reason.
    pub ungrounded: Vec<String>,
}

/// Checks every claim. What a hypothesis cites and does not exist counts as one more that is not grounded.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a diagnosis has few claims")]
pub fn check(diagnosis: &Diagnosis, bundle: &Bundle) -> Grounding {
    let mut ungrounded: Vec<String> = diagnosis.evidence.iter().filter_map(|claim| fault(claim, bundle)).collect();
    let grounded = diagnosis.evidence.len() - ungrounded.len();
    for hypothesis in &diagnosis.hypotheses {
        let cited = hypothesis.supporting.iter().chain(&hypothesis.contradicting);
        let made_up = cited.filter(|reference| !bundle.has(reference));
        ungrounded.extend(made_up.map(|reference| missing(reference, &hypothesis.category.0)));
    }
    let all = grounded + ungrounded.len();
    Grounding { share: if all == 0 { 0.0 } else { grounded as f64 / all as f64 }, ungrounded }
}

fn missing(reference: &EvidenceRef, cited_for: &str) -> String {
    format!("{reference} does not exist: {cited_for}")
}

/// Why a claim is not grounded.
fn fault(claim: &Claim, bundle: &Bundle) -> Option<String> {
    let shown: String = if let Some(row) = bundle.row(&claim.reference) {
        let columns = bundle.columns.map(|offset| offset.to_string()).join(" ");
        let values = row.values().map(ToString::to_string).join(" ");
        format!("{values} {columns}")
    } else if let Some(log) = bundle.log(&claim.reference) {
        format!("{} {}", log.offset, log.text)
    } else {
        return Some(missing(&claim.reference, &claim.claim));
    };
    let shown: Vec<Quoted> = numbers(&shown).collect();
    let missing = numbers(&claim.claim).find(|quoted| !shown.iter().any(|number| quoted.matches(number)))?;
    Some(format!("{} does not show {}: {}", claim.reference, missing.text, claim.claim))
}

/// A number as it is written.
#[derive(Debug)]
struct Quoted {
    text: String,
    value: f64,
    decimals: i32,
}

impl Quoted {
    /// Whether this is the other number, rounded to as many places as are written here.
    fn matches(&self, shown: &Self) -> bool {
        let half = 0.5 * 10_f64.powi(-self.decimals);
        // A sign is often said in words ("12 s before").
        (self.value.abs() - shown.value.abs()).abs() <= half + 1e-9
    }
}

/// The numbers in a text: not those inside a word, such as a node's name or a reference.
fn numbers(text: &str) -> impl Iterator<Item = Quoted> {
    let part_of_word = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '.' | '-' | '+');
    text.split(move |letter: char| !part_of_word(letter)).filter_map(|word| {
        let word = word.trim_end_matches(['.', '-']);
        let unsigned = word.trim_start_matches(['-', '+']);
        let digits = unsigned.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(unsigned.len());
        let (number, unit) = unsigned.split_at(digits);
        if !unit.chars().all(char::is_alphabetic) {
            return None;
        }
        let decimals = number.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        Some(Quoted { text: word.to_owned(), value: number.parse().ok()?, decimals: i32::try_from(decimals).ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_with_units_and_not_in_names() {
        let found: Vec<f64> =
            numbers("tikv1 at E12: 20.5 s, 3GiB (137), -4.0; 2026-01-02 and v8.5 end 7.").map(|n| n.value).collect();
        assert_eq!(found, [20.5, 3.0, 137.0, 4.0, 7.0]);
    }

    #[test]
    fn rounding_follows_the_places_that_are_written() {
        let one = |text: &str| numbers(text).next().unwrap();
        assert!(one("20").matches(&one("20.4")));
        assert!(!one("20").matches(&one("20.6")));
        assert!(!one("20.0").matches(&one("20.4")));
    }
}
