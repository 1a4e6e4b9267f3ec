# SPDX-License-Identifier: Apache-2.0
"""Active health checks: what is asked, what counts as well, what becomes of a server's state."""
import json
import os
import re
import socket
import tempfile
import threading
import time

import pytest

from conftest import free_port, ok, run_remora, wait_for

CONF = """
worker_processes %(workers)d;
%(main)s
http {
    access_log off;
    %(http)s
    upstream u { zone u 64k; %(servers)s }
    server {
        listen 127.0.0.1:@PORT:web@;
        location / { proxy_pass http://u; %(location)s }
    }
}
"""


def conf(servers, location, http="", workers=1, main=""):
    lines = " ".join(f"server {s};" for s in servers)
    return CONF % dict(servers=lines, location=location, http=http, workers=workers, main=main)


def peers(instance, upstream="u"):
    answer = instance.admin("GET", f"/api/9/http/upstreams/{upstream}")
    assert answer.status == 200, answer
    return {p["server"]: p for p in answer.json["peers"]}


def peer(instance, address, upstream="u"):
    return peers(instance, upstream)[address]


def wait_state(instance, address, state, upstream="u"):
    """Waits until the server has the state; returns it as the API shows it."""
    def found():
        p = peers(instance, upstream).get(address)
        return p if p and p["state"] == state else None
    try:
        return wait_for(found, f"{address} {state}")
    except AssertionError:
        raise AssertionError(f"{peers(instance, upstream)}\n{instance.log()[-3000:]}") from None


# ---- the request ----

def test_request(remora, backend):
    b = backend()
    r = remora(conf([b.addr], "health_check interval=100ms uri=/alive?x=1; proxy_set_header X-A a-$proxy_host; "
                              "proxy_set_header X-B $http_x; proxy_set_header Host $host; "
                              "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; "
                              "proxy_set_header X-C $status; proxy_set_header Accept */*;"))
    wait_state(r, b.addr, "up")
    wait_for(lambda: len(b.requests) >= 2, "checks")
    request = b.requests[0]
    assert request.line == "GET /alive?x=1 HTTP/1.1"
    version = re.search(r"remora/(\S+)", run_remora("-v").stderr)[1]
    assert {k.lower(): v for k, v in request.headers.items()} == {
        "x-a": "a-u", "host": "u", "accept": "*/*", "connection": "close",
        "user-agent": f"remora/{version} (health check)"}
    assert b.connections == len(b.requests)


def test_request_1_0_and_user_agent(remora, backend):
    b = backend()
    r = remora(conf([b.addr], "health_check keepalive_time=10s; proxy_http_version 1.0; "
                              "proxy_set_header User-Agent me; proxy_set_header Host h:81;"))
    wait_for(lambda: b.requests, "a check")
    assert b.requests[0].line == "GET / HTTP/1.0"
    headers = {k.lower(): v for k, v in b.requests[0].headers.items()}
    assert headers == {"host": "h:81", "user-agent": "me", "connection": "keep-alive"}
    wait_for(lambda: peer(r, b.addr)["health_checks"]["checks"] == 1, "its result")


def test_port(remora, backend):
    good, bad = backend(), backend(ok(status="500 X"))
    r = remora(conf([bad.addr], f"health_check port={good.port} interval=100ms;"))
    wait_for(lambda: len(good.requests) >= 2, "checks")
    assert peer(r, bad.addr)["state"] == "up"
    assert not bad.requests


def test_unix_socket(remora, backend):
    directory = tempfile.mkdtemp(prefix="remora-e2e-")
    os.chmod(directory, 0o755)  # the agent may run as nobody
    b = backend(path=directory + "/s")
    r = remora(conf([b.addr], "health_check interval=100ms port=99;"))
    wait_for(lambda: len(b.requests) >= 2, "checks")
    assert wait_state(r, b.addr, "up")["health_checks"]["last_passed"] is True
    b.stop()
    os.rmdir(directory)
    wait_state(r, b.addr, "unhealthy")


def test_bind(remora, backend):
    sources = []

    def answer(request):
        sources.append(request.sock.getpeername()[0])
        return ok()
    b = backend(answer)
    remora(conf([b.addr], "health_check interval=100ms; proxy_bind 127.0.0.9;"))
    wait_for(lambda: len(sources) >= 2, "checks")
    assert set(sources) == {"127.0.0.9"}


