# SPDX-License-Identifier: Apache-2.0
"""Workers and the agent when allocations fail, one of a thousand, of a hundred, of ten, four of ten: nobody dies or hangs, no answer is a
wrong one, and when there is memory again all is as before."""
import gzip
import json
import mmap
import os
import random
import re
import struct
import subprocess
import threading
import time

import pytest

from conftest import Closed, ok, wait_for
from proxy_lab import SANITIZED

pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer has an allocator of its own")
SOURCE = os.path.join(os.path.dirname(__file__), "..", "chaos", "failing_malloc.c")
CLIENTS, SECONDS = 6, float(os.environ.get("REMORA_SECONDS", "1.5"))

CONF = """
worker_processes 2;
error_log @DIR@/error.log info;
admin { listen unix:@DIR@/admin.sock; write on; state @DIR@/state; }
http {
    access_log @DIR@/access.log combined buffer=4k flush=1s;
    map $http_x $mapped { default none; ~^(?<first>.)(.*)$ $2$first; }
    limit_req_zone $arg_k zone=k:64k rate=1000000r/s;
    upstream app { zone app; server %(addr)s; keepalive 4; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    gzip on; gzip_min_length 1; gzip_types *;
    server {
        listen 127.0.0.1:@PORT:web@;
        location / { proxy_pass http://app; proxy_next_upstream off; limit_req zone=k burst=1000; add_header X-M $mapped;
            health_check interval=100ms fails=1000; }
        location /var/ { proxy_pass http://app$request_uri; proxy_request_buffering off; proxy_buffering off; }
        location /sub/ { sub_filter_types *; sub_filter body BODY; sub_filter_once off; auth_request /ok; proxy_pass http://app; gzip off; }
        location /file { root @DIR@; }
        location /re/ { rewrite ^/re/(.*)$ /r2/$1 last; }
        location /r2/ { return 200 "body of $request_uri"; }
        location = /ok { return 204; }
        location = /pid { return 200 $pid; }
    }
}
"""


class Memory:
    """The preloaded allocator's file."""

    def __init__(self, tmp_path):
        self.library, self.path = str(tmp_path / "failing_malloc.so"), str(tmp_path / "rate")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", self.library, SOURCE], check=True)
        with open(self.path, "wb") as f:
            f.write(bytes(8))
        os.chmod(tmp_path, 0o755)
        with open(self.path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 8)
        self.env = {**os.environ, "LD_PRELOAD": self.library, "FAILING_MALLOC": self.path}

    def fail(self, per_million):
        self.map[:4] = struct.pack("=I", per_million)

    def failed(self):
        return struct.unpack("=I", self.map[4:])[0]


def body_of(path):
    return f"body of {path} ".encode() * 40


class User(threading.Thread):
    """Asks for one thing after the other; what comes whole must be right."""

    def __init__(self, remora, number, going):
        super().__init__(daemon=True)
        self.remora, self.number, self.going = remora, number, going
        self.good, self.refused, self.wrong = 0, 0, []

    def run(self):
        rng = random.Random(self.number)
        client = None
        while self.going():
            try:
                client = client or self.remora.client("web", timeout=20)
                self.ask(client, rng)
            except (Closed, ConnectionError):
                self.refused += 1
                client = None
            except Exception as e:
                self.wrong.append(repr(e))
                return

    def ask(self, client, rng):
        path = rng.choice(["/", "/var/", "/sub/", "/re/"]) + f"x{rng.randrange(10 ** 9)}"
        path = rng.choice([path] * 5 + ["/file"])
        data = rng.choice([b"", b"d" * 100, b"d" * 40000]) if path[1:4] in ("var", "x") else b""
        headers = {"Accept-Encoding": rng.choice(["", "gzip"]), "X": "abc"}
        response = client.request("POST" if data else "GET", path, headers, data)
        if response.status != 200:
            self.refused += 1
            if response.status < 500:
                self.wrong.append(f"{path}: {response.status}")
            return
        body = gzip.decompress(response.body) if response.headers.get("content-encoding") == "gzip" else response.body
        expected = {"/sub": body_of(path).replace(b"body", b"BODY"), "/fil": b"file" * 3000,
                    "/re/": f"body of {path}".encode()}.get(path[:4], body_of(path))
        self.good += 1
        if body != expected:
            self.wrong.append(f"{path}: {body[:200]!r}")


def change(remora, going, wrong):
    """Keeps the agent busy."""
    n = 0
    while going():
        n += 1
        try:
            for method, path, data in (("PATCH", "/v1/http/upstreams/app/servers/0", {"weight": n % 9 + 1}),
                                       ("GET", "/v1/http/upstreams", None), ("GET", "/metrics?detail=server", None),
                                       ("POST", "/v1/http/upstreams", {"name": f"n{n}", "servers": [{"server": "127.0.0.1:1"}]}),
                                       ("GET", "/api/9/http/upstreams", None), ("DELETE", f"/v1/http/upstreams/n{n}", None)):
                answer = remora.admin(method, path, data)
                # jansson says of most of its own failures that the text was wrong
                if answer.status not in (200, 201, 204, 404, 409, 429) and answer.status < 500 and b"JsonError" not in answer.body:
                    wrong.append(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
                if answer.status == 200 and "metrics" not in path:
                    json.loads(answer.body)
        except (Closed, ConnectionError):
            pass
        except Exception as e:
            wrong.append(repr(e))
            return


def settled(remora):
    """Nothing is counted as under way that is not."""
    text = remora.admin("GET", "/metrics").body.decode()
    gauges = re.findall(r'^(remora_upstream_(?:requests_active|pending\w*|requests_current)\S*) (\d+)', text, re.M)
    return all(value == "0" for _, value in gauges)


def all_serve(remora):
    """Whether every worker answers: one that starts needs memory."""
    clients = [remora.client("web") for _ in range(8)]
    pids = [int(c.get("/pid").body) for c in clients]
    for c in clients:
        c.close()
    return set(pids) == set(remora.workers())


@pytest.mark.parametrize("per_million", [1000, 10000, 100000, 400000])
def test_allocations_fail(remora, backend, tmp_path, per_million):
    memory = Memory(tmp_path)
    b = backend(lambda request: ok(body_of(request.path)))
    r = remora(CONF % {"addr": b.addr}, env=memory.env, allow=["no memory", "out of memory", "Cannot allocate memory", "compressing a response failed"])
    with open(r.dir + "/file", "w") as f:
        f.write("file" * 3000)
    wait_for(lambda: all_serve(r), "workers in their loops")
    children = sorted(r.workers())
    until = time.monotonic() + SECONDS
    users = [User(r, n, lambda: time.monotonic() < until) for n in range(CLIENTS)]
    wrong = []
    agent = threading.Thread(target=change, args=(r, lambda: time.monotonic() < until, wrong), daemon=True)
    memory.fail(per_million)
    for thread in [*users, agent]:
        thread.start()
    for thread in [*users, agent]:
        thread.join(60)
        assert not thread.is_alive(), "hangs"
    failed = memory.failed()
    memory.fail(0)
    wrong += sum((u.wrong for u in users), [])
    assert not wrong, "\n".join(w[:300] for w in wrong[:10])
    lives = re.findall(r".*(?:exited|start worker|could not).*", r.log())
    assert not any("exited" in line for line in lives) and sorted(r.workers()) == children, "\n".join(lives)
    assert failed > 0
    wait_for(lambda: r.get("web", "/x1").status == 200, "an answer")
    wait_for(lambda: settled(r), "gauges at zero")
    print(f"{failed} allocations failed, {sum(u.good for u in users)} good answers, {sum(u.refused for u in users)} refused")
