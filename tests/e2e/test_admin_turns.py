# SPDX-License-Identifier: Apache-2.0
"""What happens to admin requests that the agent finds in one turn: it is stopped while they arrive."""
import json
import os
import signal

import pytest

from conftest import Client

CONF = """
shared_memory 1m;
worker_processes 1;
http {
    upstream a { zone a; server 127.0.0.1:1; }
    upstream b { zone b; server 127.0.0.1:1; }
    server { listen 127.0.0.1:@PORT:web@; return 200; }
}
"""


def put(name, servers):
    body = json.dumps([{"server": s} for s in servers])
    return (f"PUT /v1/http/upstreams/{name}/servers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}")


def names(r, upstream):
    return [s["server"] for s in r.admin("GET", f"/v1/http/upstreams/{upstream}/servers").json]


@pytest.mark.parametrize("others", [1, 3])
def test_a_pipelined_change_among_some_that_do_not_fit(remora, others):
    """Requests of a turn are tried one by one when they do not fit together.  The first client's two do, as the
    second takes the place of the first: where the others come a turn later, both succeed."""
    r = remora(CONF)
    large = [f"127.1.{i >> 8}.{i & 255}:80" for i in range(2500)]
    clients = [Client(r.dir + "/admin.sock") for _ in range(1 + others)]
    for c in clients:
        assert c.get("/livez").status == 200
    os.kill(r.agent(), signal.SIGSTOP)
    try:
        clients[0].send(put("a", large) + put("a", ["127.0.0.1:7"]))
        for c in clients[1:]:
            c.send(put("b", large))
    finally:
        os.kill(r.agent(), signal.SIGCONT)
    assert [clients[0].response().status, clients[0].response().status] in ([507, 200], [200, 200])
    assert [c.response().status for c in clients[1:]] == [507] * others
    assert names(r, "a") == ["127.0.0.1:7"] and names(r, "b") == ["127.0.0.1:1"]
    for c in clients:
        c.close()


def test_a_dry_run_finds_out_whether_there_is_room(remora):
    r = remora(CONF)
    large = [{"server": f"127.1.{i >> 8}.{i & 255}:80"} for i in range(6000)]
    body = {"upstreams": {"a": [{"server": "127.0.0.1:2"}]}, "operations": [{"op": "replace", "upstream": "b", "servers": large}]}
    before = {path: r.admin("GET", path).json for path in ("/v1/http/upstreams", "/v1/history")}
    memory = r.admin("GET", "/v1/status").json["memory"]
    for query in ("?dry_run=true", "", "?dry_run=true"):
        answer = r.admin("POST", "/v1/transactions" + query, body)
        assert (answer.status, answer.json["code"]) == (507, "UpstreamOutOfMemory"), query
    del large[100:]
    tried = r.admin("POST", "/v1/transactions?dry_run=true", body)
    assert tried.status == 200 and len(tried.json["upstreams"]["b"]["servers"]["added"]) == 100
    assert {path: r.admin("GET", path).json for path in before} == before
    assert r.admin("GET", "/v1/status").json["memory"]["used"] == memory["used"]
    made = r.admin("POST", "/v1/transactions", body)
    assert made.status == 200
    record = r.admin("GET", "/v1/history/%d" % made.json["revision"]).json
    assert record["upstreams"] == tried.json["upstreams"]
