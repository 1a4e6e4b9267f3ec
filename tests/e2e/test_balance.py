# SPDX-License-Identifier: Apache-2.0
"""Which server a request goes to: methods (hashes beside nginx), stickiness, queues, slow servers."""
import hashlib
import os
import re
import signal
import threading
import time

import pytest
from conftest import free_port, ok, run_remora, wait_for
from oracle import Both

HTTP = """http { access_log off; set_real_ip_from 127.0.0.0/8; proxy_next_upstream %s;
    upstream u { %s }
    server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://u; } } }"""


def start(make, method, servers, more="", next_upstream="error"):
    """`make` builds something of a configuration; `servers` are (backend, parameters)."""
    lines = "".join(f" server {b.addr} {p};" for b, p in servers)
    return make(HTTP % (next_upstream, f"{method} {lines} {more}"))


def named(backend, *names):
    return [backend(ok(name)) for name in names]


def sequence(server, requests, path="/"):
    """The bodies of answers to requests, each a dict of fields or a path."""
    with server.client() as c:
        out = []
        for r in requests:
            fields, target = (r, path) if isinstance(r, dict) else ({}, r)
            out.append(c.get(target, Host="localhost", **fields).body.decode())
        return out


ADDRESSES = [{"X-Real-IP": f"{a}.{b}.{c}.9"} for a, b, c in
             [(i * 7 % 223 + 1, i * 31 % 256, i * 113 % 256) for i in range(120)]]
ADDRESSES6 = [{"X-Real-IP": f"2001:db8:{i:x}::{i * 37:x}"} for i in range(60)]
PATHS = [f"/{hashlib.md5(str(i).encode()).hexdigest()}" for i in range(150)]

SETS = {
    "equal": ["", "", ""],
    "weights": ["weight=3", "", "weight=2"],
    "down": ["", "down", "weight=2"],
    "two down": ["down", "weight=2", "down", ""],
    "one": [""],
}


@pytest.mark.parametrize("method,requests", [
    ("ip_hash;", ADDRESSES + ADDRESSES6),
    ("hash $request_uri;", PATHS),
    ("hash $request_uri consistent;", PATHS),
    ("hash $arg_none;", PATHS[:20]),
], ids=["ip_hash", "hash", "consistent", "no key"])
@pytest.mark.parametrize("which", SETS)
def test_mapping_is_nginx_s(remora, backend, method, requests, which):
    servers = list(zip(named(backend, *"abcd"), SETS[which]))
    with start(lambda text: Both(remora, text), method, servers) as both:
        assert sequence(both.remora, requests) == sequence(both.nginx, requests)


class Dead:
    def __init__(self):
        self.addr = f"127.0.0.1:{free_port()}"


@pytest.mark.parametrize("method,requests", [
    ("ip_hash;", ADDRESSES[:60]), ("hash $request_uri;", PATHS[:60]), ("hash $request_uri consistent;", PATHS[:60])],
    ids=["ip_hash", "hash", "consistent"])
def test_mapping_around_a_dead_server(remora, backend, method, requests):
    """One server refuses everybody and is asked each time: where its clients go is nginx's choice too."""
    servers = [(b, "max_fails=0") for b in named(backend, *"acd")]
    servers.insert(1, (Dead(), "max_fails=0"))
    with start(lambda text: Both(remora, text), method, servers) as both:
        assert sequence(both.remora, requests) == sequence(both.nginx, requests)


@pytest.mark.parametrize("params", [["", "", ""], ["weight=2", "", ""], ["weight=5", "weight=3", "down"]])
def test_least_conn_takes_turns_when_idle(remora, backend, params):
    servers = list(zip(named(backend, *"abc"), params))
    with start(lambda text: Both(remora, text), "least_conn;", servers) as both:
        requests = ["/"] * 24
        assert sequence(both.remora, requests) == sequence(both.nginx, requests)


class Held:
    """A backend that answers when told to."""

    def __init__(self, backend, name):
        self.gate = threading.Event()
        self.name = name
        self.backend = backend(self.answer)
        self.addr = self.backend.addr

    def answer(self, request):
        if request.path.startswith("/hold"):
            self.gate.wait(20)
        return ok(self.name)


