//! What the JSON formats share: whole numbers that never pass through a float, and errors that name the field.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Unexpected, Visitor};

/// A string, borrowed where it has no escapes and is not kept.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    /// A string that outlives the input.
    pub(crate) fn owned(text: &str) -> Self {
        Text(Cow::Owned(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AnyText;
        impl<'de> Visitor<'de> for AnyText {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(AnyText)
    }
}

/// A whole number from 0 to 2^63-1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole(pub(crate) i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AnyWhole;
        impl Visitor<'_> for AnyWhole {
            type Value = Whole;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from 0 to 9223372036854775807")
            }
            // Checked here and not by the caller, where the error would no longer know its place.
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Whole, E> {
                i64::try_from(number)
                    .map(Whole)
                    .map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
            }
        }
        from.deserialize_u64(AnyWhole)
    }
}

/// A whole number from 0 to 2^64-1; what is above 2^63-1 becomes 2^63-1, which stands for "none".
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capped(pub(crate) i64);

impl<'de> Deserialize<'de> for Capped {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AnyCapped;
        impl Visitor<'_> for AnyCapped {
            type Value = Capped;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from 0 to 18446744073709551615")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Capped, E> {
                Ok(Capped(i64::try_from(number).unwrap_or(i64::MAX)))
            }
        }
        from.deserialize_u64(AnyCapped)
    }
}

/// GOGC: percent, or -1 (also written 2^64-1) for off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gogc(pub(crate) i64);

impl<'de> Deserialize<'de> for Gogc {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AnyGogc;
        impl Visitor<'_> for AnyGogc {
            type Value = Gogc;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("GOGC in percent, or -1")
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Gogc, E> {
                match i64::try_from(number) {
                    Ok(percent) => Ok(Gogc(percent)),
                    Err(_) if number == u64::MAX => Ok(Gogc(-1)),
                    Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
                }
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Gogc, E> {
                match number {
                    -1 => Ok(Gogc(-1)),
                    _ => Err(E::invalid_value(Unexpected::Signed(number), &self)),
                }
            }
        }
        from.deserialize_i64(AnyGogc)
    }
}

/// What is wrong with a JSON text, as a rejection wants it.
pub(crate) struct Fault {
    pub(crate) field: String,
    pub(crate) expected: String,
    pub(crate) found: String,
}

impl Fault {
    /// Explains why `text` could not be deserialized.
    pub(crate) fn of(error: &serde_json::Error, text: &[u8]) -> Fault {
        let whole = error.to_string();
        let message = whole.rsplit_once(" at line ").map_or(&*whole, |(m, _)| m);
        let place = offset(text, error.line(), error.column());
        let mut field = path_at(text, place);
        let from = text.len().min(place.saturating_sub(20));
        let near = format!("{message}, near {}", near(&text[from..]));
        let (expected, found) = if let Some(rest) = message
            .strip_prefix("invalid type: ")
            .or_else(|| message.strip_prefix("invalid value: "))
            .or_else(|| message.strip_prefix("invalid length "))
        {
            let (found, expected) = rest.rsplit_once(", expected ").unwrap_or((rest, "another"));
            (expected.to_owned(), found.replace('`', ""))
        } else if let Some(name) = message.strip_prefix("missing field ") {
            let name = name.trim_matches('`');
            field = if field.is_empty() {
                name.to_owned()
            } else {
                format!("{field}.{name}")
            };
            ("a value".to_owned(), "nothing".to_owned())
        } else if error.is_eof() {
            let end = format!("the line ends after {} bytes", text.len());
            ("the rest of a JSON object".to_owned(), end)
        } else {
            ("JSON".to_owned(), near)
        };
        Fault {
            field,
            expected,
            found,
        }
    }
}

fn near(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(30)]).into_owned()
}

