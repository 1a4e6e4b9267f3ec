# SPDX-License-Identifier: Apache-2.0
"""/v1/history, /v1/rollback and the revisions in /v1/events."""
import os
import random
import select
import signal
import threading

import pytest

import conftest
from admin_client import CONF, Remora, instance, remora  # noqa: F401 (fixtures)
from conftest import wait_for
from test_admin_declarative import UPSTREAMS, state
from test_admin_events import Events, agent_pid
from test_admin_v1 import addresses, problem

SERVERS = UPSTREAMS + "/app/servers"


def one(remora, revision):
    answer = remora.get("/v1/history/%d" % revision)
    assert answer.status == 200, answer
    return answer.json


def rollback(remora, revision, query=""):
    answer = remora.call("POST", "/v1/rollback/%d%s" % (revision, query))
    assert answer.status == 200, answer
    return answer.json


# ---- what is written down ----

def test_who_and_what(remora):
    revision = remora.call("PATCH", SERVERS + "/127.0.0.1:8001", {"weight": 5}).json["revision"]
    record = one(remora, revision)
    assert record["revision"] == revision and record["at"].endswith("Z")
    assert record["causes"] == [{"who": record["causes"][0]["who"],
                                 "what": "PATCH /v1/http/upstreams/app/servers/127.0.0.1:8001"}]
    assert record["causes"][0]["who"]
    server = remora.servers("app")[0]
    assert record["upstreams"] == {"app": {"change": "changed", "servers": {"changed": [
        {"id": server["id"], "server": "127.0.0.1:8001", "before": {"weight": 1}, "after": {"weight": 5}}]}}}


def test_the_plus_api_too(remora):
    answer = remora.call("POST", "/api/9/http/upstreams/app/servers", {"server": "127.0.0.1:9999"})
    assert answer.status == 201
    record = one(remora, remora.revision())
    assert record["causes"][0]["what"] == "POST /api/9/http/upstreams/app/servers"
    assert record["upstreams"]["app"]["servers"]["added"] == [
        {"id": answer.json["id"], "server": "127.0.0.1:9999"}]


def test_the_configuration_is_the_first(instance):
    own = Remora()
    try:
        history = own.get("/v1/history").json
        assert history["revision"] == 1 and len(history["history"]) == 1
        record = one(own, 1)
        assert record["causes"] == [{"who": "configuration", "what": "generation 1"}]
        assert {n: u["change"] for n, u in record["upstreams"].items()} == {
            "app": "added", "fixed": "added", "empty": "added"}
        assert len(record["upstreams"]["app"]["servers"]["added"]) == 2
    finally:
        own.stop()


def test_list(remora):
    revisions = [remora.call("PUT", SERVERS, [{"server": "127.0.0.1:%d" % n}]).json["revision"]
                 for n in range(1, 6)]
    body = remora.get("/v1/history?limit=3").json
    assert [r["revision"] for r in body["history"]] == revisions[:-4:-1]
    assert body["revision"] == revisions[-1]
    assert "upstreams" not in body["history"][0] and body["history"][0]["causes"]
    assert len(remora.get("/v1/history").json["history"]) <= 100
    for limit in ("0", "x", "-1", "", "99999999999"):
        problem(remora.get("/v1/history?limit=" + limit), 400, "UpstreamConfFormatError")


def test_unknown_revisions(remora):
    now = remora.revision()
    for method, path in (("GET", "/v1/history/"), ("POST", "/v1/rollback/")):
        problem(remora.call(method, path + str(now + 1)), 404, "RevisionNotFound")
        problem(remora.call(method, path + "0"), 404, "RevisionNotFound")
        for name in ("x", "-1", "1.5", "99999999999999999999999"):
            problem(remora.call(method, path + name), 400, "UpstreamConfFormatError")


