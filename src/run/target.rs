//! Picks the nodes that a fault is done to, once, when it is due.

use std::cmp::Reverse;

use crate::cluster::Node;
use crate::reading::{NodeName, Observation};
use crate::scenario::{Pick, Target};

/// Picks nodes by a scenario's rule, and says of each how. None if the readings do not tell so many.
pub(super) fn pick(
    target: &Target,
    nodes: &[Node],
    observation: &Observation,
    seed: u64,
) -> Option<Vec<(NodeName, String)>> {
    if let Some(node) = &target.node {
        return Some(vec![(node.clone(), "by name".to_owned())]);
    }
    let (role, pick, count) = (target.role.as_deref()?, target.pick?, target.count.unwrap_or(1));
    let candidates = nodes.iter().filter(|node| node.role == role).map(|node| node.name.clone());
    let leads = |node: &NodeName| observation.value(node, "is_leader").flag();
    let (picked, how) = match pick {
        Pick::All => return Some(candidates.map(|node| (node, format!("all {role} nodes"))).collect()),
        Pick::MostLeaders => return most_leaders(candidates, observation, count),
        Pick::Leader => {
            (candidates.filter(|node| leads(node) == Some(true)).collect(), format!("the leader of the {role} nodes"))
        }
        Pick::NonLeader => (
            drawn(candidates.filter(|node| leads(node) == Some(false)).collect(), count, seed),
            format!("at random from the {role} nodes that do not lead, by seed {seed}"),
        ),
        Pick::Random => {
            (drawn(candidates.collect(), count, seed), format!("at random from the {role} nodes by seed {seed}"))
        }
    };
    (picked.len() == count).then(|| picked.into_iter().map(|node| (node, how.clone())).collect())
}

/// So many of the nodes, or all if there are fewer.
fn drawn(mut nodes: Vec<NodeName>, count: usize, seed: u64) -> Vec<NodeName> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count.min(nodes.len())).map(|_| nodes.remove(random.usize(..nodes.len()))).collect()
}

/// Of several that lead as many, the first ones, so that the choice is the same each time.
fn most_leaders(
    candidates: impl Iterator<Item = NodeName>,
    observation: &Observation,
    count: usize,
) -> Option<Vec<(NodeName, String)>> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of regions")]
    let leaders = |node: &NodeName| observation.value(node, "leaders").number().map(|number| number as u64);
    let mut known: Vec<(NodeName, u64)> =
        candidates.filter_map(|node| leaders(&node).map(|leaders| (node, leaders))).collect();
    if known.len() < count {
        return None;
    }
    known.sort_by_key(|(_, leaders)| Reverse(*leaders));
    let lead = if count == 1 { "it leads most".to_owned() } else { format!("of the {count} that lead most") };
    let how = |(node, leaders)| (node, format!("{lead}: {leaders} regions"));
    Some(known.into_iter().take(count).map(how).collect())
}

/// The nodes that are named, or whose roles are, other than the targets: these stay together.
pub(super) fn others(from: &[NodeName], targets: &[NodeName], nodes: &[Node]) -> Vec<NodeName> {
    let named = |node: &&Node| from.contains(&node.name) || from.iter().any(|name| name.as_str() == node.role);
    nodes.iter().filter(named).map(|node| node.name.clone()).filter(|name| !targets.contains(name)).collect()
}
