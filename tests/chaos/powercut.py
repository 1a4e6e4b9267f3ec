#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""powercut.py: kills at random moments during durable writes; no acknowledged change may be lost, none be half there.

  powercut.py agent --kills 1000       SIGKILL to the agent; after each, the file and the API are looked at
  powercut.py group --kills 1000       SIGKILL to all processes at once, then a start from the file
  powercut.py speed --seconds 5        no kills: durable changes a second
  REMORA=build/remora powercut.py group --kills 100 --connections 32 --servers 100

Each of the connections has two upstreams of its own and writes one number into both with every transaction:
after a kill both must have the same one, not below the last that was acknowledged, not above the last sent.
That a disk without power keeps the order of the writes is tests/unit/agent/persist_test.c's business.
"""
import argparse
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def address(n):
    return f"127.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}:1"


def number(servers):
    """What the servers of an upstream say; the others are ballast."""
    a, b, c, d = (int(part) for part in servers[0].split(":")[0].split("."))
    assert a == 127, servers
    return b << 16 | c << 8 | d


def alive(group):
    """Has the process group members that are more than zombies?"""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                state, _, pgrp = f.read().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state not in "ZX":
            return True
    return False


class Remora:
    def __init__(self, connections, servers, state=True):
        self.dir = tempfile.mkdtemp(prefix="powercut-")
        os.chmod(self.dir, 0o755)
        self.admin, self.log = self.dir + "/admin.sock", self.dir + "/error.log"
        self.file = self.dir + "/state/state.json"
        self.servers = servers
        blocks = "".join(f"upstream {side}{c} {{ zone {side}{c} 64k; server {address(0)}; }}\n"
                         for c in range(connections) for side in "ab")
        with open(self.dir + "/conf", "w") as f:
            f.write(f"""worker_processes 1; daemon off; pid {self.dir}/pid; error_log {self.log} notice; events {{ }}
                admin {{ listen unix:{self.admin}; write on; {f'state {self.dir}/state;' if state else ''} }}
                http {{ access_log off; client_body_temp_path {self.dir}/body; proxy_temp_path {self.dir}/proxy;
                {blocks} }}""")
        self.start()

    def start(self):
        for left in ("pid", "admin.sock"):
            if os.path.exists(f"{self.dir}/{left}"):
                os.unlink(f"{self.dir}/{left}")
        binary = os.environ.get("REMORA", ROOT + "/build/remora")
        with open(self.dir + "/stderr", "a") as err:
            self.proc = subprocess.Popen([binary, "-p", self.dir + "/", "-c", self.dir + "/conf"], stderr=err,
                                         start_new_session=True)
        self.ready()

    def ready(self):
        """Waits until the API answers."""
        end = time.time() + 30
        while True:
            try:
                return self.get("/v1/revision")
            except OSError:
                if self.proc.poll() is not None or time.time() > end:
                    raise SystemExit(f"does not serve: {self.errors()}") from None
                time.sleep(0.002)

    def get(self, path):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(self.admin)
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while got := s.recv(1 << 20):
                data += got
        head, _, body = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise OSError(f"no answer: {data[:100]!r}")
        return json.loads(body)

    def agent(self):
        """Its pid, or None while there is none that serves."""
        try:
            return self.get("/v1/revision")["agent_pid"]
        except OSError:
            return None

    def kill_group(self):
        os.killpg(self.proc.pid, signal.SIGKILL)
        self.proc.wait()
        end = time.time() + 20
        while time.time() < end:  # workers and agent are not ours to wait for
            if not alive(self.proc.pid):
                return
            time.sleep(0.001)
        raise SystemExit("processes live on after SIGKILL")

    def stop(self):
        self.proc.send_signal(signal.SIGQUIT)
        code = self.proc.wait(30)
        text = self.errors()
        shutil.rmtree(self.dir, ignore_errors=True)
        return code, text

    def errors(self):
        return "".join(open(p).read() for p in (self.dir + "/stderr", self.log) if os.path.exists(p))


def cpu_of(pid):
    """Seconds of processor time so far, of all its threads."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Client:
    """One connection: one transaction is always on its way."""

    def __init__(self, c, ballast):
        self.c, self.n, self.acked, self.refused, self.done = c, 0, 0, 0, 0
        self.single = False  # instead of transactions, changes of one server's weight
        self.ballast = [f"10.{c}.{i >> 8}.{i & 255}:1" for i in range(ballast)]
        self.sock = None

    def connect(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.buf = b""
        self.send()

    def close(self):
        if self.sock is not None:
            self.sock.close()
        self.sock = None

    def send(self):
        self.n += 1
        if self.single:
            body = b'{"weight":%d}' % (self.n % 100 + 1)
            self.sock.sendall(b"PATCH /api/9/http/upstreams/a%d/servers/0 HTTP/1.1\r\nHost: x\r\nContent-Type: "
                              b"application/json\r\nContent-Length: %d\r\n\r\n" % (self.c, len(body)) + body)
            return
        servers = [{"server": s} for s in [address(self.n), *self.ballast]]
        body = json.dumps({"upstreams": {f"a{self.c}": servers, f"b{self.c}": servers}}).encode()
        self.sock.sendall(b"POST /v1/transactions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                          b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def read(self):
        """Takes what has come; sends the next one behind an answer."""
        got = self.sock.recv(1 << 20)
        if not got:
            raise ConnectionError("closed")
        self.buf += got
        head, sep, rest = self.buf.partition(b"\r\n\r\n")
        if not sep:
            return
        length = int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)[1])
        if len(rest) < length:
            return
        self.buf = rest[length:]
        if head.startswith(b"HTTP/1.1 200"):
            self.acked, self.done = self.n, self.done + 1
        else:
            self.refused += 1
        self.send()


