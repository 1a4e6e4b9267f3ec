# SPDX-License-Identifier: Apache-2.0
"""What a location says about its servers that nginx 1.22 does not know, or that only a clock or a file can tell."""
import glob
import os
import threading
import time

import pytest

from conftest import free_port, wait_for
from proxy_lab import Backend, Client, Proxy, ask, pattern, reply
from test_resolve import A, AAAA, NXDOMAIN, Dns


def serve(location, http="", **kw):
    return Proxy(f"""{http} server {{ listen 127.0.0.1:{{port}}; server_name t.example;
        location / {{ {location} }} }}""", **kw)


# ---- proxy_bind ----

@pytest.mark.parametrize("bind,peer", [
    ("127.0.0.2", "127.0.0.2"), ("127.0.0.3:{free}", "127.0.0.3"), ("$arg_b", "127.0.0.4"), ("off", "127.0.0.1"),
    ("$arg_none", "127.0.0.1")])
def test_bind(bind, peer):
    peers = []
    b = Backend(lambda conn, reader, request: peers.append(conn.getpeername()) or reply(conn, b"x"))
    port = free_port()
    proxy = serve(f"proxy_bind {bind.replace('{free}', str(port))}; proxy_pass http://{b.addr};")
    assert ask(proxy, "/?b=127.0.0.4").status == 200
    assert peers[0][0] == peer and (peers[0][1] == port or "free" not in bind)
    proxy.stop()
    b.close()


def test_bind_of_an_address_that_is_not_ours():
    b = Backend()
    proxy = serve(f"proxy_bind 192.0.2.1; proxy_pass http://{b.addr};")
    assert ask(proxy).status == 500
    assert "bind() failed" in proxy.log()
    assert b.requests == []
    proxy.stop()
    b.close()


def test_bind_of_no_address():
    b = Backend()
    proxy = serve(f"proxy_bind $arg_b; proxy_pass http://{b.addr};")
    assert ask(proxy, "/?b=nonsense").status == 200
    assert 'invalid local address "nonsense"' in proxy.log()
    proxy.stop()
    b.close()


def test_bound_connections_are_kept_apart():
    peers = []
    b = Backend(lambda conn, reader, request: peers.append(conn.getpeername()) or reply(conn, b"x"))
    proxy = Proxy(f"""upstream u {{ server {b.addr}; keepalive 4; }} server {{ listen 127.0.0.1:{{port}};
        location /a {{ proxy_bind 127.0.0.2; proxy_pass http://u; }}
        location /b {{ proxy_bind 127.0.0.3; proxy_pass http://u; }}
        location /v {{ proxy_bind $arg_b; proxy_pass http://u; }}
        location / {{ proxy_pass http://u; }} }}""")
    for target in ("/a", "/b", "/", "/a", "/b", "/", "/v?b=127.0.0.4", "/v?b=127.0.0.5"):
        assert ask(proxy, target).status == 200
    assert [p[0] for p in peers] == ["127.0.0.2", "127.0.0.3", "127.0.0.1"] * 2 + ["127.0.0.4", "127.0.0.5"]
    assert peers[:3] == peers[3:6], "connections of the same origin are reused"
    proxy.stop()
    b.close()


# ---- early hints, trailers ----

def hints(conn):
    conn.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nX-Accel-Expires: 1\r\nConnection: x\r\n\r\n"
                 b"HTTP/1.1 102 Processing\r\n\r\n"
                 b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n")


@pytest.mark.parametrize("directive,passed", [("", False), ("early_hints $http_wanted;", True),
                                              ("early_hints '' 0;", False), ("early_hints 0 $http_none 1;", True)])
def test_early_hints(directive, passed):
    b = Backend(lambda conn, reader, request: hints(conn) or reply(conn, b"ok"))
    proxy = serve(f"{directive} proxy_pass http://{b.addr};")
    client = Client(proxy)
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nWanted: yes\r\n\r\n")
    heads = [client.head()]
    while heads[-1][0] < 200:
        heads.append(client.head())
    assert [h[0] for h in heads] == ([103, 103, 200] if passed else [200])
    if passed:
        assert [h[1] for h in heads[:2]] == [[("Link", "</a.css>")], [("Link", "</b.css>")]]
    client.close()
    assert ask(proxy, fields=[("Wanted", "yes")], version="HTTP/1.0").status == 200
    proxy.stop()
    b.close()


