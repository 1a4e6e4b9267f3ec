# SPDX-License-Identifier: Apache-2.0
"""Pipelined admin requests: changes share a publish, and everything looks as if they had been one by one."""
import json

import pytest

from admin_client import Remora, instance, remora  # noqa: F401
from conftest import wait_for

SERVERS = "/api/9/http/upstreams/app/servers"


def request(method, path, body=None, *fields):
    data = b"" if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
    head = "%s %s HTTP/1.1\r\nHost: localhost\r\n" % (method, path)
    for field in fields:
        head += field + "\r\n"
    if body is not None:
        head += "Content-Type: application/json\r\nContent-Length: %d\r\n" % len(data)
    return head.encode() + b"\r\n" + data


def ids(remora):
    return [s["id"] for s in remora.get(SERVERS).json]


def patch(server, weight):
    return request("PATCH", "%s/%d" % (SERVERS, server), {"weight": weight})


@pytest.mark.parametrize("where", ["tcp", "unix"])
def test_changes_share_publishes_and_are_answered_in_order(remora, where):
    first, second = ids(remora)
    before = remora.revision()
    with remora.connect(getattr(remora, where)) as c:
        c.send(b"".join(patch(first if i % 2 else second, 1 + i) for i in range(40)))
        answers = [c.read() for _ in range(40)]
    assert [a.status for a in answers] == [200] * 40
    assert [a.json["weight"] for a in answers] == [1 + i for i in range(40)]
    assert [a.json["id"] for a in answers] == [first if i % 2 else second for i in range(40)]
    # a few input buffers full, not forty
    assert 1 <= remora.revision() - before <= 10
    assert {s["id"]: s["weight"] for s in remora.get(SERVERS).json} == {first: 40, second: 39}


def test_more_than_may_be_under_way(remora):
    """Bodies that end in the next input buffer, and more requests than a line is long."""
    first = ids(remora)[0]
    texts = [request("PATCH", "%s/%d" % (SERVERS, first), {"weight": 1 + i % 99, "route": "r" * (i % 30)},
                     "X-Filler: " + "f" * (i % 700)) for i in range(300)]
    with remora.connect() as c:
        c.send(b"".join(texts))
        answers = [c.read() for _ in range(300)]
    assert [a.status for a in answers] == [200] * 300
    assert [a.json["weight"] for a in answers] == [1 + i % 99 for i in range(300)]
    assert [len(a.json["route"]) for a in answers] == [i % 30 for i in range(300)]


def test_slowly_and_in_pieces(remora):
    first = ids(remora)[0]
    text = b"".join(patch(first, 1 + i) for i in range(9))
    with remora.connect() as c:
        for i in range(0, len(text), 113):
            c.send(text[i:i + 113])
        assert [c.read().json["weight"] for _ in range(9)] == list(range(1, 10))


def test_reads_see_what_is_before_them_and_nothing_behind(remora):
    first = ids(remora)[0]
    get = request("GET", "%s/%d" % (SERVERS, first))
    texts, expected = [], []
    for i in range(10):
        texts += [patch(first, 10 + i), patch(first, 50 + i), get, get]
        expected += [10 + i, 50 + i, 50 + i, 50 + i]
    with remora.connect() as c:
        c.send(b"".join(texts))
        assert [c.read().json["weight"] for _ in texts] == expected


def test_changes_see_those_before_them(remora):
    add = request("POST", SERVERS, {"server": "127.0.0.1:9001"})
    with remora.connect() as c:
        c.send(add)
        number = c.read().json["id"]
        # gone, back under another id, refused because it is there, changed
        c.send(request("DELETE", "%s/%d" % (SERVERS, number)) + add + add + patch(number + 1, 7) +
               patch(number, 7))
        answers = [c.read() for _ in range(5)]
    assert [a.status for a in answers] == [200, 201, 409, 200, 404]
    assert len(answers[0].json) == 2 and answers[1].json["id"] == number + 1
    assert answers[3].json["weight"] == 7


def test_a_precondition_waits_for_what_is_before_it(remora):
    first = ids(remora)[0]
    revision = remora.revision()

    def put(port, expected):
        return request("PUT", "/v1/http/upstreams/empty/servers", [{"server": "127.0.0.1:%d" % port}],
                       'If-Match: "%d"' % expected)

    with remora.connect() as c:
        c.send(patch(first, 5) + put(1, revision) + put(2, revision + 1) + patch(first, 6) + put(3, revision + 3))
        answers = [c.read() for _ in range(5)]
    assert [a.status for a in answers] == [200, 412, 200, 200, 200]
    assert remora.servers("empty")[0]["server"] == "127.0.0.1:3"


