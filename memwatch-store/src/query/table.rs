//! One table of the store as DataFusion sees it: files, rows and ranges come from the manifest.
//!
//! Nothing is listed and no footer is read to plan. A scan becomes plain Parquet file groups, so that an engine which distributes
//! plans can carry them away.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, StringViewArray, TimestampMicrosecondArray, UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{
    Column, ColumnStatistics, DFSchema, DataFusionError, Result, ScalarValue, Statistics,
};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr, expressions};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use crate::Snapshot;
use crate::manifest::Segment;
use crate::schema::Table;

/// One table of one snapshot.
pub(crate) struct StoredTable {
    table: Table,
    schema: SchemaRef,
    snapshot: Snapshot,
    store_url: ObjectStoreUrl,
}

impl fmt::Debug for StoredTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.table.name(), self.snapshot.version())
    }
}

impl StoredTable {
    pub(crate) fn new(table: Table, snapshot: Snapshot, store_url: ObjectStoreUrl) -> StoredTable {
        StoredTable {
            table,
            schema: view_schema(&table.schema()),
            snapshot,
            store_url,
        }
    }

    /// The segments in which a row may satisfy the filters.
    fn prune(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<Arc<Segment>>> {
        let all = self.snapshot.segments(self.table);
        let Some(filter) = conjunction(filters.iter().cloned()) else {
            return Ok(all.to_vec());
        };
        let schema = DFSchema::try_from(Arc::clone(&self.schema))?;
        let filter = state.create_physical_expr(filter, &schema)?;
        // A filter that says nothing of the columns known here prunes nothing.
        let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(&self.schema));
        let Ok(predicate) = builder.try_build(filter) else {
            return Ok(all.to_vec());
        };
        let runs = Runs::new(all);
        let keep = predicate.prune(&runs)?;
        let kept: HashSet<usize> = runs
            .segment
            .iter()
            .zip(keep)
            .filter_map(|(segment, keep)| keep.then_some(*segment))
            .collect();
        Ok(all
            .iter()
            .enumerate()
            .filter(|(i, _)| kept.contains(i))
            .map(|(_, s)| Arc::clone(s))
            .collect())
    }

    /// Compares the checksums of segments that this process has not looked at yet: a damaged file is named, never half read.
    async fn verify(&self, segments: &[Arc<Segment>]) -> Result<()> {
        // Over a network what is read is compared on the way: row groups, not whole files.
        if self.snapshot.shared.storage.is_remote() {
            return Ok(());
        }
        let (snapshot, segments) = (self.snapshot.clone(), segments.to_vec());
        let verified = tokio::task::spawn_blocking(move || {
            segments.iter().try_for_each(|s| snapshot.verify_segment(s))
        });
        verified
            .await
            .map_err(|e| DataFusionError::External(Box::new(e)))?
            .map_err(|e| DataFusionError::External(Box::new(e)))
    }

    /// The order of every segment's rows, as far as its columns are never NULL.
    fn ordering(&self) -> Result<Option<LexOrdering>> {
        let sorted = self
            .table
            .def()
            .key
            .iter()
            .map_while(|name| {
                let (_, field) = self.schema.column_with_name(name)?;
                (!field.is_nullable()).then(|| expressions::col(name, &self.schema))
            })
            .map(|column| Ok(PhysicalSortExpr::new_default(column?)))
            .collect::<Result<Vec<_>>>()?;
        Ok(LexOrdering::new(sorted))
    }

    /// Indexes and footer are all that follows the row groups: read with the first request.
    fn file(&self, segment: &Segment) -> PartitionedFile {
        PartitionedFile::new(segment.path.to_string(), segment.bytes)
            .with_metadata_size_hint(usize::try_from(segment.footer.bytes).unwrap_or(0))
            .with_statistics(Arc::new(statistics(&self.schema, std::iter::once(segment))))
    }
}

#[async_trait::async_trait]
impl TableProvider for StoredTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(statistics(
            &self.schema,
            self.snapshot.segments(self.table).iter().map(AsRef::as_ref),
        ))
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let segments = self.prune(state, filters)?;
        if segments.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema.project(columns)?),
                None => Arc::clone(&self.schema),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        self.verify(&segments).await?;
        let groups = group(
            segments.iter().map(|s| self.file(s)).collect(),
            state.config().target_partitions(),
        );
        let mut config = FileScanConfigBuilder::new(
            self.store_url.clone(),
            Arc::new(
                ParquetSource::new(TableSchema::builder(Arc::clone(&self.schema)).build())
                    .with_table_parquet_options(state.table_options().parquet.clone())
                    .with_enable_page_index(true),
            ),
        )
        .with_statistics(statistics(&self.schema, segments.iter().map(AsRef::as_ref)))
        .with_projection_indices(projection.cloned())?
        .with_limit(limit);
        // Files of one group are read one after the other: only a group of one keeps the order of its file.
        if groups.iter().all(|g| g.len() == 1)
            && let Some(ordering) = self.ordering()?
        {
            config = config.with_output_ordering(vec![ordering]);
        }
        Ok(DataSourceExec::from_data_source(
            config.with_file_groups(groups).build(),
        ))
    }
}

