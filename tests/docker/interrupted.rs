//! A run is interrupted in each of its phases: it heals, takes the cluster down and says so by its exit code.
//!
//! The three signals that interrupt are one to the program (`src/cli/signals.rs`). So each phase is interrupted by one of
//! them, all three take their turn over the phases, and the first phase, which needs no cluster, has each. With
//! `OPERATOR_RUN_TEST_SIGNALS=all` every phase is interrupted by every signal; that is for before a release, since it takes
//! three times as long.

use std::env;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::engine::{Engine, left_of};
use super::gate::{Gate, Requests};
use super::program::{Call, Ended, Folder, Kept, PATIENCE, SCENARIO, clean};

const CREATE: Requests = Requests { method: "POST", path: "/containers/create" };
/// Compose looks for no container by this label, the program for each.
const LOOK_FOR_A_NODE: Requests = Requests { method: "GET", path: "operator-run.node" };
const KILL: Requests = Requests { method: "POST", path: "/kill" };
const START: Requests = Requests { method: "POST", path: "/start" };
const REMOVE: Requests = Requests { method: "DELETE", path: "/containers/" };

/// What interrupts: Ctrl-C, `kill`, a terminal that is closed.
const SIGNALS: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::HUP];
/// With the value `all`, each phase is interrupted by each of them.
const SIGNALS_VARIABLE: &str = "OPERATOR_RUN_TEST_SIGNALS";

/// What the program says when it has heard the first signal.
const HEARD: &str = "interrupted: healing and taking the cluster down";
/// A second signal ends the program at once; this much is for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(10);

/// Interrupts a phase by these signals, or by each there is: each time in a folder of its own.
fn interrupt(signals: &[Signal], phase: impl Fn(&Engine, &Folder, Signal)) {
    let Some(engine) = Engine::find() else { return };
    let all = env::var(SIGNALS_VARIABLE).is_ok_and(|value| value == "all");
    for signal in if all { &SIGNALS } else { signals } {
        phase(&engine, &Folder::new(), *signal);
    }
}

#[test]
fn while_compose_waits_for_the_engine() {
    interrupt(&SIGNALS, |engine, folder, signal| {
        let gate = Gate::closed(CREATE);
        let running = through(&gate, engine, folder).start();
        gate.wait();
        // The engine never gets the request: it is for the program to end Compose.
        running.signal(signal);
        assert_faults(&cleaned_up(folder, &running.end()), 0);
    });
}

#[test]
fn while_compose_creates_containers() {
    interrupt(&[Signal::TERM], |engine, folder, signal| {
        let gate = Gate::closed(CREATE);
        let running = through(&gate, engine, folder).start();
        gate.wait();
        // The engine gets the request when the program is on its way out already.
        running.signal(signal);
        gate.open();
        assert_faults(&cleaned_up(folder, &running.end()), 0);
    });
}

#[test]
fn while_containers_become_healthy() {
    interrupt(&[Signal::HUP], |engine, folder, signal| {
        let gate = Gate::closed(LOOK_FOR_A_NODE);
        let mut running = through(&gate, engine, folder).start();
        gate.wait();
        running.signal(signal);
        running.wait_for(HEARD);
        gate.open();
        assert_faults(&cleaned_up(folder, &running.end()), 0);
    });
}

#[test]
fn while_the_cluster_becomes_steady() {
    interrupt(&[Signal::INT], |engine, folder, signal| {
        let scenario = folder.scenario_with("for: 3s", "for: 50s");
        let mut running = Call::new(engine, folder, scenario).start();
        running.wait_for_end_of("up");
        running.signal(signal);
        assert_faults(&cleaned_up(folder, &running.end()), 0);
    });
}

#[test]
fn before_the_fault() {
    interrupt(&[Signal::TERM], |engine, folder, signal| {
        let kill = "- kill: { target: { role: etcd, pick: leader } }";
        let scenario = folder.scenario_with(kill, &format!("{kill}\n    at: 10m"));
        let mut running = Call::new(engine, folder, scenario).start();
        running.wait_for_end_of("steady");
        running.signal(signal);
        assert_faults(&cleaned_up(folder, &running.end()), 0);
    });
}

#[test]
fn while_the_fault_is_done() {
    interrupt(&[Signal::HUP], |engine, folder, signal| {
        let gate = Gate::closed(KILL);
        let mut running = through(&gate, engine, folder).start();
        gate.wait();
        assert_eq!(folder.only_run().unhealed, 1, "the fault is in the journal before it is done");
        running.signal(signal);
        running.wait_for(HEARD);
        gate.open();
        assert_faults(&cleaned_up(folder, &running.end()), 1);
    });
}

#[test]
fn after_the_fault() {
    interrupt(&[Signal::INT], |engine, folder, signal| {
        let scenario = folder.scenario_with("watch: 3s", "watch: 10m");
        let mut running = Call::new(engine, folder, scenario).start();
        running.wait_for("detected ");
        running.signal(signal);
        assert_faults(&cleaned_up(folder, &running.end()), 1);
    });
}

#[test]
fn while_claude_thinks() {
    interrupt(&[Signal::TERM], |engine, folder, signal| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let call = Call::new(engine, folder, SCENARIO);
        let running = call.variable("ANTHROPIC_BASE_URL", url).variable("ANTHROPIC_API_KEY", "sk-ant-none").start();
        // The question comes, and is never answered.
        let (sender, question) = mpsc::channel();
        thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            client.read_exact(&mut [0; 16]).unwrap();
            sender.send(client).unwrap();
        });
        let client = question.recv_timeout(PATIENCE).expect("the question to Claude");
        running.signal(signal);
        let ended = running.end();
        drop(client);
        assert_faults(&cleaned_up(folder, &ended), 1);
        ended.assert_says(&["detected "]);
    });
}

#[test]
fn while_the_fault_is_healed() {
    interrupt(&[Signal::HUP], |engine, folder, signal| {
        let gate = Gate::new(START);
        let mut running = through(&gate, engine, folder).start();
        running.wait_for("fault ");
        gate.close();
        gate.wait();
        running.signal(signal);
        running.wait_for(HEARD);
        gate.open();
        let ended = running.end();
        assert_faults(&cleaned_up(folder, &ended), 1);
        ended.assert_says(&["healed "]);
    });
}

#[test]
fn while_the_cluster_is_taken_down() {
    interrupt(&[Signal::INT], |engine, folder, signal| {
        let gate = Gate::closed(REMOVE);
        let mut running = through(&gate, engine, folder).start();
        gate.wait();
        running.signal(signal);
        running.wait_for(HEARD);
        gate.open();
        let ended = running.end();
        ended.assert_code(130);
        folder.assert_nothing_left();
        // The verdict was there before.
        assert_eq!(folder.only_run().verdict.as_deref(), Some("pass"), "{ended}");
    });
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
    running.signal(Signal::TERM);
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
