# SPDX-License-Identifier: Apache-2.0
"""One table of configurations and requests, through nginx and through remora: what clients get and what servers are
sent must be the same.  The cases are in differential/*.txt; a case takes three lines:

    = name
    location / { return 200 "$uri"; }        the inside of a server block, any number of lines
    > GET /x?y | X-Field: value | | body     requests on one connection, in order

Also:
    http: map $arg_a $b { ... }              goes to the http block
    >> GET / HTTP/1.0\\r\\n\\r\\n               a request byte by byte (\\r \\n \\t \\0 \\\\ \\xHH), on a connection of its own
    < 200 OK | X: y | | body                 what the case's server answers (default: it echoes what it was sent)
    ! reason                                 a difference that is meant to be: the case must differ
    @SERVER@                                 the case's server, for proxy_pass and upstreams ("unix:...")
    @N@                                      the case's number, for names that must be unique; @DIR@ the files below

Every case has a server block of its own, chosen by Host.  Fields that name the product or the moment are not
compared; of pages that the product makes itself only the heading.
"""
import glob
import gzip
import os
import re
import shutil
import socket
import tempfile

import pytest
from conftest import Backend, Closed, Remora, Stream, read_response
from oracle import Both

HERE = os.path.dirname(os.path.abspath(__file__))
HTTP = """
    proxy_http_version 1.1;
    access_log off;
    root @DIR@/files;
    types { text/html html; text/plain txt; image/gif gif; }
    default_type application/octet-stream;
"""


class Case:
    def __init__(self, topic, number, name):
        self.topic, self.number, self.name = topic, number, name
        self.http, self.server, self.requests = [], [], []
        self.answer, self.differs = None, None

    def __repr__(self):
        return f"{self.topic}-{self.name}".replace(" ", "_")


def unescape(text):
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")


def message(first, rest):
    """`first | Field: value | | body` as the lines of a head and a body."""
    parts = [p.strip() for p in rest]
    fields, body = parts, b""
    if "" in parts:
        cut = parts.index("")
        fields, body = parts[:cut], unescape(" | ".join(parts[cut + 1:]))
    return first.strip(), fields, body


def parse(path):
    topic = os.path.splitext(os.path.basename(path))[0]
    cases = []
    for number, line in enumerate(open(path), 1):
        line = line.rstrip("\n")
        if not line.strip() or line.startswith("#"):
            continue
        mark, _, rest = line.partition(" ")
        if mark == "=":
            cases.append(Case(topic, len(cases), rest.strip()))
        elif mark == ">":
            cases[-1].requests.append(message(*[rest.split("|")[0], rest.split("|")[1:]]))
        elif mark == ">>":
            cases[-1].requests.append(unescape(rest))
        elif mark == "<":
            cases[-1].answer = message(*[rest.split("|")[0], rest.split("|")[1:]])
        elif mark == "!":
            cases[-1].differs = rest
        elif mark == "http:":
            cases[-1].http.append(rest)
        else:
            cases[-1].server.append(line)
    for case in cases:
        assert case.requests, f"{path}: case {case.name} has no request"
    return cases


def bytes_of(request, case):
    if isinstance(request, bytes):
        return request.replace(b"@HOST@", f"c{case.number}.test".encode())
    line, fields, body = request
    if not any(f.lower().startswith("host:") for f in fields):
        fields = [f"Host: c{case.number}.test"] + fields
    chunked = any(f.lower().startswith("transfer-encoding:") for f in fields)
    if body and not chunked and not any(f.lower().startswith("content-length:") for f in fields):
        fields = fields + [f"Content-Length: {len(body)}"]
    return (line + " HTTP/1.1\r\n" + "".join(f + "\r\n" for f in fields) + "\r\n").encode("latin-1") + body


