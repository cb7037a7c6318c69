//! Tests that need nothing but this process: models of clusters, and real servers on loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::type_complexity, reason = "a row of a table of cases is a tuple")]

mod as_baseline;
mod ask_claude;
mod bench;
mod calls;
mod claude;
mod compose_files;
mod control;
mod counterfactual;
mod diagnosers;
mod doctor;
mod failures;
mod find;
mod judge;
mod load;
mod mistakes;
mod mutations;
mod on_call;
mod past;
mod prometheus;
mod prompts;
mod promql;
mod properties;
mod prove;
mod recording;
mod rules;
mod runs;
mod scenarios;
mod schema;
mod scripted;
mod secrecy;
mod serve;
mod severities;
mod snapshot_folder;
mod snapshots;
mod spy;
mod tikv_invariants;
mod tikv_model;
mod tikv_recordings;
mod tikv_remedies;
mod tikv_symptoms;
mod timelines;
mod timing;
