#!/usr/bin/env python3
"""A rule over a day of 200 ms samples, side by side: memwatch from Parquet, VictoriaMetrics, Prometheus, vmalert -replay.

usage: promql_speed.py [--instances 10 20] [--hours 24] [--rounds 5] [--rules 1000 --rule-hours 1] [--memwatch target/release/memwatch]
                       [--examples target/release/examples] [--dir /tmp/memwatch-speed]

Needs `cargo build --release -p memwatch-cli -p memwatch-benches --examples`. Debian's packages are unpacked below --dir, nothing is
installed; all servers listen on loopback. For each number of instances the same recording is written as a memwatch store and as text;
the text is loaded into VictoriaMetrics and, as blocks, into Prometheus. Then the programs take turns. Times of memwatch are those of
whole processes that read Parquet (from the page cache), decide alerts and print them; those of servers are of their HTTP answers from
their own warm stores. CPU time of servers is what the kernel counted for their process.
"""
import argparse, json, os, resource, shutil, statistics, subprocess, time, urllib.parse, urllib.request

ARGS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ARGS.add_argument("--instances", type=int, nargs="+", default=[10, 20])
ARGS.add_argument("--hours", type=int, default=24)
ARGS.add_argument("--rounds", type=int, default=5)
ARGS.add_argument("--rules", type=int, default=0, help="also a file of so many rules, memwatch against vmalert")
ARGS.add_argument("--rule-hours", type=int, default=1, help="how much of the recording vmalert replays of these")
ARGS.add_argument("--memwatch", default="target/release/memwatch")
ARGS.add_argument("--examples", default="target/release/examples")
ARGS.add_argument("--dir", default="/tmp/memwatch-speed")
ARGS.add_argument("--without-prometheus", action="store_true")
T0 = 1_793_491_200  # 2026-11-01T00:00:00Z, as in examples/recording.rs
VM, PROM, ALERT = 18428, 19094, 18880
EXPR = "rate(go_memstats_mallocs_total[1m]) > 150000"
METRIC = "go_memstats_mallocs_total"


def programs(folder):
    bin_ = os.path.join(folder, "x/usr/bin")
    if not os.path.exists(os.path.join(bin_, "vmalert")):
        os.makedirs(folder, exist_ok=True)
        get = "apt-get download prometheus victoria-metrics && for d in *.deb; do dpkg -x $d x; done"
        subprocess.run(get, shell=True, cwd=folder, check=True, capture_output=True)
    return bin_


def wait_for(url):
    for _ in range(600):
        try:
            return urllib.request.urlopen(url, timeout=5).read()
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


