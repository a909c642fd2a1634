//! Results on standard output. Nothing else writes there.

pub mod backtest;
pub mod backtest_json;
pub mod compared;
pub mod coverage;
pub mod diff;
pub mod diff_json;
pub mod explain;
pub mod explain_json;
pub mod findings;
pub mod functions;
pub mod html;
pub mod info;
pub mod ingest_report;
pub mod json;
pub mod junit;
pub mod notifications;
pub mod notifications_json;
pub mod patch;
pub mod promql;
pub mod robustness;
pub mod rows;
pub mod score;
pub mod score_json;
pub mod table;
pub mod timeline;
pub mod tune;
pub mod tune_json;
pub mod upkeep;

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal as _, Write};

/// Where results go: standard output, buffered.
pub struct Output {
    to: BufWriter<Box<dyn Write + Send>>,
    terminal: bool,
    closed: bool,
}

impl Output {
    /// The process' standard output.
    pub fn stdout() -> Output {
        Output {
            terminal: io::stdout().is_terminal(),
            to: BufWriter::with_capacity(64 * 1024, Box::new(io::stdout())),
            closed: false,
        }
    }

    /// A file instead.
    pub fn file(file: std::fs::File) -> Output {
        Output {
            terminal: false,
            to: BufWriter::with_capacity(64 * 1024, Box::new(file)),
            closed: false,
        }
    }

    /// Whether somebody looks at it.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// How many characters a line has: those of the terminal, within reason, or 100.
    pub fn width(&self) -> usize {
        let columns = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        match columns {
            Some(columns) if self.terminal => columns.clamp(70, 160),
            _ => 100,
        }
    }

    /// Whether whoever looks at it can see ASCII only. Files and pipes are UTF-8, whatever the locale, so that the same run gives the
    /// same bytes.
    pub fn is_ascii(&self) -> bool {
        let set = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let locale = set("LC_ALL")
            .or_else(|| set("LC_CTYPE"))
            .or_else(|| set("LANG"));
        let utf8 = locale.is_some_and(|l| {
            let l = l.to_ascii_lowercase();
            l.contains("utf-8") || l.contains("utf8")
        });
        self.terminal && (!utf8 || set("TERM").is_some_and(|t| t == "dumb"))
    }

    /// Whether who read it has gone (`memwatch query … | head`).
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn note<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &done {
            self.closed |= error.kind() == io::ErrorKind::BrokenPipe;
        }
        done
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let done = self.to.write(bytes);
        self.note(done)
    }

    fn flush(&mut self) -> io::Result<()> {
        let done = self.to.flush();
        self.note(done)
    }
}

/// Text from outside, fit for a terminal: control characters and those that turn the direction of writing become `�`.
/// Line breaks and tabs stay only where `lines` says so; else they become spaces.
pub fn clean(text: &str, lines: bool) -> Cow<'_, str> {
    let bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.chars().any(bad) {
        return Cow::Borrowed(text);
    }
    text.chars()
        .map(|c| match c {
            '\n' | '\t' if lines => c,
            '\n' | '\t' | '\r' => ' ',
            c if bad(c) => '\u{fffd}',
            c => c,
        })
        .collect::<String>()
        .into()
}

/// `12,345,678`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12.3 MB`: a size for people, in powers of 1000.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_safe_from_data() {
        assert_eq!(clean("plain é 世界", false), "plain é 世界");
        assert_eq!(clean("a\x1b[31mred\x07", false), "a\u{fffd}[31mred\u{fffd}");
        assert_eq!(clean("a\nb\tc", false), "a b c");
        assert_eq!(clean("a\nb\x00", true), "a\nb\u{fffd}");
        assert_eq!(clean("evil\u{202e}txt", false), "evil\u{fffd}txt");
    }

    #[test]
    fn numbers_are_for_people() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(n), text);
        }
        for (n, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_500, "1.5 kB"),
            (999_999, "1.0 MB"),
        ] {
            assert_eq!(size(n), text);
        }
    }
}
