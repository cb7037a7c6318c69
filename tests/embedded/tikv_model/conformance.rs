//! Every answer of the model's PD at rest against the recorded one: status, content type, fields and their order, types,
//! units, formats, and the values themselves but for those that are listed here.

use regex::Regex;
use serde_json::{Map, Value};

use super::{get, pd, recording, up, wait};

/// How the value of a field may differ from the recorded one, by the field's name.
fn format_of(field: &str) -> Option<&'static str> {
    Some(match field {
        // Ids and what is drawn. Of the store ids it is checked elsewhere that they are those of the cluster.
        "id" | "store_id" | "region_id" | "member_id" | "cluster_id" | "from" | "to"
        // The recorded cluster was under load.
        | "written_bytes" | "read_bytes" | "written_keys" | "read_keys" => r"\d+",
        // In the order of the ids.
        "address" | "peer_address" => r"tikv[0-2]:20160",
        "status_address" => r"tikv[0-2]:20180",
        "name" => r"pd[0-2]",
        "client_urls[]" => r"http://pd[0-2]:2379",
        "peer_urls[]" => r"http://pd[0-2]:2380",
        // The recorded TiKV is a later one, and its PD was built from source.
        "version" | "/config/cluster-version" => r"v?\d+\.\d+\.\d+(-beta\.2)?",
        "git_hash" => r"[0-9a-f]{40}(-local)?",
        "build_ts" => r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
        // Times, in seconds, in nanoseconds, as text and as spans.
        "start_timestamp" | "end" => r"\d{10}",
        "last_heartbeat" => r"\d{19}",
        "start_ts" => r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
        "last_heartbeat_ts" | "raft_bootstrap_time" => r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z",
        "uptime" => r"(\d+h)?(\d+m)?\d+(\.\d{1,9})?s",
        "min_resolved_ts" => r"4\d{17}",
        // Sizes in bytes, as text and as numbers.
        "available" => r"19\.7\d?GiB|21\d{9}",
        "used_size" => r"2\d\d(\.\d)?MiB",
        // How many leaders a store has, is drawn.
        "leader_count" | "leader_score" | "leader_size" | "store_leader_count" | "store_leader_size" => r"\d{1,2}",
        "region_score" => r"60\d{8}(\.\d+)?",
        "cause_value" => r"250\d{3}(\.\d+)?",
        // Keys and epochs of regions, which come in another order.
        "start_key" | "end_key" => r"([0-9A-F]{2})*",
        "epoch.conf_ver" => r"5",
        "epoch.version" => r"5|24",
        // It had only just come under it: no store had told PD of it.
        "store_bytes" | "store_keys" | "store_query" | "bytes-write-rate" | "bytes-read-rate" | "keys-write-rate"
        | "keys-read-rate" | "query-write-rate" | "query-read-rate" => r"\d+(\.\d)?",
        _ => return None,
    })
}

/// The recorded answers whose bodies are not compared, and why.
const NOT_COMPARED: [&str; 1] = [
    // What the schedulers of the recorded cluster had just done.
    "/operators/records?from=1",
];

