# SPDX-License-Identifier: Apache-2.0
"""GET /metrics, counters over crashes and reloads, probes over a life."""
import os
import re
import signal
import threading
import time

import pytest

from admin_client import Connection, Remora
from conftest import ok, wait_for


@pytest.fixture
def backends(backend):
    return [backend(ok(b"one")), backend(ok(b"two"))]


@pytest.fixture
def remora(backends):
    remora = Remora(servers=[b.addr for b in backends])
    yield remora
    remora.stop()


def ask(remora, n, path="/"):
    with Connection(remora.address("web")) as c:
        return [c.request("GET", path).status for _ in range(n)]


def value(metrics, name, **labels):
    return metrics[name, tuple(labels.items())]


def test_families(remora):
    metrics = remora.metrics()
    names = {name for name, _ in metrics}
    for name in ("remora_build_info", "remora_http_requests_total", "remora_connections",
                 "remora_connections_accepted_total", "remora_connections_rejected_total",
                 "remora_upstream_requests_total", "remora_upstream_servers",
                 "remora_upstream_no_live_servers_total", "remora_upstream_retries_total",
                 "remora_upstream_connections_opened_total",
                 "remora_upstream_connections_reused_total", "remora_upstream_revision",
                 "remora_worker_revision", "remora_worker_respawns_total",
                 "remora_config_generation", "remora_config_last_reload_success",
                 "remora_shm_bytes", "process_cpu_seconds_total",
                 "process_resident_memory_bytes", "process_open_fds", "process_max_fds",
                 "process_start_time_seconds"):
        assert name in names, name
    assert not [name for name in names if "upstream_server_" in name]
    answer = remora.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert value(metrics, "remora_workers") == 2
    assert 0 < time.time() - value(metrics, "process_start_time_seconds") < 60
    assert value(metrics, "process_resident_memory_bytes") > 1 << 20
    assert value(metrics, "remora_upstream_servers", upstream="app", state="up") == 2


def test_requests(remora, backends):
    assert ask(remora, 8) == [200] * 8
    assert ask(remora, 2, "/empty") == [502] * 2
    metrics = wait_for(lambda: (m := remora.metrics("?detail=server")) and
                       value(m, "remora_http_requests_total", code="5xx") == 2 and m, "counts")
    assert value(metrics, "remora_http_requests_total", code="2xx") == 8
    assert value(metrics, "remora_upstream_requests_total", upstream="app", code="2xx") == 8
    assert value(metrics, "remora_upstream_no_live_servers_total", upstream="empty") == 2
    assert value(metrics, "remora_connections_accepted_total",
                 listener="127.0.0.1:%d" % remora.port("web")) == 2
    by_server = [value(metrics, "remora_upstream_server_requests_total", upstream="app",
                       server=b.addr, code="2xx") for b in backends]
    assert by_server == [2, 6], "by weight"
    assert value(metrics, "remora_upstream_server_weight", upstream="app",
                 server=backends[1].addr) == 3
    peers = remora.get("/api/9/http/upstreams/app").json["peers"]
    assert [p["requests"] for p in peers] == [2, 6]
    assert [p["responses"]["2xx"] for p in peers] == [2, 6]
    assert all(p["selected"] and p["sent"] and p["received"] for p in peers)
    assert remora.get("/api/9/http/requests").json["total"] == 10
    assert remora.call("DELETE", "/api/9/http/upstreams/app").status == 204
    assert remora.call("DELETE", "/api/9/http/requests").status == 204
    peers = remora.get("/api/9/http/upstreams/app").json["peers"]
    assert [p["requests"] for p in peers] == [0, 0]
    assert remora.get("/api/9/http/requests").json["total"] == 0
    assert value(remora.metrics(), "remora_upstream_requests_total", upstream="app",
                 code="2xx") == 8, "scrapers see no reset"


def test_removed_servers_stay_in_the_sums(remora, backends):
    ask(remora, 8)
    assert remora.call("PUT", "/v1/http/upstreams/app/servers",
                       [{"server": backends[0].addr}]).json["applied"] is True
    ask(remora, 4)
    assert wait_for(lambda: value(remora.metrics(), "remora_upstream_requests_total",
                                  upstream="app", code="2xx") == 12, "sum")
    assert wait_for(lambda: value(remora.metrics(), "remora_upstream_zombies",
                                  upstream="app") == 0, "burial")
    metrics = remora.metrics("?detail=server")
    assert value(metrics, "remora_upstream_requests_total", upstream="app", code="2xx") == 12
    assert ("remora_upstream_server_up", (("upstream", "app"), ("server", backends[1].addr))) \
        not in metrics


