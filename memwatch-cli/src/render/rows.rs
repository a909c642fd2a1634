//! Rows of a query in each format, streamed.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::csv;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;
use arrow::json::writer::{JsonArray, JsonFormat, LineDelimited, WriterBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::Output;
use super::table::{Column, Style, draw};
use crate::args::RowFormat;
use crate::commands::say;

/// A part of an answer, or why it ends.
type Batch = memwatch_store::Result<RecordBatch>;

/// RFC 3339, UTC, microseconds: what `--from` and `--to` take.
const TIME: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

/// Writes the answer to a query. Tables for people stop after `rows_max` rows (0: never) and say so.
pub fn write(
    rows: impl Iterator<Item = Batch>,
    schema: &SchemaRef,
    format: RowFormat,
    rows_max: usize,
    out: &mut Output,
) -> anyhow::Result<()> {
    match format {
        RowFormat::Table => table(rows, schema, rows_max, Style::Plain, out),
        RowFormat::Markdown => table(rows, schema, 0, Style::Markdown, out),
        RowFormat::Csv => separated(rows, schema, b',', out),
        RowFormat::Tsv => separated(rows, schema, b'\t', out),
        RowFormat::Json => {
            let written = json::<JsonArray, _>(rows, out)?;
            if written == 0 {
                writeln!(out, "[]")?;
            } else {
                writeln!(out)?;
            }
            Ok(())
        }
        RowFormat::Ndjson => json::<LineDelimited, _>(rows, out).map(|_| ()),
        RowFormat::Parquet => {
            memwatch_store::query::write_parquet(schema, rows, out).map_err(Into::into)
        }
        RowFormat::Arrow => {
            let mut writer = StreamWriter::try_new(&mut *out, schema)?;
            for batch in rows {
                writer.write(&batch?)?;
            }
            writer.finish()?;
            Ok(())
        }
    }
}

fn options<'a>() -> FormatOptions<'a> {
    FormatOptions::new()
        .with_display_error(true)
        .with_timestamp_format(Some(TIME))
        .with_timestamp_tz_format(Some(TIME))
}

fn table(
    rows: impl Iterator<Item = Batch>,
    schema: &SchemaRef,
    rows_max: usize,
    style: Style,
    out: &mut Output,
) -> anyhow::Result<()> {
    let columns: Vec<Column> = schema
        .fields()
        .iter()
        .map(|f| Column {
            name: f.name().clone(),
            numeric: f.data_type().is_numeric(),
        })
        .collect();
    let mut cells: Vec<Vec<String>> = Vec::new();
    let mut more = false;
    'rows: for batch in rows {
        let batch = batch?;
        let format = options().with_null("NULL");
        let formatters = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &format))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            if rows_max > 0 && cells.len() == rows_max {
                more = true;
                break 'rows;
            }
            cells.push(
                formatters
                    .iter()
                    .map(|f| f.value(row).to_string())
                    .collect(),
            );
        }
    }
    write!(out, "{}", draw(&columns, &cells, style))?;
    out.flush()?;
    if more {
        say(&format!(
            "only the first {rows_max} rows: --max-rows 0 prints all, --format csv streams"
        ));
    }
    Ok(())
}

fn separated(
    rows: impl Iterator<Item = Batch>,
    schema: &SchemaRef,
    delimiter: u8,
    out: &mut Output,
) -> anyhow::Result<()> {
    let mut writer = csv::WriterBuilder::new()
        .with_header(true)
        .with_delimiter(delimiter)
        .with_timestamp_format(TIME.to_owned())
        .with_timestamp_tz_format(TIME.to_owned())
        .build(&mut *out);
    let mut empty = true;
    for batch in rows {
        writer.write(&flat(&batch?)?)?;
        empty = false;
    }
    if empty {
        writer.write(&flat(&RecordBatch::new_empty(schema.clone()))?)?;
    }
    Ok(())
}

/// Lists and structs as the text that tables show: separated values have no other form for them.
fn flat(batch: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let options = options();
    let mut columns: Vec<(String, ArrayRef, bool)> = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let column = if field.data_type().is_nested() {
            let texts = ArrayFormatter::try_new(column.as_ref(), &options)?;
            let text = |row| column.is_valid(row).then(|| texts.value(row).to_string());
            Arc::new(StringArray::from_iter((0..column.len()).map(text))) as ArrayRef
        } else {
            Arc::clone(column)
        };
        columns.push((field.name().clone(), column, field.is_nullable()));
    }
    if columns.is_empty() {
        return Ok(batch.clone());
    }
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

/// Says how many rows it wrote.
fn json<F: JsonFormat, R: Iterator<Item = Batch>>(
    rows: R,
    out: &mut Output,
) -> anyhow::Result<usize> {
    let mut writer = WriterBuilder::new()
        .with_explicit_nulls(true)
        .with_timestamp_format(TIME.to_owned())
        .with_timestamp_tz_format(TIME.to_owned())
        .build::<_, F>(&mut *out);
    let mut written = 0;
    for batch in rows {
        let batch = batch?;
        written += batch.num_rows();
        writer.write(&batch)?;
    }
    if written > 0 {
        writer.finish()?;
    }
    Ok(written)
}
