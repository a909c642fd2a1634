//! An object being written: nobody sees it before it is whole. Bytes go out in parts, so that memory stays bounded.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use object_store::{MultipartUpload, ObjectStoreExt as _, PutPayload};
use tokio::task::JoinHandle;

use super::bucket::{Bucket, Outcome};
use super::{NewFile, problem};
use crate::Result;

/// Bytes of a part: S3 takes 5 MiB or more, and at most 10,000 parts.
const PART_BYTES: usize = 8 << 20;

/// An object being written.
pub(super) struct Upload {
    bucket: Bucket,
    path: PathBuf,
    waiting: Vec<u8>,
    parts: Option<Box<dyn MultipartUpload>>,
    /// The part that is on its way: one at a time.
    sending: Option<JoinHandle<object_store::Result<()>>>,
    done: bool,
}

impl Upload {
    pub(super) fn begin(bucket: &Bucket, path: &Path) -> Upload {
        Upload {
            bucket: bucket.clone(),
            path: path.to_path_buf(),
            waiting: Vec::new(),
            parts: None,
            sending: None,
            done: false,
        }
    }

    /// Waits for the part that is on its way.
    fn sent(&mut self) -> Result<()> {
        let Some(sending) = self.sending.take() else {
            return Ok(());
        };
        let sent = self.bucket.wait(sending);
        let sent = sent.unwrap_or_else(|e| Err(Outcome::stopped(e)));
        sent.map_err(|e| problem::failed(&self.path, "write", e))
    }

    fn send_part(&mut self) -> Result<()> {
        self.sent()?;
        let part = PutPayload::from(std::mem::take(&mut self.waiting));
        if self.parts.is_none() {
            let (store, key) = (self.bucket.store(), self.bucket.key(&self.path)?);
            let begun = self
                .bucket
                .wait(async move { store.put_multipart(&key).await });
            self.parts = Some(begun.map_err(|e| problem::failed(&self.path, "write", e))?);
        }
        if let Some(parts) = &mut self.parts {
            self.sending = Some(self.bucket.spawn(parts.put_part(part)));
        }
        Ok(())
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= PART_BYTES {
            self.send_part().map_err(io::Error::other)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for Upload {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes)
            .map_err(crate::Error::io(&self.path, "write"))
    }

    fn sync(&mut self) -> Result<()> {
        self.bucket.steps().step("put", &self.path)?;
        if self.parts.is_none() {
            let (store, key) = (self.bucket.store(), self.bucket.key(&self.path)?);
            let whole = PutPayload::from(std::mem::take(&mut self.waiting));
            let put = self
                .bucket
                .wait(async move { store.put(&key, whole).await });
            put.map_err(|e| problem::failed(&self.path, "write", e))?;
        } else {
            if !self.waiting.is_empty() {
                self.send_part()?;
            }
            self.sent()?;
            if let Some(mut parts) = self.parts.take() {
                let (parts, done) = self.bucket.wait(async move {
                    let done = parts.complete().await;
                    (parts, done)
                });
                if let Err(error) = done {
                    self.parts = Some(parts);
                    return Err(problem::failed(&self.path, "write", error));
                }
            }
        }
        self.done = true;
        Ok(())
    }
}

impl Drop for Upload {
    /// Parts of an object that will never be are paid for until they are given up.
    fn drop(&mut self) {
        if self.done || self.bucket.steps().has_crashed() {
            return;
        }
        let sending = self.sending.take();
        if let Some(mut parts) = self.parts.take() {
            // Nobody waits for it.
            drop(self.bucket.spawn(async move {
                if let Some(sending) = sending {
                    let _ = sending.await;
                }
                parts.abort().await
            }));
        }
    }
}
