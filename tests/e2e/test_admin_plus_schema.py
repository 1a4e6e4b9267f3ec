# SPDX-License-Identifier: Apache-2.0
"""Our answers held against the shapes that the OpenAPI document of the NGINX Plus API gives
(data/plus_api.json, made by plus_shape.py): every path and method, every status it can have, every
member of every body, with and without a slash at the end."""
import json
import os
import re
import signal
import time

import pytest
from admin_client import Connection
from conftest import ROOT, ok, wait_for

with open(ROOT + "/tests/data/plus_api.json") as f:
    DOCUMENT = json.load(f)
PATHS, TYPES = DOCUMENT["paths"], DOCUMENT["types"]

# What need not be there; all other members must.  Paths of members below a type.
OPTIONAL = {
    "NginxHTTPServerZone": {"ssl"},
    "NginxHTTPUpstream": {"queue"},
    "NginxHTTPUpstreamPeer": {"ssl", "service", "max_conns", "header_time", "response_time", "response_time_hist",
                              "downstart", "selected", "health_checks.last_passed"},
    "NginxHTTPUpstreamConfServer": {"service", "drain", "parent", "host"},
    "NginxLicenseObject": {"active_till", "reporting"},
}

CONF = """worker_processes 2;
admin { listen unix:@DIR@/admin.sock; write on; }
http {
    access_log off;
    limit_req_zone $uri zone=lr:64k rate=1000r/s;
    limit_conn_zone $uri zone=lc:64k;
    resolver 127.0.0.1:@PORT:dns@ status_zone=rz;
    keyval_zone zone=kv:32k;
    keyval $arg_k $kept zone=kv;
    upstream app { zone app 64k; server %s; server 127.0.0.1:@PORT:dead@ backup max_conns=3; }
    upstream full { zone full 64k; queue 5 timeout=10s; server 127.0.0.1:@PORT:dead@ max_conns=1; }
    upstream empty { zone empty 64k; }
    upstream fixed { server 127.0.0.1:1; }
    server {
        listen 127.0.0.1:@PORT:web@;
        status_zone sz;
        limit_req zone=lr burst=100;
        limit_conn lc 10;
        location / { status_zone lz; proxy_pass http://app; }
        location /api { api; }
        location /write { api write=on; }
        location /small { api write=on; client_max_body_size 10; }
        location /closed { api write=on; deny all; }
    }
}"""

NAMES = {"slabZoneName": "app", "httpServerZoneName": "sz", "httpLocationZoneName": "lz", "httpCacheZoneName": "c",
         "httpLimitConnZoneName": "lc", "httpLimitReqZoneName": "lr", "httpUpstreamName": "app",
         "httpKeyvalZoneName": "kv", "resolverZoneName": "rz"}
OPERATIONS = [(path, method) for path in PATHS for method in PATHS[path]]
HTTP = [(path, method) for path, method in OPERATIONS if not path.startswith("/stream")]
NO_CACHES = "/http/caches/{httpCacheZoneName}"  # nothing here caches


def check(value, shape, optional, at):
    """`value` is of the shape; `at` says where, below a type whose members in `optional` may be absent."""
    if isinstance(shape, str):
        kinds = {"integer": int, "string": str, "boolean": bool, "any": object}
        assert isinstance(value, kinds[shape]) and (shape == "boolean" or not isinstance(value, bool)), (at, value)
        assert shape != "integer" or value >= 0, (at, value)
        return
    kind, inner = next(iter(shape.items()))
    if kind == "ref":
        check(value, TYPES[inner], OPTIONAL.get(inner, set()), "")
    elif kind == "enum":
        assert value in inner, (at, value)
    elif kind == "list":
        assert isinstance(value, list), (at, value)
        for item in value:
            check(item, inner, optional, at)
    elif kind == "map":
        assert isinstance(value, dict), (at, value)
        for item in value.values():
            check(item, inner, optional, at)
    else:
        assert kind == "members" and isinstance(value, dict), (at, value)
        unknown = value.keys() - inner.keys()
        missing = {k for k in inner if k not in value and at + k not in optional}
        assert not unknown and not missing, (at, unknown, missing, value)
        for name, item in value.items():
            check(item, inner[name], optional, at + name + ".")


