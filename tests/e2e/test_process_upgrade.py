# SPDX-License-Identifier: Apache-2.0
"""Changing the binary under load: USR2, WINCH, QUIT, and the ways it may go wrong."""
import os
import re
import shutil
import signal
import threading
import time

import pytest

import conftest
from conftest import Client, wait_for

CONF = """
worker_processes 2;
http {
    upstream app { zone app 64k; server 127.0.0.1:@PORT:one@; }
    server {
        listen 127.0.0.1:@PORT:web@;
        listen unix:@DIR@/web.sock;
        location / { return 200 "$pid"; }
        location /api { api; }
    }
}
"""


class Load:
    """Keep-alive clients in threads that count what goes wrong."""

    def __init__(self, address, threads=4, path="/"):
        self.address = address
        self.path = path
        self.ending = False
        self.errors = []
        self.answers = 0
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def run(self):
        client = None
        while not self.ending:
            try:
                client = client or Client(self.address)
                response = client.get(self.path)
                assert response.status == 200, response
                self.answers += 1
                if response.headers.get("connection") == "close":
                    client.close()
                    client = None
            except Exception as e:  # noqa: BLE001
                self.errors.append(repr(e))
                client = None
            time.sleep(0.001)

    def stop(self):
        self.ending = True
        for t in self.threads:
            t.join(20)


@pytest.fixture
def instance(remora, tmp_path, monkeypatch):
    """A remora from a binary of its own, that a test may replace."""
    binary = str(tmp_path / "remora")
    shutil.copy(conftest.REMORA, binary)
    os.chmod(tmp_path, 0o755)
    monkeypatch.setattr(conftest, "REMORA", binary)
    r = remora(CONF)
    r.binary = binary
    return r


def new_master(r):
    """The pid of the new binary's master, once it serves."""
    def ready():
        try:
            pid = int(open(r.pid_file).read())
        except FileNotFoundError:
            return None
        return pid if pid != r.pid else None
    pid = wait_for(ready, "the new master", 30)
    wait_for(lambda: len(r.children(pid)) >= 3, "the new master's children")
    return pid


def test_upgrade_under_load(instance):
    r = instance
    put = r.admin("PUT", "/v1/http/upstreams/app/servers", [{"server": "127.0.0.1:9"}])
    assert put.status == 200
    load = Load(r.address("web"))
    calls = Load(r.address("web"), 1, "/api/9/http/upstreams/app/servers")  # to whichever agent there is
    wait_for(lambda: load.answers > 50 and calls.answers, "load")
    r.signal(signal.SIGUSR2)
    pid = new_master(r)
    assert os.path.exists(r.pid_file + ".oldbin")
    assert int(open(r.pid_file + ".oldbin").read()) == r.pid
    r.signal(signal.SIGQUIT)
    assert r.process.wait(30) == 0
    assert not os.path.exists(r.pid_file + ".oldbin")
    before = load.answers
    wait_for(lambda: load.answers > before + 50, "more answers")
    before = calls.answers
    wait_for(lambda: calls.answers > before + 5, "more answers of the agent")
    for running in (load, calls):
        running.stop()
        assert not running.errors, running.errors[:5]
    # what was changed at run time is still so: the region came along
    servers = r.admin("GET", "/api/9/http/upstreams/app/servers").json
    assert [s["server"] for s in servers] == ["127.0.0.1:9"]
    # and so did its history
    record = r.admin("GET", "/v1/history/%d" % put.json["revision"]).json
    assert record["upstreams"]["app"]["servers"]["added"][0]["server"] == "127.0.0.1:9"
    assert r.get(r.dir + "/web.sock").status == 200
    r.pid = pid
    r.signal(signal.SIGQUIT)
    wait_for(lambda: not os.path.exists(r.pid_file), "the end of the new one")


def test_winch_and_back(instance):
    """The new binary is not liked: HUP brings the old workers back, QUIT ends the new one."""
    r = instance
    load = Load(r.address("web"), 2)
    r.signal(signal.SIGUSR2)
    pid = new_master(r)
    old = r.workers()
    assert len(old) == 2
    r.signal(signal.SIGWINCH)
    wait_for(lambda: not r.workers(), "the old workers' end", 20)
    assert int(r.get("web").body) in r.children(pid)
    r.signal(signal.SIGHUP)
    wait_for(lambda: len(r.workers()) == 2, "workers again")
    os.kill(pid, signal.SIGQUIT)
    wait_for(lambda: not os.path.exists(r.pid_file + ".oldbin"), "the pid file's return", 20)
    assert int(open(r.pid_file).read()) == r.pid
    wait_for(r.agent, "an agent again")
    assert wait_for(lambda: r.admin("GET", "/livez").status == 200)
    assert r.get(r.dir + "/web.sock").status == 200
    load.stop()
    assert not load.errors, load.errors[:5]


def test_a_binary_that_does_not_start(instance):
    r = instance
    os.rename(r.binary, r.binary + ".good")
    with open(r.binary, "w") as f:
        f.write("#!/bin/sh\nexit 3\n")
    os.chmod(r.binary, 0o755)
    r.signal(signal.SIGUSR2)
    r.wait_log(r"binary process \d+ exited with code 3")
    wait_for(lambda: os.path.exists(r.pid_file), "the pid file's return")
    assert int(open(r.pid_file).read()) == r.pid
    assert wait_for(lambda: r.agent() and r.admin("GET", "/livez").status == 200)
    assert r.get("web").status == 200
    os.rename(r.binary + ".good", r.binary)
    r.signal(signal.SIGUSR2)
    pid = new_master(r)
    r.signal(signal.SIGQUIT)
    assert r.process.wait(30) == 0
    r.pid = pid
    r.signal(signal.SIGQUIT)
    wait_for(lambda: not os.path.exists(r.pid_file), "the end of the new one")
    assert re.search("changing binary", r.log())
