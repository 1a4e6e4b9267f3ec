# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests: a remora per test, raw HTTP clients, scripted backends.

    def test_x(remora, backend):
        b = backend(ok(b"hi"))
        r = remora('http { server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://%s; } } }' % b.addr)
        assert r.get("web", "/").body == b"hi"

In a configuration `@PORT:name@` is a free port (r.port("name")) and `@DIR@` the instance's directory.
`daemon off`, `pid`, `error_log ... info`, an `events` block and an `admin` block on @DIR@/admin.sock are
added unless the text has them.  Every instance is stopped with QUIT at the end of its test and must then
exit with 0, having logged neither [alert] nor [emerg] nor a sanitizer's report, and leave no process and
no socket behind.  The binary is $REMORA, or build/remora.
"""
import contextlib
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
import time
import zlib
from signal import SIGHUP, SIGKILL, SIGQUIT

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
REMORA = os.path.abspath(os.environ.get("REMORA", ROOT + "/build/remora"))
TIMEOUT = 10  # of anything that should happen at once, on a busy machine


def wait_for(condition, what="condition", seconds=TIMEOUT):
    """Asks until the answer is true; returns it."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.01)


# ---- ports: below those the kernel gives to outgoing connections ----

# A port is free until its server has bound it, so processes that test side by side have ports of their own;
# those of other runs start elsewhere.
_PORTS = 1250
_first = 10000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw15")[2:]) % 16 * _PORTS
_next = [os.getpid() * 613 % _PORTS]


def free_port():
    for _ in range(_PORTS):
        _next[0] = (_next[0] + 1) % _PORTS
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", _first + _next[0]))
                return _first + _next[0]
            except OSError:
                continue
    raise RuntimeError("no free port")


# ---- reading HTTP/1 from a socket ----

class Closed(Exception):
    """The peer closed before the message was complete; .data is what had come."""

    def __init__(self, data=b""):
        super().__init__(f"closed after {data!r}")
        self.data = data


