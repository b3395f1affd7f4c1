#!/bin/sh
# Proves the judges: they must accept what EU DSS itself signs with a throw-away certificate authority (RSA and EC),
# refuse every one-byte change of it, and refuse all of it under a foreign root. Needs setup.sh and Java.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
judges=$(cd "$here/../.." && pwd)/.judges
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

java -XX:TieredStopAtLevel=1 -cp "$judges/java/classes:$judges/java/lib/*" SelfTest "$folder/ours"
mkdir "$folder/foreign"
openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -days 1 -subj "/CN=Foreign root" -out "$folder/foreign/root.pem" 2>/dev/null
for kind in rsa ec; do
    cp -r "$folder/ours/selftest-$kind" "$folder/foreign/foreign-root-$kind"
    echo '{"verdict":"refuse","changed":"root","note":"the trust anchor is another one"}' >"$folder/foreign/foreign-root-$kind/expect.json"
    "$judges/venv/bin/python" "$here/python/tamper.py" "$folder/ours/selftest-$kind"
done
"$here/judge.py" "$folder/ours"
"$here/judge.py" "$folder/foreign"
