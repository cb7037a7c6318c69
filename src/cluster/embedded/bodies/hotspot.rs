//! Hot regions and the load of stores: `/hotspot/…` (`pd:pkg/statistics/hot_regions_stat.go`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::super::go_format::{by_id, float};
use super::super::instant;
use super::super::load::{Flow, StoreRates};
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
    statistics: Vec<HotPeer>,
}

/// A hot region, as it is told of each store that has a peer of it. Rates are per second.
#[derive(Serialize)]
struct HotPeer {
    store_id: u64,
    stores: Vec<u64>,
    is_leader: bool,
    is_learner: bool,
    region_id: u64,
    hot_degree: u32,
    #[serde(serialize_with = "float")]
    flow_bytes: f64,
    #[serde(serialize_with = "float")]
    flow_keys: f64,
    #[serde(serialize_with = "float")]
    flow_query: f64,
    anti_count: u32,
    last_update_time: String,
}

/// The regions that are hot for writes or for reads, of the stores with these ids; of all if none is given.
pub(in super::super) fn regions(model: &Model, write: bool, stores: &[u64]) -> HotRegions {
    let of_each = |leaders: bool| -> BTreeMap<u64, HotPeers> {
        let wanted = known_stores(model)
            .into_iter()
            .filter(|index| stores.is_empty() || stores.contains(&model.stores[*index].id));
        wanted.map(|index| (model.stores[index].id, hot_peers(model, write, index, leaders))).collect()
    };
    HotRegions { as_peer: of_each(false), as_leader: of_each(true) }
}

fn hot_peers(model: &Model, write: bool, store: usize, leaders: bool) -> HotPeers {
    let statistics: Vec<HotPeer> = model
        .load
        .hot
        .listed(write)
        .map(|(region, hot)| (&model.regions[region], hot))
        .filter(|(region, _)| region.peer_on(store).is_some())
        // Only leaders are read from.
        .filter(|(region, _)| region.known_leader_store() == Some(store) || write && !leaders)
        .map(|(region, hot)| {
            let rates = hot.rates.rates();
            let [flow_bytes, flow_keys, flow_query] = dimensions(&rates, write);
            HotPeer {
                store_id: model.stores[store].id,
                stores: region.peers.iter().map(|peer| model.stores[peer.store].id).collect(),
                is_leader: region.known_leader_store() == Some(store),
                is_learner: false,
                region_id: region.id,
                hot_degree: hot.degree,
                flow_bytes,
                flow_keys,
                flow_query,
                anti_count: hot.anti_count,
                last_update_time: instant(Duration::from_secs(hot.updated.as_secs())).to_string(),
            }
        })
        .collect();
    let total = |of: fn(&HotPeer) -> f64| statistics.iter().map(of).sum();
    // A store's writes are those of all its peers; as a leader it is credited with none but those of hot regions
    // (fixtures/recordings/hot-region.hotspot.jsonl).
    let rates = model.load.hot.store(store).map(StoreRates::rates).unwrap_or_default();
    let [store_bytes, store_keys, store_query] = if leaders && write {
        [total(|peer| peer.flow_bytes), total(|peer| peer.flow_keys), total(|peer| peer.flow_query)]
    } else {
        dimensions(&rates, write)
    };
    HotPeers {
        store_bytes,
        store_keys,
        store_query,
        total_flow_bytes: total(|peer| peer.flow_bytes),
        total_flow_keys: total(|peer| peer.flow_keys),
        total_flow_query: total(|peer| peer.flow_query),
        regions_count: statistics.len(),
        statistics,
    }
}

/// Bytes, keys and queries. TiKV reports no queries for the writes of raw keys.
fn dimensions(flow: &Flow, write: bool) -> [f64; 3] {
    let dimensions = if write {
        [flow.written_bytes, flow.written_keys, 0.0]
    } else {
        [flow.read_bytes, flow.read_keys, flow.read_queries]
    };
    // PD rounds to tenths (`pd:pkg/statistics/hot_peer.go` and `pd:pkg/utils/typeutil`).
    dimensions.map(|rate| (rate * 10.0).round() / 10.0)
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
    let rates = |write: bool, dimension: usize| -> Rates {
        let told = known_stores(model)
            .into_iter()
            .filter_map(|index| Some((model.stores[index].id, model.load.hot.store(index)?.rates())));
        told.map(|(id, rates)| (id.to_string(), Rate(dimensions(&rates, write)[dimension]))).collect()
    };
    HotStores {
        bytes_write_rate: rates(true, 0),
        bytes_read_rate: rates(false, 0),
        keys_write_rate: rates(true, 1),
        keys_read_rate: rates(false, 1),
        query_write_rate: rates(true, 2),
        query_read_rate: rates(false, 2),
    }
}
