//! Lines of NDJSON that differ in their values only: what stands between the values is compared and not parsed.
//!
//! A program writes its lines with one call, so keys, their order and the punctuation repeat. A [`Shape`] is learned from one line that
//! serde read; a later line that has it is read by comparing bytes and reading values. Anything else about a line (another key, a
//! space, an escape, a number of another kind) makes [`Shape::read`] give up, and serde reads the line: that alone decides what is valid.

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::json::{Capped, Gogc, Text, Whole};

/// What the lines of one call have in common.
pub(crate) struct Shape<F> {
    pieces: Vec<Piece<F>>,
    end: Box<[u8]>,
    /// Whether there is an object whose values are looked at one by one.
    pub(crate) opened: bool,
}

struct Piece<F> {
    /// The bytes between the value before and this one.
    before: Literal,
    /// What the value is read into; `None` for one that nobody reads.
    field: Option<F>,
}

impl<F: Copy> Shape<F> {
    /// The shape of a valid JSON object. `field_of` is given each key with that of the object around it, if any, and says what its
    /// value is read into; `opens` whether an object's values are looked at one by one.
    pub(crate) fn learn(
        text: &[u8],
        field_of: impl Fn(Option<&str>, &str) -> Option<F>,
        opens: impl Fn(&str) -> bool,
    ) -> Option<Shape<F>> {
        let mut shape = Shape {
            pieces: Vec::new(),
            end: Box::default(),
            opened: false,
        };
        let mut from = 0;
        let mut at = space(text, 0);
        if text.get(at) != Some(&b'{') {
            return None;
        }
        at += 1;
        let mut outer: Option<String> = None;
        loop {
            at = space(text, at);
            match text.get(at)? {
                b',' => at += 1,
                b'}' => {
                    at += 1;
                    if outer.take().is_none() {
                        break;
                    }
                }
                _ => {
                    let (key, after) = string(text, at)?;
                    at = space(text, after);
                    (text.get(at) == Some(&b':')).then_some(())?;
                    at = space(text, at + 1);
                    let value = text.get(at)?;
                    if *value == b'{' && outer.is_none() && opens(&key) {
                        outer = Some(key);
                        shape.opened = true;
                        at += 1;
                        continue;
                    }
                    let end = after_value(text, at)?;
                    // What `null` means, no value, is part of the shape.
                    if *value != b'n' {
                        shape.pieces.push(Piece {
                            before: Literal::new(&text[from..at]),
                            field: field_of(outer.as_deref(), &key),
                        });
                        from = end;
                    }
                    at = end;
                }
            }
        }
        shape.end = text[from..].into();
        Some(shape)
    }

    /// Reads a line of this shape: `read` is called for each field with the cursor at its value. `None` when the line is another.
    #[inline]
    pub(crate) fn read<'a>(
        &self,
        text: &'a [u8],
        fraction: &mut Fraction,
        mut read: impl FnMut(F, &mut Cursor<'a, '_>) -> Option<()>,
    ) -> Option<()> {
        let mut cursor = Cursor {
            rest: text,
            fraction,
        };
        for piece in &self.pieces {
            cursor.rest = piece.before.strip(cursor.rest)?;
            match piece.field {
                Some(field) => read(field, &mut cursor)?,
                None => cursor.skip()?,
            }
        }
        (*cursor.rest == *self.end).then_some(())
    }
}

/// Bytes that a line must have. Most are a key with its punctuation: up to 32 bytes are compared as two words.
struct Literal {
    bytes: Box<[u8]>,
    /// The bytes, then zeros; and which bits of a line are compared with them.
    words: [u128; 2],
    masks: [u128; 2],
}

impl Literal {
    fn new(bytes: &[u8]) -> Literal {
        let word = |from: usize| {
            let mut word = [0; 16];
            let mut mask = [0; 16];
            for (at, byte) in bytes.iter().skip(from).take(16).enumerate() {
                (word[at], mask[at]) = (*byte, 0xff);
            }
            (u128::from_le_bytes(word), u128::from_le_bytes(mask))
        };
        let [low, high] = [word(0), word(16)];
        Literal {
            bytes: bytes.into(),
            words: [low.0, high.0],
            masks: [low.1, high.1],
        }
    }

