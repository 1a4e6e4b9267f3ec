# SPDX-License-Identifier: Apache-2.0
"""Filters under load: large bodies, slow clients, pieces of any size, clients that leave, rates.

What filters decide is compared with nginx in differential/filters.txt.
"""
import gzip
import os
import random
import subprocess
import threading
import time
import zlib

import pytest
from conftest import Closed, ok, run_remora, wait_for
from oracle import NGINX

SANITIZED = b"__asan_init" in open(os.environ.get("REMORA", "/dev/null"), "rb").read()
CONF = """
    http {
        types { text/html html; text/plain txt; application/octet-stream bin; }
        gzip_types *; gzip_min_length 0; sub_filter_types *; sub_filter_once off;
        server {
            listen 127.0.0.1:@PORT:web@ sndbuf=64k;
            root @DIR@/www;
            location /plain/ { alias @DIR@/www/; }
            location /gz/ { gzip on; alias @DIR@/www/; }
            location /gzcopy/ { gzip on; sendfile off; alias @DIR@/www/; }
            location /tiny/ { sendfile off; output_buffers 1 100; postpone_output 0; alias @DIR@/www/; }
            location /gztiny/ { gzip on; output_buffers 1 100; alias @DIR@/www/; }
            location /gzsmall/ { gzip on; gzip_buffers 2 1k; gzip_comp_level 9; postpone_output 1m; alias @DIR@/www/; }
            location /sub/ { sub_filter 0123 <digits>; sub_filter zzzz ''; alias @DIR@/www/; }
            location /subgz/ { sub_filter 0123 <digits>; sub_filter zzzz ''; gzip on; alias @DIR@/www/; }
            location /around/ { addition_types *; gzip on; sub_filter 0123 <digits>; sub_filter zzzz '';
                                add_before_body /plain/text.txt; add_after_body /subpart/text.txt; alias @DIR@/www/; }
            location /subpart/ { sub_filter abcd ABCD; alias @DIR@/www/; }
            location /rate/ { limit_rate 200k; send_timeout 500ms; alias @DIR@/www/; }
            location /ratecopy/ { limit_rate 200k; limit_rate_after 100k; sendfile off; alias @DIR@/www/; }
            location /rategz/ { limit_rate 100k; gzip on; alias @DIR@/www/; }
            location /up/ { BACK }
            location /upgz/ { gzip on; BACK }
            location /upgzflush/ { gzip on; proxy_buffering off; BACK }
            location /upgznospill/ { gzip on; proxy_max_temp_file_size 0; BACK }
            location /upsubspill/ { sub_filter 0123 <digits>; sub_filter zzzz ''; proxy_buffers 4 4k;
                                    proxy_busy_buffers_size 4k; proxy_buffer_size 4k; BACK }
            location /upun/ { gunzip on; BACK }
            location /upunsmall/ { gunzip on; gunzip_buffers 2 1k; proxy_buffering off; BACK }
            location /upsub/ { sub_filter 0123 <digits>; sub_filter zzzz ''; proxy_buffering off; BACK }
            location /upall/ { gunzip on; sub_filter 0123 <digits>; sub_filter zzzz ''; gzip on; BACK }
            location /uprate/ { limit_rate 100k; BACK }
        }
    }
"""
BIG = 8 << 20


