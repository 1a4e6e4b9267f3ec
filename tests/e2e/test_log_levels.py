# SPDX-License-Identifier: Apache-2.0
"""The error log beside nginx's: the same lines, at the same levels, about the same events."""
import contextlib
import os
import re
import socket
import time

from conftest import free_port, ok, wait_for
from oracle import Both

CONF = """worker_processes 1;
http { access_log off; root @DIR@/html; keepalive_timeout 1s; client_max_body_size 1k;
    client_header_timeout 500ms; client_body_timeout 500ms; proxy_read_timeout 500ms; lingering_timeout 100ms;
    upstream dead { server 127.0.0.1:%(dead)d; server 127.0.0.1:%(dead)d; }
    upstream mixed { server 127.0.0.1:%(dead)d; server 127.0.0.1:%(backend)d; }
    server { listen 127.0.0.1:@PORT:web@; server_name a.test;
        location / { }
        location /ok { return 200 x; }
        location /deny { deny all; }
        location /auth { auth_basic x; auth_basic_user_file @DIR@/users; }
        location /cycle { rewrite ^ /cycle/x; }
        location /turn { recursive_error_pages on; error_page 418 = @turn; return 418; }
        location @turn { recursive_error_pages on; error_page 418 = /turn; return 418; }
        location /names { error_page 404 = @x; return 404; }
        location /only { limit_except GET { deny all; } }
        location /none { try_files /nope @none; }
        location /p/ { proxy_pass http://127.0.0.1:%(backend)d; }
        location /refused { proxy_pass http://127.0.0.1:%(dead)d; }
        location /dead { proxy_pass http://dead; }
        location /mixed { proxy_pass http://mixed; }
    } }"""


def http(line, fields="", host="Host: a.test\r\n", end="Connection: close\r\n\r\n"):
    return (f"{line}\r\n{host}{fields}{end}").encode()


def get(path, fields=""):
    return http(f"GET {path} HTTP/1.1", fields)


# name, what is sent, how it ends: read to the end, close at once, close after an answer
CASES = [
    ("no file", get("/nope"), "read"),
    ("no file, with referrer", get("/nope", "Referer: http://x/\r\n"), "read"),
    ("a directory", get("/sub/"), "read"),
    ("denied", get("/deny"), "read"),
    ("no password", get("/auth"), "read"),
    ("wrong password", get("/auth", "Authorization: Basic dTp4\r\n"), "read"),
    ("unknown user", get("/auth", "Authorization: Basic djp4\r\n"), "read"),
    ("rewrites for ever", get("/cycle"), "read"),
    ("redirects for ever", get("/turn"), "read"),
    ("unknown named location", get("/names"), "read"),
    ("unknown named location of try_files", get("/none"), "read"),
    ("method refused", http("POST /only HTTP/1.1", "Content-Length: 0\r\n"), "read"),
    ("too large", http("POST /p/ HTTP/1.1", "Content-Length: 2000\r\n"), "read"),
    ("no method", b"get / HTTP/1.1\r\n\r\n", "read"),
    ("no version", b"GET / HTTP/3.0\r\n\r\n", "read"),
    ("fields left out", get("/ok", "A_b: 1\r\nFine: 2\r\nC.d:3 \r\n"), "read"),
    ("a name with a space", get("/ok", "A b: 1\r\n"), "read"),
    ("a name with a zero", get("/ok", "Ab\0: 1\r\n"), "read"),
    ("no host", b"GET / HTTP/1.1\r\n\r\n", "read"),
    ("half a line", b"GET / HTT", "close"),
    ("half a line, then silence", b"GET / HTT", "read"),
    ("half a head, then silence", b"GET / HTTP/1.1\r\nHo", "read"),
    ("nothing", b"", "close"),
    ("goes after an answer", http("GET /ok HTTP/1.1", end="\r\n"), "answer"),
    ("refused", get("/refused"), "read"),
    ("all refused", get("/dead"), "read"),
    ("all disabled", get("/dead"), "read"),
    ("one refused", get("/mixed"), "read"),
    ("closes without an answer", get("/p/close"), "read"),
    ("closes within a body", get("/p/part"), "read"),
    ("does not answer", get("/p/slow"), "read"),
    ("answers with a line that is no field", get("/p/odd"), "read"),
]


def serve(request):
    if "/close" in request.path:
        return None
    if "/part" in request.path:
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\nabc"
    if "/odd" in request.path:
        return b"HTTP/1.1 200 OK\r\nA: b\r\nodd line\r\n\r\n"
    if "/slow" in request.path:
        time.sleep(1)
        return None
    return ok(b"ok")


class Told:
    """What a server's log says since the last look, without the moment and what differs by instance."""

    def __init__(self, server):
        self.server = server
        self.seen = len(server.log())

    def lines(self):
        text = self.server.log()[self.seen:].replace(self.server.dir, "DIR").replace("DIR//", "DIR/")
        for port in self.server.ports.values():
            text = text.replace(f":{port}", ":PORT")
        return re.findall(r"(?m)^\S+ \S+ (\[\w+\] )\d+#\d+: (?:\*\d+ )?(.*)$", text)


def act(server, data, how):
    with socket.create_connection(("127.0.0.1", server.port("web")), 20) as s:
        s.sendall(data)
        if how == "answer":
            assert s.recv(65536)
        while how == "read" and s.recv(65536):
            pass


def test_beside_nginx(remora, backend):
    """One run through all cases, since failures of servers are remembered from one to the next."""
    text = CONF % {"dead": free_port(), "backend": backend(serve).port}
    wrong = []
    with Both(remora, text) as both:
        for server in (both.nginx, both.remora):
            os.makedirs(server.dir + "/html/sub")
            with open(server.dir + "/users", "w") as f:
                f.write("u:{PLAIN}y\n")
        for name, data, how in CASES:
            theirs, ours = Told(both.nginx), Told(both.remora)
            act(both.nginx, data, how)
            act(both.remora, data, how)
            with contextlib.suppress(AssertionError):
                wait_for(lambda: theirs.lines() and theirs.lines() == ours.lines(), name, 3)
            if not theirs.lines() or theirs.lines() != ours.lines():
                wrong.append((name, theirs.lines(), ours.lines()))
    assert not wrong, "\n".join(f"{n}\n  nginx:  {t}\n  remora: {o}" for n, t, o in wrong)


def test_a_client_that_does_not_wait(remora, backend):
    """nginx begins the line with "epoll_wait() reported that" and says that the request is being sent."""
    b = backend(serve)
    r = remora("""http { server { listen 127.0.0.1:@PORT:web@; server_name a.test;
        location / { proxy_pass http://127.0.0.1:%d; } } }""" % b.port)
    with socket.create_connection(("127.0.0.1", r.port("web"))) as s:
        s.sendall(get("/slow"))
        wait_for(lambda: b.requests, "the request at the backend")
    r.wait_log(r'\[info\] \d+#\d+: \*\d+ client prematurely closed connection, so upstream connection is closed too '
               r'while reading response header from upstream, client: 127.0.0.1, server: a.test, '
               r'request: "GET /slow HTTP/1.1", upstream: "http://127.0.0.1:%d/slow", host: "a.test"' % b.port)
