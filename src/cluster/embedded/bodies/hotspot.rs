//! Hot regions and the load of stores: `/hotspot/…` (`pd:pkg/statistics/hot_regions_stat.go`).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::super::go_format::{by_id, float};
use super::super::model::Model;
use super::known_stores;

/// The hot peers, by the stores that they are on.
#[derive(Serialize)]
pub(in super::super) struct HotRegions {
    #[serde(serialize_with = "by_id")]
    as_peer: BTreeMap<u64, HotPeers>,
    #[serde(serialize_with = "by_id")]
    as_leader: BTreeMap<u64, HotPeers>,
}

/// The hot peers of one store. Rates are per second.
#[derive(Default, Serialize)]
struct HotPeers {
    #[serde(serialize_with = "float")]
    store_bytes: f64,
    #[serde(serialize_with = "float")]
    store_keys: f64,
    #[serde(serialize_with = "float")]
    store_query: f64,
    #[serde(serialize_with = "float")]
    total_flow_bytes: f64,
    #[serde(serialize_with = "float")]
    total_flow_keys: f64,
    #[serde(serialize_with = "float")]
    total_flow_query: f64,
    regions_count: usize,
    statistics: Vec<Value>,
}

/// The hot regions, of the stores with these ids; of all if none is given.
pub(in super::super) fn regions(model: &Model, stores: &[u64]) -> HotRegions {
    let of_each = || -> BTreeMap<u64, HotPeers> {
        let ids = known_stores(model).into_iter().map(|index| model.stores[index].id);
        let wanted = ids.filter(|id| stores.is_empty() || stores.contains(id));
        wanted.map(|id| (id, HotPeers::default())).collect()
    };
    HotRegions { as_peer: of_each(), as_leader: of_each() }
}

/// A rate per second.
struct Rate(f64);

impl Serialize for Rate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        float(&self.0, serializer)
    }
}

type Rates = BTreeMap<String, Rate>;

/// The load of the stores that have reported to this PD leader, by their ids.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::struct_field_names, reason = "PD's names")]
pub(in super::super) struct HotStores {
    #[serde(skip_serializing_if = "Rates::is_empty")]
    bytes_write_rate: Rates,
    #[serde(skip_serializing_if = "Rates::is_empty")]
    bytes_read_rate: Rates,
    #[serde(skip_serializing_if = "Rates::is_empty")]
    keys_write_rate: Rates,
    #[serde(skip_serializing_if = "Rates::is_empty")]
    keys_read_rate: Rates,
    #[serde(skip_serializing_if = "Rates::is_empty")]
    query_write_rate: Rates,
    #[serde(skip_serializing_if = "Rates::is_empty")]
    query_read_rate: Rates,
}

pub(in super::super) fn stores(model: &Model) -> HotStores {
    let rates = |_: &str| -> Rates {
        let reported = known_stores(model).into_iter().filter(|index| model.stores[*index].view.stats.is_some());
        reported.map(|index| (model.stores[index].id.to_string(), Rate(0.0))).collect()
    };
    HotStores {
        bytes_write_rate: rates("bytes written"),
        bytes_read_rate: rates("bytes read"),
        keys_write_rate: rates("keys written"),
        keys_read_rate: rates("keys read"),
        query_write_rate: rates("queries written"),
        query_read_rate: rates("queries read"),
    }
}
