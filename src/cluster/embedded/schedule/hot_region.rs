//! balance-hot-region-scheduler: it hands the leadership of a hot region over where that evens the load out. Derived from
//! `pd:pkg/schedule/schedulers/hot_region.go`, which weighs more and also moves peers; that one hot region alone stays
//! where it is holds for both.

use std::time::Duration;

use super::super::model::Model;
use super::controller::{self, Order};
use super::evict::followers;
use super::operator::{Kind, Step};

/// A hot region: its index, the store that leads it, and its bytes a second.
type Hot = (usize, usize, f64);

pub(super) fn look(model: &mut Model, now: Duration) -> bool {
    let limit = model.config.schedule.hot_region_schedule_limit;
    [(true, "transfer-hot-write-leader"), (false, "transfer-hot-read-leader")].into_iter().any(|(write, desc)| {
        model.schedule.operators.count(Kind::HOT_REGION) < limit && transfer(model, write, desc, now)
    })
}

/// The load that hot regions put on each store through their leaders, and those regions.
fn hot_leaders(model: &Model, write: bool) -> (Vec<f64>, Vec<Hot>) {
    let mut loads = vec![0.0; model.stores.len()];
    let mut regions = Vec::new();
    for (region, peer) in model.load.hot.listed(write) {
        let rates = peer.rates.rates();
        let bytes = if write { rates.written_bytes } else { rates.read_bytes };
        if let Some(store) = model.regions[region].known_leader_store() {
            loads[store] += bytes;
            regions.push((region, store, bytes));
        }
    }
    (loads, regions)
}

/// Orders one transfer from the most loaded store, if its follower has less even after it.
fn transfer(model: &mut Model, write: bool, desc: &'static str, now: Duration) -> bool {
    let (loads, regions) = hot_leaders(model, write);
    let Some(source) = (0..loads.len()).max_by(|left, right| loads[*left].total_cmp(&loads[*right])) else {
        return false;
    };
    for (region, _, bytes) in regions.into_iter().filter(|(_, store, _)| *store == source) {
        let targets = followers(model, region, now).into_iter();
        let Some(target) = targets.min_by(|left, right| loads[*left].total_cmp(&loads[*right])) else { continue };
        if loads[source] - bytes < loads[target] + bytes || model.schedule.operators.of_region(region).is_some() {
            continue;
        }
        let (from, to) = (super::at(model, source), super::at(model, target));
        let brief = format!("transfer leader: store {} to {}", from.id, to.id);
        let steps = vec![Step::TransferLeader { from, to: vec![to] }];
        let kind = Kind::HOT_REGION.and(Kind::LEADER);
        return controller::add(model, Order { desc, brief, region, kind, steps }, now);
    }
    false
}
