//! Which bytes of a file a text was read from: YAML folds lines, drops indentation and knows escapes.

use std::ops::Range;
use std::sync::Arc;

use crate::expr::Span;

/// Where each part of a text stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceMap {
    /// In order, without holes, and at least one.
    pieces: Arc<[Piece]>,
    /// Bytes of the text without the white space at its end.
    len: usize,
}

/// A stretch of the text and the bytes of the file that it was read from; as many when they are the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    text: Range<usize>,
    source: Range<usize>,
}

impl Piece {
    fn is_verbatim(&self) -> bool {
        self.text.len() == self.source.len()
    }
}

impl SourceMap {
    /// A text that the file holds as it is, from the byte `start` on.
    pub(super) fn verbatim(start: usize, text: &str) -> SourceMap {
        let piece = Piece {
            text: 0..text.len(),
            source: start..start + text.len(),
        };
        SourceMap {
            pieces: Arc::new([piece]),
            len: text.trim_end().len(),
        }
    }

    /// The YAML scalar that begins at the byte `start` of `file` and was read as `text`; `None` when another one stands there, as behind
    /// an alias.
    pub(super) fn yaml<'a>(file: &'a str, start: usize, text: &'a str) -> Option<SourceMap> {
        // The parser says where the content of a block begins, not its `|`. What can be read both ways has the same places in both.
        let walk = |walk: fn(&mut Align<'a>) -> Option<()>| {
            let mut align = Align {
                file,
                at: start,
                text,
                done: 0,
                pieces: Vec::new(),
            };
            walk(&mut align)?;
            if align.pieces.is_empty() {
                align.take(0, 0);
            }
            Some(align.pieces)
        };
        let pieces = walk(Align::block).or_else(|| walk(Align::flow))?;
        Some(SourceMap {
            pieces: pieces.into(),
            len: text.trim_end().len(),
        })
    }

    /// The bytes of the file that a part of the text was read from. What lies in the white space behind the text is at its end.
    #[must_use]
    pub fn bytes(&self, part: Span) -> Range<usize> {
        let start = part.start.min(self.len);
        let end = part.end.clamp(start, self.len);
        let piece = self.piece(start);
        let from = if piece.is_verbatim() {
            piece.source.start + (start - piece.text.start)
        } else {
            piece.source.start
        };
        if start == end {
            return from..from;
        }
        let piece = self.piece(end - 1);
        let to = if piece.is_verbatim() {
            piece.source.start + (end - piece.text.start)
        } else {
            piece.source.end
        };
        from..to
    }

    /// The bytes of the whole text.
    pub(super) fn whole(&self) -> Range<usize> {
        self.bytes(Span {
            start: 0,
            end: self.len,
        })
    }

    fn piece(&self, at: usize) -> &Piece {
        let after = self.pieces.partition_point(|p| p.text.start <= at);
        &self.pieces[after.saturating_sub(1)]
    }
}

/// Walks over a scalar in the file and over the text that it was read as, side by side.
struct Align<'a> {
    file: &'a str,
    at: usize,
    text: &'a str,
    done: usize,
    pieces: Vec<Piece>,
}

const WHITE: [char; 4] = [' ', '\t', '\r', '\n'];

