#!/bin/sh
# Installs what a Debian-like machine lacks to build or to test. Says what is
# missing where it may not install (not root and no sudo, no apt).
set -eu
rust_min=1.95

packages=
need() { # program, package
    command -v "$1" >/dev/null 2>&1 || packages="$packages $2"
}
need cc gcc
[ -e /usr/include/stdlib.h ] || packages="$packages libc6-dev"
case "${1:-build}" in
build) ;;
fuzz) need c++ g++ ;;
test)
    need softhsm2-util softhsm2
    need pkcs11-tool opensc # and opensc-pkcs11, for pkcs11-spy.so
    need pcscd pcscd
    [ -e /usr/lib/pcsc/drivers/serial/libifdvpcd.so ] || packages="$packages vsmartcard-vpcd"
    need openssl openssl
    need xmlsec1 xmlsec1
    need xmllint libxml2-utils
    need pdfsig poppler-utils
    need qpdf qpdf
    need zbarimg zbar-tools
    need unzip unzip
    need curl curl
    need python3 python3
    ;;
*)
    echo "usage: $0 build|fuzz|test" >&2
    exit 2
    ;;
esac

recent_rust() {
    command -v cargo >/dev/null 2>&1 || return 1
    have=$(rustc --version | sed 's/^rustc \([0-9]*\.[0-9]*\).*/\1/')
    [ "$(printf '%s\n%s\n' "$rust_min" "$have" | sort -V | head -n 1)" = "$rust_min" ]
}
# Debian's own rustc is too old; rustc-web is the one kept up for its browsers.
recent_rust || packages="$packages rustc-web cargo-web"

if [ -n "$packages" ]; then
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    if command -v apt-get >/dev/null 2>&1 && { [ -z "$as_root" ] || command -v sudo >/dev/null 2>&1; }; then
        echo "installing:$packages"
        $as_root apt-get update -q >/dev/null
        # shellcheck disable=SC2086 # one word per package
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages >/dev/null
    else
        echo "please install:$packages" >&2
        exit 1
    fi
fi
recent_rust || {
    echo "Rust $rust_min or newer is needed (https://rustup.rs)" >&2
    exit 1
}
