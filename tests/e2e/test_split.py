# SPDX-License-Identifier: Apache-2.0
"""split_clients with shares that the API changes."""
import json
import os
import threading
from signal import SIGKILL

import pytest

from conftest import wait_for

CONF = """
worker_processes 2;
http {
    split_clients $arg_k $variant { 90%% v1; %s }
    split_clients "$arg_k" $other { 33.33%% a; 33.33%% b; 33.34%% c; }
    server {
        listen 127.0.0.1:@PORT:web@;
        location / { return 200 "$variant"; }
        location /other { return 200 "$other"; }
    }
}
"""
PATH = "/v1/http/splits/variant"


def shares(r, path="/", keys=4000):
    """How many of so many clients get each value."""
    count = {}
    with r.client() as c:
        for i in range(keys):
            if i % 900 == 899:  # keepalive_requests
                c.close()
                c.__init__(r.address("web"))
            value = c.get("%s?k=client%d" % (path, i)).body.decode()
            count[value] = count.get(value, 0) + 1
    return {k: 100 * n / keys for k, n in count.items()}


def values(r, keys=300):
    with r.client() as c:
        return [c.get("/?k=client%d" % i).body for i in range(keys)]


@pytest.fixture
def split(remora):
    return remora(CONF % "* v2;")


def test_shows_what_the_file_says(split):
    answer = split.admin("GET", "/v1/http/splits")
    assert answer.status == 200 and answer.headers["etag"] == '"%d"' % answer.json["revision"]
    names = {s["name"]: s["parts"] for s in answer.json["splits"]}
    assert names["variant"] == [{"value": "v1", "percent": 90}, {"value": "v2", "percent": 10, "rest": True}]
    assert b'"percent":33.33}' in answer.body and b'"percent":33.34}' in answer.body
    one = split.admin("GET", PATH)
    assert one.json["parts"] == names["variant"]
    assert split.admin("GET", "/v1/http/splits/nothing").json["code"] == "SplitNotFound"
    assert split.admin("PUT", "/v1/http/splits/nothing", {"a": 1}).status == 404


def test_shares_are_what_they_say(split):
    r = split
    for body, expected in (({"v1": 50, "v2": "*"}, {"v1": 50, "v2": 50}),
                           ({"v1": 0, "v2": 100}, {"v2": 100}),
                           ({"v1": 10, "v2": 20, "v3": 30}, {"v1": 10, "v2": 20, "v3": 30, "": 40}),
                           ([{"value": "x", "percent": 25.5}, {"value": "y", "percent": "*"}], {"x": 25.5, "y": 74.5}),
                           ({"x": 0.01, "y": 99.99}, {"x": 0, "y": 100})):
        answer = r.admin("PUT", PATH, body)
        assert answer.status == 200 and answer.json["applied"] is True, answer
        found = shares(r)
        for value in set(expected) | set(found):
            assert abs(found.get(value, 0) - expected.get(value, 0)) < 3, (body, found)
    assert abs(shares(r, "/other")["a"] - 33.33) < 3  # which nobody has touched


def test_clients_stay_where_they_were(split):
    """A share that grows takes clients over; it loses none.  The order of an object says nothing."""
    r = split
    before = values(r)
    assert r.admin("PUT", PATH, {"v2": "*", "v1": 95}).status == 200
    after = values(r)
    assert all(a == b"v1" for b, a in zip(before, after) if b == b"v1")
    assert after.count(b"v1") > before.count(b"v1")
    assert [p["value"] for p in r.admin("GET", PATH).json["parts"]] == ["v1", "v2"]
    assert r.admin("PUT", PATH, {"v1": 90, "v2": 10}).status == 200
    assert values(r) == before
    shown = r.admin("GET", PATH).json  # what GET answers can be put back
    assert r.admin("PUT", PATH, [{"value": "v2", "percent": 10}, {"value": "v1", "percent": 90}]).status == 200
    assert values(r) != before
    assert r.admin("PUT", PATH, shown).status == 200
    assert values(r) == before


@pytest.mark.parametrize("body, says", [
    ({"v1": 90, "v2": 20}, "more than 100 percent"),
    ({"v1": 100.01}, "a percentage is"),
    ({"v1": -1}, "a percentage is"),
    ({"v1": 1.005}, "a percentage is"),
    ({"v1": "90"}, "a percentage is"),
    ({"v1": True}, "a percentage is"),
    ({"v1": None}, "a percentage is"),
    ({"v1": "*", "v2": "*"}, "more than one value"),
    ({}, "one value at least"),
    ([], "one value at least"),
    ([1], "element 0"),
    ([{"value": "a"}], "a percentage is"),
    ([{"value": 1, "percent": 1}], "element 0"),
    ([{"value": "a", "percent": 1, "more": 2}], "element 0"),
    ({"x" * 5000: 1}, "too long"),
    ({str(i): 0 for i in range(1001)}, "more than 1000 values"),
    ({"name": "other", "parts": [{"value": "a", "percent": 1}]}, '"name" is not'),
    ({"name": None, "parts": []}, '"name" is not'),
    ({"parts": [{"value": "a", "percent": 1}], "part": []}, 'unknown parameter "part"'),
    (b"{", "column"),
    (b'{"v1":1,"v1":2}', "duplicate"),
])
def test_bad_bodies_change_nothing(split, body, says):
    before = split.admin("GET", PATH)
    answer = split.admin("PUT", PATH, body)
    assert answer.status == 400 and says in answer.json["detail"], answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert split.admin("GET", PATH).json == before.json


