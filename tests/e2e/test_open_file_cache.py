# SPDX-License-Identifier: Apache-2.0
"""open_file_cache: what is remembered of files, for how long, compared with nginx where it is installed."""
import contextlib
import os

import pytest
from conftest import processes, run_remora, wait_for
from oracle import Both

CONF = """worker_processes 1; http { access_log off; root @DIR@/www; open_file_cache max=8 inactive=10m;
    open_file_cache_valid 10m; default_type text/x;
    server { listen 127.0.0.1:@PORT:web@;
        location / { }
        location /errors/ { alias @DIR@/www/; open_file_cache max=8; open_file_cache_errors on; }
        location /off/ { alias @DIR@/www/; open_file_cache off; }
        location /soon/ { alias @DIR@/www/; open_file_cache max=8; open_file_cache_valid 0; }
        location /rare/ { alias @DIR@/www/; open_file_cache max=8; open_file_cache_min_uses 3; }
        location /one/ { alias @DIR@/www/; open_file_cache max=1; }
        location /try/ { open_file_cache max=9; open_file_cache_errors on; try_files $uri $uri/ @no; }
        location /if/ { open_file_cache max=9; open_file_cache_errors on; if (-f $request_filename) { return 200 f; }
                        return 200 no; }
        location @no { return 200 no; }
    } }"""


class Trees:
    """The same changes to the files of both servers."""

    def __init__(self, both):
        self.dirs = [s.dir + "/www/" for s in (both.nginx, both.remora)]
        for d in self.dirs:
            os.makedirs(d)

    def write(self, name, content):
        """A new file in the old one's place, with a date of its own."""
        for d in self.dirs:
            os.makedirs(os.path.dirname(d + name), exist_ok=True)
            with open(d + name + ".new", "wb") as f:
                f.write(content)
            os.utime(d + name + ".new", (1700000000 + len(content), 1700000000 + len(content)))
            os.chmod(d + name + ".new", 0o644)
            os.rename(d + name + ".new", d + name)

    def remove(self, name):
        for d in self.dirs:
            os.unlink(d + name)


@pytest.fixture
def both(remora):
    with Both(remora, CONF) as b:
        b.trees = Trees(b)
        yield b


def test_a_replaced_file_stays_as_it_was(both):
    both.trees.write("a", b"first")
    assert both.same("GET", "/a").body == b"first"
    both.trees.write("a", b"the second")
    for path, body in (("/a", b"first"), ("/off/a", b"the second"), ("/soon/a", b"the second")):
        for method in ("GET", "HEAD", "GET"):
            response = both.same(method, path)
            assert response.body == (body if method == "GET" else b"")
    both.trees.remove("a")
    assert both.same("GET", "/a").body == b"first"
    assert both.same("GET", "/off/a").status == 404
    assert both.same("GET", "/soon/a").status == 404
    assert both.same("GET", "/a", {"Range": "bytes=1-2"}).body == b"ir"


def test_large_files_are_sent_from_what_is_open(both):
    big = bytes(range(256)) * 1000
    both.trees.write("big", big)
    for _ in range(2):
        assert both.same("GET", "/big").body == big
    both.trees.write("big", b"small")
    assert both.same("GET", "/big").body == big
    assert both.same("GET", "/big", {"Range": "bytes=1000-200000"}).body == big[1000:200001]
    assert b"\r\n\r\n\xff\r\n" in both.remora.get("web", "/big", Range="bytes=0-0,-1").body


def test_failures_only_where_asked_for(both):
    for path in ("/n", "/errors/n", "/try/n", "/if/n"):
        both.same("GET", path)
    both.trees.write("n", b"now")
    both.trees.write("try/n", b"now")
    both.trees.write("if/n", b"now")
    assert both.same("GET", "/n").status == 200
    assert both.same("GET", "/errors/n").status == 404
    assert both.same("GET", "/try/n").body == b"no"
    assert both.same("GET", "/if/n").body == b"no"
    both.trees.write("try/m", b"m")
    assert both.same("GET", "/try/m").body == b"m"
    both.trees.remove("try/m")
    assert both.same("GET", "/try/m").body == b"m"


