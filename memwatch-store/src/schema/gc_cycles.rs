//! `gc_cycles`: one cycle of the collector, from gctrace or an execution trace.

use memwatch_core::record::{GcCycle, Identity};

use super::{
    Column, INSTANCE, Row, SERVICE, TS, Table, TableDef, boolean, constant, delta, noisy, stepwise,
};
use crate::buffer::Columns;

// Phases have two significant digits in gctrace, so that few values repeat: 1.2 to 1.3 bytes by dictionary, 1.8 to 2.6 otherwise.
const COLUMNS: &[Column] = &[
    TS,
    SERVICE,
    INSTANCE,
    delta("gc_num"),
    boolean("forced"),
    constant("sweep_termination_ns"),
    constant("mark_ns"),
    constant("mark_termination_ns"),
    constant("cpu_sweep_termination_ns"),
    constant("cpu_mark_assist_ns"),
    constant("cpu_mark_background_ns"),
    constant("cpu_mark_idle_ns"),
    constant("cpu_mark_termination_ns"),
    noisy("heap_start_bytes"),
    noisy("heap_end_bytes"),
    noisy("heap_live_bytes"),
    noisy("heap_goal_bytes"),
    stepwise("stacks_bytes"),
    stepwise("globals_bytes"),
    constant("procs"),
    constant("gc_cpu_percent"),
    constant("process"),
    delta("since_start_ns"),
];

pub(super) const TABLE: TableDef = TableDef {
    name: "gc_cycles",
    about: "one cycle of the collector",
    columns: COLUMNS,
    key: &["service", "instance", "ts", "gc_num"],
};

impl Row for GcCycle {
    const TABLE: Table = Table::GcCycles;

    fn append(&self, of: &Identity, to: &mut Columns) {
        to.begin(self.at, of);
        to.int(Some(self.gc_num));
        to.boolean(self.forced);
        to.int(self.sweep_termination.map(|v| v.0));
        to.int(self.mark.map(|v| v.0));
        to.int(self.mark_termination.map(|v| v.0));
        to.int(self.cpu_sweep_termination.map(|v| v.0));
        to.int(self.cpu_mark_assist.map(|v| v.0));
        to.int(self.cpu_mark_background.map(|v| v.0));
        to.int(self.cpu_mark_idle.map(|v| v.0));
        to.int(self.cpu_mark_termination.map(|v| v.0));
        to.int(self.heap_start.map(|v| v.0));
        to.int(self.heap_end.map(|v| v.0));
        to.int(self.heap_live.map(|v| v.0));
        to.int(self.heap_goal.map(|v| v.0));
        to.int(self.stacks.map(|v| v.0));
        to.int(self.globals.map(|v| v.0));
        to.int(self.procs);
        to.int(self.gc_cpu_percent);
        to.int(self.process);
        to.int(self.since_start.map(|v| v.0));
        to.end();
    }
}
