# SPDX-License-Identifier: Apache-2.0
"""The attack corpus tests/data/smuggling.json: what reaches the backend is parsed again here, by a parser that
shares nothing with the proxy's and forgives nothing."""
import json
import os
import re
import socket
import threading
import time

import pytest
from conftest import Client, Closed, free_port, read_response

with open(os.path.join(os.path.dirname(__file__), "..", "data", "smuggling.json")) as f:
    CASES = json.load(f)

# Cases that go another way than the table says, and why that is what we want.  None is `core`.
DEVIATIONS = {
}

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") (/[\x21-\x7e\x80-\xff]*|\*) HTTP/1\.[01]")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
HOST = re.compile(rb"([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


class Wrong(Exception):
    """Bytes that are no HTTP/1.1 request, or can be read in two ways."""


class Incomplete(Exception):
    pass


def cut_line(data):
    at = data.find(b"\r\n")
    if at < 0:
        raise Incomplete
    line = data[:at]
    if b"\n" in line or b"\r" in line or b"\0" in line:
        raise Wrong(f"line {line!r}")
    return line, data[at + 2:]


def strict_chunks(data):
    body = b""
    while True:
        line, data = cut_line(data)
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", line):
            raise Wrong(f"chunk size {line!r}")
        size = int(line, 16)
        if size == 0:
            break
        if len(data) < size + 2:
            raise Incomplete
        if data[size:size + 2] != b"\r\n":
            raise Wrong("chunk without its end")
        body += data[:size]
        data = data[size + 2:]
    while True:
        line, data = cut_line(data)
        if not line:
            return body, data
        if not FIELD.fullmatch(line):
            raise Wrong(f"trailer {line!r}")


class Request:
    """One request, strictly; .rest is what follows it."""

    def __init__(self, data):
        line, data = cut_line(data)
        m = REQUEST_LINE.fullmatch(line)
        if not m:
            raise Wrong(f"request line {line!r}")
        self.method, self.target = m[1].decode(), m[2].decode("latin-1")
        self.fields = []
        while True:
            line, data = cut_line(data)
            if not line:
                break
            m = FIELD.fullmatch(line)
            if not m:
                raise Wrong(f"field {line!r}")
            self.fields.append((m[1].lower().decode(), m[2].rstrip(b" \t").decode("latin-1")))
        self.body, self.rest = self._body(data)

    def all(self, name):
        return [v for n, v in self.fields if n == name]

    def _body(self, data):
        length, coding, host = self.all("content-length"), self.all("transfer-encoding"), self.all("host")
        if len(host) != 1 or not HOST.fullmatch(host[0].encode("latin-1")):
            raise Wrong(f"host {host}")
        if length and coding or len(length) > 1 or len(coding) > 1:
            raise Wrong(f"framing {length} {coding}")
        if coding:
            if coding != ["chunked"]:
                raise Wrong(f"coding {coding}")
            return strict_chunks(data)
        if not length:
            return b"", data
        if not re.fullmatch(r"0|[1-9][0-9]{0,17}", length[0]):
            raise Wrong(f"length {length}")
        size = int(length[0])
        if len(data) < size:
            raise Incomplete
        return data[:size], data[size:]


class Recorder:
    """A backend that records every byte and answers every request the strict parser finds with its target."""

    def __init__(self, answers=None):
        self.answers = answers or {}  # path -> (bytes, close afterwards)
        self.lock = threading.Lock()
        self.connections = []  # bytearrays
        self.requests = []  # (connection, Request)
        self.wrong = []
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", free_port()))
        self.sock.listen(64)
        self.address = "127.0.0.1:%d" % self.sock.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            with self.lock:
                number = len(self.connections)
                self.connections.append(bytearray())
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock, number):
        data = b""
        with sock:
            while True:
                try:
                    more = sock.recv(65536)
                except OSError:
                    return
                if not more:
                    if data:
                        with self.lock:
                            self.wrong.append((number, "cut", bytes(data)))
                    return
                data += more
                with self.lock:
                    self.connections[number] += more
                while data:
                    try:
                        request = Request(data)
                    except Incomplete:
                        break
                    except Wrong as e:
                        with self.lock:
                            self.wrong.append((number, str(e), bytes(data)))
                        return
                    data = request.rest
                    with self.lock:
                        self.requests.append((number, request))
                    answer, close = self.answers.get(request.target, (None, False))
                    if answer is None:
                        body = b"backend " + request.target.encode("latin-1")
                        answer = b"HTTP/1.1 200 OK\r\nX-Backend: y\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
                    try:
                        sock.sendall(answer)
                    except OSError:
                        return
                    if close:
                        return

    def since(self, mark):
        with self.lock:
            return [r for _, r in self.requests[mark[0]:]], self.wrong[mark[1]:]

    def mark(self):
        with self.lock:
            return len(self.requests), len(self.wrong)

    def stop(self):
        self.sock.close()


