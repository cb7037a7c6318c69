//! A Prometheus beside the cluster, as `compose/` has one: it scrapes every node at its interval of virtual time, keeps
//! the samples of the last hour, and answers queries over them.

mod api;

use std::time::Duration;

use fastrand::Rng;

pub(super) use api::answer;

use super::api as nodes;
use super::metrics::{self, Family};
use super::model::{Model, Place};
use super::promql::{Labels, METRIC_NAME, Point, STALE, SeriesId, Storage};
use super::{Topology, instant};
use crate::http::{HttpError, Request};

/// Where it is reached.
pub(super) const AUTHORITY: &str = "prometheus:9090";
/// `scrape_interval` of `compose/`, which is that of the official rules of PD and TiKV.
const INTERVAL: Duration = Duration::from_secs(15);
/// `scrape_timeout`, by default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long samples are kept at least.
const RETENTION: Duration = Duration::from_hours(1);

/// A sample that a target showed at its last scrape: its family, the values of its labels, and its series here. A
/// scrape that shows the same again need not look the series up.
#[derive(Debug, Clone)]
struct Known {
    family: &'static Family,
    values: Vec<String>,
    series: SeriesId,
}

/// One target.
#[derive(Debug, Clone)]
struct Target {
    job: &'static str,
    instance: String,
    next: Duration,
    /// When it was last scraped, and why that failed; empty if it did not.
    last: Option<(Duration, String)>,
    up: SeriesId,
    known: Vec<Known>,
}

impl Target {
    /// One that is first scraped at this time.
    fn new(job: &'static str, instance: String, next: Duration, storage: &mut Storage) -> Self {
        let labels: Labels = [(METRIC_NAME, "up"), ("instance", &instance), ("job", job)].into_iter().collect();
        let up = storage.series(&labels);
        Self { job, instance, next, last: None, up, known: Vec::new() }
    }
}

/// All targets and what they showed.
#[derive(Debug, Clone, Default)]
pub(super) struct Prometheus {
    targets: Vec<Target>,
    storage: Storage,
    next: Duration,
    /// When old samples are forgotten next.
    next_cleanup: Duration,
}

impl Prometheus {
    /// One that has scraped nothing yet.
    pub(super) fn new(topology: &Topology) -> Self {
        // Prometheus spreads the targets over the interval by a hash; drawing from the model's own chance would change
        // its future.
        let mut random = Rng::with_seed(topology.seed);
        let mut storage = Storage::default();
        let pds = (0..topology.pd).map(|index| ("pd", format!("pd{index}:2379")));
        let stores = (0..topology.tikv).map(|index| ("tikv", format!("tikv{index}:20180")));
        let targets: Vec<Target> = pds
            .chain(stores)
            .map(|(job, instance)| Target::new(job, instance, INTERVAL.mul_f64(random.f64()), &mut storage))
            .collect();
        let next = targets.iter().map(|target| target.next).min().unwrap_or(Duration::MAX);
        Self { targets, storage, next, next_cleanup: Duration::ZERO }
    }

    /// A store more to scrape, from this time on.
    pub(super) fn add_store(&mut self, index: usize, from: Duration) {
        self.targets.push(Target::new("tikv", format!("tikv{index}:20180"), from, &mut self.storage));
        self.next = self.next.min(from);
    }
}

/// Scrapes the targets whose time has come.
pub(super) fn step(model: &mut Model, now: Duration) {
    if now < model.prometheus.next {
        return;
    }
    // The model is only read from while what was scraped is written.
    let mut prometheus = std::mem::take(&mut model.prometheus);
    let Prometheus { targets, storage, next, next_cleanup } = &mut prometheus;
    for target in targets.iter_mut().filter(|target| now >= target.next) {
        scrape(model, target, storage);
        target.next += INTERVAL;
    }
    if now >= *next_cleanup {
        *next_cleanup = now + INTERVAL;
        storage.forget(milliseconds(now.saturating_sub(RETENTION)));
    }
    *next = targets.iter().map(|target| target.next).min().unwrap_or(Duration::MAX);
    model.prometheus = prometheus;
}

fn milliseconds(since_start: Duration) -> i64 {
    instant(since_start).as_millisecond()
}

/// A failed scrape ends the target's series, and one that does not show a sample any more ends that sample's.
fn scrape(model: &Model, target: &mut Target, storage: &mut Storage) {
    let at = milliseconds(target.next);
    let place = target.instance.split_once(':').and_then(|(host, _)| model.place(host));
    let failure = failure(model, &target.instance);
    storage.append(target.up, Point { at, value: if failure.is_none() { 1.0 } else { 0.0 } });
    let gone = match place.filter(|_| failure.is_none()) {
        Some(place) => take_samples(model, place, target, at, storage),
        None => std::mem::take(&mut target.known),
    };
    target.last = Some((target.next, failure.unwrap_or_default()));
    for old in gone.into_iter().filter(|old| target.known.iter().all(|new| new.series != old.series)) {
        storage.append(old.series, Point { at, value: STALE });
    }
}

/// Why a scrape of a node has no answer now, in Prometheus' words; nothing if it has one.
fn failure(model: &Model, instance: &str) -> Option<String> {
    let reason = match nodes::reach(model, &Request::get(instance, "/metrics", TIMEOUT)) {
        Ok(nodes::Reached::Prometheus | nodes::Reached::Answers(_)) => return None,
        Ok(nodes::Reached::Hangs) | Err(HttpError::TimedOut { .. }) => "context deadline exceeded",
        Err(HttpError::Refused { .. }) => "connect: connection refused",
        Err(_) => "no such host",
    };
    Some(format!("Get \"http://{instance}/metrics\": {reason}"))
}

/// Appends what a node shows, and returns what is not where the scrape before had it. As long as a node shows the same
/// samples, they stand in the same places.
fn take_samples(model: &Model, place: Place, target: &mut Target, at: i64, storage: &mut Storage) -> Vec<Known> {
    let Target { job, instance, known, .. } = target;
    let (mut position, mut gone) = (0, Vec::new());
    metrics::collect(model, place, &mut |family: &'static Family, labels, value| {
        let same = known.get(position).filter(|known| {
            std::ptr::eq(known.family, family) && known.values.iter().eq(labels.iter().map(|(_, value)| *value))
        });
        let series = if let Some(known) = same {
            known.series
        } else {
            let own = [(METRIC_NAME, family.name), ("instance", instance.as_str()), ("job", *job)];
            let series = storage.series(&own.into_iter().chain(labels.iter().copied()).collect());
            let values = labels.iter().map(|(_, value)| (*value).to_owned()).collect();
            let new = Known { family, values, series };
            match known.get_mut(position) {
                Some(old) => gone.push(std::mem::replace(old, new)),
                None => known.push(new),
            }
            series
        };
        storage.append(series, Point { at, value });
        position += 1;
    });
    gone.extend(known.drain(position..));
    gone
}
