# SPDX-License-Identifier: Apache-2.0
"""What becomes of the states that health checks give: over changes through the API, reloads, and the agent's death."""
import os
import random
import re
import selectors
import signal
import socket
import threading
import time

import pytest

import conftest
from conftest import free_port, ok, wait_for
from test_health_check import Switch, conf, peer, peers, wait_state
from test_process_upgrade import new_master

SERVERS = "/api/9/http/upstreams/u/servers"


class Gate:
    """A backend that answers nothing until it is opened."""

    def __init__(self, backend):
        self.open = threading.Event()
        self.backend = backend(self._answer)
        self.addr = self.backend.addr

    def _answer(self, request):
        self.open.wait(20)
        return ok(self.addr)


def add(instance, address, **params):
    answer = instance.admin("POST", SERVERS, {"server": address, **params})
    assert answer.status == 201, answer
    return answer.json["id"]


# ---- mandatory ----

def test_mandatory_start(remora, backend):
    """No request reaches a server before it has passed; a request meanwhile finds nobody."""
    g = Gate(backend)
    r = remora(conf([g.addr], "health_check mandatory uri=/hc;"))
    p = wait_state(r, g.addr, "checking")
    assert p["downstart"] and "last_passed" not in p["health_checks"]
    assert r.get().status == 502
    assert not [q for q in g.backend.requests if q.path != "/hc"]
    g.open.set()
    p = wait_state(r, g.addr, "up")
    assert p["health_checks"] == {"checks": 1, "fails": 0, "unhealthy": 0, "last_passed": True}
    assert "downstart" not in p and p["downtime"] > 0
    assert r.get().body.decode() == g.addr


def test_mandatory_passes_once(remora, backend):
    """From "checking", one pass is enough; from "unhealthy", as many as `passes` says."""
    s = Switch(backend)
    r = remora(conf([s.addr], "health_check mandatory passes=3 interval=50ms;"))
    assert wait_state(r, s.addr, "up")
    assert re.findall("peer is (healthy|unhealthy)", r.log()) == ["healthy"]
    s.well = False
    wait_state(r, s.addr, "unhealthy")
    s.well = True
    before = len(s.backend.requests)
    wait_state(r, s.addr, "up")
    assert len(s.backend.requests) >= before + 3


def test_mandatory_fails(remora, backend):
    """A new server that fails is unhealthy after `fails` checks, and has had no request until then."""
    b = backend(ok(status="500 X"))
    r = remora(conf([b.addr], "health_check mandatory fails=3 interval=100ms uri=/hc;"))
    p = wait_state(r, b.addr, "unhealthy")
    assert p["health_checks"]["fails"] >= 3 and p["health_checks"]["unhealthy"] == 1
    assert r.get().status == 502
    assert {q.path for q in b.requests} == {"/hc"}


def test_mandatory_through_the_api(remora, backend):
    first, g = backend(ok("first")), Gate(backend)
    r = remora(conf([first.addr], "health_check mandatory uri=/hc;", workers=2))
    wait_state(r, first.addr, "up")
    add(r, g.addr)
    assert peer(r, g.addr)["state"] == "checking"
    assert {r.get().body for _ in range(8)} == {b"first"}
    g.open.set()
    wait_state(r, g.addr, "up")
    wait_for(lambda: {r.get().body.decode() for _ in range(8)} == {"first", g.addr}, "both")


def test_mandatory_with_slow_start(remora, backend):
    """A server that has just passed begins slowly."""
    first, second = backend(ok("1")), Gate(backend)
    r = remora(conf([first.addr, second.addr + " slow_start=1h"], "health_check mandatory uri=/hc;"))
    wait_state(r, first.addr, "up")
    second.open.set()
    wait_state(r, second.addr, "up")
    got = [r.get().body for _ in range(50)]
    assert got.count(b"1") >= 48


# ---- servers that come and go ----

