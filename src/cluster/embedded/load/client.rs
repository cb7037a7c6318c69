//! One client: threads that each do one operation after the other at a set pace. Operations that find what they need
//! are counted in bulk; only those that have to try again are followed one by one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

use super::history::{Completed, Second};
use super::keys::Keys;
use super::spread::Spread;
use crate::cluster::LoadSpec;

/// The wait before an operation is tried again: the first and the longest, doubling in between; each is drawn between
/// half of that and all of it. The recorded operations that succeeded late did so after such times, and those that
/// failed 8.4 to 10 s after they began (fixtures/recordings/store-quorum-loss.load.jsonl).
const WAIT: (Duration, Duration) = (Duration::from_millis(80), Duration::from_millis(1_600));
/// How long a store is given to answer one request: the default of TiKV's client for Rust. In the recorded partition an
/// operation that met a hanging store could succeed 2.8 s after it began.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// A store that is out of space is asked so often before that is the operation's error (`tikv-client` 0.4:
/// `src/request/plan.rs`).
const DISK_FULL_TRIES: u32 = 10;

/// Why an attempt comes to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Obstacle {
    /// Nobody leads the region, or its store refuses connections: that is known at once.
    Refused,
    /// The store does not answer.
    Hangs,
    /// The store refuses writes for want of space.
    DiskFull,
    /// The store answers, but later than the client waits.
    Overdue,
}

/// What an operation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    /// The index of the region.
    pub(super) region: usize,
    pub(super) write: bool,
}

/// An operation that has to try again, in the order of when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Retry {
    next: Duration,
    began: Duration,
    wanted: Wanted,
    tries: u32,
    /// What the attempt that ends then met; none if it is about to begin.
    met: Option<Obstacle>,
}

/// What a client finds, as long as no region's leader and no store's pace changes.
#[derive(Debug, Clone)]
pub(super) struct Outlook {
    /// The part of the reads and of the writes that finds what it needs.
    pub(super) good: [f64; 2],
    /// The regions that do not, each with the part of all reads and writes that falls on it.
    pub(super) bad: Vec<(usize, [f64; 2])>,
    /// The latency of reads and of writes that find what they need.
    pub(super) latency: [Spread; 2],
    /// Of both, as they are mixed.
    pub(super) mixed: Spread,
    /// How many operations a second one thread begins.
    pub(super) pace: f64,
}

impl Default for Outlook {
    fn default() -> Self {
        let latency = [Spread::EMPTY, Spread::EMPTY];
        Self { good: [0.0; 2], bad: Vec::new(), latency, mixed: Spread::EMPTY, pace: 0.0 }
    }
}

/// A client and the operations that it has under way.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) spec: LoadSpec,
    pub(super) keys: Keys,
    pub(super) outlook: Outlook,
    retries: BinaryHeap<Reverse<Retry>>,
    /// Operations that were begun in bulk and do not yet make a whole one.
    carry: f64,
    /// What it got done so far, reads and writes, over the part of its keys that served.
    pub(super) tally: [f64; 2],
    /// It begins nothing more.
    pub(super) stopped: bool,
}

/// What a client got done in a second.
#[derive(Debug, Clone, Default)]
pub(super) struct Done {
    /// Reads and writes that found at once what they needed.
    pub(super) bulk: [f64; 2],
    /// What succeeded late.
    pub(super) late: Vec<Wanted>,
    /// The regions of the writes that were refused for want of space, one for each attempt.
    pub(super) refused: Vec<usize>,
}

impl Client {
    pub(super) fn new(spec: LoadSpec, keys: Keys) -> Self {
        Self {
            spec,
            keys,
            outlook: Outlook::default(),
            retries: BinaryHeap::new(),
            carry: 0.0,
            tally: [0.0; 2],
            stopped: false,
        }
    }

    /// One operation of those that begin is counted elsewhere.
    pub(super) fn spend_one(&mut self) {
        self.carry -= 1.0;
    }

    /// How many operations a second one thread begins if none has to wait.
    pub(super) fn wanted_pace(&self) -> f64 {
        if self.stopped { 0.0 } else { f64::from(self.spec.rate) / f64::from(self.spec.threads.max(1)) }
    }

    /// The part of the operations that only read and that write; together 1.
    pub(super) fn parts(&self) -> [f64; 2] {
        if let Keys::Only { .. } = self.keys {
            return [0.0, 1.0];
        }
        let mix = self.spec.workload.mix();
        [mix.read + mix.scan, mix.update + mix.insert + mix.read_modify_write]
    }

    /// How many reads come with an operation that writes.
    pub(super) fn reads_of_write(&self) -> f64 {
        let mix = self.spec.workload.mix();
        mix.read_modify_write / self.parts()[1].max(1e-12)
    }

