# SPDX-License-Identifier: Apache-2.0
"""Requests and responses put together at random from ways to spell framing oddly.

What counts is not which are refused: every byte that reaches the backend is parsed again by the strict parser of
test_smuggling.py, and must be as many requests as there are answers; a request that hides in a body never is one; what
a backend says too much never answers anybody.  REMORA_SMUGGLING=SEED:COUNT tries others."""
import os
import random
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from conftest import Client, Closed
from test_smuggling import Incomplete, Recorder, Request, Wrong

SEED, COUNT = (int(n) for n in os.environ.get("REMORA_SMUGGLING", "1:250").split(":"))
THREADS = 12

CONF = """
worker_processes 1;
http {
    access_log off;
    client_header_timeout 1s;
    client_body_timeout 1s;
    keepalive_timeout 2s;
    lingering_timeout 500ms;
    proxy_read_timeout 1s;
    upstream recorder { server %s; keepalive 8; }
    proxy_set_header Host $host;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server { listen 127.0.0.1:@PORT:buffered@; location / { proxy_pass http://recorder; } }
    server { listen 127.0.0.1:@PORT:streamed@; proxy_request_buffering off; proxy_buffering off;
        location / { proxy_pass http://recorder; } }
    server { listen 127.0.0.1:@PORT:old@; proxy_http_version 1.0; location / { proxy_pass http://recorder; } }
    server { listen 127.0.0.1:@PORT:closing@; proxy_set_header Connection close; proxy_request_buffering off;
        location / { proxy_pass http://recorder; } }
}
"""
ANSWERED = b"X-Backend: y\r\n"
WAYS = ["buffered", "streamed", "old", "closing"]

LENGTHS = ["0", "5", "05", "+5", "-5", "5 ", " 5", "5,5", "5, 0", "5,", ",5", "0x5", "5;", "5.0", "5e0", "", "\t5", "5\x0b",
           "5\x00", "\xa05", "\x1f5", "18446744073709551621", "9223372036854775807", "4294967301", "99999999999999999999",
           "5 5", "\"5\"", "five", "5\r", "00000000000000000005"]
CODINGS = ["chunked", "Chunked", "chunked ", " chunked", "\tchunked", "chunked,", ",chunked", "chunked, chunked",
           "chunked;a=b", "chunked, identity", "identity, chunked", "gzip, chunked", "identity", "gzip", "", "xchunked",
           "chunked\x0b", "\x0bchunked", "chunked\x00", "ch\x00unked", "\"chunked\"", "chunked\r", "'chunked'", "trailers",
           "chun\x7fked", "\xa0chunked", "chunked\t;q=0", "cHuNkEd", "chunked chunked", "chu,nked"]
LINES = ["Expect: 100-continue", "Expect: 100-continue, x", "Connection: Content-Length", "Connection: Transfer-Encoding",
         "Connection: close", "Connection: keep-alive", "Connection: Upgrade\r\nUpgrade: x", "X_Y: z", "X-A : b", " X: y",
         "X:\x00", "X: a\rb", "X", ": y", "TE: trailers", "Trailer: Content-Length", "Host: evil.example", "Upgrade: h2c",
         "Connection: Host", "Content-Encoding: chunked", "X-Forwarded-For: 1\r\n\t2", "Keep-Alive: 300",
         "Proxy-Connection: keep-alive", "X-Long: " + "a" * 1500]
ENDS = ["\r\n"] * 12 + ["\n", "\r", "\r\r\n", " \r\n", "\x00\r\n", "\r\n "]
SIZES = ["5", "05", "5 ", "5;a", "5;a=b", "5;a=\"b\"", "5;", " 5", "+5", "-5", "0x5", "5\t", "5,", "", "5\x00", "5;\x00",
         "5;a\r", "100000000000000005", "FFFFFFFFFFFFFFFF", "7FFFFFFFFFFFFFFF", "00000000000000000000000000000005", "5;a=\r\n b",
         "5\n", "5;a\n"]
