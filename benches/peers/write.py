"""Rows in memory -> sorted Parquet on disk: memwatch's writer (one thread, with checks, checksums, sync and commit) and DuckDB's COPY.

usage: write.py [--rows 2000000] [--rounds 3] [--stream target/release/examples/stream] [--dir DIR]

memwatch makes rows of `samples` and writes them (`examples/stream.rs`, part `write`). DuckDB loads the same rows from these files into a table in
memory, which is not timed, and copies it with zstd and V2 to one file in the same order, which is; with one thread and with two.
"""
import argparse, os, shutil, statistics, subprocess, sys, time, venv

ARGS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ARGS.add_argument("--rows", type=int, default=2_000_000)
ARGS.add_argument("--rounds", type=int, default=3)
ARGS.add_argument("--stream", default="target/release/examples/stream")
ARGS.add_argument("--dir", default="/tmp/memwatch-peers")

DUCKDB = """
import duckdb, os, sys, time
c = duckdb.connect(); c.execute(f"set threads={sys.argv[3]}"); c.execute('set enable_progress_bar=false')
c.execute(f"create table t as select * from read_parquet('{sys.argv[1]}/samples/*/*.parquet', hive_partitioning=false)")
start = time.time()
c.execute(f"copy (select * from t order by service, instance, ts) to '{sys.argv[2]}' (format parquet, compression zstd, parquet_version v2)")
f = os.open(sys.argv[2], os.O_RDONLY); os.fsync(f)
sorted_s, start = time.time() - start, time.time()
c.execute(f"copy t to '{sys.argv[2]}' (format parquet, compression zstd, parquet_version v2)")
f = os.open(sys.argv[2], os.O_RDONLY); os.fsync(f)
print(sorted_s, time.time() - start, os.path.getsize(sys.argv[2]))
"""


def main():
    a = ARGS.parse_args()
    python = os.path.join(a.dir, "venv/bin/python")
    if not os.path.exists(python):
        venv.create(os.path.join(a.dir, "venv"), with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "duckdb"], check=True)
    store, out = os.path.join(a.dir, "written"), os.path.join(a.dir, "written.parquet")
    seconds, size = {}, {}
    for _ in range(a.rounds):
        shutil.rmtree(store, ignore_errors=True)
        done = subprocess.run([a.stream, "write", store, "--rows", str(a.rows)], capture_output=True, text=True, check=True).stdout
        words = done.split()
        seconds.setdefault("memwatch, 1 thread", []).append(float(words[4]))
        size["memwatch, 1 thread"] = float(words[-4])
        for threads in (1, 2):
            done = subprocess.run([python, "-c", DUCKDB, store, out, str(threads)], capture_output=True, text=True, check=True).stdout.split()
            for name, at in ((f"DuckDB COPY, sorted, {threads} thread{'s' * (threads > 1)}", 0), (f"DuckDB COPY as it lies, {threads} thread{'s' * (threads > 1)}", 1)):
                seconds.setdefault(name, []).append(float(done[at]))
                size[name] = float(done[2]) / a.rows
    base = statistics.median(seconds["memwatch, 1 thread"])
    print(f"{'':34} {'s':>7} {'Mrow/s':>8} {'B/row':>7}   memwatch is")
    for name, of in seconds.items():
        s = statistics.median(of)
        print(f"{name:34} {s:7.2f} {a.rows / s / 1e6:8.3f} {size[name]:7.1f}   {s / base:.2f} x as fast")
    shutil.rmtree(store, ignore_errors=True)
    if os.path.exists(out):
        os.remove(out)


main()
