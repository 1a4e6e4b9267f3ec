# SPDX-License-Identifier: Apache-2.0
"""Servers, locations, listeners, error pages and limits, compared with nginx where it is installed."""
import os
import random
import subprocess

import pytest
from conftest import run_remora
from oracle import NGINX, Both

# ---- which server ----

NAMES = """http { access_log off;
    server { listen 127.0.0.1:@PORT:web@; server_name first; return 200 "first $server_name $host"; }
    server { listen 127.0.0.1:@PORT:web@; server_name www.example.com; return 200 exact; }
    server { listen 127.0.0.1:@PORT:web@; server_name *.example.com; return 200 "head $server_name"; }
    server { listen 127.0.0.1:@PORT:web@; server_name *.www.example.com; return 200 longer; }
    server { listen 127.0.0.1:@PORT:web@; server_name www.*; return 200 tail; }
    server { listen 127.0.0.1:@PORT:web@; server_name www.example.*; return 200 longer-tail; }
    server { listen 127.0.0.1:@PORT:web@; server_name ~^(?<who>.+)\\.re$; return 200 "re $who $1 $server_name"; }
    server { listen 127.0.0.1:@PORT:web@; server_name ~re$; return 200 re2; }
    server { listen 127.0.0.1:@PORT:web@; server_name .dot.org; return 200 "dot $server_name"; }
}"""
HOSTS = ["first", "www.example.com", "WWW.Example.COM", "a.example.com", "a.b.example.com", "example.com",
         "a.www.example.com", "www.example.org", "www.example.org.uk", "www.other", "www", "me.re", "re", "more",
         "www.re", "dot.org", "x.dot.org", "y.x.dot.org", "xdot.org", "nobody", "www.example.com:81",
         "www.example.com.", "127.0.0.1", "[::1]", "[::1]:80"]


def test_server_names(remora):
    with Both(remora, NAMES) as both:
        for host in HOSTS:
            both.same(headers={"Host": host})


def test_no_host_at_all(remora):
    r = remora("""http { access_log off;
        server { listen 127.0.0.1:@PORT:web@; server_name a; return 200 a; }
        server { listen 127.0.0.1:@PORT:web@; server_name ""; return 200 nameless; } }""")
    with r.client() as c:
        c.send("GET / HTTP/1.0\r\n\r\n")
        assert c.response().body == b"nameless"


def test_addresses_share_a_wildcard_socket(remora):
    r = remora("""http { access_log off;
        server { listen @PORT:web@; return 200 "any $server_addr:$server_port"; }
        server { listen 127.0.0.2:@PORT:web@; return 200 "two $server_addr"; }
        server { listen 127.0.0.1:@PORT:web@ default_server; return 200 "one $server_addr"; }
        server { listen 127.0.0.1:@PORT:web@; server_name named; return 200 named; }
        server { listen unix:@DIR@/web.sock; return 200 "unix $server_addr|$remote_addr|$server_port"; } }""")
    port = r.port("web")
    assert r.get(("127.0.0.1", port)).body == b"one 127.0.0.1"
    assert r.get(("127.0.0.1", port), Host="named").body == b"named"
    assert r.get(("127.0.0.2", port)).body == b"two 127.0.0.2"
    assert r.get(("127.0.0.3", port)).body == f"any 127.0.0.3:{port}".encode()
    assert r.get(("127.0.0.3", port), Host="named").body == f"any 127.0.0.3:{port}".encode()
    assert r.get(r.dir + "/web.sock").body == f"unix unix:{r.dir}/web.sock|unix:|".encode()


# ---- which location ----

PREFIXES = ["/", "/a", "/a/", "/a/b", "/a/b/", "/ab", "/abc", "/a/b/c", "/b", "/b/c/", "/A"]
PATTERNS = ["^/a", "b$", "c", "/$", "^/b/(.)", "B"]
URIS = PREFIXES + ["/a/b/c/d", "/abcd", "/x", "/b/c", "/B", "/a/x/", "/b/", "/ba", "/cb", "/aB", "/a/bb"]


def random_locations(rng, prefix, depth, number):
    out, used = [], set()
    for _ in range(rng.randint(1, 6 if depth == 0 else 3)):
        kind = rng.choice(["", "", "", "=", "^~", "~", "~*"])
        name = rng.choice(PATTERNS) if kind.startswith("~") else \
            rng.choice([p for p in PREFIXES if p.startswith(prefix)])
        if (kind == "=", name) in used and not kind.startswith("~"):
            continue
        used.add((kind == "=", name))
        number[0] += 1
        inner = ""
        if depth < 2 and kind in ("", "^~") and rng.random() < .4:
            inner = random_locations(rng, name, depth + 1, number)
        out.append(f"location {kind} {name} {{ add_header X-L {number[0]} always; {inner} }}")
    return " ".join(out)