def cpu_of(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_of(pid):
    return next(int(l.split()[1]) // 1024 for l in open(f"/proc/{pid}/status") if l.startswith("VmHWM"))


class Server:
    def __init__(self, command, ready, log):
        self.process = subprocess.Popen(command, stdout=open(log, "w"), stderr=subprocess.STDOUT)
        wait_for(ready)

    def timed(self, run):
        before, began = cpu_of(self.process.pid), time.perf_counter()
        run()
        return time.perf_counter() - began, cpu_of(self.process.pid) - before

    def stop(self):
        self.process.terminate()
        self.process.wait()


def timed_process(command, ok=(0, 1)):
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in ok:
        raise SystemExit(f"{' '.join(command)}: {done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, cpu, done


def query_range(port, expr, start, end, step, extra=""):
    query = urllib.parse.urlencode(dict(query=expr, start=start, end=end, step=step))
    return urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query_range?{query}{extra}", timeout=600).read()


def toml(rules):
    head = '[settings]\ninterval = "1s"\n[[group]]\nname = "g"\n'
    one = "[[group.rule]]\nalert = \"{}\"\nexpr = '''{}'''\nfor = \"{}\"\n"
    return head + "".join(one.format(*rule) for rule in rules)


def yaml(rules):
    head = "groups:\n- name: g\n  interval: 1s\n  rules:\n"
    return head + "".join(f"  - alert: {n}\n    expr: '{e}'\n    for: {f}\n" for n, e, f in rules)


def many(count):
    """Rules as a team has them: a few functions and windows, many thresholds. All of one column: the servers have only that."""
    forms = ["rate({}[{}])", "increase({}[{}])", "max by (service) (rate({}[{}]))", "sum(rate({}[{}]))", "deriv({}[{}])"]
    windows = ["30s", "1m", "2m", "5m"]
    rules = []
    for i in range(count):
        form, window = forms[i % 5], windows[i // 5 % 4]
        rules.append((f"R{i}", f"{form.format(METRIC, window)} > {400_000 + 4_000 * (i // 20)}", "30s"))
    return rules


class Case:
    def __init__(self, args, instances):
        self.args, self.instances = args, instances
        self.folder = os.path.join(args.dir, f"{instances}x{args.hours}h")
        self.store, text = os.path.join(self.folder, "store"), os.path.join(self.folder, "text")
        self.end = T0 + args.hours * 3600 - 1
        bin_ = programs(args.dir)
        if not os.path.exists(text):
            shutil.rmtree(self.folder, ignore_errors=True)
            os.makedirs(self.folder)
            example = os.path.join(args.examples, "recording")
            subprocess.run([example, self.store, str(instances), str(args.hours), text], check=True)
        self.vm = self.victoria(bin_, text)
        self.prom = None if args.without_prometheus else self.prometheus(bin_, text)
        self.vmalert_bin = os.path.join(bin_, "vmalert")

    def victoria(self, bin_, text):
        data = os.path.join(self.folder, "vm")
        new = not os.path.exists(data)
        server = Server(
            [os.path.join(bin_, "victoria-metrics"), "-storageDataPath=" + data, "-retentionPeriod=100y",
             f"-httpListenAddr=127.0.0.1:{VM}", "-search.maxPointsPerTimeseries=2000000", "-search.latencyOffset=0s",
             "-search.maxSamplesPerQuery=2000000000", "-search.maxQueryDuration=600s"],
            f"http://127.0.0.1:{VM}/health", os.path.join(self.folder, "vm.log"))
        if new:
            subprocess.run(["curl", "-sf", "-T", text, f"http://127.0.0.1:{VM}/api/v1/import/prometheus"], check=True)
            wait_for(f"http://127.0.0.1:{VM}/internal/force_flush")
            time.sleep(2)
        return server

    def prometheus(self, bin_, text):
        data = os.path.join(self.folder, "prom")
        if not os.path.exists(data):
            openmetrics = os.path.join(self.folder, "om")
            by_series = {}
            for line in open(text):
                head, value, ms = line.split()
                by_series.setdefault(head, []).append(f"{head} {value} {int(ms) / 1000:.3f}\n")
            with open(openmetrics, "w") as f:
                f.write(f"# TYPE {METRIC.removesuffix('_total')} counter\n")
                for lines in by_series.values():
                    f.writelines(lines)
                f.write("# EOF\n")
            promtool = os.path.join(bin_, "promtool")
            subprocess.run([promtool, "tsdb", "create-blocks-from", "openmetrics", openmetrics, data], check=True, capture_output=True)
            os.remove(openmetrics)
        config = os.path.join(self.folder, "prom.yml")
        open(config, "w").write("global: {scrape_interval: 1m}\n")
        return Server(
            [os.path.join(bin_, "prometheus"), "--config.file=" + config, "--storage.tsdb.path=" + data,
             "--storage.tsdb.retention.time=100y", f"--web.listen-address=127.0.0.1:{PROM}"],
            f"http://127.0.0.1:{PROM}/-/ready", os.path.join(self.folder, "prom.log"))

    def rules(self, rules, name):
        for end, write in ((".toml", toml), (".yml", yaml)):
            open(os.path.join(self.folder, name + end), "w").write(write(rules))
        return os.path.join(self.folder, name)

    def backtest(self, rules):
        return timed_process([self.args.memwatch, "backtest", rules + ".toml", self.store, "--format", "json"])

    def vmalert(self, rules, until, run):
        at = lambda s: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(s))
        url = f"http://127.0.0.1:{VM}"
        command = [self.vmalert_bin, "-rule=" + rules + ".yml", "-datasource.queryStep=1s", "-datasource.url=" + url, "-remoteWrite.url=" + url,
                   "-remoteWrite.maxQueueSize=2000000", "-replay.timeFrom=" + at(T0), "-replay.timeTo=" + at(until),
                   "-replay.maxDatapointsPerQuery=1000", "-replay.rulesDelay=0s", "-replay.disableProgressBar",
                   f"-httpListenAddr=127.0.0.1:{ALERT}", f"-external.label=run={run}"]
        wall = [0.0]
        own = [0.0]

        def run_it():
            wall[0], own[0], _ = timed_process(command)

        _, servers = self.vm.timed(run_it)
        return wall[0], own[0] + servers

    def stop(self):
        self.vm.stop()
        if self.prom:
            self.prom.stop()


def table(title, rows, base):
    print(f"\n{title}\n\n| program | wall | CPU | wall / memwatch | CPU / memwatch |\n|---|---|---|---|---|")
    mid = {name: tuple(statistics.median(x) for x in zip(*times)) for name, times in rows.items()}
    for name, (wall, cpu) in mid.items():
        print(f"| {name} | {wall:.3f} s | {cpu:.3f} s | {wall / mid[base][0]:.1f} | {cpu / mid[base][1]:.1f} |")


def main():
    args = ARGS.parse_args()
    for instances in args.instances:
        case = Case(args, instances)
        one = case.rules([("Allocs", EXPR, "30s")], "one")
        sweep = case.rules([(f"A{t}_{f}", f"rate({METRIC}[1m]) > {t}", f"{f}s") for t in range(100_000, 200_000, 10_000) for f in range(0, 50, 5)], "sweep")
        samples = instances * args.hours * 18_000
        rows = {n: [] for n in ("decode only", "memwatch backtest", "memwatch backtest, 100 variants", "memwatch query --promql", "VictoriaMetrics query_range", "Prometheus query_range", "vmalert -replay")}
        answers = {}
        for turn in range(args.rounds):
            rows["decode only"].append(timed_process([os.path.join(args.examples, "decode"), case.store, "ts,mallocs_total"])[:2])
            wall, cpu, done = case.backtest(one)
            answers["memwatch"] = len(json.loads(done.stdout)["alerts"])
            rows["memwatch backtest"].append((wall, cpu))
            rows["memwatch backtest, 100 variants"].append(case.backtest(sweep)[:2])
            at = lambda s: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(s))
            query = [args.memwatch, "query", "--promql", EXPR, case.store, "--from", at(T0), "--to", at(case.end), "--step", "1s", "--format", "json"]
            rows["memwatch query --promql"].append(timed_process(query)[:2])
            rows["VictoriaMetrics query_range"].append(case.vm.timed(lambda: query_range(VM, EXPR, T0, case.end, "1s", "&nocache=1")))
            if case.prom:
                steps = [(s, min(s + 10_999, case.end)) for s in range(T0, case.end, 11_000)]
                rows["Prometheus query_range"].append(case.prom.timed(lambda: [query_range(PROM, EXPR, a, b, "1") for a, b in steps]))
            rows["vmalert -replay"].append(case.vmalert(one, case.end, f"{instances}-{turn}"))
        rows = {name: times for name, times in rows.items() if times}
        table(f"{instances} series × {args.hours} h × 200 ms = {samples:,} samples, 1 s evaluation, `{EXPR}` for 30 s; {answers['memwatch']} alerts", rows, "memwatch backtest")
        best = min(w for w, _ in rows["memwatch backtest"])
        print(f"\nmemwatch backtest: {samples / best / 1e6:.0f} M samples/s at best; peak memory of VictoriaMetrics {peak_of(case.vm.process.pid)} MiB")
        if args.rules:
            rules = case.rules(many(args.rules), "many")
            wall, cpu, _ = case.backtest(rules)
            print(f"\n{args.rules} rules: memwatch {wall:.2f} s wall, {cpu:.2f} s CPU for {args.hours} h; ", end="", flush=True)
            wall, cpu = case.vmalert(rules, T0 + args.rule_hours * 3600 - 1, "many")
            print(f"vmalert -replay {wall:.2f} s wall, {cpu:.2f} s CPU for {args.rule_hours} h")
        case.stop()


if __name__ == "__main__":
    main()
