//! Plans and runs statements.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use datafusion::common::DataFusionError;
use datafusion::datasource::MemTable;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::Semaphore;

use super::catalog::Main;
use super::files::{Failure, SegmentFiles};
use super::guard::{self, Question};
use super::message::translate;
use super::rows::{Deadline, Rows, Threads};
use super::table::StoredTable;
use super::views::VIEWS;
use super::{bounded, functions, sql_error};
use crate::schema::Table;
use crate::{Error, Result, Snapshot};

const CATALOG: &str = "memwatch";
const SCHEMA: &str = "main";
/// The schema of the tables as they are stored, under the views.
const STORED: &str = "stored";
/// Where segments are read from: the store's folder and nothing else.
const STORE_URL: &str = "memwatch://store/";
/// Batches computed ahead of the reader.
const AHEAD: usize = 4;
/// Planning recurses; the guard bounds its depth at what this holds.
const STACK_BYTES: usize = 32 << 20;

/// Limits of an [`Engine`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Most bytes that the operators of all queries hold at once; sorts and groupings beyond it go to temporary files.
    pub memory_bytes: usize,
    /// Longest time from a statement to the end of its answer.
    pub timeout: Duration,
    /// Threads; by default one for each core.
    pub threads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            memory_bytes: 1 << 30,
            timeout: Duration::from_secs(300),
            threads: std::thread::available_parallelism().map_or(2, usize::from),
        }
    }
}

/// Answers SQL over one snapshot.
pub struct Engine {
    context: SessionContext,
    threads: Arc<Threads>,
    timeout: Duration,
    /// What went wrong while a segment was read.
    failure: Failure,
}

impl Engine {
    /// An engine with usual limits.
    ///
    /// # Errors
    /// When the store's folder cannot be opened or threads cannot be started.
    pub fn new(snapshot: &Snapshot) -> Result<Engine> {
        Engine::with(snapshot, &Settings::default())
    }

    /// An engine with these limits.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn with(snapshot: &Snapshot, settings: &Settings) -> Result<Engine> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(settings.threads.max(1))
            .thread_name("memwatch-query")
            .thread_stack_size(STACK_BYTES)
            .build()
            .map_err(|e| sql_error(format!("cannot start threads: {e}")))?;
        let failure = Failure::default();
        Ok(Engine {
            context: context(snapshot, settings, &failure)?,
            failure,
            threads: Arc::new(Threads::new(runtime)),
            timeout: settings.timeout,
        })
    }

    /// Plans a statement and begins to answer it.
    ///
    /// # Errors
    /// [`Error::Sql`] when it is not a question, is too long or too deep, names what is not there, or fails; [`Error::Timeout`];
    /// [`Error::Damaged`] when a segment that it needs is not what was written.
    pub fn sql(&self, statement: &str) -> Result<Rows> {
        let sql = match guard::check(statement)? {
            Question::Query(sql) => sql,
            Question::Tables => "SELECT * FROM info.tables".to_owned(),
        };
        let deadline = Deadline::after(self.timeout);
        let context = self.context.clone();
        let (schema_out, schema) = mpsc::channel();
        let (batches_out, batches) = mpsc::channel();
        let ahead = Arc::new(Semaphore::new(AHEAD));
        let permits = Arc::clone(&ahead);
        let failure = self.failure.clone();
        drop(failure.take()); // Of a statement before.
        let task = self.threads.runtime().spawn(async move {
            let answer = async {
                let read_only = SQLOptions::new()
                    .with_allow_ddl(false)
                    .with_allow_dml(false)
                    .with_allow_statements(false);
                let frame = context.sql_with_options(&sql, read_only).await?;
                let mut stream = frame.execute_stream().await?;
                // Who asked may have gone: then there is nobody to answer.
                let _ = schema_out.send(stream.schema());
                while let Some(batch) = stream.next().await {
                    let Ok(permit) = permits.acquire().await else {
                        break;
                    };
                    permit.forget();
                    if batches_out.send(Ok(batch?)).is_err() {
                        break;
                    }
                }
                Ok::<(), DataFusionError>(())
            };
            let failed = match AssertUnwindSafe(answer).catch_unwind().await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(failure.take().unwrap_or_else(|| translate(error))),
                Err(panic) => Some(sql_error(format!(
                    "the query engine failed: {}",
                    panic_message(panic.as_ref())
                ))),
            };
            if let Some(error) = failed {
                let _ = batches_out.send(Err(error));
            }
        });
        let task = task.abort_handle();
        match schema.recv_timeout(deadline.left()) {
            Ok(schema) => Ok(Rows {
                schema,
                batches,
                ahead,
                task,
                deadline,
                done: false,
                _runtime: Arc::clone(&self.threads),
            }),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                task.abort();
                Err(Error::Timeout {
                    limit: deadline.limit,
                })
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                match batches.recv_timeout(deadline.left()) {
                    Ok(Err(error)) => Err(error),
                    _ => Err(sql_error("the query engine stopped".to_owned())),
                }
            }
        }
    }
}

