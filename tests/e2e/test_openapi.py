# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document is true: a tour through the whole of remora's own API, in which every request that
succeeds and every answer is held against it.  That the document has every route of the program, and no other,
is tests/unit/api/openapi_test.c."""
import contextlib
import json
import os
import re
import signal
import subprocess

import jsonschema
import pytest

import conftest
from admin_client import Connection
from conftest import ROOT, ok, wait_for
from test_admin_events import Events

with open(ROOT + "/api/openapi.json", encoding="utf-8") as f:
    DOCUMENT = json.load(f)
OWN = {path: item for path, item in DOCUMENT["paths"].items() if not path.startswith("/api")}
METHODS = ("get", "put", "post", "patch", "delete")
RESOLVER = jsonschema.RefResolver.from_schema(DOCUMENT)

CONF = """
worker_processes 2;
admin {
    listen unix:@DIR@/admin.sock;
    write on;
}
http {
    access_log off;
    keyval_zone zone=kv:32k;
    keyval $arg_k $kept zone=kv;
    split_clients $arg_who $variant { 90%% v1; * v2; }
    upstream app {
        zone app 64k;
        server %s;
        server 127.0.0.1:@PORT:dead@ backup max_fails=0;
    }
    upstream fixed { server 127.0.0.1:1; }
    server {
        listen 127.0.0.1:@PORT:web@;
        status_zone sz;
        location / { proxy_pass http://app; add_header X-Variant $variant; add_header X-Kept $kept; }
    }
}
"""


def resolve(node):
    while "$ref" in node and len(node) == 1:
        node = RESOLVER.resolve(node["$ref"])[1]
    return node


def check(value, schema, what):
    errors = list(jsonschema.Draft202012Validator(schema, resolver=RESOLVER).iter_errors(value))
    assert not errors, "%s: %s\n%s" % (what, errors[0].message[:1500], json.dumps(value)[:1500])


def operation_of(method, path):
    plain = path.split("?")[0]
    for template, item in OWN.items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), plain) and method.lower() in item:
            return template, item[method.lower()]
    raise AssertionError("not in the document: %s %s" % (method, path))


class Tour:
    def __init__(self, remora):
        self.remora = remora
        self.seen = set()   # (path, method, status)

    def ask(self, method, path, body=None, headers=(), status=200):
        with Connection(self.remora.dir + "/admin.sock") as c:
            answer = c.request(method, path, body, list(headers))
        assert answer.status == status, (method, path, answer)
        template, operation = operation_of(method, path)
        self.seen.add((template, method.lower(), status if status < 400 else "default"))
        if body is not None and status < 400:
            self.check_request(operation, method, path, body, dict(headers).get("Content-Type", "application/json"))
        self.check_answer(operation, method, path, answer)
        return answer

    @staticmethod
    def check_request(operation, method, path, body, kind):
        content = resolve(operation["requestBody"])["content"]
        assert kind in content, (method, path, kind)
        check(body, content[kind]["schema"], "%s %s, request" % (method, path))

    @staticmethod
    def check_answer(operation, method, path, answer):
        what = "%s %s, %d" % (method, path, answer.status)
        responses = operation["responses"]
        response = resolve(responses.get(str(answer.status)) or responses["default"])
        for name in response.get("headers", {}):
            assert name.lower() in answer.headers or "dry_run" in path, what
        if "content" not in response:
            assert answer.body == b"", what
            return
        kind = answer.headers["content-type"]
        assert kind in response["content"], (what, kind)
        if "json" in kind:
            check(answer.json, response["content"][kind]["schema"], what)

    def check_event(self, data):
        template, operation = operation_of("GET", "/v1/events")
        self.seen.add((template, "get", 200))
        check(data, operation["responses"]["200"]["content"]["text/event-stream"]["schema"], "an event")


@contextlib.contextmanager
def a_tour():
    backend = conftest.Backend(ok(b"fine"))
    remora = conftest.Remora(CONF % backend.addr, allow=["exited on signal 9"])
    wait_for(lambda: remora.admin("GET", "/readyz").status == 200, what="readiness")
    try:
        yield Tour(remora)
    finally:
        remora.stop()
        backend.stop()


@pytest.fixture(scope="module")
def tour():
    with a_tour() as t:
        yield t


UP = "/v1/http/upstreams"
SERVERS = [{"server": "127.0.0.1:7001"}, {"server": "127.0.0.1:7002", "weight": 3, "backup": True, "slow_start": "1m 30s"},
           {"server": "unix:/tmp/x", "down": True, "route": "a"}]
WHOLE = {"method": "least_time last_byte inflight", "keepalive": {"connections": 4, "timeout": "1500ms"},
         "limits": {"requests": 8}, "outlier_detection": {"consecutive_gateway_failure": 3}, "servers": SERVERS}
MERGE = [("Content-Type", "application/merge-patch+json")]


def visit_upstreams(tour):
    for query, status in (("?dry_run=true", 200), ("", 201)):
        tour.ask("POST", UP + query, dict(WHOLE, name="made"), status=status)
    tour.ask("POST", UP + "?return=minimal", {"name": "other"}, status=201)
    tour.ask("PUT", UP + "/third", {"servers": []}, [("If-None-Match", "*")], status=201)
    for query in ("", "?dry_run=true", "?return=minimal", "?dry_run=true&return=minimal"):
        tour.ask("PUT", UP + "/made" + query, WHOLE)
        tour.ask("PATCH", UP + "/made" + query, {"method": None, "limits": None}, MERGE)
        tour.ask("PATCH", UP + "/made" + query, {"method": "least_conn", "keepalive": {"requests": None}})
        tour.ask("PUT", UP + "/made/servers" + query, SERVERS)
        tour.ask("PATCH", UP + "/made/servers/127.0.0.1:7001" + query, {"drain": True, "weight": None}, MERGE)
    for path in (UP, UP + "/made", UP + "/app", UP + "/fixed", UP + "/made/servers", UP + "/made/servers/127.0.0.1:7001"):
        answer = tour.ask("GET", path)
        tour.ask("GET", path, headers=[("If-None-Match", answer.headers["etag"])], status=304)
    tour.ask("PUT", UP + "/made", tour.ask("GET", UP + "/made").json)
    for query, status in (("?dry_run=true", 200), ("", 201), ("?return=minimal", 201)):
        tour.ask("POST", UP + "/made/servers" + query, {"server": "127.0.0.1:71%02d" % len(query), "max_conns": 1}, status=status)
    for query in ("?dry_run=true", ""):
        tour.ask("DELETE", UP + "/made/servers/127.0.0.1:7001" + query)
        tour.ask("DELETE", UP + "/third" + query)


def visit_tables(tour):
    tour.ask("GET", "/v1/http/splits")
    split = tour.ask("GET", "/v1/http/splits/variant").json
    for body in ({"v1": 50, "v2": "*"}, split["parts"], split, [{"value": "v1", "percent": 12.5}]):
        for query in ("?dry_run=true", ""):
            tour.ask("PUT", "/v1/http/splits/variant" + query, body)
    tour.ask("GET", "/v1/http/keyvals")
    for method in ("PATCH", "PUT"):
        for query in ("?dry_run=true", ""):
            tour.ask(method, "/v1/http/keyvals/kv" + query, {"a": "1", "b": {"value": "2", "expire": 100000}})
    tour.ask("PATCH", "/v1/http/keyvals/kv", {"a": None})
    tour.ask("GET", "/v1/http/keyvals/kv")
    tour.ask("GET", "/v1/http/keyvals/kv?key=b")


def visit_transactions(tour):
    body = {"upstreams": {"fixed": SERVERS[:1], "app": [{"server": "127.0.0.1:7003"}]}, "operations": [
        {"op": "replace", "upstream": "fixed", "servers": SERVERS[:2]},
        {"op": "add", "upstream": "fixed", "server": {"server": "127.0.0.1:7004"}},
        {"op": "update", "upstream": "fixed", "address": "127.0.0.1:7004", "server": {"weight": 3, "down": None}},
        {"op": "remove", "upstream": "fixed", "address": "127.0.0.1:7004"},
        {"op": "create_upstream", "upstream": "brief", "value": WHOLE},
        {"op": "patch_upstream", "upstream": "brief", "value": {"limits": None}},
        {"op": "put_upstream", "upstream": "brief", "value": {"servers": []}},
        {"op": "delete_upstream", "upstream": "made"},
        {"op": "put_split", "split": "variant", "value": {"v1": 1, "v2": "*"}},
        {"op": "patch_keyval", "keyval": "kv", "value": {"c": "3"}},
        {"op": "put_keyval", "keyval": "kv", "value": {"d": "4"}}]}
    revision = tour.ask("GET", "/v1/revision").json["revision"]
    for query in ("?dry_run=true", "", "?dry_run=true"):
        if query == "":
            tour.ask("POST", "/v1/transactions", body)
            body = {"operations": body["operations"][:4]}
        else:
            tour.ask("POST", "/v1/transactions" + query, body)
    tour.ask("POST", "/v1/transactions?return=minimal", {"operations": []})
    history = tour.ask("GET", "/v1/history")
    tour.ask("GET", "/v1/history", headers=[("If-None-Match", "*")], status=304)
    for record in history.json["history"]:
        tour.ask("GET", "/v1/history/%d" % record["revision"])
    for query in ("?dry_run=true", ""):
        tour.ask("POST", "/v1/rollback/%d%s" % (revision, query))
    tour.ask("POST", "/v1/rollback/1")


def visit_observing(tour):
    for _ in range(3):
        tour.remora.get("web", "/")
    for path in ("/", "/v1/overview", "/v1/revision", "/v1/state", "/v1/status", "/v1/drain", "/v1/openapi.json",
                 "/metrics", "/metrics?detail=server", "/livez", "/livez?verbose", "/readyz", "/readyz?verbose",
                 "/startupz", "/startupz?verbose"):
        tour.ask("GET", path)
    assert tour.ask("GET", "/v1/openapi.json").json == DOCUMENT


def visit_events(tour):
    r = tour.remora
    with Events(None, address=r.dir + "/admin.sock") as events:
        tour.ask("PUT", UP + "/app/servers", SERVERS)
        os.kill(r.workers()[0], signal.SIGKILL)
        kinds = set()
        while kinds != {"hello", "revision", "respawn"}:
            name, _, data = events.next()
            tour.check_event(data)
            kinds.add(name)
    with Events(None, last="1", address=r.dir + "/admin.sock") as events:
        for name in ("hello", "gap"):
            event = events.next()
            assert event[0] == name
            tour.check_event(event[2])
        r.reload()
    with Events(None, last=event[1], address=r.dir + "/admin.sock") as events:
        while event[0] != "reload":
            event = events.next()
            tour.check_event(event[2])


@pytest.mark.parametrize("method, path, body, status", [
    ("GET", UP + "/nope", None, 404), ("PUT", UP + "/app", {}, 400), ("POST", UP, {"name": "app"}, 409),
    ("DELETE", UP + "/app", None, 409), ("PATCH", UP + "/nope", {}, 404), ("GET", UP + "/nope/servers", None, 404),
    ("PUT", UP + "/app/servers", [{"server": "x"}], 400), ("POST", UP + "/app/servers", {}, 400),
    ("GET", UP + "/app/servers/999", None, 404), ("PATCH", UP + "/app/servers/999", {}, 404),
    ("DELETE", UP + "/app/servers/999", None, 404), ("POST", "/v1/transactions", {}, 400),
    ("GET", "/v1/history?limit=0", None, 400), ("GET", "/v1/history/99999", None, 404),
    ("POST", "/v1/rollback/99999", None, 404), ("GET", "/v1/events?after=x", None, 400),
    ("GET", "/v1/http/splits/nope", None, 404), ("PUT", "/v1/http/splits/variant", {}, 400),
    ("GET", "/v1/http/keyvals/nope", None, 404), ("PUT", "/v1/http/keyvals/kv", [], 400),
    ("PATCH", "/v1/http/keyvals/kv", {"a": 1}, 400), ("POST", "/v1/drain?timeout=x", None, 400),
    ("POST", "/v1/shutdown?x=1", None, 400)])
def test_problems(tour, method, path, body, status):
    tour.ask(method, path, body, status=status)
    if method != "GET" and "/drain" not in path and "/shutdown" not in path:
        tour.ask(method, path, body, [("If-Match", '"999999"')], status=412)


def test_a_tag_that_is_known_is_not_sent_again(tour):
    """Whatever has an ETag answers 304, and the document says so."""
    tagged = 0
    for template, item in OWN.items():
        path = re.sub(r"{\w+}", lambda m: {"{upstream}": "app", "{server}": "0", "{zone}": "kv", "{split}": "variant",
                                           "{revision}": "1"}[m[0]], template)
        if "get" not in item or path == "/v1/events":
            continue
        answer = tour.ask("GET", path)
        says = "304" in item["get"]["responses"]
        assert says == ("etag" in answer.headers), path
        tag = answer.headers.get("etag", '"1"')
        tour.ask("GET", path, headers=[("If-None-Match", tag)], status=304 if says else 200)
        tour.ask("GET", path, headers=[("If-None-Match", '"999999"')])
        tagged += says
    assert tagged >= 9


def test_tour():
    """Every operation that there is; the last stop is a drain, which cannot be taken back."""
    with a_tour() as tour:
        for visit in (visit_upstreams, visit_tables, visit_transactions, visit_observing, visit_events):
            visit(tour)
        assert tour.ask("POST", "/v1/drain?delay=60s&timeout=120s", status=202).json["draining"] is True
        tour.ask("GET", "/readyz", status=503)
        tour.ask("GET", "/v1/drain")
        tour.ask("POST", "/v1/shutdown?timeout=60s", status=202)
    wanted = {(path, method) for path, item in OWN.items() for method in METHODS if method in item}
    assert wanted == {(path, method) for path, method, status in tour.seen if status != "default"}


def object_of(required, optional, **more):
    """An object of these members, and extensions."""
    known = dict(required, **optional)
    return {"type": "object", "required": list(required), "properties": known,
            "patternProperties": {"^x-": {}}, "additionalProperties": False, **more}


def ref_or(schema):
    reference = object_of({"$ref": {"type": "string"}}, {"summary": {"type": "string"}, "description": {"type": "string"}})
    return {"if": {"type": "object", "required": ["$ref"]}, "then": reference, "else": schema}


def map_of(schema, keys=None):
    return {"type": "object", "additionalProperties": schema, **({"propertyNames": {"pattern": keys}} if keys else {})}


TEXT, SCHEMA = {"type": "string"}, {"type": ["object", "boolean"]}
TEXTS = {"summary": TEXT, "description": TEXT}
MEDIA = map_of(object_of({}, {"schema": SCHEMA, "example": {}, "examples": {}, "encoding": {}}), "^[^/ ]+/[^/ ]")
SHAPE = {"schema": SCHEMA, "content": dict(MEDIA, minProperties=1, maxProperties=1), "style": TEXT, "explode": {"type": "boolean"},
         "example": {}, "examples": {}, "deprecated": {"type": "boolean"}, "required": {"type": "boolean"}, "description": TEXT}
EITHER = {"oneOf": [{"required": ["schema"]}, {"required": ["content"]}]}
PARAMETER = ref_or(object_of({"name": TEXT, "in": {"enum": ["query", "header", "path", "cookie"]}},
                             {**SHAPE, "allowEmptyValue": {"type": "boolean"}, "allowReserved": {"type": "boolean"}}, **EITHER,
                             **{"if": {"properties": {"in": {"const": "path"}}},
                                "then": {"required": ["required"], "properties": {"required": {"const": True}}}}))
HEADER = ref_or(object_of({}, SHAPE, **EITHER))
BODY = ref_or(object_of({"content": MEDIA}, {"description": TEXT, "required": {"type": "boolean"}}))
RESPONSE = ref_or(object_of({"description": TEXT}, {"headers": map_of(HEADER), "content": MEDIA, "links": {}}))
SECURITY = {"type": "array", "items": map_of({"type": "array", "items": TEXT})}
PARAMETERS = {"type": "array", "items": PARAMETER, "uniqueItems": True}
OPERATION = object_of(
    {"responses": dict(map_of(RESPONSE, "^([1-5](?:[0-9]{2}|XX)|default)$"), minProperties=1)},
    {**TEXTS, "tags": {"type": "array", "items": TEXT}, "operationId": TEXT, "parameters": PARAMETERS, "requestBody": BODY,
     "deprecated": {"type": "boolean"}, "security": SECURITY, "servers": {}, "callbacks": {}, "externalDocs": {}})
SERVER = object_of({"url": TEXT}, {"description": TEXT, "variables": {}})
ITEM = object_of({}, {**TEXTS, "parameters": PARAMETERS, "servers": {"type": "array", "items": SERVER},
                      **dict.fromkeys(("get", "put", "post", "delete", "options", "head", "patch", "trace"), OPERATION)})
NAMED = "^[a-zA-Z0-9._-]+$"
COMPONENTS = object_of({}, {
    "schemas": map_of(SCHEMA, NAMED), "responses": map_of(RESPONSE, NAMED), "parameters": map_of(PARAMETER, NAMED),
    "headers": map_of(HEADER, NAMED), "requestBodies": map_of(BODY, NAMED), "examples": {}, "links": {}, "callbacks": {},
    "pathItems": map_of(ITEM, NAMED),
    "securitySchemes": map_of(object_of({"type": {"enum": ["apiKey", "http", "mutualTLS", "oauth2", "openIdConnect"]}},
                                        {"description": TEXT, "name": TEXT, "in": TEXT, "scheme": TEXT, "bearerFormat": TEXT,
                                         "flows": {}, "openIdConnectUrl": TEXT}), NAMED)})
# What OpenAPI 3.1.0 says of a document's own structure.
OPENAPI_31 = object_of(
    {"openapi": {"pattern": "^3\\.1\\.[0-9]+$"},
     "info": object_of({"title": TEXT, "version": TEXT},
                       {**TEXTS, "termsOfService": TEXT, "contact": {}, "license": object_of({"name": TEXT}, {"identifier": TEXT, "url": TEXT})})},
    {"paths": map_of(ITEM, "^/"), "components": COMPONENTS, "servers": {"type": "array", "items": SERVER}, "security": SECURITY,
     "tags": {"type": "array", "items": object_of({"name": TEXT}, {"description": TEXT, "externalDocs": {}})},
     "webhooks": map_of(ITEM), "jsonSchemaDialect": TEXT, "externalDocs": {}},
    anyOf=[{"required": ["paths"]}, {"required": ["components"]}, {"required": ["webhooks"]}])


def test_the_document_is_openapi():
    check(DOCUMENT, OPENAPI_31, "the document")
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    assert len(set(re.sub(r"{\w+}", "{}", path) for path in DOCUMENT["paths"])) == len(DOCUMENT["paths"])
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method not in item:
                continue
            operation = item[method]
            assert "default" in operation["responses"], (method, path)
            assert set(operation["tags"]) <= tags
            own = [resolve(p) for p in item.get("parameters", []) + operation.get("parameters", [])]
            assert len({(p["name"], p["in"]) for p in own}) == len(own), (method, path)
            names = {p["name"] for p in own}
            if method != "get" and path in OWN and "timeout" not in names:
                assert {"If-Match", "dry_run"} <= names, (method, path)
    for scheme in DOCUMENT["security"]:
        assert set(scheme) <= set(DOCUMENT["components"]["securitySchemes"])


def test_the_document_is_a_document():
    done = subprocess.run(["/usr/bin/python3", ROOT + "/tests/openapi.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert DOCUMENT["openapi"].startswith("3.1.")
    names = []

    def walk(node, at):
        if isinstance(node, dict):
            if "$ref" in node:
                RESOLVER.resolve(node["$ref"])
            if "schema" in node and isinstance(node["schema"], dict) and "in" not in at[-1:]:
                jsonschema.Draft202012Validator.check_schema(node["schema"])
            for key, value in node.items():
                walk(value, at + [key])
        elif isinstance(node, list):
            for i, value in enumerate(node):
                walk(value, at + [str(i)])

    walk(DOCUMENT, [])
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        names.append(name)
    for path, item in DOCUMENT["paths"].items():
        given = {resolve(p)["name"] for p in item.get("parameters", [])}
        for method in METHODS:
            if method in item:
                own = {resolve(p)["name"] for p in item[method].get("parameters", []) if resolve(p)["in"] == "path"}
                assert set(re.findall(r"\{(\w+)\}", path)) <= given | own, path
                assert item[method]["summary"] and item[method]["responses"]
