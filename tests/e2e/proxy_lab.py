# SPDX-License-Identifier: Apache-2.0
"""What the tests of the proxy share: a remora, servers that do as they are told, a raw client."""
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading

from conftest import REMORA, free_port, wait_for

NGINX = "/usr/sbin/nginx"
# Sanitizers keep freed memory for a while, so what a process holds says little there.
with open(REMORA, "rb") as binary:
    SANITIZED = b"__asan_init" in binary.read()

CONF = """\
daemon off;
pid {dir}/remora.pid;
error_log {dir}/error.log {level};
worker_processes {workers};
{main}
events {{
    worker_connections 2048;
}}
http {{
    access_log off;
    client_body_temp_path {dir}/client_body;
    proxy_temp_path {dir}/proxy_temp;
    {http}
}}
"""


class Proxy:
    """A running remora (or nginx, as an oracle) in a directory of its own."""

    def __init__(self, http, port=None, workers=1, level="info", main="", binary=REMORA):
        self.port = port or free_port()
        self.tmp = tempfile.TemporaryDirectory(prefix="remora-")
        self.dir = self.tmp.name
        os.chmod(self.dir, 0o755)  # workers are not root
        http, main = (t.replace("{port}", str(self.port)).replace("{dir}", self.dir) for t in (http, main))
        conf = CONF.format(dir=self.dir, level=level, workers=workers, http=http, main=main)
        if binary == NGINX:
            conf = conf.replace("http {", "http {" + "".join(
                f"{k}_temp_path {self.dir}/{k};" for k in ("fastcgi", "uwsgi", "scgi")), 1)
            conf = "user root;" + conf
        with open(self.dir + "/p.conf", "w") as f:
            f.write(conf)
        self.output = open(self.dir + "/output", "wb")
        self.process = subprocess.Popen([binary, "-p", self.dir, "-c", "p.conf"],
                                        stdout=self.output, stderr=self.output)
        try:
            wait_for(self._is_up, "a listening proxy")
        except AssertionError:
            self.process.kill()
            raise AssertionError(self.log() + self.out())

    def _is_up(self):
        assert self.process.poll() is None, self.log() + self.out()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def log(self):
        try:
            with open(self.dir + "/error.log", errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def out(self):
        with open(self.dir + "/output", errors="replace") as f:
            return f.read()

    def children(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            return [int(p) for p in f.read().split()]

    def rss(self):
        """KiB of resident memory of all children."""
        total = 0
        for pid in self.children():
            with open(f"/proc/{pid}/status") as f:
                total += int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
        return total

    def stop(self):
        """Ends it and looks for what must never be in its logs."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the proxy did not stop: " + self.log()[-2000:])
        log = self.log() + self.out()
        self.output.close()
        self.tmp.cleanup()
        for bad in ("[alert]", "[emerg]", "Sanitizer", "runtime error", "check failed"):
            assert bad not in log, log[-6000:]


class Request:
    """What a server got."""

    def __init__(self, head, body):
        self.head = head
        self.line, *lines = head.decode("latin-1").split("\r\n")
        self.fields = [tuple(line.split(": ", 1)) for line in lines]
        self.body = body
        self.method, self.target, self.version = self.line.split(" ")

    def all(self, name):
        return [v for k, v in self.fields if k.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None


class Reader:
    """Reads messages from a socket."""

    def __init__(self, sock):
        self.sock = sock
        self.data = b""

    def more(self):
        got = self.sock.recv(1 << 16)
        self.data += got
        return bool(got)

    def until(self, mark):
        while mark not in self.data:
            if not self.more():
                return None
        head, self.data = self.data.split(mark, 1)
        return head

    def exactly(self, n):
        while len(self.data) < n:
            if not self.more():
                raise EOFError(len(self.data))
        out, self.data = self.data[:n], self.data[n:]
        return out

    def chunked(self):
        out = []
        while True:
            line = self.until(b"\r\n")
            if line is None:
                raise EOFError
            n = int(line.split(b";")[0], 16)
            if n == 0:
                while True:
                    trailer = self.until(b"\r\n")
                    if trailer is None:
                        raise EOFError
                    if trailer == b"":
                        return b"".join(out)
            out.append(self.exactly(n))
            assert self.exactly(2) == b"\r\n"

    def request(self):
        head = self.until(b"\r\n\r\n")
        if head is None:
            return None
        request = Request(head, b"")
        if request.get("transfer-encoding") == "chunked":
            request.body = self.chunked()
        else:
            request.body = self.exactly(int(request.get("content-length") or 0))
        return request


class Backend:
    """A server on a port of the kernel's choice (or a unix path).  `script(conn, reader, request)`
    answers each request; returning False closes the connection."""

    def __init__(self, script=None, path=None, raw=None):
        self.script = script or (lambda conn, reader, request: reply(conn, b"ok"))
        self.raw = raw
        self.requests = []
        self.connections = 0
        self.open = []
        self.lock = threading.Lock()
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
        else:
            self.listener = socket.socket()
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
        self.listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def addr(self):
        return f"127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            if conn.family == socket.AF_INET:
                conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections += 1
                self.open.append(conn)
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        reader = Reader(conn)
        try:
            if self.raw:
                self.raw(conn)
            else:
                while True:
                    request = reader.request()
                    if request is None:
                        break
                    with self.lock:
                        self.requests.append(request)
                    if self.script(conn, reader, request) is False:
                        break
        except (OSError, EOFError):
            pass
        finally:
            conn.close()

    def drop_all(self):
        """Closes every connection, whatever is under way on it."""
        with self.lock:
            for conn in self.open:
                try:
                    conn.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.open = []

    def finish_all(self):
        """Ends every connection, as a server does that has had enough of idling, and waits until the peer has closed it."""
        with self.lock:
            ending, self.open = self.open, []
        for conn in ending:
            conn.shutdown(socket.SHUT_WR)
        wait_for(lambda: all(conn.fileno() < 0 for conn in ending), "the peer's end")

    def close(self):
        self.listener.close()
        self.drop_all()


def reply(conn, body=b"", status="200 OK", fields=(), version="HTTP/1.1", length=True):
    head = [f"{version} {status}"] + [f"{k}: {v}" for k, v in fields]
    if length:
        head.append(f"Content-Length: {len(body)}")
    conn.sendall("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)


def reset(conn):
    """Ends a connection with RST."""
    import struct
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.close()


class Response:
    def __init__(self, status, fields, body, complete, reason):
        self.status, self.fields, self.body = status, fields, body
        self.complete = complete  # its framing came to an end
        self.reason = reason

    def all(self, name):
        return [v for k, v in self.fields if k.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None

    def __repr__(self):
        return f"<{self.status} {self.fields} {self.body[:200]!r} complete={self.complete}>"


class Client:
    """A connection to the proxy."""

    def __init__(self, proxy, timeout=20):
        self.sock = socket.create_connection(("127.0.0.1", proxy.port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader(self.sock)

    def send(self, data):
        self.sock.sendall(data)

    def head(self):
        head = self.reader.until(b"\r\n\r\n")
        assert head is not None, "closed without an answer"
        line, *lines = head.decode("latin-1").split("\r\n")
        version, status, reason = (line + " ").split(" ", 2)
        return int(status), [tuple(x.split(": ", 1)) for x in lines], reason.strip()

    def response(self, method="GET"):
        status, fields, reason = self.head()
        while status == 100:
            status, fields, reason = self.head()
        names = {k.lower(): v for k, v in fields}
        complete = True
        body = b""
        if method == "HEAD" or status in (204, 304):
            pass
        elif names.get("transfer-encoding") == "chunked":
            try:
                body = self.reader.chunked()
            except (EOFError, OSError):
                complete = False
        elif "content-length" in names:
            try:
                body = self.reader.exactly(int(names["content-length"]))
            except (EOFError, OSError):
                body, complete = self.reader.data, False
        else:
            try:
                while self.reader.more():
                    pass
            except OSError:
                complete = False
            body = self.reader.data
        return Response(status, fields, body, complete, reason)

    def closed(self):
        """Whether the peer has closed, waiting for it."""
        try:
            return self.reader.more() is False
        except OSError:
            return True

    def close(self):
        self.sock.close()


def ask(proxy, target="/", method="GET", body=None, fields=(), chunked=False, host="t.example",
        version="HTTP/1.1", timeout=20):
    """One request on a connection of its own."""
    head = [f"{method} {target} {version}", f"Host: {host}", "Connection: close"]
    head += [f"{k}: {v}" for k, v in fields]
    data = body or b""
    if chunked:
        head.append("Transfer-Encoding: chunked")
        pieces = [data[i:i + 5000] for i in range(0, len(data), 5000)]
        data = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
    elif body is not None:
        head.append(f"Content-Length: {len(data)}")
    client = Client(proxy, timeout)
    try:
        client.send("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + data)
        return client.response(method)
    finally:
        client.close()


def pattern(n, seed=1):
    """Bytes in which every place is told from its neighbours."""
    unit = b"".join(b"%08x" % (i * 2654435761 + seed & 0xffffffff) for i in range(1024))
    return (unit * (n // len(unit) + 1))[:n]
