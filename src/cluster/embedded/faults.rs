//! What the faults of a scenario do to the model, how each shows, and how it is undone.

mod cluster;
mod network;

use std::time::Duration;

use jiff::SignedDuration;

use super::log::Origin;
use super::model::{Model, Place};
use super::resources::{Path, Resources};
use super::{instant, lines};
use crate::cluster::{ClusterError, Direction, Fault, FaultKind, Fingerprint, Node, ProcessState, Signal, Undo};
use crate::reading::NodeName;

pub(super) use network::answer_delay;
use network::{connect_again, cut_off, path, set_path};

/// A node whose process is killed and started again and again.
#[derive(Debug, Clone)]
struct Flapping {
    place: Place,
    up: Duration,
    down: Duration,
    next: Duration,
    /// How often it is still to be killed.
    left: u32,
}

/// The faults that go on by themselves.
#[derive(Debug, Clone, Default)]
pub(super) struct Ongoing {
    /// Clients that write one key each, by their number, and the node that led it.
    writers: Vec<(Place, usize)>,
    /// Those that are started again when they have ended.
    restarting: Vec<Place>,
    flapping: Vec<Flapping>,
    /// Those that hear nothing, and when the others hear them no more either.
    deaf: Vec<(Duration, Place)>,
    /// Stores, by index, whose memory is limited.
    pressed: Vec<usize>,
    /// The regions, by index, that a client has made.
    presplit: Vec<usize>,
}

/// Does a fault.
pub(super) fn inject(model: &mut Model, fault: &Fault) -> Result<(), ClusterError> {
    if fault.node().is_none() {
        return cluster::inject(model, fault);
    }
    let (place, now) = (place(model, fault)?, model.now);
    match fault.kind() {
        FaultKind::Kill { signal } => kill(model, place, *signal),
        FaultKind::Stop => model.terminate(place),
        FaultKind::Pause | FaultKind::Freeze => model.pause(place),
        FaultKind::Restart => {
            // One that does not act is killed when it has been waited for in vain.
            if model.process(place).acts() {
                model.terminate(place);
            } else {
                model.kill(place, 128 + 9);
            }
            model.ongoing.restarting.push(place);
        }
        FaultKind::Flap { up, down, count } => {
            model.kill(place, 128 + 9);
            let left = count.map_or(u32::MAX, |count| count.saturating_sub(1));
            model.ongoing.flapping.push(Flapping { place, up: up.0, down: down.0, next: now + down.0, left });
        }
        FaultKind::Partition { from, direction } if from.is_empty() => cut_off(model, place, *direction),
        FaultKind::Partition { from, direction } => {
            let others = places(model, from)?;
            model.separate(place, &others, *direction == Direction::In);
        }
        FaultKind::Delay { by, .. } => set_path(model, place, Path { delay: by.0, ..path(model, place) }),
        FaultKind::Loss { percent } => {
            set_path(model, place, Path { loss: f64::from(*percent) / 100.0, ..path(model, place) });
        }
        FaultKind::ShiftClock { by } => set_clock(model, place, by.0),
        FaultKind::LogLine { text } => log_line(model, fault, place, text),
        kind => strain(model, fault, kind, place)?,
    }
    // What clients find depends on what the stores have to work with.
    model.load.touch();
    Ok(())
}

/// A process that runs writes the line. What its source is, a formatter that does not know it says so.
fn log_line(model: &mut Model, fault: &Fault, place: Place, text: &str) {
    let runs = model.process(place).state() == ProcessState::Running;
    if let Some(node) = fault.node().filter(|_| runs) {
        model.log.write(model.now, node, Origin("WARN", "<unknown>"), text, &[]);
    }
}

/// PD and TiKV end in order at some signals and at the others as every program does
/// (`tikv:components/server/src/signal_handler.rs`, `pd:cmd/pd-server/main.go`); for their own use TiKV has SIGUSR1, at
/// which it writes its metrics to the log.
fn kill(model: &mut Model, place: Place, signal: Signal) {
    match (signal, place) {
        (Signal::Hangup | Signal::Interrupt | Signal::Terminate, _) | (Signal::Quit, Place::Pd(_)) => {
            model.terminate(place);
        }
        (Signal::User1, Place::Tikv(_)) => {}
        _ => model.kill(place, 128 + signal.number()),
    }
}

