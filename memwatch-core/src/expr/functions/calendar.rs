//! Calendar functions: of times in seconds since the epoch, in UTC.

use chrono::{DateTime, Datelike, Months, Timelike, Utc};

use super::{Body, Call, Function, VECTOR};
use crate::expr::Bits;
use crate::expr::eval::Evaluator;
use crate::expr::rows::{Row, Val};
use crate::expr::select::seconds;
use crate::{Labels, Result};

macro_rules! calendar {
    ($name:literal, $field:expr, $about:literal) => {
        Function::new(
            $name,
            &[VECTOR],
            VECTOR,
            Body::Rows(|evaluator, call| of_times(evaluator, call, $field)),
            $about,
        )
        .optional(1)
        .seeing_time()
    };
}

pub(super) static FUNCTIONS: &[Function] = &[
    calendar!(
        "minute",
        |t| t.minute(),
        "Minute of the hour, 0 to 59, of the given times or of the evaluation."
    ),
    calendar!(
        "hour",
        |t| t.hour(),
        "Hour of the day, 0 to 23, of the given times or of the evaluation."
    ),
    calendar!(
        "day_of_week",
        |t| t.weekday().num_days_from_sunday(),
        "Day of the week, 0 (Sunday) to 6, of the given times or of the evaluation."
    ),
    calendar!(
        "day_of_month",
        |t| t.day(),
        "Day of the month, 1 to 31, of the given times or of the evaluation."
    ),
    calendar!(
        "day_of_year",
        |t| t.ordinal(),
        "Day of the year, 1 to 366, of the given times or of the evaluation."
    ),
    calendar!(
        "days_in_month",
        days_in_month,
        "Length of the month in days, of the given times or of the evaluation."
    ),
    calendar!(
        "month",
        |t| t.month(),
        "Month, 1 to 12, of the given times or of the evaluation."
    ),
    calendar!(
        "year",
        |t| t.year().unsigned_abs(),
        "Year of the given times or of the evaluation."
    ),
];

fn days_in_month(time: &DateTime<Utc>) -> u32 {
    let first = time.date_naive().with_day(1);
    let next = first.and_then(|d| d.checked_add_months(Months::new(1)));
    next.and_then(|d| d.pred_opt()).map_or(31, |d| d.day())
}

fn of_times(
    evaluator: &Evaluator<'_>,
    call: &Call<'_>,
    field: fn(&DateTime<Utc>) -> u32,
) -> Result<Val> {
    let mut rows = match call.args.first() {
        Some(arg) => evaluator.vector(arg, call.steps)?,
        None => vec![Row {
            labels: Labels::default(),
            drop_name: false,
            values: call.steps.iter().map(|t| seconds(t.0)).collect(),
            present: Bits::all(call.steps.count()),
        }],
    };
    for row in &mut rows {
        for value in row.values.iter_mut() {
            #[allow(clippy::cast_possible_truncation)]
            // Saturates; too far away is no time and gives NaN.
            let time = DateTime::from_timestamp(*value as i64, 0).filter(|_| !value.is_nan());
            *value = time.map_or(f64::NAN, |t| f64::from(field(&t)));
        }
    }
    Ok(Val::Vector(evaluator.unnamed(rows, call.span)?))
}
