# SPDX-License-Identifier: Apache-2.0
"""Static files, index, try_files and types, compared with nginx where it is installed."""
import os
import random

import pytest
from conftest import ok, wait_for
from oracle import Both

CONF = """http { access_log off; root @DIR@/www; types { text/html html; image/x-y xy; }
    server { listen 127.0.0.1:@PORT:web@;
        location / { }
        location /noetag { alias @DIR@/www; etag off; }
        location /before { alias @DIR@/www; if_modified_since before; }
        location /never { alias @DIR@/www; if_modified_since off; }
        location /copy { alias @DIR@/www; sendfile off; }
        location /al/ { alias @DIR@/www/dir/; }
        location ~ ^/rx/(.*)$ { alias @DIR@/www/$1; }
        location /idx/ { index nope.html $arg_i b.html; }
        location /two/ { index @DIR@ c.html b.html; alias @DIR@/www/idx/; }
        location /abs/ { index nope /a.html; }
        location /try { try_files $uri $uri.html $uri/ =404; }
        location /try/fall { try_files /nope /a.html; }
        location /try/named { try_files /nope @n; }
        location /try/args { try_files /nope /args?x=$uri; }
        location /try/code { try_files /nope =402; }
        location /args { return 200 "$uri|$args"; }
        location @n { return 200 "n $uri"; }
        location /quiet { log_not_found off; }
    } }"""


def fill(*dirs):
    """The same tree, with the same dates, in each directory."""
    for d in dirs:
        www = d + "/www/"
        for name in ("dir", "idx", "empty", "try/dir", "two", "abs"):
            os.makedirs(www + name)
        files = {"a.html": b"hello\n", "b.txt": b"text", "c.xy": b"xy", "D.XY": b"XY", "noext": b"-", ".html": b"dot",
                 "zero.html": b"", "dir/index.html": b"index", "idx/b.html": b"b", "try/one.html": b"one",
                 "try/two": b"two", "try/dir/index.html": b"in dir", "sp ace?.html": b"odd name",
                 "mid.bin": bytes(range(256)) * 32, "edge.bin": b"e" * 8193, "big.bin": os.urandom(8) * 200000}
        for name, content in files.items():
            with open(www + name, "wb") as f:
                f.write(content)
        for base, _, names in os.walk(www):
            for n in names:
                os.utime(os.path.join(base, n), (1700000000, 1700000000))
                os.chmod(os.path.join(base, n), 0o644)
        os.mkfifo(www + "fifo")
        with open(www + "big.bin", "wb") as f:
            f.write(b"0123456789" * 100000)
        os.utime(www + "big.bin", (1700000000, 1700000000))


@pytest.fixture
def both(remora):
    with Both(remora, CONF) as b:
        fill(b.nginx.dir, b.remora.dir)
        yield b


PATHS = ["/", "/a.html", "/b.txt", "/c.xy", "/D.XY", "/noext", "/.html", "/zero.html", "/nope", "/nope/", "/dir",
         "/dir/", "/dir?x=y", "/empty/", "/a.html/", "/a.html/x", "/sp%20ace%3F.html", "/mid.bin", "/edge.bin",
         "/big.bin", "/%2e%2e/a.html", "//a.html", "/x/../a.html", "/fifo", "/al/", "/al/index.html", "/al/nope",
         "/rx/a.html", "/rx/nope", "/idx/?i=c.html", "/two/", "/abs/", "/try", "/try/one", "/try/two",
         "/try/dir", "/try/nope", "/try/fall", "/try/named", "/try/args", "/try/code", "/noetag/a.html",
         "/copy/big.bin", "/copy/mid.bin", "/quiet", "/" + "x" * 300]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_paths_and_methods(both, method):
    for path in PATHS:
        both.same(method, path)


DATE, LATER, EARLIER = ("Tue, 14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:21 GMT",
                        "Tue, 14 Nov 2023 22:13:19 GMT")