@pytest.mark.parametrize("on", [True, False])
def test_trailers(on):
    def script(conn, reader, request):
        conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
                     b"X-Sum: 42\r\nContent-Length: 1\r\nX-Accel-Expires: 1\r\n\r\n")
    b = Backend(script)
    proxy = serve(f"proxy_pass_trailers {'on' if on else 'off'}; proxy_pass http://{b.addr}; "
                  "access_log {dir}/access.log t;", "log_format t '$upstream_trailer_x_sum|$upstream_trailer_none';")
    client = Client(proxy)
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    client.head()
    body = b""
    while piece := client.sock.recv(65536):
        body += piece
    body = client.reader.data + body
    assert body == b"2\r\nok\r\n0\r\n" + (b"X-Sum: 42\r\n" if on else b"") + b"\r\n"
    with open(proxy.dir + "/access.log") as f:
        assert f.read() == "42|-\n"
    proxy.stop()
    b.close()


# ---- rates ----

def test_limit_rate():
    body = pattern(60000)
    b = Backend(lambda conn, reader, request: reply(conn, body))
    proxy = serve(f"proxy_limit_rate $arg_r; proxy_pass http://{b.addr};")
    began = time.monotonic()
    assert ask(proxy, "/?r=30000").body == body
    assert 0.9 < time.monotonic() - began < 4
    began = time.monotonic()
    for r in ("0", "", "nonsense", "1m"):
        assert ask(proxy, "/?r=" + r).body == body
    assert time.monotonic() - began < 0.9
    proxy.stop()
    b.close()


def test_accel_limit_rate():
    body = pattern(60000)
    b = Backend(lambda conn, reader, request: reply(conn, body, fields=[("X-Accel-Limit-Rate", "30000")]))
    proxy = Proxy(f"""server {{ listen 127.0.0.1:{{port}}; location / {{ proxy_pass http://{b.addr}; }}
        location /i {{ proxy_pass http://{b.addr}; proxy_ignore_headers X-Accel-Limit-Rate; }} }}""")
    began = time.monotonic()
    assert ask(proxy).body == body
    assert time.monotonic() - began > 0.9
    began = time.monotonic()
    assert ask(proxy, "/i").body == body
    assert time.monotonic() - began < 0.9
    proxy.stop()
    b.close()


# ---- proxy_store ----

def stored(proxy):
    return sorted(os.path.relpath(p, proxy.dir + "/www") for p in glob.glob(proxy.dir + "/www/**", recursive=True)
                  if os.path.isfile(p))


STORE = """server {{ listen 127.0.0.1:{{port}}; root {{dir}}/www;
    location / {{ proxy_pass http://{addr}; proxy_store on; proxy_store_access user:rw group:r all:r; }}
    location /at/ {{ proxy_pass http://{addr}; proxy_store {{dir}}/www/other$uri; }} }}"""


def store_proxy(b):
    return Proxy(STORE.format(addr=b.addr), main="user root;")


def test_store():
    body = pattern(300000)

    def script(conn, reader, request):
        if "chunked" in request.target:
            conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
        else:
            reply(conn, body if request.method != "HEAD" else b"", "404 Not Found" if "none" in request.target else "200 OK",
                  [("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT")])
    b = Backend(script)
    proxy = store_proxy(b)
    assert ask(proxy, "/a/b").body == body
    assert ask(proxy, "/at/x?y").body == body
    assert ask(proxy, "/chunked").body == b"ok"
    assert ask(proxy, "/none").status == 404
    assert ask(proxy, "/head", method="HEAD").status == 200
    assert stored(proxy) == ["a/b", "chunked", "other/at/x"]
    with open(proxy.dir + "/www/a/b", "rb") as f:
        assert f.read() == body
    stat = os.stat(proxy.dir + "/www/a/b")
    assert stat.st_mode & 0o777 == 0o644 and int(stat.st_mtime) == 1700000000
    assert os.stat(proxy.dir + "/www/other/at/x").st_mode & 0o777 == 0o600
    assert os.listdir(proxy.dir + "/proxy_temp") == []
    proxy.stop()
    b.close()


