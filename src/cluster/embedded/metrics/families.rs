//! The families: names, types and help texts, as recorded.

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Kind {
    Counter,
    Gauge,
    /// A part of a histogram, whose name ends with what part it is.
    Histogram,
}

/// A family of samples.
#[derive(Debug)]
pub(in super::super) struct Family {
    pub(in super::super) name: &'static str,
    pub(in super::super) kind: Kind,
    pub(in super::super) help: &'static str,
}

impl Family {
    /// The name of the family that it is of, or is a part of.
    pub(super) fn base_name(&self) -> &'static str {
        match (self.kind, self.name.rsplit_once('_')) {
            (Kind::Histogram, Some((base, _))) => base,
            _ => self.name,
        }
    }
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, help }
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, help }
}

/// A histogram, by its parts.
#[derive(Debug)]
pub(super) struct Histogram {
    pub(super) bucket: Family,
    pub(super) count: Family,
    pub(super) sum: Family,
    /// The first bound, and how many there are, each twice the one before.
    layout: (f64, usize),
    /// The bounds after those.
    further: &'static [f64],
}

impl Histogram {
    /// The upper bounds of its buckets, in seconds or entries, but for the last, which is infinite.
    pub(super) fn bounds(&self) -> impl Iterator<Item = f64> {
        let (first, count) = self.layout;
        std::iter::successors(Some(first), |bound| Some(2.0 * bound)).take(count).chain(self.further.iter().copied())
    }
}

const fn histogram(
    names: [&'static str; 3],
    help: &'static str,
    layout: (f64, usize),
    further: &'static [f64],
) -> Histogram {
    let [bucket, sum, count] = names;
    Histogram {
        bucket: Family { name: bucket, kind: Kind::Histogram, help },
        sum: Family { name: sum, kind: Kind::Histogram, help },
        count: Family { name: count, kind: Kind::Histogram, help },
        layout,
        further,
    }
}

/// A histogram of this name.
macro_rules! histogram {
    ($name:literal, $help:literal, $layout:expr $(, $further:literal)*) => {
        histogram(
            [concat!($name, "_bucket"), concat!($name, "_sum"), concat!($name, "_count")],
            $help,
            $layout,
            &[$($further),*],
        )
    };
}

pub(super) static CPU_SECONDS: Family =
    counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.");
pub(super) static START_TIME: Family =
    gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.");

// PD and the etcd in it.
pub(super) static ETCD_HAS_LEADER: Family =
    gauge("etcd_server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not.");
pub(super) static ETCD_ID: Family =
    gauge("etcd_server_id", "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.");
pub(super) static ETCD_IS_LEADER: Family =
    gauge("etcd_server_is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise.");
pub(super) static ETCD_LEADER_CHANGES: Family =
    counter("etcd_server_leader_changes_seen_total", "The number of leader changes seen.");
pub(super) static CHECKER_EVENTS: Family = counter("pd_checker_event_count", "Counter of checker events.");
pub(super) static OPERATORS: Family = counter("pd_schedule_operators_count", "Counter of schedule operators.");
/// `pd:pkg/schedule/schedulers/metrics.go`; the recorded cluster had no slow store.
pub(super) static EVICTED_SLOW_STORE: Family =
    gauge("pd_scheduler_evicted_slow_store_status", "Store evicted leaders due to slow");
/// `pd:pkg/statistics/hot_cache.go`.
pub(super) static HOT_CACHE: Family = gauge("pd_hotcache_status", "Status of the hotspot.");
pub(super) static CLUSTER_HEALTH: Family = gauge("pd_cluster_health_status", "Status of the cluster.");
pub(super) static CLUSTER_METADATA: Family = gauge("pd_cluster_metadata", "Record critical metadata.");
pub(super) static CLUSTER_STATUS: Family = gauge("pd_cluster_status", "Status of the cluster.");
pub(super) static REGIONS_STATUS: Family = gauge("pd_regions_status", "Status of the regions.");
pub(super) static REGION_HEARTBEAT: Family = counter("pd_scheduler_region_heartbeat", "Counter of region heartbeat.");
pub(super) static STORE_STATUS: Family = gauge("pd_scheduler_store_status", "Store status for schedule");
pub(super) static TIME_JUMPS: Family =
    counter("pd_monitor_time_jump_back_total", "Counter of system time jumps backward.");
pub(super) static TSO_EVENTS: Family = counter("pd_tso_events", "Counter of tso events");
pub(super) static TSO_ROLE: Family =
    gauge("pd_tso_role", "Indicate the PD server role info, whether it's a TSO allocator.");
pub(super) static MEMBER_ROLE: Family = gauge("service_member_role", "The leader/primary of services");

// TiKV. The buckets are those of `tikv:src/server/metrics.rs`, `tikv:components/raftstore/src/store/metrics.rs` and
// `tikv:src/server/raftkv/mod.rs`.
pub(super) static GRPC_MESSAGE: Histogram =
    histogram!("tikv_grpc_msg_duration_seconds", "Bucketed histogram of grpc server messages", (50e-6, 22));
pub(super) static APPEND_LOG: Histogram = histogram!(
    "tikv_raftstore_append_log_duration_seconds",
    "Bucketed histogram of peer appending log duration.",
    (10e-6, 26)
);
pub(super) static APPLY_LOG: Histogram = histogram!(
    "tikv_raftstore_apply_log_duration_seconds",
    "Bucketed histogram of peer applying log duration.",
    (10e-6, 26)
);
pub(super) static COMMIT_LOG: Histogram = histogram!(
    "tikv_raftstore_commit_log_duration_seconds",
    "Bucketed histogram of peer commits logs duration.",
    (10e-6, 32)
);
/// In entries of the Raft log.
pub(super) static LOG_LAG: Histogram =
    histogram!("tikv_raftstore_log_lag", "Bucketed histogram of log lag in a region.", (2.0, 10), 5120.0, 10240.0);
pub(super) static ASYNC_REQUEST: Histogram = histogram!(
    "tikv_storage_engine_async_request_duration_seconds",
    "Bucketed histogram of processing successful asynchronous requests.",
    (10e-6, 32)
);
pub(super) static ASYNC_REQUESTS: Family =
    counter("tikv_storage_engine_async_request_total", "Total number of engine asynchronous requests");
pub(super) static CORES_QUOTA: Family = gauge("tikv_server_cpu_cores_quota", "Total CPU cores quota for TiKV server");
pub(super) static MEMORY_QUOTA: Family =
    gauge("tikv_server_memory_quota_bytes", "Total memory bytes quota for TiKV server");
pub(super) static HEARTBEAT_MESSAGES: Family =
    counter("tikv_pd_heartbeat_message_total", "Total number of PD heartbeat messages.");
pub(super) static RESIDENT: Family = gauge("process_resident_memory_bytes", "Resident memory size in bytes.");
pub(super) static REGION_COUNT: Family =
    gauge("tikv_raftstore_region_count", "Number of regions collected in region_collector");
pub(super) static SLOW_SCORE: Family = gauge("tikv_raftstore_slow_score", "Slow score of the store.");
pub(super) static SERVER_INFO: Family =
    gauge("tikv_server_info", "Indicate the tikv server info, and the value is the server startup timestamp(s).");
/// A gauge in spite of its name.
pub(super) static THREAD_CPU: Family =
    gauge("tikv_thread_cpu_seconds_total", "Total user and system CPU time spent in seconds by threads.");
pub(super) static STORE_SIZE: Family = gauge("tikv_store_size_bytes", "Size of storage.");
