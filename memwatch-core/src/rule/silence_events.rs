//! Silences as people made and ended them: JSON, an event a line.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::alert::{Silence, parse_matchers};
use crate::{MatchOp, Matcher, Nanos, TimeRange, Timestamp};

use super::error::{Fault, Problem, RuleError, shorten};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventJson {
    at: String,
    silence: Option<String>,
    expire: Option<String>,
    service: Option<String>,
    severity: Option<String>,
    #[serde(default)]
    matchers: Vec<String>,
    from: Option<String>,
    r#for: Option<String>,
    until: Option<String>,
    by: Option<String>,
    comment: Option<String>,
}

/// Something that somebody did to silences.
enum Event {
    Made(Silence),
    Expired(Arc<str>),
}

pub(super) fn read(file: &str, text: &str) -> Result<Vec<Silence>, RuleError> {
    let mut reader = Reader {
        file: file.into(),
        text,
        problems: Vec::new(),
    };
    let mut events: Vec<(Timestamp, usize, Event)> = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if !line.trim().is_empty() {
            events.extend(reader.event(start, line.trim_end()));
        }
        start += line.len();
    }
    events.sort_by_key(|(at, ..)| *at);
    let mut silences: Vec<Silence> = Vec::new();
    let mut current: HashMap<Arc<str>, usize> = HashMap::new();
    for (at, start, event) in events {
        // What acts on from here no more; one that ended before ends no earlier.
        let end = |silences: &mut Vec<Silence>, index: usize| {
            let range: &mut TimeRange = &mut silences[index].range;
            range.end = range.end.min(at).max(range.start);
        };
        match event {
            Event::Made(silence) => {
                if let Some(name) = &silence.id
                    && let Some(before) = current.insert(name.clone(), silences.len())
                {
                    end(&mut silences, before);
                }
                silences.push(silence);
            }
            Event::Expired(name) => match current.remove(&name) {
                Some(index) => end(&mut silences, index),
                None => reader.wrong(
                    start,
                    "expire",
                    "the name of a silence that was made before",
                    &name,
                ),
            },
        }
    }
    if reader.problems.is_empty() {
        Ok(silences)
    } else {
        reader.problems.sort_by_key(|p| (p.line, p.column));
        Err(RuleError {
            problems: reader.problems,
        })
    }
}