def test_two_locations_two_checks(remora, backend):
    """One that fails is enough, and both must pass before the server is well again."""
    broken = set()
    b = backend(lambda request: ok(status="500 X" if request.path in broken else "200 OK"))
    r = remora(conf([b.addr], "health_check uri=/a interval=100ms; health_check uri=/b interval=100ms match=m;",
                    "match m { status 200; }"))
    wait_state(r, b.addr, "up")
    broken.add("/b")
    wait_state(r, b.addr, "unhealthy")
    assert r.get().status == 502
    r.wait_log(r'\[warn\].*peer is unhealthy while checking status code, health check "m" of peer '
               + re.escape(b.addr) + ' in upstream "u"$')
    broken.add("/a")
    r.wait_log('peer is unhealthy while checking status code, health check "" of peer')
    broken.remove("/b")
    r.wait_log('peer is healthy while checking status code, health check "m" of peer')
    assert peer(r, b.addr)["state"] == "unhealthy"
    broken.clear()
    wait_state(r, b.addr, "up")
    assert r.get().status == 200


# ---- what counts as well ----

MATCHES = [
    # (tests, status, fields, body, does it pass?, what decided)
    (None, "200 OK", [], "", True, "checking status code"),
    (None, "399 X", [], "", True, "checking status code"),
    (None, "400 X", [], "", False, "checking status code"),
    (None, "101 X", [], "", False, "checking status code"),
    (None, "204 X", [], "", True, "checking status code"),
    ("status 200;", "201 X", [], "", False, "checking status code"),
    ("status 200 204;", "204 X", [], "", True, None),
    ("status ! 500;", "501 X", [], "", True, None),
    ("status ! 500;", "500 X", [], "", False, "checking status code"),
    ("status ! 301 302;", "302 X", [], "", False, "checking status code"),
    ("status 200-399;", "399 X", [], "", True, None),
    ("status 301-303 307;", "304 X", [], "", False, "checking status code"),
    ("status 301-303 307;", "307 X", [], "", True, None),
    ("status ! 400-599;", "404 X", [], "", False, "checking status code"),
    ("status 200-299; status ! 204;", "204 X", [], "", False, "checking status code"),
    ("header X-Up;", "500 X", ["X-Up: "], "", True, None),
    ("header X-Up;", "200 X", [], "", False, "checking header"),
    ("header ! Refresh;", "200 X", ["refresh: 1"], "", False, "checking header"),
    ("header ! Refresh;", "200 X", [], "", True, "checking header"),
    ("header Content-Type = text/html;", "200 X", ["content-type: text/html"], "", True, None),
    ("header Content-Type = text/html;", "200 X", ["Content-Type: text/HTML"], "", False, "checking header"),
    ("header Content-Type != text/html;", "200 X", ["Content-Type: text/plain"], "", True, None),
    ("header Content-Type != text/html;", "200 X", [], "", False, "checking header"),
    ("header Content-Type != a;", "200 X", ["Content-Type: b", "Content-Type: a"], "", False, "checking header"),
    ("header Content-Type = a;", "200 X", ["Content-Type: b", "Content-Type: a"], "", True, None),
    ("header X ~ ^a.c$;", "200 X", ["X: abc"], "", True, None),
    ("header X ~ ^a.c$;", "200 X", ["X: abcd"], "", False, "checking header"),
    ("header X !~ maintenance;", "200 X", ["X: in maintenance"], "", False, "checking header"),
    ("header X !~ maintenance;", "200 X", ["X: fine"], "", True, None),
    ("header X !~ maintenance;", "200 X", [], "", False, "checking header"),
    ('body ~ "Welcome to (nginx|us)!";', "500 X", [], "<b>Welcome to us!</b>", True, "checking body"),
    ('body ~ "Welcome";', "200 X", [], "no", False, "checking body"),
    ('body ~ "Welcome";', "200 X", [], "", False, "checking body"),
    ('body !~ "maintenance mode";', "200 X", [], "in maintenance mode", False, "checking body"),
    ('body !~ "maintenance mode";', "200 X", [], "", True, "checking body"),
    ('status 200; header A; body ~ x;', "200 X", ["A: 1"], "xyz", True, "checking body"),
    ('status 200; header A; body ~ x;', "200 X", ["B: 1"], "xyz", False, "checking header"),
    ('status 200; header A; body ~ x;', "404 X", ["A: 1"], "xyz", False, "checking status code"),
    ("require $good;", "200 X", [], "", True, "checking required variables"),
    ("require $good;", "204 X", [], "", False, "checking required variables"),
    ("require $upstream_http_x_n $upstream_http_y;", "200 X", ["X-N: 1", "Y: 0.0"], "", True, None),
    ("require $upstream_http_x_n $upstream_http_y;", "200 X", ["X-N: 1", "Y: 0"], "", False, None),
    ("require $upstream_http_x_n $upstream_http_y;", "200 X", ["X-N: 1"], "", False, None),
    ("require $upstream_cookie_c;", "200 X", ["Set-Cookie: c=1; path=/"], "", True, None),
    ("require $upstream_addr $fresh;", "200 X", ["Age: 59"], "", True, None),
    ("require $fresh;", "200 X", ["Age: 90"], "", False, None),
]