    /// What comes after it, if `text` begins with it.
    #[inline]
    fn strip<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        if let Some(low) = text.first_chunk::<16>()
            && self.bytes.len() <= 16
        {
            let same = u128::from_le_bytes(*low) & self.masks[0] == self.words[0];
            return if same {
                text.get(self.bytes.len()..)
            } else {
                None
            };
        }
        if let Some(both) = text.first_chunk::<32>()
            && self.bytes.len() <= 32
        {
            let [Some(low), Some(high)] = [both.first_chunk(), both.last_chunk()] else {
                return None;
            };
            let same = u128::from_le_bytes(*low) & self.masks[0] == self.words[0]
                && u128::from_le_bytes(*high) & self.masks[1] == self.words[1];
            return if same {
                text.get(self.bytes.len()..)
            } else {
                None
            };
        }
        text.strip_prefix(&*self.bytes)
    }
}

/// The shapes that lines had lately.
pub(crate) struct Shapes<F> {
    /// The one that was right last comes first.
    known: Vec<Shape<F>>,
    fraction: Fraction,
    learned: u32,
    hits: u32,
}

/// A few kinds of lines may take turns.
const KNOWN_MAX: usize = 4;
/// So often a shape is learned before it is asked whether that pays.
const TRIALS: u32 = 256;

impl<F> Default for Shapes<F> {
    fn default() -> Self {
        Shapes {
            known: Vec::new(),
            fraction: Fraction::default(),
            learned: 0,
            hits: 0,
        }
    }
}

impl<F: Copy> Shapes<F> {
    /// Asks `read` for each known shape whether the line has it, until one fits.
    #[inline]
    pub(crate) fn read(
        &mut self,
        mut read: impl FnMut(&Shape<F>, &mut Fraction) -> Option<()>,
    ) -> Option<()> {
        for at in 0..self.known.len() {
            if read(&self.known[at], &mut self.fraction).is_some() {
                self.known.swap(0, at);
                self.hits = self.hits.saturating_add(1);
                return Some(());
            }
        }
        None
    }

    /// Whether learning one more is likely to pay: not when hardly a line has the shape of another.
    pub(crate) fn learns(&self) -> bool {
        self.learned < TRIALS || self.learned < self.hits / 4
    }

    /// Keeps a shape, in the place of the one that was right longest ago.
    pub(crate) fn learn(&mut self, shape: Option<Shape<F>>) {
        self.learned = self.learned.saturating_add(1);
        let Some(shape) = shape else { return };
        self.known.truncate(KNOWN_MAX - 1);
        self.known.insert(0, shape);
    }
}

/// A number that is no whole one, as it was written last: such numbers are long, and mostly stay for some lines.
#[derive(Default)]
pub(crate) struct Fraction {
    text: Vec<u8>,
    value: f64,
}

/// A place in a line.
pub(crate) struct Cursor<'a, 'f> {
    rest: &'a [u8],
    fraction: &'f mut Fraction,
}

impl<'a> Cursor<'a, '_> {
    /// A value as its type reads it; `None` when that is for serde to decide.
    #[inline]
    pub(crate) fn value<T: Value<'a>>(&mut self) -> Option<T> {
        T::read(self)
    }

    /// Passes over any value.
    fn skip(&mut self) -> Option<()> {
        let end = after_value(self.rest, 0)?;
        std::str::from_utf8(&self.rest[..end]).ok()?;
        self.rest = &self.rest[end..];
        Some(())
    }

    #[inline]
    fn byte(&mut self, expected: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(&[expected])?;
        Some(())
    }

    /// A number of 64 bits, written as JSON wants it.
    #[inline]
    fn digits(&mut self) -> Option<u64> {
        let (number, length) = match self.rest.first_chunk::<24>() {
            Some(text) => digits_of_chunk(text),
            None => None,
        }
        .or_else(|| digits(self.rest))?;
        if length == 0 || (self.rest[0] == b'0' && length > 1) {
            return None;
        }
        self.rest = &self.rest[length..];
        Some(number)
    }
}

/// What a [`Cursor`] can read. What comes after a value is compared by the shape: `12.5` is no 12.
pub(crate) trait Value<'a>: Sized {
    fn read(cursor: &mut Cursor<'a, '_>) -> Option<Self>;
}

impl Value<'_> for Whole {
    #[inline]
    fn read(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        i64::try_from(cursor.digits()?).ok().map(Whole)
    }
}

