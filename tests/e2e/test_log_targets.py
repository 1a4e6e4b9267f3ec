# SPDX-License-Identifier: Apache-2.0
"""Where logs go besides plain files: syslog, gzip, files that stay open; and what does not start."""
import gzip
import os
import re
import socket
import subprocess
import zlib
from signal import SIGKILL, SIGUSR1

import pytest
from conftest import free_port, run_remora, wait_for
from oracle import NGINX, Both


class Syslog:
    """A server that keeps what it gets: on a port, or at a path."""

    def __init__(self, path=None, port=0):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_DGRAM)
        if path and os.path.exists(path):
            os.unlink(path)
        self.socket.bind(path or ("127.0.0.1", port))
        if path:
            os.chmod(path, 0o777)
        self.socket.settimeout(10)
        self.at = f"unix:{path}" if path else "127.0.0.1:%d" % self.socket.getsockname()[1]

    def port(self):
        return self.socket.getsockname()[1]

    def next(self):
        return self.socket.recv(65536).decode("latin-1")

    def rest(self):
        """What has arrived by now."""
        found = []
        self.socket.setblocking(False)
        try:
            while True:
                found.append(self.next())
        except BlockingIOError:
            self.socket.settimeout(10)
            return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        if self.path:
            os.unlink(self.path)


HEADER = r"<(\d+)>([A-Z][a-z]{2} [ 1-3]\d \d\d:\d\d:\d\d) "
HOST = re.escape(socket.gethostname().lower())


def test_access_log_to_syslog(remora):
    with Syslog() as log:
        r = remora("""http { log_format u '$uri:$status';
            server { listen 127.0.0.1:@PORT:web@;
                location / { access_log syslog:server=%(s)s; return 200 x; }
                location /u { access_log syslog:server=%(s)s u; return 200 x; }
                location /f { access_log syslog:server=%(s)s,facility=user u; return 200 x; }
                location /s { access_log syslog:severity=alert,server=%(s)s,tag=SEE_1 u; return 200 x; }
                location /n { access_log syslog:server=%(s)s,nohostname u; return 200 x; }
                location /t { access_log syslog:server=%(s)s u; access_log syslog:server=%(s)s,tag=b u; return 200 x; }
                location /i { access_log syslog:server=%(s)s u if=$arg_log; return 200 x; }
                location /e { access_log syslog:server=%(s)s,tag=e u; access_log @DIR@/e.log u; return 200 x; }
            } }""" % {"s": log.at})

        def line(path, expected):
            r.get("web", path)
            got = log.next()
            assert re.fullmatch(expected, got), got
        line("/", f"<190>.* {HOST} remora: " r'127\.0\.0\.1 - - \[.*\] "GET / HTTP/1\.1" 200 1 "-" "-"')
        line("/u", HEADER + f"{HOST} remora: /u:200")
        line("/f", f"<14>.* {HOST} remora: /f:200")
        line("/s", f"<185>.* {HOST} SEE_1: /s:200")
        line("/n", HEADER + "remora: /n:200")
        line("/t", f".* {HOST} remora: /t:200")
        assert log.next().endswith(f" {HOST} b: /t:200")
        for path in ("/i", "/i?log=0", "/i?log="):
            r.get("web", path)
        line("/i?log=yes", ".* remora: /i:200")
        line("/e%0A<1>x", r".* e: /e\\x0A<1>x:200")  # no client makes lines of its own
        assert log.rest() == []


def test_error_log_to_syslog(remora, tmp_path):
    with Syslog() as log, Syslog() as main:
        r = remora("""error_log syslog:server=%(m)s,nohostname notice;
error_log @DIR@/error.log notice;
error_log %(f)s notice;
            http { server { listen 127.0.0.1:@PORT:web@;
                location /e { root @DIR@/none; error_log syslog:server=%(s)s; }
                location /u { root @DIR@/none; error_log syslog:server=%(s)s,facility=user,tag=t; }
                location /v { root @DIR@/none; error_log syslog:server=%(s)s,severity=alert; }
                location /twice { root @DIR@/none; error_log syslog:server=%(s)s; error_log syslog:server=%(s)s warn; }
                location /high { root @DIR@/none; error_log syslog:server=%(s)s crit; error_log @DIR@/h.log; }
                location /main { root @DIR@/none; }
            } }""" % {"s": log.at, "m": main.at, "f": tmp_path / "error.log"})
        text = r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[error\] \d+#\d+: \*\d+ open\(\) .* failed \(2: .*, request: .*"
        for path, header in [("/e", HEADER + f"{HOST} remora: "), ("/u", f"<11>.* {HOST} t: "), ("/v", "<187>.*: ")]:
            r.get("web", path)
            got = log.next()
            assert re.fullmatch(header + text, got), got
            assert log.rest() == []
        r.get("web", "/twice")
        assert log.next() == log.next()
        r.get("web", "/high")
        assert "/high" in wait_for(lambda: open(r.dir + "/h.log").read(), "the file")
        assert log.rest() == []
        r.get("web", "/main")
        wait_for(lambda: "/main" in r.log(), "the line in the file")
        told = "".join(x + "\n" for x in main.rest())
        r.reload()
        r.get("web", "/main")
        wait_for(lambda: r.log().count('"GET /main') == 2, "the line in the file")
        r.stop()
        told += "".join(x + "\n" for x in main.rest())
        told_to_file = (tmp_path / "error.log").read_text()
    # both were told the same, by master, agent and workers of two generations
    assert sorted(re.findall(r"(?m)^<\d+>\S+ +\d+ \S+ remora: (.*)", told)) == sorted(told_to_file.splitlines())


