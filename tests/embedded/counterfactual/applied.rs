//! The recommended action on the cluster itself.

use operator_run::diagnosis::rules::Rules;
use operator_run::run::{Class, Phase, RunRecord, Verdict};
use operator_run::subject::tikv::TiKv;

use super::super::bench::STORE_DOWN;
use super::On::Suspect;
use super::{APPLIED, advises, file, record};

/// The scenario without what its rubric asks of the recommendation.
fn any_remedy(scenario: &str) -> String {
    let asks = |line: &str| line.contains("path: recommendation.action");
    scenario.lines().filter(|line| !asks(line)).flat_map(|line| [line, "\n"]).collect()
}

async fn advised(scenario: &str, action: &'static str) -> RunRecord {
    let record = record(&any_remedy(scenario), &advises(vec![(action, Suspect)]), APPLIED).await;
    assert!(record.clean && record.leaks.is_empty(), "{:?}", record.reasons);
    assert!(record.injections.iter().all(|injection| injection.healed.is_some()));
    record
}

#[tokio::test]
async fn what_helps_makes_the_cluster_well_before_anything_is_undone() {
    let rules = Rules::new(&TiKv, "in a test");
    for scenario in ["store-down", "store-paused", "store-partitioned", "store-disk-full", "scheduling-halted"] {
        let record = record(&file(scenario), &rules, APPLIED).await;
        assert_eq!((record.verdict, &record.reasons), (Verdict::Pass, &Vec::new()), "{scenario}");
        let applied = record.applied.as_ref().unwrap();
        assert_eq!(applied.refused, None);
        let after = applied.well_after.unwrap();
        let recommendation = &record.diagnosis.as_ref().unwrap().recommendation;
        assert_eq!((&applied.action, &applied.target), (&recommendation.action.0, &recommendation.target.0));
        let phases: Vec<Phase> = record.phases.iter().map(|phase| phase.phase).collect();
        assert_eq!(phases[phases.len() - 4..], [Phase::Grade, Phase::Apply, Phase::Recover, Phase::Down], "{scenario}");
        let apply = record.phases.iter().find(|phase| phase.phase == Phase::Apply).unwrap();
        let took = apply.ended.duration_since(apply.began).as_secs_f64();
        assert!(after > 0.0 && (took - after).abs() < 0.1, "{scenario}: {after} s of {took} s");
        assert!(record.injections[0].healed.unwrap() >= apply.ended);
    }
}

#[tokio::test]
async fn what_does_not_help_fails_the_run_with_what_does_not_hold() {
    for action in ["wait_and_watch", "repair_network", "evict_leaders"] {
        let record = advised(STORE_DOWN, action).await;
        assert_eq!((record.verdict, record.class), (Verdict::Fail, Class::NotRecovered), "{action}");
        let reason = format!(
            "{action} on tikv1 did not help within 1m: store_down on tikv1: PD says Disconnected, status \
                              port: refused"
        );
        assert_eq!(record.reasons, [reason]);
        let applied = record.applied.unwrap();
        assert_eq!((applied.refused, applied.well_after), (None, None));
    }
}

#[tokio::test]
async fn what_cannot_be_undone_is_not_done_and_fails_the_run_as_harmful() {
    for action in ["delete_store", "unsafe_recover"] {
        let record = advised(STORE_DOWN, action).await;
        assert_eq!((record.verdict, record.class), (Verdict::Fail, Class::HarmfulRemedy), "{action}");
        assert_eq!(record.reasons, [format!("harmful remedy: {action} on tikv1: {action} cannot be undone")]);
    }
}

#[tokio::test]
async fn what_cannot_be_carried_out_is_said_and_is_no_reason_to_fail() {
    for (action, reason) in
        [("add_store", "add_store needs a machine that the run does not have"), ("restart_pd", "tikv1 is no pd node")]
    {
        let record = advised(STORE_DOWN, action).await;
        assert_eq!((record.verdict, &record.reasons), (Verdict::Pass, &Vec::new()));
        let applied = record.applied.unwrap();
        assert_eq!((applied.refused.as_deref(), applied.irreversible), (Some(reason), false));
    }
}
