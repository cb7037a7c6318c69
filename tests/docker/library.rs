//! What no call of the program can bring about: the library on a real cluster.

use std::env;
use std::path::Path;
use std::process::Command;

use async_trait::async_trait;
use operator_run::cluster::{Backend, Fault, FaultKind, ProcessState};
use operator_run::diagnosis::{Answer, Diagnoser, DiagnoserError, Question};
use operator_run::reading::NodeName;
use operator_run::run::{self, Context, Events, Extras, Plan, SnapshotPolicy, Update, Verdict};
use operator_run::scenario::{self, Loaded};
use operator_run::store::Store;
use operator_run::subject::ClusterSpec;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::program::{Folder, PATIENCE, SCENARIO};

/// Names the database for a test that runs in a process of its own.
const DATABASE: &str = "OPERATOR_RUN_TEST_DATABASE";

#[test]
fn a_panic_of_the_diagnoser_heals_and_takes_down() {
    in_own_process("library::a_panic_of_the_diagnoser_heals_and_takes_down", async |store| {
        let (sender, _receiver) = mpsc::unbounded_channel();
        let (events, cancel) = (Events::new(sender), CancellationToken::new());
        let record =
            run::run(&plan(), Context { diagnoser: &Panics, judge: None, store, events: &events, cancel: &cancel })
                .await;
        assert_eq!(record.verdict, Verdict::Error);
        assert_eq!(record.reasons, ["panic: I have no idea; this is a bug in operator-run"]);
        assert_eq!(record.injections.len(), 1);
        assert!(record.injections[0].healed.is_some());
    });
}

#[test]
fn faults_can_be_undone_twice() {
    in_own_process("library::faults_can_be_undone_twice", async |store| {
        let run = format!("test-{}", std::process::id());
        store.start_run(&run, "twice", "compose").unwrap();
        let Plan { loaded, cluster, .. } = plan();
        let cluster = loaded.subject.cluster(&cluster, &run).unwrap();
        cluster.up(&CancellationToken::new()).await.unwrap();
        let node = NodeName::from("etcd1");
        let kill = Fault::new(FaultKind::KILL, node.clone());
        let undo = kill.undo();

        // It is in the journal, but the runner was ended before it was done.
        cluster.heal(&undo).await.unwrap();
        assert_eq!(cluster.process(&node).await.unwrap(), ProcessState::Running);
        assert!(cluster.missing_effect(&kill).await.unwrap().is_some());

        cluster.inject(&kill).await.unwrap();
        let killed = ProcessState::Exited { code: 137, out_of_memory: false };
        let ended = async { while cluster.process(&node).await.unwrap() != killed {} };
        tokio::time::timeout(PATIENCE, ended).await.unwrap();
        assert_eq!(cluster.missing_effect(&kill).await.unwrap(), None);
        // A fault that does nothing is none.
        let error = cluster.inject(&kill).await.unwrap_err().to_string();
        assert!(error.starts_with("killing etcd1: ") && error.contains("is not running"), "{error}");

        for _ in 0..2 {
            cluster.heal(&undo).await.unwrap();
            assert_eq!(cluster.process(&node).await.unwrap(), ProcessState::Running);
        }
        for _ in 0..2 {
            cluster.down().await.unwrap();
        }
    });
}

/// Runs a test again in a process of its own: the library reads the images from the environment, which a process cannot
/// safely change for itself. Afterwards nothing may be left of the runs in the database.
pub(crate) fn in_own_process(test: &str, body: impl AsyncFnOnce(&Store)) {
    if let Some(database) = env::var_os(DATABASE) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(body(&Store::open(Path::new(&database)).unwrap()));
    }
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env(DATABASE, folder.database())
        .env("TMPDIR", folder.temporary())
        .envs(engine.images())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    folder.assert_nothing_left();
}

pub(crate) fn plan() -> Plan {
    plan_of(Path::new(SCENARIO))
}

pub(crate) fn plan_of(scenario: &Path) -> Plan {
    let loaded: Loaded = scenario::load(scenario).unwrap();
    let nodes = loaded.scenario.cluster.nodes.clone();
    let disk = loaded.scenario.cluster.disk;
    let cluster = ClusterSpec { backend: Backend::Compose, nodes, seed: 0, load: None, disk };
    let snapshots = SnapshotPolicy { folder: "snapshots".into(), update: Update::No };
    Plan { loaded, cluster, snapshots, extras: Extras::default() }
}

struct Panics;

#[async_trait]
impl Diagnoser for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn label(&self) -> String {
        "panics".to_owned()
    }

    async fn diagnose(&self, _: &Question<'_>) -> Result<Answer, DiagnoserError> {
        panic!("I have no idea");
    }
}
