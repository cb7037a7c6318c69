//! The environment is broken: the run ends as an error that says what was being done and what to do, and leaves nothing
//! behind.

use std::time::Duration;

use super::engine::{Engine, docker, left_of};
use super::gate::{Gate, Requests};
use super::program::{Call, Ended, Folder, SCENARIO, clean};

/// A mistake that can be seen at once is reported at once; this much is for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(20);

#[test]
fn no_engine() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let nowhere = format!("unix://{}", folder.temporary().join("no.sock").display());
    let ended = Call::new(&engine, &folder, SCENARIO).variable("DOCKER_HOST", nowhere).start().end();
    assert_error(&folder, &ended, &["Docker", "is Docker running", "DOCKER_HOST"]);
    assert!(ended.took < AT_ONCE, "it took {:?}", ended.took);
}

#[test]
fn no_compose() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let call = Call::new(&engine, &folder, SCENARIO).variable("OPERATOR_RUN_COMPOSE", "/no/such/compose");
    let ended = call.start().end();
    assert_error(&folder, &ended, &["looking for Docker Compose", "/no/such/compose", "install the Compose plugin"]);
    assert!(ended.took < AT_ONCE, "it took {:?}", ended.took);
}

#[test]
fn no_such_image() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let call = Call::new(&engine, &folder, SCENARIO).variable("OPERATOR_RUN_ETCD_IMAGE", "localhost:1/no-such-image:x");
    let ended = call.start().end();
    assert_error(
        &folder,
        &ended,
        &[" up: ", "the image localhost:1/no-such-image:x is missing", "compose/images/build"],
    );
}

#[test]
fn no_image_for_faults_of_the_network() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let call = Call::new(&engine, &folder, "scenarios/etcd-leader-cut-off.yaml");
    let ended = call.variable("OPERATOR_RUN_NETTOOLS_IMAGE", "localhost:1/no-such-image:x").start().end();
    assert_error(&folder, &ended, &["localhost:1/no-such-image:x", "name another in OPERATOR_RUN_NETTOOLS_IMAGE"]);
    assert!(ended.took < AT_ONCE, "it took {:?}", ended.took);
    assert!(
        !docker(&["network", "ls", "--quiet", "--filter", "label=operator-run.run"]).contains(&folder.only_run().run)
    );
}

#[test]
fn the_doctor_tries_what_the_kernel_has() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let call = Call::of(&engine, &folder, &["doctor".as_ref(), "--json".as_ref()]);
    let ended = call.variable("OPERATOR_RUN_ETCD_IMAGE", "localhost:1/no-such-image:x").start().end();
    let findings: Vec<serde_json::Value> = serde_json::from_str(&ended.output()).unwrap();
    let state = |what: &str, seen: &str| {
        let of = |one: &&serde_json::Value| one["what"] == what && one["seen"].as_str().unwrap().contains(seen);
        findings.iter().find(of).unwrap_or_else(|| panic!("no {what} {seen}: {ended}"))["state"].clone()
    };
    for what in ["engine", "Compose", "limits", "sized disks", "NET_ADMIN", "nft", "tbf"] {
        assert_eq!(state(what, ""), "ok", "{what}: {ended}");
    }
    assert_eq!(state("image", "localhost:1/no-such-image:x is not here, and cannot be pulled: "), "missing");
    let delay = [state("netem", ""), state("NFQUEUE", "")];
    assert!(delay.iter().any(|state| state == "ok") && delay.iter().all(|state| state != "missing"), "{ended}");
    ended.assert_code(3);
}

#[test]
fn etcd_ends_at_once() {
    let Some(engine) = Engine::find() else { return };
    let (folder, image) = (Folder::new(), ImageThatEnds::make(&engine));
    let call = Call::new(&engine, &folder, SCENARIO).variable("OPERATOR_RUN_ETCD_IMAGE", &image.0);
    let ended = call.start().end();
    assert_error(&folder, &ended, &["waiting for healthy containers", "ended with exit code 0", "Go Version"]);
}

