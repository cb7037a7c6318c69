//! A cluster on which faults are done, and a runner that is killed while they are.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use operator_run::cluster::{Cluster, Fault};
use operator_run::run::Plan;
use tokio_util::sync::CancellationToken;

use super::beside::{agents, container, engine_image};
use super::engine::{Engine, remove_all_of, try_docker};
use super::library::{in_own_process, plan};
use super::program::{Call, Folder, PATIENCE};

/// How long the kernel keeps rules that nobody renews, and as much again for a busy machine.
const LEASE_IS_OVER: Duration = Duration::from_secs(20);

/// Kills a runner that has done a fault; then nothing of it may act any more, with nobody's help. A runner that another
/// test starts meanwhile removes what the killed one has left: then there is nothing to be seen, and it is tried again.
pub(crate) fn ends_with_the_runner(fault: &str, acts: impl Fn(&str, &str) -> bool) {
    let Some(engine) = Engine::find() else { return };
    let was_seen = (0..5).any(|_| is_seen_to_end_with_the_runner(&engine, fault, &acts));
    assert!(was_seen, "each time another runner has removed the cluster first");
}

fn is_seen_to_end_with_the_runner(engine: &Engine, fault: &str, acts: impl Fn(&str, &str) -> bool) -> bool {
    let folder = Folder::new();
    let scenario = folder.scenario_with("kill: { target: { role: etcd, pick: leader } }", fault);
    let mut running = Call::new(engine, &folder, scenario).start();
    running.wait_for("fault ");
    let (run, image) = (folder.only_run().run, engine_image(engine));
    let acted = acts(&image, &run);
    running.kill();
    let killed = Instant::now();
    let mut acts_still = true;
    while acts_still && killed.elapsed() < LEASE_IS_OVER {
        match catch_unwind(AssertUnwindSafe(|| acts(&image, &run))) {
            Ok(acts) => acts_still = acts || !agents(&run).is_empty(),
            Err(_) if is_removed(&run) => return false,
            Err(panic) => resume_unwind(panic),
        }
    }
    let left = agents(&run);
    remove_all_of(&run);
    assert!(acted, "it did not act before");
    assert!(!acts_still, "it still acts, or agents are left: {left:?}");
    true
}

/// Whether the first of its nodes is being removed, or is gone.
fn is_removed(run: &str) -> bool {
    let node = container(run, "etcd0");
    let state = try_docker(&["inspect", "--format", "{{.State.Running}}", &node]);
    node.is_empty() || state.as_deref() != Ok("true")
}

/// Runs a body on a cluster of three, in a process of its own.
pub(crate) fn on_a_cluster(test: &str, body: impl AsyncFnOnce(&str, &dyn Cluster)) {
    in_own_process(test, async |store| {
        let run = format!("test-{}", std::process::id());
        store.start_run(&run, "network", "compose").unwrap();
        let Plan { loaded, cluster, .. } = plan();
        let cluster = loaded.subject.cluster(&cluster, &run).unwrap();
        cluster.up(&CancellationToken::new()).await.unwrap();
        body(&run, &*cluster).await;
        cluster.down().await.unwrap();
    });
}

/// Does a fault, unless it is done, and waits until it shows.
pub(crate) async fn bite(cluster: &dyn Cluster, fault: &Fault) {
    if cluster.missing_effect(fault).await.unwrap().as_deref() == Some("it was not done") {
        cluster.inject(fault).await.unwrap();
    }
    let shows = async { while cluster.missing_effect(fault).await.unwrap().is_some() {} };
    tokio::time::timeout(PATIENCE, shows).await.unwrap();
}

/// Undoes a fault, twice; it leaves no agent.
pub(crate) async fn heal(run: &str, cluster: &dyn Cluster, fault: &Fault) {
    for _ in 0..2 {
        cluster.heal(&fault.undo()).await.unwrap();
        assert_eq!(agents(run), "");
    }
}

/// Waits for something that no event tells.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
    }
}
