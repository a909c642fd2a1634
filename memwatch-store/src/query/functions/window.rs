//! A statistic as a window function.
//!
//! Where the frame is a stretch of rows or time that ends at the row, the kernel that computes all windows at once runs over the slices of
//! the partition's columns. Every other frame is looked at by itself.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, UInt32Array, UInt64Array, new_null_array,
};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimestampNanosecondType};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::function::{
    PartitionEvaluatorArgs, WindowFunctionSimplification, WindowUDFFieldArgs,
};
use datafusion::logical_expr::{
    Documentation, Expr, ExprSchemable, PartitionEvaluator, Signature, Volatility,
    WindowFunctionDefinition, WindowUDF, WindowUDFImpl,
};

use super::SqlFunction;
use super::aggregate::bind;
use super::collected::{Arguments, Collected, State};
use super::frame::{Frame, Frames};
use super::kind::{Kind, Rows, Statistic, coerce};

/// A statistic as a window function.
pub(crate) struct Windowed {
    function: &'static SqlFunction,
    kind: &'static dyn Kind,
    /// The frame, once it is known to be one of those. Then the order's time is the last argument where the statistic has none.
    frame: Option<Frame>,
    signature: Signature,
}

impl Windowed {
    pub(crate) fn new(function: &'static SqlFunction, kind: &'static dyn Kind) -> Windowed {
        Windowed {
            function,
            kind,
            frame: None,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    fn keyed(&self) -> bool {
        !self.kind.timed() && self.frame.is_some_and(Frame::joins_peers)
    }

    fn state(&self, types: &[DataType]) -> State {
        State {
            timed: self.kind.timed(),
            columns: self.kind.columns(types),
        }
    }
}

impl fmt::Debug for Windowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.function.name, self.frame)
    }
}

impl PartialEq for Windowed {
    fn eq(&self, other: &Self) -> bool {
        (self.function.name, self.frame) == (other.function.name, other.frame)
    }
}

impl Eq for Windowed {}

impl Hash for Windowed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.function.name, self.frame).hash(state);
    }
}

impl WindowUDFImpl for Windowed {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if self.keyed() {
            // Already coerced, and a column longer.
            return Ok(types.to_vec());
        }
        coerce(
            self.function.name,
            self.function.arguments,
            self.kind,
            types,
        )
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args
            .input_fields()
            .iter()
            .map(|f| f.data_type().clone())
            .collect();
        let state = self.state(&types);
        let others = state.columns + usize::from(state.timed) + usize::from(self.keyed());
        let result = self.kind.returns(types.len().saturating_sub(others));
        Ok(Arc::new(Field::new(args.name(), result, true)))
    }

    fn simplify(&self) -> Option<WindowFunctionSimplification> {
        if self.frame.is_some() {
            return None;
        }
        let (function, kind) = (self.function, self.kind);
        Some(Box::new(move |call: WindowFunction, context| {
            let order = &call.params.order_by;
            let type_of = |expr: &Expr| expr.get_type(context.schema().as_ref());
            let framed = match (&order[..], Frame::of(&call.params.window_frame)) {
                ([first, ..], Some(frame)) if first.asc => match call.params.args.first() {
                    Some(time) if kind.timed() && same(time, &first.expr) => Some((frame, None)),
                    Some(_) if !kind.timed() && order.len() == 1 => match frame {
                        Frame::Rows(_) => Some((frame, None)),
                        _ => match type_of(&first.expr)? {
                            DataType::Timestamp(_, zone) => {
                                let ns = DataType::Timestamp(
                                    datafusion::arrow::datatypes::TimeUnit::Nanosecond,
                                    zone,
                                );
                                let key = first.expr.clone().cast_to(&ns, context.schema())?;
                                Some((frame, Some(key)))
                            }
                            _ => None,
                        },
                    },
                    _ => None,
                },
                _ => None,
            };
            let Some((frame, key)) = framed else {
                return Ok(Expr::from(call));
            };
            let framed = Windowed {
                frame: Some(frame),
                ..Windowed::new(function, kind)
            };
            let WindowFunctionParams { mut args, .. } = call.params.clone();
            args.extend(key);
            Ok(Expr::from(WindowFunction {
                fun: WindowFunctionDefinition::WindowUDF(Arc::new(WindowUDF::new_from_impl(
                    framed,
                ))),
                params: WindowFunctionParams {
                    args,
                    ..call.params
                },
            }))
        }))
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        let types: Vec<DataType> = args
            .input_fields()
            .iter()
            .map(|f| f.data_type().clone())
            .collect();
        let state = self.state(&types);
        let exprs = args.input_exprs();
        let own = exprs.len() - usize::from(self.keyed());
        let before = state.columns + usize::from(state.timed);
        Ok(Box::new(Evaluator {
            frame: self.frame,
            state,
            keyed: self.keyed(),
            statistic: bind(self.function, self.kind, state, &exprs[..own])?,
            result: self.kind.returns(own.saturating_sub(before)),
            last: None,
        }))
    }

    fn documentation(&self) -> Option<&Documentation> {
        super::documents::of(self.function)
    }
}

/// Whether two expressions are of one value, apart from casts.
fn same(a: &Expr, b: &Expr) -> bool {
    fn bare(expr: &Expr) -> &Expr {
        match expr {
            Expr::Cast(cast) => bare(&cast.expr),
            other => other,
        }
    }
    bare(a) == bare(b)
}

