//! The same numbers out of three doors: SQL, PromQL, and the kernels in Rust, on the same stored rows.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type};
use memwatch_core::expr::{EvalOptions, LeakRule, Value, baseline_options, evaluate, parse};
use memwatch_core::stats::baseline::{Baseline, State};
use memwatch_core::stats::counter::extrapolation;
use memwatch_core::stats::quantile::{median_absolute_deviation, order, quantile};
use memwatch_core::stats::robust_z::{LeastScale, robust_z};
use memwatch_core::stats::window::{
    Deviation, Ewma, Fold, Growth, Increase, Rate, Slope, by_time, ewma, growth_by_time,
    mad_by_time, quantiles_by_time, whole,
};
use memwatch_core::{Nanos, Steps, Timestamp};
use memwatch_store::query::Engine;
use memwatch_store::{Snapshot, Store};

use crate::sql::engine_over;

const SECOND_NS: i64 = 1_000_000_000;
const MINUTE_NS: i64 = 60 * SECOND_NS;
/// PromQL's windows are open at their beginning, SQL's are not: the same rows, at the microseconds of the store.
const FRAME_NS: i64 = MINUTE_NS - 1_000;
const OVER_MINUTE: &str = "OVER (PARTITION BY service, instance ORDER BY ts \
     RANGE BETWEEN INTERVAL '59.999999 seconds' PRECEDING AND CURRENT ROW)";

struct Doors {
    _dir: tempfile::TempDir,
    _store: Store,
    snapshot: Snapshot,
    engine: Engine,
}

impl Doors {
    fn open(recording: &str) -> Doors {
        let dir = tempfile::tempdir().unwrap();
        let (store, engine) = engine_over(&[recording], &dir.path().join("store"));
        Doors {
            snapshot: store.snapshot().unwrap(),
            _dir: dir,
            _store: store,
            engine,
        }
    }

    /// The numbers of an answer, row by row; NaN for NULL.
    fn sql(&self, sql: &str) -> Vec<Vec<f64>> {
        let mut found = Vec::new();
        for batch in self.engine.sql(sql).unwrap() {
            let batch = batch.unwrap();
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|column| column.as_primitive::<Float64Type>())
                .collect();
            for row in 0..batch.num_rows() {
                let number = |c: &&arrow::array::Float64Array| match c.is_valid(row) {
                    true => c.value(row),
                    false => f64::NAN,
                };
                found.push(columns.iter().map(number).collect());
            }
        }
        found
    }

    /// Times in nanoseconds and values of a column.
    fn rows(&self, column: &str) -> (Vec<i64>, Vec<f64>) {
        let sql = format!(
            "SELECT ts::bigint AS at, {column}::double AS v FROM samples WHERE {column} IS NOT NULL ORDER BY ts"
        );
        let (mut at, mut values) = (Vec::new(), Vec::new());
        for batch in self.engine.sql(&sql).unwrap() {
            let batch = batch.unwrap();
            let us = batch.column(0).as_primitive::<Int64Type>();
            at.extend(us.values().iter().map(|us| us * 1_000));
            values.extend_from_slice(batch.column(1).as_primitive::<Float64Type>().values());
        }
        (at, values)
    }

    /// What PromQL says at an instant, of the one series there is; NaN for nothing.
    fn promql(&self, expr: &str, at_ns: i64) -> f64 {
        let expr = parse(expr).unwrap();
        let at = Steps::instant(Timestamp(at_ns));
        let series = self.snapshot.series();
        let result = evaluate(&expr, at, &series, &EvalOptions::default()).unwrap();
        match result.value {
            Value::Vector(matrix) => match &matrix.series[..] {
                [] => f64::NAN,
                [one] => one.get(0).unwrap(),
                more => panic!("{} series", more.len()),
            },
            other => panic!("{other:?}"),
        }
    }
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

fn near(a: f64, b: f64, scale: f64) -> bool {
    (a - b).abs() <= 1e-9 * scale.abs().max(b.abs()) || a.is_nan() && b.is_nan()
}

#[test]
fn the_doors_agree() {
    let doors = Doors::open("report-render/samples.ndjson.zst");
    aggregates_are_the_kernels_and_promql(&doors);
    growth_in_promql_is_that_of_sql_at_a_row(&doors);
    windows_are_the_kernels(&doors);
    leaks_are_judged_alike(&doors);
    surprises_are_those_of_rules(&doors);
    no_answer_depends_on_threads_or_batches(&doors);
}

