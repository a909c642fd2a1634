//! Exact quantiles and the median absolute deviation of the window before each row.
//!
//! A column is cut into chunks of some windows. The rows of a chunk are ranked once; a window then is a set of bits, one a rank. From row
//! to row a bit is set and a few are cleared, and the bit of the wanted order is at most a few bits away from where it was.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::stream::Width;
use crate::stats::quantile::{SortedWindow, median_absolute_deviation, order, quantile};
use crate::stats::sliding::Bounds;

/// Chunks are at least this long beyond their first window.
const CHUNK: usize = 4096;

/// For each row the quantiles (R-7) `qs` of the last `rows` rows up to it, of as many as there are near the beginning; `out[k]` belongs to
/// `qs[k]` and is as long as `values`.
///
/// The values of [`quantile`], to the last bit: NaN ranks before all others; −Inf for a `q` below 0, +Inf above 1.
///
/// ```
/// # use memwatch_core::stats::window::quantiles_by_count;
/// let (mut median, mut p90) = ([0.0; 4], [0.0; 4]);
/// quantiles_by_count(&[0.5, 0.9], &[4.0, 8.0, 2.0, 6.0], 3, &mut [&mut median, &mut p90]);
/// assert_eq!(median, [4.0, 6.0, 4.0, 6.0]);
/// ```
///
/// # Panics
/// When the lengths differ or `rows` is 0.
pub fn quantiles_by_count(qs: &[f64], values: &[f64], rows: usize, out: &mut [&mut [f64]]) {
    assert!(rows > 0, "a window of at least one row");
    quantiles(qs, values, |i| (i + 1).saturating_sub(rows), out);
}

/// As [`quantiles_by_count`], of the rows that are less than `width_ns` older: a window `(t − width, t]`.
///
/// # Panics
/// When the lengths differ, times do not ascend or the width is not positive.
pub fn quantiles_by_time(
    qs: &[f64],
    at_ns: &[i64],
    values: &[f64],
    width_ns: i64,
    out: &mut [&mut [f64]],
) {
    assert_eq!(at_ns.len(), values.len(), "one value a time");
    quantiles(qs, values, starts(at_ns, width_ns), out);
}

/// For each row the median distance of the last `rows` rows from their median; NaN with a NaN.
///
/// # Panics
/// When the lengths differ or `rows` is 0.
pub fn mad_by_count(values: &[f64], rows: usize, out: &mut [f64]) {
    assert!(rows > 0, "a window of at least one row");
    mad(values, |i| (i + 1).saturating_sub(rows), out);
}

/// As [`mad_by_count`], of the rows that are less than `width_ns` older.
///
/// # Panics
/// When the lengths differ, times do not ascend or the width is not positive.
pub fn mad_by_time(at_ns: &[i64], values: &[f64], width_ns: i64, out: &mut [f64]) {
    assert_eq!(at_ns.len(), values.len(), "one value a time");
    mad(values, starts(at_ns, width_ns), out);
}

/// The quantiles (R-7) `qs` of given windows: `each` is told the number of a window that has rows, and the quantiles as `qs` gave them for
/// it. The values of [`quantile`], but for the sign of a zero. Linear in rows and windows where windows ascend and `qs` stay the same.
///
/// ```
/// # use memwatch_core::stats::{sliding::Bounds, window::quantiles_within};
/// let bounds = Bounds { from: vec![0, 2], to: vec![3, 4] };
/// let mut found = Vec::new();
/// quantiles_within(&[4.0, 8.0, 2.0, 6.0], &bounds, 1, |_, qs| qs[0] = 0.5, |_, values| found.push(values[0]));
/// assert_eq!(found, [4.0, 4.0]);
/// ```
///
/// # Panics
/// When a window has rows that `values` have not.
pub fn quantiles_within(
    values: &[f64],
    bounds: &Bounds,
    count: usize,
    mut qs: impl FnMut(usize, &mut [f64]),
    mut each: impl FnMut(usize, &[f64]),
) {
    let mut cursors = vec![Cursor::default(); count];
    let fresh = |cursors: &mut Vec<Cursor>| cursors.fill(Cursor::default());
    let (mut wanted, mut found) = (vec![0.0; count], vec![0.0; count]);
    each_within(values, bounds, &mut cursors, fresh, |w, ranks, cursors| {
        qs(w, &mut wanted);
        for ((q, cursor), found) in wanted.iter().zip(cursors).zip(&mut found) {
            *found = ranks.quantile(*q, cursor);
        }
        each(w, &found);
    });
}

