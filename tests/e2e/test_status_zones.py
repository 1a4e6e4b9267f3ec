# SPDX-License-Identifier: Apache-2.0
"""status_zone, and what is counted by zone, listener and limit."""
import os
import re
import signal
import threading

import exposition
import pytest
from admin_client import Connection
from conftest import ok, run_remora, wait_for


@pytest.mark.parametrize("text, message", [
    ("server { status_zone a; status_zone b; }", '"status_zone" directive is duplicate'),
    ("server { location / { status_zone a; status_zone off; } }", '"status_zone" directive is duplicate'),
    ("status_zone a;", '"status_zone" directive is not allowed here'),
    ("server { if ($arg_a) { status_zone a; } }", '"status_zone" directive is not allowed here'),
    ("server { status_zone; }", 'invalid number of arguments in "status_zone" directive'),
    ("server { status_zone ''; }", 'invalid name of a status zone ""'),
    ("server { status_zone %s; }" % ("x" * 129), 'invalid name of a status zone "x'),
])
def test_what_is_refused(tmp_path, text, message):
    conf = tmp_path / "remora.conf"
    conf.write_text("events { } http { %s }" % text)
    r = run_remora("-t", "-p", str(tmp_path), "-c", str(conf))
    assert r.returncode == 1
    assert message in r.stderr


def test_what_is_accepted(tmp_path):
    conf = tmp_path / "remora.conf"
    conf.write_text("pid %s/p; events { } http { access_log off; server { listen 127.0.0.1:1; status_zone same;"
                    " location / { status_zone same; location /a { status_zone off; }"
                    "  if ($arg_a) { status_zone b; } } }"
                    " server { listen 127.0.0.1:1; server_name b; status_zone same; }"
                    " server { listen 127.0.0.1:1; server_name c; status_zone off; } }" % tmp_path)
    r = run_remora("-t", "-p", str(tmp_path), "-c", str(conf))
    assert r.returncode == 0, r.stderr


# ---- what is counted ---- (right behind the last byte of an answer, so maybe a moment after it has come)

CONF = """\
worker_processes 2;
admin { listen unix:@DIR@/admin.sock; write on; }
http {
    access_log off;
    limit_req_zone $arg_k zone=req:1m rate=1r/m;
    limit_req_zone $arg_b zone=burst:1m rate=10r/s;
    limit_conn_zone $arg_k zone=conn:1m;
    server {
        listen 127.0.0.1:@PORT:web@;
        status_zone web;
        location / { return 200 hello; }
        location /a {
            status_zone a;
            return 404;
            location /a/off { status_zone off; return 201; }
            location /a/in { return 200; }
            location /a/own { status_zone own; return 200; }
        }
        location /if {
            status_zone a;
            if ($arg_x) { status_zone b; return 202; }
            return 203;
        }
        location /redirected { status_zone a; try_files /nothing /last; }
        location /last { internal; status_zone last; return 200; }
        location /paged { status_zone a; error_page 403 /last; deny all; }
        location /silent { status_zone silent; return 444; }
        location /slow { status_zone slow; proxy_pass http://%(slow)s; }
        location /req { limit_req zone=req burst=1 nodelay; proxy_pass http://%(fast)s; }
        location /dry { limit_req zone=req; limit_conn conn 1; limit_req_dry_run on; proxy_pass http://%(fast)s; }
        location /burst { limit_req zone=burst burst=5; proxy_pass http://%(fast)s; }
        location /conn { limit_conn conn 1; proxy_pass http://%(slow)s; }
    }
    server { listen 127.0.0.1:@PORT:web@; server_name two; status_zone web; return 200; }
    server { listen 127.0.0.1:@PORT:web@; server_name off; status_zone off; return 204; }
    server { listen 127.0.0.1:@PORT:plain@; return 204; }
    server { listen 127.0.0.1:@PORT:wrapped@ proxy_protocol; status_zone wrapped; return 204; }
}
"""


class Zones:
    """A running instance, and what its metrics say."""

    def __init__(self, remora, backend):
        self.arrived, self.go = threading.Event(), threading.Event()

        def late(_):
            self.arrived.set()
            assert self.go.wait(20)
            return ok(b"late")

        self.remora = remora(CONF % {"slow": backend(late).addr, "fast": backend(ok(b"fast")).addr})

    def __call__(self, name, **labels):
        with Connection(self.remora.dir + "/admin.sock") as c:
            metrics = exposition.parse(c.request("GET", "/metrics?detail=code").body.decode())
        return metrics.get((name, tuple(labels.items())))

    def codes(self, name, zone=None):
        with Connection(self.remora.dir + "/admin.sock") as c:
            metrics = exposition.parse(c.request("GET", "/metrics?detail=code").body.decode())
        found = {}
        for (family, labels), value in metrics.items():
            labels = dict(labels)
            if family == name and labels.get("zone") == zone and value:
                found[labels["code"]] = value
        return found

    def get(self, path, host="x", port="web"):
        return self.remora.get(port, path, Host=host).status