@pytest.mark.parametrize("seed", range(3))
def test_random_locations(remora, seed):
    rng, number = random.Random(seed), [0]
    servers = "\n".join(f"server {{ listen 127.0.0.1:@PORT:web@; server_name s{i}; add_header X-L none always;"
                        f" {random_locations(rng, '/', 0, number)} }}" for i in range(12))
    with Both(remora, f"http {{ access_log off; root /nonexistent; {servers} }}") as both:
        for i in range(12):
            for uri in URIS:
                both.same(path=uri, headers={"Host": f"s{i}"})


# ---- error pages, internal, limits ----

ERRORS = """http { access_log off; root @DIR@;
    server { listen 127.0.0.1:@PORT:web@; error_page 404 /404.html; error_page 410 = @gone;
        location / { }
        location /plain { error_page 404 /nowhere; }
        location /as-ok { error_page 404 =200 /404.html; }
        location /away { error_page 404 http://elsewhere.test/; }
        location /moved { error_page 404 =301 http://elsewhere.test/; }
        location /gone { return 410; }
        location /vars { error_page 404 /answer?u=$uri; }
        location /loop { error_page 404 /loop2; recursive_error_pages on; }
        location /loop2 { error_page 404 /answer; recursive_error_pages on; return 404; }
        location /once { error_page 404 /once2; }
        location /once2 { error_page 404 /answer; return 404; }
        location = /answer { return 200 "u=$arg_u uri=$uri"; }
        location @gone { return 203 "named $uri"; }
        location /in { internal; return 200 secret; }
        location /to-in { error_page 404 /in/x; }
        location /small { client_max_body_size 5; error_page 413 /answer; return 200 ok; }
        location /unlimited { client_max_body_size 0; return 200 ok; }
    } }"""


def make_pages(*dirs):
    for d in dirs:
        with open(d + "/404.html", "w") as f:
            f.write("our page")
        os.utime(d + "/404.html", (1700000000, 1700000000))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_error_pages(remora, method):
    with Both(remora, ERRORS) as both:
        make_pages(both.nginx.dir, both.remora.dir)
        for path in ["/x", "/plain", "/as-ok", "/away", "/moved", "/gone", "/vars", "/loop", "/once", "/in",
                     "/to-in", "/404.html", "/x/", "/answer?u=1"]:
            both.same(method, path, {"Content-Length": "0"} if method == "POST" else None)


def test_body_limits(remora):
    with Both(remora, ERRORS) as both:
        assert both.same("POST", "/small", body=b"12345").status == 200
        both.same("POST", "/small", body=b"123456")
        assert both.same("POST", "/unlimited", body=b"x" * 4096).status == 200
        assert "client intended to send too large body: 6 bytes" in both.remora.log()


REDIRECTS = """http { access_log off; root @DIR@;
    server { listen 127.0.0.1:@PORT:web@; server_name name.test;
        location / { }
        location /d/rel { absolute_redirect off; }
        location /d/noport { port_in_redirect off; }
        location /d/name { server_name_in_redirect on; }
        location /r { return 301 /to?x=$arg_x; }
        location /r/rel { absolute_redirect off; return 302 /to; }
    } }"""


def test_redirects(remora):
    with Both(remora, REDIRECTS) as both:
        for d in (both.nginx.dir, both.remora.dir):
            for name in ("rel", "noport", "name", "sp ace"):
                os.makedirs(f"{d}/d/{name}")
        for path in ["/d/rel", "/d/noport", "/d/name", "/d", "/d?a=b", "/r?x=1", "/r/rel", "/d/sp%20ace"]:
            for host in ("asked.test", "asked.test:81"):
                both.same(path=path, headers={"Host": host})


# ---- configurations that are refused ----

REFUSED = [
    "server { listen 80; listen 80; }",
    "server { listen 80 default_server; } server { listen 80 default_server; }",
    "server { listen 80 backlog=5; } server { listen 80 backlog=6; }",
    "server { listen 80 foo; }",
    "server { listen 80 so_keepalive=x; }",
    "server { listen 99999; }",
    "server { listen unix:; }",
    "server { server_name *; }",
    "server { server_name ~(; }",
    "server { location /a/ { location /b {} } }",
    "server { location /a { location @b {} } }",
    "server { location /a {} location ^~ /a {} }",
    "server { location ! /a {} }",
    "server { error_page 200 /x; }",
    "server { error_page 404 =xx /x; }",
    "server { root /x; root /y; }",
    "server { root $document_root; }",
    "server { try_files /x =1000; }",
    "server { return foo; }",
    "server { set $host 1; }",
    "log_format combined x;",
    "log_format a escape=x c;",
    "server { access_log /tmp/a nofmt; }",
    "server { access_log /tmp/$host combined buffer=4k; }",
    "server { add_header a b c; }",
    "server { keepalive_timeout 5 x; }",
    "server { client_max_body_size x; }",
    "server { foo; }",
    "server { location / { listen 80; } }",
]


