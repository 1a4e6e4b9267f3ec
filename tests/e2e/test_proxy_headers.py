# SPDX-License-Identifier: Apache-2.0
"""Fields: which pass, which do not, and what is made of them; variables about upstreams."""
import pytest

from conftest import wait_for
from proxy_lab import Backend, Client, Proxy, ask, reply


@pytest.fixture
def backend():
    b = Backend()
    yield b
    b.close()


def serve(backend, location, http=""):
    return Proxy(f"""{http} server {{ listen 127.0.0.1:{{port}}; server_name t.example;
        location / {{ proxy_pass http://{backend.addr}; {location} }} }}""")


def sent(backend, location, fields=(), http="", **kw):
    """What the server gets."""
    proxy = serve(backend, location, http)
    assert ask(proxy, fields=fields, **kw).status == 200
    proxy.stop()
    return backend.requests[-1]


def test_defaults(backend):
    r = sent(backend, "", [("X-A", "1"), ("x-a", "2"), ("Accept", "*/*")])
    assert r.line == "GET / HTTP/1.1"
    assert r.fields == [("Host", backend.addr), ("X-A", "1"), ("x-a", "2"), ("Accept", "*/*")]


def test_hop_by_hop(backend):
    r = sent(backend, "", [
        ("Connection", "close, X-Secret, Keep-Alive"), ("X-Secret", "1"), ("Keep-Alive", "5"),
        ("TE", "trailers"), ("Trailer", "X"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAA"),
        ("Proxy-Connection", "keep-alive"), ("X-Stays", "1"), ("X-Accel-Redirect", "/x")])
    assert [k for k, v in r.fields] == ["Host", "X-Stays", "X-Accel-Redirect"]


@pytest.mark.parametrize("name", ["X-Real-IP", "X-Forwarded-For", "Host"])
def test_ours_cannot_be_stripped(backend, name):
    """A client that names our fields in Connection, or sends its own, changes nothing."""
    r = sent(backend, "proxy_set_header Host real; proxy_set_header X-Real-IP $remote_addr;"
                      "proxy_set_header X-Forwarded-For $remote_addr;",
             [("Connection", f"close, {name}"), ("X-Real-IP", "6.6.6.6"), ("x-real-ip", "7"),
              ("X-Forwarded-For", "6.6.6.6")])
    assert r.all("x-real-ip") == ["127.0.0.1"] and r.all("host") == ["real"]
    assert r.all("x-forwarded-for") == ["127.0.0.1"]


def test_set_header(backend):
    r = sent(backend, "proxy_set_header X-One one; proxy_set_header X-Uri $uri;"
                      "proxy_set_header Accept ''; proxy_set_header X-Empty $arg_none;"
                      "proxy_set_header Connection close; proxy_set_header X-Twice a;"
                      "proxy_set_header X-Twice b;",
             [("Accept", "x"), ("x-one", "client"), ("X-Empty", "client")])
    assert r.fields == [("X-One", "one"), ("X-Uri", "/"), ("Connection", "close"),
                        ("X-Twice", "a"), ("X-Twice", "b"), ("Host", backend.addr)]


def test_set_header_inheritance(backend):
    proxy = Proxy(f"""proxy_set_header X-Http 1; server {{ listen 127.0.0.1:{{port}};
        location /a {{ proxy_pass http://{backend.addr}; }}
        location /b {{ proxy_set_header X-B 1; proxy_pass http://{backend.addr};
            location /b/c {{ proxy_pass http://{backend.addr}; }} }} }}""")
    for target in ("/a", "/b", "/b/c"):
        ask(proxy, target)
    a, b, c = backend.requests
    assert (a.get("x-http"), a.get("x-b")) == ("1", None)
    assert (b.get("x-http"), b.get("x-b")) == (None, "1")
    assert (c.get("x-http"), c.get("x-b")) == (None, "1")
    proxy.stop()


def test_no_injection(backend):
    """What a client encodes cannot become a line of the head."""
    proxy = serve(backend, "proxy_set_header X-Uri $uri;")
    assert ask(proxy, "/a%0d%0aX-Evil:%201").status == 400
    assert backend.requests == []
    proxy.stop()


def test_forwarded_for(backend):
    location = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
    assert sent(backend, location).get("x-forwarded-for") == "127.0.0.1"
    r = sent(backend, location, [("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "2.2.2.2")])
    assert r.all("x-forwarded-for") == ["1.1.1.1, 2.2.2.2, 127.0.0.1"]


def test_version_method_body(backend):
    r = sent(backend, "proxy_http_version 1.0; proxy_method PUT; proxy_set_body 'was $request_uri';",
             method="POST", body=b"client's")
    assert (r.line, r.body, r.get("content-length")) == ("PUT / HTTP/1.0", b"was /", "5")
    r = sent(backend, "proxy_pass_request_headers off;", [("X-A", "1")])
    assert r.fields == [("Host", backend.addr)]
    r = sent(backend, "proxy_pass_request_body off; proxy_set_header Content-Length '';",
             method="POST", body=b"client's")
    assert (r.body, r.get("content-length")) == (b"", None)
    r = sent(backend, "proxy_pass_request_body off; proxy_set_body 'was $request_body';", method="POST", body=b"client's")
    assert (r.body, r.get("content-length")) == (b"was client's", "12")


def test_head_for_a_client_that_asked_for_more():
    """It gets no length of a body that nobody sends, and may ask again."""
    def script(conn, reader, request):
        assert request.method == "HEAD"
        conn.sendall(b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 100\r\n\r\n")

    backend = Backend(script)
    proxy = serve(backend, "proxy_method HEAD;")
    client = Client(proxy)
    for _ in range(2):
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        got = client.response()
        assert (got.status, got.get("x-a"), got.body, got.complete) == (200, "b", b"", True)
    client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.response("HEAD").get("content-length") == "100"
    client.close()
    proxy.stop()
    backend.close()


def answered(fields, location="", target="/", status="200 OK"):
    """What the client gets of a response with these fields."""
    b = Backend(lambda conn, reader, request: reply(conn, b"x", status, fields))
    proxy = serve(b, location.replace("BACKEND", b.addr))
    got = ask(proxy, target)
    proxy.stop()
    b.close()
    return got, b, proxy


FIELDS = [("Server", "theirs"), ("Date", "theirs"), ("X-Pad", "x"), ("X-Accel-Expires", "1"),
          ("X-Accel-Limit-Rate", "1000000"), ("X-Accel-Buffering", "no"),
          ("X-Accel-Charset", "x"), ("X-Custom", "1"), ("Keep-Alive", "timeout=5"),
          ("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"), ("Content-Type", "text/x"),
          ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("ETag", '"e"')]


def test_response_fields():
    got, _, _ = answered(FIELDS)
    assert got.get("server").startswith("remora") and got.get("date") != "theirs"
    assert got.get("content-type") == "text/x; charset=x" and got.all("set-cookie") == ["a=1", "b=2"]
    assert got.get("x-custom") == "1" and got.get("etag") == '"e"'
    for name in ("x-pad", "x-accel-expires", "x-accel-limit-rate",
                 "x-accel-buffering", "x-accel-charset", "x-hop", "keep-alive"):
        assert got.get(name) is None, name


def test_hide_and_pass():
    got, _, _ = answered(FIELDS, "proxy_hide_header X-Custom; proxy_hide_header set-cookie;"
                                 "proxy_pass_header Server; proxy_pass_header date;"
                                 "proxy_pass_header X-Accel-Expires;")
    assert got.all("server") == ["theirs"] and got.all("date") == ["theirs"]
    assert got.get("x-custom") is None and got.all("set-cookie") == []
    assert got.get("x-accel-expires") == "1" and got.get("x-accel-limit-rate") is None


def test_what_passes_is_the_servers_to_leave_out():
    got, _, _ = answered([], "proxy_pass_header Server; proxy_pass_header Date;")
    assert got.get("server") is None and got.get("date") is None


@pytest.mark.parametrize("config,location,expected", [
    ("", "http://BACKEND/x?y", "http://t.example:PORT/x?y"),
    ("", "http://other/x", "http://other/x"),
    ("", "/relative", "/relative"),
    ("proxy_redirect off;", "http://BACKEND/x", "http://BACKEND/x"),
    ("proxy_redirect http://other/ http://mine/;", "http://other/x", "http://mine/x"),
    ("proxy_redirect http://other/ http://mine/;", "http://BACKEND/x", "http://BACKEND/x"),
    ("proxy_redirect default; proxy_redirect http://other/ /o/;", "http://other/x",
     "http://t.example:PORT/o/x"),
    ("proxy_redirect ~^http://[^/]+/([a-z]+) http://$host/$1/$arg_q;", "http://what/abc1",
     "http://t.example/abc/7"),
])
def test_redirect(config, location, expected):
    b = Backend(lambda conn, reader, request: reply(conn, b"", "302 Found", [
        ("Location", location.replace("BACKEND", b.addr)),
        ("Refresh", "5; url=" + location.replace("BACKEND", b.addr))]))
    proxy = serve(b, config)
    got = ask(proxy, "/?q=7")
    want = expected.replace("BACKEND", b.addr).replace("PORT", str(proxy.port))
    assert got.get("location") == want
    proxy.stop()
    b.close()


def test_redirect_uri_part():
    b = Backend(lambda conn, reader, request: reply(conn, b"", "302 Found", [
        ("Location", f"http://{b.addr}/two/x")]))
    proxy = Proxy(f"""server {{ listen 127.0.0.1:{{port}}; server_name t.example;
        location /one/ {{ proxy_pass http://{b.addr}/two/; }} }}""")
    assert ask(proxy, "/one/").get("location") == f"http://t.example:{proxy.port}/one/x"
    proxy.stop()
    b.close()


def test_variables():
    def script(conn, reader, request):
        reply(conn, b"12345", fields=[("X-Thing", "a"), ("X-Thing", "b"),
                                      ("Set-Cookie", "sid=42; Path=/"), ("Content-Type", "x/y")])

    b = Backend(script)
    proxy = serve(b, "", """log_format v '$upstream_addr|$upstream_status|$upstream_response_length|'
        '$upstream_response_time|$upstream_connect_time|$upstream_header_time|$upstream_http_x_thing|'
        '$upstream_cookie_sid|$upstream_http_content_type|$proxy_host|$proxy_port|'
        '$upstream_bytes_sent|$upstream_bytes_received|$upstream_http_none';
        access_log {dir}/a.log v;""")
    assert ask(proxy).body == b"12345"
    line = wait_for(lambda: open(proxy.dir + "/a.log").read(), "the log").strip().split("|")
    assert line[:3] == [b.addr, "200", "5"]
    assert all(x.startswith("0.") and len(x) == 5 for x in line[3:6])
    assert line[6:11] == ["a, b", "42", "x/y", b.addr, str(b.port)]
    assert int(line[11]) == len(b.requests[0].head) + 4
    assert int(line[12]) > 5 and line[13] == "-"
    proxy.stop()
    b.close()


def test_variables_in_proxy_pass():
    one, two = (Backend(lambda conn, reader, r, n=n: reply(conn, n)) for n in (b"one", b"two"))
    proxy = Proxy(f"""upstream u {{ server {one.addr}; }}
        server {{ listen 127.0.0.1:{{port}};
            location / {{ proxy_pass http://$arg_to; }}
            location /uri/ {{ proxy_pass http://$arg_to/fixed?$args; }} }}""")
    assert ask(proxy, "/a%20b?to=u").body == b"one"
    assert one.requests[-1].target == "/a%20b?to=u" and one.requests[-1].get("host") == "u"
    assert ask(proxy, f"/?to={two.addr}").body == b"two"
    assert two.requests[-1].get("host") == two.addr
    assert ask(proxy, "/uri/x?to=u").body == b"one"
    assert one.requests[-1].target == "/fixed?to=u"
    assert ask(proxy, "/?to=unknown.example").status == 502
    assert "no resolver defined to resolve unknown.example" in proxy.log()
    assert ask(proxy, "/?to=").status == 500
    assert ask(proxy, "/uri/?to=u&x=%0d%0aEvil:").status == 200
    proxy.stop()
    one.close()
    two.close()
