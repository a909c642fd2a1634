//! Prometheus text and OpenMetrics: what `/metrics` answers, one scrape or many.
//!
//! A recording of several scrapes has a line `# SCRAPE target=T ts_ms=N` before each, which is a comment to any other parser.

use std::io::BufRead;

use super::decimal::scaled;
use super::json_head::json_format;
use super::line::{Lines, without_bom};
use super::output::Output;
use super::prometheus_families::{Families, TYPES};
use super::prometheus_series::{self, SeriesTable};
use super::scraped_sample::Scraped;
use super::{Context, Source};
use crate::record::{Identity, RecordSink};
use crate::{Result, Timestamp};

/// Prometheus text and OpenMetrics.
pub(super) struct PrometheusText;

impl Source for PrometheusText {
    fn name(&self) -> &'static str {
        "prometheus"
    }

    fn about(&self) -> &'static str {
        "Prometheus text or OpenMetrics: answers of /metrics, each after a `# SCRAPE … ts_ms=` line, with own timestamps, or --at"
    }

    fn recognizes(&self, head: &[u8]) -> bool {
        let head = without_bom(head);
        if json_format(head).is_some() {
            return false;
        }
        // The last line may be cut.
        let whole = head.iter().rposition(|b| *b == b'\n').unwrap_or(head.len());
        let (mut samples, mut others, mut marked, mut told) = (0, 0, false, false);
        for line in head[..whole].split(|b| *b == b'\n').take(400) {
            let line = line.trim_ascii();
            if let Some(comment) = line.strip_prefix(b"#") {
                marked |= is_marker(comment);
            } else if !line.is_empty() {
                if prometheus_series::end(line).is_some_and(|end| is_sample(line, end)) {
                    samples += 1;
                    told |= line.contains(&b'{')
                        || line.starts_with(b"go_")
                        || line.starts_with(b"process_");
                } else {
                    others += 1;
                }
            }
        }
        // With the marks of the format, a torn line among many is only that.
        if marked {
            others * 20 <= samples
        } else {
            told && others == 0
        }
    }

    fn parse(
        &self,
        input: &mut dyn BufRead,
        context: &Context,
        sink: &mut dyn RecordSink,
    ) -> Result<()> {
        let mut lines = Lines::new(input, &context.input);
        let mut reader = Reader::new(context);
        let mut out = Output { context, sink };
        while let Some(line) = lines.next()? {
            match line.text {
                Some(text) if line.ended => reader.line(line.number, text, &mut out)?,
                // The format ends every line: `12` may have been the beginning of `1234`.
                Some(text) if !text.is_empty() && !text.starts_with(b"#") => {
                    out.reject(line.number, "", "a line that ends with a line feed", text)?;
                }
                Some(_) => {}
                None => out.reject_length(line.number)?,
            }
        }
        flush(&mut reader.open, &mut out)
    }
}

fn is_marker(comment: &[u8]) -> bool {
    let text = String::from_utf8_lossy(comment);
    let mut words = text.split_ascii_whitespace();
    match words.next() {
        Some("TYPE") => words.nth(1).is_some_and(|kind| TYPES.contains(&kind)),
        Some("HELP") => words.next().is_some(),
        Some("SCRAPE") => text.contains("ts_ms="),
        Some("EOF") => words.next().is_none(),
        _ => false,
    }
}

/// Whether a line is a series, a number, and at most a time: not what a `promtool tsdb dump` prints, which begins with a brace.
fn is_sample(line: &[u8], end: usize) -> bool {
    let named = line
        .first()
        .is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b':'));
    (named || line.starts_with(b"{\""))
        && numbers(&line[end..]).is_ok_and(|(value, _)| number(value).is_some())
}

/// The value and the time after a series. `Err` says what is expected.
fn numbers(rest: &[u8]) -> Result<(&[u8], Option<&[u8]>), &'static str> {
    let mut words = rest
        .split(|b| matches!(b, b' ' | b'\t'))
        .filter(|word| !word.is_empty());
    let value = words.next().ok_or("a value")?;
    let time = words.next();
    // After `#` comes an exemplar.
    if time == Some(b"#") {
        return Ok((value, None));
    }
    match words.next() {
        None | Some(b"#") => Ok((value, time)),
        Some(_) => Err("a value and at most a timestamp"),
    }
}

