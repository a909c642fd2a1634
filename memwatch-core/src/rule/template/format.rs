//! Numbers and values as Go's `fmt` prints them.

use super::value::Value;

/// `%e`, `%f` and `%g` with a precision, or the shortest digits that read back as the same number when `precision` is `None`.
pub(crate) fn float(value: f64, verb: u8, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    match verb {
        b'e' => scientific(value, precision),
        b'f' => precision.map_or_else(|| format!("{value}"), |p| format!("{value:.p$}")),
        _ => general(value, precision),
    }
}

/// Go writes at least two digits of exponent, and always its sign.
fn scientific(value: f64, precision: Option<usize>) -> String {
    let rust = precision.map_or_else(|| format!("{value:e}"), |p| format!("{value:.p$e}"));
    let (digits, exponent) = rust.split_once('e').unwrap_or((&rust, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// `%g`: `%e` for an exponent below −4 or at least the precision (6 for the shortest form), else `%f`; no trailing zeros.
fn general(value: f64, precision: Option<usize>) -> String {
    let precision = precision.map(|p| p.max(1));
    let rust = precision.map_or_else(|| format!("{value:e}"), |p| format!("{value:.0$e}", p - 1));
    let (mantissa, exponent) = rust.split_once('e').unwrap_or((&rust, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = if mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    };
    let digits = trimmed.bytes().filter(u8::is_ascii_digit).count();
    let after_point = |exponent: i32| {
        usize::try_from(i32::try_from(digits).unwrap_or(i32::MAX) - 1 - exponent).unwrap_or(0)
    };
    let threshold = match precision {
        None => 6,
        // Go: a number that has fewer digits than the precision and no zeros before the point decides by its own digits.
        Some(p) if p > digits && i64::from(exponent) < i64::try_from(digits).unwrap_or(0) => digits,
        Some(p) => p,
    };
    if exponent < -4 || i64::from(exponent) >= i64::try_from(threshold).unwrap_or(i64::MAX) {
        scientific(value, Some(digits - 1))
    } else {
        format!("{value:.0$}", after_point(exponent))
    }
}

/// `fmt.Sprintf`, for the verbs that rule files use. What does not fit its verb is printed as Go does: `%!d(float64=1.5)`.
pub(crate) fn sprintf(format: &str, arguments: &[Value]) -> String {
    let mut out = String::with_capacity(format.len() + 16);
    let mut chars = format.chars().peekable();
    let mut next = 0;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.peek().copied().filter(|c| "+-# 0".contains(*c)) {
            chars.next();
            match flag {
                '+' => spec.plus = true,
                '-' => spec.left = true,
                '0' => spec.zero = true,
                ' ' => spec.space = true,
                _ => spec.sharp = true,
            }
        }
        spec.width = number(&mut chars);
        if chars.peek() == Some(&'.') {
            chars.next();
            spec.precision = Some(number(&mut chars).unwrap_or(0));
        }
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(argument) = arguments.get(next) else {
            out.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        next += 1;
        out.push_str(&spec.apply(verb, argument));
    }
    if next < arguments.len() {
        let rest: Vec<String> = arguments[next..]
            .iter()
            .map(|a| format!("{}={}", a.go_type(), a.print()))
            .collect();
        out.push_str(&format!("%!(EXTRA {})", rest.join(", ")));
    }
    out
}

/// A width or precision; larger ones than Go allows are cut there.
fn number(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut value: Option<usize> = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        value = Some((value.unwrap_or(0) * 10 + digit as usize).min(1_000));
    }
    value
}

#[derive(Default)]
struct Spec {
    plus: bool,
    left: bool,
    zero: bool,
    space: bool,
    sharp: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

impl Spec {
    fn apply(&self, verb: char, argument: &Value) -> String {
        let precision = self.precision;
        let text = match (verb, argument) {
            ('v', Value::Float(v)) => self.signed(float(*v, b'g', precision), *v >= 0.0),
            ('v', Value::Int(v)) => self.signed(v.to_string(), *v >= 0),
            ('v', other) => other.print(),
            ('e' | 'E', Value::Float(v)) => {
                let text = self.signed(float(*v, b'e', Some(precision.unwrap_or(6))), *v >= 0.0);
                if verb == 'E' {
                    text.to_uppercase()
                } else {
                    text
                }
            }
            ('f' | 'F', Value::Float(v)) => {
                self.signed(float(*v, b'f', Some(precision.unwrap_or(6))), *v >= 0.0)
            }
            ('g', Value::Float(v)) => self.signed(float(*v, b'g', precision), *v >= 0.0),
            ('d', Value::Int(v)) => self.signed(v.to_string(), *v >= 0),
            ('x', Value::Int(v)) => self.hex(*v),
            ('s', Value::Str(v)) => match precision {
                Some(p) => v.chars().take(p).collect(),
                None => v.clone(),
            },
            ('q', Value::Str(v)) => quote(v),
            ('t', Value::Bool(v)) => v.to_string(),
            (verb, other) => return format!("%!{verb}({}={})", other.go_type(), other.print()),
        };
        self.pad(text, matches!(argument, Value::Float(v) if !v.is_finite()))
    }

    fn hex(&self, value: i64) -> String {
        let digits = format!("{:x}", value.unsigned_abs());
        let prefix = if self.sharp { "0x" } else { "" };
        let sign = if value < 0 { "-" } else { "" };
        self.signed(format!("{sign}{prefix}{digits}"), value >= 0)
    }

    fn signed(&self, text: String, positive: bool) -> String {
        let bare = text.strip_prefix('+').unwrap_or(&text); // `+Inf` carries its sign already.
        match (positive, self.plus, self.space) {
            (true, true, _) => format!("+{bare}"),
            (true, false, true) => format!(" {bare}"),
            _ => text,
        }
    }

    fn pad(&self, text: String, never_zeros: bool) -> String {
        let length = text.chars().count();
        let missing = self.width.unwrap_or(0).saturating_sub(length);
        if missing == 0 {
            text
        } else if self.left {
            text + &" ".repeat(missing)
        } else if self.zero && !never_zeros {
            let (sign, rest) = match text.chars().next() {
                Some('-' | '+') => text.split_at(1),
                _ => ("", text.as_str()),
            };
            format!("{sign}{}{rest}", "0".repeat(missing))
        } else {
            " ".repeat(missing) + &text
        }
    }
}

/// `%q`: a double-quoted Go string.
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_in_go() {
        let cases = [
            (0.0, b'g', None, "0"),
            (1.0, b'g', None, "1"),
            (0.1, b'g', None, "0.1"),
            (123_456.0, b'g', None, "123456"),
            (1_234_567.0, b'g', None, "1.234567e+06"),
            (1e6, b'g', None, "1e+06"),
            (1e21, b'g', None, "1e+21"),
            (0.0001, b'g', None, "0.0001"),
            (0.000_01, b'g', None, "1e-05"),
            (-2.5, b'g', None, "-2.5"),
            (100.0, b'g', Some(4), "100"),
            (1234.56, b'g', Some(4), "1235"),
            (12_345.6, b'g', Some(4), "1.235e+04"),
            (99_999.0, b'g', Some(4), "1e+05"),
            (999.96, b'g', Some(4), "1000"),
            (1000.0, b'g', Some(4), "1000"),
            (10_000.0, b'g', Some(4), "1e+04"),
            (3.0, b'g', Some(1), "3"),
            (30.0, b'g', Some(1), "3e+01"),
            (1.5, b'f', Some(0), "2"),
            (2.5, b'f', Some(0), "2"),
            (2.0, b'f', Some(1), "2.0"),
            (1234.5, b'e', Some(2), "1.23e+03"),
            (f64::NAN, b'g', Some(4), "NaN"),
            (f64::INFINITY, b'f', Some(1), "+Inf"),
            (f64::NEG_INFINITY, b'g', None, "-Inf"),
            (1e300, b'e', Some(1), "1.0e+300"),
        ];
        for (value, verb, precision, expected) in cases {
            assert_eq!(
                float(value, verb, precision),
                expected,
                "{value} {precision:?}"
            );
        }
    }

    #[test]
    fn printf_prints_as_in_go() {
        let f = |v| Value::Float(v);
        let s = |v: &str| Value::Str(v.to_owned());
        let cases: &[(&str, &[Value], &str)] = &[
            ("%.1f", &[f(2.25)], "2.2"),
            ("%.2f%%", &[f(99.5)], "99.50%"),
            ("%8.3f|", &[f(3.24159)], "   3.242|"),
            ("%-8s|", &[s("ab")], "ab      |"),
            ("%08.3f", &[f(-3.24159)], "-003.242"),
            ("%+d", &[Value::Int(5)], "+5"),
            ("%d", &[f(1.5)], "%!d(float64=1.5)"),
            ("%s", &[f(1.5)], "%!s(float64=1.5)"),
            ("%f", &[s("x")], "%!f(string=x)"),
            ("%v and %v", &[f(1e6), s("x")], "1e+06 and x"),
            ("%q", &[s("a\"b\n")], "\"a\\\"b\\n\""),
            ("%d", &[], "%!d(MISSING)"),
            ("x", &[f(1.0)], "x%!(EXTRA float64=1)"),
            ("%.3s", &[s("héllo")], "hél"),
            ("%e", &[f(123_456.0)], "1.234560e+05"),
            ("%g", &[f(0.5)], "0.5"),
            ("%t", &[Value::Bool(true)], "true"),
            ("%x", &[Value::Int(255)], "ff"),
            ("100%", &[], "100%!(NOVERB)"),
            ("%5.1f", &[f(f64::INFINITY)], " +Inf"),
        ];
        for (format, arguments, expected) in cases {
            assert_eq!(sprintf(format, arguments), *expected, "{format}");
        }
    }
}
