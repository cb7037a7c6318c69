//! What must hold of any text.

use operator_run::cluster::embedded::promql::{Query, Storage, Value};
use proptest::prelude::*;

/// Pieces of queries: put together at random they are queries far more often than random letters are.
const PIECES: [&str; 44] = [
    "up",
    "rate",
    "sum",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "5m",
    "1h30m",
    "offset",
    "bool",
    "==",
    "!=",
    "=~",
    "=",
    ">",
    "+",
    "-",
    "*",
    "/",
    "^",
    "%",
    "and",
    "or",
    "unless",
    ",",
    "\"a.*\"",
    "'\\x",
    "1",
    "0x1f",
    ".5e-3",
    "NaN",
    "Inf",
    "job",
    "histogram_quantile",
    "#\n",
    "@",
];

/// Expressions that are right, from numbers and selectors up.
fn expressions() -> impl Strategy<Value = String> {
    let selector = prop_oneof![
        Just("up".to_owned()),
        Just("{job=~\"t.*\",x!=\"\\\"\\\\\"}".to_owned()),
        Just("a:b{le=\"1\"} offset 1m30s".to_owned()),
        Just("sum{on='x'} offset -1d".to_owned()),
    ];
    selector.prop_recursive(5, 40, 3, |inner| {
        let operators = prop::sample::select(vec!["+", "-", "*", "/", "%", "^", "==", "> bool", "and", "or", "unless"]);
        let matching = prop::sample::select(vec!["", "on (a, b)", "ignoring ()"]);
        prop_oneof![
            (inner.clone(), operators, matching, inner.clone())
                .prop_map(|(left, operator, matching, right)| format!("{left} {operator} {matching} {right}")),
            (inner.clone(), any::<f64>()).prop_map(|(left, number)| format!("({left} + ({number}))")),
            inner.clone().prop_map(|of| format!("sum by (le, by) ({of})")),
            inner.clone().prop_map(|of| format!("max({of}) without ()")),
            inner.clone().prop_map(|of| format!("-({of})")),
            inner.clone().prop_map(|of| format!("histogram_quantile(-+.9, {of})")),
            inner.prop_map(|of| format!("({of}) * on () group_right (x) rate(up{{}}[1h5m] offset 10s)")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,60}") {
        let _ = Query::parse(&text);
    }

    #[test]
    fn what_is_read_and_printed_reads_the_same(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..16)) {
        reads_as_printed(&pieces.join(" "));
        reads_as_printed(&pieces.concat());
    }

    #[test]
    fn a_right_expression_is_read_and_printed(text in expressions()) {
        prop_assert!(reads_as_printed(&text), "{}: {:?}", text, Query::parse(&text));
    }
}

/// Whether the text is a query; if it is, printing it and reading that must give the same.
fn reads_as_printed(text: &str) -> bool {
    let Ok(query) = Query::parse(text) else { return false };
    let printed = query.to_string();
    let again = Query::parse(&printed).unwrap_or_else(|error| panic!("{text:?} became {printed:?}: {error}"));
    assert_eq!(again.to_string(), printed, "of {text:?}");
    true
}

#[test]
fn a_huge_query_is_refused_and_does_no_harm() {
    for (open, close) in [("(", ")"), ("-", ""), ("abs(", ")"), ("1 + ", "")] {
        let text = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        assert!(Query::parse(&text).unwrap_err().message.contains("more than"), "{open}");
    }
    let largest = Query::parse(&vec!["1"; 250].join(" + ")).unwrap();
    assert_eq!(largest.instant(&Storage::default(), 0), Ok(Value::Scalar(250.0)));
}
