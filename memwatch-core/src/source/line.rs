//! Input → lines, of bounded length.

use std::io::{BufRead, ErrorKind};
use std::sync::Arc;

use crate::{Error, Result};

/// The longest line that is read. The longest of our formats, the first line of a runtime/metrics recording, has 30 kB.
pub const MAX_LINE_BYTES: usize = 16 << 20;

/// Reads lines without copying those that lie inside of the reader's buffer.
pub(crate) struct Lines<'a> {
    input: &'a mut dyn BufRead,
    name: Arc<str>,
    number: u64,
    /// Bytes of the line given last that are still in the reader's buffer.
    held: usize,
    /// A line that did not lie inside of one buffer.
    joined: Vec<u8>,
}

/// One line.
pub(crate) struct Line<'a> {
    /// From 1.
    pub(crate) number: u64,
    /// Without its end (`\n`, `\r\n`) and, in line 1, without a byte order mark. `None` when it is longer than [`MAX_LINE_BYTES`].
    pub(crate) text: Option<&'a [u8]>,
    /// Whether a line end followed. Without one the line may have been cut.
    pub(crate) ended: bool,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(input: &'a mut dyn BufRead, name: &Arc<str>) -> Self {
        Lines {
            input,
            name: name.clone(),
            number: 0,
            held: 0,
            joined: Vec::new(),
        }
    }

    /// The next line; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Line<'_>>> {
        self.input.consume(std::mem::take(&mut self.held));
        self.joined.clear();
        let (mut begun, mut too_long, mut ended) = (false, false, false);
        loop {
            let buffer = fill(self.input, &self.name)?;
            if buffer.is_empty() {
                if !begun {
                    return Ok(None);
                }
                break;
            }
            let end = memchr::memchr(b'\n', buffer);
            if let (Some(end), false) = (end, begun) {
                // The common case: nothing is copied. Asking again for a buffer that is not empty reads nothing.
                self.held = end + 1;
                self.number += 1;
                let text = fill(self.input, &self.name)?.get(..end).unwrap_or_default();
                return Ok(Some(Line {
                    number: self.number,
                    text: (end <= MAX_LINE_BYTES).then(|| trimmed(text, self.number)),
                    ended: true,
                }));
            }
            begun = true;
            let part = &buffer[..end.unwrap_or(buffer.len())];
            if self.joined.len() + part.len() > MAX_LINE_BYTES {
                too_long = true;
                self.joined.clear();
            } else if !too_long {
                self.joined.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                ended = true;
                break;
            }
        }
        self.number += 1;
        Ok(Some(Line {
            number: self.number,
            text: (!too_long).then(|| trimmed(&self.joined, self.number)),
            ended,
        }))
    }
}

fn fill<'b>(input: &'b mut dyn BufRead, name: &Arc<str>) -> Result<&'b [u8]> {
    loop {
        match input.fill_buf() {
            Ok(_) => break,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(source) => {
                return Err(Error::Read {
                    input: name.clone(),
                    source,
                });
            }
        }
    }
    input.fill_buf().map_err(|source| Error::Read {
        input: name.clone(),
        source,
    })
}

fn trimmed(text: &[u8], number: u64) -> &[u8] {
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if number == 1 { without_bom(text) } else { text }
}

/// Without the byte order mark that some Windows tools put first.
pub(crate) fn without_bom(head: &[u8]) -> &[u8] {
    head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head)
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn lines_are_the_same_whatever_the_buffer() {
        let text = b"\xef\xbb\xbfone\r\ntwo\n\n\nfive is longer than the buffer\nsix";
        for capacity in 1..40 {
            let mut input = BufReader::with_capacity(capacity, &text[..]);
            let mut lines = Lines::new(&mut input, &"t".into());
            let mut seen = Vec::new();
            while let Some(line) = lines.next().unwrap() {
                let text = String::from_utf8(line.text.unwrap().to_vec()).unwrap();
                seen.push((line.number, text, line.ended));
            }
            let expected = [
                (1, "one", true),
                (2, "two", true),
                (3, "", true),
                (4, "", true),
                (5, "five is longer than the buffer", true),
                (6, "six", false),
            ];
            // The mark is only known as such when it is in one piece, which `trimmed` sees: lines are joined first.
            assert_eq!(
                seen,
                expected.map(|(n, t, e)| (n, t.to_owned(), e)),
                "{capacity}"
            );
        }
    }

    #[test]
    fn a_line_over_the_limit_is_named_and_the_next_is_read() {
        let mut text = vec![b'x'; MAX_LINE_BYTES + 1];
        text.extend_from_slice(b"\nnext\n");
        for capacity in [4096, MAX_LINE_BYTES * 2] {
            let mut input = BufReader::with_capacity(capacity, &text[..]);
            let mut lines = Lines::new(&mut input, &"t".into());
            assert!(lines.next().unwrap().unwrap().text.is_none());
            let line = lines.next().unwrap().unwrap();
            assert_eq!((line.number, line.text), (2, Some(&b"next"[..])));
            assert!(lines.next().unwrap().is_none());
        }
    }
}
