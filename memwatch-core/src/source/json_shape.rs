//! Lines of NDJSON that differ in some values only: the rest is compared with the line before and not parsed.
//!
//! A program writes its lines with one call, so keys, their order and the punctuation repeat, and so do most values. A [`Shape`] is
//! learned from one line that serde read; a later line that has it is read by comparing bytes and reading the values that changed.
//! Anything else about a line (another key, a space, an escape, a number of another kind) makes [`Shape::read`] give up, and serde reads
//! the line: that alone decides what is valid.

use serde::de::IgnoredAny;

use super::json::{Capped, Gogc, Text, Whole};

/// What the lines of one call have in common, and the last of them.
pub(crate) struct Shape<F> {
    /// What each value is read into; `None` for one that nobody reads.
    fields: Vec<Option<F>>,
    /// The line that was read last.
    last: Vec<u8>,
    /// Where the values lie in it, and room for where they lie in the next.
    values: Vec<Span>,
    next: Vec<Span>,
    /// Whether there is an object whose values are looked at one by one.
    pub(crate) opened: bool,
}

/// The longest line that is learned, so that what is kept of lines stays small. Those of our formats have some thousand bytes.
const LEARNED_BYTES_MAX: usize = 64 << 10;

/// From a byte to before a byte.
#[derive(Clone, Copy)]
struct Span {
    from: usize,
    to: usize,
}