@pytest.mark.parametrize("bad, status", [
    (b"NONSENSE\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\n\r\n", 400),
    (b"PATCH / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413),
    (b"PATCH / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
])
def test_what_is_no_request_is_refused_behind_the_others(remora, bad, status):
    first = ids(remora)[0]
    with remora.connect() as c:
        c.send(b"".join(patch(first, 1 + i) for i in range(5)) + bad + patch(first, 99))
        answers = [c.read() for _ in range(6)]
        assert [a.status for a in answers] == [200] * 5 + [status]
        assert [a.headers["connection"] for a in answers] == ["keep-alive"] * 5 + ["close"]
        assert c.at_end()
    assert remora.servers("app")[0]["weight"] == 5


def test_nothing_behind_the_last_request_is_looked_at(remora):
    first = ids(remora)[0]
    last = request("PATCH", "%s/%d" % (SERVERS, first), {"weight": 3}, "Connection: close")
    with remora.connect() as c:
        c.send(patch(first, 2) + last + patch(first, 99))
        answers = [c.read() for _ in range(2)]
        assert [a.headers["connection"] for a in answers] == ["keep-alive", "close"]
        assert c.at_end()
    assert remora.servers("app")[0]["weight"] == 3


def test_own_api_waits_for_the_workers_in_line(remora):
    def transaction(weight):
        return request("POST", "/v1/transactions", {"operations": [
            {"op": "update", "upstream": "app", "address": "127.0.0.1:8001", "server": {"weight": weight}}]})

    first = ids(remora)[0]
    with remora.connect() as c:
        c.send(b"".join(transaction(1 + i) + patch(first, 50 + i) for i in range(20)))
        answers = [c.read() for _ in range(40)]
    assert [a.status for a in answers] == [200] * 40
    assert all(a.json["applied"] for a in answers[::2])
    assert [a.json["weight"] for a in answers[1::2]] == [50 + i for i in range(20)]
    revisions = [a.json["revision"] for a in answers[::2]]
    assert revisions == sorted(revisions) and len(set(revisions)) < 20


def test_a_client_that_leaves_takes_nothing_with_it(remora):
    first = ids(remora)[0]
    for i in range(20):
        with remora.connect() as c:
            c.send(b"".join(patch(first, 1 + k) for k in range(i, i + 30)))
    wait_for(lambda: remora.servers("app")[0]["weight"] == 49, what="the last change")
    with remora.connect() as c:
        assert c.request("GET", "/livez").status == 200


def test_large_answers_among_small_ones(remora):
    many = [{"server": "127.0.%d.%d:80" % (i // 250, i % 250)} for i in range(500)]
    assert remora.call("PUT", "/v1/http/upstreams/app/servers", many).status == 200
    numbers = ids(remora)
    texts = []
    for i in range(6):
        texts += [patch(numbers[-1], 1 + i), request("DELETE", "%s/%d" % (SERVERS, numbers[i]))]
    with remora.connect() as c:
        c.send(b"".join(texts))
        answers = [c.read() for _ in texts]
    assert [a.status for a in answers] == [200] * 12
    assert [len(a.json) for a in answers[1::2]] == [499 - i for i in range(6)]
    assert [a.json["weight"] for a in answers[::2]] == [1 + i for i in range(6)]


@pytest.mark.parametrize("operation", [
    {"op": "create_upstream", "upstream": "ghost", "value": {"method": "least_conn", "servers": [{"server": "a name"}]}},
    {"op": "put_upstream", "upstream": "ghost", "value": {"servers": [{"server": "127.0.0.1:1"}] * 2}},
    {"op": "patch_upstream", "upstream": "app", "value": {"method": "ip_hash", "servers": [{"server": "nowhere"}]}}])
def test_nothing_is_left_of_a_transaction_that_fails_among_others(remora, operation):
    """One operation may be several steps of a change that others share."""
    first = ids(remora)[0]

    def state():
        shown = remora.get("/v1/http/upstreams").json["upstreams"]
        return [(u["name"], u["method"], [s["server"] for s in u["servers"]]) for u in shown]

    before = state()
    with remora.connect() as c:
        c.send(patch(first, 9) + request("POST", "/v1/transactions", {"operations": [operation]}) + patch(first, 8))
        assert [c.read().status, c.read().status // 100, c.read().status] == [200, 4, 200]
    assert state() == before


def test_changes_stay_in_order_around_one_that_is_alone(remora):
    """A whole upstream, a dry run: they need a change of their own, and what is behind them waits for it."""
    first = ids(remora)[0]

    def own(weight, query=""):
        return request("PATCH", "/v1/http/upstreams/app/servers/%d%s" % (first, query), {"weight": weight})

    whole = request("PUT", "/v1/http/upstreams/app", {"servers": [{"server": "127.0.0.1:8001", "weight": 5}]})
    with remora.connect() as c:
        c.send(own(7) + whole + own(9) + own(11, "?dry_run=true") + own(12) + patch(first, 13))
        answers = [c.read() for _ in range(6)]
    assert [a.status for a in answers] == [200] * 6
    revisions = [answers[i].json["revision"] for i in (0, 1, 2, 4)]
    assert revisions == sorted(revisions)
    assert answers[3].json["upstreams"]["app"]["servers"]["changed"][0]["before"] == {"weight": 9}
    assert [s["weight"] for s in remora.servers("app")] == [13]
