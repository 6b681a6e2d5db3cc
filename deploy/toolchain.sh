# Sourced by deploy/run, tests/run and .ci/run: finds what a build needs, or installs it, or says what is missing.
# Works on Debian and its descendants as root; elsewhere it never changes the machine.
# shellcheck shell=bash

say() { printf '%s: %s\n' "${speaker:-doorward}" "$*" >&2; }
die() { say "$*"; exit 1; }

# apt_get ARGUMENTS: with patience for another apt and for a bad moment of the network.
apt_get() {
    local try
    for try in 1 2 3; do
        if DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 "$@" </dev/null >&2; then
            return 0
        fi
        say "apt-get $1 failed (try $try of 3)"
        sleep $((try * 3))
    done
    return 1
}

# apt_update: the package lists, once in a run.
updated=no
apt_update() {
    [ "$updated" = yes ] && return 0
    apt_get update && updated=yes
}

# help_wanted FILE [ARGUMENT]: prints the head comment of FILE and ends well if ARGUMENT asks for help.
help_wanted() {
    case "${2:-}" in
    -h | --help)
        sed -n '1d; /^#/!q; s/^# \{0,1\}//; p' "$1"
        exit 0
        ;;
    esac
}

# need PACKAGE COMMAND...: notes PACKAGE as missing unless every COMMAND is there.
missing=()
need() {
    local package=$1 command
    shift
    for command in "$@"; do
        if ! command -v "$command" >/dev/null; then
            missing+=("$package")
            return 0
        fi
    done
}

# Where Debian asks whether an installed service may start.
policy=/usr/sbin/policy-rc.d

# install_missing: installs what `need` noted when we are root on a Debian, else says exactly what to do.
# No service is started by it: we want the programs, not a web server on port 80.
install_missing() {
    local made=no done=yes
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        die "missing: ${missing[*]}. As root on Debian: apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    fi
    say "installing with apt-get: ${missing[*]}"
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=yes
        # Also when we are stopped half-way: left behind, it would keep every service of this machine from starting.
        trap "rm -f $policy" EXIT
        trap 'exit 130' INT TERM
    fi
    { apt_update && apt_get install -y --no-install-recommends "${missing[@]}"; } || done=no
    if [ "$made" = yes ]; then
        rm -f "$policy"
        trap - EXIT INT TERM
    fi
    [ "$done" = yes ] || die "apt-get could not install: ${missing[*]}"
    missing=()
    hash -r
}

# rust_wanted: the oldest Rust that builds us, as Cargo.toml says it.
rust_wanted() { sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' Cargo.toml; }

# rust_found: the version of the cargo on PATH, or nothing. A rustup without a toolchain counts as none.
rust_found() { { rustc --version 2>/dev/null || true; } | sed -n 's/^rustc \([0-9.]*\).*/\1/p'; }

# not_older A B: A is B or newer.
not_older() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | tail -n 1)" = "$1" ]; }

# find_toolchain [checks]: leaves a new enough cargo and rustc on PATH, with cmake and a C compiler and whatever else
# `need` noted; with "checks" also rustfmt and clippy. All that is missing is installed in one go.
find_toolchain() {
    local wanted found checks=${1:-}
    export PATH="$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin"
    wanted=$(rust_wanted)
    [ -n "$wanted" ] || die "Cargo.toml names no rust-version"
    need cmake cmake
    need gcc cc
    need make make
    [ "$(uname -s)" != Linux ] || [ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
    [ ! -e /etc/debian_version ] || [ -s /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
    found=$(rust_found)
    if [ -n "$found" ] && command -v cargo >/dev/null && not_older "$found" "$wanted"; then
        say "Rust $found is here ($wanted or newer is needed)"
        [ "$checks" != checks ] || check_tools
        install_missing
        return 0
    fi
    say "Rust here: ${found:-none}; needed: $wanted or newer"
    debian_rust "$wanted" "$checks"
    install_missing
    export PATH="/usr/bin:$PATH"
    hash -r
    say "Rust $(rust_found) from Debian's rustc-web"
}

# debian_rust VERSION [checks]: notes Debian's packages as missing: its security archive carries newer compilers as
# rustc-web and cargo-web. Says what to do where they cannot be had.
debian_rust() {
    local wanted=$1 release others=${missing[*]}
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release 2>/dev/null)
        # Before the lists are read, so that they are read once.
        if [ "$release" = bookworm ] && ! debian_has "$wanted" && ! grep -rqs 'debian-security' /etc/apt/sources.list /etc/apt/sources.list.d; then
            say "adding Debian's security archive: /etc/apt/sources.list.d/debian-security.list"
            echo 'deb http://deb.debian.org/debian-security bookworm-security main' >/etc/apt/sources.list.d/debian-security.list
        fi
        apt_update || die "apt-get update failed"
        if debian_has "$wanted"; then
            missing+=(rustc-web cargo-web)
            [ "${2:-}" != checks ] || missing+=(rustfmt-web rust-web-clippy)
            return 0
        fi
    fi
    die "Rust $wanted or newer is needed: see https://rustup.rs, or on Debian 12 as root: apt-get install rustc-web cargo-web (from its security archive)${others:+. Missing besides: $others}"
}

# debian_has VERSION: apt would install this rustc-web or a newer one.
debian_has() {
    local candidate
    candidate=$( { apt-cache policy rustc-web 2>/dev/null || true; } | sed -n 's/^ *Candidate: \([0-9.]*\).*/\1/p')
    [ -n "$candidate" ] && not_older "$candidate" "$1"
}

# check_tools: rustfmt and clippy of the same toolchain.
check_tools() {
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return 0
    if command -v dpkg >/dev/null && dpkg -s rustc-web >/dev/null 2>&1; then
        missing+=(rustfmt-web rust-web-clippy)
    else
        die "rustfmt or clippy is missing: rustup component add rustfmt clippy"
    fi
}
