//! Time as a row of characters: sparklines, bars and marks for a terminal.

use crate::{TimeRange, Timestamp};

use super::axis::{Axis, Envelope};

/// A row of characters, each standing for as long a stretch of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strip {
    /// What the whole row stands for.
    pub range: TimeRange,
    /// How many characters.
    pub width: usize,
    /// Without characters beyond ASCII.
    pub ascii: bool,
}

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII_LEVELS: [char; 8] = ['_', '.', ',', '-', '~', '=', '*', '#'];

impl Strip {
    /// The character in which an instant lies; the nearest one outside of the range.
    #[must_use]
    pub fn column(&self, at: Timestamp) -> usize {
        let length = i128::from(self.range.duration().0.max(1));
        let width = self.width.max(1);
        let into = i128::from(at.since(self.range.start).0).max(0);
        let column = into * i128::try_from(width).unwrap_or(1) / length;
        usize::try_from(column).unwrap_or(usize::MAX).min(width - 1)
    }

    fn empty(&self) -> Vec<char> {
        vec![if self.ascii { '.' } else { '·' }; self.width]
    }
}

/// A signal: for each character the greatest value in it, from the least of all (lowest) to the greatest (highest). Blank where there is
/// no value.
#[must_use]
pub fn spark(strip: &Strip, axis: &Axis, signal: &Envelope) -> String {
    let mut highest = vec![f64::NAN; strip.width];
    for (bucket, value) in signal.iter().enumerate() {
        if let Some((_, high)) = value {
            // A bucket on the edge of two columns counts for both: its sample may lie in either.
            let (start, end) = (axis.edges()[bucket], axis.edges()[bucket + 1]);
            for place in
                &mut highest[strip.column(Timestamp(start))..=strip.column(Timestamp(end - 1))]
            {
                *place = place.max(high);
            }
        }
    }
    let known = || highest.iter().copied().filter(|v| !v.is_nan());
    let (low, high) = known().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    let levels = if strip.ascii { ASCII_LEVELS } else { BLOCKS };
    let level = |value: f64| {
        if value.is_nan() {
            return ' ';
        }
        let share = if high > low {
            // Halves first: the difference of two great values may be infinite.
            (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)
        } else {
            0.0
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // From 0 to 7.
        levels[(share * 7.0).round().clamp(0.0, 7.0) as usize]
    };
    highest.into_iter().map(level).collect()
}

/// Stretches: `█` where one lies, `▒` for those that only announce themselves (a pending alert).
#[must_use]
pub fn bar(strip: &Strip, stretches: &[(TimeRange, bool)]) -> String {
    let (full, pale) = if strip.ascii {
        ('#', '+')
    } else {
        ('█', '▒')
    };
    let mut row = strip.empty();
    // The full ones last, so that a short one is seen.
    for wanted in [false, true] {
        for (range, is_full) in stretches.iter().filter(|s| s.1 == wanted) {
            let last = Timestamp(range.end.0.saturating_sub(1)).max(range.start);
            for place in &mut row[strip.column(range.start)..=strip.column(last)] {
                *place = if *is_full { full } else { pale };
            }
        }
    }
    row.into_iter().collect()
}

/// Instants: `▼`, or a digit where there are several.
#[must_use]
pub fn marks(strip: &Strip, instants: &[Timestamp]) -> String {
    let mut counts = vec![0u32; strip.width];
    for at in instants {
        counts[strip.column(*at)] += 1;
    }
    let one = if strip.ascii { 'v' } else { '▼' };
    let empty = strip.empty();
    counts
        .iter()
        .zip(empty)
        .map(|(count, empty)| match count {
            0 => empty,
            1 => one,
            n => char::from_digit((*n).min(9), 10).unwrap_or('9'),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Nanos;

    fn range(start: i64, end: i64) -> TimeRange {
        TimeRange {
            start: Timestamp(start),
            end: Timestamp(end),
        }
    }

    fn strip(ascii: bool) -> Strip {
        Strip {
            range: range(0, 100),
            width: 10,
            ascii,
        }
    }

    #[test]
    fn a_row_shows_peaks_gaps_stretches_and_instants() {
        let axis = Axis::new(range(0, 100), 20, &[], Nanos(1), 0);
        let mut signal = Envelope::new(&axis);
        for bucket in (0..20).filter(|b| !(6..8).contains(b)) {
            signal.push(bucket, if bucket == 11 { 70.0 } else { 0.0 });
        }
        signal.push(19, 35.0);
        assert_eq!(spark(&strip(false), &axis, &signal), "▁▁▁ ▁█▁▁▁▅");
        assert_eq!(spark(&strip(true), &axis, &signal), "___ _#___~");
        let nothing = Envelope::new(&axis);
        assert_eq!(spark(&strip(false), &axis, &nothing), " ".repeat(10));

        let stretches = [
            (range(0, 30), false),
            (range(20, 21), true),
            (range(95, 400), true),
        ];
        assert_eq!(bar(&strip(false), &stretches), "▒▒█······█");
        assert_eq!(bar(&strip(true), &stretches), "++#......#");
        let at = [5, 31, 32, 33, 99, 1000].map(Timestamp);
        assert_eq!(marks(&strip(false), &at), "▼··3·····2");
        assert_eq!(marks(&strip(true), &at[..1]), "v.........");
        assert_eq!(strip(false).column(Timestamp(-7)), 0);
    }
}
