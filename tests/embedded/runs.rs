//! A whole run by the program on the embedded backend: what it prints, what it keeps, and how it ends.

use insta::assert_snapshot;
use operator_run::cluster::{FaultKind, Undo};
use operator_run::diagnosis::{Bundle, Diagnosis};
use operator_run::grade::rubric::CheckResult;
use operator_run::run::Phase::{Detect, Diagnose, Down, Grade, Recover, Steady, Up};
use operator_run::run::{Expectation, Phase, RunRecord, Verdict};
use operator_run::store::{Store, TicketState};
use serde_json::Value;

use super::bench::{Bench, STORE_DOWN, changed, redact};

#[test]
fn what_a_person_sees() {
    let bench = Bench::new();
    bench.write("store-down.yaml", STORE_DOWN);
    let outcome = bench.run(&["store-down.yaml"]);
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""));
    assert_snapshot!(redact(&outcome.stdout));
    assert_eq!(bench.files(), [".operator-run", "snapshots", "store-down.yaml"]);

    let tickets = bench.run(&["tickets"]);
    assert_snapshot!(redact(&tickets.stdout).trim(), @"
    2  resolved      client_errors on cluster, 2026-01-01T00:00:53.9Z, run RUN: the share of operations that fail is 0.093
        1  resolved      store_down on tikv1, 2026-01-01T00:00:51.9Z, run RUN: PD says Disconnected, status port: refused
    ");
    let ticket = bench.run(&["tickets", "1"]);
    assert_eq!((tickets.exit, ticket.exit), (0, 0));
    assert_snapshot!("the_ticket_as_markdown", redact(&ticket.stdout));
}

#[test]
fn tickets_that_are_not_there() {
    let bench = Bench::new();
    let outcome = bench.run(&["tickets"]);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (3, ""));
    assert_snapshot!(outcome.stderr, @"operator-run: there is no database .operator-run/operator-run.db: nothing was run yet, or name it by --db");
    bench.record(STORE_DOWN, &[]);
    let outcome = bench.run(&["tickets", "9"]);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""));
    assert_snapshot!(outcome.stderr, @"operator-run: there is no ticket 9");
}

#[test]
fn json_is_one_document_and_the_lines_for_a_person_go_elsewhere() {
    let bench = Bench::new();
    bench.write("store-down.yaml", STORE_DOWN);
    let outcome = bench.run(&["store-down.yaml", "--json"]);
    assert_eq!(outcome.stdout.lines().count(), 1);
    let record: RunRecord = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(serde_json::to_string(&record).unwrap() + "\n", outcome.stdout);
    assert_eq!(redact(&outcome.stderr), redact(&bench.run(&["store-down.yaml"]).stdout));
}

