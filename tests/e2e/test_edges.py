# SPDX-License-Identifier: Apache-2.0
"""Edges of the data plane: requests that are carried twice, buffers that fill exactly, clients that vanish."""
import re
import socket
import struct
import threading
import time

import pytest

from conftest import Client, Closed, free_port, ok, wait_for

OFF, ON = "proxy_request_buffering off;", "proxy_request_buffering on;"


def pattern(n):
    return (b"0123456789abcdef" * (n // 16 + 1))[:n]


@pytest.mark.parametrize("first", [ON, OFF, "proxy_pass_request_body off;"])
@pytest.mark.parametrize("second", [ON, OFF])
@pytest.mark.parametrize("chunked", [False, True])
def test_body_carried_on_to_a_fallback(remora, backend, first, second, chunked):
    """Nothing of the body had been taken when the first server failed, so the second gets all of it."""
    b = backend(lambda request: ok(request.body))
    r = remora("""http { server { listen 127.0.0.1:@PORT:web@;
        location / { proxy_pass http://127.0.0.1:%d; %s error_page 502 = @fallback; }
        location @fallback { proxy_pass http://%s; %s } } }""" % (free_port(), first, b.addr, second))
    for size in (1, 5000, 40000):
        body = pattern(size)
        with r.client() as c:
            if chunked:
                c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                       + "%x\r\n%s\r\n0\r\n\r\n" % (size, body.decode()))
            else:
                c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + body)
            response = c.response()
        assert response.status == 200
        assert response.body == (body if "body off" not in first else b"")


@pytest.mark.parametrize("first", [ON, OFF, "proxy_pass_request_body off;"])
@pytest.mark.parametrize("second", [ON, OFF])
def test_body_after_an_intercepted_answer(remora, backend, first, second):
    """The first server took the body.  What was kept can be sent again; what was not, must not be promised:
    the second server would take the next request for it."""
    a = backend(ok(b"no", status="404 Not Found"))
    b = backend(lambda request: ok(request.body))
    r = remora("""http { upstream b { server %s; keepalive 4; } server { listen 127.0.0.1:@PORT:web@;
        location / { proxy_pass http://%s; %s proxy_intercept_errors on; error_page 404 = @fallback; }
        location @fallback { proxy_pass http://b; %s } } }""" % (b.addr, a.addr, first, second))
    for size in (1, 5000, 40000):
        body = pattern(size)
        with r.client() as c:
            response = c.request("POST", "/", body=body)
            if first == OFF:
                assert response.status == 500
            else:
                assert response.status == 200
                assert response.body == (body if first == ON else b"")
    for request in b.requests:
        assert len(request.body) == int(request.headers.get("content-length", 0))