/// The median distance from the median of given windows, as [`quantiles_within`]; NaN with a NaN.
///
/// # Panics
/// When a window has rows that `values` have not.
pub fn mad_within(values: &[f64], bounds: &Bounds, mut each: impl FnMut(usize, f64)) {
    let mut state = (Cursor::default(), Middle::default());
    let fresh = |state: &mut (Cursor, Middle)| *state = Default::default();
    each_within(
        values,
        bounds,
        &mut state,
        fresh,
        |w, ranks, (cursor, middle)| {
            each(w, ranks.mad(cursor, middle));
        },
    );
}

/// The first row of the window of each row, asked in order.
fn starts(at_ns: &[i64], width_ns: i64) -> impl FnMut(usize) -> usize + '_ {
    assert!(width_ns > 0, "a window of positive width");
    let mut first = 0;
    move |i| {
        let edge = at_ns[i].saturating_sub(width_ns);
        while at_ns[first] <= edge {
            first += 1;
        }
        first
    }
}

fn quantiles(
    qs: &[f64],
    values: &[f64],
    start: impl FnMut(usize) -> usize,
    out: &mut [&mut [f64]],
) {
    assert!(
        qs.len() == out.len() && out.iter().all(|o| o.len() == values.len()),
        "a column a quantile"
    );
    let mut cursors = vec![Cursor::default(); qs.len()];
    let fresh = |cursors: &mut Vec<Cursor>| cursors.fill(Cursor::default());
    each_window(values, start, &mut cursors, fresh, |i, ranks, cursors| {
        for ((q, cursor), out) in qs.iter().zip(cursors.iter_mut()).zip(out.iter_mut()) {
            out[i] = ranks.quantile(*q, cursor);
        }
    });
}

fn mad(values: &[f64], start: impl FnMut(usize) -> usize, out: &mut [f64]) {
    assert_eq!(values.len(), out.len(), "one result a value");
    let mut state = (Cursor::default(), Middle::default());
    let fresh = |state: &mut (Cursor, Middle)| *state = Default::default();
    each_window(
        values,
        start,
        &mut state,
        fresh,
        |i, ranks, (cursor, middle)| {
            out[i] = ranks.mad(cursor, middle);
        },
    );
}

/// What follows the insertions and removals of a window.
trait Follows {
    fn inserted(&mut self, rank: usize);
    fn removed(&mut self, rank: usize);
}

/// A place between ranks, and how many of the window are below it.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    at: usize,
    below: usize,
}

impl Follows for Cursor {
    #[inline]
    fn inserted(&mut self, rank: usize) {
        self.below += usize::from(rank < self.at);
    }
    #[inline]
    fn removed(&mut self, rank: usize) {
        self.below -= usize::from(rank < self.at);
    }
}

impl Follows for Vec<Cursor> {
    #[inline]
    fn inserted(&mut self, rank: usize) {
        self.iter_mut().for_each(|cursor| cursor.inserted(rank));
    }
    #[inline]
    fn removed(&mut self, rank: usize) {
        self.iter_mut().for_each(|cursor| cursor.removed(rank));
    }
}

/// The ranks `low..=high` nearest to the median, and how many of the window they are.
#[derive(Debug, Clone, Copy)]
struct Middle {
    low: usize,
    high: usize,
    count: usize,
}

impl Default for Middle {
    fn default() -> Middle {
        Middle {
            low: 1,
            high: 0,
            count: 0,
        }
    }
}

