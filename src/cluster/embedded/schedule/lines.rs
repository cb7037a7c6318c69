//! What PD's leader writes of its operators, worded as in `fixtures/recordings/remedy-evict-leaders.log.gz`.

use std::time::Duration;

use super::super::go_format;
use super::super::log::{Fields, Log, Origin};
use super::operator::{Operator, Status};
use crate::reading::NodeName;

/// An operator as a field: PD logs it as JSON, hence in quotes of its own.
fn quoted(operator: &Operator) -> String {
    serde_json::Value::from(operator.to_string()).to_string()
}

/// PD means to do something to a region.
pub(super) fn added(log: &mut Log, at: Duration, pd: &NodeName, operator: &Operator) {
    let text = quoted(operator);
    let fields: Fields = &[("region-id", &operator.region_id), ("operator", &text), ("additional-info", &"")];
    log.write(at, pd, Origin("INFO", "operator_controller.go:561"), "add operator", fields);
}

/// PD tells the leader of a region what to do next.
pub(super) fn sent(log: &mut Log, at: Duration, pd: &NodeName, operator: &Operator, source: &str) {
    let Some(step) = operator.steps.get(operator.current) else { return };
    let fields: Fields = &[("region-id", &operator.region_id), ("step", step), ("source", &source)];
    log.write(at, pd, Origin("INFO", "operator_controller.go:816"), "send schedule command", fields);
}

/// An operator has come to its end.
pub(super) fn ended(log: &mut Log, at: Duration, pd: &NodeName, operator: &Operator) {
    let (origin, message) = match operator.status {
        Status::Success => ("operator_controller.go:724", "operator finish"),
        Status::Timeout => ("operator_controller.go:744", "operator timeout"),
        Status::Started | Status::Canceled => ("operator_controller.go:755", "operator canceled"),
    };
    let (text, took) = (quoted(operator), go_format::duration(at.saturating_sub(operator.created)));
    let fields: Fields =
        &[("region-id", &operator.region_id), ("takes", &took), ("operator", &text), ("additional-info", &"")];
    log.write(at, pd, Origin("INFO", origin), message, fields);
}

/// An operator's region has become part of another.
pub(super) fn disappeared(log: &mut Log, at: Duration, pd: &NodeName, operator: &Operator) {
    let text = quoted(operator);
    let fields: Fields = &[("region-id", &operator.region_id), ("operator", &text)];
    let message = "remove operator because region disappeared";
    log.write(at, pd, Origin("WARN", "operator_controller.go:212"), message, fields);
}

/// PD hears of other peers of a region.
pub(super) fn peers_changed(
    log: &mut Log,
    at: Duration,
    pd: &NodeName,
    region: u64,
    detail: &str,
    (old, new): (u64, u64),
) {
    let fields: Fields = &[("region-id", &region), ("detail", &detail), ("old-confver", &old), ("new-confver", &new)];
    log.write(at, pd, Origin("INFO", "region.go:784"), "region ConfVer changed", fields);
}

/// A scheduler begins to move leaders off a store.
pub(super) fn slow_store_detected(log: &mut Log, at: Duration, pd: &NodeName, store: u64) {
    let message = "detected slow store, start to evict leaders";
    log.write(at, pd, Origin("INFO", "evict_slow_store.go:328"), message, &[("store-id", &store)]);
}

/// A store is slow no more.
pub(super) fn slow_store_recovered(log: &mut Log, at: Duration, pd: &NodeName, store: u64) {
    let message = "slow store has been recovered";
    log.write(at, pd, Origin("INFO", "evict_slow_store.go:301"), message, &[("store-id", &store)]);
}

/// evict-leader-scheduler is given a store.
pub(super) fn evict_leader_added(log: &mut Log, at: Duration, pd: &NodeName, store: u64) {
    let arguments = format!("[{store}]");
    let fields: Fields = &[("scheduler-name", &"evict-leader-scheduler"), ("scheduler-args", &arguments)];
    log.write(at, pd, Origin("INFO", "handler.go:206"), "create scheduler", fields);
    log.write(at, pd, Origin("INFO", "store.go:897"), "pause store leader transfer", &[("store-id", &store)]);
    log.write(at, pd, Origin("INFO", "handler.go:218"), "add scheduler successfully", fields);
    log.write(at, pd, Origin("INFO", "handler.go:224"), "persist scheduler config successfully", fields);
}

/// A store is taken from evict-leader-scheduler, which stops with its last one.
pub(super) fn evict_leader_removed(log: &mut Log, at: Duration, pd: &NodeName, store: u64, stopped: bool) {
    log.write(at, pd, Origin("INFO", "store.go:914"), "resume store leader transfer", &[("store-id", &store)]);
    if stopped {
        let fields: Fields = &[("scheduler-name", &"evict-leader-scheduler"), ("error", &"context canceled")];
        log.write(at, pd, Origin("INFO", "scheduler_controller.go:382"), "scheduler has been stopped", fields);
    }
}