/// Computes one partition.
#[derive(Debug)]
struct Evaluator {
    frame: Option<Frame>,
    state: State,
    keyed: bool,
    statistic: Box<dyn Statistic>,
    result: DataType,
    /// The last frame and its result, where each is looked at by itself.
    last: Option<(Range<usize>, ScalarValue)>,
}

impl Evaluator {
    fn of(&self, rows: Rows<'_>) -> Result<ScalarValue> {
        if rows.values.is_empty() {
            return ScalarValue::try_from(&self.result);
        }
        self.statistic.of(rows)
    }

    /// The results of all rows of a partition that lies in the order of time.
    fn all(&self, frame: Frame, values: &[ArrayRef], count: usize) -> Result<ArrayRef> {
        let from = Arguments::new(values, self.state.timed, self.state.columns)?;
        // The time of each row: the statistic's own argument, or the one that the order goes by.
        let time = match (self.state.timed, self.keyed) {
            (true, _) => values.first(),
            (false, true) => values.last(),
            (false, false) => None,
        };
        let time = time
            .map(|time| {
                time.as_primitive_opt::<TimestampNanosecondType>()
                    .ok_or_else(|| exec_datafusion_err!("expected a column of times"))
            })
            .transpose()?;
        let timeless = time.is_some_and(|time| time.null_count() > 0);
        let peers = frame.joins_peers()
            && time.is_some_and(|time| time.values().windows(2).any(|w| w[0] == w[1]));

        if from.complete() && !timeless && !peers {
            let rows = Rows {
                at_ns: time.map_or(&[], |time| time.values()),
                ..from.rows()
            };
            if let Some(results) = self.statistic.windows(rows, frame.width(count)) {
                return Ok(results);
            }
        }

        // Rows without a value stand in no frame, but have one. Of rows of one time the order is their values'.
        let mut kept = Collected::default();
        let mut before = Vec::with_capacity(count + 1);
        let mut found = 0;
        for row in 0..count {
            before.push(found);
            if from.has(row) && time.is_none_or(|time| time.is_valid(row)) {
                found += 1;
                kept.push_at(&from, row, time.map(|time| time.value(row)));
            }
        }
        before.push(found);
        if kept.is_empty() {
            return Ok(new_null_array(&self.result, count));
        }
        let rows = if frame.joins_peers() {
            kept.sorted()
        } else {
            kept.rows()
        };
        let row_count = rows.values.len();
        let at = |row: usize| time.map_or(0, |time| time.value(row));
        let by_kernel = (frame.joins_peers() || row_count == count)
            .then(|| self.statistic.windows(rows, frame.width(row_count)))
            .flatten();
        let mut frames = Frames::new(frame, rows.at_ns, &before);
        let mut single = Vec::new();
        let mut places = Vec::with_capacity(count);
        let mut known: Option<Range<usize>> = None;
        for row in 0..count {
            if time.is_some_and(|time| time.is_null(row)) {
                places.push(None);
                continue;
            }
            let bounds = frames.of(row, at(row));
            // The kernel has the window that ends at a row with a value: this frame, if that row is of this time.
            let ends_here = bounds.end.checked_sub(1).filter(|last| {
                !bounds.is_empty() && rows.at_ns.get(*last).is_none_or(|t| *t == at(row))
            });
            match (&by_kernel, ends_here) {
                (Some(_), Some(last)) => places.push(Some(last)),
                _ if bounds.is_empty() => places.push(None),
                _ => {
                    if known.as_ref() != Some(&bounds) {
                        single.push(self.of(rows.slice(bounds.clone()))?);
                        known = Some(bounds);
                    }
                    let of_kernel = by_kernel.as_ref().map_or(0, |results| results.len());
                    places.push(Some(of_kernel + single.len() - 1));
                }
            }
        }
        let mut results = Vec::new();
        results.extend(by_kernel);
        if !single.is_empty() {
            results.push(ScalarValue::iter_to_array(single)?);
        }
        let slices: Vec<&dyn Array> = results.iter().map(AsRef::as_ref).collect();
        if slices.is_empty() {
            return Ok(new_null_array(&self.result, count));
        }
        let results = datafusion::arrow::compute::concat(&slices)?;
        Ok(if u32::try_from(results.len()).is_ok() {
            let index = |place: Option<usize>| place.and_then(|p| u32::try_from(p).ok());
            take(
                &results,
                &UInt32Array::from_iter(places.into_iter().map(index)),
                None,
            )?
        } else {
            let index = |place: Option<usize>| place.map(|p| p as u64);
            take(
                &results,
                &UInt64Array::from_iter(places.into_iter().map(index)),
                None,
            )?
        })
    }
}

impl PartitionEvaluator for Evaluator {
    fn uses_window_frame(&self) -> bool {
        self.frame.is_none()
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], count: usize) -> Result<ArrayRef> {
        match self.frame {
            Some(frame) => self.all(frame, values, count),
            None => exec_err!("expected a frame"),
        }
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        if let Some((known, result)) = &self.last
            && known == range
        {
            return Ok(result.clone());
        }
        let slices: Vec<ArrayRef> = values
            .iter()
            .map(|array| array.slice(range.start, range.len()))
            .collect();
        let from = Arguments::new(&slices, self.state.timed, self.state.columns)?;
        let mut rows = Collected::default();
        rows.push_all(&from);
        let result = self.of(rows.sorted())?;
        self.last = Some((range.clone(), result.clone()));
        Ok(result)
    }
}
