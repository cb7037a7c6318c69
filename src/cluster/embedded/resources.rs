//! What a store's machine gives it: processor, memory, disk and network, as plain numbers that faults change.

use std::collections::BTreeMap;
use std::time::Duration;

/// The way of packets in one direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Path {
    /// How long a packet takes beyond what it takes in the recorded cluster, one way.
    pub(super) delay: Duration,
    /// The part of the packets that is lost, 0 to 1.
    pub(super) loss: f64,
}

impl Path {
    /// As in the recorded cluster: nothing added, nothing lost.
    pub(super) const CLEAR: Self = Self { delay: Duration::ZERO, loss: 0.0 };
}

/// What a store has to work with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Resources {
    /// The processor's cores that it may use: `tikv_server_cpu_cores_quota`.
    pub(super) cores: f64,
    /// The part of them that it gets, 0 to 1: less if a neighbour takes them.
    pub(super) cpu_share: f64,
    /// Bytes that its process may use before the kernel ends it.
    pub(super) memory: u64,
    /// The mean time in which the disk makes a write durable.
    pub(super) fsync: Duration,
    /// Bytes a second that the disk takes.
    pub(super) disk_bandwidth: f64,
    /// Bytes on its disk that others take.
    pub(super) foreign_bytes: u64,
    /// Bytes of the disk that TiKV keeps in reserve (`storage.reserve-space`).
    pub(super) reserve: u64,
    /// Writes are refused for want of space.
    pub(super) disk_full: bool,
    /// All its packets, both ways.
    pub(super) network: Path,
    /// Its packets to single stores, by index, in addition.
    pub(super) network_to: BTreeMap<usize, Path>,
}

impl Resources {
    /// Those of a store of the recorded cluster (fixtures/recordings/baseline-metrics.prom.gz): its quotas of processor
    /// and memory, and the mean of `tikv_raftstore_append_log_duration_seconds`. How much its disk could take at most
    /// was not recorded.
    pub(super) fn recorded() -> Self {
        Self {
            cores: 2.0,
            cpu_share: 1.0,
            memory: 25_276_510_208,
            fsync: Duration::from_millis(1),
            disk_bandwidth: 200e6,
            foreign_bytes: 0,
            reserve: 0,
            disk_full: false,
            network: Path::CLEAR,
            network_to: BTreeMap::new(),
        }
    }

    /// Cores that it really gets.
    pub(super) fn effective_cores(&self) -> f64 {
        self.cores * self.cpu_share
    }
}
