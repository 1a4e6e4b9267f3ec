# SPDX-License-Identifier: Apache-2.0
"""Processes and signals: start, reload, respawn, reopening logs, stopping."""
import os
import re
import signal
import socket
import time

import pytest

from conftest import REMORA, Client, processes, run_remora, wait_for

PID = """
worker_processes {workers};
http {{
    access_log @DIR@/access.log;
    server {{
        listen 127.0.0.1:@PORT:web@{extra};
        location / {{ return 200 "$pid\\n"; }}
        location /name {{ return 200 "{name}"; }}
    }}
}}
"""


def conf(workers=2, name="one", extra=""):
    return PID.format(workers=workers, name=name, extra=extra)


def served_by(r):
    return int(r.get("web").body)


def test_start_and_stop(remora):
    r = remora(conf())
    assert r.get("web", "/name").body == b"one"
    assert served_by(r) in r.workers()
    assert len(r.workers()) == 2
    assert r.agent() in r.children()
    assert oct(os.stat(r.dir + "/admin.sock").st_mode & 0o777) == "0o660"
    r.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_every_way_to_stop(remora, number):
    r = remora(conf())
    with r.client() as c:
        assert c.get("/name").status == 200
        if number == signal.SIGQUIT:
            c.close()
        begin = time.monotonic()
        r.stop(number)
        assert time.monotonic() - begin < 8


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH])
def test_signals_while_it_starts_wait(remora, number):
    """An operator's reload that comes too early, with the address still in use, does not end the start."""
    with socket.socket() as former:
        former.bind(("127.0.0.1", 0))
        former.listen()
        port = former.getsockname()[1]
        r = remora(conf(workers=1).replace("@PORT:web@", str(port)), wait=False, allow=["Address already in use"])
        wait_for(lambda: "Address already in use" in r.errors(), "the first attempt")
        r.process.send_signal(number)
    r.wait_log(rf"signal {int(number)} \({number.name}\) received")
    r.ports["web"] = port
    r.pid = wait_for(lambda: os.path.exists(r.pid_file) and int(open(r.pid_file).read() or 0), "the pid file")
    assert wait_for(lambda: r.workers()) and r.get("web", "/name").body == b"one"


def test_stop_to_the_whole_group(remora):
    """What Ctrl-C in a terminal does: everybody gets INT."""
    r = remora(conf())
    os.killpg(r.group, signal.SIGINT)
    r.process.wait(20)
    r.stop()


def test_quit_finishes_the_request(remora, backend):
    def slow(request):
        time.sleep(1)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"

    b = backend(slow)
    r = remora("http { server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://%s; } } }" % b.addr)
    with r.client() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: b.requests, "the request")
        r.signal(signal.SIGQUIT)
        response = c.response()
        assert response.body == b"done"
        assert response.headers["connection"] == "close"
        assert c.at_end()
    r.stop()


def test_worker_shutdown_timeout(remora, backend):
    b = backend(lambda request: time.sleep(20))
    r = remora("worker_shutdown_timeout 300ms;\n"
               "http { server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://%s; } } }" % b.addr)
    with r.client() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: b.requests, "the request")
        begin = time.monotonic()
        r.signal(signal.SIGQUIT)
        assert r.process.wait(10) == 0
        assert 0.2 < time.monotonic() - begin < 5
    r.stop()


# ---- reload ----

def test_reload(remora):
    r = remora(conf(name="one"))
    old, agent = r.workers(), r.agent()
    r.reload(conf(name="two", workers=3))
    wait_for(lambda: not set(old) & set(r.workers()), "the old workers' end")
    assert r.get("web", "/name").body == b"two"
    assert len(r.workers()) == 3
    assert r.agent() not in (None, agent)
    for pid in old:
        assert len(r.wait_log(rf"\[notice\] {pid}#{pid}: gracefully shutting down")) == 1
        assert len(r.wait_log(rf"worker process {pid} exited with code 0")) == 1