def test_counters_survive_worker_and_agent_and_reload(remora):
    ask(remora, 20)
    wait_for(lambda: value(remora.metrics(), "remora_http_requests_total", code="2xx") == 20, "20")
    remora.allow.append(re.compile("exited on signal 9"))
    workers = remora.workers()
    os.kill(workers[0], signal.SIGKILL)
    wait_for(lambda: value(remora.metrics(), "remora_worker_respawns_total") == 1, "respawn")
    wait_for(lambda: value(remora.metrics(), "remora_workers") == 2, "worker")
    ask(remora, 5)
    wait_for(lambda: value(remora.metrics(), "remora_http_requests_total", code="2xx") == 25, "25")
    changed = remora.call("PUT", "/v1/http/upstreams/empty/servers", [{"server": "127.0.0.1:1"}])
    assert changed.status == 200
    os.kill(remora.agent(), signal.SIGKILL)
    ask(remora, 5)
    wait_for(lambda: reachable(remora) and value(remora.metrics(), "remora_http_requests_total",
                                                 code="2xx") == 30, "30")
    metrics = remora.metrics()
    assert value(metrics, "remora_agent_respawns_total") == 1
    assert value(metrics, "remora_upstream_revision") == changed.json["revision"]
    assert len(remora.servers("empty")) == 1, "what was acknowledged is kept"
    remora.reload()
    wait_for(lambda: reachable(remora) and value(remora.metrics(), "remora_config_generation") == 2,
             "generation")
    metrics = remora.metrics()
    assert value(metrics, "remora_http_requests_total", code="2xx") == 30
    assert value(metrics, "remora_upstream_requests_total", upstream="app", code="2xx") == 30
    assert value(metrics, "remora_config_last_reload_success") == 1
    assert len(remora.servers("empty")) == 1, "the block did not change"


def reachable(remora):
    try:
        return remora.get("/livez").status == 200
    except (OSError, EOFError):
        return False


def test_failed_reload_shows(remora):
    with open(remora.conf, "a") as f:
        f.write("nonsense;\n")
    remora.reload(ok=False)
    wait_for(lambda: value(remora.metrics(), "remora_config_last_reload_success") == 0, "failure")
    assert value(remora.metrics(), "remora_config_reloads_total", result="failure") == 1


def test_reload_that_cannot_open_its_files_shows(remora):
    """The configuration is right, and cannot be used."""
    with open(remora.conf, "a") as f:
        f.write("error_log /nonexistent/error.log;\n")
    remora.reload(ok=False)
    wait_for(lambda: value(remora.metrics(), "remora_config_last_reload_success") == 0, "failure")
    assert value(remora.metrics(), "remora_config_reloads_total", result="failure") == 1
    assert value(remora.metrics(), "remora_config_reloads_total", result="success") == 0
    assert value(remora.metrics(), "remora_config_generation") == 1


def test_labels_are_escaped(remora):
    text = open(remora.conf).read().replace("upstream fixed {", 'upstream "we\\"ird\\\\n" {')
    remora.reload(text)
    wait_for(lambda: any(dict(labels).get("upstream") == 'we\\"ird\\\\n'
                         for _, labels in remora.metrics()), "the upstream")


def test_readiness_ends_with_draining(backend):
    """The probe fails while a last request is still being served."""
    arrived, go = threading.Event(), threading.Event()

    def answer(_):
        arrived.set()
        assert go.wait(10)
        return ok(b"late")

    slow = backend(answer)
    remora = Remora(servers=[slow.addr, "127.0.0.1:8002 backup"])
    try:
        with Connection(remora.address("web")) as client:
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert arrived.wait(10)
            remora.signal(signal.SIGQUIT)
            wait_for(lambda: remora.get("/readyz").status == 503, "draining")
            answer = remora.get("/readyz?verbose")
            assert answer.json == {"status": "failed",
                                   "checks": {"workers": True, "not_draining": False}}
            assert remora.get("/livez").status == 200
            assert remora.metrics()["remora_draining", ()] == 1
            go.set()
            assert client.read().body == b"late"
    finally:
        go.set()
        remora.stop()