def test_old_ones_are_gone(remora):
    first = remora.revision()
    with remora.connect() as c:
        for n in range(101):
            assert c.request("PUT", SERVERS, [{"server": "127.0.0.1:%d" % (n + 1)}]).status == 200
    body = remora.get("/v1/history?limit=1000").json["history"]
    assert [r["revision"] for r in body] == list(range(first + 101, first + 1, -1))
    problem(remora.get("/v1/history/%d" % (first + 1)), 410, "RevisionGone")
    problem(remora.call("POST", "/v1/rollback/%d" % first), 410, "RevisionGone")
    assert rollback(remora, first + 1)["restored"] == first + 1
    assert addresses(remora.servers("app")) == ["127.0.0.1:1"]


@pytest.mark.parametrize("number, kept", [(1, 1), (3, 3), (300, 120)])
def test_the_directive(number, kept):
    own = conftest.Remora(SHORT % number)
    try:
        for n in range(120):
            answer = own.admin("PUT", "/v1/http/upstreams/u/servers", [{"server": "127.0.0.1:%d" % (n + 1)}])
            assert answer.status == 200
        history = own.admin("GET", "/v1/history").json["history"]
        assert len(history) == kept + (number > 120)
        status = own.admin("POST", "/v1/rollback/%d" % (121 - kept), {}).status
        assert status == 200
        assert own.admin("POST", "/v1/rollback/%d" % (121 - kept), {}).status == (200 if number == 300 else 410)
    finally:
        own.stop()


@pytest.mark.parametrize("number, words", [
    ("0", "invalid number of revisions"), ("-1", "invalid"), ("x", "invalid"), ("10001", "1 to 10000"),
    ("1; history 2", "is duplicate"), ("", "invalid number of arguments"), ("1 2", "invalid number of arguments")])
def test_bad_directives(tmp_path, number, words):
    text = (SHORT % number).replace("@DIR@", str(tmp_path)).replace("@PORT:web@", "8080")
    (tmp_path / "remora.conf").write_text(text)
    done = conftest.run_remora("-t", "-p", str(tmp_path), "-c", str(tmp_path / "remora.conf"), "-e", "stderr")
    assert done.returncode == 1 and words in done.stderr, done


SHORT = """
worker_processes 1;
admin { listen unix:@DIR@/admin.sock; write on; history %s; }
http { upstream u { zone u; } server { listen 127.0.0.1:@PORT:web@; } }
"""


# ---- the way back ----

def test_rollback(remora):
    before, revision = state(remora), remora.revision()
    steps = [
        ("PUT", SERVERS, [{"server": "127.0.0.1:8002", "weight": 9}, {"server": "127.0.0.1:1"},
                          {"server": "unix:/tmp/s", "backup": True, "route": "a\"\\b"}]),
        ("PATCH", UPSTREAMS + "/app", {"method": "least_conn", "limits": {"requests": 3},
                                       "keepalive": {"connections": 1, "timeout": "1500ms"}}),
        ("DELETE", SERVERS + "/127.0.0.1:8002", None),
        ("PATCH", UPSTREAMS + "/fixed/servers/127.0.0.1:8001",
         {"down": True, "fail_timeout": "1m", "slow_start": "2s", "max_fails": 0, "max_conns": 8}),
        ("POST", UPSTREAMS, {"name": "brief", "servers": [{"server": "127.0.0.1:4"}]}),
        ("POST", UPSTREAMS + "/empty/servers", {"server": "127.0.0.1:3"}),
        ("PATCH", UPSTREAMS + "/app", {"outlier_detection": {}, "servers": [{"server": "127.0.0.1:8001"}]}),
    ]
    states = [before]
    for method, path, body in steps:
        answer = remora.call(method, path, body)
        assert answer.status in (200, 201), answer
        states.append(state(remora))
    dry = rollback(remora, revision, "?dry_run=true")
    assert dry["dry_run"] is True and dry["not_restored"] == []
    assert dry["upstreams"]["brief"]["change"] == "removed"
    assert state(remora) == states[-1] and remora.revision() == revision + len(steps)
    done = rollback(remora, revision)
    assert done["revision"] == revision + len(steps) + 1 and done["applied"] is True
    assert done["restored"] == revision and done["not_restored"] == []
    assert sorted(done["upstreams"]) == ["app", "brief", "empty", "fixed"]
    assert state(remora) == before
    assert one(remora, done["revision"])["causes"][0]["what"] == "POST /v1/rollback/%d" % revision
    # From there to any other, and back again: what was removed comes back with all it had.
    for n in reversed(range(len(states))):
        rollback(remora, revision + n)
        assert state(remora) == states[n], n
    rollback(remora, revision)


