//! Diagnosers that misbehave, and what a run makes of each.

use async_trait::async_trait;
use insta::assert_debug_snapshot;
use operator_run::diagnosis::{Answer, Claim, Diagnoser, DiagnoserError, Diagnosis, HypothesisVerdict, Question};
use operator_run::run::{Class, Event, Verdict};
use tokio_util::sync::CancellationToken;

use super::as_baseline::AsBaseline;
use super::bench::{STORE_DOWN, changed};
use super::spy::{Broken, Observed, run};

/// How a diagnoser misbehaves.
pub(crate) enum Manner {
    Panics,
    Refuses,
    /// Never answers; the run is interrupted while it is waited for.
    Sleeps(CancellationToken),
}

#[async_trait]
impl Diagnoser for Manner {
    fn name(&self) -> &'static str {
        "test"
    }

    fn label(&self) -> String {
        "a test".to_owned()
    }

    async fn diagnose(&self, _question: &Question<'_>) -> Result<Answer, DiagnoserError> {
        match self {
            Self::Panics => panic!("I have no idea"),
            Self::Refuses => {
                let reason = "it is a poem".to_owned();
                Err(DiagnoserError::Invalid { request_id: Some("req_9".to_owned()), reason })
            }
            Self::Sleeps(cancel) => {
                cancel.cancel();
                std::future::pending().await
            }
        }
    }
}

async fn observe(diagnoser: &dyn Diagnoser, scenario: &str, cancel: &CancellationToken) -> Observed {
    let observed = run(scenario, diagnoser, Broken::Nothing, cancel).await;
    assert_eq!(observed.calls, ["up", "kill tikv1", "start tikv1", "down"]);
    assert_eq!(observed.unhealed, 0);
    assert!(matches!(observed.events.last(), Some(Event::Ended(_))));
    observed
}