CONF = """
worker_processes 1;
http {
    access_log off;
    client_header_timeout 1s;
    client_body_timeout 1s;
    keepalive_timeout 2s;
    lingering_timeout 1s;
    proxy_read_timeout 1s;
    proxy_request_buffering %(buffering)s;
    upstream recorder {
        server %(address)s;
        keepalive 4;
    }
    server {
        listen 127.0.0.1:@PORT:web@;
        server_name t.example;
        location / {
            proxy_pass http://recorder;
            proxy_set_header Host $host;
        }
        location /internal/ {
            internal;
            return 200 "SECRET";
        }
    }
}
"""


class Talk:
    """What the client saw: .responses (final ones), .interim, .cut (bytes of one that did not end)."""

    def __init__(self, address, raw, eof=False):
        self.responses, self.interim, self.cut = [], [], b""
        method = raw.split(b" ", 1)[0].decode("latin-1")
        client = Client(address, timeout=5)
        try:
            client.send(raw)
            if eof:
                client.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        try:
            while True:
                response = read_response(client.stream, method)
                (self.responses if response.status >= 200 else self.interim).append(response)
                if response.status >= 200 and not eof:
                    self._quiet(client)
        except Closed as e:
            self.cut = e.data
        except ConnectionResetError:
            self.cut = client.stream.buffer
        finally:
            client.close()

    @staticmethod
    def _quiet(client):
        """Nothing more for a while: says so, and then the connection ends at once."""
        if client.stream.buffer:
            return
        client.sock.settimeout(0.15)
        try:
            client.stream.fill()
        except socket.timeout:
            client.sock.settimeout(5)
            try:
                client.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        finally:
            client.sock.settimeout(5)

    def statuses(self):
        return [r.status for r in self.responses]


def outcome(talk, requests, wrong, streamed):
    """`reject`, or `forward`: accepted or normalised, which the strict parser holds for the same."""
    if streamed:  # a body that was on its way when it went wrong ends with its connection, never whole
        wrong = [w for w in wrong if w[1] != "cut"]
    if wrong:
        return "malformed upstream: " + "; ".join(f"{why} in {data[:200]!r}" for _, why, data in wrong)
    answered = [r for r in talk.responses if "x-backend" in r.headers]
    if len(answered) != len(requests):
        return f"{len(requests)} requests upstream, {len(answered)} answers"
    for request, response in zip(requests, answered):
        if response.body != b"backend " + request.target.encode("latin-1") and request.method != "HEAD":
            return f"answer {response.body!r} to {request.target}"
    if requests:
        return "forward"
    if not talk.responses or 400 <= talk.responses[0].status < 600:
        return "reject"
    return f"statuses {talk.statuses()}"


def has(requests, *names):
    return any(r.all(n) for r in requests for n in names)


