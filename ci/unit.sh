#!/usr/bin/env bash
# Unit and simulation tests: neither root nor QEMU is needed. What a test measured is shown. One that fails hides no other.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --locked --release --workspace --exclude imbrex-tests --no-fail-fast -- --show-output
# The other backend, held to the same tests as the ring.
cargo test --locked --release --package imbrex-zoned --features tokio-uring --no-fail-fast -- --show-output
