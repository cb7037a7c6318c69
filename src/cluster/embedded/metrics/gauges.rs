//! What nodes keep for their `/metrics` between two scrapes: counters, and gauges that they set now and then.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::Topology;
use super::super::load::Load;
use super::super::model::Model;
use super::super::pd::Phase;
use super::super::store::Store;
use super::load::LoadMetrics;
use super::log_lag::{self, Behind, LogLag};
use super::pd::ClusterGauges;

/// PD's leader sets the gauges of the cluster this often (`pd:server/cluster/cluster.go`,
/// `metricsCollectionJobInterval`), and a store those of its regions
/// (`tikv:components/raftstore/src/store/worker/pd.rs`).
const FLUSH: Duration = Duration::from_secs(10);

/// What a member of PD keeps. It begins anew with its process.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct MemberMetrics {
    process: Option<Duration>,
    /// The term in which it last saw a leader of etcd, and who that was.
    seen: Option<(u64, usize)>,
    pub(super) leader_changes: u64,
    /// How long it led PD before it last began to, and since when it does.
    led: (Duration, Option<Duration>),
    /// It leads PD, or has.
    pub(super) has_led: bool,
    /// How often its clock was set back.
    pub(super) time_jumps: u64,
    /// How often it has found its clock behind the timestamps that it had given as PD's leader, before the clock was last
    /// set.
    slow_timestamps: u64,
    /// Since when it is behind them, and by how much at first.
    behind: Option<(Duration, Duration)>,
    /// The heartbeats of regions that it took from each store.
    pub(super) region_heartbeats: Vec<u64>,
    /// What became of operators, by event and by who wanted them.
    pub(in super::super) operators: BTreeMap<(&'static str, &'static str), u64>,
    /// What the rule checker found, by event.
    pub(in super::super) rule_checker: BTreeMap<&'static str, u64>,
}

impl MemberMetrics {
    /// How often it found its clock behind the timestamps that it had given, at one look each 50 ms
    /// (`pd:pkg/tso/tso.go`, `UpdateTimestampStep`), until the clock had caught up.
    pub(super) fn slow_timestamps(&self, now: Duration) -> u64 {
        let looks = |(since, by): (Duration, Duration)| now.saturating_sub(since).min(by).as_millis() / 50;
        self.slow_timestamps + self.behind.map_or(0, |behind| u64::try_from(looks(behind)).unwrap_or(u64::MAX))
    }

    /// How long it has led PD.
    pub(super) fn led_for(&self, now: Duration) -> Duration {
        self.led.0 + self.led.1.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// The leader of etcd that the member believes in.
    pub(super) fn etcd_leader(&self) -> Option<usize> {
        self.seen.map(|(_, leader)| leader)
    }
}

/// What a store keeps. It begins anew with its process.
#[derive(Debug, Clone, Default)]
pub(super) struct StoreMetrics {
    process: Option<Duration>,
    /// How many regions it has and leads, once it has counted them.
    pub(super) regions: Option<(u64, u64)>,
    /// Capacity, space and use in bytes, once it has looked.
    pub(super) size: Option<(u64, u64, u64)>,
    /// The heartbeats of regions that it has sent.
    pub(super) region_heartbeats: u64,
    pub(super) load: LoadMetrics,
    pub(super) log_lag: LogLag,
}

/// What all nodes keep.
#[derive(Debug, Clone)]
pub(in super::super) struct Metrics {
    pub(in super::super) members: Vec<MemberMetrics>,
    pub(super) stores: Vec<StoreMetrics>,
    /// By the region's index.
    pub(super) behind: Vec<Behind>,
    /// What PD's leader last said of the cluster, and who that was.
    pub(super) cluster: Option<(usize, ClusterGauges)>,
    next_cluster: Duration,
    next_stores: Duration,
}

impl Metrics {
    pub(in super::super) fn new(topology: &Topology) -> Self {
        Self {
            members: vec![MemberMetrics::default(); topology.pd],
            stores: vec![StoreMetrics::default(); topology.tikv],
            behind: Vec::new(),
            cluster: None,
            next_cluster: Duration::ZERO,
            next_stores: Duration::ZERO,
        }
    }

    /// A store more.
    pub(in super::super) fn add_store(&mut self) {
        self.stores.push(StoreMetrics::default());
    }

