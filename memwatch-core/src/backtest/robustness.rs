//! How much of a result is luck: the same rules at other phases, on a coarser sampling, with lost samples.

use std::sync::Arc;

use crate::series::SeriesReader;
use crate::{Error, Nanos, Result};

use super::Backtest;
use super::degraded::Degraded;
use super::outcome::{Alert, Outcome};

/// What is changed from run to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Disturbance {
    /// How many runs; run k of n is evaluated k/n of each group's interval later, and loses other samples.
    pub runs: u32,
    /// One sample for each stretch of this length.
    pub thin: Option<Nanos>,
    /// Share of samples that are lost, from 0 to 1.
    pub drop: f64,
}

/// What became of alerts and incidents in the disturbed runs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Robustness {
    /// What was changed.
    pub disturbance: Disturbance,
    /// Each run.
    pub runs: Vec<Disturbed>,
    /// For each alert of the undisturbed run in how many runs its rule fired for the same labels while it was active.
    pub alerts: Vec<u32>,
    /// For each incident of the undisturbed run.
    pub incidents: Vec<RobustIncident>,
}

/// One disturbed run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Disturbed {
    /// How many alerts fired.
    pub alerts: u64,
    /// Of these, false ones; `None` without incidents.
    pub false_alerts: Option<u64>,
    /// Incidents caught.
    pub hit: Option<u64>,
    /// Share of incidents caught.
    pub recall: Option<f64>,
    /// Share of alerts that were right.
    pub precision: Option<f64>,
}

/// What became of an incident.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RobustIncident {
    /// Its id.
    pub id: Arc<str>,
    /// In how many runs any rule caught it.
    pub caught: u32,
    /// Each rule that caught it in any run, undisturbed or not.
    pub rules: Vec<RobustRule>,
}

/// What a rule did about an incident.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RobustRule {
    /// Index in [`Outcome::rules`].
    pub rule: usize,
    /// Whether it caught the incident undisturbed.
    pub undisturbed: bool,
    /// In how many runs it caught it.
    pub caught: u32,
    /// The shortest and the longest delay after the start.
    pub delay: Option<(Nanos, Nanos)>,
}

impl Backtest<'_> {
    /// Repeats the backtest disturbed, and compares with `undisturbed`, which it gave before.
    ///
    /// # Errors
    /// When nothing is asked for, a share is none, or as [`Backtest::run`].
    pub fn robustness(
        &self,
        reader: &dyn SeriesReader,
        disturbance: Disturbance,
        undisturbed: &Outcome,
    ) -> Result<Robustness> {
        let thins = disturbance.thin.is_none_or(|thin| thin.0 > 0);
        if disturbance.runs == 0 || !thins || !(0.0..=1.0).contains(&disturbance.drop) {
            return Err(Error::Value {
                expected: "at least one run, a sampling of more than 0 and a share from 0 to 1",
                found: format!("{disturbance:?}"),
            });
        }
        let known = undisturbed.score.as_ref();
        let mut found = Robustness {
            disturbance,
            runs: Vec::new(),
            alerts: vec![0; undisturbed.alerts.len()],
            incidents: known.map_or_else(Vec::new, |scored| {
                let of = |incident: &super::IncidentOutcome| RobustIncident {
                    id: incident.id.clone(),
                    caught: 0,
                    rules: incident
                        .detected_by
                        .iter()
                        .map(|d| RobustRule {
                            rule: d.rule,
                            undisturbed: true,
                            caught: 0,
                            delay: None,
                        })
                        .collect(),
                };
                scored.incidents.iter().map(of).collect()
            }),
        };
        for run in 0..disturbance.runs {
            let mut file = self.rules.clone();
            for group in &mut file.groups {
                let interval = group.interval.unwrap_or(self.interval);
                let later = i64::from(run) * (interval.0 / i64::from(disturbance.runs));
                let phase = group.phase.unwrap_or(self.phase);
                group.phase = Some(Nanos(phase.0.saturating_add(later)));
            }
            let mut backtest = Backtest {
                rules: &file,
                ..self.clone()
            };
            // What is sent is not compared, and nothing is compared with it.
            backtest.notifications = Some(Arc::default());
            backtest.compared = false;
            let degraded = Degraded {
                base: reader,
                thin: disturbance.thin,
                drop: disturbance.drop,
                seed: u64::from(run),
            };
            found.note(&backtest.run(&degraded)?, undisturbed);
        }
        Ok(found)
    }
}

