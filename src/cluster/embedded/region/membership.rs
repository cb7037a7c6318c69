//! Who belongs to a region's group: peers that come, change their role and go. Each change raises `conf_ver` by the
//! number of peers that it touches, and the leader tells PD of it at once
//! (`tikv:components/raftstore/src/store/fsm/apply.rs`, `exec_change_peer_v2`).

use std::time::Duration;

use super::{Change, FIRST_TERM, Peer, Region, Role, StoreLink};

impl Region {
    /// A learner that begins with a snapshot.
    pub(in super::super) fn add_learner(&mut self, id: u64, store: usize, snapshot: Duration) {
        let learner = Peer { role: Role::Learner, snapshot: Some(snapshot), lagging: true, ..Peer::voter(id, store) };
        self.peers.push(learner);
        self.conf_ver += 1;
    }

    /// The peer on a store takes another role.
    pub(in super::super) fn set_role(&mut self, store: usize, role: Role) {
        let Some(index) = self.peer_on(store) else { return };
        self.conf_ver += u64::from(self.peers[index].role != role);
        self.peers[index].role = role;
        if role == Role::Learner {
            self.peers[index].campaign = None;
        }
    }

    /// The peer on a store leaves the group. The leader cannot; whoever orders it moves the leadership first.
    pub(in super::super) fn remove_peer(&mut self, store: usize) {
        let Some(gone) = self.peer_on(store).filter(|gone| self.leader != Some(*gone)) else { return };
        let moved = |index: usize| (index != gone).then(|| index - usize::from(index > gone));
        self.leader = self.leader.and_then(moved);
        self.known_leader = self.known_leader.and_then(moved);
        self.unheard = self.unheard.and_then(|mut unheard| {
            unheard.peer = moved(unheard.peer)?;
            Some(unheard)
        });
        self.change = match self.change {
            Some((at, Change::Elect(winner))) => moved(winner).map(|winner| (at, Change::Elect(winner))),
            change => change,
        };
        self.peers.remove(gone);
        self.conf_ver += 1;
    }

    /// Takes note of the snapshots that have arrived. Returns whether one has.
    pub(in super::super) fn take_snapshots(&mut self, now: Duration, links: &[StoreLink]) -> bool {
        let mut any = false;
        for peer in &mut self.peers {
            if peer.snapshot.take_if(|at| now >= *at && links[peer.store].connected).is_some() {
                peer.lagging = false;
                any = true;
            }
        }
        any
    }

    /// The peer leads alone, whoever else should vote, and what it has is what the region has.
    pub(in super::super) fn force_leader(&mut self, peer: usize, now: Duration, links: &[StoreLink]) {
        self.unheard = None;
        self.note_forced(peer);
        self.lead(peer, now, links);
    }

    /// Splits it at keys in hex, in their order, that lie inside it. The last part goes on as this region; the others
    /// are new, with these ids of their own and of their peers, and led from the same store
    /// (`tikv:components/raftstore/src/store/fsm/apply.rs`, `exec_batch_split`).
    pub(in super::super) fn split(&mut self, keys: &[String], mut id: impl FnMut() -> u64, now: Duration) -> Vec<Self> {
        self.version += keys.len() as u64;
        self.split_at = Some(now);
        let part = |key: &String| {
            let mut part = self.clone();
            self.start_key.clone_from(key);
            part.end_key.clone_from(key);
            part.id = id();
            part.peers.iter_mut().for_each(|peer| peer.id = id());
            // The first term after the one that every new group begins with.
            part.term = FIRST_TERM + 1;
            part.leader_since = now;
            part.known_leader = None;
            part
        };
        keys.iter().map(part).collect()
    }
}
