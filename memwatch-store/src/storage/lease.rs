//! One writer at a time in a bucket: an object that says who writes and until when, replaced only by conditional put.
//!
//! The owner renews its lease every third of it. One that does not is taken for dead, by whoever comes then. Clocks may be wrong and an
//! owner may only sleep, so the lease keeps nobody from writing: the next owner takes the next number of the manifest before it touches
//! anything ([`WriterLock::must_fence`]), and after that no commit of the owner before can succeed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use memwatch_core::Timestamp;
use object_store::aws::AmazonS3;
use object_store::path::Path as Key;
use object_store::{PutMode, UpdateVersion};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::bucket::{Bucket, Outcome, get};
use super::{WriterLock, problem};
use crate::layout::new_id;
use crate::lock::host;
use crate::{Error, Result, now};

/// What the lock says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    id: String,
    pid: u32,
    host: String,
    /// Tells processes of one machine from those of another with its name; empty where that is not known.
    kernel: String,
    since: String,
    until: String,
    /// It let go.
    released: bool,
    /// Nothing that it began can still be on its way.
    clean: bool,
}

impl Owner {
    fn told(&self) -> String {
        format!(
            "process {} on {} since {}, heard of it until {}",
            self.pid, self.host, self.since, self.until
        )
    }

    /// Whether it is not there any more: its time is over, or it ran on this machine and does not.
    fn is_gone(&self, now: Timestamp) -> bool {
        let over = Timestamp::parse_rfc3339(&self.until).is_ok_and(|until| until < now);
        self.released || over || self.has_died()
    }

    fn has_died(&self) -> bool {
        !self.kernel.is_empty()
            && self.kernel == kernel()
            && self.pid != std::process::id()
            && !Path::new("/proc").join(self.pid.to_string()).exists()
    }
}

/// This boot of this machine and, in a container, its processes.
fn kernel() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let processes = std::fs::read_link("/proc/self/ns/pid");
    match (boot, processes) {
        (Ok(boot), Ok(processes)) => format!("{} {}", boot.trim(), processes.display()),
        _ => String::new(),
    }
}

/// A lock that is held for as long as it lives, and is heard of.
pub(super) struct Lease {
    bucket: Bucket,
    held: Arc<Held>,
    must_fence: bool,
    clean: bool,
}

struct Held {
    store: Arc<AmazonS3>,
    key: Key,
    path: PathBuf,
    lease: Duration,
    id: String,
    state: Mutex<State>,
}

struct State {
    owner: Owner,
    version: UpdateVersion,
    /// Who took over.
    lost: Option<String>,
}

impl Lease {
    /// Takes the lock, or says who has it.
    pub(super) fn take(
        bucket: &Bucket,
        path: &Path,
        lease: Duration,
        at: Timestamp,
    ) -> Result<Lease> {
        let mut owner = Owner {
            id: new_id(),
            pid: std::process::id(),
            host: host(),
            kernel: kernel(),
            since: at.to_string(),
            until: until(at, lease),
            released: false,
            clean: false,
        };
        let locked = |owner: &Owner| Error::Locked {
            path: path.to_path_buf(),
            owner: owner.told(),
        };
        let there = bucket.get(path)?;
        let before: Option<Owner> = match &there {
            None => None,
            // What does not read was written by nobody who could still be asked.
            Some((bytes, _)) => serde_json::from_slice(bytes).ok(),
        };
        if let Some(before) = before.as_ref().filter(|before| !before.is_gone(at)) {
            return Err(locked(before));
        }
        // A lock that was never there was held by nobody.
        let must_fence = there.is_some() && !before.is_some_and(|b| b.released && b.clean);
        bucket.steps().step("put", path)?;
        let mode = match there {
            None => PutMode::Create,
            Some((_, version)) => PutMode::Update(version),
        };
        owner.until = until(now(), lease);
        let (store, key) = (bucket.store(), bucket.key(path)?);
        let held = Held {
            store,
            key,
            path: path.to_path_buf(),
            lease,
            id: owner.id.clone(),
            state: Mutex::new(State {
                owner: owner.clone(),
                version: UpdateVersion {
                    e_tag: None,
                    version: None,
                },
                lost: None,
            }),
        };
        let held = Arc::new(held);
        let taking = Arc::clone(&held);
        bucket.wait(async move {
            let mut state = taking.state.lock().await;
            let owner = state.owner.clone();
            taking.put(&mut state, owner, mode).await
        })?;
        let lost = {
            let held = Arc::clone(&held);
            bucket.wait(async move { held.state.lock().await.lost.clone() })
        };
        if let Some(owner) = lost {
            return Err(Error::Locked {
                path: path.to_path_buf(),
                owner,
            });
        }
        let renewing = Arc::downgrade(&held);
        let steps = bucket.steps().clone();
        drop(bucket.spawn(async move {
            loop {
                tokio::time::sleep(lease / 3).await;
                let Some(held) = renewing.upgrade() else {
                    return;
                };
                if steps.has_crashed() || held.renew().await.is_ok_and(|held| !held) {
                    return;
                }
            }
        }));
        Ok(Lease {
            bucket: bucket.clone(),
            held,
            must_fence,
            clean: false,
        })
    }
}