impl<F: Copy> Shape<F> {
    /// The shape of a valid JSON object that is not too long. `field_of` is given each key with that of the object around it, if any, and
    /// says what its value is read into; `opens` whether an object's values are looked at one by one.
    pub(crate) fn learn(
        text: &[u8],
        field_of: impl Fn(Option<&str>, &str) -> Option<F>,
        opens: impl Fn(&str) -> bool,
    ) -> Option<Shape<F>> {
        if text.len() > LEARNED_BYTES_MAX {
            return None;
        }
        let mut shape = Shape {
            fields: Vec::new(),
            last: text.to_vec(),
            values: Vec::new(),
            next: Vec::new(),
            opened: false,
        };
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
                    if outer.is_none() && opens(&key) {
                        if *value == b'{' {
                            outer = Some(key);
                            shape.opened = true;
                            at += 1;
                            continue;
                        }
                        // serde reads some structs from arrays, too.
                        (*value == b'n').then_some(())?;
                    }
                    let end = after_value(text, at)?;
                    // What `null` means, no value, is part of the shape.
                    if *value != b'n' {
                        shape.fields.push(field_of(outer.as_deref(), &key));
                        shape.values.push(Span { from: at, to: end });
                    }
                    at = end;
                }
            }
        }
        shape.next.clone_from(&shape.values);
        Some(shape)
    }

    /// Reads all values of the last line: `read` is called for each field with the cursor at its value. `None` when it cannot be read
    /// so.
    pub(crate) fn read_last(
        &self,
        read: impl FnMut(F, &mut Cursor<'_>) -> Option<()>,
    ) -> Option<()> {
        self.read_first(self.fields.len(), read)
    }

    /// The same of the first values only.
    fn read_first(
        &self,
        values: usize,
        mut read: impl FnMut(F, &mut Cursor<'_>) -> Option<()>,
    ) -> Option<()> {
        for (field, span) in self.fields.iter().zip(&self.values).take(values) {
            let Some(field) = field else { continue };
            let rest = self.last.get(span.from..)?;
            let mut cursor = Cursor { rest };
            read(*field, &mut cursor)?;
            (self.last.len() - cursor.rest.len() == span.to).then_some(())?;
        }
        Some(())
    }

    /// Reads a line of this shape, which is the last one from then on: `read` is called as by [`read_last`](Shape::read_last), but only
    /// for values that are not those of the last line. `None` when the line is of another shape; then `read` has been called for the
    /// values of the last line again, as far as they had changed.
    pub(crate) fn read(
        &mut self,
        text: &[u8],
        mut read: impl FnMut(F, &mut Cursor<'_>) -> Option<()>,
    ) -> Option<()> {
        // A short line may have the shape of one that is too long to keep.
        if text.len() > LEARNED_BYTES_MAX {
            return None;
        }
        let mut reached = 0;
        let done = self.read_changed(text, &mut reached, &mut read);
        if done.is_some() {
            std::mem::swap(&mut self.values, &mut self.next);
            self.last.clear();
            self.last.extend_from_slice(text);
        } else {
            self.read_first(reached, read)?;
        }
        done
    }

    #[inline]
    fn read_changed(
        &mut self,
        text: &[u8],
        reached: &mut usize,
        mut read: impl FnMut(F, &mut Cursor<'_>) -> Option<()>,
    ) -> Option<()> {
        let (mut before, mut now) = (&self.last[..], text);
        // How far into the lines they are.
        let (mut at_before, mut at_now) = (0, 0);
        let values = self.fields.iter().zip(&self.values).zip(&mut self.next);
        let mut values = values.enumerate();
        loop {
            let same = at_before + common(before, now);
            let next = loop {
                let Some((at, ((field, span), next))) = values.next() else {
                    break None;
                };
                *next = Span {
                    from: span.from - at_before + at_now,
                    to: span.to - at_before + at_now,
                };
                // A value is the same when what ends it is, too.
                if span.to >= same {
                    break Some((at, field, *span, next));
                }
            };
            let Some((at, field, span, next)) = next else {
                let whole = same == self.last.len() && same - at_before + at_now == text.len();
                return whole.then_some(());
            };
            (span.from <= same).then_some(())?;
            let mut cursor = Cursor {
                rest: text.get(next.from..)?,
            };
            *reached = at + 1;
            match field {
                Some(field) => read(*field, &mut cursor)?,
                None => cursor.skip()?,
            }
            next.to = text.len() - cursor.rest.len();
            (before, now) = (self.last.get(span.to..)?, cursor.rest);
            (at_before, at_now) = (span.to, next.to);
        }
    }
}

/// How many bytes both begin with.
#[inline]
fn common(a: &[u8], b: &[u8]) -> usize {
    let ((a_words, _), (b_words, _)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (at, (a, b)) in a_words.iter().zip(b_words).enumerate() {
        let other = u128::from_le_bytes(*a) ^ u128::from_le_bytes(*b);
        if other != 0 {
            return 16 * at + other.trailing_zeros() as usize / 8;
        }
    }
    let whole = 16 * a_words.len().min(b_words.len());
    let left = a[whole..].iter().zip(&b[whole..]);
    whole + left.take_while(|(a, b)| a == b).count()
}

/// The shapes that lines had lately, and what was read of the last line of each.
pub(crate) struct Shapes<F, L> {
    /// The one that was right last comes first.
    known: Vec<Box<(Shape<F>, L)>>,
    learned: u32,
    hits: u32,
}

/// A few kinds of lines may take turns.
const KNOWN_MAX: usize = 4;
/// So often a shape is learned before it is asked whether that pays.
const TRIALS: u32 = 256;

impl<F, L> Default for Shapes<F, L> {
    fn default() -> Self {
        Shapes {
            known: Vec::new(),
            learned: 0,
            hits: 0,
        }
    }
}

impl<F: Copy, L> Shapes<F, L> {
    /// Reads a line that has a known shape; tells for [`line`](Shapes::line) where.
    #[inline]
    pub(crate) fn read(
        &mut self,
        text: &[u8],
        read: impl Fn(F, &mut Cursor<'_>, &mut L) -> Option<()>,
    ) -> Option<usize> {
        for at in 0..self.known.len() {
            let (shape, line) = &mut *self.known[at];
            if shape
                .read(text, |field, cursor| read(field, cursor, line))
                .is_some()
            {
                self.known[..=at].rotate_right(1);
                self.hits = self.hits.saturating_add(1);
                return Some(0);
            }
        }
        None
    }

    /// What was read of the last line of the shape there.
    pub(crate) fn line(&self, at: usize) -> &L {
        &self.known[at].1
    }

    /// Whether learning one more is likely to pay: not when hardly a line has the shape of another.
    pub(crate) fn learns(&self) -> bool {
        self.learned < TRIALS || self.learned < self.hits / 4
    }

    /// Keeps a shape with what was read of its line, in the place of the one that was right longest ago.
    pub(crate) fn learn(&mut self, learned: Option<(Shape<F>, L)>) {
        self.learned = self.learned.saturating_add(1);
        let Some(learned) = learned else { return };
        self.known.truncate(KNOWN_MAX - 1);
        self.known.insert(0, Box::new(learned));
    }
}

/// A place in a line.
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    /// A value as its type reads it; `None` when that is for serde to decide.
    #[inline]
    pub(crate) fn value<T: Value>(&mut self) -> Option<T> {
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
pub(crate) trait Value: Sized {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self>;
}

impl Value for Whole {
    #[inline]
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        i64::try_from(cursor.digits()?).ok().map(Whole)
    }
}

impl Value for Capped {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let number = cursor.digits()?;
        Some(Capped(i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

impl Value for Gogc {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
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

impl Value for Text<'static> {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.byte(b'"')?;
        let special = |b: &u8| *b < b' ' || matches!(*b, b'"' | b'\\');
        let (text, rest) = cursor.rest.split_at(cursor.rest.iter().position(special)?);
        cursor.rest = rest.strip_prefix(b"\"")?;
        std::str::from_utf8(text).ok().map(Text::owned)
    }
}

impl Value for f64 {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let part = |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E');
        let length = cursor.rest.iter().take_while(|b| part(b)).count();
        let (text, rest) = cursor.rest.split_at(length);
        cursor.rest = rest;
        serde_json::from_slice(text).ok()
    }
}

impl Value for bool {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let value = cursor.rest.first() == Some(&b't');
        let text: &[u8] = if value { b"true" } else { b"false" };
        cursor.rest = cursor.rest.strip_prefix(text)?;
        Some(value)
    }
}

impl<A: Value, B: Value> Value for (A, B) {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.byte(b'[')?;
        let first = cursor.value()?;
        cursor.byte(b',')?;
        let second = cursor.value()?;
        cursor.byte(b']')?;
        Some((first, second))
    }
}

impl<T: Value> Value for Vec<T> {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
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

    /// The values of a line that has the shape of another, by the way through all lines in between.
    struct Read {
        shape: Shape<usize>,
        values: Vec<u64>,
    }

    impl Read {
        /// Fields are numbers but for the key `x`, which nobody reads.
        fn learn(from: &str) -> Read {
            let count = std::cell::Cell::new(0);
            let field =
                |_: Option<&str>, key: &str| (key != "x").then(|| count.replace(count.get() + 1));
            let shape = Shape::learn(from.as_bytes(), field, |key| key == "in").unwrap();
            let mut values = vec![0; count.get()];
            let read = shape.read_last(|at, cursor| {
                values[at] = cursor.digits()?;
                Some(())
            });
            assert!(read.is_some());
            Read { shape, values }
        }

        fn line(&mut self, text: &str) -> Option<Vec<u64>> {
            let values = &mut self.values;
            let read = self.shape.read(text.as_bytes(), |at, cursor| {
                values[at] = cursor.digits()?;
                Some(())
            });
            read.map(|()| values.clone())
        }
    }

    fn found(from: &str, text: &str) -> Option<Vec<u64>> {
        Read::learn(from).line(text)
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
    fn what_both_begin_with_of_every_length() {
        let text: Vec<u8> = (1..80).collect();
        for length in 0..text.len() {
            for end in 0..text.len() {
                assert_eq!(common(&text[..length], &text[..end]), length.min(end));
            }
            let mut other = text.clone();
            other[length] ^= 0x80;
            assert_eq!(common(&text, &other), length);
            assert_eq!(common(&other, &text), length);
        }
    }

    proptest! {
        #[test]
        fn a_line_is_read_the_same_whatever_lines_came_before(
            lines in prop::collection::vec(
                (prop::array::uniform4(prop_oneof![0u64..12, Just(u64::MAX), any::<u64>()]), 0usize..9),
                1..12,
            ),
        ) {
            const FROM: &str = r#"{"a":1,"b":22,"x":[7],"in":{"c":333,"n":null},"d":4}"#;
            let mut read = Read::learn(FROM);
            for (numbers, other) in lines {
                let [a, b, c, d] = numbers;
                // The first three are of another shape.
                let key = if other == 0 { "e" } else { "d" };
                let d = if other == 1 { format!("{d}.5") } else { d.to_string() };
                let x = if other == 2 { "[7" } else { ["[7]", "[]", r#""\"""#][other % 3] };
                let text = format!(r#"{{"a":{a},"b":{b},"x":{x},"in":{{"c":{c},"n":null}},"{key}":{d}}}"#);
                let expected = (other > 2).then(|| numbers.to_vec());
                prop_assert_eq!(Read::learn(FROM).line(&text), expected.clone());
                prop_assert_eq!(read.line(&text), expected);
            }
        }
    }

    #[test]
    fn lines_that_never_repeat_are_not_learned_for_ever() {
        let mut shapes = Shapes::<(), ()>::default();
        for _ in 0..TRIALS {
            assert!(shapes.learns());
            shapes.learn(None);
        }
        assert!(!shapes.learns());
    }
}
