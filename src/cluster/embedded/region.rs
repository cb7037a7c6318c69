//! Regions: the Raft group of each as its stores know it, and the view that PD has of it from its heartbeats. A
//! region knows which stores are alive by being told; it knows nothing of PD's leadership.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

/// A region's leader reports to PD this often, and at once when its leader or its pending peers change
/// (`tikv:components/raftstore/src/store/config.rs`, `pd-heartbeat-tick-interval`).
pub(super) const REGION_HEARTBEAT: Duration = Duration::from_mins(1);
/// A peer that its leader has not heard for so long is reported down (`config.rs`, `max-peer-down-duration`).
const DOWN_AFTER: Duration = Duration::from_mins(10);
/// `raft-election-timeout-ticks`, randomized up to twice its value; a tick is a second (`config.rs`).
const ELECTION_TICKS: Range<u32> = 10..20;
/// The ticks that an idle follower still needs: it parks with its clock at about 8 of 10 ticks
/// (`tikv:components/raftstore/src/store/fsm/peer.rs`, `on_raft_base_tick`).
const AWAKENED_TICKS: Range<u32> = 2..12;
/// A leader of a region with traffic sends a heartbeat every two ticks (`config.rs`, `raft-heartbeat-ticks`).
const LEADER_HEARTBEAT: Duration = Duration::from_secs(2);

/// One replica.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) id: u64,
    /// The index of its store.
    pub(super) store: usize,
    /// The leader has not heard from it since it leads, so that it counts as pending.
    pub(super) lagging: bool,
    /// PD's view: reported as pending.
    pub(super) pending: bool,
    /// PD's view: reported as down for so many seconds.
    pub(super) down_seconds: Option<u64>,
}

/// What will happen to the leadership of a region unless something comes between.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    /// The peer with this index wins an election.
    Elect(usize),
    /// The leader finds that its quorum is not active.
    StepDown,
}

/// One region. Indices of peers are indices into `peers`.
#[derive(Debug, Clone)]
pub(super) struct Region {
    pub(super) id: u64,
    /// Upper-case hex, as PD shows it.
    pub(super) start_key: String,
    /// Upper-case hex; empty for the end of all keys.
    pub(super) end_key: String,
    pub(super) version: u64,
    pub(super) conf_ver: u64,
    pub(super) peers: Vec<Peer>,
    /// Clients use it, so that its followers' clocks run; otherwise it hibernates.
    pub(super) active: bool,
    pub(super) term: u64,
    pub(super) leader: Option<usize>,
    pub(super) leader_since: Duration,
    pub(super) change: Option<(Duration, Change)>,
    pub(super) next_heartbeat: Duration,
    /// PD's view: the last leader that was reported.
    pub(super) known_leader: Option<usize>,
    /// PD's view: reported since this PD leader serves.
    pub(super) reported: bool,
}

/// How long a voter waits from the last that it heard of a leader, or from when it was awakened.
fn election_wait(ticks: &Range<u32>, random: &mut Rng) -> Duration {
    // The first tick comes less than a tick later.
    let whole = Duration::from_secs(u64::from(random.u32(ticks.clone())));
    whole.saturating_sub(Duration::from_secs(1).mul_f64(random.f64()))
}

/// What a region needs to know of a store.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoreLink {
    /// It serves, or when it ceased to.
    pub(super) serves: Result<(), Duration>,
    /// The other stores have connections to it.
    pub(super) connected: bool,
}

impl Region {
    /// The index of the peer on a store.
    pub(super) fn peer_on(&self, store: usize) -> Option<usize> {
        self.peers.iter().position(|peer| peer.store == store)
    }

    /// The index of the store whose peer leads, as PD knows it.
    pub(super) fn known_leader_store(&self) -> Option<usize> {
        self.known_leader.map(|peer| self.peers[peer].store)
    }

    fn has_quorum(&self, links: &[StoreLink]) -> bool {
        let serving = self.peers.iter().filter(|peer| links[peer.store].serves.is_ok()).count();
        serving * 2 > self.peers.len()
    }