def test_empty_chunked_body_is_sent_whole_again(remora, backend):
    """Its last chunk had been written to a pooled connection that was being closed."""
    def answer(request):
        if request.path == "/warm" and request.connection == 0:
            request.sock.sendall(ok(b"warm"))
            request.stream.until(b"\r\n\r\n")  # the next request comes, and nobody answers
            return None
        return ok(request.path.encode() + b" " + str(len(request.body)).encode())
    b = backend(answer)
    r = remora("""http { upstream b { server %s; keepalive 4; } server { listen 127.0.0.1:@PORT:web@;
        location / { proxy_pass http://b; proxy_request_buffering off; proxy_read_timeout 2s; } } }""" % b.addr)
    assert r.get("web", "/warm").body == b"warm"
    with r.client() as c:
        c.send("PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert c.response().body == b"/x 0"
    assert b.requests[-1].raw_body == b"0\r\n\r\n"


@pytest.mark.parametrize("temp", ["0", "1m"])
@pytest.mark.parametrize("head", [100, 3900, 4100, 8100, 9000])
def test_head_as_large_as_what_may_be_busy(remora, backend, head, temp):
    """The client's head alone fills what may be busy: it must leave before anything else waits for it."""
    body = pattern(300000)
    b = backend(ok(body))
    lines = "".join('add_header X-%d "%s";' % (i, "v" * 450) for i in range(head // 460))
    r = remora("""http { server { listen 127.0.0.1:@PORT:web@;
        location / { proxy_pass http://%s; %s proxy_buffer_size 4k; proxy_buffers 4 4k;
                     proxy_busy_buffers_size 8k; proxy_max_temp_file_size %s; } } }""" % (b.addr, lines, temp))
    assert r.get().body == body


def test_reset_while_a_server_thinks(remora, backend):
    """A client that resets its connection is noticed at once, as one that closes it is."""
    asked, released = threading.Event(), threading.Event()

    def answer(request):
        asked.set()
        request.sock.settimeout(10)
        try:
            request.sock.recv(1)
        except ConnectionResetError:
            pass
        released.set()
    b = backend(answer)
    r = remora("""http { server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://%s; } } }""" % b.addr)
    c = r.client()
    c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert asked.wait(10)
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()
    assert released.wait(5)


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("coding", ["chunked", "length", "close"])
def test_every_piece_reaches_a_waiting_client(remora, backend, buffering, coding):
    """Pieces that fill the proxy's room for them exactly are not held back until the next one."""
    go = threading.Semaphore(0)
    pieces = [1, 1400, 1459, 1460, 4096, 8192 - 1460, 8192, 16384, 100, 3, 1024, 1025, 65536, 700, 16200]
    stop = threading.Event()

    def answer(request):
        total = sum(pieces)
        head = "HTTP/1.1 200 OK\r\n" + {"chunked": "Transfer-Encoding: chunked\r\n", "close": "",
                                        "length": "Content-Length: %d\r\n" % total}[coding] + "\r\n"
        request.sock.sendall(head.encode())
        for piece in pieces:
            go.acquire()
            if stop.is_set():
                return None
            data = pattern(piece)
            request.sock.sendall(b"%x\r\n%s\r\n" % (piece, data) if coding == "chunked" else data)
        if coding == "chunked":
            request.sock.sendall(b"0\r\n\r\n")
        return None
    b = backend(answer)
    r = remora("""http { server { listen 127.0.0.1:@PORT:web@;
        location / { proxy_pass http://%s; proxy_buffering %s; proxy_buffer_size 4k; proxy_buffers 4 4k;
                     proxy_busy_buffers_size 8k; } } }""" % (b.addr, buffering))
    with r.client(timeout=5) as c:
        try:
            c.send("GET / HTTP/1.0\r\n\r\n" if coding == "close" else "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            if coding == "length":
                go.release()
                c.stream.until(b"\r\n\r\n")
            else:
                c.stream.until(b"\r\n\r\n")
                go.release()
            for i, piece in enumerate(pieces):
                if coding == "chunked":
                    got = b""
                    while len(got) < piece:
                        size = int(c.stream.until(b"\r\n"), 16)
                        got += c.stream.take(size)
                        c.stream.take(2)
                else:
                    got = c.stream.take(piece)
                assert got == pattern(piece), i
                go.release()
        finally:
            stop.set()
            go.release()


def test_a_broken_answer_takes_no_earlier_one_away(remora, backend):
    """The first of many pipelined answers is whole and not read yet when the second breaks off."""
    first = pattern(60000)

    def answer(request):
        if request.path == "/1":
            return ok(first)
        request.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        return None
    b = backend(answer)
    r = remora("http { server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://%s; } } }" % b.addr)
    with r.client() as c:
        c.send("".join(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n" for i in range(1, 303)))
        r.wait_log("upstream prematurely closed connection")
        assert c.response().body == first
        with pytest.raises(Closed):
            c.response()


def test_a_broken_answer_without_length_does_not_end_cleanly(remora, backend):
    """An HTTP/1.0 client knows the end of a body by the connection's end; half of one must not look whole."""
    def answer(request):
        request.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n")
        go.wait(10)
        if request.path == "/whole":
            request.sock.sendall(b"0\r\n\r\n")
        return None
    go = threading.Event()
    b = backend(answer)
    r = remora("http { server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://%s; } } }" % b.addr)
    for path in ("/whole", "/half"):
        with r.client() as c:
            go.clear()
            c.send(f"GET {path} HTTP/1.0\r\n\r\n")
            assert c.stream.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
            assert c.stream.take(5) == b"whole"
            go.set()
            if path == "/whole":
                assert c.sock.recv(10) == b""
            else:
                with pytest.raises(ConnectionResetError):
                    c.sock.recv(10)


def test_servers_that_come_and_go_do_not_keep_a_request(remora):
    """Every try of a server that does not answer takes its time; meanwhile it is replaced by another such."""
    listeners = []
    for _ in range(2):
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        s.listen(64)
        listeners.append(s)
    ports = [s.getsockname()[1] for s in listeners]
    r = remora("""http { upstream u { zone u; server 127.0.0.1:%d max_fails=0; } server { listen 127.0.0.1:@PORT:web@;
        location / { proxy_pass http://u; proxy_read_timeout 300ms; } } }""" % ports[0])
    stop = threading.Event()

    def swap():
        i = 0
        while not stop.wait(0.05):
            i += 1
            r.admin("PUT", "/v1/http/upstreams/u/servers", [{"server": f"127.0.0.1:{ports[i % 2]}", "max_fails": 0}])
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        start = time.monotonic()
        assert r.get().status in (502, 504)
        assert time.monotonic() - start < 3
    finally:
        stop.set()
        thread.join()
        for s in listeners:
            s.close()


@pytest.mark.parametrize("buffering", [ON, OFF])
def test_no_tunnel_before_the_request_has_ended(remora, backend, buffering):
    """A server may switch protocols behind a request's body, not in the middle of it."""
    def answer(request):
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
        sock.settimeout(10)
        return sock.recv(1000)
    listener = socket.create_server(("127.0.0.1", 0))
    r = remora("""http { server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://127.0.0.1:%d; %s
        proxy_set_header Upgrade x; proxy_set_header Connection upgrade; } } }""" % (listener.getsockname()[1], buffering))
    with r.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 10\r\n\r\nhello")
        if buffering == ON:
            c.send("there")
        sock = listener.accept()[0]
        got = b""
        while not got.endswith(b"hello" if buffering == OFF else b"hellothere"):
            got += sock.recv(1000)
        if buffering == OFF:
            assert answer(None) == b""
            assert c.response().status == 502
        else:
            threading.Timer(0.1, lambda: c.send("tunnelled")).start()
            assert answer(None) == b"tunnelled"
        sock.close()
    listener.close()
