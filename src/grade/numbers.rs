//! Numbers in a text, with their units, and when two of them are the same.

/// What a number measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dimension {
    /// Seconds.
    Time,
    /// Bytes.
    Size,
    /// A hundredth.
    Percent,
    /// A number of things, or a share of one.
    Count,
}

/// Units, what they measure, and how many seconds, bytes or ones they are.
const UNITS: &[(&str, Dimension, f64)] = &[
    ("ns", Dimension::Time, 1e-9),
    ("us", Dimension::Time, 1e-6),
    ("µs", Dimension::Time, 1e-6),
    ("ms", Dimension::Time, 1e-3),
    ("millisecond", Dimension::Time, 1e-3),
    ("milliseconds", Dimension::Time, 1e-3),
    ("s", Dimension::Time, 1.0),
    ("sec", Dimension::Time, 1.0),
    ("second", Dimension::Time, 1.0),
    ("seconds", Dimension::Time, 1.0),
    ("min", Dimension::Time, 60.0),
    ("minute", Dimension::Time, 60.0),
    ("minutes", Dimension::Time, 60.0),
    ("h", Dimension::Time, 3600.0),
    ("hour", Dimension::Time, 3600.0),
    ("hours", Dimension::Time, 3600.0),
    ("B", Dimension::Size, 1.0),
    ("byte", Dimension::Size, 1.0),
    ("bytes", Dimension::Size, 1.0),
    ("kB", Dimension::Size, 1e3),
    ("KB", Dimension::Size, 1e3),
    ("MB", Dimension::Size, 1e6),
    ("GB", Dimension::Size, 1e9),
    ("TB", Dimension::Size, 1e12),
    ("KiB", Dimension::Size, 1024.0),
    ("MiB", Dimension::Size, 1_048_576.0),
    ("GiB", Dimension::Size, 1_073_741_824.0),
    ("TiB", Dimension::Size, 1_099_511_627_776.0),
    ("%", Dimension::Percent, 0.01),
    ("percent", Dimension::Percent, 0.01),
];

/// A number as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quoted {
    /// It, without its unit.
    pub(super) text: String,
    value: f64,
    decimals: i32,
    unit: Option<(Dimension, f64)>,
}

/// A number that evidence shows, in seconds, bytes or ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shown {
    pub(super) value: f64,
    /// What it measures; none if that is not said.
    pub(super) dimension: Option<Dimension>,
    /// How many seconds, bytes or ones the unit is that it is written in.
    pub(super) size: f64,
}

impl Quoted {
    /// The same as evidence.
    pub(super) fn as_shown(&self) -> Shown {
        let (dimension, size) = self.unit.map_or((None, 1.0), |(dimension, size)| (Some(dimension), size));
        Shown { value: self.value * size, dimension, size }
    }

    /// Whether this is the other number, rounded to as many places as are written here.
    pub(super) fn matches(&self, shown: &Shown) -> bool {
        let within = |size: f64| {
            // A sign is often said in words ("12 s before"), and a half may be rounded either way.
            let half = 0.5 * 10_f64.powi(-self.decimals) * size;
            (self.value.abs() * size - shown.value.abs()).abs() <= half * (1.0 + 1e-9) + 1e-12
        };
        match (self.unit, shown.dimension) {
            // A bare number may leave out the unit that the evidence writes.
            (None, _) => within(1.0) || within(shown.size),
            (Some((Dimension::Percent, size)), Some(Dimension::Count)) => within(size),
            (Some((own, size)), Some(dimension)) => own == dimension && within(size),
            // A number of a log line of which nothing says what it measures.
            (Some((_, size)), None) => within(1.0) || within(size),
        }
    }
}

/// The numbers in a text: not those inside a word, such as a node's name or a reference, nor dates and versions.
pub(super) fn numbers(text: &str) -> Vec<Quoted> {
    let part_of_word = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '.' | '-' | '+' | '%');
    let mut words = text
        .split_inclusive(move |letter: char| !part_of_word(letter))
        .map(|word| {
            let body = word.trim_end_matches(move |letter: char| !part_of_word(letter));
            (body, word[body.len()..].chars().all(char::is_whitespace))
        })
        .peekable();
    let mut found = Vec::new();
    while let Some((word, space_follows)) = words.next() {
        // A unit may stand behind a space, as in `20 s`, but not behind a comma.
        let next = words.peek().filter(|_| space_follows).map(|(next, _)| next.trim_end_matches(['.', '-']));
        found.extend(number(word.trim_end_matches(['.', '-']), next));
    }
    found
}

