//! What regions and stores were asked for, worked out from what the clients got done when somebody wants to know.

use std::ops::AddAssign;
use std::time::Duration;

use super::super::resources::Resources;
use super::client::Client;
use super::client::Obstacle;
use super::connection::Connection;
use super::service::{Demand, Pace, SCAN_RECORDS};

/// A key of the clients' table, in bytes: `usertable:user` and twelve digits.
const KEY: f64 = 26.0;
/// What TiKV counts for a write beside key and value (fixtures/recordings/hot-region.hotspot.jsonl: 169 bytes for a
/// value of 100).
const WRITE_OVERHEAD: f64 = 43.0;
/// TiKV counts two keys for a `raw_put` (fixtures/recordings/hot-region.hotspot.jsonl: 60 keys a second on each store
/// with 30 writes a second).
const KEYS_OF_WRITE: f64 = 2.0;

/// Reads and writes of records.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in super::super) struct Flow {
    pub(in super::super) written_bytes: f64,
    pub(in super::super) written_keys: f64,
    pub(in super::super) read_bytes: f64,
    pub(in super::super) read_keys: f64,
    /// Requests that read.
    pub(in super::super) read_queries: f64,
}

impl Flow {
    /// Of so many operations of a client that only read and that write.
    pub(super) fn of(client: &Client, operations: [f64; 2]) -> Self {
        let [reads, writes] = client.requests(operations);
        let value = f64::from(client.spec.value_size);
        let read_keys = reads * client.records_of_read();
        Self {
            written_bytes: writes * (KEY + value + WRITE_OVERHEAD),
            written_keys: writes * KEYS_OF_WRITE,
            read_bytes: read_keys * (KEY + value),
            read_keys,
            read_queries: reads,
        }
    }

    /// The bytes of the records that a client adds with so many writes.
    pub(super) fn inserted(client: &Client, writes: f64) -> u64 {
        let added = writes * client.spec.workload.mix().insert / client.parts()[1].max(1e-12);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes of a second")]
        let bytes = (added * (KEY + f64::from(client.spec.value_size))) as u64;
        bytes
    }

    /// What came after an earlier sum.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            written_bytes: self.written_bytes - before.written_bytes,
            written_keys: self.written_keys - before.written_keys,
            read_bytes: self.read_bytes - before.read_bytes,
            read_keys: self.read_keys - before.read_keys,
            read_queries: self.read_queries - before.read_queries,
        }
    }

    /// The flow of a second, if this is that of such a span.
    pub(in super::super) fn rate(self, span: Duration) -> Self {
        let seconds = span.as_secs_f64().max(1e-3);
        Self {
            written_bytes: self.written_bytes / seconds,
            written_keys: self.written_keys / seconds,
            read_bytes: self.read_bytes / seconds,
            read_keys: self.read_keys / seconds,
            read_queries: self.read_queries / seconds,
        }
    }
}

impl AddAssign for Flow {
    fn add_assign(&mut self, other: Self) {
        self.written_bytes += other.written_bytes;
        self.written_keys += other.written_keys;
        self.read_bytes += other.read_bytes;
        self.read_keys += other.read_keys;
        self.read_queries += other.read_queries;
    }
}

impl Client {
    /// The reads and writes of so many operations that only read and that write.
    pub(super) fn requests(&self, [reading, writing]: [f64; 2]) -> [f64; 2] {
        [reading + writing * self.reads_of_write(), writing]
    }

    /// How many reads a second it begins if none has to wait for long.
    pub(super) fn reads_per_second(&self) -> f64 {
        self.parts()[0] * self.outlook.pace * f64::from(self.spec.threads)
    }

    /// How many records a read returns.
    fn records_of_read(&self) -> f64 {
        let mix = self.spec.workload.mix();
        let reads = mix.read + mix.scan + mix.read_modify_write;
        if reads > 0.0 { (reads + mix.scan * (SCAN_RECORDS - 1.0)) / reads } else { 1.0 }
    }
}

