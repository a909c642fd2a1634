//! What a user sees of a mistake: the message, the stretch with carets, the help. A table, so that a change of words shows.

use super::parse;

/// Expression, message, what the carets stand under, help.
type Case = (&'static str, &'static str, &'static str, &'static str);

const NO_HELP: &str = "";

const CASES: &[Case] = &[
    // Names.
    (
        "rat(x[1m])",
        r#"unknown function with name "rat""#,
        "rat",
        "did you mean `rate`?",
    ),
    (
        "1 + sume(x)",
        r#"unknown function with name "sume""#,
        "sume",
        "did you mean `sum`?",
    ),
    (
        "median(x)",
        r#"unknown function with name "median""#,
        "median",
        "it is called `quantile(0.5, …)`",
    ),
    (
        "completely_else(x)",
        r#"unknown function with name "completely_else""#,
        "completely_else",
        NO_HELP,
    ),
    (
        "x > $f",
        "unknown parameter `$f`",
        "$f",
        "no parameters are given",
    ),
    // Types, in Prometheus' words.
    (
        "rate(x)",
        r#"expected type range vector in call to function "rate", got instant vector"#,
        "x",
        "a range vector has a window: `name[5m]`",
    ),
    (
        "rate(sum(x))",
        r#"expected type range vector in call to function "rate", got instant vector"#,
        "sum(x)",
        "the values of an expression over time are a subquery: `[5m:]`",
    ),
    (
        "abs(x[1m])",
        r#"expected type instant vector in call to function "abs", got range vector"#,
        "x[1m]",
        "a function like `rate` or `avg_over_time` makes one value of a range",
    ),
    (
        "abs(1)",
        r#"expected type instant vector in call to function "abs", got scalar"#,
        "1",
        "vector(…) makes a vector of a scalar",
    ),
    (
        "vector(x)",
        r#"expected type scalar in call to function "vector", got instant vector"#,
        "x",
        "scalar(…) makes a scalar of a vector with one element",
    ),
    (
        r#"abs("a")"#,
        r#"expected type instant vector in call to function "abs", got string"#,
        r#""a""#,
        NO_HELP,
    ),
    (
        "sum(x[1m])",
        "expected type instant vector in aggregation expression, got range vector",
        "x[1m]",
        "a function like `rate` or `avg_over_time` makes one value of a range",
    ),
    (
        "topk(x, x)",
        "expected type scalar in aggregation parameter, got instant vector",
        "x",
        "scalar(…) makes a scalar of a vector with one element",
    ),
    (
        "count_values(1, x)",
        "expected type string in aggregation parameter, got scalar",
        "1",
        NO_HELP,
    ),
    (
        "x + y[1m]",
        "binary expression must contain only scalar and instant vector types, got range vector",
        "y[1m]",
        NO_HELP,
    ),
    (
        r#""a" + 1"#,
        "binary expression must contain only scalar and instant vector types, got string",
        r#""a""#,
        NO_HELP,
    ),
    (
        "-x[1m]",
        r#"unary expression only allowed on expressions of type scalar or instant vector, got "range vector""#,
        "x[1m]",
        NO_HELP,
    ),
    (
        "1 > 2",
        "comparisons between scalars must use BOOL modifier",
        "1 > 2",
        "write `> bool`",
    ),
    (
        "1 and x",
        r#"set operator "and" not allowed in binary scalar expression"#,
        "1 and x",
        NO_HELP,
    ),
    (
        "x + bool y",
        "bool modifier can only be used on comparison operators",
        "bool",
        NO_HELP,
    ),
    (
        "x + on (a) 1",
        "vector matching only allowed between instant vectors",
        "on (a)",
        NO_HELP,
    ),
    (
        "a * on (l) group_left (l) b",
        r#"label "l" must not occur in ON and GROUP clause at once"#,
        "on (l) group_left (l)",
        NO_HELP,
    ),
    (
        "a and on (l) group_left () b",
        r#"no grouping allowed for "and" operation"#,
        "group_left",
        NO_HELP,
    ),
    (
        "a or fill (0) b",
        "filling in missing series not allowed for set operators",
        "fill (0)",
        NO_HELP,
    ),
    (
        "1[5m:]",
        "subquery is only allowed on instant vector, got scalar instead",
        "1",
        NO_HELP,
    ),
    // How many.
    (
        "rate()",
        r#"expected 1 argument(s) in call to "rate", got 0"#,
        "rate()",
        "rate(range vector)",
    ),
    (
        "round(x, 1, 2)",
        r#"expected at most 2 argument(s) in call to "round", got 3"#,
        "round(x, 1, 2)",
        "round(instant vector[, scalar])",
    ),
    (
        "label_join(x)",
        r#"expected at least 3 argument(s) in call to "label_join", got 1"#,
        "label_join(x)",
        "label_join(instant vector, string, string[, string], …)",
    ),
    (
        "sum()",
        "no arguments for aggregate expression provided",
        "sum()",
        NO_HELP,
    ),
    (
        "topk(x)",
        "wrong number of arguments for aggregate expression provided, expected 2, got 1",
        "topk(x)",
        NO_HELP,
    ),
    (
        "abs(x,)",
        "trailing commas not allowed in function call args",
        ")",
        NO_HELP,
    ),
    // Selectors.
    (
        "{}",
        "vector selector must contain at least one non-empty matcher",
        "{}",
        NO_HELP,
    ),
    (
        r#"{a=~".*"}"#,
        "vector selector must contain at least one non-empty matcher",
        r#"{a=~".*"}"#,
        NO_HELP,
    ),
    (
        r#"x{__name__="y"}"#,
        r#"metric name must not be set twice: "x" or "y""#,
        r#"__name__="y""#,
        NO_HELP,
    ),
    (
        r#"x{a=~"("}"#,
        r#"invalid regular expression "(""#,
        r#""(""#,
        NO_HELP,
    ),
    (
        r#"x{a="b" c="d"}"#,
        "parse error: unexpected `c`, expected `,` or `}`",
        "c",
        NO_HELP,
    ),
    (
        "x{a=b}",
        "parse error: unexpected `b`, expected a value in quotes",
        "b",
        NO_HELP,
    ),
    (
        "x{a}",
        "parse error: unexpected `}`, expected one of `=`, `!=`, `=~`, `!~`",
        "}",
        NO_HELP,
    ),
    (
        "sum(x)[5m]",
        "ranges only allowed for vector selectors",
        "[5m]",
        "a subquery has a colon: `[5m:]`",
    ),
    (
        "x offset 1m[5m]",
        "no offset modifiers allowed before range",
        "x offset 1m",
        NO_HELP,
    ),
    (
        "x @ 1[5m]",
        "no @ modifiers allowed before range",
        "x @ 1",
        NO_HELP,
    ),
    (
        "x @ 1 @ 2",
        "@ <timestamp> may not be set multiple times",
        "@",
        NO_HELP,
    ),
    (
        "x offset 1m offset 2m",
        "offset may not be set multiple times",
        "offset",
        NO_HELP,
    ),
    (
        "abs(x) offset 1m",
        "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        "offset",
        NO_HELP,
    ),
    ("x[0s]", "duration must be greater than 0", "0s", NO_HELP),
    (
        "x[5]]",
        "parse error: unexpected `]`, expected an operator or the end",
        "]",
        NO_HELP,
    ),
    (
        "x[5 minutes]",
        "parse error: unexpected `minutes`, expected `]` or `:`",
        "minutes",
        NO_HELP,
    ),
    (
        "x[five]",
        "parse error: unexpected `five`, expected a duration like `5m`",
        "five",
        NO_HELP,
    ),
    // Letters and signs.
    (
        "x > 5K",
        r#"bad number or duration syntax: "5K""#,
        "5K",
        "did you mean `k` (1000) or `Ki` (1024)?",
    ),
    (
        "x > 5MB",
        r#"bad number or duration syntax: "5MB""#,
        "5MB",
        "leave out the `B`: `k M G T Ki Mi Gi Ti`",
    ),
    (
        "x > 5z",
        r#"bad number or duration syntax: "5z""#,
        "5z",
        "numbers may carry `k M G T Ki Mi Gi Ti`, durations `ms s m h d w y`",
    ),
    (
        r#"x{a="b}"#,
        "unterminated quoted string",
        r#""b}"#,
        NO_HELP,
    ),
    (r#"x{a="\q"}"#, "unknown escape sequence", r"\q", NO_HELP),
    ("x ; y", "unexpected character: ';'", ";", NO_HELP),
    ("é > 1", "unexpected character: 'é'", "é", NO_HELP),
    (
        "(x",
        "parse error: unexpected end of input, expected an operator or `)`",
        "",
        NO_HELP,
    ),
    (
        "x +",
        "parse error: unexpected end of input, expected an expression",
        "",
        NO_HELP,
    ),
    (
        "x y",
        "parse error: unexpected `y`, expected an operator or the end",
        "y",
        NO_HELP,
    ),
    (
        "sum by job (x)",
        "parse error: unexpected `job`, expected `(`",
        "job",
        NO_HELP,
    ),
    // What we do not have.
    (
        "rate(x[5m] anchored)",
        "unsupported feature: range modifier `anchored`",
        "anchored",
        NO_HELP,
    ),
    (
        "x </ 1",
        "unsupported feature: trim operators of native histograms (`</`, `>/`)",
        "</",
        NO_HELP,
    ),
    (
        "rate(x[5m * 2])",
        "unsupported feature: duration expressions",
        "*",
        NO_HELP,
    ),
    (
        "histogram_sum(x)",
        r#"unsupported feature: native histograms (function "histogram_sum")"#,
        "histogram_sum",
        NO_HELP,
    ),
    (
        "info(x, y)",
        "expected label selectors only, got vector selector instead",
        "y",
        r#"the labels stand in braces: `info(v, {label=~".+"})`"#,
    ),
];

#[test]
fn mistakes_are_told_in_these_words() {
    for (text, message, under, help) in CASES {
        let error = parse(text).expect_err(text);
        assert_eq!(error.message, *message, "{text}");
        let span = error.span.expect(text);
        assert_eq!(
            &text[span.start..span.end.max(span.start)],
            *under,
            "{text}: {span:?}"
        );
        assert_eq!(error.help.as_deref().unwrap_or(NO_HELP), *help, "{text}");
    }
    assert!(CASES.len() >= 40);
}
