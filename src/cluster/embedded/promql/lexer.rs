//! From text to tokens. What cannot be read becomes a last token that says why, so that an earlier mistake of the
//! grammar is still told first.

use super::number;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The end of the query.
    End,
    /// The query cannot be read from here; the token's text says why.
    Error,
    Identifier,
    MetricIdentifier,
    Number,
    Duration,
    /// A text, without its quotes and with its escapes read.
    Text,
    Keyword,
    Aggregator,
    Operator,
    Punctuation,
}

/// A piece of a query, and the byte that it begins at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) text: String,
    pub(super) start: usize,
}

impl Token {
    /// Whether it is this keyword, operator or punctuation.
    pub(super) fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Keyword | Kind::Operator | Kind::Punctuation) && self.text.eq_ignore_ascii_case(text)
    }

    /// As errors show it (Prometheus: promql/parser/lex.go, `Item.desc`).
    pub(super) fn description(&self) -> String {
        let quoted = || match self.text.char_indices().nth(10) {
            Some((cut, _)) => format!("{:?}...", &self.text[..cut]),
            None => format!("{:?}", self.text),
        };
        match self.kind {
            Kind::End => "end of input".to_owned(),
            Kind::Error => self.text.clone(),
            Kind::Identifier => format!("identifier {}", quoted()),
            Kind::MetricIdentifier => format!("metric identifier {}", quoted()),
            Kind::Number => format!("number {}", quoted()),
            Kind::Duration => format!("duration {}", quoted()),
            Kind::Text => format!("string {:?}", quoted()),
            Kind::Keyword => format!("<{}>", self.text),
            Kind::Aggregator => format!("<aggr:{}>", self.text),
            Kind::Operator => format!("<op:{}>", self.text),
            Kind::Punctuation => quoted(),
        }
    }
}

/// Words with a meaning of their own (Prometheus: promql/parser/lex.go, `key`).
const KEYWORDS: [&str; 8] = ["by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset"];
const AGGREGATORS: [&str; 12] =
    ["sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "topk", "bottomk", "count_values", "quantile"];
const WORD_OPERATORS: [&str; 4] = ["and", "or", "unless", "atan2"];

/// Reads a whole query. The last token is [`Kind::End`] or [`Kind::Error`].
pub(super) fn tokens(query: &str) -> Vec<Token> {
    let mut lexer = Lexer { query, position: 0, parentheses: 0, in_braces: false, in_brackets: false };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks();
        let start = lexer.position;
        let (kind, text, start) = match lexer.next() {
            Ok((kind, text)) => (kind, text, start),
            Err(reason) => (Kind::Error, reason, lexer.position),
        };
        tokens.push(Token { kind, text, start });
        if matches!(kind, Kind::End | Kind::Error) {
            return tokens;
        }
    }
}

struct Lexer<'a> {
    query: &'a str,
    position: usize,
    parentheses: usize,
    in_braces: bool,
    in_brackets: bool,
}

