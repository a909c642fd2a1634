//! runtime/metrics NDJSON: all of Go's `runtime/metrics`, a reading a line.
//!
//! Series get the names that client_golang's Go collector gives them, so that rules written for scrapes work on recordings.

use std::fmt;
use std::io::BufRead;

use hashbrown::HashMap;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::intern::Identities;
use super::json::{Fault, Text, Whole};
use super::json_head::{JsonFormat, json_format};
use super::line::Lines;
use super::output::Output;
use super::{Context, Source};
use crate::record::{Identity, MetricKind, MetricSample, RecordSink};
use crate::{Result, Timestamp};

/// runtime/metrics NDJSON.
pub(super) struct MetricsNdjson;

impl Source for MetricsNdjson {
    fn name(&self) -> &'static str {
        "metrics"
    }

    fn about(&self) -> &'static str {
        "runtime/metrics NDJSON: one reading of all Go runtime metrics a line"
    }

    fn recognizes(&self, head: &[u8]) -> bool {
        json_format(head) == Some(JsonFormat::Metrics)
    }

    fn parse(
        &self,
        input: &mut dyn BufRead,
        context: &Context,
        sink: &mut dyn RecordSink,
    ) -> Result<()> {
        let mut lines = Lines::new(input, &context.input);
        let mut reader = Reader::default();
        let mut out = Output { context, sink };
        while let Some(line) = lines.next()? {
            match line.text {
                Some(text) => reader.line(line.number, text, &mut out)?,
                None => out.reject_length(line.number)?,
            }
        }
        Ok(())
    }
}

/// The client_golang name of a runtime/metrics name: `/gc/heap/allocs:bytes` → `go_gc_heap_allocs_bytes`.
///
/// Counters get `_total` besides. `None` when it has no unit.
fn prometheus_name(name: &str) -> Option<String> {
    let (path, unit) = name.strip_prefix('/')?.split_once(':')?;
    let mut text = String::from("go_");
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    text.extend(path.chars().map(safe));
    text.push('_');
    // `cpu-seconds/second` would be a rate; client_golang spells the slash out.
    text.extend(unit.replace('/', "_per_").chars().map(safe));
    Some(text)
}

/// Names of counters, for recordings that do not list the kinds. From the descriptions in Go 1.27's runtime/metrics.
const COUNTERS: &[&str] = &[
    "/cgo/go-to-c-calls:",
    "/cpu/classes/",
    "/gc/cleanups/",
    "/gc/cycles/",
    "/gc/finalizers/",
    "/gc/heap/allocs",
    "/gc/heap/frees",
    "/gc/heap/tiny/allocs:",
    "/sched/goroutines-created:",
    "/sync/mutex/wait/total:",
];

/// Beginnings of the names of gauges, likewise. A name in neither list has no known kind.
const GAUGES: &[&str] = &["/gc/", "/memory/classes/", "/sched/"];

fn kind_by_name(name: &str) -> MetricKind {
    let begins = |list: &[&str]| list.iter().any(|begin| name.starts_with(begin));
    if begins(COUNTERS) {
        MetricKind::Counter
    } else if begins(GAUGES) {
        MetricKind::Gauge
    } else {
        MetricKind::Untyped
    }
}

#[derive(Deserialize)]
struct JsonLine<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    ts: Option<Whole>,
    #[serde(borrow)]
    service: Option<Text<'a>>,
    #[serde(borrow)]
    instance: Option<Text<'a>>,
    #[serde(borrow)]
    // Sorted, so that the same input is rejected in the same order.
    buckets: Option<std::collections::BTreeMap<Text<'a>, Vec<Text<'a>>>>,
    #[serde(borrow)]
    kinds: Option<std::collections::BTreeMap<Text<'a>, Text<'a>>>,
    #[serde(borrow)]
    values: Option<Values<'a>>,
}

/// The values of one reading; the counts of all histograms lie in one vector.
struct Values<'a> {
    values: Vec<(Text<'a>, Value)>,
    counts: Vec<(u64, u64)>,
}

enum Value {
    Unsigned(u64),
    Float(f64),
    /// From and to in `counts`.
    Histogram(usize, usize),
    /// The runtime knows no such metric.
    None,
}

