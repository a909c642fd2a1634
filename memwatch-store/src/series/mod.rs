//! The store as series, for expressions.

use std::sync::Arc;

use memwatch_core::series::{Series, SeriesReader};
use memwatch_core::{Matcher, Window};

use crate::Snapshot;

/// Series over a snapshot.
pub struct StoreSeries {
    _snapshot: Snapshot,
}

impl StoreSeries {
    pub(crate) fn new(snapshot: Snapshot) -> StoreSeries {
        StoreSeries {
            _snapshot: snapshot,
        }
    }
}

impl SeriesReader for StoreSeries {
    fn select(&self, _: &[Matcher], _: Window) -> memwatch_core::Result<Vec<Series>> {
        Ok(Vec::new())
    }

    fn metric_names(&self) -> memwatch_core::Result<Vec<Arc<str>>> {
        Ok(Vec::new())
    }
}
