//! Answers of Prometheus' HTTP API: `/api/v1/query_range` and `/api/v1/query`.
//!
//! An answer is one line of any length; it is read value by value, so that memory stays bounded.

use std::fmt;
use std::io::BufRead;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::decimal::scaled;
use super::json::Fault;
use super::json_head::{JsonFormat, json_format};
use super::output::{Output, shortened};
use super::prometheus_families::conventional_kind;
use super::prometheus_series::SeriesTable;
use super::prometheus_text::number;
use super::{Context, Source};
use crate::record::{Identity, MetricSample, RecordSink};
use crate::{Error, Labels, Place, Result, Timestamp};

/// Answers of Prometheus' HTTP API.
pub(super) struct PrometheusQuery;

impl Source for PrometheusQuery {
    fn name(&self) -> &'static str {
        "prometheus-query"
    }

    fn about(&self) -> &'static str {
        "JSON answers of Prometheus' query_range and query API"
    }

    fn recognizes(&self, head: &[u8]) -> bool {
        json_format(head) == Some(JsonFormat::PrometheusQuery)
    }

    fn parse(
        &self,
        input: &mut dyn BufRead,
        context: &Context,
        sink: &mut dyn RecordSink,
    ) -> Result<()> {
        let mut reader = Reader {
            out: Output { context, sink },
            table: SeriesTable::default(),
            series: 0,
            failed: None,
            status: None,
            message: None,
        };
        let mut json = serde_json::Deserializer::from_reader(input);
        // Answers that were appended to one file are read one after the other.
        loop {
            let read = Answer(&mut reader).deserialize(&mut json);
            if let Some(failed) = reader.failed.take() {
                return Err(failed);
            }
            if let Err(error) = read {
                if error.is_io() {
                    return Err(Error::Read {
                        input: context.input.clone(),
                        source: error.into(),
                    });
                }
                let line = u64::try_from(error.line()).unwrap_or(0);
                let fault = Fault::of(&error, b"");
                let field = format!("data.result[{}]", reader.series);
                return reader.out.reject(line, field, fault.expected, fault.found);
            }
            match (reader.status.take(), reader.message.take()) {
                (Some(status), None) if status == "success" => {}
                (status, message) => {
                    return Err(Error::Input {
                        place: Place {
                            input: context.input.clone(),
                            line: 0,
                        },
                        expected: "an answer with `status` success".to_owned(),
                        found: shortened(message.or(status).unwrap_or_default().as_bytes()),
                    });
                }
            }
            if json.end().is_ok() {
                return Ok(());
            }
        }
    }
}

struct Reader<'a> {
    out: Output<'a>,
    table: SeriesTable,
    /// Series of this answer so far: the index of the one being read.
    series: usize,
    /// What the sink said when it refused.
    failed: Option<Error>,
    status: Option<String>,
    message: Option<String>,
}

impl Reader<'_> {
    /// Keeps the sink's error, and stops the JSON reader with one of its own.
    fn stop<E: serde::de::Error>(&mut self, result: Result<()>) -> Result<(), E> {
        result.map_err(|error| {
            self.failed = Some(error);
            E::custom("stopped")
        })
    }

    fn reject(&mut self, below: &str, expected: &str, found: impl AsRef<[u8]>) -> Result<()> {
        let field = format!("data.result[{}]{below}", self.series);
        self.out.reject(1, field, expected, found)
    }

    fn value(&mut self, series: &Target, at: &str, value: &str) -> Result<()> {
        // Prometheus' times are whole milliseconds, written as seconds.
        let time = scaled(at.as_bytes(), 3).and_then(Timestamp::from_millis);
        let Some(at) = time else {
            return self.reject(".values", "seconds since the epoch", at);
        };
        let Some(value) = number(value.as_bytes()) else {
            return self.reject(".values", "a number as a string", value);
        };
        let row = MetricSample::new(
            at,
            series.metric.clone(),
            series.labels.clone(),
            value,
            series.kind,
        );
        self.out.sink.metric(&series.of, &row)
    }

    /// Where the values of a series go; `None` when it was rejected.
    fn target(&mut self, labels: &Labels) -> Result<Option<Target>> {
        if labels.name().is_empty() {
            let expected = "a `__name__`: the result of an expression has none";
            self.reject(".metric", expected, labels.canonical())?;
            return Ok(None);
        }
        let given = self.out.context.identity.as_ref();
        let Some(of) = self.table.of(labels, given) else {
            let expected = "a job and an instance, or --service and --instance";
            self.reject(".metric", expected, labels.canonical())?;
            return Ok(None);
        };
        let own = |label: &str| !matches!(label, "job" | "service" | "instance");
        Ok(Some(Target {
            of,
            metric: labels.name().into(),
            labels: labels.filter(own).canonical().into(),
            kind: conventional_kind(labels.name()),
        }))
    }
}

/// A series whose values are being read.
struct Target {
    of: Identity,
    metric: std::sync::Arc<str>,
    labels: std::sync::Arc<str>,
    kind: crate::record::MetricKind,
}

