//! The scenario of the repository, from its file to its verdict.

use operator_run::cluster::FaultKind;
use operator_run::reading::NodeName;
use operator_run::run::{Expectation, Phase, RunRecord, SnapshotStatus, Verdict};

use super::engine::{Engine, docker, left_of, remove_all_of, say};
use super::program::{Call, Ended, Folder, SCENARIO};

#[test]
fn passes_and_leaves_nothing_behind() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let ended = Call::new(&engine, &folder, SCENARIO).argument("--json").start().end();
    say(&format!("{SCENARIO}: {:.1} s", ended.took.as_secs_f64()));
    let record = passed(&ended);

    let target = only_target(&record);
    let [violation] = record.violations.as_slice() else { panic!("not one violation:\n{ended}") };
    assert_eq!((violation.invariant.as_str(), &violation.node), ("member_down", &target));
    assert_eq!(violation.expectation, Expectation::Expected);
    assert!(violation.after_fault.is_some_and(|after| after <= 15.0), "after {:?} s", violation.after_fault);
    assert!(violation.resolved.is_some(), "the killed member does not answer again:\n{ended}");
    assert_eq!(record.diagnosis.unwrap().root_cause.component.0, target.0);
    assert!(record.grade.unwrap().passed());
    assert_eq!(record.snapshot.unwrap().status, SnapshotStatus::Same);

    assert_eq!(folder.only_run().faults, 1);
    folder.assert_nothing_left();
}

#[test]
fn the_recommended_action_makes_the_cluster_well_before_anything_is_undone() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let call = Call::new(&engine, &folder, SCENARIO).argument("--json").argument("--apply-recommendation");
    let ended = call.start().end();
    let record = passed(&ended);
    let applied = record.applied.as_ref().unwrap();
    assert_eq!((applied.action.as_str(), applied.refused.as_deref()), ("restart_member", None));
    assert_eq!(applied.target, only_target(&record).0);
    assert!(applied.well_after.is_some_and(|after| after > 0.0), "{applied:?}");
    let apply = record.phases.iter().find(|phase| phase.phase == Phase::Apply).unwrap();
    let [violation] = record.violations.as_slice() else { panic!("not one violation:\n{ended}") };
    assert!(violation.resolved.is_some_and(|resolved| resolved <= apply.ended), "{violation:?}");
    assert!(record.injections[0].healed.is_some_and(|healed| healed >= apply.ended), "{:?}", record.injections);
    folder.assert_nothing_left();
}

#[test]
fn what_the_recommended_action_has_undone_need_not_be_healed() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let call = Call::new(&engine, &folder, "scenarios/etcd-leader-paused.yaml").argument("--json");
    let record = passed(&call.argument("--apply-recommendation").start().end());
    let applied = record.applied.unwrap();
    assert_eq!((applied.action.as_str(), applied.refused), ("resume_process", None));
    assert!(applied.well_after.is_some());
    folder.assert_nothing_left();
}

#[test]
fn two_at_once_pass_with_the_same_database() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let calls = [(); 2].map(|()| Call::new(&engine, &folder, SCENARIO).argument("--json").start());
    let [one, other] = calls.map(|call| passed(&call.end()));
    assert_ne!(one.wall.run, other.wall.run);
    assert_eq!(folder.kept().len(), 2);
    folder.assert_nothing_left();
}

#[test]
fn touches_nothing_that_is_not_its_own() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let mut running = Call::new(&engine, &folder, SCENARIO).argument("--json").start();
    running.wait_for_end_of("up");
    let run = folder.only_run().run;
    let others = Others::start(&engine, &run);
    passed(&running.end());
    folder.assert_nothing_left();
    others.assert_untouched();
}

#[test]
fn what_is_still_changed_when_all_is_healed_is_an_error() {
    let Some(engine) = Engine::find() else { return };
    let folder = Folder::new();
    let mut running = Call::new(&engine, &folder, SCENARIO).argument("--json").start();
    running.wait_for("fault ");
    // As a fault would that was not undone.
    let labels = format!("label=operator-run.run={}", folder.only_run().run);
    let members = docker(&["ps", "-q", "--filter", &labels, "--filter", "label=operator-run.role=etcd"]);
    let member = members.lines().next().unwrap();
    let node = docker(&["inspect", "--format", r#"{{index .Config.Labels "operator-run.node"}}"#, member]);
    docker(&["update", "--memory", "512m", "--memory-swap", "512m", member]);
    let ended = running.end();
    ended.assert_code(3);
    let record: RunRecord = serde_json::from_str(&ended.output()).unwrap();
    assert_eq!(record.verdict, Verdict::Error);
    let leaks = ["limit of memory and swap", "memory limit"];
    assert_eq!(record.leaks, leaks.map(|limit| format!("{node}: {limit} was none, is 536870912")));
    folder.assert_nothing_left();
}

/// The record of a run that passed.
fn passed(ended: &Ended) -> RunRecord {
    ended.assert_code(0);
    let output = ended.output();
    let record: RunRecord =
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("it prints no record alone ({error}):\n{ended}"));
    assert_eq!(record.verdict, Verdict::Pass, "{ended}");
    assert_eq!(record.reasons, Vec::<String>::new());
    record
}

fn only_target(record: &RunRecord) -> NodeName {
    let [injection] = record.injections.as_slice() else { panic!("not one fault: {:?}", record.injections) };
    assert!(injection.healed.is_some(), "{injection:?}");
    assert_eq!(injection.fault.kind(), &FaultKind::KILL);
    injection.fault.node().unwrap().clone()
}

/// What looks like a part of a run and is none.
struct Others {
    /// The label's value: it begins with the run's id.
    label: String,
    /// The name and the start of each container.
    containers: Vec<(String, String)>,
}

impl Others {
    fn start(engine: &Engine, run: &str) -> Self {
        let label = format!("{run}-other");
        let mut others = Self { label, containers: Vec::new() };
        let run_label = format!("operator-run.run={}", others.label);
        let project = format!("com.docker.compose.project=operator-run-{run}");
        // Of another run; then by name and project of this run, as by hand, and without its label.
        for (name, label) in [("other", run_label.as_str()), ("etcd0-2", &project)] {
            let name = format!("operator-run-{run}-{name}");
            docker(&["run", "--detach", "--name", &name, "--label", label, engine.etcd_image()]);
            others.containers.push((name.clone(), started_at(&name)));
        }
        docker(&["network", "create", "--label", &run_label, &others.label]);
        docker(&["volume", "create", "--label", &run_label, &others.label]);
        others
    }

    fn assert_untouched(&self) {
        for (name, started) in &self.containers {
            assert_eq!(started_at(name), *started);
        }
        assert_eq!(left_of(&self.label).len(), 3, "a container, a network and a volume");
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        for (name, _) in &self.containers {
            docker(&["rm", "--force", "--volumes", name]);
        }
        remove_all_of(&self.label);
    }
}

/// Whether a container runs, and since when.
fn started_at(container: &str) -> String {
    docker(&["inspect", "--format", "{{.State.Running}} since {{.State.StartedAt}}", container])
}