def test_rollback_to_now(remora):
    revision = remora.revision()
    done = rollback(remora, revision)
    assert done["revision"] == revision and done["upstreams"] == []


def test_random_walks(remora):
    """Whatever is done, each of the states on the way can be had again, to the last member."""
    rng = random.Random(7)
    states, first = [], remora.revision()
    remora.call("POST", "/v1/transactions", {"operations": [
        {"op": "create_upstream", "upstream": "walk%d" % n, "value": {}} for n in range(2)]})
    for _ in range(60):
        name = rng.choice(["app", "walk0", "walk1", "walk2"])
        ports = rng.sample(range(1, 12), rng.randrange(1, 8))
        servers = [{"server": "127.0.0.1:%d" % p, "weight": rng.randrange(1, 4)} for p in ports]
        body = {"servers": servers, "method": rng.choice(["round_robin", "least_conn", "random two"])}
        if rng.random() < 0.1 and name != "app":
            answer = remora.call("DELETE", UPSTREAMS + "/" + name)
        elif rng.random() < 0.3:
            current = remora.get(UPSTREAMS + "/" + name)
            ids = [s["id"] for s in current.json["servers"]] if current.status == 200 else []
            path = "%s/%s/servers/%d" % (UPSTREAMS, name, rng.choice(ids or [0]))
            answer = remora.call("DELETE", path) if rng.random() < 0.5 else \
                remora.call("PATCH", path, {"max_conns": rng.randrange(9), "backup": None})
        else:
            answer = remora.call("PUT", UPSTREAMS + "/" + name, body)
        if answer.status in (200, 201):
            states.append((remora.revision(), state(remora)))
    assert len(states) > 30
    for revision, wanted in rng.sample(states, 12):
        done = rollback(remora, revision)
        assert done["not_restored"] == []
        assert sorted(state(remora), key=by_name) == sorted(wanted, key=by_name)
    rollback(remora, first)


def by_name(upstream):
    return upstream["name"]


