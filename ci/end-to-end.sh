#!/usr/bin/env bash
# End-to-end tests: the real image in QEMU, one guest at a time; what each test measured is shown.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --locked --release --package imbrex-tests --no-fail-fast -- --test-threads=1 --nocapture
