//! The tables, as steps from one version to the next. A step that has been released is never changed.

/// Step `n` brings a database from `user_version` n to n + 1.
pub(super) const MIGRATIONS: &[&str] = &[
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