/// Does a fault of a store's disk, processor, memory or keys.
fn strain(model: &mut Model, fault: &Fault, kind: &FaultKind, place: Place) -> Result<(), ClusterError> {
    let Place::Tikv(index) = place else { return Err(impossible(fault)) };
    let (store, now) = (&mut model.stores[index], model.now);
    match kind {
        FaultKind::SlowDisk { by } => store.resources.fsync += by.0,
        FaultKind::FillDisk { leave } => {
            let free = store.capacity.saturating_sub(store.used);
            store.resources.foreign_bytes = free.saturating_sub(leave.0);
        }
        FaultKind::LimitCpu { cores } => {
            store.resources.cores = *cores;
            let slowness = store.slowness();
            let left = store.next_heartbeat.saturating_sub(now);
            store.next_heartbeat = now + left.mul_f64(slowness);
            model.starve(index, slowness);
        }
        FaultKind::LimitMemory { to } => {
            store.resources.memory = to.0;
            store.memory_pressed.get_or_insert(now);
            model.ongoing.pressed.push(index);
        }
        FaultKind::HotKey { rate } => {
            // The key is in the load's table, whose regions alone are active.
            let led = model.regions.iter().find(|region| region.active && region.leader_store() == Some(index));
            let Some(region) = led else {
                return Err(ClusterError::environment(
                    fault.to_string(),
                    "the store leads no key of a load",
                    "Give the cluster a load, or pick another store.",
                ));
            };
            let writer = model.load.start_writer(&region.start_key, rate.0);
            model.ongoing.writers.push((place, writer));
        }
        _ => return Err(impossible(fault)),
    }
    Ok(())
}

/// What is seen instead of the effect of a fault, if that does not show.
pub(super) fn missing_effect(model: &Model, fault: &Fault) -> Result<Option<String>, ClusterError> {
    if fault.node().is_none() {
        return cluster::missing_effect(model, fault);
    }
    let place = place(model, fault)?;
    let process = model.process(place);
    let state = process.state();
    let unless = |shows: bool, seen: &str| (!shows).then(|| seen.to_owned());
    Ok(match fault.kind() {
        FaultKind::Kill { .. } | FaultKind::Stop => {
            let ended = matches!(state, ProcessState::Exited { .. });
            unless(ended, &format!("the process is {state}"))
        }
        FaultKind::Pause | FaultKind::Freeze => {
            unless(state == ProcessState::Paused, &format!("the process is {state}"))
        }
        FaultKind::Restart => {
            let again = !model.ongoing.restarting.contains(&place) && state == ProcessState::Running;
            unless(again, "it has not been started again")
        }
        FaultKind::Flap { .. } => unless(model.ongoing.flaps(place), "it is left alone"),
        FaultKind::Partition { from, .. } if from.is_empty() => unless(process.hangs(), "it can be reached"),
        FaultKind::Partition { from, .. } => {
            let others = places(model, from)?;
            let cut = others.iter().all(|other| model.network.is_cut(place, *other));
            unless(cut, "packets pass")
        }
        FaultKind::Delay { .. } | FaultKind::Loss { .. } => {
            unless(process.hangs() || !answer_delay(model, place).is_zero(), "it answers as soon as ever")
        }
        FaultKind::LogLine { text } => {
            let logged = fault.node().is_some_and(|node| model.log.has(node, text));
            unless(logged, &format!("no such line, and the process is {state}"))
        }
        FaultKind::ShiftClock { by } => unless(process.clock() == by.0, "its clock is right"),
        kind => missing_strain(model, fault, kind, place)?,
    })
}

fn missing_strain(
    model: &Model,
    fault: &Fault,
    kind: &FaultKind,
    place: Place,
) -> Result<Option<String>, ClusterError> {
    let Place::Tikv(index) = place else { return Err(impossible(fault)) };
    let store = &model.stores[index];
    let unless = |shows: bool, seen: String| (!shows).then_some(seen);
    Ok(match kind {
        FaultKind::SlowDisk { .. } => {
            let fsync = store.resources.fsync;
            unless(fsync > Resources::recorded().fsync, format!("a write takes {fsync:?}"))
        }
        FaultKind::FillDisk { leave } => unless(store.space() <= leave.0, format!("{} bytes are left", store.space())),
        FaultKind::LimitCpu { .. } => unless(store.slowness() > 1.0, "it needs no more than that".to_owned()),
        FaultKind::HotKey { .. } => {
            let writes = model.ongoing.writers.iter().any(|(of, client)| *of == place && model.load.goes_on(*client));
            unless(writes, "nobody writes the key".to_owned())
        }
        FaultKind::LimitMemory { .. } => {
            let ended = matches!(store.process.state(), ProcessState::Exited { out_of_memory: true, .. });
            unless(ended, format!("its process takes {} bytes", store.resident(model.now)))
        }
        _ => return Err(impossible(fault)),
    })
}

