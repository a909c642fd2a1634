//! What the words of SQL become where DataFusion has no plan of its own: our statistics with `OVER`, and `struct['field']`, `list[1]`.

use std::any::Any;
use std::sync::Arc;

use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::planner::{
    ExprPlanner, PlannerResult, RawFieldAccessExpr, RawWindowExpr,
};
use datafusion::logical_expr::{Expr, GetFieldAccess, WindowFunctionDefinition, WindowUDF};

use super::aggregate::Aggregate;
use super::list_element;
use super::window::Windowed;

#[derive(Debug)]
pub(crate) struct Planner;

impl ExprPlanner for Planner {
    /// A name stands for an aggregate before it stands for a window function, so the one is exchanged for the other here.
    fn plan_window(&self, call: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        let WindowFunctionDefinition::AggregateUDF(function) = &call.func_def else {
            return Ok(PlannerResult::Original(call));
        };
        let any: &dyn Any = function.inner().as_ref();
        let Some(aggregate) = any.downcast_ref::<Aggregate>() else {
            return Ok(PlannerResult::Original(call));
        };
        let name = aggregate.function.name;
        if call.filter.is_some() {
            return plan_err!(
                "{name}: expected no FILTER before OVER; CASE WHEN … THEN value END leaves rows out as well"
            );
        }
        if call.distinct {
            return plan_err!("{name}: expected all rows, found DISTINCT");
        }
        let windowed = Windowed::new(aggregate.function, aggregate.kind);
        Ok(PlannerResult::Planned(Expr::from(WindowFunction {
            fun: WindowFunctionDefinition::WindowUDF(Arc::new(WindowUDF::new_from_impl(windowed))),
            params: WindowFunctionParams {
                args: call.args,
                partition_by: call.partition_by,
                order_by: call.order_by,
                window_frame: call.window_frame,
                filter: None,
                null_treatment: call.null_treatment,
                distinct: false,
            },
        })))
    }

    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        _: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let RawFieldAccessExpr { field_access, expr } = access;
        Ok(match field_access {
            GetFieldAccess::NamedStructField { name } => {
                PlannerResult::Planned(get_field(expr, name))
            }
            GetFieldAccess::ListIndex { key } => {
                PlannerResult::Planned(list_element::call(expr, *key))
            }
            range @ GetFieldAccess::ListRange { .. } => {
                PlannerResult::Original(RawFieldAccessExpr {
                    field_access: range,
                    expr,
                })
            }
        })
    }
}
