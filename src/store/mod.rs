//! SQLite: tickets, runs, and the journal of injections. The only room that speaks SQL.
//!
//! An injection is on disk, with what undoes it, before it is done.

mod journal;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::reading::NodeName;
use crate::runner::Runner;

pub use journal::Unfinished;

/// How long to wait for another process that writes to the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why something could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder of the file could not be made.
    #[error("cannot make the folder for {}: {source}; name another database by --db", .path.display())]
    Folder {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("{}: {source}; name another database by --db", .path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The file was written by a newer version of this program.
    #[error("{} was written by a newer operator-run (format {found}, this one knows {known})", .path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The format of the file.
        found: usize,
        /// The newest format known here.
        known: usize,
    },
    /// A ticket can't go from its state to another.
    #[error("ticket {ticket} is {from} and cannot become {to}")]
    Transition {
        /// The ticket.
        ticket: i64,
        /// Its state.
        from: TicketState,
        /// The state asked for.
        to: TicketState,
    },
    /// There is no such ticket.
    #[error("there is no ticket {0}")]
    NoSuchTicket(i64),
    /// There is no such run, or it has not ended.
    #[error("there is no run {0} that has ended")]
    NoSuchRun(String),
    /// Nobody could tell later whether this process is still there.
    #[error("cannot put this process on record: {0}")]
    Runner(#[source] std::io::Error),
    /// What was kept can't be read back.
    #[error("cannot read what is kept of {what}: {source}")]
    Json {
        /// What was read.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
}

/// How far a ticket has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketState {
    /// The violation is on record.
    Open,
    /// Somebody is looking at it.
    Acknowledged,
    /// It has a diagnosis.
    Diagnosed,
    /// The invariant holds again.
    Resolved,
}

impl TicketState {
    const ALL: [Self; 4] = [Self::Open, Self::Acknowledged, Self::Diagnosed, Self::Resolved];

    fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Diagnosed => "diagnosed",
            Self::Resolved => "resolved",
        }
    }
}

impl std::fmt::Display for TicketState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.word())
    }
}

/// A violation on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ticket {
    /// Its number in the database.
    pub id: i64,
    /// The run that it belongs to.
    pub run: String,
    /// The invariant that is violated.
    pub invariant: String,
    /// Where.
    pub node: NodeName,
    /// How far it has come.
    pub state: TicketState,
    /// What was seen.
    pub because: String,
    /// When it was opened, in the cluster's time.
    pub opened_at: Timestamp,
}

/// The database.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens the database, and makes it or brings it up to date if need be.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| StoreError::Folder { path: path.to_owned(), source })?;
        }
        let sqlite = |source| StoreError::Sqlite { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(sqlite)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
        schema::write_ahead(&connection).map_err(sqlite)?;
        // FULL: a committed injection is on the disk, not only in its cache, when `commit` returns.
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;").map_err(sqlite)?;
        schema::migrate(&mut connection, path)?;
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection) })
    }

    /// Puts a run of this process on record: what is run, and where.
    pub fn start_run(&self, run: &str, scenario: &str, backend: &str) -> Result<(), StoreError> {
        let runner = Runner::current().map_err(StoreError::Runner)?;
        let written = json("a runner", &runner)?;
        self.execute(
            "INSERT INTO runs (id, scenario, backend, process, started_at, runner) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![run, scenario, backend, runner.process, Timestamp::now().to_string(), written],
        )
    }

    /// Puts the end of a run on record, with its run record.
    pub fn end_run(&self, run: &str, verdict: &str, record: &impl Serialize) -> Result<(), StoreError> {
        let record = json("a run record", record)?;
        self.execute(
            "UPDATE runs SET ended_at = ?2, verdict = ?3, record = ?4 WHERE id = ?1",
            params![run, Timestamp::now().to_string(), verdict, record],
        )
    }

    /// Puts the end of a run's twin on record: what became of it is in the record of the run.
    pub fn end_twin(&self, run: &str, verdict: &str) -> Result<(), StoreError> {
        self.execute(
            "UPDATE runs SET ended_at = ?2, verdict = ?3 WHERE id = ?1",
            params![run, Timestamp::now().to_string(), verdict],
        )
    }

    /// The record of a run that has ended.
    pub fn record<R: DeserializeOwned>(&self, run: &str) -> Result<R, StoreError> {
        let found: Option<String> = self.with(|connection| {
            let query = "SELECT record FROM runs WHERE id = ?1 AND record IS NOT NULL";
            connection.query_row(query, [run], |row| row.get(0)).optional()
        })?;
        from_json("a run record", &found.ok_or_else(|| StoreError::NoSuchRun(run.to_owned()))?)
    }

    /// Opens a ticket.
    pub fn open_ticket(
        &self,
        run: &str,
        invariant: &str,
        node: &NodeName,
        because: &str,
        at: Timestamp,
    ) -> Result<i64, StoreError> {
        self.with(|connection| {
            connection.query_row(
                "INSERT INTO tickets (run, invariant, node, state, because, opened_at, changed_at)
                 VALUES (?1, ?2, ?3, 'open', ?4, ?5, ?5) RETURNING id",
                params![run, invariant, node.as_str(), because, at.to_string()],
                |row| row.get(0),
            )
        })
    }

    /// Moves a ticket on: forward only, and to resolved from anywhere.
    pub fn move_ticket(&self, ticket: i64, to: TicketState, at: Timestamp) -> Result<(), StoreError> {
        let from = self.ticket(ticket)?.state;
        if from >= to {
            return Err(StoreError::Transition { ticket, from, to });
        }
        self.execute(
            "UPDATE tickets SET state = ?2, changed_at = ?3 WHERE id = ?1",
            params![ticket, to.word(), at.to_string()],
        )
    }

    /// Keeps a diagnosis, as JSON, and moves its ticket to diagnosed, unless it is resolved already.
    pub fn write_diagnosis(
        &self,
        ticket: i64,
        diagnoser: &str,
        diagnosis: &impl Serialize,
        evidence: &impl Serialize,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (diagnosis, evidence) = (json("a diagnosis", diagnosis)?, json("evidence", evidence)?);
        self.execute(
            "INSERT INTO diagnoses (ticket, diagnoser, written_at, diagnosis, evidence) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![ticket, diagnoser, at.to_string(), diagnosis, evidence],
        )?;
        if self.ticket(ticket)?.state < TicketState::Diagnosed {
            self.move_ticket(ticket, TicketState::Diagnosed, at)?;
        }
        Ok(())
    }

    /// One ticket.
    pub fn ticket(&self, ticket: i64) -> Result<Ticket, StoreError> {
        let found = self.with(|connection| {
            let query = format!("{SELECT_TICKET} WHERE id = ?1");
            connection.query_row(&query, [ticket], read_ticket).optional()
        })?;
        found.ok_or(StoreError::NoSuchTicket(ticket))
    }

    /// The latest tickets, the newest first.
    pub fn tickets(&self, limit: usize) -> Result<Vec<Ticket>, StoreError> {
        self.with(|connection| {
            let mut statement = connection.prepare(&format!("{SELECT_TICKET} ORDER BY id DESC LIMIT ?1"))?;
            statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], read_ticket)?.collect()
        })
    }

    /// The latest diagnosis of a ticket and its evidence.
    pub fn diagnosis<D: DeserializeOwned, E: DeserializeOwned>(
        &self,
        ticket: i64,
    ) -> Result<Option<(D, E)>, StoreError> {
        let found: Option<(String, String)> = self.with(|connection| {
            let query = "SELECT diagnosis, evidence FROM diagnoses WHERE ticket = ?1 ORDER BY rowid DESC LIMIT 1";
            connection.query_row(query, [ticket], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })?;
        found
            .map(|(diagnosis, evidence)| Ok((from_json("a diagnosis", &diagnosis)?, from_json("evidence", &evidence)?)))
            .transpose()
    }

    fn execute(&self, statement: &str, parameters: impl rusqlite::Params) -> Result<(), StoreError> {
        self.with(|connection| connection.execute(statement, parameters).map(|_| ()))
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let connection: MutexGuard<'_, Connection> = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        work(&connection).map_err(|source| StoreError::Sqlite { path: self.path.clone(), source })
    }
}

