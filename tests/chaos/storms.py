# SPDX-License-Identifier: Apache-2.0
"""Scenarios of chaos.py that mix what its first three do one at a time.

  storm     HUPs (good, bad, other numbers of workers, other upstreams), SIGKILLs in the middle of them, swaps, load
  upgrade   USR2 under load and swaps; then QUIT to the old master or to the new one, by turns
  stall     SIGSTOP to a worker and to the agent while swaps and load go on
  full      writers whose sets do not all fit into the region
"""
import os
import random
import re
import signal
import subprocess
import threading
import time

import chaos


class Watcher(threading.Thread):
    """Sees to it that nothing that may only grow ever shrinks, and that an id never means another server."""

    GROWS = re.compile(r'(remora_\w+_total(?:\{(?!upstream="u).*\})?|remora_upstream_revision) (\d+)$')

    def __init__(self, remora, going):
        super().__init__(daemon=True)
        self.remora, self.going, self.wrong = remora, going, []
        self.last, self.ids, self.looks = {}, {}, 0

    def run(self):
        while self.going() and len(self.wrong) < 5:
            try:
                self.look(self.remora.api())
            except chaos.ApiError:
                pass  # the agent is being replaced
            except Exception as e:  # a thread must not die unnoticed
                self.wrong.append(f"watcher: {e!r}")
            time.sleep(0.02)

    def look(self, api):
        for line in api.request("GET", "/metrics")[1].splitlines():
            m = self.GROWS.match(line)
            if m and int(m[2]) < self.last.get(m[1], 0):
                self.wrong.append(f"{m[1]} fell from {self.last[m[1]]} to {m[2]}")
            if m:
                self.last[m[1]] = int(m[2])
        for server in api.request("GET", "/api/9/http/upstreams/chaos/servers")[1]:
            if self.ids.setdefault(server["id"], server["server"]) != server["server"]:
                self.wrong.append(f"id {server['id']} was {self.ids[server['id']]}, is {server['server']}")
        self.looks += 1
        api.close()


