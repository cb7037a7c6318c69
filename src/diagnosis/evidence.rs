//! The evidence: what was observed around a violation, numbered so that a diagnosis can cite it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::{LogLine, Node};
use crate::reading::{NodeName, Observation, Unit, Value};
use crate::subject::Subject;

use super::EvidenceRef;

/// How many log lines are handed over at most.
const LOG_LINES: usize = 40;
/// How many characters of a log line are handed over at most.
const LOG_LINE: usize = 600;

/// The ticket as a diagnoser is shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketFacts {
    /// The invariant that is violated.
    pub invariant: String,
    /// What it demands.
    pub demands: String,
    /// Where.
    pub node: NodeName,
    /// What was seen.
    pub because: String,
}

/// One value over the time of the violation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceRow {
    /// Its number.
    pub id: EvidenceRef,
    /// Where it was read.
    pub source: String,
    /// The node that it is about.
    pub node: NodeName,
    /// What was read.
    pub name: String,
    /// In what it is measured.
    pub unit: Unit,
    /// The value in the last poll of the steady time.
    pub before: Value,
    /// The value in the poll that found the violation.
    pub at: Value,
    /// The value in the last poll.
    pub after: Value,
}

impl EvidenceRow {
    /// Whether the value changed.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.before != self.at || self.at != self.after
    }

    /// Its three values, oldest first.
    #[must_use]
    pub fn values(&self) -> [&Value; 3] {
        [&self.before, &self.at, &self.after]
    }
}

/// One log line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceLog {
    /// Its number.
    pub id: EvidenceRef,
    /// When it was written, in seconds from the violation.
    pub offset: f64,
    /// Who wrote it.
    pub node: NodeName,
    /// The line.
    pub text: String,
}

/// All that a diagnoser is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// The subject.
    pub subject: String,
    /// The cluster's members.
    pub nodes: Vec<Node>,
    /// The violations, the first one first.
    pub tickets: Vec<TicketFacts>,
    /// When each column of the table was read, in seconds from the violation.
    pub columns: [f64; 3],
    /// The table of readings: what changed first.
    pub readings: Vec<EvidenceRow>,
    /// Log lines, oldest first.
    pub logs: Vec<EvidenceLog>,
    /// How many log lines were left out for want of room.
    pub logs_left_out: usize,
}

/// What a bundle is made from.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The violations, the first one first.
    pub tickets: Vec<TicketFacts>,
    /// The last observation of the steady time.
    pub before: &'a Observation,
    /// The observation that found the first violation.
    pub at: &'a Observation,
    /// The last observation.
    pub after: &'a Observation,
    /// The log lines since `before`.
    pub logs: &'a [LogLine],
}

impl Bundle {
    /// Gathers and numbers the evidence.
    #[must_use]
    pub fn gather(subject: &dyn Subject, nodes: &[Node], sources: Sources<'_>) -> Self {
        let Sources { tickets, before, at, after, logs } = sources;
        let offset = |time: Timestamp| (time.duration_since(at.at).as_secs_f64() * 10.0).round() / 10.0;
        let mut numbers = (1..).map(|number| EvidenceRef(format!("E{number}")));
        let mut number = || numbers.next().unwrap_or_else(|| EvidenceRef("E0".to_owned()));

        let mut readings: Vec<EvidenceRow> = at
            .readings
            .iter()
            .map(|reading| EvidenceRow {
                id: EvidenceRef(String::new()),
                source: reading.source.clone(),
                node: reading.node.clone(),
                name: reading.name.clone(),
                unit: reading.unit,
                before: before.value(&reading.node, &reading.name),
                at: reading.value.clone(),
                after: after.value(&reading.node, &reading.name),
            })
            .collect();
        readings.sort_by_key(|row| !row.changed());
        for row in &mut readings {
            row.id = number();
        }

        let (logs, logs_left_out) = pick_logs(logs, at.at);
        let logs = logs
            .into_iter()
            .map(|line| EvidenceLog {
                id: number(),
                offset: offset(line.at),
                node: line.node.clone(),
                text: cut(&line.text),
            })
            .collect();
        Self {
            subject: subject.name().to_owned(),
            nodes: nodes.to_vec(),
            tickets,
            columns: [before, at, after].map(|observation| offset(observation.at)),
            readings,
            logs,
            logs_left_out,
        }
    }

    /// The node of the first ticket.
    #[must_use]
    pub fn suspect(&self) -> Option<&NodeName> {
        self.tickets.first().map(|ticket| &ticket.node)
    }

    /// Whether a piece of evidence with this number exists.
    #[must_use]
    pub fn has(&self, reference: &EvidenceRef) -> bool {
        self.row(reference).is_some() || self.log(reference).is_some()
    }

    /// The reading with this number.
    #[must_use]
    pub fn row(&self, reference: &EvidenceRef) -> Option<&EvidenceRow> {
        self.readings.iter().find(|row| row.id == *reference)
    }

    /// The log line with this number.
    #[must_use]
    pub fn log(&self, reference: &EvidenceRef) -> Option<&EvidenceLog> {
        self.logs.iter().find(|log| log.id == *reference)
    }
}

/// The lines nearest to the violation, in their order, and how many were left out.
fn pick_logs(logs: &[LogLine], violation: Timestamp) -> (Vec<&LogLine>, usize) {
    let mut picked: Vec<&LogLine> = logs.iter().collect();
    let distance = |line: &LogLine| Duration::try_from(line.at.duration_since(violation).abs()).unwrap_or_default();
    picked.sort_by_key(|line| distance(line));
    picked.truncate(LOG_LINES);
    picked.sort_by_key(|line| line.at);
    let left_out = logs.len() - picked.len();
    (picked, left_out)
}

/// The beginning of a line that is too long, and how much of it is missing.
fn cut(text: &str) -> String {
    match text.char_indices().nth(LOG_LINE) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} more characters)", &text[..end], text[end..].chars().count()),
    }
}
