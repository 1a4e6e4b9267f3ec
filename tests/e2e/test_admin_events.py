# SPDX-License-Identifier: Apache-2.0
"""/v1/events: server-sent events of what happens."""
import json
import os
import signal
import socket
import time

import pytest

from admin_client import Connection, Remora, instance, remora  # noqa: F401 (fixtures)
from conftest import wait_for
from test_admin_v1 import problem

SERVERS = "/v1/http/upstreams/app/servers"


class Events:
    """A client of the stream."""

    def __init__(self, remora, last=None, query="", timeout=10, version="1.1", address=None):
        self.conn = Connection(address or remora.tcp, timeout)
        self.conn.send("GET /v1/events%s HTTP/%s\r\nHost: localhost\r\n%s\r\n" % (
            query, version, "" if last is None else "Last-Event-ID: %s\r\n" % last))
        self.status, _, self.headers = self.conn.read_head()
        self.chunked = self.headers.get("transfer-encoding") == "chunked"
        self.text = b""
        self.ended = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.conn.close()

    def _more(self):
        if not self.chunked:
            if not self.conn.buf:
                self.conn._more()
            self.text, self.conn.buf = self.text + self.conn.buf, b""
            return
        while b"\r\n" not in self.conn.buf:
            self.conn._more()
        line, self.conn.buf = self.conn.buf.split(b"\r\n", 1)
        size = int(line, 16)
        while len(self.conn.buf) < size + 2:
            self.conn._more()
        assert self.conn.buf[size:size + 2] == b"\r\n"
        self.text, self.conn.buf = self.text + self.conn.buf[:size], self.conn.buf[size + 2:]
        self.ended = size == 0

    def block(self):
        while b"\n\n" not in self.text:
            assert not self.ended
            self._more()
        block, self.text = self.text.split(b"\n\n", 1)
        return block.decode()

    def next(self):
        """(name, id or None, data) of the next event; comments are passed over."""
        while True:
            fields = {}
            for line in self.block().split("\n"):
                name, _, value = line.partition(": ")
                if name and not line.startswith(":"):
                    assert name not in fields, line
                    fields[name] = value
            if "data" in fields:
                fields.setdefault("event", None)
                assert set(fields) <= {"id", "event", "data", "retry"}, fields
                data = json.loads(fields["data"])
                if "id" in fields:
                    assert int(fields["id"]) == data["sequence"]
                return fields["event"], fields.get("id"), data

    def until(self, name):
        while True:
            event = self.next()
            if event[0] == name:
                return event


def put(remora, port, **more):
    answer = remora.call("PUT", SERVERS, [dict(server="127.0.0.1:%d" % port, **more)])
    assert answer.status == 200, answer
    return answer.json["revision"]


def test_hello(remora):
    with Events(remora) as events:
        assert events.status == 200
        assert events.headers["content-type"] == "text/event-stream"
        assert events.headers["cache-control"] == "no-store"
        assert events.headers["x-accel-buffering"] == "no"
        assert "content-length" not in events.headers
        name, number, data = events.next()
        assert name == "hello" and number
        assert data["revision"] == remora.revision()


def test_a_client_of_the_last_century(remora):
    with Events(remora, version="1.0") as events:
        assert not events.chunked and events.headers["connection"] == "close"
        assert events.next()[0] == "hello"


def test_unix_socket(remora):
    with Events(remora, address=remora.unix) as events:
        assert events.next()[0] == "hello"


def test_head(remora):
    answer = remora.call("HEAD", "/v1/events")
    assert answer.status == 200 and answer.headers["content-type"] == "text/event-stream"


@pytest.mark.parametrize("last", ["x", "-1", "1 2", "99999999999999999999999", '"5"'])
def test_bad_ids(remora, last):
    problem(remora.get("/v1/events", [("Last-Event-ID", last)]), 400, "UpstreamConfFormatError")


@pytest.fixture
def own():
    """An instance that may lose processes."""
    remora = Remora(allow=["exited on signal 9"])
    yield remora
    remora.stop()


def test_a_worker_dies(own):
    pid = own.get("/v1/revision").json["workers"][0]["pid"]
    with Events(own) as events:
        os.kill(pid, signal.SIGKILL)
        _, number, data = events.until("respawn")
        assert data["process"] == "worker" and number
        assert data["at"].endswith("Z")


def test_the_agent_dies(own):
    """The journal outlives the agent: who comes back is told what happened meanwhile."""
    with Events(own) as events:
        number = str(events.next()[2]["sequence"])
    pid = own.get("/v1/revision").json["agent_pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: agent_pid(own) not in (None, pid), what="another agent")
    with Events(own, last=number) as events:
        assert events.next()[0] == "hello"
        name, _, data = events.next()
        assert name == "respawn" and data["process"] == "agent"


def agent_pid(remora):
    try:
        return remora.get("/v1/revision").json["agent_pid"]
    except OSError:
        return None


def test_unknown_number(remora):
    """A number of another life of the instance: the client is told that it has missed something."""
    for last in ("1", "9007199254740991"):
        with Events(remora, last=last) as events:
            assert events.next()[0] == "hello"
            name, number, _ = events.next()
            assert name == "gap" and number
