#!/usr/bin/env python3
"""Crowds and floods against one Stratum server (`bq swarm`), each with its figures and a verdict.

    scripts/chaos.py ./target/release/bq [--only NAME] [--quick]

A verdict is of this machine at this load: both are printed. The exit status is 1 if any figure misses its bound. What must hold on any
machine is in tests/tests/swarm.rs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile


class Row:
    """One attack: what `bq swarm` is asked, and bounds by the name of the figure."""

    def __init__(self, name, arguments, bounds):
        self.name, self.arguments, self.bounds = name, arguments, bounds


def beside(what):
    return f"honest beside {what}"


def rows(quick):
    crowd, forgers, seconds = (1_000, 100, 10) if quick else (10_000, 1_000, 30)
    alone = ["--miners", "sha256d=100", "--tips", "0", "--storms", "0", "--flood-secs", str(seconds)]
    flooded = lambda kind, count: alone + ["--flood", f"{kind}={count}"]
    answered = lambda what: {f"{beside(what)}: answer, p99": 100.0, f"{beside(what)}: refused": 0}
    forged = lambda kind: ["--miners", "sha256d=1", "--proxy-headers", "--tips", "0", "--storms", "0", "--flood-secs", str(seconds), "--flood", f"{kind}={forgers}"]

    def forged_bounds(kind):
        honest, algorithm = beside(f"{forgers} {kind}"), kind.removeprefix("forged-")
        return {f"{honest}: refused": ("of accepted", 0.01), f"{honest}: answer, mean": 50.0,
                f"honest {algorithm}: to the verdict, by the server's clock, mean": 50.0, f"forged {algorithm}: most hashed of one address": 3,
                f"forged {algorithm}: hashed, by the server's count": 3 * forgers}

    return [
        Row("crowd", ["--miners", f"sha256d={crowd}", "--proven", str(crowd // 10), "--rest", "5", "--tips", "5", "--storms", "1"],
            {"end: server's peak (VmHWM)": 512.0, "tip: from the first miner to another, p99": 250.0, "storm 1: lost": 0,
             "storm 1: all after": 30_000.0}),
        Row("crowd with TLS", ["--miners", f"sha256d={crowd}", "--tls", "--rest", "5", "--tips", "2", "--storms", "0"],
            {"end: server's peak (VmHWM)": 512.0}),
        Row("newlines", flooded("newlines", 2), answered("2 newlines")),
        Row("garbage", flooded("garbage", 8), answered("8 garbage")),
        Row("half lines", flooded("halves", crowd), answered(f"{crowd} halves")),
        Row("clients that do not read", flooded("deaf", crowd // 10), answered(f"{crowd // 10} deaf") | {"end: server's peak (VmHWM)": 512.0}),
        Row("rolling upgrade", ["--miners", f"sha256d={crowd}", "--tips", "0", "--storms", "0", "--takeovers", "3"],
            {figure: bound for number in (1, 2, 3) for figure, bound in (
                (f"takeover {number}: miners that lost their connection", 0), (f"takeover {number}: newcomers without", 0),
                (f"takeover {number}: a newcomer's first job, max", 2_000.0), (f"takeover {number}: honest: refused", 0))}),
        Row("shares of no job", flooded("foreign", 16), answered("16 foreign")),
        Row("forged RandomX", forged("forged-randomx"), forged_bounds("forged-randomx")),
        Row("forged Ethash", forged("forged-ethash"), forged_bounds("forged-ethash")),
    ]


def figures_of(program, row):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "figures.json")
        done = subprocess.run([program, "swarm", "--json", path, *row.arguments], capture_output=True, text=True)
        if done.returncode != 0:
            return None, done.stderr.strip().splitlines()[-1:]
        with open(path) as file:
            return {figure["what"]: (figure["value"], figure["unit"]) for figure in json.load(file)}, []


def judge(figures, what, bound):
    """The figure in words, and whether it is within its bound."""
    value, unit = figures.get(what, (0.0, ""))
    if isinstance(bound, tuple):
        accepted = figures[what.rsplit(":", 1)[0] + ": accepted"][0]
        share = value / max(accepted + value, 1.0)
        return f"{what}: {value:.0f}, {share:.2%} of all (bound {bound[1]:.0%})", share <= bound[1]
    return f"{what}: {value:.4g} {unit} (bound {bound:g})", value <= bound


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--only", help="the row of this name")
    parser.add_argument("--quick", action="store_true", help="a tenth of the crowds")
    arguments = parser.parse_args()
    missed = 0
    for row in rows(arguments.quick):
        if arguments.only not in (None, row.name):
            continue
        print(f"{row.name}  (load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors)", flush=True)
        figures, problem = figures_of(arguments.program, row)
        if figures is None:
            print(f"  MISSED  it did not run to its end: {' '.join(problem)}", flush=True)
            missed += 1
            continue
        for what, bound in row.bounds.items():
            words, holds = judge(figures, what, bound)
            print(f"  {'holds ' if holds else 'MISSED'}  {words}", flush=True)
            missed += not holds
        for what, (value, _) in figures.items():
            if what.startswith("forged") and ": answered " in what or what == "addresses banned":
                print(f"          {what}: {value:.0f}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