fn number(word: &str, next: Option<&str>) -> Option<Quoted> {
    let unsigned = word.trim_start_matches(['-', '+']);
    let digits = unsigned.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(unsigned.len());
    let (text, suffix) = unsigned.split_at(digits);
    let known =
        |unit: &str| UNITS.iter().find(|(name, ..)| *name == unit).map(|(_, dimension, size)| (*dimension, *size));
    let unit = known(suffix);
    if unit.is_none() && !suffix.is_empty() && !matches!(suffix, "x" | "th" | "st" | "nd" | "rd") {
        return None;
    }
    let unit = unit.or_else(|| next.filter(|_| suffix.is_empty()).and_then(known));
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let sign = &word[..word.len() - unsigned.len()];
    let value = text.parse().ok()?;
    Some(Quoted { text: format!("{sign}{text}"), value, decimals: i32::try_from(decimals).ok()?, unit })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> Quoted {
        numbers(text).into_iter().next().unwrap_or_else(|| panic!("no number in {text}"))
    }

    fn shown(value: f64, dimension: Dimension) -> Shown {
        Shown { value, dimension: Some(dimension), size: 1.0 }
    }

    #[test]
    fn numbers_are_found_with_units_and_not_in_names() {
        let found: Vec<f64> = numbers("tikv1 at E12: 20.5 s, 3GiB (137), -4.0; 2026-01-02 and v8.5 end 7.")
            .iter()
            .map(|n| n.value)
            .collect();
        assert_eq!(found, [20.5, 3.0, 137.0, 4.0, 7.0]);
    }

    #[test]
    fn rounding_follows_the_places_that_are_written() {
        let count = |value| shown(value, Dimension::Count);
        assert!(one("20").matches(&count(20.4)));
        assert!(!one("20").matches(&count(20.6)));
        assert!(!one("20.0").matches(&count(20.4)));
    }

    #[test]
    fn units_are_understood() {
        for (claim, evidence) in [
            ("12.6 ms", shown(0.012_587, Dimension::Time)),
            ("0.0126 s", shown(0.012_587, Dimension::Time)),
            ("5 minutes", shown(300.0, Dimension::Time)),
            ("9.3 %", shown(0.0931, Dimension::Count)),
            ("9%", shown(0.0931, Dimension::Count)),
            ("1.5 GiB", shown(1.61e9, Dimension::Size)),
            ("1.6GB", shown(1.61e9, Dimension::Size)),
            ("31.4", shown(31.4, Dimension::Time)),
            ("13 leaders", shown(13.0, Dimension::Count)),
            ("1500 ms", Shown { value: 1500.0, dimension: None, size: 1.0 }),
        ] {
            assert!(one(claim).matches(&evidence), "{claim} {evidence:?}");
        }
        for (claim, evidence) in [
            ("12.6 s", shown(0.012_587, Dimension::Time)),
            ("13 s", shown(13.0, Dimension::Count)),
            ("13 GiB", shown(13.0, Dimension::Size)),
            ("93 %", shown(0.0931, Dimension::Count)),
            ("9 %", shown(9.0, Dimension::Time)),
        ] {
            assert!(!one(claim).matches(&evidence), "{claim} {evidence:?}");
        }
    }

    proptest! {
        #[test]
        fn a_number_is_shown_by_itself_in_any_unit(value in 0.001_f64..1e6, index in 0..UNITS.len()) {
            let (unit, dimension, size) = UNITS[index];
            let dimension = if dimension == Dimension::Percent { Dimension::Count } else { dimension };
            let written = format!("{value:.3} {unit}");
            prop_assert!(one(&written).matches(&shown(value * size, dimension)));
        }

        #[test]
        fn any_text_is_read(text in "\\PC{0,60}") {
            numbers(&text);
        }
    }
}
