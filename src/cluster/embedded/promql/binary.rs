//! Operators between numbers and vectors (Prometheus: promql/engine.go, `VectorBinop` and its like).

use std::collections::{BTreeMap, BTreeSet};

use super::ast::{Binary, Grouping, Many, Operator};
use super::eval::{Element, Value};
use super::labels::Labels;

/// Matching by all labels but the name, which is what holds if nothing is said.
static ALL_LABELS: Grouping = Grouping::Without(Vec::new());

pub(super) fn apply(binary: &Binary, left: Value, right: Value) -> Result<Value, String> {
    let operator = binary.operator;
    Ok(match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => {
            let (value, holds) = compute(operator, left, right);
            Value::Scalar(if operator.compares() { f64::from(u8::from(holds)) } else { value })
        }
        (Value::Vector(left), Value::Scalar(right)) => {
            Value::Vector(with_scalar(binary, left, |value| compute(operator, value, right)))
        }
        // Of a comparison it is the vector's value that is kept, on whichever side it stands.
        (Value::Scalar(left), Value::Vector(right)) => Value::Vector(with_scalar(binary, right, |value| {
            let (computed, holds) = compute(operator, left, value);
            (if operator.compares() { value } else { computed }, holds)
        })),
        (Value::Vector(left), Value::Vector(right)) if operator.is_set() => Value::Vector(set(binary, left, right)),
        (Value::Vector(left), Value::Vector(right)) => Value::Vector(match &binary.many {
            Many::Right(_) => matched(binary, right, &left, true)?,
            _ => matched(binary, left, &right, false)?,
        }),
        (Value::Text(_), _) | (_, Value::Text(_)) => return Err("a text has no operators".to_owned()),
    })
}

/// What two numbers give, and whether a comparison of them holds; of one that holds, the left number is kept.
fn compute(operator: Operator, left: f64, right: f64) -> (f64, bool) {
    #[expect(clippy::float_cmp, reason = "what the query asks for")]
    match operator {
        Operator::Add => (left + right, true),
        Operator::Subtract => (left - right, true),
        Operator::Multiply => (left * right, true),
        Operator::Divide => (left / right, true),
        Operator::Modulo => (left % right, true),
        Operator::Power => (left.powf(right), true),
        Operator::Equal => (left, left == right),
        Operator::NotEqual => (left, left != right),
        Operator::Less => (left, left < right),
        Operator::LessOrEqual => (left, left <= right),
        Operator::Greater => (left, left > right),
        Operator::GreaterOrEqual => (left, left >= right),
        Operator::And | Operator::Or | Operator::Unless => (left, false),
    }
}

/// What becomes of an element: a comparison chooses, or with `bool` gives 0 or 1; arithmetic takes the name away.
fn outcome(binary: &Binary, labels: &Labels, (value, holds): (f64, bool)) -> Option<Element> {
    let labels = if binary.operator.compares() && !binary.as_bool { labels.clone() } else { labels.unnamed() };
    if binary.as_bool {
        return Some(Element { labels, value: f64::from(u8::from(holds)) });
    }
    holds.then_some(Element { labels, value })
}

fn with_scalar(binary: &Binary, elements: Vec<Element>, compute: impl Fn(f64) -> (f64, bool)) -> Vec<Element> {
    elements.into_iter().filter_map(|element| outcome(binary, &element.labels, compute(element.value))).collect()
}

fn set(binary: &Binary, mut left: Vec<Element>, mut right: Vec<Element>) -> Vec<Element> {
    let matching = binary.matching.as_ref().unwrap_or(&ALL_LABELS);
    let signatures = |elements: &[Element]| -> BTreeSet<Labels> {
        elements.iter().map(|element| matching.of(&element.labels)).collect()
    };
    if binary.operator == Operator::Or {
        let there = signatures(&left);
        right.retain(|element| !there.contains(&matching.of(&element.labels)));
        left.append(&mut right);
    } else {
        let there = signatures(&right);
        let wanted = binary.operator == Operator::And;
        left.retain(|element| there.contains(&matching.of(&element.labels)) == wanted);
    }
    left
}

/// Each element of the side that may have many, with its partner on the other side; `swapped` if the many are on the
/// right.
fn matched(binary: &Binary, many: Vec<Element>, one: &[Element], swapped: bool) -> Result<Vec<Element>, String> {
    let matching = binary.matching.as_ref().unwrap_or(&ALL_LABELS);
    let mut partners: BTreeMap<Labels, &Element> = BTreeMap::new();
    for element in one {
        let signature = matching.of(&element.labels);
        if let Some(other) = partners.insert(signature.clone(), element) {
            let side = if swapped { "left" } else { "right" };
            return Err(format!(
                "found duplicate series for the match group {signature} on the {side} hand-side of the operation: \
                 [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                element.labels, other.labels
            ));
        }
    }
    let mut seen: BTreeSet<(Labels, Option<Labels>)> = BTreeSet::new();
    let mut elements = Vec::new();
    for element in many {
        let signature = matching.of(&element.labels);
        let Some(partner) = partners.get(&signature) else { continue };
        let (left, right) = if swapped { (partner.value, element.value) } else { (element.value, partner.value) };
        let computed = compute(binary.operator, left, right);
        let labels = result_labels(binary, matching, &element.labels, &partner.labels);
        let Some(result) = outcome(binary, &labels, computed) else { continue };
        let unique = match binary.many {
            Many::Neither => seen.insert((signature, None)),
            _ => seen.insert((signature, Some(result.labels.clone()))),
        };
        match binary.many {
            _ if unique => elements.push(result),
            Many::Neither => {
                let ambiguous =
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
                return Err(ambiguous.to_owned());
            }
            _ => return Err("multiple matches for labels: grouping labels must ensure unique matches".to_owned()),
        }
    }
    Ok(elements)
}

/// The labels of a match: those that were matched, or all of the many's and those included of the one's.
fn result_labels(binary: &Binary, matching: &Grouping, many: &Labels, one: &Labels) -> Labels {
    let labels = if binary.operator.compares() { many.clone() } else { many.unnamed() };
    match (&binary.many, matching) {
        (Many::Neither, Grouping::By(_)) => matching.of(&labels),
        (Many::Neither, Grouping::Without(names)) => labels.filtered(|name| !names.iter().any(|own| own == name)),
        (Many::Left(included) | Many::Right(included), _) => {
            included.iter().fold(labels, |labels, name| labels.with(name, one.get(name)))
        }
    }
}
