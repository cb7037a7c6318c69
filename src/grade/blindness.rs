//! Nothing that a model is sent may tell the answer. The system part of a prompt is the same for every scenario of a
//! subject, so it cannot; the rest is searched.

use crate::diagnosis::Prompt;

/// Something that tells the answer, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// What it is, for the error.
    pub what: &'static str,
    /// The text.
    pub text: String,
}

/// The first secret that stands in the prompt, in any letter case.
#[must_use]
pub fn leak<'a>(prompt: &Prompt, secrets: &'a [Secret]) -> Option<&'a Secret> {
    let sent = prompt.user.to_lowercase();
    secrets.iter().find(|secret| {
        let text = secret.text.trim().to_lowercase();
        !text.is_empty() && sent.contains(&text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_any_case_and_an_empty_one_never() {
        let prompt = Prompt { system: "You are.".to_owned(), user: "see Store-Down now".to_owned() };
        let secret = |text: &str| Secret { what: "the scenario's name", text: text.to_owned() };
        assert_eq!(leak(&prompt, &[secret("x"), secret("store-down")]), Some(&secret("store-down")));
        assert_eq!(leak(&prompt, &[secret(" "), secret("store-up")]), None);
    }
}
