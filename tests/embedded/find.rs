//! Which scenarios are run, and a suite of several.

use insta::assert_snapshot;
use operator_run::cluster::Backend;
use operator_run::diagnosis::rules::Rules;
use operator_run::report::junit;
use operator_run::run::{Extras, Plan, RunRecord, SnapshotPolicy, Update, skipped};
use operator_run::scenario;
use operator_run::subject::ClusterSpec;
use operator_run::subject::tikv::TiKv;
use quick_junit::{NonSuccessKind, Report, TestCaseStatus};

use super::bench::{Bench, STORE_DOWN, changed, redact};

fn named(name: &str) -> String {
    changed(&[("name: store-down", &format!("name: {name}"))])
}

/// Folders with scenarios, and with what is none.
fn library() -> Bench {
    let bench = Bench::empty();
    for name in ["all/one", "all/two", "all/deep/three", "other/four"] {
        bench.write(&format!("{name}.yaml"), named(name.rsplit('/').next().unwrap()));
    }
    bench.write("all/five.yml", named("five"));
    bench.write("all/README.md", "no scenario");
    bench.write("empty/README.md", "no scenario");
    bench
}

#[test]
fn files_folders_and_patterns_are_found_each_once_and_in_order() {
    let bench = library();
    let root = bench.path("");
    let root = root.to_str().unwrap();
    for (arguments, expected) in [
        (["all/two.yaml", "all/one.yaml"].as_slice(), ["two", "one"].as_slice()),
        (&["all/one.yaml", "./all/one.yaml", "all/../all/one.yaml", "all/one.yaml"], &["one"]),
        (&["all"], &["three", "five", "one", "two"]),
        (&["all/", "other"], &["three", "five", "one", "two", "four"]),
        (&["all/*.yaml"], &["one", "two"]),
        (&["**/t*.yaml"], &["three", "two"]),
        (&["all/{one,two}.yaml", "all"], &["one", "two", "three", "five"]),
        (&["all/README.md"], &["README"]),
    ] {
        let arguments: Vec<String> = arguments.iter().map(|argument| format!("{root}{argument}")).collect();
        let found = scenario::find(&arguments).unwrap_or_else(|error| panic!("{error}"));
        let found: Vec<&str> = found.iter().map(|file| file.file_stem().unwrap().to_str().unwrap()).collect();
        assert_eq!(found, expected, "{arguments:?}");
    }
}

#[test]
fn a_pattern_is_taken_from_the_folder_that_the_program_runs_in() {
    let bench = library();
    for pattern in ["all/o*.yaml", "./all/o*.yaml", "*/one.yaml"] {
        let outcome = bench.run(&[pattern, "--accept"]);
        assert_eq!(outcome.exit, 0, "{pattern}: {}", outcome.stderr);
        assert!(outcome.stdout.starts_with("one  "), "{pattern}: {}", outcome.stdout);
    }
}

#[test]
fn nothing_found_is_an_error() {
    let bench = library();
    let text: Vec<String> = ["nowhere.yaml", "empty", "all/x*.yaml", "nowhere/*.yaml", "all/[.yaml", "all/README.md"]
        .into_iter()
        .map(|argument| {
            let outcome = bench.run(&["all/one.yaml", argument]);
            assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""), "{argument}");
            outcome.stderr
        })
        .collect();
    assert_snapshot!(text.join("\n"));
    assert!(!bench.path(".operator-run").exists(), "something was started");
}

#[test]
fn two_scenarios_with_one_name_are_refused() {
    let bench = library();
    bench.write("all/again.yaml", named("one"));
    let outcome = bench.run(&["all"]);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""));
    assert_snapshot!(outcome.stderr, @"operator-run: all/again.yaml and all/one.yaml have the same name `one`, which names their snapshots: change one");
}

#[test]
fn the_mistakes_of_all_files_are_shown_before_anything_is_started() {
    let bench = Bench::empty();
    bench.write("s/a.yaml", STORE_DOWN);
    bench.write("s/b.yaml", changed(&[("subject: tikv", "subject: tivk")]));
    bench.write("s/c.yaml", "");
    let outcome = bench.run(&["s"]);
    assert_eq!((outcome.exit, bench.files()), (2, vec!["s".to_owned()]));
    for part in ["s/b.yaml has 1 mistake", "[s/b.yaml:5:10]", "s/c.yaml has 1 mistake"] {
        assert!(outcome.stderr.contains(part), "{}", outcome.stderr);
    }
}