impl<'de: 'a, 'a> Deserialize<'de> for Values<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AnyMap;
        impl<'de> Visitor<'de> for AnyMap {
            type Value = Values<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of metrics")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values<'de>, A::Error> {
                let mut read = Values {
                    values: Vec::with_capacity(72),
                    counts: Vec::with_capacity(256),
                };
                while let Some(name) = map.next_key()? {
                    let value = map.next_value_seed(AnyValue(&mut read.counts))?;
                    read.values.push((name, value));
                }
                Ok(read)
            }
        }
        from.deserialize_map(AnyMap)
    }
}

struct AnyValue<'c>(&'c mut Vec<(u64, u64)>);

impl<'de> serde::de::DeserializeSeed<'de> for AnyValue<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue<'_> {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or pairs of bucket and count")
    }
    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(number))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Float(number as f64))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::None)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<Value, A::Error> {
        let from = self.0.len();
        while let Some(pair) = pairs.next_element()? {
            self.0.push(pair);
        }
        Ok(Value::Histogram(from, self.0.len()))
    }
}

/// A metric as it is written: its rows, of which only time and value change from reading to reading.
struct Metric {
    scalar: MetricSample,
    /// Of a histogram, a row for each boundary; `None` for the infinite ones.
    edges: Vec<Option<MetricSample>>,
    infinite: MetricSample,
    count: MetricSample,
}

#[derive(Default)]
struct Reader {
    identities: Identities,
    /// From the meta line.
    service: Option<String>,
    instance: Option<String>,
    boundaries: HashMap<String, Vec<f64>>,
    kinds: HashMap<String, String>,
    /// Names seen since the meta line. They are the runtime's, so they are few; `None` for those that are not stored.
    metrics: HashMap<String, Option<Metric>>,
}

/// More names than any Go version has times ten: what is beyond does not come from `runtime/metrics`.
const MAX_METRICS: usize = 2_000;