class Control:
    """A subject whose configuration changes, under load and swaps, with what it has been done to."""

    def __init__(self, a, name, connections=32, shared_memory="64m"):
        self.a, self.name, self.rng = a, name, random.Random(a.seed)
        self.origin, self.subject, self.port, self.origin_port = chaos.start_pair(a.workers)
        self.master = self.subject.proc.pid
        with open(self.subject.dir + "/conf") as f:
            self.conf = f"shared_memory {shared_memory};\n" + f.read()
        self.wrk = chaos.Wrk(self.port, connections, a.seconds)
        self.swapper = chaos.Swapper(self.subject, self.port, self.origin_port, self.wrk.running)
        self.watcher = Watcher(self.subject, self.wrk.running)
        self.watcher.start()
        self.counts, self.failed = {}, []

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def signal(self, number, pid=None):
        try:
            os.kill(pid or self.master, number)
        except ProcessLookupError:
            pass

    def write(self, text):
        with open(self.subject.dir + "/conf.new", "w") as f:
            f.write(text)
        os.rename(self.subject.dir + "/conf.new", self.subject.dir + "/conf")

    def hup(self):
        """With a configuration like it, or a bad one."""
        kind = self.rng.choice(["same", "same", "workers", "upstreams", "bad"])
        text = self.conf
        if kind == "workers":
            text = re.sub(r"worker_processes \d+", f"worker_processes {self.rng.randint(1, 4)}", text)
        elif kind == "upstreams":
            more = "".join(f"upstream u{i} {{ zone u{i}; server 127.0.0.1:{self.rng.randint(1, 9)}; }}\n"
                           for i in range(self.rng.randint(1, 30)))
            text = text.replace("upstream chaos", more + "upstream chaos")
        elif kind == "bad":
            text = self.rng.choice([text.rstrip()[:-1], "bogus on;" + text, text.replace("http://chaos", "http://[")])
        self.write(text)
        self.signal(signal.SIGHUP)
        self.count("HUP " + kind)

    def kill(self):
        """One of the children, whoever it is; more often than not it is a worker."""
        pids = chaos.children(self.master)
        if pids:
            self.signal(signal.SIGKILL, self.rng.choice(pids))
            self.count("killed")

    def settled(self, workers):
        """Everything as if nothing had happened: children, slots, region."""
        end = time.time() + 40
        while time.time() < end:
            try:
                api = self.subject.api()
                revision = api.request("GET", "/v1/revision")[1]
                pids = set(chaos.children(self.master))
                if ({w["pid"] for w in revision["workers"]} | {revision["agent_pid"]} == pids
                        and len(pids) == workers + 1):
                    break
            except chaos.ApiError:
                pass
            time.sleep(0.1)
        else:
            self.failed.append(f"the children do not settle: {sorted(pids)}, {revision}")
        figures = chaos.settle(self.subject.api())
        print(f"  region: {figures}")
        if figures["used"] != figures["reachable"]:
            self.failed.append("used bytes are not the reachable ones")

    def load(self):
        load = self.wrk.result()
        self.swapper.join(30)
        self.watcher.join(30)
        self.counts["looked"] = self.watcher.looks
        print(f"  load: {load}\n  swaps: {self.swapper.swaps}, not applied: {self.swapper.unapplied}, "
              f"checked: {self.swapper.checked}, slowest: {self.swapper.slow * 1000:.0f} ms\n  done: {self.counts}")
        self.failed += self.swapper.wrong[:5] + self.watcher.wrong
        if not self.watcher.looks:
            self.failed.append("the metrics were never seen")
        if load["bad_status"]:
            self.failed.append("a request was answered with an error")
        if load["requests"] < 100 or self.swapper.swaps < 10:
            self.failed.append("hardly anything happened")
        return load

    def end(self, allow="exited on signal 9"):
        if self.master != self.subject.proc.pid:
            self.signal(signal.SIGQUIT)
            end = time.time() + 30
            while os.path.exists(self.subject.dir + "/pid") and time.time() < end:
                time.sleep(0.05)
        for name, instance in (("subject", self.subject), ("origin", self.origin)):
            code, text = instance.stop() if instance.proc.poll() is None else chaos.finish(instance)
            text = "\n".join(line for line in text.splitlines() if not re.search(allow, line))
            self.failed += chaos.verdict(name, code, text)
        return self.failed


def run_storm(a):
    c = Control(a, "storm")
    allow = r"exited on signal 9|\[emerg\].*(unexpected|unknown|invalid|host|the agent)"
    try:
        c.swapper.patience = 8.0  # the agent waits for its turn in a row of reloads
        c.swapper.start()
        while c.wrk.running():
            c.hup()
            time.sleep(c.rng.choice([0, 0.005, 0.02, 0.02, 0.1, 0.3]))
            if c.rng.random() < 0.3:
                c.kill()
            time.sleep(c.rng.choice([0, 0.02, 0.02, 0.5]))
        load = c.load()
        if load["socket_errors"] > 32 * max(1, c.counts.get("killed", 0)):
            c.failed.append("more connections broke than the killed workers had")
        c.write(c.conf)
        c.signal(signal.SIGHUP)
        c.settled(a.workers)
    finally:
        c.end(allow)
    return c.failed


def wait_pid(c, known):
    """The pid file's number, once it is another than `known` and its children serve."""
    end = time.time() + 30
    while time.time() < end:
        try:
            pid = int(open(c.subject.dir + "/pid").read())
            if pid != known and len(chaos.children(pid)) > c.a.workers:
                return pid
        except (OSError, ValueError):
            pass
        time.sleep(0.02)
    raise SystemExit("no new master: " + c.subject.errors()[-3000:])


def run_upgrade(a):
    c = Control(a, "upgrade")
    try:
        c.swapper.patience = 5.0
        c.swapper.start()
        while c.wrk.running():
            time.sleep(0.5)
            c.signal(signal.SIGUSR2)
            new = wait_pid(c, c.master)
            time.sleep(c.rng.choice([0, 0.3]))
            if c.rng.random() < 0.5:
                c.signal(signal.SIGQUIT)
                c.master = new
                c.count("upgraded")
            else:
                c.signal(signal.SIGQUIT, new)
                c.count("rolled back")
            end = time.time() + 30
            while os.path.exists(c.subject.dir + "/pid.oldbin") and time.time() < end:
                time.sleep(0.02)
            time.sleep(0.3)
            if c.rng.random() < 0.3:
                c.signal(signal.SIGHUP)
                c.count("HUP")
                time.sleep(0.3)
        if c.load()["socket_errors"]:
            c.failed.append("a request failed")
        c.settled(a.workers)
    finally:
        c.end()
    return c.failed


