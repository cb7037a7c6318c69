//! `--with-control`: the same cluster without the faults must stay quiet, and be diagnosed so.

use std::sync::Mutex;

use insta::assert_snapshot;
use operator_run::clock::span_between;
use operator_run::diagnosis::{ActionName, Category, Diagnoser, Diagnosis, Question};
use operator_run::run::{Class, Extras, Phase, RunRecord, Said, Verdict};
use tokio_util::sync::CancellationToken;

use super::as_baseline::AsBaseline;
use super::bench::{Bench, STORE_DOWN, changed};
use super::spy::{Broken, Observed, run_with};

/// Answers as the baseline does, but for these words when there is no ticket.
fn says(cause: &'static str, action: &'static str) -> impl Diagnoser {
    AsBaseline(move |question: &Question<'_>, diagnosis: &mut Diagnosis| {
        if question.bundle.tickets.is_empty() {
            diagnosis.root_cause.category = Category::from(cause);
            diagnosis.recommendation.action = ActionName::from(action);
        }
    })
}

async fn run(broken: Broken, diagnoser: &dyn Diagnoser) -> Observed {
    let extras = Extras { with_control: true, ..Extras::default() };
    run_with(extras, STORE_DOWN, diagnoser, broken, &CancellationToken::new()).await
}

const RUN: [&str; 4] = ["up", "kill tikv1", "start tikv1", "down"];