@pytest.mark.parametrize("bad", [
    "bogus on;",
    "http { server { listen 127.0.0.1:@PORT:web@; ",
    "http { server { listen 127.0.0.1:@PORT:taken@; } }",
    "error_log /nonexistent/x.log;\nhttp {}",
])
def test_a_bad_configuration_changes_nothing(remora, bad):
    r = remora(conf())
    workers, agent = r.workers(), r.agent()
    with socket.create_server(("127.0.0.1", r.port("taken"))), r.client() as c:
        assert c.get("/name").body == b"one"
        r.reload(bad, ok=False)
        assert c.get("/name").body == b"one"
    assert r.workers() == workers and r.agent() == agent
    assert "emerg" in r.log()
    r.reload(conf(name="two"))
    wait_for(lambda: r.get("web", "/name").body == b"two", "the new configuration")


def test_reload_adds_and_removes_listeners(remora):
    one = "http { server { listen 127.0.0.1:@PORT:web@; listen unix:@DIR@/a.sock; return 200 one; } }"
    two = "http { server { listen 127.0.0.1:@PORT:other@; listen unix:@DIR@/b.sock; return 200 two; } }"
    r = remora(one)
    assert r.get(r.dir + "/a.sock").body == b"one"
    r.reload(two)
    assert r.get("other").body == b"two"
    assert r.get(r.dir + "/b.sock").body == b"two"
    assert not os.path.exists(r.dir + "/a.sock")

    def refused():
        try:
            r.client("web").close()
        except ConnectionRefusedError:
            return True
    wait_for(refused, "the old port to be closed")


def test_reload_finishes_what_is_under_way(remora, backend):
    def slow(request):
        time.sleep(0.7)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"

    b = backend(slow)
    text = "http { server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://%s; } } }" % b.addr
    r = remora(text)
    with r.client() as c, r.client() as idle:
        assert idle.get().body == b"done"
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: len(b.requests) == 2, "the request")
        r.reload()
        response = c.response()
        assert response.body == b"done" and response.headers["connection"] == "close"
        # an idle connection may still bring the request that was on its way
        response = idle.get()
        assert response.body == b"done" and response.headers["connection"] == "close"
        assert idle.at_end()


def test_many_reloads_in_a_row(remora):
    r = remora(conf())
    with r.client() as c:
        for i in range(15):
            r.signal(signal.SIGHUP)
            time.sleep(0.1)
            try:
                response = c.get("/name")
            except Exception as e:  # noqa: BLE001
                raise AssertionError(f"lost a request at reload {i}: {e!r}") from e
            assert response.status == 200
            if response.headers["connection"] == "close":
                c.close()
                c.__init__(r.address("web"))
    wait_for(lambda: len(r.workers()) == 2, "the last workers")
    assert r.get("web", "/name").body == b"one"


# ---- respawn ----

def test_killed_workers_are_replaced(remora):
    r = remora(conf())
    for victim in r.workers():
        os.kill(victim, signal.SIGKILL)
        r.wait_log(rf"\[alert\].* worker process {victim} exited on signal 9")
    wait_for(lambda: len(r.workers()) == 2, "new workers")
    assert served_by(r) in r.workers()
    r.allow.append(re.compile("exited on signal 9"))


def test_killed_agent_is_replaced(remora):
    r = remora(conf())
    victim = r.agent()
    os.kill(victim, signal.SIGKILL)
    assert r.get("web", "/name").body == b"one"
    wait_for(lambda: r.agent() not in (None, victim), "a new agent")
    assert r.admin("GET", "/livez").status == 200
    r.allow.append(re.compile("exited on signal 9"))


def test_a_worker_that_keeps_dying_is_slowed_down(remora):
    r = remora(conf(workers=1))
    end = time.monotonic() + 3
    while time.monotonic() < end:
        for pid in r.workers():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)
    deaths = len(re.findall(r"worker process \d+ exited on signal 9", r.log()))
    assert 3 <= deaths <= 8, deaths  # 0, .1, .2, .4, .8, 1.6 s
    wait_for(lambda: r.workers(), "the next worker", 15)
    assert r.get("web", "/name").body == b"one"
    r.allow.append(re.compile("exited on signal 9"))


