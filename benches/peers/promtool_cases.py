"""Cuts every incident and alert of a backtest into a case and runs Debian's promtool on it.

    apt-get download prometheus && dpkg -x prometheus_*.deb prom
    python3 benches/peers/promtool_cases.py target/release/memwatch testdata/rules/go-memory.toml testdata/recordings prom/usr/bin/promtool

Skips with a message when promtool is not there. Exit 1 when a case fails, or is not cut for a reason that is not one of promtool's.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections import Counter


def run(*args):
    return subprocess.run(args, capture_output=True, text=True)


def incidents(found):
    """How `memwatch export` is told which incident: KIND@SERVICE, with #N where there are several."""
    names = [f"{i['kind']}@{i['service']}" for i in found]
    several, seen = Counter(names), Counter()
    for name in names:
        seen[name] += 1
        yield f"{name}#{seen[name]}" if several[name] > 1 else name


def main():
    memwatch, rules, data = sys.argv[1:4]
    promtool = shutil.which(sys.argv[4] if len(sys.argv) > 4 else "promtool")
    if promtool is None:
        print("skipped: promtool is not there", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        store, cases = f"{folder}/store", pathlib.Path(folder) / "cases"
        if run(memwatch, "ingest", data, "--data", store).returncode != 0:
            store = data  # A store already.
        outcome = json.loads(run(memwatch, "backtest", rules, store, "--format", "json").stdout)
        wanted = list(incidents(outcome["incidents"])) + [a["id"] for a in outcome["alerts"]]
        refused, failed = [], []
        for name in wanted:
            done = run(memwatch, "export", "--promtool", name, rules, store, "--out", str(cases))
            if done.returncode == 1:
                refused.append(f"{name}: {done.stderr.strip().splitlines()[-1]}")
            elif done.returncode != 0:
                failed.append(f"{name}: {done.stderr.strip()}")
        tests = sorted(cases.glob("*.test.yml"))
        for test in tests:
            done = run(promtool, "test", "rules", str(test))
            if done.returncode != 0:
                failed.append(f"{test.name}: {done.stdout}{done.stderr}")
        size = sorted(t.stat().st_size for t in tests)
        print(f"{len(wanted)} alerts and incidents: {len(tests)} cases, {len(refused)} refused, {len(failed)} failed;"
              f" median size {size[len(size) // 2] / 1e3:.0f} kB" if size else "no case")
        for line in refused + failed:
            print(" ", line)
        return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
