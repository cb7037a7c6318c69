//! The cluster as it is before its first start: members, stores, regions and their ids, drawn from the seed.

use std::fmt::Display;

use fastrand::Rng;

use super::Topology;
use super::pd::Member;
use super::process::Process;
use super::region::{Identity, Region};
use super::resources::Path;
use super::store::Store;

/// PD keeps so many replicas of a region (`pd:pkg/schedule/config/config.go`, `max-replicas`).
const REPLICAS: usize = 3;
/// What `--capacity=20GB` gives a store, in bytes (fixtures/recordings/baseline-pd-api.json).
const CAPACITY: u64 = 20 << 30;
/// What an almost empty store uses, in bytes (fixtures/recordings/baseline-pd-api.json: 270.8 MiB).
const USED: u64 = 283_953_562;
/// The records of the load's table; its keys are split evenly.
const RECORDS: usize = 10_000;
/// `usertable:user` in hex: how the load's keys begin.
pub(super) const TABLE_PREFIX: &str = "757365727461626C653A75736572";
/// The bounds that PD's label rule for the default keyspace makes (`pd:pkg/keyspace/keyspace.go`), encoded, in hex.
const KEYSPACE_BOUNDS: [&str; 4] =
    ["7200000000000000FB", "7200000100000000FB", "7800000000000000FB", "7800000100000000FB"];
/// `visits:` in hex: how the keys of a table begin that a client adds behind the load's.
const NEW_TABLE_PREFIX: &str = "7669736974733A";
/// Between these two bounds lies the load's table.
const TABLE: usize = 2;
/// The fewest regions of a cluster: one on each side of each bound.
pub(super) const FEWEST_REGIONS: usize = KEYSPACE_BOUNDS.len() + 1;

/// PD's members in the order of their names, with the ids that etcd would give them.
pub(super) fn members(topology: &Topology, random: &mut Rng) -> Vec<Member> {
    (0..topology.pd)
        .map(|index| Member {
            name: format!("pd{index}").as_str().into(),
            id: random.u64((1 << 60)..),
            process: Process::NEW,
            leader_priority: 0,
            log_level: "info",
            isolated: None,
            network: Path::CLEAR,
        })
        .collect()
}

/// Hands out ids one after the other, as PD's allocator does, to stores, regions and peers alike
/// (`pd:pkg/id/id.go`).
#[derive(Debug, Clone, Default)]
pub(super) struct Allocator(u64);

impl Allocator {
    /// How many ids PD's leader takes from etcd at a time.
    const BATCH: u64 = 1000;

    pub(super) fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }

    /// A new PD leader does not know how many of the last batch were used: it begins with another.
    pub(super) fn rebase(&mut self) {
        self.0 = (self.0 / Self::BATCH + 1) * Self::BATCH;
    }
}

/// The stores, whose ids show who came first: the first of them made region 2 before the others came.
pub(super) fn stores(topology: &Topology, ids: &mut Allocator, random: &mut Rng) -> Vec<Store> {
    let mut arrivals: Vec<usize> = (0..topology.tikv).collect();
    random.shuffle(&mut arrivals);
    let mut stores: Vec<Store> = (0..topology.tikv).map(|index| store(index, random)).collect();
    for (rank, index) in arrivals.into_iter().enumerate() {
        stores[index].id = ids.next();
        if rank == 0 {
            ids.0 += 2;
        }
    }
    stores
}

/// A store whose process was not started yet.
pub(super) fn store(index: usize, random: &mut Rng) -> Store {
    Store::new(format!("tikv{index}").as_str().into(), CAPACITY, USED + random.u64(0..1 << 16))
}

/// The regions in the order of their keys: those of the keyspace, and the load's table split evenly.
pub(super) fn regions(topology: &Topology, ids: &mut Allocator, random: &mut Rng) -> Vec<Region> {
    let splits = topology.regions.max(FEWEST_REGIONS) - FEWEST_REGIONS;
    let mut bounds: Vec<String> = KEYSPACE_BOUNDS[..TABLE].iter().map(|&bound| bound.to_owned()).collect();
    bounds.extend((1..=splits).map(|split| record_key(split * RECORDS / (splits + 1))));
    bounds.extend(KEYSPACE_BOUNDS[TABLE..].iter().map(|&bound| bound.to_owned()));
    bounds.push(String::new());
    let version = u64::try_from(topology.regions).unwrap_or(u64::MAX);
    let mut start_key = String::new();
    let table = TABLE..=TABLE + splits;
    let mut regions = Vec::new();
    for (index, end_key) in bounds.into_iter().enumerate() {
        let split = table.contains(&index);
        let version = if split { version } else { FEWEST_REGIONS as u64 };
        let active = split && topology.load.is_some();
        let region = region(start_key, end_key.clone(), (version, active), topology, ids, random);
        regions.push(region);
        start_key = end_key;
    }
    regions
}

/// Whether regions that meet at a key are of different keyspaces, so that PD does not merge them.
pub(super) fn is_keyspace_bound(key: &str) -> bool {
    KEYSPACE_BOUNDS.contains(&key)
}

/// The key of a record of the load's table, in hex.
pub(super) fn record_key(record: usize) -> String {
    format!("{TABLE_PREFIX}{}", in_digits(record, 12))
}

/// A number as so many ASCII digits, in hex: 0x30 to 0x39.
fn in_digits(number: impl Display, digits: usize) -> String {
    format!("{number:0>digits$}").chars().flat_map(|digit| ['3', digit]).collect()
}

/// A key of the table that a client adds, in hex.
pub(super) fn new_table_key(number: u32) -> String {
    format!("{NEW_TABLE_PREFIX}{}", in_digits(number, 8))
}

fn region(
    start_key: String,
    end_key: String,
    (version, active): (u64, bool),
    topology: &Topology,
    ids: &mut Allocator,
    random: &mut Rng,
) -> Region {
    let id = ids.next();
    let mut stores = random.choose_multiple(0..topology.tikv, REPLICAS);
    stores.sort_unstable();
    let peers = stores.into_iter().map(|store| (ids.next(), store)).collect();
    Region::new(Identity { id, start_key, end_key, version, active }, peers)
}
