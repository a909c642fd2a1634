//! Series as scripts write them: `name{label="value"} 1 2+3x4 _ stale`.

use std::sync::Arc;

use super::expectation::duration;
use crate::Labels;
use crate::expr::lex::{Token, tokens};
use crate::labels::METRIC_NAME;
use crate::series::stale_nan;

/// What a value of a series stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Point {
    Value(f64),
    Missing,
    Native,
}

/// More values of one series are a slip.
const VALUES_MAX: usize = 1_000_000;

/// A number as scripts write them.
pub(super) fn value(text: &str) -> Option<f64> {
    let text = text.trim();
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if let Some(hex) = digits.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok().map(|v| sign * v as f64);
    }
    if digits.starts_with(['+', '-']) {
        return None;
    }
    digits.parse::<f64>().ok().map(|v| sign * v)
}

/// `name{label="value"} 1 2+3x4 _ stale`
pub(super) fn series(line: &str) -> Result<(Labels, Vec<Point>), String> {
    let end = labels_end(line);
    let labels = labels(&line[..end])?;
    let mut points = Vec::new();
    let mut rest = line[end..].trim_start();
    while !rest.is_empty() {
        let end = if rest.starts_with("{{") {
            let mut close = rest.find("}}").ok_or("`{{` without `}}`")? + 2;
            while let Some(step) = rest[close..]
                .strip_prefix(['+', '-'])
                .filter(|s| s.starts_with("{{"))
            {
                close += 3 + step.find("}}").ok_or("`{{` without `}}`")?;
            }
            close
                + rest[close..]
                    .find(char::is_whitespace)
                    .unwrap_or(rest.len() - close)
        } else {
            rest.find(char::is_whitespace).unwrap_or(rest.len())
        };
        sequence(&rest[..end], &mut points)?;
        rest = rest[end..].trim_start();
    }
    Ok((labels, points))
}

/// `name{label="value"}@st -1m -1m+30sx3 _ *`, when the process of each sample began: of which series; none for all that follow.
pub(super) fn start_times(line: &str) -> Result<Option<String>, String> {
    let Some((of, times)) = line.split_once(char::is_whitespace) else {
        return Ok(None);
    };
    let Some(of) = of.strip_suffix("@st") else {
        return Ok(None);
    };
    for item in times.split_whitespace() {
        let bad = || format!("expected start times, found `{item}`");
        let (time, times) = item.rsplit_once('x').unwrap_or((item, "0"));
        times.parse::<usize>().map_err(|_| bad())?;
        if !matches!(time, "_" | "*") {
            let unsigned = time.strip_prefix('-').unwrap_or(time);
            for part in unsigned.split(['+', '-']) {
                duration(part)?;
            }
        }
    }
    if !of.is_empty() {
        labels(of)?;
    }
    Ok(Some(of.to_owned()))
}

/// Where the values begin.
fn labels_end(line: &str) -> usize {
    let (mut inside, mut quote) = (false, None);
    let mut escaped = false;
    for (i, c) in line.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(q), '\\') if q != '`' => escaped = true,
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') if inside => quote = Some(c),
            (None, '{') => inside = true,
            (None, '}') => return i + 1,
            (None, c)
                if c.is_whitespace() && !inside && !line[i..].trim_start().starts_with('{') =>
            {
                return i;
            }
            (None, c)
                if c.is_whitespace() && !inside && line[i..].trim_start().starts_with("{{") =>
            {
                return i;
            }
            _ => {}
        }
    }
    line.len()
}

fn labels(text: &str) -> Result<Labels, String> {
    let shared: Arc<str> = text.into();
    let tokens = tokens(&shared).map_err(|e| e.to_string())?;
    let tokens: Vec<&Token> = tokens.iter().map(|(t, _)| t).collect();
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut at = 0;
    if let Token::Word(name) = tokens[0] {
        pairs.push((METRIC_NAME.to_owned(), name.clone()));
        at = 1;
    }
    while at < tokens.len() {
        match &tokens[at..] {
            [
                Token::Word(name) | Token::Text(name),
                Token::Equals,
                Token::Text(value),
                ..,
            ] => {
                pairs.push((name.clone(), value.clone()));
                at += 3;
            }
            [Token::Text(name), ..] => {
                pairs.push((METRIC_NAME.to_owned(), name.clone()));
                at += 1;
            }
            [
                Token::OpenBrace | Token::CloseBrace | Token::Comma | Token::End,
                ..,
            ] => at += 1,
            _ => return Err(format!("expected labels, found `{text}`")),
        }
    }
    Ok(pairs.into_iter().collect())
}

/// `1`, `1x3`, `1+2x3`, `1-2x3`, `_`, `_x3`, `stale`, `{{…}}`.
fn sequence(text: &str, points: &mut Vec<Point>) -> Result<(), String> {
    let bad = || format!("expected values, found `{text}`");
    let (item, times) = match text.rsplit_once('x') {
        Some((item, times)) if times.bytes().all(|b| b.is_ascii_digit()) && !times.is_empty() => {
            (item, Some(times.parse::<usize>().map_err(|_| bad())?))
        }
        _ => (text, None),
    };
    if points.len() + times.unwrap_or(0) > VALUES_MAX {
        return Err(format!("more than {VALUES_MAX} values"));
    }
    if item.starts_with("{{") {
        points.resize(points.len() + times.map_or(1, |n| n + 1), Point::Native);
        return Ok(());
    }
    if item == "_" {
        points.resize(points.len() + times.unwrap_or(1), Point::Missing);
        return Ok(());
    }
    let (first, step) = if item == "stale" {
        (stale_nan(), 0.0)
    } else if let Some(value) = value(item) {
        (value, 0.0)
    } else {
        // The sign of the step is the last one that does not belong to an exponent.
        let split = item
            .char_indices()
            .skip(1)
            .filter(|(i, c)| matches!(c, '+' | '-') && !item[..*i].ends_with(['e', 'E', '+', '-']))
            .map(|(i, _)| i)
            .last()
            .ok_or_else(bad)?;
        let first = value(&item[..split]).ok_or_else(bad)?;
        (first, value(&item[split..]).ok_or_else(bad)?)
    };
    let mut this = first;
    for _ in 0..times.map_or(1, |n| n + 1) {
        points.push(Point::Value(this));
        if item != "stale" {
            this += step;
        }
    }
    Ok(())
}
