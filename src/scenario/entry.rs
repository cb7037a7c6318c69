//! The types of a fault in a scenario file: one key for each kind, with the target and what else there is to say of it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::Until;
use crate::cluster::{Direction, FaultKind, Signal};
use crate::reading::NodeName;
use crate::units::{Rate, Shift, Size, Span};

/// One fault: what is done, when, and until when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultEntry {
    /// A signal to the process of a node, which ends it. It counts as done when the process has ended.
    #[serde(default)]
    pub kill: Option<Kill>,
    /// SIGTERM to the process of a node: it ends in order. It counts as done when the process has ended.
    #[serde(default)]
    pub stop: Option<ToNode>,
    /// A node is frozen: it exists and does nothing. In containers the engine does it, and says so.
    #[serde(default)]
    pub pause: Option<ToNode>,
    /// SIGSTOP to the process of a node: it exists and does nothing. In containers the engine says that it runs.
    #[serde(default)]
    pub freeze: Option<ToNode>,
    /// SIGTERM to the process of a node, which is started again when it has ended. It counts as done then.
    #[serde(default)]
    pub restart: Option<ToNode>,
    /// SIGKILL to the process of a node, which is started again, and again killed, until the fault ends.
    #[serde(default)]
    pub flap: Option<Flap>,
    /// A node is cut off: from all others and from the observer, or from some nodes only.
    #[serde(default)]
    pub partition: Option<Partition>,
    /// Every packet that a node sends comes later.
    #[serde(default)]
    pub delay: Option<Delay>,
    /// Some of the packets that a node sends, or that are sent to it, are lost.
    #[serde(default)]
    pub loss: Option<Loss>,
    /// A node sends only so much in a second; what is more waits, and what waits too long is lost.
    #[serde(default)]
    pub limit_bandwidth: Option<LimitBandwidth>,
    /// TCP connections between a node and others are reset, as by a firewall that refuses them.
    #[serde(default)]
    pub reset: Option<Reset>,
    /// What a node asks the resolver of names is lost.
    #[serde(default)]
    pub dns_failure: Option<ToNode>,
    /// A node's container is taken out of all its networks; afterwards it is there again with its address and names.
    #[serde(default)]
    pub disconnect: Option<ToNode>,
    /// Every write to the disk of a node takes longer.
    #[serde(default)]
    pub slow_disk: Option<Slower>,
    /// The disk of a node takes only so many writes in a second; what is more waits.
    #[serde(default)]
    pub limit_disk: Option<LimitDisk>,
    /// The disk of a node is filled up by others.
    #[serde(default)]
    pub fill_disk: Option<FillDisk>,
    /// A node gets only so much of the processors.
    #[serde(default)]
    pub limit_cpu: Option<LimitCpu>,
    /// Others use the processors that a node runs on.
    #[serde(default)]
    pub burn_cpu: Option<BurnCpu>,
    /// The kernel ends the process of a node when it takes more memory than this.
    #[serde(default)]
    pub limit_memory: Option<LimitMemory>,
    /// A command is run in the container of a node. It counts as done when it has ended with exit code 0.
    #[serde(default)]
    pub exec: Option<Exec>,
    /// The clock of a node shows another time.
    #[serde(default)]
    pub shift_clock: Option<ShiftClock>,
    /// Another client writes one key that a node leads.
    #[serde(default)]
    pub hot_key: Option<HotKey>,
    /// A node logs a line of somebody else's words, as a client can bring it to: an instruction to whoever reads it, say.
    #[serde(default)]
    pub log_line: Option<WrittenLine>,
    /// Whoever places the data stops doing so: PD's `halt-scheduling` is set. It has no target.
    #[serde(default)]
    pub halt_scheduling: Option<HaltScheduling>,
    /// A client cuts the keys of a new table into regions before it writes anything, as a bulk load does: all of them are
    /// empty. It has no target.
    #[serde(default)]
    pub split_regions: Option<SplitRegions>,
    /// When, from the end of the steady time.
    #[serde(default = "immediately")]
    pub at: Span,
    /// Until when.
    #[serde(default)]
    pub until: Until,
}

