//! Scenarios with no fault, with several, with faults that end by themselves, and with faults of what observes.

use std::time::Duration;

use operator_run::clock::span_between;
use operator_run::reading::NodeName;
use operator_run::run::{Expectation, Phase, RunRecord, Verdict};
use operator_run::store::{Store, TicketState};

use super::bench::{Bench, changed};

const NONE: &str = "faults: []\n";
const KILL_STORE: &str = "faults:\n  - kill: { target: { node: tikv1 } }\n";

/// A scenario of TiKV with this timeline and this expectation.
fn scenario(faults: &str, expect: &str) -> String {
    let rubric = "rubric: { pass: 0.5, checks: [{ id: cause, path: root_cause.category, is: process_crash }] }\n";
    let rubric = if expect.contains("quiet") { "" } else { rubric };
    format!(
        "name: timeline\ntitle: A timeline\nsubject: tikv\ncluster: {{ seed: 7 }}\n{faults}expect: {expect}\n{rubric}"
    )
}

/// Runs a scenario, whose snapshot is accepted.
fn run(faults: &str, expect: &str) -> (i32, RunRecord) {
    Bench::empty().record(&scenario(faults, expect), &["--accept"])
}

fn fired(record: &RunRecord) -> Vec<(&str, &str)> {
    record.violations.iter().map(|one| (one.invariant.as_str(), one.node.as_str())).collect()
}

#[test]
fn a_control_is_quiet() {
    let bench = Bench::empty();
    let (exit, record) = bench.record(&scenario(NONE, "{ quiet: 60s }"), &[]);
    assert_eq!((exit, record.verdict, fired(&record)), (0, Verdict::Pass, vec![]), "{:?}", record.reasons);
    assert_eq!((record.diagnosis, record.snapshot, record.grade), (None, None, None));
    let detect = record.phases.iter().find(|phase| phase.phase == Phase::Detect).unwrap();
    assert_eq!(span_between(detect.began, detect.ended), Duration::from_mins(1));
    assert_eq!(bench.run(&["tickets"]).stdout, "There are no tickets.\n");
}

#[test]
fn a_control_that_is_not_quiet_is_a_false_alarm() {
    let (exit, record) = run(KILL_STORE, "{ quiet: 60s }");
    assert_eq!((exit, record.verdict), (1, Verdict::Fail));
    assert_eq!(record.reasons, ["false alarm: store_down on tikv1: PD says Disconnected, status port: refused"]);
    assert_eq!(record.violations[0].expectation, Expectation::Unexpected);
    assert!(record.injections[0].healed.is_some() && record.violations[0].resolved.is_some());
}

#[test]
fn what_is_allowed_is_no_false_alarm() {
    let (exit, record) = run(KILL_STORE, "{ quiet: 60s, allow: [store_down] }");
    assert_eq!((exit, record.violations[0].expectation), (0, Expectation::Allowed), "{:?}", record.reasons);
}

/// PD's new leader calls every store Disconnected at first: no store is down for that.
#[test]
fn the_death_of_pds_leader_is_not_the_death_of_a_store() {
    for seed in 0..8 {
        let faults = "faults:\n  - kill: { target: { role: pd, pick: leader } }\n";
        let expect = "{ violations: [{ invariant: pd_member_down, on: target, within: 30s }], watch: 60s }";
        let scenario = scenario(faults, expect);
        let (exit, record) = Bench::empty().record(&scenario, &["--accept", "--seed", &seed.to_string()]);
        let target = record.injections[0].fault.node().unwrap().as_str();
        assert_eq!((exit, fired(&record)), (0, vec![("pd_member_down", target)]), "seed {seed}: {:?}", record.reasons);
        assert!(target.starts_with("pd"));
    }
}

#[test]
fn faults_are_done_when_they_are_due() {
    let faults = "faults:\n  - kill: { target: { node: pd0 } }\n    at: 5s\n  - kill: { target: { node: tikv1 } }\n";
    let expect = "{ violations: [{ invariant: store_down, on: target, within: 30s },
        { invariant: pd_member_down, on: pd0, within: 30s }] }";
    let (exit, record) = run(faults, expect);
    assert_eq!(exit, 0, "{:?}", record.reasons);
    let nodes: Vec<&str> = record.injections.iter().map(|one| one.fault.node().unwrap().as_str()).collect();
    assert_eq!(nodes, ["tikv1", "pd0"], "the target is the node of the fault that is done first");
    assert_eq!(span_between(record.injections[0].done, record.injections[1].done), Duration::from_secs(5));
    assert_eq!(fired(&record), [("pd_member_down", "pd0"), ("store_down", "tikv1")]);
    assert!(record.injections.iter().all(|one| one.healed.is_some()));
}

