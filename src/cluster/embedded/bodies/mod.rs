//! The JSON of PD's answers, field by field as its structs have them (`pd:pkg/response`, `pd:server/api`): same order,
//! same omissions. It reads the model and decides nothing.

pub(super) mod cluster;
pub(super) mod config;
pub(super) mod hotspot;
pub(super) mod members;
pub(super) mod regions;
pub(super) mod schedulers;
pub(super) mod stores;
pub(super) mod tikv;

use super::model::Model;
use super::region::Region;

/// The size of a small region, in MiB: PD never shows less than 1.
pub(super) const APPROXIMATE_SIZE: u64 = 1;

/// The regions that PD knows.
pub(super) fn known_regions(model: &Model) -> impl Iterator<Item = &Region> {
    model.regions.iter().filter(|region| region.known_leader.is_some())
}

/// The indices of the stores that PD knows, in the order of their ids.
pub(super) fn known_stores(model: &Model) -> Vec<usize> {
    let mut indices: Vec<usize> =
        (0..model.stores.len()).filter(|index| model.stores[*index].view.registered).collect();
    indices.sort_by_key(|index| model.stores[*index].id);
    indices
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A count of a region's traffic as PD shows it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of a minute, rounded down")]
fn whole(count: f64) -> u64 {
    count as u64
}