def server_answer(case):
    """What the case's server says: as the case has it, or an echo of what it was sent, in a canonical form."""
    def echo(request):
        # what is nginx's own habit: a field that says what 1.1 means anyway
        fields = sorted(f"{n}: {v}" for n, v in request.fields if n != "connection")
        body = "\n".join([request.line, *fields, ""]).encode("latin-1") + request.body
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + (b"" if request.method == "HEAD" else body)
    if case.answer is None:
        return echo
    line, fields, body = case.answer
    framed = [f for f in fields if re.match("(?i)(content-length|transfer-encoding|connection: close)", f)]
    if not framed:
        fields = fields + [f"Content-Length: {len(body)}"]
    return ("HTTP/1.1 " + line + "\r\n" + "".join(f + "\r\n" for f in fields) + "\r\n").encode("latin-1") + body


def essence(response, directory, ports):
    fields = []
    for name, value in response.fields:
        if name in ("date", "server", "keep-alive"):
            continue
        for port in ports:
            value = value.replace(f":{port}", ":PORT")
        fields.append((name, value.replace(directory, "DIR")))
    fields += [("a trailer", str(trailer)) for trailer in response.trailers.items()]
    body = response.body.replace(directory.encode(), b"DIR")
    for port in ports:
        body = body.replace(b":%d" % port, b":PORT")
    page = re.search(rb"<title>(\d{3}) .*</title>", body)
    if page and re.search(rb"<center>(nginx|remora)", body):
        body = page[1]
    if body != response.body or (not body and response.status >= 300):  # a page's size has the product's name in it
        fields = [f for f in fields if f[0] != "content-length"]
    if response.status == 206 or "multipart" in dict(fields).get("content-type", ""):
        boundary = re.search(r"boundary=(\S+)", dict(fields).get("content-type", ""))
        if boundary:
            body = body.replace(boundary[1].encode(), b"BOUNDARY")
            fields = [(n, v.replace(boundary[1], "BOUNDARY")) for n, v in fields]
    return response.status, sorted(fields), body


def talk(address, request, case, stream, directory, ports):
    """Sends one request; returns what came, and the stream for the next (None: closed)."""
    data = bytes_of(request, case)
    method = data.split(b" ", 1)[0].decode("latin-1")
    if stream is None or isinstance(request, bytes):
        sock = socket.create_connection(address, 10)
        stream = Stream(sock)
    stream.sock.sendall(data)
    try:
        got = essence(read_response(stream, method), directory, ports)
    except (Closed, OSError):
        stream.sock.close()
        return "closed", None
    stay = dict(got[1]).get("connection") != "close"
    if not stay:
        stream.sock.close()
    return got, stream if stay else None


def converse(address, case, directory, ports):
    got, stream = [], None
    for request in case.requests:
        answer, stream = talk(address, request, case, stream, directory, ports)
        got.append(answer)
    if stream is not None:
        stream.sock.close()
    return got


def configuration(cases, directory):
    http, servers = [HTTP], []
    for case in cases:
        def fill(text, case=case):
            return text.replace("@SERVER@", f"unix:{directory}/c{case.number}.sock").replace("@N@", str(case.number))
        http += [fill(line) for line in case.http]
        servers.append("server { listen 127.0.0.1:@PORT:web@; server_name c%d.test;\n%s\n}" % (
            case.number, fill("\n".join(case.server))))
    return "http {\n" + "\n".join(http + servers) + "\n}\n"