class Stream:
    """A socket with a buffer: what reading HTTP/1 needs."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""

    def fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise Closed(self.buffer)
        self.buffer += data

    def take(self, n):
        while len(self.buffer) < n:
            self.fill()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def until(self, mark):
        while mark not in self.buffer:
            self.fill()
        data, self.buffer = self.buffer.split(mark, 1)
        return data + mark

    def rest(self):
        try:
            while True:
                self.fill()
        except (Closed, ConnectionResetError):
            data, self.buffer = self.buffer, b""
            return data

    def chunked(self):
        """Returns the raw bytes, the content, and the trailer lines."""
        raw = content = b""
        while True:
            line = self.until(b"\r\n")
            raw += line
            size = int(line.split(b";")[0], 16)
            if size == 0:
                trailers = []
                while True:
                    line = self.until(b"\r\n")
                    raw += line
                    if line == b"\r\n":
                        return raw, content, trailers
                    trailers.append(line[:-2])
            data = self.take(size + 2)
            assert data.endswith(b"\r\n"), data
            raw += data
            content += data[:-2]


def parse_fields(lines):
    return [(n.strip().lower().decode("latin-1"), v.strip().decode("latin-1"))
            for n, _, v in (line.partition(b":") for line in lines)]


class Message:
    """A request or response as it came."""

    def __init__(self, head, body=b"", raw_body=b"", trailers=()):
        lines = head[:-4].split(b"\r\n")
        self.head = head
        self.line = lines[0].decode("latin-1")
        self.fields = parse_fields(lines[1:])  # names in lower case, in order
        self.headers = {}
        for name, value in self.fields:
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        self.body = body
        self.raw_body = raw_body
        self.raw = head + raw_body
        self.trailers = dict(parse_fields(trailers))

    def __repr__(self):
        return f"<{self.line} {self.fields} {self.body[:200]!r}>"

    @property
    def json(self):
        return json.loads(self.body)


class Response(Message):
    """status, reason, headers (a dict), fields (a list), body, trailers, json."""

    def __init__(self, *args, **kw):
        super().__init__(*args, **kw)
        m = re.fullmatch(r"(HTTP/\d\.\d) (\d{3})(?: (.*))?", self.line)
        assert m, self.line
        self.version, self.status, self.reason = m[1], int(m[2]), m[3] or ""


def read_response(stream, method="GET"):
    """One response; the end of the connection ends a body without length."""
    head = stream.until(b"\r\n\r\n")
    response = Response(head)
    coding = response.headers.get("transfer-encoding", "").lower()
    if method == "HEAD" or response.status < 200 or response.status in (204, 304):
        return response
    if coding:
        assert coding == "chunked", response
        raw, body, trailers = stream.chunked()
        return Response(head, body, raw, trailers)
    if "content-length" in response.headers:
        body = stream.take(int(response.headers["content-length"]))
    else:
        body = stream.rest()
    return Response(head, body, body)


class Client:
    """A raw HTTP/1 client: send bytes, read responses.  A context manager."""

    def __init__(self, address, timeout=TIMEOUT):
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect(address)
        else:
            self.sock = socket.create_connection(address, timeout=timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = Stream(self.sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def response(self, method="GET", interim=False):
        """The next response; 1xx ones are skipped unless `interim`."""
        while True:
            response = read_response(self.stream, method)
            if interim or response.status >= 200 or response.status == 101:
                return response

    def request(self, method, path, headers=None, body=b""):
        fields = {"Host": "localhost", **(headers or {})}
        if body and not any(n.lower() in ("content-length", "transfer-encoding") for n in fields):
            fields["Content-Length"] = str(len(body))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields.items()) + "\r\n"
        self.send(head.encode("latin-1") + body)
        return self.response(method)

    def get(self, path="/", **headers):
        return self.request("GET", path, headers)

    def at_end(self, seconds=TIMEOUT):
        """True when the peer has closed and nothing is left to read."""
        self.sock.settimeout(seconds)
        try:
            return not self.stream.buffer and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False


# ---- backends ----

def ok(body=b"", headers=(), status="200 OK"):
    """The bytes of a response with Content-Length."""
    body = body.encode() if isinstance(body, str) else body
    lines = "".join(f"{h}\r\n" for h in headers)
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode("latin-1") + body


class Backend:
    """A real server in threads.

    `answer` is bytes (the same for all), a list of them (one after another, the last repeats) or a
    function of the request (a Message with .method, .path, .connection, .number on its connection) that returns
    bytes, or None after having talked to request.sock itself, in which case the connection is closed.
    Responses that say `Connection: close` or have no length end the connection.
    .requests: all requests in order, .raw: the bytes each connection received, .connections: how many.
    """

    def __init__(self, answer, path=None, backlog=128):
        self.answer = answer
        self.requests = []
        self.raw = []
        self.connections = 0
        self.lock = threading.Lock()
        self.open = set()
        self.stopping = False
        if path:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.bind(path)
            os.chmod(path, 0o777)
            self.addr = "unix:" + path
        else:
            self.sock = socket.socket()
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.port = free_port()
            self.sock.bind(("127.0.0.1", self.port))
            self.addr = f"127.0.0.1:{self.port}"
        self.path = path
        self.sock.listen(backlog)
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            with self.lock:
                number = self.connections
                self.connections += 1
                self.raw.append(b"")
                self.open.add(sock)
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock, connection):
        stream = Recorder(sock, self, connection)
        number = 0
        try:
            while not self.stopping:
                request = self._read(stream)
                request.sock, request.stream = sock, stream
                request.connection, request.number = connection, number
                number += 1
                with self.lock:
                    index = len(self.requests)
                    self.requests.append(request)
                if not self._answer(sock, request, index):
                    return
        except (Closed, OSError):
            pass
        finally:
            with self.lock:
                self.open.discard(sock)
            sock.close()

    @staticmethod
    def _read(stream):
        head = stream.until(b"\r\n\r\n")
        request = Message(head)
        if "100-continue" in request.headers.get("expect", ""):
            stream.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in request.headers.get("transfer-encoding", "").lower():
            raw, body, trailers = stream.chunked()
            request = Message(head, body, raw, trailers)
        elif "content-length" in request.headers:
            body = stream.take(int(request.headers["content-length"]))
            request = Message(head, body, body)
        request.method, request.path = request.line.split(" ")[:2]
        return request

    def _answer(self, sock, request, index):
        answer = self.answer
        if isinstance(answer, list):
            answer = answer[min(index, len(answer) - 1)]
        if callable(answer):
            answer = answer(request)
        if answer is None:
            return False
        sock.sendall(answer)
        head = answer.split(b"\r\n\r\n")[0].lower()
        return b"connection: close" not in head and (
            b"content-length:" in head or b"transfer-encoding:" in head or b" 204" in head or b" 304" in head)

    def stop(self):
        self.stopping = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        with self.lock:
            still = list(self.open)
        for sock in still:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        if self.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)


class Recorder(Stream):
    """A stream that keeps all it received, for its backend."""

    def __init__(self, sock, backend, connection):
        super().__init__(sock)
        self.backend, self.connection = backend, connection

    def fill(self):
        before = len(self.buffer)
        super().fill()
        with self.backend.lock:
            self.backend.raw[self.connection] += self.buffer[before:]


# ---- remora ----

def processes(group):
    """pid -> command line of the live processes of a process group."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError):
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] != "Z":
                with open(f"/proc/{pid}/cmdline") as f:
                    found[int(pid)] = f.read().replace("\0", " ")
    return found