@pytest.fixture
def zones(remora, backend):
    z = Zones(remora, backend)
    yield z
    z.go.set()


SERVER, LOCATION = "remora_http_requests_total", "remora_http_location_requests_total"


def test_servers(zones):
    assert [zones.get("/"), zones.get("/", host="two"), zones.get("/a")] == [200, 200, 404]
    assert [zones.get("/", host="off"), zones.get("/", port="plain")] == [204, 204]
    wait_for(lambda: zones.codes(SERVER, "web") == {"200": 2, "404": 1}, "counts")
    wait_for(lambda: zones.codes(SERVER) == {"204": 2}, "those without a zone")
    wait_for(lambda: zones("remora_http_request_duration_seconds_count", zone="web") == 3, "counts")
    wait_for(lambda: zones("remora_http_received_bytes_total", zone="web") > 100, "counts")
    wait_for(lambda: zones("remora_http_sent_bytes_total", zone="web") > 300, "counts")
    for _ in range(2):
        assert zones.remora.get("web", "/").status == 200
    wait_for(lambda: zones.codes(SERVER, "web") == {"200": 4, "404": 1}, "counts")


def test_a_refused_head_belongs_to_a_server(zones):
    with Connection(("127.0.0.1", zones.remora.port("web"))) as c:
        c.send("GET / HTTP/1.1\r\nHost: two\r\nBad Name: x\r\n\r\n")
        assert c.read().status == 400
    wait_for(lambda: zones.codes(SERVER, "web") == {"400": 1}, "counts")
    wait_for(lambda: zones("remora_http_requests_in_flight", zone="web") == 0, "counts")


def test_locations(zones):
    """The last one counts, with all that was said to the client."""
    wanted = {"/a": 404, "/a/off": 201, "/a/in": 200, "/a/own": 200, "/if": 203, "/if?x=1": 202, "/redirected": 200,
              "/paged": 403, "/": 200}
    assert {path: zones.get(path) for path in wanted} == wanted
    wait_for(lambda: zones.codes(LOCATION, "a") == {"404": 1, "200": 1, "203": 1}, "counts")
    wait_for(lambda: zones.codes(LOCATION, "own") == {"200": 1}, "counts")
    wait_for(lambda: zones.codes(LOCATION, "b") == {"202": 1}, "counts")
    wait_for(lambda: zones.codes(LOCATION, "last") == {"200": 1, "403": 1}, "counts")
    wait_for(lambda: zones("remora_http_location_request_duration_seconds_count", zone="a") == 3, "counts")
    assert sum(zones.codes(SERVER, "web").values()) == len(wanted)