/// Undoes a fault.
pub(super) fn heal(model: &mut Model, undo: &Undo) -> Result<(), ClusterError> {
    match undo {
        Undo::Start { node } => {
            let place = known(model, node)?;
            model.ongoing.leave_alone(place);
            model.start(place);
        }
        Undo::Resume { node } => {
            let place = known(model, node)?;
            model.resume(place);
        }
        Undo::Lift { fault } => lift(model, fault)?,
        Undo::RestoreCpu { .. } | Undo::RestoreMemory { .. } | Undo::Reconnect { .. } => {
            return Err(ClusterError::environment(undo.to_string(), "the model has no containers", ""));
        }
    }
    Ok(())
}

fn lift(model: &mut Model, fault: &Fault) -> Result<(), ClusterError> {
    if fault.node().is_none() {
        return cluster::lift(model, fault);
    }
    let (place, now) = (place(model, fault)?, model.now);
    match (fault.kind(), place) {
        (FaultKind::Partition { from, .. }, _) if from.is_empty() => connect_again(model, place),
        (FaultKind::Partition { from, .. }, _) => {
            let others = places(model, from)?;
            model.rejoin(place, &others);
        }
        (FaultKind::Delay { .. }, _) => {
            set_path(model, place, Path { delay: Duration::ZERO, ..path(model, place) });
        }
        (FaultKind::Loss { .. }, _) => set_path(model, place, Path { loss: 0.0, ..path(model, place) }),
        (FaultKind::ShiftClock { .. }, _) => set_clock(model, place, SignedDuration::ZERO),
        (FaultKind::Freeze, _) => model.resume(place),
        (FaultKind::LogLine { .. }, _) => {}
        (FaultKind::SlowDisk { .. }, Place::Tikv(index)) => {
            model.stores[index].resources.fsync = Resources::recorded().fsync;
        }
        (FaultKind::FillDisk { leave }, Place::Tikv(index)) => {
            model.stores[index].resources.foreign_bytes = 0;
            // It has ended for want of space.
            if leave.0 == 0 {
                model.start(place);
            }
        }
        (FaultKind::LimitCpu { .. }, Place::Tikv(index)) => {
            let store = &mut model.stores[index];
            let left = store.next_heartbeat.saturating_sub(now).div_f64(store.slowness());
            store.resources.cores = Resources::recorded().cores;
            store.next_heartbeat = now + left;
            for region in model.regions.iter_mut().filter(|region| region.leader_store() == Some(index)) {
                region.recover_from_starving();
            }
        }
        (FaultKind::HotKey { .. }, _) => {
            let writers = std::mem::take(&mut model.ongoing.writers);
            let (ended, left) = writers.into_iter().partition::<Vec<_>, _>(|(of, _)| *of == place);
            model.ongoing.writers = left;
            for (_, client) in ended {
                model.load.stop_client(client);
            }
        }
        (FaultKind::LimitMemory { .. }, Place::Tikv(index)) => {
            model.stores[index].resources.memory = Resources::recorded().memory;
            model.stores[index].memory_pressed = None;
            model.ongoing.pressed.retain(|pressed| *pressed != index);
            model.start(place);
        }
        _ => return Err(impossible(fault)),
    }
    model.load.touch();
    Ok(())
}

/// What lies on the nodes, and what goes on by itself.
pub(super) fn fingerprint(model: &Model, nodes: &[Node]) -> Fingerprint {
    let mut all = Fingerprint::default();
    for Node { name, .. } in nodes {
        let Some(place) = model.place(name.as_str()) else { continue };
        let process = model.process(place);
        all.add(name, "process", process.state().to_string());
        all.add(name, "cut off", process.is_cut().to_string());
        if let Place::Tikv(index) = place {
            // Whether writes are refused follows from the space that is left.
            let resources = Resources { disk_full: false, ..model.stores[index].resources.clone() };
            all.add(name, "resources", format!("{resources:?}"));
        }
    }
    let cluster = NodeName::from("cluster");
    all.add(&cluster, "ongoing faults", format!("{:?}", model.ongoing));
    all.add(&cluster, "halted scheduling", model.config.schedule.halt_scheduling.to_string());
    all
}