NEVER = {
    "responses out of order or merged": lambda t, r: [x.target for x in r] != ["/c", "/d"],
    "both lines forwarded": lambda t, r: any(len(x.all("content-length")) > 1 for x in r),
    "upstream must not see a request-line for /SMUG": lambda t, r: any("SMUG" in x.target for x in r),
    "field forwarded": lambda t, r: has(r, "content_length"),
    "upstream sees last-chunk 0": lambda t, r: len(r) > 0,
    "any of these fields in the upstream header section":
        lambda t, r: any(x.all("transfer-encoding") == ["x"] or "1.1.1.1" in x.all("x-real-ip")
                         or "evil" in x.all("host") or (x.all("content-length") == ["0"]) for x in r),
    "Host: evil.example upstream or used for routing": lambda t, r: any("evil" in h for x in r for h in x.all("host")),
    "later fields dropped": lambda t, r: False,  # the case has none; a request that were cut would be `wrong`
    "X_Real_IP upstream": lambda t, r: has(r, "x_real_ip"),
    "forwarded upstream": lambda t, r: has(r, "keep-alive", "proxy-connection"),
    "internal location served": lambda t, r: any(b"SECRET" in x.body for x in t.responses),
    "100 sent to a 1.0 client": lambda t, r: bool(t.interim),
    "Upgrade: h2c or HTTP2-Settings upstream": lambda t, r: has(r, "http2-settings", "upgrade"),
    "garbage forwarded": lambda t, r: len(r) != 1,
}

# What the message means, where it is not "one request without a body".
BODIES = {
    "ok-te": b"HELLO", "te-get": b"HELLO", "ck-ext": b"HELLO", "ck-last000": b"HELLO", "cl-zeros": b"HELLO",
    "ck-tr-cl": b"HELLO", "ex-100": b"HELLO", "ex-10": b"HELLO", "cl-comma-same": b"HELLO", "cl-dup-same": b"HELLO",
    "cl-get": b"GET /SMUG HTTP/1.1\r\nHost: t.example\r\n\r\n",
    "fl-hop-cl": b"GET /SMUG HTTP/1.1\r\nHost: t.example\r\n\r\n",
}


def judge(case, talk, requests, wrong, streamed):
    """Returns what is wrong, or None."""
    allowed = {"forward" if e in ("accept", "normalize") else e for e in [case["expect"], *case.get("also_ok", [])]}
    got = outcome(talk, requests, wrong, streamed)
    if got not in allowed:
        return f"{got}, not {sorted(allowed)}"
    if "never" in case and NEVER[case["never"]](talk, requests):
        return f"never: {case['never']}"
    if got == "forward" and case["id"] in BODIES and requests[0].body != BODIES[case["id"]]:
        return f"body {requests[0].body!r}"
    return None


def report(kind, cases, failures, capsys):
    core = [c for c in cases if c.get("core")]
    deviating = [c["id"] for c in cases if c["id"] in DEVIATIONS]
    with capsys.disabled():
        print(f"\nsmuggling, {kind}: {len(cases) - len(failures) - len(deviating)} of {len(cases)} as the table says "
              f"(core {sum(c['id'] not in failures for c in core)} of {len(core)}), known deviations {len(deviating)} "
              f"{deviating or ''}")
    assert not failures, "\n".join(f"{i}: {why}" for i, why in failures.items())


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_requests(remora, buffering, capsys):
    recorder = Recorder()
    r = remora(CONF % {"address": recorder.address, "buffering": buffering})
    cases = [c for c in CASES if c["proto"] == "h1"]
    failures = {}
    for n, case in enumerate(cases):
        mark = recorder.mark()
        talk = Talk(r.address("web"), case["raw"].encode("latin-1"), case.get("eof", False))
        # A request of our own behind it: what was on its way upstream before has arrived by then.
        sync = r.get("web", f"/sync{n}")
        assert sync.body == f"backend /sync{n}".encode()
        time.sleep(0.002)
        requests, wrong = recorder.since(mark)
        assert requests and requests[-1].target == f"/sync{n}", case["id"]
        why = judge(case, talk, requests[:-1], wrong, buffering == "off")
        if case["id"] in DEVIATIONS:
            assert why is not None, f"{case['id']} deviates no longer: take it off the list"
            assert not case.get("core"), case["id"]
        elif why:
            failures[case["id"]] = f"{case['name']}: {why}; client saw {talk.statuses()} {talk.cut[:80]!r}"
    recorder.stop()
    for connection in recorder.connections:
        assert b"\nGET /SMUG" not in connection.split(b"\r\n\r\n")[0]
    report(f"requests, proxy_request_buffering {buffering}", cases, failures, capsys)


