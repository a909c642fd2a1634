#!/usr/bin/env python3
"""Alert states and notifications against the real programs (Debian's packages, loopback).

usage: alerts_diff.py states|timeline [--cases 300] [--seed 1] [--player target/debug/examples/alert_cases] [--dir /tmp/memwatch-alerts]

states: makes rule files and series, lets memwatch say which alerts fire when, writes that down as expectations of `promtool test rules`, and runs it.
At every evaluation the firing alerts must be exactly those, with their labels and annotations, and their ALERTS_FOR_STATE must be when they became pending.

timeline: makes scenarios of routes, groups, inhibitions, silences and time intervals, plays them all at once through one Alertmanager whose timers are seconds
(a label keeps them apart), receives its webhooks, and compares what came with what memwatch says would come: receiver, group, status, alerts, and the half
second. Alerts and silences come and go at whole seconds of the run and groups are flushed at half ones, so that no race decides.
"""
import argparse, collections, datetime, http.server, json, os, random, subprocess, sys, threading, time, urllib.request

ARGS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ARGS.add_argument("what", choices=["states", "timeline"])
ARGS.add_argument("--cases", type=int, default=300)
ARGS.add_argument("--seed", type=int, default=1)
ARGS.add_argument("--player", default="target/debug/examples/alert_cases")
ARGS.add_argument("--dir", default="/tmp/memwatch-alerts")
ARGS.add_argument("--show", type=int, default=10)
AM_PORT, HOOK_PORT = 19293, 19294


def programs(folder):
    found = os.path.join(folder, "x/usr/bin")
    if not os.path.exists(os.path.join(found, "prometheus-alertmanager")):
        os.makedirs(folder, exist_ok=True)
        subprocess.run("apt-get download prometheus prometheus-alertmanager && for f in *.deb; do dpkg -x $f x; done", shell=True, cwd=folder, check=True, capture_output=True)
    return found


def play(player, cases):
    """What memwatch says to each case."""
    p = subprocess.run([player], input="".join(json.dumps(c) + "\n" for c in cases), capture_output=True, text=True)
    if p.returncode:
        sys.exit(f"{player}: {p.stderr}")
    return [json.loads(line) for line in p.stdout.splitlines()]


# ---------------------------------------------------------------- states

