#!/usr/bin/env python3
"""Checks what ARCHITECTURE.md says of the crate tree and no compiler looks at: which crates are pure, who may know whom.

Reads manifests through `cargo metadata --no-deps`, so that it needs no network. A pure crate lies in crates/DOMAIN/NAME; a
driver in crates/DOMAIN/io/NAME; crates/bq is neither, and crates/pow is a domain of one crate whose IO is hashing.
"""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What a pure crate may use from outside: values, encodings and arithmetic. No clock, file, socket, thread or log is
# reachable through these. Whoever adds a name has made sure of that.
PURE_LIBRARIES = {
    "aws-lc-rs", "bech32", "fips204", "futures-core", "hex", "http", "ipnet", "postcard", "ruint", "serde", "serde_json", "sha2", "subtle", "thiserror",
    "binary_sv2", "common_messages_sv2", "framing_sv2", "mining_sv2",
}

# Domains that a domain may depend on besides itself; "chain/api" stands for that one crate.
ARROWS = {
    "base": set(),
    "pow": {"base"},
    "chain": {"base", "pow"},
    "mining": {"base", "pow", "chain/api"},
    "pool": {"base", "chain/api", "mining/message"},
    "face": {"base", "chain/api", "mining/message", "pool/machine"},
    "lab": {"base", "pow", "chain", "mining", "pool", "face"},
    "bq": {"base", "pow", "chain", "mining", "pool", "face", "lab"},
}

# Dependencies that break a rule today, each with what has to go first. One that is gone must leave this list.
EXCEPTIONS = {
    ("pool/io/driver", "face/views"): "the driver makes the views of the books itself",
}


def main() -> int:
    crates = workspace()
    broken = {edge: why for crate in crates.values() for edge, why in misplaced(crate, crates)}
    problems = [f"{crate} depends on {other}: {why}" for (crate, other), why in broken.items() if (crate, other) not in EXCEPTIONS]
    problems += [f"{crate} no longer depends on {other}: take the exception out" for crate, other in EXCEPTIONS if (crate, other) not in broken]
    problems += lint_files()
    for problem in problems:
        print(f"layout: {problem}", file=sys.stderr)
    return 1 if problems else 0


def workspace() -> dict:
    """Every crate under crates/, by name: its place below that folder and what its code depends on, tests left out."""
    text = subprocess.check_output(["cargo", "metadata", "--no-deps", "--locked", "--format-version", "1"], cwd=ROOT)
    crates = {}
    for package in json.loads(text)["packages"]:
        folder = pathlib.Path(package["manifest_path"]).parent.relative_to(ROOT)
        if folder.parts[0] == "crates":
            needs = {need["name"] for need in package["dependencies"] if need["kind"] is None}
            crates[package["name"]] = {"place": "/".join(folder.parts[1:]), "needs": needs}
    return crates


def domain(place: str) -> str:
    return place.split("/")[0]


def is_driver(place: str) -> bool:
    return "io" in place.split("/") or domain(place) == "bq"


def misplaced(crate: dict, crates: dict):
    """The dependencies of one crate that it may not have, with the reason."""
    place = crate["place"]
    is_pure = not is_driver(place) and place != "pow"
    for need in sorted(crate["needs"]):
        if need in crates:
            other = crates[need]["place"]
            allowed = ARROWS[domain(place)]
            if domain(other) != domain(place) and domain(other) not in allowed and other not in allowed:
                yield (place, other), f"no arrow leads from {domain(place)} to it"
            elif is_pure and is_driver(other):
                yield (place, other), "a pure crate knows no driver"
        elif is_pure and need not in PURE_LIBRARIES:
            yield (place, need), "it is not among the libraries of a pure crate"


def lint_files():
    """clippy reads the nearest clippy.toml upward: one text for the pure crates, another for the drivers."""
    crates = ROOT / "crates"
    pure = (crates / "base/clippy.toml").read_text()
    driver = (ROOT / "clippy.toml").read_text()
    for folder in sorted(path for path in crates.iterdir() if path.name != "bq"):
        wanted = {folder: pure} | ({folder / "io": driver} if (folder / "io").is_dir() else {})
        for place, text in wanted.items():
            file = place / "clippy.toml"
            if not file.is_file() or file.read_text() != text:
                yield f"{file.relative_to(ROOT)} is not the same as that of the other domains"
        for file in sorted(folder.rglob("clippy.toml")):
            if file.parent not in wanted:
                yield f"{file.relative_to(ROOT)}: a crate's own file would replace the domain's"


if __name__ == "__main__":
    sys.exit(main())
