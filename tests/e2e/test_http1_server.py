# SPDX-License-Identifier: Apache-2.0
"""HTTP/1 towards clients: keep-alive, pipelining, bodies, limits, timeouts, closing."""
import os
import re
import signal
import socket
import struct
import threading
import time

import pytest
from conftest import Client, Closed, ok, wait_for

BASE = """
worker_processes 1;
http {
    log_format line '$status $request_method $uri $request_length $body_bytes_sent $connection_requests';
    access_log @DIR@/access.log line;
    client_body_temp_path @DIR@/bodies;
    %s
    server {
        listen 127.0.0.1:@PORT:web@;
        server_name main.example;
        location / { return 200 "$request_method $uri\\n"; }
        location /host { return 200 "$host\\n"; }
        location /empty { return 204; }
        location /moved { return 301 /elsewhere; }
        location /files/ { alias @DIR@/files/; }
        %s
    }
}
"""


@pytest.fixture
def web(remora):
    def start(http="", server=""):
        r = remora(BASE % (http, server))
        os.makedirs(r.dir + "/files", exist_ok=True)
        return r
    return start


def get(path="/", fields=""):
    return f"GET {path} HTTP/1.1\r\nHost: main.example\r\n{fields}\r\n"


# ---- responses ----

def test_fields_of_a_response(web):
    with web().client() as c:
        r = c.get("/x")
        assert r.line == "HTTP/1.1 200 OK"
        assert [n for n, _ in r.fields] == ["server", "date", "content-type", "content-length", "connection"]
        assert re.fullmatch(r"remora/\d+\.\d+\.\d+", r.headers["server"])
        assert re.fullmatch(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
                            r"\d{4} \d\d:\d\d:\d\d GMT", r.headers["date"])
        assert r.headers["connection"] == "keep-alive"
        assert r.body == b"GET /x\n"


def test_head_has_the_fields_and_no_body(web):
    with web().client() as c:
        c.send("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n")
        r = c.response("HEAD")
        assert (r.status, r.headers["content-length"]) == (200, "8")
        assert c.get("/y").body == b"GET /y\n"  # nothing was in between


def test_no_content_and_redirects(web):
    r = web()
    with r.client() as c:
        empty = c.get("/empty")
        assert empty.status == 204 and "content-length" not in empty.headers
        moved = c.request("GET", "/moved", {"Host": "h.example"})
        assert moved.status == 301
        assert moved.headers["location"] == f"http://h.example:{r.port('web')}/elsewhere"
        assert b"<title>301 Moved Permanently</title>" in moved.body


def test_server_tokens_off(web):
    r = web("server_tokens off;").get("web", "/files/none")
    assert r.headers["server"] == "remora"
    assert b"<center>remora</center>" in r.body and b"<h1>404 Not Found</h1>" in r.body


def test_keepalive_header(web):
    with web("keepalive_timeout 75s 20s;").client() as c:
        assert c.get().headers["keep-alive"] == "timeout=20"


# ---- persistence ----

@pytest.mark.parametrize("raw, stays", [
    (get(), True),
    (get(fields="Connection: close\r\n"), False),
    (get(fields="Connection: foo, CLOSE\r\n"), False),
    ("GET / HTTP/1.0\r\n\r\n", False),
    ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ("GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\n\r\n", False),
])
def test_persistence(web, raw, stays):
    with web().client() as c:
        c.send(raw)
        r = c.response()
        assert r.status == 200
        assert r.headers["connection"] == ("keep-alive" if stays else "close")
        if stays:
            assert c.get("/again").body == b"GET /again\n"
        else:
            assert c.at_end()


def test_keepalive_requests(web):
    with web("keepalive_requests 3;").client() as c:
        assert [c.get().headers["connection"] for _ in range(3)] == ["keep-alive", "keep-alive", "close"]
        assert c.at_end()


def test_keepalive_time(web):
    with web("keepalive_time 600ms;").client() as c:
        assert c.get().headers["connection"] == "keep-alive"
        time.sleep(0.7)
        assert c.get().headers["connection"] == "close"
        assert c.at_end()


