# SPDX-License-Identifier: Apache-2.0
"""Bodies of all sizes and framings arrive as they were sent, both ways."""
import pytest

from proxy_lab import Backend, Client, Proxy, ask, pattern, reply

SIZES = [0, 1, 100, 4095, 4096, 4097, 15000, 16383, 16384, 16385, 65535, 65536, 65537, 3000000]
MODES = ["on", "off", "small"]


def answer(conn, reader, request):
    """/FRAMING/SIZE: a body of that size."""
    _, framing, size = request.target.split("/")
    body = pattern(int(size))
    if framing == "length":
        reply(conn, body)
    elif framing == "chunked" or framing == "tiny":
        step = 37 if framing == "tiny" else 9000
        body = body[:60000] if framing == "tiny" else body
        data = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + step]), body[i:i + step])
                        for i in range(0, len(body), step))
        conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data + b"0\r\n\r\n")
    elif framing == "echo":
        reply(conn, request.body)
    else:
        reply(conn, body, length=False, fields=[("Connection", "close")])
        return False


@pytest.fixture(scope="module")
def lab():
    backend = Backend(answer)
    proxy = Proxy(f"""
        client_max_body_size 0;
        server {{ listen 127.0.0.1:{{port}};
            location / {{ proxy_pass http://{backend.addr}; }}
        }}
        server {{ listen 127.0.0.1:{{port}}; server_name off;
            proxy_buffering off; proxy_request_buffering off;
            location / {{ proxy_pass http://{backend.addr}; }}
        }}
        server {{ listen 127.0.0.1:{{port}}; server_name small;
            proxy_buffer_size 1k; proxy_buffers 4 1k; proxy_busy_buffers_size 2k;
            proxy_temp_file_write_size 2k; client_body_buffer_size 1k;
            location / {{ proxy_pass http://{backend.addr}; }}
        }}""")
    yield proxy
    proxy.stop()
    backend.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("framing", ["length", "chunked", "tiny", "close"])
def test_response(lab, framing, mode):
    for size in SIZES:
        expected = pattern(size)[:60000] if framing == "tiny" else pattern(size)
        got = ask(lab, f"/{framing}/{size}", host=mode)
        assert (got.status, got.complete, len(got.body)) == (200, True, len(expected)), size
        assert got.body == expected, size


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("chunked", [False, True])
def test_request(lab, chunked, mode):
    for size in SIZES:
        body = pattern(size, 7)
        got = ask(lab, "/echo/0", "POST", body, host=mode, chunked=chunked)
        assert (got.status, got.complete, len(got.body)) == (200, True, size), size
        assert got.body == body, size


@pytest.mark.parametrize("mode", MODES)
def test_keepalive_client(lab, mode):
    """Responses of all kinds one after another on one connection."""
    client = Client(lab)
    for framing in ["length", "chunked", "tiny", "close"] * 3:
        for size in (0, 1, 5000, 70000):
            client.send(f"GET /{framing}/{size} HTTP/1.1\r\nHost: {mode}\r\n\r\n".encode())
            got = client.response()
            expected = pattern(size)[:60000] if framing == "tiny" else pattern(size)
            assert got.complete and got.body == expected, (framing, size)
    client.close()


def test_pipelined(lab):
    client = Client(lab)
    client.send(b"".join(b"GET /length/%d HTTP/1.1\r\nHost: on\r\n\r\n" % n for n in range(50)))
    for n in range(50):
        got = client.response()
        assert got.body == pattern(n)
    client.close()


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_old_clients_get_no_chunks(lab, version):
    got = ask(lab, "/chunked/20000", version=version)
    assert got.body == pattern(20000)
    assert (got.get("transfer-encoding") == "chunked") == (version == "HTTP/1.1")


def test_head_and_no_content():
    def script(conn, reader, request):
        if request.target == "/head":
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
        elif request.target == "/chunkedhead":
            conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        else:
            code = request.target[1:]
            conn.sendall(b"HTTP/1.1 %s X\r\nETag: \"a\"\r\n\r\n" % code.encode())

    backend = Backend(script)
    proxy = Proxy(f"server {{ listen 127.0.0.1:{{port}}; location / "
                  f"{{ proxy_pass http://{backend.addr}; }} }}")
    client = Client(proxy)
    for target, method in [("/head", "HEAD"), ("/204", "GET"), ("/chunkedhead", "HEAD"),
                           ("/304", "GET"), ("/head", "HEAD")]:
        client.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        got = client.response(method)
        if target == "/head":
            assert got.get("content-length") == "1234"
    assert client.reader.data == b""
    client.close()
    assert backend.connections == 1
    proxy.stop()
    backend.close()


def test_expect_continue(lab):
    client = Client(lab)
    client.send(b"POST /echo/0 HTTP/1.1\r\nHost: on\r\nContent-Length: 5\r\n"
                b"Expect: 100-continue\r\n\r\n")
    assert client.head()[0] == 100
    client.send(b"hello")
    assert client.response().body == b"hello"
    client.close()
