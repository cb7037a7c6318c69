//! What can be done to a cluster, and how it is undone.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Backend, Signal};
use crate::reading::NodeName;
use crate::units::{Rate, Shift, Size, Span};

/// Which packets of a node are lost, seen from the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Those that it sends and those that are sent to it.
    #[default]
    Both,
    /// Those that are sent to it.
    In,
    /// Those that it sends.
    Out,
}

/// What is done, apart from the node that it is done to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// A signal to its process, which ends it.
    Kill {
        /// Which.
        #[serde(default)]
        signal: Signal,
    },
    /// SIGTERM to its process, and time enough to end in order.
    Stop,
    /// It is frozen whole, as the freezer of its container does it: whoever asks the machine sees that.
    Pause,
    /// SIGSTOP to its process, of which the engine of its container knows nothing.
    Freeze,
    /// SIGTERM to its process, and as soon as it has ended it is started again.
    Restart,
    /// SIGKILL to its process, which is started again, and again killed, until that is undone.
    Flap {
        /// How long it runs each time.
        up: Span,
        /// How long it is down each time.
        down: Span,
        /// How often it is killed; none stands for until that is undone. After the last time it is started again, too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u32>,
    },
    /// Packets between it and others are lost.
    Partition {
        /// The others; none stands for all other nodes and the observer.
        from: Vec<NodeName>,
        /// Which way.
        direction: Direction,
    },
    /// Every packet that it sends comes later.
    Delay {
        /// So much.
        by: Span,
        /// And up to so much more or less, each packet by another amount; none stands for always the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jitter: Option<Span>,
    },
    /// Some of the packets that it sends or that are sent to it are lost.
    Loss {
        /// So many of a hundred.
        percent: u8,
    },
    /// It sends no more in a second.
    LimitBandwidth {
        /// Than so much.
        to: Size,
    },
    /// TCP connections between it and others are reset, those that are there and new ones.
    Reset {
        /// The others; none stands for all other nodes and the observer.
        from: Vec<NodeName>,
    },
    /// What it asks the resolver of names is lost.
    DnsFailure,
    /// Its container is taken out of all its networks.
    Disconnect,
    /// Every write to its disk takes longer.
    SlowDisk {
        /// So much.
        by: Span,
    },
    /// Its disk takes no more writes in a second.
    LimitDisk {
        /// Than so many.
        writes: Rate,
    },
    /// Its disk is filled up by others.
    FillDisk {
        /// But for so much.
        leave: Size,
    },
    /// It gets no more of the processors.
    LimitCpu {
        /// Than so many cores.
        cores: f64,
    },
    /// Others use the processors that it runs on.
    BurnCpu {
        /// So many tasks that never wait, for each processor of the machine.
        tasks: u32,
    },
    /// The kernel ends its process when it takes more memory.
    LimitMemory {
        /// Than so much.
        to: Size,
    },
    /// Its clock shows another time.
    ShiftClock {
        /// So much later, or earlier.
        by: Shift,
    },
    /// Another client writes one key that it leads.
    HotKey {
        /// So often.
        rate: Rate,
    },
    /// Whoever places the data stops doing so.
    HaltScheduling,
    /// A client cuts the keys of a new table into regions, all of them empty.
    SplitRegions {
        /// So many.
        count: u32,
    },
    /// It logs a line of somebody else's words, as a client can bring it to.
    LogLine {
        /// The words.
        text: String,
    },
    /// A command is run where its process runs.
    Exec {
        /// The program and its arguments.
        command: Vec<String>,
        /// What undoes it, in the same way; empty if nothing does.
        undo: Vec<String>,
    },
}

impl FaultKind {
    /// SIGKILL to a process.
    pub const KILL: Self = Self::Kill { signal: Signal::Kill };

    /// A node is cut off from all others and from the observer.
    pub const CUT_OFF: Self = Self::Partition { from: Vec::new(), direction: Direction::Both };

