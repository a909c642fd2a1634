//! Label sets and matchers, as in Prometheus. The name of a series is its label `__name__`.

use std::fmt;
use std::sync::Arc;

use crate::{Error, Result};

/// The label that holds a series' name.
pub const METRIC_NAME: &str = "__name__";

/// The labels that say what a metric is, rather than which series of it: they go together.
const METADATA: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

/// A set of labels, sorted by name, each name once, no empty values: a label that is absent equals one that is empty.
///
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Default for Labels {
    fn default() -> Self {
        Labels(Arc::from([]))
    }
}

impl<N: Into<Arc<str>>, V: Into<Arc<str>>> FromIterator<(N, V)> for Labels {
    /// Sorts; of one name given twice the last value wins; empty values are left out.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut all: Vec<(Arc<str>, Arc<str>)> = pairs
            .into_iter()
            .map(|(n, v)| (n.into(), v.into()))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0)); // Stable, so that the last of equal names stays last.
        let mut kept: Vec<(Arc<str>, Arc<str>)> = Vec::with_capacity(all.len());
        for pair in all {
            match kept.last_mut() {
                Some(last) if last.0 == pair.0 => *last = pair,
                _ => kept.push(pair),
            }
        }
        kept.retain(|(_, value)| !value.is_empty());
        Labels(kept.into())
    }
}

impl Labels {
    /// The value of `name`, or `""` when it is absent.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0
            .binary_search_by(|(n, _)| n.as_ref().cmp(name))
            .map_or("", |i| &self.0[i].1)
    }

    /// The series' name, or `""`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// All pairs in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_ref(), v.as_ref()))
    }

    /// How many labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The labels for whose name `keep` says yes.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(&str) -> bool) -> Labels {
        Labels(self.0.iter().filter(|(n, _)| keep(n)).cloned().collect())
    }

    /// Without `__name__`, and without the `__type__` and `__unit__` of the metric that had the name.
    #[must_use]
    pub fn without_name(&self) -> Labels {
        if METADATA.iter().all(|name| self.get(name).is_empty()) {
            self.clone()
        } else {
            self.filter(|n| !METADATA.contains(&n))
        }
    }

    /// With `name` set to `value`; an empty value removes it.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Labels {
        self.0
            .iter()
            .cloned()
            .chain([(Arc::from(name), Arc::from(value))])
            .collect()
    }

    /// The canonical string of the store: `a="b",c="d"`, sorted, without `__name__`, values escaped as in exposition text. A name with
    /// characters that would be taken for what stands around it is quoted like a value: `"a=b"="c"`.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.iter().filter(|(n, _)| *n != METRIC_NAME) {
            if !text.is_empty() {
                text.push(',');
            }
            push_pair(&mut text, name, value);
        }
        text
    }

    /// Reads what [`Labels::canonical`] writes, also with braces around, spaces and a trailing comma.
    ///
    /// # Errors
    /// When a name, `=`, quote or escape is missing or wrong.
    pub fn parse(text: &str) -> Result<Labels> {
        let bad = || Error::Value {
            expected: "labels like a=\"b\",c=\"d\"",
            found: text.to_owned(),
        };
        let mut rest = text.trim();
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner.strip_suffix('}').ok_or_else(bad)?.trim();
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        while !rest.is_empty() {
            let quoted = rest.strip_prefix('"');
            let name = match quoted {
                Some(quoted) => {
                    let (name, after) = unquote(quoted).ok_or_else(bad)?;
                    rest = after.trim_start();
                    name
                }
                None => {
                    let equals = rest.find('=').ok_or_else(bad)?;
                    let name = rest[..equals].trim().to_owned();
                    rest = &rest[equals..];
                    name
                }
            };
            let value = rest.strip_prefix('=').map(str::trim_start);
            let value = value.and_then(|value| value.strip_prefix('"'));
            let (value, after) = value.and_then(unquote).ok_or_else(bad)?;
            let nameless = name.is_empty() && quoted.is_none();
            if nameless || pairs.iter().any(|(n, _)| *n == name) {
                return Err(bad());
            }
            pairs.push((name, value));
            rest = after.trim_start();
            match rest.strip_prefix(',') {
                Some(more) => rest = more.trim_start(),
                None if rest.is_empty() => {}
                None => return Err(bad()),
            }
        }
        Ok(pairs.into_iter().collect())
    }
}

