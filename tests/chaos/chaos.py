#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""chaos.py: remora under load while its servers are swapped and its processes are killed.

  chaos.py swap                 swap disjoint server sets of 1 to 50 as fast as the API takes them
  chaos.py kill                 the same, and SIGKILL to a random worker and to the agent every second
  chaos.py reload               HUP every 200 ms under 32 busy keep-alive connections
  chaos.py storm upgrade stall full   see storms.py
  chaos.py swap kill --seconds 30 --workers 4
  REMORA=build-asan/remora chaos.py reload --seconds 5

Each scenario prints what it counted and a line `ok` or `FAILED: why`; the exit code says the same.
Traffic stays on loopback.  Needs wrk.
"""
import argparse
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class ApiError(Exception):
    pass


class Api:
    """A keep-alive client of the admin API over its unix socket."""

    def __init__(self, path):
        self.path, self.sock, self.buf = path, None, b""

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock, self.buf = None, b""

    def request(self, method, target, body=None, timeout=10):
        """Returns (status, parsed body).  Raises ApiError when the connection breaks."""
        try:
            if self.sock is None:
                self.sock = socket.socket(socket.AF_UNIX)
                self.sock.settimeout(timeout)
                self.sock.connect(self.path)
            data = b"" if body is None else json.dumps(body).encode()
            head = f"{method} {target} HTTP/1.1\r\nHost: remora\r\n"
            if body is not None:
                head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
            self.sock.sendall(head.encode() + b"\r\n" + data)
            return self._answer()
        except OSError as e:
            self.close()
            raise ApiError(str(e)) from e

    def _answer(self):
        while b"\r\n\r\n" not in self.buf:
            self._more()
        head, self.buf = self.buf.split(b"\r\n\r\n", 1)
        status = int(head.split(b" ", 2)[1])
        length = int(re.search(rb"(?im)^content-length: *(\d+)", head)[1])
        while len(self.buf) < length:
            self._more()
        body, self.buf = self.buf[:length], self.buf[length:]
        if re.search(rb"(?im)^connection: *close", head):
            self.close()
        return status, json.loads(body) if body[:1] in (b"{", b"[") else body.decode()

    def _more(self):
        got = self.sock.recv(65536)
        if not got:
            raise ConnectionError("closed by the agent")
        self.buf += got


def free_port(taken=set()):
    """Below those that the kernel gives to outgoing connections, and beside those of the other tests."""
    while True:
        port = random.SystemRandom().randrange(30001, 32700)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("0.0.0.0", port))
            except OSError:
                continue
        if port not in taken:
            taken.add(port)
            return port


def children(pid):
    """Pids of the direct children, with their titles or None."""
    out = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/children") as f:
                out += [int(p) for p in f.read().split()]
        except OSError:
            pass
    return out


class Remora:
    """A remora started for one scenario."""

    def __init__(self, name, http, workers, admin=False, lead=""):
        self.dir = tempfile.mkdtemp(prefix=f"chaos-{name}-")
        self.admin = self.dir + "/admin.sock"
        self.log = self.dir + "/error.log"
        conf = f"""
            {lead}
            worker_processes {workers}; daemon off; pid {self.dir}/pid; error_log {self.log} notice;
            events {{ worker_connections 8192; }}
            {f'admin {{ listen unix:{self.admin}; write on; }}' if admin else ''}
            http {{
                access_log off; client_body_temp_path {self.dir}/body; proxy_temp_path {self.dir}/proxy;
                keepalive_requests 1000000000;
                {http}
            }}"""
        with open(self.dir + "/conf", "w") as f:
            f.write(conf)
        binary = os.environ.get("REMORA", ROOT + "/build/remora")
        self.proc = subprocess.Popen([binary, "-p", self.dir + "/", "-c", self.dir + "/conf"],
                                     stderr=open(self.dir + "/stderr", "w"))
        end = time.time() + 20
        while not os.path.exists(self.dir + "/pid"):
            if self.proc.poll() is not None or time.time() > end:
                raise SystemExit(f"{name}: did not start: {self.errors()}")
            time.sleep(0.02)

    def errors(self):
        text = ""
        for name in ("stderr", "error.log"):
            try:
                text += open(f"{self.dir}/{name}").read()
            except OSError:
                pass
        return text

    def api(self):
        return Api(self.admin)

    def stop(self):
        self.proc.send_signal(signal.SIGQUIT)
        try:
            code = self.proc.wait(30)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            code = "did not stop"
        return code, finish(self)[1]


def finish(remora):
    """The exit code and the log of one that has ended."""
    text = remora.errors()
    shutil.rmtree(remora.dir, ignore_errors=True)
    return remora.proc.poll(), text


class Wrk:
    """Load in the background; `result` waits for it."""

    def __init__(self, port, connections, seconds):
        self.proc = subprocess.Popen(["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency",
                                      f"http://127.0.0.1:{port}/"], stdout=subprocess.PIPE, text=True)

    def running(self):
        return self.proc.poll() is None

    def result(self):
        out = self.proc.communicate()[0]
        m = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        p99 = re.search(r"^\s+99%\s+(\S+)", out, re.M)
        return dict(requests=int(re.search(r"(\d+) requests in", out)[1]),
                    socket_errors=sum(map(int, m.groups())) if m else 0,
                    bad_status=int(bad[1]) if bad else 0, p99=p99[1] if p99 else "?")


class Swapper(threading.Thread):
    """Swaps disjoint sets for as long as `going` says; checks what it can see of the promise."""

    def __init__(self, remora, port, origin_port, going):
        super().__init__(daemon=True)
        self.remora, self.port, self.origin, self.going = remora, port, origin_port, going
        self.swaps = self.unapplied = self.api_breaks = self.checked = 0
        self.wrong, self.slow, self.away, self.used_after_1000 = [], 0.0, 0.0, None
        self.patience = 1.0  # seconds until the API answers again

    def names(self):
        """A set of 1 to 50 servers, disjoint from the last one."""
        size = random.randint(1, 50)
        first = 1 + 100 * (self.swaps % 2)
        return [f"127.0.1.{first + i}" for i in random.sample(range(50), size)]

    def run(self):
        try:
            self._run()
        except Exception as e:  # a thread must not die unnoticed
            self.wrong.append(f"swapper: {e!r}")

    def _run(self):
        api = self.remora.api()
        acked, trying = ["127.0.1.1"], None  # what the file says
        client = None
        while self.going():
            if trying is None:
                trying = self.names()
            body = [{"server": f"{n}:{self.origin}"} for n in trying]
            at = time.time()
            try:
                status, answer = api.request("PUT", "/v1/http/upstreams/chaos/servers", body)
            except ApiError:
                self.api_breaks += 1
                acked = self._after_break(api, acked, trying)
                trying = None
                continue
            self.slow = max(self.slow, time.time() - at)
            if status != 200:
                self.wrong.append(f"PUT answered {status}: {answer}")
                break
            self.swaps += 1
            acked, trying = trying, None
            if not answer.get("applied"):
                self.unapplied += 1
            elif self.swaps % 5 == 0:
                client = self._check(client, acked)
            if self.swaps == 1000:
                self.used_after_1000 = self._status(api)

    def _status(self, api):
        try:
            return api.request("GET", "/v1/status")[1]["memory"]
        except ApiError:
            return None

    def _after_break(self, api, acked, trying):
        """The agent died over a PUT: what is published now is the old set or the new one."""
        at = time.time()
        end = at + self.patience
        while True:
            try:
                status, answer = api.request("GET", "/v1/http/upstreams/chaos/servers")
                break
            except ApiError as e:
                if time.time() > end:
                    self.wrong.append(f"no API after the agent was killed: {e}")
                    return acked
                time.sleep(0.005)
        self.away = max(self.away, time.time() - at)
        if time.time() > end:
            self.wrong.append(f"the API was away for {time.time() - at:.1f} s after the agent was killed")
        servers = answer["servers"] if isinstance(answer, dict) else answer
        now = sorted(s["server"].rsplit(":", 1)[0] for s in servers)
        if status != 200 or now not in (sorted(acked or []), sorted(trying)):
            self.wrong.append(f"acknowledged {acked}, tried {trying}, found {now}")
        return now

    def _check(self, client, acked):
        """A request that starts now may only reach the set that was answered `applied`."""
        try:
            if client is None:
                client = socket.create_connection(("127.0.0.1", self.port), 10)
            client.sendall(b"GET / HTTP/1.1\r\nHost: chaos\r\n\r\n")
            got = b""
            while b"\r\n\r\n" not in got or not got.endswith(b"\n"):
                more = client.recv(4096)
                if not more:
                    raise OSError("closed")
                got += more
        except OSError:
            if client is not None:
                client.close()
            return None  # its worker was killed
        name = got.rsplit(b"\r\n\r\n", 1)[1].decode().strip()
        self.checked += 1
        if name not in acked:
            self.wrong.append(f"a request after `applied` reached {name!r}: {got[:200]!r}")
        return client


def front(port, origin):
    return f"""
        upstream chaos {{ zone chaos; keepalive 128; server 127.0.1.1:{origin}; }}
        server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://chaos; }} }}"""


