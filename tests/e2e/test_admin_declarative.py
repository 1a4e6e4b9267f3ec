# SPDX-License-Identifier: Apache-2.0
"""/v1: whole upstreams, merge patches, dry runs, preconditions."""
import pytest

from admin_client import instance, readonly, remora  # noqa: F401 (fixtures)
from conftest import ok, wait_for
from test_admin_v1 import addresses, problem

UPSTREAMS = "/v1/http/upstreams"


def state(remora):
    """What a revision describes: everything but counters."""
    return [{k: u[k] for k in ("name", "method", "keepalive", "limits", "outlier_detection")}
            | {"servers": remora.servers(u["name"])} for u in remora.get(UPSTREAMS).json["upstreams"]]


@pytest.fixture
def blue(remora):
    """An upstream that no configuration names."""
    answer = remora.call("POST", UPSTREAMS, {"name": "blue", "servers": [{"server": "127.0.0.1:7001"}]})
    assert answer.status == 201, answer
    yield remora
    assert remora.call("DELETE", UPSTREAMS + "/blue").status in (200, 404)


# ---- upstreams that come and go ----

def test_create(remora):
    revision = remora.revision()
    answer = remora.call("POST", UPSTREAMS, {"name": "green", "method": "least_conn"})
    assert answer.status == 201, answer
    body = answer.json
    assert body["revision"] == revision + 1 and body["applied"] is True
    assert answer.headers["etag"] == '"%d"' % body["revision"]
    assert body["name"] == "green" and body["method"] == "least_conn" and body["servers"] == []
    shown = remora.get(UPSTREAMS + "/green").json
    assert shown["runtime"] is True and shown["static"] is False and shown["limits"] is None
    answer = remora.call("DELETE", UPSTREAMS + "/green")
    assert answer.status == 200 and answer.json["revision"] == revision + 2
    problem(remora.get(UPSTREAMS + "/green"), 404, "UpstreamNotFound")


def test_put_creates(remora):
    answer = remora.call("PUT", UPSTREAMS + "/red", {"servers": []}, [("If-None-Match", "*")])
    assert answer.status == 201
    assert remora.call("PUT", UPSTREAMS + "/red", {"servers": []}).status == 200
    answer = remora.call("PUT", UPSTREAMS + "/red", {"servers": []}, [("If-None-Match", "*")])
    body = problem(answer, 412, "RevisionMismatch")
    assert body["revision"] == remora.revision()
    assert remora.call("DELETE", UPSTREAMS + "/red").status == 200


def test_delete_refused(remora):
    problem(remora.call("DELETE", UPSTREAMS + "/app"), 409, "UpstreamConfigured")
    problem(remora.call("DELETE", UPSTREAMS + "/nope"), 404, "UpstreamNotFound")
    problem(remora.call("POST", UPSTREAMS, {"name": "app"}), 409, "EntryExists")


@pytest.mark.parametrize("name", ["", " ", "A", "a b", "a/b", "-a", ".a", "a\u00e9", "x" * 256, "a:80", "$a"])
def test_bad_names(remora, name):
    problem(remora.call("POST", UPSTREAMS, {"name": name}), 400, "UpstreamConfFormatError")


