//! What can be done to a cluster, and how it is undone.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Backend;
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
    /// SIGKILL to its process.
    Kill,
    /// SIGTERM to its process, and time enough to end in order.
    Stop,
    /// SIGSTOP to its process.
    Pause,
    /// SIGTERM to its process, and as soon as it has ended it is started again.
    Restart,
    /// SIGKILL to its process, which is started again, and again killed, until that is undone.
    Flap {
        /// How long it runs each time.
        up: Span,
        /// How long it is down each time.
        down: Span,
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
    },
    /// Some of the packets that it sends or that are sent to it are lost.
    Loss {
        /// So many of a hundred.
        percent: u8,
    },
    /// Every write to its disk takes longer.
    SlowDisk {
        /// So much.
        by: Span,
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
}

impl FaultKind {
    /// A node is cut off from all others and from the observer.
    pub const CUT_OFF: Self = Self::Partition { from: Vec::new(), direction: Direction::Both };

    /// The key of the fault in a scenario.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Restart => "restart",
            Self::Flap { .. } => "flap",
            Self::Partition { .. } => "partition",
            Self::Delay { .. } => "delay",
            Self::Loss { .. } => "loss",
            Self::SlowDisk { .. } => "slow_disk",
            Self::FillDisk { .. } => "fill_disk",
            Self::LimitCpu { .. } => "limit_cpu",
            Self::LimitMemory { .. } => "limit_memory",
            Self::ShiftClock { .. } => "shift_clock",
            Self::HotKey { .. } => "hot_key",
            Self::HaltScheduling => "halt_scheduling",
        }
    }

    /// The backends that can do it.
    #[must_use]
    pub fn backends(&self) -> &'static [Backend] {
        match self {
            Self::Kill | Self::Stop | Self::Pause | Self::Restart => &[Backend::Embedded, Backend::Compose],
            _ => &[Backend::Embedded],
        }
    }

    /// Whether it can only be done to a node that keeps data.
    #[must_use]
    pub fn needs_data(&self) -> bool {
        use FaultKind::{FillDisk, HotKey, LimitCpu, LimitMemory, SlowDisk};
        matches!(self, SlowDisk { .. } | FillDisk { .. } | LimitCpu { .. } | LimitMemory { .. } | HotKey { .. })
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
            (FaultKind::Kill | FaultKind::Stop | FaultKind::Restart | FaultKind::Flap { .. }, Some(node)) => {
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
}

impl fmt::Display for Undo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = match self {
            Self::Start { node } => return write!(formatter, "{node} was started again"),
            Self::Resume { node } => return write!(formatter, "{node} goes on"),
            Self::Lift { fault } => fault,
        };
        let node = fault.node.as_ref().map_or("the cluster", NodeName::as_str);
        match fault.kind {
            FaultKind::Partition { .. } => write!(formatter, "{node} was connected again"),
            FaultKind::Delay { .. } | FaultKind::Loss { .. } => write!(formatter, "the network of {node} is as before"),
            FaultKind::SlowDisk { .. } | FaultKind::FillDisk { .. } => {
                write!(formatter, "the disk of {node} is as before")
            }
            FaultKind::LimitCpu { .. } | FaultKind::LimitMemory { .. } => write!(formatter, "{node} is not limited"),
            FaultKind::ShiftClock { .. } => write!(formatter, "the clock of {node} is right"),
            FaultKind::HotKey { .. } => write!(formatter, "the client of the hot key has gone"),
            _ => write!(formatter, "{} was undone", fault.kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_and_its_undo_are_kept_whole() {
        let from = vec!["tikv2".into()];
        let faults = [
            Fault::new(FaultKind::Kill, "tikv0".into()),
            Fault::new(FaultKind::Partition { from, direction: Direction::In }, "tikv0".into()),
            Fault::new(FaultKind::ShiftClock { by: Shift(jiff::SignedDuration::from_secs(-5)) }, "pd0".into()),
            Fault::of_cluster(FaultKind::HaltScheduling),
        ];
        for fault in faults {
            let text = serde_json::to_string(&(&fault, fault.undo())).unwrap();
            assert_eq!(serde_json::from_str::<(Fault, Undo)>(&text).unwrap(), (fault.clone(), fault.undo()), "{text}");
        }
    }

    #[test]
    fn the_undo_of_an_older_journal_is_understood() {
        let node = || "tikv0".into();
        assert_eq!(
            serde_json::from_str::<Undo>(r#"{"start":{"node":"tikv0"}}"#).unwrap(),
            Undo::Start { node: node() }
        );
        assert_eq!(
            serde_json::from_str::<Undo>(r#"{"resume":{"node":"tikv0"}}"#).unwrap(),
            Undo::Resume { node: node() }
        );
    }
}
