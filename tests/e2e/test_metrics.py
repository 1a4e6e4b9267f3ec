# SPDX-License-Identifier: Apache-2.0
"""/metrics: both formats, what can be asked for, the budget of series, and what the API counts of itself."""
import os
import re
import signal
import subprocess
import threading
import time

import pytest

import exposition
from admin_client import Connection, Remora
from conftest import ok, wait_for

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
# what Prometheus itself sends
PROMETHEUS = ("application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
              "text/plain;version=0.0.4;q=0.3,*/*;q=0.2")

BUSY = """\
worker_processes 2;
admin { listen unix:@DIR@/admin.sock; listen 127.0.0.1:@PORT:admin@; write on; metrics max_series=%(series)d; }
http {
    access_log off;
    limit_req_zone $arg_k zone=slow:1m rate=1r/m;
    limit_conn_zone $arg_k zone=few:1m;
    upstream app { zone app 64k; least_time header; server %(server)s; }
    upstream other { zone other 64k; server %(server)s; server 127.0.0.1:1 down; }
    server {
        listen 127.0.0.1:@PORT:web@;
        status_zone web;
        location / { status_zone pages; proxy_pass http://app; }
        location /limited { limit_req zone=slow; limit_conn few 5; proxy_pass http://other; }
    }
    server { listen 127.0.0.1:@PORT:web@; server_name other; return 204; }
}
"""


