//! Regions: the Raft group of each as its stores know it, and the view that PD has of it from its heartbeats. A
//! region knows which stores are alive by being told; it knows nothing of PD's leadership.

mod harm;
mod membership;
mod sight;

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

use self::harm::Harm;
use super::load::Flow;

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
pub(super) const LEADER_HEARTBEAT: Duration = Duration::from_secs(2);

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
    /// PD's view: the last leader that was reported.
    pub(super) known_leader: Option<usize>,
    /// PD's view: reported since this PD leader serves.
    pub(super) reported: bool,
    /// PD's view: what was read and written between the last two reports.
    pub(super) flow: Flow,
}

/// How long a voter waits from the last that it heard of a leader, or from when it was awakened.
fn election_wait(ticks: &Range<u32>, random: &mut Rng) -> Duration {
    // The first tick comes less than a tick later.
    let whole = Duration::from_secs(u64::from(random.u32(ticks.clone())));
    whole.saturating_sub(Duration::from_secs(1).mul_f64(random.f64()))
}

/// How long it takes a leader without a quorum to find out: it looks every 10 ticks whether it has heard one since it
/// last looked (`raft-rs:src/raft.rs`, `check_quorum_active`).
fn quorum_check(random: &mut Rng) -> Duration {
    Duration::from_secs(10) + Duration::from_secs(10).mul_f64(random.f64())
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

    /// Whether enough of its voters can hear one of them to elect it and to commit.
    pub(super) fn has_quorum(&self, links: &[StoreLink]) -> bool {
        (0..self.peers.len()).any(|peer| self.can_win(peer, links))
    }

    /// A store of the region has fallen silent.
    pub(super) fn lose_store(&mut self, silence: Silence, links: &[StoreLink], random: &mut Rng) {
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
    fn last_heard(&self, silence: Silence, random: &mut Rng) -> (Duration, Range<u32>) {
        if self.active {
            (silence.at.saturating_sub(LEADER_HEARTBEAT.mul_f64(random.f64())), ELECTION_TICKS)
        } else {
            // Nothing is sent in a region that hibernates: only the loss of the connection wakes it.
            (silence.noticed, AWAKENED_TICKS)
        }
    }

    /// A store of the region can be heard again. Returns its peer if that took itself for the leader and now hears of
    /// another.
    pub(super) fn regain_store(
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

    /// The leader steps down; it then asks again and again whether it would be elected.
    pub(super) fn step_down(&mut self, now: Duration, random: &mut Rng) -> Option<usize> {
        self.change = None;
        let leader = self.leader.take()?;
        self.note_leader_lost(now);
        self.peers[leader].campaign = Some(now + election_wait(&ELECTION_TICKS, random));
        Some(leader)
    }

    /// The leader that nobody hears steps down if its time has come and its store acts.
    pub(super) fn step_down_unheard(
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
    pub(super) fn next_campaign(
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
    fn await_election(&mut self, heard: Duration, ticks: &Range<u32>, links: &[StoreLink], random: &mut Rng) {
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
