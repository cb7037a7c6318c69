//! The clients of the cluster, and what their load does to stores and regions. Per second and client a few numbers are
//! drawn; what a region or a store was asked for is worked out when somebody wants to know.

mod client;
mod connection;
mod flow;
mod history;
mod hot;
mod keys;
mod outlook;
mod report;
mod service;
mod spread;

use std::time::Duration;

use fastrand::Rng;

pub(super) use self::flow::{Flow, Served};
pub use self::history::ClientSecond;
pub(super) use self::hot::{HotRegions, StoreRates};
use self::keys::Keys;
pub(super) use self::service::{CPU_IDLE, Pace};
pub(super) use self::spread::Bell;

use self::client::{Client, Done, Wanted};
use self::flow::{RegionFlow, StoreFlow};
use self::history::{Completed, History, Second};
use self::report::Report;
use super::layout;
use super::model::Model;
use super::region::Region;
use crate::cluster::{LoadSpec, Toll};

/// The values of a client that writes one record, in bytes (the fault of fixtures/recordings/hot-region.jsonl: 1 kB).
const HOT_VALUE: u32 = 1_000;
const SECOND: Duration = Duration::from_secs(1);
/// The routes are looked over this often even if nothing is known to have changed: regions may have been split.
const LOOK_OVER: Duration = Duration::from_secs(10);
/// One in so many of the leaders that move on in order costs a client the first wait before it tries again, the others
/// next to nothing: in all recordings of such moves there are 5 such operations for some 60 moves.
const STALE_ROUTE: f64 = 0.1;
/// Such a wait, in seconds.
const STALE_WAIT: std::ops::Range<f64> = 0.05..0.1;

/// All clients, and what came of their load.
#[derive(Debug, Clone)]
pub(super) struct Load {
    /// Watching or adding a client does not change what else is drawn.
    random: Rng,
    clients: Vec<Client>,
    /// What the first client saw.
    history: History,
    report: Report,
    regions: Vec<RegionFlow>,
    stores: Vec<StoreFlow>,
    /// What PD makes of the flows that it is told.
    pub(super) hot: HotRegions,
    /// The leaders of regions, the stores or their resources have changed.
    stale: bool,
    looked_over: Duration,
    /// The clients have begun: they wait until every region has a leader.
    began: Option<Duration>,
    next: Duration,
    /// How far the clients have come.
    moved_on: Duration,
    /// When the next lease of a leader without a quorum ends.
    leases_end: Option<Duration>,
    /// What the first client has seen since the second began.
    second: Second,
    /// What the others have seen.
    other: Second,
    done: Done,
}

impl Load {
    pub(super) fn new(spec: Option<LoadSpec>, stores: usize, seed: u64) -> Self {
        Self {
            random: Rng::with_seed(seed ^ 0x10AD),
            clients: spec.map(|spec| Client::new(spec, Keys::Spread(spec.distribution))).into_iter().collect(),
            history: History::default(),
            report: Report::default(),
            regions: Vec::new(),
            stores: vec![StoreFlow::default(); stores],
            hot: HotRegions::default(),
            stale: true,
            looked_over: Duration::ZERO,
            began: None,
            next: Duration::ZERO,
            moved_on: Duration::ZERO,
            leases_end: None,
            second: Second::default(),
            other: Second::default(),
            done: Done::default(),
        }
    }

    /// What a store has done so far.
    pub(super) fn served(&self, store: usize) -> Served {
        self.stores.get(store).map_or_else(Served::default, |flow| flow.served(&self.clients))
    }

    /// How many writes a region has had so far, but for those that had to try again.
    pub(super) fn written(&self, region: usize) -> f64 {
        self.regions.get(region).map_or(0.0, |flow| flow.written(&self.clients))
    }

    /// How fast a store is, once that is known.
    pub(super) fn pace(&self, store: usize) -> Option<Pace> {
        self.stores.get(store).and_then(|flow| flow.pace)
    }

    /// The leader of a region, the state of a store or its resources have changed.
    pub(super) fn touch(&mut self) {
        self.stale = true;
    }

    /// What the first client saw, oldest first.
    pub(super) fn rows(&self) -> Vec<ClientSecond> {
        self.history.rows.iter().cloned().collect()
    }

    /// What the first client has suffered.
    pub(super) fn toll(&self) -> Toll {
        let wanted = self.clients.first().map_or(0, |client| client.spec.rate);
        Toll { succeeded: self.history.succeeded, failed: self.history.failed, wanted, ..Toll::default() }
    }

    /// A further client begins to write one key, so often a second: the first of the table that is not below this one.
    /// Returns its number.
    pub(super) fn start_writer(&mut self, key: &str, rate: u32) -> usize {
        let table = self.clients.first().map_or(LoadSpec::RECORDED, |client| client.spec);
        let spec = LoadSpec { records: table.records, value_size: HOT_VALUE, ..LoadSpec::new(table.workload, rate) };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the number of a record")]
        let record = keys::first_record(key, f64::from(table.records)) as u32;
        self.stale = true;
        self.clients.push(Client::new(spec, Keys::Only { record }));
        self.clients.len() - 1
    }

    /// Whether a client goes on.
    pub(super) fn goes_on(&self, client: usize) -> bool {
        self.clients.get(client).is_some_and(|client| !client.stopped)
    }

    /// A client begins nothing more.
    pub(super) fn stop_client(&mut self, client: usize) {
        self.stale = true;
        self.clients[client].stopped = true;
    }