@pytest.fixture(scope="module")
def busy():
    import conftest

    server = conftest.Backend(ok(b"fine"))
    remora = start(BUSY % {"series": 2000, "server": server.addr})
    for target, host in (("/", "x"), ("/limited?k=1", "x"), ("/limited?k=1", "x"), ("/", "other")):
        with Connection(remora.address("web")) as c:
            c.send("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (target, host))
            c.read()
    yield remora
    remora.stop()
    server.stop()


class Own(Remora):
    def __init__(self, text):
        import conftest

        conftest.Remora.__init__(self, text)
        self.unix, self.tcp = self.dir + "/admin.sock", ("127.0.0.1", self.port("admin"))
        wait_for(lambda: self.get("/readyz").status == 200, what="readiness")


def start(text):
    return Own(text)


def promtool(text, *args):
    return subprocess.run(["promtool", *(args or ("check", "metrics"))], input=text, capture_output=True, timeout=60)


# ---- formats ----

@pytest.mark.parametrize("query", ["", "?detail=server", "?detail=code", "?detail=server,code"])
def test_promtool_accepts_it(busy, query):
    answer = busy.get("/metrics" + query)
    assert answer.headers["content-type"] == TEXT
    done = promtool(answer.body)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


@pytest.mark.parametrize("query", ["", "?detail=server", "?detail=code", "?detail=server,code"])
def test_openmetrics(busy, query):
    answer = busy.get("/metrics" + query, headers=[("Accept", PROMETHEUS)])
    assert answer.headers["content-type"] == OPENMETRICS
    families = {f.name: f for f in exposition.parse_families(answer.body.decode(), openmetrics=True)}
    assert families["remora_http_requests"].kind == "counter"
    assert families["remora_build"].kind == "info"
    assert families["remora_http_sent_bytes"].unit == "bytes"
    plain = exposition.parse_families(busy.get("/metrics" + query).body.decode())
    assert {name for f in plain for name, _, _ in f.samples} == \
        {name for f in families.values() for name, _, _ in f.samples}, "the samples bear the same names"


@pytest.mark.parametrize("accept, openmetrics", [
    ("application/openmetrics-text", True),
    ("application/openmetrics-text; version=1.0.0", True),
    ("text/plain, application/openmetrics-text", True),
    ("application/openmetrics-text;q=0.3,text/plain;q=0.4", False),
    ("application/openmetrics-text;q=0", False),
    ("application/openmetrics-text;q=0,*/*", False),
    ("*/*", False),
    ("text/html", False),
    ("", False),
])
def test_accept(busy, accept, openmetrics):
    answer = busy.get("/metrics", headers=[("Accept", accept)])
    assert answer.headers["content-type"] == (OPENMETRICS if openmetrics else TEXT)
    exposition.parse(answer.body.decode(), openmetrics)


# ---- what can be asked for ----

def names(metrics):
    return {name for name, _ in metrics}


def test_scope(busy):
    everything = names(busy.metrics())
    scopes = ("process", "config", "http", "limits", "upstream", "resolver", "admin")
    parts = [names(busy.metrics("?scope=" + scope)) for scope in scopes]
    assert everything == set().union(*parts)
    assert sum(map(len, parts)) == len(everything), "a family is in one scope"
    assert names(busy.metrics("?scope=http,limits")) == parts[2] | parts[3]
    assert "remora_http_requests_total" in parts[2]


def test_name(busy):
    metrics = busy.metrics("?name=app&scope=upstream")
    assert {dict(labels)["upstream"] for _, labels in metrics} == {"app"}
    metrics = busy.metrics("?name=web,other&scope=http,upstream")
    assert {dict(labels).get("upstream") or dict(labels).get("zone") for _, labels in metrics} == {"web", "other"}
    assert busy.metrics("?scope=upstream&name=nobody") == {}
    assert busy.metrics("?scope=upstream&name=%61pp") == busy.metrics("?scope=upstream&name=app")


@pytest.mark.parametrize("query", ["?scope=nothing", "?scope=http,nothing", "?detail=everything"])
def test_bad_arguments(busy, query):
    answer = busy.get("/metrics" + query)
    assert answer.status == 400
    assert answer.json["detail"].startswith("unknown " + query[1:].split("=")[0])


def test_codes_on_request(busy):
    by_code = busy.metrics("?detail=code,server")
    key = "remora_http_requests_total"
    assert by_code[key, (("zone", "web"), ("code", "200"))] == 2
    assert by_code[key, (("zone", "web"), ("code", "503"))] == 1
    assert by_code[key, (("code", "204"),)] == 1
    assert not [labels for name, labels in by_code if name == key and dict(labels)["code"].endswith("xx")]
    server = {dict(labels)["code"]: value for (name, labels), value in by_code.items()
              if name == "remora_upstream_server_requests_total" and dict(labels)["upstream"] == "app"}
    assert server == {"200": 1}
    assert not [labels for name, labels in by_code
                if name == "remora_upstream_server_requests_total" and dict(labels)["code"].endswith("xx")], "who was never asked"
    by_class = busy.metrics()
    assert by_class[key, (("zone", "web"), ("code", "2xx"))] == 2
    assert by_class[key, (("zone", "web"), ("code", "5xx"))] == 1


def test_what_is_measured(busy):
    metrics = busy.metrics("?detail=server")
    app = ("upstream", "app")
    for name in ("remora_upstream_request_duration_seconds_count", "remora_upstream_connect_duration_seconds_count",
                 "remora_upstream_connections_opened_total"):
        assert metrics[name, (app,)] == 1, name
    assert metrics["remora_http_request_duration_seconds_count", (("zone", "web"),)] == 3
    assert metrics["remora_http_location_request_duration_seconds_count", (("zone", "pages"),)] == 1
    assert metrics["remora_limit_requests_total", (("zone", "slow"), ("result", "passed"))] == 1
    assert metrics["remora_limit_requests_total", (("zone", "slow"), ("result", "rejected"))] == 1
    assert metrics["remora_limit_connections_total", (("zone", "few"), ("result", "passed"))] == 1
    listener = ("listener", "127.0.0.1:%d" % busy.port("web"))
    assert metrics["remora_connections_accepted_total", (listener,)] == 4
    assert metrics["remora_shm_bytes", (("zone", "few"), ("state", "reserved"))] == 1 << 20
    assert [labels for name, labels in metrics if name == "remora_upstream_server_latency_ewma_seconds"], "least_time"


# ---- the budget ----

def test_budget(backend):
    """Each upstream shows its first servers, as many as all can; the rest is one."""
    server = backend(ok(b"fine"))
    remora = start(BUSY % {"series": 300, "server": server.addr})  # 20 rows of 15
    try:
        many = [{"server": "127.0.0.%d:80" % (i + 1)} for i in range(100)]
        some = [{"server": "127.0.0.%d:80" % (i + 1)} for i in range(4)]
        assert remora.call("PUT", "/v1/http/upstreams/app/servers", many).status == 200
        assert remora.call("PUT", "/v1/http/upstreams/other/servers", some).status == 200
        metrics = remora.metrics("?detail=server")
        weights = {(dict(labels)["upstream"], dict(labels)["server"]): value for (name, labels), value
                   in metrics.items() if name == "remora_upstream_server_weight"}
        # 15 of "app", the others of "app", all 4 of "other"
        assert len(weights) == 20
        assert weights["app", "_other"] == 85
        assert weights["app", "127.0.0.15:80"] == 1 and ("app", "127.0.0.16:80") not in weights
        assert ("other", "_other") not in weights and weights["other", "127.0.0.4:80"] == 1
        assert metrics["remora_upstream_server_up", (("upstream", "app"), ("server", "_other"))] == 85
        first = metrics["remora_metrics_dropped_series_total", ()]
        assert first == 84 * 15
        assert remora.metrics("?detail=server")["remora_metrics_dropped_series_total", ()] == 2 * first
        assert remora.metrics()["remora_metrics_dropped_series_total", ()] == 2 * first
        series = [key for key in metrics if key[0].startswith("remora_upstream_server_")]
        assert len(series) <= 300
    finally:
        remora.stop()


UPSTREAM_SERIES = 63
MANY = """\
admin { listen unix:@DIR@/admin.sock; listen 127.0.0.1:@PORT:admin@; write on; metrics max_upstream_series=%(series)d max_series=150; }
http {
    upstream _other { zone other 64k; server 127.0.0.1:9 down; }
    upstream app { zone app 64k; server %(server)s; server 127.0.0.1:1 backup; }
    server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://app; } location /o { proxy_pass http://_other; } }
}
"""


def of_upstreams(metrics):
    """Series of upstreams, by the upstream."""
    found = {}
    for (name, labels), value in metrics.items():
        if name.startswith("remora_upstream_") and not name.startswith("remora_upstream_server_") and "upstream" in dict(labels):
            rest = tuple(l for l in labels if l[0] != "upstream")
            found.setdefault(dict(labels)["upstream"], {})[name, rest] = value
    return found


def sums(upstreams):
    total = {}
    for series in upstreams.values():
        for key, value in series.items():
            total[key] = total.get(key, 0) + value
    return total


@pytest.fixture
def many(backend):
    remora = start(MANY % {"series": 11 * UPSTREAM_SERIES - 1, "server": backend(ok(b"fine")).addr})
    try:
        for target in ("/", "/", "/o"):
            with Connection(remora.address("web")) as c:
                c.send("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target)
                c.read()
        for i in range(30):
            servers = [{"server": "127.0.1.%d:80" % (k + 1), "weight": 2} for k in range(i % 3 + 1)]
            body = {"name": "%s-%d" % ("shop" if i % 2 else "cart", i), "servers": servers}
            assert remora.call("POST", "/v1/http/upstreams", body).status == 201
        yield remora
    finally:
        remora.stop()


def test_budget_of_upstreams(many):
    """The first ones are shown, the others are one, and what they make together stays what it is."""
    before = many.metrics()["remora_metrics_dropped_series_total", ()]
    metrics = many.metrics()
    shown = of_upstreams(metrics)
    assert list(shown)[:3] == ["app", "cart-0", "shop-1"] and list(shown)[-1] == "_other"
    assert len(shown) == 10 and {len(series) for series in shown.values()} == {UPSTREAM_SERIES}
    assert metrics["remora_metrics_dropped_series_total", ()] == before + 22 * UPSTREAM_SERIES
    assert shown["_other"]["remora_upstream_no_live_servers_total", ()] == 1
    # all of them, by two scrapes that each fit
    parts = {}
    for names in ("_other,app", "cart-?", "shop-?", "cart-1*,shop-1", "cart-2*", "shop-3*,shop-5*", "shop-7*,shop-9*", "shop-1*", "shop-2*",
                  "cart-0*,cart-4*", "cart-6*,cart-8*"):
        parts.update(of_upstreams(many.metrics("?name=" + names)))
    assert len(parts) == 32
    assert sums(parts) == sums(shown)
    assert sums(shown)["remora_upstream_servers", (("state", "up"),)] == 2 + 60
    assert many.metrics()["remora_metrics_dropped_series_total", ()] == before + 2 * 22 * UPSTREAM_SERIES


def test_names_of_a_scrape(many):
    for names, want in (("shop-1", ["shop-1"]), ("shop-1*", ["shop-1", "shop-11", "shop-13", "shop-15", "shop-17", "shop-19"]),
                        ("app,cart-2,x", ["app", "cart-2"]), ("*p", []), ("", []), ("_oth*", ["_other"])):
        assert list(of_upstreams(many.metrics("?name=" + names))) == want, names


def test_servers_of_more_upstreams_than_rows(many):
    """150 series are ten rows, so that not even a sum of its servers is there for each upstream."""
    metrics = many.metrics("?detail=server&name=cart-*")
    rows = [dict(labels) for name, labels in metrics if name == "remora_upstream_server_weight"]
    assert len(rows) <= 10
    series = [key for key in metrics if key[0].startswith("remora_upstream_server_")]
    assert 0 < len(series) <= 150
    done = promtool(many.get("/metrics?detail=server").body)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text, message", [
    ("metrics max_upstream_series=99;", 'invalid parameter "max_upstream_series=99"'),
    ("metrics max_series=100 max_series=100;", 'invalid parameter "max_series=100"'),
    ("metrics max_series=100 max_upstream_series=100 x;", 'invalid number of arguments in "metrics" directive'),
    ("metrics;", 'invalid number of arguments in "metrics" directive'),
    ("metrics max_series=99;", 'invalid parameter "max_series=99"'),
    ("metrics max_series=1000001;", 'invalid parameter "max_series=1000001"'),
    ("metrics max_series=x;", 'invalid parameter "max_series=x"'),
    ("metrics on;", 'invalid parameter "on"'),
    ("metrics max_series=100; metrics max_series=100;", '"metrics" directive is duplicate'),
])
def test_bad_budget(tmp_path, text, message):
    from conftest import run_remora

    conf = tmp_path / "remora.conf"
    conf.write_text("events { } admin { listen unix:%s/a; %s }" % (tmp_path, text))
    done = run_remora("-t", "-p", str(tmp_path), "-c", str(conf))
    assert done.returncode == 1 and message in done.stderr