def state_case(r):
    """Rules of one group, and series with gaps and staleness markers."""
    # A millisecond more, so that no sample is ever exactly as old as the lookback: there versions 2 and 3 differ.
    interval = r.choice([15, 30, 60])
    series = []
    for name in ("load", "queue"):
        for instance in r.sample(["a", "b", "c"], r.randrange(1, 4)):
            labels = {"__name__": name, "instance": instance, "job": r.choice(["api", "db"])}
            samples, level = [], r.randrange(10)
            for t in range(0, 1801, 15):
                if r.random() < 0.12:
                    level = r.randrange(10)
                odd = r.random()
                if odd < 0.06:
                    continue
                samples.append((t, "stale" if odd < 0.08 else "NaN" if odd < 0.09 else str(level)))
            if r.random() < 0.3:
                cut = r.randrange(1800)
                samples = [s for s in samples if not cut < s[0] < cut + r.randrange(30, 900)]
            series.append({"labels": labels, "samples": samples})
    rules = []
    seconds = lambda choices: f"{r.choice(choices)}s"
    if r.random() < 0.5:
        rules.append({"record": "job:load:max", "expr": "max by (job) (load)"})
    for i in range(r.randrange(1, 4)):
        expr = r.choice([
            f"load > {r.randrange(2, 9)}", f"queue >= {r.randrange(2, 9)}", f"load < {r.randrange(2, 9)}", f"load != {r.randrange(9)}",
            f"sum by (job) (load) > {r.randrange(4, 20)}", f"load > on (instance) queue", "absent(load)", f"absent(load{{instance=\"{r.choice('abc')}\"}})",
            f"load > {r.randrange(2, 7)} and queue > {r.randrange(2, 7)}", f"avg_over_time(load[121s]) > {r.randrange(2, 8)}", f"changes(queue[181s]) > {r.randrange(1, 4)}",
            f"load > {r.randrange(4, 8)} unless on (instance) queue > 5", f"count(load > {r.randrange(2, 7)}) >= 2", "load == 7", f"max_over_time(load[301s]) - load > {r.randrange(2, 6)}",
        ] + ([f"job:load:max > {r.randrange(3, 9)}"] if "record" in (rules[0] if rules else {}) else []))
        rule = {"alert": f"A{i}", "expr": expr}
        # Of a label whose template gives nothing, Prometheus leaves the template's text in ALERTS (not in the alert); we leave it out.
        has_instance = not any(word in expr for word in ("sum", "absent", "count(", "job:"))
        if r.random() < 0.75:
            rule["for"] = seconds([0, 1, interval, interval + 1, 2 * interval, 3 * interval - 1, 90, 150, 300])
        if r.random() < 0.4:
            rule["keep_firing_for"] = seconds([1, interval, interval + 1, 2 * interval, 100, 240])
        if r.random() < 0.6:
            rule["labels"] = {"severity": r.choice(["P1", "P2"]), **({"host": "{{ $labels.instance }}"} if r.random() < 0.4 and has_instance else {}), **({"job": "other"} if r.random() < 0.1 else {})}
        if r.random() < 0.5:
            # Of labels only: the value of an annotation changes with every evaluation, and a backtest keeps the one of the moment of firing.
            rule["annotations"] = {"summary": r.choice(["{{ $labels.instance }} of {{ $labels.job }}", "it is {{ printf \"%s!\" $labels.instance }}", "{{ $labels.none }}-"])}
        rules.append(rule)
    return interval, rules, series


def notation(samples):
    """Samples every 15 s as promtool writes series."""
    at = dict(samples)
    return " ".join(at.get(t, "_") for t in range(0, 1801, 15))