def run_stall(a):
    """Swaps go on, though none is applied while a worker in the middle of its turn is stopped; what they take is
    given back afterwards, and nothing is lost."""
    c = Control(a, "stall")
    most = 0
    try:
        c.swapper.start()
        time.sleep(0.5)
        while c.wrk.running():
            revision = c.subject.api().request("GET", "/v1/revision")[1]
            pids = [w["pid"] for w in revision["workers"]]
            victim = c.rng.choice(pids) if c.rng.random() < 0.7 else revision["agent_pid"]
            c.signal(signal.SIGSTOP, victim)
            time.sleep(c.rng.choice([0.05, 1, 4]))
            if victim in pids:
                try:
                    most = max(most, c.subject.api().request("GET", "/v1/status")[1]["memory"]["used"])
                except chaos.ApiError as e:
                    c.failed.append(f"a stopped worker stops the agent: {e}")
            c.signal(signal.SIGCONT, victim)
            c.count("stopped worker" if victim in pids else "stopped agent")
            time.sleep(0.5)
        if c.load()["socket_errors"]:
            c.failed.append("a request failed")
        print(f"  most in use: {most}")
        c.settled(a.workers)
    finally:
        c.end()
    return c.failed


def run_full(a):
    """Many writers of large sets in 1 MiB: each is answered 200 or 507, and what is acknowledged is there."""
    origin_port, port = chaos.free_port(), chaos.free_port()
    names = [f"u{i}" for i in range(8)]
    http = "".join(f"upstream {n} {{ zone {n}; server 127.0.0.1:{origin_port}; }}\n" for n in names)
    subject = chaos.Remora("full", http + chaos.front(port, origin_port), a.workers, admin=True, lead="shared_memory 1m;")
    failed, answers = [], {}
    end = time.time() + a.seconds

    def write(number, name):
        rng, api, last = random.Random(f"{a.seed}{number}"), subject.api(), None
        try:
            while time.time() < end:
                size = rng.choice([0, 1, 50, 400, 1500])
                wanted = [f"127.{number}.{n >> 8}.{n & 255}:80" for n in rng.sample(range(60000), size)]
                status, answer = api.request("PUT", f"/v1/http/upstreams/{name}/servers", [{"server": s} for s in wanted])
                answers[status] = answers.get(status, 0) + 1
                if status == 200:
                    last = wanted
                elif status != 507:
                    failed.append(f"PUT answered {status}: {answer}")
                found = [s["server"] for s in api.request("GET", f"/v1/http/upstreams/{name}/servers")[1]]
                if last is not None and sorted(found) != sorted(last):
                    failed.append(f"{name}: {len(found)} servers found, acknowledged were {len(last)}, after {status}")
                    return
        except Exception as e:  # a thread must not die unnoticed
            failed.append(f"writer of {name}: {e!r}")

    try:
        threads = [threading.Thread(target=write, args=x, daemon=True) for x in enumerate(names)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(a.seconds + 30)
        api = subject.api()
        for name in names:
            status, answer = api.request("PUT", f"/v1/http/upstreams/{name}/servers", [])
            if status != 200:
                failed.append(f"emptying {name}: {status} {answer}")
        figures = chaos.settle(api)
        print(f"  answers: {answers}\n  region: {figures}")
        if figures["used"] != figures["reachable"]:
            failed.append("used bytes are not the reachable ones")
        if not (answers.get(200) and answers.get(507)):
            failed.append("the region was never full, or always")
    finally:
        code, text = subject.stop()
        failed += chaos.verdict("subject", code, text)
    return failed


SCENARIOS = {"storm": run_storm, "upgrade": run_upgrade, "stall": run_stall, "full": run_full}
