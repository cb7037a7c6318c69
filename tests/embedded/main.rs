//! Tests that need nothing but this process: models of clusters, and real servers on loopback.

mod claude;
mod scenarios;
mod tikv_model;
mod tikv_recordings;
