//! What was read and verified before, in bounded memory: footers, decoded blocks, which checksums were right.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::ArrayRef;
use bytes::Bytes;
use parquet::file::metadata::ParquetMetaData;

use crate::layout::SegmentPath;
use crate::segment::ColumnChecksums;

/// Footers kept: about 100 KB each for the widest table, so those of a day or two of a busy store.
const FOOTER_BYTES: usize = 8 << 20;
/// Decoded blocks kept: those of one stretch of a backtest, in which selector after selector asks for the same instants, and the last of
/// which the next stretch begins with. What is kept longer only takes pages of memory that were never touched.
const BLOCK_BYTES: usize = 8 << 20;
/// Columns of row groups and footers kept as they came over a network.
const PIECE_BYTES: usize = 32 << 20;

/// A block of one column: segment, row group, column, and number of the block within the row group.
pub(crate) type BlockKey = (SegmentPath, usize, usize, usize);

/// Shared by all snapshots of a store.
pub(crate) struct Cache {
    footers: Mutex<Lru<SegmentPath, Footer>>,
    blocks: Mutex<Lru<BlockKey, ArrayRef>>,
    pieces: Mutex<Lru<(SegmentPath, u64), Bytes>>,
    /// What had the right checksum.
    verified: Mutex<HashMap<SegmentPath, HashSet<Part>>>,
}

impl Default for Cache {
    fn default() -> Self {
        Cache {
            footers: Mutex::new(Lru::new(FOOTER_BYTES)),
            blocks: Mutex::new(Lru::new(BLOCK_BYTES)),
            pieces: Mutex::new(Lru::new(PIECE_BYTES)),
            verified: Mutex::default(),
        }
    }
}

impl Cache {
    pub(crate) fn footer(&self, path: &SegmentPath) -> Option<Footer> {
        locked(&self.footers).get(path)
    }

    pub(crate) fn keep_footer(&self, path: &SegmentPath, footer: &Footer) {
        let bytes = footer.metadata.memory_size();
        locked(&self.footers).put(path.clone(), footer.clone(), bytes);
    }

    pub(crate) fn block(&self, key: &BlockKey) -> Option<ArrayRef> {
        locked(&self.blocks).get(key)
    }

    pub(crate) fn keep_block(&self, key: BlockKey, block: &ArrayRef) {
        let bytes = block.get_array_memory_size();
        locked(&self.blocks).put(key, Arc::clone(block), bytes);
    }

    /// What begins at that byte of a segment, as it came over a network; its checksum was right.
    pub(crate) fn piece(&self, path: &SegmentPath, start: u64) -> Option<Bytes> {
        locked(&self.pieces).get(&(path.clone(), start))
    }

    pub(crate) fn keep_piece(&self, path: &SegmentPath, start: u64, bytes: &Bytes) {
        locked(&self.pieces).put((path.clone(), start), bytes.clone(), bytes.len());
    }

    /// Whether a part of a segment is known to be whole.
    pub(crate) fn is_verified(&self, path: &SegmentPath, part: Part) -> bool {
        let verified = locked(&self.verified);
        verified.get(path).is_some_and(|known| {
            let around = match part {
                Part::Column(group, _) => known.contains(&Part::Group(group)),
                _ => false,
            };
            around || known.contains(&part)
        })
    }

    /// Whether all of a segment is known to be whole.
    pub(crate) fn is_whole(&self, path: &SegmentPath) -> bool {
        let verified = locked(&self.verified);
        verified
            .get(path)
            .is_some_and(|known| known.contains(&Part::Whole))
    }

    pub(crate) fn keep_verified(&self, path: &SegmentPath, part: Part) {
        let mut verified = locked(&self.verified);
        if !verified.contains_key(path) {
            verified.insert(path.clone(), HashSet::new());
        }
        if let Some(known) = verified.get_mut(path) {
            known.insert(part);
        }
    }
}

/// What has a checksum of its own in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// All of the file.
    Whole,
    /// A row group.
    Group(usize),
    /// A column of a row group.
    Column(usize, usize),
    /// The pages of a column of a row group, which ask for no more memory than they may.
    Pages(usize, usize),
    /// All that follows the row groups.
    Footer,
}

/// A footer, and the checksums it has.
#[derive(Clone)]
pub(crate) struct Footer {
    pub(crate) metadata: Arc<ParquetMetaData>,
    /// `None` in files of older versions.
    pub(crate) columns: Option<Arc<ColumnChecksums>>,
}

/// A panic elsewhere leaves these maps whole: they are only caches.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Least recently used goes first, once the values together are larger than the budget.
pub(crate) struct Lru<K, V> {
    budget: usize,
    bytes: usize,
    clock: u64,
    values: HashMap<K, (V, usize, u64)>,
    by_use: BTreeMap<u64, K>,
}

impl<K: Hash + Eq + Clone, V: Clone> Lru<K, V> {
    pub(crate) fn new(budget: usize) -> Self {
        Lru {
            budget,
            bytes: 0,
            clock: 0,
            values: HashMap::new(),
            by_use: BTreeMap::new(),
        }
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        let (value, _, used) = self.values.get_mut(key)?;
        self.by_use.remove(used);
        self.clock += 1;
        *used = self.clock;
        self.by_use.insert(self.clock, key.clone());
        Some(value.clone())
    }

    pub(crate) fn put(&mut self, key: K, value: V, bytes: usize) {
        self.clock += 1;
        if let Some((_, old, used)) = self.values.insert(key.clone(), (value, bytes, self.clock)) {
            self.by_use.remove(&used);
            self.bytes -= old;
        }
        self.by_use.insert(self.clock, key);
        self.bytes += bytes;
        while self.bytes > self.budget && self.values.len() > 1 {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                break;
            };
            if let Some((_, bytes, _)) = self.values.remove(&oldest) {
                self.bytes -= bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_goes_first() {
        let mut lru = Lru::new(30);
        for key in 1..=3 {
            lru.put(key, key * 10, 10);
        }
        assert_eq!(lru.get(&1), Some(10));
        lru.put(4, 40, 10);
        assert_eq!(
            [1, 2, 3, 4].map(|k| lru.get(&k)),
            [Some(10), None, Some(30), Some(40)]
        );
        lru.put(4, 41, 30);
        assert_eq!([1, 3, 4].map(|k| lru.get(&k)), [None, None, Some(41)]);
    }
}
