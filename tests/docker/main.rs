//! Tests on a real Docker engine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod promql;