BAD = [
    ({}, "UpstreamConfFormatError"),
    ([], "UpstreamConfFormatError"),
    ({"servers": None}, "UpstreamConfFormatError"),
    ({"servers": {}}, "UpstreamConfFormatError"),
    ({"servers": [{"server": "name"}]}, "UpstreamConfNoResolver"),
    ({"servers": [{"server": "127.0.0.1:1"}, {"server": "127.0.0.1:1"}]}, "EntryExists"),
    ({"servers": [], "name": "other"}, "UpstreamConfFormatError"),
    ({"servers": [], "colour": 1}, "UpstreamConfFormatError"),
    ({"servers": [], "method": "fastest"}, "UpstreamConfFormatError"),
    ({"servers": [], "method": 5}, "UpstreamConfFormatError"),
    ({"servers": [], "method": "hash"}, "UpstreamConfFormatError"),
    ({"servers": [], "method": "hash consistent"}, "UpstreamConfFormatError"),
    ({"servers": [], "keepalive": 32}, "UpstreamConfFormatError"),
    ({"servers": [], "keepalive": {"connections": -1}}, "UpstreamConfFormatError"),
    ({"servers": [], "keepalive": {"connections": "1"}}, "UpstreamConfFormatError"),
    ({"servers": [], "keepalive": {"timeout": 60}}, "UpstreamConfFormatError"),
    ({"servers": [], "keepalive": {"timeout": "soon"}}, "UpstreamConfFormatError"),
    ({"servers": [], "keepalive": {"colour": 1}}, "UpstreamConfFormatError"),
    ({"servers": [], "limits": []}, "UpstreamConfFormatError"),
    ({"servers": [], "limits": {"retry_budget": 101}}, "UpstreamConfFormatError"),
    ({"servers": [], "limits": {"requests": 1.5}}, "UpstreamConfFormatError"),
    ({"servers": [], "outlier_detection": True}, "UpstreamConfFormatError"),
    ({"servers": [], "outlier_detection": {"interval": 5}}, "UpstreamConfFormatError"),
    # what the configuration refuses
    ({"servers": [], "limits": {"retry_budget_min": 1}}, "UpstreamConfFormatError"),
    ({"servers": [], "outlier_detection": {"interval": "0s"}}, "UpstreamConfFormatError"),
    ({"servers": [], "outlier_detection": {"base_ejection_time": "0s"}}, "UpstreamConfFormatError"),
    ({"servers": [], "outlier_detection": {"max_ejection_time": "29s"}}, "UpstreamConfFormatError"),
    ({"servers": [], "outlier_detection": {"success_rate_request_volume": 0}}, "UpstreamConfFormatError"),
    ({"servers": [{"server": "127.0.0.1:1", "backup": True}], "method": "ip_hash"}, "UpstreamNoBackup"),
]


@pytest.mark.parametrize("body, code", BAD)
def test_put_refused(remora, body, code):
    before, revision = state(remora), remora.revision()
    answer = remora.call("PUT", UPSTREAMS + "/app", body)
    problem(answer, 409 if code == "EntryExists" else 400, code)
    assert state(remora) == before and remora.revision() == revision


@pytest.mark.parametrize("body", ["", "{", "null", '{"servers":[],"servers":[]}', b"\xff"])
def test_no_json(remora, body):
    for method in ("PUT", "PATCH"):
        problem(remora.call(method, UPSTREAMS + "/app", body), 400, "JsonError")


def test_put_takes_what_get_gives(remora):
    before = state(remora)
    shown = remora.get(UPSTREAMS + "/app")
    answer = remora.call("PUT", UPSTREAMS + "/app", shown.body)
    assert answer.status == 200, answer
    assert state(remora) == before


def test_put_whole(remora):
    keepalive = {"connections": 7, "requests": 50, "timeout": "5s", "time": "60s"}
    limits = {"connections": 10, "pending": 5, "requests": 100, "retries": 3,
              "retry_budget": 20, "retry_budget_min": 2}
    body = {"method": "random two least_time=last_byte", "keepalive": keepalive, "limits": limits,
            "outlier_detection": {"consecutive_gateway_failure": 3, "interval": "1m"},
            "servers": [{"server": "127.0.0.1:8002", "weight": 4}]}
    ids = {s["server"]: s["id"] for s in remora.servers("app")}
    answer = remora.call("PUT", UPSTREAMS + "/app", body)
    assert answer.status == 200, answer
    shown = remora.get(UPSTREAMS + "/app").json
    assert shown["method"] == body["method"] and shown["keepalive"] == keepalive
    assert shown["limits"] == limits
    assert shown["outlier_detection"]["consecutive_gateway_failure"] == 3
    assert shown["outlier_detection"]["interval"] == "60s"
    assert shown["outlier_detection"]["base_ejection_time"] == "30s", "what is not given is usual"
    assert [(s["id"], s["weight"]) for s in shown["servers"]] == [(ids["127.0.0.1:8002"], 4)]
    # What is not given in a PUT is the default again.
    assert remora.call("PUT", UPSTREAMS + "/app", {"servers": []}).status == 200
    shown = remora.get(UPSTREAMS + "/app").json
    assert shown["method"] == "round_robin" and shown["limits"] is None
    assert shown["outlier_detection"] is None and shown["keepalive"]["connections"] == 32


