//! How Go writes sizes, spans and numbers, as PD's answers show them, and reads them. It knows nothing of the model.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// Bytes as PD's `typeutil.ByteSize` writes them (`pd:pkg/utils/typeutil/size.go`, by `units.BytesSize`): `%.4g` of
/// the largest binary unit, so four significant digits.
#[must_use]
pub fn byte_size(bytes: u64) -> String {
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "Go converts to float64 too, and shows four digits of it")]
    let mut size = bytes as f64;
    while size >= 1024.0
        && let Some(larger) = units.next()
    {
        size /= 1024.0;
        unit = larger;
    }
    format!("{}{unit}", four_digits(size))
}

/// Go's `%.4g` for 0 ≤ `number` < 10,000, where it never takes the exponent form.
fn four_digits(number: f64) -> String {
    let scientific = format!("{number:.3e}");
    let exponent: usize = scientific.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0);
    let text = format!("{number:.*}", 3_usize.saturating_sub(exponent));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A span as Go's `time.Duration.String` writes it: `2m0.92s`, `10ms`, `0s`.
#[must_use]
pub fn duration(span: Duration) -> String {
    let nanos = span.subsec_nanos();
    match span.as_secs() {
        0 if nanos == 0 => "0s".to_owned(),
        0 if nanos < 1_000 => format!("{nanos}ns"),
        0 if nanos < 1_000_000 => format!("{}µs", with_fraction(u64::from(nanos / 1_000), nanos % 1_000, 3)),
        0 => format!("{}ms", with_fraction(u64::from(nanos / 1_000_000), nanos % 1_000_000, 6)),
        total => {
            let seconds = with_fraction(total % 60, nanos, 9);
            match (total / 3600, total / 60 % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// `whole` and a decimal fraction of `digits` digits, without its trailing zeros.
fn with_fraction(whole: u64, fraction: u32, digits: usize) -> String {
    let text = format!("{whole}.{fraction:0digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Writes a float64 as Go's `encoding/json` does: a whole number has no decimal point.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
pub(super) fn float<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and below 2^53")]
        return serializer.serialize_i64(*number as i64);
    }
    serializer.serialize_f64(*number)
}

/// Writes a map from ids as Go's `encoding/json` does: the keys are strings, and sorted as such.
pub(super) fn by_id<S: Serializer, V: Serialize>(map: &BTreeMap<u64, V>, serializer: S) -> Result<S::Ok, S::Error> {
    let sorted: BTreeMap<String, &V> = map.iter().map(|(id, value)| (id.to_string(), value)).collect();
    serializer.collect_map(sorted)
}

/// A span as Go's `time.ParseDuration` reads it: `2m`, `1h30m`, `1.5s`. Spans below zero are none.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = None;
    while !rest.is_empty() {
        let number = rest.find(|digit: char| !digit.is_ascii_digit() && digit != '.')?;
        let (digits, tail) = rest.split_at(number);
        let unit = tail.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(tail.len());
        let seconds = match &tail[..unit] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(digits.parse::<f64>().ok()? * seconds).ok()?;
        total = Some(total.unwrap_or(Duration::ZERO) + part);
        rest = &tail[unit..];
    }
    total
}

/// A span as PD's `typeutil.Duration` is in JSON.
pub(super) mod go_duration {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::duration(*span))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let text = value.as_str().ok_or_else(|| D::Error::custom("invalid syntax"))?;
        super::parse_duration(text).ok_or_else(|| D::Error::custom(format!("time: invalid duration {text:?}")))
    }
}

/// A bool with the tag `,string`, which Go writes and reads in quotes.
pub(super) mod quoted_bool {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    const MISUSE: &str = "json: invalid use of ,string struct tag, trying to unmarshal";

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    pub(crate) fn serialize<S: Serializer>(flag: &bool, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if *flag { "true" } else { "false" })
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let text = value.as_str().ok_or_else(|| D::Error::custom(format!("{MISUSE} unquoted value into bool")))?;
        text.parse().map_err(|_| D::Error::custom(format!("{MISUSE} {text:?} into bool")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_go_does() {
        let read = [("2m", 120_000), ("1h30m", 5_400_000), ("1.5s", 1_500), ("10ms", 10), ("0", 0), ("0s", 0)];
        for (text, millis) in read {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "2", "m", "2 m", "soon", "-1s", "1d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_have_four_significant_digits() {
        let sizes = [0, 999, 1023, 1024, 1_610_612_736, 95_028_503_499, 283_953_562, 21_474_836_480, u64::MAX];
        let shown: Vec<String> = sizes.map(byte_size).into();
        let expected = ["0B", "999B", "1023B", "1KiB", "1.5GiB", "88.5GiB", "270.8MiB", "20GiB", "16EiB"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_size_that_rounds_up_to_the_next_power_of_ten_keeps_four_digits() {
        assert_eq!(four_digits(999.96), "1000");
        assert_eq!(four_digits(9.9999), "10");
    }

    #[test]
    fn spans_are_written_as_go_does() {
        let spans = [
            (0, 0, "0s"),
            (0, 7, "7ns"),
            (0, 1_500, "1.5µs"),
            (0, 10_000_000, "10ms"),
            (1, 0, "1s"),
            (120, 920_511_574, "2m0.920511574s"),
            (3600, 0, "1h0m0s"),
            (483, 123_456_789, "8m3.123456789s"),
        ];
        for (seconds, nanos, expected) in spans {
            assert_eq!(duration(Duration::new(seconds, nanos)), expected);
        }
    }
}
