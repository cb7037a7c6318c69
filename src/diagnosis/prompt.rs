//! The question as text, as a model is sent it, written by the templates in `templates/`. The system part is the same for
//! every ticket of a subject, so that it can be cached; the evidence follows it.

use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;

use crate::reading::NodeName;
use crate::subject::{self, CLUSTER, Subject};

use super::evidence::{CLIENTS, EvidenceRow, TicketFacts};
use super::past::PastTicket;
use super::{Bundle, sha256};

const SYSTEM: &str = include_str!("templates/system.md");
const EVIDENCE: &str = include_str!("templates/evidence.md");

/// The two parts of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// What holds for every ticket of the subject.
    pub system: String,
    /// The ticket and its evidence.
    pub user: String,
}

/// A prompt that could not be written: a bug in a template.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the prompt: {0:#}; this is a bug in operator-run")]
pub struct PromptError(#[from] minijinja::Error);

impl Prompt {
    /// Writes the question.
    pub fn write(subject: &dyn Subject, bundle: &Bundle) -> Result<Self, PromptError> {
        let mut environment = Environment::new();
        // What is not there is a bug in a template, not an empty text.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let system = environment.render_str(
            SYSTEM,
            context! {
                knowledge => subject.manual().knowledge,
                causes => Value::from(Serde(subject::categories(subject).collect::<Vec<_>>())),
                actions => Value::from(Serde(subject::actions(subject).collect::<Vec<_>>())),
                tools => subject::tools(subject).collect::<Vec<_>>(),
            },
        )?;
        Ok(Self { system, user: environment.render_str(EVIDENCE, Serde(View::of(bundle)))? })
    }
}

/// What tells one version of the templates from another.
pub(super) fn templates_hash() -> String {
    sha256(&[SYSTEM, EVIDENCE].concat())
}

/// A bundle as the template shows it: all values as text, which no value can break out of.
#[derive(Serialize)]
struct View<'a> {
    tickets: Vec<Ticket<'a>>,
    nodes: &'a [crate::cluster::Node],
    columns: [String; 3],
    tables: Vec<Table<'a>>,
    readings_left_out: usize,
    logs: Vec<Log<'a>>,
    logs_left_out: usize,
    fence: String,
    past: Vec<String>,
}

#[derive(Serialize)]
struct Ticket<'a> {
    invariant: &'a str,
    node: &'a str,
    since: String,
    because: &'a str,
    demands: &'a str,
}

/// What was read of one node.
#[derive(Serialize)]
struct Table<'a> {
    about: String,
    changed: Vec<Row<'a>>,
    same: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    source: &'a str,
    name: &'a str,
    values: [String; 3],
}

#[derive(Serialize)]
struct Log<'a> {
    id: &'a str,
    offset: String,
    node: &'a str,
    text: &'a str,
}

impl<'a> View<'a> {
    fn of(bundle: &'a Bundle) -> Self {
        let ticket = |ticket: &'a TicketFacts| Ticket {
            invariant: &ticket.invariant,
            node: ticket.node.as_str(),
            since: format!("{:+.1}", ticket.since),
            because: &ticket.because,
            demands: &ticket.demands,
        };
        let log = |log: &'a super::evidence::EvidenceLog| Log {
            id: &log.id.0,
            offset: format!("{:+.1}", log.offset),
            node: log.node.as_str(),
            text: &log.text,
        };
        Self {
            tickets: bundle.tickets.iter().map(ticket).collect(),
            nodes: &bundle.nodes,
            columns: bundle.columns.map(|offset| format!("{offset:+.1}")),
            tables: tables(bundle),
            readings_left_out: bundle.readings_left_out,
            logs: bundle.logs.iter().map(log).collect(),
            logs_left_out: bundle.logs_left_out,
            fence: fence(bundle),
            past: bundle.past.iter().map(PastTicket::line).collect(),
        }
    }
}

/// The cluster as a whole first, then what the clients see, then each node in the order of their names.
fn tables(bundle: &Bundle) -> Vec<Table<'_>> {
    let of_cluster = |row: &EvidenceRow| row.node.as_str() == CLUSTER;
    let of_clients = |row: &EvidenceRow| of_cluster(row) && row.source == CLIENTS;
    let mut tables = vec![
        table("the cluster as a whole".to_owned(), bundle, |row| of_cluster(row) && !of_clients(row)),
        table("what the clients see".to_owned(), bundle, of_clients),
    ];
    let of_node = |node: &NodeName| table(node.to_string(), bundle, |row| row.node == *node);
    tables.extend(bundle.nodes.iter().map(|node| of_node(&node.name)));
    tables
}

fn table(about: String, bundle: &Bundle, wanted: impl Fn(&EvidenceRow) -> bool) -> Table<'_> {
    let row = |row| Row::of(row);
    let (changed, same) = bundle.readings.iter().filter(|row| wanted(row)).partition::<Vec<_>, _>(|row| row.changed());
    Table { about, changed: changed.into_iter().map(row).collect(), same: same.into_iter().map(row).collect() }
}

impl<'a> Row<'a> {
    fn of(row: &'a EvidenceRow) -> Self {
        let values = row.values().map(|value| cell(&value.with_unit(row.unit)));
        Self { id: &row.id.0, source: &row.source, name: &row.name, values }
    }
}

/// A value inside the table, which no value can break out of.
fn cell(value: &str) -> String {
    value.replace(['\r', '\n', '|'], " ")
}

/// A fence longer than any run of backticks in the log, so that no line can end it.
fn fence(bundle: &Bundle) -> String {
    let longest = |text: &str| text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let length = bundle.logs.iter().map(|log| longest(&log.text) + 1).max().unwrap_or(0).max(3);
    "`".repeat(length)
}
