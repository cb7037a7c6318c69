//! Each fault on a real etcd: it bites, is seen from outside, and is undone, also by what the journal has of it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use operator_run::cluster::{Cluster, ClusterError, Fault, FaultKind, ProcessState, Signal, Undo};
use operator_run::run::Plan;
use operator_run::store::Store;
use operator_run::units::{Size, Span};
use tokio_util::sync::CancellationToken;

use super::beside::{connects, container};
use super::engine::docker;
use super::library::{in_own_process, plan_of};
use super::on_cluster::until;
use super::program::{PATIENCE, SCENARIO};

#[test]
fn processes_come_and_go() {
    in_own_process("faults::processes_come_and_go", async |store| {
        let (cluster, run) = up(store).await;
        for signal in [Signal::Terminate, Signal::Quit] {
            // A process that has only begun to run does not hear signals yet.
            until("etcd0 to listen", || connects(&run, "etcd1", "etcd0"));
            let kill = Fault::new(FaultKind::Kill { signal }, "etcd0".into());
            let undo = bite(&*cluster, &kill).await;
            assert_eq!(docker(&["inspect", "--format", "{{.State.Running}}", &container(&run, "etcd0")]), "false");
            heal(&*cluster, &undo).await;
        }

        let freeze = Fault::new(FaultKind::Freeze, "etcd1".into());
        let undo = bite(&*cluster, &freeze).await;
        assert_eq!(cluster.process(&"etcd1".into()).await.unwrap(), ProcessState::Running, "the engine does not know");
        assert!(process_state(&run, "etcd1").starts_with('T'));
        heal(&*cluster, &undo).await;
        assert!(!process_state(&run, "etcd1").starts_with('T'));

        let (up, down) = (Span(Duration::from_millis(300)), Span(Duration::from_millis(200)));
        let flap = |count| Fault::new(FaultKind::Flap { up, down, count }, "etcd2".into());
        let before = starts(&run);
        let undo = bite(&*cluster, &flap(Some(2))).await;
        // It comes to its end by itself.
        let twice = async {
            while starts(&run) < before + 2 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, twice).await.unwrap();
        heal(&*cluster, &undo).await;
        let undo = bite(&*cluster, &flap(None)).await;
        heal(&*cluster, &undo).await;
        let started_at = || docker(&["inspect", "--format", "{{.State.StartedAt}}", &container(&run, "etcd2")]);
        let healed = started_at();
        tokio::time::sleep(up.0 + down.0).await;
        assert_eq!(started_at(), healed, "it goes on after it was undone");
        cluster.down().await.unwrap();
    });
}

#[test]
fn commands_are_run_and_undone() {
    in_own_process("faults::commands_are_run_and_undone", async |store| {
        let (cluster, run) = up(store).await;
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<String>>();
        let exec =
            |command, undo| Fault::new(FaultKind::Exec { command: words(command), undo: words(undo) }, "etcd0".into());
        let value = || docker(&["exec", &container(&run, "etcd1"), "etcdctl", "get", "--print-value-only", "key"]);
        let undo = bite(&*cluster, &exec("etcdctl put key value", "etcdctl del key")).await;
        assert_eq!(value(), "value");
        heal(&*cluster, &undo).await;
        assert_eq!(value(), "");

        let fails = exec("etcdctl no-such-command", "etcdctl del key");
        let error = cluster.inject(&fails).await.unwrap_err();
        assert!(matches!(&error, ClusterError::NoEffect(seen) if seen.contains("exit code 1: ")), "{error}");
        let undo = exec("etcdctl del key", "etcdctl no-such-command").undo();
        assert!(cluster.heal(&undo).await.unwrap_err().to_string().contains("ended with exit code 1"));
        cluster.down().await.unwrap();
    });
}