def test_added_server_is_checked_at_once(remora, backend):
    """It is up from the first moment; the first result is there within moments, not an interval."""
    first, good, bad = backend(), backend(), backend(ok(status="404 X"))
    r = remora(conf([first.addr], "health_check interval=1h fails=3;"))
    add(r, good.addr)
    add(r, bad.addr)
    assert peer(r, good.addr)["state"] == "up"
    p = wait_for(lambda: (lambda x: x["health_checks"]["checks"] and x)(peer(r, good.addr)), "a check", 3)
    assert p["health_checks"] == {"checks": 1, "fails": 0, "unhealthy": 0, "last_passed": True}
    p = wait_for(lambda: (lambda x: x["health_checks"]["checks"] and x)(peer(r, bad.addr)), "a check", 3)
    assert p["state"] == "up" and p["health_checks"]["last_passed"] is False


def test_removed_server_is_left_alone(remora, backend):
    first, g = backend(), Gate(backend)
    r = remora(conf([first.addr], "health_check interval=50ms;"))
    number = add(r, g.addr)
    wait_for(lambda: g.backend.requests, "a check")  # under way now
    assert r.admin("DELETE", f"{SERVERS}/{number}").status == 200
    g.open.set()
    n = len(first.requests)
    wait_for(lambda: len(first.requests) > n + 5, "checks of the other")
    assert len(g.backend.requests) == 1
    assert list(peers(r)) == [first.addr]


def test_replaced_set(remora, backend):
    """Servers that stay are not asked out of turn; their states and counts stay."""
    backends = [Switch(backend) for _ in range(6)]
    r = remora(conf([s.addr for s in backends[:4]], "health_check interval=200ms;"))
    backends[0].well = False
    wait_state(r, backends[0].addr, "unhealthy")
    order = [5, 3, 0, 4]
    body = [{"server": backends[i].addr} for i in order]
    before = peer(r, backends[3].addr)["health_checks"]["checks"]
    assert r.admin("PUT", "/v1/http/upstreams/u/servers", body).status == 200
    now = peers(r)
    assert list(now) == [backends[i].addr for i in order]
    assert now[backends[0].addr]["state"] == "unhealthy"
    assert before <= now[backends[3].addr]["health_checks"]["checks"] <= before + 2
    counts = [len(backends[i].backend.requests) for i in (1, 2)]
    wait_for(lambda: all(p["health_checks"]["checks"] > before + 1 for p in peers(r).values()), "checks of all")
    assert all(len(backends[i].backend.requests) <= n + 1 for i, n in zip((1, 2), counts))  # one under way then


def test_down_server_is_not_checked(remora, backend):
    a, b = backend(), Switch(backend)
    r = remora(conf([a.addr, b.addr + " down"], "health_check interval=50ms;"))
    wait_for(lambda: len(a.requests) > 5, "checks")
    assert not b.backend.requests and peer(r, b.addr)["state"] == "down"
    b.well = False
    number = peer(r, b.addr)["id"]
    assert r.admin("PATCH", f"{SERVERS}/{number}", {"down": False}).status == 200
    wait_state(r, b.addr, "unhealthy")
    assert r.admin("PATCH", f"{SERVERS}/{number}", {"down": True}).status == 200
    assert peer(r, b.addr)["state"] == "down"
    n = len(b.backend.requests)
    wait = len(a.requests) + 5
    wait_for(lambda: len(a.requests) > wait, "checks")
    assert len(b.backend.requests) <= n + 1
    b.well = True
    assert r.admin("PATCH", f"{SERVERS}/{number}", {"down": False}).status == 200
    wait_state(r, b.addr, "up")


def test_draining_server_is_checked(remora, backend):
    a, b = backend(), backend()
    r = remora(conf([a.addr, b.addr], "health_check interval=50ms;"))
    number = peer(r, b.addr)["id"]
    assert r.admin("PATCH", f"{SERVERS}/{number}", {"drain": True}).status == 200
    n = len(b.requests)
    wait_for(lambda: len(b.requests) > n + 3, "checks")
    assert peer(r, b.addr)["state"] == "draining"