/// A record without what may differ between two runs.
fn stable(record: &RunRecord) -> String {
    let mut record = serde_json::to_value(record).unwrap();
    record.as_object_mut().unwrap().remove("wall").unwrap();
    serde_json::to_string_pretty(&record).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_record_and_another_one_another() {
    let [first, second, other] = [["--seed", "7"], ["--seed", "7"], ["--seed", "8"]].map(|seed| {
        let (exit, record) = Bench::new().record(STORE_DOWN, &seed);
        assert_eq!(exit, 0, "{:?}", record.reasons);
        record
    });
    assert_ne!(first.wall.run, second.wall.run);
    assert!(stable(&first) == stable(&second), "the same seed gave another record");
    assert!(stable(&first) != stable(&other), "another seed gave the same record");
    assert_eq!(other.cluster.seed, 8);
}

#[test]
fn the_record_says_what_happened() {
    let bench = Bench::new();
    let (exit, record) = bench.record(STORE_DOWN, &[]);
    assert_eq!((exit, record.verdict, record.reasons.as_slice()), (0, Verdict::Pass, [].as_slice()));

    let [injection] = record.injections.as_slice() else { panic!("{:?}", record.injections) };
    assert_eq!(injection.fault.kind(), &FaultKind::KILL);
    let target = injection.fault.node().unwrap();
    let [violation, felt] = record.violations.as_slice() else { panic!("{:?}", record.violations) };
    assert_eq!((felt.invariant.as_str(), felt.expectation), ("client_errors", Expectation::Allowed));
    assert_eq!((violation.invariant.as_str(), &violation.node), ("store_down", target));
    assert_eq!(violation.expectation, Expectation::Expected);
    // A store is missed 20 s after its last heartbeat, which was at most 10 s before the fault; a poll comes each 2 s.
    let after = violation.after_fault.unwrap();
    assert!((10.0..=22.0).contains(&after), "{after}");

    let (bit, healed) = (injection.bit.unwrap(), injection.healed.unwrap());
    let resolved = violation.resolved.unwrap();
    assert!(injection.done <= bit && bit < violation.detected && violation.detected < healed && healed < resolved);
    let phases: Vec<Phase> = record.phases.iter().map(|phase| phase.phase).collect();
    assert_eq!(phases, [Up, Steady, Detect, Diagnose, Grade, Recover, Down]);
    assert!(record.phases.windows(2).all(|pair| pair[0].began <= pair[0].ended && pair[0].ended <= pair[1].began));

    let grounding = record.grounding.unwrap();
    assert_eq!(grounding.ungrounded, Vec::<String>::new());
    assert!(record.grade.unwrap().checks.iter().all(CheckResult::met));
}

#[test]
fn the_database_keeps_the_same_as_the_record() {
    let bench = Bench::new();
    let (_, record) = bench.record(STORE_DOWN, &[]);
    let store = Store::open(&bench.path(".operator-run/operator-run.db")).unwrap();
    let ticket = store.ticket(1).unwrap();
    let violation = &record.violations[0];
    assert_eq!((ticket.state, &ticket.run), (TicketState::Resolved, &record.wall.run));
    assert_eq!((&ticket.invariant, &ticket.node), (&violation.invariant, &violation.node));
    assert_eq!((ticket.because, ticket.opened_at), (violation.because.clone(), violation.detected));
    assert_eq!(store.tickets(10).unwrap().len(), record.violations.len());
    let (diagnosis, evidence): (Diagnosis, Bundle) = store.diagnosis(1).unwrap().unwrap();
    assert_eq!((Some(diagnosis), Some(evidence)), (record.diagnosis, record.evidence));
    let undone: Vec<(i64, Undo)> = store.unhealed(&record.wall.run).unwrap();
    assert_eq!(undone, []);
}

#[test]
fn each_end_has_its_exit_code() {
    let fails = changed(&[("is: process_crash", "is: disk_full")]);
    let breaks = changed(&[("title: A TiKV store is killed", "title: 19.74GiB")]);
    for (name, scenario, exit, verdict) in
        [("pass", STORE_DOWN, 0, "pass"), ("fail", &fails, 1, "fail"), ("error", &breaks, 3, "error")]
    {
        let bench = Bench::new();
        bench.write("s.yaml", scenario);
        let outcome = bench.run(&["s.yaml", "--json"]);
        let record: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!((outcome.exit, record["verdict"].as_str()), (exit, Some(verdict)), "{name}");
        assert!(outcome.stderr.contains(&verdict.to_uppercase()), "{}", outcome.stderr);
    }
    for arguments in [["nowhere.yaml"].as_slice(), &["--no-such-option"], &["schema", "--json"], &[]] {
        assert_eq!(Bench::empty().run(arguments).exit, 2, "{arguments:?}");
    }
}

#[test]
fn a_database_elsewhere_and_one_that_cannot_be() {
    let bench = Bench::new();
    bench.write("s.yaml", STORE_DOWN);
    assert_eq!(bench.run(&["s.yaml", "--db", "kept/here.db"]).exit, 0);
    assert_eq!(bench.run(&["tickets", "1", "--db", "kept/here.db"]).exit, 0);
    assert!(!bench.path(".operator-run").exists());
    let outcome = bench.run(&["s.yaml", "--db", "s.yaml"]);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (3, ""), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("s.yaml: file is not a database"), "{}", outcome.stderr);
}

