//! A modelled cluster on real sockets.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use operator_run::cluster::embedded::serve::{Options, Served, serve};
use operator_run::cluster::embedded::{EmbeddedCluster, Topology};
use operator_run::cluster::{Cluster, Fault, FaultKind, Undo};
use operator_run::http;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

async fn up(speed: f64) -> (Arc<EmbeddedCluster>, Served) {
    let cluster = Arc::new(EmbeddedCluster::new(Topology { seed: 7, ..Topology::default() }));
    cluster.up(&CancellationToken::new()).await.unwrap();
    let served = serve(&cluster, Options { port_base: 0, speed }).await.unwrap();
    (cluster, served)
}

fn url(served: &Served, authority: &str, path: &str) -> String {
    let endpoint = served.endpoints.iter().find(|endpoint| endpoint.authority == authority).unwrap();
    format!("http://{}{path}", endpoint.address)
}

fn client() -> reqwest::Client {
    http::client(reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10))).unwrap()
}

async fn get(url: String) -> reqwest::Result<String> {
    client().get(url).send().await?.text().await
}

#[tokio::test]
async fn the_model_answers_over_sockets_as_in_the_process() {
    let (_, served) = up(1.0).await;
    assert_eq!(served.endpoints.len(), 7);
    let answer = client().get(url(&served, "pd1:2379", "/pd/api/v1/stores")).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json; charset=UTF-8");
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(body["count"], 3);
    let status = client().get(url(&served, "tikv0:20180", "/status")).send().await.unwrap();
    assert_eq!((status.status().as_u16(), status.text().await.unwrap()), (200, String::new()));
    assert!(get(url(&served, "tikv0:20180", "/metrics")).await.unwrap().contains("tikv_raftstore_region_count"));
    let nothing = client().get(url(&served, "pd0:2379", "/nothing")).send().await.unwrap();
    assert_eq!(nothing.status(), 404);

    let by_get = get(url(&served, "prometheus:9090", "/api/v1/query?query=sum(up)%2B1&time=5")).await.unwrap();
    let form = client().post(url(&served, "prometheus:9090", "/api/v1/query"));
    let form = form.header("Content-Type", "application/x-www-form-urlencoded").body("query=sum(up)%2B1&time=5");
    assert_eq!(form.send().await.unwrap().text().await.unwrap(), by_get);
}

#[tokio::test]
async fn the_model_is_changed_over_sockets() {
    let (_, served) = up(1.0).await;
    let pause = client().post(url(&served, "pd2:2379", "/pd/api/v1/schedulers/balance-leader-scheduler"));
    let paused = pause.header("Content-Type", "application/json").body("{\"delay\": 60}").send().await.unwrap();
    assert_eq!(paused.text().await.unwrap(), "\"Pause or resume the scheduler successfully.\"\n");
    let list = get(url(&served, "pd0:2379", "/pd/api/v1/schedulers?status=paused")).await.unwrap();
    assert_eq!(list, "[\n  \"balance-leader-scheduler\"\n]\n");
    let path = "/pd/api/v1/schedulers/balance-leader-scheduler";
    let removed = client().delete(url(&served, "pd1:2379", path)).send().await.unwrap();
    assert_eq!(
        (removed.status().as_u16(), removed.text().await.unwrap()),
        (200, "\"The scheduler is removed.\"\n".to_owned())
    );
    let resigned = client().post(url(&served, "pd1:2379", "/pd/api/v1/leader/resign")).send().await.unwrap();
    assert_eq!(resigned.text().await.unwrap(), "\"The resign command is submitted.\"\n");
    assert_eq!(client().delete(url(&served, "pd1:2379", "/pd/api/v1/stores")).send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn time_runs_as_fast_as_asked() {
    let (cluster, served) = up(100.0).await;
    let before = cluster.clock().now();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let passed = operator_run::clock::span_between(before, cluster.clock().now());
    assert!(passed >= Duration::from_secs(25), "{passed:?}");
    drop(served);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let stopped = cluster.clock().now();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(cluster.clock().now(), stopped);
}

#[tokio::test]
async fn a_hung_node_hangs_and_a_dead_one_refuses_until_it_is_back() {
    let (cluster, served) = up(10.0).await;
    let status = url(&served, "tikv1:20180", "/status");
    cluster.inject(&Fault::new(FaultKind::Pause, "tikv1".into())).await.unwrap();
    let hung = client().get(&status).timeout(Duration::from_millis(300)).send().await;
    assert!(hung.unwrap_err().is_timeout());
    let waiting = tokio::spawn(get(status.clone()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    cluster.heal(&Undo::Resume { node: "tikv1".into() }).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), "");

    cluster.inject(&Fault::new(FaultKind::KILL, "tikv1".into())).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(client().get(&status).send().await.unwrap_err().is_connect());
    cluster.heal(&Undo::Start { node: "tikv1".into() }).await.unwrap();
    for _ in 0..200 {
        if get(status.clone()).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the node does not come back");
}

#[test]
fn the_command_prints_where_the_nodes_are_and_ends_by_a_signal() {
    let arguments =
        ["cluster", "up", "--backend", "embedded", "--subject", "tikv", "--seed", "7", "--pd", "1", "--workload", "a"];
    let mut program =
        Command::new(env!("CARGO_BIN_EXE_operator-run")).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines().map(Result::unwrap);
    let table: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    assert_eq!(table.len(), 6, "{table:?}");
    let address = table[1].strip_prefix("pd0:2379").unwrap().trim().to_owned();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let body = runtime.block_on(get(format!("{address}/pd/api/v1/stores"))).unwrap();
    assert!(body.contains("\"count\": 3"), "{body}");
    let prometheus = table[5].strip_prefix("prometheus:9090").unwrap().trim();
    let served = format!("{prometheus}/api/v1/query?query=sum(tikv_grpc_msg_duration_seconds_count)%3E0");
    let deadline = Instant::now() + Duration::from_mins(1);
    while runtime.block_on(get(served.clone())).unwrap().contains("\"result\":[]") {
        assert!(Instant::now() < deadline, "the load does not show");
        thread::sleep(Duration::from_millis(100));
    }
    let killed = Command::new("kill").args(["-INT", &program.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(program.wait().unwrap().code(), Some(0));
}
