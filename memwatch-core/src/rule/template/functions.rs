//! The functions of templates: those of Prometheus that need no server, and those built into Go's templates.

use std::cmp::Ordering;

use chrono::{DateTime, SecondsFormat};

use crate::Nanos;

use super::format;
use super::value::Value;

type Outcome = Result<Value, String>;

/// A function that templates may call.
pub(crate) struct Function {
    /// Name as templates write it.
    pub(crate) name: &'static str,
    /// Fewest and most arguments.
    pub(crate) arity: (usize, usize),
    pub(crate) call: fn(&[Value]) -> Outcome,
}

const MANY: usize = usize::MAX;

/// Every function, by name.
pub(crate) const FUNCTIONS: &[Function] = &[
    of("and", (1, MANY), |a| Ok(first_where(a, |v| !v.truth()))),
    of("eq", (2, MANY), |a| {
        let mut any = false;
        for other in &a[1..] {
            any |= equal(&a[0], other)?;
        }
        Ok(Value::Bool(any))
    }),
    of("ge", (2, 2), |a| {
        Ok(Value::Bool(order(a)?.is_some_and(Ordering::is_ge)))
    }),
    of("gt", (2, 2), |a| {
        Ok(Value::Bool(order(a)?.is_some_and(Ordering::is_gt)))
    }),
    of("humanize", (1, 1), |a| {
        Ok(Value::Str(humanize(a[0].number()?)))
    }),
    of("humanize1024", (1, 1), |a| {
        Ok(Value::Str(humanize_1024(a[0].number()?)))
    }),
    of("humanizeDuration", (1, 1), |a| {
        Ok(Value::Str(humanize_duration(a[0].number()?)))
    }),
    of("humanizePercentage", (1, 1), |a| {
        Ok(Value::Str(short(a[0].number()? * 100.0) + "%"))
    }),
    of("humanizeTimestamp", (1, 1), |a| {
        Ok(Value::Str(humanize_timestamp(a[0].number()?)?))
    }),
    of("index", (2, 2), |a| match &a[0] {
        Value::Map(labels) => Ok(Value::Str(labels.get(a[1].text()?).to_owned())),
        other => Err(format!("index of a {}", other.go_type())),
    }),
    of("le", (2, 2), |a| {
        Ok(Value::Bool(order(a)?.is_some_and(Ordering::is_le)))
    }),
    of("len", (1, 1), |a| match &a[0] {
        Value::Str(text) => Ok(Value::Int(i64::try_from(text.len()).unwrap_or(i64::MAX))),
        Value::Map(labels) => Ok(Value::Int(i64::try_from(labels.len()).unwrap_or(i64::MAX))),
        other => Err(format!("len of a {}", other.go_type())),
    }),
    of("lt", (2, 2), |a| {
        Ok(Value::Bool(order(a)?.is_some_and(Ordering::is_lt)))
    }),
    of("match", (2, 2), |a| {
        Ok(Value::Bool(regex(&a[0])?.is_match(a[1].text()?)))
    }),
    of("ne", (2, 2), |a| Ok(Value::Bool(!equal(&a[0], &a[1])?))),
    of("not", (1, 1), |a| Ok(Value::Bool(!a[0].truth()))),
    of("or", (1, MANY), |a| Ok(first_where(a, Value::truth))),
    of("parseDuration", (1, 1), |a| {
        let text = a[0].text()?;
        Nanos::parse(text)
            .map(|d| Value::Float(d.as_seconds()))
            .ok_or_else(|| format!("not a duration: {text:?}"))
    }),
    of("print", (0, MANY), |a| {
        let mut text = String::new();
        for (i, value) in a.iter().enumerate() {
            // Go puts a space between two operands when neither is a string.
            let strings = |v: &Value| matches!(v, Value::Str(_));
            if i > 0 && !strings(value) && !strings(&a[i - 1]) {
                text.push(' ');
            }
            text.push_str(&value.print());
        }
        Ok(Value::Str(text))
    }),
    of("printf", (1, MANY), |a| {
        Ok(Value::Str(format::sprintf(a[0].text()?, &a[1..])))
    }),
    of("reReplaceAll", (3, 3), |a| {
        Ok(Value::Str(
            regex(&a[0])?
                .replace_all(a[2].text()?, a[1].text()?)
                .into_owned(),
        ))
    }),
    of("safeHtml", (1, 1), |a| {
        Ok(Value::Str(a[0].text()?.to_owned()))
    }),
    of("stripDomain", (1, 1), |a| {
        Ok(Value::Str(strip_domain(a[0].text()?)))
    }),
    of("stripPort", (1, 1), |a| {
        Ok(Value::Str(strip_port(a[0].text()?)))
    }),
    of("title", (1, 1), |a| Ok(Value::Str(title(a[0].text()?)))),
    of("toLower", (1, 1), |a| {
        Ok(Value::Str(a[0].text()?.to_lowercase()))
    }),
    of("toUpper", (1, 1), |a| {
        Ok(Value::Str(a[0].text()?.to_uppercase()))
    }),
    of("trimSpace", (1, 1), |a| {
        Ok(Value::Str(a[0].text()?.trim().to_owned()))
    }),
];

