//! The evidence: what was observed around a violation, numbered so that a diagnosis can cite it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::{LogLine, Node};
use crate::monitor::Violation;
use crate::reading::{NodeName, Observation, Unit, Value};
use crate::subject::Subject;

use super::EvidenceRef;
use super::past::{self, PastTicket};

/// How many tokens the evidence may take, as estimated by [`tokens`].
const BUDGET: usize = 16_000;
/// How many log lines are handed over at most.
const LOG_LINES: usize = 40;
/// How many log lines are handed over at most that say the same but for their numbers.
const SAME_LINES: f64 = 6.0;
/// How many characters of a log line are handed over at most.
const LOG_LINE: usize = 600;
/// How many characters of a value are handed over at most.
const VALUE: usize = 200;

/// The ticket as a diagnoser is shown it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TicketFacts {
    /// The invariant that is violated.
    pub invariant: String,
    /// What it demands.
    pub demands: String,
    /// Where.
    pub node: NodeName,
    /// What was seen.
    pub because: String,
    /// Since when, in seconds from the poll that found the first violation.
    #[serde(default)]
    pub since: f64,
}

impl TicketFacts {
    /// A violation as it is shown; `at` is when the first one was found.
    #[must_use]
    pub fn of(violation: &Violation, at: Timestamp) -> Self {
        let Violation { invariant, demands, node, because, since } = violation.clone();
        Self { invariant, demands, node, because, since: offset(since, at) }
    }
}

/// Seconds from one time to another, to a tenth.
fn offset(time: Timestamp, from: Timestamp) -> f64 {
    (time.duration_since(from).as_secs_f64() * 10.0).round() / 10.0
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
    /// Whether the value changed, as far as it is shown.
    #[must_use]
    pub fn changed(&self) -> bool {
        let [before, at, after] = self.values().map(Value::to_string);
        before != at || at != after
    }

    /// How much room it takes.
    fn tokens(&self) -> usize {
        let values: usize = self.values().iter().map(|value| value.to_string().len()).sum();
        tokens(self.source.len() + self.name.len() + values + 20)
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
    /// When it was written, in seconds from the detection.
    pub offset: f64,
    /// Who wrote it.
    pub node: NodeName,
    /// The line.
    pub text: String,
}

/// The source of what the load's clients report.
pub const CLIENTS: &str = "load";

/// All that a diagnoser is shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// The subject.
    pub subject: String,
    /// The cluster's members.
    pub nodes: Vec<Node>,
    /// The violations, the first one first.
    pub tickets: Vec<TicketFacts>,
    /// When each column of the table was read, in seconds from the detection.
    pub columns: [f64; 3],
    /// The table of readings: what changed first.
    pub readings: Vec<EvidenceRow>,
    /// How many readings that did not change were left out for want of room.
    #[serde(default)]
    pub readings_left_out: usize,
    /// Log lines, oldest first.
    pub logs: Vec<EvidenceLog>,
    /// How many log lines were left out for want of room.
    pub logs_left_out: usize,
    /// Tickets of other incidents, [`past::MOST`] at most. They are no evidence of this one, and have no numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<PastTicket>,
}

/// What a bundle is made from: what was seen around a violation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observations {
    /// The violations, the first one first.
    pub tickets: Vec<TicketFacts>,
    /// The last observation of the steady time.
    pub before: Observation,
    /// The observation that found the first violation.
    pub at: Observation,
    /// The last observation.
    pub after: Observation,
    /// The log lines since `before`.
    pub logs: Vec<LogLine>,
    /// Tickets of other incidents, those that are most like this one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<PastTicket>,
}