def test_upstream_that_comes_and_goes(remora, backend):
    """Many changes while checks are under way: nothing is asked that is not there any more."""
    backends = [backend() for _ in range(5)]
    r = remora(conf([backends[0].addr], "health_check interval=20ms mandatory;"))
    for i in range(60):
        chosen = [{"server": b.addr, "weight": 1 + i % 3} for k, b in enumerate(backends) if (i >> k) % 2 or k == i % 5]
        assert r.admin("PUT", "/v1/http/upstreams/u/servers", chosen).status == 200
    assert r.admin("PUT", "/v1/http/upstreams/u/servers", []).status == 200
    assert peers(r) == {}
    connections = wait_for(lambda: [b.connections for b in backends] if not any(b.open for b in backends) else None,
                           "the end of the last checks")
    assert r.admin("PUT", "/v1/http/upstreams/u/servers", [{"server": backends[4].addr}]).status == 200
    wait_state(r, backends[4].addr, "up")
    wait_for(lambda: backends[4].connections > connections[4] + 5, "checks")
    # one that waited to be accepted may have come late
    assert all(b.connections <= n + 1 for b, n in zip(backends[:4], connections))


# ---- reloads and deaths ----

def test_reload_keeps_states(remora, backend):
    a, b = Switch(backend), Switch(backend)
    text = conf([a.addr, b.addr], "health_check interval=100ms passes=2;")
    r = remora(text)
    b.well = False
    wait_state(r, b.addr, "unhealthy")
    before = peer(r, b.addr)["health_checks"]
    for _ in range(3):
        r.reload()
        assert peer(r, b.addr)["state"] == "unhealthy"
    assert {r.get().body.decode() for _ in range(8)} == {a.addr}
    now = peer(r, b.addr)["health_checks"]
    assert now["checks"] >= before["checks"] and now["unhealthy"] == before["unhealthy"]
    b.well = True
    wait_state(r, b.addr, "up")


def test_reloads_put_no_check_off(remora, backend):
    """A server whose place in the interval is late is checked nevertheless, however often agents follow each other."""
    seen = [[] for _ in range(4)]
    backends = [backend(lambda request, times=times: times.append(time.monotonic()) or ok()) for times in seen]
    r = remora(conf([b.addr for b in backends], "health_check interval=1s;"))
    wait_for(lambda: all(seen), "the first checks")
    start = time.monotonic()
    while time.monotonic() < start + 3.5:
        r.reload()
    late = [len([t for t in times if t > start]) for times in seen]
    assert min(late) >= 2, late


@pytest.mark.parametrize("persistent", [False, True])
def test_reload_with_mandatory(remora, backend, persistent):
    """Without `persistent`, a new configuration believes nobody; with it, it believes who was up."""
    g = Gate(backend)
    dead = "127.0.0.1:%d" % free_port()
    g.open.set()
    text = conf([g.addr, dead], "health_check mandatory%s uri=/hc interval=1h;" % (" persistent" * persistent))
    r = remora(text)
    wait_state(r, g.addr, "up")
    wait_state(r, dead, "unhealthy")
    g.open.clear()
    r.reload()
    assert peer(r, g.addr)["state"] == ("up" if persistent else "checking")
    assert peer(r, dead)["state"] == "unhealthy"
    g.open.set()
    wait_state(r, g.addr, "up")
    assert r.get().status == 200