#[test]
fn the_twin_is_quiet_and_nothing_is_wrong_with_it() {
    let bench = Bench::new();
    let (exit, record) = bench.record(STORE_DOWN, &["--with-control"]);
    assert_eq!((exit, record.class), (0, Class::Passed), "{:?}", record.reasons);
    let control = record.control.as_ref().unwrap();
    assert_eq!((control.violations.as_slice(), control.said), ([].as_slice(), Some(Said::NoFault)));
    let phase = |wanted| record.phases.iter().find(|one| one.phase == wanted).unwrap();
    let watched = span_between(phase(Phase::Detect).began, phase(Phase::Diagnose).began);
    assert!((control.watched - watched.as_secs_f64()).abs() < 1e-9, "{}", control.watched);
    // The baseline says why, and its evidence shows it.
    let (diagnosis, evidence) = (control.diagnosis.as_ref().unwrap(), control.evidence.as_ref().unwrap());
    assert_eq!(diagnosis.root_cause.category.0, "no_fault");
    assert!(evidence.tickets.is_empty());
    let claims: Vec<&str> = diagnosis.evidence.iter().map(|claim| claim.claim.as_str()).collect();
    assert_snapshot!(claims.join("\n"), @"
    pd1 pd_health is healthy, as before
    pd2 pd_health is healthy, as before
    pd0 pd_health is healthy, as before
    tikv1 store_state is Up, as before
    tikv2 store_state is Up, as before
    tikv0 store_state is Up, as before
    ");
    // Nobody opened a ticket, and the twin is no run of its own.
    let twin = record.wall.control.as_deref().unwrap();
    assert!(!bench.run(&["tickets"]).stdout.contains(twin));
    assert_eq!(bench.run(&["grade", twin]).exit, 2);

    // But for the field, the record is that of a run without the flag; and the same each time.
    let [again, without] = [["--with-control"].as_slice(), &[]].map(|flag| Bench::new().record(STORE_DOWN, flag).1);
    assert_eq!(again.control, record.control);
    assert_eq!((without.diagnosis, without.violations, without.control), (record.diagnosis, record.violations, None));
}

#[test]
fn a_control_needs_none() {
    let bench = Bench::empty();
    let calm = "name: calm\ntitle: Calm\nsubject: tikv\nexpect: { quiet: 10s }\n";
    let (exit, record) = bench.record(calm, &["--with-control"]);
    assert_eq!((exit, record.control), (0, None));
    let outcome = bench.run(&["scenario.yaml", "--with-control"]);
    assert!(outcome.stdout.contains("  control    none: the scenario is one itself\n"), "{}", outcome.stdout);
}

#[tokio::test]
async fn the_twin_comes_up_when_the_run_is_down() {
    let asked = Mutex::new(String::new());
    let listens = AsBaseline(|question: &Question<'_>, _: &mut Diagnosis| {
        asked.lock().unwrap().clone_from(&question.prompt.user);
    });
    let observed = run(Broken::Nothing, &listens).await;
    assert_eq!((observed.record.verdict, observed.unhealed), (Verdict::Pass, 0), "{:?}", observed.record.reasons);
    assert_eq!(observed.calls, [RUN.as_slice(), &["up", "down"]].concat());
    let asked = asked.into_inner().unwrap();
    let head: Vec<&str> = asked.lines().take(13).collect();
    assert_snapshot!(head.join("\n"), @"
    # Ticket
    Nobody has opened a ticket. A routine look is asked for: is anything wrong?
    
    # Cluster
    - pd0 (role pd)
    - pd1 (role pd)
    - pd2 (role pd)
    - tikv0 (role tikv)
    - tikv1 (role tikv)
    - tikv2 (role tikv)
    
    # Readings
    Three polls, in seconds from the second poll: -16.0 s, +0.0 s, +10.0 s.
    ");
}

#[tokio::test]
async fn who_blames_somebody_for_nothing_fails() {
    for (cause, action, said, class) in [
        ("no_fault", "wait_and_watch", Said::NoFault, Class::Passed),
        ("no_fault", "gather_evidence", Said::NoFault, Class::Passed),
        ("not_enough_evidence", "gather_evidence", Said::Undecided, Class::Passed),
        ("not_enough_evidence", "restart_store", Said::Wrong, Class::Misdiagnosed),
        ("no_fault", "restart_store", Said::Wrong, Class::Misdiagnosed),
        ("planned_restart", "wait_and_watch", Said::Wrong, Class::Misdiagnosed),
        ("process_crash", "restart_store", Said::Wrong, Class::Misdiagnosed),
    ] {
        let record = run(Broken::Nothing, &says(cause, action)).await.record;
        let verdict = if class == Class::Passed { Verdict::Pass } else { Verdict::Fail };
        let found = (record.verdict, record.class, record.control.unwrap().said);
        assert_eq!(found, (verdict, class, Some(said)), "{cause}, {action}");
        let reason = format!(
            "control: nothing is wrong without the fault, and the diagnosis says {cause} on cluster and recommends \
             {action} on cluster"
        );
        assert_eq!(record.reasons, if said == Said::Wrong { vec![reason] } else { vec![] }, "{cause}, {action}");
    }
}

#[tokio::test]
async fn what_the_twin_is_not_quiet_about_is_a_false_alarm() {
    let record = run(Broken::TwinAlarms, &says("", "")).await.record;
    assert_eq!((record.verdict, record.class), (Verdict::Fail, Class::FalseAlarm), "{:?}", record.reasons);
    assert_snapshot!(record.reasons.join("\n"), @"
    control: false alarm without the fault: store_down on tikv0: PD says Disconnected, status port: refused
    control: false alarm without the fault: client_errors on cluster: the share of operations that fail is 0.107
    ");
    let control = record.control.unwrap();
    assert_eq!(control.violations[0].invariant, "store_down");
    assert_eq!(control.evidence.unwrap().tickets[0].invariant, "store_down");
    assert_eq!(record.violations.len(), 2, "those of the run are apart");
}

#[tokio::test]
async fn what_breaks_in_the_twin_is_an_error_of_the_run() {
    let (well, twin) = (RUN.as_slice(), ["up", "down"].as_slice());
    for (broken, class, reason) in [
        (Broken::TwinUnwell, Class::NotSteady, "control: the cluster was not steady within 120s: store_down on tikv0"),
        (Broken::TwinObserve, Class::Environment, "control: interrupted"),
        (Broken::TwinDown, Class::NotCleaned, "control: down: it is broken (Mend it.)"),
    ] {
        let observed = run(broken, &says("no_fault", "wait_and_watch")).await;
        let record = observed.record;
        assert_eq!((record.verdict, record.class), (Verdict::Error, class), "{broken:?}: {:?}", record.reasons);
        assert!(record.reasons[0].starts_with(reason), "{broken:?}: {:?}", record.reasons);
        assert_eq!(
            (record.clean, observed.calls),
            (broken != Broken::TwinDown, [well, twin].concat().iter().map(ToString::to_string).collect()),
            "{broken:?}"
        );
        assert_eq!(record.control, None, "{broken:?}: it was not watched to its end");
        assert!(record.grade.is_some_and(|grade| grade.passed()), "what the run itself came to is kept");
    }
}

#[tokio::test]
async fn an_error_has_no_twin() {
    let observed = run(Broken::Inject, &says("", "")).await;
    assert_eq!((observed.record.verdict, observed.record.control), (Verdict::Error, None));
    assert_eq!(observed.calls, RUN);
}

#[test]
fn the_reports_have_it() {
    let bench = Bench::new();
    bench.write("s.yaml", STORE_DOWN);
    let outcome = bench.run(&["s.yaml", "--with-control", "--junit", "report.xml"]);
    let line = outcome.stdout.lines().find(|line| line.starts_with("  control")).unwrap();
    assert_snapshot!(line.trim(), @"control    quiet for 26.0 s without the fault; no_fault on cluster (confidence 0.43)");
    let report = bench.read("report.xml").unwrap();
    assert!(report.contains(r#"<property name="control" value="quiet; no_fault"/>"#), "{report}");
    assert!(report.contains("Without the fault:\n\n# no_fault on cluster"), "{report}");
    // A run that failed is graded again with what its twin came to.
    let (_, record) = bench.record(&changed(&[("is: process_crash", "is: disk_full")]), &["--with-control"]);
    let graded = bench.run(&["grade", &record.wall.run, "--rubric", "s.yaml", "--json"]);
    let again: RunRecord = serde_json::from_str(&graded.stdout).unwrap();
    assert_eq!((graded.exit, again.class, again.control), (0, Class::Passed, record.control), "{:?}", again.reasons);
}
