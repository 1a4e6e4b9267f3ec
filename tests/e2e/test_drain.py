# SPDX-License-Identifier: Apache-2.0
"""The way out: drain by the API and by SIGTERM, what clients see of it, and the probes."""
import os
import re
import threading
import time
from contextlib import contextmanager
from signal import SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM, SIGUSR1, SIGUSR2

import pytest

from conftest import Closed, ok, refuses_admin, wait_for

HTTP = """
http {
    %s
    upstream app { zone app; server %s; }
    server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://app; } }
}
"""


class Gate:
    """A backend's answers to /slow wait until it is opened."""

    def __init__(self):
        self.open = threading.Event()

    def __call__(self, request):
        if request.path.startswith("/slow"):
            assert self.open.wait(30)
        return ok(b"answer")


@pytest.fixture(params=["on", "off"], ids=["master", "single"])
def start(request, remora, backend):
    """An instance with or without worker processes."""
    gate = Gate()
    b = backend(gate)

    def begin(admin="", main="", http="", **kw):
        lead = "master_process %s;\n%s\n" % (request.param, main)
        if request.param == "on":
            lead += "worker_processes 2;\n"
        r = remora(lead + "admin { listen unix:@DIR@/admin.sock; write on; %s }" % admin + HTTP % (http, b.addr), **kw)
        r.single = request.param == "off"
        wait_for(lambda: r.admin("GET", "/readyz").status == 200, "readiness")
        return r

    begin.gate = gate
    yield begin
    gate.open.set()


def state(r):
    answer = r.admin("GET", "/v1/drain")
    assert answer.status == 200
    return answer.json


def exit_code(r, seconds=15):
    return r.process.wait(seconds)


def refused(r):
    try:
        with r.client():
            return False
    except ConnectionRefusedError:
        return True


@contextmanager
def under_way(r):
    """A client whose request waits for the gate."""
    with r.client() as c:
        c.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: state(r)["requests"] == 1)
        yield c


def finish(start, c):
    """The gate opens, and the answer comes whole."""
    start.gate.open.set()
    assert c.response().body == b"answer"


def test_the_whole_way(start):
    r = start()
    assert state(r)["phase"] == "none" and state(r)["deadline_in_ms"] is None
    kept, idle = r.client(), r.client()
    assert kept.get().headers["connection"] == "keep-alive" and idle.get().status == 200
    answer = r.admin("POST", "/v1/drain?timeout=20s&delay=1500ms")
    assert answer.status == 202
    body = answer.json
    assert body["draining"] and body["phase"] == "announced" and body["started"].endswith("Z")
    assert 1000 < body["closing_in_ms"] <= 1500 and 19000 < body["deadline_in_ms"] <= 20000
    ready = r.admin("GET", "/readyz")
    assert (ready.status, ready.body) == (503, b"not_draining: failed\n")
    assert r.admin("GET", "/livez").status == 200
    assert r.admin("GET", "/v1/status").json["draining"] is True
    # accepting as ever
    assert kept.get().headers["connection"] == "keep-alive"
    with r.client() as fresh:
        assert fresh.get().headers["connection"] == "keep-alive"
    wait_for(lambda: state(r)["phase"] == "closing", "the second phase")
    last = kept.get()
    assert (last.status, last.headers["connection"]) == (200, "close") and kept.at_end()
    wait_for(lambda: refused(r), "the end of accepting")
    assert r.admin("GET", "/readyz").status == 503, "probes are answered to the end"
    assert idle.get().headers["connection"] == "close"
    assert exit_code(r) == 0
    assert not os.path.exists(r.dir + "/admin.sock")


def test_idempotent(start):
    r = start()
    first = r.admin("POST", "/v1/drain?timeout=60s&delay=30s").json
    again = r.admin("POST", "/v1/drain?timeout=60s&delay=30s")
    assert again.status == 202 and again.json["started"] == first["started"]
    longer = r.admin("POST", "/v1/drain?timeout=10m&delay=5m").json
    assert longer["deadline_in_ms"] <= 60000 and longer["closing_in_ms"] <= 30000, "not put off"
    shorter = r.admin("POST", "/v1/drain?timeout=40s&delay=30s").json
    assert shorter["deadline_in_ms"] <= 40000
    assert len(r.wait_log("draining: accepting for", count=2)) == 2
    assert r.admin("POST", "/v1/drain?delay=0").status == 202
    assert exit_code(r) == 0


