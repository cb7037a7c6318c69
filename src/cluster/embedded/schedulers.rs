//! Which of PD's schedulers and checkers run. Which exist, and with what arguments, PD keeps in etcd; pauses only its
//! leader knows (`pd:pkg/schedule/schedulers/scheduler_controller.go`). What they do is the business of
//! [`super::schedule`].

use std::collections::BTreeSet;
use std::time::Duration;

/// A scheduler that the model knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SchedulerKind {
    /// Spreads regions evenly.
    BalanceRegion,
    /// Spreads leaders evenly.
    BalanceLeader,
    /// Spreads hot regions evenly.
    BalanceHotRegion,
    /// Moves the leaders off a store whose disk is slow.
    EvictSlowStore,
    /// Moves the leaders off a store that is stopping.
    EvictStoppingStore,
    /// Moves the leaders off the stores that it was given.
    EvictLeader,
}

impl SchedulerKind {
    /// How many there are.
    pub(super) const COUNT: usize = 6;
    /// Those that a new cluster has, in the order of PD's configuration (`pd:pkg/schedule/config/config.go`).
    const DEFAULT: [Self; 5] = [
        Self::BalanceRegion,
        Self::BalanceLeader,
        Self::BalanceHotRegion,
        Self::EvictSlowStore,
        Self::EvictStoppingStore,
    ];

    /// Its name in the API and in operators.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BalanceRegion => "balance-region-scheduler",
            Self::BalanceLeader => "balance-leader-scheduler",
            Self::BalanceHotRegion => "balance-hot-region-scheduler",
            Self::EvictSlowStore => "evict-slow-store-scheduler",
            Self::EvictStoppingStore => "evict-stopping-store-scheduler",
            Self::EvictLeader => "evict-leader-scheduler",
        }
    }

    /// Its name in PD's configuration (`pd:pkg/schedule/types/type.go`).
    pub(super) fn config_type(self) -> &'static str {
        match self {
            Self::BalanceRegion => "balance-region",
            Self::BalanceLeader => "balance-leader",
            Self::BalanceHotRegion => "hot-region",
            Self::EvictSlowStore => "evict-slow-store",
            Self::EvictStoppingStore => "evict-stopping-store",
            Self::EvictLeader => "evict-leader",
        }
    }

    /// The scheduler of a name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::DEFAULT.into_iter().chain([Self::EvictLeader]).find(|kind| kind.name() == name)
    }
}

/// A pause. PD counts it in whole seconds of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) at: Duration,
    pub(super) until: Duration,
}

impl Pause {
    /// A pause of so many seconds; none if that is not above zero, which ends one.
    fn new(now: Duration, seconds: i64) -> Option<Self> {
        let at = Duration::from_secs(now.as_secs());
        let span = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0)?;
        Some(Self { at, until: at + Duration::from_secs(span) })
    }
}

/// One scheduler of PD's configuration.
#[derive(Debug, Clone)]
pub(super) struct Scheduler {
    pub(super) kind: SchedulerKind,
    /// It was removed. PD keeps those in its configuration that every new cluster has.
    pub(super) disabled: bool,
    pause: Option<Pause>,
}

impl Scheduler {
    /// Its pause, if it has one now.
    pub(super) fn pause(&self, now: Duration) -> Option<Pause> {
        self.pause.filter(|pause| now < pause.until)
    }
}

/// Why a scheduler was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum SchedulerError {
    #[error("[PD:scheduler:ErrSchedulerExisted]scheduler existed")]
    Existed,
    #[error("[PD:scheduler:ErrSchedulerNotFound]scheduler not found")]
    NotFound,
}

/// A checker: what looks at one region after the other (`pd:pkg/schedule/checker`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CheckerKind {
    Learner,
    Replica,
    Rule,
    Split,
    Merge,
    JointState,
    Affinity,
}