def answer_is(answer, path, method, status):
    """The answer has this status, which the document knows, and the body that it gives for it."""
    assert answer.status == status, (method, path, answer)
    shape = PATHS[path][method][str(status)]
    if shape is None:
        assert answer.body == b"", answer
    else:
        assert answer.headers["content-type"] == "application/json"
        check(answer.json, shape, set(), "")
    return answer


class Api:
    def __init__(self, remora):
        self.remora, self.socket = remora, remora.dir + "/admin.sock"

    def call(self, method, path, body=None, base="/api/9"):
        with Connection(self.socket) as c:
            return c.request(method.upper(), base + path, body)

    def there(self, base, method, path):
        """The same through a location of a server."""
        with Connection(("127.0.0.1", self.remora.port("web"))) as c:
            return c.request(method.upper(), base + "/9" + path, "{}" if method in ("post", "patch") else None)

    def server(self, port=4):
        answer = self.call("POST", "/http/upstreams/app/servers", {"server": "127.0.0.1:%d" % port})
        assert answer.status == 201, answer
        return str(answer.json["id"])

    def worker(self):
        return str(self.call("GET", "/workers").json[0]["id"])


@pytest.fixture
def api(remora, backend):
    instance = remora(CONF % backend(ok(b"hi")).addr)
    for path in ("/", "/x"):
        assert instance.get("web", path).status == 200
    return Api(instance)


def filled(api, path, **other):
    """The path with names that exist."""
    names = dict(NAMES, **other)
    if "{workerId}" in path and "workerId" not in names:
        names["workerId"] = api.worker()
    if "{httpUpstreamServerId}" in path and "httpUpstreamServerId" not in names:
        names["httpUpstreamServerId"] = api.server()
    return re.sub(r"{(\w+)}", lambda m: names[m[1]], path)


BODIES = {("/http/upstreams/{httpUpstreamName}/servers/", "post"): {"server": "127.0.0.1:9", "weight": 2},
          ("/http/upstreams/{httpUpstreamName}/servers/{httpUpstreamServerId}", "patch"): {"down": True},
          ("/http/keyvals/{httpKeyvalZoneName}", "post"): {"a": "b"},
          ("/http/keyvals/{httpKeyvalZoneName}", "patch"): {"k": "w"}}


def test_the_document_is_covered():
    assert len(HTTP) == 50 and len(OPERATIONS) == 71


@pytest.mark.parametrize("slash", [False, True])
def test_what_goes_well(api, slash):
    for path, method in HTTP:
        if path == NO_CACHES:
            continue
        if "keyvals" in path:
            api.call("DELETE", "/http/keyvals/kv")
            assert api.call("POST", "/http/keyvals/kv", {"k": "v"}).status == 201
        real = filled(api, path).rstrip("/") + ("/" if slash else "")
        good = [int(s) for s in PATHS[path][method] if s < "300"]
        answer_is(api.call(method, real, BODIES.get((path, method))), path, method, good[0])
        for server in api.call("GET", "/http/upstreams/app/servers").json[2:]:
            api.call("DELETE", "/http/upstreams/app/servers/%d" % server["id"])


@pytest.mark.parametrize("path, method", OPERATIONS)
def test_unknown_version(api_of_module, path, method):
    real = filled(api_of_module, path, workerId="0", httpUpstreamServerId="0", **STREAM)
    body = {} if method in ("post", "patch") else None
    answer = answer_is(api_of_module.call(method, real, body, "/api/10"), path, method, 404)
    assert answer.json["error"]["code"] == "UnknownVersion"


STREAM = {"streamServerZoneName": "a", "streamLimitConnZoneName": "a", "streamUpstreamName": "a",
          "streamUpstreamServerId": "0", "streamKeyvalZoneName": "a"}


@pytest.fixture(scope="module")
def api_of_module():
    from conftest import Remora
    instance = Remora(CONF % "127.0.0.1:1")
    yield Api(instance)
    instance.stop()