@pytest.mark.parametrize("method", [
    "round_robin", "least_conn", "least_time header", "least_time header inflight",
    "least_time last_byte", "least_time last_byte inflight", "random", "random two",
    "random two least_time=header", "random two least_time=last_byte", "ip_hash"])
def test_methods(remora, method):
    assert remora.call("PATCH", UPSTREAMS + "/app", {"method": method}).json["method"] == method
    assert remora.call("PATCH", UPSTREAMS + "/app", {"method": None}).json["method"] == "round_robin"


# ---- merge patches ----

def test_patch_upstream(remora):
    before = remora.servers("app")
    answer = remora.call("PATCH", UPSTREAMS + "/app", {"limits": {"requests": 9}},
                         [("Content-Type", "application/merge-patch+json")])
    assert answer.status == 200, answer
    assert answer.json["limits"]["requests"] == 9 and answer.json["limits"]["pending"] == 0
    answer = remora.call("PATCH", UPSTREAMS + "/app", {"limits": {"pending": 2}})
    assert answer.json["limits"]["requests"] == 9 and answer.json["limits"]["pending"] == 2
    answer = remora.call("PATCH", UPSTREAMS + "/app", {"limits": {"requests": None}})
    assert answer.json["limits"]["requests"] == 0 and answer.json["limits"]["pending"] == 2
    assert remora.call("PATCH", UPSTREAMS + "/app", {"limits": None}).json["limits"] is None
    assert remora.servers("app") == before
    assert remora.call("PATCH", UPSTREAMS + "/app", {"servers": []}).json["servers"] == []
    problem(remora.call("PATCH", UPSTREAMS + "/nope", {}), 404, "UpstreamNotFound")
    problem(remora.call("PATCH", UPSTREAMS + "/app", {"x": 1}), 400, "UpstreamConfFormatError")


def test_patch_server(remora):
    first, second = remora.servers("app")
    path = UPSTREAMS + "/app/servers/"
    answer = remora.call("PATCH", path + str(first["id"]), {"weight": 7, "max_conns": 3})
    assert answer.status == 200 and list(answer.json) == ["revision", "applied", "server"]
    assert answer.json["server"] == dict(first, weight=7, max_conns=3)
    assert remora.get(path + str(first["id"])).json["weight"] == 7
    answer = remora.call("PATCH", path + first["server"], {"weight": None, "down": True})
    assert answer.json["server"] == dict(first, max_conns=3, down=True)
    answer = remora.call("PATCH", path + "127.0.0.1%3A8001", {"down": None, "max_conns": None})
    assert answer.json["server"] == first
    assert remora.call("PATCH", path + str(first["id"]), {"drain": True}).json["server"]["drain"]
    assert remora.servers("app")[1] == second
    assert remora.get(path + second["server"]).json["id"] == second["id"]


@pytest.mark.parametrize("body, status, code", [
    ({"weight": 0}, 400, "UpstreamBadWeight"),
    ({"weight": "1"}, 400, "UpstreamConfFormatError"),
    ({"server": None}, 400, "UpstreamConfFormatError"),
    ({"backup": True}, 400, "UpstreamConfFormatError"),
    ({"server": "127.0.0.1:8002"}, 409, "EntryExists"),
    ({"x": None}, 400, "UpstreamConfFormatError"),
    ([], 400, "UpstreamConfFormatError"),
    ({"down": True, "drain": True}, 400, "UpstreamConfFormatError"),
])
def test_patch_server_refused(remora, body, status, code):
    before, revision = state(remora), remora.revision()
    path = UPSTREAMS + "/app/servers/127.0.0.1:8001"
    problem(remora.call("PATCH", path, body), status, code)
    assert state(remora) == before and remora.revision() == revision


