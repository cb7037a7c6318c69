//! From tokens to an expression whose types fit (Prometheus: promql/parser). Mistakes are worded and placed as
//! Prometheus does where it can be had cheaply.

use super::aggregate::Aggregator;
use super::ast::{Comparison, Expr, Grouping, Many, Matcher, Operator, Selector, Type};
use super::functions;
use super::labels::METRIC_NAME;
use super::lexer::{self, Kind, Token};
use super::number;
use super::{ParseError, check};

/// How many parts a query may have. Prometheus has no such bound; here it keeps the recursion shallow.
const MOST_PARTS: usize = 500;
/// How deeply they may be nested, for the same reason.
const DEEPEST: usize = 80;

/// What went wrong, and at which byte.
pub(super) struct Mistake {
    pub(super) at: usize,
    pub(super) message: String,
}

pub(super) type Parsed<T> = Result<T, Mistake>;

pub(super) fn mistake<T>(at: usize, message: impl Into<String>) -> Parsed<T> {
    Err(Mistake { at, message: message.into() })
}

/// An expression and the byte that it begins at.
pub(super) struct Placed {
    pub(super) expr: Expr,
    pub(super) at: usize,
}

/// Reads a query.
pub(super) fn parse(query: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser { tokens: lexer::tokens(query), next: 0, parts: 0, depth: 0, selectors: 0 };
    parser.query().map_err(|mistake| place(query, mistake))
}