def test_reload_makes_checks_mandatory_and_ends_them(remora, backend):
    """An upstream's block is the same, but what is said of it elsewhere has changed."""
    a, g = backend(ok("a")), Gate(backend)
    r = remora(conf([a.addr], "health_check interval=50ms;"))
    wait_state(r, a.addr, "up")
    number = add(r, g.addr)
    r.reload(conf([a.addr], "health_check interval=50ms mandatory persistent;"))
    assert sorted(peers(r)) == sorted([a.addr, g.addr])  # what was changed at run time stays
    assert r.admin("DELETE", f"{SERVERS}/{number}").status == 200
    wait_for(lambda: a.addr in peers(r) and g.addr not in peers(r), "its end")
    add(r, g.addr)
    assert peer(r, g.addr)["state"] in ("checking", "up")
    g.open.set()
    wait_state(r, g.addr, "up")
    a.answer = ok(status="500 X")
    wait_state(r, a.addr, "unhealthy")
    r.reload(conf([a.addr], ""))
    assert peer(r, a.addr)["state"] == "up"
    assert peer(r, g.addr)["state"] == "up"
    n = len(a.requests)
    fresh = Gate(backend)
    add(r, fresh.addr)
    assert peer(r, fresh.addr)["state"] == "up"
    assert "last_passed" not in peer(r, fresh.addr)["health_checks"] and not fresh.backend.requests
    assert len(a.requests) == n


def test_agent_death(remora, backend):
    """Workers go on by the states in the slots; the next agent goes on with the checks."""
    a, b = Switch(backend), Switch(backend)
    r = remora(conf([a.addr, b.addr], "health_check mandatory interval=100ms passes=2;", workers=2))
    wait_state(r, a.addr, "up")
    wait_state(r, b.addr, "up")
    b.well = False
    before = wait_state(r, b.addr, "unhealthy")
    for _ in range(3):
        old = r.agent()
        os.kill(old, signal.SIGKILL)
        assert {r.get().body.decode() for _ in range(8)} == {a.addr}
        wait_for(lambda: r.agent() not in (None, old), "another agent")
        now = wait_for(lambda: r.admin("GET", "/livez").status == 200 and peer(r, b.addr), "the API")
        assert now["state"] == "unhealthy"
        assert now["health_checks"]["unhealthy"] == before["health_checks"]["unhealthy"] == 1
        assert peer(r, a.addr)["state"] == "up"
    b.well = True
    wait_state(r, b.addr, "up")
    r.allow.append(re.compile("agent process .* exited on signal 9|killed"))


def test_upgrade(remora, backend):
    """Another binary takes states and counts over, and goes on."""
    a, b = Switch(backend), Switch(backend)
    r = remora(conf([a.addr, b.addr], "health_check mandatory persistent interval=50ms;", workers=2))
    b.well = False
    wait_state(r, a.addr, "up")
    before = wait_state(r, b.addr, "unhealthy")["health_checks"]
    r.signal(signal.SIGUSR2)
    pid = new_master(r)
    r.signal(signal.SIGQUIT)
    assert r.process.wait(30) == 0
    after = peer(r, b.addr)
    assert after["state"] == "unhealthy" and peer(r, a.addr)["state"] == "up"
    assert after["health_checks"]["unhealthy"] == before["unhealthy"] == 1
    assert after["health_checks"]["checks"] >= before["checks"]
    b.well = True
    wait_state(r, b.addr, "up")
    r.pid = pid
    r.signal(signal.SIGQUIT)
    wait_for(lambda: not os.path.exists(r.pid_file), "the end of the new one")


def test_worker_death(remora, backend):
    a, b = Switch(backend), Switch(backend)
    r = remora(conf([a.addr, b.addr], "health_check interval=50ms;", workers=2))
    b.well = False
    wait_state(r, b.addr, "unhealthy")
    for pid in r.workers():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(r.workers()) == 2, "new workers")
    assert {r.get().body.decode() for _ in range(8)} == {a.addr}
    r.allow.append(re.compile("exited on signal 9"))