#[test]
fn processors_and_memory_run_short() {
    in_own_process("faults::processors_and_memory_run_short", async |store| {
        let (cluster, run) = up(store).await;
        let limits = |node| {
            let format = "{{.HostConfig.CpuQuota}} {{.HostConfig.Memory}}";
            docker(&["inspect", "--format", format, &container(&run, node)])
        };
        let limit = Fault::new(FaultKind::LimitCpu { cores: 0.01 }, "etcd2".into());
        let undo = bite(&*cluster, &limit).await;
        assert_eq!(limits("etcd2"), "1000 0");
        heal(&*cluster, &undo).await;
        assert_eq!(limits("etcd2"), "-1 0");
        assert!(cluster.missing_effect(&limit).await.unwrap().unwrap().contains("in none of 0 periods"));

        let below = Fault::new(FaultKind::LimitMemory { to: Size(6 << 20) }, "etcd0".into());
        let undo = cluster.undo(&below).await.unwrap();
        // cgroup v1 refuses what v2 answers with the end of the process.
        if let Err(error) = cluster.inject(&below).await {
            assert!(error.advice().contains("use a higher `to`"), "{error}");
        }
        heal(&*cluster, &undo).await;

        let limit = Fault::new(FaultKind::LimitMemory { to: Size(40 << 20) }, "etcd0".into());
        let undo = cluster.undo(&limit).await.unwrap();
        cluster.inject(&limit).await.unwrap();
        assert!(cluster.missing_effect(&limit).await.unwrap().unwrap().contains("bytes of 41943040"));
        let mut puts = 0;
        while cluster.missing_effect(&limit).await.unwrap().is_some() {
            assert!(puts < 200, "it lives on with 200 MB in its log");
            (0..10).for_each(|put| put_a_million_bytes(&run, puts + put));
            puts += 10;
        }
        let state = docker(&["inspect", "--format", "{{.State.OOMKilled}}", &container(&run, "etcd0")]);
        assert_eq!(state, "true");
        heal(&*cluster, &undo).await;
        assert_eq!(cluster.process(&"etcd0".into()).await.unwrap(), ProcessState::Running);
        cluster.down().await.unwrap();
    });
}

#[test]
fn disks_fill_up() {
    in_own_process("faults::disks_fill_up", async |store| {
        let (cluster, run) = up_with(store, Path::new("scenarios/etcd-disk-full.yaml")).await;
        let leave = Size(1 << 20);
        let fill = Fault::new(FaultKind::FillDisk { leave }, "etcd0".into());
        let undo = bite(&*cluster, &fill).await;
        assert!(free_bytes(&run, "etcd0") <= leave.0);
        assert!(free_bytes(&run, "etcd1") > leave.0, "the disk of another is full as well");
        assert_eq!(cluster.ended_fault().await, None);
        heal(&*cluster, &undo).await;
        assert!(free_bytes(&run, "etcd0") > leave.0);
        let seen = cluster.missing_effect(&fill).await.unwrap();
        assert_eq!(seen.as_deref(), Some("it was not done"));

        // As when the runner is killed: the agent goes, and with it what it holds.
        let undo = bite(&*cluster, &fill).await;
        docker(&["kill", &agent(&run, "fill_disk_etcd0")]);
        assert!(free_bytes(&run, "etcd0") > leave.0);
        let ended = cluster.ended_fault().await.unwrap();
        assert!(ended.starts_with("the disk of etcd0 is not kept full any more: "), "{ended}");
        heal(&*cluster, &undo).await;

        // Its data outlives it, and when there is space it is back with them.
        let fill = Fault::new(FaultKind::FillDisk { leave: Size(0) }, "etcd0".into());
        let undo = bite(&*cluster, &fill).await;
        let ends = async { while cluster.process(&"etcd0".into()).await.unwrap() == ProcessState::Running {} };
        tokio::time::timeout(PATIENCE, ends).await.expect("it lives on with a full disk");
        heal(&*cluster, &undo).await;
        assert_eq!(cluster.process(&"etcd0".into()).await.unwrap(), ProcessState::Running);
        let log = Command::new("docker").args(["logs", &container(&run, "etcd0")]).output().unwrap().stderr;
        let log = String::from_utf8_lossy(&log);
        assert!(log.contains("no space left on device"), "{log}");
        assert!(log.rsplit("starting an etcd server").next().unwrap().contains("restarting local member"), "{log}");
        cluster.down().await.unwrap();
    });
}