impl Value<'_> for Capped {
    fn read(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let number = cursor.digits()?;
        Some(Capped(i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

impl Value<'_> for Gogc {
    fn read(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        if cursor.rest.first() == Some(&b'-') {
            cursor.byte(b'-')?;
            return (cursor.digits()? == 1).then_some(Gogc(-1));
        }
        match cursor.digits()? {
            u64::MAX => Some(Gogc(-1)),
            percent => i64::try_from(percent).ok().map(Gogc),
        }
    }
}

impl<'a> Value<'a> for Text<'a> {
    fn read(cursor: &mut Cursor<'a, '_>) -> Option<Self> {
        cursor.byte(b'"')?;
        let special = |b: &u8| *b < b' ' || matches!(*b, b'"' | b'\\');
        let (text, rest) = cursor.rest.split_at(cursor.rest.iter().position(special)?);
        cursor.rest = rest.strip_prefix(b"\"")?;
        std::str::from_utf8(text).ok().map(Text::borrowed)
    }
}

impl Value<'_> for f64 {
    fn read(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let part = |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E');
        let length = cursor.rest.iter().take_while(|b| part(b)).count();
        let (text, rest) = cursor.rest.split_at(length);
        cursor.rest = rest;
        let last = &mut *cursor.fraction;
        if last.text.is_empty() || last.text != text {
            last.value = serde_json::from_slice(text).ok()?;
            last.text.clear();
            last.text.extend_from_slice(text);
        }
        Some(last.value)
    }
}

impl<'a> Value<'a> for &'a RawValue {
    fn read(cursor: &mut Cursor<'a, '_>) -> Option<Self> {
        let (text, rest) = cursor.rest.split_at(after_value(cursor.rest, 0)?);
        cursor.rest = rest;
        serde_json::from_slice(text).ok()
    }
}

impl Value<'_> for bool {
    fn read(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let value = cursor.rest.first() == Some(&b't');
        let text: &[u8] = if value { b"true" } else { b"false" };
        cursor.rest = cursor.rest.strip_prefix(text)?;
        Some(value)
    }
}

impl<'a, A: Value<'a>, B: Value<'a>> Value<'a> for (A, B) {
    fn read(cursor: &mut Cursor<'a, '_>) -> Option<Self> {
        cursor.byte(b'[')?;
        let first = cursor.value()?;
        cursor.byte(b',')?;
        let second = cursor.value()?;
        cursor.byte(b']')?;
        Some((first, second))
    }
}

impl<'a, T: Value<'a>> Value<'a> for Vec<T> {
    fn read(cursor: &mut Cursor<'a, '_>) -> Option<Self> {
        cursor.byte(b'[')?;
        let mut values = Vec::new();
        if cursor.byte(b']').is_some() {
            return Some(values);
        }
        loop {
            values.push(cursor.value()?);
            if cursor.byte(b',').is_none() {
                cursor.byte(b']')?;
                return Some(values);
            }
        }
    }
}

/// 10 to the power of an index.
const POWERS: [u64; 9] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
];
/// The number that a chunk begins with and how many digits that is; `None` when it may not fit. Eight bytes at a time.
#[inline]
fn digits_of_chunk(text: &[u8; 24]) -> Option<(u64, usize)> {
    let [first, second, third] = text.as_chunks::<8>().0 else {
        return None;
    };
    let first = u64::from_le_bytes(*first);
    let count = leading_digits(first);
    if count < 8 {
        return Some((first_digits(first, count), count as usize));
    }
    let second = u64::from_le_bytes(*second);
    let more = leading_digits(second);
    let number = first_digits(first, 8) * POWERS[more as usize] + first_digits(second, more);
    if more < 8 {
        return Some((number, 8 + more as usize));
    }
    let third = u64::from_le_bytes(*third);
    let last = leading_digits(third);
    // 19 digits always fit.
    (last <= 3).then(|| {
        let number = number * POWERS[last as usize] + first_digits(third, last);
        (number, 16 + last as usize)
    })
}

/// The same of any length; `None` when the number does not fit.
fn digits(text: &[u8]) -> Option<(u64, usize)> {
    let length = text.iter().take_while(|b| b.is_ascii_digit()).count();
    if length == 0 {
        return Some((0, 0));
    }
    let number = std::str::from_utf8(&text[..length]).ok()?.parse().ok()?;
    Some((number, length))
}

/// How many of eight bytes, from the first, are digits.
#[inline]
fn leading_digits(word: u64) -> u32 {
    // 0 to 9 for digits; a carry of the addition can only reach bytes after one that is no digit.
    let bytes = word ^ 0x3030_3030_3030_3030;
    let others = (bytes.wrapping_add(0x0606_0606_0606_0606) | bytes) & 0xf0f0_f0f0_f0f0_f0f0;
    others.trailing_zeros() / 8
}