/// The violation is expected on each target, and the rubric takes any of them.
#[test]
fn a_fault_is_done_to_each_of_its_targets() {
    let faults = "faults:\n  - kill: { target: { role: pd, pick: non-leader, count: COUNT } }\n";
    let expect = "{ violations: [{ invariant: pd_member_down, on: target, within: 60s }], allow: [pd_no_leader, client_errors, subject_unreachable] }";
    let target = "{ id: component, path: root_cause.component, is: target, required: true }";
    for count in [1, 2] {
        let scenario = scenario(&faults.replace("COUNT", &count.to_string()), expect)
            .replace("{ id: cause, path: root_cause.category, is: process_crash }", target);
        let (exit, record) = Bench::empty().record(&scenario, &["--accept"]);
        assert_eq!((exit, record.injections.len()), (0, count), "{:?}", record.reasons);
        let mut down = fired(&record);
        down.retain(|(invariant, _)| *invariant == "pd_member_down");
        assert_eq!(down.len(), count);
        for injection in &record.injections {
            let node = injection.fault.node().unwrap().as_str();
            assert!(down.contains(&("pd_member_down", node)), "{node}");
            assert_eq!(injection.picked, "at random from the pd nodes that do not lead, by seed 7");
            assert!(injection.done == record.injections[0].done && injection.healed.is_some());
        }
    }
    // One of them is not down in time: that is said of each.
    let expect = "{ violations: [{ invariant: store_down, on: target, within: 2s }] }";
    let (exit, record) = run("faults:\n  - kill: { target: { role: tikv, pick: most-leaders, count: 2 } }\n", expect);
    let nodes: Vec<&str> = record.injections.iter().map(|one| one.fault.node().unwrap().as_str()).collect();
    let missed = |node: &str| format!("not detected: store_down on {node} within 2s");
    assert_eq!((exit, record.reasons), (1, nodes.iter().map(|node| missed(node)).collect()));
}

/// Those that are cut off together still see each other.
#[test]
fn targets_that_are_cut_off_stay_together() {
    let faults = "faults:\n  - partition: { target: { role: tikv, pick: random, count: 2 }, from: [tikv, pd] }\n";
    let expect = "{ violations: [{ invariant: store_down, on: target, within: 60s }], allow: [region_unavailable, client_errors] }";
    let (_, record) = run(faults, expect);
    let targets: Vec<&NodeName> = record.injections.iter().filter_map(|one| one.fault.node()).collect();
    assert_eq!(
        (targets.len(), fired(&record).iter().filter(|(invariant, _)| *invariant == "store_down").count()),
        (2, 2)
    );
    let missed = |names: &str| targets.iter().any(|target| names.split(", ").any(|name| name == target.as_str()));
    for row in record.evidence.unwrap().readings.iter().filter(|row| row.name == "cannot_reach") {
        let names = row.after.text().unwrap_or_default();
        assert_eq!(missed(names), !targets.contains(&&row.node), "{}: {names}", row.node);
    }
}

#[test]
fn a_fault_that_is_due_after_the_detection_is_done_all_the_same() {
    let faults = format!("{KILL_STORE}  - kill: {{ target: {{ node: pd0 }} }}\n    at: 50s\n");
    let expect = "{ violations: [{ invariant: store_down, on: target, within: 30s }], allow: [pd_member_down] }";
    let (exit, record) = run(&faults, expect);
    assert_eq!((exit, record.injections.len()), (0, 2), "{:?}", record.reasons);
    assert_eq!(fired(&record), [("store_down", "tikv1"), ("pd_member_down", "pd0")]);
}

#[test]
fn a_fault_ends_when_it_is_detected() {
    let faults = format!("{KILL_STORE}    until: detected\n");
    let (exit, record) = run(&faults, "{ violations: [{ invariant: store_down, on: target, within: 30s }] }");
    assert_eq!(exit, 0, "{:?}", record.reasons);
    let diagnose = record.phases.iter().find(|phase| phase.phase == Phase::Diagnose).unwrap();
    let healed = record.injections[0].healed.unwrap();
    assert!(record.violations[0].detected <= healed && healed < diagnose.began);
}

#[test]
fn a_fault_ends_after_its_span_though_nothing_was_detected() {
    let faults = format!("{KILL_STORE}    until: 8s\n");
    let (exit, record) = run(&faults, "{ violations: [{ invariant: store_down, on: target, within: 30s }] }");
    assert_eq!((exit, fired(&record)), (1, vec![]));
    assert_eq!(record.reasons, ["not detected: store_down on tikv1 within 30s"]);
    let injection = &record.injections[0];
    assert_eq!(span_between(injection.done, injection.healed.unwrap()), Duration::from_secs(8));
}

