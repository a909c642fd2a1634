//! A prefix of a bucket, as the folder of a store. Whoever calls waits; requests run on a thread of this store's own.

use std::collections::BTreeSet;
use std::future::Future;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use memwatch_core::Timestamp;
use object_store::aws::AmazonS3;
use object_store::path::Path as Key;
use object_store::{
    Error as S3Error, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode,
    PutOptions, PutPayload, UpdateVersion,
};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{JoinHandle, JoinSet};

use super::lease::Lease;
use super::object_storage::{ObjectStorage, parse};
use super::upload::Upload;
use super::{Backend, Listed, NewFile, Steps, WriterLock, problem};
use crate::{Error, Result};

/// Requests at once where many small objects are read.
const AT_ONCE: usize = 16;

/// What is fetched at once of an object that is read from its beginning on.
const PIECE_BYTES: u64 = 8 << 20;

/// Attempts to write an object that is neither there nor may be written, while others try the same.
const ATTEMPTS: usize = 5;

/// A prefix of a bucket. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Bucket {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    prefix: Key,
    store: Arc<AmazonS3>,
    lease: Duration,
    steps: Steps,
    threads: Threads,
}

/// The thread that requests run on. Never waited for: a store may be dropped anywhere, also by a task of another runtime.
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// What became of a conditional put.
pub(super) enum Outcome {
    /// It was written; the version to name in the next condition.
    Written(UpdateVersion),
    /// The condition did not hold.
    Refused,
    /// Nobody knows: it failed, and may still have been written or be on its way.
    Unknown(S3Error),
}

impl Outcome {
    fn of(put: object_store::Result<object_store::PutResult>) -> Outcome {
        match put {
            Ok(put) => Outcome::Written(put.into()),
            Err(S3Error::AlreadyExists { .. } | S3Error::Precondition { .. }) => Outcome::Refused,
            Err(error) => Outcome::Unknown(error),
        }
    }

    /// A task that ended without an answer.
    pub(super) fn stopped(error: impl std::error::Error + Send + Sync + 'static) -> S3Error {
        S3Error::Generic {
            store: "S3",
            source: Box::new(error),
        }
    }
}

impl Bucket {
    pub(crate) fn open(root: &Path, given: &ObjectStorage, steps: Steps) -> Result<Bucket> {
        let (bucket, prefix) = parse(root)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("memwatch-s3")
            .enable_io()
            .enable_time()
            .build()
            .map_err(Error::io(root, "start a thread for"))?;
        let store = given.client(root, &bucket, runtime.handle().clone())?;
        Ok(Bucket {
            inner: Arc::new(Inner {
                root: root.to_path_buf(),
                prefix,
                store: Arc::new(store),
                lease: given.lease,
                steps,
                threads: Threads(Some(runtime)),
            }),
        })
    }

    pub(super) fn store(&self) -> Arc<AmazonS3> {
        Arc::clone(&self.inner.store)
    }

    pub(super) fn steps(&self) -> &Steps {
        &self.inner.steps
    }

    fn handle(&self) -> &Handle {
        let runtime = self.inner.threads.0.as_ref();
        runtime.expect("taken only when it is dropped").handle()
    }

