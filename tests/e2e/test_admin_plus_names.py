# SPDX-License-Identifier: Apache-2.0
"""Servers given by name through the NGINX Plus API: kept, asked of DNS, and shown with what was found."""
import json
import os
import re
import signal

import pytest
from conftest import ok, wait_for
from test_resolve import A, NAME, SRV, dns  # noqa: F401 (a fixture)
from test_state import restart

CONF = """admin { listen unix:@DIR@/admin.sock; write on; %s }
http { access_log off; %s
    upstream u { zone z 1m; %s }
    upstream hashed { zone z 1m; ip_hash; }
    server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://u; proxy_connect_timeout 500ms; } } }"""
U = "/api/9/http/upstreams/u/servers"


@pytest.fixture
def start(remora, dns):  # noqa: F811
    def instance(servers="", resolver=True, admin="", **kw):
        asked = "resolver 127.0.0.1:%d valid=100ms; resolver_timeout 1s;" % dns.port if resolver else ""
        return remora(CONF % (admin, asked, servers), **kw)
    return instance


def servers(r):
    return r.admin("GET", U).json


def found(r):
    return sorted(s["server"] for s in servers(r) if s["id"] < NAME)


def wait_found(r, *addresses):
    wait_for(lambda: found(r) == sorted(addresses), f"servers {addresses}", 15)


def post(r, status=201, upstream="u", **body):
    answer = r.admin("POST", f"/api/9/http/upstreams/{upstream}/servers", body)
    assert answer.status == status, answer.body
    return answer.json if status == 201 else answer.json["error"]["code"]


def test_a_name_and_what_was_found(start, dns, backend):  # noqa: F811
    app = backend(ok("app"))
    dns.records[("app.test", A)] = ["127.0.0.1", "127.0.0.2"]
    r = start("server 127.0.0.9:1 down;")
    name = post(r, server=f"app.test:{app.port}", weight=4, max_fails=3, fail_timeout="7s")
    assert name["server"] == f"app.test:{app.port}" and name["weight"] == 4 and name["id"] >= NAME
    assert r.admin("GET", f"{U}/{name['id']}").json == name == servers(r)[0]
    both = [f"127.0.0.1:{app.port}", f"127.0.0.2:{app.port}"]
    wait_found(r, "127.0.0.9:1", *both)
    for child in servers(r)[2:]:
        assert (child["host"], child["parent"]) == (name["server"], str(name["id"]))
        assert (child["weight"], child["max_fails"], child["fail_timeout"]) == (4, 3, "7s")
        assert r.admin("GET", f"{U}/{child['id']}").json == child
    assert r.get().body == b"app"
    peers = r.admin("GET", "/api/9/http/upstreams/u").json["peers"]
    assert [(p["server"], p["name"]) for p in peers[1:]] == [(a, name["server"]) for a in both]
    dns.records[("app.test", A)] = ["127.0.0.2"]
    wait_found(r, "127.0.0.9:1", both[1])
    left = r.admin("DELETE", f"{U}/{name['id']}")
    assert left.status == 200 and [s["server"] for s in left.json] == ["127.0.0.9:1"]
    assert found(r) == ["127.0.0.9:1"]
    asked = len(dns.asked)
    assert r.admin("DELETE", f"{U}/{name['id']}").status == 404
    assert post(r, server=f"app.test:{app.port}")["id"] > name["id"]
    wait_found(r, "127.0.0.9:1", both[1])
    assert len(dns.asked) > asked


def test_a_rollback_does_not_bring_names_back(start, dns):  # noqa: F811
    """What had been found for the name is a server of its own then, that can be removed."""
    dns.records[("app.test", A)] = ["127.0.0.7"]
    dns.records[("conf.test", A)] = ["127.0.0.8"]
    r = start("server conf.test:1 resolve;")
    name = post(r, server="app.test:1")
    wait_found(r, "127.0.0.7:1", "127.0.0.8:1")
    there = r.admin("GET", "/v1/revision").json["revision"]
    assert r.admin("DELETE", f"{U}/{name['id']}").status == 200
    r.admin("PUT", "/v1/http/upstreams/u/servers", [])
    answer = r.admin("POST", f"/v1/rollback/{there}")
    assert answer.status == 200 and [t["table"] for t in answer.json["not_restored"]] == ["names"]
    wait_found(r, "127.0.0.7:1", "127.0.0.8:1")
    own, conf = sorted((s for s in servers(r) if s["id"] < NAME), key=lambda s: s["server"])
    assert "parent" not in own and conf["parent"] == str(NAME)
    assert r.admin("DELETE", f"{U}/{own['id']}").status == 200
    assert found(r) == ["127.0.0.8:1"]


