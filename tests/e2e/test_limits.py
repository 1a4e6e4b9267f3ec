# SPDX-License-Identifier: Apache-2.0
"""limit_req, limit_conn, their shared zones, and stub_status."""
import contextlib
import os
import re
import subprocess
import threading
import time
from signal import SIGKILL

import pytest
from conftest import run_remora, wait_for
from oracle import NGINX


def server(inside, http=""):
    return "http { %s server { listen 127.0.0.1:@PORT:web@; %s } }" % (http, inside)


def statuses(r, paths):
    return [r.get("web", path).status for path in paths]


# ---- limit_req ----

ZONES = "limit_req_zone $arg_k zone=one:1m rate=1r/m; limit_req_zone $arg_b zone=two:1m rate=1r/m;"


def test_limits_are_met_in_order(remora, backend):
    b = backend()
    r = remora(server("access_log @DIR@/a.log f;"
                      "location / { limit_req zone=one burst=1 nodelay; proxy_pass http://%s; }"
                      "location /s { limit_req zone=one; limit_req_status 429; proxy_pass http://%s; }"
                      "location /both { limit_req zone=one; limit_req zone=two; proxy_pass http://%s; }" % ((b.addr,) * 3),
                      ZONES + "log_format f '$arg_k$arg_b $limit_req_status';"))
    assert statuses(r, ["/?k=1"] * 3 + ["/s?k=1", "/?k=2", "/s?k=2", "/s?k=3", "/s?k=3"]) == [
        200, 200, 503, 429, 200, 429, 200, 429]
    # an empty key counts nowhere
    assert statuses(r, ["/"] * 5) == [200] * 5
    # what one limit rejects, the other has not counted: "two" still takes b=9
    assert statuses(r, ["/both?k=8", "/both?k=8&b=9", "/both?b=9", "/both?b=9"]) == [200, 503, 200, 503]
    assert re.search(r'\[error\] .*limiting requests, excess: [12]\.\d\d\d by zone "one", client: 127\.0\.0\.1', r.log())
    lines = wait_for(lambda: open(r.dir + "/a.log").read().splitlines()[:3], "the log")
    assert lines == ["1- PASSED", "1- PASSED", "1- REJECTED"]


def test_delay(remora, backend):
    b = backend()
    r = remora(server("location / { limit_req zone=d burst=2 delay=1; proxy_pass http://%s; }" % b.addr,
                      "limit_req_zone $arg_k zone=d:1m rate=2r/s;"))
    start = time.monotonic()
    assert statuses(r, ["/?k=1"] * 2) == [200, 200]
    assert time.monotonic() - start < 0.45
    assert r.get("web", "/?k=1").status == 200  # the third waits until the excess is down to 1
    assert 0.45 < time.monotonic() - start < 5
    assert re.search(r'\[warn\] .*delaying request, excess: [12]\.\d\d\d, by zone "d"', r.log())