def test_matches(remora, backend):
    """Each row has an upstream of its own."""
    http, locations, cases = "", "", []
    for i, (tests, status, fields, body, good, doing) in enumerate(MATCHES):
        b = backend(ok(body, fields, status))
        if " 101 " in f" {status}":
            b = backend(f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n".encode())
        cases.append((b, good, doing))
        match = f"match=m{i}" if tests else ""
        http += f"upstream u{i} {{ zone u{i} 64k; server {b.addr}; }}\n"
        if tests:
            http += f"match m{i} {{ {tests} }}\n"
        locations += f"location = /{i} {{ proxy_pass http://u{i}; health_check mandatory interval=1h {match}; }}\n"
    http += "map $upstream_status $good { 200 1; 204 0; }\n"
    http += "map $upstream_http_age $fresh { ~^[0-5]?[0-9]$ yes; }\n"
    b = backend()
    r = remora(conf([b.addr], "", http).replace("location /", locations + " location /"))
    for i, (b, good, doing) in enumerate(cases):
        p = wait_state(r, b.addr, "up" if good else "unhealthy", f"u{i}")
        assert p["health_checks"] == {"checks": 1, "fails": 0 if good else 1, "unhealthy": 0 if good else 1,
                                      "last_passed": good}, MATCHES[i]
        name = f"m{i}" if MATCHES[i][0] else ""
        line = r.wait_log(f'peer is (healthy|unhealthy) while (.*), health check "{name}" of peer {b.addr} in '
                          f'upstream "u{i}"$')
        assert line[0][0] == ("healthy" if good else "unhealthy"), MATCHES[i]
        assert doing is None or line[0][1] == doing, MATCHES[i]
        assert r.get(path=f"/{i}").status == (int(MATCHES[i][1][:3]) if good else 502), MATCHES[i]


def raw_answer(*parts, pause=0.05, end="close"):
    """A backend's answer in pieces, ended in one of several ways."""
    def answer(request):
        for part in parts:
            request.sock.sendall(part)
            time.sleep(pause)
        if end == "reset":
            import struct
            request.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.sock.close()
        elif end == "hang":
            request.sock.recv(1)
        return None
    return answer


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
RESPONSES = {
    # name: (answer, with a test of the body? ("ok" must be in it), does it pass?, log line of a failure)
    "no length": (raw_answer(b"HTTP/1.1 200 OK\r\n\r\nwell, o", b"k"), True, True, None),
    "old": (raw_answer(b"HTTP/1.0 200 OK\r\n\r\nok"), True, True, None),
    "chunked": (raw_answer(CHUNKED + b"1\r\no\r\n", b"1\r\nk\r\n0\r\nX: y\r\n\r\n"), True, True, None),
    "chunked at once": (raw_answer(CHUNKED + b"2\r\nok\r\n0\r\n\r\n", end="hang"), True, True, None),
    "byte by byte": (raw_answer(*[b"%c" % c for c in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"], pause=0.003,
                                end="hang"), True, True, None),
    "interim": (raw_answer(b"HTTP/1.1 103 X\r\nA: b\r\n\r\nHTTP/1.1 10", b"0 C\r\n\r\n" + ok("ok"), end="hang"),
                True, True, None),
    "many interim": (raw_answer(*[b"HTTP/1.1 103 X\r\nA: " + b"b" * 3000 + b"\r\n\r\nHTTP/1"] +
                                [b".1 103 X\r\nA: " + b"b" * 3000 + b"\r\n\r\nHTTP/1"] * 9 + [b".1 200 OK\r\n\r\nok"],
                                pause=0.01), True, True, None),
    "endless interim": (raw_answer(*[b"HTTP/1.1 103 X\r\nA: " + b"b" * 3000 + b"\r\n\r\n"] * 40, pause=0.01), False,
                        False, "upstream sent invalid header while reading response header"),
    "truncated": (raw_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), True, False,
                  "upstream prematurely closed connection while reading upstream"),
    "truncated, nobody looks": (raw_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), False, True, None),
    "chunk cut off": (raw_answer(CHUNKED + b"2\r\nok\r\n"), True, False,
                      "upstream prematurely closed connection while reading upstream"),
    "bad chunk": (raw_answer(CHUNKED + b"zz\r\nok\r\n"), True, False,
                  "upstream sent invalid chunked response while reading upstream"),
    "reset": (raw_answer(end="reset"), False, False, r"recv\(\) failed \(104: .*\) while reading response header"),
    "reset in the body": (raw_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", end="reset"), True, False,
                          r"recv\(\) failed \(104: .*\) while reading upstream"),
    "nothing": (raw_answer(), False, False,
                "upstream prematurely closed connection while reading response header from upstream"),
    "half a head": (raw_answer(b"HTTP/1.1 200 OK\r\nA:"), False, False,
                    "upstream prematurely closed connection while reading response header from upstream"),
    "garbage": (raw_answer(b"220 hello\r\n"), False, False, "upstream sent no valid HTTP/1.0 header while"),
    "bad field": (raw_answer(b"HTTP/1.1 200 OK\r\n x\r\n\r\n"), False, False, "upstream .* while reading response"),
    "huge head": (raw_answer(b"HTTP/1.1 200 OK\r\n", *[b"A: " + b"x" * 900 + b"\r\n"] * 6, pause=0.01), False, False,
                  "upstream sent too big header while reading response header from upstream"),
    "huge line": (raw_answer(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 200000, pause=0), False, False,
                  "upstream sent too big header while"),
    "silent": (raw_answer(end="hang"), False, False,
               r"upstream timed out \(110: .*\) while reading response header from upstream"),
    "silent in the body": (raw_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", end="hang"), True, False,
                           r"upstream timed out \(110: .*\) while reading upstream"),
    "early": (raw_answer(ok("ok") + b"and more", end="hang"), True, True, None),
    "large": (raw_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 262142 + b"ok" + b"x" * 737856),
              True, True, None),
    "too far": (raw_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 262143 + b"ok" +
                           b"x" * 737855), True, False, "peer is unhealthy while checking body"),
    "endless": (raw_answer(b"HTTP/1.1 200 OK\r\n\r\nok", *[b"x" * 65536] * 100, pause=0), True, True, None),
}