#[test]
fn a_diagnosis_is_of_what_was_expected_not_of_what_fired_first() {
    let faults = "faults:\n  - kill: { target: { node: tikv1 } }\n  - kill: { target: { node: pd0 } }\n";
    let expect = "{ violations: [{ invariant: store_down, on: target, within: 30s }], allow: [pd_member_down] }";
    let (exit, record) = run(faults, expect);
    assert_eq!((exit, fired(&record)[0]), (0, ("pd_member_down", "pd0")), "{:?}", record.reasons);
    let evidence = record.evidence.unwrap();
    assert_eq!(evidence.suspect(), Some(&NodeName::from("tikv1")));
    assert_eq!(record.diagnosis.unwrap().root_cause.component.0, "tikv1");
}

#[test]
fn the_death_of_two_stores_of_three_is_the_loss_of_the_quorum() {
    let faults = format!("{KILL_STORE}  - kill: {{ target: {{ node: tikv2 }} }}\n    at: AT\n");
    let expect = "{ violations: [{ invariant: store_down, on: tikv1, within: 2m },
        { invariant: store_down, on: tikv2, within: 2m },
        { invariant: region_unavailable, on: cluster, within: 2m }], watch: 20s, allow: [client_errors] }";
    for at in ["0s", "60s"] {
        let scenario = scenario(&faults.replace("AT", at), expect).replace("process_crash", "region_quorum_loss");
        let (exit, record) = Bench::empty().record(&scenario, &["--accept"]);
        assert_eq!(exit, 0, "at {at}: {:?}", record.reasons);
        assert!(record.diagnosis.unwrap().impact.data_at_risk);
    }
}

/// With every PD dead nothing is known of the stores: no ticket resolves, and not to know is a violation of its own.
#[test]
fn an_unreachable_pd_says_nothing_of_the_stores() {
    let pds = [0, 1, 2].map(|pd| format!("  - kill: {{ target: {{ node: pd{pd} }} }}\n    at: 40s\n")).concat();
    let expect = "{ violations: [{ invariant: store_down, on: target, within: 30s },
        { invariant: subject_unreachable, on: tikv0, within: 80s }], allow: [pd_member_down, subject_unreachable], watch: 60s }";
    let bench = Bench::empty();
    let (exit, record) = bench.record(&scenario(&format!("{KILL_STORE}{pds}"), expect), &["--accept"]);
    assert_eq!(exit, 0, "{:?}", record.reasons);

    let pd_died = record.injections[1].done;
    let healed = record.injections.iter().filter_map(|one| one.healed).min().unwrap();
    let (store_down, unreachable) = record.violations.split_first().unwrap();
    assert_eq!((store_down.invariant.as_str(), store_down.node.as_str()), ("store_down", "tikv1"));
    assert!(store_down.resolved.unwrap() > healed, "it was resolved while nothing was known");
    // That nothing listens there is known of the PD members.
    let (members, unreachable) = unreachable.split_at(3);
    assert!(members.iter().all(|one| one.invariant == "pd_member_down"), "{members:?}");
    let nodes: Vec<&str> = unreachable.iter().map(|one| one.node.as_str()).collect();
    assert_eq!(nodes, ["cluster", "tikv0", "tikv1", "tikv2"]);
    for violation in unreachable {
        assert_eq!(violation.invariant, "subject_unreachable");
        let after = span_between(pd_died, violation.detected).as_secs_f64();
        assert!((30.0..=34.0).contains(&after), "{} after {after} s", violation.node);
        assert!(violation.resolved.unwrap() > healed);
    }
    let store = Store::open(&bench.path(".operator-run/operator-run.db")).unwrap();
    let tickets = store.tickets(20).unwrap();
    assert_eq!(tickets.len(), 8, "a duplicate was opened: {tickets:?}");
    assert!(tickets.iter().all(|ticket| ticket.state == TicketState::Resolved));
}

#[test]
fn what_was_over_before_it_was_diagnosed_is_diagnosed_all_the_same() {
    let bench = Bench::new();
    bench.write("s.yaml", changed(&[("until: graded", "until: detected"), ("watch: 10s", "watch: 40s")]));
    assert_eq!(bench.run(&["s.yaml"]).exit, 0);
    let ticket = bench.run(&["tickets", "1"]).stdout;
    assert!(ticket.contains("resolved") && ticket.contains("# process_crash on tikv1"), "{ticket}");
    assert!(ticket.contains("tikv1 process is exited(137), before it was running"), "{ticket}");
}