def states(a, binaries):
    r = random.Random(a.seed)
    made = [state_case(r) for _ in range(a.cases)]
    cases = []
    for interval, rules, series in made:
        text = json.dumps({"groups": [{"name": "g", "interval": f"{interval}s1ms", "rules": rules}]})  # YAML is a superset of JSON.
        cases.append({"states": {"rules": text, "series": series, "until_ms": 1_800_000, "interval_ms": interval * 1000 + 1}})
    answers = play(a.player, cases)
    folder = os.path.join(a.dir, "states")
    os.makedirs(folder, exist_ok=True)
    different, checked, alerts, kept = 0, 0, 0, 0
    for n, ((interval, rules, series), case, answer) in enumerate(zip(made, cases, answers)):
        with open(os.path.join(folder, "rules.json"), "w") as f:
            f.write(case["states"]["rules"])
        alerts += len(answer["alerts"])
        firing = lambda t: [x for x in answer["alerts"] if x["fired_ms"] <= t and (x["ended_ms"] is None or t < x["ended_ms"])]
        checks, values = [], []
        for t in range(0, 1_800_001, interval * 1000 + 1):
            now = firing(t)
            for rule in rules:
                if "alert" in rule:
                    of = [x for x in now if x["labels"]["alertname"] == rule["alert"]]
                    checks.append({"eval_time": f"{t}ms", "alertname": rule["alert"], "exp_alerts": [
                        {"exp_labels": {k: v for k, v in x["labels"].items() if k != "alertname"}, "exp_annotations": x["annotations"]} for x in of]})
            values.append({"expr": "ALERTS_FOR_STATE and ignoring (alertstate) ALERTS{alertstate=\"firing\"}", "eval_time": f"{t}ms", "exp_samples": [
                {"labels": "ALERTS_FOR_STATE{" + ", ".join(f"{k}={json.dumps(v)}" for k, v in x["labels"].items()) + "}", "value": x["pending_ms"] // 1000} for x in now]})
        checked += len(checks) + len(values)
        test = {"rule_files": ["rules.json"], "evaluation_interval": f"{interval}s1ms", "tests": [{"interval": "15s", "input_series": [
            {"series": s["labels"]["__name__"] + "{" + ", ".join(f"{k}={json.dumps(v)}" for k, v in s["labels"].items() if k != "__name__") + "}", "values": notation(s["samples"])} for s in series],
            "alert_rule_test": checks, "promql_expr_test": values}]}
        path = os.path.join(folder, "test.json")
        with open(path, "w") as f:
            json.dump(test, f)
        p = subprocess.run([os.path.join(binaries, "promtool"), "test", "rules", path], capture_output=True, text=True, cwd=folder)
        if p.returncode:
            different += 1
            if different <= a.show:
                print(f"case {n}: {json.dumps(rules)}\n{(p.stdout + p.stderr)[:1500]}", flush=True)
                with open(os.path.join(folder, f"failed-{n}.json"), "w") as f:
                    json.dump({"rules": rules, "test": test, "answer": answer}, f)
    print(f"{a.cases} cases with {alerts} alerts, {checked} expectations: {different} cases differ")
    return 1 if different else 0


# ---------------------------------------------------------------- timeline

class Scenario:
    """A subtree of routes and what happens to it. Seconds are of the run."""

    def __init__(self, r, n, minute):
        self.n, self.r = n, r
        self.receivers, self.intervals = [], []
        pool = ["P1", "P2", "P3"]
        wait = lambda: f"{r.choice([500, 1500, 2500, 4500])}ms"
        timers = lambda: {"group_wait": wait(), "group_interval": f"{r.choice([3, 4, 5, 7])}s", "repeat_interval": f"{r.choice([5500, 8500, 13500, 60500])}ms"}
        self.route = {"receiver": self.receiver(), "group_by": r.choice([["alertname"], ["alertname", "job"], [], ["..."], ["severity"]]), **timers(), "routes": []}
        for _ in range(r.randrange(0, 3)):
            child = {"receiver": self.receiver(), "matchers": [r.choice([f'severity="{r.choice(pool)}"', 'alertname=~"A|B"', 'job!="db"', 'severity=~"P1|P2"', 'missing=""'])], "continue": r.random() < 0.4, "routes": []}
            if r.random() < 0.5:
                child.update(timers())
            if r.random() < 0.4:
                child["group_by"] = r.choice([["instance"], ["job"], ["..."]])
            if r.random() < 0.3:
                child["routes"].append({"receiver": self.receiver(), "matchers": [r.choice(['job="api"', 'instance="1"'])], "routes": []})
            self.route["routes"].append(child)
        if r.random() < 0.3:
            node = r.choice([self.route] + self.route["routes"])
            if node is not self.route:  # The subtree's root is a child of Alertmanager's, so it may have intervals too.
                pass
            node[r.choice(["mute_time_intervals", "active_time_intervals"])] = [self.interval(minute)]
        self.inhibits = []
        if r.random() < 0.35:
            self.inhibits.append({"source": [f'severity="{r.choice(pool)}"'], "target": [f'severity="{r.choice(pool)}"'], "equal": r.choice([["job"], ["instance"], [], ["job", "instance"], ["missing"]])})
        self.silences = []
        for _ in range(r.choice([0, 0, 1, 2])):
            start = r.randrange(2, 30)
            self.silences.append(([r.choice([f'severity="{r.choice(pool)}"', 'job="api"', 'instance=~"1|2"', 'alertname!="A"'])], start, start + r.randrange(3, 25)))
        # Alerts: each label set fires one or several times, never twice at once.
        self.alerts = []
        for _ in range(r.randrange(1, 6)):
            labels = {"alertname": r.choice("ABC"), "severity": r.choice(pool), "job": r.choice(["api", "db"]), "instance": r.choice("123"), "scenario": str(n)}
            if any(labels == other for other, _, _ in self.alerts):
                continue
            t = r.randrange(0, 15)
            for _ in range(r.choice([1, 1, 2, 4, 6])):
                end = t + r.choice([1, 2, 3, 5, 8, 20])
                open_ = end >= 58 or r.random() < 0.15
                self.alerts.append((labels, t, None if open_ else end))
                t = end + r.choice([1, 1, 2, 4, 9])
                if open_ or t > 52:
                    break

    def receiver(self):
        name = f"s{self.n}r{len(self.receivers)}"
        self.receivers.append((name, self.r.random() < 0.8))
        return name

    def interval(self, minute):
        """A time interval that begins or ends during the run, or is decided by the day."""
        r, name = self.r, f"s{self.n}i{len(self.intervals)}"
        hm = lambda t: t.strftime("%H:%M")
        later = minute + datetime.timedelta(minutes=1)
        day, other = minute.strftime("%A").lower(), (minute + datetime.timedelta(days=2)).strftime("%A").lower()
        body = r.choice([
            {"times": [(hm(minute), hm(later))]}, {"times": [(hm(later), hm(later + datetime.timedelta(minutes=5)))]},
            {"weekdays": [day]}, {"weekdays": [other]}, {"days_of_month": [str(minute.day)]}, {"days_of_month": ["-1"]}, {"months": [minute.strftime("%B").lower()]},
            {"years": [str(minute.year - 1)]}, {"weekdays": [day], "times": [(hm(minute), hm(later))]},
        ])
        self.intervals.append((name, body))
        return name

    def own(self, matchers):
        return [f'scenario="{self.n}"'] + matchers


def alertmanager_yaml(scenarios):
    def route(node, extra):
        out = {"receiver": node["receiver"], "matchers": extra + node.get("matchers", []), "continue": node.get("continue", False)}
        out.update({k: node[k] for k in ("group_by", "group_wait", "group_interval", "repeat_interval", "mute_time_intervals", "active_time_intervals") if k in node})
        out["routes"] = [route(child, []) for child in node["routes"]]
        return out

    def interval(body):
        return [{k: [{"start_time": s, "end_time": e} for s, e in v] if k == "times" else v for k, v in body.items()}]

    hook = f"http://127.0.0.1:{HOOK_PORT}/"
    return json.dumps({
        "route": {"receiver": "nobody", "routes": [route(s.route, s.own([])) for s in scenarios]},
        "receivers": [{"name": "nobody"}] + [{"name": name, "webhook_configs": [{"url": hook, "send_resolved": resolved}]} for s in scenarios for name, resolved in s.receivers],
        "inhibit_rules": [{"source_matchers": s.own(i["source"]), "target_matchers": s.own(i["target"]), "equal": i["equal"]} for s in scenarios for i in s.inhibits],
        "time_intervals": [{"name": name, "time_intervals": interval(body)} for s in scenarios for name, body in s.intervals],
    })


def memwatch_toml(s, t0):
    """The same in our words; the first route of Alertmanager's has the scenario's label, ours needs none."""
    value = lambda v: json.dumps(v).replace("True", "true")
    out = []

    def route(node, path, is_root):
        out.append(f"[{path}]" if is_root else f"[[{path}]]")
        for k in ("receiver", "group_by", "group_wait", "group_interval", "repeat_interval", "mute_time_intervals", "active_time_intervals"):
            if k in node:
                out.append(f"{k} = {value(node[k])}")
        if not is_root:
            out.append(f"matchers = {value(node['matchers'])}\ncontinue = {value(node.get('continue', False))}")
        for child in node["routes"]:
            route(child, path + ".routes", False)

    # Alertmanager mutes at a root route only since later versions; here the scenario's root is below the real one in both.
    out.append('[route]\nreceiver = "nobody"')
    route({**s.route, "matchers": s.own([])}, "route.routes", False)
    out.append('[[receiver]]\nname = "nobody"')
    for name, resolved in s.receivers:
        out.append(f'[[receiver]]\nname = "{name}"\nwebhook = {{ url = "http://127.0.0.1/", send_resolved = {value(resolved)} }}')
    for name, body in s.intervals:
        body = {k: [f"{a}-{b}" for a, b in v] if k == "times" else v for k, v in body.items()}
        out.append(f'[[time_interval]]\nname = "{name}"\nintervals = [{{ {", ".join(f"{k} = {value(v)}" for k, v in body.items())} }}]')
    for i in s.inhibits:
        out.append(f"[[inhibit]]\nsource = {value(s.own(i['source']))}\ntarget = {value(s.own(i['target']))}\nequal = {value(i['equal'])}")
    for matchers, start, end in s.silences:
        iso = lambda x: datetime.datetime.fromtimestamp(t0 + x, datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        out.append(f'[[silence]]\nmatchers = {value(s.own(matchers))}\nfrom = "{iso(start)}"\nto = "{iso(end)}"')
    return "\n".join(out) + "\n"


def post(path, body):
    request = urllib.request.Request(f"http://127.0.0.1:{AM_PORT}/api/v2/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


def timeline(a, binaries):
    r = random.Random(a.seed)
    length = 62
    received, lock = [], threading.Lock()

    class Hook(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            at = time.time()
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                received.append((at, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 1024  # A refused connection would be tried again a second later.

    server = Server(("127.0.0.1", HOOK_PORT), Hook)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # The run begins within the minute that the intervals are made for.
    now = time.time()
    if now % 60 > 30:
        time.sleep(60 - now % 60)
    minute = datetime.datetime.fromtimestamp(time.time(), datetime.timezone.utc).replace(second=0, microsecond=0)
    scenarios = [Scenario(random.Random(a.seed * 100_003 + n), n, minute) for n in range(a.cases)]
    os.makedirs(a.dir, exist_ok=True)
    config = os.path.join(a.dir, "alertmanager.json")
    with open(config, "w") as f:
        f.write(alertmanager_yaml(scenarios))
    data = os.path.join(a.dir, f"am-{os.getpid()}")
    log = open(os.path.join(a.dir, "alertmanager.log"), "w")
    began = time.time()
    command = [os.path.join(binaries, "prometheus-alertmanager"), f"--config.file={config}", f"--storage.path={data}", f"--web.listen-address=127.0.0.1:{AM_PORT}", "--cluster.listen-address="]
    if not os.path.exists("/usr/share/prometheus/alertmanager/default.tmpl"):
        # Debian's binary wants its templates there: shown to it alone.
        command = ["unshare", "-m", "sh", "-c", f"mount --bind {binaries}/../share /usr/share && exec \"$@\"", "sh"] + command
    am = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{AM_PORT}/-/ready", timeout=1)
                break
            except OSError:
                time.sleep(0.05)
        # Groups are forgotten 30 s, 60 s … after the dispatcher began: a quarter second away from everything else.
        with open(log.name) as f:
            loaded = next(line for line in f if "Completed loading" in line)
        began = datetime.datetime.fromisoformat(loaded.split()[0].removeprefix("ts=").replace("Z", "+00:00")).timestamp()
        t0 = began + 4.25
        for s in scenarios:
            for matchers, start, end in s.silences:
                iso = lambda x: datetime.datetime.fromtimestamp(t0 + x, datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
                parts = []
                for m in s.own(matchers):
                    name, op, v = next((m.split(op, 1)[0], op, m.split(op, 1)[1]) for op in ("=~", "!=", "=") if op in m)
                    parts.append({"name": name, "value": v.strip('"'), "isRegex": op == "=~", "isEqual": op != "!="})
                post("silences", {"matchers": parts, "startsAt": iso(start), "endsAt": iso(end), "createdBy": "x", "comment": "x"})
        late = time.time() - t0
        if late > 0:
            sys.exit(f"the machine is too slow: {late:.1f} s late at the beginning")
        stamp = lambda x: datetime.datetime.fromtimestamp(t0 + x, datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        worst = 0.0
        for second in range(length):
            time.sleep(max(0, t0 + second - time.time()))
            batch = []
            for s in scenarios:
                for labels, start, end in s.alerts:
                    if start == second:
                        batch.append({"labels": labels, "startsAt": stamp(start), "endsAt": stamp(start + 3600)})
                    if end == second:
                        batch.append({"labels": labels, "startsAt": stamp(start), "endsAt": stamp(end)})
            if batch:
                post("alerts", batch)
            worst = max(worst, time.time() - t0 - second)
        time.sleep(max(0, t0 + length - 0.2 - time.time()))
    finally:
        am.terminate()
        server.shutdown()
    ms = lambda x: round((t0 + x) * 1000)
    answers = play(a.player, [{"timeline": {"config": memwatch_toml(s, t0), "start_ms": round(began * 1000), "end_ms": ms(length - 0.9),
                                           "alerts": [{"labels": l, "fired_ms": ms(b), "resolved_ms": None if e is None else ms(e)} for l, b, e in s.alerts]}} for s in scenarios])
    theirs = collections.defaultdict(list)
    plain = lambda labels: tuple(sorted(labels.items()))
    for at, body in received:
        of = {status: sorted(plain(x["labels"]) for x in body["alerts"] if x["status"] == status) for status in ("firing", "resolved")}
        theirs[body["alerts"][0]["labels"]["scenario"]].append((at - t0, body["receiver"], body["status"], plain(body["groupLabels"]), of["firing"], of["resolved"]))
    different = messages = 0
    drifts = []
    for s, answer in zip(scenarios, answers):
        ours = [(m["at_ms"] / 1000 - t0, m["receiver"], m["status"], plain(m["group"]), sorted(map(plain, m["firing"])), sorted(map(plain, m["resolved"]))) for m in answer["messages"]]
        key = lambda m: (m[1:], m[0])
        them = sorted([m for m in theirs[str(s.n)] if m[0] < length - 0.9], key=key)
        ours.sort(key=key)
        messages += len(them)
        same = len(ours) == len(them) and all(x[1:] == y[1:] and abs(x[0] - y[0]) < 0.75 for x, y in zip(ours, them))
        drifts += [y[0] - x[0] for x, y in zip(ours, them)] if same else []
        if not same:
            different += 1
            if different <= a.show:
                short = lambda m: f"{m[0]:6.2f} {m[1]} {m[2]} {dict(m[3])} firing {[d['alertname'] + d['severity'] + d['job'] + d['instance'] for d in map(dict, m[4])]} resolved {[d['alertname'] + d['severity'] + d['job'] + d['instance'] for d in map(dict, m[5])]}"
                print(f"scenario {s.n}:\n{memwatch_toml(s, t0)}\nalerts {[(l['alertname'] + l['severity'] + l['job'] + l['instance'], b, e) for l, b, e in s.alerts]} silences {s.silences}")
                for who, all_ in (("only memwatch", [m for m in ours if not any(m[1:] == o[1:] and abs(m[0] - o[0]) < 0.75 for o in them)]), ("only Alertmanager", [m for m in them if not any(m[1:] == o[1:] and abs(m[0] - o[0]) < 0.75 for o in ours)])):
                    for m in sorted(all_, key=lambda m: m[0]):
                        print(f"  {who}: {short(m)}")
                sys.stdout.flush()
    print(f"{a.cases} scenarios, {messages} messages of Alertmanager: {different} scenarios differ (posting at most {worst * 1000:.0f} ms late, messages {max(drifts, default=0) * 1000:.0f} ms)")
    return 1 if different else 0


def main():
    a = ARGS.parse_args()
    try:
        binaries = programs(a.dir)
    except (OSError, subprocess.CalledProcessError) as e:
        print(f"skipped: the Debian packages prometheus and prometheus-alertmanager are not to be had: {e}", file=sys.stderr)
        return 0
    return (states if a.what == "states" else timeline)(a, binaries)


sys.exit(main())
