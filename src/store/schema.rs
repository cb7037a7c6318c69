//! The tables, as steps from one version to the next. A step that has been released is never changed.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::{BUSY_TIMEOUT, StoreError};

/// How often to try what SQLite does not wait for itself.
const TRY_EVERY: Duration = Duration::from_millis(10);

/// Step `n` brings a database from `user_version` n to n + 1.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE runs (
        id         TEXT PRIMARY KEY,
        scenario   TEXT NOT NULL,
        backend    TEXT NOT NULL,
        process    INTEGER NOT NULL,   -- the runner's process id
        started_at TEXT NOT NULL,
        ended_at   TEXT,
        verdict    TEXT,
        record     TEXT                -- the run record, JSON
    );
    CREATE TABLE tickets (
        id         INTEGER PRIMARY KEY,
        run        TEXT NOT NULL REFERENCES runs (id),
        invariant  TEXT NOT NULL,
        node       TEXT NOT NULL,
        state      TEXT NOT NULL CHECK (state IN ('open', 'acknowledged', 'diagnosed', 'resolved')),
        because    TEXT NOT NULL,
        opened_at  TEXT NOT NULL,
        changed_at TEXT NOT NULL
    );
    -- One violation is one ticket until it is resolved.
    CREATE UNIQUE INDEX one_live_ticket ON tickets (run, invariant, node) WHERE state <> 'resolved';
    CREATE TABLE diagnoses (
        ticket     INTEGER NOT NULL REFERENCES tickets (id),
        diagnoser  TEXT NOT NULL,
        written_at TEXT NOT NULL,
        diagnosis  TEXT NOT NULL,      -- JSON
        evidence   TEXT NOT NULL       -- JSON, so that its references can be looked up
    );
    CREATE TABLE injections (
        id         INTEGER PRIMARY KEY,
        run        TEXT NOT NULL REFERENCES runs (id),
        fault      TEXT NOT NULL,      -- JSON
        undo       TEXT NOT NULL,      -- JSON
        written_at TEXT NOT NULL,
        healed_at  TEXT
    );
",
    "
    ALTER TABLE runs ADD COLUMN runner TEXT;   -- crate::runner::Runner, JSON; none if an older version wrote the row
    CREATE INDEX runs_not_ended ON runs (id) WHERE ended_at IS NULL;
    CREATE INDEX injections_not_healed ON injections (run) WHERE healed_at IS NULL;
",
];

/// Has changes written ahead to a journal. While another process does this for the first time, SQLite refuses at once,
/// whatever the time to wait, since two that wait for each other would never end.
pub(super) fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if is_busy(&error) && Instant::now() < deadline => thread::sleep(TRY_EVERY),
            outcome => return outcome,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// Brings the database to the newest format, in one transaction, so that two processes cannot do it at once.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let sqlite = |source| StoreError::Sqlite { path: path.to_owned(), source };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite)?;
    let found = usize::try_from(version).unwrap_or(usize::MAX);
    let Some(missing) = MIGRATIONS.get(found..) else {
        return Err(StoreError::TooNew { path: path.to_owned(), found, known: MIGRATIONS.len() });
    };
    for step in missing {
        transaction.execute_batch(step).map_err(sqlite)?;
    }
    let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    transaction.pragma_update(None, "user_version", newest).map_err(sqlite)?;
    transaction.commit().map_err(sqlite)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::super::Store;

    #[test]
    fn many_can_make_the_same_database_at_once() {
        const MANY: usize = 8;
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let (path, start) = (folder.path().join("test.db"), Barrier::new(MANY));
            std::thread::scope(|scope| {
                let open = || {
                    start.wait();
                    Store::open(&path).unwrap();
                };
                (0..MANY).for_each(|_| drop(scope.spawn(open)));
            });
        }
    }
}
