//! Whether the parts of an expression fit together (Prometheus: promql/parser/parse.go, `checkAST`).

use super::aggregate::Aggregator;
use super::ast::{Binary, Expr, Grouping, Many, Operator, Selector, Type};
use super::functions::Function;
use super::labels::METRIC_NAME;
use super::parser::{Parsed, Placed, mistake};

/// What stands between an operator and its right operand.
pub(super) struct Modifiers {
    /// Where the operator stands.
    pub(super) at: usize,
    pub(super) as_bool: bool,
    pub(super) matching: Option<Grouping>,
    pub(super) many: Many,
}

fn expect(placed: &Placed, wanted: Type, context: &str) -> Parsed<()> {
    match placed.expr.kind() {
        kind if kind == wanted => Ok(()),
        kind => mistake(placed.at, format!("expected type {wanted} in {context}, got {kind}")),
    }
}

pub(super) fn selector(selector: Selector, at: usize) -> Parsed<Expr> {
    if selector.name.is_some()
        && let Some(second) = selector.matchers.iter().skip(1).find(|matcher| matcher.name == METRIC_NAME)
    {
        let first = selector.name.as_deref().unwrap_or_default();
        return mistake(at, format!("metric name must not be set twice: {first:?} or {:?}", second.value));
    }
    if selector.matchers.iter().all(|matcher| matcher.matches("")) {
        return mistake(at, "vector selector must contain at least one non-empty matcher");
    }
    Ok(Expr::Selector(selector))
}

pub(super) fn call(function: &'static Function, arguments: Vec<Placed>, at: usize) -> Parsed<Placed> {
    let (given, most) = (arguments.len(), function.arguments.len());
    let least = most - function.optional;
    let wrong = match () {
        () if function.optional == 0 && given != most => format!("expected {most}"),
        () if given < least => format!("expected at least {least}"),
        () if given > most => format!("expected at most {most}"),
        () => String::new(),
    };
    if !wrong.is_empty() {
        return mistake(at, format!("{wrong} argument(s) in call to {:?}, got {given}", function.name));
    }
    for (argument, wanted) in arguments.iter().zip(function.arguments) {
        expect(argument, *wanted, &format!("call to function {:?}", function.name))?;
    }
    let arguments = arguments.into_iter().map(|argument| argument.expr).collect();
    Ok(Placed { expr: Expr::Call { function, arguments }, at })
}

pub(super) fn aggregation(
    aggregator: Aggregator,
    grouping: Option<Grouping>,
    arguments: Vec<Placed>,
    at: usize,
) -> Parsed<Placed> {
    let count = arguments.len();
    let mut arguments = arguments.into_iter();
    let (Some(of), None) = (arguments.next(), arguments.next()) else {
        return match count {
            0 => mistake(at, "no arguments for aggregate expression provided"),
            _ => mistake(
                at,
                format!("wrong number of arguments for aggregate expression provided, expected 1, got {count}"),
            ),
        };
    };
    expect(&of, Type::Vector, "aggregation expression")?;
    Ok(Placed { expr: Expr::Aggregate { aggregator, grouping, of: Box::new(of.expr) }, at })
}

pub(super) fn binary(operator: Operator, left: Placed, right: Placed, modifiers: Modifiers) -> Parsed<Placed> {
    let at = left.at;
    let Modifiers { at: operator_at, as_bool, matching, mut many } = modifiers;
    let (left_kind, right_kind) = (left.expr.kind(), right.expr.kind());
    let scalars = left_kind == Type::Scalar && right_kind == Type::Scalar;
    if operator.compares() && !as_bool && scalars {
        return mistake(operator_at, "comparisons between scalars must use BOOL modifier");
    }
    if operator.is_set() && many != Many::Neither {
        return mistake(at, format!("no grouping allowed for {:?} operation", operator.text()));
    }
    for side in [&left, &right] {
        if !matches!(side.expr.kind(), Type::Scalar | Type::Vector) {
            return mistake(side.at, "binary expression must contain only scalar and instant vector types");
        }
    }
    if left_kind == Type::Scalar || right_kind == Type::Scalar {
        let named = matches!(&matching, Some(Grouping::By(names) | Grouping::Without(names)) if !names.is_empty());
        if named {
            return mistake(at, "vector matching only allowed between instant vectors");
        }
        if operator.is_set() {
            return mistake(at, format!("set operator {:?} not allowed in binary scalar expression", operator.text()));
        }
        many = Many::Neither;
    }
    if let (Some(Grouping::By(on)), Many::Left(included) | Many::Right(included)) = (&matching, &many)
        && let Some(name) = included.iter().find(|name| on.contains(name))
    {
        return mistake(operator_at, format!("label {name:?} must not occur in ON and GROUP clause at once"));
    }
    let binary = Binary { operator, left: left.expr, right: right.expr, as_bool, matching, many };
    Ok(Placed { expr: Expr::Binary(Box::new(binary)), at })
}
