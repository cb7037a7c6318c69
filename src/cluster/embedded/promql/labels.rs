//! A series' labels: a set of names and values, the metric's own name among them.

use std::fmt;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// The label that holds the metric's name (Prometheus: model/labels/labels.go, `MetricName`).
pub const METRIC_NAME: &str = "__name__";

/// Labels in the order of their names. An empty value is no label. Copies and parts share what they hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Default for Labels {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl<N: Into<Arc<str>>, V: Into<Arc<str>>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        let mut pairs: Vec<(Arc<str>, Arc<str>)> =
            pairs.filter(|(_, value): &(Arc<str>, Arc<str>)| !value.is_empty()).collect();
        pairs.sort();
        Self(pairs.into())
    }
}

impl Labels {
    /// The value of a label; empty if there is none of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.iter().find(|(own, _)| *own == name).map_or("", |(_, value)| value)
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Whether these are exactly these labels, given in the order of their names.
    #[must_use]
    pub fn are<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> bool {
        let mut own = self.0.iter();
        let alike = |(name, value)| own.next().is_some_and(|pair| pair.0.as_ref() == name && pair.1.as_ref() == value);
        pairs.into_iter().all(alike) && own.next().is_none()
    }

    /// These labels without the metric's name.
    #[must_use]
    pub(super) fn unnamed(&self) -> Self {
        self.filtered(|name| name != METRIC_NAME)
    }

    /// Those labels whose names are wanted.
    #[must_use]
    pub(super) fn filtered(&self, wanted: impl Fn(&str) -> bool) -> Self {
        if self.iter().all(|(name, _)| wanted(name)) {
            return self.clone();
        }
        Self(self.0.iter().filter(|(name, _)| wanted(name)).cloned().collect())
    }

    /// These labels with one of them set; an empty value removes it.
    #[must_use]
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        self.iter().filter(|(own, _)| *own != name).chain([(name, value)]).collect()
    }
}

impl fmt::Display for Labels {
    /// As Prometheus' errors show them: `{job="pd", type="x"}`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("{")?;
        for (index, (name, value)) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}{name}={value:?}")?;
        }
        formatter.write_str("}")
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
