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
    /// How it is looked for.
    pub sort: Sort,
}

/// How a secret is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Nobody else has it: in any text, also inside a word, such as the name of a container.
    Unique,
    /// As whole words.
    Words,
    /// As whole words that a node may well write by itself, as `stop` is: only what the cluster did not write can leak it.
    Common,
}

/// The first secret that stands in the prompt, in any letter case. What the subject itself is spoken of
/// with, such as `tikv` or the name of a reading, is no secret. `ours` is the same prompt without what the cluster wrote.
#[must_use]
pub fn leak<'a>(prompt: &Prompt, ours: &Prompt, bundle: &Bundle, secrets: &'a [Secret]) -> Option<&'a Secret> {
    let ordinary = ordinary_words(prompt, bundle);
    let [all, ours] = [prompt, ours].map(|prompt| format!(" {} ", words(&prompt.user).join(" ")));
    let text = prompt.user.to_lowercase();
    secrets.iter().find(|secret| {
        let secret_words = words(&secret.text).join(" ");
        let among = |sent: &str| !ordinary.contains(&secret_words) && sent.contains(&format!(" {secret_words} "));
        let found = match secret.sort {
            Sort::Unique => text.contains(&secret.text.to_lowercase()),
            Sort::Words => among(&all),
            Sort::Common => among(&ours),
        };
        found && !secret_words.is_empty()
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
    use crate::diagnosis::evidence::tests::bundle;

    fn found(sent: &str, secret: &str) -> bool {
        let prompt = Prompt { system: "You operate pd.".to_owned(), user: sent.to_owned() };
        let secret = Secret { what: "the scenario's name", text: secret.to_owned(), sort: Sort::Words };
        leak(&prompt, &prompt, &bundle(), &[secret]).is_some()
    }

    #[test]
    fn a_secret_is_found_as_whole_words_in_any_case() {
        assert!(found("see Store-Down now", "store-down"));
        assert!(found("it was: A store,\nis killed.", "a store is killed"));
        assert!(!found("see store-downs", "store-down"));
        assert!(!found("anything", " "));
    }

    #[test]
    fn what_the_cluster_wrote_leaks_no_common_word() {
        let prompt = |user: &str| Prompt { system: String::new(), user: user.to_owned() };
        let secret = [Secret { what: "the fault's kind", text: "stop".to_owned(), sort: Sort::Common }];
        let (sent, ours) = (prompt("E1 raft: stop the timer"), prompt("E1"));
        assert_eq!(leak(&sent, &ours, &bundle(), &secret), None);
        assert_eq!(leak(&sent, &prompt("they did stop it"), &bundle(), &secret), secret.first());
    }

    #[test]
    fn what_is_unique_is_found_inside_a_word() {
        let prompt = Prompt { system: String::new(), user: "lookup of Operator-Run-4711_pd0_1 failed".to_owned() };
        let secrets = ["operator-run", "4711", "4712"].map(|text| Secret {
            what: "the run's id",
            text: text.to_owned(),
            sort: Sort::Unique,
        });
        assert_eq!(leak(&prompt, &prompt, &bundle(), &secrets), Some(&secrets[0]));
        assert_eq!(leak(&prompt, &prompt, &bundle(), &secrets[1..]), Some(&secrets[1]));
        assert_eq!(leak(&prompt, &prompt, &bundle(), &secrets[2..]), None);
    }

    #[test]
    fn the_words_of_the_subject_are_no_secrets() {
        assert!(!found("pd tikv0 tikv", "tikv"));
        assert!(!found("pd tikv0 tikv", "tikv0"));
        assert!(!found("pd tikv0 tikv", "PD"));
    }
}