type Read = Result<(Kind, String), String>;

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.query[self.position..]
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
            let comment = if rest[blank..].starts_with('#') && !self.in_braces {
                rest[blank..].find('\n').unwrap_or(rest.len() - blank)
            } else {
                0
            };
            self.position += blank + comment;
            if comment == 0 {
                return;
            }
        }
    }

    fn take(&mut self, kind: Kind, length: usize) -> (Kind, String) {
        let text = self.rest()[..length].to_owned();
        self.position += length;
        (kind, text)
    }

    fn word_length(&self, more: impl Fn(char) -> bool) -> usize {
        let rest = self.rest();
        rest.find(|character| !is_word(character) && !more(character)).unwrap_or(rest.len())
    }

    fn next(&mut self) -> Read {
        let Some(first) = self.rest().chars().next() else { return self.end() };
        match first {
            '"' | '\'' | '`' => self.text(first),
            ',' => Ok(self.take(Kind::Punctuation, 1)),
            _ if self.in_braces => self.inside_braces(first),
            '0'..='9' => self.number(),
            '.' if self.rest()[1..].starts_with(|next: char| next.is_ascii_digit()) => self.number(),
            ':' if self.in_brackets => Ok(self.take(Kind::Punctuation, 1)),
            'a'..='z' | 'A'..='Z' | '_' | ':' => Ok(self.word()),
            '(' | ')' | '{' | '[' | ']' => self.bracket(first),
            '*' | '/' | '%' | '+' | '-' | '^' | '@' => Ok(self.take(Kind::Operator, 1)),
            '<' | '>' | '=' | '!' => self.comparison(first),
            other => Err(format!("unexpected character: {other:?}")),
        }
    }

    fn end(&self) -> Read {
        match self {
            Self { in_braces: true, .. } => Err("unexpected end of input inside braces".to_owned()),
            Self { parentheses: 1.., .. } => Err("unclosed left parenthesis".to_owned()),
            Self { in_brackets: true, .. } => Err("unclosed left bracket".to_owned()),
            _ => Ok((Kind::End, String::new())),
        }
    }

    fn inside_braces(&mut self, first: char) -> Read {
        let second = self.rest().chars().nth(1);
        match (first, second) {
            ('a'..='z' | 'A'..='Z' | '_', _) => {
                let length = self.word_length(|_| false);
                Ok(self.take(Kind::Identifier, length))
            }
            ('=' | '!', Some('~')) | ('!', Some('=')) => Ok(self.take(Kind::Operator, 2)),
            ('=', _) => Ok(self.take(Kind::Operator, 1)),
            ('!', _) => Err(format!(
                "unexpected character after '!' inside braces: {:?}",
                second.unwrap_or(char::REPLACEMENT_CHARACTER)
            )),
            ('{', _) => Err("unexpected left brace '{'".to_owned()),
            ('}', _) => {
                self.in_braces = false;
                Ok(self.take(Kind::Punctuation, 1))
            }
            _ => Err(format!("unexpected character inside braces: {first:?}")),
        }
    }

    fn bracket(&mut self, first: char) -> Read {
        match first {
            '(' => self.parentheses += 1,
            ')' if self.parentheses == 0 => {
                // Prometheus has passed it when it finds that there was none to close.
                self.position += 1;
                return Err("unexpected right parenthesis ')'".to_owned());
            }
            ')' => self.parentheses -= 1,
            '{' => self.in_braces = true,
            '[' if self.in_brackets => return Err("unexpected left bracket '['".to_owned()),
            '[' => self.in_brackets = true,
            _ if !self.in_brackets => return Err("unexpected right bracket ']'".to_owned()),
            _ => self.in_brackets = false,
        }
        Ok(self.take(Kind::Punctuation, 1))
    }

    fn comparison(&mut self, first: char) -> Read {
        match (first, self.rest().chars().nth(1)) {
            (_, Some('=')) => Ok(self.take(Kind::Operator, 2)),
            ('=', Some('~')) => Err("unexpected character after '=': '~'".to_owned()),
            ('!', second) => {
                Err(format!("unexpected character after '!': {:?}", second.unwrap_or(char::REPLACEMENT_CHARACTER)))
            }
            _ => Ok(self.take(Kind::Operator, 1)),
        }
    }

    fn word(&mut self) -> (Kind, String) {
        let length = self.word_length(|character| character == ':');
        let word = self.rest()[..length].to_ascii_lowercase();
        let kind = match word.as_str() {
            word if KEYWORDS.contains(&word) => Kind::Keyword,
            word if AGGREGATORS.contains(&word) => Kind::Aggregator,
            word if WORD_OPERATORS.contains(&word) => Kind::Operator,
            "inf" | "nan" => Kind::Number,
            word if word.contains(':') => Kind::MetricIdentifier,
            _ => Kind::Identifier,
        };
        self.take(kind, length)
    }

    /// A number or a span. An exponent may have a sign.
    fn number(&mut self) -> Read {
        let mut length = self.word_length(|character| character == '.');
        let text = &self.rest()[..length];
        if text.ends_with(['e', 'E']) && !text.starts_with("0x") && self.rest()[length..].starts_with(['+', '-']) {
            let tail = &self.rest()[length + 1..];
            length += 1 + tail.find(|character: char| !is_word(character)).unwrap_or(tail.len());
        }
        let text = &self.rest()[..length];
        let kind = match () {
            () if number::parse(text).is_some() && self.in_brackets => {
                return Err("missing unit character in duration".to_owned());
            }
            () if number::parse(text).is_some() => Kind::Number,
            () if number::parse_duration(text).is_some() => Kind::Duration,
            () if self.in_brackets => {
                let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
                return Err(format!("bad duration syntax: {digits:?}"));
            }
            () if is_unfinished(text) => {
                return Err(format!("error parsing number: strconv.ParseFloat: parsing {text:?}: invalid syntax"));
            }
            () => return Err(format!("bad number or duration syntax: {text:?}")),
        };
        Ok(self.take(kind, length))
    }

    fn text(&mut self, quote: char) -> Read {
        let mut text = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                _ if character == quote => {
                    self.position += at + 1;
                    return Ok((Kind::Text, text));
                }
                '\n' if quote != '`' => break,
                '\\' if quote != '`' => {
                    let escape = characters.next().map(|(_, escape)| escape);
                    text.push(escaped(escape, quote, &mut characters.by_ref().map(|(_, digit)| digit))?);
                }
                _ => text.push(character),
            }
        }
        Err(if quote == '`' { "unterminated raw string" } else { "unterminated quoted string" }.to_owned())
    }
}

