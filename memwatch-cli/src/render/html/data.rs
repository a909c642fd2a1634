//! What the script draws: one block for the report, one for each service that is only read when the service is opened.

use memwatch_core::backtest::{Ended, Outcome};
use memwatch_core::report::{Envelope, Line, Page, Panel, Role, Unit};
use memwatch_core::{TimeRange, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Told;
use crate::render::backtest_json::verdict;
use crate::render::clean;

/// Of the whole report.
#[derive(Serialize)]
pub struct Head {
    schema: &'static str,
    start: f64,
    end: f64,
}

impl Head {
    /// Of a report over this range.
    pub fn of(range: TimeRange) -> Head {
        Head {
            schema: "memwatch.report/1",
            start: range.start.as_seconds(),
            end: range.end.as_seconds(),
        }
    }
}

/// Of one service. Times are seconds since the epoch, but for `t`.
#[derive(Serialize)]
pub struct Service {
    /// The middle of each bucket: milliseconds since the start of the range.
    t: Box<RawValue>,
    panels: Vec<PanelJson>,
    /// Collections in each bucket.
    gc: Box<RawValue>,
    alerts: Vec<AlertJson>,
    incidents: Vec<IncidentJson>,
    messages: Vec<MessageJson>,
}

#[derive(Serialize)]
struct PanelJson {
    title: String,
    about: String,
    unit: &'static str,
    rule: Option<usize>,
    lines: Vec<LineJson>,
}

#[derive(Serialize)]
struct LineJson {
    name: String,
    of: String,
    role: &'static str,
    /// The greatest value of each bucket.
    hi: Box<RawValue>,
    /// The least, where it differs anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    lo: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct AlertJson {
    index: usize,
    rule: String,
    p: f64,
    f: f64,
    e: Option<f64>,
    verdict: &'static str,
}

#[derive(Serialize)]
struct IncidentJson {
    s: f64,
    e: f64,
    caught: bool,
}

#[derive(Serialize)]
struct MessageJson {
    at: f64,
    firing: bool,
}

/// What is drawn of a service.
pub fn service(outcome: &Outcome, page: &Page, told: &[Told]) -> anyhow::Result<Service> {
    let seconds = Timestamp::as_seconds;
    let scored = outcome.score.as_ref();
    let start = outcome.range.start;
    let middles = (0..page.axis.len()).map(|i| {
        let since = Timestamp(page.axis.middle(i)).since(start).0;
        (since / 1_000_000).to_string()
    });
    Ok(Service {
        t: array(middles)?,
        panels: page.panels.iter().map(panel).collect::<Result<_, _>>()?,
        gc: array(page.collections.iter().map(ToString::to_string))?,
        alerts: page
            .alerts
            .iter()
            .map(|&i| {
                let alert = &outcome.alerts[i];
                AlertJson {
                    index: alert.rule,
                    rule: text(&outcome.rules[alert.rule].name),
                    p: seconds(alert.pending_at),
                    f: seconds(alert.fired_at),
                    e: match alert.ended {
                        Ended::Open => None,
                        Ended::Resolved(at) | Ended::Cleared(at) => Some(seconds(at)),
                    },
                    verdict: scored.map_or("none", |s| verdict(s.verdicts[i])),
                }
            })
            .collect(),
        incidents: page
            .incidents
            .iter()
            .filter_map(|&i| scored.map(|s| &s.incidents[i]))
            .map(|found| IncidentJson {
                s: seconds(found.incident.range.start),
                e: seconds(found.incident.range.end),
                caught: !found.detected_by.is_empty(),
            })
            .collect(),
        messages: told
            .iter()
            .filter(|t| t.alerts.iter().any(|a| page.alerts.contains(a)))
            .map(|t| MessageJson {
                at: seconds(t.at),
                firing: t.firing,
            })
            .collect(),
    })
}

fn panel(panel: &Panel) -> anyhow::Result<PanelJson> {
    Ok(PanelJson {
        title: text(&panel.title),
        about: text(&panel.about),
        unit: match panel.unit {
            Unit::Bytes => "bytes",
            Unit::BytesPerSecond => "rate",
            Unit::Seconds => "seconds",
            Unit::Plain => "plain",
        },
        rule: panel.rule,
        lines: panel.lines.iter().map(line).collect::<Result<_, _>>()?,
    })
}

fn line(line: &Line) -> anyhow::Result<LineJson> {
    let of = |which: fn((f64, f64)) -> f64| {
        array(
            line.envelope
                .iter()
                .map(move |v| v.map_or("null".to_owned(), |v| number(which(v)))),
        )
    };
    Ok(LineJson {
        name: text(&line.name),
        of: text(&line.of),
        role: match line.role {
            Role::Value => "value",
            Role::Reference => "reference",
        },
        hi: of(|v| v.1)?,
        lo: if single(&line.envelope) {
            None
        } else {
            Some(of(|v| v.0)?)
        },
    })
}

/// Whether each bucket has but one value.
fn single(envelope: &Envelope) -> bool {
    envelope
        .iter()
        .flatten()
        .all(|(low, high)| number(low) == number(high))
}

fn text(text: &str) -> String {
    clean(text, false).into_owned()
}

fn array(items: impl Iterator<Item = String>) -> anyhow::Result<Box<RawValue>> {
    let items: Vec<String> = items.collect();
    Ok(RawValue::from_string(format!("[{}]", items.join(",")))?)
}

/// A finite number in JSON, to five digits and as short as it goes: a picture shows no more.
fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{value:.4e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_end_matches('0');
    let sign = if value < 0.0 { "-" } else { "" };
    // The number is digits · 10^power.
    let power = exponent + 1 - i32::try_from(digits.len()).unwrap_or(0);
    match power {
        0 => format!("{sign}{digits}"),
        1 | 2 => format!(
            "{sign}{digits}{}",
            "0".repeat(power.unsigned_abs() as usize)
        ),
        _ if power < 0 && exponent >= 0 => {
            let (whole, rest) = digits.split_at(exponent.unsigned_abs() as usize + 1);
            format!("{sign}{whole}.{rest}")
        }
        _ => format!("{sign}{digits}e{power}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_json() {
        for (value, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (123_456_789.0, "12346e4"),
            (1_000_000.0, "1e6"),
            (1200.0, "1200"),
            (0.000_123_456, "12346e-8"),
            (42.195, "42.195"),
            (1e-300, "1e-300"),
            (9.223_372_036_854_776e18, "92234e14"),
        ] {
            assert_eq!(number(value), expected);
            let back: f64 = serde_json::from_str(expected).unwrap();
            assert!((back - value).abs() <= value.abs() * 5e-5, "{value}");
        }
    }
}
