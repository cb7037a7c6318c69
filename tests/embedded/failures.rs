//! What breaks in the harness or the environment is an error, never a verdict on the diagnosis; what was done to the
//! cluster is undone, and the cluster taken down.

use operator_run::diagnosis::rules::Rules;
use operator_run::run::{Class, Verdict};
use operator_run::subject::tikv::TiKv;
use tokio_util::sync::CancellationToken;

use super::bench::{STORE_DOWN, changed};
use super::spy::{Broken, run};

#[tokio::test]
async fn the_cluster_is_left_as_it_must_be_whatever_breaks() {
    let well: &[&str] = &["up", "kill tikv1", "start tikv1", "down"];
    for (broken, class, reason, calls, unhealed) in [
        (Broken::Nothing, Class::Passed, "", well, 0),
        (Broken::Up, Class::Environment, "up: it is broken (Mend it.)", &["up", "down"], 0),
        (Broken::Inject, Class::Environment, "kill tikv1: it is broken (Mend it.)", well, 0),
        (
            Broken::InjectPanics,
            Class::Environment,
            "panic: the injector is broken; this is a bug in operator-run",
            &["up", "start tikv1", "down"],
            0,
        ),
        (Broken::Effect, Class::FaultDidNotBite, "fault did not bite: kill tikv1: after 10s, it runs", well, 0),
        (Broken::Observe, Class::Environment, "interrupted", well, 0),
        (
            Broken::Heal,
            Class::NotCleaned,
            "start tikv1: it is broken (Mend it.)",
            // Tried again before the cluster goes.
            &["up", "kill tikv1", "start tikv1", "start tikv1", "down"],
            1,
        ),
        (Broken::Down, Class::NotCleaned, "down: it is broken (Mend it.)", well, 0),
    ] {
        let rules = Rules::new(&TiKv, "in a test");
        let observed = run(STORE_DOWN, &rules, broken, &CancellationToken::new()).await;
        let record = &observed.record;
        let verdict = if broken == Broken::Nothing { Verdict::Pass } else { Verdict::Error };
        let found = (record.verdict, record.class, record.reasons.join("; "));
        assert_eq!(found, (verdict, class, reason.to_owned()), "{broken:?}");
        assert_eq!(observed.calls, calls, "{broken:?}");
        assert_eq!(observed.unhealed, unhealed, "{broken:?}: the journal");
        assert_eq!(record.clean, !matches!(broken, Broken::Heal | Broken::Down), "{broken:?}");
        assert!(record.injections.iter().all(|one| one.healed.is_some() == (unhealed == 0)), "{broken:?}");
    }
}

#[tokio::test]
async fn what_a_healed_fault_has_left_is_an_error() {
    let rules = Rules::new(&TiKv, "in a test");
    let observed = run(STORE_DOWN, &rules, Broken::HealLeaks, &CancellationToken::new()).await;
    let record = &observed.record;
    assert_eq!(record.leaks, ["cluster: halted scheduling was false, is true"]);
    let reason = "left on the cluster, though every fault was undone: cluster: halted scheduling was false, is true";
    assert_eq!((record.verdict, record.reasons.last().map(String::as_str)), (Verdict::Error, Some(reason)));
    assert_eq!(record.class, Class::NotCleaned);
    assert_eq!((record.clean, observed.calls.last().map(String::as_str)), (false, Some("down")));
}

#[tokio::test]
async fn a_run_that_is_interrupted_before_it_starts_does_nothing_to_the_cluster() {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let observed = run(STORE_DOWN, &Rules::new(&TiKv, "in a test"), Broken::Nothing, &cancel).await;
    assert_eq!(
        (observed.record.verdict, observed.record.reasons.join("; ")),
        (Verdict::Error, "interrupted".to_owned())
    );
    assert_eq!(observed.calls, ["down"]);
}

#[tokio::test]
async fn a_cluster_that_is_never_steady_is_an_error_before_any_fault() {
    let scenario = changed(&[("timeout: 120s", "timeout: 40s")]);
    let observed = run(&scenario, &Rules::new(&TiKv, "in a test"), Broken::Unwell, &CancellationToken::new()).await;
    let [reason] = observed.record.reasons.as_slice() else { panic!("{:?}", observed.record.reasons) };
    assert_eq!(
        reason,
        "the cluster was not steady within 40s: store_down on tikv0: PD says Disconnected, status port: refused"
    );
    let record = &observed.record;
    assert_eq!((record.verdict, record.class, record.clean), (Verdict::Error, Class::NotSteady, true));
    assert_eq!(observed.calls, ["up", "down"]);
}