    /// A store of the region has ceased to serve, which the others notice at once by the connection's reset.
    pub(super) fn lose_store(&mut self, store: usize, now: Duration, links: &[StoreLink], random: &mut Rng) {
        let Some(lost) = self.peer_on(store) else { return };
        let led = self.leader == Some(lost);
        if led {
            self.leader = None;
        }
        match (self.leader, self.change) {
            (None, Some((_, Change::Elect(winner)))) if winner != lost && self.has_quorum(links) => {}
            (None, _) => {
                let silence = if self.active && led { LEADER_HEARTBEAT.mul_f64(random.f64()) } else { Duration::ZERO };
                let ticks = if self.active || !led { ELECTION_TICKS } else { AWAKENED_TICKS };
                self.await_election(now.saturating_sub(silence), &ticks, links, random);
            }
            (Some(_), None) if !self.has_quorum(links) => {
                // The leader looks every 10 ticks whether it heard a quorum since it last looked (`raft-rs:src/raft.rs`).
                let wait = Duration::from_secs(10) + Duration::from_secs(10).mul_f64(random.f64());
                self.change = Some((now + wait, Change::StepDown));
            }
            (Some(_), _) => {}
        }
    }

    /// A store of the region serves again.
    pub(super) fn regain_store(&mut self, store: usize, now: Duration, links: &[StoreLink], random: &mut Rng) {
        let Some(back) = self.peer_on(store).filter(|_| self.has_quorum(links)) else { return };
        match (self.leader, self.change) {
            (None, None) => self.await_election(now, &ELECTION_TICKS, links, random),
            (None, Some((at, _))) => {
                let own = now + election_wait(&ELECTION_TICKS, random);
                if own < at {
                    self.change = Some((own, Change::Elect(back)));
                }
            }
            (Some(_), _) => self.change = None,
        }
    }

    /// The first voter alive whose clock runs out wins, if there is a quorum to elect it.
    fn await_election(&mut self, heard: Duration, ticks: &Range<u32>, links: &[StoreLink], random: &mut Rng) {
        self.change = None;
        if !self.has_quorum(links) {
            return;
        }
        let voters = self.peers.iter().enumerate().filter(|(_, peer)| links[peer.store].serves.is_ok());
        let first = voters.map(|(index, _)| (heard + election_wait(ticks, random), index)).min();
        self.change = first.map(|(at, index)| (at, Change::Elect(index)));
    }

    /// A peer leads from now on, by election or by transfer, and tells PD at once.
    pub(super) fn lead(&mut self, winner: usize, now: Duration, links: &[StoreLink]) {
        self.term += 1;
        self.leader = Some(winner);
        self.leader_since = now;
        self.change = None;
        self.next_heartbeat = now;
        for (index, peer) in self.peers.iter_mut().enumerate() {
            peer.lagging = index != winner && !links[peer.store].connected;
        }
    }

    /// The leader hears from the peer on a store again, and tells PD at once if that changes what it said.
    pub(super) fn reconnect(&mut self, store: usize, now: Duration) {
        let Some(index) = self.peer_on(store) else { return };
        let peer = &mut self.peers[index];
        peer.lagging = false;
        if self.leader.is_some() && (peer.pending || peer.down_seconds.is_some()) {
            self.next_heartbeat = now;
        }
    }

    /// The leader's heartbeat reaches PD. Returns the stores of the leaders before and after if they differ.
    pub(super) fn report(&mut self, now: Duration, links: &[StoreLink]) -> Option<(usize, usize)> {
        let before = self.known_leader_store();
        self.known_leader = self.leader;
        self.reported = true;
        self.next_heartbeat = now + REGION_HEARTBEAT;
        for peer in &mut self.peers {
            peer.pending = peer.lagging;
            peer.down_seconds = links[peer.store]
                .serves
                .err()
                .map(|since| now.saturating_sub(since.max(self.leader_since)))
                .filter(|silence| *silence >= DOWN_AFTER)
                .map(|silence| silence.as_secs());
        }
        before.zip(self.known_leader_store()).filter(|(before, after)| before != after)
    }

    /// A new PD leader has the region from its storage, but nothing that only heartbeats tell
    /// (`pd:pkg/syncer/client.go`).
    pub(super) fn forget_reports(&mut self) {
        self.reported = false;
        for peer in &mut self.peers {
            peer.pending = false;
            peer.down_seconds = None;
        }
    }
}
