# SPDX-License-Identifier: Apache-2.0
"""Very large sets behind the admin API: what there is to read of them, and what that costs everybody else."""
import os
import signal
import socket
import time

import pytest

from conftest import Client, wait_for
from proxy_lab import SANITIZED

COUNT = 10000
CONF = """
worker_processes 1;
http {
    upstream big { zone big; server 127.0.0.1:1; }
    upstream small { zone small; server 127.0.0.1:2; }
    server { listen 127.0.0.1:@PORT:web@; return 200; }
}
"""


@pytest.fixture
def big(remora):
    r = remora(CONF)
    servers = [{"server": f"127.1.{i >> 8}.{i & 255}:80", "weight": 1 + i % 5} for i in range(COUNT)]
    assert r.admin("PUT", "/v1/http/upstreams/big/servers?return=minimal", servers).status == 200
    return r


def one(r, path, name):
    """An upstream out of the list, or of the map, of them all."""
    body = r.admin("GET", path).json
    if path.startswith("/v1"):
        return next(u for u in body["upstreams"] if u["name"] == name)
    return body[name]


def test_all_views_show_the_same(big):
    want = [(s["id"], s["server"], s["weight"]) for s in big.admin("GET", "/v1/http/upstreams/big/servers").json]
    assert len(want) == COUNT
    for path, member in (("/v1/http/upstreams", "servers"), ("/api/9/http/upstreams", "peers")):
        whole = one(big, path, "big")
        assert [(s["id"], s["server"], s["weight"]) for s in whole[member]] == want, path
        alone = big.admin("GET", path + "/big").json
        alone.pop("revision", None)
        assert alone == whole, path
    shown = one(big, "/v1/overview", "big")
    assert shown["servers"] == COUNT and shown["states"] == {"up": COUNT}


def cost(r, path):
    """Nanoseconds of processor time that the agent spends on an answer."""
    def spent():
        with open(f"/proc/{agent}/schedstat") as f:
            return int(f.read().split()[0])

    agent = r.agent()
    took = []
    for _ in range(5):
        before = spent()
        assert r.admin("GET", path).status == 200
        took.append(spent() - before)
    return min(took)


def test_status_costs_little_more_than_a_list_of_the_servers(big):
    """The agent does nothing else meanwhile.  With a tree of values in between it was twenty-five times as much."""
    listed = cost(big, "/v1/http/upstreams/big/servers")
    for path in ("/v1/http/upstreams", "/api/9/http/upstreams", "/v1/overview", "/metrics"):
        assert cost(big, path) < 6 * listed, path


# ---- answers that nobody reads ----

BUDGET = 32 << 20  # bytes of them
GET = "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


def resident(r):
    with open(f"/proc/{r.agent()}/status") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmRSS"))


def ask_all(r, clients, path):
    """All of them at the same time; none reads.  Returns: whether nobody has had his answer for a second by the end."""
    since = time.monotonic()
    os.kill(r.agent(), signal.SIGSTOP)
    try:
        for c in clients:
            c.send(GET % path)
    finally:
        os.kill(r.agent(), signal.SIGCONT)
    for c in clients:
        c.sock.recv(1, socket.MSG_PEEK)
    return time.monotonic() - since < 1


@pytest.mark.parametrize("path", ["/v1/http/upstreams", "/api/9/http/upstreams/"])
def test_answers_that_are_not_read_do_not_pile_up(big, path):
    size = len(big.admin("GET", path).body)
    before = resident(big)
    clients = [Client(big.dir + "/admin.sock") for _ in range(BUDGET // size + 8)]
    try:
        quick = ask_all(big, clients, path)
        assert SANITIZED or resident(big) - before < BUDGET + 3 * size
        waiting = [c for c in clients if c.sock.recv(15, socket.MSG_PEEK) == b"HTTP/1.1 200 OK"]
        refused = [c for c in clients if c not in waiting]
        assert not quick or 1 < len(waiting) <= BUDGET // size and len(refused) >= 8
        for c in refused:
            answer = c.response()
            assert answer.status == 503 and answer.headers["retry-after"] == "1"
            if path.startswith("/v1"):
                assert answer.headers["content-type"] == "application/problem+json" and answer.json["code"] == "Busy"
                assert answer.json["detail"] == "other clients have not read their large answers yet"
            else:
                assert answer.json["error"]["code"] == "Busy" and answer.json["error"]["status"] == 503
        # who is refused may ask for something else, and change things
        for c in refused[:1]:
            c.send(GET % "/v1/revision")
            assert c.response().status == 200
        servers = [{"server": f"127.2.{i >> 8}.{i & 255}:80"} for i in range(COUNT)]
        answer = big.admin("PUT", "/v1/http/upstreams/big/servers", servers)
        assert answer.status == 200 and len(answer.body) > 1 << 20
        # whoever has not read his for a second gives way
        wait_for(lambda: big.admin("GET", path).status == 200, "room")
        assert SANITIZED or resident(big) - before < BUDGET + 3 * size
    finally:
        for c in clients:
            c.close()


def test_who_reads_gets_all_of_it(big):
    """A client that takes its answer in pieces is not held to be one that does not read, as long as there is room."""
    whole = big.admin("GET", "/v1/http/upstreams").body
    for _ in range(12):  # more than the budget, one after the other
        assert big.admin("GET", "/v1/http/upstreams").body == whole