# ---- what a backend may answer ----

def judge_response(case, recorder, talk, after, reused):
    """`after`: the answer to the request that followed; `reused`: whether it went over the same connection."""
    complete = bool(talk.responses) and talk.responses[0].status == 200
    got = "accept" if complete else "reject"
    allowed = {"accept" if e in ("accept", "normalize") else e for e in [case["expect"], *case.get("also_ok", [])]}
    if case["id"] in ("rs-cut", "rs-cutck"):
        allowed.discard("accept")  # begun and broken off counts as rejected; whole it must not be
    if got not in allowed:
        return f"{got} ({talk.statuses()} {talk.cut[:60]!r}), not {sorted(allowed)}"
    if complete and case["id"] != "rs-09" and talk.responses[0].body not in (b"ok",):
        return f"body {talk.responses[0].body!r}"
    if complete and {"content-length", "transfer-encoding"} <= set(talk.responses[0].headers):
        return "both framings forwarded"
    if after.body != b"backend /after" or b"EVIL" in after.raw:
        return f"the next request got {after.raw!r}"
    if reused and case["id"] not in ("rs-ok",) and not (complete and case["id"] == "rs-fold"):
        return "the connection was used again"
    return None


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_responses(remora, buffering, capsys):
    cases = [c for c in CASES if c["proto"] == "resp"]
    recorder = Recorder({"/" + c["id"]: (c["raw"].encode("latin-1"), c.get("eof", False)) for c in cases})
    conf = CONF % {"address": recorder.address, "buffering": "on"}
    r = remora(conf.replace("proxy_read_timeout 1s;", f"proxy_read_timeout 1s; proxy_buffering {buffering};"))
    failures = {}
    for case in cases:
        raw = f"GET /{case['id']} HTTP/1.1\r\nHost: t.example\r\n\r\n".encode()
        talk = Talk(r.address("web"), raw)
        with recorder.lock:
            used = recorder.requests[-1][0]
        after = r.get("web", "/after")
        with recorder.lock:
            reused = recorder.requests[-1][0] == used
        why = judge_response(case, recorder, talk, after, reused)
        if case["id"] in DEVIATIONS:
            assert why is not None, f"{case['id']} deviates no longer: take it off the list"
            assert not case.get("core"), case["id"]
        elif why:
            failures[case["id"]] = f"{case['name']}: {why}"
    recorder.stop()
    report(f"responses, proxy_buffering {buffering}", cases, failures, capsys)


# ---- the judges themselves ----

@pytest.mark.parametrize("raw", [
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 01\r\n\r\na",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
])
def test_parser_is_strict(raw):
    with pytest.raises(Wrong):
        Request(raw)


def test_parser_reads():
    request = Request(b"POST /a HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\nGET")
    assert (request.method, request.target, request.body, request.rest) == ("POST", "/a", b"ab", b"GET")
    with pytest.raises(Incomplete):
        Request(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab")


def test_every_rule_is_used():
    used = {c["never"] for c in CASES if c["proto"] == "h1" and "never" in c}
    assert used == set(NEVER)
    assert {c["id"] for c in CASES} >= set(DEVIATIONS) | set(BODIES)
