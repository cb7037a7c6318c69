//! An operator: what PD wants done to one region, as steps that the region's leader is told one after the other. What
//! it says of itself is word for word PD's (`pd:pkg/schedule/operator/operator.go`, `step.go`, `kind.go`;
//! fixtures/recordings/baseline-pd-api.json).

use std::fmt;
use std::time::Duration;

use super::super::go_format;
use super::super::instant;

/// The step of a leader transfer and other quick ones may take so long (`step.go`, `FastStepWaitTime`).
const FAST_STEP: Duration = Duration::from_mins(1);
/// A merge may take so long (`step.go`, `MergeRegion`).
const MERGE_STEP: Duration = Duration::from_mins(10);
/// A step that sends a snapshot may take so long, or 6 s per MiB (`step.go`, `SlowStepWaitTime`).
const SLOW_STEP: Duration = Duration::from_mins(10);
const SLOW_STEP_PER_MIB: Duration = Duration::from_secs(6);

/// What an operator includes and who wanted it, as PD's bits (`kind.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Kind(pub(in super::super) u32);

impl Kind {
    pub(in super::super) const ADMIN: Self = Self(1);
    pub(in super::super) const MERGE: Self = Self(1 << 1);
    pub(in super::super) const REPLICA: Self = Self(1 << 3);
    pub(in super::super) const SPLIT: Self = Self(1 << 4);
    pub(in super::super) const HOT_REGION: Self = Self(1 << 5);
    pub(in super::super) const REGION: Self = Self(1 << 6);
    pub(in super::super) const LEADER: Self = Self(1 << 7);
    const NAMES: [&'static str; 8] = ["admin", "merge", "range", "replica", "split", "hot-region", "region", "leader"];

    pub(in super::super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(in super::super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The kind that PD's API calls by this name.
    pub(in super::super) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().position(|own| *own == name).map(|bit| Self(1 << bit))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Self::NAMES
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| self.0 >> bit & 1 == 1)
            .map(|(_, name)| name)
            .collect();
        formatter.write_str(if names.is_empty() { "unknown" } else { "" })?;
        formatter.write_str(&names.join(","))
    }
}

/// How far an operator has come (`status.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Status {
    Started = 1,
    Success = 2,
    Canceled = 3,
    Timeout = 6,
}

/// A store that a step names: its index, and the id that PD calls it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct At {
    pub(in super::super) store: usize,
    pub(in super::super) id: u64,
}

/// A peer that takes another role: its id and its store.
pub(in super::super) type PeerAt = (u64, At);

/// A region that a step names: its index, and its id.
pub(in super::super) type RegionAt = (usize, u64);

/// One command to the leader of a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Step {
    /// The leader hands over, to the first of these stores or any other of them.
    TransferLeader {
        from: At,
        to: Vec<At>,
    },
    AddLearner {
        peer: u64,
        to: At,
    },
    PromoteLearner {
        peer: u64,
        on: At,
    },
    /// Enters the joint state in which one peer replaces another as a voter.
    EnterJoint {
        promote: PeerAt,
        demote: PeerAt,
    },
    /// Leaves it.
    LeaveJoint {
        promote: PeerAt,
        demote: PeerAt,
    },
    RemovePeer {
        from: At,
    },
    /// One region becomes part of another; both have an operator, and the one that is to stay only waits.
    Merge {
        source: RegionAt,
        target: RegionAt,
    },
    /// Splits the region at keys in hex.
    Split {
        keys: Vec<String>,
    },
}

impl Step {
    /// How long it may take in a region of this size in MiB.
    fn timeout(&self, size: u64) -> Duration {
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        match self {
            Self::AddLearner { .. } => SLOW_STEP.max(SLOW_STEP_PER_MIB.saturating_mul(size)),
            Self::Merge { .. } => MERGE_STEP,
            _ => FAST_STEP,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let swap = |formatter: &mut fmt::Formatter<'_>, verb, (promote, to): &PeerAt, (demote, from): &PeerAt| {
            let (to, from) = (to.id, from.id);
            write!(
                formatter,
                "{verb}, promote learner peer {promote} on store {to} to voter, demote voter peer {demote} on store \
                 {from} to learner"
            )
        };
        match self {
            Self::TransferLeader { from, to } => {
                let to = to.first().map_or(0, |to| to.id);
                write!(formatter, "transfer leader from store {} to store {to}", from.id)
            }
            Self::AddLearner { peer, to } => write!(formatter, "add learner peer {peer} on store {}", to.id),
            Self::PromoteLearner { peer, on } => {
                write!(formatter, "promote learner peer {peer} on store {} to voter", on.id)
            }
            Self::EnterJoint { promote, demote } => swap(formatter, "use joint consensus", promote, demote),
            Self::LeaveJoint { promote, demote } => swap(formatter, "leave joint state", promote, demote),
            Self::RemovePeer { from } => write!(formatter, "remove peer on store {}", from.id),
            Self::Merge { source: (_, source), target: (_, target) } => {
                write!(formatter, "merge region {source} into region {target}")
            }
            Self::Split { .. } => formatter.write_str("split region with policy USEKEY"),
        }
    }
}

