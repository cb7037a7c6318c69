//! The processor time of a store by its threads: `tikv_thread_cpu_seconds_total`.

use super::Take;
use super::families::THREAD_CPU;

/// A thread that takes a part of something, in seconds of fixtures/recordings/baseline-metrics.prom.gz. Those that took
/// next to none there are left out.
struct Thread {
    name: &'static str,
    tid: &'static str,
    seconds: f64,
    /// It works for the clients, and not for itself.
    of_load: bool,
}

const fn thread(name: &'static str, tid: &'static str, seconds: f64, of_load: bool) -> Thread {
    Thread { name, tid, seconds, of_load }
}

/// In the order of their names. That of the raftstore has the store's id in its name.
static THREADS: [Thread; 15] = [
    thread("apply_0", "107", 0.09, true),
    thread("background_0", "20", 0.27, false),
    thread("background_1", "21", 0.28, false),
    thread("grpc_server_0", "14", 0.47, true),
    thread("grpc_server_1", "15", 0.19, true),
    thread("pd_worker_0", "54", 0.07, false),
    thread("raftstore", "106", 0.45, true),
    thread("res_meter_rec_0", "60", 0.44, false),
    thread("stats_monitor", "109", 0.6, false),
    thread("status_server", "145", 0.58, false),
    thread("store_writer_0", "104", 0.24, true),
    thread("timer", "18", 0.84, false),
    thread("trans_stats", "76", 0.31, false),
    thread("unified_read_pool_0", "55", 0.02, true),
    thread("unified_read_pool_1", "56", 0.01, true),
];

/// Shares out the seconds that a store has taken for its clients and for itself.
pub(super) fn collect(store: u64, for_clients: f64, for_itself: f64, take: &mut Take) {
    let of = |of_load: bool| THREADS.iter().filter(move |thread| thread.of_load == of_load);
    let whole = |of_load: bool| of(of_load).map(|thread| thread.seconds).sum::<f64>();
    let (load, idle) = (for_clients / whole(true), for_itself / whole(false));
    let raftstore = format!("raftstore_{store}_0");
    for thread in &THREADS {
        let name = if thread.name == "raftstore" { &raftstore } else { thread.name };
        let seconds = thread.seconds * if thread.of_load { load } else { idle };
        // The kernel counts in hundredths of a second.
        take(&THREAD_CPU, &[("name", name), ("tid", thread.tid)], (seconds * 100.0).floor() / 100.0);
    }
}
