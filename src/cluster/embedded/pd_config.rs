//! PD's configuration: what can be changed while it runs. PD keeps it in etcd, so that it outlives PD's leader. Each
//! struct has the fields of PD's own, in its order (`pd:pkg/schedule/config/config.go`, `pd:server/config/config.go`;
//! fixtures/recordings/baseline-pd-api.json has the first two).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::go_format::{by_id, float, go_duration, quoted_bool};

/// How fast peers may come to a store and leave it, in operations a minute.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct StoreLimit {
    #[serde(serialize_with = "float")]
    pub(super) add_peer: f64,
    #[serde(serialize_with = "float")]
    pub(super) remove_peer: f64,
}

impl Default for StoreLimit {
    fn default() -> Self {
        Self { add_peer: 15.0, remove_peer: 15.0 }
    }
}

/// How PD schedules. Limits are numbers of operators at a time; sizes of regions are in MiB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "PD's fields")]
pub(super) struct ScheduleConfig {
    pub(super) max_snapshot_count: u64,
    pub(super) max_pending_peer_count: u64,
    pub(super) max_merge_region_size: u64,
    pub(super) max_merge_region_keys: u64,
    #[serde(with = "go_duration")]
    pub(super) split_merge_interval: Duration,
    #[serde(with = "go_duration")]
    pub(super) switch_witness_interval: Duration,
    #[serde(with = "quoted_bool")]
    pub(super) enable_one_way_merge: bool,
    #[serde(with = "quoted_bool")]
    pub(super) enable_cross_table_merge: bool,
    #[serde(with = "go_duration")]
    pub(super) patrol_region_interval: Duration,
    /// A store silent for longer is Down.
    #[serde(with = "go_duration")]
    pub(super) max_store_down_time: Duration,
    #[serde(with = "go_duration")]
    pub(super) max_store_preparing_time: Duration,
    pub(super) leader_schedule_limit: u64,
    pub(super) leader_schedule_policy: String,
    pub(super) region_schedule_limit: u64,
    pub(super) witness_schedule_limit: u64,
    pub(super) replica_schedule_limit: u64,
    pub(super) merge_schedule_limit: u64,
    pub(super) hot_region_schedule_limit: u64,
    pub(super) affinity_schedule_limit: u64,
    pub(super) hot_region_cache_hits_threshold: u64,
    /// By the ids of the stores; PD adds a store when it hears of it.
    #[serde(serialize_with = "by_id")]
    pub(super) store_limit: BTreeMap<u64, StoreLimit>,
    #[serde(serialize_with = "float")]
    pub(super) tolerant_size_ratio: f64,
    /// A store of which a larger part is used is low on space.
    #[serde(serialize_with = "float")]
    pub(super) low_space_ratio: f64,
    #[serde(serialize_with = "float")]
    pub(super) high_space_ratio: f64,
    pub(super) region_score_formula_version: String,
    pub(super) scheduler_max_waiting_operator: u64,
    #[serde(with = "quoted_bool")]
    pub(super) enable_remove_down_replica: bool,
    #[serde(with = "quoted_bool")]
    pub(super) enable_replace_offline_replica: bool,
    #[serde(with = "quoted_bool")]
    pub(super) enable_make_up_replica: bool,
    #[serde(with = "quoted_bool")]
    pub(super) enable_remove_extra_replica: bool,
    #[serde(with = "quoted_bool")]
    pub(super) enable_location_replacement: bool,
    #[serde(with = "quoted_bool")]
    pub(super) enable_debug_metrics: bool,
    #[serde(with = "quoted_bool")]
    pub(super) enable_joint_consensus: bool,
    #[serde(with = "quoted_bool")]
    pub(super) enable_tikv_split_region: bool,
    #[serde(with = "quoted_bool")]
    pub(super) enable_heartbeat_breakdown_metrics: bool,
    #[serde(with = "quoted_bool")]
    pub(super) enable_heartbeat_concurrent_runner: bool,
    #[serde(with = "go_duration")]
    pub(super) hot_regions_write_interval: Duration,
    pub(super) hot_regions_reserved_days: u64,
    pub(super) max_movable_hot_peer_size: i64,
    #[serde(with = "quoted_bool")]
    pub(super) enable_diagnostic: bool,
    #[serde(with = "quoted_bool")]
    pub(super) enable_witness: bool,
    #[serde(serialize_with = "float")]
    pub(super) slow_store_evicting_affected_store_ratio_threshold: f64,
    pub(super) store_limit_version: String,
    /// No scheduler and no checker does anything.
    #[serde(with = "quoted_bool")]
    pub(super) halt_scheduling: bool,
    pub(super) patrol_region_worker_count: i64,
    pub(super) max_affinity_merge_region_size: u64,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_mins(1);
        const HOUR: Duration = Duration::from_hours(1);
        Self {
            max_snapshot_count: 64,
            max_pending_peer_count: 64,
            max_merge_region_size: 54,
            max_merge_region_keys: 540_000,
            split_merge_interval: HOUR,
            switch_witness_interval: HOUR,
            enable_one_way_merge: false,
            enable_cross_table_merge: true,
            patrol_region_interval: Duration::from_millis(10),
            max_store_down_time: 30 * MINUTE,
            max_store_preparing_time: 48 * HOUR,
            leader_schedule_limit: 4,
            leader_schedule_policy: "count".to_owned(),
            region_schedule_limit: 2048,
            witness_schedule_limit: 4,
            replica_schedule_limit: 64,
            // 8 by default; the recorded cluster has 0, so that the regions of its table stay split.
            merge_schedule_limit: 0,
            hot_region_schedule_limit: 4,
            affinity_schedule_limit: 0,
            hot_region_cache_hits_threshold: 3,
            store_limit: BTreeMap::new(),
            tolerant_size_ratio: 0.0,
            low_space_ratio: 0.8,
            high_space_ratio: 0.7,
            region_score_formula_version: "v2".to_owned(),
            scheduler_max_waiting_operator: 5,
            enable_remove_down_replica: true,
            enable_replace_offline_replica: true,
            enable_make_up_replica: true,
            enable_remove_extra_replica: true,
            enable_location_replacement: true,
            enable_debug_metrics: false,
            enable_joint_consensus: true,
            enable_tikv_split_region: true,
            enable_heartbeat_breakdown_metrics: true,
            enable_heartbeat_concurrent_runner: true,
            hot_regions_write_interval: 10 * MINUTE,
            hot_regions_reserved_days: 7,
            max_movable_hot_peer_size: 512,
            enable_diagnostic: true,
            enable_witness: false,
            slow_store_evicting_affected_store_ratio_threshold: 0.3,
            store_limit_version: "v1".to_owned(),
            halt_scheduling: false,
            patrol_region_worker_count: 1,
            max_affinity_merge_region_size: 256,
        }
    }
}

