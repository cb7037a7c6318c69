//! Tickets of other incidents, which an operator remembers when a ticket is opened. They may help, and they may mislead.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ActionName, Category};
use crate::units::Span;

/// How many are shown at most.
pub const MOST: usize = 3;

/// A ticket of another incident, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PastTicket {
    /// The invariant that was violated.
    pub invariant: String,
    /// Where: a node, the role of a node that is not named, or `cluster`.
    pub on: String,
    /// How long before the ticket at hand it was opened.
    pub ago: Span,
    /// The cause that was found then.
    pub cause: Category,
    /// The action that was recommended then.
    pub action: ActionName,
    /// How soon the invariant held again; none if it was not resolved.
    #[serde(default)]
    pub resolved_after: Option<Span>,
}

impl PastTicket {
    /// The same in a line.
    pub(super) fn line(&self) -> String {
        let Self { invariant, on, ago, cause, action, resolved_after } = self;
        let end = resolved_after.map_or("not resolved".to_owned(), |after| format!("resolved after {after}"));
        format!("{invariant} on {on}, {} ago: {cause} was found, {action} was recommended; {end}", rough(*ago))
    }
}

/// A span that is long in days, since hours of it say nothing.
fn rough(span: Span) -> String {
    const DAY: u64 = 24 * 3600;
    match span.0.as_secs() {
        seconds if seconds >= 2 * DAY => format!("{} days", seconds / DAY),
        seconds => Span(Duration::from_secs(seconds)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_told_in_a_line() {
        let ticket = |ago, resolved_after: Option<&str>| PastTicket {
            invariant: "store_down".to_owned(),
            on: "tikv".to_owned(),
            ago: Span::parse(ago).unwrap(),
            cause: "process_crash".into(),
            action: "restart_store".into(),
            resolved_after: resolved_after.map(|span| Span::parse(span).unwrap()),
        };
        assert_eq!(
            ticket("75h", Some("1m30s")).line(),
            "store_down on tikv, 3 days ago: process_crash was found, restart_store was recommended; \
             resolved after 1m 30s"
        );
        assert!(ticket("90m", None).line().ends_with("restart_store was recommended; not resolved"));
    }
}