def test_children_follow_a_killed_master(remora):
    r = remora(conf(), exit_code=-signal.SIGKILL, allow=["the master is gone"])
    with r.client() as c:
        assert c.get("/name").status == 200
        r.signal(signal.SIGKILL)
        r.process.wait(5)
        c.send("GET /name HTTP/1.1\r\nHost: a\r\n\r\n")
        response = c.response()
        assert response.body == b"one" and response.headers["connection"] == "close"
    wait_for(lambda: not processes(r.group), "the children's end")
    assert os.path.exists(r.dir + "/admin.sock")  # nobody was left to remove it
    os.unlink(r.pid_file)
    r.exit_code = 0
    r.start()  # takes the place of the stale socket
    assert r.admin("GET", "/livez").status == 200


# ---- logs ----

def test_reopening_logs(remora):
    r = remora(conf(workers=1))
    r.get("web", "/first")
    wait_for(lambda: "/first" in open(r.dir + "/access.log").read(), "the access log")
    os.rename(r.dir + "/access.log", r.dir + "/access.1")
    os.rename(r.dir + "/error.log", r.dir + "/error.1")
    r.signal(signal.SIGUSR1)
    wait_for(lambda: os.path.exists(r.dir + "/access.log") and os.path.exists(r.dir + "/error.log"), "new files")

    def arrives():
        r.get("web", "/second")
        return "/second" in open(r.dir + "/access.log").read()
    wait_for(arrives, "lines in the new file")
    assert "reopening logs" in open(r.dir + "/error.1").read() + r.log()


# ---- who listens ----

def test_unix_listener(remora):
    r = remora("http { server { listen unix:@DIR@/web.sock; return 200 unix; } }")
    path = r.dir + "/web.sock"
    assert r.get(path).body == b"unix"
    assert oct(os.stat(path).st_mode & 0o777) == "0o666"
    r.stop()
    assert not os.path.exists(path)


def spread(r, n):
    """The workers that n long-lived connections end up with: counts, greatest first."""
    clients = [Client(r.address("web")) for _ in range(n)]
    pids = [int(c.get().body) for c in clients]
    for c in clients:
        c.close()
    return sorted((pids.count(p) for p in set(pids)), reverse=True)


def test_connections_are_shared_out(remora):
    r = remora(conf(workers=4))
    wait_for(lambda: len(r.workers()) == 4, "workers")
    time.sleep(0.3)
    for _ in range(5):
        counts = spread(r, 8)
        assert len(counts) >= 2 and counts[0] <= 5, counts


def test_reuseport(remora):
    r = remora(conf(workers=4, extra=" reuseport"))
    assert len(spread(r, 64)) == 4
    for n in (2, 4):
        r.reload(conf(workers=n, extra=" reuseport"))
        wait_for(lambda: len(r.workers()) == n, "workers")
        assert len(spread(r, 64)) == n


# ---- exhaustion ----

def test_descriptors_run_out_and_come_back(remora):
    r = remora("worker_rlimit_nofile 40;\n" + conf(workers=1),
               allow=[r"exceed open file resource limit"])
    clients = [Client(r.address("web")) for _ in range(60)]
    r.wait_log(r"\[crit\].* accept4\(\) failed \(24: Too many open files\)")
    time.sleep(2.1)
    assert len(re.findall(r"accept4\(\) failed", r.log())) <= 4  # once a second
    assert clients[0].get("/name").body == b"one"
    for c in clients[:50]:
        c.close()
    assert clients[-1].get("/name").body == b"one"  # it has waited in the queue
    for c in clients:
        c.close()
    assert r.get("web", "/name").body == b"one"


def test_worker_connections_run_out_and_come_back(remora):
    r = remora("events { worker_connections 20; }\n" + conf(workers=1), allow=["worker_connections are not enough"])
    clients = [Client(r.address("web")) for _ in range(30)]
    r.wait_log(r"20 worker_connections are not enough")
    assert clients[0].get("/name").body == b"one"
    for c in clients[:15]:
        c.close()
    assert clients[-1].get("/name").body == b"one"
    for c in clients:
        c.close()
    assert r.get("web", "/name").body == b"one"