impl Reader {
    fn line(&mut self, number: u64, text: &[u8], out: &mut Output<'_>) -> Result<()> {
        if text.trim_ascii().is_empty() {
            return Ok(());
        }
        let line: JsonLine<'_> = match serde_json::from_slice(text) {
            Ok(line) => line,
            Err(error) => {
                let fault = Fault::of(&error, text);
                return out.reject(number, fault.field, fault.expected, fault.found);
            }
        };
        match line.kind.as_ref().map(Text::as_str) {
            Some("meta") => self.meta(number, line, out),
            Some("metrics") => self.reading(number, &line, out),
            None if line.values.is_some() => self.reading(number, &line, out),
            Some(other) => out.reject(number, "type", "`meta` or `metrics`", other),
            None => out.reject(number, "type", "`meta` or `metrics`", "nothing"),
        }
    }

    fn meta(&mut self, number: u64, line: JsonLine<'_>, out: &mut Output<'_>) -> Result<()> {
        self.service = line.service.map(|t| t.as_str().to_owned());
        self.instance = line.instance.map(|t| t.as_str().to_owned());
        self.metrics.clear();
        self.boundaries.clear();
        for (name, edges) in line.buckets.into_iter().flatten() {
            let parsed: Option<Vec<f64>> = edges.iter().map(|e| e.as_str().parse().ok()).collect();
            match parsed.filter(|edges| edges.windows(2).all(|w| w[0] < w[1])) {
                Some(edges) => {
                    self.boundaries.insert(name.as_str().to_owned(), edges);
                }
                None => {
                    let field = format!("buckets.{}", name.as_str());
                    out.reject(number, field, "ascending numbers as strings", "others")?;
                }
            }
        }
        self.kinds = line
            .kinds
            .into_iter()
            .flatten()
            .map(|(name, kind)| (name.as_str().to_owned(), kind.as_str().to_owned()))
            .collect();
        Ok(())
    }

    fn reading(&mut self, number: u64, line: &JsonLine<'_>, out: &mut Output<'_>) -> Result<()> {
        let Some(ts) = line.ts else {
            return out.reject(number, "ts", "nanoseconds since the epoch", "nothing");
        };
        let Some(read) = &line.values else {
            return out.reject(number, "values", "an object of metrics", "nothing");
        };
        let (service, instance) = (&line.service, &line.instance);
        let of = self.identities.get(
            service
                .as_ref()
                .map(Text::as_str)
                .or(self.service.as_deref()),
            instance
                .as_ref()
                .map(Text::as_str)
                .or(self.instance.as_deref()),
            out.context.identity.as_ref(),
        );
        let Some(of) = of else {
            return out.reject_identity(number);
        };
        let at = Timestamp(ts.0);
        for (name, value) in &read.values {
            let name = name.as_str();
            let scalar = match value {
                Value::Unsigned(u64::MAX) if name == "/gc/gogc:percent" => -1.0,
                // Counts beyond 2^53 lose their last digits here, knowingly: the column holds doubles.
                Value::Unsigned(number) => *number as f64,
                Value::Float(number) => *number,
                Value::Histogram(from, to) => {
                    let counts = &read.counts[*from..*to];
                    self.histogram(number, name, counts, at, &of, out)?;
                    continue;
                }
                Value::None => continue,
            };
            match self.metric(name) {
                Some(metric) => emit(&mut metric.scalar, at, scalar, &of, out)?,
                None if name.starts_with("/godebug/") => {}
                None => reject_name(number, name, out)?,
            }
        }
        Ok(())
    }

    fn histogram(
        &mut self,
        line: u64,
        name: &str,
        counts: &[(u64, u64)],
        at: Timestamp,
        of: &Identity,
        out: &mut Output<'_>,
    ) -> Result<()> {
        let Some(metric) = self.metric(name) else {
            return reject_name(line, name, out);
        };
        let field = || format!("values.{name}");
        if metric.edges.is_empty() {
            let expected = "bucket boundaries in a meta line before";
            return out.reject(line, field(), expected, "none");
        }
        let buckets = metric.edges.len() - 1;
        let ascends = counts.windows(2).all(|w| w[0].0 < w[1].0);
        if !ascends || counts.last().is_some_and(|(i, _)| *i >= buckets as u64) {
            let expected = format!("ascending buckets below {buckets}");
            return out.reject(line, field(), expected, format!("{counts:?}"));
        }
        let (mut total, mut written) = (0u64, usize::MAX);
        for (bucket, count) in counts.iter().filter(|(_, count)| *count > 0) {
            let lower = usize::try_from(*bucket).unwrap_or(0);
            if let (Some(row), true) = (&mut metric.edges[lower], written != lower) {
                emit(row, at, total as f64, of, out)?;
            }
            total = total.saturating_add(*count);
            if let Some(row) = &mut metric.edges[lower + 1] {
                emit(row, at, total as f64, of, out)?;
            }
            written = lower + 1;
        }
        emit(&mut metric.infinite, at, total as f64, of, out)?;
        emit(&mut metric.count, at, total as f64, of, out)
    }

    /// How `name` is written; `None` when it is not a name of `runtime/metrics`, or not to be stored.
    fn metric(&mut self, name: &str) -> Option<&mut Metric> {
        if !self.metrics.contains_key(name) {
            if self.metrics.len() >= MAX_METRICS {
                return None;
            }
            let metric = self.describe(name);
            self.metrics.insert(name.to_owned(), metric);
        }
        self.metrics.get_mut(name)?.as_mut()
    }

    fn describe(&self, name: &str) -> Option<Metric> {
        // Events of compatibility settings: 42 counters that are zero in a healthy program and say nothing about memory.
        if name.starts_with("/godebug/") {
            return None;
        }
        let base = prometheus_name(name)?;
        let kind = match self.kinds.get(name).map(String::as_str) {
            Some(kind) if kind.ends_with(",cumulative") => MetricKind::Counter,
            Some(_) => MetricKind::Gauge,
            None => kind_by_name(name),
        };
        let suffix = if kind == MetricKind::Counter {
            "_total"
        } else {
            ""
        };
        let row = |suffix: &str, labels: &str, kind| {
            let name = format!("{base}{suffix}");
            MetricSample::new(Timestamp(0), name.into(), labels.into(), 0.0, kind)
        };
        let bucket = |le: &str| {
            let labels = format!("le=\"{le}\"");
            row("_bucket", &labels, MetricKind::SparseHistogram)
        };
        let edges = self.boundaries.get(name).map(Vec::as_slice);
        Some(Metric {
            scalar: row(suffix, "", kind),
            edges: edges
                .unwrap_or_default()
                .iter()
                .map(|edge| edge.is_finite().then(|| bucket(&go_float(*edge))))
                .collect(),
            infinite: bucket("+Inf"),
            count: row("_count", "", MetricKind::SparseHistogram),
        })
    }
}