def test_nothing_new_is_no_revision(split):
    shown = split.admin("GET", PATH).json
    for body in (shown, shown["parts"], {p["value"]: p["percent"] for p in shown["parts"] if not p.get("rest")}
                 | {p["value"]: "*" for p in shown["parts"] if p.get("rest")}):
        answer = split.admin("PUT", PATH, body)
        assert answer.status == 200 and answer.json["applied"] is True
        assert answer.json["revision"] == shown["revision"] and answer.json["parts"] == shown["parts"]


def test_preconditions_and_dry_runs(split):
    r = split
    revision = r.admin("GET", PATH).json["revision"]
    assert r.admin("PUT", PATH, {"v1": 1}, {"If-Match": '"%d"' % (revision + 1)}).status == 412
    dry = r.admin("PUT", PATH + "?dry_run=true", {"v1": 40, "v3": 60}, {"If-Match": '"%d"' % revision})
    assert dry.status == 200 and dry.json["dry_run"] is True and dry.json["revision"] == revision
    assert dry.json["parts"] == [{"value": "v1", "percent": 40}, {"value": "v3", "percent": 60}]
    assert r.admin("PUT", PATH + "?dry_run=true", {"v1": 101}).status == 400
    assert r.admin("GET", PATH).json["parts"][0]["percent"] == 90
    done = r.admin("PUT", PATH, {"v1": 40, "v3": 60}, {"If-Match": '"%d"' % revision})
    assert done.status == 200 and done.json["revision"] == revision + 1
    assert r.admin("DELETE", PATH).status == 405
    for path in (PATH, "/v1/http/splits"):
        assert r.admin("GET", path, headers={"If-None-Match": done.headers["etag"]}).status == 304
        assert r.admin("GET", path, headers={"If-None-Match": '"%d"' % revision}).status == 200


def test_history_and_transactions(split):
    """Shares are part of a revision: they go with transactions and come back with a rollback."""
    r = split
    before = r.admin("GET", PATH).json
    body = {"operations": [{"op": "put_split", "split": before["name"], "value": {"v1": 33.33, "v2": "*"}}]}
    dry = r.admin("POST", "/v1/transactions?dry_run=true", body).json
    assert dry["tables"][0]["kind"] == "split" and dry["tables"][0]["before"] == before["parts"]
    done = r.admin("POST", "/v1/transactions", body)
    assert done.status == 200 and done.json["revision"] == before["revision"] + 1
    after = r.admin("GET", PATH).json["parts"]
    assert after != before["parts"]
    record = r.admin("GET", "/v1/history/%d" % done.json["revision"]).json
    assert record["tables"] == [{"kind": "split", "name": before["name"], "change": "changed",
                                 "before": before["parts"], "after": after}]
    back = r.admin("POST", "/v1/rollback/%d" % before["revision"], {})
    assert back.status == 200 and back.json["not_restored"] == []
    assert r.admin("GET", PATH).json["parts"] == before["parts"]
    assert r.admin("POST", "/v1/rollback/%d" % done.json["revision"], {}).status == 200
    assert r.admin("GET", PATH).json["parts"] == after
    for value in ({"v1": 101}, None, {}):
        body["operations"][0]["value"] = value
        assert r.admin("POST", "/v1/transactions", body).status == 400
    body["operations"][0] = {"op": "put_split", "split": "nope", "value": {"v1": 1}}
    assert r.admin("POST", "/v1/transactions", body).status == 404
    body["operations"][0] = {"op": "put_split", "upstream": "nope", "value": {"v1": 1}}
    assert r.admin("POST", "/v1/transactions", body).status == 400


def test_reloads_and_dead_agents(remora):
    r = remora(CONF % "* v2;", allow=("exited on signal",))
    assert r.admin("PUT", PATH, {"v1": 0, "v2": 100}).status == 200
    old = r.agent()
    os.kill(old, SIGKILL)
    assert set(values(r)) == {b"v2"}
    wait_for(lambda: r.agent() not in (None, old), "an agent")
    assert r.admin("GET", PATH).json["parts"] == [{"value": "v1", "percent": 0}, {"value": "v2", "percent": 100}]
    r.reload()  # the same block keeps what the API said,
    assert set(values(r)) == {b"v2"}
    r.reload(CONF % "10% v2;")  # a block that was changed does not
    assert set(values(r)) == {b"v1", b"v2"}
    assert r.admin("GET", PATH).json["parts"] == [{"value": "v1", "percent": 90}, {"value": "v2", "percent": 10}]
    r.reload("http { server { listen 127.0.0.1:@PORT:web@; return 200 gone; } }")
    assert r.admin("GET", "/v1/http/splits").json["splits"] == []
    assert r.admin("PUT", PATH, {"v1": 1}).status == 404


def test_changes_under_load(split):
    """Every answer is one of what there was: no request sees half a table."""
    r = split
    stop, wrong = threading.Event(), []

    def ask():
        with r.client() as c:
            for n in range(900):
                if stop.is_set():
                    return
                body = c.get("/?k=%d" % n).body
                if body not in (b"v1", b"v2", b"even", b"odd"):
                    wrong.append(body)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for t in threads:
        t.start()
    for n in range(100):
        body = {"even": 50, "odd": "*"} if n % 2 else {"v1": 20, "v2": 80}
        assert r.admin("PUT", PATH, body).status == 200
    stop.set()
    for t in threads:
        t.join()
    assert not wrong