def test_requests_under_way_are_finished(start):
    r = start()
    with under_way(r) as c:
        r.admin("POST", "/v1/drain?timeout=20s&delay=0")
        wait_for(lambda: refused(r), "the end of accepting")
        seen = state(r)
        assert seen["requests"] == 1 and seen["connections"]["active"] == 1
        start.gate.open.set()
        answer = c.response()
        assert (answer.body, answer.headers["connection"]) == (b"answer", "close")
    assert exit_code(r) == 0


def test_the_deadline_cuts_off(start):
    r = start()
    with under_way(r) as c:
        begin = time.monotonic()
        r.admin("POST", "/v1/drain?timeout=1s&delay=200ms")
        assert exit_code(r) == 0
        assert 0.9 < time.monotonic() - begin < 5
        with pytest.raises((Closed, ConnectionResetError)):
            c.response()
    if not r.single:
        r.wait_log("draining: the time is up")


def test_the_deadline_holds_for_a_worker_that_hangs(start):
    r = with_workers(start)
    for pid in r.workers():
        os.kill(pid, SIGSTOP)
    begin = time.monotonic()
    r.admin("POST", "/v1/drain?timeout=1s&delay=0")
    assert exit_code(r) == 0
    assert time.monotonic() - begin < 8


def test_a_short_timeout_shortens_the_delay(start):
    r = start()
    begin = time.monotonic()
    assert r.admin("POST", "/v1/drain?timeout=500ms").json["closing_in_ms"] <= 500
    assert exit_code(r) == 0
    assert time.monotonic() - begin < 4, "not the 5 s of drain_delay"


def test_shutdown(start):
    r = start()
    begin = time.monotonic()
    answer = r.admin("POST", "/v1/shutdown")
    assert answer.status == 202 and answer.json["closing_in_ms"] == 0
    assert exit_code(r) == 0
    assert time.monotonic() - begin < 4


def test_directives_are_the_defaults(start):
    r = start("drain_delay 300ms; drain_timeout 1200ms;")
    body = r.admin("POST", "/v1/drain").json
    assert body["closing_in_ms"] <= 300 and body["deadline_in_ms"] <= 1200
    assert exit_code(r) == 0


# ---- signals ----

def test_term_as_ever(start):
    r = start("drain_delay 20s;")
    with under_way(r):
        begin = time.monotonic()
        r.signal(SIGTERM)
        assert exit_code(r) == 0
        assert time.monotonic() - begin < 4


def test_term_drains(start):
    r = start("drain_on_term on; drain_delay 1s; drain_timeout 20s;")
    with under_way(r) as c:
        r.signal(SIGTERM)
        wait_for(lambda: r.admin("GET", "/readyz").status == 503, "not ready")
        assert not refused(r) and state(r)["phase"] == "announced"
        wait_for(lambda: refused(r), "the end of accepting")
        finish(start, c)
    assert exit_code(r) == 0


@pytest.mark.parametrize("closing", [False, True], ids=["announced", "closing"])
@pytest.mark.parametrize("second", [SIGTERM, SIGINT])
def test_the_second_term_forces(start, closing, second):
    r = start("drain_on_term on; drain_delay %s; drain_timeout 60s;" % ("0" if closing else "30s"))
    with under_way(r):
        r.signal(SIGTERM)
        wait_for(lambda: state(r)["phase"] == ("closing" if closing else "announced"), "the drain")
        begin = time.monotonic()
        r.signal(second)
        assert exit_code(r) == 0
        assert time.monotonic() - begin < 4


