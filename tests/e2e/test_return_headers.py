# SPDX-License-Identifier: Apache-2.0
"""return, set, add_header, add_trailer, variables and large or odd values."""
import pytest
from oracle import Both

CONF = """http { access_log off; default_type text/plain;
    add_header X-Http h;
    server { listen 127.0.0.1:@PORT:web@; server_name name.test;
        set $server_set "s$arg_a";
        location / { return 200 "uri=$uri args=$args a=$arg_a set=$server_set"; }
        location /codes/200 { return 200; }
        location /codes/204 { return 204; }
        location /codes/204t { return 204 text; }
        location /codes/301 { return 301 /x; }
        location /codes/302 { return http://h.test/$arg_a; }
        location /codes/303 { return 303 https://h.test/; }
        location /codes/307 { return 307 /x?y; }
        location /codes/308 { return 308 $scheme://$host/x; }
        location /codes/301e { return 301; }
        location /codes/300 { return 300 text; }
        location /codes/400 { return 400; }
        location /codes/403 { return 403 "no $uri"; }
        location /codes/404 { return 404; }
        location /codes/418 { return 418; }
        location /codes/500 { return 500 ""; }
        location /codes/503 { return 503; }
        location /codes/599 { return 599 t; }
        location /type.html { return 200 x; }
        location /type/x.gif { return 200 x; }
        location /order { set $o 1; set $o "$o-2"; return 200 $o; set $o 3; }
        location /args { set $args "new=$arg_a"; return 200 "$args|$arg_new|$query_string|$is_args|$request_uri"; }
        location /nested { set $n outer; location /nested/in { return 200 "<$n>"; } return 200 $n; }
        location /own { add_header X-Own $arg_a; return 200 x; }
        location /own/err { add_header X-Own o; add_header X-Always a always; return 404; }
        location /own/two { add_header X-Two 1; add_header X-Two 2; add_header X-Empty ""; return 200 x; }
        location /own/cc { add_header Cache-Control no-cache; add_header cache-control private; return 200 x; }
        location /own/lm { add_header Last-Modified "x"; add_header ETag y; return 200 x; }
        location /own/ct { add_header Content-Type "a/b"; return 204; }
        location /tr { add_trailer X-T "t$arg_a"; add_trailer X-U $sent_http_x_http; return 200 body; }
        location /tr/always { add_trailer X-T t; add_trailer X-A a always; return 404 body; }
        location /vars { return 200 "$request_method|$scheme|$server_protocol|$host|$http_host|$server_name|$request|\
$request_uri|$uri|$document_uri|$is_args$args|$arg_q|$arg_Q|$cookie_c|$http_x_y|$content_type|$content_length|\
$remote_addr|$remote_user|$server_addr|$https|$pipe|$connection_requests|$status|$request_filename|$limit"; set $limit x; }
    } }"""
CODES = ["200", "204", "301", "302", "303", "307", "308", "301e", "300", "400", "403", "404", "418", "500", "503",
         "599"]


@pytest.fixture
def both(remora):
    with Both(remora, CONF.replace("\\\n", "").replace('|$request_filename|$limit"; set $limit x;', '";')) as b:
        yield b


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "BREW"])
def test_codes(both, method):
    for code in CODES:
        both.same(method, "/codes/" + code + "?a=b")


@pytest.mark.parametrize("path", ["/", "/?a=1", "/x/y?a=%20&b", "/%41%20b", "/type.html", "/type/x.gif", "/order",
                                  "/args?a=5", "/nested", "/nested/in", "/own", "/own?a=v", "/own/err", "/own/two",
                                  "/own/cc", "/own/ct"])
def test_values(both, path):
    both.same(path=path)


def test_variables(both):
    fields = {"Cookie": "b=1; c=2; d=3", "X-Y": "z", "Content-Type": "a/b", "Authorization": "Basic bWU6cHc="}
    for host in ("name.test", "Other.Test:81", "1.2.3.4"):
        for path in ("/vars", "/vars/%20?q=1&Q=2", "/vars?"):
            both.same("POST", path, {**fields, "Host": host}, body=b"12345")


def test_a_redirect_without_a_target(both):
    assert both.same(path="/codes/301e").status == 301


def test_a_date_that_is_given_replaces_ours(both):
    assert both.remora.get("web", "/own/lm").headers["last-modified"] == "x"


def test_trailers(both):
    for path in ("/tr?a=1", "/tr/always"):
        answers = []
        for server in (both.nginx, both.remora):
            with server.client() as c:
                c.send(f"GET {path} HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n")
                r = c.response()
                answers.append((r.status, r.headers["transfer-encoding"], r.body, r.trailers))
        assert answers[0] == answers[1]
    assert answers[1][3] == {"x-a": "a"}


def test_no_trailers_for_http_1_0(both):
    with both.remora.client() as c:
        c.send("GET /tr?a=1 HTTP/1.0\r\n\r\n")
        raw = c.stream.rest()
    assert raw.endswith(b"\r\n\r\nbody") and b"hunked" not in raw


def test_a_client_cannot_add_fields(remora):
    """Whatever is decoded from the URI must not end a line of the head."""
    r = remora("""http { access_log off; server { listen 127.0.0.1:@PORT:web@;
        location /h { add_header X-U $uri; add_header X-Ok 1; return 200 x; }
        location /r { return 302 $uri; } } }""", allow=["nothing"])
    response = r.get("web", "/h%0d%0aX-Evil:1")
    assert "x-evil" not in response.headers and response.headers["x-ok"] == "1"
    response = r.get("web", "/r%0d%0aX-Evil:1")
    assert "x-evil" not in response.headers


def test_444_says_nothing(remora):
    r = remora("http { server { listen 127.0.0.1:@PORT:web@; access_log off; return 444; } }")
    with r.client() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.at_end()


def test_a_long_text(remora):
    text = "x" * 4000
    r = remora("http { access_log off; server { listen 127.0.0.1:@PORT:web@;"
               f' location / {{ return 200 "{text}$arg_a"; }} }} }}')
    assert r.get("web", "/?a=" + "y" * 4000).body == (text + "y" * 4000).encode()


def test_a_value_of_several_lines_is_one_for_the_client(remora):
    """A policy is often written over several lines; a line's end in a head would be the end of the field."""
    r = remora('''http { server { listen 127.0.0.1:@PORT:web@;
        add_header Content-Security-Policy "
            default-src 'self';
            script-src  $host\r\n\timg-src *;
        " always;
        add_header X-Plain "a  b\tc ";
        return 200; } }''')
    response = r.get("web", "/", Host="a.test")
    assert response.headers["content-security-policy"] == "default-src 'self'; script-src  a.test img-src *;"
    assert response.headers["x-plain"] == "a  b\tc"


def test_titles_of_pages(remora):
    """Where the page and the status line have different words for a status, scripts look for either."""
    r = remora('''http { server { listen 127.0.0.1:@PORT:web@;
        location /302 { return 302 /x; } location /401 { return 401; } location /404 { return 404; } } }''')
    for path, reason, title in (("/302", "Moved Temporarily", b"302 Found"),
                                ("/401", "Unauthorized", b"401 Authorization Required"),
                                ("/404", "Not Found", b"404 Not Found")):
        response = r.get("web", path)
        assert response.reason == reason
        assert b"<title>%s</title>" % title in response.body and b"<h1>%s</h1>" % title in response.body