def test_servers_one_by_one(remora):
    path = UPSTREAMS + "/app/servers"
    answer = remora.call("POST", path, {"server": "127.0.0.1:9000", "backup": True})
    assert answer.status == 201, answer
    added = answer.json["server"]
    assert remora.servers("app")[-1] == added
    problem(remora.call("POST", path, {"server": "127.0.0.1:9000"}), 409, "EntryExists")
    problem(remora.call("POST", path, {"server": "127.0.0.1:9001", "id": 3}), 400, "UpstreamConfFormatError")
    problem(remora.call("POST", UPSTREAMS + "/nope/servers", {"server": "127.0.0.1:1"}), 404, "UpstreamNotFound")
    answer = remora.call("DELETE", "%s/%d" % (path, added["id"]))
    assert answer.status == 200 and list(answer.json) == ["revision", "applied"]
    assert len(remora.servers("app")) == 2
    for server in ("999", "127.0.0.1:9000", "x", "-1", "4294967295", "4294967296"):
        for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
            problem(remora.call(method, path + "/" + server, body), 404, "UpstreamServerNotFound")


def test_minimal(remora):
    path = UPSTREAMS + "/app/servers"
    for method, at, body in (
            ("PATCH", path + "/127.0.0.1:8001?return=minimal", {"weight": 2}),
            ("PUT", path + "?return=minimal", []),
            ("PUT", UPSTREAMS + "/app?return=minimal", {"servers": []}),
            ("POST", "/v1/transactions?return=minimal", {"upstreams": {"app": []}})):
        assert list(remora.call(method, at, body).json) == ["revision", "applied"]


# ---- transactions ----

def test_transaction_of_upstreams(remora):
    revision = remora.revision()
    answer = remora.call("POST", "/v1/transactions", {"operations": [
        {"op": "create_upstream", "upstream": "one", "value": {"servers": [{"server": "127.0.0.1:1"}]}},
        {"op": "add", "upstream": "one", "server": {"server": "127.0.0.1:2"}},
        {"op": "put_upstream", "upstream": "two", "value": {"servers": [], "method": "random"}},
        {"op": "patch_upstream", "upstream": "app", "value": {"limits": {"requests": 4}}},
        {"op": "create_upstream", "upstream": "three", "value": {}},
        {"op": "delete_upstream", "upstream": "three"},
    ]})
    assert answer.status == 200, answer
    body = answer.json
    assert body["revision"] == revision + 1
    assert addresses(body["upstreams"]["one"]["servers"]) == ["127.0.0.1:1", "127.0.0.1:2"]
    assert body["upstreams"]["two"]["method"] == "random"
    assert body["upstreams"]["app"]["limits"]["requests"] == 4
    assert "three" not in body["upstreams"]
    answer = remora.call("POST", "/v1/transactions", {"operations": [
        {"op": "delete_upstream", "upstream": "one"}, {"op": "delete_upstream", "upstream": "two"},
        {"op": "patch_upstream", "upstream": "app", "value": {"limits": None}}]})
    assert answer.status == 200 and answer.json["upstreams"]["one"] is None


@pytest.mark.parametrize("operation, status, code", [
    ({"op": "delete_upstream", "upstream": "app"}, 409, "UpstreamConfigured"),
    ({"op": "delete_upstream", "upstream": "nope"}, 404, "UpstreamNotFound"),
    ({"op": "delete_upstream", "upstream": "blue", "value": {}}, 400, "UpstreamConfFormatError"),
    ({"op": "create_upstream", "upstream": "app", "value": {}}, 409, "EntryExists"),
    ({"op": "create_upstream", "upstream": "NO", "value": {}}, 400, "UpstreamConfFormatError"),
    ({"op": "create_upstream", "upstream": "new"}, 400, "UpstreamConfFormatError"),
    ({"op": "create_upstream", "value": {}}, 400, "UpstreamConfFormatError"),
    ({"op": "patch_upstream", "upstream": "nope", "value": {}}, 404, "UpstreamNotFound"),
    ({"op": "put_upstream", "upstream": "app", "value": {}}, 400, "UpstreamConfFormatError"),
])
def test_transaction_refused(blue, operation, status, code):
    before, revision = state(blue), blue.revision()
    answer = blue.call("POST", "/v1/transactions", {"operations": [
        {"op": "create_upstream", "upstream": "first", "value": {}},
        {"op": "add", "upstream": "blue", "server": {"server": "127.0.0.1:7009"}},
        {"op": "delete_upstream", "upstream": "first"}, operation]})
    problem(answer, status, code)
    assert answer.json["detail"].startswith("operation 3: ")
    assert state(blue) == before and blue.revision() == revision


