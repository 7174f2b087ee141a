#!/usr/bin/env bash
# Formatting as rustfmt.toml says, and no warning from any lint.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --all --check
cargo clippy --locked --quiet --release --workspace --all-targets -- -D warnings
