//! The clients' connection to a store, as gRPC keeps it: when it comes back after the store has.

use std::time::Duration;

use fastrand::Rng;

use super::super::store::Store;
use super::client::Obstacle;

/// A client begins to connect anew to a store that is cut off about this long after the cut, and gives each attempt this
/// long, the default of gRPC; its first packet is sent again at these seconds (Linux' SYN retransmissions). In the
/// recorded partition, healed after 66 s, the client had its connection again at 76.5 s.
const CUT: (Duration, Duration, [u64; 6]) =
    (Duration::from_millis(1_500), Duration::from_secs(20), [0, 1, 3, 7, 15, 20]);
/// A connection survives a cut that is no longer.
const SURVIVES: Duration = Duration::from_secs(3);
/// The wait before the next attempt on a store that refuses connections, in seconds: the first, how it grows, the
/// longest, and how much of it is drawn (`grpc:doc/connection-backoff.md`). In the recorded quorum loss, healed after
/// 70 s, the client had its connections again at 102 s.
const BACKOFF: (f64, f64, f64, f64) = (1.0, 1.6, 120.0, 0.2);

/// What the clients know of a store's port.
#[derive(Debug, Clone, Default)]
pub(super) struct Connection {
    /// Since when it is cut off.
    cut_since: Option<Duration>,
    /// Until when nothing arrives though it is no longer cut off.
    lost_until: Option<Duration>,
    /// It refused: when the next attempt is made, and how long the wait before that was, in seconds.
    refused: Option<(Duration, f64)>,
}

impl Connection {
    /// Takes note of what became of the store. Returns whether anything has changed.
    pub(super) fn watch(&mut self, store: &Store, asked: bool, now: Duration, random: &mut Rng) -> bool {
        let before = self.obstacle();
        if store.process.is_cut() {
            self.cut_since.get_or_insert(now);
        } else if let Some(cut) = self.cut_since.take().filter(|cut| now >= *cut + SURVIVES) {
            let (first, attempt, packets) = CUT;
            let since = now.saturating_sub(cut + first).as_secs_f64() % attempt.as_secs_f64();
            let into = Duration::from_secs_f64(since);
            let next = packets.into_iter().map(Duration::from_secs).find(|packet| *packet >= into).unwrap_or(attempt);
            self.lost_until = Some(now + next.saturating_sub(into));
        }
        self.lost_until.take_if(|at| now >= *at);
        let refuses = !store.serves() && !store.process.hangs();
        let (first, factor, longest, drawn) = BACKOFF;
        let mut after = |wait: f64| now + Duration::from_secs_f64(wait * (1.0 + drawn * (2.0 * random.f64() - 1.0)));
        self.refused = match self.refused {
            None if refuses && asked => Some((after(first), first)),
            // Who does not ask any more does not connect either, and does so at once when asking again.
            Some((at, wait)) if now >= at && refuses && asked => {
                let wait = (wait * factor).min(longest);
                Some((after(wait), wait))
            }
            Some((at, _)) if now >= at => None,
            before_next => before_next,
        };
        before != self.obstacle()
    }

    /// Whether anything is to come.
    pub(super) fn is_troubled(&self) -> bool {
        self.cut_since.is_some() || self.lost_until.is_some() || self.refused.is_some()
    }

    /// What stands in the way of who has no connection.
    pub(super) fn obstacle(&self) -> Option<Obstacle> {
        let refused = self.refused.map(|_| Obstacle::Refused);
        self.lost_until.map(|_| Obstacle::Hangs).or(refused)
    }
}