@pytest.mark.parametrize("text", REFUSED)
def test_refused_as_nginx_does(tmp_path, text):
    conf = tmp_path / "c.conf"
    conf.write_text(f"events {{ }}\nhttp {{ access_log off;\n{text}\n}}\n")
    ours = run_remora("-t", "-p", str(tmp_path), "-c", str(conf))
    assert ours.returncode == 1
    emerg = [line for line in ours.stderr.splitlines() if "[emerg]" in line]
    assert len(emerg) == 1 and emerg[0].endswith(f"in {conf}:3"), ours.stderr
    if NGINX is not None:
        theirs = subprocess.run([NGINX, "-t", "-p", str(tmp_path), "-c", str(conf)], capture_output=True, text=True)
        assert theirs.returncode == 1
        assert emerg[0].split("[emerg] ")[1] in theirs.stderr


@pytest.mark.parametrize("parameter", ["ssl", "http2", "quic"])
def test_what_is_not_there_yet_is_refused(tmp_path, parameter):
    conf = tmp_path / "c.conf"
    conf.write_text(f"events {{ }}\nhttp {{ server {{ listen 8443 {parameter}; }} }}\n")
    ours = run_remora("-t", "-p", str(tmp_path), "-c", str(conf))
    assert ours.returncode == 1
    assert "not supported yet" in ours.stderr


def test_without_effect_is_said(tmp_path):
    conf = tmp_path / "c.conf"
    conf.write_text(f"pid {tmp_path}/p; error_log stderr;\nevents {{ }}\n"
                    "http { fastcgi_temp_path x; server { listen 8099; aio on; } }\n")
    ours = run_remora("-t", "-p", str(tmp_path), "-c", str(conf))
    assert ours.returncode == 0, ours.stderr
    for name in ("fastcgi_temp_path", "aio"):
        assert f'the "{name}" directive has no effect in remora' in ours.stderr


# ---- what a location with a handler of its own changes ----

HANDLERS = """http { access_log off;
    server { listen 127.0.0.1:@PORT:web@; server_name name.test;
        location /p/ { proxy_pass http://127.0.0.1:@PORT:back@; }
        location /q/ { proxy_pass http://127.0.0.1:@PORT:back@; }
        location = /q { return 200 exact; }
        location /r/ { proxy_pass http://127.0.0.1:@PORT:back@; absolute_redirect off; }
        location /n/ { location /n/in/ { proxy_pass http://127.0.0.1:@PORT:back@; } }
        location ~ ^/p { return 200 regex; }
        location /in/ { internal; proxy_pass http://127.0.0.1:@PORT:back@; }
        location /ep { error_page 404 = /in/x?a=b; return 404; }
        location /named { error_page 404 = @back; return 404; }
        location @back { proxy_pass http://127.0.0.1:@PORT:back@; }
        location /try { try_files /nope @back; }
        location /lim/ { client_max_body_size 3; proxy_pass http://127.0.0.1:@PORT:back@; }
    }
    server { listen 127.0.0.1:@PORT:back@; return 200 "back $request_method $request_uri"; } }"""


def test_locations_with_handlers(remora):
    with Both(remora, HANDLERS) as both:
        for path in ["/p", "/p?a=b", "/p/", "/p/x", "/q", "/q/", "/r", "/n/in", "/n/in/", "/in/x", "/in", "/ep",
                     "/named", "/named?x=1", "/try", "/try/x?y"]:
            for method in ("GET", "HEAD"):
                both.same(method, path, {"Host": "asked.test"})
        both.same("POST", "/lim/", body=b"123")
        both.same("POST", "/lim/", body=b"1234")


def test_error_log_of_a_location(remora):
    r = remora("""http { access_log off; root @DIR@/www;
        server { listen 127.0.0.1:@PORT:web@;
            location / { }
            location /own { error_log @DIR@/own.log; error_log @DIR@/own2.log crit; } } }""")
    r.get("web", "/own/x")
    r.get("web", "/else/x")
    r.wait_log("/www/else/x")
    with open(r.dir + "/own.log") as f:
        own = f.read()
    assert own.count("\n") == 1 and "/www/own/x" in own
    assert "/www/own/x" not in r.log()
    assert os.path.getsize(r.dir + "/own2.log") == 0