def test_client_that_leaves_while_it_waits(remora, backend):
    b = backend()
    r = remora(server("location / { limit_req zone=d burst=2; proxy_pass http://%s; }" % b.addr,
                      "limit_req_zone $arg_k zone=d:1m rate=30r/m; log_format f $status; access_log @DIR@/a.log f;"))
    assert r.get("web", "/?k=1").status == 200
    with r.client() as c:
        c.send("GET /?k=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        r.wait_log("delaying request")
    wait_for(lambda: open(r.dir + "/a.log").read().splitlines() == ["200", "499"], "the log line")
    assert len(b.requests) == 1


def test_dry_run(remora, backend):
    b = backend()
    r = remora(server("limit_req_dry_run on; limit_conn_dry_run on;"
                      "location /r { limit_req zone=one; add_header S $limit_req_status; proxy_pass http://%s; }"
                      "location /d { limit_req zone=one burst=9; add_header S $limit_req_status; proxy_pass http://%s; }"
                      "location /n { add_header S $limit_req_status; proxy_pass http://%s; }" % ((b.addr,) * 3), ZONES))
    assert [r.get("web", p).headers.get("s") for p in ("/r?k=1", "/d?k=1", "/r?k=1", "/n?k=1", "/r")] == [
        "PASSED", "DELAYED_DRY_RUN", "REJECTED_DRY_RUN", None, None]
    assert "delaying request, dry run, excess: " in r.log()
    assert "limiting requests, dry run, excess: " in r.log()


@pytest.mark.parametrize("level, late", [("info", "info"), ("notice", "info"), ("warn", "notice"), ("error", "warn")])
def test_log_level(remora, backend, level, late):
    b = backend()
    r = remora(server("limit_req_log_level %s; location / { limit_req zone=f burst=1; proxy_pass http://%s; }"
                      % (level, b.addr), "limit_req_zone $arg_k zone=f:1m rate=3r/s;"))
    clients = [r.client() for _ in range(3)]
    for c in clients:
        c.send("GET /?k=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert sorted(c.response().status for c in clients) == [200, 200, 503]
    for c in clients:
        c.close()
    assert re.search(rf"\[{level}\] .*limiting requests, ", r.log())
    assert re.search(rf"\[{late}\] .*delaying request, ", r.log())


def test_workers_share_zones_and_reloads_keep_them(remora, backend):
    b = backend()

    def conf(rate, n):
        return "worker_processes %d;\n" % n + server(
            "location / { limit_req zone=one burst=9 nodelay; proxy_pass http://%s; }" % b.addr,
            "limit_req_zone $arg_k zone=one:1m rate=%s;" % rate)
    r = remora(conf("1r/m", 4))
    assert sorted(statuses(r, ["/?k=1"] * 12)) == [200] * 10 + [503] * 2
    r.reload(conf("2r/m", 2))  # the rate is no part of what makes a zone another
    assert statuses(r, ["/?k=1"]) == [503]
    r.reload(conf("2r/m", 2).replace("one:1m", "one:2m"))
    assert statuses(r, ["/?k=1"]) == [200]
    r.reload(conf("2r/m", 2).replace("one:1m", "one:2m").replace("$arg_k", "$arg_j"))
    assert statuses(r, ["/?j=1"]) == [200]


def test_small_zone_many_keys(remora, backend):
    b = backend()
    r = remora(server("keepalive_requests 9999; location / { limit_req zone=s; proxy_pass http://%s; }" % b.addr,
                      "limit_req_zone $arg_k zone=s:32k rate=1r/m;"))
    with r.client() as c:
        for i in range(1500):
            assert c.get(f"/?k={i}").status == 200
        assert c.get("/?k=1499").status == 503
        assert c.get("/?k=0").status == 200  # forgotten
        assert c.get("/?k=" + "x" * 3000).status == 200


def test_killed_workers_leave_no_lock(remora, backend):
    b = backend()
    r = remora("worker_processes 2;\n" + server(
        "location / { limit_req zone=f burst=100000 nodelay; limit_conn c 100; proxy_pass http://%s; }" % b.addr,
        "limit_req_zone $arg_k zone=f:1m rate=100000r/s; limit_conn_zone $arg_k zone=c:1m;"), allow=["signal 9"])
    stop = threading.Event()

    def traffic():
        while not stop.is_set():
            with contextlib.suppress(Exception), r.client() as c:
                for _ in range(50):
                    c.get("/?k=1")
    threads = [threading.Thread(target=traffic) for _ in range(4)]
    for t in threads:
        t.start()
    for _ in range(4):
        time.sleep(0.3)  # traffic must run for a kill to hit it in the middle
        old = r.workers()
        for pid in old:
            os.kill(pid, SIGKILL)
        r.wait_workers(old)
    stop.set()
    for t in threads:
        t.join(30)
        assert not t.is_alive()
    assert r.get("web", "/?k=1").status == 200


# ---- limit_conn ----

CONNS = "limit_conn_zone $arg_k zone=c:1m; limit_conn_zone $arg_j zone=d:1m;"


class Slow:
    """A backend that answers when told to."""

    def __init__(self, backend):
        self.go = threading.Event()
        self.b = backend(self.answer)

    def answer(self, request):
        self.go.wait(20)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def conn_conf(slow, more=""):
    return server("location / { limit_conn c 2; limit_conn d 1; proxy_pass http://%s; add_header S $limit_conn_status; %s }"
                  % (slow.b.addr, more), CONNS)


def begin(r, path):
    c = r.client()
    c.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
    return c


def busy(slow, n):
    wait_for(lambda: len(slow.b.requests) == n, f"{n} requests at the backend")


def test_connections(remora, backend):
    slow = Slow(backend)
    r = remora(conn_conf(slow))
    open_ones = [begin(r, "/?k=1"), begin(r, "/?k=1")]
    busy(slow, 2)
    assert r.get("web", "/?k=1").status == 503
    open_ones.append(begin(r, "/?k=2&j=1"))
    busy(slow, 3)
    # the second limit rejects: the first has given back what it took
    assert [r.get("web", "/?k=3&j=1").status for _ in range(4)] == [503] * 4
    open_ones += [begin(r, "/?k=3"), begin(r, "/?k=3")]
    busy(slow, 5)
    slow.go.set()
    assert [c.response().headers["s"] for c in open_ones] == ["PASSED"] * 5
    for c in open_ones:
        c.close()
    wait_for(lambda: r.get("web", "/?k=1&j=1").status == 200, "what ended to be given back")
    assert re.search(r'\[error\] .*limiting connections by zone "c", client', r.log())
    assert 'limiting connections by zone "d"' in r.log()


def test_clients_that_leave_are_given_back(remora, backend):
    slow = Slow(backend)
    r = remora(conn_conf(slow))
    for c in [begin(r, "/?k=1"), begin(r, "/?k=1")]:
        c.close()
    slow.go.set()
    wait_for(lambda: r.get("web", "/?k=1").status == 200, "room")


def test_connections_dry_run_and_level(remora, backend):
    slow = Slow(backend)
    r = remora(conn_conf(slow, "limit_conn_dry_run on; limit_conn_log_level info; limit_conn_status 429;"))
    open_ones = [begin(r, "/?k=1") for _ in range(3)]
    busy(slow, 3)
    slow.go.set()
    assert sorted(c.response().headers["s"] for c in open_ones) == ["PASSED", "PASSED", "REJECTED_DRY_RUN"]
    for c in open_ones:
        c.close()
    assert re.search(r'\[info\] .*limiting connections, dry run, by zone "c"', r.log())


def test_what_a_killed_worker_held_comes_back(remora, backend):
    slow = Slow(backend)
    r = remora(conn_conf(slow, "limit_conn_status 429;"), allow=["signal 9"])
    held = [begin(r, "/?k=1"), begin(r, "/?k=1")]
    busy(slow, 2)
    assert r.get("web", "/?k=1").status == 429
    old = r.workers()
    for pid in old:
        os.kill(pid, SIGKILL)
    r.wait_workers(old)
    slow.go.set()
    assert r.get("web", "/?k=1").status == 200
    for c in held:
        c.close()


def test_counts_survive_a_reload(remora, backend):
    slow = Slow(backend)
    r = remora(conn_conf(slow))
    held = [begin(r, "/?k=1"), begin(r, "/?k=1")]
    busy(slow, 2)
    r.reload(conn_conf(slow))
    assert r.get("web", "/?k=1").status == 503  # the former workers still serve them
    slow.go.set()
    for c in held:
        assert c.response().status == 200
        c.close()
    wait_for(lambda: r.get("web", "/?k=1").status == 200, "room")


# ---- configurations that are refused, and why ----

@pytest.mark.parametrize("text", [
    "limit_req_zone $arg_a zone=one rate=1r/s;",
    "limit_req_zone $arg_a zone=one:1k rate=1r/s;",
    "limit_req_zone $arg_a zone=one:xx rate=1r/s;",
    "limit_req_zone $arg_a zone=one:1m rate=1r/h;",
    "limit_req_zone $arg_a zone=one:1m rate=0r/s;",
    "limit_req_zone $arg_a zone=one:1m;",
    "limit_req_zone $arg_a zone=one:1m foo=1;",
    "limit_req_zone $arg_a zone=one:1m rate=1r/s; limit_req_zone $arg_b zone=one:1m rate=1r/s;",
    "limit_req_zone $arg_a zone=one:1m rate=1r/s; limit_conn_zone $arg_b zone=one:1m;",
    "limit_req_zone $arg_a zone=one:1m rate=1r/s; limit_req_zone $arg_b zone=one:2m rate=1r/s;",
    "limit_req zone=x; limit_req_zone $arg_a zone=one:1m rate=1r/s;",
    "limit_req burst=1;",
    "limit_req_zone $arg_a zone=one:1m rate=1r/s; limit_req zone=one burst=x;",
    "limit_req_zone $arg_a zone=one:1m rate=1r/s; limit_req zone=one delay=0;",
    "limit_req_zone $arg_a zone=one:1m rate=1r/s; limit_req zone=one; limit_req zone=one;",
    "limit_req_status 200;",
    "limit_req_status 600;",
    "limit_req_log_level crit;",
    "limit_conn x 1;",
    "limit_conn_zone $arg_a zone=one:1m; limit_conn one 0;",
    "limit_conn_zone $arg_a zone=one:1m; limit_conn one 70000;",
    "limit_conn_zone $arg_a zone=one:1m; limit_conn one 1; limit_conn one 1;",
    "limit_conn_zone $arg_a zone=one:1m; limit_req zone=one;",
    "limit_conn_zone $arg_a zone=one;",
    "limit_conn_zone $arg_a zon=a:1m;",
    "limit_req_zone $arg_a zone=:1m rate=1r/s;",
    "allow 300.1.1.1;",
    "deny 1.2.3.4/40;",
    "set_real_ip_from foo.invalid;",
])
def test_refused_as_nginx_does(tmp_path, text):
    conf = tmp_path / "c.conf"
    conf.write_text("pid %s/p; events { }\nhttp { %s }\n" % (tmp_path, text))
    args = ("-t", "-p", str(tmp_path), "-c", str(conf), "-e", str(tmp_path / "e.log"))
    ours = run_remora(*args)
    assert ours.returncode == 1
    reason = re.search(r"\[emerg\] (.*)", ours.stderr)[1]
    assert reason.endswith(f" in {conf}:2")
    if NGINX is not None:
        theirs = re.search(r"\[emerg\] (.*)", subprocess.run([NGINX, *args], capture_output=True, text=True).stderr)[1]
        assert reason in (theirs, f"{theirs} in {conf}:2"), "what nginx finds when all has been read has no place there"


def test_where_a_zone_was_named(tmp_path):
    conf = tmp_path / "c.conf"
    conf.write_text("events { }\nhttp {\nlimit_req_zone $arg_a zone=a:1m rate=1r/s;\nlimit_conn a 1;\n}\n")
    done = run_remora("-t", "-p", str(tmp_path), "-c", str(conf), "-e", str(tmp_path / "e.log"))
    assert f'zone "a" is already declared for a different use in {conf}:4' in done.stderr, done.stderr


# ---- stub_status ----

def test_stub_status(remora):
    r = remora(server("location / { return 200 '$connections_active $connections_reading $connections_writing "
                      "$connections_waiting'; } location = /s { stub_status; } location = /old { stub_status on; }"))
    with r.client() as idle, r.client() as c:
        assert idle.get("/").status == 200
        page = c.get("/s")
        assert page.status == 200 and page.headers["content-type"] == "text/plain"
        assert re.fullmatch(rb"Active connections: 2 \nserver accepts handled requests\n 2 2 2 \n"
                            rb"Reading: 0 Writing: 1 Waiting: 1 \n", page.body), page.body
        assert c.get("/").body == b"2 0 1 1"
        assert c.request("HEAD", "/s").body == b""
        assert c.get("/old").status == 200
        assert c.request("POST", "/s", body=b"x").status == 405
