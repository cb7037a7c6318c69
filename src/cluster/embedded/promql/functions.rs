//! The functions: their names, what they take and give, and those that turn one number into another.

use std::fmt;

use regex::Regex;

use super::ast::Type;
use super::over_time::{self, Window};

/// What a function computes.
pub(super) enum Body {
    /// A number of what each series has in a window of time.
    Window(fn(&Window) -> Option<f64>),
    /// A number of each element's value and of further scalars.
    Each(fn(f64, &[f64]) -> f64),
    /// Something that needs more than a series at a time.
    Special(Special),
}

/// The functions that [`super::eval`] computes by itself.
#[derive(Debug, Clone, Copy)]
pub(super) enum Special {
    Time,
    Vector,
    Scalar,
    Timestamp,
    Absent,
    AbsentOverTime,
    LastOverTime,
    Clamp,
    Sort,
    SortDescending,
    HistogramQuantile,
    LabelReplace,
}

/// A function.
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) arguments: &'static [Type],
    /// So many of the last arguments may be left out.
    pub(super) optional: usize,
    pub(super) returns: Type,
    pub(super) body: Body,
}

impl fmt::Debug for Function {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

const fn function(name: &'static str, arguments: &'static [Type], returns: Type, body: Body) -> Function {
    Function { name, arguments, optional: 0, returns, body }
}

const fn window(name: &'static str, body: fn(&Window) -> Option<f64>) -> Function {
    function(name, &[Type::Range], Type::Vector, Body::Window(body))
}

const fn each(name: &'static str, body: fn(f64, &[f64]) -> f64) -> Function {
    function(name, &[Type::Vector], Type::Vector, Body::Each(body))
}

const fn special(name: &'static str, arguments: &'static [Type], returns: Type, special: Special) -> Function {
    function(name, arguments, returns, Body::Special(special))
}

const CLAMPED: &[Type] = &[Type::Vector, Type::Scalar];

/// Those functions that are evaluated (Prometheus: promql/functions.go, promql/parser/functions.go).
static FUNCTIONS: [Function; 42] = [
    window("rate", over_time::rate),
    window("increase", over_time::increase),
    window("delta", over_time::delta),
    window("irate", over_time::irate),
    window("idelta", over_time::idelta),
    window("changes", over_time::changes),
    window("resets", over_time::resets),
    window("deriv", over_time::deriv),
    window("avg_over_time", over_time::avg),
    window("sum_over_time", over_time::sum),
    window("min_over_time", over_time::min),
    window("max_over_time", over_time::max),
    window("count_over_time", over_time::count),
    window("present_over_time", over_time::present),
    special("last_over_time", &[Type::Range], Type::Vector, Special::LastOverTime),
    special("absent_over_time", &[Type::Range], Type::Vector, Special::AbsentOverTime),
    each("abs", |value, _| value.abs()),
    each("ceil", |value, _| value.ceil()),
    each("floor", |value, _| value.floor()),
    each("sqrt", |value, _| value.sqrt()),
    each("exp", |value, _| value.exp()),
    each("ln", |value, _| value.ln()),
    each("log2", |value, _| value.log2()),
    each("log10", |value, _| value.log10()),
    each("sgn", |value, _| {
        if value > 0.0 {
            1.0
        } else if value < 0.0 {
            -1.0
        } else {
            value
        }
    }),
    function("clamp_min", CLAMPED, Type::Vector, Body::Each(|value, bounds| largest(value, bounds[0]))),
    function("clamp_max", CLAMPED, Type::Vector, Body::Each(|value, bounds| smallest(value, bounds[0]))),
    special("clamp", &[Type::Vector, Type::Scalar, Type::Scalar], Type::Vector, Special::Clamp),
    Function { optional: 1, ..function("round", CLAMPED, Type::Vector, Body::Each(round)) },
    special("time", &[], Type::Scalar, Special::Time),
    special("vector", &[Type::Scalar], Type::Vector, Special::Vector),
    special("scalar", &[Type::Vector], Type::Scalar, Special::Scalar),
    special("timestamp", &[Type::Vector], Type::Vector, Special::Timestamp),
    special("absent", &[Type::Vector], Type::Vector, Special::Absent),
    special("sort", &[Type::Vector], Type::Vector, Special::Sort),
    special("sort_desc", &[Type::Vector], Type::Vector, Special::SortDescending),
    special("histogram_quantile", &[Type::Scalar, Type::Vector], Type::Vector, Special::HistogramQuantile),
    special(
        "label_replace",
        &[Type::Vector, Type::Text, Type::Text, Type::Text, Type::Text],
        Type::Vector,
        Special::LabelReplace,
    ),
    each("deg", |value, _| value * 180.0 / std::f64::consts::PI),
    each("rad", |value, _| value * std::f64::consts::PI / 180.0),
    each("sin", |value, _| value.sin()),
    each("cos", |value, _| value.cos()),
];

/// Functions that a Prometheus 2.42 has and that are not evaluated here.
const OTHERS: [&str; 28] = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "cosh",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "histogram_count",
    "histogram_fraction",
    "histogram_sum",
    "holt_winters",
    "hour",
    "label_join",
    "minute",
    "month",
    "pi",
    "predict_linear",
    "quantile_over_time",
    "sinh",
    "stddev_over_time",
    "stdvar_over_time",
    "tan",
    "tanh",
    "year",
];

/// The function of a name, or why there is none.
pub(super) fn find(name: &str) -> Result<&'static Function, String> {
    let found = FUNCTIONS.iter().find(|function| function.name == name);
    found.ok_or_else(|| {
        let known = OTHERS.contains(&name);
        if known {
            format!("the function {name:?} is not evaluated here")
        } else {
            format!("unknown function with name {name:?}")
        }
    })
}

/// A pattern that must match the whole of a value, as Prometheus anchors them (model/labels/regexp.go).
pub(super) fn anchored(pattern: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        format!("error parsing regexp: {reason}: `^(?:{pattern})$`")
    })
}

/// Go's `math.Max`: NaN if either is.
pub(super) fn largest(left: f64, right: f64) -> f64 {
    if left.is_nan() || right.is_nan() { f64::NAN } else { left.max(right) }
}

/// Go's `math.Min`: NaN if either is.
pub(super) fn smallest(left: f64, right: f64) -> f64 {
    if left.is_nan() || right.is_nan() { f64::NAN } else { left.min(right) }
}

/// To the nearest multiple; halves go up.
fn round(value: f64, to: &[f64]) -> f64 {
    // The inverse is exact for the usual 0.1 and its like, where dividing by them is not.
    let inverse = 1.0 / to.first().copied().unwrap_or(1.0);
    (value * inverse + 0.5).floor() / inverse
}