/// What a run makes of an answer that is the baseline's but for a change.
async fn observe_changed(change: fn(&mut Diagnosis), scenario: &str) -> Observed {
    let diagnoser = AsBaseline(|_: &Question<'_>, diagnosis: &mut Diagnosis| change(diagnosis));
    observe(&diagnoser, scenario, &CancellationToken::new()).await
}

#[tokio::test]
async fn without_a_diagnosis_there_is_no_verdict_on_it() {
    let secret = changed(&[("name: store-down", "name: refused")]);
    for (manner, scenario, reason) in [
        (Manner::Panics, STORE_DOWN, "panic: I have no idea; this is a bug in operator-run"),
        (Manner::Refuses, STORE_DOWN, "no diagnosis: the answer to request req_9 is not valid: it is a poem"),
        (Manner::Sleeps(CancellationToken::new()), STORE_DOWN, "interrupted"),
        (Manner::Panics, &secret, "leaked: the question to the diagnoser contains the scenario's name (`refused`)"),
    ] {
        let cancel = if let Manner::Sleeps(cancel) = &manner { cancel.clone() } else { CancellationToken::new() };
        let Observed { record, tickets, .. } = observe(&manner, scenario, &cancel).await;
        assert_eq!((record.verdict, record.reasons), (Verdict::Error, vec![reason.to_owned()]));
        assert_eq!((record.diagnosis, record.grade, record.snapshot), (None, None, None));
        assert_eq!(record.violations.len(), 2, "the store, and the clients' errors");
        assert_eq!(tickets, ["acknowledged"; 2], "nobody has solved it");
    }
}

#[tokio::test]
async fn claims_are_held_against_their_evidence() {
    // In the question tikv1 is called tikv0.
    let claims: fn(&mut Diagnosis) = |diagnosis| {
        let claims = [
            ("E999", "tikv0 is on fire"),
            ("E5", "tikv0 was silent for 31 s"),
            ("E5", "tikv0 was silent for 25 s"),
            ("E5", "tikv0 was silent for a while"),
            ("E5", "tikv2 was silent for 31 s"),
        ];
        diagnosis.evidence =
            claims.map(|(reference, claim)| Claim { reference: reference.into(), claim: claim.to_owned() }).into();
    };
    let lenient = changed(&[("path: grounded, at_least: 0.75", "path: grounded, at_least: 0.4")]);
    let Observed { record, tickets, .. } = observe_changed(claims, &lenient).await;
    // The share is a figure of its own: the rubric decides.
    assert_eq!((record.verdict, tickets), (Verdict::Pass, vec!["resolved".to_owned(); 2]));
    assert_debug_snapshot!(record.grounding.unwrap(), @r#"
    Grounding {
        share: 0.4,
        ungrounded: [
            "E999 does not exist: tikv1 is on fire",
            "E5 does not show 25: tikv1 was silent for 25 s (E5: tikv1 heartbeat_age: 5.4 s → 21.4 s → 31.4 s)",
            "it is about tikv1: tikv0 was silent for 31 s (E5: tikv1 heartbeat_age: 5.4 s → 21.4 s → 31.4 s)",
        ],
    }
    "#);
}

#[tokio::test]
async fn what_is_right_for_the_wrong_node_or_does_harm_fails() {
    let wrong: fn(&mut Diagnosis) = |diagnosis| diagnosis.root_cause.component = "tikv2".into();
    let harm: fn(&mut Diagnosis) = |diagnosis| diagnosis.recommendation.action = "delete_store".into();
    let idle: fn(&mut Diagnosis) = |diagnosis| diagnosis.recommendation.action = "gather_evidence".into();
    let shotgun: fn(&mut Diagnosis) = |diagnosis| {
        diagnosis.hypotheses.iter_mut().for_each(|one| one.verdict = HypothesisVerdict::Confirmed);
    };
    for (change, class, reason) in [
        (shotgun, Class::Misdiagnosed, "rubric: 0.94 of 0.80 needed; not met: one-cause"),
        (wrong, Class::Misdiagnosed, "rubric: 0.79 of 0.80 needed; not met: component, calibrated"),
        (idle, Class::Misdiagnosed, "rubric: 0.85 of 0.80 needed; not met: remedy, consistent"),
        (harm, Class::HarmfulRemedy, "rubric: 0.82 of 0.80 needed; not met: remedy, no-harm"),
    ] {
        let Observed { record, .. } = observe_changed(change, STORE_DOWN).await;
        assert_eq!((record.verdict, record.class), (Verdict::Fail, class));
        assert_eq!(record.reasons[0], reason);
    }
}

#[tokio::test]
async fn the_same_cause_on_two_nodes_is_one_cause() {
    let twice: fn(&mut Diagnosis) = |diagnosis| {
        let mut confirmed = diagnosis.hypotheses[0].clone();
        confirmed.component = "tikv2".into();
        diagnosis.hypotheses.push(confirmed);
    };
    let Observed { record, .. } = observe_changed(twice, STORE_DOWN).await;
    assert_eq!((record.verdict, record.reasons), (Verdict::Pass, vec![]));
}

#[tokio::test]
async fn a_required_check_counts_whatever_the_score_is() {
    let lenient = changed(&[("pass: 0.8", "pass: 0.1")]);
    let harm: fn(&mut Diagnosis) = |diagnosis| diagnosis.recommendation.action = "delete_store".into();
    let Observed { record, .. } = observe_changed(harm, &lenient).await;
    assert_eq!(record.reasons[0], "rubric: 0.82 of 0.10 needed; not met: remedy, no-harm");
}

/// The ticket is on record before it is asked, and says what has become of it.
#[tokio::test]
async fn a_ticket_goes_its_way() {
    let looks = AsBaseline(|question: &Question<'_>, _: &mut Diagnosis| {
        let prompt = &question.prompt.user;
        for secret in ["store-down", "A TiKV store is killed", "kill", "rubric", "operator-run"] {
            assert!(!prompt.contains(secret), "`{secret}` is in the question");
        }
        assert!(prompt.contains("store_down on tikv"));
    });
    let Observed { record, tickets, .. } = run(STORE_DOWN, &looks, Broken::Nothing, &CancellationToken::new()).await;
    assert_eq!((record.verdict, record.reasons, tickets), (Verdict::Pass, vec![], vec!["resolved".to_owned(); 2]));
}