@pytest.mark.parametrize("kind", ["udp", "unix"])
def test_a_syslog_server_that_comes_and_goes(remora, kind):
    port = free_port()
    r = remora("""worker_processes 1;
        http { log_format u '$uri'; access_log syslog:server=%s u;
        server { listen 127.0.0.1:@PORT:web@; return 200 x; } }"""
               % ("unix:@DIR@/log" if kind == "unix" else f"127.0.0.1:{port}"))
    where = (r.dir + "/log", 0) if kind == "unix" else (None, port)
    with r.client() as c:
        for _ in range(3):
            for _ in range(3):
                c.get("/lost")
            with Syslog(*where) as log:
                def arrives():
                    c.get("/one")
                    return any(x.endswith(": /one") for x in log.rest())
                wait_for(arrives, "a line after the server came back")


def test_a_syslog_server_that_does_not_read_delays_nobody(remora):
    r = remora("""worker_processes 1;
        http { log_format u '$uri'; access_log syslog:server=unix:@DIR@/log u; access_log @DIR@/a.log u;
        server { listen 127.0.0.1:@PORT:web@; return 200 x; } }""")
    with Syslog(r.dir + "/log") as log, r.client() as c:
        for i in range(900):
            c.get(f"/{i}")
        wait_for(lambda: open(r.dir + "/a.log").read().count("\n") == 900, "all lines in the file")
        assert 0 < len(log.rest()) < 900
        r.wait_log(r'\[error\] .* send\(\) to syslog server ".*/log" failed \(11: ')
        c.get("/after")
        assert log.next().endswith(": /after")
    assert r.log().count("to syslog server") == 1


def members(path):
    """What a gzip file holds so far, and in how many members."""
    with open(path, "rb") as f:
        data, text, n = f.read(), b"", 0
    while data:
        z = zlib.decompressobj(31)
        text += z.decompress(data) + z.flush()
        assert z.eof
        data, n = z.unused_data, n + 1
    return text, n


def test_gzip(remora, tmp_path):
    os.chmod(tmp_path, 0o755)
    kept = str(tmp_path / "kept.gz")
    r = remora("""http { log_format u '$uri';
        server { listen 127.0.0.1:@PORT:web@;
            location /f { access_log @DIR@/f.gz u gzip flush=100ms; return 200 x; }
            location /b { access_log @DIR@/b.gz u gzip=9 buffer=100; return 200 x; }
            location /k { access_log %s u gzip=5; return 200 x; }
        } }""" % kept)
    r.get("web", "/f1")
    wait_for(lambda: members(r.dir + "/f.gz") == (b"/f1\n", 1), "the time to flush")
    r.get("web", "/f2")
    wait_for(lambda: members(r.dir + "/f.gz") == (b"/f1\n/f2\n", 2), "the time to flush again")
    with r.client() as c:
        for i in range(100):
            c.get(f"/b{i:02}/3456789")
        c.get("/b" + "x" * 2000)
    expected = b"".join(b"/b%02d/3456789\n" % i for i in range(100)) + b"/b" + b"x" * 2000 + b"\n"
    wait_for(lambda: members(r.dir + "/b.gz") == (expected, 16), "what did not fit any more")
    r.get("web", "/k")
    r.stop()
    assert gzip.open(kept).read() == b"/k\n"