def start_pair(workers):
    origin_port, port = free_port(), free_port()
    origin = Remora("origin", f'server {{ listen 0.0.0.0:{origin_port} backlog=4096; return 200 "$server_addr\\n"; }}', 1)
    return origin, Remora("subject", front(port, origin_port), workers, admin=True), port, origin_port


def settle(api):
    """Waits until nothing is pending; returns the region's figures.  A last reload may still change the agent."""
    end = time.time() + 10
    while True:
        try:
            figures = api.request("GET", "/v1/status")[1]["memory"]
            if figures["used"] == figures["reachable"] or time.time() > end:
                return figures
        except ApiError:
            if time.time() > end:
                raise
        time.sleep(0.05)


def named(remora, title):
    """Pids of the children that call themselves so."""
    found = []
    for pid in children(remora.proc.pid):
        try:
            with open(f"/proc/{pid}/cmdline") as f:
                if title in f.read():
                    found.append(pid)
        except OSError:
            pass
    return found


def killer(remora, going, counts):
    """SIGKILL to a random worker and to the agent, each once a second."""
    at = time.time()
    while going():
        for kind in ("worker", "agent"):
            at += 0.5
            time.sleep(max(0, at - time.time()))
            pids = named(remora, f"{kind} process")
            if pids and going():
                os.kill(random.choice(pids), signal.SIGKILL)
                counts[kind] += 1


