# SPDX-License-Identifier: Apache-2.0
"""Servers that are names: asked of a DNS server again and again, published without a reload."""
import os
import re
import signal
import socket
import struct
import threading

import pytest
from conftest import free_port, ok, run_remora, wait_for

A, CNAME, AAAA, SRV = 1, 5, 28, 33
SERVFAIL, NXDOMAIN = 2, 3


def wire(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"


class Dns:
    """Answers over UDP and TCP from `records`: {(name, type): [text, ...] or a response code}."""

    def __init__(self, ttl=1):
        self.records, self.ttl, self.truncate, self.asked = {}, ttl, False, []
        for _ in range(20):
            self.port = free_port()
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.tcp = socket.socket()
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self.udp.bind(("127.0.0.1", self.port))
                self.tcp.bind(("127.0.0.1", self.port))
                break
            except OSError:
                continue
        self.tcp.listen()
        for serve in (self._udp, self._tcp):
            threading.Thread(target=serve, daemon=True).start()

    def _udp(self):
        while True:
            try:
                data, peer = self.udp.recvfrom(4096)
                self.udp.sendto(self.reply(data, self.truncate), peer)
            except OSError:
                return

    def _tcp(self):
        while True:
            try:
                c, _ = self.tcp.accept()
                with c:
                    n, = struct.unpack(">H", c.recv(2))
                    answer = self.reply(c.recv(n), False)
                    c.sendall(struct.pack(">H", len(answer)) + answer)
            except OSError:
                return

    def reply(self, data, truncate):
        ident, = struct.unpack(">H", data[:2])
        end = data.index(b"\0", 12) + 5
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode())
            at += 1 + data[at]
        kind, = struct.unpack(">H", data[at + 1:at + 3])
        name = ".".join(labels)
        self.asked.append((name, kind))
        found = self.records.get((name, kind), self.records.get((name, CNAME), []))
        kind = kind if (name, kind) in self.records else CNAME
        code, found = (found, []) if isinstance(found, int) else (0, found)
        found = [] if truncate else found
        head = struct.pack(">6H", ident, 0x8180 | (0x200 if truncate else 0) | code, 1, len(found), 0, 0)
        return head + data[12:end] + b"".join(self.record(kind, text) for text in found)

    def record(self, kind, text):
        if kind == A:
            rdata = socket.inet_aton(text)
        elif kind == AAAA:
            rdata = socket.inet_pton(socket.AF_INET6, text)
        elif kind == CNAME:
            rdata = wire(text)
        else:
            priority, weight, port, target = text.split()
            rdata = struct.pack(">3H", int(priority), int(weight), int(port)) + wire(target)
        return struct.pack(">3HIH", 0xc00c, kind, 1, self.ttl, len(rdata)) + rdata

    def close(self):
        self.udp.close()
        self.tcp.close()


@pytest.fixture
def dns():
    server = Dns()
    yield server
    server.close()


CONF = """http { access_log off; resolver 127.0.0.1:%d valid=%s; resolver_timeout 1s;
    upstream u { zone z 1m; %s }
    server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://u; proxy_connect_timeout 500ms; } } }"""


NAME = 1 << 30  # ids of servers that are names begin here


def servers(r):
    """Those that have an address."""
    return [s for s in r.admin("GET", "/api/9/http/upstreams/u/servers").json if s["id"] < NAME]


def wait_servers(r, *addresses):
    wait_for(lambda: sorted(s["server"] for s in servers(r)) == sorted(addresses), f"servers {addresses}", 15)


def test_addresses_come_and_go_while_others_stay(remora, dns, backend):
    app = backend(ok("app"))
    dns.records[("app.test", A)] = ["127.0.0.1"]
    r = remora(CONF % (dns.port, "100ms", f"server app.test:{app.port} resolve weight=3 max_fails=7;"
                                          f"server 127.0.0.9:{app.port} down;"))
    wait_servers(r, f"127.0.0.1:{app.port}", f"127.0.0.9:{app.port}")
    [child] = [s for s in servers(r) if s.get("host")]
    assert (child["host"], child["parent"], child["weight"], child["max_fails"]) == (
        f"app.test:{app.port}", str(NAME), 3, 7)
    assert r.get().body == b"app"
    dns.records[("app.test", A)] = ["127.0.0.1", "127.0.0.2"]
    wait_servers(r, f"127.0.0.1:{app.port}", f"127.0.0.2:{app.port}", f"127.0.0.9:{app.port}")
    kept = next(s for s in servers(r) if s["server"] == f"127.0.0.1:{app.port}")
    assert kept["id"] == child["id"]
    dns.records[("app.test", A)] = SERVFAIL  # says nothing about the servers
    r.wait_log(r"app\.test could not be resolved \(2: Server failure\)")
    assert len(servers(r)) == 3
    dns.records[("app.test", A)] = NXDOMAIN
    wait_servers(r, f"127.0.0.9:{app.port}")
    assert r.get().status == 502
    dns.records[("app.test", A)] = ["127.0.0.1"]
    wait_servers(r, f"127.0.0.1:{app.port}", f"127.0.0.9:{app.port}")
    assert r.get().body == b"app"


