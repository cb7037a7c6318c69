//! What is done to the nodes from outside, by faults and their undoing.

use std::time::Duration;

use super::model::{Model, Place};
use super::process::Process;
use super::region::Silence;
use super::store::{CONNECT_TIMEOUT, CONNECTED_AFTER};
use super::{lines, shutdown};

/// A connection over which packets vanish is given up after this long: gRPC's keepalive time-out is also the time for
/// which TCP waits for an acknowledgement (`grpc:src/core/lib/iomgr/tcp_posix.cc`; recorded in `store-partition`: 3.5 s).
pub(super) const CUT_NOTICED: std::ops::Range<f64> = 3.0..3.5;
/// One whose other end does not act is given up when a keepalive has no answer: sent after 10 s, for which it waits 3 s
/// (`tikv:src/server/config.rs`, `grpc-keepalive-time` and `-timeout`).
const PAUSE_NOTICED: std::ops::Range<f64> = 10.0..13.0;

/// A span between two numbers of seconds.
pub(super) fn draw(seconds: &std::ops::Range<f64>, random: &mut fastrand::Rng) -> Duration {
    Duration::from_secs_f64(seconds.start + (seconds.end - seconds.start) * random.f64())
}

impl Model {
    pub(super) fn process_mut(&mut self, place: Place) -> &mut Process {
        self.all_regions_due = true;
        match place {
            Place::Pd(index) => &mut self.members[index].process,
            Place::Tikv(index) => &mut self.stores[index].process,
        }
    }

    /// Starts a node's process. One that runs is left alone.
    pub(super) fn start(&mut self, place: Place) {
        let now = self.now;
        if self.process(place).running_since().is_some() {
            return;
        }
        self.process_mut(place).start(now);
        match place {
            Place::Pd(index) => lines::pd_starts(&mut self.log, now, &self.members[index].name),
            Place::Tikv(index) => lines::tikv_starts(&mut self.log, now, &self.stores[index].name),
        }
    }

    /// Ends a node's process at once. One that has ended is left alone.
    pub(super) fn kill(&mut self, place: Place, code: i64) {
        let now = self.now;
        match place {
            _ if self.process(place).running_since().is_none() => {}
            Place::Pd(index) => self.end_member(index, now, code),
            Place::Tikv(index) => self.end_store(index, now, code),
        }
    }

    /// Asks a node's process to end in order. One that does not act does nothing.
    pub(super) fn terminate(&mut self, place: Place) {
        let now = self.now;
        match place {
            _ if !self.process(place).acts() => {}
            Place::Pd(index) => {
                self.hand_pd_over(index, None, now);
                self.end_member(index, now, 0);
            }
            Place::Tikv(index) if self.stores[index].ready.is_none() => self.end_store(index, now, 0),
            Place::Tikv(index) => shutdown::begin(self, index, now),
        }
    }

    /// PD's leader hands over to another member, which may be a certain one; any other member does nothing. Returns
    /// whether somebody takes over.
    pub(super) fn hand_pd_over(&mut self, index: usize, to: Option<usize>, now: Duration) -> bool {
        let winner = self.leadership.hand_over(index, to, now, &self.members, &mut self.random);
        if let Some(winner) = winner {
            let (here, term) = (&self.members[index], self.leadership.term);
            lines::pd_hands_over(&mut self.log, now, here, self.members[winner].id, term);
            for (other, member) in self.members.iter().enumerate().filter(|(other, _)| *other != index) {
                if member.serves(now) {
                    lines::pd_key_expired(&mut self.log, now, member, other == winner);
                }
            }
        }
        winner.is_some()
    }

    /// Stops a node's process in its tracks.
    pub(super) fn pause(&mut self, place: Place) {
        let heard = self.process(place).reachable();
        let now = self.now;
        self.process_mut(place).pause(now);
        if heard && !self.process(place).reachable() {
            self.silence(place, &PAUSE_NOTICED);
        }
    }

    /// Cuts a node off from all others and from the observer.
    pub(super) fn cut(&mut self, place: Place) {
        let heard = self.process(place).reachable();
        let now = self.now;
        self.process_mut(place).cut(now);
        if heard {
            self.silence(place, &CUT_NOTICED);
        }
    }

    /// Lets a node's process go on. One that is not paused is left alone.
    pub(super) fn resume(&mut self, place: Place) {
        let now = self.now;
        let slept = !self.process(place).acts() && self.process(place).running_since().is_some();
        self.process_mut(place).resume();
        if let (true, Place::Tikv(index)) = (slept, place) {
            // Its timers have run out meanwhile.
            let store = &mut self.stores[index];
            store.next_heartbeat = store.next_heartbeat.max(now);
        }
        if slept {
            self.hear(place);
        }
    }

    /// Connects a node again. One that is not cut off is left alone.
    pub(super) fn reconnect(&mut self, place: Place) {
        let was_cut = self.process(place).is_cut();
        self.process_mut(place).reconnect();
        if was_cut {
            self.hear(place);
        }
    }

    /// A node whose process runs on cannot be heard any more.
    fn silence(&mut self, place: Place, noticed: &std::ops::Range<f64>) {
        let now = self.now;
        match place {
            Place::Pd(index) => self.leadership.lose_member(index, true, now, &self.members, &mut self.random),
            Place::Tikv(index) if self.stores[index].ready.is_some() => {
                let noticed = now + draw(noticed, &mut self.random);
                let store = &mut self.stores[index];
                store.connected = false;
                store.connects = None;
                store.noticed = Some(noticed);
                store.next_connect_timeout = Duration::MAX;
                self.lose_store(Silence { store: index, at: now, noticed, lives: true });
            }
            Place::Tikv(_) => {}
        }
    }

    /// A node may be heard again.
    fn hear(&mut self, place: Place) {
        let now = self.now;
        match place {
            _ if !self.process(place).reachable() => {}
            Place::Pd(index) => self.leadership.regain_member(index),
            Place::Tikv(index) if self.stores[index].ready.is_some() => {
                // A connection whose loss nobody has noticed is simply used on.
                if self.stores[index].noticed.take().is_some() {
                    self.connect(index, now);
                } else {
                    self.stores[index].connects = Some(now + CONNECTED_AFTER);
                }
                self.store_heard(index, now);
            }
            Place::Tikv(_) => {}
        }
    }

    fn end_member(&mut self, index: usize, now: Duration, code: i64) {
        self.members[index].process.exit(now, code);
        self.leadership.lose_member(index, false, now, &self.members, &mut self.random);
    }

    /// A store's process ends, which the others notice at once by the reset of their connections.
    pub(super) fn end_store(&mut self, index: usize, now: Duration, code: i64) {
        let store = &mut self.stores[index];
        let heard = store.process.reachable();
        store.process.exit(now, code);
        store.ready = None;
        store.connected = false;
        store.connects = None;
        store.shutdown = None;
        self.lose_store(Silence { store: index, at: now, noticed: now, lives: false });
        if heard {
            self.stores[index].noticed = None;
            self.stores[index].next_connect_timeout = now + CONNECT_TIMEOUT;
            self.write_both_ways(index, |log, here, there| lines::connection_lost(log, now, here, there));
        }
    }

    fn lose_store(&mut self, silence: Silence) {
        self.refresh_links();
        for region in &mut self.regions {
            region.lose_store(silence, &self.links, &mut self.random);
        }
    }
}