fn immediately() -> Span {
    Span(Duration::ZERO)
}

impl FaultEntry {
    /// What is done, and to which node if it is done to one: of an entry that was checked, exactly one.
    pub fn acts(&self) -> impl Iterator<Item = (FaultKind, Option<&Target>)> {
        fn act<A>(act: Option<&A>, read: impl Fn(&A) -> (FaultKind, &Target)) -> Option<(FaultKind, Option<&Target>)> {
            act.map(|act| {
                let (kind, target) = read(act);
                (kind, Some(target))
            })
        }
        let halt = self.halt_scheduling.as_ref().map(|_| (FaultKind::HaltScheduling, None));
        let split = self.split_regions.as_ref().map(|split| (FaultKind::SplitRegions { count: split.count }, None));
        [
            act(self.kill.as_ref(), |to| (FaultKind::Kill { signal: to.signal }, &to.target)),
            act(self.stop.as_ref(), |to| (FaultKind::Stop, &to.target)),
            act(self.pause.as_ref(), |to| (FaultKind::Pause, &to.target)),
            act(self.freeze.as_ref(), |to| (FaultKind::Freeze, &to.target)),
            act(self.restart.as_ref(), |to| (FaultKind::Restart, &to.target)),
            act(self.flap.as_ref(), |to| (FaultKind::Flap { up: to.up, down: to.down, count: to.count }, &to.target)),
            act(self.partition.as_ref(), |to| {
                (FaultKind::Partition { from: to.from.clone(), direction: to.direction }, &to.target)
            }),
            act(self.delay.as_ref(), |to| (FaultKind::Delay { by: to.by, jitter: to.jitter }, &to.target)),
            act(self.loss.as_ref(), |to| (FaultKind::Loss { percent: to.percent }, &to.target)),
            act(self.limit_bandwidth.as_ref(), |to| (FaultKind::LimitBandwidth { to: to.to }, &to.target)),
            act(self.reset.as_ref(), |to| (FaultKind::Reset { from: to.from.clone() }, &to.target)),
            act(self.dns_failure.as_ref(), |to| (FaultKind::DnsFailure, &to.target)),
            act(self.disconnect.as_ref(), |to| (FaultKind::Disconnect, &to.target)),
            act(self.slow_disk.as_ref(), |to| (FaultKind::SlowDisk { by: to.by }, &to.target)),
            act(self.limit_disk.as_ref(), |to| (FaultKind::LimitDisk { writes: to.writes }, &to.target)),
            act(self.fill_disk.as_ref(), |to| (FaultKind::FillDisk { leave: to.leave }, &to.target)),
            act(self.limit_cpu.as_ref(), |to| (FaultKind::LimitCpu { cores: to.cores }, &to.target)),
            act(self.burn_cpu.as_ref(), |to| (FaultKind::BurnCpu { tasks: to.tasks }, &to.target)),
            act(self.limit_memory.as_ref(), |to| (FaultKind::LimitMemory { to: to.to }, &to.target)),
            act(self.exec.as_ref(), |to| {
                (FaultKind::Exec { command: to.command.clone(), undo: to.undo.clone() }, &to.target)
            }),
            act(self.shift_clock.as_ref(), |to| (FaultKind::ShiftClock { by: to.by }, &to.target)),
            act(self.log_line.as_ref(), |to| (FaultKind::LogLine { text: to.text.clone() }, &to.target)),
            act(self.hot_key.as_ref(), |to| (FaultKind::HotKey { rate: to.rate }, &to.target)),
            halt,
            split,
        ]
        .into_iter()
        .flatten()
    }
}

/// What is done to one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToNode {
    /// Which node.
    pub target: Target,
}

/// A node whose process is ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    /// Which node.
    pub target: Target,
    /// By which signal; SIGKILL if it is not said.
    #[serde(default)]
    pub signal: Signal,
}

/// A node that comes and goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flap {
    /// Which node.
    pub target: Target,
    /// How long it runs each time.
    pub up: Span,
    /// How long it is down each time.
    pub down: Span,
    /// How often it is killed; until the fault ends if it is not said.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10000))]
    pub count: Option<u32>,
}

