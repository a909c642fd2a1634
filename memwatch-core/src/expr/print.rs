//! The syntax tree → PromQL.

use std::fmt::{self, Write};
use std::sync::Arc;

use super::ast::{
    Aggregate, AtModifier, Binary, Cardinality, Grouping, Node, NodeKind, TimeShift, VectorSelector,
};
use crate::labels::METRIC_NAME;
use crate::{MatchOp, Nanos};

impl fmt::Display for Node {
    /// PromQL that parses to the same tree. Numbers are written out (`500k` as `500000`), parameters stay `$name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            NodeKind::Number(n) => match &n.param {
                Some(name) => write!(f, "${name}"),
                None => f.write_str(&number(n.value)),
            },
            NodeKind::Text(text) => f.write_str(&quoted(text)),
            NodeKind::Selector(s) => write!(f, "{}{}", Series(s), When(s.when)),
            NodeKind::Range { selector, range } => {
                write!(f, "{}[{range}]{}", Series(selector), When(selector.when))
            }
            NodeKind::Subquery(s) => {
                write!(f, "{}[{}:", s.expr, s.range)?;
                if let Some(step) = s.step {
                    write!(f, "{step}")?;
                }
                write!(f, "]{}", When(s.when))
            }
            NodeKind::Paren(inner) => write!(f, "({inner})"),
            NodeKind::Negate(inner) => write!(f, "-{inner}"),
            NodeKind::Binary(b) => binary(f, b),
            NodeKind::Aggregate(a) => aggregate(f, a),
            NodeKind::Call { function, args } => {
                write!(f, "{}(", function.name)?;
                for (i, arg) in args.iter().enumerate() {
                    write!(f, "{}{arg}", if i == 0 { "" } else { ", " })?;
                }
                f.write_char(')')
            }
        }
    }
}

/// A number as Prometheus writes and reads it.
pub(crate) fn number(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".to_owned()
    } else if value == f64::NEG_INFINITY {
        "-Inf".to_owned()
    } else if value.is_nan() {
        "NaN".to_owned()
    } else if value != 0.0 && !(1e-5..1e21).contains(&value.abs()) {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}

/// A number in full, never with an exponent, as `count_values` writes it into labels.
pub(crate) fn decimal(value: f64) -> String {
    if value.is_finite() {
        format!("{value}")
    } else {
        number(value)
    }
}

/// A number as Go prints it (`%g`), which Prometheus' messages and the labels of `histogram_quantiles` contain: `1e+06`.
pub(crate) fn general(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return number(value);
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// A text in double quotes with Go's escapes.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn is_identifier(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

fn label_name(name: &str) -> String {
    if is_identifier(name) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

fn label_names(f: &mut fmt::Formatter<'_>, names: &[Arc<str>]) -> fmt::Result {
    f.write_char('(')?;
    for (i, name) in names.iter().enumerate() {
        write!(f, "{}{}", if i == 0 { "" } else { ", " }, label_name(name))?;
    }
    f.write_char(')')
}

struct Series<'a>(&'a VectorSelector);

impl fmt::Display for Series<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.0.name {
            f.write_str(name)?;
        }
        let mut body = String::new();
        for (i, list) in self.0.alternatives.iter().enumerate() {
            if i > 0 {
                body.push_str(" or ");
            }
            let mut first = true;
            for m in list {
                let is_name = m.name() == METRIC_NAME
                    && m.op() == MatchOp::Equal
                    && self.0.name.as_deref() == Some(m.value());
                if is_name {
                    continue;
                }
                if !first {
                    body.push(',');
                }
                first = false;
                let op = match m.op() {
                    MatchOp::Equal => "=",
                    MatchOp::NotEqual => "!=",
                    MatchOp::Regex => "=~",
                    MatchOp::NotRegex => "!~",
                };
                let _ = write!(body, "{}{op}{}", label_name(m.name()), quoted(m.value()));
            }
        }
        if body.is_empty() && self.0.name.is_some() {
            return Ok(());
        }
        write!(f, "{{{body}}}")
    }
}

struct When(TimeShift);

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.at {
            Some(AtModifier::Start) => f.write_str(" @ start()")?,
            Some(AtModifier::End) => f.write_str(" @ end()")?,
            Some(AtModifier::Time(at)) => {
                let sign = if at.0 < 0 { "-" } else { "" };
                let (s, ns) = (
                    at.0.unsigned_abs() / 1_000_000_000,
                    at.0.unsigned_abs() % 1_000_000_000,
                );
                write!(f, " @ {sign}{s}.{ns:09}")?;
            }
            None => {}
        }
        if self.0.offset != Nanos(0) {
            write!(f, " offset {}", self.0.offset)?;
        }
        Ok(())
    }
}

fn grouping(f: &mut fmt::Formatter<'_>, labels: &Grouping, words: [&str; 2]) -> fmt::Result {
    let (word, names) = match labels {
        Grouping::Only(names) => (words[0], names),
        Grouping::Except(names) => (words[1], names),
    };
    write!(f, " {word} ")?;
    label_names(f, names)
}

fn binary(f: &mut fmt::Formatter<'_>, b: &Binary) -> fmt::Result {
    write!(f, "{} {}", b.lhs, b.op)?;
    if b.returns_bool {
        f.write_str(" bool")?;
    }
    if let Some(labels) = &b.matching.labels {
        grouping(f, labels, ["on", "ignoring"])?;
    }
    match &b.matching.cardinality {
        Cardinality::ManyToOne(names) => {
            f.write_str(" group_left ")?;
            label_names(f, names)?;
        }
        Cardinality::OneToMany(names) => {
            f.write_str(" group_right ")?;
            label_names(f, names)?;
        }
        Cardinality::OneToOne | Cardinality::ManyToMany => {}
    }
    for (word, value) in [
        ("fill_left", b.matching.fill_left),
        ("fill_right", b.matching.fill_right),
    ] {
        if let Some(value) = value {
            write!(f, " {word} ({})", number(value))?;
        }
    }
    write!(f, " {}", b.rhs)
}

fn aggregate(f: &mut fmt::Formatter<'_>, a: &Aggregate) -> fmt::Result {
    write!(f, "{}", a.op)?;
    if let Some(labels) = &a.grouping {
        grouping(f, labels, ["by", "without"])?;
        f.write_char(' ')?;
    }
    match &a.param {
        Some(param) => write!(f, "({param}, {})", a.expr),
        None => write!(f, "({})", a.expr),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_in_go() {
        let cases = [
            (0.25, "0.25"),
            (1.0, "1"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (1e6, "1e+06"),
            (123_456.0, "123456"),
            (-1.5e-7, "-1.5e-07"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(general(value), expected);
        }
        assert_eq!(number(1e21), "1e21");
        assert_eq!(number(-0.0), "-0");
    }
}