/// The number that the first `count` of eight bytes write.
#[inline]
fn first_digits(word: u64, count: u32) -> u64 {
    // The digits move to the end; what comes in before them counts as zeros.
    let ones = (word & 0x0f0f_0f0f_0f0f_0f0f).unbounded_shl(64 - 8 * count);
    let pairs = (ones.wrapping_mul(10).wrapping_add(ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff
}

fn space(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
        .count()
}

/// The string that begins there, and where it ends.
fn string(text: &[u8], from: usize) -> Option<(String, usize)> {
    let mut stream = serde_json::Deserializer::from_slice(text.get(from..)?).into_iter::<String>();
    let string = stream.next()?.ok()?;
    Some((string, from + stream.byte_offset()))
}

/// Where the value that begins there ends.
fn after_value(text: &[u8], from: usize) -> Option<usize> {
    let rest = serde_json::Deserializer::from_slice(text.get(from..)?);
    let mut stream = rest.into_iter::<IgnoredAny>();
    stream.next()?.ok()?;
    Some(from + stream.byte_offset())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, in 128 bits.
    fn digits_one_by_one(text: &[u8]) -> Option<(u64, usize)> {
        let length = text.iter().take_while(|b| b.is_ascii_digit()).count();
        let fold = |n: u128, b: &u8| n * 10 + u128::from(b - b'0');
        let number = text[..length].iter().fold(0, fold);
        Some((u64::try_from(number).ok()?, length))
    }

    fn same_digits(text: &[u8]) {
        let expected = digits_one_by_one(text);
        assert_eq!(digits(text), expected);
        if let Some(found) = text.first_chunk().and_then(digits_of_chunk) {
            assert_eq!(Some(found), expected);
        }
    }

    proptest! {
        #[test]
        fn digits_are_those_that_stand_there(text in "[0-9]{0,21}[ -~]{0,24}[0-9]{0,3}") {
            same_digits(text.as_bytes());
        }

        #[test]
        fn digits_of_any_bytes(text in prop::collection::vec(any::<u8>(), 0..24)) {
            same_digits(&text);
        }

        #[test]
        fn learning_from_any_bytes_does_not_panic(text in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Shape::learn(&text, |_, _| Some(()), |_| true);
        }
    }

    /// The values that a shape learned from `from` finds in `text`; fields are numbers but for the key `x`, which nobody reads.
    fn found(from: &str, text: &str) -> Option<Vec<u64>> {
        let field = |_: Option<&str>, key: &str| (key != "x").then_some(());
        let shape = Shape::learn(from.as_bytes(), field, |key| key == "in").unwrap();
        let mut found = Vec::new();
        shape.read(text.as_bytes(), &mut Fraction::default(), |(), cursor| {
            found.push(cursor.digits()?);
            Some(())
        })?;
        Some(found)
    }

    #[test]
    fn only_values_may_differ() {
        let from = r#"{"a":1,"x":[{"y":2}], "in":{"b":3,"c":null},"d":4}"#;
        for (text, expected) in [
            (from, Some(vec![1, 3, 4])),
            (
                r#"{"a":12345678901,"x":"any, \"thing","#.to_owned().as_str(),
                None,
            ),
            (
                r#"{"a":12345678901,"x":"any, \"thing", "in":{"b":0,"c":null},"d":40}"#,
                Some(vec![12_345_678_901, 0, 40]),
            ),
            (r#"{"a":1,"x":[], "in":{"b":3,"c":5},"d":4}"#, None),
            (r#"{"a":1,"x":[],"in":{"b":3,"c":null},"d":4}"#, None),
            (r#"{"a":01,"x":[], "in":{"b":3,"c":null},"d":4}"#, None),
            (r#"{"a":1.5,"x":[], "in":{"b":3,"c":null},"d":4}"#, None),
            (r#"{"a":1,"x":[1}, "in":{"b":3,"c":null},"d":4}"#, None),
            (r#"{"a":1,"x":[], "in":{"b":3,"c":null},"d":4} "#, None),
            (r#"{"a":1,"x":[], "in":{"b":3,"c":null},"d":4"#, None),
            (
                r#"{"a":18446744073709551616,"x":[], "in":{"b":3,"c":null},"d":4}"#,
                None,
            ),
        ] {
            assert_eq!(found(from, text), expected, "{text}");
        }
    }

    #[test]
    fn literals_of_every_length() {
        let text: Vec<u8> = (1..80).collect();
        for length in 0..60 {
            let literal = Literal::new(&text[..length]);
            for end in 0..text.len() {
                let expected = text[..end].strip_prefix(&text[..length]);
                assert_eq!(literal.strip(&text[..end]), expected, "{length} of {end}");
            }
            for wrong in 0..length {
                let mut other = text.clone();
                other[wrong] ^= 0x80;
                assert_eq!(literal.strip(&other), None, "{length}, not {wrong}");
            }
        }
    }

    #[test]
    fn lines_that_never_repeat_are_not_learned_for_ever() {
        let mut shapes = Shapes::<()>::default();
        for _ in 0..TRIALS {
            assert!(shapes.learns());
            shapes.learn(None);
        }
        assert!(!shapes.learns());
    }
}
