//! Picks the node that a fault is done to, when it is due.

use crate::cluster::Node;
use crate::reading::{NodeName, Observation};
use crate::scenario::{Pick, Target};

/// Picks a node by a scenario's rule, and says how. None if the readings do not tell.
pub(super) fn pick(
    target: &Target,
    nodes: &[Node],
    observation: &Observation,
    seed: u64,
) -> Option<(NodeName, String)> {
    if let Some(node) = &target.node {
        return Some((node.clone(), "by name".to_owned()));
    }
    let (role, pick) = (target.role.as_deref()?, target.pick?);
    let mut candidates = nodes.iter().filter(|node| node.role == role).map(|node| &node.name);
    match pick {
        Pick::Leader => {
            let leader = candidates.find(|node| observation.value(node, "is_leader").flag() == Some(true))?;
            Some((leader.clone(), format!("the leader of the {role} nodes")))
        }
        Pick::MostLeaders => {
            let leaders = |node: &&NodeName| Some((observation.value(node, "leaders").number()?, (*node).clone()));
            // The first of several that lead as many, so that the choice is the same each time.
            let most = candidates
                .filter_map(|node| leaders(&node))
                .reduce(|most, next| if next.0 > most.0 { next } else { most });
            most.map(|(count, node)| (node, format!("it leads most: {count} regions")))
        }
        Pick::Random => {
            let candidates: Vec<&NodeName> = candidates.collect();
            let node = fastrand::Rng::with_seed(seed).choice(candidates)?;
            Some((node.clone(), format!("at random from the {role} nodes by seed {seed}")))
        }
    }
}

/// The nodes other than the target that are named, or whose roles are.
pub(super) fn others(from: &[NodeName], target: &NodeName, nodes: &[Node]) -> Vec<NodeName> {
    let named = |node: &&Node| from.contains(&node.name) || from.iter().any(|name| name.as_str() == node.role);
    nodes.iter().filter(named).map(|node| node.name.clone()).filter(|name| name != target).collect()
}
