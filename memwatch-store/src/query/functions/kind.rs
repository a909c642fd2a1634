//! What a statistic is to SQL: its arguments, its result, and how it is computed of rows.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue, plan_err};
use memwatch_core::stats::window::{Fold, Width, by_count_at, by_time};

/// A constant after the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    Number,
    Interval,
    Text,
}

/// A statistic as SQL knows it.
pub(crate) trait Kind: Sync + fmt::Debug {
    /// Whether the first argument is the time of the row.
    fn timed(&self) -> bool {
        true
    }

    /// How many columns of numbers follow, given the types of all arguments.
    fn columns(&self, _types: &[DataType]) -> usize {
        1
    }

    /// The constants that follow.
    fn settings(&self) -> &'static [Setting] {
        &[]
    }

    /// How many of them, from the end, may be left out.
    fn optional(&self) -> usize {
        0
    }

    /// Whether the last constant may be given several times.
    fn repeats(&self) -> bool {
        false
    }

    /// The type of the result, given how many constants there are.
    fn returns(&self, _settings: usize) -> DataType {
        DataType::Float64
    }

    /// Reads the constants.
    ///
    /// # Errors
    /// Says what was expected and found.
    fn bind(&self, settings: &[ScalarValue]) -> Result<Box<dyn Statistic>, String>;
}

/// Rows in the order of time, without NULL.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// When; empty for what has no time.
    pub(crate) at_ns: &'a [i64],
    /// The first column.
    pub(crate) values: &'a [f64],
    /// The second column, where the statistic has one; NaN for NULL.
    pub(crate) second: &'a [f64],
}

impl<'a> Rows<'a> {
    /// A kernel's statistic of the window that ends at each row.
    pub(crate) fn folded<F: Fold>(self, fold: F, width: Width) -> Vec<f64> {
        let mut out = vec![0.0; self.values.len()];
        match width {
            Width::Rows(rows) => by_count_at(fold, self.at_ns, self.values, rows, &mut out),
            Width::Time(ns) => by_time(fold, self.at_ns, self.values, ns, &mut out),
        }
        out
    }

    /// Some of them.
    pub(crate) fn slice(self, rows: Range<usize>) -> Rows<'a> {
        let floats = |of: &'a [f64]| of.get(rows.clone()).unwrap_or(&[]);
        Rows {
            at_ns: self.at_ns.get(rows.clone()).unwrap_or(&[]),
            values: floats(self.values),
            second: floats(self.second),
        }
    }
}

/// A statistic with its constants.
pub(crate) trait Statistic: Send + Sync + fmt::Debug {
    /// Of all rows; never called without any.
    fn of(&self, rows: Rows<'_>) -> Result<ScalarValue>;

    /// Of the window that ends at each row, by a kernel that does so in one go; `None` where there is none.
    fn windows(&self, _rows: Rows<'_>, _width: Width) -> Option<ArrayRef> {
        None
    }
}

/// NULL for what is undefined.
pub(crate) fn defined(value: Option<f64>) -> ScalarValue {
    ScalarValue::Float64(value.filter(|v| !v.is_nan()))
}

/// As [`defined`], for a column.
pub(crate) fn defined_all(values: Vec<f64>) -> ArrayRef {
    if values.iter().any(|v| v.is_nan()) {
        Arc::new(Float64Array::from_iter(
            values.into_iter().map(|v| (!v.is_nan()).then_some(v)),
        ))
    } else {
        Arc::new(Float64Array::from(values))
    }
}

/// The types to which the arguments are cast, or what is wrong with them.
pub(crate) fn coerce(
    name: &str,
    usage: &str,
    kind: &dyn Kind,
    types: &[DataType],
) -> Result<Vec<DataType>> {
    let before = usize::from(kind.timed()) + kind.columns(types);
    let settings = kind.settings();
    let least = before + settings.len() - kind.optional();
    let too_many = !kind.repeats() && types.len() > before + settings.len();
    if types.len() < least || too_many {
        return plan_err!(
            "{name}: expected {name}({usage}), found {} arguments",
            types.len()
        );
    }
    let mut coerced = Vec::with_capacity(types.len());
    for (i, found) in types.iter().enumerate() {
        let place = i + 1;
        let (expected, wanted) = if kind.timed() && i == 0 {
            ("a timestamp", time(found))
        } else if i < before {
            ("a number", number(found))
        } else {
            match settings[(i - before).min(settings.len().saturating_sub(1))] {
                Setting::Number => ("a number", number(found)),
                Setting::Interval => ("an interval", interval(found)),
                Setting::Text => ("a text", text(found)),
            }
        };
        let Some(wanted) = wanted else {
            return plan_err!("{name}: argument {place}: expected {expected}, found {found}");
        };
        coerced.push(wanted);
    }
    Ok(coerced)
}

fn time(found: &DataType) -> Option<DataType> {
    let zone = match found {
        DataType::Timestamp(_, zone) => zone.clone(),
        DataType::Utf8
        | DataType::Utf8View
        | DataType::LargeUtf8
        | DataType::Null
        | DataType::Date32 => Some("UTC".into()),
        _ => return None,
    };
    Some(DataType::Timestamp(TimeUnit::Nanosecond, zone))
}

fn number(found: &DataType) -> Option<DataType> {
    (found.is_numeric() || found.is_null()).then_some(DataType::Float64)
}

fn interval(found: &DataType) -> Option<DataType> {
    matches!(found, DataType::Interval(_)).then(|| found.clone())
}

fn text(found: &DataType) -> Option<DataType> {
    matches!(
        found,
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8
    )
    .then_some(DataType::Utf8)
}

/// A constant number.
pub(crate) fn as_number(setting: Option<&ScalarValue>) -> Result<f64, String> {
    match setting {
        Some(ScalarValue::Float64(Some(number))) => Ok(*number),
        other => Err(format!("expected a number, found {}", shown(other))),
    }
}

/// A constant interval of more than nothing, in nanoseconds. Months have no length.
pub(crate) fn as_interval(setting: Option<&ScalarValue>) -> Result<i64, String> {
    setting
        .and_then(interval_ns)
        .filter(|ns| *ns > 0)
        .ok_or_else(|| {
            format!(
                "expected an interval of days or less, more than nothing, found {}",
                shown(setting)
            )
        })
}

/// The length of an interval without months.
pub(crate) fn interval_ns(interval: &ScalarValue) -> Option<i64> {
    const DAY_NS: i64 = 86_400_000_000_000;
    match interval {
        ScalarValue::IntervalMonthDayNano(Some(i)) if i.months == 0 => i64::from(i.days)
            .checked_mul(DAY_NS)?
            .checked_add(i.nanoseconds),
        ScalarValue::IntervalDayTime(Some(i)) => i64::from(i.days)
            .checked_mul(DAY_NS)?
            .checked_add(i64::from(i.milliseconds) * 1_000_000),
        _ => None,
    }
}

/// A constant text.
pub(crate) fn as_text(setting: Option<&ScalarValue>) -> Result<&str, String> {
    match setting {
        Some(ScalarValue::Utf8(Some(text))) => Ok(text),
        other => Err(format!("expected a text, found {}", shown(other))),
    }
}

fn shown(setting: Option<&ScalarValue>) -> String {
    setting.map_or_else(|| "nothing".to_owned(), ToString::to_string)
}