def test_nothing_is_published_when_nothing_changes(remora, dns, backend):
    app = backend(ok("app"))
    dns.records[("app.test", A)] = ["127.0.0.1"]
    r = remora(CONF % (dns.port, "50ms", f"server app.test:{app.port} resolve;"))
    wait_servers(r, f"127.0.0.1:{app.port}")
    before, asked = r.admin("GET", "/v1/revision").json["revision"], len(dns.asked)
    wait_for(lambda: len(dns.asked) > asked + 3, "more questions", 15)
    assert r.admin("GET", "/v1/revision").json["revision"] == before


def test_services(remora, dns, backend):
    one, two = backend(ok("one")), backend(ok("two"))
    dns.records[("_http._tcp.app.test", SRV)] = [f"1 3 {one.port} a.app.test", f"5 0 {two.port} b.app.test"]
    dns.records[("a.app.test", A)] = dns.records[("b.app.test", A)] = ["127.0.0.1"]
    r = remora(CONF % (dns.port, "100ms", "server app.test resolve service=http;"))
    wait_servers(r, one.addr, two.addr)
    by = {s["server"]: s for s in servers(r)}
    assert (by[one.addr]["weight"], by[one.addr]["backup"]) == (3, False)
    assert (by[two.addr]["weight"], by[two.addr]["backup"]) == (1, True)
    assert r.get().body == b"one"
    dns.records[("_http._tcp.app.test", SRV)] = [f"1 2 {two.port} b.app.test"]
    wait_servers(r, two.addr)
    wait_for(lambda: servers(r)[0]["weight"] == 2 and not servers(r)[0]["backup"], "what SRV says now")
    assert r.get().body == b"two"


def test_services_do_not_multiply(remora, dns):
    """Many services at one target with many addresses: two answers that are small, and a hundred thousand servers."""
    dns.truncate = True  # they come over TCP
    dns.records[("_http._tcp.app.test", SRV)] = [f"1 1 {port} a.test" for port in range(1, 1001)]
    dns.records[("a.test", A)] = [f"127.0.0.{i}" for i in range(1, 101)]
    r = remora(CONF % (dns.port, "1s", "server app.test resolve service=http;"))
    r.wait_log(r"_http\._tcp\.app\.test could not be resolved \(1: Format error\)")
    dns.records[("a.test", A)] = ["127.0.0.1"]
    wait_for(lambda: len(servers(r)) == 1000, "servers", 15)


def test_an_answer_that_found_no_room_is_asked_for_again(remora, dns):
    """However long it would have been good for."""
    dns.truncate = True
    dns.records[("app.test", A)] = SERVFAIL
    r = remora("shared_memory 1m;\n" + CONF.replace("upstream u", "upstream other { zone z 1m; server 127.0.0.1:1; }\n"
               "upstream u") % (dns.port, "1h", "server app.test:80 resolve;"))
    r.allow.append(re.compile("resolved addresses were not published"))
    many = [{"server": f"127.1.{i // 250}.{i % 250 + 1}:80"} for i in range(3000)]
    assert any(r.admin("PUT", "/v1/http/upstreams/other/servers", many[:n]).status == 200 for n in range(3000, 0, -100))
    dns.records[("app.test", A)] = [f"127.0.{i // 250}.{i % 250 + 1}" for i in range(1000)]
    r.wait_log("resolved addresses were not published", 15)
    assert servers(r) == []
    assert r.admin("PUT", "/v1/http/upstreams/other/servers", many[:1]).status == 200
    wait_for(lambda: len(servers(r)) == 1000, "servers", 15)


def test_aliases_and_truncated_answers(remora, dns, backend):
    app = backend(ok("app"))
    dns.truncate = True
    dns.records[("app.test", CNAME)] = ["other.test"]
    dns.records[("other.test", A)] = ["127.0.0.1"]
    r = remora(CONF % (dns.port, "1s", f"server app.test:{app.port} resolve;"))
    wait_servers(r, f"127.0.0.1:{app.port}")
    assert r.get().body == b"app"


def test_endless_aliases_end(remora, dns):
    dns.records[("app.test", CNAME)] = ["app.test"]
    r = remora(CONF % (dns.port, "1s", "server app.test:80 resolve;"))
    r.wait_log(r"app\.test could not be resolved \(3: Host not found\)")