/// What is unlike in two bodies, place by place.
fn differences(field: &str, recorded: &Value, own: &Value) -> Vec<String> {
    match (recorded, own) {
        (Value::Object(recorded), Value::Object(own)) => {
            // The ids of the stores are others.
            let by_store = recorded.keys().all(|key| key.parse::<u64>().is_ok());
            let keys = |fields: &Map<String, Value>| -> Vec<String> {
                fields.keys().map(|key| if by_store { "id".to_owned() } else { key.clone() }).collect()
            };
            if keys(recorded) != keys(own) {
                return vec![format!("{field} has the fields {:?}, not {:?}", keys(own), keys(recorded))];
            }
            let pairs = recorded.iter().zip(own.values());
            let name = |key: &str| match field {
                _ if by_store => field.to_owned(),
                "epoch" => format!("epoch.{key}"),
                _ => key.to_owned(),
            };
            pairs.flat_map(|((key, recorded), own)| differences(&name(key), recorded, own)).collect()
        }
        (Value::Array(recorded), Value::Array(own)) => {
            if recorded.len() != own.len() && field != "entries" {
                return vec![format!("{field} has {} items, not {}", own.len(), recorded.len())];
            }
            let field = format!("{field}[]");
            recorded.iter().zip(own).flat_map(|(recorded, own)| differences(&field, recorded, own)).collect()
        }
        (recorded, own) => {
            let alike = match format_of(field) {
                Some(format) => {
                    recorded.is_string() == own.is_string()
                        && [recorded, own].iter().all(|value| has_format(value, format))
                }
                None => recorded == own,
            };
            if alike { Vec::new() } else { vec![format!("{field} is {own}, not {recorded}")] }
        }
    }
}

fn has_format(value: &Value, format: &str) -> bool {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Regex::new(&format!("^({format})$")).unwrap().is_match(&text)
}

fn is_compact(body: &str) -> bool {
    let written_anew = serde_json::from_str::<Value>(body).unwrap().to_string();
    written_anew == body
}

fn is_indented(body: &str) -> bool {
    let value: Value = serde_json::from_str(body).unwrap();
    serde_json::to_string_pretty(&value).unwrap() + "\n" == body
}

#[tokio::test]
async fn every_recorded_answer_of_pd_has_its_like() {
    let baseline: Value = serde_json::from_slice(&recording("baseline-pd-api.json")).unwrap();
    let cluster = up(7).await;
    wait(&cluster, 100.0).await;
    let stores: Value = serde_json::from_str(&pd(&cluster, "/stores").await.body).unwrap();
    let regions: Value = serde_json::from_str(&pd(&cluster, "/regions").await.body).unwrap();
    let ids = [&stores["stores"][0]["store"]["id"], &regions["regions"][9]["id"]].map(|id| id.as_u64().unwrap());
    let recorded = baseline.as_object().unwrap();
    assert_eq!(recorded.len(), 44);
    let mut unlike = Vec::new();
    for (path, recorded) in recorded.iter().filter(|(path, _)| !NOT_COMPARED.contains(&path.as_str())) {
        let own_path = path.replace("/store/1", &format!("/store/{}", ids[0])).replace("/44", &format!("/{}", ids[1]));
        let own = pd(&cluster, &own_path).await;
        assert_eq!(recorded["status"], own.status, "{path}: {}", own.body);
        assert_eq!(recorded["content_type"], own.content_type, "{path}");
        let body = recorded["body"].as_str().unwrap();
        let (Ok(recorded), Ok(own_body)) = (serde_json::from_str(body), serde_json::from_str(&own.body)) else {
            assert_eq!(body, own.body, "{path}");
            continue;
        };
        assert_eq!((is_compact(body), is_indented(body)), (is_compact(&own.body), is_indented(&own.body)), "{path}");
        unlike.extend(
            differences(path, &recorded, &own_body).into_iter().map(|difference| format!("{path}: {difference}")),
        );
    }
    assert!(unlike.is_empty(), "{unlike:#?}");
}

#[tokio::test]
async fn tikvs_configuration_is_the_recorded_one_of_another_version() {
    let recorded: Value = serde_json::from_slice(&recording("baseline-tikv-config.json")).unwrap();
    let cluster = up(7).await;
    let own = get(&cluster, "tikv0:20180", "/config").await.unwrap();
    assert_eq!((own.status, own.content_type.as_str()), (200, "application/json"));
    assert_eq!(own.body, recorded.to_string());
    let other: Value = serde_json::from_str(&get(&cluster, "tikv2:20180", "/config").await.unwrap().body).unwrap();
    assert_eq!(other["server"]["advertise-addr"], "tikv2:20160");
    assert_eq!(other["server"]["advertise-status-addr"], "tikv2:20180");
}