fn context(snapshot: &Snapshot, settings: &Settings, failure: &Failure) -> Result<SessionContext> {
    let mut config = SessionConfig::new()
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_information_schema(true)
        .with_target_partitions(settings.threads.max(1));
    // Measured (2.16 M rows, 2 cores): the page index makes a 5-minute range of one instance 1.3 to 1.6 times faster; filters inside
    // of the scan help such ranges (x0.77) and hurt top-k (x1.26), so they stay off.
    let options = config.options_mut();
    options.execution.parquet.enable_page_index = true;
    options.execution.parquet.pushdown_filters = false;
    options.execution.time_zone = Some("+00:00".to_owned());
    // `WITH ORDER` pays only where it saves a sort (rate over one instance: x0.58).
    options.optimizer.prefer_existing_sort = true;
    let pool = TrackConsumersPool::new(
        FairSpillPool::new(settings.memory_bytes),
        std::num::NonZeroUsize::MIN,
    );
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .build_arc()
        .map_err(translate)?;
    let files = SegmentFiles::new(snapshot.shared.layout.root(), snapshot, failure)
        .map_err(|e| sql_error(e.to_string()))?;
    let url = ObjectStoreUrl::parse(STORE_URL).map_err(translate)?;
    runtime.register_object_store(url.as_ref(), Arc::new(files));
    let mut context = SessionContext::new_with_config_rt(config, runtime);

    let (stored, info) = (
        Arc::new(MemorySchemaProvider::new()),
        Arc::new(MemorySchemaProvider::new()),
    );
    let mut main = Main::new(&context);
    for table in Table::all() {
        let provider = Arc::new(StoredTable::new(table, snapshot.clone(), url.clone()));
        stored
            .register_table(table.name().to_owned(), provider.clone())
            .map_err(translate)?;
        if VIEWS.iter().all(|v| v.covers != Some(table)) {
            main.add(table.name(), provider);
        }
    }
    let tables = tables(snapshot)?;
    info.register_table(
        "tables".to_owned(),
        Arc::new(MemTable::try_new(tables.schema(), vec![vec![tables]]).map_err(translate)?),
    )
    .map_err(translate)?;
    let functions = function_list()?;
    info.register_table(
        "functions".to_owned(),
        Arc::new(MemTable::try_new(functions.schema(), vec![vec![functions]]).map_err(translate)?),
    )
    .map_err(translate)?;
    let catalog = MemoryCatalogProvider::new();
    catalog
        .register_schema(SCHEMA, Arc::new(main))
        .map_err(translate)?;
    for (name, schema) in [(STORED, stored), ("info", info)] {
        catalog.register_schema(name, schema).map_err(translate)?;
    }
    context.register_catalog(CATALOG, Arc::new(catalog));

    let state = context.state();
    for function in bounded::wrap(|name| state.scalar_functions().get(name)) {
        context.register_udf(function);
    }
    functions::register(&mut context).map_err(translate)?;
    Ok(context)
}

/// `info.tables`: what `SHOW TABLES` answers.
fn tables(snapshot: &Snapshot) -> Result<RecordBatch> {
    let info = snapshot.info();
    let views = VIEWS.iter().filter(|v| v.covers.is_none());
    let names = info.tables.iter().map(|t| t.table.name());
    let about = info.tables.iter().map(|t| t.table.def().about);
    let more = views.clone().count();
    let numbers = |of: &dyn Fn(&crate::TableInfo) -> u64| {
        let known = info.tables.iter().map(|t| Some(of(t)));
        UInt64Array::from_iter(known.chain(std::iter::repeat_n(None, more)))
    };
    let times = |of: &dyn Fn(memwatch_core::TimeRange) -> i64| {
        let known = info.tables.iter().map(|t| t.range.map(of));
        TimestampMicrosecondArray::from_iter(known.chain(std::iter::repeat_n(None, more)))
            .with_timezone("UTC")
    };
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let schema = Schema::new(vec![
        Field::new("table", DataType::Utf8, false),
        Field::new("rows", DataType::UInt64, true),
        Field::new("instances", DataType::Int64, true),
        Field::new("first", time.clone(), true),
        Field::new("last", time, true),
        Field::new("segments", DataType::UInt64, true),
        Field::new("bytes", DataType::UInt64, true),
        Field::new("about", DataType::Utf8, false),
    ]);
    let instances = info
        .tables
        .iter()
        .map(|t| i64::try_from(t.instances.len()).ok())
        .chain(std::iter::repeat_n(None, more));
    Ok(RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(StringArray::from_iter_values(
                names.chain(views.clone().map(|v| v.name)),
            )),
            Arc::new(numbers(&|t| t.rows)),
            Arc::new(Int64Array::from_iter(instances)),
            Arc::new(times(&|range| range.start.micros())),
            Arc::new(times(&|range| range.end.micros() - 1)),
            Arc::new(numbers(&|t| t.segments as u64)),
            Arc::new(numbers(&|t| t.bytes)),
            Arc::new(StringArray::from_iter_values(
                about.chain(views.map(|v| v.about)),
            )),
        ],
    )?)
}

/// `info.functions`: what memwatch adds to SQL.
fn function_list() -> Result<RecordBatch> {
    let text = |of: fn(&functions::SqlFunction) -> String| -> ArrayRef {
        let all = functions::SQL_FUNCTIONS.iter().map(|f| of(f));
        Arc::new(StringArray::from_iter_values(all))
    };
    let yes = |of: fn(&functions::SqlFunction) -> bool| -> ArrayRef {
        let all = functions::SQL_FUNCTIONS.iter().map(|f| Some(of(f)));
        Arc::new(BooleanArray::from_iter(all))
    };
    Ok(RecordBatch::try_from_iter([
        ("function", text(|f| f.name.to_owned())),
        ("usage", text(functions::SqlFunction::usage)),
        ("aggregate", yes(functions::SqlFunction::is_aggregate)),
        ("over", yes(functions::SqlFunction::is_window_function)),
        ("about", text(|f| f.about.to_owned())),
        ("example", text(|f| f.example.to_owned())),
    ])?)
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
