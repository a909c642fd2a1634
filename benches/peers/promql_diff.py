#!/usr/bin/env python3
"""PromQL, expression by expression, against a running Prometheus (Debian's package, loopback).

usage: promql_diff.py [--expressions 5000] [--seed 1] [--memwatch target/release/memwatch] [--dir /tmp/memwatch-promql] [--show 20]

Makes random series (counters with resets, gauges with gaps, NaN and infinities, jittered times, classic histograms), loads them into both,
generates expressions from a grammar, and compares an instant and a range result of each, series by series and value by value (relative
1e-9: sums are compensated in one and not in the other).

Debian's Prometheus is version 2; memwatch follows version 3. Where the two are known to differ, a difference is counted by its name (VERSION_2 below) and
anything else ends the run with 1. Kept out by construction:
- windows are left-open in 3: sample times never coincide with a window's edge here, nor evaluation times with a subquery's step;
- date functions of NaN and infinities are undefined in Go (int64(NaN)); memwatch gives NaN;
- which of equal values topk takes is not defined: it is asked of values that differ;
- functions that only exist in 3 are not generated; `holt_winters` is asked for under its new name.

Staleness markers cannot be loaded from OpenMetrics text: series that come and go stand in for them, and testdata/promql holds the cases.
"""
import argparse, collections, concurrent.futures, json, math, os, random, re, shutil, subprocess, sys, time, urllib.error, urllib.parse, urllib.request

ARGS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ARGS.add_argument("--expressions", type=int, default=5000)
ARGS.add_argument("--seed", type=int, default=1)
ARGS.add_argument("--memwatch", default="target/release/memwatch")
ARGS.add_argument("--dir", default="/tmp/memwatch-promql")
ARGS.add_argument("--show", type=int, default=20)
ARGS.add_argument("--workers", type=int, default=2)
T0, LENGTH = 1_760_000_400, 7200  # A whole number of minutes; two hours.
PORT = 19191


def programs(folder):
    found = os.path.join(folder, "x/usr/bin")
    if not os.path.exists(os.path.join(found, "prometheus")):
        os.makedirs(folder, exist_ok=True)
        subprocess.run("apt-get download prometheus && dpkg -x prometheus_*.deb x", shell=True, cwd=folder, check=True, capture_output=True)
    return found


