# SPDX-License-Identifier: Apache-2.0
"""Directives that no other file is about, each with what it changes."""
import ctypes
import os
import socket
import stat
import time

import pytest
from conftest import ok, wait_for
from oracle import Both


def serve(remora, inside, http="", **kw):
    return remora("%s http { access_log off; %s client_body_temp_path @DIR@/bodies; proxy_temp_path @DIR@/proxied;"
                  " server { listen 127.0.0.1:@PORT:web@; %s } }" % (kw.pop("main", ""), http, inside), **kw)


def test_max_headers(remora):
    r = serve(remora, "max_headers 3; location / { return 200 ok; }")
    assert r.get("web", "/", A="1").status == 200  # with Host and Connection
    assert r.get("web", "/", A="1", B="2").status == 400


@pytest.mark.parametrize("on_or_off", ["on", "off"])
def test_multi_accept(remora, on_or_off):
    r = serve(remora, "location / { return 200 ok; }", main="events { multi_accept %s; }" % on_or_off)
    clients = [r.client() for _ in range(40)]
    assert [c.get("/").status for c in clients] == [200] * 40
    for c in clients:
        c.close()


@pytest.mark.parametrize("how", ["on", "clean", "off"])
def test_client_body_in_file_only(remora, backend, how):
    b = backend(lambda request: ok(dict(request.fields).get("x-file", "")))
    r = serve(remora, "location / { client_body_in_file_only %s; proxy_set_header X-File $request_body_file;"
                      " proxy_pass http://%s; }" % (how, b.addr))
    name = r.request("web", "POST", "/", body=b"some body").body.decode()
    if how == "off":
        assert name == ""
        return
    assert name.startswith(r.dir + "/bodies/")
    if how == "on":
        with open(name, "rb") as f:
            assert f.read() == b"some body"
    else:
        wait_for(lambda: not os.path.exists(name), "the file to go")


def test_temp_paths_are_made(remora, backend):
    b = backend(ok(b"x" * 3000000))
    r = serve(remora, "location / { proxy_buffers 2 4k; proxy_pass http://%s; }" % b.addr)
    with r.client() as c:
        c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert len(c.response().body) == 3000000
    for name in ("bodies", "proxied"):
        assert stat.S_IMODE(os.stat(f"{r.dir}/{name}").st_mode) == 0o700


def test_head_settings(remora):
    text = """http { access_log off; server { listen 127.0.0.1:@PORT:web@; underscores_in_headers on;
        ignore_invalid_headers off; location / { return 200 $http_a_b; } } }"""
    with Both(remora, text) as both:
        assert both.same(headers={"A_B": "1"}).body == b"1"
        both.same(headers={"A.B": "1"})


@pytest.mark.parametrize("how", ["off", "on", "always"])
def test_lingering_close(remora, how):
    """What comes after the response: read and thrown away, or answered with a reset."""
    r = serve(remora, "lingering_close %s; location / { return 403; }" % how)
    with r.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n0123456789")
        assert c.response("POST").status == 403
        reset = False
        try:
            for _ in range(10):
                c.send("more")
                time.sleep(0.02)
        except OSError:
            reset = True
        assert reset == (how == "off")


def test_tcp_nopush(remora):
    """Head and file leave together."""
    r = serve(remora, "root @DIR@; tcp_nopush on; sendfile on;")
    with open(r.dir + "/small.txt", "w") as f:
        f.write("x" * 300)
    for _ in range(20):
        with r.client() as c:
            c.send("GET /small.txt HTTP/1.1\r\nHost: x\r\n\r\n")
            assert c.sock.recv(65536).endswith(b"x" * 300)


def fd_of(pid, inode):
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            if os.readlink(f"/proc/{pid}/fd/{fd}") == f"socket:[{inode}]":
                return int(fd)
        except FileNotFoundError:
            pass
    return None


def tcp_lines(local, remote):
    """Of /proc/net/tcp, those between two ports of 127.0.0.1 (None: any)."""
    with open("/proc/net/tcp") as f:
        lines = [line.split() for line in f][1:]
    ends = [[int(line[i].split(":")[1], 16) for i in (1, 2)] for line in lines]
    return [line for line, (a, b) in zip(lines, ends) if a == local and b == remote or (remote is None and a == local)
            or (local is None and b == remote)]