fn aggregates_are_the_kernels_and_promql(doors: &Doors) {
    let (at, heap) = doors.rows("heap_inuse_bytes");
    let (_, allocated) = doors.rows("total_alloc_bytes");
    assert!(at.len() > 2000 && at.len() == allocated.len());
    // Whole seconds, so between the rows; from before there is a full window.
    let first = at[0].div_euclid(SECOND_NS) * SECOND_NS;
    for t in (1..14).map(|i| first + i * 30 * SECOND_NS) {
        let inside = at.partition_point(|a| *a <= t - MINUTE_NS)..at.partition_point(|a| *a <= t);
        let (at, heap, allocated) = (
            &at[inside.clone()],
            &heap[inside.clone()],
            &allocated[inside],
        );
        let us = |ns: i64| {
            format!(
                "arrow_cast({}, 'Timestamp(Microsecond, Some(\"UTC\"))')",
                ns / 1000
            )
        };
        let found = doors.sql(&format!(
            "SELECT rate(ts, total_alloc_bytes), increase(ts, total_alloc_bytes), slope(ts, heap_inuse_bytes), \
             deviation(ts, heap_inuse_bytes), ewma(ts, heap_inuse_bytes, INTERVAL '10 seconds'), quantile(heap_inuse_bytes, 0.99), \
             median(heap_inuse_bytes), mad(heap_inuse_bytes), robust_z(ts, heap_inuse_bytes), \
             growth(ts, heap_inuse_bytes, INTERVAL '30 seconds') \
             FROM samples WHERE ts > {} AND ts <= {}",
            us(t - MINUTE_NS),
            us(t)
        ));
        let [
            rate,
            increase,
            slope,
            deviation,
            ewma,
            p99,
            median,
            mad,
            z,
            growth,
        ] = found[0][..]
        else {
            panic!("{found:?}");
        };

        // Rust, to the last bit.
        let mut sorted = heap.to_vec();
        sorted.sort_by(|a, b| order(*a, *b));
        let mut mean = Ewma::new(10 * SECOND_NS);
        let smooth = at
            .iter()
            .zip(heap)
            .map(|(at, v)| mean.push(*at, *v))
            .last()
            .unwrap();
        for (name, sql, rust) in [
            ("rate", rate, whole(Rate, at, allocated).unwrap()),
            (
                "increase",
                increase,
                whole(Increase, at, allocated).unwrap(),
            ),
            ("slope", slope, whole(Slope, at, heap).unwrap()),
            ("deviation", deviation, whole(Deviation, at, heap).unwrap()),
            ("ewma", ewma, smooth),
            ("quantile", p99, quantile(0.99, &sorted)),
            ("median", median, quantile(0.5, &sorted)),
            ("mad", mad, median_absolute_deviation(&sorted)),
            (
                "robust_z",
                z,
                robust_z(heap[heap.len() - 1], heap, LeastScale::default()).unwrap(),
            ),
        ] {
            assert!(
                same(sql, rust),
                "{name} at {t}: {sql} in SQL, {rust} in Rust"
            );
        }

        // PromQL, to the last bit.
        let seconds = |ns: i64| ns as f64 / 1e9;
        let (begin, end) = (at[0], at[at.len() - 1]);
        let factor = extrapolation(
            increase,
            at.len(),
            seconds(end - begin),
            seconds(begin - (t - MINUTE_NS)),
            seconds(t - end),
            Some(allocated[0]),
        );
        for (expr, sql) in [
            ("quantile_over_time(0.99, heap_inuse_bytes[1m])", p99),
            ("quantile_over_time(0.5, heap_inuse_bytes[1m])", median),
            ("mad_over_time(heap_inuse_bytes[1m])", mad),
            ("robust_z(heap_inuse_bytes[1m])", z),
            (
                "increase(go_memstats_alloc_bytes_total[1m])",
                increase * factor,
            ),
        ] {
            let promql = doors.promql(expr, t);
            assert!(
                same(sql, promql),
                "{expr} at {t}: {sql} in SQL, {promql} in PromQL"
            );
        }
        // Lines and weighted means are summed up in another order there.
        let smooth = doors.promql("ewma_over_time(heap_inuse_bytes[1m], 10s)", t);
        assert!(near(ewma, smooth, 0.0));
        let scale = heap[heap.len() - 1];
        assert!(near(
            slope,
            doors.promql("deriv(heap_inuse_bytes[1m])", t),
            scale / 60.0
        ));
        assert!(near(
            deviation,
            doors.promql("line_deviation(heap_inuse_bytes[1m])", t),
            scale
        ));
        // The windows of growth end at the newest row, not at the evaluation.
        let newest = growth_by_time_at_end(at, heap);
        assert!(
            same(growth, newest),
            "growth at {t}: {growth} in SQL, {newest} in Rust"
        );
    }
}

