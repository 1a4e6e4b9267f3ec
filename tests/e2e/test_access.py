# SPDX-License-Identifier: Apache-2.0
"""allow and deny, auth_basic, satisfy, auth_delay, realip, and the PROXY protocol."""
import base64
import os
import pathlib
import re
import shutil
import socket
import struct
import tempfile
import time

import pytest
from conftest import Client, wait_for
from oracle import Both

USERS = ("plain:{PLAIN}pw\nother:{PLAIN}pw2:a comment\r\n# no:{PLAIN}pw\n"
         "sha:{SHA}0D6AcQ+JFZHzvEDv45UiFjUnGWk=\nempty:\nlast:{PLAIN}pw")


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def site():
    """A directory that workers can read: page, users."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="remora-site-"))
    path.chmod(0o755)
    (path / "page").write_text("the page")
    (path / "users").write_text(USERS)
    yield path
    shutil.rmtree(path)


# ---- nginx and remora answer alike ----

def alike(site):
    return """
http {
    root %s;
    server {
        listen 127.0.0.1:@PORT:web@;
        set_real_ip_from 127.0.0.1; set_real_ip_from 10.0.0.0/8; set_real_ip_from unix:;
        add_header X-Who "$remote_addr $realip_remote_addr $remote_user" always;
        location /deny { deny all; }
        location /allow { allow 127.0.0.0/8; deny all; alias %s/page; }
        location /order { deny 192.0.2.1; allow 192.0.2.0/24; allow 2001:db8::/32; deny all; alias %s/page;
                          location /order/inner { allow all; alias %s/page; } }
        location /one { auth_basic "a realm"; auth_basic_user_file %s/users; alias %s/page;
                        location /one/off { auth_basic off; alias %s/page; }
                        location /one/$ { alias %s/page; } }
        location /realm { auth_basic "for $arg_x"; auth_basic_user_file %s/users; alias %s/page; }
        location /nofile { auth_basic x; auth_basic_user_file %s/none; alias %s/page; }
        location /any { satisfy any; allow 192.0.2.0/24; deny all; auth_basic x;
                        auth_basic_user_file %s/users; alias %s/page; }
        location /all { satisfy all; allow 192.0.2.0/24; deny all; auth_basic x;
                        auth_basic_user_file %s/users; alias %s/page; }
        location /page401 { auth_basic x; auth_basic_user_file %s/users; error_page 401 /allow; }
        location /list { real_ip_header X-Forwarded-For; alias %s/page; }
        location /deep { real_ip_header X-Forwarded-For; real_ip_recursive on; alias %s/page; }
        location /field { real_ip_header X-Client; alias %s/page; }
    }
}
""".replace("%s", str(site))


@pytest.mark.parametrize("group", range(4))
def test_as_nginx(remora, site, group):
    cases = [
        ("/deny", {}), ("/deny/x", {}), ("/allow", {}), ("/order", {}), ("/order/inner", {}),
        *[("/order", {"X-Real-IP": a}) for a in ("192.0.2.1", "192.0.2.2", "192.0.3.1", "2001:db8::1", "2001:db9::1",
                                                 "[2001:db8::1]:80", "192.0.2.9:81", "bad", "", "unix:", "300.1.1.1")],
        ("/one", {}), ("/one/off", {}), ("/one", basic("plain", "pw")), ("/one", basic("plain", "pw ")),
        ("/one", basic("plai", "pw")), ("/one", basic("plainx", "pw")), ("/one", basic("other", "pw2")),
        ("/one", basic("# no", "pw")), ("/one", basic("sha", "pw")), ("/one", basic("last", "pw")),
        ("/one", basic("", "pw")), ("/one", basic("plain", "")), ("/one", basic("plain:pw", "x")),
        ("/one", {"Authorization": "Basic"}), ("/one", {"Authorization": "Basic "}), ("/one", {"Authorization": "Basic !"}),
        ("/one", {"Authorization": "Bearer cGxhaW46cHc="}), ("/one", {"Authorization": "basic cGxhaW46cHc="}),
        ("/one", {"Authorization": "Basic cGxhaW46cHc"}), ("/one", {"Authorization": "Basic   cGxhaW46cHc="}),
        ("/one", {"Authorization": "Basic cGxhaW4="}),
        ("/realm?x=1", {}), ("/nofile", basic("plain", "pw")), ("/nofile", {}), ("/page401", {}),
        *[(p, {**h, **a}) for p in ("/any", "/all") for h in ({}, {"X-Real-IP": "192.0.2.1"})
          for a in ({}, basic("plain", "pw"), basic("plain", "no"))],
        *[(p, {"X-Forwarded-For": f}) for p in ("/list", "/deep") for f in (
            "192.0.2.1", "192.0.2.1, 10.0.0.1", "192.0.2.1,10.0.0.1,127.0.0.1", "10.0.0.1, 10.0.0.2", "bad, 10.0.0.1",
            "192.0.2.1, bad", "192.0.2.1:99, 10.0.0.1:88", "192.0.2.1 10.0.0.1", " , ,", "192.0.2.1, , 10.0.0.1",
            "2001:db8::1, 10.0.0.1", "[2001:db8::1]:80, 10.0.0.1", "192.0.2.1, 192.0.2.2, 10.0.0.1")],
        ("/field", {"X-Client": "192.0.2.1"}), ("/field", {"X-Real-IP": "192.0.2.1"}), ("/field", {"x-client": "10.0.0.1, 192.0.2.7"}),
    ]
    with Both(remora, alike(site)) as both:
        for path, headers in cases[group::4]:
            both.same("GET", path, headers)


# ---- what the log says ----

def test_log(remora, site):
    r = remora("http { root %s; server { listen 127.0.0.1:@PORT:web@;"
               "location /d { deny all; } location /any { satisfy any; deny all; auth_basic x; auth_basic_user_file %s/users; }"
               "location /n { auth_basic x; auth_basic_user_file nowhere/$arg_f; }"
               "location / { auth_basic x; auth_basic_user_file %s/users; } } }" % ((site,) * 3))
    for path, headers, status, line in [
            ("/d", {}, 403, r"\[error\] .* access forbidden by rule, client: 127.0.0.1, server: , request: \"GET /d"),
            ("/page", {}, 401, r"\[info\] .* no user/password was provided for basic authentication, client"),
            ("/page", basic("who", "x"), 401, r"\[error\] .* user \"who\" was not found in \"%s/users\"" % site),
            ("/page", basic("plain", "x"), 401, r"\[error\] .* user \"plain\": password mismatch"),
            ("/n?f=x", basic("plain", "x"), 403, r"\[error\] .* open\(\) \"/.*/nowhere/x\" failed \(2: No such file"),
            ("/any", {}, 401, r"no user/password was provided .*GET /any")]:
        assert r.get("web", path, **headers).status == status
        assert re.search(line, r.log()), line
    assert r.log().count("access forbidden by rule") == 1


def test_challenge(remora, site):
    r = remora('http { server { listen 127.0.0.1:@PORT:web@; location / { auth_basic "a $arg_x"; '
               'auth_basic_user_file %s/users; } } }' % site)
    assert r.get("web", "/?x=b").headers["www-authenticate"] == 'Basic realm="a b"'
    # a file that is missing tells nobody what to send
    os.unlink(site / "users")
    assert r.get("web", "/", **basic("plain", "pw")).status == 403


def test_long_lines_and_many_users(remora, site):
    with open(site / "users", "w") as f:
        f.write("long:{PLAIN}" + "x" * 9000 + "\n" + "".join(f"u{i}:{{PLAIN}}p{i}\n" for i in range(5000)))
    r = remora("http { server { listen 127.0.0.1:@PORT:web@; location / { auth_basic x; auth_basic_user_file %s/users;"
               "root %s; } } }" % (site, site))
    assert [r.get("web", "/page", **basic(u, p)).status for u, p in
            (("u0", "p0"), ("u4999", "p4999"), ("u4999", "p0"), ("u5000", "p5000"), ("u2", "p22"))] == [200, 200, 401, 401, 401]


def test_auth_delay(remora, site):
    r = remora("http { auth_delay 300ms; server { listen 127.0.0.1:@PORT:web@; error_page 403 =403 /page;"
               "location = /page { root %s; } location /any { satisfy any; deny all; auth_basic x; auth_basic_user_file %s/users; }"
               "location /d { deny all; }"
               "location / { root %s; auth_basic x; auth_basic_user_file %s/users; } } }" % ((site,) * 4))

    def took(path, headers):
        start = time.monotonic()
        return r.get("web", path, **headers).status, time.monotonic() - start > 0.29
    assert took("/x", basic("plain", "no")) == (401, True)
    assert took("/x", {}) == (401, True)
    assert took("/x", basic("plain", "pw")) == (404, False)
    assert took("/any", {}) == (401, True)
    assert took("/d", {}) == (403, False)
    assert r.log().count("delaying unauthorized request") == 3
    assert r.log().count("password mismatch") == 1


def test_unix_clients(remora, site):
    r = remora("http { server { listen unix:@DIR@/s; set_real_ip_from unix:; root %s; location / { allow unix:; deny all; }"
               "location /d { deny unix:; } add_header X-Who '$remote_addr' always; } }" % site)
    with Client(r.dir + "/s") as c:
        assert c.get("/page").headers["x-who"] == "unix:"
        assert c.get("/d").status == 403
        assert c.request("GET", "/page", {"X-Real-IP": "192.0.2.1"}).status == 403


# ---- the PROXY protocol ----

SIG = b"\r\n\r\n\0\r\nQUIT\n"
V4 = SIG + b"\x21\x11" + struct.pack(">H4B4BHH", 12, 192, 0, 2, 1, 192, 0, 2, 2, 123, 5678)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

PROXIED = """http { server { listen 127.0.0.1:@PORT:web@ proxy_protocol; client_header_timeout %s;
    location / { return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port $pipe $remote_addr"; }
    location /r { set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol; deny all; } } }"""


def proxied(remora, timeout="60s"):
    return remora(PROXIED % timeout)


@pytest.mark.parametrize("pieces", [1, 3, 1000])
@pytest.mark.parametrize("header, says", [
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 123 5678\r\n", "192.0.2.1 123 192.0.2.2 5678"),
    (b"PROXY TCP6 2001:db8::1 ::2 1 2\r\n", "2001:db8::1 1 ::2 2"),
    (b"PROXY UNKNOWN\r\n", "   "),
    (V4, "192.0.2.1 123 192.0.2.2 5678"),
    (SIG + b"\x20\0\0\0", "   "),
])
def test_header_in_pieces(remora, header, says, pieces):
    r = proxied(remora)
    with r.client() as c:
        if pieces == 1000:
            for byte in header + GET:
                c.send(bytes([byte]))
        else:
            data = header + GET * 2
            step = len(data) // pieces + 1
            for i in range(0, len(data), step):
                c.send(data[i:i + step])
                time.sleep(0.01 if pieces > 1 else 0)  # so that they arrive one by one; nothing depends on it
        assert c.response().body.decode() == says + " . 127.0.0.1"
        c.send(GET)
        assert c.response().body.decode().startswith(says)


@pytest.mark.parametrize("bytes_, says", [
    (GET, 'broken header: "GET / HTTP/1.1"'),
    (b"PROXY TCP4 1.2.3.4\r\n" + GET, 'broken header: "PROXY TCP4 1.2.3.4"'),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 99999 1\r\n" + GET, 'broken header: "PROXY TCP4 192.0.2.1 192.0.2.2 99999 1"'),
    (b"PROXY " + b"x" * 200, 'broken header: "PROXY xxx'),
    (SIG + b"\x31\x11\0\x0c" + b"\0" * 12, "unknown PROXY protocol version"),
    (SIG + b"\x21\x11\xff\xff" + b"\0" * 12, "header is too large"),
    (SIG + b"\x21\x11\0\2\0\0", "header is too small"),
])
def test_broken_header(remora, bytes_, says):
    r = proxied(remora)
    with r.client() as c:
        c.send(bytes_)
        assert c.at_end()
    line = next(ln for ln in r.log().splitlines() if says in ln)
    assert "[error]" in line
    assert re.search(r" while reading PROXY protocol, client: 127\.0\.0\.1, server: 127\.0\.0\.1:\d+$", line)


def test_header_that_ends_too_soon(remora):
    r = proxied(remora, "200ms")
    for start in (b"PROX", SIG[:5], V4[:-1]):
        with r.client() as c:
            c.send(start)
            c.sock.shutdown(socket.SHUT_WR)
            assert c.at_end()
    r.wait_log("broken header: ", count=3)
    with r.client() as c:
        c.sock.shutdown(socket.SHUT_WR)
        assert c.at_end()
    r.wait_log(r"\[info\] .*client closed connection while reading PROXY protocol")
    for start in (b"", b"PROX"):  # silent ones are not waited for for ever
        with r.client() as c:
            c.send(start)
            assert c.at_end(5)


def test_address_of_the_header_is_who_is_refused(remora):
    r = proxied(remora)
    with r.client() as c:
        c.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 123 5678\r\n" + GET.replace(b"/ ", b"/r ", 1))
        assert c.response().status == 403
    assert "access forbidden by rule, client: 192.0.2.1," in r.log()


def test_tlvs(remora):
    r = remora("http { server { listen 127.0.0.1:@PORT:web@ proxy_protocol; location / { return 200 "
               "'$proxy_protocol_tlv_alpn|$proxy_protocol_tlv_0x01|$proxy_protocol_tlv_0xea|$proxy_protocol_tlv_ssl_verify|"
               "$proxy_protocol_tlv_ssl_cn|$proxy_protocol_tlv_netns|$proxy_protocol_tlv_what'; } } }")
    tlvs = b"\1\0\2h2" + b"\xea\0\3own" + b"\x20\0\x0c\1\0\0\0\7\x22\0\4cn=x"
    header = SIG + b"\x21\x11" + struct.pack(">H", 12 + len(tlvs)) + V4[16:] + tlvs
    with r.client() as c:
        c.send(header + GET)
        assert c.response().body == b"h2|h2|own|7|cn=x||"
        c.send(GET)
        assert c.response().body == b"h2|h2|own|7|cn=x||"


def test_other_listeners_know_no_header(remora):
    r = remora("http { server { listen 127.0.0.1:@PORT:web@ proxy_protocol; listen 127.0.0.1:@PORT:plain@;"
               "return 200 '$proxy_protocol_addr.'; } }")
    assert r.get("plain", "/").body == b"."
    with r.client("plain") as c:
        c.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 123 5678\r\n" + LAST)
        assert c.response().status == 400


def test_drain_with_a_header_to_come(remora):
    r = proxied(remora)
    with r.client() as c:
        r.reload()
        c.send(V4 + LAST)
        assert c.response().status == 200
    wait_for(lambda: len(r.workers()) >= 1, "workers")
