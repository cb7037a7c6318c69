//! Nothing that a model is sent may tell the answer. The system part of a prompt is the same for every scenario of a
//! subject, so it cannot; the rest is searched.

use std::collections::BTreeSet;

use crate::diagnosis::{Bundle, Prompt};

/// Something that tells the answer, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// What it is, for the error.
    pub what: &'static str,
    /// The text.
    pub text: String,
}

/// The first secret that stands in the prompt, as whole words and in any letter case. What the subject itself is spoken of
/// with, such as `tikv` or the name of a reading, is no secret.
#[must_use]
pub fn leak<'a>(prompt: &Prompt, bundle: &Bundle, secrets: &'a [Secret]) -> Option<&'a Secret> {
    let ordinary = ordinary_words(prompt, bundle);
    let sent = format!(" {} ", words(&prompt.user).join(" "));
    secrets.iter().find(|secret| {
        let secret = words(&secret.text).join(" ");
        !secret.is_empty() && !ordinary.contains(&secret) && sent.contains(&format!(" {secret} "))
    })
}

/// The words of the subject: those of the system part, and what nodes, readings and invariants are called.
fn ordinary_words(prompt: &Prompt, bundle: &Bundle) -> BTreeSet<String> {
    let nodes = bundle.nodes.iter().flat_map(|node| [node.name.as_str(), node.role.as_str()]);
    let readings = bundle.readings.iter().flat_map(|row| [row.source.as_str(), row.name.as_str()]);
    let tickets = bundle.tickets.iter().map(|ticket| ticket.invariant.as_str());
    let named = nodes.chain(readings).chain(tickets).map(str::to_lowercase);
    words(&prompt.system).into_iter().chain(named).collect()
}

/// The words of a text in small letters. A name such as `store-down` is one.
fn words(text: &str) -> Vec<String> {
    let part_of_word = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
    let words =
        text.split(move |letter| !part_of_word(letter)).map(|word| word.trim_matches(['-', '.']).to_lowercase());
    words.filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Node;

    fn found(sent: &str, secret: &str) -> bool {
        let prompt = Prompt { system: "You operate pd.".to_owned(), user: sent.to_owned() };
        let bundle = Bundle {
            subject: "tikv".to_owned(),
            nodes: vec![Node { name: "tikv0".into(), role: "tikv".to_owned() }],
            tickets: Vec::new(),
            columns: [0.0; 3],
            readings: Vec::new(),
            logs: Vec::new(),
            logs_left_out: 0,
        };
        leak(&prompt, &bundle, &[Secret { what: "the scenario's name", text: secret.to_owned() }]).is_some()
    }

    #[test]
    fn a_secret_is_found_as_whole_words_in_any_case() {
        assert!(found("see Store-Down now", "store-down"));
        assert!(found("it was: A store,\nis killed.", "a store is killed"));
        assert!(!found("see store-downs", "store-down"));
        assert!(!found("anything", " "));
    }

    #[test]
    fn the_words_of_the_subject_are_no_secrets() {
        assert!(!found("pd tikv0 tikv", "tikv"));
        assert!(!found("pd tikv0 tikv", "tikv0"));
        assert!(!found("pd tikv0 tikv", "PD"));
    }
}
