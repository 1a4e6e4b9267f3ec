# SPDX-License-Identifier: Apache-2.0
"""Responses that two readers might read in two ways: refused, or passed on in one form only, and the
connection they came on is never used again."""
import pytest

from proxy_lab import Backend, Client, Proxy

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

# name: the bytes; "reject" (502, or cut off), or the body that the client gets
CASES = {
    "baseline": (OK + b"Content-Length: 2\r\n\r\nok", b"ok"),
    "length_and_chunked": (OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
                           b"2\r\nok\r\n0\r\n\r\n", "reject"),
    "two_lengths": (OK + b"Content-Length: 2\r\nContent-Length: 9\r\n\r\nok", "reject"),
    "length_list": (OK + b"Content-Length: 2, 9\r\n\r\nok", "reject"),
    "length_plus": (OK + b"Content-Length: +2\r\n\r\nok", "reject"),
    "length_minus": (OK + b"Content-Length: -2\r\n\r\nok", "reject"),
    "length_huge": (OK + b"Content-Length: 18446744073709551618\r\n\r\nok", "reject"),
    "chunked_twice": (OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                      "reject"),
    "gzip_coding": (OK + b"Transfer-Encoding: gzip\r\n\r\nok", "reject"),
    "xchunked": (OK + b"Transfer-Encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "reject"),
    "nul": (OK + b"X-A: a\0b\r\nContent-Length: 2\r\n\r\nok", "reject"),
    "bare_cr": (OK + b"X-A: a\rSet-Cookie: x=y\r\nContent-Length: 2\r\n\r\nok", "reject"),
    "fold": (OK + b"X-A: a\r\n b\r\nContent-Length: 2\r\n\r\nok", "reject"),
    "lf_chunks": (CHUNKED + b"2\nok\n0\n\n", "reject"),
    "chunk_overflow": (CHUNKED + b"10000000000000002\r\nok\r\n0\r\n\r\n", "reject"),
    "chunk_sign": (CHUNKED + b"+2\r\nok\r\n0\r\n\r\n", "reject"),
    "chunk_0x": (CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n", "reject"),
    "chunk_tail": (CHUNKED + b"2\r\nokXX0\r\n\r\n", "reject"),
    "status_long": (b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok", "reject"),
    "status_short": (b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok", "reject"),
    "no_status_line": (b"ok, no status line at all", "reject"),
    "http2": (b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "reject"),
    "long_line": (OK + b"X-A: " + b"v" * 80000 + b"\r\nContent-Length: 2\r\n\r\nok", "reject"),
    "many_lines": (OK + b"".join(b"X-%d: v\r\n" % i for i in range(3000)) + b"\r\n", "reject"),
    "many_interim": (b"HTTP/1.1 103 E\r\n\r\n" * 200 + OK + b"Content-Length: 2\r\n\r\nok",
                     "reject"),
    "some_interim": (b"HTTP/1.1 103 E\r\nX-No: 1\r\n\r\n" * 5 + OK +
                     b"Content-Length: 2\r\n\r\nok", b"ok"),
    "extra_bytes": (OK + b"Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
                    b"EVIL", b"ok"),
    "extra_after_chunks": (CHUNKED + b"2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n"
                           b"\r\nEVIL", b"ok"),
    "no_content_with_body": (b"HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\nEVIL", b""),
    "not_modified_with_body": (b"HTTP/1.1 304 No\r\nContent-Length: 4\r\n\r\nEVIL", b""),
    "cut_length": (OK + b"Content-Length: 50\r\n\r\nhalf", "reject"),
    "cut_chunked": (CHUNKED + b"4\r\nhalf\r\n", "reject"),
    "trailers": (CHUNKED + b"2\r\nok\r\n0\r\nX-T: 1\r\nContent-Length: 9\r\n\r\n", b"ok"),
    "bad_trailer": (CHUNKED + b"2\r\nok\r\n0\r\nno colon\r\n\r\n", "reject"),
}


@pytest.fixture(scope="module")
def lab():
    def script(conn, reader, request):
        raw = CASES[request.target[1:]][0]
        conn.sendall(raw)
        return False if CASES[request.target[1:]][1] == "reject" else None

    backend = Backend(script)
    proxy = Proxy(f"""server {{ listen 127.0.0.1:{{port}};
        location / {{ proxy_pass http://{backend.addr}; }} }}""")
    yield proxy, backend
    proxy.stop()
    backend.close()


@pytest.mark.parametrize("name", CASES)
def test_case(lab, name):
    proxy, backend = lab
    expected = CASES[name][1]
    client = Client(proxy)
    client.send(f"GET /{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    try:
        got = client.response()
    except AssertionError:  # closed without a byte
        assert expected == "reject"
        got = None
    assert got is None or b"EVIL" not in got.body
    if expected == "reject":
        assert got is None or got.status == 502 or not got.complete, got
        # Whatever the connection still holds, a fresh one serves the next request.
        client.close()
        client = Client(proxy)
    else:
        assert got.status in (200, 204, 304) and got.complete and got.body == expected, got
        assert got.get("x-no") is None
        assert len(got.all("content-length") + got.all("transfer-encoding")) <= 1
    client.send(b"GET /baseline HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.response().body == b"ok"
    client.close()