fn place(query: &str, mistake: Mistake) -> ParseError {
    let before = &query[..mistake.at.min(query.len())];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.matches('\n').count() + 1;
    ParseError { line, column: before.len() - line_start + 1, message: mistake.message }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    parts: usize,
    depth: usize,
    selectors: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        // The last token is never consumed.
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += usize::from(!matches!(token.kind, Kind::End | Kind::Error));
        token
    }

    fn accept(&mut self, text: &str) -> bool {
        let found = self.peek().is(text);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, text: &str, context: &str) -> Parsed<()> {
        if self.accept(text) { Ok(()) } else { self.unexpected(context, &format!("{text:?}")) }
    }

    fn unexpected<T>(&self, context: &str, expected: &str) -> Parsed<T> {
        let token = self.peek();
        if token.kind == Kind::Error {
            return mistake(token.start, token.text.clone());
        }
        let context = if context.is_empty() { String::new() } else { format!(" in {context}") };
        let expected = if expected.is_empty() { String::new() } else { format!(", expected {expected}") };
        mistake(token.start, format!("unexpected {}{context}{expected}", token.description()))
    }

    fn query(&mut self) -> Parsed<Expr> {
        if self.peek().kind == Kind::End {
            return mistake(self.peek().start, "no expression found in input");
        }
        let whole = self.binary(0)?;
        if self.peek().kind == Kind::End { Ok(whole.expr) } else { self.unexpected("", "") }
    }

    fn count_part(&mut self) -> Parsed<()> {
        self.parts += 1;
        if self.parts <= MOST_PARTS {
            return Ok(());
        }
        mistake(self.peek().start, format!("the query has more than {MOST_PARTS} parts"))
    }

    /// Operands and the operators between them that bind at least so tightly.
    fn binary(&mut self, precedence: u8) -> Parsed<Placed> {
        if self.depth == DEEPEST {
            return mistake(self.peek().start, format!("the query is nested more than {DEEPEST} deep"));
        }
        self.depth += 1;
        let placed = self.operators(precedence);
        self.depth -= 1;
        placed
    }

    fn operators(&mut self, precedence: u8) -> Parsed<Placed> {
        let mut left = self.sign()?;
        loop {
            let token = self.peek();
            let Some(operator) = Operator::of(&token.text).filter(|_| token.kind == Kind::Operator) else {
                return Ok(left);
            };
            if operator.precedence() < precedence {
                return Ok(left);
            }
            self.count_part()?;
            let at = self.take().start;
            let modifiers = self.modifiers(operator, at)?;
            let above = operator.precedence() + u8::from(operator != Operator::Power);
            let right = self.binary(above)?;
            left = check::binary(operator, left, right, modifiers)?;
        }
    }

    fn modifiers(&mut self, operator: Operator, at: usize) -> Parsed<check::Modifiers> {
        let as_bool = self.accept("bool");
        if as_bool && !operator.compares() {
            return mistake(at, "bool modifier can only be used on comparison operators");
        }
        let matching = match () {
            () if self.accept("on") => Some(Grouping::By(self.names()?)),
            () if self.accept("ignoring") => Some(Grouping::Without(self.names()?)),
            () => None,
        };
        let many = match () {
            () if matching.is_none() => Many::Neither,
            () if self.accept("group_left") => Many::Left(self.included()?),
            () if self.accept("group_right") => Many::Right(self.included()?),
            () => Many::Neither,
        };
        Ok(check::Modifiers { at, as_bool, matching, many })
    }

    fn included(&mut self) -> Parsed<Vec<String>> {
        if self.peek().is("(") { self.names() } else { Ok(Vec::new()) }
    }

    /// Names of labels in parentheses. Words with a meaning elsewhere are names here.
    fn names(&mut self) -> Parsed<Vec<String>> {
        let mut names = Vec::new();
        self.expect("(", "grouping opts")?;
        while !self.accept(")") {
            let is_word = self.peek().text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
            if !is_word || matches!(self.peek().kind, Kind::Text | Kind::Error | Kind::MetricIdentifier) {
                return self.unexpected("grouping opts", "label");
            }
            names.push(self.take().text);
            if !self.accept(",") && !self.peek().is(")") {
                return self.unexpected("grouping opts", "\",\" or \")\"");
            }
        }
        Ok(names)
    }

    fn sign(&mut self) -> Parsed<Placed> {
        let at = self.peek().start;
        let negative = self.peek().is("-");
        if !negative && !self.peek().is("+") {
            return self.postfix();
        }
        self.count_part()?;
        self.take();
        let inner = self.binary(Operator::TIGHTEST)?;
        let kind = inner.expr.kind();
        if !matches!(kind, Type::Scalar | Type::Vector) {
            let only = "unary expression only allowed on expressions of type scalar or instant vector";
            return mistake(at, format!("{only}, got {:?}", kind.to_string()));
        }
        let expr = match inner.expr {
            expr if !negative => expr,
            Expr::Number(number) => Expr::Number(-number),
            expr => Expr::Negate(Box::new(expr)),
        };
        Ok(Placed { expr, at })
    }

    fn postfix(&mut self) -> Parsed<Placed> {
        let mut placed = self.primary()?;
        loop {
            let token = self.peek().clone();
            match () {
                () if token.is("[") => placed.expr = self.range(placed.expr, placed.at)?,
                () if token.is("offset") => placed.expr = self.offset(placed.expr, placed.at)?,
                () if token.is("@") => return mistake(token.start, "the modifier @ is not evaluated here"),
                () => return Ok(placed),
            }
        }
    }

    fn range(&mut self, expr: Expr, at: usize) -> Parsed<Expr> {
        let bracket = self.take().start;
        if self.peek().kind != Kind::Duration {
            return self.unexpected("subquery selector", "duration");
        }
        let token = self.take();
        let range = number::parse_duration(&token.text).unwrap_or_default();
        if self.peek().is(":") {
            return mistake(self.peek().start, "subqueries are not evaluated here");
        }
        self.expect("]", "matrix selector")?;
        match expr {
            Expr::Selector(selector) if selector.offset != 0 => mistake(at, "no offset modifiers allowed before range"),
            Expr::Selector(_) if range == 0 => mistake(token.start, "duration must be greater than 0"),
            Expr::Selector(selector) => Ok(Expr::Range { selector, range }),
            _ => mistake(bracket, "ranges only allowed for vector selectors"),
        }
    }

    fn offset(&mut self, mut expr: Expr, at: usize) -> Parsed<Expr> {
        self.take();
        let sign = if self.accept("-") { -1 } else { 1 };
        if self.peek().kind != Kind::Duration {
            return self.unexpected("offset", "duration");
        }
        let span = number::parse_duration(&self.take().text).unwrap_or_default();
        match &mut expr {
            Expr::Selector(selector) | Expr::Range { selector, .. } if selector.offset == 0 => {
                selector.offset = sign * span;
                Ok(expr)
            }
            Expr::Selector(_) | Expr::Range { .. } => mistake(at, "offset may not be set multiple times"),
            _ => {
                let only = "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery";
                mistake(at, only)
            }
        }
    }

    fn primary(&mut self) -> Parsed<Placed> {
        self.count_part()?;
        let token = self.peek().clone();
        let at = token.start;
        let expr = match token.kind {
            Kind::Number => {
                self.take();
                Expr::Number(number::parse(&token.text).unwrap_or(f64::NAN))
            }
            Kind::Text => {
                self.take();
                Expr::Text(token.text)
            }
            Kind::Aggregator if self.follows(&["(", "by", "without"]) => return self.aggregation(),
            Kind::Identifier if self.follows(&["("]) => return self.call(),
            Kind::Identifier | Kind::MetricIdentifier | Kind::Aggregator => self.selector(true)?,
            Kind::Keyword if !token.is("by") && !token.is("bool") => self.selector(true)?,
            Kind::Punctuation if token.is("{") => self.selector(false)?,
            Kind::Punctuation if token.is("(") => {
                self.take();
                let inner = self.binary(0)?;
                self.expect(")", "parenthesized expression")?;
                Expr::Paren(Box::new(inner.expr))
            }
            _ => return self.unexpected("", ""),
        };
        Ok(Placed { expr, at })
    }

    fn follows(&self, texts: &[&str]) -> bool {
        self.tokens.get(self.next + 1).is_some_and(|token| texts.iter().any(|text| token.is(text)))
    }

    fn selector(&mut self, named: bool) -> Parsed<Expr> {
        let at = self.peek().start;
        let name = named.then(|| self.take().text);
        let named = name.iter().map(|name| Matcher {
            name: METRIC_NAME.to_owned(),
            comparison: Comparison::Equal,
            value: name.clone(),
        });
        let mut matchers: Vec<Matcher> = named.collect();
        if self.accept("{") {
            while !self.accept("}") {
                matchers.push(self.matcher()?);
                if !self.accept(",") && !self.peek().is("}") {
                    return self.unexpected("label matching", "\",\" or \"}\"");
                }
            }
        }
        let index = self.selectors;
        self.selectors += 1;
        check::selector(Selector { index, name, matchers, offset: 0 }, at)
    }

    fn matcher(&mut self) -> Parsed<Matcher> {
        if self.peek().kind != Kind::Identifier {
            return self.unexpected("label matching", "identifier or \"}\"");
        }
        let name = self.take();
        if self.peek().kind != Kind::Operator {
            return self.unexpected("label matching", "label matching operator");
        }
        let operator = self.take();
        if self.peek().kind != Kind::Text {
            return self.unexpected("label matching", "string");
        }
        let value = self.take().text;
        let pattern = || functions::anchored(&value).map_err(|message| Mistake { at: name.start, message });
        let comparison = match operator.text.as_str() {
            "=" => Comparison::Equal,
            "!=" => Comparison::NotEqual,
            "=~" => Comparison::Matches(pattern()?),
            _ => Comparison::Differs(pattern()?),
        };
        Ok(Matcher { name: name.text, comparison, value })
    }

    /// Expressions in parentheses, with commas between.
    fn arguments(&mut self) -> Parsed<Vec<Placed>> {
        let mut arguments = Vec::new();
        self.expect("(", "function call")?;
        if self.accept(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.binary(0)?);
            if self.accept(")") {
                return Ok(arguments);
            }
            if self.peek().kind == Kind::Error || !self.accept(",") {
                return self.unexpected("", "");
            }
            if self.peek().is(")") {
                return mistake(self.peek().start, "trailing commas not allowed in function call args");
            }
        }
    }

    fn call(&mut self) -> Parsed<Placed> {
        let name = self.take();
        let function = match functions::find(&name.text) {
            Ok(function) => function,
            Err(message) => return mistake(name.start, message),
        };
        let arguments = self.arguments()?;
        check::call(function, arguments, name.start)
    }

    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        Ok(match () {
            () if self.accept("by") => Some(Grouping::By(self.names()?)),
            () if self.accept("without") => Some(Grouping::Without(self.names()?)),
            () => None,
        })
    }

    fn aggregation(&mut self) -> Parsed<Placed> {
        let name = self.take();
        let before = self.grouping()?;
        let arguments = self.arguments()?;
        let grouping = if before.is_some() { before } else { self.grouping()? };
        let Some(aggregator) = Aggregator::of(&name.text) else {
            return mistake(name.start, format!("the aggregation {:?} is not evaluated here", name.text));
        };
        check::aggregation(aggregator, grouping, arguments, name.start)
    }
}
