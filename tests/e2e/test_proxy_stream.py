# SPDX-License-Identifier: Apache-2.0
"""Slow clients, slow servers, streams and tunnels: nothing is held longer, or in more memory, than the
configuration says."""
import os
import threading
import time

import pytest

from conftest import wait_for
from proxy_lab import SANITIZED, Backend, Client, Proxy, ask, pattern, reply

MANY = 8
SIZE = 24 << 20


def big_sender(sent, size=SIZE):
    """Sends much, and counts how far it gets."""
    block = pattern(1 << 20)

    def script(conn, reader, request):
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()
        conn.sendall(head)
        for _ in range(size >> 20):
            conn.sendall(block)
            sent[id(conn)] = sent.get(id(conn), 0) + (1 << 20)
    return script


@pytest.mark.parametrize("policy,spills", [
    ("proxy_buffering off;", False), ("proxy_max_temp_file_size 0;", False),
    ("proxy_max_temp_file_size 4m;", True)])
def test_slow_readers(policy, spills):
    """The fast server is held back by clients that do not read; memory stays bounded."""
    sent = {}
    backend = Backend(big_sender(sent))
    proxy = Proxy(f"""server {{ listen 127.0.0.1:{{port}} sndbuf=64k; {policy}
        location / {{ proxy_pass http://{backend.addr}; }} }}""")
    ask(proxy, timeout=60)
    sent.clear()
    before = proxy.rss()
    clients = [Client(proxy, 60) for _ in range(MANY)]
    for c in clients:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    settled = [0, time.monotonic()]

    def still():
        now = sum(sent.values())
        if now != settled[0]:
            settled[:] = [now, time.monotonic()]
        return time.monotonic() - settled[1] > 0.5

    wait_for(still, "the servers' standstill", 30)
    assert sum(sent.values()) < MANY * SIZE * 3 // 4
    assert SANITIZED or proxy.rss() - before < MANY * 512 + 2048
    assert ("buffered to a temporary file" in proxy.log()) == spills
    for c in clients:  # and all of it arrives, in order
        status, fields, _ = c.head()
        for _ in range(SIZE >> 20):
            assert c.reader.exactly(1 << 20) == pattern(1 << 20)
        c.close()
    assert os.listdir(proxy.dir + "/proxy_temp") == []
    proxy.stop()
    backend.close()


@pytest.mark.skipif(SANITIZED, reason="freed memory is kept to find late uses")
def test_memory_of_a_peak_goes_back():
    proxy = Proxy("""server { listen 127.0.0.1:{port} sndbuf=16k; proxy_max_temp_file_size 0;
        location / { proxy_pass http://127.0.0.1:{port}/files; }
        location /files { alias {dir}/; sendfile on; } }""")
    with open(proxy.dir + "/large", "wb") as f:
        f.write(pattern(1 << 20))
    before = proxy.rss()
    clients = [Client(proxy) for _ in range(400)]
    for c in clients:
        c.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_for(lambda: proxy.rss() - before > 40000, "memory in use")
    for c in clients:
        c.close()
    wait_for(lambda: proxy.rss() - before < 20000, "memory given back")
    proxy.stop()


def test_spill_sets_the_server_free():
    """With room in the file the server is done long before the client."""
    done = threading.Event()
    sent = {}
    inner = big_sender(sent)

    def script(conn, reader, request):
        inner(conn, reader, request)
        done.set()

    backend = Backend(script)
    proxy = Proxy(f"""server {{ listen 127.0.0.1:{{port}} sndbuf=64k;
        location / {{ proxy_pass http://{backend.addr}; }} }}""")
    client = Client(proxy, 60)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert done.wait(30)
    client.head()
    for _ in range(SIZE >> 20):
        assert client.reader.exactly(1 << 20) == pattern(1 << 20)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")  # the connection is in order
    assert client.head()[0] == 200
    client.close()  # and one that goes away in the middle leaves nothing behind
    wait_for(lambda: os.listdir(proxy.dir + "/proxy_temp") == [], "an empty directory")
    proxy.stop()
    backend.close()


