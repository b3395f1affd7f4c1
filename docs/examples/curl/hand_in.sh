#!/bin/sh
# Hands a mémoire d'honoraires in and prints its receipt. POSIX shell, curl, sed.
#
# usage: SCEAU_URL=http://127.0.0.1:7733 SCEAU_TOKEN=sceau_... hand_in.sh memoire.xml memoire.pdf
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Sets $status; 000 when there is no answer, whatever happened.
ask() {
    path=$1
    shift
    status=$(curl -sS --noproxy '*' --max-time 90 -D "$work/head" -o "$work/answer" -w '%{http_code}' \
        -H "Authorization: Bearer $SCEAU_TOKEN" -H 'Prefer: wait=20' "$@" "$SCEAU_URL$path") || status=000
}

# Repeats the very same request while nobody knows, or the service asks for it.
until_answered() {
    pause=1
    while :; do
        ask "$@"
        case $status in
        000) after= ;;
        5*) after=$(tr -d '\r' <"$work/head" | sed -n 's/^[Rr]etry-[Aa]fter: *\([0-9]*\)$/\1/p') ;;
        *) return ;;
        esac
        sleep "${after:-$pause}"
        pause=$((pause < 30 ? pause * 2 : 60))
    done
}

# A 4xx: repeating it would change nothing.
expect() {
    case " $* " in
    *" $status "*) ;;
    *)
        cat "$work/answer" >&2
        exit 1
        ;;
    esac
}

field() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p" "$work/answer" | head -n 1; }

# Your program writes a fresh version 4 UUID into each new document; Sceau makes them for those who cannot.
until_answered '/v1/uuids?count=1' -X POST
expect 200
uuid=$(grep -Eo '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' "$work/answer" | head -n 1)
# On disk before the first request: after a crash the same bytes go out again.
# (Your program keeps it in its own database and sends it again at its start.)
sed "s|\(<[a-z]*:\{0,1\}uuid>\)[^<]*|\1$uuid|" "$1" >"$work/memoire.xml"
cp "$2" "$work/memoire.pdf"

until_answered /v1/forms/memoire-honoraires/depot -F "xml=@$work/memoire.xml" -F "pdf=@$work/memoire.pdf"
expect 200 202
pause=1
until [ "$(field is_final)" = true ]; do
    echo "$(field state)" >&2
    sleep "$pause"
    pause=$((pause < 30 ? pause * 2 : 60))
    until_answered "/v1/submissions/$uuid"
    expect 200
done
if [ "$(field state)" != receipted ]; then
    cat "$work/answer" >&2
    exit 1
fi
field insurer_id
until_answered "/v1/submissions/$uuid/receipt"
cat "$work/answer"
