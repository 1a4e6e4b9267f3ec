# SPDX-License-Identifier: Apache-2.0
"""Requests made for the sake of another: their order in the output, what slow ones hold up, and what becomes of them
when somebody leaves."""
import os
import socket
import subprocess
import threading
import time

import pytest
from conftest import Closed, ok, run_remora, wait_for
from oracle import NGINX, Both

MB = 1 << 20


def pattern(n, mark):
    """n bytes in which every place can be told."""
    line = b"%s %07d\n"
    return b"".join(line % (mark, i) for i in range(n // 10 + 1))[:n]


def chunked(*pieces, delay=None):
    """An answer in chunks; `delay` is called before each piece."""
    def answer(request):
        request.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            if delay is not None:
                delay()
            request.sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        request.sock.sendall(b"0\r\n\r\n")
        return None
    return answer


def conf(locations, more="", http=""):
    return ("http { access_log off; default_type text/html; root @DIR@/html; proxy_http_version 1.1;"
            ' proxy_set_header Connection "";'
            " proxy_read_timeout 10s; %s server { listen 127.0.0.1:@PORT:web@; %s %s } }" % (http, more, locations))


ADD = """location / { add_before_body /before; add_after_body /after; proxy_pass http://%s; %s }
         location = /before { proxy_pass http://%s; %s } location = /after { proxy_pass http://%s; %s }"""


@pytest.mark.parametrize("buffering", ["", "proxy_buffering off;", "proxy_buffers 4 4k; proxy_max_temp_file_size 0;"])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_order_whoever_is_first(remora, backend, buffering, first):
    """The bodies stand in their order, whichever of the servers answers first."""
    gates = [threading.Event() for _ in range(3)]
    texts = [pattern(300000, mark) for mark in (b"a", b"b", b"c")]
    servers = [backend(chunked(text[:1000], text[1000:], delay=lambda i=i: gates[i].wait(10)))
               for i, text in enumerate(texts)]
    r = remora(conf(ADD % (servers[1].addr, buffering, servers[0].addr, buffering, servers[2].addr, buffering)))
    with r.client() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for i in range(3):
            gates[(first + i) % 3].set()
            # the body's addition behind it is asked for when the body has come
            wait_for(lambda: servers[(first + i) % 3].requests or (first + i) % 3 == 2, "the request")
            time.sleep(0.02)
        assert c.response().body == b"".join(texts)
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.response().body == b"".join(texts)


def test_files_and_a_slow_reader(remora, backend):
    big = pattern(5 * MB, b"b")
    server = backend(chunked(*[big[i:i + 100000] for i in range(0, len(big), 100000)]))
    r = remora(conf("""location / { add_before_body /big.txt; add_after_body /proxied; addition_types *; }
        location = /proxied { proxy_pass http://%s; }""" % server.addr), wait=False)
    os.makedirs(r.dir + "/html")
    text, page = pattern(3 * MB, b"f"), pattern(MB, b"p")
    for name, content in (("big.txt", text), ("page.html", page)):
        with open(f"{r.dir}/html/{name}", "wb") as f:
            f.write(content)
    wait_for(lambda: os.path.exists(r.pid_file), "start")
    r.pid = int(open(r.pid_file).read())
    r.wait_workers()
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        s.settimeout(20)
        s.connect(("127.0.0.1", r.port("web")))
        s.sendall(b"GET /page.html HTTP/1.0\r\n\r\n")
        got = b""
        while True:
            piece = s.recv(65536)
            if not piece:
                break
            got += piece
            if len(got) < 200000:
                time.sleep(0.005)
    assert got.split(b"\r\n\r\n", 1)[1] == text + page + big


def test_without_sendfile(remora):
    r = remora(conf("sendfile off; location / { add_before_body /big.txt; add_after_body /big.txt; }"), wait=False)
    os.makedirs(r.dir + "/html")
    text = pattern(MB, b"f")
    for name in ("big.txt", "page.html"):
        with open(f"{r.dir}/html/{name}", "wb") as f:
            f.write(text)
    wait_for(lambda: os.path.exists(r.pid_file), "start")
    r.pid = int(open(r.pid_file).read())
    r.wait_workers()
    with r.client() as c:
        for _ in range(3):
            assert c.get("/page.html").body == text * 3


def test_who_waits_is_not_read(remora, backend):
    """A body whose turn has not come is not taken from its server without bound."""
    gate, sent = threading.Event(), [0]

    def endless(request):
        request.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 209715200\r\n\r\n")
        request.sock.settimeout(20)
        for _ in range(3200):
            request.sock.sendall(b"x" * 65536)
            sent[0] += 65536

    slow = backend(chunked(b"first", delay=lambda: gate.wait(20)))
    server = backend(endless)
    r = remora(conf("""location / { add_before_body /before; proxy_pass http://%s; proxy_buffering off; }
        location = /before { proxy_pass http://%s; }""" % (server.addr, slow.addr)))
    with r.client(timeout=30) as c:
        c.send("GET / HTTP/1.0\r\n\r\n")
        wait_for(lambda: sent[0] > 0, "the body's beginning")
        before = -1
        while before != sent[0]:
            before = sent[0]
            time.sleep(0.3)
        assert before < 20 * MB  # the kernel's buffers
        gate.set()
        head = c.stream.until(b"\r\n\r\n")
        assert b"200" in head and c.stream.take(5) == b"first"
        left = 209715200
        while left:
            c.stream.buffer = c.stream.buffer or c.sock.recv(MB)
            assert c.stream.buffer.strip(b"x") == b""
            left -= len(c.stream.buffer)
            c.stream.buffer = b""


def test_a_body_cut_off_cuts_the_whole(remora, backend):
    def cut(request):
        request.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")

    broken, good = backend(cut), backend(ok(b"good", ["Content-Type: text/html"]))
    for first, second in ((broken, good), (good, broken)):
        r = remora(conf("""location / { add_before_body /before; proxy_pass http://%s; }
            location = /before { proxy_pass http://%s; }""" % (first.addr, second.addr)))
        with r.client() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            with pytest.raises(Closed):
                c.response()
        r.wait_log("upstream prematurely closed connection")
        r.stop()


def test_a_failed_addition_is_an_error_page(remora, backend):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = backend(ok(b"good", ["Content-Type: text/html"]))
    r = remora(conf("""location / { add_after_body /after; proxy_pass http://%s; }
        location = /after { proxy_pass http://127.0.0.1:%d; }""" % (server.addr, port)))
    with r.client() as c:
        for _ in range(2):
            body = c.get("/").body
            assert body.startswith(b"good") and b"<h1>502" in body
    r.wait_log('request: "GET / HTTP/1.1", subrequest: "/after", upstream:')


@pytest.mark.parametrize("when", ["auth", "before", "body", "after"])
def test_client_leaves(remora, backend, when):
    """Whatever was being made for a client is given up with it."""
    gates = {n: threading.Event() for n in ("auth", "before", "body", "after")}
    for name in gates:
        if name != when:
            gates[name].set()
    ended = threading.Event()

    def answer(request):
        name = request.path[1:]
        if name == "auth" and name != when:
            return ok(b"")
        request.sock.sendall(b"" if name == "auth" else b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
                             b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        if name == when:
            request.sock.settimeout(10)
            if request.sock.recv(1) == b"":
                ended.set()
            return None
        request.sock.sendall(b"0\r\n\r\n")
        return None

    server = backend(answer)
    r = remora(conf("""proxy_pass_request_body off; location = /x { auth_request /auth; add_before_body /before;
            add_after_body /after; access_log @DIR@/a.log s; proxy_pass http://%s/body; }
        location / { proxy_pass http://%s; }""" % (server.addr, server.addr), http="log_format s $status;"))
    with r.client() as c:
        c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: any(q.path == "/" + when for q in server.requests), "the request")
        time.sleep(0.05)
    assert ended.wait(10), "the server's connection stays"
    lines = wait_for(lambda: open(r.dir + "/a.log").read().split(), "the log")
    assert len(lines) == 1


@pytest.mark.parametrize("more, noticed", [("", True), ("proxy_ignore_client_abort on;", False)])
def test_client_leaves_before_a_word(remora, backend, more, noticed):
    """Nothing need be sent to notice."""
    ended = threading.Event()

    def silent(request):
        request.sock.settimeout(10 if noticed else 0.5)
        try:
            if request.sock.recv(1) == b"":
                ended.set()
        except socket.timeout:
            return ok(b"late")
        return None

    server = backend(silent)
    r = remora(conf("""location = /x { add_before_body /before; add_after_body /after; return 200 x; }
        location = /before { return 200 b; } location = /after { proxy_pass http://%s; %s }""" % (server.addr, more)))
    with r.client() as c:
        c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: server.requests, "the request")
        c.sock.shutdown(socket.SHUT_WR)
        if noticed:
            assert ended.wait(10)
        else:
            assert c.response().body == b"bxlate"


# ---- auth_request ----

def test_auth_keeps_connections(remora, backend):
    """What the verdict's body says is read, so that the next question finds a connection."""
    auth, server = backend(ok(b"x" * 5000)), backend()
    r = remora(conf("""location / { auth_request /auth; proxy_pass http://%s; }
        location = /auth { internal; proxy_pass http://auth; proxy_pass_request_body off; }""" % server.addr,
        http="upstream auth { server %s; keepalive 2; }" % auth.addr))
    with r.client() as c:
        for i in range(30):
            assert c.request("POST", "/", body=b"b" * 1000 * i).status == 200
    assert auth.connections == 1 and len(auth.requests) == 30
    assert all(q.body == b"" and q.method == "GET" for q in auth.requests)
    assert [len(q.body) for q in server.requests] == [1000 * i for i in range(30)]


def test_auth_does_not_wait_for_an_endless_answer(remora, backend):
    def endless(request):
        request.sock.sendall(b"HTTP/1.1 204 No\r\n\r\n" if request.path == "/no" else b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            request.sock.sendall(b"x" * 65536)

    auth, server = backend(endless), backend()
    r = remora(conf("""location / { auth_request /auth; proxy_pass http://%s; }
        location = /auth { proxy_pass http://%s; }""" % (server.addr, auth.addr)))
    assert r.get().status == 200


def test_auth_unreachable(remora):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    r = remora(conf("""location / { auth_request /auth; return 200; } location = /t { auth_request /auth; }
        location = /auth { proxy_pass http://127.0.0.1:%d; }""" % port))
    assert r.get(path="/t").status == 500
    r.wait_log("auth request unexpected status: 502 while|auth request unexpected status: 502")


def test_auth_satisfy_any(remora):
    r = remora(conf("""satisfy any; location /ok { auth_request /yes; deny all; }
        location /no { auth_request /401; deny all; } location /open { auth_request /401; allow all; }
        location /403 { auth_request /f; deny all; } location /500 { auth_request /five; deny all; }
        location = /yes { return 204; } location = /401 { return 401; } location = /f { return 403; }
        location = /five { return 503; }"""))
    # what is let in finds no file
    got = {p: r.get(path=p).status for p in ("/ok", "/no", "/open", "/403", "/500")}
    assert got == {"/ok": 404, "/no": 401, "/open": 404, "/403": 403, "/500": 500}


def test_auth_satisfy_all(remora):
    r = remora(conf("""location /ok { auth_request /yes; allow all; } location /deny { auth_request /yes; deny all; }
        location /no { auth_request /f; allow all; } location = /yes { return 204; } location = /f { return 403; }"""))
    got = {p: r.get(path=p).status for p in ("/ok", "/deny", "/no")}
    assert got == {"/ok": 404, "/deny": 403, "/no": 403}


# ---- mirror ----

@pytest.mark.parametrize("size", [0, 10, 5000, 200000])
def test_mirror_outlives_the_connection(remora, backend, size):
    """The mirror gets all of it, long after client and connection are gone; nobody waits for it."""
    gate = threading.Event()

    def late(request):
        gate.wait(10)
        return ok(b"m" * 100000)

    mirror, server = backend(late), backend(ok(b"real"))
    r = remora(conf("""client_body_buffer_size 16k; location / { mirror /mirror; proxy_pass http://%s; }
        location = /mirror { internal; log_subrequest on; access_log @DIR@/m.log m; proxy_pass
        http://%s$request_uri; proxy_set_header X-Client "$remote_addr $connection"; }"""
        % (server.addr, mirror.addr), http='log_format m "$uri $request_uri $status $remote_addr";'))
    body = pattern(size, b"b")
    with r.client() as c:
        for i in range(3):
            assert c.request("POST", f"/x?{i}", body=body).body == b"real"
    wait_for(lambda: len(mirror.requests) == 3, "three mirrored requests")
    gate.set()
    lines = wait_for(lambda: open(r.dir + "/m.log").read().splitlines() if len(
        open(r.dir + "/m.log").read().splitlines()) == 3 else None, "three lines")
    assert sorted(lines) == [f"/mirror /x?{i} 200 127.0.0.1" for i in range(3)]
    assert [q.body for q in mirror.requests] == [body] * 3
    assert sorted(q.path for q in mirror.requests) == [f"/x?{i}" for i in range(3)]
    assert all(q.method == "POST" and q.headers["x-client"].startswith("127.0.0.1 ") for q in mirror.requests)
    assert [q.body for q in server.requests] == [body] * 3


def test_mirror_of_a_client_that_leaves(remora, backend):
    gate = threading.Event()

    def late(request):
        gate.wait(10)
        return ok(b"m")

    mirror, server = backend(late), backend(late)
    r = remora(conf("""location / { mirror /mirror; proxy_pass http://%s; }
        location = /mirror { log_subrequest on; access_log @DIR@/m.log m; proxy_pass http://%s; }"""
        % (server.addr, mirror.addr), http='log_format m "$status";'))
    with r.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        wait_for(lambda: mirror.requests and server.requests, "both requests")
    time.sleep(0.1)
    gate.set()
    assert wait_for(lambda: open(r.dir + "/m.log").read().split(), "the log") == ["200"]


def test_mirror_and_quit(remora, backend):
    """A worker that is to finish finishes what it mirrors."""
    gate = threading.Event()

    def late(request):
        gate.wait(10)
        return ok(b"m")

    mirror = backend(late)
    r = remora(conf("""location / { mirror /mirror; return 200 x; }
        location /f { mirror /mirror; } location = /mirror { log_subrequest on; access_log @DIR@/m.log m;
        proxy_pass http://%s; }""" % mirror.addr, http='log_format m "$status";'))
    assert r.get(path="/f").status == 404
    wait_for(lambda: mirror.requests, "the mirrored request")
    r.signal(3)
    r.wait_log("gracefully shutting down")
    time.sleep(0.1)
    assert r.process.poll() is None
    gate.set()
    assert wait_for(lambda: open(r.dir + "/m.log").read().split(), "the log") == ["200"]


def test_mirror_that_waits_and_quit(remora, backend):
    """So it does where the mirror has no connection yet."""
    mirror = backend()
    r = remora(conf("""location / { mirror /mirror; } location = /mirror { limit_req zone=z burst=5;
        proxy_pass http://%s; }""" % mirror.addr, http="limit_req_zone $uri zone=z:1m rate=1r/s;"))
    for _ in range(2):
        assert r.get(path="/f").status == 404
    wait_for(lambda: len(mirror.requests) == 1, "the first")
    time.sleep(0.1)
    assert len(mirror.requests) == 1
    r.stop()
    assert len(mirror.requests) == 2


def test_mirror_unbuffered(remora, backend):
    """The body is read for the mirror's sake, and there for an unbuffered proxy too."""
    mirror, server = backend(), backend()
    r = remora(conf("""location / { mirror /mirror; proxy_request_buffering off; proxy_pass http://%s; }
        location = /mirror { proxy_request_buffering off; proxy_pass http://%s; }""" % (server.addr, mirror.addr)))
    body = pattern(100000, b"b")
    with r.client() as c:
        for _ in range(2):
            assert c.request("POST", "/", body=body).status == 200
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        assert c.response().status == 200
    wait_for(lambda: len(mirror.requests) == 3, "three mirrored requests")
    assert [q.body for q in server.requests] == [body, body, b"hello"]
    assert sorted(q.body for q in mirror.requests) == sorted([body, body, b"hello"])


def test_mirror_of_an_endless_answer(remora, backend):
    ended = threading.Event()

    def endless(request):
        try:
            request.sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for _ in range(3200):
                request.sock.sendall(b"x" * 65536)
        except OSError:
            ended.set()
            raise

    mirror = backend(endless)
    r = remora(conf("""location / { mirror /mirror; } location = /mirror { log_subrequest on;
        access_log @DIR@/m.log m; proxy_pass http://%s; }""" % mirror.addr, http='log_format m "$status";'))
    assert r.get(path="/f").status == 404
    assert ended.wait(10)
    assert wait_for(lambda: open(r.dir + "/m.log").read().split(), "the log") == ["200"]


# ---- post_action ----

def test_post_action(remora, backend):
    """It is made when the answer has been sent, knows what that was, and writes the log's line."""
    gate = threading.Event()

    def late(request):
        gate.wait(10)
        return ok(b"p", status="202 Taken")

    server = backend(late)
    r = remora(conf("""location / { post_action /p; access_log @DIR@/never.log f; }
        location /named { post_action @p; return 404; }
        location /p { access_log @DIR@/p.log f; proxy_pass http://%s/x?b=$body_bytes_sent&s=$status&u=$uri; }
        location @p { access_log @DIR@/p.log f; proxy_pass http://%s; }""" % (server.addr, server.addr),
        http='log_format f "$uri $status $request_uri";'), wait=False)
    os.makedirs(r.dir + "/html")
    with open(r.dir + "/html/a.html", "w") as f:
        f.write("hello")
    wait_for(lambda: os.path.exists(r.pid_file), "start")
    r.pid = int(open(r.pid_file).read())
    r.wait_workers()
    with r.client() as c:
        assert c.get("/a.html").body == b"hello"
        assert c.get("/named").status == 404
    gate.set()
    lines = wait_for(lambda: sorted(open(r.dir + "/p.log").read().splitlines())
                     if len(open(r.dir + "/p.log").read().splitlines()) == 2 else None, "two lines")
    assert lines == ["/named 404 /named", "/p 202 /a.html"]
    assert sorted(q.path for q in server.requests) == ["/named", "/x?b=5&s=200&u=/p"]
    assert open(r.dir + "/never.log").read() == ""


def test_post_action_of_a_client_that_leaves(remora, backend):
    gate = threading.Event()

    def late(request):
        gate.wait(10)
        return ok(b"p")

    server, action = backend(late), backend()
    r = remora(conf("""location / { post_action /p; proxy_pass http://%s; }
        location /p { proxy_pass http://%s/x?s=$status; proxy_set_header X-Client $remote_addr; }"""
        % (server.addr, action.addr)))
    with r.client() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: server.requests, "the request")
    wait_for(lambda: action.requests, "the action")
    assert action.requests[0].path == "/x?s=499" and action.requests[0].headers["x-client"] == "127.0.0.1"
    gate.set()


# ---- the end of the world ----

@pytest.mark.parametrize("path", ["/mirror", "/add", "/auth", "/post"])
@pytest.mark.parametrize("number", [15, 3])
def test_stopped_in_the_middle(remora, backend, path, number):
    """A worker that has to go lets go of everything."""
    gate = threading.Event()

    def late(request):
        gate.wait(5)
        return ok(b"m")

    server = backend(late)
    r = remora("worker_shutdown_timeout 1s;\n" + conf("""location /mirror { mirror /m; return 200; }
        location /mirror/f { mirror /m; } location /add { add_before_body /m; mirror /m; proxy_pass http://%s; }
        location /auth { auth_request /m; return 200; } location /auth/f { auth_request /m; mirror /m; }
        location /post { post_action /m; proxy_pass http://%s; }
        location = /m { proxy_pass http://%s; }""" % ((server.addr,) * 3)))
    with r.client() as c:
        c.send(f"POST {path}/f HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        wait_for(lambda: server.requests, "the request")
        r.stop(number)
    gate.set()


def test_tunnel_after_a_question(remora, backend):
    """Bytes of a tunnel pass through a request that has had subrequests."""
    def upgrade(request):
        request.sock.sendall(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
        while data := request.sock.recv(65536):
            request.sock.sendall(data.upper())

    server, auth = backend(upgrade), backend()
    r = remora(conf("""location / { auth_request /auth; mirror /auth; proxy_pass http://%s; proxy_set_header Upgrade
        $http_upgrade; proxy_set_header Connection upgrade; } location = /auth { proxy_pass http://%s; }"""
        % (server.addr, auth.addr)))
    with r.client() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
        assert c.response().status == 101
        for size in (1, 10, 100000):
            data = b"abc" * size
            threading.Thread(target=c.send, args=(data,)).start()
            assert c.stream.take(len(data)) == data.upper()


# ---- configuration ----

@pytest.mark.parametrize("lines, message", [
    ("mirror off; mirror /x;", '"mirror" directive is duplicate'),
    ("mirror /x; mirror off;", '"mirror" directive is duplicate'),
    ("mirror /x; mirror /y;", None),
    ("auth_request /x; auth_request /y;", '"auth_request" directive is duplicate'),
    ("auth_request_set name value;", 'invalid variable name "name"'),
    ("auth_request_set $args $uri;", None),
    ("auth_request_set $request_uri $uri;", 'the duplicate "request_uri" variable'),
    ("auth_request_set $x $nosuchthing;", 'unknown "nosuchthing" variable'),
    ("add_before_body /x; add_before_body /y;", '"add_before_body" directive is duplicate'),
    ("post_action /x; post_action /y;", '"post_action" directive is duplicate'),
    ("log_subrequest maybe;", 'invalid value "maybe" in "log_subrequest" directive'),
    ("mirror_request_body 1;", 'invalid value "1" in "mirror_request_body" directive'),
    ("mirror;", 'invalid number of arguments in "mirror" directive'),
])
def test_directives(tmp_path, lines, message):
    """Both refuse the same, in the same words."""
    text = f"events {{ }} http {{ server {{ location / {{ {lines} }} }} }}"
    conf = tmp_path / "x.conf"
    conf.write_text(text)
    answers = [run_remora("-t", "-c", str(conf), "-p", str(tmp_path) + "/", "-e", "stderr")]
    if NGINX is not None:
        answers.append(subprocess.run([NGINX, "-t", "-c", str(conf), "-p", str(tmp_path), "-e", "stderr"],
                                      capture_output=True, text=True))
    for answer in answers:
        emergencies = [line for line in answer.stderr.splitlines() if "[emerg]" in line and ".pid" not in line]
        if message is None:
            assert not emergencies, answer.args
        else:
            assert message in "\n".join(emergencies), answer.args


# ---- logs, beside nginx ----

LOGS = """http { log_format f "$uri|$args|$status|$request_method|$request_uri|$request|$arg_q|$v|$upstream_status";
    access_log @DIR@/all.log f; root @DIR@; default_type text/html; map $uri $v { volatile; default "v$uri"; }
    server { listen 127.0.0.1:@PORT:web@; log_subrequest on;
        location /auth/ { auth_request /yes; return 200 "in"; }
        location /no/ { auth_request /forbidden; return 200 "in"; }
        location /fault/ { auth_request /nosuch; return 200 "in"; }
        location /add/ { add_before_body /yes; add_after_body /page; return 200 "in"; }
        location /mirror/ { mirror /yes; mirror /forbidden; return 404; location /mirror/x { mirror off; } }
        location /moved/ { auth_request /moved-yes; return 200 "in"; }
        location /moved-yes { rewrite ^ /yes?a=b last; }
        location /quiet/ { auth_request /silent; return 200 "in"; }
        location /silent { log_subrequest off; return 204; }
        location /own/ { auth_request /elsewhere; return 200 "in"; }
        location /elsewhere { access_log @DIR@/other.log f; return 204; }
        location /named/ { auth_request /to-named; return 200 "in"; }
        location /to-named { error_page 404 = @named; return 404; }
        location @named { return 204; }
        location /post/ { post_action /forbidden; return 200 "in"; }
        location /postnamed/ { post_action @named; return 404; }
        location = /yes { return 200 "yes"; } location = /page { return 200 "page"; }
        location = /forbidden { return 403; } } }"""
ASKED = ["auth", "no", "fault", "add", "mirror", "mirror/x", "moved", "quiet", "own", "named", "post", "postnamed"]


def test_logs_as_nginx(remora):
    with Both(remora, LOGS) as both:
        for path in ASKED:
            lines = []
            for server in (both.nginx, both.remora):
                with server.client() as c:
                    c.get(f"/{path}/?q=1")
                    c.get("/end")  # on the same connection: nginx makes it wait for the others

                def done(server=server):
                    with open(server.dir + "/all.log") as f:
                        lines = f.read().splitlines()
                    return lines if any(line.startswith("/end|") for line in lines) else None
                found = wait_for(done, "the line of the last")
                time.sleep(0.02)
                found = done()
                for name in ("all.log", "other.log"):
                    with open(f"{server.dir}/{name}", "a+") as f:
                        if name == "other.log":
                            f.seek(0)
                            found += f.read().splitlines()
                        f.truncate(0)
                lines.append(sorted(found))
            assert lines[1] == lines[0], path
