#!/usr/bin/env python3
"""rate, slope and quantile in SQL beside DuckDB: the same Parquet folder, one run, CPU time and wall time.

  sql_windows.py [--instances N] [--hours H] [--rounds N] [--memwatch PATH] [--out FILE]

Build first: cargo build --release
Makes a recording of N instances at 200 ms, ingests it with memwatch, and lets both engines answer the same questions over the Parquet files
of that store, in turn. DuckDB has no rate: what people write instead is lag() over a window. memwatch is a process started for each question,
so its times include start, planning and writing the answer; DuckDB's do not. Installs DuckDB into benches/peers/.venv unless it is there.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
START_NS = 1_795_410_180_000_000_000
LAG = "lag({0}) OVER (PARTITION BY service, instance ORDER BY ts)"
STEP = "CASE WHEN {0} < before THEN {0} ELSE {0} - before END"

# Question, in memwatch's SQL, in DuckDB's. Each gives few rows, so that writing them is not what is measured.
QUESTIONS = [
    (
        "rate of each instance",
        "SELECT instance, rate(ts, total_alloc_bytes) AS r FROM samples GROUP BY service, instance ORDER BY 1",
        f"SELECT instance, sum({STEP.format('v')}) / (epoch_us(max(ts)) - epoch_us(min(ts))) * 1e6 AS r FROM ("
        f"SELECT service, instance, ts, total_alloc_bytes AS v, {LAG.format('total_alloc_bytes')} AS before FROM t) "
        "GROUP BY service, instance ORDER BY 1",
    ),
    (
        "rate of each instance and minute",
        "SELECT count(*) AS n, sum(r) AS r FROM (SELECT rate(ts, total_alloc_bytes) AS r FROM samples "
        "GROUP BY service, instance, date_trunc('minute', ts))",
        f"SELECT count(*) AS n, sum(r) AS r FROM (SELECT sum({STEP.format('v')}) FILTER (m = m_before) / "
        "(epoch_us(max(ts)) - epoch_us(min(ts))) * 1e6 AS r FROM ("
        f"SELECT *, {LAG.format('v')} AS before, {LAG.format('m')} AS m_before FROM ("
        "SELECT service, instance, ts, total_alloc_bytes AS v, date_trunc('minute', ts) AS m FROM t)) "
        "GROUP BY service, instance, m)",
    ),
    (
        "slope of each instance",
        "SELECT instance, slope(ts, heap_inuse_bytes) AS r FROM samples GROUP BY service, instance ORDER BY 1",
        # From a time near by: DuckDB's sums lose seven digits to seconds since 1970.
        f"SELECT instance, regr_slope(heap_inuse_bytes, (epoch_us(ts) - {START_NS // 1000}) / 1e6) AS r FROM t "
        "GROUP BY service, instance ORDER BY 1",
    ),
    (
        "p99 of each instance and minute",
        "SELECT count(*) AS n, sum(r) AS r FROM (SELECT quantile(heap_inuse_bytes, 0.99) AS r FROM samples "
        "GROUP BY service, instance, date_trunc('minute', ts))",
        "SELECT count(*) AS n, sum(r) AS r FROM (SELECT quantile_cont(heap_inuse_bytes, 0.99) AS r FROM t "
        "GROUP BY service, instance, date_trunc('minute', ts))",
    ),
    (
        "rate over a minute at each row",
        "SELECT count(r) AS n, sum(r) AS r FROM (SELECT rate(ts, total_alloc_bytes) OVER (PARTITION BY service, instance ORDER BY ts "
        "RANGE BETWEEN INTERVAL '1 minute' PRECEDING AND CURRENT ROW) AS r FROM samples)",
        f"SELECT count(r) AS n, sum(r) AS r FROM (SELECT (sum({STEP.format('v')}) OVER w - first({STEP.format('v')}) OVER w) / "
        "nullif(epoch_us(ts) - epoch_us(first(ts) OVER w), 0) * 1e6 AS r FROM ("
        f"SELECT service, instance, ts, total_alloc_bytes AS v, coalesce({LAG.format('total_alloc_bytes')}, total_alloc_bytes) AS before FROM t) "
        "WINDOW w AS (PARTITION BY service, instance ORDER BY ts RANGE BETWEEN INTERVAL 1 MINUTE PRECEDING AND CURRENT ROW))",
    ),
    (
        "p99 over a minute at each row",
        "SELECT count(r) AS n, sum(r) AS r FROM (SELECT quantile(heap_inuse_bytes, 0.99) OVER (PARTITION BY service, instance ORDER BY ts "
        "RANGE BETWEEN INTERVAL '1 minute' PRECEDING AND CURRENT ROW) AS r FROM samples)",
        "SELECT count(r) AS n, sum(r) AS r FROM (SELECT quantile_cont(heap_inuse_bytes, 0.99) OVER (PARTITION BY service, instance ORDER BY ts "
        "RANGE BETWEEN INTERVAL 1 MINUTE PRECEDING AND CURRENT ROW) AS r FROM t)",
    ),
]


def with_peers():
    """Starts again inside of a virtual environment unless DuckDB is here."""
    try:
        __import__("duckdb")
    except ImportError:
        venv = HERE / ".venv"
        python = venv / "bin" / "python"
        if Path(sys.prefix) == venv:
            raise
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "duckdb"], check=True)
        os.execv(python, [python, *sys.argv])


def record(folder, instances, hours):
    """Samples of a sawtooth heap, one file an instance."""
    rows = int(hours * 18_000)
    for n in range(instances):
        name = {"service": f"service-{n % 4}", "instance": f"instance-{n:02}"}
        seed = 12_345 + n
        allocated, cycles, heap = 0, 0, 20_000_000
        with open(folder / f"{name['instance']}.samples.ndjson", "w") as out:
            meta = {"type": "meta", "format": "memwatch-samples/1", "ts": START_NS, "proc": 1, **name}
            out.write(json.dumps(meta) + "\n")
            for i in range(rows):
                seed = (seed * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
                made = 40_000 + (seed >> 44)
                allocated += made
                heap += made
                if heap > 40_000_000:
                    heap, cycles = 20_000_000 + (seed >> 50), cycles + 1
                sample = {
                    "type": "sample", "ts": START_NS + i * 200_000_000 + (seed >> 45), **name, "proc": 1,
                    "uptime_ns": i * 200_000_000, "read_ns": 20_000, "goroutines": 20,
                    "memstats": {
                        "Alloc": heap, "HeapAlloc": heap, "TotalAlloc": allocated, "Mallocs": allocated // 64,
                        "Frees": (allocated - heap) // 64 if allocated > heap else 0, "HeapInuse": heap + heap // 16,
                        "NumGC": cycles, "NextGC": 40_000_000,
                    },
                    "pauses": [], "pauses_dropped": 0,
                }
                out.write(json.dumps(sample) + "\n")
    return instances * rows


def number(text):
    try:
        return float(text)
    except ValueError:
        return text


def memwatch(binary, store, sql):
    """The answer, CPU and wall seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    run = subprocess.run([binary, "query", sql, store, "--format", "csv"], capture_output=True, text=True, check=False)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode:
        sys.exit(f"{sql}\n{run.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    rows = [line.split(",") for line in run.stdout.splitlines()[1:]]
    return [[number(v) for v in row] for row in rows], cpu, wall


def duck(connection, sql):
    cpu, begin = time.process_time(), time.perf_counter()
    rows = connection.execute(sql).fetchall()
    return [list(row) for row in rows], time.process_time() - cpu, time.perf_counter() - begin


def agree(a, b):
    """Whether two answers are the same but for the last digits."""
    def near(x, y):
        return x == y or isinstance(x, (int, float)) and isinstance(y, (int, float)) and abs(x - y) <= 1e-6 * abs(y)

    return len(a) == len(b) and all(near(x, y) for p, q in zip(a, b) for x, y in zip(p, q))


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--instances", type=int, default=20)
    options.add_argument("--hours", type=float, default=1)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--memwatch", default=str(ROOT / "target" / "release" / "memwatch"))
    options.add_argument("--out")
    args = options.parse_args()
    with_peers()
    import duckdb

    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        (scratch / "input").mkdir()
        rows = record(scratch / "input", args.instances, args.hours)
        store = str(scratch / "store")
        subprocess.run([args.memwatch, "ingest", str(scratch / "input"), "--data", store], check=True, capture_output=True)
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE VIEW t AS SELECT * FROM read_parquet('{store}/samples/*/*.parquet')")
        print(f"{rows} rows, {args.instances} instances, {args.rounds} rounds; seconds are medians")
        lines = ["| question | memwatch CPU s (wall) | DuckDB CPU s (wall) | CPU, memwatch over DuckDB |", "|---|---|---|---|"]
        for question, ours, theirs in QUESTIONS:
            pairs = []
            for _ in range(args.rounds):
                a, b = memwatch(args.memwatch, store, ours), duck(connection, theirs)
                if not agree(a[0], b[0]):
                    sys.exit(f"{question}: memwatch says {a[0][:3]}, DuckDB {b[0][:3]}")
                pairs.append((a[1:], b[1:]))
            middle = lambda of: statistics.median(of(p) for p in pairs)
            lines.append(
                f"| {question} | {middle(lambda p: p[0][0]):.3f} ({middle(lambda p: p[0][1]):.3f}) "
                f"| {middle(lambda p: p[1][0]):.3f} ({middle(lambda p: p[1][1]):.3f}) "
                f"| {middle(lambda p: p[0][0] / p[1][0]):.2f} |"
            )
            print(lines[-1], flush=True)
        if args.out:
            Path(args.out).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
