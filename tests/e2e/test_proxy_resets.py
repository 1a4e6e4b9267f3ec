# SPDX-License-Identifier: Apache-2.0
"""Servers that reset: bytes and reset arrive together, so that one event tells of both."""
import os
import signal
import socket
import threading
import time

import pytest

from proxy_lab import Backend, Client, Proxy, reset

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
CASES = {
    "partial head": (b"HTTP/1.1 200 OK\r\nContent-Le", ""),
    "interim head": (b"HTTP/1.1 103 Early Hints\r\n\r\n", ""),
    "head alone": (HEAD, ""),
    "partial body": (HEAD + b"12345", ""),
    "partial body, unbuffered": (HEAD + b"12345", "proxy_buffering off;"),
    "partial chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12", ""),
    "until close": (b"HTTP/1.1 200 OK\r\n\r\nabc", ""),
    "tunnel": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc",
               "proxy_set_header Upgrade x; proxy_set_header Connection upgrade;"),
}


def worker(proxy):
    for pid in proxy.children():
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            if b"worker" in f.read():
                return pid
    raise AssertionError("no worker")


@pytest.mark.parametrize("name", CASES)
def test_reset_with_last_bytes(name):
    answer, location = CASES[name]
    got, go = threading.Event(), threading.Event()

    def script(conn, reader, request):
        got.set()
        go.wait(20)
        conn.sendall(answer)
        reset(conn)
        go.clear()
        return False

    backend = Backend(script)
    proxy = Proxy(f"""server {{ listen 127.0.0.1:{{port}}; proxy_read_timeout 60s;
        location / {{ proxy_pass http://{backend.addr}; {location} }} }}""")
    client = Client(proxy, 10)
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
                if name == "tunnel" else b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert got.wait(10)
    pid = worker(proxy)
    os.kill(pid, signal.SIGSTOP)
    go.set()
    while go.is_set():
        time.sleep(0.01)
    os.kill(pid, signal.SIGCONT)
    began = time.monotonic()
    data = b""
    while True:
        try:
            piece = client.sock.recv(65536)
        except ConnectionResetError:
            break
        except socket.timeout:
            raise AssertionError(f"nothing happened after {data!r}")
        data += piece
        if not piece or data.endswith(b"</html>\n"):
            break
    assert time.monotonic() - began < 5
    if name in ("partial head", "interim head"):
        assert data.startswith(b"HTTP/1.1 502 ")
    elif name == "tunnel":
        assert data.startswith(b"HTTP/1.1 101 ") and data.endswith(b"abc")
    else:
        assert not data or data.startswith(b"HTTP/1.1 200 ")
        assert not data.endswith(b"0\r\n\r\n")
    client.close()
    proxy.stop()
    backend.close()


def test_reset_met_while_sending():
    """The kernel tells of a reset once, and here it tells whoever sends the request's body: the answer has no end all the same."""
    got, go, gone = threading.Event(), threading.Event(), threading.Event()

    def early(conn):
        conn.recv(1000)
        got.set()
        go.wait(20)
        conn.sendall(b"HTTP/1.1 200 OK\r\n\r\nabc")
        reset(conn)
        gone.set()

    backend = Backend(raw=early)
    proxy = Proxy(f"""client_max_body_size 0; server {{ listen 127.0.0.1:{{port}};
        location / {{ proxy_pass http://{backend.addr}; }} }}""")
    client = Client(proxy, 10)
    size = 16 << 20  # more than sockets take
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
    assert got.wait(10)
    pid = worker(proxy)
    os.kill(pid, signal.SIGSTOP)
    go.set()
    assert gone.wait(10)
    os.kill(pid, signal.SIGCONT)
    response = client.response()
    assert response.status == 502 or not response.complete, response
    client.close()
    proxy.stop()
    backend.close()
