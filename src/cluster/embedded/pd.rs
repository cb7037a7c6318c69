//! PD's members and which of them leads: etcd's quorum and election, and the key in etcd that names PD's leader. It
//! decides who answers; what is answered is not its business.

use std::time::Duration;

use fastrand::Rng;

use super::process::Process;
use super::resources::Path;
use crate::reading::NodeName;

/// From the start of the process to the first answer (`pd-leader-kill` recording: started at 50.0 s, answered at 51.0).
const START_UP: Duration = Duration::from_millis(700);
/// etcd's election time-out, randomized (`pd:server/config/config.go`, `election-interval` 3 s, `tick-interval` 500 ms).
const ELECTION: std::ops::Range<f64> = 3.0..5.5;
/// How long PD's leader leads on when it cannot renew its lease (`pd:server/config/config.go`, `lease`).
const LEASE: Duration = Duration::from_secs(5);
/// A new etcd leader renews every lease to its TTL and the election time-out: 5 s + 3 s (`etcd:server/lease/lessor.go`).
const LEASE_AFTER_ELECTION: Duration = Duration::from_secs(8);
/// From the end of the old leader's key to a new PD leader that serves (`pd-leader-kill` recording: 0.2 s in etcd).
const CAMPAIGN: Duration = Duration::from_millis(200);

/// One member.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: NodeName,
    /// etcd's id of the member, a full u64.
    pub(super) id: u64,
    pub(super) process: Process,
    /// Of the members that could lead, etcd's leader hands over to the one with the highest.
    pub(super) leader_priority: i32,
    /// The level of its log.
    pub(super) log_level: &'static str,
    /// Since when it does not see enough others for a quorum, though it can be reached.
    pub(super) isolated: Option<Duration>,
    /// How late its packets come, and how many are lost.
    pub(super) network: Path,
}

impl Member {
    /// Whether it votes.
    fn votes(&self, now: Duration) -> bool {
        self.serves(now) && self.isolated.is_none()
    }

    /// Whether it answers.
    pub(super) fn serves(&self, now: Duration) -> bool {
        self.process.reachable() && self.process.running_since().is_some_and(|since| now >= since + START_UP)
    }
}

/// How far PD is with having a leader. Members are indices.
#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    /// etcd has no quorum. A follower sends requests to the last leader until then.
    Lost { forgets: Duration },
    /// etcd elects a leader. The one that fell silent before leads on if it is heard again in time: since when it
    /// serves, if PD's leader did.
    Electing { until: Duration, silent: Option<(usize, Duration)> },
    /// etcd has a leader, but the key of the last PD leader lives on.
    KeyHeld { winner: usize, until: Duration },
    /// The key is gone and etcd's leader campaigns.
    Campaigning { winner: usize, until: Duration },
    /// PD has a leader that serves.
    Serving { leader: usize, since: Duration },
}

/// What a step of the leadership brought.
#[derive(Debug, Clone, Copy)]
pub(super) enum Turn {
    /// etcd elected a member.
    Elected(usize),
    /// The old leader's key expired.
    KeyExpired(usize),
    /// A PD leader began to serve.
    Leads(usize),
    /// etcd has neither a leader nor a quorum to elect one; the leader of this term steps down if it still runs.
    QuorumLost { leader: Option<usize>, term: u64 },
}

/// PD's leadership.
#[derive(Debug, Clone)]
pub(super) struct Leadership {
    pub(super) phase: Phase,
    /// The member that the key in etcd names.
    pub(super) key: Option<usize>,
    /// etcd's term.
    pub(super) term: u64,
    /// When the leader will find that it has lost its quorum.
    quorum_gone: Option<Duration>,
    /// How long nobody led that served, since somebody first did, up to `stepped`.
    leaderless: Option<Duration>,
    stepped: Duration,
}