def test_keepalive_timeout(web):
    with web("keepalive_timeout 200ms;").client() as c:
        before = time.monotonic()
        c.get()
        assert c.at_end()
        assert 0.15 < time.monotonic() - before < 5


def test_keepalive_off(web):
    with web("keepalive_timeout 0;").client() as c:
        assert c.get().headers["connection"] == "close"
        assert c.at_end()


# ---- pipelining and pieces ----

def test_pipeline(web):
    with web().client() as c:
        c.send("".join(get(f"/{i}") for i in range(300)))
        for i in range(300):
            assert c.response().body == f"GET /{i}\n".encode()


def test_huge_pipeline_with_a_slow_reader(web):
    n = 20000
    with web("keepalive_requests 1000000;").client() as c:
        c.sock.settimeout(60)
        sender = threading.Thread(target=c.send, args=("".join(get(f"/{i}") for i in range(n)),))
        sender.start()
        time.sleep(0.3)
        for i in range(n):
            assert c.response().body == f"GET /{i}\n".encode()
        sender.join()


def test_split_at_every_byte(web):
    raw = "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + get("/last")
    r = web()
    for at in range(1, len(raw)):
        with r.client() as c:
            c.send(raw[:at])
            time.sleep(0.001)
            c.send(raw[at:])
            assert c.response().body == b"POST /p\n"
            assert c.response().body == b"GET /last\n"


def test_mixed_pipeline(web):
    with web().client() as c:
        c.send("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
               "HEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n"
               "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n"
               "GET /files/none HTTP/1.1\r\nHost: a\r\n\r\n"
               "\r\n" + get("/5"))
        assert c.response().body == b"POST /1\n"
        assert c.response("HEAD").headers["content-length"] == "8"
        assert c.response().status == 204
        assert c.response().status == 404
        assert c.response().body == b"GET /5\n"


# ---- targets and hosts ----

@pytest.mark.parametrize("raw, want", [
    ("GET http://Other.Example:99/host HTTP/1.1\r\nHost: main.example\r\n\r\n", (200, b"other.example\n")),
    ("GET /host HTTP/1.1\r\nHost: UPPER.example\r\n\r\n", (200, b"upper.example\n")),
    ("GET /host HTTP/1.0\r\n\r\n", (200, b"main.example\n")),
    ("GET /host HTTP/1.1\r\n\r\n", (400, None)),
    ("GET /host HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", (400, None)),
    ("GET /host HTTP/1.1\r\nHost: a/b\r\n\r\n", (400, None)),
    ("GET /a/%2e%2e/host HTTP/1.1\r\nHost: a\r\n\r\n", (200, b"a\n")),
    ("GET /../host HTTP/1.1\r\nHost: a\r\n\r\n", (400, None)),
    ("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", (400, None)),
    ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", (405, None)),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", (505, None)),
    ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", (501, None)),
])
def test_targets(web, raw, want):
    with web().client() as c:
        c.send(raw)
        r = c.response()
        assert r.status == want[0]
        if want[1] is not None:
            assert r.body == want[1]
        else:
            assert r.headers["connection"] == "close"


# ---- limits ----

@pytest.mark.parametrize("target, field, status, title", [
    (8000, 10, 200, None), (8300, 10, 414, b"414 "),
    (10, 8000, 200, None), (10, 8300, 400, b"400 Request Header Or Cookie Too Large"),
])
def test_head_limits(web, target, field, status, title):
    with web().client() as c:
        c.send(get("/" + "a" * target, "X: " + "v" * field + "\r\n"))
        r = c.response()
        assert r.status == status
        if title:
            assert title in r.body and r.headers["connection"] == "close"


def test_large_buffers(web):
    r = web("large_client_header_buffers 8 32k;")
    with r.client() as c:
        fields = "".join(f"X-{i}: {'v' * 30000}\r\n" for i in range(6))
        c.send(get("/" + "a" * 30000, fields) + get("/next"))
        assert c.response().status == 200
        assert c.response().body == b"GET /next\n"