def option_in(pid, inode, level, name):
    """A socket option as another process has it."""
    fd = fd_of(pid, inode)
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.syscall(434, pid, 0)  # pidfd_open
    copy = libc.syscall(438, handle, fd, 0)  # pidfd_getfd
    os.close(handle)
    if copy < 0:
        pytest.skip("no permission to look into a worker")
    with socket.socket(fileno=copy) as s:
        return s.getsockopt(level, name)


@pytest.mark.parametrize("value", ["on", "off"])
def test_tcp_nodelay(remora, value):
    r = serve(remora, "tcp_nodelay %s; location / { return 200 ok; }" % value)
    with r.client() as c:
        assert c.get("/").status == 200
        inode = tcp_lines(r.port("web"), c.sock.getsockname()[1])[0][9]
        delay = option_in(r.workers()[0], inode, socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert bool(delay) == (value == "on")


@pytest.mark.parametrize("value", ["on", "off"])
def test_proxy_socket_keepalive(remora, backend, value):
    b = backend()
    r = serve(remora, "location / { proxy_socket_keepalive %s; proxy_pass http://%s; }" % (value, b.addr))
    assert r.get().status == 200
    port = int(b.addr.split(":")[1])
    # the idle connection's timer in the kernel: 02 is the one of keep-alive
    timers = {line[5].split(":")[0] for line in tcp_lines(None, port) if line[3] == "01"}
    assert timers == ({"02"} if value == "on" else {"00"})


def test_proxy_bind(remora):
    r = serve(remora, "location / { proxy_bind 127.0.0.2; proxy_pass http://127.0.0.1:@PORT:peer@; }"
                      " location /off { proxy_pass http://127.0.0.1:@PORT:peer@; }",
              http="server { listen 127.0.0.1:@PORT:peer@; return 200 $remote_addr; }")
    assert r.get().body == b"127.0.0.2"
    assert r.get("web", "/off").body == b"127.0.0.1"


def test_proxy_limit_rate(remora, backend):
    b = backend(ok(b"x" * 60000))
    r = serve(remora, "location / { proxy_limit_rate 40k; proxy_buffers 4 4k; proxy_pass http://%s; }" % b.addr)
    began = time.monotonic()
    assert len(r.get().body) == 60000
    assert time.monotonic() - began > 0.4


def test_proxy_store(remora, backend):
    b = backend(ok(b"stored"))
    r = serve(remora, "location / { proxy_store @DIR@/kept$uri; proxy_store_access group:r all:r; proxy_pass http://%s; }"
                      " location /kept/ { root @DIR@; }" % b.addr)
    os.mkdir(r.dir + "/kept")
    os.chmod(r.dir + "/kept", 0o777)
    assert r.get("web", "/one.txt").body == b"stored"
    path = r.dir + "/kept/one.txt"
    wait_for(lambda: os.path.exists(path), "the file")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o644
    assert r.get("web", "/kept/one.txt").body == b"stored"


TRAILERS = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 7\r\n\r\n")


@pytest.mark.parametrize("value", ["on", "off"])
def test_proxy_pass_trailers(remora, backend, value):
    b = backend(TRAILERS)
    r = serve(remora, "location / { proxy_pass_trailers %s; proxy_pass http://%s; }" % (value, b.addr))
    response = r.get("web", "/", TE="trailers")
    assert response.body == b"body"
    assert response.trailers == ({"x-sum": "7"} if value == "on" else {})


def test_early_hints(remora, backend):
    b = backend(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" + ok(b"body"))
    r = serve(remora, "early_hints $http_x_hints; location / { proxy_pass http://%s; }" % b.addr)
    for value, statuses in (("1", [103, 200]), ("0", [200])):
        with r.client() as c:
            c.send(f"GET / HTTP/1.1\r\nHost: x\r\nX-Hints: {value}\r\n\r\n")
            for status in statuses:
                response = c.response(interim=True)
                assert response.status == status
                if status == 103:
                    assert response.headers["link"] == "</a.css>; rel=preload"
            assert response.body == b"body"


def test_temporary_files_without_a_place_of_their_own(remora, backend):
    """A prefix in which nothing can be made, as on a read-only root: bodies are spilled to /tmp."""
    server = backend(lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (
        len(request.body), request.body))
    r = remora("http { client_body_buffer_size 1k; server { listen 127.0.0.1:@PORT:web@;"
               f" location / {{ proxy_pass http://{server.addr}; }} }} }}",
               args=["-p", "/proc/none/", "-e", "stderr"])
    body = b"x" * 100000
    with r.client() as c:
        assert c.request("POST", "/", body=body).body == body
    assert "buffered to a temporary file in /tmp" in r.log()
