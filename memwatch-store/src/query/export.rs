//! Answers as files for other programs.

use std::io::Write;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::{Error, Result};

/// Writes an answer as one Parquet file.
///
/// # Errors
/// When the query fails, takes too long, or `to` cannot be written.
pub fn write_parquet(
    schema: &SchemaRef,
    rows: impl IntoIterator<Item = Result<RecordBatch>>,
    to: impl Write + Send,
) -> Result<()> {
    let failed = |source| Error::Parquet {
        path: Path::new("the answer").to_path_buf(),
        source,
    };
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut writer = ArrowWriter::try_new(to, schema.clone(), Some(properties)).map_err(failed)?;
    for batch in rows {
        writer.write(&batch?).map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    Ok(())
}