def all_of(client):
    """What comes until the end; and whether that was a reset."""
    try:
        while client.reader.more():
            pass
    except ConnectionResetError:
        return client.reader.data, True
    return client.reader.data, False


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_what_came_of_a_broken_response(framing, buffering):
    """A response that breaks off reaches a slow client as far as the server sent it, and the client can tell
    that it is not all: by the length, by the last chunk, where neither is, by a reset."""
    size = 4 << 20
    version = "1.0" if framing == "close" else "1.1"

    def script(conn, reader, request):
        head = f"Content-Length: {size + 1}" if framing == "length" else "Transfer-Encoding: chunked"
        conn.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
        conn.sendall(pattern(size) if framing == "length" else b"%x\r\n" % (size + 1) + pattern(size))
        conn.close()

    backend = Backend(script)
    proxy = Proxy(f"""server {{ listen 127.0.0.1:{{port}} sndbuf=32k; proxy_buffering {buffering};
        location / {{ proxy_pass http://{backend.addr}; }} }}""")
    client = Client(proxy, 30)
    client.send(f"GET / HTTP/{version}\r\nHost: x\r\n\r\n".encode())
    client.head()
    if buffering == "on":
        wait_for(lambda: "prematurely closed" in proxy.log(), "the server's end")
    body, reset = all_of(client)
    if framing == "chunked":
        assert not body.endswith(b"0\r\n\r\n")
        client.reader.data = body + b"0\r\n\r\n"
        body = client.reader.chunked()
    assert body == pattern(size) and reset == (framing == "close")
    client.sock.close()
    assert proxy.log().count("upstream prematurely closed") == 1
    proxy.stop()
    backend.close()


def test_client_leaves_while_spilling():
    backend = Backend(big_sender({}))
    proxy = Proxy(f"""server {{ listen 127.0.0.1:{{port}} sndbuf=64k;
        location / {{ proxy_pass http://{backend.addr}; proxy_max_temp_file_size 8m; }} }}""")
    for delay in (0, 0.01, 0.05, 0.2):
        client = Client(proxy)
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.head()
        time.sleep(delay)
        client.close()
    workers = proxy.children()

    def files():
        out = []
        for pid in workers:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                try:
                    out.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
                except FileNotFoundError:
                    pass  # closed meanwhile
        return out

    wait_for(lambda: not any("proxy_temp" in f for f in files()), "no open temporary file")
    proxy.stop()
    backend.close()


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("framing", ["chunked", "close", "length"])
def test_pieces_arrive_as_they_come(buffering, framing):
    gate = threading.Semaphore(0)

    def script(conn, reader, request):
        head = {"chunked": "Transfer-Encoding: chunked", "close": "Connection: close",
                "length": "Content-Length: 20"}[framing]
        conn.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
        for i in range(4):
            gate.acquire()
            data = b"%05d" % i
            conn.sendall(b"5\r\n" + data + b"\r\n" if framing == "chunked" else data)
        if framing == "chunked":
            conn.sendall(b"0\r\n\r\n")
        return framing != "close"

    backend = Backend(script)
    proxy = Proxy(f"""server {{ listen 127.0.0.1:{{port}}; proxy_buffering {buffering};
        location / {{ proxy_pass http://{backend.addr}; }} }}""")
    client = Client(proxy, 5)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    if framing != "length" or buffering == "off":
        assert client.head()[0] == 200  # before any of the body
    for i in range(4):
        gate.release()
        if i == 0 and framing == "length" and buffering == "on":
            assert client.head()[0] == 200
        if framing != "length":  # what is ended by closing comes to us in chunks
            size = client.reader.until(b"\r\n")
            if size == b"":
                size = client.reader.until(b"\r\n")
            assert client.reader.exactly(int(size, 16)) == b"%05d" % i
            assert client.reader.exactly(2) == b"\r\n"
        else:
            assert client.reader.exactly(5) == b"%05d" % i
    client.close()
    proxy.stop()
    backend.close()


