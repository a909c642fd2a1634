#!/usr/bin/env python3
"""Counts the rows per table that ingesting a folder of recordings must yield: an independent check of `memwatch ingest`.

usage: count_rows.py FOLDER [--files] [--at]
FOLDER holds one folder per recorded instance, or is one itself. Prints JSON: rows per table after de-duplication by row identity; with
--files the rows that each file gives, before it. Written from the descriptions of the formats, standard library only; `.zst` files
need the `zstd` command or the `zstandard` module. --at: a time is given for scrapes that carry none (else they give no rows).

Row identity: (service, instance, ts in microseconds) and for samples the process; gc_cycles the number; gc_pauses origin, kind and
length; metrics name and labels; spans trace_id, kind, route and duration; incidents kind, end and verdict; artifacts the content.
"""
import gzip
import hashlib
import json
import os
import re
import subprocess
import sys

TABLES = ["samples", "gc_cycles", "gc_pauses", "metrics", "spans", "incidents", "artifacts"]
GCTRACE = re.compile(
    rb"gc (\d+) @(\d+)\.(\d\d\d)s (\d+)%(?: \(checking for goroutine leaks\))?: "
    rb"([\d.]+)\+([\d.]+)\+([\d.]+) ms clock, [\d.]+\+[\d.]+/[\d.]+/[\d.]+\+[\d.]+ ms cpu, "
    rb"\d+->\d+->\d+ MB, \d+ MB goal, (?:\d+ MB stacks, \d+ MB globals, )?\d+ P"
)
LOG_TIME = re.compile(rb"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d|\"ts\":\d{10}\.\d")


def content(path):
    if path.endswith(".gz"):
        with gzip.open(path) as file:
            return file.read()
    if path.endswith(".zst"):
        try:
            return subprocess.run(["zstd", "-dcq", path], check=True, stdout=subprocess.PIPE).stdout
        except FileNotFoundError:
            import zstandard

            with open(path, "rb") as file:
                return zstandard.ZstdDecompressor().stream_reader(file).read()
    with open(path, "rb") as file:
        return file.read()


def lines(data):
    """(number, object) of each line that is a whole JSON object."""
    for line in data.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def us(ns):
    return ns // 1000


def runtime_name(name):
    path, unit = name.rsplit(":", 1)
    return "go" + re.sub(r"[^A-Za-z0-9]", "_", path) + "_" + re.sub(r"[^A-Za-z0-9]", "_", unit.replace("/", "_per_"))


def flatten(prefix, value, depth, found):
    if isinstance(value, bool):
        return
    if isinstance(value, (int, float)):
        found.add(prefix)
    elif isinstance(value, dict) and depth > 0:
        for key, inner in value.items():
            flatten(prefix + "_" + re.sub(r"[^A-Za-z0-9_:]", "_", key), inner, depth - 1, found)


def parse_labels(text):
    pairs = re.findall(r'([A-Za-z_][A-Za-z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"', text)
    return {name: value for name, value in pairs if value}