def test_responses(remora, backend):
    """Slow, odd, broken and oversize responses, all of them at a time."""
    http = "match ok { status 200; body ~ ok; }\n"
    locations = ""
    backends = {}
    for i, (name, (answer, body, _, _)) in enumerate(RESPONSES.items()):
        b = backends[name] = backend(answer)
        http += f"upstream u{i} {{ zone u{i} 64k; server {b.addr}; }}\n"
        locations += (f"location = /{i} {{ proxy_pass http://u{i}; proxy_read_timeout 700ms; "
                      f"health_check mandatory interval=10m {'match=ok' if body else ''}; }}\n")
    r = remora(conf([backend().addr], "", http).replace("location /", locations + " location /"))
    for i, (name, (_, body, good, line)) in enumerate(RESPONSES.items()):
        p = wait_state(r, backends[name].addr, "up" if good else "unhealthy", f"u{i}")
        assert p["health_checks"]["last_passed"] is good, name
        assert p["health_checks"]["checks"] == 1, name
        if line:
            match = "ok" if body else ""
            r.wait_log(f'{line}.*, health check "{match}" of peer {backends[name].addr} in upstream "u{i}"')
    # they still work for those that came later
    assert r.get(path="/").status == 200


def test_refused_and_black_hole(remora, backend):
    """A server that takes no connections: at once where it says so, else after proxy_connect_timeout."""
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    address = "127.0.0.1:%d" % full.getsockname()[1]
    fillers = []
    for _ in range(4):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(full.getsockname())
        fillers.append(s)
    nobody = "127.0.0.1:%d" % free_port()
    b = backend()
    r = remora(conf([nobody, address, b.addr], "health_check interval=200ms; proxy_connect_timeout 300ms;"))
    wait_state(r, nobody, "unhealthy")
    wait_state(r, address, "unhealthy")
    r.wait_log(r"\[error\].*connect\(\) failed \(111: Connection refused\) while connecting to upstream, health check "
               rf'"" of peer {nobody} in upstream "u"$')
    r.wait_log(r"\[warn\].*peer is unhealthy while connecting to upstream, health check \"\" of peer " + nobody)
    r.wait_log(r"upstream timed out \(110: Connection timed out\) while connecting to upstream, health check .*"
               + address)
    # one line for each change, not for every check
    wait_for(lambda: peer(r, nobody)["health_checks"]["checks"] > 4, "more checks")
    assert len(re.findall(r"\[error\].*" + nobody, r.log())) == 1
    for s in [full, *fillers]:
        s.close()