METHODS = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "X-OWN"]


def misspelt(rng, name):
    """A field's name, usually as it should be."""
    return rng.choice([name] * 10 + [name.lower(), name.upper(), name + " ", " " + name, name + "\t", name.replace("-", "_"),
                                     name.replace("-", "-\r\n "), name + "\x00", name[:-1], "\x0b" + name, name + "\xa0"])


def framing(rng):
    if rng.random() < 0.5:
        name, value = "Content-Length", rng.choice(LENGTHS + ["5"] * 10)
    else:
        name, value = "Transfer-Encoding", rng.choice(CODINGS + ["chunked"] * 12)
    return misspelt(rng, name) + ":" + rng.choice([" ", "", "\t", "  ", "\r\n "] if rng.random() < 0.2 else [" "]) + value


def chunks(rng):
    size = rng.choice(SIZES + ["5"] * 12)
    end = rng.choice(["\r\n"] * 8 + ["\n", "\r", "", "\r\n\r\n"])
    after = rng.choice(["\r\n"] * 8 + ["\n", "\r", "", "XX"])
    last = rng.choice(["0"] * 8 + ["00", "0;x", "0 ", "0x0", "-0", ""])
    trailer = rng.choice([""] * 6 + ["X: y\r\n", "Content-Length: 44\r\n", "X : y\r\n", "Transfer-Encoding: chunked\r\n",
                                     "no colon\r\n", "Host: evil.example\r\n", " fold\r\n", "X: y\n"])
    finish = rng.choice(["\r\n"] * 8 + ["\n", "", "\r"])
    return size + end + "HELLO" + after + last + end + trailer + finish


def one(rng, number):
    """A request of that number, with another in or behind its body: (bytes, method)."""
    hidden = f"GET /SMUG{number} HTTP/1.1\r\nHost: t.example\r\n\r\n"
    method = rng.choice(METHODS)
    lines = ["Host: t.example"] + [framing(rng) for _ in range(rng.choice([0, 1, 1, 1, 2, 2, 3]))]
    lines += [rng.choice(LINES) for _ in range(rng.choice([0, 0, 0, 1, 2]))]
    rng.shuffle(lines)
    head = f"{method} /c{number} HTTP/{rng.choice(['1.1'] * 6 + ['1.0'])}\r\n"
    head += "".join(line + rng.choice(ENDS if rng.random() < 0.15 else ["\r\n"]) for line in lines) + "\r\n"
    body = rng.choice([lambda: chunks(rng), lambda: "HELLO", lambda: "0\r\n\r\n", lambda: ""])()
    return (head + body + rng.choice([hidden, hidden, ""])).encode("latin-1")


