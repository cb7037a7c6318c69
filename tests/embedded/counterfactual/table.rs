//! The table: that it is made without touching the run, is the same each time, and is what a check of the regret goes by.

use std::path::Path;

use insta::assert_snapshot;
use operator_run::diagnosis::rules::Rules;
use operator_run::grade::regret::Counterfactual;
use operator_run::run::{Class, Extras, RunRecord, Verdict, grade_again};
use operator_run::scenario;
use operator_run::subject::tikv::TiKv;
use serde_json::Value as Json;

use super::super::bench::{Bench, STORE_DOWN, changed};
use super::On::Suspect;
use super::{TRIED, advises, file, load, record};

const REGRET: &str =
    "    - { id: regret, weight: 8, path: regret, at_most: 0.1 }\ncounterfactual: { horizon: 5m }\nrecover: {";

/// A scenario that is run with a check of the regret.
fn checked() -> String {
    changed(&[("recover: {", REGRET)])
}

fn tried(record: &RunRecord) -> &Counterfactual {
    record.counterfactual.as_ref().unwrap_or_else(|| panic!("nothing was tried: {:?}", record.reasons))
}

fn outcome_of(record: &RunRecord, check: &str) -> String {
    let grade = record.grade.as_ref().unwrap();
    let result = grade.checks.iter().find(|result| result.id == check).unwrap();
    format!("{:?}: {}", result.outcome, result.found)
}

#[tokio::test]
async fn the_run_is_the_same_but_for_the_table() {
    let rules = Rules::new(&TiKv, "in a test");
    for scenario in ["store-down", "pd-leader-killed"] {
        let brief = format!("{}counterfactual: {{ horizon: 3m }}\n", file(scenario));
        let json = async |extras| {
            let mut json = serde_json::to_value(record(&brief, &rules, extras).await).unwrap();
            let fields = json.as_object_mut().unwrap();
            fields.remove("wall");
            // It lies in a folder of its own each time.
            fields["snapshot"]["path"] = Json::Null;
            (fields.remove("counterfactual"), json)
        };
        let (none, without) = json(Extras::default()).await;
        let (table, with) = json(TRIED).await;
        assert_eq!((none, table.is_some()), (None, true));
        assert_eq!(with, without, "{scenario}");
        assert_eq!(
            json(TRIED).await.0.map(|table| table.to_string()),
            table.map(|table| table.to_string()),
            "{scenario}"
        );
    }
}

#[tokio::test]
async fn a_check_of_the_regret_has_the_remedies_tried() {
    let rules = Rules::new(&TiKv, "in a test");
    let baseline = Extras { with_baseline: true, ..Extras::default() };
    let good = record(&checked(), &rules, baseline).await;
    assert_eq!((good.verdict, outcome_of(&good, "regret").as_str()), (Verdict::Pass, "Met: 0.0"));
    let of_baseline = good.baseline.unwrap().grade.checks;
    assert_eq!(of_baseline.iter().find(|check| check.id == "regret").map(|check| check.found.as_str()), Some("0.0"));

    let waits = record(&checked(), &advises(vec![("wait_and_watch", Suspect)]), Extras::default()).await;
    assert_eq!((waits.verdict, waits.class), (Verdict::Fail, Class::Misdiagnosed));
    let regret = tried(&waits).regret("wait_and_watch", "tikv1").unwrap();
    assert!(regret > 0.3, "{regret}");
    assert_eq!(outcome_of(&waits, "regret"), format!("Missed: {regret}"));

    // The kept table is what another rubric goes by.
    let lenient = load(&checked().replace("at_most: 0.1 }", "at_most: 0.9 }"));
    let again = grade_again(&lenient, &waits).unwrap();
    assert_eq!(outcome_of(&again, "regret"), format!("Met: {regret}"));
    assert!(again.grade.is_some_and(|grade| grade.passed()));
    let untried = RunRecord { counterfactual: None, ..waits };
    let again = grade_again(&lenient, &untried).unwrap();
    assert_eq!(outcome_of(&again, "regret"), "Skipped: not there: the remedies were not tried");
}

