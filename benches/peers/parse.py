"""NDJSON into memory with one thread: DuckDB read_json and Polars read_ndjson. memwatch's side is `cargo bench --workspace --bench ingest`.

usage: parse.py FILE [--engine duckdb|polars]   (plain NDJSON, such as ingest.py leaves in its --dir; needs both engines in this Python)
"""
import os, subprocess, sys, time


def main():
    source = sys.argv[1]
    if "--engine" not in sys.argv:
        for engine in ("duckdb", "polars") * 2:
            subprocess.run([sys.executable, __file__, source, "--engine", engine], check=True)
        return
    engine = sys.argv[-1]
    if engine == "duckdb":
        import duckdb
        c = duckdb.connect()
        c.execute("set threads=1")
        c.execute("set enable_progress_bar=false")
        start = time.process_time()
        c.execute(f"create table t as select * from read_json('{source}', format='newline_delimited', maximum_object_size=20000000)")
        spent = time.process_time() - start
        rows = c.execute("select count(*) from t").fetchone()[0]
    else:
        os.environ["POLARS_MAX_THREADS"] = "1"
        import polars
        start = time.process_time()
        rows = polars.read_ndjson(source, infer_schema_length=1000).height
        spent = time.process_time() - start
    print(f"{engine}: {rows} rows, {spent:.2f} s of CPU, {rows / spent / 1e6:.2f} M rows/s, {os.path.getsize(source) / spent / 2**20:.0f} MiB/s")


main()
