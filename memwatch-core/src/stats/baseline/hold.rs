//! Record-hold: one episode gives one alert, unless it gets clearly worse.

use std::collections::VecDeque;

use super::checkpoint::{Reader, Writer};
use crate::Result;

/// The surprises of the last samples: those that could still be the highest.
#[derive(Debug, Clone, Default)]
pub(super) struct RecordHold {
    /// `(sample number, at_ns, surprise)`, surprise descending; zeros are left out.
    highest: VecDeque<(u64, i64, f64)>,
    next: u64,
}

impl RecordHold {
    /// The highest surprise of the last `samples` samples no older than `time_ns`; 0 when there was none.
    pub(super) fn record(&self, at_ns: i64, samples: u64, time_ns: Option<i64>) -> f64 {
        let recent = |(number, at, _): &&(u64, i64, f64)| {
            number + samples >= self.next
                && time_ns.is_none_or(|limit| at_ns.saturating_sub(*at) <= limit)
        };
        self.highest.iter().find(recent).map_or(0.0, |held| held.2)
    }

    /// Takes the surprise of the next sample; `samples` is how many are held.
    pub(super) fn push(&mut self, at_ns: i64, surprise: f64, samples: u64) {
        while self
            .highest
            .front()
            .is_some_and(|held| held.0 + samples <= self.next)
        {
            self.highest.pop_front();
        }
        if surprise > 0.0 {
            while self.highest.back().is_some_and(|held| held.2 <= surprise) {
                self.highest.pop_back();
            }
            self.highest.push_back((self.next, at_ns, surprise));
        }
        self.next += 1;
    }

    pub(super) fn write(&self, to: &mut Writer) {
        to.count(self.highest.len());
        for (number, at_ns, surprise) in &self.highest {
            to.count(usize::try_from(self.next - number).unwrap_or(usize::MAX));
            to.int(*at_ns);
            to.float(*surprise);
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<RecordHold> {
        let mut hold = RecordHold {
            highest: VecDeque::new(),
            next: u64::from(u32::MAX),
        };
        for _ in 0..from.count()? {
            let age = from.count()? as u64;
            let (at_ns, surprise) = (from.int()?, from.float()?);
            if age == 0 || age > hold.next || surprise.is_nan() {
                return Err(from.wrong("age and surprise of a held sample"));
            }
            hold.highest.push_back((hold.next - age, at_ns, surprise));
        }
        Ok(hold)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_new_record_passes() {
        let mut hold = RecordHold::default();
        let mut passed = Vec::new();
        for (i, s) in [0.0, 2.0, 2.0, 1.0, 3.0, 0.0, 0.0, 0.0, 1.0]
            .into_iter()
            .enumerate()
        {
            passed.push(s > hold.record(i as i64, 3, None));
            hold.push(i as i64, s, 3);
        }
        assert_eq!(
            passed,
            [false, true, false, false, true, false, false, false, true]
        );
    }

    proptest! {
        #[test]
        fn agrees_with_a_scan(
            surprises in prop::collection::vec(0_u8..6, 1..200),
            steps in prop::collection::vec(1_i64..10, 200),
            samples in 1_usize..20,
            time_ns in prop::option::of(1_i64..60),
        ) {
            let mut hold = RecordHold::default();
            let mut seen: Vec<(i64, f64)> = Vec::new();
            let mut at = 0;
            for (s, step) in surprises.iter().zip(&steps) {
                at += step;
                let want = seen.iter().rev().take(samples)
                    .filter(|(then, _)| time_ns.is_none_or(|limit| at - then <= limit))
                    .map(|(_, s)| *s).fold(0.0, f64::max);
                prop_assert_eq!(hold.record(at, samples as u64, time_ns), want);
                hold.push(at, f64::from(*s), samples as u64);
                seen.push((at, f64::from(*s)));
            }
        }
    }
}
