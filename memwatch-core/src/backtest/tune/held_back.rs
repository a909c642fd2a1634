//! A recording of which the end is hidden: so that a search cannot see what it will be tested on.

use std::sync::Arc;

use crate::backtest::sightings::who;
use crate::series::{Readings, Series, SeriesReader};
use crate::{Matcher, Result, Window};

use super::split::Cut;

/// Gives of each service only what lies before a cut.
pub(super) struct HeldBack<'r> {
    pub(super) base: &'r dyn SeriesReader,
    pub(super) cut: &'r Cut,
}

impl SeriesReader for HeldBack<'_> {
    fn select(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Series>> {
        let mut found = self.base.select(matchers, window)?;
        for series in &mut found {
            let end = self.cut.of(&who(&series.labels).0);
            let kept = series.at_ns.partition_point(|at| *at < end);
            if kept < series.at_ns.len() {
                series.at_ns = series.at_ns[..kept].into();
                series.values = series.values[..kept].into();
            }
        }
        found.retain(|s| !s.at_ns.is_empty());
        Ok(found)
    }

    fn readings(&self, window: Window) -> Result<Option<Vec<Readings>>> {
        let Some(mut found) = self.base.readings(window)? else {
            return Ok(None);
        };
        for readings in &mut found {
            let end = self.cut.of(&readings.of.service);
            let kept = readings.at_ns.partition_point(|at| *at < end);
            if kept < readings.at_ns.len() {
                readings.at_ns = readings.at_ns[..kept].into();
            }
        }
        Ok(Some(found))
    }

    fn metric_names(&self) -> Result<Vec<Arc<str>>> {
        self.base.metric_names()
    }
}
