//! Quantities that are written as a word with their unit: spans of time, sizes, rates.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;

/// A span of time with its unit: `500ms`, `10s`, `1m30s`, `5m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// The name of the format in the JSON Schema.
    pub const FORMAT: &str = "span";
    /// What is expected where one is to stand.
    pub const EXPECTED: &str = "a span with its unit, such as 500ms, 10s or 1m30s";

    /// Reads a span.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Shift(span) = Shift::parse(text).map_err(|_| format!("expected {}", Self::EXPECTED))?;
        Duration::try_from(span).map(Self).map_err(|_| format!("expected {}; it cannot be negative", Self::EXPECTED))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SignedDuration::try_from(self.0) {
            Ok(span) => Shift(span).fmt(formatter),
            Err(_) => write!(formatter, "{:?}", self.0),
        }
    }
}

/// How far something is moved in time, forward or back: `5m`, `-5m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shift(pub SignedDuration);

impl Shift {
    /// The name of the format in the JSON Schema.
    pub const FORMAT: &str = "shift";
    /// What is expected where one is to stand.
    pub const EXPECTED: &str = "a span with its unit, forward or back, such as 30s or -5m";

    /// Reads a shift.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("expected {}", Self::EXPECTED))
    }
}

impl fmt::Display for Shift {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is before now the standard form ends with `ago`.
        let sign = if self.0.is_negative() { "-" } else { "" };
        write!(formatter, "{sign}{:#}", self.0.abs())
    }
}

/// A size in bytes with its unit: `512B`, `100MiB`, `1.5GiB`, `2GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// The units of sizes, the largest first, and how many bytes each is.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

impl Size {
    /// The name of the format in the JSON Schema.
    pub const FORMAT: &str = "size";
    /// What is expected where one is to stand.
    pub const EXPECTED: &str = "a size with its unit, such as 300MiB or 1.5GiB";

    /// Reads a size.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || format!("expected {}", Self::EXPECTED);
        let (unit, bytes) = SIZES.iter().find(|(unit, _)| text.ends_with(unit)).ok_or_else(expected)?;
        let (whole, fraction) =
            text[..text.len() - unit.len()].split_once('.').unwrap_or((&text[..text.len() - unit.len()], ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 6 {
            return Err(expected());
        }
        let (bytes, scale) = (u128::from(*bytes), 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0)));
        let count: u128 = format!("{whole}{fraction}").parse().map_err(|_| expected())?;
        count.checked_mul(bytes).and_then(|scaled| u64::try_from(scaled / scale).ok()).map(Self).ok_or_else(expected)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = SIZES.iter().find(|(_, bytes)| self.0 > 0 && self.0.is_multiple_of(*bytes));
        let (unit, bytes) = whole.unwrap_or(&("B", 1));
        write!(formatter, "{}{unit}", self.0 / bytes)
    }
}

/// How often something is done: `2000/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(pub u32);

impl Rate {
    /// The name of the format in the JSON Schema.
    pub const FORMAT: &str = "rate";
    /// What is expected where one is to stand.
    pub const EXPECTED: &str = "so many a second, such as 500/s";

    /// Reads a rate.
    pub fn parse(text: &str) -> Result<Self, String> {
        let count = text.strip_suffix("/s").filter(|count| count.starts_with(|letter: char| letter.is_ascii_digit()));
        count.and_then(|count| count.parse().ok()).map(Self).ok_or_else(|| format!("expected {}", Self::EXPECTED))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/s", self.0)
    }
}

/// Gives a type that is written as a word its serde and schema: its `parse` reads it, `Display` writes it.
macro_rules! written_as_word {
    ($type:ident) => {
        impl<'de> ::serde::Deserialize<'de> for $type {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(deserializer)?).map_err(::serde::de::Error::custom)
            }
        }

        impl ::serde::Serialize for $type {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl ::schemars::JsonSchema for $type {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!({ "type": "string", "format": Self::FORMAT, "description": Self::EXPECTED })
            }
        }
    };
}
pub(crate) use written_as_word;

written_as_word!(Span);
written_as_word!(Shift);
written_as_word!(Size);
written_as_word!(Rate);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, written) in [
            ("0B", 0, "0B"),
            ("512B", 512, "512B"),
            ("300MiB", 300 << 20, "300MiB"),
            ("1.5GiB", 3 << 29, "1536MiB"),
            ("2GB", 2_000_000_000, "2GB"),
        ] {
            assert_eq!(Size::parse(text).map(|size| (size.0, size.to_string())), Ok((bytes, written.to_owned())));
        }
        for bad in ["", "5", "MiB", "-5MiB", "1.5", "5 MiB", "5mib", "1.2.3GiB", "99999999999TiB", "1e3MiB"] {
            assert!(Size::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_read_and_written() {
        assert_eq!(Rate::parse("2000/s").map(|rate| rate.to_string()), Ok("2000/s".to_owned()));
        for bad in ["", "2000", "/s", "-5/s", "+5/s", "2.5/s", "5/m", "99999999999/s"] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shifts_go_both_ways_and_spans_one() {
        assert_eq!(Shift::parse("-5m"), Ok(Shift(SignedDuration::from_mins(-5))));
        assert_eq!(Shift::parse("-5m").map(|shift| shift.to_string()), Ok("-5m".to_owned()));
        assert!(Span::parse("-5m").is_err() && Shift::parse("5").is_err());
    }
}
