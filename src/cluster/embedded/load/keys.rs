//! Which part of a load falls on which keys. Keys are in the order of their records, as `go-ycsb` makes them with
//! `insertorder=ordered`.

use super::super::layout::TABLE_PREFIX;
use crate::cluster::Distribution;

/// The exponent of YCSB's zipfian distribution (`go-ycsb:pkg/generator/zipfian.go`).
const THETA: f64 = 0.99;
/// Euler's constant, up to which the logarithm is the harmonic sum.
const GAMMA: f64 = 0.577_215_664_9;
/// So many of the most asked-for records are looked at one by one; the others together are spread evenly.
const HOTTEST: u32 = 64;
/// The hot spot: so large a part of the records is asked for so often (`go-ycsb:pkg/prop/prop.go`).
const HOT_SPOT: (f64, f64) = (0.2, 0.8);

/// The keys that clients ask for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) enum Keys {
    /// Of all records.
    Spread(Distribution),
    /// One record, which is only written.
    Only {
        /// Its number.
        record: u32,
    },
}

impl Keys {
    /// The part of the operations that falls on the first so many of all records.
    pub(super) fn share_below(self, record: f64, records: f64) -> f64 {
        let part = (record / records).clamp(0.0, 1.0);
        match self {
            Self::Only { record: only } => f64::from(u8::from(record > f64::from(only))),
            Self::Spread(Distribution::Uniform) => part,
            Self::Spread(Distribution::Hotspot) => {
                let (records, share) = HOT_SPOT;
                if part < records {
                    share * part / records
                } else {
                    share + (1.0 - share) * (part - records) / (1.0 - records)
                }
            }
            Self::Spread(Distribution::Latest) => 1.0 - rank_share(records * (1.0 - part), records),
            Self::Spread(Distribution::Zipfian) => {
                let mut share = (1.0 - rank_share(f64::from(HOTTEST), records)) * part;
                for rank in 0..HOTTEST {
                    if place_of(rank) < part {
                        share += rank_share(f64::from(rank) + 1.0, records) - rank_share(f64::from(rank), records);
                    }
                }
                share
            }
        }
    }
}

/// The part of the operations that the first so many ranks of all get.
fn rank_share(rank: f64, records: f64) -> f64 {
    // The sum of 1 / r^θ, near enough.
    let sum = |rank: f64| {
        let exponent = 1.0 - THETA;
        if rank < 1.0 { rank } else { (rank.powf(exponent) - 1.0) / exponent + GAMMA + 0.5 / rank.powf(THETA) }
    };
    (sum(rank.min(records)) / sum(records)).clamp(0.0, 1.0)
}

/// Where among the records, from 0 to 1, the record of a rank lies: YCSB scatters them by a hash.
fn place_of(rank: u32) -> f64 {
    f64::from(rank.wrapping_add(1).wrapping_mul(0x9E37_79B9)) / f64::from(u32::MAX)
}

/// The first record that is not below a key of the table, given in hex.
pub(super) fn first_record(key: &str, records: f64) -> f64 {
    let Some(digits) = key.strip_prefix(TABLE_PREFIX) else {
        return if key > TABLE_PREFIX { records } else { 0.0 };
    };
    // Each byte is an ASCII digit, of which the second half is the digit.
    let digits: String = digits.chars().skip(1).step_by(2).collect();
    digits.parse().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::super::super::layout::record_key;
    use super::*;

    #[test]
    fn shares_add_up_to_all() {
        let spreads = [Distribution::Uniform, Distribution::Zipfian, Distribution::Latest, Distribution::Hotspot]
            .map(Keys::Spread);
        for keys in spreads.into_iter().chain([Keys::Only { record: 42 }]) {
            let shares: Vec<f64> = (0..=20_u32).map(|part| keys.share_below(f64::from(part) * 500.0, 1e4)).collect();
            assert!(shares[0].abs() < 1e-9 && (shares[20] - 1.0).abs() < 1e-9, "{keys:?}: {shares:?}");
            assert!(shares.is_sorted(), "{keys:?}: {shares:?}");
        }
    }

    #[test]
    fn the_latest_records_are_the_last() {
        let keys = Keys::Spread(Distribution::Latest);
        assert!(keys.share_below(9_000.0, 1e4) < 0.35);
    }

    #[test]
    fn a_key_tells_its_record() {
        assert!((first_record(&record_key(4_200), 1e4) - 4_200.0).abs() < 0.5);
        assert_eq!(first_record("", 1e4).to_bits(), 0.0_f64.to_bits());
        assert_eq!(first_record("7800000000000000FB", 1e4).to_bits(), 1e4_f64.to_bits());
    }
}