/// A node that is cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// Which node.
    pub target: Target,
    /// From which nodes or roles; if it is not said, from all other nodes and the observer.
    #[serde(default)]
    pub from: Vec<NodeName>,
    /// Which of its packets are lost: `in`, those that are sent to it; `out`, those that it sends; or `both`.
    #[serde(default)]
    pub direction: Direction,
}

/// A node that is far away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delay {
    /// Which node.
    pub target: Target,
    /// How much later a packet comes.
    pub by: Span,
    /// Up to how much more or less than that it is, each packet by another amount; always the same if it is not said. In
    /// containers only.
    #[serde(default)]
    pub jitter: Option<Span>,
}

/// A node with a narrow link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitBandwidth {
    /// Which node.
    pub target: Target,
    /// How much it sends in a second.
    pub to: Size,
}

/// A node whose connections are reset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// Which node.
    pub target: Target,
    /// Those to which nodes or roles; if it is not said, those to all other nodes and the observer.
    #[serde(default)]
    pub from: Vec<NodeName>,
}

/// A node for which something takes longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slower {
    /// Which node.
    pub target: Target,
    /// How much longer.
    pub by: Span,
}

/// A node with a bad network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// Which node.
    pub target: Target,
    /// How many of a hundred packets are lost.
    #[schemars(range(min = 1, max = 100))]
    pub percent: u8,
}

/// A node with a disk that does little at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitDisk {
    /// Which node.
    pub target: Target,
    /// How many writes its disk takes in a second.
    pub writes: Rate,
}

/// A node whose disk is full, or nearly so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FillDisk {
    /// Which node.
    pub target: Target,
    /// How much space is left.
    pub leave: Size,
}

/// A node that is short of processors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitCpu {
    /// Which node.
    pub target: Target,
    /// How many cores it gets; also a fraction of one.
    pub cores: f64,
}

/// A node that shares its processors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BurnCpu {
    /// Which node.
    pub target: Target,
    /// How many tasks that never wait run beside it, for each processor of the machine.
    #[schemars(range(min = 1, max = 64))]
    pub tasks: u32,
}

/// A command in a node's container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// Which node.
    pub target: Target,
    /// The program and its arguments. The images of servers often have no shell.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// What undoes it, in the same way; `[]` if nothing has to. It is also run if the command has failed.
    pub undo: Vec<String>,
}

/// A node that is short of memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitMemory {
    /// Which node.
    pub target: Target,
    /// How much memory it gets.
    pub to: Size,
}

/// A node whose clock is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShiftClock {
    /// Which node.
    pub target: Target,
    /// How much later than it is, or with a minus earlier, its clock says that it is.
    pub by: Shift,
}

/// A key that is written very often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HotKey {
    /// Which node leads the key.
    pub target: Target,
    /// How often it is written.
    pub rate: Rate,
}

/// A line in a node's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WrittenLine {
    /// Which node logs it.
    pub target: Target,
    /// The message.
    pub text: String,
}

/// Nothing more is to be said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HaltScheduling {}

/// Regions that a client makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitRegions {
    /// How many.
    #[schemars(range(min = 1, max = 10_000))]
    pub count: u32,
}

/// Which nodes a fault is done to: one by name, or one or more of a role by a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The node's name.
    #[serde(default)]
    pub node: Option<NodeName>,
    /// The role to pick from.
    #[serde(default)]
    pub role: Option<String>,
    /// The rule to pick by.
    #[serde(default)]
    pub pick: Option<Pick>,
    /// How many to pick; one if it is not said.
    #[serde(default)]
    pub count: Option<usize>,
}

/// The rule that picks nodes of a role, once, when the fault is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pick {
    /// The leader of the role's own group.
    Leader,
    /// Any that does not lead the role's own group, by the seed.
    NonLeader,
    /// The node that leads most.
    MostLeaders,
    /// Any, by the seed.
    Random,
    /// Every node of the role.
    All,
}
