//! What became of earlier tickets.

use jiff::Timestamp;
use rusqlite::params;
use serde::de::DeserializeOwned;

use super::{Store, StoreError, from_json, read_timestamp};
use crate::reading::NodeName;

/// A ticket that was diagnosed and is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solved<D> {
    /// The invariant that was violated.
    pub invariant: String,
    /// Where.
    pub node: NodeName,
    /// When it was opened, in the cluster's time.
    pub opened_at: Timestamp,
    /// When the invariant held again.
    pub resolved_at: Timestamp,
    /// Its latest diagnosis.
    pub diagnosis: D,
}

/// Tickets that share a diagnosis are one incident, told by the first of them, if possible one of the invariant.
const SOLVED: &str = "
    SELECT invariant, node, opened_at, changed_at, diagnosis FROM (
        SELECT tickets.*, diagnoses.diagnosis, invariant <> ?3 AS other, row_number() OVER (
            PARTITION BY tickets.run, diagnoses.written_at ORDER BY invariant <> ?3, tickets.id
        ) AS place
        FROM tickets
        JOIN runs ON runs.id = tickets.run
        JOIN diagnoses ON diagnoses.rowid = (SELECT max(rowid) FROM diagnoses WHERE ticket = tickets.id)
        WHERE state = 'resolved' AND scenario = ?1 AND backend = ?2
    )
    WHERE place = 1 ORDER BY other, id DESC LIMIT ?4";

impl Store {
    /// The latest solved tickets of the runs of a scenario on a backend, one of each incident: those of an invariant first,
    /// then the newest.
    pub fn solved<D: DeserializeOwned>(
        &self,
        scenario: &str,
        backend: &str,
        invariant: &str,
        most: usize,
    ) -> Result<Vec<Solved<D>>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let found: Vec<Solved<String>> = self.with(|connection| {
            let mut statement = connection.prepare(SOLVED)?;
            let rows = statement.query_map(params![scenario, backend, invariant, most], |row| {
                Ok(Solved {
                    invariant: row.get("invariant")?,
                    node: NodeName(row.get("node")?),
                    opened_at: read_timestamp(row, "opened_at")?,
                    resolved_at: read_timestamp(row, "changed_at")?,
                    diagnosis: row.get("diagnosis")?,
                })
            })?;
            rows.collect()
        })?;
        let read = |solved: Solved<String>| {
            let Solved { invariant, node, opened_at, resolved_at, diagnosis } = solved;
            Ok(Solved { invariant, node, opened_at, resolved_at, diagnosis: from_json("a diagnosis", &diagnosis)? })
        };
        found.into_iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::TicketState;
    use super::super::tests::{at, store};
    use super::*;

    #[test]
    fn those_of_the_invariant_come_first_then_the_newest_and_one_of_each_incident() {
        let (_folder, store) = store();
        let mut now = 0;
        let mut ticket = |run: &str, invariant: &str, diagnosed_at: Option<i64>, resolved: bool| {
            now += 10;
            let node = NodeName::from(format!("tikv{now}").as_str());
            let ticket = store.open_ticket(run, invariant, &node, "seen", at(now)).unwrap();
            if let Some(second) = diagnosed_at {
                store.write_diagnosis(ticket, "rules", &format!("of {second}"), &(), at(second)).unwrap();
            }
            if resolved {
                store.move_ticket(ticket, TicketState::Resolved, at(now + 5)).unwrap();
            }
        };
        store.start_run("r2", "s", "embedded").unwrap();
        store.start_run("other", "s", "compose").unwrap();
        ticket("r1", "client_errors", Some(25), true);
        ticket("r1", "store_down", Some(25), true);
        ticket("r2", "store_down", Some(35), true);
        ticket("r2", "store_slow", Some(45), true);
        ticket("r2", "store_down", Some(55), false);
        ticket("r2", "store_down", None, true);
        ticket("other", "store_down", Some(75), true);
        let solved = |invariant, most| {
            let solved: Vec<Solved<String>> = store.solved("s", "embedded", invariant, most).unwrap();
            solved.into_iter().map(|one| format!("{} {}", one.invariant, one.diagnosis)).collect::<Vec<_>>()
        };
        assert_eq!(solved("store_down", 9), ["store_down of 35", "store_down of 25", "store_slow of 45"]);
        assert_eq!(solved("client_errors", 2), ["client_errors of 25", "store_slow of 45"]);
        let [first] = store.solved::<String>("s", "embedded", "store_slow", 1).unwrap().try_into().unwrap();
        assert_eq!((first.node, first.opened_at, first.resolved_at), ("tikv40".into(), at(40), at(45)));
    }
}