const fn of(name: &'static str, arity: (usize, usize), call: fn(&[Value]) -> Outcome) -> Function {
    Function { name, arity, call }
}

/// What Prometheus or Go know beside these, so that the message says "not supported" rather than "unknown".
pub(crate) const NOT_SUPPORTED: &[&str] = &[
    "args",
    "call",
    "externalURL",
    "first",
    "graphLink",
    "html",
    "js",
    "label",
    "now",
    "pathPrefix",
    "query",
    "slice",
    "sortByLabel",
    "strvalue",
    "tableLink",
    "tmpl",
    "toDuration",
    "toTime",
    "urlQueryEscape",
    "urlquery",
    "value",
];

fn first_where(values: &[Value], found: impl Fn(&Value) -> bool) -> Value {
    values
        .iter()
        .find(|v| found(v))
        .or(values.last())
        .cloned()
        .unwrap_or(Value::Bool(false))
}

/// As Go compares: numbers of different types are an error, so that `gt $value 5` must be written `gt $value 5.0`.
fn incomparable(a: &Value, b: &Value) -> String {
    format!(
        "incompatible types for comparison: {} and {}",
        a.go_type(),
        b.go_type()
    )
}

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::Int(a), Value::Int(b)) => Ok(a == b),
        (Value::Str(a), Value::Str(b)) => Ok(a == b),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (a, b) => Err(incomparable(a, b)),
    }
}

fn order(values: &[Value]) -> Result<Option<Ordering>, String> {
    match (&values[0], &values[1]) {
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        (Value::Str(a), Value::Str(b)) => Ok(Some(a.cmp(b))),
        (a, b) => Err(incomparable(a, b)),
    }
}

fn regex(pattern: &Value) -> Result<regex::Regex, String> {
    let pattern = pattern.text()?;
    regex::Regex::new(pattern).map_err(|_| format!("not a regular expression: {pattern:?}"))
}

/// `%.4g`
fn short(value: f64) -> String {
    format::float(value, b'g', Some(4))
}

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const LARGE_1024: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

fn grown(mut value: f64, base: f64, prefixes: [&'static str; 8]) -> String {
    let mut prefix = "";
    for larger in prefixes {
        if value.abs() < base {
            break;
        }
        prefix = larger;
        value /= base;
    }
    short(value) + prefix
}

fn shrunk(mut value: f64) -> String {
    let mut prefix = "";
    for smaller in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = smaller;
        value *= 1000.0;
    }
    short(value) + prefix
}

fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        short(value)
    } else if value.abs() >= 1.0 {
        grown(value, 1000.0, LARGE)
    } else {
        shrunk(value)
    }
}

fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        short(value)
    } else {
        grown(value, 1024.0, LARGE_1024)
    }
}

fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return short(value);
    }
    if value == 0.0 {
        return short(value) + "s";
    }
    if value.abs() < 1.0 {
        return shrunk(value) + "s";
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let value = value.abs();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Positive; saturates.
    let whole = value as u64;
    let (seconds, minutes) = (whole % 60, whole / 60 % 60);
    let (hours, days) = (whole / 3_600 % 24, whole / 86_400);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", short(value))
    }
}

/// As Go prints a UTC time of millisecond precision: `2015-06-23 13:19:44.128 +0000 UTC`.
fn humanize_timestamp(value: f64) -> Result<String, String> {
    if !value.is_finite() {
        return Ok(short(value));
    }
    let nanos = value * 1e9;
    #[allow(clippy::cast_precision_loss)] // The bounds of 64 bits, as Prometheus checks them.
    if nanos > i64::MAX as f64 || nanos < i64::MIN as f64 {
        return Err(format!("{value} cannot be represented as a time"));
    }
    #[allow(clippy::cast_possible_truncation)] // Checked above.
    let millis = (nanos as i64).div_euclid(1_000_000);
    let at = DateTime::from_timestamp_millis(millis).ok_or("a time out of range")?;
    let text = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let (day, clock) = text.split_once('T').ok_or("a time out of range")?;
    let clock = clock.trim_end_matches('Z');
    let clock = if clock.contains('.') {
        clock.trim_end_matches('0').trim_end_matches('.')
    } else {
        clock
    };
    Ok(format!("{day} {clock} +0000 UTC"))
}