@pytest.mark.parametrize("path, method", [o for o in OPERATIONS if o[0].startswith("/stream")])
def test_nothing_of_stream_is_there(api_of_module, path, method):
    """As clients expect it of a configuration without a stream block."""
    body = {} if method in ("post", "patch") else None
    answer = answer_is(api_of_module.call(method, filled(api_of_module, path, **STREAM), body), path, method, 404)
    assert answer.json["error"]["code"] == "PathNotFound"


MISSING = {"slabZoneName": "SlabNotFound", "httpServerZoneName": "ServerZoneNotFound",
           "httpLocationZoneName": "LocationZoneNotFound", "httpCacheZoneName": "CacheNotFound",
           "httpLimitConnZoneName": "LimitConnNotFound", "httpLimitReqZoneName": "LimitReqNotFound",
           "httpUpstreamName": "UpstreamNotFound", "httpUpstreamServerId": "UpstreamServerNotFound",
           "httpKeyvalZoneName": "KeyvalNotFound", "resolverZoneName": "ResolverZoneNotFound",
           "workerId": "WorkerNotFound"}


@pytest.mark.parametrize("path, method", [o for o in HTTP if "{" in o[0]])
def test_names_that_are_not_there(api_of_module, path, method):
    for name in re.findall(r"{(\w+)}", path):
        real = filled(api_of_module, path, **{"workerId": "0", "httpUpstreamServerId": "0", name: "4000"})
        answer = api_of_module.call(method, real, {"a": "b"} if method in ("post", "patch") else None)
        assert answer_is(answer, path, method, 404).json["error"]["code"] == MISSING[name]


@pytest.mark.parametrize("path, method", [o for o in OPERATIONS if o[1] != "get"])
def test_read_only(api_of_module, path, method):
    """405 comes before whether anything of that name exists, and behind whether the path does."""
    for names in ({}, {n: "nope" for n in NAMES}):
        real = filled(api_of_module, path, **{"workerId": "x", "httpUpstreamServerId": "x", **STREAM, **names})
        status = 404 if path.startswith("/stream") else 405
        answer = answer_is(api_of_module.there("/api", method, real), path, method, status)
        assert answer.json["error"]["code"] == ("PathNotFound" if status == 404 else "MethodDisabled")
    assert api_of_module.there("/api", "get", "/http/upstreams/app/servers").status == 200
    if "{" not in path:
        assert api_of_module.there("/write", method, path).status == 204


@pytest.mark.parametrize("path, method", [o for o in HTTP if "400" in PATHS[o[0]][o[1]] and "Upstream" in o[0]])
def test_static_upstreams(api_of_module, path, method):
    real = filled(api_of_module, path, httpUpstreamName="fixed", httpUpstreamServerId="0")
    body = {"server": "127.0.0.1:3"} if method in ("post", "patch") else None
    answer = answer_is(api_of_module.call(method, real, body), path, method, 400)
    assert answer.json["error"]["code"] == "UpstreamStatic"


@pytest.mark.parametrize("path, method", [o for o in HTTP if "415" in PATHS[o[0]][o[1]]])
def test_no_json(api_of_module, path, method):
    real = filled(api_of_module, path)
    for body in ("", "{", "nonsense"):
        answer = answer_is(api_of_module.call(method, real, body), path, method, 415)
        assert answer.json["error"]["code"] == "JsonError"
    if "serverId" in path:
        api_of_module.call("DELETE", real)


def test_conflicts(api_of_module):
    api = api_of_module
    path = "/http/upstreams/{httpUpstreamName}/servers/"
    for status in (201, 409):
        answer = answer_is(api.call("POST", filled(api, path), {"server": "127.0.0.1:77"}), path, "post", status)
    assert answer.json["error"]["code"] == "EntryExists"
    path = "/http/keyvals/{httpKeyvalZoneName}"
    for status in (201, 409):
        answer = answer_is(api.call("POST", filled(api, path), {"twice": "v"}), path, "post", status)
    assert answer.json["error"]["code"] == "KeyvalKeyExists"


