//! The whole cluster as plain data, and the step that moves it. It can be cloned: a clone is a fork with a future of
//! its own. It reads no clock and reaches nothing outside itself.

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
use super::region::{Change, Region, StoreLink};
use super::schedule::Schedule;
use super::schedulers::Schedulers;
use super::store::{CONNECT_TIMEOUT, CONNECTED_AFTER, REFUSED_AFTER, START_UP, STORE_HEARTBEAT, Store};
use super::unsafe_recovery::{self, Recovery};
use super::{START, Topology, disk, lines, schedule, shutdown};

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
/// A store's tick comes up to so much after its time (fixtures/recordings/store-kill.jsonl: heartbeats 10.0 s apart,
/// a few hundredths late after a restart).
const TICK_LATENESS: Duration = Duration::from_millis(50);

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
        self.now += span;
        while self.stepped + STEP <= self.now {
            self.stepped += STEP;
            self.step(self.stepped);
        }
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

    fn step_store(&mut self, index: usize, now: Duration) {
        self.wait_for_connection(index, now);
        let (process, connects) = (self.stores[index].process, self.stores[index].connects);
        let Some(since) = process.running_since().filter(|_| process.acts()) else { return };
        if self.stores[index].ready.is_none() {
            if self.stores[index].view.node_state.is_removed() {
                if now >= since + REFUSED_AFTER && process.reachable() && self.leadership.leader().is_some() {
                    lines::tikv_is_tombstone(&mut self.log, now, &self.stores[index].name);
                    self.end_store(index, now, 1);
                }
                return;
            }
            if now >= since + START_UP && process.reachable() && self.leadership.leader().is_some() {
                self.store_ready(index, now);
            }
            return;
        }
        if connects.is_some_and(|at| now >= at) {
            self.store_connected(index, now);
        }
        shutdown::step(self, index, now);
        disk::step(self, index, now);
        if now >= self.stores[index].next_heartbeat {
            let removed = self.stores[index].view.node_state.is_removed();
            let heard = process.reachable() && self.pd_serves(now) && self.reaches_pd(index) && !removed;
            let jitter = self.random.f64();
            self.stores[index].heartbeat(heard, jitter);
            if heard {
                self.load.report_store(index, now);
                shutdown::tell_pd(self, index, now);
                disk::tell_pd(self, index, now);
            } else if process.is_cut() || !self.reaches_pd(index) || !process.acts() {
                lines::pd::heartbeat_failed(
                    &mut self.log,
                    now,
                    &self.stores[index].name,
                    "4-DEADLINE_EXCEEDED",
                    "Deadline Exceeded",
                );
            } else {
                lines::pd::heartbeat_failed(
                    &mut self.log,
                    now,
                    &self.stores[index].name,
                    "14-UNAVAILABLE",
                    "failed to connect to all addresses",
                );
            }
        }
    }

    /// The others notice that they cannot hear a store, and wait for a connection in vain.
    fn wait_for_connection(&mut self, lost: usize, now: Duration) {
        if let Some(noticed) = self.stores[lost].noticed.take_if(|at| now >= *at) {
            self.stores[lost].next_connect_timeout = noticed + CONNECT_TIMEOUT;
            self.write_both_ways(lost, |log, here, there| lines::connection_lost(log, noticed, here, there));
        }
        let at = self.stores[lost].next_connect_timeout;
        if self.stores[lost].connected || now < at {
            return;
        }
        self.stores[lost].next_connect_timeout = at + CONNECT_TIMEOUT;
        self.write_both_ways(lost, |log, here, there| lines::connect_timeout(log, at, here, there));
    }

    /// Each store that can be heard writes of one that cannot; if that one is only cut off, it writes of them alike.
    pub(super) fn write_both_ways(&mut self, lost: usize, write: impl Fn(&mut Log, &Store, &Store)) {
        let (there, cut) = (&self.stores[lost], self.stores[lost].acts() && self.stores[lost].process.is_cut());
        for here in self.stores.iter().filter(|store| store.id != there.id && store.serves()) {
            write(&mut self.log, here, there);
            if cut {
                write(&mut self.log, there, here);
            }
        }
    }

    fn store_ready(&mut self, index: usize, now: Duration) {
        let store = &mut self.stores[index];
        // A store that comes back heartbeats 10 s after it is ready, as the recorded one did; that the stores of a
        // new cluster have phases of their own stands for the time that they have run already.
        let late = TICK_LATENESS.mul_f64(self.random.f64());
        let first = if store.view.registered { STORE_HEARTBEAT } else { STORE_HEARTBEAT.mul_f64(self.random.f64()) };
        store.ready = Some(now);
        store.connects = Some(now + CONNECTED_AFTER);
        store.next_heartbeat = now + first + late;
        store.busy = true;
        store.view.registered = true;
        store.view.start_timestamp = (super::instant(now) + store.process.clock()).as_second();
        store.disk.restart(now);
        self.config.schedule.store_limit.entry(store.id).or_default();
        self.bootstrapped.get_or_insert(now);
        lines::tikv_ready(&mut self.log, now, &store.name);
        if let Some(leader) = self.leadership.leader() {
            lines::store_put(&mut self.log, now, &self.members[leader].name, &self.stores[index]);
        }
        self.store_heard(index, now);
    }

    /// A store that serves can be heard again.
    pub(super) fn store_heard(&mut self, index: usize, now: Duration) {
        self.refresh_links();
        if self.stores[index].view.node_state.is_removed() {
            return;
        }
        for region in &mut self.regions {
            if let Some(deposed) = region.regain_store(index, now, &self.links, &mut self.random) {
                lines::deposed(&mut self.log, now, &self.stores[index], region, deposed);
            }
        }
    }

    fn store_connected(&mut self, index: usize, now: Duration) {
        self.connect(index, now);
        let back = &self.stores[index];
        for here in self.stores.iter().filter(|store| store.serves() && store.id != back.id) {
            lines::connected(&mut self.log, now, here, back);
        }
    }

    /// The other stores have connections to a store.
    pub(super) fn connect(&mut self, index: usize, now: Duration) {
        self.stores[index].connected = true;
        self.stores[index].connects = None;
        self.refresh_links();
        if self.stores[index].view.node_state.is_removed() {
            return;
        }
        for region in &mut self.regions {
            region.reconnect(index, now);
        }
    }

    /// Does what is due of the regions.
    fn step_regions(&mut self, now: Duration) {
        let pd_reached = self.pd_serves(now);
        if std::mem::replace(&mut self.pd_reached, pd_reached) != pd_reached {
            self.refresh_links();
        }
        if std::mem::take(&mut self.all_regions_due) {
            (0..self.regions.len()).for_each(|index| self.agenda.set(index, self.region_due(index)));
        }
        while let Some(index) = self.agenda.take(now) {
            self.step_region(index, now);
            let next = self.region_due(index).max(now + STEP);
            self.agenda.set(index, next);
        }
    }

    fn region_due(&self, region: usize) -> Duration {
        self.regions[region].due(self.region_reaches_pd(region), |store| self.stores[store].acts())
    }

    /// Whether the leader of a region can report to PD.
    fn region_reaches_pd(&self, region: usize) -> bool {
        self.pd_reached && self.regions[region].leader_store().is_some_and(|store| self.links[store].reaches_pd)
    }

    fn step_region(&mut self, index: usize, now: Duration) {
        if let Some((at, change)) = self.regions[index].change
            && now >= at
        {
            self.change_leader(index, at, change);
        }
        let arrived = self.regions[index].take_snapshots(now, &self.links);
        if arrived {
            self.regions[index].next_heartbeat = now;
        }
        if now >= self.regions[index].next_heartbeat && self.region_reaches_pd(index) {
            self.report_region(index, now);
        }
        self.step_lonely_peers(index, now);
    }

    fn change_leader(&mut self, region: usize, at: Duration, change: Change) {
        self.load.touch();
        let region = &mut self.regions[region];
        match change {
            Change::Elect(winner) => {
                region.lead(winner, at, &self.links);
                let peer = &region.peers[winner];
                lines::elected(&mut self.log, at, &self.stores[peer.store], region, peer.id);
            }
            Change::StepDown => {
                if let Some(leader) = region.step_down(at, &mut self.random) {
                    let peer = &region.peers[leader];
                    lines::stepped_down(&mut self.log, at, &self.stores[peer.store], region, peer.id);
                }
            }
        }
    }

    /// The peers of a region that hear neither a leader nor a quorum: a leader steps down, the others ask for votes.
    fn step_lonely_peers(&mut self, region: usize, now: Duration) {
        let (region, stores) = (&mut self.regions[region], &self.stores);
        let acts = |store: usize| stores[store].acts();
        if let Some(index) = region.step_down_unheard(now, acts, &mut self.random) {
            let peer = &region.peers[index];
            lines::stepped_down(&mut self.log, now, &stores[peer.store], region, peer.id);
        }
        while let Some((index, at)) = region.next_campaign(now, acts, &mut self.random) {
            lines::campaign(&mut self.log, at, &stores[region.peers[index].store], region, index);
            for denier in region.deniers(index, &self.links) {
                let here = &stores[region.peers[denier].store];
                // A follower has heard the leader less than two ticks ago.
                let remaining = if region.leader == Some(denier) { 10 } else { 10 - self.random.u32(0..2) };
                lines::network::vote_ignored(&mut self.log, at, here, region, (denier, index), remaining);
            }
        }
    }

    /// A region's leader sends its heartbeat to PD.
    pub(super) fn report_region(&mut self, region: usize, now: Duration) {
        self.metrics.region_reported(self.leadership.leader(), self.regions[region].leader_store());
        let flow = self.load.report_region(region, self.regions[region].leader_store(), now);
        let region = &mut self.regions[region];
        region.flow = flow;
        if let Some((from, to)) = region.report(now, &self.links)
            && let Some(leader) = self.leadership.leader()
        {
            let pd = &self.members[leader].name;
            lines::leader_changed(&mut self.log, now, pd, region.id, self.stores[from].id, self.stores[to].id);
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
