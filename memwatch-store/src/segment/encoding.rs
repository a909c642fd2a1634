//! How each column of a table is written.

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::{ROWS_PER_GROUP, ROWS_PER_PAGE};
use crate::schema::{ColumnEncoding, Table};

/// How hard a segment is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// A first flush: the least time.
    Flush,
    /// What stays: 4 % fewer bytes than a flush.
    Compacted,
}

impl Effort {
    /// The level of ZSTD.
    fn level(self) -> i32 {
        match self {
            Effort::Flush => 1,
            Effort::Compacted => 9,
        }
    }
}

/// The writer's settings for a table.
pub(super) fn properties(table: Table, effort: Effort) -> WriterProperties {
    let def = table.def();
    let sorting = def.key.iter().filter_map(|name| {
        let column_idx = i32::try_from(def.index_of(name)?).ok()?;
        Some(SortingColumn {
            column_idx,
            descending: false,
            nulls_first: true,
        })
    });
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_created_by(concat!("memwatch version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(
            ZstdLevel::try_new(effort.level()).unwrap_or_default(),
        ))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_data_page_row_count_limit(ROWS_PER_PAGE)
        .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
        .set_sorting_columns(Some(sorting.collect()));
    for column in def.columns {
        let path = ColumnPath::from(column.name);
        let encoding = match column.encoding {
            ColumnEncoding::Dictionary => {
                builder = builder.set_column_dictionary_enabled(path, true);
                continue;
            }
            ColumnEncoding::Delta => Encoding::DELTA_BINARY_PACKED,
            ColumnEncoding::ByteStreamSplit => Encoding::BYTE_STREAM_SPLIT,
            ColumnEncoding::Plain => Encoding::PLAIN,
            ColumnEncoding::DeltaText => Encoding::DELTA_BYTE_ARRAY,
        };
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, encoding);
    }
    builder.build()
}