#[tokio::test]
async fn what_cannot_be_carried_out_is_said_and_is_as_waiting() {
    let diagnoser =
        advises(vec![("unsafe_recover", super::On::Peer), ("restart_pd", Suspect), ("repair_network", Suspect)]);
    let record = record(STORE_DOWN, &diagnoser, TRIED).await;
    let tried = tried(&record);
    let waited = tried.trial("wait_and_watch", "tikv1").unwrap();
    for (action, target, reason) in [
        ("restart_pd", "tikv1", "tikv1 is no pd node"),
        ("repair_network", "tikv1", "nothing of the kind is wrong there"),
        ("split_hot_region", "tikv1", "no region is led there"),
    ] {
        let trial = tried.trial(action, target).unwrap();
        assert_eq!((trial.not_done.as_deref(), trial.outcome), (Some(reason), waited.outcome));
    }
    let peer = record.diagnosis.as_ref().unwrap().options[0].target.0.clone();
    let reason = tried.trial("unsafe_recover", &peer).unwrap().not_done.clone().unwrap();
    assert!(reason.starts_with("PD refuses: [PD:unsaferecovery:"), "{reason}");
    assert!(waited.not_done.is_none() && tried.trial("add_store", "cluster").unwrap().not_done.is_none());
}

#[tokio::test]
async fn a_fault_that_ends_by_itself_does_so_on_the_copies_too() {
    let rules = Rules::new(&TiKv, "in a test");
    let brief =
        changed(&[("until: graded", "until: 90s"), ("recover: {", "counterfactual: { horizon: 5m }\nrecover: {")]);
    let record = record(&brief, &rules, TRIED).await;
    let tried = tried(&record);
    assert!((tried.horizon - 300.0).abs() < 1e-9);
    let waited = tried.trial("wait_and_watch", "tikv1").unwrap();
    let well = waited.outcome.well_after.unwrap();
    assert!((60.0..130.0).contains(&well), "{waited:?}");
}

fn mistakes(text: &str) -> Option<String> {
    scenario::parse(Path::new("s.yaml"), text).err().map(|error| format!("{:?}", error.reports()))
}

#[test]
fn a_horizon_is_longer_than_a_poll_and_of_a_cluster_that_can_be_copied() {
    let with =
        |horizon: &str| changed(&[("recover: {", &format!("counterfactual: {{ horizon: {horizon} }}\nrecover: {{"))]);
    assert!(mistakes(&with("0s")).unwrap().contains("the horizon is over before the first poll"));
    assert_eq!(mistakes(&with("2s")), None);
    let text = format!("{}counterfactual: {{ horizon: 5m }}\n", file("etcd-member-down"));
    assert!(mistakes(&text).unwrap().contains("of a cluster of etcd there can be no copies"));
}

#[test]
fn what_a_person_sees_of_it() {
    let bench = Bench::new();
    bench.write("scenario.yaml", STORE_DOWN);
    let outcome = bench.run(&["scenario.yaml", "--counterfactual"]);
    assert_eq!(outcome.exit, 0, "{}{}", outcome.stdout, outcome.stderr);
    let lines = outcome.stdout.lines().skip_while(|line| !line.starts_with("  tried"));
    let lines: Vec<&str> = lines.collect();
    let regret = lines.iter().position(|line| line.starts_with("  regret")).unwrap();
    assert_snapshot!(lines[..=regret].join("\n"));
}

#[test]
fn of_a_real_cluster_there_are_no_copies() {
    let bench = Bench::empty();
    bench.write("scenario.yaml", file("etcd-member-down"));
    let outcome = bench.run(&["scenario.yaml", "--counterfactual"]);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""));
    assert!(outcome.stderr.contains("--counterfactual: scenario.yaml runs on compose"), "{}", outcome.stderr);
    assert_eq!(bench.files(), ["scenario.yaml"], "something was started");
}

#[test]
fn the_table_is_in_the_record_that_is_kept() {
    let bench = Bench::new();
    let (exit, record) = bench.record(&checked(), &[]);
    assert_eq!((exit, record.verdict), (0, Verdict::Pass));
    let json: Json = serde_json::to_value(&record).unwrap();
    assert_eq!(json["counterfactual"]["trials"][0]["action"], "restart_store");
    let again = bench.run(&["grade", &record.wall.run, "--json"]);
    let again: RunRecord = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(
        (again.counterfactual.as_ref(), again.grade.as_ref()),
        (record.counterfactual.as_ref(), record.grade.as_ref())
    );
}
