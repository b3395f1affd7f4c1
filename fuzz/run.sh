#!/bin/sh
# Runs every fuzz target, or those named, one after the other.
#
# usage: run.sh SECONDS [TARGET...]      (SECONDS for each target)
#
# Builds once, with the coverage that libFuzzer wants, on the stable compiler. Seeds are fuzz/seeds and fixtures; what is
# found goes to out/fuzz/TARGET: corpus/ (kept from run to run), crashes/, log. An input that crashes, takes more than 10 s
# or 1 GiB makes the exit code 1: fix the fault and keep the input in fuzz/finds/TARGET, where tests/it/fuzzed.rs replays it.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
seconds=${1:?usage: run.sh SECONDS [TARGET...]}
shift
[ $# != 0 ] || set -- c14n cms crl ocsp pdf tsp worker x509 xades xml xsd
host=$(rustc -vV | sed -n 's/^host: //p')
target_dir=${CARGO_TARGET_DIR:-$root/target}
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
# With --target the flags do not reach build scripts.
cargo build --locked --quiet --release --manifest-path "$root/fuzz/Cargo.toml" --target "$host" --target-dir "$target_dir"
program=$target_dir/$host/release/sceau-fuzz

# The seeds of a target.
seeds() {
    case $1 in
    cms) echo "$root"/tests/fixtures/pki/*.cms ;;
    crl) echo "$root"/tests/fixtures/pki/*.crl ;;
    ocsp) echo "$root"/tests/fixtures/pki/*.ocsp ;;
    pdf) find "$root/tests/fixtures/pdf" -name "*.pdf" -size -32k ;;
    tsp) echo "$root"/tests/fixtures/pki/*.tsr ;;
    x509) echo "$root"/tests/fixtures/pki/*.crt ;;
    xsd) find "$root/xsd" -path "*/examples/*" -name "*.xml" -size -8k ;;
    *) ;;
    esac
    find "$root/fuzz/seeds/$1" "$root/fuzz/finds/$1" -type f 2>/dev/null || :
}

code=0
printf '%-8s %12s %10s %9s %8s %8s\n' target executions "new units" coverage crashes "peak MB"
for target in "$@"; do
    out=$root/out/fuzz/$target
    mkdir -p "$out/corpus" "$out/crashes" "$out/seeds"
    for seed in $(seeds "$target"); do
        cp "$seed" "$out/seeds/$(printf %s "${seed#"$root/"}" | tr / _)"
    done
    dictionary=
    [ ! -f "$root/fuzz/dictionaries/$target" ] || dictionary=-dict=$root/fuzz/dictionaries/$target
    # shellcheck disable=SC2086 # no dictionary is no argument
    SCEAU_FUZZ=$target nice "$program" "$out/corpus" "$out/seeds" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
        -max_len=40000 -print_final_stats=1 -artifact_prefix="$out/crashes/" $dictionary >"$out/log" 2>&1 || code=1
    stat() { sed -n "s/^stat::$1: *//p" "$out/log" | tail -1; }
    printf '%-8s %12s %10s %9s %8s %8s\n' "$target" "$(stat number_of_executed_units)" "$(stat new_units_added)" \
        "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$out/log" | tail -1)" \
        "$(find "$out/crashes" -type f | wc -l)" "$(stat peak_rss_mb)"
done
exit "$code"