def hold(server, n, backends, path="/hold"):
    """n open requests; returns their clients once backends have them."""
    clients = []
    for _ in range(n):
        before = sum(len(b.backend.requests) for b in backends)
        c = server.client()
        c.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        wait_for(lambda: sum(len(b.backend.requests) for b in backends) > before, "the request")
        clients.append(c)
    return clients


def release(clients, backends):
    for b in backends:
        b.gate.set()
    return [c.response().body.decode() for c in clients]


def test_least_conn_counts_open_requests_and_weights(remora, backend):
    held = [Held(backend, n) for n in "abc"]
    r = start(remora, "least_conn;", [(held[0], "weight=2"), (held[1], ""), (held[2], "")])
    clients = hold(r, 8, held)
    assert sorted(release(clients, held)) == list("aaaabbcc")


def test_random_uses_all_in_proportion(remora, backend):
    r = start(remora, "random;", list(zip(named(backend, *"ab"), ["weight=3", ""])))
    got = sequence(r, ["/"] * 400)
    assert 230 < got.count("a") < 370 and got.count("a") + got.count("b") == 400


@pytest.mark.parametrize("by", ["", "least_conn"])
def test_random_two_avoids_the_busier(remora, backend, by):
    held = [Held(backend, n) for n in "ab"]
    r = start(remora, f"random two {by};", [(h, "") for h in held])
    clients = hold(r, 6, held)
    assert sorted(release(clients, held)) == list("aaabbb")


@pytest.mark.parametrize("method", ["least_time header;", "least_time last_byte;", "least_time last_byte inflight;",
                                    "random two least_time=header;", "random two least_time=last_byte;"])
def test_time_decides(remora, backend, method):
    def slow(request):
        time.sleep(0.5)  # the other may have to wait for a processor
        return ok("slow")

    r = start(remora, method, [(backend(slow), ""), (backend(ok("fast")), "")])
    got = sequence(r, ["/"] * 40)
    assert got.count("fast") >= 32, got


def test_inflight_notices_a_server_that_hangs(remora, backend):
    def steady(request):
        time.sleep(0.08)
        return ok("steady")

    held = Held(backend, "hung")  # quick, as long as it answers
    r = start(remora, "least_time header inflight;", [(held, ""), (backend(steady), "")])
    sequence(r, ["/"] * 6)
    c = hold_one(r, held)
    time.sleep(0.5)
    assert sequence(r, ["/"] * 4) == ["steady"] * 4
    release([c], [held])


