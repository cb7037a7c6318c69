//! How a store ends in order: it tells PD, waits until its leaders are gone, and exits
//! (`tikv:components/server/src/server.rs`, fixtures/recordings/quiet-then-rolling-restart.jsonl).

use std::time::Duration;

use super::lines;
use super::model::Model;
use super::store::Shutdown;

/// How often a store that is to end looks how many leaders it has left (the recorded logs: each second).
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long it waits for them to go (`server.graceful-shutdown-timeout`).
const PATIENCE: Duration = Duration::from_secs(20);
/// From the last leader's going to the end of the process (the recorded logs: 0.3 to 0.8 s).
const EXIT: Duration = Duration::from_millis(500);
/// PD's schedulers look at least this often (`pd:pkg/schedule/schedulers/base_scheduler.go`, `MaxScheduleInterval`);
/// the recorded eviction began 1.0 to 3.2 s after the signal.
const SCHEDULER_LOOKS: Duration = Duration::from_secs(5);

/// A store is asked to end.
pub(super) fn begin(model: &mut Model, index: usize, now: Duration) {
    let store = &mut model.stores[index];
    if store.shutdown.is_some() {
        return;
    }
    store.shutdown = Some(Shutdown { since: now, next_look: now, ends: None });
    lines::shutdown_begins(&mut model.log, now, &store.name);
    report(model, index, now);
}

/// Moves a store that is to end towards its end.
pub(super) fn step(model: &mut Model, index: usize, now: Duration) {
    let Some(shutdown) = model.stores[index].shutdown else { return };
    match shutdown.ends {
        Some(ends) if now >= ends => model.end_store(index, ends, 0),
        None if now >= shutdown.next_look => look(model, index, shutdown, now),
        _ => {}
    }
}

fn look(model: &mut Model, index: usize, shutdown: Shutdown, now: Duration) {
    let leaders = model.regions.iter().filter(|region| region.leader_store() == Some(index)).count();
    let elapsed = now.saturating_sub(shutdown.since);
    let store = &mut model.stores[index];
    if leaders > 0 && elapsed < PATIENCE {
        store.shutdown = Some(Shutdown { next_look: shutdown.next_look + LOOK_EVERY, ..shutdown });
        lines::shutdown_waits(&mut model.log, now, &store.name, elapsed, leaders);
        return;
    }
    store.shutdown = Some(Shutdown { ends: Some(now + EXIT), ..shutdown });
    lines::shutdown_ends(&mut model.log, now, &store.name, leaders);
    report(model, index, now);
}

/// A heartbeat out of turn, with which a store says that it is stopping, and at the end that it no longer is.
fn report(model: &mut Model, index: usize, now: Duration) {
    if model.stores[index].process.reachable() && model.leadership.leader().is_some() {
        let jitter = model.random.f64();
        model.stores[index].report(now, jitter);
        tell_pd(model, index, now);
    }
}

/// PD learns from a heartbeat whether a store is stopping.
pub(super) fn tell_pd(model: &mut Model, index: usize, now: Duration) {
    let Some(leader) = model.leadership.leader() else { return };
    let store = &mut model.stores[index];
    let stopping = store.shutdown.is_some_and(|shutdown| shutdown.ends.is_none());
    if stopping && store.view.stopping.is_none() {
        store.view.stopping = Some(now + SCHEDULER_LOOKS.mul_f64(model.random.f64()));
    } else if !stopping && store.view.stopping.take().is_some() && std::mem::take(&mut store.view.evicting) {
        lines::eviction_ends(&mut model.log, now, &model.members[leader].name, store.id);
    }
}
