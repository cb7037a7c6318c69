//! The whole cluster as plain data, and the step that moves it. It can be cloned: a clone is a fork with a future of
//! its own. It reads no clock and reaches nothing outside itself.

mod regions;
mod stores;

use std::time::Duration;

use fastrand::Rng;

use super::agenda::Agenda;
use super::faults::{self, Ongoing};
use super::layout::{self, Allocator};
use super::lifecycle::{self, Lifecycle};
use super::load::{self, HotRegions, Load};
use super::log::Log;
use super::metrics::{self, Metrics};
use super::network::Network;
use super::pd::{Leadership, Member, Phase, Turn};
use super::pd_config::PdConfig;
use super::process::Process;
use super::prometheus::{self, Prometheus};
use super::region::{Region, StoreLink};
use super::schedule::Schedule;
use super::schedulers::Schedulers;
use super::store::Store;
use super::unsafe_recovery::{self, Recovery};
use super::{START, Topology, lines, schedule};

/// How far one step goes.
pub(super) const STEP: Duration = Duration::from_millis(100);
/// A running store finds a new PD leader about so long after it serves: in the `pd-leader-kill` recording a heartbeat
/// 2.2 s after that moment was lost, and one 3.1 s after it arrived.
const PD_CLIENT_RECONNECTS: Duration = Duration::from_secs(3);
/// PD tries its heartbeat streams this often (`pd:pkg/schedule/hbstream/heartbeat_streams.go`).
const KEEPALIVE: Duration = Duration::from_mins(1);
/// A member looks so often whether it should lead in place of the leader (`pd:server/config/config.go`,
/// `LeaderPriorityCheckInterval`).
const PRIORITY_CHECK: Duration = Duration::from_mins(1);
/// A node, by its role and its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A member of PD.
    Pd(usize),
    /// A store.
    Tikv(usize),
}

/// The state of everything. Times are spans since [`START`].
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) now: Duration,
    /// How far the steps have come: at most one step behind `now`.
    stepped: Duration,
    pub(super) random: Rng,
    pub(super) cluster_id: u64,
    /// When the first store made it a cluster.
    pub(super) bootstrapped: Option<Duration>,
    pub(super) members: Vec<Member>,
    pub(super) leadership: Leadership,
    pub(super) stores: Vec<Store>,
    pub(super) regions: Vec<Region>,
    /// What regions need to know of each store, as of the last step or act.
    pub(super) links: Vec<StoreLink>,
    /// When each region has something to do.
    pub(super) agenda: Agenda,
    /// Something happened that may bring forward what is due of any region.
    pub(super) all_regions_due: bool,
    /// Stores reached PD at the last step.
    pd_reached: bool,
    next_keepalive: Duration,
    next_priority_check: Duration,
    /// Where the ids of stores, regions and peers come from.
    pub(super) ids: Allocator,
    pub(super) schedule: Schedule,
    pub(super) lifecycle: Lifecycle,
    pub(super) recovery: Recovery,
    /// What can be changed of PD's configuration.
    pub(super) config: PdConfig,
    /// Which of PD's schedulers and checkers run.
    pub(super) schedulers: Schedulers,
    pub(super) load: Load,
    pub(super) log: Log,
    pub(super) metrics: Metrics,
    pub(super) prometheus: Prometheus,
    /// Which nodes cannot talk to which.
    pub(super) network: Network,
    /// What lies on the nodes.
    pub(super) ongoing: Ongoing,
}

impl Model {
    /// A cluster whose processes were not started yet.
    pub(super) fn new(topology: &Topology) -> Self {
        let mut random = Rng::with_seed(topology.seed);
        let mut ids = Allocator::default();
        let members = layout::members(topology, &mut random);
        let stores = layout::stores(topology, &mut ids, &mut random);
        let regions = layout::regions(topology, &mut ids, &mut random);
        Self {
            now: Duration::ZERO,
            stepped: Duration::ZERO,
            // PD makes it of the time and a random number (`pd:pkg/utils/etcdutil/etcdutil.go`).
            bootstrapped: None,
            cluster_id: START.as_second().unsigned_abs() << 32 | u64::from(random.u32(..)),
            members,
            leadership: Leadership::new(),
            links: stores.iter().map(|store| store.link(true, Vec::new())).collect(),
            stores,
            agenda: Agenda::new(regions.len()),
            regions,
            all_regions_due: true,
            pd_reached: false,
            next_keepalive: Duration::MAX,
            next_priority_check: Duration::MAX,
            ids,
            schedule: Schedule::default(),
            lifecycle: Lifecycle::default(),
            recovery: Recovery::default(),
            config: PdConfig::default(),
            schedulers: Schedulers::default(),
            load: Load::new(topology.load, topology.tikv, topology.seed),
            log: Log::default(),
            metrics: Metrics::new(topology),
            prometheus: Prometheus::new(topology),
            network: Network::default(),
            ongoing: Ongoing::default(),
            random,
        }
    }

    /// The node of a name.
    pub(super) fn place(&self, name: &str) -> Option<Place> {
        let pd = self.members.iter().position(|member| member.name.as_str() == name).map(Place::Pd);
        pd.or_else(|| self.stores.iter().position(|store| store.name.as_str() == name).map(Place::Tikv))
    }

