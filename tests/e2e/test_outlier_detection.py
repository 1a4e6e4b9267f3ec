# SPDX-License-Identifier: Apache-2.0
"""`outlier_detection`: who is put aside, for how long, and who never is."""
import json
import os
import signal
import threading

import pytest
from conftest import free_port, wait_for
from proxy_lab import Backend, Client, Proxy, ask, reply
from test_swap import admin
from test_upstream_counters import peers


class Server(Backend):
    """Answers with its name, with a status that can be changed."""

    def __init__(self, name):
        self.status = "200 OK"
        self.name = name.encode()
        super().__init__(lambda conn, reader, request: reply(conn, self.name, self.status))


@pytest.fixture
def servers():
    found = [Server(f"s{n}") for n in range(5)]
    yield found
    for server in found:
        server.close()


def proxy_of(servers, detection, workers=1, location=""):
    lines = "".join(f"server {s.addr} max_fails=0;" for s in servers)
    return Proxy(f"""upstream app {{ zone app 64k; {lines} outlier_detection {detection}; }}
        server {{ listen 127.0.0.1:{{port}}; location / {{ proxy_pass http://app; {location} }} }}""",
                 main="admin { listen unix:{dir}/admin.sock; write on; }", workers=workers)


def states(proxy):
    """By server, as /v1 shows them."""
    api = admin(proxy)
    api.request("GET", "/v1/http/upstreams/app")
    return {s["server"]: s["state"] for s in json.loads(api.getresponse().read())["servers"]}


@pytest.mark.parametrize("workers", [1, 2])
def test_consecutive_5xx(servers, workers):
    proxy = proxy_of(servers, "consecutive_5xx=3 base_ejection_time=60s", workers)
    servers[0].status = "500 X"
    for _ in range(15):
        ask(proxy)
    bad = len(servers[0].requests)
    assert bad == 3
    assert states(proxy)[servers[0].addr] == "ejected"
    for _ in range(20):
        assert ask(proxy).status == 200
    assert len(servers[0].requests) == bad
    assert "upstream server ejected as an outlier" in proxy.log()
    proxy.stop()


def test_a_success_in_between(servers):
    proxy = proxy_of(servers[:2], "consecutive_5xx=3 max_ejection_percent=100")
    for n in range(30):
        servers[0].status = "200 OK" if n % 6 == 4 else "500 X"
        ask(proxy)
    assert set(states(proxy).values()) == {"up"}
    proxy.stop()


def test_not_4xx(servers):
    proxy = proxy_of(servers[:2], "consecutive_5xx=2 consecutive_gateway_failure=2 max_ejection_percent=100")
    servers[0].status = "404 X"
    for _ in range(20):
        ask(proxy)
    assert set(states(proxy).values()) == {"up"}
    proxy.stop()


@pytest.mark.parametrize("status,ejected", [("502 X", True), ("503 X", True), ("504 X", True), ("500 X", False),
                                            ("501 X", False)])
def test_gateway_failures(servers, status, ejected):
    proxy = proxy_of(servers[:2], "consecutive_5xx=0 consecutive_gateway_failure=2 base_ejection_time=60s")
    servers[0].status = status
    for _ in range(10):
        ask(proxy)
    assert states(proxy)[servers[0].addr] == ("ejected" if ejected else "up")
    proxy.stop()


def test_no_answer_counts(servers):
    class Dead:
        addr = f"127.0.0.1:{free_port()}"

    proxy = proxy_of([servers[0], Dead], "consecutive_5xx=0 consecutive_gateway_failure=2 base_ejection_time=60s")
    for _ in range(10):
        assert ask(proxy).status == 200
    assert proxy.log().count("connect() failed") == 2
    assert states(proxy)[Dead.addr] == "ejected"
    proxy.stop()


def test_the_end_of_an_ejection(servers):
    """It returns, twice as late the second time, and no request waits for the agent."""
    proxy = proxy_of(servers[:2], "consecutive_5xx=2 base_ejection_time=300ms interval=1h")
    servers[0].status = "500 X"
    for _ in range(4):
        ask(proxy)
    assert len(servers[0].requests) == 2
    wait_for(lambda: (ask(proxy), len(servers[0].requests))[1] == 3, "another chance", 5)
    servers[0].status = "200 OK"
    wait_for(lambda: ask(proxy).body == b"s0", "a good answer")
    assert states(proxy)[servers[0].addr] == "up"
    proxy.stop()


def test_without_the_agent(servers):
    proxy = proxy_of(servers[:2], "consecutive_5xx=2 base_ejection_time=200ms")
    api = admin(proxy)
    api.request("GET", "/v1/revision")
    agent = json.loads(api.getresponse().read())["agent_pid"]
    os.kill(agent, signal.SIGSTOP)
    try:
        servers[0].status = "500 X"
        for _ in range(4):
            ask(proxy)
        assert len(servers[0].requests) == 2
        servers[0].status = "200 OK"
        wait_for(lambda: ask(proxy).body == b"s0", "its return")
    finally:
        os.kill(agent, signal.SIGCONT)
    proxy.stop()


