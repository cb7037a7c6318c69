//! How fast peers may come to a store and leave it: `add-peer` and `remove-peer` of its store limit, in operations a
//! minute (`pd:pkg/core/storelimit`, version v1).

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::model::Model;
use super::operator::Step;

/// What the move of a large region costs, and what that of one of up to [`SMALL`] MiB does; an empty one costs nothing
/// (`storelimit/store_limit.go`, `RegionInfluence`, `SmallRegionInfluence`; `operator/influence.go`).
const COST: f64 = 1000.0;
const SMALL_COST: f64 = 200.0;
const SMALL: u64 = 20;
const EMPTY: u64 = 1;
/// A store that is being removed gives its peers away without a limit (`pd:server/cluster/cluster.go`, `RemoveStore`).
const UNLIMITED: f64 = 1e8;

/// What comes to a store, or leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    In,
    Out,
}

/// What may be spent now.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled: Duration,
}

/// What is left of the stores' limits, by the index of the store.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Limits(BTreeMap<(usize, Way), Bucket>);

/// Spends what the steps cost, if all stores that they touch can afford it.
pub(super) fn take(model: &mut Model, steps: &[Step], size: u64, now: Duration) -> bool {
    if size <= EMPTY {
        return true;
    }
    let cost = if size <= SMALL { SMALL_COST } else { COST };
    let way = |step: &Step| match step {
        Step::AddLearner { to, .. } => Some((to.store, Way::In)),
        Step::RemovePeer { from } => Some((from.store, Way::Out)),
        _ => None,
    };
    let ways: Vec<(usize, Way)> = steps.iter().filter_map(way).collect();
    for way in &ways {
        fill(model, *way, now);
    }
    let buckets = &mut model.schedule.limits.0;
    let affordable = ways.iter().all(|way| buckets.get(way).is_some_and(|bucket| bucket.tokens >= cost));
    if affordable {
        for way in &ways {
            buckets.entry(*way).and_modify(|bucket| bucket.tokens -= cost);
        }
    }
    affordable
}

fn fill(model: &mut Model, (store, way): (usize, Way), now: Duration) {
    let view = &model.stores[store].view;
    let limit = model.config.schedule.store_limit.get(&model.stores[store].id).copied().unwrap_or_default();
    let a_minute = match way {
        Way::In => limit.add_peer,
        Way::Out if !view.node_state.is_up() => UNLIMITED,
        Way::Out => limit.remove_peer,
    };
    let a_second = a_minute / 60.0;
    let capacity = COST * a_second.max(1.0);
    let bucket = model.schedule.limits.0.entry((store, way)).or_insert(Bucket { tokens: capacity, filled: now });
    let elapsed = now.saturating_sub(bucket.filled).as_secs_f64();
    bucket.tokens = (bucket.tokens + elapsed * a_second * COST).min(capacity);
    bucket.filled = now;
}