    /// The key of the fault in a scenario.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Freeze => "freeze",
            Self::Restart => "restart",
            Self::Flap { .. } => "flap",
            Self::Partition { .. } => "partition",
            Self::Delay { .. } => "delay",
            Self::Loss { .. } => "loss",
            Self::LimitBandwidth { .. } => "limit_bandwidth",
            Self::Reset { .. } => "reset",
            Self::DnsFailure => "dns_failure",
            Self::Disconnect => "disconnect",
            Self::SlowDisk { .. } => "slow_disk",
            Self::LimitDisk { .. } => "limit_disk",
            Self::FillDisk { .. } => "fill_disk",
            Self::LimitCpu { .. } => "limit_cpu",
            Self::BurnCpu { .. } => "burn_cpu",
            Self::LimitMemory { .. } => "limit_memory",
            Self::ShiftClock { .. } => "shift_clock",
            Self::HotKey { .. } => "hot_key",
            Self::HaltScheduling => "halt_scheduling",
            Self::SplitRegions { .. } => "split_regions",
            Self::LogLine { .. } => "log_line",
            Self::Exec { .. } => "exec",
        }
    }

    /// The backends that can do it.
    #[must_use]
    pub fn backends(&self) -> &'static [Backend] {
        use FaultKind::{
            BurnCpu, FillDisk, Flap, Freeze, Kill, LimitCpu, LimitDisk, LimitMemory, Pause, Restart, Stop,
        };
        use FaultKind::{Delay, Disconnect, DnsFailure, Exec, LimitBandwidth, Loss, Partition, Reset};
        match self {
            Kill { .. }
            | Stop
            | Pause
            | Freeze
            | Restart
            | Flap { .. }
            | LimitCpu { .. }
            | LimitMemory { .. }
            | FillDisk { .. }
            | Partition { .. }
            | Loss { .. }
            | Delay { jitter: None, .. } => &[Backend::Embedded, Backend::Compose],
            Delay { .. }
            | LimitBandwidth { .. }
            | Reset { .. }
            | DnsFailure
            | Disconnect
            | LimitDisk { .. }
            | BurnCpu { .. }
            | Exec { .. } => &[Backend::Compose],
            _ => &[Backend::Embedded],
        }
    }

    /// Why a backend cannot do it, where that is not for want of a hand.
    #[must_use]
    pub fn why_not(&self, backend: Backend) -> Option<&'static str> {
        match (self, backend) {
            (Self::ShiftClock { .. }, Backend::Compose) => Some(
                "containers share the machine's clock; libfaketime has no effect on Go programs (PD, etcd), and with TiKV \
                 it was never tried",
            ),
            (Self::SlowDisk { .. }, Backend::Compose) => Some(
                "Linux has no delay for writes that every machine can set: use `limit_disk`, after which they wait",
            ),
            (Self::LimitDisk { .. }, Backend::Embedded) => {
                Some("use `slow_disk`: the model's disks take a time for a write")
            }
            (Self::BurnCpu { .. }, Backend::Embedded) => {
                Some("use `limit_cpu`: the model's processes share no processors")
            }
            (Self::Delay { jitter: Some(_), .. }, Backend::Embedded) => {
                Some("the model delays all packets alike: leave `jitter` out")
            }
            _ => None,
        }
    }

    /// Whether it can only be done to a node that keeps data.
    #[must_use]
    pub fn needs_data(&self) -> bool {
        use FaultKind::{FillDisk, HotKey, LimitCpu, LimitDisk, LimitMemory, SlowDisk};
        matches!(
            self,
            SlowDisk { .. } | LimitDisk { .. } | FillDisk { .. } | LimitCpu { .. } | LimitMemory { .. } | HotKey { .. }
        )
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.key())
    }
}

/// What is done to the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    #[serde(flatten)]
    kind: FaultKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<NodeName>,
}

impl Fault {
    /// What is done to a node.
    #[must_use]
    pub fn new(kind: FaultKind, node: NodeName) -> Self {
        Self { kind, node: Some(node) }
    }

    /// What is done to the cluster as a whole.
    #[must_use]
    pub fn of_cluster(kind: FaultKind) -> Self {
        Self { kind, node: None }
    }

    /// What kind of fault it is.
    #[must_use]
    pub fn kind(&self) -> &FaultKind {
        &self.kind
    }

    /// The node that it is done to; none if it is done to the cluster as a whole.
    #[must_use]
    pub fn node(&self) -> Option<&NodeName> {
        self.node.as_ref()
    }