fn offset(text: &[u8], line: usize, column: usize) -> usize {
    let before: usize = text
        .split_inclusive(|b| *b == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    before.saturating_add(column).min(text.len())
}

/// The path (`memstats.HeapAlloc`, `pauses[2]`) of the value that lies at or ends before `end`.
fn path_at(text: &[u8], end: usize) -> String {
    enum Step {
        Key(String),
        NoKey,
        Index(usize),
    }
    let mut steps: Vec<Step> = Vec::new();
    let mut awaits_key = false;
    let mut i = 0;
    while i < end {
        match text[i] {
            b'{' => {
                steps.push(Step::NoKey);
                awaits_key = true;
            }
            b'[' => {
                steps.push(Step::Index(0));
                awaits_key = false;
            }
            b'}' | b']' => {
                steps.pop();
                awaits_key = false;
            }
            b',' => match steps.last_mut() {
                Some(Step::Index(index)) => *index += 1,
                Some(step) => {
                    *step = Step::NoKey;
                    awaits_key = true;
                }
                None => {}
            },
            b'"' => {
                let from = i + 1;
                i = from;
                while i < text.len() && text[i] != b'"' {
                    i += if text[i] == b'\\' { 2 } else { 1 };
                }
                if let (true, Some(step)) = (awaits_key, steps.last_mut()) {
                    let key = &text[from.min(text.len())..i.min(text.len())];
                    *step = Step::Key(String::from_utf8_lossy(key).into_owned());
                    awaits_key = false;
                }
            }
            _ => {}
        }
        i += 1;
    }
    let mut path = String::new();
    for step in &steps {
        match step {
            Step::Key(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
            }
            Step::Index(index) => path.push_str(&format!("[{index}]")),
            Step::NoKey => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[allow(dead_code)] // Only whether they deserialize counts.
    struct Example<'a> {
        #[serde(borrow)]
        name: Option<Text<'a>>,
        size: Option<Whole>,
        goal: Option<Capped>,
        gogc: Option<Gogc>,
        pairs: Option<Vec<(Whole, Whole)>>,
        inner: Option<Box<Example<'a>>>,
    }

    fn check(text: &str, field: &str, expected: &str, found: &str) {
        let error = serde_json::from_slice::<Example<'_>>(text.as_bytes())
            .err()
            .unwrap_or_else(|| panic!("{text} is accepted"));
        let fault = Fault::of(&error, text.as_bytes());
        assert_eq!(
            (&*fault.field, &*fault.expected, &*fault.found),
            (field, expected, found),
            "{text}: {error}"
        );
    }

    #[test]
    fn faults_name_field_expected_and_found() {
        let whole = "a whole number from 0 to 9223372036854775807";
        check(
            r#"{"size":"12","name":"x"}"#,
            "size",
            whole,
            "string \"12\"",
        );
        check(r#"{"size":1.5}"#, "size", whole, "floating point 1.5");
        check(r#"{"size":-1}"#, "size", whole, "integer -1");
        check(
            r#"{"size":9223372036854775808}"#,
            "size",
            whole,
            "integer 9223372036854775808",
        );
        check(r#"{"name":3,"size":1}"#, "name", "a string", "integer 3");
        check(r#"{"inner":{"size":{"a":1}}}"#, "inner.size", whole, "map");
        check(
            r#"{"pairs":[[1,2],[3,true]]}"#,
            "pairs[1][1]",
            whole,
            "boolean true",
        );
        check(
            r#"{"gogc":-2}"#,
            "gogc",
            "GOGC in percent, or -1",
            "integer -2",
        );
        check(
            r#"{"size":12"#,
            "size",
            "the rest of a JSON object",
            "the line ends after 10 bytes",
        );
    }

    #[test]
    fn numbers_keep_every_bit() {
        let text = r#"{"size":9223372036854775807,"goal":18446744073709551615,"gogc":18446744073709551615}"#;
        let read: Example<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(read.size.map(|n| n.0), Some(i64::MAX));
        assert_eq!(read.goal.map(|n| n.0), Some(i64::MAX));
        assert_eq!(read.gogc.map(|n| n.0), Some(-1));
    }

    #[test]
    fn paths_of_any_bytes_do_not_panic() {
        for text in [&b"\"\\"[..], b"}}]]{\"", b",,{,\"a\\\"", b"[[[[{{{"] {
            for end in 0..=text.len() {
                path_at(text, end);
            }
        }
    }
}
