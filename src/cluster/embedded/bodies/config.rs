//! PD's configuration: `/config…`.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::model::Model;
use super::super::pd::Member;
use super::super::{PD_VERSION, TIKV_VERSION};

/// What `GET /config` shows of one member beside what can be changed, in the order of PD's struct
/// (`pd:server/config/config.go`); no recording has it. Null stands for what is filled in.
const TEMPLATE: &str = include_str!("pd_config.json");
/// In PD's struct the schedulers stand before this.
const BEHIND_SCHEDULERS: &str = "hot-regions-write-interval";

/// A scheduler in PD's configuration.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct SchedulerConfig {
    r#type: &'static str,
    args: Option<Vec<String>>,
    disable: bool,
    args_payload: &'static str,
}

/// `/config/schedule`.
pub(in super::super) fn schedule(model: &Model) -> serde_json::Result<Value> {
    let mut fields = match serde_json::to_value(&model.config.schedule)? {
        Value::Object(fields) => fields,
        other => return Ok(other),
    };
    let schedulers = model.schedulers.configured().iter().map(|scheduler| SchedulerConfig {
        r#type: scheduler.kind.config_type(),
        args: None,
        disable: scheduler.disabled,
        args_payload: "",
    });
    let schedulers = serde_json::to_value(schedulers.collect::<Vec<_>>())?;
    let place = fields.keys().position(|key| key == BEHIND_SCHEDULERS).unwrap_or(fields.len());
    fields.shift_insert(place, "schedulers-v2".to_owned(), schedulers);
    if !model.config.schedule.halt_scheduling {
        fields.shift_remove("halt-scheduling");
    }
    Ok(Value::Object(fields))
}

/// `GET /config` of one member, by its index.
pub(in super::super) fn all(model: &Model, member: usize) -> serde_json::Result<Value> {
    let member = &model.members[member];
    let mut fields: Map<String, Value> = serde_json::from_str(TEMPLATE)?;
    let url = |port: u16| format!("http://{}:{port}", member.name);
    let cluster = |member: &Member| format!("{0}=http://{0}:2380", member.name);
    let initial: Vec<String> = model.members.iter().map(cluster).collect();
    fields["advertise-client-urls"] = url(2379).into();
    fields["advertise-peer-urls"] = url(2380).into();
    fields["name"] = member.name.as_str().into();
    fields["initial-cluster"] = initial.join(",").into();
    fields["log"]["level"] = member.log_level.into();
    fields["metric"]["job"] = member.name.as_str().into();
    fields["schedule"] = schedule(model)?;
    fields["replication"] = serde_json::to_value(&model.config.replication)?;
    fields["pd-server"] = serde_json::to_value(&model.config.pd_server)?;
    fields["cluster-version"] = cluster_version(model).into();
    Ok(Value::Object(fields))
}

/// The lowest version of the stores; PD's own while there are none.
pub(in super::super) fn cluster_version(model: &Model) -> &'static str {
    if model.bootstrapped.is_some() { TIKV_VERSION } else { PD_VERSION.trim_start_matches('v') }
}

/// The placement rules: the one that PD makes of its `max-replicas` (`pd:pkg/schedule/placement/rule.go`).
pub(in super::super) fn rules(model: &Model) -> Value {
    json!([{
        "group_id": "pd",
        "id": "default",
        "start_key": "",
        "end_key": "",
        "role": "voter",
        "is_witness": false,
        "count": model.config.replication.max_replicas,
    }])
}

/// The label rules: the one that PD makes for the default keyspace (`pd:pkg/keyspace/util.go`).
pub(in super::super) fn label_rules() -> Value {
    json!([{
        "id": "keyspaces/0",
        "index": 0,
        "labels": [{ "key": "id", "value": "0" }],
        "rule_type": "key-range",
        "data": [
            { "start_key": "7200000000000000fb", "end_key": "7200000100000000fb" },
            { "start_key": "7800000000000000fb", "end_key": "7800000100000000fb" },
        ],
    }])
}
