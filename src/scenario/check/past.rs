//! Checks what is said of past tickets.

use super::Checker;
use crate::diagnosis::past::{MOST, PastTicket};
use crate::scenario::tree::Step;
use crate::subject;

impl Checker<'_> {
    pub(super) fn past_tickets(&mut self) {
        let past = &self.scenario.past_tickets;
        let count = past.len();
        if count > MOST {
            let message = format!("a diagnoser is shown {MOST} past tickets at most, not {count}");
            self.say(&["past_tickets".into()], message, "keep those that are most like the one at hand");
        }
        if count > 0 && self.scenario.rubric.is_none() {
            self.say(&["past_tickets".into()], "nobody is shown these tickets: there is no rubric", "");
        }
        for (index, ticket) in past.iter().enumerate() {
            self.past_ticket(index, ticket);
        }
    }

    fn past_ticket(&mut self, index: usize, ticket: &PastTicket) {
        let PastTicket { invariant, on, ago, cause, action, resolved_after } = ticket;
        let path = |key: &'static str| [Step::from("past_tickets"), index.into(), key.into()];
        self.invariant(&path("invariant"), invariant);
        let mut places = self.checked_on(invariant);
        let of_role = |role: &str| self.nodes.iter().any(|node| node.role == role && places.contains(&node.name.0));
        let roles: Vec<&str> = self.subject.manual().roles.iter().map(|role| role.name).collect();
        let roles: Vec<String> = roles.into_iter().filter(|role| of_role(role)).map(str::to_owned).collect();
        places.extend(roles);
        self.is_checked_on(&path("on"), invariant, on, &places);
        let causes: Vec<&str> = subject::categories(self.subject).map(|term| term.name).collect();
        if !causes.contains(&cause.0.as_str()) {
            self.unknown(&path("cause"), "cause", &cause.0, causes);
        }
        let actions: Vec<&str> = subject::actions(self.subject).map(|action| action.name).collect();
        if !actions.contains(&action.0.as_str()) {
            self.unknown(&path("action"), "action", &action.0, actions);
        }
        if ago.0.is_zero() {
            self.say(&path("ago"), "a past ticket was opened before the one at hand", "");
        } else if resolved_after.is_some_and(|after| after > *ago) {
            let message = format!("a ticket that was opened {ago} ago is not resolved yet");
            self.say(&path("resolved_after"), message, "leave it out for a ticket that was not resolved");
        }
    }
}
