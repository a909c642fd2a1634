//! Texts as Go writes them, so that bodies are the same byte for byte.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::Timestamp;

/// JSON as Go's encoder writes it: `<`, `>`, `&` and two line breaks of Unicode are escaped in texts.
pub(super) fn json(value: &impl Serialize) -> String {
    let plain = serde_json::to_string(value).unwrap_or_default();
    let mut out = String::with_capacity(plain.len());
    // Outside of texts none of these stands in JSON.
    for c in plain.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    out
}

/// RFC 3339 in UTC without zeros at the end of the fraction. Prometheus hands times over in whole milliseconds.
pub(super) fn time(at: Timestamp) -> String {
    let at: DateTime<Utc> = DateTime::from_timestamp_nanos(at.0);
    let text = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let Some((seconds, fraction)) = text.trim_end_matches('Z').split_once('.') else {
        return text;
    };
    match fraction.trim_end_matches('0') {
        "" => format!("{seconds}Z"),
        fraction => format!("{seconds}.{fraction}Z"),
    }
}

/// At most `most` characters, the last being `…` when something was cut: Alertmanager's cut in runes.
pub(super) fn cut_runes(text: &str, most: usize) -> (String, bool) {
    if text.chars().count() <= most {
        return (text.to_owned(), false);
    }
    let kept = text.chars().take(most.saturating_sub(1));
    (kept.chain(['…']).take(most).collect(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_gos() {
        assert_eq!(
            json(&"a<b>&\u{2028}é\"\n"),
            r#""a\u003cb\u003e\u0026\u2028é\"\n""#
        );
        for (ns, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_999_999, "1970-01-01T00:00:00.001Z"),
            (1_500_000_000, "1970-01-01T00:00:01.5Z"),
            (1_120_000_000, "1970-01-01T00:00:01.12Z"),
        ] {
            assert_eq!(time(Timestamp(ns)), text);
        }
        assert_eq!(cut_runes("内存泄漏", 4), ("内存泄漏".to_owned(), false));
        assert_eq!(cut_runes("内存泄漏", 3), ("内存…".to_owned(), true));
        assert_eq!(cut_runes("ab", 1), ("…".to_owned(), true));
    }
}
