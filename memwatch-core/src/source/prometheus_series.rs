//! The text of a series (`name{label="value",…}`) → whose it is, its name and its labels. Each text is taken apart once.

use std::sync::Arc;

use hashbrown::HashMap;

use super::intern::{Identities, Strings};
use super::scraped_sample::{Part, part};
use crate::record::{Identity, MetricKind, MetricSample};
use crate::{Labels, Timestamp};

/// A series as it is written.
pub(crate) struct Series {
    /// `None` when neither the labels nor the context say whose it is.
    pub(crate) of: Option<Identity>,
    /// Its row, of which only time and value change from sample to sample.
    pub(crate) row: MetricSample,
    /// The field of a memory sample that it is.
    pub(crate) part: Option<&'static Part>,
    /// The label `version`, for `go_info`.
    pub(crate) version: Option<Arc<str>>,
}

/// All series seen.
#[derive(Default)]
pub(crate) struct SeriesTable {
    indices: HashMap<Box<[u8]>, usize>,
    series: Vec<Series>,
    identities: Identities,
    strings: Strings,
}

/// Above this many series they are forgotten and taken apart again.
const MAX_SERIES: usize = 1 << 17;

impl SeriesTable {
    /// The series that `text` names. `given` stands for a service or instance that the labels do not name.
    ///
    /// `Err` says what is expected instead of `text`.
    pub(crate) fn get(
        &mut self,
        text: &[u8],
        given: Option<&Identity>,
        kind: impl FnOnce(&str) -> MetricKind,
    ) -> Result<&mut Series, &'static str> {
        let index = match self.indices.get(text) {
            Some(index) => *index,
            None => {
                let series = self.read(text, given, kind)?;
                if self.series.len() >= MAX_SERIES {
                    self.clear();
                }
                self.indices.insert(text.into(), self.series.len());
                self.series.push(series);
                self.series.len() - 1
            }
        };
        Ok(&mut self.series[index])
    }

    /// Forgets all series: what `given` stands for has changed.
    pub(crate) fn clear(&mut self) {
        self.indices.clear();
        self.series.clear();
    }

    fn read(
        &mut self,
        text: &[u8],
        given: Option<&Identity>,
        kind: impl FnOnce(&str) -> MetricKind,
    ) -> Result<Series, &'static str> {
        let labels = parse(text)?;
        let of = self.of(&labels, given);
        let name = labels.name();
        let own = |label: &str| !matches!(label, "job" | "service" | "instance");
        let rest = labels.filter(own);
        let version = labels.get("version");
        Ok(Series {
            of,
            row: MetricSample::new(
                Timestamp(0),
                self.strings.get(name),
                self.strings.get(&rest.canonical()),
                0.0,
                kind(name),
            ),
            part: part(name),
            version: (!version.is_empty()).then(|| version.into()),
        })
    }

    /// Whose series this is. `job` is what Prometheus calls a service; where both are given it is the one that rules select by.
    pub(crate) fn of(&mut self, labels: &Labels, given: Option<&Identity>) -> Option<Identity> {
        let given_or = |label: &str| Some(labels.get(label)).filter(|value| !value.is_empty());
        self.identities.get(
            given_or("job").or_else(|| given_or("service")),
            given_or("instance"),
            given,
        )
    }
}

/// Where the series that a line begins with ends.
///
/// `None` when its braces or quotes are not closed.
pub(crate) fn end(line: &[u8]) -> Option<usize> {
    let name = line
        .iter()
        .position(|b| matches!(b, b'{' | b' ' | b'\t'))
        .unwrap_or(line.len());
    // `name {…}` is allowed too.
    let gap = line[name..]
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t'))
        .count();
    if line.get(name + gap) != Some(&b'{') {
        return Some(name);
    }
    let mut i = name + gap + 1;
    loop {
        i += memchr::memchr2(b'"', b'}', &line[i..])?;
        if line[i] == b'}' {
            return Some(i + 1);
        }
        loop {
            i += 1 + memchr::memchr2(b'"', b'\\', line.get(i + 1..)?)?;
            if line[i] == b'"' {
                break;
            }
            i += 1;
        }
        i += 1;
    }
}

