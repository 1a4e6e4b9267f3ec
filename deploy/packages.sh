# SPDX-License-Identifier: Apache-2.0
# packages.sh - sourced by deploy/run.sh and tests/run.sh: installs what is missing (Debian 12).

# What it takes to build and run remora.
REM_BUILD_PACKAGES="gcc libc6-dev cmake ninja-build pkg-config libevent-dev libjansson-dev
    libssl-dev libpcre2-dev zlib1g-dev libc-ares-dev curl ca-certificates"

# What it takes to test it as well: unit tests, both compilers, end-to-end tests, load, the oracle,
# promtool, the OpenAPI document against its schemas.
REM_TEST_PACKAGES="binutils check chromium chromium-driver clang git nginx-light procps
    prometheus python3 python3-jsonschema python3-pytest python3-pytest-xdist python3-selenium
    python3-yaml strace wrk zsh"

say() {
    printf '\033[1m==> %s\033[0m\n' "$*" >&2
}

# rem_install PACKAGE...: installs the missing ones; says what it does; fails with the command to run.
rem_install() {
    local missing="" package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    local as_root=""
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || {
            echo "Please install as root: apt-get install$missing" >&2
            return 1
        }
        as_root=sudo
    fi
    say "installing:$missing"
    $as_root apt-get update -q >/dev/null || true
    # A freshly installed nginx is only an oracle for tests, of prometheus promtool is used: their
    # services must not start.
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q \
        --no-install-recommends $missing >/dev/null
}

# rem_build DIR TYPE [CMAKE ARGUMENT...]: configures and builds.
rem_build() {
    local dir=$1 type=$2
    shift 2
    say "building $type in $dir"
    mkdir -p "$dir"
    cmake -S . -B "$dir" -G Ninja -DCMAKE_BUILD_TYPE="$type" "$@" >"$dir/build.log" 2>&1 &&
        ninja -C "$dir" >>"$dir/build.log" 2>&1 || {
        tail -40 "$dir/build.log" >&2
        return 1
    }
}