struct Reader<'t> {
    file: Arc<str>,
    text: &'t str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn report(&mut self, at: usize, key: &str, fault: Fault) {
        let end = self.text[at..]
            .find('\n')
            .map_or(self.text.len(), |i| at + i);
        let key = if key.is_empty() {
            String::new()
        } else {
            format!("`{key}`")
        };
        let problem = Problem::at(&self.file, self.text, at..end, key, fault);
        self.problems.push(problem);
    }

    fn wrong(&mut self, at: usize, key: &str, expected: &str, found: &str) {
        let fault = Fault::Value {
            expected: expected.to_owned(),
            found: format!("`{}`", shorten(found)),
        };
        self.report(at, key, fault);
    }

    fn missing(&mut self, at: usize, key: &str, expected: &str) {
        let fault = Fault::Value {
            expected: expected.to_owned(),
            found: "nothing".to_owned(),
        };
        self.report(at, key, fault);
    }

    fn time(&mut self, at: usize, key: &str, text: &str) -> Option<Timestamp> {
        let found = Timestamp::parse_rfc3339(text).ok();
        if found.is_none() {
            self.wrong(at, key, "a time like \"2026-11-23T02:00:00Z\"", text);
        }
        found
    }

    /// The event of a line that begins at a byte.
    fn event(&mut self, start: usize, line: &str) -> Option<(Timestamp, usize, Event)> {
        let json: EventJson = match serde_json::from_str(line) {
            Ok(json) => json,
            Err(error) => {
                let message = error.to_string();
                let said = message.split(" at line ").next().unwrap_or(&message);
                let mut place = start + error.column().saturating_sub(1).min(line.len());
                while !self.text.is_char_boundary(place) {
                    place -= 1;
                }
                self.report(place, "", Fault::Other(said.to_owned()));
                return None;
            }
        };
        let at = self.time(start, "at", &json.at)?;
        match (&json.silence, &json.expire) {
            (None, Some(name)) => Some((at, start, Event::Expired(name.as_str().into()))),
            (Some(_), None) => {
                let silence = self.made(start, at, &json)?;
                Some((at, start, Event::Made(silence)))
            }
            (both, _) => {
                let found = if both.is_some() { "both" } else { "neither" };
                let fault = Fault::Value {
                    expected: "either `silence` or `expire`, each with a name".to_owned(),
                    found: found.to_owned(),
                };
                self.report(start, "", fault);
                None
            }
        }
    }

    fn made(&mut self, start: usize, at: Timestamp, json: &EventJson) -> Option<Silence> {
        let before = self.problems.len();
        let mut matchers: Vec<Matcher> = Vec::new();
        for (name, value) in [("service", &json.service), ("severity", &json.severity)] {
            if let Some(value) = value {
                matchers.extend(Matcher::new(name, MatchOp::Equal, value).ok());
            }
        }
        for text in &json.matchers {
            match parse_matchers(text) {
                Ok(found) => matchers.extend(found),
                Err(expected) => self.wrong(start, "matchers", expected, text),
            }
        }
        if matchers.is_empty() && self.problems.len() == before {
            self.missing(start, "matchers", "`service`, `severity` or `matchers`");
        }
        let from = match &json.from {
            Some(text) => self.time(start, "from", text)?,
            None => at,
        };
        let end = match (&json.r#for, &json.until) {
            (Some(text), None) => {
                let lasts = Nanos::parse(text).filter(|d| d.0 > 0);
                if lasts.is_none() {
                    self.wrong(start, "for", "a duration like \"30m\"", text);
                }
                from.plus(lasts?)
            }
            (None, Some(text)) => self.time(start, "until", text)?,
            (both, _) => {
                let found = if both.is_some() { "both" } else { "neither" };
                let fault = Fault::Value {
                    expected: "either `for` or `until`".to_owned(),
                    found: found.to_owned(),
                };
                self.report(start, "", fault);
                return None;
            }
        };
        // Nothing that was sent before it was made is undone.
        let range = TimeRange {
            start: from.max(at),
            end,
        };
        if range.is_empty() {
            let fault = Fault::Other("it ends before it begins".to_owned());
            self.report(start, "until", fault);
        }
        if self.problems.len() > before {
            return None;
        }
        let mut silence = Silence::new(matchers, range);
        silence.id = json.silence.as_deref().map(Into::into);
        silence.comment = match (&json.by, &json.comment) {
            (Some(by), Some(comment)) => Some(format!("{by}: {comment}").into()),
            (by, comment) => by.as_deref().or(comment.as_deref()).map(Into::into),
        };
        Some(silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Silences like `name{matchers} start-end`, in seconds since 05:00.
    fn check(lines: &str, expected: &[&str]) {
        let zero = Timestamp::parse_rfc3339("2026-11-23T05:00:00Z").unwrap();
        let seconds = |at: Timestamp| at.since(zero).0 / Nanos::SECOND.0;
        let found: Vec<String> = read("s.ndjson", lines)
            .unwrap_or_else(|e| panic!("{e}"))
            .iter()
            .map(|s| {
                let matchers: Vec<String> = s.matchers.iter().map(ToString::to_string).collect();
                let name = s.id.as_deref().unwrap_or("");
                format!(
                    "{name}{{{}}} {}-{}",
                    matchers.join(","),
                    seconds(s.range.start),
                    seconds(s.range.end)
                )
            })
            .collect();
        assert_eq!(found, expected, "{lines}");
    }

    #[test]
    fn silences_act_from_when_they_were_made_until_they_end() {
        check(
            r#"{"at":"2026-11-23T05:00:10Z","silence":"a","service":"cart","severity":"P2","for":"30m"}"#,
            &[r#"a{service="cart",severity="P2"} 10-1810"#],
        );
        check(
            r#"{"at":"2026-11-23T05:00:10Z","silence":"a","matchers":["x=~\"y|z\"","v!=1"],"until":"2026-11-23T05:01:00Z"}

{"at":"2026-11-23T05:00:40Z","expire":"a"}"#,
            &[r#"a{x=~"y|z",v!="1"} 10-40"#],
        );
        // Made late: nothing before. Made for later. Ended before it began: never.
        check(
            r#"{"at":"2026-11-23T05:00:10Z","silence":"late","service":"x","from":"2026-11-23T05:00:00Z","for":"1m"}
{"at":"2026-11-23T05:00:00Z","silence":"soon","service":"x","from":"2026-11-23T05:01:00Z","for":"1m"}
{"at":"2026-11-23T05:00:30Z","expire":"soon"}"#,
            &[r#"soon{service="x"} 60-60"#, r#"late{service="x"} 10-60"#],
        );
        // The same name again replaces it from then on; one that has ended stays as it was. Order of lines does not count.
        check(
            r#"{"at":"2026-11-23T05:00:20Z","silence":"a","service":"y","for":"10s"}
{"at":"2026-11-23T05:00:00Z","silence":"a","service":"x","for":"1m"}
{"at":"2026-11-23T05:05:00Z","expire":"a"}"#,
            &[r#"a{service="x"} 0-20"#, r#"a{service="y"} 20-30"#],
        );
    }

    #[test]
    fn complaints_have_their_place() {
        let cases = [
            ("{\"at\":1}", "s.ndjson:1:7: invalid type: integer `1`"),
            ("\n{", "s.ndjson:2:1: EOF while parsing an object"),
            (
                r#"{"at":"x","expire":"a"}"#,
                "s.ndjson:1:1: `at`: expected a time like \"2026-11-23T02:00:00Z\", found `x`",
            ),
            (
                r#"{"at":"2026-11-23T05:00:00Z"}"#,
                "expected either `silence` or `expire`, each with a name, found neither",
            ),
            (
                r#"{"at":"2026-11-23T05:00:00Z","expire":"a"}"#,
                "`expire`: expected the name of a silence that was made before, found `a`",
            ),
            (
                r#"{"at":"2026-11-23T05:00:00Z","silence":"a","for":"1m"}"#,
                "`matchers`: expected `service`, `severity` or `matchers`, found nothing",
            ),
            (
                r#"{"at":"2026-11-23T05:00:00Z","silence":"a","service":"x"}"#,
                "expected either `for` or `until`, found neither",
            ),
            (
                r#"{"at":"2026-11-23T05:00:00Z","silence":"a","service":"x","for":"-1m"}"#,
                "`for`: expected a duration like \"30m\", found `-1m`",
            ),
            (
                r#"{"at":"2026-11-23T05:00:00Z","silence":"a","service":"x","until":"2026-11-23T04:00:00Z"}"#,
                "`until`: it ends before it begins",
            ),
            (
                r#"{"at":"2026-11-23T05:00:00Z","silence":"a","matchers":["x"],"for":"1m"}"#,
                "`matchers`: expected a matcher like",
            ),
            (
                r#"{"at":"2026-11-23T05:00:00Z","silenced":"a"}"#,
                "unknown field `silenced`",
            ),
        ];
        for (text, expected) in cases {
            let error = read("s.ndjson", text).map(|_| ()).unwrap_err().to_string();
            assert!(
                error.contains(expected),
                "{text}\n--- expected\n{expected}\n--- found\n{error}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(\\PC|\n|[{}\":,])*", cut in 0usize..90) {
            let _ = read("s.ndjson", &text);
            let line = r#"{"at":"2026-11-23T05:00:10Z","silence":"é","service":"cart","severity":"P2","for":"30m"}"#;
            let line: String = line.chars().take(cut).collect();
            let _ = read("s.ndjson", &(line + &text));
        }
    }
}