impl ScheduleConfig {
    /// Why PD would refuse it (`ScheduleConfig.Validate`).
    fn mistake(&self) -> Option<String> {
        let ratio = |ratio: f64| (0.0..=1.0).contains(&ratio);
        Some(match self {
            _ if self.tolerant_size_ratio < 0.0 => "tolerant-size-ratio should be non-negative".to_owned(),
            _ if !ratio(self.low_space_ratio) => "low-space-ratio should between 0 and 1".to_owned(),
            _ if !ratio(self.high_space_ratio) => "high-space-ratio should between 0 and 1".to_owned(),
            _ if self.low_space_ratio <= self.high_space_ratio => {
                "low-space-ratio should be larger than high-space-ratio".to_owned()
            }
            _ if !["count", "size"].contains(&self.leader_schedule_policy.as_str()) => {
                format!("leader-schedule-policy {} is invalid", self.leader_schedule_policy)
            }
            _ if self.slow_store_evicting_affected_store_ratio_threshold == 0.0 => {
                "slow-store-evicting-affected-store-ratio-threshold is not set".to_owned()
            }
            _ if !(1..=8).contains(&self.patrol_region_worker_count) => {
                "patrol-region-worker-count should be between 1 and 8".to_owned()
            }
            _ => return None,
        })
    }
}

