# SPDX-License-Identifier: Apache-2.0
"""Heads that are refused: whose error page and log they get, compared with nginx where it is installed."""
import pytest
from conftest import wait_for
from oracle import Both

CONF = """worker_processes 1; http { log_format s '$server_name|$host|$status'; access_log @DIR@/s.log s;
    error_page 400 405 413 414 494 501 505 = /e;
    server { listen 127.0.0.1:@PORT:web@; server_name def; location / { return 200 "default"; }
        location = /e { return 200 "default page"; } }
    server { listen 127.0.0.1:@PORT:web@; server_name named; client_max_body_size 10; location / { return 200 "named"; }
        location = /e { return 200 "named page"; } } }"""

HEADS = [
    b"GET / HTTP/1.1\r\nHost: named\r\nX: " + b"x" * 40000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"x" * 40000 + b"\r\nHost: named\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: NAMED:80\r\nX\0: y\r\n\r\n",
    b"GET / HTTP/1.1\r\nX\0: y\r\nHost: named\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: named\r\nContent-Length: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: named\r\nTransfer-Encoding: foo\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: named\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: named\r\nHost: def\r\n\r\n",
    b"GET http://named/ HTTP/1.1\r\nHost: def\r\nContent-Length: x\r\n\r\n",
    b"GET http://named/ HTTP/1.1\r\nX: " + b"x" * 40000 + b"\r\n\r\n",
    b"GET http://named/ HTTP/1.1\r\nX: y\r\n\r\n",
    b"GET http://named/" + b"a" * 40000 + b" HTTP/1.1\r\nHost: named\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: y\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: na/med\r\n\r\n",
    b"TRACE / HTTP/1.1\r\nHost: named\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: named\r\n\r\n",
]


@pytest.fixture
def both(remora):
    with Both(remora, CONF) as b:
        yield b


def log_of(server):
    with open(server.dir + "/s.log") as f:
        return f.read().split()


def test_whose_page(both):
    for n, head in enumerate(HEADS, 1):
        bodies = []
        for server in (both.nginx, both.remora):
            with server.client() as c:
                c.send(head)
                bodies.append(c.response("GET").body)
            wait_for(lambda: len(log_of(server)) == n, "a line in the log")
        assert bodies[0] == bodies[1] and b"page" in bodies[0], head[:80]
        assert log_of(both.nginx) == log_of(both.remora), head[:80]


@pytest.mark.parametrize("head, what", [
    ("A_b: 1\r\nX.y: 2\r\nFine: 3\r\nZ_:\r\n", ["A_b: 1", "X.y: 2", "Z_:"]),
    ("X Y: 1\r\n", ["X\\x20..."]),
    ("Y\0: 1\r\n", ["Y\\x00..."]),
])
def test_the_log_shows_invalid_lines(remora, head, what):
    """Whoever misses a field, in a log or at the server, finds out why."""
    conf = """worker_processes 1; error_log @DIR@/error.log info; http {
        server { listen 127.0.0.1:@PORT:web@; server_name _; location / { return 200; } } }"""
    with Both(remora, conf) as both:
        for server in (both.nginx, both.remora):
            with server.client() as c:
                c.send(f"GET / HTTP/1.1\r\nHost: a\r\n{head}Connection: close\r\n\r\n".encode())
                c.response("GET")
            for line in what:
                wait_for(lambda: f'client sent invalid header line: "{line}" while reading client request headers, '
                                 "client: 127.0.0.1, server: _, request: \"GET / HTTP/1.1\"" in server.log(), line)


def test_a_client_that_stops_halfway(both):
    for server in (both.nginx, both.remora):
        with server.client() as c:
            c.send(b"GET / HTTP/1.1\r\nHost: named\r\nX: y")
        wait_for(lambda: len(log_of(server)) == 1, "a line in the log")
    assert log_of(both.nginx) == log_of(both.remora) == ["named|named|400"]