impl Follows for (Cursor, Middle) {
    #[inline]
    fn inserted(&mut self, rank: usize) {
        self.0.inserted(rank);
        self.1.count += usize::from(self.1.low <= rank && rank <= self.1.high);
    }
    #[inline]
    fn removed(&mut self, rank: usize) {
        self.0.removed(rank);
        self.1.count -= usize::from(self.1.low <= rank && rank <= self.1.high);
    }
}

/// The rows of a chunk by rank, and which of them are in the window.
#[derive(Debug, Default)]
struct Ranks {
    sorted: Vec<f64>,
    /// Of each row of the chunk.
    rank: Vec<u32>,
    bits: Vec<u64>,
    /// Rows in the window, and those of them that are NaN or infinite.
    count: usize,
    not_finite: usize,
    order: Vec<(u64, u32)>,
    /// Where each bucket of a sort ends.
    ends: Vec<u32>,
}

fn each_window<S: Follows>(
    values: &[f64],
    mut start: impl FnMut(usize) -> usize,
    state: &mut S,
    fresh: impl Fn(&mut S),
    mut each: impl FnMut(usize, &Ranks, &mut S),
) {
    let mut ranks = Ranks::default();
    let mut begin = 0;
    while begin < values.len() {
        let mut first = start(begin);
        let base = first;
        let end = values.len().min(begin + CHUNK.max(4 * (begin - first + 1)));
        ranks.load(&values[base..end]);
        fresh(state);
        for i in first..begin {
            ranks.insert(i - base, state);
        }
        for i in begin..end {
            let from = if i == begin { first } else { start(i) };
            ranks.insert(i - base, state);
            while first < from {
                ranks.remove(first - base, state);
                first += 1;
            }
            each(i, &ranks, state);
        }
        begin = end;
    }
}

/// The given windows that have rows.
fn each_within<S: Follows>(
    values: &[f64],
    bounds: &Bounds,
    state: &mut S,
    fresh: impl Fn(&mut S),
    mut each: impl FnMut(usize, &Ranks, &mut S),
) {
    let mut ranks = Ranks::default();
    // Rows that are ranked, and those of them that are in the window.
    let (mut chunk, mut held) = (0..0, 0..0);
    for window in 0..bounds.len() {
        let rows = bounds.range(window);
        if rows.is_empty() {
            continue;
        }
        if rows.end > chunk.end || rows.start < held.start || rows.end < held.end {
            let end = rows.end + CHUNK.max(4 * rows.len());
            chunk = rows.start..end.min(values.len());
            ranks.load(&values[chunk.clone()]);
            fresh(state);
            held = rows.start..rows.start;
        }
        for row in held.end.max(rows.start)..rows.end {
            ranks.insert(row - chunk.start, state);
        }
        for row in held.start..held.end.min(rows.start) {
            ranks.remove(row - chunk.start, state);
        }
        held = rows;
        each(window, &ranks, state);
    }
}

/// A whole number in the order of values: NaN first, then −Inf … +Inf.
#[inline]
fn key(value: f64) -> u64 {
    let bits = value.to_bits();
    if value.is_nan() {
        0
    } else if bits >> 63 == 1 {
        !bits
    } else {
        bits | 1 << 63
    }
}

impl Ranks {
    /// Ranks the rows of a chunk; none is in the window.
    fn load(&mut self, rows: &[f64]) {
        assert!(
            u32::try_from(rows.len()).is_ok(),
            "fewer than 2^32 rows in a window"
        );
        self.sort(rows);
        self.rank.clear();
        self.rank.resize(rows.len(), 0);
        self.sorted.clear();
        for (rank, (_, row)) in self.order.iter().enumerate() {
            #[allow(clippy::cast_possible_truncation)] // Asserted.
            let rank = rank as u32;
            self.rank[*row as usize] = rank;
            self.sorted.push(rows[*row as usize]);
        }
        self.bits.clear();
        self.bits.resize(rows.len() / 64 + 1, 0);
        (self.count, self.not_finite) = (0, 0);
    }

