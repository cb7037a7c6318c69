//! Prometheus' text format.

use std::fmt::Write as _;

use super::super::model::{Model, Place};
use super::super::promql::number;
use super::collect;
use super::families::{Family, Kind};

/// The type of the answer of a Go program (Prometheus' client for Go: `expfmt.FmtText`); TiKV's library for Rust says the
/// same without the character set.
pub(in super::super) const CONTENT_TYPES: [&str; 2] =
    ["text/plain; version=0.0.4; charset=utf-8", "text/plain; version=0.0.4"];

/// The whole answer of a node to `GET /metrics`.
pub(in super::super) fn exposition(model: &Model, place: Place) -> String {
    let mut text = String::new();
    let mut family = "";
    let number = if matches!(place, Place::Pd(_)) { go_number } else { number::value };
    collect(model, place, &mut |own: &'static Family, labels, value| {
        if own.base_name() != family {
            family = own.base_name();
            let kind = match own.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            let _ = writeln!(text, "# HELP {family} {}\n# TYPE {family} {kind}", own.help);
        }
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(text, "{}{labels} {}", own.name, number(value));
    });
    text
}

/// Go's `%g` with the shortest digits, which takes an exponent below 1e-4 and from 1e6 on
/// (`strconv.FormatFloat(x, 'g', -1, 64)`).
fn go_number(value: f64) -> String {
    let scientific = format!("{value:e}");
    let exponent: i32 = scientific.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0);
    if value.is_finite() && !(-4..6).contains(&exponent) { number::exponential(value) } else { number::value(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_recorded() {
        // fixtures/recordings/baseline-metrics.prom.gz
        let recorded =
            ["2.147483648e+10", "110248", "1.044073e+06", "7.914999999999997e-05", "0.000452946", "0", "250164.425"];
        for text in recorded {
            assert_eq!(text.parse().map(go_number), Ok(text.to_owned()));
        }
    }
}