def test_directories(both):
    both.trees.write("d/index.html", b"index")
    for path in ("/d", "/d/", "/d", "/d/"):
        both.same("GET", path)
    both.trees.write("d/index.html", b"another")
    assert both.same("GET", "/d/").body == b"index"
    assert both.same("GET", "/empty").status == 404


def test_rarely_used_files_are_opened_anew(both):
    both.trees.write("r", b"1")
    for n in range(3):
        assert both.same("GET", "/rare/r").body == b"1"
    both.trees.write("s", b"1")
    assert both.same("GET", "/rare/s").body == b"1"
    both.trees.write("r", b"22")
    both.trees.write("s", b"22")
    assert both.same("GET", "/rare/r").body == b"1"
    assert both.remora.get("web", "/rare/s").body == b"22"


def test_one_place(both):
    for name in ("x", "y"):
        both.trees.write(name, name.encode())
    for path in ("/one/x", "/one/y", "/one/x"):
        both.same("GET", path)
    both.trees.write("x", b"xx")
    both.trees.write("y", b"yy")
    assert both.same("GET", "/one/x").body == b"x"
    assert both.same("GET", "/one/y").body == b"yy"
    assert both.same("GET", "/one/x").body == b"xx"


def test_a_file_stays_open_for_whom_it_is_sent_to(both):
    """The cache gives the file's place to another one while a slow client still reads it."""
    big = b"0123456789abcdef" * (1 << 20)
    both.trees.write("big", big)
    both.trees.write("x", b"x")
    with both.remora.client() as c:
        c.send("GET /one/big HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 OK" in c.stream.until(b"\r\n\r\n")
        assert both.remora.get("web", "/one/x").body == b"x"
        both.trees.remove("big")
        assert both.remora.get("web", "/one/big").status == 404
        assert c.stream.take(len(big)) == big


def open_files(server):
    """How many files of www the processes of the instance hold."""
    links = []
    for pid in processes(server.process.pid):
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                links.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return sum(link.startswith(server.dir + "/www/") for link in links)


def test_unused_files_are_closed(remora):
    conf = """worker_processes 1; http { access_log off; server { listen 127.0.0.1:@PORT:web@; root @DIR@/www;
        open_file_cache max=100 inactive=1s; } }"""
    server = remora(conf)
    os.makedirs(server.dir + "/www")
    for n in range(20):
        with open(f"{server.dir}/www/f{n}", "w") as f:
            f.write("x" * n)
        assert server.get("web", f"/f{n}").status == 200
    assert open_files(server) > 0
    wait_for(lambda: open_files(server) == 0, "the end of what is not used")


@pytest.mark.parametrize("text,message", [
    ("open_file_cache max=0;", 'invalid "open_file_cache" parameter "max=0"'),
    ("open_file_cache inactive=3s;", '"open_file_cache" must have the "max" parameter'),
    ("open_file_cache max=3 valid=3s;", 'invalid "open_file_cache" parameter "valid=3s"'),
    ("open_file_cache max=3 inactive=x;", 'invalid "open_file_cache" parameter "inactive=x"'),
    ("open_file_cache max=3; open_file_cache off;", '"open_file_cache" directive is duplicate'),
    ("open_file_cache max=3 inactive=1s x;", 'invalid number of arguments in "open_file_cache" directive'),
    ("open_file_cache_min_uses x;", "invalid number"),
    ("open_file_cache_errors maybe;", 'invalid value "maybe"'),
])
def test_mistakes(tmp_path, text, message):
    conf = tmp_path / "r.conf"
    conf.write_text("events { } http { server { listen 127.0.0.1:1;\n " + text + " } }")
    done = run_remora("-t", "-p", str(tmp_path), "-c", str(conf))
    assert done.returncode == 1
    assert any(m in done.stderr for m in message.split("|")) and ":2" in done.stderr, done.stderr
