//! What is asked of Prometheus. Each metric is in etcd 3.4 and 3.5 (etcd: server/etcdserver/metrics.go,
//! server/storage/backend/metrics.go, server/storage/wal/metrics.go, server/etcdserver/api/rafthttp/metrics.go).

use super::super::prometheus::Figure;
use crate::reading::Unit;

/// The figures of the members. A window of 10 s has ten scrapes.
pub(super) const MEMBER_FIGURES: &[Figure] = &[
    Figure { name: "prometheus_up", unit: Unit::None, query: r#"up{job="etcd"}"# },
    Figure {
        name: "fsync_p99",
        unit: Unit::Seconds,
        query: "histogram_quantile(0.99, sum by (le, instance) (rate(etcd_disk_wal_fsync_duration_seconds_bucket[10s])))",
    },
    Figure {
        name: "commit_p99",
        unit: Unit::Seconds,
        query: "histogram_quantile(0.99, sum by (le, instance) (rate(etcd_disk_backend_commit_duration_seconds_bucket[10s])))",
    },
    // A member notes it each 30 s, or each 5 s of a peer that it cannot reach
    // (etcd: server/etcdserver/api/rafthttp/probing_status.go).
    Figure {
        name: "peer_round_trip_p99",
        unit: Unit::Seconds,
        query: "histogram_quantile(0.99, sum by (le, instance) (rate(etcd_network_peer_round_trip_time_seconds_bucket[1m])))",
    },
    Figure { name: "active_peers", unit: Unit::Count, query: "sum by (instance) (etcd_network_active_peers)" },
    Figure { name: "leader_changes", unit: Unit::Count, query: "increase(etcd_server_leader_changes_seen_total[15m])" },
    Figure { name: "failed_proposals", unit: Unit::Count, query: "increase(etcd_server_proposals_failed_total[1m])" },
    Figure { name: "pending_proposals", unit: Unit::Count, query: "etcd_server_proposals_pending" },
    Figure { name: "slow_applies", unit: Unit::Count, query: "increase(etcd_server_slow_apply_total[1m])" },
    Figure {
        name: "late_heartbeats",
        unit: Unit::Count,
        query: "increase(etcd_server_heartbeat_send_failures_total[1m])",
    },
    Figure { name: "db_quota", unit: Unit::Bytes, query: "etcd_server_quota_backend_bytes" },
    Figure { name: "cpu_cores", unit: Unit::Count, query: r#"rate(process_cpu_seconds_total{job="etcd"}[10s])"# },
    Figure {
        name: "fd_share",
        unit: Unit::None,
        query: r#"process_open_fds{job="etcd"} / process_max_fds{job="etcd"}"#,
    },
];