    /// Rows by value: dealt into about as many buckets as there are rows, equally wide from the least to the greatest, then each bucket
    /// sorted. Where values crowd into few buckets this is the usual sort.
    fn sort(&mut self, rows: &[f64]) {
        let keys = || rows.iter().map(|value| key(*value));
        let least = keys().min().unwrap_or(0);
        let range = keys().max().unwrap_or(0) - least;
        let bits = rows.len().next_power_of_two().trailing_zeros();
        let shift = (u64::BITS - range.leading_zeros()).saturating_sub(bits);
        #[allow(clippy::cast_possible_truncation)] // About the number of rows.
        let bucket = |key: u64| ((key - least) >> shift) as usize;
        self.ends.clear();
        self.ends.resize(bucket(least + range) + 1, 0);
        keys().for_each(|key| self.ends[bucket(key)] += 1);
        let mut begin = 0;
        for end in &mut self.ends {
            begin += *end;
            *end = begin - *end;
        }
        self.order.clear();
        self.order.resize(rows.len(), (0, 0));
        for (row, key) in (0_u32..).zip(keys()) {
            let place = &mut self.ends[bucket(key)];
            self.order[*place as usize] = (key, row);
            *place += 1;
        }
        let mut begin = 0;
        for end in &self.ends {
            let end = *end as usize;
            if end > begin + 1 {
                self.order[begin..end].sort_unstable();
            }
            begin = end;
        }
    }

    #[inline]
    fn insert(&mut self, row: usize, state: &mut impl Follows) {
        let rank = self.rank[row] as usize;
        self.bits[rank / 64] |= 1 << (rank % 64);
        self.count += 1;
        self.not_finite += usize::from(!self.sorted[rank].is_finite());
        state.inserted(rank);
    }

    #[inline]
    fn remove(&mut self, row: usize, state: &mut impl Follows) {
        let rank = self.rank[row] as usize;
        self.bits[rank / 64] &= !(1 << (rank % 64));
        self.count -= 1;
        self.not_finite -= usize::from(!self.sorted[rank].is_finite());
        state.removed(rank);
    }

