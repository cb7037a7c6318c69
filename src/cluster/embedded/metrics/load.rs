//! The families of a store that tell of its clients' load: histograms in closed form, and processor time. They are brought
//! up to date when somebody looks, or when the store's pace changes.

use std::sync::LazyLock;
use std::time::Duration;

use super::super::load::{Bell, CPU_IDLE, Pace, Served};
use super::super::promql::number;
use super::Take;
use super::families::{
    APPEND_LOG, APPLY_LOG, ASYNC_REQUEST, ASYNC_REQUESTS, COMMIT_LOG, CPU_SECONDS, GRPC_MESSAGE, Histogram,
};

/// A histogram and what fills it.
struct Filled {
    family: &'static Histogram,
    labels: &'static [(&'static str, &'static str)],
    /// How many there have been.
    count: fn(&Served) -> f64,
    /// How long they take.
    bell: fn(Pace) -> Bell,
}

/// In the order of names and labels, as TiKV writes them.
static HISTOGRAMS: [Filled; FILLED] = [
    Filled {
        family: &GRPC_MESSAGE,
        labels: &[("priority", "unknown"), ("type", "raw_get")],
        count: |served| served.reads,
        bell: Pace::get,
    },
    Filled {
        family: &GRPC_MESSAGE,
        labels: &[("priority", "unknown"), ("type", "raw_put")],
        count: |served| served.writes,
        bell: Pace::put,
    },
    Filled { family: &APPEND_LOG, labels: &[], count: |served| served.replicated, bell: Pace::append_log },
    Filled { family: &APPLY_LOG, labels: &[], count: |served| served.replicated, bell: Pace::apply_log },
    Filled { family: &COMMIT_LOG, labels: &[], count: |served| served.writes, bell: Pace::commit_log },
    Filled {
        family: &ASYNC_REQUEST,
        labels: &[("type", "snapshot")],
        count: |served| served.reads,
        bell: Pace::async_snapshot,
    },
    Filled {
        family: &ASYNC_REQUEST,
        labels: &[("type", "write")],
        count: |served| served.writes,
        bell: Pace::async_write,
    },
];
/// The bounds of their buckets as they are written, made once: to format them at each scrape showed in its profile.
static BOUNDS: LazyLock<[Vec<String>; FILLED]> = LazyLock::new(|| {
    let text = |bound: f64| number::value((bound * 1e5).round() / 1e5);
    std::array::from_fn(|index| HISTOGRAMS[index].family.bounds().map(text).collect())
});
/// How many there are.
const FILLED: usize = 7;
/// The most buckets that one has.
const MOST_BUCKETS: usize = 32;

/// What a store's process keeps of its load.
#[derive(Debug, Clone, Default)]
pub(super) struct LoadMetrics {
    /// Since when the process runs.
    pub(super) process: Option<Duration>,
    /// What it had served when the process started.
    from: Served,
    /// What it had served when this was brought up to date.
    seen: Served,
    histograms: [Kept; FILLED],
}

#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    below: [f64; MOST_BUCKETS],
    count: f64,
    /// Seconds.
    sum: f64,
}

impl LoadMetrics {
    /// Those of a process that has just started.
    pub(super) fn new(process: Option<Duration>, served: Served) -> Self {
        Self { process, from: served, seen: served, histograms: [Kept::default(); FILLED] }
    }

    /// Brings them up to date, given what the store has served by now and how fast it was.
    pub(super) fn settle(&mut self, served: Served, pace: Option<Pace>) {
        let before = std::mem::replace(&mut self.seen, served);
        let Some(pace) = pace else { return };
        for (kept, filled) in self.histograms.iter_mut().zip(&HISTOGRAMS) {
            let more = (filled.count)(&served) - (filled.count)(&before);
            if more <= 0.0 {
                continue;
            }
            let bell = (filled.bell)(pace);
            kept.count += more;
            kept.sum += more * bell.mean();
            let below = kept.below.iter_mut().zip(filled.family.bounds());
            below.for_each(|(below, bound)| *below += more * bell.below(bound));
        }
    }

    /// Seconds of a core that the process has taken for its clients and for itself.
    pub(super) fn processor(&self, uptime: Duration) -> [f64; 2] {
        [(self.seen.processor() - self.from.processor()).max(0.0), CPU_IDLE * uptime.as_secs_f64()]
    }

    pub(super) fn collect_processor(&self, uptime: Duration, take: &mut Take) {
        // TiKV counts whole seconds.
        take(&CPU_SECONDS, &[], self.processor(uptime).iter().sum::<f64>().floor());
    }

    /// The histograms whose family's name begins so.
    pub(super) fn collect(&self, prefix: &str, take: &mut Take) {
        for ((own, kept), bounds) in HISTOGRAMS.iter().zip(&self.histograms).zip(BOUNDS.iter()) {
            if own.family.bucket.name.starts_with(prefix) {
                kept.collect(own, bounds, take);
            }
        }
    }

    /// `tikv_storage_engine_async_request_total`.
    pub(super) fn collect_requests(&self, take: &mut Take) {
        let since = |count: fn(&Served) -> f64| (count(&self.seen) - count(&self.from)).max(0.0).floor();
        let [reads, writes, refused] = [since(|had| had.reads), since(|had| had.writes), since(|had| had.refused)];
        for (status, kind, count) in [
            ("all", "snapshot", reads),
            ("all", "write", writes + refused),
            ("err_disk_full", "snapshot", 0.0),
            ("err_disk_full", "write", refused),
            ("success", "snapshot", reads),
            ("success", "write", writes),
        ] {
            take(&ASYNC_REQUESTS, &[("status", status), ("type", kind)], count);
        }
    }
}

impl Kept {
    fn collect(&self, own: &Filled, bounds: &[String], take: &mut Take) {
        let family = own.family;
        let mut labels = own.labels.to_vec();
        labels.push(("le", ""));
        let last = labels.len() - 1;
        for (bound, below) in bounds.iter().zip(self.below) {
            labels[last].1 = bound;
            // Rounded, so that the last of a whole number is not said to be longer than all bounds.
            take(&family.bucket, &labels, below.round().min(self.count.floor()));
        }
        labels[last].1 = "+Inf";
        take(&family.bucket, &labels, self.count.floor());
        take(&family.sum, own.labels, self.sum);
        take(&family.count, own.labels, self.count.floor());
    }
}
