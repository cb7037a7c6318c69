//! What has been done to a region: how long it had no leader, and which acknowledged writes it lost.

use std::time::Duration;

use super::{Region, StoreLink};

/// What has been done to a region since the beginning.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Harm {
    /// Since when it has no leader, once it has had one.
    leaderless: Option<Duration>,
    /// How long it had none before that.
    leaderless_before: Duration,
    /// When it last lost its quorum.
    quorum_lost: Option<Duration>,
    /// The writes of so long a time were acknowledged and are gone.
    lost_writes: Duration,
}

impl Harm {
    /// The writes of so long a time were acknowledged and are gone.
    pub(in super::super) fn lost_writes(&self) -> Duration {
        self.lost_writes
    }

    /// How long it had no leader in all.
    pub(in super::super) fn without_leader(&self, now: Duration) -> Duration {
        self.leaderless_before + self.leaderless.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }
}

impl Region {
    /// Its leader is gone.
    pub(super) fn note_leader_lost(&mut self, at: Duration) {
        self.harm.leaderless.get_or_insert(at);
    }

    /// It has a leader, from which those that it hears get what they miss.
    pub(super) fn note_leader(&mut self, at: Duration, links: &[StoreLink]) {
        if let Some(since) = self.harm.leaderless.take() {
            self.harm.leaderless_before += at.saturating_sub(since);
        }
        let quorum = self.has_quorum(links);
        for peer in self.peers.iter_mut().filter(|peer| quorum && links[peer.store].serves.is_ok()) {
            peer.behind = None;
        }
    }

    /// A store of it fell silent: its peer gets nothing more. What can still be written, the others have.
    pub(super) fn note_silence(&mut self, peer: usize, at: Duration, links: &[StoreLink]) {
        self.peers[peer].behind.get_or_insert(at);
        if self.has_quorum(links) {
            self.harm.quorum_lost = None;
        } else {
            self.harm.quorum_lost.get_or_insert(at);
        }
    }

    /// A peer becomes what all others are made from: what was written while it was away is gone, if anything was.
    pub(super) fn note_forced(&mut self, peer: usize) {
        if let (Some(from), Some(until)) = (self.peers[peer].behind, self.harm.quorum_lost)
            && self.active
        {
            self.harm.lost_writes += until.saturating_sub(from);
        }
        for peer in &mut self.peers {
            peer.behind = None;
        }
    }
}
