//! What was recorded, without values: the names of quantities, and when processes were read.

use std::sync::Arc;

use memwatch_core::Window;
use memwatch_core::record::Identity;
use memwatch_core::series::Readings;

use super::StoreSeries;
use crate::Result;

impl StoreSeries {
    /// The names of all quantities, sorted: each once, under its main name.
    ///
    /// # Errors
    /// When the data cannot be read.
    pub fn quantities(&self) -> Result<Vec<Arc<str>>> {
        let all = self.names()?.into_iter();
        Ok(all
            .filter(|(_, main)| *main)
            .map(|(name, _)| name)
            .collect())
    }

    /// Of each process the instants of its samples, and of the recorded series that was read most often: one stands for all, since what
    /// is scraped is scraped at once, and thousands of series would have to be read otherwise.
    pub(super) fn read_times(&self, window: Window) -> Result<Vec<Readings>> {
        let sampled: Vec<&Identity> = self.sampled.iter().collect();
        let (frames, _) = self.frames(&sampled, window, &[])?;
        let mut found: Vec<Readings> = sampled
            .into_iter()
            .zip(frames)
            .map(|(of, frame)| readings(of, "samples", &frame.at_ns))
            .collect();
        for (of, at_ns) in self.catalog()?.instants(window)? {
            found.push(readings(&of, "metrics", &at_ns));
        }
        found.retain(|readings| !readings.at_ns.is_empty());
        found.sort_by(|a, b| (&a.of, &a.what).cmp(&(&b.of, &b.what)));
        Ok(found)
    }
}

fn readings(of: &Identity, what: &str, at_ns: &Arc<[i64]>) -> Readings {
    Readings {
        of: of.clone(),
        what: what.into(),
        at_ns: Arc::clone(at_ns),
    }
}
