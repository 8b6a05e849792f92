#!/usr/bin/env python3
"""Makes target/proof-page.html: one file that verifies a pool's proofs in any browser, without a server or a network.

The program is crates/pool/io/proof-page for WebAssembly; page and script are web/proof.html and web/proof.js.
"""

import base64
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = "wasm32-wasip1"
# A page is sent over a network, and what goes wrong in it ends it.
SMALL = ['opt-level="z"', 'lto="fat"', "codegen-units=1", 'panic="abort"', "strip=true", "debug=false"]


def main() -> None:
    subprocess.run(["rustup", "target", "add", TARGET], cwd=ROOT, check=True)
    build = ["cargo", "build", "--release", "--locked", "-p", "bq-proof-page", "--target", TARGET]
    for setting in SMALL:
        build += ["--config", f"profile.release.{setting}"]
    subprocess.run(build, cwd=ROOT, check=True)
    program = (ROOT / "target" / TARGET / "release/bq-proof-page.wasm").read_bytes()
    page = (ROOT / "web/proof.html").read_text()
    page = page.replace("/* SCRIPT */", (ROOT / "web/proof.js").read_text())
    page = page.replace("PROGRAM", base64.b64encode(program).decode())
    made = ROOT / "target/proof-page.html"
    made.write_text(page)
    print(f"{made.relative_to(ROOT)}: {made.stat().st_size} bytes, of which the program is {len(program)}")


if __name__ == "__main__":
    main()
