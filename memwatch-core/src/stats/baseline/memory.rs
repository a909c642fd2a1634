//! The values that a feature has taken: how far away is the nearest one?

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::Form;
use super::checkpoint::{Reader, Writer};
use crate::Result;

/// Representatives that stay after a compaction of the bounded form.
const KEPT: usize = 512;
/// Representatives at which the bounded form compacts.
const FULL: usize = 1024;

/// The value memory `V` of one feature.
#[derive(Debug, Clone)]
pub(super) enum GapMemory {
    /// Every distinct value.
    Exact(BTreeSet<Value>),
    /// At most [`FULL`] values, ascending, each once.
    Bounded(Vec<f64>),
}

/// A finite number with an order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Value(f64);

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Value) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl GapMemory {
    pub(super) fn new(form: Form) -> GapMemory {
        match form {
            Form::Exact => GapMemory::Exact(BTreeSet::new()),
            Form::Bounded => GapMemory::Bounded(Vec::with_capacity(FULL)),
        }
    }

    /// The remembered value nearest to `y`, the lower one at equal distance; `None` when nothing is remembered yet. Beside it the place
    /// where `y` belongs, to be given to [`insert`](GapMemory::insert) if nothing else is inserted in between.
    pub(super) fn nearest(&self, y: f64) -> (Option<f64>, usize) {
        let mut place = 0;
        let (below, above) = match self {
            GapMemory::Exact(values) => (
                values.range(..=Value(y)).next_back().map(|v| v.0),
                values.range(Value(y)..).next().map(|v| v.0),
            ),
            GapMemory::Bounded(values) => {
                let at = values.partition_point(|v| *v < y);
                place = at;
                let below = at.checked_sub(1).map(|i| values[i]);
                (below, values.get(at).copied())
            }
        };
        let nearest = match (below, above) {
            (Some(below), Some(above)) if above - y < y - below => Some(above),
            (Some(below), _) => Some(below),
            (None, above) => above,
        };
        (nearest, place)
    }

    /// Remembers `y`, finite, at its place. A value that is known already changes nothing.
    pub(super) fn insert(&mut self, y: f64, place: usize) {
        let y = y + 0.0; // -0.0 is 0.0
        match self {
            GapMemory::Exact(values) => {
                values.insert(Value(y));
            }
            GapMemory::Bounded(values) => {
                debug_assert_eq!(place, values.partition_point(|v| *v < y));
                if values.get(place) != Some(&y) {
                    values.insert(place, y);
                    if values.len() >= FULL {
                        compact(values);
                    }
                }
            }
        }
    }

    /// Bytes that this memory holds.
    pub(super) fn size_bytes(&self) -> usize {
        match self {
            GapMemory::Exact(values) => values.len() * size_of::<Value>(),
            GapMemory::Bounded(values) => values.capacity() * size_of::<f64>(),
        }
    }

    pub(super) fn write(&self, to: &mut Writer) {
        match self {
            GapMemory::Exact(values) => to.floats(values.iter().map(|v| v.0)),
            GapMemory::Bounded(values) => to.floats(values.iter().copied()),
        }
    }

    pub(super) fn read(form: Form, from: &mut Reader<'_>) -> Result<GapMemory> {
        let values = from.floats()?;
        if values.windows(2).any(|w| w[0] >= w[1]) {
            return Err(from.wrong("remembered values in ascending order"));
        }
        match form {
            Form::Exact => Ok(GapMemory::Exact(values.into_iter().map(Value).collect())),
            Form::Bounded if values.len() >= FULL => {
                Err(from.wrong("fewer than 1024 remembered values"))
            }
            Form::Bounded => {
                let mut kept = Vec::with_capacity(FULL);
                kept.extend(values);
                Ok(GapMemory::Bounded(kept))
            }
        }
    }
}

