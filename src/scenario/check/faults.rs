//! Checks what is said of faults: their kinds, amounts and targets.

use std::ops::RangeInclusive;

use super::Checker;
use crate::cluster::{Backend, FaultKind};
use crate::reading::NodeName;
use crate::scenario::entry::{FaultEntry, Pick, Target};
use crate::scenario::tree::Step;
use crate::subject::{Leads, Role};

/// How many writes a second a disk can be limited to: a database that cannot write at all ends, and more are no limit.
const WRITES: RangeInclusive<u32> = 1..=1000;

/// How much a limited link may carry in a second: a packet is to pass, and what a machine reaches by itself is no limit.
const LINKS: RangeInclusive<u64> = 10_000..=100_000_000;

impl Checker<'_> {
    pub(super) fn fault(&mut self, index: usize, entry: &FaultEntry) {
        let path = [Step::from("faults"), index.into()];
        let acts: Vec<(FaultKind, Option<&Target>)> = entry.acts().collect();
        for (kind, target) in &acts {
            let path = [path[0], path[1], kind.key().into()];
            self.amounts(&path, kind);
            if let Some(target) = target {
                let path = [path[0], path[1], path[2], "target".into()];
                self.target(&path, target);
                self.keeps_data(&path, kind, target);
            }
        }
        match acts.as_slice() {
            [] => self.say(&path, "this entry does nothing", "name what is done, such as kill, pause or partition"),
            [_] => {}
            [_, (second, _), ..] => {
                let path = [path[0], path[1], second.key().into()];
                self.say(
                    &path,
                    "an entry does one thing",
                    "make it an entry of its own; entries can have the same `at`",
                );
            }
        }
        if let Some(quiet) = self.scenario.expect.quiet.filter(|quiet| entry.at >= *quiet) {
            let message = format!("this fault is due at {}, when the quiet time of {quiet} is over", entry.at);
            self.say(&["faults".into(), index.into(), "at".into()], message, "");
        }
    }

    /// What is said of a fault besides its target.
    fn amounts(&mut self, path: &[Step<'_>], kind: &FaultKind) {
        let inner = |key: &'static str| [path, &[Step::from(key)]].concat();
        let nothing = match kind {
            FaultKind::Flap { up, .. } if up.0.is_zero() => "up",
            FaultKind::Flap { down, .. } if down.0.is_zero() => "down",
            FaultKind::Delay { by, .. } | FaultKind::SlowDisk { by } if by.0.is_zero() => "by",
            FaultKind::Delay { by, jitter: Some(jitter) } if jitter.0 > by.0 => {
                return self.say(&inner("jitter"), format!("no packet can come more than {by} earlier"), "");
            }
            FaultKind::ShiftClock { by } if by.0.is_zero() => "by",
            FaultKind::LimitCpu { cores } if *cores <= 0.0 => "cores",
            FaultKind::LimitMemory { to } if to.0 == 0 => "to",
            FaultKind::LimitBandwidth { to } if !LINKS.contains(&to.0) => {
                return self.say(&inner("to"), "a link can be limited to 10KB to 100MB in a second", "");
            }
            FaultKind::LimitDisk { writes } if !WRITES.contains(&writes.0) => {
                return self.say(&inner("writes"), "a disk can be limited to 1/s to 1000/s", "");
            }
            FaultKind::HotKey { rate } if rate.0 == 0 => "rate",
            FaultKind::LogLine { text } if text.trim().is_empty() => "text",
            FaultKind::Exec { command, .. } if command.is_empty() => "command",
            FaultKind::Partition { from, .. } | FaultKind::Reset { from } => return self.others(&inner("from"), from),
            _ => return,
        };
        self.say(&inner(nothing), format!("the `{nothing}` of `{}` must be more than nothing", kind.key()), "");
    }

    /// From whom a node is cut off: nodes or roles.
    fn others(&mut self, path: &[Step<'_>], from: &[NodeName]) {
        let roles = self.subject.manual().roles.iter().map(|role| role.name.to_owned());
        let known: Vec<String> = roles.chain(self.nodes.iter().map(|node| node.name.0.clone())).collect();
        for (index, name) in from.iter().enumerate().filter(|(_, name)| !known.contains(&name.0)) {
            let path = [path, &[index.into()]].concat();
            self.unknown(&path, "node or role", name.as_str(), known.iter().map(String::as_str));
        }
    }

    /// Some faults mean nothing on a node that keeps no data.
    fn keeps_data(&mut self, path: &[Step<'_>], kind: &FaultKind, target: &Target) {
        let named = target.node.as_ref().and_then(|name| self.nodes.iter().find(|node| node.name == *name));
        let Some(role) = named.map(|node| node.role.as_str()).or(target.role.as_deref()) else { return };
        let known = self.subject.manual().roles.iter().find(|known| known.name == role);
        // The model knows the machines of stores only; in containers every node has one.
        let modelled = self.subject.manual().backends.contains(&Backend::Embedded);
        if kind.needs_data() && modelled && known.is_some_and(|known| known.leads == Leads::OneGroup) {
            self.say(
                path,
                format!("`{}` cannot be done to {role}", kind.key()),
                "it is done to a node that keeps data",
            );
        }
    }

    fn target(&mut self, path: &[Step<'_>], target: &Target) {
        let inner = |key: &'static str| [path, &[Step::from(key)]].concat();
        match (&target.node, &target.role, target.pick) {
            (Some(node), None, None) if target.count.is_none() => {
                let names: Vec<String> = self.nodes.iter().map(|node| node.name.0.clone()).collect();
                if !names.contains(&node.0) {
                    self.unknown(&inner("node"), "node", node.as_str(), names.iter().map(String::as_str));
                }
            }
            (None, Some(role), Some(pick)) => match self.subject.manual().roles.iter().find(|known| known.name == role)
            {
                None => {
                    let known = self.subject.manual().roles.iter().map(|role| role.name);
                    self.unknown(&inner("role"), "role", role, known);
                }
                Some(known) => self.pick(path, known, pick, target.count),
            },
            _ => {
                let role = self.subject.manual().roles.first().map_or("", |role| role.name);
                let help = format!("{{ node: {role}0 }} or {{ role: {role}, pick: random }}");
                self.say(path, "a target is a `node`, or a `role` with a `pick`", help);
            }
        }
    }

    /// Whether a role has what the rule looks for, and as many nodes of it.
    fn pick(&mut self, path: &[Step<'_>], role: &Role, pick: Pick, count: Option<usize>) {
        let inner = |key: &'static str| [path, &[Step::from(key)]].concat();
        let name = role.name;
        let misfit = match (pick, role.leads) {
            (Pick::Leader | Pick::NonLeader, Leads::ManyGroups) => {
                Some((format!("there is no single leader of role {name}"), "use `most-leaders` or `random`"))
            }
            (Pick::MostLeaders, Leads::OneGroup) => {
                Some((format!("role {name} has one leader only"), "use `leader` or `random`"))
            }
            _ => None,
        };
        if let Some((message, help)) = misfit {
            return self.say(&inner("pick"), message, help);
        }
        let Some(count) = count else { return };
        let nodes = self.nodes.iter().filter(|node| node.role == name).count();
        let (most, what) = match pick {
            Pick::All => return self.say(&inner("count"), "`all` takes no count", "leave it out, or use `random`"),
            Pick::Leader => (1, "that lead"),
            Pick::NonLeader => (nodes.saturating_sub(1), "that do not lead"),
            Pick::MostLeaders | Pick::Random => (nodes, "in all"),
        };
        if count == 0 {
            self.say(&inner("count"), "a fault on no node is none", "leave it out to pick one");
        } else if count > most {
            self.say(&inner("count"), format!("there are {most} nodes of role {name} {what}, not {count}"), "");
        }
    }
}