class Folder:
    """The rows of one recorded instance."""

    def __init__(self, root, at):
        self.root, self.at, self.files, self.tables = root, at, {}, {table: set() for table in TABLES}
        self.contents = {}
        for folder, _, names in sorted(os.walk(root)):
            for name in sorted(names):
                path = os.path.join(folder, name)
                self.contents[path] = content(path)
        self.of, self.anchored = self.identity()
        for path, data in self.contents.items():
            before = {table: 0 for table in TABLES}
            self.count = before
            self.read(path, data)
            self.files[path] = {table: rows for table, rows in before.items() if rows}

    def add(self, table, *key):
        self.count[table] += 1
        self.tables[table].add(key)

    def identity(self):
        """Whose recording the folder is, and how many process starts are known: by labels, else samples, else the folder's name."""
        labels = self.contents.get(os.path.join(self.root, "labels.json"))
        if labels:
            labels = json.loads(labels)
            if labels.get("processes"):
                return (labels["service"], labels["instance"]), len(labels["processes"])
        samples, of = set(), None
        for path, data in self.contents.items():
            if os.path.basename(path).startswith("samples.ndjson"):
                for line in lines(data):
                    if line.get("type") == "sample":
                        of = of or (line["service"], line["instance"])
                        samples.add(line.get("proc"))
        if labels:
            of = (labels["service"], labels["instance"])
        name = os.path.basename(os.path.abspath(self.root))
        return of or (name, name), len(samples)

    def read(self, path, data):
        head = data[:65536]
        if data.startswith(b"go 1.") and b" trace\0" in data[:16]:
            self.add("artifacts", *self.of, hashlib.sha256(data).hexdigest())
        elif re.search(rb"^goroutine \d+ \[", head, re.M):
            self.add("artifacts", *self.of, hashlib.sha256(data).hexdigest())
        elif path.endswith((".pb.gz", ".pb")):
            self.add("artifacts", *self.of, hashlib.sha256(data).hexdigest())
        elif b"\0" in head:
            pass  # Storage of Prometheus: read by no one but its own tools.
        elif head.startswith(b"{__name__="):
            self.dump(data)
        elif head.lstrip().startswith(b"{"):
            self.json(head, data)
        elif re.search(rb"^# (TYPE|SCRAPE) ", head, re.M):
            self.exposition(data)
        elif re.search(rb"gc \d+ @", data):
            self.gctrace(data)

    def json(self, head, data):
        try:
            whole = json.loads(data)
        except ValueError:
            whole = {}
        if str(whole.get("format", "")).startswith("memwatch-labels/"):
            self.labels(whole)
        elif "status" in whole and "data" in whole:
            self.answer(whole)
        elif b'"trace_id"' in head[:200]:
            for span in lines(data):
                key = (span["trace_id"], span.get("kind"), span.get("route"), span["duration_ns"])
                self.add("spans", span["service"], span["instance"], us(span["start_unix_ns"]), *key)
        elif b'"vars"' in head[:200]:
            self.expvar(data)
        elif b'"buckets"' in head[:200] or b'"type":"metrics"' in head[:200]:
            self.runtime_metrics(data)
        elif b'"memwatch-samples/' in head or b'"type":"sample"' in head:
            self.samples(data)

    def labels(self, labels):
        of = (labels["service"], labels["instance"])
        for verdict in ("incidents", "benign", "unlabelled"):
            for entry in labels.get(verdict) or []:
                start = entry.get("start_unix_ns", entry.get("at_unix_ns"))
                end = entry.get("end_unix_ns", start + entry.get("gap_ns", 0))
                kind = entry.get("kind", entry.get("what"))
                self.add("incidents", *of, us(start), kind, us(end), verdict)

    def samples(self, data):
        for line in lines(data):
            if line.get("type") == "sample":
                of = (line["service"], line["instance"])
                self.add("samples", *of, us(line["ts"]), line.get("proc"))
                for end, pause in line.get("pauses", []):
                    self.add("gc_pauses", *of, us(end), "memstats", "unknown", pause)

    def expvar(self, data):
        before = {}
        for line in lines(data):
            at, proc, stats = us(line["ts"]), line.get("proc"), line["vars"].get("memstats")
            if stats:
                self.add("samples", *self.of, at, proc)
                now, known = stats["NumGC"], before.get(proc, 0)
                if now < known:
                    known = 0
                for cycle in range(max(known, now - 256) + 1, now + 1):
                    index = (cycle + 255) % 256
                    end, pause = stats["PauseEnd"][index], stats["PauseNs"][index]
                    self.add("gc_pauses", *self.of, us(end), "memstats", "unknown", pause)
                before[proc] = now
                for size in stats.get("BySize", []):
                    if size["Size"] and (size["Mallocs"] or size["Frees"]):
                        for what in ("mallocs", "frees"):
                            name = f"go_memstats_by_size_{what}_total"
                            self.add("metrics", *self.of, at, name, f'size="{size["Size"]}"')
            own = set()
            for name, value in line["vars"].items():
                if name not in ("cmdline", "memstats"):
                    flatten("expvar_" + re.sub(r"[^A-Za-z0-9_:]", "_", name), value, 6, own)
            for name in own:
                self.add("metrics", *self.of, at, name, "")

    def runtime_metrics(self, data):
        buckets, kinds = {}, {}
        for line in lines(data):
            if line.get("type") == "meta":
                buckets, kinds = line.get("buckets", {}), line.get("kinds", {})
                continue
            at = us(line["ts"])
            for name, value in line["values"].items():
                if name.startswith("/godebug/"):
                    continue
                base = runtime_name(name)
                if not isinstance(value, list):
                    total = "_total" if kinds.get(name, "").endswith(",cumulative") else ""
                    self.add("metrics", *self.of, at, base + total, "")
                    continue
                edges = {"+Inf"}
                for index, count in value:
                    if count:
                        edges |= {e for e in buckets[name][index : index + 2] if e != "-Inf"}
                for edge in edges:
                    self.add("metrics", *self.of, at, base + "_bucket", f'le="{edge}"')
                self.add("metrics", *self.of, at, base + "_count", "")

    def series(self, at, name, labels):
        of = (labels.get("job") or labels.get("service") or self.of[0], labels.get("instance") or self.of[1])
        own = {k: v for k, v in labels.items() if k not in ("__name__", "job", "service", "instance")}
        text = ",".join(f'{k}="{v}"' for k, v in sorted(own.items()))
        self.add("metrics", *of, at, name, text)

    def exposition(self, data):
        at, has_memstats = (0 if self.at else None), False

        def close():
            if has_memstats:
                self.add("samples", *self.of, at, None)

        for line in data.decode().splitlines():
            if line.startswith("# SCRAPE "):
                close()
                has_memstats = False
                at = int(re.search(r"ts_ms=(\d+)", line).group(1)) * 1000
            elif line and not line.startswith("#") and at is not None:
                name, labels = re.match(r"([^\s{]+)\s*(\{.*\})?", line).groups()
                self.series(at, name, parse_labels(labels or ""))
                has_memstats |= name.startswith("go_memstats_")
        close()

    def dump(self, data):
        for line in data.decode().splitlines():
            labels, rest = line.rsplit("} ", 1)
            labels = parse_labels(labels)
            self.series(int(rest.split()[1]) * 1000, labels["__name__"], labels)

    def answer(self, answer):
        for result in answer["data"]["result"]:
            for at, _ in result["values"]:
                self.series(round(at * 1000) * 1000, result["metric"]["__name__"], result["metric"])

    def gctrace(self, data):
        process, last, rows = 1, 0, []
        for found in GCTRACE.finditer(data):
            number = int(found.group(1))
            if number <= last:
                process += 1
            last = number
            sweep, mark, end = (int(round(float(found.group(i)) * 1e6)) for i in (5, 6, 7))
            start = (int(found.group(2)) * 1000 + int(found.group(3))) * 1_000_000
            rows.append((process, number, start, sweep, mark, end))
        # A cycle has no wall clock of its own: the start of its process must be known, or other lines of the log tell the time.
        timed = LOG_TIME.search(data)
        for process, number, start, sweep, mark, end in rows:
            if process <= self.anchored or timed:
                self.add("gc_cycles", *self.of, process, us(start), number)
                self.add("gc_pauses", *self.of, process, us(start + sweep), "gctrace", "sweep", sweep)
                self.add("gc_pauses", *self.of, process, us(start + sweep + mark + end), "gctrace", "mark", end)


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    if len(arguments) != 1:
        sys.exit(__doc__)
    root = arguments[0]
    at = "--at" in sys.argv
    inner = [os.path.join(root, name) for name in sorted(os.listdir(root))]
    recordings = [path for path in inner if os.path.isdir(path) and os.path.basename(path) != "artifacts"]
    folders = [Folder(path, at) for path in recordings] or [Folder(root, at)]
    if "--files" in sys.argv:
        files = {os.path.relpath(path, root): rows for f in folders for path, rows in f.files.items() if rows}
        print(json.dumps(files, indent=1))
        return
    print(json.dumps({t: len(set().union(*(f.tables[t] for f in folders))) for t in TABLES}, indent=1))


if __name__ == "__main__":
    main()
