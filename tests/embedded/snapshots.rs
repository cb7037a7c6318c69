//! The snapshot of a diagnosis: new, changed, accepted, and what the environment asks for.

use insta::{Snapshot, assert_snapshot};
use operator_run::run::{Class, RunRecord, SnapshotStatus, Update};

use super::bench::{Bench, STORE_DOWN, changed};

const ACCEPTED: &str = "snapshots/store-down.rules.snap";
const PENDING: &str = "snapshots/store-down.rules.snap.new";

fn run(bench: &Bench, arguments: &[&str], environment: &[(&str, &str)]) -> (i32, SnapshotStatus, String) {
    bench.write("store-down.yaml", STORE_DOWN);
    let outcome = bench.run_with(&[&["store-down.yaml", "--json"], arguments].concat(), environment);
    let record: operator_run::run::RunRecord = serde_json::from_str(&outcome.stdout).unwrap();
    let snapshot = record.snapshot.unwrap();
    assert_eq!(snapshot.path, ACCEPTED);
    (outcome.exit, snapshot.status, snapshot.diff)
}

/// A folder whose accepted snapshot says another cause.
fn outdated() -> Bench {
    let bench = Bench::new();
    let text = bench.read(ACCEPTED).unwrap();
    bench.write(ACCEPTED, text.replace("category: process_crash", "category: disk_full"));
    bench
}

#[test]
fn a_new_one_waits_for_a_review_and_fails_the_run() {
    let bench = Bench::empty();
    let (exit, status, diff) = run(&bench, &[], &[]);
    assert_eq!((exit, status, bench.read(ACCEPTED)), (1, SnapshotStatus::New, None));
    assert!(diff.lines().skip(3).all(|line| line.starts_with('+')), "{diff}");
    assert_snapshot!(bench.read(PENDING).unwrap());
    let insta = Snapshot::from_file(&bench.path(PENDING)).unwrap();
    assert_eq!(insta.metadata().assertion_line(), Some(1));

    let (exit, status, _) = run(&bench, &["--accept"], &[]);
    assert_eq!((exit, status, bench.read(PENDING)), (0, SnapshotStatus::Accepted, None));
    let insta = Snapshot::from_file(&bench.path(ACCEPTED)).unwrap();
    assert_eq!(insta.metadata().source(), Some("store-down.yaml"));
    assert_eq!(insta.metadata().assertion_line(), None);
    assert_eq!(run(&bench, &[], &[]), (0, SnapshotStatus::Same, String::new()));
}

#[test]
fn a_changed_one_shows_what_changed() {
    let bench = outdated();
    let before = bench.read(ACCEPTED);
    let (exit, status, diff) = run(&bench, &[], &[]);
    assert_eq!((exit, status), (1, SnapshotStatus::Different));
    assert_snapshot!(diff, @"
    --- accepted
    +++ this run
    @@ -1,5 +1,5 @@
     root_cause:
    -  category: disk_full
    +  category: process_crash
       role: tikv
     severity: major
     availability: degraded
    ");
    assert_eq!(bench.read(ACCEPTED), before);
    assert!(bench.read(PENDING).unwrap().contains("category: process_crash"));
}

#[test]
fn what_is_as_accepted_needs_no_review_any_more() {
    let bench = Bench::new();
    bench.write(PENDING, "left from an earlier run");
    assert_eq!(run(&bench, &[], &[]), (0, SnapshotStatus::Same, String::new()));
    assert_eq!(bench.read(PENDING), None);
}

#[test]
fn the_environment_decides_what_is_asked_for() {
    for (update, ci, accept, expected) in [
        (None, None, false, Update::New),
        (Some("auto"), None, false, Update::New),
        (Some(""), Some("false"), false, Update::New),
        (Some("new"), Some("true"), false, Update::New),
        (None, Some("true"), false, Update::No),
        (Some("auto"), Some("1"), false, Update::No),
        (Some("no"), None, false, Update::No),
        (Some("unseen"), None, false, Update::AcceptUnseen),
        (Some("always"), Some("true"), false, Update::Accept),
        (Some("force"), None, false, Update::Accept),
        (Some("no"), Some("true"), true, Update::Accept),
    ] {
        let variable = |name: &str| match name {
            "CI" => ci.map(str::to_owned),
            "INSTA_UPDATE" => update.map(str::to_owned),
            _ => None,
        };
        assert_eq!(Update::resolve(accept, &variable).unwrap(), expected, "{update:?} {ci:?} {accept}");
    }
}

#[test]
fn what_is_asked_for_is_written() {
    use SnapshotStatus::{Accepted, Different, New};
    // For a new and for a changed one: exit code, status, whether this one is accepted, and whether one is pending.
    for (variable, new, changed) in [
        (("INSTA_UPDATE", "new"), (1, New, false, true), (1, Different, false, true)),
        (("CI", "true"), (1, New, false, false), (1, Different, false, false)),
        (("INSTA_UPDATE", "always"), (0, Accepted, true, false), (0, Accepted, true, false)),
        (("INSTA_UPDATE", "unseen"), (0, Accepted, true, false), (1, Different, false, true)),
    ] {
        for (bench, expected) in [(Bench::empty(), new), (outdated(), changed)] {
            let (exit, status, _) = run(&bench, &[], &[variable]);
            let accepted = bench.read(ACCEPTED).is_some_and(|text| text.contains("category: process_crash\n  role"));
            assert_eq!((exit, status, accepted, bench.read(PENDING).is_some()), expected, "{variable:?}");
        }
    }
}

#[test]
fn an_update_that_insta_does_not_know_starts_nothing() {
    let bench = Bench::new();
    bench.write("store-down.yaml", STORE_DOWN);
    let outcome = bench.run_with(&["store-down.yaml"], &[("INSTA_UPDATE", "sometimes")]);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""));
    assert_snapshot!(outcome.stderr, @"operator-run: INSTA_UPDATE is `sometimes`: it must be auto, new, always, unseen, force or no");
    assert!(!bench.path(".operator-run").exists());
}

