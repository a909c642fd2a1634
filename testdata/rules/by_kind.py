#!/usr/bin/env python3
"""Which rule catches which kind of incident, and what its alerts are worth: a Markdown table of a backtest.

  memwatch backtest RULES RECORDINGS --format json | python3 testdata/rules/by_kind.py

For each rule and each kind of incident that it caught one of, or is meant to catch: how many there are, how many it caught, and the median
delay of those. Then for each rule its alerts: true (the first on an incident), again (later ones on the same), false, and precision,
true / (true + false). Standard library only.
"""
import json
import statistics
import sys


def main():
    run = json.load(sys.stdin)
    incidents = run["incidents"]
    kinds = sorted({i["kind"] for i in incidents})
    rules = [r["name"] for r in run["rules"] if r["kind"] == "alerting"]
    print("| kind | incidents | " + " | ".join(rules) + " |")
    print("|---|---|" + "---|" * len(rules))
    for kind in kinds:
        of_kind = [i for i in incidents if i["kind"] == kind]
        cells = []
        for rule in rules:
            delays = [d["delay_s"] for i in of_kind for d in i["detections"] if d["rule"] == rule]
            cells.append(f"{len(delays)}, {statistics.median(delays):.0f} s" if delays else "–")
        print(f"| `{kind}` | {len(of_kind)} | " + " | ".join(cells) + " |")
    print()
    print("| rule | alerts | true | again | false | precision | unknown |")
    print("|---|---|---|---|---|---|---|")
    for rule in run["rules"]:
        if rule["kind"] != "alerting":
            continue
        verdicts = [a["verdict"] for a in run["alerts"] if a["rule"] == rule["name"]]
        hits = len({(i["service"], i["start"]) for i in incidents for d in i["detections"] if d["rule"] == rule["name"]})
        false = sum(v.startswith("false") or v == "benign" for v in verdicts)
        again = sum(v == "duplicate" for v in verdicts)
        precision = f"{hits / (hits + false):.2f}" if hits + false else "–"
        unknown = 100 * rule["unknown"] / rule["evaluations"]
        print(f"| {rule['name']} | {len(verdicts)} | {hits} | {again} | {false} | {precision} | {unknown:.0f} % |")


if __name__ == "__main__":
    main()
