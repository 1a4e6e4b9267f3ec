# SPDX-License-Identifier: Apache-2.0
"""What servers do wrong, when they do it, and what the client and the next server see of it."""
import os
import socket
import tempfile
import threading
import time

import pytest

from conftest import free_port, wait_for
from proxy_lab import Backend, Client, Proxy, ask, reply, reset

CONF = """
    log_format tries '$status $upstream_addr $upstream_status';
    access_log {{dir}}/access.log tries;
    upstream pair {{ server {bad} max_fails=0; server {good} max_fails=0; {more} }}
    proxy_connect_timeout 1s; proxy_read_timeout 400ms; proxy_send_timeout 400ms;
    server {{ listen 127.0.0.1:{{port}};
        {policy}
        location / {{ proxy_pass http://pair; }}
        location /one/ {{ proxy_pass http://{bad}; }}
    }}
"""


def refuse():
    """An address nobody listens on."""
    return f"127.0.0.1:{free_port()}"


def on_head(action):
    """A server that does `action(conn)` when it has read a request."""
    return lambda conn, reader, request: action(conn) or False


def close(conn):
    conn.close()


def mid_head(conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")


def garbage(conn):
    conn.sendall(b"\x00\x01\x02 what is this\r\n\r\n")


def too_big(conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 9000 + b"\r\n\r\n")


def silent(conn):
    conn.recv(1)


def slow_head(conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\n")
    conn.recv(1)


def unasked_101(conn):
    conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")


# name: what happens, the status without another server, what proxy_next_upstream calls it, the log
BEFORE_HEAD = {
    "refuse": (None, 502, "error", "connect() failed (111: Connection refused) while connecting to "
                                   "upstream"),
    "close": (close, 502, "error", "upstream prematurely closed connection while reading response "
                                   "header from upstream"),
    "reset": (reset, 502, "error", "while reading response header from upstream"),
    "mid_head": (mid_head, 502, "error", "upstream prematurely closed connection while reading "
                                         "response header from upstream"),
    "garbage": (garbage, 502, "invalid_header", "upstream sent no valid HTTP/1.0 header while reading "
                                                "response header from upstream"),
    "too_big": (too_big, 502, "invalid_header", "upstream sent too big header while reading "
                                                "response header from upstream"),
    "unasked_101": (unasked_101, 502, "invalid_header", "unexpected status 101"),
    "silent": (silent, 504, "timeout", "upstream timed out (110: Connection timed out) while "
                                       "reading response header from upstream"),
    "slow_head": (slow_head, 504, "timeout", "upstream timed out (110: Connection timed out)"),
}


class Pair:
    """A server with a fault, a good one, and a proxy before both."""

    def __init__(self, action, policy="", more="", script=None):
        self.bad = None
        if action or script:
            self.bad = Backend(script or on_head(action))
        self.good = Backend(lambda conn, reader, request: reply(conn, b"good"))
        addr = self.bad.addr if self.bad else refuse()
        self.proxy = Proxy(CONF.format(bad=addr, good=self.good.addr, policy=policy, more=more))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.proxy.stop()
        self.good.close()
        if self.bad:
            self.bad.close()

    def access(self):
        with open(self.proxy.dir + "/access.log") as f:
            return f.read().splitlines()


@pytest.mark.parametrize("fault", BEFORE_HEAD)
def test_without_another(fault):
    action, status, _, text = BEFORE_HEAD[fault]
    with Pair(action) as pair:
        assert ask(pair.proxy, "/one/").status == status
        wait_for(lambda: text in pair.proxy.log(), text)


@pytest.mark.parametrize("fault", BEFORE_HEAD)
def test_next(fault):
    """The other server answers, where the directive lists the fault; else the client hears."""
    action, status, name, _ = BEFORE_HEAD[fault]
    other = {"error": "timeout", "timeout": "error", "invalid_header": "error"}[name]
    with Pair(action, f"proxy_next_upstream {name};") as pair:
        answers = [ask(pair.proxy) for _ in range(4)]
        assert [a.status for a in answers] == [200] * 4
        assert {a.body for a in answers} == {b"good"}
        lines = wait_for(lambda: len(pair.access()) >= 4 and pair.access(), "four lines")
        retried = [line for line in lines if ", " in line]
        # A retry takes no turn away from the other's first tries.
        assert len(retried) == 2 and all(line.endswith(f"{status}, 200") for line in retried)
    with Pair(action, f"proxy_next_upstream {other};") as pair:
        assert sorted(ask(pair.proxy).status for _ in range(4)) == [200, 200, status, status]
    with Pair(action, "proxy_next_upstream off;") as pair:
        assert sorted(ask(pair.proxy).status for _ in range(2)) == [200, status]


@pytest.mark.parametrize("status", [403, 404, 429, 500, 502, 503, 504])
def test_next_by_status(status):
    def script(conn, reader, request):
        reply(conn, b"bad", f"{status} Bad")

    with Pair(None, f"proxy_next_upstream http_{status};", script=script) as pair:
        assert [ask(pair.proxy).status for _ in range(4)] == [200] * 4
        # With nobody else to ask, the answer is passed on as it is.
        alone = ask(pair.proxy, "/one/")
        assert (alone.status, alone.body, alone.reason) == (status, b"bad", "Bad")
    with Pair(None, script=script) as pair:
        assert sorted(ask(pair.proxy).status for _ in range(2)) == [200, status]


@pytest.mark.parametrize("method,retried", [("GET", True), ("PUT", True), ("DELETE", True),
                                            ("POST", False), ("PATCH", False), ("LOCK", False)])
def test_idempotency(method, retried):
    with Pair(close) as pair:
        got = [ask(pair.proxy, "/", method, b"body").status for _ in range(2)]
        assert got == [200, 200] if retried else sorted(got) == [200, 502]
        assert all(r.body == b"body" for r in pair.good.requests)
    with Pair(close, "proxy_next_upstream error non_idempotent;") as pair:
        assert [ask(pair.proxy, "/", method, b"body").status for _ in range(2)] == [200, 200]


def test_refused_post_is_retried():
    """Nothing has been sent, so nothing can be done twice."""
    with Pair(None) as pair:
        assert [ask(pair.proxy, "/", "POST", b"x" * 50000).status for _ in range(4)] == [200] * 4
        assert all(r.body == b"x" * 50000 for r in pair.good.requests)


@pytest.mark.parametrize("chunked", [False, True])
def test_streamed_body_before_it_was_taken(chunked):
    """Unbuffered: another server can still be asked as long as no byte of the body was taken."""
    with Pair(None, "proxy_request_buffering off;") as pair:
        body = b"y" * 200000
        for _ in range(4):
            assert ask(pair.proxy, "/", "PUT", body, chunked=chunked).status == 200
        assert [r.body == body for r in pair.good.requests] == [True] * 4
    with Pair(close, "proxy_request_buffering off;") as pair:
        assert 502 in [ask(pair.proxy, "/", "PUT", b"z" * 200000, chunked=chunked).status for _ in range(2)]
    with Pair(close, "proxy_request_buffering off;") as pair:  # one that came in one piece is kept
        assert ask(pair.proxy, "/", "PUT", b"z" * 200).status == 200
        assert [ask(pair.proxy, "/", "PUT", b"z" * 200).status for _ in range(2)] == [200, 200]
        assert pair.good.requests[-1].body == b"z" * 200


def test_old_version_needs_a_length():
    """HTTP/1.0 has no chunks: a body of unknown length is buffered whatever the directive says."""
    policy = "proxy_request_buffering off; proxy_http_version 1.0;"
    with Pair(None, policy) as pair:
        assert ask(pair.proxy, "/", "PUT", b"abc" * 9000, chunked=True).status == 200
        got = pair.good.requests[-1]
        assert (got.version, got.get("content-length"), got.body) == (
            "HTTP/1.0", "27000", b"abc" * 9000)


def test_tries():
    dead = [refuse() for _ in range(3)]
    more = "".join(f"server {d} max_fails=0;" for d in dead)
    with Pair(None, "proxy_next_upstream_tries 2;", more) as pair:
        answers = {ask(pair.proxy).status for _ in range(10)}
        assert answers == {200, 502}
        wait_for(lambda: len(pair.access()) == 10, "ten lines")
        assert max(line.count(", ") for line in pair.access()) <= 2
    with Pair(None, more=more) as pair:
        assert {ask(pair.proxy).status for _ in range(10)} == {200}


def test_each_server_once():
    dead = [refuse() for _ in range(2)]
    proxy = Proxy("log_format t '$upstream_addr'; access_log {dir}/a.log t; upstream u {"
                  + "".join(f"server {d} max_fails=0;" for d in dead)
                  + "} server { listen 127.0.0.1:{port}; location / { proxy_pass http://u; } }")
    assert ask(proxy).status == 502
    line = wait_for(lambda: open(proxy.dir + "/a.log").read(), "the log")
    assert sorted(line.strip().split(", ")) == sorted(dead)
    proxy.stop()


def test_next_timeout():
    with Pair(silent, "proxy_next_upstream_timeout 200ms;") as pair:
        assert sorted(ask(pair.proxy).status for _ in range(2)) == [200, 504]


def test_who_is_disabled_for_its_status():
    """The log names the server whose answer it was, not the one that is asked instead."""
    bad = Backend(lambda conn, reader, request: reply(conn, b"bad", "503 Busy"))
    good = Backend()
    proxy = Proxy(f"""upstream u {{ server {bad.addr}; server {good.addr}; }}
                      server {{ listen 127.0.0.1:{{port}};
                          location / {{ proxy_pass http://u; proxy_next_upstream http_503; }} }}""")
    assert ask(proxy).status == 200
    lines = wait_for(lambda: [x for x in proxy.log().splitlines() if "temporarily disabled" in x], "a line")
    assert len(lines) == 1 and f'upstream: "http://{bad.addr}/"' in lines[0]
    proxy.stop()
    bad.close()
    good.close()


def test_no_live_upstreams():
    addr = refuse()
    proxy = Proxy(f"""upstream u {{ server {addr} max_fails=1 fail_timeout=30s;
                                    server {refuse()} max_fails=1 fail_timeout=30s; }}
                      server {{ listen 127.0.0.1:{{port}}; location / {{ proxy_pass http://u; }} }}
                   """)
    assert ask(proxy).status == 502
    assert "no live upstreams" not in proxy.log()
    assert ask(proxy).status == 502
    wait_for(lambda: "no live upstreams while connecting to upstream" in proxy.log())
    proxy.stop()


def test_connect_timeout():
    """A listener whose queue is full takes no more connections."""
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    addr = full.getsockname()
    waiting = []
    for _ in range(4):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(addr)
        waiting.append(s)
    proxy = Proxy(f"""proxy_connect_timeout 300ms;
        server {{ listen 127.0.0.1:{{port}};
            location / {{ proxy_pass http://127.0.0.1:{addr[1]}; }} }}""")
    start = time.monotonic()
    assert ask(proxy).status == 504
    assert 0.25 < time.monotonic() - start < 3
    assert "upstream timed out (110: Connection timed out) while connecting" in proxy.log()
    proxy.stop()
    for s in waiting + [full]:
        s.close()


# ---- after the head: the client must see that something is missing ----

AFTER_HEAD = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "mid_chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhello",
    "mid_size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1",
    "no_last": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    "bad_chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n",
}


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("how", ["close", "reset", "silent"])
@pytest.mark.parametrize("what", AFTER_HEAD)
def test_truncated(what, how, buffering):
    def action(conn):
        conn.sendall(AFTER_HEAD[what])
        time.sleep(0.05)  # so that a reset does not take the bytes with it
        {"close": close, "reset": reset, "silent": silent}[how](conn)

    with Pair(action, f"proxy_buffering {buffering};") as pair:
        for _ in range(2):  # each on a fresh connection
            got = ask(pair.proxy, "/one/")
            if what == "bad_chunk":  # seen before the client has anything
                assert got.status == 502
            else:
                assert not got.complete and got.status == 200
        assert pair.bad.connections == 2


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", b"x"])
def test_surplus_is_never_an_answer(extra):
    """Bytes behind a response belong to nobody: the connection is not used again."""
    def script(conn, reader, request):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + extra)

    with Pair(None, script=script) as pair:
        client = Client(pair.proxy)
        for _ in range(3):
            client.send(b"GET /one/ HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.response().body == b"ok"
        client.close()
        assert pair.bad.connections == 3
        wait_for(lambda: pair.proxy.log().count("upstream sent more data than specified in "
                                                '"Content-Length" header while reading upstream') == 3)


def test_unix_sockets_that_are_no_use():
    """The log says which, and how bad it is: a server that is away, or a path that is wrong."""
    with tempfile.TemporaryDirectory(prefix="remora-") as directory:
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(directory + "/away.sock")
        os.chmod(directory, 0o755)
        os.chmod(directory + "/away.sock", 0o777)
        proxy = Proxy(f"""server {{ listen 127.0.0.1:{{port}};
            location /none {{ proxy_pass http://unix:{directory}/none.sock; }}
            location /away {{ proxy_pass http://unix:{directory}/away.sock:/x; }} }}""")
        assert [ask(proxy, path).status for path in ("/none", "/away")] == [502, 502]
        for line in (f"[crit] connect() to unix:{directory}/none.sock failed (2: No such file or directory) while "
                     f'connecting to upstream|upstream: "http://unix:{directory}/none.sock:/none"',
                     f"[error] connect() to unix:{directory}/away.sock failed (111: Connection refused) while "
                     f'connecting to upstream|upstream: "http://unix:{directory}/away.sock:/x"'):
            level, _, rest = line.partition("] ")
            what, _, where = rest.partition("|")
            wait_for(lambda: any(level + "]" in x and what in x and where in x for x in proxy.log().splitlines()), line)
        proxy.stop()


def test_speaking_before_being_asked():
    """An answer that is there before the question must not become the next question's."""
    def raw(conn):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        conn.recv(65536)
        time.sleep(0.05)

    backend = Backend(raw=raw)
    proxy = Proxy(f"server {{ listen 127.0.0.1:{{port}}; location / "
                  f"{{ proxy_pass http://{backend.addr}; }} }}")
    for _ in range(5):
        assert ask(proxy).status in (200, 502)
    proxy.stop()
    backend.close()


def test_early_answer_to_an_upload():
    """A server that answers and closes before it has read the body is heard."""
    def raw(conn):
        head = b""
        while b"\r\n\r\n" not in head:
            head += conn.recv(1000)
        reply(conn, b"too much", "413 Too Much", [("Connection", "close")])
        conn.shutdown(socket.SHUT_WR)
        time.sleep(0.2)

    for buffering in ("on", "off"):
        backend = Backend(raw=raw)
        proxy = Proxy(f"""client_max_body_size 0; server {{ listen 127.0.0.1:{{port}};
            location / {{ proxy_pass http://{backend.addr}; proxy_request_buffering {buffering}; }}
            }}""")
        client = Client(proxy)
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n")

        def push():
            try:
                client.send(b"x" * 3000000)
            except OSError:
                pass

        pusher = threading.Thread(target=push)
        pusher.start()
        got = client.response()
        assert (got.status, got.body) == (413, b"too much")
        client.close()
        pusher.join(10)
        proxy.stop()
        backend.close()


@pytest.mark.parametrize("ignore", [False, True])
def test_client_abort(ignore):
    """The server's connection goes with the client, unless proxy_ignore_client_abort is on."""
    seen = threading.Event()
    result = []

    def script(conn, reader, request):
        seen.set()
        conn.settimeout(0.6)
        try:
            result.append(conn.recv(1))
        except TimeoutError:
            result.append("kept")
            reply(conn, b"late")
        return False

    policy = "proxy_ignore_client_abort on; proxy_read_timeout 5s;" if ignore else \
             "proxy_read_timeout 5s;"
    backend = Backend(script)
    proxy = Proxy(f"""log_format s '$status'; access_log {{dir}}/a.log s;
        server {{ listen 127.0.0.1:{{port}}; {policy}
        location / {{ proxy_pass http://{backend.addr}; }} }}""")
    client = Client(proxy)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert seen.wait(5)
    client.close()
    wait_for(lambda: result, "the server's view")
    assert result == (["kept"] if ignore else [b""])
    if not ignore:
        wait_for(lambda: open(proxy.dir + "/a.log").read() == "499\n", "499 in the log")
    proxy.stop()
    backend.close()


def test_intercept_errors():
    backend = Backend(lambda conn, reader, request: reply(conn, b"raw", request.target[-3:] + " X"))
    proxy = Proxy(f"""server {{ listen 127.0.0.1:{{port}};
        error_page 503 /sorry; proxy_intercept_errors on;
        location / {{ proxy_pass http://{backend.addr}; }}
        location = /sorry {{ return 200 "sorry"; }} }}""")
    assert ask(proxy, "/503").body == b"sorry"
    assert ask(proxy, "/500").body == b"raw"
    assert ask(proxy, "/200").body == b"raw"
    proxy.stop()
    backend.close()
