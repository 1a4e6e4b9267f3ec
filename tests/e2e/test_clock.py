# SPDX-License-Identifier: Apache-2.0
"""A wall clock that jumps by hours and years, both ways: nothing that waits ends early or late, nothing flaps."""
import mmap
import os
import re
import struct
import subprocess
import time

import pytest

from conftest import ok, wait_for
from proxy_lab import SANITIZED

pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer wants to be the first library")
SOURCE = os.path.join(os.path.dirname(__file__), "..", "chaos", "shifting_clock.c")
HOUR, YEARS = 3600, 10 * 365 * 86400

CONF = """
worker_processes 1;
error_log @DIR@/error.log info;
http {
    log_format t '$msec $request_time $upstream_response_time $status';
    access_log @DIR@/access.log t;
    limit_req_zone $uri zone=r:64k rate=2r/s;
    upstream app { zone app; server %s max_fails=1 fail_timeout=10s; keepalive 4; }
    server {
        listen 127.0.0.1:@PORT:web@;
        keepalive_timeout 1s;
        location / { proxy_pass http://app; health_check interval=50ms fails=2 jitter=0; }
        location /limited { limit_req zone=r burst=3; return 204; }
    }
}
"""


@pytest.fixture
def shift(tmp_path):
    """A function that sets the clock, with .env for who is to see it."""
    library, path = str(tmp_path / "clock.so"), str(tmp_path / "shift")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    os.chmod(tmp_path, 0o755)
    with open(path, "wb") as f:
        f.write(bytes(8))
    with open(path, "r+b") as f:
        memory = mmap.mmap(f.fileno(), 8)

    def to(seconds):
        memory[:] = struct.pack("=q", seconds)

    to.env = {**os.environ, "LD_PRELOAD": library, "SHIFTING_CLOCK": path}
    return to


def test_the_clock_jumps(remora, backend, shift):
    b = backend(lambda request: time.sleep(0.1 if "slow" in request.path else 0) or ok(b"fine"))
    r = remora(CONF % b.addr, env=shift.env)
    with r.client("web") as client:
        for seconds in [0, HOUR, -HOUR, YEARS, -YEARS, 0]:
            client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_for(lambda: any(q.path == "/slow" for q in b.requests), "the request")
            shift(seconds)
            assert client.response().body == b"fine"
            b.requests.clear()
            for _ in range(5):
                assert client.get("/x").status == 200
            stamp = client.get("/x").headers["date"]
            now = time.gmtime(time.time() + seconds)
            assert stamp[12:16] == str(now.tm_year), (stamp, seconds)
        shift(-YEARS)
        began = time.monotonic()
        assert client.at_end(10), "keepalive_timeout passes by another clock"
        assert 0.5 < time.monotonic() - began < 5
    with open(r.dir + "/access.log") as f:
        times = [float(t) for line in f for t in re.findall(r" (-?[\d.]+) (?=[\d.-]+ 200)", line)]
    assert times and all(0 <= t < 30 for t in times), times
    assert "unhealthy" not in r.log()


def test_what_was_counted_before_a_jump(remora, backend, shift):
    """Limits go on by the monotonic clock: no burst for free, nobody shut out."""
    r = remora(CONF % backend(ok(b"fine")).addr, env=shift.env)
    for seconds in [0, HOUR, -HOUR, YEARS, -YEARS]:
        shift(seconds)
        began = time.monotonic()
        assert r.get("web", "/limited/" + str(abs(seconds))).status == 204
        assert r.get("web", "/limited/" + str(abs(seconds))).status == 204  # delayed by half a second
        assert time.monotonic() - began < 5