TOLD = """worker_processes 1; http {
    log_format s '$request_method|$request_uri|$uri|$args|$scheme|$server_protocol|$host|$http_x|$http_host|$status';
    access_log @DIR@/s.log s;
    server { listen 127.0.0.1:@PORT:web@; server_name def; location / { return 200 "default"; } }
    server { listen 127.0.0.1:@PORT:web@; server_name named; error_page 400 405 494 501 /e;
        location /e { return 301 /to; } location / { return 200 "named"; } } }"""

WHOLE_LINES = [
    b"GET /x?a=b HTTP/1.0\r\nHost: .\r\n\r\n",
    b"GET /x?a=b HTTP/1.0\r\nHost: def\r\nX: y\r\nContent-Length: x\r\n\r\n",
    b"HEAD /x?a=b HTTP/1.1\r\nHost: named\r\nX: y\r\nA b\r\n\r\n",
    b"HEAD /x?a=b HTTP/1.1\r\nHost: named\r\nX: y\r\nContent-Length: x\r\n\r\n",
    b"HEAD /x/../y HTTP/1.1\r\nX: y\r\n\r\n",
    b"PUT /y?q HTTP/1.1\r\nHost: named\r\nTransfer-Encoding: foo\r\n\r\n",
    b"TRACE /x?q HTTP/1.1\r\nHost: named\r\n\r\n",
]


def test_what_is_told_of_them(remora):
    """Method, target and earlier fields of a head that is refused are in the log; HEAD gets no body, and a
    redirect names the scheme."""
    with Both(remora, TOLD) as both:
        for n, head in enumerate(WHOLE_LINES, 1):
            answers = []
            for server in (both.nginx, both.remora):
                with server.client() as c:
                    c.send(head)
                    response = c.response(head.split(b" ")[0].decode())
                    location = response.headers.get("location", "").replace(f":{server.port('web')}", "")
                    answers.append((response.status, location, c.stream.rest() != b""))
                wait_for(lambda: len(log_of(server)) == n, "a line in the log")
            assert answers[0] == answers[1] and not answers[1][2], head
        assert log_of(both.nginx) == log_of(both.remora)


def test_nothing_of_them_is_passed_on(remora, backend):
    server = backend()
    r = remora("http { server { listen 127.0.0.1:@PORT:web@; error_page 400 /e;"
               f" location /e {{ proxy_pass http://{server.addr}; }} }} }}")
    for line in (b"Content-Length: 5x", b"Transfer-Encoding: chunked\r\nContent-Length: 3", b"bad"):
        with r.client() as c:
            c.send(b"POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n" + line + b"\r\n\r\nabc")
            assert c.response("GET").status == 400
        request = server.requests[-1]
        assert request.line == "GET /e HTTP/1.1"
        assert set(request.headers) <= {"host", "connection", "content-length"}, request.headers
        assert request.headers.get("content-length", "0") == "0"


def logged(remora, form, head):
    """What a refused head leaves in the log, which must be the same in both."""
    text = """http { log_format s '%s'; access_log @DIR@/s.log s;
        server { listen 127.0.0.1:@PORT:web@; location / { return 200; } } }""" % form
    with Both(remora, text) as both:
        for server in (both.nginx, both.remora):
            with server.client() as c:
                c.send(head)
                assert c.response("GET").status == 400
            wait_for(lambda: log_of(server), "a line in the log")
        assert log_of(both.remora) == log_of(both.nginx)
        return log_of(both.remora)


def test_what_a_line_without_sense_leaves_in_the_log(remora):
    """Columns stay columns: what is not there is "-"."""
    form = "$request_method|$request_uri|$uri|$args|$server_protocol|$request"
    assert logged(remora, form, b"\x16\x03\x01\x02\r\n\r\n") == [r"-|-|-|-|-|\x16\x03\x01\x02"]


def test_what_a_target_that_is_no_path_leaves_in_the_log(remora):
    """There is a path, and nothing in it."""
    assert logged(remora, "$request_method|$uri|$status", b"GET /../x HTTP/1.1\r\nHost: a\r\n\r\n") == ["GET||400"]