def test_resolved_servers(remora, backend):
    """Checks run by what a set has, wherever its servers come from; here two upstreams share a server."""
    s = Switch(backend)
    http = f"upstream v {{ zone v 64k; server {s.addr}; }}"
    text = conf([s.addr], "health_check interval=50ms;", http).replace(
        "location /", "location /v { proxy_pass http://v; } location /")
    r = remora(text)
    s.well = False
    wait_state(r, s.addr, "unhealthy")
    assert r.get().status == 502
    assert peer(r, s.addr, "v")["state"] == "up"
    assert r.get(path="/v").status == 503  # the server's own


def test_checks_spread_over_the_interval(remora, backend):
    """After the first round, the checks of many servers are not made at the same time."""
    times, lock = [], threading.Lock()

    def answer(request):
        with lock:
            times.append(time.monotonic())
        return ok()
    backends = [backend(answer) for _ in range(20)]
    r = remora(conf([b.addr for b in backends], "health_check interval=1s;"))
    start = time.monotonic()
    wait_for(lambda: time.monotonic() > start + 3.2, "two rounds")
    with lock:
        later = [t - start for t in times if start + 1.1 < t < start + 3.1]
    assert 30 <= len(later) <= 50
    buckets = [0] * 10
    for t in later:
        buckets[int(t * 10) % 10] += 1
    assert max(buckets) <= 10 and buckets.count(0) <= 2, buckets
    assert all(p["health_checks"]["fails"] == 0 for p in peers(r).values())


def test_jitter(remora, backend):
    times = []
    b = backend(lambda request: times.append(time.monotonic()) or ok())
    remora(conf([b.addr], "health_check interval=100ms jitter=80ms;"))
    wait_for(lambda: len(times) > 20, "checks")
    gaps = [y - x for x, y in zip(times[2:], times[3:])]
    assert max(gaps) - min(gaps) > 0.04
    assert sum(gaps) / len(gaps) < 0.2


class Everywhere:
    """A server on one port of all addresses in 127.0.0.0/8, which answers everything with its address; with 503 at
    those in `ill`."""

    def __init__(self):
        self.ill = set()
        self.listener = socket.socket()
        self.listener.bind(("0.0.0.0", 0))
        self.listener.listen(1024)
        self.port = self.listener.getsockname()[1]
        self.most = 0
        self.poll = selectors.DefaultSelector()
        self.poll.register(self.listener, selectors.EVENT_READ)
        self.ended = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def servers(self, n):
        return [f"127.1.{i // 250}.{i % 250 + 1}:{self.port}" for i in range(n)]

    def _run(self):
        while not self.ended:
            for key, _ in self.poll.select(0.1):
                if key.fileobj is self.listener:
                    sock, _ = self.listener.accept()
                    if sock.getpeername()[0].startswith("127."):
                        self.poll.register(sock, selectors.EVENT_READ)
                        self.most = max(self.most, len(self.poll.get_map()) - 1)
                    else:
                        sock.close()
                    continue
                try:
                    data = key.fileobj.recv(4096)
                except OSError:
                    data = b""
                if data:
                    address = "%s:%d" % key.fileobj.getsockname()
                    key.fileobj.sendall(ok(address, status="503 X" if address in self.ill else "200 OK"))
                else:
                    self.poll.unregister(key.fileobj)
                    key.fileobj.close()

    def stop(self):
        self.ended = True
        self.thread.join()
        for key in list(self.poll.get_map().values()):
            key.fileobj.close()


