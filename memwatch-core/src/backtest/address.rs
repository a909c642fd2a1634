//! How users point at an alert or an incident of an outcome.

use super::outcome::Outcome;

/// What somebody pointed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressed {
    /// An alert: index in [`Outcome::alerts`].
    Alert(usize),
    /// An incident: index in [`super::Scored::incidents`].
    Incident(usize),
}

/// Finds what `text` points at: the id of an alert (also its beginning, from four digits on), or an incident as `KIND`, `KIND@SERVICE`,
/// or either with `#N` for the `N`th of several in the order of the output, counted from 1.
///
/// # Errors
/// What there is instead, when nothing or several fit.
pub fn find(outcome: &Outcome, text: &str) -> Result<Addressed, String> {
    let text = text.trim();
    let alerts = || outcome.alerts.iter().enumerate();
    if text.len() >= 4 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        let found: Vec<usize> = alerts()
            .filter(|(_, a)| a.id.starts_with(text))
            .map(|(i, _)| i)
            .collect();
        match found.as_slice() {
            [one] => return Ok(Addressed::Alert(*one)),
            [] => {}
            several => return Err(format!("{} alerts whose id begins so", several.len())),
        }
    }
    let Some(scored) = &outcome.score else {
        return Err("no such alert, and no incidents are known".to_owned());
    };
    let (name, number) = match text.rsplit_once('#') {
        Some((name, number)) => (name, number.parse::<usize>().ok()),
        None => (text, None),
    };
    let (kind, service) = match name.split_once('@') {
        Some((kind, service)) => (kind, Some(service)),
        None => (name, None),
    };
    let found: Vec<usize> = (0..scored.incidents.len())
        .filter(|i| {
            let incident = &scored.incidents[*i].incident;
            *incident.kind == *kind && service.is_none_or(|s| *incident.service == *s)
        })
        .collect();
    match (found.as_slice(), number) {
        ([one], None) => Ok(Addressed::Incident(*one)),
        ([], _) => Err(format!(
            "no such alert or incident; incidents: {}",
            known(outcome)
        )),
        (all, Some(number)) => match number.checked_sub(1).and_then(|i| all.get(i)) {
            Some(one) => Ok(Addressed::Incident(*one)),
            None => Err(format!("{} incidents of {name}", all.len())),
        },
        (all, None) => Err(format!(
            "{} incidents of {name}: {name}#1 to {name}#{}",
            all.len(),
            all.len()
        )),
    }
}

/// How each incident of an outcome is pointed at, in the order of the output: `KIND@SERVICE`, with `#N` where there are several.
#[must_use]
pub fn addresses(outcome: &Outcome) -> Vec<String> {
    let incidents = outcome.score.as_ref().map_or(&[][..], |s| &s.incidents);
    let same = |a: usize, b: usize| {
        let (a, b) = (&incidents[a].incident, &incidents[b].incident);
        (&a.kind, &a.service) == (&b.kind, &b.service)
    };
    (0..incidents.len())
        .map(|i| {
            let incident = &incidents[i].incident;
            let of: Vec<usize> = (0..incidents.len()).filter(|j| same(i, *j)).collect();
            let name = format!("{}@{}", incident.kind, incident.service);
            match of.iter().position(|j| *j == i) {
                Some(place) if of.len() > 1 => format!("{name}#{}", place + 1),
                _ => name,
            }
        })
        .collect()
}

fn known(outcome: &Outcome) -> String {
    let all = addresses(outcome);
    let shown: Vec<&str> = all.iter().take(12).map(String::as_str).collect();
    match (shown.is_empty(), all.len() - shown.len()) {
        (true, _) => "none".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::Backtest;
    use crate::incident::{Incident, Verdict};
    use crate::rule::RuleFile;
    use crate::series::{MemorySeries, Series};
    use crate::{TimeRange, Timestamp};

    fn outcome() -> Outcome {
        let file = RuleFile::from_toml(
            "t.toml",
            "[[group]]\nname = \"g\"\n[[group.rule]]\nalert = \"A\"\nexpr = \"x > 1\"\n",
        )
        .unwrap();
        let second = 1_000_000_000;
        let range = |a: i64, b: i64| TimeRange {
            start: Timestamp(a * second),
            end: Timestamp(b * second),
        };
        let incident = |service: &str, kind: &str, at: i64| Incident {
            service: service.into(),
            instance: "i".into(),
            kind: kind.into(),
            range: range(at, at + 2),
            detail: "".into(),
            impact: None,
            verdict: Verdict::Wrong,
        };
        let recording = MemorySeries {
            series: vec![Series {
                labels: [("__name__", "x"), ("service", "api")]
                    .into_iter()
                    .collect(),
                at_ns: (0..10).map(|i| i * second).collect(),
                values: [0., 0., 5., 0., 0., 0., 0., 0., 0., 0.].into(),
            }],
        };
        Backtest::new(&file)
            .range(range(0, 10))
            .incidents(vec![
                incident("api", "step", 2),
                incident("web", "step", 2),
                incident("api", "leak", 5),
                incident("api", "leak", 8),
            ])
            .run(&recording)
            .unwrap()
    }

    #[test]
    fn alerts_and_incidents_are_pointed_at() {
        let outcome = outcome();
        let id = &outcome.alerts[0].id;
        assert_eq!(find(&outcome, id), Ok(Addressed::Alert(0)));
        assert_eq!(find(&outcome, &id[..6]), Ok(Addressed::Alert(0)));
        let all = addresses(&outcome);
        assert_eq!(all, ["step@api", "leak@api#1", "leak@api#2", "step@web"]);
        for (i, address) in all.iter().enumerate() {
            assert_eq!(
                find(&outcome, address),
                Ok(Addressed::Incident(i)),
                "{address}"
            );
        }
        assert_eq!(find(&outcome, "step#2"), Ok(Addressed::Incident(3)));
        for (text, expected) in [
            ("step", "2 incidents of step: step#1 to step#2"),
            ("leak@api#3", "2 incidents of leak@api"),
            (
                "oom",
                "no such alert or incident; incidents: step@api, leak@api#1",
            ),
        ] {
            let error = find(&outcome, text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
