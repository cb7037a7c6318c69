//! `/metrics` of TiKV's status port.

use super::super::disk::SCORE_EVERY;
use super::super::model::Model;
use super::super::{TIKV_GIT_HASH, TIKV_VERSION};
use super::families::{
    CORES_QUOTA, HEARTBEAT_MESSAGES, MEMORY_QUOTA, REGION_COUNT, RESIDENT, SERVER_INFO, SLOW_SCORE, START_TIME,
    STORE_SIZE,
};
use super::{Take, epoch_seconds, number, threads};

pub(super) fn collect(model: &Model, index: usize, take: &mut Take) {
    let (store, metrics) = (&model.stores[index], &model.metrics.stores[index]);
    // What came since the load was last looked over is added here, and not kept.
    let mut load = metrics.load.clone();
    load.settle(model.load.served(index), model.load.pace(index));
    if let Some(since) = store.process.running_since() {
        load.collect_processor(model.now.saturating_sub(since), take);
        take(&RESIDENT, &[], number(store.resident(model.now)));
        take(&START_TIME, &[], epoch_seconds(since).floor());
    }
    load.collect("tikv_grpc_", take);
    take(&HEARTBEAT_MESSAGES, &[("type", "send")], number(metrics.region_heartbeats));
    load.collect("tikv_raftstore_", take);
    metrics.log_lag.collect(take);
    if let Some((regions, leaders)) = metrics.regions {
        take(&REGION_COUNT, &[("type", "leader")], number(leaders));
        take(&REGION_COUNT, &[("type", "region")], number(regions));
    }
    // It is first set with the first round of probes (`tikv:components/raftstore/src/store/worker/pd.rs`).
    if store.ready.is_some_and(|ready| model.now >= ready + SCORE_EVERY) {
        take(&SLOW_SCORE, &[("type", "raft")], number(store.disk.slow_score()));
    }
    take(&CORES_QUOTA, &[], store.resources.cores);
    if let Some(ready) = store.ready {
        let version = format!("v{TIKV_VERSION}");
        take(&SERVER_INFO, &[("hash", TIKV_GIT_HASH), ("version", &version)], epoch_seconds(ready).floor());
    }
    take(&MEMORY_QUOTA, &[], number(store.resources.memory));
    load.collect("tikv_storage_", take);
    load.collect_requests(take);
    if let Some((capacity, available, used)) = metrics.size {
        take(&STORE_SIZE, &[("type", "available")], number(available));
        take(&STORE_SIZE, &[("type", "capacity")], number(capacity));
        take(&STORE_SIZE, &[("type", "used")], number(used));
    }
    if let Some(since) = store.process.running_since() {
        let [for_clients, for_itself] = load.processor(model.now.saturating_sub(since));
        threads::collect(store.id, for_clients, for_itself, take);
    }
}
