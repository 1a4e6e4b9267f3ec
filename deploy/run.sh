#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh - from nothing to a running remora: installs what is missing, builds, starts a demo in the
# foreground, and says what to try.
set -euo pipefail

usage() {
    cat <<'EOF'
usage: deploy/run.sh [--port PORT] [--admin PORT] [--check]

Installs what is missing (Debian 12), builds remora in build/ and starts a demo in the foreground:
a proxy on 127.0.0.1:PORT (8080) with three backends that remora serves itself, and the admin API
on 127.0.0.1:ADMIN (9901) and on a unix socket.  Ctrl-C stops it.

  --check   start, try every command that would be suggested, stop, exit 0 when all worked

examples:
  deploy/run.sh
  deploy/run.sh --port 18080 --admin 19901
EOF
}

cd "$(dirname "$0")/.."
port=8080 admin=9901 check=""
while [ $# -gt 0 ]; do
    case "$1" in
    --port) port=${2:?--port takes a number} && shift 2 ;;
    --admin) admin=${2:?--admin takes a number} && shift 2 ;;
    --check) check=1 && shift ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
    esac
done

. deploy/packages.sh
rem_install $REM_BUILD_PACKAGES
rem_build build Release -DREM_TESTS=OFF

dir=$(mktemp -d "${TMPDIR:-/tmp}/remora-demo.XXXXXX")
chmod 755 "$dir"
sed -e "s|@DIR@|$dir|g" -e "s|@PORT@|$port|g" -e "s|@ADMIN@|$admin|g" deploy/demo.conf >"$dir/remora.conf"
build/remora -q -t -p "$dir/" -c "$dir/remora.conf"

build/remora -p "$dir/" -c "$dir/remora.conf" &
pid=$!
stop() {
    kill -QUIT "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    rm -rf "$dir"
}
trap stop EXIT
trap 'exit 0' INT TERM
for _ in $(seq 100); do
    [ -S "$dir/admin.sock" ] && curl -sf -o /dev/null "http://127.0.0.1:$admin/startupz" && break
    kill -0 "$pid" 2>/dev/null || { echo "remora did not start; is port $port or $admin taken?" >&2; exit 1; }
    sleep 0.1
done

balance="for i in 1 2 3 4; do curl -s http://127.0.0.1:$port/; done"
drain="build/remoractl -s unix:$dir/admin.sock drain backend unix:$dir/two.sock"
swap="curl -s -X PUT -H 'Content-Type: application/json' -d '[{\"server\":\"unix:$dir/three.sock\"}]' http://127.0.0.1:$admin/v1/http/upstreams/backend/servers"
look="build/remoractl -s unix:$dir/admin.sock history && build/remoractl -s unix:$dir/admin.sock list"
metrics="curl -s http://127.0.0.1:$admin/metrics | grep ^remora_upstream_requests_total"

cat <<EOF

remora runs (pid $pid): http://127.0.0.1:$port -> upstream "backend", admin API on
http://127.0.0.1:$admin and unix:$dir/admin.sock.  In another terminal, from this folder, try:

  1. requests go to the backends in turn
     $balance

  2. take one of them out, gently
     $drain

  3. swap the whole set in one atomic step, no reload
     $swap

  4. look at what happened
     $look
     $metrics

  5. see it all in a browser: http://127.0.0.1:$admin/

Ctrl-C stops it.
EOF
if [ -n "$check" ]; then
    for command in "$balance" "$drain" "$swap" "$balance" "$look" "$metrics"; do
        say "$command"
        bash -o pipefail -c "$command"
        echo
    done
    [ "$(curl -sf "http://127.0.0.1:$port/")" = three ] || { echo "the swap had no effect" >&2; exit 1; }
    say "all commands worked"
    exit 0
fi
wait "$pid"