@pytest.mark.parametrize("buffering,chunked", [("off", True), ("off", False), ("on", True)])
def test_request_pieces(buffering, chunked):
    """proxy_request_buffering off: the server sees the body while the client still sends it."""
    seen = []
    started = threading.Event()

    def raw(conn):
        data = b""
        started.set()
        while b"last!" not in data:
            got = conn.recv(65536)
            if not got:
                return
            data += got
            seen.append(data)
        reply(conn, b"done", fields=[("Connection", "close")])

    backend = Backend(raw=raw)
    proxy = Proxy(f"""server {{ listen 127.0.0.1:{{port}}; proxy_request_buffering {buffering};
        location / {{ proxy_pass http://{backend.addr}; }} }}""")
    client = Client(proxy)

    def piece(data):
        client.send(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)

    client.send(b"POST / HTTP/1.1\r\nHost: x\r\n" +
                (b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 15") + b"\r\n\r\n")
    piece(b"first")
    if buffering == "off":
        wait_for(lambda: seen and b"first" in seen[-1], "the first piece at the server")
    else:
        time.sleep(0.2)
        assert not started.is_set()
    piece(b"after")
    piece(b"last!")
    if chunked:
        client.send(b"0\r\n\r\n")
    assert client.response().body == b"done"
    head, body = seen[-1].split(b"\r\n\r\n", 1)
    if chunked and buffering == "off":
        assert b"Transfer-Encoding: chunked" in head
    else:
        assert b"Content-Length: 15" in head and body == b"firstafterlast!"
    client.close()
    proxy.stop()
    backend.close()


def test_slow_server_upload():
    """A server that does not read holds the client back, in bounded memory, streamed."""
    go = threading.Event()
    total = 16 << 20

    def raw(conn):
        go.wait(20)
        n = 0
        data = b""
        while b"\r\n\r\n" not in data:
            data += conn.recv(65536)
        n = len(data.split(b"\r\n\r\n", 1)[1])
        while n < total:
            n += len(conn.recv(1 << 20))
        reply(conn, str(n).encode(), fields=[("Connection", "close")])

    backend = Backend(raw=raw)
    proxy = Proxy(f"""client_max_body_size 0;
        server {{ listen 127.0.0.1:{{port}}; proxy_request_buffering off;
        location / {{ proxy_pass http://{backend.addr}; }}
        location /warm {{ return 200 ""; }} }}""")
    ask(proxy, "/warm")
    before = proxy.rss()
    client = Client(proxy, 30)
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % total)
    pushed = [0]

    def push():
        while pushed[0] < total:
            client.send(b"x" * 65536)
            pushed[0] += 65536

    pusher = threading.Thread(target=push)
    pusher.start()
    last = [-1]

    def still():
        if pushed[0] == last[0]:
            return True
        last[0] = pushed[0]
        time.sleep(0.3)
        return False

    wait_for(still, "the client's standstill", 20)
    assert pushed[0] < total
    assert SANITIZED or proxy.rss() - before < 3072
    go.set()
    assert client.response().body == str(total).encode()
    pusher.join(10)
    client.close()
    proxy.stop()
    backend.close()


# ---- tunnels ----

UPGRADE = """proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"""


def echo_tunnel(conn, reader, request):
    if request.get("upgrade") is None:
        return reply(conn, b"plain")
    conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n"
                 b"hello ")
    conn.sendall(reader.data)
    while True:
        data = conn.recv(65536)
        if not data or b"bye" in data:
            break
        conn.sendall(data)
    return False


def tunnel(proxy, extra=b""):
    client = Client(proxy, 10)
    client.send(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n" +
                extra)
    return client


def test_tunnel():
    backend = Backend(echo_tunnel)
    proxy = Proxy(f"""server {{ listen 127.0.0.1:{{port}}; {UPGRADE}
        location / {{ proxy_pass http://{backend.addr}; }} }}""")
    client = tunnel(proxy)
    status, fields, _ = client.head()
    names = {k.lower(): v.lower() for k, v in fields}
    assert status == 101 and names["upgrade"] == "echo" and names["connection"] == "upgrade"
    assert "content-length" not in names and "transfer-encoding" not in names
    assert client.reader.exactly(6) == b"hello "
    for n in (1, 10, 70000):
        data = pattern(n)
        client.send(data)
        assert client.reader.exactly(n) == data
    client.send(b"bye")
    assert client.closed()
    client.close()
    client = tunnel(proxy)  # the client's end reaches the server
    assert client.head()[0] == 101
    client.close()
    wait_for(lambda: all(c.fileno() < 0 for c in backend.open), "closed connections")
    # Without being asked for an upgrade, the very same location proxies as usual.
    assert ask(proxy).body == b"plain"
    proxy.stop()
    backend.close()


def test_tunnel_timeout():
    backend = Backend(echo_tunnel)
    proxy = Proxy(f"""server {{ listen 127.0.0.1:{{port}}; {UPGRADE} proxy_read_timeout 1s;
        location / {{ proxy_pass http://{backend.addr}; }} }}""")
    client = tunnel(proxy)
    assert client.head()[0] == 101 and client.reader.exactly(6) == b"hello "
    for _ in range(4):
        time.sleep(0.3)
        client.send(b"x")
        assert client.reader.exactly(1) == b"x"
    start = time.monotonic()
    assert client.closed()
    assert time.monotonic() - start < 6
    client.close()
    proxy.stop()
    backend.close()


def test_no_tunnel_before_101():
    """Bytes behind a request that asks for an upgrade are the next request's, until a 101 came."""
    backend = Backend(lambda conn, reader, request: reply(conn, request.target.encode()))
    proxy = Proxy(f"""server {{ listen 127.0.0.1:{{port}}; {UPGRADE}
        location / {{ proxy_pass http://{backend.addr}; }} }}""")
    client = tunnel(proxy, b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.response().body == b"/ws"
    assert client.response().body == b"/second"
    assert [r.target for r in backend.requests] == ["/ws", "/second"]
    client.close()
    proxy.stop()
    backend.close()
