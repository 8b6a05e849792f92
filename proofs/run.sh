#!/usr/bin/env bash
# Proves the arithmetic lemmas with z3, in a virtual environment of its own under target/.
set -euo pipefail
cd "$(dirname "$0")/.."

z3=5.4.0.0
venv="target/proofs/venv-$z3"
if ! "$venv/bin/python" -c 'import z3' 2>/dev/null; then
    rm -rf "$venv"
    mkdir -p "$(dirname "$venv")"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "z3-solver==$z3"
fi
exec "$venv/bin/python" -B proofs/lemmas "$@"