fn growth_by_time_at_end(at: &[i64], heap: &[f64]) -> f64 {
    let mut out = vec![0.0; at.len()];
    growth_by_time(Growth::Gauge, at, heap, MINUTE_NS / 2, &mut out);
    out[out.len() - 1]
}

fn growth_in_promql_is_that_of_sql_at_a_row(doors: &Doors) {
    let (at, heap) = doors.rows("heap_inuse_bytes");
    let sql = doors.sql(
        "SELECT growth(ts, heap_inuse_bytes, INTERVAL '30 seconds') OVER (PARTITION BY service, instance ORDER BY ts) \
         FROM samples ORDER BY ts",
    );
    assert_eq!(sql.len(), heap.len());
    for row in (400..heap.len()).step_by(300) {
        let promql = doors.promql("growth(heap_inuse_bytes[30s])", at[row]);
        assert!(
            near(sql[row][0], promql, 1.0),
            "row {row}: {} {promql}",
            sql[row][0]
        );
    }
}

fn windows_are_the_kernels(doors: &Doors) {
    let (at, heap) = doors.rows("heap_inuse_bytes");
    let (_, allocated) = doors.rows("total_alloc_bytes");
    let folded = |out: &mut Vec<Vec<f64>>, run: &dyn Fn(&mut [f64])| {
        let mut column = vec![0.0; at.len()];
        run(&mut column);
        out.push(column);
    };
    fn by<F: Fold>(fold: F, at: &[i64], values: &[f64]) -> impl Fn(&mut [f64]) {
        // A frame has both of its ends.
        move |out| by_time(fold, at, values, FRAME_NS + 1, out)
    }
    let mut rust = Vec::new();
    folded(&mut rust, &by(Rate, &at, &allocated));
    folded(&mut rust, &by(Increase, &at, &allocated));
    folded(&mut rust, &by(Slope, &at, &heap));
    folded(&mut rust, &by(Deviation, &at, &heap));
    folded(&mut rust, &|out| {
        quantiles_by_time(&[0.99], &at, &heap, FRAME_NS + 1, &mut [out]);
    });
    folded(&mut rust, &|out| mad_by_time(&at, &heap, FRAME_NS + 1, out));
    folded(&mut rust, &|out| ewma(&at, &heap, 10 * SECOND_NS, out));
    let sql = doors.sql(&format!(
        "SELECT rate(ts, total_alloc_bytes) {OVER_MINUTE}, increase(ts, total_alloc_bytes) {OVER_MINUTE}, \
         slope(ts, heap_inuse_bytes) {OVER_MINUTE}, deviation(ts, heap_inuse_bytes) {OVER_MINUTE}, \
         quantile(heap_inuse_bytes, 0.99) {OVER_MINUTE}, mad(heap_inuse_bytes) {OVER_MINUTE}, \
         ewma(ts, heap_inuse_bytes, INTERVAL '10 seconds') OVER (PARTITION BY service, instance ORDER BY ts) \
         FROM samples ORDER BY ts"
    ));
    assert_eq!(sql.len(), at.len());
    for (row, found) in sql.iter().enumerate() {
        for (column, (sql, rust)) in found.iter().zip(&rust).enumerate() {
            assert!(
                same(*sql, rust[row]),
                "row {row}, column {column}: {sql} {}",
                rust[row]
            );
        }
    }
    // At the time of a row PromQL's window is the same.
    for row in (400..at.len()).step_by(400) {
        for (column, expr) in [
            (4, "quantile_over_time(0.99, heap_inuse_bytes[1m])"),
            (5, "mad_over_time(heap_inuse_bytes[1m])"),
        ] {
            let promql = doors.promql(expr, at[row]);
            assert!(same(sql[row][column], promql), "{expr} at row {row}");
        }
    }
}

