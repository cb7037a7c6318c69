//! JUnit XML, made from run records.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::run::{ControlRecord, RunRecord, Verdict};

/// Writes runs as one test suite, one case a scenario.
pub fn write(records: &[RunRecord]) -> Result<String, quick_junit::SerializeError> {
    let mut suite = TestSuite::new("operator-run");
    for record in records {
        suite.add_test_case(case(record));
    }
    let mut report = Report::new("operator-run");
    report.set_time(total(records)).add_test_suite(suite);
    report.to_string()
}

fn total(records: &[RunRecord]) -> Duration {
    Duration::from_millis(records.iter().map(|record| record.wall.took_ms).sum())
}

fn case(record: &RunRecord) -> TestCase {
    let reasons = record.reasons.join("\n");
    let class = record.class.to_string();
    let status = match record.verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Fail => not_passed(TestCaseStatus::non_success(NonSuccessKind::Failure), &class, &reasons),
        Verdict::Error => not_passed(TestCaseStatus::non_success(NonSuccessKind::Error), &class, &reasons),
        Verdict::Skipped => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(&reasons);
            status
        }
    };
    let mut case = TestCase::new(&record.scenario, status);
    case.set_classname(&record.subject).set_time(Duration::from_millis(record.wall.took_ms));
    let control = record.control.as_ref();
    if let Some(control) = control {
        case.add_property(("control", words(control).as_str()));
    }
    let of_control = control.and_then(|control| control.diagnosis_markdown.as_ref());
    let of_control = of_control.map(|markdown| format!("\nWithout the fault:\n\n{markdown}"));
    let markdown: String = record.diagnosis_markdown.clone().into_iter().chain(of_control).collect();
    if !markdown.is_empty() {
        case.set_system_out(markdown);
    }
    case
}

/// What became of the same cluster without the faults, in a few words.
fn words(control: &ControlRecord) -> String {
    let alarms = control.violations.len();
    let quiet = if alarms == 0 { "quiet".to_owned() } else { format!("{alarms} false alarms") };
    let said = control.diagnosis.as_ref().map_or("not diagnosed", |diagnosis| &diagnosis.root_cause.category.0);
    format!("{quiet}; {said}")
}

fn not_passed(mut status: TestCaseStatus, kind: &str, reasons: &str) -> TestCaseStatus {
    let first = reasons.lines().next().unwrap_or_default();
    status.set_type(kind).set_message(first).set_description(reasons);
    status
}
