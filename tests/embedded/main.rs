//! Tests that need nothing but this process: models of clusters, and real servers on loopback.

mod claude;
mod prometheus;
mod promql;
mod serve;
mod tikv_model;