    pub(super) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.handle().spawn(task)
    }

    /// Waits for a request, on whatever thread, also one of another runtime.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        request: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let (done, answer) = mpsc::sync_channel(1);
        drop(self.spawn(async move {
            let _ = done.send(request.await);
        }));
        answer
            .recv()
            .expect("requests end, with or without success")
    }

    /// Waits for a request that may be made twice, for an answer that was cut in its middle: that one the client does not repeat.
    fn wait_for<T, R>(&self, request: impl Fn() -> R) -> object_store::Result<T>
    where
        T: Send + 'static,
        R: Future<Output = object_store::Result<T>> + Send + 'static,
    {
        match self.wait(request()) {
            Err(S3Error::Generic { .. }) => self.wait(request()),
            done => done,
        }
    }

    /// The name of an object.
    pub(super) fn key(&self, path: &Path) -> Result<Key> {
        let below = path.strip_prefix(&self.inner.root).unwrap_or(path);
        let parts = below.iter().map(|part| part.to_string_lossy());
        let name = std::iter::once(self.inner.prefix.as_ref().into())
            .filter(|prefix: &std::borrow::Cow<'_, str>| !prefix.is_empty())
            .chain(parts)
            .collect::<Vec<_>>()
            .join("/");
        Key::parse(name).map_err(|e| problem::failed(path, "name", e.into()))
    }

    /// The path of an object.
    fn path(&self, key: &Key) -> Option<PathBuf> {
        let prefix = self.inner.prefix.as_ref();
        let below = key.as_ref().strip_prefix(prefix)?;
        Some(self.inner.root.join(below.trim_start_matches('/')))
    }

    fn listed(&self, meta: &ObjectMeta) -> Option<Listed> {
        Some(Listed {
            path: self.path(&meta.location)?,
            modified: Some(meta.last_modified.into()),
        })
    }

    /// Names of objects and folders directly below a folder.
    fn entries(&self, folder: &Path) -> Result<object_store::ListResult> {
        let (store, key) = (self.store(), self.key(folder)?);
        let listed = self.wait_for(|| {
            let (store, key) = (Arc::clone(&store), key.clone());
            async move { store.list_with_delimiter(Some(&key)).await }
        });
        listed.map_err(|e| problem::failed(folder, "list", e))
    }

    /// The object and its version; `None` when there is none.
    pub(super) fn get(&self, path: &Path) -> Result<Option<(Bytes, UpdateVersion)>> {
        let (store, key) = (self.store(), self.key(path)?);
        let got = self.wait_for(|| {
            let (store, key) = (Arc::clone(&store), key.clone());
            async move { get(&store, &key).await }
        });
        found(got, path)
    }

    /// Writes an object if the condition holds.
    pub(super) async fn put_if(
        store: &AmazonS3,
        key: &Key,
        content: &[u8],
        mode: PutMode,
    ) -> Outcome {
        let payload = PutPayload::from(content.to_vec());
        let options = PutOptions {
            mode,
            ..PutOptions::default()
        };
        Outcome::of(store.put_opts(key, payload, options).await)
    }

    fn put_if_and_wait(&self, path: &Path, content: &[u8], mode: PutMode) -> Result<Outcome> {
        let (store, key, content) = (self.store(), self.key(path)?, content.to_vec());
        Ok(self.wait(async move { Bucket::put_if(&store, &key, &content, mode).await }))
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<bool> {
        self.inner.steps.step_from("copy", to, Some(from))?;
        let (store, source, target) = (self.store(), self.key(from)?, self.key(to)?);
        let copied = self.wait_for(|| {
            let (store, source, target) = (Arc::clone(&store), source.clone(), target.clone());
            async move { store.copy(&source, &target).await }
        });
        match copied {
            Ok(()) => Ok(true),
            Err(S3Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(problem::failed(to, "write", error)),
        }
    }
}

pub(super) async fn get(
    store: &AmazonS3,
    key: &Key,
) -> object_store::Result<(Bytes, UpdateVersion)> {
    let got = store.get(key).await?;
    let version = UpdateVersion {
        e_tag: got.meta.e_tag.clone(),
        version: got.meta.version.clone(),
    };
    Ok((got.bytes().await?, version))
}

/// What is there, or nothing. A bucket that is not there is a failure.
fn found<T>(got: object_store::Result<T>, path: &Path) -> Result<Option<T>> {
    match got {
        Ok(found) => Ok(Some(found)),
        Err(error @ S3Error::NotFound { .. }) => {
            if problem::words(&error).contains("NoSuchBucket") {
                return Err(problem::failed(path, "read", error));
            }
            Ok(None)
        }
        Err(error) => Err(problem::failed(path, "read", error)),
    }
}

impl Backend for Bucket {
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        Ok(self.get(path)?.map(|(bytes, _)| bytes.into()))
    }

    fn read_each(&self, paths: &[PathBuf]) -> Result<Vec<Option<Vec<u8>>>> {
        let mut all = vec![None; paths.len()];
        let mut keys = Vec::with_capacity(paths.len());
        for (at, path) in paths.iter().enumerate() {
            keys.push((at, self.key(path)?));
        }
        let store = self.store();
        let read = self.wait(async move {
            let mut keys = keys.into_iter();
            let mut requests = JoinSet::new();
            let mut read = Vec::new();
            let mut ask = |requests: &mut JoinSet<_>| {
                if let Some((at, key)) = keys.next() {
                    let store = Arc::clone(&store);
                    requests.spawn(async move { (at, get(&store, &key).await) });
                }
            };
            for _ in 0..AT_ONCE {
                ask(&mut requests);
            }
            while let Some(done) = requests.join_next().await {
                read.extend(done.ok());
                ask(&mut requests);
            }
            read
        });
        for (at, got) in read {
            all[at] = found(got, &paths[at])?.map(|(bytes, _)| bytes.into());
        }
        Ok(all)
    }

    fn reader(&self, path: &Path) -> Result<Option<Box<dyn Read>>> {
        let Some(size) = self.size(path)? else {
            return Ok(None);
        };
        Ok(Some(Box::new(ObjectReader {
            bucket: self.clone(),
            path: path.to_path_buf(),
            at: 0,
            size,
            piece: Bytes::new(),
        })))
    }

    fn read_range(&self, path: &Path, range: Range<u64>) -> Result<Option<(Bytes, u64)>> {
        let (store, key) = (self.store(), self.key(path)?);
        let options = GetOptions {
            range: Some(GetRange::Bounded(range.clone())),
            ..GetOptions::default()
        };
        let got = self.wait_for(|| {
            let (store, key, options) = (Arc::clone(&store), key.clone(), options.clone());
            async move {
                let got = store.get_opts(&key, options).await?;
                let size = got.meta.size;
                Ok((got.bytes().await?, size))
            }
        });
        match found(got, path) {
            // A range that is not there is refused: it is the size that is wrong.
            Err(error) => match self.size(path) {
                Ok(Some(size)) if size < range.end => Ok(Some((Bytes::new(), size))),
                _ => Err(error),
            },
            got => got,
        }
    }

    fn size(&self, path: &Path) -> Result<Option<u64>> {
        let (store, key) = (self.store(), self.key(path)?);
        let head = self.wait(async move { store.head(&key).await });
        Ok(found(head, path)?.map(|meta| meta.size))
    }

    fn names(&self, folder: &Path) -> Result<Option<Vec<String>>> {
        let entries = self.entries(folder)?;
        let objects = entries.objects.iter().map(|meta| &meta.location);
        let names = objects.chain(&entries.common_prefixes);
        let names: BTreeSet<String> = names
            .filter_map(|key| Some(key.filename()?.to_owned()))
            .collect();
        Ok((!names.is_empty()).then(|| names.into_iter().collect()))
    }

    fn list(&self, folder: &Path) -> Result<Vec<Listed>> {
        let entries = self.entries(folder)?;
        Ok(entries
            .objects
            .iter()
            .filter_map(|meta| self.listed(meta))
            .collect())
    }

    fn list_below(&self, folder: &Path) -> Result<Vec<Listed>> {
        let (store, key) = (self.store(), self.key(folder)?);
        let depth = key.parts().count();
        let listed = self.wait_for(|| {
            let (store, key) = (Arc::clone(&store), key.clone());
            async move {
                let mut found = Vec::new();
                let mut listed = store.list(Some(&key));
                while let Some(meta) = listed.next().await {
                    let meta = meta?;
                    if meta.location.parts().count() == depth + 2 {
                        found.push(meta);
                    }
                }
                Ok(found)
            }
        });
        let listed = listed.map_err(|e| problem::failed(folder, "list", e))?;
        Ok(listed.iter().filter_map(|meta| self.listed(meta)).collect())
    }

    fn is_older_than(&self, file: &Listed, age: Duration) -> bool {
        let modified = file.modified.and_then(|at| at.elapsed().ok());
        modified.is_some_and(|elapsed| elapsed > age)
    }

    fn create(&self, path: &Path, _private: bool) -> Result<Box<dyn NewFile>> {
        Ok(Box::new(Upload::begin(self, path)))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        if !self.copy(from, to)? {
            return Err(Error::damaged(from, "an object to be renamed", "none"));
        }
        self.remove(from)
    }

    fn set_aside(&self, from: &Path, to: &Path) -> Result<()> {
        // One who was taken for dead may have done it meanwhile.
        if self.copy(from, to)? {
            self.remove(from)?;
        }
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.copy(from, to).map(|_| ())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.inner.steps.step("remove", path)?;
        let (store, key) = (self.store(), self.key(path)?);
        let deleted = self.wait_for(|| {
            let (store, key) = (Arc::clone(&store), key.clone());
            async move { store.delete(&key).await }
        });
        match deleted {
            Ok(()) | Err(S3Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(problem::failed(path, "remove", error)),
        }
    }

    fn create_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn write(&self, path: &Path, content: &[u8], _private: bool) -> Result<()> {
        self.inner.steps.step("put", path)?;
        let (store, key) = (self.store(), self.key(path)?);
        let content = PutPayload::from(content.to_vec());
        let put = self.wait(async move { store.put(&key, content).await });
        put.map_err(|e| problem::failed(path, "write", e))?;
        Ok(())
    }

    fn write_if_absent(&self, path: &Path, content: &[u8]) -> Result<()> {
        self.inner.steps.step("put", path)?;
        for attempt in 1.. {
            let failed = match self.put_if_and_wait(path, content, PutMode::Create)? {
                Outcome::Written(_) => return Ok(()),
                Outcome::Refused => None,
                Outcome::Unknown(error) => Some(problem::failed(path, "write", error)),
            };
            // An answer that got lost on the way: what is there tells who wrote it.
            match (self.get(path), failed) {
                (Ok(Some((there, _))), _) if there == content => return Ok(()),
                (Ok(Some(_)), _) => break,
                (_, Some(error)) => return Err(error),
                (Err(error), None) => return Err(error),
                // Another one tried at the same moment, and neither did it.
                (Ok(None), None) if attempt < ATTEMPTS => {
                    std::thread::sleep(
                        Duration::from_millis(50) * 2u32.pow(u32::try_from(attempt).unwrap_or(8)),
                    );
                }
                (Ok(None), None) => break,
            }
        }
        Err(Error::Conflict {
            path: path.to_path_buf(),
        })
    }

    /// What a server may write that was asked not to is what is there already.
    fn check_fit(&self, marker: &Path) -> Result<()> {
        let Some((content, _)) = self.get(marker)? else {
            return Ok(());
        };
        let other = UpdateVersion {
            e_tag: Some("\"00000000000000000000000000000000\"".to_owned()),
            version: None,
        };
        for (condition, mode) in [
            ("If-None-Match: *", PutMode::Create),
            ("If-Match", PutMode::Update(other)),
        ] {
            self.inner.steps.step("put", marker)?;
            let found = match self.put_if_and_wait(marker, &content, mode)? {
                Outcome::Refused => continue,
                Outcome::Written(_) => "ignores it".to_owned(),
                Outcome::Unknown(error) => {
                    let words = problem::words(&error);
                    if !["501 Not Implemented", "NotImplemented"]
                        .iter()
                        .any(|known| words.contains(known))
                    {
                        return Err(problem::failed(marker, "write", error));
                    }
                    "does not implement it".to_owned()
                }
            };
            return Err(Error::Unconditional {
                path: marker.to_path_buf(),
                condition,
                found,
            });
        }
        Ok(())
    }

    fn lock(&self, lock: &Path, marker: &Path, now: Timestamp) -> Result<Box<dyn WriterLock>> {
        self.check_fit(marker)?;
        Ok(Box::new(Lease::take(self, lock, self.inner.lease, now)?))
    }

    fn is_remote(&self) -> bool {
        true
    }
}

/// An object from its beginning on.
struct ObjectReader {
    bucket: Bucket,
    path: PathBuf,
    at: u64,
    size: u64,
    piece: Bytes,
}

impl Read for ObjectReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && self.at < self.size {
            let range = self.at..self.size.min(self.at + PIECE_BYTES);
            let read = self.bucket.read_range(&self.path, range);
            let (piece, _) = read.map_err(io::Error::other)?.ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, "it vanished while it was read")
            })?;
            self.piece = piece;
        }
        let read = into.len().min(self.piece.len());
        into[..read].copy_from_slice(&self.piece.split_to(read));
        self.at += read as u64;
        Ok(read)
    }
}
