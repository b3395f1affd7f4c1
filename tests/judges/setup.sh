#!/bin/sh
# Installs the foreign judges into .judges at the root of the repository. Safe to repeat: what is there already stays.
# A judge that cannot be installed is said aloud here and counted as skipped by judge.py.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
judges="$root/.judges"
mkdir -p "$judges"

missing=
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need xmlsec1 xmlsec1
need pdfsig poppler-utils
need xmllint libxml2-utils
need openssl openssl
need softhsm2-util softhsm2
need pkcs11-tool opensc
need javac default-jdk-headless
need mvn maven
need curl curl
need node nodejs
need mcs mono-mcs
need mono "mono-runtime libmono-system-net-http4.0-cil libmono-system-core4.0-cil"
need fpc "fp-compiler fp-units-fcl fp-units-net"
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -q >/dev/null
        # shellcheck disable=SC2086 # one word per package
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing >/dev/null
    else
        echo "judges: NOT INSTALLED (run as root, or install them yourself):$missing" >&2
    fi
fi

# Python: pyHanko, signxml, lxml, zeep, xmlsec, jsonschema, Schemathesis
if ! cmp -s "$here/python/requirements.txt" "$judges/requirements.txt"; then
    rm -rf "$judges/venv"
    python3 -m venv "$judges/venv"
    "$judges/venv/bin/pip" install -q --no-compile --disable-pip-version-check -r "$here/python/requirements.txt"
    cp "$here/python/requirements.txt" "$judges/requirements.txt"
fi

# Java: EU DSS and veraPDF. Maven only fetches, javac compiles.
if command -v javac >/dev/null 2>&1 && command -v mvn >/dev/null 2>&1; then
    java="$judges/java"
    if ! cmp -s "$here/java/pom.xml" "$java/pom.xml"; then
        rm -rf "$java"
        mkdir -p "$java"
        mvn -q -B -Dstyle.color=never -f "$here/java/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
            -DincludeScope=runtime -DoutputDirectory="$java/lib"
        cp "$here/java/pom.xml" "$java/pom.xml"
    fi
    cd "$here/java"
    sources=$(find . -name "*.java" | sort)
    # shellcheck disable=SC2086 # one word a file: no blanks below java/
    if ! cat $sources | cmp -s - "$java/sources"; then
        rm -rf "$java/classes"
        mkdir -p "$java/classes"
        javac -nowarn -encoding UTF-8 -d "$java/classes" -cp "$java/lib/*" $sources
        cat $sources >"$java/sources"
    fi
else
    echo "judges: no JDK or no Maven, EU DSS and veraPDF will be SKIPPED" >&2
fi
