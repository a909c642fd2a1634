//! A fixed number of yes/no values, one bit each: at which evaluations a series has a value.

/// A fixed number of yes/no values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    /// `len` times no.
    #[must_use]
    pub fn none(len: usize) -> Bits {
        Bits {
            words: vec![0; len.div_ceil(64)],
            len,
        }
    }

    /// `len` times yes.
    #[must_use]
    pub fn all(len: usize) -> Bits {
        let mut words = vec![u64::MAX; len.div_ceil(64)];
        if let Some(last) = words.last_mut()
            && !len.is_multiple_of(64)
        {
            *last = (1 << (len % 64)) - 1;
        }
        Bits { words, len }
    }

    /// How many values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no values at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of index `i`, which must be below [`Bits::len`].
    #[must_use]
    pub fn get(&self, i: usize) -> bool {
        debug_assert!(i < self.len);
        self.words[i / 64] >> (i % 64) & 1 == 1
    }

    /// Makes index `i` a yes.
    pub fn set(&mut self, i: usize) {
        debug_assert!(i < self.len);
        self.words[i / 64] |= 1 << (i % 64);
    }

    /// Sets the values from index `64 × word` on at once: bit `i` is the value of index `64 × word + i`; bits beyond the end are dropped.
    pub(crate) fn set_word(&mut self, word: usize, bits: u64) {
        let count = self.len.saturating_sub(word * 64);
        let kept = if count < 64 {
            (1 << count) - 1
        } else {
            u64::MAX
        };
        if let Some(slot) = self.words.get_mut(word) {
            *slot = bits & kept;
        }
    }

    /// Makes index `i` a no.
    pub fn clear(&mut self, i: usize) {
        debug_assert!(i < self.len);
        self.words[i / 64] &= !(1 << (i % 64));
    }

    /// Whether there is a yes.
    #[must_use]
    pub fn any(&self) -> bool {
        self.words.iter().any(|w| *w != 0)
    }

    /// How many yes.
    #[must_use]
    pub fn count(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// The indices of every yes, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(w, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                (rest != 0).then(|| {
                    let bit = rest.trailing_zeros() as usize;
                    rest &= rest - 1;
                    w * 64 + bit
                })
            })
        })
    }

    /// The first yes from index `from` on.
    #[must_use]
    pub fn next(&self, from: usize) -> Option<usize> {
        let first = self.words.get(from / 64)? & (u64::MAX << (from % 64));
        let rest = self.words[from / 64 + 1..].iter().copied();
        let mut words = std::iter::once(first).chain(rest).zip(from / 64..);
        let (word, index) = words.find(|(word, _)| *word != 0)?;
        Some(index * 64 + word.trailing_zeros() as usize)
    }

    /// The values from index `64 × word` on: bit `i` is the value of index `64 × word + i`.
    pub(crate) fn word(&self, word: usize) -> u64 {
        self.words.get(word).copied().unwrap_or(0)
    }

    /// Adds a yes to `changes`, of the same length, where a value differs from the one before it.
    pub(crate) fn add_changes(&self, changes: &mut Bits) {
        let mut before = self.words.first().map_or(0, |first| first & 1);
        for (word, changed) in self.words.iter().zip(&mut changes.words) {
            *changed |= word ^ (word << 1 | before);
            before = word >> 63;
        }
        if let (Some(last), true) = (changes.words.last_mut(), !self.len.is_multiple_of(64)) {
            *last &= (1 << (self.len % 64)) - 1;
        }
    }

    /// The runs of yes, each its first and last index.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let mut from = 0;
        std::iter::from_fn(move || {
            if from >= self.len {
                return None;
            }
            let first = self.next(from)?;
            let (mut word, mut flipped) = (first / 64, 0);
            while flipped == 0 && word < self.words.len() {
                let part = if word == first / 64 {
                    u64::MAX << (first % 64)
                } else {
                    u64::MAX
                };
                flipped = !self.words[word] & part;
                word += 1;
            }
            let end = match flipped {
                0 => self.len,
                _ => ((word - 1) * 64 + flipped.trailing_zeros() as usize).min(self.len),
            };
            from = end + 1;
            Some((first, end - 1))
        })
    }

    /// Keeps a yes only where `holds` says so; asked for every index, for that is faster than to ask for a few.
    pub fn keep(&mut self, holds: impl Fn(usize) -> bool) {
        for (w, word) in self.words.iter_mut().enumerate() {
            if *word == 0 {
                continue;
            }
            let first = w * 64;
            let of_word = (self.len - first).min(64);
            let bits = (0..of_word).fold(0, |bits, i| bits | u64::from(holds(first + i)) << i);
            *word &= bits;
        }
    }

    /// Keeps a yes only where `other`, of the same length, has one too.
    pub fn and(&mut self, other: &Bits) {
        assert_eq!(self.len, other.len, "as many values on both sides");
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a &= b;
        }
    }

    /// Adds every yes of `other`, which has the same length.
    pub fn or(&mut self, other: &Bits) {
        assert_eq!(self.len, other.len, "as many values on both sides");
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a |= b;
        }
    }

    /// Takes away every yes of `other`, which has the same length.
    pub fn and_not(&mut self, other: &Bits) {
        assert_eq!(self.len, other.len, "as many values on both sides");
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a &= !b;
        }
    }

    /// Whether some index is a yes in both.
    #[must_use]
    pub fn intersects(&self, other: &Bits) -> bool {
        self.words.iter().zip(&other.words).any(|(a, b)| a & b != 0)
    }
}

impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(values: I) -> Self {
        let mut bits = Bits::default();
        for value in values {
            if bits.len.is_multiple_of(64) {
                bits.words.push(0);
            }
            bits.len += 1;
            if value {
                bits.set(bits.len - 1);
            }
        }
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_agree_with_a_vector(a in prop::collection::vec(any::<bool>(), 0..200), seed in any::<u64>()) {
            let b: Vec<bool> = (0..a.len()).map(|i| seed >> (i % 64) & 1 == 1).collect();
            let (x, y): (Bits, Bits) = (a.iter().copied().collect(), b.iter().copied().collect());
            prop_assert_eq!(x.count(), a.iter().filter(|v| **v).count());
            prop_assert!(x.iter().eq((0..a.len()).filter(|i| a[*i])));
            let (mut and, mut or, mut not) = (x.clone(), x.clone(), x.clone());
            and.and(&y);
            or.or(&y);
            not.and_not(&y);
            for i in 0..a.len() {
                prop_assert_eq!((and.get(i), or.get(i), not.get(i)), (a[i] && b[i], a[i] || b[i], a[i] && !b[i]));
            }
            prop_assert_eq!(and.any(), x.intersects(&y));
            let mut kept = x.clone();
            kept.keep(|i| b[i]);
            prop_assert_eq!(&kept, &and);
            for from in 0..a.len() + 70 {
                prop_assert_eq!(x.next(from), (from..a.len()).find(|i| a[*i]));
            }
            let mut runs = Vec::new();
            for i in (0..a.len()).filter(|i| a[*i]) {
                match runs.last_mut() {
                    Some((_, last)) if *last + 1 == i => *last = i,
                    _ => runs.push((i, i)),
                }
            }
            prop_assert_eq!(x.runs().collect::<Vec<_>>(), runs);
            let mut changes = Bits::none(a.len());
            x.add_changes(&mut changes);
            prop_assert!(changes.iter().eq((1..a.len()).filter(|i| a[*i] != a[i - 1])));
            let mut by_words = Bits::all(a.len());
            for (w, values) in a.chunks(64).enumerate() {
                let bits = values.iter().enumerate().fold(0, |bits, (i, v)| bits | u64::from(*v) << i);
                by_words.set_word(w, bits | if values.len() < 64 { u64::MAX << values.len() } else { 0 });
            }
            prop_assert_eq!(&by_words, &x);
            let mut all = Bits::all(a.len());
            prop_assert_eq!(all.count(), a.len());
            for i in 0..a.len() { all.clear(i); }
            prop_assert_eq!(all, Bits::none(a.len()));
        }
    }
}
