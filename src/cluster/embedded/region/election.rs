//! Who leads a region: what its voters do when they hear no leader, and a leader that hears no quorum.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

use super::{Change, Peer, Region, Silence, StoreLink, Unheard};

/// `raft-election-timeout-ticks`, randomized up to twice its value; a tick is a second (`config.rs`).
pub(super) const ELECTION_TICKS: Range<u32> = 10..20;
/// The ticks that an idle follower still needs: it parks with its clock at about 8 of 10 ticks
/// (`tikv:components/raftstore/src/store/fsm/peer.rs`, `on_raft_base_tick`).
const AWAKENED_TICKS: Range<u32> = 2..12;
/// A leader of a region with traffic sends a heartbeat every two ticks (`config.rs`, `raft-heartbeat-ticks`).
pub(in super::super) const LEADER_HEARTBEAT: Duration = Duration::from_secs(2);

/// How long a voter waits from the last that it heard of a leader, or from when it was awakened.
pub(super) fn election_wait(ticks: &Range<u32>, random: &mut Rng) -> Duration {
    // The first tick comes less than a tick later.
    let whole = Duration::from_secs(u64::from(random.u32(ticks.clone())));
    whole.saturating_sub(Duration::from_secs(1).mul_f64(random.f64()))
}

/// How long it takes a leader without a quorum to find out: it looks every 10 ticks whether it has heard one since it
/// last looked (`raft-rs:src/raft.rs`, `check_quorum_active`).
fn quorum_check(random: &mut Rng) -> Duration {
    Duration::from_secs(10) + Duration::from_secs(10).mul_f64(random.f64())
}

impl Region {
    /// Whether enough of its voters can hear one of them to elect it and to commit.
    pub(in super::super) fn has_quorum(&self, links: &[StoreLink]) -> bool {
        (0..self.peers.len()).any(|peer| self.can_win(peer, links))
    }

    /// A store of the region has fallen silent.
    pub(in super::super) fn lose_store(&mut self, silence: Silence, links: &[StoreLink], random: &mut Rng) {
        let Some(lost) = self.peer_on(silence.store) else { return };
        self.note_silence(lost, silence.at, links);
        let led = self.leader == Some(lost);
        if led {
            self.leader = None;
            self.note_leader_lost(silence.at);
            // The leader of a region that hibernates does not even look (`store-partition` recording: 3 of 8).
            let until = if self.active { silence.at + quorum_check(random) } else { Duration::MAX };
            self.unheard = silence.lives.then_some(Unheard { peer: lost, until });
        } else if silence.lives && self.peers[lost].votes() {
            let (heard, ticks) = self.last_heard(silence, random);
            self.peers[lost].campaign = Some(heard + election_wait(&ticks, random));
        } else {
            self.peers[lost].campaign = None;
            self.unheard.take_if(|unheard| unheard.peer == lost);
        }
        match (self.leader, self.change) {
            (None, Some((_, Change::Elect(winner)))) if winner != lost && self.has_quorum(links) => {}
            (None, _) => {
                let (heard, ticks) = if led { self.last_heard(silence, random) } else { (silence.at, ELECTION_TICKS) };
                self.await_election(heard, &ticks, links, random);
            }
            (Some(_), None) if !self.has_quorum(links) => {
                self.change = Some((silence.at + quorum_check(random), Change::StepDown));
            }
            (Some(_), _) => {}
        }
    }

    /// From when the clocks of the followers run who hear no leader any more, and for how many ticks.
    pub(super) fn last_heard(&self, silence: Silence, random: &mut Rng) -> (Duration, Range<u32>) {
        if self.active {
            (silence.at.saturating_sub(LEADER_HEARTBEAT.mul_f64(random.f64())), ELECTION_TICKS)
        } else {
            // Nothing is sent in a region that hibernates: only the loss of the connection wakes it.
            (silence.noticed, AWAKENED_TICKS)
        }
    }