    /// Lets it go on for a span of at most a second. `obstacle` says what stands in an operation's way, and whether it tries for the
    /// first time.
    pub(super) fn run(
        &mut self,
        Range { start, end }: Range<Duration>,
        obstacle: impl Fn(Wanted, bool) -> Option<Obstacle>,
        random: &mut Rng,
        history: &mut Second,
        done: &mut Done,
    ) {
        done.late.clear();
        done.refused.clear();
        let write_part = self.parts()[1];
        let bad_part =
            |outlook: &Outlook, write: bool| outlook.bad.iter().map(|(_, part)| part[usize::from(write)]).sum::<f64>();
        let bad = [bad_part(&self.outlook, false), bad_part(&self.outlook, true)];
        let unlucky = bad[0] * (1.0 - write_part) + bad[1] * write_part;
        let mut now = start;
        let mut begun = 0.0;
        while now < end {
            let due = self.retries.peek().map_or(end, |Reverse(retry)| retry.next).clamp(now, end);
            let free = f64::from(self.spec.threads) - count(self.retries.len());
            let rate = free.max(0.0) * self.outlook.pace;
            let until_unlucky = -(1.0 - random.f64()).ln() / (rate * unlucky).max(1e-12);
            if until_unlucky < due.saturating_sub(now).as_secs_f64() {
                now += Duration::from_secs_f64(until_unlucky);
                begun += rate * (1.0 - unlucky) * until_unlucky;
                let write = random.f64() * unlucky >= bad[0] * (1.0 - write_part);
                let region = self.draw_bad(write, bad[usize::from(write)], random);
                let retry = Retry { next: now, began: now, wanted: Wanted { region, write }, tries: 0, met: None };
                self.attempt(retry, &obstacle, random, history, done);
                continue;
            }
            begun += rate * (1.0 - unlucky) * due.saturating_sub(now).as_secs_f64();
            now = due;
            if now < end
                && let Some(Reverse(retry)) = self.retries.pop()
            {
                self.attempt(retry, &obstacle, random, history, done);
            }
        }
        self.carry += begun;
        let whole = self.carry.floor().max(0.0);
        self.carry -= whole;
        history.bulk += whole;
        let writes = (whole * write_part * (1.0 - bad[1]) / (1.0 - unlucky).max(1e-12)).min(whole);
        done.bulk = [whole - writes, writes];
    }

    fn draw_bad(&self, write: bool, bad: f64, random: &mut Rng) -> usize {
        let mut drawn = random.f64() * bad;
        for (region, part) in &self.outlook.bad {
            drawn -= part[usize::from(write)];
            if drawn < 0.0 {
                return *region;
            }
        }
        self.outlook.bad.last().map_or(0, |(region, _)| *region)
    }

    /// Goes on with an operation whose time has come.
    fn attempt(
        &mut self,
        mut retry: Retry,
        obstacle: &impl Fn(Wanted, bool) -> Option<Obstacle>,
        random: &mut Rng,
        history: &mut Second,
        done: &mut Done,
    ) {
        let now = retry.next;
        let deadline = retry.began + self.spec.timeout;
        let Some(met) = retry.met.take() else {
            match obstacle(retry.wanted, retry.tries == 0) {
                None => {
                    let service = self.outlook.latency[usize::from(retry.wanted.write)].quantile(random.f64());
                    let latency = now.saturating_sub(retry.began).as_secs_f64() + service;
                    history.complete(Completed { began: retry.began, latency, write: retry.wanted.write, error: None });
                    done.late.push(retry.wanted);
                }
                Some(met) => {
                    if met == Obstacle::DiskFull {
                        done.refused.push(retry.wanted.region);
                    }
                    retry.met = Some(met);
                    retry.next = match met {
                        Obstacle::Hangs => (now + REQUEST_TIMEOUT).min(deadline),
                        Obstacle::Overdue => deadline,
                        Obstacle::Refused | Obstacle::DiskFull => now,
                    };
                    self.retries.push(Reverse(retry));
                }
            }
            return;
        };
        retry.tries += 1;
        let (first, longest) = WAIT;
        let wait = (first * 2_u32.saturating_pow(retry.tries - 1).min(1 << 10)).min(longest);
        let next = now + wait.mul_f64(0.5 + 0.5 * random.f64());
        let hopeless = met == Obstacle::DiskFull && retry.tries >= DISK_FULL_TRIES;
        if hopeless || next > deadline {
            let latency = now.saturating_sub(retry.began).as_secs_f64();
            history.complete(Completed { began: retry.began, latency, write: retry.wanted.write, error: Some(met) });
        } else {
            self.retries.push(Reverse(Retry { next, ..retry }));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of threads and operations")]
fn count(threads: usize) -> f64 {
    threads as f64
}
