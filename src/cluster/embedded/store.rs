//! A TiKV store: its process, what it will report next, and the view that PD has of it from its heartbeats.

use std::time::Duration;

use jiff::SignedDuration;
use serde::Serialize;

use super::disk::Disk;
use super::process::Process;
use super::region::StoreLink;
use super::resources::Resources;
use crate::reading::NodeName;

/// A store reports to PD this often (`tikv:components/raftstore/src/store/config.rs`,
/// `pd-store-heartbeat-tick-interval`).
pub(super) const STORE_HEARTBEAT: Duration = Duration::from_secs(10);
/// From the start of the process to `TiKV is ready to serve` (fixtures/recordings/store-kill.log.gz: 0.57 s).
pub(super) const START_UP: Duration = Duration::from_millis(570);
/// From the start of the process of a store that PD has removed to its end (fixtures/recordings/
/// remedy-unsafe-recovery.log.gz: 0.25 s).
pub(super) const REFUSED_AFTER: Duration = Duration::from_millis(250);
/// From ready to the first connection of another store, which tries again each second or so
/// (fixtures/recordings/store-kill.log.gz: 0.9 s, `connection established`).
pub(super) const CONNECTED_AFTER: Duration = Duration::from_millis(900);
/// How long a store waits for a connection before it says so and tries again (`tikv:src/server/raft_client.rs`,
/// `wait_for_connected`).
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// PD writes a store's last heartbeat to etcd this often (`pd:pkg/core/store.go`, `storePersistInterval`).
const PERSIST_INTERVAL: Duration = Duration::from_mins(5);
/// A store silent for longer is Disconnected (`pd:pkg/core/store.go`, `storeDisconnectDuration`).
pub(super) const DISCONNECTED_AFTER: Duration = Duration::from_secs(20);

/// The cores that a store needs to keep up with the recorded load. Guessed: how much of them the recorded stores used
/// depends on how they were built.
const CORES_NEEDED: f64 = 0.5;
/// Bytes that a store takes when it has just started. Guessed.
const MEMORY_AT_START: u64 = 160 << 20;
/// Bytes that a store takes under the recorded load (fixtures/recordings/baseline-metrics.prom.gz).
const MEMORY_AT_EASE: u64 = 263_286_784;
/// Bytes a second by which it grows. Guessed.
const MEMORY_GROWTH: u64 = 2 << 20;

/// A time by a clock that is ahead, or behind.
fn shifted(time: Duration, ahead: SignedDuration) -> Duration {
    let amount = ahead.unsigned_abs();
    if ahead.is_negative() { time.saturating_sub(amount) } else { time.saturating_add(amount) }
}

/// What a heartbeat says of a store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stats {
    /// Bytes.
    pub(super) capacity: u64,
    /// Bytes, as of its last look at its disk.
    pub(super) available: u64,
    /// Bytes.
    pub(super) used: u64,
    /// It has just started and still applies its log.
    pub(super) busy: bool,
    /// The mean of its slow-trend probes, in µs.
    pub(super) cause_value: f64,
}

/// A store of a small cluster is not low on space while it has more than this, in bytes (`pd:pkg/core/store.go`,
/// `initialMinSpace`).
const ENOUGH_SPACE: u64 = 8 << 30;
/// A cluster is small if its stores have fewer regions (`pd:pkg/core/store.go`, `InitClusterRegionThreshold`).
const SMALL_CLUSTER: usize = 100;

impl Stats {
    /// Whether less of the capacity is left than the configuration allows.
    #[expect(clippy::cast_precision_loss, reason = "sizes of disks are far below 2^52")]
    pub(super) fn is_scarce(&self, low_space_ratio: f64) -> bool {
        (self.available as f64) < self.capacity as f64 * (1.0 - low_space_ratio)
    }

    /// Whether scarce space is plenty, as so few regions need little.
    pub(super) fn is_plenty_for(&self, regions: usize) -> bool {
        regions < SMALL_CLUSTER && self.available > ENOUGH_SPACE
    }
}

/// Where a store stands in the cluster (`kvproto:proto/metapb.proto`, `NodeState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum NodeState {
    /// It is new.
    Preparing = 0,
    #[default]
    Serving = 1,
    /// Its regions are moved away: `Offline` in PD's older words.
    Removing = 2,
    /// It has left for good: `Tombstone`.
    Removed = 3,
}