# ---- other ways to run ----

def test_single_process(remora):
    r = remora("master_process off;\n" + conf(workers=1))
    assert served_by(r) == r.pid
    victim = r.agent()
    with r.client() as c:
        assert c.get("/name").body == b"one"
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: r.agent() not in (None, victim), "a new agent")
        assert c.get("/name").body == b"one"
    assert r.admin("GET", "/livez").status == 200
    r.allow.append(re.compile("exited on signal 9"))


def test_daemon(remora):
    r = remora("daemon on;\n" + conf(), wait=False)
    assert r.process.wait(20) == 0  # once it serves
    r.pid = int(open(r.pid_file).read())
    assert r.pid != r.process.pid
    r.group = os.getpgid(r.pid)
    assert r.get("web", "/name").body == b"one"
    r.signal(signal.SIGTERM)
    wait_for(lambda: not os.path.exists(r.pid_file), "its end")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_children_are_nobody(remora):
    r = remora(conf())
    for pid in r.workers() + [r.agent()]:
        wait_for(lambda: re.search(r"^Uid:\t65534\t65534\t65534", open(f"/proc/{pid}/status").read(), re.M), "nobody")
    assert re.search(r"^Uid:\t0\t", open(f"/proc/{r.pid}/status").read(), re.M)


def test_titles(remora):
    r = remora(conf(workers=1))

    def shows(pid, text):
        wait_for(lambda: processes(r.group)[pid].strip().startswith(text), text)
    shows(r.pid, "remora: master process " + REMORA)
    shows(r.workers()[0], "remora: worker process")
    shows(r.agent(), "remora: agent process")


def test_cpu_affinity(remora):
    allowed = sorted(os.sched_getaffinity(0))
    r = remora("worker_cpu_affinity auto;\n" + conf(workers=2))
    wait_for(lambda: len(r.workers()) == 2, "workers")

    def bound():
        cpus = [os.sched_getaffinity(p) for p in r.workers()]
        return cpus if all(len(c) == 1 for c in cpus) else None
    cpus = wait_for(bound, "workers bound to one CPU each")
    assert set().union(*cpus) <= set(allowed)
    assert len(allowed) == 1 or cpus[0] != cpus[1]


def test_priority_of_the_agent(remora):
    """It stands behind the workers, whatever these have, and so does the next one."""
    def nice(r):
        return [os.getpriority(os.PRIO_PROCESS, p) for p in (*r.workers(), r.agent())]

    r = remora("admin { listen unix:@DIR@/admin.sock; priority 4; }\n" + conf(workers=1), admin=False, allow=["signal 9"])
    base = os.getpriority(os.PRIO_PROCESS, r.pid)
    assert wait_for(lambda: nice(r) == [base, min(base + 4, 19)])
    old = r.agent()
    os.kill(old, signal.SIGKILL)
    assert wait_for(lambda: r.agent() not in (None, old) and nice(r)[1] == min(base + 4, 19))
    r.reload("worker_priority 12; admin { listen unix:@DIR@/admin.sock; priority 19; }\n" + conf(workers=1))
    assert wait_for(lambda: nice(r)[-2:] == [12, 19])


@pytest.mark.parametrize("text, message", [
    ("priority 20;", 'invalid priority "20", it must be 0 to 19'), ("priority -1;", 'invalid priority "-1", it must be 0 to 19'),
    ("priority 1; priority 1;", '"priority" directive is duplicate')])
def test_bad_priority_of_the_agent(tmp_path, text, message):
    (tmp_path / "c").write_text("events { } admin { listen unix:%s/a; %s }" % (tmp_path, text))
    done = run_remora("-t", "-p", str(tmp_path), "-c", str(tmp_path / "c"))
    assert done.returncode == 1 and message in done.stderr


def test_priority(remora):
    r = remora("worker_priority 5;\n" + conf(workers=1))
    assert wait_for(lambda: [os.getpriority(os.PRIO_PROCESS, p) for p in r.workers()] == [5])