/// The engine goes away for good while a fault acts. What is left must be left, but not in silence, and the journal has the
/// fault for whoever cleans up.
#[test]
fn the_engine_goes_away() {
    let Some(engine) = Engine::find() else { return };
    let (folder, gate) = (Folder::new(), Gate::new(Requests { method: "GET", path: "/" }));
    let kill = "kill: { target: { role: etcd, pick: leader } }";
    let scenario = folder.scenario_with(kill, "partition: { target: { node: etcd0 } }");
    let mut running = Call::new(&engine, &folder, scenario).variable("DOCKER_HOST", gate.address()).start();
    running.wait_for("fault ");
    gate.break_down();
    let ended = running.end();
    ended.assert_code(3);
    ended.assert_says(&[
        "ERROR",
        "looking for the container of etcd",
        "is Docker running",
        "`operator-run clean` heals",
    ]);
    let kept = folder.only_run();
    assert_eq!((kept.verdict.as_deref(), kept.faults, kept.unhealed), (Some("error"), 1, 1));
    let cleaned = clean(&engine, &folder, &[]);
    cleaned.assert_code(0);
    cleaned.assert_says(&[&format!("run {} (etcd-member-down): healed and removed 1 fault", kept.run)]);
    folder.assert_nothing_left();
}

/// Somebody else removes a node's container while the run waits: neither a pass nor a failed detection.
#[test]
fn a_container_vanishes() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let mut running = Call::new(&engine, &folder, SCENARIO).start();
    running.wait_for("fault ");
    let label = format!("label=operator-run.run={}", folder.only_run().run);
    let target = docker(&["ps", "--all", "--quiet", "--filter", &label, "--filter", "status=exited"]);
    docker(&["rm", "--force", "--volumes", &target]);
    let ended = running.end();
    ended.assert_code(3);
    ended.assert_says(&["looking for the container of etcd", "was it removed by someone else?"]);
    let kept = folder.only_run();
    // Its fault could not be undone: the journal keeps it until it is cleaned up.
    assert_eq!((kept.verdict.as_deref(), kept.unhealed), (Some("error"), 1));
    assert_eq!(left_of(&kept.run), Vec::<String>::new());
    clean(&engine, &folder, &[]).assert_code(0);
    folder.assert_nothing_left();
}

/// An etcd with next to nothing to do needs no two cores.
#[test]
fn a_fault_that_does_not_bite() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let kill = "kill: { target: { role: etcd, pick: leader } }";
    let scenario = folder.scenario_with(kill, "limit_cpu: { target: { node: etcd1 }, cores: 2 }");
    let ended = Call::new(&engine, &folder, scenario).start().end();
    let seen = "etcd1 had to wait in none of ";
    let texts = ["fault did not bite: limit_cpu etcd1: after ", seen, "it needs no more than 2 cores"];
    assert_error(&folder, &ended, &texts);
    ended.assert_says(&["etcd1 has its processors back", "nothing left behind"]);
    assert_eq!(folder.only_run().faults, 1, "faults in the journal");
}

/// An image of etcd whose containers end at once.
struct ImageThatEnds(String);

impl ImageThatEnds {
    fn make(engine: &Engine) -> Self {
        let image = Self(format!("operator-run/etcd-that-ends:{}", std::process::id()));
        let container = docker(&["create", engine.etcd_image()]);
        docker(&["commit", "--change", r#"CMD ["etcd", "--version"]"#, &container, &image.0]);
        docker(&["rm", &container]);
        image
    }
}

impl Drop for ImageThatEnds {
    fn drop(&mut self) {
        docker(&["image", "rm", &self.0]);
    }
}

/// It is an error of the environment which says all of these, and nothing is left of it.
fn assert_error(folder: &Folder, ended: &Ended, texts: &[&str]) {
    ended.assert_code(3);
    ended.assert_says(texts);
    assert_eq!(folder.only_run().verdict.as_deref(), Some("error"));
    folder.assert_nothing_left();
}