    /// The process of a node.
    pub(super) fn process(&self, place: Place) -> Process {
        match place {
            Place::Pd(index) => self.members[index].process,
            Place::Tikv(index) => self.stores[index].process,
        }
    }

    /// Moves on. What is left of the span after the last whole step is carried over.
    pub(super) fn advance(&mut self, span: Duration) {
        let until = self.now + span;
        while self.stepped + STEP <= until {
            self.stepped += STEP;
            // What is read of the model meanwhile, as by Prometheus, is of this time.
            self.now = self.stepped;
            self.step(self.stepped);
        }
        self.now = until;
    }

    /// The state of a store has changed.
    pub(super) fn refresh_links(&mut self) {
        self.links = (0..self.stores.len())
            .map(|index| self.stores[index].link(self.reaches_pd(index), self.network.cut_from(index)))
            .collect();
        self.all_regions_due = true;
        self.load.touch();
    }

    fn step(&mut self, now: Duration) {
        faults::step(self, now);
        if let Some(turn) = self.leadership.step(now, &self.members, &mut self.random) {
            self.pd_turns(turn, now);
        }
        for index in 0..self.stores.len() {
            self.step_store(index, now);
        }
        self.step_regions(now);
        if let Phase::Serving { leader, since } = self.leadership.phase {
            if now >= self.next_keepalive {
                self.keep_streams_alive(leader, now);
            }
            lifecycle::step(self, now);
            unsafe_recovery::step(self, now);
            schedule::step(self, since, now);
            if now >= self.next_priority_check {
                self.check_priorities(leader, now);
            }
        }
        load::step(self, now);
        metrics::step(self, now);
        prometheus::step(self, now);
    }

    /// Whether a store can talk to PD's leader, should there be one.
    pub(super) fn reaches_pd(&self, store: usize) -> bool {
        self.leadership.leader().is_none_or(|leader| self.talk(Place::Tikv(store), Place::Pd(leader)))
    }

    /// Whether a store that can be heard has found PD's leader.
    fn pd_serves(&self, now: Duration) -> bool {
        matches!(self.leadership.phase, Phase::Serving { since, .. } if now >= since + PD_CLIENT_RECONNECTS)
    }

    fn pd_turns(&mut self, turn: Turn, now: Duration) {
        match turn {
            Turn::Elected(winner) => {
                let lost = self.leadership.key.map(|member| self.members[member].id);
                for here in self.members.iter().filter(|member| member.serves(now)) {
                    lines::etcd_elected(&mut self.log, now, here, lost, self.members[winner].id, self.leadership.term);
                }
            }
            Turn::QuorumLost { leader, term } => {
                for here in self.members.iter().filter(|member| member.serves(now)) {
                    lines::pd::quorum_lost(&mut self.log, now, here, leader.map(|leader| &self.members[leader]), term);
                }
            }
            Turn::KeyExpired(winner) => {
                for (index, here) in self.members.iter().enumerate().filter(|(_, member)| member.serves(now)) {
                    lines::pd_key_expired(&mut self.log, now, here, index == winner);
                }
            }
            Turn::Leads(winner) => {
                lines::pd_leads(&mut self.log, now, &self.members[winner]);
                let clock = self.members[winner].process.clock();
                for store in &mut self.stores {
                    store.view.reload();
                    store.view.clock = clock;
                }
                self.regions.iter_mut().for_each(Region::forget_reports);
                self.schedule.reload();
                self.lifecycle = Lifecycle::default();
                self.recovery = Recovery::default();
                if self.stores.iter().any(|store| store.view.registered) {
                    self.ids.rebase();
                }
                self.schedulers.forget_pauses();
                self.load.hot = HotRegions::default();
                self.next_keepalive = now + KEEPALIVE;
                self.next_priority_check = now + PRIORITY_CHECK;
            }
        }
    }

    /// A member of a higher priority than the leader's takes over.
    fn check_priorities(&mut self, leader: usize, now: Duration) {
        self.next_priority_check += PRIORITY_CHECK;
        let priority = |index: &usize| self.members[*index].leader_priority;
        let serving = (0..self.members.len()).filter(|index| self.members[*index].serves(now));
        if let Some(first) = serving.max_by_key(priority).filter(|first| priority(first) > priority(&leader)) {
            self.hand_pd_over(leader, Some(first), now);
        }
    }

    /// The regions that there are: one that has become part of another only keeps its place.
    pub(super) fn live_regions(&self) -> impl Iterator<Item = &Region> {
        self.regions.iter().filter(|region| !region.is_merged())
    }

    /// How many leaders and peers a store has, as PD knows it.
    pub(super) fn known_counts(&self, store: usize) -> (usize, usize) {
        let known = || self.regions.iter().filter(|region| region.known_leader.is_some());
        let leaders = known().filter(|region| region.known_leader_store() == Some(store)).count();
        (leaders, known().filter(|region| region.peer_on(store).is_some()).count())
    }

    fn keep_streams_alive(&mut self, leader: usize, now: Duration) {
        self.next_keepalive += KEEPALIVE;
        for store in self.stores.iter_mut().filter(|store| store.view.stream && store.process.running_since().is_none())
        {
            store.view.stream = false;
            lines::keepalive_failed(&mut self.log, now, &self.members[leader].name, store.id);
        }
    }
}