const SELECT_TICKET: &str = "SELECT id, run, invariant, node, state, because, opened_at FROM tickets";

fn read_ticket(row: &Row<'_>) -> rusqlite::Result<Ticket> {
    let word: String = row.get("state")?;
    let state = TicketState::ALL.into_iter().find(|state| state.word() == word);
    let opened_at: String = row.get("opened_at")?;
    let unreadable =
        |column: &str| rusqlite::Error::InvalidColumnType(0, column.to_owned(), rusqlite::types::Type::Text);
    Ok(Ticket {
        id: row.get("id")?,
        run: row.get("run")?,
        invariant: row.get("invariant")?,
        node: NodeName(row.get("node")?),
        state: state.ok_or_else(|| unreadable("state"))?,
        because: row.get("because")?,
        opened_at: opened_at.parse().map_err(|_| unreadable("opened_at"))?,
    })
}

fn json(what: &'static str, value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::Json { what, source })
}

fn from_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StoreError::Json { what, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("new").join("test.db")).unwrap();
        store.start_run("r1", "s", "embedded").unwrap();
        (folder, store)
    }

    pub(super) fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_ticket_moves_forward_only() {
        let (_folder, store) = store();
        let node = NodeName::from("tikv1");
        let ticket = store.open_ticket("r1", "store_down", &node, "gone", at(1)).unwrap();
        store.move_ticket(ticket, TicketState::Diagnosed, at(2)).unwrap();
        let back = store.move_ticket(ticket, TicketState::Acknowledged, at(3)).unwrap_err();
        assert_eq!(back.to_string(), format!("ticket {ticket} is diagnosed and cannot become acknowledged"));
        store.move_ticket(ticket, TicketState::Resolved, at(4)).unwrap();
        assert!(store.move_ticket(ticket, TicketState::Open, at(5)).is_err());
    }

    #[test]
    fn one_violation_has_one_live_ticket() {
        let (_folder, store) = store();
        let node = NodeName::from("tikv1");
        let first = store.open_ticket("r1", "store_down", &node, "gone", at(1)).unwrap();
        assert!(store.open_ticket("r1", "store_down", &node, "gone", at(2)).is_err());
        store.move_ticket(first, TicketState::Resolved, at(3)).unwrap();
        assert!(store.open_ticket("r1", "store_down", &node, "gone again", at(4)).unwrap() > first);
    }

    #[test]
    fn a_newer_file_is_refused() {
        let (folder, store) = store();
        store.execute("PRAGMA user_version = 99", []).unwrap();
        let error = Store::open(&folder.path().join("new").join("test.db")).unwrap_err();
        assert!(error.to_string().contains("written by a newer operator-run (format 99"), "{error}");
    }
}