def run_remora(*args, **kw):
    """Runs the binary to its end: -t, -v, ..."""
    return subprocess.run([REMORA, *args], capture_output=True, text=True, timeout=60, **kw)


def refuses_admin(directory, text, message):
    """An admin block with `text` is refused by -t with one of the messages, of which | stands between."""
    conf = directory / "remora.conf"
    conf.write_text("events {}\nadmin {\n listen unix:%s/s;\n %s\n}\n" % (directory, text))
    done = run_remora("-t", "-p", str(directory), "-c", str(conf), "-e", "stderr")
    assert done.returncode == 1 and any(m in done.stderr for m in message.split("|")), done.stderr


BAD = re.compile(r"\[(alert|emerg)\]|Sanitizer|runtime error:")


class Remora:
    """A running instance."""

    def __init__(self, text, directory=None, allow=(), admin=True, user=None, wait=True, args=(), env=None,
                 exit_code=0):
        self.dir = directory or tempfile.mkdtemp(prefix="remora-e2e-")
        os.chmod(self.dir, 0o755)  # workers run as nobody when the tests run as root
        self.ports = {}
        self.allow = [re.compile(a) for a in allow]  # lines of [alert] or [emerg] that are meant to be
        self.exit_code = exit_code
        self.with_admin = admin
        self.user = user
        self.conf = self.dir + "/remora.conf"
        self.pid_file = self.dir + "/remora.pid"
        self.args = list(args)
        self.env = env
        self.stopped = False
        self.write(text)
        self.start(wait)

    def expand(self, text):
        lead = ""
        if not re.search(r"\bdaemon\s", text):
            lead += "daemon off;\n"
        if not re.search(r"^\s*pid\s", text, re.M):
            lead += "pid @DIR@/remora.pid;\n"
        if not re.search(r"^error_log\s", text, re.M):
            lead += "error_log @DIR@/error.log info;\n"
        if self.user:
            lead += f"user {self.user};\n"
        if not re.search(r"\bevents\s*{", text):
            lead += "events { worker_connections 1024; }\n"
        if self.with_admin and not re.search(r"\badmin\s*{", text):
            lead += "admin { listen unix:@DIR@/admin.sock; write on; }\n"
        text = re.sub(r"@PORT:(\w+)@", lambda m: str(self.port(m[1])), lead + text)
        return text.replace("@DIR@", self.dir)

    def write(self, text):
        """Writes the configuration; reload() makes it count."""
        with open(self.conf, "w") as f:
            f.write(self.expand(text))

    def start(self, wait=True):
        self.stderr = open(self.dir + "/stderr.txt", "ab")
        self.process = subprocess.Popen(
            [REMORA, "-p", self.dir + "/", "-c", self.conf, "-e", "error.log", *self.args], stdin=subprocess.DEVNULL,
            stdout=self.stderr, stderr=self.stderr, start_new_session=True, env=self.env)
        self.group = self.process.pid
        self.stderr.close()
        if wait:
            wait_for(lambda: os.path.exists(self.pid_file) or self.process.poll() is not None, "pid file", 30)
            assert self.process.poll() is None, "did not start:\n" + self.errors()
            self.pid = int(open(self.pid_file).read())
            self.wait_workers()

    def wait_workers(self, old=()):
        """Waits for as many workers as are configured, none of them `old`."""
        text = open(self.conf).read()
        m = re.search(r"^\s*worker_processes\s+(\d+)", text, re.M)
        if re.search(r"^\s*master_process\s+off", text, re.M):
            return
        want = int(m[1]) if m else 1
        # the agent, and those who may still be draining, are the others
        wait_for(lambda: len(set(self.children()) - set(old)) > want, "workers", 30)
        if re.search(r"^error_log\s+\S+/error.log\s+(notice|info|debug)", text, re.M):
            wait_for(lambda: len(set(self.workers()) - set(old)) >= want, "log lines of workers", 30)

    # where it is

    def port(self, name):
        if name not in self.ports:
            self.ports[name] = free_port()
        return self.ports[name]

    def address(self, where):
        """A port's name, a path of a unix socket, or an address."""
        if isinstance(where, str):
            return where if where.startswith("/") else ("127.0.0.1", self.port(where))
        return where

    def client(self, where="web", timeout=TIMEOUT):
        return Client(self.address(where), timeout)

    def request(self, where, method, path, headers=None, body=b""):
        """One request on a connection of its own."""
        with self.client(where) as c:
            return c.request(method, path, {"Connection": "close", **(headers or {})}, body)

    def get(self, where="web", path="/", **headers):
        return self.request(where, "GET", path, headers)

    def admin(self, method, path, data=None, headers=None):
        """One request to the admin API over its unix socket; `data` is sent as JSON unless bytes."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode() if data is not None else b""
        headers = dict(headers or {})
        if body:
            headers.setdefault("Content-Type", "application/json")
        return self.request(self.dir + "/admin.sock", method, path, headers, body)

    # what it says

    def log(self):
        with contextlib.suppress(FileNotFoundError):
            with open(self.dir + "/error.log", errors="replace") as f:
                return f.read()
        return ""

    def errors(self):
        with open(self.dir + "/stderr.txt", errors="replace") as f:
            return f.read() + self.log()

    def wait_log(self, pattern, seconds=TIMEOUT, count=1):
        """Waits until the log has the pattern `count` times; returns the matches."""
        def found():
            m = re.findall(pattern, self.log(), re.M)
            return m if len(m) >= count else None
        try:
            return wait_for(found, pattern, seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}; the log:\n{self.log()[-4000:]}") from None

    # what it consists of

    def children(self, pid=None):
        """pids of the live children of the master."""
        pid = pid or self.pid
        found = []
        with contextlib.suppress(FileNotFoundError):
            for child in open(f"/proc/{pid}/task/{pid}/children").read().split():
                with contextlib.suppress(OSError):
                    if open(f"/proc/{child}/stat").read().rpartition(")")[2].split()[0] != "Z":
                        found.append(int(child))
        return found

    def _named(self, kind):
        started = [int(p) for p in re.findall(rf"start {kind} process (\d+)", self.log())]
        return [p for p in self.children() if p in started]

    def workers(self):
        """pids of the live workers that the log (at notice or more) tells of."""
        return self._named("worker")

    def agent(self):
        return (self._named("agent") or [None])[-1]

    # what it is told

    def signal(self, number):
        os.kill(self.pid, number)

    def reload(self, text=None, ok=True):
        """HUP with another configuration perhaps, waits until it is carried out.  A former worker may still
        answer a connection that was accepted a moment ago."""
        if text is not None:
            self.write(text)
        done = self.log().count("start worker processes")
        failed = self.log().count("[emerg]")
        old, workers = self.children(), self.workers()
        self.signal(SIGHUP)
        if ok:
            self.wait_log("start worker processes", 30, done + 1)
            self.wait_workers(old)
            for pid in workers:
                wait_for(lambda: pid not in self.children() or f"{pid}#{pid}: gracefully" in self.log(), "draining")
        else:
            self.wait_log(r"\[emerg\]", 30, failed + 1)
            self.allow.append(re.compile("emerg"))

    def stop(self, number=SIGQUIT, seconds=30):
        """Ends it and looks whether all is well."""
        if self.stopped:
            return
        self.stopped = True
        try:
            if self.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid if hasattr(self, "pid") else self.process.pid, number)
            code = self.process.wait(seconds)
            self.check()
            assert code == self.exit_code, f"exit code {code}:\n{self.errors()[-4000:]}"
        finally:
            self.kill()
            shutil.rmtree(self.dir, ignore_errors=True)

    def check(self):
        wrong = [line for line in self.errors().splitlines()
                 if BAD.search(line) and not any(a.search(line) for a in self.allow)]
        assert not wrong, "\n".join(wrong[:50]) + "\n----\n" + self.errors()[-4000:]
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not processes(self.group), "the end of all processes", 5)
        left = processes(self.group)
        assert not left, f"processes left: {left}\n{self.log()[-3000:]}"
        sockets = [f for f in os.listdir(self.dir) if stat.S_ISSOCK(os.stat(f"{self.dir}/{f}").st_mode)]
        assert not sockets, f"sockets left: {sockets}"
        assert not os.path.exists(self.pid_file), "the pid file is left"

    def kill(self):
        """Nothing of it stays, whatever went wrong."""
        for pid in processes(self.group):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)


@pytest.fixture
def remora():
    """A function that starts an instance: remora(conf_text, **options of class Remora)."""
    running = []

    def start(text, **kw):
        instance = Remora.__new__(Remora)
        running.append(instance)
        instance.stopped = True
        instance.__init__(text, **kw)
        return instance

    yield start
    failures = []
    for instance in reversed(running):
        if not hasattr(instance, "process"):
            continue
        try:
            instance.stop()
        except (AssertionError, subprocess.TimeoutExpired) as e:
            failures.append(str(e) + "\n" + (instance.errors()[-3000:] if os.path.isdir(instance.dir) else ""))
        finally:
            instance.kill()
            shutil.rmtree(instance.dir, ignore_errors=True)
    assert not failures, "\n".join(failures)


@pytest.fixture
def backend():
    """A function that starts a backend: backend(answer, path=None)."""
    running = []

    def start(answer=None, **kw):
        b = Backend(ok(b"ok") if answer is None else answer, **kw)
        running.append(b)
        return b

    yield start
    for b in running:
        b.stop()


def pytest_make_parametrize_id(config, val, argname):
    """pytest puts a test's name into the environment of what it starts: long values get a short name."""
    if isinstance(val, (str, bytes)) and len(val) > 200:
        return f"{argname}-{zlib.crc32(val if isinstance(val, bytes) else val.encode()):08x}"
    return None