@pytest.mark.parametrize("method", ["post", "patch"])
def test_too_large_for_a_zone(api_of_module, method):
    path = "/http/keyvals/{httpKeyvalZoneName}"
    api_of_module.call("DELETE", filled(api_of_module, path))
    assert api_of_module.call("POST", filled(api_of_module, path), {"k": "v"}).status == 201
    body = {"k" if method == "patch" else "l": "x" * 40000}
    answer_is(api_of_module.call(method, filled(api_of_module, path), body), path, method, 413)


@pytest.mark.parametrize("path", [p for p, m in HTTP if p.endswith("/") and m == "get"
                                  and TYPES.get(PATHS[p]["get"]["200"]["ref"], {}) != "any"
                                  and "map" in TYPES[PATHS[p]["get"]["200"]["ref"]]] + ["/workers/"])
def test_fields(api_of_module, path):
    api = api_of_module
    all_of_it = api.call("GET", path).json
    names = list(all_of_it) if isinstance(all_of_it, dict) else [one["id"] for one in all_of_it]
    assert api.call("GET", path + "?fields=").json == names
    if path in ("/http/caches/", "/http/keyvals/"):
        return
    items = list(all_of_it.values()) if isinstance(all_of_it, dict) else all_of_it
    keys = sorted(items[0])[:2]
    cut = api.call("GET", path + "?fields=" + ",".join(keys + ["nonsense"])).json
    cut = list(cut.values()) if isinstance(cut, dict) else cut
    assert cut and all(sorted(one) == keys for one in cut)
    one = path + (names[0] if isinstance(names[0], str) else str(names[0]))
    assert sorted(api.call("GET", one + "?fields=" + keys[0]).json) == keys[:1]


@pytest.mark.parametrize("path", ["/nginx", "/connections", "/http/requests", "/ssl"])
def test_fields_of_objects(api_of_module, path):
    names = list(api_of_module.call("GET", path).json)
    assert list(api_of_module.call("GET", path + "?fields=" + names[1]).json) == [names[1]]
    assert api_of_module.call("GET", path + "?fields=nope").json == {}


def test_lists_of_endpoints(api_of_module):
    """What a list names is there, and a scraper that goes by it finds everything."""
    root = api_of_module.call("GET", "/").json
    assert sorted(root) == sorted(["nginx", "processes", "connections", "slabs", "http", "resolvers", "ssl", "workers"])
    http = api_of_module.call("GET", "/http").json
    assert http == ["requests", "server_zones", "location_zones", "caches", "limit_conns", "limit_reqs", "keyvals",
                    "upstreams"]
    for name in root + ["http/" + n for n in http]:
        assert api_of_module.call("GET", "/" + name).status == 200


def test_resets(api):
    """DELETE takes counters back to 0, and neither a reload nor the agent's death brings them back."""
    counted = {
        "/connections": lambda o: o["accepted"],
        "/http/requests": lambda o: o["total"],
        "/http/server_zones/sz": lambda o: o["requests"] + o["responses"]["total"] + o["received"] + o["sent"] +
        sum(o["responses"]["codes"].values()),
        "/http/location_zones/lz": lambda o: o["requests"] + o["responses"]["2xx"] + o["sent"],
        "/http/limit_conns/lc": lambda o: o["passed"],
        "/http/limit_reqs/lr": lambda o: o["passed"],
        "/http/upstreams/app": lambda o: sum(p["requests"] + p["responses"]["total"] + p["sent"] + p["received"] +
                                             sum(p["responses"]["codes"].values()) for p in o["peers"]),
        "/workers/" + api.worker(): lambda o: o["connections"]["accepted"],
        "/slabs/app": lambda o: o["slots"][list(o["slots"])[0]]["reqs"],
    }

    def now():
        return {path: count(api.call("GET", path).json) for path, count in counted.items()}

    before = now()
    assert all(before[p] > 0 for p in before if not p.startswith("/workers")), before
    for path in counted:
        assert api.call("DELETE", path).status == 204
    assert not any(now().values()), now()
    api.remora.allow.append(re.compile("exited on signal 9"))
    agent = api.remora.agent()
    os.kill(agent, signal.SIGKILL)
    wait_for(lambda: api.remora.agent() not in (None, agent), "another agent")
    assert not any(now().values()), now()
    assert api.remora.get("web", "/").status == 200
    after = now()
    assert after["/http/requests"] == 1 and after["/http/upstreams/app"] > 0, after
    api.remora.reload()
    wait_for(lambda: api.call("GET", "/http/requests").json["total"] < before["/http/requests"], "the same after HUP")


