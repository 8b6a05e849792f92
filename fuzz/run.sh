#!/bin/sh
# Runs every fuzz target, or those named, for a bounded time each: fuzz/run.sh SECONDS [TARGET...]
# Needs no nightly compiler: the coverage passes are ordinary options of the stable one. Findings land in
# fuzz/artifacts/TARGET; `fuzz/run.sh 0 TARGET` only builds, and the binary takes a finding as its argument.
set -eu
cd "$(dirname "$0")"
seconds=${1:-20}
[ $# -gt 0 ] && shift
host=$(rustc -vV | sed -n 's/^host: //p')
targets=${*:-$(sed -n 's/^name = "\(.*\)"$/\1/p' Cargo.toml | grep -v '^bq-fuzz$')}

# With --target the flags reach what is fuzzed but not the build scripts.
RUSTFLAGS="-Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares" \
cargo build --release --target "$host" $(for target in $targets; do printf ' --bin %s' "$target"; done)

[ "$seconds" -gt 0 ] || exit 0
failed=""
for target in $targets; do
    mkdir -p "corpus/$target" "artifacts/$target"
    seeds=""
    [ -d "seeds/$target" ] && seeds="seeds/$target"
    echo "== $target: $seconds s"
    # shellcheck disable=SC2086
    "target/$host/release/$target" -max_total_time="$seconds" -timeout=10 -max_len=16384 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="artifacts/$target/" -dict=stratum.dict "corpus/$target" $seeds >"artifacts/$target.log" 2>&1 \
        || failed="$failed $target"
    grep -E 'stat::(number_of_executed_units|peak_rss_mb)|^SUMMARY|panicked' "artifacts/$target.log" || true
done
[ -z "$failed" ] || { echo "findings in:$failed (see fuzz/artifacts)"; exit 1; }