def test_term_joins_a_drain(start):
    """A preStop hook calls the API, then comes TERM: it must not force, but it sets a limit."""
    r = start("drain_on_term on; drain_delay 1s; drain_timeout 20s;")
    with under_way(r) as c:
        r.admin("POST", "/v1/drain?timeout=10m&delay=1s")
        r.signal(SIGTERM)
        wait_for(lambda: state(r)["deadline_in_ms"] <= 20000, "the nearer deadline")
        wait_for(lambda: refused(r), "the end of accepting")
        finish(start, c)
    assert exit_code(r) == 0


def test_quit_skips_the_delay(start):
    r = start()
    with under_way(r) as c:
        r.admin("POST", "/v1/drain?timeout=50s&delay=40s")
        r.signal(SIGQUIT)
        wait_for(lambda: refused(r), "the end of accepting")
        assert state(r)["phase"] == "closing" and state(r)["deadline_in_ms"] > 0
        finish(start, c)
    assert exit_code(r) == 0


def test_quit_alone_has_no_deadline_but_term_sets_one(start):
    r = start("drain_on_term on; drain_delay 0; drain_timeout 1s;")
    with under_way(r):
        r.signal(SIGQUIT)
        wait_for(lambda: refused(r), "the end of accepting")
        assert state(r)["deadline_in_ms"] is None and r.admin("GET", "/readyz").status == 503
        r.signal(SIGTERM)
        assert exit_code(r) == 0


def test_worker_shutdown_timeout_counts_from_the_end_of_accepting(start):
    r = start(main="worker_shutdown_timeout 500ms;")
    with under_way(r):
        begin = time.monotonic()
        r.admin("POST", "/v1/drain?timeout=40s&delay=1s")
        assert exit_code(r) == 0
        assert 1.4 < time.monotonic() - begin < 8


# ---- other things that happen meanwhile ----

def with_workers(start, *args, **kw):
    r = start(*args, **kw)
    if r.single:
        pytest.skip("there is one process")
    return r


def test_reloads_and_upgrades_are_refused(start):
    r = with_workers(start)
    r.admin("POST", "/v1/drain?timeout=60s&delay=30s")
    workers = r.workers()
    r.signal(SIGHUP)
    r.wait_log("draining: the reload is ignored")
    r.signal(SIGUSR2)
    r.wait_log("draining: the change of the binary is ignored")
    os.rename(r.dir + "/error.log", r.dir + "/error.log.1")
    r.signal(SIGUSR1)
    wait_for(lambda: os.path.exists(r.dir + "/error.log"), "the new log")
    assert r.get().status == 200 and set(workers) <= set(r.children())
    r.signal(SIGQUIT)
    assert exit_code(r) == 0


def test_a_drain_begins_while_a_reload_is_under_way(start):
    r = with_workers(start, "drain_on_term on; drain_delay 300ms; drain_timeout 20s;")
    r.signal(SIGHUP)
    r.signal(SIGTERM)
    assert exit_code(r) == 0
    r.wait_log("draining: accepting for")


def test_processes_that_die_are_replaced(start):
    r = with_workers(start)
    r.admin("POST", "/v1/drain?timeout=60s&delay=30s")
    agent, worker = r.agent(), r.workers()[0]
    r.allow.append(re.compile("exited on signal 9"))
    os.kill(worker, SIGKILL)
    os.kill(agent, SIGKILL)
    wait_for(lambda: r.agent() not in (None, agent) and len(r.workers()) == 2, "successors")
    seen = wait_for(lambda: state_or_none(r), "the new agent")
    assert seen["phase"] == "announced" and seen["deadline_in_ms"] <= 60000
    assert r.admin("GET", "/readyz").status == 503
    assert r.get().status == 200
    r.admin("POST", "/v1/drain?delay=0")
    assert exit_code(r) == 0


def state_or_none(r):
    try:
        return state(r)
    except (ConnectionRefusedError, Closed, ConnectionResetError):
        return None


def test_the_agent_dies_without_a_master_beside_it(start):
    r = start()
    if not r.single:
        pytest.skip("the other case")
    agent = r.children()[0]
    r.allow.append(re.compile("exited on signal 9"))
    os.kill(agent, SIGKILL)
    wait_for(lambda: [c for c in r.children() if c != agent], "a successor")
    wait_for(lambda: state_or_none(r), "the API")
    r.admin("POST", "/v1/drain?timeout=20s&delay=100ms")
    assert exit_code(r) == 0


