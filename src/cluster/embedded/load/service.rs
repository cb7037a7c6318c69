//! How long stores take for an operation: a queueing model of processor, disk and network, in closed form. Times are
//! medians in seconds unless said otherwise.

use std::time::Duration;

use super::super::resources::Resources;
use super::spread::Bell;

/// What the recorded client and the network to it add to what the store takes.
const CLIENT: f64 = 0.000_6;
/// A `raw_get` (fixtures/recordings/baseline-metrics.prom.gz, `tikv_grpc_msg_duration_seconds`).
const GET: f64 = 0.000_7;
/// Reading one more record of a scan. Guessed: none was recorded.
const SCAN_RECORD: f64 = 0.000_01;
/// A scan of YCSB takes up to 100 records, evenly spread (`go-ycsb:workloads/workloade`).
pub(super) const SCAN_RECORDS: f64 = 50.5;
/// A `raw_put` without its way through Raft.
const PUT: f64 = 0.001;
/// What Raft takes to commit, beside the disks and the network (`tikv_raftstore_commit_log_duration_seconds`).
const COMMIT: f64 = 0.001_45;
/// What is left of a write once it is committed (`tikv_raftstore_apply_log_duration_seconds`).
const APPLY: f64 = 0.000_55;
/// The way to another store and back.
const ROUND_TRIP: f64 = 0.000_3;
/// The median of the recorded disk times, against their mean.
const MEDIAN_OF_MEAN: f64 = 0.75;
/// A packet that is lost is sent again after this long (TCP's least retransmission time-out on Linux).
const RETRANSMIT: f64 = 0.2;
/// Seconds of a core for an operation, from the recorded `process_cpu_seconds_total`: a store that leads a third of the
/// regions under 60 operations a second takes 0.08 cores more than one without load.
const CPU_READ: f64 = 0.001;
/// As above, for a write on its leader.
const CPU_WRITE: f64 = 0.003;
/// As above, for a write on another replica.
const CPU_REPLICA: f64 = 0.002;
/// Cores that a store takes without load (fixtures/recordings/prometheus-ranges.json.gz).
pub(in super::super) const CPU_IDLE: f64 = 0.044;
/// No queue is longer than at this utilization; what is offered beyond it the closed loop of the clients keeps away.
const BUSIEST: f64 = 0.995;
/// Bytes that the disk writes for one byte of a record: the Raft log, the write-ahead log and compactions. Guessed.
const WRITE_AMPLIFICATION: f64 = 4.0;

/// What is asked of a store each second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Demand {
    /// Reads that it serves.
    pub(super) reads: f64,
    /// Writes that it leads.
    pub(super) writes: f64,
    /// Writes that it replicates, its own among them.
    pub(super) replicated: f64,
    /// Bytes of those.
    pub(super) bytes: f64,
}

impl Demand {
    /// Cores that the demand takes.
    pub(super) fn cores(self) -> f64 {
        let followed = (self.replicated - self.writes).max(0.0);
        CPU_READ * self.reads + CPU_WRITE * self.writes + CPU_REPLICA * followed
    }
}

/// How fast a store is under its demand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Pace {
    /// How much longer the processor's part of everything takes than in an idle store with a core of its own.
    stretch: f64,
    /// Making an entry of the Raft log durable.
    append: f64,
    /// From the proposal to the commit, as a mean over its regions.
    commit: f64,
    /// What the network between client and store adds.
    delay: f64,
    /// The part of the round trips in which a packet is lost.
    loss: f64,
}

impl Pace {
    /// A store's pace by itself; what its commits take is known when all stores' are.
    pub(super) fn of(resources: &Resources, demand: Demand) -> Self {
        let cores = resources.effective_cores().max(0.01);
        let busy = ((CPU_IDLE + demand.cores()) / cores).min(BUSIEST);
        // The queue of as many servers as there are cores, by Sakasegawa's formula.
        let wait = busy.powf((2.0 * (cores.max(1.0) + 1.0)).sqrt()) / (cores.max(1.0) * (1.0 - busy));
        let stretch = (1.0 + wait) / cores.min(1.0);
        let fsync = resources.fsync.as_secs_f64();
        // Whoever comes while the disk is busy waits for half of a write, and shares the next with all who wait.
        let shared = (demand.replicated * fsync).min(1.0);
        let taken = (WRITE_AMPLIFICATION * demand.bytes / resources.disk_bandwidth.max(1.0)).min(BUSIEST);
        let append = MEDIAN_OF_MEAN * fsync * (1.0 + 0.5 * shared) / (1.0 - taken);
        let network = resources.network;
        let loss = 1.0 - (1.0 - network.loss).powi(2);
        Self { stretch, append, commit: 0.0, delay: network.delay.as_secs_f64(), loss }
    }

    /// What the store's commits take, beside its processor.
    pub(super) fn set_commit(&mut self, quorum: f64) {
        self.commit = quorum + COMMIT * self.stretch;
    }

    pub(super) fn append(self) -> f64 {
        self.append
    }