def make_list(path):
    """What a listing may come upon: sizes around what they are rounded at, names that need care."""
    os.makedirs(path + "/Sub dir")
    for length in (48, 49, 50, 51):
        os.mkdir(f"{path}/{'d' * length}")
    os.makedirs(path + "/empty")
    os.makedirs(path + "/one")
    names = {"f" * length: 1 for length in (49, 50, 51, 52)}
    names.update({"\u00fc" + "\u00e4" * length: 1 for length in (10, 48, 49, 50)})
    names.update({n: 3 for n in ('a&b<c>"d\'', "q?x#y%z", "it's+plus;semi=eq,~-_.txt", "a:b", "back\\slash", "tab\there", "new\nline",
                                 "bell\a", "Zed", "zed", ".hidden", "one/x")})
    names.update({f"s{size}": size for size in (
        0, 9999, 10000, 10239, 10240, 10751, 10752, 1048063, 1048064, 1048575, 1048576, 1572863, 1572864, 1073217535, 1073217536,
        1073741823, 1073741824, 1610612735, 1610612736, 10 << 30)})
    for name, size in names.items():
        with open(f"{path}/{name}", "w") as f:
            f.truncate(size)
        os.utime(f"{path}/{name}", (1700000000 + size % 1000000, 1700000000 + size % 1000000))
    with open(path.encode() + b"/bad\xff\xc3", "w"):
        pass
    os.symlink("nowhere", path + "/dangling")
    os.symlink("empty", path + "/linked")
    os.mkfifo(path + "/fifo")


def make_files(directory):
    files = directory + "/files"
    os.makedirs(files + "/dir/sub", exist_ok=True)
    for name, text in {"index.html": "<p>index</p>\n", "a.txt": "0123456789" * 10, "dir/index.html": "dir index\n",
                       "dir/b.txt": "b\n", "empty.txt": "", "page.html": "error page\n", "x y.txt": "space\n",
                       "noext": "noext\n", "packed.txt": "not packed\n", "users": "user:{PLAIN}secret\n", "big.txt": "".join(f"{i:07d}\n" for i in range(10000))}.items():
        with open(f"{files}/{name}", "w") as f:
            f.write(text)
        os.utime(f"{files}/{name}", (1700000000, 1700000000))
    for name in ("packed.txt", "only.txt"):
        with open(f"{files}/{name}.gz", "wb") as f:
            f.write(gzip.compress(b"packed beforehand\n" * 3, mtime=0))
        os.utime(f"{files}/{name}.gz", (1700000000, 1700000000))
    make_list(files + "/list")
    os.chmod(directory, 0o755)


FILES = sorted(glob.glob(HERE + "/differential/*.txt"))
ALL = [case for path in FILES for case in parse(path)]


def run_both(cases, directory):
    """{case: (what nginx did, what remora did)}; one instance of each serves all cases of a file."""
    make_files(directory)
    backends = [Backend(server_answer(c), path=f"{directory}/c{c.number}.sock") for c in cases]
    started = []

    def start(text):
        temp = f" client_body_temp_path {directory}/bodies; proxy_temp_path {directory}/proxy;"
        started.append(Remora(text.replace("http {", "http {" + temp, 1)))
        return started[-1]
    try:
        both = Both(start, configuration(cases, directory).replace("@DIR@", directory))
        try:
            ports = [server.port("web") for server in (both.nginx, both.remora)]
            return {repr(c): [converse(("127.0.0.1", port), c, directory, ports) for port in ports] for c in cases}
        finally:
            both.nginx.stop()
    finally:
        for instance in started:
            instance.stop()
        for backend in backends:
            backend.stop()


@pytest.fixture(scope="session")
def compared():
    """What both did in a case; its file's cases are run when the first of them is asked for."""
    done = {}

    def get(case):
        if case.topic not in done:
            done[case.topic] = None  # should the next line fail, it would for every case
            directory = tempfile.mkdtemp(prefix="remora-diff-")  # one that workers (nobody) may enter
            try:
                done[case.topic] = run_both([c for c in ALL if c.topic == case.topic], directory)
            finally:
                shutil.rmtree(directory, ignore_errors=True)
        assert done[case.topic] is not None, "the file's configuration did not start"
        return done[case.topic][repr(case)]
    return get


def test_the_table():
    names = [repr(c) for c in ALL]
    assert len(set(names)) == len(names), "two cases of one name"
    assert len(ALL) >= 200


@pytest.mark.parametrize("case", ALL, ids=repr)
def test_as_nginx(case, compared):
    nginx, remora = compared(case)
    if case.differs:
        assert remora != nginx, f"no longer different: {case.differs}"
    else:
        assert remora == nginx
