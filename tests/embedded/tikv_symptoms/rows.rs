//! The table.

use std::time::Duration;

use jiff::SignedDuration;
use operator_run::cluster::{Direction, FaultKind};
use operator_run::units::{Rate, Shift, Size, Span};

use super::Part::{PdFollower, PdLeader, Store, Victim};
use super::Sign::{Answer, DownPeers, HotWrites, LeadersAtMost, Line, Metric, Process, SlowScore, State};
use super::{Row, cut};

const NEVER: super::When = None;
const GIB: u64 = 1 << 30;

fn span(milliseconds: u64) -> Span {
    Span(Duration::from_millis(milliseconds))
}

fn cut_from(others: &str) -> FaultKind {
    FaultKind::Partition { from: vec![others.into()], direction: Direction::Both }
}

const NO_RECOVERY: &[(super::Sign, super::When)] = &[];

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "store SIGKILL",
        faults: || vec![(FaultKind::KILL, Victim)],
        signs: &[
            (Process(Victim, "exited(137)"), Some((0.0, 0.1))),
            (Answer(Victim, 0), Some((0.0, 0.1))),
            (Line(Store(0), "connection abort"), Some((0.0, 1.0))),
            (Line(Store(1), "broadcasting unreachable"), Some((0.0, 1.0))),
            (Line(PdLeader, "leader changed"), Some((1.0, 20.0))),
            (State(Victim, "Disconnected"), Some((10.0, 21.1))),
            (LeadersAtMost(Victim, 0), Some((8.0, 21.1))),
            (Line(PdLeader, "store maybe disconnected"), Some((0.0, 61.0))),
            (State(Victim, "Down"), NEVER),
            (DownPeers(1), NEVER),
        ],
        seconds: 90,
        recovery: &[
            (Process(Victim, "running"), Some((0.0, 0.1))),
            (Line(Victim, "TiKV is ready to serve"), Some((0.5, 1.0))),
            (State(Victim, "Up"), Some((3.0, 15.0))),
        ],
        recovery_seconds: 20,
    },
    Row {
        name: "store SIGKILL, for long",
        faults: || vec![(FaultKind::KILL, Victim)],
        signs: &[
            (State(Victim, "Disconnected"), Some((10.0, 21.1))),
            (DownPeers(1), Some((600.0, 680.0))),
            (State(Victim, "Down"), Some((1790.0, 1801.5))),
        ],
        seconds: 1810,
        recovery: &[(State(Victim, "Up"), Some((3.0, 15.0)))],
        recovery_seconds: 20,
    },
    Row {
        name: "store SIGSTOP",
        faults: || vec![(FaultKind::Pause, Victim)],
        signs: &[
            (Process(Victim, "paused"), Some((0.0, 0.6))),
            (Answer(Victim, -1), Some((0.0, 0.6))),
            (Line(PdLeader, "leader changed"), Some((7.0, 25.0))),
            (State(Victim, "Disconnected"), Some((10.0, 21.6))),
            (LeadersAtMost(Victim, 0), Some((10.0, 26.6))),
            (Line(Victim, "stepped down"), NEVER),
        ],
        seconds: 60,
        recovery: &[
            (Process(Victim, "running"), Some((0.0, 0.1))),
            (Line(Victim, "received a message with higher term"), Some((0.0, 3.0))),
            (State(Victim, "Up"), Some((0.0, 10.0))),
            (Line(Victim, "Welcome to TiKV"), NEVER),
        ],
        recovery_seconds: 20,
    },
    Row {
        name: "two of three stores down",
        faults: || vec![(FaultKind::KILL, Victim), (FaultKind::KILL, Store(0))],
        signs: &[
            (State(Victim, "Disconnected"), Some((10.0, 21.1))),
            (State(Store(0), "Disconnected"), Some((10.0, 21.1))),
            (Line(Store(1), "stepped down to follower since quorum is not active"), Some((10.0, 21.0))),
            (Line(Store(1), "became pre-candidate"), Some((1.0, 25.0))),
            (LeadersAtMost(Victim, 0), NEVER),
            (LeadersAtMost(Store(0), 0), NEVER),
            (Line(Store(1), "became candidate"), NEVER),
            (DownPeers(1), NEVER),
        ],
        seconds: 700,
        recovery: &[(State(Victim, "Up"), Some((3.0, 15.0)))],
        recovery_seconds: 30,
    },
    Row {
        name: "PD leader SIGKILL",
        faults: || vec![(FaultKind::KILL, PdLeader)],
        signs: &[
            (Answer(PdLeader, 0), Some((0.0, 0.1))),
            (Answer(PdFollower(0), 500), Some((0.0, 0.1))),
            (Line(PdFollower(0), "elected leader"), Some((3.0, 6.0))),
            (Line(PdFollower(0), "current leadership is deleted"), Some((11.0, 14.0))),
            (Answer(PdFollower(0), 200), Some((11.0, 15.5))),
            (State(Victim, "Disconnected"), Some((11.0, 16.0))),
            (State(Victim, "Up"), Some((14.0, 28.0))),
        ],
        seconds: 40,
        recovery: &[(Answer(PdLeader, 200), Some((0.5, 2.5)))],
        recovery_seconds: 10,
    },
    Row {
        name: "PD leader SIGSTOP",
        faults: || vec![(FaultKind::Pause, PdLeader)],
        signs: &[
            (Answer(PdLeader, -1), Some((0.0, 0.6))),
            (Answer(PdFollower(0), -1), Some((0.0, 0.6))),
            (Answer(PdFollower(0), 500), NEVER),
            (Answer(PdFollower(0), 200), Some((11.0, 16.0))),
            (State(Victim, "Disconnected"), Some((11.0, 17.0))),
        ],
        seconds: 30,
        recovery: &[(Answer(PdLeader, 200), Some((0.0, 2.0)))],
        recovery_seconds: 10,
    },
    Row {
        name: "PD quorum loss, the leader survives",
        faults: || vec![(FaultKind::KILL, PdFollower(0)), (FaultKind::KILL, PdFollower(1))],
        signs: &[
            (Answer(PdLeader, 200), Some((0.0, 1.1))),
            (Line(PdLeader, "stepped down to follower since quorum is not active"), Some((3.0, 6.0))),
            (Line(PdLeader, "pd leader will step down"), Some((3.0, 6.0))),
            (Answer(PdLeader, -1), Some((3.0, 8.0))),
            (Metric(PdLeader, "etcd_server_has_leader", -0.5), Some((3.0, 8.0))),
            (Line(Victim, "store heartbeat failed"), Some((3.0, 16.0))),
            (Answer(PdLeader, 500), NEVER),
            (Line(Victim, "stepped down"), NEVER),
        ],
        seconds: 60,
        recovery: &[(Answer(PdLeader, 200), Some((3.0, 15.5))), (State(Victim, "Up"), Some((3.0, 30.0)))],
        recovery_seconds: 40,
    },
    Row {
        name: "PD quorum loss, a follower survives",
        faults: || vec![(FaultKind::KILL, PdLeader), (FaultKind::KILL, PdFollower(1))],
        signs: &[
            (Answer(PdFollower(0), 500), Some((0.0, 0.1))),
            (Line(PdFollower(0), "getting pd leader meets error"), Some((3.0, 6.0))),
            (Answer(PdFollower(0), -1), Some((9.0, 16.0))),
            (Answer(PdFollower(0), 200), NEVER),
        ],
        seconds: 60,
        recovery: &[(Answer(PdFollower(0), 200), Some((3.0, 18.0)))],
        recovery_seconds: 30,
    },
    Row {
        name: "store full partition",
        faults: || vec![(cut(Direction::Both), Victim)],
        signs: &[
            (Process(Victim, "running"), Some((0.0, 0.6))),
            (Answer(Victim, -1), Some((0.0, 0.6))),
            (Line(Store(0), "broadcasting unreachable"), Some((3.0, 4.0))),
            (Line(PdLeader, "leader changed"), Some((5.0, 21.0))),
            (State(Victim, "Disconnected"), Some((10.0, 21.6))),
            (Line(Victim, "stepped down to follower since quorum is not active"), Some((10.0, 21.0))),
            (LeadersAtMost(Victim, 0), Some((8.0, 22.0))),
            (Line(Victim, "wait connect timeout"), Some((8.0, 9.0))),
        ],
        seconds: 60,
        recovery: &[(Answer(Victim, 200), Some((0.0, 0.1))), (State(Victim, "Up"), Some((0.0, 10.6)))],
        recovery_seconds: 20,
    },
    Row {
        name: "one-way loss: what the store sends",
        faults: || vec![(cut(Direction::Out), Victim)],
        signs: &[
            (Answer(Victim, -1), Some((0.0, 0.6))),
            (Line(PdLeader, "leader changed"), Some((5.0, 21.0))),
            (State(Victim, "Disconnected"), Some((10.0, 21.6))),
            (LeadersAtMost(Victim, 0), Some((8.0, 22.0))),
        ],
        seconds: 40,
        recovery: &[(State(Victim, "Up"), Some((0.0, 10.6)))],
        recovery_seconds: 20,
    },
    Row {
        name: "one-way loss: what the store is sent",
        faults: || vec![(cut(Direction::In), Victim)],
        signs: &[
            (Answer(Victim, -1), Some((0.0, 0.6))),
            (Line(Store(0), "broadcasting unreachable"), Some((6.0, 7.5))),
            (Line(PdLeader, "leader changed"), Some((8.0, 25.0))),
            (State(Victim, "Disconnected"), Some((13.0, 25.1))),
            (LeadersAtMost(Victim, 0), Some((11.0, 25.1))),
        ],
        seconds: 40,
        recovery: &[(State(Victim, "Up"), Some((0.0, 10.6)))],
        recovery_seconds: 20,
    },
    Row {
        name: "pairwise loss",
        faults: || vec![(cut_from("store"), Victim)],
        signs: &[
            (Line(Victim, "broadcasting unreachable"), Some((3.0, 4.0))),
            (Line(Store(0), "broadcasting unreachable"), Some((3.0, 4.0))),
            (Line(Store(0), "became pre-candidate"), Some((4.0, 21.0))),
            (Line(Store(1), "lease is not expired"), Some((4.0, 21.0))),
            (State(Victim, "Disconnected"), NEVER),
            (State(Store(0), "Disconnected"), NEVER),
            (Line(PdLeader, "leader changed"), NEVER),
            (Line(Victim, "became leader"), NEVER),
            (Line(Store(0), "became candidate"), NEVER),
            (Line(Store(1), "broadcasting unreachable"), NEVER),
            (DownPeers(1), Some((600.0, 665.0))),
        ],
        seconds: 680,
        recovery: &[
            (Line(Victim, "connection established"), Some((0.0, 1.0))),
            (Line(Store(0), "became pre-candidate"), NEVER),
        ],
        recovery_seconds: 60,
    },
    Row {
        name: "a store cut off from the other stores",
        faults: || vec![(cut_from("stores"), Victim)],
        signs: &[
            (Answer(Victim, 200), Some((0.0, 0.1))),
            (Line(PdLeader, "leader changed"), Some((5.0, 21.0))),
            (LeadersAtMost(Victim, 0), Some((8.0, 22.0))),
            (State(Victim, "Disconnected"), NEVER),
        ],
        seconds: 60,
        recovery: &[(Line(Victim, "connection established"), Some((0.0, 1.0)))],
        recovery_seconds: 20,
    },
    Row {
        name: "a store cut off from PD",
        faults: || vec![(cut_from("pd"), Victim)],
        signs: &[
            (Answer(Victim, 200), Some((0.0, 0.1))),
            (Line(Victim, "store heartbeat failed"), Some((0.0, 11.0))),
            (State(Victim, "Disconnected"), Some((10.0, 21.1))),
            (LeadersAtMost(Victim, 0), NEVER),
            (Line(PdLeader, "leader changed"), NEVER),
            (Line(Store(0), "broadcasting unreachable"), NEVER),
        ],
        seconds: 60,
        recovery: &[(State(Victim, "Up"), Some((0.0, 11.1)))],
        recovery_seconds: 20,
    },
    Row {
        name: "latency on one store",
        faults: || vec![(FaultKind::Delay { by: span(300), jitter: None }, Victim)],
        signs: &[
            (Answer(Victim, -1), Some((0.0, 0.6))),
            (Answer(Store(0), 200), Some((0.0, 0.6))),
            (State(Victim, "Disconnected"), NEVER),
            (SlowScore(Victim, 2), NEVER),
            (Line(PdLeader, "leader changed"), NEVER),
        ],
        seconds: 60,
        recovery: &[(Answer(Victim, 200), Some((0.0, 0.1)))],
        recovery_seconds: 5,
    },
    Row {
        name: "latency of several seconds",
        faults: || vec![(FaultKind::Delay { by: span(5_000), jitter: None }, Victim)],
        signs: &[
            (Answer(Victim, -1), Some((0.0, 0.6))),
            (Line(PdLeader, "leader changed"), Some((5.0, 21.0))),
            (State(Victim, "Disconnected"), Some((10.0, 21.6))),
        ],
        seconds: 40,
        recovery: &[(State(Victim, "Up"), Some((0.0, 10.6)))],
        recovery_seconds: 20,
    },
    Row {
        name: "packet loss",
        faults: || vec![(FaultKind::Loss { percent: 70 }, Victim)],
        signs: &[
            (Answer(Victim, -1), Some((0.0, 0.6))),
            (State(Victim, "Disconnected"), NEVER),
            (Line(PdLeader, "leader changed"), NEVER),
        ],
        seconds: 60,
        recovery: &[(Answer(Victim, 200), Some((0.0, 0.1)))],
        recovery_seconds: 5,
    },
    Row {
        name: "disk full",
        faults: || vec![(FaultKind::FillDisk { leave: Size(GIB * 4 / 5) }, Victim)],
        signs: &[
            (Line(Victim, "disk usage Normal->AlmostFull"), Some((0.0, 60.1))),
            (Line(Store(0), "reported disk usage changes None -> Some(AlmostFull)"), Some((0.0, 60.1))),
            (Line(PdLeader, "store does not have enough disk space"), Some((0.0, 71.0))),
            (LeadersAtMost(Victim, 4), Some((0.0, 65.0))),
            (
                Metric(Victim, "tikv_storage_engine_async_request_total{status=\"err_disk_full\",type=\"write\"}", 1.0),
                Some((0.0, 75.0)),
            ),
            (Metric(Victim, "tikv_store_size_bytes{type=\"available\"}", -1e9), Some((0.0, 75.0))),
            (State(Victim, "Disconnected"), NEVER),
        ],
        seconds: 100,
        recovery: &[(Line(Victim, "disk usage AlmostFull->Normal"), Some((0.0, 60.1)))],
        recovery_seconds: 65,
    },
    Row {
        name: "no space at all",
        faults: || vec![(FaultKind::FillDisk { leave: Size(0) }, Victim)],
        signs: &[
            (Line(Victim, "No space left on device"), Some((0.0, 0.2))),
            (Process(Victim, "exited(1)"), Some((0.0, 1.1))),
            (State(Victim, "Disconnected"), Some((10.0, 21.1))),
        ],
        seconds: 60,
        recovery: &[(Line(Victim, "Welcome to TiKV"), Some((0.0, 0.1))), (State(Victim, "Up"), Some((0.0, 15.0)))],
        recovery_seconds: 20,
    },
    Row {
        name: "slow disk",
        faults: || vec![(FaultKind::SlowDisk { by: span(300) }, Victim)],
        signs: &[
            (SlowScore(Victim, 2), Some((0.0, 14.1))),
            (SlowScore(Victim, 100), Some((18.0, 34.1))),
            (Line(PdLeader, "detected slow store, start to evict leaders"), Some((18.0, 45.0))),
            (LeadersAtMost(Victim, 0), Some((18.0, 60.0))),
            (State(Victim, "Disconnected"), NEVER),
        ],
        seconds: 80,
        recovery: &[(Line(PdLeader, "slow store has been recovered"), Some((2090.0, 2160.0)))],
        recovery_seconds: 2200,
    },
    Row {
        name: "slow disk with scheduling halted",
        faults: || vec![(FaultKind::HaltScheduling, PdLeader), (FaultKind::SlowDisk { by: span(300) }, Victim)],
        signs: &[
            (SlowScore(Victim, 100), Some((18.0, 34.1))),
            (Line(PdLeader, "detected slow store, start to evict leaders"), NEVER),
            (LeadersAtMost(Victim, 0), NEVER),
        ],
        seconds: 80,
        recovery: NO_RECOVERY,
        recovery_seconds: 1,
    },
    Row {
        name: "merge disabled",
        faults: || vec![(FaultKind::SplitRegions { count: 200 }, PdLeader)],
        signs: &[
            (Metric(PdLeader, "pd_regions_status{type=\"empty-region-count\"}", 224.0), Some((0.0, 11.0))),
            (Line(PdLeader, "merge-region"), NEVER),
            (State(Victim, "Disconnected"), NEVER),
        ],
        // PD would merge what was split an hour ago.
        seconds: 4000,
        recovery: &[(Metric(PdLeader, "pd_regions_status{type=\"empty-region-count\"}", -24.0), Some((0.0, 11.0)))],
        recovery_seconds: 15,
    },
    Row {
        name: "CPU starvation",
        faults: || vec![(FaultKind::LimitCpu { cores: 0.04 }, Victim)],
        signs: &[
            (Answer(Victim, 200), Some((0.0, 0.1))),
            (Line(PdLeader, "leader changed"), Some((5.0, 21.0))),
            (State(Victim, "Disconnected"), Some((10.0, 21.1))),
            (SlowScore(Victim, 2), NEVER),
            (Process(Victim, "exited(137)"), NEVER),
        ],
        seconds: 60,
        recovery: &[(State(Victim, "Up"), Some((0.0, 10.6)))],
        recovery_seconds: 20,
    },
    Row {
        name: "OOM kill",
        faults: || vec![(FaultKind::LimitMemory { to: Size(300 << 20) }, Victim)],
        signs: &[
            (Metric(Victim, "process_resident_memory_bytes", 280e6), Some((0.0, 90.0))),
            (Process(Victim, "exited(137, out of memory)"), Some((5.0, 100.0))),
            (Line(Store(0), "connection abort"), Some((5.0, 100.0))),
            (State(Victim, "Disconnected"), Some((15.0, 120.0))),
            (Line(Victim, ""), NEVER),
        ],
        seconds: 120,
        recovery: &[(Line(Victim, "Welcome to TiKV"), Some((0.0, 0.1))), (State(Victim, "Up"), Some((3.0, 15.0)))],
        recovery_seconds: 20,
    },
    Row {
        name: "clock of PD's leader back",
        faults: || vec![(FaultKind::ShiftClock { by: Shift(SignedDuration::from_mins(-5)) }, PdLeader)],
        signs: &[
            (Line(PdLeader, "system time jump backward"), Some((0.0, 0.1))),
            (Metric(PdLeader, "pd_monitor_time_jump_back_total", 1.0), Some((0.0, 0.1))),
            (
                Metric(PdLeader, "pd_tso_events{dc=\"global\",group=\"0\",type=\"system_time_slow\"}", 20.0),
                Some((0.0, 2.1)),
            ),
            (State(Victim, "Disconnected"), NEVER),
        ],
        seconds: 30,
        recovery: NO_RECOVERY,
        recovery_seconds: 1,
    },
    Row {
        name: "clock of PD's leader back: a dead store stays Up",
        faults: || {
            vec![
                (FaultKind::ShiftClock { by: Shift(SignedDuration::from_mins(-5)) }, PdLeader),
                (FaultKind::KILL, Victim),
            ]
        },
        signs: &[(LeadersAtMost(Victim, 0), Some((8.0, 21.1))), (State(Victim, "Disconnected"), Some((310.0, 321.1)))],
        seconds: 330,
        recovery: NO_RECOVERY,
        recovery_seconds: 1,
    },
    Row {
        name: "clock of PD's leader forward",
        faults: || vec![(FaultKind::ShiftClock { by: Shift(SignedDuration::from_mins(5)) }, PdLeader)],
        signs: &[
            (Line(PdLeader, "clock offset"), Some((0.0, 0.1))),
            (State(Victim, "Disconnected"), Some((0.0, 0.1))),
            (State(Victim, "Up"), Some((0.0, 10.6))),
        ],
        seconds: 20,
        recovery: NO_RECOVERY,
        recovery_seconds: 1,
    },
    Row {
        name: "clock of a store back",
        faults: || vec![(FaultKind::ShiftClock { by: Shift(SignedDuration::from_mins(-5)) }, Victim)],
        signs: &[
            (Line(PdLeader, "system time jump backward"), NEVER),
            (Line(PdLeader, "clock offset"), NEVER),
            (State(Victim, "Disconnected"), NEVER),
        ],
        seconds: 60,
        recovery: NO_RECOVERY,
        recovery_seconds: 1,
    },
    Row {
        name: "rolling restart of one store",
        faults: || vec![(FaultKind::Restart, Victim)],
        signs: &[
            (Line(Victim, "receive signal 15, starting graceful shutdown"), Some((0.0, 0.1))),
            (Line(PdLeader, "detected stopping store, start to evict leaders"), Some((0.0, 7.0))),
            (LeadersAtMost(Victim, 0), Some((1.0, 20.0))),
            (Line(Victim, "Welcome to TiKV"), Some((1.0, 21.0))),
            (Line(Victim, "TiKV is ready to serve"), Some((1.0, 22.0))),
            (Process(Victim, "exited(137)"), NEVER),
        ],
        seconds: 40,
        recovery: NO_RECOVERY,
        recovery_seconds: 1,
    },
    Row {
        name: "hot key",
        faults: || vec![(FaultKind::HotKey { rate: Rate(2000) }, Victim)],
        signs: &[
            (HotWrites, Some((100.0, 185.0))),
            (State(Victim, "Disconnected"), NEVER),
            (SlowScore(Victim, 2), NEVER),
        ],
        seconds: 200,
        recovery: NO_RECOVERY,
        recovery_seconds: 1,
    },
    Row {
        name: "flapping store",
        faults: || vec![(FaultKind::Flap { up: span(30_000), down: span(5_000), count: None }, Victim)],
        signs: &[
            (Process(Victim, "exited(137)"), Some((0.0, 0.1))),
            (Line(Store(0), "connection abort"), Some((0.0, 0.1))),
            (Line(Victim, "Welcome to TiKV"), Some((4.9, 5.2))),
            (Line(PdLeader, "put store ok"), Some((5.4, 6.0))),
            (State(Victim, "Down"), NEVER),
        ],
        seconds: 120,
        recovery: &[(Process(Victim, "running"), Some((0.0, 0.1))), (Process(Victim, "exited(137)"), NEVER)],
        recovery_seconds: 60,
    },
];
