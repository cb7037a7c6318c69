//! PD's quirks, and what is changed through its API.

use std::time::Duration;

use operator_run::cluster::embedded::EmbeddedCluster;
use operator_run::cluster::{Cluster, Fault, FaultKind};
use operator_run::http::{HttpError, Method, Request, Response};
use serde_json::{Value, json};

use super::{get, kill, most_leaders, node_of, pd, recording, stores, up, wait};

const PATIENCE: Duration = Duration::from_secs(5);

async fn ask(cluster: &EmbeddedCluster, method: Method, path: &str, body: Option<Value>) -> (u16, String) {
    let request = Request { body, ..Request::new(method, "pd1:2379", format!("/pd/api/v1{path}"), PATIENCE) };
    let answer = cluster.http().send(&request).await.unwrap();
    (answer.status, answer.body.trim_end().to_owned())
}

async fn post(cluster: &EmbeddedCluster, path: &str, body: Value) -> (u16, String) {
    ask(cluster, Method::POST, path, Some(body)).await
}

async fn delete(cluster: &EmbeddedCluster, path: &str) -> (u16, String) {
    ask(cluster, Method::DELETE, path, None).await
}

async fn read(cluster: &EmbeddedCluster, path: &str) -> Value {
    let answer = pd(cluster, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn quoted(status: u16, text: &str) -> (u16, String) {
    (status, format!("{text:?}"))
}

async fn leader(cluster: &EmbeddedCluster) -> String {
    read(cluster, "/leader").await["name"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_configuration_is_changed_and_outlives_pds_leader() {
    let cluster = up(3).await;
    let updated = quoted(200, "The config is updated.");
    assert_eq!(post(&cluster, "/config", json!({ "schedule.max-store-down-time": "2m" })).await, updated);
    assert_eq!(post(&cluster, "/config", json!({ "max-snapshot-count": 7, "halt-scheduling": "true" })).await, updated);
    assert_eq!(post(&cluster, "/config/replicate", json!({ "max-replicas": 5 })).await, updated);
    let refused = post(&cluster, "/config", json!({ "nonsense": 1 })).await;
    assert_eq!(refused, quoted(400, "config item nonsense not found"));
    assert_eq!(ask(&cluster, Method::POST, "/config", None).await, quoted(400, "unexpected end of JSON input"));

    cluster.inject(&kill(&leader(&cluster).await)).await.unwrap();
    wait(&cluster, 30.0).await;
    let alive = get(&cluster, "pd0:2379", "/pd/api/v1/ping").await.is_ok();
    let authority = if alive { "pd0:2379" } else { "pd2:2379" };
    let schedule = get(&cluster, authority, "/pd/api/v1/config/schedule").await.unwrap();
    let schedule: Value = serde_json::from_str(&schedule.body).unwrap();
    assert_eq!(schedule["max-store-down-time"], "2m0s");
    assert_eq!((&schedule["max-snapshot-count"], &schedule["halt-scheduling"]), (&json!(7), &json!("true")));
    let all = get(&cluster, authority, "/pd/api/v1/config").await.unwrap();
    let all: Value = serde_json::from_str(&all.body).unwrap();
    assert_eq!(all["schedule"], schedule);
    assert_eq!(all["replication"]["max-replicas"], 5);
    assert_eq!((&all["name"], &all["election-interval"]), (&json!(&authority[..3]), &json!("3s")));
}

#[tokio::test]
async fn a_store_is_down_when_the_configuration_says_so() {
    let cluster = up(3).await;
    post(&cluster, "/config", json!({ "max-store-down-time": "1m" })).await;
    cluster.inject(&kill("tikv0")).await.unwrap();
    wait(&cluster, 50.0).await;
    let state = |stores: &[Value]| {
        let store = stores.iter().find(|store| node_of(store) == "tikv0").unwrap();
        store["store"]["state_name"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(&stores(&cluster).await), "Disconnected");
    wait(&cluster, 20.0).await;
    assert_eq!(state(&stores(&cluster).await), "Down");
    for (name, count) in [("down", 1), ("UP", 2), ("disconnected", 0), ("down&state=up", 3)] {
        assert_eq!(read(&cluster, &format!("/stores/check?state={name}")).await["count"], count, "{name}");
    }
}

/// Leaders of the store that has fewest, after it was away for a minute and is back for another.
async fn leaders_of_a_restarted_store(cluster: &EmbeddedCluster) -> u64 {
    let victim = most_leaders(cluster).await;
    let fault = kill(&victim);
    cluster.inject(&fault).await.unwrap();
    wait(cluster, 60.0).await;
    cluster.heal(&fault.undo()).await.unwrap();
    wait(cluster, 60.0).await;
    let stores = stores(cluster).await;
    stores.iter().find(|store| node_of(store) == victim).unwrap()["status"]["leader_count"].as_u64().unwrap()
}

#[tokio::test]
async fn leaders_are_balanced_only_while_their_scheduler_may_work() {
    let base = up(3).await;
    assert!(leaders_of_a_restarted_store(&base.fork()).await > 0);
    let name = "balance-leader-scheduler";
    let paused = base.fork();
    let answer = post(&paused, &format!("/schedulers/{name}"), json!({ "delay": 300 })).await;
    assert_eq!(answer, quoted(200, "Pause or resume the scheduler successfully."));
    assert_eq!(leaders_of_a_restarted_store(&paused).await, 0);
    assert_eq!(read(&paused, "/schedulers?status=paused").await, json!([name]));
    let times = read(&paused, "/schedulers?status=paused&timestamp").await;
    let (at, until) = (times[0]["paused_at"].as_i64().unwrap(), times[0]["resume_at"].as_i64().unwrap());
    assert_eq!((&times[0]["name"], until - at), (&json!(name), 300));
    assert_eq!(read(&paused, &format!("/schedulers/diagnostic/{name}")).await["status"], "paused");
    wait(&paused, 300.0).await;
    assert_eq!(read(&paused, "/schedulers?status=paused").await, json!([]));

    let removed = base.fork();
    assert_eq!(delete(&removed, &format!("/schedulers/{name}")).await, quoted(200, "The scheduler is removed."));
    let again = delete(&removed, &format!("/schedulers/{name}")).await;
    assert_eq!(again, quoted(404, "[PD:scheduler:ErrSchedulerNotFound]scheduler not found"));
    assert_eq!(leaders_of_a_restarted_store(&removed).await, 0);
    assert_eq!(read(&removed, "/schedulers").await.as_array().unwrap().len(), 4);
    assert_eq!(read(&removed, "/config/schedule").await["schedulers-v2"][1]["disable"], true);
    assert_eq!(post(&removed, "/schedulers", json!({ "name": name })).await, quoted(200, "The scheduler is created."));
    let existed = quoted(500, "[PD:scheduler:ErrSchedulerExisted]scheduler existed");
    assert_eq!(post(&removed, "/schedulers", json!({ "name": name })).await, existed);

    for item in [json!({ "halt-scheduling": "true" }), json!({ "leader-schedule-limit": 0 })] {
        let halted = base.fork();
        post(&halted, "/config", item.clone()).await;
        assert_eq!(leaders_of_a_restarted_store(&halted).await, 0, "{item}");
    }
}

#[tokio::test]
async fn evict_leader_is_given_stores_and_goes_with_the_last() {
    let cluster = up(3).await;
    let ids: Vec<u64> = stores(&cluster).await.iter().map(|store| store["store"]["id"].as_u64().unwrap()).collect();
    let evict = |store: u64| json!({ "name": "evict-leader-scheduler", "store_id": store });
    let created = quoted(200, "The scheduler is created.");
    assert_eq!(post(&cluster, "/schedulers", evict(ids[0])).await, created);
    assert_eq!(post(&cluster, "/schedulers", evict(ids[1])).await, created);
    let unknown = quoted(500, "[PD:core:ErrStoreNotFound]store 99 not found");
    assert_eq!(post(&cluster, "/schedulers", evict(99)).await, unknown);
    let list = "/scheduler-config/evict-leader-scheduler/list";
    let ranges = json!([{ "start-key": "", "end-key": "" }]);
    let (first, second) = (ids[0].to_string(), ids[1].to_string());
    let expected = json!({ "store-id-ranges": { first: ranges.clone(), second: ranges }, "batch": 3 });
    assert_eq!(read(&cluster, list).await, expected);
    assert_eq!(delete(&cluster, &format!("/schedulers/evict-leader-scheduler-{}", ids[0])).await.0, 200);
    let removal = format!("/scheduler-config/evict-leader-scheduler/delete/{}", ids[1]);
    assert_eq!(delete(&cluster, &removal).await, quoted(200, "The last store has been deleted"));
    assert_eq!(pd(&cluster, list).await.status, 404);
    assert_eq!(post(&cluster, "/schedulers", json!({ "name": "luck" })).await, quoted(400, "unknown scheduler"));
}

#[tokio::test]
async fn checkers_are_paused_and_resumed() {
    let cluster = up(3).await;
    let paused = quoted(200, "Pause the checker successfully.");
    assert_eq!(post(&cluster, "/checker/rule", json!({ "delay": 60 })).await, paused);
    assert_eq!(read(&cluster, "/checker/rule").await["paused"], true);
    assert_eq!(read(&cluster, "/checker/merge").await["paused"], false);
    let resumed = quoted(200, "Resume the checker successfully.");
    assert_eq!(post(&cluster, "/checker/rule", json!({ "delay": 0 })).await, resumed);
    assert_eq!(read(&cluster, "/checker/rule").await["paused"], false);
    assert_eq!(post(&cluster, "/checker/rule", json!({})).await, quoted(400, "missing pause time"));
}

#[tokio::test]
async fn stores_have_limits_weights_and_labels() {
    let cluster = up(3).await;
    let id = stores(&cluster).await[0]["store"]["id"].as_u64().unwrap();
    let leaders = stores(&cluster).await[0]["status"]["leader_count"].as_f64().unwrap();
    let (limit, weight, label) =
        (format!("/store/{id}/limit"), format!("/store/{id}/weight"), format!("/store/{id}/label"));
    let body = json!({ "rate": 5, "type": "add-peer" });
    assert_eq!(post(&cluster, &limit, body).await, quoted(200, "The store's limit is updated."));
    let limits = read(&cluster, "/stores/limit").await;
    assert_eq!(limits[id.to_string()], json!({ "add-peer": 5, "remove-peer": 15 }));
    assert_eq!(read(&cluster, "/config/schedule").await["store-limit"], limits);
    let refused = quoted(400, "invalid rate which should be larger than 0");
    assert_eq!(post(&cluster, &limit, json!({ "rate": 0 })).await, refused);

    let body = json!({ "leader": 2, "region": 1.5 });
    assert_eq!(post(&cluster, &weight, body).await, quoted(200, "The store's weight is updated."));
    assert_eq!(post(&cluster, &label, json!({ "zone": "z1" })).await, quoted(200, "The store's label is updated."));
    let store = read(&cluster, &format!("/store/{id}")).await;
    assert_eq!(store["store"]["labels"], json!([{ "key": "zone", "value": "z1" }]));
    assert_eq!((&store["status"]["leader_weight"], &store["status"]["region_weight"]), (&json!(2), &json!(1.5)));
    assert!((store["status"]["leader_score"].as_f64().unwrap() - leaders / 2.0).abs() < 1e-9);
    let unknown = quoted(500, "[PD:core:ErrStoreNotFound]store 99 not found");
    assert_eq!(post(&cluster, "/store/99/weight", json!({ "leader": 1, "region": 1 })).await, unknown);
}

#[tokio::test]
async fn pds_leadership_goes_where_it_is_sent() {
    let cluster = up(3).await;
    let old = leader(&cluster).await;
    let resigned = ask(&cluster, Method::POST, "/leader/resign", None).await;
    assert_eq!(resigned, quoted(200, "The resign command is submitted."));
    wait(&cluster, 1.0).await;
    assert_ne!(leader(&cluster).await, old);
    let transferred = ask(&cluster, Method::POST, &format!("/leader/transfer/{old}"), None).await;
    assert_eq!(transferred, quoted(200, "The transfer command is submitted."));
    wait(&cluster, 1.0).await;
    assert_eq!(leader(&cluster).await, old);
    let nobody = ask(&cluster, Method::POST, "/leader/transfer/pd9", None).await;
    assert_eq!(nobody, quoted(500, "no valid pd to transfer etcd leader"));

    let other = if old == "pd0" { "pd2" } else { "pd0" };
    let set = post(&cluster, &format!("/members/name/{other}"), json!({ "leader-priority": 5 })).await;
    assert_eq!(set, quoted(200, "success"));
    let members = read(&cluster, "/members").await;
    let found = members["members"].as_array().unwrap().iter().find(|member| member["name"] == other).unwrap();
    assert_eq!(found["leader_priority"], 5);
    wait(&cluster, 70.0).await;
    assert_eq!(leader(&cluster).await, other);
    assert_eq!(post(&cluster, "/members/name/pd9", json!({})).await, quoted(404, "not found, pd: pd9"));
}

#[tokio::test]
async fn the_log_level_is_that_of_the_member_that_is_asked() {
    let cluster = up(3).await;
    assert_eq!(post(&cluster, "/admin/log", json!("debug")).await, quoted(200, "The log level is updated."));
    for (member, level) in [("pd0", "info"), ("pd1", "debug")] {
        let answer = get(&cluster, &format!("{member}:2379"), "/pd/api/v1/config").await.unwrap();
        let config: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(config["log"]["level"], level);
    }
    assert_eq!(post(&cluster, "/admin/log", json!("loud")).await, quoted(400, "log level loud is illegal"));
}

#[tokio::test]
async fn regions_are_found_by_key_by_range_and_by_neighbour() {
    let cluster = up(3).await;
    let all = read(&cluster, "/regions").await;
    let mut regions = all["regions"].as_array().unwrap().clone();
    regions.sort_by_key(|region| region["start_key"].as_str().unwrap().to_owned());
    let hex = regions[9]["start_key"].as_str().unwrap();
    let bytes = (0..hex.len()).step_by(2).map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap());
    let key = String::from_utf8(bytes.collect()).unwrap();
    assert_eq!(read(&cluster, &format!("/region/key/{key}")).await, regions[9]);
    assert_eq!(read(&cluster, &format!("/region/key/{}?format=hex", hex.to_lowercase())).await, regions[9]);
    assert_eq!(read(&cluster, &format!("/region/id/{}", regions[9]["id"])).await, regions[9]);
    assert_eq!(pd(&cluster, "/region/key/7Z?format=hex").await.status, 400);

    let range = read(&cluster, &format!("/regions/key?key={hex}&format=hex&limit=3")).await;
    assert_eq!(range["regions"].as_array().unwrap(), &regions[9..12]);
    let all = read(&cluster, "/regions/key?limit=-1").await;
    assert_eq!(all["regions"].as_array().unwrap(), &regions);
    assert_eq!(read(&cluster, "/regions/key").await["count"], 16);
    let siblings = read(&cluster, &format!("/regions/sibling/{}", regions[9]["id"])).await;
    assert_eq!(siblings["regions"], json!([regions[8], regions[10]]));
    let first = read(&cluster, &format!("/regions/sibling/{}", regions[0]["id"])).await;
    assert_eq!((&first["regions"][0]["id"], &first["regions"][1]), (&json!(0), &regions[1]));
    assert_eq!(pd(&cluster, "/regions/sibling/999999").await.status, 404);

    let store = stores(&cluster).await[0]["store"]["id"].clone();
    assert_eq!(read(&cluster, &format!("/regions/store/{store}")).await["count"], 24);
    assert_eq!(read(&cluster, "/regions/store/99").await["count"], 0);
    assert_eq!(read(&cluster, "/regions/range-holes").await, json!([]));
    assert_eq!(read(&cluster, "/regions/replicated?startKey=&endKey=").await, "REPLICATED");
    assert_eq!(read(&cluster, "/regions/check/hist-size").await, json!([{ "start": 1, "end": 1, "count": 24 }]));
    assert_eq!(read(&cluster, "/regions/check/hist-keys").await, json!([{ "start": 0, "end": 999, "count": 24 }]));
    for check in ["extra-peer", "offline-peer", "learner-peer", "oversized-region"] {
        assert_eq!(pd(&cluster, &format!("/regions/check/{check}")).await.body, r#"{"count":0,"regions":[]}"#);
    }
    for order in ["writeflow", "readflow", "writequery", "readquery", "confver", "size", "keys", "cpu"] {
        assert_eq!(read(&cluster, &format!("/regions/{order}")).await["count"], 16, "{order}");
    }
    assert_eq!(read(&cluster, "/regions/version?limit=1").await["regions"][0]["epoch"]["version"], 24);
    assert_eq!(read(&cluster, "/stats/region?count").await["store_leader_count"], Value::Null);
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_in_pds_words() {
    let cluster = up(3).await;
    let asked = [
        ("/store/x", 400, "\"strconv.ParseUint: parsing \\\"x\\\": invalid syntax\"\n"),
        ("/stores?state=7", 500, "\"unknown StoreState: 7\"\n"),
        ("/regions/writeflow?limit=x", 400, "\"strconv.Atoi: parsing \\\"x\\\": invalid syntax\"\n"),
        ("/hotspot/regions/write?store_id=99", 404, "\"[PD:core:ErrStoreNotFound]store 99 not found\"\n"),
        (
            "/schedulers/diagnostic/evict-slow-store-scheduler",
            404,
            "\"[PD:scheduler:ErrSchedulerUndiagnosable]scheduler evict-slow-store-scheduler cannot be diagnosed\"\n",
        ),
        ("/stores/progress", 400, "\"need query parameters\"\n"),
        ("/scheduler-config/nothing/list", 404, "404 page not found\n"),
    ];
    for (path, status, body) in asked {
        let answer = pd(&cluster, path).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{path}");
    }
    assert_eq!(delete(&cluster, "/stores").await, (405, String::new()));
    assert_eq!(ask(&cluster, Method::POST, "/regions/count", None).await, (405, String::new()));
    assert_eq!(delete(&cluster, "/nothing").await, (404, "404 page not found".to_owned()));
    assert_eq!(read(&cluster, "/stores?state=1").await["count"], 0);
    assert_eq!(read(&cluster, "/stores?state=1&state=0").await["count"], 3);
}

async fn by_follower(cluster: &EmbeddedCluster, member: &str, path: &str) -> Result<Response, HttpError> {
    let request = Request::get(format!("{member}:2379"), format!("/pd/api/v1{path}"), PATIENCE);
    let headers = vec![("PD-Allow-follower-handle".to_owned(), "true".to_owned())];
    cluster.http().send(&Request { headers, ..request }).await
}

#[tokio::test]
async fn a_follower_that_answers_by_itself_knows_the_members_but_not_the_cluster() {
    let cluster = up(3).await;
    let leader = leader(&cluster).await;
    let follower = if leader == "pd0" { "pd1" } else { "pd0" };
    let members = by_follower(&cluster, follower, "/members").await.unwrap();
    assert_eq!(members, pd(&cluster, "/members").await);
    let stores = by_follower(&cluster, follower, "/stores").await.unwrap();
    let body = "\"[PD:cluster:ErrNotBootstrapped]TiKV cluster not bootstrapped, please start TiKV first\"\n";
    assert_eq!((stores.status, stores.body.as_str()), (500, body));
    assert_eq!(by_follower(&cluster, &leader, "/stores").await.unwrap().status, 200);
}

#[tokio::test]
async fn what_only_the_leader_knows_has_no_answer_without_one() {
    let cluster = up(3).await;
    let leader = leader(&cluster).await;
    cluster.inject(&kill(&leader)).await.unwrap();
    let follower = if leader == "pd0" { "pd1:2379" } else { "pd0:2379" };
    for path in ["/config/schedule", "/schedulers", "/nothing-here"] {
        let answer = get(&cluster, follower, &format!("/pd/api/v1{path}")).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (500, "[PD:apiutil:ErrRedirect]redirect failed\n"), "{path}");
    }
    for path in ["/pd/api/v1/status", "/pd/api/v1/config", "/pd/api/v1/ping", "/pd/api/v2/ready"] {
        assert_eq!(get(&cluster, follower, path).await.unwrap().status, 200, "{path}");
    }
    let ready = get(&cluster, follower, "/pd/api/v2/ready?verbose").await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&ready.body).unwrap(), json!({ "region_loaded": true }));
}

#[tokio::test]
async fn queries_of_metrics_are_handed_on_to_prometheus() {
    let cluster = up(3).await;
    wait(&cluster, 60.0).await;
    let own = pd(&cluster, "/metric/query?query=sum(up)").await;
    assert_eq!(own, get(&cluster, "prometheus:9090", "/api/v1/query?query=sum(up)").await.unwrap());
    assert!(own.body.contains("\"6\""), "{}", own.body);
    post(&cluster, "/config", json!({ "metric-storage": "" })).await;
    let answer = pd(&cluster, "/metric/query?query=up").await;
    assert_eq!((answer.status, answer.body.as_str()), (500, "metric storage doesn't set\n"));
}

async fn raft(cluster: &EmbeddedCluster, node: &str, region: &Value) -> Value {
    let answer = get(cluster, &format!("{node}:20180"), &format!("/region/{region}")).await.unwrap();
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"));
    serde_json::from_str(&answer.body).unwrap()
}

#[tokio::test]
async fn a_store_shows_what_its_peers_know() {
    let cluster = up(3).await;
    let region = read(&cluster, "/regions").await["regions"][9].clone();
    let (id, leader) = (&region["id"], &region["leader"]);
    let stores = stores(&cluster).await;
    let leads = |store: &Value| store["store"]["id"] == leader["store_id"];
    let (leading, following): (Vec<String>, Vec<String>) = (
        stores.iter().filter(|store| leads(store)).map(node_of).collect(),
        stores.iter().filter(|store| !leads(store)).map(node_of).collect(),
    );
    let meta = raft(&cluster, &leading[0], id).await;
    assert_eq!(meta["raft_status"]["soft_state"], json!({ "leader_id": leader["id"], "raft_state": "Leader" }));
    assert_eq!(meta["raft_status"]["voters"].as_object().unwrap().len(), 3);

    let recorded: Value = serde_json::from_slice(&recording("baseline-tikv-region.json")).unwrap();
    let meta = raft(&cluster, &following[0], id).await;
    let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    for part in
        ["", "/raft_status", "/raft_status/hard_state", "/raft_status/soft_state", "/raft_apply", "/region_state"]
    {
        assert_eq!(keys(meta.pointer(part).unwrap()), keys(recorded.pointer(part).unwrap()), "{part}");
    }
    assert_eq!(meta["raft_status"]["soft_state"], json!({ "leader_id": leader["id"], "raft_state": "Follower" }));
    assert_eq!(meta["raft_status"]["voters"], json!({}));
    assert_eq!(keys(&meta["region_state"]["peers"][0]), keys(&recorded["region_state"]["peers"][0]));

    let unknown = get(&cluster, "tikv0:20180", "/region/999999").await.unwrap();
    assert_eq!((unknown.status, unknown.body.as_str()), (404, "region(999999) not found"));
    assert_eq!(get(&cluster, "tikv0:20180", "/engine_type").await.unwrap().body, "raft-kv");

    // Without a quorum, the one that is left asks for votes in vain.
    for node in [&leading[0], &following[1]] {
        cluster.inject(&Fault::new(FaultKind::KILL, node.as_str().into())).await.unwrap();
    }
    wait(&cluster, 60.0).await;
    let alone = raft(&cluster, &following[0], id).await;
    assert_eq!(alone["raft_status"]["soft_state"], json!({ "leader_id": 0, "raft_state": "PreCandidate" }));
}
