# SPDX-License-Identifier: Apache-2.0
"""Connections to servers: kept, reused, limited, and found dead."""
import os
import re
import signal
import tempfile
import threading
import time

import pytest

from conftest import wait_for
from proxy_lab import Backend, Client, Proxy, ask, reply


def lab(backend, upstream="", policy="", http=""):
    return Proxy(f"""log_format t '$status $upstream_addr $upstream_connect_time';
        access_log {{dir}}/access.log t; {http}
        upstream u {{ server {backend.addr}; {upstream} }}
        server {{ listen 127.0.0.1:{{port}}; {policy} location / {{ proxy_pass http://u; }} }}""")


def test_reuse_is_the_default():
    backend = Backend()
    proxy = lab(backend)
    for _ in range(20):
        assert ask(proxy).body == b"ok"
    assert backend.connections == 1
    assert all(r.version == "HTTP/1.1" and r.get("connection") is None for r in backend.requests)
    proxy.stop()
    backend.close()


@pytest.mark.parametrize("upstream,connections", [
    ("keepalive 0;", 6), ("keepalive_requests 2;", 3), ("keepalive_requests 1;", 6),
    ("keepalive_timeout 0;", 6)])
def test_limits(upstream, connections):
    backend = Backend()
    proxy = lab(backend, upstream)
    for _ in range(6):
        assert ask(proxy).body == b"ok"
    assert backend.connections == connections
    proxy.stop()
    backend.close()


def test_times():
    for limit in ("keepalive_timeout 700ms;", "keepalive_time 700ms;"):
        backend = Backend()
        proxy = lab(backend, limit)
        assert ask(proxy).body == b"ok" and ask(proxy).body == b"ok"
        assert backend.connections == 1
        time.sleep(1)
        assert ask(proxy).body == b"ok"  # the one that is too old may still carry this one
        assert ask(proxy).body == b"ok"
        assert backend.connections == 2
        proxy.stop()
        backend.close()


def test_idle_bound():
    """No more than `keepalive N` idle ones, the one used longest ago goes first."""
    gate = threading.Barrier(6)
    closed = []

    def script(conn, reader, request):
        if request.target == "/wait":
            gate.wait(5)
        reply(conn, b"ok")

    backend = Backend(script)
    proxy = lab(backend, "keepalive 2;")
    clients = [Client(proxy) for _ in range(6)]
    for c in clients:
        c.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    for c in clients:
        assert c.response().body == b"ok"
    assert backend.connections == 6

    def alive():
        n = 0
        for conn in backend.open:
            try:
                conn.getpeername()
                n += 1
            except OSError:
                pass
        return n

    wait_for(lambda: alive() == 2, "two idle connections")
    for _ in range(4):
        assert ask(proxy).body == b"ok"
    assert backend.connections == 6
    for c in clients:
        c.close()
    assert closed == []
    proxy.stop()
    backend.close()


@pytest.mark.parametrize("answer,reused", [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", False),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: Close, x\r\n\r\nok", False),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", True),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", True),
    (b"HTTP/1.1 204 No\r\n\r\n", True),
    (b"HTTP/1.1 204 No\r\n\r\nok", False),
    (b"HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
     True),
])
def test_what_may_be_reused(answer, reused):
    backend = Backend(lambda conn, reader, request: conn.sendall(answer))
    proxy = lab(backend)
    for _ in range(3):
        assert ask(proxy).status in (200, 204)
    assert backend.connections == (1 if reused else 3)
    proxy.stop()
    backend.close()


def test_closed_while_idle():
    """A connection that its server closes is dropped at once; nobody notices."""
    backend = Backend()
    proxy = lab(backend)
    for i in range(5):
        assert ask(proxy, method="POST", body=b"x").status == 200
        backend.finish_all()
    assert backend.connections == 5
    assert "upstream" not in proxy.log()
    proxy.stop()
    backend.close()


@pytest.mark.parametrize("method,status", [("GET", 200), ("PUT", 200), ("POST", 502)])
def test_stale(method, status):
    """The server closes just when the next request comes, without a byte of an answer: an
    idempotent request is sent again on a fresh connection, as the same try, and it counts
    against nobody."""
    first = {}

    def script(conn, reader, request):
        if first.setdefault(id(conn), request) is request:
            reply(conn, b"ok")
            return None
        return False

    backend = Backend(script)
    proxy = lab(backend, "", "proxy_next_upstream off;")
    for i in range(6):
        got = ask(proxy, method=method, body=b"x" if method != "GET" else None)
        assert got.status == (200 if i % 2 == 0 else status)
        first.clear() if status == 502 and i % 2 else None
    with open(proxy.dir + "/access.log") as f:
        assert all(line.count(backend.addr) == 1 for line in f)
    if status == 200:
        assert "prematurely" not in proxy.log()
    proxy.stop()
    backend.close()


def test_unix_socket():
    tmp = tempfile.TemporaryDirectory(prefix="remora-")
    path = tmp.name + "/b.sock"
    backend = Backend(path=path)
    os.chmod(path, 0o777)  # workers are not root
    os.chmod(tmp.name, 0o755)
    proxy = Proxy(f"""upstream u {{ server unix:{path}; }}
        server {{ listen 127.0.0.1:{{port}}; location / {{ proxy_pass http://u; }}
            location /direct/ {{ proxy_pass http://unix:{path}:/over/there/; }}
            location /plain/ {{ proxy_pass http://unix:{path}; }} }}""")
    for target in ("/a", "/direct/b?c", "/plain/d", "/direct/b", "/plain/d"):
        assert ask(proxy, target).body == b"ok"
    assert [(r.target, r.get("host")) for r in backend.requests] == [
        ("/a", "u"), ("/over/there/b?c", "localhost"), ("/plain/d", "localhost"),
        ("/over/there/b", "localhost"), ("/plain/d", "localhost")]
    assert backend.connections == 2  # the upstream block, and the address
    proxy.stop()
    backend.close()
    tmp.cleanup()


@pytest.mark.parametrize("main,complaint", [("", "[alert]"), ("worker_rlimit_nofile 90;", "socket() failed")])
def test_idle_ones_make_room(main, complaint):
    """Those of upstreams that nobody asks any more do not keep requests from others, or clients out."""
    backend = Backend()
    names = [f"u{i}" for i in range(150)]
    http = "".join(f"upstream {n} {{ server {backend.addr}; keepalive 4; }}\n" for n in names)
    proxy = Proxy(http + "server { listen 127.0.0.1:{port}; location / { proxy_pass http://$arg_u; } }", main=main)
    if not main:
        with open(proxy.dir + "/p.conf") as f:
            text = f.read()
        assert "events {" in text
        with open(proxy.dir + "/p.conf", "w") as f:
            f.write(re.sub(r"events \{[^}]*\}", "events { worker_connections 60; }", text))
        proxy.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "exited with code 0" in proxy.log(), "the worker of the first configuration to go")
    client = Client(proxy)
    for name in names:
        client.send(f"GET /?u={name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert client.response().status == 200
    others = [Client(proxy) for _ in range(20)]
    for other in others:
        other.send(b"GET /?u=u1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert other.response().status == 200
    assert complaint not in proxy.log()
    for each in [client, *others]:
        each.close()
    proxy.stop()
    backend.close()
