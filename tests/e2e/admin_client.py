# SPDX-License-Identifier: Apache-2.0
"""What the tests of the admin API share: a remora with three upstreams, and a raw client."""
import json
import os
import re
import socket
import subprocess

import pytest

import conftest
import exposition
from conftest import wait_for

REMORACTL = os.environ.get("REMORACTL", os.path.dirname(conftest.REMORA) + "/remoractl")

CONF = """\
worker_processes 2;
shared_memory %(memory)s;
admin {
    listen unix:@DIR@/admin.sock;
    listen 127.0.0.1:@PORT:admin@;
    write %(write)s;
}
http {
    access_log off;
    upstream app {
        zone app 64k;
        server %(first)s;
        server %(second)s weight=3;
    }
    upstream fixed {
        server 127.0.0.1:8001;
    }
    upstream empty {
        zone e 64k;
    }
    server {
        listen 127.0.0.1:@PORT:web@;
        location / {
            proxy_pass http://app;
        }
        location /empty {
            proxy_pass http://empty;
        }
        location /by-name {
            proxy_pass http://$arg_to;
        }
    }
}
"""


class Answer:
    def __init__(self, status, reason, headers, body):
        self.status, self.reason, self.headers, self.body = status, reason, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "<%d %r %r>" % (self.status, self.headers, self.body[:300])


class Connection:
    """A client connection that sends what it is told, byte by byte."""

    def __init__(self, address, timeout=10):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(address)
        self.buf = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError("closed after %r" % self.buf[:200])
        self.buf += data

    def read_head(self):
        while b"\r\n\r\n" not in self.buf:
            self._more()
        head, self.buf = self.buf.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.1 (\d{3}) (.*)", lines[0])
        assert match, lines[0]
        headers = {}
        for line in lines[1:]:
            name, value = line.split(": ", 1)
            assert name.lower() not in headers, "twice: " + name
            headers[name.lower()] = value
        return int(match[1]), match[2], headers

    def read(self, head_only=False):
        status, reason, headers = self.read_head()
        size = 0 if head_only else int(headers.get("content-length", "0"))
        while len(self.buf) < size:
            self._more()
        body, self.buf = self.buf[:size], self.buf[size:]
        return Answer(status, reason, headers, body)

    def request(self, method, path, body=None, headers=()):
        text = "%s %s HTTP/1.1\r\nHost: localhost\r\n" % (method, path)
        for name, value in headers:
            text += "%s: %s\r\n" % (name, value)
        if body is not None:
            if not isinstance(body, bytes):
                body = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            if "content-type" not in [name.lower() for name, _ in headers]:
                text += "Content-Type: application/json\r\n"
            text += "Content-Length: %d\r\n" % len(body)
        self.send(text.encode() + b"\r\n" + (body or b""))
        return self.read(head_only=method == "HEAD")

    def at_end(self):
        """Whether the server has closed (waits for it)."""
        try:
            data = self.sock.recv(1)
        except ConnectionResetError:
            return True
        assert data == b"", data
        return True


class Remora(conftest.Remora):
    """A running instance with three upstreams: app (of two servers), fixed (without a zone), empty."""

    def __init__(self, write=True, memory="8m", servers=("127.0.0.1:8001", "127.0.0.1:8002"), **kw):
        text = CONF % {"write": "on" if write else "off", "memory": memory, "first": servers[0],
                       "second": servers[1]}
        super().__init__(text, **kw)
        self.unix = self.dir + "/admin.sock"
        self.tcp = ("127.0.0.1", self.port("admin"))
        wait_for(lambda: self.get("/readyz").status == 200, what="readiness")

    def connect(self, address=None, timeout=10):
        return Connection(address or self.tcp, timeout)

    def call(self, method, path, body=None, headers=(), address=None):
        with self.connect(address) as c:
            return c.request(method, path, body, headers)

    def get(self, path, headers=()):
        return self.call("GET", path, headers=headers)

    def servers(self, upstream):
        return self.get("/v1/http/upstreams/%s/servers" % upstream).json

    def revision(self):
        return self.get("/v1/revision").json["revision"]

    def metrics(self, query=""):
        return exposition.parse(self.get("/metrics" + query).body.decode())

    def ctl(self, *args, stdin=None, server=None, env=None):
        command = [REMORACTL] + (["-s", server or "unix:" + self.unix] if env is None else [])
        return subprocess.run(command + list(args), input=stdin, capture_output=True, text=True,
                              timeout=30, env=env)


# ---- fixtures, for tests to import ----

@pytest.fixture(scope="module")
def instance():
    remora = Remora()
    yield remora
    remora.stop()


@pytest.fixture
def remora(instance):
    """The shared instance, with its sets as configured."""
    sets = {"app": [{"server": "127.0.0.1:8001"}, {"server": "127.0.0.1:8002", "weight": 3}],
            "fixed": [{"server": "127.0.0.1:8001"}], "empty": []}
    assert instance.call("POST", "/v1/transactions", {"upstreams": sets}).status == 200
    return instance


@pytest.fixture(scope="module")
def readonly():
    remora = Remora(write=False)
    yield remora
    remora.stop()