    /// A store of the region can be heard again. Returns its peer if that took itself for the leader and now hears of
    /// another.
    pub(in super::super) fn regain_store(
        &mut self,
        store: usize,
        now: Duration,
        links: &[StoreLink],
        random: &mut Rng,
    ) -> Option<usize> {
        let back = self.peer_on(store)?;
        if !self.has_quorum(links) {
            let deaf = self.leader != Some(back) && self.unheard.is_none_or(|unheard| unheard.peer != back);
            let alone = deaf && self.peers[back].votes();
            self.peers[back].campaign = alone.then(|| now + election_wait(&ELECTION_TICKS, random));
            return None;
        }
        for peer in self.peers.iter_mut().filter(|peer| links[peer.store].serves.is_ok()) {
            peer.campaign = None;
        }
        let unheard = self.unheard.take_if(|unheard| unheard.peer == back).is_some();
        match (self.leader, self.change) {
            (None, _) if unheard => {
                self.leader = Some(back);
                self.note_leader(now, links);
                self.change = None;
                self.next_heartbeat = now;
                return None;
            }
            (None, None) => self.await_election(now, &ELECTION_TICKS, links, random),
            (None, Some((at, _))) if self.peers[back].votes() => {
                let own = now + election_wait(&ELECTION_TICKS, random);
                if own < at {
                    self.change = Some((own, Change::Elect(back)));
                }
            }
            (None, Some(_)) => {}
            (Some(_), _) => {
                self.change = None;
                self.note_leader(now, links);
            }
        }
        unheard.then_some(back)
    }

    /// The leader steps down; it then asks again and again whether it would be elected.
    pub(in super::super) fn step_down(&mut self, now: Duration, random: &mut Rng) -> Option<usize> {
        self.change = None;
        let leader = self.leader.take()?;
        self.note_leader_lost(now);
        self.peers[leader].campaign = Some(now + election_wait(&ELECTION_TICKS, random));
        Some(leader)
    }

    /// The leader that nobody hears steps down if its time has come and its store acts.
    pub(in super::super) fn step_down_unheard(
        &mut self,
        now: Duration,
        acts: impl Fn(usize) -> bool,
        random: &mut Rng,
    ) -> Option<usize> {
        let peers = &self.peers;
        let unheard = self.unheard.take_if(|unheard| now >= unheard.until && acts(peers[unheard.peer].store))?;
        self.peers[unheard.peer].campaign = Some(now + election_wait(&ELECTION_TICKS, random));
        Some(unheard.peer)
    }

    /// The next peer that asks in vain whether it would be elected.
    pub(in super::super) fn next_campaign(
        &mut self,
        now: Duration,
        acts: impl Fn(usize) -> bool,
        random: &mut Rng,
    ) -> Option<(usize, Duration)> {
        let due = |peer: &Peer| peer.campaign.filter(|at| now >= *at && acts(peer.store));
        let (index, at) = self.peers.iter().enumerate().find_map(|(index, peer)| Some((index, due(peer)?)))?;
        self.peers[index].campaign = Some(now + election_wait(&ELECTION_TICKS, random));
        Some((index, at))
    }

    /// The first voter alive whose clock runs out wins, if there is a quorum to elect it.
    pub(super) fn await_election(
        &mut self,
        heard: Duration,
        ticks: &Range<u32>,
        links: &[StoreLink],
        random: &mut Rng,
    ) {
        self.change = None;
        if !self.has_quorum(links) {
            for peer in self.peers.iter_mut().filter(|peer| peer.votes() && links[peer.store].serves.is_ok()) {
                peer.campaign = Some(heard + election_wait(ticks, random));
            }
            return;
        }
        let voters = (0..self.peers.len()).filter(|peer| self.can_win(*peer, links));
        let first = voters.map(|peer| (heard + election_wait(ticks, random), peer)).min();
        self.change = first.map(|(at, index)| (at, Change::Elect(index)));
    }
}
