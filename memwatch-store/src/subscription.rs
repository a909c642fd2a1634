//! Waiting for commits, of this process or another.

use std::thread;
use std::time::{Duration, Instant};

use crate::manifest::newest_version;
use crate::{Result, Snapshot, Store};

/// How often the store is looked at while waiting.
const INTERVAL: Duration = Duration::from_millis(100);
/// The same over a network, where each look is a request.
const REMOTE_INTERVAL: Duration = Duration::from_secs(2);

/// Tells when there is a new commit: made by [`Store::subscribe`].
///
/// It looks at the folder or bucket at an interval and holds nothing open, so a writer need not know of it. Of several commits between two
/// looks only the newest is told. Rows of an [`Appender`](crate::Appender) are seen by each new [`Snapshot`], but are a commit only once they are in segments.
///
/// ```
/// use std::time::Duration;
/// # use memwatch_core::record::{Identity, MemorySample, RecordSink};
/// use memwatch_store::Store;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let store = Store::create(dir.path())?;
/// let mut commits = store.subscribe()?;
/// assert!(commits.wait(Duration::ZERO)?.is_none());
///
/// let mut writer = store.writer()?;
/// # let of = Identity { service: "checkout".into(), instance: "checkout-0".into() };
/// writer.sample(&of, &MemorySample::default())?;
/// writer.commit(&[])?;
/// let snapshot = commits.wait(Duration::from_secs(10))?.expect("a commit");
/// assert_eq!(snapshot.version(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Subscription {
    store: Store,
    seen: u64,
    interval: Duration,
}

impl Store {
    /// Tells of commits from now on.
    ///
    /// # Errors
    /// When the manifest cannot be listed.
    pub fn subscribe(&self) -> Result<Subscription> {
        let remote = self.shared.storage.is_remote();
        Ok(Subscription {
            store: self.clone(),
            seen: newest_version(&self.shared.layout, &self.shared.storage)?,
            interval: if remote { REMOTE_INTERVAL } else { INTERVAL },
        })
    }
}

impl Subscription {
    /// Looks at the store this often while waiting; 100 ms unless told, 2 s in a bucket.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Subscription {
        self.interval = interval;
        self
    }

    /// The store as of the newest commit, once there is one that was not told yet; `None` when none came in that time.
    ///
    /// # Errors
    /// When the manifest cannot be listed or read.
    pub fn wait(&mut self, at_most: Duration) -> Result<Option<Snapshot>> {
        let began = Instant::now();
        loop {
            let shared = &self.store.shared;
            if newest_version(&shared.layout, &shared.storage)? > self.seen {
                let snapshot = self.store.snapshot()?;
                self.seen = snapshot.version();
                return Ok(Some(snapshot));
            }
            let left = at_most.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            thread::sleep(self.interval.min(left));
        }
    }
}

#[cfg(test)]
mod tests {
    use memwatch_core::Timestamp;
    use memwatch_core::record::{Identity, MetricKind, MetricSample, RecordSink as _};

    use super::*;
    use crate::Table;

    #[test]
    fn each_commit_of_another_is_told_or_a_later_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let mut commits = store
            .subscribe()
            .unwrap()
            .interval(Duration::from_millis(1));
        let root = dir.path().to_path_buf();
        let writing = thread::spawn(move || {
            let store = Store::open(root).unwrap();
            let mut writer = store.writer().unwrap();
            for n in 1..=20 {
                let of = Identity {
                    service: "s".into(),
                    instance: "i".into(),
                };
                let at = Timestamp(n * 1_000_000_000);
                let row = MetricSample::new(at, "m".into(), "".into(), 1.0, MetricKind::Gauge);
                writer.metric(&of, &row).unwrap();
                writer.commit(&[]).unwrap();
            }
        });
        let mut seen = 0;
        while seen < 20 {
            let snapshot = commits.wait(Duration::from_secs(60)).unwrap().unwrap();
            assert!(snapshot.version() > seen);
            seen = snapshot.version();
            let rows: u64 = snapshot
                .segments(Table::Metrics)
                .iter()
                .map(|s| s.rows)
                .sum();
            assert_eq!(rows, seen);
        }
        writing.join().unwrap();
        assert!(commits.wait(Duration::from_millis(3)).unwrap().is_none());
    }
}