fn until(at: Timestamp, lease: Duration) -> String {
    let lease = i64::try_from(lease.as_nanos()).unwrap_or(i64::MAX);
    Timestamp(at.0.saturating_add(lease)).to_string()
}

impl Held {
    /// Says that the owner is alive; whether it still is one.
    async fn renew(&self) -> Result<bool> {
        let mut state = self.state.lock().await;
        if state.lost.is_some() || state.owner.released {
            return Ok(false);
        }
        let mut owner = state.owner.clone();
        owner.until = until(now(), self.lease);
        let mode = PutMode::Update(state.version.clone());
        self.put(&mut state, owner, mode).await?;
        Ok(state.lost.is_none())
    }

    /// Replaces the lock. Where an answer got lost on the way, what is there tells whether it is held.
    async fn put(&self, state: &mut State, owner: Owner, mode: PutMode) -> Result<()> {
        let content = serde_json::to_vec(&owner).unwrap_or_default();
        let outcome = Bucket::put_if(&self.store, &self.key, &content, mode).await;
        let failed = match outcome {
            Outcome::Written(version) => {
                (state.owner, state.version) = (owner, version);
                return Ok(());
            }
            Outcome::Refused => None,
            Outcome::Unknown(error) => Some(problem::failed(&self.path, "write", error)),
        };
        match (get(&self.store, &self.key).await, failed) {
            (Ok((bytes, version)), failed) => {
                match (serde_json::from_slice::<Owner>(&bytes), failed) {
                    (Ok(there), _) if there == owner => {
                        (state.owner, state.version) = (owner, version);
                        Ok(())
                    }
                    // Still as it was: the write may come later, and is then found as one of ours.
                    (Ok(there), failed) if there.id == self.id => {
                        (state.owner, state.version) = (there, version);
                        failed.map_or(Ok(()), Err)
                    }
                    (Ok(there), _) => {
                        state.lost = Some(there.told());
                        Ok(())
                    }
                    (Err(_), _) => {
                        state.lost = Some("one whose name cannot be read".to_owned());
                        Ok(())
                    }
                }
            }
            (Err(_), Some(failed)) => Err(failed),
            (Err(error), None) => Err(problem::failed(&self.path, "read", error)),
        }
    }
}

impl WriterLock for Lease {
    fn id(&self) -> Option<&str> {
        Some(&self.held.id)
    }

    fn must_fence(&self) -> bool {
        self.must_fence
    }

    fn confirm(&self) -> Result<()> {
        self.bucket.steps().step("put", &self.held.path)?;
        let held = Arc::clone(&self.held);
        let lost = self.bucket.wait(async move {
            held.renew().await?;
            Ok::<_, Error>(held.state.lock().await.lost.clone())
        })?;
        match lost {
            None => Ok(()),
            Some(owner) => Err(Error::LockLost {
                path: self.held.path.clone(),
                owner,
            }),
        }
    }

    fn ended_clean(&mut self) {
        self.clean = true;
    }
}

impl Drop for Lease {
    /// Lets go, if that can be done soon: else the lease runs out.
    fn drop(&mut self) {
        if self.bucket.steps().has_crashed() {
            return;
        }
        let held = Arc::clone(&self.held);
        let clean = self.clean;
        let _ = self.bucket.wait(async move {
            let release = async {
                let mut state = held.state.lock().await;
                // Twice: the version that is known may be one of before a renewal whose answer got lost.
                for _ in 0..2 {
                    if state.lost.is_some() || state.owner.released {
                        break;
                    }
                    let mut owner = state.owner.clone();
                    (owner.released, owner.clean) = (true, clean);
                    let mode = PutMode::Update(state.version.clone());
                    held.put(&mut state, owner, mode).await?;
                }
                Ok::<_, Error>(())
            };
            tokio::time::timeout(Duration::from_secs(5), release).await
        });
    }
}

/// Reads any bytes as a lease, for a fuzz target: nothing panics, and who lets go is gone.
pub(crate) fn any_lease(bytes: &[u8]) {
    if let Ok(owner) = serde_json::from_slice::<Owner>(bytes) {
        assert!(!owner.told().is_empty());
        assert!(owner.is_gone(Timestamp(0)) || !owner.released);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(at: Timestamp) -> Owner {
        Owner {
            id: new_id(),
            pid: std::process::id(),
            host: host(),
            kernel: kernel(),
            since: at.to_string(),
            until: until(at, Duration::from_secs(60)),
            released: false,
            clean: false,
        }
    }

    #[test]
    fn who_is_gone() {
        let at = Timestamp(1_795_410_189_000_000_000);
        let later = |s: i64| Timestamp(at.0 + s * 1_000_000_000);
        let alive = owner(at);
        assert!(!alive.is_gone(at) && !alive.is_gone(later(59)));
        assert!(alive.is_gone(later(61)), "its time is over");
        let released = Owner {
            released: true,
            ..owner(at)
        };
        assert!(released.is_gone(at));
        // No process has this number.
        let dead = Owner {
            pid: u32::MAX,
            ..owner(at)
        };
        assert_eq!(dead.is_gone(at), !kernel().is_empty());
        let elsewhere = Owner {
            pid: u32::MAX,
            kernel: "another".to_owned(),
            ..owner(at)
        };
        assert!(!elsewhere.is_gone(at), "who knows?");
    }
}
