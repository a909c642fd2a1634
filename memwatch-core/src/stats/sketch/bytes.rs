//! A sketch as bytes: to be kept in a table, and merged later.

use super::{BUCKETS, Side, Sketch};
use crate::{Error, Result};

/// First bytes: name and version.
const MAGIC: &[u8; 8] = b"mwsketc\x01";

impl Sketch {
    /// The sketch as bytes. Sketches of the same values have the same ones, in whichever order they were taken and merged.
    ///
    /// Little-endian: `mwsketc` and 1; accuracy, least and greatest value (f64); zeros, NaN, +Inf, −Inf (u64); how many buckets of positive
    /// and of negative values (u64); their numbers (i64) and counts (u64), ascending. The sum is left out, as its last bits depend on the
    /// order of merging.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        // −0 and 0 are one value.
        for value in [self.accuracy, self.min + 0.0, self.max + 0.0] {
            bytes.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        let sides = [&self.positive, &self.negative];
        let counts = [self.zeros, self.nans, sides[0].infinite, sides[1].infinite];
        let lengths = sides.map(|side| side.buckets.len() as u64);
        for number in counts.into_iter().chain(lengths) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for (bucket, count) in sides.iter().flat_map(|side| &side.buckets) {
            bytes.extend_from_slice(&i64::from(*bucket).to_le_bytes());
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        bytes
    }

    /// The sketch that [`to_bytes`](Sketch::to_bytes) wrote. Its mean is put together from the buckets, so within the accuracy.
    ///
    /// # Errors
    /// When it did not write these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Sketch> {
        let mut from = Reader(bytes);
        if from.eight("a sketch of version 1")? != *MAGIC {
            return Err(wrong("a sketch of version 1", bytes));
        }
        let accuracy = f64::from_bits(from.number()?);
        if !(1e-4..=0.5).contains(&accuracy) {
            return Err(wrong("an accuracy of 0.0001 to 0.5", bytes));
        }
        let mut sketch = Sketch::new(accuracy);
        sketch.min = f64::from_bits(from.number()?);
        sketch.max = f64::from_bits(from.number()?);
        sketch.zeros = from.number()?;
        sketch.nans = from.number()?;
        let infinite = [from.number()?, from.number()?];
        let lengths = [from.number()?, from.number()?];
        if lengths.iter().any(|length| *length > BUCKETS as u64) {
            return Err(wrong("at most 2048 buckets", bytes));
        }
        let mut sides = [Side::default(), Side::default()];
        let mut total = sketch.zeros;
        for ((side, length), infinite) in sides.iter_mut().zip(lengths).zip(infinite) {
            side.infinite = infinite;
            total = total.saturating_add(infinite);
            for _ in 0..length {
                let bucket = i32::try_from(from.number()?.cast_signed())
                    .map_err(|_| wrong("a bucket of 32 bits", bytes))?;
                let count = from.number()?;
                let ascends = side.buckets.last_key_value().is_none_or(|l| *l.0 < bucket);
                total = total.saturating_add(count);
                if !ascends || count == 0 {
                    return Err(wrong("buckets in order, none empty", bytes));
                }
                side.buckets.insert(bucket, count);
            }
        }
        let ordered = sketch.min <= sketch.max;
        // So many were never taken; and the counts of many sketches must have a sum.
        if !from.0.is_empty() || total.max(sketch.nans) > 1 << 48 || (total > 0 && !ordered) {
            return Err(wrong("a whole sketch", bytes));
        }
        [sketch.positive, sketch.negative] = sides;
        for (side, sign) in [(&sketch.positive, 1.0), (&sketch.negative, -1.0)] {
            let middles = side.buckets.iter().map(|(b, n)| (sketch.middle(*b), *n));
            sketch.sum += sign * middles.map(|(middle, n)| middle * n as f64).sum::<f64>();
        }
        Ok(sketch)
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn eight(&mut self, expected: &'static str) -> Result<[u8; 8]> {
        let (bytes, rest) = self
            .0
            .split_first_chunk::<8>()
            .ok_or_else(|| wrong(expected, self.0))?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn number(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(
            self.eight("a sketch that does not end in the middle")?,
        ))
    }
}

fn wrong(expected: &'static str, found: &[u8]) -> Error {
    Error::Value {
        expected,
        found: format!("{} bytes of something else", found.len()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::new(0.01);
        values.iter().for_each(|v| sketch.accumulate(*v));
        sketch
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            Just(0.0),
            Just(-0.0),
            Just(f64::NAN),
            Just(f64::INFINITY),
            -1e6..1e6_f64
        ]
    }

    proptest! {
        #[test]
        fn bytes_do_not_depend_on_the_order(values in prop::collection::vec(value(), 0..80), cut in any::<prop::sample::Index>(), q in 0.0..=1.0_f64) {
            let whole = sketch(&values);
            let cut = cut.index(values.len() + 1);
            let mut parts = sketch(&values[cut..]);
            parts.merge(&sketch(&values[..cut]));
            prop_assert_eq!(whole.to_bytes(), parts.to_bytes());
            let read = Sketch::from_bytes(&whole.to_bytes()).unwrap();
            prop_assert_eq!(read.to_bytes(), whole.to_bytes());
            prop_assert_eq!((read.count(), read.nans(), read.quantile(q)), (whole.count(), whole.nans(), whole.quantile(q)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..120), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let _ = Sketch::from_bytes(&bytes);
            let mut changed = sketch(&[1.0, -2.0, 0.0, 5.0]).to_bytes();
            let at = at.index(changed.len());
            changed[at] = byte;
            if let Ok(mut read) = Sketch::from_bytes(&changed)
                && read.accuracy == 0.01
            {
                read.merge(&sketch(&[3.0]));
                let _ = read.quantile(0.5);
            }
            prop_assert!(Sketch::from_bytes(&changed[..changed.len() - 1]).is_err());
        }
    }

    #[test]
    fn the_mean_survives_within_the_accuracy() {
        let values: Vec<f64> = (1..1000).map(f64::from).collect();
        let read = Sketch::from_bytes(&sketch(&values).to_bytes()).unwrap();
        assert!((read.mean().unwrap() / 500.0 - 1.0).abs() < 0.01);
    }
}
