//! Where DataFusion reads segments from: the store's folder, wherever a commit moved them meanwhile, and memory for rows that are in no
//! file yet. Nothing can be written or listed.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::path::Path as FsPath;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use chrono::DateTime;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::object_store::memory::InMemory;
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result,
};
use futures::FutureExt as _;
use futures::stream::{self, BoxStream, StreamExt as _};

use crate::Snapshot;
use crate::cache::locked;
use crate::layout::REPLACED;
use crate::manifest::Segment;
use crate::schema::Table;
use crate::segment::Remote;
use crate::{Error as OurError, Shared};

/// The segments of one snapshot.
#[derive(Debug)]
pub(super) struct SegmentFiles {
    files: Files,
    /// Segments that are on no disk, and their names.
    memory: InMemory,
    held: HashSet<Path>,
}

/// Where the other ones are.
enum Files {
    Folder(LocalFileSystem),
    /// Behind a network: whole row groups, compared with their checksums on the way.
    Remote(Behind),
}

/// Segments behind a network.
struct Behind {
    shared: Arc<Shared>,
    segments: HashMap<Path, Arc<Segment>>,
    failure: Failure,
}

/// What this crate said last while a segment was read: only its words come through the engine.
#[derive(Clone, Default)]
pub(super) struct Failure(Arc<Mutex<Option<OurError>>>);

impl Failure {
    pub(super) fn take(&self) -> Option<OurError> {
        locked(&self.0).take()
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Files::Folder(folder) => folder.fmt(f),
            Files::Remote(behind) => behind.shared.layout.root().fmt(f),
        }
    }
}

impl SegmentFiles {
    pub(super) fn new(
        root: &FsPath,
        snapshot: &Snapshot,
        failure: &Failure,
    ) -> Result<SegmentFiles> {
        let memory = InMemory::new();
        let mut held = HashSet::new();
        let mut stored = HashMap::new();
        for segment in Table::all().flat_map(|table| snapshot.segments(table)) {
            let path = Path::from(segment.path.to_string());
            if let Some(bytes) = &segment.held {
                // A map in memory never waits.
                memory
                    .put(&path, bytes.clone().into())
                    .now_or_never()
                    .transpose()?;
                held.insert(path);
            } else {
                stored.insert(path, Arc::clone(segment));
            }
        }
        let shared = &snapshot.shared;
        let files = if shared.storage.is_remote() {
            Files::Remote(Behind {
                shared: Arc::clone(shared),
                segments: stored,
                failure: failure.clone(),
            })
        } else {
            Files::Folder(LocalFileSystem::new_with_prefix(root)?)
        };
        Ok(SegmentFiles {
            files,
            memory,
            held,
        })
    }
}

impl Behind {
    fn segment(&self, location: &Path) -> Result<&Arc<Segment>> {
        self.segments.get(location).ok_or_else(|| Error::NotFound {
            path: location.to_string(),
            source: "no segment of this snapshot".into(),
        })
    }

    /// Stretches of a segment. Waiting for them takes a thread that may wait.
    async fn read(&self, segment: &Arc<Segment>, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>> {
        let segment = Arc::clone(segment);
        let remote = Remote::new(&self.shared, &segment);
        let read = tokio::task::spawn_blocking(move || {
            remote
                .each(&ranges)
                .map_err(|error| error.with_gap(&segment))
        });
        let failed = |source| Error::Generic {
            store: "memwatch",
            source,
        };
        read.await.map_err(|e| failed(e.into()))?.map_err(|error| {
            let words = error.to_string();
            *locked(&self.failure.0) = Some(error);
            failed(words.into())
        })
    }

    async fn get(&self, location: &Path, options: &GetOptions) -> Result<GetResult> {
        let segment = self.segment(location)?;
        let size = segment.bytes;
        let range = match options.range {
            None => 0..size,
            Some(GetRange::Bounded(ref range)) => range.start.min(size)..range.end.min(size),
            Some(GetRange::Offset(from)) => from.min(size)..size,
            Some(GetRange::Suffix(length)) => size.saturating_sub(length)..size,
        };
        let bytes = if options.head || range.is_empty() {
            Bytes::new()
        } else {
            let mut read = self.read(segment, vec![range.clone()]).await?;
            read.pop().unwrap_or_default()
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream::once(async { Ok(bytes) }).boxed()),
            meta: ObjectMeta {
                location: location.clone(),
                last_modified: DateTime::UNIX_EPOCH,
                size,
                e_tag: None,
                version: None,
            },
            range,
            attributes: Attributes::default(),
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
        match &self.files {
            Files::Folder(folder) => match folder.get_opts(location, options.clone()).await {
                Err(Error::NotFound { .. }) => folder.get_opts(&replaced(location), options).await,
                found => found,
            },
            Files::Remote(behind) => behind.get(location, &options).await,
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if self.held.contains(location) {
            return self.memory.get_ranges(location, ranges).await;
        }
        match &self.files {
            Files::Folder(folder) => match folder.get_ranges(location, ranges).await {
                Err(Error::NotFound { .. }) => folder.get_ranges(&replaced(location), ranges).await,
                found => found,
            },
            Files::Remote(behind) => {
                let segment = behind.segment(location)?;
                behind.read(segment, ranges.to_vec()).await
            }
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
