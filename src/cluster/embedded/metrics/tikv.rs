//! `/metrics` of TiKV's status port.

use super::super::model::Model;
use super::super::{TIKV_GIT_HASH, TIKV_VERSION};
use super::families::{HEARTBEAT_MESSAGES, REGION_COUNT, SERVER_INFO, SLOW_SCORE, START_TIME, STORE_SIZE};
use super::{Take, epoch_seconds, number};

pub(super) fn collect(model: &Model, index: usize, take: &mut Take) {
    let (store, metrics) = (&model.stores[index], &model.metrics.stores[index]);
    if let Some(since) = store.process.running_since() {
        take(&START_TIME, &[], epoch_seconds(since).floor());
    }
    take(&HEARTBEAT_MESSAGES, &[("type", "send")], number(metrics.region_heartbeats));
    if let Some((regions, leaders)) = metrics.regions {
        take(&REGION_COUNT, &[("type", "leader")], number(leaders));
        take(&REGION_COUNT, &[("type", "region")], number(regions));
    }
    // The score of a disk that is never slow, as in the answers of PD.
    take(&SLOW_SCORE, &[("type", "raft")], 1.0);
    if let Some(ready) = store.ready {
        let version = format!("v{TIKV_VERSION}");
        take(&SERVER_INFO, &[("hash", TIKV_GIT_HASH), ("version", &version)], epoch_seconds(ready).floor());
    }
    if let Some((capacity, used)) = metrics.size {
        take(&STORE_SIZE, &[("type", "available")], number(capacity.saturating_sub(used)));
        take(&STORE_SIZE, &[("type", "capacity")], number(capacity));
        take(&STORE_SIZE, &[("type", "used")], number(used));
    }
}
