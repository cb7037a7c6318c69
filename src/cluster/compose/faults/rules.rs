//! What network faults are made of. Most are rules: a table of our own for each, in the network of the target. Docker keeps
//! its own tables there (its resolver is one), which are never touched. What holds packets back without losing them is a
//! discipline of the links, or a queue: see `network.sh`.
//!
//! Every rule asks a set of protocols whose elements the kernel itself forgets after the lease: the rules end though
//! everybody who could take them away is gone. Adding an element that is there renews nothing, hence the flush.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::super::agent::LEASE;
use crate::cluster::{Direction, Fault, FaultKind};

/// The commands that do a fault, keep it in force, and undo it.
pub(super) struct Means {
    pub(super) set: String,
    /// Lets it act for another lease; fails if it does not act any more.
    pub(super) renew: String,
    /// Undoes it, whether it is there or not.
    pub(super) remove: String,
}

/// How much may pass a limited link at once, in bytes: some packets, or what comes between two ticks of a slow clock.
pub(super) fn burst(limit: u64) -> u64 {
    (limit / 50).max(10_000)
}

/// What does a fault; no peers stands for everybody. None if the fault is not of the network.
pub(super) fn means(fault: &Fault, peers: &[IpAddr]) -> Option<Means> {
    match fault.kind() {
        FaultKind::Delay { by, jitter } => Some(Means {
            set: format!("delay {} {}", by.0.as_micros(), jitter.map_or(0, |jitter| jitter.0.as_micros())),
            renew: "keep_delay".to_owned(),
            remove: "end_delay".to_owned(),
        }),
        FaultKind::LimitBandwidth { to } => Some(Means {
            set: format!("limit {} {}", to.0, burst(to.0)),
            renew: "keep_limit".to_owned(),
            remove: "end_limit".to_owned(),
        }),
        _ => {
            let table = name(fault);
            let set = format!("nft '{}'", rules(fault, &table, peers)?);
            Some(Means { set, renew: renew(&table), remove: remove(&table) })
        }
    }
}

/// The name of what a fault has set: the same for any process that knows the fault, and for two faults that cannot be
/// done to a node at once.
pub(super) fn name(fault: &Fault) -> String {
    let text = match (fault.kind(), fault.node()) {
        (FaultKind::Delay { .. } | FaultKind::LimitBandwidth { .. }, Some(node)) => format!("{}_{node}", fault.kind()),
        _ => serde_json::to_string(fault).unwrap_or_default(),
    };
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
fn remove(table: &str) -> String {
    format!("nft 'add table inet {table}; delete table inet {table}'")
}

/// The command that lets a table act for another lease.
fn renew(table: &str) -> String {
    format!("nft 'flush set inet {table} lease; {}'", lease(table))
}

/// The rules of a fault. None if it is not made of rules.
fn rules(fault: &Fault, table: &str, peers: &[IpAddr]) -> Option<String> {
    let (direction, what) = match fault.kind() {
        FaultKind::Partition { direction, .. } => (*direction, "drop".to_owned()),
        FaultKind::Loss { percent } => (Direction::Both, format!("numgen random mod 100 < {percent} drop")),
        FaultKind::Reset { .. } => {
            // The resets themselves must pass.
            (Direction::Both, "tcp flags & rst == 0 reject with tcp reset".to_owned())
        }
        FaultKind::DnsFailure => (Direction::Out, "drop".to_owned()),
        _ => return None,
    };
    let mut text = format!(
        "add table inet {table}; add set inet {table} lease {{ type inet_proto; flags timeout; }}; {}",
        lease(table)
    );
    for (hook, packets) in [("input", Direction::In), ("output", Direction::Out)] {
        if direction != Direction::Both && direction != packets {
            continue;
        }
        let _ = write!(text, "; add chain inet {table} {hook} {{ type filter hook {hook} priority -150; }}");
        let whom = match fault.kind() {
            // Docker's resolver is at the node itself.
            FaultKind::DnsFailure => ["udp", "tcp"].map(|protocol| format!("{protocol} dport 53")).to_vec(),
            _ => whom(packets, peers),
        };
        for packet in whom {
            let _ = write!(text, "; add rule inet {table} {hook} {packet} meta l4proto @lease {what}");
        }
    }
    Some(text)
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
        let rules = means(&fault, &["10.0.0.3".parse().unwrap()]).unwrap().set;
        assert_eq!(rules.matches("add rule").count(), 1, "{rules}");
        assert!(rules.contains("input ip saddr 10.0.0.3 meta l4proto @lease drop"), "{rules}");
        assert!(
            rules.contains("add table inet operator_run_kind_partition_from_etcd1_direction_in_node_etcd0;"),
            "{rules}"
        );
    }

    #[test]
    fn everybody_is_not_the_node_itself() {
        let rules = means(&Fault::new(FaultKind::Loss { percent: 30 }, "etcd0".into()), &[]).unwrap().set;
        assert!(rules.contains("oifname != \"lo\" meta l4proto @lease numgen random mod 100 < 30 drop"), "{rules}");
        assert!(rules.contains("iifname != \"lo\" meta l4proto @lease numgen random mod 100 < 30 drop"), "{rules}");
    }
}
