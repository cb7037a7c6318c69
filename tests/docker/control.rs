//! `--with-control` on real containers: the twin is a second cluster, brought up when the first one is gone, and taken down
//! in every case.

use std::thread;
use std::time::{Duration, Instant};

use operator_run::run::{Class, RunRecord, Said};

use super::engine::{Engine, left_of};
use super::program::{Call, Folder, PATIENCE, SCENARIO};

#[test]
fn the_twin_is_quiet_and_both_leave_nothing_behind() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let ended = Call::new(&engine, &folder, SCENARIO).argument("--json").argument("--with-control").start().end();
    ended.assert_code(0);
    let record: RunRecord = serde_json::from_str(&ended.output()).unwrap();
    assert_eq!((record.class, record.reasons.as_slice()), (Class::Passed, [].as_slice()), "{ended}");
    let control = record.control.unwrap();
    assert_eq!((control.violations.len(), control.said), (0, Some(Said::NoFault)), "{ended}");
    let runs: Vec<String> = folder.kept().into_iter().map(|kept| kept.run).collect();
    assert_eq!(runs, [record.wall.run, record.wall.control.unwrap()], "the twin has an id of its own");
    folder.assert_nothing_left();
}

#[test]
fn an_interrupted_twin_is_taken_down() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let mut running = Call::new(&engine, &folder, SCENARIO).argument("--json").argument("--with-control").start();
    running.wait_for_end_of("down");
    let deadline = Instant::now() + PATIENCE;
    // The twin says nothing until it is down: its containers tell that it comes up.
    while folder.kept().get(1).is_none_or(|twin| left_of(&twin.run).is_empty()) {
        assert!(Instant::now() < deadline, "there is no twin");
        thread::sleep(Duration::from_millis(100));
    }
    running.interrupt();
    let ended = running.end();
    ended.assert_code(130);
    let record: RunRecord = serde_json::from_str(&ended.output()).unwrap();
    assert_eq!(
        (record.class, record.reasons),
        (Class::Environment, vec!["control: interrupted".to_owned()]),
        "{ended}"
    );
    assert!(record.clean && record.diagnosis.is_some(), "what the run itself came to is kept");
    folder.assert_nothing_left();
}