/// Go's `strings.Title`: the first letter of each word in upper case, the others as they are.
fn title(text: &str) -> String {
    let mut previous = ' ';
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let in_word = previous.is_alphanumeric()
            || previous == '_'
            || (!previous.is_ascii() && !previous.is_whitespace());
        if in_word {
            out.push(c);
        } else {
            out.extend(c.to_uppercase());
        }
        previous = c;
    }
    out
}

fn strip_port(host: &str) -> String {
    if let Some(inner) = host.strip_prefix('[') {
        return match inner.split_once(']') {
            Some((address, rest)) if rest.starts_with(':') => address.to_owned(),
            _ => host.to_owned(),
        };
    }
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => name.to_owned(),
        _ => host.to_owned(),
    }
}

fn strip_domain(host: &str) -> String {
    let name = strip_port(host);
    let port = host.get(name.len()..).unwrap_or("");
    if name.parse::<std::net::IpAddr>().is_ok() {
        return host.to_owned();
    }
    match name.split_once('.') {
        Some((first, _)) => format!("{first}{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_sorted_and_apart() {
        let names: Vec<&str> = FUNCTIONS.iter().map(|f| f.name).collect();
        assert!(names.windows(2).all(|w| w[0] < w[1]));
        assert!(NOT_SUPPORTED.iter().all(|n| !names.contains(n)));
    }

    /// The cases of Prometheus' template_test.go.
    #[test]
    fn humanize_as_prometheus_does() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (1_234_567.0, "1.235M"),
            (0.12, "120m"),
            (-0.12, "-120m"),
            (1000.0, "1k"),
            (999.9, "999.9"),
            (999.99, "1000"),
            (1e27, "1000Y"),
            (-1_234_567.0, "-1.235M"),
            (0.000_001, "1u"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ];
        for (value, expected) in cases {
            assert_eq!(humanize(value), expected, "{value}");
        }
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (0.5, "0.5"),
            (1_048_576.0, "1Mi"),
            (1_234_567.0, "1.177Mi"),
            (0.12, "0.12"),
            (1023.0, "1023"),
            (f64::INFINITY, "+Inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(humanize_1024(value), expected, "{value}");
        }
        let cases = [
            (0.0, "0s"),
            (1.0, "1s"),
            (60.0, "1m 0s"),
            (3600.0, "1h 0m 0s"),
            (86_400.0, "1d 0h 0m 0s"),
            (86_400.0 + 3600.0, "1d 1h 0m 0s"),
            (
                -(86_400.0 * 2.0 + 3600.0 * 3.0 + 60.0 * 4.0 + 5.0),
                "-2d 3h 4m 5s",
            ),
            (899.99, "14m 59s"),
            (0.1, "100ms"),
            (0.0001, "100us"),
            (0.12345, "123.5ms"),
            (60.1, "1m 0s"),
            (60.5, "1m 0s"),
            (1.2345, "1.234s"),
            (12.345, "12.35s"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(humanize_duration(value), expected, "{value}");
        }
        assert_eq!(short(-0.22222 * 100.0) + "%", "-22.22%");
        assert_eq!(short(0.1234567 * 100.0) + "%", "12.35%");
        let cases = [
            (1_435_065_584.128, "2015-06-23 13:19:44.128 +0000 UTC"),
            (1_435_065_584.0, "2015-06-23 13:19:44 +0000 UTC"),
            (0.0, "1970-01-01 00:00:00 +0000 UTC"),
            (f64::INFINITY, "+Inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(humanize_timestamp(value).unwrap(), expected);
        }
        assert!(humanize_timestamp(1e300).is_err());
    }

    #[test]
    fn text_functions() {
        assert_eq!(title("aa bb CC"), "Aa Bb CC");
        assert_eq!(strip_port("db:5432"), "db");
        assert_eq!(strip_port("[::1]:5432"), "::1");
        assert_eq!(strip_port("::1"), "::1");
        assert_eq!(strip_domain("web.example.com:80"), "web:80");
        assert_eq!(strip_domain("10.0.0.1:80"), "10.0.0.1:80");
    }
}
