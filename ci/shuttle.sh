#!/usr/bin/env bash
# Where threads meet: the tests that run under thousands of schedules each. How many is shown.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --locked --release --package imbrex-zoned --features shuttle --lib -- --show-output schedules
cargo test --locked --release --package imbrex-zoned --features shuttle \
    --test a_wake_is_kept_until_somebody_waits --test memory_that_comes_back_wakes_who_waits_for_it -- --show-output
cargo test --locked --release --package imbrex-engine --features shuttle \
    --test every_request_is_answered_under_any_schedule -- --show-output
cargo test --locked --release --package imbrex-drive --features shuttle --lib -- --show-output schedules
