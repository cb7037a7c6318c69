//! The program is killed by SIGKILL at any moment, and `operator-run clean` takes away what that leaves; nothing else.

use std::env;
use std::time::{Duration, Instant};

use super::engine::{Engine, docker, left_of, remove_all_of, say};
use super::gate::{Gate, Requests};
use super::program::{Call, Folder, Running, SCENARIO, clean};

/// How many times the program is killed; 50 before a release.
const KILLS_VARIABLE: &str = "OPERATOR_RUN_TEST_KILLS";
const KILLS: usize = 6;
/// How long the scenario takes when nobody kills it, on a machine that has nothing else to do.
const WHOLE_RUN: Duration = Duration::from_secs(16);

#[test]
fn at_any_moment() {
    let Some(engine) = Engine::find() else { return };
    let kills = env::var(KILLS_VARIABLE).map_or(KILLS, |kills| kills.parse().unwrap());
    let whole_run = if kills > KILLS { a_whole_run(&engine) } else { WHOLE_RUN };
    let mut random = fastrand::Rng::with_seed(4);
    for kill in 0..kills {
        let folder = Folder::new();
        let moment = whole_run.mul_f64(random.f64());
        let mut running = Call::new(&engine, &folder, SCENARIO).start();
        running.listen_for(moment);
        let ended = running.kill();
        let runs = folder.kept().len();
        say(&format!("kill {kill} after {:.1} s, {runs} run", moment.as_secs_f64()));
        let cleaned = clean(&engine, &folder, &[]);
        cleaned.assert_code(0);
        folder.assert_nothing_left();
        assert!(folder.kept().iter().all(|kept| kept.verdict.is_some()), "{ended}{cleaned}");
        let again = clean(&engine, &folder, &[]);
        again.assert_code(0);
        let remains = folder.kept().iter().any(|kept| again.output().contains(&kept.run));
        assert!(!remains, "the second time it still finds something:\n{again}");
    }
}

/// Compose must not go on to make containers when the runner is gone.
#[test]
fn while_compose_creates_containers() {
    let Some(engine) = Engine::find() else { return };
    let create = Requests { method: "POST", path: "/containers/create" };
    let (folder, gate) = (Folder::new(), Gate::closed(create));
    let running = Call::new(&engine, &folder, SCENARIO).variable("DOCKER_HOST", gate.address()).start();
    gate.wait();
    running.kill();
    gate.open();
    let cleaned = clean(&engine, &folder, &[]);
    cleaned.assert_code(0);
    folder.assert_nothing_left();
}

#[test]
fn the_next_run_cleans_up_first_and_without_the_database_the_labels_are_enough() {
    let Some(engine) = Engine::find() else { return };
    let (folder, other) = (Folder::new(), Folder::new());
    let first = dead_after_the_fault(&engine, &folder);
    let ended = Call::new(&engine, &folder, SCENARIO).start().end();
    ended.assert_code(0);
    assert!(ended.error().contains(&format!("run {first} (etcd-member-down): healed and removed 1 fault")), "{ended}");
    folder.assert_nothing_left();

    let second = dead_after_the_fault(&engine, &folder);
    let dry = clean(&engine, &other, &["--dry-run"]);
    dry.assert_says(&[&format!("run {second}: would heal and remove 4 containers, 1 network, 4 volumes")]);
    assert!(!left_of(&second).is_empty(), "a dry run changes nothing");
    clean(&engine, &other, &[]).assert_says(&[&format!("run {second}: healed and removed 4 containers")]);
    assert_eq!(left_of(&second), Vec::<String>::new());
    // The journal and the folder are still to be closed.
    clean(&engine, &folder, &[])
        .assert_says(&[&format!("run {second} (etcd-member-down): healed and removed 1 fault")]);
    folder.assert_nothing_left();
}

#[test]
fn a_live_run_and_what_is_no_run_are_left_alone() {
    let Some(engine) = Engine::find() else { return };
    let (folder, other) = (Folder::new(), Folder::new());
    let mut live = long(&engine, &other);
    live.wait_for_end_of("up");
    let live_run = other.only_run().run;
    let dead_run = dead_after_the_fault(&engine, &folder);
    // By its name it belongs to the dead run; by its project to another.
    let name = format!("operator-run-{dead_run}_etcd0_2");
    let project = "com.docker.compose.project=somebody-elses";
    docker(&["run", "--detach", "--name", &name, "--label", project, engine.etcd_image()]);
    let by_hand = format!("{dead_run}-by-hand");
    docker(&["volume", "create", "--label", &format!("operator-run.run={by_hand}"), &by_hand]);
    let before = left_of(&live_run);

    let cleaned = clean(&engine, &folder, &[]);
    let refused = clean(&engine, &folder, &["--run", &live_run]);
    let running = docker(&["inspect", "--format", "{{.State.Running}}", &name]);
    let left_by_hand = left_of(&by_hand).len();
    let asked = clean(&engine, &folder, &["--run", &by_hand]);
    let left_of_it = left_of(&by_hand).len();
    docker(&["rm", "--force", "--volumes", &name]);
    remove_all_of(&by_hand);

    cleaned.assert_code(0);
    assert_eq!(left_of(&dead_run), Vec::<String>::new());
    cleaned.assert_says(&[&format!("run {live_run} goes on in process"), &format!("run {by_hand} may go on")]);
    refused.assert_code(2);
    assert_eq!((running.as_str(), left_by_hand), ("true", 1));
    asked.assert_code(0);
    assert_eq!(left_of_it, 0);
    assert_eq!(left_of(&live_run), before);
    live.interrupt();
    live.end().assert_code(130);
    other.assert_nothing_left();
}

#[test]
fn three_at_once_and_each_cleans_up_after_the_same_dead_run() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    dead_after_the_fault(&engine, &folder);
    let started = Instant::now();
    let calls = [(); 3].map(|()| Call::new(&engine, &folder, SCENARIO).start());
    for call in calls {
        call.end().assert_code(0);
    }
    say(&format!("three at once: {:.1} s", started.elapsed().as_secs_f64()));
    folder.assert_nothing_left();
}

/// How long the scenario takes on this machine as it is.
fn a_whole_run(engine: &Engine) -> Duration {
    let ended = Call::new(engine, &Folder::new(), SCENARIO).start().end();
    ended.assert_code(0);
    say(&format!("a whole run: {:.1} s", ended.took.as_secs_f64()));
    ended.took
}

/// A run that does nothing for long when it is up.
fn long(engine: &Engine, folder: &Folder) -> Running {
    let scenario = folder.scenario_with("for: 3s", "for: 50s");
    Call::new(engine, folder, scenario).start()
}

/// Starts a run, kills it when its fault is done, and gives its id.
fn dead_after_the_fault(engine: &Engine, folder: &Folder) -> String {
    let before: Vec<String> = folder.kept().into_iter().map(|kept| kept.run).collect();
    let mut running = Call::new(engine, folder, SCENARIO).start();
    running.wait_for("fault ");
    running.kill();
    let dead = folder.kept().into_iter().find(|kept| !before.contains(&kept.run)).unwrap();
    assert_eq!((dead.unhealed, dead.verdict), (1, None));
    dead.run
}