# ---- what clients see ----

class Load(threading.Thread):
    """Requests on a kept connection; after `Connection: close`, and when there is nobody to connect to, no more."""

    def __init__(self, r, pause):
        super().__init__()
        self.r, self.pause, self.done, self.closed, self.failures = r, pause, 0, False, []
        self.start()

    def run(self):
        try:
            with self.r.client() as c:
                while not self.closed:
                    answer = c.get("/")
                    assert answer.status == 200 and answer.body == b"answer"
                    self.done += 1
                    self.closed = answer.headers["connection"] == "close"
                    time.sleep(self.pause)
        except Exception as e:  # noqa: BLE001
            self.failures.append(e)


def test_no_request_fails(start):
    r = start()
    loads = [Load(r, pause) for pause in [0, 0, 0.001, 0.01, 0.05, 0.1, 0.3, 0.5, 1, 2]]
    wait_for(lambda: all(load.done for load in loads), "the load")
    assert r.admin("POST", "/v1/drain?timeout=30s&delay=1s").status == 202
    fresh = []
    while not refused(r):  # connections that come until the last moment are served
        fresh.append(Load(r, 0.01))
        time.sleep(0.02)
    for load in loads + fresh:
        load.join(20)
    late = [load for load in fresh if load.failures]
    assert all(isinstance(e, ConnectionRefusedError) for load in late for e in load.failures), [
        (load.done, load.failures) for load in late]
    assert not [load.failures for load in loads if load.failures]
    assert all(load.closed for load in loads)
    assert exit_code(r) == 0


@pytest.mark.parametrize("options", ["", "reuseport"])
def test_connections_are_served_or_refused(remora, options):
    """Whoever comes while listeners are being closed finds nobody, or somebody who answers."""
    r = remora("worker_processes 2; http { server { listen 127.0.0.1:@PORT:web@ %s; location / { return 200 answer; } } }"
               % options)
    wait_for(lambda: r.admin("GET", "/readyz").status == 200, "readiness")
    served, failures = [], []

    def come():
        while True:
            try:
                served.append(r.get().status)
            except ConnectionRefusedError:
                return
            except Exception as e:  # noqa: BLE001
                failures.append(e)
                return

    crowd = [threading.Thread(target=come) for _ in range(6)]
    for one in crowd:
        one.start()
    wait_for(lambda: len(served) > 100, "the crowd")
    r.admin("POST", "/v1/drain?delay=200ms")
    for one in crowd:
        one.join(20)
    assert not failures and set(served) == {200}
    assert exit_code(r) == 0


# ---- who may, and how ----

def test_roles(remora, backend):
    b = backend()
    r = remora("admin { listen unix:@DIR@/admin.sock role=write; listen unix:@DIR@/top.sock; write on; }"
               + HTTP % ("", b.addr))
    for path in ("/v1/drain", "/v1/shutdown"):
        answer = r.admin("POST", path)
        assert (answer.status, answer.json["code"]) == (403, "Forbidden")
    assert r.admin("GET", "/v1/drain").json["draining"] is False
    assert r.request(r.dir + "/top.sock", "POST", "/v1/drain").status == 202
    assert r.admin("GET", "/v1/drain").json["draining"] is True


def test_read_only(remora, backend):
    r = remora("admin { listen unix:@DIR@/admin.sock; }" + HTTP % ("", backend().addr))
    assert r.admin("POST", "/v1/drain").status == 405
    assert r.admin("POST", "/v1/shutdown").status == 405
    assert r.admin("GET", "/readyz").status == 200


@pytest.mark.parametrize("query, body", [
    ("?timeout=", b""), ("?timeout=abc", b""), ("?timeout=-1s", b""), ("?timeout=99999999999s", b""),
    ("?delay=1x", b""), ("?delay=5s&timeout", b""), ("?tiemout=5s", b""), ("?timeout=1s&x=1", b""), ("", b"{}")])
