//! Which nodes cannot talk to each other though both can be reached: cuts between single nodes. That a node is cut off
//! from all others is its process' affair.

use std::time::Duration;

use super::model::{Model, Place};
use super::store::CONNECT_TIMEOUT;
use super::{acts, lines};

/// No packet passes between two nodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cut {
    nodes: (Place, Place),
    /// From when on: where packets pass in one direction only, connections live on until the sender has waited in vain
    /// for an acknowledgement.
    since: Duration,
    begun: bool,
    /// When stores notice it, or wait in vain for a connection the next time; none if that is not logged.
    next_line: Option<Duration>,
    noticed: bool,
}

/// All cuts.
#[derive(Debug, Clone, Default)]
pub(super) struct Network(Vec<Cut>);

impl Network {
    /// Since when two nodes cannot talk to each other, if they cannot.
    pub(super) fn cut_since(&self, one: Place, other: Place) -> Option<Duration> {
        self.0.iter().find(|cut| cut.begun && cut.joins(one, other)).map(|cut| cut.since)
    }

    /// Whether packets are lost between two nodes, in one direction at least.
    pub(super) fn is_cut(&self, one: Place, other: Place) -> bool {
        self.0.iter().any(|cut| cut.joins(one, other))
    }

    /// The stores that a store cannot talk to, and since when.
    pub(super) fn cut_from(&self, store: usize) -> Vec<(usize, Duration)> {
        let other = |cut: &Cut| match cut.nodes {
            (Place::Tikv(one), Place::Tikv(other)) if one == store => Some((other, cut.since)),
            (Place::Tikv(one), Place::Tikv(other)) if other == store => Some((one, cut.since)),
            _ => None,
        };
        self.0.iter().filter(|cut| cut.begun).filter_map(other).collect()
    }
}

impl Cut {
    fn joins(&self, one: Place, other: Place) -> bool {
        self.nodes == (one, other) || self.nodes == (other, one)
    }
}

impl Model {
    /// Whether two nodes can talk to each other as far as cuts between single nodes go.
    pub(super) fn talk(&self, one: Place, other: Place) -> bool {
        self.network.cut_since(one, other).is_none()
    }

    /// Lets no packet pass between a node and others any more. If packets still pass in one direction, connections live
    /// on for a while.
    pub(super) fn separate(&mut self, place: Place, others: &[Place], one_way: bool) {
        let now = self.now;
        let live_on = if one_way { acts::draw(&acts::CUT_NOTICED, &mut self.random) } else { Duration::ZERO };
        for &other in others.iter().filter(|other| **other != place) {
            if !self.network.0.iter().any(|cut| cut.joins(place, other)) {
                let nodes = (place, other);
                self.network.0.push(Cut { nodes, since: now + live_on, begun: false, next_line: None, noticed: false });
            }
        }
        self.step_network(now);
    }

    /// Lets packets pass again between a node and others.
    pub(super) fn rejoin(&mut self, place: Place, others: &[Place]) {
        let now = self.now;
        let joined = |cut: &Cut| others.iter().any(|other| cut.joins(place, *other));
        let healed: Vec<Cut> = self.network.0.iter().copied().filter(joined).collect();
        self.network.0.retain(|cut| !joined(cut));
        self.after_change(&healed, now, |model, stores| model.see_again(stores, now));
        for cut in healed.iter().filter(|cut| cut.noticed) {
            self.write_pair(*cut, |log, here, there| lines::connected(log, now, here, there));
        }
    }

    /// Begins the cuts that are due, and lets stores log of those that they notice.
    pub(super) fn step_network(&mut self, now: Duration) {
        if self.network.0.is_empty() {
            return;
        }
        let mut begun = Vec::new();
        for cut in self.network.0.iter_mut().filter(|cut| !cut.begun && now >= cut.since) {
            cut.begun = true;
            cut.next_line = Some(cut.since + acts::draw(&acts::CUT_NOTICED, &mut self.random));
            begun.push(*cut);
        }
        if !begun.is_empty() {
            self.after_change(&begun, now, |model, stores| model.lose_sight(stores, now));
        }
        for index in 0..self.network.0.len() {
            let cut = self.network.0[index];
            if let Some(at) = cut.next_line.filter(|at| now >= *at) {
                self.network.0[index].next_line = Some(at + CONNECT_TIMEOUT);
                self.network.0[index].noticed = true;
                self.write_pair(cut, |log, here, there| {
                    if cut.noticed {
                        lines::connect_timeout(log, at, here, there);
                    } else {
                        lines::connection_lost(log, at, here, there);
                    }
                });
            }
        }
    }

    /// What stores and members know of each other has changed: stores by pairs, members by whether they see a quorum.
    fn after_change(&mut self, cuts: &[Cut], now: Duration, stores: impl Fn(&mut Self, (usize, usize))) {
        self.refresh_links();
        for cut in cuts {
            if let (Place::Tikv(one), Place::Tikv(other)) = cut.nodes {
                stores(self, (one, other));
            }
        }
        self.isolate_members(now);
    }

    /// Each of two stores that serve writes of the other.
    fn write_pair(
        &mut self,
        cut: Cut,
        write: impl Fn(&mut super::log::Log, &super::store::Store, &super::store::Store),
    ) {
        if let (Place::Tikv(one), Place::Tikv(other)) = cut.nodes {
            let (one, other) = (&self.stores[one], &self.stores[other]);
            if one.serves() && other.serves() {
                write(&mut self.log, one, other);
                write(&mut self.log, other, one);
            }
        }
    }

    fn lose_sight(&mut self, stores: (usize, usize), now: Duration) {
        let noticed = now + acts::draw(&acts::CUT_NOTICED, &mut self.random);
        for region in &mut self.regions {
            region.lose_sight(stores, now, noticed, &self.links, &mut self.random);
        }
    }

    fn see_again(&mut self, stores: (usize, usize), now: Duration) {
        for region in &mut self.regions {
            for store in [stores.0, stores.1] {
                if region.peer_on(stores.0).is_none() || region.peer_on(stores.1).is_none() {
                    continue;
                }
                if let Some(deposed) = region.regain_store(store, now, &self.links, &mut self.random) {
                    lines::deposed(&mut self.log, now, &self.stores[store], region, deposed);
                }
                region.reconnect(store, now);
            }
        }
    }

    /// Members that do not see a quorum take no part in elections.
    fn isolate_members(&mut self, now: Duration) {
        for index in 0..self.members.len() {
            let seen = (0..self.members.len()).filter(|other| self.talk(Place::Pd(index), Place::Pd(*other))).count();
            let isolated = seen * 2 <= self.members.len();
            if isolated == self.members[index].isolated.is_some() {
                continue;
            }
            self.members[index].isolated = isolated.then_some(now);
            if isolated {
                self.leadership.lose_member(index, true, now, &self.members, &mut self.random);
            } else {
                self.leadership.regain_member(index);
            }
        }
    }
}