def test_a_large_set(remora):
    """Ten thousand servers replaced by ten thousand others, and back."""
    def put(a):
        servers = [{"server": "10.%d.%d.%d:80" % (a, n // 250, n % 250), "weight": 2} for n in range(6000)]
        return remora.call("PUT", UPSTREAMS + "/big/servers?return=minimal", servers).json["revision"]

    own = Remora(memory="64m")
    try:
        remora = own
        assert own.call("POST", UPSTREAMS, {"name": "big"}).status == 201
        first = put(1)
        before = own.servers("big")
        put(2)
        own.call("PATCH", UPSTREAMS + "/big/servers/%d" % own.servers("big")[77]["id"], {"weight": 1})
        record = one(own, first + 1)
        assert len(record["upstreams"]["big"]["servers"]["removed"]) == 6000
        assert rollback(own, first)["not_restored"] == []
        assert own.servers("big") == before
    finally:
        own.stop()


def test_what_the_configuration_decides():
    """Upstreams of the file neither come back nor go by a rollback, and that is told."""
    own = Remora()
    try:
        text = CONF % {"write": "on", "memory": "8m", "first": "127.0.0.1:8001",
                       "second": "127.0.0.1:8002"}
        start = own.revision()
        own.call("PUT", UPSTREAMS + "/empty/servers", [{"server": "127.0.0.1:3"}])
        own.reload(text.replace("upstream empty {", "upstream other {").replace("http://empty", "http://other"))
        wait_for(lambda: named(own, "other"), what="the new configuration")
        record = one(own, own.revision())
        assert record["causes"][0]["who"] == "configuration"
        done = rollback(own, start)
        assert {r["upstream"] for r in done["not_restored"]} == {"empty", "other"}
        assert all(r["reason"] for r in done["not_restored"])
        assert own.get(UPSTREAMS + "/other").status == 200
        assert own.get(UPSTREAMS + "/empty").status == 404
    finally:
        own.stop()


def test_what_was_no_text_does_not_come_back(tmp_path):
    """JSON has no words for bytes that are not UTF-8, which a file may have: nobody gets another byte for them."""
    (tmp_path / "server").write_bytes(b"server 127.0.0.1:8003 route=\xe9;")
    (tmp_path / "split").write_bytes(b"split_clients $arg_id $side { 50% \xe9; * b; }")
    own = Remora()
    try:
        text = CONF % {"write": "on", "memory": "8m", "first": "127.0.0.1:8001", "second": "127.0.0.1:8002"}
        own.reload(text.replace("zone app 64k;", f"zone app 64k; include {tmp_path}/server;")
                   .replace("upstream fixed", f"include {tmp_path}/split; upstream fixed"))
        wait_for(lambda: len(own.servers("app")) == 3, what="the new configuration")
        start = own.revision()
        own.call("PATCH", SERVERS + "/127.0.0.1:8003", {"weight": 5})
        assert "inexact" not in one(own, own.revision())["upstreams"]["app"]
        assert rollback(own, start)["not_restored"] == []  # what was changed can be said
        own.call("PUT", "/v1/http/splits/side", {"a": 10, "b": "*"})
        assert one(own, own.revision())["tables"][0]["inexact"] is True
        done = rollback(own, start)
        assert done["not_restored"] == [{"table": "side", "reason": "the history does not hold texts that are not UTF-8"}]
        start = own.revision()
        own.call("DELETE", SERVERS + "/127.0.0.1:8003")
        assert one(own, own.revision())["upstreams"]["app"]["inexact"] is True
        answer = own.call("POST", "/v1/rollback/%d" % start)
        problem(answer, 410, "RevisionGone")
        assert answer.json["detail"] == 'a change of "app" on the way there had texts that are not UTF-8'
        assert len(own.servers("app")) == 2
    finally:
        own.stop()


def named(remora, name):
    try:
        return remora.get(UPSTREAMS + "/" + name).status == 200
    except OSError:
        return False


def test_history_outlives_the_agent():
    own = Remora(allow=["exited on signal 9"])
    try:
        revision = own.call("PUT", SERVERS, []).json["revision"]
        pid = agent_pid(own)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: agent_pid(own) not in (None, pid), what="another agent")
        assert "removed" in one(own, revision)["upstreams"]["app"]["servers"]
        rollback(own, revision - 1)
        assert addresses(own.servers("app")) == ["127.0.0.1:8001", "127.0.0.1:8002"]
    finally:
        own.stop()


def test_kills_leave_no_holes():
    """The agent is killed again and again while it publishes: each revision has its record, and what the records
    say leads back to the first."""
    own = Remora(allow=["exited on signal 9"])
    try:
        start, first = sets(own), own.revision()
        rng, stop = random.Random(3), threading.Event()

        def write():
            n = 0
            while not stop.is_set():
                try:
                    with own.connect(timeout=5) as c:
                        while not stop.is_set():
                            n += 1
                            c.request("PUT", SERVERS + "?return=minimal",
                                      [{"server": "127.0.0.1:%d" % (1 + (n * k) % 97)} for k in (1, 2, 3)])
                except (OSError, EOFError, AssertionError):
                    pass

        for _ in range(8):
            writer = threading.Thread(target=write)
            begin = own.revision()
            stop.clear()
            writer.start()
            wait_for(lambda: (revision_of(own) or 0) > begin + rng.randrange(3, 30), what="changes")
            pid = agent_pid(own)
            os.kill(pid, signal.SIGKILL)
            stop.set()
            writer.join()
            wait_for(lambda: agent_pid(own) not in (None, pid), what="another agent")
            now = own.revision()
            history = own.get("/v1/history").json["history"]
            assert [r["revision"] for r in history] == list(range(now, max(now - 100, 0), -1))[:len(history)]
            assert len(history) == min(now, 100)
            back = max(now - 60, first)
            wanted = sets(own)
            assert rollback(own, back)["not_restored"] == []
            if back == first:
                assert sets(own) == start
            rollback(own, now)
            assert sets(own) == wanted
    finally:
        own.stop()


def sets(remora):
    return {name: remora.servers(name) for name in ("app", "fixed", "empty")}


def revision_of(remora):
    try:
        return remora.revision()
    except (OSError, EOFError):
        return None


# ---- revisions as they happen ----

def test_events(remora):
    with Events(remora) as events:
        assert events.next()[0] == "hello"
        revisions = [remora.call("PUT", SERVERS, [{"server": "127.0.0.1:%d" % n}]).json["revision"]
                     for n in range(1, 4)]
        got = [events.until("revision") for _ in revisions]
        assert [e[2]["revision"] for e in got] == revisions
        assert [e[2] for e in got] == [one(remora, r) for r in revisions]
    # Whoever comes back with the number of the first is told of the others.
    with Events(remora, last=got[0][1]) as events:
        assert events.next()[0] == "hello"
        assert [events.next()[2] for _ in range(2)] == [e[2] for e in got[1:]]
    with Events(remora, query="?after=" + got[1][1]) as events:
        assert events.next()[0] == "hello"
        assert events.next() == got[2]


def test_many_clients(remora):
    clients = [Events(remora) for _ in range(60)]
    try:
        for client in clients:
            assert client.next()[0] == "hello"
        revision = remora.call("PUT", SERVERS, []).json["revision"]
        for client in clients:
            assert client.until("revision")[2]["revision"] == revision
        more = [Events(remora) for _ in range(5)]
        clients += more
        assert [m.status for m in more].count(503) >= 1
    finally:
        for client in clients:
            client.conn.close()
    wait_for(lambda: remora.call("HEAD", "/v1/events").status == 200, what="room")


def test_a_client_that_never_reads():
    """It is closed when its socket has been full for a while (10 s), and costs nothing until then."""
    own = Remora()
    try:
        dead, live = (Events(own, timeout=30, address=own.unix) for _ in range(2))
        with dead, live:
            servers = [[{"server": "10.%d.%d.1:80" % (a, n)} for n in range(250)] for a in range(2)]
            with own.connect() as c:
                for n in range(60):
                    assert c.request("PUT", SERVERS + "?return=minimal", servers[n % 2]).status == 200
                    while live.next()[0] != "revision":
                        pass
            poll = select.poll()
            poll.register(dead.conn.sock, select.POLLRDHUP)  # seen without reading
            assert poll.poll(40000), "it was not closed"
            with pytest.raises((EOFError, ConnectionResetError)):
                while True:
                    dead.next()
            revision = own.call("PUT", SERVERS, []).json["revision"]
            assert live.until("revision")[2]["revision"] == revision
    finally:
        own.stop()


def test_a_client_that_does_not_read(remora):
    """It is told that it has missed something, and holds nobody up."""
    with Events(remora, timeout=30, address=remora.unix) as lazy:
        assert lazy.next()[0] == "hello"
        servers = [[{"server": "10.%d.%d.1:80" % (a, n)} for n in range(250)] for a in range(2)]
        with remora.connect() as c:
            for n in range(800):
                answer = c.request("PUT", SERVERS + "?return=minimal", servers[n % 2])
                assert answer.status == 200
        last = remora.revision()
        names = []
        while True:
            name, _, data = lazy.next()
            names.append(name)
            if data["revision"] == last:
                break
        assert "gap" in names
        remora.call("PUT", SERVERS, [])
        assert lazy.until("revision")[2]["revision"] == last + 1
