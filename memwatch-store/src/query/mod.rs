//! SQL over a snapshot, through DataFusion. The only place that knows of it and of async; everything here blocks.
//!
//! Read-only by construction: there is no catalog but the store's tables, statements other than questions are refused before and after
//! planning, nothing takes a path, and settings cannot be changed. Long statements, deep expressions, oversized strings, memory and time
//! are bounded.
//!
//! ```
//! # use memwatch_store::{Store, query::Engine};
//! # fn main() -> memwatch_store::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! let store = Store::create(dir.path())?;
//! let engine = Engine::new(&store.snapshot()?)?;
//! for batch in engine.sql("SELECT service, count(*) FROM samples GROUP BY service")? {
//!     println!("{} rows", batch?.num_rows());
//! }
//! # Ok(())
//! # }
//! ```

mod bounded;
mod catalog;
mod engine;
mod export;
mod files;
mod functions;
mod guard;
mod message;
mod rows;
mod table;
mod views;

pub use engine::{Engine, Settings};
pub use export::write_parquet;
pub use functions::{SQL_FUNCTIONS, SqlFunction, markdown as functions_markdown};
pub use guard::{DEPTH_MAX, SQL_BYTES_MAX};
pub use rows::Rows;

use crate::Error;

/// The views beside the stored tables: name, and what one row is.
pub fn views() -> impl Iterator<Item = (&'static str, &'static str)> {
    let own = views::VIEWS.iter().filter(|view| view.covers.is_none());
    own.map(|view| (view.name, view.about))
}

fn sql_error(message: String) -> Error {
    Error::Sql { message }
}
