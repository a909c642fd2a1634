//! One line of `GODEBUG=gctrace=1`.
//!
//! ```text
//! gc N @T.TTTs P%: a+b+c ms clock, d+e/f/g+h ms cpu, H0->H1->H2 MB, G MB goal, S MB stacks, L MB globals, K P (forced)
//! ```

use super::decimal::scaled;
use crate::record::GcCycle;
use crate::{Bytes, Nanos, Timestamp};

/// What does not fit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Torn<'a> {
    pub(crate) field: &'static str,
    pub(crate) expected: String,
    pub(crate) found: &'a [u8],
}

/// Where the next `gc N @` begins.
pub(crate) fn find(text: &[u8]) -> Option<usize> {
    memchr::memmem::find_iter(text, b"gc ").find(|at| {
        let after = &text[at + 3..];
        let digits = after.iter().take_while(|b| b.is_ascii_digit()).count();
        digits > 0
            && after[digits..].starts_with(b" @")
            && after.get(digits + 2).is_none_or(u8::is_ascii_digit)
    })
}

/// Reads the line that begins at `text` with `gc N @`. The result is the cycle, without a wall clock, and how long it is.
///
/// `ended` is whether the line's end follows `text`: without, a `(forced)` may have been cut.
pub(crate) fn parse(text: &[u8], ended: bool) -> Result<(GcCycle, usize), Torn<'_>> {
    let mut cursor = Cursor { text, at: 3 };
    let mut cycle = GcCycle {
        at: Timestamp(0),
        gc_num: cursor.whole("cycle", " @")?,
        ..GcCycle::default()
    };
    cycle.since_start = Some(Nanos(cursor.decimal("time since start", "s ", 9)?));
    cycle.gc_cpu_percent = Some(cursor.whole("percent", "%")?);
    // Go 1.27, when the cycle looks for leaked goroutines.
    cursor.skip(" (checking for goroutine leaks)");
    if !cursor.skip(": ") {
        return Err(cursor.torn("percent", "a whole number followed by `%: `"));
    }
    let mut time = |field, after: &str| cursor.decimal(field, after, 6).map(|n| Some(Nanos(n)));
    cycle.sweep_termination = time("sweep termination", "+")?;
    cycle.mark = time("concurrent mark", "+")?;
    cycle.mark_termination = time("mark termination", " ms clock, ")?;
    cycle.cpu_sweep_termination = time("sweep termination cpu", "+")?;
    cycle.cpu_mark_assist = time("assist cpu", "/")?;
    cycle.cpu_mark_background = time("background cpu", "/")?;
    cycle.cpu_mark_idle = time("idle cpu", "+")?;
    cycle.cpu_mark_termination = time("mark termination cpu", " ms cpu, ")?;
    cycle.heap_start = Some(cursor.size("heap at start", "->")?);
    cycle.heap_end = Some(cursor.size("heap at end", "->")?);
    cycle.heap_live = Some(cursor.size("live heap", " MB, ")?);
    cycle.heap_goal = Some(cursor.size("heap goal", " MB goal, ")?);
    // Go 1.17 and older go on with the processors.
    if cursor.followed_by(" MB stacks") {
        cycle.stacks = Some(cursor.size("stacks", " MB stacks, ")?);
        cycle.globals = Some(cursor.size("globals", " MB globals, ")?);
    }
    cycle.procs = Some(cursor.whole("processors", " P")?);
    cycle.forced = if cursor.skip(" (forced)") {
        Some(true)
    } else {
        // Text of the application right behind, or the end of the input, may stand where `(forced)` would have come.
        match text.get(cursor.at) {
            None => ended.then_some(false),
            Some(b' ' | b'\t' | b'\\' | b'"' | b'\r') => Some(false),
            Some(_) => None,
        }
    };
    Ok((cycle, cursor.at))
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.text[self.at.min(self.text.len())..]
    }

    fn skip(&mut self, literal: &str) -> bool {
        let there = self.rest().starts_with(literal.as_bytes());
        if there {
            self.at += literal.len();
        }
        there
    }

    fn torn(&self, field: &'static str, expected: &str) -> Torn<'a> {
        Torn {
            field,
            expected: expected.to_owned(),
            found: self.rest(),
        }
    }

    fn digits(&self, point: bool) -> usize {
        self.rest()
            .iter()
            .take_while(|b| b.is_ascii_digit() || (point && **b == b'.'))
            .count()
    }

    fn followed_by(&self, literal: &str) -> bool {
        self.rest()[self.digits(false)..].starts_with(literal.as_bytes())
    }

    fn number(
        &mut self,
        field: &'static str,
        what: &str,
        after: &str,
        scale: Option<i32>,
    ) -> Result<i64, Torn<'a>> {
        let length = self.digits(scale.is_some());
        let (number, rest) = self.rest().split_at(length);
        match scaled(number, scale.unwrap_or(0)) {
            Some(value) if rest.starts_with(after.as_bytes()) => {
                self.at += length + after.len();
                Ok(value)
            }
            _ => Err(self.torn(field, &format!("{what} followed by `{}`", after.trim_end()))),
        }
    }

    fn whole(&mut self, field: &'static str, after: &str) -> Result<i64, Torn<'a>> {
        self.number(field, "a whole number", after, None)
    }

    fn decimal(&mut self, field: &'static str, after: &str, scale: i32) -> Result<i64, Torn<'a>> {
        self.number(field, "a decimal number", after, Some(scale))
    }

    /// `MB` in a gctrace line are MiB, rounded down.
    fn size(&mut self, field: &'static str, after: &str) -> Result<Bytes, Torn<'a>> {
        let begin = self.at;
        let mib = self.whole(field, after)?;
        mib.checked_mul(1 << 20).map(Bytes).ok_or_else(|| {
            self.at = begin;
            self.torn(field, "a size that fits 64 bits")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "gc 25 @128.306s 0%: 0.15+0.56+0.003 ms clock, 0.30+0/0.12/0.67+0.006 ms cpu, 195->196->7 MB, 381 MB goal, 1 MB stacks, 2 MB globals, 2 P (forced)";

    #[test]
    fn every_field_is_read() {
        let (cycle, length) = parse(LINE.as_bytes(), true).unwrap();
        assert_eq!(length, LINE.len());
        let ns = |n| Some(Nanos(n));
        let mib = |n: i64| Some(Bytes(n << 20));
        let expected = GcCycle {
            gc_num: 25,
            forced: Some(true),
            sweep_termination: ns(150_000),
            mark: ns(560_000),
            mark_termination: ns(3_000),
            cpu_sweep_termination: ns(300_000),
            cpu_mark_assist: ns(0),
            cpu_mark_background: ns(120_000),
            cpu_mark_idle: ns(670_000),
            cpu_mark_termination: ns(6_000),
            heap_start: mib(195),
            heap_end: mib(196),
            heap_live: mib(7),
            heap_goal: mib(381),
            stacks: mib(1),
            globals: mib(2),
            procs: Some(2),
            gc_cpu_percent: Some(0),
            since_start: ns(128_306_000_000),
            ..GcCycle::default()
        };
        assert_eq!(cycle, expected);
    }

    #[test]
    fn versions_differ() {
        let old = "gc 8 @0.094s 5%: 0.022+0.51+0.12 ms clock, 0.044+0.043/0.022/0+0.24 ms cpu, 2->3->1 MB, 4 MB goal, 2 P";
        let (cycle, _) = parse(old.as_bytes(), true).unwrap();
        assert_eq!((cycle.stacks, cycle.procs), (None, Some(2)));
        assert_eq!(cycle.forced, Some(false));
        let new = LINE.replace("0%:", "0% (checking for goroutine leaks):");
        let (cycle, _) = parse(new.as_bytes(), true).unwrap();
        assert_eq!(cycle.gc_num, 25);
    }

    #[test]
    fn forced_is_only_known_at_the_end_of_a_line() {
        let cases = [
            ("", true, Some(false)),
            ("", false, None),
            ("level=info", true, None),
            ("\\n\"", true, Some(false)),
        ];
        for (after, ended, forced) in cases {
            let text = LINE.replace(" (forced)", after);
            assert_eq!(parse(text.as_bytes(), ended).unwrap().0.forced, forced);
        }
    }

    #[test]
    fn torn_lines_say_where() {
        for (text, field, expected, found) in [
            (
                "gc 19 @0.059s 3%: 0.032+0.3+0.032 ms clock, 0.095+0.078/0.027/0+0.064 ms cpu, 2->3level=info",
                "heap at end",
                "a whole number followed by `->`",
                "3level=info",
            ),
            (
                "gc 79 @0.131s 21%: 0.006+0.80level=info",
                "concurrent mark",
                "a decimal number followed by `+`",
                "0.80level=info",
            ),
            (
                "gc 56 @0.094s 5%: level=info",
                "sweep termination",
                "a decimal number followed by `+`",
                "level=info",
            ),
            (
                "gc 5 @",
                "time since start",
                "a decimal number followed by `s`",
                "",
            ),
            (
                "gc 99999999999999999999 @1",
                "cycle",
                "a whole number followed by ` @`",
                "99999999999999999999 @1",
            ),
        ] {
            let torn = parse(text.as_bytes(), true).unwrap_err();
            assert_eq!(
                (torn.field, &*torn.expected, torn.found),
                (field, expected, found.as_bytes())
            );
        }
        for cut in 6..LINE.len() - " (forced)".len() {
            assert!(parse(&LINE.as_bytes()[..cut], false).is_err(), "{cut}");
        }
    }

    #[test]
    fn lines_are_found_anywhere() {
        for (text, at) in [
            ("gc 1 @0.1s", Some(0)),
            ("text;gc 12 @0.1s", Some(5)),
            ("gc x gc 1 gc 2 @3", Some(10)),
            ("gc 1 @office", None),
            ("msg=\"gc done\"", None),
            ("gc 7 @", Some(0)),
        ] {
            assert_eq!(find(text.as_bytes()), at, "{text}");
        }
    }
}