# ---- states ----

class Switch:
    """A backend that is well or not, as told."""

    def __init__(self, backend):
        self.well = True
        self.backend = backend(lambda request: ok(self.addr, status="200 OK" if self.well else "503 X"))
        self.addr = self.backend.addr


def test_fails_and_passes(remora, backend):
    answers = []
    lock = threading.Lock()

    def answer(request):
        with lock:
            good = answers.pop(0) if answers else True
        return ok(status="200 OK" if good else "500 X")
    b = backend(answer)
    other = backend()
    r = remora(conf([b.addr, other.addr], "health_check interval=50ms fails=3 passes=2;"))
    wait_for(lambda: len(b.requests) > 2, "checks")
    with lock:
        answers[:] = [False, False, True, False, True, False, False, True]  # never three in a row
    wait_for(lambda: not answers, "checks")
    assert "peer is unhealthy" not in r.log()
    with lock:
        answers[:] = [False, False, False, True, False] + [True] * 2
    p = wait_for(lambda: len(b.requests) > 24 and peer(r, b.addr), "checks")
    assert p["state"] == "up" and p["health_checks"]["unhealthy"] == 1
    assert p["health_checks"]["fails"] == 5 + 4
    assert p["health_checks"]["checks"] <= len(b.requests)
    lines = re.findall(r"peer is (\w+) while", r.log())
    assert lines == ["unhealthy", "healthy"]


def test_unhealthy_gets_no_request_and_comes_back(remora, backend):
    a, b = Switch(backend), Switch(backend)
    r = remora(conf([a.addr, b.addr], "health_check interval=50ms;", workers=2))
    assert {r.get().body.decode() for _ in range(8)} == {a.addr, b.addr}
    a.well = False
    p = wait_state(r, a.addr, "unhealthy")
    assert p["downstart"] and p["health_checks"]["last_passed"] is False
    assert {r.get().body.decode() for _ in range(8)} == {b.addr}
    wait_for(lambda: peer(r, a.addr)["downtime"] >= 100, "downtime")
    b.well = False
    wait_state(r, b.addr, "unhealthy")
    assert r.get().status == 502
    a.well = b.well = True
    p = wait_state(r, a.addr, "up")
    wait_state(r, b.addr, "up")
    assert "downstart" not in p and p["downtime"] >= 100
    wait_for(lambda: {r.get().body.decode() for _ in range(8)} == {a.addr, b.addr}, "both")


def test_last_failure_is_forgotten_when_checks_pass(remora, backend):
    """max_fails has the server out for long; a check that finds it well again lets it in."""
    s = Switch(backend)
    other = backend()
    r = remora(conf([s.addr + " max_fails=1 fail_timeout=1h", other.addr],
                    "proxy_next_upstream http_503; health_check interval=50ms;"))
    s.well = False
    wait_for(lambda: [r.get() for _ in range(4)] and peer(r, s.addr)["state"] in ("unavail", "unhealthy"), "its fall")
    wait_state(r, s.addr, "unhealthy")
    s.well = True
    wait_state(r, s.addr, "up")
    wait_for(lambda: r.get().body.decode() == s.addr, "its return")


def test_backup_takes_over(remora, backend):
    s, b = Switch(backend), Switch(backend)
    r = remora(conf([s.addr, b.addr + " backup"], "health_check interval=50ms;"))
    assert r.get().body.decode() == s.addr
    s.well = False
    wait_state(r, s.addr, "unhealthy")
    assert r.get().body.decode() == b.addr
    s.well = True
    wait_state(r, s.addr, "up")
    wait_for(lambda: r.get().body.decode() == s.addr, "its return")


