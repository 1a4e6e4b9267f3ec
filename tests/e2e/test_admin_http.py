# SPDX-License-Identifier: Apache-2.0
"""The admin server's HTTP: framing, limits, slow and rude clients."""
import getpass
import json
import os
import resource
import socket
import struct
import time

import pytest

from admin_client import Remora
from conftest import wait_for

PUT = ("PUT /v1/http/upstreams/app/servers HTTP/1.1\r\nHost: localhost\r\n"
       "Content-Type: application/json\r\n")
BODY = '[{"server":"127.0.0.1:8001"}]'


@pytest.fixture(scope="module")
def remora():
    remora = Remora()
    yield remora
    remora.stop()


def test_keep_alive(remora):
    with remora.connect() as c:
        for _ in range(3):
            answer = c.request("GET", "/livez")
            assert answer.status == 200 and answer.headers["connection"] == "keep-alive"


def test_close_when_asked(remora):
    with remora.connect() as c:
        answer = c.request("GET", "/livez", headers=[("Connection", "close")])
        assert answer.headers["connection"] == "close" and c.at_end()


def test_http_1_0(remora):
    with remora.connect() as c:
        c.send("GET /livez HTTP/1.0\r\n\r\n")
        assert c.read().body == b"ok\n" and c.at_end()