@pytest.mark.parametrize("percent,ejected", [(0, 0), (10, 1), (40, 2), (60, 3), (100, 5)])
def test_how_many_at_most(servers, percent, ejected):
    proxy = proxy_of(servers, f"consecutive_5xx=1 base_ejection_time=60s max_ejection_percent={percent}")
    for server in servers:
        server.status = "500 X"
    for _ in range(30):
        ask(proxy)
    assert list(states(proxy).values()).count("ejected") == ejected
    assert ask(proxy).status == (502 if ejected == 5 else 500)
    proxy.stop()


def test_never_the_only_one(servers):
    proxy = proxy_of(servers[:1], "consecutive_5xx=1 max_ejection_percent=100")
    servers[0].status = "500 X"
    for _ in range(5):
        assert ask(proxy).status == 500
    proxy.stop()


def test_success_rates(servers):
    """One of five fails every other request: never in a row, but far from what the others do."""
    proxy = proxy_of(servers, "consecutive_5xx=0 interval=1s success_rate_minimum_hosts=5 "
                              "success_rate_request_volume=10 base_ejection_time=60s")

    def ejected():
        for n in range(25):
            servers[0].status = "200 OK" if n % 10 < 5 else "500 X"
            ask(proxy)
        return states(proxy)[servers[0].addr] == "ejected"

    wait_for(ejected, "its ejection")
    assert list(states(proxy).values()).count("ejected") == 1
    assert "ejected for its success rate" in proxy.log()
    proxy.stop()


def test_success_rates_of_too_few(servers):
    proxy = proxy_of(servers[:3], "consecutive_5xx=0 interval=200ms success_rate_minimum_hosts=4 "
                                  "success_rate_request_volume=1")
    servers[0].status = "500 X"
    for _ in range(60):
        ask(proxy)
    assert set(states(proxy).values()) == {"up"}
    proxy.stop()


def test_the_plus_api_knows_no_such_word(servers):
    proxy = proxy_of(servers[:2], "consecutive_5xx=1 base_ejection_time=60s")
    servers[0].status = "500 X"
    for _ in range(4):
        ask(proxy)
    seen, _ = peers(admin(proxy))
    assert seen[servers[0].addr]["state"] == "unavail"
    proxy.stop()


def test_a_late_failure_of_an_upstream_that_was_made_again(servers):
    """The server of the deleted one is nobody's to eject, least of all the new one's of the same name."""
    opened, seen = threading.Event(), threading.Event()

    def script(conn, reader, request):
        seen.set()
        opened.wait(20)
        reply(conn, b"late", "500 X")

    late = Backend(script)
    proxy = Proxy("""server { listen 127.0.0.1:{port}; location / { set $name made; proxy_pass http://$name;
                     proxy_next_upstream http_500; } }""", main="admin { listen unix:{dir}/admin.sock; write on; }")
    api = admin(proxy)

    def call(method, target, body=None):
        api.request(method, "/v1/http/upstreams" + target, json.dumps(body) if body else None,
                    {"Content-Type": "application/json"})
        answer = api.getresponse()
        text = answer.read()
        assert answer.status in (200, 201), text
        return json.loads(text)

    def made(*backends):
        return {"name": "made", "outlier_detection": {"consecutive_5xx": 1, "max_ejection_percent": 50},
                "servers": [{"server": b.addr, "max_fails": 0} for b in backends]}

    call("POST", "", made(late))
    client = Client(proxy)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert seen.wait(20)
    call("DELETE", "/made")
    call("POST", "", made(*servers[:2]))
    opened.set()
    assert client.response().status == 200
    assert call("GET", "/made")["counters"]["ejected"] == 0
    servers[0].status = "500 X"
    for _ in range(4):
        assert ask(proxy).status == 200
    assert call("GET", "/made")["counters"]["ejected"] == 1
    client.close()
    proxy.stop()
    late.close()


def test_who_fails_at_once_is_told_of(servers):
    """A server that is ejected before the agent has looked at it for the first time."""
    proxy = proxy_of(servers[:1], "consecutive_5xx=1 base_ejection_time=60s")
    api = admin(proxy)
    servers[1].status = "500 X"
    api.request("POST", "/v1/http/upstreams/app/servers", json.dumps({"server": servers[1].addr, "max_fails": 0}),
                {"Content-Type": "application/json"})
    assert api.getresponse().read()
    for _ in range(4):
        ask(proxy)
    assert states(proxy)[servers[1].addr] == "ejected"
    wait_for(lambda: f"server {servers[1].addr} of upstream \"app\" ejected" in proxy.log(), "what the agent says")
    assert "let in again" not in proxy.log()
    proxy.stop()


def test_switched_off(servers):
    """Nobody waits for the end of an ejection that is not wanted any more."""
    proxy = proxy_of(servers[:2], "consecutive_5xx=1 base_ejection_time=60s", workers=2)
    servers[0].status = "500 X"
    for _ in range(4):
        ask(proxy)
    assert states(proxy)[servers[0].addr] == "ejected"
    servers[0].status = "200 OK"
    api = admin(proxy)
    api.request("PATCH", "/v1/http/upstreams/app", '{"outlier_detection": null}',
                {"Content-Type": "application/merge-patch+json"})
    assert api.getresponse().status == 200
    assert states(proxy)[servers[0].addr] == "up"
    assert {ask(proxy).body for _ in range(4)} == {b"s0", b"s1"}
    proxy.stop()
