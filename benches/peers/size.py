#!/usr/bin/env python3
"""Bytes a row of `samples`, the same values in each: memwatch's segments, DuckDB's Parquet, Prometheus' chunks, VictoriaMetrics' blocks.

usage: size.py [--corpus FOLDER] [--instances 20] [--hours 6] [--memwatch target/release/memwatch] [--recording target/release/examples/recording]
               [--dir /tmp/memwatch-size] [--without-text]

Needs `cargo build --release -p memwatch-cli` and `cargo build --release -p memwatch-benches --example recording`. DuckDB is installed by pip into a
virtual environment below --dir; Debian's prometheus and victoria-metrics are unpacked there, nothing is installed. --corpus is a folder of
recordings; without it only the seeded recording is measured.

memwatch's are whole files of the table after `compact`. DuckDB writes what it reads of these files, sorted by service, instance and time, with
every combination of the levels and row groups below; the smallest counts, whole. Of Prometheus only the files of chunks count, of VictoriaMetrics
the parts (values, timestamps and their indexes) after a forced merge, without its index of names. The two get every number that is not NULL, text
columns as labels, and milliseconds where the Parquet files have microseconds.
"""
import argparse, glob, os, shutil, subprocess, sys, time, urllib.request

ARGS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ARGS.add_argument("--corpus")
ARGS.add_argument("--instances", type=int, default=20)
ARGS.add_argument("--hours", type=int, default=6)
ARGS.add_argument("--memwatch", default="target/release/memwatch")
ARGS.add_argument("--recording", default="target/release/examples/recording")
ARGS.add_argument("--dir", default="/tmp/memwatch-size")
ARGS.add_argument("--without-text", action="store_true", help="without Prometheus and VictoriaMetrics")
LEVELS, ROW_GROUPS = [3, 9, 19], [122_880, 1_048_576]
GOALS = {"DuckDB": 0.85, "Prometheus": 0.60, "VictoriaMetrics": 1.00}
VM = 18429
BLOCK_S = 7_200


def say(text):
    print(text, file=sys.stderr, flush=True)


def python_with_duckdb(folder):
    """Goes on in an interpreter that has DuckDB."""
    python = os.path.join(folder, "venv/bin/python")
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", os.path.join(folder, "venv")], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "duckdb"], check=True)
    os.execv(python, [python] + sys.argv)


def programs(folder):
    bin_ = os.path.join(folder, "x/usr/bin")
    if not os.path.exists(os.path.join(bin_, "victoria-metrics")):
        get = "apt-get download prometheus victoria-metrics && for d in *.deb; do dpkg -x $d x; done"
        subprocess.run(get, shell=True, cwd=folder, check=True, capture_output=True)
    return bin_


def bytes_of(*patterns):
    return sum(os.path.getsize(f) for p in patterns for f in glob.glob(p, recursive=True) if os.path.isfile(f))


def duckdb_best(db, out):
    best = None
    for level in LEVELS:
        for rows in ROW_GROUPS:
            db.execute(f"COPY sorted TO '{out}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL {level}, "
                       f"PARQUET_VERSION 'V2', ROW_GROUP_SIZE {rows})")
            size = os.path.getsize(out)
            say(f"  DuckDB, level {level}, groups of {rows}: {size:,} bytes")
            best = min(best or size, size)
    return best


def numbers(db):
    """The columns that hold numbers, without those that are all NULL: names, and how each is said."""
    found = {}
    for name, kind, *_ in db.execute("DESCRIBE sorted").fetchall():
        said = {"BIGINT": name, "DOUBLE": name, "BOOLEAN": f"{name}::INT"}.get(kind)
        if said and name != "process" and db.execute(f"SELECT count({name}) FROM sorted").fetchone()[0]:
            found[name] = said
    return found


LABELS = ("""'{service="' || service || '",instance="' || instance || '",process="' || coalesce(process, 0) || '",version="' || """
          """coalesce(version, '') || '",go_version="' || coalesce(go_version, '') || '"} '""")