impl<'a> Align<'a> {
    fn rest(&self) -> &'a str {
        &self.file[self.at..]
    }

    fn left(&self) -> &'a str {
        &self.text[self.done..]
    }

    /// The next `text` bytes were read from the next `source` bytes.
    fn take(&mut self, text: usize, source: usize) {
        let piece = Piece {
            text: self.done..self.done + text,
            source: self.at..self.at + source,
        };
        (self.done, self.at) = (piece.text.end, piece.source.end);
        match self.pieces.last_mut() {
            Some(last)
                if last.is_verbatim()
                    && piece.is_verbatim()
                    && last.source.end == piece.source.start =>
            {
                last.text.end = piece.text.end;
                last.source.end = piece.source.end;
            }
            _ => self.pieces.push(piece),
        }
    }

    /// The next bytes of both are `same`.
    fn copy(&mut self, same: &str) -> Option<()> {
        self.left().starts_with(same).then_some(())?;
        self.take(same.len(), same.len());
        Some(())
    }

    /// Steps over an anchor and a tag.
    fn skip_properties(&mut self) {
        while self.rest().starts_with(['&', '!']) {
            let rest = self.rest().trim_start_matches(|c| !WHITE.contains(&c));
            self.at = self.file.len() - rest.trim_start_matches(WHITE).len();
        }
    }

    /// The lines of a literal (`|`) or folded (`>`) scalar.
    fn block(&mut self) -> Option<()> {
        let text = self.text.trim_end();
        let line_start = self.file[..self.at].rfind('\n').map_or(0, |i| i + 1);
        let own_line = self.file[line_start..self.at].trim().is_empty();
        (own_line && !text.is_empty()).then_some(())?;
        self.at = line_start;
        let indent = indent_of(self.rest())?.checked_sub(indent_of(text)?)?;
        while self.done < text.len() {
            // What is empty after the indentation is a line break more, which the next line sees.
            let (skipped, line) = self.next_line(indent)?;
            let breaks = self.left().len() - self.left().trim_start_matches('\n').len();
            let gap = match breaks {
                0 if self.done > 0 => self.left().starts_with(' ').then_some(1)?,
                breaks => breaks,
            };
            self.take(gap, skipped);
            self.copy(line)?;
        }
        Some(())
    }

    /// The next line with something behind the indentation, and how many bytes stand before that.
    fn next_line(&self, indent: usize) -> Option<(usize, &'a str)> {
        let mut skipped = 0;
        // Behind a line that was read stands its end.
        let mut inside = self.done > 0;
        for line in self.rest().split_inclusive('\n') {
            let content = line.trim_end_matches(['\r', '\n']);
            match content.get(indent..) {
                Some(content) if !inside && !content.is_empty() => {
                    return Some((skipped + indent, content));
                }
                _ => skipped += line.len(),
            }
            inside = false;
        }
        None
    }

    /// A scalar in quotes or without.
    fn flow(&mut self) -> Option<()> {
        self.skip_properties();
        let quote = self.rest().chars().next().filter(|c| "'\"".contains(*c));
        self.at += quote.map_or(0, char::len_utf8);
        while !self.left().is_empty() {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start_matches(WHITE).len();
            let breaks = rest[..blank].matches('\n').count();
            if breaks > 0 {
                // A line break alone is a space, of several the first does not count.
                let read = "\n".repeat(breaks - 1);
                let read = if read.is_empty() { " " } else { &read };
                self.left().starts_with(read).then_some(())?;
                self.take(read.len(), blank);
                continue;
            }
            let next = rest.chars().next()?;
            match quote {
                Some('"') if next == '\\' => self.escape()?,
                Some('\'') if rest.starts_with("''") => {
                    self.left().starts_with('\'').then_some(())?;
                    self.take(1, 2);
                }
                Some(quote) if next == quote => return None,
                _ => self.copy(&rest[..next.len_utf8()])?,
            }
        }
        Some(())
    }

    /// A backslash in double quotes, and what it stands for.
    fn escape(&mut self) -> Option<()> {
        let rest = self.rest();
        let escaped = rest[1..].chars().next()?;
        if WHITE[2..].contains(&escaped) {
            // The line goes on in the next one, without a space.
            let blank = 1 + rest[1..].len() - rest[1..].trim_start_matches(WHITE).len();
            let read = "\n".repeat(rest[..blank].matches('\n').count().saturating_sub(1));
            self.left().starts_with(&read).then_some(())?;
            self.take(read.len(), blank);
            return Some(());
        }
        let digits = match escaped {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        let mut source = 1 + escaped.len_utf8() + digits;
        let read = self.left().chars().next()?;
        // Two escapes of UTF-16, as in JSON, are one character.
        if escaped == 'u' && u32::from(read) > 0xffff {
            source += 6;
        }
        rest.get(..source)?;
        self.take(read.len_utf8(), source);
        Some(())
    }
}

/// Spaces in front of the first line that is not blank.
fn indent_of(text: &str) -> Option<usize> {
    let line = text.lines().find(|line| !line.trim().is_empty())?;
    Some(line.len() - line.trim_start_matches(' ').len())
}