def test_lines_that_wait_go_to_the_old_file(remora):
    r = remora("""worker_processes 2;
        http { log_format u '$uri'; access_log @DIR@/a.log u buffer=64k;
        server { listen 127.0.0.1:@PORT:web@; location / { return 200 x; }
            location /z { access_log @DIR@/z.gz u gzip; return 200 x; } } }""")
    for i in range(50):
        r.get("web", "/z/old")
        r.get("web", "/old")
    for name in ("a.log", "z.gz"):
        assert os.path.getsize(f"{r.dir}/{name}") == 0
        os.rename(f"{r.dir}/{name}", f"{r.dir}/{name}.1")
    r.signal(SIGUSR1)
    wait_for(lambda: open(r.dir + "/a.log.1").read() == "/old\n" * 50, "the old file")
    wait_for(lambda: members(r.dir + "/z.gz.1")[0] == b"/z/old\n" * 50, "the old archive")
    wait_for(lambda: all(os.path.exists(f"{r.dir}/{n}") for n in ("a.log", "z.gz")), "the new files")
    assert os.path.getsize(r.dir + "/a.log") == os.path.getsize(r.dir + "/z.gz") == 0


def test_one_file_has_one_buffer(remora):
    """As nginx does: what is logged there without asking for a buffer keeps its place in line."""
    conf = """worker_processes 1; http { log_format u '$uri';
        server { listen 127.0.0.1:@PORT:web@;
            location /b { access_log @DIR@/a.log u buffer=4k flush=100ms; return 200 x; }
            location /p { access_log @DIR@/a.log u; return 200 x; } } }"""
    with Both(remora, conf) as both:
        for path in ("/b1", "/p1", "/b2", "/p2"):
            both.same("GET", path)
        for server in (both.nginx, both.remora):
            wait_for(lambda: open(server.dir + "/a.log").read() == "/b1\n/p1\n/b2\n/p2\n", "the lines in order")


def test_names_with_variables_need_a_root(remora):
    conf = """worker_processes 1; user root; http { log_format u '$uri';
        server { listen 127.0.0.1:@PORT:web@; access_log @DIR@/v-$arg_a.log u;
            location / { root @DIR@; return 200 x; }
            location /none { root @DIR@/nothing; return 200 x; }
            location /dir { root @DIR@; access_log @DIR@/no/$arg_a.log u; return 200 x; } } }"""
    with Both(remora, conf) as both:
        for path in ("/?a=1", "/none?a=2", "/dir?a=3", "/?a="):
            both.same("GET", path)
        for server in (both.nginx, both.remora):
            wait_for(lambda: os.path.exists(server.dir + "/v-.log"), "the last file")
            assert sorted(x for x in os.listdir(server.dir) if x.startswith("v-")) == ["v-.log", "v-1.log"]
            assert re.search(r'\[error\] \d+#\d+: \*\d+ testing ".*/nothing" existence failed \(2: No such file or '
                             r'directory\) while logging request, client: 127.0.0.1, server: , request: "GET /none',
                             server.log())
            assert re.search(r'\[crit\] \d+#\d+: \*\d+ open\(\) ".*/no/3.log" failed \(2: No such file or directory\) '
                             r'while logging request, client: 127.0.0.1, server: , request: "GET /dir', server.log())


def test_open_log_file_cache(remora):
    conf = """worker_processes 1; user root; http { log_format u '$uri'; root @DIR@;
        server { listen 127.0.0.1:@PORT:web@;
            location / { open_log_file_cache max=3 inactive=20s valid=1m min_uses=2;
                access_log @DIR@/logs/$arg_n u; return 200 x;
                location /off { open_log_file_cache off; access_log @DIR@/logs/$arg_n u; return 200 x; } }
            location /soon { open_log_file_cache max=9 valid=0; access_log @DIR@/logs/$arg_n u; return 200 x; } } }"""
    with Both(remora, conf) as both:
        for server in (both.nginx, both.remora):
            os.mkdir(server.dir + "/logs")
        for name in ("lru", "lru", "once", "one", "one", "two", "two"):
            both.same("GET", "/?n=" + name)
        for path in ("/off?n=off", "/off?n=off", "/soon?n=soon", "/soon?n=soon"):
            both.same("GET", path)
        for server in (both.nginx, both.remora):
            wait_for(lambda: os.path.exists(server.dir + "/logs/soon") and
                     open(server.dir + "/logs/soon").read().count("\n") == 2, "the last line")
            os.rename(server.dir + "/logs", server.dir + "/moved")
        for path in ("/?n=lru", "/?n=once", "/?n=one", "/?n=two", "/off?n=off", "/soon?n=soon"):
            both.same("GET", path)
        for server in (both.nginx, both.remora):
            wait_for(lambda: '"GET /soon?n=soon' in server.log(), "the last request's complaint")
            count = {n: open(f"{server.dir}/moved/{n}").read().count("\n") for n in os.listdir(server.dir + "/moved")}
            assert count == {"lru": 2, "once": 1, "one": 3, "two": 3, "off": 2, "soon": 2}, server