def legitimate(raw):
    """The targets that a strict reader finds in a client's bytes, one that takes LF for CRLF in heads among them.  Case does
    not matter in codings nor zeros before a length, and fields with odd names are dropped, as nginx does."""
    found = set()
    raw = re.sub(rb"(?i)\bchunked\b", b"chunked", re.sub(rb"(?m)^[A-Za-z-]+\xa0:.*\r?\n", b"", raw))
    raw = re.sub(rb"(?i)(content-length:\s*)0+(?=\d)", rb"\1", raw)
    for data in (raw, raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")):
        try:
            while data:
                request = Request(data)
                found.add(request.target)
                data = request.rest
        except (Wrong, Incomplete):
            pass
    return found


def send(client, raw, pieces):
    """All at once, or cut at places of chance."""
    cuts = sorted(random.Random(len(raw)).sample(range(1, len(raw)), min(pieces, len(raw) - 1)))
    for start, end in zip([0, *cuts], [*cuts, len(raw)]):
        client.send(raw[start:end])
        if cuts:
            time.sleep(0.001)


def talk(address, raw, pieces=0, owed=lambda: 0):
    """All that comes back.  Ends its own side when nothing has come for a while, and the answers owed have."""
    client = Client(address, timeout=10)
    got = b""
    try:
        try:
            send(client, raw, pieces)
        except OSError:
            pass  # it has answered and closed: what it said can still be read
        client.sock.settimeout(0.2)
        while True:
            try:
                more = client.sock.recv(65536)
            except TimeoutError:
                if got.count(ANSWERED) >= owed():  # else a client that ends early is taken to have gone
                    client.sock.settimeout(10)
                    client.sock.shutdown(socket.SHUT_WR)
                continue
            if not more:
                break
            got += more
    except OSError:
        pass
    finally:
        client.close()
    return got


def in_time(ask):
    """What is answered; on a busy machine the backend may be late, and is asked again."""
    for _ in range(5):
        got = ask()
        if b"HTTP/1.1 504 " not in got:
            break
    return got


def numbered(requests, number):
    return [q for q in requests if q.target.strip("/cSMUGv") == str(number)]


def test_requests(remora):
    recorder = Recorder()
    r = remora(CONF % recorder.address)
    cases = []
    for n in range(COUNT):
        rng = random.Random(SEED * 1000003 + n)
        raw = one(rng, n)
        if rng.random() < 0.25:  # behind one that is as it should be
            raw = f"GET /v{n} HTTP/1.1\r\nHost: t.example\r\n\r\n".encode() + raw
        cases.append((n, raw, rng.choice(WAYS), rng.choice([0, 0, 3, 40])))

    def seen(number):
        return numbered(recorder.since((0, 0))[0], number)

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda c: talk(r.address(c[2]), c[1], c[3], lambda: len(seen(c[0]))), cases))
    r.get("buffered", "/last")
    time.sleep(0.1)
    requests, wrong = recorder.since((0, 0))
    recorder.stop()
    failures = [f"malformed upstream: {why} in {data[:300]!r}" for _, why, data in wrong if why != "cut"]
    for (number, raw, way, _), got in zip(cases, answers):
        mine = numbered(requests, number)
        allowed = legitimate(raw)
        hidden = [q for q in mine if "SMUG" in q.target and q.target not in allowed]
        evil = [q for q in mine if "evil" in "".join(q.all("host"))]
        answered, late = got.count(ANSWERED), got.count(b"HTTP/1.1 504 ")  # one that is late was a request, or half of one
        if hidden or evil or not answered <= len(mine) <= answered + late or b"HTTP/1." not in (got or b"HTTP/1."):
            failures.append(f"{number} ({way}): {raw!r}\n  upstream {[q.target for q in mine]}, client {got[:600]!r}")
    assert not failures, f"{len(failures)} of {COUNT}\n" + "\n".join(failures[:8])


# ---- what a backend may answer ----

STATUSES = ["200 OK"] * 8 + ["204 No Content", "304 Not Modified", "404 Not Found", "101 Switching Protocols", "100 Continue",
                             "103 Early Hints", "200", "2000 OK", "20 OK", "099 X", "200 \x00", "999 X", "-200 OK", "200\tOK"]
FIELDS = ["X-A: b", "X-A : b", "X: y\r\n fold", "Connection: close", "Connection: keep-alive", "Upgrade: x\r\nConnection: upgrade",
          "X:\x00", "X: a\rb", ": y", "no colon", "Set-Cookie: a=b", "X-Accel-Redirect: /SMUG", "X-Accel-Buffering: no",
          "Content-Encoding: gzip", "Trailer: X", "X-Long: " + "a" * 3000, "Location: /x", "Date: x", "Content-Range: bytes 0-1/2"]
POISON = b"HTTP/1.1 200 OK\r\nX-Backend: y\r\nContent-Length: 4\r\n\r\nEVIL"


