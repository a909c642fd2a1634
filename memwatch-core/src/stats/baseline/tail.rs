//! The gaps seen so far: where their tail begins and how long it is.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::Form;
use super::checkpoint::{Reader, Writer};
use crate::Result;

/// What the tail looks like: the numbers behind a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TailShape {
    /// `u`: the gap of rank ⌊q(n−1)⌋.
    pub(super) start: f64,
    /// `N`: how many gaps rank above it.
    pub(super) above: u64,
    /// Mean of these less `u`.
    pub(super) mean_excess: f64,
}

/// All gaps `G` of one feature.
#[derive(Debug, Clone)]
pub(super) enum GapTail {
    /// Every gap.
    Exact(ExactTail),
    /// Counts and sums in logarithmic buckets.
    Bounded(LogTail),
}

impl GapTail {
    pub(super) fn new(form: Form) -> GapTail {
        match form {
            Form::Exact => GapTail::Exact(ExactTail::default()),
            Form::Bounded => GapTail::Bounded(LogTail::new()),
        }
    }

    /// Number of gaps.
    pub(super) fn count(&self) -> u64 {
        match self {
            GapTail::Exact(tail) => tail.low.len() as u64 + tail.high.len() as u64,
            GapTail::Bounded(tail) => tail.total,
        }
    }

    /// Adds a gap, finite and not negative; `quantile` is the same at every call.
    pub(super) fn insert(&mut self, gap: f64, quantile: f64) {
        let rank = rank(self.count() + 1, quantile);
        match self {
            GapTail::Exact(tail) => tail.insert(gap, rank),
            GapTail::Bounded(tail) => tail.insert(gap, rank),
        }
    }

    /// The shape of the tail; `None` when no gap ranks above the quantile.
    pub(super) fn shape(&self) -> Option<TailShape> {
        match self {
            GapTail::Exact(tail) => tail.shape(),
            GapTail::Bounded(tail) => tail.shape(),
        }
    }

    /// Bytes that this tail holds.
    pub(super) fn size_bytes(&self) -> usize {
        match self {
            GapTail::Exact(tail) => (tail.low.len() + tail.high.len()) * size_of::<f64>(),
            GapTail::Bounded(tail) => tail.blocks.capacity() * size_of::<Block>(),
        }
    }

    pub(super) fn write(&self, to: &mut Writer) {
        match self {
            GapTail::Exact(tail) => tail.write(to),
            GapTail::Bounded(tail) => tail.write(to),
        }
    }

    pub(super) fn read(form: Form, quantile: f64, from: &mut Reader<'_>) -> Result<GapTail> {
        match form {
            Form::Exact => ExactTail::read(from).map(GapTail::Exact),
            Form::Bounded => LogTail::read(quantile, from).map(GapTail::Bounded),
        }
    }
}

/// ⌊q(n−1)⌋
fn rank(count: u64, quantile: f64) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Between 0 and the count.
    let rank = (quantile * (count - 1) as f64).floor() as u64;
    rank
}

/// A finite number with an order.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Gap(f64);

impl Eq for Gap {}