fn push_pair(text: &mut String, name: &str, value: &str) {
    let surrounds = ['=', '"', '{', '}', ',', '\\', '\n'];
    let stands_alone = !name.is_empty() && !name.contains(surrounds) && name.trim() == name;
    if stands_alone {
        text.push_str(name);
    } else {
        push_quoted(text, name);
    }
    text.push('=');
    push_quoted(text, value);
}

fn push_quoted(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text.push('"');
}

/// What stands before the closing quote, and what stands behind it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = quoted.char_indices();
    loop {
        match chars.next()? {
            (i, '"') => return Some((out, &quoted[i + 1..])),
            (_, '\\') => match chars.next()?.1 {
                'n' => out.push('\n'),
                c @ ('"' | '\\') => out.push(c),
                c => out.extend(['\\', c]),
            },
            (_, c) => out.push(c),
        }
    }
}

impl fmt::Display for Labels {
    /// As Prometheus prints a series: `name{a="b", c="d"}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let mut text = String::new();
        for (name, value) in self.iter().filter(|(n, _)| *n != METRIC_NAME) {
            if !text.is_empty() {
                text.push_str(", ");
            }
            push_pair(&mut text, name, value);
        }
        if !text.is_empty() || self.name().is_empty() {
            write!(f, "{{{text}}}")
        } else {
            Ok(())
        }
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

/// A condition on one label.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: Arc<str>,
    op: MatchOp,
    value: Arc<str>,
    regex: Option<regex::Regex>,
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Matcher {
    /// A matcher; for regular expressions, RE2 syntax.
    ///
    /// # Errors
    /// When a regular expression does not compile.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Matcher> {
        let regex = match op {
            MatchOp::Regex | MatchOp::NotRegex => {
                Some(anchored_regex(value).map_err(|_| Error::Value {
                    expected: "a regular expression",
                    found: value.to_owned(),
                })?)
            }
            _ => None,
        };
        Ok(Matcher {
            name: name.into(),
            op,
            value: value.into(),
            regex,
        })
    }

    /// `name="value"`.
    #[must_use]
    pub fn equal(name: &str, value: &str) -> Matcher {
        Matcher {
            name: name.into(),
            op: MatchOp::Equal,
            value: value.into(),
            regex: None,
        }
    }

    /// The label that it looks at.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it compares.
    #[must_use]
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// What it compares with: a value or the text of a regular expression.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether `value` (empty for an absent label) satisfies it.
    #[must_use]
    pub fn accepts(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => value == self.value.as_ref(),
            (MatchOp::NotEqual, _) => value != self.value.as_ref(),
            (MatchOp::Regex, Some(regex)) => regex.is_match(value),
            (MatchOp::NotRegex, Some(regex)) => !regex.is_match(value),
            (MatchOp::Regex | MatchOp::NotRegex, None) => {
                unreachable!("compiled by the constructor")
            }
        }
    }

    /// Whether the label set satisfies it.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.accepts(labels.get(&self.name))
    }
}

/// Compiles a regular expression as Prometheus does: anchored at both ends, and `{` stands for itself unless it is a repetition.
pub(crate) fn anchored_regex(pattern: &str) -> Result<regex::Regex, regex::Error> {
    let compile = |pattern: &str| {
        regex::RegexBuilder::new(&format!("^(?:{pattern})$"))
            .dot_matches_new_line(true)
            .build()
    };
    compile(pattern).or_else(|error| compile(&escape_braces(pattern)).map_err(|_| error))
}