def run_swap(a, kill=False):
    origin, subject, port, origin_port = start_pair(a.workers)
    failed = []
    try:
        wrk = Wrk(port, 64, a.seconds)
        swapper = Swapper(subject, port, origin_port, wrk.running)
        swapper.start()
        kills = dict(worker=0, agent=0)
        if kill:
            killer(subject, wrk.running, kills)
        load = wrk.result()
        swapper.join(30)
        figures = settle(subject.api())
        rate = swapper.swaps / a.seconds
        print(f"  load: {load}\n  swaps: {swapper.swaps} ({rate:.0f}/s), not applied within 100 ms: {swapper.unapplied}, "
              f"checked after `applied`: {swapper.checked}, slowest: {swapper.slow * 1000:.0f} ms"
              f"\n  killed: {kills}, API connections broken: {swapper.api_breaks}, "
              f"API away for at most {swapper.away * 1000:.0f} ms\n  region: {figures}, "
              f"after 1000 swaps: {swapper.used_after_1000}")
        failed += swapper.wrong[:5]
        if load["requests"] < 100:
            failed.append("hardly any request got through")
        if rate < a.min_rate:
            failed.append(f"only {rate:.0f} swaps per second")
        if figures["used"] != figures["reachable"]:
            failed.append("used bytes are not the reachable ones")
        if not kill and (load["socket_errors"] or load["bad_status"] or swapper.api_breaks):
            failed.append("a request failed")
        if kill and load["bad_status"]:
            failed.append("a request was answered with an error")
        if kill and load["socket_errors"] > 64 * max(1, kills["worker"]):
            failed.append("more connections broke than the killed workers had")
        if kill and not (kills["worker"] and kills["agent"]):
            failed.append("nothing was killed")
        before = swapper.used_after_1000
        if before and figures["high_water"] > before["high_water"] * 1.25 + 65536:
            failed.append(f"the region grew from {before['high_water']} to {figures['high_water']}")
    finally:
        for name, instance in (("subject", subject), ("origin", origin)):
            code, text = instance.stop()
            failed += verdict(name, code, text, kill)
    return failed


def verdict(name, code, text, kill=False):
    failed = [] if code == 0 else [f"{name}: exit code {code}"]
    for line in text.splitlines():
        expected = kill and "exited on signal 9" in line
        if ("[alert]" in line or "[emerg]" in line or "Sanitizer" in line) and not expected:
            failed.append(f"{name}: {line[:300]}")
            break
    return failed


def run_reload(a):
    origin, subject, port, _ = start_pair(a.workers)
    failed, reloads = [], 0
    try:
        wrk = Wrk(port, 32, a.seconds)
        time.sleep(0.3)
        while wrk.running():
            subject.proc.send_signal(signal.SIGHUP)
            reloads += 1
            time.sleep(0.2)
        load = wrk.result()
        print(f"  load: {load}\n  reloads: {reloads}")
        if load["socket_errors"] or load["bad_status"]:
            failed.append("a request failed")
        if load["requests"] < 100 or reloads < 3:
            failed.append("hardly anything happened")
        end = time.time() + 20
        while len(children(subject.proc.pid)) > a.workers + 1 and time.time() < end:
            time.sleep(0.1)
        left = len(children(subject.proc.pid))
        if left != a.workers + 1:
            failed.append(f"{left} children are left, expected {a.workers + 1}")
    finally:
        for name, instance in (("subject", subject), ("origin", origin)):
            code, text = instance.stop()
            failed += verdict(name, code, text)
    return failed


def main():
    import storms  # which needs what stands above

    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("scenario", nargs="+", choices=["swap", "kill", "reload", *storms.SCENARIOS])
    ap.add_argument("--seconds", type=int, default=30)
    ap.add_argument("--workers", type=int, default=4)
    ap.add_argument("--min-rate", type=float, default=0, help="swaps per second that are expected")
    ap.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    a = ap.parse_args()
    random.seed(a.seed)
    code = 0
    for scenario in a.scenario:
        print(f"{scenario}: {a.seconds} s, {a.workers} workers, seed {a.seed}", flush=True)
        if scenario in storms.SCENARIOS:
            failed = storms.SCENARIOS[scenario](a)
        else:
            failed = run_reload(a) if scenario == "reload" else run_swap(a, scenario == "kill")
        print("  ok" if not failed else "  FAILED: " + "\n          ".join(failed), flush=True)
        code = code or bool(failed)
    return int(code)


if __name__ == "__main__":
    sys.modules["chaos"] = sys.modules["__main__"]  # for storms
    sys.exit(main())
