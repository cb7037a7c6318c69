//! The lines of a run for a person: made from events alone, so that they can be compared with a snapshot.

use console::Style;

use crate::diagnosis::Diagnosis;
use crate::grade::grounding::Grounding;
use crate::grade::rubric::{Grade, Outcome};
use crate::run::{
    Baseline, ChangedReadings, Class, ControlRecord, Event, Expectation, Possible, RunRecord, Said, SnapshotOutcome,
    SnapshotStatus, Verdict,
};

/// The width of the column with the name of what happened.
const NAME: usize = 10;
/// The width of the column with what came of it, before the time.
const OUTCOME: usize = 58;
/// How many columns stand before the text of a line.
const INDENT: usize = NAME + 3;

/// Writes lines with or without colour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    pub(super) colour: bool,
    /// How many columns there are.
    pub(super) width: usize,
}

impl Text {
    fn paint(self, style: &Style, text: &str) -> String {
        style.clone().force_styling(self.colour).apply_to(text).to_string()
    }

    fn bold(self, text: &str) -> String {
        self.paint(&Style::new().bold(), text)
    }

    fn dim(self, text: &str) -> String {
        self.paint(&Style::new().dim(), text)
    }

    fn good(self, text: &str) -> String {
        self.paint(&Style::new().green().bold(), text)
    }

    fn bad(self, text: &str) -> String {
        self.paint(&Style::new().red().bold(), text)
    }

    /// The lines for an event; most readings have none.
    pub(super) fn lines(self, event: &Event) -> Vec<String> {
        match event {
            Event::Started { scenario, title, cluster, diagnoser, .. } => vec![
                format!("{}  {title}", self.bold(scenario)),
                self.row("cluster", cluster),
                self.row("diagnoser", diagnoser),
                String::new(),
            ],
            Event::PhaseBegan { .. } | Event::Observed(_) => Vec::new(),
            Event::PhaseEnded { phase, outcome, seconds } => {
                vec![self.row(phase.word(), &format!("{outcome:<OUTCOME$} {}", self.dim(&format!("{seconds:>6.1} s"))))]
            }
            Event::Injected { fault, target } => {
                vec![self.row("fault", &format!("{} ({target})", self.bold(&fault.to_string())))]
            }
            Event::Detected { violation, after_fault, possible, faults, expectation, changed } => {
                let fault = if *faults > 1 { "the first fault" } else { "the fault" };
                let bounds =
                    possible.as_ref().map(|possible| self.possible(possible, *after_fault)).unwrap_or_default();
                let when = after_fault
                    .map_or("without a fault".to_owned(), |after| format!("{after:.1} s after {fault}{bounds}"));
                let what = format!("{} on {}", violation.invariant, violation.node);
                let what = match expectation {
                    Expectation::Expected => self.good(&what),
                    Expectation::Allowed => format!("{what} (allowed)"),
                    Expectation::Unexpected => format!("{} (not expected)", self.bad(&what)),
                };
                let mut lines = vec![self.row("detected", &format!("{what}, {when}: {}", violation.because))];
                lines.extend(self.changed(changed));
                lines
            }
            Event::Ticket { ticket, violation, changed } => {
                let what = self.bad(&format!("{} on {}", violation.invariant, violation.node));
                let mut lines = vec![self.row("ticket", &format!("{ticket}: {what}: {}", violation.because))];
                lines.extend(self.changed(changed));
                lines
            }
            Event::NotDiagnosed { reason } => vec![self.row("no cause", &self.bad(reason))],
            Event::Resolved { invariant, node, .. } => vec![self.row("resolved", &format!("{invariant} on {node}"))],
            Event::Diagnosed { diagnosis, .. } => self.diagnosis(diagnosis),
            Event::Graded { grade, grounding, lines, baseline } => {
                let mut rows = self.grade(grade, grounding, lines);
                rows.extend(baseline.iter().map(|baseline| self.baseline(baseline)));
                rows
            }
            Event::Compared(snapshot) => self.snapshot(snapshot),
            Event::Controlled(control) => self.control(control),
            Event::NoControl { reason } => vec![self.row("control", reason)],
            Event::Healed(undo) => vec![self.row("healed", &undo.to_string())],
            Event::Ended(record) => self.ended(record),
        }
    }

    fn row(self, name: &str, text: &str) -> String {
        format!("  {} {text}", self.dim(&format!("{name:<NAME$}")))
    }

    fn prose(self, text: &str) -> Vec<String> {
        textwrap::wrap(text, self.width.saturating_sub(INDENT).max(40))
            .into_iter()
            .map(|line| self.row("", &line))
            .collect()
    }

    /// When a violation can be detected at all, and whether this one came later.
    fn possible(self, possible: &Possible, after_fault: Option<f64>) -> String {
        let late = after_fault.is_some_and(|after| possible.is_late(after));
        let late = if late { self.bad(": later than possible") } else { String::new() };
        format!(" (physically {possible}{late})")
    }

    fn changed(self, changed: &ChangedReadings) -> Vec<String> {
        let width = changed.known.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        let row =
            |(name, before, now): &(String, String, String)| self.row("", &format!("{name:<width$}  {before} → {now}"));
        let lost =
            (changed.lost > 0).then(|| self.row("", &format!("{} other readings are unknown now", changed.lost)));
        changed.known.iter().map(row).chain(lost).collect()
    }

