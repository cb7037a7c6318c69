//! What a query means, as a tree, and the text that means the same.

use std::fmt;

use regex::Regex;

use super::aggregate::Aggregator;
use super::functions::Function;
use super::labels::{Labels, METRIC_NAME};
use super::number;

/// The type of an expression (Prometheus: promql/parser/value.go).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Scalar,
    Vector,
    Range,
    Text,
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Scalar => "scalar",
            Self::Vector => "instant vector",
            Self::Range => "range vector",
            Self::Text => "string",
        })
    }
}

/// How a matcher compares.
#[derive(Debug, Clone)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Matches(Regex),
    Differs(Regex),
}

/// One condition on a label.
#[derive(Debug, Clone)]
pub(super) struct Matcher {
    pub(super) name: String,
    pub(super) comparison: Comparison,
    pub(super) value: String,
}

impl Matcher {
    pub(super) fn matches(&self, value: &str) -> bool {
        match &self.comparison {
            Comparison::Equal => value == self.value,
            Comparison::NotEqual => value != self.value,
            Comparison::Matches(pattern) => pattern.is_match(value),
            Comparison::Differs(pattern) => !pattern.is_match(value),
        }
    }
}

/// A choice of series, and how far back to look. Spans are in milliseconds.
#[derive(Debug, Clone)]
pub(super) struct Selector {
    /// Its place among the selectors of the query.
    pub(super) index: usize,
    /// The name that stands before the braces; it is among the matchers, too.
    pub(super) name: Option<String>,
    pub(super) matchers: Vec<Matcher>,
    pub(super) offset: i64,
}

impl Selector {
    pub(super) fn matches(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.name)))
    }

    /// The one name that the metric must have, if only one will do.
    pub(super) fn exact_name(&self) -> Option<&str> {
        let exact = |matcher: &&Matcher| matcher.name == METRIC_NAME && matches!(matcher.comparison, Comparison::Equal);
        self.matchers.iter().find(exact).map(|matcher| matcher.value.as_str())
    }
}

/// Which labels a group or a match is made by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Grouping {
    /// By these alone: `by`, `on`.
    By(Vec<String>),
    /// By all but these: `without`, `ignoring`.
    Without(Vec<String>),
}

impl Grouping {
    /// What is left of a series' labels.
    pub(super) fn of(&self, labels: &Labels) -> Labels {
        match self {
            Self::By(names) => labels.filtered(|name| names.iter().any(|own| own == name)),
            Self::Without(names) => labels.filtered(|name| name != METRIC_NAME && !names.iter().any(|own| own == name)),
        }
    }
}

/// An operator between two expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Unless,
}

/// All operators, as they are written.
const OPERATORS: [(&str, Operator); 15] = [
    ("+", Operator::Add),
    ("-", Operator::Subtract),
    ("*", Operator::Multiply),
    ("/", Operator::Divide),
    ("%", Operator::Modulo),
    ("^", Operator::Power),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    ("<=", Operator::LessOrEqual),
    (">", Operator::Greater),
    (">=", Operator::GreaterOrEqual),
    ("and", Operator::And),
    ("or", Operator::Or),
    ("unless", Operator::Unless),
];

impl Operator {
    pub(super) fn of(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        OPERATORS.iter().find(|(own, _)| *own == text).map(|(_, operator)| *operator)
    }

    pub(super) fn text(self) -> &'static str {
        OPERATORS.iter().find(|(_, operator)| *operator == self).map_or("", |(text, _)| text)
    }

    /// How tightly it binds (Prometheus: `promql/parser/generated_parser.y`).
    pub(super) fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            _ if self.compares() => 3,
            Self::Add | Self::Subtract => 4,
            Self::Power => Self::TIGHTEST,
            _ => 5,
        }
    }

    /// The precedence of the power, which alone is right-associative and binds tighter than a sign.
    pub(super) const TIGHTEST: u8 = 6;

    pub(super) fn compares(self) -> bool {
        use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        matches!(self, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual)
    }

    pub(super) fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

/// Which side of a match may have many series for one of the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Many {
    /// Neither.
    Neither,
    /// The left one, which takes these labels from the right one.
    Left(Vec<String>),
    /// The right one, which takes these labels from the left one.
    Right(Vec<String>),
}

/// An operator and its operands.
#[derive(Debug, Clone)]
pub(super) struct Binary {
    pub(super) operator: Operator,
    pub(super) left: Expr,
    pub(super) right: Expr,
    /// A comparison gives 0 or 1 instead of choosing.
    pub(super) as_bool: bool,
    /// How elements of two vectors are matched; by all labels if it is not said.
    pub(super) matching: Option<Grouping>,
    pub(super) many: Many,
}