/// Spreads files over at most `partitions` groups of about one size.
fn group(mut files: Vec<PartitionedFile>, partitions: usize) -> Vec<FileGroup> {
    let count = partitions.clamp(1, files.len().max(1));
    files.sort_by_key(|f| std::cmp::Reverse(f.object_meta.size));
    let mut groups: Vec<(u64, Vec<PartitionedFile>)> = vec![(0, Vec::new()); count];
    for file in files {
        if let Some(least) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            least.0 += file.object_meta.size.max(1);
            least.1.push(file);
        }
    }
    groups
        .into_iter()
        .filter(|(_, files)| !files.is_empty())
        .map(|(_, mut files)| {
            files.sort_by(|a, b| a.object_meta.location.cmp(&b.object_meta.location));
            FileGroup::new(files)
        })
        .collect()
}

/// The stored columns with text as views: 1.26 times faster where text is compared and passed on.
fn view_schema(stored: &Schema) -> SchemaRef {
    let fields = stored.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 => Field::new(field.name(), DataType::Utf8View, field.is_nullable()),
        _ => field.as_ref().clone(),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// What the manifest knows of some segments.
fn statistics<'a>(schema: &Schema, segments: impl Iterator<Item = &'a Segment>) -> Statistics {
    let mut rows = 0u64;
    let mut bytes = 0u64;
    let mut ts: Option<(i64, i64)> = None;
    let mut service: Option<(&str, &str)> = None;
    let mut instance: Option<(&str, &str)> = None;
    fn widen<T: Ord + Copy>(range: &mut Option<(T, T)>, low: T, high: T) {
        let (least, most) = range.unwrap_or((low, high));
        *range = Some((least.min(low), most.max(high)));
    }
    for segment in segments {
        rows += segment.rows;
        bytes += segment.bytes;
        widen(&mut ts, segment.min_us, segment.max_us);
        for run in &segment.instances {
            let of = &run.identity;
            widen(&mut service, &*of.service, &*of.service);
            widen(&mut instance, &*of.instance, &*of.instance);
        }
    }
    let time = |us| ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into()));
    let text = |text: &str| ScalarValue::Utf8View(Some(text.to_owned()));
    let known = |range: Option<(ScalarValue, ScalarValue)>| {
        let mut column = ColumnStatistics::new_unknown();
        column.null_count = Precision::Exact(0);
        if let Some((least, most)) = range {
            column.min_value = Precision::Exact(least);
            column.max_value = Precision::Exact(most);
        }
        column
    };
    Statistics {
        num_rows: Precision::Exact(usize::try_from(rows).unwrap_or(usize::MAX)),
        total_byte_size: Precision::Inexact(usize::try_from(bytes).unwrap_or(usize::MAX)),
        column_statistics: schema
            .fields()
            .iter()
            .map(|field| match field.name().as_str() {
                "ts" => known(ts.map(|(a, b)| (time(a), time(b)))),
                "service" => known(service.map(|(a, b)| (text(a), text(b)))),
                "instance" => known(instance.map(|(a, b)| (text(a), text(b)))),
                _ => ColumnStatistics::new_unknown(),
            })
            .collect(),
    }
}

/// The rows of each instance in each segment: what filters are held against. A filter on service, instance and time at once keeps a
/// segment only if one run satisfies all of it.
struct Runs {
    /// Which segment each run belongs to.
    segment: Vec<usize>,
    service: ArrayRef,
    instance: ArrayRef,
    min_ts: ArrayRef,
    max_ts: ArrayRef,
    rows: ArrayRef,
}

impl Runs {
    fn new(segments: &[Arc<Segment>]) -> Runs {
        let runs = || segments.iter().flat_map(|s| &s.instances);
        Runs {
            segment: segments
                .iter()
                .enumerate()
                .flat_map(|(i, s)| s.instances.iter().map(move |_| i))
                .collect(),
            service: Arc::new(StringViewArray::from_iter_values(
                runs().map(|r| &r.identity.service),
            )),
            instance: Arc::new(StringViewArray::from_iter_values(
                runs().map(|r| &r.identity.instance),
            )),
            min_ts: Arc::new(
                TimestampMicrosecondArray::from_iter_values(runs().map(|r| r.min_us))
                    .with_timezone("UTC"),
            ),
            max_ts: Arc::new(
                TimestampMicrosecondArray::from_iter_values(runs().map(|r| r.max_us))
                    .with_timezone("UTC"),
            ),
            rows: Arc::new(UInt64Array::from_iter_values(runs().map(|r| r.rows))),
        }
    }
}

impl PruningStatistics for Runs {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        match column.name() {
            "ts" => Some(Arc::clone(&self.min_ts)),
            "service" => Some(Arc::clone(&self.service)),
            "instance" => Some(Arc::clone(&self.instance)),
            _ => None,
        }
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        match column.name() {
            "ts" => Some(Arc::clone(&self.max_ts)),
            other => self.min_values(&Column::from_name(other)),
        }
    }

    fn num_containers(&self) -> usize {
        self.segment.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        matches!(column.name(), "ts" | "service" | "instance").then(|| {
            Arc::new(UInt64Array::from_iter_values(
                self.segment.iter().map(|_| 0),
            )) as ArrayRef
        })
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::clone(&self.rows))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
