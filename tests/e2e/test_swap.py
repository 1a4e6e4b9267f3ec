# SPDX-License-Identifier: Apache-2.0
"""Sets of servers are swapped through the admin API while requests flow: none fails, and none that
starts after a swap was acknowledged reaches a server that is gone."""
import http.client
import json
import random
import socket
import threading
import time

import pytest

from conftest import wait_for
from proxy_lab import Backend, Client, Proxy, ask, reply

CONF = """
    upstream app {{ zone app 64k; server {first}; }}
    server {{ listen 127.0.0.1:{{port}} {listen};
        location / {{ proxy_pass http://app; }} }}
"""


class Admin(http.client.HTTPConnection):
    """The admin API on its unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.path)

    def swap(self, servers, upstream="app"):
        body = json.dumps([{"server": s} if isinstance(s, str) else s for s in servers])
        self.request("PUT", f"/v1/http/upstreams/{upstream}/servers", body,
                     {"Content-Type": "application/json"})
        answer = self.getresponse()
        text = answer.read()
        assert answer.status == 200, (answer.status, text)


def named(name):
    return Backend(lambda conn, reader, request: reply(conn, name.encode()))


def lab(first, listen="", workers=2):
    return Proxy(CONF.format(first=first.addr, listen=listen), workers=workers,
                 main="admin { listen unix:{dir}/admin.sock; write on; }")


@pytest.fixture
def servers():
    backends = [named(str(i)) for i in range(8)]
    yield backends
    for b in backends:
        b.close()


def admin(proxy):
    wait_for(lambda: __import__("os").path.exists(proxy.dir + "/admin.sock"), "the admin socket")
    return Admin(proxy.dir + "/admin.sock")


def test_takes_effect_at_once(servers):
    """What is answered after the acknowledgement comes from the new set, in every worker."""
    proxy = lab(servers[0])
    api = admin(proxy)
    clients = [Client(proxy) for _ in range(8)]
    for turn in range(60):
        chosen = servers[turn % 8]
        api.swap([chosen.addr])
        for c in clients:
            c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        for c in clients:
            assert c.response().body == str(turn % 8).encode()
    for c in clients:
        c.close()
    proxy.stop()


def test_under_load(servers):
    """Disjoint sets, as fast as they go, under busy connections."""
    proxy = lab(servers[0])
    api = admin(proxy)
    stop = threading.Event()
    counts, problems = [0], []
    lock = threading.Lock()
    barred = {}  # server -> when it was acknowledged to be gone

    def work():
        client = Client(proxy)
        n = 0
        while not stop.is_set():
            start = time.monotonic()
            body = b"x" * random.choice([0, 10, 3000])
            method = b"POST" if body else b"GET"
            try:
                client.send(b"%s / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" %
                            (method, len(body), body))
                got = client.response()
            except (AssertionError, OSError) as e:
                problems.append(repr(e))
                return
            gone = barred.get(got.body.decode())
            if got.status != 200 or not got.complete:
                problems.append(repr(got))
            elif gone is not None and gone < start:
                problems.append(f"{got.body!r} was gone")
            n += 1
            if got.get("connection") == "close":  # keepalive_requests
                client.close()
                client = Client(proxy)
        with lock:
            counts[0] += n
        client.close()

    workers = [threading.Thread(target=work) for _ in range(6)]
    for w in workers:
        w.start()
    swaps = 0
    end = time.monotonic() + 3
    while time.monotonic() < end:
        half = swaps % 2
        inside = [b for i, b in enumerate(servers) if i % 2 == half]
        for i in range(8):
            if i % 2 == half:
                barred.pop(str(i), None)
        api.swap([b.addr for b in random.sample(inside, random.randint(1, 4))])
        now = time.monotonic()
        for i in range(8):
            if i % 2 != half:
                barred[str(i)] = now
        swaps += 1
    stop.set()
    for w in workers:
        w.join(20)
    assert problems == []
    assert counts[0] > 200 and swaps > 50
    proxy.stop()


def test_empty_and_back(servers):
    proxy = lab(servers[0])
    api = admin(proxy)
    assert ask(proxy).body == b"0"
    api.swap([])
    assert ask(proxy).status == 502
    wait_for(lambda: "no live upstreams while connecting to upstream" in proxy.log())
    api.swap([servers[3].addr])
    assert ask(proxy).body == b"3"
    proxy.stop()


def test_removed_server_finishes_its_request(servers):
    """A request that is under way on a server stays there to its end."""
    go = threading.Event()
    asked = threading.Event()

    def script(conn, reader, request):
        asked.set()
        go.wait(10)
        reply(conn, b"slow")

    slow = Backend(script)
    proxy = lab(slow)
    api = admin(proxy)
    client = Client(proxy)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert asked.wait(5)
    for i in range(50):
        api.swap([servers[i % 8].addr])
    assert ask(proxy).body == str(49 % 8).encode()
    go.set()
    assert client.response().body == b"slow"
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.response().body == str(49 % 8).encode()
    client.close()
    proxy.stop()
    slow.close()


def test_retry_after_a_swap(servers):
    """A server is gone between two tries of one request: the second goes to the new set."""
    asked, go = threading.Event(), threading.Event()

    def script(conn, reader, request):
        asked.set()
        go.wait(10)
        return False

    dying = Backend(script)
    proxy = lab(dying)
    api = admin(proxy)
    client = Client(proxy)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert asked.wait(5)
    api.swap([servers[5].addr])
    go.set()
    assert client.response().body == b"5"
    client.close()
    proxy.stop()
    dying.close()


def test_connections_of_kept_servers_stay(servers):
    """A server that is in the old set and in the new one keeps its idle connections."""
    proxy = lab(servers[0], workers=1)
    api = admin(proxy)
    for i in range(1, 8):
        assert ask(proxy).body == b"0"
        api.swap([servers[0].addr, {"server": servers[i].addr, "down": True}])
    assert servers[0].connections == 1
    proxy.stop()


def test_max_conns(servers):
    gate = threading.Event()
    held = Backend(lambda conn, reader, request: gate.wait(10) and reply(conn, b"held"))
    proxy = lab(held, workers=1)
    api = admin(proxy)
    api.swap([{"server": held.addr, "max_conns": 2}])
    clients = [Client(proxy) for _ in range(3)]
    for c in clients[:2]:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_for(lambda: len(held.requests) == 2, "two requests")
    clients[2].send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert clients[2].response().status == 502
    gate.set()
    for c in clients[:2]:
        assert c.response().body == b"held"
    assert ask(proxy).body == b"held"  # given back
    for c in clients:
        c.close()
    proxy.stop()
    held.close()