#[test]
fn a_snapshot_that_is_none_is_an_error_and_not_overwritten() {
    let bench = Bench::new();
    bench.write(ACCEPTED, b"---\n\xff\n");
    let (exit, record) = bench.record(STORE_DOWN, &["--accept"]);
    assert_eq!(exit, 3);
    assert!(record.reasons[0].starts_with(&format!("cannot read the snapshot {ACCEPTED}")), "{:?}", record.reasons);
    assert!(record.injections[0].healed.is_some());
}

#[test]
fn a_diagnosis_that_fails_its_rubric_is_not_accepted_by_that() {
    let wrong = changed(&[("is: process_crash", "is: disk_full")]);
    let nothing = SnapshotStatus::New;
    for (arguments, environment, refused) in [
        (["--accept"].as_slice(), [].as_slice(), true),
        (&[], &[("INSTA_UPDATE", "always")], true),
        (&[], &[("INSTA_UPDATE", "unseen")], true),
        (&[], &[], false),
    ] {
        let bench = Bench::empty();
        bench.write("s.yaml", &wrong);
        let outcome = bench.run_with(&[&["s.yaml", "--json"], arguments].concat(), environment);
        let record: RunRecord = serde_json::from_str(&outcome.stdout).unwrap();
        let snapshot = record.snapshot.unwrap();
        assert_eq!((outcome.exit, snapshot.status, snapshot.refused), (1, nothing, refused));
        assert_eq!((record.class, bench.path("snapshots").exists()), (Class::Misdiagnosed, false));
        let told = format!("snapshot {ACCEPTED} is not accepted: the rubric is not met");
        assert_eq!(record.reasons.get(1), refused.then_some(&told), "{:?}", record.reasons);
        let said = format!("not accepted, since the rubric is not met: {ACCEPTED}");
        assert_eq!(outcome.stderr.contains(&said), refused, "{}", outcome.stderr);
    }
    // What is accepted stays, and what waits for a review, too.
    let bench = outdated();
    bench.write(PENDING, "from a run before");
    let before = bench.read(ACCEPTED);
    let (exit, record) = bench.record(&wrong, &["--accept"]);
    assert_eq!((exit, record.snapshot.unwrap().status), (1, SnapshotStatus::Different));
    assert_eq!((bench.read(ACCEPTED), bench.read(PENDING).unwrap().as_str()), (before, "from a run before"));
}

#[test]
fn a_drift_is_told_from_a_wrong_diagnosis() {
    let (exit, record) = outdated().record(STORE_DOWN, &[]);
    assert_eq!((exit, record.class), (1, Class::SnapshotChanged));
    assert_snapshot!(record.reasons.join("\n"), @"snapshot snapshots/store-down.rules.snap differs, and the rubric is met: a drift is no wrong diagnosis; review it by `operator-run snapshots review` or `cargo insta review`, or accept it by --accept");
    let bench = outdated();
    let (_, record) = bench.record(&changed(&[("is: process_crash", "is: disk_full")]), &[]);
    assert_eq!(record.class, Class::Misdiagnosed);
    assert_snapshot!(record.reasons.join("\n"), @"rubric: 0.79 of 0.80 needed; not met: cause, calibrated");
    // By a rubric that it meets, the same is a drift.
    bench.write("now.yaml", STORE_DOWN);
    let outcome = bench.run(&["grade", &record.wall.run, "--rubric", "now.yaml", "--json"]);
    let again: RunRecord = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((outcome.exit, again.class, again.reasons.len()), (1, Class::SnapshotChanged, 1), "{:?}", again.reasons);
    assert!(again.reasons[0].contains("a drift is no wrong diagnosis"), "{:?}", again.reasons);
}

#[test]
fn snapshots_lie_where_they_are_asked_for() {
    let bench = Bench::empty();
    let (exit, _) = bench.record(STORE_DOWN, &["--accept", "--snapshots", "some/where"]);
    assert_eq!(exit, 0);
    assert!(bench.read("some/where/store-down.rules.snap").is_some());
    assert!(!bench.path("snapshots").exists());
}