def text_of(size):
    return b"".join(b"%07d 0123456789 zzzz abcdefgh\n" % i for i in range(size // 33 + 1))[:size]


def substituted(text):
    return text.replace(b"0123", b"<digits>").replace(b"zzzz", b"")


def random_bytes(size):
    return random.Random(size).randbytes(size)


FILES = {"empty.txt": b"", "one.txt": b"x", "small.txt": text_of(100), "page.txt": text_of(5000),
         "edge.txt": text_of(8193), "text.txt": text_of(300000), "random.bin": random_bytes(300000),
         "big.bin": random_bytes(BIG), "bigtext.txt": text_of(BIG)}


@pytest.fixture
def site(remora, backend):
    def start(answer=ok(b""), **kw):
        b = backend(answer)
        r = remora(CONF.replace("BACK", f"proxy_pass http://{b.addr}; proxy_http_version 1.1;"), **kw)
        os.mkdir(r.dir + "/www")
        os.chmod(r.dir, 0o755)
        for name, data in FILES.items():
            with open(f"{r.dir}/www/{name}", "wb") as f:
                f.write(data)
        r.backend = b
        return r
    return start


def rss(r):
    with open(f"/proc/{r.workers()[0]}/status") as f:
        return int(next(line for line in f if line.startswith("VmRSS")).split()[1])


def fetch(client, path, **fields):
    response = client.request("GET", path, {"Accept-Encoding": "gzip", **fields})
    assert response.status == 200
    return response


def unzip(response):
    assert response.headers["content-encoding"] == "gzip"
    return gzip.decompress(response.body)


def test_files_in_tiny_pieces(site):
    with site().client() as c:
        for name in ("empty.txt", "one.txt", "edge.txt", "text.txt"):
            assert c.get(f"/tiny/{name}").body == FILES[name], name
            assert unzip(fetch(c, f"/gztiny/{name}")) == FILES[name], name


@pytest.mark.parametrize("where", ["gz", "gzcopy", "gzsmall"])
def test_gzip_of_files(site, where):
    with site().client() as c:
        for name, data in FILES.items():
            assert unzip(fetch(c, f"/{where}/{name}")) == data, name


def chunked(data, size):
    pieces = [data[i:i + size] for i in range(0, len(data), size)]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("make", [ok, lambda d: chunked(d, 1), lambda d: chunked(d, 1000),
                                  lambda d: chunked(d, 70000)], ids=["length", "1", "1000", "70000"])
def test_gzip_of_answers(site, make):
    text = text_of(70001)
    with site(make(text)).client() as c:
        assert unzip(fetch(c, "/upgz/")) == text
        assert unzip(fetch(c, "/upgzflush/")) == text
        assert fetch(c, "/upsub/").body == substituted(text)
        assert unzip(fetch(c, "/upall/")) == substituted(text)


@pytest.mark.parametrize("size", [0, 1, 100, 16384, 1 << 20])
def test_gunzip(site, size):
    text = text_of(size)
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = packed.compress(text) + packed.flush()
    with site(ok(packed, ["Content-Encoding: gzip"])).client() as c:
        for where in ("upun", "upunsmall"):
            response = c.get(f"/{where}/")
            assert "content-encoding" not in response.headers and response.body == text
        assert fetch(c, "/upun/").body == packed
        assert c.get("/upall/").body == substituted(text)


def test_sub_filter_of_files(site):
    with site().client() as c:
        for name, data in FILES.items():
            assert c.get(f"/sub/{name}").body == substituted(data), name
            assert unzip(fetch(c, f"/subgz/{name}")) == (substituted(data) if data else data), name


@pytest.mark.parametrize("broken", [b"no gzip at all", gzip.compress(b"x" * 5000)[:30],
                                    gzip.compress(b"x" * 5000)[:-3] + b"abc"], ids=["junk", "cut", "checksum"])
def test_broken_gzip_ends_the_connection(site, broken):
    r = site(ok(broken, ["Content-Encoding: gzip"]))
    with r.client() as c:
        c.send("GET /upun/ HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(Closed):
            c.response()
    r.wait_log("gzip data is broken")
    with r.client() as c:
        assert c.get("/plain/one.txt").body == b"x"


def test_pieces_are_flushed(site):
    """With proxy_buffering off, what has come reaches the client in full, compressed or not."""
    paths = {"/upgzflush/": True, "/upsub/": False}
    seen_by_client = {path: threading.Semaphore(0) for path in paths}

    def answer(request):
        request.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            request.sock.sendall(b"5\r\nhello\r\n")
            assert seen_by_client[request.path].acquire(timeout=10)
        return b"0\r\n\r\n"

    r = site(answer)
    for path, unpack in paths.items():
        with r.client() as c:
            c.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
            c.stream.until(b"\r\n\r\n")
            inflate, seen = zlib.decompressobj(31), b""
            for number in range(1, 4):
                while len(seen) < 5 * number:
                    piece = c.stream.take(int(c.stream.until(b"\r\n"), 16))
                    c.stream.take(2)
                    seen += inflate.decompress(piece) if unpack else piece
                assert seen == b"hello" * number
                seen_by_client[path].release()


@pytest.mark.parametrize("path,length", [("/gz/big.bin", BIG), ("/sub/bigtext.txt", len(substituted(text_of(BIG)))),
                                         ("/upun/", 64 << 20), ("/upunsmall/", 64 << 20)])
def test_slow_readers_hold_little(site, path, length):
    """A filter stops when its client does, whatever it could still make."""
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(64)) + bomb.flush()
    r = site(ok(bomb, ["Content-Encoding: gzip"]))
    accept = "Accept-Encoding: gzip\r\n" if path.startswith("/gz/") else ""
    with r.client() as c:
        c.get("/gz/text.txt", **{"Accept-Encoding": "gzip"})
        before = rss(r)
        c.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n{accept}\r\n")
        assert b" 200 " in c.stream.until(b"\r\n\r\n")
        time.sleep(0.5)  # for it to go as far as it gets
        assert SANITIZED or rss(r) - before < 4096
        with r.client() as other:  # nobody else waits
            assert other.get("/plain/one.txt").body == b"x"
        total, inflate = 0, zlib.decompressobj(31) if accept else None
        while True:
            n = int(c.stream.until(b"\r\n"), 16)
            piece = c.stream.take(n + 2)[:-2]
            if n == 0:
                break
            total += len(inflate.decompress(piece)) if inflate else n
        assert total == length
        assert SANITIZED or rss(r) - before < 4096
        assert c.get("/plain/one.txt").body == b"x"


@pytest.mark.parametrize("path", ["/upgz/", "/upgzflush/", "/upgznospill/", "/upsubspill/"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_slow_readers_of_answers(site, path, framing):
    """The relay behind a filter that stops goes on when the filter does."""
    data = text_of(BIG) if "sub" in path else random_bytes(BIG)
    r = site(ok(data) if framing == "length" else chunked(data, 50000))
    with r.client() as c:
        c.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
        assert b" 200 " in c.stream.until(b"\r\n\r\n")
        time.sleep(0.3)
        _, body, _ = c.stream.chunked()
        assert body == substituted(data) if "sub" in path else gzip.decompress(body) == data
        assert c.get("/plain/one.txt").body == b"x"


def test_bodies_around_a_body(site):
    """Each request's own filters see its own body, gzip sees all of them."""
    r = site()
    text = FILES["text.txt"]
    for name in ("small.txt", "text.txt", "bigtext.txt"):
        with r.client() as c:
            c.send(f"GET /around/{name} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
            assert b"gzip" in c.stream.until(b"\r\n\r\n")
            time.sleep(0.1)
            _, body, _ = c.stream.chunked()
            assert gzip.decompress(body) == text + substituted(FILES[name]) + text.replace(b"abcd", b"ABCD")
            assert c.get("/plain/one.txt").body == b"x"


def test_clients_that_leave(site):
    text = text_of(3 << 20)
    r = site(ok(gzip.compress(text), ["Content-Encoding: gzip"]))
    fds = f"/proc/{wait_for(r.workers)[0]}/fd"
    paths = ["/around/bigtext.txt", "/gz/big.bin", "/gzcopy/big.bin", "/sub/bigtext.txt", "/subgz/bigtext.txt", "/upun/", "/upall/",
             "/rate/big.bin", "/uprate/", "/rategz/big.bin"]
    with r.client() as c:
        c.get("/plain/one.txt")
        c.get("/up/")
    before = len(os.listdir(fds))
    for path in paths * 3:
        with r.client() as c:
            c.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
            c.stream.take(1000)
    wait_for(lambda: len(os.listdir(fds)) <= before + 1, "descriptors closed")
    with r.client() as c:
        assert c.get("/upun/").body == text


@pytest.mark.parametrize("path,size,least,most", [
    ("/rate/text.txt", 300000, 0.3, 1.5), ("/ratecopy/text.txt", 300000, 0.0, 0.9),
    ("/rategz/random.bin", 300000, 1.6, 3.5), ("/uprate/", 300000, 1.6, 3.5)])
def test_limit_rate(site, path, size, least, most):
    """A second's worth at once, then by time; send_timeout does not count meanwhile."""
    r = site(ok(random_bytes(size)))
    with r.client() as c:
        began = time.monotonic()
        response = c.get(path, **{"Accept-Encoding": "gzip"})
        took = time.monotonic() - began
        assert len(response.body) >= size
        assert least <= took and (SANITIZED or took <= most)
        assert c.get("/plain/one.txt").body == b"x"


def test_limit_rate_is_not_for_tunnels(remora, backend):
    data = random_bytes(200000)

    def answer(request):
        request.sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + data)
        request.stream.take(3)
        return None

    b = backend(answer)
    r = remora("""http { server { listen 127.0.0.1:@PORT:web@; limit_rate 1k; location / { proxy_pass http://%s;
        proxy_http_version 1.1; proxy_set_header Upgrade x; proxy_set_header Connection upgrade; } } }""" % b.addr)
    with r.client() as c:
        c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        assert b" 101 " in c.stream.until(b"\r\n\r\n")
        assert c.stream.take(len(data)) == data
        c.send("end")


def test_limit_rate_is_each_requests_own(site):
    r = site()
    clients = [r.client() for _ in range(4)]
    began = time.monotonic()
    for c in clients:
        c.send("GET /rate/text.txt HTTP/1.1\r\nHost: x\r\n\r\n")
    for c in clients:
        assert c.response().body == FILES["text.txt"]
        c.close()
    assert SANITIZED or time.monotonic() - began < 2


def test_ranges_of_a_slow_transfer(site):
    with site().client() as c:
        response = c.get("/rate/big.bin", Range="bytes=1000-100999")
        assert response.status == 206 and response.body == FILES["big.bin"][1000:101000]
        response = c.get("/plain/big.bin", Range="bytes=7000000-7000009,5-6,100000-299999")
        boundary = response.headers["content-type"].split("boundary=")[1].encode()
        parts = response.body.split(b"\r\n--" + boundary)[1:-1]
        assert [p.split(b"\r\n\r\n", 1)[1] for p in parts] == [
            FILES["big.bin"][7000000:7000010], FILES["big.bin"][5:7], FILES["big.bin"][100000:300000]]


def test_reset_when_the_client_does_not_read(remora):
    """send_timeout, with and without reset_timedout_connection."""
    r = remora("""http { server { listen 127.0.0.1:@PORT:web@ sndbuf=32k; root @DIR@/www; send_timeout 300ms;
        location /limited/ { limit_rate 50m; alias @DIR@/www/; }
        location /hard/ { reset_timedout_connection on; alias @DIR@/www/; } } }""")
    os.mkdir(r.dir + "/www")
    os.chmod(r.dir, 0o755)
    with open(r.dir + "/www/big.bin", "wb") as f:
        f.truncate(64 << 20)
    for number, path in enumerate(("/big.bin", "/hard/big.bin", "/limited/big.bin"), 1):
        with r.client() as c:
            c.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
            r.wait_log("client timed out", count=number)
            try:
                left = len(c.stream.rest())
                assert left < 64 << 20
            except OSError:
                assert path.startswith("/hard/")


REFUSED = [
    "sub_filter '' x;", "sub_filter x;", "sub_filter_once maybe;", "sub_filter_types;",
    "gzip maybe;", "gzip on; gzip off;", "gzip_comp_level 0;", "gzip_comp_level 10;", "gzip_buffers 0 4k;",
    "gzip_buffers 4;", "gzip_http_version 2;", "gzip_proxied sometimes;", "gzip_min_length -1;",
    "gzip_disable (;", "gzip_static maybe;", "gunzip maybe;", "gunzip_buffers 4k;",
    "limit_rate fast;", "limit_rate -1;", "limit_rate_after 1x;", "max_ranges -1;", "max_ranges x;",
    "output_buffers 1;", "output_buffers 0 1k;", "postpone_output x;", "sendfile_max_chunk x;",
    "if_modified_since sometimes;", "add_trailer X;", "chunked_transfer_encoding maybe;",
]


@pytest.mark.parametrize("directive", REFUSED)
def test_refused_as_nginx_does(directive, tmp_path):
    conf = tmp_path / "c.conf"
    for context in ("http { %s server { listen 127.0.0.1:1; } }", "http { server { location / { %s } } }"):
        conf.write_text("events { } " + context % directive)
        ours = run_remora("-t", "-p", str(tmp_path), "-c", str(conf))
        assert ours.returncode == 1
        emerg = [line for line in ours.stderr.splitlines() if "[emerg]" in line]
        assert len(emerg) == 1, ours.stderr
        if NGINX is not None:
            theirs = subprocess.run([NGINX, "-t", "-p", str(tmp_path), "-c", str(conf), "-e", str(tmp_path / "log")],
                                    capture_output=True, text=True)
            assert theirs.returncode == 1
            assert emerg[0].split("[emerg] ")[1] in theirs.stderr


def test_accepted(tmp_path):
    conf = tmp_path / "c.conf"
    conf.write_text("""events { } http { gzip_types text/plain text/plain; sub_filter_types * text/html;
        server { limit_rate 0; limit_rate_after 0; max_ranges 0; gzip_min_length 0; output_buffers 1 1;
        location / { limit_rate $arg_l; sub_filter $arg_a ''; gzip_disable msie6 a.*b; if ($arg_x) { gzip on;
        limit_rate 1k; add_trailer X y always; } } } }""")
    result = run_remora("-t", "-p", str(tmp_path), "-c", str(conf))
    assert result.returncode == 0, result.stderr
    assert 'duplicate MIME type "text/plain"' in result.stderr and "[emerg]" not in result.stderr