/// Go's syntax takes a `{` for itself where it begins no repetition (`{2}`, `{2,}`, `{2,3}`); this one does not.
fn escape_braces(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 4);
    let mut escaped = false;
    for (i, c) in pattern.char_indices() {
        if c == '{' && !escaped {
            let class = out.ends_with("\\p") || out.ends_with("\\P") || out.ends_with("\\x");
            let inside = pattern[i + 1..].split('}').next().unwrap_or("");
            let closed = pattern[i + 1..].contains('}');
            let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
            let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
            let repetition = closed && !least.is_empty() && digits(least) && digits(most);
            if !class && !repetition {
                out.push('\\');
            }
        }
        escaped = c == '\\' && !escaped;
        out.push(c);
    }
    out
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match self.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        };
        write!(f, "{}{op}{:?}", self.name, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_print_and_parse() {
        let labels: Labels = [
            ("b", "x\"y\\z\n"),
            ("a", "1"),
            ("empty", ""),
            ("__name__", "up"),
            ("a", "2"),
        ]
        .into_iter()
        .collect();
        assert_eq!(labels.canonical(), r#"a="2",b="x\"y\\z\n""#);
        assert_eq!(labels.to_string(), r#"up{a="2", b="x\"y\\z\n"}"#);
        assert_eq!(
            Labels::parse(&labels.canonical()).unwrap(),
            labels.without_name()
        );
        assert_eq!(
            Labels::parse(r#"{compiler="gc", GOARCH="amd64",}"#)
                .unwrap()
                .get("GOARCH"),
            "amd64"
        );
        assert_eq!(labels.with("a", "").get("a"), "");
        for bad in [
            "a",
            "a=b",
            "a=\"b",
            "{a=\"b\"",
            "=\"b\"",
            "a=\"b\" c=\"d\"",
            "a=\"1\",a=\"2\"",
        ] {
            assert!(Labels::parse(bad).is_err(), "{bad}");
        }
    }

    /// JSON and quoted names of scrapes may hold anything, and what is stored must read.
    #[test]
    fn any_name_prints_and_parses() {
        for (name, expected) in [
            ("my.label é", "my.label é=\"1\""),
            ("a=b", "\"a=b\"=\"1\""),
            ("{a", "\"{a\"=\"1\""),
            ("a\"b\\", "\"a\\\"b\\\\\"=\"1\""),
            (" a", "\" a\"=\"1\""),
            ("", "\"\"=\"1\""),
        ] {
            let labels: Labels = [(name, "1")].into_iter().collect();
            assert_eq!(labels.canonical(), expected);
            assert_eq!(Labels::parse(expected).unwrap(), labels);
        }
    }

    #[test]
    fn matchers_see_absent_as_empty() {
        let labels: Labels = [("a", "x1")].into_iter().collect();
        let check = |name, op, value| Matcher::new(name, op, value).unwrap().matches(&labels);
        assert!(check("a", MatchOp::Regex, "x."));
        assert!(!check("a", MatchOp::Regex, "x"));
        assert!(check("none", MatchOp::Equal, ""));
        assert!(check("none", MatchOp::NotEqual, "y"));
        assert!(check("none", MatchOp::Regex, ".*"));
        assert!(!check("a", MatchOp::NotRegex, "x1|y"));
        assert!(Matcher::new("a", MatchOp::Regex, "(").is_err());
        let braces: Labels = [("a", "x{1")].into_iter().collect();
        for (pattern, matches) in [
            ("x{1", true),
            (".{2}1", true),
            ("x{1,2}", false),
            ("x{[1]", true),
            ("x\\{\\p{N}", true),
        ] {
            let matcher = Matcher::new("a", MatchOp::Regex, pattern).unwrap();
            assert_eq!(matcher.matches(&braces), matches, "{pattern}");
        }
    }
}
