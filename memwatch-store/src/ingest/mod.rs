//! Recordings → rows: files, folders, patterns and standard input, recognized from content, read in bounded memory.
//!
//! ```no_run
//! # fn main() -> memwatch_store::Result<()> {
//! use memwatch_store::{Store, ingest::Ingest};
//!
//! let store = Store::create("data")?;
//! let report = Ingest::new(&store).inputs(["recordings/", "extra/*.log.gz"]).run()?;
//! println!("{} new rows, {} rejected", report.new_rows(), report.rejected());
//! for (input, why) in report.failures() {
//!     eprintln!("{}: {why}", input.input);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What a line does not say comes from its folder: whose it is from `labels.json` or a samples recording, when a process began
//! (for gctrace) from the same, when a dump was taken from the heap profile of the same tag. Nothing is invented: what cannot be known
//! is rejected with advice.

mod builder;
mod content;
mod context;
mod inputs;
mod open;
mod report;
mod run;
mod sink;

pub use builder::{Ingest, OnError, Progress, find, formats};
pub use content::Compression;
pub(crate) use content::Content;
pub use inputs::InputError;
pub use open::open_or_ingest;
pub use report::{IngestReport, InputReport, Outcome};

use std::collections::BTreeMap;
use std::time::Instant;

use crate::Result;
use crate::manifest::SourceIdentity;
use crate::schema::Table;
use crate::writer::{RowCounts, Writer};

/// What was committed, and what waits for it.
#[derive(Debug)]
struct Tally {
    /// Rows by input and table, of all commits so far.
    rows: BTreeMap<(u32, Table), RowCounts>,
    /// Rows since the last commit.
    uncommitted: u64,
    /// Inputs taken whole since the last commit.
    whole: Vec<SourceIdentity>,
    version: u64,
    committed_at: Instant,
}

impl Tally {
    fn new() -> Tally {
        Tally {
            rows: BTreeMap::new(),
            uncommitted: 0,
            whole: Vec::new(),
            version: 0,
            committed_at: Instant::now(),
        }
    }

    fn commit(&mut self, writer: &mut Writer) -> Result<()> {
        let done = writer.commit(&self.whole)?;
        for (key, counts) in done.rows {
            let sum = self.rows.entry(key).or_default();
            sum.new += counts.new;
            sum.duplicate += counts.duplicate;
            sum.replaced += counts.replaced;
        }
        self.whole.clear();
        self.uncommitted = 0;
        self.version = done.version;
        self.committed_at = Instant::now();
        Ok(())
    }
}
