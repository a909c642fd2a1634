//! What one setting of one rule did over a recording: which incidents it hit, and when it was wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Nanos;
use crate::backtest::Alert;
use crate::backtest::score::{AlertVerdict, Matching, firings};
use crate::backtest::sightings::{Spans, Who};

use super::search::Figures;
use super::split::{Reach, Stretch};

/// What one setting of one rule did.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Track {
    /// For each incident whether it was hit.
    hit: Vec<bool>,
    /// Each false alert: whose, and when.
    wrong: Vec<(Arc<str>, i64)>,
}

impl Track {
    /// Of the alerts of one setting, in the order of firing.
    pub(super) fn of(alerts: &[Alert], matching: &Matching<'_>, grace: Nanos) -> Track {
        let mut track = Track {
            hit: vec![false; matching.incidents.len()],
            wrong: Vec::new(),
        };
        for firing in firings(alerts, &matching.services) {
            match matching.judge(&firing, grace, &track.hit) {
                AlertVerdict::True(i) => track.hit[i] = true,
                verdict if verdict.is_false() => {
                    if let Some(service) = firing.service {
                        track.wrong.push((service, firing.fired_at.0));
                    }
                }
                _ => {}
            }
        }
        track
    }
}

/// What the tracks are judged by.
pub(super) struct Ground<'g> {
    pub(super) matching: &'g Matching<'g>,
    /// For each incident when an alert counts for it.
    pub(super) reaches: &'g [Reach],
    pub(super) alive: &'g BTreeMap<Who, Spans>,
}

impl Ground<'_> {
    /// What these rules together did in a stretch. Incidents that lie in it only in part count for nothing.
    pub(super) fn judge(&self, tracks: &[&Track], stretch: &Stretch) -> Figures {
        let mut figures = Figures {
            days: stretch.recorded(self.alive, self.matching) as f64 / 86_400e9,
            ..Figures::default()
        };
        for (i, reach) in self.reaches.iter().enumerate() {
            if !reach.lies_in(stretch) {
                continue;
            }
            let hit = tracks.iter().any(|track| track.hit[i]);
            figures.true_alerts += u64::from(hit);
            figures.incidents += u64::from(reach.meant);
            figures.hit += u64::from(reach.meant && hit);
        }
        for track in tracks {
            let inside = |wrong: &&(Arc<str>, i64)| stretch.holds(&wrong.0, wrong.1);
            figures.false_alerts += track.wrong.iter().filter(inside).count() as u64;
        }
        figures
    }
}