def test_store_of_a_broken_response():
    def script(conn, reader, request):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        return False
    b = Backend(script)
    proxy = store_proxy(b)
    assert not ask(proxy, "/a").complete
    assert stored(proxy) == [] and os.listdir(proxy.dir + "/proxy_temp") == []
    proxy.stop()
    b.close()


@pytest.mark.parametrize("early", [False, True])
def test_store_outlives_the_client(early):
    body, go = pattern(2000000), threading.Event()

    def script(conn, reader, request):
        data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        conn.sendall(b"" if early else data[:1000])
        go.wait(10)
        conn.sendall(data if early else data[1000:])
    b = Backend(script)
    proxy = store_proxy(b)
    client = Client(proxy)
    client.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    if early:
        wait_for(lambda: b.requests, "the request")
    else:
        client.head()
    client.close()
    time.sleep(0.2)
    go.set()
    wait_for(lambda: stored(proxy) == ["a"], "the stored file")
    with open(proxy.dir + "/www/a", "rb") as f:
        assert f.read() == body
    proxy.stop()
    b.close()


# ---- names in variables ----

def resolving(dns, addr, more=""):
    port = addr.split(":")[1]
    return Proxy(f"""log_format t '$upstream_addr $upstream_status';
        server {{ listen 127.0.0.1:{{port}}; access_log {{dir}}/access.log t;
        resolver 127.0.0.1:{dns.port} {more}; resolver_timeout 1s;
        location / {{ proxy_pass http://$arg_h:{port}; }}
        location /off/ {{ resolver off; proxy_pass http://$arg_h:{port}; }} }}""")


def access(proxy):
    with open(proxy.dir + "/access.log") as f:
        return f.read().splitlines()


def test_resolve():
    b, dns = Backend(), Dns(ttl=60)
    dns.records[("a.test", A)] = ["127.0.0.1"]
    dns.records[("gone.test", A)] = NXDOMAIN
    proxy = resolving(dns, b.addr)
    for _ in range(3):
        assert ask(proxy, "/?h=a.test").body == b"ok"
    assert [q for q in dns.asked if q == ("a.test", A)] == [("a.test", A)], "asked once, kept while its TTL lasts"
    assert b.requests[0].get("host") == "a.test:" + b.addr.split(":")[1]
    assert ask(proxy, "/?h=gone.test").status == 502
    assert ask(proxy, "/off/?h=a.test").status == 502
    assert access(proxy)[:3] == [f"{b.addr} 200"] * 3
    assert "gone.test could not be resolved (3: Host not found)" in proxy.log()
    assert "no resolver defined to resolve a.test" in proxy.log()
    proxy.stop()
    b.close()


def test_resolved_addresses_are_tried_in_turn():
    b, dns = Backend(), Dns(ttl=60)
    dns.records[("a.test", A)] = ["127.0.0.1", "127.0.0.9", "127.0.0.10"]  # nobody listens on two of them
    proxy = resolving(dns, b.addr, "ipv6=off")
    for _ in range(9):
        assert ask(proxy, "/?h=a.test").status == 200
    assert all(line.split()[-1] == "200" for line in access(proxy))
    assert any("," in line for line in access(proxy)), "some began elsewhere"
    assert not [q for q in dns.asked if q[1] == AAAA]
    proxy.stop()
    b.close()


def test_resolver_is_silent():
    b, dns = Backend(), Dns()
    dns.reply = lambda data, truncate: b""
    proxy = resolving(dns, b.addr)
    began = time.monotonic()
    assert ask(proxy, "/?h=a.test").status == 502
    assert 0.8 < time.monotonic() - began < 5
    assert "a.test could not be resolved (110:" in proxy.log()
    client = Client(proxy)  # one that does not wait
    client.send(b"GET /?h=b.test HTTP/1.1\r\nHost: a\r\n\r\n")
    client.close()
    assert ask(proxy, "/?h=127.0.0.1").status == 200
    proxy.stop()
    b.close()
