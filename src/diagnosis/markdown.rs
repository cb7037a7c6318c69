//! A diagnosis as Markdown, for people. The structure is what is kept; this is made from it.

use std::fmt::Write as _;

use super::{Availability, Bundle, Diagnosis, EvidenceRef, HypothesisVerdict, Severity};

/// Writes a diagnosis, with what its evidence shows beside each claim.
#[must_use]
pub fn write(diagnosis: &Diagnosis, bundle: &Bundle) -> String {
    let cause = &diagnosis.root_cause;
    let mut text = format!(
        "# {} on {}\n\n{}\n\nConfidence {:.2}.\n\n## Impact\n\nSeverity **{}**, availability **{}**, data at risk: \
         **{}**. {}\n",
        cause.category,
        cause.component,
        cause.explanation,
        diagnosis.confidence,
        severity(diagnosis.impact.severity),
        availability(diagnosis.impact.availability),
        if diagnosis.impact.data_at_risk { "yes" } else { "no" },
        diagnosis.impact.explanation,
    );
    list(&mut text, "Timeline", diagnosis.timeline.iter().map(|entry| format!("`{}` {}", entry.at, entry.event)));
    list(&mut text, "Evidence", diagnosis.evidence.iter().map(|claim| evidence(claim, bundle)));
    text.push_str("\n## Hypotheses\n\n| cause | on | verdict | for | against |\n| --- | --- | --- | --- | --- |\n");
    for hypothesis in &diagnosis.hypotheses {
        let verdict = match hypothesis.verdict {
            HypothesisVerdict::Confirmed => "confirmed",
            HypothesisVerdict::Rejected => "rejected",
            HypothesisVerdict::Open => "open",
        };
        let (supporting, contradicting) = (references(&hypothesis.supporting), references(&hypothesis.contradicting));
        let _ = writeln!(
            text,
            "| {} | {} | {verdict} | {supporting} | {contradicting} |",
            hypothesis.category, hypothesis.component
        );
    }
    text.push_str(
        "\n## Options\n\n| action | on | benefit | risk | can be undone |\n| --- | --- | --- | --- | --- |\n",
    );
    for option in &diagnosis.options {
        let undo = if option.reversible { "yes" } else { "no" };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {undo} |",
            option.action,
            option.target,
            cell(&option.benefit),
            cell(&option.risk)
        );
    }
    let recommendation = &diagnosis.recommendation;
    let _ = writeln!(
        text,
        "\n## Recommendation\n\n**{}** on **{}**: {}",
        recommendation.action, recommendation.target, recommendation.rationale
    );
    list(&mut text, "First commands", recommendation.first_commands.iter().map(|command| format!("`{command}`")));
    list(&mut text, "Verify by", recommendation.verify_by.iter().cloned());
    list(&mut text, "Unknown", diagnosis.unknowns.iter().cloned());
    text
}

/// The word of a severity.
#[must_use]
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Major => "major",
        Severity::Minor => "minor",
        Severity::None => "none",
    }
}

/// The word of an availability.
#[must_use]
pub fn availability(availability: Availability) -> &'static str {
    match availability {
        Availability::Full => "full",
        Availability::Degraded => "degraded",
        Availability::Lost => "lost",
    }
}

fn list(text: &mut String, title: &str, items: impl Iterator<Item = String>) {
    let mut items = items.peekable();
    if items.peek().is_none() {
        return;
    }
    let _ = writeln!(text, "\n## {title}\n");
    for item in items {
        let _ = writeln!(text, "- {item}");
    }
}

fn evidence(claim: &super::Claim, bundle: &Bundle) -> String {
    let shown = bundle.describe(&claim.reference);
    format!("**{}** {} ({shown})", claim.reference, claim.claim)
}

fn references(references: &[EvidenceRef]) -> String {
    let names: Vec<&str> = references.iter().map(|reference| reference.0.as_str()).collect();
    if names.is_empty() { "–".to_owned() } else { names.join(", ") }
}

/// Text inside a table: it can't hold a line break or a bar.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\r', '\n'], " ")
}