    /// The key in the middle of the records that a region has of the clients' table; none if there are not two.
    pub(super) fn middle(&self, region: &Region) -> Option<String> {
        let records = f64::from(self.clients.first()?.spec.records);
        let from = keys::first_record(&region.start_key, records);
        let to = if region.end_key.is_empty() { records } else { keys::first_record(&region.end_key, records) };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the number of a record")]
        let middle = f64::midpoint(from, to) as usize;
        (to - from >= 2.0).then(|| layout::record_key(middle))
    }

    /// The part of all keys that a region has, as far as the clients' table goes.
    fn share(&self, client: usize, region: &Region) -> f64 {
        let Client { spec, keys: wanted, .. } = &self.clients[client];
        let records = f64::from(spec.records);
        let from = keys::first_record(&region.start_key, records);
        let to = if region.end_key.is_empty() { records } else { keys::first_record(&region.end_key, records) };
        wanted.share_below(to, records) - wanted.share_below(from, records)
    }
}

/// Moves the clients on to `now`. Until then they found what they found when it was last looked over.
pub(super) fn step(model: &mut Model, now: Duration) {
    let load = &mut model.load;
    if load.clients.is_empty() {
        return;
    }
    let Some(began) = load.began else {
        if model.live_regions().all(|region| region.leader.is_some()) {
            model.load.began = Some(now);
            model.load.next = Duration::from_secs(now.as_secs() + 1);
            model.load.moved_on = now;
            outlook::look_over(model, now);
        }
        return;
    };
    let second = now >= load.next;
    let stale = load.stale || load.leases_end.is_some_and(|end| now >= end) || now >= load.looked_over + LOOK_OVER;
    if !second && !stale {
        return;
    }
    let inserted = load.advance(now);
    if inserted > 0 {
        let stores = model.stores.len() as u64;
        // Each record has three replicas, evenly spread.
        model.stores.iter_mut().for_each(|store| store.used += inserted * 3 / stores);
    }
    let mut stale = stale;
    if second {
        model.load.next = Duration::from_secs(now.as_secs() + 1);
        model.load.close_second(now);
        model.load.report.step(began, now, &mut model.log);
        stale |= outlook::watch_connections(model, now) | outlook::resources_changed(model);
    }
    if stale {
        let moved = outlook::look_over(model, now);
        model.load.meet_stale_routes(moved, now);
    }
}

impl Load {
    /// Lets the clients go on to `now`. Returns the bytes of the records that they inserted.
    fn advance(&mut self, now: Duration) -> u64 {
        let Self { clients, regions, stores, random, second, other, done, report, moved_on, .. } = self;
        let span = std::mem::replace(moved_on, now)..now;
        let mut inserted = 0;
        for (index, client) in clients.iter_mut().enumerate() {
            let seen = if index == 0 { &mut *second } else { &mut *other };
            let found = |wanted: Wanted, first| outlook::found(regions, wanted, first);
            client.run(span.clone(), found, random, seen, done);
            for kind in 0..2 {
                let good = client.outlook.good[kind];
                client.tally[kind] += if good > 0.0 { done.bulk[kind] / good } else { 0.0 };
            }
            for wanted in &done.late {
                let one = [f64::from(u8::from(!wanted.write)), f64::from(u8::from(wanted.write))];
                regions[wanted.region].sum += Flow::of(client, one);
            }
            for store in done.refused.iter().filter_map(|region| regions[*region].leader) {
                stores[store].refuse();
            }
            inserted += Flow::inserted(client, done.bulk[1]);
            if index == 0 {
                report.take_bulk(done, client);
            }
        }
        other.completed.clear();
        inserted
    }

    /// Writes down what the first client saw in the second that ends.
    fn close_second(&mut self, now: Duration) {
        let client = &self.clients[0];
        self.report.take_followed(&self.second.completed, client);
        let start = now.saturating_sub(SECOND);
        self.history.close(start, &mut self.second, &client.outlook.mixed, &mut self.random);
    }

    /// Some operations go to a leader that has moved.
    fn meet_stale_routes(&mut self, moved: usize, now: Duration) {
        for _ in 0..moved {
            if self.random.f64() < STALE_ROUTE {
                let latency = STALE_WAIT.start + (STALE_WAIT.end - STALE_WAIT.start) * self.random.f64();
                self.second.complete(Completed { began: now, latency, write: false, error: None });
                self.clients[0].spend_one();
            }
        }
    }

    /// A region's leader reports to PD: what was read and written since it last did.
    pub(super) fn report_region(&mut self, index: usize, leader: Option<usize>, now: Duration) -> Flow {
        let Some(region) = self.regions.get_mut(index) else { return Flow::default() };
        self.stale |= region.leader != leader;
        region.settle(&self.clients);
        let (flow, span) = (std::mem::take(&mut region.sum), now.saturating_sub(region.reported));
        region.reported = now;
        self.hot.take_written(index, flow, span, now);
        flow
    }

    /// A store reports to PD what was read from it and written to it since it last did.
    pub(super) fn report_store(&mut self, store: usize, now: Duration) {
        let Self { clients, regions, stores, hot, .. } = self;
        let Some(own) = stores.get_mut(store) else { return };
        let total = own.served(clients).flow;
        let told = std::mem::replace(&mut own.told, total);
        let span = now.saturating_sub(std::mem::replace(&mut own.told_at, now));
        let rate = total.since(told).rate(span);
        hot.take_store(store, rate);
        if !HotRegions::may_be_hot(rate) && !hot.watches_reads() {
            return;
        }
        for (index, region) in regions.iter().enumerate().filter(|(_, region)| region.leader == Some(store)) {
            let mut reads = Flow::default();
            for (client, share) in clients.iter().zip(&region.shares) {
                reads += Flow::of(client, [share * client.reads_per_second(), 0.0]);
            }
            hot.take_read(index, reads, now);
        }
    }
}