def texts(db, columns, folder):
    """The values as text, a file for each two hours: (path, number of values)."""
    first, last = db.execute("SELECT min(epoch_ms(ts)) // 1000, max(epoch_ms(ts)) // 1000 FROM sorted").fetchone()
    for start in range(first // BLOCK_S * BLOCK_S, last + 1, BLOCK_S):
        path = os.path.join(folder, f"{start}.om")
        within = f"epoch_ms(ts) >= {start * 1000} AND epoch_ms(ts) < {(start + BLOCK_S) * 1000}"
        if not db.execute(f"SELECT count(*) FROM sorted WHERE {within}").fetchone()[0]:
            continue
        parts = [f"SELECT 'go_{name}' || {LABELS} || {said} || ' ' || (epoch_ms(ts) / 1000)::DECIMAL(18, 3) FROM sorted "
                 f"WHERE {name} IS NOT NULL AND {within}" for name, said in columns.items()]
        db.execute(f"COPY ({' UNION ALL '.join(parts)}) TO '{path}' (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\t')")
        with open(path, "a") as out:
            out.write("# EOF\n")
        yield path


def prometheus(bin_, path, into):
    subprocess.run([os.path.join(bin_, "promtool"), "tsdb", "create-blocks-from", "openmetrics", "-q", path, into],
                   check=True, capture_output=True)


def post(path, body=None):
    return urllib.request.urlopen(f"http://127.0.0.1:{VM}{path}", body, timeout=3600).read()


def lines(path, most=8 << 20):
    """Pieces of a file as VictoriaMetrics takes it: milliseconds instead of seconds."""
    piece, size = [], 0
    for line in open(path, "rb"):
        if line.startswith(b"#"):
            continue
        seconds = line.rindex(b" ")
        line = line[:seconds + 1] + line[seconds + 1:].strip().replace(b".", b"") + b"\n"
        piece.append(line)
        size += len(line)
        if size > most:
            yield b"".join(piece)
            piece, size = [], 0
    yield b"".join(piece)


def text_peers(db, folder, bin_):
    columns = numbers(db)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(f"{folder}/prometheus")
    server = subprocess.Popen(
        [os.path.join(bin_, "victoria-metrics"), f"-storageDataPath={folder}/vm", f"-httpListenAddr=127.0.0.1:{VM}", "-retentionPeriod=100y",
         "-search.disableCache"], stdout=open(f"{folder}/vm.log", "w"), stderr=subprocess.STDOUT)
    values = 0
    try:
        for _ in range(600):
            try:
                post("/health")
                break
            except OSError:
                time.sleep(0.1)
        for path in texts(db, columns, folder):
            prometheus(bin_, path, f"{folder}/prometheus")
            for piece in lines(path):
                values += piece.count(b"\n")
                post("/api/v1/import/prometheus", piece)
            say(f"  {path}: {values:,} values so far")
            os.remove(path)
        post("/internal/force_flush")
        post("/internal/force_merge")
        before = -1
        for _ in range(600):
            time.sleep(1)
            now = bytes_of(f"{folder}/vm/data/**")
            if now == before:
                break
            before = now
    finally:
        server.terminate()
        server.wait()
    rows = db.execute(f"SELECT {' + '.join(f'count({c})' for c in columns)} FROM sorted").fetchone()[0]
    assert values == rows, f"{values} values were given, {rows} are there"
    return {"Prometheus": bytes_of(f"{folder}/prometheus/*/chunks/*"),
            "VictoriaMetrics": bytes_of(f"{folder}/vm/data/small/**", f"{folder}/vm/data/big/**")}, values


def measure(name, data, args, duckdb, bin_):
    say(f"{name}: {data}")
    subprocess.run([args.memwatch, "compact", data], check=True, capture_output=True)
    db = duckdb.connect()
    files = f"{data}/samples/**/*.parquet"
    db.execute(f"CREATE TABLE sorted AS SELECT * EXCLUDE (date) FROM read_parquet('{files}', hive_partitioning = true) ORDER BY service, instance, ts")
    rows = db.execute("SELECT count(*) FROM sorted").fetchone()[0]
    sizes = {"memwatch": bytes_of(files)}
    sizes["DuckDB"] = duckdb_best(db, os.path.join(args.dir, "out.parquet"))
    values = 0
    if not args.without_text:
        more, values = text_peers(db, os.path.join(args.dir, "text"), bin_)
        sizes.update(more)
    print(f"\n{name}: {rows:,} rows" + (f", {values:,} values" if values else ""))
    print("| | bytes a row | memwatch over it | goal |\n|---|---|---|---|")
    for peer, size in sizes.items():
        goal = GOALS.get(peer)
        ratio = sizes["memwatch"] / size
        print(f"| {peer} | {size / rows:.2f} | {ratio:.2f} | {'' if goal is None else f'{goal:.2f}' + (' missed' if ratio > goal else '')} |")
    sys.stdout.flush()


def main():
    args = ARGS.parse_args()
    os.makedirs(args.dir, exist_ok=True)
    try:
        import duckdb
    except ModuleNotFoundError:
        python_with_duckdb(args.dir)
    bin_ = None if args.without_text else programs(args.dir)
    if args.corpus:
        data = os.path.join(args.dir, "corpus")
        shutil.rmtree(data, ignore_errors=True)
        subprocess.run([args.memwatch, "ingest", "--data", data, args.corpus], check=True, capture_output=True)
        measure("corpus", data, args, duckdb, bin_)
    data = os.path.join(args.dir, f"{args.instances}x{args.hours}h")
    shutil.rmtree(data, ignore_errors=True)
    subprocess.run([args.recording, data, str(args.instances), str(args.hours)], check=True, capture_output=True)
    measure(f"{args.instances} instances, {args.hours} h, 200 ms", data, args, duckdb, bin_)


main()