/// What a region was asked for. For reads and for writes, in this order.
#[derive(Debug, Clone, Default)]
pub(super) struct RegionFlow {
    /// The region's version when its shares were worked out.
    pub(super) version: u64,
    /// The part of each client's keys that it has.
    pub(super) shares: Vec<f64>,
    /// What each client had got done, for all keys, when this was last worked out.
    seen: Vec<[f64; 2]>,
    /// What stands in the way of those who want something of it.
    pub(super) obstacles: [Option<Obstacle>; 2],
    /// The store that led it last.
    pub(super) leader: Option<usize>,
    /// Since when its leader hears no quorum.
    pub(super) alone_since: Option<Duration>,
    /// The writes so far.
    writes: f64,
    /// The sum so far, since the region's last heartbeat.
    pub(super) sum: Flow,
    /// When that was.
    pub(super) reported: Duration,
}

impl RegionFlow {
    /// How many writes it has had.
    pub(super) fn written(&self, clients: &[Client]) -> f64 {
        let parts = clients.iter().zip(&self.seen).zip(&self.shares);
        let more = parts.map(|((client, seen), share)| share * (client.tally[1] - seen[1]));
        self.writes + if self.obstacles[1].is_none() { more.sum() } else { 0.0 }
    }

    /// Adds what the clients have got done meanwhile.
    pub(super) fn settle(&mut self, clients: &[Client]) {
        self.seen.resize(clients.len(), [0.0; 2]);
        self.writes = self.written(clients);
        for ((client, seen), share) in clients.iter().zip(&mut self.seen).zip(&self.shares) {
            let mut done = [0.0; 2];
            for kind in 0..2 {
                if self.obstacles[kind].is_none() {
                    done[kind] = share * (client.tally[kind] - seen[kind]);
                }
            }
            *seen = client.tally;
            self.sum += Flow::of(client, done);
        }
    }

    /// A client that begins has got nothing done before.
    pub(super) fn set_shares(&mut self, shares: Vec<f64>, clients: &[Client]) {
        self.shares = shares;
        self.seen = clients.iter().map(|client| client.tally).collect();
    }
}

/// What a store has done since its process started.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in super::super) struct Served {
    /// Reads that it served.
    pub(in super::super) reads: f64,
    /// Writes that it led.
    pub(in super::super) writes: f64,
    /// Writes that it replicated, its own among them.
    pub(in super::super) replicated: f64,
    /// Writes that it refused for want of space.
    pub(in super::super) refused: f64,
    pub(in super::super) flow: Flow,
}

impl Served {
    /// Seconds of a core that it took.
    pub(in super::super) fn processor(self) -> f64 {
        let Self { reads, writes, replicated, .. } = self;
        Demand { reads, writes, replicated, bytes: 0.0 }.cores()
    }
}

/// What a store was asked for. For reads and for writes, in this order.
#[derive(Debug, Clone, Default)]
pub(super) struct StoreFlow {
    /// The part of each client's operations that it serves.
    pub(super) leads: Vec<[f64; 2]>,
    /// The part of each client's writes that it replicates.
    pub(super) replicates: Vec<f64>,
    /// What each client had got done, for all keys, when this was last worked out.
    seen: Vec<[f64; 2]>,
    /// What it had done when this was last worked out.
    served: Served,
    /// How fast it is.
    pub(super) pace: Option<Pace>,
    /// What it had sent PD with its last heartbeat.
    pub(super) told: Flow,
    pub(super) told_at: Duration,
    /// What it had to work with when the load was last looked over.
    pub(super) resources: Option<Resources>,
    /// The clients' connection to it.
    pub(super) connection: Connection,
}

impl StoreFlow {
    /// What it has done so far.
    pub(super) fn served(&self, clients: &[Client]) -> Served {
        let mut served = self.served;
        let parts = clients.iter().zip(&self.seen).zip(self.leads.iter().zip(&self.replicates));
        for ((client, seen), (leads, replicates)) in parts {
            let [reads, writes] = [0, 1].map(|kind| client.tally[kind] - seen[kind]);
            let [all_reads, all_writes] = client.requests([reads * leads[0], writes * leads[1]]);
            served.reads += all_reads;
            served.writes += all_writes;
            served.replicated += writes * replicates;
            served.flow += Flow::of(client, [reads * leads[0], writes * replicates]);
        }
        served
    }

    /// It refuses a write for want of space.
    pub(super) fn refuse(&mut self) {
        self.served.refused += 1.0;
    }

    /// Fixes what it has done so far, before what it serves changes.
    pub(super) fn settle(&mut self, clients: &[Client]) {
        self.served = self.served(clients);
        self.seen.clear();
        self.seen.extend(clients.iter().map(|client| client.tally));
    }
}
