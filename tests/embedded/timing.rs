//! When a violation was detected against when it can be; what was violated before the fault makes a run invalid.

use insta::assert_snapshot;
use operator_run::diagnosis::rules::Rules;
use operator_run::run::{Class, RunRecord, Verdict};
use operator_run::subject::Subject as _;
use operator_run::subject::etcd::Etcd;
use operator_run::subject::tikv::TiKv;
use tokio_util::sync::CancellationToken;

use super::bench::{Bench, STORE_DOWN, changed};
use super::spy::{Broken, run};

#[test]
fn the_bounds_are_those_of_the_system_with_the_grace_and_the_polls() {
    let (_, record) = Bench::new().record(STORE_DOWN, &[]);
    let possible = record.violations[0].possible.as_ref().unwrap();
    assert_eq!((possible.earliest, possible.latest), (10.0, 22.0));
    assert!(possible.source.contains("storeDisconnectDuration"), "{}", possible.source);
    assert!(record.violations.iter().skip(1).all(|one| one.possible.is_none()), "no source says when clients feel it");

    // With rarer polls it can be seen later; with a second fault nobody knows which of the two it is.
    let rarer = changed(&[("subject: tikv", "subject: tikv\nmonitor: { every: 5s }")]);
    let (_, record) = Bench::new().record(&rarer, &[]);
    let possible = record.violations[0].possible.as_ref().unwrap();
    assert_eq!((possible.earliest, possible.latest), (10.0, 25.0));
    let second = "    until: graded\n  - log_line: { target: { node: tikv0 }, text: hello }\n";
    let (_, record) = Bench::new().record(&changed(&[("    until: graded\n", second)]), &[]);
    assert_eq!(record.violations[0].possible, None);
}

/// Whatever the phase of the heartbeats is, a store is missed within the bounds.
#[test]
fn every_phase_of_the_heartbeats_is_within_the_bounds() {
    for seed in 0..20 {
        let (_, record) = Bench::empty().record(STORE_DOWN, &["--accept", "--seed", &seed.to_string()]);
        let violation = record.violations.iter().find(|one| one.invariant == "store_down").unwrap();
        let (after, possible) = (violation.after_fault.unwrap(), violation.possible.as_ref().unwrap());
        assert!(possible.earliest <= after && !possible.is_late(after), "seed {seed}: {after} s of {possible}");
    }
}

#[test]
fn each_bound_is_of_an_invariant_and_says_where_it_comes_from() {
    for manual in [TiKv.manual(), Etcd.manual()] {
        for onset in manual.onsets {
            assert!(manual.invariants.iter().any(|known| known.name == onset.invariant), "{}", onset.invariant);
            assert!(onset.earliest <= onset.latest && !onset.source.is_empty(), "{}", onset.invariant);
        }
    }
}

async fn broken(scenario: &str, broken: Broken) -> RunRecord {
    let rules = Rules::new(&TiKv, "in a test");
    let observed = run(scenario, &rules, broken, &CancellationToken::new()).await;
    let record = observed.record;
    assert_eq!((record.verdict, record.class, record.diagnosis.as_ref()), (Verdict::Error, Class::NotSteady, None));
    assert_eq!(observed.calls.last().map(String::as_str), Some("down"));
    record
}

#[tokio::test]
async fn what_is_violated_before_the_fault_makes_the_run_invalid() {
    let scenario = changed(&[("    until: graded", "    at: 40s\n    until: graded")]);
    let record = broken(&scenario, Broken::BeforeTheFault).await;
    assert_snapshot!(record.reasons[0], @"invalid: store_down on tikv0 was violated before the fault: PD says Disconnected, status port: refused");
    assert!(record.injections.is_empty());
    assert_eq!(record.violations.len(), 1, "it is in the record");
}

/// It is within its grace when the fault is done, and fires afterwards.
#[tokio::test]
async fn what_began_before_the_fault_is_not_the_faults() {
    let scenario = changed(&[
        ("    until: graded", "    at: 16s\n    until: graded"),
        ("pick: most-leaders", "pick: random"),
        ("allow: [client_errors]", "allow: [client_errors, subject_unreachable]"),
    ]);
    let record = broken(&scenario, Broken::BeforeTheFault).await;
    assert!(
        record.reasons[0].starts_with("invalid: store_down on tikv0 was violated before the fault"),
        "{:?}",
        record.reasons
    );
}

#[tokio::test]
async fn what_is_detected_before_it_is_possible_is_something_else() {
    let scenario = changed(&[
        ("    until: graded", "    at: 20s\n    until: graded"),
        ("{ role: tikv, pick: most-leaders }", "{ node: tikv1 }"),
    ]);
    let record = broken(&scenario, Broken::UnheardBefore).await;
    let reason = &record.reasons[0];
    assert!(reason.starts_with("invalid: store_down on tikv1 was detected "), "{reason}");
    let why = " s after the fault, which cannot lead to it before 10 s: something else was detected (PD calls a store";
    assert!(reason.contains(why), "{reason}");
    assert!(record.injections[0].healed.is_some());
}

#[test]
fn several_runs_are_summed_up() {
    let bench = Bench::empty();
    for seed in [2, 3, 7] {
        let name = format!("name: s{seed}");
        let scenario = changed(&[("name: store-down", name.as_str())]).replace("seed: 2", &format!("seed: {seed}"));
        bench.write(&format!("s{seed}.yaml"), scenario);
    }
    let outcome = bench.run(&["s2.yaml", "s3.yaml", "s7.yaml", "--accept"]);
    let (_, summary) = outcome.stdout.split_once("\ndetected ").unwrap();
    assert_snapshot!(summary, @"
    store_down  after 16.0 s, 16.0 to 20.0 s in 3 detections
    3 scenarios: 3 pass
    calibration: Brier score 0.000 over 3 diagnoses (0 is best, 0.25 is a coin)
    ");
}