impl Leadership {
    /// Nobody leads and nobody ever led.
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Lost { forgets: Duration::ZERO },
            key: None,
            term: 1,
            quorum_gone: None,
            leaderless: None,
            stepped: Duration::ZERO,
        }
    }

    /// The leader that serves.
    pub(super) fn leader(&self) -> Option<usize> {
        if let Phase::Serving { leader, .. } = self.phase { Some(leader) } else { None }
    }

    /// How long nobody led that served, since somebody first did.
    pub(super) fn without_leader(&self) -> Duration {
        self.leaderless.unwrap_or_default()
    }

    /// Whether a follower still sends its requests to a leader that is dead.
    pub(super) fn believes_in_the_dead(&self, now: Duration) -> bool {
        let believes = match self.phase {
            Phase::Electing { .. } | Phase::KeyHeld { .. } => true,
            Phase::Lost { forgets } => now < forgets,
            Phase::Campaigning { .. } | Phase::Serving { .. } => false,
        };
        self.key.is_some() && believes
    }

    /// Whether a follower still sends its requests to a leader that never answers. Nothing ends its wait
    /// (`pd:pkg/utils/etcdutil/etcdutil.go`, `CreateHTTPClient`).
    pub(super) fn believes_in_the_hung(&self, members: &[Member], now: Duration) -> bool {
        self.believes_in_the_dead(now) && self.key.is_some_and(|key| members[key].process.hangs())
    }

    /// Whether a member that does not see a quorum still takes itself for PD's leader: as long as its lease lasts
    /// (`pd:server/config/config.go`, `lease`).
    pub(super) fn leads_on(&self, member: usize, members: &[Member], now: Duration) -> bool {
        self.key == Some(member) && members[member].isolated.is_some_and(|since| now < since + LEASE)
    }

    /// A member has fallen silent; `lives` if its process runs on, so that it may be heard again as it is.
    pub(super) fn lose_member(
        &mut self,
        member: usize,
        lives: bool,
        now: Duration,
        members: &[Member],
        random: &mut Rng,
    ) {
        match self.phase {
            Phase::Serving { leader, since } if leader == member => {
                self.phase =
                    Phase::Electing { until: now + election(random), silent: lives.then_some((member, since)) };
            }
            Phase::KeyHeld { winner: lead, .. } | Phase::Campaigning { winner: lead, .. } if lead == member => {
                self.phase = Phase::Electing { until: now + election(random), silent: None };
            }
            Phase::Electing { silent: Some((silent, _)), until } if silent == member && !lives => {
                self.phase = Phase::Electing { until, silent: None };
            }
            _ if has_quorum(members, now) => {}
            // The leader steps down when it has not heard a quorum for an election time-out (`etcd:raft/raft.go`).
            _ => self.quorum_gone = Some(now + election(random)),
        }
    }

    /// A member can be heard again.
    pub(super) fn regain_member(&mut self, member: usize) {
        if let Phase::Electing { silent: Some((leader, since)), .. } = self.phase
            && leader == member
        {
            self.phase = Phase::Serving { leader, since };
        }
    }

    /// A member that leads hands over to another one, which may be a certain one. Returns the new leader, if there is
    /// one that can lead.
    pub(super) fn hand_over(
        &mut self,
        member: usize,
        to: Option<usize>,
        now: Duration,
        members: &[Member],
        random: &mut Rng,
    ) -> Option<usize> {
        if self.leader() != Some(member) {
            return None;
        }
        let fits = |index: &usize| *index != member && members[*index].serves(now) && to.is_none_or(|to| *index == to);
        let others: Vec<usize> = (0..members.len()).filter(fits).collect();
        let winner = random.choice(others)?;
        self.term += 1;
        self.key = None;
        self.phase = Phase::Campaigning { winner, until: now + CAMPAIGN };
        Some(winner)
    }

    /// Moves on to `now`, by at most one turn.
    pub(super) fn step(&mut self, now: Duration, members: &[Member], random: &mut Rng) -> Option<Turn> {
        self.count_leaderless(now);
        let quorum = has_quorum(members, now);
        match self.phase {
            Phase::Lost { .. } if quorum => {
                self.phase = Phase::Electing { until: now + election(random), silent: None }
            }
            Phase::Electing { until, .. } if now >= until && !quorum => {
                self.phase = Phase::Lost { forgets: until + forgetting(random) };
                return Some(Turn::QuorumLost { leader: None, term: self.term });
            }
            Phase::Electing { until, .. } if now >= until => return self.elect(until, now, members, random),
            Phase::KeyHeld { winner, until } if now >= until => {
                self.key = None;
                self.phase = Phase::Campaigning { winner, until: until + CAMPAIGN };
                return Some(Turn::KeyExpired(winner));
            }
            Phase::Campaigning { winner, until } if now >= until => {
                self.key = Some(winner);
                self.phase = Phase::Serving { leader: winner, since: until };
                return Some(Turn::Leads(winner));
            }
            _ => {}
        }
        match self.quorum_gone {
            Some(_) if quorum => self.quorum_gone = None,
            Some(gone) if now >= gone => {
                self.quorum_gone = None;
                if matches!(self.phase, Phase::Lost { .. } | Phase::Electing { .. }) {
                    return None;
                }
                let leader = self.leader();
                self.phase = Phase::Lost { forgets: Duration::ZERO };
                return Some(Turn::QuorumLost { leader, term: self.term });
            }
            _ => {}
        }
        None
    }

    fn count_leaderless(&mut self, now: Duration) {
        let span = now.saturating_sub(std::mem::replace(&mut self.stepped, now));
        let serves = self.leader().is_some();
        match &mut self.leaderless {
            Some(leaderless) if !serves => *leaderless += span,
            None if serves => self.leaderless = Some(Duration::ZERO),
            _ => {}
        }
    }

    fn elect(&mut self, at: Duration, now: Duration, members: &[Member], random: &mut Rng) -> Option<Turn> {
        let alive: Vec<usize> = (0..members.len()).filter(|index| members[*index].votes(now)).collect();
        let winner = *random.choice(&alive)?;
        self.term += 1;
        self.phase = match self.key {
            Some(last) if last != winner => Phase::KeyHeld { winner, until: at + LEASE_AFTER_ELECTION },
            // A member that finds its own key deletes it (`pd:pkg/member/member.go`, `CheckLeader`).
            _ => Phase::Campaigning { winner, until: at + CAMPAIGN },
        };
        Some(Turn::Elected(winner))
    }
}

/// How long a follower goes on to send requests to the last leader when there is no leader of etcd: etcd ends its watch
/// of the leader's key when it has found none at three looks, one each election time-out
/// (`etcd:server/etcdserver/api/v3rpc/interceptor.go`, `monitorLeader`).
fn forgetting(random: &mut Rng) -> Duration {
    Duration::from_secs(6) + Duration::from_secs(3).mul_f64(random.f64())
}

fn election(random: &mut Rng) -> Duration {
    Duration::from_secs_f64(ELECTION.start + (ELECTION.end - ELECTION.start) * random.f64())
}

fn has_quorum(members: &[Member], now: Duration) -> bool {
    members.iter().filter(|member| member.votes(now)).count() * 2 > members.len()
}