impl Bundle {
    /// Gathers and numbers the evidence: what changed first, and in the order of the nodes.
    #[must_use]
    pub fn gather(subject: &dyn Subject, nodes: &[Node], observations: &Observations) -> Self {
        let Observations { tickets, before, at, after, logs, past } = observations;
        let place = |row: &EvidenceRow| match nodes.iter().position(|node| node.name == row.node) {
            Some(index) => index + 2,
            None => usize::from(row.source == CLIENTS),
        };
        let mut readings: Vec<EvidenceRow> = at
            .readings
            .iter()
            .map(|reading| EvidenceRow {
                id: EvidenceRef(String::new()),
                source: reading.source.clone(),
                node: reading.node.clone(),
                name: reading.name.clone(),
                unit: reading.unit,
                before: short(before.value(&reading.node, &reading.name)),
                at: short(reading.value.clone()),
                after: short(after.value(&reading.node, &reading.name)),
            })
            .collect();
        readings.sort_by_key(|row| (!row.changed(), place(row)));
        let (mut kept, same): (Vec<_>, Vec<_>) = readings.into_iter().partition(EvidenceRow::changed);
        let mut room = BUDGET.saturating_sub(kept.iter().map(EvidenceRow::tokens).sum());
        let (logs, logs_left_out) = pick_logs(logs, at.at, &mut room);
        let all = same.len();
        let same: Vec<EvidenceRow> = same.into_iter().take_while(|row| spend(&mut room, row.tokens())).collect();
        let readings_left_out = all - same.len();
        kept.extend(same);

        let mut numbers = (1_usize..).map(|number| EvidenceRef(format!("E{number}")));
        kept.iter_mut().zip(&mut numbers).for_each(|(row, id)| row.id = id);
        let log = |(line, id): (&LogLine, EvidenceRef)| EvidenceLog {
            id,
            offset: offset(line.at, at.at),
            node: line.node.clone(),
            text: cut(&line.text, LOG_LINE),
        };
        Self {
            subject: subject.name().to_owned(),
            nodes: nodes.to_vec(),
            tickets: tickets.clone(),
            columns: [before, at, after].map(|observation| offset(observation.at, at.at)),
            readings: kept,
            readings_left_out,
            logs: logs.into_iter().zip(numbers).map(log).collect(),
            logs_left_out,
            past: past.iter().take(past::MOST).cloned().collect(),
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

    /// What a piece of evidence shows, in a line.
    #[must_use]
    pub fn describe(&self, reference: &EvidenceRef) -> String {
        if let Some(row) = self.row(reference) {
            let [before, at, after] = row.values().map(|value| value.with_unit(row.unit));
            format!("{} {}: {before} → {at} → {after}", row.node, row.name)
        } else if let Some(log) = self.log(reference) {
            format!("{}: {}", log.node, log.text)
        } else {
            "does not exist".to_owned()
        }
    }

    /// The same without what the cluster wrote: values and log lines.
    #[must_use]
    pub fn without_words_of_the_cluster(&self) -> Self {
        let blank = || Value::from(0.0);
        let row = |row: &EvidenceRow| EvidenceRow { before: blank(), at: blank(), after: blank(), ..row.clone() };
        let log = |log: &EvidenceLog| EvidenceLog { text: String::new(), ..log.clone() };
        Self {
            readings: self.readings.iter().map(row).collect(),
            logs: self.logs.iter().map(log).collect(),
            ..self.clone()
        }
    }

    /// The log line with this number.
    #[must_use]
    pub fn log(&self, reference: &EvidenceRef) -> Option<&EvidenceLog> {
        self.logs.iter().find(|log| log.id == *reference)
    }
}

/// The lines that say most, in their order, and how many were left out. A line says more if it is a warning or an error,
/// if it is not the same again but for its numbers, and if it is near to the violation.
fn pick_logs<'l>(logs: &'l [LogLine], violation: Timestamp, room: &mut usize) -> (Vec<&'l LogLine>, usize) {
    let distance = |line: &LogLine| line.at.duration_since(violation).as_secs_f64().abs();
    let mut nearest: Vec<(usize, &LogLine)> = logs.iter().enumerate().collect();
    nearest.sort_by(|(_, one), (_, other)| distance(one).total_cmp(&distance(other)));
    let mut seen: BTreeMap<String, f64> = BTreeMap::new();
    let mut scored: Vec<(f64, usize, &LogLine)> = nearest
        .into_iter()
        .filter_map(|(index, line)| {
            let times = seen.entry(kind(line)).or_insert(0.0);
            *times += 1.0;
            let score = level(&line.text) + 2.0 / *times + 1.0 / (1.0 + distance(line) / 10.0);
            (*times <= SAME_LINES).then_some((score, index, line))
        })
        .collect();
    scored.sort_by(|(one, ..), (other, ..)| other.total_cmp(one));
    let mut fits = |(_, _, line): &&(f64, usize, &LogLine)| spend(room, tokens(line.text.len().min(LOG_LINE)) + 10);
    let mut picked: Vec<(usize, &LogLine)> =
        scored.iter().take(LOG_LINES).take_while(&mut fits).map(|(_, index, line)| (*index, *line)).collect();
    picked.sort_by_key(|(index, _)| *index);
    let left_out = logs.len() - picked.len();
    (picked.into_iter().map(|(_, line)| line).collect(), left_out)
}

/// A line without what differs each time: its numbers.
fn kind(line: &LogLine) -> String {
    let mut kind = line.node.0.clone();
    kind.extend(line.text.chars().filter(|letter| !letter.is_ascii_digit()));
    kind
}

/// How grave a line is, by the word for its level near its beginning, in any of the usual formats.
fn level(text: &str) -> f64 {
    let head: String = text.chars().take(80).collect::<String>().to_lowercase();
    let grave = [("fatal", 3.0), ("panic", 3.0), ("error", 2.0), ("warn", 1.0)];
    grave.iter().find(|(word, _)| head.contains(word)).map_or(0.0, |(_, weight)| *weight)
}

/// Takes so many tokens from the room that is left, if it suffices.
fn spend(room: &mut usize, tokens: usize) -> bool {
    let left = room.checked_sub(tokens);
    *room = left.unwrap_or(*room);
    left.is_some()
}

/// How many tokens so many bytes of a table or a log may be: names and numbers have some three bytes a token.
fn tokens(bytes: usize) -> usize {
    bytes.div_ceil(3)
}

/// A value as it is handed over: a text may come from anywhere, and can be as long as it likes.
fn short(value: Value) -> Value {
    match value {
        Value::Text(text) => Value::Text(cut(&text, VALUE)),
        Value::Unknown { unknown } => Value::Unknown { unknown: cut(&unknown, VALUE) },
        value => value,
    }
}

/// The beginning of a text that is too long, and how much of it is missing. Control characters stay out.
fn cut(text: &str, most: usize) -> String {
    let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    match text.char_indices().nth(most) {
        None => text,
        Some((end, _)) => format!("{}… ({} more characters)", &text[..end], text[end..].chars().count()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A bundle of one store and no evidence.
    pub(crate) fn bundle() -> Bundle {
        Bundle {
            subject: "tikv".to_owned(),
            nodes: vec![Node { name: "tikv0".into(), role: "tikv".to_owned() }],
            ..Bundle::default()
        }
    }

    fn line(second: i64, text: &str) -> LogLine {
        LogLine { at: Timestamp::from_second(second).unwrap(), node: "tikv0".into(), text: text.to_owned() }
    }

    fn picked(logs: &[LogLine], mut room: usize) -> (Vec<String>, usize) {
        let (picked, left_out) = pick_logs(logs, Timestamp::from_second(100).unwrap(), &mut room);
        (picked.into_iter().map(|line| line.text.clone()).collect(), left_out)
    }

    #[test]
    fn one_warning_stands_out_of_many_lines_that_say_the_same() {
        let mut logs: Vec<LogLine> = (0..200).map(|second| line(second, &format!("[INFO] tick {second}"))).collect();
        logs.insert(20, line(20, "[WARN] [raft_client.rs:606] connection aborted"));
        let (lines, left_out) = picked(&logs, 10_000);
        assert_eq!((lines.len(), left_out), (7, 194));
        assert_eq!(lines[0], "[WARN] [raft_client.rs:606] connection aborted", "they are in their order");
        assert!(lines.contains(&"[INFO] tick 100".to_owned()) && !lines.contains(&"[INFO] tick 199".to_owned()));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let logs: Vec<LogLine> = ('a'..='i').map(|letter| line(9, &letter.to_string().repeat(60))).collect();
        let (lines, left_out) = picked(&logs, 95);
        assert_eq!((lines.len(), left_out), (3, 6));
    }

    #[test]
    fn what_reads_the_same_has_not_changed() {
        let changed = |before: f64, at: f64| {
            let [before, at] = [before, at].map(Value::from);
            let (id, source, name) = (EvidenceRef("E1".to_owned()), String::new(), String::new());
            let after = at.clone();
            EvidenceRow { id, source, node: "tikv0".into(), name, unit: Unit::Seconds, before, at, after }.changed()
        };
        assert_eq!([changed(0.012_51, 0.012_52), changed(0.0125, 0.0126)], [false, true]);
    }

    #[test]
    fn a_text_is_cut_and_says_so() {
        assert_eq!(cut("abc\ndef", 5), "abc d… (2 more characters)");
        assert_eq!(cut("äöü", 3), "äöü");
    }
}