impl CheckerKind {
    const ALL: [(Self, &str); 7] = [
        (Self::Learner, "learner"),
        (Self::Replica, "replica"),
        (Self::Rule, "rule"),
        (Self::Split, "split"),
        (Self::Merge, "merge"),
        (Self::JointState, "joint-state"),
        (Self::Affinity, "affinity"),
    ];

    /// The checker of a name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, own)| *own == name).map(|(kind, _)| kind)
    }
}

/// All of them.
#[derive(Debug, Clone)]
pub(super) struct Schedulers {
    /// In the order of PD's configuration.
    list: Vec<Scheduler>,
    /// The ids of the stores that evict-leader-scheduler was given.
    evicted: BTreeSet<u64>,
    pauses: Vec<(CheckerKind, Pause)>,
}

impl Default for Schedulers {
    fn default() -> Self {
        let list = SchedulerKind::DEFAULT.map(|kind| Scheduler { kind, disabled: false, pause: None });
        Self { list: list.into(), evicted: BTreeSet::new(), pauses: Vec::new() }
    }
}

impl Schedulers {
    /// Those of PD's configuration, the removed ones among them.
    pub(super) fn configured(&self) -> &[Scheduler] {
        &self.list
    }

    /// Those that exist.
    pub(super) fn existing(&self) -> impl Iterator<Item = &Scheduler> {
        self.list.iter().filter(|scheduler| !scheduler.disabled)
    }

    /// One that exists.
    pub(super) fn get(&self, kind: SchedulerKind) -> Option<&Scheduler> {
        self.existing().find(|scheduler| scheduler.kind == kind)
    }

    /// Whether it exists and is not paused. Whether scheduling is halted is another matter: see
    /// [`super::schedule::runs`].
    pub(super) fn runs(&self, kind: SchedulerKind, now: Duration) -> bool {
        self.get(kind).is_some_and(|scheduler| scheduler.pause(now).is_none())
    }

    /// Adds one.
    pub(super) fn add(&mut self, kind: SchedulerKind) -> Result<(), SchedulerError> {
        if self.get(kind).is_some() {
            return Err(SchedulerError::Existed);
        }
        match self.list.iter_mut().find(|scheduler| scheduler.kind == kind) {
            Some(scheduler) => scheduler.disabled = false,
            None => self.list.push(Scheduler { kind, disabled: false, pause: None }),
        }
        Ok(())
    }

    /// Removes one.
    pub(super) fn remove(&mut self, kind: SchedulerKind) -> Result<(), SchedulerError> {
        self.get(kind).ok_or(SchedulerError::NotFound)?;
        if SchedulerKind::DEFAULT.contains(&kind) {
            for scheduler in self.list.iter_mut().filter(|scheduler| scheduler.kind == kind) {
                (scheduler.disabled, scheduler.pause) = (true, None);
            }
        } else {
            self.list.retain(|scheduler| scheduler.kind != kind);
        }
        if kind == SchedulerKind::EvictLeader {
            self.evicted.clear();
        }
        Ok(())
    }

    /// Gives evict-leader-scheduler another store; adds it first if it does not exist.
    pub(super) fn evict_leaders_of(&mut self, store: u64) {
        if self.get(SchedulerKind::EvictLeader).is_none() {
            self.list.push(Scheduler { kind: SchedulerKind::EvictLeader, disabled: false, pause: None });
        }
        self.evicted.insert(store);
    }

    /// Takes a store from evict-leader-scheduler, which goes with its last one.
    pub(super) fn cease_evicting(&mut self, store: u64) -> Result<(), SchedulerError> {
        if !self.evicted.remove(&store) {
            return Err(SchedulerError::NotFound);
        }
        if self.evicted.is_empty() { self.remove(SchedulerKind::EvictLeader) } else { Ok(()) }
    }

    /// The ids of the stores that evict-leader-scheduler was given; empty if it does not exist.
    pub(super) fn evicted(&self) -> &BTreeSet<u64> {
        &self.evicted
    }

