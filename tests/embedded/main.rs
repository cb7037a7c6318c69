//! Tests that need nothing but this process: models of clusters, and real servers on loopback.

mod claude;
mod promql;
mod tikv_model;