/// A value as Go parses it.
pub(super) fn number(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A time: milliseconds in the text format, seconds (with a fraction) in OpenMetrics.
///
/// A whole number below 10^11 is seconds: as milliseconds it would be before March of 1973, and as seconds 10^11 is in the year 5138.
fn time(text: &[u8]) -> Option<Timestamp> {
    let seconds = text.iter().any(|b| matches!(b, b'.' | b'e' | b'E'));
    let whole = scaled(text, 0)?;
    if seconds || whole.abs() < 100_000_000_000 {
        scaled(text, 9).map(Timestamp)
    } else {
        Timestamp::from_millis(whole)
    }
}

/// When the samples that carry no time were read.
#[derive(Clone, Copy)]
enum ScrapedAt {
    /// By the last `# SCRAPE` line, or `--at`.
    Known(Timestamp),
    Unknown,
    /// The last `# SCRAPE` line has no time that can be read.
    Broken,
}

struct Reader {
    at: ScrapedAt,
    given: Option<Identity>,
    /// Whether `given` came from outside, and not from a `# SCRAPE` line.
    fixed: bool,
    families: Families,
    series: SeriesTable,
    /// Samples of this scrape that are not complete: one for each process that it shows.
    open: Vec<(Identity, Scraped)>,
}

/// More processes than this in one scrape are written out as they come.
const MAX_OPEN: usize = 4_096;

impl Reader {
    fn new(context: &Context) -> Self {
        Reader {
            at: context.at.map_or(ScrapedAt::Unknown, ScrapedAt::Known),
            given: context.identity.clone(),
            fixed: context.identity.is_some(),
            families: Families::default(),
            series: SeriesTable::default(),
            open: Vec::new(),
        }
    }

    fn line(&mut self, number: u64, text: &[u8], out: &mut Output<'_>) -> Result<()> {
        let text = text.trim_ascii();
        match text.strip_prefix(b"#") {
            Some(comment) => self.comment(number, comment, out),
            None if text.is_empty() => Ok(()),
            None => self.sample(number, text, out),
        }
    }

    fn comment(&mut self, line: u64, comment: &[u8], out: &mut Output<'_>) -> Result<()> {
        let text = String::from_utf8_lossy(comment);
        let mut words = text.split_ascii_whitespace();
        match words.next() {
            Some("SCRAPE") => {
                flush(&mut self.open, out)?;
                self.scrape(line, &text, out)
            }
            Some("EOF") => flush(&mut self.open, out),
            Some("TYPE") => {
                let (name, kind) = (words.next(), words.next());
                let known = name.zip(kind).is_some_and(|(name, kind)| {
                    self.families.declare(name.trim_matches('"'), kind)
                });
                if known {
                    Ok(())
                } else {
                    let expected = "a name and one of counter, gauge, histogram, summary, untyped";
                    out.reject(line, "# TYPE", expected, comment)
                }
            }
            _ => Ok(()),
        }
    }

    fn scrape(&mut self, line: u64, text: &str, out: &mut Output<'_>) -> Result<()> {
        let value = |key: &str| {
            text.split_ascii_whitespace()
                .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
        };
        let target = value("target").filter(|target| !target.is_empty());
        if let (false, Some(target)) = (self.fixed, target) {
            let same = self.given.as_ref().is_some_and(|g| *g.service == *target);
            if !same {
                self.given = Some(Identity {
                    service: target.into(),
                    instance: target.into(),
                });
                self.series.clear();
            }
        }
        let at = value("ts_ms").and_then(|ms| Timestamp::from_millis(ms.parse().ok()?));
        self.at = at.map_or(ScrapedAt::Broken, ScrapedAt::Known);
        if at.is_none() {
            let expected = "milliseconds since the epoch";
            return out.reject(line, "ts_ms", expected, value("ts_ms").unwrap_or("nothing"));
        }
        Ok(())
    }

    fn sample(&mut self, line: u64, text: &[u8], out: &mut Output<'_>) -> Result<()> {
        let Some(end) = prometheus_series::end(text) else {
            return out.reject(line, "labels", "labels that end with }", text);
        };
        let (value_text, time_text) = match numbers(&text[end..]) {
            Ok(numbers) => numbers,
            Err(expected) => return out.reject(line, "value", expected, text),
        };
        let Some(value) = number(value_text) else {
            return out.reject(line, "value", "a number", value_text);
        };
        let at = match (time_text.map(time), self.at) {
            (Some(Some(at)), _) | (None, ScrapedAt::Known(at)) => at,
            (Some(None), _) => {
                let expected = "milliseconds (OpenMetrics: seconds) since the epoch";
                let found = time_text.unwrap_or_default();
                return out.reject(line, "timestamp", expected, found);
            }
            (None, ScrapedAt::Unknown) => {
                let expected = "a time: its own, a `# SCRAPE … ts_ms=` line before, or --at TIME";
                return out.reject(line, "timestamp", expected, "none");
            }
            (None, ScrapedAt::Broken) => {
                let expected = "a time in the `# SCRAPE` line before";
                return out.reject(line, "timestamp", expected, "one that cannot be read");
            }
        };
        let families = &self.families;
        let kind = |name: &str| families.kind(name);
        let series = match self.series.get(&text[..end], self.given.as_ref(), kind) {
            Ok(series) => series,
            Err(expected) => return out.reject(line, "series", expected, &text[..end]),
        };
        let Some(of) = &series.of else {
            return out.reject_identity(line);
        };
        series.row.at = at;
        series.row.value = value;
        out.sink.metric(of, &series.row)?;
        let Some(part) = series.part else {
            return Ok(());
        };
        let index = match self.open.iter().rposition(|(open, _)| open == of) {
            // A field that comes again, or another time, begins another scrape.
            Some(index) if self.open[index].1.has(part) || self.open[index].1.row.at != at => {
                let done = std::mem::replace(&mut self.open[index].1, Scraped::new(at));
                write(of, done, out)?;
                index
            }
            Some(index) => index,
            None => {
                if self.open.len() >= MAX_OPEN {
                    flush(&mut self.open, out)?;
                }
                self.open.push((of.clone(), Scraped::new(at)));
                self.open.len() - 1
            }
        };
        let version = series.version.as_ref();
        match self.open[index].1.set(part, value_text, version) {
            Ok(()) => Ok(()),
            Err(expected) => out.reject(line, &*series.row.metric, expected, value_text),
        }
    }
}

/// Writes the samples of a scrape that has ended.
fn flush(open: &mut Vec<(Identity, Scraped)>, out: &mut Output<'_>) -> Result<()> {
    for (of, scraped) in open.drain(..) {
        write(&of, scraped, out)?;
    }
    Ok(())
}

fn write(of: &Identity, scraped: Scraped, out: &mut Output<'_>) -> Result<()> {
    match scraped.finish() {
        Some(row) => out.sink.sample(of, &row),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fuzz::Collected;
    use crate::{Bytes, Nanos};

    fn rows(read: &Collected) -> Vec<String> {
        read.metrics
            .iter()
            .map(|(of, m)| {
                let ms = m.at.0 / 1_000_000;
                let of = format!("{}/{}", of.service, of.instance);
                format!(
                    "{of} {}{{{}}} {} {:?} {ms}",
                    m.metric, m.labels, m.value, m.kind
                )
            })
            .collect()
    }

    #[test]
    fn samples_have_identity_kind_and_time() {
        let text = r#"# HELP a Text.
# TYPE a counter
a_total 1 1795410241867
a_total{job="j",instance="i:1",code="200"} +Inf # {trace_id="x"} 0.5 1795410241.1
a_created 1.7954e9
# TYPE h histogram
h_bucket{le="0.5"} 2 # {id="}"} 1
h_sum	3
up{service="s"} NaN 1795410241.5
plain 4e3 1795410241
"#;
        let read = Collected::of(&PrometheusText, text.as_bytes());
        assert_eq!(
            rows(&read),
            [
                "service/instance a_total{} 1 Counter 1795410241867",
                "j/i:1 a_total{code=\"200\"} inf Counter 1795410189000",
                "service/instance a_created{} 1795400000 Gauge 1795410189000",
                "service/instance h_bucket{le=\"0.5\"} 2 Histogram 1795410189000",
                "service/instance h_sum{} 3 Histogram 1795410189000",
                "s/instance up{} NaN Untyped 1795410241500",
                "service/instance plain{} 4000 Untyped 1795410241000",
            ]
        );
        assert_eq!((read.samples.len(), read.rejected.len()), (0, 0));
    }

    #[test]
    fn scrapes_of_a_go_program_are_memory_samples_too() {
        let scrape = |ms: i64, heap: i64| {
            format!(
                "# SCRAPE target=web ts_ms={ms} dur_ms=3.30 bytes=1\ngo_info{{version=\"go1.19.8\"}} 1\ngo_goroutines 9\n\
                 go_memstats_heap_alloc_bytes {heap}\ngo_memstats_next_gc_bytes 4.194304e+06\nprocess_start_time_seconds 1.79541e+09\n\
                 process_cpu_seconds_total 1.5\n"
            )
        };
        let text = format!(
            "{}{}go_memstats_heap_alloc_bytes 7\ngo_memstats_sys_bytes{{job=\"other\"}} 5\n",
            scrape(1_795_410_241_000, 100),
            scrape(1_795_410_242_000, 200)
        );
        let context = Context::default();
        let read = Collected::with(&PrometheusText, text.as_bytes(), &context);
        let seen: Vec<String> = read
            .samples
            .iter()
            .map(|(of, s)| {
                let heap = s.heap_alloc.map(|b| b.0);
                let of = format!("{}/{}", of.service, of.instance);
                format!(
                    "{of} {} {heap:?} {:?} {:?}",
                    s.at.0 / 1_000_000,
                    s.sys,
                    s.goroutines
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                "web/web 1795410241000 Some(100) None Some(9)",
                // Said twice in one scrape: a scrape of its own.
                "web/web 1795410242000 Some(200) None Some(9)",
                "web/web 1795410242000 Some(7) None None",
                "other/web 1795410242000 None Some(Bytes(5)) None",
            ]
        );
        let first = &read.samples[0].1;
        assert_eq!(first.go_version.as_deref(), Some("go1.19.8"));
        assert_eq!(first.next_gc, Some(Bytes(4_194_304)));
        assert_eq!(
            first.uptime,
            Some(Nanos(410_241 * 1_000_000_000 - 410_000 * 1_000_000_000))
        );
        assert_eq!(
            (first.cpu_user, first.process, first.num_gc),
            (None, None, None)
        );
        assert_eq!(read.metrics.len(), 14);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let text = "a 1\n# SCRAPE target=t ts_ms=x\nb 2\n# SCRAPE target=t ts_ms=1795410241000\nc{ 3\nd x\ne 1 2 3\nf 1 soon\n1g 1\n# TYPE h number\nh 1\ngo_memstats_frees_total 1.5\ni 12";
        let read = Collected::with(&PrometheusText, text.as_bytes(), &Context::default());
        let seen: Vec<(u64, &str)> = read
            .rejected
            .iter()
            .map(|r| (r.place.line, &*r.field))
            .collect();
        assert_eq!(
            seen,
            [
                (1, "timestamp"),
                (2, "ts_ms"),
                (3, "timestamp"),
                (5, "labels"),
                (6, "value"),
                (7, "value"),
                (8, "timestamp"),
                (9, "series"),
                (10, "# TYPE"),
                (12, "go_memstats_frees_total"),
                (13, ""),
            ]
        );
        assert_eq!(rows(&read).len(), 2);
    }
}
