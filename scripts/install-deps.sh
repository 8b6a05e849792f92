#!/usr/bin/env bash
# Installs what a build needs beyond Rust, git, make and a C/C++ compiler; with the argument "proofs", what proofs/run.sh
# needs too; with "check", what `make check` needs too; with "mining-device", the public test device of Stratum V2, which
# `make test` runs where it is there (six minutes of one core). On Debian and its kin with the rights to install it does so;
# elsewhere it names the packages and stops.
set -euo pipefail
cd "$(dirname "$0")/.."
for_whom=${1:-build}

main() {
    local missing=()
    find_missing
    if [ "${#missing[@]}" -gt 0 ]; then
        install_packages "${missing[@]}"
    fi
    if [ "$for_whom" = check ]; then
        install_cargo_deny
    fi
    if [ "$for_whom" = mining-device ]; then
        install_mining_device
    fi
}

find_missing() {
    command -v cargo >/dev/null || {
        echo "Rust is missing: install the toolchain that rust-version in Cargo.toml names." >&2
        exit 1
    }
    command -v cmake >/dev/null || missing+=(cmake)
    command -v cc >/dev/null || missing+=(gcc)
    command -v c++ >/dev/null || missing+=(g++)
    if [ "$for_whom" = check ] && ! command -v python3 >/dev/null; then
        missing+=(python3)
    fi
    # The proofs run in a virtual environment.
    if [ "$for_whom" = proofs ] && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        missing+=(python3-venv)
    fi
}

install_packages() {
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
            as_root=(sudo)
        else
            echo "Missing packages: $*. Install them (for example: apt-get install $*) and run again." >&2
            exit 1
        fi
    fi
    command -v apt-get >/dev/null || {
        echo "Missing packages: $*. Install them with your system's package manager and run again." >&2
        exit 1
    }
    echo "Installing $* ..."
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq "$@"
}

# Below target/, so that whatever version the user has elsewhere stays. Built without optimisation: it runs for seconds, and
# optimised it would take minutes more to build.
install_cargo_deny() {
    local version=0.20.2 root=target/cargo-deny
    if [ "$("$root/bin/cargo-deny" --version 2>/dev/null)" != "cargo-deny $version" ]; then
        echo "Installing cargo-deny $version ..."
        cargo install --locked --debug --quiet --root "$root" "cargo-deny@$version"
    fi
}

# The device lies in a crate of integration tests with a pool, a translator and a Bitcoin node among its 550 dependencies. Its own
# source needs 190 of them: that is taken out of the published crate, with the versions of its lock file, and built alone. The
# version goes with those of the protocol's crates in Cargo.toml: each release breaks the last.
install_mining_device() {
    local version=0.6.0 root=target/mining-device source
    if [ -x "$root/bin/mining_device" ] && [ "$(cat "$root/version" 2>/dev/null)" = "$version" ]; then
        return
    fi
    echo "Building mining_device of integration_tests_sv2 $version ..."
    rm -rf "$root/source" "$root/build"
    mkdir -p "$root/source/src" "$root/build/src/mining_device" "$root/bin"
    printf '[package]\nname = "source"\nedition = "2024"\n[workspace]\n[dependencies]\nintegration_tests_sv2 = "=%s"\n' "$version" \
        >"$root/source/Cargo.toml"
    touch "$root/source/src/lib.rs"
    source=$(cd "$root/source" && cargo metadata --quiet --format-version 1 |
        grep -o "\"manifest_path\":\"[^\"]*integration_tests_sv2-$version/Cargo.toml\"" | cut -d'"' -f4)
    source=${source%/Cargo.toml}
    cp "$source/lib/mining_device/mod.rs" "$root/build/src/mining_device/mod.rs"
    cp "$source/Cargo.lock" "$root/build/Cargo.lock"
    mining_device_manifest >"$root/build/Cargo.toml"
    {
        echo 'mod mining_device;'
        echo "mod utils { $(grep 'pub const CONNECT_RETRY_INTERVAL' "$source/lib/utils.rs" | sed 's/: Duration = Duration/: std::time::Duration = std::time::Duration/') }"
        sed 's/^use integration_tests_sv2::mining_device::{self, /use mining_device::{/' "$source/bin/mining_device.rs"
    } >"$root/build/src/main.rs"
    (cd "$root/build" && cargo build --quiet --target-dir target)
    cp "$root/build/target/debug/mining_device" "$root/bin/mining_device"
    echo "$version" >"$root/version"
    rm -rf "$root/source" "$root/build"
}

mining_device_manifest() {
    cat <<'END'
[package]
name = "mining_device"
edition = "2024"
[workspace]
[profile.dev]
opt-level = 1
debug = 0
[dependencies]
async-channel = "1.5.1"
clap = { version = "4.5.4", features = ["derive"] }
num-format = "0.4"
primitive-types = "0.13.1"
rand = "0.8.4"
sha2 = { version = "0.10.6", features = ["compress", "asm"] }
stratum-apps = { version = "=0.8.0", default-features = false, features = ["network", "config", "std"] }
tokio = { version = "1.44.1", features = ["full"] }
tokio-util = "0.7"
tracing = "0.1.41"
tracing-subscriber = "0.3.19"
END
}

main
