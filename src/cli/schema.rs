//! `operator-run schema`.

use super::exit::{Exit, complain, print};
use crate::scenario;

pub(super) fn print_schema() -> Exit {
    match serde_json::to_string_pretty(&scenario::json_schema()) {
        Ok(schema) => print(&(schema + "\n")),
        Err(error) => complain(Exit::Environment, &error.to_string()),
    }
}