impl NodeState {
    /// Whether it is to stay: `Up`.
    pub(super) fn is_up(self) -> bool {
        matches!(self, Self::Preparing | Self::Serving)
    }

    /// Whether it has left.
    pub(super) fn is_removed(self) -> bool {
        self == Self::Removed
    }
}

/// A label of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Label {
    pub(super) key: String,
    pub(super) value: String,
}

/// How much of the leaders and of the regions a store should have, relative to the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Weight {
    pub(super) leader: f64,
    pub(super) region: f64,
}

impl Default for Weight {
    fn default() -> Self {
        Self { leader: 1.0, region: 1.0 }
    }
}

/// What PD knows of a store.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    /// The store has told PD of itself.
    pub(super) registered: bool,
    pub(super) node_state: NodeState,
    /// It was removed by force, and cannot be taken back.
    pub(super) physically_destroyed: bool,
    /// How many leaders and regions PD shows for good of a store that was removed.
    pub(super) counts_at_removal: Option<(usize, usize)>,
    /// How slow its disk is, from 1 to 100; 0 while it has said nothing of it.
    pub(super) slow_score: u64,
    /// When its process started by its own clock, in Unix seconds.
    pub(super) start_timestamp: i64,
    pub(super) labels: Vec<Label>,
    pub(super) weight: Weight,
    pub(super) last_heartbeat: Option<Duration>,
    /// How far the clock of PD's leader is ahead.
    pub(super) clock: SignedDuration,
    /// How far the clock was ahead by which the last heartbeat came.
    pub(super) heartbeat_clock: SignedDuration,
    /// The last heartbeat as etcd has it.
    persisted: Option<Duration>,
    /// None until this PD leader has had a heartbeat.
    pub(super) stats: Option<Stats>,
    /// PD holds a heartbeat stream to it.
    pub(super) stream: bool,
    /// The store has said that it is stopping: when PD's scheduler looks at it, or has looked.
    pub(super) stopping: Option<Duration>,
    /// PD moves its leaders away.
    pub(super) evicting: bool,
}

impl View {
    /// How long PD has heard nothing; none if it never heard anything.
    pub(super) fn silence(&self, now: Duration) -> Option<Duration> {
        let shift = self.clock.saturating_sub(self.heartbeat_clock);
        self.last_heartbeat.map(|heartbeat| shifted(now, shift).saturating_sub(heartbeat))
    }

    /// Whether PD has heard of it of late.
    pub(super) fn is_connected(&self, now: Duration) -> bool {
        self.silence(now).is_some_and(|silence| silence <= DISCONNECTED_AFTER)
    }

    /// The state's name, as of now; a store silent for longer than `max_store_down_time` is Down.
    pub(super) fn state_name(&self, now: Duration, max_store_down_time: Duration) -> &'static str {
        if self.node_state == NodeState::Removing {
            "Offline"
        } else if self.node_state.is_removed() {
            "Tombstone"
        } else if self.silence(now).is_none_or(|silence| silence > max_store_down_time) {
            "Down"
        } else if self.is_connected(now) {
            "Up"
        } else {
            "Disconnected"
        }
    }

    /// Whether PD may move leaders to the store.
    pub(super) fn is_target(&self, now: Duration) -> bool {
        self.is_connected(now) && self.stopping.is_none() && self.stats.is_some_and(|stats| !stats.busy)
    }

    fn take(&mut self, stats: Stats, now: Duration) {
        self.last_heartbeat = Some(now);
        self.heartbeat_clock = self.clock;
        self.stats = Some(stats);
        self.stream = true;
        if self.persisted.is_none_or(|persisted| now.saturating_sub(persisted) > PERSIST_INTERVAL) {
            self.persisted = Some(now);
        }
    }

    /// What a new PD leader finds in etcd.
    pub(super) fn reload(&mut self) {
        self.last_heartbeat = self.persisted;
        self.stats = None;
        self.slow_score = 0;
        self.stream = false;
        self.stopping = None;
        self.evicting = false;
    }
}

/// A store that was asked to end in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shutdown {
    /// When it was asked.
    pub(super) since: Duration,
    /// When it next looks how many leaders it has.
    pub(super) next_look: Duration,
    /// When its process ends, once it has none or has waited long enough.
    pub(super) ends: Option<Duration>,
}