    /// What a client waits for a read: as a rule, and if a packet is lost, with the part of such.
    pub(super) fn client_read(self, records: f64) -> [(Bell, f64); 2] {
        self.client(self.get().median + records * SCAN_RECORD * self.stretch, 2.6)
    }

    /// What a client waits for a write, with so many reads before it.
    pub(super) fn client_write(self, reads: f64) -> [(Bell, f64); 2] {
        self.client(self.put().median + reads * (self.get().median + CLIENT), 3.8)
    }

    fn client(self, server: f64, slope: f64) -> [(Bell, f64); 2] {
        let own = CLIENT + server;
        // What the network adds is the same each time.
        let bell = |more: f64| Bell { median: own + more, slope: slope * (own + more) / own };
        [(bell(self.delay), 1.0 - self.loss), (bell(self.delay + RETRANSMIT / (1.0 - self.loss).max(0.01)), self.loss)]
    }

    /// `tikv_grpc_msg_duration_seconds` of a `raw_get`.
    pub(in super::super) fn get(self) -> Bell {
        Bell { median: GET * self.stretch, slope: 2.4 }
    }

    /// `tikv_grpc_msg_duration_seconds` of a `raw_put`.
    pub(in super::super) fn put(self) -> Bell {
        Bell { median: PUT * self.stretch + self.write_path(), slope: 3.7 }
    }

    fn write_path(self) -> f64 {
        self.commit + APPLY * self.stretch
    }

    /// `tikv_storage_engine_async_request_duration_seconds` of a write.
    pub(in super::super) fn async_write(self) -> Bell {
        Bell { median: self.write_path() + 0.000_3 * self.stretch, slope: 3.5 }
    }

    /// The same of a snapshot, for a read.
    pub(in super::super) fn async_snapshot(self) -> Bell {
        Bell { median: 0.000_09 * self.stretch, slope: 2.9 }
    }

    /// `tikv_raftstore_append_log_duration_seconds`.
    pub(in super::super) fn append_log(self) -> Bell {
        Bell { median: self.append, slope: 3.3 }
    }

    /// `tikv_raftstore_commit_log_duration_seconds`.
    pub(in super::super) fn commit_log(self) -> Bell {
        Bell { median: self.commit, slope: 3.3 }
    }

    /// `tikv_raftstore_apply_log_duration_seconds`.
    pub(in super::super) fn apply_log(self) -> Bell {
        Bell { median: APPLY * self.stretch, slope: 3.3 }
    }
}

/// From one store to another and back, and what the loss of packets adds on average.
pub(super) fn round_trip(here: &Resources, there: &Resources, to: usize, from: usize) -> f64 {
    let pair = [here.network_to.get(&to), there.network_to.get(&from)];
    let paths = pair.into_iter().flatten().chain([&here.network, &there.network]);
    let (mut delay, mut kept) = (Duration::ZERO, 1.0);
    for path in paths {
        delay += path.delay;
        kept *= 1.0 - path.loss;
    }
    ROUND_TRIP + delay.as_secs_f64() + RETRANSMIT * (1.0 - kept) / kept.max(0.01)
}

/// What it takes until so many replicas have an entry: the time of the slowest of the fastest ones.
pub(super) fn quorum_time(times: &mut [f64], quorum: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(quorum.saturating_sub(1)).copied().unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(resources: &Resources, reads: f64) -> Pace {
        let mut pace = Pace::of(resources, Demand { reads, writes: 10.0, replicated: 30.0, bytes: 5_000.0 });
        pace.set_commit(pace.append() + ROUND_TRIP);
        pace
    }

    #[test]
    fn at_rest_the_times_are_the_recorded_ones() {
        // fixtures/recordings/baseline-metrics.prom.gz, sum by count.
        let pace = pace(&Resources::recorded(), 10.0);
        for (bell, recorded) in [
            (pace.get(), 0.081_962 / 95.0),
            (pace.put(), 0.299_804 / 64.0),
            (pace.append_log(), 0.454_98 / 453.0),
            (pace.commit_log(), 0.199_016 / 70.0),
            (pace.apply_log(), 0.172 / 285.0),
            (pace.async_snapshot(), 0.010_751 / 91.0),
        ] {
            let factor = bell.mean() / recorded;
            assert!((0.75..1.33).contains(&factor), "{bell:?} against {recorded}");
        }
    }

    #[test]
    fn more_demand_never_makes_a_store_faster() {
        let mut before = 0.0;
        for reads in [0.0, 10.0, 100.0, 1_000.0, 1_500.0, 1_900.0, 5_000.0] {
            let median = pace(&Resources::recorded(), reads).get().median;
            assert!(median >= before, "{reads}: {median}");
            before = median;
        }
        assert!(before > 10.0 * GET);
    }

    #[test]
    fn a_slow_disk_slows_writes_and_not_reads() {
        let slow = Resources { fsync: Duration::from_millis(200), ..Resources::recorded() };
        let (usual, slow) = (pace(&Resources::recorded(), 10.0), pace(&slow, 10.0));
        assert!(slow.put().median > 0.1);
        assert!((slow.get().median - usual.get().median).abs() < 1e-9);
    }
}