def test_keepalive(remora, backend):
    b = backend()
    r = remora(conf([b.addr], "health_check interval=50ms keepalive_time=500ms;"))
    wait_for(lambda: len(b.requests) >= 30, "checks")
    assert 3 <= b.connections <= len(b.requests) / 4
    assert all("connection" not in q.headers for q in b.requests)
    assert peer(r, b.addr)["health_checks"]["fails"] == 0


def test_keepalive_connection_that_died(remora, backend):
    """A connection that the server has closed meanwhile is no failure of the server's."""
    b = backend()
    r = remora(conf([b.addr], "health_check interval=100ms keepalive_time=1h;"))
    for _ in range(5):
        n = peer(r, b.addr)["health_checks"]["checks"]
        wait_for(lambda: peer(r, b.addr)["health_checks"]["checks"] > n, "a check's end")
        for s in list(b.open):
            s.shutdown(socket.SHUT_RDWR)
    n = len(b.requests)
    wait_for(lambda: len(b.requests) > n + 2, "checks")
    assert peer(r, b.addr)["health_checks"]["fails"] == 0
    assert b.connections >= 5


def test_keepalive_closed_just_before_the_request(remora, backend):
    """The server ends the connection instead of answering the second request on it."""
    b = backend(lambda request: ok() if request.number == 0 else None)
    r = remora(conf([b.addr], "health_check interval=50ms keepalive_time=1h;"))
    wait_for(lambda: len(b.requests) >= 10, "checks")
    assert peer(r, b.addr)["health_checks"]["fails"] == 0


# ---- the configuration ----

@pytest.mark.parametrize("location, http, error", [
    ("health_check interval=0;", "", 'invalid parameter "interval=0"'),
    ("health_check interval=x;", "", 'invalid parameter "interval=x"'),
    ("health_check fails=0;", "", 'invalid parameter "fails=0"'),
    ("health_check passes=-1;", "", 'invalid parameter "passes=-1"'),
    ("health_check port=65536;", "", 'invalid parameter "port=65536"'),
    ("health_check uri=x;", "", 'invalid parameter "uri=x"'),
    ('health_check "uri=/a b";', "", 'invalid parameter "uri=/a b"'),
    ("health_check keepalive_time=0;", "", 'invalid parameter "keepalive_time=0"'),
    ("health_check foo;", "", 'invalid parameter "foo"'),
    ("health_check fails=1 fails=2;", "", 'duplicate parameter "fails=2"'),
    ("health_check persistent;", "", 'parameter "persistent" requires "mandatory"'),
    ("health_check type=grpc;", "", 'parameter "type=grpc" is not supported: there is no gRPC'),
    ("health_check match=nobody;", "", 'match "nobody" is not found'),
    ("health_check match=;", "", 'invalid parameter "match="'),
    ("", "match m { status 200; } match m { status 200; }", 'duplicate match "m"'),
    ("", "match m { status; }", 'no status code in "status"'),
    ("", "match m { status !; }", 'no status code in "status"'),
    ("", "match m { status 99; }", 'invalid status code "99"'),
    ("", "match m { status 600; }", 'invalid status code "600"'),
    ("", "match m { status 300-200; }", 'invalid status code "300-200"'),
    ("", "match m { header; }", 'invalid number of arguments in "header"'),
    ("", "match m { header a b; }", 'invalid number of arguments in "header"'),
    ("", "match m { header a > b; }", 'invalid operator ">" in "header"'),
    ("", "match m { header a !> b; }", 'invalid operator "!>" in "header"'),
    ("", 'match m { header "a b"; }', 'invalid header name "a b"'),
    ("", "match m { header a ~ (; }", r'pcre2_compile() failed: missing closing parenthesis in "("'),
    ("", "match m { body = x; }", 'invalid operator "=" in "body"'),
    ("", "match m { body ~; }", 'invalid number of arguments in "body"'),
    ("", "match m { body ~ [; }", 'pcre2_compile() failed: missing terminating ] for character class in "["'),
    ("", "match m { require; }", 'no variable in "require"'),
    ("", "match m { require x; }", 'invalid variable name "x"'),
    ("", "match m { require $a$b; }", 'invalid variable name "$a$b"'),
    ("", "match m { require $nobody; }", 'unknown "nobody" variable'),
    ("", "match m { require $http_host; }", 'variable "http_host" is always empty in health checks'),
    ("", "match m { foo; }", 'unknown directive "foo"'),
])
def test_errors(tmp_path, location, http, error):
    text = "events {}\n" + conf(["127.0.0.1:9"], location, http).replace("@PORT:web@", "18080")
    (tmp_path / "c").write_text(text)
    out = run_remora("-t", "-p", str(tmp_path), "-c", "c", "-e", "log")
    line = 1 + next(i for i, x in enumerate(text.split("\n")) if (http or location) in x)
    assert out.returncode == 1
    assert f"[emerg] {error} in {tmp_path}/c:{line}" in out.stderr.replace("remora: ", ""), out.stderr


