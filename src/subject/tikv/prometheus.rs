//! What is asked of Prometheus.

use super::super::prometheus::Figure;
use crate::reading::Unit;

/// The figures of the stores. A rate over a minute has at least two of the scrapes, which come each 15 s.
pub(super) const STORE_FIGURES: &[Figure] = &[
    // All that clients ask for; without what stores ask of each other.
    Figure {
        name: "p99_latency",
        unit: Unit::Seconds,
        query: r#"histogram_quantile(0.99, sum by (le, instance) (rate(tikv_grpc_msg_duration_seconds_bucket{type=~"raw_.*|kv_.*|coprocessor"}[1m])))"#,
    },
    // Slow here is the disk; slow in the next one alone is the way to a follower.
    Figure {
        name: "append_log_p99",
        unit: Unit::Seconds,
        query: "histogram_quantile(0.99, sum by (le, instance) (rate(tikv_raftstore_append_log_duration_seconds_bucket[1m])))",
    },
    Figure {
        name: "commit_log_p99",
        unit: Unit::Seconds,
        query: "histogram_quantile(0.99, sum by (le, instance) (rate(tikv_raftstore_commit_log_duration_seconds_bucket[1m])))",
    },
    Figure {
        name: "raft_log_lag",
        unit: Unit::Count,
        query: "histogram_quantile(0.99, sum by (le, instance) (rate(tikv_raftstore_log_lag_bucket[1m])))",
    },
    Figure {
        name: "cpu_share",
        unit: Unit::None,
        query: "sum by (instance) (rate(process_cpu_seconds_total[1m])) / on (instance) tikv_server_cpu_cores_quota",
    },
    Figure {
        name: "memory_share",
        unit: Unit::None,
        query: "process_resident_memory_bytes / on (instance) tikv_server_memory_quota_bytes",
    },
    Figure { name: "restarts", unit: Unit::Count, query: r#"changes(process_start_time_seconds{job="tikv"}[15m])"# },
];

/// The figures of the PD members.
pub(super) const PD_FIGURES: &[Figure] = &[
    Figure { name: "restarts", unit: Unit::Count, query: r#"changes(process_start_time_seconds{job="pd"}[15m])"# },
    Figure {
        name: "clock_jumps",
        unit: Unit::Count,
        query: r#"sum by (instance) (changes(pd_tso_events{type="system_time_slow"}[10m])) + on (instance) sum by (instance) (changes(pd_monitor_time_jump_back_total[10m]))"#,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_was_put_to_a_real_prometheus() {
        let path = format!("{}/fixtures/promql/queries.txt", env!("CARGO_MANIFEST_DIR"));
        let asked = std::fs::read_to_string(path).unwrap();
        let asked: Vec<&str> = asked.lines().collect();
        for figure in STORE_FIGURES.iter().chain(PD_FIGURES) {
            assert!(asked.contains(&figure.query), "{} is not in fixtures/promql/queries.txt", figure.query);
        }
    }
}
