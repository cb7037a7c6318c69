//! `operator-run tickets`.

use std::fmt::Write as _;
use std::path::Path;

use clap::Args;

use super::exit::{Exit, complain, print};
use crate::diagnosis::{Bundle, Diagnosis, markdown};
use crate::store::{Store, StoreError, Ticket};

/// How many tickets are listed.
const LISTED: usize = 20;

#[derive(Debug, Args)]
pub(super) struct TicketsArgs {
    /// The ticket to show; without it the latest are listed.
    ticket: Option<i64>,
}

pub(super) fn show(arguments: &TicketsArgs, database: &Path) -> Exit {
    if !database.exists() {
        return complain(
            Exit::Environment,
            &format!("there is no database {}: nothing was run yet, or name it by --db", database.display()),
        );
    }
    let text = Store::open(database).and_then(|store| match arguments.ticket {
        Some(ticket) => one(&store, ticket),
        None => list(&store),
    });
    match text {
        Ok(text) => print(&text),
        Err(error @ StoreError::NoSuchTicket(_)) => complain(Exit::Usage, &error.to_string()),
        Err(error) => complain(Exit::Environment, &error.to_string()),
    }
}

fn one(store: &Store, number: i64) -> Result<String, StoreError> {
    let ticket = store.ticket(number)?;
    let mut text = format!("{}\n", line(&ticket));
    match store.diagnosis::<Diagnosis, Bundle>(number)? {
        Some((diagnosis, evidence)) => {
            let _ = write!(text, "\n{}", markdown::write(&diagnosis, &evidence));
        }
        None => text.push_str("\nIt has no diagnosis.\n"),
    }
    Ok(text)
}

fn list(store: &Store) -> Result<String, StoreError> {
    let tickets = store.tickets(LISTED)?;
    if tickets.is_empty() {
        return Ok("There are no tickets.\n".to_owned());
    }
    Ok(tickets.iter().flat_map(|ticket| [line(ticket), "\n".to_owned()]).collect())
}

fn line(ticket: &Ticket) -> String {
    let Ticket { id, run, invariant, node, state, because, opened_at } = ticket;
    format!("{id:>5}  {state:<12}  {invariant} on {node}, {opened_at}, run {run}: {because}")
}
