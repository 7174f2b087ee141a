#!/usr/bin/env bash
# End-to-end tests: the real image in QEMU, one guest at a time; what each test measured is shown.
#
#   ci/end-to-end.sh          all of them
#   ci/end-to-end.sh NAME...  the tests of these names
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -gt 0 ]; then set -- --exact "$@"; fi
cargo test --locked --release --package imbrex-tests --no-fail-fast -- --test-threads=1 --nocapture "$@"
