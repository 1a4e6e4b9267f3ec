# SPDX-License-Identifier: Apache-2.0
"""access_log and log_format: what is written, where, and when."""
import json
import os
import re
import time
from signal import SIGUSR1

from conftest import run_remora, wait_for
from oracle import Both

FORMATS = r"""
    log_format v '$remote_addr|$remote_user|$request|$status|$body_bytes_sent|$http_x_y|$arg_a|$uri|$args|$host|'
                 '$server_name|$cookie_q|$sent_http_content_type|$is_args|$content_length|'
                 '$scheme|$request_uri|$connection_requests|$pipe|$request_completion|$http_referer|$query_string';
    log_format e '$http_x_y';
    log_format j escape=json '{"a":"$arg_a","y":"$http_x_y","r":"$request"}';
    log_format n escape=none '$http_x_y';
"""


def lines(path, n=0):
    def read():
        with open(path, "rb") as f:
            found = f.read().split(b"\n")
        assert found.pop() == b"", "a torn line"
        return found if len(found) >= n else None
    return wait_for(lambda: os.path.exists(path) and read(), path)


def test_lines_as_nginx_writes_them(remora):
    conf = "http {" + FORMATS + """ access_log @DIR@/v.log v; access_log @DIR@/e.log e; access_log @DIR@/c.log;
        server { listen 127.0.0.1:@PORT:web@; server_name s.test; default_type text/plain;
            location / { return 200 "hello $arg_a"; }
            location /204 { return 204; }
            location /red { return 301 /x; }
            location /off { access_log off; return 200 x; }
            location /err { error_page 404 /paged; return 404; }
            location /paged { return 200 paged; } } }"""
    with Both(remora, conf) as both:
        for path in ["/", "/?a=1", "/x?a=%22&b", "/204", "/off", "/err", "/%20?"]:
            for fields in ({}, {"X-Y": 'q"\\\t\xe9', "Cookie": "q=1", "Referer": "r"}):
                both.same("GET", path, fields)
                both.same("POST", path, fields, body=b"12345")
        written = {}
        for server in (both.nginx, both.remora):
            # the size of pages of our own making depends on the product's name
            server_lines = [re.sub(rb"\|301\|\d+", b"|301|", x) for x in lines(server.dir + "/v.log", 24)]
            written[server] = [server_lines, lines(server.dir + "/e.log", 24),
                               [re.sub(rb"\[.*?\]|(?<= 301 )\d+", b"", x) for x in lines(server.dir + "/c.log", 24)]]
        for ours, theirs in zip(written[both.remora], written[both.nginx]):
            for x, y in zip(ours, theirs):
                assert x == y
            assert len(ours) == len(theirs)
        assert re.fullmatch(rb'127.0.0.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET / HTTP/1.1" '
                            rb'200 6 "-" "-"', lines(both.remora.dir + "/c.log")[0])


def test_escapes(remora):
    r = remora("http {" + FORMATS + """ server { listen 127.0.0.1:@PORT:web@; access_log @DIR@/j.log j;
        access_log @DIR@/n.log n; access_log @DIR@/e.log e; return 200 x; } }""")
    r.get("web", '/?a="', **{"X-Y": 'b\\"c\t\xe9'})
    assert lines(r.dir + "/e.log", 1) == [rb"b\x5C\x22c\x09\xE9"]
    assert lines(r.dir + "/n.log", 1) == ['b\\"c\t\xe9'.encode("latin-1")]
    parsed = json.loads(lines(r.dir + "/j.log", 1)[0].decode("latin-1"))
    assert parsed == {"a": '"', "y": 'b\\"c\t\xe9', "r": 'GET /?a=" HTTP/1.1'}


def test_conditions_inheritance_and_names(remora):
    r = remora("""http { access_log @DIR@/http.log combined;
        server { listen 127.0.0.1:@PORT:web@;
            location / { return 200 x; }
            location /own { access_log @DIR@/own.log; return 200 x; }
            location /two { access_log @DIR@/own.log; access_log @DIR@/two.log; return 200 x; }
            location /if { access_log @DIR@/if.log combined if=$arg_log; return 200 x; }
            location /var { root @DIR@; access_log @DIR@/var-$arg_n.log; return 200 x; }
            location /off { access_log off; return 200 x; } } }""")
    os.chmod(r.dir, 0o777)  # workers make the files whose names have variables
    for path in ["/", "/own", "/two", "/if", "/if?log=0", "/if?log=", "/if?log=1", "/off", "/var?n=a", "/var?n=b",
                 "/var?n=/../../evil", "/last"]:
        r.get("web", path)
    assert [x.split()[6] for x in lines(r.dir + "/http.log", 2)] == [b"/", b"/last"]
    assert [x.split()[6] for x in lines(r.dir + "/own.log", 2)] == [b"/own", b"/two"]
    assert [x.split()[6] for x in lines(r.dir + "/two.log", 1)] == [b"/two"]
    assert [x.split()[6] for x in lines(r.dir + "/if.log", 1)] == [b"/if?log=1"]
    assert len(lines(r.dir + "/var-a.log", 1)) == len(lines(r.dir + "/var-b.log", 1)) == 1
    assert not os.path.exists(os.path.dirname(r.dir) + "/evil.log")


