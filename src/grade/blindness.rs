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
    /// Whether it is a word that a node may well log by itself, as `stop` is: then a log line does not leak it.
    pub common: bool,
}

/// The first secret that stands in the prompt, as whole words and in any letter case. What the subject itself is spoken of
/// with, such as `tikv` or the name of a reading, is no secret.
#[must_use]
pub fn leak<'a>(prompt: &Prompt, bundle: &Bundle, secrets: &'a [Secret]) -> Option<&'a Secret> {
    let ordinary = ordinary_words(prompt, bundle);
    let sent = format!(" {} ", words(&prompt.user).join(" "));
    let logged: Vec<String> = bundle.logs.iter().map(|log| words(&log.text).join(" ")).collect();
    let logged = format!(" {} ", logged.join(" "));
    secrets.iter().find(|secret| {
        let text = words(&secret.text).join(" ");
        let stands_in = |place: &str| place.contains(&format!(" {text} "));
        let told = !text.is_empty() && !ordinary.contains(&text) && stands_in(&sent);
        told && !(secret.common && stands_in(&logged))
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
    use crate::diagnosis::evidence::EvidenceLog;

    fn found(sent: &str, secret: &str) -> bool {
        found_with(sent, secret, &[])
    }

    fn found_with(sent: &str, secret: &str, logged: &[&str]) -> bool {
        let prompt = Prompt { system: "You operate pd.".to_owned(), user: sent.to_owned() };
        let bundle = Bundle {
            subject: "tikv".to_owned(),
            nodes: vec![Node { name: "tikv0".into(), role: "tikv".to_owned() }],
            tickets: Vec::new(),
            columns: [0.0; 3],
            readings: Vec::new(),
            logs: logged.iter().map(|text| log(text)).collect(),
            logs_left_out: 0,
        };
        let secret = Secret { what: "the fault's kind", text: secret.to_owned(), common: !logged.is_empty() };
        leak(&prompt, &bundle, &[secret]).is_some()
    }

    fn log(text: &str) -> EvidenceLog {
        EvidenceLog { id: "E1".into(), offset: 0.0, node: "tikv0".into(), text: text.to_owned() }
    }

    #[test]
    fn a_secret_is_found_as_whole_words_in_any_case() {
        assert!(found("see Store-Down now", "store-down"));
        assert!(found("it was: A store,\nis killed.", "a store is killed"));
        assert!(!found("see store-downs", "store-down"));
        assert!(!found("anything", " "));
    }

    #[test]
    fn a_common_word_in_a_log_line_leaks_nothing() {
        assert!(!found_with("E1 raft: stop the timer", "stop", &["raft: stop the timer"]));
        assert!(found_with("they did stop it", "stop", &["raft: go on"]));
    }

    #[test]
    fn the_words_of_the_subject_are_no_secrets() {
        assert!(!found("pd tikv0 tikv", "tikv"));
        assert!(!found("pd tikv0 tikv", "tikv0"));
        assert!(!found("pd tikv0 tikv", "PD"));
    }
}
