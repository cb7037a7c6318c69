//! What faults change about a cluster's nodes, taken down before any was done, to tell afterwards what is still there.

use std::collections::{BTreeMap, BTreeSet};

use crate::reading::NodeName;

/// A property of a node, or of the cluster as a whole.
type Key = (NodeName, String);

/// How the nodes of a cluster are, apart from what they do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fingerprint {
    lasting: BTreeMap<Key, String>,
    /// With the start of the node's process.
    until_restart: BTreeMap<Key, (String, String)>,
}

impl Fingerprint {
    /// Adds what only a fault changes.
    pub(in crate::cluster) fn add(&mut self, node: &NodeName, name: impl Into<String>, value: impl Into<String>) {
        self.lasting.insert((node.clone(), name.into()), value.into());
    }

    /// Adds what may rightly be another when the process was started anew: an engine then gives another address.
    pub(super) fn add_until_restart(&mut self, node: &NodeName, started: &str, name: String, value: String) {
        self.until_restart.insert((node.clone(), name), (started.to_owned(), value));
    }

    /// What is not as it was before, a sentence each.
    #[must_use]
    pub fn leaks(&self, now: &Self) -> Vec<String> {
        let keys: BTreeSet<&Key> = self.lasting.keys().chain(now.lasting.keys()).collect();
        let value = |of: &Self, key: &Key| of.lasting.get(key).map_or_else(|| "none".to_owned(), Clone::clone);
        let lasting = keys.into_iter().map(|key| (key, value(self, key), value(now, key)));
        let same_start = self.until_restart.iter().filter_map(|(key, (started, before))| {
            let (started_now, now) = now.until_restart.get(key)?;
            (started == started_now).then(|| (key, before.clone(), now.clone()))
        });
        let changed = lasting.chain(same_start).filter(|(_, before, now)| before != now);
        changed.map(|((node, name), before, now)| format!("{node}: {name} was {before}, is {now}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(memory: &str, started: &str, address: &str) -> Fingerprint {
        let (mut all, node) = (Fingerprint::default(), NodeName::from("etcd0"));
        all.add(&node, "memory limit", memory);
        all.add_until_restart(&node, started, "address".to_owned(), address.to_owned());
        all
    }

    #[test]
    fn what_is_changed_added_or_gone_is_a_leak() {
        let before = fingerprint("none", "1", "10.0.0.2");
        assert_eq!(before.leaks(&before), Vec::<String>::new());
        let limited = fingerprint("300 MiB", "1", "10.0.0.2");
        assert_eq!(before.leaks(&limited), ["etcd0: memory limit was none, is 300 MiB"]);
        let mut helped = before.clone();
        helped.add(&"cluster".into(), "container abc", "there");
        assert_eq!(before.leaks(&helped), ["cluster: container abc was none, is there"]);
        assert_eq!(helped.leaks(&before), ["cluster: container abc was there, is none"]);
    }

    #[test]
    fn another_address_is_a_leak_unless_the_process_was_started_anew() {
        let before = fingerprint("none", "1", "10.0.0.2");
        assert_eq!(before.leaks(&fingerprint("none", "1", "10.0.0.3")), ["etcd0: address was 10.0.0.2, is 10.0.0.3"]);
        assert_eq!(before.leaks(&fingerprint("none", "2", "10.0.0.3")), Vec::<String>::new());
    }
}