    /// The clock of a member was set, back by this much if at all; the leader has given timestamps that are ahead of it
    /// then.
    pub(in super::super) fn clock_set(&mut self, member: usize, leads: bool, back: Option<Duration>, now: Duration) {
        let metrics = &mut self.members[member];
        metrics.slow_timestamps = metrics.slow_timestamps(now);
        metrics.behind = back.filter(|_| leads).map(|by| (now, by));
        metrics.time_jumps += u64::from(back.is_some());
    }

    /// Brings what stores keep of their load up to date, before their pace changes.
    pub(in super::super) fn settle_load(&mut self, stores: &[Store], load: &Load) {
        for (index, (store, metrics)) in stores.iter().zip(&mut self.stores).enumerate() {
            let (process, served) = (store.process.running_since(), load.served(index));
            if metrics.load.process != process {
                metrics.load = LoadMetrics::new(process, served);
            }
            metrics.load.settle(served, load.pace(index));
        }
    }

    /// A store has sent a region's heartbeat to PD's leader.
    pub(in super::super) fn region_reported(&mut self, pd_leader: Option<usize>, store: Option<usize>) {
        let Some(store) = store else { return };
        self.stores[store].region_heartbeats += 1;
        let stores = self.stores.len();
        if let Some(leader) = pd_leader {
            let taken = &mut self.members[leader].region_heartbeats;
            taken.resize(stores, 0);
            taken[store] += 1;
        }
    }
}

/// Every node looks after its metrics.
pub(in super::super) fn step(model: &mut Model, now: Duration) {
    for index in 0..model.members.len() {
        step_member(model, index, now);
    }
    let leader = model.leadership.leader();
    if leader.is_none() || model.metrics.cluster.as_ref().is_some_and(|(of, _)| Some(*of) != leader) {
        model.metrics.cluster = None;
    }
    if let Phase::Serving { leader, since } = model.leadership.phase {
        model.metrics.members[leader].has_led = true;
        model.metrics.next_cluster = model.metrics.next_cluster.max(since + FLUSH);
        if now >= model.metrics.next_cluster {
            model.metrics.next_cluster = now + FLUSH;
            model.metrics.cluster = Some((leader, ClusterGauges::of(model, now)));
        }
    }
    if now >= model.metrics.next_stores {
        model.metrics.next_stores = now + FLUSH;
        step_stores(model);
        log_lag::step(model, FLUSH);
    }
}

fn step_member(model: &mut Model, index: usize, now: Duration) {
    let member = &model.members[index];
    let process = member.process.running_since();
    if model.metrics.members[index].process != process {
        model.metrics.members[index] = MemberMetrics { process, ..MemberMetrics::default() };
    }
    let metrics = &mut model.metrics.members[index];
    let leads = model.leadership.leader() == Some(index);
    if leads != metrics.led.1.is_some() {
        metrics.led = (metrics.led_for(now), leads.then_some(now));
    }
    if !member.serves(now) {
        return;
    }
    let metrics = &mut model.metrics.members[index];
    match model.leadership.phase {
        Phase::Serving { leader, .. }
        | Phase::KeyHeld { winner: leader, .. }
        | Phase::Campaigning { winner: leader, .. } => {
            let seen = Some((model.leadership.term, leader));
            if metrics.seen != seen {
                metrics.seen = seen;
                metrics.leader_changes += 1;
            }
        }
        // Until it asks for votes itself it believes in the leader that it had.
        Phase::Electing { .. } => {}
        Phase::Lost { .. } => metrics.seen = None,
    }
}

fn step_stores(model: &mut Model) {
    let mut counts = vec![(0, 0); model.stores.len()];
    for region in &model.regions {
        for peer in &region.peers {
            counts[peer.store].0 += 1;
        }
        if let Some(store) = region.leader_store() {
            counts[store].1 += 1;
        }
    }
    for ((store, metrics), counts) in model.stores.iter().zip(&mut model.metrics.stores).zip(counts) {
        let process = store.process.running_since();
        if metrics.process != process {
            let load = std::mem::take(&mut metrics.load);
            *metrics = StoreMetrics { process, load, ..StoreMetrics::default() };
        }
        if store.acts() {
            metrics.regions = Some(counts);
            metrics.size = Some((store.capacity, store.disk.available(), store.used));
        }
    }
}