impl Robustness {
    fn note(&mut self, run: &Outcome, undisturbed: &Outcome) {
        let scored = run.score.as_ref();
        self.runs.push(Disturbed {
            alerts: run.alerts.len() as u64,
            false_alerts: scored.map(|s| s.all.false_alerts),
            hit: scored.map(|s| s.all.hit),
            recall: scored.and_then(|s| s.all.recall),
            precision: scored.and_then(|s| s.all.precision),
        });
        for (count, alert) in self.alerts.iter_mut().zip(&undisturbed.alerts) {
            *count += u32::from(run.alerts.iter().any(|other| is_the_same(alert, other)));
        }
        let Some(scored) = scored else { return };
        for incident in &scored.incidents {
            let Some(of) = self.incidents.iter_mut().find(|i| i.id == incident.id) else {
                continue;
            };
            of.caught += u32::from(!incident.detected_by.is_empty());
            for hit in &incident.detected_by {
                let known = of.rules.iter().position(|rule| rule.rule == hit.rule);
                let known = known.unwrap_or_else(|| {
                    of.rules.push(RobustRule {
                        rule: hit.rule,
                        undisturbed: false,
                        caught: 0,
                        delay: None,
                    });
                    of.rules.len() - 1
                });
                let rule = &mut of.rules[known];
                rule.caught += 1;
                rule.delay = Some(match rule.delay {
                    None => (hit.delay, hit.delay),
                    Some((least, most)) => (least.min(hit.delay), most.max(hit.delay)),
                });
            }
        }
    }
}

/// Whether two alerts of two runs tell of the same: one rule, the same labels, active at the same time.
fn is_the_same(a: &Alert, b: &Alert) -> bool {
    let over = |alert: &Alert| alert.ended.at().map_or(i64::MAX, |at| at.0);
    a.rule == b.rule
        && a.labels == b.labels
        && a.pending_at.0 <= over(b)
        && b.pending_at.0 <= over(a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::{Incident, Verdict};
    use crate::rule::RuleFile;
    use crate::series::{MemorySeries, Series};
    use crate::{TimeRange, Timestamp};

    const MS: i64 = 1_000_000;

    #[test]
    fn a_rule_that_hangs_on_its_phase_is_told() {
        // High from 10.0 to 10.3 s: of four phases of a second one looks in between.
        let file = RuleFile::from_toml(
            "r.toml",
            "[[group]]\nname = \"g\"\n[[group.rule]]\nalert = \"High\"\nexpr = \"x > 5\"\n",
        )
        .unwrap();
        let at: Vec<i64> = (0..200).map(|i| i * 100 * MS).collect();
        let value = |at: &i64| {
            if (10_000..10_300).contains(&(at / MS)) {
                9.0
            } else {
                1.0
            }
        };
        let reader = MemorySeries {
            series: vec![Series {
                labels: [("__name__", "x"), ("service", "a")].into_iter().collect(),
                values: at.iter().map(value).collect(),
                at_ns: at.into(),
            }],
        };
        let incident = Incident {
            service: "a".into(),
            instance: "".into(),
            kind: "spike".into(),
            range: TimeRange {
                start: Timestamp(10_000 * MS),
                end: Timestamp(10_300 * MS),
            },
            impact: None,
            detail: "".into(),
            verdict: Verdict::Wrong,
        };
        let backtest = Backtest::new(&file)
            .range(TimeRange {
                start: Timestamp(0),
                end: Timestamp(20_000 * MS),
            })
            .incidents(vec![incident]);
        let outcome = backtest.run(&reader).unwrap();
        let disturbed = |runs: u32, thin: Option<i64>, drop: f64| {
            let thin = thin.map(|ms| Nanos(ms * MS));
            let disturbance = Disturbance { runs, thin, drop };
            let found = backtest.robustness(&reader, disturbance, &outcome).unwrap();
            (
                found.alerts[0],
                found.incidents[0].caught,
                found.incidents[0].rules[0].delay,
            )
        };
        assert_eq!(disturbed(1, None, 0.0), (1, 1, Some((Nanos(0), Nanos(0)))));
        // At 10.0 and 10.25 s, not at 10.5 and 10.75 s.
        assert_eq!(
            disturbed(4, None, 0.0),
            (2, 2, Some((Nanos(0), Nanos(250 * MS))))
        );
        // Seen once in four seconds, at 8.0 and 12.0 s, it is not seen at all.
        assert_eq!(disturbed(4, Some(4_000), 0.0), (0, 0, None));
        assert_eq!(disturbed(2, None, 1.0).1, 0);
        let none = Disturbance {
            runs: 0,
            thin: None,
            drop: 0.0,
        };
        assert!(backtest.robustness(&reader, none, &outcome).is_err());
    }
}