@pytest.mark.parametrize("location, error", [
    ("health_check; proxy_pass http://static;",
     '"health_check" requires upstream "static" to be in shared memory'),
    ("health_check; proxy_pass http://127.0.0.1:80;",
     '"health_check" requires upstream "127.0.0.1:80" to be in shared memory'),
    ("health_check; proxy_pass http://$host;",
     '"health_check" requires a "proxy_pass" in the same location that names an upstream without variables'),
    ("health_check;", '"health_check" requires a "proxy_pass" in the same location that names an upstream'),
])
def test_errors_of_places(tmp_path, location, error):
    text = ("events {}\nhttp {\nupstream static { server 127.0.0.1:9; }\n"
            "server { listen 127.0.0.1:18080;\nlocation / { %s }\n}}\n" % location)
    (tmp_path / "c").write_text(text)
    out = run_remora("-t", "-p", str(tmp_path), "-c", "c", "-e", "log")
    assert out.returncode == 1
    assert f"{error} in {tmp_path}/c:5" in out.stderr


def test_v1(remora, backend):
    s, other = Switch(backend), backend()
    r = remora(conf([s.addr, other.addr + " down"], "health_check interval=50ms;"))
    wait_state(r, s.addr, "up")
    s.well = False
    wait_state(r, s.addr, "unhealthy")
    first, second = r.admin("GET", "/v1/http/upstreams/u").json["servers"]
    assert first["state"] == "unhealthy" and second["state"] == "down"
    checks = first["health_checks"]
    assert checks["checks"] >= checks["fails"] >= checks["unhealthy"] == 1 and checks["last"] == "failed"
    assert second["health_checks"] == {"checks": 0, "fails": 0, "unhealthy": 0, "last": "none"}


def test_named_location(remora, backend):
    """Where ingress controllers put it."""
    b = backend()
    r = remora(conf([b.addr], "").replace(
        "location /", "location @hc-u { proxy_set_header Host x.example; proxy_pass http://u; "
                      "health_check uri=/hc interval=100ms; } location /"))
    wait_for(lambda: any(q.path == "/hc" and q.headers["host"] == "x.example" for q in b.requests), "a check")
    wait_state(r, b.addr, "up")


@pytest.mark.parametrize("name,shown", [(b"m", "m"), (b"m\xe9", "m?")], ids=["text", "no-text"])
def test_events(remora, backend, tmp_path, name, shown):
    s = Switch(backend)
    (tmp_path / "check").write_bytes(b"health_check interval=50ms match=%s;" % name)
    (tmp_path / "match").write_bytes(b"match %s { status 200; }" % name)
    r = remora(conf([s.addr], f"include {tmp_path}/check;", f"include {tmp_path}/match;"))
    wait_state(r, s.addr, "up")
    with r.client(r.dir + "/admin.sock") as c:
        c.send(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        data = c.sock.recv(65536)
        assert b"200 OK" in data
        s.well = False
        wait_state(r, s.addr, "unhealthy")
        s.well = True
        wait_state(r, s.addr, "up")
        while data.count(b"event: health") < 2 or not data.endswith(b"\n\r\n"):
            data += c.sock.recv(65536)
    events = [json.loads(x) for x in re.findall(r"event: health\ndata: (.*)", data.decode())]
    assert [(e["state"], e["upstream"], e["server"], e["check"], e["id"], e["reason"]) for e in events] == [
        (state, "u", s.addr, shown, 0, "checking status code") for state in ("unhealthy", "up")]