def test_refusals_of_the_location(api_of_module):
    """Who is refused before the API is asked gets JSON as well: clients read nothing else."""
    big = {"server": "127.0.0.1:1"}
    for base, method, status, code in (("/small", "POST", 413, "RequestEntityTooLarge"),
                                       ("/closed", "GET", 403, "Forbidden")):
        with Connection(("127.0.0.1", api_of_module.remora.port("web"))) as c:
            answer = c.request(method, base + "/9/http/upstreams/app/servers", big if method == "POST" else None)
        assert answer.status == status and answer.headers["content-type"] == "application/json"
        check(answer.json, {"ref": "NginxError"}, set(), "")
        assert answer.json["error"] == dict(answer.json["error"], status=status, code=code)
        assert re.fullmatch("[0-9a-f]{32}", answer.json["request_id"])


def test_bodies_that_cannot_be_read(api_of_module):
    for where in (api_of_module.socket, ("127.0.0.1", api_of_module.remora.port("web"))):
        with Connection(where) as c:
            c.send("POST %s/9/http/upstreams/app/servers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"
                   % ("/api" if where == api_of_module.socket else "/write"))
            answer = answer_is(c.read(), "/http/upstreams/{httpUpstreamName}/servers/", "post", 400)
            assert answer.json["error"]["code"] == "BodyReadError" and c.at_end()


def test_queue(api):
    """Shown where it is configured: so many of each worker may wait."""
    path = "/http/upstreams/full"
    assert api.call("GET", path).json["queue"] == {"size": 0, "max_size": 10, "overflows": 0}
    assert "queue" not in api.call("GET", "/http/upstreams/app").json


def test_a_queue_that_overflows(remora, backend):
    held = []
    server = backend(lambda request: held.append(request) or wait_for(lambda: not held, "release", 30) and ok(b"late"))
    text = """worker_processes 1; http { access_log off;
        upstream u { zone z 64k; server %s max_conns=1; queue 1 timeout=20s; }
        server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://u; } } }""" % server.addr
    api = Api(remora(text))

    def queue():
        return api.call("GET", "/http/upstreams/u").json["queue"]

    clients = [api.remora.client("web", 30) for _ in range(3)]
    clients[0].send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_for(lambda: held, "the first request")
    clients[1].send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_for(lambda: queue()["size"] == 1, "the second in the queue")
    clients[2].send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert clients[2].response().status == 502
    assert queue() == {"size": 1, "max_size": 1, "overflows": 1}
    assert api.call("DELETE", "/http/upstreams/u").status == 204
    assert queue() == {"size": 1, "max_size": 1, "overflows": 0}
    held.clear()
    assert clients[0].response().body == b"late"
    wait_for(lambda: held, "the second request")
    held.clear()
    assert clients[1].response().body == b"late"
    assert queue()["size"] == 0