def series(rng):
    """Yields (family, type, [(name, labels, [(ms, value)])])."""
    def times(step, gaps):
        t, out = T0 * 1000 + rng.randrange(1, 900), []
        while t < (T0 + LENGTH) * 1000:
            if not any(a <= t < b for a, b in gaps):
                out.append(t // 10 * 10 + 7)  # Never on a whole second.
            t += int(step * 1000 * rng.uniform(0.9, 1.1))
        return out

    def gaps(n):
        return [(a, a + rng.randrange(20_000, 900_000)) for a in (T0 * 1000 + rng.randrange(LENGTH * 1000) for _ in range(n))]

    targets = [("api", "api-0"), ("api", "api-1"), ("db", "db-0")]
    for name in ("requests", "errors", "allocs"):
        all_ = []
        for job, instance in targets:
            for code in ("200", "500") if name == "requests" else ("",):
                value, points = rng.uniform(1e6, 2e6), []
                for t in times(rng.choice([5, 10, 15]), gaps(rng.randrange(3))):
                    value = rng.uniform(0, 5) if rng.random() < 0.01 else value + rng.choice([0, 1, 1, 2, rng.uniform(0, 100)])
                    points.append((t, value))
                all_.append((name + "_total", dict(job=job, service=job, instance=instance, **({"code": code} if code else {})), points))
        yield name, "counter", all_
    for name in ("heap_bytes", "goroutines", "temperature"):
        all_ = []
        for job, instance in targets:
            value, points = rng.uniform(10, 1000), []
            for t in times(rng.choice([5, 10, 30]), gaps(rng.randrange(3))):
                value += rng.gauss(0, 10)
                odd = rng.random()
                points.append((t, math.nan if odd < 0.004 else math.inf if odd < 0.006 else -math.inf if odd < 0.008 else round(value) if name == "goroutines" else value))
            all_.append((name, dict(job=job, service=job, instance=instance), points))
        yield name, "gauge", all_
    all_ = []
    for i in range(6):
        begin = T0 * 1000 + i * LENGTH * 150
        all_.append(("short_lived", dict(job="batch", service="batch", instance=f"run-{i}"), [(t // 10 * 10 + 7, float(n * (i + 1) % 13)) for n, t in enumerate(range(begin, begin + 300_000 * (i + 1), 15_000))]))
    yield "short_lived", "gauge", all_
    all_ = []
    for job, instance in targets:
        bounds, counts, total = [0.001, 0.005, 0.01, 0.05, 0.1, 1.0, math.inf], [10**6 + i for i in range(7)], 1e6
        rows = {b: [] for b in bounds}
        sums, ts = [], times(10, gaps(1))
        for t in ts:
            if rng.random() < 0.005:
                counts, total = [0] * 7, 0.0
            for _ in range(rng.randrange(6)):
                x = rng.lognormvariate(-4, 1.5)
                total += x
                counts[next(i for i, b in enumerate(bounds) if x <= b)] += 1
            acc = 0
            for b, c in zip(bounds, counts):
                acc += c
                rows[b].append((t, float(acc)))
            sums.append((t, total))
        base = dict(job=job, service=job, instance=instance)
        for b in bounds:
            all_.append(("latency_seconds_bucket", dict(base, le="+Inf" if b == math.inf else str(b)), rows[b]))
        all_.append(("latency_seconds_sum", base, sums))
        all_.append(("latency_seconds_count", base, rows[math.inf]))
    yield "latency_seconds", "histogram", all_


def show(v):
    return "NaN" if math.isnan(v) else "+Inf" if v == math.inf else "-Inf" if v == -math.inf else repr(float(v))


class Grammar:
    """Random expressions; `vector(depth)` gives an instant vector, `scalar(depth)` a scalar."""

    def __init__(self, rng):
        self.r = rng

    def selector(self):
        r = self.r
        name = r.choice(["requests_total", "errors_total", "allocs_total", "heap_bytes", "goroutines", "temperature", "latency_seconds_count", "latency_seconds_sum", "short_lived", "latency_seconds_bucket"])
        matchers = r.choice(["", "", "", '{job="api"}', '{job!="api"}', '{instance=~"api-.*"}', '{instance!~".*-1"}', '{code="200"}', '{code=~"2..|"}', '{job=~"api|db",instance!="db-0"}', '{none=""}'])
        return name + matchers

    def offset(self):
        return self.r.choice(["", "", "", "", "", "", " offset 1m", " offset 7m", " offset -3m", " offset 1500ms", f" @ {T0 + 3613}", f" @ {T0 + 1800}.25", " @ start()", " @ end()",
                              f" @ {T0 + 3613} offset 3m", " offset -2m @ end()"])

    def range(self, depth):
        r = self.r
        if depth > 0 and r.random() < 0.3:
            return f"({self.vector(depth - 1)})[{r.choice(['5m', '10m', '31m', '97s'])}:{r.choice(['30s', '1m', '2m', '', '40s'])}]{r.choice(['', '', '', ' offset 2m', f' @ {T0 + 4007}', ' @ end()', ' offset -1m'])}"
        return f"{self.selector()}[{r.choice(['30s', '1m', '5m', '20m', '1h'])}]{self.offset()}"

    def number(self):
        return self.r.choice(["0", "1", "2", "0.5", "-1", "10", "100", "1e3", "0.99", "Inf", "NaN"] )

    def scalar(self, depth):
        r = self.r
        if depth <= 0:
            return r.choice([self.number(), "time()", "pi()"])
        return r.choice([
            lambda: self.number(),
            lambda: f"scalar({self.vector(depth - 1)})",
            lambda: f"({self.scalar(depth - 1)} {r.choice(['+', '-', '*', '/', '%', '^'])} {self.scalar(depth - 1)})",
            lambda: f"({self.scalar(depth - 1)} {r.choice(['==', '!=', '>', '<', '>=', '<='])} bool {self.scalar(depth - 1)})",
        ])()

    def grouping(self):
        return self.r.choice(["", " by (job)", " by (instance)", " by (job, instance)", " without (instance)", " without (code, le)", " by (none)"])

    def vector(self, depth):
        r = self.r
        if depth <= 0:
            return self.selector() + self.offset()
        v, s = (lambda: self.vector(depth - 1)), (lambda: self.scalar(depth - 1))
        over = lambda names: f"{r.choice(names)}({self.range(depth - 1)})"
        choices = [
            lambda: over(["rate", "increase", "delta", "irate", "idelta", "deriv", "resets", "changes"]),
            lambda: over(["rate", "increase"]),
            lambda: over(["sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "count_over_time", "stddev_over_time", "stdvar_over_time", "last_over_time", "present_over_time", "absent_over_time"]),
            lambda: f"quantile_over_time({r.choice(['0', '0.25', '0.5', '0.9', '0.99', '1', '2', '-1'])}, {self.range(depth - 1)})",
            lambda: f"predict_linear({self.selector()}[{r.choice(['1m', '5m', '20m'])}], {r.choice(['60', '3600', '-60'])})",
            lambda: f"histogram_quantile({r.choice(['0.5', '0.9', '0.99', '0', '1', '1.5'])}, rate(latency_seconds_bucket[{r.choice(['1m', '5m', '20m'])}]{self.offset()}))",
            lambda: f"histogram_quantile({r.choice(['0.5', '0.99'])}, sum by (job, le) (rate(latency_seconds_bucket[5m])))",
            lambda: f"{r.choice(['sum', 'avg', 'min', 'max', 'count', 'stddev', 'stdvar', 'group'])}{self.grouping()} ({v()})",
            lambda: f"quantile{self.grouping()} ({r.choice(['0.5', '0.9', '0', '1'])}, {v()})",
            lambda: f"{r.choice(['topk', 'bottomk'])}{r.choice(['', ' by (job)'])} ({r.choice(['1', '2', '5'])}, {r.choice(['rate(allocs_total[5m])', 'heap_bytes', 'latency_seconds_sum', 'deriv(heap_bytes[20m])'])})",
            lambda: f"count_values{self.grouping()} (\"value\", round({v()}, 100))",
            lambda: f"({v()} {r.choice(['+', '-', '*', '/', '%', '^'])} {s()})",
            lambda: f"({s()} {r.choice(['+', '-', '*', '/'])} {v()})",
            lambda: f"({v()} {r.choice(['==', '!=', '>', '<', '>=', '<='])} {r.choice(['', 'bool '])}{s()})",
            lambda: f"({v()} {r.choice(['+', '-', '*', '/', '>', '<', '== bool', '!= bool'])} {r.choice(['', 'on (instance) ', 'ignoring (code) ', 'on (job, instance) '])}{v()})",
            lambda: f"({v()} {r.choice(['*', '/', '>'])} {r.choice(['on (job) group_left ()', 'on (instance) group_left (code)', 'ignoring (code) group_right ()'])} {v()})",
            lambda: f"({v()} {r.choice(['and', 'or', 'unless'])} {r.choice(['', 'on (instance) ', 'ignoring (code) ', 'on () '])}{v()})",
            lambda: f"{r.choice(['abs', 'ceil', 'floor', 'exp', 'ln', 'log2', 'log10', 'sqrt', 'sgn', 'timestamp', 'absent', 'sin', 'cos', 'atan', 'deg', 'rad', 'tanh'])}({v()})",
            lambda: f"{r.choice(['minute', 'hour', 'day_of_week', 'day_of_month', 'day_of_year', 'days_in_month', 'month', 'year'])}(timestamp({self.selector()}) {r.choice(['', '- 86400 * 31', '* 1.1'])})",
            lambda: f"clamp({v()}, {self.number()}, {self.number()})",
            lambda: f"{r.choice(['clamp_min', 'clamp_max', 'round'])}({v()}, {r.choice(['1', '10', '0.5', '100'])})",
            lambda: f"vector({s()})",
            lambda: f"-{v()}",
            lambda: f"label_replace({v()}, \"{r.choice(['dst', 'instance', 'job'])}\", \"{r.choice(['$1', 'x-$1', ''])}\", \"instance\", \"{r.choice(['(.*)-.*', 'api-(.)', 'nothing'])}\")",
            lambda: f"label_join({v()}, \"dst\", \"-\", \"job\", \"instance\")",
            lambda: f"{r.choice(['sort', 'sort_desc'])}({v()})",
            lambda: f"({v()} {r.choice(['atan2', '+', '>= bool', '<'])} {r.choice(['', 'on (instance) ', 'ignoring (code, le) '])}{v()})",
            lambda: f"{self.selector()} {r.choice(['*', '/', '-'])} on (job, instance) {r.choice(['group_left () ', 'group_left (code) '])}{r.choice(['goroutines', 'heap_bytes'])}{self.offset()}",
            lambda: f"{r.choice(['allocs_total', 'temperature'])} {r.choice(['+', '>', '== bool'])} on (instance) group_right (job) {self.selector()}",
            lambda: f"holt_winters({self.range(depth - 1)}, {r.choice(['0.3', '0.9'])}, {r.choice(['0.1', '0.7'])})",
            lambda: f"predict_linear({self.selector()}[5m]{self.offset()}, {s()})",
            lambda: f"deriv({self.range(depth - 1)})",
            lambda: f"absent({self.selector()}) or {v()}",
            lambda: f"absent_over_time({self.selector()}[{r.choice(['5s', '1m'])}]{self.offset()})",
            lambda: f"histogram_quantile({r.choice(['0.5', '0.9'])}, sum {r.choice(['by (le)', 'by (instance, le)', 'without (instance)'])} ({r.choice(['rate', 'increase', 'last_over_time'])}(latency_seconds_bucket[{r.choice(['2m', '10m'])}]{self.offset()})))",
            lambda: f"histogram_quantile({s()}, latency_seconds_bucket{self.offset()})",
            lambda: f"label_replace({v()}, \"{r.choice(['__name__', 'code', 'dst'])}\", \"{r.choice(['$2_$1', 'all:${1}', '$0'])}\", \"{r.choice(['job', 'instance', '__name__'])}\", \"(.*?)([a-z])(.*)\")",
            lambda: f"label_join({v()}, \"{r.choice(['instance', 'dst', '__name__'])}\", \"{r.choice(['', '/', '::'])}\", \"instance\", \"none\", \"job\")",
            lambda: f"count_values{self.grouping()} (\"{r.choice(['value', 'job', 'instance'])}\", {r.choice(['changes', 'resets', 'count_over_time'])}({self.range(depth - 1)}))",
            lambda: f"{r.choice(['sum', 'avg', 'min', 'max', 'count', 'stddev', 'group'])} {r.choice(['by', 'without'])} ({r.choice(['', 'job', 'instance, job', 'code', '__name__'])}) ({v()})",
            lambda: f"quantile{self.grouping()} ({s()}, {v()})",
            lambda: f"vector({s()}) {r.choice(['or', 'unless', 'and'])} {r.choice(['', 'on () ', 'on (job) '])}{v()}",
            lambda: f"timestamp({self.selector()}{self.offset()})",
            lambda: f"{r.choice(['minute', 'hour', 'day_of_week', 'month', 'year', 'days_in_month', 'day_of_year', 'day_of_month'])}()",
            lambda: f"clamp_max(clamp_min({v()}, {s()}), {s()})",
            lambda: f"scalar({v()}) {r.choice(['+', '*', '> bool', '^'])} {v()}",
            lambda: f"{r.choice(['asin', 'acos', 'sinh', 'cosh', 'asinh', 'acosh', 'atanh', 'tan'])}({v()} / 1000)",
            lambda: f"-({v()}) ^ {r.choice(['2', '0.5', '-1'])}",
        ]
        return r.choice(choices)()


def fetch(path, **params):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/api/v1/{path}", urllib.parse.urlencode(params).encode(), timeout=60) as r:
            return json.load(r)
    except urllib.error.HTTPError as e:
        return json.load(e)


def when(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def memwatch(binary, store, expr, start, end, step):
    expr = expr.replace("holt_winters(", "double_exponential_smoothing(")  # As 3 calls it.
    command = [binary, "query", f"--promql={expr}", "--data", store, "--format", "json", "--stale-after", "lookback", "--to", when(end)]
    if step:
        command += ["--from", when(start), "--step", f"{step}s"]
    p = subprocess.run(command, capture_output=True, timeout=120)
    answer = json.loads(p.stdout)
    if answer["status"] == "error":
        answer["code"] = p.returncode
    return answer


def same(a, b):
    a, b = float(a), float(b)
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


def differs(ours, theirs):
    """None when equal, else what differs first."""
    if ours["status"] != theirs["status"]:
        return f"status {ours['status']} ({ours.get('error', '')[:200]}) against {theirs['status']} ({theirs.get('error', '')[:200]})"
    if ours["status"] == "error":
        return None if ours["code"] == 2 else f"exit {ours['code']}"
    o, t = ours["data"], theirs["data"]
    if o["resultType"] != t["resultType"]:
        return f"type {o['resultType']} against {t['resultType']}"
    if o["resultType"] == "scalar":
        return None if same(o["result"][1], t["result"][1]) else f"{o['result']} against {t['result']}"
    # count_values makes labels of values, which may differ in the last digits.
    key = lambda s: json.dumps({k: re.sub(r"^-?\d+\.?\d{12,}$", lambda m: f"{float(m[0]):.9g}", v) for k, v in s["metric"].items()}, sort_keys=True)
    o, t = {key(s): s for s in o["result"]}, {key(s): s for s in t["result"]}
    if o.keys() != t.keys():
        return f"only ours {sorted(o.keys() - t.keys())[:2]}, only theirs {sorted(t.keys() - o.keys())[:2]}"
    for k in o:
        a, b = ([s["value"]] if "value" in s else s["values"] for s in (o[k], t[k]))
        if [float(x[0]) for x in a] != [float(x[0]) for x in b]:
            return f"{k}: times of {len(a)} against {len(b)} values"
        for x, y in zip(a, b):
            if not same(x[1], y[1]):
                return f"{k} at {x[0]}: {x[1]} against {y[1]}"
    return None


def as_written(ours, theirs):
    """Which values of equal results are the same text, and which errors the same words."""
    if theirs["status"] == "error":
        yield "errors"
        if strip(ours["error"]) == strip(theirs["error"]):
            yield "words"
        return
    texts = lambda answer: sorted(re.findall(r'\[([0-9.]+, "[^"]*")\]', json.dumps(answer["data"])))
    for a, b in zip(texts(ours), texts(theirs)):
        yield "alike" if a == b else "otherwise"


def strip(error):
    """Without the place, and without what names single series: which of several is found first is not defined."""
    return re.sub(r"(found duplicate series for the match group).*(on the \w+ hand-side).*", r"\1 \2", re.sub(r"\d+:\d+: ", "", error.replace("double_exponential_smoothing", "holt_winters")))


def calls(expr, names):
    """The calls of these functions or aggregations, whole."""
    for found in re.finditer(r"\b(?:" + "|".join(names) + r")(?: (?:by|without) \([^)]*\))? ?\(", expr):
        depth, end = 1, found.end()
        while depth and end < len(expr):
            depth += {"(": 1, ")": -1}.get(expr[end], 0)
            end += 1
        yield expr[found.start():end]


# Name, and whether it explains a difference: of the expression, of what differs, and of a function that asks both sides for a part of the expression.
VERSION_2 = [
    ("predict_linear with `@` over a range: 2 stops after five minutes",
     lambda expr, what, ask: "predict_linear" in expr and "@" in expr and any(ask(c) for c in calls(expr, ["predict_linear"]))),
    ("a comparison that drops one of several matches: 2 is content, 3 says that matching must be explicit",
     lambda expr, what, ask: what.startswith("status error (multiple matches for labels: many-to-one") and "against success" in what and re.search(r"[<>=!]", expr)),
    ("timestamp of a selector with both `@` and `offset`: Prometheus forgets the offset, in both versions",
     lambda expr, what, ask: any(ask(c) for c in calls(expr, ["timestamp"]) if "@" in c and "offset" in c)),
    ("rate and increase towards zero: 2 stops at zero before it looks how far the window's edge is, 3 after",
     lambda expr, what, ask: any(ask(c) for c in calls(expr, ["rate", "increase"]))),
    ("stddev and stdvar of a single NaN or infinity: 0 in 2, NaN in 3",
     lambda expr, what, ask: any(ask(c) for c in calls(expr, ["stddev", "stdvar"]))),
    ("an aggregation of what is the same at every evaluation: Prometheus takes its parameter from the first one only, in both versions",
     lambda expr, what, ask: any(ask(c) for c in calls(expr, ["quantile"]) if re.search(r"quantile[^(]*(?:\([a-z, ]*\) )?\((?:\(|scalar|time)", c))),
    ("topk and bottomk where all are NaN: 2 takes the last, 3 the first",
     lambda expr, what, ask: any(ask(c) for c in calls(expr, ["topk", "bottomk"]) if "heap_bytes" in c)),
    ("atan2 keeps the name of its left side in 2 (until 2.47), not in 3",
     lambda expr, what, ask: "atan2" in expr and re.search(r'only theirs \[.*"__name__"', what) and not re.search(r'only ours \[.*"__name__".*only theirs', what)),
    ("predict_linear by decades: rounding of the slope, times 10^7",
     lambda expr, what, ask: any(ask(c) for c in calls(expr, ["predict_linear"]) if "time()" in c) and nearly(what)),
]


def nearly(what):
    values = re.search(r": ([-0-9.e+]+) against ([-0-9.e+]+)$", what)
    return values is not None and math.isclose(float(values[1]), float(values[2]), rel_tol=1e-6)


def of_version_2(expr, what, ask):
    """The name of a known difference between the versions that explains this one."""
    return next((name for name, applies in VERSION_2 if applies(expr, what, ask)), None)


def main():
    a = ARGS.parse_args()
    rng = random.Random(a.seed)
    binaries = programs(a.dir)
    om, blocks, store = (os.path.join(a.dir, n) for n in ("data.om", "blocks", "store"))
    for old in (blocks, store):
        shutil.rmtree(old, ignore_errors=True)
    with open(om, "w") as f:
        for family, kind, all_ in series(rng):
            f.write(f"# TYPE {family} {kind}\n")
            for name, labels, points in all_:
                text = ",".join(f'{k}="{v}"' for k, v in labels.items())
                f.writelines(f"{name}{{{text}}} {show(v)} {ms // 1000}.{ms % 1000:03}\n" for ms, v in points)
        f.write("# EOF\n")
    subprocess.run([f"{binaries}/promtool", "tsdb", "create-blocks-from", "openmetrics", om, blocks], check=True, capture_output=True)
    subprocess.run([a.memwatch, "ingest", om, "--data", store, "--on-error", "fail"], check=True, capture_output=True)
    config = os.path.join(a.dir, "prom.yml")
    open(config, "w").write("global: {scrape_interval: 1m}\n")
    server = subprocess.Popen([f"{binaries}/prometheus", f"--config.file={config}", f"--storage.tsdb.path={blocks}", "--storage.tsdb.retention.time=100y",
                               f"--web.listen-address=127.0.0.1:{PORT}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/-/ready", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
            grammar, questions = Grammar(rng), []
        while len(questions) < 2 * a.expressions:
            expr = grammar.vector(rng.choice([1, 2, 2, 3])) if rng.random() < 0.97 else grammar.scalar(3)
            at = T0 + 13 + 60 * rng.randrange(10, 110)
            start, end, step = T0 + 13 + 60 * rng.randrange(0, 40), T0 + 13 + 60 * rng.randrange(60, 115), rng.choice([60, 120])
            if len(expr) < 2000:
                questions += [(expr, at, at, None), (expr, start, end, step)]

        def ask(question):
            expr, start, end, step = question
            theirs = fetch("query_range", query=expr, start=start, end=end, step=step) if step else fetch("query", query=expr, time=end)
            try:
                ours = memwatch(a.memwatch, store, expr, start, end, step)
            except (ValueError, subprocess.TimeoutExpired) as e:
                return question, f"no answer: {e}", theirs, None
            return question, differs(ours, theirs), theirs, ours

        found, named, written = collections.Counter(), collections.Counter(), collections.Counter()
        with concurrent.futures.ThreadPoolExecutor(a.workers) as pool:
            for (expr, start, end, step), what, theirs, ours in pool.map(ask, questions):
                found["errors"] += theirs["status"] == "error"
                found["empty"] += theirs["status"] == "success" and not theirs["data"]["result"]
                if not what:
                    written.update(as_written(ours, theirs))
                    continue
                known = of_version_2(expr, what, lambda part: ask((part, start, end, step))[1])
                named[known] += 1
                if known is None and named[None] <= a.show:
                    print(f"{f'range {start} {end} {step}' if step else f'instant {end}'}: {expr}\n    {what}", flush=True)
        unnamed = named.pop(None, 0)
        print(f"{a.expressions} expressions, {len(questions)} results ({found['empty']} empty, {found['errors']} errors): {unnamed} unexplained differences, {sum(named.values())} of version 2 against 3")
        for name, count in named.most_common():
            print(f"  {count}: {name}")
        print(f"values written alike: {written['alike']} of {written['alike'] + written['otherwise']}; the others differ by rounding. Errors in the same words: {written['words']} of {written['errors']}")
        return 1 if unnamed else 0
    finally:
        server.terminate()


sys.exit(main())
