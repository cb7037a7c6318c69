//! How stores move on: their start, their heartbeats, and the connections that the others have to them.

use std::time::Duration;

use super::super::log::Log;
use super::super::store::{CONNECT_TIMEOUT, CONNECTED_AFTER, REFUSED_AFTER, START_UP, STORE_HEARTBEAT, Store};
use super::super::{disk, instant, lines, shutdown};
use super::Model;

/// A store's tick comes up to so much after its time (fixtures/recordings/store-kill.jsonl: heartbeats 10.0 s apart,
/// a few hundredths late after a restart).
const TICK_LATENESS: Duration = Duration::from_millis(50);

impl Model {
    pub(super) fn step_store(&mut self, index: usize, now: Duration) {
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
        if self.stores[index].process.running_since().is_none() {
            return;
        }
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
    pub(in super::super) fn write_both_ways(&mut self, lost: usize, write: impl Fn(&mut Log, &Store, &Store)) {
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
        store.view.start_timestamp = (instant(now) + store.process.clock()).as_second();
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
    pub(in super::super) fn store_heard(&mut self, index: usize, now: Duration) {
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
    pub(in super::super) fn connect(&mut self, index: usize, now: Duration) {
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
}
