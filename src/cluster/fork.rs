//! A copy of a cluster that can be tried things on.

use std::time::Duration;

use super::Cluster;

/// A copy of a cluster with a future of its own. It also tells what a real cluster keeps to itself.
pub trait Fork: Cluster {
    /// What its clients and its data have suffered since the cluster began.
    fn toll(&self) -> Toll;
}

/// What the clients and the data of a cluster have suffered since it began. What something has cost is the difference of
/// two of them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Toll {
    /// Operations of the load that succeeded.
    pub succeeded: u64,
    /// Operations of the load that failed.
    pub failed: u64,
    /// How many operations the load begins each second while none has to wait; 0 without a load.
    pub wanted: u32,
    /// How long groups of replicas had no leader: the mean over all of them.
    pub without_leader: Duration,
    /// How long those who place the data had no leader.
    pub without_placement: Duration,
    /// The writes of so long a time were acknowledged and are lost: the mean over the groups that clients use.
    pub lost_writes: Duration,
}
