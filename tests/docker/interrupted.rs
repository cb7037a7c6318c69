//! A run is interrupted in each of its phases: it heals, takes the cluster down and says so by its exit code.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use super::engine::{Engine, left_of};
use super::gate::{Gate, Requests};
use super::program::{Call, Ended, Folder, Kept, SCENARIO, clean};

const CREATE: Requests = Requests { method: "POST", path: "/containers/create" };
const EVENTS: Requests = Requests { method: "GET", path: "/events?" };
const KILL: Requests = Requests { method: "POST", path: "/kill" };
const START: Requests = Requests { method: "POST", path: "/start" };
const REMOVE: Requests = Requests { method: "DELETE", path: "/containers/" };

/// What the program says when it has heard the first signal.
const HEARD: &str = "interrupted: healing and taking the cluster down";
/// A second signal ends the program at once; this much is for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(10);

#[test]
fn while_compose_creates_containers() {
    let Some(engine) = Engine::find() else { return };
    let (folder, gate) = (Folder::new(), Gate::closed(CREATE));
    let running = through(&gate, &engine, &folder).start();
    gate.wait();
    // The engine gets the request when the program is on its way out already.
    running.interrupt();
    gate.open();
    assert_faults(&cleaned_up(&folder, &running.end()), 0);
}

#[test]
fn while_compose_waits_for_the_engine() {
    let Some(engine) = Engine::find() else { return };
    let (folder, gate) = (Folder::new(), Gate::closed(CREATE));
    let running = through(&gate, &engine, &folder).start();
    gate.wait();
    // The engine never gets the request: it is for the program to end Compose.
    running.interrupt();
    assert_faults(&cleaned_up(&folder, &running.end()), 0);
}

#[test]
fn while_containers_become_healthy() {
    let Some(engine) = Engine::find() else { return };
    let (folder, gate) = (Folder::new(), Gate::closed(EVENTS));
    let running = through(&gate, &engine, &folder).start();
    gate.wait();
    running.interrupt();
    assert_faults(&cleaned_up(&folder, &running.end()), 0);
}

#[test]
fn while_the_cluster_becomes_steady() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let scenario = folder.scenario_with("for: 3s", "for: 50s");
    let mut running = Call::new(&engine, &folder, scenario).start();
    running.wait_for_end_of("up");
    running.interrupt();
    assert_faults(&cleaned_up(&folder, &running.end()), 0);
}

#[test]
fn before_the_fault() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let kill = "- kill: { target: { role: etcd, pick: leader } }";
    let scenario = folder.scenario_with(kill, &format!("{kill}\n    at: 10m"));
    let mut running = Call::new(&engine, &folder, scenario).start();
    running.wait_for_end_of("steady");
    running.interrupt();
    assert_faults(&cleaned_up(&folder, &running.end()), 0);
}

#[test]
fn while_the_fault_is_done() {
    let Some(engine) = Engine::find() else { return };
    let (folder, gate) = (Folder::new(), Gate::closed(KILL));
    let mut running = through(&gate, &engine, &folder).start();
    gate.wait();
    assert_eq!(folder.only_run().unhealed, 1, "the fault is in the journal before it is done");
    running.interrupt();
    running.wait_for(HEARD);
    gate.open();
    assert_faults(&cleaned_up(&folder, &running.end()), 1);
}

#[test]
fn after_the_fault() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let scenario = folder.scenario_with("watch: 3s", "watch: 10m");
    let mut running = Call::new(&engine, &folder, scenario).start();
    running.wait_for("detected ");
    running.interrupt();
    assert_faults(&cleaned_up(&folder, &running.end()), 1);
}

#[test]
fn by_sigterm() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let scenario = folder.scenario_with("watch: 3s", "watch: 10m");
    let mut running = Call::new(&engine, &folder, scenario).start();
    running.wait_for("fault ");
    running.terminate();
    assert_faults(&cleaned_up(&folder, &running.end()), 1);
}

