//! The proof of the rubrics for a person: a matrix of scenarios and kinds of wrong answers, and what was not caught.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};
use textwrap::{WordSeparator, WordSplitter};

use crate::grade::mutate::Kind;
use crate::grade::proof::{NEEDED, Proof, Tally, Uncaught};

/// The width that a terminal has at least.
const WIDTH: usize = 100;

/// The proofs of several rubrics.
#[derive(Debug)]
pub struct Proofs {
    /// One for each scenario.
    pub scenarios: Vec<Proof>,
    /// The scenarios that were left out, since controls have no rubric.
    pub controls: Vec<String>,
}

impl Proofs {
    /// All wrong answers.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.scenarios.iter().fold(Tally::default(), |sum, proof| sum.and(proof.tally()))
    }

    /// Whether all hold.
    #[must_use]
    pub fn hold(&self) -> bool {
        self.scenarios.iter().all(Proof::holds)
    }
}

/// The same for machines.
#[must_use]
pub fn json(proofs: &Proofs) -> Json {
    let Proofs { scenarios, controls } = proofs;
    json!({ "proved": proofs.hold(), "wrong": proofs.tally(), "scenarios": scenarios, "controls": controls })
}

/// Writes the matrix, what was not caught, and the verdict.
#[must_use]
pub fn text(proofs: &Proofs) -> String {
    let mut text = String::from("Wrong answers that the rubric catches, of those that were tried:\n\n");
    matrix(proofs, &mut text);
    text.push('\n');
    for kind in Kind::ALL {
        line(&mut text, &format!("  {:<6}  {}", kind.word(), kind.means()));
    }
    let mut failed = String::new();
    proofs.scenarios.iter().for_each(|proof| failures(proof, &mut failed));
    if !failed.is_empty() {
        text.push('\n');
        text.push_str(&failed);
    }
    verdict(proofs, &mut text);
    text
}

fn matrix(proofs: &Proofs, text: &mut String) {
    let name = proofs.scenarios.iter().map(|proof| proof.scenario.len()).max().unwrap_or(0);
    let cell =
        |tally: Option<&Tally>| tally.map_or("–".to_owned(), |tally| format!("{}/{}", tally.caught, tally.tried));
    let column = |kind: Kind| {
        let cells = proofs.scenarios.iter().map(|proof| cell(proof.wrong.get(&kind)).chars().count());
        cells.max().unwrap_or(0).max(kind.word().len())
    };
    let widths = Kind::ALL.map(column);
    let heads = Kind::ALL.iter().zip(widths).map(|(kind, width)| format!(" {:>width$}", kind.word()));
    line(text, &format!("{:name$}{}  share", "", heads.collect::<String>()));
    for proof in &proofs.scenarios {
        let cells =
            Kind::ALL.iter().zip(widths).map(|(kind, width)| format!(" {:>width$}", cell(proof.wrong.get(kind))));
        let share = percent(proof.tally());
        line(text, &format!("{:name$}{} {share:>6}", proof.scenario, cells.collect::<String>()));
    }
}

/// The right answers that a rubric fails, and the wrong ones that it passes.
fn failures(proof: &Proof, text: &mut String) {
    let Proof { scenario, refused, uncaught, left_out, .. } = proof;
    let alike =
        |one: &Uncaught, other: &Uncaught| (one.kind, &one.met, &one.missed) == (other.kind, &other.met, &other.missed);
    for refused in refused {
        entry(text, &format!("✘ {scenario}: a right answer fails: {}: {}", refused.what, refused.why));
    }
    for wrong in uncaught.chunk_by(alike) {
        let Uncaught { kind, score, met, missed, .. } = &wrong[0];
        let what: Vec<&str> = wrong.iter().map(|one| one.what.as_str()).collect();
        let missed = if missed.is_empty() { String::new() } else { format!("; not met: {}", missed.join(", ")) };
        let (kind, what) = (kind.word(), what.join(", "));
        let why = format!("score {score:.2}; met: {}{missed}", met.join(", "));
        entry(text, &format!("✘ {scenario}: what is wrong passes: {kind}: {what}: {why}"));
    }
    if !left_out.is_empty() {
        entry(text, &format!("– {scenario}: not proved, since only a run can tell: {}", left_out.join(", ")));
    }
}

fn verdict(proofs: &Proofs, text: &mut String) {
    let all = proofs.tally();
    let right: usize = proofs.scenarios.iter().map(|proof| proof.right).sum();
    let refused: usize = proofs.scenarios.iter().map(|proof| proof.refused.len()).sum();
    let word = if proofs.hold() { "PROVED" } else { "NOT PROVED" };
    let rubrics = match proofs.scenarios.len() {
        1 => "1 rubric".to_owned(),
        many => format!("{many} rubrics"),
    };
    let Tally { caught, tried } = all;
    line(text, "");
    line(
        text,
        &format!(
            "{word}  {rubrics}: {caught} of {tried} wrong answers caught ({}), {} of {right} right ones pass",
            percent(all),
            right - refused
        ),
    );
    let weak = proofs.scenarios.iter().filter(|proof| proof.tally().share() < NEEDED);
    let weak: Vec<&str> = weak.map(|proof| proof.scenario.as_str()).collect();
    if !weak.is_empty() {
        entry(text, &format!("below {:.0} %: {}", NEEDED * 100.0, weak.join(", ")));
    }
    if !proofs.controls.is_empty() {
        entry(text, &format!("left out, since controls have no rubric: {}", proofs.controls.join(", ")));
    }
}

/// A share, rounded down: only all of them are 100 %.
fn percent(tally: Tally) -> String {
    if tally.caught == tally.tried {
        return "100 %".to_owned();
    }
    format!("{:.1} %", (tally.share() * 1000.0).floor() / 10.0)
}

/// A line that may be too long for the terminal.
fn entry(text: &mut String, said: &str) {
    let options = textwrap::Options::new(WIDTH).subsequent_indent("    ").word_splitter(WordSplitter::NoHyphenation);
    let options = options.word_separator(WordSeparator::AsciiSpace);
    for part in textwrap::wrap(said, options) {
        line(text, &part);
    }
}

fn line(text: &mut String, said: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", said.trim_end());
}
