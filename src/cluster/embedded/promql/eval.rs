//! What an expression is worth at a time, given the samples (Prometheus: promql/engine.go).

use std::collections::BTreeSet;

use super::aggregate::{aggregate, histogram_quantile};
use super::ast::{Comparison, Expr, Selector};
use super::binary;
use super::functions::{Body, Function, Special, anchored, largest, smallest};
use super::labels::{Labels, METRIC_NAME};
use super::over_time::Window;
use super::series::{Series, Storage};

/// How far back a value is looked for (Prometheus: `--query.lookback-delta`), in milliseconds.
const LOOKBACK: i64 = 5 * 60_000;

/// An element of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// What an expression is worth at one time.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Scalar(f64),
    /// A number for each of some sets of labels.
    Vector(Vec<Element>),
    /// A text.
    Text(String),
}

type Evaluated<T> = Result<T, String>;

/// An expression with the series that its selectors choose.
pub(super) struct Evaluator<'a> {
    expr: &'a Expr,
    /// By the index of the selector.
    chosen: Vec<Vec<&'a Series>>,
}

/// The same arguments for all functions: those of the call, and when.
struct Call<'a> {
    arguments: &'a [Expr],
    at: i64,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(expr: &'a Expr, storage: &'a Storage) -> Self {
        let selectors = expr.selectors();
        let count = selectors.iter().map(|selector| selector.index + 1).max().unwrap_or(0);
        let mut chosen = vec![Vec::new(); count];
        for selector in selectors {
            chosen[selector.index] = storage.select(selector);
        }
        Self { expr, chosen }
    }

    /// What the whole expression is worth. Times in milliseconds since the epoch.
    pub(super) fn at(&self, at: i64) -> Evaluated<Value> {
        self.value(self.expr, at)
    }

    fn value(&self, expr: &Expr, at: i64) -> Evaluated<Value> {
        Ok(match expr {
            Expr::Number(number) => Value::Scalar(*number),
            Expr::Text(text) => Value::Text(text.clone()),
            Expr::Paren(inner) => self.value(inner, at)?,
            Expr::Selector(selector) => {
                let elements = self.chosen(selector).iter().filter_map(|series| {
                    let point = series.at(at.saturating_sub(selector.offset), LOOKBACK)?;
                    Some(Element { labels: series.labels.clone(), value: point.value })
                });
                Value::Vector(elements.collect())
            }
            Expr::Negate(inner) => match self.value(inner, at)? {
                Value::Scalar(number) => Value::Scalar(-number),
                Value::Vector(elements) => Value::Vector(mapped(&elements, |value| -value)?),
                text @ Value::Text(_) => text,
            },
            Expr::Aggregate { aggregator, grouping, of } => {
                Value::Vector(aggregate(*aggregator, grouping.as_ref(), &self.vector(of, at)?))
            }
            Expr::Binary(binary) => {
                let (left, right) = (self.value(&binary.left, at)?, self.value(&binary.right, at)?);
                match binary::apply(binary, left, right)? {
                    Value::Vector(elements) => Value::Vector(distinct(elements)?),
                    other => other,
                }
            }
            Expr::Call { function, arguments } => self.call(function, &Call { arguments, at })?,
            Expr::Range { .. } => return Err("a range vector is no value of its own".to_owned()),
        })
    }

    fn chosen(&self, selector: &Selector) -> &[&'a Series] {
        &self.chosen[selector.index]
    }

    fn vector(&self, expr: &Expr, at: i64) -> Evaluated<Vec<Element>> {
        match self.value(expr, at)? {
            Value::Vector(elements) => Ok(elements),
            _ => Err("not an instant vector".to_owned()),
        }
    }

    fn scalar(&self, expr: &Expr, at: i64) -> Evaluated<f64> {
        match self.value(expr, at)? {
            Value::Scalar(number) => Ok(number),
            _ => Err("not a scalar".to_owned()),
        }
    }

    fn call(&self, function: &Function, call: &Call) -> Evaluated<Value> {
        match function.body {
            Body::Window(body) => {
                let elements = self.windows(&call.arguments[0], call.at, body);
                Ok(Value::Vector(distinct(elements.iter().map(unnamed).collect())?))
            }
            Body::Each(body) => {
                let elements = self.vector(&call.arguments[0], call.at)?;
                let scalars = call.arguments[1..].iter().map(|scalar| self.scalar(scalar, call.at));
                let scalars = scalars.collect::<Evaluated<Vec<f64>>>()?;
                Ok(Value::Vector(mapped(&elements, |value| body(value, &scalars))?))
            }
            Body::Special(special) => self.special(special, call),
        }
    }

    /// What a function makes of the window of each series, with the series' labels.
    fn windows(&self, expr: &Expr, at: i64, body: impl Fn(&Window) -> Option<f64>) -> Vec<Element> {
        let Expr::Range { selector, range } = inner(expr) else { return Vec::new() };
        let end = at.saturating_sub(selector.offset);
        let start = end.saturating_sub(*range);
        let element = |series: &&Series| {
            let points = series.window(start, end);
            let value = if points.is_empty() { None } else { body(&Window { points: &points, start, end }) };
            value.map(|value| Element { labels: series.labels.clone(), value })
        };
        self.chosen(selector).iter().filter_map(element).collect()
    }

    fn special(&self, special: Special, call: &Call) -> Evaluated<Value> {
        let &Call { arguments, at } = call;
        Ok(match special {
            Special::Time => Value::Scalar(seconds(at)),
            Special::Vector => {
                Value::Vector(vec![Element { labels: Labels::default(), value: self.scalar(&arguments[0], at)? }])
            }
            Special::Scalar => Value::Scalar(match self.vector(&arguments[0], at)?.as_slice() {
                [only] => only.value,
                _ => f64::NAN,
            }),
            Special::Timestamp => Value::Vector(self.timestamps(&arguments[0], at)?),
            Special::Absent => {
                let nothing = self.vector(&arguments[0], at)?.is_empty();
                Value::Vector(absent(&arguments[0], nothing))
            }
            Special::AbsentOverTime => {
                let nothing = self.windows(&arguments[0], at, |_| Some(1.0)).is_empty();
                Value::Vector(absent(&arguments[0], nothing))
            }
            Special::LastOverTime => {
                Value::Vector(self.windows(&arguments[0], at, |window| window.points.last().map(|point| point.value)))
            }
            Special::Clamp => {
                let (least, most) = (self.scalar(&arguments[1], at)?, self.scalar(&arguments[2], at)?);
                let elements = if most < least { Vec::new() } else { self.vector(&arguments[0], at)? };
                Value::Vector(mapped(&elements, |value| largest(least, smallest(most, value)))?)
            }
            Special::Sort => Value::Vector(self.sorted(&arguments[0], at, false)?),
            Special::SortDescending => Value::Vector(self.sorted(&arguments[0], at, true)?),
            Special::HistogramQuantile => {
                let quantile = self.scalar(&arguments[0], at)?;
                Value::Vector(histogram_quantile(quantile, &self.vector(&arguments[1], at)?))
            }
            Special::LabelReplace => {
                Value::Vector(label_replace(self.vector(&arguments[0], at)?, &texts(&arguments[1..]))?)
            }
        })
    }

    /// When each element was scraped; of one that was computed, now.
    fn timestamps(&self, expr: &Expr, at: i64) -> Evaluated<Vec<Element>> {
        let Expr::Selector(selector) = inner(expr) else {
            return mapped(&self.vector(expr, at)?, |_| seconds(at));
        };
        let elements = self.chosen(selector).iter().filter_map(|series| {
            let point = series.at(at.saturating_sub(selector.offset), LOOKBACK)?;
            Some(Element { labels: series.labels.unnamed(), value: seconds(point.at) })
        });
        distinct(elements.collect())
    }

    /// By value; what is no number comes last.
    fn sorted(&self, expr: &Expr, at: i64, descending: bool) -> Evaluated<Vec<Element>> {
        let mut elements = self.vector(expr, at)?;
        elements.sort_by(|left, right| {
            let by_value =
                if descending { right.value.total_cmp(&left.value) } else { left.value.total_cmp(&right.value) };
            left.value.is_nan().cmp(&right.value.is_nan()).then(by_value)
        });
        Ok(elements)
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch are below 2^53")]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

fn inner(expr: &Expr) -> &Expr {
    if let Expr::Paren(expr) = expr { inner(expr) } else { expr }
}

fn unnamed(element: &Element) -> Element {
    Element { labels: element.labels.unnamed(), value: element.value }
}

/// The elements with other values, which no longer are those of the metric.
fn mapped(elements: &[Element], change: impl Fn(f64) -> f64) -> Evaluated<Vec<Element>> {
    distinct(elements.iter().map(|element| Element { value: change(element.value), ..unnamed(element) }).collect())
}

/// Refuses two elements with the same labels.
fn distinct(elements: Vec<Element>) -> Evaluated<Vec<Element>> {
    let mut seen = BTreeSet::new();
    if elements.iter().all(|element| seen.insert(&element.labels)) {
        return Ok(elements);
    }
    Err("vector cannot contain metrics with the same labelset".to_owned())
}

/// 1 if there is nothing, with those labels that the selector asks to be equal to something.
fn absent(expr: &Expr, nothing: bool) -> Vec<Element> {
    if !nothing {
        return Vec::new();
    }
    let (Expr::Selector(selector) | Expr::Range { selector, .. }) = inner(expr) else {
        return vec![Element { labels: Labels::default(), value: 1.0 }];
    };
    let asked = selector.matchers.iter().filter(|matcher| matcher.name != METRIC_NAME);
    let once = |name: &str| selector.matchers.iter().filter(|matcher| matcher.name == name).count() == 1;
    let equal = asked.filter(|matcher| matches!(matcher.comparison, Comparison::Equal) && once(&matcher.name));
    let labels = equal.map(|matcher| (matcher.name.as_str(), matcher.value.as_str())).collect();
    vec![Element { labels, value: 1.0 }]
}

fn texts(arguments: &[Expr]) -> Vec<&str> {
    let text = |expr| if let Expr::Text(text) = inner(expr) { text.as_str() } else { "" };
    arguments.iter().map(text).collect()
}

/// `label_replace(v, to, replacement, from, pattern)`.
fn label_replace(elements: Vec<Element>, texts: &[&str]) -> Evaluated<Vec<Element>> {
    let &[to, replacement, from, pattern] = texts else { return Ok(elements) };
    let pattern = anchored(pattern).map_err(|_| format!("invalid regular expression in label_replace(): {pattern}"))?;
    let is_name = to.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && to.chars().all(|character| character.is_ascii_alphanumeric() || character == '_');
    if !is_name {
        return Err(format!("invalid destination label name in label_replace(): {to}"));
    }
    let replaced = elements.into_iter().map(|element| match pattern.captures(element.labels.get(from)) {
        None => element,
        Some(captures) => {
            let mut value = String::new();
            captures.expand(replacement, &mut value);
            Element { labels: element.labels.with(to, &value), ..element }
        }
    });
    distinct(replaced.collect())
}
