//! Regions: the Raft group of each as its stores know it, and the view that PD has of it from its heartbeats. A
//! region knows which stores are alive by being told; it knows nothing of PD's leadership.

mod election;
mod harm;
mod membership;
mod merge;
mod sight;

use std::time::Duration;

pub(super) use self::election::LEADER_HEARTBEAT;
use self::harm::Harm;
use super::load::Flow;

/// A region's leader reports to PD this often, and at once when its leader or its pending peers change
/// (`tikv:components/raftstore/src/store/config.rs`, `pd-heartbeat-tick-interval`).
pub(super) const REGION_HEARTBEAT: Duration = Duration::from_mins(1);
/// A peer that its leader has not heard for so long is reported down (`config.rs`, `max-peer-down-duration`).
const DOWN_AFTER: Duration = Duration::from_mins(10);
/// What a replica is in its group (`kvproto:proto/metapb.proto`, `PeerRole`). A joint state is left at once, so that
/// the group counts whoever votes in its old or its new configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Voter,
    /// It has no vote: it is on its way in or out.
    Learner,
    /// A learner that is being promoted.
    IncomingVoter,
    /// A voter that is being demoted.
    DemotingVoter,
}

/// The term that a new group begins with (`tikv:components/raftstore/src/store/peer_storage.rs`, `RAFT_INIT_LOG_TERM`).
const FIRST_TERM: u64 = 5;

/// One replica.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) id: u64,
    /// The index of its store.
    pub(super) store: usize,
    pub(super) role: Role,
    /// When the snapshot with which it begins will be there.
    pub(super) snapshot: Option<Duration>,
    /// The leader has not heard from it since it leads, so that it counts as pending.
    pub(super) lagging: bool,
    /// It hears no leader and no quorum: when it next asks in vain whether it would be elected.
    pub(super) campaign: Option<Duration>,
    /// Since when it has not had what the others have, if it has not.
    pub(super) behind: Option<Duration>,
    /// PD's view: reported as pending.
    pub(super) pending: bool,
    /// PD's view: reported as down for so many seconds.
    pub(super) down_seconds: Option<u64>,
}

impl Peer {
    /// A voter that has everything.
    pub(super) fn voter(id: u64, store: usize) -> Self {
        Self {
            id,
            store,
            role: Role::Voter,
            snapshot: None,
            lagging: false,
            campaign: None,
            behind: None,
            pending: false,
            down_seconds: None,
        }
    }

    /// Whether it may elect a leader.
    pub(super) fn votes(&self) -> bool {
        self.role != Role::Learner
    }
}

/// What will happen to the leadership of a region unless something comes between.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    /// The peer with this index wins an election.
    Elect(usize),
    /// The leader finds that its quorum is not active.
    StepDown,
}

/// A store that cannot be heard any more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Silence {
    /// The index of the store.
    pub(super) store: usize,
    /// When it fell silent.
    pub(super) at: Duration,
    /// When those who have connections to it notice.
    pub(super) noticed: Duration,
    /// Its process still runs: it does not know that it is alone, or does not know anything.
    pub(super) lives: bool,
}

/// A leader that nobody hears.
#[derive(Debug, Clone, Copy)]
struct Unheard {
    peer: usize,
    /// When it will find that its quorum is not active.
    until: Duration,
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
    /// The leader that the reachable stores follow.
    pub(super) leader: Option<usize>,
    /// A former leader that has not found out yet.
    unheard: Option<Unheard>,
    pub(super) leader_since: Duration,
    pub(super) harm: Harm,
    pub(super) change: Option<(Duration, Change)>,
    pub(super) next_heartbeat: Duration,
    /// When it last came from a split or was split, if it was.
    pub(super) split_at: Option<Duration>,
    /// PD's view: the last leader that was reported.
    pub(super) known_leader: Option<usize>,
    /// PD's view: reported since this PD leader serves.
    pub(super) reported: bool,
    /// PD's view: what was read and written between the last two reports.
    pub(super) flow: Flow,
}

/// What a region needs to know of a store.
#[derive(Debug, Clone)]
pub(super) struct StoreLink {
    /// It serves, or when it ceased to.
    pub(super) serves: Result<(), Duration>,
    /// The other stores have connections to it.
    pub(super) connected: bool,
    /// It can talk to PD's leader, should there be one.
    pub(super) reaches_pd: bool,
    /// The stores that it cannot talk to though both serve, and since when.
    pub(super) cut_from: Vec<(usize, Duration)>,
}