# ---- dry runs ----

@pytest.mark.parametrize("method, path, body, change", [
    ("PUT", "/app/servers", [{"server": "127.0.0.1:8002"}, {"server": "127.0.0.1:8003"}],
     lambda d: d["app"]["servers"]["added"][0]["server"] == "127.0.0.1:8003"),
    ("PATCH", "/app/servers/127.0.0.1:8001", {"weight": 2},
     lambda d: d["app"]["servers"]["changed"][0]["after"] == {"weight": 2}),
    ("POST", "/app/servers", {"server": "127.0.0.1:8003"},
     lambda d: len(d["app"]["servers"]["added"]) == 1),
    ("DELETE", "/app/servers/127.0.0.1:8001", None,
     lambda d: d["app"]["servers"]["removed"][0]["at"] == 0),
    ("PATCH", "/app", {"method": "random"},
     lambda d: d["app"] == {"change": "changed", "before": {"method": "round_robin"},
                            "after": {"method": "random"}}),
    ("PUT", "/new", {"servers": []}, lambda d: d["new"]["change"] == "added"),
    ("DELETE", "/blue", None, lambda d: d["blue"]["change"] == "removed"),
])
def test_dry_run(blue, method, path, body, change):
    before, revision = state(blue), blue.revision()
    answer = blue.call(method, UPSTREAMS + path + "?dry_run=true", body)
    assert answer.status == 200, answer
    assert answer.json["dry_run"] is True and answer.json["revision"] == revision
    assert change(answer.json["upstreams"]), answer.json
    assert state(blue) == before and blue.revision() == revision


def test_dry_run_of_nonsense(remora):
    problem(remora.call("PUT", UPSTREAMS + "/app/servers?dry_run=true", [{"server": "x"}]), 400,
            "UpstreamConfNoResolver")
    problem(remora.call("PUT", UPSTREAMS + "/app/servers?dry_run=perhaps", []), 400,
            "UpstreamConfFormatError")
    answer = remora.call("POST", "/v1/transactions?dry_run=1", {"operations": []})
    assert answer.json["upstreams"] == {}
    revision = remora.revision()
    assert remora.call("POST", "/v1/transactions?dry_run=false", {"operations": []}).status == 200
    assert remora.call("PUT", UPSTREAMS + "/app/servers?dry_run=0", []).json["revision"] == revision + 1


# ---- preconditions ----

@pytest.mark.parametrize("method, path, body", [
    ("PUT", "/app", {"servers": []}), ("PATCH", "/app", {}), ("PUT", "/app/servers", []),
    ("POST", "/app/servers", {"server": "127.0.0.1:4"}), ("DELETE", "/blue", None),
    ("PATCH", "/app/servers/127.0.0.1:8001", {"weight": 5}), ("POST", "", {"name": "green2"}),
    ("DELETE", "/app/servers/127.0.0.1:8001", None)])
def test_if_match(blue, method, path, body):
    revision = blue.revision()
    answer = blue.call(method, UPSTREAMS + path, body, [("If-Match", '"%d"' % (revision - 1))])
    assert problem(answer, 412, "RevisionMismatch")["revision"] == revision
    assert blue.revision() == revision
    answer = blue.call(method, UPSTREAMS + path, body, [("If-Match", '"%d"' % revision)])
    assert answer.status in (200, 201), answer
    blue.call("DELETE", UPSTREAMS + "/green2")