    fn diagnosis(self, diagnosis: &Diagnosis) -> Vec<String> {
        let cause = &diagnosis.root_cause;
        let recommendation = &diagnosis.recommendation;
        let headline = format!("{} on {}", cause.category, cause.component);
        let mut lines =
            vec![self.row("cause", &format!("{} (confidence {:.2})", self.bold(&headline), diagnosis.confidence))];
        lines.extend(self.prose(&cause.explanation));
        lines.extend(
            diagnosis.evidence.iter().map(|claim| self.row("", &format!("{:>4}  {}", claim.reference, claim.claim))),
        );
        let remedy = format!("{} on {}", recommendation.action, recommendation.target);
        lines.push(self.row("remedy", &self.bold(&remedy)));
        lines.extend(self.prose(&recommendation.rationale));
        let others: Vec<String> = diagnosis.options.iter().map(|option| option.action.to_string()).collect();
        lines.push(self.row("options", &others.join(", ")));
        lines
    }

    fn grade(self, grade: &Grade, grounding: &Grounding, lines: &[usize]) -> Vec<String> {
        let width = grade.checks.iter().map(|check| check.id.len()).max().unwrap_or(0);
        let checks = grade.checks.iter().enumerate().map(|(index, check)| {
            let mark = match check.outcome {
                Outcome::Met => self.good("✔"),
                Outcome::Missed if check.advisory => self.dim("✘"),
                Outcome::Missed => self.bad("✘"),
                Outcome::Skipped => self.dim("–"),
                Outcome::Error => self.bad("?"),
            };
            let weight = match check {
                _ if check.required => "required".to_owned(),
                _ if check.advisory => "advisory".to_owned(),
                _ => format!("weight {}", check.weight),
            };
            let line = lines.get(index).map(|line| format!(" (line {line} of the scenario)")).unwrap_or_default();
            let found = match check.outcome {
                Outcome::Met => String::new(),
                Outcome::Missed => format!("; it is {}{line}", check.found),
                Outcome::Skipped => format!("; skipped: {}", check.found),
                Outcome::Error => format!("; judge error: {}", check.found),
            };
            self.row("", &format!("{mark} {:<width$}  {weight:<9} {}{found}", check.id, check.asked))
        });
        let mut rows: Vec<String> = checks.collect();
        let score = format!("{:.2} of {:.2} needed", grade.score, grade.needed);
        rows.push(self.row("score", &if grade.passed() { self.good(&score) } else { self.bad(&score) }));
        rows.push(self.row("grounded", &format!("{:.0} % of the claims", grounding.share * 100.0)));
        rows.extend(grounding.ungrounded.iter().map(|claim| self.row("", claim)));
        rows
    }

    fn baseline(self, baseline: &Baseline) -> String {
        let Baseline { grade, grounding, .. } = baseline;
        let grounded = grounding.share * 100.0;
        let (score, needed) = (grade.score, grade.needed);
        let end = if grade.passed() { "it passes, too" } else { "it does not pass" };
        self.row("baseline", &format!("rules: {score:.2} of {needed:.2} needed, {grounded:.0} % grounded: {end}"))
    }

    /// What became of the same cluster without the faults.
    fn control(self, control: &ControlRecord) -> Vec<String> {
        let quiet = match control.violations.len() {
            0 => format!("quiet for {:.1} s without the fault", control.watched),
            count => self.bad(&format!("{count} false alarms in {:.1} s without the fault", control.watched)),
        };
        let said = control.diagnosis.as_ref().map_or("it was not diagnosed".to_owned(), |diagnosis| {
            let cause = &diagnosis.root_cause;
            format!("{} on {} (confidence {:.2})", cause.category, cause.component, diagnosis.confidence)
        });
        let said = match control.said {
            Some(Said::Wrong) => self.bad(&said),
            Some(Said::Undecided) => format!("{said}: half right"),
            Some(Said::NoFault) | None => said,
        };
        let alarms = control
            .violations
            .iter()
            .map(|one| self.row("", &format!("{} on {}, {}", one.invariant, one.node, one.because)));
        std::iter::once(self.row("control", &format!("{quiet}; {said}"))).chain(alarms).collect()
    }

    fn snapshot(self, snapshot: &SnapshotOutcome) -> Vec<String> {
        let status = match snapshot.status {
            _ if snapshot.refused => self.bad(&format!("not accepted, since the rubric is not met: {}", snapshot.path)),
            SnapshotStatus::Same => "as accepted".to_owned(),
            SnapshotStatus::Accepted => format!("accepted: {}", snapshot.path),
            SnapshotStatus::New => self.bad(&format!("new: {}", snapshot.path)),
            SnapshotStatus::Different => self.bad(&format!("different: {}", snapshot.path)),
        };
        let diff = snapshot.diff.lines().map(|line| self.row("", line));
        std::iter::once(self.row("snapshot", &status)).chain(diff).collect()
    }

    fn ended(self, record: &RunRecord) -> Vec<String> {
        let mut lines = vec![String::new(), self.verdict(record)];
        lines.extend(record.reasons.iter().map(|reason| format!("     {reason}")));
        lines.push(String::new());
        lines
    }

    /// One line for a run.
    pub(super) fn verdict(self, record: &RunRecord) -> String {
        let word = record.verdict.word().to_uppercase();
        let word = match record.verdict {
            Verdict::Pass => self.good(&word),
            Verdict::Fail | Verdict::Error => self.bad(&word),
            Verdict::Skipped => self.dim(&word),
        };
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a run are far below 2^52")]
        let took = record.wall.took_ms as f64 / 1000.0;
        let class = if record.class == Class::Passed { String::new() } else { format!("{}  ", record.class) };
        format!(
            "{word} {}  {class}{}",
            record.scenario,
            self.dim(&format!("run {}, {took:.2} s of wall time", record.wall.run))
        )
    }
}