/// How many replicas a region has, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ReplicationConfig {
    pub(super) max_replicas: u64,
    /// Comma-separated.
    pub(super) location_labels: String,
    #[serde(with = "quoted_bool")]
    pub(super) strictly_match_label: bool,
    #[serde(with = "quoted_bool")]
    pub(super) enable_placement_rules: bool,
    #[serde(with = "quoted_bool")]
    pub(super) enable_placement_rules_cache: bool,
    pub(super) isolation_level: String,
}

impl Default for ReplicationConfig {
    fn default() -> Self {
        Self {
            max_replicas: 3,
            location_labels: String::new(),
            strictly_match_label: false,
            enable_placement_rules: true,
            enable_placement_rules_cache: false,
            isolation_level: String::new(),
        }
    }
}

/// The rest that can be changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct PdServerConfig {
    #[serde(with = "quoted_bool")]
    pub(super) use_region_storage: bool,
    #[serde(with = "go_duration")]
    pub(super) max_gap_reset_ts: Duration,
    pub(super) key_type: String,
    /// Comma-separated.
    pub(super) runtime_services: String,
    /// The Prometheus to which PD hands `/metric/query` on; empty if it has none.
    pub(super) metric_storage: String,
    pub(super) dashboard_address: String,
    pub(super) flow_round_by_digit: i64,
    #[serde(with = "go_duration")]
    pub(super) min_resolved_ts_persistence_interval: Duration,
    #[serde(serialize_with = "float")]
    pub(super) server_memory_limit: f64,
    #[serde(serialize_with = "float")]
    pub(super) server_memory_limit_gc_trigger: f64,
    #[serde(with = "quoted_bool")]
    pub(super) enable_gogc_tuner: bool,
    #[serde(serialize_with = "float")]
    pub(super) gc_tuner_threshold: f64,
    #[serde(with = "quoted_bool")]
    pub(super) block_safe_point_v1: bool,
}