#[test]
fn what_is_not_as_expected_fails_with_the_reason() {
    let cases = [
        ("another cause", ("is: process_crash", "is: disk_full")),
        (
            "an ungrounded claim alone",
            (
                "is: process_crash }",
                "is: process_crash }\n    - { id: g, required: true, path: grounded, at_least: 2 }",
            ),
        ),
        ("a required check", ("none_of: [delete_store,", "none_of: [restart_store,")),
        ("on another node", ("on: target", "on: tikv0")),
        ("another invariant", ("invariant: store_down, on: target", "invariant: pd_no_leader, on: cluster")),
        ("too late", ("within: 30s", "within: 5s")),
        ("not well in time", ("recover: { within: 60s }", "recover: { within: 1s }")),
    ];
    let text: Vec<String> = cases
        .into_iter()
        .map(|(name, change)| {
            let (exit, record) = Bench::new().record(&changed(&[change]), &[]);
            assert_eq!((exit, record.verdict), (1, Verdict::Fail), "{name}");
            assert!(record.injections[0].healed.is_some(), "{name}");
            format!("{name}: {}: {:#?}", record.class, record.reasons)
        })
        .collect();
    assert_snapshot!(text.join("\n"));
}

#[test]
fn the_reasons_are_shown_below_the_verdict() {
    let bench = Bench::new();
    bench.write("s.yaml", changed(&[("is: process_crash", "is: disk_full")]));
    let outcome = bench.run(&["s.yaml"]);
    let (_, end) = outcome.stdout.split_once("nothing left behind").unwrap();
    assert_snapshot!(redact(end), @"
                                               0.0 s

    FAIL store-down  misdiagnosed  run RUN, TIME s of wall time
         rubric: 0.79 of 0.80 needed; not met: cause, calibrated
    ");
}

#[test]
fn a_kept_run_is_graded_by_a_rubric_that_has_changed() {
    let bench = Bench::new();
    let (_, record) = bench.record(STORE_DOWN, &[]);
    let run = record.wall.run.as_str();
    let grade = |arguments: &[&str]| {
        let outcome = bench.run(&[&["grade", run], arguments].concat());
        (outcome.exit, redact(&outcome.stdout), outcome.stderr)
    };
    let (exit, same, _) = grade(&[]);
    assert_eq!((exit, same.as_str()), (0, "RUN  store-down  passed as before\n0 of 1 verdicts changed\n"));

    bench.write("stricter.yaml", changed(&[("is: process_crash", "is: disk_full")]));
    let (exit, stricter, _) = grade(&["--rubric", "stricter.yaml"]);
    assert_eq!(exit, 1);
    assert_snapshot!(stricter, @"
    RUN  store-down  passed → misdiagnosed
         rubric: 0.79 of 0.80 needed; not met: cause, calibrated
    1 of 1 verdicts changed
    ");
    bench.write("harm.yaml", changed(&[("none_of: [delete_store,", "none_of: [restart_store,")]));
    assert!(grade(&["--rubric", "harm.yaml"]).1.contains("passed → harmful_remedy"));

    // What was wrong with the detection stays wrong.
    let (_, late) = bench.record(&changed(&[("within: 30s", "within: 5s")]), &[]);
    let outcome = bench.run(&["grade", &late.wall.run, "--json"]);
    let again: RunRecord = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((outcome.exit, again.class, again.reasons), (1, late.class, late.reasons));

    bench.write("other.yaml", changed(&[("name: store-down", "name: other")]));
    assert_eq!(grade(&["--rubric", "other.yaml"]).0, 2);
    assert_eq!(bench.run(&["grade", "no-such-run"]).exit, 2);
}