WRONG = [
    "error_log syslog:;",
    "error_log syslog:facility=user;",
    "error_log syslog:server=nx.invalid;",
    "error_log syslog:server=127.0.0.1,foo=1;",
    "error_log syslog:server=127.0.0.1,server=127.0.0.1;",
    "error_log syslog:server=127.0.0.1,facility=us;",
    "error_log syslog:server=127.0.0.1,severity=warning;",
    "error_log syslog:server=127.0.0.1,tag=a-b;",
    "error_log syslog:server=127.0.0.1,tag=a23456789012345678901234567890123;",
    "error_log syslog:server=127.0.0.1 bar;",
    "error_log syslog:server=127.0.0.1 warn error;",
    "error_log /tmp/e.log foo;",
    "access_log syslog:server=127.0.0.1 combined buffer=1k;",
    "access_log syslog:server=127.0.0.1 combined gzip;",
    "access_log syslog:server=127.0.0.1 combined flush=1s;",
    "access_log syslog:server=127.0.0.1,x combined;",
    "access_log @DIR@/a combined gzip=0;",
    "access_log @DIR@/a combined gzip=10;",
    "access_log @DIR@/a combined gzip=;",
    "access_log @DIR@/a combined gzipx;",
    "access_log @DIR@/a combined buffer=0;",
    "access_log @DIR@/a combined gzip flush=0;",
    "access_log @DIR@/a combined flush=1s;",
    "access_log @DIR@/a combined gzip; access_log @DIR@/a combined buffer=64k;",
    "access_log @DIR@/a combined gzip; access_log @DIR@/a combined gzip flush=1s;",
    "access_log @DIR@/$uri combined gzip;",
    "access_log off combined;",
    "open_log_file_cache off; open_log_file_cache max=1;",
    "open_log_file_cache inactive=1s;",
    "open_log_file_cache max=0;",
    "open_log_file_cache max=x;",
    "open_log_file_cache max=1 inactive=x;",
    "open_log_file_cache max=1 foo;",
    "open_log_file_cache;",
]
RIGHT = [
    "error_log syslog:server=127.0.0.1;",
    "error_log syslog:server=127.0.0.1:1,nohostname,nohostname,tag= info; error_log stderr;",
    "error_log syslog:server=unix:/nonexistent/log debug;",
    "access_log syslog:server=[::1],facility=local0,severity=warn,tag=x combined if=$arg_a;",
    "access_log @DIR@/a combined gzip; access_log @DIR@/a combined gzip=1 buffer=64k; access_log @DIR@/a;",
    "access_log off; access_log @DIR@/a;",
    "open_log_file_cache max=1 inactive=0 valid=0 min_uses=0;",
    "open_log_file_cache off;",
]


def complaints(text):
    """The lines of [emerg] and [warn], without their product, time and file."""
    found = re.findall(r"\[(?:emerg|warn)\] (?:\d+#\d+: )?(.*?)(?: in \S+:\d+)?$", text, re.M)
    return [x for x in found if "_temp_path" not in x]


@pytest.mark.parametrize("line", WRONG + RIGHT)
def test_what_starts(tmp_path, line):
    """The same configurations as nginx takes, and the same words where it takes none."""
    temp = " ".join(f"{n}_temp_path {tmp_path}/t;" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf = tmp_path / "c.conf"
    conf.write_text(f"pid {tmp_path}/p; events {{ }} http {{ {temp} access_log off;\n"
                    f"server {{ listen 127.0.0.1:{free_port()}; {line.replace('@DIR@', str(tmp_path))} }} }}\n")
    args = ["-t", "-p", str(tmp_path), "-c", str(conf), "-e", "stderr"]
    ours = run_remora(*args)
    assert (ours.returncode == 0) == (line in RIGHT), ours.stderr
    if NGINX is None:
        pytest.skip("nginx is not installed")
    theirs = subprocess.run([NGINX, *args], capture_output=True, text=True, timeout=60)
    assert ours.returncode == theirs.returncode
    assert complaints(ours.stderr) == complaints(theirs.stderr)


def test_logs_in_memory_are_refused(tmp_path):
    conf = tmp_path / "c.conf"
    conf.write_text("error_log memory:32m debug;\nevents { }\n")
    ours = run_remora("-t", "-p", str(tmp_path), "-c", str(conf))
    assert ours.returncode == 1 and '"error_log" to memory is not supported' in ours.stderr


def test_a_worker_that_dies_takes_its_syslog_socket_along(remora):
    """Each process has its own; the next worker opens another."""
    with Syslog() as log:
        r = remora("""worker_processes 1;
            http { log_format u '$pid'; access_log syslog:server=%s u;
            server { listen 127.0.0.1:@PORT:web@; return 200 x; } }""" % log.at, allow=["signal 9"])
        for _ in range(3):
            old = r.workers()
            r.get("web", "/")
            assert log.next().endswith(f": {old[0]}")
            os.kill(old[0], SIGKILL)
            r.wait_workers(old)
