//! What becomes of a region when two of its stores cannot talk to each other, though both can be reached.

use std::time::Duration;

use fastrand::Rng;

use super::election::{ELECTION_TICKS, election_wait};
use super::{Change, Region, Silence, StoreLink};

impl Region {
    /// Whether a peer can reach enough voters to be elected and to commit.
    pub(super) fn can_win(&self, peer: usize, links: &[StoreLink]) -> bool {
        let here = &links[self.peers[peer].store];
        let reached = |store: usize| links[store].serves.is_ok() && here.cut_since(store).is_none();
        let voters = || self.peers.iter().filter(|peer| peer.votes());
        let granted = voters().filter(|peer| reached(peer.store)).count();
        here.serves.is_ok() && self.peers[peer].votes() && granted * 2 > voters().count()
    }

    /// Two stores cannot talk to each other any more. Where neither leads, or the region has no peer on one of them,
    /// nothing changes: followers say nothing to each other.
    pub(in super::super) fn lose_sight(
        &mut self,
        stores: (usize, usize),
        at: Duration,
        noticed: Duration,
        links: &[StoreLink],
        random: &mut Rng,
    ) {
        let (Some(one), Some(other)) = (self.peer_on(stores.0), self.peer_on(stores.1)) else { return };
        let silence = |store| Silence { store, at, noticed, lives: true };
        match (self.leader, self.change) {
            (Some(leader), _) if leader == one || leader == other => {
                if self.can_win(leader, links) {
                    // The leader has its quorum without the one that does not hear it, and asks in vain for votes.
                    let lost = if leader == one { other } else { one };
                    let (heard, ticks) = self.last_heard(silence(self.peers[lost].store), random);
                    self.peers[lost].campaign = Some(heard + election_wait(&ticks, random));
                } else {
                    self.lose_store(silence(self.peers[leader].store), links, random);
                }
            }
            (None, Some((_, Change::Elect(winner)))) if !self.can_win(winner, links) => {
                self.await_election(at, &ELECTION_TICKS, links, random);
            }
            _ => {}
        }
    }

    /// The peers that hear the leader and are asked for a vote by one that does not.
    pub(in super::super) fn deniers(&self, candidate: usize, links: &[StoreLink]) -> Vec<usize> {
        let Some(leader) = self.leader else { return Vec::new() };
        let link = |peer: usize| &links[self.peers[peer].store];
        let talk = |one: usize, other: usize| link(one).cut_since(self.peers[other].store).is_none();
        let denies = |peer: &usize| {
            *peer != candidate && link(*peer).serves.is_ok() && talk(*peer, candidate) && talk(*peer, leader)
        };
        if link(candidate).serves.is_err() || link(leader).serves.is_err() {
            return Vec::new();
        }
        (0..self.peers.len()).filter(denies).collect()
    }

    /// The index of the last entry of its log, but for what clients wrote: each election appends an entry, and so does
    /// each change of its members, behind the five that a new region begins with
    /// (`tikv:components/raftstore/src/store/peer_storage.rs`, `RAFT_INIT_LOG_INDEX`).
    pub(in super::super) fn last_index(&self) -> u64 {
        5 + self.conf_ver + (self.term - super::FIRST_TERM)
    }

    /// The clocks of followers run out that hear from the leader only so often.
    pub(in super::super) fn starve(&mut self, gap: Duration, now: Duration, links: &[StoreLink], random: &mut Rng) {
        let Some(leader) = self.leader.filter(|_| self.active && self.change.is_none()) else { return };
        let heard = now.saturating_sub(super::LEADER_HEARTBEAT.mul_f64(random.f64()));
        let others: Vec<usize> = (0..self.peers.len()).filter(|peer| *peer != leader).collect();
        let clocks = others.into_iter().filter(|peer| self.can_win(*peer, links));
        let first = clocks.map(|peer| (election_wait(&ELECTION_TICKS, random), peer)).min();
        if let Some((wait, winner)) = first.filter(|(wait, _)| *wait < gap) {
            self.change = Some((heard + wait, Change::Elect(winner)));
        }
    }

    /// Forgets an election that was to come because the leader is slow.
    pub(in super::super) fn recover_from_starving(&mut self) {
        if self.leader.is_some() && matches!(self.change, Some((_, Change::Elect(_)))) {
            self.change = None;
        }
    }
}
