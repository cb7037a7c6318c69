//! The rules of network faults: a table of our own for each, in the network of the target. Docker keeps its own tables
//! there (its resolver is one), which are never touched.
//!
//! Every rule asks a set of protocols whose elements the kernel itself forgets after the lease: the rules end though
//! everybody who could take them away is gone. Adding an element that is there renews nothing, hence the flush.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::super::agent::LEASE;
use crate::cluster::{Direction, Fault, FaultKind};

/// The name of a fault's table: the same for any process that knows the fault.
pub(super) fn table(fault: &Fault) -> String {
    let text = serde_json::to_string(fault).unwrap_or_default();
    let letters = text.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' });
    let mut name = "operator_run".to_owned();
    for letter in letters {
        if letter != '_' || !name.ends_with('_') {
            name.push(letter);
        }
    }
    name.trim_end_matches('_').to_owned()
}

/// The command that takes a table away, whether it is there or not.
pub(super) fn remove(table: &str) -> String {
    format!("nft 'add table inet {table}; delete table inet {table}'")
}

/// The command that lets a table act for another lease.
pub(super) fn renew(table: &str) -> String {
    format!("nft 'flush set inet {table} lease; {}'", lease(table))
}

/// The command that sets the rules of a fault; no peers stands for everybody. None if the fault is not made of rules.
pub(super) fn set(fault: &Fault, peers: &[IpAddr]) -> Option<String> {
    let (direction, what) = match fault.kind() {
        FaultKind::Partition { direction, .. } => (*direction, "drop".to_owned()),
        FaultKind::Loss { percent } => (Direction::Both, format!("numgen random mod 100 < {percent} drop")),
        _ => return None,
    };
    let table = table(fault);
    let mut text = format!(
        "add table inet {table}; add set inet {table} lease {{ type inet_proto; flags timeout; }}; {}",
        lease(&table)
    );
    for (hook, packets) in [("input", Direction::In), ("output", Direction::Out)] {
        if direction != Direction::Both && direction != packets {
            continue;
        }
        let _ = write!(text, "; add chain inet {table} {hook} {{ type filter hook {hook} priority -150; }}");
        for peer in whom(packets, peers) {
            let _ = write!(text, "; add rule inet {table} {hook} {peer} meta l4proto @lease {what}");
        }
    }
    Some(format!("nft '{text}'"))
}

fn lease(table: &str) -> String {
    let seconds = LEASE.as_secs();
    let elements = ["tcp", "udp", "icmp", "ipv6-icmp"].map(|protocol| format!("{protocol} timeout {seconds}s"));
    format!("add element inet {table} lease {{ {} }}", elements.join(", "))
}

/// Which packets are meant, one expression for each rule. What a node says to itself is never meant.
fn whom(packets: Direction, peers: &[IpAddr]) -> Vec<String> {
    let (interface, address) = if packets == Direction::In { ("iifname", "saddr") } else { ("oifname", "daddr") };
    if peers.is_empty() {
        return vec![format!("{interface} != \"lo\"")];
    }
    let family = |peer: &IpAddr| if peer.is_ipv4() { "ip" } else { "ip6" };
    peers.iter().map(|peer| format!("{} {address} {peer}", family(peer))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_way_from_one_peer_is_one_rule() {
        let from = vec!["etcd1".into()];
        let fault = Fault::new(FaultKind::Partition { from, direction: Direction::In }, "etcd0".into());
        let rules = set(&fault, &["10.0.0.3".parse().unwrap()]).unwrap();
        assert_eq!(rules.matches("add rule").count(), 1, "{rules}");
        assert!(rules.contains("input ip saddr 10.0.0.3 meta l4proto @lease drop"), "{rules}");
        assert!(
            rules.contains("add table inet operator_run_kind_partition_from_etcd1_direction_in_node_etcd0;"),
            "{rules}"
        );
    }

    #[test]
    fn everybody_is_not_the_node_itself() {
        let rules = set(&Fault::new(FaultKind::Loss { percent: 30 }, "etcd0".into()), &[]).unwrap();
        assert!(rules.contains("oifname != \"lo\" meta l4proto @lease numgen random mod 100 < 30 drop"), "{rules}");
        assert!(rules.contains("iifname != \"lo\" meta l4proto @lease numgen random mod 100 < 30 drop"), "{rules}");
    }
}
