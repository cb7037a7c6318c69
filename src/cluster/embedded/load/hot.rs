//! What PD makes of the flows that heartbeats tell it: the rates of stores, and the regions that are hot
//! (`pd:pkg/statistics/hot_peer_cache.go`, `pd:pkg/statistics/store.go`).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::flow::Flow;

/// A rate is the median of so many intervals (`pd:pkg/statistics/utils/constant.go`, `DefaultWriteMfSize`,
/// `DefaultReadMfSize`).
const WINDOW: usize = 5;
/// How hot a region must have been found to be listed: the leaders report writes each 60 s and the stores reads each
/// 10 s (`hot-region-cache-hits-threshold`, and six times that).
const LISTED: [u32; 2] = [18, 3];
/// How often it must be found cold to be forgotten (`pd:pkg/statistics/utils/constant.go`).
const ANTI_COUNT: [u32; 2] = [12, 2];
/// A region is hot with so many bytes or keys a second, for reads and for writes
/// (`pd:pkg/statistics/utils/constant.go`).
const THRESHOLDS: [(f64, f64); 2] = [(8_192.0, 128.0), (1_024.0, 32.0)];
/// A report after a shorter time than this, as a new leader's is, is no measure of writes. Guessed: PD adds such
/// reports up.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(30);

/// The median of the last rates.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct StoreRates {
    last: VecDeque<Flow>,
}

impl StoreRates {
    /// The last rate.
    pub(in super::super) fn last(&self) -> Flow {
        self.last.back().copied().unwrap_or_default()
    }

    fn take(&mut self, rate: Flow) {
        if self.last.len() == WINDOW {
            self.last.pop_front();
        }
        self.last.push_back(rate);
    }

    /// The rates of a second; nothing while PD has none.
    pub(in super::super) fn rates(&self) -> Flow {
        let median = |of: fn(&Flow) -> f64| {
            let mut values: Vec<f64> = self.last.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            let middle = values.len() / 2;
            match values.len() {
                0 => 0.0,
                count if count % 2 == 1 => values[middle],
                _ => f64::midpoint(values[middle - 1], values[middle]),
            }
        };
        Flow {
            written_bytes: median(|flow| flow.written_bytes),
            written_keys: median(|flow| flow.written_keys),
            read_bytes: median(|flow| flow.read_bytes),
            read_keys: median(|flow| flow.read_keys),
            read_queries: median(|flow| flow.read_queries),
        }
    }
}

/// A region that is or was hot, with its rates and what PD counts.
#[derive(Debug, Clone)]
pub(in super::super) struct HotPeer {
    pub(in super::super) degree: u32,
    pub(in super::super) anti_count: u32,
    pub(in super::super) rates: StoreRates,
    pub(in super::super) updated: Duration,
}

/// What PD's leader keeps; a new one begins anew.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct HotRegions {
    /// By the region's index, for reads and for writes.
    peers: [BTreeMap<usize, HotPeer>; 2],
    stores: Vec<StoreRates>,
}

impl HotRegions {
    /// A region's flow for writes comes in with its heartbeat.
    pub(super) fn take_written(&mut self, region: usize, flow: Flow, span: Duration, now: Duration) {
        if span >= SHORTEST_INTERVAL {
            self.take(region, true, flow.rate(span), now);
        }
    }

    /// A region's rate of reads comes in with the heartbeat of its leader's store.
    pub(super) fn take_read(&mut self, region: usize, rate: Flow, now: Duration) {
        self.take(region, false, rate, now);
    }

    fn take(&mut self, region: usize, write: bool, rate: Flow, now: Duration) {
        let kind = usize::from(write);
        let (bytes, keys) = THRESHOLDS[kind];
        let hot = |rate: Flow| {
            let (own_bytes, own_keys) =
                if write { (rate.written_bytes, rate.written_keys) } else { (rate.read_bytes, rate.read_keys) };
            own_bytes >= bytes || own_keys >= keys
        };
        let anti_count = ANTI_COUNT[kind];
        let Some(peer) = self.peers[kind].get_mut(&region) else {
            if hot(rate) {
                let mut rates = StoreRates::default();
                rates.take(rate);
                self.peers[kind].insert(region, HotPeer { degree: 1, anti_count, rates, updated: now });
            }
            return;
        };
        peer.rates.take(rate);
        peer.updated = now;
        if hot(peer.rates.rates()) {
            peer.degree += 1;
            peer.anti_count = anti_count;
        } else {
            peer.degree = peer.degree.saturating_sub(1);
            peer.anti_count -= 1;
            if peer.anti_count == 0 {
                self.peers[kind].remove(&region);
            }
        }
    }

    /// A region is no more.
    pub(in super::super) fn forget(&mut self, region: usize) {
        self.peers.iter_mut().for_each(|peers| drop(peers.remove(&region)));
    }

    /// A store's rates come in with its heartbeat.
    pub(super) fn take_store(&mut self, store: usize, rate: Flow) {
        if store >= self.stores.len() {
            self.stores.resize_with(store + 1, StoreRates::default);
        }
        self.stores[store].take(rate);
    }

    /// The regions that PD lists as hot, by index: those that are not about to be forgotten.
    pub(in super::super) fn listed(&self, write: bool) -> impl Iterator<Item = (usize, &HotPeer)> {
        let kind = usize::from(write);
        let listed = move |peer: &&HotPeer| peer.degree >= LISTED[kind] && peer.anti_count == ANTI_COUNT[kind];
        self.peers[kind].iter().map(|(region, peer)| (*region, peer)).filter(move |(_, peer)| listed(peer))
    }

    /// The regions that have been hot lately, by index.
    pub(in super::super) fn watched(&self, write: bool) -> impl Iterator<Item = usize> {
        self.peers[usize::from(write)].keys().copied()
    }

    /// How many bytes and keys a second make a region hot.
    pub(in super::super) fn thresholds(write: bool) -> (f64, f64) {
        THRESHOLDS[usize::from(write)]
    }

    /// Whether any region is watched for its reads.
    pub(super) fn watches_reads(&self) -> bool {
        !self.peers[0].is_empty()
    }

    /// Whether a store's reads can make a region hot.
    pub(super) fn may_be_hot(rate: Flow) -> bool {
        let (bytes, keys) = THRESHOLDS[0];
        rate.read_bytes >= bytes || rate.read_keys >= keys
    }

    /// A store's rates; none before its first heartbeat to this PD leader.
    pub(in super::super) fn store(&self, store: usize) -> Option<&StoreRates> {
        self.stores.get(store).filter(|rates| !rates.last.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_listed_with_its_third_hot_report_and_goes_with_its_first_cold_one() {
        let mut hot = HotRegions::default();
        let minute = Duration::from_mins(1);
        let flow = |bytes: f64| Flow { written_bytes: bytes, ..Flow::default() };
        let mut listed = Vec::new();
        for (report, bytes) in [6e6, 7e6, 7e6, 7e6, 0.0, 0.0, 0.0, 0.0, 0.0].into_iter().enumerate() {
            hot.take_written(3, flow(bytes), minute, minute);
            listed.push(hot.listed(true).map(|(region, peer)| (region, peer.degree)).next());
            // fixtures/recordings/hot-region.hotspot.jsonl: degree 3 with the third.
            assert_eq!(listed[report].is_some(), (2..6).contains(&report), "{report}: {listed:?}");
        }
        assert_eq!(listed[2], Some((3, 3)));
    }
}
