//! The baseline finds a cause however hard the fault is, from what is there when the first violation is found.

use operator_run::run::RunRecord;

use super::bench::Bench;

/// Runs a scenario with this fault of the store that leads most, until this is violated there.
fn run(fault: &str, rate: u32, violated: &str, allow: &str, seed: u32) -> RunRecord {
    let scenario = format!(
        "name: severity\ntitle: A severity\nsubject: tikv\n\
         cluster: {{ load: {{ workload: a, rate: {rate}/s }}, seed: {seed} }}\nmonitor: {{ every: 5s }}\n\
         faults:\n  - {fault}\nexpect:\n  violations: [{{ invariant: {violated}, on: target, within: 3m }}]\n  \
         allow: [{allow}]\nrubric: {{ pass: 1.0, checks: [{{ id: component, path: root_cause.component, is: target }}] }}\n\
         recover: {{ within: 6m }}\n"
    );
    let (exit, record) = Bench::empty().record(&scenario, &["--accept"]);
    assert_eq!(exit, 0, "{fault}, seed {seed}: {:?}", record.reasons);
    record
}

#[track_caller]
fn assert_diagnosed(record: &RunRecord, fault: &str, category: &str, action: &str) {
    let diagnosis = record.diagnosis.as_ref().unwrap();
    let (cause, remedy) = (&diagnosis.root_cause, &diagnosis.recommendation);
    assert_eq!((cause.category.0.as_str(), remedy.action.0.as_str()), (category, action), "{fault}");
}

#[test]
fn a_starved_store_is_told_from_one_that_is_cut_off() {
    for seed in 0..3 {
        for (cores, violated) in
            [("0.05", "store_down"), ("0.1", "store_down"), ("0.2", "store_down"), ("0.3", "high_latency")]
        {
            let fault = format!("limit_cpu: {{ target: {{ role: tikv, pick: most-leaders }}, cores: {cores} }}");
            let record = run(&fault, 500, violated, "store_down, high_latency, client_errors", seed);
            assert_diagnosed(&record, &fault, "cpu_starvation", "raise_resource_limit");
        }
        let fault = "partition: { target: { role: tikv, pick: most-leaders }, from: [pd] }";
        let record = run(fault, 500, "store_down", "", seed);
        assert_diagnosed(&record, fault, "network_partition", "repair_network");
    }
}

/// Its store answers late before PD calls the region hot.
#[test]
fn a_hot_region_is_told_before_pd_lists_it() {
    for seed in 0..3 {
        for rate in [800, 1200, 2000] {
            let fault = format!("hot_key: {{ target: {{ role: tikv, pick: most-leaders }}, rate: {rate}/s }}");
            let record = run(&fault, 200, "high_latency", "client_errors, store_slow", seed);
            assert_diagnosed(&record, &fault, "hot_region", "split_hot_region");
            assert!(record.violations.iter().all(|violation| violation.invariant != "hot_region"));
        }
    }
}
