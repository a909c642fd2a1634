//! The answer to a query, batch by batch.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::{Error, Result};

/// The answer to a query. Computed while it is read, a few batches ahead; dropping it stops the query.
pub struct Rows {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Receiver<Result<RecordBatch>>,
    /// One permit for each batch that may be computed ahead.
    pub(crate) ahead: Arc<Semaphore>,
    pub(crate) task: AbortHandle,
    pub(crate) deadline: Deadline,
    pub(crate) done: bool,
    /// Keeps the threads that compute.
    pub(crate) _runtime: Arc<Threads>,
}

/// Until when an answer has to be there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) limit: Duration,
    pub(crate) until: Instant,
}

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Deadline {
        let now = Instant::now();
        Deadline {
            limit,
            // A limit beyond what the clock can say is none.
            until: now
                .checked_add(limit)
                .unwrap_or(now + Duration::from_secs(1 << 30)),
        }
    }

    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// The threads that compute. Never waited for: a query that does not yield is left behind.
pub(crate) struct Threads(Option<Runtime>);

impl Threads {
    pub(crate) fn new(runtime: Runtime) -> Threads {
        Threads(Some(runtime))
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        match &self.0 {
            Some(runtime) => runtime,
            None => unreachable!("taken only when dropped"),
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Rows {
    /// The columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// All batches.
    ///
    /// # Errors
    /// When the query fails or takes too long.
    pub fn collect_all(self) -> Result<Vec<RecordBatch>> {
        self.collect()
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = match self.batches.recv_timeout(self.deadline.left()) {
            Ok(batch) => {
                self.ahead.add_permits(1);
                Some(batch)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => Some(Err(Error::Timeout {
                limit: self.deadline.limit,
            })),
        };
        self.done = !matches!(next, Some(Ok(_)));
        if self.done {
            self.task.abort();
        }
        next
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.task.abort();
    }
}