impl StoreLink {
    fn cut_since(&self, store: usize) -> Option<Duration> {
        self.cut_from.iter().find(|(other, _)| *other == store).map(|(_, since)| *since)
    }
}

/// What a region is from the beginning.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) id: u64,
    pub(super) start_key: String,
    pub(super) end_key: String,
    pub(super) version: u64,
    pub(super) active: bool,
}

impl Region {
    /// A region without a leader, with a peer of this id on each store.
    pub(super) fn new(identity: Identity, peers: Vec<(u64, usize)>) -> Self {
        let Identity { id, start_key, end_key, version, active } = identity;
        let peers: Vec<Peer> = peers.into_iter().map(|(id, store)| Peer::voter(id, store)).collect();
        Self {
            id,
            start_key,
            end_key,
            version,
            // Each replica after the first came by adding a learner and promoting it.
            conf_ver: 2 * peers.len().saturating_sub(1) as u64 + 1,
            peers,
            active,
            term: FIRST_TERM,
            leader: None,
            unheard: None,
            leader_since: Duration::ZERO,
            harm: Harm::default(),
            change: None,
            next_heartbeat: Duration::ZERO,
            split_at: None,
            known_leader: None,
            reported: false,
            flow: Flow::default(),
        }
    }

    /// The index of the peer on a store.
    pub(super) fn peer_on(&self, store: usize) -> Option<usize> {
        self.peers.iter().position(|peer| peer.store == store)
    }

    /// Whether a peer leads, or nobody has told it yet that it does not.
    pub(super) fn takes_itself_for_leader(&self, peer: usize) -> bool {
        self.leader == Some(peer) || self.unheard.is_some_and(|unheard| unheard.peer == peer)
    }

    /// The index of the store whose peer leads.
    pub(super) fn leader_store(&self) -> Option<usize> {
        self.leader.map(|peer| self.peers[peer].store)
    }

    /// The index of the store whose peer leads, as PD knows it.
    pub(super) fn known_leader_store(&self) -> Option<usize> {
        self.known_leader.map(|peer| self.peers[peer].store)
    }

    /// When it next has something to do, given whether its leader reaches PD and which stores act;
    /// [`Duration::MAX`] if nothing is to come.
    pub(super) fn due(&self, pd_reached: bool, acts: impl Fn(usize) -> bool) -> Duration {
        let change = self.change.map(|(at, _)| at);
        let heartbeat = self.leader.filter(|_| pd_reached).map(|_| self.next_heartbeat);
        let unheard = self.unheard.filter(|unheard| acts(self.peers[unheard.peer].store)).map(|unheard| unheard.until);
        let campaigns = self.peers.iter().filter(|peer| acts(peer.store)).filter_map(|peer| peer.campaign);
        let receives = |peer: &&Peer| self.leader.is_some() && acts(peer.store);
        let snapshots = self.peers.iter().filter(receives).filter_map(|peer| peer.snapshot);
        campaigns.chain(snapshots).chain(change).chain(heartbeat).chain(unheard).min().unwrap_or(Duration::MAX)
    }

    /// A peer leads from now on, by election or by transfer, and tells PD at once.
    pub(super) fn lead(&mut self, winner: usize, now: Duration, links: &[StoreLink]) {
        self.term += 1;
        self.leader = Some(winner);
        self.note_leader(now, links);
        self.leader_since = now;
        self.change = None;
        self.next_heartbeat = now;
        let leader = &links[self.peers[winner].store];
        for (index, peer) in self.peers.iter_mut().enumerate() {
            let cut = leader.cut_since(peer.store).is_some();
            let lags = !links[peer.store].connected || cut || peer.snapshot.is_some();
            peer.lagging = index != winner && lags;
            if links[peer.store].serves.is_ok() && !cut {
                peer.campaign = None;
            }
        }
    }

    /// The leader hears from the peer on a store again, and tells PD at once if that changes what it said.
    pub(super) fn reconnect(&mut self, store: usize, now: Duration) {
        let Some(index) = self.peer_on(store) else { return };
        let peer = &mut self.peers[index];
        peer.lagging = peer.snapshot.is_some();
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
        let leader = self.leader_store();
        for peer in &mut self.peers {
            peer.pending = peer.lagging;
            let cut = leader.and_then(|leader| links[leader].cut_since(peer.store));
            peer.down_seconds = links[peer.store]
                .serves
                .err()
                .or(cut)
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
