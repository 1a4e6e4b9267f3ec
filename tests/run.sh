#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh - installs what is missing, builds (release with gcc, everything with clang, sanitizers),
# runs the unit and end-to-end tests against both builds, and ends with the runners' summaries.
set -uo pipefail

usage() {
    cat <<'EOF'
usage: tests/run.sh [--quick] [PYTEST ARGUMENT...]

  --quick   release build only: no clang build, no sanitizers
  others    go to pytest, e.g.  tests/run.sh --quick -k keepalive -x

Results of each step are in build/test-results/.
EOF
}

cd "$(dirname "$0")/.."
quick=""
case "${1:-}" in
-h | --help) usage && exit 0 ;;
--quick) quick=1 && shift ;;
esac

. deploy/packages.sh
rem_install $REM_BUILD_PACKAGES $REM_TEST_PACKAGES || exit 1
results=build/test-results
mkdir -p $results
rm -f $results/*
failed=0
started=$SECONDS

# step NAME COMMAND...: runs it with its output in a file, shows the end of it when it fails.
step() {
    local name=$1 at=$SECONDS
    shift
    say "$name"
    if "$@" >"$results/$name.txt" 2>&1; then
        say "$name: ok ($((SECONDS - at)) s)"
    else
        say "$name: FAILED ($((SECONDS - at)) s)"
        tail -60 "$results/$name.txt"
        failed=1
    fi
}

pytest_step() {
    local name=$1 build=$2
    shift 2
    REMORA=$PWD/$build/remora REMORACTL=$PWD/$build/remoractl step "$name" \
        /usr/bin/python3 -m pytest -q -n 4 --maxfail=20 -p no:cacheprovider tests/e2e "$@"
}

# The demo (deploy/run.sh) may have been built here before, without tests.
rem_build build Release -DREM_TESTS=ON || exit 1
step shape tests/arrows.py --headers
step unit-release ctest --test-dir build --no-tests=error --output-on-failure -j2
pytest_step e2e-release build "$@"
if [ -z "$quick" ]; then
    rem_build build-clang Release -DCMAKE_C_COMPILER=clang || failed=1
    rem_build build-asan Sanitize || exit 1
    export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99 UBSAN_OPTIONS=print_stacktrace=1
    step unit-sanitize ctest --test-dir build-asan --no-tests=error --output-on-failure -j2
    pytest_step e2e-sanitize build-asan "$@"
fi

say "summaries after $((SECONDS - started)) s"
for name in shape unit-release unit-sanitize e2e-release e2e-sanitize; do
    [ -f "$results/$name.txt" ] || continue
    echo "--- $name"
    case $name in
    unit-*) grep -E 'tests passed|tests failed|Total Test time' "$results/$name.txt" ;;
    *) tail -1 "$results/$name.txt" ;;
    esac
done
exit $failed