def test_thousand_servers(backend):
    """All of them in one scrape; the API answers others right behind it."""
    remora = start(BUSY % {"series": 100000, "server": backend(ok(b"fine")).addr})
    try:
        many = [{"server": "127.1.%d.%d:80" % (i // 250, i % 250 + 1), "down": i % 2 == 1} for i in range(1000)]
        assert remora.call("PUT", "/v1/http/upstreams/app/servers", many).status == 200
        times = []
        with remora.connect() as c:
            for _ in range(5):
                begin = time.monotonic()
                body = c.request("GET", "/metrics?detail=server").body
                times.append(time.monotonic() - begin)
        metrics = exposition.parse(body.decode())
        up = [value for (name, _), value in metrics.items() if name == "remora_upstream_server_up"]
        assert len(up) == 1002 and sum(up) == 501
        assert promtool(body).returncode == 0
        assert min(times) < 0.5, times  # 20 ms where nothing else runs, and without sanitizers
    finally:
        remora.stop()


def test_a_server_named_twice_is_one(backend):
    """Two series must differ; what both did is the sum."""
    addr = backend(ok(b"fine")).addr
    remora = start("""
worker_processes 1;
admin { listen unix:@DIR@/admin.sock; listen 127.0.0.1:@PORT:admin@; }
http { access_log off;
    upstream app { server %s; server 127.0.0.1:1 down; server %s weight=2; server %s backup; }
    server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://app; } } }""" % ((addr,) * 3))
    try:
        with Connection(remora.address("web")) as c:
            assert [c.request("GET", "/").status for _ in range(6)] == [200] * 6
        labels = (("upstream", "app"), ("server", addr))
        metrics = wait_for(lambda: (m := remora.metrics("?detail=server&scope=upstream")) and m[
            "remora_upstream_server_requests_total", labels + (("code", "2xx"),)] == 6 and m, "counts")
        assert metrics["remora_upstream_server_weight", labels] == 4
        assert metrics["remora_upstream_server_up", labels] == 1
        assert metrics["remora_upstream_server_up", (("upstream", "app"), ("server", "127.0.0.1:1"))] == 0
    finally:
        remora.stop()


# ---- the API about itself ----

def requests(metrics, method, endpoint, code):
    return metrics.get(("remora_admin_requests_total", (("method", method), ("endpoint", endpoint), ("code", code))))


def results(remora):
    return {dict(labels)["result"]: value for (name, labels), value in remora.metrics("?scope=admin").items()
            if name == "remora_admin_transactions_total"}


def test_admin_requests(backend):
    remora = start(BUSY % {"series": 2000, "server": backend(ok(b"fine")).addr})
    try:
        servers = "/v1/http/upstreams/app/servers"
        assert remora.call("PUT", servers, [{"server": "127.0.0.1:1"}]).status == 200
        assert remora.call("PUT", servers, [{"server": "127.0.0.1:1"}]).status == 200  # is there already
        assert remora.call("POST", "/v1/transactions", {"upstreams": {}}).status == 200
        assert remora.call("PUT", servers, [{"server": "nonsense here"}]).status == 400
        assert remora.call("PUT", servers, [{"server": "127.0.0.1:2"}], headers=[("If-Match", '"99"')]).status == 412
        assert remora.call("POST", "/api/9/http/upstreams/app/servers", {"server": "127.0.0.1:3"}).status == 201
        assert remora.call("DELETE", "/api/9/http/requests").status == 204  # no new revision
        assert remora.get("/api/8/http/upstreams/app").status == 200
        assert remora.get("/no/such/path").status == 404
        assert remora.call("BREW", "/v1/revision").status in (405, 501)
        metrics = remora.metrics("?detail=code")
        own, plus = "/v1/http/upstreams/*/servers", "/api/*/http/upstreams/*/servers"
        assert requests(metrics, "PUT", own, "200") == 2
        assert requests(metrics, "PUT", own, "400") == 1
        assert requests(metrics, "PUT", own, "412") == 1
        assert requests(metrics, "POST", plus, "201") == 1
        assert requests(metrics, "GET", "/api/*/http/upstreams/*", "200") == 1
        assert requests(metrics, "GET", "other", "404") == 1
        assert {dict(labels)["method"] for name, labels in metrics if name == "remora_admin_requests_total"} <= \
            {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "other"}
        assert results(remora) == {"applied": 2, "unchanged": 3, "conflict": 1, "invalid": 1, "denied": 1,
                                   "no_memory": 0, "failed": 0}
        duration = "remora_admin_request_duration_seconds_count"
        assert metrics[duration, (("method", "PUT"), ("endpoint", own))] == 4
        assert metrics["remora_snapshot_apply_duration_seconds_count", ()] >= 1

        # the agent's successor goes on counting
        remora.allow.append(re.compile("exited on signal 9"))
        os.kill(remora.agent(), signal.SIGKILL)
        wait_for(lambda: alive(remora), "agent")
        metrics = remora.metrics()
        assert metrics["remora_agent_respawns_total", ()] == 1
        assert requests(metrics, "PUT", own, "2xx") == 2 and requests(metrics, "PUT", own, "4xx") == 2
        remora.reload()
        wait_for(lambda: alive(remora) and remora.metrics()["remora_config_generation", ()] == 2, "generation")
        assert requests(remora.metrics(), "PUT", own, "2xx") == 2
    finally:
        remora.stop()


def alive(remora):
    try:
        return remora.get("/livez").status == 200
    except (OSError, EOFError):
        return False


def test_cpu_time_does_not_go_back(backend):
    """What an old worker used stays in the sum when it has gone."""
    remora = start(BUSY % {"series": 2000, "server": backend(ok(b"x" * 1000)).addr})
    try:
        def used():
            with Connection(remora.address("web")) as c:
                for _ in range(500):
                    assert c.request("GET", "/").status == 200
            return remora.metrics()["process_cpu_seconds_total", ()]

        before = wait_for(used, "a tick of the kernel's clock")
        remora.reload()
        wait_for(lambda: alive(remora) and remora.metrics()["remora_workers", ()] == 2 and
                 remora.metrics()["remora_config_generation", ()] == 2, "old workers' end")
        assert remora.metrics()["process_cpu_seconds_total", ()] >= before
    finally:
        remora.stop()


def test_gauges_of_an_upstream(backend):
    """Who waits for a server, who is being served, what is kept; all of it ends at zero."""
    arrived, go = threading.Event(), threading.Event()

    def late(_):
        arrived.set()
        assert go.wait(20)
        return ok(b"late")

    remora = start("""
worker_processes 1;
admin { listen unix:@DIR@/admin.sock; listen 127.0.0.1:@PORT:admin@; }
http { access_log off;
    upstream app { zone app 64k; server %s max_conns=1; queue 5 timeout=20s; }
    server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://app; } } }""" % backend(late).addr)
    app = ("upstream", "app")

    def gauges():
        metrics = remora.metrics("?scope=upstream")
        return [metrics["remora_upstream_requests_in_flight", (app,)], metrics["remora_upstream_queue_length", (app,)],
                metrics["remora_upstream_connections", (app, ("state", "active"))],
                metrics["remora_upstream_connections", (app, ("state", "idle"))]]

    try:
        with Connection(remora.address("web")) as one, Connection(remora.address("web")) as two:
            assert gauges() == [0, 0, 0, 0]
            one.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert arrived.wait(10)
            two.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_for(lambda: gauges() == [1, 1, 1, 0], "a queue")
            go.set()
            assert [c.read().body for c in (one, two)] == [b"late"] * 2
        wait_for(lambda: gauges() == [0, 0, 0, 1], "the end")
    finally:
        go.set()
        remora.stop()


def test_a_removed_server_shows_while_it_answers(backend):
    """And back in the set it goes on where it was; then its counters are the upstream's alone."""
    arrived, go = threading.Event(), threading.Event()

    def late(_):
        arrived.set()
        assert go.wait(20)
        return ok(b"late")

    old, new = backend(late).addr, backend(ok(b"new")).addr
    remora = start("""
worker_processes 1;
admin { listen unix:@DIR@/admin.sock; listen 127.0.0.1:@PORT:admin@; write on; }
http { access_log off;
    upstream app { zone app 64k; server %s weight=3; }
    server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://app; } } }""" % old)

    def put(*servers):
        assert remora.call("PUT", "/v1/http/upstreams/app/servers",
                           [{"server": s, "weight": 3} for s in servers]).status == 200

    def gauges(server):
        metrics, labels = remora.metrics("?detail=server"), (("upstream", "app"), ("server", server))
        return [metrics.get(("remora_upstream_server_" + name, labels)) for name in ("active_requests", "weight", "up")]

    try:
        with Connection(remora.address("web")) as one:
            one.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert arrived.wait(10)
            assert gauges(old) == [1, 3, 1]
            put(new)
            assert gauges(old) == [1, 0, 0] and gauges(new) == [0, 3, 1]
            assert remora.metrics()["remora_upstream_zombies", (("upstream", "app"),)] == 1
            put(new, old)
            assert gauges(old) == [1, 3, 1]
            put(new)
            go.set()
            assert one.read().body == b"late"
        wait_for(lambda: gauges(old) == [None] * 3, "the end of its series")
        assert remora.metrics()["remora_upstream_requests_total", (("upstream", "app"), ("code", "2xx"))] == 1
    finally:
        go.set()
        remora.stop()


def test_retries_by_reason(backend, tmp_path):
    def reset(request):
        request.sock.close()

    def slow(_):
        time.sleep(1)
        return ok(b"slow")

    bad = {"error": reset, "timeout": slow, "invalid_header": b"nonsense\r\n\r\n",
           "status": b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"}
    good = backend(ok(b"good")).addr
    remora = start("""
worker_processes 1;
admin { listen unix:@DIR@/admin.sock; listen 127.0.0.1:@PORT:admin@; }
http { access_log off; proxy_read_timeout 200ms; proxy_next_upstream error timeout invalid_header http_500;
    %s server { listen 127.0.0.1:@PORT:web@; location ~ ^/(.*)$ { proxy_pass http://$1; } } }""" % " ".join(
        "upstream %s { server %s; server %s backup; }" % (name, backend(answer).addr, good)
        for name, answer in bad.items()))
    try:
        for name in bad:
            with Connection(remora.address("web")) as c:
                assert c.request("GET", "/" + name).body == b"good"
        metrics = remora.metrics("?scope=upstream")
        found = {dict(labels)["upstream"]: dict(labels)["reason"] for (name, labels), value in metrics.items()
                 if name == "remora_upstream_retries_total" and value == 1}
        assert found == {name: name for name in bad}
    finally:
        remora.stop()


def test_a_full_region(backend):
    """Both APIs say so in their own way; it is one thing to whoever watches."""
    text = "shared_memory 1m;\n" + BUSY % {"series": 2000, "server": backend(ok(b"fine")).addr}
    remora = start(text)
    try:
        many = [{"server": "127.1.%d.%d:80" % (i // 250, i % 250 + 1)} for i in range(3000)]
        assert remora.call("PUT", "/v1/http/upstreams/app/servers", many).status == 507
        failures = ("remora_shm_alloc_failures_total", (("zone", "remora"),))
        assert results(remora)["no_memory"] == 1
        assert remora.metrics()[failures] >= 1
        n = next(i for i in range(3000) if remora.call("POST", "/api/9/http/upstreams/app/servers", many[i])
                 .status != 201)
        answer = remora.call("POST", "/api/9/http/upstreams/app/servers", many[n])
        assert (answer.status, answer.json["error"]["code"]) == (400, "UpstreamOutOfMemory")
        assert results(remora)["no_memory"] == 3 and results(remora)["applied"] == n
        assert results(remora)["invalid"] == 0
        free = remora.metrics()["remora_shm_bytes", (("zone", "remora"), ("state", "free"))]
        assert free < 1 << 19
    finally:
        remora.stop()