/// Takes a series apart. The name is a label, as everywhere.
fn parse(text: &[u8]) -> Result<Labels, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "UTF-8")?;
    let brace = text.find('{').unwrap_or(text.len());
    let mut name = text[..brace].trim().to_owned();
    let mut pairs = text[brace..].trim();
    let rest: String;
    if name.is_empty() {
        // Prometheus 3 writes names with other characters quoted, first inside of the braces.
        if let Some((quoted, more)) = quoted_name(pairs) {
            name = quoted;
            rest = format!("{{{more}");
            pairs = &rest;
        }
    } else if !is_name(&name, true) {
        return Err("a metric name");
    }
    let labels = Labels::parse(pairs).map_err(|_| "labels like {a=\"b\",c=\"d\"}")?;
    let named = |label: &str| is_name(label, false) || pairs.contains(&format!("\"{label}\""));
    if !labels.iter().all(|(label, _)| named(label)) {
        return Err("label names of letters, digits and _");
    }
    let labels = if name.is_empty() {
        labels
    } else if labels.name().is_empty() {
        labels.with(crate::labels::METRIC_NAME, &name)
    } else {
        return Err("one metric name");
    };
    if labels.name().is_empty() {
        return Err("a metric name");
    }
    Ok(labels)
}

/// `{"my.metric",a="b"}` → the name and `a="b"}`.
fn quoted_name(pairs: &str) -> Option<(String, &str)> {
    let inner = pairs.strip_prefix('{')?.trim_start().strip_prefix('"')?;
    let close = inner.find('"').filter(|i| !inner[..*i].contains('\\'))?;
    let more = inner[close + 1..].trim_start();
    let more = match more.strip_prefix(',') {
        Some(more) => more,
        None => more.starts_with('}').then_some(more)?,
    };
    Some((inner[..close].to_owned(), more))
}

fn is_name(name: &str, colons: bool) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_taken_apart() {
        let given = Identity {
            service: "s".into(),
            instance: "i".into(),
        };
        let mut table = SeriesTable::default();
        for (text, expected) in [
            ("up", "s/i up{}"),
            (r#"up{job="j"}"#, "j/i up{}"),
            (
                r#"a{b="1", service="x", instance="y:9", C="}\"{"}"#,
                r#"x/y:9 a{C="}\"{",b="1"}"#,
            ),
            (r#"{__name__="a:b", job="j", instance="k"}"#, "j/k a:b{}"),
            (r#"{"my.metric", a="b"}"#, r#"s/i my.metric{a="b"}"#),
            (r#"{"my.metric"}"#, "s/i my.metric{}"),
            (r#"a {b="c",}"#, r#"s/i a{b="c"}"#),
        ] {
            assert_eq!(
                end(format!("{text} 1").as_bytes()),
                Some(text.len()),
                "{text}"
            );
            let series = table
                .get(text.as_bytes(), Some(&given), |_| MetricKind::Untyped)
                .unwrap();
            let of = series.of.as_ref().unwrap();
            let shown = format!(
                "{}/{} {}{{{}}}",
                of.service, of.instance, series.row.metric, series.row.labels
            );
            assert_eq!(shown, expected);
        }
        for bad in [
            "",
            "{}",
            "{a=\"b\"}",
            "1a",
            "a-b",
            "a{b=c}",
            "a{b c=\"d\"}",
            "a{b=\"1\",b=\"2\"}",
        ] {
            assert!(
                table
                    .get(bad.as_bytes(), Some(&given), |_| MetricKind::Untyped)
                    .is_err(),
                "{bad}"
            );
        }
        assert!(table.get(b"a\xff", None, |_| MetricKind::Untyped).is_err());
        for open in ["a{", "a{b=\"", "a{b=\"\\", "a{b=\"c\"", "a{b=\"\\\"}"] {
            assert_eq!(end(open.as_bytes()), None, "{open}");
        }
    }
}