impl Default for PdServerConfig {
    fn default() -> Self {
        Self {
            use_region_storage: true,
            max_gap_reset_ts: Duration::from_hours(24),
            key_type: "table".to_owned(),
            runtime_services: String::new(),
            metric_storage: format!("http://{}", super::prometheus::AUTHORITY),
            dashboard_address: "none".to_owned(),
            flow_round_by_digit: 3,
            min_resolved_ts_persistence_interval: Duration::from_secs(1),
            server_memory_limit: 0.0,
            server_memory_limit_gc_trigger: 0.7,
            enable_gogc_tuner: false,
            gc_tuner_threshold: 0.6,
            block_safe_point_v1: false,
        }
    }
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PdConfig {
    pub(super) schedule: ScheduleConfig,
    pub(super) replication: ReplicationConfig,
    pub(super) pd_server: PdServerConfig,
}

impl PdConfig {
    /// Sets an item as `POST /config` does: by its whole name (`schedule.leader-schedule-limit`), or by the last part of
    /// it. The error is PD's.
    pub(super) fn set(&mut self, item: &str, value: &Value) -> Result<(), String> {
        let not_found = || format!("config item {item} not found");
        let (prefix, key) = match item.split_once('.') {
            Some((prefix, rest)) => (prefix, rest.rsplit('.').next().unwrap_or(rest)),
            None if has(&self.schedule, item) => ("schedule", item),
            None if has(&self.replication, item) => ("replication", item),
            None if has(&self.pd_server, item) => ("pd-server", item),
            None => return Err(not_found()),
        };
        match prefix {
            "schedule" => {
                let changed = with(&self.schedule, "ScheduleConfig", key, value)?;
                if let Some(mistake) = changed.mistake() {
                    return Err(mistake);
                }
                self.schedule = changed;
            }
            "replication" => self.replication = with(&self.replication, "ReplicationConfig", key, value)?,
            "pd-server" => self.pd_server = with(&self.pd_server, "PDServerConfig", key, value)?,
            _ => return Err(format!("config prefix {prefix} not found")),
        }
        Ok(())
    }
}

fn has<T: Serialize>(config: &T, key: &str) -> bool {
    serde_json::to_value(config).is_ok_and(|fields| fields.get(key).is_some())
}

/// A copy of a struct with one of its fields replaced.
fn with<T: Serialize + DeserializeOwned>(config: &T, name: &str, key: &str, value: &Value) -> Result<T, String> {
    let mut fields = serde_json::to_value(config).map_err(|error| error.to_string())?;
    let field = fields.get_mut(key).ok_or_else(|| format!("config item {key} not found"))?;
    let old = std::mem::replace(field, value.clone());
    serde_json::from_value(fields).map_err(|error| {
        let wanted = match &old {
            // Of the numbers only the unsigned ones are told apart; PD also has some signed ones.
            Value::Number(number) if number.is_f64() => "float64",
            Value::Number(_) => "uint64",
            Value::String(_) if !value.is_string() && !is_own_error(&error) => "string",
            _ => return error.to_string(),
        };
        format!("json: cannot unmarshal {} into Go struct field {name}.{key} of type {wanted}", go_kind(value))
    })
}

/// Whether an error comes from the formats of [`super::go_format`], whose words are Go's already.
fn is_own_error(error: &serde_json::Error) -> bool {
    !error.to_string().starts_with("invalid type")
}

/// How Go's `encoding/json` names a value that it cannot read.
fn go_kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number) => format!("number {number}"),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_item_is_set_by_its_whole_name_and_by_its_last_part() {
        let mut config = PdConfig::default();
        config.set("schedule.max-store-down-time", &json!("2m")).unwrap();
        config.set("leader-schedule-limit", &json!(0)).unwrap();
        config.set("halt-scheduling", &json!("true")).unwrap();
        config.set("replication.max-replicas", &json!(5)).unwrap();
        config.set("low-space-ratio", &json!(0.9)).unwrap();
        config.set("tolerant-size-ratio", &json!(2)).unwrap();
        assert_eq!(config.schedule.max_store_down_time, Duration::from_mins(2));
        assert_eq!(config.schedule.leader_schedule_limit, 0);
        assert!(config.schedule.halt_scheduling);
        assert_eq!(config.replication.max_replicas, 5);
        assert!((config.schedule.low_space_ratio - 0.9).abs() < 1e-9);
        config.schedule.store_limit.insert(10, StoreLimit::default());
        config.set("leader-schedule-limit", &json!(7)).unwrap();
        assert!(config.schedule.store_limit.contains_key(&10));
    }

    #[test]
    fn what_pd_refuses_changes_nothing_and_has_its_words() {
        let mut config = PdConfig::default();
        let refused = [
            ("nonsense", json!(1), "config item nonsense not found"),
            ("schedule.nonsense", json!(1), "config item nonsense not found"),
            ("nowhere.limit", json!(1), "config prefix nowhere not found"),
            ("low-space-ratio", json!(0.5), "low-space-ratio should be larger than high-space-ratio"),
            ("leader-schedule-policy", json!("luck"), "leader-schedule-policy luck is invalid"),
            ("max-store-down-time", json!("soon"), "time: invalid duration \"soon\""),
            (
                "leader-schedule-limit",
                json!("four"),
                "json: cannot unmarshal string into Go struct field ScheduleConfig.leader-schedule-limit of type uint64",
            ),
            (
                "enable-witness",
                json!(true),
                "json: invalid use of ,string struct tag, trying to unmarshal unquoted value into bool",
            ),
        ];
        for (item, value, words) in refused {
            assert_eq!(config.set(item, &value), Err(words.to_owned()));
        }
        assert_eq!(config, PdConfig::default());
    }
}