def test_discarded_and_in_flight(zones):
    with Connection(("127.0.0.1", zones.remora.port("web"))) as c:
        c.send("GET /silent HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.at_end()
    wait_for(lambda: zones("remora_http_requests_discarded_total", zone="web") == 1, "counts")
    wait_for(lambda: zones("remora_http_location_requests_discarded_total", zone="silent") == 1, "counts")
    wait_for(lambda: zones.codes(SERVER, "web") == {}, "counts")
    with Connection(("127.0.0.1", zones.remora.port("web"))) as c:
        c.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert zones.arrived.wait(10)
        wait_for(lambda: zones("remora_http_requests_in_flight", zone="web") == 1, "counts")
        zones.go.set()
        assert c.read().body == b"late"
    wait_for(lambda: zones("remora_http_requests_in_flight", zone="web") == 0, "end")
    wait_for(lambda: zones.codes(SERVER, "web") == {"200": 1}, "counts")


def test_dead_workers_and_reloads(zones):
    """Counters go on, what a dead worker had in hand is taken back."""
    r = zones.remora
    assert zones.get("/a") == 404
    with Connection(("127.0.0.1", r.port("web"))) as c:
        c.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert zones.arrived.wait(10)
        r.allow.append(re.compile("exited on signal 9"))
        listener = "127.0.0.1:%d" % r.port("web")
        wait_for(lambda: zones("remora_connections", listener=listener, state="active") == 1, "counts")
        for worker in r.workers():
            os.kill(worker, signal.SIGKILL)
        assert c.at_end()
    wait_for(lambda: zones("remora_http_requests_in_flight", zone="web") == 0, "the gauge's end")
    wait_for(lambda: zones("remora_connections", listener=listener, state="active") == 0, "connections")
    r.wait_workers()
    zones.go.set()
    wait_for(lambda: zones.get("/a") == 404, "a worker")
    wait_for(lambda: zones.codes(LOCATION, "a") == {"404": 2}, "counts")
    r.reload(open(r.conf).read().replace("status_zone own;", ""))
    assert zones.get("/a") == 404
    wait_for(lambda: zones.codes(LOCATION, "a") == {"404": 3}, "third")
    assert zones(LOCATION, zone="own", code="200") is None, "it is no more"


def test_listeners(zones):
    r = zones.remora
    web, wrapped = ("127.0.0.1:%d" % r.port(name) for name in ("web", "wrapped"))
    with Connection(("127.0.0.1", r.port("web"))) as c:
        assert c.request("GET", "/").status == 200
        wait_for(lambda: zones("remora_connections", listener=web, state="idle") == 1, "idle")
        wait_for(lambda: zones("remora_connections", listener=web, state="active") == 0, "counts")
    wait_for(lambda: zones("remora_connections", listener=web, state="idle") == 0, "closed")
    wait_for(lambda: zones("remora_connections_accepted_total", listener=web) == 1, "counts")
    with Connection(("127.0.0.1", r.port("wrapped"))) as c:
        c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.at_end()
    with Connection(("127.0.0.1", r.port("wrapped"))) as c:
        c.send("PROXY TCP4 1.1.1.1 2.2.2.2 3 4\r\n")
        assert c.request("GET", "/").status == 204
    wait_for(lambda: zones("remora_connections_accepted_total", listener=wrapped) == 2, "counts")
    wait_for(lambda: zones("remora_connections_rejected_total", listener=wrapped, reason="proxy_protocol") == 1, "counts")
    wait_for(lambda: zones("remora_connections_rejected_total", listener=wrapped, reason="no_room") == 0, "counts")
    wait_for(lambda: zones.codes(SERVER, "wrapped") == {"204": 1}, "counts")


def test_limit_req(zones):
    def results(zone):
        names = ("passed", "delayed", "rejected", "delayed_dry_run", "rejected_dry_run")
        return [zones("remora_limit_requests_total", zone=zone, result=name) for name in names]

    assert [zones.get("/req?k=1") for _ in range(3)] == [200, 200, 503]
    wait_for(lambda: results("req") == [2, 0, 1, 0, 0], "counts")
    assert [zones.get("/dry?k=1") for _ in range(2)] == [200, 200]
    wait_for(lambda: results("req") == [2, 0, 1, 0, 2], "counts")
    assert [zones.get("/burst?b=1") for _ in range(2)] == [200, 200]
    wait_for(lambda: results("burst") == [1, 1, 0, 0, 0], "counts")
    assert zones.get("/req") == 200, "no key"
    wait_for(lambda: results("req") == [2, 0, 1, 0, 2], "counts")


def test_limit_conn(zones):
    with Connection(("127.0.0.1", zones.remora.port("web"))) as c:
        c.send("GET /conn?k=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert zones.arrived.wait(10)
        assert zones.get("/conn?k=1") == 503
        zones.go.set()
        assert c.read().status == 200
    assert [zones("remora_limit_connections_total", zone="conn", result=name)
            for name in ("passed", "rejected", "rejected_dry_run")] == [1, 1, 0]


def test_no_room_for_all(remora):
    """What there is no room for is told, and not counted; everything is served."""
    servers = "".join("server { listen 127.0.0.1:@PORT:web@; server_name s%d; status_zone z%d; return 200; }" % (i, i)
                      for i in range(200))
    r = remora("shared_memory 1m; admin { listen unix:@DIR@/admin.sock; } http { access_log off; %s }" % servers)
    assert re.search(r'\[warn\] .* no room in shared memory for the statistics of "z\d+"', r.errors())
    for i in (0, 199):
        assert r.get("web", "/", Host="s%d" % i).status == 200

    def metrics():
        with Connection(r.dir + "/admin.sock") as c:
            return exposition.parse(c.request("GET", "/metrics").body.decode())

    wait_for(lambda: metrics().get((SERVER, (("zone", "z0"), ("code", "2xx")))) == 1, "the first zone's count")
    assert not [labels for name, labels in metrics() if ("zone", "z199") in labels]
    r.reload()
    assert r.get("web", "/", Host="s199").status == 200
