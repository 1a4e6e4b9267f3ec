# SPDX-License-Identifier: Apache-2.0
"""Deaths at the worst moment: in the middle of reloads and of changes of the binary, without processes
or descriptors to be had."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

import conftest
from conftest import wait_for
from test_process_upgrade import instance, new_master  # noqa: F401 (a fixture)

CONF = """
worker_processes 2;
http {{
    upstream app {{ zone app; server 127.0.0.1:9; }}
    server {{ listen 127.0.0.1:@PORT:web@; return 200 "{name}"; }}
}}
"""
KILLED = re.compile("exited on signal 9")
SERVERS = "/v1/http/upstreams/app/servers"


def kill(pid, number=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class AgentKiller(threading.Thread):
    """Kills (or stops) the next agent the moment it is forked, `left` times."""

    def __init__(self, r, left, number=signal.SIGKILL):
        super().__init__(daemon=True)
        self.r, self.left, self.number, self.known = r, left, number, set(r.children())
        self.start()

    def run(self):
        end = time.monotonic() + 20
        while self.left and time.monotonic() < end:
            for pid in set(self.r.children()) - self.known:
                self.known.add(pid)
                kill(pid, self.number)
                self.left -= 1
                break


def test_an_agent_killed_in_a_reload_does_not_undo_it(remora):
    r = remora(CONF.format(name="one"))
    r.allow.append(KILLED)
    assert r.admin("PUT", SERVERS, [{"server": "127.0.0.1:8"}]).json["applied"]
    for i in range(3):
        r.write(CONF.format(name=f"two{i}"))
        killer = AgentKiller(r, 2)
        r.signal(signal.SIGHUP)
        killer.join()
        wait_for(lambda: r.get().body == b"two%d" % i, "the new configuration")
        assert [s["server"] for s in r.admin("GET", SERVERS).json] == ["127.0.0.1:8"]
    assert "the agent failed" not in r.log()


def test_workers_that_die_in_a_failing_reload_are_replaced(remora):
    """The agent refuses what does not fit into the region; until then, the old workers are nobody's."""
    small = "shared_memory 1m;\n" + CONF.format(name="one")
    many = "".join(f"upstream u{i} {{ zone u{i}; {''.join(f'server 127.9.{i}.{n};' for n in range(1, 250))} }}\n"
                   for i in range(30))
    r = remora(small)
    r.allow += [KILLED, re.compile(r"\[emerg\].*the agent failed")]
    r.write(small.replace("http {", "http {" + many))
    old = r.workers()
    killer = AgentKiller(r, 1, signal.SIGSTOP)  # makes the reload take a while
    r.signal(signal.SIGHUP)
    killer.join()
    for pid in old:
        os.kill(pid, signal.SIGKILL)
        r.wait_log(rf"worker process {pid} exited on signal 9")
    for pid in killer.known:
        kill(pid, signal.SIGCONT)
    r.wait_log(r"\[emerg\].*the agent failed", 20)
    wait_for(lambda: len(r.workers()) == 2 and r.get().body == b"one", "workers again")
    assert r.admin("GET", "/livez").status == 200


def test_hup_beside_a_new_binary_starts_only_what_is_missing(instance):  # noqa: F811
    r = instance
    r.signal(signal.SIGUSR2)
    pid = new_master(r)
    before = r.workers()
    for _ in range(3):
        r.signal(signal.SIGHUP)
        time.sleep(0.2)
    assert r.workers() == before
    os.kill(pid, signal.SIGQUIT)
    wait_for(lambda: not os.path.exists(r.pid_file + ".oldbin"), "the pid file's return", 20)
    assert wait_for(lambda: r.agent() and r.admin("GET", "/livez").status == 200)