def test_body_limit(web):
    r = web("client_max_body_size 1000;", "location /read { proxy_pass http://127.0.0.1:9; }")
    for path in ["/", "/read"]:
        with r.client() as c:  # refused before anybody reads it
            c.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n")
            answer = c.response()
            assert answer.status == 413 and answer.headers["connection"] == "close"
    with r.client() as c:
        c.send("POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + "x" * 1001)
        assert c.response().status == 413
    r.wait_log("client intended to send too large")


# ---- bodies ----

def test_continue(web, backend):
    b = backend(lambda request: ok(request.body))
    r = web("", f"location /b {{ proxy_pass http://{b.addr}; }}")
    with r.client() as c:
        c.send("POST /b HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert c.response(interim=True).status == 100
        c.send("hello")
        assert c.response().body == b"hello"
        assert c.get("/next").body == b"GET /next\n"
    with r.client() as c:  # nobody wants this one
        c.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        answer = c.response(interim=True)
        assert answer.status == 200 and answer.headers["connection"] == "close"
    with r.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: something\r\nContent-Length: 5\r\n\r\n")
        assert c.response(interim=True).status == 417


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 3000000])
def test_bodies_arrive(web, backend, size, buffering):
    b = backend(lambda request: ok(request.body))
    r = web("client_max_body_size 10m;",
            f"location /b {{ proxy_pass http://{b.addr}; proxy_request_buffering {buffering}; }}")
    body = os.urandom(size)
    with r.client() as c:
        c.sock.settimeout(30)
        assert c.request("POST", "/b", {"Content-Length": str(size)}, body).body == body
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 70000]), body[i:i + 70000])
                          for i in range(0, size, 70000)) + b"0\r\n\r\n"
        sender = threading.Thread(target=c.send, args=(
            b"POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + get("/n").encode(),))
        sender.start()
        assert c.response().body == body
        assert c.response().body == b"GET /n\n"
        sender.join()
    assert os.listdir(r.dir + "/bodies") == []


def test_unread_bodies_do_not_become_requests(web):
    inner = get("/inner")
    with web().client() as c:
        c.send(f"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: {len(inner)}\r\n\r\n{inner}" + get("/2"))
        assert c.response().body == b"POST /1\n"
        assert c.response().body == b"GET /2\n"
        # The body comes after the answer, in pieces.
        c.send("POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n")
        assert c.response().body == b"POST /3\n"
        for _ in range(3):
            c.send((inner * 3000)[:100000])
        assert c.get("/4").body == b"GET /4\n"


def test_bad_chunks(web, backend):
    b = backend()
    r = web("", f"location /b {{ proxy_pass http://{b.addr}; }}")
    for path in ["/", "/b"]:
        with r.client() as c:
            c.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + get("/smuggled"))
            answer = c.response()
            assert answer.status == 400  # also where nobody wants the body
            c.sock.shutdown(socket.SHUT_WR)
            assert c.at_end()
    assert b.requests == []


# ---- time ----

def test_head_timeout(web):
    with web("client_header_timeout 200ms;").client() as c:
        c.send("GET / HTTP/1.1\r\nHo")
        assert c.at_end()
    with web("client_header_timeout 200ms;").client() as c:
        assert c.at_end()  # not a byte


def test_body_timeout(web, backend):
    b = backend()
    r = web("client_body_timeout 200ms;", f"location /b {{ proxy_pass http://{b.addr}; }}")
    with r.client() as c:
        c.send("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        assert c.at_end()
    wait_for(lambda: "408 POST /b" in open(r.dir + "/access.log").read(), "log line")
    assert b.requests == []


def big_file(r, size=20_000_000):
    data = os.urandom(1 << 20) * (size >> 20)
    with open(r.dir + "/files/big", "wb") as f:
        f.write(data)
    return data


@pytest.mark.parametrize("sendfile", ["on", "off"])
def test_slow_reader(web, sendfile):
    r = web(f"sendfile {sendfile};")
    data = big_file(r)
    with r.client() as slow:
        slow.send(get("/files/big") + get("/after"))
        time.sleep(0.2)
        assert r.get().body == b"GET /\n"  # nobody waits for it
        slow.sock.settimeout(60)
        assert slow.response().body == data
        assert slow.response().body == b"GET /after\n"


def test_send_timeout(web):
    r = web("send_timeout 300ms;")
    big_file(r)
    with r.client() as c:
        c.send(get("/files/big"))
        wait_for(lambda: os.path.getsize(r.dir + "/access.log") > 0, "end of the request")
        c.sock.settimeout(5)
        with pytest.raises((Closed, ConnectionResetError)):
            c.response()
    r.wait_log("client timed out")


# ---- ends ----

def test_lingering(web):
    """A client that sends on, whatever it is told, can still read the answer."""
    r = web("client_max_body_size 1k;")
    with r.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n")
        for _ in range(20):
            c.send(b"x" * 100000)
            time.sleep(0.005)
        assert c.response().status == 413
        assert c.at_end()


def test_lingering_ends(web):
    r = web("client_max_body_size 1k; lingering_timeout 200ms;")
    with r.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n")
        assert c.response().status == 413
        assert c.at_end()
        time.sleep(1)  # of silence; what is sent now would prolong it if it were not over
        wait_for(lambda: reset_by_peer(c.sock), "the end of lingering", 3)


def reset_by_peer(sock):
    try:
        sock.send(b"x")
    except OSError:
        return True
    return False


def test_lingering_time_is_bounded(web):
    r = web("client_max_body_size 1k; lingering_time 500ms; lingering_timeout 400ms;")
    with r.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n")
        assert c.response().status == 413
        end = time.monotonic() + 10
        with pytest.raises(OSError):
            while time.monotonic() < end:
                c.send(b"x")
                time.sleep(0.02)
        assert time.monotonic() < end


def test_what_was_answered_arrives_though_more_is_asked(web):
    """A request that comes after the last answer is no reason for a reset, which would take earlier answers away."""
    r = web()
    with open(r.dir + "/files/some", "wb") as f:
        f.write(b"x" * 300_000)  # more than the client's side takes unread, less than ours
    with r.client() as c:
        c.send(get("/files/some") + get("/last", "Connection: close\r\n"))
        wait_for(lambda: len(open(r.dir + "/access.log").readlines()) == 2, "log lines")
        c.send(get("/late"))
        assert len(c.response().body) == 300_000
        assert c.response().body == b"GET /last\n"
        assert c.at_end()


def test_answer_of_a_draining_worker_arrives_though_more_is_asked(web, backend):
    """The client learns that the connection ends when its next request is under way."""
    asked, go = threading.Event(), threading.Event()
    b = backend(lambda request: asked.set() or go.wait(20) and ok(b"x" * 300_000))
    r = web(server="location /late { proxy_pass http://%s; }" % b.addr)
    with r.client() as c:
        c.send(get("/late"))
        assert asked.wait(10)
        r.reload()
        r.wait_log("gracefully shutting down")
        go.set()
        wait_for(lambda: len(open(r.dir + "/access.log").readlines()) == 1, "log line")
        c.send(get("/more"))
        response = c.response()
        assert response.headers["connection"] == "close" and len(response.body) == 300_000
        assert c.at_end()


def test_half_closed_client_is_answered(web):
    with web().client() as c:
        c.send(get("/1") + get("/2"))
        c.sock.shutdown(socket.SHUT_WR)
        assert c.response().body == b"GET /1\n"
        assert c.response().body == b"GET /2\n"
        assert c.at_end()


def test_resets(web):
    """Clients that vanish at any moment leave nothing behind."""
    r = web()
    big_file(r)
    whole = get("/files/big") + "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"
    for at in range(0, len(whole), 5):
        c = Client(r.address("web"))
        c.send(whole[:at])
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.close()
    assert r.get().body == b"GET /\n"
    worker = r.workers()[0]

    def open_files():
        return [os.readlink(f"/proc/{worker}/fd/{fd}") for fd in os.listdir(f"/proc/{worker}/fd")]
    wait_for(lambda: not any("files/big" in f for f in open_files()), "closed files")


def test_access_log(web):
    r = web()
    with r.client() as c:
        c.get("/a")
        c.request("POST", "/b", {}, b"12345")
        c.send("garbage\r\n\r\n")
        assert c.response().status == 400
    wait_for(lambda: len(open(r.dir + "/access.log").readlines()) == 3, "log lines")
    lines = open(r.dir + "/access.log").read().splitlines()
    assert lines[0] == f"200 GET /a {len('GET /a HTTP/1.1') + 2 + len('Host: localhost') + 4} 7 1"
    assert lines[1] == f"200 POST /b {len('POST /b HTTP/1.1') + 2 + len('Host: localhost') + 2 + 17 + 4 + 5} 8 2"
    assert lines[2].startswith("400 ")


def test_error_pages(web):
    r = web("", """
        error_page 404 /missing.html;
        error_page 403 = /allowed;
        error_page 410 =200 /gone;
        error_page 402 http://pay.example/;
        error_page 502 @fallback;
        location /missing.html { return 200 "custom page\\n"; }
        location /n404 { return 404; }
        location /n403 { return 403; }
        location /n410 { return 410; }
        location /n402 { return 402; }
        location /n502 { return 502; }
        location @fallback { return 200 "fallback\\n"; }
        location /only { internal; return 200 "inside\\n"; }
    """)
    got = {p: r.get("web", p) for p in ["/n404", "/n403", "/n410", "/n402", "/n502", "/only"]}
    assert (got["/n404"].status, got["/n404"].body) == (404, b"custom page\n")
    assert (got["/n403"].status, got["/n403"].body) == (200, b"GET /allowed\n")
    assert (got["/n410"].status, got["/n410"].body) == (200, b"GET /gone\n")
    assert (got["/n402"].status, got["/n402"].headers["location"]) == (302, "http://pay.example/")
    assert (got["/n502"].status, got["/n502"].body) == (502, b"fallback\n")
    assert (got["/only"].status, got["/only"].body) == (404, b"custom page\n")


def test_error_page_for_what_is_no_request(web):
    r = web("", """
        error_page 400 414 494 /bad;
        location /bad { return 200 "bad\\n"; }
    """)
    for raw in ["garbage\r\n\r\n", get("/%00"), get("/" + "a" * 9000), get("/", "X: " + "a" * 9000 + "\r\n")]:
        with r.client() as c:
            c.send(raw)
            answer = c.response()
            assert answer.status in (400, 414) and answer.headers["connection"] == "close"
            assert answer.body == b"bad\n"


def test_idle_connections_give_way_when_connections_run_out(remora):
    """New clients are served although idle ones hold every connection; the oldest idle one goes."""
    r = remora("events { worker_connections 20; }\n" + BASE % ("", ""))
    idle = []
    for _ in range(30):
        c = r.client()
        assert c.get("/x").status == 200
        idle.append(c)
    r.wait_log("20 worker_connections are not enough, closing idle ones")
    assert idle[-1].get("/again").status == 200
    with pytest.raises((Closed, OSError)):
        idle[0].get("/again")
    for c in idle:
        c.close()


def test_requests_in_progress_are_logged_when_the_worker_is_ended(remora, backend):
    """TERM does not wait, but the log says what was cut off."""
    asked = threading.Event()
    silent = backend(lambda request: asked.set() or request.sock.recv(1) or None)
    r = remora(BASE % ("", "location /slow { proxy_pass http://127.0.0.1:%d; }" % silent.port))
    with r.client() as c:
        c.send(get("/slow"))
        assert asked.wait(10)
        log = r.dir + "/access.log"
        r.signal(signal.SIGTERM)
        wait_for(lambda: "/slow" in open(log).read(), "log line")
        assert r.process.wait(10) == 0