def hold_one(server, held):
    """Sends requests until the server that will hang has one; returns its client."""
    for _ in range(20):
        c = server.client()
        c.send(b"GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if wait_quietly(lambda: any(q.path == "/hold" for q in held.backend.requests), 0.2):
            return c
        c.close()
    raise AssertionError("nobody asked the server that hangs")


def wait_quietly(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return condition()


def complaint(tmp_path, block):
    """What a configuration with such an upstream block is refused with."""
    conf = tmp_path / "x.conf"
    conf.write_text(f"pid {tmp_path}/pid; events {{ }} http {{ upstream u {{ {block} }} }}")
    result = run_remora("-t", "-p", str(tmp_path), "-c", str(conf))
    assert result.returncode == 1
    return result.stderr


@pytest.mark.parametrize("method", ["ip_hash;", "hash $uri;", "hash $uri consistent;", "random;", "random two;"])
@pytest.mark.parametrize("param", ["backup", "slow_start=1s", "resolve backup"])
def test_no_backups_with_hashes(tmp_path, method, param):
    assert f'balancing method does not support parameter "{re.split("[ =]", param.removeprefix("resolve "))[0]}"' in \
        complaint(tmp_path, f"zone z 1m; {method} server 127.0.0.1:1; server localhost {param};")


def test_consistent_hash_moves_little(remora, backend):
    """Taking one server of ten out through the API moves the keys it had and no others."""
    servers = named(backend, *"abcdefghij")
    r = start(remora, "hash $request_uri consistent; zone z 1m;", [(b, "") for b in servers])
    before = sequence(r, PATHS)
    gone = next(s for s in r.admin("GET", "/api/9/http/upstreams/u/servers").json if s["server"] == servers[3].addr)
    assert r.admin("DELETE", f"/api/9/http/upstreams/u/servers/{gone['id']}").status == 200
    after = sequence(r, PATHS)
    assert "d" in before and "d" not in after
    assert all(a == b for a, b in zip(before, after) if b != "d" and a != "d")


# ---- stickiness ----

def set_cookies(response):
    return [v for n, v in response.fields if n.lower() == "set-cookie"]


def test_sticky_cookie(remora, backend):
    servers = named(backend, *"abc")
    r = start(remora, "", [(b, "") for b in servers],
              "sticky cookie srv_id expires=1h domain=.example.com path=/ secure httponly samesite=lax;")
    with r.client() as c:
        first = c.get("/", Host="localhost")
        [cookie] = set_cookies(first)
        name, value = cookie.split(";")[0].split("=")
        addr = servers["abc".index(first.body.decode())].addr
        assert (name, value) == ("srv_id", hashlib.md5(addr.encode()).hexdigest())
        rest = [part.strip() for part in cookie.split(";")[1:]]
        assert re.fullmatch(r"expires=\w{3}, \d\d-\w{3}-\d\d \d\d:\d\d:\d\d GMT", rest[0]), rest
        assert rest[1:] == ["max-age=3600", "domain=.example.com", "path=/", "secure", "httponly", "samesite=lax"]
        for _ in range(5):
            assert c.get("/", Host="localhost", Cookie=f"x=y; srv_id={value}").body == first.body
        others = {c.get("/", Host="localhost", Cookie="srv_id=nobody").body for _ in range(3)}
        assert others == {b"a", b"b", b"c"}


def test_cookie_path_of_a_variable(remora, backend):
    """What a client asks for becomes one attribute of the cookie at most."""
    r = start(remora, "", [(backend(), "")], "sticky cookie id domain=.example.com path=$uri secure;")
    r.allow.append(re.compile('"path" of a sticky cookie holds'))
    with r.client() as c:
        for given, meant in (("/a", "; path=/a"), ("/a%20b", "; path=/a b"), ("/a;%20domain=.com", ""), ("/a%0ab", "")):
            [cookie] = set_cookies(c.get(given))
            assert cookie.split(";", 1)[1] == f" domain=.example.com{meant}; secure", given


def test_samesite_of_a_variable(remora, backend):
    r = start(remora, "", [(backend(), "")], "sticky cookie id samesite=$arg_s;")
    with r.client() as c:
        for given, meant in (("lax", "lax"), ("none", "none"), ("strict", "strict"), ("what", "strict"), ("", None)):
            [cookie] = set_cookies(c.get("/?s=" + given))
            assert re.findall("samesite=(.*)", cookie) == ([meant] if meant else []), given


def test_sticky_cookie_of_routes_and_drained_servers(remora, backend):
    servers = named(backend, *"ab")
    r = start(remora, "zone z 1m;", [(servers[0], "route=one"), (servers[1], "route=two")], "sticky cookie id;")
    stay = {"Cookie": "id=one"}
    assert sequence(r, [stay] * 3) == ["a"] * 3
    [one] = [s for s in r.admin("GET", "/api/9/http/upstreams/u/servers").json if s["route"] == "one"]
    assert r.admin("PATCH", f"/api/9/http/upstreams/u/servers/{one['id']}", {"drain": True}).status == 200
    assert sequence(r, [stay] * 3) == ["a"] * 3
    assert sequence(r, ["/"] * 3) == ["b"] * 3
    assert r.admin("PATCH", f"/api/9/http/upstreams/u/servers/{one['id']}", {"down": True}).status == 200
    assert sequence(r, [stay] * 3) == ["b"] * 3


def test_sticky_learn_survives_a_killed_worker(remora, backend):
    servers = named(backend, *"abc")
    r = start(remora, "", [(b, "") for b in servers],
              "sticky learn create=$cookie_s lookup=$cookie_s zone=learnt:64k timeout=1h;")
    first = sequence(r, [{"Cookie": "s=me"}])
    old = r.workers()
    r.allow.append(re.compile("exited on signal 9"))
    os.kill(old[0], signal.SIGKILL)
    r.wait_workers(old)
    assert sequence(r, [{"Cookie": "s=me"}] * 4) == first * 4


@pytest.mark.parametrize("line,message", [
    ("sticky cookie;", "invalid number of arguments"),
    ("sticky cookie a expires=never;", "invalid parameter"),
    ("sticky cookie a samesite=maybe;", "invalid parameter"),
    ("sticky cookie a what;", 'invalid parameter "what"'),
    ("sticky route nothing;", "invalid variable name"),
    ("sticky learn create=$a lookup=$b;", "zone"),
    ("sticky learn lookup=$arg_b zone=z:64k;", "create"),
    ("sticky learn create=$arg_b zone=z:64k;", "lookup"),
    ("sticky learn create=$arg_a lookup=$arg_b zone=z:1k;", "too small"),
    ("sticky other x;", "unknown sticky method"),
    ("sticky cookie a; sticky cookie b;", "duplicate"),
    ("least_time;", "invalid number of arguments"),
    ("least_time soon;", "invalid parameter"),
    ("random three;", "invalid parameter"),
    ("hash $uri inconsistent;", "invalid parameter"),
    ("queue 0;", "invalid value"),
    ("queue 5 timeout=x;", "invalid parameter"),
    (r'server 127.0.0.1:2 "route=a\r\nX: y";', "invalid parameter"),
])
def test_refused(tmp_path, line, message):
    assert message in complaint(tmp_path, "server 127.0.0.1:1; " + line)


def test_redefined_method_is_warned_of(remora, backend):
    r = start(remora, "ip_hash; least_conn;", [(backend(ok("x")), "")])
    assert "load balancing method redefined" in r.errors()
    assert sequence(r, ["/"]) == ["x"]


# ---- queue ----

def test_queue_serves_in_order_when_there_is_room(remora, backend):
    held = Held(backend, "a")
    r = start(remora, "zone z 1m;", [(held, "max_conns=1")], "queue 5 timeout=20s;")
    first = hold(r, 1, [held])
    waiting = []
    for i in range(3):
        c = r.client()
        c.send(f"GET /w{i} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        waiting.append(c)
        time.sleep(0.05)
    assert len(held.backend.requests) == 1
    assert release(first + waiting, [held]) == ["a"] * 4
    assert [q.path for q in held.backend.requests] == ["/hold", "/w0", "/w1", "/w2"]


def test_queue_that_is_full_or_slow(remora, backend):
    held = Held(backend, "a")
    r = start(remora, "", [(held, "max_conns=1")], "queue 1 timeout=1s;")
    first = hold(r, 1, [held])
    with r.client() as waits, r.client() as refused:
        began = time.monotonic()
        waits.send(b"GET /w HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.05)
        assert refused.get("/x", Host="localhost").status == 502
        assert time.monotonic() - began < 0.9
        assert waits.response().status == 502
        assert 0.9 < time.monotonic() - began < 5
    assert release(first, [held]) == ["a"]


def test_queue_forgets_clients_that_leave(remora, backend):
    held = Held(backend, "a")
    r = start(remora, "", [(held, "max_conns=1")], "queue 1 timeout=20s;")
    first = hold(r, 1, [held])
    gone = r.client()
    gone.send(b"GET /gone HTTP/1.1\r\nHost: localhost\r\n\r\n")
    time.sleep(0.05)
    gone.close()
    time.sleep(0.1)
    with r.client() as waits:
        waits.send(b"GET /w HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.05)
        assert release(first + [waits], [held]) == ["a", "a"]
    assert "/gone" not in [q.path for q in held.backend.requests]


@pytest.mark.parametrize("method", ["hash $uri;", "ip_hash;", "random;"])
def test_api_adds_no_backup_to_a_hash(remora, backend, method):
    r = start(remora, method + " zone z 1m;", [(backend(), "")])
    refused = r.admin("POST", "/api/9/http/upstreams/u/servers", {"server": "127.0.0.1:2", "backup": True})
    assert (refused.status, refused.json["error"]["code"]) == (400, "UpstreamNoBackup")
    assert r.admin("POST", "/api/9/http/upstreams/u/servers", {"server": "127.0.0.1:2"}).status == 201
