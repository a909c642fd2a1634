//! A store, or recordings as one.

use std::path::Path;

use super::{Ingest, IngestReport};
use crate::{Result, Store};

/// Opens `data` when it is a store. When it is a folder (or file) of raw recordings, reads it into a new store in `scratch` first.
///
/// `scratch` is made when it is missing and must be empty; whoever gave it removes it. `configure` sets what the recordings do not say
/// of themselves; it is called only when there is something to ingest.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use memwatch_store::ingest::open_or_ingest;
/// let scratch = tempfile::tempdir()?;
/// let (store, report) = open_or_ingest("recordings/".as_ref(), scratch.path(), |ingest| ingest)?;
/// if let Some(report) = report {
///     eprintln!("{} rows", report.new_rows());
/// }
/// # let _ = store; Ok(())
/// # }
/// ```
///
/// # Errors
/// When there is nothing, or a store that cannot be opened; when ingesting fails as a whole. Inputs that fail are in the report.
pub fn open_or_ingest<'a>(
    data: &Path,
    scratch: &Path,
    configure: impl FnOnce(Ingest<'a>) -> Ingest<'a>,
) -> Result<(Store, Option<IngestReport>)> {
    if Store::is_store(data) || !data.exists() {
        return Ok((Store::open(data)?, None));
    }
    let store = Store::create(scratch)?;
    let ingest = Ingest::new(&store).inputs([data.display().to_string()]);
    let report = configure(ingest).run()?;
    Ok((store, Some(report)))
}
