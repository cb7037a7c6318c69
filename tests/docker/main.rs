//! Tests on a real Docker engine, with a real etcd and a double of TiKV: the program as a person calls it, and what it leaves behind.
//!
//! Without an engine or the images they are skipped, which they say on standard error; with
//! `OPERATOR_RUN_REQUIRE_DOCKER=1` they fail instead.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod beside;
mod control;
mod control_groups;
mod engine;
mod environment;
mod faults;
mod gate;
mod interrupted;
mod killed;
mod library;
mod network;
mod on_cluster;
mod program;
mod promql;
mod scenario;
mod tikv;
