#!/usr/bin/env python3
"""NDJSON -> Parquet, side by side: memwatch ingest, DuckDB read_json -> COPY, Polars scan_ndjson -> sink_parquet.

usage: ingest.py RECORDING... [--gigabytes 2] [--rounds 3] [--memwatch target/release/memwatch] [--dir DIR]

RECORDING is a samples NDJSON (plain or .zst, .gz). The input is made by repeating the recordings with shifted time: each repetition is a
new process of its instance, later by the recording's length, so no two rows are equal. Peak memory is the kernel's figure of the process.
"""
import argparse, gzip, os, re, resource, shutil, statistics, subprocess, sys, time, venv

ARGS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ARGS.add_argument("recordings", nargs="+")
ARGS.add_argument("--gigabytes", type=float, default=2.0)
ARGS.add_argument("--rounds", type=int, default=3)
ARGS.add_argument("--memwatch", default="target/release/memwatch")
ARGS.add_argument("--dir", default="/tmp/memwatch-peers")

DUCKDB = """
import duckdb, sys
c = duckdb.connect(); c.execute("set threads=2")
c.execute(f"copy (select * from read_json('{sys.argv[1]}', format='newline_delimited', maximum_object_size=20000000) where type='sample') "
          f"to '{sys.argv[2]}' (format parquet, compression zstd, parquet_version v2)")
print(c.execute(f"select count(*) from '{sys.argv[2]}'").fetchone()[0])
"""
POLARS = """
import polars as pl, sys
pl.scan_ndjson(sys.argv[1], infer_schema_length=1000).filter(pl.col('type') == 'sample').sink_parquet(sys.argv[2], compression='zstd')
print(pl.scan_parquet(sys.argv[2]).select(pl.len()).collect().item())
"""


def lines_of(path):
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout.splitlines(keepends=True)
    return (gzip.open if path.endswith(".gz") else open)(path, "rb").read().splitlines(keepends=True)


def make(recordings, size, out):
    """Repeats the recordings, shifted in time, until `size` bytes are written; sample lines written."""
    ts, last, proc = re.compile(rb'"ts":(\d+)'), re.compile(rb'"LastGC":(\d+)'), re.compile(rb'"proc":(\d+)')
    pauses, pair = re.compile(rb'"pauses":\[\[.*?\]\]'), re.compile(rb"\[(\d{15,}),")
    sources = []
    for path in recordings:
        lines = [l for l in lines_of(path) if b'"type":"sample"' in l]
        first, final = int(ts.search(lines[0])[1]), int(ts.search(lines[-1])[1])
        sources.append((lines, final - first + 10**9, max(int(proc.search(l)[1]) for l in lines)))
    written = rows = turn = 0
    with open(out, "wb") as f:
        while written < size:
            for lines, length, procs in sources:
                by = length * turn
                shift = lambda m: m[0].replace(m[1], str(int(m[1]) + (by if m[1] != b"0" else 0)).encode())
                for line in lines:
                    line = ts.sub(shift, line, 1)
                    line = last.sub(shift, line, 1)
                    line = proc.sub(lambda m: b'"proc":%d' % (int(m[1]) + turn * procs), line, 1)
                    line = pauses.sub(lambda m: pair.sub(shift, m[0]), line)
                    f.write(line)
                    written += len(line)
                    rows += 1
                if written >= size:
                    break
            turn += 1
    return rows, written


def run(command):
    """Wall seconds, CPU seconds, peak MiB of one process, last line of its output."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = p.communicate()
    wall, after = time.time() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if p.returncode != 0:
        sys.exit(f"{command[0]}: exit {p.returncode}: {err.decode()[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, out.decode().strip().splitlines()[-1:]


def peak_mib(command):
    """Peak resident MiB, from GNU time's accounting done by ourselves: a fresh child of a fresh Python."""
    code = "import resource,subprocess,sys;subprocess.run(sys.argv[1:],stdout=2,check=True);print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss//1024)"
    return int(subprocess.run([sys.executable, "-c", code, *command], capture_output=True, check=True).stdout.split()[-1])


def main():
    a = ARGS.parse_args()
    os.makedirs(a.dir, exist_ok=True)
    python = os.path.join(a.dir, "venv/bin/python")
    if not os.path.exists(python):
        venv.create(os.path.join(a.dir, "venv"), with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "duckdb", "polars"], check=True)
    source = os.path.join(a.dir, f"samples-{a.gigabytes:g}.ndjson")
    rows, written = make(a.recordings, int(a.gigabytes * 1e9), source)
    print(f"{rows} rows, {written / 1e9:.2f} GB")
    duck, polars, store = (os.path.join(a.dir, n) for n in ("duck.parquet", "polars.parquet", "store"))
    commands = {
        "memwatch": [a.memwatch, "ingest", source, "--data", store],
        "duckdb": [python, "-c", DUCKDB, source, duck],
        "polars": [python, "-c", POLARS, source, polars],
    }

    def clean():
        shutil.rmtree(store, ignore_errors=True)
        for f in (duck, polars):
            if os.path.exists(f):
                os.remove(f)

    times = {name: [] for name in commands}
    for _ in range(a.rounds):
        for name, command in commands.items():
            clean()
            times[name].append(run(command))
    size = {}
    for name, command in commands.items():
        clean()
        peak = peak_mib(command)
        size[name] = peak, sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(store) for f in fs if "/samples" in d + "/") if name == "memwatch" else os.path.getsize(duck if name == "duckdb" else polars)
    print(f"{'':10} {'wall s':>8} {'cpu s':>8} {'Mrow/s':>8} {'peak MiB':>9} {'B/row':>7}   memwatch is")
    base = statistics.median(w for w, _, _ in times["memwatch"])
    for name in commands:
        wall, cpu = statistics.median(w for w, _, _ in times[name]), statistics.median(c for _, c, _ in times[name])
        ratio = statistics.median(o[0] / m[0] for o, m in zip(times[name], times["memwatch"]))
        print(f"{name:10} {wall:8.2f} {cpu:8.2f} {rows / wall / 1e6:8.3f} {size[name][0]:9} {size[name][1] / rows:7.1f}   {ratio:.2f} x as fast")
    clean()


main()
