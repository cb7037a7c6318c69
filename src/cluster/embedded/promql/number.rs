//! Numbers, spans and times as Prometheus reads and writes them.

use std::fmt::Write as _;

/// A value as Prometheus' HTTP API writes it (Prometheus: util/jsonutil/marshal.go, `MarshalFloat`): the shortest
/// digits that mean it, with an exponent only where it is very large or very small.
#[must_use]
pub fn value(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) { exponential(value) } else { value.to_string() }
}

/// Go's `%e` with the shortest digits: the exponent has a sign and at least two digits.
pub(in crate::cluster::embedded) fn exponential(value: f64) -> String {
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, power) = exponent.strip_prefix('-').map_or(('+', exponent), |power| ('-', power));
    format!("{digits}e{sign}{power:0>2}")
}

/// A number as a query writes it: decimal, hexadecimal, `Inf` or `NaN`.
pub(super) fn parse(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    if let Some(digits) = lower.strip_prefix("0x") {
        #[expect(clippy::cast_precision_loss, reason = "Go converts so, too")]
        return i64::from_str_radix(digits, 16).ok().map(|number| number as f64);
    }
    lower.parse().ok()
}

/// The units of a span, in milliseconds, the largest first (github.com/prometheus/common: model/time.go).
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A span such as `1h30m` in milliseconds: each unit at most once, the larger ones first.
pub(in crate::cluster::embedded) fn parse_duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0_i64;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
        let (count, tail) = rest.split_at(digits);
        let letters = tail.len() - tail.trim_start_matches(|letter: char| letter.is_ascii_alphabetic()).len();
        let (unit, tail) = tail.split_at(letters);
        let (_, size) = units.find(|(own, _)| *own == unit)?;
        total = count.parse::<i64>().ok()?.checked_mul(*size)?.checked_add(total)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// A span in milliseconds as a query writes it.
pub(super) fn duration(span: i64) -> String {
    let mut rest = span;
    let mut text = String::new();
    for (unit, size) in UNITS {
        if rest >= size {
            let _ = write!(text, "{}{unit}", rest / size);
            rest %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_go_does() {
        let values = [0.0, -0.5, 1e20, 1e21, 1e-6, 9.5e-7, 0.1 + 0.2, 1.5e300, f64::NEG_INFINITY];
        let expected = [
            "0",
            "-0.5",
            "100000000000000000000",
            "1e+21",
            "0.000001",
            "9.5e-07",
            "0.30000000000000004",
            "1.5e+300",
            "-Inf",
        ];
        assert_eq!(values.map(value), expected);
    }

    #[test]
    fn spans_are_read_and_written() {
        for (text, span) in [("5m", 300_000), ("1h30m", 5_400_000), ("1d2s3ms", 86_402_003), ("0s", 0)] {
            assert_eq!(parse_duration(text), Some(span));
            assert_eq!(duration(span), text);
        }
        assert_eq!(duration(7 * 86_400_000), "1w");
        for wrong in ["", "5", "m", "5x", "5m1h", "5m5m", "999999999999y"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_are_read() {
        assert_eq!(parse("0x1F"), Some(31.0));
        assert_eq!(parse("1.5e3"), Some(1500.0));
        assert_eq!(parse("Inf"), Some(f64::INFINITY));
        assert!(parse("NaN").is_some_and(f64::is_nan));
        assert_eq!(parse("5m"), None);
    }
}