fn leaks_are_judged_alike(doors: &Doors) {
    let (at, heap) = doors.rows("heap_inuse_bytes");
    let (_, collections) = doors.rows("num_gc");
    for row in [1_500, 2_000, at.len() - 1] {
        let until = format!(
            "FROM samples WHERE ts <= arrow_cast({}, 'Timestamp(Microsecond, Some(\"UTC\"))')",
            at[row] / 1_000
        );
        for (sql, options, counts) in [
            (
                "ts, heap_inuse_bytes, 'floors = least'",
                "\"floors = least\"",
                false,
            ),
            (
                "ts, heap_inuse_bytes, num_gc, 'least_floors = 20'",
                "\"least_floors = 20\"",
                true,
            ),
        ] {
            let text = if counts {
                "least_floors = 20"
            } else {
                "floors = least"
            };
            let rule = LeakRule::read([text]).unwrap();
            let verdict = rule
                .at(
                    &at[..=row],
                    &heap[..=row],
                    counts.then_some(&collections[..=row]),
                    Timestamp(at[row]),
                    Nanos(4 * MINUTE_NS),
                )
                .expect("enough floors");
            for (part, rust) in [
                ("slope", verdict.slope),
                ("slope_low", verdict.slope_interval.0),
                ("level", verdict.level),
                ("growth", verdict.growth),
                ("z_eff", verdict.z_eff),
            ] {
                let call = format!("SELECT leak({sql}, 'window = 4m')['{part}'] {until}");
                let found = doors.sql(&call)[0][0];
                let expr = format!("leak_part(heap_inuse_bytes[4m], \"{part}\", {options})");
                let promql = doors.promql(&expr, at[row]);
                assert!(same(found, rust), "{call}: {found} in SQL, {rust} in Rust");
                assert!(
                    same(found, promql),
                    "{expr}: {found} in SQL, {promql} in PromQL"
                );
            }
        }
        let call =
            "time_to_limit(ts, heap_inuse_bytes, 1e12, 'floors = least', 'window = 4m')['seconds']";
        let found = doors.sql(&format!("SELECT {call} {until}"))[0][0];
        let expr = "time_to_limit(heap_inuse_bytes[4m], 1e12, \"floors = least\")";
        let promql = doors.promql(expr, at[row]);
        assert!(
            same(found, promql),
            "{expr}: {found} in SQL, {promql} in PromQL"
        );
    }
}

fn surprises_are_those_of_rules(doors: &Doors) {
    let (at, allocated) = doors.rows("total_alloc_bytes");
    let mut baseline =
        Baseline::new(baseline_options(["kind = counter", "direction = up"]).unwrap());
    let rust: Vec<f64> = at
        .iter()
        .zip(&allocated)
        .map(|(at, value)| baseline.push(*at, *value))
        .map(|d| {
            if d.state == State::Scored {
                d.score
            } else {
                f64::NAN
            }
        })
        .collect();
    let sql = doors.sql(
        "SELECT baseline_deviation(ts, total_alloc_bytes, process, 'kind = counter', 'direction = up') \
         OVER (PARTITION BY service, instance ORDER BY ts) FROM samples ORDER BY ts",
    );
    assert_eq!(sql.len(), rust.len());
    for (row, rust) in rust.iter().enumerate() {
        assert!(
            same(sql[row][0], *rust),
            "row {row}: {} in SQL, {rust} in Rust",
            sql[row][0]
        );
    }
    let highest = (0..at.len())
        .max_by(|a, b| rust[*a].total_cmp(&rust[*b]))
        .unwrap();
    for row in [1_400, 1_700, 2_000, highest] {
        let expr = "baseline_deviation(go_memstats_alloc_bytes_total[1ms], \"direction = up\")";
        let promql = doors.promql(expr, at[row]);
        assert!(same(rust[row], promql), "row {row}: {} {promql}", rust[row]);
    }
}

fn no_answer_depends_on_threads_or_batches(doors: &Doors) {
    let sql = "SELECT date_trunc('minute', ts)::bigint::double AS m, rate(ts, total_alloc_bytes), slope(ts, heap_inuse_bytes), \
               quantile(heap_inuse_bytes, 0.99), ewma(ts, heap_inuse_bytes, INTERVAL '10 seconds') \
               FROM samples GROUP BY date_trunc('minute', ts) ORDER BY 1";
    let bits = |rows: Vec<Vec<f64>>| -> Vec<Vec<u64>> {
        let row = |row: Vec<f64>| row.into_iter().map(f64::to_bits).collect();
        rows.into_iter().map(row).collect()
    };
    let expected = bits(doors.sql(sql));
    assert!(expected.len() > 6);
    for threads in [1, 2, 7] {
        let mut settings = memwatch_store::query::Settings::default();
        settings.threads = threads;
        let engine = Engine::with(&doors.snapshot, &settings).unwrap();
        let others = Doors {
            _dir: tempfile::tempdir().unwrap(),
            _store: doors._store.clone(),
            snapshot: doors.snapshot.clone(),
            engine,
        };
        // Rows in another order, through a union that several threads read.
        let shuffled = sql.replace(
            "FROM samples",
            "FROM (SELECT * FROM samples WHERE num_gc % 2 = 0 UNION ALL SELECT * FROM samples WHERE num_gc % 2 = 1) AS s",
        );
        assert_eq!(bits(others.sql(sql)), expected, "{threads} threads");
        assert_eq!(bits(others.sql(&shuffled)), expected, "{threads} threads");
    }
}