/// One level of the answer: what is asked of the JSON reader there. Its visitor follows below.
macro_rules! level {
    ($name:ident, $method:ident) => {
        impl<'de> DeserializeSeed<'de> for $name<'_, '_> {
            type Value = ();
            fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
                from.$method(self)
            }
        }
    };
}

struct Answer<'r, 'a>(&'r mut Reader<'a>);
struct Data<'r, 'a>(&'r mut Reader<'a>);
struct AllSeries<'r, 'a>(&'r mut Reader<'a>);
struct OneSeries<'r, 'a>(&'r mut Reader<'a>);
struct AllValues<'r, 'a>(&'r mut Reader<'a>, Option<Target>);

level!(Answer, deserialize_map);
level!(Data, deserialize_map);
level!(AllSeries, deserialize_seq);
level!(OneSeries, deserialize_map);
level!(AllValues, deserialize_seq);

impl<'de> Visitor<'de> for Answer<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer of Prometheus' API")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.series = 0;
        while let Some(key) = map.next_key::<String>()? {
            match &*key {
                "status" => self.0.status = Some(map.next_value()?),
                "error" => self.0.message = Some(map.next_value()?),
                "data" => map.next_value_seed(Data(self.0))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Data<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `result`")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "result" {
                map.next_value_seed(AllSeries(self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

impl<'de> Visitor<'de> for AllSeries<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of series")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<(), A::Error> {
        while all.next_element_seed(OneSeries(self.0))?.is_some() {
            self.0.series += 1;
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for OneSeries<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a series with `metric` and `values`")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut target, mut named) = (None, false);
        while let Some(key) = map.next_key::<String>()? {
            match &*key {
                "metric" => {
                    let pairs: std::collections::BTreeMap<String, String> = map.next_value()?;
                    let labels: Labels = pairs.into_iter().collect();
                    named = true;
                    match self.0.target(&labels) {
                        Ok(found) => target = found,
                        Err(error) => self.0.stop(Err(error))?,
                    }
                }
                "values" | "value" if !named => {
                    let refused = self.0.reject("", "`metric` before the values", "none");
                    self.0.stop(refused)?;
                    map.next_value::<IgnoredAny>()?;
                }
                "values" => map.next_value_seed(AllValues(self.0, target.take()))?,
                "value" => {
                    let (at, value): (Box<RawValue>, String) = map.next_value()?;
                    if let Some(target) = target.take() {
                        let done = self.0.value(&target, at.get(), &value);
                        self.0.stop(done)?;
                    }
                }
                "histogram" | "histograms" => {
                    let expected = "plain numbers (native histograms are not read)";
                    let refused = self.0.reject("", expected, &key);
                    self.0.stop(refused)?;
                    map.next_value::<IgnoredAny>()?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for AllValues<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of pairs of seconds and a number as a string")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<(), A::Error> {
        while let Some((at, value)) = all.next_element::<(Box<RawValue>, String)>()? {
            if let Some(target) = &self.1 {
                let done = self.0.value(target, at.get(), &value);
                self.0.stop(done)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fuzz::Collected;

    #[test]
    fn answers_become_metrics() {
        let text = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"go_goroutines","instance":"i:1","job":"j","zone":"a"},"values":[[1795410242,"32"],[1795410243.5,"NaN"]]},
            {"metric":{"job":"j"},"values":[[1,"2"]]},
            {"metric":{"__name__":"up"},"value":[1795410244.123,"1"],"histogram":[1,{}]}
        ]}}
        {"status":"success","data":{"resultType":"vector","result":[]}}"#;
        let read = Collected::of(&PrometheusQuery, text.as_bytes());
        assert_eq!(read.failed, None);
        let rows: Vec<String> = read
            .metrics
            .iter()
            .map(|(of, m)| {
                let (service, instance) = (&of.service, &of.instance);
                let (ms, value) = (m.at.0 / 1_000_000, m.value);
                format!(
                    "{service}/{instance} {}{{{}}} {value} {ms}",
                    m.metric, m.labels
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                "j/i:1 go_goroutines{zone=\"a\"} 32 1795410242000",
                "j/i:1 go_goroutines{zone=\"a\"} NaN 1795410243500",
                "service/instance up{} 1 1795410244123",
            ]
        );
        let fields: Vec<&str> = read.rejected.iter().map(|r| &*r.field).collect();
        assert_eq!(fields, ["data.result[1].metric", "data.result[2]"]);
    }

    #[test]
    fn failures_say_why() {
        let error = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        let read = Collected::of(&PrometheusQuery, error.as_bytes());
        assert_eq!(
            read.failed.as_deref(),
            Some("test: expected an answer with `status` success, found parse error")
        );
        let cut = r#"{"status":"success","data":{"result":[{"metric":{"__name__":"a"},"values":[[1,"2"],[2"#;
        let read = Collected::of(&PrometheusQuery, cut.as_bytes());
        assert_eq!((read.metrics.len(), read.rejected.len()), (1, 1));
    }
}
