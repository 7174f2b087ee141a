#!/usr/bin/env bash
# Every fuzz target for a minute, from the kept corpus in fuzz/corpus; as many at once as there are processors.
#
#   ci/fuzz.sh                      all targets, IMBREX_FUZZ_SECONDS (60) each
#   ci/fuzz.sh TARGET...            these targets
#   ci/fuzz.sh --replay TARGET FILE one input, once
#   ci/fuzz.sh --keep TARGET...     fuzzes too, and adds to the kept corpus what reached new code, as few files as will do
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${IMBREX_FUZZ_SECONDS:-60}
target_folder=$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz
# libFuzzer's instruments, as LLVM documents SanitizerCoverage; the stable compiler takes them as they are.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
cargo build --locked --quiet --release --bins --manifest-path fuzz/Cargo.toml \
    --target x86_64-unknown-linux-gnu --target-dir "$target_folder"
programs=$target_folder/x86_64-unknown-linux-gnu/release
work=$target_folder/work

# Fuzzes one target, says in one line what came of it, and leaves its success in $work/TARGET/passed.
fuzz() {
    local target=$1 found=$work/$1/found log=$work/$1/log
    rm -rf "${work:?}/$target"
    mkdir -p "$found" "fuzz/corpus/$target"
    if "$programs/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$found/../" "$found" "fuzz/corpus/$target" >"$log" 2>&1; then
        touch "$work/$target/passed"
    else
        grep --text --after-context=4 'panicked at\|^==.*ERROR' "$log" || tail -n 20 "$log"
        mkdir -p "fuzz/artifacts/$target"
        find "$work/$target" -maxdepth 1 -name '*-*' -exec cp {} "fuzz/artifacts/$target/" \;
        for input in "fuzz/artifacts/$target"/*; do
            echo "✗ $target fails on $input; to see it again: ci/fuzz.sh --replay $target $input"
        done
    fi
    awk -v target="$target" -v kept="$(find "fuzz/corpus/$target" -type f | wc -l)" '
        function number(name,  at) { at = index($0, name); return at ? substr($0, at + length(name)) + 0 : 0 }
        /INITED/ { began = number("cov: ") }
        /cov: / { covered = number("cov: "); features = number("ft: ") }
        /number_of_executed_units/ { runs = $2 }
        /average_exec_per_sec/ { speed = $2 }
        END { printf "  %-15s %10d runs, %7d a second; %4d kept inputs cover %4d edges, and %3d more were found (%d features)\n",
            target, runs, speed, kept, began, covered - began, features }' "$log"
}

if [ "${1:-}" = --replay ]; then
    exec "$programs/$2" "$3"
fi
keep=false
if [ "${1:-}" = --keep ]; then
    keep=true
    shift
fi
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    mapfile -t targets < <(basename --suffix=.rs --multiple fuzz/fuzz_targets/*.rs)
fi

echo "${#targets[@]} fuzz targets, $seconds seconds each"
export -f fuzz
export seconds programs work
printf '%s\n' "${targets[@]}" | xargs --max-procs="$(nproc)" --replace=TARGET bash -c 'fuzz TARGET'
passed=0
for target in "${targets[@]}"; do
    if [ -e "$work/$target/passed" ]; then passed=$((passed + 1)); fi
    if $keep; then
        rm -rf "$work/$target/kept" && mkdir "$work/$target/kept"
        "$programs/$target" -merge=1 -use_counters=0 -max_len=1024 "$work/$target/kept" "fuzz/corpus/$target" \
            "$work/$target/found" >"$work/$target/merge.log" 2>&1
        find "fuzz/corpus/$target" -type f ! -name 'seed-*' -delete
        # The largest reach the most; 64 of them are enough to begin from.
        find "$work/$target/kept" -type f -printf '%s %p\n' | sort --numeric-sort --reverse | head -n 64 | cut -d ' ' -f 2- |
            xargs --no-run-if-empty cp --target-directory="fuzz/corpus/$target"
    fi
done
failed=$((${#targets[@]} - passed))
# As cargo closes a run of tests, so that it is counted.
echo "test result: $([ "$failed" = 0 ] && echo ok || echo FAILED). $passed passed; $failed failed; fuzz targets"
[ "$failed" = 0 ]
