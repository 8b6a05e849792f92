#!/usr/bin/env python3
"""Crowds and floods against one Stratum server (`bq swarm`), each with its figures and a verdict.

    scripts/chaos.py ./target/release/bq [--only NAME] [--quick] [--soak-minutes M]

The soak takes two minutes unless told; for a day: `make chaos CHAOS_FLAGS='--only soak --soak-minutes 1440'`. The disk that is slow is the
simulator's: a real one cannot be slowed down without being root.

A verdict is of this machine at this load: both are printed. The exit status is 1 if any figure misses its bound. What must hold on any
machine is in tests/tests/swarm.rs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile


# What a name that comes for the first time may leave behind: it is remembered until there are as many as are remembered.
SOAK_BYTES_A_NAME = 2_048.0
# After that nothing may grow; so long takes it until all that is remembered is full.
SOAK_LONG_MINUTES = 240
SOAK_KIB_A_MINUTE = 64.0


class Row:
    """One attack: what `bq swarm` is asked, and bounds by the name of the figure."""

    def __init__(self, name, arguments, bounds):
        self.name, self.arguments, self.bounds = name, arguments, bounds

    def figures(self, program):
        """Value and unit by name; or nothing, and why."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "figures.json")
            done = subprocess.run([program, "swarm", "--json", path, *self.arguments], capture_output=True, text=True)
            if done.returncode != 0:
                return None, done.stderr.strip().splitlines()[-1:]
            with open(path) as file:
                return {figure["what"]: (figure["value"], figure["unit"]) for figure in json.load(file)}, []


class SimRow(Row):
    """Days of a simulated pool, one for each seed, whose checks must hold and of which so many must have met what the row is about."""

    def __init__(self, name, scenario, seeds, about):
        bounds = {"days on which a check failed": 0, "days without it": seeds - 1}
        super().__init__(name, ["--scenario", scenario], bounds)
        self.seeds, self.about = seeds, about

    def figures(self, program):
        failed, without, told = 0, 0, 0
        for seed in range(1, self.seeds + 1):
            done = subprocess.run([program, "sim", *self.arguments, "--seed", str(seed)], capture_output=True, text=True)
            failed += done.returncode != 0
            met = done.stdout.count(self.about)
            without += met == 0
            told += met
        figures = {"days on which a check failed": failed, "days without it": without, f"times: {self.about}": told}
        return {what: (float(value), "") for what, value in figures.items()}, []


def beside(what):
    return f"honest beside {what}"


def rows(quick, soak_minutes):
    crowd, forgers, seconds = (1_000, 100, 10) if quick else (10_000, 1_000, 30)
    alone = ["--miners", "sha256d=100", "--tips", "0", "--storms", "0", "--flood-secs", str(seconds)]
    flooded = lambda kind, count: alone + ["--flood", f"{kind}={count}"]
    answered = lambda what: {f"{beside(what)}: answer, p99": 100.0, f"{beside(what)}: refused": 0}
    key_change = lambda algorithm: ["--miners", f"sha256d={crowd // 100}", "--tips", "0", "--storms", "0", "--key-change", algorithm]
    forged = lambda kind: ["--miners", "sha256d=1", "--proxy-headers", "--tips", "0", "--storms", "0", "--flood-secs", str(seconds), "--flood", f"{kind}={forgers}"]

    def forged_bounds(kind):
        honest, algorithm = beside(f"{forgers} {kind}"), kind.removeprefix("forged-")
        return {f"{honest}: refused": ("of accepted", 0.01), f"{honest}: answer, mean": 50.0,
                f"honest {algorithm}: to the verdict, by the server's clock, mean": 50.0, f"forged {algorithm}: most hashed of one address": 3,
                f"forged {algorithm}: hashed, by the server's count": 3 * forgers}

    def key_bounds(algorithm):
        what = f"{algorithm} key"
        return {f"{what}: shares of the old one accepted": 0, f"{what}: newcomers without work": 0, f"{what}: a newcomer's first job, max": 2_000.0,
                f"{what}: first job of the new one, max": 2_000.0, f"{what}: first share of it accepted, max": 30_000.0}

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
        Row("RandomX's key changes", key_change("randomx"), key_bounds("randomx")),
        Row("Ethash's epoch changes", key_change("ethash"), key_bounds("ethash")),
        Row("killed again and again", ["--miners", "sha256d=20", "--tips", "0", "--storms", "0", "--kills", "5" if quick else "20"],
            {"kills: shares acknowledged and not in the log, most": 0, "kills: shares in the log that were never sent, most": 0,
             "kills: audits that found a difference": 0, "kills: ready again after, max": 30_000.0}),
        SimRow("a slow disk", "pool-day", 2 if quick else 8, "the disk is slow"),
        Row("soak", ["--miners", "sha256d=100", "--proxy-headers", "--tips", "0", "--storms", "0", "--soak", str(int(soak_minutes * 60))],
            {"soak: names that did not": 0, "soak: the same, for each name that came": SOAK_BYTES_A_NAME}
            | ({"soak: resident grows in the second half, a minute": SOAK_KIB_A_MINUTE} if soak_minutes >= SOAK_LONG_MINUTES else {})),
        Row("shares of no job", flooded("foreign", 16), answered("16 foreign")),
        Row("forged RandomX", forged("forged-randomx"), forged_bounds("forged-randomx")),
        Row("forged Ethash", forged("forged-ethash"), forged_bounds("forged-ethash")),
    ]


def judge(figures, what, bound):
    """The figure in words, and whether it is within its bound."""
    if what not in figures:
        return f"{what}: no such figure", False
    value, unit = figures[what]
    if isinstance(bound, tuple):
        accepted = figures[what.rsplit(":", 1)[0] + ": accepted"][0]
        share = value / max(accepted + value, 1.0)
        return f"{what}: {value:.0f}, {share:.2%} of all (bound {bound[1]:.0%})", share <= bound[1]
    return f"{what}: {value:.4g} {unit} (bound {bound:g})", value <= bound


def is_told(what):
    """A figure without a bound that says what the others are worth."""
    return what == "addresses banned" or what.startswith(("kills", "soak", "times: ")) or " key: " in what \
        or (what.startswith("forged") and ": answered " in what)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--only", help="the row of this name")
    parser.add_argument("--quick", action="store_true", help="a tenth of the crowds")
    parser.add_argument("--soak-minutes", type=float, default=2.0, help="how long the soak takes")
    arguments = parser.parse_args()
    missed = 0
    for row in rows(arguments.quick, arguments.soak_minutes):
        if arguments.only not in (None, row.name):
            continue
        print(f"{row.name}  (load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors)", flush=True)
        figures, problem = row.figures(arguments.program)
        if figures is None:
            print(f"  MISSED  it did not run to its end: {' '.join(problem)}", flush=True)
            missed += 1
            continue
        for what, bound in row.bounds.items():
            words, holds = judge(figures, what, bound)
            print(f"  {'holds ' if holds else 'MISSED'}  {words}", flush=True)
            missed += not holds
        for what, (value, _) in figures.items():
            if is_told(what) and what not in row.bounds:
                print(f"          {what}: {value:.0f}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