/// A suite with each kind of end.
fn mixed() -> Bench {
    let bench = Bench::new();
    bench.write("s/a.yaml", STORE_DOWN);
    bench.write("s/b.yaml", named("flops").replace("is: process_crash", "is: disk_full"));
    bench.write("s/c.yaml", named("breaks").replace("title: A TiKV store is killed", "title: 19.74GiB"));
    bench
}

#[test]
fn a_suite_ends_with_a_line_for_each_and_the_worst_exit_code() {
    let bench = mixed();
    let outcome = bench.run(&["s", "--accept"]);
    assert_eq!(outcome.exit, 3);
    let text = redact(&outcome.stdout);
    let lines: Vec<&str> = text.lines().collect();
    assert_snapshot!(lines[lines.len() - 6..].join("\n"), @"
    PASS store-down  run RUN, TIME s of wall time
    FAIL flops  misdiagnosed  run RUN, TIME s of wall time
    ERROR breaks  leaked  run RUN, TIME s of wall time
    detected store_down  after 16.0 s, 16.0 to 16.0 s in 3 detections
    3 scenarios: 1 pass, 1 fail, 1 error
    calibration: Brier score 0.500 over 2 diagnoses (0 is best, 0.25 is a coin)
    ");
    assert_eq!(bench.run(&["s/a.yaml", "s/b.yaml", "--accept"]).exit, 1);
}

#[test]
fn a_junit_report_has_every_scenario() {
    let bench = mixed();
    let outcome = bench.run(&["s", "--accept", "--json", "--junit", "report.xml"]);
    assert_eq!(outcome.exit, 3);
    let name = |line: &str| serde_json::from_str::<RunRecord>(line).unwrap().scenario;
    assert_eq!(outcome.stdout.lines().map(name).collect::<Vec<_>>(), ["store-down", "flops", "breaks"]);
    let report = Report::deserialize_from_str(&bench.read("report.xml").unwrap()).unwrap();
    let [suite] = report.test_suites.as_slice() else { panic!("{report:?}") };
    assert_eq!((report.tests, report.failures, report.errors), (3, 1, 1));
    let ends: Vec<(&str, Option<NonSuccessKind>, String)> = suite
        .test_cases
        .iter()
        .map(|case| {
            let (kind, message) = match &case.status {
                TestCaseStatus::NonSuccess { kind, message, .. } => (Some(*kind), message.as_ref()),
                _ => (None, None),
            };
            (case.name.as_str(), kind, message.map(|text| text.as_str().to_owned()).unwrap_or_default())
        })
        .collect();
    assert_eq!(
        ends,
        [
            ("store-down", None, String::new()),
            (
                "flops",
                Some(NonSuccessKind::Failure),
                "rubric: 0.79 of 0.80 needed; not met: cause, calibrated".to_owned()
            ),
            (
                "breaks",
                Some(NonSuccessKind::Error),
                "leaked: the question to the diagnoser contains the scenario's title (`19.74GiB`)".to_owned()
            ),
        ]
    );
    assert!(suite.test_cases[0].system_out.as_ref().unwrap().as_str().starts_with("# process_crash on tikv1"));
}

#[test]
fn a_report_that_cannot_be_written_is_an_error_though_all_passed() {
    let bench = Bench::new();
    bench.write("s.yaml", STORE_DOWN);
    let outcome = bench.run(&["s.yaml", "--junit", "nowhere/report.xml"]);
    assert_eq!(outcome.exit, 3);
    assert!(outcome.stderr.contains("cannot write nowhere/report.xml: "), "{}", outcome.stderr);
}

#[test]
fn a_scenario_that_was_not_run_is_skipped_in_the_report() {
    let loaded = scenario::parse(std::path::Path::new("s.yaml"), STORE_DOWN).unwrap();
    let cluster = ClusterSpec {
        backend: Backend::Embedded,
        nodes: loaded.scenario.cluster.nodes.clone(),
        seed: 2,
        load: None,
        disk: None,
    };
    let snapshots = SnapshotPolicy { folder: "snapshots".into(), update: Update::No };
    let plan = Plan { loaded, cluster, snapshots, extras: Extras::default() };
    let record = skipped(&plan, &Rules::new(&TiKv, "in a test"), "not run: <interrupted>");
    let report = Report::deserialize_from_str(&junit::write(&[record]).unwrap()).unwrap();
    let TestCaseStatus::Skipped { message, .. } = &report.test_suites[0].test_cases[0].status else {
        panic!("{report:?}")
    };
    assert_eq!(message.as_ref().unwrap().as_str(), "not run: <interrupted>");
}
