//! `samples`: one reading of one process.

use memwatch_core::record::{Identity, MemorySample};

use super::{
    Column, ColumnEncoding, INSTANCE, Row, SERVICE, TS, Table, TableDef, boolean, constant, delta,
    float, noisy, stepwise, text,
};
use crate::buffer::Columns;

const COLUMNS: &[Column] = &[
    TS,
    SERVICE,
    INSTANCE,
    constant("process"),
    text("version"),
    text("go_version"),
    delta("total_alloc_bytes"),
    stepwise("sys_bytes"),
    constant("lookups_total"),
    delta("mallocs_total"),
    delta("frees_total"),
    noisy("heap_alloc_bytes"),
    stepwise("heap_sys_bytes"),
    noisy("heap_idle_bytes"),
    noisy("heap_inuse_bytes"),
    stepwise("heap_released_bytes"),
    noisy("heap_objects"),
    stepwise("stack_inuse_bytes"),
    stepwise("stack_sys_bytes"),
    noisy("mspan_inuse_bytes"),
    stepwise("mspan_sys_bytes"),
    constant("mcache_inuse_bytes"),
    constant("mcache_sys_bytes"),
    stepwise("buck_hash_sys_bytes"),
    stepwise("gc_sys_bytes"),
    stepwise("other_sys_bytes"),
    stepwise("next_gc_bytes"),
    stepwise("last_gc_ns"),
    stepwise("pause_total_ns"),
    delta("num_gc"),
    delta("num_forced_gc"),
    float("gc_cpu_fraction", ColumnEncoding::Plain),
    boolean("enable_gc"),
    boolean("debug_gc"),
    noisy("goroutines"),
    constant("gogc"),
    constant("memory_limit_bytes"),
    stepwise("rss_bytes"),
    delta("cpu_user_ns"),
    delta("cpu_system_ns"),
    delta("uptime_ns"),
    noisy("read_ns"),
    delta("requests_total"),
    constant("pauses_lost"),
];

pub(super) const TABLE: TableDef = TableDef {
    name: "samples",
    about: "one reading of one process",
    columns: COLUMNS,
    key: &["service", "instance", "ts", "process"],
};

impl Row for MemorySample {
    const TABLE: Table = Table::Samples;

    fn append(&self, of: &Identity, to: &mut Columns) {
        to.begin(self.at, of);
        to.int(self.process);
        to.text(self.version.as_deref());
        to.text(self.go_version.as_deref());
        to.ints([
            self.total_alloc.map(|v| v.0),
            self.sys.map(|v| v.0),
            self.lookups_total,
            self.mallocs_total,
            self.frees_total,
            self.heap_alloc.map(|v| v.0),
            self.heap_sys.map(|v| v.0),
            self.heap_idle.map(|v| v.0),
            self.heap_inuse.map(|v| v.0),
            self.heap_released.map(|v| v.0),
            self.heap_objects,
            self.stack_inuse.map(|v| v.0),
            self.stack_sys.map(|v| v.0),
            self.mspan_inuse.map(|v| v.0),
            self.mspan_sys.map(|v| v.0),
            self.mcache_inuse.map(|v| v.0),
            self.mcache_sys.map(|v| v.0),
            self.buck_hash_sys.map(|v| v.0),
            self.gc_sys.map(|v| v.0),
            self.other_sys.map(|v| v.0),
            self.next_gc.map(|v| v.0),
            self.last_gc.map(|v| v.0),
            self.pause_total.map(|v| v.0),
            self.num_gc,
            self.num_forced_gc,
        ]);
        to.float(self.gc_cpu_fraction);
        to.boolean(self.enable_gc);
        to.boolean(self.debug_gc);
        to.ints([
            self.goroutines,
            self.gogc,
            self.memory_limit.map(|v| v.0),
            self.rss.map(|v| v.0),
            self.cpu_user.map(|v| v.0),
            self.cpu_system.map(|v| v.0),
            self.uptime.map(|v| v.0),
            self.read_duration.map(|v| v.0),
            self.requests_total,
            self.pauses_lost,
        ]);
        to.end();
    }
}