#[test]
fn the_disk_of_this_machine_is_never_filled_up() {
    in_own_process("faults::the_disk_of_this_machine_is_never_filled_up", async |store| {
        let (cluster, _) = up(store).await;
        let fill = Fault::new(FaultKind::FillDisk { leave: Size(1 << 40) }, "etcd0".into());
        let error = cluster.inject(&fill).await.unwrap_err();
        assert!(error.to_string().contains("none of its volumes has a size"), "{error}");
        cluster.down().await.unwrap();
    });
}

async fn up(store: &Store) -> (Box<dyn Cluster>, String) {
    up_with(store, Path::new(SCENARIO)).await
}

async fn up_with(store: &Store, scenario: &Path) -> (Box<dyn Cluster>, String) {
    let run = format!("test-{}", std::process::id());
    let Plan { loaded, cluster, .. } = plan_of(scenario);
    store.start_run(&run, "faults", "compose").unwrap();
    let cluster = loaded.subject.cluster(&cluster, &run).unwrap();
    cluster.up(&CancellationToken::new()).await.unwrap();
    (cluster, run)
}

/// Does a fault and waits for its effect. Returns what undoes it, as it comes out of the journal.
async fn bite(cluster: &dyn Cluster, fault: &Fault) -> Undo {
    let undo = serde_json::to_string(&cluster.undo(fault).await.unwrap()).unwrap();
    cluster.inject(fault).await.unwrap();
    let effect = async { while cluster.missing_effect(fault).await.unwrap().is_some() {} };
    tokio::time::timeout(PATIENCE, effect).await.unwrap_or_else(|_| panic!("{fault} did not bite"));
    serde_json::from_str(&undo).unwrap()
}

/// Undoes a fault, twice.
async fn heal(cluster: &dyn Cluster, undo: &Undo) {
    for _ in 0..2 {
        cluster.heal(undo).await.unwrap_or_else(|error| panic!("{undo:?}: {error}"));
    }
}

/// The space that is left on a node's disk.
fn free_bytes(run: &str, node: &str) -> u64 {
    // Also of a node that has ended, and whose image has no such program.
    let label = format!("label=operator-run.run={run}");
    let writers = docker(&["ps", "--quiet", "--filter", &label, "--filter", "label=com.docker.compose.service=writer"]);
    let output = docker(&["exec", &writers, "stat", "-f", "-c", "%a %S", &format!("/{node}")]);
    let (blocks, size) = output.split_once(' ').unwrap();
    blocks.parse::<u64>().unwrap() * size.parse::<u64>().unwrap()
}

/// The agent with a purpose.
fn agent(run: &str, purpose: &str) -> String {
    let (run, agent) = (format!("label=operator-run.run={run}"), format!("label=operator-run.agent={purpose}"));
    docker(&["ps", "--quiet", "--filter", &run, "--filter", &agent])
}

/// The state of a node's process, as `ps` writes it.
fn process_state(run: &str, node: &str) -> String {
    let top = docker(&["top", &container(run, node), "-o", "pid,stat"]);
    top.lines().nth(1).and_then(|line| line.split_whitespace().nth(1)).unwrap().to_owned()
}

/// How often etcd2 was started.
fn starts(run: &str) -> usize {
    let output = Command::new("docker").args(["logs", &container(run, "etcd2")]).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).matches("\"starting an etcd server\"").count()
}

fn put_a_million_bytes(run: &str, key: usize) {
    let mut put = Command::new("docker")
        .args(["exec", "--interactive", &container(run, "etcd1"), "etcdctl", "--command-timeout=60s", "put"])
        .arg(format!("key{key}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    put.stdin.take().unwrap().write_all(&vec![b'x'; 1_000_000]).unwrap();
    // It fails if the member ends meanwhile, or was late for another reason: the member's memory is looked at, not this.
    put.wait().unwrap();
}
