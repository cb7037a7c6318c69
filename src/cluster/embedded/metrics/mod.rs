//! What the nodes' `/metrics` say: those families whose values the model has, named, typed and labelled as in
//! `fixtures/recordings/baseline-metrics.prom.gz`. A family that the model has no state for is left out.

mod families;
mod gauges;
mod load;
mod log_lag;
mod pd;
mod text;
mod threads;
mod tikv;

use std::time::Duration;

pub(super) use families::Family;
pub(super) use gauges::{Metrics, step};
pub(super) use text::{CONTENT_TYPES, exposition};

use super::instant;
use super::model::{Model, Place};

/// Takes one sample: its family, its labels in the order of their names, and its value.
pub(super) type Take<'a> = dyn FnMut(&'static Family, &[(&'static str, &str)], f64) + 'a;

/// Hands over every sample that a node shows now, the samples of a family together.
pub(super) fn collect(model: &Model, place: Place, take: &mut Take) {
    match place {
        Place::Pd(index) => pd::collect(model, index, take),
        Place::Tikv(index) => tikv::collect(model, index, take),
    }
}

/// When something happened, in seconds since the epoch.
fn epoch_seconds(since_start: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch are below 2^53")]
    let milliseconds = instant(since_start).as_millisecond() as f64;
    milliseconds / 1000.0
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

#[expect(clippy::cast_precision_loss, reason = "counts and bytes are below 2^53, and Go's gauges are float64, too")]
fn number(count: u64) -> f64 {
    count as f64
}
