#!/usr/bin/env bash
# Installs what a build needs beyond Rust, git, make and a C/C++ compiler; with the argument "proofs", what proofs/run.sh
# needs too; with "check", what `make check` needs too; with "mining-device", the public test device of Stratum V2, which
# `make test` runs where it is there (some 550 crates, half an hour of one core). On Debian and its kin with the rights to install it does so;
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
    # A build script of the device's dependencies compiles schemas that include those of the second package.
    if [ "$for_whom" = mining-device ]; then
        command -v capnp >/dev/null || missing+=(capnproto)
        [ -e /usr/include/capnp/c++.capnp ] || missing+=(libcapnp-dev)
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

# Below target/, as above. Its version is that of the protocol's crates in Cargo.toml: each release breaks the last.
install_mining_device() {
    local version=0.6.0 root=target/mining-device
    if ! [ -x "$root/bin/mining_device" ] || ! grep -q "integration_tests_sv2 $version " "$root/.crates.toml"; then
        echo "Installing mining_device of integration_tests_sv2 $version ..."
        cargo install --locked --quiet --root "$root" --bin mining_device "integration_tests_sv2@$version"
    fi
}

main
