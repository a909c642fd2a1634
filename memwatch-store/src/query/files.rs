//! Where DataFusion reads segments from: the store's folder, wherever a commit moved them meanwhile, and memory for rows that are in no
//! file yet. Nothing can be written or listed.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::path::Path as FsPath;

use bytes::Bytes;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::object_store::memory::InMemory;
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};
use futures::FutureExt as _;
use futures::stream::{self, BoxStream, StreamExt as _};

use crate::Snapshot;
use crate::layout::REPLACED;
use crate::schema::Table;

/// The segments of one snapshot.
#[derive(Debug)]
pub(super) struct SegmentFiles {
    folder: LocalFileSystem,
    /// Segments that are on no disk, and their names.
    memory: InMemory,
    held: HashSet<Path>,
}

impl SegmentFiles {
    pub(super) fn new(root: &FsPath, snapshot: &Snapshot) -> Result<SegmentFiles> {
        let memory = InMemory::new();
        let mut held = HashSet::new();
        for segment in Table::all().flat_map(|table| snapshot.segments(table)) {
            if let Some(bytes) = &segment.held {
                let path = Path::from(segment.path.to_string());
                // A map in memory never waits.
                memory
                    .put(&path, bytes.clone().into())
                    .now_or_never()
                    .transpose()?;
                held.insert(path);
            }
        }
        Ok(SegmentFiles {
            folder: LocalFileSystem::new_with_prefix(root)?,
            memory,
            held,
        })
    }
}

/// What a commit replaced after the snapshot was taken has another name for the time of grace.
fn replaced(location: &Path) -> Path {
    Path::from(format!("{location}{REPLACED}"))
}

fn read_only(operation: &str) -> Error {
    Error::NotImplemented {
        operation: operation.to_owned(),
        implementer: SEGMENTS.to_owned(),
    }
}

const SEGMENTS: &str = "the segments of a snapshot";

impl fmt::Display for SegmentFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SEGMENTS)
    }
}

#[async_trait::async_trait]
impl ObjectStore for SegmentFiles {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if self.held.contains(location) {
            return self.memory.get_opts(location, options).await;
        }
        match self.folder.get_opts(location, options.clone()).await {
            Err(Error::NotFound { .. }) => self.folder.get_opts(&replaced(location), options).await,
            found => found,
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if self.held.contains(location) {
            return self.memory.get_ranges(location, ranges).await;
        }
        match self.folder.get_ranges(location, ranges).await {
            Err(Error::NotFound { .. }) => {
                self.folder.get_ranges(&replaced(location), ranges).await
            }
            found => found,
        }
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::once(async { Err(read_only("list")) }).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(read_only("list"))
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(read_only("put"))
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only("put"))
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        stream::once(async { Err(read_only("delete")) }).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(read_only("copy"))
    }
}