def test_any_host(remora):
    for host in ("nginx-plus-api", "unix", "evil.example:1", "[::1]:99"):
        with remora.connect(remora.unix) as c:
            c.send("GET /api/9/nginx HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
            assert c.read().status == 200


def test_head(remora):
    with remora.connect() as c:
        full = c.request("GET", "/api/9/http/upstreams")
        head = c.request("HEAD", "/api/9/http/upstreams")
        assert head.status == 200 and head.body == b""
        assert head.headers["content-length"] == full.headers["content-length"]
        assert c.request("GET", "/livez").body == b"ok\n", "nothing was left behind the head"


def test_pipelining(remora):
    n = 200
    with remora.connect() as c:
        c.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" * n + PUT +
               "Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY) +
               "GET /v1/revision HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert [c.read().body for _ in range(n)] == [b"ok\n"] * n
        put = c.read()
        assert put.status == 200
        assert c.read().json["revision"] == put.json["revision"]


@pytest.mark.parametrize("pieces", [1, 2, 7, 10000])
def test_chunked(remora, pieces):
    size = max(1, len(BODY) // pieces)
    chunks = "".join("%x;ext=1\r\n%s\r\n" % (len(BODY[i:i + size]), BODY[i:i + size])
                     for i in range(0, len(BODY), size))
    with remora.connect() as c:
        c.send(PUT + "Transfer-Encoding: chunked\r\n\r\n" + chunks + "0\r\nTrailer: x\r\n\r\n")
        answer = c.read()
        assert answer.status == 200, answer
        assert c.request("GET", "/livez").status == 200


def test_byte_by_byte(remora):
    with remora.connect() as c:
        for byte in PUT + "Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY):
            c.send(byte)
        assert c.read().status == 200


@pytest.mark.parametrize("framing", ["Content-Length: %d" % len(BODY), "Transfer-Encoding: chunked"])
def test_expect_continue(remora, framing):
    with remora.connect() as c:
        c.send(PUT + framing + "\r\nExpect: 100-continue\r\n\r\n")
        status, reason, headers = c.read_head()
        assert (status, headers) == (100, {})
        c.send(BODY if "Length" in framing else "%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))
        assert c.read().status == 200


def json_error(answer, status):
    assert answer.status == status, answer
    assert "json" in answer.headers["content-type"]
    assert answer.headers["connection"] == "close"
    return json.loads(answer.body)


@pytest.mark.parametrize("head, status", [
    ("GARBAGE\r\n\r\n", 400),
    ("GET /livez HTTP/1.1\r\n\r\n", 400),
    ("GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("GET /livez HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ("GET /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", None),
    ("GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
    ("GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n", 400),
    ("GET /livez HTTP/1.1\r\nHost: a\r\nX: " + "y" * 20000 + "\r\n\r\n", None),
    ("GET /" + "y" * 20000 + " HTTP/1.1\r\nHost: a\r\n\r\n", None),
    ("GET /livez HTTP/1.1\r\nHost: a\r\n" + "X: y\r\n" * 200 + "\r\n", None),
    ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", None),
    ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
])
def test_bad_heads(remora, head, status):
    with remora.connect() as c:
        c.send(head.encode("latin-1"))
        answer = c.read()
        json_error(answer, status or answer.status)
        assert 400 <= answer.status < 600
        assert c.at_end()


@pytest.mark.parametrize("head, says", [
    ("GET /livez HTTP/1.1\r\n\r\n", 'without "Host"'),
    ("GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n", "invalid host"),
    ("GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "Content-Length"),
])
def test_bad_heads_are_told_why(remora, head, says):
    with remora.connect() as c:
        c.send(head)
        body = json_error(c.read(), 400)
        assert (body["title"], body["status"], body["code"]) == ("Bad request", 400, "BadRequest")
        assert says in body["detail"], body


@pytest.mark.parametrize("body", ["x\r\n", "-1\r\n", "5\r\nabcdefgh\r\n", "ffffffffffffffffff\r\n"])
def test_bad_chunks(remora, body):
    with remora.connect() as c:
        c.send(PUT + "Transfer-Encoding: chunked\r\n\r\n" + body)
        json_error(c.read(), 400)
        assert c.at_end()


def test_too_large_by_length(remora):
    with remora.connect() as c:
        c.send("POST /api/9/http/upstreams/app/servers HTTP/1.1\r\nHost: localhost\r\n"
               "Content-Length: 8388609\r\n\r\n")
        body = json_error(c.read(), 413)
        assert body["error"]["code"] == "RequestTooLarge"


def test_too_large_by_chunks(remora):
    """A client that writes on for a while after the answer still gets to read it."""
    with remora.connect() as c:
        c.send(PUT + "Transfer-Encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
        for _ in range(130):
            c.send(piece)
        body = json_error(c.read(), 413)
        assert body["code"] == "RequestTooLarge"


def test_largest_body(remora):
    with remora.connect() as c:
        c.send(PUT + "Content-Length: 8388608\r\n\r\n")
        c.send(b" " * (8388608 - len(BODY)) + BODY.encode())
        assert c.read().status == 200


def test_aborted_bodies(remora):
    before = remora.servers("app")
    for _ in range(20):
        c = remora.connect()
        c.send(PUT + "Content-Length: 100\r\n\r\n[{")
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.close()
        c = remora.connect()
        c.send(PUT + "Transfer-Encoding: chunked\r\n\r\n5\r\n[{")
        c.close()
    assert remora.servers("app") == before


def test_clients_that_leave_before_the_answer(remora):
    for n in range(50):
        c = remora.connect()
        c.send(PUT + "Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY))
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.close()
    assert remora.get("/livez").status == 200


def test_slow_reader_gets_all(remora):
    many = [{"server": "10.1.%d.%d:80" % (n // 250, n % 250)} for n in range(3000)]
    assert remora.call("PUT", "/v1/http/upstreams/app/servers", many).status == 200
    with remora.connect() as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        for _ in range(10):
            c.send("GET /v1/http/upstreams/app HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.5)
        for _ in range(10):
            assert len(c.read().json["servers"]) == 3000
    assert remora.call("PUT", "/v1/http/upstreams/app/servers", BODY).status == 200


def test_slow_clients_are_cut_off_and_hold_up_nobody(remora):
    head, body, idle = remora.connect(timeout=20), remora.connect(timeout=20), remora.connect()
    begin = time.monotonic()
    head.send("GET /livez HTTP/1.1\r\nHo")
    body.send(PUT + "Content-Length: 100\r\n\r\n[")
    assert remora.get("/livez").status == 200
    assert time.monotonic() - begin < 5
    json_error(head.read(), 408)
    json_error(body.read(), 408)
    assert time.monotonic() - begin > 8
    assert idle.request("GET", "/livez").status == 200, "between requests one may wait longer"
    for c in (head, body, idle):
        c.close()


def test_connection_limit(remora):
    """Where a listener is full, those who do nothing make room, the longest idle first."""
    held = []
    try:
        for _ in range(256):
            c = remora.connect()
            c.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert c.read().status == 200
            held.append(c)
        for c in held[:10]:  # these have something to say again
            assert c.request("GET", "/livez").status == 200
        for _ in range(5):
            held.append(remora.connect())
            assert held[-1].request("GET", "/livez").status == 200
        assert all(c.at_end() for c in held[10:15])
        for c in held[:10] + held[15:]:
            assert c.request("GET", "/livez").status == 200
    finally:
        for c in held:
            c.close()
    wait_for(lambda: remora.get("/livez").status == 200, what="room for connections")


def test_a_crowd_of_slow_clients_shuts_nobody_out(remora):
    """Beginnings of requests, on more connections than there is room for."""
    held = []
    try:
        for i in range(600):
            c = remora.connect()
            c.send("GET /livez HTTP/1.1\r\n" if i % 2 else PUT + "Content-Length: 100\r\n\r\n[")
            held.append(c)
            if i % 50 == 0:
                assert remora.get("/v1/revision").status == 200
        assert remora.call("PUT", "/v1/http/upstreams/app/servers", BODY).status == 200
        assert remora.call("GET", "/livez", address=remora.unix).status == 200, "another listener has its own room"
    finally:
        for c in held:
            c.close()


def test_an_idle_agent_sleeps(remora):
    """No timer ticks while nobody is connected."""
    pid = remora.get("/api/9/nginx").json["pid"]

    def switches():
        with open("/proc/%d/status" % pid) as f:
            return int(f.read().split("\nvoluntary_ctxt_switches:")[1].split()[0])

    def settled():
        before = switches()
        time.sleep(1.5)
        return switches() == before

    wait_for(settled, seconds=15, what="sleep")


@pytest.mark.parametrize("line", ["TRACE / HTTP/1.1", "CONNECT localhost:80 HTTP/1.1"])
def test_methods_that_no_path_has(remora, line):
    with remora.connect() as c:
        c.send(line + "\r\nHost: localhost\r\n\r\n")
        answer = c.read()
    assert answer.status == 405 and answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE"


def test_without_descriptors_idle_clients_give_way():
    """As many as the process may hold open are idle; whoever comes then is answered."""
    remora = Remora(user=getpass.getuser(), allow=["accept4"])  # as whom the test may change limits
    held = []
    try:
        agent = remora.get("/v1/revision").json["agent_pid"]
        room = len(os.listdir(f"/proc/{agent}/fd")) + 10
        resource.prlimit(agent, resource.RLIMIT_NOFILE, (room, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        for _ in range(20):
            held.append(remora.connect())
            assert held[-1].request("GET", "/livez").status == 200
        assert held[0].at_end(), "the longest idle one"
        assert remora.call("GET", "/livez", address=remora.unix).status == 200, "another listener may have none"
    finally:
        for c in held:
            c.close()
        remora.stop()