    /// The first rank of the window that is at least `rank`.
    #[inline]
    fn next(&self, rank: usize) -> Option<usize> {
        let mut word = rank / 64;
        let mut bits = *self.bits.get(word)? & (!0 << (rank % 64));
        while bits == 0 {
            word += 1;
            bits = *self.bits.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }

    /// The last rank of the window that is below `rank`.
    #[inline]
    fn previous(&self, rank: usize) -> Option<usize> {
        let mut word = rank / 64;
        let mut bits = self
            .bits
            .get(word)
            .map_or(0, |bits| bits & !(!0 << (rank % 64)));
        while bits == 0 {
            word = word.checked_sub(1)?;
            bits = self.bits[word];
        }
        Some(word * 64 + 63 - bits.leading_zeros() as usize)
    }

    /// The rank of the window's value of order `k`, which exists; the cursor stands there then.
    #[inline]
    fn select(&self, k: usize, cursor: &mut Cursor) -> usize {
        while cursor.below > k {
            cursor.at = self.previous(cursor.at).expect("that many are below");
            cursor.below -= 1;
        }
        cursor.at = self.next(cursor.at).expect("so many are in the window");
        while cursor.below < k {
            cursor.at = self.next(cursor.at + 1).expect("so many are in the window");
            cursor.below += 1;
        }
        cursor.at
    }

    /// [`quantile`] of the window, not empty.
    #[inline]
    fn quantile(&self, q: f64, cursor: &mut Cursor) -> f64 {
        if !(0.0..=1.0).contains(&q) {
            return quantile(q, &self.sorted);
        }
        let last = self.count - 1;
        let rank = q * last as f64;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Between 0 and `last`.
        let lower = (rank as usize).min(last);
        let weight = rank - lower as f64;
        let at = self.select(lower, cursor);
        let below = self.sorted[at];
        let above = if lower < last {
            self.next(at + 1).map_or(below, |above| self.sorted[above])
        } else {
            below
        };
        below * (1.0 - weight) + above * weight
    }

    /// [`median_absolute_deviation`] of the window, not empty.
    fn mad(&self, cursor: &mut Cursor, middle: &mut Middle) -> f64 {
        if self.not_finite > 0 {
            // Distances from an infinite median are no numbers; rare enough to be looked at one by one.
            let mut ranks = self.next(0);
            let mut window = Vec::with_capacity(self.count);
            while let Some(rank) = ranks {
                window.push(self.sorted[rank]);
                ranks = self.next(rank + 1);
            }
            return median_absolute_deviation(&window);
        }
        let median = self.quantile(0.5, cursor);
        let distance = |rank: usize| (self.sorted[rank] - median).abs();
        let k = (self.count - 1) / 2;
        let wanted = (k + 2).min(self.count);
        if middle.count == 0 {
            *middle = Middle {
                low: cursor.at,
                high: cursor.at,
                count: 1,
            };
        }
        // A removed end leaves a place that is not in the window.
        let mut low = self.next(middle.low).expect("some are in the middle");
        let mut high = self
            .previous(middle.high + 1)
            .expect("some are in the middle");
        let mut count = middle.count;
        while count < wanted {
            let (before, after) = (self.previous(low), self.next(high + 1));
            match (before, after) {
                (Some(before), Some(after)) if distance(before) <= distance(after) => low = before,
                (Some(before), None) => low = before,
                (_, Some(after)) => high = after,
                (None, None) => break,
            }
            count += 1;
        }
        while count > wanted {
            if distance(low) >= distance(high) {
                low = self.next(low + 1).expect("more are in the middle");
            } else {
                high = self.previous(high).expect("more are in the middle");
            }
            count -= 1;
        }
        while let Some(before) = self
            .previous(low)
            .filter(|before| distance(*before) < distance(high))
        {
            low = before;
            high = self.previous(high).expect("more are in the middle");
        }
        while let Some(after) = self
            .next(high + 1)
            .filter(|after| distance(*after) < distance(low))
        {
            high = after;
            low = self.next(low + 1).expect("more are in the middle");
        }
        *middle = Middle { low, high, count };
        // The farthest of the middle has order k + 1, the farthest of the rest order k.
        let farthest = distance(low).max(distance(high));
        if wanted < k + 2 {
            return farthest;
        }
        let rest = if distance(low) >= distance(high) {
            distance(self.next(low + 1).unwrap_or(high)).max(distance(high))
        } else {
            distance(low).max(distance(self.previous(high).unwrap_or(low)))
        };
        let weight = 0.5 * (self.count - 1) as f64 - k as f64;
        rest * (1.0 - weight) + farthest * weight
    }
}

/// The window before the newest row, kept sorted: for small windows, row by row.
///
/// ```
/// # use memwatch_core::stats::window::{RankedStream, Width};
/// let mut window = RankedStream::new(Width::Rows(3));
/// for (i, value) in [4.0, 8.0, 2.0, 6.0].into_iter().enumerate() {
///     window.push(i as i64, value);
/// }
/// assert_eq!((window.quantile(0.5), window.mad()), (6.0, 2.0));
/// ```
#[derive(Debug, Clone)]
pub struct RankedStream {
    width: Width,
    rows: VecDeque<(i64, f64)>,
    sorted: SortedWindow,
}

impl RankedStream {
    /// A window with no rows yet.
    ///
    /// # Panics
    /// When the width is not positive.
    #[must_use]
    pub fn new(width: Width) -> RankedStream {
        assert!(
            !matches!(width, Width::Rows(0) | Width::Time(..=0)),
            "a window of positive width"
        );
        RankedStream {
            width,
            rows: VecDeque::new(),
            sorted: SortedWindow::default(),
        }
    }

    /// Takes the next row.
    ///
    /// # Panics
    /// When `at_ns` is before that of the row before.
    pub fn push(&mut self, at_ns: i64, value: f64) {
        assert!(
            self.rows.back().is_none_or(|last| last.0 <= at_ns),
            "times ascend"
        );
        self.rows.push_back((at_ns, value));
        self.sorted.insert(value);
        while let Some((then, value)) = self.rows.front().copied() {
            let outside = match self.width {
                Width::Rows(rows) => self.rows.len() > rows,
                Width::Time(width) => then <= at_ns.saturating_sub(width),
            };
            if !outside {
                break;
            }
            self.rows.pop_front();
            self.sorted.remove(value);
        }
    }