def test_peers(remora, backend):
    """What peers show after traffic: codes, times, and since when one is not available."""
    up = backend(lambda request: ok(b"x") if request.path == "/" else b"HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n")
    text = """http { access_log off;
        upstream u { zone z 64k; server %s; server 127.0.0.1:@PORT:dead@ max_fails=1 fail_timeout=100s; }
        server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://u; } } }""" % up.addr
    api = Api(remora(text))
    for path, status in (("/", 200), ("/", 200), ("/", 200), ("/none", 404)):
        assert api.remora.get("web", path).status == status

    def peers():
        return api.call("GET", "/http/upstreams/u").json["peers"]

    wait_for(lambda: peers()[0]["responses"]["total"] == 4, "the last response's count")
    first, second = peers()
    assert first["state"] == "up" and first["requests"] == 4
    assert first["responses"] == {"1xx": 0, "2xx": 3, "3xx": 0, "4xx": 1, "5xx": 0,
                                  "codes": {"200": 3, "404": 1}, "total": 4}
    assert 0 <= first["header_time"] <= first["response_time"] < 10000
    assert first["downtime"] == 0 and "downstart" not in first and first["selected"]
    assert second["state"] == "unavail" and (second["fails"], second["unavail"]) == (1, 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", second["downstart"])
    began = time.monotonic()
    before = second["downtime"]
    wait_for(lambda: time.monotonic() > began + 0.5)
    later = peers()[1]
    passed = (time.monotonic() - began) * 1000
    assert 400 <= later["downtime"] - before <= passed + 500, (before, later["downtime"], passed)
    assert later["downstart"] == second["downstart"]


@pytest.mark.parametrize("mandatory", ["", "mandatory"])
def test_states_of_checks(remora, backend, mandatory):
    healthy = [True]
    answer = b"HTTP/1.1 %s N\r\nContent-Length: 0\r\n\r\n"
    up = backend(lambda request: answer % (b"200" if healthy[0] else b"500"))
    text = """http { access_log off;
        upstream u { zone z 64k; server %s; }
        server { listen 127.0.0.1:@PORT:web@;
                 location / { proxy_pass http://u; health_check interval=100ms fails=1 passes=1 %s; } } }"""
    api = Api(remora(text % (up.addr, mandatory)))

    def peer():
        one = api.call("GET", "/http/upstreams/u").json
        check(one, {"ref": "NginxHTTPUpstream"}, set(), "")
        return one["peers"][0]

    wait_for(lambda: peer()["health_checks"].get("last_passed") is True, "a check")
    assert peer()["state"] == "up"
    healthy[0] = False
    wait_for(lambda: peer()["state"] == "unhealthy", "bad health")
    now = peer()
    assert now["health_checks"]["last_passed"] is False and now["health_checks"]["unhealthy"] == 1
    assert now["health_checks"]["fails"] >= 1 and now["health_checks"]["checks"] > now["health_checks"]["fails"]
    assert "downstart" in now
    assert api.call("DELETE", "/http/upstreams/u").status == 204
    assert peer()["health_checks"]["unhealthy"] == 0
    healthy[0] = True
    wait_for(lambda: peer()["state"] == "up", "good health")
    assert peer()["downtime"] > 0 and "downstart" not in peer()
    silent = backend(lambda request: wait_for(lambda: not healthy[0], "the end", 30) and None)
    assert api.call("POST", "/http/upstreams/u/servers", {"server": silent.addr}).status == 201
    state = api.call("GET", "/http/upstreams/u").json["peers"][1]["state"]
    assert state == ("checking" if mandatory else "up")
    healthy[0] = False


def test_slabs(api_of_module):
    """The region, and every zone: of limits, of pairs, of upstreams."""
    slabs = api_of_module.call("GET", "/slabs").json
    assert set(slabs) >= {"remora", "lr", "lc", "kv", "app", "full", "empty"}
    for name, slab in slabs.items():
        assert len(slab["slots"]) == 1 and slab["pages"]["used"] >= (name != "kv"), (name, slab)
        assert api_of_module.call("GET", "/slabs/" + name).json.keys() == {"pages", "slots"}
    [servers] = slabs["app"]["slots"].values()
    assert servers["used"] >= 2 and servers["reqs"] >= servers["used"]
    path = "/http/keyvals/kv"
    api_of_module.call("DELETE", path)
    before = api_of_module.call("GET", "/slabs/kv").json["pages"]
    assert api_of_module.call("POST", path, {"long": "x" * 12000}).status == 201
    after = api_of_module.call("GET", "/slabs/kv").json["pages"]
    assert after["used"] - before["used"] in (2, 3) and sum(after.values()) == sum(before.values()) == 8
    api_of_module.call("DELETE", path)