def answer(rng):
    """(bytes, whether the backend closes behind them)"""
    out = ""
    for _ in range(rng.choice([0, 0, 0, 1, 3])):
        out += f"HTTP/1.1 {rng.choice(['100 Continue', '103 Early Hints', '102 X'])}\r\nLink: x\r\n\r\n"
    lines = [framing(rng) for _ in range(rng.choice([0, 1, 1, 1, 2]))] + rng.sample(FIELDS, rng.choice([0, 0, 1, 2]))
    rng.shuffle(lines)
    out += f"HTTP/{rng.choice(['1.1'] * 8 + ['1.0', '1.2', '2.0', '1'])} {rng.choice(STATUSES)}\r\n"
    out += "".join(line + rng.choice(ENDS if rng.random() < 0.1 else ["\r\n"]) for line in lines) + "\r\n"
    out += rng.choice([lambda: chunks(rng), lambda: "HELLO", lambda: "", lambda: "HEL"])()
    poison = rng.choice([b"", POISON, POISON, b"garbage", b"\r\n", b"0\r\n\r\n"])
    return out.encode("latin-1") + poison, rng.random() < 0.3


def test_responses(remora):
    script = {f"/c{n}": answer(random.Random(SEED * 7000003 + n)) for n in range(COUNT)}
    recorder = Recorder(script)
    r = remora(CONF % recorder.address)
    failures = []
    lock = threading.Lock()

    def ask(number):
        """The odd answer, and one to a request that follows on the same connection and may use the same upstream's."""
        rng = random.Random(number)
        method = rng.choice(["GET"] * 5 + ["HEAD", "POST"])
        raw = f"{method} /c{number} HTTP/1.1\r\nHost: t.example\r\nContent-Length: 3\r\n\r\nabc".encode()
        follow = [f"GET /v{number}.{i} HTTP/1.1\r\nHost: t.example\r\n\r\n".encode() for i in range(2)]
        way = rng.choice(WAYS)
        got = talk(r.address(way), raw + follow[0])
        got2 = in_time(lambda: talk(r.address(way), follow[1], owed=lambda: 1))
        bad = f"backend /v{number}.1".encode() not in got2
        for text in (got, got2):  # EVIL alone, as an answer; not within the odd answer's own bytes
            bad = bad or b"Content-Length: 4\r\n" in text and text.count(b"EVIL") > script[f"/c{number}"][0].count(b"EVIL")
        if b"/v" in got:  # the connection lived on, so the answer was whole
            bad = bad or not got.endswith(f"backend /v{number}.0".encode())
        if bad:
            with lock:
                failures.append(f"{number} ({way}): {method} {script[f'/c{number}'][0]!r}\n  {got!r}\n  {got2!r}")

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(ask, range(COUNT)))
    recorder.stop()
    assert not recorder.wrong or all(why == "cut" for _, why, _ in recorder.wrong)
    assert not failures, f"{len(failures)} of {COUNT}\n" + "\n".join(failures[:8])


def test_every_cut(remora):
    """Split over two segments at every byte, a request is what it is in one."""
    recorder = Recorder()
    r = remora(CONF % recorder.address)
    raw = (b"POST /a HTTP/1.1\r\nHost: t.example\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nHELLO\r\n0\r\nT: v\r\n\r\n"
           b"POST /b HTTP/1.1\r\nHost: t.example\r\nContent-Length: 7\r\n\r\nGET / H")

    def cut(at):
        with Client(r.address(WAYS[at % len(WAYS)])) as client:
            client.send(raw[:at])
            time.sleep(0.002)
            client.send(raw[at:])
            try:
                return [client.response().body for _ in range(2)]
            except Closed as e:
                return repr(e.data)

    with ThreadPoolExecutor(THREADS) as pool:
        got = list(pool.map(cut, range(1, len(raw))))
    assert got == [[b"backend /a", b"backend /b"]] * (len(raw) - 1)
    requests, wrong = recorder.since((0, 0))
    recorder.stop()
    assert not wrong and {(q.target, q.body) for q in requests} == {("/a", b"HELLO"), ("/b", b"GET / H")}