    /// Pauses one, or all if none is named, for so many seconds; 0 ends a pause.
    pub(super) fn pause(
        &mut self,
        kind: Option<SchedulerKind>,
        now: Duration,
        seconds: i64,
    ) -> Result<(), SchedulerError> {
        if kind.is_some_and(|kind| self.get(kind).is_none()) {
            return Err(SchedulerError::NotFound);
        }
        for scheduler in self.list.iter_mut().filter(|scheduler| kind.is_none_or(|kind| scheduler.kind == kind)) {
            scheduler.pause = Pause::new(now, seconds);
        }
        Ok(())
    }

    /// Pauses a checker for so many seconds; 0 ends a pause.
    pub(super) fn pause_checker(&mut self, kind: CheckerKind, now: Duration, seconds: i64) {
        self.pauses.retain(|(paused, _)| *paused != kind);
        self.pauses.extend(Pause::new(now, seconds).map(|pause| (kind, pause)));
    }

    /// Whether a checker is paused.
    pub(super) fn is_checker_paused(&self, kind: CheckerKind, now: Duration) -> bool {
        self.pauses.iter().any(|(paused, pause)| *paused == kind && now < pause.until)
    }

    /// A new PD leader knows of no pause.
    pub(super) fn forget_pauses(&mut self) {
        self.pauses.clear();
        self.list.iter_mut().for_each(|scheduler| scheduler.pause = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_millis(10_500);

    #[test]
    fn a_pause_ends_by_itself_or_by_another_of_no_length() {
        let mut schedulers = Schedulers::default();
        schedulers.pause(None, NOW, 5).unwrap();
        assert!(!schedulers.runs(SchedulerKind::BalanceLeader, Duration::from_millis(14_999)));
        assert!(schedulers.runs(SchedulerKind::BalanceLeader, Duration::from_secs(15)));
        schedulers.pause(Some(SchedulerKind::BalanceLeader), NOW, 0).unwrap();
        assert!(schedulers.runs(SchedulerKind::BalanceLeader, NOW));
        assert!(!schedulers.runs(SchedulerKind::BalanceRegion, NOW));
        schedulers.pause_checker(CheckerKind::Rule, NOW, 5);
        assert!(schedulers.is_checker_paused(CheckerKind::Rule, NOW));
        assert!(!schedulers.is_checker_paused(CheckerKind::Merge, NOW));
        schedulers.forget_pauses();
        assert!(schedulers.runs(SchedulerKind::BalanceRegion, NOW));
        assert!(!schedulers.is_checker_paused(CheckerKind::Rule, NOW));
    }

    #[test]
    fn pd_remembers_the_removed_ones_that_every_cluster_has() {
        let mut schedulers = Schedulers::default();
        let kind = SchedulerKind::BalanceHotRegion;
        schedulers.remove(kind).unwrap();
        assert_eq!(schedulers.remove(kind), Err(SchedulerError::NotFound));
        assert_eq!(schedulers.pause(Some(kind), NOW, 5), Err(SchedulerError::NotFound));
        assert!(!schedulers.runs(kind, NOW));
        assert_eq!(schedulers.configured().len(), 5);
        schedulers.add(kind).unwrap();
        assert_eq!(schedulers.add(kind), Err(SchedulerError::Existed));
        assert!(schedulers.runs(kind, NOW));
    }

    #[test]
    fn evict_leader_goes_with_its_last_store() {
        let mut schedulers = Schedulers::default();
        schedulers.evict_leaders_of(1);
        schedulers.evict_leaders_of(4);
        schedulers.cease_evicting(1).unwrap();
        assert!(schedulers.runs(SchedulerKind::EvictLeader, NOW));
        assert_eq!(schedulers.cease_evicting(1), Err(SchedulerError::NotFound));
        schedulers.cease_evicting(4).unwrap();
        assert!(schedulers.get(SchedulerKind::EvictLeader).is_none());
        assert_eq!(schedulers.configured().len(), 5);
    }
}
