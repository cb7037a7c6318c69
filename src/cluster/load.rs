//! The load that clients put on a cluster: the workloads of YCSB, the Yahoo! Cloud Serving Benchmark, as `go-ycsb` runs
//! them.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A workload of YCSB: which operations the clients ask for (`go-ycsb:workloads/`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Workload {
    /// Half reads, half updates.
    A,
    /// 95 in 100 reads, the rest updates.
    B,
    /// Reads only.
    C,
    /// 95 in 100 reads, mostly of what was inserted last; the rest inserts.
    D,
    /// 95 in 100 short scans, the rest inserts.
    E,
    /// Half reads, half reads with an update of what was read.
    F,
}

/// How often each record is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// All alike.
    Uniform,
    /// Few records often, the others rarely, in no order of their keys: the record of rank r as 1 / r^0.99.
    Zipfian,
    /// As zipfian, and those that were inserted last the most often.
    Latest,
    /// One fifth of the records, the first by their keys, four times in five.
    Hotspot,
}

/// The load on a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadSpec {
    /// Which operations are asked for.
    pub workload: Workload,
    /// How many operations a second the clients begin while none has to wait.
    pub rate: u32,
    /// How many records the table has at the beginning.
    pub records: u32,
    /// How many operations can be under way at a time.
    pub threads: u32,
    /// Which records are asked for.
    pub distribution: Distribution,
    /// Bytes of a record's value.
    pub value_size: u32,
    /// When an operation is given up.
    pub timeout: Duration,
}

/// What part of the operations is of each kind; the parts add up to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// One record is read.
    pub read: f64,
    /// One record is written anew.
    pub update: f64,
    /// A record is added.
    pub insert: f64,
    /// Up to a hundred records are read in the order of their keys.
    pub scan: f64,
    /// One record is read and then written anew.
    pub read_modify_write: f64,
}

impl Workload {
    /// Which operations the workload asks for.
    #[must_use]
    pub fn mix(self) -> Mix {
        let none = Mix { read: 0.0, update: 0.0, insert: 0.0, scan: 0.0, read_modify_write: 0.0 };
        match self {
            Self::A => Mix { read: 0.5, update: 0.5, ..none },
            Self::B => Mix { read: 0.95, update: 0.05, ..none },
            Self::C => Mix { read: 1.0, ..none },
            Self::D => Mix { read: 0.95, insert: 0.05, ..none },
            Self::E => Mix { scan: 0.95, insert: 0.05, ..none },
            Self::F => Mix { read: 0.5, read_modify_write: 0.5, ..none },
        }
    }

    /// Which records it asks for if nothing else is said. `go-ycsb`'s files say uniform for three of those for which
    /// YCSB's say zipfian.
    #[must_use]
    pub fn usual_distribution(self) -> Distribution {
        match self {
            Self::A | Self::B | Self::C => Distribution::Uniform,
            Self::D => Distribution::Latest,
            Self::E | Self::F => Distribution::Zipfian,
        }
    }
}

impl LoadSpec {
    /// The load of `fixtures/recordings`: what a TiKV cluster is under if nothing else is said.
    pub const RECORDED: Self = Self {
        workload: Workload::A,
        rate: 60,
        records: 10_000,
        threads: 4,
        distribution: Distribution::Uniform,
        value_size: 100,
        timeout: Duration::from_secs(10),
    };

    /// A load of so many operations a second, all else as recorded, but for the threads: enough of them that an
    /// operation may take a tenth of a second before the rate falls.
    #[must_use]
    pub fn new(workload: Workload, rate: u32) -> Self {
        let distribution = workload.usual_distribution();
        let threads = rate.div_ceil(10).max(Self::RECORDED.threads);
        Self { workload, rate, threads, distribution, ..Self::RECORDED }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::A => "a",
            Self::B => "b",
            Self::C => "c",
            Self::D => "d",
            Self::E => "e",
            Self::F => "f",
        })
    }
}