TAG = '"6553f100-6"'


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_preconditions(both, method):
    for fields in [{"If-Modified-Since": DATE}, {"If-Modified-Since": LATER}, {"If-Modified-Since": EARLIER},
                   {"If-Modified-Since": "junk"}, {"If-None-Match": TAG}, {"If-None-Match": "W/" + TAG},
                   {"If-None-Match": "*"}, {"If-None-Match": f'"a", {TAG}'}, {"If-None-Match": '"a"'},
                   {"If-Match": TAG}, {"If-Match": '"a"'}, {"If-Match": "*"}, {"If-Unmodified-Since": DATE},
                   {"If-Unmodified-Since": EARLIER}, {"If-None-Match": '"a"', "If-Modified-Since": DATE}]:
        for path in ("/a.html", "/noetag/a.html", "/before/a.html", "/never/a.html"):
            both.same(method, path, fields)


def test_an_empty_index_name_is_none(both):
    # in nginx it leads back to the directory, again and again, until 500
    assert both.remora.get("web", "/idx/").body == b"b"


def test_not_modified_has_no_body(both):
    # nginx lets the older date win; RFC 9110 section 13.1.3 does not
    fields = {"If-None-Match": TAG, "If-Modified-Since": EARLIER}
    assert both.remora.request("web", "GET", "/a.html", fields).status == 304
    response = both.same("GET", "/a.html", {"If-None-Match": TAG})
    assert response.status == 304 and response.headers["etag"] == TAG


@pytest.mark.parametrize("path,size", [("/a.html", 6), ("/mid.bin", 8192), ("/big.bin", 1000000),
                                       ("/copy/big.bin", 1000000)])
def test_ranges(both, path, size):
    for spec in ["0-1", "2-", "-2", "0-0", f"{size - 1}-", f"0-{size * 2}", f"-{size * 2}", " 1-3", f"{size // 2}-"]:
        response = both.same("GET", path, {"Range": "bytes=" + spec})
        assert response.status == 206
    for spec in [f"{size}-", "2-1", "x", "-0"]:  # nginx repeats fields in its 416
        response = both.remora.get("web", path, Range="bytes=" + spec)
        assert response.status == 416 and response.headers["content-range"] == f"bytes */{size}"
    both.same("GET", path, {"Range": "lines=0-1"})
    both.same("GET", path, {"Range": "bytes=0-1", "If-Range": '"other"'})
    both.same("GET", path, {"Range": "bytes=0-1", "If-Range": DATE})


def test_a_slow_reader_gets_all(both):
    """More than the socket's buffers hold, so that sending stops and goes on."""
    for path in ("/big.bin", "/copy/big.bin"):
        for server in (both.remora,):
            big = server.dir + "/www/big.bin"
            with open(big, "wb") as f:
                f.write(b"0123456789abcdef" * (1 << 19))
            with server.client() as c:
                c.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\nGET /a.html HTTP/1.1\r\nHost: x\r\n\r\n")
                first = c.stream.until(b"\r\n\r\n")
                assert b" 200 OK" in first
                assert c.stream.take(16 << 19) == b"0123456789abcdef" * (1 << 19)
                assert c.response().body == b"hello\n"