def test_more_servers_than_descriptors(remora, monkeypatch, tmp_path):
    """Kept connections make room for others, checks wait for each other, and all have their turn."""
    server = Everywhere()
    script = tmp_path / "remora"
    script.write_text(f'#!/bin/sh\nulimit -n 620\nexec {conftest.REMORA} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(conftest, "REMORA", str(script))
    r = remora(conf(server.servers(400), "health_check interval=500ms keepalive_time=1h;"))
    wait_for(lambda: all(p["health_checks"]["checks"] >= 4 for p in peers(r).values()), "checks of all", 30)
    assert all(p["health_checks"]["fails"] == 0 for p in peers(r).values())
    assert server.most < 2 * (620 - 512)  # it sees the end of one later than the beginning of the next
    r.stop()
    server.stop()


@pytest.mark.parametrize("method", ["", "least_conn;", "hash $request_id consistent;", "random two;"])
def test_many_servers_fall_and_return(remora, method):
    """Whatever a worker remembers of servers that were no use, it learns when they are again."""
    server = Everywhere()
    servers = server.servers(60)
    r = remora(conf(servers, "health_check interval=100ms;", workers=2).replace("zone u 64k;", "zone u 64k; " + method))
    wait_for(lambda: all(p["health_checks"]["checks"] for p in peers(r).values()), "checks of all")
    for ill in (set(servers[5:50]), set(servers[:58]), set()):
        server.ill = ill
        wait_for(lambda: all((p["state"] == "unhealthy") == (a in ill) for a, p in peers(r).items()), "their states")
        wait_for(lambda: {r.get().body.decode() for _ in range(8)}.isdisjoint(ill), "workers to see it")
        seen = set()

        def all_seen():
            answers = {r.get().body.decode() for _ in range(60)}
            assert answers.isdisjoint(ill)
            seen.update(answers)
            return len(seen) >= (60 - len(ill)) * 0.9
        wait_for(all_seen, "requests at all of them", 30)
    r.stop()
    server.stop()


def test_storm(remora):
    """Sets change, the configuration is read anew and agents die while checks are under way."""
    server = Everywhere()
    servers = server.servers(200)
    text = conf(servers[:50], "health_check interval=20ms mandatory persistent match=m %s;",
                "match m { status 200; body ~ ^127; }", workers=2)
    r = remora(text % "keepalive_time=300ms")
    chance = random.Random(7)
    failures, ended = [], threading.Event()

    def change():
        while not ended.is_set():
            chosen = [{"server": s, "down": chance.random() < 0.1} for s in chance.sample(servers, chance.randrange(150))]
            try:
                status = r.admin("PUT", "/v1/http/upstreams/u/servers", chosen).status
            except (OSError, conftest.Closed, AssertionError):
                continue  # an agent that has just been killed
            if status != 200:
                failures.append(status)
    threads = [threading.Thread(target=change) for _ in range(2)]
    for t in threads:
        t.start()
    for i in range(8):
        server.ill = set(chance.sample(servers, 60))
        time.sleep(0.2)
        if i % 2:
            r.reload(text % ("" if i % 4 == 1 else "keepalive_time=1s"))
        else:
            old = r.agent()
            os.kill(old, signal.SIGKILL)
            wait_for(lambda: r.agent() not in (None, old), "another agent")
    ended.set()
    for t in threads:
        t.join()
    assert not failures
    server.ill = set(servers[::2])
    assert r.admin("PUT", "/v1/http/upstreams/u/servers", [{"server": s} for s in servers]).status == 200
    wait_for(lambda: all((p["state"] == "unhealthy") == (a in server.ill) and p["state"] != "checking"
                         for a, p in peers(r).items()), "the right states", 30)
    assert {r.get().body.decode() for _ in range(50)}.isdisjoint(server.ill)
    r.allow.append(re.compile("exited on signal 9"))
    r.stop()
    server.stop()


def test_idle_agent_sleeps(remora, backend):
    """Without checks nothing runs; with one an hour from now, nothing either."""
    b = backend()
    r = remora(conf([b.addr], "health_check interval=1h;"))
    wait_for(lambda: peer(r, b.addr)["health_checks"]["checks"] == 1, "the first check")
    wait_for(lambda: b.open == set(), "its end")

    def switches():
        with open(f"/proc/{r.agent()}/status") as f:
            return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(), re.M)[1])

    def quiet():
        before = switches()
        time.sleep(0.5)
        return switches() - before <= 1
    wait_for(quiet, "silence")