/// Writes a row of a reading.
fn emit(
    row: &mut MetricSample,
    at: Timestamp,
    value: f64,
    of: &Identity,
    out: &mut Output<'_>,
) -> Result<()> {
    row.at = at;
    row.value = value;
    out.sink.metric(of, row)
}

fn reject_name(line: u64, name: &str, out: &mut Output<'_>) -> Result<()> {
    let expected = "a name of runtime/metrics like /gc/heap/live:bytes";
    out.reject(line, "values", expected, name)
}

/// A number as Go's `strconv.FormatFloat(f, 'g', -1, 64)` prints it, and so Prometheus.
fn go_float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific; // NaN or infinite.
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..21).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fuzz::Collected;

    #[test]
    fn names_are_those_of_client_golang() {
        for (go, prometheus) in [
            ("/gc/heap/allocs:bytes", "go_gc_heap_allocs_bytes"),
            ("/gc/cycles/total:gc-cycles", "go_gc_cycles_total_gc_cycles"),
            (
                "/sched/goroutines:goroutines",
                "go_sched_goroutines_goroutines",
            ),
            ("/gc/pauses:seconds", "go_gc_pauses_seconds"),
            ("/cgo/go-to-c-calls:calls", "go_cgo_go_to_c_calls_calls"),
        ] {
            assert_eq!(prometheus_name(go).as_deref(), Some(prometheus));
        }
        assert_eq!(prometheus_name("/gc/heap"), None);
    }

    #[test]
    fn floats_print_as_in_go() {
        for (number, text) in [
            (6.4e-8, "6.4e-08"),
            (0.000114688, "0.000114688"),
            (1.0, "1"),
            (1e21, "1e+21"),
            (140737.488355328, "140737.488355328"),
            (0.0, "0"),
            (1e20, "100000000000000000000"),
        ] {
            assert_eq!(go_float(number), text);
        }
    }

    #[test]
    fn histograms_write_only_edges_beside_counts() {
        let text = concat!(
            r#"{"buckets":{"/p:seconds":["-Inf","0","1e-06","2e-06","3e-06","+Inf"]},"kinds":{"/a/b:bytes":"uint64,cumulative"},"type":"meta"}"#,
            "\n",
            r#"{"type":"metrics","ts":5000,"proc":1,"values":{"/a/b:bytes":18446744073709551615,"/gc/gogc:percent":18446744073709551615,"/p:seconds":[[1,2],[2,3],[4,1]],"/godebug/x:events":1}}"#,
            "\n",
            r#"{"type":"metrics","ts":6000,"proc":1,"values":{"/p:seconds":[]}}"#,
            "\n",
            r#"{"type":"metrics","ts":7000,"values":{"/p:seconds":[[5,1]],"/q:seconds":[[5,1]],"odd":1}}"#,
        );
        let read = Collected::of(&MetricsNdjson, text.as_bytes());
        let rows: Vec<String> = read
            .metrics
            .iter()
            .map(|(_, m)| format!("{} {}{{{}}} {}", m.at.0, m.metric, m.labels, m.value))
            .collect();
        assert_eq!(
            rows,
            [
                "5000 go_a_b_bytes_total{} 18446744073709552000",
                "5000 go_gc_gogc_percent{} -1",
                "5000 go_p_seconds_bucket{le=\"0\"} 0",
                "5000 go_p_seconds_bucket{le=\"1e-06\"} 2",
                "5000 go_p_seconds_bucket{le=\"2e-06\"} 5",
                "5000 go_p_seconds_bucket{le=\"3e-06\"} 5",
                "5000 go_p_seconds_bucket{le=\"+Inf\"} 6",
                "5000 go_p_seconds_count{} 6",
                "6000 go_p_seconds_bucket{le=\"+Inf\"} 0",
                "6000 go_p_seconds_count{} 0",
            ]
        );
        let fields: Vec<&str> = read.rejected.iter().map(|r| &*r.field).collect();
        assert_eq!(fields, ["values./p:seconds", "values./q:seconds", "values"]);
    }
}