def test_a_file_that_shrinks_ends_the_connection(remora):
    r = remora(CONF, allow=["ended before the length announced", "sendfile"])
    fill(r.dir)
    path = r.dir + "/www/big.bin"
    with open(path, "wb") as f:
        f.truncate(64 << 20)
    with r.client() as c:
        c.send("GET /copy/big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        c.stream.until(b"\r\n\r\n")
        with open(path, "wb") as f:
            f.truncate(100)
        assert len(c.stream.rest()) < 64 << 20
    assert r.get("web", "/a.html").body == b"hello\n"


def test_log_lines(remora):
    r = remora(CONF)
    fill(r.dir)
    os.chmod(r.dir + "/www/b.txt", 0)
    assert r.get("web", "/nope").status == 404
    r.wait_log(rf'\[error\] .*open\(\) "{r.dir}/www/nope" failed \(2: No such file or directory\), client: 127.0.0.1')
    assert r.get("web", "/nope/").status == 404
    r.wait_log(rf'"{r.dir}/www/nope/index.html" is not found \(2: No such file or directory\)')
    assert r.get("web", "/empty/").status == 403
    r.wait_log(rf'directory index of "{r.dir}/www/empty/" is forbidden')
    if os.geteuid() == 0:
        assert r.get("web", "/b.txt").status == 403
        r.wait_log(rf'open\(\) "{r.dir}/www/b.txt" failed \(13: Permission denied\)')
    assert r.get("web", "/quiet").status == 404
    assert "/www/quiet" not in r.log()


def test_descriptors_do_not_leak(remora):
    r = remora(CONF)
    fill(r.dir)
    fds = f"/proc/{wait_for(r.workers)[0]}/fd"
    for path in PATHS:  # whatever is opened once is open now
        r.get("web", path)
    before = len(os.listdir(fds))
    for _ in range(5):
        for path in PATHS:
            for method in ("GET", "HEAD", "POST"):
                r.request("web", method, path)
        r.request("web", "GET", "/big.bin", {"Range": "bytes=1-"})
        r.request("web", "GET", "/a.html", {"If-None-Match": TAG})
        for path in ("/big.bin", "/copy/big.bin"):  # clients that leave
            with r.client() as c:
                c.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_for(lambda: len(os.listdir(fds)) <= before, "closed files")


OUTSIDE = """http { access_log off; server { listen 127.0.0.1:@PORT:web@;
    location /slash { alias @DIR@/in/; }
    location /exact/ { alias @DIR@/in/; }
    location /none { alias @DIR@/in; }
    location ~ ^/re(.*)$ { alias @DIR@/in/$1; }
    location ~ ^/meant/(.*)$ { alias @DIR@/in/../in/$1; }
    location /to/ { root @DIR@/in; rewrite ^/to(/.*)$ $1 break; }
    location /turned { root @DIR@/in; rewrite ^/turned(.*)$ /$1 break; }
    location /try { root @DIR@/in; try_files /$arg_f =404; }
    location /by { root @DIR@/in/$arg_f; }
    location /stored { proxy_pass http://%(addr)s; proxy_store on; alias @DIR@/in/; }
    location ~ ^/kept(.*)$ { proxy_pass http://%(addr)s; proxy_store @DIR@/in/$1; }
} }"""


def test_no_way_out_of_the_root(remora, backend):
    """Whatever the URI: what answers is in the directory, and what is stored goes there."""
    r = remora(OUTSIDE % {"addr": backend(ok(b"stored")).addr})
    os.makedirs(r.dir + "/in/deep/.../..x")
    os.chmod(r.dir + "/in", 0o777)
    for name in ("secret", "in/inside", "in/deep/inside", "in/deep/.../..x/inside"):
        with open(f"{r.dir}/{name}", "w") as f:
            f.write(name)
    for path in ("/slash/inside", "/exact/inside", "/none/inside", "/re/inside", "/meant/inside", "/to/inside",
                 "/turned/inside", "/slash/deep/.../..x/inside", "/try?f=inside"):
        assert b"inside" in r.get(path=path).body, path
    assert r.get(path="/slash../secret").status == r.get(path="/re../secret").status == 403
    assert r.get(path="/try?f=../secret").status == 404
    assert "leads out of the root" in r.log()
    rng = random.Random(5)
    parts = ["..", "..", ".", "...", "..x", "%2e%2e", "deep", "inside", "secret", "", "%2f..", "..%2f", "in"]
    with r.client() as client:
        for place in ["/slash", "/exact/", "/none", "/re", "/meant/", "/to/", "/turned", "/try?f=", "/by?f=", "/stored", "/kept"]:
            for n in range(60):
                path = "/".join(rng.choice(parts) for _ in range(rng.randrange(1, 5))) if n else "../secret"
                response = client.get(place + path)
                assert b"secret" not in response.body, place + path
                if "close" in response.headers.get("connection", ""):
                    client = r.client()
    r.get(path="/stored/fine"), r.get(path="/kept/good"), r.get(path="/stored../bad"), r.get(path="/kept../bad")
    assert {"fine", "good"} <= set(os.listdir(r.dir + "/in"))
    assert "bad" not in os.listdir(r.dir)
    with open(r.dir + "/secret") as f:
        assert f.read() == "secret"