/// One store.
#[derive(Debug, Clone)]
pub(super) struct Store {
    pub(super) name: NodeName,
    /// The id that PD gave it.
    pub(super) id: u64,
    pub(super) process: Process,
    /// Since when it serves, if it does.
    pub(super) ready: Option<Duration>,
    /// The other stores have connections to it.
    pub(super) connected: bool,
    /// When they will have them again.
    pub(super) connects: Option<Duration>,
    /// When the others will notice that they cannot hear it.
    pub(super) noticed: Option<Duration>,
    /// When the other stores next give up waiting for a connection to it.
    pub(super) next_connect_timeout: Duration,
    pub(super) shutdown: Option<Shutdown>,
    pub(super) next_heartbeat: Duration,
    /// No heartbeat has been sent since the start.
    pub(super) busy: bool,
    /// Since when its process takes more and more memory.
    pub(super) memory_pressed: Option<Duration>,
    /// Bytes.
    pub(super) capacity: u64,
    /// Bytes.
    pub(super) used: u64,
    pub(super) resources: Resources,
    pub(super) disk: Disk,
    pub(super) view: View,
}

impl Store {
    /// A store whose process was not started yet.
    pub(super) fn new(name: NodeName, capacity: u64, used: u64) -> Self {
        Self {
            name,
            id: 0,
            process: Process::NEW,
            ready: None,
            connected: false,
            connects: None,
            noticed: None,
            next_connect_timeout: Duration::MAX,
            shutdown: None,
            next_heartbeat: Duration::ZERO,
            busy: true,
            memory_pressed: None,
            capacity,
            used,
            resources: Resources::recorded(),
            disk: Disk::new(capacity.saturating_sub(used)),
            view: View::default(),
        }
    }

    /// The address that PD hands out.
    pub(super) fn address(&self) -> String {
        format!("{}:20160", self.name)
    }

    /// Whether it serves and can be heard.
    pub(super) fn serves(&self) -> bool {
        self.ready.is_some() && self.process.reachable()
    }

    /// Whether it serves, heard or not.
    pub(super) fn acts(&self) -> bool {
        self.ready.is_some() && self.process.acts()
    }

    /// What regions need to know of it. With one that was removed nobody talks.
    pub(super) fn link(&self, reaches_pd: bool, cut_from: Vec<(usize, Duration)>) -> StoreLink {
        let removed = self.view.node_state.is_removed();
        let silent = || self.process.silent_since().or(self.process.running_since()).unwrap_or_default();
        StoreLink {
            serves: if self.serves() && !removed { Ok(()) } else { Err(silent()) },
            connected: self.connected && !removed,
            reaches_pd,
            cut_from,
        }
    }

    /// How many times longer its work takes than with all the processor that it needs.
    pub(super) fn slowness(&self) -> f64 {
        (CORES_NEEDED / self.resources.effective_cores()).max(1.0)
    }

    /// The memory that its process takes, in bytes.
    pub(super) fn resident(&self, now: Duration) -> u64 {
        let grown = |since: Duration| now.saturating_sub(since).as_secs() * MEMORY_GROWTH;
        let Some(since) = self.process.running_since() else { return 0 };
        let at_ease = (MEMORY_AT_START + grown(since)).min(MEMORY_AT_EASE);
        match self.memory_pressed {
            Some(pressed) => at_ease + grown(pressed.max(since)),
            None => at_ease,
        }
    }

    /// Sends the heartbeat that is due. It is lost if PD cannot be reached.
    pub(super) fn heartbeat(&mut self, pd_reachable: bool, jitter: f64) {
        let at = self.next_heartbeat;
        self.next_heartbeat += STORE_HEARTBEAT.mul_f64(self.slowness());
        if pd_reachable && !self.view.node_state.is_removed() {
            self.report(at, jitter);
        }
    }

    /// A heartbeat reaches PD.
    pub(super) fn report(&mut self, at: Duration, jitter: f64) {
        // The recorded mean is 250 ms and a little, whatever the load (fixtures/recordings/baseline-pd-api.json).
        let cause_value = 250_000.0 + 200.0 * jitter;
        let available = self.disk.available();
        self.view.take(Stats { capacity: self.capacity, available, used: self.used, busy: self.busy, cause_value }, at);
        self.view.slow_score = self.disk.slow_score();
        self.busy = false;
    }
}
