//! Commands and what is expected of them.

use std::fmt;
use std::sync::Arc;

use super::notation::{Point, series, value};
use crate::expr::lex::{Token, tokens};
use crate::{Labels, Nanos, Steps, Timestamp};

pub(super) struct Expected {
    pub(super) labels: Labels,
    pub(super) points: Vec<Point>,
}

/// What the lines below an `eval` say.
#[derive(Default)]
pub(super) struct Expectation {
    pub(super) series: Vec<Expected>,
    pub(super) scalar: Option<f64>,
    pub(super) text: Option<String>,
    pub(super) fails: bool,
    pub(super) ordered: bool,
    pub(super) range: Option<Steps>,
    pub(super) messages: Vec<(Expect, Match)>,
    pub(super) native: bool,
    pub(super) is_instant: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Expect {
    Fail,
    Warn,
    Info,
    NoWarn,
    NoInfo,
}

pub(super) enum Match {
    Anything,
    Text(String),
    Regex(String),
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Match::Anything => Ok(()),
            Match::Text(wanted) => f.write_str(wanted),
            Match::Regex(pattern) => write!(f, "/{pattern}/"),
        }
    }
}

impl Match {
    pub(super) fn accepts(&self, text: &str) -> bool {
        match self {
            Match::Anything => true,
            Match::Text(wanted) => text == wanted,
            Match::Regex(pattern) => regex::Regex::new(pattern).is_ok_and(|r| r.is_match(text)),
        }
    }
}

pub(super) fn duration(text: &str) -> Result<Nanos, String> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let parsed =
        Nanos::parse(digits).ok_or_else(|| format!("expected a duration, found `{text}`"))?;
    Ok(Nanos(sign * parsed.0))
}

/// `eval instant at T expression`, `eval range from A to B step S expression`: the command, the steps, the expression.
pub(super) fn command(line: &str) -> Result<(&str, Steps, &str), String> {
    let mut rest = line;
    let mut word = || -> Result<&str, String> {
        let (word, after) = rest
            .split_once(char::is_whitespace)
            .ok_or("the command ends too early")?;
        rest = after.trim_start();
        Ok(word)
    };
    let kind = word()?;
    let steps = match word()? {
        "instant" => {
            word()?;
            Steps::instant(Timestamp(duration(word()?)?.0))
        }
        "range" => {
            let mut given = [Nanos(0); 3];
            for (slot, wanted) in given.iter_mut().zip(["from", "to", "step"]) {
                let found = word()?;
                if found != wanted {
                    return Err(format!("expected `{wanted}`, found `{found}`"));
                }
                *slot = duration(word()?)?;
            }
            Steps {
                start: Timestamp(given[0].0),
                end: Timestamp(given[1].0),
                step: given[2],
            }
        }
        other => return Err(format!("expected `instant` or `range`, found `{other}`")),
    };
    Ok((kind, steps, rest))
}

pub(super) fn expectation(
    kind: &str,
    is_instant: bool,
    block: &[&str],
) -> Result<Expectation, String> {
    let mut expected = Expectation {
        is_instant,
        ..Expectation::default()
    };
    match kind {
        "eval_fail" => expected.fails = true,
        "eval_ordered" => expected.ordered = true,
        "eval_warn" => expected.messages.push((Expect::Warn, Match::Anything)),
        "eval_info" => expected.messages.push((Expect::Info, Match::Anything)),
        "eval" => {}
        _ => return Err(format!("unknown command `{kind}`")),
    }
    for line in block {
        if let Some(rest) = line.strip_prefix("expect ") {
            expect_line(&mut expected, rest.trim())?;
        } else if let Some(message) = line.strip_prefix("expected_fail_message ") {
            expected
                .messages
                .push((Expect::Fail, Match::Text(message.trim().to_owned())));
        } else if let Some(pattern) = line.strip_prefix("expected_fail_regexp ") {
            expected
                .messages
                .push((Expect::Fail, Match::Regex(pattern.trim().to_owned())));
        } else if let Some(value) = value(line) {
            expected.scalar = Some(value);
        } else if line.starts_with("{{") {
            expected.native = true;
        } else {
            let (labels, points) = series(line)?;
            expected.native |= points.contains(&Point::Native);
            expected.series.push(Expected { labels, points });
        }
    }
    let says = |what: Expect| expected.messages.iter().filter(|(w, _)| *w == what).count();
    if says(Expect::Info) > 0 && says(Expect::NoInfo) > 0
        || says(Expect::Warn) > 0 && says(Expect::NoWarn) > 0
    {
        return Err("a message is expected, and that there is none".to_owned());
    }
    if says(Expect::Fail) > 1 {
        return Err("more than one failure is expected".to_owned());
    }
    if is_instant && expected.range.is_none() && expected.series.iter().any(|s| s.points.len() > 1)
    {
        return Err("an instant has one value; several need `expect range vector`".to_owned());
    }
    Ok(expected)
}

fn expect_line(expected: &mut Expectation, line: &str) -> Result<(), String> {
    let (what, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let wanted = if let Some(message) = rest.strip_prefix("msg:") {
        Match::Text(message.trim().to_owned())
    } else if let Some(pattern) = rest.strip_prefix("regex:") {
        Match::Regex(pattern.trim().to_owned())
    } else {
        Match::Anything
    };
    let what = match what {
        "fail" => {
            expected.fails = true;
            Expect::Fail
        }
        "warn" => Expect::Warn,
        "info" => Expect::Info,
        "no_warn" => Expect::NoWarn,
        "no_info" => Expect::NoInfo,
        "ordered" => {
            expected.ordered = true;
            return Ok(());
        }
        "string" => {
            let text: Arc<str> = rest.into();
            expected.text = match tokens(&text).map_err(|e| e.to_string())?.first() {
                Some((Token::Text(text), _)) => Some(text.clone()),
                _ => Some(rest.to_owned()),
            };
            return Ok(());
        }
        "range" => {
            let steps = rest.strip_prefix("vector").unwrap_or(rest).trim();
            let line = format!("expect range {steps} -");
            expected.range = Some(command(&line)?.1);
            return Ok(());
        }
        _ => return Err(format!("unknown expectation `{line}`")),
    };
    expected.messages.push((what, wanted));
    Ok(())
}