def test_buffered_lines_come_with_time(remora):
    r = remora("""http { access_log @DIR@/b.log combined buffer=64k flush=200ms;
        server { listen 127.0.0.1:@PORT:web@; return 200 x; } }""")
    began = time.monotonic()
    r.get("web", "/1")
    if time.monotonic() - began < 0.1:
        assert os.path.getsize(r.dir + "/b.log") == 0
    r.get("web", "/2")
    assert len(lines(r.dir + "/b.log", 2)) == 2


def test_buffered_lines_come_whole_when_full(remora):
    r = remora("""http { access_log @DIR@/b.log combined buffer=1k;
        server { listen 127.0.0.1:@PORT:web@; return 200 x; } }""")
    with r.client() as c:
        for i in range(100):
            c.get(f"/{i}")
        c.get("/" + "y" * 3000)  # does not fit at all
        c.get("/last")
    seen = lines(r.dir + "/b.log", 101)
    assert [x.split()[6] for x in seen[:101]] == [b"/%d" % i for i in range(100)] + [b"/" + b"y" * 3000]


def test_buffers_are_written_at_the_end(remora, tmp_path):
    path = tmp_path / "b.log"
    os.chmod(tmp_path, 0o755)
    r = remora(f"""http {{ access_log {path} combined buffer=64k;
        server {{ listen 127.0.0.1:@PORT:web@; return 200 x; }} }}""")
    r.get("web", "/kept")
    assert path.stat().st_size == 0
    r.stop()
    assert b"/kept" in path.read_bytes()


def test_reopened_on_usr1(remora):
    r = remora("""http { access_log @DIR@/a.log;
        server { listen 127.0.0.1:@PORT:web@; return 200 x; } }""")
    r.get("web", "/one")
    assert len(lines(r.dir + "/a.log", 1)) == 1
    os.rename(r.dir + "/a.log", r.dir + "/a.old")
    r.get("web", "/two")
    assert len(lines(r.dir + "/a.old", 2)) == 2
    r.signal(SIGUSR1)
    wait_for(lambda: os.path.exists(r.dir + "/a.log"), "the new file")

    def arrived():
        r.get("web", "/three")
        return os.path.getsize(r.dir + "/a.log")
    wait_for(arrived, "a line in the new file")


def test_a_file_that_cannot_be_opened_is_found_by_t(tmp_path):
    conf = tmp_path / "c.conf"
    conf.write_text(f"pid {tmp_path}/p; error_log stderr;\nevents {{ }}\n"
                    "http { access_log /nonexistent/a.log; server { listen 8099; } }\n")
    ours = run_remora("-t", "-p", str(tmp_path), "-c", str(conf))
    assert ours.returncode == 1
    assert 'open() "/nonexistent/a.log" failed (2: No such file or directory)' in ours.stderr


def test_the_length_of_a_request(remora):
    """Head and body, whoever reads the body; nginx leaves out what it throws away."""
    r = remora("""http { log_format l $request_length; access_log @DIR@/l.log l;
        server { listen 127.0.0.1:@PORT:web@; return 200 x; } }""")
    head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
    with r.client() as c:
        c.send(head + "12345")
        c.response()
    assert lines(r.dir + "/l.log", 1) == [b"%d" % (len(head) + 5)]


def test_pipelined_requests(remora):
    r = remora("""http { log_format p '$pipe$connection_requests'; access_log @DIR@/p.log p;
        server { listen 127.0.0.1:@PORT:web@; return 200 x; } }""")
    with r.client() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        for _ in range(3):
            c.response()
        c.get("/")
    assert lines(r.dir + "/p.log", 4) == [b".1", b"p2", b"p3", b".4"]


def test_times_and_numbers(remora):
    r = remora("""http { log_format t '$msec|$request_time|$connection_time|$time_iso8601|$connection|$pid|$bytes_sent|'
            '$request_id|$hostname'; access_log @DIR@/t.log t;
        server { listen 127.0.0.1:@PORT:web@; return 200 x; } }""")
    with r.client() as c:
        size = len(c.get("/").raw)
        c.get("/")
    first, second = [x.decode().split("|") for x in lines(r.dir + "/t.log", 2)]
    assert abs(float(first[0]) - time.time()) < 60 and re.fullmatch(r"\d+\.\d{3}", first[0])
    assert re.fullmatch(r"0\.\d{3}", first[1]) and re.fullmatch(r"\d\.\d{3}", second[2])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", first[3])
    assert first[4] == second[4] and int(first[5]) in r.workers() and int(first[6]) == size
    assert re.fullmatch("[0-9a-f]{32}", first[7]) and first[7] != second[7]
    assert first[8] == os.uname().nodename.lower()