def test_bad_arguments(remora, backend, query, body):
    r = remora(HTTP % ("", backend().addr))
    answer = r.request(r.dir + "/admin.sock", "POST", "/v1/drain" + query,
                       {"Content-Type": "application/json"}, body)
    assert (answer.status, answer.json["code"]) == (400, "BadRequest"), answer
    assert state(r)["draining"] is False


@pytest.mark.parametrize("text, message", [
    ("drain_delay x;", '"drain_delay" directive invalid value'),
    ("drain_delay 1s; drain_delay 2s;", '"drain_delay" directive is duplicate'),
    ("drain_timeout -1;", '"drain_timeout" directive invalid value'),
    ("drain_timeout 3d;", '"drain_timeout" directive invalid value'),
    ("drain_timeout 5s;", 'leaves nothing of the "drain_timeout"'),
    ("drain_on_term maybe;", 'invalid value "maybe" in "drain_on_term" directive|it must be "on" or "off"'),
    ("drain_on_term on; drain_on_term on;", '"drain_on_term" directive is duplicate'),
    ("ready_when app;", 'invalid value "app"|invalid parameter "app"'),
    ("ready_when upstream=;", '"upstream="'),
    ("ready_when timeout=5s;", 'needs "upstream=NAME"'),
    ("ready_when upstream=a timeout=x;", '"timeout=x"'),
    ("ready_when upstream=a upstream=b;", '"upstream=b"'),
])
def test_bad_configuration(tmp_path, text, message):
    refuses_admin(tmp_path, text, message)


# ---- probes ----

def test_ready_by_upstream(remora, backend):
    r = remora("http { upstream app { zone a; server %s; } upstream none { zone n; } upstream off { zone o; server "
               "127.0.0.1:1 down; } }" % backend().addr)
    wait_for(lambda: r.admin("GET", "/readyz").status == 200)
    for query, status in (("upstream=app", 200), ("upstream=none", 503), ("upstream=off", 503), ("upstream=x", 503),
                          ("upstream=", 503), ("upstream=app&upstream=none", 503), ("upstream=a%70p", 200),
                          ("x=1&upstream=app&verbose", 200), ("upstream=%00%ff%0d%0aX", 503)):
        answer = r.admin("GET", "/readyz?" + query)
        assert answer.status == status, (query, answer)
        if status == 503 and "verbose" not in query:
            assert b"upstream " in answer.body and b"\r" not in answer.body
    verbose = r.admin("GET", "/readyz?verbose&upstream=none&upstream=app").json
    assert verbose == {"status": "failed", "checks": {"workers": True, "not_draining": True, "upstream none": False,
                                                      "upstream app": True}}
    assert r.admin("GET", "/readyz?" + "&".join(["upstream=app"] * 200)).status == 400
    assert r.admin("PUT", "/v1/http/upstreams/none/servers", [{"server": "127.0.0.1:1"}]).status == 200
    assert r.admin("GET", "/readyz?upstream=none").status == 200


def test_startup_may_wait_for_an_upstream(remora, backend):
    r = remora("admin { listen unix:@DIR@/admin.sock; write on; ready_when upstream=app timeout=30s; }"
               "http { upstream app { zone a; } }")
    wait_for(lambda: r.admin("GET", "/readyz").status == 200)
    answer = r.admin("GET", "/startupz")
    assert (answer.status, answer.body) == (503, b"upstream app: failed\n")
    assert r.admin("PUT", "/v1/http/upstreams/app/servers", [{"server": "127.0.0.1:1"}]).status == 200
    assert r.admin("GET", "/startupz").status == 200
    assert r.admin("PUT", "/v1/http/upstreams/app/servers", []).status == 200
    assert r.admin("GET", "/startupz").status == 200, "it has started"


def test_startup_waits_no_longer_than_told(remora):
    r = remora("admin { listen unix:@DIR@/admin.sock; ready_when upstream=app timeout=1s; ready_when upstream=b "
               "timeout=500ms; } http { upstream app { zone a; } }")
    assert r.admin("GET", "/startupz").status == 503
    wait_for(lambda: r.admin("GET", "/startupz").status == 200, "the end of the wait", 5)
    assert r.admin("GET", "/startupz?verbose").json["checks"]["upstream app"] is True
