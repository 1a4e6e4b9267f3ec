# SPDX-License-Identifier: Apache-2.0
"""The NGINX Plus API: bodies, defaults, statuses and codes as its clients know them."""
import json
import re

import pytest

from admin_client import Remora, instance, readonly, remora  # noqa: F401 (fixtures)
from conftest import run_remora

DEFAULTS = ('"weight":1,"max_conns":0,"max_fails":1,"fail_timeout":"10s","slow_start":"0s",'
            '"route":"","backup":false,"down":false}')
SERVERS = "/api/9/http/upstreams/empty/servers"


def error(answer, status, code):
    """The answer is this error, in exactly this shape."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    body = json.loads(answer.body)
    assert list(body) == ["error", "request_id", "href"]
    assert list(body["error"]) == ["status", "text", "code"]
    assert body["error"]["status"] == status and body["error"]["code"] == code, answer
    assert re.fullmatch("[0-9a-f]{32}", body["request_id"])
    assert body["error"]["text"] and not re.search(r"[;\n\r]", body["error"]["text"])
    return body["error"]["text"]


def post(remora, server, **more):
    answer = remora.call("POST", SERVERS + "/", dict(server=server, **more))
    assert answer.status == 201, answer
    return answer.json


def test_versions(remora):
    for path in ("/api", "/api/"):
        answer = remora.get(path)
        assert (answer.status, answer.body) == (200, b"[1,2,3,4,5,6,7,8,9]")
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("version", range(1, 10))
@pytest.mark.parametrize("slash", ["", "/"])
def test_each_version(remora, version, slash):
    assert "http" in remora.get("/api/%d%s" % (version, slash)).json
    assert remora.get("/api/%d/http/upstreams/app/servers%s" % (version, slash)).status == 200


@pytest.mark.parametrize("path, code", [
    ("/api/0", "UnknownVersion"),
    ("/api/10/", "UnknownVersion"),
    ("/api/10/http/upstreams", "UnknownVersion"),
    ("/api/x", "UnknownVersion"),
    ("/api/9/stream", "PathNotFound"),
    ("/api/9/stream/upstreams", "PathNotFound"),
    ("/api/9/http/upstreams/app/peers", "PathNotFound"),
    ("/api/9/http/upstreams/app/servers/0/x", "PathNotFound"),
    ("/api/9//http", "PathNotFound"),
    ("/api/9/http//", "PathNotFound"),
    ("/api/9/a/b/c/d/e/f/g/h/i/j", "PathNotFound"),
    ("/api/9/http/upstreams/nope", "UpstreamNotFound"),
    ("/api/9/http/upstreams/nope/servers", "UpstreamNotFound"),
    ("/api/9/http/upstreams/nope/servers/0", "UpstreamNotFound"),
    ("/api/9/http/upstreams/app/servers/99", "UpstreamServerNotFound"),
])
def test_not_found(remora, path, code):
    error(remora.get(path), 404, code)


def test_every_list_a_scraper_asks_for_is_there(remora):
    for path in ("/", "/nginx", "/processes", "/connections", "/slabs", "/ssl", "/resolvers",
                 "/workers", "/http", "/http/requests", "/http/server_zones", "/http/upstreams",
                 "/http/location_zones", "/http/caches", "/http/limit_reqs", "/http/limit_conns"):
        answer = remora.get("/api/9" + path)
        assert answer.status == 200, path
        assert answer.headers["content-type"] == "application/json"


def test_nginx_object(remora):
    body = remora.get("/api/9/nginx").json
    assert list(body) == ["version", "build", "address", "generation", "load_timestamp",
                          "timestamp", "pid", "ppid"]
    assert re.search(r"-r(\d+)", body["build"])
    assert body["address"] == "127.0.0.1"
    assert body["generation"] >= 1 and body["pid"] >= 1 and body["ppid"] >= 1
    for key in ("load_timestamp", "timestamp"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body[key])


def test_status_objects(remora):
    assert list(remora.get("/api/9/processes").json) == ["respawned"]
    assert list(remora.get("/api/9/connections").json) == ["accepted", "dropped", "active", "idle"]
    assert list(remora.get("/api/9/http/requests").json) == ["total", "current"]
    workers = remora.get("/api/9/workers").json
    assert isinstance(workers, list) and len(workers) == 2
    for worker in workers:
        assert list(worker) == ["id", "pid", "connections", "http"]


def test_fields(remora):
    assert remora.get("/api/9/nginx?fields=pid,version").json.keys() == {"pid", "version"}
    assert remora.get("/api/9/connections?fields=nope").json == {}
    assert sorted(remora.get("/api/9/http/upstreams?fields=").json) == ["app", "empty"]
    body = remora.get("/api/9/http/upstreams?fields=zone").json
    assert body == {"app": {"zone": "app"}, "empty": {"zone": "e"}}


def test_transcript(remora):
    assert remora.get(SERVERS).body == b"[]"
    answer = remora.call("POST", SERVERS + "/", '{"server":"127.0.0.1:8001"}')
    assert answer.status == 201
    server = answer.json
    shown = '{"id":%d,"server":"127.0.0.1:8001",' % server["id"] + DEFAULTS
    assert answer.body.decode() == shown
    one = "%s/%d/" % (SERVERS, server["id"])
    answer = remora.call("PATCH", one, '{"max_conns":0,"max_fails":1,"backup":false,"down":false,'
                         '"weight":1,"server":"127.0.0.1:8001","fail_timeout":"10s",'
                         '"slow_start":"30s"}')
    assert answer.status == 200
    assert answer.body.decode() == shown.replace('"slow_start":"0s"', '"slow_start":"30s"')
    assert remora.get(one).body == answer.body
    error(remora.call("PATCH", SERVERS + "/4000000/", "{}"), 404, "UpstreamServerNotFound")
    answer = remora.call("DELETE", one)
    assert (answer.status, answer.body) == (200, b"[]")
    error(remora.call("DELETE", one), 404, "UpstreamServerNotFound")


def test_peers(remora):
    server = post(remora, "127.0.0.1:8001", max_conns=7)
    body = remora.get("/api/9/http/upstreams/empty").json
    assert list(body) == ["peers", "keepalive", "zombies", "zone"]
    assert (body["keepalive"], body["zone"]) == (0, "e")
    peer = body["peers"][0]
    assert peer["id"] == server["id"] and peer["state"] == "up" and peer["max_conns"] == 7
    assert list(peer)[:15] == ["id", "server", "name", "backup", "weight", "state", "active",
                               "requests", "responses", "sent", "received", "fails", "unavail",
                               "health_checks", "downtime"]
    assert peer["responses"] == {"1xx": 0, "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0, "codes": {},
                                 "total": 0}
    assert remora.get("/api/9/http/upstreams").json["empty"]["peers"] == body["peers"]


def test_states(remora):
    ids = [post(remora, "127.0.0.1:%d" % port, **more)["id"] for port, more in
           ((1, {}), (2, {"down": True}), (3, {"drain": True}))]
    peers = remora.get("/api/9/http/upstreams/empty").json["peers"]
    assert [(p["id"], p["state"]) for p in peers] == list(zip(ids, ["up", "down", "draining"]))


def test_only_upstreams_with_a_zone(remora):
    assert sorted(remora.get("/api/9/http/upstreams").json) == ["app", "empty"]
    base = "/api/9/http/upstreams/fixed"
    error(remora.get(base), 400, "UpstreamStatic")
    error(remora.get(base + "/servers"), 400, "UpstreamStatic")
    error(remora.get(base + "/servers/0"), 400, "UpstreamStatic")
    error(remora.call("POST", base + "/servers", {"server": "127.0.0.1:1"}), 400, "UpstreamStatic")
    error(remora.call("PATCH", base + "/servers/0", {"weight": 2}), 400, "UpstreamStatic")
    error(remora.call("DELETE", base + "/servers/0"), 400, "UpstreamStatic")
    error(remora.call("DELETE", base), 400, "UpstreamStatic")


def test_order_and_ids(remora):
    ids = [post(remora, "127.0.0.1:%d" % port)["id"] for port in (9, 3, 7)]
    assert ids == sorted(ids)
    left = remora.call("DELETE", "%s/%d" % (SERVERS, ids[1])).json
    assert [s["server"] for s in left] == ["127.0.0.1:9", "127.0.0.1:7"]
    again = post(remora, "127.0.0.1:3")["id"]
    assert again not in ids
    assert [s["id"] for s in remora.get(SERVERS).json] == [ids[0], ids[2], again]


@pytest.mark.parametrize("given, shown", [
    ("127.0.0.1", "127.0.0.1:80"),
    ("127.0.0.1:8001", "127.0.0.1:8001"),
    ("[::1]", "[::1]:80"),
    ("[::1]:8080", "[::1]:8080"),
    ("unix:/tmp/some.sock", "unix:/tmp/some.sock"),
])
def test_addresses(remora, given, shown):
    assert post(remora, given)["server"] == shown
    assert remora.get(SERVERS).json[0]["server"] == shown


@pytest.mark.parametrize("member, values", [
    ("weight", [1, 2, 65535]),
    ("max_conns", [0, 1, 2147483647]),
    ("max_fails", [0, 100]),
    ("fail_timeout", ["21s", "1m", "500ms", "1m 30s", "0s", "5"]),
    ("slow_start", ["12s", "1h"]),
    ("route", ["", "a" * 32]),
    ("backup", [True, False]),
    ("down", [True, False]),
])
def test_values_are_echoed(remora, member, values):
    for port, value in enumerate(values, 1):
        server = post(remora, "127.0.0.1:%d" % port, **{member: value})
        assert server[member] == value
        assert remora.get("%s/%d" % (SERVERS, server["id"])).json == server


BAD_MEMBERS = [
    ({"weight": 0}, "UpstreamBadWeight"),
    ({"weight": -1}, "UpstreamBadWeight"),
    ({"weight": 65536}, "UpstreamBadWeight"),
    ({"weight": "0"}, "UpstreamBadWeight"),
    ({"weight": "x"}, "UpstreamBadWeight"),
    ({"weight": ""}, "UpstreamBadWeight"),
    ({"max_conns": "-1"}, "UpstreamBadMaxConns"),
    ({"max_fails": "1.5"}, "UpstreamBadMaxFails"),
    ({"weight": 1.5}, "UpstreamConfFormatError"),
    ({"weight": None}, "UpstreamConfFormatError"),
    ({"weight": True}, "UpstreamConfFormatError"),
    ({"max_conns": -1}, "UpstreamBadMaxConns"),
    ({"max_conns": 2147483648}, "UpstreamBadMaxConns"),
    ({"max_fails": -5}, "UpstreamBadMaxFails"),
    ({"fail_timeout": "ten"}, "UpstreamBadFailTimeout"),
    ({"fail_timeout": ""}, "UpstreamBadFailTimeout"),
    ({"fail_timeout": "10s 1m"}, "UpstreamBadFailTimeout"),
    ({"fail_timeout": "-1s"}, "UpstreamBadFailTimeout"),
    ({"fail_timeout": "99999999999s"}, "UpstreamBadFailTimeout"),
    ({"fail_timeout": 10}, "UpstreamConfFormatError"),
    ({"slow_start": "1x"}, "UpstreamBadSlowStart"),
    ({"slow_start": "1"}, None),
    ({"route": "a" * 33}, "UpstreamBadRoute"),
    ({"route": 5}, "UpstreamConfFormatError"),
    ({"backup": "no"}, "UpstreamConfFormatError"),
    ({"backup": 0}, "UpstreamConfFormatError"),
    ({"down": "yes"}, "UpstreamConfFormatError"),
    ({"drain": 1}, "UpstreamConfFormatError"),
    ({"down": True, "drain": True}, "UpstreamConfFormatError"),
    ({"id": 5}, "UpstreamConfFormatError"),
    ({"wieght": 5}, "UpstreamConfFormatError"),
    ({"parent": "x"}, "UpstreamConfFormatError"),
    ({"service": 5}, "UpstreamConfFormatError"),
    ({"weight": {}}, "UpstreamConfFormatError"),
    ({"weight": [1]}, "UpstreamConfFormatError"),
    ({"server": {"a": 1}}, "UpstreamConfFormatError"),
    ({"server": 5}, "UpstreamConfFormatError"),
    ({"server": ""}, "UpstreamBadAddress"),
    ({"server": "127.0.0.1:0"}, "UpstreamBadAddress"),
    ({"server": "127.0.0.1:99999"}, "UpstreamBadAddress"),
    ({"server": "127.0.0.1:x"}, "UpstreamBadAddress"),
    ({"server": "[::1"}, "UpstreamBadAddress"),
    ({"server": "unix:"}, "UpstreamBadAddress"),
    ({"server": "backend.example:80"}, "UpstreamConfNoResolver"),
    ({"server": "localhost"}, "UpstreamConfNoResolver"),
    ({"server": "127.0.0.256:80"}, "UpstreamBadAddress"),
    ({"server": "10.1:80"}, "UpstreamBadAddress"),
    ({"server": "a..example"}, "UpstreamBadAddress"),
]


@pytest.mark.parametrize("more, code", BAD_MEMBERS)
def test_bad_members(remora, more, code):
    body = {"server": "127.0.0.1:8001"}
    body.update(more)
    answer = remora.call("POST", SERVERS, body)
    if code is None:
        assert answer.status == 201
        return
    error(answer, 400, code)
    assert remora.get(SERVERS).body == b"[]"


@pytest.mark.parametrize("more, code", [m for m in BAD_MEMBERS if m[1]])
def test_bad_members_in_patch(remora, more, code):
    server = post(remora, "127.0.0.1:4")
    one = "%s/%d" % (SERVERS, server["id"])
    if code == "UpstreamConfNoResolver":  # no resolver makes an address a name
        code = "UpstreamBadAddress"
    error(remora.call("PATCH", one, more), 400, code)
    assert remora.get(one).json == server


def test_texts(remora):
    assert error(remora.call("POST", SERVERS, {"server": "127.0.0.1:1", "id": 1}), 400,
                 "UpstreamConfFormatError") == 'unknown parameter "id"'
    assert error(remora.call("POST", SERVERS, {}), 400,
                 "UpstreamConfFormatError") == 'missing "server" argument'
    text = error(remora.call("POST", SERVERS, {"server": "127.0.0.1:1", "a;b\nc": 1}), 400,
                 "UpstreamConfFormatError")
    assert text == 'unknown parameter "a,b?c"'


@pytest.mark.parametrize("body", [
    "", "{", "nonsense", '{"server":"127.0.0.1:1",}', '{"server":"127.0.0.1:1"} x', "5", '"x"',
    '{"server":"127.0.0.1:1","weight":1,"weight":2}', '{"server":"127.0.0.1:1\\u0000"}',
    '{"server":"127.0.0.1:1","weight":1e999999999}',
    '{"server":"127.0.0.1:1","weight":99999999999999999999}', b'{"server":"\xff\xfe"}',
    b'{"server":"127.0.0.1:1"\x00}', "[" * 33, "[" * 100000, '{"a":' * 1000,
])
def test_bad_json(remora, body):
    error(remora.call("POST", SERVERS, body), 415, "JsonError")
    assert remora.get(SERVERS).body == b"[]"


def test_wrong_container(remora):
    error(remora.call("POST", SERVERS, [{"server": "127.0.0.1:1"}]), 400,
          "UpstreamConfFormatError")


def test_duplicates(remora):
    post(remora, "127.0.0.1")
    other = post(remora, "127.0.0.1:81")
    for body in ({"server": "127.0.0.1"}, {"server": "127.0.0.1:80"},
                 {"server": "127.0.0.1:80", "backup": True}):
        error(remora.call("POST", SERVERS, body), 409, "EntryExists")
    error(remora.call("PATCH", "%s/%d" % (SERVERS, other["id"]), {"server": "127.0.0.1:80"}), 409,
          "EntryExists")
    assert len(remora.get(SERVERS).json) == 2


@pytest.mark.parametrize("servers, warned", [
    ("zone d 64k; server 127.0.0.1:1; server 127.0.0.1:2; server 127.0.0.1:1 backup;", True),
    ("server 127.0.0.1; server 127.0.0.1:80 weight=2; zone d 64k;", True),
    ("zone d 64k; server 127.0.0.1:1; server 127.0.0.2:1; server unix:/a; server unix:/b;", False),
    ("server 127.0.0.1:1; server 127.0.0.1:1;", False),
])
def test_duplicates_in_the_file(tmp_path, servers, warned):
    """Told of where clients would stumble over them, and taken as they are."""
    conf = tmp_path / "x.conf"
    conf.write_text("events {} http { upstream d { %s } }" % servers)
    done = run_remora("-t", "-p", str(tmp_path) + "/", "-c", str(conf))
    assert done.returncode == 0, done.stderr
    assert ("the address of server" in done.stderr) == warned, done.stderr


def test_patch(remora):
    server = post(remora, "127.0.0.1:1", weight=5, backup=False)
    one = "%s/%d" % (SERVERS, server["id"])
    assert remora.call("PATCH", one, {}).json == server
    assert remora.call("PATCH", one, {"backup": False}).status == 200
    error(remora.call("PATCH", one, {"backup": True}), 400, "UpstreamConfFormatError")
    moved = remora.call("PATCH", one, {"server": "127.0.0.1:2", "max_fails": 9}).json
    assert moved == dict(server, server="127.0.0.1:2", max_fails=9)
    drained = remora.call("PATCH", one, {"drain": True}).json
    assert drained["drain"] is True and drained["down"] is False
    down = remora.call("PATCH", one, {"down": True}).json
    assert down["down"] is True and "drain" not in down
    drained = remora.call("PATCH", one, {"drain": True}).json
    assert drained["drain"] is True and drained["down"] is False
    assert remora.call("PATCH", one, {"weight": 5}).json == drained
    assert remora.call("PATCH", one, {"down": False, "drain": True}).json == drained
    assert remora.call("PATCH", one, {"drain": False}).json == moved


def test_the_dashboard_edits_a_server(remora):
    """The one that comes with NGINX Plus: what is typed stays text, times are whole seconds for it, and
    choosing "up" leaves out `drain`."""
    typed = {"server": "127.0.0.1:1", "weight": "5", "max_conns": "7", "max_fails": "2", "fail_timeout": "15",
             "slow_start": "3", "route": "r", "backup": True, "down": True}
    made = remora.call("POST", SERVERS + "/", json.dumps(typed).encode(), [("Content-Type", "text/plain;charset=UTF-8")])
    assert made.status == 201
    one = "%s/%d/" % (SERVERS, made.json["id"])
    assert made.json == dict(typed, id=made.json["id"], weight=5, max_conns=7, max_fails=2)
    data = remora.get(one).json
    for key in ("fail_timeout", "slow_start"):
        data[key] = "%ds" % int(re.match(r"\d+", data[key])[0])
    del data["id"], data["server"], data["down"]
    drained = remora.call("PATCH", one, dict(data, weight="6", drain=True)).json
    assert drained == dict(made.json, weight=6, fail_timeout="15s", slow_start="3s", down=False, drain=True)
    del drained["drain"]
    assert remora.call("PATCH", one, dict(data, weight=6, down=False)).json == drained
    assert remora.call("DELETE", one).json == []


def test_times_of_the_file():
    """In the unit that clients expect, whatever the file has; what a client wrote stays."""
    remora = Remora(servers=("127.0.0.1:1 fail_timeout=2m slow_start=1500ms", "127.0.0.1:2 fail_timeout=1m30s"))
    try:
        path = "/api/9/http/upstreams/app/servers"
        first, second = remora.get(path).json
        assert (first["fail_timeout"], first["slow_start"]) == ("120s", "1500ms")
        assert (second["fail_timeout"], second["slow_start"]) == ("90s", "0s")
        assert remora.call("PATCH", "%s/%d" % (path, first["id"]), {"fail_timeout": "2m"}).json["fail_timeout"] == "2m"
        assert remora.get(path).json[0]["fail_timeout"] == "2m"
    finally:
        remora.stop()


@pytest.mark.parametrize("server_id", ["x", "-1", "1x", "4294967295", "99999999999999999999", "%20"])
def test_bad_ids(remora, server_id):
    one = "%s/%s" % (SERVERS, server_id)
    for method in ("GET", "PATCH", "DELETE"):
        error(remora.call(method, one, "{}" if method == "PATCH" else None), 400,
              "UpstreamBadServerId")


def test_methods(remora):
    for method, path in (("PUT", SERVERS), ("PATCH", SERVERS), ("DELETE", SERVERS),
                         ("POST", SERVERS + "/0"), ("PUT", "/api/9/nginx"), ("POST", "/api"),
                         ("DELETE", "/api/9/slabs"), ("OPTIONS", SERVERS)):
        answer = remora.call(method, path)
        error(answer, 405, "MethodDisabled")
        assert "GET" in answer.headers["allow"]


def test_write_off(readonly):
    for method, path in (("POST", SERVERS), ("PATCH", SERVERS + "/0"), ("DELETE", SERVERS + "/0"),
                         ("DELETE", "/api/9/connections"), ("DELETE", "/api/9/http/upstreams/app"),
                         ("DELETE", "/api/9/http/upstreams/DASHBOARD_INIT/servers/__TEST_FOR_WRITE__/")):
        error(readonly.call(method, path), 405, "MethodDisabled")
    error(readonly.call("DELETE", "/api/9/nope"), 404, "PathNotFound")
    error(readonly.call("DELETE", "/api/10/http"), 404, "UnknownVersion")
    assert readonly.get(SERVERS).status == 200


def test_write_probe(remora):
    error(remora.call("DELETE", "/api/9/http/upstreams/DASHBOARD_INIT/servers/__TEST_FOR_WRITE__/"),
          404, "UpstreamNotFound")


def test_resets(remora):
    for path in ("/processes", "/connections", "/http/requests", "/http/upstreams/app",
                 "/http/upstreams/app/"):
        answer = remora.call("DELETE", "/api/9" + path)
        assert (answer.status, answer.body) == (204, b"")
        assert "content-length" not in answer.headers
    error(remora.call("DELETE", "/api/9/http/upstreams/nope"), 404, "UpstreamNotFound")
    assert len(remora.get("/api/9/http/upstreams/app/servers").json) == 2


def test_escaped_names(remora):
    assert remora.get("/api/9/http/upstreams/%61pp/servers").status == 200
    error(remora.get("/api/9/http/upstreams/a%2fb/servers"), 404, "UpstreamNotFound")


def test_unix_socket(remora):
    answer = remora.call("GET", "/api/9/nginx", address=remora.unix)
    assert answer.status == 200 and answer.json["address"].startswith("unix:")


def test_browser_pages_may_read_only(remora):
    origin = [("Origin", "http://evil.example")]
    error(remora.call("POST", SERVERS, {"server": "127.0.0.1:1"}, origin), 403, "OriginRefused")
    assert remora.get(SERVERS, origin).status == 200


def test_full_memory():
    remora = Remora(memory="1m")
    try:
        many = [{"server": "10.%d.%d.1:80" % (n // 250, n % 250)} for n in range(60000)]
        answer = remora.call("PUT", "/v1/http/upstreams/app/servers", many)
        assert answer.status == 507 and answer.json["code"] == "UpstreamOutOfMemory"
        assert len(remora.servers("app")) == 2
        n = 0
        while remora.call("POST", SERVERS, {"server": "127.1.%d.%d:1" % (n // 250, n % 250)}).status == 201:
            n += 1
        error(remora.call("POST", SERVERS, {"server": "127.0.0.1:1"}), 400, "UpstreamOutOfMemory")
        assert len(remora.get(SERVERS).json) == n
    finally:
        remora.stop()
