//! A statistic as an aggregate function.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err, plan_datafusion_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;

use super::SqlFunction;
use super::collected::{Arguments, Collected, State};
use super::kind::{Kind, Statistic, coerce};

/// A statistic as an aggregate function.
pub(crate) struct Aggregate {
    pub(crate) function: &'static SqlFunction,
    pub(crate) kind: &'static dyn Kind,
    signature: Signature,
}

impl Aggregate {
    pub(crate) fn new(function: &'static SqlFunction, kind: &'static dyn Kind) -> Aggregate {
        Aggregate {
            function,
            kind,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    fn state(&self, types: &[DataType]) -> State {
        State {
            timed: self.kind.timed(),
            columns: self.kind.columns(types),
        }
    }

    fn bind(&self, args: &AccumulatorArgs<'_>) -> Result<(State, Arc<dyn Statistic>)> {
        if args.is_distinct {
            return plan_err!("{}: expected all rows, found DISTINCT", self.function.name);
        }
        let types: Vec<DataType> = args
            .expr_fields
            .iter()
            .map(|f| f.data_type().clone())
            .collect();
        let state = self.state(&types);
        let statistic = bind(self.function, self.kind, state, args.exprs)?;
        Ok((state, statistic.into()))
    }
}

/// The statistic with the constants among the arguments.
pub(crate) fn bind(
    function: &SqlFunction,
    kind: &dyn Kind,
    state: State,
    exprs: &[Arc<dyn PhysicalExpr>],
) -> Result<Box<dyn Statistic>> {
    let before = state.columns + usize::from(state.timed);
    let name = function.name;
    let settings = exprs
        .iter()
        .enumerate()
        .skip(before)
        .map(|(i, expr)| {
            let any: &dyn Any = expr.as_ref();
            any.downcast_ref::<Literal>()
                .map(|literal| literal.value().clone())
                .ok_or_else(|| {
                    plan_datafusion_err!(
                        "{name}: argument {}: expected a constant, found {expr}",
                        i + 1
                    )
                })
        })
        .collect::<Result<Vec<_>>>()?;
    kind.bind(&settings)
        .map_err(|message| plan_datafusion_err!("{name}: {message}"))
}

impl fmt::Debug for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.function.name)
    }
}

impl PartialEq for Aggregate {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name
    }
}

impl Eq for Aggregate {}

impl Hash for Aggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl AggregateUDFImpl for Aggregate {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        coerce(
            self.function.name,
            self.function.arguments,
            self.kind,
            types,
        )
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let state = self.state(types);
        let before = state.columns + usize::from(state.timed);
        Ok(self.kind.returns(types.len().saturating_sub(before)))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let types: Vec<DataType> = args
            .input_fields
            .iter()
            .map(|f| f.data_type().clone())
            .collect();
        Ok(self.state(&types).fields(args.name))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let result = args.return_field.data_type().clone();
        let (state, statistic) = self.bind(&args)?;
        Ok(Box::new(One(Groups {
            state,
            statistic,
            result,
            groups: vec![Collected::default()],
            bytes: 0,
        })))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let result = args.return_field.data_type().clone();
        let (state, statistic) = self.bind(&args)?;
        Ok(Box::new(Groups {
            state,
            statistic,
            result,
            groups: Vec::new(),
            bytes: 0,
        }))
    }

    fn documentation(&self) -> Option<&Documentation> {
        super::documents::of(self.function)
    }
}

/// The rows of every group.
#[derive(Debug)]
struct Groups {
    state: State,
    statistic: Arc<dyn Statistic>,
    result: DataType,
    groups: Vec<Collected>,
    bytes: usize,
}

impl Groups {
    fn add(&mut self, group: usize, add: impl FnOnce(&mut Collected)) {
        let collected = &mut self.groups[group];
        let before = collected.size();
        add(collected);
        self.bytes += collected.size() - before;
    }

    fn make_room(&mut self, groups: usize) {
        if groups > self.groups.len() {
            self.groups.resize_with(groups, Collected::default);
        }
    }

    fn take(&mut self, emit_to: EmitTo) -> Vec<Collected> {
        let taken = emit_to.take_needed(&mut self.groups);
        self.bytes -= taken.iter().map(Collected::size).sum::<usize>();
        taken
    }

    fn finish(&self, collected: &mut Collected) -> Result<ScalarValue> {
        if collected.is_empty() {
            return ScalarValue::try_from(&self.result);
        }
        self.statistic.of(collected.sorted())
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        only: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.make_room(total);
        let from = Arguments::new(values, self.state.timed, self.state.columns)?;
        if only.is_none() && from.complete() {
            // Rows of a group mostly come one after the other.
            let rows = from.rows();
            let mut begin = 0;
            for run in groups.chunk_by(|a, b| a == b) {
                let end = begin + run.len();
                self.add(run[0], |collected| collected.extend(rows, begin..end));
                begin = end;
            }
        } else {
            for (row, group) in groups.iter().enumerate() {
                if only.is_none_or(|only| only.is_valid(row) && only.value(row)) {
                    self.add(*group, |collected| collected.push(&from, row));
                }
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let mut taken = self.take(emit_to);
        let results = taken
            .iter_mut()
            .map(|collected| self.finish(collected))
            .collect::<Result<Vec<_>>>()?;
        if results.is_empty() {
            return Ok(datafusion::arrow::array::new_empty_array(&self.result));
        }
        ScalarValue::iter_to_array(results)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let taken = self.take(emit_to);
        self.state.write(&taken)
    }

    fn merge_batch(&mut self, state: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.make_room(total);
        let read = self.state;
        read.read(state, |entry, rows| {
            self.add(groups[entry], |collected| {
                collected.extend(rows, 0..rows.values.len());
            });
        })
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        only: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let from = Arguments::new(values, self.state.timed, self.state.columns)?;
        let mut groups = vec![Collected::default(); from.len()];
        for (row, group) in groups.iter_mut().enumerate() {
            if only.is_none_or(|only| only.is_valid(row) && only.value(row)) {
                group.push(&from, row);
            }
        }
        self.state.write(&groups)
    }

    fn size(&self) -> usize {
        self.bytes + self.groups.capacity() * size_of::<Collected>()
    }
}

/// All rows as one group.
#[derive(Debug)]
struct One(Groups);

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let State { timed, columns } = self.0.state;
        let from = Arguments::new(values, timed, columns)?;
        self.0.add(0, |collected| collected.push_all(&from));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut groups = std::mem::take(&mut self.0.groups);
        let result = match groups.first_mut() {
            Some(collected) => self.0.finish(collected),
            None => exec_err!("expected rows"),
        };
        self.0.groups = groups;
        result
    }

    fn size(&self) -> usize {
        GroupsAccumulator::size(&self.0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let columns = self.0.state.write(&self.0.groups)?;
        columns
            .iter()
            .map(|column| ScalarValue::try_from_array(column, 0))
            .collect()
    }

    fn merge_batch(&mut self, state: &[ArrayRef]) -> Result<()> {
        let groups = vec![0; state.first().map_or(0, Array::len)];
        GroupsAccumulator::merge_batch(&mut self.0, state, &groups, 1)
    }
}
