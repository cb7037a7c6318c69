//! Observed values. A value that could not be read is *unknown*, with the reason: never zero, never left out.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of one member of the cluster, such as `pd0` or `tikv2`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct NodeName(pub String);

impl NodeName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl From<&str> for NodeName {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

/// What a value is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A word or a truth value: it has no unit.
    None,
    /// A number of things.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// The suffix behind a number of this unit.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None | Self::Count => "",
            Self::Seconds => " s",
            Self::Bytes => " B",
        }
    }
}

/// An observed value, or the reason why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A number, in the reading's unit.
    Number(f64),
    /// A truth value.
    Flag(bool),
    /// A word, such as the state of a store.
    Text(String),
    /// It could not be read.
    Unknown {
        /// Why not.
        unknown: String,
    },
}

impl Value {
    /// An unknown value with its reason.
    #[must_use]
    pub fn unknown(reason: impl fmt::Display) -> Self {
        Self::Unknown { unknown: reason.to_string() }
    }

    /// The value as a person reads it; a number with its unit.
    #[must_use]
    pub fn with_unit(&self, unit: Unit) -> String {
        if matches!(self, Self::Number(_)) { format!("{self}{}", unit.suffix()) } else { self.to_string() }
    }

    /// The number, if it is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// The word, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The truth value, if it is one.
    #[must_use]
    pub fn flag(&self) -> Option<bool> {
        if let Self::Flag(flag) = self { Some(*flag) } else { None }
    }

    /// Why the value is unknown, if it is.
    #[must_use]
    pub fn unknown_reason(&self) -> Option<&str> {
        if let Self::Unknown { unknown } = self { Some(unknown) } else { None }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        // NaN and infinities are what a metric says when it has nothing to say.
        if number.is_finite() { Self::Number(number) } else { Self::unknown(format!("the value is {number}")) }
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => write!(formatter, "{number:.0}"),
            Self::Number(number) if number.abs() >= 100.0 => write!(formatter, "{number:.1}"),
            Self::Number(number) => write!(formatter, "{}", three_digits(*number)),
            Self::Flag(flag) => write!(formatter, "{flag}"),
            Self::Text(text) => write!(formatter, "{text}"),
            Self::Unknown { unknown } => write!(formatter, "unknown ({unknown})"),
        }
    }
}

/// A number below 100 with three significant digits: latencies of microseconds stay visible.
fn three_digits(number: f64) -> String {
    let magnitude = number.abs().log10().floor().clamp(-12.0, 2.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=14 just above")]
    let decimals = (2.0 - magnitude) as usize;
    let text = format!("{number:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// One observed value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Where it was read, such as `pd` or `process`.
    pub source: String,
    /// The node that the value is about.
    pub node: NodeName,
    /// What was read, such as `store_state`.
    pub name: String,
    /// The value, or why it is unknown.
    pub value: Value,
    /// The unit of a number.
    pub unit: Unit,
}

impl fmt::Display for Reading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} = {}", self.node, self.name, self.value.with_unit(self.unit))
    }
}

/// All readings of one poll.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// When the poll was made.
    pub at: Timestamp,
    /// What was read, in a fixed order.
    pub readings: Vec<Reading>,
}

impl Observation {
    /// An observation without readings yet.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self { at, readings: Vec::new() }
    }

    /// Adds a reading.
    pub fn push(&mut self, source: &str, node: &NodeName, name: &str, value: impl Into<Value>, unit: Unit) {
        let (source, name) = (source.to_owned(), name.to_owned());
        self.readings.push(Reading { source, node: node.clone(), name, value: value.into(), unit });
    }

    /// The value of a name on a node. A name that was not read at all is unknown.
    #[must_use]
    pub fn value(&self, node: &NodeName, name: &str) -> Value {
        self.readings
            .iter()
            .find(|reading| reading.node == *node && reading.name == name)
            .map_or_else(|| Value::unknown(format!("{name} was not read")), |reading| reading.value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        let shown: Vec<String> =
            [0.000_123_4, 0.012, 5.25, 12.0, 1234.56, 19.996].map(|n| Value::from(n).to_string()).into();
        assert_eq!(shown, ["0.000123", "0.012", "5.25", "12", "1234.6", "20"]);
    }

    #[test]
    fn what_is_not_a_number_is_unknown() {
        assert_eq!(Value::from(f64::NAN).unknown_reason(), Some("the value is NaN"));
        let empty = Observation::new(Timestamp::UNIX_EPOCH);
        assert_eq!(empty.value(&"tikv0".into(), "leaders").unknown_reason(), Some("leaders was not read"));
    }
}