def test_if_none_match(remora):
    for path in (UPSTREAMS, UPSTREAMS + "/app", UPSTREAMS + "/app/servers", "/v1/history",
                 UPSTREAMS + "/app/servers/127.0.0.1:8001"):
        answer = remora.get(path)
        tag = answer.headers["etag"]
        assert tag == '"%d"' % remora.revision()
        for value in (tag, "W/" + tag, '"0", ' + tag, "*"):
            answer = remora.get(path, [("If-None-Match", value)])
            assert answer.status == 304 and answer.body == b"" and answer.headers["etag"] == tag
            assert "content-length" not in answer.headers
        for value in ('"0"', '"abc"', ""):
            assert remora.get(path, [("If-None-Match", value)]).status == 200
    remora.call("PUT", UPSTREAMS + "/app/servers", [])
    assert remora.get(UPSTREAMS, [("If-None-Match", tag)]).status == 200
    with remora.connect() as c:
        assert c.request("GET", UPSTREAMS, headers=[("If-None-Match", "*")]).status == 304
        assert c.request("GET", "/v1/revision").status == 200, "the connection goes on"
    for path, status in (("/nope", 404), ("/nope/servers", 404), ("/app/servers/99", 404)):
        assert remora.get(UPSTREAMS + path, [("If-None-Match", "*")]).status == status
    assert remora.get("/v1/history?limit=0", [("If-None-Match", "*")]).status == 400


def test_tags_in_several_lines(remora):
    now = '"%d"' % remora.revision()
    for field, status in (("If-None-Match", 304), ("If-Match", 200)):
        assert remora.get(UPSTREAMS, [(field, '"0"'), (field, now)]).status == status
    servers = UPSTREAMS + "/app/servers"
    assert remora.call("PUT", servers, [], [("If-None-Match", '"0"'), ("If-None-Match", now)]).status == 412
    assert remora.call("PUT", servers, [], [("If-Match", '"0"'), ("If-Match", now)]).status == 200


def test_only_what_is_new(blue):
    """If-None-Match: *"""
    star = [("If-None-Match", "*")]
    revision = blue.revision()
    for query in ("", "?dry_run=true"):
        for method, path, body in (("PUT", "/app", {"servers": []}), ("PATCH", "/app", {}), ("PUT", "/app/servers", []),
                                   ("PATCH", "/app/servers/127.0.0.1:8001", {}), ("DELETE", "/blue", None),
                                   ("DELETE", "/app/servers/127.0.0.1:8001", None)):
            problem(blue.call(method, UPSTREAMS + path + query, body, star), 412, "RevisionMismatch")
    problem(blue.call("PUT", UPSTREAMS + "/app/servers", {}, star), 400, "UpstreamConfFormatError")
    problem(blue.call("PUT", UPSTREAMS + "/nope/servers", [], star), 404, "UpstreamNotFound")
    assert blue.revision() == revision
    assert blue.call("POST", UPSTREAMS + "/app/servers", {"server": "127.0.0.1:7009"}, star).status == 201


def test_nothing_new_is_no_revision(remora):
    """Controllers say again and again what there is."""
    servers = UPSTREAMS + "/app/servers"
    sets = [{"server": "127.0.0.1:7001", "weight": 2}, {"server": "127.0.0.1:7002", "route": "a", "fail_timeout": "3s"}]
    tag = remora.call("PUT", servers, sets).headers["etag"]
    whole = remora.get(UPSTREAMS + "/app").json
    for method, path, body in (("PUT", servers, sets), ("PATCH", UPSTREAMS + "/app", {"servers": sets}),
                               ("PATCH", servers + "/127.0.0.1:7001", {"weight": 2, "down": None, "drain": False}),
                               ("PATCH", servers + "/127.0.0.1:7001", {}),
                               ("POST", "/v1/transactions", {"upstreams": {"app": sets}})):
        answer = remora.call(method, path, body)
        assert answer.status == 200 and answer.json["applied"] is True, answer
        assert answer.headers["etag"] == tag, (method, path)
        dry = remora.call(method, path + "?dry_run=true", body).json
        assert dry["upstreams"] == {}, (method, path)
    assert state(remora) == state(remora) and remora.get(UPSTREAMS + "/app").json["servers"] == whole["servers"]
    for other in (sets[::-1], [dict(sets[0], weight=3), sets[1]], [sets[0], dict(sets[1], fail_timeout="3000ms")], sets[:1],
                  sets + [{"server": "127.0.0.1:7003"}]):
        assert remora.call("PUT", servers, other).headers["etag"] != tag
        tag = remora.call("PUT", servers, sets).headers["etag"]