    /// The values of the window, sorted, NaN first.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        self.sorted.values()
    }

    /// A quantile (R-7) of the window; NaN of no rows.
    #[must_use]
    pub fn quantile(&self, q: f64) -> f64 {
        quantile(q, self.sorted.values())
    }

    /// The median distance from the median; NaN of no rows, or with a NaN.
    #[must_use]
    pub fn mad(&self) -> f64 {
        let sorted = self.sorted.values();
        let finite = sorted.first().is_some_and(|v| v.is_finite())
            && sorted.last().is_some_and(|v| v.is_finite());
        if !finite {
            return median_absolute_deviation(sorted);
        }
        // The distances ascend to either side of the median: merged from the inside as far as the middle one.
        let median = quantile(0.5, sorted);
        let split = sorted.partition_point(|v| order(*v, median) == Ordering::Less);
        let (mut below, mut above) = (split, split);
        let k = (sorted.len() - 1) / 2;
        let (mut before, mut last) = (0.0, 0.0);
        for _ in 0..(k + 2).min(sorted.len()) {
            let down = below
                .checked_sub(1)
                .map_or(f64::INFINITY, |i| (sorted[i] - median).abs());
            let up = sorted
                .get(above)
                .map_or(f64::INFINITY, |v| (v - median).abs());
            before = last;
            if down <= up && below > 0 {
                below -= 1;
                last = down;
            } else {
                above += 1;
                last = up;
            }
        }
        if sorted.len() == 1 {
            return last;
        }
        let weight = 0.5 * (sorted.len() - 1) as f64 - k as f64;
        before * (1.0 - weight) + last * weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn given_windows_are_as_if_each_were_sorted(
            values in prop::collection::vec(prop_oneof![1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 20 => -5.0..5.0f64, 3 => Just(1.0)], 1..80),
            ends in prop::collection::vec((0usize..80, 0usize..40), 0..40), ascends in any::<bool>(), q in -0.1..1.1f64,
        ) {
            let mut windows: Vec<(usize, usize)> = ends.into_iter().map(|(to, rows)| {
                let to = to.min(values.len());
                (to.saturating_sub(rows), to)
            }).collect();
            if ascends {
                windows.sort_by_key(|w| w.1);
            }
            let bounds = Bounds {
                from: windows.iter().map(|w| u32::try_from(w.0).unwrap()).collect(),
                to: windows.iter().map(|w| u32::try_from(w.1).unwrap()).collect(),
            };
            let sorted = |window: usize| {
                let mut rows = values[bounds.range(window)].to_vec();
                rows.sort_by(|a, b| order(*a, *b));
                rows
            };
            let filled = || (0..windows.len()).filter(|w| !bounds.range(*w).is_empty());
            let same = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan();
            let mut found = Vec::new();
            let asked = |_: usize, qs: &mut [f64]| qs.copy_from_slice(&[q, 0.5]);
            quantiles_within(&values, &bounds, 2, asked, |window, both| found.push((window, both[0], both[1])));
            prop_assert!(found.iter().map(|f| f.0).eq(filled()));
            for (window, at_q, median) in found {
                let rows = sorted(window);
                prop_assert!(same(at_q, quantile(q, &rows)) && same(median, quantile(0.5, &rows)), "{:?} {} {}", rows, at_q, median);
            }
            let mut found = Vec::new();
            mad_within(&values, &bounds, |window, mad| found.push((window, mad)));
            prop_assert!(found.iter().map(|f| f.0).eq(filled()));
            for (window, mad) in found {
                let expected = median_absolute_deviation(&sorted(window));
                prop_assert!(same(mad, expected) || (mad - expected).abs() < 1e-12, "{} {}", mad, expected);
            }
        }
    }
}
