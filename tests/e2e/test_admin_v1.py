# SPDX-License-Identifier: Apache-2.0
"""remora's own API: whole sets, transactions, revisions."""
import threading

import pytest

from admin_client import instance, readonly, remora  # noqa: F401 (fixtures)

SERVERS = "/v1/http/upstreams/app/servers"


def problem(answer, status, code):
    """The answer is this problem, in the shape of RFC 9457."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json
    assert list(body)[:5] == ["type", "title", "status", "detail", "code"]
    assert body["status"] == status and body["code"] == code, answer
    assert body["type"] == "urn:remora:problem:" + code
    assert body["title"] and body["detail"]
    return body


def addresses(servers):
    return [s["server"] for s in servers]


def test_put_replaces_the_set(remora):
    before = remora.servers("app")
    revision = remora.revision()
    answer = remora.call("PUT", SERVERS, [{"server": "127.0.0.1:8002"},
                                          {"server": "127.0.0.1:8003", "weight": 5}])
    assert answer.status == 200
    body = answer.json
    assert list(body) == ["revision", "applied", "servers"]
    assert body["revision"] == revision + 1 and body["applied"] is True
    assert answer.headers["etag"] == '"%d"' % body["revision"]
    assert addresses(body["servers"]) == ["127.0.0.1:8002", "127.0.0.1:8003"]
    assert body["servers"][0]["id"] == before[1]["id"], "kept by address"
    assert body["servers"][0]["weight"] == 1, "members not given are the defaults"
    assert body["servers"][1]["id"] not in [s["id"] for s in before]
    assert remora.servers("app") == body["servers"]


def test_put_takes_what_get_gives(remora):
    before = remora.get(SERVERS)
    answer = remora.call("PUT", SERVERS, before.body)
    assert answer.status == 200 and answer.json["servers"] == before.json


def test_put_nothing(remora):
    assert remora.call("PUT", SERVERS, []).json["servers"] == []
    assert remora.servers("app") == []


def test_static_upstreams_too(remora):
    answer = remora.call("PUT", "/v1/http/upstreams/fixed/servers", [{"server": "127.0.0.1:9"}])
    assert answer.status == 200
    assert addresses(remora.servers("fixed")) == ["127.0.0.1:9"]


@pytest.mark.parametrize("body, code", [
    ([{"server": "127.0.0.1:1"}, {"server": "127.0.0.1:2", "weight": 0}], "UpstreamBadWeight"),
    ([{"server": "127.0.0.1:1"}, {"server": "name"}], "UpstreamConfNoResolver"),
    ([{"server": "127.0.0.1:1"}, {"weight": 1}], "UpstreamConfFormatError"),
    ([{"server": "127.0.0.1:1", "colour": 1}], "UpstreamConfFormatError"),
    ([{"server": "127.0.0.1:1", "id": "x"}], "UpstreamConfFormatError"),
    (["127.0.0.1:1"], "UpstreamConfFormatError"),
    ([None], "UpstreamConfFormatError"),
    ([[]], "UpstreamConfFormatError"),
    ({}, "UpstreamConfFormatError"),
    ({"servers": []}, "UpstreamConfFormatError"),
    ("", "JsonError"),
    ("[", "JsonError"),
    ("[1e999999999]", "JsonError"),
    ('[{"server":"127.0.0.1:1","server":"127.0.0.1:2"}]', "JsonError"),
    ('[{"server":"127.0.0.1:1\\u0000"}]', "JsonError"),
    (b'[{"server":"127.0.0.1:1"}]\x00', "JsonError"),
    ("[" * 5000 + "]" * 5000, "JsonError"),
    ("null", "JsonError"),
    # they would be lines of their own in the error log, and fields of their own in answers
    ([{"server": "unix:/tmp/x\n2026/11/20 03:47:30 [emerg] 1#1: forged"}], "UpstreamBadAddress"),
    ([{"server": "unix:/tmp/\x1b[31m"}], "UpstreamBadAddress"),
    ([{"server": "127.0.0.1:1", "route": "a\r\nSet-Cookie: b=c"}], "UpstreamBadRoute"),
    ([{"server": "127.0.0.1:1", "route": "a\x7f"}], "UpstreamBadRoute"),
])
def test_put_refused(remora, body, code):
    before, revision = remora.servers("app"), remora.revision()
    problem(remora.call("PUT", SERVERS, body), 400, code)
    assert remora.servers("app") == before and remora.revision() == revision


def test_duplicates(remora):
    problem(remora.call("PUT", SERVERS, [{"server": "127.0.0.1"}, {"server": "127.0.0.1:80"}]),
            409, "EntryExists")


@pytest.mark.parametrize("body", [
    "[" + "[]," * 300000 + "[]]",
    "[" + "1," * 3500000 + "1]",
])
def test_bodies_that_would_swell(remora, body):
    problem(remora.call("PUT", SERVERS, body), 413, "RequestTooLarge")


def test_unknown_upstream(remora):
    for method, path, body in (("GET", "", None), ("GET", "/servers", None),
                               ("PUT", "/servers", [])):
        problem(remora.call(method, "/v1/http/upstreams/nope" + path, body), 404,
                "UpstreamNotFound")


def test_paths(remora):
    for path in ("/v1", "/v2/revision", "/v1/http", "/favicon.ico", "/apix", "/v1/revision/1"):
        problem(remora.get(path), 404, "PathNotFound")
    for path in ("/v1/http/upstreams", "/v1/http/upstreams/", "/v1/revision/"):
        assert remora.get(path).status == 200


def test_methods(remora, readonly):
    answer = remora.call("DELETE", SERVERS)
    problem(answer, 405, "MethodDisabled")
    assert answer.headers["allow"] == "GET, HEAD, POST, PUT"
    problem(remora.get("/v1/transactions"), 405, "MethodDisabled")
    for method, path in (("PUT", SERVERS), ("POST", "/v1/transactions")):
        problem(readonly.call(method, path, []), 405, "MethodDisabled")
    assert readonly.get(SERVERS).headers["etag"] == '"%d"' % readonly.revision()


# ---- If-Match ----

def test_if_match(remora):
    tag = remora.get(SERVERS).headers["etag"]
    answer = remora.call("PUT", SERVERS, [], [("If-Match", tag)])
    assert answer.status == 200
    answer = remora.call("PUT", SERVERS, [{"server": "127.0.0.1:1"}], [("If-Match", tag)])
    body = problem(answer, 412, "RevisionMismatch")
    assert body["revision"] == remora.revision()
    assert answer.headers["etag"] == '"%d"' % body["revision"]
    assert remora.servers("app") == []


@pytest.mark.parametrize("value, status", [
    ("*", 200), ('"0", "{now}"', 200), ("{now}", 200), ('W/"{now}"', 412), ('"999999"', 412),
    ("banana", 400), ('"-1"', 400), ('""', 400),
])
def test_if_match_forms(remora, value, status):
    value = value.replace("{now}", str(remora.revision()))
    body = {"operations": []}
    answer = remora.call("POST", "/v1/transactions", body, [("If-Match", value)])
    assert answer.status == status, answer


def test_one_of_many_writers_wins(remora):
    tag = remora.get(SERVERS).headers["etag"]
    statuses = []

    def write(n):
        answer = remora.call("PUT", SERVERS, [{"server": "127.0.0.1:%d" % n}], [("If-Match", tag)])
        statuses.append((answer.status, n))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(1, 17)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(s for s, _ in statuses) == [200] + [412] * 15
    winner = [n for s, n in statuses if s == 200]
    assert addresses(remora.servers("app")) == ["127.0.0.1:%d" % winner[0]]


# ---- transactions ----

def test_transaction(remora):
    kept = remora.servers("app")[0]
    revision = remora.revision()
    answer = remora.call("POST", "/v1/transactions", {
        "upstreams": {"empty": [{"server": "127.0.0.1:5"}]},
        "operations": [
            {"op": "add", "upstream": "app", "server": {"server": "127.0.0.1:6", "weight": 4}},
            {"op": "update", "upstream": "app", "id": kept["id"], "server": {"drain": True}},
            {"op": "remove", "upstream": "app", "address": "127.0.0.1:8002"},
            {"op": "update", "upstream": "app", "address": "127.0.0.1:6", "server": {"max_fails": 2}},
            {"op": "replace", "upstream": "fixed", "servers": [{"server": "127.0.0.1:7"}]},
            {"op": "add", "upstream": "empty", "server": {"server": "unix:/tmp/x"}},
        ]})
    assert answer.status == 200, answer
    body = answer.json
    assert list(body) == ["revision", "applied", "upstreams"]
    assert body["revision"] == revision + 1 and body["applied"] is True
    for name in ("app", "fixed", "empty"):
        assert body["upstreams"][name]["servers"] == remora.servers(name)
    app = remora.servers("app")
    assert addresses(app) == ["127.0.0.1:8001", "127.0.0.1:6"]
    assert app[0]["id"] == kept["id"] and app[0]["drain"] is True
    assert app[1]["weight"] == 4 and app[1]["max_fails"] == 2
    assert addresses(remora.servers("fixed")) == ["127.0.0.1:7"]
    assert addresses(remora.servers("empty")) == ["127.0.0.1:5", "unix:/tmp/x"]


FIRST = {"op": "replace", "upstream": "fixed", "servers": []}


@pytest.mark.parametrize("operation, status, code", [
    ({"op": "add", "upstream": "nope", "server": {"server": "127.0.0.1:1"}}, 404, "UpstreamNotFound"),
    ({"op": "add", "upstream": "app", "server": {"server": "127.0.0.1:8001"}}, 409, "EntryExists"),
    ({"op": "add", "upstream": "app", "server": {"server": "127.0.0.1:1", "id": 9}}, 400,
     "UpstreamConfFormatError"),
    ({"op": "add", "upstream": "app", "server": {"weight": 2}}, 400, "UpstreamConfFormatError"),
    ({"op": "add", "upstream": "app"}, 400, "UpstreamConfFormatError"),
    ({"op": "update", "upstream": "app", "id": 999, "server": {}}, 404, "UpstreamServerNotFound"),
    ({"op": "update", "upstream": "app", "server": {}}, 400, "UpstreamConfFormatError"),
    ({"op": "update", "upstream": "app", "id": "0", "server": {}}, 400, "UpstreamBadServerId"),
    ({"op": "update", "upstream": "app", "address": 5, "server": {}}, 400, "UpstreamConfFormatError"),
    ({"op": "update", "upstream": "app", "address": "127.0.0.1:8001"}, 400, "UpstreamConfFormatError"),
    ({"op": "update", "upstream": "app", "address": "127.0.0.1:8001",
      "server": {"weight": 0}}, 400, "UpstreamBadWeight"),
    ({"op": "update", "upstream": "app", "address": "127.0.0.1:8001", "id": 1, "server": {}}, 400,
     "UpstreamConfFormatError"),
    ({"op": "remove", "upstream": "app", "address": "127.0.0.1:1"}, 404, "UpstreamServerNotFound"),
    ({"op": "remove", "upstream": "app"}, 400, "UpstreamConfFormatError"),
    ({"op": "remove", "upstream": "app", "id": -1}, 404, "UpstreamServerNotFound"),
    ({"op": "replace", "upstream": "app"}, 400, "UpstreamConfFormatError"),
    ({"op": "replace", "upstream": "app", "servers": {}}, 400, "UpstreamConfFormatError"),
    ({"op": "destroy", "upstream": "app"}, 400, "UpstreamConfFormatError"),
    ({"op": "add", "upstream": "app", "servers": []}, 400, "UpstreamConfFormatError"),
    ({"op": "add", "upstream": 5}, 400, "UpstreamConfFormatError"),
    ({"upstream": "app"}, 400, "UpstreamConfFormatError"),
    ("add", 400, "UpstreamConfFormatError"),
    (None, 400, "UpstreamConfFormatError"),
])
def test_all_or_nothing(remora, operation, status, code):
    before = [remora.servers(name) for name in ("app", "fixed", "empty")]
    revision = remora.revision()
    answer = remora.call("POST", "/v1/transactions", {
        "upstreams": {"empty": [{"server": "127.0.0.1:5"}]}, "operations": [FIRST, operation]})
    problem(answer, status, code)
    assert [remora.servers(name) for name in ("app", "fixed", "empty")] == before
    assert remora.revision() == revision


@pytest.mark.parametrize("body", [
    {}, [], {"operation": []}, {"operations": {}}, {"upstreams": []}, {"operations": [], "x": 1},
    {"upstreams": {"app": {}}}, {"upstreams": {"app": None}},
])
def test_bad_transactions(remora, body):
    problem(remora.call("POST", "/v1/transactions", body), 400, "UpstreamConfFormatError")


def test_a_large_transaction(remora):
    adds = [{"op": "add", "upstream": "empty",
             "server": {"server": "10.0.%d.%d:80" % (n // 250, n % 250)}} for n in range(3000)]
    answer = remora.call("POST", "/v1/transactions", {"operations": adds})
    assert answer.status == 200 and answer.json["applied"] is True
    assert len(remora.servers("empty")) == 3000


# ---- what there is ----

def test_upstreams(remora):
    body = remora.get("/v1/http/upstreams").json
    assert [u["name"] for u in body["upstreams"]] == ["app", "fixed", "empty"]
    assert [u["static"] for u in body["upstreams"]] == [False, True, False]
    assert [u["zone"] for u in body["upstreams"]] == ["app", None, "e"]
    one = remora.get("/v1/http/upstreams/app").json
    assert one["revision"] == body["revision"]
    assert [s["state"] for s in one["servers"]] == ["up", "up"]


def test_revision(remora):
    body = remora.get("/v1/revision").json
    assert list(body) == ["revision", "epoch", "agent_pid", "workers"]
    assert len(body["workers"]) == 2
    for worker in body["workers"]:
        assert list(worker) == ["slot", "pid", "generation", "revision", "idle"]
        assert worker["revision"] == body["revision"], "idle workers are up to date"


def test_status(remora):
    body = remora.get("/v1/status").json
    assert body["write"] is True and body["draining"] is False
    assert body["memory"]["used"] <= body["memory"]["size"]
    assert len(body["workers"]) == 2


def test_writers_in_one_turn(remora):
    """Changes sent at the same time are all made, whichever of them share a publish."""
    failed = []

    def add(n):
        answer = remora.call("POST", "/api/9/http/upstreams/empty/servers",
                             {"server": "127.0.1.%d:80" % n})
        if answer.status != 201:
            failed.append(answer)

    threads = [threading.Thread(target=add, args=(n,)) for n in range(1, 41)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed
    servers = remora.servers("empty")
    assert sorted(addresses(servers)) == sorted("127.0.1.%d:80" % n for n in range(1, 41))
    assert len({s["id"] for s in servers}) == 40


def test_probes(remora):
    for path in ("/livez", "/readyz", "/startupz"):
        answer = remora.get(path)
        assert (answer.status, answer.body) == (200, b"ok\n")
        assert answer.headers["content-type"].startswith("text/plain")
        body = remora.get(path + "?verbose").json
        assert body["status"] == "ok" and all(body["checks"].values())
