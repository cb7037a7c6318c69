//! Other names for the nodes, drawn by lot from the run's seed and the scenario: a model that has seen many runs must not
//! learn that it is always `tikv1` that dies, and many scenarios have the same seed. What a diagnoser is asked has these names, and its answer is given the real ones back.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::cluster::Node;
use crate::reading::NodeName;

/// What the seed is mixed with, so that the draw is not the one that picks a target.
const SALT: u64 = 0x616c_6961_7365_7321;

/// What may be the name of a node.
static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new("[A-Za-z_]+[0-9]+").expect("a constant"));

/// The other name of each node.
#[derive(Debug, Clone)]
pub struct Aliases {
    /// Real name and alias.
    pairs: Vec<(String, String)>,
}

impl Aliases {
    /// Gives each node the name of a node of its role.
    #[must_use]
    pub fn draw(nodes: &[Node], scenario: &str, seed: u64) -> Self {
        let digest = Sha256::digest(scenario);
        let of_scenario = digest.iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
        let mut lot = fastrand::Rng::with_seed(seed ^ SALT ^ of_scenario);
        let mut pairs = Vec::new();
        let mut roles: Vec<&str> = nodes.iter().map(|node| node.role.as_str()).collect();
        roles.dedup();
        for role in roles {
            let names: Vec<&NodeName> = nodes.iter().filter(|node| node.role == role).map(|node| &node.name).collect();
            let mut drawn = names.clone();
            lot.shuffle(&mut drawn);
            pairs.extend(names.iter().zip(drawn).map(|(name, alias)| (name.0.clone(), alias.0.clone())));
        }
        Self { pairs }
    }

    /// These names, each with its alias.
    #[must_use]
    pub fn of(pairs: Vec<(String, String)>) -> Self {
        Self { pairs }
    }

    /// Puts the aliases in the place of the real names.
    pub fn hide<T: Serialize + DeserializeOwned>(&self, value: &T) -> Result<T, serde_json::Error> {
        rename(value, |word| self.pairs.iter().find(|(name, _)| name == word).map(|(_, alias)| alias.as_str()))
    }

    /// Puts the real names in the place of the aliases.
    pub fn reveal<T: Serialize + DeserializeOwned>(&self, value: &T) -> Result<T, serde_json::Error> {
        rename(value, |word| self.pairs.iter().find(|(_, alias)| alias == word).map(|(name, _)| name.as_str()))
    }
}

/// Replaces names in every text of a value: whole words only, so that `tikv1` is not found in `tikv10`.
fn rename<'n, T: Serialize + DeserializeOwned>(
    value: &T,
    other: impl Fn(&str) -> Option<&'n str>,
) -> Result<T, serde_json::Error> {
    let mut json = serde_json::to_value(value)?;
    walk(&mut json, &|text| {
        let renamed = WORD.replace_all(text, |found: &Captures<'_>| other(&found[0]).unwrap_or(&found[0]).to_owned());
        renamed.into_owned()
    });
    serde_json::from_value(json)
}

fn walk(json: &mut Json, rename: &impl Fn(&str) -> String) {
    match json {
        Json::String(text) => *text = rename(text),
        Json::Array(items) => items.iter_mut().for_each(|item| walk(item, rename)),
        Json::Object(fields) => fields.values_mut().for_each(|field| walk(field, rename)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nodes() -> Vec<Node> {
        let of_role = |role: &'static str, count: usize| {
            (0..count).map(move |index| Node { name: NodeName(format!("{role}{index}")), role: role.to_owned() })
        };
        of_role("pd", 3).chain(of_role("tikv", 12)).collect()
    }

    proptest! {
        #[test]
        fn what_was_hidden_is_revealed(seed: u64, text in "(tikv|pd|store|x_tikv)[0-9]{1,2}[:. -](tikv[0-9]|\\PC{0,9})") {
            let aliases = Aliases::draw(&nodes(), "store-down", seed);
            let hidden: String = aliases.hide(&text).unwrap();
            prop_assert_eq!(aliases.reveal(&hidden).unwrap(), text);
        }
    }

    #[test]
    fn a_name_becomes_that_of_another_node_of_its_role_by_the_seed() {
        let named = |seed| -> Vec<String> {
            Aliases::draw(&nodes(), "store-down", seed)
                .hide(&vec!["pd0".to_owned(), "tikv1:20160".to_owned(), "tikv12".to_owned()])
                .unwrap()
        };
        let [pd, tikv, none] = named(1).try_into().unwrap();
        assert!(pd.starts_with("pd") && tikv.starts_with("tikv") && tikv.ends_with(":20160"), "{pd} {tikv}");
        assert_eq!(none, "tikv12", "there is no such node");
        assert_eq!(named(1), named(1));
        assert!((2..20).any(|seed| named(seed)[1] != tikv));
    }
}