impl Ongoing {
    fn flaps(&self, place: Place) -> bool {
        self.flapping.iter().any(|flapping| flapping.place == place)
    }

    fn leave_alone(&mut self, place: Place) {
        self.restarting.retain(|restarting| *restarting != place);
        self.flapping.retain(|flapping| flapping.place != place);
    }
}

/// What goes on by itself goes on.
pub(super) fn step(model: &mut Model, now: Duration) {
    model.step_network(now);
    for index in (0..model.ongoing.restarting.len()).rev() {
        let place = model.ongoing.restarting[index];
        if model.process(place).running_since().is_none() {
            model.ongoing.restarting.swap_remove(index);
            model.start(place);
        }
    }
    for index in 0..model.ongoing.flapping.len() {
        let Flapping { place, up, down, next, left } = model.ongoing.flapping[index];
        if now < next {
            continue;
        }
        if model.process(place).running_since().is_none() {
            model.ongoing.flapping[index].next = next + up;
            model.start(place);
        } else if left > 0 {
            model.ongoing.flapping[index].next = next + down;
            model.ongoing.flapping[index].left = left - 1;
            model.kill(place, 128 + 9);
        }
    }
    while let Some(index) = model.ongoing.deaf.iter().position(|(at, _)| now >= *at) {
        let (_, place) = model.ongoing.deaf.swap_remove(index);
        model.cut(place);
    }
    for index in 0..model.ongoing.pressed.len() {
        let index = model.ongoing.pressed[index];
        let store = &model.stores[index];
        if store.process.running_since().is_some() && store.resident(now) >= store.resources.memory {
            model.kill(Place::Tikv(index), 128 + 9);
            model.stores[index].process.ran_out_of_memory();
        }
    }
}

/// Sets the clock of a node. What its process measures by the monotonic clock goes on as before.
fn set_clock(model: &mut Model, place: Place, ahead: SignedDuration) {
    let now = model.now;
    let before = model.process(place).clock();
    model.process_mut(place).set_clock(ahead);
    let (back, by) = (ahead < before, (ahead - before).unsigned_abs());
    let Place::Pd(index) = place else {
        let Place::Tikv(index) = place else { return };
        return model.log.set_clock(&model.stores[index].name, ahead);
    };
    let leads = model.leadership.leader() == Some(index);
    let here = &model.members[index];
    model.log.set_clock(&here.name, ahead);
    if here.serves(now) {
        model.metrics.clock_set(index, leads, back.then_some(by), now);
    }
    if back && here.serves(now) {
        lines::pd::clock_set_back(&mut model.log, now, here, (instant(now) + before).as_nanosecond());
    } else if leads {
        lines::pd::clock_ahead(&mut model.log, now, here, by);
    }
    if leads {
        model.stores.iter_mut().for_each(|store| store.view.clock = ahead);
    }
}

impl Model {
    /// The leaders on a store that is so many times slower send their heartbeats as much more rarely.
    fn starve(&mut self, store: usize, slowness: f64) {
        let now = self.now;
        let gap = super::region::LEADER_HEARTBEAT.mul_f64(slowness);
        for region in self.regions.iter_mut().filter(|region| region.leader_store() == Some(store)) {
            region.starve(gap, now, &self.links, &mut self.random);
        }
        self.all_regions_due = true;
    }
}

fn known(model: &Model, node: &NodeName) -> Result<Place, ClusterError> {
    model.place(node.as_str()).ok_or_else(|| ClusterError::NoSuchNode(node.clone()))
}

fn places(model: &Model, nodes: &[NodeName]) -> Result<Vec<Place>, ClusterError> {
    nodes.iter().map(|node| known(model, node)).collect()
}

fn place(model: &Model, fault: &Fault) -> Result<Place, ClusterError> {
    fault.node().ok_or_else(|| impossible(fault)).and_then(|node| known(model, node))
}

fn impossible(fault: &Fault) -> ClusterError {
    ClusterError::environment(fault.to_string(), "the model cannot do that", "")
}