def write_for(clients, path, seconds):
    """All of them write; ends early when the other side goes away."""
    end = time.monotonic() + seconds
    try:
        for client in clients:
            client.connect(path)
        while (left := end - time.monotonic()) > 0:
            for client in select.select(clients_of := {c.sock: c for c in clients}, [], [], left)[0]:
                clients_of[client].read()
    except OSError:
        pass


def check(clients, upstreams, where, wrong):
    """upstreams: {name: [address, ...]}."""
    for client in clients:
        a, b = upstreams[f"a{client.c}"], upstreams[f"b{client.c}"]
        if a != b:
            wrong.append(f"{where}: half of a transaction: a{client.c} {a[:2]}, b{client.c} {b[:2]}")
        elif not client.acked <= number(a) <= client.n:
            wrong.append(f"{where}: connection {client.c} has {number(a)}, acknowledged {client.acked}, sent {client.n}")
        elif number(a) != 0 and a[1:] != client.ballast:
            wrong.append(f"{where}: a{client.c} has {a[1:][:5]} beside its number")


def from_api(remora):
    return {u["name"]: [s["server"] for s in u["servers"]] for u in remora.get("/v1/http/upstreams")["upstreams"]}


def from_file(remora, clients):
    with open(remora.file) as f:
        saved = json.load(f)
    found = {f"{side}{c.c}": [address(0)] for c in clients for side in "ab"}
    found.update({u["name"]: [s["server"] for s in u["servers"]] for u in saved["upstreams"]})
    return found, saved["revision"]


def kills(args, whole):
    remora = Remora(args.connections, args.servers)
    clients = [Client(c, args.servers) for c in range(args.connections)]
    wrong, revision, began = [], 0, time.time()
    for kill in range(args.kills):
        seconds = random.uniform(0, args.between)
        pid = None if whole else remora.agent()
        # The moment comes while answers are under way: another process kills.
        killer = subprocess.Popen(["sh", "-c", f"sleep {seconds:.4f}; kill -9 " + (f"-{remora.proc.pid}" if whole else str(pid))])
        write_for(clients, remora.admin, 10)
        killer.wait()
        for client in clients:
            client.close()
        if whole:
            remora.kill_group()
        found, saved = from_file(remora, clients)
        check(clients, found, f"kill {kill}, file", wrong)
        if whole:
            remora.start()
        else:
            remora.ready()
        check(clients, from_api(remora), f"kill {kill}, API", wrong)
        now = remora.get("/v1/revision")["revision"]
        if now < saved or (whole and now <= revision):
            wrong.append(f"kill {kill}: revision {now}, in the file {saved}, before {revision}")
        revision = now
        if wrong:
            break
    done = sum(c.acked for c in clients)
    refused = sum(c.refused for c in clients)
    code, text = remora.stop()
    if refused:
        wrong.append(f"{refused} changes were refused")
    if re.search(r"\[(alert|emerg)\](?!.*(exited on signal 9|the master is gone))|runtime error|AddressSanitizer|broken", text):
        wrong.append("the log has:\n" + "\n".join(re.findall(r".*\[(?:alert|emerg|error)\].*", text)[-5:]))
    print(f"{kill + 1} kills, {done} acknowledged changes in {time.time() - began:.1f} s")
    return wrong


def speed(args):
    remora = Remora(args.connections, args.servers, not args.no_state)
    clients = [Client(c, args.servers) for c in range(args.connections)]
    for client in clients:
        client.single = args.single
    agent = remora.agent()
    cpu, began = cpu_of(agent), time.monotonic()
    write_for(clients, remora.admin, args.seconds)
    took, cpu = time.monotonic() - began, cpu_of(agent) - cpu
    done = sum(c.done for c in clients)
    for client in clients:
        client.close()
    remora.stop()
    print(f"{done / took:.0f} changes a second with {args.connections} connections; the agent took "
          f"{cpu / max(done, 1) * 1e6:.0f} us of processor time for each, {cpu / took * 100:.0f} % of one in all")
    return [] if done else ["nothing was done"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["agent", "group", "speed"])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--between", type=float, default=0.15, help="seconds between two kills, at most")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--servers", type=int, default=3, help="further servers of each upstream")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--single", action="store_true", help="speed: one server's weight, not transactions")
    parser.add_argument("--no-state", action="store_true", help="speed: without a state directory")
    args = parser.parse_args()
    wrong = speed(args) if args.what == "speed" else kills(args, args.what == "group")
    print("ok" if not wrong else "FAILED: " + "\n".join(wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