/// What is to be done to a region, and how far it has come. Times are spans since the beginning of virtual time.
#[derive(Debug, Clone)]
pub(in super::super) struct Operator {
    /// Who wanted it, and why: `balance-leader-scheduler`, `replace-rule-down-peer`.
    pub(in super::super) desc: &'static str,
    /// What it does, in short.
    pub(in super::super) brief: String,
    /// The index of the region.
    pub(in super::super) region: usize,
    pub(in super::super) region_id: u64,
    /// The region's `version` and `conf_ver` at its creation.
    pub(in super::super) epoch: (u64, u64),
    pub(in super::super) kind: Kind,
    pub(in super::super) steps: Vec<Step>,
    /// The index of the step that is being done.
    pub(in super::super) current: usize,
    /// The region's size, in MiB.
    pub(in super::super) size: u64,
    pub(in super::super) created: Duration,
    pub(in super::super) finished: Option<Duration>,
    pub(in super::super) status: Status,
    /// When the current step will be done, if nothing is in its way; none while the leader has not begun with it.
    pub(in super::super) step_done: Option<Duration>,
    /// When PD's leader started, from where Go's monotonic clock counts.
    pub(in super::super) pd_started: Duration,
}

impl Operator {
    /// How long it may take, which is what its steps may.
    pub(in super::super) fn timeout(&self) -> Duration {
        self.steps.iter().map(|step| step.timeout(self.size)).sum()
    }

    /// A time as Go prints it: with the reading of the monotonic clock, which counts from the start of the process.
    fn time(&self, at: Duration) -> String {
        let wall = instant(at);
        let fraction = format!("{:09}", wall.subsec_nanosecond());
        let fraction = fraction.trim_end_matches('0');
        let dot = if fraction.is_empty() { "" } else { "." };
        let monotonic = at.saturating_sub(self.pd_started);
        format!(
            "{}{dot}{fraction} +0000 UTC m=+{}.{:09}",
            wall.strftime("%Y-%m-%d %H:%M:%S"),
            monotonic.as_secs(),
            monotonic.subsec_nanos()
        )
    }

    /// As `/operators/records` shows it.
    pub(in super::super) fn record(&self) -> String {
        let Some(finished) = self.finished else { return self.to_string() };
        let took = go_format::duration(finished.saturating_sub(self.created));
        format!("{self} (finishAt:{}, duration:{took})", self.time(finished))
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { desc, brief, kind, region_id, epoch: (version, conf_ver), current, size, .. } = self;
        let steps: Vec<String> =
            self.steps.iter().enumerate().map(|(index, step)| format!("{index}:{{{step}}}")).collect();
        let (created, timeout) = (self.time(self.created), go_format::duration(self.timeout()));
        write!(
            formatter,
            "{desc} {{{brief}}} (kind:{kind}, region:{region_id}({version}, {conf_ver}), createAt:{created}, \
             startAt:{created}, currentStep:{current}, size:{size}, steps:[{}], timeout:[{timeout}])",
            steps.join(", ")
        )?;
        formatter.write_str(match self.status {
            Status::Success => " finished",
            Status::Timeout => " timeout",
            Status::Started | Status::Canceled => "",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_is_written_as_the_recorded_ones() {
        let at = |id| At { store: 0, id };
        let mut operator = Operator {
            desc: "add-rule-peer",
            brief: "add peer: store [5]".to_owned(),
            region: 0,
            region_id: 2,
            epoch: (5, 3),
            kind: Kind::REPLICA.and(Kind::REGION),
            steps: vec![Step::AddLearner { peer: 22, to: at(5) }, Step::PromoteLearner { peer: 22, on: at(5) }],
            current: 2,
            size: 1,
            created: Duration::from_millis(62_100),
            finished: Some(Duration::from_nanos(62_262_773_090)),
            status: Status::Success,
            step_done: None,
            pd_started: Duration::from_millis(50),
        };
        let recorded = "add-rule-peer {add peer: store [5]} (kind:replica,region, region:2(5, 3), createAt:2026-01-01 \
                        00:01:02.1 +0000 UTC m=+62.050000000, startAt:2026-01-01 00:01:02.1 +0000 UTC \
                        m=+62.050000000, currentStep:2, size:1, steps:[0:{add learner peer 22 on store 5}, 1:{promote \
                        learner peer 22 on store 5 to voter}], timeout:[11m0s]) finished (finishAt:2026-01-01 \
                        00:01:02.26277309 +0000 UTC m=+62.212773090, duration:162.77309ms)";
        assert_eq!(operator.record(), recorded);

        operator.kind = Kind::LEADER;
        operator.steps = vec![Step::TransferLeader { from: at(4), to: vec![at(1), at(5)] }];
        operator.status = Status::Started;
        operator.finished = None;
        assert!(operator.record().ends_with("steps:[0:{transfer leader from store 4 to store 1}], timeout:[1m0s])"));
    }
}