/// Leaves [`KEPT`] of the ascending `values`: drops inner ones whose neighbours are closest together, never the extremes.
///
/// In rounds, so that one compaction costs a few passes and not a heap operation a value: each round drops the values of least
/// distance, but no two next to one another, since dropping the first moves the neighbours of the second apart.
fn compact(values: &mut Vec<f64>) {
    let mut distance = Vec::with_capacity(values.len());
    while values.len() > KEPT {
        let surplus = values.len() - KEPT;
        distance.clear();
        distance.extend(values.windows(3).map(|w| w[2] - w[0]));
        let (_, limit, _) = distance.select_nth_unstable_by(surplus - 1, f64::total_cmp);
        let limit = *limit;
        let (mut kept, mut left, mut neighbour_dropped) = (1, surplus, false);
        for i in 1..values.len() - 1 {
            // `values[i - 1]` may have been overwritten, but then it was not dropped and still stands at `kept - 1`.
            let close = !neighbour_dropped && left > 0 && values[i + 1] - values[kept - 1] <= limit;
            neighbour_dropped = close;
            if close {
                left -= 1;
            } else {
                values[kept] = values[i];
                kept += 1;
            }
        }
        values[kept] = values[values.len() - 1];
        values.truncate(kept + 1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl GapMemory {
        fn add(&mut self, y: f64) {
            let (_, place) = self.nearest(y);
            self.insert(y, place);
        }

        fn near(&self, y: f64) -> Option<f64> {
            self.nearest(y).0
        }
    }

    #[test]
    fn the_nearest_of_nothing_is_nothing() {
        for form in [Form::Exact, Form::Bounded] {
            let mut memory = GapMemory::new(form);
            assert_eq!(memory.near(1.0), None);
            memory.add(-0.0);
            memory.add(0.0);
            memory.add(10.0);
            assert_eq!(memory.near(4.0), Some(0.0));
            assert_eq!(memory.near(6.0), Some(10.0));
            assert_eq!(memory.near(5.0), Some(0.0));
            assert_eq!(memory.near(f64::MAX), Some(10.0));
        }
    }

    #[test]
    fn compaction_keeps_the_extremes_and_the_lonely() {
        // 1,000 values a step of 1 apart, and 24 far away ones: those must stay.
        let mut memory = GapMemory::new(Form::Bounded);
        for i in 0..1000 {
            memory.add(f64::from(i));
        }
        for i in 1..=24 {
            memory.add(10_000.0 * f64::from(i));
        }
        let GapMemory::Bounded(values) = &memory else {
            panic!("asked for the bounded form");
        };
        assert_eq!(values.len(), KEPT);
        assert_eq!(values[0], 0.0);
        for i in 1..=24 {
            assert_eq!(
                memory.near(10_000.0 * f64::from(i) + 5.0),
                Some(10_000.0 * f64::from(i))
            );
        }
        let GapMemory::Bounded(values) = &memory else {
            unreachable!()
        };
        let widest = values
            .windows(2)
            .take_while(|w| w[1] < 1000.0)
            .map(|w| w[1] - w[0]);
        assert!(
            widest.fold(0.0, f64::max) <= 4.0,
            "spread evenly: {values:?}"
        );
    }

    proptest! {
        #[test]
        fn both_forms_agree_with_a_scan(values in prop::collection::vec(-50_i32..50, 1..400), probe in -60_i32..60) {
            let scan = values.iter().map(|v| (f64::from(*v) - f64::from(probe)).abs()).fold(f64::INFINITY, f64::min);
            for form in [Form::Exact, Form::Bounded] {
                let mut memory = GapMemory::new(form);
                values.iter().for_each(|v| memory.add(f64::from(*v)));
                let nearest = memory.near(f64::from(probe)).unwrap();
                prop_assert_eq!((nearest - f64::from(probe)).abs(), scan);
            }
        }

        #[test]
        fn the_bounded_form_stays_ascending_and_bounded(values in prop::collection::vec(-1e12_f64..1e12, 1500..3000)) {
            let mut memory = GapMemory::new(Form::Bounded);
            values.iter().for_each(|v| memory.add(*v));
            let GapMemory::Bounded(kept) = &memory else { panic!("asked for the bounded form") };
            prop_assert!(kept.len() < FULL && kept.len() >= KEPT.min(values.len()));
            prop_assert!(kept.windows(2).all(|w| w[0] < w[1]));
            prop_assert_eq!(kept[0], values.iter().copied().fold(f64::INFINITY, f64::min));
            prop_assert_eq!(kept[kept.len() - 1], values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        }
    }
}