/// An expression. Spans are in milliseconds.
#[derive(Debug, Clone)]
pub(super) enum Expr {
    Number(f64),
    Text(String),
    Selector(Selector),
    Range { selector: Selector, range: i64 },
    Call { function: &'static Function, arguments: Vec<Expr> },
    Aggregate { aggregator: Aggregator, grouping: Option<Grouping>, of: Box<Expr> },
    Binary(Box<Binary>),
    Negate(Box<Expr>),
    Paren(Box<Expr>),
}

impl Expr {
    pub(super) fn kind(&self) -> Type {
        match self {
            Self::Number(_) => Type::Scalar,
            Self::Text(_) => Type::Text,
            Self::Selector(_) | Self::Aggregate { .. } => Type::Vector,
            Self::Range { .. } => Type::Range,
            Self::Call { function, .. } => function.returns,
            Self::Negate(inner) | Self::Paren(inner) => inner.kind(),
            Self::Binary(binary) => match (binary.left.kind(), binary.right.kind()) {
                (Type::Scalar, Type::Scalar) => Type::Scalar,
                _ => Type::Vector,
            },
        }
    }

    /// The selectors of the expression, in the order of the text.
    pub(super) fn selectors(&self) -> Vec<&Selector> {
        match self {
            Self::Number(_) | Self::Text(_) => Vec::new(),
            Self::Selector(selector) | Self::Range { selector, .. } => vec![selector],
            Self::Call { arguments, .. } => arguments.iter().flat_map(Self::selectors).collect(),
            Self::Aggregate { of: inner, .. } | Self::Negate(inner) | Self::Paren(inner) => inner.selectors(),
            Self::Binary(binary) => [&binary.left, &binary.right].into_iter().flat_map(Self::selectors).collect(),
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => formatter.write_str(&number::value(*number)),
            Self::Text(text) => write!(formatter, "{}", quoted(text)),
            Self::Selector(selector) => write!(formatter, "{selector}{}", Offset(selector.offset)),
            Self::Range { selector, range } => {
                write!(formatter, "{selector}[{}]{}", number::duration(*range), Offset(selector.offset))
            }
            Self::Call { function, arguments } => {
                let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
                write!(formatter, "{}({})", function.name, arguments.join(", "))
            }
            Self::Aggregate { aggregator, grouping, of } => {
                write!(formatter, "{}", aggregator.name())?;
                match grouping {
                    None => {}
                    Some(Grouping::By(names)) => write!(formatter, " by ({}) ", names.join(", "))?,
                    Some(Grouping::Without(names)) => write!(formatter, " without ({}) ", names.join(", "))?,
                }
                write!(formatter, "({of})")
            }
            Self::Binary(binary) => write!(formatter, "{binary}"),
            Self::Negate(inner) => write!(formatter, "-{inner}"),
            Self::Paren(inner) => write!(formatter, "({inner})"),
        }
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.left, self.operator.text())?;
        if self.as_bool {
            formatter.write_str(" bool")?;
        }
        match &self.matching {
            None => {}
            Some(Grouping::By(names)) => write!(formatter, " on ({})", names.join(", "))?,
            Some(Grouping::Without(names)) => write!(formatter, " ignoring ({})", names.join(", "))?,
        }
        match &self.many {
            Many::Neither => {}
            Many::Left(names) => write!(formatter, " group_left ({})", names.join(", "))?,
            Many::Right(names) => write!(formatter, " group_right ({})", names.join(", "))?,
        }
        write!(formatter, " {}", self.right)
    }
}

impl fmt::Display for Selector {
    /// Without the offset, which stands behind the range.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name.as_deref().unwrap_or_default())?;
        let skipped = usize::from(self.name.is_some());
        let matchers: Vec<String> = self.matchers.iter().skip(skipped).map(ToString::to_string).collect();
        if matchers.is_empty() { Ok(()) } else { write!(formatter, "{{{}}}", matchers.join(",")) }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comparison = match self.comparison {
            Comparison::Equal => "=",
            Comparison::NotEqual => "!=",
            Comparison::Matches(_) => "=~",
            Comparison::Differs(_) => "!~",
        };
        write!(formatter, "{}{comparison}{}", self.name, quoted(&self.value))
    }
}

struct Offset(i64);

impl fmt::Display for Offset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            span if span < 0 => write!(formatter, " offset -{}", number::duration(-span)),
            span => write!(formatter, " offset {}", number::duration(span)),
        }
    }
}

/// A text in double quotes, with the escapes that the lexer reads.
fn quoted(text: &str) -> String {
    let escaped = text.chars().flat_map(|character| match character {
        '"' => vec!['\\', '"'],
        '\\' => vec!['\\', '\\'],
        '\n' => vec!['\\', 'n'],
        other => vec![other],
    });
    format!("\"{}\"", escaped.collect::<String>())
}
