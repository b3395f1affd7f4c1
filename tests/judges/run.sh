#!/bin/sh
# All foreign judges over what the built programs make.
#
# usage: run.sh BIN_DIR [OUT]     (BIN_DIR holds sceau and sceau-sandbox; OUT is out/judges unless told)
#
# Ends with the sum of all parts, "N passed, N failed, N skipped"; the exit code is 0 only if nothing failed. With CI=true
# nothing may be skipped either: there every judge can be installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "${1:?usage: run.sh BIN_DIR [OUT]}" && pwd)
out=${2:-$here/../../out/judges}
mkdir -p "$out"
out=$(cd "$out" && pwd)
scratch=$(mktemp -d)
sandbox=
end() {
    [ -z "$sandbox" ] || kill "$sandbox" 2>/dev/null || :
    rm -rf "$scratch"
}
trap end EXIT
passed=0 failed=0 skipped=0

# Runs one part and adds its totals; one that ends badly without saying what failed counts as a failure.
part() {
    name=$1
    shift
    start=$(date +%s)
    echo "== $name"
    { "$@" 2>&1 && echo 0 >"$scratch/code" || echo $? >"$scratch/code"; } | tee "$scratch/log" |
        sed -E "s/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/== $name: &/"
    sum=$(awk '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p += $1; f += $3; s += $5; n++ }
        END { print p + 0, f + 0, s + 0, n + 0 }' "$scratch/log")
    read -r p f s n <<EOF
$sum
EOF
    if [ "$n" = 0 ] || { [ "$f" = 0 ] && [ "$(cat "$scratch/code")" != 0 ]; }; then
        echo "== $name ended with code $(cat "$scratch/code")"
        f=$((f + 1))
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    echo "== $name: $(($(date +%s) - start)) s"
}

dialogue() {
    if ! command -v java >/dev/null 2>&1; then
        echo "!!!! SKIPPED: no Java, so no form signed by EU DSS"
        echo "0 passed, 0 failed, 1 skipped"
        return
    fi
    "$here/dialogue.py" "$out/sandbox"
}

selftest() {
    if ! command -v java >/dev/null 2>&1; then
        echo "!!!! SKIPPED: no Java, so no self-test of the judges"
        echo "0 passed, 0 failed, 1 skipped"
        return
    fi
    "$here/selftest.sh"
}

# Our answers to generated questions, written by ignored tests; then the foreign answers.
differential() {
    mkdir -p "$out/differential"
    (cd "$here/../.." && SCEAU_DIFFERENTIAL="$out/differential" cargo test --locked --quiet --test it -- --ignored --exact \
        c14n::cases_for_the_judges xsd::mutants_for_the_judges)
    "$here/../../.judges/venv/bin/python" "$here/differential/c14n.py" "$out/differential/c14n.jsonl" || code=1
    "$here/../../.judges/venv/bin/python" "$here/differential/xsd.py" "$out/differential/xsd.jsonl" || code=1
    return "${code:-0}"
}

"$here/setup.sh"
# Empties the folder: first.
part "the service's output" "$here/cases.py" --bin "$bin" --out "$out"
part judges "$here/judge.py" "$out/cases"
part "the matrix of levels, keys and shapes" "$here/../../.judges/venv/bin/python" "$here/matrix.py" --bin "$bin" --out "$out/matrix"
part "judges of the matrix" "$here/judge.py" "$out/matrix"
part "canonical forms and schemas" differential
part "form packs" "$here/../../.judges/venv/bin/python" "$here/packs.py" --bin "$bin"
part "bad documents" "$here/refusals/refusals.py" --bin "$bin" --out "$out/refusals"
part "XML reports" "$here/../../.judges/venv/bin/python" "$here/reports.py" --bin "$bin" "$out/refusals"
part "the audit log" "$here/audit.py" --bin "$bin" --out "$out/audit"
part "examples of the guide" "$here/examples.py" --bin "$bin" --out "$out/examples"
part "Schemathesis" "$here/schemathesis/run.py" --bin "$bin" --out "$out/schemathesis"

# The sandbox of the first part once more, with what it holds.
"$bin/sceau-sandbox" --dir "$out/sandbox" >"$scratch/ready" 2>>"$out/sandbox.log" &
sandbox=$!
until [ -s "$scratch/ready" ]; do
    kill -0 "$sandbox" || exit 1
    sleep 0.1
done
part "foreign signer and client" dialogue
part "self-test of the judges" selftest

echo
if [ "${CI:-}" = true ] && [ "$skipped" != 0 ]; then
    echo "!!!! $skipped SKIPPED, which is a failure where CI=true"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && { [ "${CI:-}" != true ] || [ "$skipped" = 0 ]; }
