#!/usr/bin/env bash
# Formatting as rustfmt.toml says, and no warning from any lint.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --all --check
cargo fmt --check --manifest-path fuzz/Cargo.toml
cargo clippy --locked --quiet --release --workspace --all-targets -- -D warnings
cargo clippy --locked --quiet --release --package imbrex-zoned --package imbrex-drive --all-targets \
    --features imbrex-zoned/tokio-uring,imbrex-drive/tokio-uring -- -D warnings
cargo clippy --locked --quiet --release --package imbrex-zoned --package imbrex-engine --package imbrex-drive \
    --all-targets --features imbrex-drive/shuttle -- -D warnings
