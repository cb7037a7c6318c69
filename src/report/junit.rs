//! JUnit XML, made from run records.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::run::{RunRecord, Verdict};

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
    if let Some(markdown) = &record.diagnosis_markdown {
        case.set_system_out(markdown);
    }
    case
}

fn not_passed(mut status: TestCaseStatus, kind: &str, reasons: &str) -> TestCaseStatus {
    let first = reasons.lines().next().unwrap_or_default();
    status.set_type(kind).set_message(first).set_description(reasons);
    status
}