/// Whether Prometheus' lexer takes it for a number, which its parser then finds to be none.
fn is_unfinished(number: &str) -> bool {
    let mantissa = number.strip_suffix(['e', 'E']).unwrap_or_default();
    number.eq_ignore_ascii_case("0x") || mantissa.parse::<f64>().is_ok()
}

/// The character that an escape stands for (Go: `strconv.Unquote`).
fn escaped(escape: Option<char>, quote: char, rest: &mut dyn Iterator<Item = char>) -> Result<char, String> {
    let mut code = |digits: usize| {
        let digits: String = rest.take(digits).collect();
        u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)
    };
    let character = match escape {
        Some('n') => Some('\n'),
        Some('t') => Some('\t'),
        Some('r') => Some('\r'),
        Some('a') => Some('\x07'),
        Some('b') => Some('\x08'),
        Some('f') => Some('\x0c'),
        Some('v') => Some('\x0b'),
        Some('\\') => Some('\\'),
        Some('x') => code(2),
        Some('u') => code(4),
        Some('U') => code(8),
        Some(other) if other == quote => Some(other),
        None => return Err("escape sequence not terminated".to_owned()),
        Some(_) => None,
    };
    character.ok_or_else(|| {
        let escape = escape.unwrap_or_default();
        format!("unknown escape sequence U+{:04X} {escape:?}", u32::from(escape))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(query: &str) -> Vec<(Kind, String)> {
        tokens(query).into_iter().map(|token| (token.kind, token.text)).collect()
    }

    #[test]
    fn a_query_becomes_tokens() {
        let query = "sum BY (le) (rate(a:b{x=~\"y\\n\"}[1m])) >= 1e-3 # and more";
        let expected = [
            (Kind::Aggregator, "sum"),
            (Kind::Keyword, "BY"),
            (Kind::Punctuation, "("),
            (Kind::Identifier, "le"),
            (Kind::Punctuation, ")"),
            (Kind::Punctuation, "("),
            (Kind::Identifier, "rate"),
            (Kind::Punctuation, "("),
            (Kind::MetricIdentifier, "a:b"),
            (Kind::Punctuation, "{"),
            (Kind::Identifier, "x"),
            (Kind::Operator, "=~"),
            (Kind::Text, "y\n"),
            (Kind::Punctuation, "}"),
            (Kind::Punctuation, "["),
            (Kind::Duration, "1m"),
            (Kind::Punctuation, "]"),
            (Kind::Punctuation, ")"),
            (Kind::Punctuation, ")"),
            (Kind::Operator, ">="),
            (Kind::Number, "1e-3"),
            (Kind::End, ""),
        ];
        assert_eq!(texts(query), expected.map(|(kind, text)| (kind, text.to_owned())));
    }

    #[test]
    fn the_last_token_says_what_cannot_be_read() {
        let cases = [
            ("up{", "unexpected end of input inside braces"),
            ("(up", "unclosed left parenthesis"),
            ("up)", "unexpected right parenthesis ')'"),
            ("up[5]", "missing unit character in duration"),
            ("'up", "unterminated quoted string"),
            ("5x", "bad number or duration syntax: \"5x\""),
            ("§", "unexpected character: '§'"),
            ("\"\\q\"", "unknown escape sequence U+0071 'q'"),
        ];
        for (query, expected) in cases {
            assert_eq!(texts(query).pop(), Some((Kind::Error, expected.to_owned())), "{query}");
        }
    }
}
