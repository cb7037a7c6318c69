//! The journal of injections: what was done to clusters, how it is undone, and by whom, so that another process can.

use jiff::Timestamp;
use rusqlite::params;

use super::{Store, StoreError, from_json, json};
use crate::cluster::{Fault, Undo};
use crate::runner::Runner;

/// A run that has not ended, or of which a fault is not healed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Its id.
    pub run: String,
    /// The scenario's name.
    pub scenario: String,
    /// The backend's name.
    pub backend: String,
    /// The process that runs it. None if an older version of this program has written it down.
    pub runner: Option<Runner>,
}

impl Store {
    /// Writes an injection down, before it is done. Returns its number.
    pub fn write_injection(&self, run: &str, fault: &Fault, undo: &Undo, at: Timestamp) -> Result<i64, StoreError> {
        let (fault, undo) = (json("a fault", fault)?, json("an undo", undo)?);
        self.with(|connection| {
            connection.query_row(
                "INSERT INTO injections (run, fault, undo, written_at) VALUES (?1, ?2, ?3, ?4) RETURNING id",
                params![run, fault, undo, at.to_string()],
                |row| row.get(0),
            )
        })
    }

    /// Marks an injection as healed.
    pub fn mark_healed(&self, injection: i64, at: Timestamp) -> Result<(), StoreError> {
        self.execute("UPDATE injections SET healed_at = ?2 WHERE id = ?1", params![injection, at.to_string()])
    }

    /// What undoes the injections of a run that are not healed, the latest first.
    pub fn unhealed(&self, run: &str) -> Result<Vec<(i64, Undo)>, StoreError> {
        let rows: Vec<(i64, String)> = self.with(|connection| {
            let mut statement = connection
                .prepare("SELECT id, undo FROM injections WHERE run = ?1 AND healed_at IS NULL ORDER BY id DESC")?;
            statement.query_map([run], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })?;
        rows.into_iter().map(|(id, undo)| Ok((id, from_json("an undo", &undo)?))).collect()
    }

    /// The runs that have not ended or are not healed, the oldest first.
    pub fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        type Columns = (String, String, String, Option<String>);
        let rows: Vec<Columns> = self.with(|connection| {
            let mut statement = connection.prepare(
                "SELECT id, scenario, backend, runner FROM runs
                 WHERE ended_at IS NULL OR id IN (SELECT run FROM injections WHERE healed_at IS NULL)
                 ORDER BY started_at",
            )?;
            let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
            statement.query_map([], columns)?.collect()
        })?;
        let read = |(run, scenario, backend, runner): Columns| {
            let runner = runner.map(|text| from_json("a runner", &text)).transpose()?;
            Ok(Unfinished { run, scenario, backend, runner })
        };
        rows.into_iter().map(read).collect()
    }

    /// Closes a run whose process is gone and of which nothing is left: its faults are healed, and it ended as an error,
    /// unless it has a verdict.
    pub fn close_run(&self, run: &str, at: Timestamp) -> Result<(), StoreError> {
        let at = at.to_string();
        self.execute("UPDATE injections SET healed_at = ?2 WHERE run = ?1 AND healed_at IS NULL", params![run, at])?;
        self.execute(
            "UPDATE runs SET ended_at = ?2, verdict = 'error' WHERE id = ?1 AND ended_at IS NULL",
            params![run, at],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, store};
    use super::*;
    use crate::cluster::FaultKind;
    use crate::reading::NodeName;
    use crate::runner::Life;

    #[test]
    fn the_journal_gives_back_what_is_not_healed() {
        let (folder, store) = store();
        let node = NodeName::from("tikv1");
        let (fault, undo) = (Fault::new(FaultKind::KILL, node.clone()), Undo::Start { node });
        let healed = store.write_injection("r1", &fault, &undo, at(1)).unwrap();
        let left = store.write_injection("r1", &fault, &undo, at(2)).unwrap();
        store.mark_healed(healed, at(3)).unwrap();
        let other = Store::open(&folder.path().join("new").join("test.db")).unwrap();
        assert_eq!(other.unhealed("r1").unwrap(), [(left, undo)]);
    }

    #[test]
    fn a_run_is_unfinished_until_it_has_ended_and_is_healed() {
        let (_folder, store) = store();
        let [found] = store.unfinished().unwrap().try_into().unwrap();
        assert_eq!((found.run.as_str(), found.backend.as_str()), ("r1", "embedded"));
        assert_eq!(found.runner.unwrap().life(), Life::Alive);

        let fault = Fault::new(FaultKind::Pause, "tikv1".into());
        store.write_injection("r1", &fault, &fault.undo(), at(1)).unwrap();
        store.end_run("r1", "pass", &"a record").unwrap();
        assert_eq!(store.unfinished().unwrap().len(), 1, "a fault is not healed");

        store.close_run("r1", at(2)).unwrap();
        assert_eq!(store.unfinished().unwrap(), []);
        let verdict =
            store.with(|database| database.query_row("SELECT verdict FROM runs", [], |row| row.get::<_, String>(0)));
        assert_eq!(verdict.unwrap(), "pass", "it has ended by itself");
    }

    #[test]
    fn a_run_of_an_older_version_has_no_runner() {
        let (_folder, store) = store();
        store.execute("UPDATE runs SET runner = NULL", []).unwrap();
        assert_eq!(store.unfinished().unwrap()[0].runner, None);
    }
}