def test_unknown_arguments_of_writes(remora):
    """A misspelt dry_run does nothing, least of all what was only to be shown."""
    before, revision = state(remora), remora.revision()
    for query in ("?dryrun=true", "?dry_run=true&force", "?Dry_run=true", "?x=1&return=minimal"):
        for method, path, body in (("PUT", UPSTREAMS + "/app/servers", []), ("POST", UPSTREAMS, {"name": "new"}),
                                   ("POST", "/v1/transactions", {"operations": []}), ("POST", "/v1/rollback/1", None),
                                   ("POST", "/v1/drain", None), ("POST", "/v1/shutdown", None)):
            problem(remora.call(method, path + query, body), 400, "BadRequest")
    assert state(remora) == before and remora.revision() == revision
    assert remora.call("PUT", UPSTREAMS + "/app/servers?&dry_run=true&", []).json["dry_run"] is True
    assert remora.get(UPSTREAMS + "?fresh=1").status == 200


def test_read_only(readonly):
    for method, path in (("PUT", "/app"), ("PATCH", "/app"), ("DELETE", "/app"), ("POST", ""),
                         ("PATCH", "/app/servers/0"), ("DELETE", "/app/servers/0")):
        problem(readonly.call(method, UPSTREAMS + path, {}), 405, "MethodDisabled")
    problem(readonly.call("POST", "/v1/rollback/1"), 405, "MethodDisabled")


# ---- what the data plane makes of it ----

def test_requests_find_them(remora, backend):
    """`proxy_pass http://$name` finds an upstream that was made a moment ago, without a resolver."""
    one, two = backend(ok("one")), backend(ok("two"))
    assert web(remora, "/by-name?to=blue").status == 502
    for b in (one, two):
        body = {"servers": [{"server": b.addr}]}
        assert remora.call("PUT", UPSTREAMS + "/blue", body).json["applied"] is True
        for _ in range(4):
            answer = web(remora, "/by-name?to=blue")
            assert (answer.status, answer.body) == (200, b.answer.split(b"\r\n\r\n")[1])
    assert remora.get(UPSTREAMS + "/blue").json["requests"] >= 4
    assert remora.call("DELETE", UPSTREAMS + "/blue").json["applied"] is True
    assert web(remora, "/by-name?to=blue").status == 502
    assert web(remora, "/by-name?to=blue").status == 502


def test_they_outlive_a_reload(remora, backend):
    b = backend(ok("here"))
    remora.call("PUT", UPSTREAMS + "/kept", {"method": "least_conn", "servers": [{"server": b.addr}]})
    before = remora.get(UPSTREAMS + "/kept").json
    remora.reload()
    after = wait_for(lambda: settled(remora, UPSTREAMS + "/kept"), what="the agent")
    assert [after[k] for k in ("name", "method", "runtime")] == ["kept", "least_conn", True]
    assert after["servers"][0]["id"] == before["servers"][0]["id"]
    assert web(remora, "/by-name?to=kept").body == b"here"
    assert remora.call("DELETE", UPSTREAMS + "/kept").status == 200


def settled(remora, path):
    try:
        answer = remora.get(path)
    except OSError:
        return None
    return answer.json if answer.status == 200 else None


def web(remora, path):
    return remora.call("GET", path, address=("127.0.0.1", remora.port("web")))