def test_without_a_port(start, dns):  # noqa: F811
    dns.records[("app.test", A)] = ["127.0.0.7"]
    r = start()
    assert post(r, server="app.test")["server"] == "app.test:80"
    wait_found(r, "127.0.0.7:80")


def test_patch(start, dns):  # noqa: F811
    dns.records[("app.test", A)] = ["127.0.0.7"]
    r = start()
    name = post(r, server="app.test:5", slow_start="1m")
    one = f"{U}/{name['id']}"
    wait_found(r, "127.0.0.7:5")
    same = r.admin("PATCH", one, {k: v for k, v in name.items() if k != "id"})
    assert same.status == 200 and same.json == name
    assert r.admin("PATCH", one, {"max_conns": 9, "down": True}).json == dict(name, max_conns=9, down=True)
    child = [s for s in servers(r) if s["id"] < NAME][0]
    assert (child["max_conns"], child["down"], child["slow_start"]) == (9, True, "1m")
    dns.records[("app.test", A)] = ["127.0.0.7", "127.0.0.8"]
    wait_found(r, "127.0.0.7:5", "127.0.0.8:5")
    assert all(s["max_conns"] == 9 for s in servers(r))
    for body, code in (({"server": "other.test:5"}, "UpstreamServerImmutable"),
                       ({"service": "http"}, "UpstreamConfFormatError"),
                       ({"backup": True}, "UpstreamConfFormatError"),
                       ({"id": 5}, "UpstreamConfFormatError"),
                       ({"weight": 0}, "UpstreamBadWeight")):
        answer = r.admin("PATCH", one, body)
        assert (answer.status, answer.json["error"]["code"]) == (400, code)


def test_children_stay_with_their_name(start, dns):  # noqa: F811
    dns.records[("app.test", A)] = ["127.0.0.7"]
    r = start()
    post(r, server="app.test:5")
    wait_found(r, "127.0.0.7:5")
    one = f"{U}/{[s['id'] for s in servers(r) if s['id'] < NAME][0]}"
    for method, body in (("DELETE", None), ("PATCH", {"server": "127.0.0.9:5"})):
        answer = r.admin(method, one, body)
        assert (answer.status, answer.json["error"]["code"]) == (400, "UpstreamServerImmutable")
    assert r.admin("PATCH", one, {"weight": 3, "server": "127.0.0.7:5"}).json["weight"] == 3
    assert post(r, 409, server="127.0.0.7:5") == "EntryExists"


def test_no_address_twice(start, dns):  # noqa: F811
    """Clients tell servers by their address."""
    dns.records[("app.test", A)] = dns.records[("other.test", A)] = ["127.0.0.7", "127.0.0.8"]
    r = start("server 127.0.0.7:5;")
    post(r, server="app.test:5")
    wait_found(r, "127.0.0.7:5", "127.0.0.8:5")
    other = post(r, server="other.test:5")
    asked = len(dns.asked)
    wait_for(lambda: [n for n, _ in dns.asked[asked:]].count("other.test") > 4, "questions")
    assert found(r) == ["127.0.0.7:5", "127.0.0.8:5"]
    assert r.admin("DELETE", f"{U}/{other['id']}").status == 200
    static = [s["id"] for s in servers(r) if "parent" not in s and s["id"] < NAME]
    assert r.admin("DELETE", f"{U}/{static[0]}").status == 200
    wait_found(r, "127.0.0.7:5", "127.0.0.8:5")
    assert all("parent" in s for s in servers(r) if s["id"] < NAME)


def test_services(start, dns):  # noqa: F811
    dns.records[("_http._tcp.app.test", SRV)] = ["1 5 8001 a.test", "2 7 8002 b.test"]
    dns.records[("a.test", A)] = ["127.0.0.5"]
    dns.records[("b.test", A)] = ["127.0.0.6"]
    r = start()
    name = post(r, server="app.test", service="http")
    assert (name["server"], name["service"]) == ("app.test", "http")
    wait_found(r, "127.0.0.5:8001", "127.0.0.6:8002")
    first, second = (s for s in servers(r) if s["id"] < NAME)
    assert (first["weight"], first["backup"], second["weight"], second["backup"]) == (5, False, 7, True)
    peers = r.admin("GET", "/api/9/http/upstreams/u").json["peers"]
    assert [(p["server"], p["name"], p["service"]) for p in peers] == [
        ("127.0.0.5:8001", "app.test", "http"), ("127.0.0.6:8002", "app.test", "http")]
    for weight in (9, "9"):
        answer = r.admin("PATCH", f"{U}/{first['id']}", {"weight": weight})
        assert (answer.status, answer.json["error"]["code"]) == (400, "UpstreamServerWeightImmutable")
    assert r.admin("PATCH", f"{U}/{first['id']}", {"weight": 5, "max_conns": 2}).status == 200


