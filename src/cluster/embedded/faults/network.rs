//! Nodes that are cut off, and packets that come late or not at all.

use std::time::Duration;

use super::super::acts::{self, CUT_NOTICED};
use super::super::model::{Model, Place};
use super::super::resources::Path;
use crate::cluster::Direction;

/// Packets that come so much later break every connection, as a sender waits no longer for an acknowledgement
/// (`tikv:src/server/config.rs`, `grpc-keepalive-timeout`), and so do packets that are all lost.
const BREAKS_CONNECTIONS: Duration = Duration::from_secs(3);
/// How long TCP waits at first for an acknowledgement before it sends a packet again (Linux, `TCP_RTO_MIN`).
const RESENT_AFTER: Duration = Duration::from_millis(200);

/// How much later a node's answer to the observer comes: its packets come late, two of them one after the other, or
/// are sent again until none is lost.
pub(in super::super) fn answer_delay(model: &Model, place: Place) -> Duration {
    let Path { delay, loss } = path(model, place);
    let resent = RESENT_AFTER.mul_f64(loss / (1.0 - loss).max(0.01));
    2 * (delay + resent)
}

/// Cuts a node off from all others and from the observer. If it still sends, connections live on until a sender has
/// waited in vain for an acknowledgement.
pub(super) fn cut_off(model: &mut Model, place: Place, direction: Direction) {
    if direction == Direction::In && !model.process(place).is_cut() && !model.process(place).is_deaf() {
        model.process_mut(place).deafen();
        let until = model.now + acts::draw(&CUT_NOTICED, &mut model.random);
        model.ongoing.deaf.push((until, place));
    } else {
        model.cut(place);
    }
}

pub(super) fn connect_again(model: &mut Model, place: Place) {
    model.ongoing.deaf.retain(|(_, deaf)| *deaf != place);
    model.reconnect(place);
}

pub(super) fn path(model: &Model, place: Place) -> Path {
    match place {
        Place::Pd(index) => model.members[index].network,
        Place::Tikv(index) => model.stores[index].resources.network,
    }
}

pub(super) fn set_path(model: &mut Model, place: Place, path: Path) {
    let broken = path.delay >= BREAKS_CONNECTIONS || path.loss >= 1.0;
    match place {
        Place::Pd(index) => model.members[index].network = path,
        Place::Tikv(index) => model.stores[index].resources.network = path,
    }
    if broken {
        model.cut(place);
    } else {
        model.reconnect(place);
    }
}
