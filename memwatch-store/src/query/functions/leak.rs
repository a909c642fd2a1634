//! `leak`: does it grow and never come back? With all parts of the verdict.

use std::sync::Arc;

use datafusion::arrow::array::StructArray;
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::scalar::ScalarStructBuilder;
use datafusion::common::{Result, ScalarValue};
use memwatch_core::expr::LeakRule;
use memwatch_core::stats::leak::Leak;
use memwatch_core::{Nanos, Timestamp};

use super::kind::{Kind, Rows, Setting, Statistic, as_text};
use super::{Body, SqlFunction};

pub(super) static LEAK: SqlFunction = SqlFunction {
    name: "leak",
    arguments: "ts, value[, collections][, option, …]",
    about: "Does the value grow and never come back? A struct of `leak` (the verdict), `resolved`, `slope` (a second, the median of all \
            slopes), `slope_low` and `slope_high` (its 90 % interval), `level` (by the line, at the last floor), `growth` (share of the median \
            floor), `amount`, `z`, `correlation`, `z_eff`, `line_over_step` (squared residuals of the line over those of the best step: a leak's \
            are at most 1), `floors` (how many) and `deseasonalized`. Looked at are floors: the least value of each 120th of the time from \
            the first row to the last, or, with a count of collections (`num_gc`), the least between two collections. NULL with fewer than 60 \
            floors, or if these span less than half of that time. Options are those of the function in rules, as texts: `'floors = values'` (each value is a floor, as of a live heap), \
            `'abs_min = 100'` …; and `'window = 6h'`: what `leak(v[6h])` in a rule says at the newest row.",
    example: "SELECT service, instance, leak(ts, heap_inuse_bytes, num_gc)['leak'] AS leaks FROM samples GROUP BY service, instance",
    body: Body::Statistic(&Unbound),
};

#[derive(Debug)]
struct Unbound;

#[derive(Debug)]
pub(super) struct Rule {
    rule: LeakRule,
    /// The window that ends at the newest row; without it that of all rows.
    width: Option<Nanos>,
}

impl Rule {
    pub(super) fn read(settings: &[ScalarValue]) -> Result<Rule, String> {
        let mut width = None;
        let mut texts = Vec::new();
        for setting in settings {
            let text = as_text(Some(setting))?;
            match text.split_once('=') {
                Some((name, window)) if name.trim() == "window" => {
                    let window = window.trim();
                    let parsed = Nanos::parse(window).filter(|window| window.0 > 0);
                    width = Some(parsed.ok_or_else(|| {
                        format!("option `window`: expected a duration above 0, got `{window}`")
                    })?);
                }
                _ => texts.push(text),
            }
        }
        let rule = LeakRule::read(texts)?;
        Ok(Rule { rule, width })
    }

    /// The judgment of rows in the order of time.
    pub(super) fn judge(&self, rows: Rows<'_>, collections: Option<&[f64]>) -> Option<Leak> {
        match self.width {
            None => self.rule.of(rows.at_ns, rows.values, collections),
            Some(width) => {
                let until = Timestamp(*rows.at_ns.last()?);
                self.rule
                    .at(rows.at_ns, rows.values, collections, until, width)
            }
        }
    }
}

type Part = (&'static str, DataType, fn(&Leak) -> ScalarValue);

const PARTS: &[Part] = &[
    ("leak", DataType::Boolean, |l| l.leak.into()),
    ("resolved", DataType::Boolean, |l| l.resolved.into()),
    ("slope", DataType::Float64, |l| l.slope.into()),
    ("slope_low", DataType::Float64, |l| {
        l.slope_interval.0.into()
    }),
    ("slope_high", DataType::Float64, |l| {
        l.slope_interval.1.into()
    }),
    ("level", DataType::Float64, |l| l.level.into()),
    ("growth", DataType::Float64, |l| l.growth.into()),
    ("amount", DataType::Float64, |l| l.amount.into()),
    ("z", DataType::Float64, |l| l.z.into()),
    ("correlation", DataType::Float64, |l| l.correlation.into()),
    ("z_eff", DataType::Float64, |l| l.z_eff.into()),
    ("line_over_step", DataType::Float64, |l| {
        if l.line_residuals == l.step_residuals {
            1.0.into()
        } else {
            (l.line_residuals / l.step_residuals).into()
        }
    }),
    ("floors", DataType::Int64, |l| {
        i64::try_from(l.floors).ok().into()
    }),
    ("deseasonalized", DataType::Boolean, |l| {
        l.deseasonalized.into()
    }),
];

impl Kind for Unbound {
    fn columns(&self, types: &[DataType]) -> usize {
        1 + usize::from(types.get(2).is_some_and(DataType::is_numeric))
    }

    fn settings(&self) -> &'static [Setting] {
        &[Setting::Text]
    }

    fn optional(&self) -> usize {
        1
    }

    fn returns(&self, _: usize) -> DataType {
        let fields = PARTS
            .iter()
            .map(|(name, kind, _)| Field::new(*name, kind.clone(), true));
        DataType::Struct(Fields::from_iter(fields))
    }

    fn repeats(&self) -> bool {
        true
    }

    fn bind(&self, settings: &[ScalarValue]) -> Result<Box<dyn Statistic>, String> {
        Ok(Box::new(Rule::read(settings)?))
    }
}

impl Statistic for Rule {
    fn of(&self, rows: Rows<'_>) -> Result<ScalarValue> {
        let collections = (!rows.second.is_empty()).then_some(rows.second);
        let Some(verdict) = self.judge(rows, collections) else {
            let DataType::Struct(fields) = Unbound.returns(0) else {
                unreachable!("a struct");
            };
            return Ok(ScalarValue::Struct(Arc::new(StructArray::new_null(
                fields, 1,
            ))));
        };
        PARTS
            .iter()
            .fold(ScalarStructBuilder::new(), |parts, (name, kind, value)| {
                parts.with_scalar(Field::new(*name, kind.clone(), true), value(&verdict))
            })
            .build()
    }
}
