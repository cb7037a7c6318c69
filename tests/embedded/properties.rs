//! What must hold for any input.

use std::path::Path;
use std::time::Duration;

use operator_run::cluster::Node;
use operator_run::diagnosis::evidence::EvidenceRow;
use operator_run::diagnosis::rules::diagnose;
use operator_run::diagnosis::{Bundle, Claim, Diagnosis};
use operator_run::grade::grounding;
use operator_run::grade::rubric::{Check, Facts, Rubric, grade};
use operator_run::reading::{Unit, Value};
use operator_run::scenario::{self, ScenarioError, Span, Until};
use operator_run::subject::tikv::TiKv;
use proptest::prelude::*;

use super::bench::STORE_DOWN;

/// The lines of a scenario with a key at their beginning, and where it starts and ends in the text.
fn keys() -> Vec<(usize, std::ops::Range<usize>)> {
    let mut found = Vec::new();
    let mut start = 0;
    for (number, line) in STORE_DOWN.split_inclusive('\n').enumerate() {
        let comment = line.trim_start().starts_with('#');
        // Every `word:` is a key here: the file quotes nothing.
        for (colon, _) in line.match_indices(": ").chain(line.match_indices(":\n")).filter(|_| !comment) {
            let word = line[..colon].rsplit([' ', '{', '-']).next().unwrap();
            found.push((number + 1, start + colon - word.len()..start + colon));
        }
        start += line.len();
    }
    found
}

fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// A bundle with one reading, `E1`.
fn bundle(value: f64) -> Bundle {
    let row = EvidenceRow {
        id: "E1".into(),
        source: "pd".to_owned(),
        node: "tikv1".into(),
        name: "heartbeat_age".to_owned(),
        unit: Unit::Seconds,
        before: 1.0.into(),
        at: value.into(),
        after: Value::unknown("gone"),
    };
    Bundle {
        subject: "tikv".to_owned(),
        nodes: vec![Node { name: "tikv1".into(), role: "tikv".to_owned() }],
        tickets: Vec::new(),
        columns: [-10.0, 0.0, 10.0],
        readings: vec![row],
        ..Bundle::default()
    }
}

fn diagnosis(claim: String) -> Diagnosis {
    let evidence = vec![Claim { reference: "E1".into(), claim }];
    Diagnosis { evidence, ..diagnose(&TiKv, &bundle(20.0)) }
}