@pytest.mark.parametrize("body, code", [
    ({"server": "app.test:80", "service": "http"}, "UpstreamBadAddress"),
    ({"server": "127.0.0.1", "service": "http"}, "UpstreamBadAddress"),
    ({"server": "app.test", "service": ""}, "UpstreamBadService"),
    ({"server": "app.test", "service": 1}, "UpstreamConfFormatError"),
    ({"server": "app.test:0"}, "UpstreamBadAddress"),
])
def test_errors(start, body, code):
    r = start()
    assert post(r, 400, **body) == code
    assert servers(r) == []


def test_no_resolver_no_backup(start, dns):  # noqa: F811
    r = start(resolver=False)
    assert post(r, 400, server="app.test:80") == "UpstreamConfNoResolver"
    r = start()
    assert post(r, 400, "hashed", server="app.test:80", backup=True) == "UpstreamNoBackup"
    assert post(r, 400, "hashed", server="127.0.0.1:80", backup=True) == "UpstreamNoBackup"


def test_names_of_the_configuration(start, dns):  # noqa: F811
    dns.records[("app.test", A)] = ["127.0.0.7"]
    r = start("server app.test:5 resolve weight=3;")
    wait_found(r, "127.0.0.7:5")
    name, child = servers(r)
    assert (name["id"], name["server"], name["weight"], child["parent"]) == (NAME, "app.test:5", 3, str(NAME))
    assert r.admin("GET", f"{U}/{NAME}").json == name
    for method, body in (("DELETE", None), ("PATCH", {"weight": 2})):
        answer = r.admin(method, f"{U}/{NAME}", body)
        assert (answer.status, answer.json["error"]["code"]) == (400, "UpstreamServerImmutable")
    assert post(r, 409, server="app.test:5") == "EntryExists"
    assert post(r, 409, server="APP.test:5") == "EntryExists"


def test_what_names_live_through(start, dns):  # noqa: F811
    """The agent's death and reloads, but not another block in the file."""
    dns.records[("app.test", A)] = ["127.0.0.7"]
    r = start(allow=("exited on signal 9",))
    name = post(r, server="app.test:5")
    wait_found(r, "127.0.0.7:5")
    agent = r.agent()
    os.kill(agent, signal.SIGKILL)
    wait_for(lambda: r.agent() not in (None, agent), "another agent")
    assert servers(r)[0] == name and found(r) == ["127.0.0.7:5"]
    r.reload()
    wait_for(lambda: r.agent() != agent and servers(r)[0] == name, "the name after a reload")
    dns.records[("app.test", A)] = ["127.0.0.8"]
    wait_found(r, "127.0.0.8:5")
    text = re.sub(r"upstream u {.*", "upstream u { zone z 1m; server 127.0.0.1:1; }", open(r.conf).read())
    r.reload(text)
    wait_for(lambda: [s["server"] for s in servers(r)] == ["127.0.0.1:1"], "what the file says")
    asked = len(dns.asked)
    assert post(r, server="app.test:6")["id"] > name["id"]
    wait_found(r, "127.0.0.1:1", "127.0.0.8:6")
    assert len(dns.asked) > asked


def test_names_are_kept_over_a_restart(start, dns):  # noqa: F811
    """With a directory for what is changed at run time; resets of statistics are not among that."""
    dns.records[("app.test", A)] = ["127.0.0.7"]
    r = start(admin="state @DIR@/state;")
    name = post(r, server="app.test:5")
    wait_found(r, "127.0.0.7:5")
    assert r.admin("DELETE", "/api/9/connections").status == 204
    restart(r, "stop")
    assert servers(r)[0] == name
    wait_found(r, "127.0.0.7:5")
    with open(r.dir + "/state/state.json") as f:
        assert [t["name"] for t in json.load(f)["tables"]] == ["names"]
    kinds = [(t["kind"], t["name"]) for t in r.admin("GET", "/v1/state").json["tables"]]
    assert kinds == [("names", "names")]
