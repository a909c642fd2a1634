//! Which of the JSON formats an input is, from the keys of its first object.

use super::line::without_bom;

/// The formats whose first byte is `{`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonFormat {
    Samples,
    Metrics,
    Spans,
    Labels,
    Expvar,
    PrometheusQuery,
    TsdbMeta,
}

/// How many objects are looked at: a rotated recording may begin with half a line.
const OBJECTS: usize = 16;

/// The JSON format of an input, from its first bytes.
pub(crate) fn json_format(head: &[u8]) -> Option<JsonFormat> {
    let mut rest = without_bom(head);
    for _ in 0..OBJECTS {
        let start = rest.iter().position(|b| !b.is_ascii_whitespace())?;
        rest = &rest[start..];
        if rest[0] == b'{' {
            let mut object = Object::default();
            let end = object.scan(rest);
            if let Some(format) = object.format() {
                return Some(format);
            }
            if let Some(end) = end {
                rest = &rest[end..];
                continue;
            }
        }
        rest = &rest[memchr::memchr(b'\n', rest)?..];
    }
    None
}

/// What the top level of an object holds.
#[derive(Default)]
struct Object<'a> {
    keys: Vec<&'a [u8]>,
    /// The strings of `type` and `format`.
    kind: &'a [u8],
    format: &'a [u8],
}

impl<'a> Object<'a> {
    /// Scans the object that `text` begins with; the result is where it ends, or `None` when it does not.
    fn scan(&mut self, text: &'a [u8]) -> Option<usize> {
        let (mut depth, mut i) = (0usize, 0);
        let mut awaits_key = false;
        while i < text.len() {
            match text[i] {
                b'{' | b'[' => {
                    depth += 1;
                    awaits_key = depth == 1;
                }
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(i + 1);
                    }
                }
                b',' if depth == 1 => awaits_key = true,
                b'"' => {
                    let from = i + 1;
                    i = from;
                    while i < text.len() && text[i] != b'"' {
                        i += if text[i] == b'\\' { 2 } else { 1 };
                    }
                    let string = text.get(from..i)?;
                    if i >= text.len() {
                        return None;
                    }
                    let colon = text[i + 1..].iter().find(|b| !b.is_ascii_whitespace());
                    if depth == 1 && awaits_key {
                        // Not JSON: `{__name__="up"}` of a Prometheus dump.
                        if colon != Some(&b':') {
                            return None;
                        }
                        self.keys.push(string);
                        awaits_key = false;
                    } else if depth == 1 {
                        match self.keys.last() {
                            Some(&b"type") => self.kind = string,
                            Some(&b"format") => self.format = string,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
            i += 1;
        }
        None
    }

    fn format(&self) -> Option<JsonFormat> {
        let has = |key: &str| self.keys.contains(&key.as_bytes());
        if self.format.starts_with(b"memwatch-labels/") {
            Some(JsonFormat::Labels)
        } else if self.format.starts_with(b"memwatch-samples/") || self.kind == b"sample" {
            Some(JsonFormat::Samples)
        } else if self.kind == b"metrics"
            || self.format.starts_with(b"memwatch-metrics/")
            || (has("buckets") && has("kinds"))
        {
            Some(JsonFormat::Metrics)
        } else if has("trace_id") && has("duration_ns") {
            Some(JsonFormat::Spans)
        } else if has("ulid") && has("minTime") {
            Some(JsonFormat::TsdbMeta)
        } else if (has("vars") && has("ts"))
            || has("memstats")
            || (has("cmdline") && self.kind.is_empty())
        {
            Some(JsonFormat::Expvar)
        } else if has("status") && has("data") {
            Some(JsonFormat::PrometheusQuery)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_object_with_known_keys_decides() {
        let cases: &[(&str, Option<JsonFormat>)] = &[
            (r#"{"type":"sample","ts":1"#, Some(JsonFormat::Samples)),
            (
                "\u{feff}{\"format\":\"memwatch-samples/1\"}",
                Some(JsonFormat::Samples),
            ),
            (
                "ing\":3}\n{\"type\":\"metrics\",\"ts\":1}\n",
                Some(JsonFormat::Metrics),
            ),
            (
                "{\n \"format\": \"memwatch-labels/1\",\n",
                Some(JsonFormat::Labels),
            ),
            (
                "{\n\"cmdline\": [\"a\"],\n\"memstats\": {",
                Some(JsonFormat::Expvar),
            ),
            (
                r#"{"ts":1,"vars":{"type":"sample"}}"#,
                Some(JsonFormat::Expvar),
            ),
            (
                r#"{"status":"success","data":{"#,
                Some(JsonFormat::PrometheusQuery),
            ),
            (
                r#"{"level":"info","ts":17.5,"msg":"\"type\":\"sample\""}"#,
                None,
            ),
            ("{\"a\":{}}\n\n{\"b\":[", None),
            ("", None),
            ("{\"", None),
            ("{\"a\\", None),
            ("}]", None),
            (r#"{__name__="memstats", job="x"} 1 2"#, None),
        ];
        for (text, expected) in cases {
            assert_eq!(json_format(text.as_bytes()), *expected, "{text}");
        }
    }
}
