//! promtool's notation: the values of a series in a line, and text in YAML.

use std::fmt::Write as _;

use crate::expr::number;
use crate::series::is_stale;

/// The values of a series at `0, i, 2i …`, where cell `k` stands at `(2k + 1) · i`: `_x3` for what is missing, `stale` where it ended.
pub(super) fn values(cells: &[Option<f64>]) -> String {
    let mut out = String::new();
    let mut missing = 0u64;
    for cell in cells {
        missing += 1; // What lies between two cells.
        let Some(value) = cell else {
            missing += 1;
            continue;
        };
        push_missing(&mut out, missing);
        missing = 0;
        if is_stale(*value) {
            out.push_str(" stale");
        } else {
            out.push(' ');
            out.push_str(&number(*value));
        }
    }
    if out.is_empty() {
        out.push_str(" _");
    }
    out.remove(0);
    out
}

fn push_missing(out: &mut String, count: u64) {
    if count == 1 {
        out.push_str(" _");
    } else {
        let _ = write!(out, " _x{count}");
    }
}

/// A text in double quotes, as YAML and JSON read it.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            // Controls, and what YAML takes for a line break or refuses.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::stale_nan;

    #[test]
    fn values_stand_at_odd_places() {
        let check = |cells: &[Option<f64>], expected: &str| assert_eq!(values(cells), expected);
        check(&[Some(1.0), Some(-2.5)], "_ 1 _ -2.5");
        check(
            &[None, Some(1e300), None, None, Some(stale_nan()), None],
            "_x3 1e300 _x5 stale",
        );
        check(&[Some(f64::NAN), Some(f64::INFINITY)], "_ NaN _ +Inf");
        check(&[None], "_");
        check(&[], "_");
    }

    #[test]
    fn text_is_quoted_for_yaml() {
        assert_eq!(quoted("a\"b\\c\nd\u{1}é"), "\"a\\\"b\\\\c\\nd\\u0001é\"");
    }
}
