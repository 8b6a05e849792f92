# One command per gate. `make run` and `make test` work on a fresh machine with Rust, git, make and a C/C++ compiler.

DATA_DIR ?= ./bq-data
NETWORK ?= devnet
RUN_FLAGS ?=
BENCH_FLAGS ?=

# The gate tries the same cases everywhere, so that a failure can be repeated; plain `cargo test` draws fresh ones.
FIXED_SEED ?= PROPTEST_RNG_SEED=20260002

.PHONY: run test check bench chaos sim flips crash proof-page deps fuzz gpu-kernels clean

run: deps
	cargo build --release --locked -p bq
	@exec ./target/release/bq run --network $(NETWORK) --data-dir $(DATA_DIR) $(RUN_FLAGS)

test: deps
	@scripts/install-deps.sh proofs
	$(FIXED_SEED) cargo test --workspace --locked
	proofs/run.sh

# The cheap checks first. Known vulnerabilities are not asked for: that list changes under a commit that does not.
check: deps
	@scripts/install-deps.sh check
	cargo fmt --all -- --check
	scripts/check-layout.py
	target/cargo-deny/bin/cargo-deny check --hide-inclusion-graph bans licenses sources
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

bench: deps
	cargo build --release --locked -p bq
	BQ_BENCH_BUILD="$$(rustc --version), commit $$(git describe --always --dirty)" ./target/release/bq bench all $(BENCH_FLAGS)

# Crowds and floods against one server, with a verdict for each figure: some twenty minutes, on an otherwise idle machine.
chaos: deps
	cargo build --release --locked -p bq
	scripts/chaos.py ./target/release/bq $(CHAOS_FLAGS)

# Days of a pool from many seeds: make sim SEEDS=1..500, make sim PLAN=pool-week SEEDS=1..20. What strategies earn: make sim PLAN=rewards, or rewards-short.
sim: deps
ifneq ($(filter rewards rewards-short,$(PLAN)),)
	cargo run --locked -p bq-rewards --example $(PLAN)
else
	cargo run --locked -p bq-pool-sim --example seeds -- $(or $(PLAN),pool-day) $(or $(SEEDS),1..100)
endif

# Bits of a pool's files, each found and named or where nobody reads: make flips FLIPS=10000.
flips: deps
	BQ_FLIPS=$(or $(FLIPS),10000) cargo test --locked -p bq-pool --lib flipped_bit -- --nocapture

# Deaths of the program at every named point in every mode, KILLS at any moment, and CUTS of its power: make crash KILLS=200 CUTS=100.
crash: deps
	BQ_CRASH=all BQ_KILLS=$(or $(KILLS),50) BQ_CUTS=$(or $(CUTS),20) cargo test --locked -p bq-tests --test crash -- --nocapture

# One file that verifies a pool's proofs in a browser, offline: target/proof-page.html.
proof-page: deps
	scripts/proof-page.py

fuzz: deps
	fuzz/run.sh $(or $(SECONDS_EACH),20)

# Only after a change to a CUDA source: the PTX made from them is committed.
gpu-kernels: deps
	scripts/gpu-kernels.sh

deps:
	@scripts/install-deps.sh

clean:
	cargo clean