def test_killed_agent_and_reload_keep_what_was_found(remora, dns, backend):
    app = backend(ok("app"))
    dns.records[("app.test", A)] = ["127.0.0.1"]
    text = CONF % (dns.port, "100ms", f"server app.test:{app.port} resolve;")
    r = remora(text, allow=[r"exited on signal 9"])
    wait_servers(r, f"127.0.0.1:{app.port}")
    dns.records.clear()
    dns.records[("app.test", A)] = SERVFAIL
    r.reload(text.replace("resolve;", "resolve max_fails=3;"))
    assert [s["max_fails"] for s in servers(r)] == [3]
    assert r.get().body == b"app"
    old = r.agent()
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: r.agent() not in (None, old), "another agent")
    wait_servers(r, f"127.0.0.1:{app.port}")
    assert r.get().body == b"app"


def test_a_server_that_nobody_answers_for_does_not_hold_up_the_start(remora, backend):
    app = backend(ok("app"))
    r = remora(CONF % (free_port(), "1s", f"server app.test:80 resolve; server {app.addr};"))
    assert r.get().body == b"app"


@pytest.mark.parametrize("block,message", [
    ("server a.test resolve;", "to be in shared memory"),
    ("zone z 1m; server a.test resolve;", "no resolver defined to resolve names at run time"),
    ("zone z 1m; resolver 127.0.0.1; server a.test:80 resolve service=http;", "may not have port"),
    ("zone z 1m; resolver 127.0.0.1; server localhost service=http;", 'requires "resolve" parameter'),
    ("zone z 1m; resolver 127.0.0.1; server a.test resolve service=;", "service is empty"),
    ("resolver;", "invalid number of arguments"),
    ("resolver 127.0.0.1 valid=x;", "invalid parameter: valid=x"),
    ("resolver 127.0.0.1 ipv6=maybe;", "invalid parameter: ipv6=maybe"),
    ("resolver 127.0.0.1 ipv6=off ipv4=off;", 'cannot both be "off"'),
    ("resolver valid=1s;", "no name servers defined"),
    ("resolver 127.0.0.1; resolver 127.0.0.2;", "duplicate"),
])
def test_refused(tmp_path, block, message):
    conf = tmp_path / "x.conf"
    conf.write_text(f"pid {tmp_path}/pid; events {{ }} http {{ upstream u {{ server 127.0.0.1:1; {block} }} }}")
    result = run_remora("-t", "-p", str(tmp_path), "-c", str(conf))
    assert result.returncode == 1 and message in result.stderr, result.stderr


def test_status_zone_counts_over_agent_and_workers(remora, dns, backend):
    app = backend(ok("app"))
    dns.records[("app.test", A)] = ["127.0.0.1"]
    text = CONF.replace("valid=%s;", "valid=%s status_zone=names;").replace(
        "location / {", "location /var { set $name $arg_name; proxy_pass http://$name:%d/; } location / {" % app.port)
    r = remora(text % (dns.port, "10s", f"server app.test:{app.port} resolve;"))
    wait_servers(r, f"127.0.0.1:{app.port}")
    assert r.get(path="/var?name=app.test").body == b"app"
    assert r.get(path="/var?name=none.test").status == 502
    zone = r.admin("GET", "/api/9/resolvers").json["names"]
    assert zone["requests"] == {"name": 3, "srv": 0, "addr": 0}
    assert (zone["responses"]["noerror"], zone["responses"]["nxdomain"]) == (2, 1)
    assert r.admin("GET", "/api/9/resolvers?fields=requests").json == {"names": {"requests": zone["requests"]}}


def test_servers_given_back_through_the_api_stay_those_of_the_name(remora, dns, backend):
    app = backend(ok("app"))
    dns.records[("app.test", A)] = ["127.0.0.1", "127.0.0.2"]
    r = remora(CONF % (dns.port, "100ms", f"server app.test:{app.port} resolve;"))
    both = [f"127.0.0.1:{app.port}", f"127.0.0.2:{app.port}"]
    wait_servers(r, *both)
    given = [{"server": a} for a in both] + [{"server": "127.0.0.3:1"}]
    assert r.admin("PUT", "/v1/http/upstreams/u/servers", given).status == 200
    asked = len(dns.asked)
    wait_for(lambda: len(dns.asked) > asked + 4, "more questions", 15)
    assert [(s["server"], s.get("parent")) for s in servers(r)] == [(a, str(NAME)) for a in both] + [("127.0.0.3:1", None)]
    dns.records[("app.test", A)] = ["127.0.0.2"]
    wait_servers(r, both[1], "127.0.0.3:1")
