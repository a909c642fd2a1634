//! The bytes of a checkpoint: numbers, little-endian, one after the other.

use crate::{Error, Result};

/// First bytes of a checkpoint: name and version.
pub(super) const MAGIC: &[u8; 8] = b"mwbase\x00\x01";

/// Puts numbers down.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn int(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn optional_int(&mut self, value: Option<i64>) {
        self.int(i64::from(value.is_some()));
        self.int(value.unwrap_or(0));
    }

    pub(super) fn optional_float(&mut self, value: Option<f64>) {
        self.int(i64::from(value.is_some()));
        self.float(value.unwrap_or(0.0));
    }

    pub(super) fn count(&mut self, value: usize) {
        self.bytes.extend_from_slice(&(value as u64).to_le_bytes());
    }

    pub(super) fn float(&mut self, value: f64) {
        self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    pub(super) fn floats(&mut self, values: impl ExactSizeIterator<Item = f64>) {
        self.count(values.len());
        values.for_each(|value| self.float(value));
    }
}

/// Takes numbers back, trusting nothing.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Reader<'a>> {
        let mut reader = Reader {
            rest: bytes,
            length: bytes.len(),
        };
        match bytes.split_at_checked(MAGIC.len()) {
            Some((magic, rest)) if magic == MAGIC => {
                reader.rest = rest;
                Ok(reader)
            }
            _ => Err(reader.wrong("a baseline checkpoint of version 1")),
        }
    }

    /// An error at the present place.
    pub(super) fn wrong(&self, expected: &'static str) -> Error {
        Error::Value {
            expected,
            found: format!(
                "something else before byte {} of {}",
                self.length - self.rest.len(),
                self.length
            ),
        }
    }

    fn eight(&mut self) -> Result<[u8; 8]> {
        let Some((bytes, rest)) = self.rest.split_first_chunk::<8>() else {
            return Err(self.wrong("a checkpoint that does not end in the middle"));
        };
        self.rest = rest;
        Ok(*bytes)
    }

    pub(super) fn int(&mut self) -> Result<i64> {
        self.eight().map(i64::from_le_bytes)
    }

    pub(super) fn optional_int(&mut self) -> Result<Option<i64>> {
        let (is_some, value) = (self.int()?, self.int()?);
        Ok((is_some == 1).then_some(value))
    }

    /// A count of things that take eight bytes or more each, so that a wrong one asks for no memory.
    pub(super) fn count(&mut self) -> Result<usize> {
        let count = u64::from_le_bytes(self.eight()?);
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= usize::MAX / 16)
            .ok_or_else(|| self.wrong("a count"))
    }

    pub(super) fn float(&mut self) -> Result<f64> {
        self.eight()
            .map(|bytes| f64::from_bits(u64::from_le_bytes(bytes)))
    }

    pub(super) fn optional_float(&mut self) -> Result<Option<f64>> {
        let (is_some, value) = (self.int()?, self.float()?);
        if value.is_finite() {
            Ok((is_some == 1).then_some(value))
        } else {
            Err(self.wrong("a finite number"))
        }
    }

    /// Finite numbers.
    pub(super) fn floats(&mut self) -> Result<Vec<f64>> {
        let count = self.count()?;
        if count > self.rest.len() / 8 {
            return Err(self.wrong("as many numbers as announced"));
        }
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(self.float()?);
        }
        if values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(self.wrong("finite numbers"))
        }
    }

    pub(super) fn end(&self) -> Result<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.wrong("the end of the checkpoint"))
        }
    }
}