    /// What undoes it.
    #[must_use]
    pub fn undo(&self) -> Undo {
        match (&self.kind, self.node.clone()) {
            (FaultKind::Kill { .. } | FaultKind::Stop | FaultKind::Restart | FaultKind::Flap { .. }, Some(node)) => {
                Undo::Start { node }
            }
            (FaultKind::Pause, Some(node)) => Undo::Resume { node },
            _ => Undo::Lift { fault: self.clone() },
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => write!(formatter, "{} {node}", self.kind),
            None => self.kind.fmt(formatter),
        }
    }
}

/// All that is needed to undo a fault, also by another process than the one that did it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// Start the node's process again, and let it run.
    Start {
        /// The node.
        node: NodeName,
    },
    /// Let the node's process go on.
    Resume {
        /// The node.
        node: NodeName,
    },
    /// Take away what lies on the cluster.
    Lift {
        /// What was done.
        fault: Fault,
    },
    /// Connect the node's container to its networks again.
    Reconnect {
        /// The node.
        node: NodeName,
        /// The networks before the fault, by name.
        before: BTreeMap<String, Connection>,
    },
    /// Give the node's container its processors back.
    RestoreCpu {
        /// The node.
        node: NodeName,
        /// The limits before the fault.
        before: CpuLimits,
    },
    /// Give the node's container its memory back, and start its process again if it has ended.
    RestoreMemory {
        /// The node.
        node: NodeName,
        /// The limits before the fault.
        before: MemoryLimits,
    },
}

/// How a container is connected to a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Its address there.
    pub address: String,
    /// The names by which others find it there.
    pub aliases: Vec<String>,
}

/// How much of the processors a container may use, as the Engine's API has it; what is not above 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuLimits {
    /// Billionths of a core; where this is set, the others may not be.
    pub nano_cpus: i64,
    /// Microseconds in each period.
    pub quota: i64,
    /// The length of a period in microseconds.
    pub period: i64,
}

/// How much memory a container may use, in bytes, as the Engine's API has it; what is not above 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryLimits {
    /// Memory.
    pub memory: i64,
    /// Memory and swap together.
    pub memory_and_swap: i64,
}

impl fmt::Display for Undo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = match self {
            Self::Start { node } => return write!(formatter, "{node} was started again"),
            Self::Resume { node } => return write!(formatter, "{node} goes on"),
            Self::Reconnect { node, .. } => return write!(formatter, "{node} is in its networks again"),
            Self::RestoreCpu { node, .. } => return write!(formatter, "{node} has its processors back"),
            Self::RestoreMemory { node, .. } => return write!(formatter, "{node} has its memory back"),
            Self::Lift { fault } => fault,
        };
        let node = fault.node.as_ref().map_or("the cluster", NodeName::as_str);
        match fault.kind {
            FaultKind::Partition { .. } => write!(formatter, "{node} was connected again"),
            FaultKind::Delay { .. } | FaultKind::Loss { .. } | FaultKind::LimitBandwidth { .. } => {
                write!(formatter, "the network of {node} is as before")
            }
            FaultKind::Reset { .. } => write!(formatter, "{node} can be connected to again"),
            FaultKind::DnsFailure => write!(formatter, "{node} finds names again"),
            FaultKind::Freeze => write!(formatter, "{node} goes on"),
            FaultKind::Exec { .. } => write!(formatter, "on {node}, what undoes the command was run"),
            FaultKind::SlowDisk { .. } | FaultKind::LimitDisk { .. } | FaultKind::FillDisk { .. } => {
                write!(formatter, "the disk of {node} is as before")
            }
            FaultKind::LimitCpu { .. } | FaultKind::LimitMemory { .. } => write!(formatter, "{node} is not limited"),
            FaultKind::BurnCpu { .. } => write!(formatter, "{node} has its processors for itself"),
            FaultKind::ShiftClock { .. } => write!(formatter, "the clock of {node} is right"),
            FaultKind::SplitRegions { .. } => formatter.write_str("the new regions were merged"),
            FaultKind::LogLine { .. } => write!(formatter, "{node} logs no more of it"),
            FaultKind::HotKey { .. } => write!(formatter, "the client of the hot key has gone"),
            _ => write!(formatter, "{} was undone", fault.kind),
        }
    }
}

#[cfg(test)]
mod tests;