/// Checks of a diagnosis, most of which are not met.
fn checks() -> impl Strategy<Value = Vec<Check>> {
    let test = prop_oneof![
        Just(r#""path": "root_cause.category", "is": "not_enough_evidence""#),
        Just(r#""path": "root_cause.category", "is": "disk_full""#),
        Just(r#""path": "recommendation.action", "any_of": ["gather_evidence", "restart_store"]"#),
        Just(r#""path": "recommendation.action", "none_of": ["gather_evidence"]"#),
        Just(r#""path": "impact.data_at_risk", "is": true"#),
        Just(r#""path": "options", "at_least": 2"#),
        Just(r#""path": "options", "at_least": 3"#),
        Just(r#""path": "confidence", "at_least": 0.9"#),
        Just(r#""path": "root_cause.explanation", "contains": "KNOWN cause""#),
        Just(r#""path": "root_cause.explanation", "matches": "^never$""#),
        Just(r#""path": "confirmed", "contains": "disk_full""#),
        Just(r#""path": "options", "at_most": 0"#),
        Just(r#""path": "no.such.place", "none_of": ["x"]"#),
    ];
    let check = (test, 0.001..100.0, any::<bool>()).prop_map(|(test, weight, required)| {
        serde_json::from_str(&format!(r#"{{"id": "c", "weight": {weight}, "required": {required}, {test}}}"#)).unwrap()
    });
    prop::collection::vec(check, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_span_survives_being_written_out(seconds in 0_u64..10_000_000_000, nanoseconds in 0_u32..1_000_000_000) {
        let span = Span(Duration::new(seconds, nanoseconds));
        prop_assert_eq!(Span::parse(&span.to_string()), Ok(span));
        prop_assert_eq!(Until::parse(&span.to_string()), Ok(Until::After(span)));
    }

    #[test]
    fn a_number_alone_is_no_span(number in any::<i64>()) {
        prop_assert!(Span::parse(&number.to_string()).is_err());
        let negative = format!("-{}s", number.unsigned_abs() % 1_000_000 + 1);
        prop_assert!(Span::parse(&negative).is_err(), "{negative}");
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC*") {
        let _ = scenario::parse(Path::new("s.yaml"), &text).map_err(|error| format!("{:?}", error.reports()));
    }

    #[test]
    fn a_damaged_scenario_is_read_without_a_panic(
        at in 0..STORE_DOWN.len(), length in 0_usize..40, text in "[a-z0-9:{}\\[\\],&*!|>'\"%@#\u{fc} \t\n-]{0,8}",
    ) {
        let bytes = [&STORE_DOWN.as_bytes()[..at], text.as_bytes(), &STORE_DOWN.as_bytes()[(at + length).min(STORE_DOWN.len())..]];
        let damaged = String::from_utf8(bytes.concat()).unwrap();
        let _ = scenario::parse(Path::new("s.yaml"), &damaged).map_err(|error| format!("{:?}", error.reports()));
    }

    #[test]
    fn a_key_with_another_name_is_refused_on_its_line(pick in any::<prop::sample::Index>(), letter in "[a-z]") {
        let keys = keys();
        let (line, place) = &keys[pick.index(keys.len())];
        let mut renamed = STORE_DOWN.to_owned();
        renamed.insert_str(place.end, &format!("_{letter}"));
        let Err(ScenarioError::Mistakes { mistakes, .. }) = scenario::parse(Path::new("s.yaml"), &renamed) else {
            return Err(TestCaseError::fail(format!("`{}` was accepted", &renamed[place.clone()])));
        };
        let lines: Vec<usize> = mistakes.iter().map(|mistake| line_of(&renamed, mistake.place.offset)).collect();
        prop_assert!(lines.contains(line), "{mistakes:?}");
    }

    #[test]
    fn a_number_is_grounded_as_it_is_shown_and_rounded(value in 0.1..10_000.0_f64, places in 0_usize..6) {
        let grounded = |number: &str| {
            let claim = format!("tikv1 rose from 1 s to {number} s.");
            grounding::check(&diagnosis(claim), &bundle(value), &TiKv).ungrounded.is_empty()
        };
        let shown = Value::from(value).to_string();
        prop_assert!(grounded(&shown));
        // What is quoted to so many places must be one of the numbers that are shown, rounded to as many.
        let quoted = format!("{value:.places$}");
        let half = 0.5 * 10_f64.powi(-i32::try_from(places).unwrap());
        let number: f64 = quoted.parse().unwrap();
        let off = [shown.parse().unwrap(), 0.0, 1.0, 10.0].map(|other: f64| (number - other).abs() / half);
        if off.iter().any(|off| *off < 0.99) {
            prop_assert!(grounded(&quoted));
        } else if off.iter().all(|off| *off > 1.01) {
            prop_assert!(!grounded(&quoted));
        }
    }

    #[test]
    fn a_score_lies_between_0_and_1_and_one_more_met_check_never_lowers_it(checks in checks(), pass in 0.0..=1.0_f64) {
        let diagnosis = diagnosis(String::new());
        let facts = Facts { grounded: 1.0, ..Facts::default() };
        let score = |checks: Vec<Check>| grade(&Rubric { pass, checks }, &diagnosis, &facts).unwrap();
        let before = score(checks.clone());
        prop_assert!((0.0..=1.0).contains(&before.score), "{}", before.score);
        prop_assert_eq!(before.checks.len(), checks.len());
        for index in before.checks.iter().enumerate().filter(|(_, check)| !check.met()).map(|(index, _)| index) {
            let mut better = checks.clone();
            let met: Check = serde_json::from_str(r#"{"id": "c", "path": "options", "at_least": 0}"#).unwrap();
            better[index] = Check { weight: checks[index].weight, required: checks[index].required, ..met };
            let after = score(better);
            prop_assert!(after.checks[index].met() && after.score > before.score);
            prop_assert!(after.passed() || !before.passed());
        }
    }
}
