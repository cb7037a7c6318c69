//! The part of PromQL that is needed here, over samples in memory: as Prometheus 2.42 evaluates it, against whose
//! answers it is tested. What is not evaluated (subqueries, `@`, native histograms and some functions) is refused by
//! name, never guessed.

mod aggregate;
mod ast;
mod binary;
mod check;
mod eval;
mod functions;
mod labels;
mod lexer;
pub mod number;
mod over_time;
mod parser;
mod series;

use std::collections::BTreeMap;

pub use eval::{Element, Value};
pub use labels::{Labels, METRIC_NAME};
pub use series::{Point, STALE, SeriesId, Storage};

use ast::{Expr, Type};
use eval::Evaluator;

/// A query that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: parse error: {message}")]
pub struct ParseError {
    /// The line of the mistake, from 1.
    pub line: usize,
    /// The byte of the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It cannot be read.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// It gives something of which a range has no meaning.
    #[error("invalid expression type {0:?} for range query, must be Scalar or instant Vector")]
    NoRange(String),
    /// It cannot be computed from these samples.
    #[error("{0}")]
    Execution(String),
}

/// One series of the answer to a range query.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Its labels.
    pub labels: Labels,
    /// Its points, at those steps at which there is one.
    pub points: Vec<Point>,
}

/// A query that was read.
#[derive(Debug)]
pub struct Query(Expr);

impl Query {
    /// Reads a query and checks its types.
    pub fn parse(query: &str) -> Result<Self, ParseError> {
        parser::parse(query).map(Self)
    }

    /// What the query is worth at a time, in milliseconds since the epoch. A range vector is shown by [`Self::points`].
    pub fn instant(&self, storage: &Storage, at: i64) -> Result<Value, QueryError> {
        Evaluator::new(&self.0, storage).at(at).map_err(QueryError::Execution)
    }

    /// The points of a query that is nothing but a range vector, as of a time; none for any other query.
    #[must_use]
    pub fn points(&self, storage: &Storage, at: i64) -> Option<Vec<Curve>> {
        let Expr::Range { selector, range } = &self.0 else { return None };
        let end = at.saturating_sub(selector.offset);
        let curves = storage.select(selector).into_iter().map(|series| Curve {
            labels: series.labels.clone(),
            points: series.window(end.saturating_sub(*range), end),
        });
        Some(curves.filter(|curve| !curve.points.is_empty()).collect())
    }

    /// What the query is worth at each step from start to end, in milliseconds; the curves in the order of their labels.
    pub fn range(&self, storage: &Storage, start: i64, end: i64, step: i64) -> Result<Vec<Curve>, QueryError> {
        if !matches!(self.0.kind(), Type::Scalar | Type::Vector) {
            return Err(QueryError::NoRange(self.0.kind().to_string()));
        }
        let evaluator = Evaluator::new(&self.0, storage);
        let mut curves: BTreeMap<Labels, Vec<Point>> = BTreeMap::new();
        let steps = usize::try_from(step.max(1)).unwrap_or(usize::MAX);
        for at in (start..=end).step_by(steps) {
            match evaluator.at(at).map_err(QueryError::Execution)? {
                Value::Scalar(value) => curves.entry(Labels::default()).or_default().push(Point { at, value }),
                Value::Vector(elements) => {
                    for Element { labels, value } in elements {
                        curves.entry(labels).or_default().push(Point { at, value });
                    }
                }
                Value::Text(_) => {}
            }
        }
        Ok(curves.into_iter().map(|(labels, points)| Curve { labels, points }).collect())
    }
}

impl std::fmt::Display for Query {
    /// A text that means the same.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}