impl PartialOrd for Gap {
    fn partial_cmp(&self, other: &Gap) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Gap {
    fn cmp(&self, other: &Gap) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The gaps up to the quantile and those above it, in a heap each.
#[derive(Debug, Clone, Default)]
pub(super) struct ExactTail {
    low: BinaryHeap<Gap>,
    high: BinaryHeap<Reverse<Gap>>,
    high_sum: f64,
}

impl ExactTail {
    fn insert(&mut self, gap: f64, rank: u64) {
        if self.low.peek().is_none_or(|top| gap <= top.0) {
            self.low.push(Gap(gap));
        } else {
            self.high.push(Reverse(Gap(gap)));
            self.high_sum += gap;
        }
        while self.low.len() as u64 > rank + 1 {
            let Some(Gap(moved)) = self.low.pop() else {
                break;
            };
            self.high.push(Reverse(Gap(moved)));
            self.high_sum += moved;
        }
        while (self.low.len() as u64) < rank + 1 {
            let Some(Reverse(Gap(moved))) = self.high.pop() else {
                break;
            };
            self.low.push(Gap(moved));
            self.high_sum -= moved;
        }
    }

    fn shape(&self) -> Option<TailShape> {
        let start = self.low.peek()?.0;
        let above = self.high.len();
        (above > 0).then(|| TailShape {
            start,
            above: above as u64,
            mean_excess: self.high_sum / above as f64 - start,
        })
    }

    fn write(&self, to: &mut Writer) {
        let mut low: Vec<Gap> = self.low.iter().copied().collect();
        low.sort_unstable();
        let mut high: Vec<Gap> = self.high.iter().map(|gap| gap.0).collect();
        high.sort_unstable();
        to.floats(low.iter().map(|gap| gap.0));
        to.floats(high.iter().map(|gap| gap.0));
        to.float(self.high_sum);
    }

    fn read(from: &mut Reader<'_>) -> Result<ExactTail> {
        let low = from.floats()?;
        let high = from.floats()?;
        let high_sum = from.float()?;
        let ascending = low.iter().chain(&high).is_sorted();
        if !ascending || low.first().is_some_and(|least| *least < 0.0) || high_sum.is_nan() {
            return Err(from.wrong("gaps in ascending order, none negative"));
        }
        Ok(ExactTail {
            low: low.into_iter().map(Gap).collect(),
            high: high.into_iter().map(|gap| Reverse(Gap(gap))).collect(),
            high_sum,
        })
    }
}

/// Buckets an octave.
const BUCKETS: usize = 32;
/// Octaves held besides zero; below the highest 36 (a range of 7·10¹⁰) the lowest are merged.
const OCTAVES: usize = 36;
/// Stands for the gap 0, below every octave.
const ZERO: i32 = -1;

/// One octave: counts and sums of 32 buckets, equally wide.
#[derive(Debug, Clone)]
struct Block {
    octave: i32,
    /// Bit `i`: bucket `i` is not empty.
    filled: u32,
    count: [u32; BUCKETS],
    sum: [f64; BUCKETS],
}

impl Block {
    fn new(octave: i32) -> Block {
        Block {
            octave,
            filled: 0,
            count: [0; BUCKETS],
            sum: [0.0; BUCKETS],
        }
    }

    fn add(&mut self, bucket: usize, count: u32, sum: f64) {
        self.filled |= 1 << bucket;
        self.count[bucket] = self.count[bucket].saturating_add(count);
        self.sum[bucket] += sum;
    }
}

/// Counts and sums in logarithmic buckets, with a pointer at the bucket that holds the quantile.
///
/// An insertion moves the rank of the quantile by at most one, so the pointer moves at most to the next filled bucket.
#[derive(Debug, Clone)]
pub(super) struct LogTail {
    /// By octave; the first one is [`ZERO`] and stays.
    blocks: Vec<Block>,
    total: u64,
    block: usize,
    bucket: usize,
    /// Gaps in buckets before the pointer.
    before: u64,
    rank: u64,
    /// Sum of the gaps in buckets after the pointer.
    after_sum: f64,
}

impl LogTail {
    fn new() -> LogTail {
        let mut blocks = Vec::with_capacity(OCTAVES + 2);
        blocks.push(Block::new(ZERO));
        LogTail {
            blocks,
            total: 0,
            block: 0,
            bucket: 0,
            before: 0,
            rank: 0,
            after_sum: 0.0,
        }
    }

    fn insert(&mut self, gap: f64, rank: u64) {
        let (octave, bucket) = place(gap);
        let (block, merged) = self.block_of(octave);
        // What was merged into the lowest block goes into its lowest bucket, and so does what comes later.
        let bucket = if octave < self.blocks[block].octave {
            0
        } else {
            bucket
        };
        self.blocks[block].add(bucket, 1, gap);
        self.total += 1;
        self.rank = rank;
        if merged {
            self.seek();
            return;
        }
        match (block, bucket).cmp(&(self.block, self.bucket)) {
            Ordering::Less => self.before += 1,
            Ordering::Equal => {}
            Ordering::Greater => self.after_sum += gap,
        }
        self.follow();
    }

    /// The index of the block for `octave`, and whether blocks were merged to make room for it.
    fn block_of(&mut self, octave: i32) -> (usize, bool) {
        let at = match self.blocks.binary_search_by_key(&octave, |b| b.octave) {
            Ok(at) => return (at, false),
            Err(at) => at,
        };
        let full = self.blocks.len() > OCTAVES;
        if full && at == 1 {
            return (1, false); // Lower than all that is held: into the lowest.
        }
        self.blocks.insert(at, Block::new(octave));
        if full {
            let lowest = self.blocks.remove(1);
            let count = lowest.count.iter().sum();
            self.blocks[1].add(0, count, lowest.sum.iter().sum());
            return (at - 1, true);
        }
        if self.block >= at {
            self.block += 1;
        }
        (at, false)
    }

    /// Moves the pointer to the bucket of the rank, from where it stands.
    fn follow(&mut self) {
        let mut moved = false;
        while self.before > self.rank {
            let (block, bucket) = self.previous();
            (self.block, self.bucket) = (block, bucket);
            self.before -= u64::from(self.blocks[block].count[bucket]);
            moved = true;
        }
        loop {
            let here = u64::from(self.blocks[self.block].count[self.bucket]);
            if self.before + here > self.rank {
                break;
            }
            let Some((block, bucket)) = self.next() else {
                break;
            };
            self.before += here;
            (self.block, self.bucket) = (block, bucket);
            moved = true;
        }
        if moved {
            // Summed anew and not carried along: subtracting what leaves would keep its rounding.
            self.after_sum = self.sum_after();
        }
    }

    /// Finds the bucket of the rank from the beginning.
    fn seek(&mut self) {
        (self.block, self.bucket, self.before) = (0, 0, 0);
        self.follow();
        self.after_sum = self.sum_after();
    }

    fn next(&self) -> Option<(usize, usize)> {
        let rest = self.blocks[self.block]
            .filled
            .checked_shr(trailing(self.bucket) + 1);
        if let Some(rest) = rest.filter(|rest| *rest != 0) {
            return Some((self.block, self.bucket + 1 + rest.trailing_zeros() as usize));
        }
        let later = (self.block + 1..self.blocks.len()).find(|i| self.blocks[*i].filled != 0)?;
        Some((later, self.blocks[later].filled.trailing_zeros() as usize))
    }

    fn previous(&self) -> (usize, usize) {
        let earlier = self.blocks[self.block].filled & ((1_u32 << self.bucket) - 1);
        if earlier != 0 {
            return (self.block, 31 - earlier.leading_zeros() as usize);
        }
        let block = (0..self.block).rev().find(|i| self.blocks[*i].filled != 0);
        let block = block.expect("gaps before the pointer lie in a bucket");
        (
            block,
            31 - self.blocks[block].filled.leading_zeros() as usize,
        )
    }

    fn sum_after(&self) -> f64 {
        let here: f64 = self.blocks[self.block].sum[self.bucket + 1..].iter().sum();
        let later = &self.blocks[self.block + 1..];
        here + later.iter().map(|b| b.sum.iter().sum::<f64>()).sum::<f64>()
    }

    fn shape(&self) -> Option<TailShape> {
        let here = &self.blocks[self.block];
        let count = here.count[self.bucket];
        let above = self.total.checked_sub(self.rank + 1).filter(|n| *n > 0)?;
        let start = here.sum[self.bucket] / f64::from(count.max(1));
        // Those of the pointer's bucket that rank above count as its mean, so they add nothing to the excess.
        let after = self.total - self.before - u64::from(count);
        Some(TailShape {
            start,
            above,
            mean_excess: (self.after_sum - after as f64 * start) / above as f64,
        })
    }

    fn write(&self, to: &mut Writer) {
        to.count(self.blocks.len());
        for block in &self.blocks {
            to.int(i64::from(block.octave));
            to.int(i64::from(block.filled));
            for bucket in (0..BUCKETS).filter(|b| block.filled >> b & 1 == 1) {
                to.int(i64::from(block.count[bucket]));
                to.float(block.sum[bucket]);
            }
        }
        to.float(self.after_sum);
    }

    fn read(quantile: f64, from: &mut Reader<'_>) -> Result<LogTail> {
        let mut tail = LogTail::new();
        tail.blocks.clear();
        for _ in 0..from.count()? {
            let octave = i32::try_from(from.int()?)
                .ok()
                .filter(|o| (ZERO..2048).contains(o));
            let filled = u32::try_from(from.int()?).ok();
            let (Some(octave), Some(filled)) = (octave, filled) else {
                return Err(from.wrong("an octave and its filled buckets"));
            };
            if tail
                .blocks
                .last()
                .map_or(octave != ZERO, |last| octave <= last.octave)
                || tail.blocks.len() > OCTAVES
            {
                return Err(from.wrong("octaves in ascending order"));
            }
            let mut block = Block::new(octave);
            for bucket in (0..BUCKETS).filter(|b| filled >> b & 1 == 1) {
                let count = u32::try_from(from.int()?).ok().filter(|count| *count > 0);
                let sum = from.float()?;
                let Some(count) = count.filter(|_| sum >= 0.0) else {
                    return Err(from.wrong("count and sum of a filled bucket"));
                };
                block.add(bucket, count, sum);
                tail.total += u64::from(count);
            }
            tail.blocks.push(block);
        }
        if tail.blocks.is_empty() {
            return Err(from.wrong("a bucket for gaps of 0"));
        }
        if tail.total > 0 {
            tail.rank = rank(tail.total, quantile);
            tail.seek();
        }
        // Not the sum just found: that one was carried along from insertion to insertion and may differ in its last bit.
        tail.after_sum = from.float()?;
        Ok(tail)
    }
}

fn trailing(bucket: usize) -> u32 {
    #[allow(clippy::cast_possible_truncation)] // Below 32.
    let bucket = bucket as u32;
    bucket
}

/// Octave and bucket of a gap: its exponent and the first five bits of its mantissa.
fn place(gap: f64) -> (i32, usize) {
    if gap <= 0.0 {
        return (ZERO, 0);
    }
    let bits = gap.to_bits();
    #[allow(clippy::cast_possible_truncation)] // 11 and 5 bits.
    let (octave, bucket) = ((bits >> 52) as i32, (bits >> 47 & 31) as usize);
    (octave, bucket)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(gaps: &[f64], quantile: f64) -> Option<TailShape> {
        let mut sorted = gaps.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = usize::try_from(rank(gaps.len() as u64, quantile)).unwrap();
        let above = sorted.len() - 1 - at;
        let sum: f64 = sorted[at + 1..].iter().map(|g| g - sorted[at]).sum();
        (above > 0).then(|| TailShape {
            start: sorted[at],
            above: above as u64,
            mean_excess: sum / above as f64,
        })
    }

    fn gap() -> impl Strategy<Value = f64> {
        prop_oneof![
            3 => Just(0.0),
            3 => 0.0..10.0,
            2 => (1_u32..8).prop_map(f64::from),
            1 => (-60_i32..60).prop_map(|e| 2_f64.powi(e)),
        ]
    }

    proptest! {
        #[test]
        fn the_exact_form_agrees_with_sorting(gaps in prop::collection::vec(gap(), 1..300), q in 0.5..0.99) {
            let mut tail = GapTail::new(Form::Exact);
            for n in 1..=gaps.len() {
                tail.insert(gaps[n - 1], q);
                let want = naive(&gaps[..n], q);
                let got = tail.shape();
                prop_assert_eq!(got.map(|s| (s.start, s.above)), want.map(|s| (s.start, s.above)));
                if let (Some(got), Some(want)) = (got, want) {
                    let scale = want.mean_excess.abs() + want.start + 2_f64.powi(61) * 1e-13;
                    prop_assert!((got.mean_excess - want.mean_excess).abs() <= 1e-9 * scale);
                }
            }
        }

        #[test]
        fn the_bounded_form_is_within_a_bucket(gaps in prop::collection::vec(0.001..1000.0_f64, 1..400), q in 0.5..0.99) {
            let mut tail = GapTail::new(Form::Bounded);
            for n in 1..=gaps.len() {
                tail.insert(gaps[n - 1], q);
                let want = naive(&gaps[..n], q);
                let got = tail.shape();
                prop_assert_eq!(got.map(|s| s.above), want.map(|s| s.above));
                if let (Some(got), Some(want)) = (got, want) {
                    prop_assert!((got.start - want.start).abs() <= want.start / 31.0);
                    prop_assert!((got.mean_excess - want.mean_excess).abs() <= want.start / 15.0);
                }
            }
        }

        #[test]
        fn the_pointer_stands_where_a_search_finds_it(gaps in prop::collection::vec(gap(), 1..600), q in 0.5..0.99) {
            let mut tail = LogTail::new();
            for (n, gap) in gaps.iter().enumerate() {
                tail.insert(*gap, rank(n as u64 + 1, q));
                let mut found = tail.clone();
                found.seek();
                prop_assert_eq!((tail.block, tail.bucket, tail.before), (found.block, found.bucket, found.before));
                prop_assert!((tail.after_sum - found.after_sum).abs() <= 1e-12 * found.after_sum);
            }
            prop_assert!(tail.blocks.len() <= OCTAVES + 1);
        }
    }
}