#[test]
fn by_sighup() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let scenario = folder.scenario_with("watch: 3s", "watch: 10m");
    let mut running = Call::new(&engine, &folder, scenario).start();
    running.wait_for("fault ");
    running.hang_up();
    assert_faults(&cleaned_up(&folder, &running.end()), 1);
}

#[test]
fn while_claude_thinks() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let call = Call::new(&engine, &folder, SCENARIO);
    let running = call.variable("ANTHROPIC_BASE_URL", url).variable("ANTHROPIC_API_KEY", "sk-ant-none").start();
    // The question comes, and is never answered.
    let question = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.read_exact(&mut [0; 16]).unwrap();
        client
    });
    let client = question.join().unwrap();
    running.interrupt();
    let ended = running.end();
    drop(client);
    assert_faults(&cleaned_up(&folder, &ended), 1);
    ended.assert_says(&["detected "]);
}

#[test]
fn while_the_fault_is_healed() {
    let Some(engine) = Engine::find() else { return };
    let (folder, gate) = (Folder::new(), Gate::new(START));
    let mut running = through(&gate, &engine, &folder).start();
    running.wait_for("fault ");
    gate.close();
    gate.wait();
    running.interrupt();
    running.wait_for(HEARD);
    gate.open();
    let ended = running.end();
    assert_faults(&cleaned_up(&folder, &ended), 1);
    ended.assert_says(&["healed "]);
}

#[test]
fn while_the_cluster_is_taken_down() {
    let Some(engine) = Engine::find() else { return };
    let (folder, gate) = (Folder::new(), Gate::closed(REMOVE));
    let mut running = through(&gate, &engine, &folder).start();
    gate.wait();
    running.interrupt();
    running.wait_for(HEARD);
    gate.open();
    let ended = running.end();
    ended.assert_code(130);
    folder.assert_nothing_left();
    // The verdict was there before.
    assert_eq!(folder.only_run().verdict.as_deref(), Some("pass"), "{ended}");
}

#[test]
fn the_second_signal_leaves_at_once() {
    let Some(engine) = Engine::find() else { return };
    let (folder, gate) = (Folder::new(), Gate::closed(REMOVE));
    let mut running = through(&gate, &engine, &folder).start();
    running.wait_for_end_of("up");
    running.interrupt();
    running.wait_for(HEARD);
    // It takes the cluster down, and would for as long as the gate is closed.
    gate.wait();
    let second = Instant::now();
    running.interrupt();
    let ended = running.end();
    assert!(second.elapsed() < AT_ONCE, "it took {:?} after the second signal", second.elapsed());
    ended.assert_code(130);
    assert!(ended.error().contains("`operator-run clean`"), "it does not say what to do about what is left:\n{ended}");
    assert!(!left_of(&folder.only_run().run).is_empty(), "there was nothing to take down");
    gate.open();
    clean(&engine, &folder, &[]).assert_code(0);
    folder.assert_nothing_left();
}

/// A call whose requests to the engine go through the gate.
fn through(gate: &Gate, engine: &Engine, folder: &Folder) -> Call {
    Call::new(engine, folder, SCENARIO).variable("DOCKER_HOST", gate.address())
}

/// What is kept of a run that was interrupted and has cleaned up.
fn cleaned_up(folder: &Folder, ended: &Ended) -> Kept {
    ended.assert_code(130);
    assert!(ended.error().contains(HEARD), "{ended}");
    folder.assert_nothing_left();
    let kept = folder.only_run();
    assert_eq!(kept.verdict.as_deref(), Some("error"), "{ended}");
    kept
}

/// So many faults are in the journal and in the record, and all of them healed.
fn assert_faults(kept: &Kept, faults: u32) {
    let record = kept.record.as_ref().unwrap();
    assert_eq!(record.reasons, ["interrupted"]);
    assert_eq!(kept.faults, faults);
    assert_eq!(u32::try_from(record.injections.len()).unwrap(), faults);
    assert!(record.injections.iter().all(|injection| injection.healed.is_some()), "{:?}", record.injections);
}
