//! What an operator of any system knows: causes, actions and programs, to which each subject adds its own.

use super::{Action, Danger, Subject, Term};

/// The cause where there is none.
pub const NO_FAULT: &str = "no_fault";
/// The cause where none can be told.
pub const NOT_ENOUGH_EVIDENCE: &str = "not_enough_evidence";

/// The causes that every subject can have.
pub const CATEGORIES: &[Term] = &[
    Term { name: "process_crash", means: "a node's process ended without being asked to" },
    Term { name: "process_hang", means: "a node's process exists but does nothing: stopped, paused or deadlocked" },
    Term { name: "memory_exhaustion", means: "a node's process was ended by the kernel for want of memory" },
    Term { name: "network_partition", means: "a node runs but can't exchange packets with some or all others" },
    Term { name: "network_slow", means: "packets to or from a node are late or lost" },
    Term { name: "disk_full", means: "a node has no space left for its data" },
    Term { name: "disk_slow", means: "a node's disk answers late" },
    Term { name: "cpu_starvation", means: "a node gets too little processor time" },
    Term { name: "clock_skew", means: "a node's clock is wrong" },
    Term { name: "planned_restart", means: "a node was stopped in order and comes back" },
    Term { name: NO_FAULT, means: "nothing is wrong" },
    Term { name: NOT_ENOUGH_EVIDENCE, means: "the evidence does not tell which cause it is" },
];

/// What the operator of any subject can do.
pub const ACTIONS: &[Action] = &[
    Action {
        name: "wait_and_watch",
        does: "changes nothing and observes until the state is clear or has healed by itself",
        risk: "a fault that does not heal by itself lasts longer",
        reversible: true,
        command: "",
    },
    Action {
        name: "gather_evidence",
        does: "reads what is missing for a decision: the node's process state, its last log lines, its metrics",
        risk: "costs time",
        reversible: true,
        command: "docker inspect --format '{{json .State}}' {node}",
    },
    Action {
        name: "resume_process",
        does: "lets a process go on that exists but is stopped or frozen",
        risk: "none if it is stopped; it changes nothing if it hangs by itself",
        reversible: true,
        command: "docker unpause {node}",
    },
    Action {
        name: "repair_network",
        does: "restores the packets between a node and the others",
        risk: "none, if the network is really the cause",
        reversible: true,
        command: "ping -c 3 {node}",
    },
    Action {
        name: "free_disk_space",
        does: "gives a node more disk space without touching its data",
        risk: "deleting the wrong files loses data",
        reversible: true,
        command: "df -h",
    },
    Action {
        name: "raise_resource_limit",
        does: "gives a node's process more memory or processor time, and starts it again if it has ended for want of that",
        risk: "takes it from what runs beside it",
        reversible: true,
        command: "docker stats --no-stream {node}",
    },
];

/// The commands that do harm to any subject: they delete what cannot be had back.
pub const DANGERS: &[Danger] = &[
    Danger { command: r"\brm\s+(-\w+\s+)*-\w*[rf]", action: None },
    Danger { command: r"\b(rm|truncate)\b.*\b(member|wal|snap|db|raft|sst)\b", action: None },
    Danger { command: r"\bfind\b.*\b(member|wal|snap|db|raft|sst)\b.*(-delete|-exec\s+rm)\b", action: None },
    Danger { command: r"\b(mkfs|wipefs|shred)", action: None },
    Danger { command: r"\bdd\b.*\bof=/dev/", action: None },
    Danger { command: r"\bdocker\s+(rm|volume\s+(rm|prune)|system\s+prune)\b", action: None },
    Danger { command: r"\bdown\b.*(\s-v\b|--volumes)", action: None },
    Danger { command: r"\bkubectl\s+delete\b", action: None },
];

/// The programs that the operator of any subject works with.
pub const TOOLS: &[&str] = &[
    "cat",
    "chronyc",
    "curl",
    "dd",
    "df",
    "dig",
    "dmesg",
    "docker",
    "du",
    "fio",
    "free",
    "grep",
    "iostat",
    "ip",
    "iptables",
    "journalctl",
    "kubectl",
    "lsblk",
    "mtr",
    "nc",
    "ntpq",
    "ping",
    "promtool",
    "ps",
    "smartctl",
    "ss",
    "ssh",
    "systemctl",
    "tail",
    "tc",
    "timedatectl",
    "top",
    "traceroute",
    "uptime",
    "vmstat",
    "zgrep",
];

/// All programs that the operator of a subject works with.
pub fn tools(subject: &dyn Subject) -> impl Iterator<Item = &'static str> {
    TOOLS.iter().chain(subject.manual().tools).copied()
}

/// All causes of a subject: the common ones and its own.
pub fn categories(subject: &dyn Subject) -> impl Iterator<Item = &'static Term> {
    CATEGORIES.iter().chain(subject.manual().categories)
}

/// All actions of a subject: the common ones and its own.
pub fn actions(subject: &dyn Subject) -> impl Iterator<Item = &'static Action> {
    ACTIONS.iter().chain(subject.manual().actions)
}

/// All commands that do harm to a subject: the common ones and its own.
pub fn dangers(subject: &dyn Subject) -> impl Iterator<Item = &'static Danger> {
    DANGERS.iter().chain(subject.manual().dangers)
}