@pytest.mark.parametrize("victim", ["old", "new"])
def test_a_master_killed_in_an_upgrade(instance, victim):  # noqa: F811
    """The other one goes on: with one writer of the registry, and the dead one's workers forgotten."""
    r = instance
    r.allow += [KILLED, re.compile("the master is gone")]
    r.signal(signal.SIGUSR2)
    pid = new_master(r)
    assert r.admin("PUT", SERVERS, [{"server": "127.0.0.1:8"}]).json["applied"]
    with socket.socket(socket.AF_UNIX) as slow:  # keeps the agent of the one that dies for a while
        slow.connect(r.dir + "/admin.sock")
        slow.sendall(b"PUT " + SERVERS.encode() + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n[")
        time.sleep(0.2)
        os.kill(pid if victim == "new" else r.pid, signal.SIGKILL)
        if victim == "old":
            r.process.wait(10)
            r.pid, r.exit_code = pid, -signal.SIGKILL
        else:
            wait_for(lambda: not os.path.exists(r.pid_file + ".oldbin"), "the pid file's return", 20)
        wait_for(r.agent, "an agent")
        revision = wait_for(lambda: r.admin("GET", "/v1/revision"), "the API").json
    assert revision["agent_pid"] in r.children()
    mine = set(r.children())
    wait_for(lambda: {w["pid"] for w in r.admin("GET", "/v1/revision").json["workers"]} < mine,
             "the end of the others' workers", 20)
    assert [s["server"] for s in r.admin("GET", SERVERS).json] == ["127.0.0.1:8"]
    assert r.admin("PUT", SERVERS, [{"server": "127.0.0.1:7"}]).json["applied"]
    assert r.get().status == 200
    if victim == "old":
        r.signal(signal.SIGQUIT)
        wait_for(lambda: not os.path.exists(r.pid_file), "the end of the new one")


@pytest.fixture
def as_nobody(remora, monkeypatch):
    """One that runs as nobody from the start, as limits of processes do not bind root."""
    if os.geteuid() != 0:
        yield remora
        return
    place = tempfile.mkdtemp(prefix="remora-nobody-")  # pytest's own folders are closed to nobody
    wrapper = place + "/wrapper"
    shutil.copy(conftest.REMORA, place + "/binary")  # and so may be the folders above it
    with open(wrapper, "w") as f:
        f.write(f'#!/bin/sh\nexec setpriv --reuid 65534 --clear-groups {place}/binary "$@"\n')
    os.chmod(wrapper, 0o755)
    os.chown(place, 65534, -1)
    monkeypatch.setattr(conftest, "REMORA", wrapper)
    yield lambda text: remora(text, directory=place)  # which removes it


def limit_processes(r, limit):
    """As root may not, where it lacks the capability."""
    subprocess.run([*(["setpriv", "--reuid", "65534", "--clear-groups"] if os.geteuid() == 0 else []),
                    "prlimit", "--pid", str(r.pid), f"--nproc={limit}:"], check=True)


def test_forks_fail(as_nobody):
    """Nobody is sent away while nobody can be had instead; once there may be processes, all is well again."""
    r = as_nobody(CONF.format(name="one"))
    r.allow += [KILLED, re.compile(r"fork\(\) failed|\[emerg\].*the agent failed")]
    limit_processes(r, 1)
    victim = r.workers()[0]
    os.kill(victim, signal.SIGKILL)
    r.wait_log(r"fork\(\) failed while starting a worker")
    r.write(CONF.format(name="two"))
    r.signal(signal.SIGHUP)
    r.wait_log(r"\[emerg\].*the agent failed")
    assert r.get().body == b"one" and len(r.workers()) == 1
    limit_processes(r, 10000)
    wait_for(lambda: len(r.workers()) == 2 and r.agent(), "all of them", 20)
    r.reload()
    wait_for(lambda: r.get().body == b"two", "the new configuration")
    assert r.admin("GET", "/livez").status == 200


def test_more_logs_than_a_few_hundred(remora):
    """The agent keeps them open, and nothing else."""
    servers = "".join(f"server {{ listen 127.0.0.1:@PORT:web@; server_name s{i}; access_log @DIR@/log{i}; }}\n"
                      for i in range(700))
    r = remora("worker_rlimit_nofile 4096;\nhttp { " + servers + " }")
    held = {os.readlink(f"/proc/{r.agent()}/fd/{n}") for n in os.listdir(f"/proc/{r.agent()}/fd")}
    assert {f"{r.dir}/log{i}" for i in range(700)} <= held
    clients = [r.client(r.dir + "/admin.sock") for _ in range(20)]
    try:
        r.signal(signal.SIGUSR1)
        for c in clients:
            assert c.get("/livez").status == 200
    finally:
        for c in clients:
            c.close()


@pytest.mark.parametrize("text", ["", "# soon\n", "http { }"])
def test_an_empty_file_is_not_taken_for_a_wish(remora, text):
    r = remora(CONF.format(name="one"), allow=[r"\[emerg\].*has no \"listen\" any more"])
    with open(r.conf, "w") as f:
        f.write(text)
    r.signal(signal.SIGHUP)
    r.wait_log(r"\[emerg\].*has no \"listen\" any more")
    assert r.get().body == b"one" and r.admin("GET", "/livez").status == 200


@pytest.mark.parametrize("number", range(3))
def test_a_storm_of_hups(remora, number):
    """Good and bad configurations, faster than they can be carried out: the last one counts."""
    r = remora(CONF.format(name="one"))
    r.allow.append(re.compile(r"\[emerg\].*(unknown directive|invalid|unexpected end|any more)"))
    done = 0
    end = time.monotonic() + 3
    while time.monotonic() < end:
        r.write("bogus on;" if done % 3 == number else CONF.format(name=f"n{done}"))
        r.signal(signal.SIGHUP)
        done += 1
        time.sleep(0.02)
        if done % 10 == 0:
            assert r.get().status == 200
            assert r.admin("PUT", SERVERS, [{"server": f"127.0.0.1:{1000 + done}"}]).status == 200
            last = f"127.0.0.1:{1000 + done}"
    r.reload(CONF.format(name="last"))
    wait_for(lambda: r.get().body == b"last", "the last configuration")
    wait_for(lambda: len(r.children()) == 3, "the old ones' end", 20)
    assert [s["server"] for s in r.admin("GET", SERVERS).json] == [last]
