//! `operator-run doctor`: what this machine can do.

use std::fmt::Write as _;

use clap::Args;

use super::exit::{Exit, complain, print};
use crate::cluster::compose::doctor::{Finding, State, examine};

/// Those that make Claude write the diagnosis.
const KEYS: [&str; 2] = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"];

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Prints the findings as JSON.
    #[arg(long)]
    json: bool,
}

/// The exit code is 3 where something is missing.
pub(super) async fn run(arguments: &DoctorArgs) -> Exit {
    let mut findings = examine().await;
    findings.push(key());
    let text = if arguments.json {
        serde_json::to_string_pretty(&findings).map(|json| json + "\n")
    } else {
        Ok(table(&findings))
    };
    let missing = findings.iter().any(|finding| finding.state == State::Missing);
    match text {
        Ok(text) => print(&text).max(if missing { Exit::Environment } else { Exit::Pass }),
        Err(error) => complain(Exit::Environment, &format!("cannot write JSON: {error}")),
    }
}

/// Whether there is a key; never what it is.
fn key() -> Finding {
    let is_set = |name: &&str| std::env::var(name).is_ok_and(|value| !value.is_empty());
    if let Some(name) = KEYS.into_iter().find(is_set) {
        return Finding::new("key", State::Ok, format!("{name} is set"), "");
    }
    let advice = format!("set {} to let Claude write the diagnosis; without it the baseline does", KEYS[0]);
    Finding::new("key", State::NotNeeded, "there is none", &advice)
}

fn table(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { what, state, seen, advice } in findings {
        let state = match state {
            State::Ok => "ok",
            State::NotNeeded => "not needed",
            State::Unknown => "unknown",
            State::Missing => "missing",
        };
        let _ = writeln!(text, "{state:<11} {what:<15} {seen}");
        if !advice.is_empty() {
            let _ = writeln!(text, "{:<28}{advice}", "");
        }
    }
    text
}
